#include "unit/core_rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/answer_json.h"
#include "api/commit_json.h"
#include "api/reading_json.h"
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"

#define ROUNDS_MAX      30000 /* of asking for cold records: an operation may need three */
#define ROUNDS_READ_MAX 64    /* as the node's */
#define RANGE_MAX       3u    /* commits of a range that a fetch brings */

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

static void decode(const struct hf_shared_bytes *frame, struct hf_arena *arena,
                   struct hf_commit *commit);

/* Follows the chain as the node's fetches do. */
static void fetch_chain(struct core_rig *rig, struct hf_records *records,
                        const struct hf_entry_chain *chain)
{
    uint64_t position = chain->position;
    struct hf_arena arena;
    hf_arena_init(&arena);
    for (uint32_t i = 0; i < chain->count && position > 0; i++) {
        struct hf_commit commit;
        hf_arena_clear(&arena);
        decode(rig->frames[position - 1], &arena, &commit);
        HF_CHECK(hf_records_add_frame(records, position, rig->frames[position - 1]));
        HF_CHECK(hf_chain_follow(&commit, chain, chain->version - i, &position));
    }
    hf_arena_release(&arena);
}

/* Tells the entries on the way as the node's fetches do. */
static void fetch_descent(struct core_rig *rig, struct hf_records *records,
                          const struct hf_entry_descent *wanted)
{
    struct hf_entry_descent descent = *wanted;
    struct hf_arena arena;
    hf_arena_init(&arena);
    while (!hf_descent_is_over(&descent)) {
        struct hf_commit commit;
        struct hf_entry_place before;
        hf_arena_clear(&arena);
        decode(rig->frames[descent.at.position - 1], &arena, &commit);
        HF_CHECK(hf_entry_before(&commit, &descent.account, descent.at.version, &before));
        HF_CHECK(hf_records_add_link(records, &descent.account, descent.at.version, &before));
        hf_descent_step(&descent, &before);
    }
    if (descent.at.version > 0) {
        uint64_t position = descent.at.position;
        HF_CHECK(hf_records_add_frame(records, position, rig->frames[position - 1]));
    }
    hf_arena_release(&arena);
}

static void fetch_time(struct core_rig *rig, struct hf_records *records,
                       const struct hf_time_need *need)
{
    struct hf_time_answer answer = {.time_us = need->time_us};
    HF_CHECK(need->below <= rig->state.position);
    for (uint64_t position = 1; position < need->below; position++) {
        const struct hf_shared_bytes *frame = rig->frames[position - 1];
        size_t record_bytes = hf_get_u32(frame->data);
        uint64_t time_us =
            hf_commit_time(frame->data + 8, record_bytes, frame->data + 8 + record_bytes,
                           frame->size_bytes - 8 - record_bytes);
        HF_CHECK(time_us > 0);
        answer.position = time_us <= need->time_us ? position : answer.position;
    }
    HF_CHECK(hf_records_add_time(records, &answer));
}

