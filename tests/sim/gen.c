#include "sim/gen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "sim/gen_priv.h"

void hf_gen_init(struct hf_gen *gen, uint64_t seed)
{
    memset(gen, 0, sizeof(*gen));
    gen->random = hf_sim_random_from(seed);
    gen->queue_flavour = (uint32_t)(seed ^ seed >> 17);
    gen->knobs = (struct hf_gen_knobs){.short_timeout_ms_max = 100,
                                       .short_timeout_ppm = 400000,
                                       .duplicate_ppm = 220000,
                                       .dry_run_ppm = 20000,
                                       .big_ppm = 150,
                                       .spoil_ppm = 60000};
    for (size_t i = 0; i < HF_GEN_RECIPES; i++) {
        hf_arena_init(&gen->recipes[i].arena);
    }
    hf_arena_init(&gen->work.arena);
}

void hf_gen_release(struct hf_gen *gen)
{
    for (size_t i = 0; i < HF_GEN_RECIPES; i++) {
        hf_arena_release(&gen->recipes[i].arena);
    }
    hf_arena_release(&gen->work.arena);
}

uint64_t hf_gen_below(struct hf_gen *gen, uint64_t bound)
{
    return hf_sim_random_below(&gen->random, bound);
}

bool hf_gen_percent(struct hf_gen *gen, uint32_t percent)
{
    return hf_sim_random_chance(&gen->random, percent * 10000);
}

bool hf_gen_spoil(struct hf_gen *gen)
{
    return hf_sim_random_chance(&gen->random, gen->knobs.spoil_ppm);
}

struct hf_str hf_gen_text(struct hf_gen *gen, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    HF_CHECK(len >= 0 && (size_t)len < sizeof(text));
    struct hf_str copy = hf_arena_copy(&gen->work.arena, (struct hf_str){text, (size_t)len});
    HF_CHECK(copy.ptr != NULL);
    return copy;
}

/* --- Names ------------------------------------------------------------------------------------- */

/* The same 128 bits under another text, once in a while. */
static struct hf_str collide(struct hf_gen *gen, struct hf_str text)
{
    if (!hf_sim_random_chance(&gen->random, 3000)) {
        return text;
    }
    struct hf_hash hash = hf_sha256(text.ptr, text.len);
    char hex[2 * HF_SHA256_BYTES + 1];
    hf_hash_hex(&hash, hex);
    return hf_gen_text(gen, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
                       hex + 20);
}

struct hf_str hf_gen_account(struct hf_gen *gen, size_t slot)
{
    struct hf_gen_account *account = &gen->accounts[slot];
    if (!account->open && account->version > 0 && hf_gen_percent(gen, 10)) {
        *account = (struct hf_gen_account){.generation = account->generation + 1};
    }
    uint32_t generation = account->generation;
    if (generation > 0 && hf_gen_spoil(gen)) {
        generation--;
    }
    return collide(gen, hf_gen_text(gen, "a%zu.%u", slot, generation));
}

struct hf_str hf_gen_asset(struct hf_gen *gen, size_t slot)
{
    bool euro = slot >= HF_GEN_EURO_FIRST;
    return euro != hf_gen_percent(gen, 1) ? HF_STR("EUR/2") : HF_STR("USD/2");
}

/* Two accounts, mostly of one asset and mostly ones that are open. */
void hf_gen_pair(struct hf_gen *gen, size_t *from, size_t *to)
{
    bool euro = hf_gen_percent(gen, 30);
    size_t first = euro ? HF_GEN_EURO_FIRST : 0;
    size_t count = euro ? HF_GEN_ACCOUNTS - HF_GEN_EURO_FIRST : HF_GEN_EURO_FIRST;
    for (int attempt = 0; attempt < 6; attempt++) {
        *from = first + hf_gen_below(gen, count);
        *to = first + (*from - first + 1 + hf_gen_below(gen, count - 1)) % count;
        bool usable = gen->accounts[*from].open && !gen->accounts[*from].frozen &&
                      gen->accounts[*to].open && !gen->accounts[*to].frozen;
        if (usable || hf_gen_percent(gen, 10)) {
            break;
        }
    }
    if (hf_gen_percent(gen, 20)) {
        *from = first; /* no floor: it can always pay */
        *to = *to == first ? first + 1 : *to;
    }
    if (hf_gen_percent(gen, 1)) {
        *to = (*to + 7) % HF_GEN_ACCOUNTS;
        *to = *to == *from ? (*to + 1) % HF_GEN_ACCOUNTS : *to;
    }
}

