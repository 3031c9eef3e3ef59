/* Accounts of one cache line, ids in buckets of one cache line, on huge pages where there are some. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ceiling.h"

#define LINE_BYTES 64u
#define BUCKET_IDS 4u
#define HUGE_BYTES (2u << 20)

struct account {
    uint64_t id[2]; /* zero: free */
    ceiling_u128 debits;
    ceiling_u128 credits;
    uint8_t rest[16];
};

struct bucket {
    uint64_t ids[BUCKET_IDS][2];
};

struct ceiling_ledger {
    struct account *accounts;
    struct bucket *buckets;
    uint64_t account_mask;
    uint64_t bucket_mask;
    ceiling_u128 funds; /* that each began with */
};

static uint64_t mix(const uint64_t id[2])
{
    ceiling_u128 product =
        (ceiling_u128)(id[0] ^ 0x9e3779b97f4a7c15u) * (id[1] ^ 0xd6e8feb86659fd93u);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t power_of_two(uint64_t least)
{
    uint64_t power = 1;
    while (power < least) {
        power *= 2;
    }
    return power;
}

/* Touched at once, so that no page is found missing while it counts. */
static void *lines_new(uint64_t count)
{
    size_t size_bytes = (size_t)((count * LINE_BYTES + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES);
    void *lines = aligned_alloc(HUGE_BYTES, size_bytes);
    if (lines != NULL) {
        (void)madvise(lines, size_bytes, MADV_HUGEPAGE);
        memset(lines, 0, size_bytes);
    }
    return lines;
}

static struct account *account_at(const struct ceiling_ledger *ledger, const uint64_t id[2])
{
    uint64_t at = mix(id) & ledger->account_mask;
    for (;;) {
        struct account *account = &ledger->accounts[at];
        if (account->id[0] == id[0] && account->id[1] == id[1]) {
            return account;
        }
        if (account->id[0] == 0 && account->id[1] == 0) {
            return account;
        }
        at = (at + 1) & ledger->account_mask;
    }
}

struct ceiling_ledger *ceiling_ledger_new(uint64_t accounts, uint64_t ids)
{
    struct ceiling_ledger *ledger = calloc(1, sizeof(*ledger));
    if (ledger == NULL) {
        return NULL;
    }
    ledger->account_mask = power_of_two(accounts * 2) - 1;
    ledger->bucket_mask = power_of_two(ids * 2 / BUCKET_IDS) - 1;
    ledger->accounts = lines_new(ledger->account_mask + 1);
    ledger->buckets = lines_new(ledger->bucket_mask + 1);
    if (ledger->accounts == NULL || ledger->buckets == NULL) {
        ceiling_ledger_free(ledger);
        return NULL;
    }
    ledger->funds = (ceiling_u128)1 << 100;
    for (uint64_t i = 1; i <= accounts; i++) {
        uint64_t id[2] = {i, 0};
        struct account *account = account_at(ledger, id);
        account->id[0] = i;
        account->credits = ledger->funds;
    }
    return ledger;
}

void ceiling_ledger_free(struct ceiling_ledger *ledger)
{
    free(ledger->accounts);
    free(ledger->buckets);
    free(ledger);
}

/* Notes an id; false: it was there. */
static bool spend_id(struct ceiling_ledger *ledger, const uint64_t id[2])
{
    uint64_t at = mix(id) & ledger->bucket_mask;
    for (;;) {
        uint64_t(*ids)[2] = ledger->buckets[at].ids;
        for (unsigned i = 0; i < BUCKET_IDS; i++) {
            if (ids[i][0] == id[0] && ids[i][1] == id[1]) {
                return false;
            }
            if (ids[i][0] == 0 && ids[i][1] == 0) {
                ids[i][0] = id[0];
                ids[i][1] = id[1];
                return true;
            }
        }
        at = (at + 1) & ledger->bucket_mask;
    }
}

static bool is_account(const struct account *account)
{
    return account->id[0] != 0 || account->id[1] != 0;
}

struct ceiling_answer ceiling_ledger_apply(struct ceiling_ledger *ledger,
                                           const struct ceiling_record *records, uint32_t count)
{
    struct ceiling_answer answer = {0};
    for (uint32_t i = 0; i < count; i++) {
        const struct ceiling_record *record = &records[i];
        if (!spend_id(ledger, record->id)) {
            answer.replayed++;
            continue;
        }
        struct account *from = account_at(ledger, record->from);
        struct account *to = account_at(ledger, record->to);
        if (!is_account(from) || !is_account(to) || from == to || record->amount == 0 ||
            from->credits - from->debits < record->amount) {
            answer.refused++;
            continue;
        }
        from->debits += record->amount;
        to->credits += record->amount;
        answer.accepted++;
    }
    return answer;
}

void ceiling_ledger_totals(const struct ceiling_ledger *ledger, ceiling_u128 *debits,
                           ceiling_u128 *credits)
{
    *debits = 0;
    *credits = 0;
    for (uint64_t i = 0; i <= ledger->account_mask; i++) {
        if (is_account(&ledger->accounts[i])) {
            *debits += ledger->accounts[i].debits;
            *credits += ledger->accounts[i].credits - ledger->funds;
        }
    }
}
