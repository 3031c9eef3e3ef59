/*
 * The index records of a replay in the order in which a run wants them.
 *
 * Owns: an array that refers to a table's records. Must never: change the table.
 * Called by: checkpoint.
 */
#ifndef HF_NODE_INDEX_SORT_H
#define HF_NODE_INDEX_SORT_H

#include "core/index_table.h"

/* A record's number in the table, with the bytes of its key that tell most keys apart. */
struct hf_index_sorted {
    uint64_t
        prefix; /* the kind, and 7 bytes of id and sub behind those that all of its kind share */
    uint32_t number; /* for hf_index_table_at */
};

/* By key; of records with equal keys only the one that was put last. NULL: memory is short. The caller frees the
 * array (hf_free). RAM: 32 bytes a record. */
struct hf_index_sorted *hf_index_sort(const struct hf_index_table *table,
                                      size_t *count) HF_WARN_UNUSED;

#endif
