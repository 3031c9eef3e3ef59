/* The two passes of a verification over the log: which checkpoints it records; everything else. */
#include <stdarg.h>

#include "base/alloc.h"
#include "base/check.h"
#include "cli/verify.h"
#include "log/log_keep.h"

#define STATE_SEED            0x5EEDull
#define PROGRESS_EVERY        16u        /* commits */
#define READ_BYTES            (4u << 20) /* of the log at once */
#define PROGRESS_BYTES_A_STEP (64u << 10)

struct pass {
    struct hf_verify_report *report;
    hf_verify_progress_fn progress; /* or NULL */
    void *context;                  /* its */
    uint64_t total;                 /* steps of both passes; 0 = not known yet */
    uint64_t done;                  /* steps */
    uint64_t pack_bytes;            /* of compressed segments, read before the first pass */
    uint64_t limit;                 /* the passes end with the batch that holds it; 0 = never */
};

/* The second pass. */
struct proof {
    struct pass *pass;
    struct hf_verify_index index;
    struct hf_state state; /* replayed */
    bool contradicted; /* a commit did not fit: only bytes and texts are looked at from there on */
};

void hf_verify_report_init(struct hf_verify_report *report)
{
    memset(report, 0, sizeof(*report));
    hf_arena_init(&report->arena);
    report->piece_records = HF_VERIFY_PIECE_RECORDS;
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

/* Notes the checkpoint that the commit records, if it does. */
static enum hf_err find_in_commit(struct pass *pass, const struct hf_commit_frame *frame,
                                  struct hf_arena *arena, struct hf_error *error)
{
    struct hf_commit commit;
    step(pass);
    if (hf_commit_only_event(frame->record, frame->record_bytes, frame->payload,
                             frame->payload_bytes) != HF_EVENT_CHECKPOINT) {
        return HF_ERR_OK;
    }
    hf_arena_clear(arena);
    enum hf_err code = hf_commit_decode(frame->record, frame->record_bytes, frame->payload,
                                        frame->payload_bytes, arena, &commit, error);
    if (code == HF_ERR_OK && !add_recorded(pass->report, &commit, &commit.events[0]->system)) {
        code = hf_error_set(error, HF_ERR_NO_MEMORY, "verify: out of memory");
    }
    return code;
}

static enum hf_err find_in_batches(struct pass *pass, const struct hf_buffer *bytes,
                                   uint32_t batches, struct hf_arena *arena, bool *end,
                                   struct hf_error *error)
{
    enum hf_err code = HF_ERR_OK;
    size_t at = 0;
    for (uint32_t i = 0; code == HF_ERR_OK && !*end && i < batches; i++) {
        struct hf_log_batch batch;
        struct hf_commit_frame frame;
        size_t body_at = 0;
        code = hf_log_batch_decode_checked(bytes->data, bytes->size_bytes, &at, &batch, error);
        while (code == HF_ERR_OK &&
               hf_commit_frame_next(batch.body, batch.body_bytes, &body_at, &frame)) {
            code = find_in_commit(pass, &frame, arena, error);
        }
        *end = pass->limit != 0 && batch.first_position + batch.commit_count > pass->limit;
    }
    return code;
}

/* The first pass. Damage ends it: the second one meets it, too, and tells. */
static enum hf_err find_recorded(struct pass *pass, struct hf_log *log, struct hf_error *error)
{
    struct hf_buffer bytes;
    struct hf_arena arena;
    uint32_t batches = 1;
    bool end = false;
    enum hf_err code = HF_ERR_OK;
    hf_buffer_init(&bytes);
    hf_arena_init(&arena);
    for (uint64_t seq = 1; code == HF_ERR_OK && !end; seq += batches) {
        hf_buffer_clear(&bytes);
        code = log->driver->read(log, seq, READ_BYTES, &bytes, &batches, error);
        end = batches == 0;
        if (code == HF_ERR_OK) {
            code = find_in_batches(pass, &bytes, batches, &arena, &end, error);
        }
    }
    hf_arena_release(&arena);
    hf_buffer_release(&bytes);
    return code == HF_ERR_CORRUPT || code == HF_ERR_NOT_FOUND ? HF_ERR_OK : code;
}

static bool is_known(const struct hf_verify_report *report, const struct hf_commit *commit)
{
    for (size_t i = 0; i < report->recorded_count; i++) {
        if (report->recorded[i].recorded_at == commit->position) {
            return true;
        }
    }
    return false;
}

/* Counts what a commit holds. */
static void count_commit(struct hf_verify_report *report, const struct hf_commit *commit)
{
    if (report->commits == 0) {
        report->first_time_us = commit->time_us;
    }
    report->last_time_us = commit->time_us;
    report->commits++;
    report->events += hf_commit_event_total(commit);
    report->transfers += hf_commit_event_total(commit) - commit->event_count; /* of its strip */
    report->client_commits += commit->origin == HF_ORIGIN_CLIENT;
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_event *event = commit->events[i];
        report->transfers +=
            event->type == HF_EVENT_TRANSFER_POSTED ||
            (event->type == HF_EVENT_HOLD_CAPTURED && event->posting.transfer.amount > 0);
        report->refusals += event->type == HF_EVENT_REFUSED || event->type == HF_EVENT_UNIT_REFUSED;
        report->takeovers += event->type == HF_EVENT_TAKEOVER;
        report->torn_tails += event->type == HF_EVENT_TAIL_CUT;
        if (event->type == HF_EVENT_CHECKPOINT && !is_known(report, commit)) {
            hf_verify_problem(report, "commit %llu records a checkpoint that was not there before",
                              (unsigned long long)commit->position);
        }
    }
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

static enum hf_err apply(struct hf_state *state, struct hf_commit *commit, struct hf_error *error)
{
    if (!hf_state_reserve(state, commit)) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "replay: out of memory at commit %llu",
                            (unsigned long long)commit->position);
    }
    return hf_state_apply(state, commit, error);
}

