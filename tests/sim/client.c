/* Clients: what they ask for, how long they wait, what they do when they don't know. */
#include "base/check.h"
#include "sim/run.h"
#include "sim/sim_memory.h"

#define ATTEMPTS_MAX  10
#define PATIENCE_US   60000u
#define BURST_OPS_MAX 24u
#define NIGHT_PPM     1800u /* of an operation that it is followed by a night */
#define NIGHT_US_MIN  500000u
#define LEASE_US      (HF_DELIVERY_MS_MIN * 1000u)
#define LATE_US_MAX   1500u /* behind it */
#define NIGHT_US_MAX  2500000u

static bool percent(struct run *run, unsigned chance)
{
    return hf_sim_random_below(&run->client_random, 100) < chance;
}

static uint64_t between(struct run *run, uint64_t low, uint64_t high)
{
    return hf_sim_random_between(&run->client_random, low, high);
}

struct run_house *client_choose_house(struct run *run)
{
    struct run_house *leader = percent(run, 92) ? house_leader(run) : NULL;
    return leader != NULL ? leader : &run->houses[between(run, 0, run->house_count - 1)];
}

/* ---- what is asked for ---- */

static struct run_op *op_new(struct run *run, uint32_t client, bool chained)
{
    struct run_op *op = hf_sim_calloc(1, sizeof(*op));
    run->ops = hf_sim_grow(run->ops, run->op_count, &run->op_capacity, sizeof(struct run_op *));
    run->ops[run->op_count++] = op;
    run->ops_open++;
    *op =
        (struct run_op){.run = run, .number = run->op_count, .client = client, .chained = chained};
    return op;
}

static struct hf_str keep_text(struct run *run, const char *text)
{
    struct hf_str copy = hf_arena_copy(&run->arena, hf_str_from(text));
    HF_CHECK(copy.ptr != NULL);
    return copy;
}

static enum hf_kind kind_of_query(enum hf_query_type type)
{
    switch (type) {
    case HF_QUERY_TRANSFER:
        return HF_KIND_TRANSFER;
    case HF_QUERY_HOLD:
        return HF_KIND_HOLD;
    case HF_QUERY_STREAM:
    case HF_QUERY_STREAM_EVENTS:
        return HF_KIND_STREAM;
    case HF_QUERY_DOCUMENT:
        return HF_KIND_DOCUMENT;
    case HF_QUERY_LEASE:
        return HF_KIND_LEASE;
    case HF_QUERY_ACCOUNT:
    case HF_QUERY_ENTRIES:
    case HF_QUERY_TRANSFERS:
    case HF_QUERY_HOLDS:
    case HF_QUERY_BALANCE:
    case HF_QUERY_STATEMENT:
        return HF_KIND_ACCOUNT;
    case HF_QUERY_ACCOUNTS:
    case HF_QUERY_STREAMS:
    case HF_QUERY_DOCUMENTS:
    case HF_QUERY_TOTALS:
    case HF_QUERY_KEY:
    case HF_QUERY_SUBSCRIPTIONS:
    case HF_QUERY_MESSAGES:
    case HF_QUERY_COMMIT:
    case HF_QUERY_SAGA:
    case HF_QUERY_SAGA_HISTORY:
    case HF_QUERY_SAGAS:
    case HF_QUERY_SAGA_DEFINITION:
    case HF_QUERY_SAGA_DEFINITIONS:
    case HF_QUERY_SAGA_COUNTS:
    case HF_QUERY_SAGA_WORK:
    case HF_QUERY_ALERTS:
    case HF_QUERY_TYPE_COUNT:
        break;
    case HF_QUERY_SUBSCRIPTION:
    case HF_QUERY_DEAD:
    case HF_QUERY_MESSAGE_HISTORY:
        return HF_KIND_SUBSCRIPTION;
    }
    return HF_KIND_NONE;
}

