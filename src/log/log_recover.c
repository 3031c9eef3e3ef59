/*
 * Takeover: the lock, the end of the log, the next epoch.
 *
 * Everything is read past the page cache, for after a failed fsync Linux shows pages that never
 * reached the disk. Nothing is changed before the log is known to be sound; then, in this order,
 * each step durable before the next:
 *
 *     torn tail zeroed -> leftovers removed -> first segment made (new log) -> state: epoch + 1, no seal
 *
 * A crash between two steps leaves a log that the next takeover reads to the same end.
 *
 * The end of the log, when the record at the tail is not whole:
 *     all zero from there on                          a clean end (killed between appends)
 *     something there, no valid header behind it      a torn tail: cut and reported
 *     a valid header of this log behind it            damage: HF_ERR_CORRUPT
 *     the log is sealed and does not end at its seal  damage: HF_ERR_CORRUPT
 */
#include <stdio.h>

#include "base/check.h"
#include "log/log_priv.h"

#define SCAN_AHEAD_BYTES (1u << 20)

/* What the walk over the active segment found. */
struct scan {
    struct hf_log_head head; /* of the last whole batch */
    uint64_t tail_offset;    /* behind it */
    uint64_t size_bytes;     /* of the segment */
    uint64_t cut_bytes;      /* torn bytes behind the tail; 0 = none */
    uint8_t last_batch_id[16];
};

static enum hf_err corrupt(struct hf_error *error, uint64_t segment, uint64_t offset,
                           const char *why)
{
    return hf_error_set(error, HF_ERR_CORRUPT, "segment %llu, offset %llu: %s",
                        (unsigned long long)segment, (unsigned long long)offset, why);
}

/* Does a whole batch follow the head? */
static const char *why_not_next(const struct hf_log_head *head, const struct hf_log_batch *batch)
{
    if (batch->seq != head->seq + 1 || batch->first_position != head->position + 1) {
        return "the batch is not the next one";
    }
    if (batch->epoch < head->epoch) {
        return "the batch's epoch is below the one before";
    }
    if (!hf_hash_equal(&batch->hash_before, &head->hash)) {
        return "the batch does not continue the hash chain";
    }
    return NULL;
}

/* Walks the whole batches of the active segment; stops at the first record that is not one. */
static enum hf_err walk_batches(struct hf_log_window *window, struct hf_log_segment *segment,
                                struct scan *scan, struct hf_error *error)
{
    uint64_t number = segment->header.number;
    uint64_t tag = hf_log_tag(segment->header.log_id);
    while (scan->tail_offset < scan->size_bytes) {
        enum hf_log_record outcome;
        struct hf_log_batch batch;
        const uint8_t *encoded;
        uint64_t stored;
        enum hf_err code = hf_log_window_record(window, scan->tail_offset, tag, &outcome, &batch,
                                                &encoded, &stored, error);
        if (code != HF_ERR_OK || outcome == HF_LOG_RECORD_DAMAGED) {
            (void)hf_error_wrap(error, "segment %llu", (unsigned long long)number);
            return code != HF_ERR_OK ? code : HF_ERR_CORRUPT;
        }
        if (outcome == HF_LOG_RECORD_INVALID) {
            break;
        }
        const char *wrong = why_not_next(&scan->head, &batch);
        if (wrong != NULL) {
            return corrupt(error, number, scan->tail_offset, wrong);
        }
        struct hf_log_mark mark = {batch.seq, batch.first_position, scan->tail_offset};
        hf_log_segment_note(segment, mark);
        scan->head = (struct hf_log_head){
            .epoch = batch.epoch,
            .seq = batch.seq,
            .position = batch.first_position + batch.commit_count - 1,
            .hash = batch.hash_after,
        };
        memcpy(scan->last_batch_id, batch.batch_id, sizeof(scan->last_batch_id));
        scan->tail_offset += stored;
    }
    return HF_ERR_OK;
}

static const char *why_not_at_seal(const struct hf_log_state *state, const struct scan *scan,
                                   uint64_t used_bytes)
{
    if (scan->head.seq != state->seal_seq || scan->head.position != state->seal_position ||
        scan->tail_offset != state->seal_offset) {
        return "the log was closed cleanly, but does not end at its seal";
    }
    if (!hf_hash_equal(&scan->head.hash, &state->seal_hash)) {
        return "the log was closed cleanly with another hash";
    }
    return used_bytes == 0 ? NULL : "something was written behind the seal";
}

