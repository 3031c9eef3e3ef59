/* Answers of a server for people: lines, tables, refusals; or as they are. */
#include "cli/remote.h"
#include "cli/text_table.h"

/* Members that are amounts in minor units. */
static bool is_amount(struct hf_str name)
{
    static const char *const names[] = {
        "amount",        "available",       "balance",        "captured",
        "ceiling",       "credits_pending", "credits_posted", "debits_pending",
        "debits_posted", "floor",           "moved",          "posted",
        "released",      "remaining",       "requested",      "reversed",
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(names); i++) {
        if (hf_str_equal(name, hf_str_from(names[i]))) {
            return true;
        }
    }
    return false;
}

/* Members that are shown as the JSON that they are. */
static bool is_json(struct hf_str name)
{
    return hf_str_equal(name, HF_STR("metadata")) || hf_str_equal(name, HF_STR("data")) ||
           hf_str_equal(name, HF_STR("body"));
}

/* "12.50 (1250)"; an asset without decimals: "1250". */
static void put_amount(struct hf_buffer *out, struct hf_str minor, struct hf_str asset)
{
    size_t before = out->size_bytes;
    hf_amount_decimal(out, minor, asset);
    if (!out->failed && out->size_bytes - before != minor.len) {
        hf_buffer_format(out, " (%.*s)", (int)minor.len, minor.ptr);
    }
}

/* A value in a line: an object inside of it as "account users:1, version 3". */
static void put_value(struct hf_remote_call *call, struct hf_buffer *out, struct hf_str name,
                      const struct hf_json_value *value, struct hf_str asset)
{
    struct hf_json_object object;
    bool inside = value->token == HF_JSON_OBJECT_BEGIN && !is_json(name) &&
                  hf_json_view_object(value->raw, &call->arena, &object);
    if (!inside) {
        bool amount = is_amount(name) && value->token == HF_JSON_STRING;
        if (value->token == HF_JSON_NULL) {
            hf_buffer_text(out, "none");
        } else if (amount) {
            put_amount(out, value->text, asset);
        } else {
            hf_buffer_bytes(out, value->text.ptr, value->text.len);
        }
        return;
    }
    for (size_t i = 0; i < object.count; i++) {
        const struct hf_json_member *member = &object.members[i];
        hf_buffer_format(out, "%s%.*s ", i == 0 ? "" : ", ", (int)member->name.len,
                         member->name.ptr);
        if (is_amount(member->name) && member->value.token == HF_JSON_STRING) {
            put_amount(out, member->value.text, asset);
        } else {
            hf_buffer_bytes(out, member->value.text.ptr, member->value.text.len);
        }
    }
}

void hf_remote_lines(struct hf_remote_call *call, struct hf_str object, struct hf_str asset,
                     struct hf_buffer *out)
{
    struct hf_json_object view;
    struct hf_text_table table;
    struct hf_buffer value;
    if (!hf_json_view_object(object, &call->arena, &view)) {
        hf_buffer_bytes(out, object.ptr, object.len);
        return;
    }
    struct hf_str own = hf_json_view_text(&view, "asset");
    hf_text_table_init(&table, 2);
    hf_buffer_init(&value);
    for (size_t i = 0; i < view.count; i++) {
        const struct hf_json_member *member = &view.members[i];
        hf_buffer_clear(&value);
        put_value(call, &value, member->name, &member->value, hf_str_present(own) ? own : asset);
        hf_text_table_cell(&table, member->name);
        hf_text_table_cell(&table, (struct hf_str){(const char *)value.data, value.size_bytes});
    }
    out->failed = out->failed || value.failed;
    hf_text_table_print(&table, out);
    hf_buffer_release(&value);
    hf_text_table_release(&table);
}

static size_t count_columns(const struct hf_remote_column *columns)
{
    size_t count = 0;
    while (columns[count].title != NULL) {
        count++;
    }
    return count;
}

/* {"name":"order","version":3} as order@3; [{"name":"a",…},{"name":"b",…}] as a, b. */
static void put_named(struct hf_remote_call *call, struct hf_buffer *out, struct hf_str raw)
{
    struct hf_json_object object;
    struct hf_json_array items;
    if (hf_json_view_object(raw, &call->arena, &object)) {
        struct hf_str name = hf_json_view_text(&object, "name");
        struct hf_str version = hf_json_view_text(&object, "version");
        hf_buffer_bytes(out, name.ptr, name.len);
        hf_buffer_u8(out, '@');
        hf_buffer_bytes(out, version.ptr, version.len);
    } else if (hf_json_view_array(raw, &call->arena, &items)) {
        for (size_t i = 0; i < items.count; i++) {
            struct hf_str name = HF_STR("?");
            if (hf_json_view_object(items.items[i].raw, &call->arena, &object)) {
                name = hf_json_view_text(&object, "name");
            }
            hf_buffer_text(out, i == 0 ? "" : ", ");
            hf_buffer_bytes(out, name.ptr, name.len);
        }
    }
}

static void put_row(struct hf_remote_call *call, struct hf_text_table *table,
                    const struct hf_json_object *item, struct hf_str asset)
{
    struct hf_str own = hf_json_view_text(item, "asset");
    struct hf_buffer text;
    hf_buffer_init(&text);
    for (const struct hf_remote_column *column = call->verb->columns; column->title != NULL;
         column++) {
        struct hf_str value = hf_json_view_text(item, column->member);
        hf_buffer_clear(&text);
        if (column->shown == HF_SHOWN_AMOUNT && hf_str_present(value)) {
            put_amount(&text, value, hf_str_present(own) ? own : asset);
        } else if (column->shown == HF_SHOWN_DEFINITION || column->shown == HF_SHOWN_NAMES) {
            put_named(call, &text, value);
        } else {
            hf_buffer_bytes(&text, value.ptr, value.len);
        }
        table->text.failed = table->text.failed || text.failed;
        hf_text_table_cell(table, (struct hf_str){(const char *)text.data, text.size_bytes});
    }
    hf_buffer_release(&text);
}

