/* The log and every answer against the model, in the order of the log. */
#include <stdlib.h>

#include "base/check.h"
#include "base/checksum.h"
#include "node/node_priv.h"
#include "node/replay.h"
#include "sim/judge_priv.h"
#include "sim/sim_memory.h"

typedef unsigned long long ull;

/* ---- the log as it is ---- */

static void keep_commit(struct judge *judge, const struct hf_commit_frame *frame)
{
    struct run *run = judge->run;
    judge->commits =
        hf_sim_grow(judge->commits, judge->count, &judge->capacity, sizeof(*judge->commits));
    struct judge_commit *commit = &judge->commits[judge->count];
    size_t size_bytes = HF_COMMIT_FRAME_BYTES + frame->record_bytes + frame->payload_bytes;
    struct hf_str bytes = {(const char *)frame->record - HF_COMMIT_FRAME_BYTES, size_bytes};
    struct hf_str copy = hf_arena_copy(&judge->arena, bytes);
    struct hf_error error = {0};
    HF_CHECK(copy.ptr != NULL);
    const uint8_t *record = (const uint8_t *)copy.ptr + HF_COMMIT_FRAME_BYTES;
    *commit = (struct judge_commit){.frame = copy, .checksum = hf_checksum(copy.ptr, copy.len)};
    if (hf_commit_decode(record, frame->record_bytes, record + frame->record_bytes,
                         frame->payload_bytes, &judge->arena, &commit->commit,
                         &error) != HF_ERR_OK ||
        hf_commit_verify_texts(&commit->commit, &error) != HF_ERR_OK) {
        (void)run_fail(run, "commit %zu of the log: %s", judge->count + 1, error.text);
    } else if (commit->commit.event_count > 0 &&
               commit->commit.events[0]->type == HF_EVENT_CHECKPOINT) {
        judge->checkpoints = hf_sim_grow(judge->checkpoints, judge->checkpoint_count,
                                         &judge->checkpoint_capacity, sizeof(*judge->checkpoints));
        judge->checkpoints[judge->checkpoint_count++] = judge->count;
    }
    judge->count++;
}

bool judge_read_log(struct judge *judge, struct hf_log *log, uint64_t until_seq)
{
    struct run *run = judge->run;
    struct hf_buffer bytes;
    hf_buffer_init(&bytes);
    bool ok = true;
    for (uint64_t seq = 1; ok && seq <= until_seq;) {
        uint32_t batches = 0;
        size_t at = 0;
        struct hf_error error = {0};
        struct hf_log_batch batch;
        struct hf_commit_frame frame;
        hf_buffer_clear(&bytes);
        ok = log->driver->read(log, seq, 100000, &bytes, &batches, &error) == HF_ERR_OK &&
             batches > 0;
        for (uint32_t i = 0; ok && i < batches && seq <= until_seq; i++, seq++) {
            ok =
                hf_log_batch_decode(bytes.data, bytes.size_bytes, &at, &batch, &error) == HF_ERR_OK;
            size_t inside = 0;
            while (ok && hf_commit_frame_next(batch.body, batch.body_bytes, &inside, &frame)) {
                keep_commit(judge, &frame);
            }
        }
        if (!ok) {
            (void)run_fail(run, "the log can't be read at batch %llu: %s", (ull)seq, error.text);
        }
    }
    hf_buffer_release(&bytes);
    return ok && run->failure[0] == '\0';
}

/* ---- whose commit is it ---- */

/* With a key: the key and the fingerprint; without: the number in the metadata. */
static struct hf_id identity(struct hf_str principal, struct hf_str key,
                             const uint8_t fingerprint[16], struct hf_str metadata)
{
    struct hf_id id = {{0}};
    if (!hf_str_present(key)) {
        size_t size = metadata.len < sizeof(id.bytes) ? metadata.len : sizeof(id.bytes);
        memcpy(id.bytes, metadata.ptr, size);
        return id;
    }
    id = hf_key_id(principal, key);
    for (size_t i = 0; i < sizeof(id.bytes); i++) {
        id.bytes[i] ^= fingerprint[i];
    }
    return id;
}

