/*
 * The naive model against literal expectations, rule by rule: what the simulator takes for right is
 * written down here. The same rules are the reference for the tests of the core.
 */
#include "unit/model_rig.h"

/* Commit 1: the world, a and b at floor 0. Commit 2: a gets 100. */
static void open_accounts(struct rig *rig)
{
    ASK(rig, NULL, OPEN("world", .floor_null = true), OPEN("a", NO_OPTION), OPEN("b", NO_OPTION));
    ACCEPTED(rig, 1);
    ASK(rig, NULL, MOVE("world", "a", "100", NO_OPTION));
    ACCEPTED(rig, 2);
}

static void test_floor_and_ceiling(void **state)
{
    struct rig *rig = *state;
    open_accounts(rig);
    assert_account(rig, "world", -100, 0, 0, 1);
    assert_account(rig, "a", 100, 0, 0, 1);
    ASK(rig, NULL, MOVE("a", "b", "101", NO_OPTION));
    REFUSED(rig, INSUFFICIENT_FUNDS, 0, ACCOUNT);
    assert_int_equal(rig->model->position, 2);
    ASK(rig, NULL, MOVE("a", "b", "100", NO_OPTION));
    ACCEPTED(rig, 3);
    /* All or none; later operations see earlier ones. */
    ASK(rig, NULL, MOVE("b", "a", "60", NO_OPTION), MOVE("a", "b", "61", NO_OPTION));
    REFUSED(rig, INSUFFICIENT_FUNDS, 1, ACCOUNT);
    assert_account(rig, "a", 0, 0, 0, 2);
    ASK(rig, NULL, MOVE("b", "a", "60", NO_OPTION), MOVE("a", "b", "60", NO_OPTION));
    ACCEPTED(rig, 4);
    assert_account(rig, "a", 0, 0, 0, 4); /* twice in a commit: +2 */
    /* Limits may move past the balance; what raises available passes below the floor. */
    ASK(rig, NULL, ON_ACCOUNT("set_limits", "b", .floor = S("500"), .ceiling = S("50")));
    ACCEPTED(rig, 5);
    ASK(rig, NULL, MOVE("b", "a", "1", NO_OPTION));
    REFUSED(rig, INSUFFICIENT_FUNDS, 0, ACCOUNT);
    ASK(rig, NULL, MOVE("world", "b", "1", NO_OPTION));
    REFUSED(rig, LIMIT_EXCEEDED, 0, ACCOUNT);
    ASK(rig, NULL, ON_ACCOUNT("set_limits", "b", .floor_null = true));
    ACCEPTED(rig, 6);
    ASK(rig, NULL, MOVE("b", "a", "90", NO_OPTION));
    ACCEPTED(rig, 7);
    /* Ceiling: posted + incoming pending. Limits come before funds. */
    ASK(rig, NULL, HOLD("world", "b", "40", ID("h1")));
    ACCEPTED(rig, 8);
    ASK(rig, NULL, MOVE("world", "b", "1", NO_OPTION));
    REFUSED(rig, LIMIT_EXCEEDED, 0, ACCOUNT);
    assert_true(hf_str_equal(rig->answer->current.account.name.text, S("b")));
    ASK(rig, NULL, MOVE("a", "b", "9999", NO_OPTION));
    REFUSED(rig, LIMIT_EXCEEDED, 0, ACCOUNT);
    ASK(rig, NULL, ON_HOLD("capture", "h1", NO_OPTION)); /* never fails for limits */
    ACCEPTED(rig, 9);
}

static void test_up_to(void **state)
{
    struct rig *rig = *state;
    open_accounts(rig);
    ASK(rig, NULL, MOVE("a", "b", "250", .has_up_to = true, .up_to = true));
    ACCEPTED(rig, 3);
    const struct hf_transfer *transfer = &rig->answer->events[0].posting.transfer;
    assert_u128_equal(transfer->amount, 100);
    assert_u128_equal(transfer->requested, 250);
    assert_true(hf_str_equal(transfer->name.text, S("~3.0")));
    ASK(rig, NULL, MOVE("a", "b", "250", .has_up_to = true, .up_to = true));
    REFUSED(rig, INSUFFICIENT_FUNDS, 0, ACCOUNT);
    ASK(rig, NULL, ON_ACCOUNT("set_limits", "a", .ceiling = S("10")));
    ASK(rig, NULL, MOVE("b", "a", "250", .has_up_to = true, .up_to = true));
    REFUSED(rig, LIMIT_EXCEEDED, 0, ACCOUNT); /* clipped by the floor only */
    ASK(rig, NULL, MOVE("world", "b", "7", .has_up_to = true, .up_to = true));
    ACCEPTED(rig, 5);
    assert_account(rig, "b", 107, 0, 0, 2);
}

static void test_overflow(void **state)
{
    struct rig *rig = *state;
    ASK(rig, NULL, OPEN("x", .floor_null = true), OPEN("y", .floor_null = true),
        OPEN("z", .floor_null = true));
    ASK(rig, NULL, MOVE("x", "y", MAX_127_LESS, NO_OPTION));
    ACCEPTED(rig, 2);
    ASK(rig, NULL, HOLD("x", "z", "7", NO_OPTION));
    ACCEPTED(rig, 3);
    ASK(rig, NULL, MOVE("x", "z", "1", NO_OPTION)); /* debits posted and pending */
    REFUSED(rig, LIMIT_EXCEEDED, 0, ACCOUNT);
    assert_true(hf_str_equal(rig->answer->current.account.name.text, S("x")));
    ASK(rig, NULL, MOVE("z", "y", "8", NO_OPTION)); /* credits */
    REFUSED(rig, LIMIT_EXCEEDED, 0, ACCOUNT);
    assert_true(hf_str_equal(rig->answer->current.account.name.text, S("y")));
    ASK(rig, NULL, MOVE("z", "x", "340282366920938463463374607431768211455", NO_OPTION));
    REFUSED(rig, LIMIT_EXCEEDED, 0, ACCOUNT);
}

