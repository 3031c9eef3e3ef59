/*
 * holdfast-packed-load ADDRESS [ADDRESS]
 *
 * Commands on standard input, a line each, with one line of answer on standard output ("WRONG …" before it if something is):
 *
 *   go      the senders run                              going
 *   pause   every record gets its outcome                paused <of singles> <of chains> <of packed> <requests sent again>
 *   check   (paused) everything again, and books         checked <records>
 *   end     ends
 */
#include "integration/packed_load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHAINS_UNDER_WAY  300
#define TICKETS_UNDER_WAY 3
#define REQUEST_RECORDS   2000

static atomic_bool running;
static atomic_bool wrong;
static atomic_uint_fast64_t again;

/* ---- records ---- */

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x7FB5D329728EA185u;
    x ^= x >> 27;
    x *= 0x81DADEF4BC2DD44Du;
    return x ^ x >> 33;
}

struct holdfast_client_id packed_load_account(unsigned number)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "packed:%u", number);
    return holdfast_client_id_of(name);
}

struct packed_load_row packed_load_row(const struct packed_load_sender *sender, uint64_t k)
{
    uint64_t dice = mix((uint64_t)sender->number << 40 | (k + 1));
    unsigned user = 1 + (unsigned)(dice % PACKED_LOAD_USERS);
    bool in = (dice >> 8) % 100 < 55; /* else from a user, who may lack it */
    struct packed_load_row row = {
        .from = in ? 0 : user, .to = in ? user : 0, .amount = 1 + (dice >> 16) % 100};
    struct holdfast_client_packed_transfer transfer = {
        .from = packed_load_account(row.from),
        .to = packed_load_account(row.to),
        .asset = "USD/2",
        .amount = row.amount,
        .code = sender->number,
        .flags =
            !packed_load_is_single(sender) && k % PACKED_LOAD_GROUP < 2 ? HOLDFAST_FLAG_LINKED : 0,
    };
    for (unsigned i = 0; i < 8; i++) {
        transfer.id.bytes[15 - i] = (uint8_t)(k >> (8 * i));
    }
    transfer.id.bytes[0] = 0xF0;
    transfer.id.bytes[1] = (uint8_t)sender->number;
    if (!holdfast_client_pack_transfer(&transfer, &row.record)) {
        abort();
    }
    return row;
}

/* ---- outcomes ---- */

static void complain(const char *what, const struct holdfast_client_failure *failure)
{
    printf("WRONG %s: %s\n", what, failure == NULL ? "?" : failure->text);
    atomic_store(&wrong, true);
}

static void note(struct packed_load_sender *sender, uint64_t k, uint32_t code, uint32_t flags)
{
    if (atomic_exchange(&sender->outcomes[k], code << 16 | flags) != PACKED_LOAD_NONE) {
        printf("WRONG sender %u, record %" PRIu64 ": a second outcome\n", sender->number, k);
        atomic_store(&wrong, true);
    }
}

static void count_retry(void *context, const struct holdfast_client_retry *retry)
{
    (void)context;
    (void)retry;
    atomic_fetch_add(&again, 1);
}

/* ---- singles ---- */

static void run_singles(struct packed_load_sender *sender)
{
    while (atomic_load(&running) && sender->count < PACKED_LOAD_RECORDS) {
        struct packed_load_row row = packed_load_row(sender, sender->count);
        struct holdfast_client_outcome outcome;
        struct holdfast_client_failure failure;
        if (holdfast_client_batcher_transfer(sender->batcher, &row.record, &outcome, &failure) !=
            HOLDFAST_CLIENT_OK) {
            complain("transfer", &failure);
            return;
        }
        note(sender, sender->count++, outcome.code, outcome.flags);
    }
}

/* ---- chains ---- */

struct submission {
    struct packed_load_sender *sender;
    uint64_t first;
};

static void take_submitted(void *context, const struct holdfast_client_submitted *submitted)
{
    struct submission *submission = context;
    if (submitted->error != HOLDFAST_CLIENT_OK) {
        complain("chain", submitted->failure);
    }
    for (size_t i = 0; submitted->outcomes != NULL && i < submitted->record_count; i++) {
        note(submission->sender, submission->first + i, submitted->outcomes[i].code,
             submitted->outcomes[i].flags);
    }
    atomic_fetch_sub(&submission->sender->under_way, 1);
    free(submission);
}