static void index_commands(struct judge *judge)
{
    struct run *run = judge->run;
    HF_CHECK(hf_table_reserve(&judge->commands, run->op_count));
    for (size_t i = 0; i < run->op_count; i++) {
        struct run_op *op = run->ops[i];
        if (op->command == NULL || op->command->dry_run) {
            continue;
        }
        struct hf_id id = identity(op->command->principal, op->command->key,
                                   op->command->fingerprint, op->command->metadata.text);
        struct run_op *same = hf_table_get(&judge->commands, &id);
        if (same == NULL) {
            (void)hf_table_put(&judge->commands, &id, op);
            same = op;
        } else {
            same->perhaps += op->perhaps;
            same->made += op->made;
            op->next_same = same->next_same;
            same->next_same = op;
        }
        op->same = same;
    }
}

/* JSON texts that mean the same have the same fingerprint: does this command have these very bytes? */
static bool same_texts(const struct hf_command *command, const struct hf_commit *commit)
{
    for (uint32_t i = 0; command->kind != HF_COMMAND_EACH && i < commit->event_count; i++) {
        const struct hf_event *event = commit->events[i];
        if (event->operation >= command->op_count) {
            continue;
        }
        const struct hf_op *op = &command->ops[event->operation];
        struct hf_str asked = op->data.text;
        struct hf_str stored = asked;
        if (event->type == HF_EVENT_STREAM_APPENDED) {
            stored = event->appended.data.text;
        } else if (event->type == HF_EVENT_MESSAGE_PUBLISHED) {
            stored = event->published.data.text;
        } else if (event->type == HF_EVENT_DOCUMENT_PUT && !event->document.patched) {
            stored = event->document.data.text;
        } else if (event->type == HF_EVENT_ACCOUNT_OPENED) {
            asked = op->metadata.text;
            stored = event->opened_metadata.text;
        } else if (event->type == HF_EVENT_TRANSFER_POSTED) {
            asked = op->metadata.text;
            stored = event->posting.transfer.metadata.text;
        } else if (event->type == HF_EVENT_ACCOUNT_CHANGED &&
                   event->changed.change == HF_CHANGE_METADATA) {
            asked = op->metadata.text;
            stored = event->changed.metadata.text;
        }
        if (!hf_str_equal(asked, stored)) {
            return false;
        }
    }
    return hf_str_equal(command->metadata.text, commit->metadata.text);
}

/* The first one of its words, and the one that has its very bytes. */
static struct run_op *op_of(struct judge *judge, const struct hf_commit *commit,
                            const struct run_op **exact)
{
    struct hf_id id =
        identity(commit->principal, commit->key, commit->fingerprint, commit->metadata.text);
    struct run_op *same = hf_table_get(&judge->commands, &id);
    *exact = same;
    for (const struct run_op *op = same; op != NULL; op = op->next_same) {
        if (same_texts(op->command, commit)) {
            *exact = op;
            break;
        }
    }
    return same;
}

/* ---- answers ---- */

static int compare_seen(const void *a, const void *b)
{
    const struct run_submission *const *left = a;
    const struct run_submission *const *right = b;
    uint64_t l = (*left)->answer.seen_position;
    uint64_t r = (*right)->answer.seen_position;
    if (l != r) {
        return l < r ? -1 : 1;
    }
    return (*left)->number < (*right)->number ? -1 : 1;
}

static bool fail_answer(struct judge *judge, const struct run_submission *submission,
                        const char *difference)
{
    char what[200];
    judge_describe(submission->op, what);
    return run_fail(judge->run, "operation %llu (%s), answered by machine %u: %s",
                    (ull)submission->op->number, what, submission->house->number, difference);
}

