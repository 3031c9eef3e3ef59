/*
 * holdfast-load run|check|slow|standby DIR [STATE]
 *
 *   run      checks what earlier runs left, then eight threads commit until the process is killed
 *   check    checks only, and closes
 *   slow     a few commits and reads, one after the other, each told on standard output at once
 *   standby  waits for the directory's owner to be gone, then commits once
 */
#include "integration/load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SLOW_COMMITS 3

static const char *const accounts =
    "{\"do\":[{\"op\":\"open_account\",\"account\":\"world\",\"asset\":\"USD/2\",\"floor\":null},"
    "{\"op\":\"open_account\",\"account\":\"shop\",\"asset\":\"USD/2\",\"floor\":null},"
    "{\"op\":\"open_account\",\"account\":\"poor\",\"asset\":\"USD/2\"}]}";

static void write_command(unsigned t, uint64_t n, char text[LOAD_TEXT], char key[64])
{
    key[0] = '\0';
    switch (load_kind_of(n)) {
    case LOAD_TRANSFER:
        (void)snprintf(
            text, LOAD_TEXT,
            "{\"do\":[{\"op\":\"transfer\",\"id\":\"t:%u:%" PRIu64
            "\",\"from\":\"world\",\"to\":\"shop\",\"asset\":\"USD/2\",\"amount\":\"7\"}]}",
            t, n);
        return;
    case LOAD_MANY: {
        size_t at = (size_t)snprintf(text, LOAD_TEXT, "{\"do\":[");
        for (unsigned i = 0; i < 3; i++) {
            at += (size_t)snprintf(text + at, LOAD_TEXT - at,
                                   "%s{\"op\":\"transfer\",\"id\":\"m:%u:%" PRIu64
                                   ":%u\",\"from\":\"world\",\"to\":\"shop\",\"asset\":\"USD/2\","
                                   "\"amount\":\"1\"}",
                                   i == 0 ? "" : ",", t, n, i);
        }
        (void)snprintf(text + at, LOAD_TEXT - at, "]}");
        return;
    }
    case LOAD_HOLD:
        (void)snprintf(
            text, LOAD_TEXT,
            "{\"do\":[{\"op\":\"hold\",\"id\":\"h:%u:%" PRIu64
            "\",\"from\":\"world\",\"to\":\"shop\",\"asset\":\"USD/2\",\"amount\":\"5\"}]}",
            t, n);
        return;
    case LOAD_CAPTURE:
        (void)snprintf(key, 64, "k:%u:%" PRIu64, t, n);
        (void)snprintf(text, LOAD_TEXT,
                       "{\"do\":[{\"op\":\"capture\",\"hold\":\"h:%u:%" PRIu64
                       "\",\"amount\":\"3\",\"final\":true}]}",
                       t, n - 1);
        return;
    case LOAD_PAIR:
        (void)snprintf(key, 64, "k:%u:%" PRIu64, t, n);
        (void)snprintf(text, LOAD_TEXT,
                       "{\"do\":[{\"op\":\"append\",\"stream\":\"s:%u\",\"type\":\"step\",\"data\":"
                       "{\"n\":%" PRIu64
                       "}},{\"op\":\"put\",\"document\":\"d:%u\",\"data\":{\"n\":%" PRIu64 "}}]}",
                       t, n, t, n);
        return;
    case LOAD_REFUSED:
    case LOAD_KINDS:
        (void)snprintf(
            text, LOAD_TEXT,
            "{\"do\":[{\"op\":\"transfer\",\"id\":\"r:%u:%" PRIu64
            "\",\"from\":\"poor\",\"to\":\"shop\",\"asset\":\"USD/2\",\"amount\":\"1\"}]}",
            t, n);
        return;
    }
}

bool load_send(struct holdfast *db, unsigned thread, uint64_t n, struct holdfast_answer **answer)
{
    char text[LOAD_TEXT];
    char key[64];
    struct holdfast_failure failure = {0};
    write_command(thread, n, text, key);
    struct holdfast_caller caller = {.key = key[0] == '\0' ? NULL : key};
    enum holdfast_error error;
    do {
        error = holdfast_commit_json(db, &caller, text, strlen(text), answer, &failure);
    } while (error == HOLDFAST_OVERLOADED);
    if (error != HOLDFAST_OK) {
        (void)printf("WRONG: command %u:%" PRIu64 ": %s\n", thread, n, failure.text);
    }
    return error == HOLDFAST_OK;
}

uint64_t load_text_hash(struct holdfast_answer *answer)
{
    size_t size;
    const char *text = holdfast_answer_text(answer, &size);
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; text != NULL && i < size; i++) {
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001B3u;
    }
    return hash;
}

void load_keep(struct load_state *state, unsigned thread, uint64_t n,
               struct holdfast_answer *answer)
{
    struct load_ack *ack = &state->acks[thread][n];
    ack->status = (uint32_t)holdfast_answer_status(answer);
    ack->position = holdfast_answer_position(answer);
    ack->text_hash = load_text_hash(answer);
    atomic_store(&ack->answered, 1);
    atomic_fetch_add(&state->answered, 1);
}

struct worker {
    struct holdfast *db;
    struct load_state *state;
    unsigned number;
    pthread_t thread;
};

