/* The demo's child: eight threads that send every command one to three times. */
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/checksum.h"
#include "base/json.h"
#include "base/u128.h"
#include "cli/demo.h"
#include "outside/outside.h"

#define COPIES_MAX    3
#define DELAY_MAX     400 /* a duplicate is sent up to so many commands behind the first */
#define RETRY_US      500 /* after `overloaded` */
#define THREAD_STRIDE 3   /* copies go to different threads */
#define AGAIN_ONE_OF  4 /* of what was acknowledged before a restart, one in so many is sent again */

_Static_assert(THREAD_STRIDE *(COPIES_MAX - 1) < HF_DEMO_THREADS, "copies go to different threads");

/* A submission that a thread is to make. */
struct sending {
    uint64_t slot;    /* order among the thread's */
    uint64_t command; /* which */
};

struct sender {
    const struct hf_demo *demo;
    struct holdfast *db;
    unsigned run;
    struct sending *list; /* owned */
    size_t count, capacity;
    pthread_t thread;
};

/* splitmix64: the same for the same seed. */
static uint64_t mix(uint64_t seed, uint64_t a, uint64_t b)
{
    uint64_t x = seed + a * 0x9E3779B97F4A7C15u + b * 0xD1B54A32D192ED03u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static void fail(const struct hf_demo *demo, const char *format, ...) HF_PRINTF(2, 3);

static void fail(const struct hf_demo *demo, const char *format, ...)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    va_list arguments;
    va_start(arguments, format);
    HF_CHECK(pthread_mutex_lock(&mutex) == 0);
    if (!atomic_load(&demo->shared->failed)) {
        (void)vsnprintf(demo->shared->failure, sizeof(demo->shared->failure), format, arguments);
        atomic_store(&demo->shared->failed, true);
    }
    HF_CHECK(pthread_mutex_unlock(&mutex) == 0);
    va_end(arguments);
}

static bool add_sending(struct sender *sender, uint64_t slot, uint64_t command)
{
    if (sender->count == sender->capacity) {
        size_t capacity = sender->capacity == 0 ? 1024 : 2 * sender->capacity;
        struct sending *list = hf_realloc(sender->list, capacity * sizeof(*list));
        if (list == NULL) {
            return false;
        }
        sender->list = list;
        sender->capacity = capacity;
    }
    sender->list[sender->count++] = (struct sending){.slot = slot, .command = command};
    return true;
}

static int compare_sendings(const void *a, const void *b)
{
    const struct sending *left = a;
    const struct sending *right = b;
    if (left->slot != right->slot) {
        return left->slot < right->slot ? -1 : 1;
    }
    return left->command < right->command ? -1 : left->command > right->command;
}

/* Who sends the commands from..to, and when. false: memory is short. */
static bool plan(const struct hf_demo *demo, struct sender senders[HF_DEMO_THREADS], unsigned run,
                 uint64_t from, uint64_t to)
{
    for (unsigned t = 0; t < HF_DEMO_THREADS; t++) {
        senders[t].count = 0;
    }
    for (uint64_t command = from; command < to; command++) {
        uint64_t random = mix(demo->seed, command, run);
        unsigned copies = 1 + (unsigned)(random % COPIES_MAX);
        unsigned thread = (unsigned)(random >> 8) % HF_DEMO_THREADS;
        bool known = atomic_load(&demo->acks[command].state) == HF_DEMO_ANSWERED;
        if (known && (random >> 32) % AGAIN_ONE_OF != 0) {
            continue;
        }
        for (unsigned copy = 0; copy < copies; copy++) {
            unsigned to_thread = (thread + copy * THREAD_STRIDE) % HF_DEMO_THREADS;
            uint64_t delay = copy == 0 ? 0 : mix(demo->seed, command, 1000 + copy) % DELAY_MAX;
            if (!add_sending(&senders[to_thread], command + delay, command)) {
                return false;
            }
        }
    }
    for (unsigned t = 0; t < HF_DEMO_THREADS; t++) {
        if (senders[t].count > 0) {
            qsort(senders[t].list, senders[t].count, sizeof(*senders[t].list), compare_sendings);
        }
    }
    return true;
}