static void test_order_within_operation(void **state)
{
    struct rig *rig = *state;
    open_accounts(rig);
    ASK(rig, NULL,
        {.op = S("open_account"), .account = S("e"), .asset = S("EUR/2"), .floor = S("-5")},
        OPEN("closed", NO_OPTION), OPEN("frozen", NO_OPTION),
        ON_ACCOUNT("close_account", "closed", NO_OPTION),
        ON_ACCOUNT("freeze", "frozen", NO_OPTION));
    ACCEPTED(rig, 3);
    ASK(rig, NULL, MOVE("nobody", "closed", "0", NO_OPTION));
    REFUSED(rig, AMOUNT_INVALID, 0, NONE);
    ASK(rig, NULL, MOVE("nobody", "closed", "1", NO_OPTION));
    REFUSED(rig, ACCOUNT_NOT_FOUND, 0, NONE);
    ASK(rig, NULL, MOVE("closed", "nobody", "1", NO_OPTION)); /* not found before state */
    REFUSED(rig, ACCOUNT_NOT_FOUND, 0, NONE);
    ASK(rig, NULL, MOVE("frozen", "closed", "1", NO_OPTION)); /* from, then to */
    REFUSED(rig, ACCOUNT_FROZEN, 0, ACCOUNT);
    ASK(rig, NULL, MOVE("closed", "frozen", "1", NO_OPTION));
    REFUSED(rig, ACCOUNT_CLOSED, 0, ACCOUNT);
    ASK(rig, NULL, MOVE("e", "frozen", "1", NO_OPTION)); /* state before asset */
    REFUSED(rig, ACCOUNT_FROZEN, 0, ACCOUNT);
    ASK(rig, NULL, MOVE("a", "e", "9999", NO_OPTION)); /* asset before funds */
    REFUSED(rig, ASSET_MISMATCH, 0, ACCOUNT);
    ASK(rig, NULL, HOLD("frozen", "a", "1", NO_OPTION));
    REFUSED(rig, ACCOUNT_FROZEN, 0, ACCOUNT);
    ASK(rig, NULL, MOVE("a", "b", "1", ID("t1")), MOVE("nobody", "b", "1", ID("t1")));
    REFUSED_RECORDED(rig, TRANSFER_EXISTS, 1, NONE); /* the id before not found; undone: none */
    assert_int_equal(rig->answer->spent_count, 1);
}

static void test_account_life(void **state)
{
    struct rig *rig = *state;
    open_accounts(rig);
    ASK(rig, NULL, OPEN("a", NO_OPTION));
    REFUSED(rig, ACCOUNT_EXISTS, 0, ACCOUNT);
    ASK(rig, NULL, ON_ACCOUNT("freeze", "a", NO_OPTION), ON_ACCOUNT("freeze", "a", NO_OPTION));
    ACCEPTED(rig, 3);
    assert_account(rig, "a", 100, 0, 0, 3); /* a frozen one too: an entry each */
    ASK(rig, NULL, ON_ACCOUNT("set_limits", "a", .ceiling = S("5")),
        ON_ACCOUNT("set_metadata", "a", .metadata = S("{\"k\": 1}")));
    ACCEPTED(rig, 4);
    assert_int_equal(find(rig, HF_KIND_ACCOUNT, "a")->account.metadata_position, 4);
    ASK(rig, NULL, ON_ACCOUNT("close_account", "a", NO_OPTION));
    REFUSED(rig, ACCOUNT_FROZEN, 0, ACCOUNT);
    ASK(rig, NULL, ON_ACCOUNT("unfreeze", "a", NO_OPTION),
        ON_ACCOUNT("close_account", "a", NO_OPTION));
    REFUSED(rig, ACCOUNT_NOT_EMPTY, 1, ACCOUNT);
    assert_int_equal(rig->answer->current.account.state, HF_ACCOUNT_FROZEN); /* undone */
    ASK(rig, NULL, HOLD("world", "b", "5", ID("h1")));
    ASK(rig, NULL, ON_ACCOUNT("close_account", "b", NO_OPTION));
    REFUSED(rig, ACCOUNT_NOT_EMPTY, 0, ACCOUNT); /* an open hold */
    ASK(rig, NULL, ON_HOLD("void", "h1", NO_OPTION), ON_ACCOUNT("close_account", "b", NO_OPTION));
    ACCEPTED(rig, 6);
    ASK(rig, NULL, ON_ACCOUNT("unfreeze", "b", NO_OPTION));
    REFUSED(rig, ACCOUNT_CLOSED, 0, ACCOUNT);
    ASK(rig, NULL, ON_ACCOUNT("close_account", "b", NO_OPTION));
    REFUSED(rig, ACCOUNT_CLOSED, 0, ACCOUNT);
    ASK(rig, NULL, ON_ACCOUNT("freeze", "nobody", NO_OPTION));
    REFUSED(rig, ACCOUNT_NOT_FOUND, 0, NONE);
}

