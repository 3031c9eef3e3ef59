/*
 * The model by itself, asked in short: commands from designated initializers, answers held against
 * literals.
 *
 * Owns: a model and a clock that moves 1 ms before each command. Must never: ask the core for more than
 * the command. Called by: model_test.
 */
#ifndef HF_TESTS_UNIT_MODEL_RIG_H
#define HF_TESTS_UNIT_MODEL_RIG_H

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "sim/model.h"
#include "unit/support.h"

#define S(literal)   HF_STR(literal)
#define MAX_127      "170141183460469231731687303715884105727"
#define MAX_127_LESS "170141183460469231731687303715884105720"
#define RETENTION_US 1000000

typedef struct hf_op_fields Op;
typedef struct hf_condition_fields If;

struct rig {
    struct hf_model *model;
    uint64_t now_us;                      /* of the next command */
    const struct hf_model_answer *answer; /* the newest */
};

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    rig->model = hf_model_new(RETENTION_US);
    rig->now_us = 1000000;
    *state = rig;
    return rig->model == NULL;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    hf_model_free(rig->model);
    free(rig);
    return 0;
}

static void ask_as(struct rig *rig, const char *principal, const char *key, const If *conditions,
                   size_t condition_count, const Op *ops, size_t op_count)
{
    struct hf_command command;
    struct hf_malformed malformed = {0};
    hf_command_init(&command, HF_COMMAND_COMMIT);
    bool ok = hf_command_set_principal(&command, hf_str_from(principal), &malformed) &&
              (key == NULL || hf_command_set_key(&command, hf_str_from(key), &malformed));
    for (size_t i = 0; ok && i < condition_count; i++) {
        ok = hf_command_add_condition(&command, &conditions[i], &malformed);
    }
    for (size_t i = 0; ok && i < op_count; i++) {
        ok = hf_command_add_op(&command, &ops[i], &malformed);
    }
    ok = ok && hf_command_finish(&command, &malformed);
    if (!ok) {
        fail_msg("malformed: %s: %s", malformed.pointer, malformed.text);
    }
    rig->now_us += 1000;
    rig->answer = hf_model_decide(rig->model, &command, rig->model->position + 1, rig->now_us);
    hf_command_release(&command);
}

/* ASK(key, IFS(…) or NO_IFS, operations…) */
#define IFS(...)           (const If[]){__VA_ARGS__}, sizeof((const If[]){__VA_ARGS__}) / sizeof(If)
#define NO_IFS             NULL, 0
#define DO(...)            (const Op[]){__VA_ARGS__}, sizeof((const Op[]){__VA_ARGS__}) / sizeof(Op)
#define ASK(rig, key, ...) ask_as((rig), "local", (key), NO_IFS, DO(__VA_ARGS__))

static void ask_if(struct rig *rig, const If *condition)
{
    const Op op = {.op = S("append"), .stream = S("log"), .type = S("t"), .data = S("1")};
    ask_as(rig, "local", NULL, condition, 1, &op, 1);
}

static void cancel(struct rig *rig, const char *key)
{
    struct hf_command command;
    struct hf_malformed malformed = {0};
    hf_command_init(&command, HF_COMMAND_CANCEL_KEY);
    assert_true(hf_command_set_key(&command, hf_str_from(key), &malformed) &&
                hf_command_finish(&command, &malformed));
    rig->now_us += 1000;
    rig->answer = hf_model_decide(rig->model, &command, rig->model->position + 1, rig->now_us);
    hf_command_release(&command);
}

static void accepted_at(const struct rig *rig, uint64_t position, int line)
{
    if (rig->answer->outcome != HF_MODEL_ACCEPTED || rig->model->position != position) {
        print_error("line %d: outcome %d code %s at %u, position %llu\n", line,
                    (int)rig->answer->outcome, hf_err_wire(rig->answer->code), rig->answer->index,
                    (unsigned long long)rig->model->position);
        fail();
    }
}

static void refused_at(const struct rig *rig, enum hf_err code, enum hf_where where, uint32_t index,
                       enum hf_kind current, bool recorded, int line)
{
    const struct hf_model_answer *answer = rig->answer;
    if (answer->outcome != HF_MODEL_REFUSED || answer->code != code || answer->where != where ||
        answer->index != index || answer->current.kind != current || answer->recorded != recorded) {
        print_error("line %d: outcome %d, %s where %d index %u current %d recorded %d\n", line,
                    (int)answer->outcome, hf_err_wire(answer->code), (int)answer->where,
                    answer->index, (int)answer->current.kind, answer->recorded);
        fail();
    }
}

