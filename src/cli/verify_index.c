/*
 * Index runs against the records that a replay makes.
 *
 * Owns: the open runs, of each a bit for every record, and nothing for long of what the replay makes: its records are taken
 * piece by piece. A piece is sorted as a checkpoint sorts, and compared with each run that covers it.
 *
 * A run must hold, of each key that the log names in its range, the newest record. So a record of a piece must be in the
 * run, or one of the same key that is newer; and each record of the run must have been met, as it stands, in some
 * piece. Together that is: the run is what the log gives, no more and no less.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "cli/verify.h"
#include "node/index_sort.h"

#define STEPS_MAX 256u /* over records that lie between, before a search */

/* A run on the way. */
struct hf_verify_run {
    struct hf_verify_file *file; /* the report's */
    struct hf_run *run;          /* open while the replay is in its range */
    uint8_t *met; /* owned; a bit a record: the log gives it, or it was told as false */
};

static bool covers(const struct hf_verify_run *of, uint64_t position)
{
    return of->file->run.from_position <= position && position <= of->file->run.to_position;
}

static void close_run(struct hf_verify_run *of)
{
    hf_run_release(of->run);
    hf_free(of->met);
    of->run = NULL;
    of->met = NULL;
}

static enum hf_err open_run(struct hf_verify_index *index, struct hf_verify_run *of,
                            struct hf_error *error)
{
    enum hf_err code =
        hf_run_open(index->outside, index->directory, 0, &of->file->run, &of->run, error);
    if (code == HF_ERR_NOT_FOUND) { /* it was there before: a living owner has removed it */
        of->file->compared = true;
        return HF_ERR_OK;
    }
    if (code == HF_ERR_OK) {
        of->met = hf_calloc((size_t)(hf_run_info(of->run)->record_count / 8 + 1), 1);
        if (of->met == NULL) {
            close_run(of);
            code = hf_error_set(error, HF_ERR_NO_MEMORY, "verify: out of memory");
        }
    }
    return code;
}

static void false_record(struct hf_verify_index *index, const struct hf_verify_run *of,
                         const struct hf_run_iterator *at, uint64_t log_position)
{
    hf_verify_problem(index->report,
                      "index run %llu-%llu: a record of kind %u names commit %llu, the log says "
                      "%llu",
                      (unsigned long long)of->file->run.from_position,
                      (unsigned long long)of->file->run.to_position, at->key.kind,
                      (unsigned long long)at->value.position, (unsigned long long)log_position);
}

/* Not there. Merges leave out keys, once they have expired, and nothing else; runs of before have none of the finer entries. */
static void miss(struct hf_verify_index *index, const struct hf_verify_run *of,
                 const struct hf_index_slot *slot)
{
    bool expired = slot->key.kind == HF_INDEX_KEY && slot->value.position <= of->file->dropped_to;
    bool finer = slot->key.kind == HF_INDEX_ENTRY && slot->key.sub % HF_ENTRY_STRIDE != 0;
    if (expired || finer) {
        return;
    }
    hf_verify_problem(index->report,
                      "index run %llu-%llu: it lacks one of its records, the log gives it: kind "
                      "%u, commit %llu",
                      (unsigned long long)of->file->run.from_position,
                      (unsigned long long)of->file->run.to_position, slot->key.kind,
                      (unsigned long long)slot->value.position);
}

static bool is_below(const struct hf_run_iterator *at, const struct hf_index_key *key)
{
    return at->valid && hf_index_key_compare(&at->key, key) < 0;
}

/* On to the first record that is not below the key. */
static enum hf_err advance(struct hf_verify_run *of, struct hf_run_iterator *at,
                           const struct hf_index_key *key, struct hf_error *error)
{
    enum hf_err code = HF_ERR_OK;
    for (unsigned i = 0; code == HF_ERR_OK && i < STEPS_MAX && is_below(at, key); i++) {
        code = hf_run_iterator_next(at, error);
    }
    if (code == HF_ERR_OK && is_below(at, key)) {
        hf_run_iterator_release(at);
        code = hf_run_iterator_init(at, of->run, key, error);
    }
    return code;
}

static void meet(struct hf_verify_index *index, struct hf_verify_run *of,
                 const struct hf_run_iterator *at, const struct hf_index_slot *slot)
{
    bool same = memcmp(&at->value, &slot->value, sizeof(slot->value)) == 0;
    if (!same && at->value.position > slot->value.position) {
        return; /* it must be met in a later piece */
    }
    uint64_t number = hf_run_iterator_number(at);
    of->met[number / 8] |= (uint8_t)(1u << number % 8);
    if (!same) {
        false_record(index, of, at, slot->value.position);
    }
}

