/* Keys, ids that refusals spend, replay, and the order of answers, as DESIGN §3 has them. */
#ifndef HF_TESTS_UNIT_CONTRACT_ANSWERS_H
#define HF_TESTS_UNIT_CONTRACT_ANSWERS_H

#include "unit/contract_rows.h"

/* One row a case: laid out by hand. */
/* clang-format off */

static const struct row keys[] = {
    SET_UP,
    {"get key k1", 404, "key_not_found"},
    {DO(SEND("a", "b", "10")), 201, "ok", .key = "k1", .at_us = S(10), .fields = "'position':2"},
    /* The same answer again, without a second effect, at any later time within the retention. */
    {DO(SEND("a", "b", "10")), 201, "ok", .key = "k1", .replayed = true,
     .fields = "'position':2 & 'posted':'90'"},
    {"{ 'do' : [ {'amount':10, 'asset':'USD/2', 'to':'b', 'from':'a', 'op':'transfer'} ] }", 201,
     "ok", .key = "k1", .replayed = true},
    {"get account a", 200, "ok", .fields = "'posted':'90'"},
    {"get key k1", 200, "ok",
     .fields = "{'key':'k1','position':2,'status':201,'body':{'position':2 & "
               "'op':'transfer','transfer':'~2.0'"},
    /* Another request under it: refused, not recorded, the key stays as it is. */
    {DO(SEND("a", "b", "11")), 422, "idempotency_key_reused", NULL, "'current':null", .key = "k1",
     .unrecorded = true},
    {DO(SEND("a", "b", "10") AND SEND("a", "b", "10")), 422, "idempotency_key_reused", NULL,
     .key = "k1", .unrecorded = true},
    {IF("{'account':'a','exists':true}", SEND("a", "b", "10")), 422, "idempotency_key_reused", NULL,
     .key = "k1", .unrecorded = true},
    {"{'do':[" SEND("a", "b", "10") "],'metadata':{}}", 422, "idempotency_key_reused", NULL,
     .key = "k1", .unrecorded = true},
    {DO(MOVE("named", "a", "b", "11")), 422, "idempotency_key_reused", NULL, .key = "k1",
     .unrecorded = true},
    /* …and its ids are not spent. */
    {DO(MOVE("named", "a", "b", "1")), 201, "ok"},
    /* Keys live per principal. */
    {DO(SEND("a", "b", "11")), 201, "ok", .key = "k1", .principal = "shop"},
    {"get key k1", 200, "ok", .principal = "shop", .fields = "'position':4"},
    {DO(SEND("a", "b", "10")), 201, "ok", .key = "k1", .principal = "local", .replayed = true},
    /* A decided refusal is recorded under the key. */
    {DO(SEND("a", "b", "1000")), 422, "insufficient_funds", "/do/0", "'instance':'/v1/commits/5'",
     .key = "k2"},
    {DO(SEND("world", "a", "1000")), 201, "ok"},
    {DO(SEND("a", "b", "1000")), 422, "insufficient_funds", "/do/0",
     "'posted':'78' & 'instance':'/v1/commits/5'", .key = "k2", .replayed = true},
    {"get key k2", 200, "ok", .fields = "'status':422,'body':{'type':'urn:holdfast:problem:"
                                        "insufficient_funds'"},
    /* Seven days of log time, then it is a new request. */
    {DO(SEND("a", "b", "10")), 201, "ok", .key = "k1", .at_us = S(10) + 7 * DAY - 1,
     .replayed = true},
    {"get key k1", 200, "ok", .at_us = S(10) + 7 * DAY - 1},
    {"get key k1", 404, "key_not_found", .at_us = S(10) + 7 * DAY},
    {DO(SEND("a", "b", "12")), 201, "ok", .key = "k1", .at_us = S(10) + 7 * DAY,
     .fields = "'position':7"},
    {DO(SEND("a", "b", "12")), 201, "ok", .key = "k1", .replayed = true, .fields = "'position':7"},
    /* Malformed requests and keys are not recorded. */
    {DO(SEND("a", "b", "x")), 400, "invalid_request", "/do/0/amount", .key = "k3"},
    {"get key k3", 404, "key_not_found"},
    {DO(SEND("a", "b", "1")), 400, "invalid_request", .key = "a b"},
    {DO(SEND("a", "b", "1")), 400, "invalid_request", .key = ""},
    {NULL},
};

