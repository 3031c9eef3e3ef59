/* NDJSON through the door: mode=each as one commit whose lines are decided and replayed each by itself, and mode=atomic. */
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
#define LINES "Content-Type: application/x-ndjson"
#define EACH(lines) {"POST /v1/transfers?mode=each", LINES, lines}
#define ATOMIC(lines) {"POST /v1/transfers?mode=atomic", LINES, lines}
#define ONE(line) {"POST /v1/transfers", NULL, line}
#define L(id, from, to, amount, more) "{'id':'" id "','from':'" from "','to':'" to "','asset':'USD/2','amount':'" amount "'" more "}\n"

static const struct door_row opening[] = {
    {{"PUT /v1/accounts/world", NULL, "{'asset':'USD/2','floor':null}"}, 201, NULL, NULL, NULL},
    {{"PUT /v1/accounts/a", NULL, "{'asset':'USD/2'}"}, 201, NULL, NULL, NULL},
    {{"PUT /v1/accounts/b", NULL, "{'asset':'USD/2'}"}, 201, NULL, NULL, NULL},
    {ONE(L("fund", "world", "a", "100", "")), 201, NULL, NULL, NULL},
};

/* The same questions before and after a restart: the answers are the recorded ones. */
static const struct door_row repeated[] = {
    {EACH(L("e1", "a", "b", "60", "")), 200, "{'status':201,'replayed':true,'body':{'position':7,'op':'transfer','transfer':'e1'", "Holdfast-Position: 7", "!Idempotent-Replayed"},
    {EACH(L("e2", "a", "b", "60", "")), 200, "{'status':422,'replayed':true,'body':{'type':'urn:holdfast:problem:insufficient_funds'", NULL, NULL},
    {EACH(L("e2", "a", "b", "60", "")), 200, "'instance':'/v1/commits/7'", "Holdfast-Position: 7", NULL},
    {EACH(L("e2", "a", "b", "60", "")), 200, "a has 40 available", NULL, NULL}, /* as it was then */
    {EACH(L("e3", "a", "b", "90", ",'up_to':true")), 200, "'replayed':true,'body':{'position':7,'op':'transfer','transfer':'e3','asset':'USD/2','amount':'40','requested':'90'", NULL, NULL},
    {EACH(L("e4", "world", "b", "1", ",'metadata':{ 'y':[1,2],'x':'1' }")), 200, "{'status':201,'replayed':true", NULL, NULL},
    {EACH(L("e5", "world", "nobody", "1", "")), 200, "{'status':404,'replayed':true,'body':{'type':'urn:holdfast:problem:account_not_found'", NULL, NULL},
    {EACH(L("fund", "world", "a", "100", "")), 200, "{'status':201,'replayed':true,'body':{'position':6,", "Holdfast-Position: 6", NULL}, /* of another door */
    /* Other content: each field, and how much. */
    {EACH(L("e1", "a", "b", "61", "")), 200, "{'status':409,'replayed':false,'body':{'type':'urn:holdfast:problem:transfer_exists'", NULL, NULL},
    {EACH(L("e1", "b", "a", "60", "")), 200, "'code':'transfer_exists'", NULL, NULL},
    {EACH(L("e1", "a", "b", "60", ",'effective_at':'2020-01-01T00:00:00Z'")), 200, "'code':'transfer_exists'", NULL, NULL},
    {EACH(L("e1", "a", "b", "60", ",'metadata':{}")), 200, "'code':'transfer_exists'", NULL, NULL},
    {EACH(L("e2", "a", "b", "59", "")), 200, "'code':'transfer_exists'", NULL, NULL},
    {EACH(L("e3", "a", "b", "90", "")), 200, "'code':'transfer_exists'", NULL, NULL},
    {EACH(L("e3", "a", "b", "40", ",'up_to':true")), 200, "'code':'transfer_exists'", NULL, NULL},
    {EACH(L("e4", "world", "b", "1", ",'metadata':{'x':'1','y':[2,1]}")), 200, "'code':'transfer_exists'", NULL, NULL},
    {EACH(L("e4", "world", "b", "1", "")), 200, "'code':'transfer_exists'", NULL, NULL},
    /* Alone, through the other door. */
    {ONE(L("e1", "a", "b", "60", "")), 201, "{'position':7,'op':'transfer','transfer':'e1'", "Idempotent-Replayed: true", "Holdfast-Position: 7"},
    {ONE(L("e2", "a", "b", "60", "")), 422, "'code':'insufficient_funds'", "Idempotent-Replayed: true", "Holdfast-Position: 7"},
    {ONE(L("e4", "world", "b", "1", ",'metadata':{'y':[1,2],'x':'1'}")), 201, NULL, "Idempotent-Replayed: true", NULL},
    {ONE(L("e2", "a", "b", "61", "")), 409, "'code':'transfer_exists'", "!Idempotent-Replayed", NULL},
    /* One of the lines is no commit of several. */
    {ATOMIC(L("e1", "a", "b", "60", "") L("e4", "world", "b", "1", ",'metadata':{'x':'1','y':[1,2]}")), 409, "'code':'transfer_exists'", NULL, NULL},
    {{"GET /v1/transfers/e4", NULL, NULL}, 200, "'metadata':{'x':'1','y':[1,2]}", NULL, NULL},
    {{"GET /v1/transfers/e2", NULL, NULL}, 404, "transfer_not_found", NULL, NULL},
    {{"GET /v1/commits/7", NULL, NULL}, 200, "'operation':0,'transfer':'e1'", NULL, NULL},
};

