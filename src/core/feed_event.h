/*
 * Feed events: what the world outside sees of a log event.
 *
 * Owns: the mapping from a commit's events to CloudEvents' attributes: one log event is one feed event, its
 * index in the commit is the same; and which of them may arrive at subscriptions. Must never: look at state;
 * change the type, subject or partition key of what is stored (consumers' cursors, buckets and lines depend
 * on them). Called by: filters, subscriptions (evolve, scans), api's CloudEvents writer, tests.
 *
 * 1. id = "<position>-<index>"; source = "/spaces/<space>"; type "holdfast.<kind>.<past verb>", the user's
 *    own for stream events and messages, "system.…" for what is not for consumers.
 * 2. subject: "accounts/a", "transfers/t1", "holds/h", "streams/s", "documents/d", "leases/l",
 *    "topics/t", "sagas/s", "saga-definitions/d"; system events: "subscriptions/s", "alerts/<kind>",
 *    "commits/<position>" or none.
 * 3. partition key: the stream's name, the message's key, the saga's id, else the subject.
 * 4. Its hash is the first 16 bytes of SHA-256(partition key); the bucket i of N is its first 8 bytes, big-endian, mod N.
 */
#ifndef HF_CORE_FEED_EVENT_H
#define HF_CORE_FEED_EVENT_H

#include "core/commit.h"

enum hf_feed_subject {
    HF_SUBJECT_NONE = 0,
    HF_SUBJECT_ACCOUNTS,
    HF_SUBJECT_TRANSFERS,
    HF_SUBJECT_HOLDS,
    HF_SUBJECT_STREAMS,
    HF_SUBJECT_DOCUMENTS,
    HF_SUBJECT_LEASES,
    HF_SUBJECT_TOPICS,
    HF_SUBJECT_SUBSCRIPTIONS,
    HF_SUBJECT_SAGAS,
    HF_SUBJECT_SAGA_DEFINITIONS,
    HF_SUBJECT_ALERTS,
    HF_SUBJECT_COUNT,
};

/* "accounts/" …; "" for NONE. */
struct hf_str hf_feed_subject_prefix(enum hf_feed_subject subject);

/* Borrows from the commit. */
struct hf_feed_event {
    uint64_t position;
    uint32_t index;
    bool system; /* type begins with "system." */
    bool
        arrives; /* may arrive at subscriptions by itself: not system, not delayed; or MESSAGE_DUE */
    bool by_type;       /* …but only where a filter names its type */
    struct hf_str type; /* static or the user's: what the feed shows */
    struct hf_str
        arrival_type; /* what a subscription's filter compares: type; of MESSAGE_DUE that of its message */
    enum hf_feed_subject subject; /* which collection… */
    struct hf_name subject_name;  /* …and which thing; text absent if NONE */
    bool key_is_subject;          /* the partition key is the subject */
    struct hf_str key;            /* else this */
    const struct hf_asset *asset; /* of the money moved or the account, or NULL */
    const struct hf_payload
        *payload; /* the event's own text (stream event, message, document), or NULL */
    uint64_t
        data_position; /* where the text is: position, or for MESSAGE_DUE that of the message… */
    uint32_t data_index; /* …and its index */
};

/* index < commit->event_count. */
void hf_feed_event_of(const struct hf_commit *commit, uint32_t index, struct hf_feed_event *out);

/* Appends "streams/o:1" and "o:1"; look at to->failed afterwards. */
void hf_feed_subject_text(const struct hf_feed_event *event, struct hf_buffer *to);
void hf_feed_key_text(const struct hf_feed_event *event, struct hf_buffer *to);

/* First 16 bytes of SHA-256 of the partition key. */
struct hf_id hf_feed_key_hash(const struct hf_feed_event *event);
/* The bucket of a key hash; count > 0. */
uint32_t hf_feed_bucket(const struct hf_id *key_hash, uint32_t count);

#endif
