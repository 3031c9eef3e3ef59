/*
 * Sagas for people: `show` draws the steps on a line of time, `watch` tells each act as it happens.
 *
 *   order-17  compensated  order@3  version 9                       started 2026-11-26T12:00:00.000000Z, took 1.250 s
 *   charge: 422 no such card
 *
 *   STEP     OP          STATE        TRIES  BEGAN     TOOK
 *   reserve  action      succeeded        1  +0 ms     35 ms   │━✓                                      │
 *   charge   action      failed           3  +35 ms    900 ms  │ ━━━━━━━━━━━━━~━━━━━━~━━━━✗              │
 *   reserve  compensate  compensated      1  +935 ms   12 ms   │                          ━✓             │
 *
 * A row's bar begins when the step's call became due and ends with its outcome; a mark stands where an attempt ended: ✓ success,
 * ✗ refused, ~ to be tried again, … accepted, ‖ parked, ! by hand.
 */
#include "base/time_text.h"
#include "base/u128.h"
#include "cli/remote.h"
#include "cli/text_table.h"

#define BAR_CELLS     40
#define HISTORY_LIMIT 1000
#define HISTORY_PAGES 20 /* drawn at most; a longer history is told by its newest row alone */
#define WATCH_WAIT_S  5  /* of a long poll: less than an attempt of the client takes at most */
#define ROWS_MAX      (64 * 2)

struct row {
    struct hf_str step, op, state; /* in the call's arena */
    uint64_t tries;
    uint64_t begin_us;
    uint64_t end_us; /* 0: not ended */
    const char *cells[BAR_CELLS];
};

struct drawing {
    struct hf_remote_call *call;
    struct row *rows; /* ROWS_MAX, in the arena */
    size_t row_count;
    uint64_t from_us, to_us; /* what the bars span */
};

static struct hf_str text_of(const struct hf_json_object *object, const char *name)
{
    struct hf_str text = hf_json_view_text(object, name);
    return hf_str_present(text) ? text : HF_STR("");
}

static uint64_t number_of(const struct hf_json_object *object, const char *name)
{
    hf_u128 number = 0;
    struct hf_str text = hf_json_view_text(object, name);
    return hf_str_present(text) && hf_u128_parse(text, &number) ? (uint64_t)number : 0;
}

static uint64_t time_of(const struct hf_json_object *object, const char *name)
{
    uint64_t time_us = 0;
    struct hf_str text = hf_json_view_text(object, name);
    return hf_str_present(text) && hf_time_parse(text, &time_us) ? time_us : 0;
}

static int bad_answer(const struct hf_cli *cli)
{
    struct hf_error error = {0};
    (void)hf_error_set(&error, HF_ERR_IO, "the server's answer is no saga, or memory is short");
    return hf_cli_fail(cli, &error);
}

/* ---- the history, into rows ---- */

static bool is_under_way(struct hf_str state)
{
    return hf_str_equal(state, HF_STR("running")) || hf_str_equal(state, HF_STR("waiting")) ||
           hf_str_equal(state, HF_STR("compensating")) || hf_str_equal(state, HF_STR("parked"));
}

static struct row *row_of(struct drawing *drawing, struct hf_str step, struct hf_str op,
                          uint64_t time_us)
{
    for (size_t i = 0; i < drawing->row_count; i++) {
        if (hf_str_equal(drawing->rows[i].step, step) && hf_str_equal(drawing->rows[i].op, op)) {
            return &drawing->rows[i];
        }
    }
    if (drawing->row_count == ROWS_MAX) {
        return &drawing->rows[ROWS_MAX - 1];
    }
    struct row *row = &drawing->rows[drawing->row_count++];
    *row = (struct row){.step = step, .op = op, .begin_us = time_us};
    return row;
}

