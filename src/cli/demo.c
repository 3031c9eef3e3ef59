/*
 * holdfast demo FILE --directory DIR: the main job on real input, over HTTP.
 *
 * Pass one: every row as a transfer, each command sent one to three times by eight threads to a server that is
 * killed by -9 in the middle and started again. Pass two: customers have a floor of 0, each account's rows go in
 * file order, and what is refused is listed.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "cli/cli.h"
#include "cli/demo.h"
#include "cli/verify.h"

#define LOOK_EVERY_US    200
#define PASS_TWO_THREADS 32 /* accounts are shared among them */
#define KILLS_MAX        1000
#define WAIT_MS_MAX      120000 /* for an answer, restarts of the server included */

struct result {
    uint64_t posted, refused_first;   /* pass one, by the answers */
    uint64_t posted_second, refused;  /* pass two, by the answers */
    uint64_t refused_accounts;        /* accounts with a refusal */
    uint64_t wrong_sums;              /* accounts whose sum is not the file's */
    uint64_t restarts;                /* after kills */
    double first_per_s, second_per_s; /* requests a second, restarts included */
    struct hf_verify_report verified[2];
    uint64_t off; /* things that are not as they must be */
};

struct run {
    const struct hf_cli *cli;
    struct hf_bank bank;
    struct hf_demo demo;
    struct hf_demo_server servers[2]; /* of the passes */
    uint64_t seed, kills;             /* wanted */
    uint16_t *codes;                  /* by row: status in pass two; owned */
    hf_i128 *sums; /* by customer: posted, as the ledger says after pass one; owned */
    struct result result;
    struct hf_cli_progress progress;
    struct hf_outside *outside;
};

static void say(struct run *run, const char *format, ...) HF_PRINTF(2, 3);

/* A line of the report, at once. */
static void say(struct run *run, const char *format, ...)
{
    if (run->cli->json) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    hf_cli_progress_end(&run->progress);
    (void)vprintf(format, arguments);
    (void)fflush(stdout);
    va_end(arguments);
}

static void off(struct run *run, const char *format, ...) HF_PRINTF(2, 3);

/* Something is not as it must be: said in any case, and the exit status is 1. */
static void off(struct run *run, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    hf_cli_progress_end(&run->progress);
    (void)fprintf(stderr, "holdfast demo: OFF: ");
    (void)vfprintf(stderr, format, arguments);
    (void)fprintf(stderr, "\n");
    va_end(arguments);
    run->result.off++;
}

/* A client of the pass's server. */
static bool connect_client(struct run *run, const struct hf_demo_server *server,
                           struct holdfast_client **client)
{
    char address[HF_DEMO_ADDRESS_BYTES + 8];
    const char *list[] = {address};
    struct holdfast_client_failure failure;
    struct holdfast_client_options options = {.addresses = list,
                                              .address_count = 1,
                                              .total_timeout_ms = WAIT_MS_MAX,
                                              .backoff_max_ms = 50};
    (void)snprintf(address, sizeof(address), "http://%s", server->address);
    if (holdfast_client_new(&options, client, &failure) != HOLDFAST_CLIENT_OK) {
        off(run, "client: %s", failure.text);
        return false;
    }
    return true;
}

static bool start_server(struct run *run, struct hf_demo_server *server)
{
    if (!hf_demo_server_start(server)) {
        off(run, "start holdfast serve: %s", strerror(errno));
        return false;
    }
    return true;
}

/* A clean end, so that the log is sealed. */
static bool stop_server(struct run *run, struct hf_demo_server *server)
{
    int status = hf_demo_server_end(server, SIGTERM);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        off(run, "holdfast serve ended badly: %s tells why", server->log);
        return false;
    }
    return true;
}

