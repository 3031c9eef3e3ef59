/* holdfast commit [DIR] [FILE]: one commit, decided and durable, on a server or in a data directory. */
#include <sys/stat.h>

#include "base/limits.h"
#include "cli/database.h"
#include "cli/remote.h"

static int run_on_server(const struct hf_cli *cli, const struct hf_remote_values *values,
                         const struct holdfast_caller *caller, const struct hf_buffer *text)
{
    struct hf_remote_call call;
    struct holdfast_client_answer *answer;
    struct holdfast_client_failure failure;
    struct holdfast_client_call headers = {.key = caller->key, .dry_run = caller->dry_run};
    int status = hf_remote_begin(&call, cli, values);
    if (status == HF_CLI_GO_ON) {
        status = holdfast_client_commit(call.client, &headers, (const char *)text->data,
                                        text->size_bytes, &answer, &failure) == HOLDFAST_CLIENT_OK
                     ? hf_remote_show_json(&call, answer)
                     : hf_remote_failure(cli, &failure);
    }
    hf_remote_end(&call);
    return status;
}

/* Is the only operand the commit's file rather than a directory? An existing file is, or "-"; a directory may be
 * yet to be made. */
static bool is_file(const char *path)
{
    struct stat about;
    return strcmp(path, "-") == 0 || (stat(path, &about) == 0 && !S_ISDIR(about.st_mode));
}

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
    struct hf_remote_values values;
    bool wait = false;
    struct hf_cli_option options[4 + HF_REMOTE_OPTION_COUNT] = {
        {"key", "KEY", "idempotency key: a repetition gets the recorded answer",
         .text = &caller.key},
        {"dry-run", NULL, "decide only; nothing is recorded", .flag = &caller.dry_run},
        {"principal", "NAME", "with DIR: who asks (default: local)", .text = &caller.principal},
        {"wait", NULL, "with DIR: wait until the directory's owner is gone", .flag = &wait},
    };
    struct hf_cli cli = {
        .name = "commit",
        .operands_help = "[DIR] [FILE]",
        .help =
            "Decides the commit in FILE (or standard input, also for -): {\"if\":[…],\"do\":[…],\n"
            "\"metadata\":{…}}. The answer is printed as JSON once it is durable. Without DIR it "
            "is "
            "sent\n"
            "to a server; else DIR is a data directory, made if it is not there. A single operand "
            "is\n"
            "FILE if it is an existing file (or -), or if --server is given. Exit status 1 if the\n"
            "commit was refused or malformed.\n\n"
            "Example:\n  holdfast commit --server=http://127.0.0.1:7070 --key=set-up commit.json",
        .options = options,
        .option_count = 4 + hf_remote_options(HF_REMOTE_EVERYWHERE, &values, options + 4),
        .operands_min = 0,
        .operands_max = 2,
    };
    int status = hf_cli_parse(&cli, argc, argv);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    bool by_option = values.text[HF_REMOTE_SERVER] != NULL;
    bool on_server = cli.operand_count == 0 ||
                     (cli.operand_count == 1 && (by_option || is_file(cli.operands[0])));
    if (by_option && !on_server) {
        return hf_cli_usage(&cli, "either DIR or --server");
    }
    if (on_server && (caller.principal != NULL || wait)) {
        return hf_cli_usage(&cli, "--principal and --wait are for a data directory");
    }
    struct hf_error error = {0};
    struct hf_buffer text;
    hf_buffer_init(&text);
    const char *path = cli.operands[on_server ? 0 : 1];
    path = path == NULL ? "-" : path;
    if (hf_cli_read_file(path, HF_REQUEST_BYTES_MAX, &text, &error) != HF_ERR_OK) {
        status = hf_cli_fail(&cli, &error);
    } else if (on_server) {
        status = run_on_server(&cli, &values, &caller, &text);
    } else {
        status = run(&cli, &caller, wait, &text);
    }
    hf_buffer_release(&text);
    return status;
}
