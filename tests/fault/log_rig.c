#include "fault/log_rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "log/log_file.h"
#include "sim/sim_memory.h"

#define STEPS_MAX           200000 /* an append that needs more never ends */
#define TAKEOVER_TRIES      50
#define SEGMENT_BYTES_FIRST 16384
#define SEGMENT_BYTES_MAX   65536
#define DIRECTORY           "data"

/* The oracle's own stop: names what is broken, with the seed in the caller's message. */
#define RIG_CHECK(condition) HF_CHECK(condition)

struct rig *rig_new(enum rig_kind kind, uint64_t seed)
{
    struct rig *rig = hf_sim_calloc(1, sizeof(*rig));
    rig->kind = kind;
    rig->world = hf_world_new(seed);
    rig->random = hf_sim_random_fork(hf_world_random(rig->world));
    rig->machine[0] = hf_world_machine_new(rig->world, NULL);
    rig->machine[1] = hf_world_machine_new(rig->world, kind == RIG_FILE ? rig->machine[0] : NULL);
    rig->sim = kind == RIG_SIMULATED ? hf_log_sim_new(rig->world) : NULL;
    rig->first_seq = 1;
    return rig;
}

static void batch_release(struct rig_batch *batch)
{
    union {
        const uint8_t *borrowed;
        uint8_t *owned;
    } body = {.borrowed = batch->batch.body};
    free(body.owned);
    *batch = (struct rig_batch){.present = false};
}

void rig_free(struct rig *rig)
{
    for (unsigned i = 0; i < 2; i++) {
        rig_close(rig, i);
    }
    if (rig->sim != NULL) {
        hf_log_sim_verify(rig->sim);
    }
    hf_log_sim_free(rig->sim);
    hf_world_free(rig->world);
    for (size_t i = 0; i < rig->count; i++) {
        batch_release(&rig->batches[i]);
    }
    batch_release(&rig->perhaps);
    free(rig->batches);
    free(rig);
}

void rig_calm(struct rig *rig)
{
    struct hf_world_knobs *knobs = hf_world_knobs(rig->world);
    knobs->open_error_ppm = knobs->read_error_ppm = knobs->write_error_ppm = 0;
    knobs->write_short_ppm = knobs->sync_error_ppm = knobs->directory_error_ppm = 0;
    for (unsigned i = 0; i < 2; i++) {
        hf_world_disarm(rig->machine[i]);
        hf_fs_budget_set(hf_world_machine_disk(rig->machine[i]), UINT64_MAX);
    }
    if (rig->sim != NULL) {
        struct hf_log_sim_knobs *log = hf_log_sim_knobs(rig->sim);
        struct hf_log_sim_knobs calm = {.delay_us_min = log->delay_us_min,
                                        .delay_us_max = log->delay_us_max,
                                        .late_us_max = log->late_us_max};
        *log = calm;
    }
}

void rig_close(struct rig *rig, unsigned machine)
{
    if (rig->log[machine] != NULL) {
        rig->log[machine]->driver->close(rig->log[machine]);
        rig->log[machine] = NULL;
    }
}

enum hf_err rig_open(struct rig *rig, unsigned machine, struct hf_error *error)
{
    if (!hf_world_up(rig->machine[machine])) {
        rig_close(rig, machine);
        (void)hf_world_boot(rig->machine[machine]);
    }
    if (rig->log[machine] != NULL) {
        return HF_ERR_OK;
    }
    struct hf_outside *outside = hf_world_process(rig->machine[machine]);
    if (rig->kind == RIG_SIMULATED) {
        return hf_log_sim_open(rig->sim, outside, &rig->log[machine], error);
    }
    struct hf_log_file_options options = {
        .directory = DIRECTORY,
        .create = true,
        .segment_bytes_first = SEGMENT_BYTES_FIRST,
        .segment_bytes_max = SEGMENT_BYTES_MAX,
    };
    return hf_log_file_open(outside, &options, &rig->log[machine], error);
}

/* ---- the model ---- */

static bool same_batch(const struct hf_log_batch *a, const struct hf_log_batch *b)
{
    return a->space == b->space && a->seq == b->seq && a->epoch == b->epoch &&
           a->first_position == b->first_position && a->commit_count == b->commit_count &&
           memcmp(a->batch_id, b->batch_id, 16) == 0 &&
           hf_hash_equal(&a->hash_before, &b->hash_before) &&
           hf_hash_equal(&a->hash_after, &b->hash_after) && a->body_bytes == b->body_bytes &&
           memcmp(a->body, b->body, a->body_bytes) == 0;
}

static void acknowledge(struct rig *rig)
{
    rig->batches = hf_sim_grow(rig->batches, rig->count, &rig->capacity, sizeof(*rig->batches));
    rig->batches[rig->count++] = rig->perhaps;
    rig->perhaps = (struct rig_batch){.present = false};
}

