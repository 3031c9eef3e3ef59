#include "api/cloudevents.h"

#include "api/entity_json.h"
#include "base/json.h"
#include "base/time_text.h"
#include "base/u128.h"

#define TRACESTATE_BYTES_MAX   512
#define TRACESTATE_MEMBERS_MAX 32
#define TRACESTATE_PART_MAX    256
#define POSITION_DIGITS        16
#define INDEX_DIGITS           10

_Static_assert(POSITION_DIGITS + 1 + INDEX_DIGITS + 1 == HF_CLOUD_SEQUENCE_BYTES, "a sequence");

/* ---- trace context ---- */

static bool is_key_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '*' ||
           c == '/';
}

/* "rojo" or "tenant@system"; values are printable, without ',' and '='. */
static bool state_member_valid(struct hf_str member)
{
    const char *equals = memchr(member.ptr, '=', member.len);
    size_t key = equals == NULL ? 0 : (size_t)(equals - member.ptr);
    size_t value = member.len - key - 1;
    if (key == 0 || key > TRACESTATE_PART_MAX || value == 0 || value > TRACESTATE_PART_MAX) {
        return false;
    }
    size_t ats = 0;
    for (size_t i = 0; i < key; i++) {
        bool at = member.ptr[i] == '@' && i > 0 && i + 1 < key;
        ats += at;
        if (!at && !is_key_byte(member.ptr[i])) {
            return false;
        }
    }
    for (size_t i = key + 1; i < member.len; i++) {
        char c = member.ptr[i];
        if (c < 0x20 || c > 0x7E || c == ',' || c == '=') {
            return false;
        }
    }
    char first = member.ptr[0];
    return ats <= 1 &&
           ((first >= 'a' && first <= 'z') || (ats == 1 && first >= '0' && first <= '9'));
}

bool hf_tracestate_valid(struct hf_str text)
{
    if (text.len == 0 || text.len > TRACESTATE_BYTES_MAX) {
        return false;
    }
    size_t members = 0;
    for (size_t at = 0; at <= text.len;) {
        const char *comma = at < text.len ? memchr(text.ptr + at, ',', text.len - at) : NULL;
        size_t end = comma == NULL ? text.len : (size_t)(comma - text.ptr);
        size_t from = at;
        size_t to = end;
        while (from < to && (text.ptr[from] == ' ' || text.ptr[from] == '\t')) {
            from++;
        }
        while (to > from && (text.ptr[to - 1] == ' ' || text.ptr[to - 1] == '\t')) {
            to--;
        }
        if (to > from) { /* an empty member is allowed, and counts for nothing */
            members++;
            if (!state_member_valid((struct hf_str){text.ptr + from, to - from})) {
                return false;
            }
        }
        at = end + 1;
    }
    return members >= 1 && members <= TRACESTATE_MEMBERS_MAX;
}

/* ---- what the metadata gives ---- */

/* CloudEvents' String: UTF-8 (the JSON reader has checked it) without control characters. */
static bool attribute_valid(struct hf_str text)
{
    if (text.len == 0 || text.len > HF_CLOUD_CONTEXT_BYTES) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool c1 = c == 0xC2 && i + 1 < text.len && (unsigned char)text.ptr[i + 1] <= 0x9F;
        if (c < 0x20 || c == 0x7F || c1) {
            return false;
        }
    }
    return true;
}

static struct hf_str *member_of(struct hf_cloud_context *context, const struct hf_json *json)
{
    if (hf_json_is(json, HF_STR("traceparent"))) {
        return &context->traceparent;
    }
    if (hf_json_is(json, HF_STR("tracestate"))) {
        return &context->tracestate;
    }
    if (hf_json_is(json, HF_STR("causationid"))) {
        return &context->causationid;
    }
    if (hf_json_is(json, HF_STR("correlationid"))) {
        return &context->correlationid;
    }
    return NULL;
}

