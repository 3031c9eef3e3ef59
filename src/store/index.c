#include "store/index.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/check.h"
#include "store/checkpoint.h"
#include "store/sink.h"

struct hf_index {
    struct hf_outside *outside;  /* borrowed */
    uint32_t space;              /* of all runs */
    uint32_t block_bytes;        /* of merged runs */
    size_t runs_max;             /* more are merged */
    pthread_mutex_t mutex;       /* for set and every reference_count; held for moments only */
    struct hf_index_set *set;    /* the present one; a reference of the index itself */
    struct hf_index_set *unused; /* sets without references, not freed yet; under the mutex, too */
    pthread_mutex_t changing;    /* for a change of set, so that none is lost; for moments, too */
    pthread_mutex_t files;       /* for merged; by a cleaning all the time */
    bool merging;                /* a merge is under way… */
    struct hf_run_ref merged;    /* …and this is the file that it writes; no size nor hash */
    char directory[HF_STORE_PATH_BYTES]; /* where the runs are */
};

static void lock(pthread_mutex_t *mutex)
{
    HF_CHECK(pthread_mutex_lock(mutex) == 0);
}

static void unlock(pthread_mutex_t *mutex)
{
    HF_CHECK(pthread_mutex_unlock(mutex) == 0);
}

/* Room for run_count runs; NULL if memory is short. */
static struct hf_index_set *set_new(size_t run_count)
{
    struct hf_index_set *set = hf_calloc(1, sizeof(*set) + run_count * sizeof(struct hf_run *));
    if (set != NULL) {
        set->reference_count = 1;
    }
    return set;
}

static void set_free(struct hf_index_set *set)
{
    for (size_t i = 0; i < set->run_count; i++) {
        hf_run_release(set->runs[i]);
    }
    hf_free(set);
}

static void set_push(struct hf_index_set *set, struct hf_run *run)
{
    set->runs[set->run_count++] = run;
}

struct hf_index_set *hf_index_acquire(struct hf_index *index)
{
    lock(&index->mutex);
    struct hf_index_set *set = index->set;
    set->reference_count++;
    unlock(&index->mutex);
    return set;
}

void hf_index_release(struct hf_index *index, struct hf_index_set *set)
{
    lock(&index->mutex);
    HF_CHECK(set->reference_count > 0);
    if (--set->reference_count == 0) {
        set->next = index->unused;
        index->unused = set;
    }
    unlock(&index->mutex);
}

void hf_index_free_unused(struct hf_index *index)
{
    lock(&index->mutex);
    struct hf_index_set *set = index->unused;
    index->unused = NULL;
    unlock(&index->mutex);
    while (set != NULL) {
        struct hf_index_set *next = set->next;
        set_free(set);
        set = next;
    }
}

static void set_verify(const struct hf_index_set *set)
{
    HF_CHECK(set->run_count <= HF_INDEX_RUNS_MAX);
    for (size_t i = 1; i < set->run_count; i++) {
        HF_CHECK(hf_run_info(set->runs[i])->ref.to_position + 1 ==
                 hf_run_info(set->runs[i - 1])->ref.from_position);
    }
}

/* Takes over the reference to `set`. The caller holds `changing`. */
static void replace(struct hf_index *index, struct hf_index_set *set)
{
    set_verify(set);
    lock(&index->mutex);
    struct hf_index_set *old = index->set;
    index->set = set;
    unlock(&index->mutex);
    hf_index_release(index, old);
}

static enum hf_err open_runs(struct hf_index *index, const struct hf_run_ref *runs,
                             size_t run_count, struct hf_error *error)
{
    for (size_t i = 0; i < run_count; i++) {
        struct hf_run *run;
        char name[HF_RUN_NAME_BYTES];
        hf_run_name(&runs[i], name);
        if (i > 0 && (runs[i].to_position == UINT64_MAX ||
                      runs[i].to_position + 1 != runs[i - 1].from_position)) {
            return hf_error_set(error, HF_ERR_CORRUPT, "index: %s is not adjacent to the next run",
                                name);
        }
        enum hf_err err =
            hf_run_open(index->outside, index->directory, index->space, &runs[i], &run, error);
        if (err == HF_ERR_NOT_FOUND) {
            return hf_error_set(error, HF_ERR_CORRUPT,
                                "index: %s is missing, but the checkpoint names it", name);
        }
        if (err != HF_ERR_OK) {
            hf_error_wrap(error, "open index");
            return err;
        }
        set_push(index->set, run);
    }
    return HF_ERR_OK;
}

