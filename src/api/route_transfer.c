/*
 * POST /v1/transfers: one (JSON) or many (NDJSON: one object a line).
 *
 * mode=atomic (the default): all lines are one commit; the answer is that commit's.
 * mode=each: all lines are one commit, too, but each is decided by itself and names its id, by which it replays. The
 * answer has one line for each line, in order, as GET /v1/keys would tell it: {"status":201,"replayed":false,"body":{…}}. A
 * line that is malformed or refused stops no other. Lines whose ids were known are asked again one by one, LINES_AT_ONCE at
 * a time: their answers are the recorded ones.
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

#define NO_OPERATION UINT32_MAX

/* A line of the body. */
struct line {
    struct hf_str text;
    uint32_t op;                    /* its operation in the commit of all lines, or NO_OPERATION */
    enum hf_err refused;            /* NO_OPERATION: malformed or forbidden */
    struct hf_malformed *malformed; /* what is malformed, or NULL */
    struct again *again;            /* it is asked again by itself, or NULL */
};

/* A line whose id was known: it is asked again as a commit of its own, whose answer is the recorded one. */
struct again {
    struct hf_command command; /* the line's commit */
    struct hf_request request; /* for it */
    bool submitted;            /* done will come, or came */
    enum hf_err refused;       /* not submitted: why */
};

struct each {
    struct hf_call *call;           /* whose body it is */
    struct line *lines;             /* of the body */
    uint32_t line_count;            /* of lines */
    uint32_t told;                  /* lines that are in the answer */
    uint32_t begun;                 /* lines up to here are told when those under way are done */
    uint64_t position;              /* newest of the lines' commits; 0: none yet */
    const struct hf_commit *commit; /* of the new lines; NULL: there is none */
    const struct hf_event *
        *events;             /* by operation of the commit: what came of it; NULL: it was known */
    atomic_uint under_way;   /* lines not done, and 1 while lines are being submitted */
    struct hf_arena scratch; /* for rendering a line */
    struct again slots[LINES_AT_ONCE]; /* used again and again */
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

static bool add_line(void *context, uint32_t index, struct hf_op_fields *fields,
                     struct hf_malformed *malformed)
{
    if (!hf_str_present(fields->id)) {
        return hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, "/id",
                                "with mode=each every transfer names its id");
    }
    return add_transfer(context, index, fields, malformed);
}

/* Puts the line into the commit of all lines, or notes why not. false: memory is short. */
static bool take_line(struct each *each, struct line *line)
{
    struct hf_call *call = each->call;
    struct hf_command *command = &call->command;
    struct hf_malformed malformed = {.code = HF_ERR_OK};
    line->op = command->op_count;
    if (!hf_resource_json_decode(line->text, call->route->operation->members, NULL, &command->arena,
                                 add_line, command, &malformed)) {
        line->op = NO_OPERATION;
        line->refused = malformed.code;
        line->malformed = hf_arena_alloc(call->exchange->arena, sizeof(malformed));
        if (line->malformed == NULL || malformed.code == HF_ERR_NO_MEMORY) {
            return false;
        }
        *line->malformed = malformed;
    } else if (!hf_call_may_op(&call->caller, &command->ops[line->op])) {
        command->op_count--;
        line->op = NO_OPERATION;
        line->refused = HF_ERR_FORBIDDEN;
    }
    return true;
}

static bool is_known(const struct each *each, const struct line *line)
{
    return line->op != NO_OPERATION && (each->commit == NULL || each->events[line->op] == NULL);
}

