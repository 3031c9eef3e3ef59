/* Evolve of subscriptions. */
#include "base/alloc.h"
#include "core/queue_apply.h"

void hf_subscription_free(struct hf_subscription *subscription)
{
    hf_free(subscription);
}

void hf_subscription_verify(const struct hf_subscription *subscription)
{
    hf_table_verify(&subscription->lines);
}

uint64_t hf_subscription_timer_us(const struct hf_subscription *subscription)
{
    return subscription->out.count == 0 ? UINT64_MAX : subscription->out.items[0]->due_us;
}

size_t hf_subscription_index_records(const struct hf_state *state, const struct hf_commit *commit)
{
    (void)state;
    (void)commit;
    return 0;
}

bool hf_subscription_reserve(struct hf_state *state, const struct hf_commit *commit)
{
    (void)state;
    (void)commit;
    return true;
}

bool hf_subscription_apply_event(struct hf_applying *a)
{
    return hf_apply_damaged(a, "event of an unknown subscription");
}

bool hf_queue_arrivals(struct hf_applying *a)
{
    (void)a;
    return true;
}

bool hf_queue_takeover(struct hf_applying *a)
{
    (void)a;
    return true;
}

uint64_t hf_subscription_records(const struct hf_state *state)
{
    return state->queue.subscriptions.count;
}

bool hf_subscription_save(const struct hf_state *state, struct hf_saving *saving)
{
    (void)saving;
    return state->queue.subscriptions.count == 0;
}

enum hf_err hf_subscription_load(struct hf_state *state, struct hf_codec *codec,
                                 struct hf_error *error)
{
    (void)state;
    hf_codec_fail(codec, "subscription");
    return hf_error_set(error, HF_ERR_CORRUPT, "load state: bad subscription");
}
