/* The door: what a request must carry, in which order it is refused, and that every resource works. */
#include "unit/door_rig.h"

#include "unit/support.h"

static struct door_rig rig;

static int setup(void **state)
{
    (void)state;
    door_rig_init(&rig);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    door_rig_release(&rig);
    return 0;
}

#define RUN(rows) door_rig_rows(&rig, rows, HF_ARRAY_COUNT(rows))

/* clang-format off */
static const struct door_row opening[] = {
    {{"PUT /v1/accounts/world", NULL, "{'asset':'USD/2','floor':null}"}, 201, "{'position':", "Location: /v1/accounts/world", "ETag: '0'"},
    {{"PUT /v1/accounts/a", NULL, "{'asset':'USD/2'}"}, 201, "'op':'open_account'", "Holdfast-Position: ", NULL},
    {{"PUT /v1/accounts/b", NULL, "{'asset':'USD/2'}"}, 201, NULL, NULL, NULL},
    {{"POST /v1/transfers", NULL, "{'id':'fund','from':'world','to':'a','asset':'USD/2','amount':'1000'}"}, 201, "'transfer':'fund'", "Location: /v1/transfers/fund", NULL},
};
/* clang-format on */

static void open_accounts(void)
{
    RUN(opening);
}

static void accounts(void **state)
{
    (void)state;
    open_accounts();
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"PUT /v1/accounts/a", NULL, "{ 'floor':0, 'asset':'USD/2'}"}, 200, "'op':'open_account'", "Idempotent-Replayed: true", NULL},
        {{"PUT /v1/accounts/k", "Idempotency-Key: o1", "{'asset':'USD/2','metadata':{'a':1,'b':[2]}}"}, 201, "'account':'k'", "!Replayed", NULL},
        {{"PUT /v1/accounts/k", "Idempotency-Key: o1", "{'asset':'USD/2','metadata':{'b':[2],'a':1}}"}, 201, "'account':'k'", "Idempotent-Replayed: true", NULL},
        {{"PUT /v1/accounts/k", "Idempotency-Key: o2", "{'asset':'USD/2','metadata':{ 'b':[2],'a':1}}"}, 200, "'account':'k'", "Holdfast-Position: 7", "Idempotent-Replayed: true"},
        {{"PUT /v1/accounts/k", "Idempotency-Key: o2", "{'asset':'USD/2','metadata':{'a':1,'b':[2]}}"}, 200, "{'position':7,", NULL, "Idempotent-Replayed: true"},
        {{"PUT /v1/accounts/k", "Idempotency-Key: o2", "{'asset':'USD/2'}"}, 422, "idempotency_key_reused", NULL, NULL},
        {{"PUT /v1/accounts/k", "Idempotency-Key: o3", "{'asset':'USD/2'}"}, 409, "account_exists", NULL, NULL},
        {{"PUT /v1/accounts/k", NULL, "{'asset':'USD/2','metadata':{'a':1,'b':2}}"}, 409, "account_exists", NULL, NULL},
        {{"PUT /v1/accounts/a", NULL, "{'asset':'EUR/2'}"}, 409, "'code':'account_exists'", "!Idempotent", NULL},
        {{"PUT /v1/accounts/a", NULL, "{'asset':'USD/2','metadata':{}}"}, 409, "'current':{'kind':'account'", NULL, NULL},
        {{"PUT /v1/accounts/a", "If-None-Match: *", "{'asset':'USD/2'}"}, 412, "'kind':'account','id':'a','version':1", NULL, NULL},
        {{"GET /v1/accounts/a", NULL, NULL}, 200, "'available':'1000'", "ETag: '1'", "Holdfast-Position: "},
        {{"GET /v1/accounts/a", "If-None-Match: '1'", NULL}, 304, NULL, "ETag: '1'", NULL},
        {{"GET /v1/accounts/a", "If-None-Match: W/'1', '7'", NULL}, 304, NULL, NULL, NULL},
        {{"GET /v1/accounts/a", "If-None-Match: '2'", NULL}, 200, NULL, NULL, NULL},
        {{"GET /v1/accounts/a", "If-Match: '2'", NULL}, 412, "condition_failed", "ETag: '1'", NULL},
        {{"GET /v1/accounts/nobody", NULL, NULL}, 404, "account_not_found", "Holdfast-Position", NULL},
        {{"PATCH /v1/accounts/a", NULL, "{'floor':'-5'}"}, 428, "precondition_required", NULL, NULL},
        {{"PATCH /v1/accounts/a", "If-Match: '1'", "{'floor':'-5','metadata':{'x':1},'state':'frozen'}"}, 200, "'op':'freeze','account':'a','version':4,'floor':'-5'", "ETag: '4'", "!Location"},
        {{"PATCH /v1/accounts/a", "If-Match: '1'", "{'state':'open'}"}, 412, "'version':4", NULL, NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: p1", "{'state':'open'}"}, 200, "'op':'unfreeze'", "!Replayed", NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: 'p1'", "{ 'state' : 'open' }"}, 200, "'op':'unfreeze'", "Idempotent-Replayed: true", NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: p2", "{}"}, 400, "nothing to change", NULL, NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: p2", "{'state':'melted'}"}, 400, "'failed':'/state'", NULL, NULL},
        {{"PATCH /v1/accounts/nobody", "If-Match: *", "{'floor':'1'}"}, 412, "'current':null", NULL, NULL},
        {{"PATCH /v1/accounts/nobody", "Idempotency-Key: p3", "{'floor':'1'}"}, 404, "account_not_found", NULL, NULL},
        {{"PATCH /v1/accounts/b", "If-Match: '0'", "{'state':'closed'}"}, 200, "'state':'closed'", "ETag: '1'", NULL},
        {{"GET /v1/accounts/a/entries?limit=2", NULL, NULL}, 200, "'next':'", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

/* ---- transfers and holds ---- */

static void transfers(void **state)
{
    (void)state;
    open_accounts();
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"POST /v1/transfers", NULL, "{'id':'t1','from':'a','to':'b','asset':'USD/2','amount':'10'}"}, 201, "'transfer':'t1','asset':'USD/" "2','amount':'10','from':{'account':'a','version':2,'posted':'990'", "Location: /v1/transfers/t1", "!Replayed"},
        {{"POST /v1/transfers", NULL, "{'amount':10,'id':'t1','from':'a','to':'b','asset':'USD/2'}"}, 201, "'posted':'990'", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/transfers", NULL, "{'id':'t1','from':'a','to':'b','asset':'USD/2','amount':'11'}"}, 409, "transfer_exists", "!Replayed", NULL},
        /* the same transfer through another door: the answer in the form of the door that asks */
        {{"POST /v1/commits", NULL, "{'do':[{'op':'transfer','id':'t1','from':'a','to':'b','asset':'USD/2','amount':'10'}]}"}, 201, "'results':[{'op':'transfer','transfer':'t1'", "Idempotent-Replayed: true", "Location: /v1/commits/"},
        {{"POST /v1/transfers", NULL, "{'from':'a','to':'b','asset':'USD/2','amount':'10'}"}, 400, "idempotency_key_missing", NULL, NULL},
        {{"POST /v1/transfers", "Idempotency-Key: k1", "{'from':'a','to':'b','asset':'USD/2','amount':'10'}"}, 201, "'transfer':'~", "Location: /v1/transfers/~", NULL},
        {{"POST /v1/transfers", "Idempotency-Key: 'k1'", "{'from':'a','to':'b','asset':'USD/2','amount':'10'}"}, 201, "'transfer':'~", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/transfers", "Idempotency-Key: k1", "{'from':'a','to':'b','asset':'USD/2','amount':'12'}"}, 422, "idempotency_key_reused", NULL, NULL},
        {{"POST /v1/commits", "Idempotency-Key: k1", "{'do':[{'op':'transfer','from':'a','to':'b','asset':'USD/2','amount':'10'}]}"}, 422, "idempotency_key_reused", NULL, NULL},
        {{"POST /v1/transfers", NULL, "{'id':'t2','from':'a','to':'b','asset':'USD/2','amount':'5000'}"}, 422, "'code':'insufficient_funds','current':{'kind':'account','id':'a'", "Holdfast-Position", "!Replayed"},
        {{"POST /v1/transfers", NULL, "{'id':'t2','from':'a','to':'b','asset':'USD/2','amount':'5000'}"}, 422, "'instance':'/v1/commits/", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/transfers", NULL, "{'id':'t2','from':'a','to':'b','asset':'USD/2','amount':'1'}"}, 409, "transfer_exists", NULL, NULL},
        {{"POST /v1/transfers", NULL, "{'id':'t3','from':'a','to':'b','asset':'USD/2','amount':'0'}"}, 422, "amount_invalid", NULL, NULL},
        {{"POST /v1/transfers", NULL, "{'id':'t4','from':'a','to':'b','asset':'USD/2','amount':'-1'}"}, 400, "'failed':'/amount'", NULL, NULL},
        {{"POST /v1/transfers", NULL, "{'id':'t4','from':'a','to':'b','asset':'USD/2','amount':'1.5'}"}, 400, "'failed':'/amount'", NULL, NULL},
        {{"POST /v1/transfers", NULL, "{'id':'t4','from':'a','to':'b','asset':'USD/2','amount':'01'}"}, 400, "'failed':'/amount'", NULL, NULL},
        {{"POST /v1/transfers", NULL, "{'id':'t4','from':'a','to':'b','asset':'USD/2','amount':9007199254740992}"}, 400, "'failed':'/amount'", NULL, NULL},
        {{"POST /v1/transfers", NULL, "{'id':'t4','from':'a','to':'b','asset':'USD/2','amount':'340282366920938463463374607431768211456'}"}, 400, "'failed':'/amount'", NULL, NULL},
        {{"POST /v1/transfers", NULL, "{'id':'t4','from':'a','to':'a','asset':'USD/2','amount':'1'}"}, 400, "'failed':'/to'", NULL, NULL},
        {{"POST /v1/transfers", NULL, "{'id':'t4','from':'a','to':'b','asset':'usd','amount':'1'}"}, 400, "'failed':'/asset'", NULL, NULL},
        {{"POST /v1/transfers", NULL, "{'id':'t4','from':'a','to':'b','asset':'USD/2','amount':'1','op':'transfer'}"}, 400, "'failed':'/op'", NULL, NULL},
        {{"POST /v1/transfers", NULL, "{'id':'t4','from':'a','to':'b','asset':'USD/2','amount':'1','expected_version':1}"}, 400, "'failed':'/expected_version'", NULL, NULL},
        {{"POST /v1/transfers", NULL, "{'id':'t4','from':'a','to':'b','asset':'USD/2','amount':'1'"}, 400, "invalid_request", "!failed", NULL},
        {{"POST /v1/transfers", "If-Match: '1'", "{'id':'t4','from':'a','to':'b','asset':'USD/2','amount':'1'}"}, 400, "not tested here", NULL, NULL},
        {{"POST /v1/transfers/t1/reverse", NULL, NULL}, 400, "idempotency_key_missing", NULL, NULL},
        {{"POST /v1/transfers/t1/reverse", NULL, "{'id':'r1','amount':'4'}"}, 201, "'op':'reverse','transfer':'r1','reverses':'t1'", "Location: /v1/transfers/r1", NULL},
        {{"POST /v1/transfers/t1/reverse", "Idempotency-Key: r2", NULL}, 201, "'amount':'6'", "Location: /v1/transfers/~", NULL},
        {{"POST /v1/transfers/t1/reverse", "Idempotency-Key: r3", NULL}, 422, "'code':'limit_exceeded','current':{'kind':'transfer'", NULL, NULL},
        {{"POST /v1/transfers/none/reverse", "Idempotency-Key: r4", NULL}, 404, "transfer_not_found", NULL, NULL},
        {{"POST /v1/transfers/t1/reverse", "Idempotency-Key: r5", "{'transfer':'t1'}"}, 400, "'failed':'/transfer'", NULL, NULL},
        {{"GET /v1/transfers/t1", NULL, NULL}, 200, "'reversed':'10'", "!ETag", NULL},
        {{"GET /v1/transfers/none", NULL, NULL}, 404, "transfer_not_found", NULL, NULL},
        {{"GET /v1/transfers/-", NULL, NULL}, 400, "no name", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

static void holds(void **state)
{
    (void)state;
    open_accounts();
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"POST /v1/holds", NULL, "{'id':'h1','from':'a','to':'b','asset':'USD/2','amount':'100','timeout_ms':600000}"}, 201, "'op':'hold','hold':'h1','version':1,'state':'open'", "Location: /v1/holds/h1", NULL},
        {{"POST /v1/holds", NULL, "{'id':'h1','from':'a','to':'b','asset':'USD/2','amount':'100','timeout_ms':600000}"}, 201, "'hold':'h1'", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/holds", NULL, "{'from':'a','to':'b','asset':'USD/2','amount':'100'}"}, 400, "idempotency_key_missing", NULL, NULL},
        {{"POST /v1/holds/h1/capture", NULL, "{'amount':'30'}"}, 400, "idempotency_key_missing", NULL, NULL},
        {{"POST /v1/holds/h1/capture", "Idempotency-Key: c1", "{'amount':'30'}"}, 201, "'op':'capture','transfer':'~", "Location: /v1/transfers/~", NULL},
        {{"POST /v1/holds/h1/capture", "Idempotency-Key: c1", "{'amount':'30'}"}, 201, "'remaining':'70'", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/holds/h2/capture", "Idempotency-Key: c1", "{'amount':'30'}"}, 422, "idempotency_key_reused", NULL, NULL},
        {{"POST /v1/holds/h1/extend", "Idempotency-Key: e1", "{'timeout_ms':700000}"}, 200, "'op':'extend'", "!Location", NULL},
        {{"POST /v1/holds/h1/extend", "Idempotency-Key: e2", NULL}, 400, "needs a body", NULL, NULL},
        {{"POST /v1/holds/h1/void", "Idempotency-Key: v1", NULL}, 200, "'op':'void','released':'70'", "!Location", NULL},
        {{"POST /v1/holds/h1/void", "Idempotency-Key: v2", "{}"}, 409, "'code':'hold_not_open','current':{'kind':'hold','id':'h1'", NULL, NULL},
        {{"POST /v1/holds/h1/void", "Idempotency-Key: v3", "{'final':true}"}, 400, "'failed':'/final'", NULL, NULL},
        {{"GET /v1/holds/h1", NULL, NULL}, 200, "'state':'voided'", "ETag: '4'", NULL},
        {{"GET /v1/holds/none", NULL, NULL}, 404, "hold_not_found", NULL, NULL},
        {{"GET /v1/holds?account=a&state=gone", NULL, NULL}, 400, "state is", NULL, NULL},
        {{"GET /v1/holds", NULL, NULL}, 400, "which account", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

/* ---- streams, documents, leases ---- */

static void streams(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"POST /v1/streams/o:1/events", NULL, "{'type':'placed','data':{'n':1}}"}, 400, "idempotency_key_missing", NULL, NULL},
        {{"POST /v1/streams/o:1/events", "If-None-Match: *", "{'type':'placed','data':{'n':1},'id':'e1'}"}, 201, "'op':'append','stream':'o:1','version':1,'id':'e1'}", "Location: /v1/streams/o:1", "ETag: '1'"},
        {{"POST /v1/streams/o:1/events", "If-None-Match: *", "{'type':'placed','data':{'n':1},'id':'e1'}"}, 201, "'version':1", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/streams/o:1/events", "If-None-Match: *", "{'type':'placed','data':{'n':2},'id':'e2'}"}, 412, "'code':'condition_failed','current':{'kind':'stream','id':'o:1','version':1", NULL, NULL},
        {{"POST /v1/streams/o:1/events", "If-Match: '1'", "[{'type':'paid','data':1,'id':'e2'},{'type':'sent','data':null,'id':'e3'}]"}, 201, "'results':[{'op':'append','stream':'o:1','version':2,'id':'e2'},{'op':'append','stream':'" "o:1','version':3", "Location: /v1/commits/", NULL},
        {{"POST /v1/streams/o:1/events", "If-Match: '1'", "[{'type':'paid','data':1,'id':'e2'},{'type':'sent','data':null,'id':'e3'}]"}, 201, "'results'", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/streams/o:1/events", "If-Match: '3'", "[{'type':'sent','data':null,'id':'e3'},{'type':'late','data':1,'id':'e4'}]"}, 409, "'code':'partial_replay','failed':'/0'", NULL, NULL},
        {{"POST /v1/streams/o:1/events", "If-Match: '2'", "[{'type':'x','data':1,'id':'e4'}]"}, 412, "'failed':'/0','current':{'kind':'stream'", NULL, NULL},
        {{"POST /v1/streams/o:1/events", "If-Match: '2'\nIdempotency-Key: s1", "{'type':'x','data':1}"}, 412, "'detail':'The condition does not hold: o:1 is at version " "3.','code':'condition_failed','current'", NULL, NULL},
        {{"POST /v1/streams/o:1/events", "If-Match: '2', '3'\nIdempotency-Key: s2", "{'type':'x','data':1}"}, 201, "'version':4", NULL, NULL},
        {{"POST /v1/streams/o:1/events", "If-Match: '2','3'\nIdempotency-Key: s2", "{'data':1,'type':'x'}"}, 201, "'version':4", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/streams/o:1/events", "If-Match: '2','4'\nIdempotency-Key: s2", "{'type':'x','data':1}"}, 422, "idempotency_key_reused", NULL, NULL},
        {{"POST /v1/streams/o:1/events", "Idempotency-Key: s2", "{'type':'x','data':1}"}, 422, "idempotency_key_reused", NULL, NULL},
        {{"POST /v1/streams/o:1/events", "If-Match: W/'4'\nIdempotency-Key: s3", "{'type':'x','data':1}"}, 412, "condition_failed", NULL, NULL},
        {{"POST /v1/streams/o:1/events", "If-Match: *\nIdempotency-Key: s4", "{'type':'x','data':1}"}, 201, "'version':5", NULL, NULL},
        {{"POST /v1/streams/o:2/events", "If-Match: *\nIdempotency-Key: s5", "{'type':'x','data':1}"}, 412, "'current':null", NULL, NULL},
        {{"POST /v1/streams/o:2/events", "If-Match: '1'\nIdempotency-Key: s6", "{'type':'x','data':1}"}, 412, "'current':null", NULL, NULL},
        {{"POST /v1/streams/o:2/events", "If-Match: '0'\nIdempotency-Key: s7", "{'type':'x','data':1}"}, 412, "'current':null", NULL, NULL},
        {{"POST /v1/streams/o:1/events", "If-Match: '5'\nIdempotency-Key: s8", "{'type':'x','data':1,'expected_version':5}"}, 400, "'failed':'/expected_version'", NULL, NULL},
        {{"POST /v1/streams/o:1/events", "If-Match: 5\nIdempotency-Key: s8", "{'type':'x','data':1}"}, 400, "in quotes", NULL, NULL},
        {{"POST /v1/streams/o:1/events", "If-None-Match: '5'\nIdempotency-Key: s8", "{'type':'x','data':1}"}, 400, "takes * alone", NULL, NULL},
        {{"POST /v1/streams/o:1/events", "Idempotency-Key: s8", "[]"}, 400, "at least one", NULL, NULL},
        {{"POST /v1/streams/o:1/events", "Idempotency-Key: s8", "[{'type':'x','data':1},{'type':'x','dta':1}]"}, 400, "'failed':'/1/dta'", NULL, NULL},
        {{"POST /v1/streams/o:1/events", "Idempotency-Key: s8", "[{'type':'x','data':1},{'type':'x'}]"}, 400, "'failed':'/1/data'", NULL, NULL},
        {{"POST /v1/streams/o:1/events", "Idempotency-Key: s8", "{'type':'holdfast.x','data':1}"}, 400, "'failed':'/type'", NULL, NULL},
        {{"POST /v1/streams/o:1/events", "Idempotency-Key: s8", "{'type':'x','data':1,'stream':'o:1'}"}, 400, "'failed':'/stream'", NULL, NULL},
        {{"GET /v1/streams/o:1", NULL, NULL}, 200, "'version':5", "ETag: '5'", NULL},
        {{"GET /v1/streams/o:9", NULL, NULL}, 404, "stream_not_found", NULL, NULL},
        {{"GET /v1/streams/o:1/events?from=2&limit=2", NULL, NULL}, 200, "{'data':[{'version':2,'id':'e2','type':'paid','data':1,", NULL, NULL},
        {{"GET /v1/streams/o:1/events?from=2&after=3", NULL, NULL}, 400, "either from or after", NULL, NULL},
        {{"GET /v1/streams/o:1/events?limit=1001", NULL, NULL}, 400, "limit is", NULL, NULL},
        {{"GET /v1/streams/o:1/events?limit=0", NULL, NULL}, 400, "limit is", NULL, NULL},
        {{"GET /v1/streams/o:1/events?limit=05", NULL, NULL}, 400, "limit is an integer", NULL, NULL},
        {{"GET /v1/streams/o:1/events?limit=-1", NULL, NULL}, 400, "limit is an integer", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

static void documents(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"PUT /v1/documents/d", NULL, "{'a':1}"}, 428, "If-None-Match: *", NULL, NULL},
        {{"PUT /v1/documents/d", "If-Match: '1'", "{'a':1}"}, 412, "'code':'condition_failed','current':null", NULL, NULL},
        {{"PUT /v1/documents/d", "If-Match: *", "{'a':1}"}, 412, "'current':null", NULL, NULL},
        {{"PUT /v1/documents/d", "If-None-Match: *", " { 'b' : [1, 2],  'a':1.0 } "}, 201, "'op':'put','document':'d','version':1}", "ETag: '1'", "Location: /v1/documents/d"},
        {{"GET /v1/documents/d", NULL, NULL}, 200, " { 'b' : [1, 2],  'a':1.0 } ", "ETag: '1'", NULL},
        {{"HEAD /v1/documents/d", NULL, NULL}, 200, NULL, "ETag: '1'", NULL},
        {{"PUT /v1/documents/d", "If-None-Match: *", "{}"}, 412, "'version':1,'exists':true", NULL, NULL},
        {{"PUT /v1/documents/d", "If-Match: '1'\nIdempotency-Key: d1", "{'a':1}"}, 200, "'version':2", "ETag: '2'", "!Location"},
        {{"PUT /v1/documents/d", "If-Match: '1'\nIdempotency-Key: d1", "{'a':1}"}, 200, "'version':2", "ETag: '2'", "Idempotent-Replayed: true"},
        {{"PUT /v1/documents/d", "If-Match: '1'", "{'a':1}"}, 412, "'last_change':{'position':", NULL, NULL},
        {{"PUT /v1/documents/d", "If-Match: '1'", "{'a':1}"}, 412, "'key':'d1'}", NULL, NULL},
        {{"PATCH /v1/documents/d", "If-Match: '2'\nContent-Type: application/merge-patch+json", "{'b':2}"}, 200, "'op':'patch','document':'d','version':3", "ETag: '3'", NULL},
        {{"PATCH /v1/documents/d", "If-Match: '3'", "{'a':null}"}, 200, "'version':4", "ETag: '4'", NULL},
        {{"PATCH /v1/documents/d", NULL, "{'a':null}"}, 428, "precondition_required", NULL, NULL},
        {{"GET /v1/documents/d", NULL, NULL}, 200, "{'b':2}", "ETag: '4'", NULL},
        {{"GET /v1/documents/d?version=1", NULL, NULL}, 200, "'a':1.0", "ETag: '1'", NULL},
        {{"GET /v1/documents/d?version=9", NULL, NULL}, 404, "document_not_found", "!ETag", NULL},
        {{"GET /v1/documents/d", "If-None-Match: '4'", NULL}, 304, NULL, "ETag: '4'", NULL},
        {{"DELETE /v1/documents/d", NULL, NULL}, 428, "precondition_required", NULL, NULL},
        {{"DELETE /v1/documents/d", "If-Match: '4'", "{}"}, 400, "no body", NULL, NULL},
        {{"DELETE /v1/documents/d", "If-Match: W/'4'", NULL}, 412, "'version':4", NULL, NULL},
        {{"DELETE /v1/documents/d", "If-Match: '7', '4'", NULL}, 200, "'op':'delete','document':'d','version':5", "!Location", NULL},
        {{"GET /v1/documents/d", NULL, NULL}, 404, "document_not_found", NULL, NULL},
        {{"GET /v1/documents/d", "If-None-Match: '4'", NULL}, 404, "document_not_found", NULL, NULL},
        {{"DELETE /v1/documents/d", "If-Match: '5'", NULL}, 412, "'current':null", NULL, NULL},
        {{"PUT /v1/documents/d", "If-None-Match: *", "7"}, 201, "'version':6", "ETag: '6'", NULL},
        {{"PUT /v1/documents/d", "If-Match: '6'", "{'a':1,'a':2}"}, 400, "invalid_request", "!failed", NULL},
        {{"PUT /v1/documents/d", "If-Match: '6'", ""}, 400, "needs a body", NULL, NULL},
        {{"PUT /v1/documents/d", "If-Match: '6'\nContent-Type: application/merge-patch+json", "1"}, 415, "application/json", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

static void leases(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"POST /v1/leases/l/acquire", NULL, "{'owner':'me','ttl_ms':60000}"}, 400, "idempotency_key_missing", NULL, NULL},
        {{"POST /v1/leases/l/acquire", "Idempotency-Key: l1", "{'owner':'me','ttl_ms':60000}"}, 201, "'op':'acquire','lease':'l','owner':'me','token':3,'expires_at':", "Location: /v1/leases/l", NULL},
        {{"POST /v1/leases/l/acquire", "Idempotency-Key: l1", "{'owner':'me','ttl_ms':60000}"}, 201, "'token':3", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/leases/l/acquire", "Idempotency-Key: l2", "{'owner':'me','ttl_ms':60000}"}, 409, "'code':'lease_held','current':{'kind':'lease','id':'l'", NULL, NULL},
        {{"POST /v1/leases/l/acquire", "Idempotency-Key: l3", "{'owner':'me'}"}, 400, "'failed':'/ttl_ms'", NULL, NULL},
        {{"POST /v1/leases/l/renew", NULL, "{'token':3,'ttl_ms':70000}"}, 200, "'op':'renew'", "!Location", NULL},
        {{"POST /v1/leases/l/renew", NULL, "{'token':2}"}, 412, "'code':'fenced'", NULL, NULL},
        {{"POST /v1/leases/l/renew", NULL, "{'token':'3'}"}, 400, "'failed':'/token'", NULL, NULL},
        {{"GET /v1/leases/l", NULL, NULL}, 200, "'held':true,'owner':'me','token':3", NULL, NULL},
        {{"POST /v1/leases/l/release", NULL, "{'token':3}"}, 200, "'op':'release'", NULL, NULL},
        {{"POST /v1/leases/l/release", NULL, "{'token':3}"}, 412, "fenced", NULL, NULL},
        {{"GET /v1/leases/none", NULL, NULL}, 404, "lease_not_found", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

/* ---- commits and keys ---- */

static void commits(void **state)
{
    (void)state;
    open_accounts();
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"POST /v1/commits", NULL, "{'do':[{'op':'freeze','account':'a'}]}"}, 400, "idempotency_key_missing", NULL, NULL},
        {{"POST /v1/commits?dry_run=true", NULL, "{'do':[{'op':'freeze','account':'a'}]}"}, 200, "{'position':null,'time':", "!Location", "Holdfast-Position: "},
        {{"POST /v1/commits?dry_run=true", NULL, "{'do':[{'op':'freeze','account':'x'}]}"}, 404, "'failed':'/do/0'", NULL, NULL},
        {{"POST /v1/commits?dry_run=yes", NULL, "{'do':[{'op':'freeze','account':'a'}]}"}, 400, "true or false", NULL, NULL},
        {{"POST /v1/commits", "Idempotency-Key: c1", "{'if':[{'account':'a','version':1}],'do':[{'op':'transfer','from':'a','to':'b','asset':'USD/2','amount':'5'},{'op':'append','stream':'s','type':'t','data':{}}],'metadata':{'who':'me'}}"}, 201, "'results':[{'op':'transfer'", "Location: /v1/commits/7", "Holdfast-Position: 7"},
        {{"POST /v1/commits", "Idempotency-Key: c1", "{'metadata':{'who':'me'},'if':[{'version':1,'account':'a'}],'do':[{'op':'transfer','from':'a','to':'b','asset':'USD/2','amount':'5'},{'op':'append','stream':'s','type':'t','data':{}}]}"}, 201, "{'position':7,", "Holdfast-Position: 7", "Idempotent-Replayed: true"},
        {{"POST /v1/commits?dry_run=true", "Idempotency-Key: c1", "{'metadata':{'who':'me'},'if':[{'version':1,'account':'a'}],'do':[{'op':'transfer','from':'a','to':'b','asset':'USD/2','amount':'5'},{'op':'append','stream':'s','type':'t','data':{}}]}"}, 201, "{'position':7,", NULL, "Idempotent-Replayed: true"},
        {{"POST /v1/commits", "Idempotency-Key: c2", "{'if':[{'account':'a','version':1}],'do':[{'op':'freeze','account':'a'}]}"}, 412, "'failed':'/if/0','current':{'kind':'account','id':'a','version':2", "Holdfast-Position: 8", NULL},
        {{"POST /v1/commits", "Idempotency-Key: c2", "{'if':[{'account':'a','version':1}],'do':[{'op':'freeze','account':'a'}]}"}, 412, "'instance':'/v1/commits/8'", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/commits", NULL, "{'if':[{'account':'a','version':2}],'do':[{'op':'transfer','id':'i1','from':'a','to':'b'" ",'asset':'USD/2','amount':'5'}]}"}, 201, NULL, NULL, NULL},
        {{"POST /v1/commits", "Idempotency-Key: c3", "{'do':[]}"}, 400, "'failed':'/do'", NULL, NULL},
        {{"POST /v1/commits", "Idempotency-Key: c3", "{'do':[{'op':'freeze','account':'a','x':1}]}"}, 400, "'failed':'/do/0/x'", NULL, NULL},
        {{"POST /v1/commits", "If-Match: '1'\nIdempotency-Key: c3", "{'do':[{'op':'freeze','account':'a'}]}"}, 400, "not tested here", NULL, NULL},
        {{"GET /v1/commits/7", NULL, NULL}, 200, "'position':7", NULL, NULL},
        {{"GET /v1/commits/0", NULL, NULL}, 404, "commit_not_found", NULL, NULL},
        {{"GET /v1/commits/99", NULL, NULL}, 404, "commit_not_found", NULL, NULL},
        {{"GET /v1/commits/x", NULL, NULL}, 400, "position in digits", NULL, NULL},
        {{"GET /v1/keys/c1", NULL, NULL}, 200, "{'key':'c1','position':7,'status':201,'body':{'position':7", NULL, NULL},
        {{"GET /v1/keys/c2", NULL, NULL}, 200, "'status':412,'body':{'type':", NULL, NULL},
        {{"GET /v1/keys/c3", NULL, NULL}, 404, "key_not_found", NULL, NULL},
        {{"GET /v1/keys/a%20b", NULL, NULL}, 400, "U+0021", NULL, NULL},
        {{"POST /v1/keys/c4/cancel", NULL, NULL}, 200, "{'key':'c4','position':", "!Location", NULL},
        {{"POST /v1/keys/c4/cancel", NULL, "{}"}, 200, "'status':409", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/keys/c4/cancel", NULL, "{'x':1}"}, 400, "'failed':'/x'", NULL, NULL},
        {{"POST /v1/commits", "Idempotency-Key: c4", "{'do':[{'op':'freeze','account':'a'}]}"}, 409, "'code':'cancelled'", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/keys/c1/cancel", NULL, NULL}, 200, "'status':201,'body':{'position':7", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/keys/a%2Fb/cancel", NULL, NULL}, 200, "'key':'a/b'", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

/* ---- subscriptions ---- */

static void subscriptions(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"PUT /v1/subscriptions/s", NULL, "{'filter':{'topic':'t'},'attempts_max':1,'backoff':{'first_ms':0,'max_ms':0}}"}, 201, "{'position':", "Location: /v1/subscriptions/s", "ETag: '1'"},
        {{"PUT /v1/subscriptions/s", NULL, "{'backoff':{'max_ms':0,'first_ms':0},'attempts_max':1,'filter':{'topic':'t'}}"}, 200, "'position':null", "ETag: '1'", "!Location"},
        {{"PUT /v1/subscriptions/s", NULL, "{'filter':{'topic':'t'},'attempts_max':2}"}, 428, "precondition_required", NULL, NULL},
        {{"PUT /v1/subscriptions/s", "If-Match: '7'", "{'filter':{'topic':'t'},'attempts_max':1}"}, 412, "condition_failed", NULL, NULL},
        {{"PUT /v1/subscriptions/s", "If-Match: '1'", "{'filter':{'topic':'u'}}"}, 409, "subscription_exists", NULL, NULL},
        {{"PUT /v1/subscriptions/s", "If-Match: '1'", "{'filter':{'topic':'t'},'attempts_max':1,'backoff':{'first_ms':0,'max_ms':0},'in_flight_max':7}"}, 200, "'position':", "ETag: '2'", NULL},
        {{"PUT /v1/subscriptions/s", "If-None-Match: *", "{'filter':{'topic':'t'}}"}, 412, NULL, NULL, NULL},
        {{"PUT /v1/subscriptions/p", NULL, "{'filter':{'topic':'t'},'from':{'position':900}}"}, 201, NULL, NULL, NULL},
        {{"PUT /v1/subscriptions/p", NULL, "{'filter':{'topic':'t'},'from':{'position':900}}"}, 200, "'position':null", NULL, NULL},
        {{"PUT /v1/subscriptions/x", NULL, "{'filter':{'topics':'t'}}"}, 400, "'failed':'/filter/topics'", NULL, NULL},
        {{"PUT /v1/subscriptions/x", NULL, "{'filter':{'topic':'t'},'lines_max':5}"}, 400, "'failed':'/lines_max'", NULL, NULL},
        {{"PUT /v1/subscriptions/x", NULL, NULL}, 400, "needs a body", NULL, NULL},
        {{"PUT /v1/subscriptions/a%20b", NULL, "{'filter':{'topic':'t'}}"}, 400, "no name", NULL, NULL},
        {{"GET /v1/subscriptions/s", NULL, NULL}, 200, "'in_flight_max':7", "ETag: '2'", "Holdfast-Position"},
        {{"GET /v1/subscriptions/s", "If-None-Match: '2'", NULL}, 304, NULL, "ETag: '2'", NULL},
        {{"GET /v1/subscriptions/s", NULL, NULL}, 200, "'parked':0,'delayed':0", NULL, NULL},
        {{"GET /v1/subscriptions/nobody", NULL, NULL}, 404, "subscription_not_found", NULL, NULL},
        {{"GET /v1/subscriptions?prefix=s", NULL, NULL}, 200, "'next':null", NULL, NULL},
        {{"GET /v1/subscriptions?limit=1", NULL, NULL}, 200, "'next':'", NULL, NULL},
        {{"POST /v1/subscriptions/s", NULL, "{}"}, 405, "method_not_allowed", "Allow: PUT, GET, HEAD, DELETE, OPTIONS", NULL},
        {{"GET /v1/subscriptions/s/receive", NULL, NULL}, 405, NULL, "Allow: POST, OPTIONS", NULL},
        {{"POST /v1/subscriptions/s/receive", NULL, NULL}, 200, "{'position':null,'messages':[]}", "!Replayed", NULL},
        {{"POST /v1/subscriptions/s/receive", NULL, "{'max':0}"}, 400, "'failed':'/max'", NULL, NULL},
        {{"POST /v1/subscriptions/s/receive", NULL, "{'max':1001}"}, 400, "'failed':'/max'", NULL, NULL},
        {{"POST /v1/subscriptions/s/receive", NULL, "{'wait_ms':30001}"}, 400, "'failed':'/wait_ms'", NULL, NULL},
        {{"POST /v1/subscriptions/s/receive", NULL, "{'attempt':'a b'}"}, 400, "'failed':'/attempt'", NULL, NULL},
        {{"POST /v1/subscriptions/nobody/receive", NULL, "{}"}, 404, "subscription_not_found", NULL, NULL},
        {{"POST /v1/commits", NULL, "{'do':[{'op':'publish','id':'m1','topic':'t','key':'k','type':'x','data':{ 'a' : 1 }},{'op':'publish','id':'m2','topic':'t','key':'k','type':'x','data':2}]}"}, 201, "'op':'publish'", NULL, NULL},
        {{"POST /v1/commits", NULL, "{'do':[{'op':'publish','id':'m1','topic':'t','key':'k','type':'x','data':{'a':1}}]}"}, 409, "or some of them, are stored already", NULL, NULL},
        {{"POST /v1/subscriptions/s/receive", NULL, "{'max':1,'attempt':'w1-1','consumer':'w1'}"}, 200, "'data':{ 'a' : 1 }", "!Replayed", NULL},
        {{"POST /v1/subscriptions/s/receive", NULL, "{'max':1,'attempt':'w1-1','consumer':'w1'}"}, 200, "'data':{ 'a' : 1 }", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/subscriptions/s/receive", NULL, "{'max':2,'attempt':'w1-1','consumer':'w1'}"}, 422, "idempotency_key_reused", NULL, NULL},
        {{"POST /v1/subscriptions/s/ack", NULL, "{'receipts':['no receipt']}"}, 400, "'failed':'/receipts/0'", NULL, NULL},
        {{"POST /v1/subscriptions/s/ack", NULL, "{'receipts':[]}"}, 400, "'failed':'/receipts'", NULL, NULL},
        {{"POST /v1/subscriptions/s/ack", NULL, "{}"}, 400, NULL, NULL, NULL},
        {{"POST /v1/subscriptions/s/nack", NULL, "{'items':[{'receipt':'x','delay':1}]}"}, 400, "'failed':'/items/0/delay'", NULL, NULL},
        {{"POST /v1/subscriptions/s/extend", NULL, "{'receipts':['x']}"}, 400, NULL, NULL, NULL},
        {{"POST /v1/subscriptions/s/park", NULL, "{'receipts':[1]}"}, 400, "'failed':'/receipts'", NULL, NULL},
        {{"GET /v1/subscriptions/s/messages/m1", NULL, NULL}, 400, NULL, NULL, NULL},
        {{"GET /v1/subscriptions/s/messages/1-0", NULL, NULL}, 404, "message_not_found", NULL, NULL},
        {{"GET /v1/subscriptions/s/dead", NULL, NULL}, 200, "{'data':[],'next':null}", NULL, NULL},
        {{"GET /v1/subscriptions/s/dead?error_contains=x&limit=5", NULL, NULL}, 200, "{'data':[],'next':null}", NULL, NULL},
        {{"GET /v1/subscriptions/s/dead?limit=0", NULL, NULL}, 400, "limit", NULL, NULL},
        {{"POST /v1/subscriptions/s/redrive", NULL, "{'all':true}"}, 400, "idempotency_key_missing", NULL, NULL},
        {{"POST /v1/subscriptions/s/redrive", "Idempotency-Key: r1", "{'all':true,'key':'k'}"}, 400, "redrive one of", NULL, NULL},
        {{"POST /v1/subscriptions/s/redrive", "Idempotency-Key: r1", "{'all':true,'rate_per_s':0}"}, 400, "'failed':'/rate_per_s'", NULL, NULL},
        {{"POST /v1/subscriptions/s/redrive", "Idempotency-Key: r1", "{'all':true}"}, 200, "'moved':0,'redrive':null", "!Replayed", NULL},
        {{"POST /v1/subscriptions/s/redrive", "Idempotency-Key: r1", "{'all':true}"}, 200, "'moved':0", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/subscriptions/s/redrive", "Idempotency-Key: r2", "{'message':'1-0'}"}, 404, "message_not_found", NULL, NULL},
        {{"POST /v1/subscriptions/s/redrive?dry_run=true", NULL, "{'all':true}"}, 200, "'position':null,'moved':0", NULL, NULL},
        {{"POST /v1/subscriptions/s/seek", NULL, "{'to':'now'}"}, 400, "idempotency_key_missing", NULL, NULL},
        {{"POST /v1/subscriptions/s/seek", "Idempotency-Key: s1", "{'to':'end'}"}, 400, "'failed':'/to'", NULL, NULL},
        {{"POST /v1/subscriptions/s/seek", "Idempotency-Key: s1", "{'to':'beginning'}"}, 200, "'op':'seek','subscription':'s','version':3", NULL, NULL},
        {{"DELETE /v1/subscriptions/s", NULL, NULL}, 428, "precondition_required", NULL, NULL},
        {{"DELETE /v1/subscriptions/s", "If-Match: '2'", NULL}, 412, "condition_failed", NULL, NULL},
        {{"DELETE /v1/subscriptions/s", "If-Match: '3'", NULL}, 200, NULL, "!ETag", NULL},
        {{"DELETE /v1/subscriptions/s", "Idempotency-Key: d1", NULL}, 404, "subscription_not_found", NULL, NULL},
        {{"GET /v1/subscriptions/s", NULL, NULL}, 404, "subscription_not_found", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(accounts, setup, teardown),
        cmocka_unit_test_setup_teardown(transfers, setup, teardown),
        cmocka_unit_test_setup_teardown(holds, setup, teardown),
        cmocka_unit_test_setup_teardown(streams, setup, teardown),
        cmocka_unit_test_setup_teardown(documents, setup, teardown),
        cmocka_unit_test_setup_teardown(leases, setup, teardown),
        cmocka_unit_test_setup_teardown(subscriptions, setup, teardown),
        cmocka_unit_test_setup_teardown(commits, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
