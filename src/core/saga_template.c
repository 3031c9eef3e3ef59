/* Templates: from a definition's text to what is sent. */
#include "base/json.h"
#include "core/saga_definition.h"

struct rendering {
    const struct hf_saga_scope *scope;
    size_t most; /* bytes that may still be appended */
    struct hf_buffer *out;
    struct hf_arena arena; /* of the readers */
    struct hf_buffer saga; /* {"id":…}, once it was asked for */
    struct hf_json json;   /* in the template's text */
    uint32_t depth;        /* of the place in the template */
    struct hf_str missing; /* the pointer of a $join that found nothing to join */
};

/* Memory that was short in a reader of texts that are valid. */
static bool is_short(const struct hf_json *json)
{
    return json->token == HF_JSON_ERROR && hf_json_error(json, NULL) == HF_ERR_NO_MEMORY;
}

static enum hf_render put(struct rendering *r, struct hf_str text)
{
    if (text.len > r->most) {
        return HF_RENDER_TOO_LARGE;
    }
    r->most -= text.len;
    hf_buffer_bytes(r->out, text.ptr, text.len);
    return r->out->failed ? HF_RENDER_NO_MEMORY : HF_RENDER_OK;
}

/* ---- looking up ---- */

/* Takes "/step" off a pointer, escapes undone, into token. */
static struct hf_str take_token(struct hf_str *pointer, char token[HF_SAGA_POINTER_BYTES_MAX])
{
    size_t at = 1;
    size_t len = 0;
    while (at < pointer->len && pointer->ptr[at] != '/') {
        char c = pointer->ptr[at++];
        if (c == '~') {
            c = pointer->ptr[at++] == '0' ? '~' : '/';
        }
        token[len++] = c;
    }
    *pointer = (struct hf_str){pointer->ptr + at, pointer->len - at};
    return (struct hf_str){token, len};
}

