/* Commits of units, as docs/protocol.md has them: what the simulator's model found to be otherwise. */
#include "base/check.h"
#include "unit/core_rig.h"
#include "unit/support.h"

#define NOW_US     1600000000000000u
#define CHAIN_LONG 2000u
#define SINGLES    1100u
#define ROUNDS_MAX 64u /* the node's: a command that asks more often is given up */

struct rig {
    struct core_rig core;
    struct hf_command command; /* packed; the one being made or asked */
    uint64_t now_us;
};

static void ask(struct rig *rig, const char *json)
{
    struct core_rig_answer answer = {0};
    struct core_rig_ask one = {.text = json, .now_us = rig->now_us++};
    hf_buffer_init(&answer.text);
    core_rig_ask(&rig->core, &one, &answer);
    if (answer.status >= 300) {
        print_error("%d %s\n", answer.status, answer.code);
    }
    assert_true(answer.status < 300);
    hf_buffer_release(&answer.text);
}

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    HF_CHECK(rig != NULL);
    core_rig_init(&rig->core, CORE_RIG_COLD);
    rig->now_us = NOW_US;
    hf_command_init(&rig->command, HF_COMMAND_EACH);
    rig->command.packed = true;
    ask(rig, "{\"do\":[{\"op\":\"open_account\",\"account\":\"a\",\"asset\":\"USD/2\","
             "\"floor\":null},{\"op\":\"open_account\",\"account\":\"b\",\"asset\":\"USD/2\"}]}");
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    core_rig_check(&rig->core);
    hf_command_release(&rig->command);
    core_rig_release(&rig->core);
    free(rig);
    return 0;
}

static struct hf_name bits(struct rig *rig, const char *text, bool is_new)
{
    struct hf_name name;
    assert_true(hf_name_make(hf_str_from(text), &rig->command.arena, &name));
    name.text = HF_STR_NONE;
    if (is_new) {
        char *hex = hf_arena_alloc(&rig->command.arena, HF_UUID_TEXT_BYTES);
        assert_non_null(hex);
        hf_name_hex(&name.id, hex);
        name.text = (struct hf_str){hex, HF_UUID_TEXT_BYTES};
    }
    return name;
}

/* A record: 'amount' from a to b. */
static struct hf_op *add(struct rig *rig, const char *id, uint64_t amount)
{
    struct hf_malformed malformed;
    struct hf_asset asset;
    struct hf_op *op = hf_command_new_op(&rig->command, &malformed);
    assert_non_null(op);
    assert_true(hf_asset_parse(HF_STR("USD/2"), &asset));
    op->type = HF_OP_TRANSFER;
    op->has_id = true;
    op->id = bits(rig, id, true);
    op->subject = bits(rig, "a", false);
    op->to = bits(rig, "b", false);
    hf_asset_hash(&asset, (uint8_t *)op->asset.text);
    op->has_amount = true;
    op->amount = amount;
    return op;
}

static void send(struct rig *rig, enum hf_decision expected)
{
    struct hf_malformed malformed;
    assert_true(hf_command_finish(&rig->command, &malformed));
    assert_int_equal(core_rig_run(&rig->core, &rig->command, rig->now_us++), expected);
}

static void begin_next(struct rig *rig)
{
    hf_command_release(&rig->command);
    hf_command_init(&rig->command, HF_COMMAND_EACH);
    rig->command.packed = true;
}

static void told(const struct rig *rig, uint32_t index, enum hf_err code, unsigned flags)
{
    const struct hf_outcome *outcome = &rig->core.draft.outcomes[index];
    if (outcome->code != code || outcome->flags != flags) {
        print_error("at %u: %s with %u, not %s with %u\n", index,
                    hf_err_wire((enum hf_err)outcome->code), outcome->flags, hf_err_wire(code),
                    flags);
        fail();
    }
}

static void test_id_before_amount(void **state)
{
    struct rig *rig = *state;
    add(rig, "x", 5);
    add(rig, "x", 0);
    add(rig, "y", 0);
    add(rig, "y", 0);
    send(rig, HF_DECISION_COMMIT);
    told(rig, 0, HF_ERR_OK, 0);
    told(rig, 1, HF_ERR_TRANSFER_EXISTS, 0);
    told(rig, 2, HF_ERR_AMOUNT_INVALID, 0);
    told(rig, 3, HF_ERR_AMOUNT_INVALID, HF_OUTCOME_REPLAYED);
}

static void test_id_before_amount_in_a_chain(void **state)
{
    struct rig *rig = *state;
    add(rig, "x", 5)->linked = true;
    add(rig, "x", 0);
    send(rig, HF_DECISION_COMMIT);
    told(rig, 0, HF_ERR_TRANSFER_EXISTS, HF_OUTCOME_CHAIN);
    told(rig, 1, HF_ERR_TRANSFER_EXISTS, 0);
}