/* Rows answered at which the server dies: kill k of n about k/(n+1) of the way, a little random. */
static uint64_t kill_moment(const struct run *run, uint64_t kill)
{
    uint64_t rows = run->bank.row_count;
    uint64_t share = rows / (run->kills + 1);
    uint64_t noise = 0;
    run->outside->random(run->outside, &noise, sizeof(noise));
    return kill * share + noise % (share / 4 + 1) + 1;
}

/* What the thread that sends the rows shares with the one that kills. */
struct rows {
    struct hf_demo *demo;
    atomic_bool ended; /* all are answered, or it failed */
};

static void *send_rows(void *context)
{
    struct rows *rows = context;
    (void)hf_demo_send(rows->demo, HF_DEMO_ROWS);
    atomic_store(&rows->ended, true);
    return NULL;
}

/* Sends all rows; meanwhile the server is killed and started again. */
static void send_rows_with_kills(struct run *run)
{
    struct rows rows = {.demo = &run->demo};
    struct hf_demo_server *server = &run->servers[0];
    pthread_t thread;
    uint64_t kill_at = run->kills > 0 ? kill_moment(run, 1) : UINT64_MAX;
    HF_CHECK(pthread_create(&thread, NULL, send_rows, &rows) == 0);
    while (!atomic_load(&rows.ended)) {
        uint64_t done = atomic_load(&run->demo.rows_done);
        if (done < kill_at) {
            hf_cli_progress_show(&run->progress, done, run->bank.row_count);
            (void)usleep(LOOK_EVERY_US);
            continue;
        }
        (void)hf_demo_server_end(server, SIGKILL);
        say(run, "server killed by -9 after %" PRIu64 " of %zu rows were answered; started again\n",
            (uint64_t)atomic_load(&run->demo.rows_done), run->bank.row_count);
        run->result.restarts++;
        kill_at = run->result.restarts < run->kills ? kill_moment(run, run->result.restarts + 1)
                                                    : UINT64_MAX;
        if (!start_server(run, server)) {
            break; /* the senders give up by themselves */
        }
    }
    HF_CHECK(pthread_join(thread, NULL) == 0);
}

static bool pass_one(struct run *run)
{
    struct hf_demo *demo = &run->demo;
    if (!start_server(run, &run->servers[0]) ||
        !connect_client(run, &run->servers[0], &demo->target.client)) {
        return false;
    }
    bool sent = hf_demo_send(demo, HF_DEMO_OPENINGS);
    uint64_t sent_before = atomic_load(&demo->sent);
    uint64_t begin_us = run->outside->monotonic_us(run->outside);
    if (sent) {
        send_rows_with_kills(run);
        sent = !atomic_load(&demo->failed) && hf_demo_send(demo, HF_DEMO_AGAIN);
    }
    uint64_t took_us = run->outside->monotonic_us(run->outside) - begin_us;
    run->result.first_per_s =
        (double)(atomic_load(&demo->sent) - sent_before) * 1e6 / ((double)took_us + 1);
    sent = sent && hf_demo_read_sums(demo, run->sums);
    if (!sent) {
        off(run, "pass one: %s", demo->failure);
    }
    holdfast_client_free(demo->target.client);
    return stop_server(run, &run->servers[0]) && sent;
}

/* Every answer of pass one must be 201, every sum the file's. */
static void judge_first(struct run *run)
{
    const struct hf_bank *bank = &run->bank;
    size_t openings = hf_bank_opening_count(bank);
    hf_i128 *sums = hf_calloc(bank->account_count, sizeof(*sums));
    if (sums == NULL) {
        off(run, "out of memory");
        return;
    }
    for (size_t i = 0; i < hf_demo_command_count(&run->demo); i++) {
        const struct hf_demo_ack *ack = &run->demo.acks[i];
        bool accepted = ack->answered && ack->status == 201;
        if (!accepted && i < openings) {
            off(run, "an account could not be opened: status %d", ack->status);
        } else if (i >= openings) {
            const struct hf_bank_row *row = &bank->rows[i - openings];
            run->result.posted += accepted;
            run->result.refused_first += !accepted;
            sums[row->account] += row->credit ? (hf_i128)row->amount : -(hf_i128)row->amount;
        }
    }
    for (size_t i = 0; i < bank->account_count; i++) {
        run->result.wrong_sums += sums[i] != run->sums[i];
    }
    hf_free(sums);
    if (run->result.refused_first > 0) {
        off(run, "%" PRIu64 " rows were not posted", run->result.refused_first);
    }
    if (run->result.wrong_sums > 0) {
        off(run, "%" PRIu64 " accounts have another sum than the file", run->result.wrong_sums);
    }
    if (atomic_load(&run->demo.differently) > 0) {
        off(run, "a repeated command got another answer");
    }
}