static void test_holds(void **state)
{
    struct rig *rig = *state;
    open_accounts(rig);
    ASK(rig, NULL, HOLD("a", "b", "60", ID("h1"), TIMEOUT(1000)));
    ACCEPTED(rig, 3);
    assert_account(rig, "a", 100, 60, 0, 2);
    assert_account(rig, "b", 0, 0, 60, 1);
    ASK(rig, NULL, MOVE("a", "b", "41", NO_OPTION)); /* the floor counts pending */
    REFUSED(rig, INSUFFICIENT_FUNDS, 0, ACCOUNT);
    ASK(rig, NULL, ON_HOLD("capture", "h1", .amount = S("0")));
    REFUSED(rig, AMOUNT_INVALID, 0, NONE);
    ASK(rig, NULL, ON_HOLD("capture", "h1", .amount = S("61")));
    REFUSED(rig, LIMIT_EXCEEDED, 0, HOLD);
    ASK(rig, NULL, ON_HOLD("capture", "h1", .amount = S("10")));
    ACCEPTED(rig, 4);
    assert_true(hf_str_equal(rig->answer->events[0].posting.transfer.name.text, S("~4.0")));
    const struct hf_hold *hold = &find(rig, HF_KIND_HOLD, "h1")->hold;
    assert_u128_equal(hold->captured, 10);
    assert_u128_equal(hold->remaining, 50);
    assert_int_equal(hold->version, 2);
    ASK(rig, NULL, ON_ACCOUNT("freeze", "a", NO_OPTION));
    ASK(rig, NULL, ON_HOLD("capture", "h1", .amount = S("20"), .has_final = true, .final = true));
    ACCEPTED(rig, 6); /* freeze does not stop a capture */
    assert_u128_equal(rig->answer->events[0].posting.released, 30);
    assert_int_equal(hold->state, HF_HOLD_CAPTURED);
    assert_account(rig, "a", 70, 0, 0, 5);
    assert_account(rig, "b", 30, 0, 0, 3);
    ASK(rig, NULL, ON_HOLD("void", "h1", NO_OPTION));
    REFUSED(rig, HOLD_NOT_OPEN, 0, HOLD);
    assert_int_equal(rig->answer->current.hold.state, HF_HOLD_CAPTURED);
    ASK(rig, NULL, ON_HOLD("void", "none", NO_OPTION));
    REFUSED(rig, HOLD_NOT_FOUND, 0, NONE);
    ASK(rig, NULL, HOLD("world", "b", "5", ID("h2")), ON_HOLD("capture", "h2", NO_OPTION));
    ACCEPTED(rig, 7); /* all that is left ends it */
    assert_int_equal(find(rig, HF_KIND_HOLD, "h2")->hold.state, HF_HOLD_CAPTURED);
    ASK(rig, NULL, ON_ACCOUNT("unfreeze", "a", NO_OPTION), REVERSE("~7.1", NO_OPTION));
    ACCEPTED(rig, 8); /* a capture can be reversed */
}

static void test_expiry(void **state)
{
    struct rig *rig = *state;
    open_accounts(rig);
    ASK(rig, NULL, HOLD("a", "b", "60", ID("h1"), TIMEOUT(10)), HOLD("a", "b", "1", ID("h2")));
    ASK(rig, NULL, ON_HOLD("extend", "h2", TIMEOUT(5)));
    REFUSED(rig, LIMIT_EXCEEDED, 0, HOLD); /* without an expiry */
    ASK(rig, NULL, ON_HOLD("extend", "h1", TIMEOUT(8)));
    REFUSED(rig, LIMIT_EXCEEDED, 0, HOLD); /* not later than before */
    ASK(rig, NULL, ON_HOLD("extend", "h1", TIMEOUT(20)));
    ACCEPTED(rig, 4);
    assert_int_equal(find(rig, HF_KIND_HOLD, "h1")->hold.expires_at_us, rig->now_us + 20000);
    rig->now_us = find(rig, HF_KIND_HOLD, "h1")->hold.expires_at_us - 1000; /* due is past due */
    ASK(rig, NULL, ON_HOLD("capture", "h1", NO_OPTION));
    REFUSED(rig, HOLD_NOT_OPEN, 0, HOLD);
    assert_int_equal(rig->answer->current.hold.state, HF_HOLD_EXPIRED);
    assert_int_equal(find(rig, HF_KIND_HOLD, "h1")->hold.state, HF_HOLD_OPEN); /* not recorded */
    ASK(rig, "k", ON_HOLD("capture", "h1", NO_OPTION));
    REFUSED_RECORDED(rig, HOLD_NOT_OPEN, 0, HOLD);
    assert_int_equal(rig->answer->event_count, 1); /* the expiry first */
    assert_int_equal(rig->answer->events[0].type, HF_EVENT_HOLD_EXPIRED);
    assert_int_equal(find(rig, HF_KIND_HOLD, "h1")->hold.state, HF_HOLD_EXPIRED);
    assert_account(rig, "a", 100, 1, 0, 4);
    /* By the system. */
    ASK(rig, NULL, HOLD("a", "b", "9", ID("h3"), TIMEOUT(10)));
    const struct hf_name *name = &find(rig, HF_KIND_HOLD, "h3")->name;
    hf_model_begin_system(rig->model, 7, rig->now_us + 9999);
    assert_null(hf_model_expire(rig->model, HF_KIND_HOLD, name)); /* not due */
    hf_model_begin_system(rig->model, 7, rig->now_us + 10000);
    assert_non_null(hf_model_expire(rig->model, HF_KIND_HOLD, name));
    assert_null(hf_model_expire(rig->model, HF_KIND_HOLD, name)); /* one end only */
}

