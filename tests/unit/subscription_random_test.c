/*
 * Random histories of a subscription against a naive model: a list of messages, looked through from the front each time.
 * The seed is printed; SEED=n replays.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/queue_rules.h"
#include "unit/queue_rig.h"
#include "unit/support.h"

#define MESSAGES_MAX 4000
#define KEYS         5

enum state { WAITS, OUT, BACKS_OFF, PARKED, ENDED };

struct message {
    char key[2];
    enum state state;
    uint32_t tries;
    uint64_t at_us; /* deadline, or not before */
    uint64_t lease_us;
    struct hf_receipt receipt; /* while OUT */
    struct hf_place place;
    bool own; /* it has left its line */
};

struct model {
    struct queue_rig rig;
    struct hf_subscription_settings rules;
    bool ordered;
    struct message messages[MESSAGES_MAX];
    uint32_t count;
    struct hf_receipt old[MESSAGES_MAX]; /* all receipts ever */
    uint32_t old_count;
    uint64_t seed;
};

static uint64_t draw(struct model *m, uint64_t below)
{
    m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
    return (m->seed >> 33) % below;
}

static bool same_line(const struct model *m, const struct message *a, const struct message *b)
{
    return a == b || (m->ordered && !a->own && !b->own && strcmp(a->key, b->key) == 0);
}

/* The message before it in its line that has not ended; NULL: it is first. */
static struct message *before(struct model *m, const struct message *message)
{
    struct message *found = NULL;
    for (struct message *other = m->messages; other < message; other++) {
        if (other->state != ENDED && same_line(m, other, message)) {
            found = other;
        }
    }
    return found;
}

static bool same_receipt(const struct hf_receipt *a, const struct hf_receipt *b)
{
    return a->uid == b->uid && hf_id_equal(&a->line, &b->line) && a->number == b->number &&
           a->token == b->token && a->position == b->position && a->index == b->index;
}

static struct message *of_receipt(struct model *m, const struct hf_receipt *receipt)
{
    for (uint32_t i = 0; i < m->count; i++) {
        struct message *message = &m->messages[i];
        if (message->state == OUT && same_receipt(&message->receipt, receipt)) {
            return message;
        }
    }
    return NULL;
}

/* All that are out with it, but for itself, go back. */
static void return_group(struct model *m, const struct message *first)
{
    for (uint32_t i = 0; i < m->count; i++) {
        struct message *other = &m->messages[i];
        if (other != first && other->state == OUT && same_line(m, other, first)) {
            other->state = WAITS;
        }
    }
}

static void fail_try(struct model *m, struct message *message, bool asked)
{
    uint64_t time_us = m->rig.core.state.time_us;
    return_group(m, message);
    message->tries += !asked;
    enum hf_try_end end =
        asked ? hf_try_parked(&m->rules, message->own || !m->ordered)
              : hf_try_failed(&m->rules, message->tries, message->own || !m->ordered);
    message->state = end == HF_TRY_BACKS_OFF ? BACKS_OFF : PARKED;
    message->own = message->own || end == HF_TRY_PARKS_ITSELF;
    if (end == HF_TRY_BACKS_OFF) {
        message->at_us = hf_not_before_us(&m->rules, &message->place, message->tries, time_us);
    }
}

/* What the next command books first. */
static void time_out(struct model *m, uint64_t now_us)
{
    for (uint32_t i = 0; i < m->count; i++) {
        struct message *message = &m->messages[i];
        struct message *first = before(m, message);
        if (message->state == OUT && message->at_us <= now_us &&
            (first == NULL || first->state != OUT)) {
            fail_try(m, message, false);
        }
    }
}

static bool may_go_out(struct model *m, struct message *message, uint64_t now_us)
{
    bool ready =
        message->state == WAITS || (message->state == BACKS_OFF && message->at_us <= now_us);
    return ready && before(m, message) == NULL;
}

static void publish(struct model *m)
{
    struct message *message = &m->messages[m->count++];
    char word[16];
    (void)snprintf(word, sizeof(word), "m%u", m->count - 1);
    *message = (struct message){.key = {(char)('a' + draw(m, KEYS)), '\0'}};
    message->place = queue_publish(&m->rig, "t", message->key, word, 0);
}

