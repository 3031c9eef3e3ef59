/* Strips as they are read: single events, an account's entries, all events. */
#include <assert.h>

#include "core/strip.h"
#include "core/strip_priv.h"
#include "core/view.h"

#define ID_BYTES 16u
#define ACCOUNT_NUMBERS                                                                            \
    7u /* varints of an account behind its name: asset, four totals, version, last position */

static_assert(HF_STRIP_ACCOUNTS_MAX < UINT16_MAX, "a seat has 16 bits");

/* An account on the way through the columns. */
struct running {
    struct hf_name name;
    struct hf_totals totals;
    uint64_t version;
    uint64_t last_position;
    uint32_t asset;
};

/* Account i as it was before. false: it can't be read. */
static bool account_at(const struct hf_strip *strip, uint32_t i, struct hf_strip_account *account)
{
    if (strip->accounts != NULL) {
        *account = strip->accounts[i];
        return true;
    }
    struct hf_codec codec = {
        .in = hf_reader_over(strip->stored + strip->offsets[i],
                             strip->offsets[i + 1] - strip->offsets[i]),
        .arena = strip->arena,
    };
    *account = (struct hf_strip_account){0};
    hf_code_strip_account(&codec, account, strip->asset_count);
    return hf_codec_ok(&codec) && hf_reader_left(&codec.in) == 0;
}

bool hf_strip_spell_name(struct hf_arena *arena, struct hf_name *name)
{
    if (hf_str_present(name->text)) {
        return true;
    }
    char *text = hf_arena_alloc(arena, HF_UUID_TEXT_BYTES);
    if (text != NULL) {
        hf_name_hex(&name->id, text);
        name->text = (struct hf_str){text, HF_UUID_TEXT_BYTES};
    }
    return text != NULL;
}

/* Account i, with its text. false: it can't be read, or memory is short. */
static bool begin_at(const struct hf_strip *strip, uint32_t i, struct running *running)
{
    struct hf_strip_account account;
    if (!account_at(strip, i, &account)) {
        return false;
    }
    *running = (struct running){account.name, account.totals, account.version,
                                account.last_position, account.asset};
    return hf_strip_spell_name(strip->arena, &running->name);
}

static void write_entry(struct running *running, uint64_t position, struct hf_side *side)
{
    side->account = running->name;
    side->previous_position = running->last_position;
    running->version++;
    running->last_position = position;
    side->version = running->version;
    side->totals = running->totals;
}

static void move(const struct hf_strip *strip, uint32_t k, struct running *from, struct running *to)
{
    struct hf_strip_move move = hf_strip_move(strip, k);
    if (from != NULL) {
        from->totals.debits_posted += move.posted;
        from->totals.debits_pending += move.pending_up - move.pending_down;
    }
    if (to != NULL) {
        to->totals.credits_posted += move.posted;
        to->totals.credits_pending += move.pending_up - move.pending_down;
    }
}

/* The transfer of row k, but for its accounts: of a hold and a void what they carry for their sender. */
static bool tell_transfer(const struct hf_commit *commit, uint32_t k, struct hf_transfer *transfer)
{
    const struct hf_strip *strip = commit->strip;
    enum hf_strip_kind kind = hf_strip_kind(strip, k);
    if (strip->user_data != NULL) {
        memcpy(transfer->user_data, strip->user_data + HF_USER_DATA_BYTES * (size_t)k,
               HF_USER_DATA_BYTES);
    }
    if (strip->codes != NULL) {
        transfer->code = hf_get_u32(strip->codes + 4 * (size_t)k);
    }
    if (kind == HF_STRIP_HOLD) {
        return true;
    }
    transfer->name.id = hf_strip_id(strip, k);
    if (kind != HF_STRIP_VOID) {
        transfer->kind = kind == HF_STRIP_CAPTURE ? HF_TRANSFER_CAPTURE : HF_TRANSFER_PLAIN;
        transfer->amount = hf_strip_amount(strip, k);
        transfer->requested = transfer->amount;
        transfer->position = commit->position;
        transfer->posted_at_us = commit->time_us;
        transfer->effective_at_us = hf_strip_time(strip, k);
        transfer->has_effective_at = transfer->effective_at_us != 0;
    }
    return hf_strip_spell_name(strip->arena, &transfer->name);
}

/* The event of row k, whose accounts have come so far and have their texts, and whose hold, if it has one, is as the row
 * leaves it. */
