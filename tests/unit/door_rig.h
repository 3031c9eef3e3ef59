/*
 * The door without a socket: exchanges filled by hand, a real node on a directory of its own, real access.
 *
 * Owns: the directory, the engine, access and door; the functions of http_exchange.h, which here keep the answer.
 * Called by: the tests of the door and its routes (one thread asks; the engine's thread answers).
 */
#ifndef HF_TESTS_UNIT_DOOR_RIG_H
#define HF_TESTS_UNIT_DOOR_RIG_H

#include "api/door.h"
#include "base/buffer.h"
#include "node/engine.h"

struct door_rig {
    char directory[64];
    struct hf_engine *engine;
    struct hf_access *access;
    struct hf_door *door;
    struct hf_http_handler handler;
    char tokens_path[96];
    uint64_t fault_at; /* the n-th allocation of the door's thread fails in each request; 0: none */
    bool fault_hit;    /* it did in the last one */
};

/* A request as text; in headers and body ' stands for ". */
struct door_ask {
    const char *request; /* "POST /v1/transfers?mode=each" */
    const char *headers; /* "If-Match: '3'\nIdempotency-Key: k1", or NULL */
    const char
        *body; /* NULL: none. Content-Type is application/json unless headers say otherwise */
};

struct door_reply {
    int status;
    char content_type[96]; /* "" = no body */
    char headers[2048];    /* "Name: value\r\n"… */
    struct hf_buffer body; /* with a NUL behind; init once, reused */
};

/* tokens: the tokens file is named to access (and may be filled by hf_tokens_create before the first request). */
void door_rig_init(struct door_rig *rig);
void door_rig_release(struct door_rig *rig);
/* Stops the node and opens the directory anew. */
void door_rig_restart(struct door_rig *rig);

void door_rig_ask(struct door_rig *rig, const struct door_ask *ask, struct door_reply *reply);
/* The same through `admit`, as if a body were announced and not yet read. true: it was let in (no reply). */
bool door_rig_admit(struct door_rig *rig, const struct door_ask *ask, struct door_reply *reply);

/* One line of a table: asked, and what must come. */
struct door_row {
    struct door_ask ask;
    int status;
    const char *part;    /* in the body (' for "), or NULL */
    const char *header;  /* "ETag: '3'", or "!ETag" = not there, or NULL */
    const char *header2; /* one more, or NULL */
};

/* Asks each row in order; fails with the row's number, what was asked and what came. */
void door_rig_rows(struct door_rig *rig, const struct door_row *rows, size_t count);

#endif
