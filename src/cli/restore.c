/* holdfast restore IN DIR: a backup into an empty directory, up to a position or a time. */
#include "base/time_text.h"
#include "cli/backup_file.h"
#include "cli/cli.h"
#include "cli/history.h"
#include "cli/verify.h"

#define PROGRESS_EVERY 1024u /* commits */

struct restore {
    const struct hf_cli *cli;
    uint64_t to_position;      /* UINT64_MAX: all */
    uint64_t to_time_us;       /* UINT64_MAX: all */
    struct hf_history history; /* being written */
    struct hf_log_head source; /* behind the last batch read */
    uint64_t last_time_us;     /* of the last commit restored */
    bool done;                 /* the wanted point was reached */
    struct hf_arena arena;     /* of the commit */
};

/* Each commit of a batch up to the wanted point. */
static enum hf_err take_commits(struct restore *restore, const struct hf_log_batch *batch,
                                struct hf_error *error)
{
    size_t at = 0;
    struct hf_commit_frame frame;
    enum hf_err code = HF_ERR_OK;
    while (code == HF_ERR_OK && !restore->done &&
           hf_commit_frame_next(batch->body, batch->body_bytes, &at, &frame)) {
        struct hf_commit commit;
        hf_arena_clear(&restore->arena);
        code = hf_commit_decode(frame.record, frame.record_bytes, frame.payload,
                                frame.payload_bytes, &restore->arena, &commit, error);
        if (code != HF_ERR_OK) {
            break;
        }
        restore->done =
            commit.position > restore->to_position || commit.time_us > restore->to_time_us;
        if (!restore->done) {
            code = hf_history_add(&restore->history, &frame, &commit, error);
            restore->last_time_us = commit.time_us;
        }
    }
    return code;
}

/* Every batch is checked, also those behind the wanted point: a damaged backup is told as such. */
static enum hf_err take_batch(struct restore *restore, const struct hf_log_batch *batch,
                              struct hf_error *error)
{
    struct hf_log_head *source = &restore->source;
    if (batch->seq != source->seq + 1 || batch->first_position != source->position + 1 ||
        batch->epoch < source->epoch || !hf_hash_equal(&batch->hash_before, &source->hash) ||
        !hf_log_batch_chain_ok(batch)) {
        return hf_error_set(error, HF_ERR_CORRUPT, "batch %llu does not follow the one before it",
                            (unsigned long long)batch->seq);
    }
    source->seq = batch->seq;
    source->epoch = batch->epoch;
    source->position += batch->commit_count;
    source->hash = batch->hash_after;
    return take_commits(restore, batch, error);
}

static enum hf_err check_end(const struct restore *restore, const struct hf_backup_end *end,
                             struct hf_error *error)
{
    const struct hf_log_head *source = &restore->source;
    if (end->batches != source->seq || end->commits != source->position ||
        !hf_hash_equal(&end->hash, &source->hash)) {
        return hf_error_set(error, HF_ERR_CORRUPT,
                            "the backup's end does not fit what is before it");
    }
    if (restore->to_position != UINT64_MAX && restore->to_position > end->commits) {
        return hf_error_set(
            error, HF_ERR_NOT_FOUND, "the backup ends with position %llu, %llu is not in it",
            (unsigned long long)end->commits, (unsigned long long)restore->to_position);
    }
    return HF_ERR_OK;
}

static enum hf_err take_all(struct restore *restore, struct hf_backup_file *file,
                            struct hf_error *error)
{
    struct hf_cli_progress progress;
    struct hf_log_batch batch;
    struct hf_backup_end end;
    bool ended = false;
    uint64_t shown = 0;
    enum hf_err code;
    hf_cli_progress_init(&progress, "restore: commit");
    while ((code = hf_backup_next(file, &batch, &ended, &end, error)) == HF_ERR_OK && !ended) {
        code = take_batch(restore, &batch, error);
        if (code != HF_ERR_OK) {
            break;
        }
        if (restore->source.position - shown >= PROGRESS_EVERY) {
            shown = restore->source.position;
            hf_cli_progress_show(&progress, shown, 0);
        }
    }
    hf_cli_progress_end(&progress);
    return code == HF_ERR_OK ? check_end(restore, &end, error) : code;
}

