/* Verbs of sagas that change something: define, start, what is done by hand, alone or in bulk. */
#include "base/limits.h"
#include "base/time_text.h"
#include "base/u128.h"
#include "cli/remote.h"
#include "core/saga_definition.h"

#define BULK_PAGE 500

static int no_memory(const struct hf_cli *cli)
{
    struct hf_error error = {0};
    (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
    return hf_cli_fail(cli, &error);
}

static void put_text(struct hf_json_writer *w, const char *name, const char *value)
{
    if (value != NULL) {
        hf_json_put_text(w, name, hf_str_from(value));
    }
}

static struct hf_str text_of(const struct hf_buffer *buffer)
{
    return (struct hf_str){(const char *)buffer->data, buffer->size_bytes};
}

static void put_escaped(struct hf_buffer *path, const char *text)
{
    char escaped[1024];
    (void)holdfast_client_escape(text, escaped, sizeof(escaped));
    hf_buffer_text(path, escaped);
}

/* JSON given as it stands on the command line. HF_CLI_GO_ON, or the usage was told. */
static int put_json(const struct hf_remote_call *call, struct hf_json_writer *w, const char *name,
                    const char *value)
{
    if (value == NULL) {
        return HF_CLI_GO_ON;
    }
    if (hf_json_validate(hf_str_from(value), NULL) != HF_ERR_OK) {
        return hf_cli_usage(call->cli, "%s is no JSON: %s", name, value);
    }
    hf_json_put_raw(w, name, hf_str_from(value));
    return HF_CLI_GO_ON;
}

/* ---- times ---- */

/* "90s", "30m", "2h", "7d", "250ms" in milliseconds. false: it is none. */
static bool parse_duration(const char *text, uint64_t *ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    size_t digits = strspn(text, "0123456789");
    hf_u128 number;
    for (size_t i = 0; i < HF_ARRAY_COUNT(units); i++) {
        if (digits > 0 && strcmp(text + digits, units[i].unit) == 0 &&
            hf_u128_parse((struct hf_str){text, digits}, &number) && number <= UINT32_MAX) {
            *ms = (uint64_t)number * units[i].ms;
            return true;
        }
    }
    return false;
}

/* --older-than as a time: an age is counted back from now. HF_CLI_GO_ON, or the usage was told. */
static int older_than(struct hf_remote_call *call, char text[HF_TIME_TEXT_BYTES],
                      const char **older)
{
    const char *given = call->values->text[HF_REMOTE_OLDER_THAN];
    uint64_t age_ms;
    uint64_t time_us;
    *older = given;
    if (given == NULL || hf_time_parse(hf_str_from(given), &time_us)) {
        return HF_CLI_GO_ON;
    }
    if (!parse_duration(given, &age_ms)) {
        return hf_cli_usage(call->cli, "--older-than is an age (30m, 2h, 7d) or a time, not %s",
                            given);
    }
    uint64_t now_us = hf_remote_wall_us();
    hf_time_format(now_us > age_ms * 1000 ? now_us - age_ms * 1000 : 0, text);
    *older = text;
    return HF_CLI_GO_ON;
}

int hf_remote_saga_list(struct hf_remote_call *call)
{
    char text[HF_TIME_TEXT_BYTES];
    struct hf_remote_values values = *call->values;
    int status = older_than(call, text, &values.text[HF_REMOTE_OLDER_THAN]);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    call->values = &values;
    return hf_remote_list(call);
}

/* ---- define ---- */

/* The second operand, or the file's name without folders and ".json": name and version. false: it is none. */
static bool take_reference(const struct hf_cli *cli, char reference[256], const char **version)
{
    const char *given = cli->operands[1];
    const char *slash = strrchr(cli->operands[0], '/');
    bool from_file = given == NULL;
    given = from_file ? (slash == NULL ? cli->operands[0] : slash + 1) : given;
    if (strlen(given) >= 256) {
        return false;
    }
    (void)snprintf(reference, 256, "%s", given);
    size_t len = strlen(reference);
    if (from_file && len > 5 && strcmp(reference + len - 5, ".json") == 0) {
        reference[len - 5] = '\0';
    }
    char *at = strrchr(reference, '@');
    hf_u128 number;
    if (at == NULL || at == reference || !hf_u128_parse(hf_str_from(at + 1), &number)) {
        return false;
    }
    *at = '\0';
    *version = at + 1;
    return true;
}

int hf_remote_saga_define(struct hf_remote_call *call)
{
    const struct hf_cli *cli = call->cli;
    char reference[256];
    const char *version = NULL;
    struct hf_error error = {0};
    struct hf_buffer text;
    struct hf_buffer path;
    struct holdfast_client_answer *answer = NULL;
    if (!take_reference(cli, reference, &version)) {
        return hf_cli_usage(cli, "which name and version? holdfast saga define %s order@3",
                            cli->operands[0]);
    }
    hf_buffer_init(&text);
    hf_buffer_init(&path);
    if (hf_cli_read_file(cli->operands[0], HF_SAGA_DEFINITION_BYTES_MAX, &text, &error) !=
        HF_ERR_OK) {
        hf_buffer_release(&text);
        return hf_cli_fail(cli, &error);
    }
    hf_buffer_text(&path, call->verb->path);
    put_escaped(&path, reference);
    hf_buffer_u8(&path, '/');
    put_escaped(&path, version);
    int status =
        text.failed ? no_memory(cli) : hf_remote_send(call, &path, text_of(&text), &answer);
    hf_buffer_release(&text);
    hf_buffer_release(&path);
    return status == HF_CLI_GO_ON ? hf_remote_show(call, answer) : status;
}

/* ---- start ---- */

/* "order@3", or "@FILE". */
static int put_definition(struct hf_remote_call *call, struct hf_json_writer *w,
                          struct hf_buffer *text)
{
    const char *given = call->cli->operands[0];
    struct hf_error error = {0};
    if (given[0] != '@') {
        put_text(w, "definition", given);
        return HF_CLI_GO_ON;
    }
    if (hf_cli_read_file(given + 1, HF_SAGA_DEFINITION_BYTES_MAX, text, &error) != HF_ERR_OK) {
        return hf_cli_fail(call->cli, &error);
    }
    if (hf_json_validate(text_of(text), &error) != HF_ERR_OK) {
        return hf_cli_usage(call->cli, "%s: %s", given + 1, error.text);
    }
    hf_json_put_raw(w, "definition", text_of(text));
    return HF_CLI_GO_ON;
}

static int make_start(struct hf_remote_call *call, struct hf_buffer *body, struct hf_buffer *text,
                      struct hf_buffer *input)
{
    const struct hf_remote_values *values = call->values;
    struct hf_json_writer w = hf_json_writer_over(body);
    hf_json_begin_object(&w, NULL);
    int status = put_definition(call, &w, text);
    if (status == HF_CLI_GO_ON && call->cli->operands[1] != NULL) {
        status = hf_remote_data(call->cli, call->cli->operands[1], input);
        hf_json_put_raw(&w, "input", text_of(input));
    }
    put_text(&w, "business_key", values->text[HF_REMOTE_BUSINESS_KEY]);
    put_text(&w, "not_before", values->text[HF_REMOTE_NOT_BEFORE]);
    if (status == HF_CLI_GO_ON) {
        status = put_json(call, &w, "tags", values->text[HF_REMOTE_TAGS]);
    }
    hf_json_end_object(&w);
    return status;
}

/* --wait: 0 if it has succeeded. */
static int wait_status(struct hf_remote_call *call, const struct holdfast_client_answer *answer)
{
    char state[32];
    if (answer->status >= 300 || call->values->text[HF_REMOTE_WAIT_END] == NULL ||
        !holdfast_client_answer_text(answer, "/state", state, sizeof(state))) {
        return HF_EXIT_OK;
    }
    return strcmp(state, "succeeded") == 0 ? HF_EXIT_OK : HF_EXIT_NO;
}

static int send_start(struct hf_remote_call *call, struct hf_str body)
{
    const char *id = call->values->text[HF_REMOTE_ID];
    const char *wait = call->values->text[HF_REMOTE_WAIT_END];
    struct hf_remote_verb verb = *call->verb;
    struct hf_buffer path;
    struct holdfast_client_answer *answer = NULL;
    hf_buffer_init(&path);
    verb.method = id == NULL ? "POST" : "PUT";
    call->verb = &verb;
    hf_buffer_text(&path, id == NULL ? "/v1/sagas" : "/v1/sagas/");
    if (id != NULL) {
        put_escaped(&path, id);
    }
    if (wait != NULL) {
        hf_buffer_text(&path, "?wait=");
        put_escaped(&path, wait);
    }
    int status = hf_remote_send(call, &path, body, &answer);
    hf_buffer_release(&path);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    int wanted = wait_status(call, answer);
    status = hf_remote_show(call, answer);
    return status == HF_EXIT_OK ? wanted : status;
}

int hf_remote_saga_start(struct hf_remote_call *call)
{
    struct hf_buffer body;
    struct hf_buffer text;
    struct hf_buffer input;
    hf_buffer_init(&body);
    hf_buffer_init(&text);
    hf_buffer_init(&input);
    int status = make_start(call, &body, &text, &input);
    if (status == HF_CLI_GO_ON) {
        status = body.failed || text.failed || input.failed ? no_memory(call->cli)
                                                            : send_start(call, text_of(&body));
    }
    hf_buffer_release(&body);
    hf_buffer_release(&text);
    hf_buffer_release(&input);
    return status;
}

/* ---- verbs ---- */

/* Who does it: as given, else the user of this shell. */
static void put_actor(const struct hf_remote_call *call, struct hf_json_writer *w)
{
    const char *actor = call->values->text[HF_REMOTE_ACTOR];
    const char *user = getenv("USER");
    put_text(w, "actor", actor != NULL ? actor : user == NULL || user[0] == '\0' ? NULL : user);
}

static int put_reason(const struct hf_remote_call *call, struct hf_json_writer *w)
{
    const char *reason = call->values->text[HF_REMOTE_REASON];
    if (reason == NULL && !call->values->flag[HF_REMOTE_DRY_RUN]) {
        return hf_cli_usage(call->cli, "--reason=TEXT is needed: it stands in the history");
    }
    put_text(w, "reason", reason);
    put_actor(call, w);
    return HF_CLI_GO_ON;
}

int hf_remote_saga_step(struct hf_remote_call *call)
{
    const char *data = call->cli->operands[2];
    struct hf_buffer body;
    struct hf_buffer result;
    hf_buffer_init(&body);
    hf_buffer_init(&result);
    struct hf_json_writer w = hf_json_writer_over(&body);
    hf_json_begin_object(&w, NULL);
    int status = data == NULL ? HF_CLI_GO_ON : hf_remote_data(call->cli, data, &result);
    if (data != NULL) {
        hf_json_put_raw(&w, "result", text_of(&result));
    }
    put_text(&w, "error", call->values->text[HF_REMOTE_WHY]);
    put_text(&w, "reason", call->values->text[HF_REMOTE_REASON]);
    put_actor(call, &w);
    hf_json_end_object(&w);
    if (status == HF_CLI_GO_ON) {
        body.failed = body.failed || result.failed;
        status = hf_remote_send_body(call, &body);
    }
    hf_buffer_release(&body);
    hf_buffer_release(&result);
    return status;
}

static int act_on_one(struct hf_remote_call *call)
{
    const struct hf_remote_values *values = call->values;
    struct hf_buffer body;
    if (values->flag[HF_REMOTE_DRY_RUN] || values->text[HF_REMOTE_JITTER] != NULL) {
        return hf_cli_usage(call->cli, "--dry-run and --jitter are for many: leave out SAGA");
    }
    hf_buffer_init(&body);
    struct hf_json_writer w = hf_json_writer_over(&body);
    hf_json_begin_object(&w, NULL);
    put_text(&w, "step", values->text[HF_REMOTE_STEP]);
    int status = put_json(call, &w, "result", values->text[HF_REMOTE_RESULT]);
    if (status == HF_CLI_GO_ON) {
        status = put_reason(call, &w);
    }
    hf_json_end_object(&w);
    if (status == HF_CLI_GO_ON) {
        status = hf_remote_send_body(call, &body);
    }
    hf_buffer_release(&body);
    return status;
}

/* ---- in bulk ---- */

struct bulk {
    struct hf_remote_call *call;
    const char *verb;       /* "retry" */
    struct hf_buffer after; /* where the next page begins, with a NUL; empty: the first */
    struct hf_buffer text;  /* what was done, line by line, or items of JSON */
    uint64_t matched, done;
    uint64_t refused;
};

static int make_bulk(struct bulk *bulk, struct hf_buffer *body)
{
    static const struct {
        const char *name;
        enum hf_remote_option option;
    } filters[] = {
        {"state", HF_REMOTE_SAGA_STATE}, {"definition", HF_REMOTE_DEFINITION},
        {"tag", HF_REMOTE_TAG},          {"business_key", HF_REMOTE_BUSINESS_KEY},
        {"step", HF_REMOTE_STEP},
    };
    const struct hf_remote_values *values = bulk->call->values;
    char time[HF_TIME_TEXT_BYTES];
    const char *older = NULL;
    uint64_t jitter_ms = 0;
    const char *jitter = values->text[HF_REMOTE_JITTER];
    if (jitter != NULL && !parse_duration(jitter, &jitter_ms)) {
        return hf_cli_usage(bulk->call->cli, "--jitter is a time as 60s or 500ms, not %s", jitter);
    }
    int status = older_than(bulk->call, time, &older);
    struct hf_json_writer w = hf_json_writer_over(body);
    hf_json_begin_object(&w, NULL);
    put_text(&w, "verb", bulk->verb);
    hf_json_begin_object(&w, "filter");
    for (size_t i = 0; i < HF_ARRAY_COUNT(filters); i++) {
        put_text(&w, filters[i].name, values->text[filters[i].option]);
    }
    if (values->flag[HF_REMOTE_FAILING]) {
        hf_json_put_bool(&w, "failing", true);
    }
    put_text(&w, "older_than", older);
    hf_json_end_object(&w);
    if (status == HF_CLI_GO_ON) {
        status = put_reason(bulk->call, &w);
    }
    if (jitter != NULL) {
        hf_json_put_number(&w, "jitter_ms", jitter_ms);
    }
    if (values->flag[HF_REMOTE_DRY_RUN]) {
        hf_json_put_bool(&w, "dry_run", true);
    }
    hf_json_put_number(&w, "limit", BULK_PAGE);
    put_text(&w, "after", bulk->after.size_bytes == 0 ? NULL : (const char *)bulk->after.data);
    hf_json_end_object(&w);
    return status;
}

static void take_refused(struct bulk *bulk, const struct hf_json_value *list)
{
    struct hf_json_array items;
    struct hf_arena *arena = &bulk->call->arena;
    if (list == NULL || !hf_json_view_array(list->raw, arena, &items)) {
        return;
    }
    for (size_t i = 0; i < items.count; i++) {
        struct hf_json_object item;
        bulk->refused++;
        if (!hf_json_view_object(items.items[i].raw, arena, &item)) {
            continue;
        }
        struct hf_str saga = hf_json_view_text(&item, "saga");
        struct hf_str code = hf_json_view_text(&item, "code");
        if (bulk->call->cli->json) {
            hf_buffer_text(&bulk->text, bulk->text.size_bytes == 0 ? "" : ",");
            hf_buffer_bytes(&bulk->text, items.items[i].raw.ptr, items.items[i].raw.len);
        } else {
            hf_buffer_format(&bulk->text, "refused  %.*s  %.*s\n", (int)saga.len, saga.ptr,
                             (int)code.len, code.ptr);
        }
    }
}

static uint64_t number_of(const struct hf_json_object *object, const char *name)
{
    hf_u128 number = 0;
    return hf_u128_parse(hf_json_view_text(object, name), &number) ? (uint64_t)number : 0;
}

/* A page's answer. false: it has not the form of one. *more: there are further ones. */
static bool take_page(struct bulk *bulk, const struct holdfast_client_answer *answer, bool *more)
{
    struct hf_json_object page;
    struct hf_str body = {answer->body, answer->body_bytes};
    hf_arena_clear(&bulk->call->arena);
    if (!hf_json_view_object(body, &bulk->call->arena, &page)) {
        return false;
    }
    bulk->matched += number_of(&page, "matched");
    bulk->done += number_of(&page, "done");
    take_refused(bulk, hf_json_view_member(&page, "refused"));
    struct hf_str next = hf_json_view_text(&page, "next");
    *more = next.len > 0;
    hf_buffer_clear(&bulk->after);
    hf_buffer_bytes(&bulk->after, next.ptr, next.len);
    hf_buffer_u8(&bulk->after, 0);
    return !bulk->after.failed && !bulk->text.failed;
}

/* HF_CLI_GO_ON: a page was done. */
static int send_page(struct bulk *bulk, bool *more)
{
    struct hf_remote_call *call = bulk->call;
    struct hf_remote_verb verb = {.method = "POST", .path = "/v1/saga-verbs"};
    const struct hf_remote_verb *before = call->verb;
    struct holdfast_client_answer *answer = NULL;
    struct hf_buffer body;
    struct hf_buffer path;
    hf_buffer_init(&body);
    hf_buffer_init(&path);
    int status = make_bulk(bulk, &body);
    call->verb = &verb;
    hf_buffer_text(&path, verb.path);
    bool made = status == HF_CLI_GO_ON && !body.failed;
    if (made) {
        status = hf_remote_send(call, &path, text_of(&body), &answer);
    }
    call->verb = before;
    hf_buffer_release(&body);
    hf_buffer_release(&path);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (!made || answer == NULL) {
        return no_memory(call->cli);
    }
    if (answer->status >= 300) {
        return hf_remote_refused(call, answer);
    }
    bool ok = take_page(bulk, answer, more);
    holdfast_client_answer_free(answer);
    if (!ok) {
        struct hf_error error = {0};
        (void)hf_error_set(&error, HF_ERR_IO, "the server's answer is none of a bulk");
        return hf_cli_fail(call->cli, &error);
    }
    return HF_CLI_GO_ON;
}

static int show_bulk(struct bulk *bulk)
{
    const struct hf_remote_call *call = bulk->call;
    bool dry_run = call->values->flag[HF_REMOTE_DRY_RUN];
    struct hf_buffer out;
    hf_buffer_init(&out);
    if (call->cli->json) {
        struct hf_json_writer w = hf_json_writer_over(&out);
        hf_json_begin_object(&w, NULL);
        hf_json_put_bool(&w, "dry_run", dry_run);
        hf_json_put_number(&w, "matched", bulk->matched);
        hf_json_put_number(&w, "done", bulk->done);
        hf_buffer_text(&out, ",\"refused\":[");
        hf_buffer_bytes(&out, bulk->text.data, bulk->text.size_bytes);
        hf_buffer_text(&out, "]}");
    } else {
        hf_buffer_bytes(&out, bulk->text.data, bulk->text.size_bytes);
        hf_buffer_format(&out, "%llu selected, %llu %s, %llu refused",
                         (unsigned long long)bulk->matched, (unsigned long long)bulk->done,
                         dry_run ? "would be done" : "done", (unsigned long long)bulk->refused);
    }
    return hf_cli_print(call->cli, &out, bulk->refused == 0 ? HF_EXIT_OK : HF_EXIT_NO);
}

static int act_on_many(struct hf_remote_call *call)
{
    struct bulk bulk = {.call = call, .verb = call->verb->name};
    bool more = false;
    int status;
    if (call->values->text[HF_REMOTE_IF_MATCH] != NULL ||
        call->values->text[HF_REMOTE_KEY] != NULL) {
        return hf_cli_usage(call->cli, "--if-match and --key are for one saga");
    }
    hf_buffer_init(&bulk.after);
    hf_buffer_init(&bulk.text);
    do {
        status = send_page(&bulk, &more);
    } while (status == HF_CLI_GO_ON && more);
    if (status == HF_CLI_GO_ON) {
        status = show_bulk(&bulk);
    }
    hf_buffer_release(&bulk.after);
    hf_buffer_release(&bulk.text);
    return status;
}

int hf_remote_saga_verb(struct hf_remote_call *call)
{
    const struct hf_remote_values *values = call->values;
    if (call->cli->operand_count > 0) {
        return act_on_one(call);
    }
    bool selects =
        values->text[HF_REMOTE_SAGA_STATE] != NULL || values->text[HF_REMOTE_DEFINITION] != NULL ||
        values->text[HF_REMOTE_TAG] != NULL || values->text[HF_REMOTE_BUSINESS_KEY] != NULL ||
        values->text[HF_REMOTE_STEP] != NULL || values->flag[HF_REMOTE_FAILING] ||
        values->text[HF_REMOTE_OLDER_THAN] != NULL;
    if (!selects) {
        return hf_cli_usage(call->cli, "which saga? Name it, or select many by --state, "
                                       "--definition and the like");
    }
    return act_on_many(call);
}