static void replayed_at(const struct rig *rig, uint64_t position, bool by_key, int line)
{
    if (rig->answer->outcome != HF_MODEL_REPLAYED || rig->answer->replayed_position != position ||
        rig->answer->by_key != by_key) {
        print_error("line %d: outcome %d %s, replays %llu by %s\n", line, (int)rig->answer->outcome,
                    hf_err_wire(rig->answer->code),
                    (unsigned long long)rig->answer->replayed_position,
                    rig->answer->by_key ? "key" : "id");
        fail();
    }
}

#define ACCEPTED(rig, position) accepted_at((rig), (position), __LINE__)
#define REFUSED(rig, code, index, current)                                                         \
    refused_at((rig), HF_ERR_##code, HF_WHERE_DO, (index), HF_KIND_##current, false, __LINE__)
#define REFUSED_RECORDED(rig, code, index, current)                                                \
    refused_at((rig), HF_ERR_##code, HF_WHERE_DO, (index), HF_KIND_##current, true, __LINE__)
#define REFUSED_IF(rig, code, current)                                                             \
    refused_at((rig), HF_ERR_##code, HF_WHERE_IF, 0, HF_KIND_##current, false, __LINE__)
#define REPLAYED_BY_KEY(rig, position) replayed_at((rig), (position), true, __LINE__)
#define REPLAYED_BY_ID(rig, position)  replayed_at((rig), (position), false, __LINE__)

static struct hf_model_thing *find(const struct rig *rig, enum hf_kind kind, const char *text)
{
    struct hf_arena arena;
    struct hf_name name;
    hf_arena_init(&arena);
    assert_true(hf_name_make(hf_str_from(text), &arena, &name));
    struct hf_model_thing *thing = hf_model_find(rig->model, kind, &name);
    hf_arena_release(&arena);
    assert_non_null(thing);
    return thing;
}

static void assert_account(const struct rig *rig, const char *name, int64_t posted,
                           uint64_t outgoing, uint64_t incoming, uint64_t version)
{
    const struct hf_account *account = &find(rig, HF_KIND_ACCOUNT, name)->account;
    assert_true((hf_i128)account->totals.credits_posted - (hf_i128)account->totals.debits_posted ==
                posted);
    assert_u128_equal(account->totals.debits_pending, outgoing);
    assert_u128_equal(account->totals.credits_pending, incoming);
    assert_int_equal(account->version, version);
}

/* Operations in short. */
#define OPEN(name, ...)                                                                            \
    {                                                                                              \
        .op = S("open_account"), .account = S(name), .asset = S("USD/2"), __VA_ARGS__              \
    }
#define MOVE(from_, to_, amount_, ...)                                                             \
    {                                                                                              \
        .op = S("transfer"), .from = S(from_), .to = S(to_), .asset = S("USD/2"),                  \
        .amount = S(amount_), __VA_ARGS__                                                          \
    }
#define HOLD(from_, to_, amount_, ...)                                                             \
    {                                                                                              \
        .op = S("hold"), .from = S(from_), .to = S(to_), .asset = S("USD/2"),                      \
        .amount = S(amount_), __VA_ARGS__                                                          \
    }
#define ON_ACCOUNT(op_, account_, ...)                                                             \
    {                                                                                              \
        .op = S(op_), .account = S(account_), __VA_ARGS__                                          \
    }
#define ON_HOLD(op_, hold_, ...)                                                                   \
    {                                                                                              \
        .op = S(op_), .hold = S(hold_), __VA_ARGS__                                                \
    }
#define REVERSE(transfer_, ...)                                                                    \
    {                                                                                              \
        .op = S("reverse"), .transfer = S(transfer_), __VA_ARGS__                                  \
    }
#define APPEND(stream_, data_, ...)                                                                \
    {                                                                                              \
        .op = S("append"), .stream = S(stream_), .type = S("t"), .data = S(data_), __VA_ARGS__     \
    }
#define ON_DOCUMENT(op_, document_, ...)                                                           \
    {                                                                                              \
        .op = S(op_), .document = S(document_), __VA_ARGS__                                        \
    }
#define ACQUIRE(lease_, ttl_)                                                                      \
    {                                                                                              \
        .op = S("acquire"), .lease = S(lease_), .owner = S("me"), .has_ttl_ms = true,              \
        .ttl_ms = (ttl_)                                                                           \
    }
#define ON_LEASE(op_, lease_, token_, ...)                                                         \
    {                                                                                              \
        .op = S(op_), .lease = S(lease_), .has_token = true, .token = (token_), __VA_ARGS__        \
    }
#define ID(text)    .id = S(text)
#define VERSION(n)  .has_expected_version = true, .expected_version = (n)
#define TIMEOUT(ms) .has_timeout_ms = true, .timeout_ms = (ms)
#define NO_OPTION   .has_final = false

#endif
