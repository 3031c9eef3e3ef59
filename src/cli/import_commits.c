/* holdfast import commits FILE: a commit a line. */
#include "base/json.h"
#include "cli/database.h"
#include "cli/import.h"
#include "cli/json_view.h"
#include "cli/lines.h"

struct importing {
    const struct hf_cli *cli;
    const struct hf_import_options *options;
    const char *path;
    struct holdfast *db;
    struct hf_arena arena; /* of the current line */
    struct hf_import_tally tally;
    bool stop; /* no further lines */
    struct hf_cli_progress progress;
};

enum hf_err hf_import_split(struct hf_str text, struct hf_arena *arena, struct hf_import_line *line,
                            struct hf_error *error)
{
    struct hf_json json;
    bool other = false;
    *line = (struct hf_import_line){0};
    hf_json_init(&json, text, arena);
    if (hf_json_next(&json) == HF_JSON_OBJECT_BEGIN) {
        while (hf_json_next(&json) == HF_JSON_NAME) {
            if (hf_json_is(&json, HF_STR("key"))) {
                if (hf_json_next(&json) != HF_JSON_STRING) {
                    hf_json_refuse(&json, "key must be a string");
                    break;
                }
                line->key = hf_json_string(&json, arena);
            } else if (hf_json_is(&json, HF_STR("commit"))) {
                (void)hf_json_skip(&json, &line->commit);
            } else {
                other = true;
                (void)hf_json_skip(&json, NULL);
            }
        }
        if (hf_json_next(&json) != HF_JSON_END) {
            return hf_json_error(&json, error);
        }
    }
    if (!hf_str_present(line->commit)) {
        *line = (struct hf_import_line){.commit = text};
    } else if (other) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST,
                            "besides commit and key nothing is allowed");
    }
    return HF_ERR_OK;
}

void hf_import_note(struct hf_import_tally *tally, uint64_t number, const char *code,
                    const char *text)
{
    if (tally->cli->json) {
        struct hf_json_writer w = hf_json_writer_over(&tally->report);
        if (tally->report.size_bytes > 0) {
            hf_buffer_u8(&tally->report, ',');
        }
        hf_json_begin_object(&w, NULL);
        hf_json_put_number(&w, "line", number);
        hf_json_put_text(&w, "code", hf_str_from(code));
        hf_json_put_text(&w, "text", hf_str_from(text));
        hf_json_end_object(&w);
    } else {
        hf_buffer_format(&tally->report, "line %llu: %s: %s\n", (unsigned long long)number, code,
                         text);
    }
}

static void report(struct importing *import, uint64_t number, const char *code, const char *text)
{
    hf_import_note(&import->tally, number, code, text);
    import->stop = import->options->stop_on_error;
}

/* What the refusal's problem document says, in words. */
static const char *detail_of(struct importing *import, struct holdfast_answer *answer)
{
    struct hf_json_object problem;
    size_t bytes = 0;
    const char *body = holdfast_answer_text(answer, &bytes);
    struct hf_str detail = HF_STR_NONE;
    if (body != NULL &&
        hf_json_view_object((struct hf_str){body, bytes}, &import->arena, &problem)) {
        detail = hf_json_view_text(&problem, "detail");
    }
    char *text = hf_arena_alloc(&import->arena, detail.len + 1);
    if (text == NULL) {
        return "";
    }
    (void)snprintf(text, detail.len + 1, "%.*s", (int)detail.len,
                   detail.len == 0 ? "" : detail.ptr);
    return text;
}

