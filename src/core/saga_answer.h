/*
 * What a participant's answer means (docs/sagas.md, the answer table).
 *
 * Owns: the table, `Saga-Outcome`, `on_status`, profile `dtm`. Must never: look at a body's text. Called by: decide, `saga test`.
 */
#ifndef HF_CORE_SAGA_ANSWER_H
#define HF_CORE_SAGA_ANSWER_H

#include "core/saga_event.h"

/* How a call ended without an HTTP answer. Numbers are part of commands. */
enum hf_call_error {
    HF_CALL_COMPLETE = 0,  /* a whole answer */
    HF_CALL_NOT_CONNECTED, /* nothing was sent: known not to be done by this attempt */
    HF_CALL_TIMED_OUT,
    HF_CALL_CUT_OFF,      /* sent, perhaps in part; no whole answer */
    HF_CALL_REFUSED_HERE, /* an address that may not be called, a missing secret: parks */
    HF_CALL_TOO_LARGE, /* an answer beyond HF_SAGA_RESULT_BYTES_MAX, or a success that is no JSON: parks */
};

#define HF_SAGA_RESULT_BYTES_MAX 65536u

struct hf_saga_answer {
    enum hf_call_error error;
    uint16_t status;         /* COMPLETE: 100–599 */
    struct hf_str outcome;   /* Saga-Outcome, or absent; an unknown word counts as absent */
    uint64_t retry_after_ms; /* 0 = not told */
    struct hf_str location;  /* of a 202, resolved to an absolute URL, or absent */
    struct hf_str body;      /* JSON text, or empty */
};

struct hf_saga_status_rules; /* core/saga_definition.h */

/* The words of Saga-Outcome and on_status; false: no such word. */
bool hf_saga_outcome_parse(struct hf_str word, enum hf_saga_outcome *outcome) HF_WARN_UNUSED;
/* rules: of the step, or NULL. A compensation is never FAIL. */
enum hf_saga_outcome hf_saga_classify(const struct hf_saga_answer *answer, enum hf_saga_op op,
                                      bool dtm, const struct hf_saga_status_rules *rules);
/* Does this answer, classified so, leave open whether the attempt did its work? Timed out, cut off, 5xx, what is to be
 * retried or looked at though it was taken: yes. Not what was refused, what is still going on, or never arrived. */
bool hf_saga_leaves_unknown(const struct hf_saga_answer *answer, enum hf_saga_outcome outcome);

#endif
