/*
 * Strips beside operations: random packed requests go to one core as they are, and spelled out, operation by
 * operation, to another. Outcomes, states, entries and transfers must be the same. SEED=n replays.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/packed.h"
#include "base/bytes.h"
#include "core/strip.h"
#include "holdfast_packed.h"
#include "sim/sim_random.h"
#include "unit/core_rig.h"
#include "unit/support.h"

#define ACCOUNTS       24u /* the last two are never opened */
#define OPENED         22u
#define ROUNDS         160u
#define RECORDS_MAX    60u
#define EARLIER_IDS    4000u
#define START_US       1700000000000000ull
#define HEX_ACCOUNT(i) ((i) % 3 != 0)
#define LONG_ACCOUNT   9u
#define NAME_BYTES     (HF_NAME_BYTES_MAX + 1)

struct pair {
    struct core_rig quick;   /* decides strips */
    struct core_rig spelled; /* decides operations */
    struct hf_sim_random random;
    struct hf_id ids[EARLIER_IDS]; /* that were sent */
    uint32_t id_count;
    uint64_t now_us;
    uint64_t strips, refused, accepted, replayed; /* what happened, so that nothing is left out */
    uint8_t body[RECORDS_MAX * HOLDFAST_PACKED_BYTES];
};

static uint32_t below(struct pair *pair, uint32_t bound)
{
    return (uint32_t)hf_sim_random_below(&pair->random, bound);
}

static bool chance(struct pair *pair, uint32_t percent)
{
    return below(pair, 100) < percent;
}

static void account_name(uint32_t i, char text[NAME_BYTES])
{
    if (HEX_ACCOUNT(i)) {
        (void)snprintf(text, NAME_BYTES, "00000000-0000-4000-8000-%012x", i + 1);
    } else {
        /* The longest name takes a length of two bytes. */
        int wide = i == LONG_ACCOUNT ? HF_NAME_BYTES_MAX - 6 : 0;
        (void)snprintf(text, NAME_BYTES, "users:%0*u", wide, i);
    }
}

static struct hf_id account_id(uint32_t i)
{
    char text[NAME_BYTES];
    struct hf_name name;
    struct hf_arena arena;
    hf_arena_init(&arena);
    account_name(i, text);
    assert_true(hf_name_make(hf_str_from(text), &arena, &name));
    struct hf_id id = name.id;
    hf_arena_release(&arena);
    return id;
}

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

static void write_record(struct pair *pair, uint8_t *record, uint32_t in_request)
{
    static const char *const assets[] = {"USD/2", "EUR/2", "GBP/2"};
    uint32_t from = below(pair, ACCOUNTS);
    uint32_t to = (from + 1 + below(pair, ACCOUNTS - 1)) % ACCOUNTS;
    from = chance(pair, 30) ? 0 : from;
    to = to == from ? 9 : to;
    struct hf_id from_id = account_id(from), to_id = account_id(to);
    struct hf_asset asset = {0};
    bool euro = from == 1 || from == 4 || from == 5;
    assert_true(
        hf_asset_parse(hf_str_from(assets[chance(pair, 4) ? below(pair, 3) : euro]), &asset));
    memset(record, 0, HOLDFAST_PACKED_BYTES);
    if (pair->id_count > 0 && chance(pair, in_request)) {
        uint32_t earlier = below(pair, pair->id_count);
        memcpy(record, pair->ids[earlier].bytes, 16);
    } else {
        hf_put_u64(record, hf_sim_random_u64(&pair->random) | 1);
        hf_put_u64(record + 8, hf_sim_random_u64(&pair->random));
        memcpy(pair->ids[pair->id_count].bytes, record, 16);
        pair->id_count += pair->id_count + 1 < EARLIER_IDS;
    }
    memcpy(record + HOLDFAST_TRANSFER_FROM, from_id.bytes, 16);
    memcpy(record + HOLDFAST_TRANSFER_TO, to_id.bytes, 16);
    uint64_t amount = chance(pair, 2)   ? 0
                      : chance(pair, 2) ? UINT64_MAX - below(pair, 3)
                                        : 1 + below(pair, 200);
    hf_put_u64(record + HOLDFAST_TRANSFER_AMOUNT, amount);
    hf_asset_hash(&asset, record + HOLDFAST_TRANSFER_ASSET);
    if (chance(pair, 10)) {
        hf_put_u64(record + HOLDFAST_TRANSFER_USER_DATA, below(pair, 1000));
    }
    if (chance(pair, 10)) {
        hf_put_u32(record + HOLDFAST_TRANSFER_CODE, below(pair, 1000));
    }
    if (chance(pair, 10)) {
        hf_put_u64(record + HOLDFAST_TRANSFER_EFFECTIVE_US, START_US - below(pair, 1000000));
    }
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
    pair->strips += pair->quick.draft.commit.strip != NULL;
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
        (void)snprintf(text, sizeof(text), "get entries %s %u %u", name, below(pair, 40),
                       1 + below(pair, 40));
        compare_read(pair, text);
        (void)snprintf(text, sizeof(text), "get account %s", name);
        compare_read(pair, text);
    }
    for (int i = 0; i < 40; i++) {
        char hex[HF_UUID_TEXT_BYTES];
        hf_name_hex(&pair->ids[below(pair, pair->id_count)], hex);
        (void)snprintf(text, sizeof(text), "get transfer %.*s", (int)sizeof(hex), hex);
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
        uint32_t count = 1 + below(pair, RECORDS_MAX);
        uint32_t repeat_percent = round % 3 == 0 ? 5 : 0;
        for (uint32_t i = 0; i < count; i++) {
            write_record(pair, pair->body + (size_t)i * HOLDFAST_PACKED_BYTES, repeat_percent);
        }
        run_request(pair, count);
        if (round % 5 == 0) {
            run_request(pair, count); /* all of it again */
        }
        act_on_strips(pair);
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
    assert_true(pair->strips > ROUNDS / 2);
    assert_true(pair->accepted > 500 && pair->refused > 200 && pair->replayed > 100);
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
