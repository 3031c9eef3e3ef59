/* The watch's thread: reads, judges, submits. */
#include "observe/watch.h"

#include <pthread.h>
#include <time.h>

#include "base/alloc.h"
#include "base/check.h"
#include "observe/watch_priv.h"

#define SYNCS_EVERY_US 60000000u /* over which writes of the log are judged */
#define DISK_EVERY     5u        /* rounds from one look at the directory's files to the next */
#define FIRST_LIST     2u        /* number of its query */
#define PAGES_MAX      4u        /* of subscriptions in a round; the next round goes on */

/* A list of sagas, gone through a page a round. */
struct sweep {
    struct hf_watch_saga page[HF_WATCH_SAGA_PAGE];
    uint32_t count;
    bool more;
    char after[HF_NAME_BYTES_MAX + 1]; /* as in hf_watch */
    uint64_t seen;                     /* of hf_judge_sagas */
};

struct hf_watch {
    struct hf_watch_options options;
    char *directory; /* owned */
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    bool stopping, woken;
    bool answered;          /* of the request under way */
    struct hf_audit *audit; /* or NULL */
    struct hf_disk_use disk;
    bool has_disk;

    /* The watch's thread alone. */
    struct hf_request request;
    struct hf_judging judging;
    struct hf_watch_subscription page[HF_WATCH_PAGE];
    uint32_t page_count;
    bool more;
    char after[HF_NAME_BYTES_MAX + 1]; /* where the next page begins; "": at the first */
    struct sweep sweeps[HF_WATCH_LISTS];
    uint64_t rounds;
    struct hf_watch_syncs syncs;   /* when they were judged last */
    struct hf_audit_report report; /* room for it */
};

static void lock(struct hf_watch *watch)
{
    HF_CHECK(pthread_mutex_lock(&watch->mutex) == 0);
}

static void unlock(struct hf_watch *watch)
{
    HF_CHECK(pthread_mutex_unlock(&watch->mutex) == 0);
}

/* ---- the node ---- */

static void done(struct hf_request *request)
{
    struct hf_watch *watch = request->context;
    lock(watch);
    watch->answered = true;
    HF_CHECK(pthread_cond_broadcast(&watch->changed) == 0);
    unlock(watch);
}

/* false: no decision; the next round tries again. */
static bool ask(struct hf_watch *watch)
{
    watch->request.done = done;
    watch->request.context = watch;
    if (hf_node_submit(watch->options.node, &watch->request) != HF_ERR_OK) {
        return false;
    }
    lock(watch);
    while (!watch->answered) {
        HF_CHECK(pthread_cond_wait(&watch->changed, &watch->mutex) == 0);
    }
    watch->answered = false;
    unlock(watch);
    bool decided = watch->request.answer.decided;
    hf_answer_release(&watch->request.answer);
    return decided;
}

static void take_alerts(struct hf_judging *judging, const struct hf_alerts *alerts)
{
    judging->raised_count = alerts->raised_count;
    for (uint32_t i = 0; i < alerts->raised_count; i++) {
        struct hf_watch_raised *raised = &judging->raised[i];
        raised->kind = alerts->raised[i]->kind;
        struct hf_str subject = alerts->raised[i]->subject;
        memcpy(raised->subject, subject.ptr, subject.len);
        raised->subject[subject.len] = '\0';
    }
}

static void take_subscription(const struct hf_subscription_reading *reading,
                              struct hf_watch_subscription *out)
{
    const struct hf_subscription *s = reading->subscription;
    memcpy(out->name, s->name.text.ptr, s->name.text.len);
    out->name[s->name.text.len] = '\0';
    out->parked = s->parked.count;
    out->parked_since_us = s->parked.first == NULL ? 0 : s->parked.first->parked_at_us;
    out->waiting = s->waiting;
    out->in_flight = s->in_flight;
    out->last_settled_us = s->last_settled_us;
    out->oldest_us = reading->oldest_us;
}

