/* Streams, documents, leases and conditions, as DESIGN §3 and §4 have them. */
#ifndef HF_TESTS_UNIT_CONTRACT_THINGS_H
#define HF_TESTS_UNIT_CONTRACT_THINGS_H

#include "unit/contract_rows.h"

/* One row a case: laid out by hand. */
/* clang-format off */

static const struct row streams[] = {
    {DO(APPEND("s", "e1", "{'n':1}")), 201, "ok",
     .fields = "'results':[{'op':'append','stream':'s','version':1,'id':'e1'}]", .at_us = S(1)},
    {DO(APPEND_NEW("s", "[ 1,2 ]")), 201, "ok",
     .fields = "={'position':2,'time':'2023-11-14T22:13:21.000001Z','results':[{'op':'append',"
               "'stream':'s','version':2}]}"},
    {"get stream s", 200, "ok",
     .fields = "={'id':'s','version':2,'modified_at':'2023-11-14T22:13:21.000001Z'}"},
    {"get events s 1 10", 200, "ok",
     .fields = "={'data':[{'version':1,'id':'e1','type':'x','data':{'n':1},'position':1,"
               "'time':'2023-11-14T22:13:21.000000Z'},{'version':2,'id':null,'type':'x',"
               "'data':[ 1,2 ],'position':2,'time':'2023-11-14T22:13:21.000001Z'}],'next':null}"},
    /* An expected version is the number of events; 0 = it does not exist. */
    {DO(APPEND_AT("s", "1", "3")), 412, "condition_failed", "/do/0",
     "'kind':'stream','id':'s','version':2", .unrecorded = true},
    {DO(APPEND_AT("s", "0", "3")), 412, "condition_failed", "/do/0", .unrecorded = true},
    {DO(APPEND_AT("s", "2", "3") AND APPEND_AT("s", "3", "4")), 201, "ok",
     .fields = "'version':3 & 'version':4"},
    {DO(APPEND_AT("new", "1", "3")), 412, "condition_failed", "/do/0", "'current':null",
     .unrecorded = true},
    {DO(APPEND_AT("new", "0", "3")), 201, "ok", .fields = "'version':1"},
    /* All or none. */
    {DO(APPEND_NEW("s", "5") AND APPEND_AT("s", "9", "6")), 412, "condition_failed", "/do/1",
     "'version':4", .unrecorded = true},
    {"get stream s", 200, "ok", .fields = "'version':4"},
    {"get events s 2 2", 200, "ok", .fields = "'version':2 & 'version':3 & 'next':'4'"},
    {"get events s 4 2", 200, "ok", .fields = "'version':4 & 'next':null"},
    {"get events s 5 2", 200, "ok", .fields = "={'data':[],'next':null}"},
    {"get events none 1 2", 404, "stream_not_found"},
    {DO(OP("append", "'stream':'s','type':'holdfast.x','data':1")), 400, "invalid_request",
     "/do/0/type"},
    {DO(OP("append", "'stream':'s','type':'system.x','data':1")), 400, "invalid_request",
     "/do/0/type"},
    {DO(OP("append", "'stream':'s','type':'x'")), 400, "invalid_request", "/do/0/data"},
    {NULL},
};

