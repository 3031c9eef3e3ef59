/* Operations on subscriptions that have routes of their own, and what ack, nack and publish have beyond other ones. */
#include <stdio.h>

#include "base/check.h"
#include "base/time_text.h"
#include "core/codec_priv.h"
#include "core/command_priv.h"
#include "core/queue_op.h"

#define RECEIVE_DEFAULT          10u
#define ATTEMPTS_DEFAULT         6u
#define LEASE_MS_DEFAULT         30000u
#define BACKOFF_FIRST_MS_DEFAULT 1000u
#define BACKOFF_MAX_MS_DEFAULT   300000u
#define IN_FLIGHT_DEFAULT        1000u
#define MESSAGE_ID_CHARS_MAX     31u /* 20 digits, "-", 10 digits */
#define CONSUMER_RULE            "1 to 128 characters of U+0021 to U+007E"
#define DELAY_RULE               "a delay is at most 86400000 milliseconds"
#define ERROR_RULE               "at most 512 bytes say what went wrong"
#define RECEIPT_RULE             "this is no receipt: use the one that came with the message, as it is"

static bool refuse(struct hf_malformed *malformed, const char *pointer, const char *text)
{
    return hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, pointer, "%s", text);
}

static bool keep(struct hf_command *command, struct hf_str text, struct hf_str *to,
                 struct hf_malformed *malformed)
{
    *to = hf_arena_copy(&command->arena, text);
    return to->ptr != NULL || hf_command_short_memory(malformed);
}

static struct hf_id hash_of(struct hf_str text)
{
    struct hf_hash hash = hf_sha256(text.ptr, text.len);
    struct hf_id id;
    memcpy(id.bytes, hash.bytes, sizeof(id.bytes));
    return id;
}

/* ---- in a commit ---- */

static bool take_publish(struct hf_command *command, const struct hf_op_fields *fields,
                         struct hf_queue_op *queue, const char *field[static 1],
                         struct hf_malformed *malformed)
{
    *field = "key";
    if (!hf_name_valid(fields->key)) {
        return refuse(malformed, "", HF_NAME_RULE);
    }
    if (!keep(command, fields->key, &queue->key, malformed)) {
        return false;
    }
    queue->key_hash = hash_of(queue->key);
    *field = "deliver_at";
    queue->has_deliver_at = hf_str_present(fields->deliver_at);
    return !queue->has_deliver_at || hf_time_parse(fields->deliver_at, &queue->deliver_at_us) ||
           refuse(malformed, "", HF_TIME_RULE);
}

static bool take_act(struct hf_command *command, const struct hf_act_fields *fields,
                     struct hf_act_item *item, const char *field[static 1],
                     struct hf_malformed *malformed)
{
    *field = "receipt";
    if (!hf_receipt_decode(fields->receipt, &item->receipt)) {
        return refuse(malformed, "", RECEIPT_RULE);
    }
    *field = "delay_ms";
    item->has_delay = fields->has_delay_ms;
    item->delay_ms = fields->has_delay_ms ? fields->delay_ms : 0;
    if (item->delay_ms > HF_BACKOFF_MS_MAX) {
        return refuse(malformed, "", DELAY_RULE);
    }
    *field = "error";
    if (!hf_str_present(fields->error)) {
        return true;
    }
    if (fields->error.len > HF_QUEUE_ERROR_BYTES_MAX) {
        return refuse(malformed, "", ERROR_RULE);
    }
    return keep(command, fields->error, &item->error, malformed);
}

bool hf_command_take_queue(struct hf_command *command, const struct hf_op_fields *fields,
                           struct hf_op *op, const char *field[static 1],
                           struct hf_malformed *malformed)
{
    struct hf_queue_op *queue = hf_arena_alloc_zero(&command->arena, 1, sizeof(*queue));
    op->queue = queue;
    *field = NULL;
    if (queue == NULL) {
        return hf_command_short_memory(malformed);
    }
    if (op->type == HF_OP_PUBLISH) {
        return take_publish(command, fields, queue, field, malformed);
    }
    struct hf_act_item *item = hf_arena_alloc_zero(&command->arena, 1, sizeof(*item));
    if (item == NULL) {
        return hf_command_short_memory(malformed);
    }
    struct hf_act_fields act = {.receipt = fields->receipt,
                                .error = fields->error,
                                .has_delay_ms = fields->has_delay_ms,
                                .delay_ms = fields->delay_ms};
    queue->act = op->type == HF_OP_ACK ? HF_ACT_ACK : HF_ACT_NACK;
    queue->item_count = 1;
    queue->items = item;
    return take_act(command, &act, item, field, malformed);
}

