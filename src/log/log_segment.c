/* Segments: reading their headers, making them, preparing the next one bit by bit. */
#include "base/alloc.h"
#include "base/check.h"
#include "log/log_pack.h"

/* Of `.log`; NOT_FOUND if there is none. */
static enum hf_err load_plain_header(struct hf_log_file *log, uint64_t number,
                                     struct hf_log_segment_header *header, uint64_t *size_bytes,
                                     struct hf_error *error)
{
    struct hf_outside *o = log->outside;
    char path[HF_LOG_PATH_BYTES];
    hf_log_path_segment(log, number, ".log", path);
    struct hf_file *file;
    enum hf_err code = o->open(o, path, HF_OPEN_READ_DIRECT, &file, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    uint8_t page[HF_LOG_PAGE_BYTES] = {0};
    size_t got;
    code = o->read(o, file, 0, page, sizeof(page), &got, error);
    if (code == HF_ERR_OK) {
        code = o->size(o, file, size_bytes, error);
    }
    o->close(o, file);
    if (code != HF_ERR_OK) {
        return code;
    }
    enum hf_log_page outcome = hf_log_segment_header_decode(page, header);
    if (outcome == HF_LOG_PAGE_NEWER) {
        return hf_error_set(error, HF_ERR_VERSION, "%s: written by a newer version", path);
    }
    return outcome == HF_LOG_PAGE_VALID
               ? HF_ERR_OK
               : hf_error_set(error, HF_ERR_CORRUPT,
                              "segment %llu, offset 0: its header is damaged",
                              (unsigned long long)number);
}

static enum hf_err load_header(struct hf_log_file *log, const struct hf_log_state *state,
                               uint64_t number, struct hf_log_segment_header *header,
                               struct hf_error *error)
{
    uint64_t size_bytes = 0;
    enum hf_err code = load_plain_header(log, number, header, &size_bytes, error);
    if (code == HF_ERR_NOT_FOUND && number < state->active_segment) {
        code = hf_log_place_header(log, number, header, error);
        size_bytes = header->size_bytes; /* the original's */
    } else if (code == HF_ERR_NOT_FOUND) {
        char path[HF_LOG_PATH_BYTES];
        hf_log_path_segment(log, number, ".log", path);
        code = hf_error_set(error, HF_ERR_CORRUPT, "segment %llu: %s is missing",
                            (unsigned long long)number, path);
    }
    if (code != HF_ERR_OK) {
        return code;
    }
    const char *wrong = NULL;
    if (header->number != number ||
        memcmp(header->log_id, state->log_id, sizeof(header->log_id)) != 0) {
        wrong = "it belongs elsewhere";
    } else if (header->epoch > state->epoch) {
        wrong = "its epoch is above that of the state";
    } else if (header->size_bytes > size_bytes) {
        wrong = "the file is shorter than its header says";
    }
    return wrong == NULL ? HF_ERR_OK
                         : hf_error_set(error, HF_ERR_CORRUPT, "segment %llu, offset 0: %s",
                                        (unsigned long long)number, wrong);
}

enum hf_err hf_log_segments_load(struct hf_log_file *log, const struct hf_log_state *state,
                                 struct hf_log_map *map, struct hf_error *error)
{
    HF_CHECK(map->count == 0);
    enum hf_err code = HF_ERR_OK;
    for (uint64_t number = state->first_segment;
         code == HF_ERR_OK && number <= state->active_segment; number++) {
        struct hf_log_segment_header header;
        code = load_header(log, state, number, &header, error);
        if (code == HF_ERR_OK) {
            code = hf_log_map_add(map, &header, error);
        }
    }
    if (code == HF_ERR_OK && map->count > 0 && state->first_segment == 1 &&
        map->segments[0].header.first_seq != 1) {
        code = hf_error_set(error, HF_ERR_CORRUPT, "segment 1 does not begin with batch 1");
    }
    if (code != HF_ERR_OK) {
        hf_log_map_release(map);
    }
    return code;
}

uint64_t hf_log_segment_bytes(const struct hf_log_file *log, uint64_t number, uint64_t need_bytes)
{
    uint64_t size = log->segment_bytes_first;
    for (uint64_t i = 1; i < number && size < log->segment_bytes_max; i++) {
        size = hf_min_u64(size * 2, log->segment_bytes_max);
    }
    return hf_log_page_up(hf_max_u64(size, need_bytes));
}

/* Lets go of the segment in preparation and of its file. */
static void discard(struct hf_log_file *log)
{
    struct hf_log_prepare *prepare = &log->prepare;
    if (prepare->file != NULL) {
        char path[HF_LOG_PATH_BYTES];
        hf_log_path_segment(log, prepare->number, ".new", path);
        log->outside->close(log->outside, prepare->file);
        prepare->file = NULL;
        (void)log->outside->remove(log->outside, path, NULL); /* the next takeover tries again */
    }
}

static enum hf_err begin(struct hf_log_file *log, uint64_t number, uint64_t size_bytes,
                         struct hf_error *error)
{
    struct hf_log_prepare *prepare = &log->prepare;
    struct hf_outside *o = log->outside;
    char path[HF_LOG_PATH_BYTES];
    hf_log_path_segment(log, number, ".new", path);
    enum hf_err code = o->remove(o, path, error);
    if (code != HF_ERR_OK && code != HF_ERR_NOT_FOUND) {
        return code;
    }
    code = o->open(o, path, HF_OPEN_CREATE_NEW, &prepare->file, error);
    if (code == HF_ERR_OK) {
        prepare->number = number;
        prepare->size_bytes = size_bytes;
        prepare->zeroed_bytes = 0;
    }
    return code;
}

/* Writes and syncs zeroes up to at most `target`. They are written, not merely allocated: a write
 * into blocks that are only allocated has to log their conversion with each sync (LIMITS.md: twice
 * as slow). */
static enum hf_err zero_step(struct hf_log_file *log, uint64_t target, struct hf_error *error)
{
    static uint8_t zeroes[HF_LOG_ZERO_STEP_BYTES]; /* never written: not const, to lie in .bss */
    struct hf_log_prepare *prepare = &log->prepare;
    struct hf_outside *o = log->outside;
    uint64_t left = hf_min_u64(target, prepare->size_bytes) - prepare->zeroed_bytes;
    size_t step = (size_t)hf_min_u64(left, sizeof(zeroes));
    enum hf_err code = o->write(o, prepare->file, prepare->zeroed_bytes, zeroes, step, error);
    if (code == HF_ERR_OK) {
        code = o->sync(o, prepare->file, error);
    }
    if (code == HF_ERR_OK) {
        prepare->zeroed_bytes += step;
    }
    return code;
}

/* Header and name: the segment becomes `.log`. */
static enum hf_err finish(struct hf_log_file *log, const struct hf_log_segment_header *header,
                          struct hf_error *error)
{
    struct hf_log_prepare *prepare = &log->prepare;
    struct hf_outside *o = log->outside;
    uint8_t page[HF_LOG_PAGE_BYTES];
    hf_log_segment_header_encode(header, page);
    enum hf_err code = o->write(o, prepare->file, 0, page, sizeof(page), error);
    if (code == HF_ERR_OK) {
        code = o->sync(o, prepare->file, error);
    }
    if (code != HF_ERR_OK) {
        return code;
    }
    char from[HF_LOG_PATH_BYTES];
    char to[HF_LOG_PATH_BYTES];
    char directory[HF_LOG_PATH_BYTES];
    hf_log_path_segment(log, header->number, ".new", from);
    hf_log_path_segment(log, header->number, ".log", to);
    hf_log_path_log(log, directory);
    code = o->rename(o, from, to, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    code = o->sync_directory(o, directory, error);
    if (code != HF_ERR_OK) {
        (void)o->remove(o, to, NULL);
    }
    return code;
}

static enum hf_err make(struct hf_log_file *log, uint64_t number, uint64_t need_bytes,
                        const struct hf_log_head *head, uint64_t epoch,
                        struct hf_log_segment_header *header, struct hf_error *error)
{
    struct hf_log_prepare *prepare = &log->prepare;
    if (prepare->file != NULL && (prepare->number != number || prepare->size_bytes < need_bytes)) {
        discard(log);
    }
    enum hf_err code = HF_ERR_OK;
    if (prepare->file == NULL) {
        code = begin(log, number, hf_log_segment_bytes(log, number, need_bytes), error);
    }
    while (code == HF_ERR_OK && prepare->zeroed_bytes < prepare->size_bytes) {
        code = zero_step(log, prepare->size_bytes, error);
    }
    if (code != HF_ERR_OK) {
        return code;
    }
    *header = (struct hf_log_segment_header){
        .number = number,
        .size_bytes = prepare->size_bytes,
        .first_seq = head->seq + 1,
        .first_position = head->position + 1,
        .epoch = epoch,
        .hash_before = head->hash,
    };
    memcpy(header->log_id, log->log_id, sizeof(header->log_id));
    return finish(log, header, error);
}

enum hf_err hf_log_segment_make(struct hf_log_file *log, uint64_t number, uint64_t need_bytes,
                                const struct hf_log_head *head, uint64_t epoch,
                                struct hf_file **file, struct hf_log_segment_header *header,
                                struct hf_error *error)
{
    struct hf_log_prepare *prepare = &log->prepare;
    *file = NULL;
    *header = (struct hf_log_segment_header){0};
    atomic_store(&prepare->stop, true); /* the job ends after its step; the rest is done here */
    hf_log_lock(&prepare->mutex);
    enum hf_err code = make(log, number, need_bytes, head, epoch, header, error);
    if (code == HF_ERR_OK) {
        *file = prepare->file;
        prepare->file = NULL;
        prepare->gave_up = false;
    } else {
        (void)hf_error_wrap(error, "make segment %llu", (unsigned long long)number);
        discard(log);
        prepare->gave_up = true;
    }
    hf_log_unlock(&prepare->mutex);
    atomic_store(&prepare->stop, false);
    return code;
}

/* On HF_WORKER_PREPARE: zeroes up to the target, the mutex free between the steps. */
static void prepare_run(struct hf_job *job)
{
    struct hf_log_prepare *prepare = HF_CONTAINER_OF(job, struct hf_log_prepare, job);
    struct hf_log_file *log = HF_CONTAINER_OF(prepare, struct hf_log_file, prepare);
    bool more = true;
    while (more) {
        hf_log_lock(&prepare->mutex);
        more = !atomic_load(&prepare->stop) && prepare->file != NULL &&
               prepare->zeroed_bytes < prepare->target_bytes;
        if (more && zero_step(log, prepare->target_bytes, NULL) != HF_ERR_OK) {
            discard(log); /* a full disk must keep what room it has left */
            prepare->gave_up = true;
        }
        hf_log_unlock(&prepare->mutex);
    }
    atomic_store(&prepare->queued, false);
}

void hf_log_prepare_init(struct hf_log_file *log)
{
    HF_CHECK(pthread_mutex_init(&log->prepare.mutex, NULL) == 0);
    log->prepare.job.run = prepare_run;
}

void hf_log_prepare_release(struct hf_log_file *log)
{
    HF_CHECK(!atomic_load(&log->prepare.queued));
    discard(log);
    HF_CHECK(pthread_mutex_destroy(&log->prepare.mutex) == 0);
}

/* How much of the next segment should be zeroed by now: in proportion to how far the active one is
 * filled, all of it at seven eighths. So the zeroes compete with the batches in small, even portions
 * and are there in time. */
static uint64_t wanted_bytes(const struct hf_log_file *log, uint64_t next_bytes)
{
    uint64_t ramp = hf_max_u64(log->active_bytes / 8 * 7, 1);
    uint64_t gone = hf_min_u64(log->active_offset, ramp);
    uint64_t wanted = (uint64_t)((hf_u128)next_bytes * gone / ramp);
    uint64_t steps = (wanted + HF_LOG_ZERO_STEP_BYTES - 1) / HF_LOG_ZERO_STEP_BYTES;
    return hf_min_u64(steps * HF_LOG_ZERO_STEP_BYTES, next_bytes);
}

void hf_log_prepare_go_on(struct hf_log_file *log)
{
    struct hf_log_prepare *prepare = &log->prepare;
    uint64_t number = log->active_number + 1;
    uint64_t next_bytes = hf_log_segment_bytes(log, number, 0);
    uint64_t wanted = wanted_bytes(log, next_bytes);
    if (wanted == 0 || atomic_load(&prepare->queued)) {
        return; /* too early, or at it: the next append asks again */
    }
    hf_log_lock(&prepare->mutex);
    bool start = false;
    if (!prepare->gave_up) {
        if (prepare->file == NULL && begin(log, number, next_bytes, NULL) != HF_ERR_OK) {
            prepare->gave_up = true;
        }
        prepare->target_bytes = wanted;
        start = prepare->file != NULL && prepare->zeroed_bytes < wanted;
    }
    hf_log_unlock(&prepare->mutex);
    if (start) {
        atomic_store(&prepare->queued, true);
        log->outside->submit(log->outside, HF_WORKER_PREPARE, &prepare->job);
    }
}
