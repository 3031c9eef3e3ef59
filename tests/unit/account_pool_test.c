/* Where accounts are in memory: they stay, their texts are theirs, and what was reserved can be put. */
#include "base/alloc.h"
#include "core/account_pool.h"
#include "unit/support.h"

#define MANY 5000u

static struct hf_account account_of(uint32_t i, char text[HF_NAME_BYTES_MAX])
{
    struct hf_account account = {.version = i, .state = HF_ACCOUNT_OPEN};
    int len = snprintf(text, HF_NAME_BYTES_MAX, "account-%0*u", (int)(1 + i % 90), i);
    memcpy(account.name.id.bytes, &i, sizeof(i));
    account.name.text = (struct hf_str){text, (uint32_t)len};
    return account;
}

static bool reserve(struct hf_account_pool *pool, uint32_t from, uint32_t count)
{
    char text[HF_NAME_BYTES_MAX];
    hf_account_pool_begin(pool);
    for (uint32_t i = from; i < from + count; i++) {
        struct hf_account account = account_of(i, text);
        if (!hf_account_pool_reserve(pool, &account.name)) {
            return false;
        }
    }
    return true;
}

static struct hf_account *put(struct hf_account_pool *pool, uint32_t i)
{
    char text[HF_NAME_BYTES_MAX];
    struct hf_account account = account_of(i, text);
    return hf_account_pool_put(pool, &account);
}

static void check_walk(const struct hf_account_pool *pool, uint32_t count)
{
    char text[HF_NAME_BYTES_MAX];
    uint64_t text_bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct hf_account *account = hf_account_pool_at(pool, i);
        struct hf_account expected = account_of(i, text);
        assert_non_null(account);
        assert_int_equal((uintptr_t)account % 64, 0);
        assert_int_equal(account->version, i);
        assert_true(hf_name_equal(&account->name, &expected.name));
        assert_ptr_equal(hf_account_pool_find(pool, &expected.name.id), account);
        assert_ptr_equal(hf_account_pool_guess(pool, &expected.name.id), account);
        text_bytes += expected.name.text.len;
    }
    for (uint32_t i = count; i < count + 100; i++) {
        struct hf_account absent = account_of(i, text);
        assert_null(hf_account_pool_find(pool, &absent.name.id));
        struct hf_account *guess = hf_account_pool_guess(pool, &absent.name.id);
        assert_null(hf_account_pool_confirm(pool, guess, &absent.name.id));
    }
    assert_int_equal(hf_account_pool_count(pool), count);
    assert_int_equal(hf_account_pool_bytes(pool),
                     256 * (uint64_t)count + text_bytes + hf_places_bytes(&pool->places));
}

static void keeps_accounts_where_they_are(void **state)
{
    (void)state;
    static struct hf_account *places[MANY];
    struct hf_account_pool pool;
    hf_account_pool_init(&pool, 5);
    uint32_t count = 0;
    check_walk(&pool, 0);
    for (uint32_t batch = 1; count + batch < MANY; batch = 3 * batch % 701) {
        assert_true(reserve(&pool, count, batch));
        for (uint32_t i = 0; i < batch; i++) {
            places[count] = put(&pool, count);
            count++;
        }
    }
    check_walk(&pool, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(places[i]->version, i);
    }
    hf_account_pool_release(&pool);
    check_walk(&pool, 0);
}

static void gives_up_what_was_not_put(void **state)
{
    (void)state;
    struct hf_account_pool pool;
    hf_account_pool_init(&pool, 5);
    assert_true(reserve(&pool, 0, 100));
    int64_t before = hf_alloc_thread_bytes();
    for (uint32_t i = 0; i < 1000;
         i++) { /* a commit that is never applied takes nothing for good */
        assert_true(reserve(&pool, 0, 100));
    }
    assert_int_equal(hf_alloc_thread_bytes(), before);
    for (uint32_t i = 0; i < 100; i++) {
        (void)put(&pool, i);
    }
    check_walk(&pool, 100);
    hf_account_pool_release(&pool);
}

/* A guess by the hash alone can be wrong: two ids of one hash. */
static void confirms_a_guess(void **state)
{
    (void)state;
    struct hf_account_pool pool;
    hf_account_pool_init(&pool, 5);
    assert_true(reserve(&pool, 1, 2));
    struct hf_account *one = put(&pool, 1);
    struct hf_account *two = put(&pool, 2);
    assert_ptr_equal(hf_account_pool_confirm(&pool, one, &two->name.id), two);
    assert_ptr_equal(hf_account_pool_confirm(&pool, one, &one->name.id), one);
    assert_null(hf_account_pool_confirm(&pool, NULL, &one->name.id));
    hf_account_pool_release(&pool);
}

/* Beyond the pieces that double. */
static void numbers_a_million(void **state)
{
    (void)state;
    enum { COUNT = 700000 };
    struct hf_account_pool pool;
    hf_account_pool_init(&pool, 5);
    struct hf_account account = {.name.text = HF_STR("x")};
    for (uint32_t i = 0; i < COUNT; i++) {
        memcpy(account.name.id.bytes, &i, sizeof(i));
        account.version = i;
        hf_account_pool_begin(&pool);
        assert_true(hf_account_pool_reserve(&pool, &account.name));
        (void)hf_account_pool_put(&pool, &account);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        memcpy(account.name.id.bytes, &i, sizeof(i));
        assert_true(hf_account_pool_at(&pool, i)->version == i);
        assert_ptr_equal(hf_account_pool_find(&pool, &account.name.id),
                         hf_account_pool_at(&pool, i));
    }
    hf_account_pool_release(&pool);
}

static void tells_hex_names(void **state)
{
    (void)state;
    struct hf_account_pool pool;
    hf_account_pool_init(&pool, 5);
    char text[HF_UUID_TEXT_BYTES];
    struct hf_account account = {.name.id.bytes = {1, 2, 0xAB}};
    hf_name_hex(&account.name.id, text);
    account.name.text = (struct hf_str){text, sizeof(text)};
    hf_account_pool_begin(&pool);
    assert_true(hf_account_pool_reserve(&pool, &account.name));
    assert_true(hf_account_pool_put(&pool, &account)->hex_name);
    assert_true(reserve(&pool, 0, 1));
    assert_false(put(&pool, 0)->hex_name);
    hf_account_pool_release(&pool);
}

static void survives_short_memory(void **state)
{
    (void)state;
    for (uint64_t fault = 1;; fault++) {
        struct hf_account_pool pool;
        hf_account_pool_init(&pool, 5);
        hf_alloc_fault_set(fault);
        bool ok = true;
        for (uint32_t i = 0; ok && i < 300; i++) {
            ok = reserve(&pool, i, 1);
            if (ok) {
                (void)put(&pool, i);
            } else { /* memory is there again */
                assert_true(reserve(&pool, i, 300 - i));
                for (; i < 300; i++) {
                    (void)put(&pool, i);
                }
            }
        }
        bool hit = hf_alloc_fault_hit();
        hf_alloc_fault_set(0);
        check_walk(&pool, 300);
        hf_account_pool_release(&pool);
        if (!hit) {
            assert_true(fault > 5);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_accounts_where_they_are),
        cmocka_unit_test(gives_up_what_was_not_put),
        cmocka_unit_test(confirms_a_guess),
        cmocka_unit_test(numbers_a_million),
        cmocka_unit_test(tells_hex_names),
        cmocka_unit_test(survives_short_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
