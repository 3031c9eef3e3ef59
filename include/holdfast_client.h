/*
 * libholdfast_client: a Holdfast server from C, over HTTP.
 *
 * A changing call carries an idempotency key, yours or one that the client makes (128 random bits), and is sent
 * again, the same bytes under the same key, on the next address, until the answer is definite or the total time is
 * over. So it happens once, however often the network loses it. What the server refuses (409, 412, 422 …) is a
 * definite answer, too: the call then returns HOLDFAST_CLIENT_OK and answer->status tells.
 *
 * Sent again: connections refused, cut or silent, answers cut in the middle, 408, 429, every 5xx. Between two rounds
 * over the addresses the client waits: from backoff_first_ms doubling up to backoff_max_ms, of which a random half;
 * longer if Retry-After says so. Reads are sent again likewise. Redirects are never followed; HTTP/1.1 only; no
 * proxy from the environment unless asked for; no signals are used.
 *
 * Ownership: options and arguments are copied, and may be freed when the call returns. An answer belongs to the
 * caller until holdfast_client_answer_free; its texts live as long as it does. Texts are UTF-8 with a NUL behind them.
 * Errors: functions return an enum holdfast_client_error; details go into struct holdfast_client_failure, which
 * lives on the caller's stack and may be NULL. On an error *answer is NULL. Whether something has changed on the
 * server stands with each error.
 * Threads: a struct holdfast_client may be used by any number of threads at once; each call under way has a
 * connection of its own, which is kept for later calls. All other objects by one thread at a time. Not to be
 * used on both sides of fork().
 */
#ifndef HOLDFAST_CLIENT_H
#define HOLDFAST_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HOLDFAST_CLIENT_API __attribute__((visibility("default")))

#define HOLDFAST_CLIENT_ADDRESSES_MAX 16
#define HOLDFAST_CLIENT_KEY_BYTES     256 /* an idempotency key and its NUL */

HOLDFAST_CLIENT_API const char *holdfast_client_version(void); /* "0.1.0"; static */

/* What can come instead of an answer. Numbers are frozen. */
enum holdfast_client_error {
    HOLDFAST_CLIENT_OK = 0,
    HOLDFAST_CLIENT_INVALID = 1,   /* a wrong argument; nothing was sent */
    HOLDFAST_CLIENT_NO_MEMORY = 2, /* here, not on the server; as UNKNOWN if failure.attempts > 0 */
    /* No definite answer in the total time, and each attempt is known to have changed nothing: no connection,
     * 429, not_ready, read_only. Also every read without an answer. */
    HOLDFAST_CLIENT_UNAVAILABLE = 3,
    /* Perhaps done, perhaps not: repeat the same call with failure.key, or ask by holdfast_client_key_read, or
     * make it definite by holdfast_client_key_cancel. */
    HOLDFAST_CLIENT_UNKNOWN = 4,
    /* No address can ever answer as they are set: its certificate is not trusted, it redirects. Not sent again;
     * nothing has changed. */
    HOLDFAST_CLIENT_MISCONFIGURED = 5,
    /* Of holdfast_client_packed.h alone: */
    HOLDFAST_CLIENT_REFUSED =
        6,                      /* the server refuses the request as a whole; nothing has changed */
    HOLDFAST_CLIENT_BUSY = 7,   /* as many wait or are under way as may; nothing was sent */
    HOLDFAST_CLIENT_CLOSED = 8, /* the batcher was closed; nothing was sent */
};

struct holdfast_client_failure {
    enum holdfast_client_error error;    /* the same as returned */
    int status;                          /* HTTP status of the last answer; 0 = none came */
    unsigned attempts;                   /* requests begun, each sending counted */
    char key[HOLDFAST_CLIENT_KEY_BYTES]; /* what to repeat the call with; "" = none was sent */
    char code[64];                       /* of the last answer: "not_ready"; or "" */
    char text[512];                      /* what, where, what to do */
};

struct holdfast_client; /* connections to one database */