static void test_reversal(void **state)
{
    struct rig *rig = *state;
    open_accounts(rig);
    ASK(rig, NULL, MOVE("a", "b", "30", ID("t1")));
    ACCEPTED(rig, 3);
    ASK(rig, NULL, REVERSE("t1", .amount = S("0")));
    REFUSED(rig, AMOUNT_INVALID, 0, NONE);
    ASK(rig, NULL, REVERSE("none", NO_OPTION));
    REFUSED(rig, TRANSFER_NOT_FOUND, 0, NONE);
    ASK(rig, NULL, REVERSE("t1", .amount = S("31")));
    REFUSED(rig, LIMIT_EXCEEDED, 0, TRANSFER);
    ASK(rig, NULL, REVERSE("t1", ID("r1"), .amount = S("10")));
    ACCEPTED(rig, 4);
    assert_u128_equal(rig->answer->events[0].posting.reversed_after, 10);
    ASK(rig, NULL, REVERSE("r1", NO_OPTION));
    REFUSED(rig, NOT_REVERSIBLE, 0, TRANSFER);
    ASK(rig, NULL, MOVE("b", "a", "15", NO_OPTION));
    ASK(rig, NULL, REVERSE("t1", NO_OPTION));
    REFUSED(rig, INSUFFICIENT_FUNDS, 0, ACCOUNT);
    ASK(rig, NULL, ON_ACCOUNT("freeze", "a", NO_OPTION));
    ASK(rig, NULL, REVERSE("t1", .amount = S("99")));
    REFUSED(rig, ACCOUNT_FROZEN, 0, ACCOUNT); /* state before what is left */
    ASK(rig, NULL, ON_ACCOUNT("unfreeze", "a", NO_OPTION), REVERSE("t1", .amount = S("5")));
    ACCEPTED(rig, 7);
    ASK(rig, NULL, MOVE("world", "b", "15", NO_OPTION), REVERSE("t1", NO_OPTION));
    ACCEPTED(rig, 8);
    assert_u128_equal(rig->answer->events[1].posting.reversed_after, 30);
    ASK(rig, NULL, REVERSE("t1", NO_OPTION));
    REFUSED(rig, LIMIT_EXCEEDED, 0, TRANSFER); /* nothing is left */
}

static void test_replay_by_id(void **state)
{
    struct rig *rig = *state;
    open_accounts(rig);
    ASK(rig, NULL, MOVE("a", "b", "10", ID("t1")), HOLD("a", "b", "5", ID("h1")));
    ACCEPTED(rig, 3);
    ASK(rig, "k1", MOVE("a", "b", "10", ID("t1")), HOLD("a", "b", "5", ID("h1")));
    REPLAYED_BY_ID(rig, 3); /* the key does not count */
    ask_as(rig, "somebody", NULL, NO_IFS,
           DO(MOVE("a", "b", "10", ID("t1")), HOLD("a", "b", "5", ID("h1"))));
    REPLAYED_BY_ID(rig, 3); /* nor does the principal */
    ASK(rig, NULL, ON_HOLD("void", "h1", NO_OPTION));
    ACCEPTED(rig, 4);
    ASK(rig, NULL, MOVE("a", "b", "10", ID("t1")), HOLD("a", "b", "5", ID("h1")));
    REPLAYED_BY_ID(rig, 3); /* a hold that has ended is still the same hold */
    ASK(rig, NULL, MOVE("a", "b", "10", ID("t1")));
    REFUSED_RECORDED(rig, TRANSFER_EXISTS, 0, TRANSFER); /* the unit is the commit */
    ASK(rig, NULL, HOLD("a", "b", "5", ID("h1")), MOVE("a", "b", "10", ID("t1")));
    REFUSED_RECORDED(rig, HOLD_EXISTS, 0, HOLD); /* the order too */
    ASK(rig, NULL, MOVE("a", "b", "11", ID("t1")), HOLD("a", "b", "5", ID("h1")));
    REFUSED_RECORDED(rig, TRANSFER_EXISTS, 0, TRANSFER);
    ASK(rig, NULL, MOVE("a", "b", "1", ID("t2")), HOLD("a", "b", "5", ID("h1")));
    REFUSED_RECORDED(rig, HOLD_EXISTS, 1, HOLD); /* first known id; t2 is spent with it */
    assert_int_equal(rig->answer->spent_count, 1);
    ask_as(rig, "local", NULL, IFS({.transfer = S("t1"), .has_exists = true, .exists = true}),
           DO(MOVE("a", "b", "10", ID("t1")), HOLD("a", "b", "5", ID("h1"))));
    REFUSED_RECORDED(rig, TRANSFER_EXISTS, 0, TRANSFER); /* with `if` by key only */
    ASK(rig, NULL, MOVE("a", "b", "10", ID("t1")), MOVE("a", "b", "1", NO_OPTION));
    REFUSED_RECORDED(rig, TRANSFER_EXISTS, 0, TRANSFER); /* an operation without an id */
}

