/*
 * The witness: what must never happen to a message, whatever the rules of lists and lines are. It is told
 * the log and nothing else.
 *
 * Owns: each subscription's messages as the events alone say. Must never: know a command, decide anything,
 * call anything of core.
 * Called by: check.c before the model is asked, so that a broken promise is named as what it is.
 *
 * Of every subscription, at each commit:
 *  1. Nothing is delivered that has not arrived, has ended, is out already, is parked, or backs off still.
 *  2. Ordered: not while an earlier message of its key has not ended, unless that one goes out with the same
 *     receive before it. (A message that park_message took out of its line is no longer of the order.)
 *  3. The attempt is 1 + the failed tries; only the end of a message's own try counts.
 *  4. What is acked, nacked or parked by a client is out with that very token, and its lease runs still.
 *  5. Ordered: what is settled has no earlier message of its key before it that is out.
 *  6. A time-out is not early; nor is a delayed message.
 *  7. Dead letters come back in the order in which they were parked, if all of them do.
 *  8. At the end of a drained run every message has ended once, or is parked, or waits behind a parked one.
 */
#ifndef HF_TESTS_SIM_QUEUE_WITNESS_H
#define HF_TESTS_SIM_QUEUE_WITNESS_H

#include "sim/queue_news.h"

struct hf_witness;

struct hf_witness *hf_witness_new(void);
void hf_witness_free(struct hf_witness *witness); /* NULL is fine */

#define HF_WITNESS_BYTES 512
/* The next commit of the log. */
bool hf_witness_commit(struct hf_witness *witness, const struct hf_commit *commit,
                       char wrong[HF_WITNESS_BYTES]) HF_WARN_UNUSED;
/* No more commits, and consumers have taken what there was. */
bool hf_witness_drained(struct hf_witness *witness, char wrong[HF_WITNESS_BYTES]) HF_WARN_UNUSED;

#endif
