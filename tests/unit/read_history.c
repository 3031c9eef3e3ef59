#include "unit/read_history.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/time_text.h"
#include "unit/support.h"

const char *const history_accounts[ACCOUNTS] = {"world", "u:1",  "u:10", "u:2",  "u:20",
                                                "u",     "bank", "fees", "zz:9", "u:100"};

uint64_t history_below(struct history *h, uint64_t bound)
{
    h->random = h->random * 6364136223846793005u + 1442695040888963407u;
    return (h->random >> 33) % bound;
}

/* ---- making a history ---- */

void history_ask(struct history *h, const char *text)
{
    h->now_us += 1 + history_below(h, 1000000);
    struct core_rig_ask one = {.text = text, .now_us = h->now_us};
    core_rig_ask(&h->rig, &one, &h->answer);
}

static void open_accounts(struct history *h)
{
    char text[300];
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        (void)snprintf(text, sizeof(text),
                       "{\"do\":[{\"op\":\"open_account\",\"account\":\"%s\",\"asset\":\"%s\","
                       "\"floor\":%s}]}",
                       history_accounts[i], i == 8 ? "EUR/2" : "USD/2",
                       i < 2 || i == 8 ? "null" : "\"0\"");
        history_ask(h, text);
        assert_int_equal(h->answer.status, 201);
    }
}

static void do_transfer(struct history *h, char *text, size_t size)
{
    unsigned from =
        history_below(h, 3) == 0 ? (unsigned)history_below(h, 8) : (unsigned)history_below(h, 2);
    unsigned to = (unsigned)history_below(h, 8);
    int64_t shift_s = (int64_t)history_below(h, 4000) - 2000;
    char effective[80] = "";
    if (history_below(h, 4) == 0) {
        char time[HF_TIME_TEXT_BYTES];
        hf_time_format(h->now_us + (uint64_t)(shift_s * 1000000), time);
        (void)snprintf(effective, sizeof(effective), ",\"effective_at\":\"%s\"", time);
    }
    (void)snprintf(text, size,
                   "{\"do\":[{\"op\":\"transfer\",\"id\":\"t%u\",\"from\":\"%s\",\"to\":\"%s\","
                   "\"asset\":\"USD/2\",\"amount\":\"%u\"%s}]}",
                   h->transfers++, history_accounts[from],
                   history_accounts[to == from ? 8 - to : to], (unsigned)history_below(h, 500) + 1,
                   effective);
}

static void step(struct history *h)
{
    char text[800];
    unsigned what = (unsigned)history_below(h, 20);
    if (what < 9) {
        do_transfer(h, text, sizeof(text));
    } else if (what < 12) {
        (void)snprintf(text, sizeof(text),
                       "{\"do\":[{\"op\":\"hold\",\"id\":\"h%u\",\"from\":\"%s\",\"to\":\"%s\","
                       "\"asset\":\"USD/2\",\"amount\":\"%u\"%s}]}",
                       h->holds++, history_accounts[history_below(h, 2)],
                       history_accounts[2 + history_below(h, 5)],
                       (unsigned)history_below(h, 90) + 10,
                       history_below(h, 2) == 0 ? ",\"timeout_ms\":200000" : "");
    } else if (what < 15) {
        (void)snprintf(text, sizeof(text), "{\"do\":[{\"op\":\"%s\",\"hold\":\"h%u\"%s}]}",
                       what == 12 ? "void" : "capture",
                       h->holds == 0 ? 0 : (unsigned)history_below(h, h->holds),
                       what == 13 ? ",\"amount\":\"3\"" : "");
    } else if (what < 17) {
        (void)snprintf(text, sizeof(text),
                       "{\"do\":[{\"op\":\"reverse\",\"transfer\":\"t%u\",\"amount\":\"1\"}]}",
                       h->transfers == 0 ? 0 : (unsigned)history_below(h, h->transfers));
    } else if (what == 17) {
        (void)snprintf(text, sizeof(text),
                       "{\"do\":[{\"op\":\"set_metadata\",\"account\":\"%s\",\"metadata\":{}},"
                       "{\"op\":\"transfer\",\"from\":\"world\",\"to\":\"u:2\",\"asset\":\"USD/2\","
                       "\"amount\":\"7\"},{\"op\":\"transfer\",\"from\":\"world\",\"to\":\"u:2\","
                       "\"asset\":\"USD/2\",\"amount\":\"8\"}]}",
                       history_accounts[history_below(h, 8)]);
    } else {
        (void)snprintf(text, sizeof(text), "tick");
    }
    history_ask(h, text);
}

/* ---- what the commits tell ---- */