static void test_spent_ids(void **state)
{
    struct rig *rig = *state;
    open_accounts(rig);
    ASK(rig, NULL, MOVE("a", "b", "101", ID("t1")), HOLD("a", "nobody", "1", ID("h1")));
    REFUSED_RECORDED(rig, INSUFFICIENT_FUNDS, 0, ACCOUNT);
    assert_int_equal(rig->model->position, 3);
    assert_int_equal(rig->answer->spent_count, 2); /* whichever operation failed */
    ASK(rig, NULL, MOVE("world", "a", "100", NO_OPTION));
    ASK(rig, NULL, MOVE("a", "b", "101", ID("t1")), HOLD("a", "nobody", "1", ID("h1")));
    REPLAYED_BY_ID(rig, 3); /* what was refused stays refused */
    ASK(rig, NULL, MOVE("a", "b", "1", ID("t1")));
    REFUSED_RECORDED(rig, TRANSFER_EXISTS, 0, NONE);
    ASK(rig, NULL, HOLD("a", "b", "1", ID("h1")));
    REFUSED_RECORDED(rig, HOLD_EXISTS, 0, NONE);
    ASK(rig, NULL, REVERSE("t1", NO_OPTION));
    REFUSED(rig, TRANSFER_NOT_FOUND, 0, NONE);
    ASK(rig, NULL, ON_HOLD("void", "h1", NO_OPTION));
    REFUSED(rig, HOLD_NOT_FOUND, 0, NONE);
    ask_if(rig, &(If){.transfer = S("t1"), .has_exists = true, .exists = false});
    ACCEPTED(rig, 7); /* a spent id does not exist */
    ask_if(rig, &(If){.hold = S("h1"), .state = S("open")});
    REFUSED_IF(rig, CONDITION_FAILED, NONE);
}

static void test_streams(void **state)
{
    struct rig *rig = *state;
    ASK(rig, NULL, APPEND("s", "{\"a\":1,\"b\":2}", ID("e1"), VERSION(0)),
        APPEND("s", "2", ID("e2")));
    ACCEPTED(rig, 1);
    assert_int_equal(rig->answer->events[1].appended.version, 2);
    /* The content replays before the version is tested; JSON is compared, not bytes. */
    ASK(rig, NULL, APPEND("s", " {\"b\": 2, \"a\": 1}", ID("e1"), VERSION(7)),
        APPEND("s", "2", ID("e2")));
    REPLAYED_BY_ID(rig, 1);
    ASK(rig, NULL, APPEND("s", "2", ID("e2")), APPEND("s", "3", ID("e3")));
    REFUSED(rig, PARTIAL_REPLAY, 0, STREAM);
    ASK(rig, NULL, APPEND("s", "2", ID("e2")), APPEND("s", "3", NO_OPTION));
    REFUSED(rig, EVENT_EXISTS, 0, STREAM); /* not appends with ids alone */
    ASK(rig, NULL, APPEND("other", "2", ID("e2")));
    REFUSED(rig, EVENT_EXISTS, 0, NONE); /* one name space for all streams */
    ASK(rig, NULL, APPEND("s", "99", ID("e2")));
    REFUSED(rig, EVENT_EXISTS, 0, STREAM);
    ASK(rig, NULL, APPEND("s", "1", VERSION(1)));
    REFUSED(rig, CONDITION_FAILED, 0, STREAM);
    ASK(rig, NULL, APPEND("new", "1", VERSION(1)));
    REFUSED(rig, CONDITION_FAILED, 0, NONE);
    ASK(rig, NULL, APPEND("new", "1", ID("e9")), APPEND("new", "1", ID("e9")));
    REFUSED(rig, EVENT_EXISTS, 1, NONE);
    ASK(rig, NULL, APPEND("s", "1", VERSION(2)), APPEND("s", "1", VERSION(3)));
    ACCEPTED(rig, 2);
    ASK(rig, "k", APPEND("s", "1", ID("e5"), VERSION(0)));
    REFUSED_RECORDED(rig, CONDITION_FAILED, 0, STREAM);
    assert_int_equal(rig->answer->spent_count, 0); /* event ids are not spent */
    ASK(rig, NULL, APPEND("s", "1", ID("e5"), VERSION(4)));
    ACCEPTED(rig, 4);
}

