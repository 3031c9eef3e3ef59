/*
 * The outbox in PostgreSQL: the inside of the source.
 *
 * Owns: the replication connection, what is known of the table and the slot. Called by: postgresql*.c.
 *
 *   connect ─► check (cluster, table, publication, slot against the cursor) ─► copy, if rows that were there are wanted
 *      ▲                                                                          │
 *      └──────────── the connection failed, or the cursor was moved ◄── stream ◄──┘
 *
 * 1. The slot is told `flushed` = the cursor's lsn as it is durable in Holdfast, never more. So at a start a slot
 *    whose confirmed_flush_lsn is beyond the cursor is not the one that we left.
 * 2. An idle cursor is moved on by a commit of its own (the heartbeat) before the slot hears of it.
 */
#ifndef HF_RELAY_POSTGRESQL_PRIV_H
#define HF_RELAY_POSTGRESQL_PRIV_H

#include <libpq-fe.h>

#include "relay/pgoutput.h"
#include "relay/publish.h"

#define HF_PG_RELATIONS_MAX 4096 /* tables that a publication may bring along */

/* How a payload is written. */
enum hf_pg_payload {
    HF_PG_PAYLOAD_TEXT = 1, /* json, jsonb, text, varchar */
    HF_PG_PAYLOAD_BYTES,    /* bytea: "\x7b7d" */
};

/* A table that the server has announced. */
struct hf_pg_relation {
    uint32_t id;
    bool ours;
    uint32_t columns;                 /* of the table */
    uint32_t index[HF_OUTBOX_FIELDS]; /* which column is which field */
    enum hf_pg_payload payload;
};

struct hf_pg_source {
    struct hf_relay *relay;
    struct hf_publisher publisher;
    PGconn *connection;         /* NULL: none */
    char schema[64], table[64]; /* the outbox, as the server calls it */
    enum hf_pg_payload payload; /* of its column, for copying */
    struct hf_pg_relation *relations;
    size_t relation_count, relation_capacity;
    struct hf_buffer bytes; /* a bytea, decoded */
    /* The stream. */
    bool in_transaction;
    bool skip_transaction;  /* it is behind the cursor already */
    uint64_t transaction;   /* where its commit record begins */
    uint64_t time_us;       /* when it was committed */
    uint64_t row;           /* of the outbox in it, from 1 */
    uint64_t skip_rows;     /* of the first ones: behind the cursor */
    struct hf_cursor_at at; /* behind everything that was taken in */
    uint64_t received; /* how far the server has told that it came, everything before is taken in */
    uint64_t server_end;                 /* the end of its WAL that it told last */
    uint64_t once_until;                 /* --once: done when the cursor is here */
    uint64_t status_due_ms, save_due_ms; /* ticks */
    size_t lingered; /* rows that waited for more of their transaction; 0: none */
    bool streaming;  /* the connection is in the copy mode of replication */
    bool reply_wanted;
    uint64_t away_since_ms; /* Holdfast does not answer; 0: it does */
    bool update_told;       /* that updates are ignored */
};

/* A text as an SQL literal or identifier in a query under construction; failed in the buffer's sense. */
void hf_pg_put_literal(struct hf_pg_source *source, struct hf_buffer *sql, const char *text);
void hf_pg_put_identifier(struct hf_pg_source *source, struct hf_buffer *sql, const char *text);
/* Runs a query (a NUL is put behind it) and gives its rows, *result to be cleared. AGAIN or REFUSED by the error's kind. */
enum hf_relay_end hf_pg_query(struct hf_pg_source *source, struct hf_buffer *sql,
                              PGresult **result);
/* The same for a text; the result is thrown away if result is NULL. */
enum hf_relay_end hf_pg_run(struct hf_pg_source *source, const char *sql, PGresult **result);
/* An error of the server: would it be another one after some time? Sets the relay's error. */
enum hf_relay_end hf_pg_failed(struct hf_pg_source *source, const char *what, const char *sqlstate,
                               const char *text);

/* Everything before the stream: GO_ON with a cursor to begin at. */
enum hf_relay_end hf_pg_check(struct hf_pg_source *source);
/* The table's columns as query `sql` or the stream tell them: name → index. false: one is missing, *missing. */
bool hf_pg_map(const struct hf_outbox_names *names, const char *name, uint32_t column,
               uint32_t index[HF_OUTBOX_FIELDS]);
/* json, jsonb, text, varchar, bytea; false: another one. */
bool hf_pg_payload_of(uint32_t type, enum hf_pg_payload *payload);
/* "\x7b7d" → its bytes in source->bytes; the text itself if it is none. false: memory. */
bool hf_pg_decode(struct hf_pg_source *source, enum hf_pg_payload payload, struct hf_str *text);

/* Publishes the rows that are in the table, by cursor->copying. */
enum hf_relay_end hf_pg_copy(struct hf_pg_source *source);

/* The slot is followed until something ends it. */
enum hf_relay_end hf_pg_stream(struct hf_pg_source *source);
/* Tells the slot how far we are. false: the connection is broken. */
bool hf_pg_send_status(struct hf_pg_source *source, bool reply_wanted);

#endif