/* An attempt that was not the last one, for logs and tests. Texts live during the call-back. */
struct holdfast_client_retry {
    const char *address; /* where it was sent */
    const char *key;     /* "" = none */
    const char *text;    /* what came of it */
    int status;          /* HTTP status; 0 = no whole answer */
    unsigned attempts;   /* so far */
    uint64_t wait_ms;    /* before the next one */
};

/* Zero-initialise; only addresses are needed. 0 and NULL stand for the default in brackets. Times above 2^31 - 1 ms are
 * taken for that. */
struct holdfast_client_options {
    /* "http://127.0.0.1:7070", "https://ledger.example.org", "unix:/run/holdfast/socket": all of one database, a
     * server and its standby. Tried in turn, beginning with the one that answered last. */
    const char *const *addresses;
    size_t address_count;        /* 1 to HOLDFAST_CLIENT_ADDRESSES_MAX */
    const char *token;           /* sent as Authorization: Bearer, on every address [none] */
    const char *ca_file;         /* PEM: who may sign the servers' certificates [the system's] */
    const char *user_agent;      /* ["holdfast-client/0.1.0"] */
    uint64_t connect_timeout_ms; /* of one connection [2,000] */
    uint64_t request_timeout_ms; /* of one attempt, connecting included [10,000] */
    uint64_t total_timeout_ms;   /* of one call with all its attempts [60,000] */
    uint64_t backoff_first_ms;   /* [20] */
    uint64_t backoff_max_ms;     /* [2,000] */
    uint64_t answer_bytes_max;   /* a longer answer is no answer [64 MiB] */
    unsigned idle_max;           /* connections kept while nobody uses them [64] */
    bool proxy_from_environment; /* obey http_proxy, https_proxy, no_proxy */
    /* Called before each repetition, on the calling thread; must not call the client. [none] */
    void (*on_retry)(void *context, const struct holdfast_client_retry *retry);
    void *on_retry_context;
};

/* Connects to nothing yet. *client is to be freed by holdfast_client_free. INVALID or NO_MEMORY. */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_new(const struct holdfast_client_options *options, struct holdfast_client **client,
                    struct holdfast_client_failure *failure);
/* Closes the connections. All calls must have returned. NULL is fine. */
HOLDFAST_CLIENT_API void holdfast_client_free(struct holdfast_client *client);

/* A definite answer. To be read only; members may be added at the end. Texts are never NULL, "" = absent. */
struct holdfast_client_answer {
    int status;               /* HTTP status: 200, 201, 409, 412, 422, … */
    const char *code;         /* "ok" below 300; else the problem's: "insufficient_funds" */
    const char *detail;       /* the problem in a sentence, with the numbers */
    const char *failed;       /* JSON pointer to what failed in the request: "/do/0" */
    const char *current;      /* JSON: the thing as it is now; "null" = it does not exist */
    const char *body;         /* whole; JSON unless asked otherwise, a document byte for byte */
    size_t body_bytes;        /* without the NUL behind it */
    const char *content_type; /* "application/json" */
    const char *etag;         /* with its quotes: "\"3\"" */
    uint64_t version;         /* the ETag as a number; 0 = absent */
    uint64_t position;   /* of the commit itself, or of the state that a read saw; 0 = absent */
    bool replayed;       /* decided before: the recorded answer */
    const char *key;     /* the idempotency key that was sent */
    const char *address; /* who answered */
    unsigned attempts;   /* 1 = at once */
};

HOLDFAST_CLIENT_API void
holdfast_client_answer_free(struct holdfast_client_answer *answer); /* NULL is fine */

/* A value out of the answer's JSON by JSON pointer (RFC 6901): "/results/0/token", "/available". A string without
 * its quotes, anything else as it stands. false (and text "") if it is not there or longer than text_bytes - 1. */
HOLDFAST_CLIENT_API bool holdfast_client_answer_text(const struct holdfast_client_answer *answer,
                                                     const char *pointer, char *text,
                                                     size_t text_bytes);
/* The same for an integer from 0 to 2^64 - 1, also if it stands in a string (amounts do). */
HOLDFAST_CLIENT_API bool holdfast_client_answer_number(const struct holdfast_client_answer *answer,
                                                       const char *pointer, uint64_t *number);