/* A part of a name as prefix, a name to begin behind. */
static void make_list_query(struct run *run, struct hf_query *query)
{
    enum hf_kind kind = query->type == HF_QUERY_ACCOUNTS        ? HF_KIND_ACCOUNT
                        : query->type == HF_QUERY_STREAMS       ? HF_KIND_STREAM
                        : query->type == HF_QUERY_SUBSCRIPTIONS ? HF_KIND_SUBSCRIPTION
                                                                : HF_KIND_DOCUMENT;
    char text[64];
    hf_gen_name(&run->gen, kind, text);
    query->prefix = keep_text(run, text);
    query->prefix.len = hf_min_u64(query->prefix.len, between(run, 0, 3));
    if (percent(run, 50)) {
        hf_gen_name(&run->gen, kind, text);
        query->after = keep_text(run, text);
    }
}

/* Some instant of the run, or a little before or behind it. */
static uint64_t instant(struct run *run)
{
    return 1700000000000000u - 1000000u + between(run, 0, hf_world_now_us(run->world) + 3000000u);
}

/* Points in time and history, clocks and filters. */
static void make_points(struct run *run, struct hf_query *query)
{
    uint64_t a = instant(run);
    uint64_t b = instant(run);
    query->at = (enum hf_query_at)between(run, HF_AT_NOW, HF_AT_POSITION);
    query->at_us = instant(run);
    query->from_us = percent(run, 30) ? 0 : hf_min_u64(a, b);
    query->to_us = percent(run, 30) ? UINT64_MAX : hf_max_u64(a, b) + 1;
    query->clock = percent(run, 50) ? HF_CLOCK_EFFECTIVE : HF_CLOCK_RECORDED;
    query->hold_state = (enum hf_hold_state)between(run, 0, HF_HOLD_EXPIRED);
    query->whole = percent(run, 50);
    if (query->type == HF_QUERY_BALANCE) {
        query->position = between(run, 1, run->told + 3);
    }
}

/* Of subscriptions: pages from their beginning, messages that were seen. */
static void make_queue_query(struct run_op *op)
{
    struct run *run = op->run;
    struct hf_query *query = op->query;
    query->from = 0;
    if (query->type == HF_QUERY_DEAD && percent(run, 30)) {
        query->error_contains = percent(run, 50) ? HF_STR("bad") : HF_STR("timeout");
    }
    struct hf_place place;
    hf_gen_place(&run->gen, &query->name, &place);
    query->message_position = place.position;
    query->message_index = place.index;
    if (query->type != HF_QUERY_MESSAGES) {
        return;
    }
    query->limit = (uint32_t)between(run, 1, 3);
    struct hf_place *places = hf_arena_alloc_zero(&run->arena, query->limit, sizeof(*places));
    HF_CHECK(places != NULL);
    for (uint32_t i = 0; i < query->limit; i++) {
        hf_gen_place(&run->gen, NULL, &places[i]);
    }
    query->places = places;
}

static void make_query(struct run_op *op)
{
    struct run *run = op->run;
    struct hf_query *query = hf_arena_alloc_zero(&run->arena, 1, sizeof(*query));
    HF_CHECK(query != NULL);
    op->query = query;
    query->type = (enum hf_query_type)between(run, 1, HF_QUERY_MESSAGES);
    char text[64];
    char principal[64];
    enum hf_kind kind = kind_of_query(query->type);
    if (kind != HF_KIND_NONE) {
        hf_gen_name(&run->gen, kind, text);
        HF_CHECK(hf_name_make(keep_text(run, text), &run->arena, &query->name));
    } else if (query->type == HF_QUERY_KEY) {
        hf_gen_key(&run->gen, text, principal);
        query->key = keep_text(run, text);
        query->principal = keep_text(run, principal);
    } else if (query->type == HF_QUERY_TOTALS) {
        static const struct hf_str assets[] = {{"USD/2", 5}, {"EUR/2", 5}, {"NONE/0", 6}};
        HF_CHECK(hf_asset_parse(assets[between(run, 0, 2)], &query->asset));
    } else if (query->type == HF_QUERY_COMMIT) {
        query->position = between(run, 1, run->told + 3);
    } else {
        make_list_query(run, query);
    }
    make_points(run, query);
    query->has_version = percent(run, 30);
    query->version = between(run, 1, 8);
    query->from = query->type == HF_QUERY_STREAM_EVENTS ? between(run, 1, 12)
                  : query->type == HF_QUERY_STATEMENT   ? 0
                                                        : between(run, 0, 30);
    query->from = percent(run, 30) && query->type != HF_QUERY_STREAM_EVENTS ? 0 : query->from;
    query->limit = (uint32_t)between(run, 1, 12);
    op->min_position = percent(run, 20) ? between(run, 0, run->told) : 0;
    if (query->type >= HF_QUERY_SUBSCRIPTION) {
        make_queue_query(op);
    }
}

