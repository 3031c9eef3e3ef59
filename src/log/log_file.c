/*
 * The file driver: open and close, append, confirm, seal, trim. The rest: log_recover.c (takeover),
 * log_read.c, log_segment.c, log_state.c.
 *
 * An append's life:
 *
 *     append_start -> job on HF_WORKER_LOG: [next segment] -> one write of header, body and padding
 *     -> sync -> durable moves on -> outcome, ring -> append_poll
 *
 * A failed write or sync is final: nobody knows what the disk holds, and a second sync would not
 * tell (Linux marks the pages clean). Only a segment that can't be made for want of space leaves
 * everything as it was.
 */
#include "log/log_file.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"
#include "log/log_pack.h"

#define COPY_BYTES_MAX (1u << 20) /* write memory above this is given back after its batch */

void hf_log_lock(pthread_mutex_t *mutex)
{
    HF_CHECK(pthread_mutex_lock(mutex) == 0);
}

void hf_log_unlock(pthread_mutex_t *mutex)
{
    HF_CHECK(pthread_mutex_unlock(mutex) == 0);
}

static void make_path(char path[HF_LOG_PATH_BYTES], const struct hf_log_file *log, const char *rest)
{
    int used = snprintf(path, HF_LOG_PATH_BYTES, "%s/%s", log->directory, rest);
    HF_CHECK(used > 0 && used < HF_LOG_PATH_BYTES);
}

void hf_log_path_lock(const struct hf_log_file *log, char path[HF_LOG_PATH_BYTES])
{
    make_path(path, log, "lock");
}

void hf_log_path_log(const struct hf_log_file *log, char path[HF_LOG_PATH_BYTES])
{
    make_path(path, log, "log");
}

void hf_log_path_in_log(const struct hf_log_file *log, const char *name,
                        char path[HF_LOG_PATH_BYTES])
{
    int used = snprintf(path, HF_LOG_PATH_BYTES, "%s/log/%s", log->directory, name);
    HF_CHECK(used > 0);
    if (used >= HF_LOG_PATH_BYTES) {
        make_path(path, log, "log/?"); /* a foreign file's name; nothing of ours is so long */
    }
}

void hf_log_path_segment(const struct hf_log_file *log, uint64_t number, const char *suffix,
                         char path[HF_LOG_PATH_BYTES])
{
    int used = snprintf(path, HF_LOG_PATH_BYTES, "%s/log/%020llu%s", log->directory,
                        (unsigned long long)number, suffix);
    HF_CHECK(used > 0 && used < HF_LOG_PATH_BYTES);
}

/* --- append --- */

/* The next batch does not fit: a larger home for it. On HF_WORKER_LOG. */
static enum hf_append_outcome switch_segment(struct hf_log_file *log, uint64_t stored_bytes,
                                             struct hf_error *error)
{
    struct hf_file *file;
    struct hf_log_segment_header header;
    uint64_t number = log->active_number + 1;
    enum hf_err code =
        hf_log_segment_make(log, number, HF_LOG_PAGE_BYTES + stored_bytes, &log->durable,
                            log->durable.epoch, &file, &header, error);
    if (code == HF_ERR_NO_SPACE || code == HF_ERR_NO_MEMORY) {
        return HF_APPEND_NO_SPACE;
    }
    if (code != HF_ERR_OK) {
        return HF_APPEND_FAILED;
    }
    hf_log_lock(&log->state_mutex);
    struct hf_log_state next = log->state;
    next.active_segment = number;
    code = hf_log_state_update(log, next, error);
    hf_log_unlock(&log->state_mutex);
    if (code == HF_ERR_OK) {
        hf_log_lock(&log->mutex);
        code = hf_log_map_add(&log->map, &header, error);
        hf_log_unlock(&log->mutex);
    }
    if (code != HF_ERR_OK) {
        log->outside->close(log->outside, file);
        return HF_APPEND_FAILED;
    }
    log->outside->close(log->outside, log->active_file);
    log->active_file = file;
    log->active_number = number;
    log->active_bytes = header.size_bytes;
    log->active_offset = HF_LOG_PAGE_BYTES;
    return HF_APPEND_OK;
}

/* The batch as it is stored: header, body, zeroes up to the next page. NULL: memory is short. */
static const uint8_t *stored_form(struct hf_log_file *log, const struct hf_log_batch *batch,
                                  size_t stored_bytes)
{
    if (log->write_capacity_bytes < stored_bytes) {
        hf_free(log->write_memory);
        log->write_memory = hf_malloc(stored_bytes);
        log->write_capacity_bytes = log->write_memory == NULL ? 0 : stored_bytes;
    }
    if (log->write_memory == NULL) {
        return NULL;
    }
    struct hf_log_batch tagged = *batch;
    tagged.log_tag = hf_log_tag(log->log_id);
    hf_log_header_encode(&tagged, log->write_memory);
    memcpy(log->write_memory + HF_LOG_HEADER_BYTES, batch->body, batch->body_bytes);
    size_t used = HF_LOG_HEADER_BYTES + batch->body_bytes;
    memset(log->write_memory + used, 0, stored_bytes - used);
    return log->write_memory;
}

