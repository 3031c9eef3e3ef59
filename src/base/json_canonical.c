/*
 * The canonical form, in one pass over the text.
 *
 * Values are written as they come. When an object ends and its members were not in order, the
 * bytes of its members are put in order inside the output. A byte is moved at most once per level
 * of nesting, which is bounded.
 */
#include "base/json_priv.h"

#include "base/check.h"

/* The members of all open objects, outer objects first, as the reader keeps its names. */
struct canonical {
    struct hf_json json;          /* over the text */
    struct hf_arena arena;        /* of the reader and of the arrays here */
    struct hf_buffer moved;       /* scratch: the members of one object in their order */
    struct hf_buffer *out;        /* borrowed */
    size_t out_first;             /* out's size as it began; starts count from there */
    uint64_t begun;               /* bit per level: something was written in the open container */
    uint32_t count;               /* members */
    uint32_t capacity;            /* room in names and starts */
    struct hf_json_name *names;   /* in arena */
    uint32_t *starts;             /* in arena: where the member begins in out, by the same index */
    struct hf_json_name *scratch; /* in arena: for sorting */
    uint32_t scratch_capacity;    /* room */
    uint32_t first[HF_JSON_DEPTH_MAX]; /* by depth: count as the container began */
};

static uint32_t written(const struct canonical *form)
{
    /* The form is never longer than the text, whose length fits 31 bits. */
    return (uint32_t)(form->out->size_bytes - form->out_first);
}

/* Writes the comma in front of what comes next in the container of this depth (0 = the text). */
static void separate(struct canonical *form, uint32_t depth)
{
    if (depth == 0) {
        return;
    }
    uint64_t level = 1ull << (depth - 1);
    if ((form->begun & level) != 0) {
        hf_buffer_u8(form->out, ',');
    }
    form->begun |= level;
}

static void write_string(struct canonical *form)
{
    const struct hf_json *json = &form->json;
    if (!json->escaped) {
        hf_buffer_bytes(form->out, json->start, json->raw.len + 2);
        return;
    }
    hf_buffer_u8(form->out, '"');
    const char *at = json->raw.ptr;
    const char *end = at + json->raw.len;
    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        const char *run_end = escape == NULL ? end : escape;
        hf_buffer_bytes(form->out, at, (size_t)(run_end - at));
        at = run_end;
        if (escape != NULL) {
            uint8_t bytes[4];
            size_t size = json_unescape_one(&at, bytes);
            json_write_escaped(form->out, (struct hf_str){(const char *)bytes, size});
        }
    }
    hf_buffer_u8(form->out, '"');
}

static bool keep_member(struct canonical *form)
{
    if (form->count == form->capacity) {
        uint32_t capacity = form->capacity;
        struct hf_json_name *names =
            json_names_grow(&form->arena, form->names, form->count, &capacity);
        uint32_t *starts = hf_arena_alloc(&form->arena, capacity * sizeof(*starts));
        if (names == NULL || starts == NULL) {
            return false;
        }
        if (form->count > 0) {
            memcpy(starts, form->starts, form->count * sizeof(*starts));
        }
        form->names = names;
        form->starts = starts;
        form->capacity = capacity;
    }
    form->names[form->count] = json_name_of(&form->json);
    form->names[form->count].member_index = form->count - form->first[form->json.depth - 1];
    form->starts[form->count] = written(form);
    form->count++;
    return true;
}

/* Rewrites the members' bytes in the order of the sorted names. */
static bool move_members(struct canonical *form, const struct hf_json_name *sorted,
                         const uint32_t *starts, uint32_t count)
{
    uint32_t end = written(form);
    uint8_t *base = form->out->data + form->out_first;
    hf_buffer_clear(&form->moved);
    if (!hf_buffer_reserve(&form->moved, end - starts[0])) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = sorted[i].member_index;
        uint32_t member_end = index + 1 < count ? starts[index + 1] - 1 : end;
        if (i > 0) {
            hf_buffer_u8(&form->moved, ',');
        }
        hf_buffer_bytes(&form->moved, base + starts[index], member_end - starts[index]);
    }
    HF_CHECK(form->moved.size_bytes == end - starts[0]);
    memcpy(base + starts[0], form->moved.data, form->moved.size_bytes);
    return true;
}

