/*
 * holdfast import events FILE: the history that `export` wrote, into an empty directory.
 *
 * Each line is believed only after its record decodes, its texts have their SHA-256, it continues the
 * chain to the hash that the line says, and it applies to the state. Then the same bytes are appended.
 */
#include "base/json.h"
#include "cli/base64.h"
#include "cli/history.h"
#include "cli/import.h"
#include "cli/lines.h"

#define PROGRESS_EVERY 1024u

struct importing {
    struct hf_history history; /* being written */
    struct hf_buffer record;   /* of the current line */
    struct hf_buffer payload;  /* of the current line */
    struct hf_arena arena;     /* of the current line */
    const struct hf_cli *cli;
};

/* What a line must hold. */
struct line {
    uint64_t position;
    struct hf_str hash;    /* hex */
    struct hf_str record;  /* base64 */
    struct hf_str payload; /* base64 */
};

static enum hf_err parse_line(struct hf_str text, struct hf_arena *arena, struct line *line,
                              struct hf_error *error)
{
    struct hf_json json;
    bool has_position = false;
    *line = (struct line){0};
    hf_json_init(&json, text, arena);
    if (hf_json_next(&json) != HF_JSON_OBJECT_BEGIN) {
        hf_json_refuse(&json, "an object is expected");
    }
    while (hf_json_next(&json) == HF_JSON_NAME) {
        struct hf_str *wanted = hf_json_is(&json, HF_STR("hash"))      ? &line->hash
                                : hf_json_is(&json, HF_STR("record"))  ? &line->record
                                : hf_json_is(&json, HF_STR("payload")) ? &line->payload
                                                                       : NULL;
        if (wanted != NULL) {
            if (hf_json_next(&json) != HF_JSON_STRING) {
                hf_json_refuse(&json, "a string is expected");
                break;
            }
            *wanted = hf_json_string(&json, arena);
        } else if (hf_json_is(&json, HF_STR("position"))) {
            has_position =
                hf_json_next(&json) == HF_JSON_NUMBER && hf_json_integer(json.raw, &line->position);
        } else {
            (void)hf_json_skip(&json, NULL);
        }
    }
    if (hf_json_next(&json) != HF_JSON_END) {
        return hf_json_error(&json, error);
    }
    if (!has_position || !hf_str_present(line->hash) || !hf_str_present(line->record) ||
        !hf_str_present(line->payload)) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST,
                            "position, hash, record and payload are needed");
    }
    return HF_ERR_OK;
}

static enum hf_err import_line(struct importing *import, struct hf_str text, struct hf_error *error)
{
    struct line line;
    struct hf_commit commit;
    hf_arena_clear(&import->arena);
    hf_buffer_clear(&import->record);
    hf_buffer_clear(&import->payload);
    enum hf_err code = parse_line(text, &import->arena, &line, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    if (!hf_base64_decode(&import->record, line.record) ||
        !hf_base64_decode(&import->payload, line.payload) || import->record.size_bytes == 0 ||
        import->record.size_bytes > HF_COMMIT_BYTES_MAX ||
        import->payload.size_bytes > HF_COMMIT_BYTES_MAX) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST, "record or payload is no base64");
    }
    code = hf_commit_decode(import->record.data, import->record.size_bytes, import->payload.data,
                            import->payload.size_bytes, &import->arena, &commit, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    struct hf_commit_frame frame = {
        .record = import->record.data,
        .record_bytes = import->record.size_bytes,
        .payload = import->payload.data,
        .payload_bytes = import->payload.size_bytes,
    };
    char hex[2 * HF_SHA256_BYTES + 1];
    struct hf_hash hash = hf_log_chain(&import->history.hash, frame.record, frame.record_bytes);
    hf_hash_hex(&hash, hex);
    if (commit.position != line.position || !hf_str_equal(line.hash, hf_str_from(hex))) {
        return hf_error_set(error, HF_ERR_CORRUPT,
                            "the line's position or hash is not what its record gives");
    }
    return hf_history_add(&import->history, &frame, &commit, error);
}

static enum hf_err import_lines(struct importing *import, struct hf_lines *lines,
                                struct hf_error *error)
{
    struct hf_cli_progress progress;
    struct hf_str text;
    enum hf_err code;
    hf_cli_progress_init(&progress, "import: commit");
    while ((code = hf_lines_next(lines, &text, error)) == HF_ERR_OK && hf_str_present(text)) {
        code = import_line(import, text, error);
        if (code != HF_ERR_OK) {
            code = hf_error_wrap(error, "%s, line %llu", lines->path,
                                 (unsigned long long)lines->number);
            break;
        }
        if (lines->number % PROGRESS_EVERY == 0) {
            hf_cli_progress_show(&progress, lines->number, 0);
        }
    }
    hf_cli_progress_end(&progress);
    return code;
}

static enum hf_err import_all(struct importing *import, struct hf_lines *lines,
                              struct hf_error *error)
{
    enum hf_err code = hf_history_begin(&import->history, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    code = import_lines(import, lines, error);
    code = code == HF_ERR_OK ? hf_history_end(&import->history, error) : code;
    uint64_t position = import->history.head.position;
    if (code != HF_ERR_OK && position > 0) {
        (void)hf_error_wrap(error, "%s holds the first %llu commits only",
                            import->history.directory, (unsigned long long)position);
    }
    return code;
}

static int print_result(const struct importing *import)
{
    struct hf_buffer out;
    hf_buffer_init(&out);
    if (import->cli->json) {
        struct hf_json_writer w = hf_json_writer_over(&out);
        hf_json_begin_object(&w, NULL);
        hf_json_put_number(&w, "position", import->history.head.position);
        hf_cli_put_hash(&w, "hash", &import->history.head.hash);
        hf_json_end_object(&w);
    } else {
        char hash[2 * HF_SHA256_BYTES + 1];
        hf_hash_hex(&import->history.head.hash, hash);
        hf_buffer_format(&out, "%llu commits imported, head hash %s\n",
                         (unsigned long long)import->history.head.position, hash);
    }
    return hf_cli_print(import->cli, &out, HF_EXIT_OK);
}

int hf_import_events(const struct hf_cli *cli, const char *path, const char *directory)
{
    struct hf_error error = {0};
    struct hf_lines lines;
    struct importing import = {.cli = cli};
    struct hf_outside *outside = hf_outside_linux_new();
    if (outside == NULL) {
        (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
        return hf_cli_fail(cli, &error);
    }
    hf_history_init(&import.history, outside, directory, "holdfast import");
    hf_arena_init(&import.arena);
    hf_buffer_init(&import.record);
    hf_buffer_init(&import.payload);
    enum hf_err code = hf_lines_open(&lines, path, &error);
    if (code == HF_ERR_OK) {
        code = import_all(&import, &lines, &error);
    }
    hf_lines_close(&lines);
    hf_buffer_release(&import.payload);
    hf_buffer_release(&import.record);
    hf_arena_release(&import.arena);
    hf_history_release(&import.history);
    hf_outside_linux_free(outside);
    return code == HF_ERR_OK ? print_result(&import) : hf_cli_fail(cli, &error);
}