static void became_durable(struct hf_log_file *log, const struct hf_log_batch *batch,
                           uint64_t stored_bytes)
{
    struct hf_log_mark mark = {batch->seq, batch->first_position, log->active_offset};
    hf_log_lock(&log->mutex);
    log->durable.seq = batch->seq;
    log->durable.position = batch->first_position + batch->commit_count - 1;
    log->durable.hash = batch->hash_after;
    hf_log_segment_note(&log->map.segments[log->map.count - 1], mark);
    hf_log_unlock(&log->mutex);
    log->active_offset += stored_bytes;
    memcpy(log->last_batch_id, batch->batch_id, sizeof(log->last_batch_id));
}

static enum hf_append_outcome append(struct hf_log_file *log, struct hf_error *error)
{
    const struct hf_log_batch *batch = log->batch;
    struct hf_outside *o = log->outside;
    size_t stored_bytes = (size_t)hf_log_page_up(HF_LOG_HEADER_BYTES + batch->body_bytes);
    const uint8_t *stored = stored_form(log, batch, stored_bytes);
    if (stored == NULL) {
        (void)hf_error_set(error, HF_ERR_NO_MEMORY, "no memory for a batch of %zu bytes",
                           stored_bytes);
        return HF_APPEND_NO_SPACE; /* nothing was written; may be tried again */
    }
    if (stored_bytes > log->active_bytes - log->active_offset) {
        enum hf_append_outcome outcome = switch_segment(log, stored_bytes, error);
        if (outcome != HF_APPEND_OK) {
            return outcome;
        }
    }
    enum hf_err code =
        o->write(o, log->active_file, log->active_offset, stored, stored_bytes, error);
    if (code == HF_ERR_OK) {
        code = o->sync(o, log->active_file, error);
    }
    if (code != HF_ERR_OK) {
        return HF_APPEND_FAILED;
    }
    became_durable(log, batch, stored_bytes);
    return HF_APPEND_OK;
}

/* On HF_WORKER_LOG. The outcome comes last: the owner may start the next append at once. */
static void append_run(struct hf_job *job)
{
    struct hf_log_file *log = HF_CONTAINER_OF(job, struct hf_log_file, append_job);
    struct hf_outside *o = log->outside;
    enum hf_append_outcome outcome = append(log, &log->append_error);
    if (outcome == HF_APPEND_FAILED) {
        atomic_store(&log->failed, true);
    }
    if (outcome != HF_APPEND_OK) {
        (void)hf_error_wrap(&log->append_error, "append batch %llu",
                            (unsigned long long)log->batch->seq);
    } else {
        hf_log_prepare_go_on(log);
    }
    if (log->write_capacity_bytes > 2 * COPY_BYTES_MAX) {
        hf_free(log->write_memory);
        log->write_memory = NULL;
        log->write_capacity_bytes = 0;
    }
    atomic_store_explicit(&log->append_outcome, (int)outcome, memory_order_release);
    o->ring(o);
}

static void append_start(struct hf_log *base, const struct hf_log_batch *batch)
{
    struct hf_log_file *log = hf_log_file_of(base);
    HF_CHECK(log->owner && log->batch == NULL);
    HF_CHECK(batch->body_bytes > 0 && batch->body_bytes <= HF_LOG_BODY_BYTES_MAX);
    log->batch = batch;
    log->append_error.code = HF_ERR_OK;
    log->append_error.text[0] = '\0';
    if (atomic_load(&log->failed)) {
        (void)hf_error_set(&log->append_error, HF_ERR_IO,
                           "append batch %llu: a write to the log failed before: restart",
                           (unsigned long long)batch->seq);
        atomic_store(&log->append_outcome, HF_APPEND_FAILED);
        log->outside->ring(log->outside);
        return;
    }
    /* No append is under way, so durable stands still. */
    HF_CHECK(batch->seq == log->durable.seq + 1 && batch->epoch == log->durable.epoch);
    HF_CHECK(batch->first_position == log->durable.position + 1);
    HF_CHECK(hf_hash_equal(&batch->hash_before, &log->durable.hash));
    atomic_store(&log->append_outcome, HF_APPEND_PENDING);
    log->append_job.run = append_run;
    log->outside->submit(log->outside, HF_WORKER_LOG, &log->append_job);
}