static const struct row stream_replay[] = {
    {DO(APPEND("s", "e1", "{'a':1,'b':2}") AND APPEND("s", "e2", "2")), 201, "ok", .at_us = S(1)},
    /* The same id with the same content replays: white space and member order don't count, nor does the
       expected version, for it is tested later. */
    {DO(APPEND("s", "e1", "{ 'b':2, 'a':1 }") AND APPEND("s", "e2", "2")), 201, "ok",
     .replayed = true, .fields = "'version':1,'id':'e1' & 'version':2,'id':'e2'"},
    {DO(OP("append", "'stream':'s','type':'x','id':'e1','expected_version':77,'data':{'a':1,'b':2}")
            AND APPEND("s", "e2", "2")), 201, "ok", .replayed = true},
    {DO(APPEND("s", "e1", "{'a':1,'b':2}")), 409, "partial_replay", "/do/0",
     "'kind':'stream','id':'s','version':2", .unrecorded = true},
    {DO(APPEND("s", "e1", "{'a':1,'b':2}") AND APPEND("s", "e3", "3")), 409, "partial_replay",
     "/do/0", .unrecorded = true},
    {DO(APPEND("s", "e0", "0") AND APPEND("s", "e2", "2")), 409, "partial_replay", "/do/1",
     .unrecorded = true},
    {DO(APPEND("s", "e1", "{'a':1}")), 409, "event_exists", "/do/0", .unrecorded = true},
    {DO(OP("append", "'stream':'s','type':'other','id':'e2','data':2")), 409, "event_exists",
     "/do/0", .unrecorded = true},
    /* One name space of event ids for all streams. */
    {DO(APPEND("t", "e1", "{'a':1,'b':2}")), 409, "event_exists", "/do/0", "'current':null",
     .unrecorded = true},
    {DO(APPEND("t", "e9", "9")), 201, "ok"},
    {DO(APPEND("t", "e1", "{'a':1,'b':2}")), 409, "event_exists", "/do/0", "'id':'t','version':1",
     .unrecorded = true},
    {DO(APPEND("s", "e5", "5") AND APPEND("s", "e5", "5")), 409, "event_exists", "/do/1",
     .unrecorded = true},
    /* A refused event's id is not spent. */
    {DO(OP("append", "'stream':'s','type':'x','id':'e7','expected_version':1,'data':7")), 412,
     "condition_failed", "/do/0", .unrecorded = true},
    {DO(APPEND("s", "e7", "7")), 201, "ok", .fields = "'version':3"},
    /* With another kind of operation, or a condition, the unit is the commit: no partial replay. */
    {DO(APPEND("s", "e7", "7") AND PUT("d", "1")), 409, "event_exists", "/do/0", .unrecorded = true},
    {IF("{'stream':'s','version':3}", APPEND("s", "e7", "7")), 409, "event_exists", "/do/0",
     .unrecorded = true},
    {NULL},
};

static const struct row documents[] = {
    {DO(PUT("d", "{ 'b': 1.0,  'a': [1, 2] }")), 201, "ok", .at_us = S(1),
     .fields = "'results':[{'op':'put','document':'d','version':1}]"},
    {"get document d", 200, "ok", .fields = "={ 'b': 1.0,  'a': [1, 2] }"},
    {DO(PUT_AT("d", "2", "1")), 412, "condition_failed", "/do/0",
     "'kind':'document','id':'d','version':1,'exists':true & 'last_change':{'position':1,'key':null}",
     .unrecorded = true},
    {DO(PUT_AT("d", "0", "1")), 412, "condition_failed", "/do/0", "'version':1", .unrecorded = true},
    /* A patch keeps order and the bytes of values; new members come last, white space between goes. */
    {DO(OP("patch", "'document':'d','expected_version':1,'data':{'c':{'x':null,'y':2},'a':null}")),
     201, "ok", .key = "p", .fields = "'op':'patch','document':'d','version':2"},
    {"get document d", 200, "ok", .fields = "={'b':1.0,'c':{'y':2}}"},
    {"get document d 1", 200, "ok", .fields = "={ 'b': 1.0,  'a': [1, 2] }"},
    {DO(PUT_AT("d", "1", "1")), 412, "condition_failed", "/do/0",
     "'last_change':{'position':2,'key':'p'}", .unrecorded = true},
    {DO(PATCH("d", "{}")), 201, "ok", .fields = "'version':3"},
    {"get document d", 200, "ok", .fields = "={'b':1.0,'c':{'y':2}}"},
    /* Delete counts, and the version goes on across it. */
    {DO(OP("delete", "'document':'d','expected_version':2")), 412, "condition_failed", "/do/0",
     .unrecorded = true},
    {DO(DELETE("d")), 201, "ok", .fields = "'op':'delete','document':'d','version':4"},
    {"get document d", 404, "document_not_found"},
    {"get document d 4", 404, "document_not_found"},
    {"get document d 3", 200, "ok", .fields = "={'b':1.0,'c':{'y':2}}"},
    {DO(DELETE("d")), 404, "document_not_found", "/do/0", .unrecorded = true},
    {DO(PATCH("d", "{'z':1}")), 404, "document_not_found", "/do/0", .unrecorded = true},
    {DO(OP("delete", "'document':'d','expected_version':4")), 412, "condition_failed", "/do/0",
     "'current':null", .unrecorded = true},
    {DO(PUT_AT("d", "4", "1")), 412, "condition_failed", "/do/0", .unrecorded = true},
    {DO(PUT_AT("d", "0", "'new'")), 201, "ok", .fields = "'version':5"},
    {"get document d", 200, "ok", .fields = "='new'"},
    {"get document d 6", 404, "document_not_found"},
    {"get document d 0", 404, "document_not_found"},
    /* A patch of a scalar makes an object. */
    {DO(PATCH("d", "{'k':{'n':null}}")), 201, "ok"},
    {"get document d", 200, "ok", .fields = "={'k':{}}"},
    {DO(PATCH("d", "[null]")), 201, "ok"},
    {"get document d", 200, "ok", .fields = "=[null]"},
    /* Later operations see earlier ones. */
    {DO(PUT("e", "{'a':1}") AND PATCH("e", "{'b':2}") AND OP("patch", "'document':'e',"
        "'expected_version':2,'data':{'a':null}") AND DELETE("e") AND PUT_AT("e", "0", "[]")), 201,
     "ok", .fields = "'version':1 & 'version':2 & 'version':3 & 'version':4 & 'version':5"},
    {"get document e 3", 200, "ok", .fields = "={'b':2}"},
    {"get document e", 200, "ok", .fields = "=[]"},
    {DO(DELETE("never")), 404, "document_not_found", "/do/0", .unrecorded = true},
    {DO(OP("delete", "'document':'never','expected_version':0")), 404, "document_not_found",
     "/do/0", .unrecorded = true},
    {DO(PUT("d", "nul")), 400, "invalid_request"},
    {NULL},
};