/* The first answer is kept; every other must be the same. */
static void acknowledge(const struct sender *sender, uint64_t command,
                        struct holdfast_answer *answer)
{
    const struct hf_demo *demo = sender->demo;
    struct hf_demo_ack *ack = &demo->acks[command];
    size_t size_bytes;
    const char *text = holdfast_answer_text(answer, &size_bytes);
    if (text == NULL) {
        fail(demo, "command %" PRIu64 ": out of memory", command);
        return;
    }
    uint64_t checksum = hf_checksum(text, size_bytes);
    unsigned state = HF_DEMO_UNKNOWN;
    if (atomic_compare_exchange_strong(&ack->state, &state, HF_DEMO_WRITING)) {
        ack->status = (uint32_t)holdfast_answer_status(answer);
        ack->position = holdfast_answer_position(answer);
        ack->text_checksum = checksum;
        atomic_store(&ack->state, HF_DEMO_ANSWERED);
        if (command >= hf_bank_opening_count(demo->bank)) {
            atomic_fetch_add(&demo->shared->acknowledged, 1);
        }
    } else {
        while (atomic_load(&ack->state) == HF_DEMO_WRITING) {
            (void)usleep(1);
        }
        if (ack->status != (uint32_t)holdfast_answer_status(answer) ||
            ack->position != holdfast_answer_position(answer) || ack->text_checksum != checksum) {
            atomic_fetch_add(&demo->shared->contradictions, 1);
            fail(demo, "command %" PRIu64 " was answered at position %" PRIu64 ", now: %.300s",
                 command, ack->position, text);
        }
    }
    atomic_fetch_add(&demo->shared->replayed, holdfast_answer_replayed(answer));
}

static void send(const struct sender *sender, uint64_t command)
{
    const struct hf_demo *demo = sender->demo;
    size_t openings = hf_bank_opening_count(demo->bank);
    bool known = atomic_load(&demo->acks[command].state) == HF_DEMO_ANSWERED;
    struct holdfast_answer *answer;
    struct holdfast_failure failure = {0};
    enum holdfast_error error;
    do {
        error = command < openings ? hf_bank_open_account(sender->db, demo->bank, command, NULL,
                                                          NULL, &answer, &failure)
                                   : hf_bank_post_row(sender->db, demo->bank, command - openings,
                                                      NULL, &answer, &failure);
        if (error == HOLDFAST_OVERLOADED) {
            (void)usleep(RETRY_US);
        }
    } while (error == HOLDFAST_OVERLOADED);
    atomic_fetch_add(&demo->shared->sent, 1);
    if (error != HOLDFAST_OK) {
        fail(demo, "command %" PRIu64 ": %s", command, failure.text);
        return;
    }
    if (known && !holdfast_answer_replayed(answer)) {
        fail(demo, "command %" PRIu64 " was acknowledged and yet decided again", command);
    }
    acknowledge(sender, command, answer);
    holdfast_answer_free(answer);
}

static void *run_sender(void *context)
{
    const struct sender *sender = context;
    for (size_t i = 0; i < sender->count && !atomic_load(&sender->demo->shared->failed); i++) {
        send(sender, sender->list[i].command);
    }
    return NULL;
}

static void run_senders(const struct hf_demo *demo, struct sender senders[HF_DEMO_THREADS])
{
    unsigned started = 0;
    while (started < HF_DEMO_THREADS &&
           pthread_create(&senders[started].thread, NULL, run_sender, &senders[started]) == 0) {
        started++;
    }
    if (started < HF_DEMO_THREADS) {
        fail(demo, "can't start a thread");
    }
    for (unsigned t = 0; t < started; t++) {
        HF_CHECK(pthread_join(senders[t].thread, NULL) == 0);
    }
}