static bool pass_two(struct run *run)
{
    struct hf_bank_load load = {.bank = &run->bank,
                                .floor = "0",
                                .threads = PASS_TWO_THREADS,
                                .codes = run->codes,
                                .progress = hf_cli_progress_show,
                                .context = &run->progress};
    if (!start_server(run, &run->servers[1]) ||
        !connect_client(run, &run->servers[1], &load.target.client)) {
        return false;
    }
    uint64_t begin_us = run->outside->monotonic_us(run->outside);
    bool ok = hf_bank_load_run(&load);
    uint64_t took_us = run->outside->monotonic_us(run->outside) - begin_us;
    if (!ok) {
        off(run, "pass two: %s", load.failure.text);
    }
    run->result.second_per_s =
        (double)hf_demo_command_count(&run->demo) * 1e6 / ((double)took_us + 1);
    holdfast_client_free(load.target.client);
    return stop_server(run, &run->servers[1]) && ok;
}

static void judge_second(struct run *run)
{
    bool *seen = hf_calloc(run->bank.account_count, sizeof(*seen));
    if (seen == NULL) {
        off(run, "out of memory");
        return;
    }
    for (size_t i = 0; i < run->bank.row_count; i++) {
        run->result.posted_second += run->codes[i] == 201;
        run->result.refused += run->codes[i] != 201;
        if (run->codes[i] == 201) {
            continue;
        }
        if (run->codes[i] != 422) {
            off(run, "trans:%" PRIu64 " has status %u", run->bank.rows[i].trans_id, run->codes[i]);
        }
        if (!seen[run->bank.rows[i].account]) {
            seen[run->bank.rows[i].account] = true;
            run->result.refused_accounts++;
        }
    }
    hf_free(seen);
}

/* Everything stored is whole, and holds exactly what was answered. */
static void verify_pass(struct run *run, size_t pass)
{
    struct hf_error error = {0};
    struct hf_verify_report *report = &run->result.verified[pass];
    const char *directory = run->servers[pass].directory;
    uint64_t posted = pass == 0 ? run->result.posted : run->result.posted_second;
    uint64_t refused = pass == 0 ? 0 : run->result.refused;
    if (hf_verify(run->outside, directory, hf_cli_progress_show, &run->progress, report, &error) !=
        HF_ERR_OK) {
        off(run, "verify %s: %s", directory, error.text);
        return;
    }
    for (uint64_t i = 0; i < report->problem_count && i < HF_VERIFY_PROBLEMS_MAX; i++) {
        off(run, "verify %s: %s", directory, report->problems[i]);
    }
    if (report->transfers != posted || report->refusals != refused ||
        report->accounts != hf_bank_opening_count(&run->bank) ||
        report->client_commits != hf_demo_command_count(&run->demo)) {
        off(run,
            "%s holds %" PRIu64 " transfers, %" PRIu64 " refusals, %" PRIu64
            " accounts and %" PRIu64 " commits of clients; answered were %" PRIu64 ", %" PRIu64
            ", %zu and %zu",
            directory, report->transfers, report->refusals, report->accounts,
            report->client_commits, posted, refused, hf_bank_opening_count(&run->bank),
            hf_demo_command_count(&run->demo));
    }
}

