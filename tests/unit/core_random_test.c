/*
 * Decide and evolve under random commands, without node and log, beside the model: every commit goes
 * through its encoding, every answer is compared, records go cold at random, and the state is saved,
 * loaded and replayed from zero. SEED=n replays one seed; RUNS and COMMANDS change the size.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "core/decide.h"
#include "sim/check.h"
#include "sim/gen.h"
#include "unit/support.h"

#define RETENTION_US (20ull * 1000 * 1000)

struct rig {
    struct hf_state state;           /* the real thing */
    struct hf_state replayed;        /* the same commits, never saved or loaded */
    struct hf_draft draft;           /* of decisions */
    struct hf_index_table index;     /* what went cold */
    struct hf_shared_bytes **frames; /* owned, by position */
    size_t frame_capacity;           /* room */
    struct hf_checker checker;       /* with the model */
    struct hf_gen gen;               /* commands */
    struct hf_sim_random random;     /* everything else */
    uint64_t now_us;                 /* clock */
    uint64_t needs;                  /* times that something had to be fetched */
    uint64_t loads;                  /* of saved states */
    char difference[HF_DIFFERENCE_BYTES];
};

static struct hf_model_counts totals;
static uint64_t total_needs, total_loads, total_answers;

static void rig_init(struct rig *rig, uint64_t seed)
{
    memset(rig, 0, sizeof(*rig));
    hf_state_init(&rig->state, seed);
    hf_state_init(&rig->replayed, seed + 1);
    hf_draft_init(&rig->draft);
    hf_index_table_init(&rig->index, seed);
    hf_checker_init(&rig->checker, RETENTION_US);
    hf_gen_init(&rig->gen, seed);
    rig->gen.knobs.big_ppm = 1000;
    rig->random = hf_sim_random_from(seed ^ 0xC0FFEE);
    rig->now_us = 1600000000000000ull;
}

static void rig_release(struct rig *rig)
{
    for (uint64_t position = 1; position < rig->frame_capacity; position++) {
        hf_shared_bytes_unref(rig->frames[position]);
    }
    free(rig->frames);
    hf_gen_release(&rig->gen);
    hf_checker_release(&rig->checker);
    hf_index_table_release(&rig->index);
    hf_draft_release(&rig->draft);
    hf_state_release(&rig->state);
    hf_state_release(&rig->replayed);
}

static bool say(struct rig *rig, const char *what, const char *text)
{
    (void)snprintf(rig->difference, sizeof(rig->difference), "%s: %s", what, text);
    return false;
}

static void keep_frame(struct rig *rig, uint64_t position, struct hf_shared_bytes *frame)
{
    if (position >= rig->frame_capacity) {
        size_t capacity = position * 2 + 64;
        rig->frames = realloc(rig->frames, capacity * sizeof(struct hf_shared_bytes *));
        HF_CHECK(rig->frames != NULL);
        memset(rig->frames + rig->frame_capacity, 0,
               (capacity - rig->frame_capacity) * sizeof(struct hf_shared_bytes *));
        rig->frame_capacity = capacity;
    }
    rig->frames[position] = frame;
}

static bool apply_to(struct rig *rig, struct hf_state *state, struct hf_commit *commit,
                     struct hf_shared_bytes *frame)
{
    struct hf_error error = {0};
    if (!hf_state_reserve(state, commit)) {
        return say(rig, "reserve", "memory is short");
    }
    if (hf_state_apply(state, commit, &error) != HF_ERR_OK) {
        return say(rig, "evolve refuses what was decided", error.text);
    }
    hf_recent_add_frame(&state->recent, commit->position, frame);
    return true;
}

