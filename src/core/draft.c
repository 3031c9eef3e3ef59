/* The draft: what the operations of one commit have made so far. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"
#include "core/decide_priv.h"

#define DRAFT_TABLES 8
#define TABLE_CAPACITY_KEPT                                                                        \
    256u /* a larger table is given back, so that small commits stay cheap */

void hf_draft_init(struct hf_draft *draft)
{
    *draft = (struct hf_draft){0};
    hf_view_init(&draft->view);
}

static struct hf_table *const *tables_of(struct hf_draft *draft,
                                         struct hf_table *list[DRAFT_TABLES])
{
    list[0] = &draft->accounts;
    list[1] = &draft->holds;
    list[2] = &draft->streams;
    list[3] = &draft->documents;
    list[4] = &draft->leases;
    list[5] = &draft->subscriptions;
    list[6] = &draft->lines;
    list[7] = &draft->sagas;
    return list;
}

void hf_draft_release(struct hf_draft *draft)
{
    struct hf_table *list[DRAFT_TABLES];
    for (int i = 0; i < DRAFT_TABLES; i++) {
        hf_table_release(tables_of(draft, list)[i]);
    }
    hf_index_table_release(&draft->ids);
    hf_free(draft->strip_room);
    hf_view_release(&draft->view);
}

/* Forgets the operations' effects; the arena stays until the next decision. */
void hf_draft_clear_effects(struct hf_draft *draft)
{
    struct hf_table *list[DRAFT_TABLES];
    for (int i = 0; i < DRAFT_TABLES; i++) {
        struct hf_table *table = tables_of(draft, list)[i];
        if (table->capacity > TABLE_CAPACITY_KEPT && table->count < table->capacity / 8) {
            hf_table_release(table);
        } else {
            hf_table_clear(table);
        }
    }
    hf_index_table_clear(&draft->ids);
    draft->commit.event_count = 0;
    draft->commit.strip = NULL;
    draft->commit.expanded = false;
    draft->undo = NULL;
    draft->undoes = false;
}

/* ---- taking back ---- */

/* What was there before: the bytes of a copy in a table, a thing that was not in it, or an index record. */
struct hf_undo {
    struct hf_undo *older;
    void *thing; /* a copy that was changed… */
    void *bytes; /* …as it was… */
    size_t size;
    struct hf_table *table; /* entered here… */
    struct hf_id id;        /* …by this id… */
    bool has_key;
    struct hf_index_key key;     /* …or noted in `ids`… */
    struct hf_index_value value; /* …where this was before */
};

static struct hf_undo *note_undo(struct hf_deciding *d)
{
    struct hf_undo *undo = hf_arena_alloc_zero(&d->draft->view.arena, 1, sizeof(*undo));
    if (undo != NULL) {
        undo->older = d->draft->undo;
        d->draft->undo = undo;
    }
    return undo;
}

/* Something may be changed that other operations have seen. */
static enum hf_step keep_bytes(struct hf_deciding *d, void *thing, size_t size)
{
    if (!d->draft->undoes) {
        return STEP_OK;
    }
    struct hf_undo *undo = note_undo(d);
    void *bytes = hf_arena_alloc(&d->draft->view.arena, size);
    if (undo == NULL || bytes == NULL) {
        return hf_short(d);
    }
    memcpy(bytes, thing, size);
    undo->thing = thing;
    undo->bytes = bytes;
    undo->size = size;
    return STEP_OK;
}

void hf_draft_save(struct hf_deciding *d, struct hf_draft_savepoint *savepoint)
{
    HF_CHECK(!d->draft->undoes);
    d->draft->undo = NULL;
    d->draft->undoes = true;
    *savepoint =
        (struct hf_draft_savepoint){.deciding = *d, .event_count = d->draft->commit.event_count};
}

void hf_draft_keep(struct hf_deciding *d)
{
    d->draft->undo = NULL;
    d->draft->undoes = false;
}

void hf_draft_take_back(struct hf_deciding *d, const struct hf_draft_savepoint *savepoint)
{
    for (const struct hf_undo *undo = d->draft->undo; undo != NULL; undo = undo->older) {
        if (undo->thing != NULL) {
            memcpy(undo->thing, undo->bytes, undo->size);
        } else if (undo->table != NULL) {
            (void)hf_table_remove(undo->table, &undo->id);
        } else if (undo->has_key) {
            hf_index_table_put(&d->draft->ids, &undo->key, &undo->value);
        }
    }
    *d = savepoint->deciding;
    d->draft->commit.event_count = savepoint->event_count;
    hf_draft_keep(d);
}

