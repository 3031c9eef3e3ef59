/*
 * holdfast saga test: a definition against participants that fail at every step in every way.
 *
 * A case is one step's action or compensation going one way, all others succeeding. It ends badly if something was done and stays
 * although the saga was undone, if nothing will ever happen, or if the saga can't even begin. A participant that never answers is
 * waited for: that is no fault of a definition.
 */
#include <stdio.h>

#include "cli/remote.h"
#include "cli/saga_test.h"
#include "cli/saga_trial.h"
#include "cli/text_table.h"

struct testing {
    struct hf_remote_call *call;
    struct hf_arena *arena;
    struct hf_saga_definition definition; /* as given */
    struct hf_trial_input input;          /* of the rewritten one */
    bool reached[HF_SAGA_STEPS_MAX];      /* its action was called when all succeeded */
    struct hf_text_table table;
    struct hf_json_writer json;
    struct hf_buffer out;
    struct hf_buffer warnings; /* lines, each once */
    size_t cases, bad;
};

static int no_memory(const struct hf_cli *cli)
{
    struct hf_error error = {0};
    (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
    return hf_cli_fail(cli, &error);
}

static struct hf_str step_name(const struct testing *testing, uint32_t step)
{
    return testing->definition.steps[step].name;
}

/* ---- judging ---- */

static const char *end_text(const struct hf_trial_result *result)
{
    static const char *const states[] = {
        [HF_SAGA_SUCCEEDED] = "succeeded",
        [HF_SAGA_COMPENSATED] = "compensated",
        [HF_SAGA_ABANDONED] = "abandoned",
    };
    switch (result->end) {
    case HF_TRIAL_ENDED:
        return states[result->state];
    case HF_TRIAL_PARKED:
        return "parked";
    case HF_TRIAL_GOES_ON:
        return "keeps trying";
    case HF_TRIAL_STUCK:
        return "stuck";
    case HF_TRIAL_REJECTED:
        break;
    }
    return "rejected";
}

/* Steps that were done, and are so still, although the saga was undone: bit by bit. */
static uint64_t left_behind(const struct hf_trial_result *result)
{
    uint64_t left = 0;
    bool undone = result->end == HF_TRIAL_ENDED && result->state == HF_SAGA_COMPENSATED;
    for (uint32_t i = 0; undone && i < result->step_count; i++) {
        left |= result->steps[i].done && !result->steps[i].undone ? UINT64_C(1) << i : 0;
    }
    return left;
}

static void warn(struct testing *testing, const char *text)
{
    struct hf_buffer *warnings = &testing->warnings;
    size_t len = strlen(text);
    if (warnings->size_bytes == 0 ||
        memmem(warnings->data, warnings->size_bytes, text, len) == NULL) {
        hf_buffer_bytes(warnings, text, len);
        hf_buffer_u8(warnings, '\n');
    }
}

static bool judge(struct testing *testing, const struct hf_trial_result *result)
{
    char text[256];
    uint64_t left = left_behind(result);
    for (uint32_t i = 0; i < result->step_count; i++) {
        if ((left >> i & 1) != 0) {
            struct hf_str name = step_name(testing, i);
            (void)snprintf(text, sizeof(text),
                           "%.*s has no compensation: what it did stays when the saga is undone",
                           (int)name.len, name.ptr);
            warn(testing, text);
        }
    }
    if (result->end == HF_TRIAL_STUCK) {
        warn(testing, "there are cases in which nothing would ever happen again");
    }
    bool bad = left != 0 || result->end == HF_TRIAL_STUCK || result->end == HF_TRIAL_REJECTED;
    testing->cases++;
    testing->bad += bad;
    return bad;
}

/* ---- showing ---- */

static void put_calls(const struct testing *testing, const struct hf_trial_result *result,
                      struct hf_buffer *text)
{
    for (uint32_t i = 0; i < result->step_count; i++) {
        const struct hf_trial_step *step = &result->steps[i];
        struct hf_str name = step_name(testing, i);
        if (step->actions > 0) {
            hf_buffer_format(text, "%s%.*s", text->size_bytes == 0 ? "" : ", ", (int)name.len,
                             name.ptr);
            if (step->actions > 1) {
                hf_buffer_format(text, " ×%u", step->actions);
            }
        }
    }
}

static void put_undone(const struct testing *testing, const struct hf_trial_result *result,
                       struct hf_buffer *text)
{
    for (uint32_t i = 0; i < result->undone_count; i++) {
        uint32_t index = result->undone[i];
        struct hf_str name = step_name(testing, index);
        hf_buffer_format(text, "%s%.*s", i == 0 ? "" : ", ", (int)name.len, name.ptr);
        if (result->steps[index].compensations > 1) {
            hf_buffer_format(text, " ×%u", result->steps[index].compensations);
        }
    }
}

static void put_left(const struct testing *testing, uint64_t left, struct hf_buffer *text)
{
    for (uint32_t i = 0; i < testing->definition.step_count; i++) {
        if ((left >> i & 1) != 0) {
            struct hf_str name = step_name(testing, i);
            hf_buffer_format(text, "%s%.*s", text->size_bytes == 0 ? "stays: " : ", ",
                             (int)name.len, name.ptr);
        }
    }
}

static void add_cell(struct hf_text_table *table, struct hf_buffer *text)
{
    table->text.failed = table->text.failed || text->failed;
    hf_text_table_cell(table, (struct hf_str){(const char *)text->data, text->size_bytes});
    hf_buffer_clear(text);
}

static void show_row(struct testing *testing, const struct hf_trial_case *each,
                     const struct hf_trial_result *result)
{
    struct hf_text_table *table = &testing->table;
    struct hf_buffer text;
    hf_buffer_init(&text);
    bool none = each->step == HF_TRIAL_NO_STEP;
    hf_text_table_cell(table, none ? HF_STR("(all)") : step_name(testing, each->step));
    hf_text_table_cell(table, each->op == HF_SAGA_ACTION ? HF_STR("action") : HF_STR("compensate"));
    hf_text_table_cell(table, hf_str_from(hf_trial_way_text(each->way)));
    hf_text_table_cell(table, hf_str_from(end_text(result)));
    put_calls(testing, result, &text);
    add_cell(table, &text);
    put_undone(testing, result, &text);
    add_cell(table, &text);
    put_left(testing, left_behind(result), &text);
    if (text.size_bytes == 0) {
        hf_buffer_text(&text, result->reason);
    }
    add_cell(table, &text);
    hf_buffer_release(&text);
}

static void put_names(struct hf_json_writer *w, const struct testing *testing, const char *name,
                      const struct hf_trial_result *result, uint64_t left)
{
    hf_json_begin_array(w, name);
    for (uint32_t i = 0; i < result->step_count; i++) {
        if ((left >> i & 1) != 0) {
            hf_json_put_text(w, NULL, step_name(testing, i));
        }
    }
    hf_json_end_array(w);
}

static void show_item(struct testing *testing, const struct hf_trial_case *each,
                      const struct hf_trial_result *result, bool bad)
{
    struct hf_json_writer *w = &testing->json;
    hf_json_begin_object(w, NULL);
    if (each->step == HF_TRIAL_NO_STEP) {
        hf_json_put_null(w, "step");
    } else {
        hf_json_put_text(w, "step", step_name(testing, each->step));
    }
    hf_json_put_text(w, "op", each->op == HF_SAGA_ACTION ? HF_STR("action") : HF_STR("compensate"));
    hf_json_put_text(w, "answer", hf_str_from(hf_trial_way_text(each->way)));
    hf_json_put_text(w, "ends", hf_str_from(end_text(result)));
    hf_json_put_text(w, "reason", hf_str_from(result->reason));
    hf_json_put_number(w, "took_ms", result->took_us / 1000);
    hf_json_begin_array(w, "steps");
    for (uint32_t i = 0; i < result->step_count; i++) {
        hf_json_begin_object(w, NULL);
        hf_json_put_text(w, "name", step_name(testing, i));
        hf_json_put_number(w, "actions", result->steps[i].actions);
        hf_json_put_number(w, "compensations", result->steps[i].compensations);
        hf_json_end_object(w);
    }
    hf_json_end_array(w);
    hf_json_begin_array(w, "undone");
    for (uint32_t i = 0; i < result->undone_count; i++) {
        hf_json_put_text(w, NULL, step_name(testing, result->undone[i]));
    }
    hf_json_end_array(w);
    put_names(w, testing, "stays", result, left_behind(result));
    hf_json_put_bool(w, "bad", bad);
    hf_json_end_object(w);
}

/* ---- cases ---- */

/* HF_CLI_GO_ON, or the exit status. */
static int run_case(struct testing *testing, const struct hf_trial_case *each,
                    struct hf_trial_result *result)
{
    const struct hf_cli *cli = testing->call->cli;
    struct hf_malformed malformed = {0};
    enum hf_err err = hf_trial_run(&testing->input, each, result, &malformed);
    if (err == HF_ERR_NO_MEMORY) {
        return no_memory(cli);
    }
    if (err != HF_ERR_OK) {
        struct hf_error error = {0};
        (void)hf_error_set(&error, err, "%s%s%s", malformed.pointer,
                           malformed.pointer[0] == '\0' ? "" : ": ",
                           malformed.text[0] == '\0' ? hf_err_title(err) : malformed.text);
        return hf_cli_fail(cli, &error);
    }
    bool bad = judge(testing, result);
    if (cli->json) {
        show_item(testing, each, result, bad);
    } else {
        show_row(testing, each, result);
    }
    return HF_CLI_GO_ON;
}

static bool is_called(const struct hf_saga_call *call)
{
    return call->kind == HF_CALL_HTTP || call->kind == HF_CALL_NATIVE ||
           call->kind == HF_CALL_EVENT;
}

/* A server's own step answers at once and for sure: it succeeds or is refused. An event comes or does not. */
static bool may_go(const struct hf_saga_call *call, enum hf_trial_way way)
{
    switch (call->kind) {
    case HF_CALL_HTTP:
        return true;
    case HF_CALL_NATIVE:
        return way == HF_TRIAL_REFUSES;
    case HF_CALL_EVENT:
        return way == HF_TRIAL_ACCEPTS_SUCCEEDS || way == HF_TRIAL_ACCEPTS_SILENT;
    case HF_CALL_NONE:
    case HF_CALL_SLEEP:
    case HF_CALL_UNTIL:
        break;
    }
    return false;
}

/* Whose refusal brings the step's compensation about: the last step behind it that can still undo; else its own. */
static uint32_t find_cause(const struct testing *testing, uint32_t step)
{
    const struct hf_saga_definition *definition = &testing->definition;
    uint64_t pivots = 0;
    for (uint32_t i = 0; i < definition->step_count; i++) {
        pivots |= definition->steps[i].pivot ? UINT64_C(1) << i : 0;
    }
    for (uint32_t i = definition->step_count; i > 0; i--) {
        const struct hf_saga_step_definition *other = &definition->steps[i - 1];
        bool behind = (other->before >> step & 1) != 0;
        if (behind && (other->before & pivots) == 0 && testing->reached[i - 1] &&
            is_called(&other->action)) {
            return i - 1;
        }
    }
    return step;
}

static bool is_wanted(const struct testing *testing, uint32_t step)
{
    const char *only = testing->call->values->text[HF_REMOTE_ONLY];
    return only == NULL || hf_str_equal(step_name(testing, step), hf_str_from(only));
}

static int run_cases(struct testing *testing)
{
    struct hf_trial_result *result =
        hf_arena_alloc_zero(testing->arena, 1, sizeof(struct hf_trial_result));
    struct hf_trial_case each = {.step = HF_TRIAL_NO_STEP, .op = HF_SAGA_ACTION};
    if (result == NULL) {
        return no_memory(testing->call->cli);
    }
    int status = run_case(testing, &each, result);
    for (uint32_t i = 0; i < result->step_count; i++) {
        testing->reached[i] = result->steps[i].actions > 0;
    }
    for (each.step = 0; status == HF_CLI_GO_ON && each.step < testing->definition.step_count;
         each.step++) {
        const struct hf_saga_step_definition *step = &testing->definition.steps[each.step];
        for (int op = HF_SAGA_ACTION; op <= HF_SAGA_COMPENSATION; op++) {
            const struct hf_saga_call *call =
                op == HF_SAGA_ACTION ? &step->action : &step->compensation;
            each.op = (enum hf_saga_op)op;
            each.refused = find_cause(testing, each.step);
            for (int way = HF_TRIAL_REFUSES; status == HF_CLI_GO_ON && way < HF_TRIAL_WAY_COUNT;
                 way++) {
                each.way = (enum hf_trial_way)way;
                bool runs = testing->reached[each.step] && is_wanted(testing, each.step) &&
                            hf_trial_way_fits(each.way, each.op) && may_go(call, each.way);
                status = runs ? run_case(testing, &each, result) : status;
            }
        }
    }
    return status;
}

/* ---- the whole ---- */

static void note_unreached(struct testing *testing)
{
    char text[256];
    for (uint32_t i = 0; i < testing->definition.step_count; i++) {
        if (!testing->reached[i] && is_called(&testing->definition.steps[i].action)) {
            struct hf_str name = step_name(testing, i);
            (void)snprintf(
                text, sizeof(text),
                "%.*s was not reached with this input: nothing is shown of it (--input=JSON)",
                (int)name.len, name.ptr);
            warn(testing, text);
        }
    }
}

static int conclude(struct testing *testing)
{
    const struct hf_cli *cli = testing->call->cli;
    struct hf_buffer *out = &testing->out;
    note_unreached(testing);
    bool ok = testing->bad == 0;
    if (cli->json) {
        hf_json_end_array(&testing->json);
        hf_json_begin_array(&testing->json, "warnings");
        const char *at = (const char *)testing->warnings.data;
        const char *end = at + testing->warnings.size_bytes;
        while (at < end) {
            const char *line = memchr(at, '\n', (size_t)(end - at));
            hf_json_put_text(&testing->json, NULL, (struct hf_str){at, (size_t)(line - at)});
            at = line + 1;
        }
        hf_json_end_array(&testing->json);
        hf_json_put_number(&testing->json, "bad", testing->bad);
        hf_json_end_object(&testing->json);
    } else {
        hf_text_table_print(&testing->table, out);
        hf_buffer_format(out, "\n%zu cases, %zu end badly", testing->cases, testing->bad);
        const char *text = (const char *)testing->warnings.data;
        int bytes = (int)testing->warnings.size_bytes;
        if (bytes > 0) {
            hf_buffer_format(out, "\n\nWarnings:\n%.*s", bytes - 1, text);
        }
    }
    out->failed = out->failed || testing->warnings.failed;
    return hf_cli_print(cli, out, ok ? HF_EXIT_OK : HF_EXIT_NO);
}

/* The definition rewritten, and what goes into it. HF_CLI_GO_ON or the exit status. */
static int prepare(struct testing *testing, struct hf_str text)
{
    const struct hf_cli *cli = testing->call->cli;
    const struct hf_saga_definition *definition = &testing->definition;
    const char *input = testing->call->values->text[HF_REMOTE_INPUT];
    struct hf_str *results =
        hf_arena_alloc_zero(testing->arena, definition->step_count, sizeof(*results));
    if (input != NULL && hf_json_validate(hf_str_from(input), NULL) != HF_ERR_OK) {
        return hf_cli_usage(cli, "--input is no JSON: %s", input);
    }
    testing->input.definition = hf_saga_test_rewrite(text, testing->arena);
    testing->input.input = input != NULL
                               ? hf_str_from(input)
                               : hf_saga_test_make_up(text, HF_STR("/input"), testing->arena);
    bool ok = results != NULL && hf_str_present(testing->input.definition) &&
              hf_str_present(testing->input.input);
    for (uint32_t i = 0; ok && i < definition->step_count; i++) {
        char root[80];
        (void)snprintf(root, sizeof(root), "/steps/%.*s", (int)definition->steps[i].name.len,
                       definition->steps[i].name.ptr);
        results[i] = hf_saga_test_make_up(text, hf_str_from(root), testing->arena);
        ok = hf_str_present(results[i]);
    }
    testing->input.results = results;
    return ok ? HF_CLI_GO_ON : no_memory(cli);
}

static void begin_output(struct testing *testing)
{
    static const char *const titles[] = {"STEP",  "OP",     "ANSWER", "THE SAGA",
                                         "CALLS", "UNDONE", "NOTE"};
    hf_buffer_init(&testing->out);
    hf_buffer_init(&testing->warnings);
    testing->json = hf_json_writer_over(&testing->out);
    hf_text_table_init(&testing->table, HF_ARRAY_COUNT(titles));
    if (testing->call->cli->json) {
        hf_json_begin_object(&testing->json, NULL);
        hf_json_put_text(&testing->json, "input", testing->input.input);
        hf_json_begin_array(&testing->json, "cases");
        return;
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(titles); i++) {
        hf_text_table_cell(&testing->table, hf_str_from(titles[i]));
    }
}

static int test(struct testing *testing, struct hf_str text)
{
    int status = prepare(testing, text);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    begin_output(testing);
    status = run_cases(testing);
    if (status == HF_CLI_GO_ON) {
        status = conclude(testing);
    } else {
        hf_buffer_release(&testing->out);
    }
    hf_buffer_release(&testing->warnings);
    hf_text_table_release(&testing->table);
    return status;
}

int hf_saga_test(struct hf_remote_call *call)
{
    const struct hf_cli *cli = call->cli;
    struct testing testing = {.call = call, .arena = &call->arena};
    struct hf_malformed malformed = {0};
    struct hf_error error = {0};
    struct hf_buffer file;
    hf_buffer_init(&file);
    if (hf_cli_read_file(cli->operands[0], HF_SAGA_DEFINITION_BYTES_MAX, &file, &error) !=
        HF_ERR_OK) {
        hf_buffer_release(&file);
        return hf_cli_fail(cli, &error);
    }
    struct hf_str text = {(const char *)file.data, file.size_bytes};
    int status;
    if (!hf_saga_definition_parse_into(&testing.definition, &call->arena, text, &malformed)) {
        (void)hf_error_set(&error, malformed.code, "%s: %s%s%s", cli->operands[0],
                           malformed.pointer, malformed.pointer[0] == '\0' ? "" : ": ",
                           malformed.text);
        (void)hf_cli_fail(cli, &error);
        status = HF_EXIT_NO;
    } else {
        status = test(&testing, text);
    }
    hf_buffer_release(&file);
    return status;
}