static void test_documents(void **state)
{
    struct rig *rig = *state;
    ASK(rig, NULL, ON_DOCUMENT("patch", "d", .data = S("{}")));
    REFUSED(rig, DOCUMENT_NOT_FOUND, 0, NONE);
    ASK(rig, NULL, ON_DOCUMENT("patch", "d", .data = S("{}"), VERSION(1)));
    REFUSED(rig, CONDITION_FAILED, 0, NONE);
    ASK(rig, "k1",
        ON_DOCUMENT("put", "d", .data = S(" {\"a\": 1, \"b\": {\"c\": 2}} "), VERSION(0)));
    ACCEPTED(rig, 1);
    assert_true(hf_str_equal(rig->answer->events[0].document.data.text,
                             S(" {\"a\": 1, \"b\": {\"c\": 2}} ")));
    ASK(rig, NULL, ON_DOCUMENT("put", "d", .data = S("1"), VERSION(0)));
    REFUSED(rig, CONDITION_FAILED, 0, DOCUMENT);
    assert_true(hf_str_equal(rig->answer->current.last_change_key, S("k1")));
    ASK(rig, NULL,
        ON_DOCUMENT("patch", "d", .data = S("{\"a\":null,\"b\":{\"x\":[1]}}"), VERSION(1)));
    ACCEPTED(rig, 2);
    assert_true(hf_model_json_equal(rig->answer->events[0].document.data.text,
                                    S("{\"b\":{\"c\":2,\"x\":[1]}}")));
    ASK(rig, NULL, ON_DOCUMENT("delete", "d", VERSION(1)));
    REFUSED(rig, CONDITION_FAILED, 0, DOCUMENT);
    ASK(rig, NULL, ON_DOCUMENT("delete", "d", NO_OPTION));
    ACCEPTED(rig, 3);
    ASK(rig, NULL, ON_DOCUMENT("delete", "d", NO_OPTION));
    REFUSED(rig, DOCUMENT_NOT_FOUND, 0, NONE);
    ASK(rig, NULL, ON_DOCUMENT("put", "d", .data = S("1"), VERSION(3)));
    REFUSED(rig, CONDITION_FAILED, 0, NONE); /* deleted: it does not exist */
    ask_if(rig, &(If){.document = S("d"), .has_version = true, .version = 3});
    REFUSED_IF(rig, CONDITION_FAILED, NONE);
    ASK(rig, NULL, ON_DOCUMENT("put", "d", .data = S("1"), VERSION(0)));
    ACCEPTED(rig, 4);
    assert_int_equal(rig->answer->events[0].document.version, 4); /* goes on */
    ASK(rig, NULL, ON_DOCUMENT("patch", "d", .data = S("{\"n\":{\"gone\":null,\"kept\":1}}")));
    ACCEPTED(rig, 5);
    assert_true(
        hf_model_json_equal(rig->answer->events[0].document.data.text, S("{\"n\":{\"kept\":1}}")));
}

static void test_too_large(void **state)
{
    struct rig *rig = *state;
    static char text[2][700000];
    for (int i = 0; i < 2; i++) {
        memset(text[i], 'x', sizeof(text[i]));
        memcpy(text[i], i == 0 ? "{\"a\":\"" : "{\"b\":\"", 6);
        memcpy(text[i] + sizeof(text[i]) - 2, "\"}", 2);
    }
    ASK(rig, NULL, ON_DOCUMENT("put", "d", .data = {text[0], sizeof(text[0])}));
    ACCEPTED(rig, 1);
    ASK(rig, NULL, ON_DOCUMENT("patch", "d", .data = {text[1], sizeof(text[1])}));
    REFUSED(rig, TOO_LARGE, 0, DOCUMENT);
}

static void test_leases(void **state)
{
    struct rig *rig = *state;
    ASK(rig, NULL, ACQUIRE("l", 100));
    ACCEPTED(rig, 1);
    assert_int_equal(find(rig, HF_KIND_LEASE, "l")->lease.token, 1);
    ASK(rig, NULL, ACQUIRE("l", 100));
    REFUSED(rig, LEASE_HELD, 0, LEASE); /* the same owner too */
    ASK(rig, NULL, ON_LEASE("renew", "l", 7, NO_OPTION));
    REFUSED(rig, FENCED, 0, LEASE);
    ASK(rig, NULL, ON_LEASE("renew", "none", 1, NO_OPTION));
    REFUSED(rig, FENCED, 0, NONE);
    ASK(rig, NULL, ON_LEASE("renew", "l", 1, .has_ttl_ms = true, .ttl_ms = 50));
    ACCEPTED(rig, 2);
    assert_int_equal(find(rig, HF_KIND_LEASE, "l")->lease.token, 1);
    assert_int_equal(find(rig, HF_KIND_LEASE, "l")->lease.expires_at_us, rig->now_us + 50000);
    ask_if(rig, &(If){.lease = S("l"), .has_token = true, .token = 1});
    ACCEPTED(rig, 3);
    rig->now_us += 60000;
    ask_if(rig, &(If){.lease = S("l"), .has_token = true, .token = 1});
    REFUSED_IF(rig, FENCED, NONE); /* even if nobody took it */
    ASK(rig, NULL, ACQUIRE("l", 100));
    ACCEPTED(rig, 4);
    assert_int_equal(rig->answer->event_count, 2); /* the expiry first */
    ASK(rig, NULL, ON_LEASE("release", "l", 1, NO_OPTION));
    REFUSED(rig, FENCED, 0, LEASE);
    ask_if(rig, &(If){.lease = S("l"), .has_token = true, .token = 1});
    REFUSED_IF(rig, FENCED, LEASE);
    ASK(rig, NULL, ON_LEASE("release", "l", 4, NO_OPTION), ACQUIRE("l", 10), ACQUIRE("l", 10));
    REFUSED(rig, LEASE_HELD, 2, LEASE);
    assert_int_equal(rig->answer->current.lease.token, 4); /* as it is after the refusal */
    ASK(rig, NULL, ON_LEASE("release", "l", 4, NO_OPTION));
    ACCEPTED(rig, 5);
    ASK(rig, NULL, ON_LEASE("renew", "l", 4, NO_OPTION));
    REFUSED(rig, FENCED, 0, NONE);
    ASK(rig, NULL, ACQUIRE("l", 100));
    hf_model_begin_system(rig->model, 7, rig->now_us + 99000);
    hf_model_takeover(rig->model); /* one fresh term */
    assert_int_equal(find(rig, HF_KIND_LEASE, "l")->lease.expires_at_us, rig->now_us + 199000);
}

