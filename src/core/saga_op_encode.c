/* The frozen encoding of operations on sagas, a part of fingerprints. */
#include "core/command_priv.h"
#include "core/saga_op.h"

static void tag_text(struct hf_buffer *to, struct hf_str text)
{
    hf_buffer_u8(to, hf_str_present(text));
    if (hf_str_present(text)) {
        hf_buffer_str(to, text);
    }
}

/* By what it is, not by how it was written. */
static void encode_start(struct hf_buffer *to, const struct hf_saga_command *saga)
{
    bool is_inline = saga->parsed != NULL;
    hf_buffer_u8(to, is_inline);
    hf_buffer_str(to, is_inline ? saga->definition_text.text : saga->definition.text);
    hf_buffer_varint(to, saga->definition_version);
    hf_command_tag_payload(to, &saga->input);
    hf_command_tag_payload(to, &saga->tags);
    tag_text(to, saga->fields.business_key);
    hf_buffer_varint(to, saga->not_before_us);
}

static void encode_verb(struct hf_buffer *to, const struct hf_saga_command *saga)
{
    hf_buffer_u8(to, (uint8_t)saga->fields.verb);
    tag_text(to, saga->fields.step);
    hf_command_tag_payload(to, &saga->result);
    tag_text(to, saga->fields.reason);
    tag_text(to, saga->fields.actor);
}

static void encode_verbs(struct hf_buffer *to, const struct hf_saga_command *saga)
{
    const struct hf_saga_filter *filter = &saga->fields.filter;
    encode_verb(to, saga);
    hf_buffer_u8(to, filter->has_state ? (uint8_t)filter->state : 0);
    tag_text(to, filter->definition);
    tag_text(to, filter->tag_key);
    tag_text(to, filter->tag_value);
    tag_text(to, filter->business_key);
    tag_text(to, filter->step);
    hf_buffer_u8(to, filter->failing);
    hf_buffer_varint(to, filter->older_than_us);
    tag_text(to, saga->fields.after);
    hf_buffer_varint(to, saga->fields.limit);
    hf_buffer_varint(to, saga->fields.jitter_ms);
}

static void encode_answer(struct hf_buffer *to, const struct hf_saga_op_fields *fields)
{
    hf_buffer_varint(to, fields->uid);
    hf_buffer_str(to, fields->step);
    hf_buffer_u8(to, (uint8_t)fields->op);
    hf_buffer_varint(to, fields->attempt);
}

void hf_command_encode_saga(struct hf_buffer *to, const struct hf_op *op)
{
    const struct hf_saga_command *saga = op->saga;
    switch ((unsigned)op->type) {
    case HF_OP_DEFINE_SAGA:
        hf_buffer_varint(to, saga->definition_version);
        hf_buffer_str(to, saga->definition_text.text);
        return;
    case HF_OP_START_SAGA:
        encode_start(to, saga);
        return;
    case HF_OP_SAGA_VERB:
        encode_verb(to, saga);
        return;
    case HF_OP_SAGA_VERBS:
        encode_verbs(to, saga);
        return;
    case HF_OP_SAGA_ANSWER:
        encode_answer(to, &saga->fields);
        return;
    default: /* complete_step, fail_step */
        hf_buffer_str(to, saga->fields.step);
        tag_text(to, saga->fields.token);
        hf_command_tag_payload(to, &saga->result);
        tag_text(to, saga->fields.error);
        tag_text(to, saga->fields.reason);
        tag_text(to, saga->fields.actor);
        return;
    }
}
