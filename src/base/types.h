/*
 * Basic types that every module shares.
 *
 * Owns: strings with a length, small macros. Must never: allocate, know anything of Holdfast's
 * subject. Called by: everybody.
 */
#ifndef HF_BASE_TYPES_H
#define HF_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/banned.h"

__extension__ typedef unsigned __int128 hf_u128;
__extension__ typedef __int128 hf_i128;

#define HF_WARN_UNUSED __attribute__((warn_unused_result))
#define HF_PRINTF(format_index, first_index)                                                       \
    __attribute__((format(printf, format_index, first_index)))
#define HF_ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HF_CONTAINER_OF(pointer, type, member)                                                     \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* Bytes with a length; not terminated, may contain NUL; borrowed unless a comment says more. */
struct hf_str {
    const char *ptr; /* first byte; may be NULL only if len is 0 and the string is absent */
    size_t len;      /* bytes */
};

#define HF_STR(literal) ((struct hf_str){(literal), sizeof(literal) - 1})
#define HF_STR_NONE     ((struct hf_str){NULL, 0})

static inline struct hf_str hf_str_from(const char *text)
{
    return text == NULL ? HF_STR_NONE : (struct hf_str){text, strlen(text)};
}

static inline bool hf_str_present(struct hf_str s)
{
    return s.ptr != NULL;
}

static inline bool hf_str_equal(struct hf_str a, struct hf_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Total order: by bytes, a prefix before what it begins. Returns <0, 0, >0. */
static inline int hf_str_compare(struct hf_str a, struct hf_str b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter == 0 ? 0 : memcmp(a.ptr, b.ptr, shorter);
    if (order != 0) {
        return order;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

static inline uint64_t hf_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t hf_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
