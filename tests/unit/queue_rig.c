#include "unit/queue_rig.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/check.h"

void queue_rig_init(struct queue_rig *rig, enum core_rig_mode mode)
{
    *rig = (struct queue_rig){.now_us = QUEUE_RIG_START_US};
    core_rig_init(&rig->core, mode);
}

void queue_rig_release(struct queue_rig *rig)
{
    core_rig_release(&rig->core);
}

void queue_rig_check(struct queue_rig *rig)
{
    core_rig_check(&rig->core);
    core_rig_reload(&rig->core);
}

static void check_after(struct queue_rig *rig)
{
    if (!rig->quick) {
        queue_rig_check(rig);
    }
}

static void begin(struct hf_command *command)
{
    hf_command_init(command, HF_COMMAND_COMMIT);
}

/* Runs it; the code of what came of it. */
static enum hf_err run(struct queue_rig *rig, struct hf_command *command)
{
    struct hf_malformed malformed = {0};
    bool finished = hf_command_finish(command, &malformed);
    HF_CHECK(finished);
    enum hf_decision decision = core_rig_run(&rig->core, command, rig->now_us);
    HF_CHECK(decision == HF_DECISION_COMMIT || decision == HF_DECISION_ANSWER ||
             decision == HF_DECISION_REPLAY);
    const struct hf_draft *draft = &rig->core.draft;
    const struct hf_commit *commit =
        decision == HF_DECISION_REPLAY ? draft->replayed : &draft->commit;
    const struct hf_refused *refused = hf_commit_refusal(commit);
    return refused == NULL ? HF_ERR_OK : refused->code;
}

static enum hf_err end(struct queue_rig *rig, struct hf_command *command, enum hf_err code)
{
    hf_command_release(command);
    check_after(rig);
    return code;
}

static void add_op(struct hf_command *command, const struct hf_op_fields *fields)
{
    struct hf_malformed malformed = {0};
    bool added = hf_command_add_op(command, fields, &malformed);
    if (!added) {
        (void)fprintf(stderr, "%s %s\n", malformed.pointer, malformed.text);
    }
    HF_CHECK(added);
}

static void add_queue_op(struct hf_command *command, const struct hf_queue_fields *fields)
{
    struct hf_malformed malformed = {0};
    bool added = hf_command_add_queue_op(command, fields, &malformed);
    if (!added) {
        (void)fprintf(stderr, "%s %s\n", malformed.pointer, malformed.text);
    }
    HF_CHECK(added);
}

struct hf_place queue_publish(struct queue_rig *rig, const char *topic, const char *key,
                              const char *data, uint64_t deliver_at_us)
{
    struct hf_command command;
    char json[64];
    (void)snprintf(json, sizeof(json), "\"%s\"", data);
    begin(&command);
    struct hf_op_fields fields = {
        .op = HF_STR("publish"),
        .topic = hf_str_from(topic),
        .key = hf_str_from(key),
        .type = HF_STR("test.word"),
        .data = hf_str_from(json),
    };
    add_op(&command, &fields);
    struct hf_queue_op *queue = (struct hf_queue_op *)command.ops[0].queue;
    queue->has_deliver_at = deliver_at_us != 0;
    queue->deliver_at_us = deliver_at_us;
    enum hf_err code = run(rig, &command);
    HF_CHECK(code == HF_ERR_OK);
    (void)end(rig, &command, code);
    return (struct hf_place){.position = rig->core.state.position, .bytes = (uint32_t)strlen(json)};
}

struct hf_place queue_publish_two(struct queue_rig *rig, const char *topic, const char *key,
                                  const char *first, const char *second)
{
    struct hf_command command;
    const char *words[] = {first, second};
    begin(&command);
    for (size_t i = 0; i < HF_ARRAY_COUNT(words); i++) {
        char json[64];
        (void)snprintf(json, sizeof(json), "\"%s\"", words[i]);
        struct hf_op_fields fields = {
            .op = HF_STR("publish"),
            .topic = hf_str_from(topic),
            .key = hf_str_from(key),
            .type = HF_STR("test.word"),
            .data = hf_str_from(json),
        };
        add_op(&command, &fields);
    }
    enum hf_err code = run(rig, &command);
    HF_CHECK(code == HF_ERR_OK);
    (void)end(rig, &command, code);
    return (struct hf_place){.position = rig->core.state.position};
}

enum hf_err queue_publish_many(struct queue_rig *rig, const char *topic, uint32_t count)
{
    struct hf_command command;
    begin(&command);
    for (uint32_t i = 0; i < count; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "k%u", i);
        struct hf_op_fields fields = {
            .op = HF_STR("publish"),
            .topic = hf_str_from(topic),
            .key = hf_str_from(key),
            .type = HF_STR("test.word"),
            .data = HF_STR("\"word\""),
        };
        add_op(&command, &fields);
    }
    return end(rig, &command, run(rig, &command));
}

