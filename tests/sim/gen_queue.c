/* Topics and subscriptions: publishers, consumers of every kind of manners, and who looks after them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/time_text.h"
#include "sim/gen_priv.h"

typedef unsigned long long ull;

/* ---- what was seen ---- */

/* "u3" */
static struct hf_gen_subscription *slot_of(struct hf_gen *gen, const struct hf_name *name)
{
    size_t slot = name->text.len == 2 ? (size_t)(name->text.ptr[1] - '0') : HF_GEN_SUBSCRIPTIONS;
    return slot < HF_GEN_SUBSCRIPTIONS ? &gen->subscriptions[slot] : NULL;
}

static void saw_put(struct hf_gen *gen, const struct hf_subscription_change *change)
{
    struct hf_gen_subscription *seen = slot_of(gen, &change->subscription);
    if (seen == NULL || (seen->exists && seen->uid > change->uid)) {
        return;
    }
    if (seen->uid != change->uid) {
        seen->generation++;
    }
    seen->exists = true;
    seen->uid = change->uid;
    seen->version = change->version;
    seen->ordered = change->settings.order == HF_ORDER_KEY;
}

static void saw_delivered(struct hf_gen *gen, const struct hf_commit *commit,
                          const struct hf_delivered *delivered)
{
    struct hf_gen_subscription *seen = slot_of(gen, &delivered->subscription);
    for (uint32_t i = 0; seen != NULL && i < delivered->count; i++) {
        const struct hf_delivery *delivery = &delivered->deliveries[i];
        seen->deliveries[seen->delivery_count++ % HF_GEN_DELIVERIES] =
            (struct hf_gen_delivery){.receipt = {.uid = delivered->uid,
                                                 .line = delivery->line,
                                                 .number = delivery->number,
                                                 .token = commit->position,
                                                 .position = delivery->message.position,
                                                 .index = delivery->message.index}};
    }
}

/* The deliveries that the item is about, and those that came back with it, are settled. */
static void saw_item(struct hf_gen_subscription *seen, const struct hf_settled_item *item)
{
    for (size_t i = 0; i < HF_GEN_DELIVERIES; i++) {
        struct hf_receipt *receipt = &seen->deliveries[i].receipt;
        bool group = receipt->token == item->token && hf_id_equal(&receipt->line, &item->line);
        if (group && (receipt->number == item->number || item->settlement != HF_SETTLED_ACKED)) {
            seen->deliveries[i].settled = true;
        }
    }
    if (item->settlement == HF_SETTLED_PARKED) {
        seen->parked[seen->parked_count++ % HF_GEN_PARKED] = item->message;
    }
}

static void saw_settled(struct hf_gen *gen, const struct hf_settled *settled)
{
    struct hf_gen_subscription *seen = slot_of(gen, &settled->subscription);
    for (uint32_t i = 0; seen != NULL && i < settled->count; i++) {
        if (settled->items[i].code == HF_ERR_OK) {
            saw_item(seen, &settled->items[i]);
        }
    }
}

void hf_gen_saw_queue(struct hf_gen *gen, const struct hf_commit *commit,
                      const struct hf_event *event)
{
    struct hf_gen_subscription *seen;
    switch ((int)event->type) {
    case HF_EVENT_SUBSCRIPTION_PUT:
        saw_put(gen, event->subscription);
        return;
    case HF_EVENT_SUBSCRIPTION_SOUGHT:
    case HF_EVENT_SUBSCRIPTION_DELETED:
        seen = slot_of(gen, &event->subscription->subscription);
        if (seen != NULL) {
            seen->exists = event->type == HF_EVENT_SUBSCRIPTION_SOUGHT;
            seen->version = event->subscription->version;
        }
        return;
    case HF_EVENT_MESSAGES_DELIVERED:
        saw_delivered(gen, commit, &event->delivered);
        return;
    case HF_EVENT_MESSAGES_SETTLED:
        saw_settled(gen, &event->settled);
        return;
    default:
        return;
    }
}