static struct hf_event *make_event(const struct hf_commit *commit, uint32_t k, struct running *from,
                                   struct running *to, const struct hf_strip_hold *hold)
{
    const struct hf_strip *strip = commit->strip;
    struct hf_event *event = hf_arena_alloc_zero(strip->arena, 1, sizeof(*event));
    if (event == NULL) {
        return NULL;
    }
    struct hf_posting *posting = &event->posting;
    event->type = HF_EVENT_TRANSFER_POSTED;
    event->operation =
        strip->operations == NULL ? k : hf_get_u16(strip->operations + 2 * (size_t)k);
    move(strip, k, from, to);
    write_entry(from, commit->position, &posting->debit);
    write_entry(to, commit->position, &posting->credit);
    if (!tell_transfer(commit, k, &posting->transfer) ||
        (hold != NULL &&
         !hf_strip_hold_tell(commit, k, hold, &strip->assets[from->asset], event))) {
        return NULL;
    }
    if (posting->transfer.amount != 0) {
        posting->transfer.from = from->name;
        posting->transfer.to = to->name;
        posting->transfer.asset = strip->assets[from->asset];
        posting->transfer.of = posting->hold.name;
    }
    return event;
}

/* Row k happens, and nobody asks for its event. NULL: an account that nobody asks for. */
static void pass(const struct hf_commit *commit, uint32_t k, struct running *from,
                 struct running *to)
{
    move(commit->strip, k, from, to);
    if (from != NULL) {
        from->version++;
        from->last_position = commit->position;
    }
    if (to != NULL) {
        to->version++;
        to->last_position = commit->position;
    }
}

/* The hold of row k as the row leaves it. */
static struct hf_strip_hold hold_behind(const struct hf_strip *strip, uint32_t k)
{
    uint32_t number = hf_strip_hold_number(strip, k);
    struct hf_strip_hold hold = hf_strip_hold_begin(strip, number);
    for (uint32_t i = 0; i <= k; i++) {
        if (hf_strip_settles(strip, i) && hf_strip_hold_number(strip, i) == number) {
            hf_strip_hold_pass(strip, i, &hold);
        }
    }
    return hold;
}

const struct hf_event *hf_strip_event(const struct hf_commit *commit, uint32_t k)
{
    const struct hf_strip *strip = commit->strip;
    uint32_t debited = hf_strip_from(strip, k);
    uint32_t credited = hf_strip_to(strip, k);
    struct running from;
    struct running to;
    if (!begin_at(strip, debited, &from) || !begin_at(strip, credited, &to)) {
        return NULL;
    }
    for (uint32_t i = 0; i < k; i++) {
        uint32_t a = hf_strip_from(strip, i);
        uint32_t b = hf_strip_to(strip, i);
        pass(commit, i, a == debited ? &from : (a == credited ? &to : NULL),
             b == debited ? &from : (b == credited ? &to : NULL));
    }
    if (hf_strip_kind(strip, k) == HF_STRIP_TRANSFER) {
        return make_event(commit, k, &from, &to, NULL);
    }
    struct hf_strip_hold hold = hold_behind(strip, k);
    return make_event(commit, k, &from, &to, &hold);
}

uint32_t hf_strip_find_row(const struct hf_strip *strip, enum hf_strip_kind kind,
                           const struct hf_id *id)
{
    uint32_t k = 0;
    while (k < strip->count &&
           (memcmp(strip->ids + ID_BYTES * (size_t)k, id->bytes, ID_BYTES) != 0 ||
            hf_strip_kind(strip, k) != kind)) {
        k++;
    }
    return k;
}

/* The account's number, and what it was before; account_count: it is not there, or can't be read. */
static uint32_t find_account(const struct hf_strip *strip, const struct hf_id *id,
                             struct hf_strip_account *account)
{
    uint32_t i = 0;
    if (strip->accounts != NULL) {
        while (i < strip->account_count && !hf_id_equal(&strip->accounts[i].name.id, id)) {
            i++;
        }
    } else {
        while (i < strip->account_count &&
               memcmp(strip->stored + strip->offsets[i], id->bytes, sizeof(id->bytes)) != 0) {
            i++;
        }
    }
    return i < strip->account_count && account_at(strip, i, account) ? i : strip->account_count;
}

bool hf_strip_find_entry(const struct hf_commit *commit, const struct hf_id *id, uint64_t version,
                         uint32_t *number, uint64_t *previous)
{
    const struct hf_strip *strip = commit->strip;
    struct hf_strip_account account;
    uint32_t at = find_account(strip, id, &account);
    if (at == strip->account_count || version <= account.version) {
        return false;
    }
    uint64_t left = version - account.version;
    *previous = left == 1 ? account.last_position : commit->position;
    for (uint32_t k = 0; k < strip->count; k++) {
        left -= hf_strip_from(strip, k) == at || hf_strip_to(strip, k) == at;
        if (left == 0) {
            *number = k;
            return true;
        }
    }
    return false;
}

