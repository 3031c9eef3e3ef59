/* From a receive to the ack: lines of messages that are out, and the requests that bring them and give them back. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "deliver/push_priv.h"
#include "node/tail.h"

/* ---- receive ---- */

/* Of a target that does not answer one message is held, to probe with. */
static uint64_t lines_wanted(const struct pusher *p, uint64_t now_us)
{
    struct hf_target_status target;
    bool known = hf_targets_status(p->push->options.targets, p->config->url, &target);
    bool closed = !known || (target.phase == HF_TARGET_CLOSED && target.open_until_us <= now_us);
    uint64_t most = closed ? p->config->in_flight_max : 1;
    uint64_t messages_max = 4 * (uint64_t)p->config->in_flight_max;
    return p->line_count >= most || p->message_count >= messages_max ? 0 : most - p->line_count;
}

/* Long enough for two calls; extended while messages wait. */
static uint64_t lease_ms(const struct pusher *p)
{
    return 2 * (uint64_t)p->config->timeout_ms + 30000;
}

static bool make_command(struct push_job *job, const struct hf_queue_fields *fields)
{
    struct hf_malformed malformed = {0};
    hf_command_init(&job->command, HF_COMMAND_COMMIT);
    bool made = hf_command_set_principal(&job->command, HF_STR("push"), &malformed) &&
                hf_command_add_queue_op(&job->command, fields, &malformed) &&
                hf_command_finish(&job->command, &malformed);
    HF_CHECK(made || malformed.code == HF_ERR_NO_MEMORY);
    if (!made) {
        hf_command_release(&job->command);
    }
    return made;
}

static void submit_command(struct pusher *p, struct push_job *job,
                           const struct hf_queue_fields *fields, uint64_t deadline_us,
                           uint64_t now_us)
{
    if (!make_command(job, fields)) {
        p->not_before_us = now_us + PUSH_RETRY_US;
        return;
    }
    job->request = (struct hf_request){.command = &job->command, .deadline_us = deadline_us};
    if (!push_submit(job, now_us)) {
        hf_command_release(&job->command);
        p->not_before_us = now_us + PUSH_RETRY_US;
    }
}

void push_begin_receive(struct pusher *p, uint64_t now_us)
{
    struct push_job *job = &p->jobs[PUSH_JOB_RECEIVE];
    bool may = !p->doomed && !p->push->stopping && p->config->disabled_us == 0 &&
               !p->wants_disable && !job->busy && !p->jobs[PUSH_JOB_FRAMES].busy &&
               now_us >= p->not_before_us && now_us >= p->receive_not_before_us;
    uint64_t lines = may ? lines_wanted(p, now_us) : 0;
    if (lines == 0 || !push_look_up_secrets(p)) {
        return;
    }
    struct hf_queue_fields fields = {
        .type = HF_OP_RECEIVE,
        .subscription = p->name.text,
        .has_max = true,
        .max = hf_min_u64(lines, HF_RECEIVE_MAX),
        .has_lease_ms = true,
        .lease_ms = lease_ms(p),
        .consumer = HF_STR("push"),
        .pushes = true,
    };
    submit_command(p, job, &fields, now_us + PUSH_WAIT_US, now_us);
}

/* The decision of a job, in the arena; NULL: there is none, or memory is short. */
static const struct hf_commit *decision_of(const struct push_job *job, struct hf_arena *arena)
{
    const struct hf_shared_bytes *frame = job->request.answer.frame;
    if (!job->request.answer.decided || frame == NULL) {
        return NULL;
    }
    struct hf_commit *commit = hf_arena_alloc_zero(arena, 1, sizeof(*commit));
    size_t record_bytes = hf_get_u32(frame->data);
    const uint8_t *record = frame->data + HF_COMMIT_FRAME_BYTES;
    if (commit == NULL || hf_commit_decode(record, record_bytes, record + record_bytes,
                                           frame->size_bytes - HF_COMMIT_FRAME_BYTES - record_bytes,
                                           arena, commit, NULL) != HF_ERR_OK) {
        return NULL;
    }
    return commit;
}

