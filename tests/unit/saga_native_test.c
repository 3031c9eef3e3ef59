/* Native steps: a commit inside the saga's own move. */
#include "unit/saga_rig.h"

#define HOLD_ID "{\"$join\":[\"pay-\",{\"$\":\"/saga/id\"}]}"

static const char order[] =
    "{\"steps\":[{\"name\":\"hold\",\"action\":{\"do\":[{\"op\":\"hold\",\"id\":" HOLD_ID
    ",\"from\":{\"$\":\"/input/account\"},\"to\":\"shop\",\"asset\":\"EUR/2\",\"amount\":{\"$\":\"/"
    "input/amount\"}}]},"
    "\"compensation\":{\"do\":[{\"op\":\"void\",\"hold\":" HOLD_ID "}]}},"
    "{\"name\":\"ship\",\"after\":[\"hold\"],\"action\":{\"url\":\"http://127.0.0.1:9/ship\"}},"
    "{\"name\":\"pay\",\"after\":[\"ship\"],\"pivot\":true,\"action\":{\"do\":[{\"op\":\"capture\","
    "\"hold\":" HOLD_ID "}]}}]}";

static void open_accounts(struct saga_rig *rig)
{
    assert_int_equal(
        saga_commit(rig, "{\"do\":[{\"op\":\"open_account\",\"account\":\"world\",\"asset\":\"EUR/"
                         "2\",\"floor\":null},"
                         "{\"op\":\"open_account\",\"account\":\"u\",\"asset\":\"EUR/2\"},"
                         "{\"op\":\"open_account\",\"account\":\"shop\",\"asset\":\"EUR/2\"},"
                         "{\"op\":\"transfer\",\"id\":\"t0\",\"from\":\"world\",\"to\":\"u\","
                         "\"asset\":\"EUR/2\","
                         "\"amount\":\"100\"}]}"),
        HF_ERR_OK);
}

static hf_i128 available(struct saga_rig *rig, const char *account)
{
    struct hf_name name = saga_name(account);
    return hf_totals_available(&hf_state_account(&rig->core.state, &name.id)->totals);
}

static void a_step_is_atomic_with_the_sagas_move(void **state)
{
    struct saga_rig *rig = *state;
    open_accounts(rig);
    assert_int_equal(saga_define(rig, "order", 1, order), HF_ERR_OK);
    uint64_t position = rig->core.state.position;
    assert_int_equal(saga_start(rig, "s", "order@1", "{\"account\":\"u\",\"amount\":\"60\"}"),
                     HF_ERR_OK);
    assert_int_equal(rig->core.state.position, position + 1);
    assert_line(rig, "s", "running hold=succeeded1 ship=running1 pay=pending");
    assert_true(available(rig, "u") == 40);
    struct hf_name name = saga_name("pay-s");
    const struct hf_hold *hold = hf_state_hold(&rig->core.state, &name.id);
    assert_non_null(hold);
    assert_int_equal(hold->owner, saga_get(rig, "s")->uid);
    assert_int_equal(hold->expires_at_us, 0);
    assert_int_equal(saga_status(rig, "s", "ship", 200), HF_ERR_OK);
    assert_line(rig, "s", "succeeded hold=succeeded1 ship=succeeded1 pay=succeeded1");
    assert_int_equal(rig->core.state.position, position + 2);
    assert_true(available(rig, "shop") == 60);
}

/* What is cold is asked for together, not saga by saga: a node gives up on a command that asks too often. */
static void many_sagas_of_a_commit_ask_for_their_ids_at_once(void **state)
{
    struct saga_rig *rig = *state;
    enum { SAGAS = 100 };
    struct hf_buffer json = {0};
    open_accounts(rig);
    assert_int_equal(saga_define(rig, "order", 1, order), HF_ERR_OK);
    uint64_t needs = rig->core.needs;
    hf_buffer_text(&json, "{\"do\":[");
    for (int i = 0; i < SAGAS; i++) {
        hf_buffer_format(&json,
                         "%s{\"op\":\"start_saga\",\"saga\":\"m%d\",\"definition\":\"order@1\","
                         "\"input\":{\"account\":\"u\",\"amount\":\"1\"}}",
                         i == 0 ? "" : ",", i);
    }
    hf_buffer_text(&json, "]}");
    hf_buffer_bytes(&json, "", 1);
    assert_int_equal(saga_commit(rig, (const char *)json.data), HF_ERR_OK);
    hf_buffer_release(&json);
    assert_true(available(rig, "u") == 0);
    assert_line(rig, "m99", "running hold=succeeded1 ship=running1 pay=pending");
    assert_true(rig->core.needs - needs <= 8);
}

