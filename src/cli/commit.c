/* holdfast commit DIR [FILE]: one commit, decided and durable. */
#include "base/limits.h"
#include "cli/database.h"

static int run(const struct hf_cli *cli, const struct holdfast_caller *caller, bool wait,
               const struct hf_buffer *text)
{
    struct holdfast *db;
    struct holdfast_answer *answer;
    struct holdfast_failure failure = {0};
    int status = hf_cli_open(cli, cli->operands[0], true, wait, &db);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    enum holdfast_error error = holdfast_commit_json(db, caller, (const char *)text->data,
                                                     text->size_bytes, &answer, &failure);
    if (error != HOLDFAST_OK) {
        status = hf_cli_failure(cli, &failure);
    } else {
        status = holdfast_answer_status(answer) < 300 ? HF_EXIT_OK : HF_EXIT_NO;
        if (holdfast_answer_replayed(answer)) {
            (void)fprintf(stderr, "holdfast commit: decided before; the recorded answer\n");
        }
        status = hf_cli_print_answer(cli, answer, status);
    }
    return hf_cli_close(cli, db, status);
}

int hf_cli_commit(int argc, char **argv)
{
    struct holdfast_caller caller = {0};
    bool wait = false;
    const struct hf_cli_option options[] = {
        {"key", "KEY", "idempotency key: a repetition gets the recorded answer",
         .text = &caller.key},
        {"principal", "NAME", "who asks (default: local)", .text = &caller.principal},
        {"dry-run", NULL, "decide only; nothing is recorded", .flag = &caller.dry_run},
        {"wait", NULL, "wait until the directory's owner is gone", .flag = &wait},
    };
    struct hf_cli cli = {
        .name = "commit",
        .operands_help = "DIR [FILE]",
        .help =
            "Decides the commit in FILE (or standard input, also for -): {\"if\":[…],\"do\":[…],\n"
            "\"metadata\":{…}}. The answer is printed as JSON once it is durable. DIR is made if "
            "it\n"
            "is not there. Exit status 1 if the commit was refused or malformed.",
        .options = options,
        .option_count = HF_ARRAY_COUNT(options),
        .operands_min = 1,
        .operands_max = 2,
    };
    int status = hf_cli_parse(&cli, argc, argv);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    struct hf_error error = {0};
    struct hf_buffer text;
    hf_buffer_init(&text);
    const char *path = cli.operand_count > 1 ? cli.operands[1] : "-";
    if (hf_cli_read_file(path, HF_REQUEST_BYTES_MAX, &text, &error) != HF_ERR_OK) {
        status = hf_cli_fail(&cli, &error);
    } else {
        status = run(&cli, &caller, wait, &text);
    }
    hf_buffer_release(&text);
    return status;
}