void hf_gen_place(struct hf_gen *gen, const struct hf_name *subscription, struct hf_place *place)
{
    *place = (struct hf_place){.position = 1 + hf_gen_below(gen, gen->newest + 4),
                               .index = (uint32_t)hf_gen_below(gen, 3)};
    bool any = subscription == NULL;
    const struct hf_gen_subscription *seen =
        any ? gen->subscriptions + hf_gen_below(gen, HF_GEN_SUBSCRIPTIONS)
            : slot_of(gen, subscription);
    uint64_t kept = any || seen != NULL ? hf_min_u64(seen->delivery_count, HF_GEN_DELIVERIES) : 0;
    if (kept > 0 && hf_gen_percent(gen, 80)) {
        const struct hf_receipt *receipt = &seen->deliveries[hf_gen_below(gen, kept)].receipt;
        *place = (struct hf_place){.position = receipt->position, .index = receipt->index};
    }
}

/* ---- names and texts ---- */

static struct hf_str topic(struct hf_gen *gen)
{
    return hf_gen_text(gen, "q%u", (unsigned)hf_gen_below(gen, HF_GEN_TOPICS));
}

/* A few hot ones, many cold ones. */
static struct hf_str message_key(struct hf_gen *gen)
{
    return hf_gen_percent(gen, 55) ? hf_gen_text(gen, "hot%u", (unsigned)hf_gen_below(gen, 3))
                                   : hf_gen_text(gen, "cold%u", (unsigned)hf_gen_below(gen, 60));
}

static struct hf_str error_text(struct hf_gen *gen)
{
    static const char *const texts[] = {"bad card", "no stock", "timeout of the bank", ""};
    return hf_str_from(texts[hf_gen_below(gen, HF_ARRAY_COUNT(texts))]);
}

static struct hf_str subscription_name(size_t slot, struct hf_gen *gen)
{
    return hf_gen_text(gen, "u%zu", slot);
}

/* One that exists, mostly. */
static size_t choose_slot(struct hf_gen *gen)
{
    size_t slot = 0;
    for (int attempt = 0; attempt < 5; attempt++) {
        slot = hf_gen_below(gen, HF_GEN_SUBSCRIPTIONS);
        if (gen->subscriptions[slot].exists) {
            break;
        }
    }
    return slot;
}

static struct hf_str receipt_text(struct hf_gen *gen, const struct hf_receipt *receipt)
{
    struct hf_buffer buffer;
    hf_buffer_init(&buffer);
    hf_receipt_encode(&buffer, receipt);
    HF_CHECK(!buffer.failed);
    struct hf_str text = hf_gen_text(gen, "%.*s", (int)buffer.size_bytes, (char *)buffer.data);
    hf_buffer_release(&buffer);
    return text;
}

/* Receipts as a consumer hands them back: mostly the oldest that are not settled, in their order. */
static uint32_t choose_receipts(struct hf_gen *gen, size_t slot, struct hf_str *texts,
                                uint32_t most)
{
    const struct hf_gen_subscription *seen = &gen->subscriptions[slot];
    uint64_t kept = hf_min_u64(seen->delivery_count, HF_GEN_DELIVERIES);
    uint32_t count = 0;
    if (kept == 0) {
        return 0;
    }
    bool wild = hf_gen_spoil(gen) || hf_gen_percent(gen, 6);
    uint64_t first = seen->delivery_count - kept;
    uint64_t skip = hf_gen_percent(gen, 50) ? 0 : hf_gen_below(gen, kept);
    for (uint64_t i = 0; i < kept && count < most; i++) {
        uint64_t at = first + (wild ? hf_gen_below(gen, kept) : (i + skip) % kept);
        const struct hf_gen_delivery *delivery = &seen->deliveries[at % HF_GEN_DELIVERIES];
        if (!wild && delivery->settled && !hf_gen_percent(gen, 3)) {
            continue;
        }
        texts[count++] = receipt_text(gen, &delivery->receipt);
    }
    return count;
}