static enum hf_err scan_active(struct hf_log_file *log, const struct hf_log_state *state,
                               struct hf_log_segment *segment, struct hf_log_window *window,
                               struct scan *scan, struct hf_error *error)
{
    const struct hf_log_segment_header *header = &segment->header;
    *scan = (struct scan){
        .head = {.epoch = header->epoch,
                 .seq = header->first_seq - 1,
                 .position = header->first_position - 1,
                 .hash = header->hash_before},
        .tail_offset = HF_LOG_PAGE_BYTES,
        .size_bytes = header->size_bytes,
    };
    char path[HF_LOG_PATH_BYTES];
    hf_log_path_segment(log, header->number, ".log", path);
    enum hf_err code =
        hf_log_window_open(window, path, HF_OPEN_READ_DIRECT, header->size_bytes, error);
    if (code == HF_ERR_OK) {
        code = walk_batches(window, segment, scan, error);
    }
    if (code != HF_ERR_OK) {
        return code;
    }
    struct hf_log_rest rest;
    code = hf_log_window_rest(window, scan->tail_offset, hf_log_tag(header->log_id), &rest, error);
    if (code != HF_ERR_OK) {
        (void)hf_error_wrap(error, "segment %llu", (unsigned long long)header->number);
        return code;
    }
    if (rest.header_found) {
        return corrupt(error, header->number, scan->tail_offset,
                       "damaged record before a valid one");
    }
    if (scan->head.epoch > state->epoch) {
        return corrupt(error, header->number, scan->tail_offset,
                       "a batch's epoch is above that of the state");
    }
    const char *wrong = state->sealed ? why_not_at_seal(state, scan, rest.used_bytes) : NULL;
    if (wrong != NULL) {
        return corrupt(error, header->number, scan->tail_offset, wrong);
    }
    scan->cut_bytes = rest.used_bytes;
    return HF_ERR_OK;
}

/* The torn tail becomes zeroes again, durably; and whatever the device still holds in its own
 * cache of the batches just read becomes durable too. */
static enum hf_err cut_tail(struct hf_log_file *log, const struct scan *scan,
                            struct hf_error *error)
{
    static uint8_t zeroes[64u << 10]; /* never written: not const, to lie in .bss */
    struct hf_outside *o = log->outside;
    uint64_t end = scan->tail_offset + hf_log_page_up(scan->cut_bytes);
    enum hf_err code = HF_ERR_OK;
    for (uint64_t at = scan->tail_offset; code == HF_ERR_OK && at < end; at += sizeof(zeroes)) {
        size_t size = (size_t)hf_min_u64(end - at, sizeof(zeroes));
        code = o->write(o, log->active_file, at, zeroes, size, error);
    }
    if (code == HF_ERR_OK) {
        code = o->sync(o, log->active_file, error);
    }
    return code;
}

/* Names in DIR/log that no state counts. */
struct leftovers {
    struct hf_log_file *log;          /* whose directory */
    const struct hf_log_state *state; /* what counts; NULL: only look whether there is a segment */
    bool segment_found;               /* a file called like a segment */
    bool remove;                      /* else only checked */
    enum hf_err code;                 /* of the first failure */
    struct hf_error *error;           /* of the caller */
};

uint64_t hf_log_number_of(struct hf_str name, const char *suffix)
{
    uint64_t number = 0;
    if (name.len != 24 || memcmp(name.ptr + 20, suffix, 4) != 0) {
        return 0;
    }
    for (size_t i = 0; i < 20; i++) {
        char digit = name.ptr[i];
        if (digit < '0' || digit > '9' || number > (UINT64_MAX - 9) / 10) {
            return 0;
        }
        number = number * 10 + (uint64_t)(digit - '0');
    }
    return number;
}

/* A segment above the active one must not hold a batch (log_priv.h, 1). */
static enum hf_err check_unused(struct leftovers *left, const char *path, uint64_t number)
{
    struct hf_log_window window;
    struct hf_outside *o = left->log->outside;
    hf_log_window_init(&window, o, 0);
    enum hf_err code = hf_log_window_open(&window, path, HF_OPEN_READ_DIRECT, 0, left->error);
    if (code == HF_ERR_OK) {
        code = o->size(o, window.file, &window.size_bytes, left->error);
    }
    if (code == HF_ERR_OK && window.size_bytes >= 2 * HF_LOG_PAGE_BYTES) {
        const uint8_t *page;
        struct hf_log_batch batch;
        uint64_t body_checksum;
        code = hf_log_window_get(&window, HF_LOG_PAGE_BYTES, HF_LOG_PAGE_BYTES, &page, left->error);
        if (code == HF_ERR_OK && hf_log_header_decode(page, &batch, &body_checksum) &&
            batch.log_tag == hf_log_tag(left->state->log_id)) {
            code = corrupt(left->error, number, HF_LOG_PAGE_BYTES,
                           "a batch in a segment that the state does not count");
        }
    }
    hf_log_window_release(&window);
    return code;
}

