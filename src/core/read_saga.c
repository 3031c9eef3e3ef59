/* Reads of sagas: one, its history, lists, definitions, counts, what the runner has to do. */
#include <stdio.h>

#include "base/check.h"
#include "core/read_priv.h"
#include "core/saga_list.h"
#include "core/saga_text.h"

#define FAILING_SEEN_MAX 10000u /* of those that fail, in the search for the oldest one */

static const struct hf_saga *find_saga(struct hf_read_work *r)
{
    const struct hf_saga *saga = hf_sagas_get(&r->state->sagas, &r->query->name.id);
    if (saga == NULL || !hf_str_equal(saga->name.text, r->query->name.text)) {
        r->out->code = HF_ERR_SAGA_NOT_FOUND;
        return NULL;
    }
    r->out->saga.saga = saga;
    return saga;
}

/* ---- one ---- */

static struct hf_str result_of(struct hf_read_work *r, const struct hf_saga *saga, uint32_t i)
{
    const struct hf_saga_text_at *at = &saga->steps[i].result;
    if (hf_str_present(saga->results[i]) || at->position == 0) {
        return saga->results[i];
    }
    const struct hf_commit *commit = hf_view_commit(r->view, at->position);
    return commit == NULL ? HF_STR_NONE : hf_saga_result_at(commit, at->index, i);
}

static struct hf_str error_of(struct hf_read_work *r, const struct hf_saga *saga, uint32_t i)
{
    const struct hf_saga_text_at *at = &saga->steps[i].error;
    const struct hf_commit *commit =
        at->position == 0 ? NULL : hf_view_commit(r->view, at->position);
    return commit == NULL ? HF_STR_NONE : hf_saga_error_at(commit, at->index);
}

static struct hf_str input_of(struct hf_read_work *r, const struct hf_saga *saga)
{
    if (hf_str_present(saga->input)) {
        return saga->input;
    }
    const struct hf_commit *commit = hf_view_commit(r->view, saga->started_position);
    return commit == NULL ? HF_STR_NONE : hf_saga_input_at(commit, saga->input_index);
}

void hf_read_saga(struct hf_read_work *r)
{
    const struct hf_saga *saga = find_saga(r);
    if (saga == NULL) {
        return;
    }
    uint32_t count = saga->definition->parsed.step_count;
    struct hf_str *results = hf_read_alloc(r, count, sizeof(*results));
    struct hf_str *errors = hf_read_alloc(r, count, sizeof(*errors));
    if (results == NULL || errors == NULL) {
        return;
    }
    r->out->saga.input = input_of(r, saga);
    for (uint32_t i = 0; i < count; i++) {
        results[i] = result_of(r, saga, i);
        errors[i] = error_of(r, saga, i);
    }
    r->out->saga.results = results;
    r->out->saga.errors = errors;
}

/* ---- history ---- */

struct walk {
    struct hf_read_work *work;
    const struct hf_saga *saga;
    uint64_t first;    /* version to be shown, the oldest… */
    uint64_t last;     /* …and the newest one */
    uint64_t version;  /* of the event to look at next */
    uint64_t position; /* of its commit; 0: something is needed */
};

/* In at the next indexed event at or behind the last one, or at the newest. */
static void enter(struct walk *walk)
{
    struct hf_view *view = walk->work->view;
    uint64_t indexed = (walk->last + HF_SAGA_STRIDE - 1) / HF_SAGA_STRIDE * HF_SAGA_STRIDE;
    walk->version = walk->saga->version;
    walk->position = walk->saga->last_position;
    if (indexed < walk->saga->version) {
        struct hf_index_value value = {0};
        enum hf_lookup lookup =
            hf_view_lookup(view, HF_INDEX_SAGA, &walk->saga->name.id, indexed, &value);
        view->damaged = view->damaged || lookup == HF_LOOKUP_ABSENT;
        walk->version = indexed;
        walk->position = lookup == HF_LOOKUP_PRESENT ? value.position : 0;
    }
}

