/*
 * The stored form of the events of topics and subscriptions: random ones come back as they were and
 * have one form; damaged ones are refused or are another valid event, never read beyond their end. tests/golden/
 * queue_events.txt freezes the bytes: "TYPE RECORD PAYLOAD" in hex. GOLDEN_WRITE=1 writes it (only before a release).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "core/commit.h"
#include "unit/support.h"

#define ROUNDS      3000
#define DAMAGED     4 /* of each round: a byte flipped, or cut */
#define LIST_MAX    5
#define TYPES_END   (HF_EVENT_MESSAGES_REDRIVEN + 1) /* of topics and subscriptions */
#define TYPES       (TYPES_END - HF_EVENT_MESSAGE_PUBLISHED)
#define GOLDEN_EACH 4 /* lines of each type */
#define LINE_BYTES  65536

struct random {
    uint64_t state;
};

static uint64_t next(struct random *r)
{
    r->state += 0x9E3779B97F4A7C15u;
    uint64_t x = r->state;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static uint64_t below(struct random *r, uint64_t limit)
{
    return next(r) % limit;
}

static bool flip(struct random *r)
{
    return below(r, 2) == 1;
}

/* Small, around a power of two, or the largest. */
static uint64_t number(struct random *r, uint64_t min, uint64_t max)
{
    uint64_t value = below(r, 4) == 0 ? max : next(r) >> below(r, 64);
    return value < min ? min : (value > max ? max : value);
}

static struct hf_str text(struct random *r, struct hf_arena *arena, size_t min, size_t max)
{
    size_t len = min + below(r, below(r, 8) == 0 ? max - min + 1 : (max - min < 9 ? 1 : 9));
    char *bytes = hf_arena_alloc(arena, len + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (char)('a' + below(r, 26));
    }
    bytes[len] = '\0';
    return (struct hf_str){bytes, len};
}

static struct hf_str maybe_text(struct random *r, struct hf_arena *arena, size_t max)
{
    return flip(r) ? HF_STR_NONE : text(r, arena, 0, max);
}

static struct hf_name name(struct random *r, struct hf_arena *arena)
{
    struct hf_name name;
    struct hf_str from = below(r, 6) == 0 ? HF_STR("6BA7B810-9dad-11d1-80b4-00c04fd430c8")
                                          : text(r, arena, 1, HF_NAME_BYTES_MAX);
    assert_true(hf_name_make(from, arena, &name));
    return name;
}

static struct hf_id id(struct random *r)
{
    struct hf_id id;
    for (size_t i = 0; i < sizeof(id.bytes); i++) {
        id.bytes[i] = (uint8_t)(1 + below(r, 255));
    }
    return id;
}

static struct hf_id key_hash(struct hf_str key)
{
    struct hf_hash hash = hf_sha256(key.ptr, key.len);
    struct hf_id id;
    memcpy(id.bytes, hash.bytes, sizeof(id.bytes));
    return id;
}

static struct hf_place place(struct random *r)
{
    return (struct hf_place){number(r, 1, UINT64_MAX), (uint32_t)number(r, 0, UINT32_MAX),
                             (uint32_t)number(r, 0, HF_COMMIT_BYTES_MAX)};
}

static void published(struct random *r, struct hf_arena *arena, struct hf_published *p)
{
    p->topic = name(r, arena);
    p->key = text(r, arena, 1, HF_NAME_BYTES_MAX);
    p->key_hash = key_hash(p->key);
    p->type = text(r, arena, 1, HF_TYPE_BYTES_MAX);
    p->has_id = flip(r);
    if (p->has_id) {
        p->id = name(r, arena);
        memset(p->content_hash, (int)below(r, 256), sizeof(p->content_hash));
    }
    p->deliver_at_us = flip(r) ? 0 : number(r, 1, UINT64_MAX);
    p->data.text = text(r, arena, 1, 2000);
    p->data.hash = hf_sha256(p->data.text.ptr, p->data.text.len);
}

static void filter(struct random *r, struct hf_arena *arena, struct hf_filter *f)
{
    const struct hf_str types[] = {HF_STR("order.*"), HF_STR("holdfast.transfer.posted"),
                                   HF_STR("a")};
    if (flip(r)) {
        f->topic = name(r, arena);
    }
    f->prefix = flip(r) ? HF_STR_NONE : HF_STR("streams/orders:");
    f->type_count = (uint32_t)below(r, HF_ARRAY_COUNT(types) + 1);
    for (uint32_t i = 0; i < f->type_count; i++) {
        f->types[i] = types[i];
    }
    f->has_asset = flip(r);
    if (f->has_asset) {
        assert_true(hf_asset_parse(HF_STR("USD/2"), &f->asset));
    }
    f->has_bucket = flip(r);
    if (f->has_bucket) {
        f->bucket_count = (uint32_t)number(r, 1, HF_FILTER_BUCKETS_MAX);
        f->bucket = (uint32_t)below(r, f->bucket_count);
    }
}

static const struct hf_subscription_change *change(struct random *r, struct hf_arena *arena,
                                                   enum hf_event_type type)
{
    struct hf_subscription_change *c = hf_arena_alloc_zero(arena, 1, sizeof(*c));
    assert_non_null(c);
    c->subscription = name(r, arena);
    c->uid = number(r, 1, UINT64_MAX);
    c->version = number(r, 1, UINT64_MAX);
    if (type == HF_EVENT_SUBSCRIPTION_PUT) {
        struct hf_subscription_settings *s = &c->settings;
        filter(r, arena, &s->filter);
        s->order = flip(r) ? HF_ORDER_KEY : HF_ORDER_NONE;
        s->exhausted = (enum hf_exhausted)(1 + below(r, 3));
        s->attempts_max = (uint32_t)number(r, 1, HF_ATTEMPTS_MAX);
        s->lease_ms = number(r, HF_DELIVERY_MS_MIN, HF_DELIVERY_MS_MAX);
        s->backoff_first_ms = number(r, 0, HF_BACKOFF_MS_MAX);
        s->backoff_max_ms = number(r, s->backoff_first_ms, HF_BACKOFF_MS_MAX);
        s->in_flight_max = (uint32_t)number(r, 1, HF_IN_FLIGHT_MAX);
        s->lines_max = (uint32_t)number(r, 1, HF_QUEUE_LINES_MAX);
    }
    if (type != HF_EVENT_SUBSCRIPTION_DELETED) {
        c->scanned = number(r, 0, UINT64_MAX);
    }
    return c;
}

static void scanned(struct random *r, struct hf_arena *arena, struct hf_scanned *s)
{
    struct hf_arrival *list = hf_arena_alloc_zero(arena, LIST_MAX, sizeof(*list));
    assert_non_null(list);
    s->subscription = name(r, arena);
    s->uid = number(r, 1, UINT64_MAX);
    s->from = number(r, 0, UINT64_MAX - 1);
    s->through = number(r, s->from + 1, UINT64_MAX);
    s->count = (uint32_t)below(r, LIST_MAX + 1);
    for (uint32_t i = 0; i < s->count; i++) {
        list[i] = (struct hf_arrival){place(r), id(r)};
    }
    s->arrivals = list;
}

static void delivered(struct random *r, struct hf_arena *arena, struct hf_delivered *d)
{
    struct hf_delivery *list = hf_arena_alloc_zero(arena, LIST_MAX, sizeof(*list));
    assert_non_null(list);
    d->subscription = name(r, arena);
    d->uid = number(r, 1, UINT64_MAX);
    d->consumer = maybe_text(r, arena, HF_TYPE_BYTES_MAX);
    d->lease_ms = number(r, 0, HF_DELIVERY_MS_MAX);
    d->deadline_us = number(r, 0, UINT64_MAX);
    d->count = (uint32_t)(1 + below(r, LIST_MAX));
    for (uint32_t i = 0; i < d->count; i++) {
        list[i].line = id(r);
        list[i].from_line = flip(r) ? list[i].line : (struct hf_id){{0}};
        list[i].number = number(r, 1, UINT64_MAX);
        list[i].message = place(r);
        list[i].attempt = (uint32_t)number(r, 1, UINT32_MAX);
        list[i].previous_position = number(r, 0, UINT64_MAX);
        if (flip(r)) {
            list[i].behind = place(r);
        }
    }
    d->deliveries = list;
}

static void settled_item(struct random *r, struct hf_arena *arena, struct hf_settled_item *item)
{
    item->line = id(r);
    item->number = number(r, 0, UINT64_MAX);
    if (below(r, 4) == 0) {
        item->code = flip(r) ? HF_ERR_STALE_RECEIPT : HF_ERR_ACK_OUT_OF_ORDER;
        return;
    }
    item->settlement = (enum hf_settlement)(1 + below(r, HF_SETTLED_DISCARDED));
    item->message = place(r);
    item->token = number(r, 0, UINT64_MAX);
    item->tries = (uint32_t)number(r, 0, UINT32_MAX);
    item->previous_position = number(r, 0, UINT64_MAX);
    item->repeated = item->settlement == HF_SETTLED_ACKED && flip(r);
    item->own_line = item->settlement == HF_SETTLED_PARKED && flip(r);
    if (item->settlement == HF_SETTLED_NACKED || item->settlement == HF_SETTLED_TIMED_OUT) {
        item->not_before_us = number(r, 0, UINT64_MAX);
    }
    if (item->settlement == HF_SETTLED_NACKED || item->settlement == HF_SETTLED_PARKED) {
        item->error = maybe_text(r, arena, HF_QUEUE_ERROR_BYTES_MAX);
    }
}

static void settled(struct random *r, struct hf_arena *arena, struct hf_settled *s)
{
    struct hf_settled_item *list = hf_arena_alloc_zero(arena, LIST_MAX, sizeof(*list));
    assert_non_null(list);
    s->subscription = name(r, arena);
    s->uid = number(r, 1, UINT64_MAX);
    s->batch = flip(r);
    s->count = (uint32_t)(1 + below(r, LIST_MAX));
    for (uint32_t i = 0; i < s->count; i++) {
        settled_item(r, arena, &list[i]);
    }
    s->items = list;
}

static void extended(struct random *r, struct hf_arena *arena, struct hf_extended *e)
{
    e->subscription = name(r, arena);
    e->uid = number(r, 1, UINT64_MAX);
    e->line = id(r);
    e->number = number(r, 0, UINT64_MAX);
    e->code = flip(r) ? HF_ERR_OK : HF_ERR_STALE_RECEIPT;
    if (e->code == HF_ERR_OK) {
        e->token = number(r, 0, UINT64_MAX);
        e->lease_ms = number(r, 0, HF_DELIVERY_MS_MAX);
        e->deadline_us = number(r, 0, UINT64_MAX);
    }
}

static void redriven(struct random *r, struct hf_arena *arena, struct hf_redriven *d)
{
    struct hf_id *list = hf_arena_alloc_zero(arena, LIST_MAX, sizeof(*list));
    assert_non_null(list);
    d->subscription = name(r, arena);
    d->uid = number(r, 1, UINT64_MAX);
    d->step = (enum hf_redrive_step)(1 + below(r, HF_REDRIVE_CANCELLED));
    if (d->step == HF_REDRIVE_STARTED) {
        d->rate_per_s = (uint32_t)number(r, 1, HF_REDRIVE_RATE_MAX);
        d->error_filter = maybe_text(r, arena, HF_QUEUE_ERROR_BYTES_MAX);
        d->until_order = number(r, 0, UINT64_MAX);
        d->total = number(r, 0, UINT64_MAX);
        d->next_us = number(r, 0, UINT64_MAX);
    } else if (d->step != HF_REDRIVE_CANCELLED) {
        d->through_order = flip(r) ? 0 : number(r, 1, UINT64_MAX);
        if (d->step == HF_REDRIVE_MOVED && d->through_order != 0) {
            d->next_us = number(r, 0, UINT64_MAX);
        }
        d->count = (uint32_t)below(r, LIST_MAX + 1);
        for (uint32_t i = 0; i < d->count; i++) {
            list[i] = id(r);
        }
    }
    d->lines = list;
}

static struct hf_event *random_event(struct random *r, struct hf_arena *arena,
                                     enum hf_event_type type)
{
    struct hf_event *event = hf_arena_alloc_zero(arena, 1, sizeof(*event));
    assert_non_null(event);
    event->type = type;
    event->operation = flip(r) ? HF_NO_OPERATION : (uint32_t)below(r, 100);
    switch ((unsigned)event->type) {
    case HF_EVENT_MESSAGE_PUBLISHED:
        published(r, arena, &event->published);
        break;
    case HF_EVENT_MESSAGE_DUE:
        event->due = (struct hf_message_due){.message = place(r), .topic = name(r, arena)};
        event->due.key = text(r, arena, 1, HF_NAME_BYTES_MAX);
        event->due.key_hash = key_hash(event->due.key);
        event->due.type = text(r, arena, 1, HF_TYPE_BYTES_MAX);
        break;
    case HF_EVENT_SUBSCRIPTION_SCANNED:
        scanned(r, arena, &event->scanned);
        break;
    case HF_EVENT_MESSAGES_DELIVERED:
        delivered(r, arena, &event->delivered);
        break;
    case HF_EVENT_MESSAGES_SETTLED:
        settled(r, arena, &event->settled);
        break;
    case HF_EVENT_DELIVERY_EXTENDED:
        extended(r, arena, &event->extended);
        break;
    case HF_EVENT_MESSAGES_REDRIVEN:
        redriven(r, arena, &event->redriven);
        break;
    default:
        event->subscription = change(r, arena, event->type);
        break;
    }
    return event;
}

static struct hf_commit commit_of(struct hf_event **events, uint32_t count)
{
    return (struct hf_commit){.position = 7,
                              .time_us = 1600000000000000u,
                              .origin = HF_ORIGIN_SYSTEM,
                              .event_count = count,
                              .events = events};
}

static enum hf_err decode(const uint8_t *frame, size_t record_bytes, size_t payload_bytes,
                          struct hf_arena *arena, struct hf_commit *commit)
{
    return hf_commit_decode(frame + 8, record_bytes, frame + 8 + record_bytes, payload_bytes, arena,
                            commit, NULL);
}

/* A frame with one byte changed, or its record cut: refused, or another commit that has one form too. */
static void damage(struct random *r, const struct hf_buffer *frame, struct hf_arena *arena)
{
    size_t record_bytes = hf_get_u32(frame->data);
    size_t payload_bytes = hf_get_u32(frame->data + 4);
    uint8_t *copy = malloc(frame->size_bytes); /* its own block, so that a read beyond it is seen */
    assert_non_null(copy);
    memcpy(copy, frame->data, frame->size_bytes);
    struct hf_commit commit;
    if (flip(r)) {
        size_t cut = below(r, record_bytes);
        assert_int_not_equal(hf_commit_decode(copy + 8, cut, copy + 8, 0, arena, &commit, NULL),
                             HF_ERR_OK);
    } else {
        copy[8 + below(r, record_bytes)] ^= (uint8_t)(1u << below(r, 8));
        enum hf_err err = decode(copy, record_bytes, payload_bytes, arena, &commit);
        if (err == HF_ERR_OK) {
            struct hf_buffer again;
            hf_buffer_init(&again);
            assert_true(hf_commit_encode(&commit, &again));
            assert_int_equal(again.size_bytes, frame->size_bytes);
            assert_memory_equal(again.data, copy, frame->size_bytes);
            hf_buffer_release(&again);
        } else {
            assert_int_equal(err, HF_ERR_CORRUPT);
        }
    }
    free(copy);
}

static void random_events_come_back(void **state)
{
    (void)state;
    struct random r = {.state = 4};
    uint64_t seen[TYPES_END] = {0};
    for (int round = 0; round < ROUNDS; round++) {
        struct hf_arena arena;
        hf_arena_init(&arena);
        struct hf_event *events[3];
        uint32_t count = (uint32_t)(1 + below(&r, HF_ARRAY_COUNT(events)));
        for (uint32_t i = 0; i < count; i++) {
            events[i] = random_event(
                &r, &arena, (enum hf_event_type)(HF_EVENT_MESSAGE_PUBLISHED + below(&r, TYPES)));
            seen[events[i]->type]++;
        }
        struct hf_commit commit = commit_of(events, count);
        struct hf_buffer frame;
        struct hf_buffer again;
        hf_buffer_init(&frame);
        hf_buffer_init(&again);
        assert_true(hf_commit_encode(&commit, &frame));
        struct hf_commit decoded;
        assert_int_equal(decode(frame.data, hf_get_u32(frame.data), hf_get_u32(frame.data + 4),
                                &arena, &decoded),
                         HF_ERR_OK);
        assert_int_equal(decoded.event_count, count);
        assert_int_equal(hf_commit_verify_texts(&decoded, NULL), HF_ERR_OK);
        assert_true(hf_commit_encode(&decoded, &again));
        assert_int_equal(again.size_bytes, frame.size_bytes);
        assert_memory_equal(again.data, frame.data, frame.size_bytes);
        for (int i = 0; i < DAMAGED; i++) {
            damage(&r, &frame, &arena);
        }
        hf_buffer_release(&frame);
        hf_buffer_release(&again);
        hf_arena_release(&arena);
    }
    for (int type = HF_EVENT_MESSAGE_PUBLISHED; type < TYPES_END; type++) {
        assert_true(seen[type] > 50);
    }
}

/* What the fields say comes back, not only the same bytes. */
static void fields_are_kept(void **state)
{
    (void)state;
    struct hf_arena arena;
    hf_arena_init(&arena);
    struct hf_settled_item items[] = {
        {.settlement = HF_SETTLED_ACKED,
         .line = {{1}},
         .number = 3,
         .message = {5, 1, 9},
         .token = 8,
         .previous_position = 8,
         .repeated = true},
        {.settlement = HF_SETTLED_PARKED,
         .line = {{2}},
         .number = 1,
         .message = {6, 0, 2},
         .token = 8,
         .tries = 6,
         .own_line = true,
         .error = HF_STR("no such card")},
        {.code = HF_ERR_STALE_RECEIPT, .line = {{3}}, .number = 77},
    };
    struct hf_event event = {.type = HF_EVENT_MESSAGES_SETTLED, .operation = 2};
    assert_true(hf_name_make(HF_STR("mail"), &arena, &event.settled.subscription));
    event.settled.uid = 4;
    event.settled.batch = true;
    event.settled.count = HF_ARRAY_COUNT(items);
    event.settled.items = items;
    struct hf_event *events[] = {&event};
    struct hf_commit commit = commit_of(events, 1);
    struct hf_commit decoded;
    struct hf_buffer frame;
    hf_buffer_init(&frame);
    assert_true(hf_commit_encode(&commit, &frame));
    assert_int_equal(decode(frame.data, hf_get_u32(frame.data), 0, &arena, &decoded), HF_ERR_OK);
    const struct hf_settled *back = &decoded.events[0]->settled;
    assert_int_equal(decoded.events[0]->operation, 2);
    assert_int_equal(back->uid, 4);
    assert_true(back->batch);
    assert_int_equal(back->count, 3);
    assert_true(back->items[0].repeated);
    assert_int_equal(back->items[0].message.index, 1);
    assert_int_equal(back->items[0].token, 8);
    assert_int_equal(back->items[1].settlement, HF_SETTLED_PARKED);
    assert_true(back->items[1].own_line);
    assert_int_equal(back->items[1].tries, 6);
    assert_true(hf_str_equal(back->items[1].error, HF_STR("no such card")));
    assert_int_equal(back->items[2].code, HF_ERR_STALE_RECEIPT);
    assert_int_equal(back->items[2].number, 77);
    assert_int_equal(back->items[2].line.bytes[0], 3);
    hf_buffer_release(&frame);
    hf_arena_release(&arena);
}

/* A key hash that is another key's, an id that is another name's: verification sees it. */
static void verification_sees_other_names(void **state)
{
    (void)state;
    struct hf_arena arena;
    hf_arena_init(&arena);
    struct random r = {.state = 1};
    struct hf_event event = {.type = HF_EVENT_MESSAGE_PUBLISHED};
    struct hf_event *events[] = {&event};
    struct hf_commit commit = commit_of(events, 1);
    published(&r, &arena, &event.published);
    assert_int_equal(hf_commit_verify_texts(&commit, NULL), HF_ERR_OK);
    struct hf_published good = event.published;
    event.published.key_hash.bytes[15] ^= 1;
    assert_int_equal(hf_commit_verify_texts(&commit, NULL), HF_ERR_CORRUPT);
    event.published = good;
    event.published.topic.id.bytes[0] ^= 1;
    assert_int_equal(hf_commit_verify_texts(&commit, NULL), HF_ERR_CORRUPT);
    event.published = good;
    event.published.data.hash.bytes[0] ^= 1;
    assert_int_equal(hf_commit_verify_texts(&commit, NULL), HF_ERR_CORRUPT);
    hf_arena_release(&arena);
}

/* ---- golden lines ---- */

static void put_hex(FILE *file, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        (void)fprintf(file, "%02x", bytes[i]);
    }
}

