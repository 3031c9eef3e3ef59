/*
 * POST /v1/transfers: one (JSON) or many (NDJSON: one object a line).
 *
 * mode=atomic (the default): all lines are one commit; the answer is that commit's.
 * mode=each: every line is a commit of its own and names its id, by which it replays. The answer has one line for each
 * line, in order, as GET /v1/keys would tell it: {"status":201,"replayed":false,"body":{…}}. A line that is malformed
 * or refused stops no other. LINES_AT_ONCE lines are under way at a time, so that memory is bounded, and
 * the lines of such a group that need nothing from the disk are decided in their order.
 */
#include <stdatomic.h>
#include <stdio.h>

#include "api/door_priv.h"

#define LINES_AT_ONCE 256

/* The next line of *rest, without its end; false if nothing is left. */
static bool next_line(struct hf_str *rest, struct hf_str *line)
{
    if (rest->len == 0) {
        return false;
    }
    const char *end = memchr(rest->ptr, '\n', rest->len);
    size_t bytes = end == NULL ? rest->len : (size_t)(end - rest->ptr);
    *line = (struct hf_str){rest->ptr, bytes};
    size_t used = end == NULL ? bytes : bytes + 1;
    *rest = (struct hf_str){rest->ptr + used, rest->len - used};
    return true;
}

static bool add_transfer(void *context, uint32_t index, struct hf_op_fields *fields,
                         struct hf_malformed *malformed)
{
    (void)index;
    struct hf_command *command = context;
    fields->op = HF_STR("transfer");
    return hf_command_add_op(command, fields, malformed);
}

static bool decode_line(struct hf_call *call, struct hf_str line, struct hf_command *command,
                        struct hf_malformed *malformed)
{
    return hf_resource_json_decode(line, call->route->operation->members, NULL, &command->arena,
                                   add_transfer, command, malformed);
}

/* ---- mode=atomic ---- */

/* The decoder points into the line: "/amount" becomes "/do/7/amount", as the command says it. */
static void place_in_lines(struct hf_malformed *malformed, uint32_t line)
{
    char pointer[sizeof(malformed->pointer)];
    if (strncmp(malformed->pointer, "/do/", 4) != 0 && strcmp(malformed->pointer, "/do") != 0) {
        (void)snprintf(pointer, sizeof(pointer), "/do/%u%.*s", line,
                       (int)sizeof(malformed->pointer) - 16, malformed->pointer);
        memcpy(malformed->pointer, pointer, sizeof(pointer));
    }
}

static enum hf_progress commit_all(struct hf_call *call)
{
    struct hf_str rest = call->exchange->body;
    struct hf_str line;
    call->form = (struct hf_answer_form){.failed = HF_FAILED_IN_ARRAY};
    if (!hf_call_command(call, HF_COMMAND_COMMIT)) {
        return HF_CALL_ANSWERED;
    }
    for (uint32_t count = 0; next_line(&rest, &line); count++) {
        if (!decode_line(call, line, &call->command, &call->malformed)) {
            place_in_lines(&call->malformed, count);
            return hf_call_malformed(call);
        }
    }
    return hf_call_commit(call);
}

/* ---- mode=each ---- */

/* A line under way; in a slot that is used again by a later group of lines. */
struct line {
    struct hf_command command;     /* the line's commit */
    struct hf_request request;     /* for it */
    bool submitted;                /* done will come, or came */
    enum hf_err refused;           /* not submitted: why, or malformed */
    struct hf_malformed malformed; /* refused == INVALID_REQUEST or TOO_LARGE: what */
};

struct each {
    struct hf_call *call;             /* whose body it is */
    struct hf_str rest;               /* lines not begun */
    uint32_t count;                   /* lines in the slots */
    uint64_t position;                /* newest of the lines' commits; 0: none yet */
    atomic_uint under_way;            /* lines not done, and 1 while lines are being submitted */
    struct hf_arena scratch;          /* for rendering a line */
    struct line lines[LINES_AT_ONCE]; /* the slots */
};

static enum hf_progress lines_done(struct hf_call *call);

/* On the node's thread. */
static void line_done(struct hf_request *request)
{
    struct each *each = request->context;
    struct hf_call *call = each->call;
    if (atomic_fetch_sub(&each->under_way, 1) == 1) {
        hf_http_resume(call->exchange);
    }
}

static bool build_line(struct each *each, struct hf_str text, struct line *line)
{
    struct hf_call *call = each->call;
    struct hf_malformed *malformed = &line->malformed;
    struct hf_command *command = &line->command;
    if (!hf_command_set_principal(command, call->caller.principal, malformed) ||
        !decode_line(call, text, command, malformed)) {
        return false;
    }
    if (!command->ops[0].has_id) {
        return hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, "/id",
                                "with mode=each every transfer names its id");
    }
    return hf_command_finish(command, malformed);
}

static void begin_line(struct each *each, struct hf_str text, struct line *line)
{
    struct hf_call *call = each->call;
    *line = (struct line){.refused = HF_ERR_OK};
    hf_command_init(&line->command, HF_COMMAND_COMMIT);
    if (!build_line(each, text, line)) {
        line->refused = line->malformed.code;
        return;
    }
    if (!hf_call_may_commit(call, &line->command)) {
        line->refused = HF_ERR_FORBIDDEN;
        return;
    }
    line->request =
        (struct hf_request){.command = &line->command, .done = line_done, .context = each};
    atomic_fetch_add(&each->under_way, 1);
    line->submitted = true;
    line->refused = hf_node_submit(call->door->options.node, &line->request);
    if (line->refused != HF_ERR_OK) {
        line->submitted = false;
        atomic_fetch_sub(&each->under_way, 1);
    }
}

