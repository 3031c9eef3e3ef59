/*
 * The target of a request: path segments and query parameters, decoded strictly.
 *
 * Owns: percent-decoding. Must never: know which path or parameter means what; accept a text that another
 * reader could take for another one. Called by: api's door, for each request; a fuzz target.
 *
 * 1. A path is split at '/' first and its segments decoded then: "USD%2F2" is one segment, "USD/2".
 * 2. '+' is a plus, in the path and in the query.
 * 3. Refused: '%' without two hex digits, bytes outside of U+0021–7E before decoding, decoded texts that are not UTF-8
 *    or hold U+0000–1F or U+007F, a parameter without a name, a name twice.
 */
#ifndef HF_API_HTTP_QUERY_H
#define HF_API_HTTP_QUERY_H

#include "base/arena.h"
#include "core/command.h"

#define HF_PATH_SEGMENTS_MAX   6
#define HF_HTTP_PARAMETERS_MAX 16

struct hf_http_path {
    struct hf_str segments[HF_PATH_SEGMENTS_MAX]; /* decoded; in the raw text, or in the arena */
    uint32_t count;
    bool too_long; /* there are more: no route has so many */
};

struct hf_http_parameter {
    struct hf_str name;  /* decoded */
    struct hf_str value; /* decoded; "" if there is no '=' */
};

struct hf_http_query {
    struct hf_http_parameter parameters[HF_HTTP_PARAMETERS_MAX];
    uint32_t count;
};

/* raw: begins with '/', without '?'. false: malformed. */
bool hf_http_path_split(struct hf_str raw, struct hf_arena *arena, struct hf_http_path *path,
                        struct hf_malformed *malformed) HF_WARN_UNUSED;

/* raw: what stands behind '?'; absent or empty: no parameters. */
bool hf_http_query_parse(struct hf_str raw, struct hf_arena *arena, struct hf_http_query *query,
                         struct hf_malformed *malformed) HF_WARN_UNUSED;

/* The value of a parameter; absent if it is not there. */
struct hf_str hf_http_query_get(const struct hf_http_query *query, const char *name);

/* A number from 0 to HF_JSON_INTEGER_MAX: digits without leading zeros. false: malformed; *value stays as it is if
 * the parameter is absent. */
bool hf_http_query_number(const struct hf_http_query *query, const char *name, uint64_t *value,
                          struct hf_malformed *malformed) HF_WARN_UNUSED;
/* true or false. */
bool hf_http_query_bool(const struct hf_http_query *query, const char *name, bool *value,
                        struct hf_malformed *malformed) HF_WARN_UNUSED;
/* RFC 3339, UTC. *given tells whether it is there. */
bool hf_http_query_time(const struct hf_http_query *query, const char *name, bool *given,
                        uint64_t *time_us, struct hf_malformed *malformed) HF_WARN_UNUSED;

#endif
