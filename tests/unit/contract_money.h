/* Accounts, transfers and holds, as DESIGN §3 has them. */
#ifndef HF_TESTS_UNIT_CONTRACT_MONEY_H
#define HF_TESTS_UNIT_CONTRACT_MONEY_H

#include "unit/contract_rows.h"

/* One row a case: laid out by hand. */
/* clang-format off */

static const struct row opening[] = {
    {DO(OPEN("users:42")), 201, "ok", .at_us = S(5),
     .fields = "'position':1 & 'op':'open_account','account':'users:42','version':0,'asset':'USD/2',"
               "'floor':'0','ceiling':null,'state':'open','posted':'0','available':'0'"},
    {"get account users:42", 200, "ok",
     .fields = "'version':0 & 'debits_posted':'0','credits_posted':'0','debits_pending':'0',"
               "'credits_pending':'0' & 'opened_at':'2023-11-14T22:13:25.000000Z' & "
               "'modified_at':'2023-11-14T22:13:25.000000Z' & 'metadata':null"},
    {"get entries users:42 0 10", 200, "ok", .fields = "={'data':[],'next':null}"},
    {DO(OPEN("users:42")), 409, "account_exists", "/do/0", "'kind':'account','id':'users:42'",
     .unrecorded = true},
    {DO(OPEN_AS("l", "'floor':'-50','ceiling':'70','metadata':{'tier': 1}")), 201, "ok",
     .fields = "'floor':'-50','ceiling':'70'"},
    {"get account l", 200, "ok", .fields = "'metadata':{'tier': 1}"},
    {DO(OPEN("c") AND OPEN("c")), 409, "account_exists", "/do/1", "'current':null",
     .unrecorded = true},
    {"get account c", 404, "account_not_found"},
    {"get account nobody", 404, "account_not_found"},
    {NULL},
};

static const struct row names[] = {
    {DO(OPEN("")), 400, "invalid_request", "/do/0/account"},
    {DO(OPEN("-a")), 400, "invalid_request", "/do/0/account"},
    {DO(OPEN("a b")), 400, "invalid_request", "/do/0/account"},
    {DO(OPEN("a/b")), 400, "invalid_request", "/do/0/account"},
    {DO(OPEN("~1.0")), 400, "invalid_request", "/do/0/account"},
    {DO(OPEN("Az09._:@+=,~-")), 201, "ok"},
    {DO(OPEN("AAAAAAAA-bbbb-CCCC-dddd-0123456789EF")), 201, "ok",
     .fields = "'account':'aaaaaaaa-bbbb-cccc-dddd-0123456789ef'"},
    {"get account aaaaaaaa-bbbb-cccc-dddd-0123456789ef", 200, "ok"},
    {DO(OPEN("aaaaaaaa-BBBB-cccc-dddd-0123456789ef")), 409, "account_exists", "/do/0",
     .unrecorded = true},
    /* One name space for each kind. */
    {DO(APPEND("x", "x", "1") AND PUT("x", "1") AND OPEN("x") AND ACQUIRE("x", "x", "1000")), 201,
     "ok"},
    {DO(OPEN_FREE("w") AND MOVE("x", "w", "x", "5") AND HOLD("x", "x", "w", "5")), 201, "ok"},
    {NULL},
};

