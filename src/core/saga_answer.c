#include "core/saga_answer.h"

#include "core/saga_definition.h"

static bool among(uint16_t status, const uint16_t *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == status) {
            return true;
        }
    }
    return false;
}

#define AMONG(status, ...)                                                                         \
    among(status, (const uint16_t[]){__VA_ARGS__},                                                 \
          sizeof((const uint16_t[]){__VA_ARGS__}) / sizeof(uint16_t))

/* A compensation never fails: where an action would, an operator has to look. */
static enum hf_saga_outcome failure_of(enum hf_saga_op op)
{
    return op == HF_SAGA_ACTION ? HF_OUTCOME_FAIL : HF_OUTCOME_PARK;
}

static enum hf_saga_outcome by_table(uint16_t status, enum hf_saga_op op)
{
    if (status >= 200 && status <= 299) {
        return status == 202 ? HF_OUTCOME_PENDING : HF_OUTCOME_SUCCESS;
    }
    if (status == 425) {
        return HF_OUTCOME_AGAIN;
    }
    if (status == 410 && op == HF_SAGA_COMPENSATION) {
        return HF_OUTCOME_SUCCESS; /* what is gone needs no undoing */
    }
    if (AMONG(status, 400, 402, 406, 410, 413, 415, 422, 424, 451)) {
        return failure_of(op);
    }
    if (AMONG(status, 409, 412, 423)) {
        return HF_OUTCOME_CONFLICT;
    }
    if (AMONG(status, 408, 429) || (status >= 500 && status != 501)) {
        return HF_OUTCOME_RETRY;
    }
    return HF_OUTCOME_PARK; /* 1xx is no answer to a POST, 3xx is not followed */
}

/* dtm's participants know no callback: what is pending is asked again. */
static enum hf_saga_outcome by_dtm(uint16_t status, enum hf_saga_op op)
{
    switch (status) {
    case 200:
        return HF_OUTCOME_SUCCESS;
    case 409:
        return failure_of(op);
    case 425:
        return HF_OUTCOME_AGAIN;
    default:
        return HF_OUTCOME_RETRY;
    }
}

bool hf_saga_outcome_parse(struct hf_str word, enum hf_saga_outcome *outcome)
{
    static const struct {
        struct hf_str word;
        enum hf_saga_outcome outcome;
    } words[] = {
        {{"success", 7}, HF_OUTCOME_SUCCESS}, {{"fail", 4}, HF_OUTCOME_FAIL},
        {{"retry", 5}, HF_OUTCOME_RETRY},     {{"pending", 7}, HF_OUTCOME_PENDING},
        {{"park", 4}, HF_OUTCOME_PARK},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(words); i++) {
        if (hf_str_equal(words[i].word, word)) {
            *outcome = words[i].outcome;
            return true;
        }
    }
    return false;
}

/* The step's own rule for the status. */
static bool by_rules(uint16_t status, const struct hf_saga_status_rules *rules,
                     enum hf_saga_outcome *outcome)
{
    for (uint32_t i = 0; rules != NULL && i < rules->count; i++) {
        if (rules->statuses[i] == status) {
            *outcome = rules->outcomes[i];
            return true;
        }
    }
    return false;
}

enum hf_saga_outcome hf_saga_classify(const struct hf_saga_answer *answer, enum hf_saga_op op,
                                      bool dtm, const struct hf_saga_status_rules *rules)
{
    switch (answer->error) {
    case HF_CALL_COMPLETE:
        break;
    case HF_CALL_NOT_CONNECTED:
    case HF_CALL_TIMED_OUT:
    case HF_CALL_CUT_OFF:
        return HF_OUTCOME_RETRY;
    case HF_CALL_REFUSED_HERE:
    case HF_CALL_TOO_LARGE:
        return HF_OUTCOME_PARK;
    }
    enum hf_saga_outcome told;
    if (hf_saga_outcome_parse(answer->outcome, &told) || by_rules(answer->status, rules, &told)) {
        return told == HF_OUTCOME_FAIL ? failure_of(op) : told;
    }
    return dtm ? by_dtm(answer->status, op) : by_table(answer->status, op);
}

bool hf_saga_leaves_unknown(const struct hf_saga_answer *answer, enum hf_saga_outcome outcome)
{
    switch (answer->error) {
    case HF_CALL_NOT_CONNECTED:
    case HF_CALL_REFUSED_HERE:
        return false;
    case HF_CALL_TIMED_OUT:
    case HF_CALL_CUT_OFF:
    case HF_CALL_TOO_LARGE:
        return true;
    case HF_CALL_COMPLETE:
        break;
    }
    uint16_t status = answer->status;
    switch (outcome) {
    case HF_OUTCOME_RETRY:
        return status != 429; /* which was sent away at the door */
    case HF_OUTCOME_PARK:
        return (status >= 200 && status <= 299) || (status >= 500 && status != 501);
    case HF_OUTCOME_SUCCESS:
    case HF_OUTCOME_FAIL:
    case HF_OUTCOME_CONFLICT:
    case HF_OUTCOME_PENDING:
    case HF_OUTCOME_AGAIN:
        break;
    }
    return false;
}