bool hf_strip_before(const struct hf_commit *commit, const struct hf_id *id, uint64_t version,
                     struct hf_entry_place *before)
{
    struct hf_strip_account account;
    uint32_t number;
    uint64_t previous;
    uint32_t at = find_account(commit->strip, id, &account);
    if (at == commit->strip->account_count ||
        !hf_strip_find_entry(commit, id, version, &number, &previous)) {
        return false;
    }
    *before = (struct hf_entry_place){account.version, account.last_position};
    return true;
}

/* ---- all holds on their way ---- */

struct courses {
    const struct hf_strip *strip;
    struct hf_strip_hold *holds; /* by number; NULL: the strip has none */
};

static bool begin_courses(const struct hf_strip *strip, struct courses *courses)
{
    *courses = (struct courses){.strip = strip};
    if (strip->kinds == NULL) {
        return true;
    }
    courses->holds =
        hf_arena_alloc(strip->arena, hf_strip_hold_count(strip) * sizeof(*courses->holds));
    for (uint32_t i = 0; courses->holds != NULL && i < strip->holds.count; i++) {
        courses->holds[i] = hf_strip_hold_begin(strip, i);
    }
    return courses->holds != NULL;
}

/* Row k, which follows the one before, happens. The hold that it opens or settles, as it leaves it; NULL: a transfer. */
static const struct hf_strip_hold *follow(const struct courses *courses, uint32_t k)
{
    const struct hf_strip *strip = courses->strip;
    if (hf_strip_kind(strip, k) == HF_STRIP_TRANSFER) {
        return NULL;
    }
    uint32_t number = hf_strip_hold_number(strip, k);
    if (hf_strip_settles(strip, k)) {
        hf_strip_hold_pass(strip, k, &courses->holds[number]);
    } else {
        courses->holds[number] = hf_strip_hold_begin(strip, number);
    }
    return &courses->holds[number];
}

/* ---- the entries of one account ---- */

/* The account and its counterparties of the wanted entries, on the way through the columns. */
struct party {
    const struct hf_commit *commit;
    uint16_t *seats; /* by account: its place in `running` and 1, 0 = it does not matter */
    struct running *running;
    uint32_t seat_count;
};

/* false: it can't be read, or memory is short. */
static bool seat(struct party *party, uint32_t account)
{
    if (party->seats[account] != 0) {
        return true;
    }
    party->seats[account] = (uint16_t)++party->seat_count;
    return begin_at(party->commit->strip, account, &party->running[party->seat_count - 1]);
}

static struct running *seated(const struct party *party, uint32_t account)
{
    uint16_t place = party->seats[account];
    return place == 0 ? NULL : &party->running[place - 1];
}

/* Numbers of the rows that write its entries skip, skip + 1, …, at most `most`; returns how many. */
static uint32_t find_transfers(const struct hf_strip *strip, uint32_t account, uint64_t skip,
                               uint32_t most, uint32_t *numbers)
{
    uint32_t count = 0;
    uint64_t seen = 0;
    for (uint32_t k = 0; k < strip->count && count < most; k++) {
        if (hf_strip_from(strip, k) == account || hf_strip_to(strip, k) == account) {
            if (seen >= skip) {
                numbers[count++] = k;
            }
            seen++;
        }
    }
    return count;
}

bool hf_strip_entries(const struct hf_commit *commit, const struct hf_id *id, uint64_t first,
                      uint64_t last, struct hf_strip_entries *entries)
{
    const struct hf_strip *strip = commit->strip;
    struct hf_strip_account account;
    *entries = (struct hf_strip_entries){0};
    struct courses courses;
    uint32_t at = find_account(strip, id, &account);
    if (at == strip->account_count || last <= account.version) {
        return true;
    }
    entries->first = hf_max_u64(first, account.version + 1);
    uint32_t most = (uint32_t)hf_min_u64(last - entries->first + 1, strip->count);
    uint32_t *numbers = hf_arena_alloc(strip->arena, most * sizeof(*numbers));
    const struct hf_event **events = hf_arena_alloc(strip->arena, most * sizeof(struct hf_event *));
    struct party party = {
        .commit = commit,
        .seats = hf_arena_alloc_zero(strip->arena, strip->account_count, sizeof(*party.seats)),
        .running = hf_arena_alloc(strip->arena, (most + 1) * sizeof(*party.running)),
    };
    if (numbers == NULL || events == NULL || party.seats == NULL || party.running == NULL ||
        !begin_courses(strip, &courses)) {
        return false;
    }
    uint32_t count = find_transfers(strip, at, entries->first - account.version - 1, most, numbers);
    for (uint32_t i = 0; i < count; i++) {
        if (!seat(&party, hf_strip_from(strip, numbers[i])) ||
            !seat(&party, hf_strip_to(strip, numbers[i]))) {
            return false;
        }
    }
    for (uint32_t i = 0, k = 0; i < count; k++) {
        struct running *from = seated(&party, hf_strip_from(strip, k));
        struct running *to = seated(&party, hf_strip_to(strip, k));
        const struct hf_strip_hold *hold = follow(&courses, k);
        if (k != numbers[i]) {
            pass(commit, k, from, to);
            continue;
        }
        events[i] = make_event(commit, k, from, to, hold);
        if (events[i++] == NULL) {
            return false;
        }
    }
    entries->events = events;
    entries->count = count;
    return true;
}

