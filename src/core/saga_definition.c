/* A whole definition: its members, the order of its steps, and what follows from it. */
#include "core/saga_definition.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "core/saga_definition_priv.h"

_Static_assert(HF_SAGA_STEPS_MAX <= 64, "sets of steps are 64 bits");

#define TIMEOUT_MS_MIN  1000u
#define KEEP_MS_DEFAULT 604800000u

struct definition_fields {
    struct hf_str steps, profile;
    bool has_timeout_ms, has_keep_ms;
    uint64_t timeout_ms, keep_ms;
};

static const struct hf_member definition_members[] = {
    HF_MEMBER(definition_fields, steps, HF_FORM_RAW),
    HF_MEMBER(definition_fields, profile, HF_FORM_TEXT),
    HF_MEMBER_FLAGGED(definition_fields, timeout_ms, HF_FORM_INTEGER, has_timeout_ms),
    HF_MEMBER_FLAGGED(definition_fields, keep_ms, HF_FORM_INTEGER, has_keep_ms),
};

static const struct hf_member step_members[] = {
    HF_MEMBER(hf_saga_step_fields, name, HF_FORM_TEXT),
    HF_MEMBER(hf_saga_step_fields, after, HF_FORM_RAW),
    HF_MEMBER(hf_saga_step_fields, action, HF_FORM_RAW),
    HF_MEMBER(hf_saga_step_fields, compensation, HF_FORM_RAW),
    HF_MEMBER(hf_saga_step_fields, when, HF_FORM_RAW),
    HF_MEMBER_FLAGGED(hf_saga_step_fields, pivot, HF_FORM_BOOL, has_pivot),
    HF_MEMBER(hf_saga_step_fields, async, HF_FORM_RAW),
    HF_MEMBER_FLAGGED(hf_saga_step_fields, attempt_timeout_ms, HF_FORM_INTEGER,
                      has_attempt_timeout_ms),
    HF_MEMBER_FLAGGED(hf_saga_step_fields, timeout_ms, HF_FORM_INTEGER, has_timeout_ms),
    HF_MEMBER(hf_saga_step_fields, retry, HF_FORM_RAW),
    HF_MEMBER(hf_saga_step_fields, on_status, HF_FORM_RAW),
};

/* ---- what the files of definitions share ---- */

bool hf_saga_refuse(struct hf_saga_parsing *p, const char *member, const char *format, ...)
{
    char text[sizeof(p->malformed->text)];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (member != NULL) {
        (void)hf_place_enter(p->place, hf_str_from(member));
    }
    return hf_malformed_set(p->malformed, HF_ERR_INVALID_REQUEST, p->place, "%s", text);
}

bool hf_saga_short_memory(struct hf_saga_parsing *p)
{
    return hf_malformed_set(p->malformed, HF_ERR_NO_MEMORY, "", "out of memory while decoding");
}

bool hf_saga_object(struct hf_saga_parsing *p, struct hf_str json, const struct hf_member *members,
                    size_t count, void *fields)
{
    struct hf_fields_json reading;
    hf_fields_init(&reading, json, p->place, p->arena, p->malformed);
    (void)hf_json_next(&reading.json);
    return hf_fields_object(&reading, members, count, fields);
}

bool hf_saga_number(struct hf_saga_parsing *p, const char *member, bool given, uint64_t value,
                    uint64_t otherwise, uint64_t min, uint64_t max, uint64_t *to)
{
    *to = given ? value : otherwise;
    return (*to >= min && *to <= max) ||
           hf_saga_refuse(p, member, "from %llu to %llu", (unsigned long long)min,
                          (unsigned long long)max);
}

uint32_t hf_saga_definition_step(const struct hf_saga_definition *definition, struct hf_str name)
{
    for (uint32_t i = 0; i < definition->step_count; i++) {
        if (hf_str_equal(definition->steps[i].name, name)) {
            return i;
        }
    }
    return UINT32_MAX;
}

/* ---- names ---- */

