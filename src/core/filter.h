/*
 * Filters of feed events: which of them a reader or a subscription wants.
 *
 * Owns: their syntax rules, matching, and their frozen encoding (a part of subscriptions on disk). Must never:
 * look at state; change what a stored filter matches. Called by: subscriptions, the feed, their decoders.
 *
 * All parts that are given must match; a filter without parts matches every event that is not system.*.
 * System events match only if `types` names them ("system.*" or one of them); of those only alerts arrive at a
 * subscription.
 */
#ifndef HF_CORE_FILTER_H
#define HF_CORE_FILTER_H

#include "core/entity.h"

struct hf_feed_event;

#define HF_FILTER_TYPES_MAX   16
#define HF_FILTER_BUCKETS_MAX 65536

struct hf_filter {
    struct hf_name topic; /* messages of this topic only, or text absent */
    struct hf_str prefix; /* of the subject: "streams/orders:", or absent; ≤ 16 + 128 bytes */
    struct hf_str types
        [HF_FILTER_TYPES_MAX]; /* exact, or a prefix that ends in ".*" ("order.*"); each ≤ HF_TYPE_BYTES_MAX */
    uint32_t type_count; /* 0: all but system.* */
    bool has_asset;
    struct hf_asset asset; /* of the money moved, or of the account; if has_asset */
    bool has_bucket;
    uint32_t bucket;       /* < bucket_count */
    uint32_t bucket_count; /* ≤ HF_FILTER_BUCKETS_MAX */
};

/* As texts, from JSON or a query string; absent: ptr NULL. */
struct hf_filter_fields {
    struct hf_str topic, prefix, asset, bucket; /* bucket "3/16" */
    const struct hf_str *types;
    uint32_t type_count;
};

/* Texts are copied into the arena. On failure: malformed filled, its pointer "/filter/<member>". */
bool hf_filter_make(const struct hf_filter_fields *fields, struct hf_arena *arena,
                    struct hf_filter *filter, struct hf_malformed *malformed) HF_WARN_UNUSED;
/* For readers of the feed: the events as they are shown. */
bool hf_filter_matches(const struct hf_filter *filter, const struct hf_feed_event *event);
/* For subscriptions: event->arrives, and the filter matches; a delayed message does when it is due, by its own type. */
bool hf_filter_arrives(const struct hf_filter *filter, const struct hf_feed_event *event);
bool hf_filter_equal(const struct hf_filter *a, const struct hf_filter *b);

#endif
