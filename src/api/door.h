/*
 * The door: HTTP exchanges to commits and reads, and their answers back.
 *
 * Owns: the routes, what a request must carry (media type, key, preconditions, scope), and the rendering
 * of answers. Must never: decide anything about state; block; keep an exchange once it is answered.
 * Called by: cli's serve, which gives its handler to the HTTP server; tests.
 *
 * 1. Order of answers: 401 → 405, 413, 415 → malformed, idempotency_key_missing, 428 → 403 → what the node says.
 * 2. A request becomes one hf_request for the node; its `done` only calls hf_http_resume; the answer is rendered
 *    on the loop's thread from the commit's frame (reads are rendered on the node's thread into the answer).
 * 3. Whatever has no route is 404, with a problem document like every error.
 */
#ifndef HF_API_DOOR_H
#define HF_API_DOOR_H

#include "api/access.h"
#include "http/http_server.h"
#include "log/log_keep.h"
#include "node/node.h"
#include "observe/audit.h"

struct hf_door_options {
    struct hf_node *node;         /* outlives the door */
    struct hf_outside *outside;   /* its clocks */
    struct hf_access *access;     /* who may do what; outlives the door */
    struct hf_limits limits;      /* the node's */
    struct hf_http_limits http;   /* told by /v1/limits */
    const char *version;          /* "0.1.0" */
    uint32_t min_position_ms_max; /* how long a read waits for min_position: 30,000 */
    /* Fills in the HTTP server's counts for /v1/status and /metrics; may be NULL. */
    void (*counts)(void *context, struct hf_http_counts *counts);
    void *counts_context;
    const char *owner;      /* who owns the directory, for /v1/status: "host:pid" */
    struct hf_audit *audit; /* outlives the door; NULL: there is none */
    struct hf_watch *watch; /* outlives the door; NULL: there is none */
    /* What is told of push subscriptions, and of calls that go out; any thread; NULL: nothing. */
    bool (*push_status)(void *context, uint64_t uid, struct hf_push_status *status);
    void (*deliver_sums)(void *context, struct hf_deliver_sums *sums);
    void *deliver_context;
    /* What the log weighs, as of the last look; any thread; NULL: untold. false: not yet. */
    bool (*log_bytes)(void *context, struct hf_log_bytes *bytes);
    void *log_bytes_context;
};

struct hf_door;

/* NULL: memory is short. */
struct hf_door *hf_door_new(const struct hf_door_options *options);
void hf_door_free(struct hf_door *door);

/* For hf_http_server_new. */
struct hf_http_handler hf_door_handler(struct hf_door *door);

#endif
