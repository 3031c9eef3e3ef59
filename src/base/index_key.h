/*
 * Keys and values of the index of ids: from a thing's id to the commit that holds its newest fact.
 *
 * Owns: their order. Must never: know what a kind means. Called by: core's recent index (RAM) and
 * store's runs (disk).
 */
#ifndef HF_BASE_INDEX_KEY_H
#define HF_BASE_INDEX_KEY_H

#include "base/table.h"
#include "base/types.h"

struct hf_index_key {
    uint64_t sub;    /* number inside the thing (a version), or 0 */
    struct hf_id id; /* 128 bits of the thing's name */
    uint8_t kind;    /* name space of the id; > 0 */
};

struct hf_index_value {
    uint64_t position; /* commit */
    uint32_t index;    /* event in the commit */
    uint32_t flags;    /* the kind's own */
};

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

#endif
