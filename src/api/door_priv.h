/*
 * What the files of the door share: a call (one exchange on its way), the table of routes, answers.
 *
 *   exchange ─► admit (who, route, method, media) ─► begin ─► node ─► resume ─► finish ─► send
 *                          └────────── answer composed ──────────────────────────────────►┘
 *
 * A function that composes an answer fills exchange->answer, the call's status, content type and headers; it is
 * sent by the door when `begin` or `finish` returns HF_CALL_ANSWERED. Afterwards the call is gone.
 */
#ifndef HF_API_DOOR_PRIV_H
#define HF_API_DOOR_PRIV_H

#include "api/answer_json.h"
#include "api/commit_cache.h"
#include "api/commit_json.h"
#include "api/door.h"
#include "api/http_query.h"
#include "api/packed.h"
#include "api/json_write.h"
#include "api/precondition.h"
#include "base/histogram.h"
#include "observe/watch.h"

struct hf_call;

enum hf_progress {
    HF_CALL_ANSWERED,  /* the answer is composed: send it */
    HF_CALL_UNDER_WAY, /* the node has it; `finish` comes */
};

enum hf_route_flags {
    HF_ROUTE_OPEN = 1u << 0,              /* needs no token, nor a known Host */
    HF_ROUTE_BODY = 1u << 1,              /* a body of application/json */
    HF_ROUTE_BODY_OPTIONAL = 1u << 2,     /* …which may be absent, then it is {} */
    HF_ROUTE_NDJSON = 1u << 3,            /* application/x-ndjson, too */
    HF_ROUTE_MERGE_PATCH = 1u << 4,       /* application/merge-patch+json, too */
    HF_ROUTE_MATCH = 1u << 5,             /* tests If-Match and If-None-Match of a change */
    HF_ROUTE_MATCH_NEEDED = 1u << 6,      /* one of both must be there: 428 */
    HF_ROUTE_MATCH_OR_KEY = 1u << 7,      /* one of both or a key must be there: 428 */
    HF_ROUTE_KEY_FREE = 1u << 8,          /* a POST that needs no key */
    HF_ROUTE_BARE_BODY = 1u << 9,         /* the body is the data itself: nothing points into it */
    HF_ROUTE_PACKED_TRANSFERS = 1u << 11, /* application/vnd.holdfast.transfers, too */
    HF_ROUTE_PACKED_ACCOUNTS = 1u << 12,  /* application/vnd.holdfast.accounts */
    HF_ROUTE_STRANGER = 1u << 10, /* who has no token of ours may have another one, in the body */
};

/* How a body (and the path's name) becomes operations. */
struct hf_operation_route {
    const char *op; /* "capture" */
    size_t subject; /* offset in struct hf_op_fields of the path's name, or NO_SUBJECT */
    hf_resource_members members; /* of the body; NULL: it is the data itself */
    bool array_too;              /* the body may be an array */
};
#define HF_NO_SUBJECT SIZE_MAX

struct hf_route {
    enum hf_http_method method;
    unsigned flags;                /* of enum hf_route_flags */
    const char *pattern;           /* "/v1/accounts/{id}" */
    const char *const *parameters; /* query parameters that it takes, NULL at the end; NULL: none */
    enum hf_progress (*begin)(struct hf_call *call);
    const struct hf_operation_route *operation; /* of hf_route_operation, else NULL */
    enum hf_query_type query;                   /* of hf_route_read, else 0 */
};

struct hf_door {
    struct hf_door_options options; /* as given */
    uint64_t started_us;            /* wall clock */
    struct hf_commit_cache commits; /* loop\'s thread */
    struct hf_feed *feed;           /* owned; NULL: without a node */
    hf_u128
        secret; /* random at first, then one more for each command: callback tokens are hashes of it */
    struct hf_histogram answer_us; /* from the node's answer until it was composed; loop's thread */
};

#define HF_CALL_HEADERS_BYTES 768

struct hf_call {
    struct hf_door *door;                /* outlives the call */
    struct hf_http_exchange *exchange;   /* the call lives in its arena */
    const struct hf_route *route;        /* NULL: none for this method and path */
    struct hf_caller caller;             /* who asks; empty on open routes */
    struct hf_http_path path;            /* decoded */
    struct hf_http_query query;          /* decoded, known to the route */
    struct hf_precondition precondition; /* If-Match, If-None-Match */
    struct hf_str key;                   /* Idempotency-Key, or absent */
    const char
        *stranger; /* why the caller is nobody, on a route that lets strangers in; else NULL */
    enum hf_media media; /* of the body */
    bool admitted;       /* by an earlier look: who, route, method and media are fine */
    bool dry_run;        /* ?dry_run=true */

