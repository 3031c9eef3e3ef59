/* The two passes of a verification over the log. */
#include <stdarg.h>

#include "base/alloc.h"
#include "base/check.h"
#include "cli/verify.h"
#include "log/log_keep.h"

#define STATE_SEED            0x5EEDull
#define PROGRESS_EVERY        1024u /* commits */
#define PROGRESS_BYTES_A_STEP (64u << 10)

struct pass {
    struct hf_verify_report *report;
    hf_verify_progress_fn progress; /* or NULL */
    void *context;                  /* its */
    uint64_t total;                 /* steps of both passes; 0 = not known yet */
    uint64_t done;                  /* steps */
    uint64_t pack_bytes;            /* of compressed segments, read before the first pass */
};

void hf_verify_report_init(struct hf_verify_report *report)
{
    memset(report, 0, sizeof(*report));
    hf_arena_init(&report->arena);
}

void hf_verify_report_release(struct hf_verify_report *report)
{
    hf_free(report->recorded);
    hf_free(report->files);
    hf_arena_release(&report->arena);
}

void hf_verify_problem(struct hf_verify_report *report, const char *format, ...)
{
    if (report->problem_count < HF_VERIFY_PROBLEMS_MAX) {
        char *text = report->problems[report->problem_count];
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(text, HF_ERROR_TEXT_BYTES, format, arguments);
        va_end(arguments);
    }
    report->problem_count++;
}

static void step(struct pass *pass)
{
    if (pass->progress != NULL && pass->done % PROGRESS_EVERY == 0) {
        pass->progress(pass->context, pass->done, pass->total);
    }
    pass->done++;
}

/* Damage becomes a problem of the report; everything else is an error of the run. */
static enum hf_err damage_or_error(struct hf_verify_report *report, enum hf_err code,
                                   const struct hf_error *error)
{
    if (code != HF_ERR_CORRUPT) {
        return code;
    }
    hf_verify_problem(report, "%s", error->text);
    return HF_ERR_OK;
}

static bool add_recorded(struct hf_verify_report *report, const struct hf_commit *commit,
                         const struct hf_system *system)
{
    if (report->recorded_count == report->recorded_capacity) {
        size_t capacity = report->recorded_capacity == 0 ? 16 : 2 * report->recorded_capacity;
        struct hf_verify_recorded *more = hf_realloc(report->recorded, capacity * sizeof(*more));
        if (more == NULL) {
            return false;
        }
        report->recorded = more;
        report->recorded_capacity = capacity;
    }
    report->recorded[report->recorded_count++] = (struct hf_verify_recorded){
        .position = system->position, .hash = system->hash, .recorded_at = commit->position};
    return true;
}

/* Counts what a commit holds. false: memory is short. */
static bool count_commit(struct hf_verify_report *report, const struct hf_commit *commit)
{
    if (report->commits == 0) {
        report->first_time_us = commit->time_us;
    }
    report->last_time_us = commit->time_us;
    report->commits++;
    report->events += commit->event_count;
    report->client_commits += commit->origin == HF_ORIGIN_CLIENT;
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_event *event = commit->events[i];
        report->transfers +=
            event->type == HF_EVENT_TRANSFER_POSTED ||
            (event->type == HF_EVENT_HOLD_CAPTURED && event->posting.transfer.amount > 0);
        report->refusals += event->type == HF_EVENT_REFUSED || event->type == HF_EVENT_UNIT_REFUSED;
        report->takeovers += event->type == HF_EVENT_TAKEOVER;
        report->torn_tails += event->type == HF_EVENT_TAIL_CUT;
        if (event->type == HF_EVENT_CHECKPOINT && !add_recorded(report, commit, &event->system)) {
            return false;
        }
    }
    return true;
}

/* Compressed and archived segments have bytes beside those of batches. */
static bool step_bytes(void *context, uint64_t bytes)
{
    struct pass *pass = context;
    pass->pack_bytes += bytes;
    if (pass->progress != NULL) {
        pass->progress(pass->context, pass->pack_bytes / PROGRESS_BYTES_A_STEP, 0);
    }
    return true;
}

static void take_finding(void *context, const struct hf_error *finding)
{
    hf_verify_problem(context, "%s", finding->text);
}

static enum hf_err check_packs(struct pass *pass, struct hf_log *log, struct hf_error *error)
{
    struct hf_log_work work = {.go_on = step_bytes, .context = pass};
    return hf_log_check_packs(log, &work, take_finding, pass->report, error);
}