static const struct row cancelling[] = {
    SET_UP,
    /* Before the request: a late original is refused, whatever it says. */
    {"cancel", 200, "ok", .key = "k1",
     .fields = "{'key':'k1','position':2,'status':409,'body':{ & 'code':'cancelled'"},
    {"cancel", 200, "ok", .key = "k1", .replayed = true, .fields = "'position':2,'status':409"},
    {DO(MOVE("t", "a", "b", "1")), 409, "cancelled", NULL, "'instance':'/v1/commits/2'",
     .key = "k1", .replayed = true},
    {DO(SEND("a", "b", "77")), 409, "cancelled", NULL, .key = "k1", .replayed = true},
    {"get key k1", 200, "ok", .fields = "'status':409"},
    {"get account a", 200, "ok", .fields = "'posted':'100'"},
    /* The id was not spent: nothing was decided. */
    {DO(MOVE("t", "a", "b", "1")), 201, "ok", .key = "k2"},
    /* After an answer: that answer. */
    {"cancel", 200, "ok", .key = "k2", .replayed = true,
     .fields = "'position':3,'status':201,'body':{'position':3"},
    {DO(MOVE("t", "a", "b", "1")), 201, "ok", .key = "k2", .replayed = true},
    {DO(SEND("a", "b", "1000")), 422, "insufficient_funds", "/do/0", .key = "k3"},
    {"cancel", 200, "ok", .key = "k3", .replayed = true, .fields = "'status':422"},
    /* Another principal's key is another key. */
    {"cancel", 200, "ok", .key = "k2", .principal = "shop", .fields = "'status':409"},
    {DO(MOVE("t", "a", "b", "1")), 201, "ok", .key = "k2", .replayed = true},
    /* A cancellation is kept as long as any answer. */
    {DO(SEND("a", "b", "2")), 201, "ok", .key = "k1", .at_us = 8 * DAY},
    {NULL},
};

