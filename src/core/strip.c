#include "core/strip.h"

#include <assert.h>

#include "base/check.h"
#include "core/strip_priv.h"

/* Where an event's type would stand: no event has this one. */
#define STRIP_MARK 127u
static_assert(STRIP_MARK >= HF_EVENT_TYPE_COUNT, "the mark is no event's type");
static_assert(HF_STRIP_ACCOUNTS_MAX <= UINT16_MAX, "columns have 16 bits for an account");

#define HAS_OPERATIONS 1u
#define HAS_TIMES      2u
#define HAS_USER_DATA  4u
#define HAS_CODES      8u
#define HAS_KINDS      16u
#define HAS_RELEASED   32u
#define HAS_SETTLES    64u /* and the holds */
#define COLUMNS_MAX    127u

#define ID_BYTES      16u
#define ACCOUNT_BYTES (HF_NAME_BYTES_MAX + 128u) /* of an account in a record, at most */

/* ---- the stored form ---- */

static uint8_t columns_of(const struct hf_strip *strip)
{
    return (uint8_t)((strip->operations != NULL ? HAS_OPERATIONS : 0) |
                     (strip->times != NULL ? HAS_TIMES : 0) |
                     (strip->user_data != NULL ? HAS_USER_DATA : 0) |
                     (strip->codes != NULL ? HAS_CODES : 0) |
                     (strip->kinds != NULL ? HAS_KINDS : 0) |
                     (strip->released != NULL ? HAS_RELEASED : 0) |
                     (strip->settles != NULL ? HAS_SETTLES : 0));
}

static size_t row_bytes(uint8_t columns)
{
    return ID_BYTES + 2 + 2 + 8 + ((columns & HAS_OPERATIONS) != 0 ? 2u : 0) +
           ((columns & HAS_TIMES) != 0 ? 8u : 0) +
           ((columns & HAS_USER_DATA) != 0 ? HF_USER_DATA_BYTES : 0) +
           ((columns & HAS_CODES) != 0 ? 4u : 0) + ((columns & HAS_KINDS) != 0 ? 1u : 0) +
           ((columns & HAS_RELEASED) != 0 ? 8u : 0) + ((columns & HAS_SETTLES) != 0 ? 2u : 0);
}

uint64_t hf_strip_size_bound(const struct hf_strip *strip)
{
    return 64 + (uint64_t)strip->asset_count * (HF_ASSET_BYTES_MAX + 1) +
           (uint64_t)strip->account_count * ACCOUNT_BYTES +
           (uint64_t)strip->count * row_bytes(columns_of(strip)) +
           hf_strip_holds_bound(&strip->holds);
}

void hf_code_strip_account(struct hf_codec *codec, struct hf_strip_account *account,
                           uint32_t asset_count)
{
    hf_code_lean_name(codec, &account->name, &account->hex_name, "strip account");
    hf_code_u32(codec, &account->asset, asset_count - 1, "strip account's asset");
    hf_code_totals(codec, &account->totals);
    hf_code_u64(codec, &account->version, UINT64_MAX / 2, "strip account's version");
    hf_code_u64(codec, &account->last_position, UINT64_MAX, "strip account's last position");
}

void hf_code_column(struct hf_codec *codec, const uint8_t **column, size_t count, size_t width)
{
    if (hf_codec_writing(codec)) {
        hf_buffer_bytes(codec->out, *column, count * width);
        return;
    }
    *column = hf_read_bytes(&codec->in, count * width);
    if (*column == NULL) {
        hf_codec_fail(codec, "strip columns");
    }
}

static void code_columns(struct hf_codec *codec, struct hf_strip *strip)
{
    uint8_t columns = hf_codec_writing(codec) ? columns_of(strip) : 0;
    hf_code_bytes(codec, &columns, 1, "strip columns");
    if (columns > COLUMNS_MAX) {
        hf_codec_fail(codec, "strip columns");
        return;
    }
    hf_code_column(codec, &strip->ids, strip->count, ID_BYTES);
    hf_code_column(codec, &strip->from, strip->count, 2);
    hf_code_column(codec, &strip->to, strip->count, 2);
    hf_code_column(codec, &strip->amounts, strip->count, 8);
    if ((columns & HAS_OPERATIONS) != 0) {
        hf_code_column(codec, &strip->operations, strip->count, 2);
    }
    if ((columns & HAS_TIMES) != 0) {
        hf_code_column(codec, &strip->times, strip->count, 8);
    }
    if ((columns & HAS_USER_DATA) != 0) {
        hf_code_column(codec, &strip->user_data, strip->count, HF_USER_DATA_BYTES);
    }
    if ((columns & HAS_CODES) != 0) {
        hf_code_column(codec, &strip->codes, strip->count, 4);
    }
    if ((columns & HAS_KINDS) != 0) {
        hf_code_column(codec, &strip->kinds, strip->count, 1);
    }
    if ((columns & HAS_RELEASED) != 0) {
        hf_code_column(codec, &strip->released, strip->count, 8);
    }
    if ((columns & HAS_SETTLES) != 0) {
        hf_code_column(codec, &strip->settles, strip->count, 2);
        hf_code_strip_holds(codec, &strip->holds);
    }
}