static void test_keys(void **state)
{
    struct rig *rig = *state;
    open_accounts(rig);
    ASK(rig, "k1", MOVE("a", "b", "10", NO_OPTION));
    ACCEPTED(rig, 3);
    ASK(rig, "k1", MOVE("a", "b", "10", NO_OPTION));
    REPLAYED_BY_KEY(rig, 3);
    ASK(rig, "k1", MOVE("a", "b", "11", ID("t1")));
    refused_at(rig, HF_ERR_IDEMPOTENCY_KEY_REUSED, HF_WHERE_NONE, 0, HF_KIND_NONE, false, __LINE__);
    ASK(rig, "k2", MOVE("a", "b", "11", ID("t1")));
    ACCEPTED(rig, 4); /* the reuse has spent nothing */
    ask_as(rig, "somebody", "k1", NO_IFS, DO(MOVE("a", "b", "10", NO_OPTION)));
    ACCEPTED(rig, 5); /* keys are per principal */
    ASK(rig, "k3", MOVE("a", "b", "1000", NO_OPTION));
    REFUSED_RECORDED(rig, INSUFFICIENT_FUNDS, 0, ACCOUNT);
    ASK(rig, NULL, MOVE("world", "a", "5000", NO_OPTION));
    ASK(rig, "k3", MOVE("a", "b", "1000", NO_OPTION));
    REPLAYED_BY_KEY(rig, 6);
    /* The key's answer comes before the ids'. */
    ASK(rig, "k3", MOVE("a", "b", "11", ID("t1")));
    refused_at(rig, HF_ERR_IDEMPOTENCY_KEY_REUSED, HF_WHERE_NONE, 0, HF_KIND_NONE, false, __LINE__);
    /* A cancelled key answers for ever what it says; an answered key can't be cancelled. */
    cancel(rig, "k9");
    ACCEPTED(rig, 8);
    ASK(rig, "k9", MOVE("a", "b", "1", NO_OPTION));
    REPLAYED_BY_KEY(rig, 8);
    cancel(rig, "k9");
    REPLAYED_BY_KEY(rig, 8);
    cancel(rig, "k1");
    REPLAYED_BY_KEY(rig, 3);
    rig->now_us += RETENTION_US;
    ASK(rig, "k1", MOVE("a", "b", "11", NO_OPTION));
    ACCEPTED(rig, 9); /* forgotten: a new request */
    ASK(rig, NULL, MOVE("a", "b", "11", ID("t1")));
    REPLAYED_BY_ID(rig, 4); /* ids are for ever */
}

static void test_order_of_answers(void **state)
{
    struct rig *rig = *state;
    open_accounts(rig);
    const If fails = {.account = S("a"), .has_version = true, .version = 99};
    ask_as(rig, "local", "k", &fails, 1, DO(MOVE("a", "b", "0", ID("t1"))));
    refused_at(rig, HF_ERR_CONDITION_FAILED, HF_WHERE_IF, 0, HF_KIND_ACCOUNT, true, __LINE__);
    assert_int_equal(rig->answer->spent_count, 1);
    ask_as(rig, "local", "k", &fails, 1, DO(MOVE("a", "b", "0", ID("t1"))));
    REPLAYED_BY_KEY(rig, 3);
    ask_as(rig, "local", "k2", &fails, 1, DO(MOVE("a", "b", "0", ID("t1"))));
    REFUSED_RECORDED(rig, TRANSFER_EXISTS, 0, NONE); /* ids before `if` */
    ask_as(rig, "local", NULL, IFS({.account = S("a"), .has_exists = true, .exists = true}, fails),
           DO(MOVE("nobody", "b", "0", NO_OPTION)));
    refused_at(rig, HF_ERR_CONDITION_FAILED, HF_WHERE_IF, 1, HF_KIND_ACCOUNT, false, __LINE__);
    ASK(rig, NULL, MOVE("a", "b", "1000", NO_OPTION), MOVE("a", "b", "0", NO_OPTION));
    REFUSED(rig, INSUFFICIENT_FUNDS, 0, ACCOUNT); /* the first failure in order */
}

