/*
 * Strips beside operations: random packed requests of transfers, holds, captures and voids go to one core as they are, and
 * spelled out, operation by operation, to another. Outcomes, events, states, entries, transfers and holds must be the same.
 * SEED=n replays.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/packed.h"
#include "unit/strip_records.h"

#define ROUNDS 160u

static void ask(struct core_rig *rig, const char *text, uint64_t now_us, int status)
{
    struct core_rig_answer answer = {0};
    hf_buffer_init(&answer.text);
    core_rig_ask(rig, &(struct core_rig_ask){.text = text, .now_us = now_us}, &answer);
    assert_int_equal(answer.status, status);
    hf_buffer_release(&answer.text);
}

static void ask_both(struct pair *pair, const char *text, int status)
{
    pair->now_us += 1000;
    ask(&pair->quick, text, pair->now_us, status);
    ask(&pair->spelled, text, pair->now_us, status);
}

/* World, people with floors, a ceiling, another asset, one frozen, one closed. */
static void open_accounts(struct pair *pair)
{
    char name[NAME_BYTES], json[512];
    for (uint32_t i = 0; i < OPENED; i++) {
        account_name(i, name);
        const char *limits = i == 0   ? ",\"floor\":null"
                             : i == 1 ? ",\"floor\":null"
                             : i == 2 ? ",\"ceiling\":\"500\""
                             : i == 3 ? ",\"floor\":\"-100\""
                                      : "";
        (void)snprintf(json, sizeof(json),
                       "{\"do\":[{\"op\":\"open_account\",\"account\":\"%s\",\"asset\":\"%s\"%s}]}",
                       name, i == 1 || i == 4 || i == 5 ? "EUR/2" : "USD/2", limits);
        ask_both(pair, json, 201);
    }
    account_name(6, name);
    (void)snprintf(json, sizeof(json), "{\"do\":[{\"op\":\"freeze\",\"account\":\"%s\"}]}", name);
    ask_both(pair, json, 201);
    account_name(7, name);
    (void)snprintf(json, sizeof(json), "{\"do\":[{\"op\":\"close_account\",\"account\":\"%s\"}]}",
                   name);
    ask_both(pair, json, 201);
}

static void decode(struct pair *pair, uint32_t count, struct hf_command *command)
{
    struct hf_malformed malformed = {0};
    hf_command_init(command, HF_COMMAND_EACH);
    struct hf_str body = {(const char *)pair->body, (size_t)count * HOLDFAST_PACKED_BYTES};
    assert_true(hf_packed_decode(HF_PACKED_TRANSFERS, body, command, &malformed));
    assert_true(hf_command_finish(command, &malformed));
    assert_non_null(command->plain);
}

/* The same records as operations. */
static void spell(struct hf_command *command, const struct hf_packed_transfer *plain,
                  uint32_t count)
{
    struct hf_malformed malformed = {0};
    hf_command_init(command, HF_COMMAND_EACH);
    command->packed = true;
    for (uint32_t i = 0; i < count; i++) {
        struct hf_op *op = hf_command_new_op(command, &malformed);
        char *text = hf_arena_alloc(&command->arena, HF_UUID_TEXT_BYTES);
        assert_non_null(op);
        assert_non_null(text);
        hf_op_of_plain(&plain[i], text, op);
    }
    assert_true(hf_command_finish(command, &malformed));
}

static void compare_outcomes(struct pair *pair, uint32_t count)
{
    const struct hf_outcome *quick = pair->quick.draft.outcomes;
    const struct hf_outcome *spelled = pair->spelled.draft.outcomes;
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(quick[i].code, spelled[i].code);
        assert_int_equal(quick[i].flags, spelled[i].flags);
        pair->refused += quick[i].code != HF_ERR_OK;
        pair->replayed += (quick[i].flags & HF_OUTCOME_REPLAYED) != 0;
        pair->accepted += quick[i].code == HF_ERR_OK && quick[i].flags == 0;
    }
}