/* The oldest one that is under way. */
static uint64_t compensating_since(const struct hf_saga *saga)
{
    uint64_t since_us = UINT64_MAX;
    for (uint32_t i = 0; i < saga->definition->parsed.step_count; i++) {
        const struct hf_saga_step *step = &saga->steps[i];
        if (step->state == HF_STEP_COMPENSATING && step->began_us != 0) {
            since_us = hf_min_u64(since_us, step->began_us);
        }
    }
    return since_us == UINT64_MAX ? 0 : since_us;
}

static void take_saga(enum hf_watch_list list, const struct hf_saga *saga,
                      struct hf_watch_saga *out)
{
    size_t reason = hf_min_u64(saga->reason.len, sizeof(out->reason) - 1);
    memcpy(out->name, saga->name.text.ptr, saga->name.text.len);
    out->name[saga->name.text.len] = '\0';
    out->since_us = list == HF_WATCH_PARKED    ? saga->modified_us
                    : list == HF_WATCH_FAILING ? saga->failing_us
                                               : compensating_since(saga);
    if (reason > 0) {
        memcpy(out->reason, saga->reason.ptr, reason);
    }
    out->reason[reason] = '\0';
}

static void take_sagas(struct sweep *sweep, enum hf_watch_list list,
                       const struct hf_reading *reading)
{
    sweep->count = reading->saga_count;
    sweep->more = reading->more;
    for (uint32_t i = 0; i < reading->saga_count; i++) {
        take_saga(list, reading->sagas[i].saga, &sweep->page[i]);
    }
}

/* Query 0: alerts; query 1: a page of subscriptions; behind them the lists of sagas. On the node's thread. */
static void take(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct hf_watch *watch = request->context;
    watch->judging.now_us = hf_max_u64(watch->judging.now_us, reading->time_us);
    if (index == 0) {
        take_alerts(&watch->judging, reading->alerts);
        return;
    }
    if (index >= FIRST_LIST) {
        enum hf_watch_list list = (enum hf_watch_list)(index - FIRST_LIST);
        take_sagas(&watch->sweeps[list], list, reading);
        return;
    }
    watch->page_count = reading->subscription_count;
    watch->more = reading->more;
    for (uint32_t i = 0; i < reading->subscription_count; i++) {
        take_subscription(&reading->subscriptions[i], &watch->page[i]);
    }
}

static bool read_page(struct hf_watch *watch, bool with_sagas)
{
    static const struct hf_saga_filter filters[HF_WATCH_LISTS] = {
        [HF_WATCH_PARKED] = {.has_state = true, .state = HF_SAGA_PARKED},
        [HF_WATCH_FAILING] = {.failing = true},
        [HF_WATCH_COMPENSATING] = {.has_state = true, .state = HF_SAGA_COMPENSATING},
    };
    struct hf_query queries[FIRST_LIST + HF_WATCH_LISTS] = {
        {.type = HF_QUERY_ALERTS},
        {.type = HF_QUERY_SUBSCRIPTIONS,
         .limit = HF_WATCH_PAGE,
         .after = hf_str_from(watch->after)},
    };
    for (size_t i = 0; i < HF_WATCH_LISTS; i++) {
        queries[FIRST_LIST + i] = (struct hf_query){.type = HF_QUERY_SAGAS,
                                                    .limit = HF_WATCH_SAGA_PAGE,
                                                    .saga_filter = &filters[i],
                                                    .after = hf_str_from(watch->sweeps[i].after)};
    }
    watch->judging.now_us = watch->options.outside->wall_us(watch->options.outside);
    watch->judging.change_count = 0;
    watch->request =
        (struct hf_request){.queries = queries,
                            .query_count = with_sagas ? HF_ARRAY_COUNT(queries) : FIRST_LIST,
                            .render = take};
    return ask(watch);
}

static bool record(struct hf_watch *watch)
{
    struct hf_judging *judging = &watch->judging;
    struct hf_command command;
    if (judging->change_count == 0) {
        return true;
    }
    hf_command_init(&command, HF_COMMAND_ALERTS);
    command.alerts = judging->changes;
    command.alert_count = judging->change_count;
    watch->request = (struct hf_request){.command = &command};
    bool recorded = ask(watch);
    hf_command_release(&command);
    if (recorded && watch->options.changed != NULL) {
        watch->options.changed(watch->options.context);
    }
    return recorded;
}

