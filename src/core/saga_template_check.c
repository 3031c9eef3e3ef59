/* Templates: what is one, and what it copies from. */
#include "core/saga_definition_priv.h"

/* A container that is open around the place that is looked at. */
struct open {
    bool array;
    uint32_t index;     /* array: of the item that is next */
    struct hf_str name; /* object: of the member that is looked at */
};

struct checking {
    struct hf_saga_parsing *parsing;
    struct hf_json json;
    struct hf_template *to;
    uint64_t sources; /* steps whose results may be copied */
    uint32_t depth;
    struct open open[HF_JSON_DEPTH_MAX];
};

/* The pointer is made only now. */
static bool refuse(struct checking *c, const char *what)
{
    char *place = c->parsing->place;
    if (c->json.token == HF_JSON_ERROR) {
        return hf_saga_short_memory(c->parsing); /* the text was validated as a whole */
    }
    for (uint32_t i = 0; i < c->depth; i++) {
        const struct open *open = &c->open[i];
        if (open->array) {
            (void)hf_place_enter_index(place, open->index > 0 ? open->index - 1 : 0);
        } else if (hf_str_present(open->name)) {
            (void)hf_place_enter_name(place, open->name);
        }
    }
    return hf_saga_refuse(c->parsing, NULL, "%s", what);
}

static bool is_digits(struct hf_str text)
{
    size_t at = text.len > 0 && text.ptr[0] == '-' ? 1 : 0;
    for (size_t i = at; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
    }
    return text.len > at;
}

/* ---- pointers ---- */

/* Takes "/step" off, escapes left as they are. */
static struct hf_str take_token(struct hf_str *pointer)
{
    size_t len = 1;
    while (len < pointer->len && pointer->ptr[len] != '/') {
        len++;
    }
    struct hf_str token = {pointer->ptr + 1, len - 1};
    *pointer = (struct hf_str){pointer->ptr + len, pointer->len - len};
    return token;
}

static bool well_formed(struct hf_str pointer)
{
    for (size_t i = 0; i < pointer.len; i++) {
        if (pointer.ptr[i] == '~' &&
            (i + 1 == pointer.len || (pointer.ptr[i + 1] != '0' && pointer.ptr[i + 1] != '1'))) {
            return false;
        }
    }
    return pointer.len > 0 && pointer.ptr[0] == '/' && pointer.len <= HF_SAGA_POINTER_BYTES_MAX;
}

static bool check_saga(struct checking *c, struct hf_str rest)
{
    static const char *const members[] = {"", "/id", "/definition", "/version", "/business_key"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(members); i++) {
        if (hf_str_equal(rest, hf_str_from(members[i]))) {
            return true;
        }
    }
    return refuse(c, "/saga has the members id, definition, version and business_key");
}

static bool check_result(struct checking *c, struct hf_str rest)
{
    if (rest.len == 0) {
        return refuse(c, "which step's result? /steps/<name>…");
    }
    uint32_t step = hf_saga_definition_step(c->parsing->definition, take_token(&rest));
    if (step == UINT32_MAX) {
        return refuse(c, "there is no step of that name");
    }
    if ((c->sources >> step & 1) == 0) {
        return refuse(c, c->sources == 0
                             ? "what comes before the first step copies from /input and /saga alone"
                             : "only results of steps that always come before can be copied");
    }
    c->to->steps |= UINT64_C(1) << step;
    return true;
}

/* The current token is the name "$". */
static bool check_copy(struct checking *c)
{
    if (hf_json_next(&c->json) != HF_JSON_STRING) {
        return refuse(c, "$ takes a JSON pointer, for example {\"$\":\"/input/order\"}");
    }
    struct hf_str pointer = hf_json_string(&c->json, c->parsing->arena);
    if (!hf_str_present(pointer)) {
        return hf_saga_short_memory(c->parsing);
    }
    if (!well_formed(pointer)) {
        return refuse(c, "this is no JSON pointer of at most 1,024 bytes: /input/…, /saga/… or "
                         "/steps/<name>/…");
    }
    struct hf_str rest = pointer;
    struct hf_str root = take_token(&rest);
    c->to->constant = false;
    if (hf_str_equal(root, HF_STR("input"))) {
        c->to->input = true;
    } else if (hf_str_equal(root, HF_STR("saga"))) {
        if (!check_saga(c, rest)) {
            return false;
        }
    } else if (hf_str_equal(root, HF_STR("steps"))) {
        if (!check_result(c, rest)) {
            return false;
        }
    } else {
        return refuse(c, "templates copy from /input, /saga and /steps/<name>");
    }
    return hf_json_next(&c->json) == HF_JSON_OBJECT_END ||
           refuse(c, "an object with $ has no other member");
}