/* The object whose members begin at `first` ended: puts them in order and forgets them. */
static bool order_members(struct canonical *form, uint32_t first)
{
    uint32_t count = form->count - first;
    form->count = first;
    if (count < 2) {
        return true; /* names may be NULL */
    }
    struct hf_json_name *names = form->names + first;
    if (form->scratch_capacity < count) {
        uint32_t capacity = form->capacity / 2;
        form->scratch_capacity = 0;
        form->scratch = json_names_grow(&form->arena, NULL, 0, &capacity);
        if (form->scratch == NULL) {
            return false;
        }
        form->scratch_capacity = capacity;
    }
    json_names_sort(form->json.text, names, form->scratch, count);
    for (uint32_t i = 0; i < count; i++) {
        if (names[i].member_index != i) {
            return move_members(form, names, form->starts + first, count);
        }
    }
    return true;
}

/* Writes one token, of_name: the value of the name before it. false if memory is short. */
static bool write_token(struct canonical *form, enum hf_json_token token, bool of_name)
{
    struct hf_buffer *out = form->out;
    const struct hf_json *json = &form->json;
    switch (token) {
    case HF_JSON_NAME:
        separate(form, json->depth);
        if (!keep_member(form)) {
            return false;
        }
        write_string(form);
        hf_buffer_u8(out, ':');
        return !out->failed;
    case HF_JSON_OBJECT_END:
        if (!order_members(form, form->first[json->depth])) {
            return false;
        }
        hf_buffer_u8(out, '}');
        return !out->failed;
    case HF_JSON_ARRAY_END:
        hf_buffer_u8(out, ']');
        return !out->failed;
    case HF_JSON_OBJECT_BEGIN:
    case HF_JSON_ARRAY_BEGIN:
        if (!of_name) {
            separate(form, json->depth - 1);
        }
        form->begun &= ~(1ull << (json->depth - 1));
        form->first[json->depth - 1] = form->count;
        hf_buffer_bytes(out, json->raw.ptr, 1);
        return !out->failed;
    case HF_JSON_STRING:
    case HF_JSON_NUMBER:
    case HF_JSON_TRUE:
    case HF_JSON_FALSE:
    case HF_JSON_NULL:
        if (!of_name) {
            separate(form, json->depth);
        }
        if (token == HF_JSON_STRING) {
            write_string(form);
        } else {
            hf_buffer_bytes(out, json->raw.ptr, json->raw.len);
        }
        return !out->failed;
    case HF_JSON_NONE:
    case HF_JSON_END:
    case HF_JSON_ERROR:
        break;
    }
    HF_CHECK(false);
    return false;
}

bool hf_json_canonical(struct hf_str text, struct hf_buffer *out)
{
    if (!hf_buffer_reserve(out, text.len)) {
        return false;
    }
    struct canonical form = {.out = out, .out_first = out->size_bytes};
    hf_arena_init(&form.arena);
    hf_buffer_init(&form.moved);
    hf_json_init(&form.json, text, &form.arena);
    bool whole = true;
    bool of_name = false;
    while (whole) {
        enum hf_json_token token = hf_json_next(&form.json);
        if (token == HF_JSON_END) {
            break;
        }
        if (token == HF_JSON_ERROR) {
            HF_CHECK(form.json.error_code == HF_ERR_NO_MEMORY); /* else it was not validated */
            whole = false;
            break;
        }
        whole = write_token(&form, token, of_name);
        of_name = token == HF_JSON_NAME;
    }
    HF_CHECK(!whole || out->size_bytes - form.out_first <= text.len);
    hf_buffer_release(&form.moved);
    hf_arena_release(&form.arena);
    return whole;
}
