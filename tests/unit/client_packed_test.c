/*
 * Packed calls and tickets against a naive server that misbehaves: what a record is, when an answer is one, what the caller
 * is told, and that everything happens once.
 */
#include "base/alloc.h"
#include "base/bytes.h"
#include "client/packed_priv.h"
#include "unit/packed_server.h"
#include "unit/support.h"

#define COUNT 9 /* records of most requests */

static struct packed_server server;
static struct holdfast_client_failure failure;
static struct holdfast_client_packed_result *result;
static struct holdfast_client_record records[HOLDFAST_PACKED_RECORDS_MAX + 1];

static struct holdfast_client *client_of(uint64_t total_ms)
{
    const char *addresses[] = {server.address};
    struct holdfast_client *client;
    struct holdfast_client_options options = {.addresses = addresses,
                                              .address_count = 1,
                                              .total_timeout_ms = total_ms,
                                              .connect_timeout_ms = 60000,
                                              .request_timeout_ms = 300000,
                                              .backoff_first_ms = 1,
                                              .backoff_max_ms = 4};
    assert_int_equal(holdfast_client_new(&options, &client, &failure), HOLDFAST_CLIENT_OK);
    return client;
}

#define START(script, total_ms) start((script), sizeof(script) / sizeof((script)[0]), (total_ms))
static struct holdfast_client *start(const enum packed_fault *script, size_t count,
                                     uint64_t total_ms)
{
    packed_server_start(&server, script, count);
    return client_of(total_ms);
}

static void stop(struct holdfast_client *client)
{
    holdfast_client_packed_result_free(result);
    result = NULL;
    holdfast_client_free(client);
    packed_server_stop(&server);
}

/* The n-th record, of which `code` becomes. */
static struct holdfast_client_record record_of(uint64_t n, uint32_t code, uint32_t flags)
{
    struct holdfast_client_packed_transfer transfer = {
        .from = holdfast_client_id_of("a"),
        .to = holdfast_client_id_of("b"),
        .asset = "USD/2",
        .amount = n + 1,
        .code = code,
        .flags = flags,
    };
    struct holdfast_client_record record;
    hf_put_u64(transfer.id.bytes, 7);
    hf_put_u64(transfer.id.bytes + 8, n);
    assert_true(holdfast_client_pack_transfer(&transfer, &record));
    return record;
}

/* count of them; every third is refused, with the code 1000 + its index. */
static void fill(struct holdfast_client_record *to, size_t count, uint64_t first)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = record_of(first + i, i % 3 == 1 ? 1000 + (uint32_t)i : 0, 0);
    }
}

static enum holdfast_client_error send_records(struct holdfast_client *client, size_t count)
{
    struct holdfast_client_packed packed = {
        .kind = HOLDFAST_CLIENT_TRANSFERS, .records = records, .record_count = count};
    holdfast_client_packed_result_free(result);
    return holdfast_client_packed(client, &packed, &result, &failure);
}

/* The outcome of what fill() made. */
static void assert_filled(const struct holdfast_client_packed_result *got, size_t count,
                          bool replayed)
{
    size_t refused = (count + 1) / 3;
    assert_int_equal(got->refused_count, refused);
    assert_int_equal(got->accepted, replayed ? 0 : count - refused);
    assert_int_equal(got->replayed, replayed ? count - refused : 0);
    assert_int_equal(got->position == 0, replayed);
    assert_int_equal(got->time_us == 0, replayed);
    for (uint32_t i = 0; i < refused; i++) {
        assert_int_equal(got->refused[i].index, 3 * i + 1);
        assert_int_equal(got->refused[i].code, 1000 + 3 * i + 1);
        assert_int_equal(got->refused[i].flags, replayed ? HOLDFAST_FLAG_REPLAYED : 0);
    }
}

/* ---- ids and records ---- */