void hf_code_strip(struct hf_codec *codec, const struct hf_commit *commit)
{
    struct hf_strip strip = *commit->strip;
    uint8_t mark = STRIP_MARK;
    hf_code_bytes(codec, &mark, 1, "strip");
    hf_code_u32(codec, &strip.asset_count, HF_STRIP_ASSETS_MAX, "strip assets");
    hf_code_u32(codec, &strip.account_count, HF_STRIP_ACCOUNTS_MAX, "strip accounts");
    for (uint32_t i = 0; i < strip.asset_count; i++) {
        struct hf_asset asset = strip.assets[i];
        hf_code_asset(codec, &asset, "strip asset");
    }
    if (strip.accounts == NULL) {
        hf_buffer_bytes(codec->out, strip.stored, strip.offsets[strip.account_count]);
    }
    for (uint32_t i = 0; strip.accounts != NULL && i < strip.account_count; i++) {
        struct hf_strip_account account = strip.accounts[i];
        hf_code_strip_account(codec, &account, strip.asset_count);
    }
    code_columns(codec, &strip);
}

bool hf_codec_at_strip(const struct hf_codec *codec)
{
    return hf_reader_left(&codec->in) > 0 && *codec->in.next == STRIP_MARK;
}

bool hf_column_says_something(const uint8_t *column, size_t bytes)
{
    uint8_t any = column == NULL;
    for (size_t i = 0; column != NULL && i < bytes; i++) {
        any |= column[i];
    }
    return any != 0;
}

/* Columns that say nothing are not there (invariant 2). */
static bool columns_say_something(const struct hf_strip *strip, uint32_t operation_count)
{
    bool moved = strip->operations == NULL;
    for (uint32_t k = 0; strip->operations != NULL && k < strip->count; k++) {
        uint32_t operation = hf_get_u16(strip->operations + 2 * (size_t)k);
        moved = moved || operation != k;
        if (operation >= operation_count ||
            (k > 0 && operation <= hf_get_u16(strip->operations + 2 * (size_t)(k - 1)))) {
            return false;
        }
    }
    size_t count = strip->count;
    return moved && count <= operation_count && hf_column_says_something(strip->times, count * 8) &&
           hf_column_says_something(strip->user_data, count * HF_USER_DATA_BYTES) &&
           hf_column_says_something(strip->codes, count * 4) &&
           hf_column_says_something(strip->kinds, count) &&
           hf_column_says_something(strip->released, count * 8);
}

bool hf_strip_next_use(uint32_t number, uint32_t *used)
{
    *used += number == *used;
    return number < *used;
}

static bool in_order(const struct hf_strip *strip)
{
    uint32_t accounts = 0;
    uint32_t assets = 0;
    for (uint32_t i = 0; i < strip->account_count; i++) {
        if (!hf_strip_next_use(strip->accounts[i].asset, &assets)) {
            return false;
        }
    }
    for (uint32_t k = 0; k < strip->count; k++) {
        uint32_t from = hf_strip_from(strip, k);
        uint32_t to = hf_strip_to(strip, k);
        if (!hf_strip_next_use(from, &accounts) || !hf_strip_next_use(to, &accounts) ||
            accounts > strip->account_count || from == to || hf_strip_amount(strip, k) == 0 ||
            strip->accounts[from].asset != strip->accounts[to].asset) {
            return false;
        }
    }
    return accounts == strip->account_count && assets == strip->asset_count;
}

/* Could a total pass the most that it may be, or, where holds are settled, fall below nothing? Hardly ever. */
static bool may_not_fit(const struct hf_strip *strip)
{
    hf_u128 most = HF_TOTAL_MAX - ((hf_u128)HF_COMMIT_OPERATIONS_MAX << 64);
    bool near = strip->settles != NULL;
    for (uint32_t i = 0; i < strip->account_count; i++) {
        const struct hf_totals *totals = &strip->accounts[i].totals;
        near = near || totals->debits_posted + totals->debits_pending > most ||
               totals->credits_posted + totals->credits_pending > most;
    }
    return near;
}

/* A row moves one side; false: a total does not fit. */
static bool side_fits(hf_u128 *posted, hf_u128 *pending, const struct hf_strip_move *move)
{
    return hf_u128_sub(*pending, move->pending_down, pending) &&
           hf_u128_add(*pending, move->pending_up, pending) &&
           hf_u128_add(*posted, move->posted, posted) && *posted <= HF_TOTAL_MAX &&
           *pending <= HF_TOTAL_MAX - *posted;
}

