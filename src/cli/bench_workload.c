/* What a request of the load says. */
#include <math.h>

#include "base/bytes.h"
#include "cli/bench.h"
#include "core/name.h"
#include "holdfast_packed.h"

#define ACCOUNT_TAG 0x62656e6368000000u /* "bench", in front of an account's number */
#define ZIPF_THETA  0.99
#define EVENT_FILLER                                                                               \
    "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghij" \
    "klmnopqrstuvwxyz"

/* ---- numbers ---- */

static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

uint64_t hf_bench_random_next(struct hf_bench_random *random)
{
    random->state += 0x9E3779B97F4A7C15u;
    return mix(random->state);
}

uint64_t hf_bench_random_below(struct hf_bench_random *random, uint64_t bound)
{
    return (uint64_t)(((hf_u128)hf_bench_random_next(random) * bound) >> 64);
}

void hf_bench_zipf_init(struct hf_bench_zipf *zipf, uint64_t count)
{
    double zeta = 0;
    for (uint64_t i = 1; i <= count; i++) {
        zeta += 1 / pow((double)i, ZIPF_THETA);
    }
    double zeta_of_two = 1 + pow(0.5, ZIPF_THETA);
    *zipf = (struct hf_bench_zipf){
        .count = (double)count,
        .zeta = zeta,
        .alpha = 1 / (1 - ZIPF_THETA),
        .eta = (1 - pow(2 / (double)count, 1 - ZIPF_THETA)) / (1 - zeta_of_two / zeta),
        .half = zeta_of_two,
    };
}

uint64_t hf_bench_zipf_next(const struct hf_bench_zipf *zipf, struct hf_bench_random *random)
{
    double u = (double)(hf_bench_random_next(random) >> 11) / 9007199254740992.0;
    double scaled = u * zipf->zeta;
    if (scaled < 1) {
        return 0;
    }
    if (scaled < zipf->half) {
        return 1;
    }
    uint64_t rank = (uint64_t)(zipf->count * pow(zipf->eta * u - zipf->eta + 1, zipf->alpha));
    uint64_t last = (uint64_t)zipf->count - 1;
    return hf_min_u64(rank, last);
}

/* ---- ids ---- */

static void put_big(uint8_t *to, uint64_t value)
{
    hf_put_u64(to, __builtin_bswap64(value));
}

void hf_bench_account_id(uint64_t i, uint8_t id[16])
{
    put_big(id, ACCOUNT_TAG);
    put_big(id + 8, i);
}

void hf_bench_operation_id(const struct hf_bench_plan *plan, uint64_t n, uint8_t id[16])
{
    put_big(id, plan->random_ids ? mix(plan->run ^ mix(n)) : plan->run);
    put_big(id + 8, plan->random_ids ? mix(plan->run + 2 * n + 1) | 1 : n + 1);
}

void hf_bench_put_hex(struct hf_buffer *to, const uint8_t id[16])
{
    struct hf_id copy;
    memcpy(copy.bytes, id, sizeof(copy.bytes));
    char text[HF_UUID_TEXT_BYTES];
    hf_name_hex(&copy, text);
    hf_buffer_bytes(to, text, sizeof(text));
}

/* ---- choice ---- */

/* For operation number n. */
static void choose(struct hf_bench_maker *maker, uint64_t n, uint64_t *from, uint64_t *to)
{
    uint64_t accounts = maker->plan->accounts;
    switch (maker->plan->choice) {
    case HF_BENCH_HOT:
        *from = 0;
        break;
    case HF_BENCH_TWO_HOT:
        *from = hf_bench_random_below(&maker->random, 2);
        break;
    case HF_BENCH_ZIPF:
        *from = hf_bench_zipf_next(&maker->zipf, &maker->random);
        break;
    case HF_BENCH_UNIFORM:
        *from = hf_bench_random_below(&maker->random, accounts);
        break;
    }
    if (maker->plan->hot_every > 0 && n % maker->plan->hot_every == 0) {
        *from = 0;
    }
    *to = (*from + 1 + hf_bench_random_below(&maker->random, accounts - 1)) % accounts;
}

/* ---- bodies ---- */

void hf_bench_put_record(struct hf_buffer *to, const struct hf_bench_maker *maker,
                         const uint8_t id[16], uint64_t from, uint64_t to_account, uint64_t amount,
                         uint32_t flags)
{
    uint8_t *record = hf_buffer_extend(to, HOLDFAST_PACKED_BYTES);
    if (record == NULL) {
        return;
    }
    memset(record, 0, HOLDFAST_PACKED_BYTES);
    memcpy(record + HOLDFAST_TRANSFER_ID, id, 16);
    hf_bench_account_id(from, record + HOLDFAST_TRANSFER_FROM);
    hf_bench_account_id(to_account, record + HOLDFAST_TRANSFER_TO);
    hf_put_u64(record + HOLDFAST_TRANSFER_AMOUNT, amount);
    memcpy(record + HOLDFAST_TRANSFER_ASSET, maker->asset_hash, sizeof(maker->asset_hash));
    hf_put_u32(record + HOLDFAST_TRANSFER_FLAGS, flags);
}