static void take_change(struct drawing *drawing, const struct hf_json_object *change,
                        uint64_t time_us)
{
    struct hf_str state = text_of(change, "state");
    struct hf_str op = text_of(change, "op");
    if (op.len == 0 && hf_str_equal(state, HF_STR("pending"))) {
        return;
    }
    struct row *row = row_of(drawing, text_of(change, "step"), op, time_us);
    row->state = state;
    row->tries = number_of(change, "attempts");
    row->end_us = is_under_way(state) ? 0 : time_us;
}

static const char *mark_of(const struct hf_json_object *act)
{
    static const struct {
        const char *outcome, *mark;
    } marks[] = {
        {"success", "✓"}, {"fail", "✗"},  {"retry", "~"}, {"conflict", "~"},
        {"pending", "…"}, {"again", "…"}, {"park", "‖"},
    };
    struct hf_str outcome = text_of(act, "outcome");
    for (size_t i = 0; i < HF_ARRAY_COUNT(marks); i++) {
        if (hf_str_equal(outcome, hf_str_from(marks[i].outcome))) {
            return marks[i].mark;
        }
    }
    struct hf_str name = text_of(act, "act");
    bool by_hand = hf_str_equal(name, HF_STR("retry")) || hf_str_equal(name, HF_STR("skip"));
    return by_hand ? "!" : NULL;
}

static size_t cell_of(const struct drawing *drawing, uint64_t time_us)
{
    uint64_t span_us = drawing->to_us - drawing->from_us;
    uint64_t at_us = time_us < drawing->from_us ? 0 : time_us - drawing->from_us;
    return (size_t)((hf_u128)hf_min_u64(at_us, span_us) * (BAR_CELLS - 1) / span_us);
}

static bool take_act(struct drawing *drawing, struct hf_str raw, bool marks)
{
    struct hf_arena *arena = &drawing->call->arena;
    struct hf_json_object act;
    struct hf_json_object change;
    struct hf_json_array changes;
    if (!hf_json_view_object(raw, arena, &act)) {
        return false;
    }
    uint64_t time_us = time_of(&act, "time");
    const char *mark = mark_of(&act);
    if (marks) { /* the second pass: the span is known */
        if (mark != NULL && text_of(&act, "step").len > 0) {
            struct row *row = row_of(drawing, text_of(&act, "step"), text_of(&act, "op"), time_us);
            row->cells[cell_of(drawing, time_us)] = mark;
        }
        return true;
    }
    drawing->to_us = hf_max_u64(drawing->to_us, time_us);
    const struct hf_json_value *list = hf_json_view_member(&act, "changes");
    if (list == NULL || !hf_json_view_array(list->raw, arena, &changes)) {
        return false;
    }
    for (size_t i = 0; i < changes.count; i++) {
        if (!hf_json_view_object(changes.items[i].raw, arena, &change)) {
            return false;
        }
        take_change(drawing, &change, time_us);
    }
    return true;
}

/* ---- drawing ---- */

/* "35 ms", "1.250 s", "2 h 5 min": short and without needless digits. */
static void put_span(struct hf_buffer *out, uint64_t us)
{
    uint64_t ms = us / 1000;
    if (ms < 1000) {
        hf_buffer_format(out, "%llu ms", (unsigned long long)ms);
    } else if (ms < 60000) {
        hf_buffer_format(out, "%llu.%03llu s", (unsigned long long)(ms / 1000),
                         (unsigned long long)(ms % 1000));
    } else if (ms < 3600000) {
        hf_buffer_format(out, "%llu min %llu s", (unsigned long long)(ms / 60000),
                         (unsigned long long)(ms / 1000 % 60));
    } else {
        hf_buffer_format(out, "%llu h %llu min", (unsigned long long)(ms / 3600000),
                         (unsigned long long)(ms / 60000 % 60));
    }
}

static void put_bar(const struct drawing *drawing, const struct row *row, struct hf_buffer *out)
{
    size_t first = cell_of(drawing, row->begin_us);
    size_t last = cell_of(drawing, row->end_us == 0 ? drawing->to_us : row->end_us);
    hf_buffer_text(out, "│");
    for (size_t i = 0; i < BAR_CELLS; i++) {
        bool inside = i >= first && i <= last;
        const char *mark = row->cells[i];
        hf_buffer_text(out, mark != NULL ? mark : inside ? "━" : " ");
    }
    hf_buffer_text(out, row->end_us == 0 ? "┄" : "│");
}

