/* holdfast verify DIR: the report of a verification. */
#include "cli/verify.h"

#include "base/time_text.h"
#include "cli/cli.h"

static void print_totals(const struct hf_verify_report *report, struct hf_buffer *out)
{
    for (size_t i = 0; i < report->total_count; i++) {
        const struct hf_asset_totals *totals = &report->totals[i];
        char debits[HF_U128_TEXT_BYTES];
        char credits[HF_U128_TEXT_BYTES];
        (void)hf_u128_format(totals->debits_posted, debits);
        (void)hf_u128_format(totals->credits_posted, credits);
        bool equal = totals->debits_posted == totals->credits_posted &&
                     totals->debits_pending == totals->credits_pending;
        hf_buffer_format(out, "%-14s  Σ debits %s %s Σ credits %s (minor units), %llu accounts\n",
                         totals->asset.text, debits, equal ? "=" : "≠", credits,
                         (unsigned long long)totals->accounts);
        (void)hf_u128_format(totals->debits_pending, debits);
        (void)hf_u128_format(totals->credits_pending, credits);
        hf_buffer_format(out, "%-14s  pending %s and %s\n", "", debits, credits);
    }
}

static void print_text(const struct hf_verify_report *report, struct hf_buffer *out)
{
    char hash[2 * HF_SHA256_BYTES + 1];
    char first[HF_TIME_TEXT_BYTES];
    char last[HF_TIME_TEXT_BYTES];
    hf_hash_hex(&report->head.hash, hash);
    hf_time_format(report->first_time_us, first);
    hf_time_format(report->last_time_us, last);
    hf_buffer_format(out, "commits         %llu in %llu batches, %llu events\n",
                     (unsigned long long)report->commits, (unsigned long long)report->head.seq,
                     (unsigned long long)report->events);
    hf_buffer_format(out, "                %llu by clients, %llu refusals, %llu transfers posted\n",
                     (unsigned long long)report->client_commits,
                     (unsigned long long)report->refusals, (unsigned long long)report->transfers);
    hf_buffer_format(out, "time            %s to %s\n", first, last);
    hf_buffer_format(out, "head            position %llu, epoch %llu\n",
                     (unsigned long long)report->head.position,
                     (unsigned long long)report->head.epoch);
    hf_buffer_format(out, "head hash       %s\n", hash);
    hf_hash_hex(&report->state_hash, hash);
    hf_buffer_format(out, "state hash      %s\n", hash);
    hf_buffer_format(
        out,
        "state           %llu accounts, %llu open holds, %llu streams, %llu documents, "
        "%llu leases\n",
        (unsigned long long)report->accounts, (unsigned long long)report->open_holds,
        (unsigned long long)report->streams, (unsigned long long)report->documents,
        (unsigned long long)report->leases);
    hf_buffer_format(out, "owners          %llu takeovers, %llu torn tails cut\n",
                     (unsigned long long)report->takeovers, (unsigned long long)report->torn_tails);
    hf_buffer_format(
        out,
        "checkpoints     %zu of %zu recorded ones equal the replay; %zu files, %zu index "
        "runs with %llu records compared\n",
        report->recorded_compared, report->recorded_count, report->checkpoints, report->runs,
        (unsigned long long)report->index_records);
    print_totals(report, out);
    for (uint64_t i = 0; i < report->problem_count && i < HF_VERIFY_PROBLEMS_MAX; i++) {
        hf_buffer_format(out, "damage          %s\n", report->problems[i]);
    }
    if (report->problem_count == 0) {
        hf_buffer_text(out, "verify ok\n");
    } else {
        hf_buffer_format(out, "verify found damage: %llu problems\n",
                         (unsigned long long)report->problem_count);
    }
}

static void put_totals(const struct hf_verify_report *report, struct hf_json_writer *w)
{
    hf_json_begin_array(w, "assets");
    for (size_t i = 0; i < report->total_count; i++) {
        const struct hf_asset_totals *totals = &report->totals[i];
        hf_json_begin_object(w, NULL);
        hf_json_put_text(w, "asset", hf_asset_str(&totals->asset));
        hf_json_put_number(w, "accounts", totals->accounts);
        hf_json_put_amount(w, "debits_posted", totals->debits_posted);
        hf_json_put_amount(w, "credits_posted", totals->credits_posted);
        hf_json_put_amount(w, "debits_pending", totals->debits_pending);
        hf_json_put_amount(w, "credits_pending", totals->credits_pending);
        hf_json_end_object(w);
    }
    hf_json_end_array(w);
}