/* A new id: mostly really new, else of a pool that changes with time. */
struct hf_str hf_gen_new_id(struct hf_gen *gen, char kind)
{
    if (!hf_gen_percent(gen, 12)) {
        return collide(gen, hf_gen_text(gen, "%c%llu", kind, (unsigned long long)gen->fresh++));
    }
    return hf_gen_text(gen, "%cp%llu.%u", kind, (unsigned long long)(gen->made / 150),
                       (unsigned)hf_gen_below(gen, 20));
}

static struct hf_str reference(struct hf_gen *gen, const struct hf_gen_reference *ring,
                               uint64_t count, char kind)
{
    if (count == 0 || hf_gen_percent(gen, 6)) {
        return hf_gen_text(gen, "%cp%llu.%u", kind, (unsigned long long)(gen->made / 150),
                           (unsigned)hf_gen_below(gen, 20));
    }
    uint64_t at = 0;
    for (int attempt = 0; attempt < 4; attempt++) {
        uint64_t window = hf_min_u64(count, hf_gen_percent(gen, 60) ? 8 : HF_GEN_REFERENCES);
        at = count - 1 - hf_gen_below(gen, window);
        if (!ring[at % HF_GEN_REFERENCES].ended || hf_gen_percent(gen, 10)) {
            break;
        }
    }
    return collide(gen, hf_gen_text(gen, "%s", ring[at % HF_GEN_REFERENCES].text));
}

struct hf_str hf_gen_transfer(struct hf_gen *gen)
{
    return reference(gen, gen->transfers, gen->transfer_count, 't');
}

struct hf_str hf_gen_hold(struct hf_gen *gen)
{
    return reference(gen, gen->holds, gen->hold_count, 'h');
}

struct hf_str hf_gen_plain(struct hf_gen *gen, char kind, size_t slot)
{
    return collide(gen, hf_gen_text(gen, "%c%zu", kind, slot));
}

struct hf_str hf_gen_amount(struct hf_gen *gen)
{
    uint64_t roll = hf_gen_below(gen, 1000);
    if (roll < 20) {
        return HF_STR("0");
    }
    if (roll < 26) {
        return HF_STR("170141183460469231731687303715884105727"); /* 2^127 - 1 */
    }
    if (roll < 30) {
        return HF_STR("340282366920938463463374607431768211455"); /* 2^128 - 1 */
    }
    if (roll < 38) {
        return HF_STR("100000000000000000000000000000000000000");
    }
    unsigned long long amount = hf_gen_below(gen, roll < 300 ? 200 : 20);
    return hf_gen_text(gen, "%llu", amount + 1);
}

/* --- JSON -------------------------------------------------------------------------------------- */

static struct hf_str json_scalar(struct hf_gen *gen)
{
    switch (hf_gen_below(gen, 8)) {
    case 0:
        return HF_STR("null");
    case 1:
        return HF_STR("true");
    case 2:
        return HF_STR("\"\\u00e9\\n\\\"x\\\"\"");
    case 3:
        return HF_STR("\"\xF0\x9F\x98\x80 caf\xC3\xA9\"");
    case 4:
        return HF_STR("[1, 2,{\"deep\":[]}]");
    case 5:
        return HF_STR("{ \"x\" : 1 , \"y\":null}");
    default:
        return hf_gen_text(gen, "%llu", (unsigned long long)hf_gen_below(gen, 1000));
    }
}

/* An object of some members; other values now and then. */
struct hf_str hf_gen_json(struct hf_gen *gen, bool object)
{
    if (!object && hf_gen_percent(gen, 10)) {
        return json_scalar(gen);
    }
    char text[1024];
    size_t len = 0;
    const char *blank = hf_gen_percent(gen, 20) ? " " : "";
    text[len++] = '{';
    bool first = true;
    for (unsigned i = 0; i < 6; i++) {
        if (!hf_gen_percent(gen, 40)) {
            continue;
        }
        struct hf_str value = json_scalar(gen);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s\"k%u\":%s%.*s",
                                first ? "" : ",", blank, i, blank, (int)value.len, value.ptr);
        first = false;
    }
    text[len++] = '}';
    return hf_gen_text(gen, "%.*s", (int)len, text);
}