/* The answer's frame is the log's. */
static bool check_frame(struct judge *judge, const struct run_submission *submission)
{
    const struct hf_answer *answer = &submission->answer;
    char text[160];
    if (answer->position > judge->count) {
        (void)snprintf(text, sizeof(text),
                       "acknowledged at position %llu, but the log ends at position %zu",
                       (ull)answer->position, judge->count);
        return fail_answer(judge, submission, text);
    }
    const struct judge_commit *stored = &judge->commits[answer->position - 1];
    if (answer->frame->size_bytes != stored->frame.len ||
        memcmp(answer->frame->data, stored->frame.ptr, stored->frame.len) != 0) {
        (void)snprintf(text, sizeof(text),
                       "the answer is not the commit that the log has at position %llu",
                       (ull)answer->position);
        return fail_answer(judge, submission, text);
    }
    return true;
}

static bool check_code(struct judge *judge, const struct run_submission *submission,
                       const struct hf_commit *commit)
{
    const struct hf_refused *refused = hf_commit_refusal(commit);
    enum hf_err expected = refused == NULL ? HF_ERR_OK : refused->code;
    bool cancelled = commit->event_count > 0 &&
                     commit->events[commit->event_count - 1]->type == HF_EVENT_KEY_CANCELLED;
    if (submission->op->command->kind == HF_COMMAND_CANCEL_KEY) {
        expected = HF_ERR_OK;
    } else if (cancelled) {
        expected = HF_ERR_CANCELLED;
    }
    if (submission->answer.code != expected) {
        char text[160];
        (void)snprintf(text, sizeof(text), "the answer says %s, its commit %s",
                       hf_err_wire(submission->answer.code), hf_err_wire(expected));
        return fail_answer(judge, submission, text);
    }
    return true;
}

static bool check_made(struct judge *judge, const struct run_submission *submission)
{
    struct judge_commit *stored = &judge->commits[submission->answer.position - 1];
    if (stored->op != submission->op->same) {
        return fail_answer(judge, submission, "its commit is that of another command");
    }
    if (stored->told_new) {
        return fail_answer(judge, submission, "two submissions were told that it was new");
    }
    stored->told_new = true;
    char difference[HF_DIFFERENCE_BYTES];
    if (submission->outcomes != NULL &&
        !hf_checker_outcomes(&judge->checker, submission->answer.position, submission->outcomes,
                             submission->op->command->op_count, difference)) {
        return fail_answer(judge, submission, difference);
    }
    return check_code(judge, submission, &stored->commit);
}

static bool check_told(struct judge *judge, const struct run_submission *submission,
                       const struct hf_told *told)
{
    char difference[HF_DIFFERENCE_BYTES];
    return hf_checker_told(&judge->checker, told, difference) ||
           fail_answer(judge, submission, difference);
}

/* It was decided some time after the newest commit; a key may have been forgotten meanwhile. */
static bool check_replay(struct judge *judge, const struct run_submission *submission)
{
    char difference[HF_DIFFERENCE_BYTES];
    const struct hf_answer *answer = &submission->answer;
    struct hf_told told = {
        .command = submission->op->command,
        .outcome = HF_MODEL_REPLAYED,
        .replayed_position = answer->position,
        .saw_position = answer->seen_position,
        .time_us = judge->checker.model->time_us + 1,
    };
    if (!check_code(judge, submission, &judge->commits[answer->position - 1].commit)) {
        return false;
    }
    if (hf_checker_told(&judge->checker, &told, difference)) {
        return true;
    }
    if (answer->seen_position < judge->count) {
        told.time_us = judge->commits[answer->seen_position].commit.time_us;
        if (hf_checker_told(&judge->checker, &told, difference)) {
            return true;
        }
    }
    return fail_answer(judge, submission, difference);
}