static void fetch(struct core_rig *rig, struct hf_records *records)
{
    const struct hf_needs *needs = &rig->draft.view.needs;
    rig->needs++;
    records->as_of = rig->state.position;
    for (size_t i = 0; i < needs->key_count; i++) {
        const struct hf_index_key *key = &needs->keys[i];
        bool left_out =
            rig->coarse && key->kind == HF_INDEX_ENTRY && key->sub % HF_ENTRY_STRIDE != 0;
        const struct hf_index_value *value = left_out ? NULL : hf_index_table_get(&rig->index, key);
        HF_CHECK(hf_records_add_answer(records, key, value));
    }
    for (size_t i = 0; i < needs->position_count; i++) {
        uint64_t position = needs->positions[i];
        HF_CHECK(position >= 1 && position <= rig->state.position);
        HF_CHECK(hf_records_add_frame(records, position, rig->frames[position - 1]));
    }
    for (size_t i = 0; i < needs->chain_count; i++) {
        fetch_chain(rig, records, &needs->chains[i]);
    }
    for (size_t i = 0; i < needs->descent_count; i++) {
        fetch_descent(rig, records, &needs->descents[i]);
    }
    for (size_t i = 0; i < needs->time_count; i++) {
        fetch_time(rig, records, &needs->times[i]);
    }
    for (size_t i = 0; i < needs->range_count; i++) {
        const struct hf_commit_range *range = &needs->ranges[i];
        HF_CHECK(range->from >= 1 && range->from + range->count - 1 <= rig->state.position);
        for (uint64_t n = 0; n < range->count && n < RANGE_MAX; n++) {
            HF_CHECK(
                hf_records_add_frame(records, range->from + n, rig->frames[range->from + n - 1]));
        }
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

/* A strip stays one. */
static void decode_compact(const struct hf_shared_bytes *frame, struct hf_arena *arena,
                           struct hf_commit *commit)
{
    size_t record_bytes = hf_get_u32(frame->data);
    const uint8_t *record = frame->data + 8;
    HF_CHECK(hf_commit_decode_compact(record, record_bytes, record + record_bytes,
                                      hf_get_u32(frame->data + 4), arena, commit,
                                      NULL) == HF_ERR_OK);
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

/* Whatever allocation fails, the state is as before. */
static void reserve_with_faults(struct hf_state *state, struct hf_commit *commit)
{
    struct hf_hash before, after;
    HF_CHECK(hf_state_hash(state, &before));
    for (uint64_t n = 1;; n++) {
        hf_alloc_fault_set(n);
        bool ok = hf_state_reserve(state, commit);
        bool hit = hf_alloc_fault_hit();
        hf_alloc_fault_set(0);
        HF_CHECK(ok != hit);
        if (ok) {
            return;
        }
        hf_state_verify(state);
        HF_CHECK(hf_state_hash(state, &after) && hf_hash_equal(&before, &after));
    }
}

static void apply(struct hf_state *state, struct hf_commit *commit, struct hf_shared_bytes *frame,
                  bool faults)
{
    struct hf_error error = {0};
    if (faults) {
        reserve_with_faults(state, commit);
    } else {
        HF_CHECK(hf_state_reserve(state, commit));
    }
    bool fits = hf_state_apply(state, commit, &error) == HF_ERR_OK;
    if (!fits) {
        (void)fprintf(stderr, "%s\n", error.text);
    }
    HF_CHECK(fits);
    hf_recent_add_frame(&state->recent, state->position, frame);
}

/* The draft's commit into the state; what it says, decoded, into the twin. */
static void record(struct core_rig *rig)
{
    struct hf_shared_bytes *frame = encode(&rig->draft.commit);
    apply(&rig->state, &rig->draft.commit, frame, rig->faults);
    struct hf_arena arena;
    struct hf_commit decoded, expanded;
    hf_arena_init(&arena);
    decode(frame, &arena, &expanded);
    decode_compact(frame, &arena, &decoded);
    apply(&rig->twin, rig->mode == CORE_RIG_COLD ? &decoded : &expanded, frame, false);
    struct hf_shared_bytes *again = encode(&decoded);
    HF_CHECK(again->size_bytes == frame->size_bytes &&
             memcmp(again->data, frame->data, frame->size_bytes) == 0);
    hf_shared_bytes_unref(again);
    hf_arena_release(&arena);
    size_t size_bytes = rig->state.position *
                        sizeof(struct hf_shared_bytes *); /* NOLINT(bugprone-sizeof-expression) */
    rig->frames = hf_realloc(rig->frames, size_bytes);
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

static void answer_commit(const struct hf_commit *commit, const struct hf_command *command,
                          struct core_rig_answer *answer)
{
    bool dry_run = command->dry_run && !answer->replayed;
    bool cancels = command->kind == HF_COMMAND_CANCEL_KEY;
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

enum hf_decision core_rig_run(struct core_rig *rig, const struct hf_command *command,
                              uint64_t now_us)
{
    enum hf_decision decision = decide(rig, command, now_us);
    if (decision == HF_DECISION_COMMIT) {
        record(rig);
    }
    return decision;
}

static void run(struct core_rig *rig, const struct hf_command *command, uint64_t now_us,
                struct core_rig_answer *answer)
{
    switch (decide(rig, command, now_us)) {
    case HF_DECISION_COMMIT:
        answer_commit(&rig->draft.commit, command, answer);
        if (!command->dry_run) {
            record(rig);
        }
        return;
    case HF_DECISION_ANSWER:
        answer_commit(&rig->draft.commit, command, answer);
        return;
    case HF_DECISION_REPLAY:
        answer->replayed = true;
        answer_commit(rig->draft.replayed, command, answer);
        return;
    case HF_DECISION_NEEDS:
    case HF_DECISION_OVERLOADED:
    case HF_DECISION_DAMAGED:
        break;
    }
    HF_CHECK(false); /* no decision */
}

/* json NULL: cancels the key. */
static void run_commit(struct core_rig *rig, const struct core_rig_ask *ask, const char *json,
                       struct core_rig_answer *answer)
{
    struct hf_command command;
    struct hf_malformed malformed = {0};
    hf_command_init(&command, json == NULL ? HF_COMMAND_CANCEL_KEY : HF_COMMAND_COMMIT);
    bool ok =
        (ask->principal == NULL ||
         hf_command_set_principal(&command, hf_str_from(ask->principal), &malformed)) &&
        (ask->key == NULL || hf_command_set_key(&command, hf_str_from(ask->key), &malformed)) &&
        (json == NULL || hf_commit_json_decode(hf_str_from(json), &command, &malformed)) &&
        hf_command_finish(&command, &malformed);
    command.dry_run = ask->dry_run;
    if (ok) {
        run(rig, &command, ask->now_us, answer);
    } else {
        answer->status = hf_err_status(malformed.code);
        answer->code = hf_err_wire(malformed.code);
        hf_problem_json(&answer->text, malformed.code, malformed.text, malformed.pointer);
    }
    hf_command_release(&command);
}

uint32_t core_rig_read(struct core_rig *rig, const struct hf_query *query, uint64_t now_us,
                       struct hf_records *records, struct hf_reading *reading)
{
    uint32_t rounds = 0;
    enum hf_decision decision = HF_DECISION_NEEDS;
    for (; decision == HF_DECISION_NEEDS && rounds < ROUNDS_READ_MAX; rounds++) {
        decision = hf_read(&rig->state, records, query, now_us, rig->key_retention_us, &rig->draft,
                           reading);
        if (decision == HF_DECISION_NEEDS) {
            HF_CHECK(rig->mode == CORE_RIG_COLD);
            fetch(rig, records);
        }
    }
    HF_CHECK(decision == HF_DECISION_ANSWER);
    return rounds - 1;
}

static void run_query(struct core_rig *rig, const struct hf_query *query, uint64_t now_us,
                      struct core_rig_answer *answer)
{
    struct hf_records records;
    struct hf_reading reading;
    hf_records_init(&records);
    (void)core_rig_read(rig, query, now_us, &records, &reading);
    answer->status = hf_reading_json(&answer->text, query, &reading);
    answer->code = hf_err_wire(reading.code);
    hf_records_release(&records);
}

static enum hf_query_type query_type_of(const char *kind)
{
    static const struct {
        const char *kind;
        enum hf_query_type type;
    } kinds[] = {
        {"account", HF_QUERY_ACCOUNT},   {"transfer", HF_QUERY_TRANSFER},
        {"hold", HF_QUERY_HOLD},         {"stream", HF_QUERY_STREAM},
        {"document", HF_QUERY_DOCUMENT}, {"lease", HF_QUERY_LEASE},
        {"key", HF_QUERY_KEY},           {"commit", HF_QUERY_COMMIT},
        {"entries", HF_QUERY_ENTRIES},   {"events", HF_QUERY_STREAM_EVENTS},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(kinds); i++) {
        if (strcmp(kinds[i].kind, kind) == 0) {
            return kinds[i].type;
        }
    }
    HF_CHECK(false); /* no such kind */
    return (enum hf_query_type)0;
}

static void run_read(struct core_rig *rig, const struct core_rig_ask *ask,
                     struct core_rig_answer *answer)
{
    char kind[16], name[200];
    int words_bytes = 0;
    HF_CHECK(sscanf(ask->text, "get %15s %199s%n", kind, name, &words_bytes) == 2);
    char *rest = NULL;
    bool has_first = ask->text[words_bytes] != '\0';
    uint64_t first = strtoull(ask->text + words_bytes, &rest, 10);
    uint64_t second = strtoull(rest, NULL, 10);
    struct hf_query query = {.type = query_type_of(kind), .from = first, .limit = (uint32_t)second};
    struct hf_arena arena;
    hf_arena_init(&arena);
    if (query.type == HF_QUERY_COMMIT) {
        query.position = strtoull(name, NULL, 10);
    } else if (query.type == HF_QUERY_KEY) {
        query.principal = hf_str_from(ask->principal == NULL ? "local" : ask->principal);
        query.key = hf_str_from(name);
    } else {
        HF_CHECK(hf_name_make(hf_str_from(name), &arena, &query.name));
        query.has_version = query.type == HF_QUERY_DOCUMENT && has_first;
        query.version = first;
    }
    run_query(rig, &query, ask->now_us, answer);
    hf_arena_release(&arena);
}

bool core_rig_tick(struct core_rig *rig, uint64_t now_us)
{
    struct hf_due due[64];
    size_t count = hf_state_take_due(&rig->state, now_us, due, HF_ARRAY_COUNT(due));
    struct hf_records records;
    hf_records_init(&records);
    enum hf_decision decision = count == 0 ? HF_DECISION_ANSWER : HF_DECISION_NEEDS;
    while (decision == HF_DECISION_NEEDS) {
        decision = hf_decide_expiries(&rig->state, &records, due, count, now_us, &rig->draft);
        if (decision == HF_DECISION_NEEDS) {
            HF_CHECK(rig->mode == CORE_RIG_COLD);
            fetch(rig, &records);
        }
    }
    hf_records_release(&records);
    if (decision != HF_DECISION_COMMIT) {
        hf_state_return_due(&rig->state, due, count);
        return false;
    }
    hf_state_return_due(&rig->state, due + rig->draft.booked, count - rig->draft.booked);
    record(rig);
    return true;
}

bool core_rig_scan(struct core_rig *rig, uint32_t most, uint64_t now_us)
{
    const struct hf_subscription *lagging = rig->state.queue.lagging_first;
    struct hf_records records;
    hf_records_init(&records);
    enum hf_decision decision = lagging == NULL ? HF_DECISION_ANSWER : HF_DECISION_NEEDS;
    while (decision == HF_DECISION_NEEDS) {
        decision = hf_decide_scan(&rig->state, &records, lagging->uid, most, now_us, &rig->draft);
        if (decision == HF_DECISION_NEEDS) {
            HF_CHECK(rig->mode == CORE_RIG_COLD);
            fetch(rig, &records);
        }
    }
    hf_records_release(&records);
    if (decision == HF_DECISION_COMMIT) {
        record(rig);
    }
    return decision == HF_DECISION_COMMIT;
}

void core_rig_take_over(struct core_rig *rig, uint64_t now_us)
{
    struct hf_system system = {.epoch = rig->state.epoch + 1, .owner = HF_STR("test")};
    HF_CHECK(hf_decide_system(&rig->state, HF_EVENT_TAKEOVER, &system, now_us, &rig->draft) ==
             HF_DECISION_COMMIT);
    record(rig);
}

static bool append_bytes(void *context, const void *data, size_t size_bytes)
{
    hf_buffer_bytes(context, data, size_bytes);
    return true;
}

/* Whatever allocation fails, memory is short and nothing else, and what was loaded can be released. */
static void load_with_faults(const struct hf_buffer *bytes)
{
    bool hit = true;
    for (uint64_t n = 1; hit; n++) {
        struct hf_state state;
        struct hf_state_loader loader;
        struct hf_error error = {0};
        hf_state_init(&state, 14);
        hf_state_loader_init(&loader, &state);
        hf_alloc_fault_set(n);
        enum hf_err fed = hf_state_loader_feed(&loader, bytes->data, bytes->size_bytes, &error);
        enum hf_err finished = hf_state_loader_finish(&loader, fed == HF_ERR_OK ? &error : NULL);
        hit = hf_alloc_fault_hit();
        hf_alloc_fault_set(0);
        enum hf_err err = fed == HF_ERR_OK ? finished : fed;
        HF_CHECK(err == (hit ? HF_ERR_NO_MEMORY : HF_ERR_OK));
        hf_state_release(&state);
    }
}

void core_rig_reload(struct core_rig *rig)
{
    struct hf_buffer bytes, again;
    struct hf_state loaded;
    struct hf_state_loader loader;
    struct hf_error error = {0};
    hf_buffer_init(&bytes);
    hf_buffer_init(&again);
    HF_CHECK(hf_state_save(&rig->state, append_bytes, &bytes));
    if (rig->faults) {
        load_with_faults(&bytes);
    }
    hf_state_init(&loaded, 14);
    hf_state_loader_init(&loader, &loaded);
    bool fed = hf_state_loader_feed(&loader, bytes.data, bytes.size_bytes, &error) == HF_ERR_OK;
    bool finished = hf_state_loader_finish(&loader, fed ? &error : NULL) == HF_ERR_OK;
    if (!fed || !finished) {
        (void)fprintf(stderr, "%s\n", error.text);
    }
    HF_CHECK(fed && finished);
    hf_state_verify(&loaded);
    HF_CHECK(hf_state_save(&loaded, append_bytes, &again));
    HF_CHECK(again.size_bytes == bytes.size_bytes &&
             memcmp(again.data, bytes.data, bytes.size_bytes) == 0);
    struct hf_recent recent = loaded.recent; /* what is recent stays */
    loaded.recent = rig->state.recent;
    rig->state.recent = recent;
    hf_state_release(&rig->state);
    rig->state = loaded;
    hf_buffer_release(&bytes);
    hf_buffer_release(&again);
}

void core_rig_ask(struct core_rig *rig, const struct core_rig_ask *ask,
                  struct core_rig_answer *answer)
{
    hf_buffer_clear(&answer->text);
    answer->status = 0;
    answer->code = "ok";
    answer->position = 0;
    answer->replayed = false;
    if (strncmp(ask->text, "get ", 4) == 0) {
        run_read(rig, ask, answer);
    } else if (strcmp(ask->text, "tick") == 0) {
        (void)core_rig_tick(rig, ask->now_us);
    } else if (strcmp(ask->text, "takeover") == 0) {
        core_rig_take_over(rig, ask->now_us);
    } else {
        run_commit(rig, ask, strcmp(ask->text, "cancel") == 0 ? NULL : ask->text, answer);
    }
    hf_buffer_u8(&answer->text, 0);
    HF_CHECK(!answer->text.failed);
}
