#include "sim/log_sim.h"

#include "base/check.h"
#include "sim/log_sim_priv.h"
#include "sim/sim_memory.h"

/* ---- time ---- */

static uint64_t delay_us(struct hf_log_sim *sim)
{
    uint64_t low = sim->knobs.delay_us_min;
    uint64_t delay =
        hf_sim_random_between(&sim->random, low, hf_max_u64(low, sim->knobs.delay_us_max));
    if (hf_sim_random_chance(&sim->random, sim->knobs.slow_ppm)) {
        delay += hf_sim_random_below(&sim->random, sim->knobs.late_us_max + 1ull);
    }
    return delay;
}

static void answer_now(struct sim_client *client, struct sim_answer *answer)
{
    answer->answered = true;
    answer->value = answer->coming;
    client->outside->ring(client->outside);
}

static void answer_start(struct sim_answer *answer)
{
    HF_CHECK(!answer->under_way); /* one at a time */
    *answer = (struct sim_answer){.under_way = true};
}

/* 0 (every PENDING) until it is answered; then the outcome, once. */
static unsigned answer_poll(struct sim_answer *answer)
{
    if (!answer->answered) {
        return 0;
    }
    unsigned value = answer->value;
    *answer = (struct sim_answer){.under_way = false};
    return value;
}

/* ---- append ---- */

static void count_told(struct sim_client *client, enum hf_append_outcome outcome)
{
    struct hf_log_sim *sim = client->sim;
    struct hf_log_sim_counters *counters = &sim->counters;
    bool stored = sim_is_stored(sim, client->sent_seq, client->sent_id);
    bool under_way = false;
    for (struct sim_message *m = sim->first; m != NULL; m = m->next) {
        if (m->client == client && memcmp(m->batch.batch_id, client->sent_id, 16) == 0) {
            under_way = true;
            m->told = true;
        }
    }
    switch (outcome) {
    case HF_APPEND_OK:
        HF_CHECK(stored);
        counters->append_ok++;
        break;
    case HF_APPEND_FENCED:
        HF_CHECK(!stored);
        counters->append_fenced++;
        break;
    case HF_APPEND_AMBIGUOUS:
        *(stored      ? &counters->append_ambiguous_stored
          : under_way ? &counters->append_ambiguous_late
                      : &counters->append_ambiguous_lost) += 1;
        break;
    case HF_APPEND_NO_SPACE:
        HF_CHECK(!stored);
        counters->append_no_space++;
        break;
    case HF_APPEND_FAILED:
        *(stored || under_way ? &counters->append_failed_stored : &counters->append_failed_lost) +=
            1;
        break;
    case HF_APPEND_PENDING:
        HF_CHECK(false);
    }
}

static void tell_append(void *context)
{
    struct sim_client *client = context;
    if (client->closed) {
        return;
    }
    enum hf_append_outcome outcome = client->append.coming;
    count_told(client, outcome);
    if (outcome == HF_APPEND_AMBIGUOUS) {
        client->open = (struct sim_open_batch){
            .open = true, .seq = client->sent_seq, .bytes_hash = client->sent_hash};
        memcpy(client->open.batch_id, client->sent_id, 16);
    } else if (outcome == HF_APPEND_OK || outcome == HF_APPEND_FENCED) {
        client->open.open = false;
    }
    hf_world_trace(client->sim->world, (uint64_t)outcome);
    answer_now(client, &client->append);
}

static void tell_append_later(struct sim_client *client, enum hf_append_outcome outcome,
                              uint64_t after_us)
{
    client->append.coming = outcome;
    hf_world_after(client->sim->world, client->outside, after_us, tell_append, client);
}

static void message_arrives(void *context)
{
    struct sim_message *message = context;
    struct hf_log_sim *sim = message->sim;
    struct sim_client *client = message->client;
    enum hf_append_outcome outcome = sim_settle(sim, message);
    sim->counters.in_flight_rejected += outcome == HF_APPEND_FENCED;
    if (message->fate == FATE_NORMAL) {
        tell_append_later(client, outcome, delay_us(sim));
    } else if (message->fate == FATE_AMBIGUOUS_STORED) {
        tell_append_later(client, HF_APPEND_AMBIGUOUS, delay_us(sim));
    }
    sim_message_free(message);
}

