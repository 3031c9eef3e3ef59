/*
 * The front: what the HTTP server's handler is while a process may turn from standby to owner.
 *
 * Owns: the choice between relay and door. Must never: let a request that came to one be answered by both.
 * Called by: serve_run; the HTTP server's loop.
 *
 * A standby answers /healthz and /v1/status itself and checks Host, Origin and tokens; the owner checks the token
 * again, for itself.
 */
#ifndef HF_CLI_SERVE_FRONT_H
#define HF_CLI_SERVE_FRONT_H

#include <stdatomic.h>

#include "api/door.h"
#include "cli/serve_relay.h"

struct hf_front {
    struct hf_access *access;       /* borrowed */
    struct hf_relay *relay;         /* borrowed; NULL: never a standby */
    const char *owner_socket;       /* borrowed path, for /v1/status */
    const char *version;            /* borrowed */
    struct hf_http_handler standby; /* a door without a node: for what the head alone decides */
    struct hf_http_handler door;    /* valid once is_owner is set */
    atomic_bool is_owner;           /* set once */
};

/* For hf_http_server_new; the front must stay where it is. */
struct hf_http_handler hf_front_handler(struct hf_front *front);

/* From now on requests go to the door, those that wait in the relay, too. Thread-safe; once. */
void hf_front_become_owner(struct hf_front *front, const struct hf_http_handler *door);

#endif
