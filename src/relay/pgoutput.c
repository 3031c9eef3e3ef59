/* Strict readers of what PostgreSQL sends, and the one message that is sent back. */
#include "relay/pgoutput.h"

#include <inttypes.h>

#define US_FROM_1970_TO_2000 946684800000000ll

/* Big-endian, unlike Holdfast's own formats. Failed once, it stays so and gives zeros. */
struct reading {
    const uint8_t *next;
    const uint8_t *end;
    const char *why; /* NULL: all is well */
};

static struct reading reading_over(struct hf_str bytes)
{
    const uint8_t *start = (const uint8_t *)bytes.ptr;
    return (struct reading){.next = start, .end = start == NULL ? NULL : start + bytes.len};
}

static size_t left(const struct reading *reading)
{
    return (size_t)(reading->end - reading->next);
}

static bool refuse(struct reading *reading, const char *why)
{
    if (reading->why == NULL) {
        reading->why = why;
        reading->next = reading->end;
    }
    return false;
}

static uint64_t take_number(struct reading *reading, size_t size_bytes)
{
    uint64_t value = 0;
    if (left(reading) < size_bytes) {
        (void)refuse(reading, "it is too short");
        return 0;
    }
    for (size_t i = 0; i < size_bytes; i++) {
        value = value << 8 | *reading->next++;
    }
    return value;
}

static uint8_t take_u8(struct reading *reading)
{
    return (uint8_t)take_number(reading, 1);
}

static uint32_t take_u32(struct reading *reading)
{
    return (uint32_t)take_number(reading, 4);
}

static uint64_t take_u64(struct reading *reading)
{
    return take_number(reading, 8);
}

static struct hf_str take_bytes(struct reading *reading, size_t size_bytes)
{
    if (left(reading) < size_bytes) {
        (void)refuse(reading, "it is too short");
        return HF_STR("");
    }
    struct hf_str bytes = {(const char *)reading->next, size_bytes};
    reading->next += size_bytes;
    return bytes;
}

/* A text with a NUL behind it. */
static struct hf_str take_text(struct reading *reading)
{
    size_t room = left(reading);
    const uint8_t *nul = room == 0 ? NULL : memchr(reading->next, 0, room);
    if (nul == NULL) {
        (void)refuse(reading, "a name has no end");
        return HF_STR("");
    }
    struct hf_str text = take_bytes(reading, (size_t)(nul - reading->next));
    reading->next++;
    return text;
}

/* µs since 2000, signed. */
static uint64_t take_time(struct reading *reading)
{
    int64_t since_2000 = (int64_t)take_u64(reading);
    bool early = since_2000 < -US_FROM_1970_TO_2000;
    bool late = since_2000 > INT64_MAX - US_FROM_1970_TO_2000;
    return early || late ? 0 : (uint64_t)(since_2000 + US_FROM_1970_TO_2000);
}

static void skip_value(struct reading *reading)
{
    switch (take_u8(reading)) {
    case HF_PGOUTPUT_NULL:
    case HF_PGOUTPUT_UNCHANGED:
        break;
    case HF_PGOUTPUT_TEXT:
    case HF_PGOUTPUT_BINARY:
        (void)take_bytes(reading, take_u32(reading));
        break;
    default:
        (void)refuse(reading, "a value of an unknown kind");
        break;
    }
}

static void skip_column(struct reading *reading)
{
    if (take_u8(reading) > 1) {
        (void)refuse(reading, "a column with unknown flags");
    }
    (void)take_text(reading);
    (void)take_number(reading, 8);
}

static struct hf_pgoutput_list take_list(struct reading *reading, uint32_t count,
                                         void (*skip)(struct reading *))
{
    const uint8_t *start = reading->next;
    if (count > HF_PGOUTPUT_COLUMNS_MAX) {
        (void)refuse(reading, "too many columns");
    }
    for (uint32_t i = 0; i < count && reading->why == NULL; i++) {
        skip(reading);
    }
    if (reading->why != NULL) {
        return (struct hf_pgoutput_list){0, HF_STR("")};
    }
    return (struct hf_pgoutput_list){count, {(const char *)start, (size_t)(reading->next - start)}};
}

static struct hf_pgoutput_list take_tuple(struct reading *reading)
{
    return take_list(reading, (uint32_t)take_number(reading, 2), skip_value);
}

/* ---- the messages ---- */

