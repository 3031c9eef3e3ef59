/*
 * A naive Holdfast for packed transfers, on loopback, that misbehaves when told: for the tests of the client.
 *
 * Owns: a listener, a thread a connection, the outcome of each id for ever. A record's own `code` is what becomes of it: 0 is accepted,
 * anything else refused with that code. What has an unknown flag refuses the request as a whole (400).
 */
#ifndef HF_TESTS_UNIT_PACKED_SERVER_H
#define HF_TESTS_UNIT_PACKED_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKED_SERVER_IDS      262144 /* a power of two */
#define PACKED_SERVER_THREADS  4096
#define PACKED_SERVER_REQUESTS 65536

enum packed_fault {
    PACKED_FINE,
    PACKED_LOST,       /* nothing is done, the connection ends */
    PACKED_DONE_LOST,  /* done, and the connection ends without an answer */
    PACKED_CUT,        /* done, the answer ends in the middle */
    PACKED_CUT_WHOLE,  /* done, the answer is shorter than it should be, but whole as HTTP */
    PACKED_DOUBTFUL,   /* done, 503 outcome_unknown */
    PACKED_NOT_JUDGED, /* nothing is done, 503 not_ready */
    PACKED_OTHER_SUM,  /* done, the answer is one to a request with a record more */
    PACKED_OTHER_TYPE, /* done, 200 text/html */
    PACKED_BAD_INDEX,  /* done, an entry for a record that there is not */
    PACKED_OVERLOADED, /* nothing is done, 429 */
    PACKED_BUSY_LONG,  /* nothing is done, 429: not for an hour */
    PACKED_FORBIDDEN,  /* nothing is done, 403 */
    PACKED_TOO_LARGE,  /* nothing is done, 413 */
    PACKED_STRANGER,   /* done, 404 of a box in between */
    PACKED_FAULTS,
};

struct packed_server_id {
    uint8_t id[16];      /* zero: free */
    uint32_t code;       /* what became of it */
    uint32_t flags;      /* CHAIN or 0 */
    uint8_t content[16]; /* amount, to tell another record with the same id */
};

struct packed_server {
    int listener;
    char address[64];
    pthread_t acceptor;
    pthread_t threads[PACKED_SERVER_THREADS];
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t changed;
    int open[PACKED_SERVER_THREADS]; /* sockets; -1 = closed */
    size_t accepted;
    const enum packed_fault *script; /* of the first requests */
    size_t script_count;
    uint64_t random;       /* of the faults behind the script */
    unsigned fault_of_256; /* how many requests meet one */
    bool held;             /* requests are read, but wait */
    size_t let;            /* of those that are held, so many may go */
    size_t request_count;
    size_t refused_whole;                   /* with 400 */
    uint32_t sizes[PACKED_SERVER_REQUESTS]; /* records of each request */
    size_t waiting;                         /* requests that are held now */
    size_t done_count;                      /* ids */
    uint64_t position;
    struct packed_server_id ids[PACKED_SERVER_IDS];
};

void packed_server_start(struct packed_server *server, const enum packed_fault *script,
                         size_t script_count);
void packed_server_stop(struct packed_server *server);
/* Behind the script so many of 256 requests meet a fault that a repetition ends. */
void packed_server_misbehave(struct packed_server *server, uint64_t random, unsigned fault_of_256);
/* held or not, from now on. */
void packed_server_hold(struct packed_server *server, bool held);
/* Lets one request go that is held, now or later. */
void packed_server_let_one(struct packed_server *server);
/* Waits until so many requests are held. */
void packed_server_await(struct packed_server *server, size_t waiting);
/* Is the id there, and what became of it? */
bool packed_server_knows(struct packed_server *server, const uint8_t id[16], uint32_t *code);
size_t packed_server_requests(struct packed_server *server);
size_t packed_server_done(struct packed_server *server);
uint32_t packed_server_largest(struct packed_server *server); /* records of a request */

#endif