/* ---- a glance ---- */

#define EACH_BYTE 0x0101010101010101u

/* Behind so many varints, fewer than 128; NULL: they do not end there. */
static const uint8_t *skip_varints(const uint8_t *at, const uint8_t *end, unsigned count)
{
    while (end - at >= 8) {
        /* A varint's last byte is below 128: 1 in each of these, then in each byte how many there are up to it. */
        uint64_t lasts = (~hf_get_u64(at) & EACH_BYTE << 7) >> 7;
        uint64_t ended = lasts * EACH_BYTE;
        if (ended >> 56 >= count) {
            uint64_t differs = ended ^ count * EACH_BYTE;
            uint64_t equal = (differs - EACH_BYTE) & ~differs & EACH_BYTE << 7;
            return at + __builtin_ctzll(equal) / 8 + 1; /* the lowest one is right */
        }
        count -= (unsigned)(ended >> 56);
        at += 8;
    }
    for (; at < end && count > 0; at++) {
        count -= *at < 0x80;
    }
    return count == 0 ? at : NULL;
}

/* Behind a stored account; NULL: it is not whole. */
static const uint8_t *skip_account(const uint8_t *at, const uint8_t *end)
{
    struct hf_reader reader = hf_reader_over(at, (size_t)(end - at));
    if (hf_reader_left(&reader) <= ID_BYTES) {
        return NULL;
    }
    reader.next += ID_BYTES;
    if (*reader.next == 0) {
        reader.next++; /* most names are the hex text of their bits, and have none here */
    } else {
        (void)hf_read_str(&reader, HF_NAME_BYTES_MAX);
    }
    return reader.failed ? NULL : skip_varints(reader.next, end, ACCOUNT_NUMBERS);
}

bool hf_strip_find_accounts(struct hf_codec *codec, struct hf_strip *strip)
{
    const uint8_t *start = codec->in.next;
    const uint8_t *at = start;
    size_t count = (size_t)strip->account_count + 1;
    uint32_t *offsets = hf_arena_alloc(codec->arena, count * sizeof(*offsets));
    if (offsets == NULL) {
        codec->short_memory = true;
        return false;
    }
    for (uint32_t i = 0; i < strip->account_count; i++) {
        offsets[i] = (uint32_t)(at - start);
        at = skip_account(at, codec->in.end);
        if (at == NULL) {
            return hf_codec_fail(codec, "strip account");
        }
    }
    offsets[strip->account_count] = (uint32_t)(at - start);
    codec->in.next = at;
    strip->stored = start;
    strip->offsets = offsets;
    return true;
}

/* ---- all events ---- */

bool hf_commit_expand(struct hf_commit *commit)
{
    const struct hf_strip *strip = commit->strip;
    if (strip == NULL || commit->expanded) {
        return true;
    }
    uint32_t total = hf_commit_event_total(commit);
    struct hf_event **events = hf_arena_alloc(strip->arena, total * sizeof(struct hf_event *));
    struct running *running = hf_arena_alloc(strip->arena, strip->account_count * sizeof(*running));
    struct courses courses;
    if (events == NULL || running == NULL || !begin_courses(strip, &courses)) {
        return false;
    }
    if (commit->event_count > 0) {
        memcpy(events, commit->events, commit->event_count * sizeof(struct hf_event *));
    }
    for (uint32_t i = 0; i < strip->account_count; i++) {
        if (!begin_at(strip, i, &running[i])) {
            return false;
        }
    }
    for (uint32_t k = 0; k < strip->count; k++) {
        struct hf_event *event = make_event(commit, k, &running[hf_strip_from(strip, k)],
                                            &running[hf_strip_to(strip, k)], follow(&courses, k));
        if (event == NULL) {
            return false;
        }
        events[commit->event_count + k] = event;
    }
    commit->events = events;
    commit->event_count = total;
    commit->expanded = true;
    return true;
}

uint32_t hf_commit_event_total(const struct hf_commit *commit)
{
    bool more = commit->strip != NULL && !commit->expanded;
    return commit->event_count + (more ? commit->strip->count : 0);
}

const struct hf_event *hf_commit_event(const struct hf_commit *commit, uint32_t number)
{
    if (number < commit->event_count) {
        return commit->events[number];
    }
    return number < hf_commit_event_total(commit)
               ? hf_strip_event(commit, number - commit->event_count)
               : NULL;
}
