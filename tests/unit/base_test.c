/* Unit tests of src/base: bytes, u128, table, arena, buffer, errors, sha256. */
#include "base/alloc.h"
#include "base/arena.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/errors.h"
#include "base/hash_memo.h"
#include "base/sha256.h"
#include "base/table.h"
#include "base/u128.h"

#include <pthread.h>
#include <stdio.h>

#include "unit/support.h"

static void varints_have_one_encoding(void **state)
{
    (void)state;
    hf_u128 values[] = {0,          1, 127, 128, 300, UINT64_MAX, (hf_u128)1 << 64, HF_TOTAL_MAX,
                        HF_U128_MAX};
    for (size_t i = 0; i < HF_ARRAY_COUNT(values); i++) {
        uint8_t bytes[HF_VARINT_BYTES_MAX];
        size_t size = hf_put_varint(bytes, values[i]);
        struct hf_reader reader = hf_reader_over(bytes, size);
        assert_true(hf_read_varint(&reader, HF_U128_MAX) == values[i]);
        assert_false(reader.failed);
        assert_int_equal(hf_reader_left(&reader), 0);
        reader = hf_reader_over(bytes, size - 1); /* short */
        (void)hf_read_varint(&reader, HF_U128_MAX);
        assert_true(reader.failed);
    }
    const uint8_t padded[] = {0x80, 0x00};
    struct hf_reader reader = hf_reader_over(padded, 2);
    (void)hf_read_varint(&reader, HF_U128_MAX);
    assert_true(reader.failed);
    const uint8_t above[] = {0x80, 0x02};
    reader = hf_reader_over(above, 2);
    (void)hf_read_varint(&reader, 255);
    assert_true(reader.failed);
    uint8_t too_big[19];
    memset(too_big, 0xFF, 18);
    too_big[18] = 0x04; /* bit 128 */
    reader = hf_reader_over(too_big, sizeof(too_big));
    (void)hf_read_varint(&reader, HF_U128_MAX);
    assert_true(reader.failed);
}

static void amounts_are_strict_decimals(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      "01",
                                      "1.0",
                                      " 1",
                                      "1 ",
                                      "1e3",
                                      "0x1",
                                      "00",
                                      "340282366920938463463374607431768211456"};
    hf_u128 value;
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        assert_false(hf_u128_parse(hf_str_from(bad[i]), &value));
    }
    assert_true(hf_u128_parse(HF_STR("340282366920938463463374607431768211455"), &value));
    assert_u128_equal(value, HF_U128_MAX);
    char text[HF_I128_TEXT_BYTES];
    assert_int_equal(hf_u128_format(HF_U128_MAX, text), 39);
    assert_string_equal(text, "340282366920938463463374607431768211455");
    hf_i128 signed_value;
    assert_true(hf_i128_parse(HF_STR("-170141183460469231731687303715884105727"), &signed_value));
    assert_true(signed_value == -HF_I128_MAX);
    hf_i128_format(signed_value, text);
    assert_string_equal(text, "-170141183460469231731687303715884105727");
    hf_i128_format(HF_I128_MIN, text);
    assert_string_equal(text, "-170141183460469231731687303715884105728");
    assert_false(hf_i128_parse(HF_STR("-0"), &signed_value));
    assert_false(hf_i128_parse(HF_STR("170141183460469231731687303715884105728"), &signed_value));
    hf_i128 zigzags[] = {0, -1, 1, HF_I128_MAX, HF_I128_MIN};
    for (size_t i = 0; i < HF_ARRAY_COUNT(zigzags); i++) {
        assert_true(hf_i128_unzigzag(hf_i128_zigzag(zigzags[i])) == zigzags[i]);
    }
}

static struct hf_id id_of(uint64_t number)
{
    struct hf_id id = {{0}};
    hf_put_u64(id.bytes, number % 7); /* many share a half */
    hf_put_u64(id.bytes + 8, number);
    return id;
}

