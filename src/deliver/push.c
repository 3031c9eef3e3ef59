#include "deliver/push.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "deliver/push_priv.h"
#include "outside/outside.h"

static void lock(struct hf_push_sender *push)
{
    HF_CHECK(pthread_mutex_lock(&push->mutex) == 0);
}

static void unlock(struct hf_push_sender *push)
{
    HF_CHECK(pthread_mutex_unlock(&push->mutex) == 0);
}

static uint64_t now_of(const struct hf_push_sender *push)
{
    return push->options.outside->monotonic_us(push->options.outside);
}

void push_touch(struct pusher *p)
{
    if (!p->dirty) {
        p->dirty = true;
        p->dirty_next = p->push->dirty;
        p->push->dirty = p;
    }
}

void push_note_error(struct pusher *p, const char *error)
{
    struct hf_outside *outside = p->push->options.outside;
    lock(p->push);
    (void)snprintf(p->status.last_error, sizeof(p->status.last_error), "%s", error);
    p->status.last_error_us = outside->wall_us(outside);
    unlock(p->push);
}

/* ---- requests at the node ---- */

/* On the node's thread. Woken under the lock: whoever frees the sender, or what it wakes, has seen under the lock that nothing is
 * under way any more. */
static void job_done(struct hf_request *request)
{
    struct push_job *job = request->context;
    struct hf_push_sender *push = job->pusher->push;
    lock(push);
    job->next = push->done;
    push->done = job;
    push->options.wake(push->options.wake_context);
    unlock(push);
}

bool push_submit(struct push_job *job, uint64_t now_us)
{
    job->request.done = job_done;
    job->request.context = job;
    job->began_us = now_us;
    job->busy = true;
    if (hf_node_submit(job->pusher->push->options.node, &job->request) != HF_ERR_OK) {
        job->busy = false;
    }
    return job->busy;
}

static void finish_job(struct push_job *job, uint64_t now_us)
{
    struct pusher *p = job->pusher;
    job->busy = false;
    switch (job->kind) {
    case PUSH_JOB_RECEIVE:
        push_receive_done(p, job, now_us);
        break;
    case PUSH_JOB_FRAMES:
        push_frames_done(p, job, now_us);
        break;
    case PUSH_JOB_ACK:
    case PUSH_JOB_NACK:
        push_settle_done(p, job, now_us);
        break;
    case PUSH_JOB_DISABLE:
        p->disable_sent = job->request.answer.code != HF_ERR_OVERLOADED &&
                          job->request.answer.code != HF_ERR_NOT_READY;
        break;
    case PUSH_JOB_EXTEND:
    case PUSH_JOB_COUNT:
        break;
    }
    hf_answer_release(&job->request.answer);
    if (job->kind != PUSH_JOB_FRAMES) {
        hf_command_release(&job->command);
    }
    push_touch(p);
}

static bool finish_jobs(struct hf_push_sender *push, uint64_t now_us)
{
    lock(push);
    struct push_job *job = push->done;
    push->done = NULL;
    unlock(push);
    bool any = job != NULL;
    while (job != NULL) {
        struct push_job *next = job->next;
        finish_job(job, now_us);
        job = next;
    }
    return any;
}

/* ---- pushers ---- */

static struct hf_id uid_id(uint64_t uid)
{
    struct hf_id id = {{0}};
    hf_put_u64(id.bytes, uid);
    return id;
}

static void pusher_free(struct pusher *p)
{
    hf_free(p->config);
    hf_free(p);
}

static struct pusher *pusher_new(struct hf_push_sender *push, struct push_found *found)
{
    struct pusher *p = hf_calloc(1, sizeof(*p) + found->name_bytes);
    if (p == NULL) {
        return NULL;
    }
    memcpy(p + 1, found->name, found->name_bytes);
    p->push = push;
    p->uid = found->uid;
    p->version = found->version;
    p->name.text = (struct hf_str){(const char *)(p + 1), found->name_bytes};
    p->config = found->config;
    found->config = NULL;
    for (unsigned kind = PUSH_JOB_RECEIVE; kind < PUSH_JOB_COUNT; kind++) {
        p->jobs[kind].kind = (enum push_job_kind)kind;
        p->jobs[kind].pusher = p;
    }
    return p;
}

