/*
 * Random packed requests for strip_test.c: transfers, holds, captures and voids between a few accounts, most of them what a
 * strip takes.
 *
 * Owns: the two cores and what was sent to them.
 */
#ifndef HF_TESTS_UNIT_STRIP_RECORDS_H
#define HF_TESTS_UNIT_STRIP_RECORDS_H

#include <stdio.h>

#include "base/bytes.h"
#include "core/strip.h"
#include "holdfast_packed.h"
#include "sim/sim_random.h"
#include "unit/core_rig.h"
#include "unit/support.h"

#define ACCOUNTS       24u /* the last two are never opened */
#define OPENED         22u
#define RECORDS_MAX    60u
#define EARLIER_IDS    4000u
#define START_US       1700000000000000ull
#define HEX_ACCOUNT(i) ((i) % 3 != 0)
#define LONG_ACCOUNT   9u
#define HOLDS          256u /* that captures and voids choose from: a ring */
#define NAME_BYTES     (HF_NAME_BYTES_MAX + 1)

/* What the records of a request are, about. */
enum mix {
    MIX_TRANSFERS,
    MIX_HOLDS,
    MIX_ENDS, /* captures and voids */
    MIX_ALL,
    MIX_COUNT,
};

struct pair {
    struct core_rig quick;   /* decides strips */
    struct core_rig spelled; /* decides operations */
    struct hf_sim_random random;
    struct hf_id ids[EARLIER_IDS]; /* that were sent */
    uint32_t id_count;
    struct hf_id holds[HOLDS]; /* the newest ones that were asked for */
    uint32_t hold_count;
    uint32_t first_own; /* of the request that is being made: number of its first hold */
    bool tame;          /* its captures and voids are of holds that are likely to be open */
    uint64_t now_us;
    /* what happened, so that nothing is left out */
    uint64_t strips, refused, accepted, replayed;
    uint64_t kinds[HF_STRIP_VOID + 1], own, listed, partial, released, expiring, changed; /* rows */
    uint8_t body[RECORDS_MAX * HOLDFAST_PACKED_BYTES];
};

static uint32_t below(struct pair *pair, uint32_t bound)
{
    return (uint32_t)hf_sim_random_below(&pair->random, bound);
}

static bool chance(struct pair *pair, uint32_t percent)
{
    return below(pair, 100) < percent;
}

static void account_name(uint32_t i, char text[NAME_BYTES])
{
    if (HEX_ACCOUNT(i)) {
        (void)snprintf(text, NAME_BYTES, "00000000-0000-4000-8000-%012x", i + 1);
    } else {
        /* The longest name takes a length of two bytes. */
        int wide = i == LONG_ACCOUNT ? HF_NAME_BYTES_MAX - 6 : 0;
        (void)snprintf(text, NAME_BYTES, "users:%0*u", wide, i);
    }
}

static struct hf_id account_id(uint32_t i)
{
    char text[NAME_BYTES];
    struct hf_name name;
    struct hf_arena arena;
    hf_arena_init(&arena);
    account_name(i, text);
    assert_true(hf_name_make(hf_str_from(text), &arena, &name));
    struct hf_id id = name.id;
    hf_arena_release(&arena);
    return id;
}

/* An id that was there before, or a new one. */
static void write_id(struct pair *pair, uint8_t *record, uint32_t repeat_percent)
{
    if (pair->id_count > 0 && chance(pair, repeat_percent)) {
        uint32_t earlier = below(pair, pair->id_count);
        memcpy(record, pair->ids[earlier].bytes, 16);
        return;
    }
    hf_put_u64(record, hf_sim_random_u64(&pair->random) | 1);
    hf_put_u64(record + 8, hf_sim_random_u64(&pair->random));
    memcpy(pair->ids[pair->id_count].bytes, record, 16);
    pair->id_count += pair->id_count + 1 < EARLIER_IDS;
}

static void write_sender_data(struct pair *pair, uint8_t *record)
{
    if (chance(pair, 10)) {
        hf_put_u64(record + HOLDFAST_TRANSFER_USER_DATA, below(pair, 1000));
    }
    if (chance(pair, 10)) {
        hf_put_u32(record + HOLDFAST_TRANSFER_CODE, below(pair, 1000));
    }
}

static void remember_hold(struct pair *pair, const uint8_t id[16])
{
    memcpy(pair->holds[pair->hold_count++ % HOLDS].bytes, id, 16);
}

/* Would a strip settle it, as far as can be told before the request: is it open for longer, of a hex name, not too large? */
static bool is_usual(const struct pair *pair, const struct hf_id *id)
{
    const struct hf_hold *hold = hf_state_hold(&pair->quick.state, id);
    return hold != NULL && hf_name_is_hex_of(hold->name.text, id) && hold->amount <= UINT64_MAX &&
           (hold->expires_at_us == 0 || hold->expires_at_us > pair->now_us + 2000);
}

