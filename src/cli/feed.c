/* holdfast feed: what has happened, from a server; page by page, so that it goes on after a restart of the server. */
#include <stdio.h>
#include <unistd.h>

#include "cli/remote.h"
#include "cli/text_table.h"

#define PAGE_LIMIT   1000
#define WAIT_SECONDS 5 /* of a long poll: less than an attempt of the client takes at most */

struct feeding {
    struct hf_remote_call *call;
    const char *snapshot;    /* --snapshot, or NULL */
    struct hf_buffer cursor; /* with a NUL; empty: the first page */
    uint64_t left;           /* events to show */
    bool headed;             /* the table's head was shown */
    bool at_head;            /* the last page came to the log's */
};

/* ---- the request ---- */

static void add_parameter(struct hf_buffer *path, const char *name, const char *value)
{
    char escaped[2048];
    if (value != NULL) {
        (void)holdfast_client_escape(value, escaped, sizeof(escaped));
        hf_buffer_format(path, "&%s=%s", name, escaped);
    }
}

static bool all_digits(const char *text)
{
    return text[0] != '\0' && strspn(text, "0123456789") == strlen(text);
}

/* Where the first page begins. */
static void add_start(const struct feeding *feeding, struct hf_buffer *path)
{
    const struct hf_remote_values *values = feeding->call->values;
    const char *from = values->text[HF_REMOTE_FROM_WHERE];
    bool follow = values->flag[HF_REMOTE_FOLLOW];
    if (feeding->cursor.size_bytes > 0) {
        add_parameter(path, "after", (const char *)feeding->cursor.data);
    } else if (values->text[HF_REMOTE_AFTER] != NULL) {
        add_parameter(path, "after", values->text[HF_REMOTE_AFTER]);
    } else if (from != NULL) {
        bool word = strcmp(from, "beginning") == 0 || strcmp(from, "now") == 0;
        add_parameter(path, word ? "from" : all_digits(from) ? "position" : "time", from);
    } else if (follow && feeding->snapshot == NULL) {
        add_parameter(path, "from", "now");
    }
}

static void make_path(const struct feeding *feeding, struct hf_buffer *path)
{
    const struct hf_remote_values *values = feeding->call->values;
    hf_buffer_format(path, "/v1/feed?limit=%llu",
                     (unsigned long long)hf_min_u64(feeding->left, PAGE_LIMIT));
    add_start(feeding, path);
    if (values->flag[HF_REMOTE_FOLLOW]) {
        hf_buffer_format(path, "&wait=%d", WAIT_SECONDS);
    }
    add_parameter(path, "types", values->text[HF_REMOTE_TYPES]);
    add_parameter(path, "prefix", values->text[HF_REMOTE_SUBJECT]);
    add_parameter(path, "topic", values->text[HF_REMOTE_TOPIC]);
    add_parameter(path, "asset", values->text[HF_REMOTE_ASSET]);
    add_parameter(path, "bucket", values->text[HF_REMOTE_BUCKET]);
    add_parameter(path, "snapshot", feeding->snapshot);
    hf_buffer_u8(path, 0);
}

/* ---- the answer ---- */

/* The lines of the server's own application/x-ndjson. */
static void put_lines(const struct hf_json_array *events, struct hf_str cursor,
                      struct hf_buffer *out)
{
    for (size_t i = 0; i < events->count; i++) {
        struct hf_str raw = events->items[i].raw;
        hf_buffer_text(out, "{\"event\":");
        uint8_t *to = hf_buffer_extend(out, raw.len);
        for (size_t k = 0; to != NULL && k < raw.len; k++) { /* a line is an event */
            to[k] = raw.ptr[k] == '\n' || raw.ptr[k] == '\r' ? ' ' : (uint8_t)raw.ptr[k];
        }
        hf_buffer_text(out, "}\n");
    }
    hf_buffer_format(out, "{\"cursor\":\"%.*s\"}\n", (int)cursor.len, cursor.ptr);
}

static bool put_table(struct feeding *feeding, const struct hf_json_array *events,
                      struct hf_buffer *out)
{
    static const char *const members[] = {"time", "id", "type", "subject"};
    static const char *const titles[] = {"TIME", "ID", "TYPE", "SUBJECT"};
    struct hf_text_table table;
    bool good = true;
    if (events->count == 0) {
        return true;
    }
    hf_text_table_init(&table, HF_ARRAY_COUNT(members));
    for (size_t k = 0; !feeding->headed && k < HF_ARRAY_COUNT(titles); k++) {
        hf_text_table_cell(&table, hf_str_from(titles[k]));
    }
    feeding->headed = true;
    for (size_t i = 0; good && i < events->count; i++) {
        struct hf_json_object event;
        good = hf_json_view_object(events->items[i].raw, &feeding->call->arena, &event);
        for (size_t k = 0; good && k < HF_ARRAY_COUNT(members); k++) {
            struct hf_str text = hf_json_view_text(&event, members[k]);
            hf_text_table_cell(&table, hf_str_present(text) ? text : HF_STR(""));
        }
    }
    hf_text_table_print(&table, out);
    hf_text_table_release(&table);
    return good;
}