/* "posted" of an account's JSON. */
static bool find_posted(struct hf_str text, hf_i128 *posted)
{
    struct hf_arena arena;
    struct hf_json json;
    bool found = false;
    hf_arena_init(&arena);
    hf_json_init(&json, text, &arena);
    if (hf_json_next(&json) == HF_JSON_OBJECT_BEGIN) {
        while (hf_json_next(&json) == HF_JSON_NAME) {
            if (hf_json_is(&json, HF_STR("posted"))) {
                found = hf_json_next(&json) == HF_JSON_STRING && hf_i128_parse(json.raw, posted);
            } else {
                (void)hf_json_skip(&json, NULL);
            }
        }
    }
    found = found && hf_json_next(&json) == HF_JSON_END;
    hf_arena_release(&arena);
    return found;
}

/* What the ledger says of each customer. */
static void read_sums(const struct hf_demo *demo, struct holdfast *db)
{
    for (size_t i = 0; i < demo->bank->account_count; i++) {
        char name[HF_BANK_NAME_BYTES];
        struct holdfast_answer *answer;
        struct holdfast_failure failure = {0};
        struct holdfast_caller nobody = {0};
        hf_bank_account_name(demo->bank, i, name);
        if (holdfast_read(db, &nobody, "account", name, &answer, &failure) != HOLDFAST_OK) {
            fail(demo, "read %s: %s", name, failure.text);
            return;
        }
        size_t size_bytes;
        const char *text = holdfast_answer_text(answer, &size_bytes);
        if (text == NULL || holdfast_answer_status(answer) != 200 ||
            !find_posted((struct hf_str){text, size_bytes}, &demo->sums[i])) {
            fail(demo, "read %s: %s", name, text == NULL ? "out of memory" : text);
        }
        holdfast_answer_free(answer);
    }
}

static void drive(const struct hf_demo *demo, struct hf_outside *clock, struct holdfast *db,
                  unsigned run)
{
    struct sender senders[HF_DEMO_THREADS] = {0};
    uint64_t openings = hf_bank_opening_count(demo->bank);
    for (unsigned t = 0; t < HF_DEMO_THREADS; t++) {
        senders[t] = (struct sender){.demo = demo, .db = db, .run = run};
    }
    bool planned = plan(demo, senders, run, 0, openings);
    if (planned) {
        run_senders(demo, senders);
        planned = plan(demo, senders, run, openings, hf_demo_command_count(demo));
    }
    if (planned) {
        uint64_t begin_us = clock->monotonic_us(clock);
        atomic_store(&demo->shared->started, true);
        run_senders(demo, senders);
        atomic_fetch_add(&demo->shared->busy_us, clock->monotonic_us(clock) - begin_us);
    } else {
        fail(demo, "out of memory");
    }
    for (unsigned t = 0; t < HF_DEMO_THREADS; t++) {
        hf_free(senders[t].list);
    }
}

int hf_demo_child(const struct hf_demo *demo, unsigned run)
{
    struct holdfast_failure failure = {0};
    struct holdfast *db;
    struct holdfast_options options = {
        .directory = demo->directory, .create = true, .name = "holdfast demo"};
    struct hf_outside *clock = hf_outside_linux_new();
    if (clock == NULL || holdfast_open(&options, &db, &failure) != HOLDFAST_OK) {
        fail(demo, "open %s: %s", demo->directory, clock == NULL ? "out of memory" : failure.text);
        return 1;
    }
    drive(demo, clock, db, run);
    if (!atomic_load(&demo->shared->failed)) {
        read_sums(demo, db);
    }
    if (holdfast_close(db, &failure) != HOLDFAST_OK) {
        fail(demo, "close: %s", failure.text);
    }
    hf_outside_linux_free(clock);
    return atomic_load(&demo->shared->failed) ? 1 : 0;
}