static const struct row spent_ids[] = {
    SET_UP,
    /* The refused id is spent, for ever: the delayed duplicate gets the same refusal. */
    {DO(MOVE("t1", "a", "b", "1000")), 422, "insufficient_funds", "/do/0", "/v1/commits/2"},
    {DO(SEND("world", "a", "1000")), 201, "ok"},
    {DO(MOVE("t1", "a", "b", "1000")), 422, "insufficient_funds", "/do/0",
     "'posted':'100' & /v1/commits/2", .replayed = true},
    {DO(MOVE("t1", "a", "b", "1")), 409, "transfer_exists", "/do/0", "'current':null"},
    {"get transfer t1", 404, "transfer_not_found"},
    {IF("{'transfer':'t1','exists':false}", PUT("d", "1")), 201, "ok"},
    {DO(REVERSE("t1")), 404, "transfer_not_found", "/do/0", .unrecorded = true},
    {DO(MOVE("t1", "a", "b", "1000")), 422, "insufficient_funds", "/do/0", .at_us = 400 * DAY,
     .replayed = true},
    /* Whichever operation failed, and with which status: every new transfer and hold id is spent. */
    {DO(MOVE("t2", "a", "b", "1") AND HOLD("h2", "a", "b", "1") AND REVERSE_N("r2", "nothing", "1")
            AND APPEND("s", "e2", "2")), 404, "transfer_not_found", "/do/2"},
    {"get commit 6", 200, "ok",
     .fields = "'code':'transfer_not_found','spent':[{'transfer':'t2'},{'hold':'h2'},"
               "{'transfer':'r2'}]"},
    {DO(MOVE("t2", "a", "b", "1")), 409, "transfer_exists", "/do/0"},
    {DO(HOLD("h2", "a", "b", "1")), 409, "hold_exists", "/do/0", "'current':null"},
    {DO(CAPTURE("h2")), 404, "hold_not_found", "/do/0", .unrecorded = true},
    {"get hold h2", 404, "hold_not_found"},
    {DO(REVERSE_N("r2", "fund", "1")), 409, "transfer_exists", "/do/0"},
    {DO(APPEND("s", "e2", "2")), 201, "ok"},
    {IF("{'account':'a','version':1}", MOVE("t3", "a", "b", "1")), 412, "condition_failed", "/if/0"},
    {DO(MOVE("t3", "a", "b", "2")), 409, "transfer_exists", "/do/0"},
    /* The same operations without the condition: a commit with `if` replays by its key only. */
    {DO(MOVE("t3", "a", "b", "1")), 409, "transfer_exists", "/do/0", "'current':null"},
    {DO(ACCOUNT_OP("freeze", "b") AND MOVE("t4", "a", "b", "1")), 423, "account_frozen", "/do/1"},
    {DO(MOVE("t4", "a", "b", "1")), 409, "transfer_exists", "/do/0"},
    /* A known id inside another commit refuses it all; what was new there is spent. */
    {DO(MOVE("t5", "a", "b", "1")), 201, "ok"},
    {DO(MOVE("t6", "a", "b", "1") AND MOVE("t5", "a", "b", "1")), 409, "transfer_exists", "/do/1",
     "'kind':'transfer','id':'t5'"},
    {DO(MOVE("t6", "a", "b", "1")), 409, "transfer_exists", "/do/0", "'current':null"},
    {"get transfer t5", 200, "ok", .fields = "'amount':'1'"},
    /* A refusal without key and id takes no position and can be repeated. */
    {DO(SEND("b", "a", "1000")), 422, "insufficient_funds", "/do/0", .unrecorded = true},
    /* With a key, but without ids, it is under the key alone. */
    {DO(SEND("b", "a", "1000")), 422, "insufficient_funds", "/do/0", "instance", .key = "k"},
    /* Twice in one commit: refused, and spent. */
    {DO(MOVE("t7", "a", "b", "1") AND MOVE("t7", "a", "b", "1")), 409, "transfer_exists", "/do/1"},
    {DO(HOLD("h7", "a", "b", "1") AND HOLD("h7", "a", "b", "1")), 409, "hold_exists", "/do/1"},
    {DO(MOVE("t7", "a", "b", "1")), 409, "transfer_exists", "/do/0"},
    {NULL},
};