/* A delivery that stands in the ring by chance, or one that never was. */
static struct hf_str any_receipt(struct hf_gen *gen, size_t slot)
{
    struct hf_str text;
    if (choose_receipts(gen, slot, &text, 1) == 1) {
        return text;
    }
    struct hf_receipt receipt = {.uid = 1 + hf_gen_below(gen, 9),
                                 .number = 1,
                                 .token = 1 + hf_gen_below(gen, 99),
                                 .position = 1 + hf_gen_below(gen, 99)};
    return receipt_text(gen, &receipt);
}

/* ---- operations of commits ---- */

void hf_gen_publish(struct hf_gen *gen, struct hf_op_fields *op)
{
    static const char *const types[] = {"order.made", "order.paid", "note.written"};
    *op = (struct hf_op_fields){.op = HF_STR("publish"),
                                .topic = topic(gen),
                                .key = message_key(gen),
                                .type = hf_str_from(types[hf_gen_below(gen, 3)]),
                                .data = hf_gen_json(gen, false)};
    if (hf_gen_percent(gen, 45)) {
        op->id = hf_gen_new_id(gen, 'm');
    }
    if (hf_gen_percent(gen, 14)) {
        char text[HF_TIME_TEXT_BYTES];
        uint64_t ahead_us = hf_gen_percent(gen, 4) ? 86400000000ull * (1 + hf_gen_below(gen, 5000))
                                                   : hf_gen_below(gen, 400000);
        hf_time_format(gen->newest_us + ahead_us, text);
        op->deliver_at = hf_gen_text(gen, "%s", text);
    }
}

void hf_gen_ack(struct hf_gen *gen, struct hf_op_fields *op)
{
    size_t slot = choose_slot(gen);
    bool nack = hf_gen_percent(gen, 22);
    *op = (struct hf_op_fields){.op = nack ? HF_STR("nack") : HF_STR("ack"),
                                .subscription = subscription_name(slot, gen),
                                .receipt = any_receipt(gen, slot)};
    if (nack && hf_gen_percent(gen, 40)) {
        op->has_delay_ms = true;
        op->delay_ms = hf_gen_below(gen, 300);
    }
    if (nack && hf_gen_percent(gen, 60)) {
        op->error = error_text(gen);
    }
}

/* Some of a consumer's receipts in a row, as acks of one commit. */
static void acks(struct hf_gen *gen, struct hf_gen_recipe *work, uint32_t most)
{
    size_t slot = choose_slot(gen);
    struct hf_str texts[HF_GEN_OPS_MAX];
    uint32_t count = choose_receipts(gen, slot, texts, 1 + (uint32_t)hf_gen_below(gen, most));
    for (uint32_t i = 0; i < count && work->op_count < HF_GEN_OPS_MAX; i++) {
        work->ops[work->op_count++] = (struct hf_op_fields){
            .op = HF_STR("ack"), .subscription = subscription_name(slot, gen), .receipt = texts[i]};
    }
}

void hf_gen_receipt_condition(struct hf_gen *gen, struct hf_condition_fields *condition)
{
    size_t slot = choose_slot(gen);
    *condition = (struct hf_condition_fields){.subscription = subscription_name(slot, gen),
                                              .receipt = any_receipt(gen, slot)};
}

/* Effect, ack and next publish in one commit; or parts of it. */
static void exactly_once(struct hf_gen *gen)
{
    struct hf_gen_recipe *work = &gen->work;
    work->op_count = 0;
    if (hf_gen_percent(gen, 65)) {
        hf_gen_op(gen, &work->ops[work->op_count++]);
    }
    if (hf_gen_percent(gen, 80)) {
        acks(gen, work, 3);
    } else {
        hf_gen_ack(gen, &work->ops[work->op_count++]);
    }
    if (work->op_count < HF_GEN_OPS_MAX && (work->op_count == 0 || hf_gen_percent(gen, 55))) {
        hf_gen_publish(gen, &work->ops[work->op_count++]);
    }
    if (hf_gen_percent(gen, 12)) {
        hf_gen_receipt_condition(gen, &work->conditions[work->condition_count++]);
    }
}