bool hf_saga_step_name_valid(struct hf_str name)
{
    bool fits = name.len > 0 && name.len <= HF_SAGA_STEP_NAME_BYTES_MAX;
    for (size_t i = 0; fits && i < name.len; i++) {
        char c = name.ptr[i];
        fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    }
    return fits;
}

/* Every step's members, and its name. */
static bool read_steps(struct hf_saga_parsing *p, struct hf_str json,
                       struct hf_saga_step_fields *fields)
{
    struct hf_saga_definition *d = p->definition;
    struct hf_fields_json reading;
    hf_fields_init(&reading, json, p->place, p->arena, p->malformed);
    if (hf_json_next(&reading.json) != HF_JSON_ARRAY_BEGIN) {
        return hf_saga_refuse(p, NULL, "must be an array of steps");
    }
    while (hf_json_next(&reading.json) != HF_JSON_ARRAY_END) {
        if (d->step_count == HF_SAGA_STEPS_MAX) {
            return hf_saga_refuse(p, NULL, "a saga has at most %u steps", HF_SAGA_STEPS_MAX);
        }
        struct hf_saga_step_fields *step = &fields[d->step_count];
        size_t before = hf_place_enter_index(reading.place, d->step_count);
        if (!hf_fields_object(&reading, step_members, HF_ARRAY_COUNT(step_members), step)) {
            return false;
        }
        (void)hf_place_enter(reading.place, HF_STR("name"));
        if (!hf_str_present(step->name)) {
            return hf_fields_refuse(&reading, "a step needs a name");
        }
        if (!hf_saga_step_name_valid(step->name)) {
            return hf_fields_refuse(&reading,
                                    "a step's name is 1 to 64 characters of a-z, 0-9 and -");
        }
        if (hf_saga_definition_step(d, step->name) != UINT32_MAX) {
            return hf_fields_refuse(&reading, "another step has this name");
        }
        hf_place_leave(reading.place, before);
        d->steps[d->step_count++].name = step->name;
    }
    return d->step_count > 0 || hf_saga_refuse(p, NULL, "a saga has at least one step");
}

/* ---- order ---- */

/* The place is the step's. */
static bool read_after(struct hf_saga_parsing *p, struct hf_str json,
                       struct hf_saga_step_definition *step)
{
    struct hf_fields_json reading;
    if (!hf_str_present(json)) {
        return true;
    }
    hf_fields_init(&reading, json, p->place, p->arena, p->malformed);
    (void)hf_place_enter(reading.place, HF_STR("after"));
    if (hf_json_next(&reading.json) != HF_JSON_ARRAY_BEGIN) {
        return hf_fields_refuse(&reading, "must be an array of steps' names");
    }
    for (size_t i = 0; hf_json_next(&reading.json) != HF_JSON_ARRAY_END; i++) {
        size_t before = hf_place_enter_index(reading.place, i);
        if (reading.json.token != HF_JSON_STRING) {
            return hf_fields_refuse_token(&reading, "must be a step's name");
        }
        struct hf_str name = hf_json_string(&reading.json, p->arena);
        if (!hf_str_present(name)) {
            return hf_saga_short_memory(p);
        }
        uint32_t other = hf_saga_definition_step(p->definition, name);
        if (other == UINT32_MAX) {
            return hf_fields_refuse(&reading, "there is no step of that name");
        }
        if ((step->after >> other & 1) != 0) {
            return hf_fields_refuse(&reading, "this step is named already");
        }
        step->after |= UINT64_C(1) << other;
        hf_place_leave(reading.place, before);
    }
    return true;
}

/* A step of a cycle: of those that never come, go back as long as it takes to be inside of one. */
static uint32_t step_of_cycle(const struct hf_saga_definition *d, uint64_t ordered)
{
    uint64_t all = d->step_count == 64 ? UINT64_MAX : (UINT64_C(1) << d->step_count) - 1;
    uint32_t step = (uint32_t)__builtin_ctzll(all & ~ordered);
    for (uint32_t i = 0; i < d->step_count; i++) {
        step = (uint32_t)__builtin_ctzll(d->steps[step].after & ~ordered);
    }
    return step;
}

