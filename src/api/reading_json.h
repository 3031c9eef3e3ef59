/*
 * Readings: things, pages, keys and commits as JSON.
 *
 * Owns: the form of reads' answers. Must never: look beyond the reading. Called by: the library, cli,
 * http, on the node's thread (a reading lives as long as its draft).
 */
#ifndef HF_API_READING_JSON_H
#define HF_API_READING_JSON_H

#include "base/buffer.h"
#include "core/read.h"

/* Appends what was read: a thing as an object, a document bare, a page or list as {"data":[…],"next":…} (next as
 * api/cursor.h makes it, or null), a key as {"key","position","status","body"}, a balance, totals, a statement; a
 * problem if it was not found or can't be read. Returns the HTTP status. */
int hf_reading_json(struct hf_buffer *to, const struct hf_query *query,
                    const struct hf_reading *reading);

#endif
