/*
 * What `holdfast import` brings in, one file each.
 *
 * Called by: import.c. Each returns the exit status.
 */
#ifndef HF_CLI_IMPORT_H
#define HF_CLI_IMPORT_H

#include "cli/remote.h"

#define HF_IMPORT_WORKERS_MAX 64

struct hf_import_options {
    const char *principal; /* into a directory; NULL = "local" */
    const char *floor;     /* bank: of the customers' accounts; NULL = none */
    bool stop_on_error;    /* commits: the first bad line ends it */
    uint64_t workers;      /* to a server: requests at once */
};

/* ---- lines of commits, to a directory or a server ---- */

/* A line's parts. */
struct hf_import_line {
    struct hf_str key;    /* or absent */
    struct hf_str commit; /* the whole line, or its member "commit" */
};

/* {"key":…,"commit":{…}}, or anything else, which is taken for a commit. */
enum hf_err hf_import_split(struct hf_str text, struct hf_arena *arena, struct hf_import_line *line,
                            struct hf_error *error);

/* What came of the lines. */
struct hf_import_tally {
    const struct hf_cli *cli;
    uint64_t accepted, refused, malformed, replayed;
    struct hf_buffer report; /* bad and refused lines: text, or items of a JSON array */
};

/* A bad or refused line goes into the report. */
void hf_import_note(struct hf_import_tally *tally, uint64_t number, const char *code,
                    const char *text);
/* Prints the counts and the report. The exit status. */
int hf_import_print(struct hf_import_tally *tally);

int hf_import_events(const struct hf_cli *cli, const char *path, const char *directory);
int hf_import_commits(const struct hf_cli *cli, const struct hf_import_options *options,
                      const char *path, const char *directory);
int hf_import_commits_to_server(const struct hf_cli *cli, const struct hf_import_options *options,
                                const char *path, const struct hf_remote_values *values);
int hf_import_bank(const struct hf_cli *cli, const struct hf_import_options *options,
                   const char *path, const char *directory);

int hf_import_bank_to_server(const struct hf_cli *cli, const struct hf_import_options *options,
                             const char *path, const struct hf_remote_values *values);

#endif
