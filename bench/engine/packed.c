/* The way of packed records through the core: decode, decide, encode, reserve, evolve, chain. */
#include <stdio.h>
#include <stdlib.h>

#include "api/packed.h"
#include "base/bytes.h"
#include "base/check.h"
#include "bench.h"
#include "holdfast_packed.h"
#include "log/log.h"

#define RECORDS         HOLDFAST_PACKED_RECORDS_MAX
#define RECENT_MAX      20000000u /* index records until they are given up, as a checkpoint does */
#define FUNDS           (UINT64_C(1) << 60)
#define RETENTION_US    (UINT64_MAX / 2)
#define FRAME_RECORD_AT 8

struct core {
    struct hf_state state;
    struct hf_draft draft;
    struct hf_buffer encoded;
    struct hf_hash hash;
    uint64_t random;
};

static uint64_t next_random(struct core *core)
{
    core->random += 0x9E3779B97F4A7C15u;
    uint64_t mixed = core->random;
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBu;
    return mixed ^ mixed >> 31;
}

static void put_id(uint8_t *to, uint64_t kind, uint64_t number)
{
    hf_put_u64(to, kind);
    hf_put_u64(to + 8, __builtin_bswap64(number));
}

/* One request's body through the core; every record must be accepted. */
static void run_body(struct core *core, enum hf_packed_kind kind, const uint8_t *body, size_t count)
{
    struct hf_command command;
    struct hf_malformed malformed;
    struct hf_error error;
    hf_command_init(&command, HF_COMMAND_EACH);
    HF_CHECK(hf_command_set_principal(&command, HF_STR("local"), &malformed));
    HF_CHECK(hf_packed_decode(kind,
                              (struct hf_str){(const char *)body, count * HOLDFAST_PACKED_BYTES},
                              &command, &malformed));
    HF_CHECK(hf_command_finish(&command, &malformed));
    enum hf_decision decision =
        hf_decide(&core->state, NULL, &command, 1, RETENTION_US, &core->draft);
    HF_CHECK(decision == HF_DECISION_COMMIT);
    HF_CHECK(hf_commit_event_total(&core->draft.commit) == count);
    hf_buffer_clear(&core->encoded);
    HF_CHECK(hf_commit_encode(&core->draft.commit, &core->encoded));
    HF_CHECK(hf_state_reserve(&core->state, &core->draft.commit));
    HF_CHECK(hf_state_apply(&core->state, &core->draft.commit, &error) == HF_ERR_OK);
    core->hash = hf_log_chain(&core->hash, core->encoded.data + FRAME_RECORD_AT,
                              hf_get_u32(core->encoded.data));
    hf_command_release(&command);
}

static void open_accounts(struct core *core, uint8_t *body, unsigned accounts)
{
    for (unsigned first = 0; first <= accounts;) {
        size_t count = 0;
        memset(body, 0, (size_t)RECORDS * HOLDFAST_PACKED_BYTES);
        for (; count < RECORDS && first <= accounts; count++, first++) {
            uint8_t *record = body + count * HOLDFAST_PACKED_BYTES;
            put_id(record, 1, first);
            memcpy(record + HOLDFAST_ACCOUNT_ASSET, "USD/2", 5);
            hf_put_u32(record + HOLDFAST_ACCOUNT_FLAGS,
                       first == accounts ? HOLDFAST_FLAG_NO_FLOOR : 0);
        }
        run_body(core, HF_PACKED_ACCOUNTS, body, count);
    }
}

/* Account `from` or anyone's to another account's. */
static void put_transfer(uint8_t *record, uint64_t from, uint64_t to, uint64_t amount,
                         const uint8_t asset_hash[HF_ASSET_HASH_BYTES])
{
    put_id(record + HOLDFAST_TRANSFER_FROM, 1, from);
    put_id(record + HOLDFAST_TRANSFER_TO, 1, to);
    hf_put_u64(record + HOLDFAST_TRANSFER_AMOUNT, amount);
    memcpy(record + HOLDFAST_TRANSFER_ASSET, asset_hash, HF_ASSET_HASH_BYTES);
}

static void fund(struct core *core, uint8_t *body, unsigned accounts,
                 const uint8_t asset_hash[HF_ASSET_HASH_BYTES])
{
    for (unsigned first = 0; first < accounts;) {
        size_t count = 0;
        memset(body, 0, (size_t)RECORDS * HOLDFAST_PACKED_BYTES);
        for (; count < RECORDS && first < accounts; count++, first++) {
            uint8_t *record = body + count * HOLDFAST_PACKED_BYTES;
            put_id(record, 2, first + 1);
            put_transfer(record, accounts, first, FUNDS, asset_hash);
        }
        run_body(core, HF_PACKED_TRANSFERS, body, count);
    }
}

static void write_body(struct core *core, uint8_t *body, uint64_t first, unsigned accounts,
                       bool random_ids, const uint8_t asset_hash[HF_ASSET_HASH_BYTES])
{
    HF_CHECK(accounts > 1);
    for (size_t i = 0; i < RECORDS; i++) {
        uint8_t *record = body + i * HOLDFAST_PACKED_BYTES;
        uint64_t from = next_random(core) % accounts;
        uint64_t to = (from + 1 + next_random(core) % (accounts - 1)) % accounts;
        put_id(record, random_ids ? next_random(core) : 3,
               random_ids ? next_random(core) : first + i);
        put_transfer(record, from, to, 1 + from % 100, asset_hash);
    }
}

struct bench_result bench_packed_run(uint64_t transfers, unsigned accounts, bool random_ids)
{
    struct core core = {.random = 7};
    size_t requests = (size_t)(transfers / RECORDS);
    uint64_t *samples = calloc(requests, sizeof(*samples));
    uint8_t *body = calloc(RECORDS, HOLDFAST_PACKED_BYTES);
    uint8_t asset_hash[HF_ASSET_HASH_BYTES];
    struct hf_asset asset = {0};
    HF_CHECK(samples != NULL && body != NULL && hf_asset_parse(HF_STR("USD/2"), &asset));
    hf_asset_hash(&asset, asset_hash);
    hf_state_init(&core.state, 1);
    hf_draft_init(&core.draft);
    hf_buffer_init(&core.encoded);
    open_accounts(&core, body, accounts);
    fund(&core, body, accounts, asset_hash);
    memset(body, 0, (size_t)RECORDS * HOLDFAST_PACKED_BYTES);
    uint64_t spent_ns = 0;
    for (size_t i = 0; i < requests; i++) {
        write_body(&core, body, (uint64_t)i * RECORDS, accounts, random_ids, asset_hash);
        uint64_t before = bench_now_ns();
        run_body(&core, HF_PACKED_TRANSFERS, body, RECORDS);
        samples[i] = bench_now_ns() - before;
        spent_ns += samples[i];
        if (core.state.recent.current.count > RECENT_MAX) {
            hf_recent_freeze(&core.state.recent, core.state.position);
            hf_recent_drop_frozen(&core.state.recent);
        }
    }
    struct bench_result result = {.per_second =
                                      (double)(requests * RECORDS) * 1e9 / (double)spent_ns};
    bench_percentiles(&result, samples, requests);
    free(body);
    free(samples);
    hf_buffer_release(&core.encoded);
    hf_draft_release(&core.draft);
    hf_state_release(&core.state);
    return result;
}
