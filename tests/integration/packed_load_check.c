/* Everything again, and the books. */
#include "integration/packed_load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What the outcomes come to, by account. */
struct books {
    int64_t posted[PACKED_LOAD_USERS + 1];
    uint64_t entries[PACKED_LOAD_USERS + 1];
};

static bool complain(const struct packed_load_sender *sender, uint64_t k, const char *what)
{
    printf("WRONG sender %u, record %" PRIu64 ": %s\n", sender->number, k, what);
    return false;
}

/* One record: sent again it came to this code and flags. */
static bool judge(const struct packed_load_sender *sender, uint64_t k, uint32_t code,
                  uint32_t flags, struct books *books)
{
    uint32_t outcome = atomic_load(&sender->outcomes[k]);
    if (outcome == PACKED_LOAD_NONE) {
        return complain(sender, k, "no outcome");
    }
    if (outcome >> 16 != code) {
        return complain(sender, k, "another outcome now");
    }
    if (code != 0 && (flags & HOLDFAST_FLAG_REPLAYED) == 0) {
        return complain(sender, k, "the refusal was not known");
    }
    if (((outcome ^ flags) & HOLDFAST_FLAG_CHAIN) != 0) {
        return complain(sender, k, "another cause now");
    }
    if (code == 0) {
        struct packed_load_row row = packed_load_row(sender, k);
        books->posted[row.from] -= (int64_t)row.amount;
        books->posted[row.to] += (int64_t)row.amount;
        books->entries[row.from]++;
        books->entries[row.to]++;
    }
    return true;
}

/* Up to a request of them from first on; *count: how many there were. */
static bool ask_again(const struct packed_load_sender *sender, uint64_t first, uint64_t *count,
                      struct holdfast_client_record *records, struct books *books)
{
    const uint64_t most = HOLDFAST_PACKED_RECORDS_MAX - HOLDFAST_PACKED_RECORDS_MAX % 4;
    struct holdfast_client_packed_result *result;
    struct holdfast_client_failure failure;
    *count = sender->count - first < most ? sender->count - first : most;
    for (uint64_t i = 0; i < *count; i++) {
        records[i] = packed_load_row(sender, first + i).record;
    }
    struct holdfast_client_packed packed = {
        .kind = HOLDFAST_CLIENT_TRANSFERS, .records = records, .record_count = *count};
    if (holdfast_client_packed(sender->client, &packed, &result, &failure) != HOLDFAST_CLIENT_OK) {
        return complain(sender, first, failure.text);
    }
    bool good =
        (result->accepted == 0 && result->position == 0) ||
        complain(sender, first, "a repetition did something: an acknowledged id was not there");
    uint32_t next = 0; /* of the refused */
    for (uint64_t i = 0; good && i < *count; i++) {
        bool refused = next < result->refused_count && result->refused[next].index == i;
        good = judge(sender, first + i, refused ? result->refused[next].code : 0,
                     refused ? result->refused[next].flags : 0, books);
        next += refused;
    }
    holdfast_client_packed_result_free(result);
    return good;
}

static bool check_account(struct holdfast_client *client, unsigned number,
                          const struct books *books)
{
    struct holdfast_client_id id = packed_load_account(number);
    struct holdfast_client_answer *answer;
    struct holdfast_client_failure failure;
    char name[37];
    char posted[64];
    uint64_t entries = 0;
    holdfast_client_id_text(&id, name);
    if (holdfast_client_read(client, NULL, "account", name, &answer, &failure) !=
        HOLDFAST_CLIENT_OK) {
        printf("WRONG account %u: %s\n", number, failure.text);
        return false;
    }
    bool good = holdfast_client_answer_text(answer, "/posted", posted, sizeof(posted)) &&
                strtoll(posted, NULL, 10) == books->posted[number] &&
                holdfast_client_answer_number(answer, "/version", &entries) &&
                entries == books->entries[number];
    if (!good) {
        printf("WRONG account %u: wanted %" PRId64 " by %" PRIu64 " entries, not %s\n", number,
               books->posted[number], books->entries[number], answer->body);
    }
    holdfast_client_answer_free(answer);
    return good;
}

bool packed_load_check(struct packed_load_sender *senders)
{
    static struct holdfast_client_record records[HOLDFAST_PACKED_RECORDS_MAX];
    struct books books = {0};
    uint64_t all = 0;
    bool good = true;
    for (unsigned i = 0; good && i < PACKED_LOAD_SENDERS; i++) {
        uint64_t count;
        for (uint64_t k = 0; good && k < senders[i].count; k += count) {
            good = ask_again(&senders[i], k, &count, records, &books);
            all += count;
        }
    }
    for (unsigned i = 0; good && i <= PACKED_LOAD_USERS; i++) {
        good = check_account(senders[0].client, i, &books);
    }
    printf("checked %" PRIu64 "\n", all);
    return good;
}