/* An id that stands for a name of its own: done, refused as a commit, in the same chain. */
static void test_id_of_another_name(void **state)
{
    struct rig *rig = *state;
    struct core_rig_answer answer = {0};
    struct core_rig_ask refused = {
        .text = "{\"do\":[{\"op\":\"transfer\",\"id\":\"refused\",\"from\":\"b\",\"to\":\"a\","
                "\"asset\":\"USD/2\",\"amount\":\"99\"}]}",
        .now_us = rig->now_us++};
    ask(rig, "{\"do\":[{\"op\":\"transfer\",\"id\":\"done\",\"from\":\"a\",\"to\":\"b\","
             "\"asset\":\"USD/2\",\"amount\":\"5\"}]}");
    hf_buffer_init(&answer.text);
    core_rig_ask(&rig->core, &refused, &answer);
    assert_string_equal(answer.code, "insufficient_funds");
    hf_buffer_release(&answer.text);
    add(rig, "done", 5);
    add(rig, "refused", 5);
    add(rig, "new", 1)->linked = true;
    add(rig, "done", 5);
    send(rig, HF_DECISION_COMMIT);
    told(rig, 0, HF_ERR_ID_COLLISION, 0);
    told(rig, 1, HF_ERR_ID_COLLISION, 0);
    told(rig, 2, HF_ERR_ID_COLLISION, HF_OUTCOME_CHAIN);
    told(rig, 3, HF_ERR_ID_COLLISION, 0);
}

/* The first known id of an ordinary commit is the answer, though a later one stands for another name. */
static void test_first_known_id_of_a_commit(void **state)
{
    struct rig *rig = *state;
    struct core_rig_answer answer = {0};
    struct hf_name name = bits(rig, "done", true);
    char json[512];
    (void)snprintf(json, sizeof(json),
                   "{\"do\":[{\"op\":\"transfer\",\"id\":\"done\",\"from\":\"a\",\"to\":\"b\","
                   "\"asset\":\"USD/2\",\"amount\":\"6\"},{\"op\":\"transfer\",\"id\":\"%.*s\","
                   "\"from\":\"a\",\"to\":\"b\",\"asset\":\"USD/2\",\"amount\":\"5\"}]}",
                   (int)name.text.len, name.text.ptr);
    ask(rig, "{\"do\":[{\"op\":\"transfer\",\"id\":\"done\",\"from\":\"a\",\"to\":\"b\","
             "\"asset\":\"USD/2\",\"amount\":\"5\"}]}");
    struct core_rig_ask one = {.text = json, .now_us = rig->now_us++};
    hf_buffer_init(&answer.text);
    core_rig_ask(&rig->core, &one, &answer);
    assert_string_equal(answer.code, "transfer_exists");
    hf_buffer_release(&answer.text);
}

static void open_record(struct rig *rig, const char *id, int64_t floor)
{
    struct hf_malformed malformed;
    struct hf_op *op = hf_command_new_op(&rig->command, &malformed);
    assert_non_null(op);
    op->type = HF_OP_OPEN_ACCOUNT;
    op->subject = bits(rig, id, true);
    op->has_floor = op->has_ceiling = op->ceiling_none = true;
    op->floor = floor;
    assert_true(hf_asset_parse(HF_STR("USD/2"), &op->asset));
}

/* Same asset, floor and ceiling: it is there. A record knows no metadata. */
static void test_account_with_metadata(void **state)
{
    struct rig *rig = *state;
    ask(rig,
        "{\"do\":[{\"op\":\"open_account\",\"account\":\"00000001-0000-4000-a000-000000000000\","
        "\"asset\":\"USD/2\",\"metadata\":{\"owner\":\"me\"}}]}");
    open_record(rig, "00000001-0000-4000-a000-000000000000", 0);
    open_record(rig, "00000001-0000-4000-a000-000000000000", -1);
    send(rig, HF_DECISION_ANSWER);
    told(rig, 0, HF_ERR_OK, HF_OUTCOME_REPLAYED);
    told(rig, 1, HF_ERR_ACCOUNT_EXISTS, 0);
}

/* A long chain that was refused comes again with other words: each of its ids is known. */
static void test_long_chain_in_other_words(void **state)
{
    struct rig *rig = *state;
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < CHAIN_LONG; i++) {
            char id[16];
            (void)snprintf(id, sizeof(id), "c%u", i);
            struct hf_op *op = add(rig, id, i + 1 < CHAIN_LONG ? 1 : 0);
            op->linked = i + 1 < CHAIN_LONG;
            op->code = (uint32_t)round;
        }
        send(rig, round == 0 ? HF_DECISION_COMMIT : HF_DECISION_ANSWER);
        enum hf_err code = round == 0 ? HF_ERR_AMOUNT_INVALID : HF_ERR_TRANSFER_EXISTS;
        told(rig, 0, code, round == 0 ? HF_OUTCOME_CHAIN : 0);
        told(rig, CHAIN_LONG - 1, code, round == 0 ? 0 : HF_OUTCOME_CHAIN);
        begin_next(rig);
    }
}

