/* What commands print: errors, JSON members, progress; and the files that users name. */
#include <errno.h>
#include <unistd.h>

#include "cli/cli.h"

#define READ_STEP_BYTES 65536u

void hf_cli_put_hash(struct hf_json_writer *w, const char *name, const struct hf_hash *hash)
{
    char text[2 * HF_SHA256_BYTES + 1];
    hf_hash_hex(hash, text);
    hf_json_put_text(w, name, hf_str_from(text));
}

int hf_cli_print(const struct hf_cli *cli, struct hf_buffer *out, int status)
{
    bool whole = !out->failed;
    if (whole && out->size_bytes > 0) {
        (void)fwrite(out->data, 1, out->size_bytes, stdout);
        if (out->data[out->size_bytes - 1] != '\n') {
            (void)fputc('\n', stdout);
        }
    }
    hf_buffer_release(out);
    if (!whole || fflush(stdout) != 0 || ferror(stdout) != 0) {
        (void)fprintf(stderr, "holdfast %s: the output could not be written\n", cli->name);
        return HF_EXIT_ENVIRONMENT;
    }
    return status;
}

int hf_cli_fail(const struct hf_cli *cli, const struct hf_error *error)
{
    (void)fprintf(stderr, "holdfast %s: %s\n", cli->name, error->text);
    if (cli->json) {
        struct hf_buffer out;
        hf_buffer_init(&out);
        struct hf_json_writer w = hf_json_writer_over(&out);
        hf_json_begin_object(&w, NULL);
        hf_json_put_text(&w, "error", hf_str_from(hf_err_wire(error->code)));
        hf_json_put_text(&w, "text", hf_str_from(error->text));
        hf_json_end_object(&w);
        (void)hf_cli_print(cli, &out, HF_EXIT_ENVIRONMENT);
    }
    return HF_EXIT_ENVIRONMENT;
}

void hf_cli_progress_init(struct hf_cli_progress *progress, const char *what)
{
    *progress = (struct hf_cli_progress){.what = what, .terminal = isatty(STDERR_FILENO) == 1};
}

void hf_cli_progress_show(void *context, uint64_t done, uint64_t total)
{
    struct hf_cli_progress *progress = context;
    if (!progress->terminal) {
        return;
    }
    unsigned permille = total == 0 ? (unsigned)(done / 1000 % 1000)
                                   : (unsigned)((hf_u128)hf_min_u64(done, total) * 1000 / total);
    if (progress->shown && permille == progress->permille) {
        return;
    }
    progress->shown = true;
    progress->permille = permille;
    if (total == 0) {
        (void)fprintf(stderr, "\r%s %llu", progress->what, (unsigned long long)done);
    } else {
        (void)fprintf(stderr, "\r%s %llu of %llu (%u%%)", progress->what, (unsigned long long)done,
                      (unsigned long long)total, permille / 10);
    }
    (void)fflush(stderr);
}

void hf_cli_progress_end(struct hf_cli_progress *progress)
{
    if (progress->shown) {
        (void)fprintf(stderr, "\r\033[K");
        progress->shown = false;
    }
}

enum hf_err hf_cli_absolute(const char *path, char *absolute, size_t size_bytes,
                            struct hf_error *error)
{
    char here[4096] = "";
    if (path[0] != '/' && getcwd(here, sizeof(here)) == NULL) {
        return hf_error_set(error, HF_ERR_IO, "the current directory: %s", strerror(errno));
    }
    int used = snprintf(absolute, size_bytes, "%s%s%s", here, here[0] == '\0' ? "" : "/", path);
    return used > 0 && (size_t)used < size_bytes
               ? HF_ERR_OK
               : hf_error_set(error, HF_ERR_LIMIT, "%s: the path is too long", path);
}

static enum hf_err read_all(FILE *file, const char *path, size_t bytes_max, struct hf_buffer *out,
                            struct hf_error *error)
{
    for (;;) {
        if (out->size_bytes > bytes_max) {
            return hf_error_set(error, HF_ERR_TOO_LARGE, "%s: more than %zu bytes", path,
                                bytes_max);
        }
        size_t before = out->size_bytes;
        uint8_t *room = hf_buffer_extend(out, READ_STEP_BYTES);
        if (room == NULL) {
            return hf_error_set(error, HF_ERR_NO_MEMORY, "read %s: out of memory", path);
        }
        errno = 0;
        size_t got = fread(room, 1, READ_STEP_BYTES, file);
        out->size_bytes = before + got;
        if (ferror(file) != 0) {
            return hf_error_set(error, HF_ERR_IO, "read %s: %s", path, strerror(errno));
        }
        if (got < READ_STEP_BYTES) {
            return out->size_bytes > bytes_max
                       ? hf_error_set(error, HF_ERR_TOO_LARGE, "%s: more than %zu bytes", path,
                                      bytes_max)
                       : HF_ERR_OK;
        }
    }
}

enum hf_err hf_cli_read_file(const char *path, size_t bytes_max, struct hf_buffer *out,
                             struct hf_error *error)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rbe");
    if (file == NULL) {
        return hf_error_set(error, errno == ENOENT ? HF_ERR_NOT_FOUND : HF_ERR_IO, "open %s: %s",
                            path, strerror(errno));
    }
    enum hf_err code = read_all(file, standard ? "standard input" : path, bytes_max, out, error);
    if (!standard) {
        (void)fclose(file);
    }
    return code;
}