static enum hf_err run(struct restore *restore, const char *path, struct hf_error *error)
{
    struct hf_backup_file file;
    enum hf_err code = hf_backup_open(&file, path, error);
    if (code == HF_ERR_OK) {
        code = hf_history_begin(&restore->history, error);
    }
    if (code == HF_ERR_OK) {
        code = take_all(restore, &file, error);
        if (code == HF_ERR_OK && hf_hash_equal(&restore->history.hash, &(struct hf_hash){0})) {
            code = hf_error_set(error, HF_ERR_NOT_FOUND, "no commit in it is as old as that");
        }
        code = code == HF_ERR_OK ? hf_history_end(&restore->history, error) : code;
        if (code != HF_ERR_OK) {
            (void)hf_error_wrap(error, "%s is not restored, remove it", restore->history.directory);
        }
    }
    hf_backup_close(&file);
    return code;
}

/* The whole proof, over what is on the disk now. */
static enum hf_err prove(struct hf_outside *outside, const char *directory, struct hf_error *error)
{
    struct hf_verify_report report;
    struct hf_cli_progress progress;
    hf_verify_report_init(&report);
    hf_cli_progress_init(&progress, "verify: step");
    enum hf_err code =
        hf_verify(outside, directory, hf_cli_progress_show, &progress, &report, error);
    hf_cli_progress_end(&progress);
    if (code == HF_ERR_OK && report.problem_count > 0) {
        code = hf_error_set(error, HF_ERR_CORRUPT, "%s: %s", directory, report.problems[0]);
    }
    hf_verify_report_release(&report);
    return code;
}

static int print_result(const struct restore *restore)
{
    const struct hf_log_head *head = &restore->history.head;
    struct hf_buffer out;
    hf_buffer_init(&out);
    if (restore->cli->json) {
        struct hf_json_writer w = hf_json_writer_over(&out);
        hf_json_begin_object(&w, NULL);
        hf_json_put_number(&w, "position", head->position);
        hf_json_put_time(&w, "time", restore->last_time_us);
        hf_cli_put_hash(&w, "hash", &head->hash);
        hf_json_put_number(&w, "backup_position", restore->source.position);
        hf_json_put_bool(&w, "verified", true);
        hf_json_end_object(&w);
    } else {
        char hash[2 * HF_SHA256_BYTES + 1];
        char time[HF_TIME_TEXT_BYTES];
        hf_hash_hex(&head->hash, hash);
        hf_time_format(restore->last_time_us, time);
        hf_buffer_format(&out, "%llu of %llu commits restored, to %s, head hash %s, verify ok\n",
                         (unsigned long long)head->position,
                         (unsigned long long)restore->source.position, time, hash);
    }
    return hf_cli_print(restore->cli, &out, HF_EXIT_OK);
}

static int restore_all(struct restore *restore)
{
    struct hf_error error = {0};
    struct hf_outside *outside = hf_outside_linux_new();
    if (outside == NULL) {
        (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
        return hf_cli_fail(restore->cli, &error);
    }
    const char *directory = restore->cli->operands[1];
    hf_arena_init(&restore->arena);
    hf_history_init(&restore->history, outside, directory, "holdfast restore");
    enum hf_err code = run(restore, restore->cli->operands[0], &error);
    hf_history_release(&restore->history);
    hf_arena_release(&restore->arena);
    code = code == HF_ERR_OK ? prove(outside, directory, &error) : code;
    hf_outside_linux_free(outside);
    if (code == HF_ERR_OK) {
        return print_result(restore);
    }
    int status = hf_cli_fail(restore->cli, &error);
    return code == HF_ERR_CORRUPT ? HF_EXIT_NO : status;
}

int hf_cli_restore(int argc, char **argv)
{
    struct restore restore = {.to_position = UINT64_MAX, .to_time_us = UINT64_MAX};
    const char *to_time = NULL;
    const struct hf_cli_option table[] = {
        {"to-position", "N", "the commits up to this position only",
         .number = &restore.to_position},
        {"to-time", "TIME", "the commits up to this time only (2026-01-31T17:00:00Z)",
         .text = &to_time},
    };
    struct hf_cli cli = {
        .name = "restore",
        .operands_help = "IN DIR",
        .help = "Brings the backup IN (- is standard input) into the directory DIR, which must "
                "hold no\n"
                "commits yet: the same positions, times and hashes. Everything is checked on the "
                "way, and\n"
                "at the end DIR is verified from zero. The next owner of DIR begins with an epoch "
                "above\n"
                "all that were restored. The tokens file is not part of a backup.",
        .options = table,
        .option_count = HF_ARRAY_COUNT(table),
        .operands_min = 2,
        .operands_max = 2,
    };
    int status = hf_cli_parse(&cli, argc, argv);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (to_time != NULL && !hf_time_parse(hf_str_from(to_time), &restore.to_time_us)) {
        return hf_cli_usage(&cli, "--to-time takes a time like 2026-01-31T17:00:00Z, not %s",
                            to_time);
    }
    restore.cli = &cli;
    return restore_all(&restore);
}