    /* towards the node */
    struct hf_command command;   /* of a change */
    bool has_command;            /* command is to be released */
    struct hf_outcome *outcomes; /* of a command of units, in the exchange's arena; else NULL */
    struct hf_request request;   /* the one under way, or the last one */
    bool has_answer;             /* request.answer is to be released */
    uint64_t
        deadline_us; /* of a receive, or the read of a saga, that waits: hf_request's; else 0 */
    struct hf_shared_bytes **frames; /* of commits that are rendered; owned references */
    size_t frame_count;              /* of frames */
    void *reading_frames;            /* door_queue.c's own */
    bool withdraws;                  /* is withdrawn from the node if its peer has gone */
    bool submitted; /* something may have happened: short memory is `outcome_unknown` */
    enum hf_progress (*finish)(struct hf_call *call); /* NULL: hf_call_commit_answer */
    /* Of a stream or a watched exchange: what the HTTP server tells; NULL: nothing is done about it. */
    enum hf_progress (*notice)(struct hf_call *call, enum hf_http_notice what);
    void *work; /* the route's own, in the exchange's arena */

    /* reads: set on the node's thread */
    int read_status; /* HTTP status of what was rendered */
    bool has_etag;   /* etag is set */
    uint64_t etag;   /* the version that was read */

    /* the answer */
    struct hf_malformed malformed;       /* why it is refused, for hf_call_malformed */
    struct hf_answer_form form;          /* how a commit is answered to this route */
    int status;                          /* HTTP status */
    const char *content_type;            /* static; NULL: no body */
    char headers[HF_CALL_HEADERS_BYTES]; /* "Name: value\r\n"… */
    size_t headers_bytes;                /* of headers */
};

extern const char HF_CONTENT_JSON[];
extern const char HF_CONTENT_PROBLEM[];

/* ---- door_route.c ---- */

/* Finds the route of the method; NULL if there is none. *known: the path has routes of other methods. */
const struct hf_route *hf_route_find(const struct hf_http_path *path, enum hf_http_method method,
                                     bool *known);
/* "GET, HEAD, POST, OPTIONS" of the path. */
void hf_route_allow(const struct hf_http_path *path, char *text, size_t text_bytes);
/* The door's frozen part of a fingerprint; "" for POST /v1/commits. ptr NULL: memory is short. */
struct hf_str hf_route_fingerprint(const struct hf_call *call);

/* ---- door_call.c: composing answers ---- */

void hf_call_header(struct hf_call *call, const char *name, const char *format, ...)
    HF_PRINTF(3, 4);
/* The same without a format, for what nearly every answer has: "name: <before><value><behind>". */
void hf_call_header_text(struct hf_call *call, const char *name, const char *before,
                         struct hf_str value, const char *behind);
void hf_call_header_number(struct hf_call *call, const char *name, const char *before,
                           uint64_t number, const char *behind);
enum hf_progress hf_call_problem(struct hf_call *call, enum hf_err code, const char *detail,
                                 const char *pointer);
/* The problem in call->malformed; its pointer is turned into one into the request as sent. */
enum hf_progress hf_call_malformed(struct hf_call *call);
/* For `return hf_call_invalid(call, "…")`. */
enum hf_progress hf_call_invalid(struct hf_call *call, const char *detail);
/* Why there is no decision. */
enum hf_progress hf_call_undecided(struct hf_call *call, enum hf_err code);
/* 200 with what is in the answer, application/json. */
enum hf_progress hf_call_json(struct hf_call *call, int status);

/* Begins a streamed answer with the call's status, content type and headers; hf_http_piece and hf_http_end of its
 * exchange follow. false: too many are open. Afterwards progress is HF_CALL_UNDER_WAY. (door.c) */
bool hf_call_begin_stream(struct hf_call *call) HF_WARN_UNUSED;

/* The path's name, for things (reference: "~17.0" too). false: composed. */
bool hf_call_path_name(struct hf_call *call, bool reference);