static void put_cell(struct hf_text_table *table, struct hf_buffer *text)
{
    table->text.failed = table->text.failed || text->failed;
    hf_text_table_cell(table, (struct hf_str){(const char *)text->data, text->size_bytes});
    hf_buffer_clear(text);
}

static void put_rows(const struct drawing *drawing, struct hf_buffer *out)
{
    static const char *const titles[] = {"STEP", "OP", "STATE", "TRIES", "BEGAN", "TOOK", ""};
    struct hf_text_table table;
    struct hf_buffer text;
    hf_text_table_init(&table, HF_ARRAY_COUNT(titles));
    hf_buffer_init(&text);
    table.right[3] = table.right[4] = table.right[5] = true;
    for (size_t i = 0; i < HF_ARRAY_COUNT(titles); i++) {
        hf_text_table_cell(&table, hf_str_from(titles[i]));
    }
    for (size_t i = 0; i < drawing->row_count; i++) {
        const struct row *row = &drawing->rows[i];
        hf_text_table_cell(&table, row->step);
        hf_text_table_cell(&table, row->op);
        hf_text_table_cell(&table, row->state);
        hf_buffer_format(&text, "%llu", (unsigned long long)row->tries);
        put_cell(&table, &text);
        hf_buffer_u8(&text, '+');
        put_span(&text, row->begin_us - hf_min_u64(row->begin_us, drawing->from_us));
        put_cell(&table, &text);
        if (row->end_us != 0) {
            put_span(&text, row->end_us - hf_min_u64(row->end_us, row->begin_us));
        }
        put_cell(&table, &text);
        put_bar(drawing, row, &text);
        put_cell(&table, &text);
    }
    hf_text_table_print(&table, out);
    hf_buffer_release(&text);
    hf_text_table_release(&table);
}

/* An attempt that is due and not answered is out, or waits for its turn: behind others, or until its target answers again. */
static bool is_over(struct hf_str time)
{
    uint64_t time_us;
    return hf_time_parse(time, &time_us) && time_us <= hf_remote_wall_us();
}

/* Steps that have not begun, and what went wrong last. */
static void put_notes(struct hf_remote_call *call, const struct hf_json_object *saga,
                      struct hf_buffer *out)
{
    const struct hf_json_value *list = hf_json_view_member(saga, "steps");
    struct hf_json_array steps;
    struct hf_json_object step;
    const char *before = "\nnot begun: ";
    if (list == NULL || !hf_json_view_array(list->raw, &call->arena, &steps)) {
        return;
    }
    for (size_t i = 0; i < steps.count; i++) {
        if (hf_json_view_object(steps.items[i].raw, &call->arena, &step) &&
            hf_str_equal(text_of(&step, "state"), HF_STR("pending"))) {
            struct hf_str name = text_of(&step, "name");
            hf_buffer_format(out, "%s%.*s", before, (int)name.len, name.ptr);
            before = ", ";
        }
    }
    hf_buffer_text(out, before[0] == ',' ? "\n" : "");
    for (size_t i = 0; i < steps.count; i++) {
        if (!hf_json_view_object(steps.items[i].raw, &call->arena, &step)) {
            continue;
        }
        struct hf_str error = text_of(&step, "last_error");
        struct hf_str name = text_of(&step, "name");
        struct hf_str next = text_of(&step, "next_attempt_at");
        if (error.len > 0 || next.len > 0) {
            hf_buffer_format(out, "\n%.*s:", (int)name.len, name.ptr);
        }
        if (error.len > 0) {
            hf_buffer_text(out, " last error ");
            hf_json_write_string(out, error); /* escaped: a terminal is not to be steered */
        }
        if (next.len > 0) {
            bool over = is_over(next);
            hf_buffer_format(out, "%s %s %.*s%s", error.len > 0 ? ";" : "",
                             over ? "an attempt is due since" : "next attempt at", (int)next.len,
                             next.ptr,
                             over ? ": it is out, or waits until its target has room" : "");
        }
    }
}

