/* holdfast compact DIR: sealed segments of the log compressed and archived by hand, while nobody owns the directory. */
#include "api/log_json.h"
#include "base/alloc.h"
#include "cli/walk.h"
#include "log/log_keep.h"
#include "cli/cli.h"
#include "store/checkpoint.h"

#define PATH_BYTES 4096

struct compact {
    uint64_t compress_after, archive_after; /* options */
    const char *archive;                    /* option; NULL */
    char archive_path[PATH_BYTES];          /* the same, absolute */
    struct hf_cli_progress progress;        /* on a terminal */
    uint64_t done_bytes, total_bytes;       /* read and written; about how many there will be */
    struct hf_log_kept kept;                /* what was done */
    struct hf_log_bytes bytes;              /* what there is afterwards */
};

static bool show(void *context, uint64_t bytes)
{
    struct compact *compact = context;
    compact->done_bytes += bytes;
    hf_cli_progress_show(&compact->progress, compact->done_bytes >> 20, compact->total_bytes >> 20);
    return true;
}

/* Of the newest stored checkpoint; 0: there is none. */
static enum hf_err checkpoint_position(struct hf_outside *outside, const char *directory,
                                       uint64_t *position, struct hf_error *error)
{
    uint64_t *positions;
    size_t count;
    enum hf_err code = hf_checkpoint_list(outside, directory, &positions, &count, error);
    *position = code == HF_ERR_OK && count > 0 ? positions[0] : 0;
    hf_free(positions);
    return code;
}

/* The lock is held. */
static enum hf_err work(struct hf_outside *outside, const char *directory, struct compact *compact,
                        struct hf_error *error)
{
    struct hf_log *log;
    struct hf_log_keep_policy policy = {
        .compress_after = compact->compress_after,
        .archive_after = compact->archive_after,
        .archive = compact->archive == NULL ? NULL : compact->archive_path,
        .archive_moved = true,
    };
    struct hf_log_work shown = {.go_on = show, .context = compact};
    enum hf_err code = checkpoint_position(outside, directory, &policy.position, error);
    if (code == HF_ERR_OK) {
        code = hf_log_bytes(outside, directory, &compact->bytes, error);
    }
    if (code == HF_ERR_OK) {
        code = hf_walk_open_log(outside, directory, &log, error);
    }
    if (code != HF_ERR_OK) {
        return code;
    }
    /* A plain one is read twice and read back; what goes to the archive is copied and read back. */
    compact->total_bytes = 3 * compact->bytes.plain_bytes +
                           (compact->archive == NULL ? 0 : 4 * compact->bytes.compressed_bytes);
    code = hf_log_keep(log, &policy, &shown, &compact->kept, error);
    log->driver->close(log);
    return code == HF_ERR_OK ? hf_log_bytes(outside, directory, &compact->bytes, error) : code;
}