static void each_leftover(void *context, struct hf_str name)
{
    struct leftovers *left = context;
    uint64_t number = hf_log_number_of(name, ".log");
    uint64_t moved = hf_max_u64(hf_log_number_of(name, ".zst"), hf_log_number_of(name, ".ref"));
    bool unfinished = hf_log_number_of(name, ".new") > 0 || hf_log_number_of(name, ".tmp") > 0;
    number = hf_max_u64(number, moved);
    left->segment_found = left->segment_found || number > 0;
    if (left->state == NULL || left->code != HF_ERR_OK) {
        return;
    }
    char path[HF_LOG_PATH_BYTES];
    hf_log_path_in_log(left->log, name.ptr, path);
    bool above = number > left->state->active_segment;
    bool below = number > 0 && number < left->state->first_segment;
    if (above && moved > 0) {
        left->code = hf_error_set(left->error, HF_ERR_CORRUPT,
                                  "%s: a sealed segment that the state does not count", path);
    } else if (above && !left->remove) {
        left->code = check_unused(left, path, number);
    }
    if (left->code == HF_ERR_OK && left->remove && (above || below || unfinished)) {
        left->code = left->log->outside->remove(left->log->outside, path, left->error);
    }
}

static enum hf_err look_at_leftovers(struct hf_log_file *log, const struct hf_log_state *state,
                                     bool remove, bool *segment_found, struct hf_error *error)
{
    struct leftovers left = {.log = log, .state = state, .remove = remove, .error = error};
    char path[HF_LOG_PATH_BYTES];
    hf_log_path_log(log, path);
    enum hf_err code = log->outside->list(log->outside, path, each_leftover, &left, error);
    *segment_found = left.segment_found;
    return code != HF_ERR_OK ? code : left.code;
}

/* The state, made if this is a new log. */
static enum hf_err load_or_create(struct hf_log_file *log, struct hf_error *error)
{
    struct hf_log_state state;
    unsigned slot;
    bool found;
    enum hf_err code = hf_log_state_load(log, &state, &slot, error);
    if (code == HF_ERR_NOT_FOUND) {
        code = look_at_leftovers(log, NULL, false, &found, error);
        if (code == HF_ERR_OK && found) {
            return hf_error_set(error, HF_ERR_CORRUPT,
                                "%s/log: there are segments, but the file `state` is missing",
                                log->directory);
        }
        if (code == HF_ERR_OK && !log->create) {
            code = hf_error_set(error, HF_ERR_NOT_FOUND, "%s: no log there", log->directory);
        }
        if (code == HF_ERR_OK) {
            code = hf_log_state_create(log, error);
        }
        if (code == HF_ERR_OK) {
            code = hf_log_state_load(log, &state, &slot, error);
        }
    }
    if (code == HF_ERR_OK) {
        log->state = state;
        log->state_slot = slot;
        memcpy(log->log_id, state.log_id, sizeof(log->log_id));
    }
    return code;
}

static enum hf_err open_active(struct hf_log_file *log, const struct scan *scan, uint64_t number,
                               struct hf_error *error)
{
    char path[HF_LOG_PATH_BYTES];
    hf_log_path_segment(log, number, ".log", path);
    enum hf_err code =
        log->outside->open(log->outside, path, HF_OPEN_READ_WRITE, &log->active_file, error);
    if (code == HF_ERR_OK) {
        code = cut_tail(log, scan, error);
    }
    log->active_number = number;
    log->active_bytes = scan->size_bytes;
    log->active_offset = scan->tail_offset;
    return code;
}

