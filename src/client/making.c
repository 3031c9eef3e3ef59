#include "client/making_priv.h"

#include "base/json.h"

size_t holdfast_client_escape(const char *name, char *text, size_t text_bytes)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t length = 0;
    for (const char *c = name; *c != '\0'; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || strchr("-._~:@=,", *c) != NULL;
        size_t bytes = plain ? 1 : 3;
        if (length + bytes < text_bytes) {
            if (plain) {
                text[length] = *c;
            } else {
                text[length] = '%';
                text[length + 1] = digits[(unsigned char)*c >> 4];
                text[length + 2] = digits[(unsigned char)*c & 15];
            }
        }
        length += bytes;
    }
    if (text_bytes > 0) {
        text[length < text_bytes ? length : 0] = '\0';
    }
    return length;
}

/* ---- paths ---- */

void hf_making_begin(struct hf_making *making)
{
    *making = (struct hf_making){0};
    hf_buffer_init(&making->path);
    hf_buffer_init(&making->body);
}

/* A name as one segment of the path. */
void hf_making_path_name(struct hf_making *making, const char *name)
{
    char text[3 * 256 + 4];
    if (name == NULL || name[0] == '\0' || strlen(name) > 256) {
        making->wrong = "the name in the path";
        return;
    }
    (void)holdfast_client_escape(name, text, sizeof(text));
    hf_buffer_text(&making->path, text);
}

void hf_making_path_query(struct hf_making *making, const char *name, uint64_t number)
{
    hf_buffer_format(&making->path, "%c%s=%llu", making->query ? '&' : '?', name,
                     (unsigned long long)number);
    making->query = true;
}

/* ---- bodies ---- */

static void name_member(struct hf_making *making, const char *name)
{
    hf_buffer_u8(&making->body, making->comma ? ',' : '{');
    hf_buffer_format(&making->body, "\"%s\":", name);
    making->comma = true;
}

/* NULL: absent. */
void hf_making_text(struct hf_making *making, const char *name, const char *value)
{
    if (value != NULL) {
        name_member(making, name);
        hf_json_write_string(&making->body, hf_str_from(value));
    }
}

void hf_making_required(struct hf_making *making, const char *name, const char *value)
{
    if (value == NULL && making->wrong == NULL) {
        making->wrong = name;
    }
    hf_making_text(making, name, value);
}

/* JSON as it stands, if it is JSON. */
void hf_making_raw(struct hf_making *making, const char *name, const char *json)
{
    if (json == NULL) {
        return;
    }
    if (hf_json_validate(hf_str_from(json), NULL) != HF_ERR_OK) {
        making->wrong = making->wrong == NULL ? name : making->wrong;
        return;
    }
    name_member(making, name);
    hf_buffer_text(&making->body, json);
}

void hf_making_number(struct hf_making *making, const char *name, uint64_t value)
{
    name_member(making, name);
    hf_buffer_format(&making->body, "%llu", (unsigned long long)value);
}

void hf_making_true(struct hf_making *making, const char *name, bool value)
{
    if (value) {
        name_member(making, name);
        hf_buffer_text(&making->body, "true");
    }
}

void hf_making_end_body(struct hf_making *making)
{
    hf_buffer_text(&making->body, making->comma ? "}" : "{}");
}

/* ---- sending what was made ---- */

/* Sends and releases it. body: the caller's own instead of the one made. */
enum holdfast_client_error
hf_making_finish(struct holdfast_client *client, struct hf_making *making,
                 const struct holdfast_client_call *call, struct holdfast_client_request *request,
                 struct holdfast_client_answer **answer, struct holdfast_client_failure *failure)
{
    enum holdfast_client_error error;
    if (call != NULL && call->min_position != 0 && strcmp(request->method, "GET") == 0) {
        hf_making_path_query(making, "min_position", call->min_position);
    }
    hf_buffer_u8(&making->path, 0);
    *answer = NULL;
    if (failure != NULL) {
        *failure = (struct holdfast_client_failure){0};
    }
    if (making->wrong != NULL) {
        error =
            hf_client_fail(failure, HOLDFAST_CLIENT_INVALID, "%s: missing or wrong", making->wrong);
    } else if (making->path.failed || making->body.failed) {
        error = hf_client_fail(failure, HOLDFAST_CLIENT_NO_MEMORY, "out of memory");
    } else {
        request->path = (const char *)making->path.data;
        if (request->body == NULL && making->body.size_bytes > 0) {
            request->body = making->body.data;
            request->body_bytes = making->body.size_bytes;
        }
        error = holdfast_client_send(client, call, request, answer, failure);
    }
    hf_buffer_release(&making->path);
    hf_buffer_release(&making->body);
    return error;
}

enum holdfast_client_error hf_making_finish_method(struct holdfast_client *client,
                                                   struct hf_making *making,
                                                   const struct holdfast_client_call *call,
                                                   const char *method,
                                                   struct holdfast_client_answer **answer,
                                                   struct holdfast_client_failure *failure)
{
    struct holdfast_client_request request = {.method = method};
    return hf_making_finish(client, making, call, &request, answer, failure);
}

/* before + name + after */
void hf_making_begin_path(struct hf_making *making, const char *before, const char *name,
                          const char *after)
{
    hf_making_begin(making);
    hf_buffer_text(&making->path, before);
    hf_making_path_name(making, name);
    hf_buffer_text(&making->path, after);
}
