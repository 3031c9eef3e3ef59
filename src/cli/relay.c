/* holdfast relay postgresql|sqlite NAME DATABASE: the options, the run, how it ended. The program holdfast-relay. */
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#ifdef HF_RELAY_POSTGRESQL
#include <libpq-fe.h>
#endif

#include "base/check.h"
#include "base/limits.h"
#include "cli/remote.h"
#include "core/name.h"
#include "relay/relay.h"

#define BATCH_ROWS_MAX 2000
#define OWN_OPTIONS    18

static const char common_help[] =
    "\n"
    "A row becomes one message: its id, in the topic of its aggregatetype, with its aggregateid as "
    "the\n"
    "key that order is kept by, its type, and its payload (JSON) as data. The cursor is the "
    "document\n"
    "relay:NAME in Holdfast, written in the commit that publishes the rows: so each comes exactly "
    "once,\n"
    "whatever is killed. A row that can be no message stops the relay, or is parked "
    "(--on-bad=park) in\n"
    "the stream relay:NAME:parked. The server is asked again until it answers.\n"
    "\n"
    "With --json a line of counters on standard output every --status-every seconds. SIGTERM: what "
    "was\n"
    "read is published, then it ends with 0. It ends with 1 if it must not go on; the reason says "
    "what\n"
    "to do.\n";

static const char sqlite_help[] = "Publishes the rows of an outbox table in the SQLite file FILE. "
                                  "The table needs a column INTEGER\n"
                                  "PRIMARY KEY AUTOINCREMENT: rows are published in its order.\n";
static const char sqlite_example[] = "\n"
                                     "Example:\n"
                                     "  holdfast relay sqlite shop /var/lib/shop/shop.db";
static const char postgresql_help[] = "Publishes the rows of an outbox table in PostgreSQL (13 or "
                                      "newer, wal_level = logical), by logical\n"
                                      "replication with pgoutput: in the order of their "
                                      "transactions' commits, rows that are deleted at\n"
                                      "once too. CONNINFO is libpq's (host=… dbname=… user=…, or "
                                      "postgresql://…); the password comes from\n"
                                      "PGPASSWORD, a service file or ~/.pgpass. The role needs "
                                      "REPLICATION and may SELECT the table.\n";
static const char postgresql_example[] =
    "\n"
    "Example:\n"
    "  holdfast relay postgresql shop 'host=db dbname=shop user=relay' --create";

/* What was given, before it is checked. */
struct given {
    struct hf_relay_options options;
    struct hf_cli_texts columns;
    const char *on_bad;
    uint64_t heartbeat_s, status_s;
};

static size_t own_options(bool postgresql, struct given *given,
                          struct hf_cli_option rows[OWN_OPTIONS])
{
    struct hf_relay_options *to = &given->options;
    const struct hf_cli_option both[] = {
        {"table", "TABLE", "the outbox (default: outbox)", .text = &to->table},
        {"column", "FIELD=NAME",
         "the column of id, aggregatetype, aggregateid, type or payload is\n"
         "called NAME; may be repeated",
         .texts = &given->columns},
        {"topic-prefix", "TEXT", "topics are TEXT and the aggregatetype",
         .text = &to->names.topic_prefix},
        {"id-prefix", "TEXT",
         "message ids are TEXT and the id: ids of all relays are one name space,\n"
         "so give it where ids are plain numbers",
         .text = &to->names.id_prefix},
        {"on-bad", "stop|park",
         "a row that can be no message: stop (default), or keep it in the stream\n"
         "relay:NAME:parked and go on",
         .text = &given->on_bad},
        {"batch-rows", "N", "rows in a commit, at most (default 500)",
         .number = &to->batch_rows_max},
        {"once", NULL, "end when everything that is there is published", .flag = &to->once},
        {"adopt", "VERSION",
         "go on from the database as it is; VERSION is told by the refusal and\n"
         "good for once",
         .number = &to->adopt},
        {"metrics-file", "FILE", "written every second, in Prometheus' text format",
         .text = &to->status.metrics_file},
        {"status-every", "SECONDS", "between two lines of --json (default 10)",
         .number = &given->status_s},
    };
    const struct hf_cli_option replication[] = {
        {"slot", "SLOT", "the replication slot (default: holdfast_relay)", .text = &to->slot},
        {"publication", "NAME", "the publication (default: holdfast_relay)",
         .text = &to->publication},
        {"create", NULL, "slot and publication are made if they are not there",
         .flag = &to->create},
        {"publish-existing", "COLUMN",
         "at the first start: rows that are there are published first, in the\n"
         "order of COLUMN",
         .text = &to->publish_existing},
        {"skip-existing", NULL, "at the first start: rows that are there are left alone",
         .flag = &to->skip_existing},
        {"heartbeat", "SECONDS",
         "how often the slot moves on though the outbox is quiet, so that WAL can\n"
         "be removed (default 10)",
         .number = &given->heartbeat_s},
    };
    const struct hf_cli_option polling[] = {
        {"poll-ms", "MS", "between two looks (default 50)", .number = &to->poll_ms},
        {"delete-published", NULL, "delete rows when they are published",
         .flag = &to->delete_published},
    };
    size_t count = HF_ARRAY_COUNT(both);
    memcpy(rows, both, sizeof(both));
    if (postgresql) {
        memcpy(rows + count, replication, sizeof(replication));
        return count + HF_ARRAY_COUNT(replication);
    }
    memcpy(rows + count, polling, sizeof(polling));
    return count + HF_ARRAY_COUNT(polling);
}