static const struct row floors[] = {
    SET_UP,
    {DO(SEND("a", "b", "101")), 422, "insufficient_funds", "/do/0",
     "a has 100 available and a floor of 0 & 'id':'a','version':1 & 'floor':'0'",
     .absent = "instance", .unrecorded = true},
    {DO(SEND("a", "b", "100")), 201, "ok",
     .fields = "'from':{'account':'a','version':2,'posted':'0','available':'0'},"
               "'to':{'account':'b','version':1,'posted':'100','available':'100'}"},
    {DO(SEND("a", "b", "1")), 422, "insufficient_funds", "/do/0", .unrecorded = true},
    {DO(LIMITS("a", "'floor':'-30'")), 201, "ok", .fields = "'floor':'-30','ceiling':null"},
    {DO(SEND("a", "b", "31")), 422, "insufficient_funds", "/do/0", .unrecorded = true},
    {DO(SEND("a", "b", "30")), 201, "ok", .fields = "'posted':'-30','available':'-30'"},
    /* In order with the spends: the limit of the same commit counts. */
    {DO(LIMITS("a", "'floor':'-31'") AND SEND("a", "b", "1")), 201, "ok"},
    {DO(SEND("a", "b", "1") AND LIMITS("a", "'floor':'-32'")), 422, "insufficient_funds", "/do/0",
     .unrecorded = true},
    /* A limit may pass the balance; nothing is reversed; what raises available is not refused. */
    {DO(LIMITS("a", "'floor':'1000'")), 201, "ok", .fields = "'posted':'-31','available':'-31'"},
    {DO(SEND("world", "a", "50")), 201, "ok", .fields = "'posted':'19'"},
    {DO(SEND("a", "b", "1")), 422, "insufficient_funds", "/do/0", "'floor':'1000'",
     .unrecorded = true},
    {DO(LIMITS("a", "'floor':null")), 201, "ok", .fields = "'floor':null"},
    {DO(SEND("a", "b", "1000000")), 201, "ok", .fields = "'posted':'-999981'"},
    /* Reserved money is not available. */
    {DO(LIMITS("b", "'floor':'0'") AND HOLD("h", "b", "world", "1000100")), 201, "ok",
     .fields = "'posted':'1000131','available':'31'"},
    {DO(SEND("b", "world", "32")), 422, "insufficient_funds", "/do/0", .unrecorded = true},
    {DO(HOLD("h2", "b", "world", "32")), 422, "insufficient_funds", "/do/0", "/v1/commits/"},
    {DO(SEND("b", "world", "31")), 201, "ok"},
    /* Incoming holds are not available either. */
    {DO(OPEN("c") AND HOLD("h3", "world", "c", "10")), 201, "ok"},
    {DO(SEND("c", "world", "1")), 422, "insufficient_funds", "/do/0",
     "'credits_pending':'10','posted':'0','available':'0'", .unrecorded = true},
    {DO(CAPTURE("h3") AND SEND("c", "world", "10")), 201, "ok"},
    /* Later operations see earlier ones; all or none. */
    {DO(SEND("world", "c", "7") AND SEND("c", "world", "8")), 422, "insufficient_funds", "/do/1",
     "'id':'c','version':3 & 'available':'0'", .unrecorded = true},
    {NULL},
};

static const struct row ceilings[] = {
    SET_UP,
    {DO(LIMITS("b", "'ceiling':'60'")), 201, "ok"},
    {DO(SEND("a", "b", "61")), 422, "limit_exceeded", "/do/0", "a ceiling of 60 & 'id':'b'",
     .unrecorded = true},
    {DO(SEND("a", "b", "20")), 201, "ok"},
    {DO(HOLD("h", "a", "b", "41")), 422, "limit_exceeded", "/do/0", "'instance':'/v1/commits/4'"},
    {DO(HOLD("h1", "a", "b", "40")), 201, "ok"},
    {DO(SEND("a", "b", "1")), 422, "limit_exceeded", "/do/0", "'credits_pending':'40'",
     .unrecorded = true},
    /* Limits come before funds. */
    {DO(SEND("a", "b", "100")), 422, "limit_exceeded", "/do/0", "'id':'b'", .unrecorded = true},
    /* Lowered past the balance: what lowers it passes, what raises it not, a capture never fails. */
    {DO(LIMITS("b", "'ceiling':'5'")), 201, "ok"},
    {DO(SEND("b", "a", "1")), 201, "ok"},
    {DO(SEND("a", "b", "1")), 422, "limit_exceeded", "/do/0", .unrecorded = true},
    {DO(CAPTURE("h1")), 201, "ok", .fields = "'account':'b','version':6,'posted':'59'"},
    {DO(LIMITS("b", "'ceiling':'-1'")), 201, "ok", .fields = "'ceiling':'-1'"},
    {DO(LIMITS("b", "'ceiling':null")), 201, "ok"},
    {DO(SEND("world", "b", "1000")), 201, "ok"},
    /* An operation changes only the limit that it names. */
    {DO(LIMITS("b", "'floor':'3'")), 201, "ok", .fields = "'floor':'3','ceiling':null"},
    {DO(LIMITS("b", "'ceiling':'9'")), 201, "ok", .fields = "'floor':'3','ceiling':'9'"},
    {DO(OP("set_limits", "'account':'b'")), 400, "invalid_request", "/do/0"},
    {DO(LIMITS("nobody", "'floor':'3'")), 404, "account_not_found", "/do/0", "'current':null",
     .unrecorded = true},
    {NULL},
};

