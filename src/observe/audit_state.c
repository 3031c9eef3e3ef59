/* The audit's second part: stored checkpoints and index runs against what the log gives. */
#include "base/alloc.h"
#include "base/check.h"
#include "observe/audit_priv.h"

#define STATE_SEED 0xA0D17ull
#define RECORDS_EVERY                                                                              \
    50000u      /* index records of a replay before they are dropped: nothing looks at them */
#define TRIES 3 /* a checkpoint may be removed between the list and its opening */

static bool pace(void *context, size_t bytes)
{
    return hf_audit_pace(context, bytes);
}

/* ---- replaying ---- */

struct replaying {
    struct hf_audit *audit;
    struct hf_replay *replay;
    hf_replay_fn each; /* or NULL */
    void *context;
};

static enum hf_err behind_commit(void *context, const struct hf_commit *commit,
                                 const struct hf_commit_frame *frame, const struct hf_hash *hash,
                                 struct hf_error *error)
{
    struct replaying *replaying = context;
    struct hf_recent *recent = &replaying->replay->state->recent;
    replaying->audit->pass.replayed++;
    if (recent->current.count >= RECORDS_EVERY) {
        hf_recent_freeze(recent, commit->position);
        hf_recent_drop_frozen(recent);
    }
    return replaying->each == NULL
               ? HF_ERR_OK
               : replaying->each(replaying->context, commit, frame, hash, error);
}

bool hf_audit_replay_to(struct hf_audit *audit, struct hf_replay *replay, uint64_t seq,
                        hf_replay_fn each, void *context)
{
    struct hf_error error = {0};
    struct replaying replaying = {audit, replay, each, context};
    if (hf_replay_run(replay, audit->log, seq, behind_commit, &replaying, &error) == HF_ERR_OK) {
        return true;
    }
    (void)hf_error_wrap(&error, "replay");
    hf_audit_note(audit, &error);
    return false;
}

/* ---- checkpoints ---- */

/* The two newest, newest first; *count of them are open. */
static enum hf_err open_two(struct hf_audit *audit, struct hf_checkpoint *two[2], size_t *count,
                            struct hf_error *error)
{
    const struct hf_audit_options *options = &audit->options;
    enum hf_err err = HF_ERR_NOT_FOUND;
    for (int tries = 0; tries < TRIES && err == HF_ERR_NOT_FOUND; tries++) {
        uint64_t *positions;
        size_t there;
        *count = 0;
        err = hf_checkpoint_list(options->outside, audit->directory, &positions, &there, error);
        if (err == HF_ERR_NOT_FOUND) {
            return HF_ERR_OK; /* no directory of them */
        }
        for (size_t i = 0; err == HF_ERR_OK && i < there && i < 2; i++) {
            err = hf_checkpoint_open(options->outside, audit->directory, 0, positions[i],
                                     &two[*count], error);
            *count += err == HF_ERR_OK;
            if (err == HF_ERR_CORRUPT || err == HF_ERR_VERSION) {
                hf_audit_note(audit, error);
                err = HF_ERR_OK;
            }
        }
        hf_free(positions);
        for (size_t i = 0; err != HF_ERR_OK && i < *count; i++) {
            hf_checkpoint_close(two[i]);
        }
    }
    return err;
}

/* Its hash against what the log recorded of it. */
static void compare_recorded(struct hf_audit *audit, const struct hf_checkpoint *checkpoint)
{
    const struct hf_checkpoint_info *info = hf_checkpoint_info(checkpoint);
    for (size_t i = 0; i < hf_min_u64(audit->recorded_count, HF_AUDIT_RECORDED_MAX); i++) {
        const struct hf_audit_recorded *recorded = &audit->recorded[i];
        if (recorded->position == info->meta.position &&
            !hf_hash_equal(&recorded->hash, &info->state_hash)) {
            hf_audit_damage(audit, "checkpoint %llu: the log recorded it with another state",
                            (unsigned long long)info->meta.position);
        }
    }
}

