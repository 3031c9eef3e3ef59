/* Opening, closing, and how a caller waits for the node's thread. */
#include <linux/futex.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "lib/lib_priv.h"

/* The public numbers are those of the table of errors. */
#define SAME(name)                                                                                 \
    _Static_assert((int)HOLDFAST_##name == (int)HF_ERR_##name, "one number for each error")
SAME(OK);
SAME(IO);
SAME(NO_SPACE);
SAME(NO_MEMORY);
SAME(CORRUPT);
SAME(LOCKED);
SAME(NOT_FOUND);
SAME(CLOSED);
SAME(INVALID_REQUEST);
SAME(TOO_LARGE);
SAME(OVERLOADED);
SAME(NOT_READY);
SAME(READ_ONLY);
SAME(OUTCOME_UNKNOWN);
_Static_assert((int)HOLDFAST_UNKNOWN_FORMAT == (int)HF_ERR_VERSION, "one number for each error");

const char *holdfast_version(void)
{
    return "0.1.0";
}

/* ---- errors ---- */

static enum holdfast_error public_error(enum hf_err code)
{
    static const enum hf_err same[] = {
        HF_ERR_OK,        HF_ERR_IO,        HF_ERR_NO_SPACE,        HF_ERR_NO_MEMORY,
        HF_ERR_CORRUPT,   HF_ERR_LOCKED,    HF_ERR_NOT_FOUND,       HF_ERR_VERSION,
        HF_ERR_CLOSED,    HF_ERR_TOO_LARGE, HF_ERR_INVALID_REQUEST, HF_ERR_OVERLOADED,
        HF_ERR_NOT_READY, HF_ERR_READ_ONLY, HF_ERR_OUTCOME_UNKNOWN,
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(same); i++) {
        if (code == same[i]) {
            return (enum holdfast_error)code;
        }
    }
    return code == HF_ERR_DEPOSED ? HOLDFAST_NOT_READY : HOLDFAST_IO;
}

enum holdfast_error hf_lib_fail(struct holdfast_failure *failure, enum hf_err code,
                                const char *pointer, const char *text)
{
    enum holdfast_error error = public_error(code);
    if (failure != NULL) {
        failure->error = error;
        (void)snprintf(failure->pointer, sizeof(failure->pointer), "%s", pointer);
        (void)snprintf(failure->text, sizeof(failure->text), "%s", text);
    }
    return error;
}

/* ---- open and close ---- */

static struct hf_limits limits_of(const struct holdfast_options *options)
{
    struct hf_limits limits = hf_limits_default();
    if (options->key_retention_ms != 0) {
        limits.key_retention_us = options->key_retention_ms > UINT64_MAX / 4000
                                      ? UINT64_MAX / 4
                                      : options->key_retention_ms * 1000;
    }
    return limits;
}

enum holdfast_error holdfast_open(const struct holdfast_options *options, struct holdfast **db,
                                  struct holdfast_failure *failure)
{
    *db = NULL;
    if (options->directory == NULL || options->directory[0] == '\0') {
        return hf_lib_fail(failure, HF_ERR_INVALID_REQUEST, "", "options.directory is needed");
    }
    struct holdfast *opening = hf_calloc(1, sizeof(*opening));
    if (opening == NULL) {
        return hf_lib_fail(failure, HF_ERR_NO_MEMORY, "", "open: out of memory");
    }
    struct hf_error error = {0};
    struct hf_engine_options engine_options = {
        .directory = options->directory,
        .create = options->create,
        .wait_for_lock = options->wait_for_lock,
        .checkpoints = !options->no_checkpoints,
        .name = options->name == NULL ? "libholdfast" : options->name,
        .limits = limits_of(options),
        .progress = options->progress,
        .progress_context = options->progress_context,
    };
    enum hf_err err = hf_engine_open(&engine_options, &opening->engine, &error);
    if (err != HF_ERR_OK) {
        hf_free(opening);
        return hf_lib_fail(failure, err, "", error.text);
    }
    opening->node = hf_engine_node(opening->engine);
    *db = opening;
    return HOLDFAST_OK;
}

enum holdfast_error holdfast_close(struct holdfast *db, struct holdfast_failure *failure)
{
    if (db == NULL) {
        return HOLDFAST_OK;
    }
    struct hf_error error = {0};
    enum hf_err err = hf_engine_close(db->engine, &error);
    hf_free(db);
    return err == HF_ERR_OK ? HOLDFAST_OK : hf_lib_fail(failure, err, "", error.text);
}

/* ---- waiting ---- */

enum call_state {
    CALL_UNDER_WAY,
    CALL_SLEEPING,
    CALL_DONE,
};

static void futex(atomic_uint *word, int operation, unsigned value)
{
    /* EAGAIN and EINTR are fine: the caller looks again. */
    (void)syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

/* On the node's thread. The call may be gone as soon as its state says done: the wake-up then goes to
 * nobody, or to a sleeper that looks again. */
static void call_done(struct hf_request *request)
{
    struct hf_call *call = request->context;
    if (atomic_exchange(&call->state, CALL_DONE) == CALL_SLEEPING) {
        futex(&call->state, FUTEX_WAKE, 1);
    }
}

static void wait_for(struct hf_call *call)
{
    unsigned state = CALL_UNDER_WAY;
    if (!atomic_compare_exchange_strong(&call->state, &state, CALL_SLEEPING)) {
        return;
    }
    while (atomic_load(&call->state) != CALL_DONE) {
        futex(&call->state, FUTEX_WAIT, CALL_SLEEPING);
    }
}

enum holdfast_error hf_lib_undecided(struct holdfast *db, enum hf_err code,
                                     struct holdfast_failure *failure)
{
    struct hf_node_status status;
    hf_node_status(db->node, &status);
    bool why = status.phase == HF_NODE_FAILED && status.error[0] != '\0';
    return hf_lib_fail(failure, code, "", why ? status.error : hf_err_title(code));
}

enum hf_err hf_lib_start(struct holdfast *db, struct hf_call *call)
{
    call->request.done = call_done;
    call->request.context = call;
    atomic_init(&call->state, CALL_UNDER_WAY);
    return hf_node_submit(db->node, &call->request);
}

bool hf_lib_is_done(struct hf_call *call)
{
    return atomic_load(&call->state) == CALL_DONE;
}

enum holdfast_error hf_lib_finish(struct holdfast *db, struct hf_call *call,
                                  struct holdfast_answer **answer, struct holdfast_failure *failure)
{
    wait_for(call);
    enum hf_err err = HF_ERR_OK;
    call->answer->answer = call->request.answer;
    if (!call->request.answer.decided) {
        err = call->request.answer.code;
    } else if (call->short_memory) {
        err = HF_ERR_NO_MEMORY;
    }
    if (err != HF_ERR_OK) {
        holdfast_answer_free(call->answer);
        return hf_lib_undecided(db, err, failure);
    }
    *answer = call->answer;
    return HOLDFAST_OK;
}

enum holdfast_error hf_lib_run(struct holdfast *db, struct hf_call *call,
                               struct holdfast_answer **answer, struct holdfast_failure *failure)
{
    enum hf_err err = hf_lib_start(db, call);
    if (err != HF_ERR_OK) {
        holdfast_answer_free(call->answer);
        return hf_lib_undecided(db, err, failure);
    }
    return hf_lib_finish(db, call, answer, failure);
}
