/*
 * A text file, line by line.
 *
 * Owns: the file and what was read of it. Must never: hand out a piece of a line as a line.
 * Called by: import, demo.
 */
#ifndef HF_CLI_LINES_H
#define HF_CLI_LINES_H

#include "base/buffer.h"
#include "base/errors.h"

#define HF_LINE_BYTES_MAX (64u << 20) /* longer is an error */

struct hf_lines {
    FILE *file;              /* owned unless it is standard input */
    const char *path;        /* borrowed; "-" = standard input */
    struct hf_buffer buffer; /* read and not yet handed out: from `at` on */
    size_t at;               /* first byte not handed out */
    uint64_t number;         /* of the line handed out last; 1 = the first */
    bool ended;              /* the last line had a line end */
    bool end;                /* nothing more can be read */
};

enum hf_err hf_lines_open(struct hf_lines *lines, const char *path,
                          struct hf_error *error) HF_WARN_UNUSED;
void hf_lines_close(struct hf_lines *lines);
/* *line without its line end (lines->ended says whether there was one; a carriage return stays), until
 * the next call; absent at the end of the file. */
enum hf_err hf_lines_next(struct hf_lines *lines, struct hf_str *line,
                          struct hf_error *error) HF_WARN_UNUSED;

#endif
