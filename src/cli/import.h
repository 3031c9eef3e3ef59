/*
 * What `holdfast import` brings in, one file each.
 *
 * Called by: import.c. Each returns the exit status.
 */
#ifndef HF_CLI_IMPORT_H
#define HF_CLI_IMPORT_H

#include "cli/cli.h"

struct hf_import_options {
    const char *principal; /* NULL = "local" */
    const char *floor;     /* bank: of the customers' accounts; NULL = none */
    bool stop_on_error;    /* commits: the first bad line ends it */
};

int hf_import_events(const struct hf_cli *cli, const char *path, const char *directory);
int hf_import_commits(const struct hf_cli *cli, const struct hf_import_options *options,
                      const char *path, const char *directory);
int hf_import_bank(const struct hf_cli *cli, const struct hf_import_options *options,
                   const char *path, const char *directory);

#endif