/* It receives nothing more; what it holds is brought to an end. */
static void doom(struct pusher *p)
{
    struct hf_id id = uid_id(p->uid);
    if (p->doomed) {
        return;
    }
    p->doomed = true;
    lock(p->push);
    if (hf_table_get(&p->push->by_uid, &id) == p) {
        (void)hf_table_remove(&p->push->by_uid, &id);
    }
    unlock(p->push);
    if (p->jobs[PUSH_JOB_RECEIVE].busy) {
        hf_node_withdraw(p->push->options.node, &p->jobs[PUSH_JOB_RECEIVE].request);
    }
    push_touch(p);
}

static bool is_idle(const struct pusher *p)
{
    bool idle = p->lines == NULL && p->acked.first == NULL && p->nacked.first == NULL;
    for (unsigned kind = PUSH_JOB_RECEIVE; kind < PUSH_JOB_COUNT; kind++) {
        idle = idle && !p->jobs[kind].busy;
    }
    return idle;
}

static enum hf_push_state state_of(const struct pusher *p, uint64_t now_us)
{
    struct hf_target_status target;
    if (p->config->disabled_us != 0 || p->wants_disable) {
        return HF_PUSH_DISABLED;
    }
    if (p->secrets_generation != 0 && !p->secrets_there) {
        return HF_PUSH_SECRET_MISSING;
    }
    if (hf_targets_status(p->push->options.targets, p->config->url, &target) &&
        (target.phase != HF_TARGET_CLOSED || target.open_until_us > now_us)) {
        return HF_PUSH_HELD_BACK;
    }
    return p->message_count > 0 ? HF_PUSH_SENDING : HF_PUSH_WAITING;
}

static void show(struct pusher *p, uint64_t now_us)
{
    enum hf_push_state state = state_of(p, now_us);
    lock(p->push);
    p->status.state = state;
    p->status.in_flight = p->message_count;
    unlock(p->push);
}

/* What can be done for one now. */
static void pump(struct pusher *p, uint64_t now_us)
{
    if (p->gone || p->wants_disable) {
        push_release_waiting(p);
    }
    push_settle(p, now_us);
    push_extend(p, now_us);
    push_begin_receive(p, now_us);
    show(p, now_us);
}

static void drop_doomed(struct hf_push_sender *push)
{
    struct pusher **at = &push->pushers;
    while (*at != NULL) {
        struct pusher *p = *at;
        if (p->doomed && is_idle(p) && !p->dirty) {
            *at = p->next;
            push->sent += p->status.sent;
            push->failed += p->status.failed;
            pusher_free(p);
        } else {
            at = &p->next;
        }
    }
}

/* ---- which subscriptions there are ---- */

static void forget_found(struct push_listing *listing)
{
    while (listing->found != NULL) {
        struct push_found *found = listing->found;
        listing->found = found->next;
        hf_free(found->config);
        hf_free(found);
    }
}

static void collect(struct push_listing *listing, const struct hf_subscription *s)
{
    struct push_found *found = hf_calloc(1, sizeof(*found));
    struct hf_push *config = hf_push_copy(s->settings.push);
    if (found == NULL || config == NULL) {
        hf_free(found);
        hf_free(config);
        listing->failed = true;
        return;
    }
    found->uid = s->uid;
    found->version = s->version;
    found->config = config;
    found->name_bytes = s->name.text.len;
    memcpy(found->name, s->name.text.ptr, found->name_bytes);
    found->next = listing->found;
    listing->found = found;
}

/* On the node's thread; made anew if the read is. */
static void render_list(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct push_listing *listing = request->context;
    (void)index;
    forget_found(listing);
    listing->failed = reading->code != HF_ERR_OK;
    listing->count = reading->subscription_count;
    listing->last_bytes = 0;
    for (uint32_t i = 0; i < reading->subscription_count; i++) {
        const struct hf_subscription *s = reading->subscriptions[i].subscription;
        if (s->settings.push != NULL) {
            collect(listing, s);
        }
        listing->last_bytes = s->name.text.len;
        memcpy(listing->last, s->name.text.ptr, s->name.text.len);
    }
}

static void list_done(struct hf_request *request)
{
    struct hf_push_sender *push = HF_CONTAINER_OF(request, struct hf_push_sender, listing.request);
    lock(push);
    push->listing.done = true;
    push->options.wake(push->options.wake_context);
    unlock(push);
}

static void read_page(struct hf_push_sender *push, uint64_t now_us)
{
    struct push_listing *listing = &push->listing;
    listing->query = (struct hf_query){
        .type = HF_QUERY_SUBSCRIPTIONS,
        .limit = PUSH_LIST_PAGE,
        .after = {listing->after, listing->last_bytes},
    };
    memcpy(listing->after, listing->last, listing->last_bytes);
    listing->request = (struct hf_request){
        .queries = &listing->query,
        .query_count = 1,
        .render = render_list,
        .done = list_done,
        .context = listing,
    };
    listing->busy = hf_node_submit(push->options.node, &listing->request) == HF_ERR_OK;
    if (!listing->busy) {
        listing->under_way = false;
        listing->not_before_us = now_us + PUSH_RETRY_US;
    }
}