/* ---- with a route of its own ---- */

struct building {
    struct hf_command *command;
    const struct hf_queue_fields *fields;
    struct hf_op *op;
    struct hf_queue_op *queue;
    struct hf_malformed *malformed;
};

/* A number with a default, from min to max. */
static bool take_number(struct building *b, bool given, uint64_t value, uint64_t otherwise,
                        uint64_t min, uint64_t max, const char *pointer, uint64_t *to)
{
    *to = given ? value : otherwise;
    return (*to >= min && *to <= max) ||
           hf_malformed_set(b->malformed, HF_ERR_INVALID_REQUEST, pointer, "from %llu to %llu",
                            (unsigned long long)min, (unsigned long long)max);
}

/* One of a list of words, numbered from 1; absent: the default. */
static bool take_word(struct building *b, struct hf_str text, const char *const *words,
                      unsigned word_count, unsigned otherwise, const char *pointer, unsigned *to)
{
    *to = otherwise;
    if (!hf_str_present(text)) {
        return true;
    }
    for (unsigned i = 0; i < word_count; i++) {
        if (hf_str_equal(text, hf_str_from(words[i]))) {
            *to = i + 1;
            return true;
        }
    }
    return refuse(b->malformed, pointer, "there is no such choice: see docs/queues.md");
}

static bool take_lease(struct building *b, uint64_t *lease_ms)
{
    const struct hf_queue_fields *f = b->fields;
    return take_number(b, f->has_lease_ms, f->lease_ms, LEASE_MS_DEFAULT, HF_DELIVERY_MS_MIN,
                       HF_DELIVERY_MS_MAX, "/lease_ms", lease_ms);
}

static bool take_put(struct building *b)
{
    static const char *const orders[] = {"key", "none"};
    static const char *const ends[] = {"park_key", "park_message", "block"};
    const struct hf_queue_fields *f = b->fields;
    struct hf_subscription_settings *s = &b->queue->settings;
    if (hf_str_present(f->disable_reason)) {
        HF_CHECK(f->disable_reason.len <= HF_PUSH_REASON_BYTES_MAX);
        return keep(b->command, f->disable_reason, &b->queue->disable_reason, b->malformed);
    }
    unsigned order;
    unsigned exhausted;
    uint64_t attempts;
    uint64_t in_flight;
    if (!hf_filter_make(&f->filter, &b->command->arena, &s->filter, b->malformed) ||
        !take_word(b, f->order, orders, 2, HF_ORDER_KEY, "/order", &order) ||
        !take_word(b, f->exhausted, ends, 3,
                   order == HF_ORDER_KEY ? HF_EXHAUSTED_PARK_KEY : HF_EXHAUSTED_PARK_MESSAGE,
                   "/exhausted", &exhausted) ||
        !take_number(b, f->has_attempts_max, f->attempts_max, ATTEMPTS_DEFAULT, 1, HF_ATTEMPTS_MAX,
                     "/attempts_max", &attempts) ||
        !take_lease(b, &s->lease_ms) ||
        !take_number(b, f->has_backoff_first_ms, f->backoff_first_ms, BACKOFF_FIRST_MS_DEFAULT, 0,
                     HF_BACKOFF_MS_MAX, "/backoff/first_ms", &s->backoff_first_ms) ||
        !take_number(b, f->has_backoff_max_ms, f->backoff_max_ms,
                     hf_max_u64(BACKOFF_MAX_MS_DEFAULT, s->backoff_first_ms), s->backoff_first_ms,
                     HF_BACKOFF_MS_MAX, "/backoff/max_ms", &s->backoff_max_ms) ||
        !take_number(b, f->has_in_flight_max, f->in_flight_max, IN_FLIGHT_DEFAULT, 1,
                     HF_IN_FLIGHT_MAX, "/in_flight_max", &in_flight) ||
        !hf_push_make(&f->push, &b->command->arena, &s->push, b->malformed)) {
        return false;
    }
    if (order == HF_ORDER_NONE && exhausted == HF_EXHAUSTED_PARK_KEY) {
        return refuse(b->malformed, "/exhausted", "without order by key there is no key to park");
    }
    s->order = (enum hf_subscription_order)order;
    s->exhausted = (enum hf_exhausted)exhausted;
    s->attempts_max = (uint32_t)attempts;
    s->in_flight_max = (uint32_t)in_flight;
    s->lines_max = HF_QUEUE_LINES_MAX;
    b->queue->seek = f->seek;
    if (f->seek.kind == 0) {
        b->queue->seek.kind = HF_SEEK_BEGINNING;
    }
    return true;
}

