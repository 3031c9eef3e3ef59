/* Operations on topics and subscriptions as words: the same ones again, and copies that stay. */
#include "core/queue_op.h"
#include "sim/model_queue_priv.h"

static bool same_bytes(const struct hf_id *a, const struct hf_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static bool same_text(struct hf_str a, struct hf_str b)
{
    return hf_str_present(a) == hf_str_present(b) && hf_str_equal(a, b);
}

static bool same_item(const struct hf_act_item *a, const struct hf_act_item *b)
{
    return a->receipt.uid == b->receipt.uid && same_bytes(&a->receipt.line, &b->receipt.line) &&
           a->receipt.number == b->receipt.number && a->receipt.token == b->receipt.token &&
           a->receipt.position == b->receipt.position && a->receipt.index == b->receipt.index &&
           a->has_delay == b->has_delay && a->delay_ms == b->delay_ms &&
           same_text(a->error, b->error);
}

bool hf_naive_same_filter(const struct hf_filter *a, const struct hf_filter *b)
{
    bool same = same_text(a->topic.text, b->topic.text) && same_text(a->prefix, b->prefix) &&
                a->type_count == b->type_count && a->has_asset == b->has_asset &&
                a->has_bucket == b->has_bucket;
    for (uint32_t i = 0; same && i < a->type_count; i++) {
        same = same_text(a->types[i], b->types[i]);
    }
    return same &&
           (!a->has_asset || same_text((struct hf_str){a->asset.text, a->asset.len},
                                       (struct hf_str){b->asset.text, b->asset.len})) &&
           (!a->has_bucket || (a->bucket == b->bucket && a->bucket_count == b->bucket_count));
}

/* lines_max is nobody's wish. */
bool hf_naive_same_settings(const struct hf_subscription_settings *a,
                            const struct hf_subscription_settings *b)
{
    return hf_naive_same_filter(&a->filter, &b->filter) && a->order == b->order &&
           a->exhausted == b->exhausted && a->attempts_max == b->attempts_max &&
           a->lease_ms == b->lease_ms && a->backoff_first_ms == b->backoff_first_ms &&
           a->backoff_max_ms == b->backoff_max_ms && a->in_flight_max == b->in_flight_max;
}

static bool same_seek(const struct hf_seek *a, const struct hf_seek *b)
{
    return a->kind == b->kind && (a->kind != HF_SEEK_POSITION || a->position == b->position) &&
           (a->kind != HF_SEEK_TIME || a->time_us == b->time_us);
}

static bool same_redrive(const struct hf_redrive *a, const struct hf_redrive *b)
{
    return a->what == b->what && a->position == b->position && a->index == b->index &&
           same_text(a->key, b->key) && a->rate_per_s == b->rate_per_s &&
           same_text(a->error_filter, b->error_filter) && a->discard == b->discard;
}

bool hf_naive_same_op(enum hf_op_type type, const struct hf_queue_op *a,
                      const struct hf_queue_op *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    bool same = same_text(a->key, b->key) && a->has_deliver_at == b->has_deliver_at &&
                a->deliver_at_us == b->deliver_at_us && a->act == b->act &&
                a->item_count == b->item_count && a->max == b->max &&
                same_text(a->consumer, b->consumer) && same_text(a->attempt, b->attempt) &&
                same_seek(&a->seek, &b->seek) && same_redrive(&a->redrive, &b->redrive);
    for (uint32_t i = 0; same && i < a->item_count; i++) {
        same = same_item(&a->items[i], &b->items[i]);
    }
    return same &&
           (type != HF_OP_PUT_SUBSCRIPTION || hf_naive_same_settings(&a->settings, &b->settings));
}

void hf_naive_keep_settings(struct hf_arena *arena, struct hf_subscription_settings *settings)
{
    struct hf_filter *filter = &settings->filter;
    filter->topic = hf_model_copy_name(arena, &filter->topic);
    filter->prefix = hf_model_copy(arena, filter->prefix);
    for (uint32_t i = 0; i < filter->type_count; i++) {
        filter->types[i] = hf_model_copy(arena, filter->types[i]);
    }
}

const struct hf_queue_op *hf_naive_keep_op(struct hf_arena *arena, const struct hf_queue_op *op)
{
    if (op == NULL) {
        return NULL;
    }
    struct hf_queue_op *copy = hf_arena_alloc_zero(arena, 1, sizeof(*copy));
    struct hf_act_item *items = hf_arena_alloc_zero(arena, op->item_count + 1, sizeof(*items));
    HF_CHECK(copy != NULL && items != NULL);
    *copy = *op;
    copy->key = hf_model_copy(arena, op->key);
    copy->consumer = hf_model_copy(arena, op->consumer);
    copy->attempt = hf_model_copy(arena, op->attempt);
    copy->redrive.key = hf_model_copy(arena, op->redrive.key);
    copy->redrive.error_filter = hf_model_copy(arena, op->redrive.error_filter);
    copy->items = items;
    for (uint32_t i = 0; i < op->item_count; i++) {
        items[i] = op->items[i];
        items[i].error = hf_model_copy(arena, op->items[i].error);
    }
    hf_naive_keep_settings(arena, &copy->settings);
    return copy;
}