static const struct hf_delivered *delivered_of(const struct hf_commit *commit)
{
    for (uint32_t i = commit->event_count; i > 0; i--) {
        const struct hf_event *event = commit->events[i - 1];
        if (event->type == HF_EVENT_MESSAGES_DELIVERED && event->operation != HF_NO_OPERATION) {
            return &event->delivered;
        }
    }
    return NULL;
}

static void release_received(struct pusher *p)
{
    struct push_received *received = &p->received;
    uint32_t count = received->delivered == NULL ? 0 : received->delivered->count;
    for (uint32_t i = 0; received->frames != NULL && i < count; i++) {
        hf_shared_bytes_unref(received->frames[i]);
    }
    hf_arena_release(&received->arena);
    *received = (struct push_received){0};
}

/* ---- lines ---- */

void push_drop_line(struct push_line *line)
{
    struct pusher *p = line->pusher;
    struct push_message *message;
    while ((message = line->first) != NULL) {
        line->first = message->rest;
        hf_targets_withdraw(p->push->options.targets, &message->wait);
        HF_CHECK(!message->calling && !message->wait.in_flight);
        push_message_free(message);
        p->message_count--;
    }
    *(line->before == NULL ? &p->lines : &line->before->after) = line->after;
    if (line->after != NULL) {
        line->after->before = line->before;
    }
    hf_free(line);
    p->line_count--;
}

void push_release_waiting(struct pusher *p)
{
    struct push_line *line = p->lines;
    while (line != NULL) {
        struct push_line *after = line->after;
        if (!line->settling && !line->first->wait.in_flight) {
            push_drop_line(line);
        }
        line = after;
    }
}

static struct push_line *add_line(struct pusher *p, const struct hf_id *key)
{
    struct push_line *line = hf_calloc(1, sizeof(*line));
    if (line != NULL) {
        line->pusher = p;
        line->key = *key;
        line->token = p->received.token;
        line->deadline_us = p->received.deadline_us;
        line->after = p->lines;
        if (p->lines != NULL) {
            p->lines->before = line;
        }
        p->lines = line;
        p->line_count++;
    }
    return line;
}

static struct push_message *make_message(struct pusher *p, const struct hf_delivery *delivery,
                                         const struct hf_shared_bytes *frame)
{
    struct push_message *message = push_message_new();
    struct hf_arena arena;
    struct hf_commit commit;
    size_t record_bytes = hf_get_u32(frame->data);
    const uint8_t *record = frame->data + HF_COMMIT_FRAME_BYTES;
    hf_arena_init(&arena);
    bool made =
        message != NULL &&
        hf_commit_decode(record, record_bytes, record + record_bytes,
                         frame->size_bytes - HF_COMMIT_FRAME_BYTES - record_bytes, &arena, &commit,
                         NULL) == HF_ERR_OK &&
        delivery->message.index < commit.event_count &&
        p->push->options.render(&commit, delivery->message.index, p->config->mode, &message->event);
    hf_arena_release(&arena);
    if (!made) {
        if (message != NULL) {
            push_message_free(message);
        }
        return NULL;
    }
    message->receipt = (struct hf_receipt){
        .uid = p->received.delivered->uid,
        .line = delivery->line,
        .number = delivery->number,
        .token = p->received.token,
        .position = delivery->message.position,
        .index = delivery->message.index,
    };
    return message;
}

/* A message goes to the end of its line. If memory is short the rest of the line stays out, and comes again when its
 * lease has ended. */
static void add_message(struct pusher *p, struct push_line *line, struct push_message *message)
{
    struct push_message **end = &line->first;
    while (*end != NULL) {
        end = &(*end)->rest;
    }
    message->line = line;
    message->rest = NULL;
    *end = message;
    p->message_count++;
}