#define HALF "85070591730234615865843651857942052864" /* 2^126 */
#define TOP  "170141183460469231731687303715884105727" /* 2^127 - 1 */

static const struct row totals[] = {
    {DO(OPEN_FREE("x") AND OPEN_FREE("y") AND OPEN_FREE("z") AND SEND("x", "y", HALF)), 201, "ok"},
    {DO(SEND("x", "z", HALF)), 422, "limit_exceeded", "/do/0", "'id':'x'", .unrecorded = true},
    {DO(SEND("z", "y", HALF)), 422, "limit_exceeded", "/do/0", "2^127 - 1 & 'id':'y'",
     .unrecorded = true},
    {DO(HOLD("h", "z", "x", TOP)), 201, "ok", .fields = "'available':'-" TOP "'"},
    {DO(SEND("z", "y", "1")), 422, "limit_exceeded", "/do/0", "'id':'z'", .unrecorded = true},
    {DO(CAPTURE("h")), 201, "ok"},
    {DO(REVERSE("~3.0")), 422, "limit_exceeded", "/do/0", "'id':'x'", .unrecorded = true},
    /* From 2^127 on no total can hold it; from 2^128 on it is no amount. */
    {DO(SEND("y", "x", "170141183460469231731687303715884105728")), 422, "limit_exceeded", "/do/0",
     .unrecorded = true},
    {DO(SEND("y", "x", "340282366920938463463374607431768211455")), 422, "limit_exceeded", "/do/0",
     .unrecorded = true},
    {DO(SEND("y", "x", "340282366920938463463374607431768211456")), 400, "invalid_request",
     "/do/0/amount"},
    {NULL},
};

static const struct row amounts[] = {
    SET_UP,
    {DO(SEND("a", "b", "0")), 422, "amount_invalid", "/do/0", .unrecorded = true},
    {DO(HOLD("h", "a", "b", "0")), 422, "amount_invalid", "/do/0"},
    {DO(SEND("a", "b", "-1")), 400, "invalid_request", "/do/0/amount"},
    {DO(SEND("a", "b", "01")), 400, "invalid_request", "/do/0/amount"},
    {DO(SEND("a", "b", "1.0")), 400, "invalid_request", "/do/0/amount"},
    {DO(SEND("a", "b", "")), 400, "invalid_request", "/do/0/amount"},
    {DO(OP("transfer", "'from':'a','to':'b','asset':'USD/2','amount':7")), 201, "ok",
     .fields = "'amount':'7'"},
    {DO(OP("transfer", "'from':'a','to':'b','asset':'USD/2','amount':7.0")), 400, "invalid_request",
     "/do/0/amount"},
    {DO(OP("transfer", "'from':'a','to':'b','asset':'USD/2','amount':9007199254740992")), 400,
     "invalid_request", "/do/0/amount"},
    {DO(OP("transfer", "'from':'a','to':'b','asset':'USD/2','amount':9007199254740991")), 422,
     "insufficient_funds", "/do/0", .unrecorded = true},
    {DO(SEND("a", "a", "1")), 400, "invalid_request", "/do/0/to"},
    {DO(HOLD("h9", "a", "a", "1")), 400, "invalid_request", "/do/0/to"},
    {"{'do':[]}", 400, "invalid_request", "/do"},
    {DO(OP("transfer", "'from':'a','to':'b','asset':'EUR/2','amount':'1'")), 422, "asset_mismatch",
     "/do/0", "a holds USD/2 & 'id':'a'", .unrecorded = true},
    {DO(OP("open_account", "'account':'e','asset':'EUR/2'")), 201, "ok"},
    {DO(SEND("a", "e", "1")), 422, "asset_mismatch", "/do/0", "'id':'e'", .unrecorded = true},
    {DO(OP("open_account", "'account':'f','asset':'EUR'")), 400, "invalid_request", "/do/0/asset"},
    {DO(OP("open_account", "'account':'f','asset':'eur/2'")), 400, "invalid_request", "/do/0/asset"},
    {DO(OP("open_account", "'account':'f','asset':'EUR/19'")), 400, "invalid_request",
     "/do/0/asset"},
    {NULL},
};

