/* holdfast import KIND FILE --directory DIR */
#include "cli/import.h"

int hf_cli_import(int argc, char **argv)
{
    const char *directory = NULL;
    struct hf_import_options import = {0};
    const struct hf_cli_option options[] = {
        {"directory", "DIR", "the data directory; made if it is not there", .text = &directory},
        {"principal", "NAME", "who asks (default: local)", .text = &import.principal},
        {"stop-on-error", NULL, "commits: the first bad line ends the import",
         .flag = &import.stop_on_error},
        {"floor", "AMOUNT", "bank: least balance of customers, in 1/100 (default: none)",
         .text = &import.floor},
    };
    struct hf_cli cli = {
        .name = "import",
        .operands_help = "commits|bank|events FILE --directory=DIR",
        .help = "commits  lines of JSON, each {\"key\":…,\"commit\":{…}} or a commit alone; a line "
                "that is\n"
                "         malformed or refused is reported by its number and the rest goes on\n"
                "bank     a bank's transactions "
                "(trans_id;account_id;date;type;operation;amount;balance;\n"
                "         k_symbol;bank;account) as transfers trans:<trans_id>; may be repeated\n"
                "events   what `holdfast export` wrote, into an empty directory: same positions, "
                "times,\n"
                "         keys and hashes\n"
                "FILE may be - for standard input. Exit status 1 if a line was bad or refused.",
        .options = options,
        .option_count = HF_ARRAY_COUNT(options),
        .operands_min = 2,
        .operands_max = 2,
    };
    int status = hf_cli_parse(&cli, argc, argv);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (directory == NULL) {
        return hf_cli_usage(&cli, "--directory=DIR is needed");
    }
    struct hf_str kind = hf_str_from(cli.operands[0]);
    if (hf_str_equal(kind, HF_STR("events"))) {
        return hf_import_events(&cli, cli.operands[1], directory);
    }
    if (hf_str_equal(kind, HF_STR("commits"))) {
        return hf_import_commits(&cli, &import, cli.operands[1], directory);
    }
    if (hf_str_equal(kind, HF_STR("bank"))) {
        return hf_import_bank(&cli, &import, cli.operands[1], directory);
    }
    return hf_cli_usage(&cli, "no such kind: %s", cli.operands[0]);
}
