/*
 * The door's frozen bytes (tests/golden/http.txt): the door's part of fingerprints, and answers in the form of
 * resources. With HF_GOLDEN_WRITE=1 the answers are written anew from their questions; a file changes only with new
 * lines: what was once answered must be answered so again.
 *
 *   ? door POST /v1/holds/h/capture | If-Match: "3"     = fingerprint, the door's text ("\n" shown as such)
 *   ? door POST /v1/transfers []                        the same, the body being a list
 *   ? object JSON       a commit, answered as one operation's resource       = status, text
 *   ? array JSON        the same as an array of operations
 *   ? hidden JSON       the same for somebody who may not read what it is about
 */
#include "unit/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/door_priv.h"
#include "unit/core_rig.h"

#define LINE_BYTES 65536

static char line[LINE_BYTES];
static char came[LINE_BYTES];

/* ---- stand-ins for the server: nothing is sent here ---- */

struct hf_str hf_http_header(const struct hf_http_exchange *exchange, struct hf_str name,
                             size_t *count)
{
    (void)exchange;
    (void)name;
    *count = 0;
    return HF_STR_NONE;
}

void hf_http_respond(struct hf_http_exchange *exchange, const struct hf_http_response *response)
{
    (void)exchange;
    (void)response;
    fail();
}

/* Nobody goes away here. */
void hf_http_watch(struct hf_http_exchange *exchange)
{
    (void)exchange;
}

void hf_http_resume(struct hf_http_exchange *exchange)
{
    (void)exchange;
    fail();
}

bool hf_http_begin(struct hf_http_exchange *exchange, const struct hf_http_response *response)
{
    (void)exchange;
    (void)response;
    fail();
    return false;
}

bool hf_http_piece(struct hf_http_exchange *exchange)
{
    (void)exchange;
    fail();
    return false;
}

void hf_http_end(struct hf_http_exchange *exchange)
{
    (void)exchange;
    fail();
}

/* ---- door ---- */

/* "POST /v1/x?y | If-Match: "3"": into a call, as far as fingerprints look at it. */
static void take_request(char *text, struct hf_call *call, struct hf_http_exchange *exchange,
                         struct hf_http_header *header)
{
    char *bar = strstr(text, " | ");
    if (bar != NULL) {
        *bar = '\0';
        char *colon = strstr(bar + 3, ": ");
        assert_non_null(colon);
        *header =
            (struct hf_http_header){{bar + 3, (size_t)(colon - bar - 3)}, hf_str_from(colon + 2)};
        for (char *c = bar + 3; c < colon; c++) {
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
        }
        exchange->headers = header;
        exchange->header_count = 1;
    }
    char *list = strstr(text, " []");
    if (list != NULL) {
        *list = '\0';
        call->form.failed = HF_FAILED_IN_ARRAY;
    }
    char *space = strchr(text, ' ');
    assert_non_null(space);
    *space = '\0';
    char *mark = strchr(space + 1, '?');
    if (mark != NULL) {
        *mark = '\0';
        exchange->query = hf_str_from(mark + 1);
    }
    exchange->path = hf_str_from(space + 1);
    exchange->method = strcmp(text, "PUT") == 0      ? HF_HTTP_PUT
                       : strcmp(text, "PATCH") == 0  ? HF_HTTP_PATCH
                       : strcmp(text, "DELETE") == 0 ? HF_HTTP_DELETE
                                                     : HF_HTTP_POST;
    bool known;
    assert_true(hf_http_path_split(exchange->path, exchange->arena, &call->path, &call->malformed));
    call->route = hf_route_find(&call->path, exchange->method, &known);
    assert_non_null(call->route);
    assert_true(
        hf_http_query_parse(exchange->query, exchange->arena, &call->query, &call->malformed));
    assert_true(hf_precondition_parse(exchange, &call->precondition, &call->malformed));
}