static const struct row versions[] = {
    SET_UP,
    {DO(SEND("a", "b", "1") AND SEND("a", "b", "2")), 201, "ok",
     .fields = "'account':'a','version':2 & 'account':'a','version':3"},
    {DO(HOLD("h", "a", "b", "10")), 201, "ok", .fields = "'account':'a','version':4"},
    {DO(VOID("h")), 201, "ok", .fields = "'account':'a','version':5"},
    {DO(LIMITS("a", "'ceiling':'1000'")), 201, "ok", .fields = "'version':6"},
    {DO(OP("set_metadata", "'account':'a','metadata':{'k':1}")), 201, "ok", .fields = "'version':7"},
    {DO(ACCOUNT_OP("freeze", "a")), 201, "ok", .fields = "'version':8 & 'state':'frozen'"},
    {DO(ACCOUNT_OP("unfreeze", "a")), 201, "ok", .fields = "'version':9 & 'state':'open'"},
    {"get account a", 200, "ok", .fields = "'version':9 & 'metadata':{'k':1}"},
    {DO(OP("set_metadata", "'account':'a','metadata':{}")), 201, "ok"},
    {"get account a", 200, "ok", .fields = "'metadata':{}"},
    /* Entries go back to the first one, each with the balances after it. */
    {"get entries a 4 10", 200, "ok",
     .fields = "'version':3,'position':2 & 'amount':'2' & 'posted':'97' & 'version':2,'position':2 & "
               "'posted':'99' & 'version':1,'position':1 & 'transfer':'fund' & 'next':null",
     .absent = "'version':4"},
    {"get entries a 0 3", 200, "ok", .fields = "'version':10 & 'version':8 & 'next':'8'",
     .absent = "'version':7"},
    {"get entries a 8 3", 200, "ok", .fields = "'version':7 & 'version':5 & 'hold':'h' & 'next':'5'"},
    {"get entries b 0 10", 200, "ok",
     .fields = "'version':4 & 'credits_pending':'10' & 'version':1 & 'next':null"},
    {NULL},
};

static const struct row freezing[] = {
    SET_UP,
    {DO(HOLD("h1", "a", "b", "10") AND HOLD("h2", "a", "b", "10") AND
            HOLD_FOR("h3", "a", "b", "10", "1000")), 201, "ok", .at_us = S(10)},
    {DO(ACCOUNT_OP("freeze", "a") AND ACCOUNT_OP("freeze", "b")), 201, "ok"},
    {DO(SEND("a", "world", "1")), 423, "account_frozen", "/do/0", "'id':'a' & 'state':'frozen'",
     .unrecorded = true},
    {DO(SEND("world", "a", "1")), 423, "account_frozen", "/do/0", "'id':'a'", .unrecorded = true},
    {DO(HOLD("h9", "a", "world", "1")), 423, "account_frozen", "/do/0", "a is frozen"},
    {DO(HOLD("h8", "world", "a", "1")), 423, "account_frozen", "/do/0"},
    {DO(REVERSE("fund")), 423, "account_frozen", "/do/0", .unrecorded = true},
    {DO(ACCOUNT_OP("close_account", "b")), 423, "account_frozen", "/do/0", .unrecorded = true},
    /* State before asset, limits and funds. */
    {DO(OP("transfer", "'from':'a','to':'world','asset':'EUR/2','amount':'999'")), 423,
     "account_frozen", "/do/0", .unrecorded = true},
    /* Limits, metadata, unfreezing, and the ends of holds pass. */
    {DO(ACCOUNT_OP("freeze", "a")), 201, "ok", .fields = "'state':'frozen'"},
    {DO(LIMITS("a", "'floor':'90'")), 201, "ok"},
    {DO(OP("set_metadata", "'account':'a','metadata':{}")), 201, "ok"},
    {DO(CAPTURE("h1")), 201, "ok"},
    {DO(VOID("h2")), 201, "ok"},
    {"tick", 0, .at_us = S(11)},
    {"get hold h3", 200, "ok", .fields = "'state':'expired'"},
    {DO(ACCOUNT_OP("unfreeze", "b") AND ACCOUNT_OP("unfreeze", "b")), 201, "ok",
     .fields = "'state':'open'"},
    {DO(ACCOUNT_OP("unfreeze", "a") AND LIMITS("a", "'floor':'0'") AND SEND("a", "b", "1")), 201,
     "ok"},
    {NULL},
};

