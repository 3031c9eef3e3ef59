#include "sim/reading.h"

#include "base/check.h"
#include "base/checksum.h"
#include "core/strip.h"

const char *run_query_name(enum hf_query_type type)
{
    switch (type) {
    case HF_QUERY_ACCOUNT:
        return "account";
    case HF_QUERY_TRANSFER:
        return "transfer";
    case HF_QUERY_HOLD:
        return "hold";
    case HF_QUERY_STREAM:
        return "stream";
    case HF_QUERY_STREAM_EVENTS:
        return "stream events";
    case HF_QUERY_DOCUMENT:
        return "document";
    case HF_QUERY_LEASE:
        return "lease";
    case HF_QUERY_KEY:
        return "key";
    case HF_QUERY_COMMIT:
        return "commit";
    case HF_QUERY_ENTRIES:
        return "entries";
    case HF_QUERY_ACCOUNTS:
        return "accounts";
    case HF_QUERY_STREAMS:
        return "streams";
    case HF_QUERY_DOCUMENTS:
        return "documents";
    case HF_QUERY_TRANSFERS:
        return "transfers of an account";
    case HF_QUERY_HOLDS:
        return "holds of an account";
    case HF_QUERY_BALANCE:
        return "balance";
    case HF_QUERY_STATEMENT:
        return "statement";
    case HF_QUERY_TOTALS:
        return "totals";
    case HF_QUERY_SUBSCRIPTION:
        return "subscription";
    case HF_QUERY_SUBSCRIPTIONS:
        return "subscriptions";
    case HF_QUERY_DEAD:
        return "dead letters";
    case HF_QUERY_MESSAGE_HISTORY:
        return "history of a message";
    case HF_QUERY_MESSAGES:
        return "messages";
    case HF_QUERY_SAGA:
        return "saga";
    case HF_QUERY_SAGA_HISTORY:
        return "history of a saga";
    case HF_QUERY_SAGAS:
        return "sagas";
    case HF_QUERY_SAGA_DEFINITION:
        return "saga definition";
    case HF_QUERY_SAGA_DEFINITIONS:
        return "saga definitions";
    case HF_QUERY_SAGA_COUNTS:
        return "counts of sagas";
    case HF_QUERY_SAGA_WORK:
        return "work of sagas";
    case HF_QUERY_ALERTS:
        return "alerts";
    case HF_QUERY_TYPE_COUNT:
        break;
    }
    return "?";
}

bool run_query_may_miss(enum hf_query_type type)
{
    return type != HF_QUERY_ACCOUNTS && type != HF_QUERY_STREAMS && type != HF_QUERY_DOCUMENTS &&
           type != HF_QUERY_TOTALS && type != HF_QUERY_SUBSCRIPTIONS;
}

static struct hf_str copy_text(struct hf_arena *arena, struct hf_str text)
{
    if (!hf_str_present(text)) {
        return text;
    }
    struct hf_str copy = hf_arena_copy(arena, text);
    HF_CHECK(copy.ptr != NULL);
    return copy;
}

static void copy_name(struct hf_arena *arena, struct hf_name *name)
{
    name->text = copy_text(arena, name->text);
}

/* The texts of an entity that was copied by value. */
static void copy_entity(struct hf_arena *arena, struct hf_entity *entity)
{
    entity->last_change_key = copy_text(arena, entity->last_change_key);
    switch (entity->kind) {
    case HF_KIND_ACCOUNT:
        copy_name(arena, &entity->account.name);
        return;
    case HF_KIND_TRANSFER:
        copy_name(arena, &entity->transfer.name);
        copy_name(arena, &entity->transfer.from);
        copy_name(arena, &entity->transfer.to);
        copy_name(arena, &entity->transfer.of);
        entity->transfer.metadata.text = copy_text(arena, entity->transfer.metadata.text);
        return;
    case HF_KIND_HOLD:
        copy_name(arena, &entity->hold.name);
        copy_name(arena, &entity->hold.from);
        copy_name(arena, &entity->hold.to);
        return;
    case HF_KIND_STREAM:
        copy_name(arena, &entity->stream.name);
        return;
    case HF_KIND_DOCUMENT:
        copy_name(arena, &entity->document.name);
        return;
    case HF_KIND_LEASE:
        copy_name(arena, &entity->lease.name);
        entity->lease.owner = copy_text(arena, entity->lease.owner);
        return;
    case HF_KIND_NONE:
    case HF_KIND_EVENT:
    case HF_KIND_KEY:
    case HF_KIND_MESSAGE:
    case HF_KIND_SUBSCRIPTION:
    case HF_KIND_SAGA:
    case HF_KIND_SAGA_DEFINITION:
    case HF_KIND_COUNT:
        return;
    }
}