static void add_fact(struct history *h, const struct hf_commit *commit,
                     const struct hf_event *event, const struct hf_side *side)
{
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        if (!hf_str_equal(side->account.text, hf_str_from(history_accounts[i]))) {
            continue;
        }
        HF_CHECK(h->fact_count < ENTRIES_MAX);
        struct fact *fact = &h->facts[h->fact_count++];
        *fact = (struct fact){.account = i,
                              .version = side->version,
                              .position = commit->position,
                              .time_us = commit->time_us,
                              .totals = side->totals};
        fact->posts =
            event->type == HF_EVENT_TRANSFER_POSTED || event->type == HF_EVENT_HOLD_CAPTURED;
        fact->opens_hold = event->type == HF_EVENT_HOLD_OPENED;
        struct hf_str id = HF_STR("");
        if (fact->posts) {
            const struct hf_transfer *transfer = &event->posting.transfer;
            fact->debit = side == &event->posting.debit;
            fact->amount = transfer->amount;
            fact->effective_us =
                transfer->has_effective_at ? transfer->effective_at_us : commit->time_us;
            id = transfer->name.text;
        } else if (fact->opens_hold) {
            id = event->posting.hold.name.text;
        }
        (void)snprintf(fact->id, sizeof(fact->id), "%.*s", (int)id.len, id.ptr);
    }
}

static void learn(struct history *h, const struct hf_commit *commit)
{
    h->times[commit->position] = commit->time_us;
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_event *event = commit->events[i];
        switch ((int)event->type) {
        case HF_EVENT_ACCOUNT_OPENED:
            for (uint32_t j = 0; j < ACCOUNTS; j++) {
                if (hf_str_equal(event->opened.name.text, hf_str_from(history_accounts[j]))) {
                    h->opened_position[j] = commit->position;
                    h->opened_us[j] = commit->time_us;
                }
            }
            break;
        case HF_EVENT_ACCOUNT_CHANGED:
            add_fact(h, commit, event, &event->changed.side);
            break;
        case HF_EVENT_TRANSFER_POSTED:
        case HF_EVENT_HOLD_OPENED:
        case HF_EVENT_HOLD_CAPTURED:
        case HF_EVENT_HOLD_VOIDED:
        case HF_EVENT_HOLD_EXPIRED:
            add_fact(h, commit, event, &event->posting.debit);
            add_fact(h, commit, event, &event->posting.credit);
            break;
        default:
            break;
        }
    }
}

void history_learn(struct history *h)
{
    struct hf_arena arena;
    hf_arena_init(&arena);
    h->fact_count = 0;
    h->times = calloc(h->rig.state.position + 1, sizeof(*h->times));
    HF_CHECK(h->times != NULL);
    for (uint64_t position = 1; position <= h->rig.state.position; position++) {
        const struct hf_shared_bytes *frame = core_rig_frame(&h->rig, position);
        size_t record = hf_get_u32(frame->data);
        struct hf_commit commit;
        hf_arena_clear(&arena);
        HF_CHECK(hf_commit_decode(frame->data + 8, record, frame->data + 8 + record,
                                  frame->size_bytes - 8 - record, &arena, &commit,
                                  NULL) == HF_ERR_OK);
        learn(h, &commit);
    }
    hf_arena_release(&arena);
}

static uint64_t seed_of(uint64_t number)
{
    const char *given = getenv("SEED");
    return given == NULL ? number : strtoull(given, NULL, 10);
}

void history_begin(struct history *h, enum core_rig_mode mode, uint64_t seed)
{
    memset(h, 0, sizeof(*h));
    core_rig_init(&h->rig, mode);
    hf_buffer_init(&h->answer.text);
    h->random = seed_of(seed);
    h->now_us = START_US;
    h->facts = calloc(ENTRIES_MAX, sizeof(*h->facts));
    HF_CHECK(h->facts != NULL);
    open_accounts(h);
}

void history_grow(struct history *h, unsigned commits)
{
    for (unsigned i = 0; i < commits; i++) {
        step(h);
    }
    free(h->times);
    history_learn(h);
    core_rig_check(&h->rig);
}

void history_end(struct history *h)
{
    hf_buffer_release(&h->answer.text);
    core_rig_release(&h->rig);
    free(h->facts);
    free(h->times);
}

/* ---- asking ---- */

struct hf_arena history_names;

struct hf_name history_name(const char *text)
{
    struct hf_name name;
    HF_CHECK(hf_name_make(hf_str_from(text), &history_names, &name));
    return name;
}

void history_look(struct history *h, const struct hf_query *query, struct look *look)
{
    hf_records_init(&look->records);
    uint32_t rounds = core_rig_read(&h->rig, query, h->now_us, &look->records, &look->reading);
    assert_true(rounds <= ROUNDS_BOUND);
    if (rounds > h->rounds_most) {
        h->rounds_most = rounds;
    }
}

void history_look_done(struct look *look)
{
    hf_records_release(&look->records);
}
