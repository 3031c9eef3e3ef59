/*
 * The JSON of commits and answers: what is refused and where; the frozen bytes of answers, commit frames
 * and fingerprints (tests/golden/answers.txt, fingerprints.txt).
 *
 * With HF_GOLDEN_WRITE=1 the golden files are written anew from their questions. A file changes only with
 * new lines: what was once answered must be answered so again.
 */
#include "unit/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/answer_json.h"
#include "api/commit_json.h"
#include "api/json_write.h"
#include "base/alloc.h"
#include "base/json.h"
#include "unit/core_rig.h"

#define LINE_BYTES 65536

/* ---- decoding ---- */

struct malformed_row {
    const char *json; /* with ' for " */
    const char *pointer;
    const char *text; /* part of it */
};

static const struct malformed_row malformed_rows[] = {
    {"", "", "JSON: byte 0"},
    {"[]", "", "a commit is an object"},
    {"{'do':[", "", "JSON: byte 7"},
    {"{'do':[]} x", "", "JSON: byte"},
    {"{'do':[],'do':[]}", "", "JSON: byte"},
    {"{'do':[]}", "/do", "at least one"},
    {"{}", "/do", "at least one"},
    {"{'do':{}}", "/do", "must be an array"},
    {"{'do':[1]}", "/do/0", "must be an object"},
    {"{'if':[[]],'do':[]}", "/if/0", "must be an object"},
    {"{'else':[]}", "/else", "unknown member"},
    {"{'a/b~c':[]}", "/a~1b~0c", "unknown member"},
    {"{'0123456789012345678901234567890123456789':[]}", "", "unknown member"},
    {"{'a\\u0000':[]}", "", "unknown member"},
    {"{'do':[{'op':'transfer','amont':'1'}]}", "/do/0/amont", "unknown member"},
    {"{'if':[{'acount':'a'}],'do':[]}", "/if/0/acount", "unknown member"},
    {"{'do':[{}]}", "/do/0/op", "op is missing"},
    {"{'do':[{'op':'teleport'}]}", "/do/0/op", "no such operation"},
    {"{'do':[{'op':7}]}", "/do/0/op", "must be a string"},
    {"{'do':[{'op':null}]}", "/do/0/op", "must be a string"},
    {"{'do':[{'op':'freeze','account':'a'},{'op':'freeze'}]}", "/do/1/account", "freeze needs"},
    {"{'do':[{'op':'freeze','account':'a','hold':'h'}]}", "/do/0/hold", "freeze takes no hold"},
    {"{'do':[{'op':'transfer','amount':null}]}", "/do/0/amount", "decimal string"},
    {"{'do':[{'op':'transfer','amount':true}]}", "/do/0/amount", "decimal string"},
    {"{'do':[{'op':'transfer','amount':-1}]}", "/do/0/amount", "below 2^53"},
    {"{'do':[{'op':'transfer','amount':1e3}]}", "/do/0/amount", "below 2^53"},
    {"{'do':[{'op':'transfer','amount':9007199254740992}]}", "/do/0/amount", "below 2^53"},
    {"{'do':[{'op':'transfer','up_to':1}]}", "/do/0/up_to", "true or false"},
    {"{'do':[{'op':'set_limits','account':'a','floor':-0}]}", "/do/0/floor", "decimal string"},
    {"{'do':[{'op':'set_limits','account':'a','floor':'-0'}]}", "/do/0/floor", "a limit is"},
    {"{'do':[{'op':'append','expected_version':-1}]}", "/do/0/expected_version", "2^53 - 1"},
    {"{'do':[{'op':'append','expected_version':'1'}]}", "/do/0/expected_version", "2^53 - 1"},
    {"{'do':[{'op':'append','expected_version':1.0}]}", "/do/0/expected_version", "2^53 - 1"},
    {"{'do':[{'op':'acquire','ttl_ms':9007199254740992}]}", "/do/0/ttl_ms", "2^53 - 1"},
    {"{'do':[{'op':'put','document':'d','data':{'a':1,'a':2}}]}", "", "JSON: byte"},
    {"{'if':[{'account':'a','available':'5'}],'do':[]}", "/if/0/available",
     "object of comparisons"},
    {"{'if':[{'account':'a','available':{'gte':true}}],'do':[]}", "/if/0/available/gte", "decimal"},
    {"{'if':[{'account':'a','available':{'gte':'1','gte':'2'}}],'do':[]}", "", "JSON: byte"},
    {"{'if':[{'account':'a','exists':'yes'}],'do':[]}", "/if/0/exists", "true or false"},
    {"{'metadata':[],'do':[]}", "/metadata", "must be a JSON object"},
    {"{'metadata':'x','do':[]}", "/metadata", "must be a JSON object"},
    {"{'do':[{'op':'set_metadata','account':'a','metadata':7}]}", "/do/0/metadata", "JSON object"},
};