static int compare_refusals(const void *a, const void *b)
{
    const struct hf_bank_row *left = *(const struct hf_bank_row *const *)a;
    const struct hf_bank_row *right = *(const struct hf_bank_row *const *)b;
    return left->trans_id < right->trans_id ? -1 : left->trans_id > right->trans_id;
}

static bool write_file(struct run *run, const char *directory, const char *name,
                       const struct hf_buffer *content)
{
    char path[HF_DEMO_PATH_BYTES + 64];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = content->failed ? NULL : fopen(path, "wbe");
    bool ok =
        file != NULL && fwrite(content->data, 1, content->size_bytes, file) == content->size_bytes;
    if (file != NULL && fclose(file) != 0) {
        ok = false;
    }
    if (!ok) {
        off(run, "%s could not be written", path);
    }
    return ok;
}

/* account_id <TAB> sum, as the ledger says; trans_id <TAB> account_id of what was refused. */
static void write_tables(struct run *run, const char *directory)
{
    const struct hf_bank *bank = &run->bank;
    const struct hf_bank_row **refused = hf_malloc((bank->row_count + 1) * sizeof(void *));
    struct hf_buffer out;
    size_t count = 0;
    hf_buffer_init(&out);
    if (refused == NULL) {
        off(run, "out of memory");
        return;
    }
    for (size_t i = 0; i < bank->account_count; i++) {
        char sum[HF_I128_TEXT_BYTES];
        (void)hf_i128_format(run->sums[i], sum);
        hf_buffer_format(&out, "%" PRIu64 "\t%s\n", bank->accounts[i], sum);
    }
    (void)write_file(run, directory, "sums.tsv", &out);
    hf_buffer_clear(&out);
    for (size_t i = 0; i < bank->row_count; i++) {
        if (run->codes[i] != 201) {
            refused[count++] = &bank->rows[i];
        }
    }
    qsort(refused, count, sizeof(void *), compare_refusals);
    for (size_t i = 0; i < count; i++) {
        hf_buffer_format(&out, "%" PRIu64 "\t%" PRIu64 "\n", refused[i]->trans_id,
                         refused[i]->account_id);
    }
    (void)write_file(run, directory, "refusals.tsv", &out);
    hf_buffer_release(&out);
    hf_free(refused);
}

static void say_totals(struct run *run, size_t pass)
{
    const struct hf_verify_report *report = &run->result.verified[pass];
    for (size_t i = 0; i < report->total_count; i++) {
        const struct hf_asset_totals *totals = &report->totals[i];
        char debits[HF_U128_TEXT_BYTES];
        char credits[HF_U128_TEXT_BYTES];
        (void)hf_u128_format(totals->debits_posted, debits);
        (void)hf_u128_format(totals->credits_posted, credits);
        say(run, "  Σ debits %s %s Σ credits %s (1/100 %s), %" PRIu64 " accounts\n", debits,
            totals->debits_posted == totals->credits_posted ? "=" : "≠", credits,
            totals->asset.text, totals->accounts);
    }
    say(run, "  verify %s: %" PRIu64 " commits replayed from zero, %zu checkpoint files\n",
        report->problem_count == 0 ? "ok" : "FOUND DAMAGE", report->commits, report->checkpoints);
}

static void say_first(struct run *run)
{
    struct hf_demo *demo = &run->demo;
    say(run, "Pass one: customers without a floor, every command sent one to three times\n");
    say(run,
        "  %" PRIu64 " transfers posted, each once; %" PRIu64 " requests sent, %" PRIu64
        " duplicates answered by replay\n",
        run->result.posted, (uint64_t)atomic_load(&demo->sent),
        (uint64_t)atomic_load(&demo->replayed));
    say(run, "  %" PRIu64 " restarts after kill -9; sums of %zu accounts %s\n",
        run->result.restarts, run->bank.account_count,
        run->result.wrong_sums == 0 ? "equal the file's" : "DIFFER from the file's");
    say_totals(run, 0);
    say(run, "  %.0f requests a second over HTTP, %d workers, kill and restart included\n",
        run->result.first_per_s, HF_DEMO_THREADS);
}