/* The newest commit of a core, its strip expanded. */
static void decode_newest(const struct core_rig *rig, struct hf_arena *arena,
                          struct hf_commit *commit)
{
    const struct hf_shared_bytes *frame = core_rig_frame(rig, rig->state.position);
    size_t record_bytes = hf_get_u32(frame->data);
    assert_int_equal(hf_commit_decode(frame->data + 8, record_bytes, frame->data + 8 + record_bytes,
                                      hf_get_u32(frame->data + 4), arena, commit, NULL),
                     HF_ERR_OK);
}

/* The event of this operation as if it were alone in its commit. */
static void encode_alone(const struct hf_commit *commit, uint32_t operation, struct hf_arena *arena,
                         struct hf_buffer *to)
{
    for (uint32_t i = 0; i < commit->event_count; i++) {
        if (commit->events[i]->operation == operation) {
            const struct hf_commit *unit = hf_commit_unit(commit, commit->events[i], arena);
            assert_non_null(unit);
            assert_true(hf_commit_encode(unit, to));
        }
    }
}

/* But for their order: a strip stands behind the refusals. */
static void compare_events(struct pair *pair, uint32_t count)
{
    struct hf_arena arena;
    struct hf_buffer quick, spelled;
    struct hf_commit from_strip, from_operations;
    hf_arena_init(&arena);
    hf_buffer_init(&quick);
    hf_buffer_init(&spelled);
    decode_newest(&pair->quick, &arena, &from_strip);
    decode_newest(&pair->spelled, &arena, &from_operations);
    assert_int_equal(from_strip.event_count, from_operations.event_count);
    for (uint32_t i = 0; i < count; i++) {
        encode_alone(&from_strip, i, &arena, &quick);
        encode_alone(&from_operations, i, &arena, &spelled);
    }
    assert_int_equal(quick.size_bytes, spelled.size_bytes);
    assert_memory_equal(quick.data, spelled.data, quick.size_bytes);
    hf_buffer_release(&quick);
    hf_buffer_release(&spelled);
    hf_arena_release(&arena);
}

static void count_rows(struct pair *pair, const struct hf_strip *strip)
{
    pair->strips++;
    for (uint32_t k = 0; k < strip->count; k++) {
        enum hf_strip_kind kind = hf_strip_kind(strip, k);
        bool own =
            hf_strip_settles(strip, k) && (hf_strip_settled(strip, k) & HF_STRIP_OWN_HOLD) != 0;
        pair->kinds[kind]++;
        pair->own += own;
        pair->listed += hf_strip_settles(strip, k) && !own;
        pair->released += hf_strip_released(strip, k) != 0;
        pair->expiring += kind == HF_STRIP_HOLD && hf_strip_time(strip, k) != 0;
    }
    pair->partial += strip->holds.captured != NULL;
    pair->changed += strip->holds.changes != NULL;
}

static void compare_states(struct pair *pair)
{
    struct hf_hash quick, spelled;
    core_rig_check(&pair->quick);
    assert_true(hf_state_hash(&pair->quick.state, &quick));
    assert_true(hf_state_hash(&pair->spelled.state, &spelled));
    assert_true(hf_hash_equal(&quick, &spelled));
}

static void run_request(struct pair *pair, uint32_t count)
{
    struct hf_command quick, spelled;
    decode(pair, count, &quick);
    spell(&spelled, quick.plain, count);
    pair->now_us += 1000;
    enum hf_decision decision = core_rig_run(&pair->quick, &quick, pair->now_us);
    assert_int_equal(core_rig_run(&pair->spelled, &spelled, pair->now_us), decision);
    assert_null(pair->spelled.draft.commit.strip);
    if (pair->quick.draft.commit.strip != NULL) {
        count_rows(pair, pair->quick.draft.commit.strip);
    }
    if (decision == HF_DECISION_COMMIT) {
        compare_events(pair, count);
    }
    compare_outcomes(pair, count);
    hf_command_release(&quick);
    hf_command_release(&spelled);
}