enum hf_err queue_put(struct queue_rig *rig, const char *name, const struct queue_settings *s)
{
    struct hf_command command;
    struct hf_seek now = {.kind = HF_SEEK_NOW};
    begin(&command);
    struct hf_queue_fields fields = {
        .type = HF_OP_PUT_SUBSCRIPTION,
        .subscription = hf_str_from(name),
        .filter = {.topic = s->topic == NULL ? HF_STR_NONE : hf_str_from(s->topic)},
        .order = s->order == HF_ORDER_NONE ? HF_STR("none") : HF_STR("key"),
        .exhausted = s->exhausted == HF_EXHAUSTED_BLOCK          ? HF_STR("block")
                     : s->exhausted == HF_EXHAUSTED_PARK_MESSAGE ? HF_STR("park_message")
                     : s->exhausted == HF_EXHAUSTED_PARK_KEY     ? HF_STR("park_key")
                                                                 : HF_STR_NONE,
        .has_attempts_max = s->attempts_max != 0,
        .attempts_max = s->attempts_max,
        .has_lease_ms = s->lease_ms != 0,
        .lease_ms = s->lease_ms,
        .has_backoff_first_ms = s->has_backoff,
        .backoff_first_ms = s->backoff_first_ms,
        .has_backoff_max_ms = s->has_backoff,
        .backoff_max_ms = s->backoff_max_ms,
        .has_in_flight_max = s->in_flight_max != 0,
        .in_flight_max = s->in_flight_max,
        .seek = s->from.kind == 0 ? now : s->from,
        .has_expected_version = s->has_expected_version,
        .expected_version = s->expected_version,
    };
    add_queue_op(&command, &fields);
    if (s->lines_max != 0) {
        ((struct hf_queue_op *)command.ops[0].queue)->settings.lines_max = s->lines_max;
    }
    return end(rig, &command, run(rig, &command));
}

enum hf_err queue_delete(struct queue_rig *rig, const char *name)
{
    struct hf_command command;
    struct hf_queue_fields fields = {.type = HF_OP_DELETE_SUBSCRIPTION,
                                     .subscription = hf_str_from(name)};
    begin(&command);
    add_queue_op(&command, &fields);
    return end(rig, &command, run(rig, &command));
}

enum hf_err queue_seek(struct queue_rig *rig, const char *name, const struct hf_seek *to)
{
    struct hf_command command;
    struct hf_queue_fields fields = {
        .type = HF_OP_SEEK, .subscription = hf_str_from(name), .seek = *to};
    begin(&command);
    add_queue_op(&command, &fields);
    return end(rig, &command, run(rig, &command));
}

/* The commit of the message looked at last: thousands may be of one. */
struct source {
    struct hf_arena arena;
    struct hf_commit commit; /* position 0: none */
};

/* A message's word out of its commit. */
static void take_word(const struct queue_rig *rig, struct source *source,
                      const struct hf_place *place, char word[32])
{
    if (source->commit.position != place->position) {
        const struct hf_shared_bytes *frame = core_rig_frame(&rig->core, place->position);
        size_t record = hf_get_u32(frame->data);
        hf_arena_clear(&source->arena);
        HF_CHECK(hf_commit_decode(frame->data + 8, record, frame->data + 8 + record,
                                  frame->size_bytes - 8 - record, &source->arena, &source->commit,
                                  NULL) == HF_ERR_OK);
    }
    const struct hf_event *event = source->commit.events[place->index];
    HF_CHECK(event->type == HF_EVENT_MESSAGE_PUBLISHED);
    struct hf_str text = event->published.data.text;
    HF_CHECK(text.len >= 2 && text.len - 2 < 32);
    memcpy(word, text.ptr + 1, text.len - 2);
    word[text.len - 2] = '\0';
}

static void take_batch(const struct queue_rig *rig, const struct hf_commit *commit,
                       struct queue_batch *batch)
{
    struct source source = {.commit.position = 0};
    hf_arena_init(&source.arena);
    batch->position = commit->position;
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_delivered *delivered = &commit->events[i]->delivered;
        if (commit->events[i]->type != HF_EVENT_MESSAGES_DELIVERED) {
            continue;
        }
        batch->deadline_us = delivered->deadline_us;
        for (uint32_t j = 0; j < delivered->count; j++) {
            const struct hf_delivery *delivery = &delivered->deliveries[j];
            struct queue_got *got = &batch->got[batch->count++];
            *got = (struct queue_got){
                .receipt = {.uid = delivered->uid,
                            .line = delivery->line,
                            .number = delivery->number,
                            .token = commit->position,
                            .position = delivery->message.position,
                            .index = delivery->message.index},
                .attempt = delivery->attempt,
                .previous_position = delivery->previous_position,
            };
            take_word(rig, &source, &delivery->message, got->data);
        }
    }
    hf_arena_release(&source.arena);
}

