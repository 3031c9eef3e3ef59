/*
 * The caller of the program: calls by libcurl, many at once, on one thread.
 *
 * Owns: connections that are kept alive, the calls that are out. Must never: retry a call that may have been received, follow a
 * redirect, use a proxy of the environment, connect to an address that the rules refuse (judged when the connection is made,
 * so a name that changes its mind is of no use). Called by: deliver's thread; wake by any.
 *
 * 1. done is called inside step, never inside start: a sender may start further calls in it.
 * 2. HTTP/1.1 alone, over TLS only with a certificate that is verified; answers are not decompressed.
 * 3. A connection that was kept and is closed by the other side before it answered a byte: libcurl sends on a new one, which
 *    is the one repetition there is. What is called must bear it anyway.
 */
#ifndef HF_DELIVER_CALLER_CURL_H
#define HF_DELIVER_CALLER_CURL_H

#include "deliver/address.h"
#include "deliver/caller.h"

#define HF_CALL_HEADERS_MAX      64
#define HF_CALL_CONNECT_MS_MAX   10000
#define HF_CALL_ANSWER_BYTES_MAX (4u << 20) /* whatever a sender allows */

struct hf_caller_curl_options {
    const struct hf_address_rules *rules; /* copied */
    const char *ca_file;                  /* PEM; NULL = the system's */
    uint64_t (*wall_us)(void *context);   /* for dates in Retry-After */
    void *wall_context;
};

struct hf_caller_curl;

/* NO_MEMORY; IO: libcurl can't start. */
enum hf_err hf_caller_curl_new(const struct hf_caller_curl_options *options,
                               struct hf_caller_curl **made, struct hf_error *error) HF_WARN_UNUSED;
/* Every call has been done or cancelled. NULL is fine. */
void hf_caller_curl_free(struct hf_caller_curl *caller);

/* What senders see. */
struct hf_caller *hf_caller_curl_caller(struct hf_caller_curl *caller);

/* Waits until something comes of the calls, or a wake, or timeout_us is over; then does what is to be done, and calls done of those
 * that have ended. Returns how many. */
size_t hf_caller_curl_step(struct hf_caller_curl *caller, uint64_t timeout_us);
/* Any thread: the step that waits, or else the next one, returns at once. */
void hf_caller_curl_wake(struct hf_caller_curl *caller);

/* Calls that are out. */
size_t hf_caller_curl_open(const struct hf_caller_curl *caller);

/* A Retry-After: seconds, or an IMF-fixdate; in ms from now; 0: malformed, past, or at once. */
uint64_t hf_retry_after_ms(struct hf_str value, uint64_t wall_us);

#endif