/* Reads its state without keeping it: checksums, and the hash in its header. */
static bool read_checkpoint(struct hf_audit *audit, struct hf_checkpoint *checkpoint)
{
    struct hf_checkpoint_stream stream;
    struct hf_error error = {0};
    enum hf_err err = hf_checkpoint_stream_init(&stream, checkpoint, HF_CHECKPOINT_STATE, &error);
    bool more = err == HF_ERR_OK;
    while (more && err == HF_ERR_OK) {
        const uint8_t *data;
        size_t bytes;
        err = hf_checkpoint_stream_next(&stream, &data, &bytes, &error);
        more = err == HF_ERR_OK && bytes > 0;
        if (more && !hf_audit_pace(audit, bytes)) {
            err = hf_error_set(&error, HF_ERR_CLOSED, "it was stopped");
        }
    }
    hf_checkpoint_stream_release(&stream);
    if (err != HF_ERR_OK) {
        (void)hf_error_wrap(&error, "checkpoint %llu",
                            (unsigned long long)hf_checkpoint_info(checkpoint)->meta.position);
        hf_audit_note(audit, &error);
    }
    return err == HF_ERR_OK;
}

/* The replayed state is at the checkpoint's batch. */
static void compare_checkpoint(struct hf_audit *audit, const struct hf_replay *replay,
                               const struct hf_checkpoint *checkpoint)
{
    const struct hf_checkpoint_info *info = hf_checkpoint_info(checkpoint);
    unsigned long long position = info->meta.position;
    struct hf_hash hash;
    if (!hf_state_hash(replay->state, &hash)) {
        struct hf_error error = {0};
        (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "checkpoint %llu: out of memory", position);
        hf_audit_note(audit, &error);
        return;
    }
    uint64_t before = audit->pass.finding_count;
    if (replay->state->position != position || replay->state->time_us != info->meta.time_us) {
        hf_audit_damage(audit, "checkpoint %llu: its position or time is another than the log's",
                        position);
    } else if (!hf_hash_equal(&hash, &info->state_hash)) {
        hf_audit_damage(audit, "checkpoint %llu: the log gives another state", position);
    }
    if (!hf_hash_equal(&replay->hash, &info->meta.chain_hash)) {
        hf_audit_damage(audit, "checkpoint %llu: its hash of the log is another", position);
    }
    audit->pass.checkpoints += audit->pass.finding_count == before;
}

/* ---- index runs ---- */

static enum hf_err check_run(struct hf_audit *audit, const struct hf_run_ref *ref,
                             struct hf_error *error)
{
    struct hf_run *run;
    struct hf_run_iterator iterator;
    enum hf_err err = hf_run_open(audit->options.outside, audit->directory, 0, ref, &run, error);
    if (err != HF_ERR_OK) {
        return err;
    }
    err = hf_run_iterator_init(&iterator, run, NULL, error);
    while (err == HF_ERR_OK && iterator.valid) {
        audit->pass.index_records++;
        if (!hf_audit_pace(audit, sizeof(iterator.key) + sizeof(iterator.value))) {
            err = hf_error_set(error, HF_ERR_CLOSED, "it was stopped");
        } else {
            err = hf_run_iterator_next(&iterator, error);
        }
    }
    hf_run_iterator_release(&iterator);
    hf_run_release(run);
    audit->pass.index_runs += err == HF_ERR_OK;
    return err;
}

/* A run that is gone was merged into another meanwhile. */
static bool check_runs(struct hf_audit *audit, const struct hf_checkpoint *checkpoint)
{
    size_t count;
    const struct hf_run_ref *runs = hf_checkpoint_runs(checkpoint, &count);
    for (size_t i = 0; i < count && audit->pass.result == HF_AUDIT_UNDER_WAY; i++) {
        struct hf_error error = {0};
        enum hf_err err = check_run(audit, &runs[i], &error);
        if (err != HF_ERR_OK && err != HF_ERR_NOT_FOUND) {
            (void)hf_error_wrap(&error, "index run %llu-%llu",
                                (unsigned long long)runs[i].from_position,
                                (unsigned long long)runs[i].to_position);
            hf_audit_note(audit, &error);
        }
    }
    return audit->pass.result == HF_AUDIT_UNDER_WAY;
}

