#include "node/index_sort.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"

#define KEY_BYTES    24u /* of an id and a sub, big-endian: they compare like the key */
#define PREFIX_BYTES 7u
#define KINDS        256u
#define FEW          64u /* are sorted by comparing */

struct sorting {
    const struct hf_index_table *table;
    size_t skip[KINDS]; /* leading bytes that all keys of a kind share */
};

/* qsort has no context, and a thread sorts one table at a time. */
static _Thread_local const struct hf_index_table *sorted_table;

static int compare(const void *a, const void *b)
{
    const struct hf_index_sorted *left = a;
    const struct hf_index_sorted *right = b;
    int order = hf_index_key_compare(&hf_index_table_at(sorted_table, left->number)->key,
                                     &hf_index_table_at(sorted_table, right->number)->key);
    if (order != 0) {
        return order;
    }
    return left->number < right->number ? -1 : left->number > right->number;
}

static void key_words(const struct hf_index_key *key, uint64_t words[3])
{
    memcpy(words, key->id.bytes, 16);
    words[0] = __builtin_bswap64(words[0]);
    words[1] = __builtin_bswap64(words[1]);
    words[2] = key->sub;
}

/* Leading zero bytes; KEY_BYTES if all are. */
static size_t zero_bytes(const uint64_t words[3])
{
    for (size_t i = 0; i < 3; i++) {
        if (words[i] != 0) {
            return 8 * i + (size_t)__builtin_clzll(words[i]) / 8;
        }
    }
    return KEY_BYTES;
}

/* How many leading bytes to leave out if the first that differ are these. */
static size_t skip_of(const uint64_t different[3])
{
    size_t skip = zero_bytes(different);
    return skip > KEY_BYTES - PREFIX_BYTES ? KEY_BYTES - PREFIX_BYTES : skip;
}

/* Ids that ascend have the first bytes in common for a while: those say nothing. */
static void find_skips(struct sorting *sorting)
{
    uint64_t first[KINDS][3];
    uint64_t different[KINDS][3] = {{0}};
    bool seen[KINDS] = {false};
    size_t at = 0;
    const struct hf_index_slot *slot;
    while ((slot = hf_index_table_next(sorting->table, &at)) != NULL) {
        uint64_t words[3];
        uint8_t kind = slot->key.kind;
        key_words(&slot->key, words);
        if (!seen[kind]) {
            seen[kind] = true;
            memcpy(first[kind], words, sizeof(words));
        }
        for (size_t i = 0; i < 3; i++) {
            different[kind][i] |= words[i] ^ first[kind][i];
        }
    }
    for (size_t kind = 0; kind < KINDS; kind++) {
        sorting->skip[kind] = skip_of(different[kind]);
    }
}

static uint64_t prefix_of(const struct hf_index_key *key, size_t skip)
{
    uint64_t words[3];
    key_words(key, words);
    size_t word = skip / 8;
    unsigned bits = (unsigned)(skip % 8) * 8;
    uint64_t bytes = words[word] << bits;
    if (bits > 0 && word < 2) {
        bytes |= words[word + 1] >> (64 - bits);
    }
    return (uint64_t)key->kind << 56 | bytes >> 8;
}

/* One pass by a byte of the prefix, which keeps the order of what is equal; false: all have the same one, nothing is
 * moved. */
static bool sort_by_byte(const struct hf_index_sorted *from, struct hf_index_sorted *to,
                         size_t count, unsigned shift)
{
    size_t starts[256] = {0};
    for (size_t i = 0; i < count; i++) {
        starts[from[i].prefix >> shift & 255]++;
    }
    if (starts[from[0].prefix >> shift & 255] == count) {
        return false;
    }
    size_t at = 0;
    for (size_t byte = 0; byte < 256; byte++) {
        size_t here = starts[byte];
        starts[byte] = at;
        at += here;
    }
    for (size_t i = 0; i < count; i++) {
        to[starts[from[i].prefix >> shift & 255]++] = from[i];
    }
    return true;
}