static void put_head(const struct drawing *drawing, const struct hf_json_object *saga,
                     struct hf_buffer *out)
{
    struct hf_json_object definition = {0};
    const struct hf_json_value *value = hf_json_view_member(saga, "definition");
    struct hf_str id = text_of(saga, "id");
    struct hf_str state = text_of(saga, "state");
    struct hf_str version = text_of(saga, "version");
    struct hf_str started = text_of(saga, "started_at");
    struct hf_str key = text_of(saga, "business_key");
    struct hf_str reason = text_of(saga, "reason");
    struct hf_str failing = text_of(saga, "failing_since");
    if (value != NULL && !hf_json_view_object(value->raw, &drawing->call->arena, &definition)) {
        definition = (struct hf_json_object){0};
    }
    struct hf_str name = text_of(&definition, "name");
    struct hf_str number = text_of(&definition, "version");
    hf_buffer_format(out, "%.*s  %.*s  %.*s@%.*s  version %.*s\n", (int)id.len, id.ptr,
                     (int)state.len, state.ptr, (int)name.len, name.ptr, (int)number.len,
                     number.ptr, (int)version.len, version.ptr);
    if (key.len > 0) {
        hf_buffer_text(out, "business key ");
        hf_json_write_string(out, key);
        hf_buffer_u8(out, '\n');
    }
    hf_buffer_format(out, "started %.*s, so far ", (int)started.len, started.ptr);
    put_span(out, drawing->to_us - drawing->from_us);
    if (failing.len > 0) {
        hf_buffer_format(out, ", failing since %.*s", (int)failing.len, failing.ptr);
    }
    if (reason.len > 0) {
        hf_buffer_text(out, "\nreason ");
        hf_json_write_string(out, reason);
    }
    hf_buffer_text(out, "\n\n");
}

/* ---- requests ---- */

/* HF_CLI_GO_ON and the answer, below 300; or the exit status. */
static int get(struct hf_remote_call *call, const struct hf_buffer *path,
               struct holdfast_client_answer **answer)
{
    if (path->failed) {
        return bad_answer(call->cli);
    }
    int status = hf_remote_get(call, (const char *)path->data, answer);
    if (status != HF_CLI_GO_ON || *answer == NULL) {
        return status;
    }
    return (*answer)->status >= 300 ? hf_remote_refused(call, *answer) : HF_CLI_GO_ON;
}

static void saga_path(const struct hf_remote_call *call, struct hf_buffer *path, const char *behind)
{
    char escaped[1024];
    (void)holdfast_client_escape(call->cli->operands[0], escaped, sizeof(escaped));
    hf_buffer_clear(path);
    hf_buffer_format(path, "/v1/sagas/%s%s", escaped, behind);
}

/* A page of the history behind `after`, in the arena: its items, and where the next page begins (0: it is the last). */
static int get_history(struct hf_remote_call *call, uint64_t after, struct hf_json_array *items,
                       uint64_t *next)
{
    struct holdfast_client_answer *answer = NULL;
    struct hf_json_object page;
    struct hf_buffer path;
    hf_buffer_init(&path);
    saga_path(call, &path, "/history");
    hf_buffer_format(&path, "?limit=%d", HISTORY_LIMIT);
    if (after > 0) {
        hf_buffer_format(&path, "&after=%llu", (unsigned long long)after);
    }
    hf_buffer_u8(&path, 0);
    int status = get(call, &path, &answer);
    hf_buffer_release(&path);
    if (status != HF_CLI_GO_ON || answer == NULL) {
        return status;
    }
    struct hf_str body =
        hf_arena_copy(&call->arena, (struct hf_str){answer->body, answer->body_bytes});
    holdfast_client_answer_free(answer);
    bool ok = hf_str_present(body) && hf_json_view_object(body, &call->arena, &page);
    const struct hf_json_value *list = ok ? hf_json_view_member(&page, "data") : NULL;
    if (list == NULL || !hf_json_view_array(list->raw, &call->arena, items)) {
        return bad_answer(call->cli);
    }
    *next = number_of(&page, "next");
    return HF_CLI_GO_ON;
}

