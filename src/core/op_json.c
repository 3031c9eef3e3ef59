#include "core/op_json.h"

#define OP(name, form)               HF_MEMBER(hf_op_fields, name, form)
#define OP_FLAGGED(name, form, flag) HF_MEMBER_FLAGGED(hf_op_fields, name, form, flag)

static const struct hf_member members[] = {
    OP(op, HF_FORM_TEXT),
    OP(account, HF_FORM_TEXT),
    OP(id, HF_FORM_TEXT),
    OP(from, HF_FORM_TEXT),
    OP(to, HF_FORM_TEXT),
    OP(asset, HF_FORM_TEXT),
    OP(amount, HF_FORM_AMOUNT),
    OP(transfer, HF_FORM_TEXT),
    OP(hold, HF_FORM_TEXT),
    OP(stream, HF_FORM_TEXT),
    OP(document, HF_FORM_TEXT),
    OP(lease, HF_FORM_TEXT),
    OP(owner, HF_FORM_TEXT),
    OP(type, HF_FORM_TEXT),
    OP(data, HF_FORM_RAW),
    OP(metadata, HF_FORM_RAW),
    OP_FLAGGED(floor, HF_FORM_LIMIT, floor_null),
    OP_FLAGGED(ceiling, HF_FORM_LIMIT, ceiling_null),
    OP(effective_at, HF_FORM_TEXT),
    OP_FLAGGED(up_to, HF_FORM_BOOL, has_up_to),
    OP_FLAGGED(final, HF_FORM_BOOL, has_final),
    OP_FLAGGED(timeout_ms, HF_FORM_INTEGER, has_timeout_ms),
    OP_FLAGGED(ttl_ms, HF_FORM_INTEGER, has_ttl_ms),
    {.name = {"token", 5}, /* a lease's number, or a callback's text */
     .form = HF_FORM_INTEGER_OR_TEXT,
     .value = offsetof(struct hf_op_fields, token),
     .flag = offsetof(struct hf_op_fields, has_token),
     .text = offsetof(struct hf_op_fields, callback_token)},
    OP_FLAGGED(expected_version, HF_FORM_INTEGER, has_expected_version),
    OP(topic, HF_FORM_TEXT),
    OP(key, HF_FORM_TEXT),
    OP(deliver_at, HF_FORM_TEXT),
    OP(subscription, HF_FORM_TEXT),
    OP(receipt, HF_FORM_TEXT),
    OP_FLAGGED(delay_ms, HF_FORM_INTEGER, has_delay_ms),
    OP(error, HF_FORM_TEXT),
    OP(saga, HF_FORM_TEXT),
    OP(definition, HF_FORM_TEXT_OR_OBJECT),
    OP(input, HF_FORM_RAW),
    OP(business_key, HF_FORM_TEXT),
    OP(tags, HF_FORM_RAW),
    OP(not_before, HF_FORM_TEXT),
    OP(step, HF_FORM_TEXT),
    OP(result, HF_FORM_RAW),
    OP(reason, HF_FORM_TEXT),
    OP(actor, HF_FORM_TEXT),
};

const struct hf_member *hf_op_member(struct hf_str name)
{
    for (size_t i = 0; i < HF_ARRAY_COUNT(members); i++) {
        if (hf_str_equal(members[i].name, name)) {
            return &members[i];
        }
    }
    return NULL;
}

bool hf_op_json_take(struct hf_fields_json *reading, struct hf_op_fields *fields)
{
    return hf_fields_object(reading, members, HF_ARRAY_COUNT(members), fields);
}

bool hf_op_json_decode(struct hf_str text, struct hf_arena *arena, struct hf_op_fields *fields,
                       struct hf_malformed *malformed)
{
    struct hf_fields_json reading;
    hf_fields_init(&reading, text, "", arena, malformed);
    (void)hf_json_next(&reading.json);
    return hf_op_json_take(&reading, fields) &&
           (hf_json_next(&reading.json) == HF_JSON_END || hf_fields_refuse_text(&reading));
}