static enum hf_err compare_piece(struct hf_verify_index *index, struct hf_verify_run *of,
                                 const struct hf_index_table *table,
                                 const struct hf_index_sorted *sorted, size_t count,
                                 struct hf_error *error)
{
    struct hf_run_iterator at;
    enum hf_err code =
        hf_run_iterator_init(&at, of->run, &hf_index_table_at(table, sorted[0].number)->key, error);
    for (size_t i = 0; code == HF_ERR_OK && i < count; i++) {
        const struct hf_index_slot *slot = hf_index_table_at(table, sorted[i].number);
        code = advance(of, &at, &slot->key, error);
        if (code != HF_ERR_OK) {
            break;
        }
        if (at.valid && hf_index_key_equal(&at.key, &slot->key)) {
            meet(index, of, &at, slot);
        } else {
            miss(index, of, slot);
        }
    }
    hf_run_iterator_release(&at);
    return code;
}

/* The records since the last piece, all within the same runs. */
static enum hf_err take_piece(struct hf_verify_index *index, const struct hf_index_table *table,
                              struct hf_error *error)
{
    size_t count;
    struct hf_index_sorted *sorted = NULL;
    enum hf_err code = HF_ERR_OK;
    for (size_t i = 0; code == HF_ERR_OK && i < index->run_count && table->count > 0; i++) {
        struct hf_verify_run *of = &index->runs[i];
        if (of->run == NULL) {
            continue;
        }
        if (sorted == NULL && (sorted = hf_index_sort(table, &count)) == NULL) {
            return hf_error_set(error, HF_ERR_NO_MEMORY, "verify: out of memory");
        }
        code = compare_piece(index, of, table, sorted, count, error);
    }
    hf_free(sorted);
    return code;
}

static bool all_met(const struct hf_verify_run *of, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if ((of->met[i / 8] >> i % 8 & 1) == 0) {
            return false;
        }
    }
    return true;
}

/* The replay is behind its last position: what it has and the log does not give. */
static enum hf_err end_run(struct hf_verify_index *index, struct hf_verify_run *of,
                           struct hf_error *error)
{
    uint64_t count = hf_run_info(of->run)->record_count;
    enum hf_err code = HF_ERR_OK;
    if (!all_met(of, count)) {
        struct hf_run_iterator at;
        code = hf_run_iterator_init(&at, of->run, NULL, error);
        while (code == HF_ERR_OK && at.valid) {
            uint64_t number = hf_run_iterator_number(&at);
            if ((of->met[number / 8] >> number % 8 & 1) == 0) {
                false_record(index, of, &at, 0);
            }
            code = hf_run_iterator_next(&at, error);
        }
        hf_run_iterator_release(&at);
    }
    of->file->compared = true;
    index->report->runs++;
    index->report->index_records += count;
    close_run(of);
    return code;
}

/* Does a run begin or end behind this position? */
static bool is_edge(const struct hf_verify_index *index, uint64_t position)
{
    for (size_t i = 0; i < index->run_count; i++) {
        const struct hf_run_ref *ref = &index->runs[i].file->run;
        if (ref->to_position == position || ref->from_position == position + 1) {
            return true;
        }
    }
    return false;
}

static enum hf_err open_from(struct hf_verify_index *index, uint64_t position,
                             struct hf_error *error)
{
    enum hf_err code = HF_ERR_OK;
    for (size_t i = 0; code == HF_ERR_OK && i < index->run_count; i++) {
        struct hf_verify_run *of = &index->runs[i];
        if (of->file->run.from_position == position) {
            code = open_run(index, of, error);
        }
    }
    return code;
}

enum hf_err hf_verify_index_begin(struct hf_verify_index *index, struct hf_outside *outside,
                                  const char *directory, struct hf_verify_report *report,
                                  struct hf_error *error)
{
    *index = (struct hf_verify_index){.outside = outside, .directory = directory, .report = report};
    index->runs = hf_calloc(report->file_count + 1, sizeof(*index->runs));
    if (index->runs == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "verify: out of memory");
    }
    for (size_t i = 0; i < report->file_count; i++) {
        if (report->files[i].is_run) {
            index->runs[index->run_count++].file = &report->files[i];
        }
    }
    return open_from(index, 1, error);
}

enum hf_err hf_verify_index_take(struct hf_verify_index *index, struct hf_state *state,
                                 struct hf_error *error)
{
    bool edge = is_edge(index, state->position);
    if (!edge && state->recent.current.count < index->report->piece_records) {
        return HF_ERR_OK;
    }
    enum hf_err code = take_piece(index, &state->recent.current, error);
    hf_recent_cover(&state->recent, state->position);
    for (size_t i = 0; edge && code == HF_ERR_OK && i < index->run_count; i++) {
        struct hf_verify_run *of = &index->runs[i];
        if (of->run != NULL && !covers(of, state->position + 1)) {
            code = end_run(index, of, error);
        }
    }
    return edge && code == HF_ERR_OK ? open_from(index, state->position + 1, error) : code;
}

void hf_verify_index_end(struct hf_verify_index *index)
{
    for (size_t i = 0; i < index->run_count; i++) {
        close_run(&index->runs[i]);
    }
    hf_free(index->runs);
    *index = (struct hf_verify_index){0};
}
