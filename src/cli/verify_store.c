/* Stored checkpoints against the replayed state; index runs as they are by themselves. */
#include "base/alloc.h"
#include "cli/verify.h"

static bool add_file(struct hf_verify_report *report, const struct hf_verify_file *file)
{
    if (report->file_count == report->file_capacity) {
        size_t capacity = report->file_capacity == 0 ? 16 : 2 * report->file_capacity;
        struct hf_verify_file *more = hf_realloc(report->files, capacity * sizeof(*more));
        if (more == NULL) {
            return false;
        }
        report->files = more;
        report->file_capacity = capacity;
    }
    report->files[report->file_count++] = *file;
    return true;
}

static bool knows_run(const struct hf_verify_report *report, const struct hf_run_ref *run)
{
    for (size_t i = 0; i < report->file_count; i++) {
        const struct hf_verify_file *file = &report->files[i];
        if (file->is_run && file->run.from_position == run->from_position &&
            file->run.to_position == run->to_position && file->run.generation == run->generation) {
            return true;
        }
    }
    return false;
}

static enum hf_err short_memory(struct hf_error *error)
{
    return hf_error_set(error, HF_ERR_NO_MEMORY, "verify: out of memory");
}

/* A run that a checkpoint names: its own bytes. */
static enum hf_err list_run(struct hf_outside *outside, const char *directory,
                            const struct hf_run_ref *ref, struct hf_verify_report *report,
                            struct hf_error *error)
{
    struct hf_run *run;
    enum hf_err code = hf_run_open(outside, directory, 0, ref, &run, error);
    if (code == HF_ERR_OK) {
        struct hf_verify_file file = {.position = ref->to_position,
                                      .is_run = true,
                                      .run = *ref,
                                      .dropped_to = hf_run_info(run)->dropped_to};
        code = hf_run_verify(run, error);
        if (code == HF_ERR_OK && !add_file(report, &file)) {
            code = short_memory(error);
        }
        hf_run_release(run);
    }
    if (code == HF_ERR_CORRUPT || code == HF_ERR_NOT_FOUND) {
        hf_verify_problem(report, "index run %llu-%llu: %s", (unsigned long long)ref->from_position,
                          (unsigned long long)ref->to_position, error->text);
        return HF_ERR_OK;
    }
    return code;
}

static enum hf_err list_checkpoint(struct hf_outside *outside, const char *directory,
                                   uint64_t position, struct hf_verify_report *report,
                                   struct hf_error *error)
{
    struct hf_checkpoint *checkpoint;
    enum hf_err code = hf_checkpoint_open(outside, directory, 0, position, &checkpoint, error);
    if (code == HF_ERR_NOT_FOUND) {
        return HF_ERR_OK; /* a living owner has removed it meanwhile */
    }
    if (code == HF_ERR_OK) {
        const struct hf_checkpoint_info *info = hf_checkpoint_info(checkpoint);
        struct hf_verify_file file = {
            .position = position, .hash = info->state_hash, .meta = info->meta};
        size_t count;
        const struct hf_run_ref *runs = hf_checkpoint_runs(checkpoint, &count);
        code = hf_checkpoint_verify(checkpoint, error);
        if (code == HF_ERR_OK && !add_file(report, &file)) {
            code = short_memory(error);
        }
        for (size_t i = 0; i < count && code == HF_ERR_OK; i++) {
            if (!knows_run(report, &runs[i])) {
                code = list_run(outside, directory, &runs[i], report, error);
            }
        }
        hf_checkpoint_close(checkpoint);
    }
    if (code == HF_ERR_CORRUPT) {
        hf_verify_problem(report, "%s", error->text);
        return HF_ERR_OK;
    }
    return code;
}

enum hf_err hf_verify_list_files(struct hf_outside *outside, const char *directory,
                                 struct hf_verify_report *report, struct hf_error *error)
{
    uint64_t *positions;
    size_t count;
    enum hf_err code = hf_checkpoint_list(outside, directory, &positions, &count, error);
    if (code == HF_ERR_NOT_FOUND) {
        return HF_ERR_OK;
    }
    for (size_t i = 0; i < count && code == HF_ERR_OK; i++) {
        code = list_checkpoint(outside, directory, positions[i], report, error);
    }
    hf_free(positions);
    return code;
}

bool hf_verify_is_moment(const struct hf_verify_report *report, uint64_t position)
{
    for (size_t i = 0; i < report->file_count; i++) {
        if (!report->files[i].is_run && report->files[i].position == position) {
            return true;
        }
    }
    size_t low = 0;
    size_t high = report->recorded_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (report->recorded[middle].position < position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < report->recorded_count && report->recorded[low].position == position;
}

static void compare_checkpoint(const struct hf_verify_file *file, const struct hf_state *state,
                               const struct hf_log_head *head, const struct hf_hash *hash,
                               struct hf_verify_report *report)
{
    unsigned long long position = (unsigned long long)file->position;
    if (!hf_hash_equal(&file->hash, hash)) {
        hf_verify_problem(report, "checkpoint %llu: its state is not the replayed one", position);
    }
    if (!hf_hash_equal(&file->meta.chain_hash, &head->hash)) {
        hf_verify_problem(report, "checkpoint %llu: its hash of the log is another", position);
    }
    if (file->meta.seq != head->seq || file->meta.time_us != state->time_us) {
        hf_verify_problem(report, "checkpoint %llu: its batch or time is another", position);
    }
    report->checkpoints++;
}

static void compare_recorded(const struct hf_verify_recorded *recorded, const struct hf_hash *hash,
                             struct hf_verify_report *report)
{
    if (hf_hash_equal(&recorded->hash, hash)) {
        report->recorded_compared++;
    } else {
        hf_verify_problem(
            report, "commit %llu records a checkpoint of position %llu with another state",
            (unsigned long long)recorded->recorded_at, (unsigned long long)recorded->position);
    }
}

enum hf_err hf_verify_compare(const struct hf_state *state, const struct hf_log_head *head,
                              struct hf_verify_report *report, struct hf_error *error)
{
    struct hf_hash hash;
    if (!hf_state_hash(state, &hash)) {
        return short_memory(error);
    }
    for (size_t i = 0; i < report->recorded_count; i++) {
        if (report->recorded[i].position == state->position) {
            compare_recorded(&report->recorded[i], &hash, report);
        }
    }
    for (size_t i = 0; i < report->file_count; i++) {
        struct hf_verify_file *file = &report->files[i];
        if (!file->is_run && file->position == state->position) {
            file->compared = true;
            compare_checkpoint(file, state, head, &hash, report);
        }
    }
    return HF_ERR_OK;
}
