/* Publishing: ids, delays, arrival in order, as DESIGN §3 to §5 have them. */
#ifndef HF_TESTS_UNIT_CONTRACT_MESSAGES_H
#define HF_TESTS_UNIT_CONTRACT_MESSAGES_H

#include "unit/contract_rows.h"

/* One row a case: laid out by hand. */
/* clang-format off */

#define PUBLISH_AS(topic, key, members) \
    OP("publish", "'topic':'" topic "','key':'" key "','type':'paid'," members)
#define PUBLISH(topic, key, data)    PUBLISH_AS(topic, key, "'data':" data)
#define MESSAGE(id, topic, key, data) PUBLISH_AS(topic, key, "'id':'" id "','data':" data)
#define LATER(topic, key, at, data)  PUBLISH_AS(topic, key, "'deliver_at':'" at "','data':" data)

static const struct row publishing[] = {
    {DO(PUBLISH("refunds", "order-7", "{ 'n':1 }")), 201, "ok",
     .fields = "={'position':1,'time':'2023-11-14T22:13:21.000000Z','results':[{'op':'publish',"
               "'topic':'refunds','message':'1-0'}]}", .at_us = S(1)},
    /* A message's place is its event's: an effect before it counts. */
    {DO(OPEN("a") AND MESSAGE("m1", "refunds", "order-7", "2") AND PUBLISH("mail", "a@b.c", "null")), 201, "ok",
     .fields = "{'op':'publish','topic':'refunds','message':'2-1','id':'m1'} & "
               "{'op':'publish','topic':'mail','message':'2-2'}"},
    {"get commit 2", 200, "ok",
     .fields = "'message':'2-1','id':'m1','key':'order-7','event':'paid','data':2"},
    /* Names, keys, types. */
    {DO(OP("publish", "'topic':'t','key':'k','data':1")), 400, "invalid_request", "/do/0/type"},
    {DO(OP("publish", "'topic':'t','type':'x','data':1")), 400, "invalid_request", "/do/0/key"},
    {DO(OP("publish", "'key':'k','type':'x','data':1")), 400, "invalid_request", "/do/0/topic"},
    {DO(OP("publish", "'topic':'t','key':'k','type':'x'")), 400, "invalid_request", "/do/0/data"},
    {DO(PUBLISH("a b", "k", "1")), 400, "invalid_request", "/do/0/topic"},
    {DO(PUBLISH("t", "", "1")), 400, "invalid_request", "/do/0/key"},
    {DO(PUBLISH("t", "a b", "1")), 400, "invalid_request", "/do/0/key"},
    {DO(PUBLISH_AS("t", "k", "'id':' ','data':1")), 400, "invalid_request", "/do/0/id"},
    {DO(OP("publish", "'topic':'t','key':'k','type':'holdfast.x','data':1")), 400, "invalid_request", "/do/0/type"},
    {DO(OP("publish", "'topic':'t','key':'k','type':'system.x','data':1")), 400, "invalid_request", "/do/0/type"},
    {DO(PUBLISH_AS("t", "k", "'data':1,'stream':'s'")), 400, "invalid_request", "/do/0/stream"},
    {DO(LATER("t", "k", "tomorrow", "1")), 400, "invalid_request", "/do/0/deliver_at"},
    {DO(OP("append", "'stream':'s','type':'x','data':1,'key':'k'")), 400, "invalid_request", "/do/0/key"},
    /* What has a route of its own is no operation of a commit. */
    {DO(OP("receive", "'subscription':'s'")), 400, "invalid_request", "/do/0/op"},
    {DO(OP("redrive", "'subscription':'s'")), 400, "invalid_request", "/do/0/op"},
    {DO(OP("put_subscription", "'subscription':'s'")), 400, "invalid_request", "/do/0/op"},
    /* All or none, as everything. */
    {DO(MESSAGE("m2", "t", "k", "1") AND SEND("a", "none", "1")), 404, "account_not_found", "/do/1", .unrecorded = true},
    {DO(MESSAGE("m2", "t", "k", "1")), 201, "ok", .fields = "'message':'3-0'"},
    {DO(PUBLISH("t", "k", "1")), 200, "ok", .fields = "'position':null & 'message':'4-0'", .dry_run = true},
    {NULL},
};

