/* holdfast backup --data DIR OUT: a consistent prefix of the log, beside its living owner. */
#include <errno.h>
#include <unistd.h>

#include "base/time_text.h"
#include "cli/backup_file.h"
#include "cli/cli.h"
#include "cli/walk.h"

#define PROGRESS_EVERY 1024u /* commits */
#define PATH_BYTES     4096

/*
 * What is read may have been written by the owner a moment ago and not be synced yet. A sync of our own makes
 * it durable there, too, so that a backup never holds what its source could still lose. Earlier segments
 * were synced before the last one was begun.
 */
struct last_segment {
    char name[64]; /* the greatest "*.log"; names have one length */
};

static void take_name(void *context, struct hf_str name)
{
    struct last_segment *last = context;
    if (name.len > 4 && name.len < sizeof(last->name) &&
        memcmp(name.ptr + name.len - 4, ".log", 4) == 0) {
        memcpy(last->name, name.ptr, name.len);
        last->name[name.len] = '\0';
    }
}

static enum hf_err sync_source(struct hf_outside *outside, const char *directory,
                               struct hf_error *error)
{
    char path[PATH_BYTES];
    struct last_segment last = {.name = ""};
    struct hf_file *file;
    int used = snprintf(path, sizeof(path), "%s/log", directory);
    if (used < 0 || (size_t)used >= sizeof(path) - sizeof(last.name)) {
        return hf_error_set(error, HF_ERR_LIMIT, "the data directory's path is too long");
    }
    enum hf_err code = outside->list(outside, path, take_name, &last, error);
    if (code != HF_ERR_OK || last.name[0] == '\0') {
        return code;
    }
    (void)snprintf(path + used, sizeof(path) - (size_t)used, "/%s", last.name);
    code = outside->open(outside, path, HF_OPEN_READ, &file, error);
    if (code == HF_ERR_OK) {
        code = outside->sync(outside, file, error);
        outside->close(outside, file);
    }
    return code;
}

/* Every commit is checked, its batch written when its last commit was. */
static enum hf_err copy(struct hf_walk *walk, struct hf_backup_file *backup,
                        struct hf_backup_end *end, struct hf_error *error)
{
    struct hf_cli_progress progress;
    enum hf_err code;
    hf_cli_progress_init(&progress, "backup: commit");
    while ((code = hf_walk_next(walk, error)) == HF_ERR_OK && !walk->end) {
        end->time_us = walk->commit.time_us;
        code = hf_commit_verify_texts(&walk->commit, error);
        if (code == HF_ERR_OK && walk->batch_left == 0) {
            code = hf_backup_put(backup, &walk->batch, error);
        }
        if (code != HF_ERR_OK) {
            break;
        }
        if (walk->head.position % PROGRESS_EVERY == 0) {
            hf_cli_progress_show(&progress, walk->head.position, walk->limit);
        }
    }
    hf_cli_progress_end(&progress);
    end->batches = walk->head.seq;
    end->commits = walk->head.position;
    end->hash = walk->head.hash;
    return code;
}

