/* The insides of the caller; private to caller_curl.c and caller_slot.c. */
#ifndef HF_DELIVER_CALLER_CURL_PRIV_H
#define HF_DELIVER_CALLER_CURL_PRIV_H

#include <curl/curl.h>
#include <stdatomic.h>

#include "base/buffer.h"
#include "deliver/caller_curl.h"
#include "deliver/target.h"

#define CALLER_FIXED_HEADERS 2 /* Expect, Content-Type */

/* A value of the answer's headers: empty = absent. */
struct caller_value {
    char text[HF_URL_BYTES_MAX + 1];
    size_t bytes;
};

/* An easy handle with all that never changes set, and the call that it makes now. */
struct caller_slot {
    struct hf_caller_curl *caller;
    CURL *easy;             /* owned */
    struct hf_call *call;   /* NULL: spare */
    bool is_get;            /* the handle is set to GET */
    uint32_t timeout_ms;    /* what it is set to */
    struct hf_buffer url;   /* what it is set to, with a NUL */
    struct hf_buffer lines; /* header lines, each with a NUL */
    struct curl_slist headers[HF_CALL_HEADERS_MAX + CALLER_FIXED_HEADERS]; /* over lines */
    const char *refusal;                 /* what the address is that must not be called; or NULL */
    char refused[HF_ADDRESS_TEXT_BYTES]; /* that address */
    bool too_large;                      /* a success beyond answer_bytes_max */
    bool cut;                            /* an error's body, of which the beginning is enough */
    size_t dropped_bytes;                /* of that body */
    struct hf_buffer answer;             /* the body */
    struct caller_value outcome, location, type, retry_after;
    char error[CURL_ERROR_SIZE];
    struct caller_slot *next; /* spare */
};

struct hf_caller_curl {
    struct hf_caller caller;
    struct hf_address_rules rules;
    const char *ca_file; /* its maker's */
    uint64_t (*wall_us)(void *context);
    void *wall_context;
    CURLM *multi; /* owned */
    int epoll, bell;
    atomic_bool rung;
    uint64_t timer_us; /* when libcurl wants to be called; UINT64_MAX: never */
    size_t open;       /* calls */
    struct caller_slot *spare;
    size_t spare_count;
    struct hf_call *failed, *failed_last; /* could not be started: done in the next step */
};

void caller_start(void *context, struct hf_call *call);
void caller_cancel(void *context, struct hf_call *call);
uint64_t caller_now_us(void); /* monotonic */

/* ---- caller_slot.c ---- */

struct caller_slot *caller_slot_new(struct hf_caller_curl *caller); /* NULL: memory is short */
void caller_slot_free(struct caller_slot *slot);
/* Sets the handle up for a call. NULL: it may be added; else why not. */
const char *caller_slot_begin(struct caller_slot *slot, struct hf_call *call);
/* The call's answer, from what has come. */
void caller_slot_end(struct caller_slot *slot, CURLcode result);
/* Forgets the call; memory that an unusual one took is given back. */
void caller_slot_clear(struct caller_slot *slot);

#endif
