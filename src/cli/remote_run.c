/* Verbs that are more than one request and its answer shown. */
#include <unistd.h>

#include "base/limits.h"
#include "base/u128.h"
#include "cli/remote.h"
#include "cli/text_table.h"

#define VERSIONS_DEFAULT 20 /* of a document, listed at once */

static int no_memory(const struct hf_cli *cli)
{
    struct hf_error error = {0};
    (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
    return hf_cli_fail(cli, &error);
}

/* ---- lists ---- */

struct listing {
    struct hf_remote_call *call;
    struct hf_str asset;    /* of amounts, if the items have none of their own */
    struct hf_buffer items; /* of all pages, with commas between */
    struct hf_buffer after; /* cursor with a NUL; empty: the first page */
    bool more;
};

/* Takes a page's items in. false: it has not the form of a page. */
static bool take_page(struct listing *listing, const struct holdfast_client_answer *answer)
{
    struct hf_json_object page;
    struct hf_json_array items;
    struct hf_arena *arena = &listing->call->arena;
    if (!hf_json_view_object((struct hf_str){answer->body, answer->body_bytes}, arena, &page)) {
        return false;
    }
    const struct hf_json_value *data = hf_json_view_member(&page, "data");
    if (data == NULL || !hf_json_view_array(data->raw, arena, &items)) {
        return false;
    }
    for (size_t i = 0; i < items.count; i++) {
        if (listing->items.size_bytes > 0) {
            hf_buffer_u8(&listing->items, ',');
        }
        hf_buffer_bytes(&listing->items, items.items[i].raw.ptr, items.items[i].raw.len);
    }
    struct hf_str next = hf_json_view_text(&page, "next");
    hf_buffer_clear(&listing->after);
    hf_buffer_bytes(&listing->after, next.ptr, next.len);
    hf_buffer_u8(&listing->after, 0);
    listing->more = next.len > 0;
    return true;
}

/* HF_CLI_GO_ON or the exit status. */
static int fetch_page(struct listing *listing)
{
    struct hf_remote_call *call = listing->call;
    struct holdfast_client_answer *answer;
    struct hf_buffer path;
    hf_buffer_init(&path);
    hf_remote_path(call, &path);
    const char *after = listing->after.size_bytes > 1 ? (const char *)listing->after.data
                                                      : call->values->text[HF_REMOTE_AFTER];
    if (after != NULL) {
        char escaped[1024];
        (void)holdfast_client_escape(after, escaped, sizeof(escaped));
        hf_buffer_format(&path, "&after=%s", escaped);
    }
    int status = hf_remote_send(call, &path, HF_STR_NONE, &answer);
    hf_buffer_release(&path);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (answer->status >= 300) {
        return hf_remote_refused(call, answer);
    }
    bool ok = take_page(listing, answer);
    holdfast_client_answer_free(answer);
    if (!ok || listing->items.failed || listing->after.failed) {
        struct hf_error error = {0};
        (void)hf_error_set(&error, HF_ERR_IO, "the server's answer is no list, or memory is short");
        return hf_cli_fail(call->cli, &error);
    }
    return HF_CLI_GO_ON;
}

static int show_list(struct listing *listing)
{
    struct hf_remote_call *call = listing->call;
    struct hf_buffer out;
    struct hf_buffer array;
    hf_buffer_init(&out);
    hf_buffer_init(&array);
    hf_buffer_u8(&array, '[');
    hf_buffer_bytes(&array, listing->items.data, listing->items.size_bytes);
    hf_buffer_u8(&array, ']');
    struct hf_str text = {(const char *)array.data, array.size_bytes};
    struct hf_str next = {(const char *)listing->after.data, listing->after.size_bytes - 1};
    struct hf_json_array items;
    if (call->cli->json) {
        struct hf_json_writer w = hf_json_writer_over(&out);
        hf_json_begin_object(&w, NULL);
        hf_json_put_raw(&w, "data", text);
        if (listing->more) {
            hf_json_put_text(&w, "next", next);
        } else {
            hf_json_put_null(&w, "next");
        }
        hf_json_end_object(&w);
    } else if (!array.failed && hf_json_view_array(text, &call->arena, &items)) {
        hf_remote_rows(call, &items, listing->asset, &out);
        if (listing->more) {
            (void)fprintf(stderr, "There may be more: --after=%.*s, or --all\n", (int)next.len,
                          next.ptr);
        }
    } else {
        out.failed = true;
    }
    out.failed = out.failed || array.failed;
    hf_buffer_release(&array);
    return hf_cli_print(call->cli, &out, HF_EXIT_OK);
}

static int list_with(struct hf_remote_call *call, struct hf_str asset)
{
    struct listing listing = {.call = call, .asset = asset};
    hf_buffer_init(&listing.items);
    hf_buffer_init(&listing.after);
    int status;
    do {
        status = fetch_page(&listing);
    } while (status == HF_CLI_GO_ON && listing.more && call->values->flag[HF_REMOTE_ALL]);
    if (status == HF_CLI_GO_ON) {
        status = show_list(&listing);
    }
    hf_buffer_release(&listing.items);
    hf_buffer_release(&listing.after);
    return status;
}

int hf_remote_list(struct hf_remote_call *call)
{
    return list_with(call, HF_STR_NONE);
}

struct hf_str hf_remote_asset(struct hf_remote_call *call, const char *account)
{
    char name[512];
    char path[600];
    char asset[64];
    struct holdfast_client_answer *answer;
    (void)holdfast_client_escape(account, name, sizeof(name));
    (void)snprintf(path, sizeof(path), "/v1/accounts/%s", name);
    struct holdfast_client_request request = {.method = "GET", .path = path};
    if (holdfast_client_send(call->client, NULL, &request, &answer, NULL) != HOLDFAST_CLIENT_OK) {
        return HF_STR_NONE;
    }
    bool found = holdfast_client_answer_text(answer, "/asset", asset, sizeof(asset));
    holdfast_client_answer_free(answer);
    return found ? hf_arena_copy(&call->arena, hf_str_from(asset)) : HF_STR_NONE;
}

int hf_remote_entries(struct hf_remote_call *call)
{
    struct hf_str asset =
        call->cli->json ? HF_STR_NONE : hf_remote_asset(call, call->cli->operands[0]);
    return list_with(call, asset);
}

/* ---- statements ---- */

int hf_remote_statement(struct hf_remote_call *call)
{
    struct hf_buffer path;
    struct holdfast_client_answer *answer;
    const char *format = call->values->text[HF_REMOTE_FORMAT];
    format = format == NULL ? (call->cli->json ? "json" : "csv") : format;
    if (strcmp(format, "csv") != 0 && strcmp(format, "beancount") != 0 &&
        strcmp(format, "json") != 0) {
        return hf_cli_usage(call->cli, "--format is csv, beancount or json, not %s", format);
    }
    hf_buffer_init(&path);
    hf_remote_path(call, &path);
    bool query = path.size_bytes > 0 && memchr(path.data, '?', path.size_bytes) != NULL;
    hf_buffer_format(&path, "%cformat=%s", query ? '&' : '?', format);
    int status = hf_remote_send(call, &path, HF_STR_NONE, &answer);
    hf_buffer_release(&path);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    return answer->status >= 300 ? hf_remote_refused(call, answer)
                                 : hf_remote_print_raw(call, answer);
}

/* ---- bodies from files ---- */

/* JSON of a file, or of standard input for NULL and "-". HF_CLI_GO_ON or the exit status. */
static int read_json(const struct hf_cli *cli, const char *path, struct hf_buffer *text)
{
    struct hf_error error = {0};
    if (hf_cli_read_file(path == NULL ? "-" : path, HF_REQUEST_BYTES_MAX, text, &error) !=
        HF_ERR_OK) {
        return hf_cli_fail(cli, &error);
    }
    struct hf_str json = {(const char *)text->data, text->size_bytes};
    if (json.len == 0 || hf_json_validate(json, &error) != HF_ERR_OK) {
        return hf_cli_usage(cli, "%s: %s", path == NULL ? "standard input" : path,
                            json.len == 0 ? "it is empty" : error.text);
    }
    return HF_CLI_GO_ON;
}

int hf_remote_send_body(struct hf_remote_call *call, const struct hf_buffer *body)
{
    struct hf_buffer path;
    struct holdfast_client_answer *answer = NULL;
    hf_buffer_init(&path);
    hf_remote_path(call, &path);
    struct hf_str text = {(const char *)body->data, body->size_bytes};
    int status = body->failed ? no_memory(call->cli) : hf_remote_send(call, &path, text, &answer);
    hf_buffer_release(&path);
    return status == HF_CLI_GO_ON ? hf_remote_show(call, answer) : status;
}

int hf_remote_data(const struct hf_cli *cli, const char *data, struct hf_buffer *text)
{
    if (data == NULL || strcmp(data, "-") == 0) {
        return read_json(cli, NULL, text);
    }
    if (hf_json_validate(hf_str_from(data), NULL) != HF_ERR_OK) {
        return hf_cli_usage(cli, "DATA is no JSON: %s", data);
    }
    hf_buffer_text(text, data);
    return HF_CLI_GO_ON;
}

int hf_remote_append(struct hf_remote_call *call)
{
    const struct hf_cli *cli = call->cli;
    const char *data = cli->operands[2];
    const char *id = call->values->text[HF_REMOTE_ID];
    struct hf_buffer text;
    struct hf_buffer body;
    hf_buffer_init(&text);
    hf_buffer_init(&body);
    int status = hf_remote_data(cli, data, &text);
    if (status == HF_CLI_GO_ON) {
        struct hf_json_writer w = hf_json_writer_over(&body);
        hf_json_begin_object(&w, NULL);
        hf_json_put_text(&w, "type", hf_str_from(cli->operands[1]));
        hf_json_put_raw(&w, "data", (struct hf_str){(const char *)text.data, text.size_bytes});
        if (id != NULL) {
            hf_json_put_text(&w, "id", hf_str_from(id));
        }
        hf_json_end_object(&w);
        status = hf_remote_send_body(call, &body);
    }
    hf_buffer_release(&text);
    hf_buffer_release(&body);
    return status;
}

/* ---- documents ---- */

int hf_remote_document_change(struct hf_remote_call *call)
{
    const struct hf_remote_values *values = call->values;
    bool creates = strcmp(call->verb->method, "PUT") == 0;
    struct hf_buffer body;
    if (values->text[HF_REMOTE_IF_MATCH] == NULL && !values->flag[HF_REMOTE_CREATE]) {
        return hf_cli_usage(call->cli, "--if-match=VERSION is needed (document get shows it)%s",
                            creates ? ", or --create for a new one" : "");
    }
    hf_buffer_init(&body);
    int status = strcmp(call->verb->method, "DELETE") == 0
                     ? HF_CLI_GO_ON
                     : read_json(call->cli, call->cli->operands[1], &body);
    if (status == HF_CLI_GO_ON) {
        status = hf_remote_send_body(call, &body);
    }
    hf_buffer_release(&body);
    return status;
}

int hf_remote_document_get(struct hf_remote_call *call)
{
    struct hf_buffer path;
    struct hf_buffer out;
    struct holdfast_client_answer *answer;
    hf_buffer_init(&path);
    hf_remote_path(call, &path);
    int status = hf_remote_send(call, &path, HF_STR_NONE, &answer);
    hf_buffer_release(&path);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (answer->status >= 300) {
        return hf_remote_refused(call, answer);
    }
    if (!call->cli->json) {
        if (isatty(STDERR_FILENO) == 1) {
            (void)fprintf(stderr, "version %llu\n", (unsigned long long)answer->version);
        }
        return hf_remote_print_raw(call, answer);
    }
    hf_buffer_init(&out);
    struct hf_json_writer w = hf_json_writer_over(&out);
    hf_json_begin_object(&w, NULL);
    hf_json_put_number(&w, "version", answer->version);
    hf_json_put_number(&w, "position", answer->position);
    hf_json_put_raw(&w, "data", (struct hf_str){answer->body, answer->body_bytes});
    hf_json_end_object(&w);
    holdfast_client_answer_free(answer);
    return hf_cli_print(call->cli, &out, HF_EXIT_OK);
}

struct version {
    uint64_t number;
    uint64_t bytes;
    bool deleted;
};

static void put_version(const struct hf_cli *cli, struct hf_text_table *table,
                        struct hf_json_writer *w, const struct version *version)
{
    char text[32];
    if (cli->json) {
        hf_json_begin_object(w, NULL);
        hf_json_put_number(w, "version", version->number);
        hf_json_put_bool(w, "deleted", version->deleted);
        hf_json_put_number(w, "bytes", version->bytes);
        hf_json_end_object(w);
        return;
    }
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)version->number);
    hf_text_table_cell(table, hf_str_from(text));
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)version->bytes);
    hf_text_table_cell(table, version->deleted ? HF_STR("deleted") : hf_str_from(text));
}

