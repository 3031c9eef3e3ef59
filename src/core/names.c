#include "core/names.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"

#define IS_NODE    ((uintptr_t)1)
#define HEAD_BYTES 8u

/* Where two texts differ first. */
struct difference {
    uint32_t byte;
    uint8_t mask; /* the highest bit that differs; 0: the texts are equal */
};

static struct hf_names_node *node_of(uintptr_t child)
{
    /* A pointer with a mark is a number. NOLINTNEXTLINE(performance-no-int-to-ptr) */
    return (child & IS_NODE) == 0 ? NULL : (struct hf_names_node *)(child - IS_NODE);
}

static const struct hf_name *name_of(uintptr_t child)
{
    return (const struct hf_name *)child; /* NOLINT(performance-no-int-to-ptr) */
}

static uint8_t byte_at(struct hf_str text, uint32_t at)
{
    return at < text.len ? (uint8_t)text.ptr[at] : 0;
}

static unsigned direction(struct hf_str text, const struct hf_names_node *node)
{
    return (byte_at(text, node->byte) & node->mask) != 0;
}

static struct difference compare(struct hf_str a, struct hf_str b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    uint32_t at = 0;
    while (at < shorter && a.ptr[at] == b.ptr[at]) {
        at++;
    }
    unsigned bits = byte_at(a, at) ^ byte_at(b, at);
    unsigned mask = bits == 0 ? 0 : 0x80u >> (__builtin_clz(bits) - 24);
    return (struct difference){at, (uint8_t)mask};
}

/* Does the node stand below the difference, so that all names under it agree there? */
static bool is_below(const struct hf_names_node *node, const struct difference *difference)
{
    return node->byte > difference->byte ||
           (node->byte == difference->byte && node->mask < difference->mask);
}

/* The name that a look-up of text ends at. */
static const struct hf_name *nearest(uintptr_t child, struct hf_str text)
{
    const struct hf_names_node *node;
    while ((node = node_of(child)) != NULL) {
        child = node->child[direction(text, node)];
    }
    return name_of(child);
}

bool hf_names_insert(struct hf_names *names, const struct hf_name *name, struct hf_names_node *node)
{
    if (names->root == 0) {
        names->root = (uintptr_t)name;
        names->count = 1;
        return true;
    }
    struct difference difference = compare(name->text, nearest(names->root, name->text)->text);
    if (difference.mask == 0) {
        return false;
    }
    uintptr_t *at = &names->root;
    struct hf_names_node *above;
    while ((above = node_of(*at)) != NULL && !is_below(above, &difference)) {
        at = &above->child[direction(name->text, above)];
    }
    node->byte = difference.byte;
    node->mask = difference.mask;
    unsigned own = direction(name->text, node);
    node->child[own] = (uintptr_t)name;
    node->child[1 - own] = *at;
    *at = (uintptr_t)node | IS_NODE;
    names->count++;
    return true;
}

/* A name's own node stands above the name, if it is in use. The node above the name falls out of the tree; if that is
 * another name's, it is below the own one, and so stays above its name when it takes the own one's place. */
void hf_names_remove(struct hf_names *names, const struct hf_name *name, struct hf_names_node *node)
{
    uintptr_t *link = &names->root;
    uintptr_t *above_link = NULL;
    uintptr_t *own_link = NULL;
    struct hf_names_node *here;
    while ((here = node_of(*link)) != NULL) {
        own_link = here == node ? link : own_link;
        above_link = link;
        link = &here->child[direction(name->text, here)];
    }
    HF_CHECK(name_of(*link) == name);
    names->count--;
    if (above_link == NULL) {
        names->root = 0;
        return;
    }
    struct hf_names_node *above = node_of(*above_link);
    *above_link = above->child[1 - direction(name->text, above)];
    if (own_link != NULL && above != node) {
        *above = *node;
        *own_link = (uintptr_t)above | IS_NODE;
    }
}

/* ---- many at once ---- */

