#include "sim/model.h"

#include <stdio.h>
#include <stdlib.h>

#include "sim/model_queue_priv.h"

struct hf_model *hf_model_new(uint64_t key_retention_us)
{
    struct hf_model *model = calloc(1, sizeof(*model));
    if (model == NULL) {
        return NULL;
    }
    model->key_retention_us = key_retention_us;
    hf_arena_init(&model->arena);
    hf_arena_init(&model->scratch);
    return model;
}

void hf_model_free(struct hf_model *model)
{
    if (model == NULL) {
        return;
    }
    hf_arena_release(&model->arena);
    hf_arena_release(&model->scratch);
    free(model->commands);
    free(model->outcomes);
    free(model->undos);
    free(model->answer.events);
    free(model->answer.spent);
    free(model->queue.arrivals);
    free(model);
}

struct hf_str hf_model_copy(struct hf_arena *arena, struct hf_str text)
{
    if (!hf_str_present(text)) {
        return HF_STR_NONE;
    }
    struct hf_str copy = hf_arena_copy(arena, text);
    HF_CHECK(copy.ptr != NULL);
    return copy;
}

struct hf_name hf_model_copy_name(struct hf_arena *arena, const struct hf_name *name)
{
    return (struct hf_name){.id = name->id, .text = hf_model_copy(arena, name->text)};
}

static size_t bucket_of(const struct hf_name *name)
{
    size_t bucket = 0;
    for (size_t i = 0; i < sizeof(name->id.bytes); i++) {
        bucket = bucket * 31 + name->id.bytes[i];
    }
    return bucket % HF_MODEL_BUCKETS;
}

struct hf_model_thing *hf_model_find(const struct hf_model *model, enum hf_kind kind,
                                     const struct hf_name *name)
{
    struct hf_model_thing *thing = model->buckets[kind][bucket_of(name)];
    while (thing != NULL && !hf_str_equal(thing->name.text, name->text)) {
        thing = thing->next;
    }
    return thing;
}

bool hf_model_collides(const struct hf_model *model, enum hf_kind kind, const struct hf_name *name)
{
    const struct hf_model_thing *thing = model->buckets[kind][bucket_of(name)];
    for (; thing != NULL; thing = thing->next) {
        if (memcmp(thing->name.id.bytes, name->id.bytes, sizeof(name->id.bytes)) == 0 &&
            !hf_str_equal(thing->name.text, name->text) &&
            (kind != HF_KIND_LEASE || thing->lease.held)) {
            return true;
        }
    }
    return false;
}

static struct hf_model_undo *push_undo(struct hf_model *model)
{
    if (model->undo_count == model->undo_capacity) {
        model->undo_capacity = model->undo_capacity == 0 ? 64 : model->undo_capacity * 2;
        model->undos = realloc(model->undos, model->undo_capacity * sizeof(*model->undos));
        HF_CHECK(model->undos != NULL);
    }
    return &model->undos[model->undo_count++];
}

void hf_model_touch(struct hf_model *model, struct hf_model_thing *thing)
{
    struct hf_model_undo *undo = push_undo(model);
    undo->thing = thing;
    undo->made = false;
    undo->was = *thing;
}

void hf_model_touch_bytes(struct hf_model *model, void *at, size_t size_bytes)
{
    struct hf_model_undo *undo = push_undo(model);
    undo->thing = NULL;
    undo->at = at;
    undo->size_bytes = size_bytes;
    undo->bytes = hf_arena_alloc(&model->scratch, size_bytes);
    HF_CHECK(undo->bytes != NULL);
    memcpy(undo->bytes, at, size_bytes);
}