/* What a read of both says, but for the number of an event in its commit, which no read shows. */
static void compare_read(struct pair *pair, const char *text)
{
    struct core_rig_answer quick = {0}, spelled = {0};
    hf_buffer_init(&quick.text);
    hf_buffer_init(&spelled.text);
    struct core_rig_ask question = {.text = text, .now_us = pair->now_us};
    core_rig_ask(&pair->quick, &question, &quick);
    core_rig_ask(&pair->spelled, &question, &spelled);
    assert_int_equal(quick.status, spelled.status);
    assert_int_equal(quick.text.size_bytes, spelled.text.size_bytes);
    assert_memory_equal(quick.text.data, spelled.text.data, quick.text.size_bytes);
    hf_buffer_release(&quick.text);
    hf_buffer_release(&spelled.text);
}

static void compare_reads(struct pair *pair)
{
    char name[NAME_BYTES], text[NAME_BYTES + 64];
    for (uint32_t i = 0; i < OPENED; i++) {
        account_name(i, name);
        pair->quick.coarse = chance(pair, 50);
        for (unsigned n = 0; n < 3; n++) {
            (void)snprintf(text, sizeof(text), "get entries %s %u %u", name,
                           below(pair, n == 0 ? 40 : 400), 1 + below(pair, 40));
            compare_read(pair, text);
        }
        (void)snprintf(text, sizeof(text), "get account %s", name);
        compare_read(pair, text);
    }
    for (int i = 0; i < 40; i++) {
        char hex[HF_UUID_TEXT_BYTES];
        hf_name_hex(&pair->ids[below(pair, pair->id_count)], hex);
        (void)snprintf(text, sizeof(text), "get transfer %.*s", (int)sizeof(hex), hex);
        compare_read(pair, text);
    }
    for (uint32_t i = 0; i < pair->hold_count && i < HOLDS; i += 5) {
        char hex[HF_UUID_TEXT_BYTES];
        hf_name_hex(&pair->holds[i], hex);
        (void)snprintf(text, sizeof(text), "get hold %.*s", (int)sizeof(hex), hex);
        compare_read(pair, text);
    }
}

/* Reversals, holds and JSON repetitions find what strips have made. */
static void act_on_strips(struct pair *pair)
{
    char hex[HF_UUID_TEXT_BYTES], json[768], from[NAME_BYTES], to[NAME_BYTES];
    hf_name_hex(&pair->ids[below(pair, pair->id_count)], hex);
    (void)snprintf(json, sizeof(json),
                   "{\"do\":[{\"op\":\"reverse\",\"transfer\":\"%.*s\",\"id\":\"r%llu\"}]}",
                   (int)sizeof(hex), hex, (unsigned long long)pair->now_us);
    compare_read(pair, json);
    account_name(8 + below(pair, 4), from);
    account_name(12 + below(pair, 4), to);
    hf_name_hex(&pair->ids[below(pair, pair->id_count)], hex);
    (void)snprintf(json, sizeof(json),
                   "{\"do\":[{\"op\":\"transfer\",\"id\":\"%.*s\",\"from\":\"%s\",\"to\":\"%s\","
                   "\"asset\":\"USD/2\",\"amount\":\"%u\"}]}",
                   (int)sizeof(hex), hex, from, to, 1 + below(pair, 200));
    compare_read(pair, json);
    (void)snprintf(json, sizeof(json),
                   "{\"do\":[{\"op\":\"hold\",\"id\":\"h%llu\",\"from\":\"%s\",\"to\":\"%s\","
                   "\"asset\":\"USD/2\",\"amount\":\"%u\"}]}",
                   (unsigned long long)pair->now_us, from, to, 1 + below(pair, 50));
    compare_read(pair, json);
}

