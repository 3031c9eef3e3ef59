/* Cold records: looked up off the writer's thread. */
#include "base/bytes.h"
#include "base/check.h"
#include "node/fetch_priv.h"

#define RANGE_BYTES      (4u << 20) /* of a range's commits in one round */
#define RANGE_READ_BYTES (1u << 20) /* of the log at once for them */
/* Of commits for a read in one round: behind what a page decodes, by what it may look up beside. */
#define READ_FETCH_BYTES_MAX (2ull * HF_QUERY_BYTES_MAX)

/* The index as it is now; the request's answers of an older one are dropped. */
static struct hf_index_set *acquire_index(struct hf_node *node, struct hf_request *request)
{
    struct hf_records *records = &request->records;
    struct hf_index_set *set = hf_index_acquire(node->index);
    uint64_t covered = set->run_count == 0 ? 0 : hf_run_info(set->runs[0])->ref.to_position;
    if (records->as_of != covered) {
        hf_index_table_clear(&records->index);
        records->lacks_ids = false;
        records->as_of = covered;
    }
    return set;
}

/* Notes those of the keys that may be there. false: most of them may be, or memory is short. */
static bool note_maybe(const struct hf_index_set *set, const struct hf_index_key *keys,
                       uint32_t count, uint32_t maybe_max, struct hf_records *records)
{
    static const struct hf_index_value maybe;
    bool lacks[HF_INDEX_LACKS_MAX];
    hf_index_set_lacks_each(set, keys, count, lacks);
    for (uint32_t i = 0; i < count; i++) {
        if (lacks[i]) {
            continue;
        }
        if (records->maybe.count >= maybe_max || !hf_index_table_reserve(&records->maybe, 1)) {
            return false;
        }
        hf_index_table_put(&records->maybe, &keys[i], &maybe);
    }
    return true;
}

/* Of eight thousand new ids nearly all are told by the filters: only what may be there is noted. false: there are no plain
 * records, or most of them may be there, or memory is short. */
static bool sift_plain(const struct hf_index_set *set, struct hf_request *request)
{
    const struct hf_command *command = request->command;
    struct hf_records *records = &request->records;
    hf_index_table_clear(&records->maybe);
    records->lacks_ids = command != NULL && command->plain != NULL;
    for (uint32_t done = 0; records->lacks_ids && done < command->op_count;) {
        struct hf_index_key keys[HF_INDEX_LACKS_MAX];
        uint32_t count = (uint32_t)hf_min_u64(command->op_count - done, HF_INDEX_LACKS_MAX);
        for (uint32_t i = 0; i < count; i++) {
            const struct hf_packed_transfer *plain = &command->plain[done + i];
            keys[i] = (struct hf_index_key){.kind = hf_index_kind_of_plain(plain), .id = plain->id};
        }
        records->lacks_ids =
            note_maybe(set, keys, count, (uint32_t)command->op_count / 4 + 1, records);
        done += count;
    }
    return records->lacks_ids;
}

/* Is the record's commit what will be looked at next? Of entries most are only steps of a search. */
static bool leads_to_commit(const struct hf_index_key *key)
{
    return key->kind != HF_INDEX_LINE && key->kind != HF_INDEX_ENTRY;
}

/* Answers the needed keys as of what the index covers now. */
static enum hf_err look_up(struct hf_node *node, struct hf_request *request, struct hf_error *error)
{
    struct hf_records *records = &request->records;
    struct hf_index_set *set = acquire_index(node, request);
    enum hf_err err = HF_ERR_OK;
    if (!records->lacks_ids) {
        (void)sift_plain(set, request); /* the index has grown since it was done first */
    }
    for (size_t i = 0; err == HF_ERR_OK && i < request->needs.key_count; i++) {
        bool found;
        struct hf_index_value value;
        err = hf_index_set_get(set, &request->needs.keys[i], &found, &value, error);
        if (err == HF_ERR_OK &&
            !hf_records_add_answer(records, &request->needs.keys[i], found ? &value : NULL)) {
            err = hf_error_set(error, HF_ERR_OVERLOADED, "out of memory");
        }
        if (err == HF_ERR_OK && found && leads_to_commit(&request->needs.keys[i])) {
            if (!hf_needs_add_position(&request->needs, value.position)) {
                err = hf_error_set(error, HF_ERR_OVERLOADED, "out of memory");
            }
        }
    }
    hf_index_release(node->index, set);
    return err;
}