static void unquote(const char *from, char *to)
{
    for (; *from != '\0'; from++, to++) {
        *to = *from == '\'' ? '"' : *from;
    }
    *to = '\0';
}

static bool decode(const char *json, struct hf_command *command, struct hf_malformed *malformed)
{
    hf_command_init(command, HF_COMMAND_COMMIT);
    return hf_commit_json_decode(hf_str_from(json), command, malformed) &&
           hf_command_finish(command, malformed);
}

static void malformed_commits_say_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < HF_ARRAY_COUNT(malformed_rows); i++) {
        char json[512];
        struct hf_command command;
        struct hf_malformed malformed = {0};
        unquote(malformed_rows[i].json, json);
        bool ok = decode(json, &command, &malformed);
        if (ok || malformed.code != HF_ERR_INVALID_REQUEST ||
            strcmp(malformed.pointer, malformed_rows[i].pointer) != 0 ||
            strstr(malformed.text, malformed_rows[i].text) == NULL) {
            print_error("%s\n  came %s: %s\n", json, malformed.pointer, malformed.text);
            fail();
        }
        hf_command_release(&command);
    }
}

static void every_prefix_is_refused(void **state)
{
    (void)state;
    static const char json[] =
        "{\"if\":[{\"account\":\"a\",\"available\":{\"gte\":\"-1\",\"lt\":5},\"version\":3}],"
        "\"do\":[{\"op\":\"transfer\",\"from\":\"a\",\"to\":\"b\\u0041\",\"asset\":\"USD/2\","
        "\"amount\":12,\"metadata\":{\"k\":[1,null]}}],\"metadata\":{}}";
    for (size_t length = 0; length < sizeof(json) - 1; length++) {
        struct hf_command command;
        struct hf_malformed malformed = {0};
        hf_command_init(&command, HF_COMMAND_COMMIT);
        assert_false(hf_commit_json_decode((struct hf_str){json, length}, &command, &malformed));
        assert_int_equal(malformed.code, HF_ERR_INVALID_REQUEST);
        hf_command_release(&command);
    }
    struct hf_command command;
    struct hf_malformed malformed = {0};
    assert_true(decode(json, &command, &malformed));
    assert_int_equal(command.op_count, 1);
    assert_int_equal(command.condition_count, 1);
    const struct hf_op *op = &command.ops[0];
    assert_true(hf_str_equal(op->to.text, HF_STR("bA")));
    assert_u128_equal(op->amount, 12);
    assert_true(hf_str_equal(op->metadata.text, HF_STR("{\"k\":[1,null]}")));
    const struct hf_comparison *available = &command.conditions[0].available;
    assert_int_equal(available->present, 1u << HF_COMPARE_GTE | 1u << HF_COMPARE_LT);
    assert_true(available->operand[HF_COMPARE_GTE] == -1);
    assert_true(available->operand[HF_COMPARE_LT] == 5);
    hf_command_release(&command);
}

/* Short memory at every allocation: said as such, never a wrong decode. */
static void short_memory_is_told(void **state)
{
    (void)state;
    static const char json[] =
        "{\"if\":[{\"lease\":\"l\",\"token\":3}],\"do\":[{\"op\":\"put\",\"document\":\"\\u0064\","
        "\"data\":{\"a\":[1,2]}},{\"op\":\"freeze\",\"account\":\"a\"}]}";
    uint64_t n = 1;
    for (bool hit = true; hit; n++) {
        struct hf_command command;
        struct hf_malformed malformed = {0};
        hf_alloc_fault_set(n);
        bool ok = decode(json, &command, &malformed);
        hit = hf_alloc_fault_hit();
        hf_alloc_fault_set(0);
        assert_int_equal(ok, !hit);
        if (!ok) {
            assert_int_equal(malformed.code, HF_ERR_NO_MEMORY);
        }
        hf_command_release(&command);
    }
    assert_true(n > 3);
}