/* Records first to first + count - 1. */
static bool submit(struct packed_load_sender *sender, uint64_t first, size_t count)
{
    struct holdfast_client_record records[PACKED_LOAD_GROUP];
    struct submission *context = malloc(sizeof(*context));
    struct holdfast_client_failure failure;
    if (context == NULL) {
        abort();
    }
    *context = (struct submission){sender, first};
    for (size_t i = 0; i < count; i++) {
        records[i] = packed_load_row(sender, first + i).record;
    }
    struct holdfast_client_submission submission = {.records = records,
                                                    .record_count = count,
                                                    .room_wait_ms = 300000,
                                                    .done = take_submitted,
                                                    .context = context};
    atomic_fetch_add(&sender->under_way, 1);
    if (holdfast_client_batcher_submit(sender->batcher, &submission, &failure) !=
        HOLDFAST_CLIENT_OK) {
        complain("submit", &failure);
        return false;
    }
    return true;
}

static void run_chains(struct packed_load_sender *sender)
{
    while (atomic_load(&running) && sender->count < PACKED_LOAD_RECORDS) {
        if (atomic_load(&sender->under_way) >= CHAINS_UNDER_WAY) {
            (void)usleep(200);
            continue;
        }
        if (!submit(sender, sender->count, 3) || !submit(sender, sender->count + 3, 1)) {
            return;
        }
        sender->count += PACKED_LOAD_GROUP;
    }
    holdfast_client_batcher_flush(sender->batcher);
}

/* ---- packed ---- */

struct under_way {
    struct holdfast_client_ticket *ticket;
    uint64_t first;
    size_t count;
    struct holdfast_client_record records[REQUEST_RECORDS];
};

static void start(struct packed_load_sender *sender, struct under_way *request)
{
    struct holdfast_client_failure failure;
    request->first = sender->count;
    request->count = PACKED_LOAD_GROUP * (1 + mix(request->first) % (REQUEST_RECORDS / 4));
    for (size_t i = 0; i < request->count; i++) {
        request->records[i] = packed_load_row(sender, request->first + i).record;
    }
    struct holdfast_client_packed packed = {.kind = HOLDFAST_CLIENT_TRANSFERS,
                                            .records = request->records,
                                            .record_count = request->count};
    if (holdfast_client_packed_start(sender->client, &packed, &request->ticket, &failure) !=
        HOLDFAST_CLIENT_OK) {
        complain("start", &failure);
        return;
    }
    sender->count += request->count;
}

static void finish(struct packed_load_sender *sender, struct under_way *request)
{
    struct holdfast_client_packed_result *result;
    struct holdfast_client_failure failure;
    if (request->ticket == NULL) {
        return;
    }
    if (holdfast_client_packed_wait(request->ticket, &result, &failure) != HOLDFAST_CLIENT_OK) {
        complain("packed", &failure);
    } else {
        uint32_t next = 0; /* of the refused */
        for (uint32_t i = 0; i < request->count; i++) {
            bool refused = next < result->refused_count && result->refused[next].index == i;
            note(sender, request->first + i, refused ? result->refused[next].code : 0,
                 refused ? result->refused[next].flags : 0);
            next += refused;
        }
    }
    holdfast_client_packed_result_free(result);
    request->ticket = NULL;
}

static void run_packed(struct packed_load_sender *sender)
{
    struct under_way *requests = calloc(TICKETS_UNDER_WAY, sizeof(*requests));
    if (requests == NULL) {
        abort();
    }
    for (size_t n = 0;
         atomic_load(&running) && sender->count + REQUEST_RECORDS < PACKED_LOAD_RECORDS; n++) {
        finish(sender, &requests[n % TICKETS_UNDER_WAY]);
        start(sender, &requests[n % TICKETS_UNDER_WAY]);
    }
    for (size_t i = 0; i < TICKETS_UNDER_WAY; i++) {
        finish(sender, &requests[i]);
    }
    free(requests);
}

/* ---- commands ---- */

static void *run_sender(void *context)
{
    struct packed_load_sender *sender = context;
    if (packed_load_is_single(sender)) {
        run_singles(sender);
    } else if (sender->number < PACKED_LOAD_SINGLES + PACKED_LOAD_CHAINS) {
        run_chains(sender);
    } else {
        run_packed(sender);
    }
    return NULL;
}

static bool go(struct packed_load_sender *senders)
{
    atomic_store(&running, true);
    for (unsigned i = 0; i < PACKED_LOAD_SENDERS; i++) {
        if (pthread_create(&senders[i].thread, NULL, run_sender, &senders[i]) != 0) {
            abort();
        }
    }
    puts("going");
    return true;
}