/* A strip that stays one is checked like its events: a name of an account that is not the one of its bits is found. */
static uint32_t check_names(const struct hf_shared_bytes *frame, struct hf_arena *arena)
{
    struct hf_commit commit;
    struct hf_error error;
    size_t record_bytes = hf_get_u32(frame->data);
    const uint8_t *payload = frame->data + 8 + record_bytes;
    hf_arena_clear(arena);
    assert_int_equal(hf_commit_decode_compact(frame->data + 8, record_bytes, payload,
                                              frame->size_bytes - 8 - record_bytes, arena, &commit,
                                              &error),
                     HF_ERR_OK);
    assert_int_equal(hf_commit_verify_texts(&commit, &error), HF_ERR_OK);
    if (commit.strip == NULL) {
        return 0;
    }
    uint32_t found = 0;
    struct hf_strip strip = *commit.strip;
    size_t bytes = strip.account_count * sizeof(struct hf_strip_account);
    struct hf_strip_account *accounts = hf_arena_alloc(arena, bytes);
    assert_non_null(accounts);
    commit.strip = &strip;
    for (uint32_t i = 0; i < strip.account_count; i++) {
        memcpy(accounts, strip.accounts, bytes);
        accounts[i].name.id.bytes[i % 16] ^= 4;
        const struct hf_strip_account *stored = strip.accounts;
        strip.accounts = accounts;
        enum hf_err code = hf_commit_verify_texts(&commit, &error);
        strip.accounts = stored;
        assert_int_equal(code, accounts[i].hex_name ? HF_ERR_OK : HF_ERR_CORRUPT);
        found += !accounts[i].hex_name;
    }
    return found;
}

static void check_all_names(struct pair *pair)
{
    uint32_t found = 0;
    struct hf_arena arena;
    hf_arena_init(&arena);
    for (uint64_t position = 1; position <= pair->quick.state.position; position++) {
        found += check_names(core_rig_frame(&pair->quick, position), &arena);
    }
    hf_arena_release(&arena);
    assert_true(found > 100);
}

/* Holds that came as JSON, with names of their own, with hex ones and of more than a strip takes: records settle them. */
static void open_by_json(struct pair *pair)
{
    static const char *const amounts[] = {"7", "90", "18446744073709551616"};
    char id[HF_UUID_TEXT_BYTES + 1] = "", json[512], from[NAME_BYTES], to[NAME_BYTES];
    struct hf_arena arena;
    struct hf_name name;
    if (chance(pair, 70)) {
        struct hf_id bits = {{0}};
        hf_put_u64(bits.bytes, hf_sim_random_u64(&pair->random) | 1);
        hf_name_hex(&bits, id);
    } else {
        (void)snprintf(id, sizeof(id), "j%llu", (unsigned long long)pair->now_us);
    }
    account_name(0, from);
    account_name(8 + below(pair, 10), to);
    (void)snprintf(json, sizeof(json),
                   "{\"do\":[{\"op\":\"hold\",\"id\":\"%s\",\"from\":\"%s\",\"to\":\"%s\","
                   "\"asset\":\"USD/2\",\"amount\":\"%s\"%s}]}",
                   id, from, to, amounts[below(pair, 3)],
                   chance(pair, 50) ? "" : ",\"timeout_ms\":30");
    compare_read(pair, json);
    hf_arena_init(&arena);
    assert_true(hf_name_make(hf_str_from(id), &arena, &name));
    remember_hold(pair, name.id.bytes);
    hf_arena_release(&arena);
}

