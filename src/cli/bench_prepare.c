/* Before and after the load: accounts opened and funded, and what the server's totals are. */
#include "base/bytes.h"
#include "base/json.h"
#include "cli/bench.h"
#include "cli/json_view.h"
#include "holdfast_packed.h"

#define RECORDS     HOLDFAST_PACKED_RECORDS_MAX
#define FUNDS       (UINT64_C(1) << 50) /* each account gets: more than it will ever spend */
#define PAGE        1000
#define WORLD       (UINT64_C(1) << 63) /* number of the account that funds all others */
#define FUNDING_RUN 0x66756e6400000000u /* ids of funding, apart from the load's */

/* Asks, and wants one of two statuses. */
static bool call(struct hf_bench_line *line, int wanted, const char *what, struct hf_error *error)
{
    if (!hf_bench_line_call(line, error)) {
        return false;
    }
    if (line->status == wanted) {
        return true;
    }
    struct hf_str body = hf_bench_line_body(line);
    (void)hf_error_set(error, HF_ERR_IO, "%s: status %d: %.*s", what, line->status,
                       (int)hf_min_u64(body.len, 300), body.ptr);
    return false;
}

/* Every record of the answer took effect now or earlier? */
static bool all_accepted(const struct hf_bench_line *line, const char *what, struct hf_error *error)
{
    struct hf_str body = hf_bench_line_body(line);
    const uint8_t *answer = (const uint8_t *)body.ptr;
    if (body.len < HOLDFAST_RESULTS_BYTES) {
        (void)hf_error_set(error, HF_ERR_IO, "%s: a short answer", what);
        return false;
    }
    uint32_t refused = hf_get_u32(answer + HOLDFAST_RESULTS_REFUSED);
    if (refused > 0 && body.len >= HOLDFAST_RESULTS_BYTES + HOLDFAST_RESULT_BYTES) {
        const uint8_t *first = answer + HOLDFAST_RESULTS_BYTES;
        (void)hf_error_set(error, HF_ERR_IO, "%s: %u were refused, the first by %s", what, refused,
                           hf_err_wire((enum hf_err)hf_get_u16(first + HOLDFAST_RESULT_CODE)));
    }
    return refused == 0;
}

static void put_account(struct hf_buffer *to, uint64_t number)
{
    uint8_t *record = hf_buffer_extend(to, HOLDFAST_PACKED_BYTES);
    if (record != NULL) {
        memset(record, 0, HOLDFAST_PACKED_BYTES);
        hf_bench_account_id(number, record + HOLDFAST_ACCOUNT_ID);
        memcpy(record + HOLDFAST_ACCOUNT_ASSET, HF_BENCH_ASSET, strlen(HF_BENCH_ASSET));
        hf_put_u32(record + HOLDFAST_ACCOUNT_FLAGS, number == WORLD ? HOLDFAST_FLAG_NO_FLOOR : 0);
    }
}

/* Behind the last account the world is opened. */
static void put_record(const struct hf_bench_maker *maker, bool funds, uint64_t i,
                       struct hf_buffer *to)
{
    const struct hf_bench_plan *plan = maker->plan;
    if (!funds) {
        put_account(to, i == plan->accounts ? WORLD : i);
        return;
    }
    uint8_t id[16];
    hf_put_u64(id, plan->run ^ FUNDING_RUN);
    hf_put_u64(id + 8, i + 1);
    hf_bench_put_record(to, maker, id, WORLD, i, FUNDS, 0);
}

static bool send_all(const struct hf_bench_maker *maker, struct hf_bench_line *line, bool funds,
                     struct hf_cli_progress *progress, struct hf_error *error)
{
    const struct hf_bench_plan *plan = maker->plan;
    const char *what = funds ? "fund the accounts" : "open the accounts";
    uint64_t count = plan->accounts + (funds ? 0 : 1);
    struct hf_buffer body;
    hf_buffer_init(&body);
    bool ok = true;
    for (uint64_t first = 0; ok && first < count; first += RECORDS) {
        uint64_t end = hf_min_u64(count, first + RECORDS);
        hf_buffer_clear(&body);
        for (uint64_t i = first; i < end; i++) {
            put_record(maker, funds, i, &body);
        }
        hf_bench_http(plan, "POST", funds ? "/v1/transfers" : "/v1/accounts",
                      funds ? HOLDFAST_PACKED_TRANSFERS : HOLDFAST_PACKED_ACCOUNTS,
                      (struct hf_str){(const char *)body.data, body.size_bytes}, &line->out);
        ok = !body.failed && call(line, 200, what, error) && all_accepted(line, what, error);
        hf_cli_progress_show(progress, end, count);
    }
    hf_buffer_release(&body);
    return ok;
}

