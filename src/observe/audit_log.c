/* The audit's first part: the log from the disk, batch by batch. */
#include "base/check.h"
#include "node/walk.h"
#include "observe/audit_priv.h"

/* What the log says of checkpoints, for the next part. */
static void note_recorded(struct hf_audit *audit, const struct hf_commit *commit)
{
    for (uint32_t i = 0; i < commit->event_count; i++) {
        if (commit->events[i]->type == HF_EVENT_CHECKPOINT) {
            const struct hf_system *system = &commit->events[i]->system;
            audit->recorded[audit->recorded_count++ % HF_AUDIT_RECORDED_MAX] =
                (struct hf_audit_recorded){.position = system->position, .hash = system->hash};
        }
    }
}

/* true: go on. */
static bool take_commit(struct hf_audit *audit, const struct hf_walk *walk)
{
    struct hf_audit_pass *pass = &audit->pass;
    struct hf_error error = {0};
    const struct hf_commit_frame *frame = &walk->frame;
    size_t bytes = HF_COMMIT_FRAME_BYTES + frame->record_bytes + frame->payload_bytes;
    pass->position = walk->commit.position;
    pass->commits++;
    if (walk->batch_left == 0) {
        pass->batches++;
        bytes += HF_LOG_HEADER_BYTES;
    }
    if (hf_commit_verify_texts(&walk->commit, &error) != HF_ERR_OK) {
        hf_audit_note(audit, &error);
    }
    note_recorded(audit, &walk->commit);
    if (!hf_audit_pace(audit, bytes)) {
        pass->result = HF_AUDIT_STOPPED;
    }
    return pass->result == HF_AUDIT_UNDER_WAY && !hf_audit_is_full(audit);
}

/* What could not be read was trimmed meanwhile: to where the log begins now. false: it was not. */
static bool follow_trim(struct hf_audit *audit, struct hf_walk *walk)
{
    uint64_t first = audit->log->driver->first_seq(audit->log);
    if (first <= walk->head.seq + 1) {
        return false;
    }
    hf_walk_begin(walk, first);
    return true;
}

/* true: go on. */
static bool get_over(struct hf_audit *audit, struct hf_walk *walk, enum hf_err code,
                     struct hf_error *error)
{
    if (code == HF_ERR_NOT_FOUND && follow_trim(audit, walk)) {
        return true;
    }
    hf_audit_note(audit, error);
    if (code != HF_ERR_CORRUPT || hf_audit_is_full(audit)) {
        return false;
    }
    *error = (struct hf_error){0};
    if (hf_walk_skip(walk, error) != HF_ERR_OK) {
        hf_audit_note(audit, error);
        return false;
    }
    return !walk->end;
}

/* Damage behind which nothing valid follows looks like the log's end. */
static void judge_end(struct hf_audit *audit, const struct hf_walk *walk)
{
    if (walk->head.position < audit->pass.to_position) {
        hf_audit_damage(
            audit,
            "behind batch %llu (position %llu) nothing can be read, though the log goes on "
            "to position %llu",
            (unsigned long long)walk->head.seq, (unsigned long long)walk->head.position,
            (unsigned long long)audit->pass.to_position);
    }
}

void hf_audit_check_log(struct hf_audit *audit)
{
    struct hf_walk walk;
    struct hf_error error = {0};
    hf_walk_init(&walk, audit->log);
    walk.limit = audit->pass.to_position;
    hf_walk_begin(&walk, audit->log->driver->first_seq(audit->log));
    bool go_on = true;
    while (go_on) {
        enum hf_err code = hf_walk_next(&walk, &error);
        if (code == HF_ERR_OK && walk.end) {
            judge_end(audit, &walk);
            break;
        }
        if (audit->pass.from_position == 0 && code == HF_ERR_OK) {
            audit->pass.from_position = walk.commit.position;
        }
        go_on =
            code == HF_ERR_OK ? take_commit(audit, &walk) : get_over(audit, &walk, code, &error);
    }
    hf_walk_release(&walk);
}
