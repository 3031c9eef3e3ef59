/* The events of topics and subscriptions as they are stored (docs/disk-format.md). */
#include "base/check.h"
#include "core/codec_priv.h"

#define KEY_HASH_BYTES 16u /* of an id in a list */

/* Smallest encodings of a list's items: a count beyond what is left is damage, not a reason to allocate. */
#define ARRIVAL_BYTES_MIN  19u
#define DELIVERY_BYTES_MIN 24u
#define SETTLED_BYTES_MIN  18u

static void code_id(struct hf_codec *codec, struct hf_id *id, const char *what)
{
    hf_code_bytes(codec, id->bytes, sizeof(id->bytes), what);
}

static void code_above_zero(struct hf_codec *codec, uint64_t *value, uint64_t max, const char *what)
{
    hf_code_u64(codec, value, max, what);
    if (*value == 0) {
        HF_CHECK(!hf_codec_writing(codec));
        hf_codec_fail(codec, what);
    }
}

static void code_number(struct hf_codec *codec, uint32_t *value, uint32_t min, uint32_t max,
                        const char *what)
{
    hf_code_u32(codec, value, max, what);
    if (*value < min) {
        HF_CHECK(!hf_codec_writing(codec));
        hf_codec_fail(codec, what);
    }
}

static void code_wide(struct hf_codec *codec, uint64_t *value, uint64_t min, uint64_t max,
                      const char *what)
{
    hf_code_u64(codec, value, max, what);
    if (*value < min) {
        HF_CHECK(!hf_codec_writing(codec));
        hf_codec_fail(codec, what);
    }
}

/* A text of at least one byte. */
static void code_label(struct hf_codec *codec, struct hf_str *text, size_t bytes_max,
                       const char *what)
{
    hf_code_text(codec, text, bytes_max, what);
    if (text->len == 0) {
        HF_CHECK(!hf_codec_writing(codec));
        hf_codec_fail(codec, what);
    }
}

/* A message's key: the syntax of a name, but no more than a text to all that is stored by it. */
static void code_key(struct hf_codec *codec, struct hf_str *key)
{
    code_label(codec, key, HF_NAME_BYTES_MAX, "message key");
    if (!hf_codec_writing(codec) && hf_codec_ok(codec) && !hf_name_valid(*key)) {
        hf_codec_fail(codec, "message key");
    }
}

/* The array of a list that is read: zeroed, in the arena. NULL: writing, or it failed. */
static void *list_of(struct hf_codec *codec, uint32_t count, size_t item_size, size_t bytes_min,
                     const char *what)
{
    if (hf_codec_writing(codec) || !hf_codec_ok(codec)) {
        return NULL;
    }
    if (count > hf_reader_left(&codec->in) / bytes_min) {
        hf_codec_fail(codec, what);
        return NULL;
    }
    void *list = hf_arena_alloc_zero(codec->arena, count, item_size);
    if (list == NULL) {
        codec->short_memory = true;
        hf_codec_fail(codec, what);
    }
    return list;
}

void hf_code_place(struct hf_codec *codec, struct hf_place *place)
{
    code_above_zero(codec, &place->position, UINT64_MAX, "message position");
    hf_code_u32(codec, &place->index, UINT32_MAX, "message index");
    hf_code_u32(codec, &place->bytes, HF_COMMIT_BYTES_MAX, "message bytes");
}

static void code_published(struct hf_codec *codec, struct hf_published *published)
{
    hf_code_name(codec, &published->topic, "topic");
    code_key(codec, &published->key);
    code_id(codec, &published->key_hash, "message key hash");
    code_label(codec, &published->type, HF_TYPE_BYTES_MAX, "message type");
    hf_code_bool(codec, &published->has_id, "message has id");
    if (published->has_id) {
        hf_code_name(codec, &published->id, "message id");
        hf_code_bytes(codec, published->content_hash, sizeof(published->content_hash),
                      "message content hash");
    }
    hf_code_u64(codec, &published->deliver_at_us, UINT64_MAX, "message deliver at");
    hf_code_payload(codec, &published->data, HF_DATA_BYTES_MAX, "message data");
    if (!hf_codec_writing(codec) && !hf_str_present(published->data.text)) {
        hf_codec_fail(codec, "message data");
    }
}

