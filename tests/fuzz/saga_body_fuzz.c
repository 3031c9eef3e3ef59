/*
 * Bytes as the body of a verb of sagas, or of many. The first byte chooses. What is refused has a reason and a JSON pointer; what is
 * taken lies in the text or the arena, and makes an operation, or is refused by it with a reason.
 */
#include "api/saga_body.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_reason(const struct hf_malformed *malformed)
{
    HF_CHECK(malformed->text[0] != '\0');
    HF_CHECK(malformed->pointer[0] == '\0' || malformed->pointer[0] == '/');
    HF_CHECK(malformed->code == HF_ERR_INVALID_REQUEST || malformed->code == HF_ERR_TOO_LARGE);
}

/* Every byte of the texts is there to be read: a sanitizer would tell. */
static void read_texts(const struct hf_saga_op_fields *fields)
{
    const struct hf_str texts[] = {
        fields->step,
        fields->result,
        fields->reason,
        fields->actor,
        fields->after,
        fields->filter.definition,
        fields->filter.step,
        fields->filter.tag_key,
        fields->filter.tag_value,
        fields->filter.business_key,
    };
    struct hf_buffer copy;
    hf_buffer_init(&copy);
    for (size_t i = 0; i < HF_ARRAY_COUNT(texts); i++) {
        hf_buffer_bytes(&copy, texts[i].ptr, hf_str_present(texts[i]) ? texts[i].len : 0);
    }
    HF_CHECK(!copy.failed);
    hf_buffer_release(&copy);
}

static void make_operation(struct hf_saga_body *body, bool many)
{
    struct hf_command command;
    struct hf_malformed malformed = {0};
    body->fields.type = many ? HF_OP_SAGA_VERBS : HF_OP_SAGA_VERB;
    if (!many) {
        body->fields.saga = HF_STR("s");
        body->fields.verb = HF_SAGA_ACT_SKIP;
    }
    hf_command_init(&command, HF_COMMAND_COMMIT);
    HF_CHECK(hf_command_set_principal(&command, HF_STR("local"), &malformed));
    if (hf_command_add_saga_op(&command, &body->fields, &malformed)) {
        HF_CHECK(command.op_count == 1 && command.ops[0].saga != NULL);
        HF_CHECK(hf_command_finish(&command, &malformed));
    } else {
        expect_reason(&malformed);
    }
    hf_command_release(&command);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    bool many = (data[0] & 1) != 0;
    struct hf_str text = {(const char *)data + 1, size - 1};
    struct hf_saga_body body;
    struct hf_malformed malformed = {0};
    struct hf_arena arena;
    hf_arena_init(&arena);
    if (hf_saga_body_decode(text, many ? HF_SAGA_BODY_BULK : HF_SAGA_BODY_VERB, &arena, &body,
                            &malformed)) {
        read_texts(&body.fields);
        make_operation(&body, many);
    } else {
        expect_reason(&malformed);
    }
    hf_arena_release(&arena);
    return 0;
}