static void what_compensates_gives_back(void **state)
{
    struct saga_rig *rig = *state;
    open_accounts(rig);
    assert_int_equal(saga_define(rig, "order", 1, order), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "order@1", "{\"account\":\"u\",\"amount\":\"60\"}"),
                     HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "ship", 422), HF_ERR_OK);
    assert_line(rig, "s", "compensated hold=compensated1~ ship=failed1 pay=pending");
    assert_true(available(rig, "u") == 100);
}

static void a_refusal_is_a_business_failure(void **state)
{
    struct saga_rig *rig = *state;
    open_accounts(rig);
    assert_int_equal(saga_define(rig, "order", 1, order), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "order@1", "{\"account\":\"u\",\"amount\":\"160\"}"),
                     HF_ERR_OK);
    assert_line(rig, "s", "compensated hold=failed1 ship=pending pay=pending");
    assert_true(available(rig, "u") == 100);
    assert_text(saga_get(rig, "s")->reason, "hold: insufficient_funds");
    const struct hf_commit *commit = saga_newest(rig);
    assert_int_equal(commit->event_count, 2);
    assert_int_equal(commit->events[0]->type, HF_EVENT_SAGA_STARTED);
    assert_int_equal(commit->events[1]->type, HF_EVENT_SAGA_ENDED);
    assert_int_equal(commit->events[1]->saga->act, HF_SAGA_ACT_NATIVE);
    assert_text(commit->events[1]->saga->error, "insufficient_funds");
    /* No account of that name, a malformed operation, a key that is not there. */
    assert_int_equal(saga_start(rig, "t", "order@1", "{\"account\":\"x\",\"amount\":\"1\"}"),
                     HF_ERR_OK);
    assert_text(saga_get(rig, "t")->reason, "hold: account_not_found");
    assert_int_equal(saga_start(rig, "v", "order@1", "{\"account\":\"u\",\"amount\":\"-1\"}"),
                     HF_ERR_OK);
    assert_line(rig, "v", "compensated hold=failed1 ship=pending pay=pending");
    assert_int_equal(saga_start(rig, "w", "order@1", "{\"amount\":\"1\"}"), HF_ERR_OK);
    assert_line(rig, "w", "compensated hold=failed1 ship=pending pay=pending");
}

/* All or none, also of what other operations of the commit have seen before. */
static void a_refused_step_leaves_nothing_behind(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] =
        "{\"steps\":[{\"name\":\"m\",\"action\":{\"do\":[{\"op\":\"transfer\",\"id\":\"m1\","
        "\"from\":\"u\",\"to\":\"shop\",\"asset\":"
        "\"EUR/"
        "2\",\"amount\":\"10\"},{\"op\":\"append\",\"stream\":\"st\",\"type\":\"x\",\"data\":1},{"
        "\"op\":\"put\",\"document\":\"d\","
        "\"data\":2},{\"op\":\"transfer\",\"id\":\"m2\",\"from\":\"u\",\"to\":\"shop\",\"asset\":"
        "\"EUR/2\",\"amount\":\"1000\"}]}}]}";
    open_accounts(rig);
    assert_int_equal(saga_define(rig, "many", 1, json), HF_ERR_OK);
    assert_int_equal(
        saga_commit(
            rig,
            "{\"do\":[{\"op\":\"transfer\",\"id\":\"t1\",\"from\":\"u\",\"to\":\"shop\",\"asset\":"
            "\"EUR/2\",\"amount\":"
            "\"5\"},{\"op\":\"append\",\"stream\":\"st\",\"type\":\"x\",\"data\":0},{\"op\":"
            "\"start_saga\",\"saga\":\"s\","
            "\"definition\":\"many@1\"},{\"op\":\"transfer\",\"id\":\"m1\",\"from\":\"u\",\"to\":"
            "\"shop\",\"asset\":\"EUR/2\","
            "\"amount\":\"7\"},{\"op\":\"append\",\"stream\":\"st\",\"type\":\"x\",\"data\":3}]}"),
        HF_ERR_OK);
    assert_line(rig, "s", "compensated m=failed1");
    assert_true(available(rig, "u") == 88);
    struct hf_name stream = saga_name("st");
    struct hf_name document = saga_name("d");
    assert_int_equal(hf_state_stream(&rig->core.state, &stream.id)->version, 2);
    assert_null(hf_state_document(&rig->core.state, &document.id));
}

