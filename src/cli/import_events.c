/*
 * holdfast import events FILE: the history that `export` wrote, into an empty directory.
 *
 * Each line is believed only after its record decodes, its texts have their SHA-256, it continues the
 * chain to the hash that the line says, and it applies to the state. Then the same bytes are appended.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "base/json.h"
#include "cli/base64.h"
#include "cli/import.h"
#include "cli/lines.h"
#include "cli/walk.h"
#include "core/state.h"
#include "log/log_file.h"

#define BATCH_BYTES    (1u << 20) /* appended at once */
#define STATE_SEED     0x5EEDull
#define PROGRESS_EVERY 1024u
#define WAIT_US        100000u

struct importing {
    struct hf_outside *outside;
    const char *directory;
    struct hf_log *log;      /* taken over */
    struct hf_log_head head; /* appended */
    struct hf_hash hash;     /* behind the last commit in body */
    struct hf_state state;   /* the same */
    struct hf_buffer body;   /* frames that are not appended yet */
    uint32_t body_commits;   /* their count */
    struct hf_buffer record; /* of the current line */
    struct hf_buffer payload;
    struct hf_arena arena; /* of the current line */
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

/* Hands the body to the log and waits until it is durable. */
static enum hf_err append(struct importing *import, struct hf_error *error)
{
    if (import->body_commits == 0) {
        return HF_ERR_OK;
    }
    struct hf_log_batch batch = {
        .seq = import->head.seq + 1,
        .epoch = import->head.epoch,
        .first_position = import->head.position + 1,
        .commit_count = import->body_commits,
        .hash_before = import->head.hash,
        .hash_after = import->hash,
        .body = import->body.data,
        .body_bytes = import->body.size_bytes,
    };
    import->outside->random(import->outside, batch.batch_id, sizeof(batch.batch_id));
    import->log->driver->append_start(import->log, &batch);
    enum hf_append_outcome outcome;
    while ((outcome = import->log->driver->append_poll(import->log, error)) == HF_APPEND_PENDING) {
        hf_outside_linux_wait(import->outside, WAIT_US);
    }
    if (outcome != HF_APPEND_OK) {
        if (outcome == HF_APPEND_NO_SPACE) {
            return hf_error_set(error, HF_ERR_NO_SPACE, "the disk is full behind commit %llu",
                                (unsigned long long)import->head.position);
        }
        return error->code == HF_ERR_OK ? hf_error_set(error, HF_ERR_IO, "the append failed")
                                        : error->code;
    }
    import->head.seq++;
    import->head.position += import->body_commits;
    import->head.hash = import->hash;
    import->body_commits = 0;
    hf_buffer_clear(&import->body);
    return HF_ERR_OK;
}

/* Checks a decoded commit against the line, the chain and the state, and applies it. */
static enum hf_err admit(struct importing *import, const struct line *line,
                         const struct hf_commit *commit, struct hf_error *error)
{
    char hex[2 * HF_SHA256_BYTES + 1];
    struct hf_hash hash =
        hf_log_chain(&import->hash, import->record.data, import->record.size_bytes);
    hf_hash_hex(&hash, hex);
    if (commit->position != line->position || !hf_str_equal(line->hash, hf_str_from(hex))) {
        return hf_error_set(error, HF_ERR_CORRUPT,
                            "the line's position or hash is not what its record gives");
    }
    enum hf_err code = hf_commit_verify_texts(commit, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    if (!hf_state_reserve(&import->state, commit)) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    code = hf_state_apply(&import->state, commit, error);
    import->hash = hash;
    return code;
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
    if (code == HF_ERR_OK) {
        code = admit(import, &line, &commit, error);
    }
    if (code != HF_ERR_OK) {
        return code;
    }
    hf_buffer_u32(&import->body, (uint32_t)import->record.size_bytes);
    hf_buffer_u32(&import->body, (uint32_t)import->payload.size_bytes);
    hf_buffer_bytes(&import->body, import->record.data, import->record.size_bytes);
    hf_buffer_bytes(&import->body, import->payload.data, import->payload.size_bytes);
    if (import->body.failed) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    import->body_commits++;
    return import->body.size_bytes >= BATCH_BYTES ? append(import, error) : HF_ERR_OK;
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
    return code == HF_ERR_OK ? append(import, error) : code;
}

static enum hf_err take_over(struct importing *import, bool create, struct hf_error *error)
{
    struct hf_limits limits = hf_limits_default();
    struct hf_log_file_options options = {.directory = import->directory,
                                          .create = create,
                                          .segment_bytes_first = limits.segment_bytes_first,
                                          .segment_bytes_max = limits.segment_bytes_max};
    struct hf_log_recovery recovery;
    enum hf_err code = hf_log_file_open(import->outside, &options, &import->log, error);
    if (code == HF_ERR_OK) {
        code = import->log->driver->takeover(import->log, HF_STR("holdfast import"), false,
                                             &import->head, &recovery, error);
    }
    return code;
}

/* The next owner's epoch must be above every epoch of the history. */
static enum hf_err raise_epoch(struct importing *import, struct hf_error *error)
{
    while (import->head.epoch < import->state.epoch) {
        import->log->driver->close(import->log);
        import->log = NULL;
        enum hf_err code = take_over(import, false, error);
        if (code != HF_ERR_OK) {
            return code;
        }
    }
    return HF_ERR_OK;
}

static enum hf_err import_into(struct importing *import, struct hf_lines *lines,
                               struct hf_error *error)
{
    enum hf_err code = take_over(import, true, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    if (import->head.position != 0) {
        return hf_error_set(error, HF_ERR_EXISTS,
                            "%s holds %llu commits already: a history needs an empty directory",
                            import->directory, (unsigned long long)import->head.position);
    }
    code = import_lines(import, lines, error);
    if (code == HF_ERR_OK) {
        code = raise_epoch(import, error);
    } else if (import->head.position > 0) {
        (void)hf_error_wrap(error, "%s holds the first %llu commits only", import->directory,
                            (unsigned long long)import->head.position);
    }
    return code == HF_ERR_OK ? import->log->driver->seal(import->log, error) : code;
}

/* A directory with commits is left as it is, its seal too: so it is looked at before it is taken over. */
static enum hf_err refuse_history(struct hf_outside *outside, const char *directory,
                                  struct hf_error *error)
{
    struct hf_log *log;
    struct hf_walk walk;
    enum hf_err code = hf_walk_open_log(outside, directory, &log, error);
    if (code != HF_ERR_OK) {
        return code == HF_ERR_NOT_FOUND ? HF_ERR_OK : code;
    }
    hf_walk_init(&walk, log);
    code = hf_walk_next(&walk, error);
    if (code == HF_ERR_OK && !walk.end) {
        code =
            hf_error_set(error, HF_ERR_EXISTS,
                         "%s holds commits already: a history needs an empty directory", directory);
    }
    hf_walk_release(&walk);
    log->driver->close(log);
    return code == HF_ERR_NOT_FOUND ? HF_ERR_OK : code;
}

static int print_result(const struct importing *import)
{
    struct hf_buffer out;
    hf_buffer_init(&out);
    if (import->cli->json) {
        struct hf_json_writer w = hf_json_writer_over(&out);
        hf_json_begin_object(&w, NULL);
        hf_json_put_number(&w, "position", import->head.position);
        hf_cli_put_hash(&w, "hash", &import->head.hash);
        hf_json_end_object(&w);
    } else {
        char hash[2 * HF_SHA256_BYTES + 1];
        hf_hash_hex(&import->head.hash, hash);
        hf_buffer_format(&out, "%llu commits imported, head hash %s\n",
                         (unsigned long long)import->head.position, hash);
    }
    return hf_cli_print(import->cli, &out, HF_EXIT_OK);
}

int hf_import_events(const struct hf_cli *cli, const char *path, const char *directory)
{
    struct hf_error error = {0};
    struct hf_lines lines;
    struct importing import = {.directory = directory, .cli = cli};
    import.outside = hf_outside_linux_new();
    if (import.outside == NULL) {
        (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
        return hf_cli_fail(cli, &error);
    }
    hf_state_init(&import.state, STATE_SEED);
    hf_arena_init(&import.arena);
    hf_buffer_init(&import.body);
    hf_buffer_init(&import.record);
    hf_buffer_init(&import.payload);
    enum hf_err code = hf_lines_open(&lines, path, &error);
    if (code == HF_ERR_OK) {
        code = refuse_history(import.outside, directory, &error);
    }
    if (code == HF_ERR_OK) {
        code = import_into(&import, &lines, &error);
    }
    hf_lines_close(&lines);
    if (import.log != NULL) {
        import.log->driver->close(import.log);
    }
    hf_buffer_release(&import.payload);
    hf_buffer_release(&import.record);
    hf_buffer_release(&import.body);
    hf_arena_release(&import.arena);
    hf_state_release(&import.state);
    hf_outside_linux_free(import.outside);
    return code == HF_ERR_OK ? print_result(&import) : hf_cli_fail(cli, &error);
}
