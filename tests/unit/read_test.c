/*
 * Lists, balances, statements and totals against a naive re-computation: random histories, every commit
 * decoded and walked from the first one on, for each question anew. Warm, and with everything cold.
 * SEED=n replays one seed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/time_text.h"
#include "unit/core_rig.h"
#include "unit/support.h"

#define START_US     1600000000000000ull
#define ENTRIES_MAX  20000u
#define ACCOUNTS     10u
#define ROUNDS_BOUND 24u /* of fetching: a search over the indexed entries, one chain, reversals */

/* An entry of an account as the commits tell it. */
struct fact {
    uint32_t account; /* number */
    uint64_t version;
    uint64_t position;
    uint64_t time_us;
    struct hf_totals totals;
    bool posts;            /* a transfer, capture or reversal */
    bool opens_hold;       /* its hold is `id` */
    bool debit;            /* of the posting */
    hf_u128 amount;        /* if it posts */
    uint64_t effective_us; /* if it posts */
    char id[64];           /* transfer or hold */
};

struct history {
    struct core_rig rig;
    struct core_rig_answer answer;
    uint64_t random;
    uint64_t now_us;
    unsigned transfers, holds; /* made so far */
    struct fact *facts;
    size_t fact_count;
    uint64_t opened_position[ACCOUNTS], opened_us[ACCOUNTS];
    uint64_t *times; /* of commits, by position */
    uint32_t rounds_most;
};

static const char *const accounts[ACCOUNTS] = {"world", "u:1",  "u:10", "u:2",  "u:20",
                                               "u",     "bank", "fees", "zz:9", "u:100"};

static uint64_t below(struct history *h, uint64_t bound)
{
    h->random = h->random * 6364136223846793005u + 1442695040888963407u;
    return (h->random >> 33) % bound;
}

/* ---- making a history ---- */

static void ask(struct history *h, const char *text)
{
    h->now_us += 1 + below(h, 1000000);
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
                       accounts[i], i == 8 ? "EUR/2" : "USD/2", i < 2 || i == 8 ? "null" : "\"0\"");
        ask(h, text);
        assert_int_equal(h->answer.status, 201);
    }
}

static void do_transfer(struct history *h, char *text, size_t size)
{
    unsigned from = below(h, 3) == 0 ? (unsigned)below(h, 8) : (unsigned)below(h, 2);
    unsigned to = (unsigned)below(h, 8);
    int64_t shift_s = (int64_t)below(h, 4000) - 2000;
    char effective[80] = "";
    if (below(h, 4) == 0) {
        char time[HF_TIME_TEXT_BYTES];
        hf_time_format(h->now_us + (uint64_t)(shift_s * 1000000), time);
        (void)snprintf(effective, sizeof(effective), ",\"effective_at\":\"%s\"", time);
    }
    (void)snprintf(text, size,
                   "{\"do\":[{\"op\":\"transfer\",\"id\":\"t%u\",\"from\":\"%s\",\"to\":\"%s\","
                   "\"asset\":\"USD/2\",\"amount\":\"%u\"%s}]}",
                   h->transfers++, accounts[from], accounts[to == from ? 8 - to : to],
                   (unsigned)below(h, 500) + 1, effective);
}

static void step(struct history *h)
{
    char text[800];
    unsigned what = (unsigned)below(h, 20);
    if (what < 9) {
        do_transfer(h, text, sizeof(text));
    } else if (what < 12) {
        (void)snprintf(text, sizeof(text),
                       "{\"do\":[{\"op\":\"hold\",\"id\":\"h%u\",\"from\":\"%s\",\"to\":\"%s\","
                       "\"asset\":\"USD/2\",\"amount\":\"%u\"%s}]}",
                       h->holds++, accounts[below(h, 2)], accounts[2 + below(h, 5)],
                       (unsigned)below(h, 90) + 10,
                       below(h, 2) == 0 ? ",\"timeout_ms\":200000" : "");
    } else if (what < 15) {
        (void)snprintf(text, sizeof(text), "{\"do\":[{\"op\":\"%s\",\"hold\":\"h%u\"%s}]}",
                       what == 12 ? "void" : "capture",
                       h->holds == 0 ? 0 : (unsigned)below(h, h->holds),
                       what == 13 ? ",\"amount\":\"3\"" : "");
    } else if (what < 17) {
        (void)snprintf(text, sizeof(text),
                       "{\"do\":[{\"op\":\"reverse\",\"transfer\":\"t%u\",\"amount\":\"1\"}]}",
                       h->transfers == 0 ? 0 : (unsigned)below(h, h->transfers));
    } else if (what == 17) {
        (void)snprintf(text, sizeof(text),
                       "{\"do\":[{\"op\":\"set_metadata\",\"account\":\"%s\",\"metadata\":{}},"
                       "{\"op\":\"transfer\",\"from\":\"world\",\"to\":\"u:2\",\"asset\":\"USD/2\","
                       "\"amount\":\"7\"},{\"op\":\"transfer\",\"from\":\"world\",\"to\":\"u:2\","
                       "\"asset\":\"USD/2\",\"amount\":\"8\"}]}",
                       accounts[below(h, 8)]);
    } else {
        (void)snprintf(text, sizeof(text), "tick");
    }
    ask(h, text);
}

