/*
 * A configuration file: options of a command, one a line.
 *
 *     # listen on both
 *     listen = 127.0.0.1:7070
 *     listen = [::1]:7070
 *     allow-open = false
 *
 * Owns: the file's text, which the options' values point into. Must never: guess: an unknown key, a second value
 * of a key that takes one, a flag that is neither true nor false are errors with the line's number.
 * Called by: serve.
 *
 * 1. Every key is the name of an option of the command. What was given on the command line wins: the file's
 *    lines of that option then count for nothing.
 * 2. A line is `key = value`, a comment that begins with '#', or empty. White space around key and value does not
 *    count; a value goes to the end of its line and may hold '#'.
 */
#ifndef HF_CLI_CONFIG_H
#define HF_CLI_CONFIG_H

#include "cli/cli.h"

#define HF_CONFIG_BYTES_MAX (64u << 10) /* of the file */

struct hf_config {
    struct hf_buffer text; /* owned; values are terminated in place */
};

void hf_config_init(struct hf_config *config);
void hf_config_release(struct hf_config *config);

/* Reads the file and sets the options of cli that were not given. The values live as long as config. NOT_FOUND,
 * IO, TOO_LARGE; INVALID_REQUEST: "holdfast.conf:12: …". */
enum hf_err hf_config_read(struct hf_config *config, const char *path, const struct hf_cli *cli,
                           struct hf_error *error) HF_WARN_UNUSED;

#endif
