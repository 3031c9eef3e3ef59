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

static int load(const struct hf_cli *cli, const struct hf_import_options *options,
                const struct hf_bank *bank, const char *directory)
{
    struct holdfast *db;
    struct hf_cli_progress progress;
    struct counts counts = {0};
    uint16_t *codes = hf_calloc(bank->row_count, sizeof(*codes));
    if (codes == NULL) {
        struct hf_error error;
        (void)hf_error_set(&error, HF_ERR_NO_MEMORY, "out of memory");
        return hf_cli_fail(cli, &error);
    }
    int status = hf_cli_open(cli, directory, true, false, &db);
    if (status == HF_CLI_GO_ON) {
        hf_cli_progress_init(&progress, "import: row");
        struct hf_bank_load run = {.target = {.db = db, .principal = options->principal},
                                   .bank = bank,
                                   .floor = options->floor,
                                   .threads = THREADS,
                                   .codes = codes,
                                   .progress = hf_cli_progress_show,
                                   .context = &progress};
        bool ok = hf_bank_load_run(&run);
        hf_cli_progress_end(&progress);
        status = ok ? HF_EXIT_OK : hf_cli_failure(cli, &run.failure);
        status = hf_cli_close(cli, db, status);
        counts.replayed = run.replayed;
        for (size_t i = 0; i < bank->row_count; i++) {
            counts.posted += codes[i] == 201;
            counts.refused += codes[i] != 201;
        }
        if (status == HF_EXIT_OK) {
            status = print_result(cli, bank, codes, &counts);
        }
    }
    hf_free(codes);
    return status;
}

int hf_import_bank(const struct hf_cli *cli, const struct hf_import_options *options,
                   const char *path, const char *directory)
{
    struct hf_error error = {0};
    struct hf_bank bank;
    hf_bank_init(&bank);
    int status = hf_bank_read(&bank, path, &error) == HF_ERR_OK
                     ? load(cli, options, &bank, directory)
                     : hf_cli_fail(cli, &error);
    hf_bank_release(&bank);
    return status;
}