static const struct row leases[] = {
    SET_UP,
    {DO(ACQUIRE("l", "w1", "1000")), 201, "ok", .at_us = S(10),
     .fields = "{'op':'acquire','lease':'l','owner':'w1','token':2,"
               "'expires_at':'2023-11-14T22:13:31.000000Z'}"},
    {"get lease l", 200, "ok", .fields = "'id':'l','held':true,'owner':'w1','token':2"},
    {DO(ACQUIRE("l", "w2", "1000")), 409, "lease_held", "/do/0",
     "l is held by w1 with token 2 & 'kind':'lease','id':'l','held':true,'owner':'w1','token':2",
     .unrecorded = true},
    {DO(ACQUIRE("l", "w1", "1000")), 409, "lease_held", "/do/0", .unrecorded = true},
    {IF("{'lease':'l','token':2}", SEND("a", "b", "1")), 201, "ok"},
    {IF("{'lease':'l','token':3}", SEND("a", "b", "1")), 412, "fenced", "/if/0",
     "'owner':'w1','token':2", .unrecorded = true},
    /* A renewal keeps the token; without a ttl it is the one asked for last. */
    {DO(RENEW("l", "2")), 201, "ok", .at_us = S(10) + MS(900),
     .fields = "'op':'renew','lease':'l','owner':'w1','token':2,"
               "'expires_at':'2023-11-14T22:13:31.900000Z'"},
    {DO(OP("renew", "'lease':'l','token':2,'ttl_ms':5000")), 201, "ok", .at_us = S(11),
     .fields = "'expires_at':'2023-11-14T22:13:36.000000Z'"},
    {DO(RENEW("l", "2")), 201, "ok", .at_us = S(12),
     .fields = "'expires_at':'2023-11-14T22:13:37.000000Z'"},
    {DO(RENEW("l", "9")), 412, "fenced", "/do/0", "'token':2", .unrecorded = true},
    {DO(RELEASE("l", "9")), 412, "fenced", "/do/0", .unrecorded = true},
    /* An expired lease is fenced even if nobody took it. */
    {IF("{'lease':'l','token':2}", SEND("a", "b", "1")), 201, "ok", .at_us = S(17) - 1},
    {IF("{'lease':'l','token':2}", SEND("a", "b", "1")), 412, "fenced", "/if/0", "Nobody holds",
     .at_us = S(17), .unrecorded = true},
    {DO(RENEW("l", "2")), 412, "fenced", "/do/0", "'current':", .unrecorded = true},
    {DO(ACQUIRE("l", "w2", "1000")), 201, "ok", .at_us = S(20), .fields = "'token':8"},
    {IF("{'lease':'l','token':2}", SEND("a", "b", "1")), 412, "fenced", "/if/0", "'owner':'w2'",
     .unrecorded = true},
    {DO(RELEASE("l", "8")), 201, "ok", .fields = "'op':'release','lease':'l','owner':'w2','token':8"},
    {"get lease l", 200, "ok", .fields = "'held':false"},
    {DO(RELEASE("l", "8")), 412, "fenced", "/do/0", "'current':null", .unrecorded = true},
    {DO(RENEW("never", "8")), 412, "fenced", "/do/0", "'current':null", .unrecorded = true},
    {"get lease never", 404, "lease_not_found"},
    /* Tokens grow for ever, and a lease can change hands inside a commit. */
    {DO(ACQUIRE("l", "w3", "1000") AND RELEASE("l", "10") AND ACQUIRE("l", "w4", "1000")), 201, "ok",
     .fields = "'owner':'w3','token':10 & 'owner':'w4','token':10"},
    /* The timers expire it; a takeover gives every held lease one fresh term. */
    {"tick", 0, .at_us = S(22)},
    {"get lease l", 200, "ok", .fields = "'held':false"},
    {DO(ACQUIRE("l", "w5", "10000")), 201, "ok", .at_us = S(30), .fields = "'token':12"},
    {"takeover", 0, .at_us = S(60)},
    {IF("{'lease':'l','token':12}", SEND("a", "b", "1")), 201, "ok", .at_us = S(70) - 1},
    {IF("{'lease':'l','token':12}", SEND("a", "b", "1")), 412, "fenced", "/if/0", .at_us = S(70),
     .unrecorded = true},
    {DO(ACQUIRE("m", "w1", "86400001")), 400, "invalid_request", "/do/0/ttl_ms"},
    {DO(OP("acquire", "'lease':'m','owner':'w 1','ttl_ms':1")), 400, "invalid_request",
     "/do/0/owner"},
    {NULL},
};