static void say_second(struct run *run)
{
    say(run, "Pass two: customers with a floor of 0, rows of an account in file order\n");
    say(run, "  %" PRIu64 " transfers posted, %" PRIu64 " refused in %" PRIu64 " accounts:\n",
        run->result.posted_second, run->result.refused, run->result.refused_accounts);
    for (size_t i = 0; i < run->bank.row_count; i++) {
        const struct hf_bank_row *row = &run->bank.rows[i];
        if (run->codes[i] != 201) {
            say(run, "    trans:%" PRIu64 " of customers:%" PRIu64 ", %" PRIu64 ".%02" PRIu64 "\n",
                row->trans_id, row->account_id, row->amount / 100, row->amount % 100);
        }
    }
    say_totals(run, 1);
    say(run, "  %.0f requests a second over HTTP, %d workers, each a durable commit\n",
        run->result.second_per_s, PASS_TWO_THREADS);
}

static int print_json(struct run *run, int status)
{
    struct hf_buffer out;
    hf_buffer_init(&out);
    struct hf_json_writer w = hf_json_writer_over(&out);
    struct hf_demo *demo = &run->demo;
    hf_json_begin_object(&w, NULL);
    hf_json_put_bool(&w, "ok", run->result.off == 0);
    hf_json_put_number(&w, "rows", run->bank.row_count);
    hf_json_put_number(&w, "accounts", run->bank.account_count);
    hf_json_begin_array(&w, "bad_lines");
    for (size_t i = 0; i < run->bank.bad_count; i++) {
        hf_json_put_number(&w, NULL, run->bank.bad[i].line);
    }
    hf_json_end_array(&w);
    hf_json_put_number(&w, "posted", run->result.posted);
    hf_json_put_number(&w, "sent", atomic_load(&demo->sent));
    hf_json_put_number(&w, "replayed", atomic_load(&demo->replayed));
    hf_json_put_number(&w, "restarts", run->result.restarts);
    hf_json_put_number(&w, "wrong_sums", run->result.wrong_sums);
    hf_json_put_number(&w, "requests_per_second", (uint64_t)run->result.first_per_s);
    hf_json_put_number(&w, "second_posted", run->result.posted_second);
    hf_json_put_number(&w, "second_refused", run->result.refused);
    hf_json_put_number(&w, "second_refused_accounts", run->result.refused_accounts);
    hf_json_put_number(&w, "second_requests_per_second", (uint64_t)run->result.second_per_s);
    hf_json_end_object(&w);
    return hf_cli_print(run->cli, &out, status);
}

/* Makes DIR, chooses the servers' data directories; data that is there already would be no demo. */
static bool prepare(struct run *run, const char *directory)
{
    static const char *const names[] = {"first", "second"};
    if (mkdir(directory, 0777) != 0 && errno != EEXIST) {
        off(run, "make %s: %s", directory, strerror(errno));
        return false;
    }
    for (size_t pass = 0; pass < HF_ARRAY_COUNT(names); pass++) {
        char path[HF_DEMO_PATH_BYTES];
        struct stat there;
        int length = snprintf(path, sizeof(path), "%s/%s", directory, names[pass]);
        if (length < 0 || (size_t)length >= sizeof(path)) {
            off(run, "the path %s is too long", directory);
            return false;
        }
        if (stat(path, &there) == 0) {
            off(run, "%s holds an earlier demo: give a new directory", directory);
            return false;
        }
        if (!hf_demo_server_init(&run->servers[pass], path)) {
            off(run, "a server for %s: %s", path, strerror(errno));
            return false;
        }
    }
    run->codes = hf_calloc(run->bank.row_count, sizeof(*run->codes));
    run->sums = hf_calloc(run->bank.account_count, sizeof(*run->sums));
    if (run->codes == NULL || run->sums == NULL ||
        !hf_demo_init(&run->demo, &run->bank, run->seed)) {
        off(run, "out of memory");
        return false;
    }
    return true;
}