/* ---- the part ---- */

static bool load(struct hf_audit *audit, struct hf_replay *replay, struct hf_checkpoint *checkpoint)
{
    struct hf_error error = {0};
    if (hf_replay_load(replay, checkpoint, &error) == HF_ERR_OK) {
        return true;
    }
    hf_audit_note(audit, &error);
    hf_state_release(replay->state);
    hf_state_init(replay->state, STATE_SEED);
    replay->seq = 0;
    replay->hash = (struct hf_hash){{0}};
    return false;
}

/* The older checkpoint (or nothing, if the log is whole), the log behind it, the newer one. true: the replay stands at the
 * newest one that could be reached. */
static bool replay_checkpoints(struct hf_audit *audit, struct hf_replay *replay,
                               struct hf_checkpoint *two[2], size_t count)
{
    struct hf_checkpoint *newer = count > 0 ? two[0] : NULL;
    struct hf_checkpoint *older = count > 1 ? two[1] : NULL;
    bool from_zero = audit->log->driver->first_seq(audit->log) == 1;
    bool begun = older != NULL ? load(audit, replay, older) : from_zero;
    if (audit->pass.result != HF_AUDIT_UNDER_WAY || newer == NULL) {
        return begun;
    }
    if (begun &&
        hf_audit_replay_to(audit, replay, hf_checkpoint_info(newer)->meta.seq, NULL, NULL)) {
        compare_checkpoint(audit, replay, newer);
        return read_checkpoint(audit, newer);
    }
    if (audit->pass.result != HF_AUDIT_UNDER_WAY) {
        return false;
    }
    hf_state_release(replay->state);
    hf_state_init(replay->state, STATE_SEED);
    return load(audit, replay, newer);
}

/* The replay needs the state a second time. */
static bool has_room(struct hf_audit *audit)
{
    struct hf_node_status status;
    struct hf_error error = {0};
    hf_node_status(audit->options.node, &status);
    if (hf_node_memory_room(audit->options.node) >= status.memory.checkpoint_reserve) {
        return true;
    }
    (void)hf_error_set(&error, HF_ERR_NO_MEMORY,
                       "checkpoints and balances: not looked at, there is no memory for a second "
                       "state (--memory-max)");
    hf_audit_note(audit, &error);
    return false;
}

void hf_audit_check_states(struct hf_audit *audit)
{
    struct hf_checkpoint *two[2] = {NULL, NULL};
    struct hf_error error = {0};
    struct hf_state state;
    struct hf_replay replay = {.state = &state, .pace = pace, .pace_context = audit};
    size_t count = 0;
    audit->pass.part = HF_AUDIT_CHECKPOINTS;
    if (!has_room(audit)) {
        return;
    }
    if (open_two(audit, two, &count, &error) != HF_ERR_OK) {
        hf_audit_note(audit, &error);
        return;
    }
    hf_state_init(&state, STATE_SEED);
    for (size_t i = 0; i < count; i++) {
        compare_recorded(audit, two[i]);
    }
    bool reached = replay_checkpoints(audit, &replay, two, count);
    if (audit->pass.result == HF_AUDIT_UNDER_WAY && count > 0) {
        (void)check_runs(audit, two[0]);
    }
    for (size_t i = 0; i < count; i++) {
        hf_checkpoint_close(two[i]);
    }
    if (reached && audit->pass.result == HF_AUDIT_UNDER_WAY) {
        audit->pass.part = HF_AUDIT_BALANCES;
        hf_audit_check_live(audit, &replay);
    }
    hf_state_release(&state);
}