static const struct row closing[] = {
    SET_UP,
    {DO(ACCOUNT_OP("close_account", "a")), 409, "account_not_empty", "/do/0", "a has 100 posted",
     .unrecorded = true},
    {DO(ACCOUNT_OP("close_account", "world")), 409, "account_not_empty", "/do/0",
     "world has -100 posted", .unrecorded = true},
    {DO(HOLD("h", "a", "b", "100")), 201, "ok"},
    {DO(ACCOUNT_OP("close_account", "b")), 409, "account_not_empty", "/do/0", "100 pending to it",
     .unrecorded = true},
    {DO(CAPTURE("h") AND ACCOUNT_OP("close_account", "a")), 201, "ok",
     .fields = "'op':'close_account','account':'a','version':4 & 'state':'closed'"},
    {DO(SEND("b", "a", "1")), 409, "account_closed", "/do/0", "a is closed", .unrecorded = true},
    {DO(SEND("a", "b", "1")), 409, "account_closed", "/do/0", .unrecorded = true},
    {DO(HOLD("h2", "b", "a", "1")), 409, "account_closed", "/do/0"},
    {DO(LIMITS("a", "'floor':'1'")), 409, "account_closed", "/do/0", .unrecorded = true},
    {DO(OP("set_metadata", "'account':'a','metadata':{}")), 409, "account_closed", "/do/0",
     .unrecorded = true},
    {DO(ACCOUNT_OP("freeze", "a")), 409, "account_closed", "/do/0", .unrecorded = true},
    {DO(ACCOUNT_OP("unfreeze", "a")), 409, "account_closed", "/do/0", .unrecorded = true},
    {DO(ACCOUNT_OP("close_account", "a")), 409, "account_closed", "/do/0", .unrecorded = true},
    {DO(REVERSE("fund")), 409, "account_closed", "/do/0", .unrecorded = true},
    {DO(OPEN("a")), 409, "account_exists", "/do/0", "'state':'closed'", .unrecorded = true},
    {DO(ACCOUNT_OP("close_account", "nobody")), 404, "account_not_found", "/do/0",
     .unrecorded = true},
    {"get account a", 200, "ok", .fields = "'state':'closed'"},
    {NULL},
};

static const struct row transfers[] = {
    SET_UP,
    {DO(OP("transfer", "'id':'t','effective_at':'2020-02-29T12:00:00Z','metadata':{'n': 1}," SIDES(
                "a", "b", "10"))), 201, "ok",
     .fields = "'transfer':'t' & 'effective_at':'2020-02-29T12:00:00.000000Z'"},
    {"get transfer t", 200, "ok",
     .fields = "'id':'t','type':'transfer','from':'a','to':'b','asset':'USD/2','amount':'10',"
               "'reversed':'0','effective_at':'2020-02-29T12:00:00.000000Z','position':2 & "
               "'metadata':{'n': 1}"},
    {DO(OP("transfer", "'effective_at':'2021-02-29T12:00:00Z'," SIDES("a", "b", "10"))), 400,
     "invalid_request", "/do/0/effective_at"},
    {DO(SEND("a", "b", "1")), 201, "ok", .fields = "'transfer':'~3.0'"},
    {DO(SEND("a", "b", "1") AND SEND("a", "b", "1")), 201, "ok",
     .fields = "'transfer':'~4.0' & 'transfer':'~4.1'"},
    {"get transfer ~4.1", 200, "ok", .fields = "'position':4"},
    {"get transfer ~4.2", 404, "transfer_not_found"},
    {DO(SEND("nobody", "b", "1")), 404, "account_not_found", "/do/0", .unrecorded = true},
    {DO(SEND("a", "nobody", "1")), 404, "account_not_found", "/do/0", .unrecorded = true},
    {NULL},
};

#define UP_TO(id, from, to, n) OP("transfer", "'id':'" id "','up_to':true," SIDES(from, to, n))

