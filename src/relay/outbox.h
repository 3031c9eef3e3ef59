/*
 * A row of an outbox, and the message that becomes of it.
 *
 * Owns: the names of the columns, what a row must be to become a message. Must never: change a row to make it fit.
 * Called by: the sources (column names), publish.c.
 */
#ifndef HF_RELAY_OUTBOX_H
#define HF_RELAY_OUTBOX_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/types.h"

enum hf_outbox_field {
    HF_OUTBOX_ID,    /* → the message's id: once for ever */
    HF_OUTBOX_TOPIC, /* aggregatetype → topic */
    HF_OUTBOX_KEY,   /* aggregateid → key, within which order is kept */
    HF_OUTBOX_TYPE,  /* → type */
    HF_OUTBOX_PAYLOAD,
    HF_OUTBOX_FIELDS,
};

struct hf_outbox_names {
    const char *columns[HF_OUTBOX_FIELDS]; /* in the table; NULL = Debezium's */
    const char *topic_prefix;              /* put before each topic; "" = none */
    const char *id_prefix;                 /* put before each id; "" = none */
};

/* "aggregatetype". */
const char *hf_outbox_default_column(enum hf_outbox_field field);
/* The column's name in the table. */
const char *hf_outbox_column(const struct hf_outbox_names *names, enum hf_outbox_field field);
/* "aggregatetype=topic" into names->columns; false if it has not this form. The text is borrowed. */
bool hf_outbox_take_column(struct hf_outbox_names *names, const char *text);

/* As it stands in the database. An absent text is SQL's NULL. */
struct hf_outbox_row {
    struct hf_str fields[HF_OUTBOX_FIELDS];
    const char *where; /* "row 3 of the transaction at 0/16B3740": for people */
};

/* Texts in the row or in the arena. */
struct hf_outbox_message {
    struct hf_str id, topic, key, type;
    struct hf_str data; /* valid JSON */
};

#define HF_OUTBOX_WHY_BYTES 256

/* Makes the message. false: the row can't be one, why says what is wrong (or that memory is short: *no_memory). */
bool hf_outbox_message_of(const struct hf_outbox_names *names, const struct hf_outbox_row *row,
                          struct hf_arena *arena, struct hf_outbox_message *message,
                          char why[HF_OUTBOX_WHY_BYTES], bool *no_memory);

/* Appends the operation that publishes it, as JSON. */
void hf_outbox_put_operation(const struct hf_outbox_message *message, struct hf_buffer *out);

/* Appends "\"name\":text", escaped; a comma before it if the buffer does not end with '{'. */
void hf_outbox_put_member(struct hf_buffer *out, const char *name, struct hf_str text);

#endif
