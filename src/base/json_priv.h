/*
 * Inside of the json files: scanning strings, escapes, names and their order.
 *
 * Everything here works on texts that the reader has checked, except json_scan_plain and
 * json_utf8_bytes, by which it checks. Called by: json*.c only.
 */
#ifndef HF_BASE_JSON_PRIV_H
#define HF_BASE_JSON_PRIV_H

#include "base/json.h"

#if defined(__SSE2__) && !defined(HF_JSON_PORTABLE)
#include <emmintrin.h>
#endif

/* Is it a byte that a string can't just pass over: quote, backslash, control, not ASCII? */
static inline bool json_special(unsigned char c)
{
    return c < 0x20 || c >= 0x80 || c == '"' || c == '\\';
}

/* The first special byte from at on, or end. */
static inline const char *json_scan_plain(const char *at, const char *end)
{
#if defined(__SSE2__) && !defined(HF_JSON_PORTABLE)
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i control_max = _mm_set1_epi8(0x1F);
    while (end - at >= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash));
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(bytes, control_max), bytes));
        /* movemask takes the top bits, which are also those of the bytes that are not ASCII. */
        int mask = _mm_movemask_epi8(_mm_or_si128(hit, bytes));
        if (mask != 0) {
            return at + __builtin_ctz((unsigned)mask);
        }
        at += 16;
    }
#else
    const uint64_t ones = 0x0101010101010101u;
    const uint64_t tops = 0x8080808080808080u;
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        /* With all bytes below 0x80 the subtractions borrow only at or behind a first hit, so a
         * zero result is exact; on a hit the bytes are looked at one by one. */
        uint64_t hit = word | ((word ^ (ones * '"')) - ones) | ((word ^ (ones * '\\')) - ones) |
                       (word - ones * 0x20);
        if ((hit & tops) != 0) {
            break;
        }
        at += 8;
    }
#endif
    while (at < end && !json_special((unsigned char)*at)) {
        at++;
    }
    return at;
}

/* Bytes of the UTF-8 sequence at `at`, whose first byte is 0x80 or more; 0 if it is not valid. */
static inline size_t json_utf8_bytes(const char *at, const char *end)
{
    unsigned char first = (unsigned char)at[0];
    size_t left = (size_t)(end - at);
    if (first < 0xC2 || first > 0xF4) {
        return 0;
    }
    size_t size = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (left < size) {
        return 0;
    }
    unsigned char second = (unsigned char)at[1];
    unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (second < low || second > high) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if (((unsigned char)at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return size;
}

/* Value of four hex digits, or -1. Reads four bytes. */
int32_t json_hex4(const char *at);

/* Decodes the escape at *at (the backslash), which was checked before: moves *at behind it (behind
 * both halves of a pair) and writes its UTF-8 bytes; returns how many, 1 to 4. */
size_t json_unescape_one(const char **at, uint8_t out[4]);

/* Unescapes raw into `to` (room for raw.len); returns the bytes written. */
size_t json_unescape(struct hf_str raw, char *to);

/* Appends the characters of text escaped, without quotes. */
void json_write_escaped(struct hf_buffer *out, struct hf_str text);

/* A name token of the reader as a name of its text. */
struct hf_json_name json_name_of(const struct hf_json *json);

/* Order of two names by their unescaped bytes; <0, 0, >0. text is where both offsets start. */
int json_name_compare(const char *text, const struct hf_json_name *a, const struct hf_json_name *b);
/* The same for names of two texts. */
int json_name_compare_across(const char *text_a, const struct hf_json_name *a, const char *text_b,
                             const struct hf_json_name *b);

/* Sorts by name, then by offset; scratch has room for count. O(n log n), one pass if sorted. */
void json_names_sort(const char *text, struct hf_json_name *names, struct hf_json_name *scratch,
                     uint32_t count);

/* A grown copy of names in arena (at least double), NULL if memory is short. */
struct hf_json_name *json_names_grow(struct hf_arena *arena, const struct hf_json_name *names,
                                     uint32_t count, uint32_t *capacity);

#endif
