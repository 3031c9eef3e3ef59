/* holdfast import commits FILE --server: a commit a line, by several workers. */
#include <inttypes.h>
#include <pthread.h>

#include "base/check.h"
#include "base/sha256.h"
#include "cli/import.h"
#include "cli/lines.h"

#define KEY_HASH_HEX 32 /* digits of the line's SHA-256 in a key */

/* What the workers share; under the mutex but for the first three. */
struct shared {
    struct hf_remote_call *call;
    const struct hf_import_options *options;
    struct hf_cli_progress *progress;
    pthread_mutex_t mutex;
    struct hf_lines *lines;
    struct hf_import_tally *tally;
    bool stop;                              /* no further lines */
    struct hf_error error;                  /* of the file */
    struct holdfast_client_failure failure; /* of the server: the first one */
};

struct worker {
    struct shared *shared;
    pthread_t thread;
    struct hf_buffer text; /* the line */
    struct hf_arena arena; /* of the line */
    uint64_t number;       /* of the line */
};

static void lock(struct shared *shared)
{
    HF_CHECK(pthread_mutex_lock(&shared->mutex) == 0);
}

static void unlock(struct shared *shared)
{
    HF_CHECK(pthread_mutex_unlock(&shared->mutex) == 0);
}

/* Takes the next line that is not empty. false: there is none, or the import has stopped. */
static bool take_line(struct worker *worker)
{
    struct shared *shared = worker->shared;
    struct hf_str text = HF_STR_NONE;
    bool taken = false;
    lock(shared);
    while (!shared->stop && !taken) {
        if (hf_lines_next(shared->lines, &text, &shared->error) != HF_ERR_OK ||
            !hf_str_present(text)) {
            shared->stop = true;
            break;
        }
        if (text.len > 0 && text.ptr[text.len - 1] == '\r') {
            text.len--;
        }
        taken = text.len > 0;
    }
    worker->number = shared->lines->number;
    hf_buffer_clear(&worker->text);
    hf_buffer_bytes(&worker->text, text.ptr, taken ? text.len : 0);
    if (taken && worker->text.failed) {
        (void)hf_error_set(&shared->error, HF_ERR_NO_MEMORY, "out of memory");
        shared->stop = true;
        taken = false;
    }
    hf_cli_progress_show(shared->progress, worker->number, 0);
    unlock(shared);
    return taken;
}

static void note(struct worker *worker, const char *code, const char *text, bool malformed)
{
    struct shared *shared = worker->shared;
    lock(shared);
    shared->tally->malformed += malformed;
    shared->tally->refused += !malformed;
    hf_import_note(shared->tally, worker->number, code, text);
    shared->stop = shared->stop || shared->options->stop_on_error;
    unlock(shared);
}

/* A line without a key gets one of its content and number, so that the import can be repeated. */
static void make_key(const struct worker *worker, const struct hf_import_line *line,
                     char key[HOLDFAST_CLIENT_KEY_BYTES])
{
    if (hf_str_present(line->key)) {
        (void)snprintf(key, HOLDFAST_CLIENT_KEY_BYTES, "%.*s",
                       (int)hf_min_u64(line->key.len, HOLDFAST_CLIENT_KEY_BYTES), line->key.ptr);
        return;
    }
    struct hf_hash hash = hf_sha256(worker->text.data, worker->text.size_bytes);
    char hex[2 * HF_SHA256_BYTES + 1];
    hf_hash_hex(&hash, hex);
    (void)snprintf(key, HOLDFAST_CLIENT_KEY_BYTES, "import:%.*s:%" PRIu64, KEY_HASH_HEX, hex,
                   worker->number);
}

static void take_answer(struct worker *worker, const struct holdfast_client_answer *answer)
{
    struct shared *shared = worker->shared;
    if (answer->status < 300) {
        lock(shared);
        shared->tally->accepted++;
        shared->tally->replayed += answer->replayed;
        unlock(shared);
        return;
    }
    if (answer->replayed) {
        lock(shared);
        shared->tally->replayed++;
        unlock(shared);
    }
    bool malformed = answer->status == 400 || answer->status == 413;
    note(worker, answer->code[0] == '\0' ? "refused" : answer->code,
         answer->detail[0] == '\0' ? answer->body : answer->detail, malformed);
}