static uint64_t commit_checksum(const struct hf_commit *commit)
{
    struct hf_buffer bytes;
    hf_buffer_init(&bytes);
    HF_CHECK(hf_commit_encode(commit, &bytes));
    uint64_t checksum = hf_checksum(bytes.data, bytes.size_bytes);
    hf_buffer_release(&bytes);
    return checksum;
}

static struct run_item copy_item(const struct hf_page_item *item)
{
    struct run_item copy = {.position = item->commit->position,
                            .commit_checksum = commit_checksum(item->commit),
                            .event = UINT32_MAX};
    const struct hf_commit *commit = item->commit;
    for (uint32_t i = 0; i < commit->event_count; i++) {
        if (commit->events[i] == item->event) {
            copy.event = i;
        }
    }
    bool strip = commit->strip != NULL && !commit->expanded; /* then the event was made apart */
    for (uint32_t k = 0; strip && k < commit->strip->count; k++) {
        struct hf_id id = hf_strip_id(commit->strip, k);
        const struct hf_posting *posting = &item->event->posting;
        bool opening = item->event->type == HF_EVENT_HOLD_OPENED;
        if (opening == (hf_strip_kind(commit->strip, k) == HF_STRIP_HOLD) &&
            hf_id_equal(&id, opening ? &posting->hold.name.id : &posting->transfer.name.id)) {
            copy.event = commit->event_count + k;
        }
    }
    if (item->side != NULL) {
        copy.has_side = true;
        copy.side_version = item->side->version;
        copy.side_totals = item->side->totals;
    }
    return copy;
}

static void copy_list(struct hf_arena *arena, const struct hf_reading *reading,
                      struct run_reading *copy)
{
    copy->entity_count = reading->entity_count;
    copy->entities =
        hf_arena_alloc_zero(arena, reading->entity_count + 1u, sizeof(*copy->entities));
    HF_CHECK(copy->entities != NULL);
    for (uint32_t i = 0; i < reading->entity_count; i++) {
        copy->entities[i] = reading->entities[i];
        copy_entity(arena, &copy->entities[i]);
    }
    copy->next_from = reading->next_from;
    copy->next_after = copy_text(arena, reading->next_after);
}

static void copy_statement(struct hf_arena *arena, const struct hf_statement *statement,
                           struct run_reading *copy)
{
    copy->opening = statement->opening;
    copy->closing = statement->closing;
    copy->line_count = statement->line_count;
    copy->lines = hf_arena_alloc_zero(arena, statement->line_count + 1u, sizeof(*copy->lines));
    HF_CHECK(copy->lines != NULL);
    for (uint32_t i = 0; i < statement->line_count; i++) {
        const struct hf_statement_line *line = &statement->lines[i];
        hf_i128 amount = (hf_i128)line->event->posting.transfer.amount;
        copy->lines[i] = (struct run_line){.version = line->side->version,
                                           .position = line->commit->position,
                                           .time_us = line->time_us,
                                           .change = line->debit ? -amount : amount,
                                           .posted = line->posted};
    }
}