/* false: the answer is no page, or memory is short. */
static bool show_page(struct feeding *feeding, struct hf_str body)
{
    struct hf_remote_call *call = feeding->call;
    struct hf_json_object page;
    struct hf_json_array events;
    struct hf_buffer out;
    hf_arena_clear(&call->arena);
    if (!hf_json_view_object(body, &call->arena, &page)) {
        return false;
    }
    const struct hf_json_value *data = hf_json_view_member(&page, "data");
    struct hf_str next = hf_json_view_text(&page, "next");
    struct hf_str lag = hf_json_view_text(&page, "lag_commits");
    if (data == NULL || !hf_str_present(next) || !hf_str_present(lag) ||
        !hf_json_view_array(data->raw, &call->arena, &events)) {
        return false;
    }
    hf_buffer_init(&out);
    bool good = true;
    if (call->cli->json) {
        put_lines(&events, next, &out);
    } else {
        good = put_table(feeding, &events, &out);
    }
    good = good && !out.failed;
    if (good && out.size_bytes > 0) {
        (void)fwrite(out.data, 1, out.size_bytes, stdout);
    }
    hf_buffer_release(&out);
    feeding->left -= hf_min_u64(feeding->left, events.count);
    feeding->at_head = hf_str_equal(lag, HF_STR("0"));
    hf_buffer_clear(&feeding->cursor);
    hf_buffer_bytes(&feeding->cursor, next.ptr, next.len);
    hf_buffer_u8(&feeding->cursor, 0);
    return good && !feeding->cursor.failed;
}

/* HF_CLI_GO_ON: a page was shown. */
static int one_page(struct feeding *feeding)
{
    struct hf_remote_call *call = feeding->call;
    struct holdfast_client_answer *answer;
    struct hf_buffer path;
    hf_buffer_init(&path);
    make_path(feeding, &path);
    if (path.failed) {
        hf_buffer_release(&path);
        struct hf_error error = {0};
        (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
        return hf_cli_fail(call->cli, &error);
    }
    int status = hf_remote_get(call, (const char *)path.data, &answer);
    hf_buffer_release(&path);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (answer->status >= 300) {
        return hf_remote_refused(call, answer);
    }
    bool shown = show_page(feeding, (struct hf_str){answer->body, answer->body_bytes});
    holdfast_client_answer_free(answer);
    if (!shown) {
        struct hf_error error = {0};
        (void)hf_error_set(&error, HF_ERR_IO,
                           "the server's answer is no page of a feed, or memory is short");
        return hf_cli_fail(call->cli, &error);
    }
    return HF_CLI_GO_ON;
}

static int show_feed(struct feeding *feeding)
{
    bool follow = feeding->call->values->flag[HF_REMOTE_FOLLOW];
    int status;
    do {
        status = one_page(feeding);
        if (fflush(stdout) != 0 || ferror(stdout) != 0) {
            return HF_EXIT_ENVIRONMENT; /* nobody reads any more */
        }
    } while (status == HF_CLI_GO_ON && feeding->left > 0 && (follow || !feeding->at_head));
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (!feeding->call->cli->json && isatty(STDERR_FILENO) == 1) {
        (void)fprintf(stderr, "Go on with --after=%s\n", (const char *)feeding->cursor.data);
    }
    return HF_EXIT_OK;
}

int hf_cli_feed(int argc, char **argv)
{
    struct hf_remote_values values;
    struct hf_cli_option options[HF_REMOTE_OPTION_COUNT + 2];
    struct hf_remote_call call;
    struct feeding feeding = {.call = &call, .left = UINT64_MAX};
    size_t count =
        hf_remote_options(HF_REMOTE_EVERYWHERE | HF_REMOTE_BIT(HF_REMOTE_AFTER) |
                              HF_REMOTE_BIT(HF_REMOTE_FROM_WHERE) | HF_REMOTE_BIT(HF_REMOTE_TYPES) |
                              HF_REMOTE_BIT(HF_REMOTE_SUBJECT) | HF_REMOTE_BIT(HF_REMOTE_TOPIC) |
                              HF_REMOTE_BIT(HF_REMOTE_ASSET) | HF_REMOTE_BIT(HF_REMOTE_BUCKET) |
                              HF_REMOTE_BIT(HF_REMOTE_FOLLOW),
                          &values, options);
    options[count++] = (struct hf_cli_option){.name = "most",
                                              .argument = "N",
                                              .help = "stop behind so many events",
                                              .number = &feeding.left};
    options[count++] =
        (struct hf_cli_option){.name = "snapshot",
                               .argument = "KIND",
                               .help = "accounts, streams or documents as they are, then the feed",
                               .text = &feeding.snapshot};
    struct hf_cli cli = {
        .name = "feed",
        .operands_help = "",
        .help = "Shows what has happened, in the order of the log: everything up to now, or with\n"
                "--follow what happens from now on (unless --from or --after says otherwise). "
                "system.*\n"
                "events come only if --types names them. With --json: lines {\"event\":…}, and "
                "behind\n"
                "each page {\"cursor\":…}, for --after.\n\n"
                "Example:\n  holdfast feed --follow --types=order.* --subject=streams/orders:",
        .options = options,
        .option_count = count,
    };
    int status = hf_cli_parse(&cli, argc, argv);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (feeding.left == 0) {
        return hf_cli_usage(&cli, "--most is at least 1");
    }
    if (values.text[HF_REMOTE_AFTER] != NULL && values.text[HF_REMOTE_FROM_WHERE] != NULL) {
        return hf_cli_usage(&cli, "either --after or --from");
    }
    hf_buffer_init(&feeding.cursor);
    status = hf_remote_begin(&call, &cli, &values);
    if (status == HF_CLI_GO_ON) {
        status = show_feed(&feeding);
    }
    hf_remote_end(&call);
    hf_buffer_release(&feeding.cursor);
    return status;
}
