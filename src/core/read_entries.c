/* Reads along an account's entries: pages of entries, transfers, holds. */
#include "base/check.h"
#include "core/decide_priv.h"
#include "core/read_priv.h"
#include "core/saga_text.h"
#include "core/strip.h"

#define AHEAD_FIRST                                                                                \
    64u /* entries that a walk with an open end fetches first; then as many as it has seen */

/* The side of an event that belongs to the account with this version, or NULL. */
static const struct hf_side *side_of(const struct hf_event *event, const struct hf_id *id,
                                     uint64_t version)
{
    const struct hf_side *sides[2] = {NULL, NULL};
    if (event->type == HF_EVENT_ACCOUNT_CHANGED) {
        sides[0] = &event->changed.side;
    } else if (event->type == HF_EVENT_TRANSFER_POSTED ||
               ((HF_HOLD_EVENTS & HF_EVENT_BIT(event->type)) != 0 &&
                event->type != HF_EVENT_HOLD_EXTENDED)) {
        sides[0] = &event->posting.debit;
        sides[1] = &event->posting.credit;
    }
    for (int i = 0; i < 2; i++) {
        if (sides[i] != NULL && sides[i]->version == version &&
            hf_id_equal(&sides[i]->account.id, id)) {
            return sides[i];
        }
    }
    return NULL;
}

const struct hf_side *hf_entry_find(const struct hf_commit *commit, const struct hf_id *account,
                                    uint64_t version, const struct hf_event **event)
{
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_side *side = side_of(commit->events[i], account, version);
        if (side != NULL) {
            *event = commit->events[i];
            return side;
        }
    }
    return NULL;
}

bool hf_chain_follow(const struct hf_commit *commit, const struct hf_entry_chain *chain,
                     uint64_t version, uint64_t *previous)
{
    const struct hf_event *event;
    if (chain->saga) {
        event = hf_saga_event_find(commit, &chain->account, version);
        *previous = event == NULL ? 0 : event->saga->previous_position;
        return event != NULL;
    }
    if (commit->strip != NULL && !commit->expanded) {
        uint32_t number; /* a commit with a strip writes no other entries */
        return hf_strip_find_entry(commit, &chain->account, version, &number, previous);
    }
    const struct hf_side *side = hf_entry_find(commit, &chain->account, version, &event);
    *previous = side == NULL ? 0 : side->previous_position;
    return side != NULL;
}

/* The same of events: the account's entries ascend in them. */
static bool find_before(const struct hf_commit *commit, const struct hf_id *account,
                        uint64_t version, struct hf_entry_place *before)
{
    for (uint32_t i = commit->event_count; i > 0 && version > 0; i--) {
        const struct hf_side *side = side_of(commit->events[i - 1], account, version);
        if (side == NULL) {
            continue;
        }
        version--;
        if (side->previous_position != commit->position) {
            *before = (struct hf_entry_place){version, side->previous_position};
            return true;
        }
    }
    return false;
}

bool hf_entry_before(const struct hf_commit *commit, const struct hf_id *account, uint64_t version,
                     struct hf_entry_place *before)
{
    bool found = commit->strip != NULL && !commit->expanded
                     ? hf_strip_before(commit, account, version, before)
                     : find_before(commit, account, version, before);
    return found && before->position < commit->position &&
           (before->version == 0) == (before->position == 0);
}

/* ---- the walk ---- */

struct hf_entry_walk hf_entry_walk_begin(struct hf_read_work *r, const struct hf_account *account,
                                         uint64_t start, uint64_t last, bool all)
{
    HF_CHECK(last >= 1 && start <= account->version);
    struct hf_entry_walk walk = {
        .work = r,
        .account = account,
        .start = start,
        .last = last,
        .version = account->version,
        .position = account->last_position,
        .all = all,
    };
    if (start >= last) {
        struct hf_entry_place place;
        bool known = hf_entry_enter(r, account, start, &place);
        walk.version = known ? place.version : start;
        walk.position = known ? place.position : 0; /* 0: stops at once */
    }
    return walk;
}

struct hf_entry_walk hf_entry_walk_at(struct hf_read_work *r, const struct hf_account *account,
                                      const struct hf_entry_place *place)
{
    return (struct hf_entry_walk){
        .work = r,
        .account = account,
        .start = place->version,
        .last = place->version,
        .version = place->version,
        .position = place->position,
        .all = true,
    };
}

/* Of a strip the entries that the walk will pass, all at once. false: memory is short. */
static bool find_entries(struct hf_entry_walk *walk)
{
    const struct hf_commit *commit = walk->commit;
    walk->entries = (struct hf_strip_entries){0};
    bool ok = commit->strip == NULL || commit->expanded ||
              hf_strip_entries(commit, &walk->account->name.id, walk->last, walk->version,
                               &walk->entries);
    walk->work->view->short_memory |= !ok;
    return ok;
}

/* The walk's commit; if it is cold, it is needed together with those behind it. */
static bool enter_commit(struct hf_entry_walk *walk)
{
    struct hf_view *view = walk->work->view;
    struct hf_needs *needs = &view->needs;
    if (walk->commit != NULL && walk->commit->position == walk->position) {
        return true;
    }
    if (walk->position == 0) {
        return false;
    }
    size_t before = needs->position_count;
    walk->commit = hf_view_compact(view, walk->position);
    if (walk->commit != NULL) {
        walk->event = walk->commit->event_count;
        return find_entries(walk);
    }
    if (needs->position_count > before) {
        uint64_t seen = walk->start > walk->version ? walk->start - walk->version : 0;
        uint64_t left = walk->version - walk->last + 1;
        uint64_t count = walk->all ? left : hf_min_u64(left, hf_max_u64(AHEAD_FIRST, seen));
        struct hf_entry_chain chain = {.account = walk->account->name.id,
                                       .version = walk->version,
                                       .position = walk->position,
                                       .count = (uint32_t)hf_min_u64(count, HF_QUERY_WALK_MAX)};
        view->short_memory = view->short_memory || !hf_needs_add_chain(needs, &chain);
    }
    return false;
}