/* Holds that strips have opened are captured, voided, extended and asked for again as JSON. */
static void settle_by_json(struct pair *pair)
{
    char hex[HF_UUID_TEXT_BYTES], json[768], from[NAME_BYTES], to[NAME_BYTES];
    if (pair->hold_count == 0) {
        return;
    }
    uint32_t kept = pair->hold_count < 20 ? pair->hold_count : 20;
    hf_name_hex(&pair->holds[(pair->hold_count - 1 - below(pair, kept)) % HOLDS], hex);
    uint32_t form = below(pair, 3);
    const char *op = form == 0 ? "capture" : form == 1 ? "void" : "extend";
    const char *more = form == 0 ? ",\"amount\":\"1\"" : form == 2 ? ",\"timeout_ms\":90" : "";
    (void)snprintf(json, sizeof(json), "{\"do\":[{\"op\":\"%s\",\"hold\":\"%.*s\"%s}]}", op,
                   (int)sizeof(hex), hex, more);
    compare_read(pair, json);
    account_name(0, from);
    account_name(8 + below(pair, 10), to);
    (void)snprintf(json, sizeof(json),
                   "{\"do\":[{\"op\":\"hold\",\"id\":\"%.*s\",\"from\":\"%s\",\"to\":\"%s\","
                   "\"asset\":\"USD/2\",\"amount\":\"5\"}]}",
                   (int)sizeof(hex), hex, from, to);
    compare_read(pair, json);
}

/* Accounts freeze and thaw: what is held on them can still be settled. */
static void freeze_some(struct pair *pair)
{
    char name[NAME_BYTES], json[256];
    account_name(12 + below(pair, 3), name);
    (void)snprintf(json, sizeof(json), "{\"do\":[{\"op\":\"%s\",\"account\":\"%s\"}]}",
                   chance(pair, 40) ? "freeze" : "unfreeze", name);
    compare_read(pair, json);
}

static void book_expiries(struct pair *pair)
{
    pair->now_us += 1000;
    assert_int_equal(core_rig_tick(&pair->quick, pair->now_us),
                     core_rig_tick(&pair->spelled, pair->now_us));
}

static void run_seed(uint64_t seed, enum core_rig_mode mode)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    assert_non_null(pair);
    core_rig_init(&pair->quick, mode);
    core_rig_init(&pair->spelled, mode);
    pair->quick.faults = true;
    pair->random = hf_sim_random_from(seed);
    pair->now_us = START_US;
    open_accounts(pair);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        enum mix mix = (enum mix)(round % MIX_COUNT);
        pair->tame = chance(pair, 80);
        uint32_t count = 1 + below(pair, mix == MIX_ALL && pair->tame ? 16 : RECORDS_MAX);
        uint32_t repeat_percent = round % 3 == 0 ? 5 : 0;
        pair->first_own = pair->hold_count;
        for (uint32_t i = 0; i < count; i++) {
            write_record(pair, pair->body + (size_t)i * HOLDFAST_PACKED_BYTES, repeat_percent, mix);
        }
        run_request(pair, count);
        if (round % 5 == 0) {
            run_request(pair, count); /* all of it again */
        }
        act_on_strips(pair);
        open_by_json(pair);
        settle_by_json(pair);
        freeze_some(pair);
        if (round % 7 == 6) {
            book_expiries(pair);
        }
        if (round % 10 == 9) {
            compare_states(pair);
            compare_reads(pair);
        }
        if (round % 40 == 39) {
            core_rig_reload(&pair->quick);
        }
    }
    compare_states(pair);
    check_all_names(pair);
    assert_true(pair->strips > ROUNDS / 3);
    assert_true(pair->accepted > 500 && pair->refused > 200 && pair->replayed > 100);
    for (int kind = HF_STRIP_TRANSFER; kind <= HF_STRIP_VOID; kind++) {
        assert_true(pair->kinds[kind] > 60);
    }
    assert_true(pair->own > 8 && pair->listed > 150 && pair->expiring > 50);
    assert_true(pair->partial > 5 && pair->released > 15 && pair->changed > 5);
    core_rig_release(&pair->quick);
    core_rig_release(&pair->spelled);
    free(pair);
}

static void strips_are_what_operations_are(void **state)
{
    (void)state;
    const char *given = getenv("SEED");
    uint64_t first = given == NULL ? 1 : strtoull(given, NULL, 10);
    for (uint64_t seed = first; seed < first + (given == NULL ? 4 : 1); seed++) {
        print_message("SEED=%llu\n", (unsigned long long)seed);
        run_seed(seed, CORE_RIG_HOT);
        run_seed(seed, CORE_RIG_COLD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strips_are_what_operations_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
