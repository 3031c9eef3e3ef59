/* Requests of the commands against a server: path, headers, and what came instead of an answer. */
#include "base/u128.h"
#include "cli/remote.h"

#define ESCAPED_BYTES 2048

static void escaped(struct hf_buffer *path, const char *text)
{
    char room[ESCAPED_BYTES];
    (void)holdfast_client_escape(text, room,
                                 sizeof(room)); /* "" if longer: the server then says no */
    hf_buffer_text(path, room);
}

static void put_query(const struct hf_remote_call *call, struct hf_buffer *path)
{
    char mark = '?';
    for (const struct hf_remote_part *part = call->verb->query; part != NULL && part->name != NULL;
         part++) {
        const char *value =
            call->values->flag[part->option] ? "true" : call->values->text[part->option];
        if (value != NULL) {
            hf_buffer_format(path, "%c%s=", mark, part->name);
            escaped(path, value);
            mark = '&';
        }
    }
    const char *position = call->values->text[HF_REMOTE_MIN_POSITION];
    if (position != NULL) {
        hf_buffer_format(path, "%cmin_position=", mark);
        escaped(path, position);
        mark = '&';
    }
    if (call->verb->columns != NULL) {
        const char *limit = call->values->text[HF_REMOTE_LIMIT];
        hf_buffer_format(path, "%climit=", mark);
        escaped(path, limit == NULL ? "100" : limit);
    }
}

void hf_remote_path(const struct hf_remote_call *call, struct hf_buffer *path)
{
    for (const char *at = call->verb->path; *at != '\0'; at++) {
        if (at[0] == '{') {
            escaped(path, call->cli->operands[at[1] - '1']);
            at += 2;
        } else {
            hf_buffer_u8(path, (uint8_t)*at);
        }
    }
    put_query(call, path);
}

int hf_remote_headers(const struct hf_remote_call *call, struct holdfast_client_call *headers,
                      char if_match[64])
{
    const struct hf_remote_values *values = call->values;
    const char *version = values->text[HF_REMOTE_IF_MATCH];
    hf_u128 number;
    *headers = (struct holdfast_client_call){.key = values->text[HF_REMOTE_KEY]};
    if (values->flag[HF_REMOTE_CREATE]) {
        headers->if_none_match = "*";
    }
    if (version == NULL) {
        return HF_CLI_GO_ON;
    }
    if (strcmp(version, "*") == 0) {
        headers->if_match = "*";
        return HF_CLI_GO_ON;
    }
    if (!hf_u128_parse(hf_str_from(version), &number)) {
        return hf_cli_usage(call->cli, "--if-match takes a version or *, not %s", version);
    }
    (void)snprintf(if_match, 64, "\"%s\"", version);
    headers->if_match = if_match;
    return HF_CLI_GO_ON;
}

/* ---- failures ---- */

static const char *failure_code(enum holdfast_client_error error)
{
    switch (error) {
    case HOLDFAST_CLIENT_INVALID:
        return "invalid_request";
    case HOLDFAST_CLIENT_NO_MEMORY:
        return "no_memory";
    case HOLDFAST_CLIENT_UNKNOWN:
        return "outcome_unknown";
    case HOLDFAST_CLIENT_MISCONFIGURED:
        return "misconfigured";
    case HOLDFAST_CLIENT_UNAVAILABLE:
    case HOLDFAST_CLIENT_REFUSED:
    case HOLDFAST_CLIENT_BUSY:
    case HOLDFAST_CLIENT_CLOSED:
    case HOLDFAST_CLIENT_OK:
        break;
    }
    return "unavailable";
}

int hf_remote_failure(const struct hf_cli *cli, const struct holdfast_client_failure *failure)
{
    bool unknown = failure->error == HOLDFAST_CLIENT_UNKNOWN;
    (void)fprintf(stderr, "holdfast %s: %s\n", cli->name, failure->text);
    if (unknown) {
        (void)fprintf(stderr,
                      "Perhaps done, perhaps not. To make it definite: the same command with\n"
                      "--key=%s, or: holdfast key cancel %s\n",
                      failure->key, failure->key);
    }
    if (failure->error == HOLDFAST_CLIENT_UNAVAILABLE && failure->status == 0) {
        (void)fprintf(stderr,
                      "Is a server there? holdfast serve --data=DIR starts one; --server=URL "
                      "or $HOLDFAST_SERVER names it.\n");
    }
    int status = failure->error == HOLDFAST_CLIENT_INVALID ? HF_EXIT_USAGE : HF_EXIT_ENVIRONMENT;
    if (cli->json) {
        struct hf_buffer out;
        hf_buffer_init(&out);
        struct hf_json_writer w = hf_json_writer_over(&out);
        hf_json_begin_object(&w, NULL);
        hf_json_put_text(&w, "error", hf_str_from(failure_code(failure->error)));
        hf_json_put_text(&w, "text", hf_str_from(failure->text));
        if (unknown) {
            hf_json_put_text(&w, "key", hf_str_from(failure->key));
        }
        hf_json_end_object(&w);
        return hf_cli_print(cli, &out, status);
    }
    return status;
}

static int send_request(struct hf_remote_call *call, const struct holdfast_client_call *headers,
                        const struct holdfast_client_request *request,
                        struct holdfast_client_answer **answer)
{
    struct holdfast_client_failure failure;
    if (holdfast_client_send(call->client, headers, request, answer, &failure) !=
        HOLDFAST_CLIENT_OK) {
        return hf_remote_failure(call->cli, &failure);
    }
    return HF_CLI_GO_ON;
}

int hf_remote_send(struct hf_remote_call *call, const struct hf_buffer *path, struct hf_str body,
                   struct holdfast_client_answer **answer)
{
    char if_match[64];
    struct holdfast_client_call headers;
    struct hf_error error = {0};
    int status = hf_remote_headers(call, &headers, if_match);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    struct hf_buffer whole;
    hf_buffer_init(&whole);
    hf_buffer_bytes(&whole, path->data, path->size_bytes);
    hf_buffer_u8(&whole, 0);
    if (whole.failed || path->failed) {
        hf_buffer_release(&whole);
        (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
        return hf_cli_fail(call->cli, &error);
    }
    bool document = strncmp(call->verb->path, "/v1/documents/", 14) == 0;
    bool merge = document && strcmp(call->verb->method, "PATCH") == 0;
    struct holdfast_client_request request = {.method = call->verb->method,
                                              .path = (const char *)whole.data,
                                              .body = body.ptr,
                                              .body_bytes = body.len,
                                              .content_type =
                                                  merge ? "application/merge-patch+json" : NULL};
    status = send_request(call, &headers, &request, answer);
    hf_buffer_release(&whole);
    return status;
}

int hf_remote_get(struct hf_remote_call *call, const char *path,
                  struct holdfast_client_answer **answer)
{
    struct holdfast_client_request request = {.method = "GET", .path = path};
    return send_request(call, NULL, &request, answer);
}
