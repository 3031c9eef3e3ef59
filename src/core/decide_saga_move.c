/* How a step of a saga comes to its outcome, and what that means for the saga. */
#include "base/check.h"
#include "core/decide_saga.h"

bool hf_saga_is_open(const struct hf_saga_step *step, enum hf_saga_op op)
{
    if (step->op != op) {
        return false;
    }
    bool action = step->state == HF_STEP_RUNNING || step->state == HF_STEP_WAITING;
    bool compensation =
        step->state == HF_STEP_COMPENSATING || step->state == HF_STEP_COMPENSATING_WAITING;
    return step->state == HF_STEP_PARKED || (op == HF_SAGA_ACTION ? action : compensation);
}

/* splitmix64's last steps: every bit of the input reaches every bit of the result. */
static uint64_t mix(uint64_t value)
{
    value ^= value >> 30;
    value *= 0xBF58476D1CE4E5B9u;
    value ^= value >> 27;
    value *= 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

uint64_t hf_saga_backoff_us(const struct hf_saga_retry *retry, uint64_t uid, uint32_t step,
                            uint32_t attempt)
{
    HF_CHECK(attempt >= 1);
    uint64_t whole_ms = retry->backoff_first_ms;
    for (uint32_t i = 1; i < attempt && whole_ms > 0 && whole_ms < retry->backoff_max_ms; i++) {
        whole_ms *= 2; /* below 2 × the most: no overflow */
    }
    uint64_t whole_us = hf_min_u64(whole_ms, retry->backoff_max_ms) * 1000;
    uint64_t half_us = whole_us / 2;
    uint64_t hash = mix(mix(uid + 0x9E3779B97F4A7C15u) ^ ((uint64_t)step << 32 | attempt));
    return half_us + hash % (whole_us - half_us + 1);
}

/* It is at nothing any more. */
static void stop(struct hf_saga_step *step, enum hf_step_state state)
{
    step->state = state;
    step->due_us = 0;
    step->deadline_us = 0;
    step->failing_us = 0;
    step->polls = false;
    step->poll = (struct hf_saga_text_at){0};
}

static void end(const struct hf_deciding *d, struct hf_saga_step *step, enum hf_step_state state)
{
    stop(step, state);
    step->ended_us = d->time_us;
}

/* Of an action that will not be tried again. */
static enum hf_step_state settled(const struct hf_saga_step *step)
{
    bool open = step->unknown;
#ifdef HF_BUG_SAGA_UNKNOWN_NOT_COMPENSATED
    open = false;
#endif
    return open ? HF_STEP_UNKNOWN : HF_STEP_FAILED;
}

/* What was under way can't be undone any more: what is not done waits for an operator. */
static void turn_forward(struct hf_draft_saga *s)
{
    s->saga.compensating = false;
    for (uint32_t i = 0; i < s->parsed->step_count; i++) {
        enum hf_step_state state = s->saga.steps[i].state;
        if (state == HF_STEP_FAILED || state == HF_STEP_UNKNOWN) {
            stop(hf_saga_touch(s, i), HF_STEP_PARKED);
        }
    }
}

void hf_saga_succeed(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i,
                     const struct hf_payload *result)
{
    struct hf_saga_step *step = hf_saga_touch(s, i);
    if (step->op == HF_SAGA_COMPENSATION) {
        end(d, step, HF_STEP_COMPENSATED);
        return;
    }
    end(d, step, HF_STEP_SUCCEEDED);
    s->results_known |= UINT64_C(1) << i;
    s->saga.results[i] = HF_STR_NONE;
    step->result = (struct hf_saga_text_at){0};
    if (result != NULL && hf_str_present(result->text)) {
        step->result = HF_SAGA_THIS_EVENT;
        s->payloads[i] = *result;
        s->saga.results[i] = result->text;
        d->saga_bytes += result->text.len;
    }
    if (s->parsed->steps[i].pivot) {
        s->saga.past_pivot = true;
        if (s->saga.compensating) {
            turn_forward(s);
        }
    }
}

enum hf_step hf_saga_park(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i,
                          struct hf_str error)
{
    stop(hf_saga_touch(s, i), HF_STEP_PARKED);
    return hf_saga_reason(d, s, i, error);
}

/* An action that was in backoff, or waits for nothing that anybody does, is not in flight. */
static bool is_in_flight(const struct hf_deciding *d, const struct hf_draft_saga *s, uint32_t i)
{
    const struct hf_saga_step *step = &s->saga.steps[i];
    if (step->state == HF_STEP_RUNNING) {
        return step->due_us <= d->time_us || step->failing_us == 0;
    }
    return step->state == HF_STEP_WAITING && s->parsed->steps[i].action.kind == HF_CALL_HTTP;
}

void hf_saga_turn_back(struct hf_deciding *d, struct hf_draft_saga *s)
{
    if (s->saga.compensating) {
        return;
    }
    s->saga.compensating = true;
    for (uint32_t i = 0; i < s->parsed->step_count; i++) {
        const struct hf_saga_step *step = &s->saga.steps[i];
        bool action = step->op == HF_SAGA_ACTION;
        if (!action || is_in_flight(d, s, i)) {
            continue;
        }
        if (step->state == HF_STEP_RUNNING || step->state == HF_STEP_PARKED) {
            end(d, hf_saga_touch(s, i), settled(step));
        } else if (step->state == HF_STEP_WAITING) {
            stop(hf_saga_touch(s, i), HF_STEP_PENDING);
        }
    }
}

enum hf_step hf_saga_fail(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i,
                          struct hf_str error)
{
    if (s->saga.past_pivot) {
        return hf_saga_park(d, s, i, error);
    }
    struct hf_saga_step *step = hf_saga_touch(s, i);
    end(d, step, settled(step));
    if (s->saga.compensating) {
        return STEP_OK; /* it was in flight, and has settled */
    }
    hf_saga_turn_back(d, s);
    return hf_saga_reason(d, s, i, error);
}

void hf_saga_leave_open(struct hf_saga_step *step)
{
#ifndef HF_BUG_SAGA_TIMEOUT_NO_COMPENSATION
    step->unknown = true;
#else
    (void)step;
#endif
}

enum hf_step hf_saga_time_out(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i,
                              struct hf_str error)
{
    hf_saga_leave_open(hf_saga_touch(s, i));
    return hf_saga_fail(d, s, i, error);
}