static void publishes(struct hf_gen *gen)
{
    struct hf_gen_recipe *work = &gen->work;
    work->op_count = 1;
    while (work->op_count < HF_GEN_OPS_MAX && hf_gen_percent(gen, 60)) {
        work->op_count++;
    }
    for (uint32_t i = 0; i < work->op_count; i++) {
        hf_gen_publish(gen, &work->ops[i]);
    }
}

/* ---- operations with a route of their own ---- */

/* A slot has its filter and order for ever, but for mistakes. */
static void filter_of(struct hf_gen *gen, size_t slot, struct hf_queue_fields *own)
{
    static const struct hf_str two_types[] = {{"order.*", 7}, {"note.written", 12}};
    struct hf_filter_fields *filter = &own->filter;
    own->order = HF_STR("key");
    switch (slot) {
    case 0:
        filter->topic = HF_STR("q0");
        return;
    case 1:
        filter->topic = HF_STR("q0");
        own->order = HF_STR("none");
        return;
    case 2:
        filter->prefix = HF_STR("topics/q");
        filter->types = two_types;
        filter->type_count = 1 + (uint32_t)(gen->queue_flavour & 1);
        return;
    case 3:
        filter->asset = HF_STR("EUR/2");
        return;
    case 4:
        filter->prefix = (gen->queue_flavour & 2) != 0 ? HF_STR("streams/") : HF_STR("topics/");
        filter->bucket = (gen->queue_flavour & 4) != 0 ? HF_STR("0/2") : HF_STR("2/3");
        own->order = HF_STR("none");
        return;
    default:
        filter->topic = HF_STR("q1");
        return;
    }
}

static void choose_exhausted(struct hf_gen *gen, struct hf_queue_fields *own)
{
    bool keyed = hf_str_equal(own->order, HF_STR("key"));
    uint64_t roll = hf_gen_below(gen, 100);
    if (roll < 20) {
        own->exhausted = HF_STR("block");
    } else if (roll < 50) {
        own->exhausted = HF_STR("park_message");
    } else if (roll < 80 && keyed) {
        own->exhausted = HF_STR("park_key");
    }
}

static void put(struct hf_gen *gen, size_t slot)
{
    struct hf_queue_fields *own = &gen->work.own;
    const struct hf_gen_subscription *seen = &gen->subscriptions[slot];
    own->type = HF_OP_PUT_SUBSCRIPTION;
    filter_of(gen, hf_gen_percent(gen, 4) ? hf_gen_below(gen, HF_GEN_SUBSCRIPTIONS) : slot, own);
    choose_exhausted(gen, own);
    own->has_attempts_max = own->has_lease_ms = own->has_in_flight_max = true;
    own->has_backoff_first_ms = own->has_backoff_max_ms = true;
    own->attempts_max = 1 + hf_gen_below(gen, 4);
    own->lease_ms = 1000 + hf_gen_below(gen, 500);
    own->backoff_first_ms = hf_gen_percent(gen, 20) ? 0 : hf_gen_below(gen, 60);
    own->backoff_max_ms = own->backoff_first_ms + hf_gen_below(gen, 300);
    own->in_flight_max = hf_gen_percent(gen, 50) ? 1000 : 1 + hf_gen_below(gen, 30);
    gen->work.lines_max = 2 + (uint32_t)hf_gen_below(gen, hf_gen_percent(gen, 60) ? 14 : 60);
    if (seen->exists && hf_gen_percent(gen, 75)) {
        own->has_expected_version = true;
        own->expected_version = seen->version + (hf_gen_spoil(gen) ? 1 : 0);
    }
    if (hf_gen_percent(gen, 30)) {
        own->seek.kind = HF_SEEK_NOW;
    } else if (hf_gen_percent(gen, 15)) {
        own->seek = (struct hf_seek){.kind = HF_SEEK_POSITION,
                                     .position = hf_gen_below(gen, gen->newest + 3)};
    }
}