/* All commits are there: a group of deliveries with the same line stands together, numbers ascending. */
static void take_messages(struct pusher *p, uint64_t now_us)
{
    const struct hf_delivered *delivered = p->received.delivered;
    uint32_t i = 0;
    while (i < delivered->count) {
        const struct hf_id *key = &delivered->deliveries[i].line;
        struct push_line *line = add_line(p, key);
        bool whole = line != NULL;
        for (; i < delivered->count && hf_id_equal(&delivered->deliveries[i].line, key); i++) {
            struct push_message *message =
                whole ? make_message(p, &delivered->deliveries[i], p->received.frames[i]) : NULL;
            whole = message != NULL;
            if (whole) {
                add_message(p, line, message);
            }
        }
        if (line != NULL && line->first == NULL) {
            push_drop_line(line);
        } else if (line != NULL) {
            push_queue(line, now_us);
        }
    }
    release_received(p);
    push_touch(p);
}

/* ---- the messages' commits ---- */

static bool take_hot(struct pusher *p)
{
    struct push_received *received = &p->received;
    struct hf_tail *tail = hf_node_tail(p->push->options.node);
    bool all = true;
    for (uint32_t i = 0; i < received->delivered->count; i++) {
        size_t taken = 0;
        if (hf_tail_take(tail, received->positions[i], &received->frames[i], 1, &taken) !=
                HF_TAIL_FRAMES ||
            taken != 1) {
            received->frames[i] = NULL;
        }
        all = all && received->frames[i] != NULL;
    }
    return all;
}

static void read_frames(struct pusher *p, uint64_t now_us)
{
    struct push_received *received = &p->received;
    struct push_job *job = &p->jobs[PUSH_JOB_FRAMES];
    uint32_t count = received->delivered->count;
    received->positions = hf_arena_alloc(&received->arena, count * sizeof(uint64_t));
    received->frames =
        hf_arena_alloc_zero(&received->arena, count, sizeof(struct hf_shared_bytes *));
    if (received->positions == NULL || received->frames == NULL) {
        release_received(p); /* they come again when their leases have ended */
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        received->positions[i] = received->delivered->deliveries[i].message.position;
    }
    if (take_hot(p)) {
        take_messages(p, now_us);
        return;
    }
    job->request = (struct hf_request){
        .positions = received->positions, .position_count = count, .frames = received->frames};
    if (!push_submit(job, now_us)) {
        release_received(p);
        p->not_before_us = now_us + PUSH_RETRY_US;
    }
}

void push_receive_done(struct pusher *p, struct push_job *job, uint64_t now_us)
{
    struct push_received *received = &p->received;
    enum hf_err answer = job->request.answer.code;
    hf_arena_init(&received->arena);
    const struct hf_commit *commit =
        answer == HF_ERR_OK ? decision_of(job, &received->arena) : NULL;
    received->delivered = commit == NULL ? NULL : delivered_of(commit);
    if (received->delivered == NULL || received->delivered->count == 0 || p->gone) {
        /* Nothing came. At once: the node has no room for one that waits, or refuses. */
        bool waited = now_us - job->began_us >= PUSH_WAIT_US / 2;
        p->receive_not_before_us = waited ? 0 : now_us + PUSH_RETRY_US;
        received->delivered = NULL;
        release_received(p);
        return;
    }
    received->token = commit->position;
    received->deadline_us = now_us + received->delivered->lease_ms * 1000;
    received->deadline_us -= hf_min_u64(now_us - job->request.answered_us, lease_ms(p) * 500);
    read_frames(p, now_us);
}

void push_frames_done(struct pusher *p, struct push_job *job, uint64_t now_us)
{
    if (job->request.answer.code == HF_ERR_OK && job->request.answer.decided && !p->gone) {
        take_messages(p, now_us);
    } else { /* they come again when their leases have ended */
        release_received(p);
    }
}

