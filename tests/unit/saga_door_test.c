/* The door of sagas: definitions, starts, waiting, lists, verbs, callback tokens, who may do what. Nothing is called here: without a
 * runner a call stays due, so that steps end by hand, by tokens, by timers or by themselves. */
#include "unit/door_rig.h"

#include <stdio.h>

#include "core/saga_op.h"
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
#define CALL(name)  "{'name':'" name "','action':{'url':'http://127.0.0.1:9/" name "'},'compensation':{'url':'http://127.0.0.1:9/undo'}}"
#define LONG_CALL   "{'name':'mail','action':{'url':'http://127.0.0.1:9/mail'},'async':{'mode':'callback'}}"
#define TWO_CALLS   "{'steps':[" CALL("reserve") ",{'name':'mail','after':['reserve'],'action':{'url':'http://127.0.0.1:9/mail'}}]}"
#define POINT       "{'steps':[{'name':'point','action':{}}]}"
#define SLEEP       "{'steps':[{'name':'rest','action':{'sleep_ms':600000}}]}"
#define NATIVE      "{'steps':[{'name':'note','action':{'do':[{'op':'append','stream':'notes','type':'t','data':{'$':'/input'}}]}}]}"
#define SECRET      "{'steps':[{'name':'call','action':{'url':'http://127.0.0.1:9/','headers':{'Authorization':{'secret':'bank'}}}}]}"

static const struct door_row stored[] = {
    {{"PUT /v1/saga-definitions/two/1", NULL, TWO_CALLS}, 201, "'op':'define_saga','definition':{'name':'two','version':1}}", "Holdfast-Position: ", NULL},
    {{"PUT /v1/saga-definitions/point/1", NULL, POINT}, 201, NULL, NULL, NULL},
    {{"PUT /v1/saga-definitions/rest/1", NULL, SLEEP}, 201, NULL, NULL, NULL},
    {{"PUT /v1/saga-definitions/note/1", NULL, NATIVE}, 201, NULL, NULL, NULL},
};
/* clang-format on */

