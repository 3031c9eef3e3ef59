/*
 * The contract of DESIGN §3, row by row, on the core alone: once with everything in RAM, once with
 * everything cold after each commit. After every row the state is whole and equal to what its log says.
 *
 *   contract_test [NAME]    all scenarios, or those of a name
 */
#include "unit/support.h"

#include <stdio.h>

#include "base/json.h"
#include "unit/contract_answers.h"
#include "unit/contract_messages.h"
#include "unit/contract_money.h"
#include "unit/contract_things.h"
#include "unit/core_rig.h"

#define BEGIN_US UINT64_C(1700000000000000) /* 2023-11-14T22:13:20Z */
#define TEXT_MAX 4096

static struct scenario scenarios[] = {
    {"opening", opening},
    {"names", names},
    {"floors", floors},
    {"ceilings", ceilings},
    {"totals", totals},
    {"amounts", amounts},
    {"versions", versions},
    {"freezing", freezing},
    {"closing", closing},
    {"transfers", transfers},
    {"balancing", balancing},
    {"reversals", reversals},
    {"holds", holds},
    {"hold_expiry", hold_expiry},
    {"hold_extension", hold_extension},
    {"streams", streams},
    {"stream_replay", stream_replay},
    {"documents", documents},
    {"leases", leases},
    {"conditions", conditions},
    {"keys", keys},
    {"cancelling", cancelling},
    {"spent_ids", spent_ids},
    {"replay_by_id", replay_by_id},
    {"order_of_answers", order_of_answers},
    {"dry_runs", dry_runs},
    {"times", times},
    {"publishing", publishing},
    {"message_ids", message_ids},
    {"receipts", receipts},
    {"delayed_messages", delayed_messages},
};

struct running {
    struct core_rig rig;
    struct core_rig_answer answer;
    const struct row *row;
    size_t row_number; /* from 0 */
    uint64_t now_us;
    const char *trouble; /* what is wrong with the row, or NULL */
};

/* ' stands for " in the tables. */
static void unquote(const char *from, char to[TEXT_MAX])
{
    size_t i = 0;
    for (; from[i] != '\0'; i++) {
        assert_true(i + 1 < TEXT_MAX);
        to[i] = from[i] == '\'' ? '"' : from[i];
    }
    to[i] = '\0';
}

static bool matches(const char *text, const char *fields)
{
    char wanted[TEXT_MAX];
    unquote(fields, wanted);
    if (wanted[0] == '=') {
        return strcmp(text, wanted + 1) == 0;
    }
    /* The parts come in this order. */
    char *part = wanted;
    while (part != NULL) {
        char *behind = strstr(part, " & ");
        if (behind != NULL) {
            *behind = '\0';
        }
        const char *found = strstr(text, part);
        if (found == NULL) {
            return false;
        }
        text = found + strlen(part);
        part = behind == NULL ? NULL : behind + 3;
    }
    return true;
}

/* "/do/0" by the answer's member `failed`; "" if it has none of its own. */
static void failed_of(const char *text, char failed[64])
{
    static const char member[] = "\"failed\":\"";
    static const char recorded[] = "{\"key\":"; /* shows another answer in its body */
    const char *at = strstr(text, member);
    at = strncmp(text, recorded, sizeof(recorded) - 1) == 0 ? NULL : at;
    size_t length = at == NULL ? 0 : strcspn(at + sizeof(member) - 1, "\"");
    assert_true(length < 64);
    memcpy(failed, at == NULL ? "" : at + sizeof(member) - 1, length);
    failed[length] = '\0';
}

static void check_answer(struct running *r)
{
    const struct row *row = r->row;
    const char *text = (const char *)r->answer.text.data;
    char failed[64];
    failed_of(text, failed);
    bool is_json = r->answer.text.size_bytes > 1;
    if (r->answer.status != row->status || strcmp(r->answer.code, row->code) != 0) {
        r->trouble = "another status or code";
    } else if (strcmp(failed, row->failed == NULL ? "" : row->failed) != 0) {
        r->trouble = "another place has failed";
    } else if (r->answer.replayed != row->replayed) {
        r->trouble = "replayed or not";
    } else if (row->fields != NULL && !matches(text, row->fields)) {
        r->trouble = "the fields are not there";
    } else if (row->absent != NULL && matches(text, row->absent)) {
        r->trouble = "something is there that should not";
    } else if (!is_json || hf_json_validate(hf_str_from(text), NULL) != HF_ERR_OK) {
        r->trouble = "the answer is no JSON";
    }
}

static bool is_commit(const char *ask)
{
    return ask[0] == '{' || strcmp(ask, "cancel") == 0;
}

static void run_row(struct running *r)
{
    const struct row *row = r->row;
    char ask[TEXT_MAX];
    unquote(row->ask, ask);
    r->now_us = row->at_us == 0 ? r->now_us + 1 : BEGIN_US + row->at_us;
    r->trouble = NULL;
    uint64_t before = r->rig.state.position;
    struct core_rig_ask question = {ask, row->principal, row->key, row->dry_run, r->now_us};
    core_rig_ask(&r->rig, &question, &r->answer);
    if (row->status != 0) {
        check_answer(r);
    }
    bool records = row->status == 0 || (is_commit(ask) && !row->replayed && !row->unrecorded &&
                                        !row->dry_run && row->status != 400);
    if (r->trouble == NULL && r->rig.state.position != before + (records ? 1 : 0)) {
        r->trouble = records ? "it took no position" : "it took a position";
    }
    core_rig_check(&r->rig);
    if (r->trouble != NULL) {
        print_error("row %zu: %s\n  %s\n  wanted %d %s %s %s\n  came   %d %s %s\n", r->row_number,
                    r->trouble, row->ask, row->status, row->code,
                    row->failed == NULL ? "" : row->failed, row->fields == NULL ? "" : row->fields,
                    r->answer.status, r->answer.code, (const char *)r->answer.text.data);
        fail();
    }
}

static void run_scenario(const struct scenario *scenario, enum core_rig_mode mode)
{
    static struct running running; /* large */
    struct running *r = &running;
    *r = (struct running){.now_us = BEGIN_US};
    core_rig_init(&r->rig, mode);
    hf_buffer_init(&r->answer.text);
    for (r->row = scenario->rows; r->row->ask != NULL; r->row++, r->row_number++) {
        run_row(r);
    }
    assert_true(r->row_number > 5);
    assert_true(mode == CORE_RIG_HOT || r->rig.needs > 0);
    hf_buffer_release(&r->answer.text);
    core_rig_release(&r->rig);
}

static void hot(void **state)
{
    run_scenario(*state, CORE_RIG_HOT);
}

static void cold(void **state)
{
    run_scenario(*state, CORE_RIG_COLD);
}

int main(int count, char **arguments)
{
    enum { SCENARIOS = HF_ARRAY_COUNT(scenarios) };
    struct CMUnitTest tests[2 * SCENARIOS] = {0};
    static char test_names[2 * SCENARIOS][48];
    for (size_t i = 0; i < HF_ARRAY_COUNT(tests); i++) {
        struct scenario *scenario = &scenarios[i / 2];
        (void)snprintf(test_names[i], sizeof(test_names[i]), "%s %s", scenario->name,
                       i % 2 == 0 ? "in RAM" : "cold");
        tests[i] = (struct CMUnitTest){
            .name = test_names[i], .test_func = i % 2 == 0 ? hot : cold, .initial_state = scenario};
    }
    if (count > 1) {
        cmocka_set_test_filter(arguments[1]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