static enum hf_append_outcome append_poll(struct hf_log *base, struct hf_error *error)
{
    struct hf_log_file *log = hf_log_file_of(base);
    HF_CHECK(log->batch != NULL);
    int outcome = atomic_load_explicit(&log->append_outcome, memory_order_acquire);
    if (outcome != HF_APPEND_PENDING) {
        log->batch = NULL;
        if (error != NULL) {
            *error = log->append_error;
        }
    }
    return (enum hf_append_outcome)outcome;
}

/* --- resolve and confirm: the kernel's lock answers both --- */

static void resolve_start(struct hf_log *base, uint64_t seq, const uint8_t batch_id[16])
{
    struct hf_log_file *log = hf_log_file_of(base);
    HF_CHECK(log->owner && log->batch == NULL);
    HF_CHECK(seq == log->durable.seq || seq == log->durable.seq + 1); /* of the last append */
    log->resolve_seq = seq;
    memcpy(log->resolve_batch_id, batch_id, sizeof(log->resolve_batch_id));
    log->outside->ring(log->outside);
}

static enum hf_resolve_outcome resolve_poll(struct hf_log *base, struct hf_error *error)
{
    struct hf_log_file *log = hf_log_file_of(base);
    if (log->resolve_seq == log->durable.seq) {
        bool same = memcmp(log->resolve_batch_id, log->last_batch_id, 16) == 0;
        return same ? HF_RESOLVE_COMMITTED : HF_RESOLVE_NEVER;
    }
    if (!atomic_load(&log->failed)) {
        return HF_RESOLVE_RETRY;
    }
    (void)hf_error_set(error, HF_ERR_IO, "a write to the log failed: only a restart can tell");
    return HF_RESOLVE_FENCED;
}

static void confirm_start(struct hf_log *base)
{
    struct hf_log_file *log = hf_log_file_of(base);
    HF_CHECK(log->owner);
    log->outside->ring(log->outside);
}

/* The lock is held until close, so nobody else can own the log. */
static enum hf_confirm_outcome confirm_poll(struct hf_log *base)
{
    return hf_log_file_of(base)->owner ? HF_CONFIRM_OK : HF_CONFIRM_FAILED;
}

/* --- seal, trim, close --- */

static enum hf_err seal(struct hf_log *base, struct hf_error *error)
{
    struct hf_log_file *log = hf_log_file_of(base);
    HF_CHECK(log->owner && log->batch == NULL);
    log->outside->drain(log->outside, HF_WORKER_LOG);
    hf_log_lock(&log->state_mutex);
    struct hf_log_state next = log->state;
    next.sealed = true;
    next.seal_seq = log->durable.seq;
    next.seal_position = log->durable.position;
    next.seal_hash = log->durable.hash;
    next.seal_offset = log->active_offset;
    enum hf_err code = hf_log_state_update(log, next, error);
    hf_log_unlock(&log->state_mutex);
    atomic_store(&log->failed, true); /* no append behind a seal */
    return code;
}

static uint64_t first_seq(struct hf_log *base)
{
    struct hf_log_file *log = hf_log_file_of(base);
    hf_log_lock(&log->mutex);
    uint64_t first = log->map.count == 0 ? 1 : log->map.segments[0].header.first_seq;
    hf_log_unlock(&log->mutex);
    return first;
}

/* The segment that holds up_to stays, and the newest always. The state first: what it does not
 * count is removed by the next takeover, if this one does not come that far. */
static enum hf_err trim(struct hf_log *base, uint64_t up_to, struct hf_error *error)
{
    struct hf_log_file *log = hf_log_file_of(base);
    HF_CHECK(log->owner);
    hf_log_lock(&log->mutex);
    const struct hf_log_segment *keep = hf_log_map_by_seq(&log->map, up_to);
    uint64_t first = log->map.segments[0].header.number;
    uint64_t number = keep == NULL ? first : keep->header.number;
    hf_log_unlock(&log->mutex);
    hf_log_lock(&log->state_mutex);
    enum hf_err code = HF_ERR_OK;
    if (number > log->state.first_segment) {
        struct hf_log_state next = log->state;
        next.first_segment = number;
        code = hf_log_state_update(log, next, error);
    }
    hf_log_unlock(&log->state_mutex);
    if (code != HF_ERR_OK) {
        return code;
    }
    hf_log_lock(&log->mutex);
    hf_log_map_drop_below(&log->map, number);
    hf_log_unlock(&log->mutex);
    for (uint64_t gone = first; gone < number; gone++) {
        static const char *const forms[] = {".log", ".zst", ".ref"}; /* an archive keeps its file */
        for (size_t i = 0; i < HF_ARRAY_COUNT(forms); i++) {
            char path[HF_LOG_PATH_BYTES];
            hf_log_path_segment(log, gone, forms[i], path);
            enum hf_err removed = log->outside->remove(log->outside, path, error);
            if (removed != HF_ERR_OK && removed != HF_ERR_NOT_FOUND) {
                code = removed;
            }
        }
    }
    return code;
}