struct hf_model_thing *hf_model_make(struct hf_model *model, enum hf_kind kind,
                                     const struct hf_name *name, uint64_t position,
                                     uint64_t time_us)
{
    struct hf_model_thing *thing = hf_arena_alloc_zero(&model->arena, 1, sizeof(*thing));
    HF_CHECK(thing != NULL);
    thing->kind = kind;
    thing->name = hf_model_copy_name(&model->arena, name);
    thing->made_position = position;
    thing->made_at_us = time_us;
    struct hf_model_thing **bucket = &model->buckets[kind][bucket_of(name)];
    thing->next = *bucket;
    *bucket = thing;
    thing->before = model->newest[kind];
    model->newest[kind] = thing;
    struct hf_model_undo *undo = push_undo(model);
    undo->thing = thing;
    undo->made = true;
    return thing;
}

void hf_model_roll_back(struct hf_model *model, size_t undo_count)
{
    while (model->undo_count > undo_count) {
        struct hf_model_undo *undo = &model->undos[--model->undo_count];
        struct hf_model_thing *thing = undo->thing;
        if (thing == NULL) {
            memcpy(undo->at, undo->bytes, undo->size_bytes);
            continue;
        }
        if (!undo->made) {
            *thing = undo->was;
            continue;
        }
        struct hf_model_thing **bucket = &model->buckets[thing->kind][bucket_of(&thing->name)];
        HF_CHECK(*bucket == thing && model->newest[thing->kind] == thing);
        *bucket = thing->next;
        model->newest[thing->kind] = thing->before;
        thing->gone = true;
    }
}

struct hf_event *hf_model_event(struct hf_model *model, enum hf_event_type type, uint32_t operation)
{
    struct hf_model_answer *answer = &model->answer;
    if (answer->event_count == answer->event_capacity) {
        answer->event_capacity = answer->event_capacity == 0 ? 16 : answer->event_capacity * 2;
        answer->events = realloc(answer->events, answer->event_capacity * sizeof(*answer->events));
        HF_CHECK(answer->events != NULL);
    }
    struct hf_event *event = &answer->events[answer->event_count++];
    memset(event, 0, sizeof(*event));
    event->type = type;
    event->operation = operation;
    return event;
}

void hf_model_spend(struct hf_model *model, enum hf_kind kind, const struct hf_name *name)
{
    struct hf_model_answer *answer = &model->answer;
    if (answer->spent_count == answer->spent_capacity) {
        answer->spent_capacity = answer->spent_capacity == 0 ? 8 : answer->spent_capacity * 2;
        answer->spent = realloc(answer->spent, answer->spent_capacity * sizeof(*answer->spent));
        HF_CHECK(answer->spent != NULL);
    }
    answer->spent[answer->spent_count++] = (struct hf_spent){.kind = kind, .name = *name};
}

struct hf_entity hf_model_entity(const struct hf_model_thing *thing)
{
    struct hf_entity entity = {.kind = HF_KIND_NONE};
    if (thing == NULL || thing->gone || thing->spent) {
        return entity;
    }
    switch (thing->kind) {
    case HF_KIND_ACCOUNT:
        entity.account = thing->account;
        break;
    case HF_KIND_TRANSFER:
        entity.transfer = thing->transfer;
        entity.transfer.reversed = thing->reversed;
        break;
    case HF_KIND_HOLD:
        entity.hold = thing->hold;
        break;
    case HF_KIND_STREAM:
        entity.stream = thing->stream;
        break;
    case HF_KIND_DOCUMENT:
        if (!thing->document.exists) {
            return entity;
        }
        entity.document = thing->document;
        entity.last_change_key = thing->last_key;
        break;
    case HF_KIND_LEASE:
        if (!thing->lease.held) {
            return entity;
        }
        entity.lease = thing->lease;
        break;
    case HF_KIND_MESSAGE:
        entity.message = thing->message;
        break;
    case HF_KIND_SUBSCRIPTION:
        entity.subscription = thing->subscription;
        break;
    case HF_KIND_SAGA:
    case HF_KIND_SAGA_DEFINITION:
    case HF_KIND_NONE:
    case HF_KIND_EVENT:
    case HF_KIND_KEY:
    case HF_KIND_COUNT:
        return entity;
    }
    entity.kind = thing->kind;
    return entity;
}