static void copy_subscription(struct hf_arena *arena, const struct hf_subscription_reading *from,
                              struct run_subscription *to)
{
    const struct hf_subscription *s = from->subscription;
    *to = (struct run_subscription){
        .name = copy_text(arena, s->name.text),
        .uid = s->uid,
        .version = s->version,
        .live = s->live,
        .scanned = from->scanned,
        .lag = from->lag,
        .arrived = s->arrived,
        .ended = s->ended,
        .acked = s->acked,
        .discarded = s->discarded,
        .deliveries = s->deliveries,
        .failed_tries = s->failed_tries,
        .parkings = s->parkings,
        .in_flight = s->in_flight,
        .waiting = s->waiting,
        .ready_lines = s->ready.count,
        .parked_lines = s->parked.count,
        .next_ready_us = from->next_ready_us,
    };
}

static void copy_tries(struct hf_arena *arena, const struct hf_message_reading *from,
                       struct run_reading *copy)
{
    copy->message_state = from->state;
    copy->try_count = from->try_count;
    copy->tries = hf_arena_alloc_zero(arena, from->try_count + 1u, sizeof(*copy->tries));
    HF_CHECK(copy->tries != NULL);
    for (uint32_t i = 0; i < from->try_count; i++) {
        const struct hf_message_try *one = &from->tries[i];
        copy->tries[i] = (struct run_try){
            .delivered_by = one->delivered_by == NULL ? 0 : one->delivered_by->position,
            .ended_by = one->ended_by == NULL ? 0 : one->ended_by->position,
            .end = one->end == NULL ? 0 : one->end->settlement,
        };
    }
}

static void copy_queues(struct hf_arena *arena, const struct hf_reading *reading,
                        struct run_reading *copy)
{
    if (reading->subscription.subscription != NULL) {
        copy_subscription(arena, &reading->subscription, &copy->subscription);
    }
    copy->name_count = reading->subscription_count;
    copy->names = hf_arena_alloc_zero(arena, copy->name_count + 1u, sizeof(*copy->names));
    copy->dead_count = reading->dead_count;
    copy->dead = hf_arena_alloc_zero(arena, copy->dead_count + 1u, sizeof(*copy->dead));
    HF_CHECK(copy->names != NULL && copy->dead != NULL);
    for (uint32_t i = 0; i < copy->name_count; i++) {
        copy->names[i] = copy_text(arena, reading->subscriptions[i].subscription->name.text);
    }
    for (uint32_t i = 0; i < copy->dead_count; i++) {
        const struct hf_dead_letter *dead = &reading->dead[i];
        copy->dead[i] = (struct run_dead){.place = dead->line->place,
                                          .tries = dead->line->tries,
                                          .parked_at_us = dead->line->parked_at_us,
                                          .error = copy_text(arena, dead->error)};
    }
    copy_tries(arena, &reading->message, copy);
}

struct run_reading *reading_copy(struct hf_arena *arena, const struct hf_reading *reading)
{
    struct run_reading *copy = hf_arena_alloc_zero(arena, 1, sizeof(*copy));
    HF_CHECK(copy != NULL);
    copy->code = reading->code;
    copy->position = reading->position;
    copy->time_us = reading->time_us;
    if (reading->code != HF_ERR_OK) {
        return copy;
    }
    copy->entity = reading->entity;
    copy_entity(arena, &copy->entity);
    copy->text = copy_text(arena, reading->text.text);
    copy->more = reading->more;
    copy->item_count = reading->item_count;
    if (reading->commit != NULL) {
        copy->commit_position = reading->commit->position;
        copy->commit_checksum = commit_checksum(reading->commit);
    }
    copy_list(arena, reading, copy);
    copy_statement(arena, &reading->statement, copy);
    copy_queues(arena, reading, copy);
    copy->balance = reading->balance;
    copy->totals = reading->totals;
    copy->items = hf_arena_alloc_zero(arena, reading->item_count + 1u, sizeof(*copy->items));
    HF_CHECK(copy->items != NULL);
    for (uint32_t i = 0; i < reading->item_count; i++) {
        copy->items[i] = copy_item(&reading->items[i]);
    }
    return copy;
}