static void receive(struct model *m)
{
    static struct queue_batch batch;
    uint32_t most = 1 + (uint32_t)draw(m, 6);
    assert_int_equal(queue_receive(&m->rig, "s", most, &batch), HF_ERR_OK);
    uint64_t time_us = batch.position > 0 ? m->rig.core.state.time_us : m->rig.now_us;
    if (batch.position > 0) {
        time_out(m, time_us);
    }
    for (uint32_t i = 0; i < batch.count; i++) {
        const struct queue_got *got = &batch.got[i];
        struct message *message = &m->messages[strtoul(got->data + 1, NULL, 10)];
        struct message *ahead = before(m, message);
        bool follows = ahead != NULL && ahead->state == OUT && message->state == WAITS &&
                       ahead->receipt.token == batch.position;
        assert_true(follows || may_go_out(m, message, time_us));
        assert_int_equal(got->attempt, message->tries + 1);
        message->state = OUT;
        message->at_us = batch.deadline_us;
        message->lease_us = m->rules.lease_ms * 1000;
        message->receipt = got->receipt;
        m->old[m->old_count++] = got->receipt;
    }
    for (uint32_t i = 0; batch.count < most && i < m->count; i++) {
        assert_false(may_go_out(m, &m->messages[i], m->rig.now_us)); /* nothing was kept back */
    }
}

static void act(struct model *m)
{
    if (m->old_count == 0) {
        return;
    }
    uint64_t newest = hf_min_u64(m->old_count, 12);
    struct hf_receipt receipt = m->old[m->old_count - 1 - draw(m, newest)];
    enum hf_act kind = (enum hf_act)(HF_ACT_ACK + draw(m, 4));
    uint64_t now_us = hf_max_u64(m->rig.now_us, m->rig.core.state.time_us + 1);
    const struct message *due = of_receipt(m, &receipt);
    bool is_due = due != NULL && due->at_us <= now_us;
    uint64_t position = m->rig.core.state.position;
    uint64_t acked = queue_subscription(&m->rig, "s")->acked;
    enum hf_err code = kind == HF_ACT_EXTEND ? queue_extend(&m->rig, "s", &receipt, 9000)
                                             : queue_act(&m->rig, "s", kind, &receipt,
                                                         kind == HF_ACT_ACK ? NULL : "e");
    if (m->rig.core.state.position > position) {
        time_out(m, m->rig.core.state.time_us);
    }
    struct message *message = is_due ? NULL : of_receipt(m, &receipt);
    struct message *ahead = message == NULL ? NULL : before(m, message);
    bool grew = queue_subscription(&m->rig, "s")->acked > acked;
    assert_int_equal(grew, kind == HF_ACT_ACK && message != NULL && ahead == NULL);
    if (message == NULL) {
        assert_true(code == HF_ERR_STALE_RECEIPT || (code == HF_ERR_OK && kind == HF_ACT_ACK));
    } else if (kind == HF_ACT_EXTEND) {
        assert_int_equal(code, HF_ERR_OK);
        for (uint32_t i = 0; i < m->count; i++) {
            if (m->messages[i].state == OUT && same_line(m, &m->messages[i], message)) {
                m->messages[i].at_us = m->rig.core.state.time_us + 9000000;
                m->messages[i].lease_us = 9000000;
            }
        }
    } else if (ahead != NULL) {
        assert_int_equal(code, HF_ERR_ACK_OUT_OF_ORDER);
    } else {
        assert_int_equal(code, HF_ERR_OK);
        if (kind == HF_ACT_ACK) {
            message->state = ENDED;
        } else {
            fail_try(m, message, kind == HF_ACT_PARK);
        }
    }
}

static void redrive(struct model *m)
{
    uint32_t moved;
    bool discard = draw(m, 3) == 0;
    char key[2] = {(char)('a' + draw(m, KEYS)), '\0'};
    struct hf_queue_fields all = {.all = true};
    struct hf_queue_fields one = {.key = hf_str_from(key), .discard = discard};
    bool by_key = discard || draw(m, 2) == 0;
    assert_int_equal(queue_redrive(&m->rig, "s", by_key ? &one : &all, &moved), HF_ERR_OK);
    for (uint32_t i = 0; i < m->count; i++) {
        struct message *message = &m->messages[i];
        struct hf_id key_id = hf_place_id(message->place.position, message->place.index);
        const struct hf_subscription *s = queue_subscription(&m->rig, "s");
        const struct hf_line *own = hf_subscription_line(s, &key_id);
        if (message->state != PARKED || (by_key && strcmp(message->key, key) != 0)) {
            continue;
        }
        bool still = own != NULL && own->state == HF_LINE_PARKED;
        for (const struct hf_line *line = s->parked.first; line != NULL; line = line->list_behind) {
            still = still || line->place.position == message->place.position;
        }
        if (!still) {
            message->state = discard ? ENDED : WAITS;
            message->tries = 0;
            moved--;
        }
    }
    assert_int_equal(moved, 0);
}