/* The event of the walk's next entry in its commit, and its side. */
static void find_item(struct hf_entry_walk *walk, struct hf_page_item *item)
{
    const struct hf_commit *commit = walk->commit;
    const struct hf_id *account = &walk->account->name.id;
    const struct hf_strip_entries *entries = &walk->entries;
    if (walk->version >= entries->first && walk->version - entries->first < entries->count) {
        item->event = entries->events[walk->version - entries->first];
        item->side = side_of(item->event, account, walk->version);
        return;
    }
    while (item->side == NULL && walk->event > 0) {
        item->event = commit->events[--walk->event];
        item->side = side_of(item->event, account, walk->version);
    }
}

enum hf_entry_walk_step hf_entry_walk_next(struct hf_entry_walk *walk, struct hf_page_item *item)
{
    struct hf_view *view = walk->work->view;
    if (walk->start < walk->last) {
        return HF_WALK_END;
    }
    for (;;) {
        if (walk->version < walk->last) {
            return HF_WALK_END;
        }
        /* Not before the first one: the next page must begin further down. */
        if (walk->version < walk->start && view->decoded_bytes > HF_QUERY_BYTES_MAX) {
            return HF_WALK_OVER;
        }
        if (!enter_commit(walk)) {
            return HF_WALK_STOP;
        }
        *item = (struct hf_page_item){.commit = walk->commit};
        find_item(walk, item);
        if (item->side == NULL) {
            view->damaged = !view->short_memory;
            return HF_WALK_STOP;
        }
        walk->position = item->side->previous_position;
        walk->version--;
        if (walk->version < walk->start) {
            return HF_WALK_ENTRY;
        }
    }
}

/* The first version to be shown by a page below query->from. */
static uint64_t page_start(const struct hf_read_work *r, const struct hf_account *account)
{
    return r->query->from > 0 && r->query->from <= account->version ? r->query->from - 1
                                                                    : account->version;
}

/* Where the page goes on: below the entry that the walk has shown last. */
static void end_page(struct hf_read_work *r, const struct hf_entry_walk *walk)
{
    r->out->more = walk->version > 0;
    r->out->next_from = walk->version + 1;
}

void hf_read_entry_page(struct hf_read_work *r)
{
    const struct hf_account *account = &r->out->entity.account;
    uint64_t start = page_start(r, account);
    uint64_t last = start > r->query->limit ? start - r->query->limit + 1 : 1;
    struct hf_entry_walk walk = hf_entry_walk_begin(r, account, start, last, true);
    if (start == 0) {
        return;
    }
    struct hf_page_item item;
    while (hf_entry_walk_next(&walk, &item) == HF_WALK_ENTRY) {
        r->out->items[r->out->item_count++] = item;
    }
    end_page(r, &walk);
}

/* ---- transfers and holds ---- */

/* How an entry becomes an item of a list. true: it does, entity is filled. */
typedef bool (*take_fn)(struct hf_read_work *r, const struct hf_event *event,
                        struct hf_entity *entity);

static bool take_transfer(struct hf_read_work *r, const struct hf_event *event,
                          struct hf_entity *entity)
{
    if ((HF_TRANSFER_EVENTS & HF_EVENT_BIT(event->type)) == 0) {
        return false;
    }
    hf_read_take_transfer(r, event, entity);
    return true;
}

static bool take_hold(struct hf_read_work *r, const struct hf_event *event,
                      struct hf_entity *entity)
{
    if (event->type != HF_EVENT_HOLD_OPENED) {
        return false;
    }
    const struct hf_id *id = &event->posting.hold.name.id;
    bool open_only = r->query->hold_state == HF_HOLD_OPEN;
    const struct hf_hold *hold = open_only ? hf_state_hold(r->state, id) : hf_read_find_hold(r, id);
    if (hold == NULL || (r->query->hold_state != 0 && hold->state != r->query->hold_state)) {
        return false;
    }
    *entity = (struct hf_entity){.kind = HF_KIND_HOLD, .hold = *hold};
    return true;
}

static void read_by_entries(struct hf_read_work *r, const struct hf_account *account, take_fn take)
{
    uint64_t start = page_start(r, account);
    uint64_t last = start > HF_QUERY_SCAN_MAX ? start - HF_QUERY_SCAN_MAX + 1 : 1;
    if (!hf_read_begin_list(r) || start == 0) {
        return;
    }
    struct hf_entry_walk walk = hf_entry_walk_begin(r, account, start, last, false);
    struct hf_page_item item;
    while (r->out->entity_count < r->query->limit &&
           hf_entry_walk_next(&walk, &item) == HF_WALK_ENTRY) {
        if (take(r, item.event, &r->out->entities[r->out->entity_count])) {
            r->out->entity_count++;
        }
    }
    end_page(r, &walk);
}

void hf_read_transfers(struct hf_read_work *r)
{
    const struct hf_account *account = hf_read_find_account(r);
    if (account != NULL) {
        read_by_entries(r, account, take_transfer);
    }
}

void hf_read_holds(struct hf_read_work *r)
{
    const struct hf_account *account = hf_read_find_account(r);
    bool none = account != NULL && r->query->hold_state == HF_HOLD_OPEN &&
                account->totals.debits_pending == 0 && account->totals.credits_pending == 0;
    if (account != NULL && !none) {
        read_by_entries(r, account, take_hold);
    }
}