/* ---- checks ---- */

/* HF_CLI_GO_ON or the exit status. */
static int check_name(const struct hf_cli *cli, const char *name)
{
    char longest[HF_NAME_BYTES_MAX + 32];
    int length = snprintf(longest, sizeof(longest), "relay:%s:parked", name);
    struct hf_str text = {longest, (size_t)length};
    if (length < 0 || (size_t)length >= sizeof(longest) || name[0] == '\0' ||
        !hf_name_valid(text)) {
        return hf_cli_usage(cli, "NAME is 1 to %d of A-Z a-z 0-9 . _ : @ + = , ~ -",
                            HF_NAME_BYTES_MAX - 13);
    }
    return HF_CLI_GO_ON;
}

/* A password on a command line can be read by everybody on the machine. */
static int check_conninfo(const struct hf_cli *cli, const char *text)
{
#ifdef HF_RELAY_POSTGRESQL
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(text, &why);
    bool password = false;
    if (options == NULL) {
        int status = hf_cli_usage(cli, "CONNINFO: %s", why == NULL ? "out of memory" : why);
        PQfreemem(why);
        return status;
    }
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        password = password || (option->val != NULL && strcmp(option->keyword, "password") == 0);
    }
    PQconninfoFree(options);
    if (password) {
        return hf_cli_usage(cli,
                            "a password in CONNINFO can be seen by every user of this machine; put "
                            "it into ~/.pgpass, a service file or PGPASSWORD");
    }
#else
    (void)cli;
    (void)text;
#endif
    return HF_CLI_GO_ON;
}

static int check(const struct hf_cli *cli, bool postgresql, struct given *given)
{
    struct hf_relay_options *options = &given->options;
    options->name = cli->operands[0];
    options->database = cli->operands[1];
    for (size_t i = 0; i < given->columns.count; i++) {
        if (!hf_outbox_take_column(&options->names, given->columns.items[i])) {
            return hf_cli_usage(
                cli,
                "--column is FIELD=NAME with id, aggregatetype, aggregateid, type or "
                "payload as FIELD, not %s",
                given->columns.items[i]);
        }
    }
    options->park = given->on_bad != NULL && strcmp(given->on_bad, "park") == 0;
    if (given->on_bad != NULL && !options->park && strcmp(given->on_bad, "stop") != 0) {
        return hf_cli_usage(cli, "--on-bad is stop or park, not %s", given->on_bad);
    }
    if (options->batch_rows_max < 1 || options->batch_rows_max > BATCH_ROWS_MAX) {
        return hf_cli_usage(cli, "--batch-rows is from 1 to %d", BATCH_ROWS_MAX);
    }
    if (options->poll_ms < 1 || options->poll_ms > 60000) {
        return hf_cli_usage(cli, "--poll-ms is from 1 to 60000");
    }
    if (given->heartbeat_s < 1 || given->heartbeat_s > 3600 || given->status_s < 1 ||
        given->status_s > 86400) {
        return hf_cli_usage(
            cli, "--heartbeat is from 1 to 3600 seconds, --status-every from 1 to 86400");
    }
    if (options->skip_existing && options->publish_existing != NULL) {
        return hf_cli_usage(cli, "either --publish-existing or --skip-existing");
    }
    options->heartbeat_ms = given->heartbeat_s * 1000;
    options->status.every_ms = given->status_s * 1000;
    options->status.json = cli->json;
    options->status.command = cli->name;
    int status = check_name(cli, options->name);
    return status == HF_CLI_GO_ON && postgresql ? check_conninfo(cli, options->database) : status;
}

/* ---- the run ---- */