enum hf_err queue_receive(struct queue_rig *rig, const char *name, uint32_t max,
                          struct queue_batch *batch)
{
    struct hf_command command;
    struct hf_queue_fields fields = {.type = HF_OP_RECEIVE,
                                     .subscription = hf_str_from(name),
                                     .has_max = true,
                                     .max = max,
                                     .consumer = HF_STR("tester")};
    begin(&command);
    add_queue_op(&command, &fields);
    enum hf_err code = run(rig, &command);
    batch->count = 0;
    batch->position = 0;
    if (code == HF_ERR_OK) {
        take_batch(rig, &rig->core.draft.commit, batch);
        HF_CHECK((batch->count > 0) == (batch->position > 0));
    }
    return end(rig, &command, code);
}

static const char *receipt_text(const struct hf_receipt *receipt,
                                char text[HF_RECEIPT_CHARS_MAX + 1])
{
    struct hf_buffer buffer;
    hf_buffer_init(&buffer);
    hf_receipt_encode(&buffer, receipt);
    HF_CHECK(!buffer.failed && buffer.size_bytes <= HF_RECEIPT_CHARS_MAX);
    memcpy(text, buffer.data, buffer.size_bytes);
    text[buffer.size_bytes] = '\0';
    hf_buffer_release(&buffer);
    return text;
}

/* The code of an item of the draft's last event. */
static enum hf_err item_code(const struct queue_rig *rig, uint32_t item)
{
    const struct hf_commit *commit = &rig->core.draft.commit;
    const struct hf_event *event = commit->events[commit->event_count - 1];
    return event->type == HF_EVENT_DELIVERY_EXTENDED ? event->extended.code
                                                     : event->settled.items[item].code;
}

static enum hf_err act_in_batch(struct queue_rig *rig, const char *name, enum hf_act act,
                                const struct hf_receipt *receipt, const char *error,
                                uint64_t lease_ms)
{
    struct hf_command command;
    char text[HF_RECEIPT_CHARS_MAX + 1];
    struct hf_act_fields item = {.receipt = hf_str_from(receipt_text(receipt, text)),
                                 .error = hf_str_from(error)};
    struct hf_queue_fields fields = {.type = HF_OP_ACK_BATCH,
                                     .subscription = hf_str_from(name),
                                     .act = act,
                                     .items = &item,
                                     .item_count = 1,
                                     .has_lease_ms = lease_ms != 0,
                                     .lease_ms = lease_ms};
    begin(&command);
    add_queue_op(&command, &fields);
    enum hf_err code = run(rig, &command);
    code = code == HF_ERR_OK ? item_code(rig, 0) : code;
    return end(rig, &command, code);
}

static enum hf_err act_in_commit(struct queue_rig *rig, const char *name, enum hf_act act,
                                 const struct hf_receipt *receipt, const char *error,
                                 bool has_delay, uint64_t delay_ms)
{
    struct hf_command command;
    char text[HF_RECEIPT_CHARS_MAX + 1];
    struct hf_op_fields fields = {
        .op = act == HF_ACT_ACK ? HF_STR("ack") : HF_STR("nack"),
        .subscription = hf_str_from(name),
        .receipt = hf_str_from(receipt_text(receipt, text)),
        .error = hf_str_from(error),
        .has_delay_ms = has_delay,
        .delay_ms = delay_ms,
    };
    begin(&command);
    add_op(&command, &fields);
    return end(rig, &command, run(rig, &command));
}

enum hf_err queue_act(struct queue_rig *rig, const char *name, enum hf_act act,
                      const struct hf_receipt *receipt, const char *error)
{
    return act == HF_ACT_PARK ? act_in_batch(rig, name, act, receipt, error, 0)
                              : act_in_commit(rig, name, act, receipt, error, false, 0);
}

enum hf_err queue_nack_delayed(struct queue_rig *rig, const char *name,
                               const struct hf_receipt *receipt, uint64_t delay_ms)
{
    return act_in_commit(rig, name, HF_ACT_NACK, receipt, NULL, true, delay_ms);
}

enum hf_err queue_extend(struct queue_rig *rig, const char *name, const struct hf_receipt *receipt,
                         uint64_t lease_ms)
{
    return act_in_batch(rig, name, HF_ACT_EXTEND, receipt, NULL, lease_ms);
}