static bool is_label(struct hf_str text, size_t bytes_max)
{
    bool visible = text.len > 0 && text.len <= bytes_max;
    for (size_t i = 0; visible && i < text.len; i++) {
        visible = text.ptr[i] > 0x20 && text.ptr[i] < 0x7F;
    }
    return visible;
}

static bool take_receive(struct building *b)
{
    const struct hf_queue_fields *f = b->fields;
    uint64_t max;
    uint64_t lease_ms;
    if (!take_number(b, f->has_max, f->max, RECEIVE_DEFAULT, 1, HF_RECEIVE_MAX, "/max", &max) ||
        !take_lease(b, &lease_ms)) {
        return false;
    }
    b->queue->max = (uint32_t)max;
    b->queue->pushes = f->pushes;
    b->op->has_timeout = f->has_lease_ms;
    b->op->timeout_ms = f->has_lease_ms ? lease_ms : 0;
    if (hf_str_present(f->consumer) &&
        (!is_label(f->consumer, HF_TYPE_BYTES_MAX)
             ? !refuse(b->malformed, "/consumer", CONSUMER_RULE)
             : !keep(b->command, f->consumer, &b->queue->consumer, b->malformed))) {
        return false;
    }
    if (!hf_str_present(f->attempt)) {
        return true;
    }
    if (!is_label(f->attempt, HF_ATTEMPT_BYTES_MAX)) {
        return refuse(b->malformed, "/attempt", "1 to 100 characters of U+0021 to U+007E");
    }
    char key[HF_KEY_BYTES_MAX + 1];
    int len = snprintf(key, sizeof(key), "receive %.*s %.*s", (int)b->op->subject.text.len,
                       b->op->subject.text.ptr, (int)f->attempt.len, f->attempt.ptr);
    return keep(b->command, f->attempt, &b->queue->attempt, b->malformed) &&
           keep(b->command, (struct hf_str){key, (size_t)len}, &b->command->key, b->malformed);
}

_Static_assert(sizeof("receive  ") - 1 + HF_NAME_BYTES_MAX + HF_ATTEMPT_BYTES_MAX <=
                   HF_KEY_BYTES_MAX,
               "the key of an attempt is a key");