static void import_line(struct worker *worker)
{
    struct shared *shared = worker->shared;
    struct hf_error error = {0};
    struct hf_import_line line;
    char key[HOLDFAST_CLIENT_KEY_BYTES];
    struct hf_str text = {(const char *)worker->text.data, worker->text.size_bytes};
    hf_arena_clear(&worker->arena);
    if (hf_import_split(text, &worker->arena, &line, &error) != HF_ERR_OK) {
        note(worker, "invalid_request", error.text, true);
        return;
    }
    if (line.key.len >= sizeof(key) ||
        (line.key.len > 0 && memchr(line.key.ptr, 0, line.key.len) != NULL)) {
        note(worker, "invalid_request", "key: too long, or a NUL in it", true);
        return;
    }
    make_key(worker, &line, key);
    struct holdfast_client_call headers = {.key = key};
    struct holdfast_client_answer *answer;
    struct holdfast_client_failure failure;
    switch (holdfast_client_commit(shared->call->client, &headers, line.commit.ptr, line.commit.len,
                                   &answer, &failure)) {
    case HOLDFAST_CLIENT_OK:
        take_answer(worker, answer);
        holdfast_client_answer_free(answer);
        return;
    case HOLDFAST_CLIENT_INVALID:
        note(worker, "invalid_request", failure.text, true);
        return;
    case HOLDFAST_CLIENT_NO_MEMORY:
    case HOLDFAST_CLIENT_UNAVAILABLE:
    case HOLDFAST_CLIENT_UNKNOWN:
    case HOLDFAST_CLIENT_MISCONFIGURED:
    case HOLDFAST_CLIENT_REFUSED:
    case HOLDFAST_CLIENT_BUSY:
    case HOLDFAST_CLIENT_CLOSED:
        break;
    }
    lock(shared);
    if (shared->failure.error == HOLDFAST_CLIENT_OK) {
        shared->failure = failure;
    }
    shared->stop = true;
    unlock(shared);
}

static void *work(void *context)
{
    struct worker *worker = context;
    while (take_line(worker)) {
        import_line(worker);
    }
    return NULL;
}

/* Runs the workers to the end. */
static void run_workers(struct shared *shared)
{
    struct worker workers[HF_IMPORT_WORKERS_MAX];
    uint64_t started = 0;
    for (; started < shared->options->workers; started++) {
        struct worker *worker = &workers[started];
        *worker = (struct worker){.shared = shared};
        hf_buffer_init(&worker->text);
        hf_arena_init(&worker->arena);
        if (pthread_create(&worker->thread, NULL, work, worker) != 0) {
            break;
        }
    }
    if (started == 0) {
        (void)hf_error_set(&shared->error, HF_ERR_NO_MEMORY, "can't start a thread");
    }
    for (uint64_t i = 0; i < started; i++) {
        HF_CHECK(pthread_join(workers[i].thread, NULL) == 0);
        hf_buffer_release(&workers[i].text);
        hf_arena_release(&workers[i].arena);
    }
}

int hf_import_commits_to_server(const struct hf_cli *cli, const struct hf_import_options *options,
                                const char *path, const struct hf_remote_values *values)
{
    struct hf_remote_call call;
    struct hf_lines lines;
    struct hf_error error = {0};
    struct hf_cli_progress progress;
    struct hf_import_tally tally = {.cli = cli};
    if (options->workers < 1 || options->workers > HF_IMPORT_WORKERS_MAX) {
        return hf_cli_usage(cli, "--workers is from 1 to %d", HF_IMPORT_WORKERS_MAX);
    }
    if (hf_lines_open(&lines, path, &error) != HF_ERR_OK) {
        return hf_cli_fail(cli, &error);
    }
    hf_buffer_init(&tally.report);
    hf_cli_progress_init(&progress, "import: line");
    int status = hf_remote_begin(&call, cli, values);
    if (status == HF_CLI_GO_ON) {
        struct shared shared = {.call = &call,
                                .options = options,
                                .progress = &progress,
                                .mutex = PTHREAD_MUTEX_INITIALIZER,
                                .lines = &lines,
                                .tally = &tally};
        run_workers(&shared);
        hf_cli_progress_end(&progress);
        status = shared.failure.error != HOLDFAST_CLIENT_OK
                     ? hf_remote_failure(cli, &shared.failure)
                 : shared.error.code != HF_ERR_OK ? hf_cli_fail(cli, &shared.error)
                                                  : hf_import_print(&tally);
    }
    hf_remote_end(&call);
    hf_buffer_release(&tally.report);
    hf_lines_close(&lines);
    return status;
}
