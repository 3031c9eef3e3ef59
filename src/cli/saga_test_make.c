#include "base/json.h"
#include "cli/json_view.h"
#include "cli/saga_test.h"

#include "api/json_write.h"

#define CALL "{\"url\":\"http://participant.invalid/\"}"

static struct hf_str keep(struct hf_buffer *text, struct hf_arena *arena)
{
    struct hf_str copy = HF_STR_NONE;
    if (!text->failed) {
        copy = hf_arena_copy(arena, (struct hf_str){(const char *)text->data, text->size_bytes});
    }
    hf_buffer_release(text);
    return copy;
}

/* ---- steps ---- */

static bool has_member(struct hf_str object, const char *name, struct hf_arena *arena)
{
    struct hf_json_object view;
    return hf_json_view_object(object, arena, &view) && hf_json_view_member(&view, name) != NULL;
}

static void put_step(struct hf_json_writer *w, struct hf_str raw, struct hf_arena *arena)
{
    struct hf_json_object step;
    if (!hf_json_view_object(raw, arena, &step)) {
        w->to->failed = true;
        return;
    }
    hf_json_begin_object(w, NULL);
    for (size_t i = 0; i < step.count; i++) {
        const struct hf_json_member *member = &step.members[i];
        char name[32];
        (void)snprintf(name, sizeof(name), "%.*s", (int)member->name.len, member->name.ptr);
        bool call = strcmp(name, "action") == 0 || strcmp(name, "compensation") == 0;
        bool waits = call && has_member(member->value.raw, "event", arena);
        bool ours = waits || (call && has_member(member->value.raw, "do", arena));
        hf_json_put_raw(w, name, ours ? HF_STR(CALL) : member->value.raw);
        if (waits) {
            hf_json_put_raw(w, "async", HF_STR("{\"mode\":\"callback\"}"));
        }
    }
    hf_json_end_object(w);
}

struct hf_str hf_saga_test_rewrite(struct hf_str definition, struct hf_arena *arena)
{
    struct hf_json_object whole;
    struct hf_buffer text;
    hf_buffer_init(&text);
    struct hf_json_writer w = hf_json_writer_over(&text);
    if (!hf_json_view_object(definition, arena, &whole)) {
        return HF_STR_NONE;
    }
    hf_json_begin_object(&w, NULL);
    for (size_t i = 0; i < whole.count; i++) {
        struct hf_json_array steps;
        char name[32];
        (void)snprintf(name, sizeof(name), "%.*s", (int)whole.members[i].name.len,
                       whole.members[i].name.ptr);
        struct hf_str raw = whole.members[i].value.raw;
        if (strcmp(name, "steps") != 0 || !hf_json_view_array(raw, arena, &steps)) {
            hf_json_put_raw(&w, name, raw);
            continue;
        }
        hf_json_begin_array(&w, name);
        for (size_t n = 0; n < steps.count; n++) {
            put_step(&w, steps.items[n].raw, arena);
        }
        hf_json_end_array(&w);
    }
    hf_json_end_object(&w);
    return keep(&text, arena);
}

/* ---- input and results ---- */

#define POINTERS_MAX 512
#define DEPTH_MAX    16 /* of a pointer; a deeper one is cut */

struct pointers {
    struct hf_str items[POINTERS_MAX]; /* behind the root: "/order/id"; sorted, each once */
    size_t count;
};

/* Does the pointer lead below the root? *rest is what stands behind it. */
static bool is_below(struct hf_str pointer, struct hf_str root, struct hf_str *rest)
{
    if (pointer.len <= root.len || memcmp(pointer.ptr, root.ptr, root.len) != 0 ||
        pointer.ptr[root.len] != '/') {
        return false;
    }
    *rest = (struct hf_str){pointer.ptr + root.len, pointer.len - root.len};
    return true;
}

static void add_pointer(struct pointers *pointers, struct hf_str rest)
{
    size_t at = 0;
    while (at < pointers->count && hf_str_compare(pointers->items[at], rest) < 0) {
        at++;
    }
    bool there = at < pointers->count && hf_str_equal(pointers->items[at], rest);
    if (there || pointers->count == POINTERS_MAX) {
        return;
    }
    memmove(&pointers->items[at + 1], &pointers->items[at],
            (pointers->count - at) * sizeof(pointers->items[0]));
    pointers->items[at] = rest;
    pointers->count++;
}