/* What every call may carry; NULL or zero-initialised for nothing. */
struct holdfast_client_call {
    const char *key;           /* idempotency key: U+0021 to U+007E but " and \\; NULL = made */
    const char *if_match;      /* "\"3\"" or "*" */
    const char *if_none_match; /* "*": only if it does not exist */
    uint64_t min_position;     /* reads: wait until the state has it; 0 = as it is */
    uint64_t total_timeout_ms; /* 0 = the client's */
    bool dry_run;              /* commit: decide only, nothing is recorded */
};

/* Any request. */
struct holdfast_client_request {
    const char *method;       /* "POST" */
    const char *path;         /* "/v1/holds?state=open", percent-encoded */
    const void *body;         /* NULL = none */
    size_t body_bytes;        /* of it */
    const char *content_type; /* NULL = application/json if there is a body */
    const char *accept;       /* NULL = nothing said */
    bool no_key; /* no idempotency key; then only what is idempotent by itself is safe */
    uint64_t
        wait_ms; /* the server may wait so long before it answers: attempts and the call have that time more */
};

/* Sends a request until the answer is definite. Every error above. GET and HEAD carry no key. call->dry_run and
 * call->min_position are not looked at: here they are parts of the path. */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_send(struct holdfast_client *client, const struct holdfast_client_call *call,
                     const struct holdfast_client_request *request,
                     struct holdfast_client_answer **answer,
                     struct holdfast_client_failure *failure);

/* "users:42/a b" as "users:42%2Fa%20b": a name as a part of a path or query. Returns the length that it has or would
 * have; text holds it if that is below text_bytes, else "". */
HOLDFAST_CLIENT_API size_t holdfast_client_escape(const char *name, char *text, size_t text_bytes);

/*
 * The calls of every day. All can return every error above; what stands in answer->body is said in docs/http-api.md. In the
 * structures NULL or 0 = absent; amounts and limits are decimal strings of minor units.
 */

/* POST /v1/commits: {"if":[…],"do":[…],"metadata":{…}}. */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_commit(struct holdfast_client *client, const struct holdfast_client_call *call,
                       const char *json, size_t json_bytes, struct holdfast_client_answer **answer,
                       struct holdfast_client_failure *failure);

struct holdfast_client_account {
    const char *id;       /* "users:42" */
    const char *asset;    /* "USD/2" */
    const char *floor;    /* NULL = "0" */
    const char *ceiling;  /* NULL = none */
    const char *metadata; /* a JSON object */
    bool floor_none;      /* the outside world: no floor at all */
};
/* PUT /v1/accounts/{id}: 201 opened, 200 it was the same already, 409 account_exists. */
HOLDFAST_CLIENT_API enum holdfast_client_error holdfast_client_open_account(
    struct holdfast_client *client, const struct holdfast_client_call *call,
    const struct holdfast_client_account *account, struct holdfast_client_answer **answer,
    struct holdfast_client_failure *failure);

/* POST /v1/transfers. With an id it happens once for ever, whoever repeats it. */
struct holdfast_client_transfer {
    const char *id;           /* NULL = the server gives one */
    const char *from;         /* account to debit */
    const char *to;           /* account to credit */
    const char *asset;        /* "USD/2" */
    const char *amount;       /* above 0 */
    const char *effective_at; /* RFC 3339, for statements */
    const char *metadata;     /* a JSON object */
    bool up_to;               /* amount is the most: as much as the floor allows */
};
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_transfer(struct holdfast_client *client, const struct holdfast_client_call *call,
                         const struct holdfast_client_transfer *transfer,
                         struct holdfast_client_answer **answer,
                         struct holdfast_client_failure *failure);
/* POST /v1/transfers/{transfer}/reverse; id and amount may be NULL: given by the server, all that is left. */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_reverse(struct holdfast_client *client, const struct holdfast_client_call *call,
                        const char *transfer, const char *id, const char *amount,
                        struct holdfast_client_answer **answer,
                        struct holdfast_client_failure *failure);

