/*
 * Random JSON texts from a seed, for the tests of src/base/json*.
 *
 * The generator recurses; its depth is bounded by its own argument.
 */
#ifndef HF_TESTS_UNIT_JSON_RANDOM_H
#define HF_TESTS_UNIT_JSON_RANDOM_H

#include "base/buffer.h"
#include "base/types.h"

struct random {
    uint64_t state; /* of splitmix64 */
};

static inline uint64_t random_next(struct random *random)
{
    uint64_t z = (random->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline size_t random_below(struct random *random, size_t bound)
{
    return (size_t)(random_next(random) % bound);
}

/* What random texts are made of. */
struct random_style {
    bool spaces;        /* white space wherever it is allowed */
    bool wild_numbers;  /* fractions and exponents, not only small integers */
    size_t names_count; /* member names are drawn from so many; may repeat within an object */
    bool unique_names;  /* but they don't repeat */
};

static inline void random_spaces(struct random *random, const struct random_style *style,
                                 struct hf_buffer *out)
{
    while (style->spaces && random_below(random, 4) == 0) {
        hf_buffer_u8(out, (uint8_t) " \t\n\r"[random_below(random, 4)]);
    }
}

static inline void random_character(struct random *random, struct hf_buffer *out)
{
    static const char *const pieces[] = {
        "a",
        "b",
        "Z",
        "0",
        " ",
        "/",
        "\x7F",
        "\xC3\xA9",
        "\xE2\x82\xAC",
        "\xF0\x9F\x98\x80",
        "\xEF\xBF\xBF",
        "\\\"",
        "\\\\",
        "\\/",
        "\\b",
        "\\f",
        "\\n",
        "\\r",
        "\\t",
        "\\u0061",
        "\\u00E9",
        "\\ud83d\\ude00",
        "\\u001f",
        "\\uFFFF",
        "\\u0022",
        "\\u005C",
        "abcdefghijklmnopqrstuvwxyz",
    };
    hf_buffer_text(out, pieces[random_below(random, HF_ARRAY_COUNT(pieces))]);
}

static inline void random_string(struct random *random, struct hf_buffer *out)
{
    hf_buffer_u8(out, '"');
    for (size_t left = random_below(random, 6); left > 0; left--) {
        random_character(random, out);
    }
    hf_buffer_u8(out, '"');
}

/* Name number `index` with its quotes; each character of it escaped or not, by chance. */
static inline void random_name(struct random *random, struct hf_buffer *out, size_t index)
{
    char name[24];
    int len = snprintf(name, sizeof(name), index % 3 == 0 ? "member_%zu" : "m%zu", index);
    hf_buffer_u8(out, '"');
    bool escapes = random_below(random, 4) == 0;
    for (int i = 0; i < len; i++) {
        if (escapes && random_below(random, 3) == 0) {
            hf_buffer_format(out, "\\u%04x", (unsigned)(unsigned char)name[i]);
        } else {
            hf_buffer_u8(out, (uint8_t)name[i]);
        }
    }
    hf_buffer_u8(out, '"');
}

static inline void random_number(struct random *random, const struct random_style *style,
                                 struct hf_buffer *out)
{
    static const char *const wild[] = {"0",       "-0",  "1e5",   "1E+2",
                                       "-1.5e-3", "0.0", "1e400", "123456789012345678901234567890",
                                       "2.50",    "-7"};
    if (style->wild_numbers && random_below(random, 2) == 0) {
        hf_buffer_text(out, wild[random_below(random, HF_ARRAY_COUNT(wild))]);
    } else {
        hf_buffer_format(out, "%d", (int)random_below(random, 2001) - 1000);
    }
}

static inline void random_value(struct random *random, const struct random_style *style,
                                struct hf_buffer *out, int depth)
{
    size_t kind = random_below(random, depth > 0 ? 9 : 5);
    switch (kind) {
    case 0:
        hf_buffer_text(out, "null");
        return;
    case 1:
        hf_buffer_text(out, random_below(random, 2) == 0 ? "true" : "false");
        return;
    case 2:
        random_number(random, style, out);
        return;
    case 3:
    case 4:
        random_string(random, out);
        return;
    default:
        break;
    }
    bool object = kind > 5;
    size_t count = random_below(random, 5);
    size_t start = random_below(random, style->names_count);
    hf_buffer_u8(out, object ? '{' : '[');
    random_spaces(random, style, out);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            hf_buffer_u8(out, ',');
            random_spaces(random, style, out);
        }
        if (object) {
            /* 7 and names_count have no common divisor, so these don't repeat. */
            size_t index = style->unique_names ? (start + 7 * i) % style->names_count
                                               : random_below(random, style->names_count);
            random_name(random, out, index);
            random_spaces(random, style, out);
            hf_buffer_u8(out, ':');
            random_spaces(random, style, out);
        }
        random_value(random, style, out, depth - 1);
        random_spaces(random, style, out);
    }
    hf_buffer_u8(out, object ? '}' : ']');
}

#endif
