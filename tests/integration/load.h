/*
 * A load whose every command is known again: the n-th command of thread t is always the same.
 *
 * What was answered is kept in a file that is mapped, so that it outlives a kill -9. A page that was written
 * by a dead process is still there (only the machine must not die).
 */
#ifndef HF_INTEGRATION_LOAD_H
#define HF_INTEGRATION_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast.h>

#define LOAD_THREADS  8
#define LOAD_COMMANDS 200000 /* of a thread at most */
#define LOAD_TEXT     1024   /* of a command as JSON */

enum load_kind {
    LOAD_TRANSFER, /* one transfer with an id */
    LOAD_MANY,     /* three transfers with ids: all or none */
    LOAD_HOLD,     /* a hold with an id */
    LOAD_CAPTURE,  /* of the hold before, with a key */
    LOAD_PAIR,     /* an event and a document, with a key: both or none */
    LOAD_REFUSED,  /* a transfer that has no cover: the refusal is recorded */
    LOAD_KINDS,
};

struct load_ack {
    atomic_uint answered; /* 1: the rest is valid */
    uint32_t status;      /* of the answer */
    uint64_t position;    /* of its record */
    uint64_t text_hash;   /* of its text */
};

struct load_state {
    atomic_uint_fast64_t next[LOAD_THREADS]; /* commands below it were sent, perhaps */
    atomic_uint_fast64_t answered;           /* all in all */
    struct load_ack acks[LOAD_THREADS][LOAD_COMMANDS];
};

static inline enum load_kind load_kind_of(uint64_t n)
{
    return (enum load_kind)(n % LOAD_KINDS);
}

/* Commits the command. false: an error instead of an answer; it was printed. */
bool load_send(struct holdfast *db, unsigned thread, uint64_t n, struct holdfast_answer **answer);
/* FNV-1a of the answer's text. */
uint64_t load_text_hash(struct holdfast_answer *answer);
/* Keeps a first answer. */
void load_keep(struct load_state *state, unsigned thread, uint64_t n,
               struct holdfast_answer *answer);

/* Looks at everything that a run before this one left: true if all is as it must be. */
bool load_check(struct holdfast *db, struct load_state *state);

#endif