bool hf_model_is_due(const struct hf_model_thing *thing, uint64_t time_us)
{
    if (thing->kind == HF_KIND_HOLD) {
        return !thing->spent && thing->hold.state == HF_HOLD_OPEN &&
               thing->hold.expires_at_us != 0 && thing->hold.expires_at_us <= time_us;
    }
    return thing->kind == HF_KIND_LEASE && thing->lease.held &&
           thing->lease.expires_at_us <= time_us;
}

void hf_model_begin_system(struct hf_model *model, uint64_t position, uint64_t time_us)
{
    model->position = position;
    model->time_us = time_us;
    model->answer.event_count = 0;
    model->undo_count = 0;
}

const struct hf_event *hf_model_expire(struct hf_model *model, enum hf_kind kind,
                                       const struct hf_name *name)
{
    struct hf_model_thing *thing = hf_model_find(model, kind, name);
    if (thing == NULL || !hf_model_is_due(thing, model->time_us)) {
        return NULL;
    }
    struct hf_model_turn turn = {
        .model = model, .position = model->position, .time_us = model->time_us};
    hf_model_book_expiry(&turn, thing);
    model->undo_count = 0;
    model->counts.expired_by_timer++;
    return &model->answer.events[model->answer.event_count - 1];
}

void hf_model_takeover(struct hf_model *model)
{
    struct hf_model_thing *thing = model->newest[HF_KIND_LEASE];
    for (; thing != NULL; thing = thing->before) {
        if (thing->lease.held) {
            thing->lease.expires_at_us = model->time_us + thing->lease.ttl_us;
        }
    }
}

static void keep_payload(struct hf_arena *arena, struct hf_payload *payload)
{
    payload->text = hf_model_copy(arena, payload->text);
}

const struct hf_command *hf_model_keep(struct hf_model *model, const struct hf_command *command)
{
    struct hf_arena *arena = &model->arena;
    struct hf_command *copy = hf_arena_alloc_zero(arena, 1, sizeof(*copy));
    HF_CHECK(copy != NULL);
    *copy = *command;
    copy->arena = (struct hf_arena){0};
    copy->principal = hf_model_copy(arena, command->principal);
    copy->key = hf_model_copy(arena, command->key);
    copy->door = hf_model_copy(arena, command->door);
    keep_payload(arena, &copy->metadata);
    copy->conditions =
        hf_arena_alloc_zero(arena, command->condition_count + 1, sizeof(*copy->conditions));
    copy->ops = hf_arena_alloc_zero(arena, command->op_count + 1, sizeof(*copy->ops));
    HF_CHECK(copy->conditions != NULL && copy->ops != NULL);
    for (uint32_t i = 0; i < command->condition_count; i++) {
        copy->conditions[i] = command->conditions[i];
        copy->conditions[i].subject = hf_model_copy_name(arena, &command->conditions[i].subject);
        if (command->conditions[i].receipt != NULL) {
            struct hf_receipt *receipt = hf_arena_alloc(arena, sizeof(*receipt));
            HF_CHECK(receipt != NULL);
            *receipt = *command->conditions[i].receipt;
            copy->conditions[i].receipt = receipt;
        }
    }
    if (command->plain != NULL) {
        struct hf_packed_transfer *plain =
            hf_arena_alloc(arena, command->op_count * sizeof(*plain));
        HF_CHECK(plain != NULL);
        memcpy(plain, command->plain, command->op_count * sizeof(*plain));
        copy->plain = plain;
    }
    for (uint32_t i = 0; command->plain == NULL && i < command->op_count; i++) {
        struct hf_op *op = &copy->ops[i];
        *op = command->ops[i];
        op->subject = hf_model_copy_name(arena, &op->subject);
        op->to = hf_model_copy_name(arena, &op->to);
        op->id = hf_model_copy_name(arena, &op->id);
        op->type_text = hf_model_copy(arena, op->type_text);
        keep_payload(arena, &op->data);
        keep_payload(arena, &op->metadata);
        op->queue = hf_naive_keep_op(arena, op->queue);
    }
    return copy;
}