/* What came one by one, long ago, comes again as one request: its commits are asked for in few rounds. */
static void test_many_commits_at_once(void **state)
{
    struct rig *rig = *state;
    for (uint32_t i = 0; i < SINGLES; i++) {
        char id[16];
        char json[256];
        (void)snprintf(id, sizeof(id), "single%u", i);
        struct hf_op *op = add(rig, id, 1);
        (void)snprintf(json, sizeof(json),
                       "{\"do\":[{\"op\":\"transfer\",\"id\":\"%.*s\",\"from\":\"a\",\"to\":\"b\","
                       "\"asset\":\"USD/2\",\"amount\":\"1\"}]}",
                       (int)op->id.text.len, op->id.text.ptr);
        ask(rig, json);
    }
    uint64_t needs = rig->core.needs;
    send(rig, HF_DECISION_ANSWER);
    assert_in_range(rig->core.needs - needs, 1, ROUNDS_MAX);
    told(rig, 0, HF_ERR_OK, HF_OUTCOME_REPLAYED);
    told(rig, SINGLES - 1, HF_ERR_OK, HF_OUTCOME_REPLAYED);
}

/* ---- lines ---- */

/* A line: `amount` between accounts by their names. */
static struct hf_op *add_line(struct rig *rig, const char *id, const char *from, const char *to,
                              uint64_t amount)
{
    struct hf_malformed malformed;
    rig->command.packed = false;
    struct hf_op *op = hf_command_new_op(&rig->command, &malformed);
    assert_non_null(op);
    op->type = HF_OP_TRANSFER;
    op->has_id = true;
    op->id = bits(rig, id, true);
    assert_true(hf_name_make(hf_str_from(from), &rig->command.arena, &op->subject));
    assert_true(hf_name_make(hf_str_from(to), &rig->command.arena, &op->to));
    assert_true(hf_asset_parse(HF_STR("USD/2"), &op->asset));
    op->has_amount = true;
    op->amount = amount;
    return op;
}

/* A name whose bits are those of the account and whose text is another. */
static const char *hex_of(struct rig *rig, const char *account)
{
    char *hex = hf_arena_alloc_zero(&rig->command.arena, 1, HF_UUID_TEXT_BYTES + 1);
    assert_non_null(hex);
    struct hf_name name = bits(rig, account, false);
    hf_name_hex(&name.id, hex);
    return hex;
}

static void test_plain_lines_are_a_strip(void **state)
{
    struct rig *rig = *state;
    add_line(rig, "x", "a", "b", 5);
    add_line(rig, "y", "b", "a", 2);
    send(rig, HF_DECISION_COMMIT);
    told(rig, 0, HF_ERR_OK, 0);
    told(rig, 1, HF_ERR_OK, 0);
    assert_non_null(rig->core.draft.commit.strip);
}

static void test_line_from_a_name_with_the_same_bits(void **state)
{
    struct rig *rig = *state;
    add_line(rig, "x", "a", "b", 5);
    add_line(rig, "y", hex_of(rig, "a"), "b", 5);
    send(rig, HF_DECISION_COMMIT);
    told(rig, 0, HF_ERR_OK, 0);
    told(rig, 1, HF_ERR_ID_COLLISION, 0);
    assert_null(rig->core.draft.commit.strip);
}

static void test_line_to_a_name_with_the_same_bits(void **state)
{
    struct rig *rig = *state;
    add_line(rig, "x", "a", hex_of(rig, "b"), 5);
    add_line(rig, "y", "a", "b", 5);
    send(rig, HF_DECISION_COMMIT);
    told(rig, 0, HF_ERR_ID_COLLISION, 0);
    told(rig, 1, HF_ERR_OK, 0);
    assert_null(rig->core.draft.commit.strip);
}

/* A line's refusal shows what stands in the way, which a strip does not. */
static void test_refused_lines_are_no_strip(void **state)
{
    struct rig *rig = *state;
    add_line(rig, "x", "a", "b", 5);
    add_line(rig, "y", "b", "a", 6);
    send(rig, HF_DECISION_COMMIT);
    told(rig, 0, HF_ERR_OK, 0);
    told(rig, 1, HF_ERR_INSUFFICIENT_FUNDS, 0);
    assert_null(rig->core.draft.commit.strip);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_id_before_amount),
        TEST(test_id_before_amount_in_a_chain),
        TEST(test_id_of_another_name),
        TEST(test_first_known_id_of_a_commit),
        TEST(test_account_with_metadata),
        TEST(test_long_chain_in_other_words),
        TEST(test_many_commits_at_once),
        TEST(test_plain_lines_are_a_strip),
        TEST(test_line_from_a_name_with_the_same_bits),
        TEST(test_line_to_a_name_with_the_same_bits),
        TEST(test_refused_lines_are_no_strip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
