/*
 * Topics and subscriptions on the core by itself: one call an operation.
 *
 * Owns: a core_rig, a clock that moves only when told to. After each call state = log, and its invariants hold. Called
 * by: subscription_test, subscription_random_test.
 */
#ifndef HF_TESTS_UNIT_QUEUE_RIG_H
#define HF_TESTS_UNIT_QUEUE_RIG_H

#include "core/queue_op.h"
#include "unit/core_rig.h"

#define QUEUE_RIG_START_US 1000000000ull

struct queue_rig {
    struct core_rig core;
    uint64_t now_us;
    bool quick; /* checks only when told to */
};

/* A message that came with a receive. */
struct queue_got {
    struct hf_receipt receipt;
    uint32_t attempt;
    uint64_t previous_position;
    char data[32];
};

#define QUEUE_GOT_MAX 1000
struct queue_batch {
    uint32_t count;
    uint64_t position;    /* 0: nothing was recorded */
    uint64_t deadline_us; /* of all */
    struct queue_got got[QUEUE_GOT_MAX];
};

/* A subscription's settings as a test gives them; zeros: defaults. */
struct queue_settings {
    const char *topic;
    enum hf_subscription_order order;
    enum hf_exhausted exhausted;
    uint32_t attempts_max;
    uint64_t lease_ms;
    bool has_backoff;
    uint64_t backoff_first_ms, backoff_max_ms;
    uint32_t in_flight_max;
    uint32_t lines_max;
    struct hf_seek from; /* kind 0: now */
    bool has_expected_version;
    uint64_t expected_version;
};

void queue_rig_init(struct queue_rig *rig, enum core_rig_mode mode);
void queue_rig_release(struct queue_rig *rig);
void queue_rig_check(struct queue_rig *rig);

/* Each: the code of the answer. */
/* data: a word. Returns the message's place. */
struct hf_place queue_publish(struct queue_rig *rig, const char *topic, const char *key,
                              const char *data, uint64_t deliver_at_us);
/* Two of one commit, in this order. Returns the place of the first. */
struct hf_place queue_publish_two(struct queue_rig *rig, const char *topic, const char *key,
                                  const char *first, const char *second);
/* As many of one commit, each with a key of its own. */
enum hf_err queue_publish_many(struct queue_rig *rig, const char *topic, uint32_t count);
enum hf_err queue_put(struct queue_rig *rig, const char *name, const struct queue_settings *s);
enum hf_err queue_delete(struct queue_rig *rig, const char *name);
enum hf_err queue_seek(struct queue_rig *rig, const char *name, const struct hf_seek *to);
enum hf_err queue_receive(struct queue_rig *rig, const char *name, uint32_t max,
                          struct queue_batch *batch);
/* One receipt by an operation of a commit (ack, nack), or of a batch (extend, park): the item's code. */
enum hf_err queue_act(struct queue_rig *rig, const char *name, enum hf_act act,
                      const struct hf_receipt *receipt, const char *error);
enum hf_err queue_nack_delayed(struct queue_rig *rig, const char *name,
                               const struct hf_receipt *receipt, uint64_t delay_ms);
enum hf_err queue_extend(struct queue_rig *rig, const char *name, const struct hf_receipt *receipt,
                         uint64_t lease_ms);
/* Items' codes by their order; the return value is the command's. */
enum hf_err queue_ack_batch(struct queue_rig *rig, const char *name,
                            const struct hf_receipt *receipts, uint32_t count, enum hf_err *codes);
/* Several acks of one commit, and perhaps a transfer that is refused. */
enum hf_err queue_ack_all(struct queue_rig *rig, const char *name,
                          const struct hf_receipt *receipts, uint32_t count, bool refused);
/* A commit that holds if the receipt is live, and publishes to topic "condition". */
enum hf_err queue_if_live(struct queue_rig *rig, const char *name,
                          const struct hf_receipt *receipt);
enum hf_err queue_redrive(struct queue_rig *rig, const char *name,
                          const struct hf_queue_fields *what, uint32_t *moved);
/* Everything that is due, and all scans. */
void queue_settle_time(struct queue_rig *rig);

const struct hf_subscription *queue_subscription(const struct queue_rig *rig, const char *name);
/* The keys "a=3 b=1" of nothing; the words of a batch: "one two three". */
const char *queue_words(const struct queue_batch *batch, char *text, size_t size);

#endif