/* ---- settling ---- */

static bool fill_items(const struct push_message *first, uint32_t count, struct hf_arena *arena,
                       struct hf_act_fields *items)
{
    struct hf_buffer text;
    const struct push_message *message = first;
    bool ok = true;
    hf_buffer_init(&text);
    for (uint32_t i = 0; i < count && ok; i++, message = message->next) {
        hf_buffer_clear(&text);
        hf_receipt_encode(&text, &message->receipt);
        items[i].receipt =
            hf_arena_copy(arena, (struct hf_str){(const char *)text.data, text.size_bytes});
        ok = !text.failed && hf_str_present(items[i].receipt);
        items[i].has_delay_ms = message->has_delay;
        items[i].delay_ms = message->delay_ms;
        items[i].error = message->error_bytes == 0
                             ? HF_STR_NONE
                             : (struct hf_str){message->error, message->error_bytes};
    }
    hf_buffer_release(&text);
    return ok;
}

/* As many as a batch takes; they stay the first of their lines until the answer is there. */
static void settle_list(struct pusher *p, struct push_list *list, struct push_job *job,
                        enum hf_act act, uint64_t now_us)
{
    if (list->first == NULL || job->busy || now_us < p->not_before_us) {
        return;
    }
    uint32_t count = 0;
    struct push_message *last = NULL;
    for (struct push_message *m = list->first; m != NULL && count < HF_RECEIVE_MAX; m = m->next) {
        last = m;
        count++;
    }
    struct hf_arena arena;
    hf_arena_init(&arena);
    struct hf_act_fields *items = hf_arena_alloc_zero(&arena, count, sizeof(*items));
    if (items == NULL || !fill_items(list->first, count, &arena, items)) {
        p->not_before_us = now_us + PUSH_RETRY_US;
        hf_arena_release(&arena);
        return;
    }
    struct hf_queue_fields fields = {
        .type = HF_OP_ACK_BATCH,
        .subscription = p->name.text,
        .act = act,
        .items = items,
        .item_count = count,
    };
    submit_command(p, job, &fields, 0, now_us);
    hf_arena_release(&arena);
    if (job->busy) {
        job->messages = list->first;
        list->first = last->next;
        list->last = list->first == NULL ? NULL : list->last;
        last->next = NULL;
    }
}

static void disable(struct pusher *p, uint64_t now_us)
{
    struct push_job *job = &p->jobs[PUSH_JOB_DISABLE];
    if (!p->wants_disable || p->disable_sent || job->busy || p->doomed ||
        now_us < p->not_before_us) {
        return;
    }
    struct hf_queue_fields fields = {
        .type = HF_OP_PUT_SUBSCRIPTION,
        .subscription = p->name.text,
        .has_expected_version = true,
        .expected_version = p->version,
        .disable_reason = hf_str_from(p->disable_reason),
    };
    submit_command(p, job, &fields, 0, now_us);
    p->disable_sent = job->busy;
}

void push_settle(struct pusher *p, uint64_t now_us)
{
    settle_list(p, &p->acked, &p->jobs[PUSH_JOB_ACK], HF_ACT_ACK, now_us);
    settle_list(p, &p->nacked, &p->jobs[PUSH_JOB_NACK], HF_ACT_NACK, now_us);
    disable(p, now_us);
}

/* The codes of a batch's items, in their order. */
static bool codes_of(const struct hf_commit *commit, enum hf_err *codes, uint32_t count)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_event *event = commit->events[i];
        if (event->type != HF_EVENT_MESSAGES_SETTLED || event->operation == HF_NO_OPERATION) {
            continue;
        }
        for (uint32_t n = 0; n < event->settled.count && found < count; n++) {
            codes[found++] = event->settled.items[n].code;
        }
    }
    return found == count;
}