static void parse_relation(struct reading *reading, struct hf_pgoutput_message *message)
{
    message->relation = take_u32(reading);
    message->schema = take_text(reading);
    message->name = take_text(reading);
    uint8_t identity = take_u8(reading);
    if (reading->why == NULL && (identity == 0 || strchr("dnfi", identity) == NULL)) {
        (void)refuse(reading, "an unknown replica identity");
    }
    message->columns = take_list(reading, (uint32_t)take_number(reading, 2), skip_column);
}

static void parse_update(struct reading *reading, struct hf_pgoutput_message *message)
{
    message->relation = take_u32(reading);
    uint8_t mark = take_u8(reading);
    if (mark == 'K' || mark == 'O') {
        message->old = take_tuple(reading);
        mark = take_u8(reading);
    }
    if (mark != 'N') {
        (void)refuse(reading, "an update without the new row");
    }
    message->tuple = take_tuple(reading);
}

static void parse_row(struct reading *reading, struct hf_pgoutput_message *message)
{
    bool insert = message->kind == HF_PGOUTPUT_INSERT;
    message->relation = take_u32(reading);
    uint8_t mark = take_u8(reading);
    if (insert ? mark != 'N' : mark != 'K' && mark != 'O') {
        (void)refuse(reading, "no row where one must be");
    }
    message->tuple = take_tuple(reading);
}

static void parse_truncate(struct reading *reading, struct hf_pgoutput_message *message)
{
    uint32_t count = take_u32(reading);
    if (take_u8(reading) > 3) {
        (void)refuse(reading, "a truncate with unknown flags");
    }
    if (left(reading) != (uint64_t)count * 4) {
        (void)refuse(reading, "a truncate of another length");
        return;
    }
    message->relations.count = count;
    message->relations.bytes = take_bytes(reading, (size_t)count * 4);
}

static void parse_message(struct reading *reading, struct hf_pgoutput_message *message)
{
    if (take_u8(reading) > 1) {
        (void)refuse(reading, "a message with unknown flags");
    }
    message->commit = take_u64(reading);
    message->name = take_text(reading);
    (void)take_bytes(reading, take_u32(reading));
}

static void parse_kind(struct reading *reading, struct hf_pgoutput_message *message)
{
    switch (message->kind) {
    case HF_PGOUTPUT_BEGIN:
        message->commit = take_u64(reading);
        message->time_us = take_time(reading);
        message->xid = take_u32(reading);
        break;
    case HF_PGOUTPUT_COMMIT:
        if (take_u8(reading) != 0) {
            (void)refuse(reading, "a commit with unknown flags");
        }
        message->commit = take_u64(reading);
        message->end = take_u64(reading);
        message->time_us = take_time(reading);
        break;
    case HF_PGOUTPUT_ORIGIN:
        message->commit = take_u64(reading);
        message->name = take_text(reading);
        break;
    case HF_PGOUTPUT_RELATION:
        parse_relation(reading, message);
        break;
    case HF_PGOUTPUT_TYPE:
        (void)take_u32(reading);
        message->schema = take_text(reading);
        message->name = take_text(reading);
        break;
    case HF_PGOUTPUT_INSERT:
    case HF_PGOUTPUT_DELETE:
        parse_row(reading, message);
        break;
    case HF_PGOUTPUT_UPDATE:
        parse_update(reading, message);
        break;
    case HF_PGOUTPUT_TRUNCATE:
        parse_truncate(reading, message);
        break;
    case HF_PGOUTPUT_MESSAGE:
        parse_message(reading, message);
        break;
    default:
        (void)refuse(reading, "a message of an unknown kind");
        break;
    }
}

static bool finish(struct reading *reading, const char **why)
{
    if (reading->why == NULL && left(reading) > 0) {
        reading->why = "it is too long";
    }
    *why = reading->why;
    return reading->why == NULL;
}

bool hf_pgoutput_open(struct hf_str copy_data, struct hf_pgoutput_envelope *envelope,
                      const char **why)
{
    struct reading reading = reading_over(copy_data);
    *envelope = (struct hf_pgoutput_envelope){0};
    switch (take_u8(&reading)) {
    case 'w':
        envelope->data = true;
        envelope->start = take_u64(&reading);
        envelope->end = take_u64(&reading);
        (void)take_u64(&reading);
        envelope->body = take_bytes(&reading, left(&reading));
        break;
    case 'k': {
        envelope->end = take_u64(&reading);
        (void)take_u64(&reading);
        uint8_t wanted = take_u8(&reading);
        envelope->reply_wanted = wanted == 1;
        if (wanted > 1) {
            (void)refuse(&reading, "a keepalive with unknown flags");
        }
        break;
    }
    default:
        (void)refuse(&reading, "an envelope of an unknown kind");
        break;
    }
    return finish(&reading, why);
}