static void *work(void *context)
{
    struct worker *worker = context;
    for (;;) {
        uint64_t n = atomic_fetch_add(&worker->state->next[worker->number], 1);
        struct holdfast_answer *answer;
        if (n >= LOAD_COMMANDS || !load_send(worker->db, worker->number, n, &answer)) {
            return NULL;
        }
        load_keep(worker->state, worker->number, n, answer);
        holdfast_answer_free(answer);
    }
}

static int run(struct holdfast *db, struct load_state *state)
{
    struct worker workers[LOAD_THREADS];
    (void)printf("ready\n");
    for (unsigned t = 0; t < LOAD_THREADS; t++) {
        workers[t] = (struct worker){.db = db, .state = state, .number = t};
        if (pthread_create(&workers[t].thread, NULL, work, &workers[t]) != 0) {
            return 1;
        }
    }
    for (unsigned t = 0; t < LOAD_THREADS; t++) {
        (void)pthread_join(workers[t].thread, NULL);
    }
    (void)printf("WRONG: the load ended by itself\n");
    return 1;
}

static int open_accounts(struct holdfast *db)
{
    struct holdfast_answer *answer;
    struct holdfast_failure failure = {0};
    struct holdfast_caller caller = {.key = "accounts"};
    if (holdfast_commit_json(db, &caller, accounts, strlen(accounts), &answer, &failure) !=
        HOLDFAST_OK) {
        (void)printf("WRONG: accounts: %s\n", failure.text);
        return 1;
    }
    int status = holdfast_answer_status(answer);
    holdfast_answer_free(answer);
    return status == 201 ? 0 : 1;
}

/* Written by one call, so that a trace shows when. */
static void tell(const char *what, uint64_t number)
{
    char line[64];
    int size = snprintf(line, sizeof(line), "%s %" PRIu64 "\n", what, number);
    if (write(STDOUT_FILENO, line, (size_t)size) != size) {
        exit(1);
    }
}

/* Reads the account without end and tells each version that it had not seen. */
static void *watch(void *context)
{
    struct holdfast *db = context;
    uint64_t seen = UINT64_MAX;
    struct holdfast_caller nobody = {0};
    for (;;) {
        struct holdfast_answer *answer;
        struct holdfast_failure failure;
        if (holdfast_read(db, &nobody, "account", "shop", &answer, &failure) != HOLDFAST_OK) {
            return NULL;
        }
        const char *text = holdfast_answer_text(answer, NULL);
        const char *version = text == NULL ? NULL : strstr(text, "\"version\":");
        uint64_t number = version == NULL ? 0 : strtoull(version + 10, NULL, 10);
        holdfast_answer_free(answer);
        if (number != seen) {
            seen = number;
            tell("seen", number);
        }
        (void)usleep(20000);
    }
}

static int slow(struct holdfast *db)
{
    pthread_t watcher;
    char line[16];
    tell("ready", (uint64_t)getpid());
    if (fgets(line, sizeof(line), stdin) == NULL ||
        pthread_create(&watcher, NULL, watch, db) != 0) {
        return 1;
    }
    for (uint64_t n = 0; n < SLOW_COMMITS; n++) {
        struct holdfast_answer *answer;
        tell("send", n);
        if (!load_send(db, 0, n * LOAD_KINDS, &answer)) {
            return 1;
        }
        tell("answer", n);
        holdfast_answer_free(answer);
    }
    tell("end", 0);
    (void)pause(); /* to be killed: a clean stop would only take time */
    return 0;
}

static struct load_state *map_state(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)sizeof(struct load_state)) != 0) {
        return NULL;
    }
    void *memory = mmap(NULL, sizeof(struct load_state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    return memory == MAP_FAILED ? NULL : memory;
}

static int standby(struct holdfast *db)
{
    struct holdfast_failure failure;
    tell("leading", 0);
    int status = open_accounts(db);
    tell("committed", (uint64_t)status);
    return holdfast_close(db, &failure) == HOLDFAST_OK ? status : 1;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fprintf(stderr, "holdfast-load run|check|slow|standby DIR [STATE]\n");
        return 2;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    bool waits = strcmp(argv[1], "standby") == 0;
    struct holdfast *db;
    struct holdfast_failure failure = {0};
    struct holdfast_options options = {
        .directory = argv[2], .create = true, .wait_for_lock = waits, .name = argv[1]};
    if (waits) {
        tell("waiting", 0);
    }
    if (holdfast_open(&options, &db, &failure) != HOLDFAST_OK) {
        (void)printf("WRONG: open: %s\n", failure.text);
        return 3;
    }
    if (waits) {
        return standby(db);
    }
    if (open_accounts(db) != 0) {
        return 1;
    }
    if (strcmp(argv[1], "slow") == 0) {
        return slow(db);
    }
    struct load_state *state = argc > 3 ? map_state(argv[3]) : NULL;
    if (state == NULL) {
        (void)printf("WRONG: no state: %s\n", strerror(errno));
        return 3;
    }
    if (!load_check(db, state)) {
        return 1;
    }
    if (strcmp(argv[1], "run") == 0) {
        return run(db, state);
    }
    return holdfast_close(db, &failure) == HOLDFAST_OK ? 0 : 1;
}