/* ---- door_commit.c: changes ---- */

/* An initialised command of the call with principal, key and door. false: composed. */
bool hf_call_command(struct hf_call *call, enum hf_command_kind kind);
/* Finishes the command, asks for key, preconditions and permission, and submits it. call->form is set. */
enum hf_progress hf_call_commit(struct hf_call *call);
/* Submits a command of units as soon as it is finished and permitted; call->finish is set. */
enum hf_progress hf_call_commit_each(struct hf_call *call);
bool hf_call_may_op(const struct hf_caller *caller, const struct hf_op *op);
/* Tests permission for each operation and condition. */
bool hf_call_may_commit(const struct hf_call *call, const struct hf_command *command);
/* Decodes a frame into arena. NULL: memory is short. */
const struct hf_commit *hf_call_decode(const struct hf_shared_bytes *frame, struct hf_arena *arena);
/* Appends the answer of a decided commit to `to`; returns its HTTP status. */
int hf_call_render(struct hf_call *call, struct hf_buffer *to, const struct hf_commit *commit,
                   bool dry_run);
/* For a `finish`: the commit that the answer is made of, in the exchange's arena. NULL: composed (it was not decided, or memory is
 * short). */
const struct hf_commit *hf_call_decided(struct hf_call *call);
/* What the answer of every decided change has: Holdfast-Position, and Idempotent-Replayed of a replay. */
void hf_call_change_headers(struct hf_call *call);
/* Composes the answer of the decided commit: the ordinary `finish`. */
enum hf_progress hf_call_commit_answer(struct hf_call *call);

/* A body of operations: hf_route.begin of most changes. */
enum hf_progress hf_route_operation(struct hf_call *call);

/* ---- door_queue.c: what the routes of subscriptions share ---- */

/* The newest event of this type that an operation made; NULL if there is none. */
const struct hf_event *hf_call_last_event(const struct hf_commit *commit, enum hf_event_type type);
/* The commits at these positions (durable ones), into call->frames; then calls `ready`: at once if all of them are in RAM.
 * positions and the call's work live in the exchange's arena. Whatever prevents it is answered with `otherwise`. */
enum hf_progress hf_call_frames(struct hf_call *call, const uint64_t *positions, size_t count,
                                enum hf_progress (*ready)(struct hf_call *call),
                                enum hf_err otherwise);
/* Appends the message's event, or null if the caller may not read its subject. false: memory is short. Calls in the order
 * of positions decode each commit once. */
bool hf_call_put_event(struct hf_call *call, struct hf_buffer *to, const struct hf_place *place,
                       struct hf_shared_bytes *frame);
/* Finds the last position before a time, then calls `found`; call->work is then as it was. */
enum hf_progress hf_call_find_time(struct hf_call *call, uint64_t time_us,
                                   enum hf_progress (*found)(struct hf_call *call,
                                                             uint64_t position));

/* ---- door_read.c: reads ---- */

/* Submits queries, rendered by `render` on the node's thread; min_position is taken from the query string. */
enum hf_progress hf_call_read(struct hf_call *call, const struct hf_query *queries, size_t count,
                              hf_render_fn render);
/* Composes the answer of a read that was rendered: its ordinary `finish`. */
enum hf_progress hf_call_read_answer(struct hf_call *call);
/* Makes the path's name a query's; in the exchange's arena. false: composed. */
bool hf_call_query_name(struct hf_call *call, struct hf_query *query, bool reference);
/* May the caller list what begins with this prefix? */
bool hf_call_may_list(const struct hf_call *call, struct hf_str prefix);

/* ?limit= (100) and ?after=; the rest of the query must be set. false: call->malformed. */
bool hf_call_take_limit(struct hf_call *call, struct hf_query *query);
bool hf_call_take_cursor(struct hf_call *call, struct hf_query *query);
/* "open" …; "recorded" or "effective". */
bool hf_hold_state_parse(struct hf_str text, enum hf_hold_state *state);
bool hf_clock_parse(struct hf_str text, enum hf_query_clock *clock);
/* ?wait=10s of a saga that is read: the node answers when it has ended or is parked. false: call->malformed. (route_saga.c) */
bool hf_call_take_saga_wait(struct hf_call *call, struct hf_query *query);
/* The ETag of what was read, if it has one. */
bool hf_query_etag(const struct hf_query *query, const struct hf_reading *reading, uint64_t *etag);

