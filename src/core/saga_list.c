#include "core/saga_list.h"

#include <stdio.h>

#include "base/check.h"
#include "base/json.h"

#define ALL_STATES ((1u << HF_SAGA_STATE_COUNT) - 1)

struct hf_saga_walk hf_saga_walk_begin(const struct hf_sagas *sagas,
                                       const struct hf_saga_filter *filter, struct hf_str after)
{
    struct hf_saga_walk walk = {.sagas = sagas,
                                .filter = filter,
                                .states = ALL_STATES,
                                .after = hf_str_present(after) ? after : HF_STR("")};
    if (filter != NULL && filter->has_state) {
        walk.states = 1u << filter->state;
    }
    return walk;
}

static const struct hf_saga *by_name(const struct hf_name *name)
{
    return name == NULL ? NULL : HF_CONTAINER_OF(name, struct hf_saga, name);
}

static const struct hf_saga *next_by_key(struct hf_saga_walk *walk)
{
    struct hf_str key = walk->filter->business_key;
    if (key.len + 1 + walk->after.len > sizeof(walk->order)) {
        return NULL; /* no such key, or nothing behind such an id */
    }
    memcpy(walk->order, key.ptr, key.len);
    walk->order[key.len] = '\0';
    memcpy(walk->order + key.len + 1, walk->after.ptr, walk->after.len);
    struct hf_str from = {walk->order, key.len + 1 + walk->after.len};
    const struct hf_name *order = hf_names_behind(&walk->sagas->by_business_key, from, false);
    const struct hf_saga *saga =
        order == NULL ? NULL : HF_CONTAINER_OF(order, struct hf_saga_key, order)->saga;
    return saga != NULL && hf_str_equal(saga->business_key, key) ? saga : NULL;
}

static const struct hf_saga *next_of_states(const struct hf_saga_walk *walk)
{
    const struct hf_name *first = NULL;
    for (unsigned i = 0; i < HF_SAGA_STATE_COUNT; i++) {
        if ((walk->states >> i & 1) == 0) {
            continue;
        }
        const struct hf_name *name = hf_names_behind(&walk->sagas->by_state[i], walk->after, false);
        if (name != NULL && (first == NULL || hf_str_compare(name->text, first->text) < 0)) {
            first = name;
        }
    }
    return by_name(first);
}

const struct hf_saga *hf_saga_walk_next(struct hf_saga_walk *walk)
{
    const struct hf_saga *saga;
    if (walk->filter != NULL && hf_str_present(walk->filter->business_key)) {
        saga = next_by_key(walk);
    } else if (walk->filter != NULL && walk->filter->failing) {
        saga = by_name(hf_names_behind(&walk->sagas->failing, walk->after, false));
    } else {
        saga = next_of_states(walk);
    }
    if (saga != NULL) {
        walk->after = saga->name.text;
    }
    return saga;
}

/* "order", or "order@3". */
static bool is_of(const struct hf_saga_stored_definition *definition, struct hf_str text)
{
    struct hf_str name = definition->name.text;
    if (hf_str_equal(text, name)) {
        return true;
    }
    char version[24];
    int len = snprintf(version, sizeof(version), "@%llu", (unsigned long long)definition->version);
    return text.len == name.len + (size_t)len && memcmp(text.ptr, name.ptr, name.len) == 0 &&
           memcmp(text.ptr + name.len, version, (size_t)len) == 0;
}

static bool has_tag(const struct hf_saga *saga, struct hf_str key, struct hf_str value,
                    struct hf_arena *scratch)
{
    if (!hf_str_present(saga->tags.text)) {
        return false;
    }
    struct hf_json json;
    hf_json_init(&json, saga->tags.text, scratch);
    if (hf_json_next(&json) != HF_JSON_OBJECT_BEGIN) {
        return false;
    }
    while (hf_json_next(&json) == HF_JSON_NAME) {
        bool found = hf_json_is(&json, key);
        if (hf_json_next(&json) != HF_JSON_STRING) {
            return false;
        }
        if (found) {
            return hf_json_is(&json, value);
        }
    }
    return false;
}

static bool is_at(const struct hf_saga *saga, struct hf_str name)
{
    uint32_t i = hf_saga_definition_step(&saga->definition->parsed, name);
    if (i == UINT32_MAX) {
        return false;
    }
    enum hf_step_state state = saga->steps[i].state;
    return state == HF_STEP_RUNNING || state == HF_STEP_WAITING || state == HF_STEP_COMPENSATING ||
           state == HF_STEP_COMPENSATING_WAITING || state == HF_STEP_PARKED;
}

bool hf_saga_matches(const struct hf_saga *saga, const struct hf_saga_filter *filter,
                     struct hf_arena *scratch)
{
    return (!filter->has_state || saga->state == filter->state) &&
           (!filter->failing || saga->failing_us > 0) &&
           (filter->older_than_us == 0 || saga->started_us < filter->older_than_us) &&
           (!hf_str_present(filter->definition) || is_of(saga->definition, filter->definition)) &&
           (!hf_str_present(filter->business_key) ||
            hf_str_equal(saga->business_key, filter->business_key)) &&
           (!hf_str_present(filter->step) || is_at(saga, filter->step)) &&
           (!hf_str_present(filter->tag_key) ||
            has_tag(saga, filter->tag_key, filter->tag_value, scratch));
}