static void ask_again(struct each *each, struct line *line, struct again *again)
{
    struct hf_call *call = each->call;
    struct hf_malformed malformed;
    *again = (struct again){.refused = HF_ERR_OK};
    line->again = again;
    hf_command_init(&again->command, HF_COMMAND_COMMIT);
    if (!hf_command_set_principal(&again->command, call->caller.principal, &malformed) ||
        !decode_line(call, line->text, &again->command, &malformed) ||
        !hf_command_finish(&again->command, &malformed)) {
        again->refused = HF_ERR_NO_MEMORY; /* it was well formed a moment ago */
        return;
    }
    again->request =
        (struct hf_request){.command = &again->command, .done = line_done, .context = each};
    atomic_fetch_add(&each->under_way, 1);
    again->submitted = true;
    again->refused = hf_node_submit(call->door->options.node, &again->request);
    if (again->refused != HF_ERR_OK) {
        again->submitted = false;
        atomic_fetch_sub(&each->under_way, 1);
    }
}

/* Asks again for the next known lines. true: some are under way, lines_done comes. */
static bool begin_lines(struct each *each)
{
    uint32_t used = 0;
    atomic_store(&each->under_way, 1);
    for (; each->begun < each->line_count; each->begun++) {
        struct line *line = &each->lines[each->begun];
        if (is_known(each, line)) {
            if (used == LINES_AT_ONCE) {
                break;
            }
            ask_again(each, line, &each->slots[used++]);
        }
    }
    return atomic_fetch_sub(&each->under_way, 1) > 1;
}

/* "/do/7/amount" of a line is its "/amount". */
static const char *pointer_in_line(const struct hf_malformed *malformed)
{
    const char *pointer = malformed->pointer;
    if (strncmp(pointer, "/do", 3) != 0 || (pointer[3] != '/' && pointer[3] != '\0')) {
        return pointer;
    }
    const char *field = pointer[3] == '\0' ? NULL : strchr(pointer + 4, '/');
    return field == NULL ? "" : field;
}

/* A line that was not decided. */
static void put_undecided(struct hf_buffer *to, const struct line *line)
{
    enum hf_err code = line->refused;
    if (line->again != NULL) {
        code = line->again->submitted ? line->again->request.answer.code : line->again->refused;
    }
    if (code == HF_ERR_NO_MEMORY || code == HF_ERR_DEPOSED) {
        code = code == HF_ERR_DEPOSED ? HF_ERR_NOT_READY : HF_ERR_OVERLOADED;
    }
    const char *detail = line->malformed == NULL ? hf_err_title(code) : line->malformed->text;
    const char *pointer = line->malformed == NULL ? "" : pointer_in_line(line->malformed);
    hf_buffer_format(to, "{\"status\":%d,\"replayed\":false,\"body\":", hf_err_status(code));
    hf_problem_json(to, code, detail, pointer);
}

static void put_decided(struct each *each, const struct hf_commit *commit, bool replayed)
{
    struct hf_buffer *to = &each->call->exchange->answer;
    if (commit == NULL) {
        to->failed = true;
        return;
    }
    hf_buffer_text(to, "{\"status\":");
    hf_buffer_format(to, "%d", hf_answer_status(commit, false));
    hf_buffer_text(to, replayed ? ",\"replayed\":true,\"body\":" : ",\"replayed\":false,\"body\":");
    (void)hf_call_render(each->call, to, commit, false);
    each->position = hf_max_u64(each->position, commit->position);
}

static void put_line(struct each *each, const struct line *line)
{
    hf_arena_clear(&each->scratch);
    const struct again *again = line->again;
    if (again != NULL && again->submitted && again->request.answer.decided) {
        put_decided(each, hf_call_decode(again->request.answer.frame, &each->scratch),
                    again->request.answer.replayed);
    } else if (again != NULL || line->op == NO_OPERATION) {
        put_undecided(&each->call->exchange->answer, line);
    } else {
        put_decided(each, hf_commit_unit(each->commit, each->events[line->op], &each->scratch),
                    false);
    }
    hf_buffer_text(&each->call->exchange->answer, "}\n");
}

static void put_lines(struct each *each)
{
    for (; each->told < each->begun; each->told++) {
        struct line *line = &each->lines[each->told];
        put_line(each, line);
        if (line->again != NULL) {
            hf_answer_release(&line->again->request.answer);
            hf_command_release(&line->again->command);
        }
    }
}