enum hf_err hf_index_open(struct hf_outside *outside, const char *directory, uint32_t space,
                          const struct hf_limits *limits, const struct hf_run_ref *runs,
                          size_t run_count, struct hf_index **index, struct hf_error *error)
{
    *index = NULL;
    size_t directory_bytes = strlen(directory);
    if (directory_bytes >= HF_STORE_PATH_BYTES) {
        return hf_error_set(error, HF_ERR_LIMIT, "open index: the directory's path is too long");
    }
    if (run_count > HF_INDEX_RUNS_MAX) {
        return hf_error_set(error, HF_ERR_CORRUPT, "open index: %zu runs", run_count);
    }
    HF_CHECK(limits->index_runs_max >= 1 && limits->index_runs_max < HF_INDEX_RUNS_MAX);
    struct hf_index *new = hf_calloc(1, sizeof(*new));
    if (new == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "open index: memory is short");
    }
    new->outside = outside;
    new->space = space;
    new->block_bytes = limits->index_block_bytes;
    new->runs_max = limits->index_runs_max;
    memcpy(new->directory, directory, directory_bytes + 1);
    new->set = set_new(run_count);
    if (new->set == NULL) {
        hf_free(new);
        return hf_error_set(error, HF_ERR_NO_MEMORY, "open index: memory is short");
    }
    enum hf_err err = open_runs(new, runs, run_count, error);
    if (err != HF_ERR_OK) {
        set_free(new->set);
        hf_free(new);
        return err;
    }
    set_verify(new->set);
    HF_CHECK(pthread_mutex_init(&new->mutex, NULL) == 0);
    HF_CHECK(pthread_mutex_init(&new->changing, NULL) == 0);
    HF_CHECK(pthread_mutex_init(&new->files, NULL) == 0);
    *index = new;
    return HF_ERR_OK;
}

void hf_index_close(struct hf_index *index)
{
    if (index == NULL) {
        return;
    }
    HF_CHECK(index->set->reference_count == 1 && !index->merging);
    hf_index_free_unused(index);
    set_free(index->set);
    HF_CHECK(pthread_mutex_destroy(&index->files) == 0);
    HF_CHECK(pthread_mutex_destroy(&index->changing) == 0);
    HF_CHECK(pthread_mutex_destroy(&index->mutex) == 0);
    hf_free(index);
}

enum hf_err hf_index_set_get(const struct hf_index_set *set, const struct hf_index_key *key,
                             bool *found, struct hf_index_value *value, struct hf_error *error)
{
    *found = false;
    *value = (struct hf_index_value){0};
    uint64_t key_hash = hf_run_key_hash(key);
    for (size_t i = 0; i < set->run_count; i++) {
        enum hf_err err = hf_run_get(set->runs[i], key, key_hash, found, value, error);
        if (err != HF_ERR_OK || *found) {
            return err;
        }
    }
    return HF_ERR_OK;
}

bool hf_index_set_lacks(const struct hf_index_set *set, const struct hf_index_key *key)
{
    uint64_t key_hash = hf_run_key_hash(key);
    bool lacks = true;
    for (size_t i = 0; lacks && i < set->run_count; i++) {
        lacks = hf_run_lacks(set->runs[i], key, key_hash);
    }
    return lacks;
}

void hf_index_set_lacks_each(const struct hf_index_set *set, const struct hf_index_key *keys,
                             size_t count, bool *lacks)
{
    uint64_t key_hashes[HF_INDEX_LACKS_MAX];
    HF_CHECK(count <= HF_INDEX_LACKS_MAX);
    for (size_t i = 0; i < count; i++) {
        key_hashes[i] = hf_run_key_hash(&keys[i]);
        lacks[i] = true;
    }
    for (size_t i = 0; i < set->run_count; i++) {
        hf_run_lacks_each(set->runs[i], keys, key_hashes, count, lacks);
    }
}