static const struct row message_ids[] = {
    {DO(MESSAGE("m1", "t", "k", "{'a':1,'b':2}") AND MESSAGE("m2", "t", "k", "2")), 201, "ok", .at_us = S(1)},
    /* The same id with the same content replays: white space and member order don't count. */
    {DO(MESSAGE("m1", "t", "k", "{ 'b':2, 'a':1 }") AND MESSAGE("m2", "t", "k", "2")), 201, "ok",
     .replayed = true, .fields = "'message':'1-0','id':'m1' & 'message':'1-1','id':'m2'"},
    {DO(MESSAGE("m1", "t", "k", "{'a':1,'b':2}")), 409, "partial_replay", "/do/0",
     "'kind':'message','id':'m1','topic':'t','message':'1-0'", .unrecorded = true},
    {DO(MESSAGE("m1", "t", "k", "{'a':1,'b':2}") AND MESSAGE("m3", "t", "k", "3")), 409, "partial_replay", "/do/0",
     .unrecorded = true},
    {DO(MESSAGE("m0", "t", "k", "0") AND MESSAGE("m2", "t", "k", "2")), 409, "partial_replay", "/do/1",
     "'message':'1-1'", .unrecorded = true},
    /* Topic, key, type, data and deliver_at are the content. */
    {DO(MESSAGE("m1", "t", "k", "{'a':1}")), 409, "message_exists", "/do/0", "'message':'1-0'", .unrecorded = true},
    {DO(MESSAGE("m2", "u", "k", "2")), 409, "message_exists", "/do/0", "'topic':'t'", .unrecorded = true},
    {DO(MESSAGE("m2", "t", "other", "2")), 409, "message_exists", "/do/0", .unrecorded = true},
    {DO(OP("publish", "'topic':'t','key':'k','type':'other','id':'m2','data':2")), 409, "message_exists", "/do/0",
     .unrecorded = true},
    {DO(PUBLISH_AS("t", "k", "'id':'m2','deliver_at':'2030-01-01T00:00:00Z','data':2")), 409, "message_exists", "/do/0",
     .unrecorded = true},
    {DO(MESSAGE("m5", "t", "k", "5") AND MESSAGE("m5", "t", "k", "5")), 409, "message_exists", "/do/1", "'current':null",
     .unrecorded = true},
    /* A name space of its own: not that of stream events, transfers, documents. */
    {DO(APPEND("s", "m1", "1")), 201, "ok"},
    {DO(MESSAGE("e1", "t", "k", "1") AND APPEND("s", "e1", "1")), 201, "ok"},
    /* With another kind of operation the unit is the commit. */
    {DO(MESSAGE("e1", "t", "k", "1") AND PUT("d", "1")), 409, "message_exists", "/do/0", .unrecorded = true},
    {DO(MESSAGE("e1", "t", "k", "1") AND APPEND("s", "e1", "1")), 201, "ok", .replayed = true},
    /* A refused message's id is not spent; recorded under a key it replays by the key. */
    {DO(MESSAGE("m7", "t", "k", "7") AND VOID("none")), 404, "hold_not_found", "/do/1", .key = "k1"},
    {DO(MESSAGE("m7", "t", "k", "7") AND VOID("none")), 404, "hold_not_found", "/do/1", .key = "k1", .replayed = true},
    {DO(MESSAGE("m7", "t", "k", "7")), 201, "ok"},
    /* 128 bits of a name: the hexadecimal form is folded. */
    {DO(MESSAGE("AAAAAAAA-bbbb-CCCC-dddd-0123456789EF", "t", "k", "1")), 201, "ok",
     .fields = "'id':'aaaaaaaa-bbbb-cccc-dddd-0123456789ef'"},
    {DO(MESSAGE("aaaaaaaa-BBBB-cccc-dddd-0123456789ef", "t", "k", "1")), 201, "ok", .replayed = true},
    {NULL},
};

/* An effect with an id, and an ack: the ack's receipt counts as a name. These receipts are of a subscription that is
 * not there; what matters here is what is refused and when. */
#define RECEIPT "AQEBAQEAAQEBAQEBAQEBAQEBAQEBAWu8DYI"