/* A fetched frame as a commit in the arena. */
static enum hf_err decode_frame(const struct hf_shared_bytes *frame, struct hf_arena *arena,
                                struct hf_commit *commit, struct hf_error *error)
{
    size_t record = hf_get_u32(frame->data);
    const uint8_t *payload = frame->data + HF_COMMIT_FRAME_BYTES + record;
    return hf_commit_glance(frame->data + HF_COMMIT_FRAME_BYTES, record, payload,
                            frame->size_bytes - HF_COMMIT_FRAME_BYTES - record, arena, commit,
                            error);
}

/* The commits of a run of entries, each found through the one before it, while *left_bytes last. */
static enum hf_err fetch_chain(struct hf_node *node, struct hf_request *request,
                               const struct hf_entry_chain *chain, uint64_t *left_bytes,
                               struct hf_fetch_piece *piece, struct hf_error *error)
{
    uint64_t position = chain->position;
    struct hf_commit commit = {0};
    struct hf_arena arena;
    hf_arena_init(&arena);
    enum hf_err err = HF_ERR_OK;
    for (uint32_t i = 0; err == HF_ERR_OK && i < chain->count && position > 0; i++) {
        if (commit.position != position) {
            const struct hf_shared_bytes *frame = hf_records_frame(&request->records, position);
            if (frame == NULL && *left_bytes == 0) {
                break;
            }
            hf_arena_clear(&arena);
            if (frame == NULL) {
                err = hf_fetch_frame(node, request, position, left_bytes, piece, error);
                frame = hf_records_frame(&request->records, position);
            }
            err = err == HF_ERR_OK ? decode_frame(frame, &arena, &commit, error) : err;
        }
        if (err == HF_ERR_OK) {
            uint64_t before = position;
            if (!hf_chain_follow(&commit, chain, chain->version - i, &position)) {
                err = hf_error_set(error, HF_ERR_CORRUPT, "commit %llu does not hold the entry",
                                   (unsigned long long)before);
            }
        }
    }
    hf_arena_release(&arena);
    return err;
}

/* Frames of batches that were read; *position moves on to the first one that is still wanted. */
static enum hf_err take_range(struct hf_request *request, const struct hf_log_batch *batch,
                              uint64_t *position, uint64_t end, uint64_t *left_bytes,
                              struct hf_error *error)
{
    struct hf_commit_frame frame = {0};
    size_t at = 0;
    for (uint64_t i = batch->first_position;
         i<end && * left_bytes> 0 &&
         hf_commit_frame_next(batch->body, batch->body_bytes, &at, &frame);
         i++) {
        if (i < *position) {
            continue;
        }
        if (!hf_fetch_keep(request, i, &frame, left_bytes)) {
            return hf_error_set(error, HF_ERR_OVERLOADED, "out of memory");
        }
        *position = i + 1;
    }
    return HF_ERR_OK;
}

/* Commits that follow each other: one look for the first, then the log is read on. Fewer than wanted will do. */
static enum hf_err fetch_range(struct hf_node *node, struct hf_request *request,
                               const struct hf_commit_range *range, struct hf_buffer *scratch,
                               struct hf_error *error)
{
    const struct hf_log_driver *driver = node->log->driver;
    uint64_t left_bytes = RANGE_BYTES;
    uint64_t position = range->from;
    uint64_t end = range->from + range->count;
    uint64_t seq;
    uint32_t batches;
    enum hf_err err = driver->seek(node->log, position, &seq, error);
    while (err == HF_ERR_OK && position < end && left_bytes > 0) {
        hf_buffer_clear(scratch);
        err = driver->read(node->log, seq, RANGE_READ_BYTES, scratch, &batches, error);
        size_t at = 0;
        for (uint32_t i = 0; err == HF_ERR_OK && i < batches; i++) {
            struct hf_log_batch batch;
            err = hf_log_batch_decode(scratch->data, scratch->size_bytes, &at, &batch, error);
            if (err == HF_ERR_OK) {
                err = take_range(request, &batch, &position, end, &left_bytes, error);
            }
        }
        seq += batches;
        if (err == HF_ERR_OK && batches == 0) {
            break; /* what is behind is not durable yet: it is in RAM */
        }
    }
    return err;
}