static const struct row balancing[] = {
    SET_UP,
    {DO(UP_TO("t1", "a", "b", "30")), 201, "ok", .fields = "'amount':'30','requested':'30'"},
    {DO(HOLD("h", "a", "b", "20")), 201, "ok"},
    {DO(UP_TO("t2", "a", "b", "1000")), 201, "ok", .fields = "'amount':'50','requested':'1000'"},
    {"get transfer t2", 200, "ok", .fields = "'amount':'50','up_to':true,'requested':'1000'"},
    {DO(UP_TO("t3", "a", "b", "1000")), 422, "insufficient_funds", "/do/0"},
    {DO(LIMITS("a", "'floor':'-5'") AND UP_TO("t4", "a", "b", "1000")), 201, "ok",
     .fields = "'amount':'5'"},
    {DO(LIMITS("a", "'floor':'50'")), 201, "ok"},
    {DO(UP_TO("t5", "a", "b", "1000")), 422, "insufficient_funds", "/do/0"},
    /* No floor: all of it. The ceiling of the other side does not clip. */
    {DO(UP_TO("t6", "world", "b", "1000")), 201, "ok", .fields = "'amount':'1000'"},
    {DO(LIMITS("b", "'ceiling':'1100'")), 201, "ok"},
    {DO(UP_TO("t7", "world", "b", "1000")), 422, "limit_exceeded", "/do/0"},
    /* Nothing left comes before the other side's limit. */
    {DO(UP_TO("t8", "a", "b", "1000")), 422, "insufficient_funds", "/do/0"},
    /* The same again replays with what was moved. */
    {DO(UP_TO("t2", "a", "b", "1000")), 201, "ok", .fields = "'amount':'50'", .replayed = true},
    {NULL},
};

static const struct row reversals[] = {
    SET_UP,
    {DO(MOVE("t", "a", "b", "60")), 201, "ok"},
    {DO(REVERSE_N("r1", "t", "25")), 201, "ok",
     .fields = "'op':'reverse','transfer':'r1','reverses':'t','asset':'USD/2','amount':'25',"
               "'reversed':'25','from':{'account':'b' & 'to':{'account':'a'"},
    {"get transfer t", 200, "ok", .fields = "'reversed':'25'"},
    {"get transfer r1", 200, "ok", .fields = "'type':'reversal','reverses':'t'"},
    {DO(REVERSE_N("r2", "t", "36")), 422, "limit_exceeded", "/do/0",
     "at most 35 & 'kind':'transfer','id':'t' & 'reversed':'25'"},
    {DO(REVERSE_N("r3", "t", "10") AND REVERSE_N("r4", "t", "26")), 422, "limit_exceeded", "/do/1",
     "'reversed':'25'"},
    {DO(REVERSE_N("r5", "t", "0")), 422, "amount_invalid", "/do/0"},
    /* Any number until their sum is the amount; without an amount all that is left. */
    {DO(REVERSE_N("r6", "t", "10") AND REVERSE("t")), 201, "ok",
     .fields = "'amount':'10','reversed':'35' & 'amount':'25','reversed':'60'"},
    {DO(REVERSE("t")), 422, "limit_exceeded", "/do/0", "at most 0", .unrecorded = true},
    {DO(REVERSE("r1")), 409, "not_reversible", "/do/0", "'id':'r1'", .unrecorded = true},
    {DO(REVERSE("nothing")), 404, "transfer_not_found", "/do/0", "'current':null",
     .unrecorded = true},
    /* It is a transfer of its own: funds and limits count. */
    {DO(MOVE("t2", "a", "b", "60") AND SEND("b", "world", "60")), 201, "ok"},
    {DO(REVERSE("t2")), 422, "insufficient_funds", "/do/0", "'id':'b'", .unrecorded = true},
    /* A capture is a transfer and can be reversed; so can one of the same commit. */
    {DO(HOLD("h", "a", "b", "40") AND CAPTURE_N("h", "30")), 201, "ok",
     .fields = "'transfer':'~9.1','moved':'30'"},
    {DO(REVERSE("~9.1")), 201, "ok", .fields = "'amount':'30'"},
    {"get transfer ~9.1", 200, "ok", .fields = "'type':'capture','hold':'h' & 'reversed':'30'"},
    {DO(MOVE("t3", "world", "b", "5") AND REVERSE("t3")), 201, "ok", .fields = "'reversed':'5'"},
    {DO(MOVE("t4", "world", "b", "5") AND REVERSE_N("r7", "t4", "1") AND REVERSE("r7")), 409,
     "not_reversible", "/do/2"},
    /* What is not there is asked before the accounts' state; what is left after it. */
    {DO(ACCOUNT_OP("freeze", "b")), 201, "ok"},
    {DO(REVERSE("t")), 423, "account_frozen", "/do/0", .unrecorded = true},
    {NULL},
};

