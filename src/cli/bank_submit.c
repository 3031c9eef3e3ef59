#include "cli/bank_submit.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "api/json_write.h"
#include "base/check.h"
#include "base/checksum.h"
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

static void keep(struct hf_bank_answer *answer, int status, const char *code, uint64_t position,
                 bool replayed, struct hf_str text)
{
    *answer = (struct hf_bank_answer){.status = status,
                                      .replayed = replayed,
                                      .position = position,
                                      .text_checksum = hf_checksum(text.ptr, text.len)};
    (void)snprintf(answer->code, sizeof(answer->code), "%s", code);
}

/* A failure of the client in the library's words: an error that a repetition may end is "outcome unknown". */
static enum holdfast_error fail_client(const struct holdfast_client_failure *from,
                                       struct holdfast_failure *failure)
{
    failure->error = from->error == HOLDFAST_CLIENT_NO_MEMORY       ? HOLDFAST_NO_MEMORY
                     : from->error == HOLDFAST_CLIENT_INVALID       ? HOLDFAST_INVALID_REQUEST
                     : from->error == HOLDFAST_CLIENT_MISCONFIGURED ? HOLDFAST_NOT_FOUND
                     : from->error == HOLDFAST_CLIENT_UNAVAILABLE   ? HOLDFAST_NOT_READY
                                                                    : HOLDFAST_OUTCOME_UNKNOWN;
    failure->pointer[0] = '\0';
    (void)snprintf(failure->text, sizeof(failure->text), "%.399s", from->text);
    return failure->error;
}

/* What came of a call by the client. */
static enum holdfast_error take_client(enum holdfast_client_error error,
                                       struct holdfast_client_answer *from,
                                       const struct holdfast_client_failure *why,
                                       struct hf_bank_answer *answer,
                                       struct holdfast_failure *failure)
{
    if (error != HOLDFAST_CLIENT_OK) {
        return fail_client(why, failure);
    }
    keep(answer, from->status, from->code, from->position, from->replayed,
         (struct hf_str){from->body, from->body_bytes});
    holdfast_client_answer_free(from);
    return HOLDFAST_OK;
}

static enum holdfast_error commit_to_library(const struct hf_bank_target *target, const char *key,
                                             const struct holdfast_operation *operation,
                                             struct hf_bank_answer *answer,
                                             struct holdfast_failure *failure)
{
    struct holdfast_caller caller = {.principal = target->principal, .key = key};
    struct holdfast_answer *from;
    size_t size_bytes;
    enum holdfast_error error = holdfast_commit(target->db, &caller, operation, 1, &from, failure);
    if (error != HOLDFAST_OK) {
        return error;
    }
    const char *text = holdfast_answer_text(from, &size_bytes);
    if (text == NULL) {
        holdfast_answer_free(from);
        *failure = (struct holdfast_failure){.error = HOLDFAST_NO_MEMORY, .text = "out of memory"};
        return failure->error;
    }
    keep(answer, holdfast_answer_status(from), holdfast_answer_code(from),
         holdfast_answer_position(from), holdfast_answer_replayed(from),
         (struct hf_str){text, size_bytes});
    holdfast_answer_free(from);
    return HOLDFAST_OK;
}

