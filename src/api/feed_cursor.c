#include "api/feed_cursor.h"

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/checksum.h"

#define VERSION       1u
#define KIND_FEED     1u
#define KIND_SNAPSHOT 2u
#define HEAD_BYTES    18u /* version, kind, mark, position */
#define SUM_BYTES     4u
#define FEED_BYTES    (HEAD_BYTES + 4u + SUM_BYTES)
#define BYTES_MAX     (HEAD_BYTES + 1u + HF_NAME_BYTES_MAX + SUM_BYTES)

_Static_assert(HF_BASE64URL_CHARS(BYTES_MAX) <= HF_FEED_CURSOR_CHARS_MAX, "room for all");

static size_t put_head(uint8_t *to, uint8_t kind, uint64_t mark, uint64_t position)
{
    to[0] = VERSION;
    to[1] = kind;
    hf_put_u64(to + 2, mark);
    hf_put_u64(to + 10, position);
    return HEAD_BYTES;
}

static void finish(struct hf_buffer *to, uint8_t *bytes, size_t count)
{
    hf_put_u32(bytes + count, (uint32_t)hf_checksum(bytes, count));
    hf_base64url_encode(to, bytes, count + SUM_BYTES);
}

void hf_feed_place_encode(struct hf_buffer *to, const struct hf_feed_place *place, uint64_t mark)
{
    uint8_t bytes[FEED_BYTES];
    size_t count = put_head(bytes, KIND_FEED, mark, place->position);
    hf_put_u32(bytes + count, place->index);
    finish(to, bytes, count + 4);
}

void hf_feed_cursor_encode(struct hf_buffer *to, const struct hf_feed_cursor *cursor, uint64_t mark)
{
    if (!cursor->is_snapshot) {
        hf_feed_place_encode(to, &cursor->place, mark);
        return;
    }
    uint8_t bytes[BYTES_MAX];
    size_t count = put_head(bytes, KIND_SNAPSHOT, mark, cursor->place.position);
    bytes[count++] = (uint8_t)cursor->kind;
    HF_CHECK(cursor->after_bytes <= HF_NAME_BYTES_MAX && cursor->place.index == 0);
    memcpy(bytes + count, cursor->after, cursor->after_bytes);
    finish(to, bytes, count + cursor->after_bytes);
}

static bool take_snapshot(const uint8_t *bytes, size_t count, struct hf_feed_cursor *cursor)
{
    if (count < 1) {
        return false;
    }
    cursor->is_snapshot = true;
    cursor->kind = (enum hf_kind)bytes[0];
    cursor->after_bytes = (uint8_t)(count - 1);
    memcpy(cursor->after, bytes + 1, count - 1);
    return (cursor->kind == HF_KIND_ACCOUNT || cursor->kind == HF_KIND_STREAM ||
            cursor->kind == HF_KIND_DOCUMENT) &&
           (count == 1 || hf_name_valid((struct hf_str){cursor->after, count - 1}));
}

enum hf_feed_cursor_result hf_feed_cursor_decode(struct hf_str text, uint64_t mark,
                                                 struct hf_feed_cursor *cursor)
{
    uint8_t bytes[BYTES_MAX];
    size_t count = hf_base64url_decode(text, bytes, sizeof(bytes));
    *cursor = (struct hf_feed_cursor){0};
    if (count <= HEAD_BYTES + SUM_BYTES || bytes[0] != VERSION) {
        return HF_FEED_CURSOR_MALFORMED;
    }
    count -= SUM_BYTES;
    if (hf_get_u32(bytes + count) != (uint32_t)hf_checksum(bytes, count)) {
        return HF_FEED_CURSOR_MALFORMED;
    }
    cursor->place.position = hf_get_u64(bytes + 10);
    bool good = cursor->place.position >= 1 && cursor->place.position <= HF_JSON_INTEGER_MAX;
    if (bytes[1] == KIND_FEED) {
        good = good && count == HEAD_BYTES + 4;
        cursor->place.index = good ? hf_get_u32(bytes + HEAD_BYTES) : 0;
    } else {
        good = good && bytes[1] == KIND_SNAPSHOT &&
               take_snapshot(bytes + HEAD_BYTES, count - HEAD_BYTES, cursor);
    }
    if (!good) {
        return HF_FEED_CURSOR_MALFORMED;
    }
    return hf_get_u64(bytes + 2) == mark ? HF_FEED_CURSOR_OK : HF_FEED_CURSOR_FOREIGN;
}