static void close_log(struct hf_log *base)
{
    struct hf_log_file *log = hf_log_file_of(base);
    struct hf_outside *o = log->outside;
    if (log->owner) {
        o->drain(o, HF_WORKER_LOG);
        atomic_store(&log->prepare.stop, true);
        o->drain(o, HF_WORKER_PREPARE);
    }
    hf_log_prepare_release(log);
    hf_log_file_disown(log);
    hf_log_place_release(log);
    hf_log_map_release(&log->map);
    hf_free(log->write_memory);
    HF_CHECK(pthread_mutex_destroy(&log->mutex) == 0);
    HF_CHECK(pthread_mutex_destroy(&log->state_mutex) == 0);
    hf_free(log);
}

/* --- open --- */

static const struct hf_log_driver file_driver = {
    .name = "file",
    .takeover = hf_log_file_takeover,
    .append_start = append_start,
    .append_poll = append_poll,
    .resolve_start = resolve_start,
    .resolve_poll = resolve_poll,
    .confirm_start = confirm_start,
    .confirm_poll = confirm_poll,
    .read = hf_log_file_read,
    .seek = hf_log_file_seek,
    .peek = hf_log_file_peek,
    .first_seq = first_seq,
    .trim = trim,
    .seal = seal,
    .close = close_log,
};

enum hf_err hf_log_sync_parent(struct hf_outside *outside, const char *path, struct hf_error *error)
{
    char parent[HF_LOG_PATH_BYTES];
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') {
        length--;
    }
    while (length > 0 && path[length - 1] != '/') {
        length--;
    }
    (void)snprintf(parent, sizeof(parent), "%.*s", (int)(length == 0 ? 1 : length),
                   length == 0 ? "." : path);
    return outside->sync_directory(outside, parent, error);
}

/* Makes DIR and DIR/log, durably. */
static enum hf_err make_directories(struct hf_log_file *log, struct hf_error *error)
{
    struct hf_outside *o = log->outside;
    char path[HF_LOG_PATH_BYTES];
    hf_log_path_log(log, path);
    enum hf_err code = o->make_directory(o, log->directory, error);
    if (code == HF_ERR_OK) {
        code = o->make_directory(o, path, error);
    }
    if (code == HF_ERR_OK) {
        code = o->sync_directory(o, log->directory, error);
    }
    return code == HF_ERR_OK ? hf_log_sync_parent(o, log->directory, error) : code;
}

/* What a reader sees at first; a log that isn't there yet is fine if it may be made. */
static enum hf_err first_look(struct hf_log_file *log, struct hf_error *error)
{
    enum hf_err code = hf_log_file_refresh(log, error);
    if (code == HF_ERR_NOT_FOUND && log->create) {
        code = HF_ERR_OK;
    } else if (code == HF_ERR_NOT_FOUND) {
        (void)hf_error_wrap(error, "no log there");
    }
    return code;
}

enum hf_err hf_log_file_open(struct hf_outside *outside, const struct hf_log_file_options *options,
                             struct hf_log **log, struct hf_error *error)
{
    *log = NULL;
    size_t length = strlen(options->directory);
    if (length == 0 || length >= HF_LOG_DIRECTORY_BYTES) {
        return hf_error_set(error, HF_ERR_LIMIT, "open log: the directory's path is too long");
    }
    struct hf_log_file *opened = hf_calloc(1, sizeof(*opened));
    if (opened == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "open log: memory is short");
    }
    opened->base.driver = &file_driver;
    opened->outside = outside;
    opened->create = options->create;
    uint64_t first_bytes = hf_max_u64(options->segment_bytes_first, 2 * HF_LOG_PAGE_BYTES);
    opened->segment_bytes_first = hf_log_page_up(first_bytes);
    opened->segment_bytes_max = hf_log_page_up(hf_max_u64(options->segment_bytes_max, first_bytes));
    memcpy(opened->directory, options->directory, length + 1);
    HF_CHECK(pthread_mutex_init(&opened->mutex, NULL) == 0);
    HF_CHECK(pthread_mutex_init(&opened->state_mutex, NULL) == 0);
    hf_log_prepare_init(opened);
    enum hf_err code = options->create ? make_directories(opened, error) : HF_ERR_OK;
    if (code == HF_ERR_OK) {
        code = first_look(opened, error);
    }
    if (code != HF_ERR_OK) {
        (void)hf_error_wrap(error, "open log in %s", options->directory);
        close_log(&opened->base);
        return code;
    }
    *log = &opened->base;
    return HF_ERR_OK;
}
