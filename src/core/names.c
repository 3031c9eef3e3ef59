#include "core/names.h"

#include "base/check.h"

#define IS_NODE ((uintptr_t)1)

/* Where two texts differ first. */
struct difference {
    uint32_t byte;
    uint8_t mask; /* the highest bit that differs; 0: the texts are equal */
};

static struct hf_names_node *node_of(uintptr_t child)
{
    return (child & IS_NODE) == 0 ? NULL : (struct hf_names_node *)(child - IS_NODE);
}

static const struct hf_name *name_of(uintptr_t child)
{
    return (const struct hf_name *)child;
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