static void fetch_request(struct hf_node *node, struct hf_request *request,
                          struct hf_fetch_piece *piece)
{
    struct hf_error error = {0};
    struct hf_needs *needs = &request->needs;
    /* A read's page may end before it has seen all that it asked for; a command needs everything. */
    uint64_t left_bytes = request->query_count > 0 ? READ_FETCH_BYTES_MAX : UINT64_MAX;
    enum hf_err err = look_up(node, request, &error);
    for (size_t i = 0; err == HF_ERR_OK && i < needs->position_count && left_bytes > 0; i++) {
        err = hf_fetch_frame(node, request, needs->positions[i], &left_bytes, piece, &error);
    }
    for (size_t i = 0; err == HF_ERR_OK && i < needs->chain_count; i++) {
        err = fetch_chain(node, request, &needs->chains[i], &left_bytes, piece, &error);
    }
    for (size_t i = 0; err == HF_ERR_OK && i < needs->descent_count; i++) {
        err = hf_fetch_descent(node, request, &needs->descents[i], &left_bytes, piece, &error);
    }
    for (size_t i = 0; err == HF_ERR_OK && i < needs->time_count; i++) {
        err = hf_fetch_time(node, request, &needs->times[i], piece, &error);
    }
    for (size_t i = 0; err == HF_ERR_OK && i < needs->range_count; i++) {
        piece->has_batch = false; /* its bytes are overwritten */
        err = fetch_range(node, request, &needs->ranges[i], &piece->bytes, &error);
    }
    hf_needs_clear(needs);
    request->fetch_error = err == HF_ERR_NO_MEMORY ? HF_ERR_OVERLOADED : err;
}

static void run(struct hf_job *job)
{
    struct hf_fetch_job *fetch = HF_CONTAINER_OF(job, struct hf_fetch_job, job);
    struct hf_node *node = fetch->node;
    struct hf_fetch_piece piece = {.has_batch = false};
    hf_buffer_init(&piece.bytes);
    for (struct hf_request *r = fetch->requests.first; r != NULL; r = r->next) {
        fetch_request(node, r, &piece);
    }
    hf_buffer_release(&piece.bytes);
    atomic_store_explicit(&fetch->done, true, memory_order_release);
    node->outside->ring(node->outside);
}

bool hf_node_start_fetch(struct hf_node *node)
{
    struct hf_fetch_job *fetch = &node->fetch;
    if (fetch->running) {
        return false;
    }
    fetch->requests = node->to_fetch;
    node->to_fetch = (struct hf_request_list){0};
    hf_node_take_inner(node, &fetch->requests);
    if (fetch->requests.first == NULL) {
        return false;
    }
    atomic_store_explicit(&fetch->done, false, memory_order_relaxed);
    fetch->running = true;
    fetch->job.run = run;
    node->counts.fetches++;
    node->outside->submit(node->outside, HF_WORKER_FETCH, &fetch->job);
    return true;
}

bool hf_node_poll_fetch(struct hf_node *node)
{
    struct hf_fetch_job *fetch = &node->fetch;
    if (!fetch->running || !atomic_load_explicit(&fetch->done, memory_order_acquire)) {
        return false;
    }
    fetch->running = false;
    hf_node_return_inner(node, &fetch->requests);
    if (node->phase == HF_NODE_LEADING || node->phase == HF_NODE_STOPPING) {
        hf_list_prepend(&node->ready, &fetch->requests);
        return true;
    }
    struct hf_request *request;
    while ((request = hf_list_pop(&fetch->requests)) != NULL) {
        hf_node_refuse(node, request, HF_ERR_NOT_READY);
    }
    return true;
}

/* Most ids and keys are new, and the filters in RAM know it: then the decision need not ask. What may be
 * there is left to the fetch worker, for this thread may be a server's loop and must not wait for a disk. */
void hf_node_prefetch(struct hf_node *node, struct hf_request *request)
{
    struct hf_needs *needs = &request->needs;
    struct hf_index_set *set = acquire_index(node, request);
    if (sift_plain(set, request)) {
        hf_index_release(node->index, set);
        return;
    }
    bool ok = hf_decide_needs(request->command, needs);
    ok = ok && (needs->key_count == 0 ||
                hf_index_table_reserve(&request->records.index, needs->key_count));
    for (size_t i = 0; ok && i < needs->key_count; i++) {
        if (hf_index_set_lacks(set, &needs->keys[i])) {
            ok = hf_records_add_answer(&request->records, &needs->keys[i], NULL);
        }
    }
    hf_index_release(node->index, set);
    hf_needs_clear(
        needs); /* what has no answer, for memory was short, is asked for by the decision */
}
