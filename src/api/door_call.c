/* Composing answers. */
#include <stdarg.h>
#include <stdio.h>

#include "api/door_priv.h"
#include "base/check.h"
#include "base/u128.h"

const char HF_CONTENT_JSON[] = "application/json";
const char HF_CONTENT_PROBLEM[] = "application/problem+json";

void hf_call_header(struct hf_call *call, const char *name, const char *format, ...)
{
    char *to = call->headers + call->headers_bytes;
    size_t room = sizeof(call->headers) - call->headers_bytes;
    size_t name_bytes = strlen(name);
    HF_CHECK(name_bytes + 4 < room);
    memcpy(to, name, name_bytes);
    memcpy(to + name_bytes, ": ", 2);
    size_t used = name_bytes + 2;
    va_list arguments;
    va_start(arguments, format);
    int value_bytes = vsnprintf(to + used, room - used, format, arguments);
    va_end(arguments);
    HF_CHECK(value_bytes >= 0 && used + (size_t)value_bytes + 2 < room); /* all of it is bounded */
    used += (size_t)value_bytes;
    memcpy(to + used, "\r\n", 2);
    call->headers_bytes += used + 2;
}

static char *put(char *to, const char *text, size_t bytes)
{
    memcpy(to, text, bytes);
    return to + bytes;
}

void hf_call_header_text(struct hf_call *call, const char *name, const char *before,
                         struct hf_str value, const char *behind)
{
    size_t name_bytes = strlen(name);
    size_t before_bytes = strlen(before);
    size_t behind_bytes = strlen(behind);
    size_t room = sizeof(call->headers) - call->headers_bytes;
    HF_CHECK(name_bytes + before_bytes + value.len + behind_bytes + 4 <= room); /* all is bounded */
    char *to = put(call->headers + call->headers_bytes, name, name_bytes);
    to = put(to, ": ", 2);
    to = put(to, before, before_bytes);
    to = put(to, value.ptr, value.len);
    to = put(to, behind, behind_bytes);
    to = put(to, "\r\n", 2);
    call->headers_bytes = (size_t)(to - call->headers);
}

void hf_call_header_number(struct hf_call *call, const char *name, const char *before,
                           uint64_t number, const char *behind)
{
    char digits[HF_U128_TEXT_BYTES];
    struct hf_str value = {digits, hf_u128_format(number, digits)};
    hf_call_header_text(call, name, before, value, behind);
}

enum hf_progress hf_call_json(struct hf_call *call, int status)
{
    call->status = status;
    call->content_type = status < 400 ? HF_CONTENT_JSON : HF_CONTENT_PROBLEM;
    return HF_CALL_ANSWERED;
}

enum hf_progress hf_call_problem(struct hf_call *call, enum hf_err code, const char *detail,
                                 const char *pointer)
{
    int status = hf_err_status(code);
    hf_buffer_clear(&call->exchange->answer);
    hf_problem_json(&call->exchange->answer, code, detail, pointer);
    if (status == 401) {
        hf_call_header(call, "WWW-Authenticate", "Bearer realm=\"holdfast\"");
    } else if (code == HF_ERR_IDEMPOTENCY_KEY_MISSING) {
        /* The header's draft asks for a link to what explains it. */
        hf_call_header(call, "Link", "</openapi.yaml>; rel=\"describedby\"");
    } else if (status == 429 || status == 503) {
        hf_call_header(call, "Retry-After", "1");
    }
    return hf_call_json(call, status);
}

enum hf_progress hf_call_invalid(struct hf_call *call, const char *detail)
{
    return hf_call_problem(call, HF_ERR_INVALID_REQUEST, detail, "");
}

/* "/do/3/amount" as the client knows the place: "/amount", or "/3/amount" in an array. */
static const char *pointer_as_sent(const struct hf_call *call)
{
    const char *pointer = call->malformed.pointer;
    if ((call->route->flags & HF_ROUTE_BARE_BODY) != 0) {
        return "";
    }
    if (call->form.failed == HF_FAILED_IN_COMMIT) {
        return pointer;
    }
    if (strcmp(pointer, "/do") == 0 || strncmp(pointer, "/if/", 4) == 0) {
        return "";
    }
    if (strncmp(pointer, "/do/", 4) != 0) {
        return pointer;
    }
    if (call->form.failed == HF_FAILED_IN_ARRAY) {
        return pointer + 3;
    }
    const char *behind = strchr(pointer + 4, '/');
    return behind == NULL ? "" : behind;
}

enum hf_progress hf_call_malformed(struct hf_call *call)
{
    if (call->malformed.code == HF_ERR_NO_MEMORY) {
        return hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    return hf_call_problem(call, call->malformed.code, call->malformed.text, pointer_as_sent(call));
}

enum hf_progress hf_call_undecided(struct hf_call *call, enum hf_err code)
{
    switch ((unsigned)code) {
    case HF_ERR_OVERLOADED:
        if (call->request.lacked_memory) {
            return hf_call_problem(call, code,
                                   "The server's memory is nearly used up: nothing has happened. "
                                   "What ends holds, messages or sagas is taken, reads are "
                                   "answered; GET /v1/status shows what takes it.",
                                   "");
        }
        return hf_call_problem(call, code, "Nothing has happened: ask again a little later.", "");
    case HF_ERR_READ_ONLY:
        return hf_call_problem(call, code,
                               "The disk is full: nothing has changed; reads are answered.", "");
    case HF_ERR_OUTCOME_UNKNOWN:
        return hf_call_problem(call, code,
                               "It is not known whether this was done. Repeat the same request "
                               "under the same key or ids: it will not be done twice.",
                               "");
    case HF_ERR_NOT_READY:
    case HF_ERR_DEPOSED:
        return hf_call_problem(
            call, HF_ERR_NOT_READY,
            "The server does not lead now, or has not reached min_position in time; nothing has "
            "changed.",
            "");
    case HF_ERR_NO_MEMORY:
        return hf_call_problem(call, HF_ERR_OVERLOADED,
                               "The server is short of memory; nothing has happened.", "");
    default:
        return hf_call_problem(call, code, "Nothing has happened: the server's log says why.", "");
    }
}

bool hf_call_path_name(struct hf_call *call, bool reference)
{
    struct hf_str name = call->path.segments[2];
    if (reference ? hf_name_valid_reference(name) : hf_name_valid(name)) {
        return true;
    }
    (void)hf_call_invalid(call, "The path's id is no name: 1 to 128 characters of A-Z a-z 0-9 . _ "
                                ": @ + = , ~ - that begin with a letter or digit.");
    return false;
}