static void limits_are_kept(void **state)
{
    (void)state;
    struct hf_buffer text;
    hf_buffer_init(&text);
    hf_buffer_text(&text, "{\"do\":[");
    for (int i = 0; i <= HF_COMMIT_OPERATIONS_MAX; i++) {
        hf_buffer_text(&text, i == 0 ? "" : ",");
        hf_buffer_text(&text, "{\"op\":\"freeze\",\"account\":\"a\"}");
    }
    hf_buffer_text(&text, "]}");
    struct hf_command command;
    struct hf_malformed malformed = {0};
    hf_command_init(&command, HF_COMMAND_COMMIT);
    struct hf_str json = {(const char *)text.data, text.size_bytes};
    assert_false(hf_commit_json_decode(json, &command, &malformed));
    assert_int_equal(malformed.code, HF_ERR_TOO_LARGE);
    assert_string_equal(malformed.pointer, "/do");
    hf_command_release(&command);
    hf_buffer_clear(&text);
    memset(hf_buffer_extend(&text, HF_REQUEST_BYTES_MAX + 1), ' ', HF_REQUEST_BYTES_MAX + 1);
    hf_command_init(&command, HF_COMMAND_COMMIT);
    json = (struct hf_str){(const char *)text.data, text.size_bytes};
    assert_false(hf_commit_json_decode(json, &command, &malformed));
    assert_int_equal(malformed.code, HF_ERR_TOO_LARGE);
    hf_command_release(&command);
    hf_buffer_release(&text);
}

/* ---- rendering ---- */

static void the_writer_separates(void **state)
{
    (void)state;
    struct hf_buffer text;
    hf_buffer_init(&text);
    struct hf_json_writer w = hf_json_writer_over(&text);
    hf_json_begin_array(&w, NULL);
    hf_json_begin_object(&w, NULL);
    hf_json_end_object(&w);
    hf_json_begin_object(&w, NULL);
    hf_json_put_number(&w, "n", UINT64_MAX);
    hf_json_put_amount(&w, "a", HF_U128_MAX);
    hf_json_put_balance(&w, "b", -HF_I128_MAX);
    hf_json_put_bool(&w, "t", true);
    hf_json_begin_array(&w, "l");
    hf_json_put_null(&w, NULL);
    hf_json_put_text(&w, NULL, HF_STR("\"\n"));
    hf_json_put_raw(&w, NULL, HF_STR_NONE);
    hf_json_put_raw(&w, NULL, HF_STR("{ }"));
    hf_json_end_array(&w);
    hf_json_put_time(&w, "at", 0);
    hf_json_end_object(&w);
    hf_json_end_array(&w);
    hf_buffer_u8(&text, 0);
    assert_string_equal(
        (const char *)text.data,
        "[{},{\"n\":18446744073709551615,"
        "\"a\":\"340282366920938463463374607431768211455\","
        "\"b\":\"-170141183460469231731687303715884105727\",\"t\":true,"
        "\"l\":[null,\"\\\"\\n\",null,{ }],\"at\":\"1970-01-01T00:00:00.000000Z\"}]");
    hf_buffer_release(&text);
}