static void ids(void **state)
{
    (void)state;
    static const uint8_t hashed[16] = {0xbd, 0x19, 0x7c, 0x4f, 0xb3, 0x59, 0x69, 0xe8,
                                       0xe5, 0x2f, 0x27, 0xe3, 0x2c, 0x1f, 0x96, 0x1a};
    static const uint8_t spelt[16] = {0x01, 0x90, 0x16, 0x3d, 0x86, 0x94, 0x73, 0x9b,
                                      0xae, 0xa5, 0x96, 0x6c, 0x26, 0xf8, 0xad, 0x90};
    struct holdfast_client_id id = holdfast_client_id_of("users:42");
    assert_memory_equal(id.bytes, hashed, 16);
    id = holdfast_client_id_of("0190163D-8694-739b-aea5-966c26f8ad90");
    assert_memory_equal(id.bytes, spelt, 16);
    char text[37];
    holdfast_client_id_text(&id, text);
    assert_string_equal(text, "0190163d-8694-739b-aea5-966c26f8ad90");
    /* No UUIDs: names like others. */
    static const char *const names[] = {"0190163d-8694-739b-aea5-966c26f8ad9g",
                                        "0190163d-8694-739b-aea5-966c26f8ad9",
                                        "0190163d-8694-739b-aea5+966c26f8ad90"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        id = holdfast_client_id_of(names[i]);
        assert_memory_not_equal(id.bytes, spelt, 8);
    }
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    struct holdfast_client_id last = holdfast_client_id_new();
    uint64_t ms = 0;
    for (unsigned i = 0; i < 6; i++) {
        ms = ms << 8 | last.bytes[i];
    }
    assert_true(ms >= (uint64_t)now.tv_sec * 1000 && ms < (uint64_t)now.tv_sec * 1000 + 600000);
    for (unsigned i = 0; i < 20000; i++) {
        id = holdfast_client_id_new();
        assert_true(memcmp(last.bytes, id.bytes, 16) < 0);
        assert_int_equal(id.bytes[6] >> 4, 7);
        assert_int_equal(id.bytes[8] >> 6, 2);
        last = id;
    }
}

static void transfers_as_bytes(void **state)
{
    (void)state;
    static const uint8_t asset[8] = {0x34, 0x74, 0x0c, 0xfe, 0x74, 0xd3, 0xfe, 0x9d};
    struct holdfast_client_packed_transfer transfer = {.asset = "USD/2",
                                                       .amount = 0x0102030405060708,
                                                       .amount_high = 0x1112131415161718,
                                                       .effective_us = 0x2122232425262728,
                                                       .timeout_ms = 0x3132333435363738,
                                                       .code = 0x41424344,
                                                       .flags = 0x51525354};
    struct holdfast_client_record record;
    uint8_t wanted[HOLDFAST_PACKED_BYTES];
    memset(transfer.id.bytes, 0xA0, 16);
    memset(transfer.from.bytes, 0xA1, 16);
    memset(transfer.to.bytes, 0xA2, 16);
    memset(transfer.pending.bytes, 0xA3, 16);
    memset(transfer.user_data.bytes, 0xA4, 16);
    memset(wanted, 0xA0, 16);
    memset(wanted + 16, 0xA1, 16);
    memset(wanted + 32, 0xA2, 16);
    memset(wanted + 64, 0xA3, 16);
    memset(wanted + 80, 0xA4, 16);
    memcpy(wanted + 104, asset, 8);
    for (unsigned i = 0; i < 8; i++) {
        wanted[48 + i] = (uint8_t)(0x08 - i);
        wanted[56 + i] = (uint8_t)(0x18 - i);
        wanted[96 + i] = (uint8_t)(0x28 - i);
        wanted[112 + i] = (uint8_t)(0x38 - i);
    }
    for (unsigned i = 0; i < 4; i++) {
        wanted[120 + i] = (uint8_t)(0x44 - i);
        wanted[124 + i] = (uint8_t)(0x54 - i);
    }
    assert_true(holdfast_client_pack_transfer(&transfer, &record));
    assert_memory_equal(record.bytes, wanted, HOLDFAST_PACKED_BYTES);
    transfer.asset = NULL;
    memset(wanted + 104, 0, 8);
    assert_true(holdfast_client_pack_transfer(&transfer, &record));
    assert_memory_equal(record.bytes, wanted, HOLDFAST_PACKED_BYTES);
    memset(transfer.id.bytes, 0, 16);
    memset(wanted, 0, sizeof(wanted));
    assert_false(holdfast_client_pack_transfer(&transfer, &record));
    assert_memory_equal(record.bytes, wanted, HOLDFAST_PACKED_BYTES);
}

