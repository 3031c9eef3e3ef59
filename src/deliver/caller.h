/*
 * The way out: one HTTP call, as those who deliver see it.
 *
 * Owns: the contract between whoever has something to send (the saga runner, push subscriptions, alerts) and what sends it: libcurl
 * in the program (deliver/caller_curl.c), the simulated participants in the simulator. Must never: retry, follow a redirect, know
 * what an answer means. Called by: deliver's runner, push, alert webhooks: on their own thread; done comes back on the same thread, from
 * hf_caller_step.
 */
#ifndef HF_DELIVER_CALLER_H
#define HF_DELIVER_CALLER_H

#include "base/types.h"
#include "core/saga_answer.h"

struct hf_call_header {
    struct hf_str name, value;
};

/* In its sender's memory until done. */
struct hf_call {
    /* set by the sender */
    struct hf_str url;
    struct hf_str body;
    struct hf_str content_type;
    const struct hf_call_header *headers;
    size_t header_count;
    bool get; /* a poll: GET, no body */
    uint32_t timeout_ms;
    size_t answer_bytes_max;
    bool cuts_answer; /* of a success, too, what is beyond it is dropped: not TOO_LARGE */
    void (*done)(struct hf_call *call);
    void *context;
    /* the answer; texts live until done returns */
    enum hf_call_error error;
    char error_text[256]; /* for people: what went wrong */
    uint16_t status;
    struct hf_str saga_outcome; /* headers of the answer, or absent */
    struct hf_str location;     /* resolved */
    uint64_t retry_after_ms;    /* from seconds or HTTP-date; 0 = not told */
    struct hf_str answer_type;  /* content type, or absent */
    struct hf_str answer;
    uint32_t duration_ms;
    /* the caller's own */
    void *own;
    struct hf_call *next;
};

struct hf_caller {
    void *context;
    void (*start)(void *context, struct hf_call *call);
    void (*cancel)(void *context, struct hf_call *call); /* done will not be called; at stop only */
};

#endif
