#include "api/cursor.h"

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/sha256.h"
#include "base/u128.h"

#define FORM         1u                             /* of what is encoded */
#define HEAD_BYTES   6u                             /* form, query type, list */
#define NUMBER_BYTES 8u                             /* place: a version */
#define SUM_BYTES    4u                             /* checksum */
#define PLACE_MAX    (HF_NAME_BYTES_MAX + 1u + 16u) /* a name, or "name@version" of a definition */
#define BYTES_MAX    (HEAD_BYTES + PLACE_MAX + SUM_BYTES)

_Static_assert(PLACE_MAX >= NUMBER_BYTES, "a place is a name or a number");

static bool by_name(enum hf_query_type type)
{
    return type == HF_QUERY_ACCOUNTS || type == HF_QUERY_STREAMS || type == HF_QUERY_DOCUMENTS ||
           type == HF_QUERY_SUBSCRIPTIONS || type == HF_QUERY_SAGAS ||
           type == HF_QUERY_SAGA_DEFINITIONS;
}

static bool in_digits(enum hf_query_type type)
{
    return type == HF_QUERY_ENTRIES || type == HF_QUERY_STREAM_EVENTS ||
           type == HF_QUERY_SAGA_HISTORY;
}

/* Of a list of sagas: each text with its length. */
static struct hf_hash saga_filter_hash(const struct hf_saga_filter *filter)
{
    uint8_t numbers[8 * 3];
    hf_put_u64(numbers, filter->has_state ? filter->state : 0);
    hf_put_u64(numbers + 8, filter->failing);
    hf_put_u64(numbers + 16, filter->older_than_us);
    const struct hf_str texts[] = {filter->definition, filter->tag_key, filter->tag_value,
                                   filter->business_key, filter->step};
    struct hf_sha256_part parts[1 + 2 * HF_ARRAY_COUNT(texts)] = {{numbers, sizeof(numbers)}};
    uint8_t lengths[HF_ARRAY_COUNT(texts)][8];
    for (size_t i = 0; i < HF_ARRAY_COUNT(texts); i++) {
        hf_put_u64(lengths[i], texts[i].len);
        parts[1 + 2 * i] = (struct hf_sha256_part){lengths[i], sizeof(lengths[i])};
        parts[2 + 2 * i] = (struct hf_sha256_part){texts[i].ptr, texts[i].len};
    }
    return hf_sha256_parts(parts, HF_ARRAY_COUNT(parts));
}

/* What makes it this list and no other: four bytes. */
static void list_hash(const struct hf_query *query, uint8_t hash[4])
{
    bool filtered = query->saga_filter != NULL;
    struct hf_hash filter = {0};
    if (filtered) {
        filter = saga_filter_hash(query->saga_filter);
    }
    uint8_t numbers[8 * 4];
    hf_put_u64(numbers, query->hold_state);
    hf_put_u64(numbers + 8, query->clock);
    hf_put_u64(numbers + 16, query->from_us);
    hf_put_u64(numbers + 24, query->to_us);
    struct hf_sha256_part parts[] = {
        {numbers, sizeof(numbers)},
        {query->name.text.ptr, query->name.text.len},
        {"\n", 1}, /* in no name */
        {query->prefix.ptr, query->prefix.len},
        {query->error_contains.ptr, query->error_contains.len},
        {filter.bytes, filtered ? sizeof(filter.bytes) : 0},
    };
    struct hf_hash whole = hf_sha256_parts(parts, HF_ARRAY_COUNT(parts));
    memcpy(hash, whole.bytes, 4);
}

static void checksum(const uint8_t *bytes, size_t count, uint8_t sum[SUM_BYTES])
{
    struct hf_sha256_part parts[] = {{"holdfast cursor", 15}, {bytes, count}};
    struct hf_hash whole = hf_sha256_parts(parts, HF_ARRAY_COUNT(parts));
    memcpy(sum, whole.bytes, SUM_BYTES);
}