/* Begins the next lines. true: some are under way, lines_done comes. */
static bool begin_lines(struct each *each)
{
    struct hf_str text;
    each->count = 0;
    atomic_store(&each->under_way, 1);
    while (each->count < LINES_AT_ONCE && next_line(&each->rest, &text)) {
        begin_line(each, text, &each->lines[each->count++]);
    }
    return atomic_fetch_sub(&each->under_way, 1) > 1;
}

static const char *pointer_in_line(const struct hf_malformed *malformed)
{
    if (strncmp(malformed->pointer, "/do/0", 5) == 0) {
        return malformed->pointer + 5;
    }
    return strcmp(malformed->pointer, "/do") == 0 ? "" : malformed->pointer;
}

/* A line that was not decided. */
static void put_undecided(struct hf_buffer *to, const struct line *line)
{
    enum hf_err code = line->submitted ? line->request.answer.code : line->refused;
    const char *detail = hf_err_title(code);
    const char *pointer = "";
    if (code == HF_ERR_NO_MEMORY || code == HF_ERR_DEPOSED) {
        code = code == HF_ERR_DEPOSED ? HF_ERR_NOT_READY : HF_ERR_OVERLOADED;
        detail = hf_err_title(code);
    } else if (line->malformed.text[0] != '\0') {
        detail = line->malformed.text;
        pointer = pointer_in_line(&line->malformed);
    }
    hf_buffer_format(to, "{\"status\":%d,\"replayed\":false,\"body\":", hf_err_status(code));
    hf_problem_json(to, code, detail, pointer);
}

static void put_line(struct each *each, const struct line *line)
{
    struct hf_buffer *to = &each->call->exchange->answer;
    const struct hf_answer *answer = &line->request.answer;
    if (!line->submitted || !answer->decided) {
        put_undecided(to, line);
    } else {
        hf_arena_clear(&each->scratch);
        const struct hf_commit *commit = hf_call_decode(answer->frame, &each->scratch);
        if (commit == NULL) {
            to->failed = true;
            return;
        }
        hf_buffer_format(to, "{\"status\":%d,\"replayed\":%s,\"body\":",
                         hf_answer_status(commit, false), answer->replayed ? "true" : "false");
        (void)hf_call_render(each->call, to, commit, false);
        each->position = hf_max_u64(each->position, answer->position);
    }
    hf_buffer_text(to, "}\n");
}

static void put_lines(struct each *each)
{
    for (uint32_t i = 0; i < each->count; i++) {
        struct line *line = &each->lines[i];
        put_line(each, line);
        hf_answer_release(&line->request.answer);
        hf_command_release(&line->command);
    }
}

/* Renders what is there and goes on until lines are under way or none is left. */
static enum hf_progress go_on(struct each *each)
{
    struct hf_call *call = each->call;
    while (each->rest.len > 0) {
        if (begin_lines(each)) {
            return HF_CALL_UNDER_WAY;
        }
        put_lines(each);
    }
    hf_arena_release(&each->scratch);
    call->status = 200;
    call->content_type = "application/x-ndjson";
    if (each->position > 0) {
        hf_call_header_number(call, "Holdfast-Position", "", each->position, "");
    }
    return HF_CALL_ANSWERED;
}

static enum hf_progress lines_done(struct hf_call *call)
{
    struct each *each = call->work;
    call->submitted = true;
    put_lines(each);
    return go_on(each);
}

static bool too_many_lines(struct hf_str body)
{
    uint32_t count = 0;
    struct hf_str line;
    while (next_line(&body, &line)) {
        count++;
    }
    return count > HF_COMMIT_OPERATIONS_MAX;
}

static enum hf_progress commit_each(struct hf_call *call)
{
    if (hf_str_present(call->key)) {
        return hf_call_invalid(call, "With mode=each the lines replay by their ids: send no "
                                     "Idempotency-Key.");
    }
    if (too_many_lines(call->exchange->body)) {
        return hf_call_problem(call, HF_ERR_TOO_LARGE, "At most 10000 lines in one request.", "");
    }
    struct each *each = hf_arena_alloc(call->exchange->arena, sizeof(*each));
    if (each == NULL) {
        return hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    each->call = call;
    each->rest = call->exchange->body;
    each->count = 0;
    each->position = 0;
    hf_arena_init(&each->scratch);
    call->work = each;
    call->finish = lines_done;
    call->form = (struct hf_answer_form){.one_result = true, .failed = HF_FAILED_IN_OBJECT};
    return go_on(each);
}

enum hf_progress hf_route_transfers(struct hf_call *call)
{
    struct hf_str mode = hf_http_query_get(&call->query, "mode");
    bool each = hf_str_equal(mode, HF_STR("each"));
    if (hf_str_present(mode) && !each && !hf_str_equal(mode, HF_STR("atomic"))) {
        return hf_call_invalid(call, "mode is atomic or each");
    }
    if (call->media != HF_MEDIA_NDJSON) {
        return hf_str_present(mode)
                   ? hf_call_invalid(call, "mode goes with Content-Type: application/x-ndjson")
                   : hf_route_operation(call);
    }
    return each ? commit_each(call) : commit_all(call);
}