enum hf_step hf_short(struct hf_deciding *d)
{
    d->draft->view.short_memory = true;
    return STEP_STOP;
}

enum hf_step hf_refuse(struct hf_deciding *d, enum hf_err code, enum hf_kind kind,
                       const struct hf_name *name)
{
    d->code = code;
    d->current_kind = kind;
    d->current_name = name == NULL ? (struct hf_name){0} : *name;
    return STEP_REFUSED;
}

enum hf_step hf_draft_enter(struct hf_deciding *d, struct hf_table *table, const struct hf_id *id,
                            void *thing)
{
    if (!hf_table_reserve(table, 1)) {
        return hf_short(d);
    }
    (void)hf_table_put(table, id, thing);
    struct hf_undo *undo = d->draft->undoes ? note_undo(d) : NULL;
    if (d->draft->undoes && undo == NULL) {
        return hf_short(d);
    }
    if (undo != NULL) {
        undo->table = table;
        undo->id = *id;
    }
    return STEP_OK;
}

/* The copy of a thing in an overlay table, made from the stored one (NULL: there is none) if need be. Every thing
 * begins with its name. */
static enum hf_step overlay(struct hf_deciding *d, struct hf_table *table, const void *stored,
                            size_t size, size_t room, const struct hf_name *name, void **out)
{
    *out = hf_table_get(table, &name->id);
    const struct hf_name *found = *out != NULL ? *out : stored;
    if (found == NULL) {
        return STEP_OK;
    }
    if (!hf_name_asks_for(name, found)) {
        return hf_refuse(d, HF_ERR_ID_COLLISION, HF_KIND_NONE, NULL);
    }
    if (*out != NULL) {
        return keep_bytes(d, *out, room);
    }
    void *copy = hf_arena_alloc(&d->draft->view.arena, room);
    if (copy == NULL) {
        return hf_short(d);
    }
    memcpy(copy, found, size);
    if (room > size) {
        memset((char *)copy + size, 0, room - size);
    }
    *out = copy;
    return hf_draft_enter(d, table, &name->id, copy);
}

enum hf_step hf_draft_account(struct hf_deciding *d, const struct hf_name *name,
                              struct hf_account **out)
{
    void *thing;
    enum hf_step step = overlay(d, &d->draft->accounts, hf_state_account(d->state, &name->id),
                                sizeof(struct hf_account), sizeof(struct hf_account), name, &thing);
    *out = thing;
    return step;
}

enum hf_step hf_draft_hold(struct hf_deciding *d, const struct hf_name *name, struct hf_hold **out)
{
    void *thing;
    enum hf_step step = overlay(d, &d->draft->holds, hf_state_hold(d->state, &name->id),
                                sizeof(struct hf_hold), sizeof(struct hf_hold), name, &thing);
    *out = thing;
    return step;
}

enum hf_step hf_draft_stream(struct hf_deciding *d, const struct hf_name *name,
                             struct hf_stream **out)
{
    void *thing;
    enum hf_step step = overlay(d, &d->draft->streams, hf_state_stream(d->state, &name->id),
                                sizeof(struct hf_stream), sizeof(struct hf_stream), name, &thing);
    *out = thing;
    return step;
}

enum hf_step hf_draft_document_get(struct hf_deciding *d, const struct hf_name *name,
                                   struct hf_draft_document **out)
{
    void *thing;
    enum hf_step step =
        overlay(d, &d->draft->documents, hf_state_document(d->state, &name->id),
                sizeof(struct hf_document), sizeof(struct hf_draft_document), name, &thing);
    *out = thing;
    return step;
}

enum hf_step hf_draft_lease(struct hf_deciding *d, const struct hf_name *name,
                            struct hf_lease **out)
{
    const struct hf_lease *own = hf_table_get(&d->draft->leases, &name->id);
    if (own != NULL && !own->held && !hf_str_equal(own->name.text, name->text)) {
        *out = NULL; /* what this commit has let go of is in nobody's way */
        return STEP_OK;
    }
    void *thing;
    enum hf_step step = overlay(d, &d->draft->leases, hf_state_lease(d->state, &name->id),
                                sizeof(struct hf_lease), sizeof(struct hf_lease), name, &thing);
    *out = thing;
    return step;
}

