/*
 * Bytes as the body of a route of subscriptions. The first byte chooses the route. What is refused has a reason and a JSON
 * pointer; what is taken lies in the text or the arena, and makes an operation, or is refused by it with a reason.
 */
#include "api/queue_body.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The operation of each body, and what its act is. */
static const struct {
    enum hf_op_type type;
    enum hf_act act;
} routes[] = {
    [HF_BODY_PUT] = {HF_OP_PUT_SUBSCRIPTION, HF_ACT_ACK},
    [HF_BODY_RECEIVE] = {HF_OP_RECEIVE, HF_ACT_ACK},
    [HF_BODY_ACK] = {HF_OP_ACK_BATCH, HF_ACT_ACK},
    [HF_BODY_NACK] = {HF_OP_ACK_BATCH, HF_ACT_NACK},
    [HF_BODY_EXTEND] = {HF_OP_ACK_BATCH, HF_ACT_EXTEND},
    [HF_BODY_PARK] = {HF_OP_ACK_BATCH, HF_ACT_PARK},
    [HF_BODY_REDRIVE] = {HF_OP_REDRIVE, HF_ACT_ACK},
    [HF_BODY_SEEK] = {HF_OP_SEEK, HF_ACT_ACK},
};

static void expect_reason(const struct hf_malformed *malformed)
{
    HF_CHECK(malformed->text[0] != '\0');
    HF_CHECK(malformed->pointer[0] == '\0' || malformed->pointer[0] == '/');
    HF_CHECK(malformed->code == HF_ERR_INVALID_REQUEST || malformed->code == HF_ERR_TOO_LARGE);
}

/* Every byte of the texts is there to be read: a sanitizer would tell. */
static void read_texts(const struct hf_queue_body *body)
{
    const struct hf_str texts[] = {
        body->error,
        body->time,
        body->fields.consumer,
        body->fields.attempt,
        body->fields.message,
        body->fields.key,
        body->fields.order,
        body->fields.exhausted,
        body->fields.error_contains,
        body->fields.filter.topic,
        body->fields.filter.prefix,
        body->fields.filter.asset,
        body->fields.filter.bucket,
    };
    struct hf_buffer copy;
    hf_buffer_init(&copy);
    for (size_t i = 0; i < HF_ARRAY_COUNT(texts); i++) {
        hf_buffer_bytes(&copy, texts[i].ptr, hf_str_present(texts[i]) ? texts[i].len : 0);
    }
    for (uint32_t i = 0; i < body->fields.filter.type_count; i++) {
        const struct hf_str type = body->fields.filter.types[i];
        hf_buffer_bytes(&copy, type.ptr, type.len);
    }
    HF_CHECK(body->fields.item_count <= HF_RECEIVE_MAX + 1);
    for (uint32_t i = 0; i < body->fields.item_count; i++) {
        const struct hf_act_fields *item = &body->fields.items[i];
        hf_buffer_bytes(&copy, item->receipt.ptr, item->receipt.len);
        hf_buffer_bytes(&copy, item->error.ptr, hf_str_present(item->error) ? item->error.len : 0);
    }
    HF_CHECK(!copy.failed);
    hf_buffer_release(&copy);
}

static void make_operation(struct hf_queue_body *body, enum hf_queue_body_kind kind)
{
    struct hf_command command;
    struct hf_malformed malformed = {0};
    body->fields.type = routes[kind].type;
    body->fields.act = routes[kind].act;
    body->fields.subscription = HF_STR("s");
    hf_command_init(&command, HF_COMMAND_COMMIT);
    if (hf_command_add_queue_op(&command, &body->fields, &malformed)) {
        HF_CHECK(command.op_count == 1 && command.ops[0].queue != NULL);
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
    enum hf_queue_body_kind kind = (enum hf_queue_body_kind)(data[0] % HF_ARRAY_COUNT(routes));
    struct hf_str text = {(const char *)data + 1, size - 1};
    struct hf_queue_body body;
    struct hf_malformed malformed = {0};
    struct hf_arena arena;
    hf_arena_init(&arena);
    if (hf_queue_body_decode(text, kind, &arena, &body, &malformed)) {
        HF_CHECK(!body.has_wait_ms || body.wait_ms <= HF_RECEIVE_WAIT_MS_MAX);
        read_texts(&body);
        make_operation(&body, kind);
    } else {
        expect_reason(&malformed);
    }
    hf_arena_release(&arena);
    return 0;
}