#define AVAILABLE(a, test) "{'account':'" a "','available':{" test "}}"
#define POSTED(a, test)    "{'account':'" a "','posted':{" test "}}"
#define TOUCH              PUT("touched", "1")

static const struct row conditions[] = {
    SET_UP,
    {DO(HOLD("h", "a", "b", "30") AND PUT("d", "1") AND APPEND_NEW("s", "1")), 201, "ok",
     .at_us = S(2)},
    {IF(AVAILABLE("a", "'eq':'70'") AND POSTED("a", "'eq':'100'"), TOUCH), 201, "ok"},
    {IF(AVAILABLE("a", "'eq':70"), TOUCH), 201, "ok"},
    {IF(AVAILABLE("a", "'eq':'71'"), TOUCH), 412, "condition_failed", "/if/0",
     "posted 100 and available 70 & 'kind':'account','id':'a','version':2", .unrecorded = true},
    {IF(AVAILABLE("a", "'gt':'69'"), TOUCH), 201, "ok"},
    {IF(AVAILABLE("a", "'gt':'70'"), TOUCH), 412, "condition_failed", "/if/0", .unrecorded = true},
    {IF(AVAILABLE("a", "'gte':'70'"), TOUCH), 201, "ok"},
    {IF(AVAILABLE("a", "'gte':'71'"), TOUCH), 412, "condition_failed", "/if/0", .unrecorded = true},
    {IF(AVAILABLE("a", "'lt':'71'"), TOUCH), 201, "ok"},
    {IF(AVAILABLE("a", "'lt':'70'"), TOUCH), 412, "condition_failed", "/if/0", .unrecorded = true},
    {IF(AVAILABLE("a", "'lte':'70'"), TOUCH), 201, "ok"},
    {IF(AVAILABLE("a", "'lte':'69'"), TOUCH), 412, "condition_failed", "/if/0", .unrecorded = true},
    {IF(AVAILABLE("a", "'gte':'60','lt':'70'"), TOUCH), 412, "condition_failed", "/if/0",
     .unrecorded = true},
    {IF(AVAILABLE("world", "'lt':'-99'"), TOUCH), 201, "ok"},
    {IF(AVAILABLE("nobody", "'gte':'0'"), TOUCH), 412, "condition_failed", "/if/0",
     "'current':null", .unrecorded = true},
    {IF(AVAILABLE("a", ""), TOUCH), 400, "invalid_request", "/if/0/available"},
    {IF(AVAILABLE("a", "'ne':'1'"), TOUCH), 400, "invalid_request", "/if/0/available/ne"},
    {IF("{'account':'a','version':2}", TOUCH), 201, "ok"},
    {IF("{'account':'a','version':1}", TOUCH), 412, "condition_failed", "/if/0", .unrecorded = true},
    {IF("{'account':'nobody','version':0}", TOUCH), 412, "condition_failed", "/if/0",
     .unrecorded = true},
    {IF("{'stream':'s','version':1} , {'document':'d','version':1}", TOUCH), 201, "ok"},
    {IF("{'stream':'s','version':1} , {'document':'d','version':2}", TOUCH), 412,
     "condition_failed", "/if/1", "'kind':'document'", .unrecorded = true},
    {IF("{'stream':'s','version':0}", TOUCH), 412, "condition_failed", "/if/0", .unrecorded = true},
    {IF("{'account':'a','modified_at':'2023-11-14T22:13:22.000000Z'}", TOUCH), 201, "ok"},
    {IF("{'stream':'s','modified_at':'2023-11-14T22:13:22Z'}", TOUCH), 201, "ok"},
    {IF("{'document':'d','modified_at':'2023-11-14T22:13:22.000001Z'}", TOUCH), 412,
     "condition_failed", "/if/0", .unrecorded = true},
    {IF("{'account':'a','exists':true},{'stream':'s','exists':true},{'document':'d','exists':true},"
        "{'transfer':'fund','exists':true}", TOUCH), 201, "ok"},
    {IF("{'account':'n','exists':false},{'stream':'n','exists':false},"
        "{'document':'n','exists':false},{'transfer':'n','exists':false}", TOUCH), 201, "ok"},
    {IF("{'account':'a','exists':false}", TOUCH), 412, "condition_failed", "/if/0",
     .unrecorded = true},
    {IF("{'transfer':'fund','exists':false}", TOUCH), 412, "condition_failed", "/if/0",
     "fund exists & 'kind':'transfer','id':'fund'", .unrecorded = true},
    {IF("{'transfer':'n','exists':true}", TOUCH), 412, "condition_failed", "/if/0",
     "'current':null", .unrecorded = true},
    {DO(DELETE("touched")), 201, "ok"},
    {IF("{'document':'touched','exists':false}", PUT("other", "1")), 201, "ok"},
    {IF("{'hold':'h','state':'open'}", TOUCH), 201, "ok"},
    {IF("{'hold':'h','state':'voided'}", TOUCH), 412, "condition_failed", "/if/0",
     "h is open & 'kind':'hold','id':'h'", .unrecorded = true},
    {DO(VOID("h")), 201, "ok"},
    {IF("{'hold':'h','state':'voided'}", TOUCH), 201, "ok"},
    {IF("{'hold':'none','state':'open'}", TOUCH), 412, "condition_failed", "/if/0",
     "'current':null", .unrecorded = true},
    {IF("{'hold':'h','state':'gone'}", TOUCH), 400, "invalid_request", "/if/0/state"},
    {IF("{'account':'a'}", TOUCH), 400, "invalid_request", "/if/0"},
    {IF("{'version':1}", TOUCH), 400, "invalid_request", "/if/0"},
    {IF("{'account':'a','stream':'s','version':1}", TOUCH), 400, "invalid_request", "/if/0"},
    {IF("{'account':'a','token':1}", TOUCH), 400, "invalid_request", "/if/0"},
    {IF("{'account':'a','version':1,'token':1}", TOUCH), 400, "invalid_request", "/if/0/token"},
    /* Conditions are tested before any operation of their commit. */
    {IF("{'account':'a','version':3}", SEND("a", "b", "1") AND SEND("a", "b", "1")), 201, "ok"},
    {NULL},
};

#endif
