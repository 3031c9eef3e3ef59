#include "base/alloc.h"
#include "base/check.h"
#include "store/run_priv.h"

struct merge {
    struct hf_run_iterator *iterators; /* one a run, newest first; owned */
    size_t count;                      /* of them */
    struct hf_run_writer *writer;      /* the new run; NULL after finish */
    hf_run_merge_fn choose;            /* may be NULL */
    void *context;                     /* of choose */
};

/* The iterator with the lowest key, the newest of equal ones; NULL = all are at their ends. A scan,
 * not a heap: there are few runs, and their count is bounded by the merge policy. */
static struct hf_run_iterator *lowest(struct merge *merge)
{
    struct hf_run_iterator *best = NULL;
    for (size_t i = 0; i < merge->count; i++) {
        struct hf_run_iterator *one = &merge->iterators[i];
        if (one->valid && (best == NULL || hf_index_key_compare(&one->key, &best->key) < 0)) {
            best = one;
        }
    }
    return best;
}

/* Takes the lowest record: writes it or not, and steps over its key in all runs. */
static enum hf_err step(struct merge *merge, const struct hf_run_iterator *best,
                        struct hf_error *error)
{
    struct hf_index_key key = best->key;
    enum hf_run_merge_choice choice = merge->choose == NULL
                                          ? HF_RUN_MERGE_KEEP
                                          : merge->choose(merge->context, &key, &best->value);
    enum hf_err err = HF_ERR_OK;
    if (choice == HF_RUN_MERGE_STOP) {
        return hf_error_set(error, HF_ERR_CLOSED, "merge of index runs: stopped");
    }
    if (choice == HF_RUN_MERGE_KEEP) {
        err = hf_run_writer_add(merge->writer, &key, &best->value, error);
    }
    for (size_t i = 0; i < merge->count && err == HF_ERR_OK; i++) {
        struct hf_run_iterator *one = &merge->iterators[i];
        if (one->valid && hf_index_key_equal(&one->key, &key)) {
            err = hf_run_iterator_next(one, error);
        }
    }
    return err;
}

struct hf_run_ref hf_run_merged_ref(struct hf_run *const *runs, size_t run_count)
{
    HF_CHECK(run_count > 0);
    struct hf_run_ref ref = {
        .from_position = hf_run_info(runs[run_count - 1])->ref.from_position,
        .to_position = hf_run_info(runs[0])->ref.to_position,
    };
    for (size_t i = 0; i < run_count; i++) {
        uint32_t generation = hf_run_info(runs[i])->ref.generation;
        ref.generation = generation > ref.generation ? generation : ref.generation;
    }
    HF_CHECK(ref.generation < UINT32_MAX);
    ref.generation++;
    return ref;
}

static struct hf_run_meta meta_of(struct hf_run *const *runs, size_t run_count,
                                  uint32_t block_bytes)
{
    struct hf_run_ref ref = hf_run_merged_ref(runs, run_count);
    struct hf_run_meta meta = {
        .space = hf_run_info(runs[0])->space,
        .from_position = ref.from_position,
        .to_position = ref.to_position,
        .generation = ref.generation,
        .block_bytes = block_bytes,
    };
    for (size_t i = 0; i < run_count; i++) {
        const struct hf_run_info *info = hf_run_info(runs[i]);
        HF_CHECK(info->space == meta.space);
        HF_CHECK(i == 0 ||
                 info->ref.to_position + 1 == hf_run_info(runs[i - 1])->ref.from_position);
        meta.record_count_max += info->record_count;
    }
    return meta;
}

enum hf_err hf_run_merge(struct hf_outside *outside, const char *directory,
                         struct hf_run *const *runs, size_t run_count, uint32_t block_bytes,
                         hf_run_merge_fn choose, void *context, struct hf_run_info *info,
                         struct hf_error *error)
{
    *info = (struct hf_run_info){0};
    struct hf_run_meta meta = meta_of(runs, run_count, block_bytes);
    struct merge merge = {.choose = choose, .context = context};
    merge.iterators = hf_calloc(run_count, sizeof(*merge.iterators));
    if (merge.iterators == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "merge of index runs: memory is short");
    }
    enum hf_err err = hf_run_writer_start(outside, directory, &meta, &merge.writer, error);
    while (err == HF_ERR_OK && merge.count < run_count) {
        err = hf_run_iterator_init(&merge.iterators[merge.count], runs[merge.count], NULL, error);
        merge.count++;
    }
    struct hf_run_iterator *best;
    while (err == HF_ERR_OK && (best = lowest(&merge)) != NULL) {
        err = step(&merge, best, error);
    }
    if (err == HF_ERR_OK) {
        err = hf_run_writer_finish(merge.writer, info, error);
    } else {
        hf_run_writer_abort(merge.writer);
    }
    for (size_t i = 0; i < merge.count; i++) {
        hf_run_iterator_release(&merge.iterators[i]);
    }
    hf_free(merge.iterators);
    return err;
}
