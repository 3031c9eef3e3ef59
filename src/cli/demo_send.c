/* The demo's senders: eight threads that send every command one to three times. */
#include <inttypes.h>
#include <stdarg.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/u128.h"
#include "cli/demo.h"

#define COPIES_MAX    3
#define DELAY_MAX     400 /* a duplicate is sent up to so many commands behind the first */
#define THREAD_STRIDE 3   /* copies go to different threads */
#define AGAIN_ONE_OF  4   /* one command in so many is sent again at the end */

_Static_assert(THREAD_STRIDE *(COPIES_MAX - 1) < HF_DEMO_THREADS, "copies go to different threads");

/* A request that a thread is to make. */
struct sending {
    uint64_t slot;    /* order among the thread's */
    uint64_t command; /* which */
};

struct sender {
    struct hf_demo *demo;
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

static void fail(struct hf_demo *demo, const char *format, ...) HF_PRINTF(2, 3);

static void fail(struct hf_demo *demo, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    HF_CHECK(pthread_mutex_lock(&demo->mutex) == 0);
    if (!atomic_load(&demo->failed)) {
        (void)vsnprintf(demo->failure, sizeof(demo->failure), format, arguments);
        atomic_store(&demo->failed, true);
    }
    HF_CHECK(pthread_mutex_unlock(&demo->mutex) == 0);
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

/* Who sends the part's commands, and when. false: memory is short. */
static bool plan(struct hf_demo *demo, struct sender senders[HF_DEMO_THREADS],
                 enum hf_demo_part part)
{
    uint64_t openings = hf_bank_opening_count(demo->bank);
    uint64_t from = part == HF_DEMO_ROWS ? openings : 0;
    uint64_t to = part == HF_DEMO_OPENINGS ? openings : hf_demo_command_count(demo);
    for (uint64_t command = from; command < to; command++) {
        uint64_t random = mix(demo->seed, command, part == HF_DEMO_AGAIN);
        unsigned copies = part == HF_DEMO_AGAIN ? random % AGAIN_ONE_OF == 0
                                                : 1 + (unsigned)(random % COPIES_MAX);
        unsigned thread = (unsigned)(random >> 8) % HF_DEMO_THREADS;
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

/* The first answer is kept; every other must be the same. `known`: there was one before this was sent. */
static void acknowledge(struct hf_demo *demo, uint64_t command, bool known,
                        const struct hf_bank_answer *answer)
{
    HF_CHECK(pthread_mutex_lock(&demo->mutex) == 0);
    struct hf_demo_ack *ack = &demo->acks[command];
    bool first = !ack->answered;
    if (first) {
        *ack = (struct hf_demo_ack){.answered = true,
                                    .status = answer->status,
                                    .position = answer->position,
                                    .text_checksum = answer->text_checksum};
    }
    struct hf_demo_ack kept = *ack;
    HF_CHECK(pthread_mutex_unlock(&demo->mutex) == 0);
    if (first && command >= hf_bank_opening_count(demo->bank)) {
        atomic_fetch_add(&demo->rows_done, 1);
    }
    if (kept.status != answer->status || kept.position != answer->position ||
        kept.text_checksum != answer->text_checksum || (known && !answer->replayed)) {
        atomic_fetch_add(&demo->differently, 1);
        fail(demo,
             "command %" PRIu64 " was answered %d at position %" PRIu64 ", now %d at %" PRIu64 "%s",
             command, kept.status, kept.position, answer->status, answer->position,
             answer->replayed ? "" : ", decided anew");
    }
}

static void send(struct hf_demo *demo, uint64_t command)
{
    size_t openings = hf_bank_opening_count(demo->bank);
    struct hf_bank_answer answer;
    struct holdfast_failure failure = {0};
    HF_CHECK(pthread_mutex_lock(&demo->mutex) == 0);
    bool known = demo->acks[command].answered;
    HF_CHECK(pthread_mutex_unlock(&demo->mutex) == 0);
    enum holdfast_error error =
        command < openings
            ? hf_bank_open_account(&demo->target, demo->bank, command, NULL, &answer, &failure)
            : hf_bank_post_row(&demo->target, demo->bank, command - openings, &answer, &failure);
    atomic_fetch_add(&demo->sent, 1);
    if (error != HOLDFAST_OK) {
        fail(demo, "command %" PRIu64 ": %s", command, failure.text);
        return;
    }
    atomic_fetch_add(&demo->replayed, answer.replayed);
    acknowledge(demo, command, known, &answer);
}

static void *run_sender(void *context)
{
    const struct sender *sender = context;
    for (size_t i = 0; i < sender->count && !atomic_load(&sender->demo->failed); i++) {
        send(sender->demo, sender->list[i].command);
    }
    return NULL;
}

bool hf_demo_send(struct hf_demo *demo, enum hf_demo_part part)
{
    struct sender senders[HF_DEMO_THREADS] = {0};
    unsigned started = 0;
    for (unsigned t = 0; t < HF_DEMO_THREADS; t++) {
        senders[t].demo = demo;
    }
    if (!plan(demo, senders, part)) {
        fail(demo, "out of memory");
    }
    while (started < HF_DEMO_THREADS && !atomic_load(&demo->failed)) {
        if (pthread_create(&senders[started].thread, NULL, run_sender, &senders[started]) != 0) {
            fail(demo, "can't start a thread");
        } else {
            started++;
        }
    }
    for (unsigned t = 0; t < started; t++) {
        HF_CHECK(pthread_join(senders[t].thread, NULL) == 0);
    }
    for (unsigned t = 0; t < HF_DEMO_THREADS; t++) {
        hf_free(senders[t].list);
    }
    return !atomic_load(&demo->failed);
}

bool hf_demo_read_sums(struct hf_demo *demo, hf_i128 *sums)
{
    for (size_t i = 0; i < demo->bank->account_count; i++) {
        char name[HF_BANK_NAME_BYTES];
        char posted[HF_I128_TEXT_BYTES];
        struct holdfast_client_answer *answer;
        struct holdfast_client_failure failure;
        hf_bank_account_name(demo->bank, i, name);
        if (holdfast_client_read(demo->target.client, NULL, "account", name, &answer, &failure) !=
            HOLDFAST_CLIENT_OK) {
            fail(demo, "read %s: %s", name, failure.text);
            return false;
        }
        bool good = answer->status == 200 &&
                    holdfast_client_answer_text(answer, "/posted", posted, sizeof(posted)) &&
                    hf_i128_parse(hf_str_from(posted), &sums[i]);
        if (!good) {
            fail(demo, "read %s: %.300s", name, answer->body);
        }
        holdfast_client_answer_free(answer);
        if (!good) {
            return false;
        }
    }
    return true;
}

bool hf_demo_init(struct hf_demo *demo, const struct hf_bank *bank, uint64_t seed)
{
    *demo = (struct hf_demo){.bank = bank, .seed = seed, .mutex = PTHREAD_MUTEX_INITIALIZER};
    demo->acks = hf_calloc(hf_demo_command_count(demo), sizeof(*demo->acks));
    return demo->acks != NULL;
}

void hf_demo_release(struct hf_demo *demo)
{
    hf_free(demo->acks);
}