static void receive(struct hf_gen *gen, size_t slot)
{
    struct hf_queue_fields *own = &gen->work.own;
    (void)slot;
    own->type = HF_OP_RECEIVE;
    if (hf_gen_percent(gen, 75)) {
        own->has_max = true;
        own->max = 1 + hf_gen_below(gen, hf_gen_percent(gen, 80) ? 6 : 60);
    }
    if (hf_gen_percent(gen, 40)) {
        own->has_lease_ms = true;
        own->lease_ms = 1000 + hf_gen_below(gen, 800);
    }
    if (hf_gen_percent(gen, 50)) {
        own->consumer = hf_gen_text(gen, "c%u", (unsigned)hf_gen_below(gen, 4));
    }
    if (hf_gen_percent(gen, 65)) {
        own->attempt = hf_gen_percent(gen, 85)
                           ? hf_gen_text(gen, "a%llu", (ull)gen->fresh++)
                           : hf_gen_text(gen, "p%llu.%u", (ull)(gen->made / 150),
                                         (unsigned)hf_gen_below(gen, 6));
    }
}

static void act(struct hf_gen *gen, size_t slot)
{
    struct hf_gen_recipe *work = &gen->work;
    struct hf_str texts[HF_GEN_ITEMS_MAX];
    uint32_t most = 1 + (uint32_t)hf_gen_below(gen, HF_GEN_ITEMS_MAX);
    uint32_t count = choose_receipts(gen, slot, texts, most);
    uint64_t roll = hf_gen_below(gen, 100);
    work->own.type = HF_OP_ACK_BATCH;
    work->own.act = roll < 62   ? HF_ACT_ACK
                    : roll < 82 ? HF_ACT_NACK
                    : roll < 92 ? HF_ACT_EXTEND
                                : HF_ACT_PARK;
    if (count == 0) {
        texts[count++] = any_receipt(gen, slot);
    }
    bool says = work->own.act == HF_ACT_NACK || work->own.act == HF_ACT_PARK;
    for (uint32_t i = 0; i < count; i++) {
        work->items[i] = (struct hf_act_fields){.receipt = texts[i]};
        if (says && hf_gen_percent(gen, 60)) {
            work->items[i].error = error_text(gen);
        }
        if (work->own.act == HF_ACT_NACK && hf_gen_percent(gen, 30)) {
            work->items[i].has_delay_ms = true;
            work->items[i].delay_ms = hf_gen_below(gen, 300);
        }
    }
    work->own.item_count = count;
    if (work->own.act == HF_ACT_EXTEND) {
        work->own.has_lease_ms = true;
        work->own.lease_ms = 1000 + hf_gen_below(gen, 1500);
    }
}

static void redrive(struct hf_gen *gen, size_t slot)
{
    const struct hf_gen_subscription *seen = &gen->subscriptions[slot];
    struct hf_queue_fields *own = &gen->work.own;
    own->type = HF_OP_REDRIVE;
    uint64_t roll = hf_gen_below(gen, 100);
    if (roll < 30) {
        struct hf_place place = {.position = 1 + hf_gen_below(gen, 50)};
        uint64_t kept = hf_min_u64(seen->parked_count, HF_GEN_PARKED);
        if (kept > 0) {
            place =
                seen->parked[(seen->parked_count - 1 - hf_gen_below(gen, kept)) % HF_GEN_PARKED];
        }
        own->message = hf_gen_text(gen, "%llu-%u", (ull)place.position, place.index);
        own->discard = hf_gen_percent(gen, 35);
    } else if (roll < 48) {
        own->key = message_key(gen);
        own->discard = hf_gen_percent(gen, 35);
    } else if (roll < 90) {
        own->all = true;
        if (hf_gen_percent(gen, 50)) {
            own->has_rate_per_s = true;
            own->rate_per_s = 1 + hf_gen_below(gen, 40);
        }
        if (hf_gen_percent(gen, 35)) {
            own->error_contains = hf_gen_percent(gen, 50) ? HF_STR("bad") : HF_STR("timeout");
        }
    } else {
        own->cancel = true;
    }
}