void hf_code_message_due(struct hf_codec *codec, struct hf_message_due *due)
{
    hf_code_place(codec, &due->message);
    hf_code_name(codec, &due->topic, "topic");
    code_key(codec, &due->key);
    code_id(codec, &due->key_hash, "message key hash");
    code_label(codec, &due->type, HF_TYPE_BYTES_MAX, "message type");
}

void hf_code_message(struct hf_codec *codec, struct hf_message *message)
{
    hf_code_name(codec, &message->name, "message id");
    hf_code_name(codec, &message->topic, "topic");
    code_key(codec, &message->key);
    code_above_zero(codec, &message->position, UINT64_MAX, "message position");
    hf_code_u32(codec, &message->index, UINT32_MAX, "message index");
}

/* ---- subscriptions ---- */

void hf_code_subscription_head(struct hf_codec *codec, struct hf_subscription_head *head)
{
    hf_code_name(codec, &head->name, "subscription");
    code_above_zero(codec, &head->uid, UINT64_MAX, "subscription uid");
    code_above_zero(codec, &head->version, UINT64_MAX, "subscription version");
    hf_code_u64(codec, &head->modified_at_us, UINT64_MAX, "subscription modified at");
}

/* The order's number says whether there is a push, too: those of before pushes stay as they were. */
static bool code_order(struct hf_codec *codec, struct hf_subscription_settings *settings)
{
    uint32_t number =
        (uint32_t)settings->order + (settings->push != NULL ? (uint32_t)HF_ORDER_NONE : 0);
    HF_CODE_ENUM(codec, number, 2 * HF_ORDER_NONE, "subscription order");
    bool has_push = number > HF_ORDER_NONE;
    settings->order = (enum hf_subscription_order)(number - (has_push ? HF_ORDER_NONE : 0));
    return has_push;
}

static void code_push(struct hf_codec *codec, struct hf_subscription_settings *settings)
{
    struct hf_push copy;
    if (hf_codec_writing(codec)) {
        copy = *settings->push;
        hf_code_push(codec, &copy);
        return;
    }
    struct hf_push *push = hf_arena_alloc_zero(codec->arena, 1, sizeof(*push));
    if (push == NULL) {
        codec->short_memory = true;
        hf_codec_fail(codec, "push");
        return;
    }
    hf_code_push(codec, push);
    settings->push = push;
}

void hf_code_settings(struct hf_codec *codec, struct hf_subscription_settings *settings)
{
    hf_code_filter(codec, &settings->filter);
    bool has_push = code_order(codec, settings);
    HF_CODE_ENUM(codec, settings->exhausted, HF_EXHAUSTED_BLOCK, "subscription exhausted");
    code_number(codec, &settings->attempts_max, 1, HF_ATTEMPTS_MAX, "attempts max");
    code_wide(codec, &settings->lease_ms, HF_DELIVERY_MS_MIN, HF_DELIVERY_MS_MAX, "lease");
    hf_code_u64(codec, &settings->backoff_first_ms, HF_BACKOFF_MS_MAX, "backoff first");
    code_wide(codec, &settings->backoff_max_ms, settings->backoff_first_ms, HF_BACKOFF_MS_MAX,
              "backoff max");
    code_number(codec, &settings->in_flight_max, 1, HF_IN_FLIGHT_MAX, "in flight max");
    code_number(codec, &settings->lines_max, 1, HF_QUEUE_LINES_MAX, "lines max");
    if (has_push && hf_codec_ok(codec)) {
        code_push(codec, settings);
    }
}