static void table_equals_a_plain_array(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    static int things[COUNT];
    bool there[COUNT] = {false};
    struct hf_table table;
    hf_table_init(&table, 42);
    uint64_t random = 1;
    for (int step = 0; step < 20000; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t n = (size_t)(random >> 33) % COUNT;
        struct hf_id id = id_of(n);
        if ((random >> 60) < 9) {
            assert_true(hf_table_reserve(&table, 1));
            assert_ptr_equal(hf_table_put(&table, &id, &things[n]), there[n] ? &things[n] : NULL);
            there[n] = true;
        } else {
            assert_ptr_equal(hf_table_remove(&table, &id), there[n] ? &things[n] : NULL);
            there[n] = false;
        }
        if (step % 100 == 0) {
            hf_table_verify(&table);
        }
    }
    for (size_t n = 0; n < COUNT; n++) {
        struct hf_id id = id_of(n);
        assert_ptr_equal(hf_table_get(&table, &id), there[n] ? &things[n] : NULL);
    }
    hf_table_release(&table);
}

/* A table that grows again and again, while things are taken out and put again that have not moved yet. */
static void table_grows_a_few_slots_a_put(void **state)
{
    (void)state;
    enum { COUNT = 4000 };
    static int things[COUNT];
    static bool there[COUNT];
    struct hf_table table;
    hf_table_init(&table, 7);
    uint64_t random = 3;
    size_t count = 0;
    size_t moving = 0;
    for (size_t n = 0; n < COUNT; n++) {
        struct hf_id id = id_of(n);
        assert_true(hf_table_reserve(&table, 1));
        assert_null(hf_table_put(&table, &id, &things[n]));
        there[n] = true;
        count++;
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t other = (size_t)(random >> 33) % (n + 1);
        id = id_of(other);
        if ((random >> 60) < 6) {
            assert_ptr_equal(hf_table_remove(&table, &id), there[other] ? &things[other] : NULL);
            count -= there[other];
            there[other] = false;
            assert_null(hf_table_remove(&table, &id));
        } else if ((random >> 60) < 9) { /* replaced, or there again */
            assert_true(hf_table_reserve(&table, 1));
            assert_ptr_equal(hf_table_put(&table, &id, &things[other]),
                             there[other] ? &things[other] : NULL);
            count += !there[other];
            there[other] = true;
        }
        assert_int_equal(table.count, count);
        if (table.before_capacity == 0 || n % 5 != 0) {
            continue;
        }
        moving++;
        hf_table_verify(&table);
        size_t seen = 0;
        size_t at = 0;
        int *thing;
        while ((thing = hf_table_next(&table, &at)) != NULL) {
            assert_true(there[thing - things]);
            seen++;
        }
        assert_int_equal(seen, count);
        for (size_t i = 0; i <= n; i++) {
            id = id_of(i);
            assert_ptr_equal(hf_table_get(&table, &id), there[i] ? &things[i] : NULL);
        }
    }
    assert_true(moving > 100);
    assert_true(hf_table_reserve(&table, 4 * COUNT)); /* a growth while… */
    assert_true(table.before_capacity > 0);
    assert_true(hf_table_reserve(&table, 16 * COUNT)); /* …one is under way */
    hf_table_verify(&table);
    assert_int_equal(table.count, count);
    hf_table_clear(&table);
    hf_table_verify(&table);
    hf_table_release(&table);
}

static void short_memory_leaves_things_as_they_were(void **state)
{
    (void)state;
    struct hf_table table;
    hf_table_init(&table, 0);
    hf_alloc_fault_set(1);
    assert_false(hf_table_reserve(&table, 10));
    assert_true(hf_alloc_fault_hit());
    assert_int_equal(table.capacity, 0);
    struct hf_arena arena;
    hf_arena_init(&arena);
    hf_alloc_fault_set(1);
    assert_null(hf_arena_alloc(&arena, 10));
    assert_non_null(hf_arena_alloc(&arena, 10));
    assert_null(hf_arena_alloc_zero(&arena, SIZE_MAX, 2));
    hf_arena_release(&arena);
    struct hf_buffer buffer;
    hf_buffer_init(&buffer);
    hf_alloc_fault_set(1);
    hf_buffer_u64(&buffer, 7);
    assert_true(buffer.failed);
    hf_buffer_u64(&buffer, 7);
    assert_int_equal(buffer.size_bytes, 0);
    hf_buffer_release(&buffer);
    hf_alloc_fault_set(0);
}