static bool pause_senders(struct packed_load_sender *senders)
{
    uint64_t counts[3] = {0};
    atomic_store(&running, false);
    for (unsigned i = 0; i < PACKED_LOAD_SENDERS; i++) {
        (void)pthread_join(senders[i].thread, NULL);
        counts[(i >= PACKED_LOAD_SINGLES) + (i >= PACKED_LOAD_SINGLES + PACKED_LOAD_CHAINS)] +=
            senders[i].count;
    }
    printf("paused %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", counts[0], counts[1],
           counts[2], (uint64_t)atomic_load(&again));
    return !atomic_load(&wrong);
}

static bool obey(const char *line, struct packed_load_sender *senders)
{
    if (strcmp(line, "go\n") == 0) {
        return go(senders);
    }
    if (strcmp(line, "pause\n") == 0) {
        return pause_senders(senders);
    }
    if (strcmp(line, "check\n") == 0) {
        return packed_load_check(senders);
    }
    printf("WRONG command %s", line);
    return false;
}

static struct holdfast_client *connect_to(char **addresses, size_t count)
{
    struct holdfast_client_options options = {
        .addresses = (const char *const *)addresses,
        .address_count = count,
        .total_timeout_ms = 600000,
        .request_timeout_ms = 30000,
        .backoff_max_ms = 50,
        .on_retry = count_retry,
    };
    struct holdfast_client *client = NULL;
    struct holdfast_client_failure failure;
    if (holdfast_client_new(&options, &client, &failure) != HOLDFAST_CLIENT_OK) {
        fprintf(stderr, "%s\n", failure.text);
        exit(2);
    }
    return client;
}

static void open_accounts(struct holdfast_client *client)
{
    struct holdfast_client_record records[PACKED_LOAD_USERS + 1];
    struct holdfast_client_packed_result *result;
    struct holdfast_client_failure failure;
    for (unsigned i = 0; i <= PACKED_LOAD_USERS; i++) {
        struct holdfast_client_packed_account account = {.id = packed_load_account(i),
                                                         .asset = "USD/2",
                                                         .flags =
                                                             i == 0 ? HOLDFAST_FLAG_NO_FLOOR : 0};
        if (!holdfast_client_pack_account(&account, &records[i])) {
            abort();
        }
    }
    struct holdfast_client_packed packed = {.kind = HOLDFAST_CLIENT_ACCOUNTS,
                                            .records = records,
                                            .record_count = PACKED_LOAD_USERS + 1};
    if (holdfast_client_packed(client, &packed, &result, &failure) != HOLDFAST_CLIENT_OK) {
        fprintf(stderr, "%s\n", failure.text);
        exit(2);
    }
    if (result->refused_count > 0) {
        printf("WRONG accounts: %s\n", holdfast_client_code_text(result->refused[0].code));
        exit(1);
    }
    holdfast_client_packed_result_free(result);
}

int main(int argc, char **argv)
{
    static struct packed_load_sender senders[PACKED_LOAD_SENDERS];
    struct holdfast_client_batcher *batcher;
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: holdfast-packed-load ADDRESS [ADDRESS]\n");
        return 2;
    }
    struct holdfast_client *client = connect_to(argv + 1, (size_t)argc - 1);
    /* Small enough that requests fill and the batcher does, too. */
    struct holdfast_client_batcher_options options = {
        .records_max = 200, .requests_max = 4, .waiting_max = 400, .delay_us = 200};
    if (holdfast_client_batcher_new(client, &options, &batcher, NULL) != HOLDFAST_CLIENT_OK) {
        return 2;
    }
    for (unsigned i = 0; i < PACKED_LOAD_SENDERS; i++) {
        senders[i].number = i;
        senders[i].client = client;
        senders[i].batcher = batcher;
        senders[i].outcomes = malloc(PACKED_LOAD_RECORDS * sizeof(*senders[i].outcomes));
        if (senders[i].outcomes == NULL) {
            return 2;
        }
        memset(senders[i].outcomes, 0xFF, PACKED_LOAD_RECORDS * sizeof(*senders[i].outcomes));
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    open_accounts(client);
    puts("ready");
    char line[64];
    bool good = true;
    while (good && fgets(line, sizeof(line), stdin) != NULL && strcmp(line, "end\n") != 0) {
        good = obey(line, senders);
    }
    holdfast_client_batcher_free(batcher);
    holdfast_client_free(client);
    for (unsigned i = 0; i < PACKED_LOAD_SENDERS; i++) {
        free(senders[i].outcomes);
    }
    return good ? 0 : 1;
}