/* The commit into the state, and what is stored of this position beside it. */
static enum hf_err replay(struct proof *proof, struct hf_walk *walk, struct hf_error *error)
{
    struct hf_verify_report *report = proof->pass->report;
    struct hf_state *state = &proof->state;
    enum hf_err code = apply(state, &walk->commit, error);
    if (code == HF_ERR_OK && hf_verify_is_moment(report, state->position)) {
        code = hf_verify_compare(state, &walk->head, report, error);
    }
    if (code == HF_ERR_OK) {
        code = hf_verify_index_take(&proof->index, state, error);
    }
    proof->contradicted = code == HF_ERR_CORRUPT;
    return damage_or_error(report, code, error);
}

/* The second pass, from zero to the end. */
static enum hf_err prove(struct proof *proof, struct hf_log *log, struct hf_error *error)
{
    struct pass *pass = proof->pass;
    struct hf_verify_report *report = pass->report;
    struct hf_walk walk;
    hf_walk_init(&walk, log);
    walk.compact = true;
    walk.limit = pass->limit;
    enum hf_err code = HF_ERR_OK;
    while (code == HF_ERR_OK) {
        code = hf_walk_next(&walk, error);
        if (code != HF_ERR_OK || walk.end) {
            break;
        }
        step(pass);
        if (hf_commit_verify_texts(&walk.commit, error) != HF_ERR_OK) {
            hf_verify_problem(report, "%s", error->text);
        }
        count_commit(report, &walk.commit);
        report->head = walk.head;
        if (!proof->contradicted) {
            code = replay(proof, &walk, error);
        }
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

static enum hf_err run(struct proof *proof, struct hf_outside *outside, const char *directory,
                       struct hf_log *log, struct hf_error *error)
{
    struct pass *pass = proof->pass;
    enum hf_err code = hf_verify_list_files(outside, directory, pass->report, error);
    if (code == HF_ERR_OK) {
        code = check_packs(pass, log, error);
    }
    if (code == HF_ERR_OK && hf_walk_is_owned(directory)) {
        struct hf_walk walk;
        hf_walk_init(&walk, log);
        code = hf_walk_limit(&walk, error);
        pass->limit = walk.limit;
        hf_walk_release(&walk);
    }
    if (code == HF_ERR_OK) {
        code = find_recorded(pass, log, error);
    }
    pass->total = 2 * pass->done;
    if (code == HF_ERR_OK) {
        code = hf_verify_index_begin(&proof->index, outside, directory, pass->report, error);
        code = damage_or_error(pass->report, code, error);
    }
    return code == HF_ERR_OK ? prove(proof, log, error) : code;
}

enum hf_err hf_verify(struct hf_outside *outside, const char *directory,
                      hf_verify_progress_fn progress, void *context,
                      struct hf_verify_report *report, struct hf_error *error)
{
    struct hf_log *log;
    struct pass pass = {.report = report, .progress = progress, .context = context};
    struct proof proof = {.pass = &pass};
    enum hf_err code = hf_walk_open_log(outside, directory, &log, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    hf_state_init(&proof.state, STATE_SEED);
    hf_state_only_store(&proof.state);
    code = run(&proof, outside, directory, log, error);
    if (code == HF_ERR_OK) {
        code = sum_up(report, &proof.state, error);
        find_forgotten(report);
    }
    hf_verify_index_end(&proof.index);
    hf_state_release(&proof.state);
    log->driver->close(log);
    return code;
}