/* ---- route_system.c ---- */

/* What goes on. */
void hf_call_status(struct hf_call *call, struct hf_node_status *status,
                    struct hf_http_counts *counts);
/* May the caller see what all principals do? false: composed. */
bool hf_call_may_look(struct hf_call *call);
/* A part of memory, or of the disk, as status and metrics name it. */
struct hf_part {
    const char *name; /* "accounts" */
    uint64_t bytes;
};
#define HF_MEMORY_PARTS 17
#define HF_DISK_PARTS   5
void hf_call_memory_parts(const struct hf_call *call, const struct hf_node_status *status,
                          const struct hf_http_counts *counts,
                          struct hf_part parts[HF_MEMORY_PARTS]);
/* false: not known. */
bool hf_call_disk_parts(const struct hf_call *call, struct hf_disk_use *use,
                        struct hf_part parts[HF_DISK_PARTS]);
/* The member `audit` of the status, in short. (route_audit.c) */
void hf_call_put_audit(struct hf_call *call, struct hf_json_writer *w);

/* ---- routes ---- */

enum hf_progress hf_route_commits(struct hf_call *call);
enum hf_progress hf_route_cancel(struct hf_call *call);
enum hf_progress hf_route_account_put(struct hf_call *call);
enum hf_progress hf_route_account_patch(struct hf_call *call);
enum hf_progress hf_route_transfers(struct hf_call *call);
enum hf_progress hf_route_packed(struct hf_call *call, enum hf_packed_kind kind);
enum hf_progress hf_route_accounts(struct hf_call *call);
enum hf_progress hf_route_document_change(struct hf_call *call);
enum hf_progress hf_route_subscription_put(struct hf_call *call);
enum hf_progress hf_route_subscription_delete(struct hf_call *call);
enum hf_progress hf_route_seek(struct hf_call *call);
enum hf_progress hf_route_redrive(struct hf_call *call);
enum hf_progress hf_route_receive(struct hf_call *call);
enum hf_progress hf_route_ack(struct hf_call *call);
enum hf_progress hf_route_nack(struct hf_call *call);
enum hf_progress hf_route_extend(struct hf_call *call);
enum hf_progress hf_route_park(struct hf_call *call);
enum hf_progress hf_route_dead(struct hf_call *call);
enum hf_progress hf_route_message(struct hf_call *call);
enum hf_progress hf_route_saga_put(struct hf_call *call);
enum hf_progress hf_route_saga_post(struct hf_call *call);
enum hf_progress hf_route_sagas(struct hf_call *call);
enum hf_progress hf_route_saga_verb(struct hf_call *call);
enum hf_progress hf_route_saga_verbs(struct hf_call *call);
enum hf_progress hf_route_saga_step(struct hf_call *call);
enum hf_progress hf_route_saga_definition_put(struct hf_call *call);
enum hf_progress hf_route_saga_definition(struct hf_call *call);
enum hf_progress hf_route_thing(struct hf_call *call);
enum hf_progress hf_route_list(struct hf_call *call);
enum hf_progress hf_route_balance(struct hf_call *call);
enum hf_progress hf_route_statement(struct hf_call *call);
enum hf_progress hf_route_totals(struct hf_call *call);
enum hf_progress hf_route_read(struct hf_call *call);
enum hf_progress hf_route_feed(struct hf_call *call);
/* ?snapshot=: things as they are, then a cursor of the feed. */
enum hf_progress hf_route_snapshot(struct hf_call *call);
/* ?types= &prefix= &topic= &asset= &bucket=. false: call->malformed. */
bool hf_call_take_feed_filter(struct hf_call *call, struct hf_filter *filter);
enum hf_progress hf_route_health(struct hf_call *call);
enum hf_progress hf_route_ready(struct hf_call *call);
enum hf_progress hf_route_openapi(struct hf_call *call);
enum hf_progress hf_route_status(struct hf_call *call);
enum hf_progress hf_route_limits(struct hf_call *call);
enum hf_progress hf_route_metrics(struct hf_call *call);
enum hf_progress hf_route_audit(struct hf_call *call);
enum hf_progress hf_route_audit_run(struct hf_call *call);
enum hf_progress hf_route_alerts(struct hf_call *call);

#endif