static const struct row replay_by_id[] = {
    SET_UP,
    {DO(MOVE("t1", "a", "b", "5")), 201, "ok", .fields = "'position':2"},
    {DO(MOVE("t1", "a", "b", "5")), 201, "ok", .replayed = true, .fields = "'position':2"},
    /* Another principal, another key, commit metadata: the same transfer. */
    {DO(MOVE("t1", "a", "b", "5")), 201, "ok", .replayed = true, .principal = "shop", .key = "new"},
    {"get key new", 404, "key_not_found", .principal = "shop"},
    {"{'metadata':{'n':1},'do':[" MOVE("t1", "a", "b", "5") "]}", 201, "ok", .replayed = true},
    /* Other fields: it exists. */
    {DO(MOVE("t1", "a", "b", "6")), 409, "transfer_exists", "/do/0",
     "'kind':'transfer','id':'t1' & 'amount':'5','reversed':'0' & 'position':2"},
    {DO(MOVE("t1", "b", "a", "5")), 409, "transfer_exists", "/do/0"},
    {DO(OP("transfer", "'id':'t1','up_to':true," SIDES("a", "b", "5"))), 409, "transfer_exists",
     "/do/0"},
    {DO(OP("transfer", "'id':'t1','metadata':{}," SIDES("a", "b", "5"))), 409, "transfer_exists",
     "/do/0"},
    {DO(REVERSE_N("t1", "fund", "5")), 409, "transfer_exists", "/do/0"},
    /* Kinds are name spaces of their own. */
    {DO(HOLD("t1", "a", "b", "5")), 201, "ok"},
    {DO(HOLD("t1", "a", "b", "5")), 201, "ok", .replayed = true},
    {DO(HOLD("t1", "a", "b", "6")), 409, "hold_exists", "/do/0",
     "'kind':'hold','id':'t1','version':1,'state':'open'"},
    /* A hold replays its opening after it was captured too. */
    {DO(CAPTURE("t1")), 201, "ok"},
    {DO(HOLD("t1", "a", "b", "5")), 201, "ok", .replayed = true, .fields = "'state':'open'"},
    {DO(HOLD("t1", "a", "b", "6")), 409, "hold_exists", "/do/0", "'version':2,'state':'captured'"},
    /* The recorded commit must hold the same operations. */
    {DO(MOVE("p", "a", "b", "1") AND HOLD("q", "a", "b", "1")), 201, "ok"},
    {DO(MOVE("p", "a", "b", "1") AND HOLD("q", "a", "b", "1")), 201, "ok", .replayed = true},
    {DO(MOVE("p", "a", "b", "1")), 409, "transfer_exists", "/do/0"},
    {DO(HOLD("q", "a", "b", "1")), 409, "hold_exists", "/do/0"},
    {DO(HOLD("q", "a", "b", "1") AND MOVE("p", "a", "b", "1")), 409, "hold_exists", "/do/0"},
    {DO(MOVE("p", "a", "b", "1") AND MOVE("t1", "a", "b", "5")), 409, "transfer_exists", "/do/0"},
    /* With a condition, or an operation without an id, only a key replays. */
    {IF("{'account':'a','exists':true}", MOVE("c", "a", "b", "1")), 201, "ok", .key = "kc"},
    {IF("{'account':'a','exists':true}", MOVE("c", "a", "b", "1")), 409, "transfer_exists", "/do/0"},
    {IF("{'account':'a','exists':true}", MOVE("c", "a", "b", "1")), 201, "ok", .key = "kc",
     .replayed = true},
    {DO(MOVE("m", "a", "b", "1") AND PUT("d", "1")), 201, "ok", .key = "km"},
    {DO(MOVE("m", "a", "b", "1") AND PUT("d", "1")), 409, "transfer_exists", "/do/0"},
    {DO(MOVE("m", "a", "b", "1") AND PUT("d", "1")), 201, "ok", .key = "km", .replayed = true},
    /* Ids outlive keys. */
    {DO(MOVE("t1", "a", "b", "5")), 201, "ok", .replayed = true, .at_us = 1000 * DAY},
    /* Hex ids in any case are one id. */
    {DO(MOVE("AAAAAAAA-AAAA-AAAA-AAAA-AAAAAAAAAAAA", "a", "b", "1")), 201, "ok",
     .fields = "'transfer':'aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa'"},
    {DO(MOVE("aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa", "a", "b", "1")), 201, "ok", .replayed = true},
    {NULL},
};

