/*
 * Cursors: where a list goes on, as a text that users hand back.
 *
 * Owns: the form of `next` and `after`. Must never: be an authority (a cursor names a place in a list and
 * grants nothing: whoever may read the list may read it from any place). Called by: the renderers of
 * pages, and the routes.
 *
 * 1. Opaque ones are base64url of: version, query type, what the list is of (4 bytes of a hash of name,
 *    prefix, filters), place, checksum. Any other bytes, or those of another list, are malformed.
 * 2. Pages of entries and stream events have plain digits, as they always had.
 */
#ifndef HF_API_CURSOR_H
#define HF_API_CURSOR_H

#include "api/json_write.h"
#include "base/buffer.h"
#include "core/read.h"

/* Appends the text of where `reading` of `query` ended; reading->more is set. Plain ASCII without quotes. */
void hf_cursor_encode(struct hf_buffer *to, const struct hf_query *query,
                      const struct hf_reading *reading);

/* The member "next" of a page: its cursor, or null at the end. */
void hf_cursor_json(struct hf_json_writer *w, const struct hf_query *query,
                    const struct hf_reading *reading);

enum hf_cursor_result {
    HF_CURSOR_OK,
    HF_CURSOR_MALFORMED, /* no cursor of this list */
    HF_CURSOR_NO_MEMORY,
};

/* Sets query->after or query->from; everything else of the query must be set before. */
enum hf_cursor_result hf_cursor_decode(struct hf_str text, struct hf_arena *arena,
                                       struct hf_query *query) HF_WARN_UNUSED;

#endif