/* Encodes, decodes, compares with the model, applies. */
static bool take_commit(struct rig *rig, const struct hf_command *command,
                        const struct hf_commit *commit)
{
    struct hf_buffer buffer, again;
    hf_buffer_init(&buffer);
    hf_buffer_init(&again);
    HF_CHECK(hf_commit_encode(commit, &buffer));
    struct hf_shared_bytes *frame = hf_shared_bytes_new(buffer.size_bytes);
    HF_CHECK(frame != NULL);
    memcpy(frame->data, buffer.data, buffer.size_bytes);
    keep_frame(rig, commit->position, frame);
    size_t record_bytes = hf_get_u32(frame->data);
    size_t payload_bytes = hf_get_u32(frame->data + 4);
    HF_CHECK(8 + record_bytes + payload_bytes == frame->size_bytes);
    struct hf_arena arena;
    hf_arena_init(&arena);
    struct hf_commit decoded;
    struct hf_error error = {0};
    bool ok = true;
    if (hf_commit_decode(frame->data + 8, record_bytes, frame->data + 8 + record_bytes,
                         payload_bytes, &arena, &decoded, &error) != HF_ERR_OK ||
        hf_commit_verify_texts(&decoded, &error) != HF_ERR_OK) {
        ok = say(rig, "decode", error.text);
    }
    if (ok) {
        HF_CHECK(hf_commit_encode(&decoded, &again));
        ok = (again.size_bytes == buffer.size_bytes &&
              memcmp(again.data, buffer.data, buffer.size_bytes) == 0) ||
             say(rig, "codec", "a decoded commit encodes to other bytes");
    }
    ok = ok && hf_checker_commit(&rig->checker, command, &decoded, rig->difference);
    ok = ok && apply_to(rig, &rig->state, &decoded, frame) &&
         apply_to(rig, &rig->replayed, &decoded, frame);
    if (ok) {
        hf_gen_saw(&rig->gen, &decoded);
    }
    hf_arena_release(&arena);
    hf_buffer_release(&buffer);
    hf_buffer_release(&again);
    return ok;
}