static void make_command(struct run_op *op)
{
    op->command = hf_sim_calloc(1, sizeof(*op->command));
    if (op->client < RUN_CLIENTS - RUN_CONSUMERS) {
        hf_gen_command(&op->run->gen, op->command);
    } else {
        hf_gen_queue_command(&op->run->gen, op->command);
    }
}

/* ---- sending ---- */

struct sending {
    struct run_op *op;
    uint64_t wait; /* of a timer: which wait it ends */
    bool again;    /* a duplicate, not the one that the client waits for */
};

static void later(struct run_op *op, uint64_t delay_us, hf_world_fn fn, bool again)
{
    struct run *run = op->run;
    struct sending *sending = hf_arena_alloc_zero(&run->arena, 1, sizeof(*sending));
    HF_CHECK(sending != NULL);
    *sending = (struct sending){op, op->wait, again};
    hf_world_after(run->world, NULL, delay_us, fn, sending);
}

static void begin_next(void *context);

static void go_on(struct run *run, uint32_t client)
{
    struct run_client *own = &run->clients[client];
    uint64_t gap_us = between(run, 0, run->gap_us_max);
    hf_world_after(run->world, NULL, gap_us, begin_next, own);
}

static void op_end(struct run_op *op)
{
    struct run *run = op->run;
    op->wait++;
    op->ended = true;
    run->ops_open--;
    if (op->chained) {
        go_on(run, op->client);
    }
}

static void attempt(struct run_op *op);

static void attempt_event(void *context)
{
    struct sending *sending = context;
    struct run_op *op = sending->op;
    if (sending->again) {
        op->run->report->duplicates++;
        submission_send(op, client_choose_house(op->run), false);
    } else if (!op->ended && sending->wait == op->wait) {
        attempt(op);
    }
}

/* The client has waited long enough. */
static void give_up_event(void *context)
{
    struct sending *sending = context;
    struct run_op *op = sending->op;
    if (op->ended || sending->wait != op->wait) {
        return;
    }
    op->run->report->gave_up++;
    attempt(op);
}

static void attempt(struct run_op *op)
{
    struct run *run = op->run;
    op->wait++;
    if (op->attempts >= ATTEMPTS_MAX && !run->calm) {
        run->report->abandoned++;
        op_end(op);
        return;
    }
    op->attempts++;
    run->report->retries += op->attempts > 1;
    /* The timer first: the answer may come at once. */
    later(op, percent(run, 4) && !run->calm ? between(run, 100, 2500) : PATIENCE_US, give_up_event,
          false);
    if (op->command != NULL && percent(run, 8)) {
        later(op, percent(run, 50) ? 0 : between(run, 0, 8000), attempt_event, true);
    }
    submission_send(op, client_choose_house(run), true);
}

static void learn(struct run *run, const struct hf_answer *answer)
{
    struct hf_commit commit;
    struct hf_commit_frame frame;
    size_t at = 0;
    if (answer->position == 0 || answer->replayed) {
        return;
    }
    hf_arena_clear(&run->scratch);
    HF_CHECK(hf_commit_frame_next(answer->frame->data, answer->frame->size_bytes, &at, &frame));
    if (hf_commit_decode(frame.record, frame.record_bytes, frame.payload, frame.payload_bytes,
                         &run->scratch, &commit, NULL) == HF_ERR_OK) {
        hf_gen_saw(&run->gen, &commit);
    }
}