bool hf_bench_prepare(const struct hf_bench_plan *plan, struct hf_bench_line *line,
                      struct hf_cli_progress *progress, struct hf_error *error)
{
    struct hf_bench_maker maker;
    if (plan->form == HF_BENCH_STREAMS || plan->form == HF_BENCH_DOCUMENTS) {
        return true;
    }
    hf_bench_maker_init(&maker, plan);
    return send_all(&maker, line, false, progress, error) &&
           send_all(&maker, line, true, progress, error);
}

/* ---- totals ---- */

static bool malformed(struct hf_error *error)
{
    (void)hf_error_set(error, HF_ERR_IO, "the server's totals can't be read");
    return false;
}

/* Debits posted of the asset. */
static bool asset_totals(const struct hf_bench_plan *plan, struct hf_bench_line *line,
                         hf_u128 *totals, struct hf_error *error)
{
    hf_bench_http(plan, "GET", "/v1/assets/USD%2F2/totals", NULL, HF_STR(""), &line->out);
    if (!call(line, 200, "read the totals", error)) {
        return false;
    }
    static const char name[] = "\"debits_posted\":\"";
    struct hf_str body = hf_bench_line_body(line);
    const char *at = memmem(body.ptr, body.len, name, sizeof(name) - 1);
    if (at == NULL) {
        return malformed(error);
    }
    at += sizeof(name) - 1;
    size_t len = strspn(at, "0123456789");
    return hf_u128_parse((struct hf_str){at, len}, totals) || malformed(error);
}

/* The sum of the versions in a page, and where the next one begins; false: it can't be read. */
static bool add_versions(struct hf_str body, hf_u128 *totals, struct hf_buffer *after)
{
    static const char version[] = "\"version\":";
    static const char next[] = "\"next\":\"";
    const char *end = body.ptr + body.len;
    const char *at = body.ptr;
    while ((at = memmem(at, (size_t)(end - at), version, sizeof(version) - 1)) != NULL) {
        at += sizeof(version) - 1;
        *totals += strtoull(at, NULL, 10);
    }
    at = memmem(body.ptr, body.len, next, sizeof(next) - 1);
    hf_buffer_clear(after);
    if (at != NULL) {
        at += sizeof(next) - 1;
        const char *stop = memchr(at, '"', (size_t)(end - at));
        if (stop == NULL) {
            return false;
        }
        hf_buffer_bytes(after, at, (size_t)(stop - at));
    }
    hf_buffer_u8(after, 0);
    return !after->failed;
}

static bool version_totals(const struct hf_bench_plan *plan, struct hf_bench_line *line,
                           hf_u128 *totals, struct hf_error *error)
{
    struct hf_buffer after;
    hf_buffer_init(&after);
    hf_buffer_u8(&after, 0);
    bool ok = !after.failed;
    bool more = true;
    *totals = 0;
    while (ok && more) {
        char target[512];
        (void)snprintf(target, sizeof(target), "/v1/%s?prefix=bench:&limit=%d%s%s",
                       plan->form == HF_BENCH_STREAMS ? "streams" : "documents", PAGE,
                       after.data[0] == 0 ? "" : "&after=", (const char *)after.data);
        hf_bench_http(plan, "GET", target, NULL, HF_STR(""), &line->out);
        ok = call(line, 200, "read the versions", error) &&
             (add_versions(hf_bench_line_body(line), totals, &after) || malformed(error));
        more = ok && after.data[0] != 0;
    }
    hf_buffer_release(&after);
    return ok;
}

bool hf_bench_totals(const struct hf_bench_plan *plan, struct hf_bench_line *line, hf_u128 *totals,
                     struct hf_error *error)
{
    return plan->form == HF_BENCH_STREAMS || plan->form == HF_BENCH_DOCUMENTS
               ? version_totals(plan, line, totals, error)
               : asset_totals(plan, line, totals, error);
}
