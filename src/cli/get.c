/* holdfast get [DIR] KIND ID: one thing, or a page, of a server or a data directory. */
#include "cli/database.h"
#include "cli/remote.h"

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

/* What the server calls it; NULL: no such kind. */
static const char *path_of(const char *kind)
{
    static const struct {
        const char *kind, *path; /* with %s for the name */
    } paths[] = {
        {"account", "/v1/accounts/%s"},
        {"transfer", "/v1/transfers/%s"},
        {"hold", "/v1/holds/%s"},
        {"stream", "/v1/streams/%s"},
        {"document", "/v1/documents/%s"},
        {"lease", "/v1/leases/%s"},
        {"key", "/v1/keys/%s"},
        {"commit", "/v1/commits/%s"},
        {"events", "/v1/streams/%s/events?"},
        {"entries", "/v1/accounts/%s/entries?"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(paths); i++) {
        if (strcmp(kind, paths[i].kind) == 0) {
            return paths[i].path;
        }
    }
    return NULL;
}

static int run_on_server(const struct hf_cli *cli, const struct hf_remote_values *values,
                         const struct reading *reading)
{
    char name[3 * 256 + 4];
    char path[sizeof(name) + 128];
    struct hf_remote_call call;
    struct holdfast_client_answer *answer;
    const char *kind = cli->operands[0];
    const char *pattern = path_of(kind);
    if (pattern == NULL) {
        return hf_cli_usage(cli, "no such kind: %s", kind);
    }
    if (holdfast_client_escape(cli->operands[1], name, sizeof(name)) >= sizeof(name)) {
        return hf_cli_usage(cli, "the name is too long");
    }
    const char *hole = strchr(pattern, '%');
    int length =
        snprintf(path, sizeof(path), "%.*s%s%s", (int)(hole - pattern), pattern, name, hole + 2);
    if (is_page(kind)) {
        /* Events from a number on, entries below a version: the one is a parameter, the other the cursor. */
        const char *from = strcmp(kind, "events") == 0 ? "&from=" : "&after=";
        size_t used = (size_t)length;
        length = snprintf(path + used, sizeof(path) - used, "limit=%llu",
                          (unsigned long long)reading->limit);
        used += (size_t)length;
        if (reading->from > 0) {
            (void)snprintf(path + used, sizeof(path) - used, "%s%llu", from,
                           (unsigned long long)reading->from);
        }
    }
    int status = hf_remote_begin(&call, cli, values);
    if (status == HF_CLI_GO_ON) {
        status = hf_remote_get(&call, path, &answer);
    }
    if (status == HF_CLI_GO_ON) {
        status = hf_remote_show_json(&call, answer);
    }
    hf_remote_end(&call);
    return status;
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
    struct hf_remote_values values;
    struct hf_cli_option options[4 + HF_REMOTE_OPTION_COUNT] = {
        {"from", "N", "events: first number (1 is the beginning); entries: below this version",
         .number = &reading.from},
        {"limit", "N", "events, entries: at most so many (default 100, at most 1000)",
         .number = &reading.limit},
        {"principal", "NAME", "with DIR, key: whose (default: local)",
         .text = &reading.caller.principal},
        {"wait", NULL, "with DIR: wait until the directory's owner is gone", .flag = &reading.wait},
    };
    struct hf_cli cli = {
        .name = "get",
        .operands_help = "[DIR] KIND ID",
        .help =
            "Prints a thing as JSON, of a server, or of the data directory DIR (whose owner it "
            "becomes\n"
            "for the moment). KIND: account, transfer, hold, stream, document (its text, byte for\n"
            "byte), lease, key, commit (ID is its position); events of a stream, entries of an\n"
            "account (newest first). Exit status 1 if there is no such thing.\n\n"
            "Example:\n  holdfast get account users:42",
        .options = options,
        .option_count = 4 + hf_remote_options(HF_REMOTE_EVERYWHERE, &values, options + 4),
        .operands_min = 2,
        .operands_max = 3,
    };
    int status = hf_cli_parse(&cli, argc, argv);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (reading.limit < 1 || reading.limit > 1000) {
        return hf_cli_usage(&cli, "--limit is from 1 to 1000");
    }
    if (cli.operand_count == 2) {
        return reading.wait || reading.caller.principal != NULL
                   ? hf_cli_usage(&cli, "--principal and --wait are for a data directory")
                   : run_on_server(&cli, &values, &reading);
    }
    if (path_of(cli.operands[1]) == NULL) {
        return hf_cli_usage(&cli, "no such kind: %s", cli.operands[1]);
    }
    if (values.text[HF_REMOTE_SERVER] != NULL) {
        return hf_cli_usage(&cli, "either DIR or --server");
    }
    if (reading.from == 0 && strcmp(cli.operands[1], "events") == 0) {
        reading.from = 1;
    }
    return run(&cli, &reading);
}