/* Reads the end of a log that has segments, and makes it ready for appends. */
static enum hf_err recover(struct hf_log_file *log, struct hf_log_recovery *recovery,
                           struct hf_error *error)
{
    struct hf_log_window window;
    struct scan scan;
    bool found;
    enum hf_err code = hf_log_segments_load(log, &log->state, &log->map, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    struct hf_log_segment *active = &log->map.segments[log->map.count - 1];
    hf_log_window_init(&window, log->outside, SCAN_AHEAD_BYTES);
    code = scan_active(log, &log->state, active, &window, &scan, error);
    hf_log_window_release(&window);
    if (code == HF_ERR_OK) {
        code = look_at_leftovers(log, &log->state, false, &found, error);
    }
    if (code == HF_ERR_OK) {
        code = open_active(log, &scan, active->header.number, error);
    }
    if (code == HF_ERR_OK) {
        code = look_at_leftovers(log, &log->state, true, &found, error);
    }
    if (code != HF_ERR_OK) {
        return code;
    }
    log->durable = scan.head;
    memcpy(log->last_batch_id, scan.last_batch_id, sizeof(log->last_batch_id));
    recovery->sealed = log->state.sealed;
    recovery->torn_tail = scan.cut_bytes > 0;
    if (recovery->torn_tail) {
        recovery->torn_segment = active->header.number;
        recovery->torn_offset = scan.tail_offset;
        recovery->torn_bytes = scan.cut_bytes;
    }
    return HF_ERR_OK;
}

/* A new log's first segment. */
static enum hf_err make_first(struct hf_log_file *log, struct hf_error *error)
{
    bool found;
    struct hf_log_segment_header header;
    log->durable = (struct hf_log_head){0};
    enum hf_err code = look_at_leftovers(log, &log->state, false, &found, error);
    if (code == HF_ERR_OK) {
        code = look_at_leftovers(log, &log->state, true, &found, error);
    }
    if (code != HF_ERR_OK) {
        return code;
    }
    code = hf_log_segment_make(log, 1, 0, &log->durable, log->state.epoch, &log->active_file,
                               &header, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    log->active_number = header.number;
    log->active_bytes = header.size_bytes;
    log->active_offset = HF_LOG_PAGE_BYTES;
    return hf_log_map_add(&log->map, &header, error);
}

static enum hf_err take(struct hf_log_file *log, struct hf_str me, struct hf_log_recovery *recovery,
                        struct hf_error *error)
{
    struct hf_outside *o = log->outside;
    enum hf_err code = load_or_create(log, error);
    if (code == HF_ERR_OK) {
        code =
            log->state.active_segment == 0 ? make_first(log, error) : recover(log, recovery, error);
    }
    if (code != HF_ERR_OK) {
        return code;
    }
    char path[HF_LOG_PATH_BYTES];
    hf_log_path_in_log(log, "state", path);
    code = o->open(o, path, HF_OPEN_READ_WRITE, &log->state_file, error);
    if (code == HF_ERR_OK) {
        /* The slot that was read may be a killed owner's that it had not synced yet: it must be durable before
         * the other one is written over, or a power loss in between could tear both. */
        code = o->sync(o, log->state_file, error);
    }
    if (code != HF_ERR_OK) {
        return code;
    }
    struct hf_log_state next = log->state;
    next.epoch++;
    next.active_segment = log->active_number;
    next.sealed = false;
    next.seal_seq = next.seal_position = next.seal_offset = 0;
    next.seal_hash = (struct hf_hash){0};
    memset(next.owner, 0, sizeof(next.owner));
    (void)snprintf(next.owner, sizeof(next.owner), "%.*s",
                   (int)hf_min_u64(me.len, sizeof(next.owner) - 1), me.len == 0 ? "" : me.ptr);
    hf_log_lock(&log->state_mutex);
    code = hf_log_state_update(log, next, error);
    hf_log_unlock(&log->state_mutex);
    log->durable.epoch = log->state.epoch;
    return code;
}

void hf_log_file_disown(struct hf_log_file *log)
{
    struct hf_outside *o = log->outside;
    o->close(o, log->active_file);
    log->active_file = NULL;
    o->close(o, log->state_file);
    log->state_file = NULL;
    o->unlock(o, log->lock);
    log->lock = NULL;
}

enum hf_err hf_log_file_takeover(struct hf_log *base, struct hf_str me, bool wait,
                                 struct hf_log_head *head, struct hf_log_recovery *recovery,
                                 struct hf_error *error)
{
    struct hf_log_file *log = hf_log_file_of(base);
    *head = (struct hf_log_head){0};
    *recovery = (struct hf_log_recovery){0};
    HF_CHECK(!log->owner);
    char path[HF_LOG_PATH_BYTES];
    hf_log_path_lock(log, path);
    struct hf_lock *lock;
    enum hf_err code = log->outside->lock(log->outside, path, wait, &lock, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    log->lock = lock;
    hf_log_lock(&log->mutex); /* readers wait until the log is known again */
    hf_log_map_release(&log->map);
    atomic_store(&log->failed, false);
    code = take(log, me, recovery, error);
    if (code == HF_ERR_OK) {
        log->owner = true;
        log->sought_number = 0;
        *head = log->durable;
    } else {
        (void)hf_error_wrap(error, "take over the log in %s", log->directory);
        hf_log_map_release(&log->map);
        log->state = (struct hf_log_state){0};
        hf_log_file_disown(log);
    }
    hf_log_unlock(&log->mutex);
    return code;
}
