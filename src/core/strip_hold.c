/*
 * Holds in strips (core/strip.h): their columns in the record, what these must be, and a hold on its way through the rows.
 *
 * Must never: look at the state. Called by: the strip's codec (strip.c), and by what makes events of it (strip_read.c).
 */
#include <assert.h>

#include "core/strip.h"
#include "core/strip_priv.h"

#define HAS_CAPTURED 1u
#define HAS_EXPIRES  2u
#define HAS_CHANGES  4u
#define COLUMNS_MAX  7u

#define ID_BYTES      16u
#define ROW_BYTES_MAX (ID_BYTES + 6 * 8u)

static_assert(HF_COMMIT_OPERATIONS_MAX <= HF_STRIP_OWN_HOLD, "a row and a hold have 15 bits");

static uint64_t value_at(const uint8_t *column, uint32_t at)
{
    return column == NULL ? 0 : hf_get_u64(column + 8 * (size_t)at);
}

/* ---- the stored form ---- */

uint64_t hf_strip_holds_bound(const struct hf_strip_holds *holds)
{
    return 16 + (uint64_t)holds->count * ROW_BYTES_MAX;
}

void hf_code_strip_holds(struct hf_codec *codec, struct hf_strip_holds *holds)
{
    uint8_t columns = (uint8_t)((holds->captured != NULL ? HAS_CAPTURED : 0) |
                                (holds->expires != NULL ? HAS_EXPIRES : 0) |
                                (holds->changes != NULL ? HAS_CHANGES : 0));
    hf_code_u32(codec, &holds->count, HF_COMMIT_OPERATIONS_MAX, "strip holds");
    hf_code_bytes(codec, &columns, 1, "strip columns of holds");
    if (!hf_codec_ok(codec) || columns > COLUMNS_MAX) {
        hf_codec_fail(codec, "strip columns of holds");
        return;
    }
    hf_code_column(codec, &holds->ids, holds->count, ID_BYTES);
    hf_code_column(codec, &holds->amounts, holds->count, 8);
    hf_code_column(codec, &holds->opened_positions, holds->count, 8);
    hf_code_column(codec, &holds->opened_times, holds->count, 8);
    if ((columns & HAS_CAPTURED) != 0) {
        hf_code_column(codec, &holds->captured, holds->count, 8);
    }
    if ((columns & HAS_EXPIRES) != 0) {
        hf_code_column(codec, &holds->expires, holds->count, 8);
    }
    if ((columns & HAS_CHANGES) != 0) {
        hf_code_column(codec, &holds->changes, holds->count, 8);
    }
}

/* ---- the way through the rows ---- */

uint32_t hf_strip_hold_number(const struct hf_strip *strip, uint32_t k)
{
    uint32_t settled =
        hf_strip_settles(strip, k) ? hf_strip_settled(strip, k) : k | HF_STRIP_OWN_HOLD;
    return (settled & HF_STRIP_OWN_HOLD) == 0 ? settled
                                              : strip->holds.count + (settled & ~HF_STRIP_OWN_HOLD);
}

struct hf_strip_hold hf_strip_hold_begin(const struct hf_strip *strip, uint32_t number)
{
    const struct hf_strip_holds *holds = &strip->holds;
    if (number >= holds->count) {
        return (struct hf_strip_hold){.left = hf_strip_amount(strip, number - holds->count),
                                      .version = 1};
    }
    uint64_t captured = value_at(holds->captured, number);
    return (struct hf_strip_hold){
        .captured = captured,
        .left = value_at(holds->amounts, number) - captured,
        .version = 1 + value_at(holds->changes, number),
    };
}

void hf_strip_hold_pass(const struct hf_strip *strip, uint32_t k, struct hf_strip_hold *hold)
{
    uint64_t amount = hf_strip_amount(strip, k);
    hold->captured += hf_strip_kind(strip, k) == HF_STRIP_CAPTURE ? amount : 0;
    hold->left -= amount + hf_strip_released(strip, k);
    hold->version++;
}

static enum hf_hold_state state_of(const struct hf_strip_hold *hold, enum hf_strip_kind kind)
{
    if (hold->left > 0) {
        return HF_HOLD_OPEN;
    }
    return kind == HF_STRIP_VOID ? HF_HOLD_VOIDED : HF_HOLD_CAPTURED;
}

/* What stays the same of the hold that row k opens or settles. */
static struct hf_hold hold_of(const struct hf_commit *commit, uint32_t k)
{
    const struct hf_strip *strip = commit->strip;
    const struct hf_strip_holds *holds = &strip->holds;
    uint32_t number = hf_strip_hold_number(strip, k);
    struct hf_hold hold = {0};
    if (number < holds->count) {
        memcpy(hold.name.id.bytes, holds->ids + ID_BYTES * (size_t)number, ID_BYTES);
        hold.amount = value_at(holds->amounts, number);
        hold.expires_at_us = value_at(holds->expires, number);
        hold.opened_position = value_at(holds->opened_positions, number);
        hold.opened_at_us = value_at(holds->opened_times, number);
        return hold;
    }
    uint32_t row = number - holds->count;
    hold.name.id = hf_strip_id(strip, row);
    hold.amount = hf_strip_amount(strip, row);
    hold.expires_at_us = hf_strip_time(strip, row);
    hold.opened_position = commit->position;
    hold.opened_at_us = commit->time_us;
    return hold;
}