static int run_demo(struct run *run, const char *directory)
{
    say(run, "%zu rows read of %zu accounts, %zu bad rows\n", run->bank.row_count,
        run->bank.account_count, run->bank.bad_count);
    for (size_t i = 0; i < run->bank.bad_count; i++) {
        say(run, "  bad row in line %" PRIu64 ": %s\n", run->bank.bad[i].line,
            run->bank.bad[i].what);
    }
    if (!prepare(run, directory)) {
        return HF_EXIT_ENVIRONMENT;
    }
    if (pass_one(run)) {
        judge_first(run);
        verify_pass(run, 0);
        say_first(run);
        if (pass_two(run)) {
            judge_second(run);
            verify_pass(run, 1);
            say_second(run);
            write_tables(run, directory);
        }
    }
    hf_cli_progress_end(&run->progress);
    say(run, run->result.off == 0 ? "demo ok\n" : "demo: something is off\n");
    int status = run->result.off == 0 ? HF_EXIT_OK : HF_EXIT_NO;
    return run->cli->json ? print_json(run, status) : status;
}

int hf_cli_demo(int argc, char **argv)
{
    const char *directory = NULL;
    static struct run run; /* large: two reports */
    run = (struct run){.kills = 1, .seed = 1};
    const struct hf_cli_option options[] = {
        {"directory", "DIR", "for the data and the tables; made if it is not there",
         .text = &directory},
        {"seed", "N", "of who sends what how often (default 1)", .number = &run.seed},
        {"kills", "N", "how often the server is killed by -9 (default 1)", .number = &run.kills},
    };
    struct hf_cli cli = {
        .name = "demo",
        .operands_help = "FILE --directory=DIR",
        .help =
            "Imports a bank's transactions twice over HTTP and proves the result. Pass one: eight\n"
            "workers send every request one to three times; the server is killed by -9 in the "
            "middle\n"
            "and started again. Pass two: customers have a floor of 0. Leaves DIR/sums.tsv\n"
            "(account_id, sum; pass one) and DIR/refusals.tsv (trans_id, account_id; pass two).\n"
            "Exit status 1 if anything is off.",
        .options = options,
        .option_count = HF_ARRAY_COUNT(options),
        .operands_min = 1,
        .operands_max = 1,
    };
    int status = hf_cli_parse(&cli, argc, argv);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    if (directory == NULL || run.kills > KILLS_MAX) {
        return hf_cli_usage(&cli, directory == NULL ? "--directory=DIR is needed"
                                                    : "--kills is at most 1000");
    }
    struct hf_error error = {0};
    run.cli = &cli;
    run.outside = hf_outside_linux_new();
    hf_bank_init(&run.bank);
    hf_verify_report_init(&run.result.verified[0]);
    hf_verify_report_init(&run.result.verified[1]);
    hf_cli_progress_init(&run.progress, "demo: row");
    if (run.outside == NULL) {
        (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
        status = hf_cli_fail(&cli, &error);
    } else if (hf_bank_read(&run.bank, cli.operands[0], &error) != HF_ERR_OK) {
        status = hf_cli_fail(&cli, &error);
    } else {
        status = run_demo(&run, directory);
    }
    for (size_t pass = 0; pass < HF_ARRAY_COUNT(run.servers); pass++) {
        (void)hf_demo_server_end(&run.servers[pass], SIGKILL); /* none runs unless it failed */
    }
    hf_demo_release(&run.demo);
    hf_free(run.codes);
    hf_free(run.sums);
    hf_verify_report_release(&run.result.verified[0]);
    hf_verify_report_release(&run.result.verified[1]);
    hf_bank_release(&run.bank);
    if (run.outside != NULL) {
        hf_outside_linux_free(run.outside);
    }
    return status;
}
