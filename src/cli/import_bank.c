/* holdfast import bank FILE: a bank's transactions as transfers. */
#include "base/alloc.h"
#include "cli/bank_submit.h"
#include "cli/database.h"
#include "cli/import.h"

#define THREADS 32 /* accounts are shared among them; each keeps its accounts' order */

struct counts {
    uint64_t posted;   /* now or before */
    uint64_t refused;  /* now or before */
    uint64_t replayed; /* decided before */
};

static void put_numbers(const struct hf_bank *bank, const struct counts *counts,
                        struct hf_json_writer *w)
{
    hf_json_put_number(w, "rows", bank->row_count);
    hf_json_put_number(w, "accounts", bank->account_count);
    hf_json_put_number(w, "posted", counts->posted);
    hf_json_put_number(w, "refused", counts->refused);
    hf_json_put_number(w, "replayed", counts->replayed);
}

static int print_result(const struct hf_cli *cli, const struct hf_bank *bank, const uint16_t *codes,
                        const struct counts *counts)
{
    struct hf_buffer out;
    hf_buffer_init(&out);
    struct hf_json_writer w = hf_json_writer_over(&out);
    if (cli->json) {
        hf_json_begin_object(&w, NULL);
        put_numbers(bank, counts, &w);
        hf_json_begin_array(&w, "bad_lines");
    } else {
        hf_buffer_format(&out,
                         "%zu rows, %zu accounts, %llu transfers posted, %llu refused, %llu were "
                         "decided before\n",
                         bank->row_count, bank->account_count, (unsigned long long)counts->posted,
                         (unsigned long long)counts->refused, (unsigned long long)counts->replayed);
    }
    for (size_t i = 0; i < bank->bad_count; i++) {
        if (cli->json) {
            hf_json_put_number(&w, NULL, bank->bad[i].line);
        } else {
            hf_buffer_format(&out, "bad line %llu: %s\n", (unsigned long long)bank->bad[i].line,
                             bank->bad[i].what);
        }
    }
    if (cli->json) {
        hf_json_end_array(&w);
        hf_json_begin_array(&w, "refused_rows");
    }
    for (size_t i = 0; i < bank->row_count; i++) {
        if (codes[i] == 201) {
            continue;
        }
        if (cli->json) {
            hf_json_put_number(&w, NULL, bank->rows[i].trans_id);
        } else {
            hf_buffer_format(&out, "refused: trans:%llu of customers:%llu, status %u\n",
                             (unsigned long long)bank->rows[i].trans_id,
                             (unsigned long long)bank->rows[i].account_id, codes[i]);
        }
    }
    if (cli->json) {
        hf_json_end_array(&w);
        hf_json_end_object(&w);
    }
    bool clean = bank->bad_count == 0 && counts->refused == 0;
    return hf_cli_print(cli, &out, clean ? HF_EXIT_OK : HF_EXIT_NO);
}

/* What a load needs besides the place that it goes to. */
struct loading {
    const struct hf_cli *cli;
    const struct hf_import_options *options;
    struct hf_bank bank;
    uint16_t *codes; /* owned */
};

/* HF_CLI_GO_ON, or the exit status. To be released in any case. */
static int loading_begin(struct loading *loading, const struct hf_cli *cli,
                         const struct hf_import_options *options, const char *path)
{
    struct hf_error error = {0};
    *loading = (struct loading){.cli = cli, .options = options};
    hf_bank_init(&loading->bank);
    if (hf_bank_read(&loading->bank, path, &error) != HF_ERR_OK) {
        return hf_cli_fail(cli, &error);
    }
    loading->codes = hf_calloc(loading->bank.row_count, sizeof(*loading->codes));
    if (loading->codes == NULL) {
        (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
        return hf_cli_fail(cli, &error);
    }
    return HF_CLI_GO_ON;
}

static void loading_release(struct loading *loading)
{
    hf_free(loading->codes);
    hf_bank_release(&loading->bank);
}

/* HF_EXIT_OK and the counts, or the exit status of a failure. */
static int load(struct loading *loading, const struct hf_bank_target *target, unsigned threads,
                struct counts *counts)
{
    struct hf_cli_progress progress;
    hf_cli_progress_init(&progress, "import: row");
    struct hf_bank_load run = {.target = *target,
                               .bank = &loading->bank,
                               .floor = loading->options->floor,
                               .threads = threads,
                               .codes = loading->codes,
                               .progress = hf_cli_progress_show,
                               .context = &progress};
    bool ok = hf_bank_load_run(&run);
    hf_cli_progress_end(&progress);
    *counts = (struct counts){.replayed = run.replayed};
    for (size_t i = 0; i < loading->bank.row_count; i++) {
        counts->posted += loading->codes[i] == 201;
        counts->refused += loading->codes[i] != 201;
    }
    return ok ? HF_EXIT_OK : hf_cli_failure(loading->cli, &run.failure);
}

int hf_import_bank(const struct hf_cli *cli, const struct hf_import_options *options,
                   const char *path, const char *directory)
{
    struct holdfast *db;
    struct loading loading;
    struct counts counts;
    int status = loading_begin(&loading, cli, options, path);
    if (status == HF_CLI_GO_ON) {
        status = hf_cli_open(cli, directory, true, false, &db);
    }
    if (status == HF_CLI_GO_ON) {
        struct hf_bank_target target = {.db = db, .principal = options->principal};
        status = hf_cli_close(cli, db, load(&loading, &target, THREADS, &counts));
        if (status == HF_EXIT_OK) {
            status = print_result(cli, &loading.bank, loading.codes, &counts);
        }
    }
    loading_release(&loading);
    return status;
}

int hf_import_bank_to_server(const struct hf_cli *cli, const struct hf_import_options *options,
                             const char *path, const struct hf_remote_values *values)
{
    struct loading loading;
    struct counts counts;
    struct hf_remote_call call;
    if (options->workers > HF_IMPORT_WORKERS_MAX) {
        return hf_cli_usage(cli, "--workers is from 1 to %d", HF_IMPORT_WORKERS_MAX);
    }
    int status = hf_remote_begin(&call, cli, values);
    if (status == HF_CLI_GO_ON) {
        status = loading_begin(&loading, cli, options, path);
        if (status == HF_CLI_GO_ON) {
            struct hf_bank_target target = {.client = call.client};
            status = load(&loading, &target, (unsigned)options->workers, &counts);
            if (status == HF_EXIT_OK) {
                status = print_result(cli, &loading.bank, loading.codes, &counts);
            }
        }
        loading_release(&loading);
    }
    hf_remote_end(&call);
    return status;
}