bool hf_strip_hold_tell(const struct hf_commit *commit, uint32_t k,
                        const struct hf_strip_hold *hold, const struct hf_asset *asset,
                        struct hf_event *event)
{
    static const enum hf_event_type types[] = {[HF_STRIP_HOLD] = HF_EVENT_HOLD_OPENED,
                                               [HF_STRIP_CAPTURE] = HF_EVENT_HOLD_CAPTURED,
                                               [HF_STRIP_VOID] = HF_EVENT_HOLD_VOIDED};
    enum hf_strip_kind kind = hf_strip_kind(commit->strip, k);
    struct hf_posting *posting = &event->posting;
    uint64_t amount = hf_strip_amount(commit->strip, k);
    event->type = types[kind];
    posting->hold = hold_of(commit, k);
    posting->hold.from = posting->debit.account;
    posting->hold.to = posting->credit.account;
    posting->hold.asset = *asset;
    posting->hold.state = state_of(hold, kind);
    posting->hold.captured = hold->captured;
    posting->hold.remaining = hold->left;
    posting->hold.version = hold->version;
    posting->hold.last_position = commit->position;
    posting->hold.modified_at_us = commit->time_us;
    posting->released = kind == HF_STRIP_VOID ? amount : hf_strip_released(commit->strip, k);
    return hf_strip_spell_name(commit->strip->arena, &posting->hold.name);
}

/* ---- what the columns must be ---- */

/* A row of an unknown kind, or one that settles a hold which nobody knows? */
static bool row_exists(const struct hf_strip *strip, uint32_t k)
{
    if (hf_strip_kind(strip, k) > HF_STRIP_VOID) {
        return false;
    }
    if (!hf_strip_settles(strip, k)) {
        return true;
    }
    uint32_t settled = strip->settles == NULL ? strip->count : hf_strip_settled(strip, k);
    uint32_t row = settled & ~HF_STRIP_OWN_HOLD;
    return (settled & HF_STRIP_OWN_HOLD) == 0
               ? settled < strip->holds.count
               : row < k && hf_strip_kind(strip, row) == HF_STRIP_HOLD;
}

bool hf_strip_holds_exist(const struct hf_strip *strip)
{
    bool exist = true;
    for (uint32_t k = 0; exist && strip->kinds != NULL && k < strip->count; k++) {
        exist = row_exists(strip, k);
    }
    return exist;
}

/* Each was open, and its columns say something. */
static bool holds_were_open(const struct hf_strip_holds *holds)
{
    bool open = true;
    for (uint32_t i = 0; open && i < holds->count; i++) {
        open = value_at(holds->captured, i) < value_at(holds->amounts, i) &&
               value_at(holds->changes, i) <= UINT64_MAX / 2;
    }
    return open && hf_column_says_something(holds->captured, (size_t)holds->count * 8) &&
           hf_column_says_something(holds->expires, (size_t)holds->count * 8) &&
           hf_column_says_something(holds->changes, (size_t)holds->count * 8);
}

/* Where a hold was on its way when a row came to settle it. */
struct course {
    struct hf_strip_hold hold;
    uint32_t row; /* that opened it or settled it first: it tells of its accounts */
};

/* Row k settles what is left of a hold, or a part of it, between the hold's accounts. */
static bool settling_fits(const struct hf_strip *strip, uint32_t k, struct course *course)
{
    uint64_t amount = hf_strip_amount(strip, k);
    uint64_t released = hf_strip_released(strip, k);
    uint64_t left = course->hold.left;
    bool fits = amount <= left;
    if (hf_strip_kind(strip, k) == HF_STRIP_VOID) {
        fits = amount == left && released == 0;
    } else if (released != 0) {
        fits = fits && released == left - amount;
    }
    hf_strip_hold_pass(strip, k, &course->hold);
    return fits && hf_strip_time(strip, k) == 0 &&
           hf_strip_from(strip, k) == hf_strip_from(strip, course->row) &&
           hf_strip_to(strip, k) == hf_strip_to(strip, course->row);
}

static bool rows_fit(const struct hf_strip *strip, struct course *courses)
{
    uint32_t used = 0;
    bool settles = false;
    for (uint32_t k = 0; k < strip->count; k++) {
        bool row_settles = hf_strip_settles(strip, k);
        if (row_settles && strip->settles == NULL) {
            return false;
        }
        uint32_t number = hf_strip_hold_number(strip, k);
        if (!row_settles) {
            courses[number] = (struct course){hf_strip_hold_begin(strip, number), k};
            if (hf_strip_released(strip, k) != 0 ||
                (strip->settles != NULL && hf_strip_settled(strip, k) != 0)) {
                return false;
            }
            continue;
        }
        if (number < strip->holds.count) {
            bool first = number == used;
            if (!hf_strip_next_use(number, &used)) {
                return false;
            }
            if (first) {
                courses[number] = (struct course){hf_strip_hold_begin(strip, number), k};
            }
        }
        settles = true;
        if (!settling_fits(strip, k, &courses[number])) {
            return false;
        }
    }
    return used == strip->holds.count && settles == (strip->settles != NULL);
}

bool hf_strip_holds_fit(struct hf_codec *codec, const struct hf_strip *strip)
{
    if (strip->kinds == NULL) {
        return strip->settles == NULL && strip->released == NULL;
    }
    if (!hf_strip_holds_exist(strip) || !holds_were_open(&strip->holds)) {
        return false;
    }
    struct course *courses =
        hf_arena_alloc(codec->arena, hf_strip_hold_count(strip) * sizeof(*courses));
    codec->short_memory = codec->short_memory || courses == NULL;
    return courses != NULL && rows_fit(strip, courses);
}
