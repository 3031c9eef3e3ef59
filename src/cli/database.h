/*
 * Opening a data directory as its owner, and what can come instead of an answer.
 *
 * Called by: the commands that work through libholdfast.
 */
#ifndef HF_CLI_DATABASE_H
#define HF_CLI_DATABASE_H

#include "cli/cli.h"
#include "holdfast.h"

/* The failure in words, as hf_cli_fail. HF_EXIT_NO for what is wrong with the request itself, else
 * HF_EXIT_ENVIRONMENT. */
int hf_cli_failure(const struct hf_cli *cli, const struct holdfast_failure *failure);

/* HF_CLI_GO_ON and *db, or the exit status; says on standard error why. */
int hf_cli_open(const struct hf_cli *cli, const char *directory, bool create, bool wait,
                struct holdfast **db);
/* Closes; `status`, or HF_EXIT_ENVIRONMENT if that failed. */
int hf_cli_close(const struct hf_cli *cli, struct holdfast *db, int status);

/* Prints an answer's text and frees it. `status` or HF_EXIT_ENVIRONMENT. */
int hf_cli_print_answer(const struct hf_cli *cli, struct holdfast_answer *answer, int status);

#endif