/* The walk's commit; if it is cold, it is needed together with those before it. */
static const struct hf_commit *commit_of(struct walk *walk)
{
    struct hf_view *view = walk->work->view;
    size_t before = view->needs.position_count;
    const struct hf_commit *commit = hf_view_commit(view, walk->position);
    if (commit == NULL && view->needs.position_count > before) {
        struct hf_entry_chain chain = {.account = walk->saga->name.id,
                                       .saga = true,
                                       .version = walk->version,
                                       .position = walk->position,
                                       .count = (uint32_t)(walk->version - walk->first + 1)};
        view->short_memory = view->short_memory || !hf_needs_add_chain(&view->needs, &chain);
    }
    return commit;
}

static void show(struct walk *walk)
{
    struct hf_read_work *r = walk->work;
    r->out->item_count = (uint32_t)(walk->last - walk->first + 1);
    while (walk->position != 0 && walk->version >= walk->first) {
        const struct hf_commit *commit = commit_of(walk);
        if (commit == NULL) {
            return;
        }
        const struct hf_event *event =
            hf_saga_event_find(commit, &walk->saga->name.id, walk->version);
        if (event == NULL) {
            r->view->damaged = true;
            return;
        }
        if (walk->version <= walk->last) {
            r->out->items[walk->version - walk->first] =
                (struct hf_page_item){.commit = commit, .event = event};
        }
        walk->position = event->saga->previous_position;
        walk->version--;
    }
}

void hf_read_saga_history(struct hf_read_work *r)
{
    const struct hf_saga *saga = find_saga(r);
    if (saga == NULL || !hf_read_begin_page(r)) {
        return;
    }
    uint64_t from = hf_min_u64(r->query->from, saga->version);
    struct walk walk = {
        .work = r,
        .saga = saga,
        .first = from + 1,
        .last = hf_min_u64(saga->version, from + r->query->limit),
    };
    r->out->next_from = walk.last;
    r->out->more = walk.last < saga->version;
    if (walk.first <= walk.last) {
        enter(&walk);
        show(&walk);
    }
}

/* ---- lists ---- */

static bool begin_sagas(struct hf_read_work *r)
{
    r->out->sagas = hf_read_alloc(r, r->query->limit, sizeof(*r->out->sagas));
    return r->out->sagas != NULL;
}

/* Does the runner have something to do for it? */
static bool has_call(const struct hf_saga *saga)
{
    for (uint32_t i = 0; i < saga->definition->parsed.step_count; i++) {
        const struct hf_saga_step *step = &saga->steps[i];
        if (step->state == HF_STEP_RUNNING || step->state == HF_STEP_COMPENSATING || step->polls) {
            return true;
        }
    }
    return false;
}

static void list(struct hf_read_work *r, struct hf_saga_walk *walk)
{
    struct hf_reading *out = r->out;
    const struct hf_saga *saga;
    uint32_t seen = 0;
    while ((saga = hf_saga_walk_next(walk)) != NULL) {
        if (walk->filter == NULL ? r->query->type != HF_QUERY_SAGA_WORK || has_call(saga)
                                 : hf_saga_matches(saga, walk->filter, &r->view->arena)) {
            out->sagas[out->saga_count++].saga = saga;
        }
        out->next_after = saga->name.text;
        if (out->saga_count == r->query->limit || ++seen == HF_QUERY_SCAN_MAX) {
            out->more = true;
            return;
        }
    }
}

void hf_read_sagas(struct hf_read_work *r)
{
    if (begin_sagas(r)) {
        struct hf_saga_walk walk =
            hf_saga_walk_begin(&r->state->sagas, r->query->saga_filter, r->query->after);
        list(r, &walk);
    }
}

void hf_read_saga_work(struct hf_read_work *r)
{
    if (begin_sagas(r)) {
        struct hf_saga_walk walk = hf_saga_walk_begin(&r->state->sagas, NULL, r->query->after);
        walk.states = 1u << HF_SAGA_RUNNING | 1u << HF_SAGA_WAITING | 1u << HF_SAGA_COMPENSATING |
                      1u << HF_SAGA_PARKED | 1u << HF_SAGA_PAUSED;
        list(r, &walk);
    }
}

/* ---- definitions ---- */

static bool begin_definitions(struct hf_read_work *r, uint32_t count)
{
    r->out->definitions = hf_read_alloc(r, count, sizeof(const struct hf_saga_stored_definition *));
    return r->out->definitions != NULL;
}