/* Everything that can be said of the log's bytes without a state. */
static enum hf_err scan(struct pass *pass, const char *directory, struct hf_log *log,
                        struct hf_error *error)
{
    struct hf_verify_report *report = pass->report;
    struct hf_walk walk;
    hf_walk_init(&walk, log);
    enum hf_err code = hf_walk_is_owned(directory) ? hf_walk_limit(&walk, error) : HF_ERR_OK;
    while (code == HF_ERR_OK) {
        code = hf_walk_next(&walk, error);
        if (code != HF_ERR_OK || walk.end) {
            break;
        }
        step(pass);
        enum hf_err texts = hf_commit_verify_texts(&walk.commit, error);
        if (texts != HF_ERR_OK) {
            hf_verify_problem(report, "%s", error->text);
        }
        if (!count_commit(report, &walk.commit)) {
            code = hf_error_set(error, HF_ERR_NO_MEMORY, "verify: out of memory");
            break;
        }
        report->head = walk.head;
    }
    code = damage_or_error(report, code, error);
    hf_walk_release(&walk);
    return code;
}

static enum hf_err apply(struct hf_state *state, struct hf_commit *commit, struct hf_error *error)
{
    if (!hf_state_reserve(state, commit)) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "replay: out of memory at commit %llu",
                            (unsigned long long)commit->position);
    }
    return hf_state_apply(state, commit, error);
}

/* From zero to where the scan ended. */
static enum hf_err replay(struct pass *pass, struct hf_outside *outside, const char *directory,
                          struct hf_log *log, struct hf_state *state, struct hf_error *error)
{
    struct hf_verify_report *report = pass->report;
    struct hf_walk walk;
    hf_walk_init(&walk, log);
    enum hf_err code = HF_ERR_OK;
    while (walk.head.position < report->head.position) {
        code = hf_walk_next(&walk, error);
        if (code == HF_ERR_OK && walk.end) {
            code = hf_error_set(error, HF_ERR_CORRUPT,
                                "the log ended at commit %llu when it was "
                                "read a second time",
                                (unsigned long long)walk.head.position);
        }
        if (code == HF_ERR_OK) {
            code = apply(state, &walk.commit, error);
        }
        if (code == HF_ERR_OK && hf_verify_is_moment(report, state->position)) {
            code = hf_verify_compare(outside, directory, state, &walk.head, report, error);
        }
        if (code != HF_ERR_OK) {
            break;
        }
        step(pass);
    }
    code = damage_or_error(report, code, error);
    hf_walk_release(&walk);
    return code;
}

/* Double entry over all accounts, and what there is at the end. */
static enum hf_err sum_up(struct hf_verify_report *report, const struct hf_state *state,
                          struct hf_error *error)
{
    report->accounts = hf_account_pool_count(&state->accounts);
    report->open_holds = state->holds.count;
    report->streams = state->streams.count;
    report->documents = state->documents.count;
    report->leases = state->leases.count;
    report->totals = hf_state_totals(state, &report->arena, &report->total_count);
    if (report->totals == NULL || !hf_state_hash(state, &report->state_hash)) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "verify: out of memory");
    }
    for (size_t i = 0; i < report->total_count; i++) {
        const struct hf_asset_totals *totals = &report->totals[i];
        if (totals->debits_posted != totals->credits_posted) {
            hf_verify_problem(report, "%s: the posted debits and credits differ",
                              totals->asset.text);
        }
        if (totals->debits_pending != totals->credits_pending) {
            hf_verify_problem(report, "%s: the pending debits and credits differ",
                              totals->asset.text);
        }
    }
    return HF_ERR_OK;
}

/* What the replay did not come to, though the log has it. */
static void find_forgotten(struct hf_verify_report *report)
{
    for (size_t i = 0; i < report->file_count; i++) {
        const struct hf_verify_file *file = &report->files[i];
        if (!file->compared && file->position <= report->head.position) {
            hf_verify_problem(report, "%s of position %llu could not be compared",
                              file->is_run ? "index run" : "checkpoint",
                              (unsigned long long)file->position);
        }
    }
}

enum hf_err hf_verify(struct hf_outside *outside, const char *directory,
                      hf_verify_progress_fn progress, void *context,
                      struct hf_verify_report *report, struct hf_error *error)
{
    struct hf_log *log;
    struct hf_state state;
    struct pass pass = {.report = report, .progress = progress, .context = context};
    enum hf_err code = hf_walk_open_log(outside, directory, &log, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    hf_state_init(&state, STATE_SEED);
    code = hf_verify_list_files(outside, directory, report, error);
    if (code == HF_ERR_OK) {
        code = check_packs(&pass, log, error);
    }
    if (code == HF_ERR_OK) {
        code = scan(&pass, directory, log, error);
    }
    if (code == HF_ERR_OK) {
        pass.total = 2 * report->commits;
        code = replay(&pass, outside, directory, log, &state, error);
    }
    if (code == HF_ERR_OK) {
        code = sum_up(report, &state, error);
        find_forgotten(report);
    }
    hf_state_release(&state);
    log->driver->close(log);
    return code;
}
