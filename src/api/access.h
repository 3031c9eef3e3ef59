/*
 * Access: who asks, and what may they do.
 *
 * Owns: the tokens file (tokens hashed at rest), the allow-lists of Host and Origin, scopes and the names that a
 * token covers. Must never: keep, log or print a token's secret but once when it is made; compare secrets in other
 * than constant time. Called by: api's door for each request, cli's token and serve.
 *
 * 1. Without a tokens file everybody is the principal `local` with all scopes; that is allowed on loopback and on the
 *    Unix socket only (or by an explicit flag of serve). With a file, everybody needs a token, the Unix socket too.
 * 2. A token belongs to a principal; its key name space and its replays are the principal's, whichever token is used.
 * 3. Names are exact, or prefixes that end in a separator (one of . : / - _ ~ @ + = ,), or "*".
 * 4. A change of the file is seen within a second by a running server. A file that is damaged, unreadable or gone
 *    after it was there lets nobody in: HF_ERR_NOT_READY until it is whole again.
 * 5. A secret is 256 random bits, so there is nothing to guess that a slow hash would slow down: its plain SHA-256 is
 *    what is stored. A request's secret is hashed before it is looked for, and the search is by digest: what
 *    its timing could tell is about digests, whose preimages nobody can steer towards, never about a secret. The last
 *    comparison is of whole digests, in constant time.
 * 6. DNS rebinding and cross-site pages: over TCP the Host must be a loopback name or address or a configured host; an
 *    Origin must be configured ("null" never is); without one, Sec-Fetch-Site may only be none or same-origin.
 */
#ifndef HF_API_ACCESS_H
#define HF_API_ACCESS_H

#include "base/arena.h"
#include "base/errors.h"
#include "http/http_exchange.h"
#include "outside/outside.h"

enum hf_scope {
    HF_SCOPE_READ = 1u << 0,    /* reads */
    HF_SCOPE_COMMIT = 1u << 1,  /* commits */
    HF_SCOPE_OPERATE = 1u << 2, /* freeze, limits, queues and sagas by hand, status */
    HF_SCOPE_ADMIN = 1u << 3,   /* everything */
};
#define HF_SCOPES_ALL (HF_SCOPE_READ | HF_SCOPE_COMMIT | HF_SCOPE_OPERATE | HF_SCOPE_ADMIN)

/* Who asks. Texts live in the exchange's arena. */
struct hf_caller {
    struct hf_str principal;    /* "local" without tokens */
    unsigned scopes;            /* bits of enum hf_scope */
    const struct hf_str *names; /* patterns that it may touch, see 3; NULL: all */
    size_t name_count;          /* of names */
};

struct hf_access_options {
    struct hf_outside *outside; /* its files and clocks; outlives the access */
    const char *tokens_path;    /* NULL, or no such file: no tokens */
    bool allow_open;            /* no tokens on a public address, by explicit flag */
    bool loopback_only;         /* every listener is loopback or a Unix socket */
    const char *const
        *hosts;        /* further values of Host that are ours ("api.example.org"), without port */
    size_t host_count; /* of hosts */
    const char *const
        *origins;        /* values of Origin that are let in ("https://console.example.org") */
    size_t origin_count; /* of origins */
    /* Told when the tokens file becomes unusable (what is wrong) and when it is whole again (NULL). On the loop's
     * thread; may be NULL. */
    void (*complain)(void *context, const char *what);
    void *complain_context; /* of complain */
};

struct hf_access;

/* Fails only if memory is short or an option is no host or origin: a damaged tokens file is no reason not to start,
 * see 4. Options are copied. */
enum hf_err hf_access_new(const struct hf_access_options *options, struct hf_access **access,
                          struct hf_error *error);
void hf_access_free(struct hf_access *access); /* NULL is fine */

/* Does the tokens file name any token? (serve asks before it listens beyond loopback) */
bool hf_access_has_tokens(struct hf_access *access);

/* Who sent this: checks Host and Origin, then Authorization: Bearer. OK, UNAUTHORIZED (no or an unknown token),
 * FORBIDDEN (a foreign Host or Origin), NOT_READY (the tokens file is unusable) or NO_MEMORY, with *detail a static
 * sentence. A preflight (OPTIONS of a configured origin) needs no token: its caller has no scope. Thread: the
 * loop's. */
enum hf_err hf_access_check(struct hf_access *access, const struct hf_http_exchange *exchange,
                            struct hf_caller *caller, const char **detail);

/* The Access-Control-* headers to send with an answer to a configured origin, or "" (in the exchange's arena). */
struct hf_str hf_access_cors(struct hf_access *access, const struct hf_http_exchange *exchange);

/* May the caller do this to a thing of this name? name ptr NULL: a thing without a name of its own. */
bool hf_caller_may(const struct hf_caller *caller, enum hf_scope scope, struct hf_str name);

/* The tokens file, for `holdfast token`. The secret is given once, as "hft_" + 43 characters of base64url. */
struct hf_token {
    const char *id;           /* public: 8 hex digits */
    const char *principal;    /* 1 to HF_PRINCIPAL_BYTES_MAX bytes of printable ASCII */
    unsigned scopes;          /* bits of enum hf_scope, not 0 */
    const char *const *names; /* NULL: all */
    size_t name_count;        /* of names */
    const char *created_at;   /* RFC 3339; create sets it itself */
    const char *expires_at;   /* RFC 3339, or NULL: never */
    const char *replaced_by;  /* the id of its successor after a rotation, or NULL */
};
#define HF_TOKEN_ID_BYTES     9  /* with the NUL */
#define HF_TOKEN_SECRET_BYTES 48 /* with the NUL */
#define HF_TOKENS_MAX         10000
#define HF_TOKEN_NAMES_MAX    1000

/* "read" … "admin"; false if it is none. */
bool hf_scope_parse(struct hf_str text, unsigned *scope);
/* "read,commit" for people; text must hold HF_SCOPES_TEXT_BYTES. */
#define HF_SCOPES_TEXT_BYTES 32
void hf_scopes_format(unsigned scopes, char text[HF_SCOPES_TEXT_BYTES]);
/* Is it a pattern as in 3? */
bool hf_name_pattern_valid(struct hf_str pattern);

/* All of them lock `path`.lock against other writers, write a new file beside the old one and rename it. On an error
 * the file is as it was. INVALID_REQUEST: a member of token is wrong. */
enum hf_err hf_tokens_create(struct hf_outside *outside, const char *path,
                             const struct hf_token *token, char id[HF_TOKEN_ID_BYTES],
                             char secret[HF_TOKEN_SECRET_BYTES], struct hf_error *error);
/* A new secret for the same principal, scopes and names, with the same lifetime from now on; the old one ends after
 * grace_seconds. A token that has ended or was replaced before is INVALID_REQUEST, an unknown one NOT_FOUND. */
enum hf_err hf_tokens_rotate(struct hf_outside *outside, const char *path, const char *id,
                             uint64_t grace_seconds, char new_id[HF_TOKEN_ID_BYTES],
                             char secret[HF_TOKEN_SECRET_BYTES], struct hf_error *error);
/* Takes it out of the file; NOT_FOUND if it is not there. */
enum hf_err hf_tokens_revoke(struct hf_outside *outside, const char *path, const char *id,
                             struct hf_error *error);
/* In the order of their making. No file: none. The texts live during the call. */
enum hf_err hf_tokens_list(struct hf_outside *outside, const char *path,
                           void (*each)(void *context, const struct hf_token *token), void *context,
                           struct hf_error *error);

#endif