static void errors_wrap_outward_and_codes_are_unique(void **state)
{
    (void)state;
    struct hf_error error = {0};
    hf_error_set(&error, HF_ERR_IO, "short read");
    hf_error_wrap(&error, "segment %d", 7);
    assert_int_equal(hf_error_wrap(&error, "open log"), HF_ERR_IO);
    assert_string_equal(error.text, "open log: segment 7: short read");
    for (uint32_t i = 0; i < 1000; i++) {
        for (uint32_t j = i + 1; hf_err_known(i) && j < 1000; j++) {
            if (hf_err_known(j)) {
                assert_string_not_equal(hf_err_wire((enum hf_err)i), hf_err_wire((enum hf_err)j));
            }
        }
    }
    assert_int_equal(hf_err_status(HF_ERR_INSUFFICIENT_FUNDS), 422);
}

static void sha256_vector(void **state)
{
    (void)state;
    char text[65];
    struct hf_hash hash = hf_sha256("abc", 3);
    hf_hash_hex(&hash, text);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    struct hf_sha256_stream stream;
    hf_sha256_start(&stream);
    hf_sha256_update(&stream, "a", 1);
    hf_sha256_update(&stream, "bc", 2);
    struct hf_hash streamed = hf_sha256_finish(&stream);
    assert_true(hf_hash_equal(&hash, &streamed));
}

static void assert_memo_is_sha256(const char *text, size_t len)
{
    uint8_t half[16];
    struct hf_hash hash = hf_sha256(text, len);
    hf_hash_memo((struct hf_str){text, len}, half);
    HF_CHECK(memcmp(half, hash.bytes, sizeof(half)) == 0);
}

/* Every length around the words and the longest that is kept; twice each, the second one from memory. */
static void memo_equals_sha256(void **state)
{
    (void)state;
    char text[HF_HASH_MEMO_BYTES_MAX + 9];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)('a' + i % 26);
    }
    for (int again = 0; again < 2; again++) {
        for (size_t len = 0; len <= sizeof(text); len++) {
            assert_memo_is_sha256(text, len);
            assert_memo_is_sha256(text + sizeof(text) - len, len);
        }
        assert_memo_is_sha256("a\0\0", 3); /* zeroes count */
        assert_memo_is_sha256("a\0", 2);
        assert_memo_is_sha256("a", 1);
    }
}

/* More texts than there is room for, so that places are taken over while others read them. */
static void *use_memo(void *argument)
{
    uint64_t random = *(const uint64_t *)argument;
    for (unsigned i = 0; i < 40000; i++) {
        char text[32];
        random = random * 6364136223846793005u + 1442695040888963407u;
        int len = snprintf(text, sizeof(text), "account:%u", (unsigned)(random >> 33) % 6000);
        assert_memo_is_sha256(text, (size_t)len);
    }
    return NULL;
}

static void memo_is_right_on_many_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    uint64_t seeds[4] = {1, 2, 3, 1};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, use_memo, &seeds[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_have_one_encoding),
        cmocka_unit_test(amounts_are_strict_decimals),
        cmocka_unit_test(table_equals_a_plain_array),
        cmocka_unit_test(table_grows_a_few_slots_a_put),
        cmocka_unit_test(short_memory_leaves_things_as_they_were),
        cmocka_unit_test(errors_wrap_outward_and_codes_are_unique),
        cmocka_unit_test(sha256_vector),
        cmocka_unit_test(memo_equals_sha256),
        cmocka_unit_test(memo_is_right_on_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