/* false: the environment failed, and `failure` says how. */
static bool import_line(struct importing *import, uint64_t number, struct hf_str text,
                        struct holdfast_failure *failure)
{
    struct hf_error error = {0};
    struct hf_import_line line;
    hf_arena_clear(&import->arena);
    if (hf_import_split(text, &import->arena, &line, &error) != HF_ERR_OK) {
        import->tally.malformed++;
        report(import, number, "invalid_request", error.text);
        return true;
    }
    if (line.key.len > 0 && memchr(line.key.ptr, 0, line.key.len) != NULL) {
        import->tally.malformed++;
        report(import, number, "invalid_request", "key: a NUL in it");
        return true;
    }
    char key[HF_KEY_BYTES_MAX + 2]; /* one byte more than allowed: the library then says too long */
    (void)snprintf(key, sizeof(key), "%.*s", (int)hf_min_u64(line.key.len, sizeof(key) - 1),
                   line.key.len == 0 ? "" : line.key.ptr);
    struct holdfast_caller caller = {.principal = import->options->principal,
                                     .key = hf_str_present(line.key) ? key : NULL};
    struct holdfast_answer *answer;
    enum holdfast_error code = holdfast_commit_json(import->db, &caller, line.commit.ptr,
                                                    line.commit.len, &answer, failure);
    if (code == HOLDFAST_INVALID_REQUEST || code == HOLDFAST_TOO_LARGE) {
        char where[sizeof(failure->pointer) + sizeof(failure->text) + 2];
        (void)snprintf(where, sizeof(where), "%s%s%s", failure->pointer,
                       failure->pointer[0] == '\0' ? "" : ": ", failure->text);
        import->tally.malformed++;
        report(import, number, "invalid_request", where);
        return true;
    }
    if (code != HOLDFAST_OK) {
        return false;
    }
    import->tally.replayed += holdfast_answer_replayed(answer);
    if (holdfast_answer_status(answer) < 300) {
        import->tally.accepted++;
    } else {
        import->tally.refused++;
        report(import, number, holdfast_answer_code(answer), detail_of(import, answer));
    }
    holdfast_answer_free(answer);
    return true;
}

static int import_lines(struct importing *import, struct hf_lines *lines)
{
    struct hf_error error = {0};
    struct hf_str text;
    while (!import->stop) {
        struct holdfast_failure failure = {0};
        if (hf_lines_next(lines, &text, &error) != HF_ERR_OK) {
            return hf_cli_fail(import->cli, &error);
        }
        if (!hf_str_present(text)) {
            break;
        }
        if (text.len > 0 && text.ptr[text.len - 1] == '\r') {
            text.len--;
        }
        if (text.len > 0 && !import_line(import, lines->number, text, &failure)) {
            return hf_cli_failure(import->cli, &failure);
        }
        hf_cli_progress_show(&import->progress, lines->number, 0);
    }
    return HF_EXIT_OK;
}

int hf_import_print(struct hf_import_tally *tally)
{
    struct hf_buffer out;
    bool clean = tally->malformed == 0 && tally->refused == 0;
    hf_buffer_init(&out);
    if (tally->cli->json) {
        struct hf_json_writer w = hf_json_writer_over(&out);
        hf_json_begin_object(&w, NULL);
        hf_json_put_number(&w, "accepted", tally->accepted);
        hf_json_put_number(&w, "refused", tally->refused);
        hf_json_put_number(&w, "malformed", tally->malformed);
        hf_json_put_number(&w, "replayed", tally->replayed);
        hf_json_begin_array(&w, "lines");
        hf_buffer_bytes(&out, tally->report.data, tally->report.size_bytes);
        hf_json_end_array(&w);
        hf_json_end_object(&w);
    } else {
        hf_buffer_bytes(&out, tally->report.data, tally->report.size_bytes);
        hf_buffer_format(&out, "%llu accepted, %llu refused, %llu malformed, %llu decided before\n",
                         (unsigned long long)tally->accepted, (unsigned long long)tally->refused,
                         (unsigned long long)tally->malformed, (unsigned long long)tally->replayed);
    }
    out.failed = out.failed || tally->report.failed;
    return hf_cli_print(tally->cli, &out, clean ? HF_EXIT_OK : HF_EXIT_NO);
}

int hf_import_commits(const struct hf_cli *cli, const struct hf_import_options *options,
                      const char *path, const char *directory)
{
    struct hf_error error = {0};
    struct hf_lines lines;
    struct importing import = {.cli = cli, .options = options, .path = path, .tally.cli = cli};
    if (hf_lines_open(&lines, path, &error) != HF_ERR_OK) {
        return hf_cli_fail(cli, &error);
    }
    int status = hf_cli_open(cli, directory, true, false, &import.db);
    if (status == HF_CLI_GO_ON) {
        hf_arena_init(&import.arena);
        hf_buffer_init(&import.tally.report);
        hf_cli_progress_init(&import.progress, "import: line");
        status = import_lines(&import, &lines);
        hf_cli_progress_end(&import.progress);
        status = hf_cli_close(cli, import.db, status);
        if (status == HF_EXIT_OK) {
            status = hf_import_print(&import.tally);
        }
        hf_buffer_release(&import.tally.report);
        hf_arena_release(&import.arena);
    }
    hf_lines_close(&lines);
    return status;
}
