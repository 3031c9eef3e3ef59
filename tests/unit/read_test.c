/*
 * Balances, statements, transfers and holds against a naive re-computation: random histories, every commit decoded
 * and walked from the first one on, for each question anew. Warm, and with everything cold. SEED=n replays one
 * seed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/time_text.h"
#include "unit/read_history.h"
#include "unit/support.h"

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
    query->name = history_name(history_accounts[account]);
    history_look(h, query, &l);
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
    history_look_done(&l);
}

static void check_recorded_balances(struct history *h, uint32_t account)
{
    struct hf_query query = {.at = HF_AT_NOW};
    struct hf_name name = history_name(history_accounts[account]);
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
    struct hf_query query = {.type = HF_QUERY_BALANCE, .name = history_name("u:1")};
    query.at = HF_AT_VERSION;
    query.version = 1000000;
    history_look(h, &query, &l);
    assert_int_equal(l.reading.code, HF_ERR_INVALID_REQUEST);
    assert_non_null(l.reading.detail);
    history_look_done(&l);
    query.at = HF_AT_POSITION;
    query.position = h->rig.state.position + 1;
    history_look(h, &query, &l);
    assert_int_equal(l.reading.code, HF_ERR_INVALID_REQUEST);
    history_look_done(&l);
    query.name = history_name("nobody");
    history_look(h, &query, &l);
    assert_int_equal(l.reading.code, HF_ERR_ACCOUNT_NOT_FOUND);
    history_look_done(&l);
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
                                 .name = history_name(history_accounts[account]),
                                 .at = HF_AT_TIME,
                                 .clock = HF_CLOCK_EFFECTIVE,
                                 .at_us = START_US - 2000000000 +
                                          history_below(h, h->now_us - START_US + 4000000000)};
        if (i < 20 && h->fact_count > 0) {
            query.at_us = h->facts[history_below(h, h->fact_count)].effective_us;
        }
        struct look l;
        history_look(h, &query, &l);
        assert_int_equal(l.reading.code, HF_ERR_OK);
        assert_false(l.reading.balance.has_pending);
        struct hf_totals naive = effective_before(h, account, query.at_us + 1);
        expect_totals(&l.reading.balance.totals, &naive);
        history_look_done(&l);
    }
}

static void balances(enum core_rig_mode mode, uint64_t seed, unsigned commits)
{
    struct history h;
    history_begin(&h, mode, seed);
    hf_arena_init(&history_names);
    history_grow(&h, commits);
    for (uint32_t account = 0; account < ACCOUNTS; account++) {
        check_recorded_balances(&h, account);
        check_effective_balances(&h, account);
    }
    check_not_yet(&h);
    hf_arena_release(&history_names);
    history_end(&h);
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
        qsort(lines, count, sizeof(struct fact *), compare_facts);
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
    query->name = history_name(history_accounts[account]);
    query->from = 0;
    while (more) {
        struct look l;
        history_look(h, query, &l);
        if (!paged && count > query->limit) {
            assert_int_equal(l.reading.code, HF_ERR_TOO_LARGE);
            assert_non_null(l.reading.detail);
            history_look_done(&l);
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
        history_look_done(&l);
    }
    assert_int_equal(shown, count);
    assert_true(posted == closing);
}

/* Some instant; often exactly one at which something happened or counts. */
static uint64_t instant(struct history *h)
{
    const struct fact *fact = &h->facts[history_below(h, h->fact_count)];
    switch (history_below(h, 3)) {
    case 0:
        return fact->time_us;
    case 1:
        return fact->posts ? fact->effective_us : fact->time_us;
    default:
        return START_US - 2000000000 + history_below(h, h->now_us - START_US + 4000000000);
    }
}