static int signals_of(void)
{
    sigset_t wanted;
    HF_CHECK(sigemptyset(&wanted) == 0);
    HF_CHECK(sigaddset(&wanted, SIGTERM) == 0 && sigaddset(&wanted, SIGINT) == 0);
    HF_CHECK(pthread_sigmask(SIG_BLOCK, &wanted, NULL) == 0);
    (void)signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
}

static enum hf_relay_end run_source(bool postgresql, struct hf_relay *relay)
{
#ifdef HF_RELAY_POSTGRESQL
    if (postgresql) {
        return hf_relay_run_postgresql(relay);
    }
#endif
#ifdef HF_RELAY_SQLITE
    if (!postgresql) {
        return hf_relay_run_sqlite(relay);
    }
#endif
    return hf_relay_say(relay, HF_RELAY_FAILED, "this program was built without %s",
                        postgresql ? "libpq" : "SQLite");
}

static int run(const struct hf_cli *cli, bool postgresql, const struct hf_relay_options *options,
               struct holdfast_client *client)
{
    struct hf_relay relay = {.options = options, .client = client, .signals = signals_of()};
    struct hf_error error = {0};
    if (relay.signals < 0) {
        (void)hf_error_set(&error, HF_ERR_IO, "signalfd failed");
        return hf_cli_fail(cli, &error);
    }
    hf_relay_status_init(&relay.status, &options->status, options->name);
    enum hf_relay_end end = run_source(postgresql, &relay);
    hf_relay_status_state(&relay.status, HF_RELAY_ENDED);
    (void)close(relay.signals);
    if (end == HF_RELAY_DONE) {
        return HF_EXIT_OK;
    }
    hf_relay_warn(&relay.status, "%s", relay.error);
    return end == HF_RELAY_REFUSED ? HF_EXIT_NO : HF_EXIT_ENVIRONMENT;
}

static int relay_from(bool postgresql, int argc, char **argv)
{
    struct given given = {.options = {.table = "outbox",
                                      .slot = "holdfast_relay",
                                      .publication = "holdfast_relay",
                                      .batch_rows_max = 500,
                                      .poll_ms = 50},
                          .heartbeat_s = 10,
                          .status_s = 10};
    struct hf_remote_values values;
    struct hf_cli_option options[OWN_OPTIONS + HF_REMOTE_OPTION_COUNT];
    char help[4096];
    struct hf_remote_call call;
    size_t count = own_options(postgresql, &given, options);
    (void)snprintf(help, sizeof(help), "%s%s%s", postgresql ? postgresql_help : sqlite_help,
                   common_help, postgresql ? postgresql_example : sqlite_example);
    struct hf_cli cli = {
        .name = postgresql ? "relay postgresql" : "relay sqlite",
        .operands_help = postgresql ? "NAME CONNINFO" : "NAME FILE",
        .help = help,
        .options = options,
        .option_count = count + hf_remote_options(HF_REMOTE_EVERYWHERE &
                                                      ~HF_REMOTE_BIT(HF_REMOTE_GIVE_UP_AFTER),
                                                  &values, options + count),
        .operands_min = 2,
        .operands_max = 2,
    };
    int status = hf_cli_parse(&cli, argc, argv);
    status = status == HF_CLI_GO_ON ? check(&cli, postgresql, &given) : status;
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    status = hf_remote_begin(&call, &cli, &values);
    if (status == HF_CLI_GO_ON) {
        atomic_store(&call.told, true); /* the relay tells of retries itself */
        status = run(&cli, postgresql, &given.options, call.client);
    }
    hf_remote_end(&call);
    return status;
}

static int usage(FILE *to, int status)
{
    (void)fprintf(to, "Usage: holdfast relay VERB [OPTION...] [ARGUMENT...]\n\n"
                      "Publishes the rows of an outbox table, each exactly once and in order.\n\n"
                      "Verbs:\n"
                      "  postgresql NAME CONNINFO  follow a table by logical replication\n"
                      "  sqlite     NAME FILE      follow a table of an SQLite file\n\n"
                      "Each has its own help: holdfast relay VERB --help.\n");
    return status;
}

int main(int argc, char **argv)
{
    const char *word = argc < 2 ? "" : argv[1];
    if (strcmp(word, "postgresql") == 0 || strcmp(word, "sqlite") == 0) {
        return relay_from(word[0] == 'p', argc - 1, argv + 1);
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "help") == 0) {
        return usage(stdout, HF_EXIT_OK);
    }
    if (word[0] != '\0') {
        (void)fprintf(stderr, "holdfast relay: no such verb: %s\n", word);
    }
    return usage(stderr, HF_EXIT_USAGE);
}