static void each(void **state)
{
    (void)state;
    RUN(opening);
    static const struct door_row rows[] = {
        {EACH(L("e1", "a", "b", "60", "") L("e2", "a", "b", "60", "") L("e3", "a", "b", "90", ",'up_to':true")
              L("e4", "world", "b", "1", ",'metadata':{'x':'1','y':[1,2]}") L("e5", "world", "nobody", "1", "")),
         200, "{'status':201,'replayed':false,'body':{'position':7,'op':'transfer','transfer':'e1'", "Holdfast-Position: 7", "!Idempotent-Replayed"},
        {ONE(L("more", "world", "a", "1000", "")), 201, "'position':8", NULL, NULL},
    };
    RUN(rows);
    RUN(repeated);
    door_rig_restart(&rig);
    RUN(repeated);
}

static void what_is_wrong(void **state)
{
    (void)state;
    RUN(opening);
    static const struct door_row rows[] = {
        {{"POST /v1/transfers?mode=each", LINES "\nIdempotency-Key: k", L("w1", "world", "a", "1", "")}, 400, "'code':'invalid_request'", NULL, NULL},
        {{"POST /v1/transfers?mode=every", LINES, L("w1", "world", "a", "1", "")}, 400, "mode is atomic or each", NULL, NULL},
        {{"POST /v1/transfers?mode=each", NULL, L("w1", "world", "a", "1", "")}, 400, "application/x-ndjson", NULL, NULL},
        {{"POST /v1/transfers?mode=each", "Content-Type: application/vnd.holdfast.accounts", "x"}, 415, NULL, NULL, NULL},
        {{"POST /v1/transfers?mode=each", "Content-Type: application/vnd.holdfast.transfers", "x"}, 400, "no query", NULL, NULL},
        {{"POST /v1/transfers", "Content-Type: application/vnd.holdfast.transfers", "x"}, 400, "128 bytes", NULL, NULL},
        {{"POST /v1/transfers", "Content-Type: application/vnd.holdfast.transfers", ""}, 400, "needs a body", NULL, NULL},
        {{"POST /v1/transfers", "Content-Type: application/vnd.holdfast.transfers\nIdempotency-Key: k", "x"}, 400, "no Idempotency-Key", NULL, NULL},
        {{"POST /v1/transfers", "Content-Type: application/vnd.holdfast.transfers\nAccept: text/html", "x"}, 406, "not_acceptable", NULL, NULL},
        {{"POST /v1/accounts", NULL, "{'asset':'USD/2'}"}, 415, "PUT /v1/accounts", NULL, NULL},
        {{"POST /v1/accounts", "Content-Type: application/vnd.holdfast.accounts", "x"}, 400, "128 bytes", NULL, NULL},
        {{"PUT /v1/transfers", "Content-Type: application/vnd.holdfast.transfers", "x"}, 405, NULL, "Allow: ", NULL},
        /* A bad line stops no other; it points into itself. */
        {EACH("{\n" L("w2", "world", "a", "1", "")), 200, "{'status':400,'replayed':false", "Holdfast-Position: 7", NULL},
        {EACH("{'from':'world','to':'a','asset':'USD/2','amount':'1'}\n" L("w3", "world", "a", "1", "")), 200, "'failed':'/id'", "Holdfast-Position: 8", NULL},
        {EACH(L("w4", "world", "a", "-1", "") L("w5", "world", "a", "1", "")), 200, "'failed':'/amount'", "Holdfast-Position: 9", NULL},
        {EACH("\n\n"), 200, "{'status':400", "!Holdfast-Position", NULL},
        {EACH(L("w2", "world", "a", "1", "") L("w6", "world", "a", "0", "") L("w2", "world", "a", "1", "")), 200, "'code':'amount_invalid'", "Holdfast-Position: 10", NULL},
        {EACH(L("w7", "a", "world", "1", "") L("w7", "a", "world", "1", "") L("w7", "a", "world", "2", "")), 200,
         "'replayed':false,'body':{'position':11", "Holdfast-Position: 12", NULL}, /* the refusal of the last one */
        {{"GET /v1/accounts/a", NULL, NULL}, 200, "'posted':'102'", NULL, NULL},
    };
    RUN(rows);
}

static void atomic(void **state)
{
    (void)state;
    RUN(opening);
    static const struct door_row rows[] = {
        {ATOMIC(L("t1", "a", "b", "60", "") L("t2", "a", "b", "60", "")), 422, "'failed':'/1'", "!Idempotent-Replayed", NULL},
        {{"GET /v1/accounts/a", NULL, NULL}, 200, "'posted':'100'", NULL, NULL},
        {EACH(L("t1", "a", "b", "60", "")), 200, "{'status':409,'replayed':false", NULL, NULL}, /* spent */
        {ATOMIC(L("t3", "a", "b", "60", "") L("t4", "b", "a", "60", "")), 201, "'results':[{'op':'transfer','transfer':'t3'", "!Idempotent-Replayed", NULL},
        {ATOMIC(L("t3", "a", "b", "60", "") L("t4", "b", "a", "60", "")), 201, "'transfer':'t4'", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/transfers", LINES, L("t3", "a", "b", "60", "") L("t4", "b", "a", "60", "")}, 201, NULL, "Idempotent-Replayed: true", NULL},
        {ATOMIC(L("t3", "a", "b", "60", "") L("t5", "b", "a", "60", "")), 409, "'code':'transfer_exists'", NULL, NULL},
        {ATOMIC(L("t6", "a", "b", "60", "") "{\n"), 400, "'failed':'/1'", NULL, NULL},
        {ATOMIC(L("t6", "a", "b", "60", "") L("t7", "a", "b", "x", "")), 400, "'failed':'/1/amount'", NULL, NULL},
        {{"GET /v1/transfers/t6", NULL, NULL}, 404, NULL, NULL, NULL},
    };
    RUN(rows);
}
/* clang-format on */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong, setup, teardown),
        cmocka_unit_test_setup_teardown(atomic, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
