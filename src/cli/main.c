/* holdfast: one program, a command a file. */
#include "cli/cli.h"

#ifndef HF_VERSION_TEXT
#define HF_VERSION_TEXT "unknown"
#endif

struct command {
    const char *name; /* argv[1] */
    int (*run)(int argc, char **argv);
    const char *summary; /* a line */
};

static const struct command commands[] = {
    {"commit", hf_cli_commit, "decide one commit, given as JSON, and make it durable"},
    {"get", hf_cli_get, "read an account, transfer, hold, stream, document, lease, key or commit"},
    {"import", hf_cli_import, "bring in commits, a bank's transactions, or exported events"},
    {"export", hf_cli_export, "write every commit of the log as lines of JSON"},
    {"verify", hf_cli_verify, "prove that everything stored is whole and follows from the log"},
    {"status", hf_cli_status, "what is in a data directory and how it was left"},
    {"token", hf_cli_token, "make, list, revoke and rotate the tokens that let clients in"},
    {"backup", hf_cli_backup, "copy everything in the log to a file, beside a living owner"},
    {"restore", hf_cli_restore, "bring a backup back, up to any position or time"},
    {"demo", hf_cli_demo,
     "import a bank's file under duplicates and kill -9, and prove the result"},
};

static int usage(FILE *to, int status)
{
    (void)fprintf(to, "Usage: holdfast COMMAND [OPTION...] [ARGUMENT...]\n\nCommands:\n");
    for (size_t i = 0; i < HF_ARRAY_COUNT(commands); i++) {
        (void)fprintf(to, "  %-8s  %s\n", commands[i].name, commands[i].summary);
    }
    (void)fprintf(to,
                  "\nEach has its own help: holdfast COMMAND --help. Every command takes --json.\n"
                  "Others: --help, --version. The data directory has one owner at a time; get,\n"
                  "commit and import become its owner, verify, export and status only read.\n");
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return usage(stderr, HF_EXIT_USAGE);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        return usage(stdout, HF_EXIT_OK);
    }
    if (strcmp(argv[1], "--version") == 0) {
        (void)printf("holdfast %s\n", HF_VERSION_TEXT);
        return HF_EXIT_OK;
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    (void)fprintf(stderr, "holdfast: no such command: %s\n", argv[1]);
    return usage(stderr, HF_EXIT_USAGE);
}