static void native_steps_are_one_commit(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] =
        "{\"steps\":[{\"name\":\"a\",\"action\":{\"do\":[{\"op\":\"transfer\",\"from\":\"u\","
        "\"to\":\"shop\",\"asset\":\"EUR/2\",\"amount\":"
        "\"10\"}]}},{\"name\":\"b\",\"after\":[\"a\"],\"action\":{\"do\":[{\"op\":\"transfer\","
        "\"from\":\"shop\",\"to\":\"u\",\"asset\":"
        "\"EUR/2\",\"amount\":\"4\"}]}}]}";
    open_accounts(rig);
    assert_int_equal(saga_define(rig, "pair", 1, json), HF_ERR_OK);
    uint64_t position = rig->core.state.position;
    assert_int_equal(saga_start(rig, "s", "pair@1", NULL), HF_ERR_OK);
    assert_int_equal(rig->core.state.position, position + 1);
    assert_line(rig, "s", "succeeded a=succeeded1 b=succeeded1");
    assert_true(available(rig, "u") == 94);
    const struct hf_commit *commit = saga_newest(rig);
    assert_int_equal(commit->event_count, 4); /* started, two transfers, ended */
    assert_false(hf_str_equal(commit->events[1]->posting.transfer.name.text,
                              commit->events[2]->posting.transfer.name.text));
}

static void a_sagas_hold_answers_to_it_alone_until_it_has_ended(void **state)
{
    struct saga_rig *rig = *state;
    open_accounts(rig);
    assert_int_equal(saga_define(rig, "order", 1, order), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "order@1", "{\"account\":\"u\",\"amount\":\"60\"}"),
                     HF_ERR_OK);
    assert_int_equal(saga_commit(rig, "{\"do\":[{\"op\":\"capture\",\"hold\":\"pay-s\"}]}"),
                     HF_ERR_HOLD_OWNED_BY_SAGA);
    assert_int_equal(saga_commit(rig, "{\"do\":[{\"op\":\"void\",\"hold\":\"pay-s\"}]}"),
                     HF_ERR_HOLD_OWNED_BY_SAGA);
    assert_int_equal(
        saga_commit(rig, "{\"do\":[{\"op\":\"extend\",\"hold\":\"pay-s\",\"timeout_ms\":5}]}"),
        HF_ERR_HOLD_OWNED_BY_SAGA);
    assert_true(available(rig, "u") == 40);
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_ABANDON, NULL), HF_ERR_OK);
    assert_true(available(rig, "u") == 40);
    assert_int_equal(saga_commit(rig, "{\"do\":[{\"op\":\"void\",\"hold\":\"pay-s\"}]}"),
                     HF_ERR_OK);
    assert_true(available(rig, "u") == 100);
}

/* What becomes of a packed capture of all that is left of the hold. */
static enum hf_err capture_packed(struct saga_rig *rig, const struct hf_name *hold, uint8_t number)
{
    struct hf_malformed malformed;
    struct hf_command command;
    const struct hf_packed_transfer plain = {
        .id = {{number}}, .from = hold->id, .type = HF_OP_CAPTURE, .all_left = true};
    hf_command_init(&command, HF_COMMAND_EACH);
    command.packed = true;
    command.plain = &plain;
    command.op_count = 1;
    assert_true(hf_command_finish(&command, &malformed));
    assert_int_equal(core_rig_run(&rig->core, &command, ++rig->now_us), HF_DECISION_COMMIT);
    enum hf_err code = (enum hf_err)rig->core.draft.outcomes[0].code;
    hf_command_release(&command);
    return code;
}

/* Also to records, which name it by its bits: a hex name is what they mostly settle. */
static void records_settle_no_hold_of_a_live_saga(void **state)
{
    struct saga_rig *rig = *state;
    static const char id[] = "00000000-0000-4000-8000-0000000000aa";
    static const char json[] =
        "{\"steps\":[{\"name\":\"hold\",\"action\":{\"do\":[{\"op\":\"hold\",\"id\":{\"$\":"
        "\"/saga/id\"},\"from\":\"u\",\"to\":\"shop\",\"asset\":\"EUR/2\",\"amount\":\"60\"}]}},"
        "{\"name\":\"ship\",\"after\":[\"hold\"],\"action\":{\"url\":\"http://127.0.0.1:9/"
        "ship\"}}]}";
    struct hf_name hold = saga_name(id);
    open_accounts(rig);
    assert_int_equal(saga_define(rig, "hex", 1, json), HF_ERR_OK);
    assert_int_equal(saga_start(rig, id, "hex@1", NULL), HF_ERR_OK);
    assert_int_equal(capture_packed(rig, &hold, 1), HF_ERR_HOLD_OWNED_BY_SAGA);
    assert_true(available(rig, "u") == 40);
    assert_int_equal(saga_verb(rig, id, HF_SAGA_ACT_ABANDON, NULL), HF_ERR_OK);
    assert_int_equal(capture_packed(rig, &hold, 2), HF_ERR_OK);
    assert_true(available(rig, "u") == 40 && available(rig, "shop") == 60);
}

