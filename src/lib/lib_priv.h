/*
 * What the library's files share: the open database, a waiting request, an answer.
 *
 * The engine's thread steps the node; callers build a request on their stack, submit it
 * and sleep on a futex in it. An answer keeps the commit's frame and is rendered when it is asked for.
 */
#ifndef HF_LIB_LIB_PRIV_H
#define HF_LIB_LIB_PRIV_H

#include <stdatomic.h>

#include "base/buffer.h"
#include "node/engine.h"

#include "holdfast.h"

struct holdfast {
    struct hf_engine *engine; /* owned; its thread steps the node */
    struct hf_node *node;     /* the engine's */
};

enum holdfast_answer_kind {
    ANSWER_COMMIT,
    ANSWER_CANCEL, /* what is recorded under a key */
    ANSWER_READ,
};

struct holdfast_answer {
    enum holdfast_answer_kind kind;
    bool dry_run;            /* nothing was recorded */
    bool rendered;           /* text is whole */
    int status;              /* HTTP status */
    struct hf_answer answer; /* owned: the commit's frame */
    struct hf_buffer text;   /* JSON and a NUL that does not count */
};

/* A request on its caller's stack. */
struct hf_call {
    struct hf_request request;      /* request.context points to this call */
    struct holdfast_answer *answer; /* being made */
    bool short_memory;              /* a read's text could not be kept */
    atomic_uint state;              /* 0 under way, 1 somebody sleeps, 2 done: a futex */
};

/* Fills failure (may be NULL) and returns its error. */
enum holdfast_error hf_lib_fail(struct holdfast_failure *failure, enum hf_err code,
                                const char *pointer, const char *text);

/* Why there is no decision: fills failure, returns its error. */
enum holdfast_error hf_lib_undecided(struct holdfast *db, enum hf_err code,
                                     struct holdfast_failure *failure);

/* Submits the call's request; on OK hf_lib_finish must follow, else nothing has happened. */
enum hf_err hf_lib_start(struct holdfast *db, struct hf_call *call) HF_WARN_UNUSED;
bool hf_lib_is_done(struct hf_call *call);
/* Waits. On OK *answer is the caller's, else the call's answer is freed. */
enum holdfast_error hf_lib_finish(struct holdfast *db, struct hf_call *call,
                                  struct holdfast_answer **answer,
                                  struct holdfast_failure *failure);

/* Submits the call's request and waits. On OK *answer is the caller's, else the call's answer is freed. */
enum holdfast_error hf_lib_run(struct holdfast *db, struct hf_call *call,
                               struct holdfast_answer **answer, struct holdfast_failure *failure);

/* Builds a command of operations, not finished. false: malformed says why. */
bool hf_lib_build(struct hf_command *command, const struct holdfast_caller *caller,
                  const struct holdfast_operation *operations, size_t count,
                  struct hf_malformed *malformed);
struct holdfast_answer *
hf_lib_answer_new(enum holdfast_answer_kind kind); /* NULL: short of memory */
/* Sets what follows from the decision: dry run, status. */
void hf_lib_settle(struct holdfast_answer *answer, const struct hf_command *command);

#endif
