/* Options of the commands against a server, the client, and from words to a verb. */
#include "cli/remote.h"

#include <time.h>

#include "base/check.h"
#include "base/u128.h"

#define DEFAULT_SERVER    "http://127.0.0.1:7070"
#define TOKEN_BYTES_MAX   4096
#define SERVERS_BYTES_MAX 2048
#define HELP_BYTES_MAX    4096
#define GIVE_UP_SECONDS   10

struct option_row {
    const char *name;
    const char *argument; /* NULL: a flag */
    const char *help;
};

static const struct option_row option_rows[HF_REMOTE_OPTION_COUNT] = {
    [HF_REMOTE_SERVER] = {"server", "URL",
                          "http://HOST:PORT, https://HOST or unix:PATH; several with commas\n"
                          "(default: $HOLDFAST_SERVER, else " DEFAULT_SERVER ")"},
    [HF_REMOTE_TOKEN_FILE] = {"token-file", "FILE",
                              "the token is in FILE (default: $HOLDFAST_TOKEN)"},
    [HF_REMOTE_CA_FILE] = {"ca-file", "FILE",
                           "PEM: who may sign the server's certificate\n"
                           "(default: $HOLDFAST_CA_FILE, else the system's)"},
    [HF_REMOTE_GIVE_UP_AFTER] =
        {"give-up-after", "SECONDS",
         "how long to repeat until the answer is definite (10, and --wait)"},
    [HF_REMOTE_KEY] = {"key", "KEY", "idempotency key: a repetition gets the recorded answer"},
    [HF_REMOTE_IF_MATCH] = {"if-match", "VERSION", "only if it has this version; * = if it exists"},
    [HF_REMOTE_CREATE] = {"create", NULL, "only if it does not exist"},
    [HF_REMOTE_MIN_POSITION] = {"min-position", "N", "wait until the state has this position"},
    [HF_REMOTE_ID] = {"id", "ID",
                      "its name: once for ever under it (default: given by the server)"},
    [HF_REMOTE_AMOUNT] = {"amount", "AMOUNT", "in minor units (default: all that is left)"},
    [HF_REMOTE_UP_TO] = {"up-to", NULL, "AMOUNT is the most: as much as the floor allows"},
    [HF_REMOTE_FINAL] = {"final", NULL, "what is left is given back"},
    [HF_REMOTE_EFFECTIVE_AT] = {"effective-at", "TIME", "for statements, RFC 3339"},
    [HF_REMOTE_METADATA] = {"metadata", "JSON", "an object, kept as it is"},
    [HF_REMOTE_FLOOR] = {"floor", "AMOUNT", "least available, in minor units; may have a minus"},
    [HF_REMOTE_NO_FLOOR] = {"no-floor", NULL, "no floor: the outside world"},
    [HF_REMOTE_CEILING] = {"ceiling", "AMOUNT", "most posted and incoming, in minor units"},
    [HF_REMOTE_NO_CEILING] = {"no-ceiling", NULL, "no ceiling"},
    [HF_REMOTE_TIMEOUT_MS] = {"timeout-ms", "MS", "it expires so many milliseconds from now"},
    [HF_REMOTE_OWNER] = {"owner", "NAME", "who holds it"},
    [HF_REMOTE_TTL_MS] = {"ttl-ms", "MS", "how long it is held, in milliseconds"},
    [HF_REMOTE_PREFIX] = {"prefix", "TEXT", "names that begin with TEXT"},
    [HF_REMOTE_ACCOUNT] = {"account", "ACCOUNT", "those of this account"},
    [HF_REMOTE_STATE] = {"state", "STATE", "open, captured, voided or expired"},
    [HF_REMOTE_LIMIT] = {"limit", "N", "at most so many at once (default 100, at most 1000)"},
    [HF_REMOTE_AFTER] = {"after", "CURSOR", "go on where a list ended"},
    [HF_REMOTE_ALL] = {"all", NULL, "the whole list, by as many requests as it takes"},
    [HF_REMOTE_FROM_NUMBER] = {"from", "N", "from this event on (1 is the first)"},
    [HF_REMOTE_AT] = {"at", "TIME", "at this time, RFC 3339"},
    [HF_REMOTE_AT_VERSION] = {"at-version", "N", "after the entry with this version"},
    [HF_REMOTE_AT_POSITION] = {"at-position", "N", "after the commit at this position"},
    [HF_REMOTE_CLOCK] = {"clock", "CLOCK", "recorded (default) or effective"},
    [HF_REMOTE_FROM_TIME] = {"from", "TIME",
                             "from this time on, RFC 3339 (default: the beginning)"},
    [HF_REMOTE_TO_TIME] = {"to", "TIME", "before this time, RFC 3339 (default: the end)"},
    [HF_REMOTE_FORMAT] = {"format", "FORMAT", "csv (default), beancount or json"},
    [HF_REMOTE_VERSION] = {"version", "N", "this version (default: the newest)"},
    [HF_REMOTE_TOPIC] = {"topic", "TOPIC", "messages of this topic"},
    [HF_REMOTE_TYPES] = {"types", "TYPE,…", "events of these types; order.* = that begin so"},
    [HF_REMOTE_SUBJECT] = {"subject", "TEXT", "subjects that begin with TEXT: streams/orders:"},
    [HF_REMOTE_ASSET] = {"asset", "ASSET", "money of this asset: USD/2"},
    [HF_REMOTE_BUCKET] = {"bucket", "I/N", "the keys of part I of N: 3/16"},
    [HF_REMOTE_FROM_WHERE] = {"from", "WHERE",
                              "beginning (default), now, a position, or a time (RFC 3339)"},
    [HF_REMOTE_TO_WHERE] = {"to", "WHERE", "beginning, now, a position, or a time (RFC 3339)"},
    [HF_REMOTE_ORDER] = {"order", "ORDER", "key (default) or none"},
    [HF_REMOTE_ATTEMPTS_MAX] = {"attempts-max", "N", "deliveries of a message in all (default 6)"},
    [HF_REMOTE_LEASE_MS] = {"lease-ms", "MS",
                            "how long a message is out (default: the subscription's,\n"
                            "30000 unless it says otherwise)"},
    [HF_REMOTE_BACKOFF_FIRST_MS] = {"backoff-first-ms", "MS",
                                    "wait behind the first failed try (default 1000)"},
    [HF_REMOTE_BACKOFF_MAX_MS] = {"backoff-max-ms", "MS", "the longest wait (default 300000)"},
    [HF_REMOTE_EXHAUSTED] = {"exhausted", "WHAT",
                             "park_key, park_message or block, when the tries are used up"},
    [HF_REMOTE_IN_FLIGHT_MAX] = {"in-flight-max", "N", "messages that are out (default 1000)"},
    [HF_REMOTE_RATE] = {"rate", "N", "so many a second, by itself (default: at once)"},
    [HF_REMOTE_ERROR] = {"error", "TEXT", "why"},
    [HF_REMOTE_ERROR_CONTAINS] = {"error-contains", "TEXT", "those whose error contains TEXT"},
    [HF_REMOTE_DISCARD] = {"discard", NULL, "give them up instead"},
    [HF_REMOTE_CANCEL] = {"cancel", NULL, "stop the redrive that goes on"},
    [HF_REMOTE_MESSAGE] = {"message", "MESSAGE", "this dead letter: 17-0"},
    [HF_REMOTE_MESSAGE_KEY] = {"message-key", "KEY", "those of this key, in their order"},
    [HF_REMOTE_EVERY_LETTER] = {"all", NULL, "all dead letters"},
    [HF_REMOTE_MAX] = {"max", "N", "at most so many messages (default 10, at most 1000)"},
    [HF_REMOTE_WAIT] = {"wait", "SECONDS", "wait for a message (at most 30)"},
    [HF_REMOTE_CONSUMER] = {"consumer", "NAME", "who receives, for the message's history"},
    [HF_REMOTE_ATTEMPT] = {"attempt", "ID",
                           "a repetition gets the same messages (default: made, for this call)"},
    [HF_REMOTE_ACK] = {"ack", NULL, "ack what was printed"},
    [HF_REMOTE_EXEC] = {"exec", "COMMAND",
                        "run COMMAND for each message, its data on standard input;\n"
                        "exit status 0 acks it, any other nacks it"},
    [HF_REMOTE_FOLLOW] = {"follow", NULL, "go on until it is interrupted"},
    [HF_REMOTE_DELAY_MS] = {"delay-ms", "MS", "not before (default: the subscription's backoff)"},
    [HF_REMOTE_DELIVER_AT] = {"deliver-at", "TIME", "not before this time, RFC 3339"},
    [HF_REMOTE_SAGA_STATE] = {"state", "STATE",
                              "scheduled, running, waiting, compensating, parked, paused,\n"
                              "succeeded, compensated or abandoned"},
    [HF_REMOTE_DEFINITION] = {"definition", "NAME", "of this definition: order, or order@3"},
    [HF_REMOTE_TAG] = {"tag", "KEY:VALUE", "with this tag"},
    [HF_REMOTE_TAGS] = {"tags", "JSON", "an object of strings, to list by"},
    [HF_REMOTE_BUSINESS_KEY] = {"business-key", "KEY", "what it is about: order-17"},
    [HF_REMOTE_STEP] = {"step", "STEP", "a step by its name"},
    [HF_REMOTE_FAILING] = {"failing", NULL,
                           "of which some attempt has failed and none succeeded since"},
    [HF_REMOTE_OLDER_THAN] = {"older-than", "AGE", "started before: 90s, 30m, 2h, 7d, or a time"},
    [HF_REMOTE_NOT_BEFORE] = {"not-before", "TIME", "it begins at this time, RFC 3339"},
    [HF_REMOTE_WAIT_END] = {"wait", "SECONDS", "wait until it has ended or is parked (at most 30)"},
    [HF_REMOTE_REASON] = {"reason", "TEXT", "why, for the history"},
    [HF_REMOTE_ACTOR] = {"actor", "NAME", "who, for the history (default: $USER)"},
    [HF_REMOTE_RESULT] = {"result", "JSON", "the step's result, for those behind it"},
    [HF_REMOTE_WHY] = {"error", "TEXT", "what went wrong"},
    [HF_REMOTE_JITTER] = {"jitter", "TIME", "spread what is retried over this time: 60s"},
    [HF_REMOTE_DRY_RUN] = {"dry-run", NULL, "only tell what would be done"},
    [HF_REMOTE_INPUT] = {"input", "JSON",
                         "the saga's input (default: made of what the templates name)"},
    [HF_REMOTE_ONLY] = {"only", "STEP", "cases of this step alone"},
};

