#include "cli/bank_submit.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/check.h"
#include "base/time_text.h"

#define LOAD_THREADS_MAX 64

void hf_bank_account_name(const struct hf_bank *bank, size_t opening, char name[HF_BANK_NAME_BYTES])
{
    if (opening < bank->account_count) {
        (void)snprintf(name, HF_BANK_NAME_BYTES, "customers:%" PRIu64, bank->accounts[opening]);
    } else {
        struct hf_str side = bank->sides[opening - bank->account_count];
        (void)snprintf(name, HF_BANK_NAME_BYTES, "%.*s", (int)side.len, side.ptr);
    }
}

enum holdfast_error hf_bank_open_account(struct holdfast *db, const struct hf_bank *bank,
                                         size_t opening, const char *floor, const char *principal,
                                         struct holdfast_answer **answer,
                                         struct holdfast_failure *failure)
{
    char name[HF_BANK_NAME_BYTES];
    char key[HF_BANK_NAME_BYTES + 16];
    bool customer = opening < bank->account_count;
    hf_bank_account_name(bank, opening, name);
    (void)snprintf(key, sizeof(key), "bank-open:%s", name);
    struct holdfast_operation operation = {
        .op = "open_account",
        .account = name,
        .asset = HF_BANK_ASSET,
        .floor = customer ? floor : NULL,
        .floor_none = !customer || floor == NULL,
    };
    struct holdfast_caller caller = {.principal = principal, .key = key};
    return holdfast_commit(db, &caller, &operation, 1, answer, failure);
}

enum holdfast_error hf_bank_post_row(struct holdfast *db, const struct hf_bank *bank, size_t index,
                                     const char *principal, struct holdfast_answer **answer,
                                     struct holdfast_failure *failure)
{
    const struct hf_bank_row *row = &bank->rows[index];
    char id[64];
    char amount[32];
    char customer[HF_BANK_NAME_BYTES];
    char side[HF_BANK_NAME_BYTES];
    char date[32];
    uint64_t time_us;
    (void)snprintf(id, sizeof(id), "trans:%" PRIu64, row->trans_id);
    (void)snprintf(amount, sizeof(amount), "%" PRIu64, row->amount);
    (void)snprintf(date, sizeof(date), "19%02u-%02u-%02uT00:00:00Z", row->date / 10000,
                   row->date / 100 % 100, row->date % 100);
    hf_bank_account_name(bank, row->account, customer);
    hf_bank_account_name(bank, bank->account_count + row->side, side);
    struct holdfast_operation operation = {
        .op = "transfer",
        .id = id,
        .from = row->credit ? side : customer,
        .to = row->credit ? customer : side,
        .asset = HF_BANK_ASSET,
        .amount = amount,
        .effective_at = hf_time_parse(hf_str_from(date), &time_us) ? date : NULL,
    };
    struct holdfast_caller caller = {.principal = principal};
    return holdfast_commit(db, &caller, &operation, 1, answer, failure);
}

/* What the threads of a load share. */
struct shared {
    struct hf_bank_load *load;
    bool rows; /* else the openings */
    atomic_uint_fast64_t done;
    atomic_uint_fast64_t replayed;
    atomic_bool failed;
    pthread_mutex_t mutex; /* of load->failure */
};

struct worker {
    struct shared *shared;
    unsigned number;
    pthread_t thread;
};

static void fail(struct shared *shared, const struct holdfast_failure *failure)
{
    HF_CHECK(pthread_mutex_lock(&shared->mutex) == 0);
    if (shared->load->failure.error == HOLDFAST_OK) {
        shared->load->failure = *failure;
    }
    HF_CHECK(pthread_mutex_unlock(&shared->mutex) == 0);
    atomic_store(&shared->failed, true);
}

/* One opening or row. */
static void submit(struct shared *shared, size_t index)
{
    struct hf_bank_load *load = shared->load;
    struct holdfast_answer *answer;
    struct holdfast_failure failure = {0};
    enum holdfast_error error =
        shared->rows
            ? hf_bank_post_row(load->db, load->bank, index, load->principal, &answer, &failure)
            : hf_bank_open_account(load->db, load->bank, index, load->floor, load->principal,
                                   &answer, &failure);
    if (error != HOLDFAST_OK) {
        fail(shared, &failure);
        return;
    }
    int status = holdfast_answer_status(answer);
    if (shared->rows) {
        load->codes[index] = (uint16_t)status;
        atomic_fetch_add(&shared->replayed, holdfast_answer_replayed(answer));
    } else if (status != 201) {
        char name[HF_BANK_NAME_BYTES];
        hf_bank_account_name(load->bank, index, name);
        failure.error = HOLDFAST_INVALID_REQUEST;
        (void)snprintf(failure.text, sizeof(failure.text), "open %s: %s", name,
                       holdfast_answer_code(answer));
        fail(shared, &failure);
    }
    holdfast_answer_free(answer);
    atomic_fetch_add(&shared->done, 1);
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct shared *shared = worker->shared;
    struct hf_bank_load *load = shared->load;
    size_t count = shared->rows ? load->bank->row_count : hf_bank_opening_count(load->bank);
    for (size_t i = 0; i < count && !atomic_load(&shared->failed); i++) {
        size_t part = shared->rows ? load->bank->rows[i].account : i;
        if (part % load->threads != worker->number) {
            continue;
        }
        submit(shared, i);
        if (worker->number == 0 && load->progress != NULL && shared->rows) {
            load->progress(load->context, atomic_load(&shared->done), count);
        }
    }
    return NULL;
}

static bool run_threads(struct hf_bank_load *load, bool rows)
{
    struct worker workers[LOAD_THREADS_MAX];
    struct shared shared = {.load = load, .rows = rows, .mutex = PTHREAD_MUTEX_INITIALIZER};
    unsigned started = 0;
    for (; started < load->threads; started++) {
        workers[started] = (struct worker){.shared = &shared, .number = started};
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) != 0) {
            struct holdfast_failure failure = {.error = HOLDFAST_NO_MEMORY,
                                               .text = "can't start a thread"};
            fail(&shared, &failure);
            break;
        }
    }
    for (unsigned i = 0; i < started; i++) {
        HF_CHECK(pthread_join(workers[i].thread, NULL) == 0);
    }
    load->replayed += atomic_load(&shared.replayed);
    return !atomic_load(&shared.failed);
}

bool hf_bank_load_run(struct hf_bank_load *load)
{
    HF_CHECK(load->threads >= 1 && load->threads <= LOAD_THREADS_MAX);
    return run_threads(load, false) && run_threads(load, true);
}
