#include "readers.h"

#include <stdio.h>

#include "base/buffer.h"
#include "base/limits.h"

/* Like HF_STR, for a static table. */
#define TEXT(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

static const struct {
    const char *about;  /* what is odd in it */
    struct hf_str text; /* RFC 8259 or I-JSON (RFC 7493) would have it refused */
} probes[] = {
    {"member name twice", TEXT("{\"a\":1,\"a\":2}")},
    {"member name twice, once escaped", TEXT("{\"a\":1,\"\\u0061\":2}")},
    {"NaN", TEXT("[NaN]")},
    {"Infinity", TEXT("[-Infinity]")},
    {"leading zero", TEXT("[01]")},
    {"something behind the value", TEXT("{} x")},
    {"second value behind the first", TEXT("{} {}")},
    {"comma before ]", TEXT("[1,]")},
    {"single quotes", TEXT("['a']")},
    {"comment", TEXT("[1/*c*/]")},
    {"byte order mark", TEXT("\xEF\xBB\xBF[]")},
    {"control character in a string", TEXT("[\"a\nb\"]")},
    {"unknown escape", TEXT("[\"\\x\"]")},
    {"UTF-8: lone continuation byte", TEXT("[\"\x80\"]")},
    {"UTF-8: overlong form", TEXT("[\"\xC0\xAF\"]")},
    {"UTF-8: surrogate", TEXT("[\"\xED\xA0\x80\"]")},
    {"UTF-8: above U+10FFFF", TEXT("[\"\xF4\x90\x80\x80\"]")},
    {"half of a surrogate pair, escaped", TEXT("[\"\\ud800\"]")},
    {"low surrogate first, escaped", TEXT("[\"\\udc00\\ud800\"]")},
    {"byte 0 behind a number", TEXT("[1\0]")},
    {"1e400: valid", TEXT("[1e400]")},
    {"integer above 2^64: valid", TEXT("[123456789012345678901234567890]")},
    {"\\u0000 in a string: valid", TEXT("[\"\\u0000\"]")},
};

static void print_row(const char *about, struct hf_str text)
{
    printf("| %s |", about);
    for (size_t i = 0; i < READERS_COUNT; i++) {
        printf(" %s |", readers[i].read(text) ? "accepted" : "refused");
    }
    printf("\n");
}

static void print_depth(size_t depth)
{
    struct hf_buffer text;
    hf_buffer_init(&text);
    for (size_t i = 0; i < 2 * depth; i++) {
        hf_buffer_u8(&text, i < depth ? '[' : ']');
    }
    char about[64];
    snprintf(about, sizeof(about), "%zu nested arrays: valid", depth);
    print_row(about, (struct hf_str){(const char *)text.data, text.size_bytes});
    hf_buffer_release(&text);
}

void strictness_print(void)
{
    printf("\n| text |");
    for (size_t i = 0; i < READERS_COUNT; i++) {
        printf(" %s |", readers[i].name);
    }
    printf("\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < HF_ARRAY_COUNT(probes); i++) {
        print_row(probes[i].about, probes[i].text);
    }
    print_depth(HF_JSON_DEPTH_MAX + 1);
    print_depth(2000);
    print_depth(100000);
    printf("| number lexemes kept |");
    for (size_t i = 0; i < READERS_COUNT; i++) {
        printf(" %s |", readers[i].numbers_kept);
    }
    printf("\n| a value's own bytes |");
    for (size_t i = 0; i < READERS_COUNT; i++) {
        printf(" %s |", readers[i].bytes_kept);
    }
    printf("\n");
}