/* ---- judging ---- */

static void judge_page(struct hf_watch *watch)
{
    static const enum hf_alert_kind kinds[] = {HF_ALERT_DEAD_LETTER, HF_ALERT_SUBSCRIPTION_STALLED,
                                               HF_ALERT_MESSAGE_OLD};
    struct hf_watch_range range = {watch->page[0].name, sizeof(watch->page[0]), watch->page_count,
                                   watch->after, !watch->more};
    for (uint32_t i = 0; i < watch->page_count; i++) {
        hf_judge_subscription(&watch->judging, &watch->page[i]);
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(kinds); i++) {
        hf_judge_gone(&watch->judging, kinds[i], "subscriptions/", &range,
                      "the subscription was deleted");
    }
}

static void judge_lists(struct hf_watch *watch)
{
    for (unsigned i = 0; i < HF_WATCH_LISTS; i++) {
        struct sweep *sweep = &watch->sweeps[i];
        struct hf_watch_range range = {sweep->page[0].name, sizeof(sweep->page[0]), sweep->count,
                                       sweep->after, !sweep->more};
        hf_judge_sagas(&watch->judging, (enum hf_watch_list)i, sweep->page, &range, &sweep->seen);
    }
}

static void go_on(char after[HF_NAME_BYTES_MAX + 1], const char *last, bool more)
{
    memcpy(after, more ? last : "", more ? strlen(last) + 1 : 1);
}

static void measure_disk(struct hf_watch *watch, uint64_t free_bytes, uint64_t all_bytes)
{
    struct hf_disk_use use = watch->disk;
    bool due = watch->options.files != NULL && watch->rounds++ % DISK_EVERY == 0;
    use.free = free_bytes;
    use.all = all_bytes;
    bool measured =
        due && hf_disk_use_measure(watch->directory, watch->options.files, &use, NULL) == HF_ERR_OK;
    lock(watch);
    watch->disk = use;
    watch->has_disk = watch->has_disk || measured;
    unlock(watch);
}

static void judge_disk(struct hf_watch *watch)
{
    uint64_t free_bytes;
    uint64_t all_bytes;
    if (watch->options.space(watch->directory, &free_bytes, &all_bytes, NULL) == HF_ERR_OK) {
        hf_judge_disk(&watch->judging, watch->directory, free_bytes, all_bytes);
        measure_disk(watch, free_bytes, all_bytes);
    }
}

static void judge_memory(struct hf_watch *watch)
{
    struct hf_node_status status;
    hf_node_status(watch->options.node, &status);
    hf_judge_memory(&watch->judging, &status.memory);
}

static void judge_audit(struct hf_watch *watch)
{
    lock(watch);
    bool has = watch->audit != NULL;
    if (has) {
        hf_audit_report(watch->audit, &watch->report);
    }
    unlock(watch);
    if (has) {
        hf_judge_audit(&watch->judging, &watch->report);
    }
}

static void count_syncs(struct hf_watch *watch, struct hf_watch_syncs *syncs)
{
    const struct hf_histogram *histogram = &hf_node_meter(watch->options.node)->sync_us;
    syncs->at_us = watch->options.outside->monotonic_us(watch->options.outside);
    for (uint32_t i = 0; i <= histogram->bound_count; i++) {
        syncs->counts[i] = hf_tally_get(&histogram->counts[i]);
    }
}

static void judge_syncs(struct hf_watch *watch)
{
    struct hf_watch_syncs now;
    count_syncs(watch, &now);
    if (now.at_us - watch->syncs.at_us >= SYNCS_EVERY_US) {
        hf_judge_syncs(&watch->judging, &hf_node_meter(watch->options.node)->sync_us, &watch->syncs,
                       &now);
        watch->syncs = now;
    }
}