static void accounts_as_bytes(void **state)
{
    (void)state;
    struct holdfast_client_packed_account account = {.asset = "USD/2",
                                                     .floor = (uint64_t)-5,
                                                     .floor_high = -1,
                                                     .ceiling = 7,
                                                     .ceiling_high = 1,
                                                     .flags = HOLDFAST_FLAG_CEILING};
    struct holdfast_client_record record;
    uint8_t wanted[HOLDFAST_PACKED_BYTES] = {0};
    memset(account.id.bytes, 0xA0, 16);
    memset(wanted, 0xA0, 16);
    memset(wanted + 16, 0xFF, 16);
    wanted[16] = 0xFB;
    wanted[32] = 7;
    wanted[40] = 1;
    memcpy(wanted + 48, "USD/2", 5);
    wanted[72] = HOLDFAST_FLAG_CEILING;
    assert_true(holdfast_client_pack_account(&account, &record));
    assert_memory_equal(record.bytes, wanted, HOLDFAST_PACKED_BYTES);
    account.asset = "ABCDEFGHIJKLMNOPQRSTUV/2";
    assert_true(holdfast_client_pack_account(&account, &record));
    assert_memory_equal(record.bytes + 48, account.asset, 24);
    static const char *const wrong[] = {"ABCDEFGHIJKLMNOPQRSTUVW/2", "", NULL};
    memset(wanted, 0, sizeof(wanted));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        account.asset = wrong[i];
        assert_false(holdfast_client_pack_account(&account, &record));
        assert_memory_equal(record.bytes, wanted, HOLDFAST_PACKED_BYTES);
    }
    account.asset = "USD/2";
    memset(account.id.bytes, 0, 16);
    assert_false(holdfast_client_pack_account(&account, &record));
}

static void codes(void **state)
{
    (void)state;
    assert_string_equal(holdfast_client_code_text(0), "ok");
    assert_string_equal(holdfast_client_code_text(HOLDFAST_CODE_INSUFFICIENT_FUNDS),
                        "insufficient_funds");
    assert_string_equal(holdfast_client_code_text(HOLDFAST_CODE_TRANSFER_EXISTS),
                        "transfer_exists");
    assert_string_equal(holdfast_client_code_text(9999), "unknown");
}

/* ---- what is an answer ---- */

static void results_that_fit(void **state)
{
    (void)state;
    uint8_t body[HOLDFAST_RESULTS_BYTES + 2 * HOLDFAST_RESULT_BYTES] = {0};
    hf_put_u64(body + HOLDFAST_RESULTS_POSITION, 5);
    hf_put_u32(body + HOLDFAST_RESULTS_ACCEPTED, 2);
    hf_put_u32(body + HOLDFAST_RESULTS_REPLAYED, 1);
    hf_put_u32(body + HOLDFAST_RESULTS_REFUSED, 2);
    hf_put_u32(body + 32 + HOLDFAST_RESULT_INDEX, 0);
    hf_put_u16(body + 32 + HOLDFAST_RESULT_CODE, 170);
    hf_put_u32(body + 40 + HOLDFAST_RESULT_INDEX, 4);
    hf_put_u16(body + 40 + HOLDFAST_RESULT_CODE, 171);
    assert_true(hf_client_results_fit(body, sizeof(body), 5));
    assert_false(hf_client_results_fit(body, sizeof(body), 4));
    assert_false(hf_client_results_fit(body, sizeof(body), 6));
    for (size_t bytes = 0; bytes < sizeof(body); bytes++) {
        assert_false(hf_client_results_fit(body, bytes, 5));
    }
    static const struct {
        size_t at;
        uint8_t value;
    } wrong[] = {
        {HOLDFAST_RESULTS_POSITION, 0},      {HOLDFAST_RESULTS_ACCEPTED, 3},
        {HOLDFAST_RESULTS_REPLAYED + 3, 1},  {HOLDFAST_RESULTS_REFUSED, 1},
        {40 + HOLDFAST_RESULT_INDEX, 5},     {40 + HOLDFAST_RESULT_INDEX, 0},
        {32 + HOLDFAST_RESULT_INDEX, 4},     {32 + HOLDFAST_RESULT_CODE, 0},
        {40 + HOLDFAST_RESULT_INDEX + 2, 1},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint8_t before = body[wrong[i].at];
        body[wrong[i].at] = wrong[i].value;
        assert_false(hf_client_results_fit(body, sizeof(body), 5));
        body[wrong[i].at] = before;
    }
    assert_true(hf_client_results_fit(body, sizeof(body), 5));
}

/* ---- packed calls ---- */