/* Behind a pivot a refusal parks, and an operator may try again when there is money. */
static void a_refused_step_behind_a_pivot_parks(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] =
        "{\"steps\":[{\"name\":\"p\",\"pivot\":true,\"action\":{}},{\"name\":\"m\",\"after\":["
        "\"p\"],\"action\":{\"do\":[{\"op\":\"transfer\","
        "\"id\":\"m1\",\"from\":\"u\",\"to\":\"shop\",\"asset\":\"EUR/2\",\"amount\":\"150\"}]}}]}";
    open_accounts(rig);
    assert_int_equal(saga_define(rig, "late", 1, json), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "late@1", NULL), HF_ERR_OK);
    assert_line(rig, "s", "parked p=succeeded1 m=parked1");
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_RETRY, NULL), HF_ERR_OK);
    assert_line(rig, "s", "parked p=succeeded1 m=parked2");
    assert_int_equal(saga_commit(rig, "{\"do\":[{\"op\":\"transfer\",\"id\":\"t9\",\"from\":"
                                      "\"world\",\"to\":\"u\",\"asset\":\"EUR/2\","
                                      "\"amount\":\"50\"}]}"),
                     HF_ERR_OK);
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_RETRY, "m"), HF_ERR_OK);
    assert_line(rig, "s", "succeeded p=succeeded1 m=succeeded3");
    assert_true(available(rig, "shop") == 150);
}

static void an_id_that_is_taken_is_a_failure_and_not_a_replay(void **state)
{
    struct saga_rig *rig = *state;
    open_accounts(rig);
    assert_int_equal(saga_define(rig, "order", 1, order), HF_ERR_OK);
    assert_int_equal(saga_commit(rig, "{\"do\":[{\"op\":\"hold\",\"id\":\"pay-s\",\"from\":\"u\","
                                      "\"to\":\"shop\",\"asset\":\"EUR/2\","
                                      "\"amount\":\"1\"}]}"),
                     HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "order@1", "{\"account\":\"u\",\"amount\":\"60\"}"),
                     HF_ERR_OK);
    assert_line(rig, "s", "compensated hold=failed1 ship=pending pay=pending");
    assert_text(saga_get(rig, "s")->reason, "hold: hold_exists");
}

/* A message that a native step publishes, an effect and the start of another saga: one commit. */
static void a_start_stands_in_any_commit(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] =
        "{\"steps\":[{\"name\":\"a\",\"action\":{\"do\":[{\"op\":\"publish\",\"topic\":\"t\","
        "\"key\":{\"$\":\"/saga/business_key\"},\"type\":\"x\","
        "\"data\":{\"$\":\"/input\"}}]}}]}";
    assert_int_equal(saga_define(rig, "pub", 1, json), HF_ERR_OK);
    assert_int_equal(saga_commit(rig,
                                 "{\"do\":[{\"op\":\"put\",\"document\":\"d\",\"data\":1},{\"op\":"
                                 "\"start_saga\",\"saga\":\"s\",\"definition\":\"pub@1\","
                                 "\"input\":{\"n\":1},\"business_key\":\"k1\"},{\"op\":\"start_"
                                 "saga\",\"saga\":\"s\",\"definition\":\"pub@1\"}]}"),
                     HF_ERR_SAGA_EXISTS);
    assert_line(rig, "s", "none");
    assert_int_equal(saga_commit(rig,
                                 "{\"do\":[{\"op\":\"put\",\"document\":\"d\",\"data\":1},{\"op\":"
                                 "\"start_saga\",\"saga\":\"s\",\"definition\":\"pub@1\","
                                 "\"input\":{\"n\":1},\"business_key\":\"k1\"}]}"),
                     HF_ERR_OK);
    assert_line(rig, "s", "succeeded a=succeeded1");
    const struct hf_commit *commit = saga_newest(rig);
    assert_int_equal(commit->event_count, 4);
    assert_int_equal(commit->events[2]->type, HF_EVENT_MESSAGE_PUBLISHED);
    assert_text(commit->events[2]->published.key, "k1");
    assert_text(commit->events[2]->published.data.text, "{\"n\":1}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAGA_TEST(a_step_is_atomic_with_the_sagas_move),
        SAGA_TEST(many_sagas_of_a_commit_ask_for_their_ids_at_once),
        SAGA_TEST(what_compensates_gives_back),
        SAGA_TEST(a_refusal_is_a_business_failure),
        SAGA_TEST(a_refused_step_leaves_nothing_behind),
        SAGA_TEST(native_steps_are_one_commit),
        SAGA_TEST(a_sagas_hold_answers_to_it_alone_until_it_has_ended),
        SAGA_TEST(records_settle_no_hold_of_a_live_saga),
        SAGA_TEST(a_refused_step_behind_a_pivot_parks),
        SAGA_TEST(an_id_that_is_taken_is_a_failure_and_not_a_replay),
        SAGA_TEST(a_start_stands_in_any_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
