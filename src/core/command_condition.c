/* Conditions: from flat text fields to checked, typed ones. */
#include <stdio.h>

#include "base/time_text.h"
#include "core/command.h"
#include "core/command_priv.h"
#include "core/receipt.h"
#include "core/saga_wire.h"

static bool refuse(const struct hf_command *command, struct hf_malformed *malformed,
                   const char *field, const char *text)
{
    char pointer[64];
    (void)snprintf(pointer, sizeof(pointer), "/if/%u%s%s", command->condition_count,
                   field == NULL ? "" : "/", field == NULL ? "" : field);
    return hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, pointer, "%s", text);
}

/* The one subject that is named; NULL unless it is exactly one. */
static const char *find_subject(const struct hf_condition_fields *fields, struct hf_str *text,
                                enum hf_condition_kind *kind)
{
    const struct {
        struct hf_str text;
        const char *name;
        enum hf_condition_kind kind;
    } subjects[] = {
        {fields->account, "account", HF_CONDITION_ACCOUNT},
        {fields->stream, "stream", HF_CONDITION_STREAM},
        {fields->document, "document", HF_CONDITION_DOCUMENT},
        {fields->transfer, "transfer", HF_CONDITION_TRANSFER},
        {fields->lease, "lease", HF_CONDITION_LEASE},
        {fields->hold, "hold", HF_CONDITION_HOLD},
        {fields->subscription, "subscription", HF_CONDITION_SUBSCRIPTION},
        {fields->saga, "saga", HF_CONDITION_SAGA},
    };
    const char *found = NULL;
    for (size_t i = 0; i < HF_ARRAY_COUNT(subjects); i++) {
        if (!hf_str_present(subjects[i].text)) {
            continue;
        }
        if (found != NULL) {
            return NULL;
        }
        found = subjects[i].name;
        *text = subjects[i].text;
        *kind = subjects[i].kind;
    }
    return found;
}

enum test {
    T_VERSION = 1,
    T_MODIFIED_AT = 2,
    T_EXISTS = 4,
    T_AVAILABLE = 8,
    T_POSTED = 16,
    T_TOKEN = 32,
    T_STATE = 64,
    T_RECEIPT = 128,
};

static const struct {
    unsigned bit;
    const char *name;
} tests[] = {
    {T_VERSION, "version"},     {T_MODIFIED_AT, "modified_at"}, {T_EXISTS, "exists"},
    {T_AVAILABLE, "available"}, {T_POSTED, "posted"},           {T_TOKEN, "token"},
    {T_STATE, "state"},         {T_RECEIPT, "receipt"},
};

static unsigned allowed_tests(enum hf_condition_kind kind)
{
    switch (kind) {
    case HF_CONDITION_ACCOUNT:
        return T_VERSION | T_MODIFIED_AT | T_EXISTS | T_AVAILABLE | T_POSTED;
    case HF_CONDITION_STREAM:
    case HF_CONDITION_DOCUMENT:
        return T_VERSION | T_MODIFIED_AT | T_EXISTS;
    case HF_CONDITION_TRANSFER:
        return T_EXISTS;
    case HF_CONDITION_LEASE:
        return T_TOKEN;
    case HF_CONDITION_HOLD:
    case HF_CONDITION_SAGA:
        return T_STATE;
    case HF_CONDITION_SUBSCRIPTION:
        return T_RECEIPT;
    }
    return 0;
}

static unsigned given_tests(const struct hf_condition_fields *fields)
{
    return (fields->has_version || fields->has_versions ? (unsigned)T_VERSION : 0) |
           (hf_str_present(fields->modified_at) ? (unsigned)T_MODIFIED_AT : 0) |
           (fields->has_exists ? (unsigned)T_EXISTS : 0) |
           (fields->has_available ? (unsigned)T_AVAILABLE : 0) |
           (fields->has_posted ? (unsigned)T_POSTED : 0) |
           (fields->has_token ? (unsigned)T_TOKEN : 0) |
           (hf_str_present(fields->state) ? (unsigned)T_STATE : 0) |
           (hf_str_present(fields->receipt) ? (unsigned)T_RECEIPT : 0);
}

static bool check_tests(struct hf_command *command, enum hf_condition_kind kind, unsigned given,
                        struct hf_malformed *malformed)
{
    unsigned allowed = allowed_tests(kind);
    if ((given & allowed) == 0) {
        return refuse(command, malformed, NULL, "a condition needs something to test");
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(tests); i++) {
        if ((given & ~allowed & tests[i].bit) != 0) {
            return refuse(command, malformed, tests[i].name,
                          "this is not tested of that kind of thing");
        }
    }
    return true;
}

static bool take_comparison(struct hf_command *command, const struct hf_str *operands, bool given,
                            const char *field, struct hf_comparison *comparison,
                            struct hf_malformed *malformed)
{
    for (int i = 0; i < HF_COMPARE_COUNT; i++) {
        if (!hf_str_present(operands[i])) {
            continue;
        }
        if (!hf_i128_parse(operands[i], &comparison->operand[i])) {
            return refuse(command, malformed, field,
                          "a value is a decimal string of minor units, a leading '-' allowed, "
                          "below 2^127");
        }
        comparison->present |= (uint8_t)(1u << i);
    }
    if (given && comparison->present == 0) {
        return refuse(command, malformed, field, "compare by eq, gt, gte, lt or lte");
    }
    return true;
}

static bool take_hold_state(struct hf_str text, enum hf_hold_state *state)
{
    static const char *const names[] = {"open", "captured", "voided", "expired"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(names); i++) {
        if (hf_str_equal(text, hf_str_from(names[i]))) {
            *state = (enum hf_hold_state)(i + 1);
            return true;
        }
    }
    return false;
}