static void outcomes(void **state)
{
    (void)state;
    struct holdfast_client *client = start(NULL, 0, 600000);
    fill(records, COUNT, 0);
    assert_int_equal(send_records(client, COUNT), HOLDFAST_CLIENT_OK);
    assert_filled(result, COUNT, false);
    assert_int_equal(result->position, 1);
    assert_int_equal(result->time_us, 1000001);
    assert_int_equal(result->attempts, 1);
    assert_string_equal(result->address, server.address);
    assert_int_equal(send_records(client, COUNT), HOLDFAST_CLIENT_OK);
    assert_filled(result, COUNT, true);
    /* Another record under an id: the first one stands. A chain is refused as one. */
    records[0] = record_of(0, 0, 0);
    records[0].bytes[HOLDFAST_TRANSFER_AMOUNT]++;
    records[1] = record_of(100, 0, HOLDFAST_FLAG_LINKED);
    records[2] = record_of(101, 170, 0);
    assert_int_equal(send_records(client, 3), HOLDFAST_CLIENT_OK);
    assert_int_equal(result->refused_count, 3);
    assert_int_equal(result->refused[0].code, HOLDFAST_CODE_TRANSFER_EXISTS);
    assert_int_equal(result->refused[1].code, 170);
    assert_int_equal(result->refused[1].flags, HOLDFAST_FLAG_CHAIN);
    assert_int_equal(result->refused[2].flags, 0);
    stop(client);
}

static void as_many_as_go(void **state)
{
    (void)state;
    struct holdfast_client *client = start(NULL, 0, 600000);
    fill(records, HOLDFAST_PACKED_RECORDS_MAX, 0);
    assert_int_equal(send_records(client, HOLDFAST_PACKED_RECORDS_MAX), HOLDFAST_CLIENT_OK);
    assert_filled(result, HOLDFAST_PACKED_RECORDS_MAX, false);
    assert_int_equal(packed_server_done(&server), HOLDFAST_PACKED_RECORDS_MAX);
    stop(client);
}

/* Whatever becomes of an answer: the same records again, and each has happened once. */
static void again_until_it_is_whole(void **state)
{
    (void)state;
    static const enum packed_fault script[] = {
        PACKED_LOST,      PACKED_NOT_JUDGED, PACKED_DONE_LOST, PACKED_CUT,
        PACKED_CUT_WHOLE, PACKED_DOUBTFUL,   PACKED_OTHER_SUM, PACKED_OTHER_TYPE,
        PACKED_BAD_INDEX, PACKED_OVERLOADED, PACKED_FORBIDDEN, PACKED_STRANGER,
    };
    const size_t faults = sizeof(script) / sizeof(script[0]);
    struct holdfast_client *client = START(script, 600000);
    fill(records, COUNT, 0);
    assert_int_equal(send_records(client, COUNT), HOLDFAST_CLIENT_OK);
    assert_filled(result, COUNT, true);
    assert_int_equal(result->attempts, faults + 1);
    assert_int_equal(packed_server_requests(&server), faults + 1);
    assert_int_equal(packed_server_done(&server), COUNT);
    stop(client);
    /* Each alone, too: what was done shows as a replay. */
    for (size_t i = 0; i < faults; i++) {
        if (script[i] == PACKED_FORBIDDEN || script[i] == PACKED_STRANGER) {
            continue; /* definite, if nothing came before */
        }
        client = start(&script[i], 1, 600000);
        assert_int_equal(send_records(client, COUNT), HOLDFAST_CLIENT_OK);
        assert_int_equal(result->attempts, 2);
        assert_filled(result, COUNT,
                      script[i] != PACKED_LOST && script[i] != PACKED_NOT_JUDGED &&
                          script[i] != PACKED_OVERLOADED);
        stop(client);
    }
}

static void refused_as_a_whole(void **state)
{
    (void)state;
    static const enum packed_fault script[] = {PACKED_FORBIDDEN, PACKED_TOO_LARGE};
    struct holdfast_client *client = START(script, 600000);
    fill(records, COUNT, 0);
    assert_int_equal(send_records(client, COUNT), HOLDFAST_CLIENT_REFUSED);
    assert_null(result);
    assert_int_equal(failure.error, HOLDFAST_CLIENT_REFUSED);
    assert_int_equal(failure.status, 403);
    assert_string_equal(failure.code, "forbidden");
    assert_int_equal(failure.attempts, 1);
    assert_string_equal(failure.key, "");
    assert_non_null(strstr(failure.text, "nothing has changed"));
    assert_int_equal(send_records(client, COUNT), HOLDFAST_CLIENT_REFUSED);
    assert_int_equal(failure.status, 413);
    records[7] = record_of(7, 0, 1u << 31);
    assert_int_equal(send_records(client, COUNT), HOLDFAST_CLIENT_REFUSED);
    assert_int_equal(failure.status, 400);
    assert_non_null(strstr(failure.text, "/7/flags"));
    assert_int_equal(packed_server_done(&server), 0);
    stop(client);
}

