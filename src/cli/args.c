/* Arguments by getopt_long, with a help that is made of the same table. */
#include <getopt.h>
#include <stdarg.h>

#include "base/check.h"
#include "cli/cli.h"

#define OPTIONS_MAX   48
#define OPTION_HELP   1000
#define OPTION_JSON   1001
#define OPTION_COLUMN 26 /* where the help of an option begins */

static void print_help(const struct hf_cli *cli)
{
    (void)printf("Usage: holdfast %s [OPTION...]%s%s\n\n%s\n\nOptions:\n", cli->name,
                 cli->operands_help[0] == '\0' ? "" : " ", cli->operands_help, cli->help);
    for (size_t i = 0; i < cli->option_count; i++) {
        const struct hf_cli_option *option = &cli->options[i];
        int width = printf("  --%s%s%s", option->name, option->argument == NULL ? "" : "=",
                           option->argument == NULL ? "" : option->argument);
        int column = width < OPTION_COLUMN ? OPTION_COLUMN : width + 1;
        int gap = column - width;
        for (const char *line = option->help; line != NULL;) {
            int length = (int)strcspn(line, "\n");
            (void)printf("%*s%.*s\n", gap, "", length, line);
            gap = column;
            line = line[length] == '\0' ? NULL : line + length + 1;
        }
    }
    (void)printf("  --json                  print one JSON value\n"
                 "  --help                  print this\n\n"
                 "Exit status: 0 done; 1 the answer is no (refused, damaged, not equal);\n"
                 "2 wrong usage; 3 a file, the disk, memory, the network or the server failed, or "
                 "another\nprocess owns the directory.\n");
}

int hf_cli_usage(const struct hf_cli *cli, const char *format, ...)
{
    va_list arguments;
    (void)fprintf(stderr, "holdfast %s: ", cli->name);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "\nTry: holdfast %s --help\n", cli->name);
    return HF_EXIT_USAGE;
}

static bool parse_number(const char *text, uint64_t *value)
{
    hf_u128 number;
    if (!hf_u128_parse(hf_str_from(text), &number) || number > UINT64_MAX) {
        return false;
    }
    *value = (uint64_t)number;
    return true;
}

bool hf_cli_set(const struct hf_cli_option *option, const char *argument, const char **why)
{
    if (option->flag != NULL) {
        *option->flag = true;
    } else if (option->text != NULL) {
        *option->text = argument;
    } else if (option->texts == NULL) {
        *why = "takes a number";
        return parse_number(argument, option->number);
    } else if (option->texts->count == HF_CLI_TEXTS_MAX) {
        *why = "was given too often";
        return false;
    } else {
        option->texts->items[option->texts->count++] = argument;
    }
    return true;
}

/* HF_CLI_GO_ON or an exit status. */
static int take(struct hf_cli *cli, int found)
{
    if (found == OPTION_HELP) {
        print_help(cli);
        return HF_EXIT_OK;
    }
    if (found == OPTION_JSON) {
        cli->json = true;
        return HF_CLI_GO_ON;
    }
    if (found < 0 || (size_t)found >= cli->option_count) {
        return hf_cli_usage(cli, "no such option");
    }
    const struct hf_cli_option *option = &cli->options[found];
    const char *why = "";
    if ((cli->given & 1ull << found) != 0 && option->flag == NULL && option->texts == NULL) {
        return hf_cli_usage(cli, "--%s is given twice", option->name);
    }
    if (!hf_cli_set(option, optarg, &why)) {
        return hf_cli_usage(cli, "--%s %s: %s", option->name, why, optarg);
    }
    cli->given |= 1ull << found;
    return HF_CLI_GO_ON;
}

/* What getopt_long does not know: said in our words. word: the argument that it stands in. */
static int refuse_option(const struct hf_cli *cli, const char *word)
{
    bool is_letter = optopt > ' ' && optopt < 0x7f; /* not the number of an option of ours */
    if (is_letter) {
        return hf_cli_usage(cli, "no such option: -%c", optopt);
    }
    size_t name_bytes = strcspn(word + 2, "=");
    for (size_t i = 0; i < cli->option_count; i++) {
        const struct hf_cli_option *option = &cli->options[i];
        if (option->argument == NULL && strlen(option->name) == name_bytes &&
            memcmp(option->name, word + 2, name_bytes) == 0) {
            return hf_cli_usage(cli, "--%s takes no value", option->name);
        }
    }
    return hf_cli_usage(cli, "no such option: %.*s", (int)name_bytes + 2, word);
}

int hf_cli_parse(struct hf_cli *cli, int argc, char **argv)
{
    struct option table[OPTIONS_MAX + 3] = {0};
    HF_CHECK(cli->option_count <= OPTIONS_MAX && cli->operands_max <= HF_CLI_OPERANDS_MAX);
    for (size_t i = 0; i < cli->option_count; i++) {
        table[i].name = cli->options[i].name;
        table[i].has_arg = cli->options[i].argument == NULL ? no_argument : required_argument;
        table[i].val = (int)i;
    }
    table[cli->option_count] = (struct option){"help", no_argument, NULL, OPTION_HELP};
    table[cli->option_count + 1] = (struct option){"json", no_argument, NULL, OPTION_JSON};
    optind = 0; /* from the beginning, however often this is called */
    opterr = 0;
    int found;
    /* ":" tells a missing value apart. */
    while ((found = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        int status = found == '?'   ? refuse_option(cli, argv[optind - 1])
                     : found == ':' ? hf_cli_usage(cli, "%s needs a value", argv[optind - 1])
                                    : take(cli, found);
        if (status != HF_CLI_GO_ON) {
            return status;
        }
    }
    cli->operand_count = argc - optind;
    if (cli->operand_count > cli->operands_max) {
        return hf_cli_usage(
            cli, "nothing is expected here: %s%s%s", argv[optind + cli->operands_max],
            cli->operands_help[0] == '\0' ? "" : "; expected: ", cli->operands_help);
    }
    if (cli->operand_count < cli->operands_min) {
        return hf_cli_usage(cli, "something is missing; expected: %s", cli->operands_help);
    }
    for (int i = 0; i < cli->operand_count; i++) {
        cli->operands[i] = argv[optind + i];
    }
    return HF_CLI_GO_ON;
}
