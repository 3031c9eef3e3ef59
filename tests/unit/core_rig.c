#include "unit/core_rig.h"

#include <stdio.h>

#include "api/answer_json.h"
#include "api/commit_json.h"
#include "api/reading_json.h"
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"

#define ROUNDS_MAX 16 /* of asking for cold records */

void core_rig_init(struct core_rig *rig, enum core_rig_mode mode)
{
    *rig = (struct core_rig){.mode = mode, .key_retention_us = 7ull * 86400 * 1000000};
    hf_state_init(&rig->state, 11);
    hf_state_init(&rig->twin, 12);
    hf_draft_init(&rig->draft);
    hf_index_table_init(&rig->index, 13);
}

void core_rig_release(struct core_rig *rig)
{
    for (uint64_t i = 0; i < rig->state.position; i++) {
        hf_shared_bytes_unref(rig->frames[i]);
    }
    hf_free(rig->frames);
    hf_draft_release(&rig->draft);
    hf_state_release(&rig->state);
    hf_state_release(&rig->twin);
    hf_index_table_release(&rig->index);
}

const struct hf_shared_bytes *core_rig_frame(const struct core_rig *rig, uint64_t position)
{
    HF_CHECK(position >= 1 && position <= rig->state.position);
    return rig->frames[position - 1];
}

/* ---- cold records ---- */

/* Everything in RAM that the store would hold too goes. */
static void forget(struct core_rig *rig)
{
    struct hf_recent *recent = &rig->state.recent;
    hf_recent_freeze(recent, rig->state.position);
    size_t at = 0;
    const struct hf_index_slot *slot;
    while ((slot = hf_index_table_next(&recent->frozen, &at)) != NULL) {
        HF_CHECK(hf_index_table_reserve(&rig->index, 1));
        hf_index_table_put(&rig->index, &slot->key, &slot->value);
    }
    hf_recent_drop_frozen(recent);
    hf_recent_trim(recent, rig->state.position, 0);
}

static void fetch(struct core_rig *rig, struct hf_records *records)
{
    const struct hf_needs *needs = &rig->draft.view.needs;
    rig->needs++;
    records->as_of = rig->state.position;
    for (size_t i = 0; i < needs->key_count; i++) {
        const struct hf_index_value *value = hf_index_table_get(&rig->index, &needs->keys[i]);
        HF_CHECK(hf_records_add_answer(records, &needs->keys[i], value));
    }
    for (size_t i = 0; i < needs->position_count; i++) {
        uint64_t position = needs->positions[i];
        HF_CHECK(position >= 1 && position <= rig->state.position);
        HF_CHECK(hf_records_add_frame(records, position, rig->frames[position - 1]));
    }
}

/* ---- recording ---- */

static void decode(const struct hf_shared_bytes *frame, struct hf_arena *arena,
                   struct hf_commit *commit)
{
    size_t record_bytes = hf_get_u32(frame->data);
    size_t payload_bytes = hf_get_u32(frame->data + 4);
    const uint8_t *record = frame->data + 8;
    struct hf_error error = {0};
    HF_CHECK(8 + record_bytes + payload_bytes == frame->size_bytes);
    HF_CHECK(hf_commit_decode(record, record_bytes, record + record_bytes, payload_bytes, arena,
                              commit, &error) == HF_ERR_OK);
    HF_CHECK(hf_commit_verify_texts(commit, &error) == HF_ERR_OK);
}

static struct hf_shared_bytes *encode(const struct hf_commit *commit)
{
    struct hf_buffer bytes;
    hf_buffer_init(&bytes);
    HF_CHECK(hf_commit_encode(commit, &bytes));
    struct hf_shared_bytes *frame = hf_shared_bytes_new(bytes.size_bytes);
    HF_CHECK(frame != NULL);
    memcpy(frame->data, bytes.data, bytes.size_bytes);
    hf_buffer_release(&bytes);
    return frame;
}

static void apply(struct hf_state *state, const struct hf_commit *commit,
                  struct hf_shared_bytes *frame)
{
    struct hf_error error = {0};
    HF_CHECK(hf_state_reserve(state, commit));
    if (hf_state_apply(state, commit, &error) != HF_ERR_OK) {
        (void)fprintf(stderr, "%s\n", error.text);
        HF_CHECK(!"the commit fits");
    }
    hf_recent_add_frame(&state->recent, state->position, frame);
}

/* The draft's commit into the state; what it says, decoded, into the twin. */
static void record(struct core_rig *rig)
{
    struct hf_shared_bytes *frame = encode(&rig->draft.commit);
    apply(&rig->state, &rig->draft.commit, frame);
    struct hf_arena arena;
    struct hf_commit decoded;
    hf_arena_init(&arena);
    decode(frame, &arena, &decoded);
    apply(&rig->twin, &decoded, frame);
    struct hf_shared_bytes *again = encode(&decoded);
    HF_CHECK(again->size_bytes == frame->size_bytes &&
             memcmp(again->data, frame->data, frame->size_bytes) == 0);
    hf_shared_bytes_unref(again);
    hf_arena_release(&arena);
    rig->frames = hf_realloc(rig->frames, rig->state.position * sizeof(*rig->frames));
    HF_CHECK(rig->frames != NULL);
    rig->frames[rig->state.position - 1] = frame;
    if (rig->mode == CORE_RIG_COLD) {
        forget(rig);
    }
}

void core_rig_check(const struct core_rig *rig)
{
    struct hf_hash hash, twin_hash;
    hf_state_verify(&rig->state);
    HF_CHECK(hf_state_hash(&rig->state, &hash) && hf_state_hash(&rig->twin, &twin_hash));
    HF_CHECK(hf_hash_equal(&hash, &twin_hash));
}

