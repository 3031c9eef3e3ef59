/*
 * The client's inside: connections, one attempt, the answer.
 *
 * Owns: libcurl's handles, one a connection. Must never: follow a redirect, change a request between two
 * attempts, take an answer that was cut for a whole one. Called by: the files of this folder, its tests.
 *
 * 1. A call takes one connection from the idle ones (or a new one) and gives it back at its end.
 * 2. An attempt is DEFINITE, or says whether the server can have done anything. What is not certain is UNKNOWN.
 * 3. A request's bytes and headers are made once a call; attempts only read them.
 */
#ifndef HF_CLIENT_CLIENT_PRIV_H
#define HF_CLIENT_CLIENT_PRIV_H

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/errors.h"
#include "base/types.h"
#include "holdfast_client.h"

#define HF_CLIENT_VERSION "0.1.0"
#define HF_CLIENT_MS_MAX  0x7FFFFFFFu /* of every time-out: what libcurl takes everywhere; 24 days */

struct hf_client_address {
    char *given;  /* as the user wrote it */
    char *base;   /* "http://127.0.0.1:7070", without a slash behind */
    char *socket; /* path of the Unix socket; NULL: TCP */
};

/* A handle of libcurl; it keeps its connections open between calls. */
struct hf_client_connection {
    CURL *easy;                        /* owned */
    struct hf_client_connection *next; /* in the list of idle ones */
    char error[CURL_ERROR_SIZE];       /* what libcurl says of the last attempt */
};

struct holdfast_client {
    struct hf_client_address addresses[HOLDFAST_CLIENT_ADDRESSES_MAX];
    size_t address_count;
    char *authorization; /* header line, or NULL */
    char *ca_file;       /* or NULL */
    char *user_agent;
    uint64_t connect_timeout_ms, request_timeout_ms, total_timeout_ms;
    uint64_t backoff_first_ms, backoff_max_ms;
    size_t answer_bytes_max;
    bool proxy_from_environment;
    void (*on_retry)(void *context, const struct holdfast_client_retry *retry); /* or NULL */
    void *on_retry_context;
    atomic_size_t preferred; /* index of the address that answered last */
    pthread_mutex_t mutex;   /* of the two below */
    struct hf_client_connection *idle;
    unsigned idle_count, idle_max;
    atomic_uint tickets; /* started and not waited for */
};

/* Sets the failure (which may be NULL) and returns the error. */
enum holdfast_client_error hf_client_fail(struct holdfast_client_failure *failure,
                                          enum holdfast_client_error error, const char *format, ...)
    HF_PRINTF(3, 4);

/* NULL if memory is short. */
struct hf_client_connection *hf_client_take(struct holdfast_client *client);
void hf_client_give_back(struct holdfast_client *client, struct hf_client_connection *connection);

struct hf_client_attempt;

/* What makes an answer below 400 one to this request, beside being whole. */
struct hf_client_check {
    bool (*fits)(const struct hf_client_attempt *attempt, const void *context);
    const void *context;
};

/* What is sent: the same at each attempt. */
struct hf_client_message {
    const char *method;
    const char *path;
    const void *body; /* NULL: none */
    size_t body_bytes;
    struct curl_slist *headers;
    const struct hf_client_check *check; /* NULL: none */
};

enum hf_client_outcome {
    HF_CLIENT_DEFINITE = 1, /* an answer that counts */
    HF_CLIENT_NOTHING_DONE, /* certainly without effect; may be sent again */
    HF_CLIENT_MAYBE_DONE,   /* sent, and no answer that counts */
    HF_CLIENT_HOPELESS,     /* without effect, and will never be otherwise on this address */
};

struct hf_client_attempt {
    enum hf_client_outcome outcome;
    int status;     /* 0: no whole answer */
    bool sent;      /* something may have reached the server */
    bool cut;       /* sent on a kept connection, which ended without a byte of an answer */
    bool no_memory; /* here */
    uint64_t retry_after_ms; /* 0: nothing said */
    struct hf_buffer body;   /* owned; kept between attempts */
    size_t body_bytes_max;
    char content_type[128];
    char etag[64];
    char code[64];     /* of a problem document, or "" */
    uint64_t position; /* 0: absent */
    bool replayed;
    char text[400]; /* what came of it, in words */
};

/* One request to one address, at most timeout_ms. */
void hf_client_try(struct holdfast_client *client, struct hf_client_connection *connection,
                   const struct hf_client_address *address, const struct hf_client_message *message,
                   uint64_t timeout_ms, struct hf_client_attempt *attempt);

/* holdfast_client_send with a check (or NULL) of answers. *maybe_done: an attempt before the last one may have had an effect. */
enum holdfast_client_error hf_client_send(struct holdfast_client *client,
                                          const struct holdfast_client_call *call,
                                          const struct holdfast_client_request *request,
                                          const struct hf_client_check *check, bool *maybe_done,
                                          struct holdfast_client_answer **answer,
                                          struct holdfast_client_failure *failure);

/* A thread of the library's, which takes no signals. false: there can be none. */
bool hf_client_thread(pthread_t *thread, void *(*run)(void *context), void *context);

/* The answer of an attempt; takes its body. NULL if memory is short. */
struct holdfast_client_answer *hf_client_answer_new(struct hf_client_attempt *attempt,
                                                    const char *key, const char *address,
                                                    unsigned attempts);

/* The value that a JSON pointer names in a valid text: *string says whether it stood in quotes (then unescaped, in
 * arena if need be). Absent if it is not there or memory is short. */
struct hf_str hf_client_json_find(struct hf_str text, const char *pointer, struct hf_arena *arena,
                                  bool *string);

/* 128 random bits in hex. */
void hf_client_make_key(char key[HOLDFAST_CLIENT_KEY_BYTES]);

/* Time that only goes forward, and sleep. */
uint64_t hf_client_now_ms(void);
void hf_client_sleep_ms(uint64_t ms);
/* Random bytes of the kernel. */
void hf_client_random(void *bytes, size_t size_bytes);

#endif