static enum sim_fate draw_fate(struct hf_log_sim *sim)
{
    const struct hf_log_sim_knobs *knobs = &sim->knobs;
    if (knobs->full || hf_sim_random_chance(&sim->random, knobs->no_space_ppm)) {
        return FATE_NO_SPACE;
    }
    if (hf_sim_random_chance(&sim->random, knobs->ambiguous_stored_ppm)) {
        return FATE_AMBIGUOUS_STORED;
    }
    if (hf_sim_random_chance(&sim->random, knobs->ambiguous_lost_ppm)) {
        return FATE_AMBIGUOUS_LOST;
    }
    if (hf_sim_random_chance(&sim->random, knobs->ambiguous_late_ppm)) {
        return FATE_AMBIGUOUS_LATE;
    }
    if (hf_sim_random_chance(&sim->random, knobs->failed_ppm)) {
        return hf_sim_random_chance(&sim->random, HF_PPM / 2) ? FATE_FAILED_SENT : FATE_FAILED_LOST;
    }
    return FATE_NORMAL;
}

static void message_send(struct sim_client *client, const struct hf_log_batch *batch,
                         uint8_t *bytes, size_t size_bytes, enum sim_fate fate, uint64_t after_us)
{
    struct hf_log_sim *sim = client->sim;
    struct sim_message *message = hf_sim_calloc(1, sizeof(*message));
    message->sim = sim;
    message->client = client;
    message->fate = fate;
    message->batch = *batch;
    message->batch.body = bytes + HF_LOG_HEADER_BYTES;
    message->bytes = bytes;
    message->size_bytes = size_bytes;
    message->previous = sim->last;
    *(sim->last != NULL ? &sim->last->next : &sim->first) = message;
    sim->last = message;
    hf_world_after(sim->world, NULL, after_us, message_arrives, message);
}

/* The appender's side of the contract, from what only it can know. */
static void check_sender(const struct sim_client *client, const struct hf_log_batch *batch)
{
    const struct hf_log_sim *sim = client->sim;
    bool append_by_an_owner = client->owner && !client->closed;
    bool append_of_own_epoch = batch->epoch == client->epoch;
    bool i5_chain_recomputes = sim_chain_holds(batch);
    HF_CHECK(append_by_an_owner);
    HF_CHECK(append_of_own_epoch);
    HF_CHECK(i5_chain_recomputes);
    if (client->open.open) {
        bool ambiguous_batch_settled_before_another =
            batch->seq == client->open.seq &&
            memcmp(batch->batch_id, client->open.batch_id, 16) == 0;
        bool ambiguous_batch_resent_with_the_same_bytes =
            hf_hash_equal(&client->sent_hash, &client->open.bytes_hash);
        HF_CHECK(ambiguous_batch_settled_before_another);
        HF_CHECK(ambiguous_batch_resent_with_the_same_bytes);
    }
    if (!client->failed && client->epoch == sim->head.epoch &&
        !sim_is_stored(sim, batch->seq, batch->batch_id)) {
        bool never_batch_not_sent_again = !sim_is_never(sim, batch->batch_id);
        HF_CHECK(never_batch_not_sent_again);
        sim_check_extends(sim, batch);
    }
}

static void send_by_fate(struct sim_client *client, const struct hf_log_batch *batch,
                         uint8_t *bytes, size_t size_bytes)
{
    struct hf_log_sim *sim = client->sim;
    uint64_t there_us = delay_us(sim);
    uint64_t late_us = hf_sim_random_below(&sim->random, sim->knobs.late_us_max + 1ull);
    /* The fate of a resend may not be NO_SPACE: its original may be stored already. */
    enum sim_fate fate = draw_fate(sim);
    fate = fate == FATE_NO_SPACE && client->open.open ? FATE_NORMAL : fate;
    switch (fate) {
    case FATE_NORMAL:
    case FATE_AMBIGUOUS_STORED:
        message_send(client, batch, bytes, size_bytes, fate, there_us);
        return;
    case FATE_AMBIGUOUS_LATE:
        message_send(client, batch, bytes, size_bytes, fate, there_us + late_us);
        tell_append_later(client, HF_APPEND_AMBIGUOUS, there_us);
        return;
    case FATE_FAILED_SENT:
        client->failed = true;
        message_send(client, batch, bytes, size_bytes, fate, there_us);
        tell_append_later(client, HF_APPEND_FAILED, delay_us(sim));
        return;
    case FATE_AMBIGUOUS_LOST:
        tell_append_later(client, HF_APPEND_AMBIGUOUS, there_us);
        break;
    case FATE_FAILED_LOST:
        client->failed = true;
        tell_append_later(client, HF_APPEND_FAILED, there_us);
        break;
    case FATE_NO_SPACE:
        tell_append_later(client, HF_APPEND_NO_SPACE, there_us);
        break;
    }
    free(bytes);
}

