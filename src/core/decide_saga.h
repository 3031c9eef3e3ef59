/*
 * What the files that decide sagas share: a saga as the operations so far have left it, and the event that tells of it.
 *
 *   get ─► event_begin ─► the act's own changes (touch a step, then change it) ─► advance ─► event_end
 *
 * Owns: struct hf_draft_saga. Must never: change the state. Called by: decide_saga*.c.
 *
 * 1. A step is changed between begin and end only, and touched first: the event then has it as it is after.
 * 2. What an act makes due or begins, begins in the commit of the act, but for what would make the commit too large: `goes_on`.
 */
#ifndef HF_CORE_DECIDE_SAGA_H
#define HF_CORE_DECIDE_SAGA_H

#include "core/decide_priv.h"
#include "core/saga_op.h"

#define HF_SAGA_REQUEST_BYTES_MAX  65536u     /* of a rendered body */
#define HF_SAGA_NATIVE_BYTES_MAX   262144u    /* of a rendered operation */
#define HF_SAGA_COMMIT_BYTES_SOFT  (2u << 20) /* texts in one commit; behind it the timer goes on… */
#define HF_SAGA_COMMIT_NATIVE_SOFT 4096u      /* …and behind so many operations of native steps */
#define HF_SAGA_BULK_SCAN_MAX      10000u     /* sagas that a page of a bulk looks at */
#define HF_SAGA_RETRY_AFTER_MS_MAX 3600000u /* what a Retry-After may ask for */

struct hf_draft_saga {
    struct hf_saga saga; /* first: it begins with its name. steps, results: copies in the arena */
    const struct hf_saga *stored; /* NULL: this commit starts it */
    const struct hf_saga_definition *parsed;
    struct hf_name definition;
    uint64_t definition_version;
    uint64_t results_known; /* bit i: saga.results[i] is as it is (absent: null) */
    bool input_known;
    const struct hf_saga_await *awaits; /* of a new one */
    uint32_t await_count;
    /* the event under way */
    struct hf_event *event;
    struct hf_saga_changed *changed;
    uint32_t event_index;
    uint64_t touched;            /* bit i: step i is changed by it */
    struct hf_payload *requests; /* by step: bodies that it brings… */
    struct hf_payload *payloads; /* …and results */
    bool is_verb;                /* the state's reason is the operator's */
    bool goes_on;                /* there is more to begin: the timer's, at once */
};

/* ---- decide_saga.c ---- */

/* A copy; *out NULL: there is none. Not STEP_OK: a collision of names, or memory. */
enum hf_step hf_draft_saga(struct hf_deciding *d, const struct hf_name *name,
                           struct hf_draft_saga **out);
/* The same of one that must be there. */
enum hf_step hf_draft_saga_find(struct hf_deciding *d, const struct hf_name *name,
                                struct hf_draft_saga **out);
enum hf_step hf_saga_event_begin(struct hf_deciding *d, struct hf_draft_saga *s,
                                 enum hf_saga_act act);
enum hf_step hf_saga_event_end(struct hf_deciding *d, struct hf_draft_saga *s);
/* The step that moved it; its attempt is as it is now. */
void hf_saga_event_cause(struct hf_draft_saga *s, uint32_t step, enum hf_saga_outcome outcome,
                         struct hf_str error);
/* An answer that no longer counts: told, and nothing else. */
enum hf_step hf_saga_late(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t step,
                          const struct hf_saga_changed *told);
struct hf_saga_step *hf_saga_touch(struct hf_draft_saga *s, uint32_t step);
/* Of the state: "charge: HTTP 401". */
enum hf_step hf_saga_reason(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t step,
                            struct hf_str error);

/* ---- decide_saga_move.c ---- */

/* Is the step at an op whose outcome still counts? */
bool hf_saga_is_open(const struct hf_saga_step *step, enum hf_saga_op op);
/* i: the step. result: text may be absent. */
void hf_saga_succeed(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i,
                     const struct hf_payload *result);
/* A business failure of the action: not done, unless an attempt is unknown. Behind a pivot it parks. */
enum hf_step hf_saga_fail(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i,
                          struct hf_str error);
enum hf_step hf_saga_park(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i,
                          struct hf_str error);
/* A touched step's action was perhaps done. */
void hf_saga_leave_open(struct hf_saga_step *step);
/* It is over for an action in flight: perhaps done. Behind a pivot it parks. */
enum hf_step hf_saga_time_out(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i,
                              struct hf_str error);
/* Goes backwards from now on. */
void hf_saga_turn_back(struct hf_deciding *d, struct hf_draft_saga *s);
/* Between half and all of the backoff behind this attempt. */
uint64_t hf_saga_backoff_us(const struct hf_saga_retry *retry, uint64_t uid, uint32_t step,
                            uint32_t attempt);

/* ---- decide_saga_advance.c ---- */

/* What is ready begins, and what is over ends. */
enum hf_step hf_saga_advance(struct hf_deciding *d, struct hf_draft_saga *s);
/* Renders keys of awaited events: s->awaits. */
enum hf_step hf_saga_register_awaits(struct hf_deciding *d, struct hf_draft_saga *s);

/* Rendered into the arena. *error present: it can't be rendered, that is why. */
enum hf_step hf_saga_render(struct hf_deciding *d, struct hf_draft_saga *s,
                            const struct hf_template *template_, size_t most, struct hf_str *text,
                            struct hf_str *error);
/* Texts that a template copies from. */
enum hf_step hf_saga_load_texts(struct hf_deciding *d, struct hf_draft_saga *s,
                                const struct hf_template *template_);

/* ---- decide_saga_native.c ---- */

/* The operations of a native step, all or none. *error present: they are refused, that is why. */
enum hf_step hf_saga_native(struct hf_deciding *d, struct hf_draft_saga *s,
                            const struct hf_saga_call *call, struct hf_str *error);

/* ---- one file for each kind of act ---- */

enum hf_step hf_decide_start_saga(struct hf_deciding *d, const struct hf_op *op);
enum hf_step hf_decide_define_saga(struct hf_deciding *d, const struct hf_op *op);
enum hf_step hf_decide_saga_answer(struct hf_deciding *d, const struct hf_op *op);
enum hf_step hf_decide_step_outcome(struct hf_deciding *d, const struct hf_op *op);
enum hf_step hf_decide_saga_verb(struct hf_deciding *d, const struct hf_op *op);
enum hf_step hf_decide_saga_verbs(struct hf_deciding *d, const struct hf_op *op);

#endif
