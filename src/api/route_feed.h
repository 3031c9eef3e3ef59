/*
 * What the files of the feed's route share: a call that feeds its peer. Private to route_feed.c and route_snapshot.c.
 *
 *   request ─► [snapshot: node, page by page] ─► lanes ─► pieces …
 */
#ifndef HF_API_ROUTE_FEED_H
#define HF_API_ROUTE_FEED_H

#include "api/door_priv.h"
#include "api/feed.h"

/* A call's reader; in the exchange's arena: the call's `work`. */
struct hf_feeding {
    struct hf_feed_reader reader;
    bool in_lane;                 /* the lanes (or the node, for a snapshot) have it */
    bool begun;                   /* the stream's head is out */
    bool over;                    /* the peer has gone, the server stops, or the token has ended */
    uint64_t checked_us;          /* when the caller's rights were looked at last (monotonic) */
    struct hf_snapshot *snapshot; /* under way, or NULL */
};

/* Hands the call to the lanes: answers come as of hf_route_feed. */
enum hf_progress hf_feed_begin_reading(struct hf_call *call);
/* To the lanes once more. false: no thread can be started. */
bool hf_feed_send_on(struct hf_call *call);

enum hf_feed_piece {
    HF_FEED_NOT_SENT,  /* the stream could not begin: *progress has the answer */
    HF_FEED_SENT,      /* there is room for more */
    HF_FEED_SENT_FULL, /* notice ROOM comes */
};
/* The answer's bytes as a piece of a stream, which begins with the first one. */
enum hf_feed_piece hf_feed_send_piece(struct hf_call *call, enum hf_progress *progress);
/* The call is gone with it. */
enum hf_progress hf_feed_end_stream(struct hf_call *call);
/* Composes a page. */
enum hf_progress hf_feed_answer_page(struct hf_call *call, const struct hf_feed_progress *progress);

#endif
