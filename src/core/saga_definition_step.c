/* A step's members beside its calls: when, async, retry, on_status, times. */
#include "core/saga_definition_priv.h"

#define ATTEMPT_MS_MIN     100u
#define ATTEMPT_MS_MAX     600000u
#define ATTEMPT_MS_DEFAULT 15000u
#define POLL_MS_MIN        100u
#define BACKOFF_FIRST_MS   500u
#define BACKOFF_MAX_MS     60000u
#define ATTEMPTS_MAX       1000000u
#define CONFLICTS_MAX      1000u
#define CONFLICT_ATTEMPTS  5u
#define STATUS_RULES_MAX   500u /* 100 to 599 */

/* ---- when ---- */

struct when_fields {
    struct hf_str value;
    struct hf_str operands[HF_WHEN_LTE + 1]; /* by enum hf_saga_compare */
};

#define OPERAND(member, compare)                                                                   \
    {                                                                                              \
        .name = {#member, sizeof(#member) - 1}, .form = HF_FORM_RAW,                               \
        .value = offsetof(struct when_fields, operands[compare])                                   \
    }

static const struct hf_member when_members[] = {
    HF_MEMBER(when_fields, value, HF_FORM_RAW),
    OPERAND(eq, HF_WHEN_EQ),
    OPERAND(ne, HF_WHEN_NE),
    OPERAND(gt, HF_WHEN_GT),
    OPERAND(gte, HF_WHEN_GTE),
    OPERAND(lt, HF_WHEN_LT),
    OPERAND(lte, HF_WHEN_LTE),
};

static bool is_ordered(struct hf_str operand)
{
    char c = operand.ptr[0];
    return c == '"' || c == '-' || (c >= '0' && c <= '9');
}

/* The place is that of `when`. */
static bool take_operand(struct hf_saga_parsing *p, const struct when_fields *fields,
                         struct hf_saga_when *when)
{
    const char *name = NULL;
    for (size_t i = 1; i < HF_ARRAY_COUNT(when_members); i++) {
        struct hf_str operand = fields->operands[i];
        if (!hf_str_present(operand)) {
            continue;
        }
        if (name != NULL) {
            return hf_saga_refuse(p, NULL, "one comparison: %s or %s", name,
                                  when_members[i].name.ptr);
        }
        name = when_members[i].name.ptr;
        when->compare = (enum hf_saga_compare)i;
        when->operand = operand;
    }
    if (name == NULL) {
        return hf_saga_refuse(p, NULL, "compare the value by eq, ne, gt, gte, lt or lte");
    }
    size_t before = hf_place_enter(p->place, hf_str_from(name));
    struct hf_template operand;
    if (!hf_saga_take_template(p, when->operand, 0, &operand)) {
        return false;
    }
    if (!operand.constant) {
        return hf_saga_refuse(p, NULL, "only `value` is a template");
    }
    if (when->compare > HF_WHEN_NE && !is_ordered(when->operand)) {
        return hf_saga_refuse(p, NULL, "only numbers and strings are greater or less");
    }
    hf_place_leave(p->place, before);
    return true;
}

static bool take_when(struct hf_saga_parsing *p, struct hf_str json, uint64_t sources,
                      struct hf_saga_when *when)
{
    if (!hf_str_present(json)) {
        return true;
    }
    struct when_fields fields = {0};
    size_t before = hf_place_enter(p->place, HF_STR("when"));
    if (!hf_saga_object(p, json, when_members, HF_ARRAY_COUNT(when_members), &fields)) {
        return false;
    }
    if (!hf_str_present(fields.value)) {
        return hf_saga_refuse(p, "value", "which value is compared?");
    }
    if (!take_operand(p, &fields, when)) {
        return false;
    }
    size_t at = hf_place_enter(p->place, HF_STR("value"));
    if (!hf_saga_take_template(p, fields.value, sources, &when->value)) {
        return false;
    }
    hf_place_leave(p->place, at);
    hf_place_leave(p->place, before);
    when->present = true;
    return true;
}

/* ---- async ---- */

struct async_fields {
    struct hf_str mode;
    bool has_every_ms;
    uint64_t every_ms;
};

static const struct hf_member async_members[] = {
    HF_MEMBER(async_fields, mode, HF_FORM_TEXT),
    HF_MEMBER_FLAGGED(async_fields, every_ms, HF_FORM_INTEGER, has_every_ms),
};

static bool take_async(struct hf_saga_parsing *p, struct hf_str json,
                       struct hf_saga_step_definition *step)
{
    if (!hf_str_present(json)) {
        return true;
    }
    struct async_fields fields = {0};
    size_t before = hf_place_enter(p->place, HF_STR("async"));
    if (!hf_saga_object(p, json, async_members, HF_ARRAY_COUNT(async_members), &fields)) {
        return false;
    }
    step->async_callback = hf_str_equal(fields.mode, HF_STR("callback"));
    step->async_poll = hf_str_equal(fields.mode, HF_STR("poll"));
    if (!step->async_callback && !step->async_poll) {
        return hf_saga_refuse(p, "mode", "callback or poll");
    }
    if (step->async_callback && fields.has_every_ms) {
        return hf_saga_refuse(p, "every_ms", "a callback is not polled");
    }
    if (step->async_poll && !hf_saga_number(p, "every_ms", fields.has_every_ms, fields.every_ms,
                                            HF_SAGA_POLL_MS_DEFAULT, POLL_MS_MIN, HF_BACKOFF_MS_MAX,
                                            &step->poll_every_ms)) {
        return false;
    }
    hf_place_leave(p->place, before);
    return true;
}

/* ---- retry ---- */

struct retry_fields {
    struct hf_str then;
    bool has_attempts_max, has_conflict_attempts_max, has_backoff_first_ms, has_backoff_max_ms;
    uint64_t attempts_max, conflict_attempts_max, backoff_first_ms, backoff_max_ms;
};

static const struct hf_member retry_members[] = {
    HF_MEMBER(retry_fields, then, HF_FORM_TEXT),
    HF_MEMBER_FLAGGED(retry_fields, attempts_max, HF_FORM_INTEGER, has_attempts_max),
    HF_MEMBER_FLAGGED(retry_fields, conflict_attempts_max, HF_FORM_INTEGER,
                      has_conflict_attempts_max),
    HF_MEMBER_FLAGGED(retry_fields, backoff_first_ms, HF_FORM_INTEGER, has_backoff_first_ms),
    HF_MEMBER_FLAGGED(retry_fields, backoff_max_ms, HF_FORM_INTEGER, has_backoff_max_ms),
};

static bool take_retry(struct hf_saga_parsing *p, struct hf_str json, struct hf_saga_retry *retry)
{
    struct retry_fields fields = {0};
    size_t before = hf_place_enter(p->place, HF_STR("retry"));
    if (hf_str_present(json) &&
        !hf_saga_object(p, json, retry_members, HF_ARRAY_COUNT(retry_members), &fields)) {
        return false;
    }
    retry->then_park = hf_str_equal(fields.then, HF_STR("park"));
    if (hf_str_present(fields.then) && !retry->then_park &&
        !hf_str_equal(fields.then, HF_STR("compensate"))) {
        return hf_saga_refuse(p, "then", "compensate or park");
    }
    uint64_t attempts;
    uint64_t conflicts;
    if (!hf_saga_number(p, "attempts_max", fields.has_attempts_max, fields.attempts_max, 0, 0,
                        ATTEMPTS_MAX, &attempts) ||
        !hf_saga_number(p, "conflict_attempts_max", fields.has_conflict_attempts_max,
                        fields.conflict_attempts_max, CONFLICT_ATTEMPTS, 0, CONFLICTS_MAX,
                        &conflicts) ||
        !hf_saga_number(p, "backoff_first_ms", fields.has_backoff_first_ms, fields.backoff_first_ms,
                        BACKOFF_FIRST_MS, 1, HF_BACKOFF_MS_MAX, &retry->backoff_first_ms) ||
        !hf_saga_number(p, "backoff_max_ms", fields.has_backoff_max_ms, fields.backoff_max_ms,
                        hf_max_u64(BACKOFF_MAX_MS, retry->backoff_first_ms),
                        retry->backoff_first_ms, HF_BACKOFF_MS_MAX, &retry->backoff_max_ms)) {
        return false;
    }
    retry->attempts_max = (uint32_t)attempts;
    retry->conflict_attempts_max = (uint32_t)conflicts;
    hf_place_leave(p->place, before);
    return true;
}

/* ---- on_status ---- */

/* Three digits, 100 to 599. */
static bool status_of(struct hf_str text, uint16_t *status)
{
    if (text.len != 3) {
        return false;
    }
    unsigned value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        value = value * 10 + (unsigned)(text.ptr[i] - '0');
    }
    *status = (uint16_t)value;
    return value >= 100 && value <= 599;
}