static void code_subscription(struct hf_codec *codec, struct hf_name *name, uint64_t *uid)
{
    hf_code_name(codec, name, "subscription");
    code_above_zero(codec, uid, UINT64_MAX, "subscription uid");
}

static void code_change(struct hf_codec *codec, struct hf_event *event)
{
    struct hf_subscription_change *change;
    struct hf_subscription_change copy;
    if (hf_codec_writing(codec)) {
        copy = *event->subscription;
        change = &copy;
    } else {
        change = hf_arena_alloc_zero(codec->arena, 1, sizeof(*change));
        event->subscription = change;
    }
    if (change == NULL) {
        codec->short_memory = true;
        hf_codec_fail(codec, "subscription");
        return;
    }
    code_subscription(codec, &change->subscription, &change->uid);
    code_above_zero(codec, &change->version, UINT64_MAX, "subscription version");
    if (event->type == HF_EVENT_SUBSCRIPTION_PUT) {
        hf_code_settings(codec, &change->settings);
    }
    if (event->type != HF_EVENT_SUBSCRIPTION_DELETED) {
        hf_code_u64(codec, &change->scanned, UINT64_MAX, "scanned position");
    }
}

static void code_scanned(struct hf_codec *codec, struct hf_scanned *scanned)
{
    code_subscription(codec, &scanned->subscription, &scanned->uid);
    hf_code_u64(codec, &scanned->from, UINT64_MAX - 1, "scanned from");
    if (!hf_codec_ok(codec)) {
        return;
    }
    code_wide(codec, &scanned->through, scanned->from + 1, UINT64_MAX, "scanned through");
    hf_code_u32(codec, &scanned->count, HF_SCAN_ARRIVALS_MAX, "arrivals");
    const struct hf_arrival *from = scanned->arrivals;
    struct hf_arrival *list =
        list_of(codec, scanned->count, sizeof(*list), ARRIVAL_BYTES_MIN, "arrivals");
    for (uint32_t i = 0; i < scanned->count && hf_codec_ok(codec); i++) {
        struct hf_arrival arrival = list == NULL ? from[i] : (struct hf_arrival){0};
        hf_code_place(codec, &arrival.message);
        code_id(codec, &arrival.key_hash, "arrival key hash");
        if (list != NULL) {
            list[i] = arrival;
        }
    }
    if (list != NULL) {
        scanned->arrivals = list;
    }
}

/* ---- deliveries ---- */

static bool is_main_line(const struct hf_id *line)
{
    static const struct hf_id main_line;
    return hf_id_equal(line, &main_line);
}

/* Taken from the line that it is in while out, or from the main line: a bool says which. */
static void code_delivery(struct hf_codec *codec, struct hf_delivery *delivery)
{
    code_id(codec, &delivery->line, "delivery line");
    bool from_main = !hf_id_equal(&delivery->line, &delivery->from_line);
    HF_CHECK(!hf_codec_writing(codec) || !from_main || is_main_line(&delivery->from_line));
    hf_code_bool(codec, &from_main, "delivery from line");
    if (!hf_codec_writing(codec) && !from_main) {
        delivery->from_line = delivery->line;
    }
    if (from_main && is_main_line(&delivery->line)) {
        hf_codec_fail(codec, "delivery from line");
    }
    code_above_zero(codec, &delivery->number, UINT64_MAX, "delivery number");
    hf_code_place(codec, &delivery->message);
    code_number(codec, &delivery->attempt, 1, UINT32_MAX, "delivery attempt");
    hf_code_u64(codec, &delivery->previous_position, UINT64_MAX, "delivery previous position");
    bool has_behind = delivery->behind.position != 0;
    hf_code_bool(codec, &has_behind, "delivery behind");
    if (has_behind) {
        hf_code_place(codec, &delivery->behind);
    }
}