/* Refused without a record, or a dry run. */
static bool check_unrecorded(struct judge *judge, const struct run_submission *submission)
{
    const struct hf_answer *answer = &submission->answer;
    struct hf_commit commit;
    struct hf_commit_frame frame;
    struct hf_error error = {0};
    size_t at = 0;
    hf_arena_clear(&judge->scratch);
    if (!hf_commit_frame_next(answer->frame->data, answer->frame->size_bytes, &at, &frame) ||
        hf_commit_decode(frame.record, frame.record_bytes, frame.payload, frame.payload_bytes,
                         &judge->scratch, &commit, &error) != HF_ERR_OK) {
        return fail_answer(judge, submission, error.text);
    }
    const struct hf_refused *refused = hf_commit_refusal(&commit);
    struct hf_told told = {
        .command = submission->op->command,
        .outcome = refused == NULL ? HF_MODEL_ACCEPTED : HF_MODEL_REFUSED,
        .outcomes = submission->outcomes,
        .saw_position = answer->seen_position,
        .time_us = commit.time_us,
    };
    if (refused != NULL) {
        told.code = refused->code;
        told.where = refused->where;
        told.index = refused->index;
        told.current = &refused->current;
    } else {
        told.draft = &commit; /* of a dry run, or nothing of it is to be recorded */
    }
    return check_code(judge, submission, &commit) && check_told(judge, submission, &told);
}

/* A commit of one operation that repeats a unit: its answer is as if the unit had been such a commit. */
static bool check_unit(struct judge *judge, const struct run_submission *submission)
{
    const struct hf_answer *answer = &submission->answer;
    struct hf_commit commit;
    struct hf_commit_frame frame;
    struct hf_error error = {0};
    size_t at = 0;
    hf_arena_clear(&judge->scratch);
    if (!hf_commit_frame_next(answer->frame->data, answer->frame->size_bytes, &at, &frame) ||
        hf_commit_decode(frame.record, frame.record_bytes, frame.payload, frame.payload_bytes,
                         &judge->scratch, &commit, &error) != HF_ERR_OK) {
        return fail_answer(judge, submission, error.text);
    }
    if (commit.position != answer->position || commit.each || commit.event_count != 1 ||
        commit.operation_count != 1) {
        return fail_answer(judge, submission, "a unit's answer is not one of its own");
    }
    const struct hf_refused *refused = hf_commit_refusal(&commit);
    struct hf_told told = {
        .command = submission->op->command,
        .outcome = HF_MODEL_REPLAYED,
        .code = refused == NULL ? HF_ERR_OK : refused->code,
        .unit = true,
        .replayed_position = answer->position,
        .saw_position = answer->seen_position,
        .time_us = judge->checker.model->time_us + 1,
    };
    return check_code(judge, submission, &commit) && check_told(judge, submission, &told);
}

static bool check_answer(struct judge *judge, const struct run_submission *submission)
{
    const struct hf_answer *answer = &submission->answer;
    if (submission->op->query != NULL) {
        char difference[HF_DIFFERENCE_BYTES] = "";
        return judge_reading(judge, submission, difference) ||
               fail_answer(judge, submission, difference);
    }
    if (answer->position == 0) {
        return check_unrecorded(judge, submission);
    }
    if (answer->replayed && submission->op->command->kind == HF_COMMAND_COMMIT &&
        answer->position <= judge->count && judge->commits[answer->position - 1].commit.each) {
        return check_unit(judge, submission);
    }
    return check_frame(judge, submission) &&
           (answer->replayed ? check_replay(judge, submission) : check_made(judge, submission));
}

/* ---- the walk ---- */

static bool check_snapshot(struct judge *judge, const struct run_snapshot *snapshot)
{
    struct run *run = judge->run;
    struct hf_state state;
    struct hf_state_loader loader;
    struct hf_error error = {0};
    char difference[HF_DIFFERENCE_BYTES];
    hf_state_init(&state, 1);
    hf_state_loader_init(&loader, &state);
    enum hf_err err =
        hf_state_loader_feed(&loader, snapshot->bytes.data, snapshot->bytes.size_bytes, &error);
    enum hf_err finished = hf_state_loader_finish(&loader, err == HF_ERR_OK ? &error : NULL);
    bool ok = err == HF_ERR_OK && finished == HF_ERR_OK;
    if (!ok) {
        (void)run_fail(run, "a recovered state can't be loaded: %s", error.text);
    } else if (!hf_checker_state(&judge->checker, &state, difference)) {
        ok = run_fail(run, "the state after a start: %s", difference);
    }
    hf_state_release(&state);
    return ok;
}

