/* The model's view of JSON and of two requests being the same: by jansson, not by base/json. */
#include <jansson.h>
#include <stdlib.h>

#include "sim/model_queue_priv.h"

static json_t *parse(struct hf_str text)
{
    json_error_t error;
    json_t *value = json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    HF_CHECK(value != NULL);
    return value;
}

bool hf_model_json_equal(struct hf_str a, struct hf_str b)
{
    if (!hf_str_present(a) || !hf_str_present(b)) {
        return !hf_str_present(a) && !hf_str_present(b);
    }
    if (hf_str_equal(a, b)) {
        return true;
    }
    json_t *left = parse(a);
    json_t *right = parse(b);
    bool equal = json_equal(left, right) == 1;
    json_decref(left);
    json_decref(right);
    return equal;
}

/* RFC 7396, as its text says it. Depth is bounded by HF_JSON_DEPTH_MAX. */
static json_t *merge(json_t *target, json_t *patch)
{
    if (!json_is_object(patch)) {
        json_decref(target);
        return json_incref(patch);
    }
    if (!json_is_object(target)) {
        json_decref(target);
        target = json_object();
    }
    const char *name;
    json_t *value;
    json_object_foreach(patch, name, value)
    {
        if (json_is_null(value)) {
            (void)json_object_del(target, name);
        } else {
            json_t *old = json_incref(json_object_get(target, name));
            (void)json_object_set_new(target, name, merge(old, value));
        }
    }
    return target;
}

struct hf_str hf_model_merge(struct hf_arena *arena, struct hf_str target, struct hf_str patch)
{
    json_t *parsed = parse(patch);
    json_t *result = merge(hf_str_present(target) ? parse(target) : NULL, parsed);
    char *text = json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY);
    HF_CHECK(text != NULL);
    struct hf_str copy = hf_model_copy(arena, hf_str_from(text));
    free(text);
    json_decref(result);
    json_decref(parsed);
    return copy;
}

static bool same_limit(bool a_has, bool a_none, hf_i128 a, bool b_has, bool b_none, hf_i128 b)
{
    return a_has == b_has && a_none == b_none && (!a_has || a_none || a == b);
}

bool hf_model_same_op(const struct hf_op *a, const struct hf_op *b)
{
    return a->type == b->type && a->has_id == b->has_id &&
           hf_str_equal(a->subject.text, b->subject.text) && hf_str_equal(a->to.text, b->to.text) &&
           hf_str_equal(a->id.text, b->id.text) && a->asset.len == b->asset.len &&
           memcmp(a->asset.text, b->asset.text, a->asset.len) == 0 &&
           a->has_amount == b->has_amount && (!a->has_amount || a->amount == b->amount) &&
           a->up_to == b->up_to && a->final == b->final &&
           same_limit(a->has_floor, a->floor_none, a->floor, b->has_floor, b->floor_none,
                      b->floor) &&
           same_limit(a->has_ceiling, a->ceiling_none, a->ceiling, b->has_ceiling, b->ceiling_none,
                      b->ceiling) &&
           a->has_timeout == b->has_timeout && a->timeout_ms == b->timeout_ms &&
           a->token == b->token && a->has_effective_at == b->has_effective_at &&
           a->effective_at_us == b->effective_at_us && hf_str_equal(a->type_text, b->type_text) &&
           hf_model_json_equal(a->data.text, b->data.text) &&
           hf_model_json_equal(a->metadata.text, b->metadata.text) &&
           hf_naive_same_op(a->type, a->queue, b->queue);
}

static bool same_receipt(const struct hf_receipt *a, const struct hf_receipt *b)
{
    return a == b || (a != NULL && b != NULL && a->uid == b->uid && a->number == b->number &&
                      a->token == b->token &&
                      memcmp(a->line.bytes, b->line.bytes, sizeof(a->line.bytes)) == 0);
}

static bool same_comparison(const struct hf_comparison *a, const struct hf_comparison *b)
{
    bool same = a->present == b->present;
    for (int i = 0; same && i < HF_COMPARE_COUNT; i++) {
        same = (a->present & (1u << i)) == 0 || a->operand[i] == b->operand[i];
    }
    return same;
}

static bool same_condition(const struct hf_condition *a, const struct hf_condition *b)
{
    return a->kind == b->kind && hf_str_equal(a->subject.text, b->subject.text) &&
           a->has_version == b->has_version && a->version == b->version &&
           a->has_modified_at == b->has_modified_at && a->modified_at_us == b->modified_at_us &&
           a->has_exists == b->has_exists && a->exists == b->exists && a->token == b->token &&
           a->state == b->state && same_receipt(a->receipt, b->receipt) &&
           same_comparison(&a->available, &b->available) && same_comparison(&a->posted, &b->posted);
}

bool hf_model_same_request(const struct hf_command *a, const struct hf_command *b)
{
    bool same = a->kind == b->kind && hf_str_equal(a->door, b->door) &&
                a->condition_count == b->condition_count && a->op_count == b->op_count &&
                hf_model_json_equal(a->metadata.text, b->metadata.text);
    for (uint32_t i = 0; same && i < a->condition_count; i++) {
        same = same_condition(&a->conditions[i], &b->conditions[i]);
    }
    for (uint32_t i = 0; same && i < a->op_count; i++) {
        same = hf_model_same_op(&a->ops[i], &b->ops[i]) &&
               a->ops[i].has_expected_version == b->ops[i].has_expected_version &&
               a->ops[i].expected_version == b->ops[i].expected_version;
    }
    return same;
}