static bool take_state(struct hf_command *command, const struct hf_condition_fields *fields,
                       struct hf_condition *condition, struct hf_malformed *malformed)
{
    if (condition->kind == HF_CONDITION_HOLD &&
        !take_hold_state(fields->state, &condition->state)) {
        return refuse(command, malformed, "state", "open, captured, voided or expired");
    }
    enum hf_saga_state state = 0;
    if (condition->kind == HF_CONDITION_SAGA && !hf_saga_state_parse(fields->state, &state)) {
        return refuse(command, malformed, "state",
                      "scheduled, running, waiting, compensating, parked, paused, succeeded, "
                      "compensated or abandoned");
    }
    condition->saga_state = (uint8_t)state;
    return true;
}

static bool take_versions(struct hf_command *command, const struct hf_condition_fields *fields,
                          struct hf_condition *condition, struct hf_malformed *malformed)
{
    if (!fields->has_versions) {
        return true;
    }
    if (fields->has_version || fields->version_count > HF_CONDITION_VERSIONS_MAX) {
        return refuse(command, malformed, NULL, "too many versions to compare with");
    }
    uint64_t *versions =
        hf_arena_alloc(&command->arena, (fields->version_count + 1u) * sizeof(*versions));
    if (versions == NULL) {
        return hf_command_short_memory(malformed);
    }
    for (uint32_t i = 0; i < fields->version_count; i++) {
        versions[i] = fields->versions[i];
    }
    condition->has_versions = true;
    condition->versions = versions;
    condition->version_count = fields->version_count;
    return true;
}

static bool take_receipt(struct hf_command *command, const struct hf_condition_fields *fields,
                         struct hf_condition *condition, struct hf_malformed *malformed)
{
    if (condition->kind != HF_CONDITION_SUBSCRIPTION) {
        return true;
    }
    struct hf_receipt *receipt = hf_arena_alloc(&command->arena, sizeof(*receipt));
    condition->receipt = receipt;
    if (receipt == NULL) {
        return hf_command_short_memory(malformed);
    }
    return hf_receipt_decode(fields->receipt, receipt) ||
           refuse(command, malformed, "receipt", "this is no receipt");
}

static bool take_values(struct hf_command *command, const struct hf_condition_fields *fields,
                        struct hf_condition *condition, struct hf_malformed *malformed)
{
    condition->has_version = fields->has_version;
    condition->version = fields->version;
    condition->has_exists = fields->has_exists;
    condition->exists = fields->exists;
    condition->token = fields->token;
    condition->has_modified_at = hf_str_present(fields->modified_at);
    if (condition->version > HF_JSON_INTEGER_MAX || condition->token > HF_JSON_INTEGER_MAX) {
        return refuse(command, malformed, NULL, "versions and tokens are below 2^53");
    }
    if (condition->has_modified_at &&
        !hf_time_parse(fields->modified_at, &condition->modified_at_us)) {
        return refuse(command, malformed, "modified_at",
                      "a time is RFC 3339 in UTC, for example 2020-08-30T17:44:25.000000Z");
    }
    return take_state(command, fields, condition, malformed) &&
           take_receipt(command, fields, condition, malformed) &&
           take_versions(command, fields, condition, malformed) &&
           take_comparison(command, fields->available, fields->has_available, "available",
                           &condition->available, malformed) &&
           take_comparison(command, fields->posted, fields->has_posted, "posted",
                           &condition->posted, malformed);
}

static bool grow(struct hf_command *command)
{
    if (command->condition_count < command->condition_capacity) {
        return true;
    }
    uint32_t capacity = command->condition_capacity == 0 ? 1 : command->condition_capacity * 4;
    struct hf_condition *conditions =
        hf_arena_alloc(&command->arena, capacity * sizeof(*conditions));
    if (conditions == NULL) {
        return false;
    }
    if (command->condition_count > 0) {
        memcpy(conditions, command->conditions, command->condition_count * sizeof(*conditions));
    }
    command->conditions = conditions;
    command->condition_capacity = capacity;
    return true;
}

bool hf_command_add_condition(struct hf_command *command, const struct hf_condition_fields *fields,
                              struct hf_malformed *malformed)
{
    if (command->condition_count >= HF_COMMIT_CONDITIONS_MAX) {
        return hf_malformed_set(malformed, HF_ERR_TOO_LARGE, "/if",
                                "a commit has at most %d conditions", HF_COMMIT_CONDITIONS_MAX);
    }
    if (!grow(command)) {
        return hf_command_short_memory(malformed);
    }
    struct hf_condition *condition = &command->conditions[command->condition_count];
    memset(condition, 0, sizeof(*condition));
    struct hf_str text;
    const char *field = find_subject(fields, &text, &condition->kind);
    if (field == NULL) {
        return refuse(command, malformed, NULL,
                      "a condition names one account, stream, document, transfer, lease, hold, "
                      "subscription or saga");
    }
    bool reference = condition->kind == HF_CONDITION_TRANSFER ||
                     condition->kind == HF_CONDITION_HOLD || condition->kind == HF_CONDITION_SAGA;
    if (reference ? !hf_name_valid_reference(text) : !hf_name_valid(text)) {
        return refuse(command, malformed, field, "this is no name");
    }
    if (!check_tests(command, condition->kind, given_tests(fields), malformed)) {
        return false;
    }
    struct hf_str copy = hf_arena_copy(&command->arena, text);
    if (copy.ptr == NULL || !hf_name_make(copy, &command->arena, &condition->subject)) {
        return hf_command_short_memory(malformed);
    }
    if (!take_values(command, fields, condition, malformed)) {
        return false;
    }
    command->condition_count++;
    return true;
}