static bool check_position(struct judge *judge, size_t *next)
{
    struct run *run = judge->run;
    uint64_t position = judge->checker.model->position;
    for (size_t i = 0; i < run->snapshot_count; i++) {
        if (run->snapshots[i].position == position && !check_snapshot(judge, &run->snapshots[i])) {
            return false;
        }
    }
    for (; *next < judge->answer_count && judge->answers[*next]->answer.seen_position == position;
         (*next)++) {
        if (!check_answer(judge, judge->answers[*next])) {
            return false;
        }
    }
    return true;
}

static bool check_commit(struct judge *judge, struct judge_commit *stored)
{
    struct run *run = judge->run;
    char difference[HF_DIFFERENCE_BYTES];
    const struct hf_commit *commit = &stored->commit;
    const struct run_op *exact = NULL;
    if (commit->origin == HF_ORIGIN_SYSTEM) {
        run->report->system_commits[commit->event_count > 0 ? commit->events[0]->type : 0]++;
    } else {
        stored->op = op_of(judge, commit, &exact);
        if (stored->op == NULL) {
            return run_fail(run, "commit %llu is of no command that anybody gave",
                            (ull)commit->position);
        }
        stored->op->in_log++;
    }
    const struct hf_command *command = exact == NULL ? NULL : exact->command;
    if (!hf_checker_commit(&judge->checker, command, commit, difference)) {
        char what[200] = "the system";
        if (stored->op != NULL) {
            judge_describe(exact, what);
        }
        return run_fail(run, "%s (operation %llu: %s)", difference,
                        exact == NULL ? 0 : (ull)exact->number, what);
    }
    return true;
}

static bool check_counts(struct judge *judge)
{
    struct run *run = judge->run;
    for (size_t i = 0; i < run->op_count; i++) {
        const struct run_op *op = run->ops[i];
        if (op->command == NULL || op->same != op) {
            continue;
        }
        char what[200];
        judge_describe(op, what);
        if (op->in_log < op->made) {
            return run_fail(run, "operation %llu (%s): %u new commits told, %u in the log",
                            (ull)op->number, what, op->made, op->in_log);
        }
        if (op->in_log > op->made + op->perhaps) {
            return run_fail(run,
                            "operation %llu (%s): %u commits in the log; %u were told of, and only "
                            "%u submissions may have had an effect that nobody was told of: it was "
                            "refused as not_ready, overloaded or read_only, and done",
                            (ull)op->number, what, op->in_log, op->made, op->perhaps);
        }
    }
    return true;
}

static bool walk(struct judge *judge)
{
    size_t next = 0;
    if (!check_position(judge, &next)) {
        return false;
    }
    for (size_t i = 0; i < judge->count; i++) {
        if (!check_commit(judge, &judge->commits[i]) || !check_position(judge, &next)) {
            return false;
        }
    }
    if (next < judge->answer_count) {
        char text[160];
        (void)snprintf(text, sizeof(text), "it saw position %llu, but the log ends at position %zu",
                       (ull)judge->answers[next]->answer.seen_position, judge->count);
        return fail_answer(judge, judge->answers[next], text);
    }
    return check_counts(judge);
}

static void collect_answers(struct judge *judge)
{
    struct run *run = judge->run;
    judge->answers = hf_sim_calloc(run->submission_count + 1, sizeof(struct run_submission *));
    for (size_t i = 0; i < run->submission_count; i++) {
        struct run_submission *submission = run->submissions[i];
        submission->number = i;
        if (submission->end == RUN_END_ANSWERED && submission->answer.decided) {
            judge->answers[judge->answer_count++] = submission;
        }
    }
    qsort(judge->answers, judge->answer_count, sizeof(struct run_submission *), compare_seen);
}

/* ---- from zero ---- */