static void pass(struct model *m)
{
    m->rig.now_us += draw(m, 4000000);
    uint64_t position = m->rig.core.state.position;
    queue_settle_time(&m->rig);
    if (m->rig.core.state.position > position) {
        time_out(m, m->rig.core.state.time_us);
    }
}

static void take_over(struct model *m)
{
    core_rig_take_over(&m->rig.core, m->rig.now_us);
    for (uint32_t i = 0; i < m->count; i++) {
        m->messages[i].at_us = m->messages[i].state == OUT
                                   ? m->rig.core.state.time_us + m->messages[i].lease_us
                                   : m->messages[i].at_us;
    }
}

static void compare(struct model *m)
{
    const struct hf_subscription *s = queue_subscription(&m->rig, "s");
    uint64_t counts[ENDED + 1] = {0};
    for (uint32_t i = 0; i < m->count; i++) {
        counts[m->messages[i].state]++;
    }
    assert_int_equal(s->in_flight, counts[OUT]);
    assert_int_equal(s->parked.count, counts[PARKED]);
    assert_int_equal(s->backing_off.count, counts[BACKS_OFF]);
    assert_int_equal(s->waiting, counts[WAITS] + counts[BACKS_OFF]);
    assert_int_equal(s->ended, counts[ENDED]);
}

static void run(struct model *m, const struct queue_settings *settings, enum core_rig_mode mode,
                uint64_t seed, uint32_t steps)
{
    memset(m, 0, sizeof(*m));
    m->seed = seed;
    queue_rig_init(&m->rig, mode);
    m->rig.quick = true;
    assert_int_equal(queue_put(&m->rig, "s", settings), HF_ERR_OK);
    m->rules = queue_subscription(&m->rig, "s")->settings;
    m->ordered = settings->order != HF_ORDER_NONE;
    for (uint32_t step = 0; step < steps; step++) {
        switch (draw(m, 12)) {
        case 0:
        case 1:
        case 2:
            publish(m);
            break;
        case 3:
        case 4:
        case 5:
            receive(m);
            break;
        case 6:
            pass(m);
            break;
        case 7:
            (draw(m, 10) == 0 ? take_over : draw(m, 4) == 0 ? redrive : act)(m);
            break;
        default:
            act(m);
            break;
        }
        compare(m);
        if (step % 64 == 0) {
            queue_rig_check(&m->rig);
        }
    }
    queue_rig_check(&m->rig);
    queue_rig_release(&m->rig);
}

static void against_a_model(void **state)
{
    (void)state;
    static struct model model;
    const char *given = getenv("SEED");
    uint64_t first = given == NULL ? 1 : strtoull(given, NULL, 10);
    uint64_t last = given == NULL ? 24 : first;
    static const enum hf_exhausted ends[] = {HF_EXHAUSTED_PARK_KEY, HF_EXHAUSTED_PARK_MESSAGE,
                                             HF_EXHAUSTED_BLOCK};
    for (uint64_t seed = first; seed <= last; seed++) {
        print_message("# seed %llu\n", (unsigned long long)seed);
        bool ordered = seed % 4 != 0;
        struct queue_settings settings = {
            .topic = "t",
            .order = ordered ? HF_ORDER_KEY : HF_ORDER_NONE,
            .exhausted = ordered ? ends[seed % 3] : ends[1 + seed % 2],
            .attempts_max = 1 + (uint32_t)(seed % 4),
            .lease_ms = 3000,
            .has_backoff = true,
            .backoff_first_ms = seed % 5 == 0 ? 0 : 500,
            .backoff_max_ms = seed % 5 == 0 ? 0 : 2000,
        };
        bool cold = seed % 2 == 0;
        run(&model, &settings, cold ? CORE_RIG_COLD : CORE_RIG_HOT, seed, cold ? 700 : 1500);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_a_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
