/*
 * What a relay tells about itself: a line on a terminal, lines of JSON, a file for Prometheus.
 *
 * Owns: the counters of this process and how they are shown. Must never: block the relay; write a file that is half
 * done. Called by: everything of relay/.
 *
 * The file is replaced by rename, in Prometheus' text format: node_exporter's textfile collector picks it up, and
 * there is no port to guard. A relay that died shows by holdfast_relay_updated_seconds that stands still.
 */
#ifndef HF_RELAY_STATUS_H
#define HF_RELAY_STATUS_H

#include "base/types.h"

struct hf_relay_status_options {
    const char *metrics_file; /* NULL: none */
    bool json;                /* lines on standard output */
    uint64_t every_ms;        /* between two lines */
    const char *command;      /* "relay sqlite": stands before what is said */
};

enum hf_relay_state {
    HF_RELAY_STARTING = 0,
    HF_RELAY_COPYING,       /* publishing the rows that were there before the slot */
    HF_RELAY_RUNNING,       /* follows the table */
    HF_RELAY_DATABASE_AWAY, /* connecting again */
    HF_RELAY_SERVER_AWAY,   /* Holdfast does not answer; a commit is repeated */
    HF_RELAY_ENDED,
};

struct hf_relay_status {
    const struct hf_relay_status_options *options; /* borrowed */
    const char *name;                              /* of the relay */
    enum hf_relay_state state;
    uint64_t published;  /* messages that this process made */
    uint64_t known;      /* rows that were messages already */
    uint64_t parked;     /* rows */
    uint64_t ignored;    /* updates, deletes and truncates of the table */
    uint64_t commits;    /* that moved the cursor */
    uint64_t heartbeats; /* …of them without a row */
    uint64_t retries;    /* rounds without an answer of the server */
    uint64_t reconnects; /* to the database */
    uint64_t conflicts;  /* the cursor was moved by somebody else */
    uint64_t lag_bytes;  /* PostgreSQL: WAL between the cursor and the server's end */
    uint64_t lag_rows;   /* SQLite: behind the cursor */
    uint64_t
        waiting_since_us; /* commit time (or first sight) of the oldest row that is not published; 0: none */
    uint64_t position; /* of the newest commit */
    char cursor[64];   /* lsn or sequence */
    /* The rest is private. */
    bool terminal, shown;
    uint64_t line_due_ms, file_due_ms, terminal_due_ms;
    bool file_failed; /* told once */
};

void hf_relay_status_init(struct hf_relay_status *status,
                          const struct hf_relay_status_options *options, const char *name);
/* Shows what is due; cheap. */
void hf_relay_status_tick(struct hf_relay_status *status);
/* Shows everything now: at a change of state, at the end. */
void hf_relay_status_show(struct hf_relay_status *status);
void hf_relay_status_state(struct hf_relay_status *status, enum hf_relay_state state);
/* "holdfast relay sqlite: text" on standard error: what a person must know. */
void hf_relay_warn(struct hf_relay_status *status, const char *format, ...) HF_PRINTF(2, 3);

/* Clocks: µs since 1970, and one that only goes forward. */
uint64_t hf_relay_now_us(void);
uint64_t hf_relay_ticks_ms(void);

#endif
