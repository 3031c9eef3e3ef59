/*
 * What a request's headers say besides its body: Idempotency-Key, If-Match, If-None-Match, Content-Type.
 *
 * Owns: these headers' syntax, and what preconditions mean as conditions of a commit. Must never: look at state.
 * Called by: api's door.
 *
 * 1. Idempotency-Key: "abc" (RFC 8941 string) and abc are one key of U+0021–7E.
 * 2. If-Match: * or a list of entity tags; an entity's tag is its version in quotes. Weak tags and tags that are
 *    no version never match: a list of such alone never holds (RFC 9110 §13.1.1: strong comparison).
 * 3. If-None-Match: for a change * alone (create only); for a read a list, compared weakly.
 * 4. The text of preconditions, without white space, is part of a request's fingerprint: frozen.
 */
#ifndef HF_API_PRECONDITION_H
#define HF_API_PRECONDITION_H

#include "core/command.h"
#include "http/http_exchange.h"

struct hf_tag_list {
    bool given;                                   /* the header is there */
    bool any;                                     /* it is * */
    uint32_t strong_count;                        /* versions[0…] of strong tags… */
    uint32_t weak_count;                          /* …then of weak ones */
    uint64_t versions[HF_CONDITION_VERSIONS_MAX]; /* of tags that are versions */
    struct hf_str text; /* the list without white space, in the arena; "" if absent */
};

struct hf_precondition {
    struct hf_tag_list match;      /* If-Match */
    struct hf_tag_list none_match; /* If-None-Match */
};

/* Reads both headers. */
bool hf_precondition_parse(const struct hf_http_exchange *exchange,
                           struct hf_precondition *precondition,
                           struct hf_malformed *malformed) HF_WARN_UNUSED;

static inline bool hf_precondition_given(const struct hf_precondition *precondition)
{
    return precondition->match.given || precondition->none_match.given;
}

/* If-Match is exactly one strong version above 0: what an operation's expected_version can say. */
bool hf_precondition_single(const struct hf_precondition *precondition, uint64_t *version);

/* Adds to the command what must hold of the thing that `subject` names (account, stream or document set). */
bool hf_precondition_add(const struct hf_precondition *precondition,
                         const struct hf_condition_fields *subject, struct hf_command *command,
                         struct hf_malformed *malformed) HF_WARN_UNUSED;

/* A read of a thing at this version: 200, 304 (If-None-Match) or 412 (If-Match). */
int hf_precondition_of_read(const struct hf_precondition *precondition, uint64_t version);

/* *key absent: there is none. */
bool hf_idempotency_key_parse(const struct hf_http_exchange *exchange, struct hf_str *key,
                              struct hf_malformed *malformed) HF_WARN_UNUSED;

enum hf_media {
    HF_MEDIA_ABSENT,
    HF_MEDIA_JSON,             /* application/json */
    HF_MEDIA_NDJSON,           /* application/x-ndjson */
    HF_MEDIA_MERGE_PATCH,      /* application/merge-patch+json */
    HF_MEDIA_PACKED_TRANSFERS, /* application/vnd.holdfast.transfers */
    HF_MEDIA_PACKED_ACCOUNTS,  /* application/vnd.holdfast.accounts */
    HF_MEDIA_OTHER,
};

/* By Content-Type; charset=utf-8 may follow, nothing else. */
enum hf_media hf_media_of(const struct hf_http_exchange *exchange);

#endif
