/* What is to be done when the runner begins: the state's work, by pages. */
#include "base/alloc.h"
#include "base/check.h"
#include "deliver/runner_priv.h"

#define PAGE_SAGAS       500u
#define OVERDUE_EVERY_US 1000u /* a backlog's calls begin so far from each other, about */

/* A step of a page. The definition's name follows. */
struct item {
    uint64_t uid;
    uint32_t step;
    bool paused;
    struct hf_saga_step after;
    uint64_t definition_version;
    struct hf_id definition_id;
    size_t name_bytes;
};

struct runner_work {
    struct runner_ask ask;
    struct hf_query query;
    bool later_page; /* not the first one */
    struct hf_buffer items;
    struct hf_buffer after; /* name to go on behind */
    struct hf_buffer next;  /* the one of the page that was read */
    bool more;
};

static bool has_call(const struct hf_saga_step *step)
{
    return step->state == HF_STEP_RUNNING || step->state == HF_STEP_COMPENSATING || step->polls;
}

/* ---- on the node's thread ---- */

static void note_step(struct runner_work *work, const struct hf_saga *saga, uint32_t step)
{
    const struct hf_saga_stored_definition *definition = saga->definition;
    struct item item = {
        .uid = saga->uid,
        .step = step,
        .paused = saga->state == HF_SAGA_PAUSED,
        .after = saga->steps[step],
        .definition_version = definition->version,
        .definition_id = definition->name.id,
        .name_bytes = definition->name.text.len,
    };
    hf_buffer_bytes(&work->items, &item, sizeof(item));
    hf_buffer_bytes(&work->items, definition->name.text.ptr, definition->name.text.len);
}

static void note_page(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct runner_work *work = HF_CONTAINER_OF(request, struct runner_work, ask.request);
    (void)index; /* there is one query */
    hf_buffer_clear(&work->items);
    hf_buffer_clear(&work->next);
    work->more = reading->more;
    hf_buffer_bytes(&work->next, reading->next_after.ptr, reading->next_after.len);
    for (uint32_t i = 0; i < reading->saga_count; i++) {
        const struct hf_saga *saga = reading->sagas[i].saga;
        for (uint32_t step = 0; step < saga->definition->parsed.step_count; step++) {
            if (has_call(&saga->steps[step])) {
                note_step(work, saga, step);
            }
        }
    }
}

/* ---- on the runner's ---- */

/* A backlog does not begin all at once. */
static void spread(struct hf_runner *runner, struct item *item)
{
    uint64_t log_us = runner_log_us(runner);
    if (item->after.due_us > log_us) {
        return;
    }
    uint64_t window_us =
        hf_min_u64(runner->overdue * OVERDUE_EVERY_US, runner->options.limits.spread_us_max);
    uint64_t hash = (item->uid ^ item->step) * 0x9E3779B97F4A7C15u;
    runner->overdue++;
    item->after.due_us = log_us + (window_us == 0 ? 0 : (hash >> 32) % window_us);
}

static bool take_item(struct hf_runner *runner, struct item *item, struct hf_str name_text)
{
    struct hf_name name = {item->definition_id, name_text};
    struct hf_known_definition *definition =
        hf_known_definition_get(&runner->definitions, &name, item->definition_version);
    if (definition == NULL) {
        return false;
    }
    spread(runner, item);
    runner_set_step(runner, &(struct runner_step){
                                .uid = item->uid,
                                .step = item->step,
                                .after = &item->after,
                                .definition = definition,
                                .paused = item->paused,
                            });
    hf_known_definition_unref(&runner->definitions, definition);
    return true;
}

static bool take_page(struct hf_runner *runner, const struct runner_work *work)
{
    const uint8_t *at = work->items.data;
    const uint8_t *end = at + work->items.size_bytes;
    while (at != NULL && at < end) {
        struct item item;
        memcpy(&item, at, sizeof(item));
        at += sizeof(item);
        if (!take_item(runner, &item, (struct hf_str){(const char *)at, item.name_bytes})) {
            return false;
        }
        at += item.name_bytes;
    }
    return true;
}

static void end_work(struct hf_runner *runner, bool read)
{
    struct runner_work *work = runner->work;
    runner->work = NULL;
    hf_buffer_release(&work->items);
    hf_buffer_release(&work->after);
    hf_buffer_release(&work->next);
    hf_free(work);
    if (read) {
        runner->phase = RUNNER_CATCHING_UP;
    }
    /* Else it stays READING, and is begun anew, but not at once. */
}

static void ask_for_page(struct hf_runner *runner, struct runner_work *work)
{
    work->query = (struct hf_query){
        .type = HF_QUERY_SAGA_WORK,
        .limit = PAGE_SAGAS,
        .after = {(const char *)work->after.data, work->after.size_bytes},
    };
    runner_submit(runner, &work->ask);
}

static void page_came(struct runner_ask *ask, enum hf_err code)
{
    struct runner_work *work = HF_CONTAINER_OF(ask, struct runner_work, ask);
    struct hf_runner *runner = ask->runner;
    bool whole = code == HF_ERR_OK && !work->items.failed && !work->next.failed;
    if (runner->stopping || runner->phase == RUNNER_HALTED) {
        end_work(runner, false);
        return;
    }
    if (!whole || !take_page(runner, work)) {
        runner_read_again(runner);
        end_work(runner, false);
        return;
    }
    uint64_t seen = ask->seen_position;
    if (!work->later_page) {
        runner->next_position = seen + 1;
        work->later_page = true;
    }
    runner->work_position = seen;
    if (!work->more) {
        end_work(runner, true);
        return;
    }
    struct hf_buffer after = work->after;
    work->after = work->next;
    work->next = after;
    ask_for_page(runner, work);
}

void runner_work_start(struct hf_runner *runner)
{
    struct runner_work *work = hf_calloc(1, sizeof(*work));
    if (work == NULL) {
        runner_read_again(runner);
        return;
    }
    hf_buffer_init(&work->items);
    hf_buffer_init(&work->after);
    hf_buffer_init(&work->next);
    work->ask.request =
        (struct hf_request){.queries = &work->query, .query_count = 1, .render = note_page};
    work->ask.came = page_came;
    runner->work = work;
    runner->overdue = 0;
    ask_for_page(runner, work);
}