/* ---- show ---- */

static int draw_history(struct drawing *drawing)
{
    struct hf_json_array pages[HISTORY_PAGES] = {0};
    size_t page_count = 0;
    uint64_t next = 0;
    bool ok = true;
    do {
        int status = get_history(drawing->call, next, &pages[page_count], &next);
        if (status != HF_CLI_GO_ON) {
            return status;
        }
        page_count++;
    } while (next > 0 && page_count < HISTORY_PAGES);
    for (int pass = 0; ok && pass < 2; pass++) {
        for (size_t p = 0; ok && p < page_count; p++) {
            for (size_t i = 0; ok && i < pages[p].count; i++) {
                ok = take_act(drawing, pages[p].items[i].raw, pass == 1);
            }
        }
        drawing->to_us = hf_max_u64(drawing->to_us, drawing->from_us + 1);
    }
    return ok ? HF_CLI_GO_ON : bad_answer(drawing->call->cli);
}

static int draw(struct hf_remote_call *call, struct hf_str body)
{
    struct drawing drawing = {.call = call};
    struct hf_json_object saga;
    struct hf_buffer out;
    drawing.rows = hf_arena_alloc_zero(&call->arena, ROWS_MAX, sizeof(*drawing.rows));
    if (drawing.rows == NULL || !hf_json_view_object(body, &call->arena, &saga)) {
        return bad_answer(call->cli);
    }
    drawing.from_us = time_of(&saga, "started_at");
    drawing.to_us = time_of(&saga, "modified_at");
    int status = draw_history(&drawing);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    hf_buffer_init(&out);
    put_head(&drawing, &saga, &out);
    put_rows(&drawing, &out);
    put_notes(call, &saga, &out);
    return hf_cli_print(call->cli, &out, HF_EXIT_OK);
}

int hf_remote_saga_show(struct hf_remote_call *call)
{
    struct holdfast_client_answer *answer = NULL;
    struct hf_buffer path;
    hf_buffer_init(&path);
    hf_remote_path(call, &path);
    int status = hf_remote_send(call, &path, HF_STR_NONE, &answer);
    hf_buffer_release(&path);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (call->cli->json || answer->status >= 300) {
        return hf_remote_show(call, answer);
    }
    struct hf_str body =
        hf_arena_copy(&call->arena, (struct hf_str){answer->body, answer->body_bytes});
    holdfast_client_answer_free(answer);
    return hf_str_present(body) ? draw(call, body) : bad_answer(call->cli);
}

/* ---- watch ---- */

struct watching {
    struct hf_remote_call *call;
    uint64_t version;        /* of the newest act that was told */
    struct hf_buffer cursor; /* of the feed, with a NUL; empty: from the newest act on */
    uint64_t position;       /* of the newest act */
    char state[32];          /* after it */
};

static void tell_act(const struct hf_json_object *act, struct hf_buffer *out)
{
    static const char *const texts[] = {"time", "act", "step", "op", "outcome", "status"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(texts); i++) {
        struct hf_str text = text_of(act, texts[i]);
        if (text.len > 0) {
            hf_buffer_format(out, "%s%.*s", i == 0 ? "" : "  ", (int)text.len, text.ptr);
        }
    }
    struct hf_str error = text_of(act, "error");
    struct hf_str state = text_of(act, "state");
    if (error.len > 0) {
        hf_buffer_text(out, "  ");
        hf_json_write_string(out, error);
    }
    hf_buffer_format(out, "  → %.*s\n", (int)state.len, state.ptr);
}