static void append_start(struct hf_log *log, const struct hf_log_batch *batch)
{
    struct sim_client *client = (struct sim_client *)log;
    struct hf_log_sim *sim = client->sim;
    answer_start(&client->append);
    if (!hf_world_alive(client->outside)) {
        return;
    }
    size_t size_bytes = HF_LOG_HEADER_BYTES + batch->body_bytes;
    struct hf_log_batch tagged = *batch;
    tagged.log_tag = sim->log_tag;
    uint8_t *bytes = hf_sim_calloc(1, size_bytes);
    hf_log_header_encode(&tagged, bytes);
    memcpy(bytes + HF_LOG_HEADER_BYTES, batch->body, batch->body_bytes);
    client->sent_hash = hf_sha256(bytes, size_bytes);
    client->sent_seq = batch->seq;
    memcpy(client->sent_id, batch->batch_id, 16);
    check_sender(client, batch);
    if (client->failed) {
        free(bytes);
        tell_append_later(client, HF_APPEND_FAILED, delay_us(sim));
        return;
    }
    if (hf_sim_random_chance(&sim->random, sim->knobs.phantom_takeover_ppm)) {
        hf_log_sim_fence(sim);
    }
    send_by_fate(client, batch, bytes, size_bytes);
}

static enum hf_append_outcome append_poll(struct hf_log *log, struct hf_error *error)
{
    struct sim_client *client = (struct sim_client *)log;
    enum hf_append_outcome outcome = answer_poll(&client->append);
    if (outcome == HF_APPEND_FAILED) {
        (void)hf_error_set(error, HF_ERR_IO, "append: a write failed (simulated)");
    } else if (outcome == HF_APPEND_NO_SPACE) {
        (void)hf_error_set(error, HF_ERR_NO_SPACE, "append: no space (simulated)");
    } else if (outcome == HF_APPEND_FENCED) {
        (void)hf_error_set(error, HF_ERR_DEPOSED, "append: another owner (simulated)");
    }
    return outcome;
}

/* ---- resolve, confirm ---- */

static enum hf_resolve_outcome evaluate_resolve(struct sim_client *client)
{
    struct hf_log_sim *sim = client->sim;
    bool fenced = client->epoch < sim->head.epoch;
    if (sim_is_stored(sim, client->resolve_seq, client->resolve_id)) {
        bool say_fenced = fenced && hf_sim_random_chance(&sim->random, HF_PPM / 2);
        return say_fenced ? HF_RESOLVE_FENCED : HF_RESOLVE_COMMITTED;
    }
    if (fenced) {
        return HF_RESOLVE_FENCED;
    }
    bool never = sim_is_never(sim, client->resolve_id);
    /* Another batch there means that this one can never come. */
    if (!never && (client->resolve_seq <= sim->head.seq ||
                   hf_sim_random_chance(&sim->random, sim->knobs.resolve_never_ppm))) {
        sim->never =
            hf_sim_grow(sim->never, sim->never_count, &sim->never_capacity, sizeof(*sim->never));
        memcpy(sim->never[sim->never_count++], client->resolve_id, 16);
        never = true;
    }
    return never ? HF_RESOLVE_NEVER : HF_RESOLVE_RETRY;
}

static void tell_resolve(void *context)
{
    struct sim_client *client = context;
    struct hf_log_sim_counters *counters = &client->sim->counters;
    if (client->closed) {
        return;
    }
    enum hf_resolve_outcome outcome = client->resolve.coming;
    counters->resolve_committed += outcome == HF_RESOLVE_COMMITTED;
    counters->resolve_never += outcome == HF_RESOLVE_NEVER;
    counters->resolve_retry += outcome == HF_RESOLVE_RETRY;
    counters->resolve_fenced += outcome == HF_RESOLVE_FENCED;
    bool same = memcmp(client->open.batch_id, client->resolve_id, 16) == 0;
    if (same && outcome != HF_RESOLVE_RETRY) {
        client->open.open = false;
    }
    hf_world_trace(client->sim->world, (uint64_t)outcome);
    answer_now(client, &client->resolve);
}

static void resolve_arrives(void *context)
{
    struct sim_client *client = context;
    if (!client->closed) {
        client->resolve.coming = evaluate_resolve(client);
        hf_world_after(client->sim->world, client->outside, delay_us(client->sim), tell_resolve,
                       client);
    }
}

static void resolve_start(struct hf_log *log, uint64_t seq, const uint8_t batch_id[16])
{
    struct sim_client *client = (struct sim_client *)log;
    bool resolve_after_the_append_ended = !client->append.under_way;
    HF_CHECK(resolve_after_the_append_ended);
    HF_CHECK(client->owner && !client->closed);
    answer_start(&client->resolve);
    client->resolve_seq = seq;
    memcpy(client->resolve_id, batch_id, 16);
    hf_world_after(client->sim->world, client->outside, delay_us(client->sim), resolve_arrives,
                   client);
}