size_t hf_remote_options(hf_remote_set set, struct hf_remote_values *values,
                         struct hf_cli_option *rows)
{
    size_t count = 0;
    *values = (struct hf_remote_values){0};
    /* The command's own first, those of every command last. */
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 1; i < HF_REMOTE_OPTION_COUNT; i++) {
            hf_remote_set bit = HF_REMOTE_BIT(i);
            bool everywhere = (bit & HF_REMOTE_EVERYWHERE) != 0;
            if ((set & bit) == 0 || everywhere != (pass == 1)) {
                continue;
            }
            const struct option_row *row = &option_rows[i];
            bool flag = row->argument == NULL;
            rows[count++] = (struct hf_cli_option){.name = row->name,
                                                   .argument = row->argument,
                                                   .help = row->help,
                                                   .flag = flag ? &values->flag[i] : NULL,
                                                   .text = flag ? NULL : &values->text[i]};
        }
    }
    return count;
}

/* ---- the client ---- */

bool hf_remote_is_named(const struct hf_remote_values *values)
{
    const char *server = getenv("HOLDFAST_SERVER");
    return values->text[HF_REMOTE_SERVER] != NULL || (server != NULL && server[0] != '\0');
}

static const char *from_environment(const char *given, const char *variable)
{
    const char *value = given == NULL ? getenv(variable) : given;
    return value == NULL || value[0] == '\0' ? NULL : value;
}