/* Every code without a decision, and every code in a refusal, whatever `current` is. */
static void every_code_makes_a_problem(void **state)
{
    (void)state;
    static const enum hf_kind kinds[] = {HF_KIND_NONE, HF_KIND_ACCOUNT, HF_KIND_TRANSFER,
                                         HF_KIND_HOLD, HF_KIND_STREAM,  HF_KIND_DOCUMENT,
                                         HF_KIND_LEASE};
    struct hf_buffer text;
    hf_buffer_init(&text);
    for (uint32_t code = 1; code < 256; code++) {
        if (!hf_err_known(code)) {
            continue;
        }
        hf_buffer_clear(&text);
        hf_problem_json(&text, (enum hf_err)code, "why", "/do/0");
        struct hf_str json = {(const char *)text.data, text.size_bytes};
        assert_int_equal(hf_json_validate(json, NULL), HF_ERR_OK);
        for (size_t i = 0; i < HF_ARRAY_COUNT(kinds); i++) {
            struct hf_event event = {.type = HF_EVENT_REFUSED};
            struct hf_event *events[] = {&event};
            struct hf_commit commit = {.position = 5, .event_count = 1, .events = events};
            event.refused = (struct hf_refused){.code = (enum hf_err)code, .where = HF_WHERE_IF};
            event.refused.current.kind = kinds[i];
            if (kinds[i] == HF_KIND_ACCOUNT) {
                event.refused.current.account.state = HF_ACCOUNT_OPEN;
            } else if (kinds[i] == HF_KIND_TRANSFER) {
                event.refused.current.transfer.kind = HF_TRANSFER_PLAIN;
            } else if (kinds[i] == HF_KIND_HOLD) {
                event.refused.current.hold.state = HF_HOLD_OPEN;
            }
            hf_buffer_clear(&text);
            hf_answer_json(&text, &commit, false);
            json = (struct hf_str){(const char *)text.data, text.size_bytes};
            assert_int_equal(hf_json_validate(json, NULL), HF_ERR_OK);
            assert_int_equal(hf_answer_status(&commit, false), hf_err_status((enum hf_err)code));
        }
    }
    hf_buffer_release(&text);
}

/* ---- golden files ---- */

static bool writing(void)
{
    return getenv("HF_GOLDEN_WRITE") != NULL;
}

static FILE *open_golden(const char *name, const char *suffix, const char *mode)
{
    char path[1024];
    (void)snprintf(path, sizeof(path), "%s/%s%s", HF_GOLDEN_DIR, name, suffix);
    FILE *file = fopen(path, mode);
    if (file == NULL) {
        print_error("can't open %s\n", path);
        fail();
    }
    return file;
}

static void replace_golden(const char *name)
{
    char from[1024], to[1024];
    (void)snprintf(from, sizeof(from), "%s/%s.new", HF_GOLDEN_DIR, name);
    (void)snprintf(to, sizeof(to), "%s/%s", HF_GOLDEN_DIR, name);
    assert_int_equal(rename(from, to), 0);
}

static bool next_line(FILE *file, char line[LINE_BYTES])
{
    if (fgets(line, LINE_BYTES, file) == NULL) {
        return false;
    }
    size_t length = strcspn(line, "\n");
    assert_true(line[length] == '\n');
    line[length] = '\0';
    return true;
}

/* Goes through a golden file: a line that begins with '?' is a question, the next one its answer; all
 * others are kept. `answer_to` gives the answer's line. */
static size_t walk_golden(const char *name, void (*answer_to)(void *, const char *, char *),
                          void *context)
{
    static char line[LINE_BYTES], came[LINE_BYTES];
    FILE *file = open_golden(name, "", "r");
    FILE *out = writing() ? open_golden(name, ".new", "w") : NULL;
    size_t questions = 0;
    while (next_line(file, line)) {
        bool is_answer = line[0] == '=';
        if (out != NULL && !is_answer) {
            (void)fprintf(out, "%s\n", line);
        }
        if (is_answer && out == NULL) {
            print_error("%s: an answer without its question\n", name);
            fail();
        }
        if (is_answer || line[0] == '#') {
            continue;
        }
        answer_to(context, line, came);
        if (line[0] != '?') {
            continue;
        }
        questions++;
        if (out != NULL) {
            (void)fprintf(out, "%s\n", came);
            continue;
        }
        static char question[LINE_BYTES];
        memcpy(question, line, sizeof(question));
        assert_true(next_line(file, line));
        if (strcmp(line, came) != 0) {
            print_error("%s\n  frozen %s\n  came   %s\n", question, line, came);
            fail();
        }
    }
    (void)fclose(file);
    if (out != NULL) {
        assert_int_equal(fclose(out), 0);
        replace_golden(name);
    }
    return questions;
}

