/*
 * The cold index: an ordered set of runs.
 *
 * Owns: which runs are looked into, and in which order. Must never: delete a file that a kept
 * checkpoint, the set or a merge under way needs; hold up a reader while a run is written or merged, or an add
 * while runs are merged. Called by: node.
 *
 * 1. The set is newest first; the runs' positions are adjacent: each run's to_position + 1 is the
 *    from_position of the one before it. So a key's newest record is in the first run that has it.
 * 2. A set is immutable; add and merge put a new one in its place. Readers keep the one they
 *    acquired until they release it.
 * 3. get and acquire may be called from any thread at any time. add and clean are called by one thread at a
 *    time (the checkpoint worker), merge by one at a time (the merge worker), beside them: a merge takes
 *    the place of runs that stay where they are, only new ones come in front of them.
 * 4. What belongs to the set is durable only by a checkpoint that names the runs.
 */
#ifndef HF_STORE_INDEX_H
#define HF_STORE_INDEX_H

#include "base/limits.h"
#include "store/checkpoint.h"
#include "store/run.h"

#define HF_INDEX_RUNS_MAX 1024 /* in a set; more is a bug of the merge policy */

struct hf_index;

/* An immutable set. */
struct hf_index_set {
    uint64_t reference_count;  /* under the index's mutex */
    struct hf_index_set *next; /* of the sets that nobody has any more; the index's own */
    size_t run_count;          /* of runs */
    struct hf_run *runs[];     /* newest first; a reference each */
};

/* Opens the runs that a checkpoint names (newest first; run_count may be 0). directory is copied.
 * Errors: as hf_run_open (NOT_FOUND becomes CORRUPT: a named run is missing); CORRUPT if the runs
 * are not adjacent. */
enum hf_err hf_index_open(struct hf_outside *outside, const char *directory, uint32_t space,
                          const struct hf_limits *limits, const struct hf_run_ref *runs,
                          size_t run_count, struct hf_index **index,
                          struct hf_error *error) HF_WARN_UNUSED;
/* Every acquired set must have been released. NULL is fine. */
void hf_index_close(struct hf_index *index);

/* The newest record of key. Thread-safe. found = false and OK: no run has it. Errors: IO, CORRUPT. */
enum hf_err hf_index_get(struct hf_index *index, const struct hf_index_key *key, bool *found,
                         struct hf_index_value *value, struct hf_error *error) HF_WARN_UNUSED;

/* The present set, until release; for many lookups, listings, checkpoints. Thread-safe. Neither takes long: whoever
 * releases a replaced set last leaves its files and filters to the next add, merge, cleaning or free_unused. */
struct hf_index_set *hf_index_acquire(struct hf_index *index);
void hf_index_release(struct hf_index *index, struct hf_index_set *set);
/* Closing the files of large runs, and giving their filters back, takes milliseconds: on a worker. Thread-safe. */
void hf_index_free_unused(struct hf_index *index);
enum hf_err hf_index_set_get(const struct hf_index_set *set, const struct hf_index_key *key,
                             bool *found, struct hf_index_value *value,
                             struct hf_error *error) HF_WARN_UNUSED;
/* true: no run has the key. false: one may. Without a look at the disk. */
bool hf_index_set_lacks(const struct hf_index_set *set, const struct hf_index_key *key);

/* The same of many keys (count <= HF_INDEX_LACKS_MAX): lacks[i] is told for each. Several times as quick. */
#define HF_INDEX_LACKS_MAX 64u
void hf_index_set_lacks_each(const struct hf_index_set *set, const struct hf_index_key *keys,
                             size_t count, bool *lacks);

/* Last log position that the set covers; 0 if it is empty. Thread-safe. */
uint64_t hf_index_covered(struct hf_index *index);
/* Records in all runs, older ones of a key counted too. Thread-safe. */
uint64_t hf_index_record_count(struct hf_index *index);

/* Of memory: the runs' fences and filters. Thread-safe. */
uint64_t hf_index_bytes(struct hf_index *index);

/* Opens a run that was just written and puts it in front. It must begin right behind what is covered
 * (HF_CHECK; any beginning if the set is empty). On an error the set is unchanged. OVERLOADED: the set is full. */
enum hf_err hf_index_add(struct hf_index *index, const struct hf_run_ref *ref,
                         struct hf_error *error) HF_WARN_UNUSED;

/* Adjacent runs of a set to merge: count of them from `first` (0 = newest). */
struct hf_index_pick {
    size_t first; /* place of the newest one */
    size_t count; /* 2 or more by the policy; 1 rewrites a run, to drop from it */
};

/* No more records are merged into one run: the filter of more would not stay in RAM, and a merge takes a time. */
#define HF_INDEX_MERGED_RECORDS_MAX (HF_RUN_FILTER_RAM_BYTES_MAX * 8 / HF_RUN_FILTER_BITS)

/* If the set has more than limits.index_runs_max runs (not counting those that have more than half of
 * HF_INDEX_MERGED_RECORDS_MAX, nor what is older: they stay as they are): true, and what to merge: the newest two, and the
 * older ones after them as long as each has at most the records of all newer ones together. docs/adr/0014 has the
 * figures. */
bool hf_index_pick_merge(const struct hf_index *index, const struct hf_index_set *set,
                         struct hf_index_pick *pick);
/* The policy alone: record counts, newest first. */
bool hf_index_pick_from(const uint64_t *record_counts, size_t run_count, size_t runs_max,
                        struct hf_index_pick *pick);

/* If a run has records of a kind that are all of positions up to to_position, and they are at least one in
 * HF_INDEX_DROP_PART of its records: true, and that it is to be written anew without them. The oldest such run. A run is
 * picked so once, for then it has none. */
#define HF_INDEX_DROP_PART 8u
bool hf_index_pick_expired(const struct hf_index_set *set, uint8_t kind, uint64_t to_position,
                           struct hf_index_pick *pick);

/* Merges what pick says of an acquired set and replaces it in the present one. The old files stay (hf_index_clean
 * removes them once no kept checkpoint names them). On an error the set is unchanged. CLOSED: rules->stops said so. */
enum hf_err hf_index_merge(struct hf_index *index, const struct hf_index_set *set,
                           const struct hf_index_pick *pick, const struct hf_run_merge_rules *rules,
                           struct hf_error *error) HF_WARN_UNUSED;

/* hf_store_clean of the index's directory: what the set has and what a merge is writing stays. No checkpoint and no run
 * but a merged one may be written meanwhile; a merge that begins waits until it is done. */
enum hf_err hf_index_clean(struct hf_index *index, struct hf_store_cleaned *cleaned,
                           struct hf_error *error) HF_WARN_UNUSED;

#endif