/* Fills `before`, from those without predecessors on. */
static bool order_steps(struct hf_saga_parsing *p)
{
    struct hf_saga_definition *d = p->definition;
    uint64_t ordered = 0;
    uint32_t count = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (uint32_t i = 0; i < d->step_count; i++) {
            struct hf_saga_step_definition *step = &d->steps[i];
            if ((ordered >> i & 1) != 0 || (step->after & ~ordered) != 0) {
                continue;
            }
            step->before = step->after;
            for (uint32_t j = 0; j < d->step_count; j++) {
                step->before |= (step->after >> j & 1) != 0 ? d->steps[j].before : 0;
            }
            ordered |= UINT64_C(1) << i;
            count++;
            moved = true;
        }
    }
    if (count == d->step_count) {
        return true;
    }
    uint32_t step = step_of_cycle(d, ordered);
    (void)hf_place_enter_index(p->place, step);
    return hf_saga_refuse(p, "after", "the step %.*s comes after itself",
                          (int)d->steps[step].name.len, d->steps[step].name.ptr);
}

/* ---- pivots ---- */

/* Could one have failed when the other is done and nothing is undone any more? */
static bool pivots_clash(struct hf_saga_parsing *p, uint32_t a, uint32_t b, bool *short_memory)
{
    const struct hf_saga_step_definition *steps = p->definition->steps;
    return steps[a].pivot && steps[b].pivot && (steps[b].before >> a & 1) == 0 &&
           (steps[a].before >> b & 1) == 0 &&
           !hf_saga_whens_exclude(&steps[a].when, &steps[b].when, short_memory);
}

static bool check_pivots(struct hf_saga_parsing *p)
{
    const struct hf_saga_definition *d = p->definition;
    uint64_t pivots = 0;
    bool short_memory = false;
    for (uint32_t i = 0; i < d->step_count; i++) {
        pivots |= d->steps[i].pivot ? UINT64_C(1) << i : 0;
    }
    for (uint32_t i = 0; i < d->step_count; i++) {
        const struct hf_saga_step_definition *step = &d->steps[i];
        size_t before = hf_place_enter_index(p->place, i);
        if ((step->before & pivots) != 0 && step->compensation.kind != HF_CALL_NONE) {
            const struct hf_str pivot = d->steps[__builtin_ctzll(step->before & pivots)].name;
            return hf_saga_refuse(p, "compensation",
                                  "nothing behind the pivot %.*s is ever compensated",
                                  (int)pivot.len, pivot.ptr);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (pivots_clash(p, j, i, &short_memory)) {
                return hf_saga_refuse(
                    p, "pivot",
                    "the pivot %.*s runs beside this one: one could fail when the "
                    "other is done. Put one behind the other, or let `when` choose "
                    "one of them",
                    (int)d->steps[j].name.len, d->steps[j].name.ptr);
            }
        }
        hf_place_leave(p->place, before);
    }
    return !short_memory || hf_saga_short_memory(p);
}

/* ---- the whole ---- */

static bool take_steps(struct hf_saga_parsing *p, struct hf_str json)
{
    struct hf_saga_definition *d = p->definition;
    struct hf_saga_step_fields *fields =
        hf_arena_alloc_zero(p->arena, HF_SAGA_STEPS_MAX, sizeof(*fields));
    d->steps = hf_arena_alloc_zero(p->arena, HF_SAGA_STEPS_MAX, sizeof(*d->steps));
    if (fields == NULL || d->steps == NULL) {
        return hf_saga_short_memory(p);
    }
    size_t before = hf_place_enter(p->place, HF_STR("steps"));
    if (!read_steps(p, json, fields)) {
        return false;
    }
    for (uint32_t i = 0; i < d->step_count; i++) {
        size_t at = hf_place_enter_index(p->place, i);
        if (!read_after(p, fields[i].after, &d->steps[i])) {
            return false;
        }
        hf_place_leave(p->place, at);
    }
    if (!order_steps(p)) {
        return false;
    }
    for (uint32_t i = 0; i < d->step_count; i++) {
        size_t at = hf_place_enter_index(p->place, i);
        if (!hf_saga_take_step(p, &fields[i], &d->steps[i])) {
            return false;
        }
        hf_place_leave(p->place, at);
    }
    if (!check_pivots(p)) {
        return false;
    }
    hf_place_leave(p->place, before);
    return true;
}

