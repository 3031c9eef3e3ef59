/*
 * How far a relay has come: a document in Holdfast, "relay:<name>".
 *
 * Owns: its form. Must never: be written anywhere but in a commit that names the version it had. Called by:
 * publish.c, the sources.
 *
 * PostgreSQL: everything whose commit record begins before `lsn` is done, and the first `rows` rows of the transaction
 * whose commit record begins at `transaction` (0: none has begun). The slot is never told more than `lsn`, so a slot
 * that is further was not moved by this relay. SQLite: everything up to `sequence` is done.
 */
#ifndef HF_RELAY_CURSOR_H
#define HF_RELAY_CURSOR_H

#include "base/buffer.h"
#include "base/types.h"

#define HF_CURSOR_TEXT_BYTES 260

enum hf_cursor_kind {
    HF_CURSOR_NONE = 0, /* there is no document yet */
    HF_CURSOR_POSTGRESQL,
    HF_CURSOR_SQLITE,
};

/* The place in the table's history. */
struct hf_cursor_at {
    uint64_t lsn;               /* PostgreSQL */
    uint64_t transaction, rows; /* PostgreSQL: 0, 0: between two transactions */
    uint64_t sequence;          /* SQLite */
};

struct hf_cursor {
    enum hf_cursor_kind kind;
    uint64_t version;                 /* of the document */
    char table[HF_CURSOR_TEXT_BYTES]; /* "public.outbox" */
    uint64_t published, parked;       /* since the relay's beginning */
    struct hf_cursor_at at;
    /* PostgreSQL */
    char system[32];   /* IDENTIFY_SYSTEM: the cluster's number */
    uint64_t timeline; /* of the same */
    char database[HF_CURSOR_TEXT_BYTES];
    char slot[HF_CURSOR_TEXT_BYTES];
    char copying
        [HF_CURSOR_TEXT_BYTES]; /* rows that were there are being published, in the order of this column */
    /* SQLite */
    char id[HF_CURSOR_TEXT_BYTES]; /* of the row at `sequence`: is it still the same table? */
};

/* "16/B374D848" or "17". */
void hf_cursor_show(const struct hf_cursor *cursor, char text[64]);

/* Appends it as a JSON object. */
void hf_cursor_write(const struct hf_cursor *cursor, struct hf_buffer *out);
/* The opposite; version is the document's. false: it was not written by a relay that this one understands. */
bool hf_cursor_read(struct hf_str json, uint64_t version, struct hf_cursor *cursor) HF_WARN_UNUSED;

/* Copies a text, cut if too long. */
void hf_cursor_text(char to[HF_CURSOR_TEXT_BYTES], struct hf_str text);

#endif