static const struct row holds[] = {
    SET_UP,
    {DO(HOLD("h", "a", "b", "60")), 201, "ok",
     .fields = "'op':'hold','hold':'h','version':1,'state':'open','asset':'USD/2','amount':'60',"
               "'captured':'0','remaining':'60','expires_at':null,"
               "'from':{'account':'a','version':2,'posted':'100','available':'40'},"
               "'to':{'account':'b','version':1,'posted':'0','available':'0'}"},
    {DO(SEND("a", "b", "41")), 422, "insufficient_funds", "/do/0", .unrecorded = true},
    {DO(CAPTURE_N("h", "61")), 422, "limit_exceeded", "/do/0",
     "h has 60 left & 'kind':'hold','id':'h','version':1,'state':'open'", .unrecorded = true},
    {DO(CAPTURE_N("h", "0")), 422, "amount_invalid", "/do/0", .unrecorded = true},
    {DO(CAPTURE_N("h", "20")), 201, "ok",
     .fields = "'op':'capture','transfer':'~3.0','moved':'20','released':'0','hold':'h','version':2,"
               "'state':'open','asset':'USD/2','amount':'60','captured':'20','remaining':'40' & "
               "'posted':'80','available':'40' & 'posted':'20','available':'20'"},
    {DO(CAPTURE_N("h", "5") AND CAPTURE_N("h", "5")), 201, "ok",
     .fields = "'version':3 & 'version':4 & 'captured':'30','remaining':'30'"},
    {DO(CAPTURE_N("h", "31")), 422, "limit_exceeded", "/do/0", .unrecorded = true},
    {DO(FINAL_N("h", "10")), 201, "ok",
     .fields = "'moved':'10','released':'20' & 'state':'captured' & 'captured':'40','remaining':'0' & "
               "'posted':'60','available':'60'"},
    /* One end; a second one answers with the first outcome and changes nothing. */
    {DO(CAPTURE_N("h", "1")), 409, "hold_not_open", "/do/0",
     "h is captured since & 'state':'captured' & 'captured':'40'", .unrecorded = true},
    {DO(VOID("h")), 409, "hold_not_open", "/do/0", "'state':'captured'", .unrecorded = true},
    {DO(OP("extend", "'hold':'h','timeout_ms':5")), 409, "hold_not_open", "/do/0",
     .unrecorded = true},
    {"get hold h", 200, "ok", .fields = "'version':5,'state':'captured'"},
    {DO(HOLD("v", "a", "b", "10") AND CAPTURE_N("v", "4") AND VOID("v")), 201, "ok",
     .fields = "'op':'void','released':'6','hold':'v','version':3,'state':'voided' & "
               "'captured':'4','remaining':'0'"},
    {DO(VOID("v")), 409, "hold_not_open", "/do/0", "'state':'voided'", .unrecorded = true},
    {DO(CAPTURE("v")), 409, "hold_not_open", "/do/0", "4 of 10 were captured & 'state':'voided'",
     .unrecorded = true},
    /* Capturing all that is left ends it, named or not. */
    {DO(HOLD("e", "a", "b", "10")), 201, "ok"},
    {DO(CAPTURE_N("e", "10")), 201, "ok", .fields = "'state':'captured'"},
    {DO(HOLD("g", "a", "b", "10") AND CAPTURE_N("g", "3") AND CAPTURE("g")), 201, "ok",
     .fields = "'moved':'7' & 'state':'captured'"},
    {DO(HOLD("i", "a", "b", "10") AND OP("capture", "'hold':'i','final':true")), 201, "ok",
     .fields = "'moved':'10'"},
    {DO(CAPTURE("nothing")), 404, "hold_not_found", "/do/0", .unrecorded = true},
    {DO(VOID("nothing")), 404, "hold_not_found", "/do/0", .unrecorded = true},
    {DO(OP("extend", "'hold':'nothing','timeout_ms':5")), 404, "hold_not_found", "/do/0",
     .unrecorded = true},
    {DO(OP("hold", SIDES("a", "b", "1"))), 201, "ok", .fields = "'hold':'~11.0'"},
    {DO(VOID("~11.0")), 201, "ok"},
    {NULL},
};