/* POST /v1/holds, …/capture, …/void, …/extend. A hold ends once: the second ending is 409 hold_not_open. */
struct holdfast_client_hold {
    const char *id;      /* NULL = the server gives one */
    const char *from;    /* account whose available falls */
    const char *to;      /* account that captures go to */
    const char *asset;   /* "USD/2" */
    const char *amount;  /* above 0 */
    uint64_t timeout_ms; /* 0 = it does not expire */
};
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_hold(struct holdfast_client *client, const struct holdfast_client_call *call,
                     const struct holdfast_client_hold *hold,
                     struct holdfast_client_answer **answer,
                     struct holdfast_client_failure *failure);
/* amount NULL = all that is left; final: what is left is given back. */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_capture(struct holdfast_client *client, const struct holdfast_client_call *call,
                        const char *hold, const char *amount, bool final,
                        struct holdfast_client_answer **answer,
                        struct holdfast_client_failure *failure);
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_void(struct holdfast_client *client, const struct holdfast_client_call *call,
                     const char *hold, struct holdfast_client_answer **answer,
                     struct holdfast_client_failure *failure);
/* timeout_ms from now; must be later than before. */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_extend(struct holdfast_client *client, const struct holdfast_client_call *call,
                       const char *hold, uint64_t timeout_ms,
                       struct holdfast_client_answer **answer,
                       struct holdfast_client_failure *failure);

/* POST /v1/streams/{stream}/events: one event. call->if_match "\"3\"" appends as the fourth only, if_none_match
 * "*" as the first only. */
struct holdfast_client_event {
    const char *stream; /* "orders:7" */
    const char *type;   /* "order.paid" */
    const char *data;   /* JSON */
    const char *id;     /* once for ever under this id; NULL = none */
};
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_append(struct holdfast_client *client, const struct holdfast_client_call *call,
                       const struct holdfast_client_event *event,
                       struct holdfast_client_answer **answer,
                       struct holdfast_client_failure *failure);

/* Documents. A change needs call->if_match ("\"4\"", "*") or, for a new one, call->if_none_match "*"; else the answer is 428. The
 * answer of a read is the document itself, its version in answer->version. version 0 = the newest. */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_document_get(struct holdfast_client *client,
                             const struct holdfast_client_call *call, const char *document,
                             uint64_t version, struct holdfast_client_answer **answer,
                             struct holdfast_client_failure *failure);
HOLDFAST_CLIENT_API enum holdfast_client_error holdfast_client_document_put(
    struct holdfast_client *client, const struct holdfast_client_call *call, const char *document,
    const char *json, size_t json_bytes, struct holdfast_client_answer **answer,
    struct holdfast_client_failure *failure);
/* A merge patch (RFC 7396). */
HOLDFAST_CLIENT_API enum holdfast_client_error holdfast_client_document_patch(
    struct holdfast_client *client, const struct holdfast_client_call *call, const char *document,
    const char *json, size_t json_bytes, struct holdfast_client_answer **answer,
    struct holdfast_client_failure *failure);
HOLDFAST_CLIENT_API enum holdfast_client_error holdfast_client_document_delete(
    struct holdfast_client *client, const struct holdfast_client_call *call, const char *document,
    struct holdfast_client_answer **answer, struct holdfast_client_failure *failure);

/* Leases. The answer of acquire has "/token", which fences: give it as a condition {"lease":…,"token":…} of every
 * commit that is done under the lease. Held by anybody: 409 lease_held; lost: 412 fenced. */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_acquire(struct holdfast_client *client, const struct holdfast_client_call *call,
                        const char *lease, const char *owner, uint64_t ttl_ms,
                        struct holdfast_client_answer **answer,
                        struct holdfast_client_failure *failure);
/* ttl_ms 0 = as it was acquired with. */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_renew(struct holdfast_client *client, const struct holdfast_client_call *call,
                      const char *lease, uint64_t token, uint64_t ttl_ms,
                      struct holdfast_client_answer **answer,
                      struct holdfast_client_failure *failure);
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_release(struct holdfast_client *client, const struct holdfast_client_call *call,
                        const char *lease, uint64_t token, struct holdfast_client_answer **answer,
                        struct holdfast_client_failure *failure);

