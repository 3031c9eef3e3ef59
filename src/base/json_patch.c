/*
 * Merge patch (RFC 7396) on texts.
 *
 * The patch is indexed once: for each of its objects an array of members in their order and the
 * same sorted by name. Then the target is walked by the reader, member by member; what the patch
 * doesn't name is copied as it stands. A stack of frames, one per object that is being written,
 * stands in for the recursion of the RFC.
 */
#include "base/json_priv.h"

#include "base/check.h"

struct patch_object;

struct patch_member {
    struct hf_str name_raw;      /* between the quotes, in the patch */
    struct hf_str value;         /* raw bytes; absent if the value is an object */
    struct patch_object *object; /* the value, if it is an object; else NULL */
    bool is_null;                /* removes */
    bool done;                   /* the target had it: not a new member */
};

struct patch_object {
    struct patch_member *members; /* in the patch's order */
    struct hf_json_name *sorted;  /* their names by order of names; member_index points back */
    uint32_t count;               /* of both */
};

/* Members whose object hasn't ended yet, outer objects first. */
struct pending {
    struct hf_json_name *names;        /* in the arena */
    struct patch_member *members;      /* in the arena, by the same index */
    uint32_t count;                    /* used */
    uint32_t capacity;                 /* room in both */
    uint32_t first[HF_JSON_DEPTH_MAX]; /* by depth: count as the object began */
};

/* An object that is being written. */
struct frame {
    struct patch_object *patch; /* what changes in it */
    uint32_t next;              /* member of the patch to look at, after the target's members */
    bool in_target;             /* the target's reader stands inside its object */
    bool begun;                 /* a member was written */
};

struct merge {
    struct hf_arena arena;                  /* everything here */
    struct hf_str patch_text;               /* names of the index point into it */
    struct hf_json target;                  /* reader; unused if the target is absent */
    struct hf_buffer *out;                  /* borrowed */
    uint32_t depth;                         /* open frames */
    struct frame frames[HF_JSON_DEPTH_MAX]; /* outermost first */
};

static bool pending_add(struct pending *pending, const struct hf_json *json)
{
    if (pending->count == pending->capacity) {
        uint32_t capacity = pending->capacity;
        struct hf_json_name *names =
            json_names_grow(json->arena, pending->names, pending->count, &capacity);
        struct patch_member *members =
            hf_arena_alloc(json->arena, (size_t)capacity * sizeof(*members));
        if (names == NULL || members == NULL) {
            return false;
        }
        if (pending->count > 0) {
            memcpy(members, pending->members, pending->count * sizeof(*members));
        }
        pending->names = names;
        pending->members = members;
        pending->capacity = capacity;
    }
    struct hf_json_name *name = &pending->names[pending->count];
    *name = json_name_of(json);
    name->member_index = pending->count - pending->first[json->depth - 1];
    pending->members[pending->count] = (struct patch_member){.name_raw = json->raw};
    pending->count++;
    return true;
}

/* The object that ended, made of its pending members; NULL if memory is short. */
static struct patch_object *pending_take(struct pending *pending, uint32_t first,
                                         const struct hf_json *json)
{
    uint32_t count = pending->count - first;
    struct hf_arena *arena = json->arena;
    struct patch_object *object = hf_arena_alloc(arena, sizeof(*object));
    if (object == NULL) {
        return NULL;
    }
    *object = (struct patch_object){.count = count};
    if (count == 0) {
        return object;
    }
    HF_CHECK(pending->members != NULL && pending->names != NULL);
    object->members = hf_arena_alloc(arena, count * sizeof(*object->members));
    object->sorted = hf_arena_alloc(arena, count * sizeof(*object->sorted));
    struct hf_json_name *scratch = hf_arena_alloc(arena, count * sizeof(*scratch));
    if (object->members == NULL || object->sorted == NULL || scratch == NULL) {
        return NULL;
    }
    memcpy(object->members, pending->members + first, count * sizeof(*object->members));
    memcpy(object->sorted, pending->names + first, count * sizeof(*object->sorted));
    json_names_sort(json->text, object->sorted, scratch, count);
    pending->count = first;
    return object;
}

/* Reads the value of the last pending member, unless it is an object. */
static bool read_patch_value(struct hf_json *json, struct pending *pending)
{
    struct patch_member *member = &pending->members[pending->count - 1];
    enum hf_json_token token = hf_json_next(json);
    if (token == HF_JSON_OBJECT_BEGIN) {
        pending->first[json->depth - 1] = pending->count;
        return true;
    }
    member->is_null = token == HF_JSON_NULL;
    return hf_json_skip(json, &member->value);
}

/* Indexes the object that json has just begun; NULL if memory is short. */
static struct patch_object *index_patch(struct hf_json *json)
{
    struct pending pending = {.count = 0};
    for (;;) {
        enum hf_json_token token = hf_json_next(json);
        if (token == HF_JSON_NAME) {
            if (!pending_add(&pending, json) || !read_patch_value(json, &pending)) {
                break;
            }
        } else if (token == HF_JSON_OBJECT_END) {
            struct patch_object *object = pending_take(&pending, pending.first[json->depth], json);
            if (object == NULL || json->depth == 0) {
                return object;
            }
            HF_CHECK(pending.count > 0 && pending.members != NULL);
            pending.members[pending.count - 1].object = object;
        } else {
            break;
        }
    }
    /* Only memory can be short: the text was validated. */
    HF_CHECK(json->token != HF_JSON_ERROR || json->error_code == HF_ERR_NO_MEMORY);
    return NULL;
}