static void begin_list(struct hf_push_sender *push, uint64_t now_us)
{
    uint64_t changes = hf_node_subscription_changes(push->options.node);
    struct push_listing *listing = &push->listing;
    if (listing->under_way || push->stopping || now_us < listing->not_before_us ||
        (push->listed && changes == push->changes_seen)) {
        return;
    }
    listing->changes = changes;
    listing->under_way = true;
    listing->last_bytes = 0;
    for (struct pusher *p = push->pushers; p != NULL; p = p->next) {
        p->seen = false;
    }
    read_page(push, now_us);
}

/* One that is as it was stays; any other comes to its end and a new one begins. */
static bool take_found(struct hf_push_sender *push, struct push_found *found)
{
    struct hf_id id = uid_id(found->uid);
    struct pusher *p = hf_table_get(&push->by_uid, &id);
    if (p != NULL && p->version == found->version) {
        p->seen = true;
        return true;
    }
    if (p != NULL) {
        p->gone = found->config->disabled_us != 0;
        doom(p);
    }
    lock(push);
    bool room = hf_table_reserve(&push->by_uid, 1);
    unlock(push);
    struct pusher *fresh = room ? pusher_new(push, found) : NULL;
    if (fresh == NULL) {
        return false;
    }
    if (p != NULL) {
        fresh->status = p->status; /* its last error stays; what it counted goes on */
        p->status.sent = p->status.failed = 0;
    }
    fresh->seen = true;
    fresh->next = push->pushers;
    push->pushers = fresh;
    lock(push);
    (void)hf_table_put(&push->by_uid, &id, fresh);
    unlock(push);
    push_touch(fresh);
    return true;
}

static bool page_done(struct hf_push_sender *push, uint64_t now_us)
{
    struct push_listing *listing = &push->listing;
    lock(push);
    bool done = listing->busy && listing->done;
    listing->done = listing->done && !done;
    unlock(push);
    if (!done) {
        return false;
    }
    listing->busy = false;
    bool good = listing->request.answer.code == HF_ERR_OK && !listing->failed;
    hf_answer_release(&listing->request.answer);
    for (struct push_found *found = listing->found; good && found != NULL; found = found->next) {
        good = take_found(push, found);
    }
    forget_found(listing);
    if (good && listing->count == PUSH_LIST_PAGE && !push->stopping) {
        read_page(push, now_us);
        return true;
    }
    listing->under_way = false;
    if (!good) {
        listing->not_before_us = now_us + PUSH_RETRY_US;
        return true;
    }
    push->listed = true;
    push->changes_seen = listing->changes;
    for (struct pusher *p = push->pushers; p != NULL; p = p->next) {
        if (!p->seen && !p->doomed) {
            p->gone = true;
            doom(p);
        }
    }
    return true;
}

/* ---- stepping ---- */

/* A secret went away between the queue and the turn. */
static void give_back_unsent(struct hf_push_sender *push, uint64_t now_us)
{
    struct push_message *message = push->unsent.first;
    push->unsent = (struct push_list){0};
    while (message != NULL) {
        struct push_message *next = message->next;
        struct pusher *p = message->line->pusher;
        static const char text[] = "a secret that push names is missing";
        hf_targets_ended(push->options.targets, &message->wait, HF_TARGET_NOT_SENT, 0, now_us);
        memcpy(message->error, text, sizeof(text));
        message->error_bytes = sizeof(text) - 1;
        message->line->settling = true;
        push_list_add(&p->nacked, message);
        push_touch(p);
        message = next;
    }
}

static bool step_push(void *context, uint64_t now_us)
{
    struct hf_push_sender *push = context;
    bool did = finish_jobs(push, now_us);
    did = page_done(push, now_us) || did;
    begin_list(push, now_us);
    give_back_unsent(push, now_us);
    if (now_us >= push->sweep_us) {
        push->sweep_us = now_us + PUSH_SWEEP_US;
        for (struct pusher *p = push->pushers; p != NULL; p = p->next) {
            push_touch(p);
        }
    }
    struct pusher *p = push->dirty;
    push->dirty = NULL;
    bool some = p != NULL;
    while (p != NULL) {
        struct pusher *next = p->dirty_next;
        p->dirty = false;
        pump(p, now_us);
        p = next;
    }
    if (some) {
        drop_doomed(push);
    }
    return did;
}

