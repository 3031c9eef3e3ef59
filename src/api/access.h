/*
 * Access: who asks, and what may they do.
 *
 * Owns: the tokens file (tokens hashed at rest), the allow-lists of Host and Origin, scopes and the names that a
 * token covers. Must never: keep, log or print a token's secret but once when it is made; compare secrets in other
 * than constant time. Called by: api's door for each request, cli's token and serve.
 *
 * 1. Without a tokens file everybody is the principal `local` with all scopes; that is allowed on loopback and on the
 *    Unix socket only (or by an explicit flag of serve).
 * 2. A token belongs to a principal; its key name space and its replays are the principal's, whichever token is used.
 * 3. Names are exact, or prefixes that end in a separator (one of . : / - _ ~ @ + = ,), or "*".
 * 4. A change of the file is seen within a second by a running server.
 */
#ifndef HF_API_ACCESS_H
#define HF_API_ACCESS_H

#include "base/arena.h"
#include "base/errors.h"
#include "http/http_exchange.h"

enum hf_scope {
    HF_SCOPE_READ = 1u << 0,    /* reads */
    HF_SCOPE_COMMIT = 1u << 1,  /* commits */
    HF_SCOPE_OPERATE = 1u << 2, /* freeze, limits, queues and sagas by hand, status */
    HF_SCOPE_ADMIN = 1u << 3,   /* everything */
};

/* Who asks. Texts live in the exchange's arena. */
struct hf_caller {
    struct hf_str principal;    /* "local" without tokens */
    unsigned scopes;            /* bits of enum hf_scope */
    const struct hf_str *names; /* patterns that it may touch, see 3; NULL: all */
    size_t name_count;
};

struct hf_access_options {
    const char *tokens_path; /* NULL, or no such file: no tokens */
    bool allow_open;         /* no tokens on a public address, by explicit flag */
    bool loopback_only;      /* every listener is loopback or a Unix socket */
    const char *const
        *hosts; /* further values of Host that are ours ("api.example.org"), without port */
    size_t host_count;
    const char *const
        *origins; /* values of Origin that are let in ("https://console.example.org") */
    size_t origin_count;
};

struct hf_access;

enum hf_err hf_access_new(const struct hf_access_options *options, struct hf_access **access,
                          struct hf_error *error);
void hf_access_free(struct hf_access *access);

/* Does the tokens file name any token? (serve asks before it listens beyond loopback) */
bool hf_access_has_tokens(struct hf_access *access);

/* Who sent this: checks Host and Origin, then Authorization: Bearer. OK, UNAUTHORIZED (no or an unknown token) or
 * FORBIDDEN (a foreign Host or Origin), with *detail a static sentence. Thread: the loop's. */
enum hf_err hf_access_check(struct hf_access *access, const struct hf_http_exchange *exchange,
                            struct hf_caller *caller, const char **detail);

/* The Access-Control-* headers to send with an answer to a configured origin, or "" (in the exchange's arena). */
struct hf_str hf_access_cors(struct hf_access *access, const struct hf_http_exchange *exchange);

/* May the caller do this to a thing of this name? name ptr NULL: a thing without a name of its own. */
bool hf_caller_may(const struct hf_caller *caller, enum hf_scope scope, struct hf_str name);

/* The tokens file, for `holdfast token`. The secret is given once, as "hft_" + 43 characters of base64url. */
struct hf_token {
    const char *id; /* public: 8 hex digits */
    const char *principal;
    unsigned scopes;
    const char *const *names; /* NULL: all */
    size_t name_count;
    const char *created_at; /* RFC 3339 */
    const char *expires_at; /* RFC 3339, or NULL: never */
};
#define HF_TOKEN_SECRET_BYTES 48

enum hf_err hf_tokens_create(const char *path, const struct hf_token *token, char id[9],
                             char secret[HF_TOKEN_SECRET_BYTES], struct hf_error *error);
/* A new secret for the same principal, scopes and names; the old one ends after grace_seconds. */
enum hf_err hf_tokens_rotate(const char *path, const char *id, uint64_t grace_seconds,
                             char new_id[9], char secret[HF_TOKEN_SECRET_BYTES],
                             struct hf_error *error);
enum hf_err hf_tokens_revoke(const char *path, const char *id, struct hf_error *error);
enum hf_err hf_tokens_list(const char *path,
                           void (*each)(void *context, const struct hf_token *token), void *context,
                           struct hf_error *error);

#endif
