/*
 * The outbox relay: rows that a service wrote into a table of its own database, together with its business
 * change, become messages in Holdfast, each exactly once, in the order of their commits.
 *
 * Owns: the run of one relay from its start to its end. Must never: move its cursor past a row that is neither
 * published nor parked; tell the database that it may forget what Holdfast does not have yet; go on when rows may
 * have been lost without having said so. Called by: the program holdfast-relay.
 *
 *   table ──source──► rows ──publish.c──► one commit: messages of some rows + the cursor behind them
 *           (postgresql.c, sqlite.c)            │
 *              ▲                                └─ durable ─► the source may forget up to the cursor
 *              └────────────── cursor (cursor.h), read at the start and after every conflict
 *
 * 1. The cursor is a document in Holdfast, changed in the commit that publishes the rows and only if it still has the
 *    version that the relay knows: a row is behind the cursor exactly if it was published. Two relays with one name
 *    race, and each row still comes once.
 * 2. Rows of a commit keep the order of the table's commits; a commit comes after the one before has been answered.
 * 3. A row that can't be a message (bad name, no JSON, too large, id taken) stops the relay; or is parked whole in a
 *    stream, in the commit that moves the cursor past it.
 */
#ifndef HF_RELAY_RELAY_H
#define HF_RELAY_RELAY_H

#include "holdfast_client.h"
#include "relay/cursor.h"
#include "relay/outbox.h"
#include "relay/status.h"

#define HF_RELAY_ERROR_BYTES 1600

/* How something ended. */
enum hf_relay_end {
    HF_RELAY_GO_ON = 0,
    HF_RELAY_DONE,    /* asked to stop, or all is published and no more was wanted */
    HF_RELAY_MOVED,   /* the cursor is not what it was: read it again */
    HF_RELAY_AGAIN,   /* the database failed in a way that passes: connect again */
    HF_RELAY_REFUSED, /* it must not go on; the error says why and what to do */
    HF_RELAY_FAILED,  /* the environment: a file, memory, a server that will never answer */
};

/* What the user said; texts are borrowed. */
struct hf_relay_options {
    const char *name;             /* of the relay: names the cursor and the stream of parked rows */
    const char *database;         /* PostgreSQL: connection string; SQLite: path */
    const char *table;            /* "outbox", "shop.outbox" */
    struct hf_outbox_names names; /* columns, prefixes */
    const char *slot;             /* PostgreSQL */
    const char *publication;      /* PostgreSQL */
    const char *publish_existing; /* PostgreSQL: order of the rows that are there; NULL */
    bool skip_existing;           /* PostgreSQL: leave them */
    bool create;                  /* PostgreSQL: slot and publication may be made */
    uint64_t adopt;        /* take the database as it is if the cursor has this version; 0: never */
    bool park;             /* bad rows go to the stream; else they stop the relay */
    bool once;             /* end when everything is published */
    bool delete_published; /* SQLite */
    uint64_t batch_rows_max; /* rows of a commit; ≥ 1 */
    uint64_t poll_ms;        /* SQLite: between two looks */
    uint64_t heartbeat_ms;   /* PostgreSQL: how often an idle cursor is moved on */
    struct hf_relay_status_options status;
};

struct hf_relay {
    const struct hf_relay_options *options;
    struct holdfast_client *client; /* borrowed */
    struct hf_cursor cursor;        /* as it is durable in Holdfast */
    struct hf_relay_status status;
    int signals; /* a signalfd that is readable if it shall stop; -1: none */
    /* Called while the server does not answer, on each round: keep the database patient. Or NULL. */
    void (*waiting)(void *context);
    void *waiting_context;
    char error[HF_RELAY_ERROR_BYTES]; /* of REFUSED and FAILED, and of the last AGAIN */
};

/* Sets the error, returns end. */
enum hf_relay_end hf_relay_say(struct hf_relay *relay, enum hf_relay_end end, const char *format,
                               ...) HF_PRINTF(3, 4);
/* Adds to the error how to go on from the database as it is: --adopt with the cursor's version, so that it is good once. */
void hf_relay_say_adopt(struct hf_relay *relay, const char *with);
/* Does the user want just that? */
bool hf_relay_adopts(const struct hf_relay *relay);
/* Was it asked to stop? Never waits. */
bool hf_relay_stopping(const struct hf_relay *relay);
/* Waits until there is something to read at fd (-1: none), the relay shall stop, or the time is over; shows the status
 * meanwhile if it is due. */
void hf_relay_wait(struct hf_relay *relay, int fd, uint64_t ms);
/* Half of ms and a random part of the other half. */
uint64_t hf_relay_jittered(uint64_t ms);

/* Each runs until it must end: DONE, REFUSED or FAILED. The relay is zero but for options, client, signals and the
 * status. */
enum hf_relay_end hf_relay_run_postgresql(struct hf_relay *relay);
enum hf_relay_end hf_relay_run_sqlite(struct hf_relay *relay);

#endif