void hf_read_saga_definition(struct hf_read_work *r)
{
    const struct hf_saga_stored_definition *definition =
        hf_sagas_definition(&r->state->sagas, r->query->name.text, r->query->version);
    if (definition == NULL) {
        r->out->code = HF_ERR_SAGA_DEFINITION_NOT_FOUND;
        return;
    }
    if (begin_definitions(r, 1)) {
        r->out->definitions[0] = definition;
        r->out->definition_count = 1;
        r->out->text.text = definition->parsed.text;
    }
}

/* "order@3"; without a version: behind nothing of that name. */
static struct hf_str split_after(struct hf_str after, uint64_t *version)
{
    size_t at = after.len;
    *version = 0;
    while (at > 0 && after.ptr[at - 1] != '@') {
        at--;
    }
    if (at == 0) {
        return after;
    }
    for (size_t i = at; i < after.len; i++) {
        char c = after.ptr[i];
        if (c < '0' || c > '9' || *version > UINT64_MAX / 10 - 1) {
            *version = 0;
            return after;
        }
        *version = *version * 10 + (uint64_t)(c - '0');
    }
    return (struct hf_str){after.ptr, at - 1};
}

static void set_next_after(struct hf_read_work *r,
                           const struct hf_saga_stored_definition *definition)
{
    char text[HF_NAME_BYTES_MAX + 24];
    int len = snprintf(text, sizeof(text), "%.*s@%llu", (int)definition->name.text.len,
                       definition->name.text.ptr, (unsigned long long)definition->version);
    r->out->next_after = hf_arena_copy(&r->view->arena, (struct hf_str){text, (size_t)len});
    r->view->short_memory = r->view->short_memory || r->out->next_after.ptr == NULL;
}

static void list_definitions(struct hf_read_work *r, bool inline_ones)
{
    struct hf_reading *out = r->out;
    struct hf_str only = r->query->name.text;
    bool all = !hf_str_present(only) || only.len == 0;
    uint64_t version = 0;
    struct hf_str after = hf_str_present(r->query->after) && r->query->after.len > 0
                              ? split_after(r->query->after, &version)
                              : HF_STR("");
    if (!all && !hf_str_equal(after, only)) {
        after = only;
        version = 0;
    }
    if (!begin_definitions(r, r->query->limit)) {
        return;
    }
    uint32_t seen = 0;
    const struct hf_saga_stored_definition *definition =
        hf_sagas_definition_behind(&r->state->sagas, after, version);
    while (definition != NULL && (all || hf_str_equal(definition->name.text, only))) {
        if (out->definition_count == r->query->limit || seen++ == HF_QUERY_SCAN_MAX) {
            out->more = true;
            return;
        }
        if (inline_ones || !definition->is_inline) {
            out->definitions[out->definition_count++] = definition;
        }
        set_next_after(r, definition);
        definition = hf_sagas_definition_behind(&r->state->sagas, definition->name.text,
                                                definition->version);
    }
}

void hf_read_saga_definitions(struct hf_read_work *r)
{
    list_definitions(r, false);
}

/* ---- counts ---- */

static uint64_t oldest_failing(const struct hf_sagas *sagas)
{
    uint64_t oldest_us = 0;
    const struct hf_name *name = hf_names_behind(&sagas->failing, HF_STR(""), false);
    for (uint32_t seen = 0; name != NULL && seen < FAILING_SEEN_MAX; seen++) {
        uint64_t failing_us = HF_CONTAINER_OF(name, struct hf_saga, name)->failing_us;
        oldest_us = oldest_us == 0 ? failing_us : hf_min_u64(oldest_us, failing_us);
        name = hf_names_behind(&sagas->failing, name->text, false);
    }
    return oldest_us;
}

void hf_read_saga_counts(struct hf_read_work *r)
{
    const struct hf_sagas *sagas = &r->state->sagas;
    struct hf_saga_counts *counts = &r->out->saga_counts;
    for (unsigned i = 0; i < HF_SAGA_STATE_COUNT; i++) {
        counts->by_state[i] = sagas->by_state[i].count;
    }
    memcpy(counts->attempts, sagas->attempts, sizeof(counts->attempts));
    counts->failing = sagas->failing.count;
    counts->oldest_failing_us = oldest_failing(sagas);
    counts->inline_definitions = sagas->inline_definitions;
    counts->definitions = sagas->definitions.count - sagas->inline_definitions;
    list_definitions(r, false);
}