static struct hf_log_head model_head(const struct rig *rig)
{
    struct hf_log_head head = {.epoch = rig->epoch};
    if (rig->count > 0) {
        const struct hf_log_batch *last = &rig->batches[rig->count - 1].batch;
        head.seq = last->seq;
        head.position = last->first_position + last->commit_count - 1;
        head.hash = last->hash_after;
    }
    return head;
}

/* One batch as it was read. */
static void compare_batch(struct rig *rig, const struct hf_log_batch *batch, uint64_t seq)
{
    bool i5_chain_recomputes = hf_log_batch_chain_ok(batch);
    RIG_CHECK(i5_chain_recomputes);
    if (seq > rig->count) {
        bool i1_nothing_that_nobody_appended = rig->perhaps.present && seq == rig->count + 1;
        RIG_CHECK(i1_nothing_that_nobody_appended);
        rig->perhaps_there++;
        acknowledge(rig);
    }
    bool i4_the_same_bytes = same_batch(batch, &rig->batches[seq - 1].batch);
    RIG_CHECK(i4_the_same_bytes);
}

/* Reads [from, head] in parts of random size; returns the seq behind the last one. */
static uint64_t read_and_compare(struct rig *rig, struct hf_log *log, uint64_t from)
{
    uint64_t seq = from;
    struct hf_buffer out;
    hf_buffer_init(&out);
    for (;;) {
        uint32_t batches;
        struct hf_error error = {.code = HF_ERR_OK};
        hf_buffer_clear(&out);
        size_t bytes_max = (size_t)hf_sim_random_below(&rig->random, 30000);
        enum hf_err result = log->driver->read(log, seq, bytes_max, &out, &batches, &error);
        if (result != HF_ERR_OK) {
            fprintf(stderr, "read %llu: %s\n", (unsigned long long)seq, error.text);
        }
        RIG_CHECK(result == HF_ERR_OK);
        if (batches == 0) {
            break;
        }
        size_t at = 0;
        for (uint32_t i = 0; i < batches; i++) {
            struct hf_log_batch batch;
            RIG_CHECK(hf_log_batch_decode(out.data, out.size_bytes, &at, &batch, &error) ==
                      HF_ERR_OK);
            compare_batch(rig, &batch, seq++);
        }
        RIG_CHECK(at == out.size_bytes);
    }
    hf_buffer_release(&out);
    return seq;
}

static void check_seek(struct rig *rig, struct hf_log *log, uint64_t first)
{
    uint64_t seq;
    if (rig->count >= first) {
        const struct hf_log_batch *batch =
            &rig->batches[hf_sim_random_between(&rig->random, first, rig->count) - 1].batch;
        uint64_t position =
            batch->first_position + hf_sim_random_below(&rig->random, batch->commit_count);
        RIG_CHECK(log->driver->seek(log, position, &seq, NULL) == HF_ERR_OK);
        RIG_CHECK(seq == batch->seq);
    }
    struct hf_log_head head = model_head(rig);
    RIG_CHECK(log->driver->seek(log, head.position + 1, &seq, NULL) == HF_ERR_NOT_FOUND);
}

void rig_verify(struct rig *rig, unsigned machine)
{
    struct hf_log *log = rig->log[machine];
    uint64_t first = log->driver->first_seq(log);
    bool first_seq_only_trimmed_as_asked = first >= 1 && first <= rig->first_seq;
    RIG_CHECK(first_seq_only_trimmed_as_asked);
    uint64_t end = read_and_compare(rig, log, first);
    bool i4_every_acknowledged_batch_is_there = end == rig->count + 1;
    RIG_CHECK(i4_every_acknowledged_batch_is_there);
    if (rig->perhaps.present) {
        rig->perhaps_absent++;
        batch_release(&rig->perhaps);
    }
    check_seek(rig, log, first);
}

enum hf_err rig_takeover(struct rig *rig, unsigned machine, struct hf_log_recovery *recovery)
{
    struct hf_error error = {.code = HF_ERR_OK};
    struct hf_log_recovery unused;
    recovery = recovery == NULL ? &unused : recovery;
    enum hf_err result = rig_open(rig, machine, &error);
    if (result != HF_ERR_OK) {
        RIG_CHECK(rig->log[machine] == NULL && error.text[0] != '\0');
        return result;
    }
    struct hf_log *log = rig->log[machine];
    struct hf_log_head head;
    result = log->driver->takeover(log, HF_STR("rig"), false, &head, recovery, &error);
    if (result != HF_ERR_OK) {
        if (result == HF_ERR_CORRUPT) {
            fprintf(stderr, "takeover: %s\n", error.text);
        }
        bool no_crash_makes_corruption = result != HF_ERR_CORRUPT;
        RIG_CHECK(no_crash_makes_corruption);
        if (result != HF_ERR_LOCKED) {
            rig_close(rig, machine);
        }
        return result;
    }
    bool i2_epochs_grow = head.epoch > rig->epoch;
    RIG_CHECK(i2_epochs_grow);
    rig->epoch = head.epoch;
    rig_calm(rig);
    rig_verify(rig, machine);
    struct hf_log_head model = model_head(rig);
    bool head_is_the_end_of_the_log = head.seq == model.seq && head.position == model.position &&
                                      hf_hash_equal(&head.hash, &model.hash);
    RIG_CHECK(head_is_the_end_of_the_log);
    rig->head[machine] = head;
    return HF_ERR_OK;
}