/* Leaves only what is valid. */
static bool check_context(struct hf_cloud_context *context, struct hf_arena *arena)
{
    char known[HF_TRACEPARENT_BYTES];
    if (hf_str_present(context->traceparent) && hf_traceparent_parse(context->traceparent, known)) {
        context->traceparent = hf_arena_copy(arena, (struct hf_str){known, HF_TRACEPARENT_BYTES});
        if (!hf_str_present(context->traceparent)) {
            return false;
        }
    } else {
        context->traceparent = HF_STR_NONE;
    }
    if (!hf_str_present(context->traceparent) || !hf_tracestate_valid(context->tracestate)) {
        context->tracestate = HF_STR_NONE;
    }
    if (!attribute_valid(context->causationid)) {
        context->causationid = HF_STR_NONE;
    }
    if (!attribute_valid(context->correlationid)) {
        context->correlationid = HF_STR_NONE;
    }
    return true;
}

bool hf_cloud_context_of(const struct hf_commit *commit, struct hf_arena *arena,
                         struct hf_cloud_context *context)
{
    *context = (struct hf_cloud_context){0};
    if (!hf_str_present(commit->metadata.text)) {
        return true;
    }
    struct hf_json json;
    hf_json_init(&json, commit->metadata.text, arena);
    if (hf_json_next(&json) != HF_JSON_OBJECT_BEGIN) {
        return true;
    }
    while (hf_json_next(&json) == HF_JSON_NAME) {
        struct hf_str *member = member_of(context, &json);
        enum hf_json_token token = hf_json_next(&json);
        if (member != NULL && token == HF_JSON_STRING) {
            *member = hf_json_string(&json, arena);
            if (!hf_str_present(*member)) {
                return false;
            }
        } else if (!hf_json_skip(&json, NULL)) {
            break;
        }
    }
    return json.error_code != HF_ERR_NO_MEMORY && check_context(context, arena);
}

/* ---- the envelope ---- */

/* Digits with leading zeros; returns behind them. */
static char *put_padded(char *to, uint64_t number, size_t digits)
{
    for (size_t i = digits; i > 0; i--) {
        to[i - 1] = (char)('0' + number % 10);
        number /= 10;
    }
    return to + digits;
}

void hf_cloud_sequence(uint64_t position, uint32_t index, char text[HF_CLOUD_SEQUENCE_BYTES])
{
    char *to = put_padded(text, position, POSITION_DIGITS);
    *to++ = '-';
    *put_padded(to, index, INDEX_DIGITS) = '\0';
}

static void put_context(struct hf_json_writer *w, const char *name, struct hf_str text)
{
    if (hf_str_present(text)) {
        hf_json_put_text(w, name, text);
    }
}

static void add(struct hf_buffer *to, struct hf_str text)
{
    hf_buffer_bytes(to, text.ptr, text.len);
}

static void add_number(struct hf_buffer *to, uint64_t number)
{
    char digits[HF_U128_TEXT_BYTES];
    size_t count = hf_u128_format(number, digits);
    hf_buffer_bytes(to, digits, count);
}

/* Names and keys hold nothing that JSON escapes: no quote, no backslash, printable ASCII only. */
static void put_envelope(struct hf_buffer *to, const struct hf_commit *commit,
                         const struct hf_feed_event *event)
{
    char text[HF_TIME_TEXT_BYTES];
    char sequence[HF_CLOUD_SEQUENCE_BYTES];
    add(to, HF_STR("{\"specversion\":\"1.0\",\"id\":\""));
    add_number(to, event->position);
    hf_buffer_u8(to, '-');
    add_number(to, event->index);
    add(to, HF_STR("\",\"source\":\"/spaces/"));
    add_number(to, commit->space);
    add(to, HF_STR("\",\"type\":"));
    hf_json_write_string(to, event->type);
    if (event->subject != HF_SUBJECT_NONE) {
        add(to, HF_STR(",\"subject\":\""));
        hf_feed_subject_text(event, to);
        hf_buffer_u8(to, '"');
    }
    hf_time_format(commit->time_us, text);
    add(to, HF_STR(",\"time\":\""));
    hf_buffer_bytes(to, text, HF_TIME_TEXT_BYTES - 1);
    add(to, HF_STR("\",\"datacontenttype\":\"application/json\""));
    if (event->subject != HF_SUBJECT_NONE) {
        add(to, HF_STR(",\"partitionkey\":\""));
        hf_feed_key_text(event, to);
        hf_buffer_u8(to, '"');
    }
    hf_cloud_sequence(event->position, event->index, sequence);
    add(to, HF_STR(",\"sequence\":\""));
    hf_buffer_bytes(to, sequence, sizeof(sequence) - 1);
    add(to, HF_STR("\",\"data\":"));
}