enum hf_err hf_index_get(struct hf_index *index, const struct hf_index_key *key, bool *found,
                         struct hf_index_value *value, struct hf_error *error)
{
    struct hf_index_set *set = hf_index_acquire(index);
    enum hf_err err = hf_index_set_get(set, key, found, value, error);
    hf_index_release(index, set);
    return err;
}

uint64_t hf_index_covered(struct hf_index *index)
{
    struct hf_index_set *set = hf_index_acquire(index);
    uint64_t position = set->run_count == 0 ? 0 : hf_run_info(set->runs[0])->ref.to_position;
    hf_index_release(index, set);
    return position;
}

uint64_t hf_index_record_count(struct hf_index *index)
{
    struct hf_index_set *set = hf_index_acquire(index);
    uint64_t sum = 0;
    for (size_t i = 0; i < set->run_count; i++) {
        sum += hf_run_info(set->runs[i])->record_count;
    }
    hf_index_release(index, set);
    return sum;
}

uint64_t hf_index_bytes(struct hf_index *index)
{
    struct hf_index_set *set = hf_index_acquire(index);
    uint64_t sum = 0;
    for (size_t i = 0; i < set->run_count; i++) {
        sum += hf_run_memory_bytes(set->runs[i]);
    }
    hf_index_release(index, set);
    return sum;
}

/* `run` in front of what there is now. */
static enum hf_err put_in_front(struct hf_index *index, struct hf_run *run, struct hf_error *error)
{
    const struct hf_index_set *old = index->set; /* replaced by whoever holds `changing` alone */
    HF_CHECK(old->run_count == 0 ||
             hf_run_info(old->runs[0])->ref.to_position + 1 == hf_run_info(run)->ref.from_position);
    if (old->run_count == HF_INDEX_RUNS_MAX) {
        return hf_error_set(error, HF_ERR_OVERLOADED, "add to index: it has %u runs, merges lag",
                            HF_INDEX_RUNS_MAX);
    }
    struct hf_index_set *set = set_new(old->run_count + 1);
    if (set == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "add to index: memory is short");
    }
    set_push(set, hf_run_acquire(run));
    for (size_t i = 0; i < old->run_count; i++) {
        set_push(set, hf_run_acquire(old->runs[i]));
    }
    replace(index, set);
    return HF_ERR_OK;
}

enum hf_err hf_index_add(struct hf_index *index, const struct hf_run_ref *ref,
                         struct hf_error *error)
{
    struct hf_run *run;
    enum hf_err err = hf_run_open(index->outside, index->directory, index->space, ref, &run, error);
    if (err != HF_ERR_OK) {
        hf_error_wrap(error, "add to index");
        return err;
    }
    lock(&index->changing);
    err = put_in_front(index, run, error);
    unlock(&index->changing);
    hf_run_release(run);
    hf_index_free_unused(index);
    return err;
}

bool hf_index_pick_from(const uint64_t *record_counts, size_t run_count, size_t runs_max,
                        struct hf_index_pick *pick)
{
    size_t mergeable = 0;
    while (mergeable < run_count && record_counts[mergeable] <= HF_INDEX_MERGED_RECORDS_MAX / 2) {
        mergeable++;
    }
    *pick = (struct hf_index_pick){0, 0};
    if (mergeable <= runs_max) {
        return false;
    }
    uint64_t newer_count = 0;
    while (pick->count < mergeable) {
        uint64_t count = record_counts[pick->count];
        bool fits = count <= newer_count && count + newer_count <= HF_INDEX_MERGED_RECORDS_MAX;
        if (pick->count >= 2 && !fits) {
            break;
        }
        newer_count += count;
        pick->count++;
    }
    return true;
}

bool hf_index_pick_merge(const struct hf_index *index, const struct hf_index_set *set,
                         struct hf_index_pick *pick)
{
    uint64_t record_counts[HF_INDEX_RUNS_MAX];
    for (size_t i = 0; i < set->run_count; i++) {
        record_counts[i] = hf_run_info(set->runs[i])->record_count;
    }
    return hf_index_pick_from(record_counts, set->run_count, index->runs_max, pick);
}