static void print_json(const struct hf_verify_report *report, struct hf_buffer *out)
{
    struct hf_json_writer w = hf_json_writer_over(out);
    hf_json_begin_object(&w, NULL);
    hf_json_put_bool(&w, "ok", report->problem_count == 0);
    hf_json_put_number(&w, "position", report->head.position);
    hf_cli_put_hash(&w, "hash", &report->head.hash);
    hf_cli_put_hash(&w, "state_hash", &report->state_hash);
    hf_json_put_number(&w, "epoch", report->head.epoch);
    hf_json_put_number(&w, "batches", report->head.seq);
    hf_json_put_number(&w, "commits", report->commits);
    hf_json_put_number(&w, "client_commits", report->client_commits);
    hf_json_put_number(&w, "events", report->events);
    hf_json_put_number(&w, "transfers", report->transfers);
    hf_json_put_number(&w, "refusals", report->refusals);
    hf_json_put_time(&w, "first_time", report->first_time_us);
    hf_json_put_time(&w, "last_time", report->last_time_us);
    hf_json_put_number(&w, "takeovers", report->takeovers);
    hf_json_put_number(&w, "torn_tails", report->torn_tails);
    hf_json_put_number(&w, "accounts", report->accounts);
    hf_json_put_number(&w, "open_holds", report->open_holds);
    hf_json_put_number(&w, "streams", report->streams);
    hf_json_put_number(&w, "documents", report->documents);
    hf_json_put_number(&w, "leases", report->leases);
    hf_json_put_number(&w, "checkpoints_recorded", report->recorded_count);
    hf_json_put_number(&w, "checkpoints_equal", report->recorded_compared);
    hf_json_put_number(&w, "checkpoint_files", report->checkpoints);
    hf_json_put_number(&w, "index_runs", report->runs);
    hf_json_put_number(&w, "index_records", report->index_records);
    put_totals(report, &w);
    hf_json_put_number(&w, "problem_count", report->problem_count);
    hf_json_begin_array(&w, "problems");
    for (uint64_t i = 0; i < report->problem_count && i < HF_VERIFY_PROBLEMS_MAX; i++) {
        hf_json_put_text(&w, NULL, hf_str_from(report->problems[i]));
    }
    hf_json_end_array(&w);
    hf_json_end_object(&w);
}

int hf_cli_verify(int argc, char **argv)
{
    struct hf_cli cli = {
        .name = "verify",
        .operands_help = "DIR",
        .help = "Proves that the data directory DIR is whole: every checksum, the hash chain, "
                "every text\n"
                "against its SHA-256; a replay from zero checks balances, versions, floors and "
                "ceilings\n"
                "entry by entry; checkpoints and index runs must equal the replay; per asset the "
                "debits\n"
                "must equal the credits. Only reads; another process may own DIR meanwhile.\n"
                "Exit status 1 if there is damage.",
        .operands_min = 1,
        .operands_max = 1,
    };
    int status = hf_cli_parse(&cli, argc, argv);
    if (status != HF_CLI_GO_ON) {
        return status;
    }
    struct hf_error error = {0};
    struct hf_verify_report report;
    struct hf_cli_progress progress;
    struct hf_buffer out;
    struct hf_outside *outside = hf_outside_linux_new();
    if (outside == NULL) {
        (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
        return hf_cli_fail(&cli, &error);
    }
    hf_verify_report_init(&report);
    hf_cli_progress_init(&progress, "verify: step");
    hf_buffer_init(&out);
    enum hf_err code =
        hf_verify(outside, cli.operands[0], hf_cli_progress_show, &progress, &report, &error);
    hf_cli_progress_end(&progress);
    if (code != HF_ERR_OK) {
        status = hf_cli_fail(&cli, &error);
    } else {
        if (cli.json) {
            print_json(&report, &out);
        } else {
            print_text(&report, &out);
        }
        status = hf_cli_print(&cli, &out, report.problem_count == 0 ? HF_EXIT_OK : HF_EXIT_NO);
    }
    hf_verify_report_release(&report);
    hf_outside_linux_free(outside);
    return status;
}
