/*
 * The key and value of the index: where in the log a named thing is.
 *
 * Owns: their order and their encoding. Must never: know what a kind, sub or flag means (core
 * does). Called by: core (recent records in RAM), store (the cold ones on disk).
 *
 * 1. Order: by kind, then by the id's bytes, then by sub as a number.
 * 2. A key takes HF_INDEX_KEY_BYTES on disk, a key with its value HF_INDEX_RECORD_BYTES, both
 *    without padding, little-endian.
 */
#ifndef HF_BASE_INDEX_KEY_H
#define HF_BASE_INDEX_KEY_H

#include "base/bytes.h"
#include "base/table.h"
#include "base/types.h"

#define HF_INDEX_KEY_BYTES    25
#define HF_INDEX_RECORD_BYTES 41

struct hf_index_key {
    struct hf_id id;     /* 128-bit name */
    uint64_t sub;        /* within the id: a version, a principal's hash, or 0 */
    uint8_t kind;        /* what is named; the caller's numbering */
    uint8_t reserved[7]; /* zero, so that the struct has no hidden bytes */
};

struct hf_index_value {
    uint64_t position; /* of the commit in the log */
    uint32_t index;    /* inside of the commit */
    uint32_t flags;    /* the caller's */
};

_Static_assert(sizeof(struct hf_index_key) == 32, "a key has no hidden bytes");
_Static_assert(sizeof(struct hf_index_value) == 16, "a value has no hidden bytes");

/* Returns <0, 0, >0. */
static inline int hf_index_key_compare(const struct hf_index_key *a, const struct hf_index_key *b)
{
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    int order = hf_id_compare(&a->id, &b->id);
    if (order != 0) {
        return order;
    }
    return a->sub < b->sub ? -1 : a->sub > b->sub;
}

static inline bool hf_index_key_equal(const struct hf_index_key *a, const struct hf_index_key *b)
{
    return a->kind == b->kind && a->sub == b->sub && hf_id_equal(&a->id, &b->id);
}

/* kind, id, sub: HF_INDEX_KEY_BYTES. */
static inline void hf_put_index_key(uint8_t *to, const struct hf_index_key *key)
{
    to[0] = key->kind;
    memcpy(to + 1, key->id.bytes, 16);
    hf_put_u64(to + 17, key->sub);
}

static inline struct hf_index_key hf_get_index_key(const uint8_t *from)
{
    struct hf_index_key key = {.kind = from[0], .sub = hf_get_u64(from + 17)};
    memcpy(key.id.bytes, from + 1, 16);
    return key;
}

/* position, index, flags: HF_INDEX_RECORD_BYTES - HF_INDEX_KEY_BYTES. */
static inline void hf_put_index_value(uint8_t *to, const struct hf_index_value *value)
{
    hf_put_u64(to, value->position);
    hf_put_u32(to + 8, value->index);
    hf_put_u32(to + 12, value->flags);
}

static inline struct hf_index_value hf_get_index_value(const uint8_t *from)
{
    return (struct hf_index_value){.position = hf_get_u64(from),
                                   .index = hf_get_u32(from + 8),
                                   .flags = hf_get_u32(from + 12)};
}

#endif
