/* holdfast bench: see bench.h. */
#include <errno.h>
#include <sys/random.h>

#include "cli/bench.h"
#include "holdfast_packed.h"

#define SECONDS_DEFAULT  10
#define ACCOUNTS_DEFAULT 10000
#define COMMIT_BATCH     100
#define NDJSON_BATCH     1000
#define NDJSON_BATCH_MAX 10000
#define TOKEN_FILE_BYTES 4096

struct row {
    const char *name;
    enum hf_bench_form form;
    enum hf_bench_choice choice;
    bool two_phase;
    uint64_t batch, batch_max;
    uint64_t connections;
    uint64_t read_percent;
};

static const struct row rows[] = {
    {"bulk", HF_BENCH_PACKED, HF_BENCH_UNIFORM, false, HOLDFAST_PACKED_RECORDS_MAX,
     HOLDFAST_PACKED_RECORDS_MAX, 4, 0},
    {"single", HF_BENCH_SINGLE, HF_BENCH_UNIFORM, false, 1, 1, 64, 0},
    {"mixed", HF_BENCH_SINGLE, HF_BENCH_UNIFORM, false, 1, 1, 64, 50},
    {"hot", HF_BENCH_SINGLE, HF_BENCH_HOT, false, 1, 1, 64, 0},
    {"two-hot", HF_BENCH_SINGLE, HF_BENCH_TWO_HOT, false, 1, 1, 64, 0},
    {"zipf", HF_BENCH_SINGLE, HF_BENCH_ZIPF, false, 1, 1, 64, 0},
    {"holds", HF_BENCH_PACKED, HF_BENCH_UNIFORM, true, HOLDFAST_PACKED_RECORDS_MAX,
     HOLDFAST_PACKED_RECORDS_MAX, 4, 0},
    {"streams", HF_BENCH_STREAMS, HF_BENCH_UNIFORM, false, COMMIT_BATCH, 1000, 8, 0},
    {"documents", HF_BENCH_DOCUMENTS, HF_BENCH_UNIFORM, false, COMMIT_BATCH, 1000, 8, 0},
    {"ndjson", HF_BENCH_NDJSON, HF_BENCH_UNIFORM, false, NDJSON_BATCH, NDJSON_BATCH_MAX, 4, 0},
};

/* What the options said. */
struct asked {
    const char *server, *token_file, *workload, *ids, *svg;
    uint64_t accounts, transfers, seconds, batch, connections, rate, reads, hot_every, step, seed;
    bool packed;
};