/* By prefix, in either half of the memory; returns which. */
static struct hf_index_sorted *sort_prefixes(struct hf_index_sorted *from,
                                             struct hf_index_sorted *to, size_t count)
{
    bool sorted = true;
    for (size_t i = 1; sorted && i < count; i++) {
        sorted = from[i - 1].prefix <= from[i].prefix;
    }
    for (unsigned shift = 0; !sorted && shift < 64; shift += 8) {
        if (sort_by_byte(from, to, count, shift)) {
            struct hf_index_sorted *swap = from;
            from = to;
            to = swap;
        }
    }
    return from;
}

static bool same_key(const struct hf_index_table *table, const struct hf_index_sorted *a,
                     const struct hf_index_sorted *b)
{
    return a->prefix == b->prefix && hf_index_key_equal(&hf_index_table_at(table, a->number)->key,
                                                        &hf_index_table_at(table, b->number)->key);
}

static void sort_equal_prefixes(const struct hf_index_table *table, struct hf_index_sorted *sorted,
                                struct hf_index_sorted *scratch, size_t count);

/* Those of one prefix, by the next bytes in which they differ. */
static void sort_many(const struct hf_index_table *table, struct hf_index_sorted *group,
                      struct hf_index_sorted *scratch, size_t count)
{
    uint64_t first[3];
    uint64_t different[3] = {0};
    key_words(&hf_index_table_at(table, group[0].number)->key, first);
    for (size_t i = 1; i < count; i++) {
        uint64_t words[3];
        key_words(&hf_index_table_at(table, group[i].number)->key, words);
        for (size_t word = 0; word < 3; word++) {
            different[word] |= words[word] ^ first[word];
        }
    }
    if (zero_bytes(different) == KEY_BYTES) {
        return; /* one key, in the order of its puts */
    }
    size_t skip = skip_of(different);
    for (size_t i = 0; i < count; i++) {
        group[i].prefix = prefix_of(&hf_index_table_at(table, group[i].number)->key, skip);
    }
    if (sort_prefixes(group, scratch, count) == scratch) {
        memcpy(group, scratch, count * sizeof(*group));
    }
    sort_equal_prefixes(table, group, scratch, count);
}

/* Those of one prefix by their whole keys. At most as deep as a key has bytes. */
static void sort_equal_prefixes(const struct hf_index_table *table, struct hf_index_sorted *sorted,
                                struct hf_index_sorted *scratch, size_t count)
{
    for (size_t first = 0; first < count;) {
        size_t end = first + 1;
        bool in_order = true;
        for (; end < count && sorted[end].prefix == sorted[first].prefix; end++) {
            in_order = in_order && compare(&sorted[end - 1], &sorted[end]) < 0;
        }
        if (!in_order && end - first > FEW) {
            sort_many(table, sorted + first, scratch + first, end - first);
        } else if (!in_order) {
            qsort(sorted + first, end - first, sizeof(*sorted), compare);
        }
        first = end;
    }
}

struct hf_index_sorted *hf_index_sort(const struct hf_index_table *table, size_t *count)
{
    struct hf_index_sorted *memory = hf_malloc(2 * table->count * sizeof(*memory));
    if (memory == NULL) {
        return NULL;
    }
    struct sorting sorting = {.table = table};
    find_skips(&sorting);
    size_t at = 0;
    const struct hf_index_slot *slot;
    while ((slot = hf_index_table_next(table, &at)) != NULL) {
        memory[at - 1] = (struct hf_index_sorted){
            prefix_of(&slot->key, sorting.skip[slot->key.kind]), (uint32_t)(at - 1)};
    }
    struct hf_index_sorted *sorted = sort_prefixes(memory, memory + table->count, table->count);
    sorted_table = table;
    sort_equal_prefixes(table, sorted, sorted == memory ? memory + table->count : memory,
                        table->count);
    *count = 0;
    for (size_t i = 0; i < table->count;
         i++) { /* forwards, from either half: never onto what is still to come */
        bool is_last = i + 1 == table->count || !same_key(table, &sorted[i], &sorted[i + 1]);
        if (is_last) {
            memory[(*count)++] = sorted[i];
        }
    }
    return memory;
}
