/*
 * The command line: what every command shares.
 *
 * Owns: the parsing of arguments, exit statuses, how errors and JSON are printed, progress. Must
 * never: touch a data directory itself (commands do, through the library or the log's driver).
 * Called by: main and the commands, one file each.
 *
 * 1. Standard output holds the answer and nothing else: text, or one JSON value with --json.
 * 2. Standard error holds what is for people: errors, and progress if it is a terminal.
 * 3. Exit status: 0 done · 1 the answer is no (refused, damaged, not equal) · 2 wrong usage ·
 *    3 the environment failed (a file, the disk, memory, the directory is owned by another).
 */
#ifndef HF_CLI_CLI_H
#define HF_CLI_CLI_H

#include "api/json_write.h"
#include "base/buffer.h"
#include "base/errors.h"
#include "base/sha256.h"
#include "base/u128.h"

enum hf_exit {
    HF_EXIT_OK = 0,
    HF_EXIT_NO = 1,
    HF_EXIT_USAGE = 2,
    HF_EXIT_ENVIRONMENT = 3,
};

#define HF_CLI_GO_ON        (-1) /* of hf_cli_parse: no exit status yet */
#define HF_CLI_OPERANDS_MAX 16
#define HF_CLI_TEXTS_MAX    32 /* of an option that may be given several times */

struct hf_cli_texts {
    const char *items[HF_CLI_TEXTS_MAX]; /* in the order they were given */
    size_t count;                        /* of items */
};

/* Exactly one of flag, text, number and texts is set. */
struct hf_cli_option {
    const char *name;           /* without the dashes */
    const char *argument;       /* what to call it in the help; NULL for a flag */
    const char *help;           /* one line */
    bool *flag;                 /* set to true */
    const char **text;          /* set to the argument */
    uint64_t *number;           /* set to the argument, decimal digits */
    struct hf_cli_texts *texts; /* the argument is added; the option may be repeated */
};

struct hf_cli {
    /* Set by the command. */
    const char *name;                    /* "verify" */
    const char *operands_help;           /* "DIR" */
    const char *help;                    /* some lines */
    const struct hf_cli_option *options; /* besides --help and --json */
    size_t option_count;
    int operands_min, operands_max;
    /* Set by hf_cli_parse. */
    bool json;                                 /* --json was given */
    const char *operands[HF_CLI_OPERANDS_MAX]; /* NULL behind the last one */
    int operand_count;
    uint64_t given; /* bit i: options[i] was given */
};

/* argv[0] is the command's name. HF_CLI_GO_ON, or the exit status (help was printed, or it was wrong). */
int hf_cli_parse(struct hf_cli *cli, int argc, char **argv);

/* Gives an option its argument (NULL for a flag). false: it takes a number, or has been repeated too often; *why,
 * static, says so. */
bool hf_cli_set(const struct hf_cli_option *option, const char *argument, const char **why);

/* "holdfast verify: text" on standard error, as JSON on standard output too if wanted.
 * Returns HF_EXIT_ENVIRONMENT. */
int hf_cli_fail(const struct hf_cli *cli, const struct hf_error *error);
/* Wrong usage in words, with a hint at --help. Returns HF_EXIT_USAGE. */
int hf_cli_usage(const struct hf_cli *cli, const char *format, ...) HF_PRINTF(2, 3);

void hf_cli_put_hash(struct hf_json_writer *w, const char *name, const struct hf_hash *hash);

/* Writes all and a line end to standard output, and releases the buffer. `status`, or
 * HF_EXIT_ENVIRONMENT if memory was short or the output is closed. */
int hf_cli_print(const struct hf_cli *cli, struct hf_buffer *out, int status);

/* A line on standard error that is written over itself; silent if that is no terminal. */
struct hf_cli_progress {
    const char *what;  /* "verify: commits" */
    bool terminal;     /* standard error is one */
    unsigned permille; /* shown last */
    bool shown;        /* a line stands there */
};
void hf_cli_progress_init(struct hf_cli_progress *progress, const char *what);
/* Fits the library's and the node's progress functions; context is the struct; total 0 = unknown. */
void hf_cli_progress_show(void *context, uint64_t done, uint64_t total);
void hf_cli_progress_end(struct hf_cli_progress *progress);

/* A whole file, or standard input for "-". The error says which. */
enum hf_err hf_cli_read_file(const char *path, size_t bytes_max, struct hf_buffer *out,
                             struct hf_error *error);

/* path, from the root on; it need not be there. LIMIT: too long. */
enum hf_err hf_cli_absolute(const char *path, char *absolute, size_t size_bytes,
                            struct hf_error *error);

/* The commands: argv[0] is their name. */
int hf_cli_verify(int argc, char **argv);
int hf_cli_export(int argc, char **argv);
int hf_cli_import(int argc, char **argv);
int hf_cli_commit(int argc, char **argv);
int hf_cli_get(int argc, char **argv);
int hf_cli_status(int argc, char **argv);
int hf_cli_token(int argc, char **argv);
int hf_cli_demo(int argc, char **argv);
int hf_cli_serve(int argc, char **argv);
int hf_cli_backup(int argc, char **argv);
int hf_cli_restore(int argc, char **argv);
int hf_cli_compact(int argc, char **argv);
int hf_cli_relay(int argc, char **argv);
int hf_cli_feed(int argc, char **argv);
int hf_cli_bench(int argc, char **argv);

#endif
