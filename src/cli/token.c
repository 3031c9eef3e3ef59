/* holdfast token create|list|revoke|rotate: who may use the server, and for what. */
#include <openssl/crypto.h>

#include "api/access.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/time_text.h"
#include "cli/cli.h"

#define TOKENS_FILE   "tokens.json"
#define PATH_BYTES    4096
#define US_PER_SECOND 1000000u
#define SECONDS_MAX   (HF_TIME_US_MAX / US_PER_SECOND)

/* What every one of the four needs. */
struct place {
    struct hf_outside *outside; /* linux's */
    char path[PATH_BYTES];      /* of the tokens file */
};

/* HF_CLI_GO_ON, or an exit status. */
static int place_init(const struct hf_cli *cli, const char *directory, bool make,
                      struct place *place)
{
    struct hf_error error = {0};
    *place = (struct place){0};
    if (directory == NULL) {
        return hf_cli_usage(cli, "--data=DIR is needed: the server's data directory");
    }
    if (strlen(directory) + sizeof("/" TOKENS_FILE ".lock") > PATH_BYTES) {
        return hf_cli_usage(cli, "the path of the data directory is too long");
    }
    (void)snprintf(place->path, sizeof(place->path), "%s/%s", directory, TOKENS_FILE);
    place->outside = hf_outside_linux_new();
    if (place->outside == NULL) {
        (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
        return hf_cli_fail(cli, &error);
    }
    if (make && place->outside->make_directory(place->outside, directory, &error) != HF_ERR_OK) {
        hf_outside_linux_free(place->outside);
        return hf_cli_fail(cli, &error);
    }
    return HF_CLI_GO_ON;
}

/* Wrong input is usage, an unknown id a no, the rest the environment. */
static int fail(const struct hf_cli *cli, const struct hf_error *error)
{
    int status = hf_cli_fail(cli, error);
    return error->code == HF_ERR_INVALID_REQUEST ? HF_EXIT_USAGE
           : error->code == HF_ERR_NOT_FOUND     ? HF_EXIT_NO
                                                 : status;
}

/* "90d", "12h", "30m", "45s", "45". */
static bool parse_duration(const char *text, uint64_t *seconds)
{
    size_t length = strlen(text);
    uint64_t unit = 1;
    hf_u128 number;
    if (length > 0) {
        switch (text[length - 1]) {
        case 'd':
            unit = 86400;
            break;
        case 'h':
            unit = 3600;
            break;
        case 'm':
            unit = 60;
            break;
        case 's':
            break;
        default:
            length++; /* plain seconds: nothing to cut off */
            break;
        }
        length--;
    }
    if (!hf_u128_parse((struct hf_str){text, length}, &number) || number > SECONDS_MAX) {
        return false;
    }
    *seconds = (uint64_t)number * unit; /* below 2^38 × 86,400 */
    return *seconds <= SECONDS_MAX;
}

static bool parse_scopes(const char *text, unsigned *scopes)
{
    *scopes = 0;
    while (true) {
        size_t length = strcspn(text, ", ");
        unsigned scope;
        if (!hf_scope_parse((struct hf_str){text, length}, &scope)) {
            return false;
        }
        *scopes |= scope;
        if (text[length] == 0) {
            return true;
        }
        text += length + 1;
    }
}

/* Splits at spaces inside of text; "users:*" is "users:". *count 0: there is none. NULL: memory. */
static const char **split_names(char *text, size_t *count)
{
    const char **names = hf_calloc(strlen(text) + 1, sizeof(*names));
    *count = 0;
    while (names != NULL) {
        text += strspn(text, " \t\n");
        size_t length = strcspn(text, " \t\n");
        if (length == 0) {
            break;
        }
        bool last = text[length] == 0;
        text[length] = 0;
        if (length > 1 && text[length - 1] == '*' &&
            strchr(".:/-_~@+=,", text[length - 2]) != NULL) {
            text[length - 1] = 0;
        }
        names[(*count)++] = text;
        if (last) {
            break;
        }
        text += length + 1;
    }
    return names;
}

static void put_names(struct hf_json_writer *w, const struct hf_token *token)
{
    if (token->names == NULL) {
        hf_json_put_null(w, "names");
        return;
    }
    hf_json_begin_array(w, "names");
    for (size_t i = 0; i < token->name_count; i++) {
        hf_json_put_text(w, NULL, hf_str_from(token->names[i]));
    }
    hf_json_end_array(w);
}

static void put_token(struct hf_json_writer *w, const struct hf_token *token)
{
    unsigned left = token->scopes;
    hf_json_put_text(w, "id", hf_str_from(token->id));
    hf_json_put_text(w, "principal", hf_str_from(token->principal));
    hf_json_begin_array(w, "scopes");
    for (unsigned bit = 1; left != 0; bit <<= 1) {
        if ((left & bit) != 0) {
            char text[HF_SCOPES_TEXT_BYTES];
            hf_scopes_format(bit, text);
            hf_json_put_text(w, NULL, hf_str_from(text));
            left &= ~bit;
        }
    }
    hf_json_end_array(w);
    put_names(w, token);
    if (token->created_at != NULL) {
        hf_json_put_text(w, "created_at", hf_str_from(token->created_at));
    }
    if (token->expires_at == NULL) {
        hf_json_put_null(w, "expires_at");
    } else {
        hf_json_put_text(w, "expires_at", hf_str_from(token->expires_at));
    }
}

/* The one time that a secret is shown. */
static int print_secret(const struct hf_cli *cli, const char *id, char *secret,
                        const struct hf_token *token)
{
    struct hf_buffer out;
    hf_buffer_init(&out);
    if (cli->json) {
        struct hf_json_writer w = hf_json_writer_over(&out);
        hf_json_begin_object(&w, NULL);
        if (token == NULL) {
            hf_json_put_text(&w, "id", hf_str_from(id));
        } else {
            put_token(&w, token);
        }
        hf_json_put_text(&w, "secret", hf_str_from(secret));
        hf_json_end_object(&w);
    } else {
        hf_buffer_format(&out, "token      %s\n", id);
        if (token != NULL) {
            char scopes[HF_SCOPES_TEXT_BYTES];
            hf_scopes_format(token->scopes, scopes);
            hf_buffer_format(&out, "principal  %s\nscopes     %s\n", token->principal, scopes);
        }
        hf_buffer_format(&out, "secret     %s\n", secret);
        (void)fprintf(stderr, "The secret is shown this once; only its SHA-256 is kept. Send it "
                              "as\nAuthorization: Bearer SECRET\n");
    }
    OPENSSL_cleanse(secret, HF_TOKEN_SECRET_BYTES);
    return hf_cli_print(cli, &out, HF_EXIT_OK);
}

static int store_new(const struct hf_cli *cli, const struct place *place,
                     const struct hf_token *token)
{
    char id[HF_TOKEN_ID_BYTES];
    char secret[HF_TOKEN_SECRET_BYTES];
    struct hf_error error = {0};
    if (hf_tokens_create(place->outside, place->path, token, id, secret, &error) != HF_ERR_OK) {
        return fail(cli, &error);
    }
    struct hf_token made = *token;
    made.id = id;
    return print_secret(cli, id, secret, &made);
}

static int create(int argc, char **argv)
{
    const char *data = NULL;
    const char *principal = NULL;
    const char *scopes = "read,commit";
    const char *names = NULL;
    const char *expires = NULL;
    const struct hf_cli_option options[] = {
        {"data", "DIR", "the server's data directory", .text = &data},
        {"principal", "NAME", "whom it belongs to: keys and replays are the principal's",
         .text = &principal},
        {"scopes", "LIST", "read, commit, operate, admin (default: read,commit)", .text = &scopes},
        {"names", "LIST", "ids and prefixes that it may touch (default: all)", .text = &names},
        {"expires-in", "TIME", "90d, 12h, 30m, 45s (default: never)", .text = &expires},
    };
    struct hf_cli cli = {
        .name = "token create",
        .operands_help = "--data=DIR --principal=NAME",
        .help =
            "Makes a token and prints its secret, once. A running server knows it within a "
            "second.\n"
            "With the first token the server lets nobody in without one. LIST of names: separated\n"
            "by spaces; each is an id, or a prefix that ends in one of . : / - _ ~ @ + = ,\n"
            "(users: or users:*), or * for all. Scopes: read; commit; operate (freeze, limits,\n"
            "status); admin (everything).",
        .options = options,
        .option_count = HF_ARRAY_COUNT(options),
    };
    struct hf_token token = {0};
    struct place place;
    uint64_t seconds = 0;
    char until[HF_TIME_TEXT_BYTES];
    int status = hf_cli_parse(&cli, argc, argv);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (principal == NULL) {
        return hf_cli_usage(&cli, "--principal=NAME is needed: whom the token belongs to");
    }
    if (!parse_scopes(scopes, &token.scopes)) {
        return hf_cli_usage(&cli, "scopes are read, commit, operate, admin; not %s", scopes);
    }
    if (expires != NULL && (!parse_duration(expires, &seconds) || seconds == 0)) {
        return hf_cli_usage(&cli, "--expires-in takes 90d, 12h, 30m or 45s, not %s", expires);
    }
    status = place_init(&cli, data, true, &place);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    HF_CHECK(place.outside != NULL);
    token.principal = principal;
    if (expires != NULL) {
        uint64_t now_us = place.outside->wall_us(place.outside);
        hf_time_format(hf_min_u64(HF_TIME_US_MAX, now_us + seconds * US_PER_SECOND), until);
        token.expires_at = until;
    }
    char *names_text = names == NULL ? NULL : strdup(names);
    const char **list = names_text == NULL ? NULL : split_names(names_text, &token.name_count);
    token.names = list;
    struct hf_error error = {0};
    if (names != NULL && list == NULL) {
        (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
        status = hf_cli_fail(&cli, &error);
    } else {
        status = store_new(&cli, &place, &token);
    }
    hf_free(list);
    free(names_text);
    hf_outside_linux_free(place.outside);
    return status;
}

struct listing {
    struct hf_buffer out;         /* the table, or the JSON */
    struct hf_json_writer w;      /* over it */
    char now[HF_TIME_TEXT_BYTES]; /* to tell what has ended; RFC 3339 sorts */
    bool json;                    /* which of both */
};

static const char *state_of(const struct listing *listing, const struct hf_token *token)
{
    if (token->expires_at != NULL && strcmp(token->expires_at, listing->now) <= 0) {
        return "ended";
    }
    return token->replaced_by != NULL ? "in grace" : "valid";
}

static void list_one(void *context, const struct hf_token *token)
{
    struct listing *listing = context;
    if (listing->json) {
        hf_json_begin_object(&listing->w, NULL);
        put_token(&listing->w, token);
        if (token->replaced_by == NULL) {
            hf_json_put_null(&listing->w, "replaced_by");
        } else {
            hf_json_put_text(&listing->w, "replaced_by", hf_str_from(token->replaced_by));
        }
        hf_json_put_text(&listing->w, "state", hf_str_from(state_of(listing, token)));
        hf_json_end_object(&listing->w);
        return;
    }
    char scopes[HF_SCOPES_TEXT_BYTES];
    hf_scopes_format(token->scopes, scopes);
    hf_buffer_format(&listing->out, "%-8s  %-16s  %-25s  %-28s  %-28s  %-8s ", token->id,
                     token->principal, scopes, token->created_at,
                     token->expires_at == NULL ? "never" : token->expires_at,
                     state_of(listing, token));
    if (token->names == NULL) {
        hf_buffer_text(&listing->out, " all");
    }
    for (size_t i = 0; token->names != NULL && i < token->name_count; i++) {
        hf_buffer_format(&listing->out, " %s", token->names[i]);
    }
    hf_buffer_u8(&listing->out, '\n');
}

static int list(int argc, char **argv)
{
    const char *data = NULL;
    const struct hf_cli_option options[] = {
        {"data", "DIR", "the server's data directory", .text = &data},
    };
    struct hf_cli cli = {
        .name = "token list",
        .operands_help = "--data=DIR",
        .help = "Lists the tokens; never a secret.",
        .options = options,
        .option_count = HF_ARRAY_COUNT(options),
    };
    struct hf_error error = {0};
    struct place place;
    int status = hf_cli_parse(&cli, argc, argv);
    if (status == HF_CLI_GO_ON) {
        status = place_init(&cli, data, false, &place);
    }
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    HF_CHECK(place.outside != NULL);
    struct listing listing = {.json = cli.json};
    hf_buffer_init(&listing.out);
    listing.w = hf_json_writer_over(&listing.out);
    hf_time_format(place.outside->wall_us(place.outside), listing.now);
    if (cli.json) {
        hf_json_begin_array(&listing.w, NULL);
    } else {
        hf_buffer_format(&listing.out, "%-8s  %-16s  %-25s  %-28s  %-28s  %-8s  %s\n", "ID",
                         "PRINCIPAL", "SCOPES", "CREATED", "EXPIRES", "STATE", "NAMES");
    }
    enum hf_err code = hf_tokens_list(place.outside, place.path, list_one, &listing, &error);
    hf_outside_linux_free(place.outside);
    if (code != HF_ERR_OK) {
        hf_buffer_release(&listing.out);
        return fail(&cli, &error);
    }
    if (cli.json) {
        hf_json_end_array(&listing.w);
    }
    return hf_cli_print(&cli, &listing.out, HF_EXIT_OK);
}

static int revoke(int argc, char **argv)
{
    const char *data = NULL;
    const struct hf_cli_option options[] = {
        {"data", "DIR", "the server's data directory", .text = &data},
    };
    struct hf_cli cli = {
        .name = "token revoke",
        .operands_help = "--data=DIR ID",
        .help =
            "Takes a token away; a running server refuses it within a second. Exit status 1 if\n"
            "there is no such token.",
        .options = options,
        .option_count = HF_ARRAY_COUNT(options),
        .operands_min = 1,
        .operands_max = 1,
    };
    struct hf_error error = {0};
    struct place place;
    int status = hf_cli_parse(&cli, argc, argv);
    if (status == HF_CLI_GO_ON) {
        status = place_init(&cli, data, false, &place);
    }
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    enum hf_err code = hf_tokens_revoke(place.outside, place.path, cli.operands[0], &error);
    hf_outside_linux_free(place.outside);
    if (code != HF_ERR_OK) {
        return fail(&cli, &error);
    }
    struct hf_buffer out;
    hf_buffer_init(&out);
    hf_buffer_format(&out, cli.json ? "{\"revoked\":\"%s\"}" : "revoked %s\n", cli.operands[0]);
    return hf_cli_print(&cli, &out, HF_EXIT_OK);
}

static int rotate(int argc, char **argv)
{
    const char *data = NULL;
    const char *grace = "1h";
    const struct hf_cli_option options[] = {
        {"data", "DIR", "the server's data directory", .text = &data},
        {"grace", "TIME", "how long the old secret stays good: 1h (default), 7d, 0",
         .text = &grace},
    };
    struct hf_cli cli = {
        .name = "token rotate",
        .operands_help = "--data=DIR ID",
        .help =
            "A new secret (and id) for the same principal, scopes and names, with the same\n"
            "lifetime from now on. The old one ends after --grace. Keys and replays go on: they\n"
            "are the principal's. Exit status 1 if there is no such token.",
        .options = options,
        .option_count = HF_ARRAY_COUNT(options),
        .operands_min = 1,
        .operands_max = 1,
    };
    struct hf_error error = {0};
    struct place place;
    uint64_t seconds = 0;
    char id[HF_TOKEN_ID_BYTES];
    char secret[HF_TOKEN_SECRET_BYTES];
    int status = hf_cli_parse(&cli, argc, argv);
    if (status == HF_CLI_GO_ON && !parse_duration(grace, &seconds)) {
        status = hf_cli_usage(&cli, "--grace takes 7d, 1h, 30m, 45s or 0, not %s", grace);
    }
    if (status == HF_CLI_GO_ON) {
        status = place_init(&cli, data, false, &place);
    }
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    enum hf_err code =
        hf_tokens_rotate(place.outside, place.path, cli.operands[0], seconds, id, secret, &error);
    hf_outside_linux_free(place.outside);
    return code == HF_ERR_OK ? print_secret(&cli, id, secret, NULL) : fail(&cli, &error);
}

static int usage(FILE *to, int status)
{
    (void)fprintf(to, "Usage: holdfast token create|list|revoke|rotate --data=DIR [OPTION...]\n\n"
                      "  create  make a token and print its secret, once\n"
                      "  list    the tokens, without secrets\n"
                      "  revoke  take a token away\n"
                      "  rotate  a new secret; the old one ends after a while\n\n"
                      "Each has its own help: holdfast token create --help. All take --json.\n");
    return status;
}

int hf_cli_token(int argc, char **argv)
{
    static const struct {
        const char *name;                  /* argv[1] */
        int (*run)(int argc, char **argv); /* argv[0] is the name */
    } commands[] = {{"create", create}, {"list", list}, {"revoke", revoke}, {"rotate", rotate}};
    if (argc >= 2 && strcmp(argv[1], "--help") == 0) {
        return usage(stdout, HF_EXIT_OK);
    }
    for (size_t i = 0; argc >= 2 && i < HF_ARRAY_COUNT(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    (void)fprintf(stderr, "holdfast token: create, list, revoke or rotate\n");
    return usage(stderr, HF_EXIT_USAGE);
}