static void test_account_conditions(void **state)
{
    struct rig *rig = *state;
    open_accounts(rig);
    ASK(rig, NULL, HOLD("a", "b", "30", NO_OPTION)); /* available 70, posted 100 */
    const struct {
        enum hf_compare compare;
        const char *holds, *fails;
    } table[] = {
        {HF_COMPARE_EQ, "70", "100"}, {HF_COMPARE_GT, "69", "70"},  {HF_COMPARE_GTE, "70", "71"},
        {HF_COMPARE_LT, "71", "70"},  {HF_COMPARE_LTE, "70", "69"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(table); i++) {
        If condition = {.account = S("a"), .has_available = true};
        condition.available[table[i].compare] = hf_str_from(table[i].holds);
        ask_if(rig, &condition);
        ACCEPTED(rig, 4 + i);
        condition.available[table[i].compare] = hf_str_from(table[i].fails);
        ask_if(rig, &condition);
        REFUSED_IF(rig, CONDITION_FAILED, ACCOUNT);
    }
    If posted = {.account = S("world"), .has_posted = true};
    posted.posted[HF_COMPARE_EQ] = S("-100");
    ask_if(rig, &posted);
    ACCEPTED(rig, 9);
    posted.posted[HF_COMPARE_LT] = S("-100"); /* all must hold */
    ask_if(rig, &posted);
    REFUSED_IF(rig, CONDITION_FAILED, ACCOUNT);
    ask_if(rig, &(If){.account = S("a"), .has_version = true, .version = 2});
    ACCEPTED(rig, 10);
    ask_if(rig, &(If){.account = S("a"), .modified_at = S("1970-01-01T00:00:01.003000Z")});
    ACCEPTED(rig, 11); /* the time of its last entry: commit 3 */
    ask_if(rig, &(If){.account = S("a"), .modified_at = S("1970-01-01T00:00:01.003001Z")});
    REFUSED_IF(rig, CONDITION_FAILED, ACCOUNT);
}

static void test_existence_conditions(void **state)
{
    struct rig *rig = *state;
    open_accounts(rig);
    ASK(rig, NULL, MOVE("a", "b", "1", ID("t1")), HOLD("a", "b", "1", ID("h1")));
    ACCEPTED(rig, 3);
    ask_if(rig, &(If){.account = S("none"), .has_exists = true, .exists = false});
    ACCEPTED(rig, 4);
    ask_if(rig, &(If){.account = S("a"), .has_exists = true, .exists = false});
    REFUSED_IF(rig, CONDITION_FAILED, ACCOUNT);
    ask_if(rig, &(If){.account = S("none"), .has_exists = true, .exists = true});
    REFUSED_IF(rig, CONDITION_FAILED, NONE);
    ask_if(rig, &(If){.transfer = S("t1"), .has_exists = true, .exists = true});
    ACCEPTED(rig, 5);
    ask_if(rig, &(If){.transfer = S("t1"), .has_exists = true, .exists = false});
    REFUSED_IF(rig, CONDITION_FAILED, TRANSFER);
    ask_if(rig, &(If){.stream = S("none"), .has_version = true, .version = 0});
    REFUSED_IF(rig, CONDITION_FAILED, NONE); /* only exists:false holds of what is not there */
    ask_if(rig, &(If){.stream = S("log"), .has_version = true, .version = 2});
    ACCEPTED(rig, 6);
    ask_if(rig, &(If){.stream = S("log"), .has_version = true, .version = 2});
    REFUSED_IF(rig, CONDITION_FAILED, STREAM);
    ask_if(rig, &(If){.hold = S("h1"), .state = S("open")});
    ACCEPTED(rig, 7);
    ask_if(rig, &(If){.hold = S("h1"), .state = S("voided")});
    REFUSED_IF(rig, CONDITION_FAILED, HOLD);
    ask_if(rig, &(If){.hold = S("none"), .state = S("open")});
    REFUSED_IF(rig, CONDITION_FAILED, NONE);
    ask_if(rig, &(If){.lease = S("none"), .has_token = true, .token = 1});
    REFUSED_IF(rig, FENCED, NONE);
}

static void test_collision(void **state)
{
    struct rig *rig = *state;
    open_accounts(rig);
    /* The first 16 bytes of SHA-256("a") as a hex name. */
    ASK(rig, NULL, MOVE("ca978112-ca1b-bdca-fac2-31b39a23dc4d", "b", "1", NO_OPTION));
    REFUSED(rig, ID_COLLISION, 0, NONE);
    ASK(rig, NULL, OPEN("CA978112-CA1B-BDCA-FAC2-31B39A23DC4D", NO_OPTION));
    REFUSED(rig, ID_COLLISION, 0, NONE);
    ASK(rig, NULL, MOVE("a", "b", "1", ID("a")));
    ACCEPTED(rig, 3);
    ASK(rig, NULL, MOVE("a", "b", "1", ID("ca978112-ca1b-bdca-fac2-31b39a23dc4d")));
    REFUSED_RECORDED(rig, ID_COLLISION, 0, NONE);
    assert_int_equal(rig->answer->spent_count, 0);
}

static void test_try_leaves_no_trace(void **state)
{
    struct rig *rig = *state;
    open_accounts(rig);
    struct hf_command command;
    struct hf_malformed malformed = {0};
    const Op op = MOVE("a", "b", "10", ID("t1"));
    hf_command_init(&command, HF_COMMAND_COMMIT);
    assert_true(hf_command_add_op(&command, &op, &malformed) &&
                hf_command_finish(&command, &malformed));
    assert_int_equal(hf_model_try(rig->model, &command, 3, rig->now_us)->outcome,
                     HF_MODEL_ACCEPTED);
    hf_command_release(&command);
    assert_account(rig, "a", 100, 0, 0, 1);
    ASK(rig, NULL, MOVE("a", "b", "10", ID("t1")));
    ACCEPTED(rig, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_floor_and_ceiling),
        TEST(test_up_to),
        TEST(test_overflow),
        TEST(test_order_within_operation),
        TEST(test_account_life),
        TEST(test_holds),
        TEST(test_expiry),
        TEST(test_reversal),
        TEST(test_replay_by_id),
        TEST(test_spent_ids),
        TEST(test_streams),
        TEST(test_documents),
        TEST(test_too_large),
        TEST(test_leases),
        TEST(test_keys),
        TEST(test_order_of_answers),
        TEST(test_account_conditions),
        TEST(test_existence_conditions),
        TEST(test_collision),
        TEST(test_try_leaves_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