/*
 * Queues (docs/queues.md). A receipt comes with each message of a receive and settles that delivery alone.
 */

struct holdfast_client_message {
    const char *topic;      /* "refund-requests" */
    const char *key;        /* ordering key: "order-7" */
    const char *type;       /* "refund.asked" */
    const char *data;       /* JSON */
    const char *id;         /* once for ever under this id; NULL = none */
    const char *deliver_at; /* RFC 3339; NULL = now */
};
/* POST /v1/commits with this one operation; "/results/0/message" of the answer is its id in the feed. */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_publish(struct holdfast_client *client, const struct holdfast_client_call *call,
                        const struct holdfast_client_message *message,
                        struct holdfast_client_answer **answer,
                        struct holdfast_client_failure *failure);

struct holdfast_client_receive {
    const char *subscription; /* "refunds" */
    unsigned max;             /* messages; 0 = 10, at most 1,000 */
    uint64_t wait_ms;         /* until there is one; at most 30,000 */
    uint64_t lease_ms;        /* 0 = the subscription's */
    const char *consumer;     /* who you are, for the message's history; NULL = nothing said */
    const char *attempt;      /* your own id of this receive; NULL = made */
};
/* POST /v1/subscriptions/{subscription}/receive: {"position","messages":[{"receipt","attempt","deadline","event"}]}. Sent
 * under an attempt id, so that an answer that was lost comes again, with the same messages; UNKNOWN tells it in
 * failure->key. call->key is not looked at. */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_receive(struct holdfast_client *client, const struct holdfast_client_call *call,
                        const struct holdfast_client_receive *receive,
                        struct holdfast_client_answer **answer,
                        struct holdfast_client_failure *failure);

/* POST …/ack: {"results":[{"message","state":"acked"} or {"code":"stale_receipt","status":409}, …]}, one for each receipt, in
 * order. May be repeated without a key: an ack that was lost counts once. 1 to 1,000 receipts. */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_ack(struct holdfast_client *client, const struct holdfast_client_call *call,
                    const char *subscription, const char *const *receipts, size_t receipt_count,
                    struct holdfast_client_answer **answer,
                    struct holdfast_client_failure *failure);

struct holdfast_client_nack {
    const char *subscription;
    const char *const *receipts; /* 1 to 1,000 */
    size_t receipt_count;
    const char *error; /* why; NULL = nothing said */
    bool has_delay;    /* delay_ms counts; else the subscription's backoff */
    uint64_t delay_ms; /* until it may be tried again */
};
/* POST …/nack: a try has failed. Sent under a key, so that it counts once. */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_nack(struct holdfast_client *client, const struct holdfast_client_call *call,
                     const struct holdfast_client_nack *nack,
                     struct holdfast_client_answer **answer,
                     struct holdfast_client_failure *failure);

/* Reads one thing. kind: account transfer hold document lease key commit (id: its position in digits) events (of
 * a stream) entries (of an account) balance (of an account). */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_read(struct holdfast_client *client, const struct holdfast_client_call *call,
                     const char *kind, const char *id, struct holdfast_client_answer **answer,
                     struct holdfast_client_failure *failure);

/* What is recorded under a key: {"key","position","status","body"}, or 404 key_not_found: not yet decided. */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_key_read(struct holdfast_client *client, const struct holdfast_client_call *call,
                         const char *key, struct holdfast_client_answer **answer,
                         struct holdfast_client_failure *failure);
/* Records that the key will never do anything, unless it has an answer; answers what is recorded. */
HOLDFAST_CLIENT_API enum holdfast_client_error
holdfast_client_key_cancel(struct holdfast_client *client, const struct holdfast_client_call *call,
                           const char *key, struct holdfast_client_answer **answer,
                           struct holdfast_client_failure *failure);

#ifdef __cplusplus
}
#endif

#endif
