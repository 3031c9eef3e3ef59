/*
 * An ordered set of names: what lists by name walk.
 *
 * Owns: the order; neither the names nor the nodes (they lie in the things' own memory). Must never:
 * depend on the order of inserts. Called by: state (evolve and the loading
 * of a checkpoint insert), reads (walk).
 *
 * A crit-bit tree: an inner node names the first bit in which the names below its two children differ.
 *
 * 1. Each name brings the one inner node that its insert needs, so an insert can't fail for memory.
 * 2. Along every path (byte, bit) of the nodes strictly ascends, so a look-up takes at most 8 × 128 steps,
 *    whatever names clients choose; about 1.3 × log2(count) for the usual ones.
 * 3. The shape follows from the set of names alone. A name ends in a virtual zero byte, so a name
 *    comes before those that it begins.
 */
#ifndef HF_CORE_NAMES_H
#define HF_CORE_NAMES_H

#include "base/errors.h"
#include "core/name.h"

struct hf_names_node {
    uintptr_t child
        [2]; /* 0 and 1 at the bit: struct hf_name *, or struct hf_names_node * with bit 0 set */
    uint32_t byte; /* which byte of the names */
    uint8_t mask;  /* which bit of it */
};

struct hf_names {
    uintptr_t root; /* like a child; 0: empty */
    size_t count;   /* names */
};

/* Enters a name; it and the node must stay where they are. false: the text is there already. */
bool hf_names_insert(struct hf_names *names, const struct hf_name *name,
                     struct hf_names_node *node) HF_WARN_UNUSED;

/* Takes out a name that is there, and its node, whose memory is free afterwards: another name's node takes over what
 * it was used for. */
void hf_names_remove(struct hf_names *names, const struct hf_name *name,
                     struct hf_names_node *node);

/* Many names at once, in any order: sorted first, so that neighbours are inserted one after the other and most of
 * what an insert looks at is in the CPU's caches. An item's node lies node_offset bytes behind its name. */
struct hf_names_item {
    uint64_t head; /* scratch: the bytes that are compared now */
    struct hf_name *name;
};
/* NO_MEMORY; EXISTS: a text is there twice, or is in the set already. */
enum hf_err hf_names_fill(struct hf_names *names, struct hf_names_item *items, size_t count,
                          size_t node_offset) HF_WARN_UNUSED;

/* The first name behind `text` in byte order (inclusive: or text itself); NULL if there is none. */
const struct hf_name *hf_names_behind(const struct hf_names *names, struct hf_str text,
                                      bool inclusive);

/* Every invariant by a walk; aborts if one is broken. */
void hf_names_verify(const struct hf_names *names);

#endif