static bool take_profile(struct hf_saga_parsing *p, struct hf_str profile)
{
    p->definition->dtm = hf_str_equal(profile, HF_STR("dtm"));
    return !hf_str_present(profile) || p->definition->dtm ||
           hf_str_equal(profile, HF_STR("holdfast")) ||
           hf_saga_refuse(p, "profile", "holdfast or dtm");
}

/* The text in its canonical form, in the arena. */
static bool take_text(struct hf_saga_parsing *p, struct hf_str json)
{
    if (json.len > HF_SAGA_DEFINITION_BYTES_MAX) {
        return hf_malformed_set(p->malformed, HF_ERR_TOO_LARGE, "",
                                "%zu bytes of JSON; a definition has at most %u", json.len,
                                HF_SAGA_DEFINITION_BYTES_MAX);
    }
    struct hf_error error = {0};
    enum hf_err code = hf_json_validate(json, &error);
    if (code != HF_ERR_OK) {
        return hf_malformed_set(p->malformed, code, "", "%s", error.text);
    }
    struct hf_buffer canonical;
    hf_buffer_init(&canonical);
    if (hf_json_canonical(json, &canonical)) {
        p->definition->text = hf_arena_copy(
            p->arena, (struct hf_str){(const char *)canonical.data, canonical.size_bytes});
    }
    hf_buffer_release(&canonical);
    return hf_str_present(p->definition->text) || hf_saga_short_memory(p);
}

static bool take_definition(struct hf_saga_parsing *p, struct hf_str json)
{
    struct hf_saga_definition *d = p->definition;
    struct definition_fields fields = {0};
    if (!take_text(p, json) || !hf_saga_object(p, d->text, definition_members,
                                               HF_ARRAY_COUNT(definition_members), &fields)) {
        return false;
    }
    if (!hf_str_present(fields.steps)) {
        return hf_saga_refuse(p, "steps", "a definition needs steps");
    }
    if (!take_profile(p, fields.profile) ||
        !hf_saga_number(p, "keep_ms", fields.has_keep_ms, fields.keep_ms, KEEP_MS_DEFAULT, 0,
                        HF_SAGA_KEEP_MS_MAX, &d->keep_ms)) {
        return false;
    }
    if (fields.has_timeout_ms && !hf_saga_number(p, "timeout_ms", true, fields.timeout_ms, 0,
                                                 TIMEOUT_MS_MIN, HF_SAGA_MS_MAX, &d->timeout_ms)) {
        return false;
    }
    return take_steps(p, fields.steps);
}

bool hf_saga_definition_parse_into(struct hf_saga_definition *definition, struct hf_arena *arena,
                                   struct hf_str json, struct hf_malformed *malformed)
{
    struct hf_saga_parsing parsing = {
        .definition = definition, .arena = arena, .malformed = malformed};
    *definition = (struct hf_saga_definition){0};
    hf_arena_init(&definition->arena);
    return take_definition(&parsing, json);
}

bool hf_saga_definition_parse(struct hf_saga_definition *definition, struct hf_str json,
                              struct hf_malformed *malformed)
{
    struct hf_arena arena;
    hf_arena_init(&arena);
    bool ok = hf_saga_definition_parse_into(definition, &arena, json, malformed);
    definition->arena = arena;
    if (!ok) {
        hf_saga_definition_release(definition);
    }
    return ok;
}

void hf_saga_definition_release(struct hf_saga_definition *definition)
{
    hf_arena_release(&definition->arena);
    *definition = (struct hf_saga_definition){0};
}
