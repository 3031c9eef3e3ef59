/*
 * Packed records for tests, by the offsets of docs/protocol.md as numbers: not by include/holdfast_packed.h, which is
 * held against them here.
 */
#ifndef HF_TESTS_UNIT_PACKED_RECORDS_H
#define HF_TESTS_UNIT_PACKED_RECORDS_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "core/name.h"
#include "holdfast_packed.h"

static_assert(HOLDFAST_PACKED_BYTES == 128 && HOLDFAST_PACKED_RECORDS_MAX == 8190, "the page");
static_assert(HOLDFAST_TRANSFER_ID == 0 && HOLDFAST_TRANSFER_FROM == 16 &&
                  HOLDFAST_TRANSFER_TO == 32 && HOLDFAST_TRANSFER_AMOUNT == 48 &&
                  HOLDFAST_TRANSFER_PENDING == 64 && HOLDFAST_TRANSFER_USER_DATA == 80 &&
                  HOLDFAST_TRANSFER_EFFECTIVE_US == 96 && HOLDFAST_TRANSFER_ASSET == 104 &&
                  HOLDFAST_TRANSFER_TIMEOUT_MS == 112 && HOLDFAST_TRANSFER_CODE == 120 &&
                  HOLDFAST_TRANSFER_FLAGS == 124,
              "a transfer record");
static_assert(HOLDFAST_FLAG_LINKED == 1 && HOLDFAST_FLAG_HOLD == 2 && HOLDFAST_FLAG_CAPTURE == 4 &&
                  HOLDFAST_FLAG_VOID == 8 && HOLDFAST_FLAG_FINAL == 16,
              "its flags");
static_assert(HOLDFAST_ACCOUNT_ID == 0 && HOLDFAST_ACCOUNT_FLOOR == 16 &&
                  HOLDFAST_ACCOUNT_CEILING == 32 && HOLDFAST_ACCOUNT_ASSET == 48 &&
                  HOLDFAST_ACCOUNT_ASSET_BYTES == 24 && HOLDFAST_ACCOUNT_FLAGS == 72 &&
                  HOLDFAST_FLAG_NO_FLOOR == 1 && HOLDFAST_FLAG_CEILING == 2,
              "an account record");
static_assert(HOLDFAST_RESULTS_POSITION == 0 && HOLDFAST_RESULTS_TIME_US == 8 &&
                  HOLDFAST_RESULTS_ACCEPTED == 16 && HOLDFAST_RESULTS_REPLAYED == 20 &&
                  HOLDFAST_RESULTS_REFUSED == 24 && HOLDFAST_RESULTS_BYTES == 32,
              "an answer");
static_assert(HOLDFAST_RESULT_INDEX == 0 && HOLDFAST_RESULT_CODE == 4, "an entry of it");
static_assert(HOLDFAST_RESULT_FLAGS == 6 && HOLDFAST_RESULT_BYTES == 8, "an entry of it");
static_assert(HOLDFAST_FLAG_REPLAYED == 1 && HOLDFAST_FLAG_CHAIN == 2, "flags of an entry");

#define RECORD_BYTES 128

enum record_kind {
    RECORD_TRANSFER,
    RECORD_HOLD,
    RECORD_CAPTURE,
    RECORD_VOID,
    RECORD_ACCOUNT,
};

#define ALL_LEFT HF_U128_MAX

/* What a record says; ids are numbers, 0 = zero. In the order of reading. */
struct record_spec {   /* NOLINT(clang-analyzer-optin.performance.Padding) */
    uint32_t id;       /* of the record; 0 ends a list */
    uint32_t from;     /* account */
    uint32_t to;       /* account */
    uint32_t hold;     /* pending */
    hf_u128 amount;    /* minor units */
    const char *asset; /* its name; NULL: zero (an account: USD/2) */
    const char *named; /* the id is the hash of this name instead */
    uint64_t timeout_ms;
    uint64_t effective_us;
    uint32_t code;
    uint8_t user_data; /* each of its bytes */
    bool linked;
    bool final;
    bool no_floor;    /* account */
    bool has_ceiling; /* account */
    hf_i128 floor;    /* account */
    hf_i128 ceiling;  /* account */
    enum record_kind kind;
};

/* Transfers, acts and holds are numbered apart from accounts, so that a mistake of name spaces is seen. */
static inline void record_put_id(uint8_t to[16], uint8_t space, uint32_t number)
{
    memset(to, 0, 16);
    to[0] = number == 0 ? 0 : space;
    for (size_t i = 0; i < 4; i++) {
        to[15 - i] = (uint8_t)(number >> (8 * i));
    }
}

#define SPACE_ACCOUNT 0x0a
#define SPACE_ID      0x0b

static inline void record_put_u128(uint8_t *to, hf_u128 value)
{
    hf_put_u64(to, (uint64_t)value);
    hf_put_u64(to + 8, (uint64_t)(value >> 64));
}

static inline void record_write_account(const struct record_spec *spec, uint8_t *to)
{
    const char *asset = spec->asset == NULL ? "USD/2" : spec->asset;
    record_put_id(to, SPACE_ACCOUNT, spec->id);
    record_put_u128(to + 16, (hf_u128)spec->floor);
    record_put_u128(to + 32, (hf_u128)spec->ceiling);
    memcpy(to + 48, asset, strlen(asset));
    hf_put_u32(to + 72, (spec->no_floor ? 1u : 0u) | (spec->has_ceiling ? 2u : 0u));
}

static inline void record_write(const struct record_spec *spec, uint8_t to[RECORD_BYTES])
{
    static const uint32_t flags[] = {0, 2, 4, 8};
    memset(to, 0, RECORD_BYTES);
    if (spec->kind == RECORD_ACCOUNT) {
        record_write_account(spec, to);
    } else {
        record_put_id(to, SPACE_ID, spec->id);
        record_put_id(to + 16, SPACE_ACCOUNT, spec->from);
        record_put_id(to + 32, SPACE_ACCOUNT, spec->to);
        record_put_u128(to + 48, spec->amount);
        record_put_id(to + 64, SPACE_ID, spec->hold);
        memset(to + 80, spec->user_data, 16);
        hf_put_u64(to + 96, spec->effective_us);
        if (spec->asset != NULL) {
            struct hf_hash hash = hf_sha256(spec->asset, strlen(spec->asset));
            memcpy(to + 104, hash.bytes, 8);
        }
        hf_put_u64(to + 112, spec->timeout_ms);
        hf_put_u32(to + 120, spec->code);
        hf_put_u32(to + 124,
                   flags[spec->kind] | (spec->linked ? 1u : 0u) | (spec->final ? 16u : 0u));
    }
    if (spec->named != NULL) {
        struct hf_hash hash = hf_sha256(spec->named, strlen(spec->named));
        memcpy(to, hash.bytes, 16);
    }
}

#endif