static const struct row *find_row(const char *name)
{
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

/* "http://host:port" into the plan. */
static bool take_server(const char *url, struct hf_bench_plan *plan)
{
    static const char scheme[] = "http://";
    const char *rest =
        strncmp(url, scheme, sizeof(scheme) - 1) == 0 ? url + sizeof(scheme) - 1 : NULL;
    const char *colon = rest == NULL ? NULL : strrchr(rest, ':');
    if (colon == NULL || colon == rest || (size_t)(colon - rest) >= sizeof(plan->host) ||
        strlen(colon + 1) == 0 || strlen(colon + 1) >= sizeof(plan->port) ||
        colon[1 + strspn(colon + 1, "0123456789")] != '\0') {
        return false;
    }
    memcpy(plan->host, rest, (size_t)(colon - rest));
    (void)snprintf(plan->port, sizeof(plan->port), "%s", colon + 1);
    return true;
}

static bool take_token(const char *path, struct hf_bench_plan *plan, struct hf_error *error)
{
    struct hf_buffer text;
    hf_buffer_init(&text);
    bool ok = hf_cli_read_file(path, TOKEN_FILE_BYTES, &text, error) == HF_ERR_OK;
    if (ok) {
        size_t len = text.size_bytes;
        while (len > 0 && (text.data[len - 1] == '\n' || text.data[len - 1] == '\r')) {
            len--;
        }
        ok = len > 0 && len < sizeof(plan->token);
        if (ok) {
            memcpy(plan->token, text.data, len);
        } else {
            (void)hf_error_set(error, HF_ERR_INVALID_REQUEST, "%s holds no token", path);
        }
    }
    hf_buffer_release(&text);
    return ok;
}

/* HF_CLI_GO_ON, or the exit status of what was wrong. */
static int make_plan(const struct hf_cli *cli, const struct asked *asked,
                     struct hf_bench_plan *plan)
{
    const struct row *row = find_row(asked->workload);
    if (row == NULL) {
        return hf_cli_usage(cli, "no such workload: %s", asked->workload);
    }
    bool packed = asked->packed && row->form == HF_BENCH_SINGLE;
    uint64_t batch_max = packed ? HOLDFAST_PACKED_RECORDS_MAX : row->batch_max;
    *plan = (struct hf_bench_plan){
        .workload = row->name,
        .form = packed ? HF_BENCH_PACKED : row->form,
        .choice = row->choice,
        .two_phase = row->two_phase,
        .accounts = asked->accounts,
        .operations = asked->transfers,
        .seconds = asked->seconds,
        .batch = asked->batch > 0 ? asked->batch : (packed ? batch_max : row->batch),
        .connections =
            asked->connections > 0 ? asked->connections : (packed ? 4 : row->connections),
        .rate = asked->rate,
        .read_percent = asked->reads <= 100 ? asked->reads : row->read_percent,
        .hot_every = asked->hot_every,
        .step = asked->step,
        .random_ids = strcmp(asked->ids, "random") == 0,
        .seed = asked->seed,
    };
    if (plan->operations == 0 && plan->seconds == 0) {
        plan->seconds = SECONDS_DEFAULT;
    }
    if (plan->accounts < 2 || plan->accounts > HF_BENCH_ACCOUNTS_MAX) {
        return hf_cli_usage(cli, "--accounts is 2 to %u", HF_BENCH_ACCOUNTS_MAX);
    }
    if (plan->batch > batch_max) {
        return hf_cli_usage(cli, "--batch is at most %llu here", (unsigned long long)batch_max);
    }
    if (plan->connections > HF_BENCH_CONNECTIONS_MAX) {
        return hf_cli_usage(cli, "--connections is at most %d", HF_BENCH_CONNECTIONS_MAX);
    }
    if (!plan->random_ids && strcmp(asked->ids, "time") != 0) {
        return hf_cli_usage(cli, "--ids is time or random");
    }
    if (plan->read_percent > 0 && plan->form != HF_BENCH_SINGLE) {
        return hf_cli_usage(cli, "--reads goes with transfers one by one");
    }
    if (plan->hot_every > 0 && plan->form > HF_BENCH_NDJSON) {
        return hf_cli_usage(cli, "--hot-every goes with transfers");
    }
    if (plan->step > 0 &&
        (plan->operations == 0 || plan->operations / plan->step > HF_BENCH_STEPS_MAX)) {
        return hf_cli_usage(cli, "--step goes with --transfers, of at most %u steps",
                            HF_BENCH_STEPS_MAX);
    }
    if (!take_server(asked->server, plan)) {
        return hf_cli_usage(cli, "--server is http://HOST:PORT, not %s", asked->server);
    }
    return HF_CLI_GO_ON;
}

static int write_svg(const struct hf_cli *cli, const char *path, const struct hf_bench_plan *plan,
                     const struct hf_bench_result *result)
{
    struct hf_buffer picture;
    hf_buffer_init(&picture);
    hf_bench_svg(plan, result, &picture);
    FILE *file = picture.failed ? NULL : fopen(path, "w");
    bool ok =
        file != NULL && fwrite(picture.data, 1, picture.size_bytes, file) == picture.size_bytes;
    ok = file != NULL && fclose(file) == 0 && ok;
    int why = errno;
    hf_buffer_release(&picture);
    if (!ok) {
        struct hf_error error = {0};
        (void)hf_error_set(&error, HF_ERR_IO, "write %s: %s", path, strerror(why));
        return hf_cli_fail(cli, &error);
    }
    return HF_CLI_GO_ON;
}

/* Accounts opened and funded; what they hold in all. */
static bool prepare(const struct hf_bench_plan *plan, hf_u128 *total, struct hf_error *error)
{
    struct hf_bench_line line;
    struct hf_cli_progress progress;
    if (!hf_bench_line_open(&line, plan, error)) {
        return false;
    }
    hf_cli_progress_init(&progress, "bench: accounts");
    bool ok = hf_bench_prepare(plan, &line, &progress, error);
    hf_cli_progress_end(&progress);
    ok = ok && hf_bench_totals(plan, &line, total, error);
    hf_bench_line_close(&line);
    return ok;
}

/* Over a connection of its own: one kept idle during the load would have been closed by then. */
static bool look_again(const struct hf_bench_plan *plan, hf_u128 *total, struct hf_error *error)
{
    struct hf_bench_line line;
    if (!hf_bench_line_open(&line, plan, error)) {
        return false;
    }
    bool ok = hf_bench_totals(plan, &line, total, error);
    hf_bench_line_close(&line);
    return ok;
}

/* Prepared, run, compared. */
static bool measure(const struct hf_bench_plan *plan, struct hf_bench_result *result,
                    struct hf_error *error)
{
    struct hf_cli_progress progress;
    hf_u128 before;
    hf_u128 after;
    if (!prepare(plan, &before, error)) {
        return false;
    }
    hf_cli_progress_init(&progress, "bench: load");
    bool ok = hf_bench_run(plan, &progress, result, error);
    hf_cli_progress_end(&progress);
    if (!ok || !look_again(plan, &after, error)) {
        return false;
    }
    result->grown = after - before;
    return true;
}

static int bench(const struct hf_cli *cli, const struct asked *asked)
{
    static struct hf_bench_result result; /* its buckets are many */
    struct hf_bench_plan plan;
    struct hf_error error = {0};
    int status = make_plan(cli, asked, &plan);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (asked->token_file != NULL && !take_token(asked->token_file, &plan, &error)) {
        return hf_cli_fail(cli, &error);
    }
    if (getrandom(&plan.run, sizeof(plan.run), 0) != (ssize_t)sizeof(plan.run)) {
        (void)hf_error_set(&error, HF_ERR_IO, "no random bytes: %s", strerror(errno));
        return hf_cli_fail(cli, &error);
    }
    plan.run |= 1;
    result = (struct hf_bench_result){0};
    if (!measure(&plan, &result, &error)) {
        return hf_cli_fail(cli, &error);
    }
    status = asked->svg == NULL ? HF_CLI_GO_ON : write_svg(cli, asked->svg, &plan, &result);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    struct hf_buffer out;
    hf_buffer_init(&out);
    if (cli->json) {
        hf_bench_json(&plan, &result, &out);
    } else {
        hf_bench_table(&plan, &result, &out);
    }
    return hf_cli_print(cli, &out, result.grown == result.expected ? HF_EXIT_OK : HF_EXIT_NO);
}

int hf_cli_bench(int argc, char **argv)
{
    const char *from_environment = getenv("HOLDFAST_SERVER");
    struct asked asked = {
        .server = from_environment != NULL ? from_environment : "http://127.0.0.1:7070",
        .workload = "bulk",
        .ids = "time",
        .accounts = ACCOUNTS_DEFAULT,
        .seed = 1,
        .reads = UINT64_MAX,
    };
    const struct hf_cli_option options[] = {
        {"server", "URL", "http://HOST:PORT (else $HOLDFAST_SERVER, else http://127.0.0.1:7070)",
         .text = &asked.server},
        {"token-file", "FILE",
         "the token to send; its principal needs the scope commit for all names",
         .text = &asked.token_file},
        {"workload", "NAME", "bulk single mixed hot two-hot zipf holds streams documents ndjson",
         .text = &asked.workload},
        {"packed", NULL, "hot, two-hot, zipf: packed records instead of transfers one by one",
         .flag = &asked.packed},
        {"accounts", "N", "accounts (streams, documents) that are used (default 10000)",
         .number = &asked.accounts},
        {"transfers", "N", "end when so many operations are sent", .number = &asked.transfers},
        {"seconds", "N", "end after so long (default 10, unless --transfers is given)",
         .number = &asked.seconds},
        {"batch", "N", "operations in a request (bulk and holds 8190, ndjson 1000, commits 100)",
         .number = &asked.batch},
        {"connections", "N", "each has one request under way (default 4, singles 64)",
         .number = &asked.connections},
        {"rate", "N", "open loop: so many requests a second are due, whatever the answers do",
         .number = &asked.rate},
        {"reads", "PERCENT", "of the requests read an account instead (mixed: 50)",
         .number = &asked.reads},
        {"hot-every", "N", "one of N transfers is from account 0, which so has a long history",
         .number = &asked.hot_every},
        {"step", "N", "tell the rate of each N operations, too", .number = &asked.step},
        {"ids", "HOW", "time: ids ascend (default); random: all 128 bits are", .text = &asked.ids},
        {"seed", "N", "of the choice of accounts (default 1)", .number = &asked.seed},
        {"svg", "FILE", "write latency by percentile as a picture", .text = &asked.svg},
    };
    struct hf_cli cli = {
        .name = "bench",
        .operands_help = "",
        .help = "Puts a load on a running server and measures rate and latency from outside. It "
                "opens and\n"
                "funds accounts of its own (named 62656e63-6800-…) and leaves them there: not for "
                "a ledger\n"
                "that is in use. Every answer is looked at, and the server's totals are compared "
                "with the\n"
                "answers at the end; exit status 1 if they differ.\n"
                "Without --rate the next request is sent when the last one is answered (closed "
                "loop), and a\n"
                "server that stands still is asked less. With --rate a request's time counts from "
                "when it\n"
                "was due, so a standstill shows in the latency of all that were due in it.\n"
                "\nExample:\n  holdfast bench --workload=bulk --transfers=10000000 --svg=bulk.svg",
        .options = options,
        .option_count = HF_ARRAY_COUNT(options),
    };
    int status = hf_cli_parse(&cli, argc, argv);
    return status != HF_CLI_GO_ON ? status : bench(&cli, &asked);
}
