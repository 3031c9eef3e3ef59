#include "base/json_priv.h"

#include "base/check.h"

int32_t json_hex4(const char *at)
{
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int32_t digit;
        if (c >= '0' && c <= '9') {
            digit = c - '0';
        } else if (c >= 'a' && c <= 'f') {
            digit = c - 'a' + 10;
        } else if (c >= 'A' && c <= 'F') {
            digit = c - 'A' + 10;
        } else {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

static size_t put_utf8(uint32_t code_point, uint8_t out[4])
{
    if (code_point < 0x80) {
        out[0] = (uint8_t)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (uint8_t)(0xC0 | (code_point >> 6));
        out[1] = (uint8_t)(0x80 | (code_point & 0x3F));
        return 2;
    }
    if (code_point < 0x10000) {
        out[0] = (uint8_t)(0xE0 | (code_point >> 12));
        out[1] = (uint8_t)(0x80 | ((code_point >> 6) & 0x3F));
        out[2] = (uint8_t)(0x80 | (code_point & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | (code_point >> 18));
    out[1] = (uint8_t)(0x80 | ((code_point >> 12) & 0x3F));
    out[2] = (uint8_t)(0x80 | ((code_point >> 6) & 0x3F));
    out[3] = (uint8_t)(0x80 | (code_point & 0x3F));
    return 4;
}

size_t json_unescape_one(const char **at, uint8_t out[4])
{
    const char *escape = *at;
    *at = escape + 2;
    switch (escape[1]) {
    case 'b':
        out[0] = '\b';
        return 1;
    case 'f':
        out[0] = '\f';
        return 1;
    case 'n':
        out[0] = '\n';
        return 1;
    case 'r':
        out[0] = '\r';
        return 1;
    case 't':
        out[0] = '\t';
        return 1;
    case 'u':
        break;
    default: /* quote, backslash, slash */
        out[0] = (uint8_t)escape[1];
        return 1;
    }
    uint32_t code_point = (uint32_t)json_hex4(escape + 2);
    *at = escape + 6;
    if (code_point >= 0xD800 && code_point <= 0xDBFF) {
        uint32_t low = (uint32_t)json_hex4(escape + 8);
        code_point = 0x10000 + ((code_point - 0xD800) << 10) + (low - 0xDC00);
        *at = escape + 12;
    }
    return put_utf8(code_point, out);
}

size_t json_unescape(struct hf_str raw, char *to)
{
    const char *at = raw.ptr;
    const char *end = raw.ptr + raw.len;
    char *out = to;
    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        const char *run_end = escape == NULL ? end : escape;
        size_t run_bytes = (size_t)(run_end - at);
        memcpy(out, at, run_bytes);
        out += run_bytes;
        at = run_end;
        if (escape != NULL) {
            uint8_t bytes[4];
            size_t size = json_unescape_one(&at, bytes);
            memcpy(out, bytes, size);
            out += size;
        }
    }
    return (size_t)(out - to);
}

/* Appends one character that json_scan_plain stopped at; returns how many bytes of text it was. */
static size_t write_special(struct hf_buffer *out, const char *at, const char *end)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char c = (unsigned char)*at;
    if (c >= 0x80) {
        size_t size = json_utf8_bytes(at, end);
        if (size == 0) {
            hf_buffer_bytes(out, "\xEF\xBF\xBD", 3);
            return 1;
        }
        hf_buffer_bytes(out, at, size);
        return size;
    }
    char letter = '\0';
    switch (c) {
    case '"':
    case '\\':
        letter = (char)c;
        break;
    case '\b':
        letter = 'b';
        break;
    case '\t':
        letter = 't';
        break;
    case '\n':
        letter = 'n';
        break;
    case '\f':
        letter = 'f';
        break;
    case '\r':
        letter = 'r';
        break;
    default:
        break;
    }
    if (letter != '\0') {
        const char escape[2] = {'\\', letter};
        hf_buffer_bytes(out, escape, 2);
    } else {
        const char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        hf_buffer_bytes(out, escape, 6);
    }
    return 1;
}

void json_write_escaped(struct hf_buffer *out, struct hf_str text)
{
    const char *at = text.ptr;
    const char *end = text.ptr + text.len;
    while (at < end) {
        const char *special = json_scan_plain(at, end);
        hf_buffer_bytes(out, at, (size_t)(special - at));
        at = special;
        if (at < end) {
            at += write_special(out, at, end);
        }
    }
}

void hf_json_write_string(struct hf_buffer *out, struct hf_str text)
{
    hf_buffer_u8(out, '"');
    if (text.len > 0) {
        json_write_escaped(out, text);
    }
    hf_buffer_u8(out, '"');
}

/* The unescaped bytes of a string, one by one. */
struct cursor {
    const char *at;     /* next raw byte */
    const char *end;    /* behind the raw bytes */
    uint8_t pending[4]; /* of an escape that was decoded */
    size_t pending_count;
    size_t pending_next;
};

static struct cursor cursor_over(const char *text, const struct hf_json_name *name)
{
    const char *at = text + name->offset;
    return (struct cursor){.at = at, .end = at + name->len_bytes};
}

/* The next byte, or -1 behind the last one. */
static int cursor_next(struct cursor *cursor)
{
    if (cursor->pending_next < cursor->pending_count) {
        return cursor->pending[cursor->pending_next++];
    }
    if (cursor->at == cursor->end) {
        return -1;
    }
    if (*cursor->at == '\\') {
        cursor->pending_count = json_unescape_one(&cursor->at, cursor->pending);
        cursor->pending_next = 1;
        return cursor->pending[0];
    }
    return (unsigned char)*cursor->at++;
}

static uint64_t key_of_escaped(const char *text, const struct hf_json_name *name)
{
    struct cursor cursor = cursor_over(text, name);
    uint64_t key = 0;
    for (int shift = 56; shift >= 0; shift -= 8) {
        int c = cursor_next(&cursor);
        if (c < 0) {
            break;
        }
        key |= (uint64_t)c << shift;
    }
    return key;
}

static uint64_t big_endian(const char *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

struct hf_json_name json_name_of(const struct hf_json *json)
{
    const char *at = json->raw.ptr;
    size_t len = json->raw.len;
    struct hf_json_name name = {
        .offset = (uint32_t)(at - json->text),
        .len_bytes = (uint32_t)len,
        .escaped = json->escaped,
    };
    if (name.escaped) {
        name.key = key_of_escaped(json->text, &name);
    } else if (len >= 8) {
        name.key = big_endian(at);
    } else if (len > 0 && json->end - at >= 8) {
        name.key = big_endian(at) & (UINT64_MAX << (64 - 8 * len));
    } else {
        for (size_t i = 0; i < len; i++) {
            name.key |= (uint64_t)(unsigned char)at[i] << (56 - 8 * i);
        }
    }
    return name;
}

int json_name_compare_across(const char *text_a, const struct hf_json_name *a, const char *text_b,
                             const struct hf_json_name *b)
{
    if (a->key != b->key) {
        return a->key < b->key ? -1 : 1;
    }
    if (!a->escaped && !b->escaped) {
        return hf_str_compare((struct hf_str){text_a + a->offset, a->len_bytes},
                              (struct hf_str){text_b + b->offset, b->len_bytes});
    }
    struct cursor cursor_a = cursor_over(text_a, a);
    struct cursor cursor_b = cursor_over(text_b, b);
    for (;;) {
        int byte_a = cursor_next(&cursor_a);
        int byte_b = cursor_next(&cursor_b);
        if (byte_a != byte_b) {
            return byte_a < byte_b ? -1 : 1;
        }
        if (byte_a < 0) {
            return 0;
        }
    }
}

int json_name_compare(const char *text, const struct hf_json_name *a, const struct hf_json_name *b)
{
    return json_name_compare_across(text, a, text, b);
}

static bool in_order(const char *text, const struct hf_json_name *a, const struct hf_json_name *b)
{
    int order = json_name_compare(text, a, b);
    return order < 0 || (order == 0 && a->offset < b->offset);
}

/* Merges from[0..left) and from[left..count), each sorted, into to. */
static void merge(const char *text, const struct hf_json_name *from, uint32_t left, uint32_t count,
                  struct hf_json_name *to)
{
    uint32_t a = 0;
    uint32_t b = left;
    uint32_t written = 0;
    while (a < left && b < count) {
        to[written++] = in_order(text, &from[a], &from[b]) ? from[a++] : from[b++];
    }
    memcpy(to + written, from + a, (left - a) * sizeof(*to));
    written += left - a;
    memcpy(to + written, from + b, (count - b) * sizeof(*to));
}

#define INSERTION_COUNT_MAX 16u /* few members: cheaper than merging */

static void insertion_sort(const char *text, struct hf_json_name *names, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        struct hf_json_name name = names[i];
        uint32_t place = i;
        while (place > 0 && in_order(text, &name, &names[place - 1])) {
            names[place] = names[place - 1];
            place--;
        }
        names[place] = name;
    }
}

void json_names_sort(const char *text, struct hf_json_name *names, struct hf_json_name *scratch,
                     uint32_t count)
{
    uint32_t sorted = 1;
    while (sorted < count && in_order(text, &names[sorted - 1], &names[sorted])) {
        sorted++;
    }
    if (sorted >= count) {
        return;
    }
    if (count <= INSERTION_COUNT_MAX) {
        insertion_sort(text, names, count);
        return;
    }
    struct hf_json_name *from = names;
    struct hf_json_name *to = scratch;
    for (uint64_t width = 1; width < count; width *= 2) {
        for (uint64_t start = 0; start < count; start += 2 * width) {
            uint64_t left = hf_min_u64(width, count - start);
            uint64_t both = hf_min_u64(2 * width, count - start);
            merge(text, from + start, (uint32_t)left, (uint32_t)both, to + start);
        }
        struct hf_json_name *swap = from;
        from = to;
        to = swap;
    }
    if (from != names) {
        memcpy(names, from, count * sizeof(*names));
    }
}

struct hf_json_name *json_names_grow(struct hf_arena *arena, const struct hf_json_name *names,
                                     uint32_t count, uint32_t *capacity)
{
    /* A text of 2 GiB has below 2^30 members, so doubling stays in 32 bits. */
    HF_CHECK(*capacity <= UINT32_MAX / 2);
    uint32_t grown = *capacity < 16 ? 32 : *capacity * 2;
    struct hf_json_name *copy = hf_arena_alloc(arena, (size_t)grown * sizeof(*copy));
    if (copy == NULL) {
        return NULL;
    }
    if (count > 0) {
        memcpy(copy, names, count * sizeof(*copy));
    }
    *capacity = grown;
    return copy;
}