void client_ended(struct run_submission *submission)
{
    struct run_op *op = submission->op;
    struct run *run = op->run;
    const struct hf_answer *answer = &submission->answer;
    bool decided = submission->end == RUN_END_ANSWERED && answer->decided;
    if (decided && op->command != NULL && answer->frame != NULL) {
        learn(run, answer);
    }
    if (op->ended || !submission->primary) {
        return;
    }
    if (decided) {
        op_end(op);
        if (op->command != NULL && percent(run, 5)) {
            later(op, between(run, 0, 30000), attempt_event, true);
        }
        return;
    }
    op->wait++;
    if (!run->calm && percent(run, 15)) {
        run->report->abandoned++;
        op_end(op);
        return;
    }
    later(op, between(run, 100, 1000ull << (op->attempts < 5 ? op->attempts : 5)), attempt_event,
          false);
}

/* ---- the flow ---- */

static void begin(struct run *run, uint32_t client, bool chained)
{
    struct run_op *op = op_new(run, client, chained);
    if (op->number > 2 && percent(run, 18)) {
        make_query(op);
    } else {
        make_command(op);
    }
    attempt(op);
}

void client_ask(struct run *run, struct hf_command *command)
{
    struct run_op *op = op_new(run, RUN_CLIENTS - 1, false);
    op->command = command;
    attempt(op);
}

/* ---- nights ---- */

struct late {
    struct run *run;
    size_t slot;
    bool evening;
};

static void late_event(void *context)
{
    const struct late *late = context;
    struct run *run = late->run;
    if (run->calm) {
        return;
    }
    struct hf_command *command = hf_sim_calloc(1, sizeof(*command));
    hf_gen_late_command(&run->gen, late->slot, late->evening, command);
    client_ask(run, command);
}

static void late_after(struct run *run, size_t slot, bool evening, uint64_t delay_us)
{
    struct late *late = hf_arena_alloc_zero(&run->arena, 1, sizeof(*late));
    HF_CHECK(late != NULL);
    *late = (struct late){run, slot, evening};
    hf_world_after(run->world, NULL, delay_us, late_event, late);
}

/* Nobody asks for anything until morning, but consumers whose leases end all at the same time: more than the timer books
 * at once, so that some of them meet it themselves. */
static void begin_night(struct run *run)
{
    uint64_t length_us = between(run, NIGHT_US_MIN, NIGHT_US_MAX);
    run->night_until_us = hf_world_now_us(run->world) + length_us;
    for (size_t slot = 0; slot < HF_GEN_SUBSCRIPTIONS && percent(run, 90); slot++) {
        late_after(run, slot, true, between(run, 0, 500));
        late_after(run, slot, false, LEASE_US + between(run, 0, LATE_US_MAX));
    }
}

static void begin_next(void *context)
{
    struct run_client *client = context;
    struct run *run = client->run;
    if (run->calm) {
        return;
    }
    uint64_t now_us = hf_world_now_us(run->world);
    if (now_us < run->night_until_us) {
        hf_world_after(run->world, NULL, run->night_until_us - now_us, begin_next, client);
        return;
    }
    if (run->plan->only == NULL && hf_sim_random_chance(&run->client_random, NIGHT_PPM)) {
        begin_night(run);
    }
    if (percent(run, 2)) {
        uint64_t burst = between(run, 4, BURST_OPS_MAX);
        for (uint64_t i = 0; i < burst; i++) {
            begin(run, client->number, false);
        }
    }
    begin(run, client->number, true);
}

void client_drain(struct run *run, struct hf_str subscription, bool redrives)
{
    struct hf_command *command = hf_sim_calloc(1, sizeof(*command));
    hf_gen_drain_command(&run->gen, subscription, redrives, command);
    client_ask(run, command);
}

void client_start(struct run *run)
{
    for (uint32_t i = 0; i < RUN_CLIENTS; i++) {
        run->clients[i] = (struct run_client){run, i};
        hf_world_after(run->world, NULL, 2000 + i * 100u, begin_next, &run->clients[i]);
    }
}

void client_release(struct run *run)
{
    for (size_t i = 0; i < run->op_count; i++) {
        if (run->ops[i]->command != NULL) {
            hf_command_release(run->ops[i]->command);
            free(run->ops[i]->command);
        }
        free(run->ops[i]);
    }
    free(run->ops);
}
