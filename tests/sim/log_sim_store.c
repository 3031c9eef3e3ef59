#include "sim/log_sim.h"

#include "base/bytes.h"
#include "base/check.h"
#include "sim/log_sim_priv.h"
#include "sim/sim_memory.h"

/* ---- the store ---- */

bool sim_is_never(const struct hf_log_sim *sim, const uint8_t batch_id[16])
{
    for (size_t i = 0; i < sim->never_count; i++) {
        if (memcmp(sim->never[i], batch_id, 16) == 0) {
            return true;
        }
    }
    return false;
}

bool sim_is_stored(const struct hf_log_sim *sim, uint64_t seq, const uint8_t batch_id[16])
{
    return seq >= 1 && seq <= sim->head.seq &&
           memcmp(sim->stored[seq - 1].batch_id, batch_id, 16) == 0;
}

/* I5 by its own words, sharing no code with the log: one hash per commit over the record alone. */
bool sim_chain_holds(const struct hf_log_batch *batch)
{
    struct hf_hash hash = batch->hash_before;
    struct hf_reader reader = hf_reader_over(batch->body, batch->body_bytes);
    uint32_t count = 0;
    while (hf_reader_left(&reader) > 0) {
        uint32_t record_bytes = hf_read_u32(&reader);
        uint32_t payload_bytes = hf_read_u32(&reader);
        const uint8_t *record = hf_read_bytes(&reader, record_bytes);
        (void)hf_read_bytes(&reader, payload_bytes);
        if (reader.failed || record_bytes == 0) {
            return false;
        }
        struct hf_sha256_part parts[2] = {{hash.bytes, HF_SHA256_BYTES}, {record, record_bytes}};
        hash = hf_sha256_parts(parts, 2);
        count++;
    }
    return count == batch->commit_count && count > 0 && hf_hash_equal(&hash, &batch->hash_after);
}

/* What an owner sends must extend the head exactly. */
void sim_check_extends(const struct hf_log_sim *sim, const struct hf_log_batch *batch)
{
    bool i1_seq_without_gap = batch->seq == sim->head.seq + 1;
    bool i1_positions_without_gap = batch->first_position == sim->head.position + 1;
    bool i5_chain_continues = hf_hash_equal(&batch->hash_before, &sim->head.hash);
    HF_CHECK(i1_seq_without_gap);
    HF_CHECK(i1_positions_without_gap);
    HF_CHECK(i5_chain_continues);
}

static void store(struct hf_log_sim *sim, struct sim_message *message)
{
    const struct hf_log_batch *batch = &message->batch;
    bool i2_epochs_never_fall =
        sim->head.seq == 0 || batch->epoch >= sim->stored[sim->head.seq - 1].epoch;
    bool i3_nothing_below_the_owner = batch->epoch == sim->head.epoch;
    HF_CHECK(i2_epochs_never_fall);
    HF_CHECK(i3_nothing_below_the_owner);
    sim_check_extends(sim, batch);
    sim->stored = hf_sim_grow(sim->stored, (size_t)sim->head.seq, &sim->stored_capacity,
                              sizeof(*sim->stored));
    struct sim_stored *stored = &sim->stored[sim->head.seq];
    *stored = (struct sim_stored){
        .bytes = message->bytes, .size_bytes = message->size_bytes, .epoch = batch->epoch};
    memcpy(stored->batch_id, batch->batch_id, 16);
    message->bytes = NULL;
    sim->head.seq = batch->seq;
    sim->head.position += batch->commit_count;
    stored->position = sim->head.position;
    sim->head.hash = batch->hash_after;
    sim->sealed = false;
    sim->counters.orphans_stored += !hf_world_alive(message->client->outside);
    sim->counters.late_stored += message->told;
    hf_world_trace(sim->world, hf_get_u64(batch->hash_after.bytes));
}

/* A message reaches the log. Returns what an append would be told. */
enum hf_append_outcome sim_settle(struct hf_log_sim *sim, struct sim_message *message)
{
    const struct hf_log_batch *batch = &message->batch;
    if (sim_is_stored(sim, batch->seq, batch->batch_id)) {
        sim->counters.duplicates++;
        return HF_APPEND_OK;
    }
    if (batch->epoch < sim->head.epoch || sim_is_never(sim, batch->batch_id)) {
        return HF_APPEND_FENCED;
    }
    store(sim, message);
    return HF_APPEND_OK;
}

void sim_message_free(struct sim_message *message)
{
    struct hf_log_sim *sim = message->sim;
    *(message->previous != NULL ? &message->previous->next : &sim->first) = message->next;
    *(message->next != NULL ? &message->next->previous : &sim->last) = message->previous;
    free(message->bytes);
    free(message);
}