static const struct row order_of_answers[] = {
    SET_UP,
    {DO(MOVE("t", "a", "b", "5")), 201, "ok", .key = "k"},
    /* Malformed before everything. */
    {DO(MOVE("t", "a", "b", "-")), 400, "invalid_request", "/do/0/amount", .key = "k"},
    /* The key before the id: reused, though the id would exist. */
    {DO(MOVE("t", "a", "b", "6")), 422, "idempotency_key_reused", NULL, .key = "k",
     .unrecorded = true},
    /* The id before `if`. */
    {IF("{'account':'a','version':99}", MOVE("t", "a", "b", "5")), 409, "transfer_exists", "/do/0"},
    /* `if` in order, before `do`. */
    {IF("{'account':'a','exists':true},{'lease':'l','token':1},{'account':'a','version':99}",
        SEND("nobody", "b", "0")), 412, "fenced", "/if/1", .unrecorded = true},
    /* `do` in order: the first failure is the answer. */
    {DO(SEND("a", "b", "1000") AND SEND("nobody", "b", "1")), 422, "insufficient_funds", "/do/0",
     .unrecorded = true},
    {DO(SEND("a", "b", "1") AND SEND("nobody", "b", "1") AND SEND("a", "b", "1000")), 404,
     "account_not_found", "/do/1", .unrecorded = true},
    /* Within an operation: amount, id, not found, state, asset, limits, funds. */
    {DO(OPEN_AS("f", "'ceiling':'10'") AND OPEN_AS("e", "'ceiling':'10'") AND
            OP("open_account", "'account':'eur','asset':'EUR/2'") AND ACCOUNT_OP("freeze", "f")), 201,
     "ok"},
    {DO(SEND("nobody", "f", "0")), 422, "amount_invalid", "/do/0", .unrecorded = true},
    {DO(MOVE("i", "a", "b", "1") AND MOVE("i", "nobody", "f", "1")), 409, "transfer_exists",
     "/do/1"},
    {DO(SEND("f", "nobody", "1")), 404, "account_not_found", "/do/0", .unrecorded = true},
    {DO(SEND("f", "eur", "1")), 423, "account_frozen", "/do/0", "'id':'f'", .unrecorded = true},
    {DO(SEND("eur", "f", "1")), 423, "account_frozen", "/do/0", "'id':'f'", .unrecorded = true},
    {DO(SEND("eur", "e", "1000")), 422, "asset_mismatch", "/do/0", "'id':'eur'",
     .unrecorded = true},
    {DO(SEND("e", "eur", "1000")), 422, "asset_mismatch", "/do/0", "'id':'eur'",
     .unrecorded = true},
    {DO(SEND("b", "e", "1000")), 422, "limit_exceeded", "/do/0", "'id':'e'", .unrecorded = true},
    {DO(SEND("b", "e", "10")), 422, "insufficient_funds", "/do/0", "'id':'b'", .unrecorded = true},
    {NULL},
};

static const struct row dry_runs[] = {
    SET_UP,
    {DO(MOVE("t", "a", "b", "5")), 200, "ok", .dry_run = true, .key = "k",
     .fields = "{'position':null & 'transfer':'t' & 'posted':'95'"},
    {"get transfer t", 404, "transfer_not_found"},
    {"get account a", 200, "ok", .fields = "'posted':'100'"},
    {"get key k", 404, "key_not_found"},
    {DO(MOVE("t2", "a", "b", "500")), 422, "insufficient_funds", "/do/0", .dry_run = true,
     .key = "k", .absent = "instance"},
    {DO(MOVE("t2", "a", "b", "50")), 201, "ok", .key = "k", .fields = "'position':2"},
    /* What is recorded is the answer to a dry run too. */
    {DO(MOVE("t2", "a", "b", "50")), 201, "ok", .dry_run = true, .key = "k", .replayed = true,
     .fields = "'position':2"},
    {NULL},
};

static const struct row times[] = {
    {DO(PUT("d", "1")), 201, "ok", .at_us = S(10), .fields = "'time':'2023-11-14T22:13:30.000000Z'"},
    /* Strictly increasing, also when the clock stands or goes back. */
    {DO(PUT("d", "2")), 201, "ok", .at_us = S(10), .fields = "'time':'2023-11-14T22:13:30.000001Z'"},
    {DO(PUT("d", "3")), 201, "ok", .at_us = S(2), .fields = "'time':'2023-11-14T22:13:30.000002Z'"},
    {DO(PUT("d", "4")), 201, "ok", .at_us = S(11), .fields = "'time':'2023-11-14T22:13:31.000000Z'"},
    {"get commit 3", 200, "ok",
     .fields = "={'position':3,'time':'2023-11-14T22:13:30.000002Z','origin':'client',"
               "'principal':'local','key':null,'code':'ok','metadata':null,'events':[{"
               "'type':'holdfast.document.put','operation':0,'document':'d','version':3,'data':3}]}"},
    {"get commit 5", 404, "commit_not_found"},
    {"get commit 0", 404, "commit_not_found"},
    {NULL},
};

#endif
