/* The batcher's threads: each takes what waits, sends it as one request, and tells each submission its outcome. */
#include "base/check.h"
#include "client/batcher_priv.h"

#define PARTS_MAX                                                                                  \
    16 /* of a divided request that wait for their turn: one each time that it is halved, and 2^13 > 8,190 */

/* A part of the worker's entries. */
struct part {
    size_t entry, entry_count;
    size_t record, record_count;
};

/* ---- when to send ---- */

/* When the request should leave; 0: at once. */
static uint64_t due_us(const struct holdfast_client_batcher *batcher)
{
    if (batcher->closed || batcher->flushing > 0 || batcher->under_way == 0 ||
        batcher->record_count >= batcher->records_max) {
        return 0;
    }
    return batcher->entries[batcher->entry_head].since_us + batcher->delay_us;
}

/* Moves what goes into one request to the worker. */
static void take(struct hf_batch_worker *worker)
{
    struct holdfast_client_batcher *batcher = worker->batcher;
    size_t records = 0;
    worker->run =
        (struct hf_batch_run){.busy = true, .first = batcher->next - batcher->entry_count};
    worker->entry_count = 0;
    while (batcher->entry_count > 0 &&
           records + batcher->entries[batcher->entry_head].record_count <= batcher->records_max) {
        struct hf_batch_entry entry = hf_batch_pop(batcher, worker->records + records);
        worker->entries[worker->entry_count++] = entry;
        records += entry.record_count;
    }
    HF_CHECK(records > 0);
    batcher->under_way++;
    hf_batch_offer_room(batcher);
    if (batcher->entry_count > 0 && batcher->idle > 0) {
        HF_CHECK(pthread_cond_signal(&batcher->work) == 0);
    }
    HF_CHECK(pthread_cond_broadcast(&batcher->ended) == 0);
}

/* Waits until there is a request to send, and takes it. false: the end. */
static bool wait_and_take(struct hf_batch_worker *worker)
{
    struct holdfast_client_batcher *batcher = worker->batcher;
    for (;;) {
        uint64_t until_us = UINT64_MAX;
        if (batcher->entry_count > 0) {
            until_us = due_us(batcher);
            if (until_us <= hf_batch_now_us()) {
                take(worker);
                return true;
            }
        } else if (batcher->closed) {
            return false;
        }
        batcher->idle++;
        if (until_us == UINT64_MAX) {
            HF_CHECK(pthread_cond_wait(&batcher->work, &batcher->mutex) == 0);
        } else {
            (void)hf_batch_wait_until(batcher, &batcher->work, until_us);
        }
        batcher->idle--;
    }
}

/* ---- sending ---- */

static void set_outcomes(struct hf_batch_worker *worker, const struct part *part,
                         const struct holdfast_client_packed_result *result)
{
    struct holdfast_client_outcome *outcomes = worker->outcomes + part->record;
    memset(outcomes, 0, part->record_count * sizeof(*outcomes));
    for (uint32_t i = 0; i < result->refused_count; i++) {
        const struct holdfast_client_not_accepted *refused = &result->refused[i];
        outcomes[refused->index] =
            (struct holdfast_client_outcome){.code = refused->code, .flags = refused->flags};
    }
}

/* Each submission of the part its own. result NULL: there is only the failure. */
static void tell_part(struct hf_batch_worker *worker, const struct part *part,
                      const struct holdfast_client_packed_result *result,
                      const struct holdfast_client_failure *failure)
{
    size_t record = part->record;
    if (result != NULL) {
        set_outcomes(worker, part, result);
    }
    for (size_t i = 0; i < part->entry_count; i++) {
        const struct hf_batch_entry *entry = &worker->entries[part->entry + i];
        struct holdfast_client_submitted submitted = {
            .error = result != NULL ? HOLDFAST_CLIENT_OK : failure->error,
            .failure = result != NULL ? NULL : failure,
            .outcomes = result != NULL ? worker->outcomes + record : NULL,
            .record_count = entry->record_count,
            .position = result != NULL ? result->position : 0,
            .attempts = result != NULL ? result->attempts : failure->attempts,
        };
        record += entry->record_count;
        hf_batch_tell(worker->batcher, entry, &submitted);
    }
}

/* May one submission be the cause, so that the others are better sent without it? */
static bool worth_dividing(const struct holdfast_client_failure *failure)
{
    bool whole =
        failure->error == HOLDFAST_CLIENT_REFUSED || failure->error == HOLDFAST_CLIENT_UNKNOWN;
    return whole && failure->code[0] != '\0' && (failure->status == 400 || failure->status == 413);
}

/* The second half; *part becomes the first. */
static struct part divide(const struct hf_batch_worker *worker, struct part *part)
{
    struct part second = {.entry_count = part->entry_count / 2};
    part->entry_count -= second.entry_count;
    second.entry = part->entry + part->entry_count;
    for (size_t i = 0; i < second.entry_count; i++) {
        second.record_count += worker->entries[second.entry + i].record_count;
    }
    part->record_count -= second.record_count;
    second.record = part->record + part->record_count;
    return second;
}

static enum holdfast_client_error send_part(const struct hf_batch_worker *worker,
                                            const struct part *part,
                                            struct holdfast_client_packed_result **result,
                                            struct holdfast_client_failure *failure)
{
    struct holdfast_client_packed packed = {
        .kind = HOLDFAST_CLIENT_TRANSFERS,
        .records = worker->records + part->record,
        .record_count = part->record_count,
        .total_timeout_ms = worker->batcher->total_timeout_ms,
    };
    return holdfast_client_packed(worker->batcher->client, &packed, result, failure);
}

static void send_all(struct hf_batch_worker *worker)
{
    struct part parts[PARTS_MAX] = {{.entry_count = worker->entry_count}};
    size_t count = 1;
    for (size_t i = 0; i < worker->entry_count; i++) {
        parts[0].record_count += worker->entries[i].record_count;
    }
    while (count > 0) {
        struct part *part = &parts[count - 1];
        struct holdfast_client_packed_result *result;
        struct holdfast_client_failure failure;
        enum holdfast_client_error error = send_part(worker, part, &result, &failure);
        if (error != HOLDFAST_CLIENT_OK && part->entry_count > 1 && worth_dividing(&failure)) {
            HF_CHECK(count < PARTS_MAX);
            struct part first = *part;
            parts[count - 1] = divide(worker, &first);
            parts[count++] = first;
            continue;
        }
        tell_part(worker, part, result, &failure);
        holdfast_client_packed_result_free(result);
        count--;
    }
}

void *hf_batch_work(void *context)
{
    struct hf_batch_worker *worker = context;
    struct holdfast_client_batcher *batcher = worker->batcher;
    hf_batch_lock(batcher);
    while (wait_and_take(worker)) {
        hf_batch_unlock(batcher);
        send_all(worker);
        hf_batch_lock(batcher);
        worker->run.busy = false;
        batcher->under_way--;
        HF_CHECK(pthread_cond_broadcast(&batcher->ended) == 0);
    }
    hf_batch_unlock(batcher);
    return NULL;
}