/* (Before a release.) */
static void write_golden(FILE *file)
{
    struct random r = {.state = 2024};
    for (int i = 0; i < (int)TYPES * GOLDEN_EACH; i++) {
        struct hf_arena arena;
        hf_arena_init(&arena);
        struct hf_event *event = random_event(
            &r, &arena, (enum hf_event_type)(HF_EVENT_MESSAGE_PUBLISHED + i / GOLDEN_EACH));
        struct hf_commit commit = commit_of(&event, 1);
        struct hf_buffer frame;
        hf_buffer_init(&frame);
        assert_true(hf_commit_encode(&commit, &frame));
        size_t record_bytes = hf_get_u32(frame.data);
        (void)fprintf(file, "%d ", (int)event->type);
        put_hex(file, frame.data + 8, record_bytes);
        (void)fprintf(file, " -");
        put_hex(file, frame.data + 8 + record_bytes, frame.size_bytes - 8 - record_bytes);
        (void)fprintf(file, "\n");
        hf_buffer_release(&frame);
        hf_arena_release(&arena);
    }
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1);
}

static size_t unhex(const char *text, uint8_t *to)
{
    size_t size = 0;
    for (; digit_of(text[0]) >= 0 && digit_of(text[1]) >= 0; text += 2) {
        to[size++] = (uint8_t)(digit_of(text[0]) * 16 + digit_of(text[1]));
    }
    return size;
}