/* ---- commands ---- */

static void begin_answer(struct core_rig_answer *answer)
{
    hf_buffer_clear(&answer->text);
    answer->position = 0;
    answer->replayed = false;
    answer->failed[0] = '\0';
}

static void end_answer(struct core_rig_answer *answer)
{
    hf_buffer_u8(&answer->text, 0);
    HF_CHECK(!answer->text.failed);
}

static void answer_commit(struct core_rig *rig, const struct hf_commit *commit,
                          const struct hf_command *command, struct core_rig_answer *answer)
{
    bool dry_run = command->dry_run && !answer->replayed;
    bool cancels = command->kind == HF_COMMAND_CANCEL_KEY;
    (void)rig;
    answer->status = cancels ? 200 : hf_answer_status(commit, dry_run);
    answer->code = cancels ? "ok" : hf_err_wire(hf_answer_code(commit));
    answer->position = dry_run ? 0 : commit->position;
    if (cancels) {
        hf_key_json(&answer->text, commit);
    } else {
        hf_answer_json(&answer->text, commit, dry_run);
    }
}

static enum hf_decision decide(struct core_rig *rig, const struct hf_command *command,
                               uint64_t now_us)
{
    struct hf_records records;
    hf_records_init(&records);
    enum hf_decision decision = HF_DECISION_NEEDS;
    for (int round = 0; decision == HF_DECISION_NEEDS && round < ROUNDS_MAX; round++) {
        decision =
            hf_decide(&rig->state, &records, command, now_us, rig->key_retention_us, &rig->draft);
        if (decision == HF_DECISION_NEEDS) {
            HF_CHECK(rig->mode == CORE_RIG_COLD);
            fetch(rig, &records);
        }
    }
    /* What was replayed was decoded into the draft and points into the rig's own frames. */
    hf_records_release(&records);
    return decision;
}

static void run(struct core_rig *rig, const struct hf_command *command, uint64_t now_us,
                struct core_rig_answer *answer)
{
    switch (decide(rig, command, now_us)) {
    case HF_DECISION_COMMIT:
        answer_commit(rig, &rig->draft.commit, command, answer);
        if (!command->dry_run) {
            record(rig);
        }
        return;
    case HF_DECISION_ANSWER:
        answer_commit(rig, &rig->draft.commit, command, answer);
        return;
    case HF_DECISION_REPLAY:
        answer->replayed = true;
        answer_commit(rig, rig->draft.replayed, command, answer);
        return;
    case HF_DECISION_NEEDS:
    case HF_DECISION_OVERLOADED:
    case HF_DECISION_DAMAGED:
        break;
    }
    HF_CHECK(!"a decision");
}

void core_rig_commit(struct core_rig *rig, const char *json, const char *principal, const char *key,
                     bool dry_run, uint64_t now_us, struct core_rig_answer *answer)
{
    struct hf_command command;
    struct hf_malformed malformed = {0};
    hf_command_init(&command, json == NULL ? HF_COMMAND_CANCEL_KEY : HF_COMMAND_COMMIT);
    begin_answer(answer);
    bool ok = (principal == NULL ||
               hf_command_set_principal(&command, hf_str_from(principal), &malformed)) &&
              (key == NULL || hf_command_set_key(&command, hf_str_from(key), &malformed)) &&
              (json == NULL || hf_commit_json_decode(hf_str_from(json), &command, &malformed)) &&
              hf_command_finish(&command, &malformed);
    command.dry_run = dry_run;
    if (ok) {
        run(rig, &command, now_us, answer);
    } else {
        answer->status = hf_err_status(malformed.code);
        answer->code = hf_err_wire(malformed.code);
        (void)snprintf(answer->failed, sizeof(answer->failed), "%s", malformed.pointer);
        hf_problem_json(&answer->text, malformed.code, malformed.text, malformed.pointer);
    }
    end_answer(answer);
    hf_command_release(&command);
}

void core_rig_read(struct core_rig *rig, const struct hf_query *query, uint64_t now_us,
                   struct core_rig_answer *answer)
{
    struct hf_records records;
    struct hf_reading reading;
    hf_records_init(&records);
    begin_answer(answer);
    enum hf_decision decision = HF_DECISION_NEEDS;
    for (int round = 0; decision == HF_DECISION_NEEDS && round < 1100; round++) {
        decision = hf_read(&rig->state, &records, query, now_us, rig->key_retention_us, &rig->draft,
                           &reading);
        if (decision == HF_DECISION_NEEDS) {
            HF_CHECK(rig->mode == CORE_RIG_COLD);
            fetch(rig, &records);
        }
    }
    HF_CHECK(decision == HF_DECISION_ANSWER);
    answer->status = hf_reading_json(&answer->text, query, &reading);
    answer->code = hf_err_wire(reading.code);
    answer->position = reading.position;
    end_answer(answer);
    hf_records_release(&records);
}

bool core_rig_tick(struct core_rig *rig, uint64_t now_us)
{
    struct hf_due due[64];
    size_t count = hf_state_take_due(&rig->state, now_us, due, HF_ARRAY_COUNT(due));
    if (count == 0 ||
        hf_decide_expiries(&rig->state, due, count, now_us, &rig->draft) != HF_DECISION_COMMIT) {
        return false;
    }
    record(rig);
    return true;
}

void core_rig_takeover(struct core_rig *rig, uint64_t now_us)
{
    struct hf_system system = {.epoch = rig->state.epoch + 1, .owner = HF_STR("test")};
    HF_CHECK(hf_decide_system(&rig->state, HF_EVENT_TAKEOVER, &system, now_us, &rig->draft) ==
             HF_DECISION_COMMIT);
    record(rig);
}
