/* holdfast: one program, a command a file. */
#include "base/check.h"
#include "cli/cli.h"
#include "cli/remote.h"

#ifndef HF_VERSION_TEXT
#define HF_VERSION_TEXT "unknown"
#endif

struct command {
    const char *name;                  /* argv[1]; NULL: a heading */
    int (*run)(int argc, char **argv); /* NULL: a group of verbs against a server */
    const char *summary;               /* a line; NULL: the group's own */
};

static const struct command commands[] = {
    {NULL, NULL, "A server's own"},
    {"serve", hf_cli_serve, "serve a data directory over HTTP, as its owner or as a standby"},
    {"token", hf_cli_token, "make, list, revoke and rotate the tokens that let clients in"},

    {NULL, NULL, "Against a server (--server=URL or $HOLDFAST_SERVER)"},
    {"transfer", NULL, NULL},
    {"account", NULL, NULL},
    {"hold", NULL, NULL},
    {"stream", NULL, NULL},
    {"document", NULL, NULL},
    {"lease", NULL, NULL},
    {"subscription", NULL, NULL},
    {"queue", NULL, NULL},
    {"saga", NULL, NULL},
    {"key", NULL, NULL},
    {"audit", NULL, NULL},
    {"alert", NULL, NULL},
    {"feed", hf_cli_feed, "what has happened, in the order of the log; follow it"},
    {"bench", hf_cli_bench, "put a load on a server, and measure rate and latency"},
    {"relay", hf_cli_relay, "publish the rows of an outbox table of PostgreSQL or SQLite"},

    {NULL, NULL, "Against a server, or on a data directory"},
    {"commit", hf_cli_commit, "decide one commit, given as JSON, and make it durable"},
    {"get", hf_cli_get, "read an account, transfer, hold, stream, document, lease, key or commit"},
    {"import", hf_cli_import, "bring in commits, a bank's transactions, or exported events"},
    {"status", hf_cli_status, "of a server; or what is in a data directory and how it was left"},

    {NULL, NULL, "On a data directory"},
    {"export", hf_cli_export, "write every commit of the log as lines of JSON"},
    {"verify", hf_cli_verify, "prove that everything stored is whole and follows from the log"},
    {"backup", hf_cli_backup, "copy everything in the log to a file, beside a living owner"},
    {"restore", hf_cli_restore, "bring a backup back, up to any position or time"},
    {"compact", hf_cli_compact, "compress sealed segments of the log, and archive them"},
    {"demo", hf_cli_demo,
     "import a bank's file under duplicates and kill -9, and prove the result"},
};

static const struct hf_remote_group *find_group(const char *name)
{
    for (size_t i = 0; i < hf_remote_group_count; i++) {
        if (strcmp(hf_remote_groups[i].name, name) == 0) {
            return &hf_remote_groups[i];
        }
    }
    HF_CHECK(false); /* a row of the table above without a group */
    return NULL;
}

static int usage(FILE *to, int status)
{
    (void)fprintf(to, "Usage: holdfast COMMAND [OPTION...] [ARGUMENT...]\n");
    for (size_t i = 0; i < HF_ARRAY_COUNT(commands); i++) {
        const struct command *command = &commands[i];
        if (command->name == NULL) {
            (void)fprintf(to, "\n%s:\n", command->summary);
        } else {
            (void)fprintf(to, "  %-12s  %s\n", command->name,
                          command->summary != NULL ? command->summary
                                                   : find_group(command->name)->summary);
        }
    }
    (void)fprintf(
        to, "\nEach has its own help: holdfast COMMAND --help. Every command takes --json.\n"
            "Others: --help, --version. A data directory has one owner at a time (a server, or a\n"
            "command): get, commit and import become its owner, verify, export and status only "
            "read.\n");
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
        const struct command *command = &commands[i];
        if (command->name != NULL && strcmp(argv[1], command->name) == 0) {
            return command->run != NULL
                       ? command->run(argc - 1, argv + 1)
                       : hf_remote_run_group(find_group(command->name), argc - 1, argv + 1);
        }
    }
    if (argv[1][0] == '-') {
        (void)fprintf(stderr, "holdfast: the command comes first, its options behind it: %s\n",
                      argv[1]);
        return usage(stderr, HF_EXIT_USAGE);
    }
    (void)fprintf(stderr, "holdfast: no such command: %s\n", argv[1]);
    return usage(stderr, HF_EXIT_USAGE);
}