/* A line is decoded, has the names and hashes that it says, and encodes to the same bytes. Returns its type. */
static enum hf_event_type read_line(const char *line)
{
    static uint8_t bytes[LINE_BYTES];
    struct hf_arena arena;
    hf_arena_init(&arena);
    size_t record_bytes = unhex(strchr(line, ' ') + 1, bytes);
    size_t payload_bytes = unhex(strchr(line, '-') + 1, bytes + record_bytes);
    struct hf_commit commit;
    assert_int_equal(hf_commit_decode(bytes, record_bytes, bytes + record_bytes, payload_bytes,
                                      &arena, &commit, NULL),
                     HF_ERR_OK);
    assert_int_equal(hf_commit_verify_texts(&commit, NULL), HF_ERR_OK);
    enum hf_event_type type = commit.events[0]->type;
    assert_int_equal(type, strtol(line, NULL, 10));
    struct hf_buffer again;
    hf_buffer_init(&again);
    assert_true(hf_commit_encode(&commit, &again));
    assert_int_equal(again.size_bytes, 8 + record_bytes + payload_bytes);
    assert_memory_equal(again.data + 8, bytes, record_bytes + payload_bytes);
    hf_buffer_release(&again);
    hf_arena_release(&arena);
    return type;
}

static void stored_events_are_read_for_ever(void **state)
{
    (void)state;
    const char *path = getenv("GOLDEN_QUEUE_EVENTS");
    assert_non_null(path);
    FILE *file = fopen(path, getenv("GOLDEN_WRITE") != NULL ? "w+" : "r");
    assert_non_null(file);
    if (getenv("GOLDEN_WRITE") != NULL) {
        write_golden(file);
        rewind(file);
    }
    static char line[LINE_BYTES];
    int seen[TYPES_END] = {0};
    while (fgets(line, sizeof(line), file) != NULL) {
        seen[read_line(line)]++;
    }
    (void)fclose(file);
    for (int type = HF_EVENT_MESSAGE_PUBLISHED; type < TYPES_END; type++) {
        assert_true(seen[type] >= GOLDEN_EACH);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_events_are_read_for_ever),
        cmocka_unit_test(random_events_come_back),
        cmocka_unit_test(fields_are_kept),
        cmocka_unit_test(verification_sees_other_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