static bool take_rule(struct hf_saga_parsing *p, struct hf_fields_json *reading, uint16_t *status,
                      enum hf_saga_outcome *outcome)
{
    struct hf_str name = hf_json_string(&reading->json, p->arena);
    if (!hf_str_present(name)) {
        return hf_saga_short_memory(p);
    }
    (void)hf_place_enter_name(reading->place, name);
    if (!status_of(name, status)) {
        return hf_fields_refuse(reading, "a status is three digits, from 100 to 599");
    }
    if (hf_json_next(&reading->json) != HF_JSON_STRING) {
        return hf_fields_refuse_token(reading, "success, fail, retry, pending or park");
    }
    struct hf_str word = hf_json_string(&reading->json, p->arena);
    if (!hf_str_present(word)) {
        return hf_saga_short_memory(p);
    }
    return hf_saga_outcome_parse(word, outcome) ||
           hf_fields_refuse(reading, "success, fail, retry, pending or park");
}

static bool take_rules(struct hf_saga_parsing *p, struct hf_str json,
                       struct hf_saga_status_rules *rules)
{
    if (!hf_str_present(json)) {
        return true;
    }
    uint16_t statuses[STATUS_RULES_MAX]; /* no name comes twice */
    enum hf_saga_outcome outcomes[STATUS_RULES_MAX];
    struct hf_fields_json reading;
    hf_fields_init(&reading, json, p->place, p->arena, p->malformed);
    (void)hf_place_enter(reading.place, HF_STR("on_status"));
    if (hf_json_next(&reading.json) != HF_JSON_OBJECT_BEGIN) {
        return hf_fields_refuse_token(&reading,
                                      "must be an object, for example {\"404\":\"fail\"}");
    }
    uint32_t count = 0;
    while (hf_json_next(&reading.json) == HF_JSON_NAME) {
        size_t at = strlen(reading.place);
        if (!take_rule(p, &reading, &statuses[count], &outcomes[count])) {
            return false;
        }
        hf_place_leave(reading.place, at);
        count++;
    }
    if (reading.json.token != HF_JSON_OBJECT_END) {
        return hf_saga_short_memory(p);
    }
    uint16_t *kept_statuses = hf_arena_alloc_zero(p->arena, count + 1u, sizeof(*kept_statuses));
    enum hf_saga_outcome *kept_outcomes =
        hf_arena_alloc_zero(p->arena, count + 1u, sizeof(*kept_outcomes));
    if (kept_statuses == NULL || kept_outcomes == NULL) {
        return hf_saga_short_memory(p);
    }
    memcpy(kept_statuses, statuses, count * sizeof(*statuses));
    memcpy(kept_outcomes, outcomes, count * sizeof(*outcomes));
    *rules = (struct hf_saga_status_rules){count, kept_statuses, kept_outcomes};
    return true;
}