static enum holdfast_error open_on_server(const struct hf_bank_target *target, const char *key,
                                          const char *name, const char *floor,
                                          struct hf_bank_answer *answer,
                                          struct holdfast_failure *failure)
{
    struct holdfast_client_call call = {.key = key};
    struct holdfast_client_answer *from = NULL;
    struct holdfast_client_failure why = {.text = "out of memory"};
    enum holdfast_client_error error = HOLDFAST_CLIENT_NO_MEMORY;
    struct hf_buffer commit;
    hf_buffer_init(&commit);
    struct hf_json_writer w = hf_json_writer_over(&commit);
    hf_json_begin_object(&w, NULL);
    hf_json_begin_array(&w, "do");
    hf_json_begin_object(&w, NULL);
    hf_json_put_text(&w, "op", HF_STR("open_account"));
    hf_json_put_text(&w, "account", hf_str_from(name));
    hf_json_put_text(&w, "asset", HF_STR(HF_BANK_ASSET));
    if (floor == NULL) {
        hf_json_put_null(&w, "floor");
    } else {
        hf_json_put_text(&w, "floor", hf_str_from(floor));
    }
    hf_json_end_object(&w);
    hf_json_end_array(&w);
    hf_json_end_object(&w);
    if (!commit.failed) {
        error = holdfast_client_commit(target->client, &call, (const char *)commit.data,
                                       commit.size_bytes, &from, &why);
    }
    hf_buffer_release(&commit);
    why.error = error;
    return take_client(error, from, &why, answer, failure);
}

enum holdfast_error hf_bank_open_account(const struct hf_bank_target *target,
                                         const struct hf_bank *bank, size_t opening,
                                         const char *floor, struct hf_bank_answer *answer,
                                         struct holdfast_failure *failure)
{
    char name[HF_BANK_NAME_BYTES];
    char key[HF_BANK_NAME_BYTES + 16];
    bool has_floor = opening < bank->account_count && floor != NULL;
    hf_bank_account_name(bank, opening, name);
    (void)snprintf(key, sizeof(key), "bank-open:%s", name);
    if (target->client != NULL) {
        return open_on_server(target, key, name, has_floor ? floor : NULL, answer, failure);
    }
    struct holdfast_operation operation = {
        .op = "open_account",
        .account = name,
        .asset = HF_BANK_ASSET,
        .floor = has_floor ? floor : NULL,
        .floor_none = !has_floor,
    };
    return commit_to_library(target, key, &operation, answer, failure);
}

enum holdfast_error hf_bank_post_row(const struct hf_bank_target *target,
                                     const struct hf_bank *bank, size_t index,
                                     struct hf_bank_answer *answer,
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
    const char *effective_at = hf_time_parse(hf_str_from(date), &time_us) ? date : NULL;
    hf_bank_account_name(bank, row->account, customer);
    hf_bank_account_name(bank, bank->account_count + row->side, side);
    if (target->client != NULL) {
        struct holdfast_client_answer *from;
        struct holdfast_client_failure why;
        struct holdfast_client_transfer transfer = {
            .id = id,
            .from = row->credit ? side : customer,
            .to = row->credit ? customer : side,
            .asset = HF_BANK_ASSET,
            .amount = amount,
            .effective_at = effective_at,
        };
        enum holdfast_client_error error =
            holdfast_client_transfer(target->client, NULL, &transfer, &from, &why);
        return take_client(error, from, &why, answer, failure);
    }
    struct holdfast_operation operation = {
        .op = "transfer",
        .id = id,
        .from = row->credit ? side : customer,
        .to = row->credit ? customer : side,
        .asset = HF_BANK_ASSET,
        .amount = amount,
        .effective_at = effective_at,
    };
    return commit_to_library(target, NULL, &operation, answer, failure);
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
    struct hf_bank_answer answer = {0};
    struct holdfast_failure failure = {0};
    enum holdfast_error error =
        shared->rows ? hf_bank_post_row(&load->target, load->bank, index, &answer, &failure)
                     : hf_bank_open_account(&load->target, load->bank, index, load->floor, &answer,
                                            &failure);
    if (error != HOLDFAST_OK) {
        fail(shared, &failure);
        return;
    }
    if (shared->rows) {
        load->codes[index] = (uint16_t)answer.status;
        atomic_fetch_add(&shared->replayed, answer.replayed);
    } else if (answer.status != 201) {
        char name[HF_BANK_NAME_BYTES];
        hf_bank_account_name(load->bank, index, name);
        failure.error = HOLDFAST_INVALID_REQUEST;
        (void)snprintf(failure.text, sizeof(failure.text), "open %s: %s", name, answer.code);
        fail(shared, &failure);
    }
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
