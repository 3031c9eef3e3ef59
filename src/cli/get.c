/* holdfast get DIR KIND ID: one thing, or a page. */
#include "cli/database.h"

struct reading {
    uint64_t from;                 /* pages */
    uint64_t limit;                /* pages */
    bool wait;                     /* for the lock */
    struct holdfast_caller caller; /* whose key */
};

static bool is_page(const char *kind)
{
    return strcmp(kind, "entries") == 0 || strcmp(kind, "events") == 0;
}

static int run(const struct hf_cli *cli, const struct reading *reading)
{
    struct holdfast *db;
    struct holdfast_answer *answer;
    struct holdfast_failure failure = {0};
    int status = hf_cli_open(cli, cli->operands[0], false, reading->wait, &db);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    const char *kind = cli->operands[1];
    const char *id = cli->operands[2];
    enum holdfast_error error =
        is_page(kind) ? holdfast_read_page(db, &reading->caller, kind, id, reading->from,
                                           (uint32_t)reading->limit, &answer, &failure)
                      : holdfast_read(db, &reading->caller, kind, id, &answer, &failure);
    if (error != HOLDFAST_OK) {
        status = hf_cli_failure(cli, &failure);
    } else {
        status = holdfast_answer_status(answer) == 200 ? HF_EXIT_OK : HF_EXIT_NO;
        status = hf_cli_print_answer(cli, answer, status);
    }
    return hf_cli_close(cli, db, status);
}

int hf_cli_get(int argc, char **argv)
{
    struct reading reading = {.limit = 100};
    const struct hf_cli_option options[] = {
        {"from", "N", "events: first number (1 is the beginning); entries: below this version",
         .number = &reading.from},
        {"limit", "N", "events, entries: at most so many (default 100, at most 1000)",
         .number = &reading.limit},
        {"principal", "NAME", "key: whose (default: local)", .text = &reading.caller.principal},
        {"wait", NULL, "wait until the directory's owner is gone", .flag = &reading.wait},
    };
    struct hf_cli cli = {
        .name = "get",
        .operands_help = "DIR KIND ID",
        .help = "Prints a thing of the data directory DIR as JSON. KIND: account, transfer, hold, "
                "stream,\n"
                "document (its text, byte for byte), lease, key, commit (ID is its position); "
                "events of a\n"
                "stream, entries of an account (newest first). Becomes the owner of DIR for the "
                "moment.\n"
                "Exit status 1 if there is no such thing.",
        .options = options,
        .option_count = HF_ARRAY_COUNT(options),
        .operands_min = 3,
        .operands_max = 3,
    };
    int status = hf_cli_parse(&cli, argc, argv);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (reading.from == 0 && strcmp(cli.operands[1], "events") == 0) {
        reading.from = 1;
    }
    if (reading.limit < 1 || reading.limit > 1000) {
        return hf_cli_usage(&cli, "--limit is from 1 to 1000");
    }
    return run(&cli, &reading);
}