/* ---- the step ---- */

static bool take_calls(struct hf_saga_parsing *p, const struct hf_saga_step_fields *fields,
                       struct hf_saga_step_definition *step)
{
    uint64_t own = UINT64_C(1) << (step - p->definition->steps);
    if (!hf_str_present(fields->action)) {
        return hf_saga_refuse(p, "action", "a step needs an action; {} does nothing");
    }
    size_t before = hf_place_enter(p->place, HF_STR("action"));
    if (!hf_saga_take_call(p, fields->action, false, step->before, &step->action)) {
        return false;
    }
    hf_place_leave(p->place, before);
    if (!hf_str_present(fields->compensation)) {
        return true;
    }
    before = hf_place_enter(p->place, HF_STR("compensation"));
    if (!hf_saga_take_call(p, fields->compensation, true, step->before | own,
                           &step->compensation)) {
        return false;
    }
    hf_place_leave(p->place, before);
    return true;
}

/* What only a call has, where there is none. */
static bool check_idle_members(struct hf_saga_parsing *p, const struct hf_saga_step_fields *fields,
                               const struct hf_saga_step_definition *step)
{
    const struct {
        bool given;
        const char *name;
    } members[] = {
        {hf_str_present(fields->async), "async"},
        {fields->has_attempt_timeout_ms, "attempt_timeout_ms"},
        {hf_str_present(fields->retry), "retry"},
        {hf_str_present(fields->on_status), "on_status"},
    };
    bool calls = step->action.kind == HF_CALL_HTTP || step->compensation.kind == HF_CALL_HTTP;
    for (size_t i = 0; !calls && i < HF_ARRAY_COUNT(members); i++) {
        if (members[i].given) {
            return hf_saga_refuse(p, members[i].name, "this step calls no URL");
        }
    }
    bool waits = calls || step->action.kind == HF_CALL_EVENT;
    return waits || !fields->has_timeout_ms ||
           hf_saga_refuse(p, "timeout_ms", "this step waits for no answer and no event");
}

bool hf_saga_take_step(struct hf_saga_parsing *p, const struct hf_saga_step_fields *fields,
                       struct hf_saga_step_definition *step)
{
    step->pivot = fields->has_pivot && fields->pivot;
    if (!take_when(p, fields->when, step->before, &step->when) || !take_calls(p, fields, step) ||
        !check_idle_members(p, fields, step) || !take_async(p, fields->async, step) ||
        !take_retry(p, fields->retry, &step->retry) ||
        !take_rules(p, fields->on_status, &step->on_status) ||
        !hf_saga_number(p, "attempt_timeout_ms", fields->has_attempt_timeout_ms,
                        fields->attempt_timeout_ms, ATTEMPT_MS_DEFAULT, ATTEMPT_MS_MIN,
                        ATTEMPT_MS_MAX, &step->attempt_timeout_ms)) {
        return false;
    }
    return !fields->has_timeout_ms || hf_saga_number(p, "timeout_ms", true, fields->timeout_ms, 0,
                                                     1, HF_SAGA_MS_MAX, &step->timeout_ms);
}