static enum hf_resolve_outcome resolve_poll(struct hf_log *log, struct hf_error *error)
{
    (void)error;
    return answer_poll(&((struct sim_client *)log)->resolve);
}

static void tell_confirm(void *context)
{
    struct sim_client *client = context;
    struct hf_log_sim_counters *counters = &client->sim->counters;
    if (client->closed) {
        return;
    }
    enum hf_confirm_outcome outcome = client->confirm.coming;
    counters->confirm_ok += outcome == HF_CONFIRM_OK;
    counters->confirm_fenced += outcome == HF_CONFIRM_FENCED;
    counters->confirm_failed += outcome == HF_CONFIRM_FAILED;
    hf_world_trace(client->sim->world, (uint64_t)outcome);
    answer_now(client, &client->confirm);
}

static void confirm_arrives(void *context)
{
    struct sim_client *client = context;
    struct hf_log_sim *sim = client->sim;
    if (client->closed) {
        return;
    }
    enum hf_confirm_outcome outcome = HF_CONFIRM_OK;
    if (client->epoch != sim->head.epoch) {
        outcome = HF_CONFIRM_FENCED;
    } else if (hf_sim_random_chance(&sim->random, sim->knobs.confirm_failed_ppm)) {
        outcome = HF_CONFIRM_FAILED;
    }
    client->confirm.coming = outcome;
    hf_world_after(sim->world, client->outside, delay_us(sim), tell_confirm, client);
}

static void confirm_start(struct hf_log *log)
{
    struct sim_client *client = (struct sim_client *)log;
    HF_CHECK(client->owner && !client->closed);
    answer_start(&client->confirm);
    hf_world_after(client->sim->world, client->outside, delay_us(client->sim), confirm_arrives,
                   client);
}

static enum hf_confirm_outcome confirm_poll(struct hf_log *log)
{
    return answer_poll(&((struct sim_client *)log)->confirm);
}

/* ---- takeover, read, trim, seal, close ---- */

static enum hf_err takeover(struct hf_log *log, struct hf_str me, bool wait,
                            struct hf_log_head *head, struct hf_log_recovery *recovery,
                            struct hf_error *error)
{
    (void)me;
    (void)wait;
    struct sim_client *client = (struct sim_client *)log;
    struct hf_log_sim *sim = client->sim;
    *head = (struct hf_log_head){.epoch = 0};
    *recovery = (struct hf_log_recovery){.sealed = false};
    if (!hf_world_alive(client->outside)) {
        return hf_error_set(error, HF_ERR_CRASHED, "takeover (simulated)");
    }
    HF_CHECK(!client->closed && !client->append.under_way && !client->resolve.under_way);
    if (client->failed) {
        return hf_error_set(error, HF_ERR_IO, "takeover: this log has failed; open it again");
    }
    if (hf_sim_random_chance(&sim->random, sim->knobs.takeover_failed_ppm)) {
        sim->counters.takeovers_failed++;
        if (hf_sim_random_chance(&sim->random, HF_PPM / 2)) {
            sim_new_epoch(sim);
        }
        return hf_error_set(error, HF_ERR_IO, "takeover: no answer (simulated)");
    }
    bool sealed = sim->sealed;
    sim_new_epoch(sim);
    sim->counters.takeovers++;
    sim->owner = client;
    client->owner = true;
    client->epoch = sim->head.epoch;
    client->open.open = false;
    recovery->sealed = sealed;
    *head = sim->head;
    return HF_ERR_OK;
}

static enum hf_err read_batches(struct hf_log *log, uint64_t from, size_t bytes_max,
                                struct hf_buffer *out, uint32_t *batches, struct hf_error *error)
{
    struct sim_client *client = (struct sim_client *)log;
    struct hf_log_sim *sim = client->sim;
    *batches = 0;
    HF_CHECK(from > 0 && !client->closed);
    if (!hf_world_alive(client->outside)) {
        return hf_error_set(error, HF_ERR_CRASHED, "read (simulated)");
    }
    if (hf_sim_random_chance(&sim->random, sim->knobs.read_failed_ppm)) {
        sim->counters.reads_failed++;
        return hf_error_set(error, HF_ERR_IO, "read batch %llu: (simulated)",
                            (unsigned long long)from);
    }
    if (from < sim->first_seq) {
        return hf_error_set(error, HF_ERR_NOT_FOUND, "read batch %llu: trimmed",
                            (unsigned long long)from);
    }
    size_t used = 0;
    for (uint64_t seq = from; seq <= sim->head.seq; seq++) {
        const struct sim_stored *stored = &sim->stored[seq - 1];
        if (*batches > 0 && used + stored->size_bytes > bytes_max) {
            break;
        }
        hf_buffer_bytes(out, stored->bytes, stored->size_bytes);
        used += stored->size_bytes;
        *batches += 1;
    }
    return out->failed ? hf_error_set(error, HF_ERR_NO_MEMORY, "read log") : HF_ERR_OK;
}