static void code_delivered(struct hf_codec *codec, struct hf_delivered *delivered)
{
    code_subscription(codec, &delivered->subscription, &delivered->uid);
    hf_code_optional_text(codec, &delivered->consumer, HF_TYPE_BYTES_MAX, "consumer");
    hf_code_u64(codec, &delivered->lease_ms, HF_DELIVERY_MS_MAX, "delivery lease");
    hf_code_u64(codec, &delivered->deadline_us, UINT64_MAX, "delivery deadline");
    code_number(codec, &delivered->count, 1, HF_RECEIVE_MAX, "deliveries");
    const struct hf_delivery *from = delivered->deliveries;
    struct hf_delivery *list =
        list_of(codec, delivered->count, sizeof(*list), DELIVERY_BYTES_MIN, "deliveries");
    for (uint32_t i = 0; i < delivered->count && hf_codec_ok(codec); i++) {
        struct hf_delivery delivery = list == NULL ? from[i] : (struct hf_delivery){0};
        code_delivery(codec, &delivery);
        if (list != NULL) {
            list[i] = delivery;
        }
    }
    if (list != NULL) {
        delivered->deliveries = list;
    }
}

/* OK, or why an item of a batch was refused. */
static void code_item_code(struct hf_codec *codec, enum hf_err *code)
{
    uint32_t number = (uint32_t)*code;
    hf_code_u32(codec, &number, UINT16_MAX, "item code");
    if (!hf_err_known(number) || (number != HF_ERR_OK && number < HF_ERR_INVALID_REQUEST)) {
        HF_CHECK(!hf_codec_writing(codec));
        hf_codec_fail(codec, "item code");
        number = HF_ERR_OK;
    }
    *code = (enum hf_err)number;
}

static void code_settled_item(struct hf_codec *codec, struct hf_settled_item *item)
{
    code_item_code(codec, &item->code);
    code_id(codec, &item->line, "settled line");
    hf_code_u64(codec, &item->number, UINT64_MAX, "settled number");
    if (item->code != HF_ERR_OK || !hf_codec_ok(codec)) {
        return;
    }
    HF_CODE_ENUM(codec, item->settlement, HF_SETTLED_DISCARDED, "settlement");
    hf_code_place(codec, &item->message);
    hf_code_u64(codec, &item->token, UINT64_MAX, "settled token");
    hf_code_u32(codec, &item->tries, UINT32_MAX, "settled tries");
    hf_code_u64(codec, &item->previous_position, UINT64_MAX, "settled previous position");
    if (item->settlement == HF_SETTLED_ACKED) {
        hf_code_bool(codec, &item->repeated, "settled repeated");
    }
    bool backs_off =
        item->settlement == HF_SETTLED_NACKED || item->settlement == HF_SETTLED_TIMED_OUT;
    if (backs_off) {
        hf_code_u64(codec, &item->not_before_us, UINT64_MAX, "settled not before");
    }
    if (item->settlement == HF_SETTLED_PARKED) {
        hf_code_bool(codec, &item->own_line, "settled own line");
    }
    if (item->settlement == HF_SETTLED_NACKED || item->settlement == HF_SETTLED_PARKED) {
        hf_code_optional_text(codec, &item->error, HF_QUEUE_ERROR_BYTES_MAX, "settled error");
    }
}

static void code_settled(struct hf_codec *codec, struct hf_settled *settled)
{
    code_subscription(codec, &settled->subscription, &settled->uid);
    hf_code_bool(codec, &settled->batch, "settled batch");
    code_number(codec, &settled->count, 1, HF_COMMIT_OPERATIONS_MAX, "settled items");
    const struct hf_settled_item *from = settled->items;
    struct hf_settled_item *list =
        list_of(codec, settled->count, sizeof(*list), SETTLED_BYTES_MIN, "settled items");
    for (uint32_t i = 0; i < settled->count && hf_codec_ok(codec); i++) {
        struct hf_settled_item item = list == NULL ? from[i] : (struct hf_settled_item){0};
        code_settled_item(codec, &item);
        if (list != NULL) {
            list[i] = item;
        }
    }
    if (list != NULL) {
        settled->items = list;
    }
}

