#include "core/saga_wire.h"

static const char *const states[] = {
    [HF_SAGA_SCHEDULED] = "scheduled", [HF_SAGA_RUNNING] = "running",
    [HF_SAGA_WAITING] = "waiting",     [HF_SAGA_COMPENSATING] = "compensating",
    [HF_SAGA_PARKED] = "parked",       [HF_SAGA_PAUSED] = "paused",
    [HF_SAGA_SUCCEEDED] = "succeeded", [HF_SAGA_COMPENSATED] = "compensated",
    [HF_SAGA_ABANDONED] = "abandoned",
};
/* A compensation that was accepted is still "compensating" to those who look at it. */
static const char *const steps[] = {
    [HF_STEP_PENDING] = "pending",
    [HF_STEP_RUNNING] = "running",
    [HF_STEP_WAITING] = "waiting",
    [HF_STEP_SUCCEEDED] = "succeeded",
    [HF_STEP_FAILED] = "failed",
    [HF_STEP_UNKNOWN] = "unknown",
    [HF_STEP_SKIPPED] = "skipped",
    [HF_STEP_COMPENSATING] = "compensating",
    [HF_STEP_COMPENSATING_WAITING] = "compensating",
    [HF_STEP_COMPENSATED] = "compensated",
    [HF_STEP_PARKED] = "parked",
};
static const char *const ops[] = {
    [HF_SAGA_ACTION] = "action",
    [HF_SAGA_COMPENSATION] = "compensate",
};
static const char *const outcomes[] = {
    [HF_OUTCOME_SUCCESS] = "success", [HF_OUTCOME_FAIL] = "fail",
    [HF_OUTCOME_RETRY] = "retry",     [HF_OUTCOME_CONFLICT] = "conflict",
    [HF_OUTCOME_PENDING] = "pending", [HF_OUTCOME_AGAIN] = "again",
    [HF_OUTCOME_PARK] = "park",
};
static const char *const acts[] = {
    [HF_SAGA_ACT_START] = "start",     [HF_SAGA_ACT_ANSWER] = "answer",
    [HF_SAGA_ACT_NATIVE] = "native",   [HF_SAGA_ACT_TIMER] = "timer",
    [HF_SAGA_ACT_EVENT] = "event",     [HF_SAGA_ACT_COMPLETE] = "complete",
    [HF_SAGA_ACT_FAIL] = "fail",       [HF_SAGA_ACT_RETRY] = "retry",
    [HF_SAGA_ACT_PAUSE] = "pause",     [HF_SAGA_ACT_RESUME] = "resume",
    [HF_SAGA_ACT_SKIP] = "skip",       [HF_SAGA_ACT_COMPENSATE] = "compensate",
    [HF_SAGA_ACT_ABANDON] = "abandon", [HF_SAGA_ACT_FORGET] = "forget",
};

static const char *word_of(const char *const *words, size_t count, size_t number)
{
    return number < count && words[number] != NULL ? words[number] : "unknown";
}

const char *hf_saga_state_wire(enum hf_saga_state state)
{
    return word_of(states, HF_ARRAY_COUNT(states), (size_t)state);
}

const char *hf_step_state_wire(enum hf_step_state state)
{
    return word_of(steps, HF_ARRAY_COUNT(steps), (size_t)state);
}

const char *hf_saga_op_wire(enum hf_saga_op op)
{
    return word_of(ops, HF_ARRAY_COUNT(ops), (size_t)op);
}

const char *hf_saga_outcome_wire(enum hf_saga_outcome outcome)
{
    return word_of(outcomes, HF_ARRAY_COUNT(outcomes), (size_t)outcome);
}

const char *hf_saga_act_wire(enum hf_saga_act act)
{
    return word_of(acts, HF_ARRAY_COUNT(acts), (size_t)act);
}

bool hf_saga_state_parse(struct hf_str text, enum hf_saga_state *state)
{
    for (size_t i = HF_SAGA_SCHEDULED; i < HF_ARRAY_COUNT(states); i++) {
        if (hf_str_equal(text, hf_str_from(states[i]))) {
            *state = (enum hf_saga_state)i;
            return true;
        }
    }
    return false;
}

bool hf_saga_verb_parse(struct hf_str text, enum hf_saga_act *act)
{
    for (size_t i = HF_SAGA_ACT_RETRY; i <= HF_SAGA_ACT_ABANDON; i++) {
        if (hf_str_equal(text, hf_str_from(acts[i]))) {
            *act = (enum hf_saga_act)i;
            return true;
        }
    }
    return false;
}