/* The current token is the name "$join". */
static bool check_join(struct checking *c)
{
    uint32_t count = 0;
    if (hf_json_next(&c->json) != HF_JSON_ARRAY_BEGIN) {
        return refuse(c, "$join takes an array");
    }
    c->to->constant = false;
    for (;; count++) {
        enum hf_json_token token = hf_json_next(&c->json);
        if (token == HF_JSON_ARRAY_END) {
            break;
        }
        if (token == HF_JSON_OBJECT_BEGIN) {
            if (hf_json_next(&c->json) != HF_JSON_NAME || !hf_json_is(&c->json, HF_STR("$"))) {
                return refuse(c, "$join takes strings, integers and {\"$\":…}");
            }
            if (!check_copy(c)) {
                return false;
            }
        } else if (token != HF_JSON_STRING &&
                   !(token == HF_JSON_NUMBER && is_digits(c->json.raw))) {
            return refuse(c, "$join takes strings, integers and {\"$\":…}");
        }
    }
    if (count == 0) {
        return refuse(c, "$join of nothing");
    }
    return hf_json_next(&c->json) == HF_JSON_OBJECT_END ||
           refuse(c, "an object with $join has no other member");
}

/* ---- values ---- */

/* A value begins: it is an array's next item, or a member's. */
static void begin_value(struct checking *c)
{
    if (c->depth > 0 && c->open[c->depth - 1].array) {
        c->open[c->depth - 1].index++;
    }
}

/* The current token is a name; *whole: the object that it stands in was a template and is passed. */
static bool check_name(struct checking *c, bool first, bool *whole)
{
    bool copy = hf_json_is(&c->json, HF_STR("$"));
    bool join = hf_json_is(&c->json, HF_STR("$join"));
    *whole = copy || join;
    c->open[c->depth - 1].name = hf_json_string(&c->json, c->parsing->arena);
    if (!hf_str_present(c->open[c->depth - 1].name)) {
        return hf_saga_short_memory(c->parsing);
    }
    if (!*whole) {
        return true;
    }
    if (!first) {
        return refuse(c, "an object with $ or $join has no other member");
    }
    return copy ? check_copy(c) : check_join(c);
}

bool hf_saga_take_template(struct hf_saga_parsing *p, struct hf_str json, uint64_t sources,
                           struct hf_template *to)
{
    struct checking checking = {.parsing = p, .to = to, .sources = sources};
    struct checking *c = &checking;
    *to = (struct hf_template){.text = json, .constant = true};
    hf_json_init(&c->json, json, p->arena);
    bool first = false; /* the name that comes is its object's first one */
    for (;;) {
        enum hf_json_token token = hf_json_next(&c->json);
        if (token == HF_JSON_END) {
            return true;
        }
        if (token == HF_JSON_ERROR) {
            return hf_saga_short_memory(p);
        }
        bool begins = token == HF_JSON_OBJECT_BEGIN || token == HF_JSON_ARRAY_BEGIN;
        bool whole = false;
        if (token == HF_JSON_NAME) {
            if (!check_name(c, first, &whole)) {
                return false;
            }
        } else if (token != HF_JSON_OBJECT_END && token != HF_JSON_ARRAY_END) {
            begin_value(c);
        }
        if (begins) {
            c->open[c->depth++] = (struct open){.array = token == HF_JSON_ARRAY_BEGIN};
        } else if (whole || token == HF_JSON_OBJECT_END || token == HF_JSON_ARRAY_END) {
            c->depth--;
        }
        first = token == HF_JSON_OBJECT_BEGIN;
    }
}

static bool begins_with(struct hf_str text, struct hf_str with)
{
    return text.len >= with.len && memcmp(text.ptr, with.ptr, with.len) == 0;
}

bool hf_template_is_join(struct hf_str text)
{
    return begins_with(text, HF_STR("{\"$join\":"));
}

bool hf_template_is_copy(struct hf_str text)
{
    return begins_with(text, HF_STR("{\"$\":")) || hf_template_is_join(text);
}
