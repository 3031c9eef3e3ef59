#include "cli/json_view.h"

#define FIRST_CAPACITY 16

/* The value whose first token the reader stands on. */
static bool take_value(struct hf_json *json, struct hf_arena *arena, struct hf_json_value *value)
{
    value->token = json->token;
    if (json->token == HF_JSON_STRING) {
        value->text = hf_json_string(json, arena);
        if (value->text.ptr == NULL) {
            return false;
        }
    }
    if (!hf_json_skip(json, &value->raw)) {
        return false;
    }
    if (value->token != HF_JSON_STRING) {
        value->text = value->raw;
    }
    return true;
}

/* Room for one more of size_bytes; the items may move. */
static bool grow(struct hf_arena *arena, void **items, size_t count, size_t *capacity,
                 size_t size_bytes)
{
    if (count < *capacity) {
        return true;
    }
    size_t wanted = *capacity == 0 ? FIRST_CAPACITY : *capacity * 2;
    void *room = hf_arena_alloc_zero(arena, wanted, size_bytes);
    if (room == NULL) {
        return false;
    }
    if (count > 0) {
        memcpy(room, *items, count * size_bytes);
    }
    *items = room;
    *capacity = wanted;
    return true;
}

bool hf_json_view_object(struct hf_str text, struct hf_arena *arena, struct hf_json_object *object)
{
    struct hf_json json;
    size_t capacity = 0;
    *object = (struct hf_json_object){0};
    hf_json_init(&json, text, arena);
    if (hf_json_next(&json) != HF_JSON_OBJECT_BEGIN) {
        return false;
    }
    while (hf_json_next(&json) == HF_JSON_NAME) {
        void *members = object->members;
        if (!grow(arena, &members, object->count, &capacity, sizeof(*object->members))) {
            return false;
        }
        object->members = members;
        struct hf_json_member *member = &object->members[object->count++];
        member->name = hf_json_string(&json, arena);
        if (member->name.ptr == NULL || hf_json_next(&json) == HF_JSON_ERROR ||
            !take_value(&json, arena, &member->value)) {
            return false;
        }
    }
    return hf_json_next(&json) == HF_JSON_END;
}

bool hf_json_view_array(struct hf_str text, struct hf_arena *arena, struct hf_json_array *array)
{
    struct hf_json json;
    size_t capacity = 0;
    *array = (struct hf_json_array){0};
    hf_json_init(&json, text, arena);
    if (hf_json_next(&json) != HF_JSON_ARRAY_BEGIN) {
        return false;
    }
    for (;;) {
        enum hf_json_token token = hf_json_next(&json);
        if (token == HF_JSON_ARRAY_END || token == HF_JSON_ERROR) {
            break;
        }
        void *items = array->items;
        if (!grow(arena, &items, array->count, &capacity, sizeof(*array->items))) {
            return false;
        }
        array->items = items;
        if (!take_value(&json, arena, &array->items[array->count++])) {
            return false;
        }
    }
    return hf_json_next(&json) == HF_JSON_END;
}

const struct hf_json_value *hf_json_view_member(const struct hf_json_object *object,
                                                const char *name)
{
    for (size_t i = 0; i < object->count; i++) {
        if (hf_str_equal(object->members[i].name, hf_str_from(name))) {
            return &object->members[i].value;
        }
    }
    return NULL;
}

struct hf_str hf_json_view_text(const struct hf_json_object *object, const char *name)
{
    const struct hf_json_value *value = hf_json_view_member(object, name);
    return value == NULL || value->token == HF_JSON_NULL ? HF_STR_NONE : value->text;
}