static void put_end(struct hf_buffer *to, const struct hf_cloud_context *context)
{
    struct hf_json_writer w = {.to = to, .comma = true};
    put_context(&w, "traceparent", context->traceparent);
    put_context(&w, "tracestate", context->tracestate);
    put_context(&w, "causationid", context->causationid);
    put_context(&w, "correlationid", context->correlationid);
    hf_buffer_u8(to, '}');
}

void hf_cloud_envelope_json(struct hf_buffer *to, const struct hf_commit *commit,
                            const struct hf_feed_event *event, struct hf_str data,
                            const struct hf_cloud_context *context)
{
    put_envelope(to, commit, event);
    add(to, data);
    put_end(to, context);
}

static void put_data(struct hf_buffer *to, const struct hf_event *event)
{
    struct hf_json_writer w = hf_json_writer_over(to);
    const char *operation = hf_event_operation(event);
    hf_json_begin_object(&w, NULL);
    if (operation != NULL) {
        hf_json_put_text(&w, "op", hf_str_from(operation));
    }
    hf_event_json(&w, event);
    hf_event_texts_json(&w, event);
    hf_json_end_object(&w);
}

void hf_cloud_event_data(struct hf_buffer *to, const struct hf_commit *commit,
                         const struct hf_feed_event *event)
{
    bool bare = event->payload != NULL && event->subject != HF_SUBJECT_DOCUMENTS;
    if (bare) {
        add(to, event->payload->text);
    } else {
        put_data(to, commit->events[event->index]);
    }
}

void hf_cloud_event_json(struct hf_buffer *to, const struct hf_commit *commit,
                         const struct hf_feed_event *event, const struct hf_cloud_context *context)
{
    put_envelope(to, commit, event);
    hf_cloud_event_data(to, commit, event);
    put_end(to, context);
}

/* ---- binary mode ---- */

void hf_cloud_header_encode(struct hf_buffer *to, struct hf_str value)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c > 0x20 && c < 0x7F && c != '"' && c != '%') {
            hf_buffer_u8(to, c);
        } else {
            hf_buffer_u8(to, '%');
            hf_buffer_u8(to, (uint8_t)digits[c >> 4]);
            hf_buffer_u8(to, (uint8_t)digits[c & 15]);
        }
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Bytes of the character at `at`; 0: none in its shortest form. */
static size_t utf8_bytes(const uint8_t *at, size_t left)
{
    size_t count = at[0] < 0x80 ? 1 : at[0] < 0xC2 ? 0 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : 4;
    if (count == 0 || count > left || at[0] > 0xF4) {
        return 0;
    }
    for (size_t i = 1; i < count; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    bool bad = (at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F) ||
               (at[0] == 0xF0 && at[1] < 0x90) || (at[0] == 0xF4 && at[1] > 0x8F);
    return bad ? 0 : count;
}

bool hf_cloud_header_decode(struct hf_buffer *to, struct hf_str header)
{
    size_t start = to->size_bytes;
    for (size_t i = 0; i < header.len; i++) {
        char c = header.ptr[i];
        if (c != '%') {
            hf_buffer_u8(to, (uint8_t)c);
            continue;
        }
        int high = i + 2 < header.len ? hex_value(header.ptr[i + 1]) : -1;
        int low = i + 2 < header.len ? hex_value(header.ptr[i + 2]) : -1;
        if (high < 0 || low < 0) {
            return false;
        }
        hf_buffer_u8(to, (uint8_t)(high << 4 | low));
        i += 2;
    }
    for (size_t at = start; !to->failed && at < to->size_bytes;) {
        size_t bytes = utf8_bytes(to->data + at, to->size_bytes - at);
        if (bytes == 0) {
            return false;
        }
        at += bytes;
    }
    return !to->failed;
}
