#include "cli/lines.h"

#include <errno.h>

#define READ_BYTES (1u << 20)

enum hf_err hf_lines_open(struct hf_lines *lines, const char *path, struct hf_error *error)
{
    *lines = (struct hf_lines){.path = path};
    hf_buffer_init(&lines->buffer);
    lines->file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
    if (lines->file == NULL) {
        return hf_error_set(error, errno == ENOENT ? HF_ERR_NOT_FOUND : HF_ERR_IO, "open %s: %s",
                            path, strerror(errno));
    }
    return HF_ERR_OK;
}

void hf_lines_close(struct hf_lines *lines)
{
    if (lines->file != NULL && lines->file != stdin) {
        (void)fclose(lines->file);
    }
    hf_buffer_release(&lines->buffer);
}

/* Moves what is left to the beginning and reads behind it. */
static enum hf_err read_more(struct hf_lines *lines, struct hf_error *error)
{
    struct hf_buffer *buffer = &lines->buffer;
    size_t left = buffer->size_bytes - lines->at;
    if (lines->at > 0 && buffer->data != NULL) {
        memmove(buffer->data, buffer->data + lines->at, left);
        buffer->size_bytes = left;
        lines->at = 0;
    }
    if (left > HF_LINE_BYTES_MAX) {
        return hf_error_set(error, HF_ERR_TOO_LARGE, "%s, line %llu: longer than %u bytes",
                            lines->path, (unsigned long long)lines->number + 1, HF_LINE_BYTES_MAX);
    }
    uint8_t *room = hf_buffer_extend(buffer, READ_BYTES);
    if (room == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "read %s: out of memory", lines->path);
    }
    size_t got = fread(room, 1, READ_BYTES, lines->file);
    buffer->size_bytes = left + got;
    if (ferror(lines->file) != 0) {
        return hf_error_set(error, HF_ERR_IO, "read %s: %s", lines->path, strerror(errno));
    }
    lines->end = got < READ_BYTES;
    return HF_ERR_OK;
}

enum hf_err hf_lines_next(struct hf_lines *lines, struct hf_str *line, struct hf_error *error)
{
    *line = HF_STR_NONE;
    size_t searched = 0;
    for (;;) {
        size_t left = lines->buffer.size_bytes - lines->at;
        const char *begin = left == 0 ? NULL : (const char *)lines->buffer.data + lines->at;
        const char *found = begin == NULL || left == searched
                                ? NULL
                                : memchr(begin + searched, '\n', left - searched);
        if (found != NULL || (lines->end && left > 0)) {
            size_t length = found == NULL ? left : (size_t)(found - begin);
            *line = (struct hf_str){begin, length};
            lines->at += length + (found != NULL);
            lines->ended = found != NULL;
            lines->number++;
            return HF_ERR_OK;
        }
        if (lines->end) {
            return HF_ERR_OK;
        }
        searched = left;
        enum hf_err code = read_more(lines, error);
        if (code != HF_ERR_OK) {
            return code;
        }
    }
}