/* What refuses the repetition says nothing of the sending before; nor does a box in between. */
static void refused_after_an_unknown_one(void **state)
{
    (void)state;
    static const enum packed_fault script[] = {PACKED_DONE_LOST, PACKED_TOO_LARGE, PACKED_STRANGER};
    struct holdfast_client *client = START(script, 600000);
    fill(records, COUNT, 0);
    assert_int_equal(send_records(client, COUNT), HOLDFAST_CLIENT_UNKNOWN);
    assert_int_equal(failure.status, 413);
    assert_string_equal(failure.code, "too_large");
    assert_int_equal(failure.attempts, 2);
    assert_non_null(strstr(failure.text, "perhaps done"));
    assert_int_equal(packed_server_done(&server), COUNT);
    assert_int_equal(send_records(client, COUNT), HOLDFAST_CLIENT_UNKNOWN);
    assert_int_equal(failure.status, 404);
    stop(client);
}

static void no_answer_in_time(void **state)
{
    (void)state;
    static const enum packed_fault script[] = {PACKED_BUSY_LONG, PACKED_DONE_LOST,
                                               PACKED_BUSY_LONG};
    struct holdfast_client *client = START(script, 600000);
    fill(records, COUNT, 0);
    assert_int_equal(send_records(client, COUNT), HOLDFAST_CLIENT_UNAVAILABLE);
    assert_string_equal(failure.code, "overloaded");
    assert_int_equal(packed_server_done(&server), 0);
    assert_int_equal(send_records(client, COUNT), HOLDFAST_CLIENT_UNKNOWN);
    assert_string_equal(failure.key, "");
    assert_int_equal(failure.attempts, 2);
    stop(client);
}

static void wrong_arguments(void **state)
{
    (void)state;
    struct holdfast_client *client = start(NULL, 0, 600000);
    fill(records, HOLDFAST_PACKED_RECORDS_MAX + 1, 0);
    assert_int_equal(send_records(client, 0), HOLDFAST_CLIENT_INVALID);
    assert_int_equal(send_records(client, HOLDFAST_PACKED_RECORDS_MAX + 1),
                     HOLDFAST_CLIENT_INVALID);
    memset(records[COUNT - 1].bytes, 0, 16);
    assert_int_equal(send_records(client, COUNT), HOLDFAST_CLIENT_INVALID);
    assert_string_equal(failure.text, "records: an id that is zero");
    records[COUNT - 1] = record_of(1, 0, HOLDFAST_FLAG_LINKED);
    assert_int_equal(send_records(client, COUNT), HOLDFAST_CLIENT_INVALID);
    struct holdfast_client_packed packed = {.records = records, .record_count = 1};
    assert_int_equal(holdfast_client_packed(client, &packed, &result, &failure),
                     HOLDFAST_CLIENT_INVALID);
    packed.kind = HOLDFAST_CLIENT_TRANSFERS;
    packed.records = NULL;
    struct holdfast_client_ticket *ticket;
    assert_int_equal(holdfast_client_packed(client, &packed, &result, NULL),
                     HOLDFAST_CLIENT_INVALID);
    assert_int_equal(holdfast_client_packed_start(client, &packed, &ticket, NULL),
                     HOLDFAST_CLIENT_INVALID);
    assert_null(ticket);
    assert_int_equal(packed_server_requests(&server), 0);
    stop(client);
}

/* Every allocation of ours fails in turn. */
static void memory_is_short(void **state)
{
    (void)state;
    struct holdfast_client *client = start(NULL, 0, 300);
    bool hit = true;
    fill(records, COUNT, 0);
    for (uint64_t n = 1; hit; n++) {
        size_t before = packed_server_requests(&server);
        hf_alloc_fault_set(n);
        enum holdfast_client_error error = send_records(client, COUNT);
        hit = hf_alloc_fault_hit();
        hf_alloc_fault_set(0);
        assert_int_equal(result == NULL, error != HOLDFAST_CLIENT_OK);
        assert_true(error == HOLDFAST_CLIENT_OK || error == HOLDFAST_CLIENT_UNKNOWN ||
                    (error == HOLDFAST_CLIENT_NO_MEMORY &&
                     (failure.attempts > 0 || packed_server_requests(&server) == before)));
        assert_true(n < 1000);
    }
    stop(client);
}