struct hf_event *hf_draft_event(struct hf_deciding *d, enum hf_event_type type)
{
    struct hf_draft *draft = d->draft;
    struct hf_commit *commit = &draft->commit;
    if (commit->event_count == draft->event_capacity) {
        uint32_t capacity = draft->event_capacity == 0 ? 4 : draft->event_capacity * 4;
        struct hf_event **events =
            hf_arena_alloc(&draft->view.arena, capacity * sizeof(struct hf_event *));
        if (events == NULL) {
            (void)hf_short(d);
            return NULL;
        }
        if (commit->event_count > 0) {
            memcpy(events, commit->events, commit->event_count * sizeof(struct hf_event *));
        }
        commit->events = events;
        draft->event_capacity = capacity;
    }
    struct hf_event *event = hf_arena_alloc_zero(&draft->view.arena, 1, sizeof(*event));
    if (event == NULL) {
        (void)hf_short(d);
        return NULL;
    }
    event->type = type;
    event->operation = d->op_index;
    commit->events[commit->event_count++] = event;
    return event;
}

static enum hf_step note(struct hf_deciding *d, uint8_t kind, const struct hf_id *id,
                         uint32_t flags)
{
    if (!hf_index_table_reserve(&d->draft->ids, 1)) {
        return hf_short(d);
    }
    struct hf_index_key key = {.kind = kind, .id = *id};
    struct hf_index_value value = {
        .position = d->position, .index = d->draft->commit.event_count - 1, .flags = flags};
    if (d->draft->undoes) {
        const struct hf_index_value *before = hf_index_table_get(&d->draft->ids, &key);
        struct hf_undo *undo = note_undo(d);
        if (undo == NULL) {
            return hf_short(d);
        }
        undo->has_key = true;
        undo->key = key;
        undo->value = before == NULL ? (struct hf_index_value){.flags = HF_RECORD_ABSENT} : *before;
    }
    hf_index_table_put(&d->draft->ids, &key, &value);
    return STEP_OK;
}

enum hf_step hf_draft_note(struct hf_deciding *d, uint8_t kind, const struct hf_id *id)
{
    return note(d, kind, id, 0);
}

enum hf_step hf_draft_note_spent(struct hf_deciding *d, uint8_t kind, const struct hf_id *id)
{
    return note(d, kind, id, HF_INDEX_SPENT);
}

const struct hf_index_value *hf_draft_id(const struct hf_deciding *d, uint8_t kind,
                                         const struct hf_id *id)
{
    struct hf_index_key key = {.kind = kind, .id = *id};
    const struct hf_index_value *value = hf_index_table_get(&d->draft->ids, &key);
    return value == NULL || (value->flags & HF_RECORD_ABSENT) != 0 ? NULL : value;
}

enum hf_step hf_find_event(struct hf_deciding *d, uint8_t kind, const struct hf_id *id,
                           uint64_t wanted_types, const struct hf_event **event, bool *spent)
{
    *event = NULL;
    *spent = false;
    const struct hf_index_value *own = hf_draft_id(d, kind, id);
    if (own != NULL) {
        *spent = (own->flags & HF_INDEX_SPENT) != 0;
        *event = *spent ? NULL : d->draft->commit.events[own->index];
        return STEP_OK;
    }
    struct hf_index_value value;
    switch (hf_view_lookup(&d->draft->view, kind, id, 0, &value)) {
    case HF_LOOKUP_UNKNOWN:
        return STEP_STOP;
    case HF_LOOKUP_ABSENT:
        return STEP_OK;
    case HF_LOOKUP_PRESENT:
        break;
    }
    if ((value.flags & HF_INDEX_SPENT) != 0) {
        *spent = true;
        return STEP_OK;
    }
    *event = hf_view_event(&d->draft->view, &value, wanted_types);
    return *event == NULL ? STEP_STOP : STEP_OK;
}

enum hf_step hf_server_name(struct hf_deciding *d, struct hf_name *name)
{
    char text[48];
    /* What no operation of the command makes is named by its event, behind all operations. */
    uint32_t number = d->op_index != HF_NO_OPERATION
                          ? d->op_index
                          : HF_COMMIT_OPERATIONS_MAX + d->draft->commit.event_count;
    int len = snprintf(text, sizeof(text), "~%llu.%u", (unsigned long long)d->position, number);
    struct hf_str copy = hf_arena_copy(&d->draft->view.arena, (struct hf_str){text, (size_t)len});
    if (copy.ptr == NULL || !hf_name_make(copy, &d->draft->view.arena, name)) {
        return hf_short(d);
    }
    return STEP_OK;
}

void hf_draft_entry(struct hf_deciding *d, struct hf_account *account, struct hf_side *side)
{
    side->account = account->name;
    side->previous_position = account->last_position;
    account->version++;
    account->last_position = d->position;
    account->modified_at_us = d->time_us;
    side->version = account->version;
    side->totals = account->totals;
}