/* Ends hold number n. */
static void put_capture(const struct hf_bench_plan *plan, uint64_t n, struct hf_buffer *to)
{
    uint8_t *record = hf_buffer_extend(to, HOLDFAST_PACKED_BYTES);
    if (record == NULL) {
        return;
    }
    memset(record, 0, HOLDFAST_PACKED_BYTES);
    hf_bench_operation_id(plan, n, record + HOLDFAST_TRANSFER_ID);
    hf_bench_operation_id(plan, n, record + HOLDFAST_TRANSFER_PENDING);
    memset(record + HOLDFAST_TRANSFER_AMOUNT, 0xFF, 16); /* all that is left */
    hf_put_u32(record + HOLDFAST_TRANSFER_FLAGS, HOLDFAST_FLAG_CAPTURE);
}

static void put_packed(struct hf_bench_maker *maker, const struct hf_bench_request *request,
                       struct hf_buffer *to)
{
    uint32_t flags = maker->plan->two_phase ? HOLDFAST_FLAG_HOLD : 0;
    for (uint64_t n = request->first; n < request->first + request->count; n++) {
        if (request->captures) {
            put_capture(maker->plan, n, to);
            continue;
        }
        uint8_t id[16];
        uint64_t from;
        uint64_t to_account;
        choose(maker, n, &from, &to_account);
        hf_bench_operation_id(maker->plan, n, id);
        hf_bench_put_record(to, maker, id, from, to_account, 1, flags);
    }
}

static void put_transfer_json(struct hf_bench_maker *maker, uint64_t n, struct hf_buffer *to)
{
    uint8_t id[16];
    uint64_t from;
    uint64_t to_account;
    choose(maker, n, &from, &to_account);
    hf_bench_operation_id(maker->plan, n, id);
    hf_buffer_text(to, "{\"id\":\"");
    hf_bench_put_hex(to, id);
    hf_bench_account_id(from, id);
    hf_buffer_text(to, "\",\"from\":\"");
    hf_bench_put_hex(to, id);
    hf_bench_account_id(to_account, id);
    hf_buffer_text(to, "\",\"to\":\"");
    hf_bench_put_hex(to, id);
    hf_buffer_text(to, "\",\"asset\":\"" HF_BENCH_ASSET "\",\"amount\":\"1\"}");
}

/* 200 bytes of JSON an event, about. */
static void put_operation(struct hf_bench_maker *maker, uint64_t n, struct hf_buffer *to)
{
    const struct hf_bench_plan *plan = maker->plan;
    uint64_t thing = hf_bench_random_below(&maker->random, plan->accounts);
    if (plan->form == HF_BENCH_STREAMS) {
        hf_buffer_format(to,
                         "{\"op\":\"append\",\"stream\":\"bench:%llu\",\"type\":\"bench.event\",",
                         (unsigned long long)thing);
    } else {
        hf_buffer_format(to, "{\"op\":\"put\",\"document\":\"bench:%llu\",",
                         (unsigned long long)thing);
    }
    hf_buffer_format(to, "\"data\":{\"number\":%llu,\"text\":\"%s%.60s\"}}", (unsigned long long)n,
                     EVENT_FILLER, EVENT_FILLER);
}

static void put_body(struct hf_bench_maker *maker, const struct hf_bench_request *request,
                     struct hf_buffer *to)
{
    enum hf_bench_form form = maker->plan->form;
    if (form == HF_BENCH_PACKED) {
        put_packed(maker, request, to);
        return;
    }
    bool commit = form == HF_BENCH_STREAMS || form == HF_BENCH_DOCUMENTS;
    hf_buffer_text(to, commit ? "{\"do\":[" : "");
    for (uint64_t n = request->first; n < request->first + request->count; n++) {
        if (commit) {
            hf_buffer_text(to, n == request->first ? "" : ",");
            put_operation(maker, n, to);
        } else {
            put_transfer_json(maker, n, to);
            hf_buffer_text(to, form == HF_BENCH_NDJSON ? "\n" : "");
        }
    }
    hf_buffer_text(to, commit ? "]}" : "");
}

/* ---- requests ---- */

/* The head, with room for the length, which is known when the body stands behind it. */
#define LENGTH_DIGITS 10