/* ---- what the commits tell ---- */

static void add_fact(struct history *h, const struct hf_commit *commit,
                     const struct hf_event *event, const struct hf_side *side)
{
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        if (!hf_str_equal(side->account.text, hf_str_from(accounts[i]))) {
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
                if (hf_str_equal(event->opened.name.text, hf_str_from(accounts[j]))) {
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

static void learn_all(struct history *h)
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

static void begin(struct history *h, enum core_rig_mode mode, uint64_t seed)
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

static void grow(struct history *h, unsigned commits)
{
    for (unsigned i = 0; i < commits; i++) {
        step(h);
    }
    free(h->times);
    learn_all(h);
    core_rig_check(&h->rig);
}

static void end(struct history *h)
{
    hf_buffer_release(&h->answer.text);
    core_rig_release(&h->rig);
    free(h->facts);
    free(h->times);
}

/* ---- asking ---- */

static struct hf_arena names;

static struct hf_name name_of(const char *text)
{
    struct hf_name name;
    HF_CHECK(hf_name_make(hf_str_from(text), &names, &name));
    return name;
}

/* What was read, and what it points into. */
struct look {
    struct hf_records records;
    struct hf_reading reading;
};

static void look(struct history *h, const struct hf_query *query, struct look *look)
{
    hf_records_init(&look->records);
    uint32_t rounds = core_rig_read(&h->rig, query, h->now_us, &look->records, &look->reading);
    assert_true(rounds <= ROUNDS_BOUND);
    if (rounds > h->rounds_most) {
        h->rounds_most = rounds;
    }
}

static void look_done(struct look *look)
{
    hf_records_release(&look->records);
}

/* ---- balances ---- */

static void expect_totals(const struct hf_totals *real, const struct hf_totals *naive)
{
    assert_u128_equal(real->debits_posted, naive->debits_posted);
    assert_u128_equal(real->credits_posted, naive->credits_posted);
    assert_u128_equal(real->debits_pending, naive->debits_pending);
    assert_u128_equal(real->credits_pending, naive->credits_pending);
}

/* The newest fact of an account that the bounds let through; NULL: as opened. */
static const struct fact *newest(const struct history *h, uint32_t account, uint64_t version,
                                 uint64_t position, uint64_t time_us)
{
    const struct fact *found = NULL;
    for (size_t i = 0; i < h->fact_count; i++) {
        const struct fact *fact = &h->facts[i];
        if (fact->account == account && fact->version <= version && fact->position <= position &&
            fact->time_us <= time_us) {
            found = fact;
        }
    }
    return found;
}

static void check_balance(struct history *h, uint32_t account, struct hf_query *query)
{
    static const struct hf_totals none;
    struct look l;
    query->type = HF_QUERY_BALANCE;
    query->name = name_of(accounts[account]);
    look(h, query, &l);
    bool open = (query->at != HF_AT_TIME || query->at_us >= h->opened_us[account]) &&
                (query->at != HF_AT_POSITION || query->position >= h->opened_position[account]);
    assert_int_equal(l.reading.code, open ? HF_ERR_OK : HF_ERR_ACCOUNT_NOT_FOUND);
    if (open) {
        const struct fact *fact =
            newest(h, account, query->at == HF_AT_VERSION ? query->version : UINT64_MAX,
                   query->at == HF_AT_POSITION ? query->position : UINT64_MAX,
                   query->at == HF_AT_TIME ? query->at_us : UINT64_MAX);
        expect_totals(&l.reading.balance.totals, fact == NULL ? &none : &fact->totals);
        assert_int_equal(l.reading.balance.version, fact == NULL ? 0 : fact->version);
        assert_int_equal(l.reading.balance.position,
                         fact == NULL ? h->opened_position[account] : fact->position);
        assert_int_equal(l.reading.balance.time_us,
                         fact == NULL ? h->opened_us[account] : fact->time_us);
        assert_true(l.reading.balance.has_pending);
    }
    look_done(&l);
}

static void check_recorded_balances(struct history *h, uint32_t account)
{
    struct hf_query query = {.at = HF_AT_NOW};
    struct hf_name name = name_of(accounts[account]);
    uint64_t version = hf_state_account(&h->rig.state, &name.id)->version;
    check_balance(h, account, &query);
    for (uint64_t v = 0; v <= version; v++) {
        query = (struct hf_query){.at = HF_AT_VERSION, .version = v};
        check_balance(h, account, &query);
    }
    for (uint64_t p = 1; p <= h->rig.state.position; p++) {
        query = (struct hf_query){.at = HF_AT_POSITION, .position = p};
        check_balance(h, account, &query);
        query = (struct hf_query){.at = HF_AT_TIME, .at_us = h->times[p] - (p & 1)};
        check_balance(h, account, &query);
    }
    query = (struct hf_query){.at = HF_AT_TIME, .at_us = UINT64_MAX};
    check_balance(h, account, &query);
}

static void check_not_yet(struct history *h)
{
    struct look l;
    struct hf_query query = {.type = HF_QUERY_BALANCE, .name = name_of("u:1")};
    query.at = HF_AT_VERSION;
    query.version = 1000000;
    look(h, &query, &l);
    assert_int_equal(l.reading.code, HF_ERR_INVALID_REQUEST);
    assert_non_null(l.reading.detail);
    look_done(&l);
    query.at = HF_AT_POSITION;
    query.position = h->rig.state.position + 1;
    look(h, &query, &l);
    assert_int_equal(l.reading.code, HF_ERR_INVALID_REQUEST);
    look_done(&l);
    query.name = name_of("nobody");
    look(h, &query, &l);
    assert_int_equal(l.reading.code, HF_ERR_ACCOUNT_NOT_FOUND);
    look_done(&l);
}

/* Sums of what counts before a time by the effective clock. */
static struct hf_totals effective_before(const struct history *h, uint32_t account,
                                         uint64_t time_us)
{
    struct hf_totals totals = {0};
    for (size_t i = 0; i < h->fact_count; i++) {
        const struct fact *fact = &h->facts[i];
        if (fact->account == account && fact->posts && fact->effective_us < time_us) {
            *(fact->debit ? &totals.debits_posted : &totals.credits_posted) += fact->amount;
        }
    }
    return totals;
}

static void check_effective_balances(struct history *h, uint32_t account)
{
    for (unsigned i = 0; i < 40; i++) {
        struct hf_query query = {.type = HF_QUERY_BALANCE,
                                 .name = name_of(accounts[account]),
                                 .at = HF_AT_TIME,
                                 .clock = HF_CLOCK_EFFECTIVE,
                                 .at_us = START_US - 2000000000 +
                                          below(h, h->now_us - START_US + 4000000000)};
        if (i < 20 && h->fact_count > 0) {
            query.at_us = h->facts[below(h, h->fact_count)].effective_us;
        }
        struct look l;
        look(h, &query, &l);
        assert_int_equal(l.reading.code, HF_ERR_OK);
        assert_false(l.reading.balance.has_pending);
        struct hf_totals naive = effective_before(h, account, query.at_us + 1);
        expect_totals(&l.reading.balance.totals, &naive);
        look_done(&l);
    }
}

static void balances(enum core_rig_mode mode, uint64_t seed, unsigned commits)
{
    struct history h;
    begin(&h, mode, seed);
    hf_arena_init(&names);
    grow(&h, commits);
    for (uint32_t account = 0; account < ACCOUNTS; account++) {
        check_recorded_balances(&h, account);
        check_effective_balances(&h, account);
    }
    check_not_yet(&h);
    hf_arena_release(&names);
    end(&h);
}

static void test_balances(void **state)
{
    (void)state;
    balances(CORE_RIG_HOT, 1, 400);
    balances(CORE_RIG_COLD, 2, 400);
    balances(CORE_RIG_COLD, 3, 40);
}

/* ---- statements ---- */

static int compare_facts(const void *a, const void *b)
{
    const struct fact *left = *(const struct fact *const *)a;
    const struct fact *right = *(const struct fact *const *)b;
    if (left->effective_us != right->effective_us) {
        return left->effective_us < right->effective_us ? -1 : 1;
    }
    return left->version < right->version ? -1 : 1;
}

/* The lines that a statement should have, in order; returns their count. */
static size_t naive_lines(const struct history *h, uint32_t account, const struct hf_query *query,
                          const struct fact **lines)
{
    size_t count = 0;
    bool effective = query->clock == HF_CLOCK_EFFECTIVE;
    for (size_t i = 0; i < h->fact_count; i++) {
        const struct fact *fact = &h->facts[i];
        uint64_t time_us = effective ? fact->effective_us : fact->time_us;
        if (fact->account == account && fact->posts && time_us >= query->from_us &&
            time_us < query->to_us) {
            lines[count++] = fact;
        }
    }
    if (effective) {
        qsort(lines, count, sizeof(*lines), compare_facts);
    }
    return count;
}

static hf_i128 naive_posted(const struct history *h, uint32_t account, const struct hf_query *query,
                            uint64_t before_us)
{
    if (query->clock == HF_CLOCK_EFFECTIVE) {
        struct hf_totals totals = effective_before(h, account, before_us);
        return hf_totals_posted(&totals);
    }
    const struct fact *fact =
        before_us == 0 ? NULL : newest(h, account, UINT64_MAX, UINT64_MAX, before_us - 1);
    return fact == NULL ? 0 : hf_totals_posted(&fact->totals);
}

static void check_lines(const struct hf_statement *statement, const struct fact **lines,
                        size_t *shown, size_t count, hf_i128 *posted)
{
    for (uint32_t i = 0; i < statement->line_count; i++) {
        const struct hf_statement_line *line = &statement->lines[i];
        assert_true(*shown < count);
        const struct fact *fact = lines[(*shown)++];
        *posted += fact->debit ? -(hf_i128)fact->amount : (hf_i128)fact->amount;
        assert_true(line->posted == *posted);
        assert_int_equal(line->side->version, fact->version);
        assert_int_equal(line->commit->position, fact->position);
        assert_int_equal(line->debit, fact->debit);
        assert_true(hf_str_equal(line->event->posting.transfer.name.text, hf_str_from(fact->id)));
    }
}

/* Page by page, or whole: the lines are all there, in order, and lead from the opening to the closing. */
static void check_statement(struct history *h, uint32_t account, struct hf_query *query)
{
    static const struct fact *lines[ENTRIES_MAX];
    size_t count = naive_lines(h, account, query, lines);
    size_t shown = 0;
    hf_i128 opening = naive_posted(h, account, query, query->from_us);
    hf_i128 closing = naive_posted(h, account, query, query->to_us);
    hf_i128 posted = opening;
    bool paged = !query->whole && query->clock == HF_CLOCK_RECORDED;
    bool more = true;
    query->type = HF_QUERY_STATEMENT;
    query->name = name_of(accounts[account]);
    query->from = 0;
    while (more) {
        struct look l;
        look(h, query, &l);
        if (!paged && count > query->limit) {
            assert_int_equal(l.reading.code, HF_ERR_TOO_LARGE);
            assert_non_null(l.reading.detail);
            look_done(&l);
            return;
        }
        assert_int_equal(l.reading.code, HF_ERR_OK);
        assert_true(hf_totals_posted(&l.reading.statement.opening.totals) == opening);
        assert_true(hf_totals_posted(&l.reading.statement.closing.totals) == closing);
        check_lines(&l.reading.statement, lines, &shown, count, &posted);
        more = l.reading.more;
        assert_true(paged || !more);
        assert_true(!more || l.reading.next_from > query->from);
        query->from = l.reading.next_from;
        look_done(&l);
    }
    assert_int_equal(shown, count);
    assert_true(posted == closing);
}

/* Some instant; often exactly one at which something happened or counts. */
static uint64_t instant(struct history *h)
{
    const struct fact *fact = &h->facts[below(h, h->fact_count)];
    switch (below(h, 3)) {
    case 0:
        return fact->time_us;
    case 1:
        return fact->posts ? fact->effective_us : fact->time_us;
    default:
        return START_US - 2000000000 + below(h, h->now_us - START_US + 4000000000);
    }
}

static void statements(enum core_rig_mode mode, uint64_t seed, unsigned commits)
{
    struct history h;
    begin(&h, mode, seed);
    hf_arena_init(&names);
    grow(&h, commits);
    for (unsigned i = 0; i < 300; i++) {
        uint64_t a = instant(&h);
        uint64_t b = instant(&h);
        struct hf_query query = {
            .from_us = below(&h, 4) == 0 ? 0 : hf_min_u64(a, b),
            .to_us = below(&h, 4) == 0 ? UINT64_MAX : hf_max_u64(a, b) + (a == b),
            .limit = (uint32_t)(below(&h, 3) == 0 ? 1000 : 1 + below(&h, 40)),
            .clock = below(&h, 2) == 0 ? HF_CLOCK_EFFECTIVE : HF_CLOCK_RECORDED,
            .whole = below(&h, 2) == 0,
        };
        check_statement(&h, (uint32_t)below(&h, ACCOUNTS), &query);
    }
    hf_arena_release(&names);
    end(&h);
}

static void test_statements(void **state)
{
    (void)state;
    statements(CORE_RIG_HOT, 4, 600);
    statements(CORE_RIG_COLD, 5, 600);
}

/* A transfer recorded today that counted last year is in last year's statement, by the effective clock. */
static void test_effective_in_the_past(void **state)
{
    (void)state;
    struct history h;
    begin(&h, CORE_RIG_HOT, 1);
    hf_arena_init(&names);
    ask(&h, "{\"do\":[{\"op\":\"transfer\",\"id\":\"late\",\"from\":\"world\",\"to\":\"u:2\","
            "\"asset\":\"USD/2\",\"amount\":\"500\",\"effective_at\":\"2019-06-01T12:00:00Z\"}]}");
    ask(&h, "{\"do\":[{\"op\":\"transfer\",\"id\":\"now\",\"from\":\"world\",\"to\":\"u:2\","
            "\"asset\":\"USD/2\",\"amount\":\"30\"}]}");
    learn_all(&h);
    uint64_t from_us, to_us;
    assert_true(hf_time_parse(HF_STR("2019-01-01T00:00:00Z"), &from_us));
    assert_true(hf_time_parse(HF_STR("2020-01-01T00:00:00Z"), &to_us));
    struct hf_query query = {.type = HF_QUERY_STATEMENT,
                             .name = name_of("u:2"),
                             .clock = HF_CLOCK_EFFECTIVE,
                             .from_us = from_us,
                             .to_us = to_us,
                             .limit = 10};
    struct look l;
    look(&h, &query, &l);
    assert_int_equal(l.reading.statement.line_count, 1);
    assert_true(l.reading.statement.closing.totals.credits_posted == 500);
    assert_true(hf_str_equal(l.reading.statement.lines[0].event->posting.transfer.name.text,
                             HF_STR("late")));
    look_done(&l);
    query.clock = HF_CLOCK_RECORDED;
    look(&h, &query, &l);
    assert_int_equal(l.reading.statement.line_count, 0);
    assert_true(l.reading.statement.closing.totals.credits_posted == 0);
    look_done(&l);
    query.from_us = to_us;
    query.to_us = UINT64_MAX;
    query.clock = HF_CLOCK_EFFECTIVE;
    look(&h, &query, &l);
    assert_int_equal(l.reading.statement.line_count, 1);
    assert_true(hf_totals_posted(&l.reading.statement.opening.totals) == 500);
    assert_true(hf_totals_posted(&l.reading.statement.closing.totals) == 530);
    look_done(&l);
    hf_arena_release(&names);
    end(&h);
}

/* ---- transfers and holds of an account ---- */

/* All pages of a list; ids in order of appearance. */
static size_t collect(struct history *h, struct hf_query *query, char ids[][64], bool check_state)
{
    size_t count = 0;
    bool more = true;
    while (more) {
        struct look l;
        look(h, query, &l);
        assert_int_equal(l.reading.code, HF_ERR_OK);
        assert_true(l.reading.entity_count <= query->limit);
        for (uint32_t i = 0; i < l.reading.entity_count; i++) {
            const struct hf_entity *entity = &l.reading.entities[i];
            struct hf_str id =
                entity->kind == HF_KIND_HOLD ? entity->hold.name.text : entity->transfer.name.text;
            (void)snprintf(ids[count++], 64, "%.*s", (int)id.len, id.ptr);
            if (check_state && query->hold_state != 0) {
                assert_int_equal(entity->hold.state, query->hold_state);
            }
        }
        more = l.reading.more;
        assert_true(!more || query->from == 0 || l.reading.next_from < query->from);
        query->from = l.reading.next_from;
        look_done(&l);
    }
    return count;
}

/* The thing as a read of it alone gives it. */
static struct hf_entity one(struct history *h, enum hf_query_type type, const char *id)
{
    struct look l;
    struct hf_query query = {.type = type, .name = name_of(id)};
    look(h, &query, &l);
    assert_int_equal(l.reading.code, HF_ERR_OK);
    struct hf_entity entity = l.reading.entity;
    look_done(&l);
    return entity;
}

static void check_transfers(struct history *h, uint32_t account, uint32_t limit)
{
    static char ids[ENTRIES_MAX][64];
    struct hf_query query = {
        .type = HF_QUERY_TRANSFERS, .name = name_of(accounts[account]), .limit = limit};
    size_t count = collect(h, &query, ids, false);
    size_t at = 0;
    for (size_t i = h->fact_count; i > 0; i--) {
        const struct fact *fact = &h->facts[i - 1];
        if (fact->account == account && fact->posts) {
            assert_true(at < count);
            assert_string_equal(ids[at++], fact->id);
        }
    }
    assert_int_equal(at, count);
}

static void check_holds(struct history *h, uint32_t account, uint32_t limit,
                        enum hf_hold_state state)
{
    static char ids[ENTRIES_MAX][64];
    struct hf_query query = {.type = HF_QUERY_HOLDS,
                             .name = name_of(accounts[account]),
                             .limit = limit,
                             .hold_state = state};
    size_t count = collect(h, &query, ids, true);
    size_t at = 0;
    for (size_t i = h->fact_count; i > 0; i--) {
        const struct fact *fact = &h->facts[i - 1];
        if (fact->account == account && fact->opens_hold &&
            (state == 0 || one(h, HF_QUERY_HOLD, fact->id).hold.state == state)) {
            assert_true(at < count);
            assert_string_equal(ids[at++], fact->id);
        }
    }
    assert_int_equal(at, count);
}

/* Each listed transfer has the sum of its reversals that a read of it alone gives. */
static void check_reversed(struct history *h, uint32_t account)
{
    struct look l;
    struct hf_query query = {
        .type = HF_QUERY_TRANSFERS, .name = name_of(accounts[account]), .limit = 200};
    char id[64];
    hf_u128 reversed[200];
    static char listed[200][64];
    look(h, &query, &l);
    uint32_t count = l.reading.entity_count;
    for (uint32_t i = 0; i < count; i++) {
        const struct hf_transfer *transfer = &l.reading.entities[i].transfer;
        reversed[i] = transfer->reversed;
        (void)snprintf(listed[i], sizeof(id), "%.*s", (int)transfer->name.text.len,
                       transfer->name.text.ptr);
    }
    look_done(&l);
    for (uint32_t i = 0; i < count; i++) {
        assert_u128_equal(one(h, HF_QUERY_TRANSFER, listed[i]).transfer.reversed, reversed[i]);
    }
}

static void of_accounts(enum core_rig_mode mode, uint64_t seed, unsigned commits)
{
    static const uint32_t limits[] = {1, 3, 64, 1000};
    struct history h;
    begin(&h, mode, seed);
    hf_arena_init(&names);
    grow(&h, commits);
    for (uint32_t account = 0; account < ACCOUNTS; account++) {
        for (size_t i = commits > 500 ? 2 : 0; i < HF_ARRAY_COUNT(limits); i++) {
            check_transfers(&h, account, limits[i]);
            for (int hold_state = 0; hold_state <= HF_HOLD_EXPIRED; hold_state++) {
                check_holds(&h, account, limits[i], (enum hf_hold_state)hold_state);
            }
        }
        check_reversed(&h, account);
    }
    hf_arena_release(&names);
    end(&h);
}

static void test_transfers_and_holds(void **state)
{
    (void)state;
    of_accounts(CORE_RIG_HOT, 6, 400);
    of_accounts(CORE_RIG_COLD, 7, 400);
    of_accounts(CORE_RIG_HOT, 8, 2500); /* more entries than a page looks at */
}

/* ---- lists by name ---- */

static const char *const prefixes[] = {"", "u", "u:", "u:1", "u:10", "z", "x", "~"};

/* Every page; each name once, in byte order, with the prefix. Returns the count. */
static size_t list_names(struct history *h, enum hf_query_type type, const char *prefix,
                         uint32_t limit, bool grow_meanwhile)
{
    char after[200] = "";
    char text[300];
    size_t count = 0;
    bool more = true;
    while (more) {
        struct look l;
        struct hf_query query = {.type = type,
                                 .prefix = hf_str_from(prefix),
                                 .after = hf_str_from(after),
                                 .limit = limit};
        look(h, &query, &l);
        for (uint32_t i = 0; i < l.reading.entity_count; i++) {
            const struct hf_name *name = &l.reading.entities[i].account.name; /* all begin so */
            assert_true(hf_str_compare(name->text, hf_str_from(after)) > 0);
            assert_true(strncmp(name->text.ptr, prefix, strlen(prefix)) == 0);
            (void)snprintf(after, sizeof(after), "%.*s", (int)name->text.len, name->text.ptr);
            count++;
        }
        more = l.reading.more;
        if (more) {
            (void)snprintf(after, sizeof(after), "%.*s", (int)l.reading.next_after.len,
                           l.reading.next_after.ptr);
        }
        look_done(&l);
        if (grow_meanwhile) {
            (void)snprintf(text, sizeof(text),
                           "{\"do\":[{\"op\":\"append\",\"stream\":\"n%u\",\"type\":\"t\","
                           "\"data\":1}]}",
                           (unsigned)below(h, 100000));
            ask(h, text);
        }
    }
    return count;
}

static size_t naive_count(const struct hf_table *table, const char *prefix, bool documents)
{
    size_t at = 0;
    size_t count = 0;
    const struct hf_name *name;
    while ((name = hf_table_next(table, &at)) != NULL) {
        bool there = !documents || ((const struct hf_document *)(const void *)name)->exists;
        count += there && name->text.len >= strlen(prefix) &&
                 memcmp(name->text.ptr, prefix, strlen(prefix)) == 0;
    }
    return count;
}

static void make_names(struct history *h, unsigned count)
{
    char text[400];
    for (unsigned i = 0; i < count; i++) {
        unsigned number = (unsigned)below(h, 3000);
        const char *stem = prefixes[1 + below(h, 5)];
        if (below(h, 3) == 0) {
            (void)snprintf(text, sizeof(text),
                           "{\"do\":[{\"op\":\"put\",\"document\":\"%s%u\",\"data\":{}},"
                           "{\"op\":\"delete\",\"document\":\"%s%u\"}]}",
                           stem, number, stem, number);
        } else {
            (void)snprintf(text, sizeof(text),
                           "{\"do\":[{\"op\":\"append\",\"stream\":\"%s%u\",\"type\":\"t\","
                           "\"data\":1},{\"op\":\"put\",\"document\":\"%s%u\",\"data\":{}}]}",
                           stem, number, stem, number);
        }
        ask(h, text);
        assert_int_equal(h->answer.status, 201);
    }
}

static void test_lists_by_name(void **state)
{
    (void)state;
    static const uint32_t limits[] = {1, 7, 1000};
    struct history h;
    begin(&h, CORE_RIG_HOT, 9);
    hf_arena_init(&names);
    make_names(&h, 1500);
    for (size_t i = 0; i < HF_ARRAY_COUNT(prefixes); i++) {
        for (size_t j = 0; j < HF_ARRAY_COUNT(limits); j++) {
            const struct hf_state *s = &h.rig.state;
            const char *prefix = prefixes[i];
            assert_int_equal(list_names(&h, HF_QUERY_ACCOUNTS, prefix, limits[j], false),
                             naive_count(&s->accounts, prefix, false));
            assert_int_equal(list_names(&h, HF_QUERY_STREAMS, prefix, limits[j], false),
                             naive_count(&s->streams, prefix, false));
            assert_int_equal(list_names(&h, HF_QUERY_DOCUMENTS, prefix, limits[j], false),
                             naive_count(&s->documents, prefix, true));
        }
    }
    /* While others are made each name that was there is shown once, and order is kept. */
    size_t before = h.rig.state.streams.count;
    assert_true(list_names(&h, HF_QUERY_STREAMS, "", 5, true) >= before);
    core_rig_check(&h.rig);
    hf_arena_release(&names);
    end(&h);
}

/* ---- totals ---- */

static void check_sums(struct history *h, const char *asset, uint64_t expected_accounts)
{
    struct hf_query query = {.type = HF_QUERY_TOTALS};
    struct look l;
    struct hf_wide sums[4] = {{0}};
    uint64_t count = 0;
    size_t at = 0;
    const struct hf_account *account;
    assert_true(hf_asset_parse(hf_str_from(asset), &query.asset));
    while ((account = hf_table_next(&h->rig.state.accounts, &at)) != NULL) {
        if (hf_asset_equal(&account->asset, &query.asset)) {
            hf_wide_add(&sums[0], account->totals.debits_posted);
            hf_wide_add(&sums[1], account->totals.credits_posted);
            hf_wide_add(&sums[2], account->totals.debits_pending);
            hf_wide_add(&sums[3], account->totals.credits_pending);
            count++;
        }
    }
    look(h, &query, &l);
    assert_int_equal(l.reading.code, HF_ERR_OK);
    assert_int_equal(count, expected_accounts);
    assert_int_equal(l.reading.totals.accounts, count);
    assert_true(hf_wide_equal(&l.reading.totals.debits_posted, &sums[0]));
    assert_true(hf_wide_equal(&l.reading.totals.credits_posted, &sums[1]));
    assert_true(hf_wide_equal(&l.reading.totals.debits_pending, &sums[2]));
    assert_true(hf_wide_equal(&l.reading.totals.credits_pending, &sums[3]));
    look_done(&l);
}

static void test_totals(void **state)
{
    (void)state;
    struct history h;
    begin(&h, CORE_RIG_HOT, 10);
    hf_arena_init(&names);
    for (unsigned i = 0; i < 20; i++) {
        grow(&h, 30);
        check_sums(&h, "USD/2", 9);
        check_sums(&h, "EUR/2", 1);
        check_sums(&h, "NONE/0", 0);
    }
    hf_arena_release(&names);
    end(&h);
}

/* Sums may pass 128 bits: the same enormous amount goes from hand to hand. */
static void test_totals_beyond_128_bits(void **state)
{
    (void)state;
    struct history h;
    begin(&h, CORE_RIG_HOT, 11);
    hf_arena_init(&names);
    static const char *const hands[] = {"world", "u:10", "u:2", "u:20", "u", "bank"};
    char text[300];
    for (unsigned i = 0; i + 1 < HF_ARRAY_COUNT(hands); i++) {
        (void)snprintf(text, sizeof(text),
                       "{\"do\":[{\"op\":\"transfer\",\"from\":\"%s\",\"to\":\"%s\",\"asset\":"
                       "\"USD/2\",\"amount\":\"170141183460469231731687303715884105727\"}]}",
                       hands[i], hands[i + 1]);
        ask(&h, text);
        assert_int_equal(h.answer.status, 201);
    }
    check_sums(&h, "USD/2", 9);
    struct hf_query query = {.type = HF_QUERY_TOTALS};
    struct look l;
    char digits[HF_WIDE_TEXT_BYTES];
    assert_true(hf_asset_parse(HF_STR("USD/2"), &query.asset));
    look(&h, &query, &l);
    (void)hf_wide_format(&l.reading.totals.debits_posted, digits);
    assert_string_equal(digits, "850705917302346158658436518579420528635"); /* 5 × (2^127 - 1) */
    look_done(&l);
    hf_arena_release(&names);
    end(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_balances),
        cmocka_unit_test(test_statements),
        cmocka_unit_test(test_effective_in_the_past),
        cmocka_unit_test(test_transfers_and_holds),
        cmocka_unit_test(test_lists_by_name),
        cmocka_unit_test(test_totals),
        cmocka_unit_test(test_totals_beyond_128_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