static void seek(struct hf_gen *gen)
{
    struct hf_queue_fields *own = &gen->work.own;
    own->type = HF_OP_SEEK;
    own->seek.kind = (enum hf_seek_kind)(1 + hf_gen_below(gen, 3));
    own->seek.position =
        own->seek.kind == HF_SEEK_POSITION ? hf_gen_below(gen, gen->newest + 3) : 0;
}

static void own_command(struct hf_gen *gen, uint64_t roll)
{
    size_t slot = choose_slot(gen);
    struct hf_gen_recipe *work = &gen->work;
    for (size_t i = 0; i < HF_GEN_SUBSCRIPTIONS && hf_gen_percent(gen, 30); i++) {
        if (!gen->subscriptions[i].exists) {
            slot = i;
            roll = 0;
        }
    }
    work->op_count = 0;
    work->own.subscription = subscription_name(slot, gen);
    if (roll < 5) {
        put(gen, slot);
    } else if (roll < 55) {
        receive(gen, slot);
    } else if (roll < 87) {
        act(gen, slot);
    } else if (roll < 96) {
        redrive(gen, slot);
    } else if (roll < 98) {
        seek(gen);
    } else {
        work->own.type = HF_OP_DELETE_SUBSCRIPTION;
        if (hf_gen_percent(gen, 40)) {
            work->own.has_expected_version = true;
            work->own.expected_version =
                gen->subscriptions[slot].version + (hf_gen_spoil(gen) ? 1 : 0);
        }
    }
    if (!hf_str_present(work->own.attempt) && hf_gen_percent(gen, 25)) {
        hf_gen_random_key(gen);
    }
    work->dry_run = hf_sim_random_chance(&gen->random, gen->knobs.dry_run_ppm / 2);
}

void hf_gen_queue_fresh(struct hf_gen *gen)
{
    struct hf_gen_recipe *work = &gen->work;
    if (hf_gen_percent(gen, 58)) {
        own_command(gen, hf_gen_below(gen, 100));
        return;
    }
    if (hf_gen_percent(gen, 50)) {
        publishes(gen);
    } else {
        exactly_once(gen);
    }
    if (hf_gen_percent(gen, 35)) {
        hf_gen_random_key(gen);
    }
    work->dry_run = hf_sim_random_chance(&gen->random, gen->knobs.dry_run_ppm);
}

void hf_gen_late(struct hf_gen *gen, size_t slot, bool evening)
{
    struct hf_queue_fields *own = &gen->work.own;
    own->subscription = subscription_name(slot, gen);
    if (evening) {
        own->type = HF_OP_RECEIVE;
        own->has_lease_ms = true;
        own->lease_ms = HF_DELIVERY_MS_MIN;
    } else if (hf_gen_percent(gen, 50)) {
        receive(gen, slot);
    } else {
        act(gen, slot);
    }
}

/* ---- the end of a run ---- */

void hf_gen_drain(struct hf_gen *gen, struct hf_str subscription, bool redrives)
{
    struct hf_gen_recipe *work = &gen->work;
    struct hf_name name = {.text = subscription};
    struct hf_gen_subscription *seen = slot_of(gen, &name);
    work->own.subscription = subscription;
    if (redrives) {
        work->own.type = HF_OP_REDRIVE;
        work->own.all = true;
        return;
    }
    uint64_t kept = seen == NULL ? 0 : hf_min_u64(seen->delivery_count, HF_GEN_DELIVERIES);
    for (uint64_t i = seen == NULL ? 0 : seen->delivery_count - kept;
         seen != NULL && i < seen->delivery_count && work->own.item_count < HF_GEN_ITEMS_MAX; i++) {
        struct hf_gen_delivery *delivery = &seen->deliveries[i % HF_GEN_DELIVERIES];
        if (!delivery->settled) {
            work->items[work->own.item_count++] =
                (struct hf_act_fields){.receipt = receipt_text(gen, &delivery->receipt)};
            delivery->settled = true;
        }
    }
    work->own.type = work->own.item_count > 0 ? HF_OP_ACK_BATCH : HF_OP_RECEIVE;
    work->own.act = HF_ACT_ACK;
    work->own.has_max = true;
    work->own.max = HF_GEN_ITEMS_MAX;
}