/* Everything up to now leaves RAM: the index into the rig's table, frames as they are. */
static void go_cold(struct rig *rig)
{
    struct hf_recent *recent = &rig->state.recent;
    if (rig->state.position == 0) {
        return;
    }
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

static bool buffer_sink(void *context, const void *data, size_t size_bytes)
{
    struct hf_buffer *buffer = context;
    hf_buffer_bytes(buffer, data, size_bytes);
    return !buffer->failed;
}

/* Saves the state, loads it in pieces, goes on with the loaded one. */
static bool save_and_load(struct rig *rig, uint64_t seed)
{
    go_cold(rig);
    struct hf_buffer buffer;
    hf_buffer_init(&buffer);
    HF_CHECK(hf_state_save(&rig->state, buffer_sink, &buffer));
    struct hf_hash before, after;
    HF_CHECK(hf_state_hash(&rig->state, &before));
    hf_state_release(&rig->state);
    hf_state_init(&rig->state, seed * 7 + rig->loads);
    struct hf_state_loader loader;
    struct hf_error error = {0};
    hf_state_loader_init(&loader, &rig->state);
    enum hf_err code = HF_ERR_OK;
    for (size_t at = 0; at < buffer.size_bytes && code == HF_ERR_OK;) {
        size_t piece = 1 + hf_sim_random_below(&rig->random, 700);
        piece = piece < buffer.size_bytes - at ? piece : buffer.size_bytes - at;
        code = hf_state_loader_feed(&loader, buffer.data + at, piece, &error);
        at += piece;
    }
    enum hf_err finished = hf_state_loader_finish(&loader, &error);
    hf_buffer_release(&buffer);
    if (code != HF_ERR_OK || finished != HF_ERR_OK) {
        return say(rig, "load", error.text);
    }
    rig->state.recent.covered_position = rig->state.position;
    HF_CHECK(hf_state_hash(&rig->state, &after));
    rig->loads++;
    hf_state_verify(&rig->state);
    return hf_hash_equal(&before, &after) || say(rig, "load", "the state has another hash");
}

static void fetch(struct rig *rig, struct hf_records *records, const struct hf_needs *needs)
{
    records->as_of = rig->state.recent.covered_position;
    for (size_t i = 0; i < needs->key_count; i++) {
        const struct hf_index_value *value = hf_index_table_get(&rig->index, &needs->keys[i]);
        HF_CHECK(hf_records_add_answer(records, &needs->keys[i], value));
    }
    for (size_t i = 0; i < needs->position_count; i++) {
        uint64_t position = needs->positions[i];
        HF_CHECK(position > 0 && position <= rig->state.position);
        HF_CHECK(hf_records_add_frame(records, position, rig->frames[position]));
    }
    for (size_t i = 0; i < needs->range_count; i++) {
        uint64_t from = needs->ranges[i].from;
        uint64_t most = 1 + hf_sim_random_below(&rig->random, 40);
        HF_CHECK(from > 0 && from + needs->ranges[i].count - 1 <= rig->state.position);
        for (uint64_t n = 0; n < needs->ranges[i].count && n < most; n++) {
            HF_CHECK(hf_records_add_frame(records, from + n, rig->frames[from + n]));
        }
    }
}

static bool take_answer(struct rig *rig, const struct hf_command *command,
                        enum hf_decision decision)
{
    const struct hf_refused *refused = hf_commit_refusal(&rig->draft.commit);
    struct hf_told told = {.command = command,
                           .saw_position = rig->state.position,
                           .time_us = hf_max_u64(rig->now_us, rig->state.time_us + 1)};
    total_answers++;
    if (decision == HF_DECISION_REPLAY) {
        told.outcome = HF_MODEL_REPLAYED;
        told.replayed_position = rig->draft.replayed->position;
    } else if (refused != NULL) {
        told.outcome = HF_MODEL_REFUSED;
        told.code = refused->code;
        told.where = refused->where;
        told.index = refused->index;
        told.current = &refused->current;
    } else {
        told.outcome = HF_MODEL_ACCEPTED;
        told.draft = &rig->draft.commit;
    }
    return hf_checker_told(&rig->checker, &told, rig->difference);
}

static bool take_command(struct rig *rig, const struct hf_command *command)
{
    struct hf_records records;
    hf_records_init(&records);
    bool ok = true;
    if (hf_sim_random_chance(&rig->random, 300000)) {
        struct hf_needs needs;
        hf_needs_init(&needs);
        HF_CHECK(hf_decide_needs(command, &needs));
        fetch(rig, &records, &needs);
        hf_needs_release(&needs);
    }
    enum hf_decision decision = HF_DECISION_NEEDS;
    for (int round = 0; decision == HF_DECISION_NEEDS; round++) {
        HF_CHECK(round < 20);
        decision =
            hf_decide(&rig->state, &records, command, rig->now_us, RETENTION_US, &rig->draft);
        if (decision == HF_DECISION_NEEDS) {
            rig->needs++;
            fetch(rig, &records, &rig->draft.view.needs);
        }
    }
    switch (decision) {
    case HF_DECISION_COMMIT:
        ok = command->dry_run ? take_answer(rig, command, decision)
                              : take_commit(rig, command, &rig->draft.commit);
        break;
    case HF_DECISION_ANSWER:
    case HF_DECISION_REPLAY:
        ok = take_answer(rig, command, decision);
        break;
    case HF_DECISION_OVERLOADED:
        ok = say(rig, "decide", "OVERLOADED");
        break;
    case HF_DECISION_DAMAGED:
        ok = say(rig, "decide", "DAMAGED");
        break;
    case HF_DECISION_NEEDS:
        break;
    }
    hf_records_release(&records);
    return ok;
}

static bool book_due(struct rig *rig)
{
    struct hf_due due[4];
    size_t count = hf_state_take_due(&rig->state, rig->now_us, due, HF_ARRAY_COUNT(due));
    if (count == 0) {
        return true;
    }
    struct hf_records records;
    hf_records_init(&records);
    enum hf_decision decision = HF_DECISION_NEEDS;
    while (decision == HF_DECISION_NEEDS) {
        decision = hf_decide_expiries(&rig->state, &records, due, count, rig->now_us, &rig->draft);
        if (decision == HF_DECISION_NEEDS) {
            fetch(rig, &records, &rig->draft.view.needs);
        }
    }
    hf_records_release(&records);
    if (decision != HF_DECISION_COMMIT) {
        return say(rig, "expiries", "nothing is booked of what is due");
    }
    return take_commit(rig, NULL, &rig->draft.commit);
}

/* A subscription that is behind takes some of what it has missed. */
static bool scan(struct rig *rig)
{
    const struct hf_subscription *behind = rig->state.queue.lagging_first;
    if (behind == NULL) {
        return true;
    }
    struct hf_records records;
    hf_records_init(&records);
    uint32_t most = 1 + (uint32_t)hf_sim_random_below(&rig->random, 30);
    enum hf_decision decision = HF_DECISION_NEEDS;
    while (decision == HF_DECISION_NEEDS) {
        decision =
            hf_decide_scan(&rig->state, &records, behind->uid, most, rig->now_us, &rig->draft);
        if (decision == HF_DECISION_NEEDS) {
            fetch(rig, &records, &rig->draft.view.needs);
        }
    }
    hf_records_release(&records);
    return decision == HF_DECISION_COMMIT ? take_commit(rig, NULL, &rig->draft.commit)
                                          : say(rig, "scan", "a subscription stays behind");
}

static bool take_over(struct rig *rig)
{
    struct hf_system system = {.epoch = rig->state.epoch + 1, .owner = HF_STR("somebody")};
    enum hf_decision decision =
        hf_decide_system(&rig->state, HF_EVENT_TAKEOVER, &system, rig->now_us, &rig->draft);
    return decision == HF_DECISION_COMMIT ? take_commit(rig, NULL, &rig->draft.commit)
                                          : say(rig, "takeover", "not decided");
}

/* One step: a command, after time has passed and perhaps something else happened. */
static bool step(struct rig *rig, uint64_t seed, struct hf_command *command)
{
    uint64_t roll = hf_sim_random_below(&rig->random, 1000);
    rig->now_us += hf_sim_random_below(&rig->random, roll < 20 ? 40000000 : 20000);
    if (roll < 3 && !take_over(rig)) {
        return false;
    }
    if (roll >= 100 && roll < 200 && !book_due(rig)) {
        return false;
    }
    if (roll >= 300 && roll < 700 && !scan(rig)) {
        return false;
    }
    if (roll >= 200 && roll < 215) {
        go_cold(rig);
    }
    if (roll >= 220 && roll < 225 && !save_and_load(rig, seed)) {
        return false;
    }
    if (roll >= 230 && roll < 250) {
        hf_recent_trim(&rig->state.recent, rig->state.position, 2000);
    }
    if (roll >= 250 && roll < 260 &&
        !hf_checker_state(&rig->checker, &rig->state, rig->difference)) {
        return false;
    }
    return take_command(rig, command);
}

static void print_name(const char *what, const struct hf_name *name)
{
    if (name->text.len > 0) {
        print_error(" %s=%.*s", what, (int)name->text.len, name->text.ptr);
    }
}

static void print_command(const struct hf_command *command)
{
    print_error("kind %d principal %.*s key %.*s dry_run %d\n", command->kind,
                (int)command->principal.len, command->principal.ptr, (int)command->key.len,
                command->key.ptr == NULL ? "" : command->key.ptr, command->dry_run);
    for (uint32_t i = 0; i < command->condition_count; i++) {
        const struct hf_condition *c = &command->conditions[i];
        print_error("  if kind %d %.*s version %d:%llu modified %d:%llu exists %d:%d token %llu "
                    "state %d available %x posted %x\n",
                    c->kind, (int)c->subject.text.len, c->subject.text.ptr, c->has_version,
                    (unsigned long long)c->version, c->has_modified_at,
                    (unsigned long long)c->modified_at_us, c->has_exists, c->exists,
                    (unsigned long long)c->token, (int)c->state, c->available.present,
                    c->posted.present);
    }
    for (uint32_t i = 0; i < command->op_count; i++) {
        const struct hf_op *op = &command->ops[i];
        char amount[HF_U128_TEXT_BYTES];
        (void)hf_u128_format(op->amount, amount);
        print_error("  do %s", hf_op_wire(op->type));
        print_name("subject", &op->subject);
        print_name("to", &op->to);
        print_name("id", &op->id);
        print_error(" asset %.*s amount %d:%s up_to %d final %d timeout %d:%llu token %llu "
                    "expected %d:%llu data %.*s\n",
                    (int)op->asset.len, op->asset.text, op->has_amount, amount, op->up_to,
                    op->final, op->has_timeout, (unsigned long long)op->timeout_ms,
                    (unsigned long long)op->token, op->has_expected_version,
                    (unsigned long long)op->expected_version,
                    (int)hf_min_u64(op->data.text.len, 300),
                    op->data.text.ptr == NULL ? "" : op->data.text.ptr);
    }
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

/* The events of the newest commit. */
static void print_frame(const struct rig *rig, uint64_t position)
{
    struct hf_arena arena;
    hf_arena_init(&arena);
    struct hf_commit commit;
    struct hf_error error;
    if (position > 0 && position < rig->frame_capacity && rig->frames[position] != NULL) {
        const uint8_t *data = rig->frames[position]->data;
        size_t record_bytes = hf_get_u32(data);
        if (hf_commit_decode(data + 8, record_bytes, data + 8 + record_bytes, hf_get_u32(data + 4),
                             &arena, &commit, &error) == HF_ERR_OK) {
            print_error("commit %llu at %llu:", (unsigned long long)position,
                        (unsigned long long)commit.time_us);
            for (uint32_t i = 0; i < commit.event_count; i++) {
                const struct hf_event *event = commit.events[i];
                print_error(" %s", hf_event_wire(event->type));
                if (event->type >= HF_EVENT_LEASE_ACQUIRED &&
                    event->type <= HF_EVENT_LEASE_EXPIRED) {
                    print_error(" (%.*s token %llu until %llu)", (int)event->lease.name.text.len,
                                event->lease.name.text.ptr, (unsigned long long)event->lease.token,
                                (unsigned long long)event->lease.expires_at_us);
                } else if (event->type >= HF_EVENT_HOLD_OPENED &&
                           event->type <= HF_EVENT_HOLD_EXTENDED) {
                    print_name("hold", &event->posting.hold.name);
                }
            }
            print_error("\n");
        }
    }
    if (position < rig->checker.model->command_capacity &&
        rig->checker.model->commands[position] != NULL) {
        print_command(rig->checker.model->commands[position]);
    }
    hf_arena_release(&arena);
}

static bool run_seed(uint64_t seed, uint64_t commands)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    HF_CHECK(rig != NULL);
    rig_init(rig, seed);
    bool ok = take_over(rig);
    for (uint64_t i = 0; ok && i < commands; i++) {
        struct hf_command command;
        if (hf_sim_random_chance(&rig->random, 400000)) {
            hf_gen_queue_command(&rig->gen, &command);
        } else {
            hf_gen_command(&rig->gen, &command);
        }
        ok = step(rig, seed, &command);
        if (!ok) {
            print_error("SEED=%llu command %llu: %s\n", (unsigned long long)seed,
                        (unsigned long long)i, rig->difference);
            print_command(&command);
            for (uint64_t p = setting("SHOW", rig->checker.model->position);
                 p <= rig->checker.model->position; p++) {
                print_frame(rig, p);
            }
        }
        hf_command_release(&command);
    }
    if (ok) {
        hf_state_verify(&rig->state);
        struct hf_hash one, other;
        HF_CHECK(hf_state_hash(&rig->state, &one) && hf_state_hash(&rig->replayed, &other));
        ok = hf_hash_equal(&one, &other) &&
             hf_checker_state(&rig->checker, &rig->state, rig->difference);
        if (!ok) {
            print_error("SEED=%llu at the end: the replayed state differs: %s\n",
                        (unsigned long long)seed, rig->difference);
        }
    }
    hf_counts_add(&totals, &rig->checker.model->counts);
    total_needs += rig->needs;
    total_loads += rig->loads;
    rig_release(rig);
    free(rig);
    return ok;
}

static void test_random_commands(void **context)
{
    (void)context;
    uint64_t seed = setting("SEED", 1);
    uint64_t runs = setting("RUNS", getenv("SEED") != NULL ? 1 : 200);
    uint64_t commands = setting("COMMANDS", 800);
    uint64_t failed = 0;
    for (uint64_t i = 0; i < runs; i++) {
        failed += !run_seed(seed + i, commands);
        if (failed >= 5) {
            break;
        }
    }
    assert_int_equal(failed, 0);
    assert_true(getenv("SEED") != NULL || (total_needs > 0 && total_loads > 0));
}

/* Not one thing that can happen may be left out, else the test above shows less than it seems to. */
static void test_coverage(void **context)
{
    (void)context;
    if (getenv("SEED") != NULL || getenv("RUNS") != NULL) {
        return;
    }
    struct hf_buffer out;
    hf_buffer_init(&out);
    size_t zero = hf_counts_write(&totals, &out);
    uint64_t all = totals.accepted + totals.refused_recorded + total_answers;
    bool enough = totals.accepted * 5 >= all * 2;
    if (zero != 0 || !enough || getenv("SHOW") != NULL) {
        (void)fwrite(out.data, 1, out.size_bytes, stderr);
        print_error("%llu of %llu accepted, %zu counts are 0\n",
                    (unsigned long long)totals.accepted, (unsigned long long)all, zero);
    }
    hf_buffer_release(&out);
    assert_int_equal(zero, 0);
    assert_true(enough);
}

/* An answer may be told before the model has come to where it was seen. */
static void test_waiting_answers(void **context)
{
    (void)context;
    struct rig *rig = calloc(1, sizeof(*rig));
    HF_CHECK(rig != NULL);
    rig_init(rig, 1);
    assert_true(take_over(rig));
    struct hf_command command;
    hf_gen_command(&rig->gen, &command); /* opens accounts, with a key */
    struct hf_told told = {.command = &command,
                           .outcome = HF_MODEL_REPLAYED,
                           .replayed_position = 2,
                           .saw_position = 2,
                           .time_us = rig->now_us + 10};
    assert_true(hf_checker_told(&rig->checker, &told, rig->difference));
    assert_int_equal(rig->checker.waiting_count, 1);
    assert_true(take_command(rig, &command));
    assert_int_equal(rig->checker.waiting_count, 0);
    assert_int_equal(rig->checker.answers, 1);
    told.saw_position = 3;
    told.replayed_position = 1; /* a wrong answer */
    assert_true(hf_checker_told(&rig->checker, &told, rig->difference));
    hf_command_release(&command);
    hf_gen_command(&rig->gen, &command);
    assert_false(take_command(rig, &command));
    assert_string_equal(rig->difference,
                        "answer at commit 3: replays commit 1, model says commit 2");
    told.command = &command;
    told.saw_position = 2; /* too late */
    assert_false(hf_checker_told(&rig->checker, &told, rig->difference));
    hf_command_release(&command);
    rig_release(rig);
    free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_commands),
        cmocka_unit_test(test_coverage),
        cmocka_unit_test(test_waiting_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
