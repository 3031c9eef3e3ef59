/*
 * What the files of fetching share: a piece of the log that was read, and commits out of it.
 *
 * Everything here runs on the fetch worker, for one request after another.
 */
#ifndef HF_NODE_FETCH_PRIV_H
#define HF_NODE_FETCH_PRIV_H

#include "node/node_priv.h"

/* A piece of the log, and the batch in it that was looked at last: positions mostly ascend, so the next one is often in
 * the same batch or in one behind it. */
struct hf_fetch_piece {
    struct hf_buffer bytes;
    size_t at; /* behind `batch` */
    struct hf_log_batch batch;
    bool has_batch;
};

/* fetch_piece.c */
/* A commit's frame in the piece, which is read if need be; valid until the next one is found. */
enum hf_err hf_fetch_find(struct hf_node *node, struct hf_fetch_piece *piece, uint64_t position,
                          struct hf_commit_frame *frame, struct hf_error *error);
/* The same, but the frame's bytes may not have been checked: for a hint that is proven by what it leads to. */
enum hf_err hf_fetch_hint(struct hf_node *node, struct hf_fetch_piece *piece, uint64_t position,
                          struct hf_commit_frame *frame, struct hf_error *error);
/* Into the request's records; its size is taken from *left_bytes. false: memory is short. */
bool hf_fetch_keep(struct hf_request *request, uint64_t position,
                   const struct hf_commit_frame *frame, uint64_t *left_bytes);
/* Finds and keeps it, if it is not kept already. */
enum hf_err hf_fetch_frame(struct hf_node *node, struct hf_request *request, uint64_t position,
                           uint64_t *left_bytes, struct hf_fetch_piece *piece,
                           struct hf_error *error);

/* fetch_point.c */
/* Tells the entries on the way down, and keeps the commit of the last one. */
enum hf_err hf_fetch_descent(struct hf_node *node, struct hf_request *request,
                             const struct hf_entry_descent *wanted, uint64_t *left_bytes,
                             struct hf_fetch_piece *piece, struct hf_error *error);
/* The position of a time, by a binary search over the log from the nearest time marks. */
enum hf_err hf_fetch_time(struct hf_node *node, struct hf_request *request,
                          const struct hf_time_need *need, struct hf_fetch_piece *piece,
                          struct hf_error *error);

#endif