static void go_on(struct push_line *line, bool acked, uint64_t now_us)
{
    struct pusher *p = line->pusher;
    struct push_message *message = line->first;
    line->settling = false;
    if (!acked) {
        push_drop_line(line); /* what is behind it went back, too */
        return;
    }
    line->first = message->rest;
    push_message_free(message);
    p->message_count--;
    if (line->first == NULL || p->gone) {
        push_drop_line(line);
    } else {
        push_queue(line, now_us);
    }
}

void push_settle_done(struct pusher *p, struct push_job *job, uint64_t now_us)
{
    enum hf_err codes[HF_RECEIVE_MAX];
    uint32_t count = 0;
    struct push_message *next;
    for (struct push_message *m = job->messages; m != NULL; m = m->next) {
        count++;
    }
    enum hf_err answer = job->request.answer.code;
    bool again = answer == HF_ERR_OVERLOADED || answer == HF_ERR_NOT_READY ||
                 answer == HF_ERR_OUTCOME_UNKNOWN || answer == HF_ERR_READ_ONLY;
    struct push_list *list = job->kind == PUSH_JOB_ACK ? &p->acked : &p->nacked;
    if (again &&
        !p->push->stopping) { /* a repeated ack is one; a repeated nack finds its receipt stale */
        p->not_before_us = now_us + PUSH_RETRY_US;
        for (struct push_message *m = job->messages; m != NULL; m = next) {
            next = m->next;
            push_list_add(list, m);
        }
        job->messages = NULL;
        return;
    }
    struct hf_arena arena;
    hf_arena_init(&arena);
    const struct hf_commit *commit = answer == HF_ERR_OK ? decision_of(job, &arena) : NULL;
    bool known = commit != NULL && codes_of(commit, codes, count);
    uint32_t at = 0;
    for (struct push_message *m = job->messages; m != NULL; m = next, at++) {
        next = m->next;
        go_on(m->line, job->kind == PUSH_JOB_ACK && known && codes[at] == HF_ERR_OK, now_us);
    }
    job->messages = NULL;
    hf_arena_release(&arena);
    push_touch(p);
}

/* ---- leases ---- */

/* Lines whose lease does not hold for another call: one receipt of each extends its group. */
void push_extend(struct pusher *p, uint64_t now_us)
{
    struct push_job *job = &p->jobs[PUSH_JOB_EXTEND];
    uint64_t least_us = now_us + (uint64_t)p->config->timeout_ms * 1000 + PUSH_MARGIN_US;
    struct hf_act_fields items[64];
    struct push_line *lines[HF_ARRAY_COUNT(items)];
    uint32_t count = 0;
    if (job->busy || now_us < p->not_before_us || p->push->stopping) {
        return;
    }
    struct hf_arena arena;
    hf_arena_init(&arena);
    for (struct push_line *line = p->lines; line != NULL && count < HF_ARRAY_COUNT(items);
         line = line->after) {
        if (line->deadline_us < least_us && !line->settling && !line->first->calling) {
            items[count] = (struct hf_act_fields){0};
            if (!fill_items(line->first, 1, &arena, &items[count])) {
                break;
            }
            items[count].error = HF_STR_NONE;
            items[count].has_delay_ms = false;
            lines[count++] = line;
        }
    }
    if (count > 0) {
        struct hf_queue_fields fields = {
            .type = HF_OP_ACK_BATCH,
            .subscription = p->name.text,
            .act = HF_ACT_EXTEND,
            .items = items,
            .item_count = count,
            .has_lease_ms = true,
            .lease_ms = lease_ms(p),
        };
        submit_command(p, job, &fields, 0, now_us);
        /* If it is refused the receipts are stale: the ack will say so. */
        for (uint32_t i = 0; i < count && job->busy; i++) {
            lines[i]->deadline_us = now_us + lease_ms(p) * 1000;
        }
    }
    hf_arena_release(&arena);
}
