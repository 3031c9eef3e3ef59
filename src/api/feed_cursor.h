/*
 * The feed's cursors: opaque places in one log, that users hand back.
 *
 * Owns: their form: version, kind, the log's mark, place, checksum, as base64url. Must never: mean another place in
 * another log; accept a text that it would not have written. Called by: the feed's reader and route; a fuzz target.
 *
 *   feed       1 | 1 | mark u64 | position u64 | index u32 | checksum u32            the next event to look at
 *   snapshot   1 | 2 | mark u64 | position u64 | kind u8 | name | checksum u32       behind this thing; later the feed from
 *                                                                                   the position on
 * Little-endian. The checksum is against accidents; a forged cursor is a place like any other, and shows no more.
 */
#ifndef HF_API_FEED_CURSOR_H
#define HF_API_FEED_CURSOR_H

#include "base/buffer.h"
#include "base/limits.h"
#include "core/entity.h"

/* An event of the log, there or to come. */
struct hf_feed_place {
    uint64_t position; /* of its commit; ≥ 1 */
    uint32_t index;    /* in the commit */
};

struct hf_feed_cursor {
    bool is_snapshot;
    struct hf_feed_place place; /* the next event; of a snapshot: where the feed will begin */
    enum hf_kind kind;          /* snapshot: ACCOUNT, STREAM or DOCUMENT */
    uint8_t after_bytes;        /* snapshot: of the name behind which it goes on; 0: at the first */
    char after[HF_NAME_BYTES_MAX];
};

#define HF_FEED_CURSOR_CHARS_MAX 210

void hf_feed_cursor_encode(struct hf_buffer *to, const struct hf_feed_cursor *cursor,
                           uint64_t mark);
/* The ordinary one. */
void hf_feed_place_encode(struct hf_buffer *to, const struct hf_feed_place *place, uint64_t mark);

enum hf_feed_cursor_result {
    HF_FEED_CURSOR_OK,
    HF_FEED_CURSOR_MALFORMED,
    HF_FEED_CURSOR_FOREIGN, /* well-formed, of another log */
};

enum hf_feed_cursor_result hf_feed_cursor_decode(struct hf_str text, uint64_t mark,
                                                 struct hf_feed_cursor *cursor);

#endif
