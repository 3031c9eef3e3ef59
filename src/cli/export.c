/* holdfast export DIR [FILE]: every commit of the log as a line of JSON. */
#include <errno.h>
#include <unistd.h>

#include "base/time_text.h"
#include "cli/base64.h"
#include "cli/cli.h"
#include "cli/walk.h"

#define PROGRESS_EVERY 1024u /* commits */

static void put_base64(struct hf_json_writer *w, const char *name, const void *data,
                       size_t size_bytes)
{
    hf_json_put_raw(w, name, HF_STR("\""));
    hf_base64_encode(w->to, data, size_bytes);
    hf_buffer_u8(w->to, '"');
}

/* One line; the record and payload alone bring everything back, the rest is for readers. */
static void write_commit(struct hf_buffer *out, const struct hf_walk *walk)
{
    const struct hf_commit *commit = &walk->commit;
    struct hf_json_writer w = hf_json_writer_over(out);
    hf_json_begin_object(&w, NULL);
    hf_json_put_number(&w, "position", commit->position);
    hf_json_put_time(&w, "time", commit->time_us);
    hf_json_put_number(&w, "space", commit->space);
    if (hf_str_present(commit->principal)) {
        hf_json_put_text(&w, "principal", commit->principal);
    } else {
        hf_json_put_null(&w, "principal");
    }
    if (hf_str_present(commit->key)) {
        hf_json_put_text(&w, "key", commit->key);
    } else {
        hf_json_put_null(&w, "key");
    }
    hf_json_begin_array(&w, "events");
    for (uint32_t i = 0; i < commit->event_count; i++) {
        hf_json_put_text(&w, NULL, hf_str_from(hf_event_wire(commit->events[i]->type)));
    }
    hf_json_end_array(&w);
    hf_cli_put_hash(&w, "hash", &walk->head.hash);
    put_base64(&w, "record", walk->frame.record, walk->frame.record_bytes);
    put_base64(&w, "payload", walk->frame.payload, walk->frame.payload_bytes);
    hf_json_end_object(&w);
    hf_buffer_u8(out, '\n');
}

/* NULL: standard output. */
static const char *path_of(const struct hf_cli *cli)
{
    const char *path = cli->operands[1];
    return path == NULL || strcmp(path, "-") == 0 ? NULL : path;
}

static enum hf_err write_all(struct hf_walk *walk, FILE *to, struct hf_cli_progress *progress,
                             struct hf_error *error)
{
    struct hf_buffer line;
    hf_buffer_init(&line);
    enum hf_err code;
    while ((code = hf_walk_next(walk, error)) == HF_ERR_OK && !walk->end) {
        hf_buffer_clear(&line);
        write_commit(&line, walk);
        if (line.failed) {
            code = hf_error_set(error, HF_ERR_NO_MEMORY, "export: out of memory");
            break;
        }
        if (fwrite(line.data, 1, line.size_bytes, to) != line.size_bytes) {
            code = hf_error_set(error, HF_ERR_IO, "write: %s", strerror(errno));
            break;
        }
        if (walk->head.position % PROGRESS_EVERY == 0) {
            hf_cli_progress_show(progress, walk->head.position, 0);
        }
    }
    if (code == HF_ERR_OK && (fflush(to) != 0 || (to != stdout && fsync(fileno(to)) != 0))) {
        code = hf_error_set(error, HF_ERR_IO, "write: %s", strerror(errno));
    }
    hf_buffer_release(&line);
    return code;
}

static enum hf_err export_log(struct hf_outside *outside, const struct hf_cli *cli,
                              struct hf_log_head *head, struct hf_error *error)
{
    struct hf_log *log;
    struct hf_walk walk;
    struct hf_cli_progress progress;
    const char *path = path_of(cli);
    enum hf_err code = hf_walk_open_log(outside, cli->operands[0], &log, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    FILE *to = path == NULL ? stdout : fopen(path, "wbe");
    if (to == NULL) {
        log->driver->close(log);
        return hf_error_set(error, HF_ERR_IO, "open %s: %s", path, strerror(errno));
    }
    hf_walk_init(&walk, log);
    hf_cli_progress_init(&progress, "export: commit");
    if (hf_walk_is_owned(cli->operands[0])) {
        code = hf_walk_limit(&walk, error);
    }
    if (code == HF_ERR_OK) {
        code = write_all(&walk, to, &progress, error);
    }
    hf_cli_progress_end(&progress);
    *head = walk.head;
    hf_walk_release(&walk);
    if (to != stdout && fclose(to) != 0 && code == HF_ERR_OK) {
        code = hf_error_set(error, HF_ERR_IO, "write %s: %s", path, strerror(errno));
    }
    log->driver->close(log);
    return code;
}

static int print_summary(const struct hf_cli *cli, const struct hf_log_head *head)
{
    struct hf_buffer out;
    hf_buffer_init(&out);
    if (cli->json) {
        struct hf_json_writer w = hf_json_writer_over(&out);
        hf_json_begin_object(&w, NULL);
        hf_json_put_number(&w, "position", head->position);
        hf_cli_put_hash(&w, "hash", &head->hash);
        hf_json_end_object(&w);
    } else {
        char hash[2 * HF_SHA256_BYTES + 1];
        hf_hash_hex(&head->hash, hash);
        hf_buffer_format(&out, "%llu commits exported, head hash %s\n",
                         (unsigned long long)head->position, hash);
    }
    return hf_cli_print(cli, &out, HF_EXIT_OK);
}

int hf_cli_export(int argc, char **argv)
{
    struct hf_cli cli = {
        .name = "export",
        .operands_help = "DIR [FILE]",
        .help =
            "Writes every commit of the data directory DIR to FILE or standard output (also for "
            "-), a line\n"
            "of JSON each: position, time, principal, key, the types of its events, the hash of "
            "the\n"
            "chain behind it, and the stored bytes (record, payload) in base64. Every line is "
            "checked\n"
            "as it is written. `holdfast import events` makes the same history of it again. Only "
            "reads.",
        .operands_min = 1,
        .operands_max = 2,
    };
    int status = hf_cli_parse(&cli, argc, argv);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    struct hf_error error = {0};
    struct hf_log_head head = {0};
    struct hf_outside *outside = hf_outside_linux_new();
    if (outside == NULL) {
        (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
        return hf_cli_fail(&cli, &error);
    }
    enum hf_err code = export_log(outside, &cli, &head, &error);
    hf_outside_linux_free(outside);
    if (code != HF_ERR_OK) {
        return hf_cli_fail(&cli, &error);
    }
    return path_of(&cli) == NULL ? HF_EXIT_OK : print_summary(&cli, &head);
}