static enum hf_err at_commit(void *context, const struct hf_commit *commit,
                             const struct hf_commit_frame *frame, const struct hf_hash *hash,
                             struct hf_error *error)
{
    struct judge *judge = context;
    (void)frame;
    (void)hash;
    (void)error;
    for (size_t i = 0; i < judge->checkpoint_count; i++) {
        const struct hf_commit *later = &judge->commits[judge->checkpoints[i]].commit;
        const struct hf_event *event = later->events[0];
        if (event->system.position != commit->position) {
            continue;
        }
        struct hf_hash here;
        HF_CHECK(hf_state_hash(judge->zero, &here));
        judge->run->report->checkpoints_compared++;
        if (!hf_hash_equal(&here, &event->system.hash)) {
            (void)run_fail(
                judge->run,
                "commit %zu records a checkpoint of position %llu whose hash is not that "
                "of the state there",
                judge->checkpoints[i] + 1, (ull)commit->position);
        }
    }
    return HF_ERR_OK;
}

bool judge_from_zero(struct judge *judge, struct hf_log *log, uint64_t until_seq,
                     const struct hf_state *real)
{
    struct run *run = judge->run;
    struct hf_state state;
    struct hf_error error = {0};
    struct hf_hash expected;
    struct hf_hash found;
    hf_state_init(&state, 2);
    struct hf_replay replay = {.state = &state};
    judge->zero = &state;
    if (hf_replay_run(&replay, log, until_seq, at_commit, judge, &error) != HF_ERR_OK) {
        (void)run_fail(run, "replay from zero: %s", error.text);
    } else if (!hf_state_hash(&state, &found) || !hf_state_hash(real, &expected) ||
               !hf_hash_equal(&found, &expected)) {
        (void)run_fail(run, "the replay from zero gives another state than the node has");
    }
    hf_state_release(&state);
    return run->failure[0] == '\0';
}

/* Runs of the index that cover more than one checkpoint. */
static void count_merged(struct judge *judge, const struct hf_node *node)
{
    struct hf_index_set *set = hf_index_acquire(node->index);
    for (size_t i = 0; i < set->run_count; i++) {
        const struct hf_run_ref *ref = &hf_run_info(set->runs[i])->ref;
        bool merged = false;
        for (size_t j = 0; j < judge->checkpoint_count; j++) {
            const struct hf_system *system =
                &judge->commits[judge->checkpoints[j]].commit.events[0]->system;
            merged = merged || (system->position >= ref->from_position &&
                                system->position < ref->to_position);
        }
        judge->run->report->merges += merged;
        judge->run->report->key_merges += hf_run_info(set->runs[i])->dropped_to > 0;
    }
    hf_index_release(node->index, set);
}

bool judge(struct run *run, struct run_house *house)
{
    struct judge judge = {.run = run};
    struct hf_log *log = house->log;
    const struct hf_state *state = hf_node_state(house->node);
    char difference[HF_DIFFERENCE_BYTES];
    hf_arena_init(&judge.arena);
    hf_arena_init(&judge.scratch);
    hf_table_init(&judge.commands, run->seed);
    hf_checker_init(&judge.checker, run->limits.key_retention_us);
    uint64_t until_seq = house->status.seq;
    bool ok = judge_read_log(&judge, log, until_seq);
    if (ok) {
        index_commands(&judge);
        collect_answers(&judge);
        ok = walk(&judge);
    }
    if (ok && !hf_checker_state(&judge.checker, state, difference)) {
        ok = run_fail(run, "the state at the end: %s", difference);
    }
    if (ok && run->plan->only == NULL && !hf_checker_drained(&judge.checker, difference)) {
        ok = run_fail(run, "at the end: %s", difference);
    }
    ok = ok && judge_from_zero(&judge, log, until_seq, state);
    count_merged(&judge, house->node);
    run->report->states_compared += judge.checker.states;
    run->report->commits_compared += judge.checker.commits;
    run->report->answers_compared += judge.answer_count;
    hf_counts_add(&run->report->model, &judge.checker.model->counts);
    hf_checker_release(&judge.checker);
    hf_table_release(&judge.commands);
    hf_arena_release(&judge.arena);
    hf_arena_release(&judge.scratch);
    free(judge.commits);
    free(judge.checkpoints);
    free(judge.answers);
    return ok;
}