void rig_takeover_calm(struct rig *rig, unsigned machine, struct hf_log_recovery *recovery)
{
    rig_calm(rig);
    enum hf_err result = HF_ERR_IO;
    for (unsigned i = 0; i < TAKEOVER_TRIES && result != HF_ERR_OK; i++) {
        result = rig_takeover(rig, machine, recovery);
    }
    bool takeover_succeeds_without_faults = result == HF_ERR_OK;
    RIG_CHECK(takeover_succeeds_without_faults);
}

/* ---- appending ---- */

static void append_commit(struct rig *rig, struct hf_log_batch *batch, struct hf_buffer *body,
                          size_t bytes_about)
{
    size_t record_bytes = 1 + (size_t)hf_sim_random_below(&rig->random, bytes_about);
    size_t payload_bytes = (size_t)hf_sim_random_below(&rig->random, bytes_about);
    hf_buffer_u32(body, (uint32_t)record_bytes);
    hf_buffer_u32(body, (uint32_t)payload_bytes);
    uint8_t *record = hf_buffer_extend(body, record_bytes + payload_bytes);
    RIG_CHECK(record != NULL);
    hf_sim_random_bytes(&rig->random, record, record_bytes + payload_bytes);
    if (hf_sim_random_chance(&rig->random, HF_PPM / 4)) {
        memset(record, 0, record_bytes + payload_bytes); /* looks like what was never written */
    }
    batch->hash_after = hf_log_chain(&batch->hash_after, record, record_bytes);
    batch->commit_count++;
}

void rig_append_start(struct rig *rig, unsigned machine, size_t body_bytes_about)
{
    RIG_CHECK(!rig->perhaps.present);
    const struct hf_log_head *head = &rig->head[machine];
    struct hf_log_batch *batch = &rig->perhaps.batch;
    *batch = (struct hf_log_batch){
        .seq = head->seq + 1,
        .epoch = head->epoch,
        .first_position = head->position + 1,
        .hash_before = head->hash,
        .hash_after = head->hash,
    };
    hf_sim_random_bytes(&rig->random, batch->batch_id, 16);
    struct hf_buffer body;
    hf_buffer_init(&body);
    size_t commits = 1 + (size_t)hf_sim_random_below(&rig->random, 4);
    for (size_t i = 0; i < commits; i++) {
        append_commit(rig, batch, &body, body_bytes_about / commits + 1);
    }
    RIG_CHECK(!body.failed);
    uint8_t *copy = hf_sim_calloc(1, body.size_bytes);
    memcpy(copy, body.data, body.size_bytes);
    batch->body = copy;
    batch->body_bytes = body.size_bytes;
    hf_buffer_release(&body);
    rig->perhaps.present = true;
    rig->sent_seq[machine] = batch->seq;
    memcpy(rig->sent_id[machine], batch->batch_id, 16);
    rig->log[machine]->driver->append_start(rig->log[machine], batch);
}

/* Steps; false if the machine went down. */
static bool step(struct rig *rig, unsigned machine, unsigned *steps)
{
    bool the_driver_answers_in_the_end = ++*steps < STEPS_MAX;
    RIG_CHECK(the_driver_answers_in_the_end);
    if (!hf_world_up(rig->machine[machine])) {
        return false;
    }
    bool something_is_under_way = hf_world_step(rig->world);
    RIG_CHECK(something_is_under_way);
    return hf_world_up(rig->machine[machine]);
}

static void advance_head(struct rig *rig, unsigned machine)
{
    const struct hf_log_batch *batch = &rig->batches[rig->count - 1].batch;
    struct hf_log_head *head = &rig->head[machine];
    head->seq = batch->seq;
    head->position = batch->first_position + batch->commit_count - 1;
    head->hash = batch->hash_after;
}

static bool is_perhaps(const struct rig *rig, const uint8_t id[16])
{
    return rig->perhaps.present && memcmp(rig->perhaps.batch.batch_id, id, 16) == 0;
}

