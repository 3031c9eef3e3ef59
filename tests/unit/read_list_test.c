/* Lists by name and totals: each name once, in order, while others are made; sums equal to those of a walk. */
#include <stdio.h>

#include "base/check.h"
#include "unit/read_history.h"
#include "unit/support.h"

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
        history_look(h, &query, &l);
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
        history_look_done(&l);
        if (grow_meanwhile) {
            (void)snprintf(text, sizeof(text),
                           "{\"do\":[{\"op\":\"append\",\"stream\":\"n%u\",\"type\":\"t\","
                           "\"data\":1}]}",
                           (unsigned)history_below(h, 100000));
            history_ask(h, text);
        }
    }
    return count;
}

static bool begins_with(const struct hf_name *name, const char *prefix)
{
    return name->text.len >= strlen(prefix) && memcmp(name->text.ptr, prefix, strlen(prefix)) == 0;
}

static size_t naive_accounts(const struct hf_account_pool *accounts, const char *prefix)
{
    size_t count = 0;
    for (size_t i = 0; i < hf_account_pool_count(accounts); i++) {
        count += begins_with(&hf_account_pool_at(accounts, i)->name, prefix);
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
        count += there && begins_with(name, prefix);
    }
    return count;
}

static void make_names(struct history *h, unsigned count)
{
    char text[400];
    for (unsigned i = 0; i < count; i++) {
        unsigned number = (unsigned)history_below(h, 3000);
        const char *stem = prefixes[1 + history_below(h, 5)];
        if (history_below(h, 3) == 0) {
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
        history_ask(h, text);
        assert_int_equal(h->answer.status, 201);
    }
}

static void test_lists_by_name(void **state)
{
    (void)state;
    static const uint32_t limits[] = {1, 7, 1000};
    struct history h;
    history_begin(&h, CORE_RIG_HOT, 9);
    hf_arena_init(&history_names);
    make_names(&h, 1500);
    for (size_t i = 0; i < HF_ARRAY_COUNT(prefixes); i++) {
        for (size_t j = 0; j < HF_ARRAY_COUNT(limits); j++) {
            const struct hf_state *s = &h.rig.state;
            const char *prefix = prefixes[i];
            assert_int_equal(list_names(&h, HF_QUERY_ACCOUNTS, prefix, limits[j], false),
                             naive_accounts(&s->accounts, prefix));
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
    hf_arena_release(&history_names);
    history_end(&h);
}

/* ---- totals ---- */

static void check_sums(struct history *h, const char *asset, uint64_t expected_accounts)
{
    struct hf_query query = {.type = HF_QUERY_TOTALS};
    struct look l;
    struct hf_wide sums[4] = {{0}};
    uint64_t count = 0;
    const struct hf_account_pool *accounts = &h->rig.state.accounts;
    assert_true(hf_asset_parse(hf_str_from(asset), &query.asset));
    for (size_t i = 0; i < hf_account_pool_count(accounts); i++) {
        const struct hf_account *account = hf_account_pool_at(accounts, i);
        if (hf_asset_equal(&account->asset, &query.asset)) {
            hf_wide_add(&sums[0], account->totals.debits_posted);
            hf_wide_add(&sums[1], account->totals.credits_posted);
            hf_wide_add(&sums[2], account->totals.debits_pending);
            hf_wide_add(&sums[3], account->totals.credits_pending);
            count++;
        }
    }
    history_look(h, &query, &l);
    assert_int_equal(l.reading.code, HF_ERR_OK);
    assert_int_equal(count, expected_accounts);
    assert_int_equal(l.reading.totals.accounts, count);
    assert_true(hf_wide_equal(&l.reading.totals.debits_posted, &sums[0]));
    assert_true(hf_wide_equal(&l.reading.totals.credits_posted, &sums[1]));
    assert_true(hf_wide_equal(&l.reading.totals.debits_pending, &sums[2]));
    assert_true(hf_wide_equal(&l.reading.totals.credits_pending, &sums[3]));
    history_look_done(&l);
}

static void test_totals(void **state)
{
    (void)state;
    struct history h;
    history_begin(&h, CORE_RIG_HOT, 10);
    hf_arena_init(&history_names);
    for (unsigned i = 0; i < 20; i++) {
        history_grow(&h, 30);
        check_sums(&h, "USD/2", 9);
        check_sums(&h, "EUR/2", 1);
        check_sums(&h, "NONE/0", 0);
    }
    hf_arena_release(&history_names);
    history_end(&h);
}

/* Sums may pass 128 bits: the same enormous amount goes from hand to hand. */
static void test_totals_beyond_128_bits(void **state)
{
    (void)state;
    struct history h;
    history_begin(&h, CORE_RIG_HOT, 11);
    hf_arena_init(&history_names);
    static const char *const hands[] = {"world", "u:10", "u:2", "u:20", "u", "bank"};
    char text[300];
    for (unsigned i = 0; i + 1 < HF_ARRAY_COUNT(hands); i++) {
        (void)snprintf(text, sizeof(text),
                       "{\"do\":[{\"op\":\"transfer\",\"from\":\"%s\",\"to\":\"%s\",\"asset\":"
                       "\"USD/2\",\"amount\":\"170141183460469231731687303715884105727\"}]}",
                       hands[i], hands[i + 1]);
        history_ask(&h, text);
        assert_int_equal(h.answer.status, 201);
    }
    check_sums(&h, "USD/2", 9);
    struct hf_query query = {.type = HF_QUERY_TOTALS};
    struct look l;
    char digits[HF_WIDE_TEXT_BYTES];
    assert_true(hf_asset_parse(HF_STR("USD/2"), &query.asset));
    history_look(&h, &query, &l);
    (void)hf_wide_format(&l.reading.totals.debits_posted, digits);
    assert_string_equal(digits, "850705917302346158658436518579420528635"); /* 5 × (2^127 - 1) */
    history_look_done(&l);
    hf_arena_release(&history_names);
    history_end(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_by_name),
        cmocka_unit_test(test_totals),
        cmocka_unit_test(test_totals_beyond_128_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