/* What is not of subscriptions is judged with the first page of each round. */
static void look(struct hf_watch *watch)
{
    for (uint32_t pages = 0; pages < PAGES_MAX; pages++) {
        if (!read_page(watch, pages == 0)) {
            return;
        }
        judge_page(watch);
        if (pages == 0) {
            judge_lists(watch);
            judge_disk(watch);
            judge_memory(watch);
            judge_audit(watch);
            judge_syncs(watch);
        }
        if (!record(watch)) {
            return;
        }
        for (size_t i = 0; pages == 0 && i < HF_WATCH_LISTS; i++) {
            struct sweep *sweep = &watch->sweeps[i];
            go_on(sweep->after, sweep->page[sweep->count == 0 ? 0 : sweep->count - 1].name,
                  sweep->more && sweep->count > 0);
        }
        go_on(watch->after, watch->page[watch->page_count == 0 ? 0 : watch->page_count - 1].name,
              watch->more && watch->page_count > 0);
        if (!watch->more) {
            return;
        }
    }
}

/* ---- the thread ---- */

/* Until it is woken or the time is over; the mutex is held. */
static void sleep_us(struct hf_watch *watch, uint64_t us)
{
    struct timespec until;
    HF_CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    until.tv_sec += (time_t)(us / 1000000);
    until.tv_nsec += (long)(us % 1000000) * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!watch->stopping && !watch->woken &&
           pthread_cond_timedwait(&watch->changed, &watch->mutex, &until) == 0) {
    }
}

static void *run(void *context)
{
    struct hf_watch *watch = context;
    count_syncs(watch, &watch->syncs);
    lock(watch);
    while (!watch->stopping) {
        watch->woken = false;
        unlock(watch);
        look(watch);
        lock(watch);
        sleep_us(watch, watch->options.every_us);
    }
    unlock(watch);
    return NULL;
}

static void discard(struct hf_watch *watch)
{
    HF_CHECK(pthread_mutex_destroy(&watch->mutex) == 0);
    HF_CHECK(pthread_cond_destroy(&watch->changed) == 0);
    hf_free(watch->directory);
    hf_free(watch);
}

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    HF_CHECK(pthread_condattr_init(&attributes) == 0);
    HF_CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    HF_CHECK(pthread_cond_init(condition, &attributes) == 0);
    HF_CHECK(pthread_condattr_destroy(&attributes) == 0);
}

enum hf_err hf_watch_new(const struct hf_watch_options *options, struct hf_watch **watch,
                         struct hf_error *error)
{
    size_t bytes = strlen(options->directory) + 1;
    struct hf_watch *made = hf_calloc(1, sizeof(*made));
    char *directory = hf_malloc(bytes);
    *watch = NULL;
    if (made == NULL || directory == NULL) {
        hf_free(made);
        hf_free(directory);
        return hf_error_set(error, HF_ERR_NO_MEMORY, "watch: out of memory");
    }
    memcpy(directory, options->directory, bytes);
    made->options = *options;
    made->directory = directory;
    made->judging.limits = &made->options.limits;
    if (made->options.every_us == 0) {
        made->options.every_us = HF_WATCH_EVERY_US;
    }
    HF_CHECK(pthread_mutex_init(&made->mutex, NULL) == 0);
    init_condition(&made->changed);
    if (pthread_create(&made->thread, NULL, run, made) != 0) {
        discard(made);
        return hf_error_set(error, HF_ERR_NO_MEMORY, "watch: can't start a thread");
    }
    *watch = made;
    return HF_ERR_OK;
}

void hf_watch_free(struct hf_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    lock(watch);
    watch->stopping = true;
    HF_CHECK(pthread_cond_broadcast(&watch->changed) == 0);
    unlock(watch);
    HF_CHECK(pthread_join(watch->thread, NULL) == 0);
    discard(watch);
}

void hf_watch_set_audit(struct hf_watch *watch, struct hf_audit *audit)
{
    lock(watch);
    watch->audit = audit;
    unlock(watch);
}

bool hf_watch_disk(struct hf_watch *watch, struct hf_disk_use *use)
{
    lock(watch);
    bool has = watch->has_disk;
    *use = watch->disk;
    unlock(watch);
    return has;
}

void hf_watch_wake(struct hf_watch *watch)
{
    lock(watch);
    watch->woken = true;
    HF_CHECK(pthread_cond_broadcast(&watch->changed) == 0);
    unlock(watch);
}