bool hf_pgoutput_parse(struct hf_str body, struct hf_pgoutput_message *message, const char **why)
{
    struct reading reading = reading_over(body);
    *message = (struct hf_pgoutput_message){0};
    message->kind = (enum hf_pgoutput_kind)take_u8(&reading);
    parse_kind(&reading, message);
    return finish(&reading, why);
}

/* ---- lists ---- */

/* A reader over what is left of a list that has been checked; false at its end. */
static bool begin_next(struct hf_pgoutput_list *list, struct reading *reading)
{
    *reading = reading_over(list->bytes);
    return list->count > 0;
}

static void end_next(struct hf_pgoutput_list *list, const struct reading *reading)
{
    list->count--;
    list->bytes = (struct hf_str){(const char *)reading->next, left(reading)};
}

bool hf_pgoutput_next_column(struct hf_pgoutput_list *list, struct hf_pgoutput_column *column)
{
    struct reading reading;
    if (!begin_next(list, &reading)) {
        return false;
    }
    column->key = take_u8(&reading) == 1;
    column->name = take_text(&reading);
    column->type = take_u32(&reading);
    column->modifier = (int32_t)take_u32(&reading);
    end_next(list, &reading);
    return true;
}

bool hf_pgoutput_next_value(struct hf_pgoutput_list *list, struct hf_pgoutput_value *value)
{
    struct reading reading;
    if (!begin_next(list, &reading)) {
        return false;
    }
    value->kind = (enum hf_pgoutput_value_kind)take_u8(&reading);
    value->bytes = HF_STR_NONE;
    if (value->kind == HF_PGOUTPUT_TEXT || value->kind == HF_PGOUTPUT_BINARY) {
        value->bytes = take_bytes(&reading, take_u32(&reading));
    }
    end_next(list, &reading);
    return true;
}

bool hf_pgoutput_next_relation(struct hf_pgoutput_list *list, uint32_t *relation)
{
    struct reading reading;
    if (!begin_next(list, &reading)) {
        return false;
    }
    *relation = take_u32(&reading);
    end_next(list, &reading);
    return true;
}

/* ---- what is sent back ---- */

static uint8_t *put_u64(uint8_t *to, uint64_t value)
{
    for (int i = 7; i >= 0; i--) {
        *to++ = (uint8_t)(value >> (8 * i));
    }
    return to;
}

void hf_pgoutput_put_status(uint8_t to[HF_PGOUTPUT_STATUS_BYTES],
                            const struct hf_pgoutput_status *status)
{
    *to++ = 'r';
    to = put_u64(to, status->written);
    to = put_u64(to, status->flushed);
    to = put_u64(to, status->flushed);
    to = put_u64(to, (uint64_t)((int64_t)status->now_us - US_FROM_1970_TO_2000));
    *to = status->reply_wanted ? 1 : 0;
}

void hf_lsn_format(uint64_t lsn, char text[HF_LSN_TEXT_BYTES])
{
    (void)snprintf(text, HF_LSN_TEXT_BYTES, "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn >> 32),
                   (uint32_t)lsn);
}

/* 1 to 8 hex digits. */
static bool parse_half(struct hf_str text, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 16;
        if (digit == 16) {
            return false;
        }
        *value = *value << 4 | digit;
    }
    return text.len >= 1 && text.len <= 8;
}

bool hf_lsn_parse(struct hf_str text, uint64_t *lsn)
{
    const char *slash = text.len == 0 ? NULL : memchr(text.ptr, '/', text.len);
    uint64_t high;
    uint64_t low;
    if (slash == NULL) {
        return false;
    }
    size_t first = (size_t)(slash - text.ptr);
    if (!parse_half((struct hf_str){text.ptr, first}, &high) ||
        !parse_half((struct hf_str){slash + 1, text.len - first - 1}, &low)) {
        return false;
    }
    *lsn = high << 32 | low;
    return true;
}