/* A server moves its segments itself, and two at it would remove each other's work. */
static enum hf_err run(const char *directory, struct compact *compact, struct hf_error *error)
{
    struct hf_outside *outside = hf_outside_linux_new();
    if (outside == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    struct hf_log *log;
    struct hf_lock *lock = NULL;
    char path[PATH_BYTES];
    int used = snprintf(path, sizeof(path), "%s/lock", directory);
    enum hf_err code =
        used > 0 && (size_t)used < sizeof(path)
            ? hf_walk_open_log(outside, directory, &log, error)
            : hf_error_set(error, HF_ERR_LIMIT, "%s: the path is too long", directory);
    if (code == HF_ERR_OK) { /* so a lock is not made where there is no log */
        log->driver->close(log);
        code = outside->lock(outside, path, false, &lock, error);
        if (code == HF_ERR_LOCKED) {
            code = hf_error_set(error, code,
                                "%s: another process owns it; a server does this itself with "
                                "--compress-after and --archive",
                                directory);
        }
    }
    if (code == HF_ERR_OK) {
        code = work(outside, directory, compact, error);
        outside->unlock(outside, lock);
    }
    hf_outside_linux_free(outside);
    return code;
}

static void print_json(const struct compact *compact, struct hf_buffer *out)
{
    struct hf_json_writer w = hf_json_writer_over(out);
    const struct hf_log_kept *kept = &compact->kept;
    hf_json_begin_object(&w, NULL);
    hf_json_put_number(&w, "compressed", kept->compressed);
    hf_json_put_number(&w, "from_bytes", kept->from_bytes);
    hf_json_put_number(&w, "to_bytes", kept->to_bytes);
    hf_json_put_number(&w, "archived", kept->archived);
    hf_json_put_number(&w, "followed", kept->followed);
    hf_json_put_log_bytes(&w, "log", &compact->bytes);
    hf_json_end_object(&w);
}

static void print_text(const struct compact *compact, struct hf_buffer *out)
{
    const struct hf_log_kept *kept = &compact->kept;
    const struct hf_log_bytes *bytes = &compact->bytes;
    hf_buffer_format(out, "compressed      %llu segments, %llu bytes to %llu\n",
                     (unsigned long long)kept->compressed, (unsigned long long)kept->from_bytes,
                     (unsigned long long)kept->to_bytes);
    hf_buffer_format(out, "archived        %llu segments", (unsigned long long)kept->archived);
    if (kept->followed > 0) {
        hf_buffer_format(out, "; %llu found again in %s", (unsigned long long)kept->followed,
                         compact->archive_path);
    }
    hf_buffer_format(
        out,
        "\nthe log now     %llu segments plain, %llu bytes; %llu compressed, %llu "
        "bytes; %llu archived, %llu bytes\n",
        (unsigned long long)bytes->plain_segments, (unsigned long long)bytes->plain_bytes,
        (unsigned long long)bytes->compressed_segments, (unsigned long long)bytes->compressed_bytes,
        (unsigned long long)bytes->archived_segments, (unsigned long long)bytes->archived_bytes);
}

int hf_cli_compact(int argc, char **argv)
{
    static struct compact compact; /* too large for a stack; a command runs once */
    const struct hf_cli_option options[] = {
        {"compress-after", "N", "leave the N newest of these segments as they are (0)",
         .number = &compact.compress_after},
        {"archive", "DIRECTORY", "move compressed segments there; one directory for each DIR",
         .text = &compact.archive},
        {"archive-after", "N", "leave the N newest of these segments in DIR (0)",
         .number = &compact.archive_after},
    };
    struct hf_cli cli = {
        .name = "compact",
        .operands_help = "DIR",
        .help = "Compresses the sealed segments of the log in the data directory DIR that a stored "
                "checkpoint\n"
                "covers, and with --archive moves them to another directory, perhaps on another "
                "file system.\n"
                "Everything reads them as before: history, feed, verify, export, backup. Each is "
                "read back\n"
                "whole before the original is removed. Nobody may own DIR; a server does the same "
                "beside its\n"
                "work with --compress-after and --archive. If the archive was moved to another "
                "place, say\n"
                "--archive with the new one.\n\n"
                "Example:\n  holdfast compact /srv/bank --archive=/mnt/cold/bank",
        .options = options,
        .option_count = HF_ARRAY_COUNT(options),
        .operands_min = 1,
        .operands_max = 1,
    };
    int status = hf_cli_parse(&cli, argc, argv);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (compact.archive != NULL && compact.archive[0] == '\0') {
        return hf_cli_usage(&cli, "--archive needs a directory");
    }
    struct hf_error error = {0};
    struct hf_buffer out;
    enum hf_err code = HF_ERR_OK;
    if (compact.archive != NULL) { /* segments remember it, so it has to mean the same everywhere */
        code = hf_cli_absolute(compact.archive, compact.archive_path, sizeof(compact.archive_path),
                               &error);
    }
    hf_cli_progress_init(&compact.progress, "compact: MiB");
    if (code == HF_ERR_OK) {
        code = run(cli.operands[0], &compact, &error);
    }
    hf_cli_progress_end(&compact.progress);
    if (code != HF_ERR_OK) {
        return hf_cli_fail(&cli, &error);
    }
    hf_buffer_init(&out);
    if (cli.json) {
        print_json(&compact, &out);
    } else {
        print_text(&compact, &out);
    }
    return hf_cli_print(&cli, &out, HF_EXIT_OK);
}
