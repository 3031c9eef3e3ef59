/*
 * What consumers see of a log event, and which filters want it: the model's own account of it.
 *
 * Owns: the mapping from a commit's event to type, subject, partition key, asset, and the matching of
 * filters, written down a second time. Must never: call anything of core (it reads the plain structs of
 * commits and filters).
 * Called by: the model of the queues, its checks.
 */
#ifndef HF_TESTS_SIM_QUEUE_NEWS_H
#define HF_TESTS_SIM_QUEUE_NEWS_H

#include "base/arena.h"
#include "core/commit.h"

/* Texts are literals or copies in the arena. */
struct hf_naive_news {
    bool arrives;          /* it comes to subscriptions with this commit */
    struct hf_str type;    /* "holdfast.transfer.posted", or the user's */
    struct hf_str subject; /* "transfers/t1" */
    struct hf_str key;     /* partition key */
    struct hf_id key_hash; /* first half of its SHA-256 */
    struct hf_str topic;   /* messages: of this one, else absent */
    struct hf_asset asset; /* len 0: none */
    struct hf_place place; /* of the message itself, also if MESSAGE_DUE brings it */
};

/* index < commit->event_count */
struct hf_naive_news hf_naive_news_of(const struct hf_commit *commit, uint32_t index,
                                      struct hf_arena *arena);
bool hf_naive_wants(const struct hf_filter *filter, const struct hf_naive_news *news);

#endif