static void answer_door(char *text, char *to)
{
    struct hf_arena arena;
    struct hf_http_header header;
    hf_arena_init(&arena);
    struct hf_http_exchange exchange = {.arena = &arena};
    struct hf_call call = {.exchange = &exchange};
    take_request(text, &call, &exchange, &header);
    struct hf_command *command = &call.command;
    struct hf_condition_fields account = {.account = HF_STR("a")};
    struct hf_op_fields freeze = {.op = HF_STR("freeze"), .account = HF_STR("a")};
    hf_command_init(command, HF_COMMAND_COMMIT);
    command->door = hf_route_fingerprint(&call);
    assert_true(hf_command_set_key(command, HF_STR("k"), &call.malformed));
    assert_true(hf_precondition_add(&call.precondition, &account, command, &call.malformed));
    assert_true(hf_command_add_op(command, &freeze, &call.malformed));
    assert_true(hf_command_finish(command, &call.malformed));
    for (size_t i = 0; i < sizeof(command->fingerprint); i++) {
        to += snprintf(to, 3, "%02x", command->fingerprint[i]);
    }
    *to++ = ' ';
    for (size_t i = 0; i < command->door.len; i++) {
        if (command->door.ptr[i] == '\n') {
            *to++ = '\\';
            *to++ = 'n';
        } else {
            *to++ = command->door.ptr[i];
        }
    }
    *to = '\0';
    hf_command_release(command);
    hf_arena_release(&arena);
}

/* ---- answers ---- */

static void answer_commit(struct core_rig *rig, const char *json, const struct hf_answer_form *form,
                          char *to)
{
    static uint64_t now_us = 1700000000000000u;
    struct core_rig_answer answer = {0};
    struct core_rig_ask ask = {.text = json, .key = NULL, .now_us = now_us++};
    char key[32];
    (void)snprintf(key, sizeof(key), "k%llu", (unsigned long long)now_us);
    ask.key = key; /* so that refusals are recorded, and have a frame */
    hf_buffer_init(&answer.text);
    core_rig_ask(rig, &ask, &answer);
    assert_true(answer.position > 0);
    struct hf_arena arena;
    struct hf_buffer text;
    hf_arena_init(&arena);
    hf_buffer_init(&text);
    const struct hf_commit *commit = hf_call_decode(core_rig_frame(rig, answer.position), &arena);
    assert_non_null(commit);
    hf_answer_json_as(&text, commit, form);
    hf_buffer_u8(&text, 0);
    (void)snprintf(to, LINE_BYTES, "%d %s", hf_answer_status(commit, false), (char *)text.data);
    hf_buffer_release(&text);
    hf_arena_release(&arena);
    hf_buffer_release(&answer.text);
}

static void answer_to(struct core_rig *rig, char *question, char *to)
{
    static const struct hf_answer_form object = {.one_result = true, .failed = HF_FAILED_IN_OBJECT};
    static const struct hf_answer_form array = {.failed = HF_FAILED_IN_ARRAY};
    static const struct hf_answer_form hidden = {
        .one_result = true, .failed = HF_FAILED_IN_OBJECT, .hide_current = true};
    if (strncmp(question, "door ", 5) == 0) {
        answer_door(question + 5, to);
    } else if (strncmp(question, "object ", 7) == 0) {
        answer_commit(rig, question + 7, &object, to);
    } else if (strncmp(question, "array ", 6) == 0) {
        answer_commit(rig, question + 6, &array, to);
    } else {
        assert_int_equal(strncmp(question, "hidden ", 7), 0);
        answer_commit(rig, question + 7, &hidden, to);
    }
}

/* ---- the file ---- */

static bool read_line(FILE *file)
{
    if (fgets(line, sizeof(line), file) == NULL) {
        return false;
    }
    line[strcspn(line, "\n")] = '\0';
    return true;
}

static void golden(void **state)
{
    (void)state;
    bool writing = getenv("HF_GOLDEN_WRITE") != NULL;
    FILE *file = fopen(HF_GOLDEN_DIR "/http.txt", "r");
    FILE *fresh = writing ? fopen(HF_GOLDEN_DIR "/http.txt.new", "w") : NULL;
    struct core_rig rig;
    size_t questions = 0;
    assert_non_null(file);
    core_rig_init(&rig, CORE_RIG_HOT);
    while (read_line(file)) {
        if (writing && line[0] != '=') {
            (void)fprintf(fresh, "%s\n", line);
        }
        if (line[0] != '?') {
            continue;
        }
        questions++;
        char *question = strdup(line + 2);
        assert_non_null(question);
        answer_to(&rig, question, came);
        free(question);
        if (writing) {
            (void)fprintf(fresh, "= %s\n", came);
        } else if (!read_line(file) || strncmp(line, "= ", 2) != 0 || strcmp(line + 2, came) != 0) {
            print_error("%s\ncame %s\n", line, came);
            fail();
        }
    }
    assert_true(questions > 40);
    core_rig_release(&rig);
    (void)fclose(file);
    if (writing) {
        assert_int_equal(fclose(fresh), 0);
        assert_int_equal(rename(HF_GOLDEN_DIR "/http.txt.new", HF_GOLDEN_DIR "/http.txt"), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