/* The outcome OK or COMMITTED; another's takeover may have settled it before. */
static enum rig_outcome is_there(struct rig *rig, unsigned machine)
{
    uint64_t seq = rig->sent_seq[machine];
    if (is_perhaps(rig, rig->sent_id[machine])) {
        acknowledge(rig);
    }
    bool i4_what_is_told_ok_is_there =
        rig->count >= seq &&
        memcmp(rig->batches[seq - 1].batch.batch_id, rig->sent_id[machine], 16) == 0;
    RIG_CHECK(i4_what_is_told_ok_is_there);
    if (rig->head[machine].epoch == rig->epoch) {
        advance_head(rig, machine);
    }
    return RIG_DONE;
}

static enum rig_outcome is_absent(struct rig *rig, unsigned machine, enum rig_outcome outcome)
{
    uint64_t seq = rig->sent_seq[machine];
    bool what_is_told_absent_is_absent =
        rig->count < seq ||
        memcmp(rig->batches[seq - 1].batch.batch_id, rig->sent_id[machine], 16) != 0;
    RIG_CHECK(what_is_told_absent_is_absent);
    if (is_perhaps(rig, rig->sent_id[machine])) {
        batch_release(&rig->perhaps);
    }
    return outcome;
}

static enum hf_resolve_outcome resolve(struct rig *rig, unsigned machine, uint64_t seq,
                                       const uint8_t id[16])
{
    struct hf_log *log = rig->log[machine];
    unsigned steps = 0;
    enum hf_resolve_outcome outcome;
    log->driver->resolve_start(log, seq, id);
    while ((outcome = log->driver->resolve_poll(log, NULL)) == HF_RESOLVE_PENDING) {
        if (!step(rig, machine, &steps)) {
            break;
        }
    }
    return outcome;
}

static enum hf_append_outcome wait_append(struct rig *rig, unsigned machine)
{
    struct hf_log *log = rig->log[machine];
    struct hf_error error = {.code = HF_ERR_OK};
    unsigned steps = 0;
    enum hf_append_outcome outcome;
    while ((outcome = log->driver->append_poll(log, &error)) == HF_APPEND_PENDING) {
        if (!step(rig, machine, &steps)) {
            break;
        }
    }
    if (outcome == HF_APPEND_FAILED || outcome == HF_APPEND_NO_SPACE) {
        bool errors_have_words = error.text[0] != '\0';
        RIG_CHECK(errors_have_words);
    }
    return outcome;
}

static enum rig_outcome finish(struct rig *rig, unsigned machine)
{
    struct hf_log *log = rig->log[machine];
    const uint8_t *id = rig->sent_id[machine];
    enum hf_append_outcome outcome = wait_append(rig, machine);
    while (outcome == HF_APPEND_AMBIGUOUS) {
        switch (resolve(rig, machine, rig->sent_seq[machine], id)) {
        case HF_RESOLVE_PENDING:
            return RIG_CRASHED;
        case HF_RESOLVE_COMMITTED:
            return is_there(rig, machine);
        case HF_RESOLVE_NEVER:
            return is_absent(rig, machine, RIG_ABSENT);
        case HF_RESOLVE_FENCED:
            return RIG_DEPOSED; /* perhaps there: the next owner knows */
        case HF_RESOLVE_RETRY:
            break;
        }
        if (!is_perhaps(rig, id)) {
            return RIG_DEPOSED; /* another owner settled it meanwhile; its bytes are gone */
        }
        log->driver->append_start(log, &rig->perhaps.batch);
        outcome = wait_append(rig, machine);
    }
    switch (outcome) {
    case HF_APPEND_OK:
        return is_there(rig, machine);
    case HF_APPEND_FENCED:
        return is_absent(rig, machine, RIG_DEPOSED);
    case HF_APPEND_NO_SPACE:
        return is_absent(rig, machine, RIG_ABSENT);
    case HF_APPEND_FAILED:
        return RIG_FAILED;
    case HF_APPEND_PENDING:
    case HF_APPEND_AMBIGUOUS:
        break;
    }
    return RIG_CRASHED;
}

enum rig_outcome rig_append_finish(struct rig *rig, unsigned machine)
{
    enum rig_outcome outcome = finish(rig, machine);
    rig->told[outcome]++;
    return outcome;
}

enum rig_outcome rig_append(struct rig *rig, unsigned machine, size_t body_bytes_about)
{
    rig_append_start(rig, machine, body_bytes_about);
    return rig_append_finish(rig, machine);
}

enum hf_confirm_outcome rig_confirm(struct rig *rig, unsigned machine)
{
    struct hf_log *log = rig->log[machine];
    unsigned steps = 0;
    enum hf_confirm_outcome outcome;
    log->driver->confirm_start(log);
    while ((outcome = log->driver->confirm_poll(log)) == HF_CONFIRM_PENDING) {
        if (!step(rig, machine, &steps)) {
            break;
        }
    }
    return outcome;
}