/* ---- tickets ---- */

static void several_under_way(void **state)
{
    (void)state;
    struct holdfast_client *client = start(NULL, 0, 600000);
    struct holdfast_client_ticket *tickets[HOLDFAST_CLIENT_TICKETS_MAX];
    struct holdfast_client_ticket *more;
    packed_server_hold(&server, true);
    for (size_t i = 0; i < HOLDFAST_CLIENT_TICKETS_MAX; i++) {
        /* i + 1 records, the last one refused by a code of its own */
        struct holdfast_client_record *own = records + i * 100;
        for (size_t k = 0; k <= i; k++) {
            own[k] = record_of(i * 100 + k, k == i ? 2000 + (uint32_t)i : 0, 0);
        }
        struct holdfast_client_packed packed = {
            .kind = HOLDFAST_CLIENT_TRANSFERS, .records = own, .record_count = i + 1};
        assert_int_equal(holdfast_client_packed_start(client, &packed, &tickets[i], &failure),
                         HOLDFAST_CLIENT_OK);
    }
    packed_server_await(&server, HOLDFAST_CLIENT_TICKETS_MAX); /* all at once */
    struct holdfast_client_packed packed = {
        .kind = HOLDFAST_CLIENT_TRANSFERS, .records = records, .record_count = 1};
    assert_int_equal(holdfast_client_packed_start(client, &packed, &more, &failure),
                     HOLDFAST_CLIENT_BUSY);
    assert_null(more);
    assert_false(holdfast_client_packed_done(tickets[3]));
    packed_server_hold(&server, false);
    for (size_t i = HOLDFAST_CLIENT_TICKETS_MAX; i-- > 0;) {
        assert_int_equal(holdfast_client_packed_wait(tickets[i], &result, &failure),
                         HOLDFAST_CLIENT_OK);
        assert_int_equal(result->accepted, i);
        assert_int_equal(result->refused_count, 1);
        assert_int_equal(result->refused[0].index, i);
        assert_int_equal(result->refused[0].code, 2000 + i);
        holdfast_client_packed_result_free(result);
    }
    assert_int_equal(holdfast_client_packed_start(client, &packed, &more, &failure),
                     HOLDFAST_CLIENT_OK);
    while (!holdfast_client_packed_done(more)) {
        hf_client_sleep_ms(1);
    }
    assert_int_equal(holdfast_client_packed_wait(more, &result, NULL), HOLDFAST_CLIENT_OK);
    assert_int_equal(result->refused[0].flags, HOLDFAST_FLAG_REPLAYED);
    stop(client);
}

static void a_ticket_tells_its_failure(void **state)
{
    (void)state;
    static const enum packed_fault script[] = {PACKED_FORBIDDEN};
    struct holdfast_client *client = START(script, 600000);
    struct holdfast_client_ticket *ticket;
    fill(records, COUNT, 0);
    struct holdfast_client_packed packed = {
        .kind = HOLDFAST_CLIENT_ACCOUNTS, .records = records, .record_count = COUNT};
    assert_int_equal(holdfast_client_packed_start(client, &packed, &ticket, &failure),
                     HOLDFAST_CLIENT_OK);
    assert_int_equal(holdfast_client_packed_wait(ticket, &result, &failure),
                     HOLDFAST_CLIENT_REFUSED);
    assert_null(result);
    assert_int_equal(failure.status, 403);
    hf_alloc_fault_set(1);
    assert_int_equal(holdfast_client_packed_start(client, &packed, &ticket, &failure),
                     HOLDFAST_CLIENT_NO_MEMORY);
    hf_alloc_fault_set(0);
    assert_null(ticket);
    stop(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids),
        cmocka_unit_test(transfers_as_bytes),
        cmocka_unit_test(accounts_as_bytes),
        cmocka_unit_test(codes),
        cmocka_unit_test(results_that_fit),
        cmocka_unit_test(outcomes),
        cmocka_unit_test(as_many_as_go),
        cmocka_unit_test(again_until_it_is_whole),
        cmocka_unit_test(refused_as_a_whole),
        cmocka_unit_test(refused_after_an_unknown_one),
        cmocka_unit_test(no_answer_in_time),
        cmocka_unit_test(wrong_arguments),
        cmocka_unit_test(memory_is_short),
        cmocka_unit_test(several_under_way),
        cmocka_unit_test(a_ticket_tells_its_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
