/*
 * What the node measures of itself, for metrics.
 *
 * Owns: counts and histograms since the node was made. Must never: decide anything by them. Called by: the node's
 * files (its thread alone adds), the door's metrics (any thread looks).
 *
 *   submitted ──queue──► taken ──decide──► decided ──append──► durable and given back
 */
#ifndef HF_NODE_METER_H
#define HF_NODE_METER_H

#include "base/histogram.h"

#define HF_METER_CODES 256 /* numbers of enum hf_err are below */

struct hf_node_meter {
    struct hf_histogram queue_us;  /* from submit to the first look of the node's thread */
    struct hf_histogram decide_us; /* deciding, applying and encoding a command */
    struct hf_histogram append_us; /* from the decision until it was durable: batch, write, sync */
    struct hf_histogram sync_us;   /* of a batch: from the hand-over to the log until its OK */
    struct hf_histogram batch_commits; /* commits of a durable batch */
    hf_tally log_bytes;                /* of batches that became durable */
    hf_tally refusals[HF_METER_CODES]; /* by code: decided, and what was turned away undecided */
    hf_tally expiries;                 /* commits of the timer */
    hf_tally turned_away;              /* by hf_node_submit, by any thread (added to as a whole) */
};

void hf_node_meter_init(struct hf_node_meter *meter);

#endif
