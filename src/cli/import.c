/* holdfast import KIND FILE, into a data directory or to a server. */
#include "cli/import.h"

#define WORKERS_COMMITS 1 /* lines in their order */
#define WORKERS_BANK    8 /* each account in its order */

static const char help[] =
    "commits  lines of JSON, each {\"key\":…,\"commit\":{…}} or a commit alone; a line that is\n"
    "         malformed or refused is reported by its number and the rest goes on\n"
    "bank     a bank's transactions (trans_id;account_id;date;type;operation;amount;balance;\n"
    "         k_symbol;bank;account) as transfers trans:<trans_id>; may be repeated\n"
    "events   what `holdfast export` wrote, into an empty directory: same positions, times,\n"
    "         keys and hashes\n"
    "FILE may be - for standard input. To a server each request is repeated until its answer is\n"
    "definite; lines of commits without a key get one of their content and number, so that the\n"
    "import may be repeated. Exit status 1 if a line was bad or refused.\n\n"
    "Example:\n"
    "  holdfast import commits orders.ndjson --server=http://127.0.0.1:7070";

/* Into a directory or to a server, by what was given. */
static int run(const struct hf_cli *cli, struct hf_import_options *import, const char *directory,
               const struct hf_remote_values *values)
{
    struct hf_str kind = hf_str_from(cli->operands[0]);
    bool bank = hf_str_equal(kind, HF_STR("bank"));
    const char *path = cli->operands[1];
    if (hf_str_equal(kind, HF_STR("events"))) {
        return directory == NULL ? hf_cli_usage(cli, "events go into a directory: --directory=DIR")
                                 : hf_import_events(cli, path, directory);
    }
    if (!bank && !hf_str_equal(kind, HF_STR("commits"))) {
        return hf_cli_usage(cli, "no such kind: %s", cli->operands[0]);
    }
    if (directory != NULL) {
        return bank ? hf_import_bank(cli, import, path, directory)
                    : hf_import_commits(cli, import, path, directory);
    }
    if (import->principal != NULL) {
        return hf_cli_usage(cli, "--principal is for a directory; a server knows it by the token");
    }
    if (import->workers == 0) {
        import->workers = bank ? WORKERS_BANK : WORKERS_COMMITS;
    }
    return bank ? hf_import_bank_to_server(cli, import, path, values)
                : hf_import_commits_to_server(cli, import, path, values);
}

int hf_cli_import(int argc, char **argv)
{
    const char *directory = NULL;
    struct hf_import_options import = {0};
    struct hf_remote_values values;
    struct hf_cli_option options[5 + HF_REMOTE_OPTION_COUNT] = {
        {"directory", "DIR", "into this data directory; made if it is not there",
         .text = &directory},
        {"principal", "NAME", "with --directory: who asks (default: local)",
         .text = &import.principal},
        {"stop-on-error", NULL, "commits: the first bad line ends the import",
         .flag = &import.stop_on_error},
        {"floor", "AMOUNT", "bank: least balance of customers, in 1/100 (default: none)",
         .text = &import.floor},
        {"workers", "N",
         "to a server: requests at once (commits 1: with more, lines\n"
         "don't keep their order; bank 8: each account keeps its order)",
         .number = &import.workers},
    };
    struct hf_cli cli = {
        .name = "import",
        .operands_help = "commits|bank|events FILE [--directory=DIR]",
        .help = help,
        .options = options,
        .option_count = 5 + hf_remote_options(HF_REMOTE_EVERYWHERE, &values, options + 5),
        .operands_min = 2,
        .operands_max = 2,
    };
    int status = hf_cli_parse(&cli, argc, argv);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (directory == NULL && !hf_remote_is_named(&values)) {
        return hf_cli_usage(&cli,
                            "--directory=DIR or --server=URL (or $HOLDFAST_SERVER) is needed");
    }
    if (directory != NULL && values.text[HF_REMOTE_SERVER] != NULL) {
        return hf_cli_usage(&cli, "either --directory or --server");
    }
    return run(&cli, &import, directory, &values);
}