static const struct row receipts[] = {
    {DO(OPEN("a")), 201, "ok", .at_us = S(1), .key = "k1"},
    {DO(OPEN("a")), 201, "ok", .key = "k1", .replayed = true},
    {DO(OP("ack", "'subscription':'s'")), 400, "invalid_request", "/do/0/receipt"},
    {DO(OP("ack", "'receipt':'x'")), 400, "invalid_request", "/do/0/subscription"},
    {DO(OP("ack", "'subscription':'s','receipt':'x'")), 400, "invalid_request", "/do/0/receipt"},
    {DO(OP("ack", "'subscription':'s','receipt':'" RECEIPT "A'")), 400, "invalid_request", "/do/0/receipt"},
    {DO(OP("ack", "'subscription':'s','receipt':'" RECEIPT "','delay_ms':1")), 400, "invalid_request", "/do/0/delay_ms"},
    {DO(OP("nack", "'subscription':'s','receipt':'" RECEIPT "','delay_ms':86400001")), 400, "invalid_request",
     "/do/0/delay_ms"},
    {DO(OP("ack", "'subscription':'s','receipt':'" RECEIPT "'")), 404, "subscription_not_found", "/do/0",
     .unrecorded = true},
    {DO(OP("nack", "'subscription':'s','receipt':'" RECEIPT "','delay_ms':5,'error':'no'")), 404,
     "subscription_not_found", "/do/0", .unrecorded = true},
    {IF("{'subscription':'s'}", OPEN("b")), 400, "invalid_request", "/if/0"},
    {IF("{'subscription':'s','receipt':'x'}", OPEN("b")), 400, "invalid_request", "/if/0/receipt"},
    {IF("{'subscription':'s','version':1}", OPEN("b")), 400, "invalid_request", "/if/0"},
    {IF("{'account':'a','exists':true,'receipt':'" RECEIPT "'}", OPEN("b")), 400, "invalid_request", "/if/0/receipt"},
    {IF("{'subscription':'s','receipt':'" RECEIPT "'}", OPEN("b")), 412, "condition_failed", "/if/0", .unrecorded = true},
    {NULL},
};

static const struct row delayed_messages[] = {
    {DO(LATER("t", "k", "2023-11-14T22:13:31Z", "1") AND PUBLISH("t", "k", "0") AND LATER("t", "k", "2023-11-14T22:13:30Z", "2")), 201,
     "ok", .fields = "{'op':'publish','topic':'t','message':'1-0','deliver_at':'2023-11-14T22:13:31.000000Z'} & "
                     "'message':'1-2','deliver_at':'2023-11-14T22:13:30.000000Z'", .at_us = S(1)},
    /* In the past, and now, is at once. */
    {DO(LATER("t", "k", "2000-01-01T00:00:00Z", "3")), 201, "ok", .absent = "deliver_at", .at_us = S(2)},
    {DO(LATER("t", "k", "2023-11-14T22:13:23Z", "3")), 201, "ok", .absent = "deliver_at", .at_us = S(3)},
    /* At most ten years ahead. */
    {DO(LATER("t", "k", "2034-01-01T00:00:00Z", "3")), 422, "limit_exceeded", "/do/0", .unrecorded = true},
    {DO(LATER("t", "k", "2033-11-01T00:00:00Z", "3")), 201, "ok", .fields = "'deliver_at'"},
    {DO(LATER("t", "k", "2023-11-14T22:13:30Z", "4") AND LATER("t", "k", "2023-11-14T22:13:40Z", "5")), 201, "ok"},
    {"get commit 6", 404, "commit_not_found"},
    /* The due ones in the order of their times, then of their places; each is told once. */
    {"tick", 0, "ok", .at_us = S(11)},
    {"get commit 6", 200, "ok", .fields = "'type':'system.message.due','topic':'t','message':'1-2','key':'k' & "
                                          "'message':'5-0' & 'message':'1-0'", .absent = "'message':'5-1'"},
    {"takeover", 0, "ok"},
    {"tick", 0, "ok", .at_us = S(20)},
    {"get commit 8", 200, "ok", .fields = "'message':'5-1'", .absent = "'message':'1-0'"},
    /* What is opened behind a message that waits, or before it: each takes its own memory. */
    {DO(LATER("t", "k", "2023-11-14T22:14:00Z", "6") AND OPEN("a") AND HOLD("h", "a", "b", "0")), 422, "amount_invalid",
     "/do/2", .key = "k1"},
    {DO(LATER("t", "k", "2023-11-14T22:14:00Z", "6") AND OPEN("a") AND LATER("t", "k", "2023-11-14T22:13:50Z", "7") AND
        APPEND("s", "e1", "1") AND LATER("t", "k", "2023-11-14T22:14:00Z", "8")), 201, "ok"},
    {"get account a", 200, "ok"},
    {"get stream s", 200, "ok", .fields = "'version':1"},
    {"tick", 0, "ok", .at_us = S(60)},
    {"get commit 11", 200, "ok", .fields = "'message':'10-2' & 'message':'10-0' & 'message':'10-4'"},
    {NULL},
};

#endif