struct golden_rig {
    struct core_rig rig;
    struct core_rig_answer answer;
    bool begun;
};

static char *take_word(char **at)
{
    char *word = *at;
    char *space = strchr(word, ' ');
    assert_non_null(space);
    *space = '\0';
    *at = space + 1;
    return strcmp(word, "-") == 0 ? NULL : word;
}

/* "? TIME PRINCIPAL KEY dry|- ASK" → "= STATUS CODE POSITION replayed|- FRAME TEXT"; FRAME: the first 16
 * hex digits of the SHA-256 of the frame that it recorded, or - */
static void answer_question(void *context, const char *line, char *came)
{
    struct golden_rig *g = context;
    if (strncmp(line, "scenario ", 9) == 0) {
        if (g->begun) {
            core_rig_release(&g->rig);
        }
        core_rig_init(&g->rig, CORE_RIG_HOT);
        g->begun = true;
    }
    if (line[0] != '?') {
        return;
    }
    static char words[LINE_BYTES];
    (void)snprintf(words, sizeof(words), "%s", line + 2);
    char *at = words;
    struct core_rig_ask ask = {.now_us = strtoull(take_word(&at), NULL, 10)};
    ask.principal = take_word(&at);
    ask.key = take_word(&at);
    ask.dry_run = take_word(&at) != NULL;
    ask.text = at;
    uint64_t before = g->rig.state.position;
    core_rig_ask(&g->rig, &ask, &g->answer);
    char frame[2 * HF_SHA256_BYTES + 1] = "-";
    if (g->rig.state.position > before) {
        const struct hf_shared_bytes *bytes = core_rig_frame(&g->rig, g->rig.state.position);
        struct hf_hash hash = hf_sha256(bytes->data, bytes->size_bytes);
        hf_hash_hex(&hash, frame);
        frame[16] = '\0';
    }
    int written =
        snprintf(came, LINE_BYTES, "= %d %s %llu %s %s %s", g->answer.status, g->answer.code,
                 (unsigned long long)g->answer.position, g->answer.replayed ? "replayed" : "-",
                 frame, (const char *)g->answer.text.data);
    assert_true(written > 0 && written < LINE_BYTES);
}

static void answers_are_frozen(void **state)
{
    (void)state;
    static struct golden_rig golden;
    hf_buffer_init(&golden.answer.text);
    size_t questions = walk_golden("answers.txt", answer_question, &golden);
    assert_true(questions > 300);
    core_rig_release(&golden.rig);
    hf_buffer_release(&golden.answer.text);
}

static char *put_hex(char *to, const uint8_t *bytes, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++) {
        to += snprintf(to, 3, "%02x", bytes[i]);
    }
    *to++ = ' ';
    *to = '\0';
    return to;
}

/* "? JSON" → "= FINGERPRINT OPS_HASH CONTENT_HASH…", or "= POINTER: TEXT" if it is malformed */
static void answer_fingerprint(void *context, const char *line, char *came)
{
    (void)context;
    if (line[0] != '?') {
        return;
    }
    struct hf_command command;
    struct hf_malformed malformed = {0};
    if (!decode(line + 2, &command, &malformed)) {
        (void)snprintf(came, LINE_BYTES, "= %s: %s", malformed.pointer, malformed.text);
        hf_command_release(&command);
        return;
    }
    char *to = came + snprintf(came, 3, "= ");
    to = put_hex(to, command.fingerprint, sizeof(command.fingerprint));
    to = put_hex(to, command.ops_hash, sizeof(command.ops_hash));
    for (uint32_t i = 0; i < command.op_count; i++) {
        assert_true(to - came < LINE_BYTES - 64);
        to = put_hex(to, command.ops[i].content_hash, sizeof(command.ops[i].content_hash));
    }
    hf_command_release(&command);
}

static void fingerprints_are_frozen(void **state)
{
    (void)state;
    assert_true(walk_golden("fingerprints.txt", answer_fingerprint, NULL) > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_commits_say_where), cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(short_memory_is_told),        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(the_writer_separates),        cmocka_unit_test(every_code_makes_a_problem),
        cmocka_unit_test(answers_are_frozen),          cmocka_unit_test(fingerprints_are_frozen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