static uint64_t head_at(struct hf_str text, uint32_t at)
{
    uint64_t head = 0;
    for (uint32_t i = at; i < at + HEAD_BYTES; i++) {
        head = head << 8 | byte_at(text, i);
    }
    return head;
}

/* Equal heads are told apart in the next round. */
static int compare_heads(const void *a, const void *b)
{
    const struct hf_names_item *left = a;
    const struct hf_names_item *right = b;
    return left->head < right->head ? -1 : left->head > right->head;
}

/* Sorts a run of names that agree up to byte `at`; starts[i]: a new run begins there. true: some names still agree. */
static bool sort_run(struct hf_names_item *items, bool *starts, size_t count, uint32_t at)
{
    bool equal = false;
    for (size_t i = 0; i < count; i++) {
        items[i].head = head_at(items[i].name->text, at);
    }
    qsort(items, count, sizeof(*items), compare_heads);
    for (size_t i = 1; i < count; i++) {
        starts[i] = items[i].head != items[i - 1].head;
        equal = equal || !starts[i];
    }
    return equal;
}

/* In rounds of eight bytes: one look at each name's text and then comparisons within the array. */
static void sort_items(struct hf_names_item *items, bool *starts, size_t count)
{
    bool equal = count > 1;
    starts[0] = true;
    for (uint32_t at = 0; equal && at < HF_NAME_BYTES_MAX; at += HEAD_BYTES) {
        equal = false;
        size_t from = 0;
        for (size_t to = 1; to <= count; to++) {
            if (to == count || starts[to]) {
                equal = (to - from > 1 && sort_run(items + from, starts + from, to - from, at)) ||
                        equal;
                from = to;
            }
        }
    }
}

enum hf_err hf_names_fill(struct hf_names *names, struct hf_names_item *items, size_t count,
                          size_t node_offset)
{
    if (count == 0) {
        return HF_ERR_OK;
    }
    bool *starts = hf_calloc(count, sizeof(*starts));
    if (starts == NULL) {
        return HF_ERR_NO_MEMORY;
    }
    sort_items(items, starts, count);
    hf_free(starts);
    for (size_t i = 0; i < count; i++) {
        void *node = (char *)items[i].name + node_offset;
        if (!hf_names_insert(names, items[i].name, node)) {
            return HF_ERR_EXISTS;
        }
    }
    return HF_ERR_OK;
}

/* ---- walking ---- */

static const struct hf_name *first_below(uintptr_t child)
{
    const struct hf_names_node *node;
    while ((node = node_of(child)) != NULL) {
        child = node->child[0];
    }
    return name_of(child);
}

const struct hf_name *hf_names_behind(const struct hf_names *names, struct hf_str text,
                                      bool inclusive)
{
    if (names->root == 0) {
        return NULL;
    }
    const struct hf_name *near = nearest(names->root, text);
    struct difference difference = compare(text, near->text);
    if (difference.mask == 0 && inclusive) {
        return near;
    }
    uintptr_t child = names->root;
    uintptr_t next = 0; /* what comes behind everything under child */
    const struct hf_names_node *node;
    while ((node = node_of(child)) != NULL &&
           (difference.mask == 0 || !is_below(node, &difference))) {
        unsigned to = direction(text, node);
        if (to == 0) {
            next = node->child[1];
        }
        child = node->child[to];
    }
    /* All names under child are on the same side of text: behind it if text has the zero. */
    bool behind = difference.mask != 0 && (byte_at(text, difference.byte) & difference.mask) == 0;
    uintptr_t found = behind ? child : next;
    return found == 0 ? NULL : first_below(found);
}

void hf_names_verify(const struct hf_names *names)
{
    size_t count = 0;
    const struct hf_name *before = NULL;
    const struct hf_name *name = hf_names_behind(names, HF_STR(""), true);
    while (name != NULL) {
        HF_CHECK(before == NULL || hf_str_compare(before->text, name->text) < 0);
        count++;
        before = name;
        name = hf_names_behind(names, name->text, false);
    }
    HF_CHECK(count == names->count);
}
