/* Commits that their caller does not wait for at once. */
#include "base/alloc.h"
#include "lib/lib_priv.h"

struct holdfast_pending {
    struct holdfast *db;
    struct hf_command command; /* owned; the call's request points to it */
    struct hf_call call;
};

static void free_pending(struct holdfast_pending *pending)
{
    hf_command_release(&pending->command);
    hf_free(pending);
}

enum holdfast_error holdfast_commit_start(struct holdfast *db, const struct holdfast_caller *caller,
                                          const struct holdfast_operation *operations, size_t count,
                                          struct holdfast_pending **pending,
                                          struct holdfast_failure *failure)
{
    *pending = NULL;
    struct holdfast_pending *starting = hf_calloc(1, sizeof(*starting));
    if (starting == NULL) {
        return hf_lib_fail(failure, HF_ERR_NO_MEMORY, "", "out of memory");
    }
    struct hf_malformed malformed = {0};
    starting->db = db;
    starting->call.request.command = &starting->command;
    if (!hf_lib_build(&starting->command, caller, operations, count, &malformed) ||
        !hf_command_finish(&starting->command, &malformed)) {
        free_pending(starting);
        return hf_lib_fail(failure, malformed.code, malformed.pointer, malformed.text);
    }
    starting->call.answer = hf_lib_answer_new(ANSWER_COMMIT);
    enum hf_err err =
        starting->call.answer == NULL ? HF_ERR_NO_MEMORY : hf_lib_start(db, &starting->call);
    if (err != HF_ERR_OK) {
        holdfast_answer_free(starting->call.answer);
        free_pending(starting);
        return hf_lib_undecided(db, err, failure);
    }
    *pending = starting;
    return HOLDFAST_OK;
}

bool holdfast_pending_done(struct holdfast_pending *pending)
{
    return hf_lib_is_done(&pending->call);
}

enum holdfast_error holdfast_pending_finish(struct holdfast_pending *pending,
                                            struct holdfast_answer **answer,
                                            struct holdfast_failure *failure)
{
    *answer = NULL;
    enum holdfast_error error = hf_lib_finish(pending->db, &pending->call, answer, failure);
    if (error == HOLDFAST_OK) {
        hf_lib_settle(*answer, &pending->command);
    }
    free_pending(pending);
    return error;
}
