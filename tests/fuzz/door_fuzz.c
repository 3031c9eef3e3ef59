/*
 * Bytes as what a request says besides its framing. The first byte chooses:
 *
 *   0 path · 1 query · 2 If-Match and If-None-Match (lines) · 3 Idempotency-Key · 4 Content-Type · 5 a resource's body
 *
 * What is accepted must mean the same when it is written down anew: a decoded path encoded again, a tag list's
 * fingerprint text, a key in quotes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/commit_json.h"
#include "api/http_query.h"
#include "api/precondition.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct hf_arena arena;

/* Everything but letters and digits as %XX. */
static struct hf_str encoded(struct hf_str text, char prefix)
{
    char *to = hf_arena_alloc(&arena, 3 * text.len + 2);
    size_t used = 0;
    HF_CHECK(to != NULL);
    to[used++] = prefix;
    for (size_t i = 0; i < text.len; i++) {
        (void)snprintf(to + used, 4, "%%%02x", (unsigned)(unsigned char)text.ptr[i]);
        used += 3;
    }
    return (struct hf_str){to, used};
}

static void try_path(struct hf_str raw)
{
    struct hf_http_path path;
    struct hf_http_path again;
    struct hf_malformed malformed = {0};
    if (!hf_http_path_split(raw, &arena, &path, &malformed)) {
        HF_CHECK(malformed.code == HF_ERR_INVALID_REQUEST && malformed.text[0] != '\0');
        return;
    }
    for (uint32_t i = 0; i < path.count; i++) {
        HF_CHECK(hf_http_path_split(encoded(path.segments[i], '/'), &arena, &again, &malformed));
        HF_CHECK(again.count == 1 && hf_str_equal(again.segments[0], path.segments[i]));
    }
}

static void try_query(struct hf_str raw)
{
    struct hf_http_query query;
    struct hf_malformed malformed = {0};
    if (!hf_http_query_parse(raw, &arena, &query, &malformed)) {
        HF_CHECK(malformed.code == HF_ERR_INVALID_REQUEST && malformed.text[0] != '\0');
        return;
    }
    HF_CHECK(query.count <= HF_HTTP_PARAMETERS_MAX);
    for (uint32_t i = 0; i < query.count; i++) {
        HF_CHECK(query.parameters[i].name.len > 0);
        for (uint32_t j = 0; j < i; j++) {
            HF_CHECK(!hf_str_equal(query.parameters[i].name, query.parameters[j].name));
        }
    }
    uint64_t number = 7;
    uint64_t time_us;
    bool flag = false;
    (void)hf_http_query_number(&query, "limit", &number, &malformed);
    HF_CHECK(number <= HF_JSON_INTEGER_MAX);
    (void)hf_http_query_bool(&query, "dry_run", &flag, &malformed);
    (void)hf_http_query_time(&query, "at", &flag, &time_us, &malformed);
}

static struct hf_http_exchange with_headers(struct hf_str name, struct hf_str lines)
{
    static struct hf_http_header headers[8];
    struct hf_http_exchange exchange = {.arena = &arena, .headers = headers};
    while (exchange.header_count < HF_ARRAY_COUNT(headers)) {
        const char *end = lines.len == 0 ? NULL : memchr(lines.ptr, '\n', lines.len);
        struct hf_str line = {lines.ptr, end == NULL ? lines.len : (size_t)(end - lines.ptr)};
        headers[exchange.header_count++] = (struct hf_http_header){name, line};
        if (end == NULL) {
            break;
        }
        lines = (struct hf_str){end + 1, lines.len - line.len - 1};
    }
    return exchange;
}

static void try_preconditions(struct hf_str lines)
{
    struct hf_precondition first;
    struct hf_precondition second;
    struct hf_malformed malformed = {0};
    struct hf_http_exchange exchange = with_headers(HF_STR("if-match"), lines);
    if (!hf_precondition_parse(&exchange, &first, &malformed)) {
        HF_CHECK(malformed.text[0] != '\0');
        return;
    }
    struct hf_tag_list *tags = &first.match;
    HF_CHECK(tags->given && !first.none_match.given);
    exchange = with_headers(HF_STR("if-match"), tags->text);
    HF_CHECK(hf_precondition_parse(&exchange, &second, &malformed));
    HF_CHECK(hf_str_equal(second.match.text, tags->text) && second.match.any == tags->any &&
             second.match.strong_count == tags->strong_count &&
             second.match.weak_count == tags->weak_count);
    HF_CHECK(memcmp(second.match.versions, tags->versions,
                    (tags->strong_count + tags->weak_count) * sizeof(*tags->versions)) == 0);
    (void)hf_precondition_of_read(&first, 3);
    struct hf_command command;
    struct hf_condition_fields account = {.account = HF_STR("a")};
    hf_command_init(&command, HF_COMMAND_COMMIT);
    HF_CHECK(hf_precondition_add(&first, &account, &command, &malformed));
    hf_command_release(&command);
}

static void try_key(struct hf_str value)
{
    struct hf_str key;
    struct hf_str again;
    struct hf_malformed malformed = {0};
    char quoted[2 * HF_KEY_BYTES_MAX + 2];
    size_t used = 0;
    struct hf_http_exchange exchange = with_headers(HF_STR("idempotency-key"), value);
    if (!hf_idempotency_key_parse(&exchange, &key, &malformed)) {
        HF_CHECK(malformed.text[0] != '\0');
        return;
    }
    HF_CHECK(key.len > 0 && key.len <= HF_KEY_BYTES_MAX);
    quoted[used++] = '"';
    for (size_t i = 0; i < key.len; i++) {
        HF_CHECK(key.ptr[i] >= 0x21 && key.ptr[i] <= 0x7E);
        if (key.ptr[i] == '"' || key.ptr[i] == '\\') {
            quoted[used++] = '\\';
        }
        quoted[used++] = key.ptr[i];
    }
    quoted[used++] = '"';
    exchange = with_headers(HF_STR("idempotency-key"), (struct hf_str){quoted, used});
    HF_CHECK(hf_idempotency_key_parse(&exchange, &again, &malformed) && hf_str_equal(again, key));
}

static bool take(void *context, uint32_t index, struct hf_op_fields *fields,
                 struct hf_malformed *malformed)
{
    (void)index;
    struct hf_command *command = context;
    fields->op = HF_STR("append");
    fields->stream = HF_STR("s");
    return hf_command_add_op(command, fields, malformed);
}

static void try_body(struct hf_str text)
{
    static const char *const members[] = {"type", "data", "id", "expected_version", NULL};
    struct hf_command command;
    struct hf_malformed malformed = {0};
    bool array;
    hf_command_init(&command, HF_COMMAND_COMMIT);
    if (!hf_resource_json_decode(text, members, &array, &arena, take, &command, &malformed)) {
        HF_CHECK(malformed.text[0] != '\0' &&
                 (malformed.pointer[0] == '\0' || malformed.pointer[0] == '/'));
    } else {
        HF_CHECK(array || command.op_count == 1);
    }
    hf_command_release(&command);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct hf_str text = {(const char *)data + 1, size - 1};
    hf_arena_init(&arena);
    struct hf_http_exchange exchange = with_headers(HF_STR("content-type"), text);
    switch (data[0] % 6) {
    case 0:
        try_path(text);
        break;
    case 1:
        try_query(text);
        break;
    case 2:
        try_preconditions(text);
        break;
    case 3:
        try_key(text);
        break;
    case 4:
        (void)hf_media_of(&exchange);
        break;
    default:
        try_body(text);
        break;
    }
    hf_arena_release(&arena);
    return 0;
}