/* Every string that is the value of a member "$". */
static void find_pointers(struct hf_str definition, struct hf_str root, struct hf_arena *arena,
                          struct pointers *pointers)
{
    struct hf_json json;
    bool named = false;
    hf_json_init(&json, definition, arena);
    for (;;) {
        enum hf_json_token token = hf_json_next(&json);
        if (token == HF_JSON_END || token == HF_JSON_ERROR) {
            return;
        }
        struct hf_str rest;
        if (token == HF_JSON_STRING && named) {
            struct hf_str pointer = hf_json_string(&json, arena);
            if (hf_str_present(pointer) && is_below(pointer, root, &rest)) {
                add_pointer(pointers, rest);
            }
        }
        named = token == HF_JSON_NAME && hf_json_is(&json, HF_STR("$"));
    }
}

/* The step of a pointer at a depth: "/a/b" has "a" and "b". false: it ends before. */
static bool segment_at(struct hf_str pointer, size_t depth, struct hf_str *segment)
{
    const char *at = pointer.ptr;
    const char *end = pointer.ptr + pointer.len;
    for (size_t i = 0; at < end; i++) {
        const char *begin = at + 1;
        const char *slash = memchr(begin, '/', (size_t)(end - begin));
        at = slash == NULL ? end : slash;
        if (i == depth) {
            *segment = (struct hf_str){begin, (size_t)(at - begin)};
            return true;
        }
    }
    return false;
}

/* "~1" is '/', "~0" is '~'. */
static void put_name(struct hf_buffer *to, struct hf_str segment)
{
    char plain[256];
    size_t used = 0;
    for (size_t i = 0; i < segment.len && used < sizeof(plain); i++) {
        bool escaped = segment.ptr[i] == '~' && i + 1 < segment.len;
        plain[used++] = !escaped ? segment.ptr[i] : segment.ptr[i + 1] == '1' ? '/' : '~';
        i += escaped;
    }
    hf_json_write_string(to, (struct hf_str){plain, used});
}

static bool all_zero(struct hf_str segment)
{
    return segment.len == 1 && segment.ptr[0] == '0';
}

/* How many pointers from `first` on have the same step at this depth. */
static size_t same_step(const struct pointers *pointers, size_t first, size_t end, size_t depth)
{
    struct hf_str segment;
    struct hf_str other;
    size_t at = first + 1;
    if (!segment_at(pointers->items[first], depth, &segment)) {
        return 1;
    }
    while (at < end && segment_at(pointers->items[at], depth, &other) &&
           hf_str_equal(segment, other)) {
        at++;
    }
    return at - first;
}

/* The value that pointers first … end - 1 lead into; they share the steps above depth. It calls itself at most DEPTH_MAX deep. */
static void put_value(struct hf_buffer *to, const struct pointers *pointers, size_t first,
                      size_t end, size_t depth)
{
    struct hf_str segment;
    size_t at = first;
    while (at < end && !segment_at(pointers->items[at], depth, &segment)) {
        at++; /* one that ends here; others may lead below */
    }
    if (at == end || depth == DEPTH_MAX) {
        hf_buffer_text(to, "\"x\"");
        return;
    }
    bool list = all_zero(segment);
    hf_buffer_u8(to, list ? '[' : '{');
    for (bool comma = false; at < end; comma = true) {
        size_t count = same_step(pointers, at, end, depth);
        (void)segment_at(pointers->items[at], depth, &segment);
        hf_buffer_text(to, comma ? "," : "");
        if (!list) {
            put_name(to, segment);
            hf_buffer_u8(to, ':');
        }
        put_value(to, pointers, at, at + count, depth + 1);
        at += count;
    }
    hf_buffer_u8(to, list ? ']' : '}');
}

struct hf_str hf_saga_test_make_up(struct hf_str definition, struct hf_str root,
                                   struct hf_arena *arena)
{
    struct pointers *pointers = hf_arena_alloc_zero(arena, 1, sizeof(*pointers));
    struct hf_buffer text;
    if (pointers == NULL) {
        return HF_STR_NONE;
    }
    find_pointers(definition, root, arena, pointers);
    hf_buffer_init(&text);
    if (pointers->count == 0) {
        hf_buffer_text(&text, "{}");
    } else {
        put_value(&text, pointers, 0, pointers->count, 0);
    }
    return keep(&text, arena);
}
