/*
 * The load on a queue: messages published, received and acknowledged over many connections by one thread.
 *
 * Owns: sockets, time, counts. Must never: know a protocol: struct protocol writes requests and reads replies.
 * Called by: main.c; http.c and redis.c are the two protocols.
 */
#ifndef HF_BENCH_QUEUE_LOAD_H
#define HF_BENCH_QUEUE_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    char *data;      /* owned; grows */
    size_t size;     /* bytes used */
    size_t capacity; /* bytes there */
};

void text_clear(struct text *text);
void text_add(struct text *text, const char *data, size_t size);
void text_print(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

enum role {
    ROLE_PUBLISH,
    ROLE_CONSUME, /* receive, ack, receive … */
    ROLE_CYCLE,   /* publish, receive, ack, publish … */
    ROLE_COUNT,
};

enum step {
    STEP_PUBLISH,
    STEP_RECEIVE,
    STEP_ACK,
    STEP_COUNT,
};

struct connection {
    int socket;
    unsigned number;
    enum role role;
    enum step step;       /* under way */
    bool idle;            /* a publisher that waits for consumers, or one that is done */
    uint64_t asked_us;    /* when the request under way was made */
    struct text out;      /* request… */
    size_t sent;          /* …and how much of it has left */
    struct text in;       /* reply so far */
    struct text receipts; /* of what was received: the protocol's own form */
    unsigned held;        /* messages in it */
};

struct settings {
    const char *address; /* "127.0.0.1:7070" */
    unsigned publishers; /* connections that publish */
    unsigned consumers;  /* connections that receive and ack */
    unsigned cyclers;    /* connections that do all three in turn */
    unsigned batch;      /* messages a request */
    uint64_t messages;   /* to publish in all */
    uint64_t consume;    /* to acknowledge in all, then it ends */
    uint64_t keys;       /* of the messages, "k0" … */
    uint64_t hot;        /* of the messages, the first so many have the key "hot" */
    uint64_t window;     /* published and not acknowledged at most; 0 = any */
    unsigned data_bytes; /* of a message */
    const char *tag;     /* makes keys of requests unique */
    const char *queue;   /* name of subscription and topic, or of stream and group */
};

extern struct settings settings;

struct protocol {
    const char *name;
    /* Write the next request to connection->out. first: number of the first of `count` messages. */
    void (*publish)(struct connection *connection, uint64_t first, unsigned count);
    void (*receive)(struct connection *connection);
    void (*ack)(struct connection *connection); /* all that is held */
    /* Bytes of the reply at the front of `in`; 0: not whole yet. */
    size_t (*whole)(const struct connection *connection);
    /* Messages that the reply speaks of: published, received (receipts are kept), acknowledged. Ends the
     * process if it is no success. */
    unsigned (*replied)(struct connection *connection, const char *reply, size_t size);
};

extern const struct protocol http_protocol, redis_protocol;

/* The key of a message. */
void message_key(uint64_t number, char key[32]);
const char *message_data(void); /* settings.data_bytes of letters and digits */

void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