/* The patch's member of the name that the target's reader has just read, or NULL. */
static struct patch_member *find(const struct merge *merge, const struct patch_object *object)
{
    struct hf_json_name wanted = json_name_of(&merge->target);
    uint32_t low = 0;
    uint32_t high = object->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct hf_json_name *name = &object->sorted[middle];
        int order =
            json_name_compare_across(merge->target.text, &wanted, merge->patch_text.ptr, name);
        if (order == 0) {
            return &object->members[name->member_index];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

static void push(struct merge *merge, struct patch_object *patch, bool in_target)
{
    HF_CHECK(merge->depth < HF_JSON_DEPTH_MAX);
    merge->frames[merge->depth++] = (struct frame){.patch = patch, .in_target = in_target};
    hf_buffer_u8(merge->out, '{');
}

static void write_name(struct merge *merge, struct frame *frame, struct hf_str name_raw)
{
    hf_buffer_text(merge->out, frame->begun ? ",\"" : "\"");
    hf_buffer_bytes(merge->out, name_raw.ptr, name_raw.len);
    hf_buffer_text(merge->out, "\":");
    frame->begun = true;
}

static void write_raw(struct merge *merge, struct hf_str raw)
{
    hf_buffer_bytes(merge->out, raw.ptr, raw.len);
}

/* The next member of the target in this frame. false if memory is short. */
static bool step_in_target(struct merge *merge, struct frame *frame)
{
    struct hf_json *target = &merge->target;
    enum hf_json_token token = hf_json_next(target);
    if (token == HF_JSON_OBJECT_END) {
        frame->in_target = false;
        return true;
    }
    if (token != HF_JSON_NAME) {
        return false;
    }
    struct hf_str name_raw = target->raw;
    struct patch_member *member = find(merge, frame->patch);
    struct hf_str value;
    if (member == NULL) {
        write_name(merge, frame, name_raw);
        bool whole = hf_json_skip(target, &value);
        write_raw(merge, value);
        return whole;
    }
    member->done = true;
    if (member->object != NULL && hf_json_next(target) == HF_JSON_OBJECT_BEGIN &&
        member->object->count > 0) {
        write_name(merge, frame, name_raw);
        push(merge, member->object, true);
        return true;
    }
    bool was_object = target->token == HF_JSON_OBJECT_BEGIN;
    if (!hf_json_skip(target, &value)) {
        return false;
    }
    if (member->is_null) {
        return true;
    }
    write_name(merge, frame, name_raw);
    if (member->object == NULL) {
        write_raw(merge, member->value);
    } else if (was_object) {
        write_raw(merge, value); /* the patch {} leaves it as it is */
    } else {
        push(merge, member->object, false);
    }
    return true;
}

/* The next member of the patch that the target didn't have; at the last one the frame ends. */
static void step_in_patch(struct merge *merge, struct frame *frame)
{
    if (frame->next == frame->patch->count) {
        hf_buffer_u8(merge->out, '}');
        merge->depth--;
        return;
    }
    struct patch_member *member = &frame->patch->members[frame->next++];
    if (member->done || member->is_null) {
        return;
    }
    write_name(merge, frame, member->name_raw);
    if (member->object != NULL) {
        push(merge, member->object, false);
    } else {
        write_raw(merge, member->value);
    }
}

/* Merges, everything being initialised; false if memory is short. */
static bool run(struct merge *merge, struct hf_json *patch, bool target_present)
{
    if (hf_json_next(patch) != HF_JSON_OBJECT_BEGIN) {
        struct hf_str value;
        bool whole = hf_json_skip(patch, &value);
        write_raw(merge, value);
        return whole;
    }
    struct patch_object *object = index_patch(patch);
    if (object == NULL) {
        return false;
    }
    bool is_object = target_present && hf_json_next(&merge->target) == HF_JSON_OBJECT_BEGIN;
    if (is_object && object->count == 0) {
        struct hf_str value;
        bool whole = hf_json_skip(&merge->target, &value);
        write_raw(merge, value);
        return whole;
    }
    push(merge, object, is_object);
    while (merge->depth > 0) {
        struct frame *frame = &merge->frames[merge->depth - 1];
        if (!frame->in_target) {
            step_in_patch(merge, frame);
        } else if (!step_in_target(merge, frame)) {
            return false;
        }
    }
    return true;
}

bool hf_json_merge_patch(struct hf_str target, struct hf_str patch, struct hf_buffer *out)
{
    struct merge merge;
    hf_arena_init(&merge.arena);
    merge.patch_text = patch;
    merge.out = out;
    merge.depth = 0;
    hf_json_init(&merge.target, target, &merge.arena);
    struct hf_json reader;
    hf_json_init(&reader, patch, &merge.arena);
    bool whole = run(&merge, &reader, hf_str_present(target));
    if (!whole) {
        /* Both texts were validated, so there is no other reason. */
        HF_CHECK(reader.token != HF_JSON_ERROR || reader.error_code == HF_ERR_NO_MEMORY);
        HF_CHECK(merge.target.token != HF_JSON_ERROR ||
                 merge.target.error_code == HF_ERR_NO_MEMORY);
    }
    hf_arena_release(&merge.arena);
    return whole && !out->failed;
}