void hf_remote_rows(struct hf_remote_call *call, const struct hf_json_array *items,
                    struct hf_str asset, struct hf_buffer *out)
{
    struct hf_text_table table;
    const struct hf_remote_column *columns = call->verb->columns;
    hf_text_table_init(&table, count_columns(columns));
    for (size_t i = 0; columns[i].title != NULL; i++) {
        table.right[i] = columns[i].shown == HF_SHOWN_NUMBER || columns[i].shown == HF_SHOWN_AMOUNT;
        hf_text_table_cell(&table, hf_str_from(columns[i].title));
    }
    for (size_t i = 0; i < items->count; i++) {
        struct hf_json_object item;
        if (!hf_json_view_object(items->items[i].raw, &call->arena, &item)) {
            item = (struct hf_json_object){0};
        }
        put_row(call, &table, &item, asset);
    }
    hf_text_table_print(&table, out);
    hf_text_table_release(&table);
}

/* ---- whole answers ---- */

static void put_body(struct hf_buffer *out, const struct holdfast_client_answer *answer)
{
    hf_buffer_bytes(out, answer->body, answer->body_bytes);
}

int hf_remote_print_raw(struct hf_remote_call *call, struct holdfast_client_answer *answer)
{
    struct hf_buffer out;
    hf_buffer_init(&out);
    put_body(&out, answer);
    holdfast_client_answer_free(answer);
    return hf_cli_print(call->cli, &out, HF_EXIT_OK);
}

int hf_remote_show_json(struct hf_remote_call *call, struct holdfast_client_answer *answer)
{
    struct hf_buffer out;
    int status = answer->status < 300 ? HF_EXIT_OK : HF_EXIT_NO;
    if (answer->replayed) {
        (void)fprintf(stderr, "holdfast %s: decided before; the recorded answer\n",
                      call->cli->name);
    }
    hf_buffer_init(&out);
    put_body(&out, answer);
    holdfast_client_answer_free(answer);
    return hf_cli_print(call->cli, &out, status);
}

int hf_remote_refused(struct hf_remote_call *call, struct holdfast_client_answer *answer)
{
    const struct hf_cli *cli = call->cli;
    struct hf_buffer text;
    hf_buffer_init(&text);
    if (cli->json) {
        put_body(&text, answer);
        holdfast_client_answer_free(answer);
        return hf_cli_print(cli, &text, HF_EXIT_NO);
    }
    (void)fprintf(stderr, "holdfast %s: %s (%d)%s%s%s%s\n", cli->name,
                  answer->code[0] == '\0' ? "refused" : answer->code, answer->status,
                  answer->detail[0] == '\0' ? "" : ": ", answer->detail,
                  answer->failed[0] == '\0' ? "" : "; at ", answer->failed);
    if (answer->status == 401) {
        (void)fprintf(stderr, "A token goes into $HOLDFAST_TOKEN or --token-file=FILE; "
                              "holdfast token create makes one.\n");
    }
    if (answer->current[0] == '{') {
        hf_remote_lines(call, hf_str_from(answer->current), HF_STR_NONE, &text);
        if (!text.failed) {
            (void)fprintf(stderr, "As it is now:\n%.*s", (int)text.size_bytes,
                          (const char *)text.data);
        }
    }
    if (answer->replayed) {
        (void)fprintf(stderr, "holdfast %s: decided before; the recorded answer\n", cli->name);
    }
    hf_buffer_release(&text);
    holdfast_client_answer_free(answer);
    return HF_EXIT_NO;
}

/* An answer of a commit: its position and time, then each result. */
static bool put_results(struct hf_remote_call *call, struct hf_str body, struct hf_buffer *out)
{
    struct hf_json_object whole;
    struct hf_json_array results;
    if (!hf_json_view_object(body, &call->arena, &whole)) {
        return false;
    }
    const struct hf_json_value *list = hf_json_view_member(&whole, "results");
    if (list == NULL || !hf_json_view_array(list->raw, &call->arena, &results)) {
        return false;
    }
    struct hf_str position = hf_json_view_text(&whole, "position");
    struct hf_str time = hf_json_view_text(&whole, "time");
    hf_buffer_format(out, "position  %.*s\ntime      %.*s\n", (int)position.len,
                     position.len == 0 ? "" : position.ptr, (int)time.len,
                     time.len == 0 ? "" : time.ptr);
    for (size_t i = 0; i < results.count; i++) {
        hf_buffer_u8(out, '\n');
        hf_remote_lines(call, results.items[i].raw, HF_STR_NONE, out);
    }
    return true;
}

int hf_remote_show(struct hf_remote_call *call, struct holdfast_client_answer *answer)
{
    struct hf_buffer out;
    if (answer->status >= 300) {
        return hf_remote_refused(call, answer);
    }
    if (answer->replayed) {
        (void)fprintf(stderr, "holdfast %s: decided before; the recorded answer\n",
                      call->cli->name);
    }
    hf_buffer_init(&out);
    struct hf_str body = {answer->body, answer->body_bytes};
    if (call->cli->json) {
        put_body(&out, answer);
    } else if (!put_results(call, body, &out)) {
        hf_remote_lines(call, body, call->asset, &out);
    }
    holdfast_client_answer_free(answer);
    return hf_cli_print(call->cli, &out, HF_EXIT_OK);
}