static void definitions(void **state)
{
    (void)state;
    RUN(stored);
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"PUT /v1/saga-definitions/two/1", NULL, " " TWO_CALLS}, 200, "{'position':null,'op':'define_saga','definition':{'name':'two','version':1}}", NULL, NULL},
        {{"PUT /v1/saga-definitions/two/1", NULL, POINT}, 409, "'code':'definition_exists'", NULL, NULL},
        {{"PUT /v1/saga-definitions/two/2", NULL, POINT}, 201, "'version':2", NULL, NULL},
        {{"PUT /v1/saga-definitions/two/0", NULL, POINT}, 400, "invalid_request", NULL, NULL},
        {{"PUT /v1/saga-definitions/two/x", NULL, POINT}, 400, "invalid_request", NULL, NULL},
        {{"PUT /v1/saga-definitions/t wo/1", NULL, POINT}, 400, NULL, NULL, NULL},
        {{"PUT /v1/saga-definitions/two/3", NULL, NULL}, 400, NULL, NULL, NULL},
        {{"PUT /v1/saga-definitions/two/3", NULL, "{'steps':[]}"}, 400, "'failed':'/steps'", NULL, NULL},
        {{"PUT /v1/saga-definitions/two/3", NULL, "{'steps':[{'name':'a','action':{},'after':['b']}]}"}, 400, "'failed':'/steps/0/after", NULL, NULL},
        {{"PUT /v1/saga-definitions/two/3", NULL, "{'steps':[{'name':'a','action':{}}],'colour':'red'}"}, 400, "'failed':'/colour'", NULL, NULL},
        {{"PUT /v1/saga-definitions/two/3", "If-Match: '1'", POINT}, 400, "If-Match", NULL, NULL},
        {{"GET /v1/saga-definitions/two/1", NULL, NULL}, 200, "'definition':{'steps':[{'action':{'url':", NULL, NULL},
        {{"GET /v1/saga-definitions/two/3", NULL, NULL}, 404, "saga_definition_not_found", NULL, NULL},
        {{"GET /v1/saga-definitions/none/1", NULL, NULL}, 404, "saga_definition_not_found", NULL, NULL},
        {{"GET /v1/saga-definitions/two", NULL, NULL}, 200, "{'data':[{'name':'two','version':1,'position':", NULL, NULL},
        {{"GET /v1/saga-definitions?limit=2", NULL, NULL}, 200, "'name':'note','version':1", NULL, NULL},
        {{"GET /v1/saga-definitions?after=nonsense", NULL, NULL}, 400, "after", NULL, NULL},
        {{"DELETE /v1/saga-definitions/two/1", NULL, NULL}, 405, NULL, "Allow: PUT, GET, HEAD, OPTIONS", NULL},
        {{"POST /v1/saga-definitions/two/1", NULL, POINT}, 405, NULL, NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

static void starts(void **state)
{
    (void)state;
    RUN(stored);
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"PUT /v1/sagas/s1", NULL, "{'definition':'two@1','input':{'a':1},'business_key':'order-1','tags':{'shop':'berlin'}}"}, 201,
         "'op':'start_saga','saga':'s1','version':1,'definition':{'name':'two','version':1},'business_key':'order-1','not_before':null,'act':'start','state':'running'", "Location: /v1/sagas/s1", "ETag: '1'"},
        {{"PUT /v1/sagas/s1", NULL, "{'business_key':'order-1','definition':'two@1','tags':{'shop':'berlin'},'input':{'a':1}}"}, 200,
         "{'id':'s1','version':1,'definition':{'name':'two','version':1},'state':'running'", "ETag: '1'", "!Location"},
        {{"PUT /v1/sagas/s1", NULL, "{'definition':'two@1','input':{'a':2},'business_key':'order-1','tags':{'shop':'berlin'}}"}, 409, "'code':'saga_exists'", NULL, NULL},
        {{"PUT /v1/sagas/s1", NULL, "{'definition':'two@1'}"}, 409, "'current':{'kind':'saga','id':'s1','version':1,'state':'running'", NULL, NULL},
        {{"GET /v1/sagas/s1", NULL, NULL}, 200, "'input':{'a':1},'steps':[{'name':'reserve','state':'running','op':'action','attempts':1,", "ETag: '1'", NULL},
        {{"GET /v1/sagas/s1", NULL, NULL}, 200, "{'name':'mail','state':'pending','op':null,'attempts':0,'began_at':null", NULL, NULL},
        {{"GET /v1/sagas/s1", "If-None-Match: '1'", NULL}, 304, NULL, "ETag: '1'", NULL},
        {{"GET /v1/sagas/s1", "If-Match: '2'", NULL}, 412, NULL, NULL, NULL},
        {{"GET /v1/sagas/none", NULL, NULL}, 404, "'code':'saga_not_found'", NULL, NULL},
        {{"PUT /v1/sagas/s2", NULL, "{'definition':'two@9'}"}, 404, "saga_definition_not_found", NULL, NULL},
        {{"PUT /v1/sagas/s2", NULL, "{'definition':'two'}"}, 400, "'failed':'/definition'", NULL, NULL},
        {{"PUT /v1/sagas/s2", NULL, "{}"}, 400, "'failed':'/definition'", NULL, NULL},
        {{"PUT /v1/sagas/s2", NULL, "{'definition':'two@1','colour':1}"}, 400, "'failed':'/colour'", NULL, NULL},
        {{"PUT /v1/sagas/s2", NULL, "{'definition':'two@1','tags':{'a':1}}"}, 400, "'failed':'/tags'", NULL, NULL},
        {{"PUT /v1/sagas/s2", NULL, "{'definition':'two@1','not_before':'tomorrow'}"}, 400, "'failed':'/not_before'", NULL, NULL},
        {{"PUT /v1/sagas/s2", NULL, "{'definition':{'steps':[{'name':'a'}]}}"}, 400, "'failed':'/definition/steps/0", NULL, NULL},
        {{"PUT /v1/sagas/s2", NULL, "{'definition':" POINT "}"}, 201, "'state':'succeeded'", NULL, NULL},
        {{"GET /v1/sagas/s2", NULL, NULL}, 200, "'definition':{'name':'~", NULL, NULL},
        {{"PUT /v1/sagas/s3?wait=10s", NULL, "{'definition':'point@1'}"}, 201, "{'id':'s3','version':", "Location: /v1/sagas/s3", NULL},
        {{"PUT /v1/sagas/s3?wait=10", NULL, "{'definition':'point@1'}"}, 200, "'state':'succeeded'", NULL, NULL},
        {{"PUT /v1/sagas/s4?wait=31s", NULL, "{'definition':'point@1'}"}, 400, "wait", NULL, NULL},
        {{"PUT /v1/sagas/s4?wait=ten", NULL, "{'definition':'point@1'}"}, 400, "wait", NULL, NULL},
        {{"PUT /v1/sagas/s5?wait=1s", NULL, "{'definition':'two@1'}"}, 201, "{'id':'s5','version':1", NULL, NULL},
        {{"GET /v1/sagas/s5?wait=1s", NULL, NULL}, 200, "'state':'running'", NULL, NULL},
        {{"PUT /v1/sagas/s6", NULL, "{'definition':'rest@1'}"}, 201, "'state':'waiting'", NULL, NULL},
        {{"PUT /v1/sagas/s7", NULL, "{'definition':'rest@1','not_before':'2100-01-01T00:00:00Z'}"}, 201, "'state':'scheduled'", NULL, NULL},
        {{"POST /v1/sagas", NULL, "{'definition':'point@1'}"}, 400, "idempotency_key_missing", NULL, NULL},
        {{"POST /v1/sagas", "Idempotency-Key: k1", "{'definition':'point@1','input':[1]}"}, 201, "'op':'start_saga','saga':'~", "Location: /v1/sagas/~", NULL},
        {{"POST /v1/sagas", "Idempotency-Key: k1", "{'input':[1],'definition':'point@1'}"}, 201, "'op':'start_saga','saga':'~", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/sagas", "Idempotency-Key: k1", "{'definition':'point@1'}"}, 422, "idempotency_key_reused", NULL, NULL},
        {{"POST /v1/sagas?wait=5s", "Idempotency-Key: k2", "{'definition':'point@1'}"}, 201, "{'id':'~", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

/* Inside of commits: with other effects, as conditions, as steps of others. */
static void commits(void **state)
{
    (void)state;
    RUN(stored);
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"POST /v1/commits", NULL, "{'do':[{'op':'append','stream':'o:1','type':'placed','data':1,'id':'e1'},{'op':'start_saga','saga':'c1','definition':'two@1','input':{'a':1}}]}"}, 201,
         "{'op':'start_saga','saga':'c1','version':1", NULL, NULL},
        {{"POST /v1/commits", "Idempotency-Key: a", "{'if':[{'saga':'c1','state':'running'}],'do':[{'op':'append','stream':'o:1','type':'t','data':1}]}"}, 201, NULL, NULL, NULL},
        {{"POST /v1/commits", "Idempotency-Key: b", "{'if':[{'saga':'c1','state':'succeeded'}],'do':[{'op':'append','stream':'o:1','type':'t','data':1}]}"}, 412, "'failed':'/if/0','current':{'kind':'saga','id':'c1'", NULL, NULL},
        {{"POST /v1/commits", "Idempotency-Key: c", "{'if':[{'saga':'c1','state':'happy'}],'do':[{'op':'append','stream':'o:1','type':'t','data':1}]}"}, 400, "'failed':'/if/0/state'", NULL, NULL},
        {{"POST /v1/commits", "Idempotency-Key: d", "{'do':[{'op':'complete_step','saga':'c1','step':'reserve','result':{'id':7},'reason':'seen'}]}"}, 201, "'op':'complete_step','saga':'c1','version':2", NULL, NULL},
        {{"GET /v1/sagas/c1", NULL, NULL}, 200, "'result':{'id':7}", NULL, NULL},
        {{"POST /v1/commits", "Idempotency-Key: e", "{'do':[{'op':'fail_step','saga':'c1','step':'mail','error':'no such address'}]}"}, 201, "'op':'fail_step'", NULL, NULL},
        {{"GET /v1/sagas/c1", NULL, NULL}, 200, "'state':'compensating'", NULL, NULL},
        {{"PUT /v1/sagas/c2", NULL, "{'definition':'note@1','input':{'n':1}}"}, 201, "'state':'succeeded'", NULL, NULL},
        {{"GET /v1/streams/notes/events", NULL, NULL}, 200, "'data':{'n':1}", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

static void verbs(void **state)
{
    (void)state;
    RUN(stored);
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"PUT /v1/sagas/v1", NULL, "{'definition':'two@1'}"}, 201, NULL, NULL, NULL},
        {{"POST /v1/sagas/v1/pause", NULL, "{'reason':'bank is down'}"}, 428, "precondition_required", NULL, NULL},
        {{"POST /v1/sagas/v1/pause", "If-Match: '7'", "{'reason':'bank is down'}"}, 412, "'current':{'kind':'saga','id':'v1','version':1", NULL, NULL},
        {{"POST /v1/sagas/v1/pause", "If-Match: *", "{'reason':'bank is down'}"}, 400, "If-Match", NULL, NULL},
        {{"POST /v1/sagas/v1/pause", "If-Match: '1'", "{}"}, 400, "'failed':'/reason'", NULL, NULL},
        {{"POST /v1/sagas/v1/pause", "If-Match: '1'", NULL}, 400, NULL, NULL, NULL},
        {{"POST /v1/sagas/v1/pause", "If-Match: '1'", "{'reason':'r','colour':1}"}, 400, "'failed':'/colour'", NULL, NULL},
        {{"POST /v1/sagas/v1/pause", "If-Match: '1'", "{'reason':'bank is down','actor':'ann'}"}, 200, "'op':'pause','saga':'v1','version':2,'act':'pause','state':'paused'", "ETag: '2'", NULL},
        {{"GET /v1/sagas/v1", NULL, NULL}, 200, "'state':'paused'", NULL, NULL},
        {{"POST /v1/sagas/v1/resume", "Idempotency-Key: r1", "{'reason':'bank is up'}"}, 200, "'op':'resume'", NULL, NULL},
        {{"POST /v1/sagas/v1/resume", "Idempotency-Key: r1", "{'reason':'bank is up'}"}, 200, "'op':'resume'", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/sagas/v1/skip", "Idempotency-Key: s0", "{'reason':'by hand'}"}, 400, "'failed':'/step'", NULL, NULL},
        {{"POST /v1/sagas/v1/skip", "Idempotency-Key: s1", "{'reason':'by hand','step':'none'}"}, 404, "saga_step_not_found", NULL, NULL},
        {{"POST /v1/sagas/v1/skip", "Idempotency-Key: s2", "{'reason':'by hand','step':'reserve','result':{'id':1}}"}, 200, "'op':'skip','saga':'v1'", NULL, NULL},
        {{"POST /v1/sagas/v1/steps/mail/complete", NULL, "{'result':1}"}, 400, "idempotency_key_missing", NULL, NULL},
        {{"POST /v1/sagas/v1/steps/mail/complete", "Idempotency-Key: m1", "{'result':1,'reason':'seen'}"}, 200, "'op':'complete_step'", NULL, NULL},
        {{"GET /v1/sagas/v1", NULL, NULL}, 200, "'state':'succeeded'", NULL, NULL},
        {{"POST /v1/sagas/v1/retry", "Idempotency-Key: z1", "{'reason':'r'}"}, 409, "'code':'saga_ended'", NULL, NULL},
        {{"POST /v1/sagas/none/retry", "Idempotency-Key: z2", "{'reason':'r'}"}, 404, "saga_not_found", NULL, NULL},
        {{"POST /v1/sagas/v1/explode", "Idempotency-Key: z3", "{'reason':'r'}"}, 404, "'code':'not_found'", NULL, NULL},
        {{"GET /v1/sagas/v1/history", NULL, NULL}, 200, "{'data':[{'version':1,", NULL, NULL},
        {{"GET /v1/sagas/v1/history", NULL, NULL}, 200, "'act':'pause','principal':'local','actor':'ann','reason':'bank is down'", NULL, NULL},
        {{"GET /v1/sagas/v1/history?limit=1&after=1", NULL, NULL}, 200, "'act':'pause'", NULL, NULL},
        {{"GET /v1/sagas/none/history", NULL, NULL}, 404, "saga_not_found", NULL, NULL},
        {{"PUT /v1/sagas/v2", NULL, "{'definition':'two@1'}"}, 201, NULL, NULL, NULL},
        {{"POST /v1/sagas/v2/abandon", "Idempotency-Key: y1", "{'reason':'settled'}"}, 200, "'op':'abandon','saga':'v2','version':2,'act':'abandon','state':'abandoned'", NULL, NULL},
        {{"PUT /v1/sagas/v3", NULL, "{'definition':'two@1'}"}, 201, NULL, NULL, NULL},
        {{"POST /v1/sagas/v3/compensate", "Idempotency-Key: x1", "{'reason':'cancelled'}"}, 200, "'op':'compensate'", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

static void lists_and_bulk(void **state)
{
    (void)state;
    RUN(stored);
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"PUT /v1/sagas/a1", NULL, "{'definition':'two@1','business_key':'k1','tags':{'shop':'berlin'}}"}, 201, NULL, NULL, NULL},
        {{"PUT /v1/sagas/a2", NULL, "{'definition':'two@1','business_key':'k2','tags':{'shop':'paris'}}"}, 201, NULL, NULL, NULL},
        {{"PUT /v1/sagas/a3", NULL, "{'definition':'point@1'}"}, 201, NULL, NULL, NULL},
        {{"PUT /v1/sagas/a4", NULL, "{'definition':'rest@1'}"}, 201, NULL, NULL, NULL},
        {{"GET /v1/sagas?state=succeeded", NULL, NULL}, 200, "{'data':[{'id':'a3'", NULL, NULL},
        {{"GET /v1/sagas?definition=rest", NULL, NULL}, 200, "{'data':[{'id':'a4'", NULL, NULL},
        {{"GET /v1/sagas?definition=two@2", NULL, NULL}, 200, "{'data':[],'next':null}", NULL, NULL},
        {{"GET /v1/sagas?tag=shop:paris", NULL, NULL}, 200, "{'data':[{'id':'a2'", NULL, NULL},
        {{"GET /v1/sagas?business_key=k1", NULL, NULL}, 200, "{'data':[{'id':'a1'", NULL, NULL},
        {{"GET /v1/sagas?step=rest", NULL, NULL}, 200, "'under_way':[{'name':'rest','state':'waiting'", NULL, NULL},
        {{"GET /v1/sagas?failing=true", NULL, NULL}, 200, "{'data':[],'next':null}", NULL, NULL},
        {{"GET /v1/sagas?older_than=2000-01-01T00:00:00Z", NULL, NULL}, 200, "{'data':[],'next':null}", NULL, NULL},
        {{"GET /v1/sagas?state=happy", NULL, NULL}, 400, "state is", NULL, NULL},
        {{"GET /v1/sagas?tag=shop", NULL, NULL}, 400, "tag is", NULL, NULL},
        {{"GET /v1/sagas?older_than=1h", NULL, NULL}, 400, NULL, NULL, NULL},
        {{"GET /v1/sagas?colour=red", NULL, NULL}, 400, "unknown query parameter", NULL, NULL},
        {{"GET /v1/sagas?limit=0", NULL, NULL}, 400, NULL, NULL, NULL},
        {{"POST /v1/saga-verbs", NULL, "{'verb':'pause','filter':{'definition':'two'},'reason':'r'}"}, 400, "idempotency_key_missing", NULL, NULL},
        {{"POST /v1/saga-verbs", NULL, "{'verb':'pause','filter':{'definition':'two'},'reason':'r','dry_run':true}"}, 200, "{'position':null,'matched':2,'done':2,'refused':[],'next':null}", NULL, NULL},
        {{"GET /v1/sagas?state=paused", NULL, NULL}, 200, "{'data':[],'next':null}", NULL, NULL},
        {{"POST /v1/saga-verbs", "Idempotency-Key: b1", "{'verb':'pause','filter':{'definition':'two'},'reason':'r'}"}, 200, "'matched':2,'done':2,'refused':[],'next':null}", NULL, NULL},
        {{"POST /v1/saga-verbs", "Idempotency-Key: b1", "{'verb':'pause','filter':{'definition':'two'},'reason':'r'}"}, 200, "'matched':2,'done':2,'refused':[],'next':null}", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/saga-verbs", "Idempotency-Key: b2", "{'verb':'abandon','filter':{},'reason':'r','limit':1}"}, 200, "'matched':1,", NULL, NULL},
        {{"POST /v1/saga-verbs", "Idempotency-Key: b3", "{'verb':'explode','filter':{},'reason':'r'}"}, 400, "'failed':'/verb'", NULL, NULL},
        {{"POST /v1/saga-verbs", "Idempotency-Key: b3", "{'filter':{},'reason':'r'}"}, 400, "'failed':'/verb'", NULL, NULL},
        {{"POST /v1/saga-verbs", "Idempotency-Key: b3", "{'verb':'pause','reason':'r'}"}, 400, "'failed':'/filter'", NULL, NULL},
        {{"POST /v1/saga-verbs", "Idempotency-Key: b3", "{'verb':'pause','filter':{'state':'happy'},'reason':'r'}"}, 400, "'failed':'/filter/state'", NULL, NULL},
        {{"POST /v1/saga-verbs", "Idempotency-Key: b3", "{'verb':'pause','filter':{'colour':1},'reason':'r'}"}, 400, "'failed':'/filter/colour'", NULL, NULL},
        {{"POST /v1/saga-verbs", "Idempotency-Key: b3", "{'verb':'pause','filter':{}}"}, 400, "'failed':'/reason'", NULL, NULL},
        {{"POST /v1/saga-verbs", "Idempotency-Key: b3", "{'verb':'pause','filter':{},'reason':'r','limit':0}"}, 400, "'failed':'/limit'", NULL, NULL},
        {{"POST /v1/saga-verbs", "Idempotency-Key: b3", "{'verb':'skip','filter':{},'reason':'r'}"}, 400, "'failed':'/filter/step'", NULL, NULL},
        {{"GET /v1/status", NULL, NULL}, 200, "'parked_sagas':0", NULL, NULL},
        {{"GET /metrics", NULL, NULL}, 200, "holdfast_sagas{definition='rest@1',state='waiting'} 1", NULL, NULL},
        {{"GET /metrics", NULL, NULL}, 200, "holdfast_saga_states{state='succeeded'}", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

/* ---- callback tokens ---- */

/* The token of a step as its participant gets it. No step runs while nobody asks. */
static void token_of(const char *saga, const char *step, char token[33])
{
    struct hf_name name;
    struct hf_arena arena;
    hf_arena_init(&arena);
    assert_true(hf_name_make(hf_str_from(saga), &arena, &name));
    const struct hf_state *state = hf_node_state(hf_engine_node(rig.engine));
    const struct hf_saga *found = hf_sagas_get(&state->sagas, &name.id);
    assert_non_null(found);
    hf_saga_token(found->secret, hf_str_from(step), HF_SAGA_ACTION, token);
    hf_arena_release(&arena);
}

static void ask_with_token(const char *request, const char *token, int status, const char *part)
{
    char body[128];
    (void)snprintf(body, sizeof(body), "{'token':'%s','result':{'ok':true}}", token);
    struct door_row row = {{request, NULL, body}, status, part, NULL, NULL};
    door_rig_rows(&rig, &row, 1);
}

static void reply_to(const char *request, struct door_reply *reply)
{
    door_rig_ask(&rig, &(struct door_ask){request, NULL, NULL}, reply);
}

static void callback_tokens(void **state)
{
    (void)state;
    char token[33];
    char other[33];
    struct door_reply reply = {0};
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"PUT /v1/sagas/t1", NULL, "{'definition':{'steps':[" LONG_CALL "]}}"}, 201, NULL, NULL, NULL},
        {{"PUT /v1/sagas/t2", NULL, "{'definition':{'steps':[" LONG_CALL "]}}"}, 201, NULL, NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
    token_of("t1", "mail", token);
    token_of("t2", "mail", other);
    assert_string_not_equal(token, other);
    ask_with_token("POST /v1/sagas/t1/steps/mail/complete", other, 403, "'code':'forbidden'");
    ask_with_token("POST /v1/sagas/t1/steps/mail/complete", token, 200, "'state':'succeeded'");
    ask_with_token("POST /v1/sagas/t1/steps/mail/complete", token, 200, NULL);
    static const char *const shown[] = {
        "GET /v1/sagas/t1",  "GET /v1/sagas/t1/history",
        "GET /v1/sagas",     "GET /v1/feed?types=holdfast.*,system.*",
        "GET /v1/commits/1", "GET /v1/commits/3"};
    hf_buffer_init(&reply.body);
    for (size_t i = 0; i < HF_ARRAY_COUNT(shown); i++) {
        reply_to(shown[i], &reply);
        assert_int_equal(reply.status, 200);
        assert_null(strstr((const char *)reply.body.data, token));
        assert_null(strstr((const char *)reply.body.data, "secret"));
    }
    hf_buffer_release(&reply.body);
}

/* ---- who may do what ---- */

static void make_token(const char *principal, unsigned scopes, const char *const *names,
                       size_t name_count, char header[96])
{
    struct hf_error error = {0};
    char id[HF_TOKEN_ID_BYTES];
    char secret[HF_TOKEN_SECRET_BYTES];
    const struct hf_token token = {
        .principal = principal, .scopes = scopes, .names = names, .name_count = name_count};
    assert_int_equal(hf_tokens_create(hf_engine_outside(rig.engine), rig.tokens_path, &token, id,
                                      secret, &error),
                     HF_ERR_OK);
    (void)snprintf(header, 96, "Authorization: Bearer %s", secret);
}

static void ask_as(const char *authorization, const char *more, const char *request,
                   const char *body, int status, const char *part)
{
    char headers[256];
    (void)snprintf(headers, sizeof(headers), "%s%s%s", authorization, more[0] == '\0' ? "" : "\n",
                   more);
    struct door_row row = {{request, headers, body}, status, part, NULL, NULL};
    door_rig_rows(&rig, &row, 1);
}

static void access_by_names(void **state)
{
    (void)state;
    static const char *const shop[] = {"shop1:", "two"};
    char admin[96];
    char clerk[96];
    char reader[96];
    char operator[96];
    char token[33];
    char body[128];
    make_token("admin", HF_SCOPE_ADMIN, NULL, 0, admin);
    make_token("clerk", HF_SCOPE_COMMIT | HF_SCOPE_READ, shop, 2, clerk);
    make_token("reader", HF_SCOPE_READ, shop, 1, reader);
    make_token("operator", HF_SCOPE_OPERATE | HF_SCOPE_COMMIT | HF_SCOPE_READ, shop, 2, operator);
    door_rig_restart(&rig); /* the tokens file is seen at once */
    ask_as(admin, "", "PUT /v1/saga-definitions/two/1", TWO_CALLS, 201, NULL);
    ask_as(admin, "", "PUT /v1/saga-definitions/note/1", NATIVE, 201, NULL);
    ask_as(clerk, "", "PUT /v1/saga-definitions/two/2", TWO_CALLS, 403, NULL);
    ask_as(operator, "", "PUT /v1/saga-definitions/two/2", TWO_CALLS, 201, NULL);
    ask_as(operator, "", "PUT /v1/saga-definitions/two/3", NATIVE, 403, NULL);
    ask_as(operator, "", "PUT /v1/saga-definitions/two/3", SECRET, 403, NULL);
    ask_as(operator, "", "PUT /v1/saga-definitions/other/1", TWO_CALLS, 403, NULL);
    ask_as(clerk, "", "PUT /v1/sagas/shop1:1", "{'definition':'two@1'}", 201, NULL);
    ask_as(clerk, "", "PUT /v1/sagas/shop2:1", "{'definition':'two@1'}", 403, NULL);
    ask_as(clerk, "", "PUT /v1/sagas/shop1:2", "{'definition':'note@1'}", 403, NULL);
    ask_as(clerk, "", "PUT /v1/sagas/shop1:2", "{'definition':" NATIVE "}", 403, NULL);
    ask_as(clerk, "", "PUT /v1/sagas/shop1:2", "{'definition':" SECRET "}", 403, NULL);
    ask_as(clerk, "", "PUT /v1/sagas/shop1:2", "{'definition':" POINT "}", 201, NULL);
    ask_as(reader, "", "PUT /v1/sagas/shop1:3", "{'definition':" POINT "}", 403, NULL);
    ask_as(reader, "", "GET /v1/sagas/shop1:1", NULL, 200, NULL);
    ask_as(admin, "", "PUT /v1/sagas/shop2:1", "{'definition':'two@1'}", 201, NULL);
    ask_as(reader, "", "GET /v1/sagas/shop2:1", NULL, 403, NULL);
    ask_as(reader, "", "GET /v1/sagas/shop2:1/history", NULL, 403, NULL);
    ask_as(reader, "", "GET /v1/sagas?definition=two", NULL, 200, "{'data':[{'id':'shop1:1'");
    ask_as(reader, "", "GET /v1/saga-definitions", NULL, 200, "{'data':[],'next':null}");
    ask_as(clerk, "", "GET /v1/saga-definitions", NULL, 200, "{'data':[{'name':'two'");
    ask_as(clerk, "Idempotency-Key: p", "POST /v1/sagas/shop1:1/pause", "{'reason':'r'}", 403,
           NULL);
    ask_as(operator, "Idempotency-Key: p", "POST /v1/sagas/shop2:1/pause", "{'reason':'r'}", 403,
           NULL);
    ask_as(operator, "Idempotency-Key: p", "POST /v1/sagas/shop1:1/pause", "{'reason':'r'}", 200,
           NULL);
    ask_as(operator, "Idempotency-Key: q", "POST /v1/saga-verbs",
           "{'verb':'pause','filter':{},'reason':'r'}", 403, NULL);
    ask_as(admin, "Idempotency-Key: q", "POST /v1/saga-verbs",
           "{'verb':'pause','filter':{'step':'reserve'},'reason':'r'}", 200, NULL);
    ask_as(clerk, "Idempotency-Key: r", "POST /v1/sagas/shop1:1/steps/reserve/complete", "{}", 403,
           NULL);
    ask_as(clerk, "Idempotency-Key: r", "POST /v1/commits",
           "{'do':[{'op':'complete_step','saga':'shop1:1','step':'reserve'}]}", 403, NULL);
    ask_as(clerk, "", "GET /v1/status", NULL, 403, NULL);
    /* a stranger is let in by the step's token alone */
    token_of("shop2:1", "reserve", token);
    (void)snprintf(body, sizeof(body), "{'token':'%s'}", token);
    ask_as("Accept: */*", "", "POST /v1/sagas/shop2:1/steps/reserve/complete", "{}", 401, NULL);
    ask_as("Accept: */*", "Idempotency-Key: s", "POST /v1/sagas/shop2:1/steps/reserve/complete",
           "{'token':'nonsense'}", 403, NULL);
    ask_as("Accept: */*", "Origin: https://evil.example",
           "POST /v1/sagas/shop2:1/steps/reserve/complete", body, 403, NULL);
    ask_as("Accept: */*", "", "POST /v1/sagas/shop2:1/steps/reserve/complete", body, 200, NULL);
    ask_as("Accept: */*", "", "GET /v1/sagas/shop2:1", NULL, 401, NULL);
    ask_as("Accept: */*", "", "POST /v1/sagas/shop2:1/retry", "{'reason':'r'}", 401, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(definitions, setup, teardown),
        cmocka_unit_test_setup_teardown(starts, setup, teardown),
        cmocka_unit_test_setup_teardown(commits, setup, teardown),
        cmocka_unit_test_setup_teardown(verbs, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_and_bulk, setup, teardown),
        cmocka_unit_test_setup_teardown(callback_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(access_by_names, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