bool hf_index_pick_expired(const struct hf_index_set *set, uint8_t kind, uint64_t to_position,
                           struct hf_index_pick *pick)
{
    for (size_t i = set->run_count; i-- > 0;) {
        const struct hf_run_info *info = hf_run_info(set->runs[i]);
        uint64_t count = hf_run_kind_count(set->runs[i], kind);
        if (info->ref.to_position <= to_position && count > 0 &&
            count >= info->record_count / HF_INDEX_DROP_PART) {
            *pick = (struct hf_index_pick){.first = i, .count = 1};
            return true;
        }
    }
    return false;
}

/* `merged` in the place of what the pick says of `from`; in front of that there may be more runs by now. */
static enum hf_err put_in_place(struct hf_index *index, const struct hf_index_set *from,
                                const struct hf_index_pick *pick, struct hf_run *merged,
                                struct hf_error *error)
{
    const struct hf_index_set *old = index->set; /* replaced by whoever holds `changing` alone */
    HF_CHECK(old->run_count >= from->run_count);
    size_t first = pick->first + (old->run_count - from->run_count);
    for (size_t i = 0; i < pick->count; i++) {
        HF_CHECK(old->runs[first + i] == from->runs[pick->first + i]);
    }
    struct hf_index_set *set = set_new(old->run_count - pick->count + 1);
    if (set == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "merge index: memory is short");
    }
    for (size_t i = 0; i < first; i++) {
        set_push(set, hf_run_acquire(old->runs[i]));
    }
    set_push(set, hf_run_acquire(merged));
    for (size_t i = first + pick->count; i < old->run_count; i++) {
        set_push(set, hf_run_acquire(old->runs[i]));
    }
    replace(index, set);
    return HF_ERR_OK;
}

/* From now on, a cleaning leaves the file of the merge alone. */
static void announce(struct hf_index *index, const struct hf_index_set *set,
                     const struct hf_index_pick *pick)
{
    lock(&index->files);
    HF_CHECK(!index->merging);
    index->merging = true;
    index->merged = hf_run_merged_ref(set->runs + pick->first, pick->count);
    unlock(&index->files);
}

static void end_merge(struct hf_index *index)
{
    lock(&index->files);
    index->merging = false;
    unlock(&index->files);
}

enum hf_err hf_index_merge(struct hf_index *index, const struct hf_index_set *set,
                           const struct hf_index_pick *pick, const struct hf_run_merge_rules *rules,
                           struct hf_error *error)
{
    HF_CHECK(pick->count >= 1 && pick->first + pick->count <= set->run_count);
    struct hf_run_info info;
    struct hf_run *merged = NULL;
    announce(index, set, pick);
    enum hf_err err = hf_run_merge(index->outside, index->directory, set->runs + pick->first,
                                   pick->count, index->block_bytes, rules, &info, error);
    if (err == HF_ERR_OK) {
        err =
            hf_run_open(index->outside, index->directory, index->space, &info.ref, &merged, error);
    }
    if (err == HF_ERR_OK) {
        lock(&index->changing);
        err = put_in_place(index, set, pick, merged, error);
        unlock(&index->changing);
    } else {
        hf_error_wrap(error, "merge index");
    }
    hf_run_release(merged);
    end_merge(index);
    hf_index_free_unused(index);
    return err;
}

enum hf_err hf_index_clean(struct hf_index *index, struct hf_store_cleaned *cleaned,
                           struct hf_error *error)
{
    lock(&index->files);
    struct hf_index_set *set = hf_index_acquire(index);
    size_t count = set->run_count;
    struct hf_run_ref *live = hf_malloc((count + 1) * sizeof(*live));
    for (size_t i = 0; live != NULL && i < count; i++) {
        live[i] = hf_run_info(set->runs[i])->ref;
    }
    hf_index_release(index, set);
    enum hf_err err = HF_ERR_NO_MEMORY;
    if (live == NULL) {
        hf_error_set(error, HF_ERR_NO_MEMORY, "clean: memory is short");
    } else {
        live[count] = index->merged;
        count += index->merging;
        err = hf_store_clean(index->outside, index->directory, index->space, live, count, cleaned,
                             error);
    }
    hf_free(live);
    unlock(&index->files);
    hf_index_free_unused(index);
    return err;
}