/* Reads the token of the file, without the line end. */
static int read_token(struct hf_remote_call *call, const char *path, const char **token)
{
    struct hf_error error = {0};
    if (hf_cli_read_file(path, TOKEN_BYTES_MAX, &call->token, &error) != HF_ERR_OK) {
        return hf_cli_fail(call->cli, &error);
    }
    while (call->token.size_bytes > 0 &&
           strchr(" \t\r\n", call->token.data[call->token.size_bytes - 1]) != NULL) {
        call->token.size_bytes--;
    }
    hf_buffer_u8(&call->token, 0);
    if (call->token.failed) {
        (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
        return hf_cli_fail(call->cli, &error);
    }
    *token = (const char *)call->token.data;
    return HF_CLI_GO_ON;
}

static void say_again(void *context, const struct holdfast_client_retry *retry)
{
    struct hf_remote_call *call = context;
    if (!atomic_exchange(&call->told, true)) {
        (void)fprintf(stderr, "holdfast %s: %s: %s; trying again\n", call->cli->name,
                      retry->address, retry->text);
    }
}

static int connect_to(struct hf_remote_call *call, struct holdfast_client_options *options)
{
    struct holdfast_client_failure failure;
    switch (holdfast_client_new(options, &call->client, &failure)) {
    case HOLDFAST_CLIENT_OK:
        return HF_CLI_GO_ON;
    case HOLDFAST_CLIENT_INVALID:
        return hf_cli_usage(call->cli, "%s", failure.text);
    case HOLDFAST_CLIENT_NO_MEMORY:
    case HOLDFAST_CLIENT_UNAVAILABLE:
    case HOLDFAST_CLIENT_UNKNOWN:
    case HOLDFAST_CLIENT_MISCONFIGURED:
    case HOLDFAST_CLIENT_REFUSED:
    case HOLDFAST_CLIENT_BUSY:
    case HOLDFAST_CLIENT_CLOSED:
        break;
    }
    return hf_remote_failure(call->cli, &failure);
}

uint64_t hf_remote_wall_us(void)
{
    struct timespec now;
    HF_CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Unless it is said: the server may take as long as it is asked to wait. */
static hf_u128 give_up_seconds(const struct hf_remote_values *values)
{
    const char *wait = values->text[HF_REMOTE_WAIT] != NULL ? values->text[HF_REMOTE_WAIT]
                                                            : values->text[HF_REMOTE_WAIT_END];
    hf_u128 seconds = 0;
    bool waits = wait != NULL && hf_u128_parse(hf_str_from(wait), &seconds) && seconds <= 86400;
    return waits ? GIVE_UP_SECONDS + seconds : GIVE_UP_SECONDS;
}

int hf_remote_begin(struct hf_remote_call *call, const struct hf_cli *cli,
                    const struct hf_remote_values *values)
{
    const char *addresses[HOLDFAST_CLIENT_ADDRESSES_MAX];
    char servers[SERVERS_BYTES_MAX];
    hf_u128 seconds = give_up_seconds(values);
    struct holdfast_client_options options = {.addresses = addresses};
    *call = (struct hf_remote_call){.cli = cli, .values = values};
    hf_arena_init(&call->arena);
    hf_buffer_init(&call->token);
    const char *wait = values->text[HF_REMOTE_GIVE_UP_AFTER];
    if (wait != NULL &&
        (!hf_u128_parse(hf_str_from(wait), &seconds) || seconds < 1 || seconds > 86400)) {
        return hf_cli_usage(cli, "--give-up-after takes seconds from 1 to 86400, not %s", wait);
    }
    const char *named = from_environment(values->text[HF_REMOTE_SERVER], "HOLDFAST_SERVER");
    named = named == NULL ? DEFAULT_SERVER : named;
    if (strlen(named) >= sizeof(servers)) {
        return hf_cli_usage(cli, "--server is too long");
    }
    (void)snprintf(servers, sizeof(servers), "%s", named);
    for (char *at = servers; at != NULL;) {
        char *comma = strchr(at, ',');
        if (options.address_count == HOLDFAST_CLIENT_ADDRESSES_MAX) {
            return hf_cli_usage(cli, "--server: at most %d addresses",
                                HOLDFAST_CLIENT_ADDRESSES_MAX);
        }
        addresses[options.address_count++] = at;
        if (comma != NULL) {
            *comma = '\0';
        }
        at = comma == NULL ? NULL : comma + 1;
    }
    options.token = from_environment(NULL, "HOLDFAST_TOKEN");
    if (values->text[HF_REMOTE_TOKEN_FILE] != NULL) {
        int status = read_token(call, values->text[HF_REMOTE_TOKEN_FILE], &options.token);
        if (status != HF_CLI_GO_ON) {
            return status;
        }
    }
    options.ca_file = from_environment(values->text[HF_REMOTE_CA_FILE], "HOLDFAST_CA_FILE");
    options.total_timeout_ms = (uint64_t)seconds * 1000;
    options.on_retry = say_again;
    options.on_retry_context = call;
    return connect_to(call, &options);
}

void hf_remote_end(struct hf_remote_call *call)
{
    holdfast_client_free(call->client);
    if (call->token.data != NULL) {
        explicit_bzero(call->token.data, call->token.capacity_bytes);
    }
    hf_buffer_release(&call->token);
    hf_arena_release(&call->arena);
}

/* ---- from words to a verb ---- */

static const struct hf_remote_verb *find_verb(const struct hf_remote_group *group, const char *name)
{
    for (size_t i = 0; i < group->verb_count; i++) {
        if (strcmp(group->verbs[i].name, name) == 0) {
            return &group->verbs[i];
        }
    }
    return NULL;
}

static int group_help(const struct hf_remote_group *group, FILE *to, int status)
{
    (void)fprintf(to, "Usage: holdfast %s VERB [OPTION...] [ARGUMENT...]\n\n", group->name);
    (void)fprintf(to, "On a server: %s.\n\nVerbs:\n", group->summary);
    for (size_t i = 0; i < group->verb_count; i++) {
        const struct hf_remote_verb *verb = &group->verbs[i];
        (void)fprintf(to, "  %-9s %-38s %s\n", verb->name, verb->operands, verb->summary);
    }
    if (group->verb_default != NULL) {
        (void)fprintf(to, "\nWithout a verb: %s.\n", group->verb_default);
    }
    (void)fprintf(to, "\nEach has its own help: holdfast %s VERB --help.\n", group->name);
    return status;
}

static hf_remote_set options_of_parts(const struct hf_remote_part *parts)
{
    hf_remote_set set = 0;
    for (; parts != NULL && parts->name != NULL; parts++) {
        set |= parts->option == HF_REMOTE_NO_OPTION ? 0 : HF_REMOTE_BIT(parts->option);
    }
    return set;
}

static int check_required(const struct hf_cli *cli, const struct hf_remote_part *parts,
                          const struct hf_remote_values *values)
{
    for (; parts != NULL && parts->name != NULL; parts++) {
        if (parts->required && values->text[parts->option] == NULL) {
            const struct option_row *row = &option_rows[parts->option];
            return hf_cli_usage(cli, "--%s=%s is needed: %s", row->name, row->argument, row->help);
        }
    }
    return HF_CLI_GO_ON;
}

static int send_and_show(struct hf_remote_call *call);

static int run_verb(const struct hf_remote_group *group, const struct hf_remote_verb *verb,
                    int argc, char **argv)
{
    char name[64];
    char help[HELP_BYTES_MAX];
    struct hf_remote_values values;
    struct hf_cli_option rows[HF_REMOTE_OPTION_COUNT];
    struct hf_remote_call call;
    bool reads = strcmp(verb->method, "GET") == 0;
    hf_remote_set set = HF_REMOTE_EVERYWHERE | verb->options | options_of_parts(verb->body) |
                        options_of_parts(verb->query) |
                        HF_REMOTE_BIT(reads ? HF_REMOTE_MIN_POSITION : HF_REMOTE_KEY);
    set = verb->local ? verb->options : set;
    if (verb->columns != NULL) {
        set |= HF_REMOTE_BIT(HF_REMOTE_LIMIT) | HF_REMOTE_BIT(HF_REMOTE_AFTER) |
               HF_REMOTE_BIT(HF_REMOTE_ALL);
    }
    (void)snprintf(name, sizeof(name), "%s %s", group->name, verb->name);
    (void)snprintf(help, sizeof(help), "%s.%s%s\n\nExample:\n  holdfast %s", verb->summary,
                   verb->more == NULL ? "" : "\n", verb->more == NULL ? "" : verb->more,
                   verb->example);
    struct hf_cli cli = {
        .name = name,
        .operands_help = verb->operands,
        .help = help,
        .options = rows,
        .option_count = hf_remote_options(set, &values, rows),
        .operands_min = verb->operands_min,
        .operands_max = verb->operands_max,
    };
    int status = hf_cli_parse(&cli, argc, argv);
    if (status == HF_CLI_GO_ON) {
        status = check_required(&cli, verb->body, &values);
    }
    if (status == HF_CLI_GO_ON) {
        status = check_required(&cli, verb->query, &values);
    }
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (verb->local) {
        call = (struct hf_remote_call){.cli = &cli, .values = &values, .verb = verb};
        hf_arena_init(&call.arena);
        status = verb->run(&call);
        hf_arena_release(&call.arena);
        return status;
    }
    status = hf_remote_begin(&call, &cli, &values);
    call.verb = verb;
    if (status == HF_CLI_GO_ON) {
        status = verb->run != NULL       ? verb->run(&call)
                 : verb->columns != NULL ? hf_remote_list(&call)
                                         : send_and_show(&call);
    }
    hf_remote_end(&call);
    return status;
}

int hf_remote_run_group(const struct hf_remote_group *group, int argc, char **argv)
{
    const char *word = argc < 2 ? NULL : argv[1];
    if (word == NULL) {
        return group_help(group, stderr, HF_EXIT_USAGE);
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "help") == 0) {
        return group_help(group, stdout, HF_EXIT_OK);
    }
    const struct hf_remote_verb *verb = find_verb(group, word);
    if (verb != NULL) {
        return run_verb(group, verb, argc - 1, argv + 1);
    }
    if (group->verb_default != NULL) {
        verb = find_verb(group, group->verb_default);
        HF_CHECK(verb != NULL);
        return run_verb(group, verb, argc, argv);
    }
    (void)fprintf(stderr, "holdfast %s: no such verb: %s\n", group->name, word);
    return group_help(group, stderr, HF_EXIT_USAGE);
}

/* ---- the ordinary verb: a request, and its answer shown ---- */

/* false: the usage was told. */
static bool put_part(const struct hf_remote_call *call, const struct hf_remote_part *part,
                     struct hf_json_writer *w, int *status)
{
    const struct hf_remote_values *values = call->values;
    const char *value = part->constant;
    hf_u128 number;
    if (part->operand > 0) {
        value = call->cli->operands[part->operand - 1];
    } else if (part->option != HF_REMOTE_NO_OPTION) {
        value = values->flag[part->option] ? "true" : values->text[part->option];
    }
    if (value == NULL) {
        return true;
    }
    switch (part->form) {
    case HF_FORM_TEXT:
        hf_json_put_text(w, part->name, hf_str_from(value));
        return true;
    case HF_FORM_NUMBER:
        if (!hf_u128_parse(hf_str_from(value), &number)) {
            *status = hf_cli_usage(call->cli, "%s is a number, not %s", part->name, value);
            return false;
        }
        hf_json_put_raw(w, part->name, hf_str_from(value));
        return true;
    case HF_FORM_JSON:
        if (hf_json_validate(hf_str_from(value), NULL) != HF_ERR_OK) {
            *status = hf_cli_usage(call->cli, "%s is no JSON: %s", part->name, value);
            return false;
        }
        hf_json_put_raw(w, part->name, hf_str_from(value));
        return true;
    case HF_FORM_TRUE:
        hf_json_put_bool(w, part->name, true);
        return true;
    case HF_FORM_NULL:
        hf_json_put_null(w, part->name);
        return true;
    }
    HF_CHECK(false);
    return false;
}

/* The body that the verb describes. */
static int make_body(const struct hf_remote_call *call, struct hf_buffer *body)
{
    int status = HF_CLI_GO_ON;
    struct hf_json_writer w = hf_json_writer_over(body);
    hf_json_begin_object(&w, NULL);
    for (const struct hf_remote_part *part = call->verb->body; part->name != NULL; part++) {
        if (!put_part(call, part, &w, &status)) {
            return status;
        }
    }
    hf_json_end_object(&w);
    return HF_CLI_GO_ON;
}

static int send_and_show(struct hf_remote_call *call)
{
    struct hf_buffer path;
    struct hf_buffer body;
    struct holdfast_client_answer *answer;
    int status = HF_CLI_GO_ON;
    hf_buffer_init(&path);
    hf_buffer_init(&body);
    if (call->verb->body != NULL) {
        status = make_body(call, &body);
    }
    if (status == HF_CLI_GO_ON) {
        hf_remote_path(call, &path);
        status = hf_remote_send(call, &path,
                                (struct hf_str){(const char *)body.data, body.size_bytes}, &answer);
    }
    if (status == HF_CLI_GO_ON) {
        /* The answer to a change of an account does not name its asset. */
        bool change = strcmp(call->verb->method, "PATCH") == 0;
        if (change && !call->cli->json && answer->status < 300) {
            call->asset = hf_remote_asset(call, call->cli->operands[0]);
        }
        status = hf_remote_show(call, answer);
    }
    hf_buffer_release(&path);
    hf_buffer_release(&body);
    return status;
}