struct hf_str hf_gen_big_json(struct hf_gen *gen)
{
    size_t len = 600000;
    char *text = hf_arena_alloc(&gen->work.arena, len);
    HF_CHECK(text != NULL);
    memset(text, 'x', len);
    int head = snprintf(text, len, "{\"b%u\":\"", (unsigned)hf_gen_below(gen, 4));
    text[head] = 'x';
    memcpy(text + len - 2, "\"}", 2);
    return (struct hf_str){text, len};
}

/* --- What was seen ------------------------------------------------------------------------------ */

static void saw_account(struct hf_gen *gen, const struct hf_name *name, uint64_t version,
                        uint64_t time_us, const struct hf_totals *totals, int state)
{
    char text[64];
    char *end;
    (void)snprintf(text, sizeof(text), "%.*s", (int)hf_min_u64(name->text.len, 60), name->text.ptr);
    unsigned long slot = strtoul(text + 1, &end, 10);
    if (text[0] != 'a' || *end != '.' || slot >= HF_GEN_ACCOUNTS ||
        strtoul(end + 1, NULL, 10) != gen->accounts[slot].generation) {
        return;
    }
    struct hf_gen_account *account = &gen->accounts[slot];
    account->open = true;
    account->version = version;
    account->modified_at_us = time_us;
    account->posted = (hf_i128)(totals->credits_posted - totals->debits_posted);
    account->available = account->posted - (hf_i128)totals->debits_pending;
    if (state != 0) {
        account->frozen = state == HF_ACCOUNT_FROZEN;
    }
    if (state == HF_ACCOUNT_CLOSED) {
        account->open = false; /* the next generation comes later */
    }
}

static void saw_side(struct hf_gen *gen, const struct hf_side *side, uint64_t time_us)
{
    saw_account(gen, &side->account, side->version, time_us, &side->totals, 0);
}

static void saw_reference(struct hf_gen_reference *ring, uint64_t *count,
                          const struct hf_name *name)
{
    ring[*count % HF_GEN_REFERENCES].ended = false;
    (void)snprintf(ring[*count % HF_GEN_REFERENCES].text, 64, "%.*s",
                   (int)hf_min_u64(name->text.len, 60), name->text.ptr);
    (*count)++;
}

/* A hold that has ended, or a transfer that can't be reversed, is asked for less often. */
static void saw_end(struct hf_gen_reference *ring, const struct hf_name *name)
{
    for (size_t i = 0; i < HF_GEN_REFERENCES; i++) {
        if (hf_str_equal(hf_str_from(ring[i].text), name->text)) {
            ring[i].ended = true;
        }
    }
}

static size_t slot_of(const struct hf_name *name, size_t count)
{
    return name->text.len == 2 && name->text.ptr[1] >= '0' &&
                   (size_t)(name->text.ptr[1] - '0') < count
               ? (size_t)(name->text.ptr[1] - '0')
               : count;
}

static void saw_posting(struct hf_gen *gen, const struct hf_event *event, uint64_t time_us)
{
    if (event->type != HF_EVENT_HOLD_EXTENDED) {
        saw_side(gen, &event->posting.debit, time_us);
        saw_side(gen, &event->posting.credit, time_us);
    }
    if (event->type == HF_EVENT_TRANSFER_POSTED || event->type == HF_EVENT_HOLD_CAPTURED) {
        saw_reference(gen->transfers, &gen->transfer_count, &event->posting.transfer.name);
    }
    const struct hf_transfer *transfer = &event->posting.transfer;
    if (event->type == HF_EVENT_TRANSFER_POSTED && transfer->kind == HF_TRANSFER_REVERSAL) {
        saw_end(gen->transfers, &transfer->name);
        saw_end(gen->transfers, &transfer->of);
    }
    if (event->type != HF_EVENT_TRANSFER_POSTED && event->posting.hold.state != HF_HOLD_OPEN) {
        saw_end(gen->holds, &event->posting.hold.name);
    }
    if (event->type == HF_EVENT_HOLD_OPENED) {
        saw_reference(gen->holds, &gen->hold_count, &event->posting.hold.name);
    }
}