enum hf_err queue_ack_batch(struct queue_rig *rig, const char *name,
                            const struct hf_receipt *receipts, uint32_t count, enum hf_err *codes)
{
    static char texts[QUEUE_GOT_MAX][HF_RECEIPT_CHARS_MAX + 1];
    static struct hf_act_fields items[QUEUE_GOT_MAX];
    struct hf_command command;
    for (uint32_t i = 0; i < count; i++) {
        items[i] =
            (struct hf_act_fields){.receipt = hf_str_from(receipt_text(&receipts[i], texts[i]))};
    }
    struct hf_queue_fields fields = {.type = HF_OP_ACK_BATCH,
                                     .subscription = hf_str_from(name),
                                     .act = HF_ACT_ACK,
                                     .items = items,
                                     .item_count = count};
    begin(&command);
    add_queue_op(&command, &fields);
    enum hf_err code = run(rig, &command);
    for (uint32_t i = 0; code == HF_ERR_OK && i < count; i++) {
        codes[i] = item_code(rig, i);
    }
    return end(rig, &command, code);
}

enum hf_err queue_ack_all(struct queue_rig *rig, const char *name,
                          const struct hf_receipt *receipts, uint32_t count, bool refused)
{
    struct hf_command command;
    struct hf_malformed malformed = {0};
    begin(&command);
    for (uint32_t i = 0; i < count; i++) {
        char text[HF_RECEIPT_CHARS_MAX + 1];
        struct hf_op_fields fields = {.op = HF_STR("ack"),
                                      .subscription = hf_str_from(name),
                                      .receipt = hf_str_from(receipt_text(&receipts[i], text))};
        add_op(&command, &fields);
    }
    if (refused) {
        struct hf_op_fields fields = {.op = HF_STR("freeze"), .account = HF_STR("nobody")};
        add_op(&command, &fields);
        HF_CHECK(hf_command_set_key(&command, HF_STR("refused"), &malformed));
    }
    return end(rig, &command, run(rig, &command));
}

enum hf_err queue_if_live(struct queue_rig *rig, const char *name, const struct hf_receipt *receipt)
{
    struct hf_command command;
    struct hf_malformed malformed = {0};
    char text[HF_RECEIPT_CHARS_MAX + 1];
    struct hf_condition_fields condition = {.subscription = hf_str_from(name),
                                            .receipt = hf_str_from(receipt_text(receipt, text))};
    struct hf_op_fields fields = {.op = HF_STR("publish"),
                                  .topic = HF_STR("condition"),
                                  .key = HF_STR("k"),
                                  .type = HF_STR("test.word"),
                                  .data = HF_STR("1")};
    begin(&command);
    bool added = hf_command_add_condition(&command, &condition, &malformed);
    HF_CHECK(added);
    add_op(&command, &fields);
    return end(rig, &command, run(rig, &command));
}

enum hf_err queue_redrive(struct queue_rig *rig, const char *name,
                          const struct hf_queue_fields *what, uint32_t *moved)
{
    struct hf_command command;
    struct hf_queue_fields fields = *what;
    fields.type = HF_OP_REDRIVE;
    fields.subscription = hf_str_from(name);
    begin(&command);
    add_queue_op(&command, &fields);
    enum hf_err code = run(rig, &command);
    const struct hf_commit *commit = &rig->core.draft.commit;
    const struct hf_event *event = commit->events[commit->event_count - 1];
    *moved = event->type == HF_EVENT_MESSAGES_REDRIVEN  ? event->redriven.count
             : event->type == HF_EVENT_MESSAGES_SETTLED ? event->settled.count
                                                        : 0;
    return end(rig, &command, code);
}

void queue_settle_time(struct queue_rig *rig)
{
    while (core_rig_tick(&rig->core, rig->now_us)) {
        check_after(rig);
    }
    while (core_rig_scan(&rig->core, 3, rig->now_us)) {
        check_after(rig);
    }
}

const struct hf_subscription *queue_subscription(const struct queue_rig *rig, const char *name)
{
    struct hf_arena arena;
    struct hf_name made;
    hf_arena_init(&arena);
    HF_CHECK(hf_name_make(hf_str_from(name), &arena, &made));
    const struct hf_subscription *s = hf_queue_subscription(&rig->core.state.queue, &made.id);
    hf_arena_release(&arena);
    return s;
}

const char *queue_words(const struct queue_batch *batch, char *text, size_t size)
{
    size_t at = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < batch->count; i++) {
        int length = snprintf(text + at, size - at, "%s%s", i == 0 ? "" : " ", batch->got[i].data);
        HF_CHECK(length > 0 && (size_t)length < size - at);
        at += (size_t)length;
    }
    return text;
}