/* Tells what is there and goes on until lines are under way or none is left. */
static enum hf_progress go_on(struct each *each)
{
    struct hf_call *call = each->call;
    while (each->told < each->line_count) {
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
    put_lines(each);
    return go_on(each);
}

/* The commit of all lines is decided. */
static enum hf_progress each_decided(struct hf_call *call)
{
    struct each *each = call->work;
    const struct hf_answer *answer = &call->request.answer;
    call->has_answer = true;
    if (!answer->decided) {
        return hf_call_undecided(call, answer->code);
    }
    if (answer->code != HF_ERR_OK) {
        return hf_call_problem(call, answer->code, "Send fewer lines in one request.", "");
    }
    call->submitted = true;
    struct hf_arena *arena = call->exchange->arena;
    uint32_t count = call->command.op_count;
    each->events = hf_arena_alloc_zero(arena, count, sizeof(struct hf_event *));
    const struct hf_commit *commit = hf_call_decode(answer->frame, arena);
    if (commit == NULL || each->events == NULL) {
        return hf_call_undecided(call, HF_ERR_OUTCOME_UNKNOWN);
    }
    for (uint32_t i = 0; i < commit->event_count; i++) {
        if (commit->events[i]->operation < count) {
            each->events[commit->events[i]->operation] = commit->events[i];
        }
    }
    each->commit = commit;
    hf_buffer_clear(&call->exchange->answer);
    call->finish = lines_done;
    return go_on(each);
}

/* All lines of the body into the commit. false: the answer is composed. */
static bool take_lines(struct each *each)
{
    struct hf_call *call = each->call;
    struct hf_str rest = call->exchange->body;
    struct hf_str text;
    uint32_t count = 0;
    while (next_line(&rest, &text)) {
        count++;
    }
    if (count > HF_COMMIT_OPERATIONS_MAX) {
        (void)hf_call_problem(call, HF_ERR_TOO_LARGE, "At most 10000 lines in one request.", "");
        return false;
    }
    each->lines = hf_arena_alloc_zero(call->exchange->arena, count, sizeof(*each->lines));
    bool ok = each->lines != NULL;
    rest = call->exchange->body;
    while (ok && next_line(&rest, &text)) {
        struct line *line = &each->lines[each->line_count++];
        line->text = text;
        ok = take_line(each, line);
    }
    if (!ok) {
        (void)hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    return ok;
}

static enum hf_progress commit_each(struct hf_call *call)
{
    if (hf_str_present(call->key)) {
        return hf_call_invalid(call, "With mode=each the lines replay by their ids: send no "
                                     "Idempotency-Key.");
    }
    struct each *each = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*each));
    if (each == NULL) {
        return hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    each->call = call;
    hf_arena_init(&each->scratch);
    call->work = each;
    call->form = (struct hf_answer_form){.one_result = true, .failed = HF_FAILED_IN_OBJECT};
    if (!hf_call_command(call, HF_COMMAND_EACH) || !take_lines(each)) {
        return HF_CALL_ANSWERED;
    }
    if (call->command.op_count == 0) {
        return go_on(each);
    }
    call->finish = each_decided;
    return hf_call_commit_each(call);
}

enum hf_progress hf_route_transfers(struct hf_call *call)
{
    struct hf_str mode = hf_http_query_get(&call->query, "mode");
    bool each = hf_str_equal(mode, HF_STR("each"));
    if (hf_str_present(mode) && !each && !hf_str_equal(mode, HF_STR("atomic"))) {
        return hf_call_invalid(call, "mode is atomic or each");
    }
    if (call->media == HF_MEDIA_PACKED_TRANSFERS) {
        return hf_route_packed(call, HF_PACKED_TRANSFERS);
    }
    if (call->media != HF_MEDIA_NDJSON) {
        return hf_str_present(mode)
                   ? hf_call_invalid(call, "mode goes with Content-Type: application/x-ndjson")
                   : hf_route_operation(call);
    }
    return each ? commit_each(call) : commit_all(call);
}