/* Another epoch begins: whatever is under way came just before, or never will. */
void sim_new_epoch(struct hf_log_sim *sim)
{
    struct sim_client *old = sim->owner;
    sim->counters.takeovers_of_living +=
        old != NULL && !old->closed && hf_world_alive(old->outside);
    for (struct sim_message *m = sim->first; m != NULL; m = m->next) {
        if (m->batch.epoch != sim->head.epoch ||
            sim_is_stored(sim, m->batch.seq, m->batch.batch_id) ||
            sim_is_never(sim, m->batch.batch_id)) {
            continue;
        }
        sim->counters.takeovers_in_flight++;
        if (hf_sim_random_chance(&sim->random, HF_PPM / 2)) {
            store(sim, m);
            sim->counters.in_flight_stored++;
        }
    }
    sim->head.epoch++;
    sim->owner = NULL;
    sim->sealed = false;
    hf_world_trace(sim->world, sim->head.epoch);
}

/* ---- public, in the header's order ---- */

struct hf_log_sim *hf_log_sim_new(struct hf_world *world)
{
    struct hf_log_sim *sim = hf_sim_calloc(1, sizeof(*sim));
    sim->world = world;
    sim->random = hf_sim_random_fork(hf_world_random(world));
    sim->log_tag = hf_sim_random_u64(&sim->random);
    sim->first_seq = 1;
    sim->knobs = (struct hf_log_sim_knobs){
        .delay_us_min = 50,
        .delay_us_max = 500,
        .late_us_max = 50000,
    };
    return sim;
}

void hf_log_sim_free(struct hf_log_sim *sim)
{
    if (sim == NULL) {
        return;
    }
    while (sim->first != NULL) {
        /* It takes itself out of the list. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        sim_message_free(sim->first);
    }
    while (sim->clients != NULL) {
        struct sim_client *client = sim->clients;
        HF_CHECK(client->closed);
        sim->clients = client->next;
        free(client);
    }
    for (uint64_t seq = 1; seq <= sim->head.seq; seq++) {
        free(sim->stored[seq - 1].bytes);
    }
    free(sim->stored);
    free(sim->never);
    free(sim);
}

struct hf_log_sim_knobs *hf_log_sim_knobs(struct hf_log_sim *sim)
{
    return &sim->knobs;
}

const struct hf_log_sim_counters *hf_log_sim_counters(const struct hf_log_sim *sim)
{
    return &sim->counters;
}

struct hf_log_head hf_log_sim_head(const struct hf_log_sim *sim)
{
    return sim->head;
}

const uint8_t *hf_log_sim_stored(const struct hf_log_sim *sim, uint64_t seq, size_t *size_bytes)
{
    *size_bytes = 0;
    if (seq < sim->first_seq || seq > sim->head.seq) {
        return NULL;
    }
    *size_bytes = sim->stored[seq - 1].size_bytes;
    return sim->stored[seq - 1].bytes;
}

void hf_log_sim_fence(struct hf_log_sim *sim)
{
    sim->counters.phantom_takeovers++;
    sim_new_epoch(sim);
}

void hf_log_sim_verify(const struct hf_log_sim *sim)
{
    uint64_t epoch = 0;
    uint64_t position = 0;
    struct hf_hash hash = {{0}};
    for (uint64_t seq = sim->first_seq; seq <= sim->head.seq; seq++) {
        const struct sim_stored *stored = &sim->stored[seq - 1];
        struct hf_log_batch batch;
        size_t at = 0;
        HF_CHECK(hf_log_batch_decode(stored->bytes, stored->size_bytes, &at, &batch, NULL) ==
                 HF_ERR_OK);
        bool first = seq == sim->first_seq && seq > 1;
        bool i1_seq_without_gap = batch.seq == seq;
        bool i1_positions_without_gap = first || batch.first_position == position + 1;
        bool i2_epochs_never_fall = batch.epoch >= epoch && batch.epoch <= sim->head.epoch;
        bool i5_chain_recomputes =
            sim_chain_holds(&batch) && (first || hf_hash_equal(&batch.hash_before, &hash));
        HF_CHECK(at == stored->size_bytes);
        HF_CHECK(i1_seq_without_gap);
        HF_CHECK(i1_positions_without_gap);
        HF_CHECK(i2_epochs_never_fall);
        HF_CHECK(i5_chain_recomputes);
        epoch = batch.epoch;
        position = batch.first_position + batch.commit_count - 1;
        hash = batch.hash_after;
    }
    if (sim->head.seq >= sim->first_seq) {
        HF_CHECK(position == sim->head.position && hf_hash_equal(&hash, &sim->head.hash));
    }
}