/* The parent directory's entry of a new file must last, too. */
static enum hf_err sync_parent(struct hf_outside *outside, const char *path, struct hf_error *error)
{
    char parent[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    (void)snprintf(parent, sizeof(parent), "%.*s", (int)length, slash == NULL ? "." : path);
    return outside->sync_directory(outside, parent, error);
}

struct backup {
    struct hf_outside *outside;
    const char *directory;
    const char *path;           /* "-": standard output */
    char partial[PATH_BYTES];   /* what is written until it is whole; or "-" */
    struct hf_backup_file file; /* being written */
    struct hf_backup_end end;   /* of it */
};

static enum hf_err write_backup(struct backup *backup, struct hf_walk *walk, struct hf_error *error)
{
    struct hf_outside *outside = backup->outside;
    enum hf_err code = hf_walk_is_owned(backup->directory) ? hf_walk_limit(walk, error) : HF_ERR_OK;
    if (code == HF_ERR_OK) {
        code = hf_backup_create(&backup->file, backup->partial, outside->wall_us(outside), error);
    }
    if (code == HF_ERR_EXISTS) {
        return hf_error_wrap(error, "of a backup that was broken off, or is under way: remove it");
    }
    code = code == HF_ERR_OK ? copy(walk, &backup->file, &backup->end, error) : code;
    if (code == HF_ERR_OK && backup->end.commits == 0) {
        code = hf_error_set(error, HF_ERR_NOT_FOUND, "%s holds no commits", backup->directory);
    }
    code = code == HF_ERR_OK ? sync_source(outside, backup->directory, error) : code;
    code = code == HF_ERR_OK ? hf_backup_finish(&backup->file, &backup->end, error) : code;
    hf_backup_close(&backup->file);
    return code;
}

static enum hf_err make_backup(struct backup *backup, struct hf_error *error)
{
    struct hf_log *log;
    struct hf_walk walk;
    bool standard = strcmp(backup->path, "-") == 0;
    int used = snprintf(backup->partial, sizeof(backup->partial), standard ? "%s" : "%s.partial",
                        backup->path);
    if (used < 0 || (size_t)used >= sizeof(backup->partial)) {
        return hf_error_set(error, HF_ERR_LIMIT, "the backup's path is too long");
    }
    if (!standard && access(backup->path, F_OK) == 0) {
        return hf_error_set(error, HF_ERR_EXISTS, "%s exists", backup->path);
    }
    enum hf_err code = hf_walk_open_log(backup->outside, backup->directory, &log, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    hf_walk_init(&walk, log);
    code = write_backup(backup, &walk, error);
    hf_walk_release(&walk);
    log->driver->close(log);
    if (standard || code == HF_ERR_EXISTS) {
        return code;
    }
    if (code == HF_ERR_OK) {
        code = backup->outside->rename(backup->outside, backup->partial, backup->path, error);
        return code == HF_ERR_OK ? sync_parent(backup->outside, backup->path, error) : code;
    }
    (void)unlink(backup->partial);
    return code;
}

static int print_result(const struct hf_cli *cli, const struct backup *backup)
{
    struct hf_buffer out;
    hf_buffer_init(&out);
    if (strcmp(backup->path, "-") == 0) {
        return HF_EXIT_OK; /* standard output is the backup itself */
    }
    if (cli->json) {
        struct hf_json_writer w = hf_json_writer_over(&out);
        hf_json_begin_object(&w, NULL);
        hf_json_put_number(&w, "position", backup->end.commits);
        hf_json_put_time(&w, "time", backup->end.time_us);
        hf_cli_put_hash(&w, "hash", &backup->end.hash);
        hf_json_put_number(&w, "bytes", backup->file.size_bytes);
        hf_json_end_object(&w);
    } else {
        char hash[2 * HF_SHA256_BYTES + 1];
        char time[HF_TIME_TEXT_BYTES];
        hf_hash_hex(&backup->end.hash, hash);
        hf_time_format(backup->end.time_us, time);
        hf_buffer_format(&out, "%llu commits to %s in %s, %llu bytes, head hash %s\n",
                         (unsigned long long)backup->end.commits, time, backup->path,
                         (unsigned long long)backup->file.size_bytes, hash);
    }
    return hf_cli_print(cli, &out, HF_EXIT_OK);
}

int hf_cli_backup(int argc, char **argv)
{
    const char *directory = NULL;
    const struct hf_cli_option table[] = {
        {"data", "DIR", "the data directory", .text = &directory},
    };
    struct hf_cli cli = {
        .name = "backup",
        .operands_help = "OUT",
        .help = "Writes everything that is in the log of DIR now to the new file OUT (- is "
                "standard output),\n"
                "while its owner goes on. Every checksum, the hash chain and every text are "
                "checked as they\n"
                "are copied; OUT has its name only once it is whole and durable. The tokens file "
                "is not in "
                "it.\n"
                "holdfast restore brings it back, up to any position or time.",
        .options = table,
        .option_count = HF_ARRAY_COUNT(table),
        .operands_min = 1,
        .operands_max = 1,
    };
    int status = hf_cli_parse(&cli, argc, argv);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (directory == NULL) {
        return hf_cli_usage(&cli, "--data DIR is needed");
    }
    struct hf_error error = {0};
    struct backup backup = {.directory = directory, .path = cli.operands[0]};
    backup.outside = hf_outside_linux_new();
    if (backup.outside == NULL) {
        (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
        return hf_cli_fail(&cli, &error);
    }
    enum hf_err code = make_backup(&backup, &error);
    hf_outside_linux_free(backup.outside);
    return code == HF_ERR_OK ? print_result(&cli, &backup) : hf_cli_fail(&cli, &error);
}