static uint64_t next_step_us(void *context)
{
    const struct hf_push_sender *push = context;
    return push->dirty != NULL || push->unsent.first != NULL ? 0 : push->sweep_us;
}

/* Calls that are out are given up: their leases end by themselves. What has ended still goes to the node. */
static void let_go(struct pusher *p, uint64_t now_us)
{
    struct hf_push_sender *push = p->push;
    for (struct push_line *line = p->lines; line != NULL; line = line->after) {
        struct push_message *first = line->first;
        if (first->calling) {
            push->options.caller->cancel(push->options.caller->context, &first->call);
            first->calling = false;
            hf_targets_ended(push->options.targets, &first->wait, HF_TARGET_NOT_SENT, 0, now_us);
        }
    }
    push_release_waiting(p);
}

static void stop_push(void *context)
{
    struct hf_push_sender *push = context;
    uint64_t now_us = now_of(push);
    give_back_unsent(push, now_us);
    push->stopping = true;
    for (struct pusher *p = push->pushers; p != NULL; p = p->next) {
        p->gone = true;
        p->not_before_us = 0; /* what has ended is given to the node once more */
        doom(p);
        let_go(p, now_us);
    }
}

/* What the node does not take any more is let go. */
static void drop_lists(struct pusher *p)
{
    struct push_list *lists[] = {&p->acked, &p->nacked};
    for (size_t i = 0; i < HF_ARRAY_COUNT(lists); i++) {
        struct push_message *message = lists[i]->first;
        *lists[i] = (struct push_list){0};
        while (message != NULL) {
            struct push_message *next = message->next;
            push_drop_line(message->line);
            message = next;
        }
    }
}

static bool push_stopped(void *context)
{
    struct hf_push_sender *push = context;
    bool stopped = !push->listing.busy;
    for (struct pusher *p = push->pushers; p != NULL; p = p->next) {
        if (p->not_before_us != 0) { /* refused: it is stopping, too */
            drop_lists(p);
        }
        stopped = stopped && is_idle(p);
    }
    return stopped;
}

struct hf_sender hf_push_sender_of(struct hf_push_sender *push)
{
    return (struct hf_sender){
        .context = push,
        .step = step_push,
        .next_step_us = next_step_us,
        .stop = stop_push,
        .stopped = push_stopped,
    };
}

/* ---- life ---- */

struct hf_push_sender *hf_push_new(const struct hf_push_options *options)
{
    struct hf_push_sender *push = hf_calloc(1, sizeof(*push));
    uint64_t seed;
    if (push == NULL) {
        return NULL;
    }
    push->options = *options;
    options->outside->random(options->outside, &seed, sizeof(seed));
    hf_table_init(&push->by_uid, seed);
    HF_CHECK(pthread_mutex_init(&push->mutex, NULL) == 0);
    return push;
}

void hf_push_free(struct hf_push_sender *push)
{
    if (push == NULL) {
        return;
    }
    while (push->pushers != NULL) {
        struct pusher *p = push->pushers;
        push->pushers = p->next;
        HF_CHECK(is_idle(p));
        pusher_free(p);
    }
    forget_found(&push->listing);
    hf_table_release(&push->by_uid);
    HF_CHECK(pthread_mutex_destroy(&push->mutex) == 0);
    hf_free(push);
}

/* ---- what is told ---- */

bool hf_push_status(struct hf_push_sender *push, uint64_t uid, struct hf_push_status *status)
{
    struct hf_id id = uid_id(uid);
    lock(push);
    const struct pusher *p = hf_table_get(&push->by_uid, &id);
    bool known = p != NULL && p->status.state != 0;
    if (known) {
        *status = p->status;
    }
    unlock(push);
    return known;
}

void hf_push_sums(struct hf_push_sender *push, struct hf_push_sums *sums)
{
    size_t at = 0;
    const struct pusher *p;
    lock(push);
    *sums = (struct hf_push_sums){.sent = push->sent, .failed = push->failed};
    while ((p = hf_table_next(&push->by_uid, &at)) != NULL) {
        sums->subscriptions++;
        sums->disabled += p->status.state == HF_PUSH_DISABLED;
        sums->held_back += p->status.state == HF_PUSH_HELD_BACK;
        sums->secret_missing += p->status.state == HF_PUSH_SECRET_MISSING;
        sums->in_flight += p->status.in_flight;
        sums->sent += p->status.sent;
        sums->failed += p->status.failed;
    }
    unlock(push);
}