/* HF_CLI_GO_ON and the version of a document that is there, or the exit status. */
static int newest_version(struct hf_remote_call *call, const char *path, uint64_t *newest)
{
    struct holdfast_client_answer *answer;
    int status = hf_remote_get(call, path, &answer);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (answer->status >= 300) {
        return hf_remote_refused(call, answer);
    }
    *newest = answer->version;
    holdfast_client_answer_free(answer);
    return HF_CLI_GO_ON;
}

static int list_versions(struct hf_remote_call *call, const char *path, uint64_t newest,
                         uint64_t limit, struct hf_buffer *out)
{
    struct hf_text_table table;
    struct hf_json_writer w = hf_json_writer_over(out);
    int status = HF_CLI_GO_ON;
    hf_text_table_init(&table, 2);
    table.right[0] = table.right[1] = true;
    hf_text_table_cell(&table, HF_STR("VERSION"));
    hf_text_table_cell(&table, HF_STR("BYTES"));
    if (call->cli->json) {
        hf_json_begin_array(&w, NULL);
    }
    for (uint64_t number = newest; number > 0 && newest - number < limit; number--) {
        char one[700];
        struct holdfast_client_answer *answer;
        (void)snprintf(one, sizeof(one), "%s?version=%llu", path, (unsigned long long)number);
        status = hf_remote_get(call, one, &answer);
        if (status != HF_CLI_GO_ON) {
            break;
        }
        bool deleted = answer->status == 404;
        if (answer->status >= 300 && !deleted) {
            status = hf_remote_refused(call, answer);
            break;
        }
        struct version version = {number, deleted ? 0 : answer->body_bytes, deleted};
        put_version(call->cli, &table, &w, &version);
        holdfast_client_answer_free(answer);
    }
    if (call->cli->json) {
        hf_json_end_array(&w);
    } else {
        hf_text_table_print(&table, out);
    }
    hf_text_table_release(&table);
    return status;
}

int hf_remote_document_versions(struct hf_remote_call *call)
{
    char name[512];
    char path[600];
    struct hf_buffer out;
    uint64_t newest = 0;
    hf_u128 limit = VERSIONS_DEFAULT;
    const char *given = call->values->text[HF_REMOTE_LIMIT];
    if (given != NULL &&
        (!hf_u128_parse(hf_str_from(given), &limit) || limit < 1 || limit > 1000)) {
        return hf_cli_usage(call->cli, "--limit is from 1 to 1000");
    }
    (void)holdfast_client_escape(call->cli->operands[0], name, sizeof(name));
    (void)snprintf(path, sizeof(path), "/v1/documents/%s", name);
    int status = newest_version(call, path, &newest);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    hf_buffer_init(&out);
    status = list_versions(call, path, newest, (uint64_t)limit, &out);
    if (status != HF_CLI_GO_ON) {
        hf_buffer_release(&out);
        return status;
    }
    return hf_cli_print(call->cli, &out, HF_EXIT_OK);
}