static enum hf_err seek(struct hf_log *log, uint64_t position, uint64_t *seq,
                        struct hf_error *error)
{
    struct sim_client *client = (struct sim_client *)log;
    struct hf_log_sim *sim = client->sim;
    *seq = 0;
    HF_CHECK(position > 0 && !client->closed);
    if (!hf_world_alive(client->outside)) {
        return hf_error_set(error, HF_ERR_CRASHED, "seek (simulated)");
    }
    /* The first batch that ends at position or behind it. */
    uint64_t low = 1;
    uint64_t end = sim->head.seq + 1;
    while (low < end) {
        uint64_t middle = low + (end - low) / 2;
        if (sim->stored[middle - 1].position < position) {
            low = middle + 1;
        } else {
            end = middle;
        }
    }
    if (low > sim->head.seq || low < sim->first_seq) {
        return hf_error_set(error, HF_ERR_NOT_FOUND, "seek commit %llu: not in the log",
                            (unsigned long long)position);
    }
    *seq = low;
    return HF_ERR_OK;
}

static uint64_t first_seq(struct hf_log *log)
{
    return ((struct sim_client *)log)->sim->first_seq;
}

static enum hf_err trim(struct hf_log *log, uint64_t up_to, struct hf_error *error)
{
    struct sim_client *client = (struct sim_client *)log;
    struct hf_log_sim *sim = client->sim;
    if (!hf_world_alive(client->outside)) {
        return hf_error_set(error, HF_ERR_CRASHED, "trim (simulated)");
    }
    /* Nobody who has been deposed trims, and the newest batch stays. */
    if (client->epoch != sim->head.epoch) {
        return hf_error_set(error, HF_ERR_DEPOSED, "trim (simulated)");
    }
    for (; sim->first_seq < up_to && sim->first_seq < sim->head.seq; sim->first_seq++) {
        struct sim_stored *stored = &sim->stored[sim->first_seq - 1];
        free(stored->bytes);
        stored->bytes = NULL;
    }
    return HF_ERR_OK;
}

static enum hf_err seal(struct hf_log *log, struct hf_error *error)
{
    struct sim_client *client = (struct sim_client *)log;
    struct hf_log_sim *sim = client->sim;
    if (!hf_world_alive(client->outside)) {
        return hf_error_set(error, HF_ERR_CRASHED, "seal (simulated)");
    }
    HF_CHECK(client->owner && !client->append.under_way);
    bool ambiguous_batch_settled_before_seal = !client->open.open;
    HF_CHECK(ambiguous_batch_settled_before_seal);
    if (client->failed) {
        return hf_error_set(error, HF_ERR_IO, "seal: this log has failed");
    }
    if (client->epoch != sim->head.epoch) {
        return hf_error_set(error, HF_ERR_DEPOSED, "seal: another owner (simulated)");
    }
    sim->sealed = true;
    sim->counters.seals++;
    return HF_ERR_OK;
}

static void close_log(struct hf_log *log)
{
    if (log != NULL) {
        ((struct sim_client *)log)->closed = true;
    }
}

static const struct hf_log_driver driver = {
    .name = "simulated",
    .takeover = takeover,
    .append_start = append_start,
    .append_poll = append_poll,
    .resolve_start = resolve_start,
    .resolve_poll = resolve_poll,
    .confirm_start = confirm_start,
    .confirm_poll = confirm_poll,
    .read = read_batches,
    .seek = seek,
    .first_seq = first_seq,
    .trim = trim,
    .seal = seal,
    .close = close_log,
};

/* ---- public ---- */

enum hf_err hf_log_sim_open(struct hf_log_sim *sim, struct hf_outside *outside, struct hf_log **log,
                            struct hf_error *error)
{
    *log = NULL;
    if (!hf_world_alive(outside)) {
        return hf_error_set(error, HF_ERR_CRASHED, "open log (simulated)");
    }
    struct sim_client *client = hf_sim_calloc(1, sizeof(*client));
    client->log.driver = &driver;
    client->sim = sim;
    client->outside = outside;
    client->next = sim->clients;
    sim->clients = client;
    *log = &client->log;
    return HF_ERR_OK;
}
