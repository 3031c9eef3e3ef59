/*
 * A load over HTTP whose every request is known again: the n-th request of client t is always the same.
 *
 * The clients live through the kills of their servers. A request is under way until it has a definite answer;
 * so between two runs everything that was sent is answered, and the books can be told from the counts alone.
 */
#ifndef HF_INTEGRATION_HTTP_LOAD_H
#define HF_INTEGRATION_HTTP_LOAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast_client.h>

#define HTTP_LOAD_CLIENTS  32
#define HTTP_LOAD_REQUESTS 40000 /* of a client at most */

enum http_load_kind {
    HTTP_LOAD_TRANSFER,  /* by its id, without a key */
    HTTP_LOAD_MANY,      /* three transfers by their ids: all or none */
    HTTP_LOAD_HOLD,      /* by its id */
    HTTP_LOAD_CAPTURE,   /* of the hold before, under a key */
    HTTP_LOAD_PAIR,      /* an event and a document, under a key: both or none */
    HTTP_LOAD_REFUSED,   /* no cover, by its id: the refusal is recorded */
    HTTP_LOAD_NAMELESS,  /* a transfer without an id, under a key */
    HTTP_LOAD_REVERSE,   /* of the transfer before, under a key */
    HTTP_LOAD_CONDITION, /* a condition that holds, and an event, under a key */
    HTTP_LOAD_FALSE,     /* a condition that does not hold: the refusal is recorded under the key */
    HTTP_LOAD_VOIDED,    /* a hold and its end in one commit, by key */
    HTTP_LOAD_ACCOUNT,   /* a new account, PUT under a key */
    HTTP_LOAD_DOCUMENT,  /* PUT with If-Match, under a key */
    HTTP_LOAD_ACQUIRE,   /* a lease */
    HTTP_LOAD_RELEASE,   /* the same one, by its token */
    HTTP_LOAD_KINDS,
};

struct http_load_answer {
    uint16_t status;      /* HTTP */
    uint16_t attempts;    /* requests that the client library sent for it */
    uint64_t position;    /* of its record */
    uint64_t text_hash;   /* FNV-1a of the body */
    uint64_t lease_token; /* HTTP_LOAD_ACQUIRE */
};

struct http_load_client {
    unsigned number;                  /* 0 to HTTP_LOAD_CLIENTS - 1 */
    struct holdfast_client *http;     /* its own */
    pthread_t thread;                 /* valid while it runs */
    uint64_t count;                   /* requests that have an answer */
    uint64_t checked;                 /* of these, compared in an earlier check */
    struct http_load_answer *answers; /* by request */
};

static inline enum http_load_kind http_load_kind_of(uint64_t n)
{
    return (enum http_load_kind)(n % HTTP_LOAD_KINDS);
}

/* Sends the client's n-th request until its answer is definite. false: there is none; it was printed. */
bool http_load_send(struct http_load_client *client, uint64_t n, struct http_load_answer *answer,
                    bool *replayed);

/* Opens what the requests need. */
bool http_load_open(struct holdfast_client *http);

/* Asks again for everything since the last check, and for a sample from before; compares the books. false: it was
 * printed what is wrong. *same: answers compared. */
bool http_load_check(struct http_load_client *clients, uint64_t *same);

#endif
