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

static const struct door_row opening[] = {
    {{"PUT /v1/accounts/world", NULL, "{'asset':'USD/2','floor':null}"},
     201,
     "{'position':",
     "Location: /v1/accounts/world",
     "ETag: '0'"},
    {{"PUT /v1/accounts/a", NULL, "{'asset':'USD/2'}"},
     201,
     "'op':'open_account'",
     "Holdfast-Position: ",
     NULL},
    {{"PUT /v1/accounts/b", NULL, "{'asset':'USD/2'}"}, 201, NULL, NULL, NULL},
    {{"POST /v1/transfers", NULL,
      "{'id':'fund','from':'world','to':'a','asset':'USD/2','amount':'1000'}"},
     201,
     "'transfer':'fund'",
     "Location: /v1/transfers/fund",
     NULL},
};

static void open_accounts(void)
{
    RUN(opening);
}

static void accounts(void **state)
{
    (void)state;
    open_accounts();
    static const struct door_row rows[] = {
        {{"PUT /v1/accounts/a", NULL, "{ 'floor':0, 'asset':'USD/2'}"},
         200,
         "'op':'open_account'",
         "Idempotent-Replayed: true",
         NULL},
        {{"PUT /v1/accounts/a", NULL, "{'asset':'EUR/2'}"},
         409,
         "'code':'account_exists'",
         "!Idempotent",
         NULL},
        {{"PUT /v1/accounts/a", NULL, "{'asset':'USD/2','metadata':{}}"},
         409,
         "'current':{'kind':'account'",
         NULL,
         NULL},
        {{"PUT /v1/accounts/a", "If-None-Match: *", "{'asset':'USD/2'}"},
         412,
         "'kind':'account','id':'a','version':1",
         NULL,
         NULL},
        {{"GET /v1/accounts/a", NULL, NULL},
         200,
         "'available':'1000'",
         "ETag: '1'",
         "Holdfast-Position: "},
        {{"GET /v1/accounts/a", "If-None-Match: '1'", NULL}, 304, NULL, "ETag: '1'", NULL},
        {{"GET /v1/accounts/a", "If-None-Match: W/'1', '7'", NULL}, 304, NULL, NULL, NULL},
        {{"GET /v1/accounts/a", "If-None-Match: '2'", NULL}, 200, NULL, NULL, NULL},
        {{"GET /v1/accounts/a", "If-Match: '2'", NULL}, 412, "condition_failed", "ETag: '1'", NULL},
        {{"GET /v1/accounts/nobody", NULL, NULL},
         404,
         "account_not_found",
         "Holdfast-Position",
         NULL},
        {{"PATCH /v1/accounts/a", NULL, "{'floor':'-5'}"},
         428,
         "precondition_required",
         NULL,
         NULL},
        {{"PATCH /v1/accounts/a", "If-Match: '1'",
          "{'floor':'-5','metadata':{'x':1},'state':'frozen'}"},
         200,
         "'op':'freeze','account':'a','version':4,'floor':'-5'",
         "ETag: '4'",
         "!Location"},
        {{"PATCH /v1/accounts/a", "If-Match: '1'", "{'state':'open'}"},
         412,
         "'version':4",
         NULL,
         NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: p1", "{'state':'open'}"},
         200,
         "'op':'unfreeze'",
         "!Replayed",
         NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: 'p1'", "{ 'state' : 'open' }"},
         200,
         "'op':'unfreeze'",
         "Idempotent-Replayed: true",
         NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: p2", "{}"},
         400,
         "nothing to change",
         NULL,
         NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: p2", "{'state':'melted'}"},
         400,
         "'failed':'/state'",
         NULL,
         NULL},
        {{"PATCH /v1/accounts/nobody", "If-Match: *", "{'floor':'1'}"},
         412,
         "'current':null",
         NULL,
         NULL},
        {{"PATCH /v1/accounts/nobody", "Idempotency-Key: p3", "{'floor':'1'}"},
         404,
         "account_not_found",
         NULL,
         NULL},
        {{"PATCH /v1/accounts/b", "If-Match: '0'", "{'state':'closed'}"},
         200,
         "'state':'closed'",
         "ETag: '1'",
         NULL},
        {{"GET /v1/accounts/a/entries?limit=2", NULL, NULL}, 200, "'next':'", NULL, NULL},
    };
    RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(accounts, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