void hf_cursor_encode(struct hf_buffer *to, const struct hf_query *query,
                      const struct hf_reading *reading)
{
    if (in_digits(query->type)) {
        char digits[HF_U128_TEXT_BYTES];
        size_t count = hf_u128_format(reading->next_from, digits);
        hf_buffer_bytes(to, digits, count);
        return;
    }
    uint8_t bytes[BYTES_MAX] = {FORM, (uint8_t)query->type};
    size_t place_bytes = NUMBER_BYTES;
    list_hash(query, bytes + 2);
    if (by_name(query->type)) {
        place_bytes = reading->next_after.len;
        HF_CHECK(place_bytes <= PLACE_MAX);
        memcpy(bytes + HEAD_BYTES, reading->next_after.ptr, place_bytes);
    } else {
        hf_put_u64(bytes + HEAD_BYTES, reading->next_from);
    }
    checksum(bytes, HEAD_BYTES + place_bytes, bytes + HEAD_BYTES + place_bytes);
    hf_base64url_encode(to, bytes, HEAD_BYTES + place_bytes + SUM_BYTES);
}

void hf_cursor_json(struct hf_json_writer *w, const struct hf_query *query,
                    const struct hf_reading *reading)
{
    if (!reading->more) {
        hf_json_put_null(w, "next");
        return;
    }
    hf_json_put_raw(w, "next", HF_STR("\"")); /* a cursor has nothing to escape */
    hf_cursor_encode(w->to, query, reading);
    hf_buffer_u8(w->to, '"');
}

/* Does it begin and end as a cursor of this list does? */
static bool belongs(const uint8_t *bytes, size_t count, const struct hf_query *query)
{
    uint8_t head[HEAD_BYTES] = {FORM, (uint8_t)query->type};
    uint8_t sum[SUM_BYTES];
    if (count <= HEAD_BYTES + SUM_BYTES) {
        return false;
    }
    list_hash(query, head + 2);
    checksum(bytes, count - SUM_BYTES, sum);
    return memcmp(bytes, head, HEAD_BYTES) == 0 &&
           memcmp(bytes + count - SUM_BYTES, sum, SUM_BYTES) == 0;
}

/* A name of the list's kind. */
static bool is_place(enum hf_query_type type, struct hf_str text)
{
    if (type == HF_QUERY_SAGAS) { /* the server may have made it */
        return hf_name_valid_reference(text);
    }
    if (type != HF_QUERY_SAGA_DEFINITIONS) {
        return hf_name_valid(text);
    }
    const char *at = memchr(text.ptr, '@', text.len);
    struct hf_str name = {text.ptr, at == NULL ? 0 : (size_t)(at - text.ptr)};
    hf_u128 version = 0;
    bool named =
        hf_name_valid(name) || (name.len > 1 && name.ptr[0] == '~'); /* one that is inline */
    return at != NULL && named &&
           hf_u128_parse((struct hf_str){at + 1, text.len - name.len - 1}, &version) &&
           version > 0 && version <= HF_JSON_INTEGER_MAX;
}

enum hf_cursor_result hf_cursor_decode(struct hf_str text, struct hf_arena *arena,
                                       struct hf_query *query)
{
    if (in_digits(query->type)) {
        hf_u128 number;
        if (!hf_u128_parse(text, &number) || number == 0 || number > HF_JSON_INTEGER_MAX) {
            return HF_CURSOR_MALFORMED;
        }
        query->from = (uint64_t)number;
        return HF_CURSOR_OK;
    }
    uint8_t bytes[BYTES_MAX];
    size_t count = hf_base64url_decode(text, bytes, sizeof(bytes));
    if (!belongs(bytes, count, query)) {
        return HF_CURSOR_MALFORMED;
    }
    size_t place_bytes = count - HEAD_BYTES - SUM_BYTES;
    if (by_name(query->type)) {
        struct hf_str name = {(const char *)bytes + HEAD_BYTES, place_bytes};
        if (!is_place(query->type, name)) {
            return HF_CURSOR_MALFORMED;
        }
        query->after = hf_arena_copy(arena, name);
        return query->after.ptr == NULL ? HF_CURSOR_NO_MEMORY : HF_CURSOR_OK;
    }
    query->from = hf_get_u64(bytes + HEAD_BYTES);
    return place_bytes == NUMBER_BYTES && query->from > 0 ? HF_CURSOR_OK : HF_CURSOR_MALFORMED;
}