static void put_head(const struct hf_bench_plan *plan, const char *method, const char *target,
                     const char *content_type, struct hf_buffer *to)
{
    hf_buffer_format(to, "%s %s HTTP/1.1\r\nHost: %s:%s\r\n", method, target, plan->host,
                     plan->port);
    if (plan->token[0] != '\0') {
        hf_buffer_format(to, "Authorization: Bearer %s\r\n", plan->token);
    }
    if (content_type != NULL) {
        hf_buffer_format(to, "Content-Type: %s\r\n", content_type);
    }
}

static void put_read(struct hf_bench_maker *maker, struct hf_buffer *to)
{
    uint8_t id[16];
    uint64_t from;
    uint64_t to_account;
    struct hf_buffer target;
    choose(maker, maker->next, &from, &to_account);
    hf_bench_account_id(from, id);
    hf_buffer_init(&target);
    hf_buffer_text(&target, "/v1/accounts/");
    hf_bench_put_hex(&target, id);
    hf_buffer_u8(&target, 0);
    if (!target.failed) {
        put_head(maker->plan, "GET", (const char *)target.data, NULL, to);
    }
    to->failed = to->failed || target.failed;
    hf_buffer_text(to, "\r\n");
    hf_buffer_release(&target);
}

static void put_change(struct hf_bench_maker *maker, const struct hf_bench_request *request,
                       struct hf_buffer *to)
{
    static const struct {
        const char *target, *content_type;
    } forms[] = {
        [HF_BENCH_PACKED] = {"/v1/transfers", HOLDFAST_PACKED_TRANSFERS},
        [HF_BENCH_SINGLE] = {"/v1/transfers", "application/json"},
        [HF_BENCH_NDJSON] = {"/v1/transfers?mode=each", "application/x-ndjson"},
        [HF_BENCH_STREAMS] = {"/v1/commits", "application/json"},
        [HF_BENCH_DOCUMENTS] = {"/v1/commits", "application/json"},
    };
    const struct hf_bench_plan *plan = maker->plan;
    put_head(plan, "POST", forms[plan->form].target, forms[plan->form].content_type, to);
    if (plan->form == HF_BENCH_STREAMS || plan->form == HF_BENCH_DOCUMENTS) {
        hf_buffer_format(to, "Idempotency-Key: bench-%llx-%llu\r\n", (unsigned long long)plan->run,
                         (unsigned long long)request->first);
    }
    hf_buffer_text(to, "Content-Length: ");
    size_t length_at = to->size_bytes;
    hf_buffer_text(to, "0000000000\r\n\r\n");
    size_t body_at = to->size_bytes;
    put_body(maker, request, to);
    if (!to->failed) {
        char digits[LENGTH_DIGITS + 1];
        (void)snprintf(digits, sizeof(digits), "%010u", (unsigned)(to->size_bytes - body_at));
        memcpy(to->data + length_at, digits, LENGTH_DIGITS);
    }
}

void hf_bench_maker_init(struct hf_bench_maker *maker, const struct hf_bench_plan *plan)
{
    struct hf_asset asset = {0};
    *maker = (struct hf_bench_maker){.plan = plan, .random = {plan->seed}};
    if (hf_asset_parse(HF_STR(HF_BENCH_ASSET), &asset)) {
        hf_asset_hash(&asset, maker->asset_hash);
    }
    if (plan->choice == HF_BENCH_ZIPF) {
        hf_bench_zipf_init(&maker->zipf, plan->accounts);
    }
}

void hf_bench_make(struct hf_bench_maker *maker, struct hf_bench_request *request,
                   struct hf_buffer *to)
{
    const struct hf_bench_plan *plan = maker->plan;
    hf_buffer_clear(to);
    if (plan->read_percent > 0 && hf_bench_random_below(&maker->random, 100) < plan->read_percent) {
        *request = (struct hf_bench_request){.read = true};
        put_read(maker, to);
        return;
    }
    if (plan->two_phase && request->count > 0 && !request->captures) {
        request->captures = true;
    } else {
        uint64_t left = plan->operations == 0 ? plan->batch : plan->operations - maker->next;
        *request = (struct hf_bench_request){
            .count = (uint32_t)hf_min_u64(plan->batch, left),
            .first = maker->next,
        };
        maker->next += request->count;
    }
    put_change(maker, request, to);
}

void hf_bench_http(const struct hf_bench_plan *plan, const char *method, const char *target,
                   const char *content_type, struct hf_str body, struct hf_buffer *to)
{
    hf_buffer_clear(to);
    put_head(plan, method, target, content_type, to);
    if (body.len > 0) {
        hf_buffer_format(to, "Content-Length: %zu\r\n", body.len);
    }
    hf_buffer_text(to, "\r\n");
    hf_buffer_bytes(to, body.ptr, body.len);
}