static void statements(enum core_rig_mode mode, uint64_t seed, unsigned commits)
{
    struct history h;
    history_begin(&h, mode, seed);
    hf_arena_init(&history_names);
    history_grow(&h, commits);
    for (unsigned i = 0; i < 300; i++) {
        uint64_t a = instant(&h);
        uint64_t b = instant(&h);
        struct hf_query query = {
            .from_us = history_below(&h, 4) == 0 ? 0 : hf_min_u64(a, b),
            .to_us = history_below(&h, 4) == 0 ? UINT64_MAX : hf_max_u64(a, b) + (a == b),
            .limit = (uint32_t)(history_below(&h, 3) == 0 ? 1000 : 1 + history_below(&h, 40)),
            .clock = history_below(&h, 2) == 0 ? HF_CLOCK_EFFECTIVE : HF_CLOCK_RECORDED,
            .whole = history_below(&h, 2) == 0,
        };
        check_statement(&h, (uint32_t)history_below(&h, ACCOUNTS), &query);
    }
    hf_arena_release(&history_names);
    history_end(&h);
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
    history_begin(&h, CORE_RIG_HOT, 1);
    hf_arena_init(&history_names);
    history_ask(
        &h, "{\"do\":[{\"op\":\"transfer\",\"id\":\"late\",\"from\":\"world\",\"to\":\"u:2\","
            "\"asset\":\"USD/2\",\"amount\":\"500\",\"effective_at\":\"2019-06-01T12:00:00Z\"}]}");
    history_ask(&h,
                "{\"do\":[{\"op\":\"transfer\",\"id\":\"now\",\"from\":\"world\",\"to\":\"u:2\","
                "\"asset\":\"USD/2\",\"amount\":\"30\"}]}");
    history_learn(&h);
    uint64_t from_us, to_us;
    assert_true(hf_time_parse(HF_STR("2019-01-01T00:00:00Z"), &from_us));
    assert_true(hf_time_parse(HF_STR("2020-01-01T00:00:00Z"), &to_us));
    struct hf_query query = {.type = HF_QUERY_STATEMENT,
                             .name = history_name("u:2"),
                             .clock = HF_CLOCK_EFFECTIVE,
                             .from_us = from_us,
                             .to_us = to_us,
                             .limit = 10};
    struct look l;
    history_look(&h, &query, &l);
    assert_int_equal(l.reading.statement.line_count, 1);
    assert_true(l.reading.statement.closing.totals.credits_posted == 500);
    assert_true(hf_str_equal(l.reading.statement.lines[0].event->posting.transfer.name.text,
                             HF_STR("late")));
    history_look_done(&l);
    query.clock = HF_CLOCK_RECORDED;
    history_look(&h, &query, &l);
    assert_int_equal(l.reading.statement.line_count, 0);
    assert_true(l.reading.statement.closing.totals.credits_posted == 0);
    history_look_done(&l);
    query.from_us = to_us;
    query.to_us = UINT64_MAX;
    query.clock = HF_CLOCK_EFFECTIVE;
    history_look(&h, &query, &l);
    assert_int_equal(l.reading.statement.line_count, 1);
    assert_true(hf_totals_posted(&l.reading.statement.opening.totals) == 500);
    assert_true(hf_totals_posted(&l.reading.statement.closing.totals) == 530);
    history_look_done(&l);
    hf_arena_release(&history_names);
    history_end(&h);
}

/* ---- transfers and holds of an account ---- */

/* All pages of a list; ids in order of appearance. */
static size_t collect(struct history *h, struct hf_query *query, char ids[][64], bool check_state)
{
    size_t count = 0;
    bool more = true;
    while (more) {
        struct look l;
        history_look(h, query, &l);
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
        history_look_done(&l);
    }
    return count;
}

/* The thing as a read of it alone gives it. */
static struct hf_entity one(struct history *h, enum hf_query_type type, const char *id)
{
    struct look l;
    struct hf_query query = {.type = type, .name = history_name(id)};
    history_look(h, &query, &l);
    assert_int_equal(l.reading.code, HF_ERR_OK);
    struct hf_entity entity = l.reading.entity;
    history_look_done(&l);
    return entity;
}

static void check_transfers(struct history *h, uint32_t account, uint32_t limit)
{
    static char ids[ENTRIES_MAX][64];
    struct hf_query query = {.type = HF_QUERY_TRANSFERS,
                             .name = history_name(history_accounts[account]),
                             .limit = limit};
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
                             .name = history_name(history_accounts[account]),
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
        .type = HF_QUERY_TRANSFERS, .name = history_name(history_accounts[account]), .limit = 200};
    char id[64];
    hf_u128 reversed[200];
    static char listed[200][64];
    history_look(h, &query, &l);
    uint32_t count = l.reading.entity_count;
    for (uint32_t i = 0; i < count; i++) {
        const struct hf_transfer *transfer = &l.reading.entities[i].transfer;
        reversed[i] = transfer->reversed;
        (void)snprintf(listed[i], sizeof(id), "%.*s", (int)transfer->name.text.len,
                       transfer->name.text.ptr);
    }
    history_look_done(&l);
    for (uint32_t i = 0; i < count; i++) {
        assert_u128_equal(one(h, HF_QUERY_TRANSFER, listed[i]).transfer.reversed, reversed[i]);
    }
}

static void of_accounts(enum core_rig_mode mode, uint64_t seed, unsigned commits)
{
    static const uint32_t limits[] = {1, 3, 64, 1000};
    struct history h;
    history_begin(&h, mode, seed);
    hf_arena_init(&history_names);
    history_grow(&h, commits);
    for (uint32_t account = 0; account < ACCOUNTS; account++) {
        for (size_t i = commits > 500 ? 2 : 0; i < HF_ARRAY_COUNT(limits); i++) {
            check_transfers(&h, account, limits[i]);
            for (int hold_state = 0; hold_state <= HF_HOLD_EXPIRED; hold_state++) {
                check_holds(&h, account, limits[i], (enum hf_hold_state)hold_state);
            }
        }
        check_reversed(&h, account);
    }
    hf_arena_release(&history_names);
    history_end(&h);
}

static void test_transfers_and_holds(void **state)
{
    (void)state;
    of_accounts(CORE_RIG_HOT, 6, 400);
    of_accounts(CORE_RIG_COLD, 7, 400);
    of_accounts(CORE_RIG_HOT, 8, 2500); /* more entries than a page looks at */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_balances),
        cmocka_unit_test(test_statements),
        cmocka_unit_test(test_effective_in_the_past),
        cmocka_unit_test(test_transfers_and_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