static const struct row hold_expiry[] = {
    SET_UP,
    {DO(HOLD_FOR("h", "a", "b", "60", "1000")), 201, "ok", .at_us = S(10),
     .fields = "'expires_at':'2023-11-14T22:13:31.000000Z'"},
    {DO(CAPTURE_N("h", "10")), 201, "ok", .at_us = S(11) - 1},
    /* Due at this very µs: the expiry is booked first, in the same commit. */
    {DO(SEND("world", "b", "1") AND CAPTURE("h")), 409, "hold_not_open", "/do/1",
     "10 of 60 were captured & 'state':'expired'", .at_us = S(11), .unrecorded = true},
    {"get hold h", 200, "ok", .fields = "'state':'open'"},
    {DO(CAPTURE("h")), 409, "hold_not_open", "/do/0", "'state':'expired'", .key = "k"},
    {"get hold h", 200, "ok", .fields = "'state':'expired' & 'captured':'10','remaining':'0'"},
    {"get commit 4", 200, "ok",
     .fields = "'type':'holdfast.hold.expired','released':'50','hold':'h' & 'available':'90' & "
               "'type':'system.commit.refused','operation':0,'code':'hold_not_open'"},
    {"get account a", 200, "ok", .fields = "'posted':'90','available':'90'"},
    /* In the same commit the money is free again for the operations that follow. */
    {DO(HOLD_FOR("g", "a", "b", "90", "1000")), 201, "ok", .at_us = S(20)},
    {DO(SEND("a", "b", "90")), 422, "insufficient_funds", "/do/0", .at_us = S(22),
     .unrecorded = true},
    {IF("{'hold':'g','state':'expired'}", SEND("a", "b", "90")), 201, "ok", .key = "k2",
     .at_us = S(22), .fields = "'from':{'account':'a','version':7"},
    {"get entries a 0 2", 200, "ok", .fields = "holdfast.transfer.posted & holdfast.hold.expired"},
    /* The timers book what nobody names. */
    {DO(HOLD_FOR("t1", "world", "b", "5", "2000") AND HOLD_FOR("t2", "world", "b", "5", "1000")), 201,
     "ok", .at_us = S(30)},
    {"tick", 0, .at_us = S(32)},
    {"get commit 8", 200, "ok",
     .fields = "'origin':'system' & 'released':'5','hold':'t2' & 'released':'5','hold':'t1'"},
    /* A hold keeps its deadline over a takeover. */
    {DO(HOLD_FOR("u", "world", "b", "5", "1000")), 201, "ok", .at_us = S(40)},
    {"takeover", 0, .at_us = S(50)},
    {DO(VOID("u")), 409, "hold_not_open", "/do/0", "'state':'expired'", .key = "k3"},
    {NULL},
};

static const struct row hold_extension[] = {
    SET_UP,
    {DO(HOLD_FOR("h", "a", "b", "60", "1000") AND HOLD("n", "a", "b", "1")), 201, "ok",
     .at_us = S(10)},
    {DO(OP("extend", "'hold':'h','timeout_ms':500")), 422, "limit_exceeded", "/do/0",
     "to a later time only & 'expires_at':'2023-11-14T22:13:31.000000Z'",
     .at_us = S(10) + MS(400), .unrecorded = true},
    {DO(OP("extend", "'hold':'h','timeout_ms':500")), 422, "limit_exceeded", "/do/0",
     .at_us = S(10) + MS(500), .unrecorded = true},
    {DO(OP("extend", "'hold':'h','timeout_ms':501")), 201, "ok", .at_us = S(10) + MS(500),
     .fields = "'op':'extend','hold':'h','version':2,'state':'open' & "
               "'expires_at':'2023-11-14T22:13:31.001000Z'",
     .absent = "'from'"},
    {DO(CAPTURE_N("h", "1")), 201, "ok", .at_us = S(11), .fields = "'state':'open'"},
    {DO(OP("extend", "'hold':'h','timeout_ms':500")), 409, "hold_not_open", "/do/0",
     .at_us = S(11) + MS(1), .unrecorded = true},
    {DO(OP("extend", "'hold':'n','timeout_ms':500")), 422, "limit_exceeded", "/do/0",
     "n has 1 left and never expires", .unrecorded = true},
    {DO(OP("extend", "'hold':'n','timeout_ms':0")), 400, "invalid_request", "/do/0/timeout_ms"},
    {NULL},
};

#endif
