/*
 * Answers taken apart, to be shown: the members of an object, the items of an array.
 *
 * Owns: nothing; results live in the caller's arena and point into the text. Must never: change a value.
 * Called by: the commands against a server.
 */
#ifndef HF_CLI_JSON_VIEW_H
#define HF_CLI_JSON_VIEW_H

#include "base/json.h"

struct hf_json_value {
    struct hf_str raw;        /* as it stands */
    struct hf_str text;       /* a string without quotes and escapes, else raw */
    enum hf_json_token token; /* its first one: STRING, NUMBER, OBJECT_BEGIN … */
};

struct hf_json_member {
    struct hf_str name;
    struct hf_json_value value;
};

struct hf_json_object {
    struct hf_json_member *members;
    size_t count;
};

struct hf_json_array {
    struct hf_json_value *items;
    size_t count;
};

/* false: it is no object (array), is not valid, or memory is short. */
bool hf_json_view_object(struct hf_str text, struct hf_arena *arena,
                         struct hf_json_object *object) HF_WARN_UNUSED;
bool hf_json_view_array(struct hf_str text, struct hf_arena *arena,
                        struct hf_json_array *array) HF_WARN_UNUSED;

/* NULL: there is no such member. */
const struct hf_json_value *hf_json_view_member(const struct hf_json_object *object,
                                                const char *name);
/* Its text; absent if there is no such member or it is null. */
struct hf_str hf_json_view_text(const struct hf_json_object *object, const char *name);

#endif