/* Tells what is new. HF_CLI_GO_ON, or the exit status. */
static int tell_news(struct watching *watching)
{
    struct hf_remote_call *call = watching->call;
    uint64_t next = 0;
    do {
        struct hf_json_array items = {0};
        struct hf_buffer out;
        hf_arena_clear(&call->arena);
        int status = get_history(call, watching->version, &items, &next);
        if (status != HF_CLI_GO_ON) {
            return status;
        }
        hf_buffer_init(&out);
        for (size_t i = 0; i < items.count; i++) {
            struct hf_json_object act;
            if (!hf_json_view_object(items.items[i].raw, &call->arena, &act)) {
                hf_buffer_release(&out);
                return bad_answer(call->cli);
            }
            struct hf_str state = text_of(&act, "state");
            watching->version = number_of(&act, "version");
            watching->position = number_of(&act, "position");
            (void)snprintf(watching->state, sizeof(watching->state), "%.*s", (int)state.len,
                           state.ptr);
            if (call->cli->json) {
                hf_buffer_bytes(&out, items.items[i].raw.ptr, items.items[i].raw.len);
                hf_buffer_u8(&out, '\n');
            } else {
                tell_act(&act, &out);
            }
        }
        bool written =
            out.size_bytes == 0 || fwrite(out.data, 1, out.size_bytes, stdout) == out.size_bytes;
        bool ok = !out.failed && written && fflush(stdout) == 0;
        hf_buffer_release(&out);
        if (!ok) {
            return HF_EXIT_ENVIRONMENT;
        }
    } while (next > 0);
    return HF_CLI_GO_ON;
}

static bool has_ended(const struct watching *watching)
{
    return strcmp(watching->state, "succeeded") == 0 ||
           strcmp(watching->state, "compensated") == 0 || strcmp(watching->state, "abandoned") == 0;
}

/* Waits for something in the feed about this saga: a long poll. */
static int wait_for_news(struct watching *watching)
{
    struct hf_remote_call *call = watching->call;
    struct holdfast_client_answer *answer = NULL;
    struct hf_json_object page;
    struct hf_buffer path;
    char escaped[1024];
    hf_buffer_init(&path);
    (void)holdfast_client_escape(call->cli->operands[0], escaped, sizeof(escaped));
    hf_buffer_format(&path, "/v1/feed?limit=100&wait=%d&prefix=sagas%%2F%s", WATCH_WAIT_S, escaped);
    if (watching->cursor.size_bytes > 0) {
        hf_buffer_format(&path, "&after=%s", (const char *)watching->cursor.data);
    } else {
        hf_buffer_format(&path, "&position=%llu", (unsigned long long)watching->position);
    }
    hf_buffer_u8(&path, 0);
    int status = get(call, &path, &answer);
    hf_buffer_release(&path);
    if (status != HF_CLI_GO_ON || answer == NULL) {
        return status;
    }
    hf_arena_clear(&call->arena);
    struct hf_str body = {answer->body, answer->body_bytes};
    bool ok = hf_json_view_object(body, &call->arena, &page);
    if (ok) {
        struct hf_str next = text_of(&page, "next");
        hf_buffer_clear(&watching->cursor);
        hf_buffer_bytes(&watching->cursor, next.ptr, next.len);
        hf_buffer_u8(&watching->cursor, 0);
    }
    holdfast_client_answer_free(answer);
    return ok && !watching->cursor.failed ? HF_CLI_GO_ON : bad_answer(call->cli);
}

int hf_remote_saga_watch(struct hf_remote_call *call)
{
    struct watching watching = {.call = call};
    hf_buffer_init(&watching.cursor);
    int status = tell_news(&watching);
    while (status == HF_CLI_GO_ON && !has_ended(&watching)) {
        status = wait_for_news(&watching);
        if (status == HF_CLI_GO_ON) {
            status = tell_news(&watching);
        }
    }
    hf_buffer_release(&watching.cursor);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    return strcmp(watching.state, "succeeded") == 0 ? HF_EXIT_OK : HF_EXIT_NO;
}