/* No total passes the most that it may be, nor falls below nothing. */
static bool totals_fit(struct hf_codec *codec, const struct hf_strip *strip)
{
    if (!may_not_fit(strip)) {
        return true;
    }
    struct hf_totals *sums = hf_arena_alloc(codec->arena, strip->account_count * sizeof(*sums));
    if (sums == NULL) {
        codec->short_memory = true;
        return false;
    }
    for (uint32_t i = 0; i < strip->account_count; i++) {
        sums[i] = strip->accounts[i].totals;
    }
    bool fit = true;
    for (uint32_t k = 0; fit && k < strip->count; k++) {
        struct hf_totals *from = &sums[hf_strip_from(strip, k)];
        struct hf_totals *to = &sums[hf_strip_to(strip, k)];
        struct hf_strip_move move = hf_strip_move(strip, k);
        fit = side_fits(&from->debits_posted, &from->debits_pending, &move) &&
              side_fits(&to->credits_posted, &to->credits_pending, &move);
    }
    return fit;
}

static bool read_accounts(struct hf_codec *codec, struct hf_strip *strip)
{
    struct hf_strip_account *accounts =
        hf_arena_alloc(codec->arena, strip->account_count * sizeof(*accounts));
    if (accounts == NULL) {
        codec->short_memory = true;
        return false;
    }
    for (uint32_t i = 0; i < strip->account_count && hf_codec_ok(codec); i++) {
        accounts[i] = (struct hf_strip_account){0};
        hf_code_strip_account(codec, &accounts[i], strip->asset_count);
    }
    strip->accounts = accounts;
    return hf_codec_ok(codec);
}

static bool read_head(struct hf_codec *codec, struct hf_strip *strip)
{
    uint8_t mark = 0;
    hf_code_bytes(codec, &mark, 1, "strip");
    hf_code_u32(codec, &strip->asset_count, HF_STRIP_ASSETS_MAX, "strip assets");
    hf_code_u32(codec, &strip->account_count, HF_STRIP_ACCOUNTS_MAX, "strip accounts");
    /* What is not there is damage, not a reason to allocate. */
    if (!hf_codec_ok(codec) || strip->asset_count == 0 ||
        strip->account_count > hf_reader_left(&codec->in) / ID_BYTES ||
        strip->count > hf_reader_left(&codec->in) / row_bytes(0)) {
        return hf_codec_fail(codec, "strip");
    }
    struct hf_asset *assets = hf_arena_alloc(codec->arena, strip->asset_count * sizeof(*assets));
    if (assets == NULL) {
        codec->short_memory = true;
        return false;
    }
    for (uint32_t i = 0; i < strip->asset_count && hf_codec_ok(codec); i++) {
        assets[i] = (struct hf_asset){0};
        hf_code_asset(codec, &assets[i], "strip asset");
    }
    strip->assets = assets;
    return hf_codec_ok(codec) &&
           (codec->glance ? hf_strip_find_accounts(codec, strip) : read_accounts(codec, strip));
}

/* Is it what an encoder writes? A glance leaves that to whoever applies or verifies the commit. */
static bool is_canonical(struct hf_codec *codec, const struct hf_strip *strip,
                         uint32_t operation_count)
{
    return in_order(strip) && hf_strip_holds_fit(codec, strip) && totals_fit(codec, strip) &&
           columns_say_something(strip, operation_count);
}

/* Do the columns name accounts that there are? */
static bool accounts_exist(const struct hf_strip *strip)
{
    uint32_t most = 0;
    for (uint32_t k = 0; k < strip->count; k++) {
        uint32_t from = hf_strip_from(strip, k);
        uint32_t to = hf_strip_to(strip, k);
        most = from > most ? from : most;
        most = to > most ? to : most;
    }
    return most < strip->account_count;
}

const struct hf_strip *hf_read_strip(struct hf_codec *codec, const struct hf_commit *commit,
                                     uint32_t count)
{
    struct hf_strip *strip = hf_arena_alloc_zero(codec->arena, 1, sizeof(*strip));
    if (strip == NULL) {
        codec->short_memory = true;
        return NULL;
    }
    strip->arena = codec->arena;
    strip->count = count;
    if (!read_head(codec, strip)) {
        return NULL;
    }
    code_columns(codec, strip);
    for (uint32_t i = 0; i < commit->event_count && hf_codec_ok(codec); i++) {
        if (commit->events[i]->type != HF_EVENT_UNIT_REFUSED) {
            hf_codec_fail(codec, "event before a strip");
        }
    }
    if (!hf_codec_ok(codec) || !commit->each ||
        !(codec->glance ? accounts_exist(strip) && hf_strip_holds_exist(strip)
                        : is_canonical(codec, strip, commit->operation_count))) {
        hf_codec_fail(codec, "strip");
        return NULL;
    }
    return strip;
}
