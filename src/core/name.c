#include "core/name.h"

#include "base/bytes.h"
#include "base/hash_memo.h"
#include "base/sha256.h"

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* May this stand in a name behind its first character? One bit each of U+0000–7F, for a look-up
 * without a branch. */
static uint64_t is_in_name(char c)
{
    static const uint64_t in_name[4] = {0x27FF780000000000u, 0x47FFFFFE87FFFFFFu, 0, 0};
    return in_name[(uint8_t)c >> 6] >> ((uint8_t)c & 63) & 1;
}

bool hf_name_valid(struct hf_str text)
{
    if (text.len == 0 || text.len > HF_NAME_BYTES_MAX || !is_alphanumeric(text.ptr[0])) {
        return false;
    }
    uint64_t valid = 1;
    for (size_t i = 1; i < text.len; i++) {
        valid &= is_in_name(text.ptr[i]);
    }
    return valid == 1;
}

/* Digits without leading zero, up to 16 of them. */
static bool is_number(const char *text, size_t len)
{
    if (len == 0 || len > 16 || (len > 1 && text[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
    }
    return true;
}

/* 32 hex digits in lower case. */
static bool is_hash(struct hf_str text)
{
    bool ok = text.len == HF_HASH_NAME_BYTES - 1;
    for (size_t i = 0; ok && i < text.len; i++) {
        ok = (text.ptr[i] >= '0' && text.ptr[i] <= '9') ||
             (text.ptr[i] >= 'a' && text.ptr[i] <= 'f');
    }
    return ok;
}

bool hf_name_valid_reference(struct hf_str text)
{
    if (text.len == 0 || text.ptr[0] != '~') {
        return hf_name_valid(text);
    }
    if (is_hash((struct hf_str){text.ptr + 1, text.len - 1})) {
        return true;
    }
    const char *dot = memchr(text.ptr, '.', text.len);
    if (dot == NULL) {
        return false;
    }
    size_t position_len = (size_t)(dot - text.ptr) - 1;
    return is_number(text.ptr + 1, position_len) && is_number(dot + 1, text.len - position_len - 2);
}

#define DIGIT 0x10u /* of what is a hex digit, */
#define UPPER 0x20u /* with a capital letter */

static const uint8_t digit_of[256] = {
    ['0'] = DIGIT | 0,          ['1'] = DIGIT | 1,          ['2'] = DIGIT | 2,
    ['3'] = DIGIT | 3,          ['4'] = DIGIT | 4,          ['5'] = DIGIT | 5,
    ['6'] = DIGIT | 6,          ['7'] = DIGIT | 7,          ['8'] = DIGIT | 8,
    ['9'] = DIGIT | 9,          ['a'] = DIGIT | 10,         ['b'] = DIGIT | 11,
    ['c'] = DIGIT | 12,         ['d'] = DIGIT | 13,         ['e'] = DIGIT | 14,
    ['f'] = DIGIT | 15,         ['A'] = DIGIT | UPPER | 10, ['B'] = DIGIT | UPPER | 11,
    ['C'] = DIGIT | UPPER | 12, ['D'] = DIGIT | UPPER | 13, ['E'] = DIGIT | UPPER | 14,
    ['F'] = DIGIT | UPPER | 15,
};

/* Where each byte's two digits begin in 8-4-4-4-12. */
static const uint8_t digits_at[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

/* Parses 8-4-4-4-12; *folded tells whether a digit was upper case. */
static bool parse_hex(struct hf_str text, struct hf_id *id, bool *folded)
{
    const uint8_t *bytes = (const uint8_t *)text.ptr;
    *folded = false;
    if (text.len != HF_UUID_TEXT_BYTES || bytes[8] != '-' || bytes[13] != '-' || bytes[18] != '-' ||
        bytes[23] != '-') {
        return false;
    }
    unsigned all = DIGIT;
    unsigned any = 0;
    for (size_t i = 0; i < sizeof(id->bytes); i++) {
        unsigned high = digit_of[bytes[digits_at[i]]];
        unsigned low = digit_of[bytes[digits_at[i] + 1]];
        all &= high & low;
        any |= high | low;
        id->bytes[i] = (uint8_t)(high << 4 | (low & 15));
    }
    *folded = (all & DIGIT) != 0 && (any & UPPER) != 0;
    return (all & DIGIT) != 0;
}

static struct hf_id hash_id(struct hf_str text)
{
    struct hf_hash hash = hf_sha256(text.ptr, text.len);
    struct hf_id id;
    memcpy(id.bytes, hash.bytes, sizeof(id.bytes));
    return id;
}

static bool make(struct hf_str text, bool again, struct hf_arena *arena, struct hf_name *name)
{
    bool folded;
    if (!parse_hex(text, &name->id, &folded)) {
        if (again) {
            hf_hash_memo(text, name->id.bytes);
        } else {
            name->id = hash_id(text);
        }
        name->text = text;
        return true;
    }
    name->text = text;
    if (folded) {
        char *lower = hf_arena_alloc(arena, HF_UUID_TEXT_BYTES);
        if (lower == NULL) {
            return false;
        }
        hf_name_hex(&name->id, lower);
        name->text = (struct hf_str){lower, HF_UUID_TEXT_BYTES};
    }
    return true;
}

bool hf_name_make(struct hf_str text, struct hf_arena *arena, struct hf_name *name)
{
    return make(text, false, arena, name);
}

bool hf_name_make_again(struct hf_str text, struct hf_arena *arena, struct hf_name *name)
{
    return make(text, true, arena, name);
}

/* The 8 hex digits of 4 bytes, as bytes of a number: in all of them at once. */
static uint64_t hex_digits(uint32_t bytes)
{
    uint64_t digits = bytes;
    digits = (digits & 0xFFFF0000u) << 16 | (digits & 0xFFFFu);
    digits = (digits & 0x0000FF000000FF00u) << 8 | (digits & 0x000000FF000000FFu);
    digits = (digits >> 4 & 0x000F000F000F000Fu) | (digits & 0x000F000F000F000Fu) << 8;
    uint64_t letters = (digits + 0x0606060606060606u) >> 4 & 0x0101010101010101u;
    return digits + 0x3030303030303030u + letters * ('a' - '0' - 10);
}

void hf_name_hex(const struct hf_id *id, char text[HF_UUID_TEXT_BYTES])
{
    uint8_t digits[32];
    for (size_t i = 0; i < 4; i++) {
        hf_put_u64(digits + 8 * i, hex_digits(hf_get_u32(id->bytes + 4 * i)));
    }
    memcpy(text, digits, 8);
    memcpy(text + 9, digits + 8, 4);
    memcpy(text + 14, digits + 12, 4);
    memcpy(text + 19, digits + 16, 4);
    memcpy(text + 24, digits + 20, 12);
    text[8] = text[13] = text[18] = text[23] = '-';
}

bool hf_name_is_hex_of(struct hf_str text, const struct hf_id *id)
{
    char hex[HF_UUID_TEXT_BYTES];
    if (text.len != HF_UUID_TEXT_BYTES) {
        return false;
    }
    hf_name_hex(id, hex);
    return memcmp(text.ptr, hex, sizeof(hex)) == 0;
}

bool hf_name_id_matches(const struct hf_name *name)
{
    struct hf_id id;
    bool folded;
    if (!parse_hex(name->text, &id, &folded)) {
        id = hash_id(name->text);
        folded = false; /* it was no hex form after all */
    }
    return !folded && hf_id_equal(&id, &name->id);
}

bool hf_asset_parse(struct hf_str text, struct hf_asset *asset)
{
    memset(asset, 0, sizeof(*asset));
    const char *slash = text.len == 0 ? NULL : memchr(text.ptr, '/', text.len);
    if (slash == NULL || text.len > HF_ASSET_BYTES_MAX) {
        return false;
    }
    size_t code_len = (size_t)(slash - text.ptr);
    size_t scale_len = text.len - code_len - 1;
    if (code_len == 0 || code_len > HF_ASSET_CODE_BYTES_MAX || scale_len > 2 ||
        !is_number(slash + 1, scale_len)) {
        return false;
    }
    for (size_t i = 0; i < code_len; i++) {
        char c = text.ptr[i];
        bool letter = c >= 'A' && c <= 'Z';
        if (!letter && (i == 0 || ((c < '0' || c > '9') && c != '_'))) {
            return false;
        }
    }
    int scale = 0;
    for (size_t i = 0; i < scale_len; i++) {
        scale = scale * 10 + (slash[1 + i] - '0');
    }
    if (scale > HF_ASSET_SCALE_MAX) {
        return false;
    }
    asset->len = (uint8_t)text.len;
    memcpy(asset->text, text.ptr, text.len);
    return true;
}

void hf_asset_hash(const struct hf_asset *asset, uint8_t hash[HF_ASSET_HASH_BYTES])
{
    struct hf_hash whole = hf_sha256(asset->text, asset->len);
    memcpy(hash, whole.bytes, HF_ASSET_HASH_BYTES);
}