static bool take_batch(struct building *b)
{
    const struct hf_queue_fields *f = b->fields;
    if (f->item_count == 0 || f->item_count > HF_RECEIVE_MAX) {
        return refuse(b->malformed, "/receipts", "from 1 to 1000 receipts");
    }
    struct hf_act_item *items =
        hf_arena_alloc_zero(&b->command->arena, f->item_count, sizeof(*items));
    if (items == NULL) {
        return hf_command_short_memory(b->malformed);
    }
    b->queue->act = f->act;
    b->queue->items = items;
    b->queue->item_count = f->item_count;
    if (f->act == HF_ACT_EXTEND) {
        b->op->has_timeout = true;
        if (!f->has_lease_ms) {
            return refuse(b->malformed, "/lease_ms", "extend needs the member lease_ms");
        }
        if (!take_lease(b, &b->op->timeout_ms)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < f->item_count; i++) {
        const char *field;
        if (!take_act(b->command, &f->items[i], &items[i], &field, b->malformed)) {
            (void)snprintf(b->malformed->pointer, sizeof(b->malformed->pointer), "/receipts/%u", i);
            return false;
        }
    }
    return true;
}

bool hf_message_id_parse(struct hf_str text, uint64_t *position, uint32_t *index)
{
    hf_u128 numbers[2] = {0};
    const char *dash =
        text.len == 0 || text.len > MESSAGE_ID_CHARS_MAX ? NULL : memchr(text.ptr, '-', text.len);
    if (dash == NULL) {
        return false;
    }
    size_t first = (size_t)(dash - text.ptr);
    if (!hf_u128_parse((struct hf_str){text.ptr, first}, &numbers[0]) ||
        !hf_u128_parse((struct hf_str){dash + 1, text.len - first - 1}, &numbers[1]) ||
        numbers[0] == 0 || numbers[0] > HF_JSON_INTEGER_MAX || numbers[1] > UINT32_MAX) {
        return false;
    }
    *position = (uint64_t)numbers[0];
    *index = (uint32_t)numbers[1];
    return true;
}

static bool take_redrive(struct building *b)
{
    const struct hf_queue_fields *f = b->fields;
    struct hf_redrive *r = &b->queue->redrive;
    bool message = hf_str_present(f->message);
    bool key = hf_str_present(f->key);
    if (message + key + f->all + f->cancel != 1) {
        return refuse(b->malformed, "", "redrive one of message, key, all, or cancel");
    }
    if ((f->has_rate_per_s || hf_str_present(f->error_contains)) && !f->all) {
        return refuse(b->malformed, "", "rate_per_s and error_contains go with all");
    }
    if (f->discard && !message && !key) {
        return refuse(b->malformed, "/discard", "discard a message, or those of a key");
    }
    r->what = message ? HF_REDRIVE_MESSAGE
                      : (key ? HF_REDRIVE_KEY : (f->all ? HF_REDRIVE_ALL : HF_REDRIVE_CANCEL));
    r->discard = f->discard;
    if (message && !hf_message_id_parse(f->message, &r->position, &r->index)) {
        return refuse(b->malformed, "/message", "a message is \"<position>-<index>\"");
    }
    if (key) {
        if (f->key.len == 0 || f->key.len > 16 + HF_NAME_BYTES_MAX) {
            return refuse(b->malformed, "/key", "a partition key has 1 to 144 bytes");
        }
        r->key_hash = hash_of(f->key);
        return keep(b->command, f->key, &r->key, b->malformed);
    }
    if (hf_str_present(f->error_contains)) {
        if (f->error_contains.len > HF_QUEUE_ERROR_BYTES_MAX) {
            return refuse(b->malformed, "/error_contains", "at most 512 bytes");
        }
        if (!keep(b->command, f->error_contains, &r->error_filter, b->malformed)) {
            return false;
        }
    }
    uint64_t rate = 0;
    bool ok = !f->has_rate_per_s ||
              take_number(b, true, f->rate_per_s, 0, 1, HF_REDRIVE_RATE_MAX, "/rate_per_s", &rate);
    r->rate_per_s = (uint32_t)rate;
    return ok;
}

static bool take_subscription(struct building *b)
{
    struct hf_str text = b->fields->subscription;
    if (!hf_name_valid(text)) {
        return refuse(b->malformed, "", HF_NAME_RULE);
    }
    struct hf_str copy;
    return keep(b->command, text, &copy, b->malformed) &&
           (hf_name_make(copy, &b->command->arena, &b->op->subject) ||
            hf_command_short_memory(b->malformed));
}

static bool take_own(struct building *b)
{
    switch ((unsigned)b->fields->type) {
    case HF_OP_PUT_SUBSCRIPTION:
        return take_put(b);
    case HF_OP_DELETE_SUBSCRIPTION:
        return true;
    case HF_OP_RECEIVE:
        return take_receive(b);
    case HF_OP_ACK_BATCH:
        return take_batch(b);
    case HF_OP_REDRIVE:
        return take_redrive(b);
    default:
        HF_CHECK(b->fields->type == HF_OP_SEEK && b->fields->seek.kind != 0);
        b->queue->seek = b->fields->seek;
        return true;
    }
}

bool hf_command_add_queue_op(struct hf_command *command, const struct hf_queue_fields *fields,
                             struct hf_malformed *malformed)
{
    HF_CHECK(command->op_count == 0);
    struct hf_op *op = hf_arena_alloc_zero(&command->arena, 1, sizeof(*op));
    struct hf_queue_op *queue = hf_arena_alloc_zero(&command->arena, 1, sizeof(*queue));
    if (op == NULL || queue == NULL) {
        return hf_command_short_memory(malformed);
    }
    op->type = fields->type;
    op->queue = queue;
    op->has_expected_version = fields->has_expected_version;
    op->expected_version = fields->has_expected_version ? fields->expected_version : 0;
    struct building b = {
        .command = command, .fields = fields, .op = op, .queue = queue, .malformed = malformed};
    if (!take_subscription(&b) || !take_own(&b) || !hf_command_encode_op(command, op, malformed)) {
        return false;
    }
    command->ops = op;
    command->op_capacity = 1;
    command->op_count = 1;
    return true;
}

/* ---- the frozen encoding ---- */

static void tag_text(struct hf_buffer *to, struct hf_str text)
{
    hf_buffer_u8(to, hf_str_present(text));
    if (hf_str_present(text)) {
        hf_buffer_str(to, text);
    }
}

static void encode_items(struct hf_buffer *to, const struct hf_queue_op *queue)
{
    hf_buffer_u8(to, (uint8_t)queue->act);
    hf_buffer_varint(to, queue->item_count);
    for (uint32_t i = 0; i < queue->item_count; i++) {
        const struct hf_act_item *item = &queue->items[i];
        const struct hf_receipt *receipt = &item->receipt;
        hf_buffer_varint(to, receipt->uid);
        hf_buffer_bytes(to, receipt->line.bytes, sizeof(receipt->line.bytes));
        hf_buffer_varint(to, receipt->number);
        hf_buffer_varint(to, receipt->token);
        hf_buffer_varint(to, receipt->position);
        hf_buffer_varint(to, receipt->index);
        hf_buffer_u8(to, item->has_delay);
        hf_buffer_varint(to, item->delay_ms);
        tag_text(to, item->error);
    }
}

static void encode_seek(struct hf_buffer *to, const struct hf_seek *seek)
{
    hf_buffer_u8(to, (uint8_t)seek->kind);
    hf_buffer_varint(to, seek->kind == HF_SEEK_POSITION ? seek->position : 0);
    hf_buffer_varint(to, seek->kind == HF_SEEK_TIME ? seek->time_us : 0);
}

static void encode_put(struct hf_buffer *to, const struct hf_queue_op *queue)
{
    struct hf_buffer no_payload;
    hf_buffer_init(&no_payload);
    struct hf_codec codec = {.out = to, .out_payload = &no_payload};
    struct hf_subscription_settings settings = queue->settings;
    if (hf_str_present(queue->disable_reason)) {
        hf_buffer_str(to, queue->disable_reason);
        return;
    }
    settings.lines_max = 1; /* nobody gave it */
    hf_code_settings(&codec, &settings);
    encode_seek(to, &queue->seek);
}

static void encode_redrive(struct hf_buffer *to, const struct hf_redrive *redrive)
{
    hf_buffer_u8(to, (uint8_t)redrive->what);
    hf_buffer_varint(to, redrive->position);
    hf_buffer_varint(to, redrive->index);
    tag_text(to, redrive->key);
    hf_buffer_varint(to, redrive->rate_per_s);
    tag_text(to, redrive->error_filter);
    hf_buffer_u8(to, redrive->discard);
}

void hf_command_encode_queue(struct hf_buffer *to, const struct hf_op *op)
{
    const struct hf_queue_op *queue = op->queue;
    switch ((unsigned)op->type) {
    case HF_OP_PUBLISH:
        hf_buffer_str(to, queue->key);
        hf_buffer_u8(to, queue->has_deliver_at);
        hf_buffer_varint(to, queue->deliver_at_us);
        return;
    case HF_OP_ACK:
    case HF_OP_NACK:
    case HF_OP_ACK_BATCH:
        encode_items(to, queue);
        return;
    case HF_OP_PUT_SUBSCRIPTION:
        encode_put(to, queue);
        return;
    case HF_OP_RECEIVE:
        hf_buffer_varint(to, queue->max);
        tag_text(to, queue->consumer);
        tag_text(to, queue->attempt);
        return;
    case HF_OP_REDRIVE:
        encode_redrive(to, &queue->redrive);
        return;
    case HF_OP_SEEK:
        encode_seek(to, &queue->seek);
        return;
    default:
        return; /* delete_subscription: its name */
    }
}