static void code_extended(struct hf_codec *codec, struct hf_extended *extended)
{
    code_subscription(codec, &extended->subscription, &extended->uid);
    code_item_code(codec, &extended->code);
    code_id(codec, &extended->line, "extended line");
    hf_code_u64(codec, &extended->number, UINT64_MAX, "extended number");
    if (extended->code == HF_ERR_OK) {
        hf_code_u64(codec, &extended->token, UINT64_MAX, "extended token");
        hf_code_u64(codec, &extended->lease_ms, HF_DELIVERY_MS_MAX, "extended lease");
        hf_code_u64(codec, &extended->deadline_us, UINT64_MAX, "extended deadline");
    }
}

static void code_redriven(struct hf_codec *codec, struct hf_redriven *redriven)
{
    code_subscription(codec, &redriven->subscription, &redriven->uid);
    HF_CODE_ENUM(codec, redriven->step, HF_REDRIVE_CANCELLED, "redrive step");
    if (!hf_codec_ok(codec) || redriven->step == HF_REDRIVE_CANCELLED) {
        return;
    }
    if (redriven->step == HF_REDRIVE_STARTED) {
        code_number(codec, &redriven->rate_per_s, 1, HF_REDRIVE_RATE_MAX, "redrive rate");
        hf_code_optional_text(codec, &redriven->error_filter, HF_QUEUE_ERROR_BYTES_MAX,
                              "redrive error filter");
        hf_code_u64(codec, &redriven->until_order, UINT64_MAX, "redrive until");
        hf_code_u64(codec, &redriven->total, UINT64_MAX, "redrive total");
        hf_code_u64(codec, &redriven->next_us, UINT64_MAX, "redrive next");
        return;
    }
    hf_code_u64(codec, &redriven->through_order, UINT64_MAX, "redrive through");
    if (redriven->step == HF_REDRIVE_MOVED && redriven->through_order != 0) {
        hf_code_u64(codec, &redriven->next_us, UINT64_MAX, "redrive next");
    }
    hf_code_u32(codec, &redriven->count, HF_COMMIT_OPERATIONS_MAX, "redriven lines");
    const struct hf_id *from = redriven->lines;
    struct hf_id *list =
        list_of(codec, redriven->count, sizeof(*list), KEY_HASH_BYTES, "redriven lines");
    for (uint32_t i = 0; i < redriven->count && hf_codec_ok(codec); i++) {
        struct hf_id line = list == NULL ? from[i] : (struct hf_id){{0}};
        code_id(codec, &line, "redriven line");
        if (list != NULL) {
            list[i] = line;
        }
    }
    if (list != NULL) {
        redriven->lines = list;
    }
}

void hf_code_queue_event(struct hf_codec *codec, struct hf_event *event)
{
    switch ((unsigned)event->type) {
    case HF_EVENT_MESSAGE_PUBLISHED:
        code_published(codec, &event->published);
        return;
    case HF_EVENT_MESSAGE_DUE:
        hf_code_message_due(codec, &event->due);
        return;
    case HF_EVENT_SUBSCRIPTION_PUT:
    case HF_EVENT_SUBSCRIPTION_DELETED:
    case HF_EVENT_SUBSCRIPTION_SOUGHT:
        code_change(codec, event);
        return;
    case HF_EVENT_SUBSCRIPTION_SCANNED:
        code_scanned(codec, &event->scanned);
        return;
    case HF_EVENT_MESSAGES_DELIVERED:
        code_delivered(codec, &event->delivered);
        return;
    case HF_EVENT_MESSAGES_SETTLED:
        code_settled(codec, &event->settled);
        return;
    case HF_EVENT_DELIVERY_EXTENDED:
        code_extended(codec, &event->extended);
        return;
    default:
        HF_CHECK(event->type == HF_EVENT_MESSAGES_REDRIVEN);
        code_redriven(codec, &event->redriven);
        return;
    }
}