/* "0", "17": the index; false for another text, and for what no array of ours can have. */
static bool index_of(struct hf_str token, uint32_t *index)
{
    uint64_t value = 0;
    if (token.len == 0 || token.len > 9 || (token.len > 1 && token.ptr[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < token.len; i++) {
        if (token.ptr[i] < '0' || token.ptr[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(token.ptr[i] - '0');
    }
    *index = (uint32_t)value;
    return true;
}

/* The member or item of that name in a value; absent: there is none. */
static enum hf_render descend(struct rendering *r, struct hf_str token, struct hf_str *value)
{
    struct hf_json json;
    struct hf_str found = HF_STR_NONE;
    uint32_t index;
    hf_json_init(&json, *value, &r->arena);
    enum hf_json_token first = hf_json_next(&json);
    if (first == HF_JSON_OBJECT_BEGIN) {
        while (!hf_str_present(found) && hf_json_next(&json) == HF_JSON_NAME) {
            bool is = hf_json_is(&json, token);
            struct hf_str raw;
            if (hf_json_skip(&json, &raw) && is) {
                found = raw;
            }
        }
    } else if (first == HF_JSON_ARRAY_BEGIN && index_of(token, &index)) {
        enum hf_json_token item = hf_json_next(&json);
        for (uint32_t i = 0; i < index && item != HF_JSON_ARRAY_END && item != HF_JSON_ERROR; i++) {
            item = hf_json_skip(&json, NULL) ? hf_json_next(&json) : HF_JSON_ERROR;
        }
        if (item != HF_JSON_ARRAY_END && item != HF_JSON_ERROR) {
            (void)hf_json_skip(&json, &found);
        }
    }
    *value = found;
    return is_short(&json) ? HF_RENDER_NO_MEMORY : HF_RENDER_OK;
}

static void write_member(struct hf_buffer *to, const char *name, struct hf_str text)
{
    hf_buffer_text(to, name);
    if (hf_str_present(text)) {
        hf_json_write_string(to, text);
    } else {
        hf_buffer_text(to, "null");
    }
}

static struct hf_str saga_text(struct rendering *r)
{
    const struct hf_saga_scope *scope = r->scope;
    if (r->saga.size_bytes == 0) {
        write_member(&r->saga, "{\"id\":", scope->saga_id);
        write_member(&r->saga, ",\"definition\":", scope->definition_name);
        hf_buffer_format(&r->saga, ",\"version\":%llu",
                         (unsigned long long)scope->definition_version);
        write_member(&r->saga, ",\"business_key\":", scope->business_key);
        hf_buffer_text(&r->saga, "}");
    }
    return (struct hf_str){(const char *)r->saga.data, r->saga.size_bytes};
}

/* What the pointer finds; absent: nothing. */
static enum hf_render look_up(struct rendering *r, struct hf_str pointer, struct hf_str *value)
{
    const struct hf_saga_scope *scope = r->scope;
    char token[HF_SAGA_POINTER_BYTES_MAX];
    struct hf_str root = take_token(&pointer, token);
    *value = scope->input;
    if (hf_str_equal(root, HF_STR("saga"))) {
        *value = saga_text(r);
        if (r->saga.failed) {
            return HF_RENDER_NO_MEMORY;
        }
    } else if (hf_str_equal(root, HF_STR("steps"))) {
        uint32_t step = hf_saga_definition_step(scope->definition, take_token(&pointer, token));
        *value = scope->results == NULL || step == UINT32_MAX ? HF_STR_NONE : scope->results[step];
    }
    while (hf_str_present(*value) && pointer.len > 0) {
        enum hf_render outcome = descend(r, take_token(&pointer, token), value);
        if (outcome != HF_RENDER_OK) {
            return outcome;
        }
    }
    return HF_RENDER_OK;
}

/* ---- replacing ---- */

/* Does the value stand too deep here? */
static enum hf_render check_depth(struct rendering *r, struct hf_str value)
{
    struct hf_json json;
    uint32_t depth = r->depth;
    hf_json_init(&json, value, &r->arena);
    for (;;) {
        enum hf_json_token token = hf_json_next(&json);
        if (token == HF_JSON_END) {
            return HF_RENDER_OK;
        }
        if (token == HF_JSON_ERROR) {
            return HF_RENDER_NO_MEMORY;
        }
        depth += token == HF_JSON_OBJECT_BEGIN || token == HF_JSON_ARRAY_BEGIN;
        depth -= token == HF_JSON_OBJECT_END || token == HF_JSON_ARRAY_END;
        if (depth > HF_JSON_DEPTH_MAX) {
            return HF_RENDER_TOO_LARGE;
        }
    }
}

/* The pointer that comes next, and what it finds; passes the end of its object. *raw: the pointer in the template's text. */
static enum hf_render take_copy(struct rendering *r, struct hf_str *raw, struct hf_str *value)
{
    (void)hf_json_next(&r->json);
    *raw = r->json.raw;
    struct hf_str pointer = hf_json_string(&r->json, &r->arena);
    if (!hf_str_present(pointer) || hf_json_next(&r->json) != HF_JSON_OBJECT_END) {
        return HF_RENDER_NO_MEMORY;
    }
    return look_up(r, pointer, value);
}

static enum hf_render copy(struct rendering *r)
{
    struct hf_str raw;
    struct hf_str value;
    enum hf_render outcome = take_copy(r, &raw, &value);
    if (outcome != HF_RENDER_OK) {
        return outcome;
    }
    if (!hf_str_present(value)) {
        return put(r, HF_STR("null"));
    }
    outcome = check_depth(r, value);
    return outcome == HF_RENDER_OK ? put(r, value) : outcome;
}

/* The characters of a string or an integer, escaped as they are. false: it is another value. */
static bool joined(struct hf_str value, struct hf_str *characters)
{
    size_t at = 0;
    while (at < value.len && strchr(" \t\r\n", value.ptr[at]) != NULL) {
        at++;
    }
    while (value.len > at && strchr(" \t\r\n", value.ptr[value.len - 1]) != NULL) {
        value.len--;
    }
    value = (struct hf_str){value.ptr + at, value.len - at};
    if (value.len >= 2 && value.ptr[0] == '"') {
        *characters = (struct hf_str){value.ptr + 1, value.len - 2};
        return true;
    }
    *characters = value;
    bool integer = value.len > 0;
    for (size_t i = 0; integer && i < value.len; i++) {
        bool digit = value.ptr[i] >= '0' && value.ptr[i] <= '9';
        integer = digit || (i == 0 && value.len > 1 && value.ptr[0] == '-');
    }
    return integer;
}

static enum hf_render join(struct rendering *r)
{
    (void)hf_json_next(&r->json);
    enum hf_render outcome = put(r, HF_STR("\""));
    while (outcome == HF_RENDER_OK) {
        struct hf_str characters;
        enum hf_json_token token = hf_json_next(&r->json);
        if (token == HF_JSON_ARRAY_END) {
            break;
        }
        if (token == HF_JSON_ERROR) {
            return HF_RENDER_NO_MEMORY;
        }
        if (token == HF_JSON_OBJECT_BEGIN) {
            struct hf_str raw;
            struct hf_str value;
            (void)hf_json_next(&r->json);
            outcome = take_copy(r, &raw, &value);
            if (outcome == HF_RENDER_OK && !(hf_str_present(value) && joined(value, &characters))) {
                r->missing = raw;
                outcome = HF_RENDER_MISSING;
            }
        } else {
            characters = r->json.raw;
        }
        outcome = outcome == HF_RENDER_OK ? put(r, characters) : outcome;
    }
    (void)hf_json_next(&r->json);
    return outcome == HF_RENDER_OK ? put(r, HF_STR("\"")) : outcome;
}

/* Copies the template's text, with what stands between for each template in it. */
static enum hf_render render(struct rendering *r, struct hf_str text)
{
    const char *copied = text.ptr;
    enum hf_render outcome = HF_RENDER_OK;
    hf_json_init(&r->json, text, &r->arena);
    enum hf_json_token token = hf_json_next(&r->json);
    while (outcome == HF_RENDER_OK && token != HF_JSON_END) {
        if (token == HF_JSON_ERROR) {
            return HF_RENDER_NO_MEMORY; /* the text was validated when it was stored */
        }
        if (token != HF_JSON_OBJECT_BEGIN) {
            r->depth += token == HF_JSON_ARRAY_BEGIN;
            r->depth -= token == HF_JSON_ARRAY_END || token == HF_JSON_OBJECT_END;
            token = hf_json_next(&r->json);
            continue;
        }
        const char *start = r->json.start;
        token = hf_json_next(&r->json);
        bool one = token == HF_JSON_NAME && hf_json_is(&r->json, HF_STR("$"));
        bool many = token == HF_JSON_NAME && hf_json_is(&r->json, HF_STR("$join"));
        if (!one && !many) {
            r->depth++;
            continue;
        }
        outcome = put(r, (struct hf_str){copied, (size_t)(start - copied)});
        if (outcome == HF_RENDER_OK) {
            outcome = one ? copy(r) : join(r);
            copied = r->json.raw.ptr + r->json.raw.len;
            token = hf_json_next(&r->json);
        }
    }
    return outcome == HF_RENDER_OK
               ? put(r, (struct hf_str){copied, (size_t)(text.ptr + text.len - copied)})
               : outcome;
}

enum hf_render hf_template_render(const struct hf_template *template_,
                                  const struct hf_saga_scope *scope, size_t most,
                                  struct hf_buffer *out, struct hf_str *what)
{
    struct rendering rendering = {.scope = scope, .most = most, .out = out};
    hf_arena_init(&rendering.arena);
    hf_buffer_init(&rendering.saga);
    enum hf_render outcome = template_->constant ? put(&rendering, template_->text)
                                                 : render(&rendering, template_->text);
    *what = rendering.missing;
    hf_buffer_release(&rendering.saga);
    hf_arena_release(&rendering.arena);
    return outcome;
}