/* Of a tame request a hold that is open, or asked for by the request itself; else any of the newest, or one that never was. */
static void write_pending(struct pair *pair, uint8_t *record, bool tame)
{
    uint32_t kept = pair->hold_count < HOLDS ? pair->hold_count : HOLDS;
    struct hf_id id = {{0}};
    for (int attempt = 0; kept > 0 && attempt < 40; attempt++) {
        uint32_t own = pair->hold_count - pair->first_own;
        uint32_t newest = own > 0 && chance(pair, 60) ? own : kept;
        uint32_t number = pair->hold_count - 1 - below(pair, newest < kept ? newest : kept);
        id = pair->holds[number % HOLDS];
        if (!tame || number >= pair->first_own || is_usual(pair, &id)) {
            break;
        }
    }
    if (kept == 0 || (!tame && chance(pair, 5))) {
        hf_put_u64(id.bytes, below(pair, 1000) + 1);
    }
    memcpy(record + HOLDFAST_TRANSFER_PENDING, id.bytes, 16);
}

static void write_end(struct pair *pair, uint8_t *record, uint32_t repeat_percent, bool void_it)
{
    memset(record, 0, HOLDFAST_PACKED_BYTES);
    write_id(pair, record, repeat_percent);
    write_sender_data(pair, record);
    write_pending(pair, record, pair->tame);
    if (void_it) {
        hf_put_u32(record + HOLDFAST_TRANSFER_FLAGS, HOLDFAST_FLAG_VOID);
        return;
    }
    if (chance(pair, 40)) {
        memset(record + HOLDFAST_TRANSFER_AMOUNT, 0xFF, 16);
    } else {
        hf_put_u64(record + HOLDFAST_TRANSFER_AMOUNT, below(pair, chance(pair, 3) ? 300 : 40));
    }
    hf_put_u32(record + HOLDFAST_TRANSFER_FLAGS,
               HOLDFAST_FLAG_CAPTURE | (chance(pair, 30) ? HOLDFAST_FLAG_FINAL : 0));
}

static void make_hold(struct pair *pair, uint8_t *record)
{
    memset(record + HOLDFAST_TRANSFER_EFFECTIVE_US, 0, 8);
    hf_put_u32(record + HOLDFAST_TRANSFER_FLAGS, HOLDFAST_FLAG_HOLD);
    if (chance(pair, 40)) {
        hf_put_u64(record + HOLDFAST_TRANSFER_TIMEOUT_MS, 1 + below(pair, 60));
    }
    remember_hold(pair, record);
}

/* safe: likely to be accepted. */
static void write_movement(struct pair *pair, uint8_t *record, uint32_t repeat_percent, bool safe)
{
    static const char *const assets[] = {"USD/2", "EUR/2", "GBP/2"};
    uint32_t from = below(pair, ACCOUNTS);
    uint32_t to = (from + 1 + below(pair, ACCOUNTS - 1)) % ACCOUNTS;
    from = safe || chance(pair, 30) ? 0 : from;
    to = safe ? 8 + below(pair, OPENED - 8) : (to == from ? 9 : to);
    struct hf_id from_id = account_id(from), to_id = account_id(to);
    struct hf_asset asset = {0};
    bool euro = from == 1 || from == 4 || from == 5;
    assert_true(
        hf_asset_parse(hf_str_from(assets[chance(pair, 4) ? below(pair, 3) : euro]), &asset));
    memset(record, 0, HOLDFAST_PACKED_BYTES);
    write_id(pair, record, repeat_percent);
    memcpy(record + HOLDFAST_TRANSFER_FROM, from_id.bytes, 16);
    memcpy(record + HOLDFAST_TRANSFER_TO, to_id.bytes, 16);
    uint64_t amount = chance(pair, 2)   ? 0
                      : chance(pair, 2) ? UINT64_MAX - below(pair, 3)
                                        : 1 + below(pair, 200);
    hf_put_u64(record + HOLDFAST_TRANSFER_AMOUNT, amount);
    hf_asset_hash(&asset, record + HOLDFAST_TRANSFER_ASSET);
    write_sender_data(pair, record);
    if (chance(pair, 10)) {
        hf_put_u64(record + HOLDFAST_TRANSFER_EFFECTIVE_US, START_US - below(pair, 1000000));
    }
}

static void write_record(struct pair *pair, uint8_t *record, uint32_t repeat_percent, enum mix mix)
{
    uint32_t die = below(pair, 100);
    bool end = mix == MIX_ENDS || (mix == MIX_ALL && die < 45);
    bool hold = mix == MIX_HOLDS || (mix == MIX_ALL && die < 75);
    if (end) {
        write_end(pair, record, repeat_percent, chance(pair, 25));
        return;
    }
    /* A request that settles its own holds needs accepted ones. */
    write_movement(pair, record, repeat_percent, mix == MIX_ALL && pair->tame && chance(pair, 90));
    if (hold) {
        make_hold(pair, record);
    }
}

#endif