static void saw_lease(struct hf_gen *gen, const struct hf_lease *lease)
{
    size_t slot = slot_of(&lease->name, HF_GEN_LEASES);
    if (slot == HF_GEN_LEASES) {
        return;
    }
    struct hf_gen_lease *seen = &gen->leases[slot];
    if (seen->token != lease->token) {
        seen->old_token = seen->token;
        seen->token = lease->token;
    }
    seen->held = lease->held;
}

void hf_gen_saw(struct hf_gen *gen, const struct hf_commit *commit)
{
    gen->newest_us = hf_max_u64(gen->newest_us, commit->time_us);
    gen->newest = hf_max_u64(gen->newest, commit->position);
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_event *event = commit->events[i];
        size_t slot;
        switch ((int)event->type) {
        case HF_EVENT_ACCOUNT_OPENED:
            saw_account(gen, &event->opened.name, 0, commit->time_us, &event->opened.totals,
                        HF_ACCOUNT_OPEN);
            break;
        case HF_EVENT_ACCOUNT_CHANGED:
            saw_account(gen, &event->changed.side.account, event->changed.side.version,
                        commit->time_us, &event->changed.side.totals, (int)event->changed.state);
            break;
        case HF_EVENT_TRANSFER_POSTED:
        case HF_EVENT_HOLD_OPENED:
        case HF_EVENT_HOLD_CAPTURED:
        case HF_EVENT_HOLD_VOIDED:
        case HF_EVENT_HOLD_EXPIRED:
        case HF_EVENT_HOLD_EXTENDED:
            saw_posting(gen, event, commit->time_us);
            break;
        case HF_EVENT_STREAM_APPENDED:
            slot = slot_of(&event->appended.stream, HF_GEN_STREAMS);
            if (slot < HF_GEN_STREAMS) {
                gen->streams[slot] =
                    (struct hf_gen_head){true, event->appended.version, commit->time_us};
            }
            break;
        case HF_EVENT_DOCUMENT_PUT:
        case HF_EVENT_DOCUMENT_DELETED:
            slot = slot_of(&event->document.document, HF_GEN_DOCUMENTS);
            if (slot < HF_GEN_DOCUMENTS) {
                gen->documents[slot] = (struct hf_gen_head){
                    event->type == HF_EVENT_DOCUMENT_PUT, event->document.version, commit->time_us};
            }
            break;
        case HF_EVENT_LEASE_ACQUIRED:
        case HF_EVENT_LEASE_RENEWED:
        case HF_EVENT_LEASE_RELEASED:
        case HF_EVENT_LEASE_EXPIRED:
            saw_lease(gen, &event->lease);
            break;
        default:
            hf_gen_saw_queue(gen, commit, event);
            break;
        }
    }
}

static void put_text(char text[64], struct hf_str from)
{
    (void)snprintf(text, 64, "%.*s", (int)from.len, from.ptr);
}

void hf_gen_name(struct hf_gen *gen, enum hf_kind kind, char text[64])
{
    switch ((int)kind) {
    case HF_KIND_ACCOUNT:
        put_text(text, hf_gen_account(gen, hf_gen_below(gen, HF_GEN_ACCOUNTS)));
        break;
    case HF_KIND_TRANSFER:
        put_text(text, hf_gen_transfer(gen));
        break;
    case HF_KIND_HOLD:
        put_text(text, hf_gen_hold(gen));
        break;
    case HF_KIND_STREAM:
        put_text(text, hf_gen_plain(gen, 's', hf_gen_below(gen, HF_GEN_STREAMS)));
        break;
    case HF_KIND_DOCUMENT:
        put_text(text, hf_gen_plain(gen, 'd', hf_gen_below(gen, HF_GEN_DOCUMENTS)));
        break;
    case HF_KIND_SUBSCRIPTION: /* one more than there are */
        put_text(text,
                 hf_gen_text(gen, "u%u", (unsigned)hf_gen_below(gen, HF_GEN_SUBSCRIPTIONS + 1)));
        break;
    default:
        put_text(text, hf_gen_plain(gen, 'l', hf_gen_below(gen, HF_GEN_LEASES)));
        break;
    }
    hf_arena_clear(&gen->work.arena);
}
