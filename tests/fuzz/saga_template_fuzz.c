/*
 * Bytes, divided by 0xFF, as a template, the saga's input, and two values to compare. What renders is JSON, the same again, of the
 * size that was allowed and no byte less; comparing has an order.
 */
#include "base/check.h"
#include "core/saga_definition_priv.h"

#define RENDERED_BYTES_MAX 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct hf_str take_part(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *divider =
        *at == end ? NULL : (const uint8_t *)memchr(*at, 0xFF, (size_t)(end - *at));
    struct hf_str part = {(const char *)*at, (size_t)((divider == NULL ? end : divider) - *at)};
    *at = divider == NULL ? end : divider + 1;
    return part;
}

static bool is_json(struct hf_str text)
{
    return text.len > 0 && hf_json_validate(text, NULL) == HF_ERR_OK;
}

/* ---- rendering ---- */

static void check_sizes(const struct hf_template *template_, const struct hf_saga_scope *scope,
                        const struct hf_buffer *once)
{
    struct hf_buffer again;
    struct hf_str what;
    hf_buffer_init(&again);
    HF_CHECK(hf_template_render(template_, scope, once->size_bytes, &again, &what) == HF_RENDER_OK);
    HF_CHECK(again.size_bytes == once->size_bytes &&
             memcmp(again.data, once->data, again.size_bytes) == 0);
    hf_buffer_clear(&again);
    HF_CHECK(hf_template_render(template_, scope, once->size_bytes - 1, &again, &what) ==
             HF_RENDER_TOO_LARGE);
    hf_buffer_release(&again);
}

static void check_render(const struct hf_template *template_, const struct hf_saga_scope *scope)
{
    struct hf_buffer out;
    struct hf_str what;
    hf_buffer_init(&out);
    enum hf_render outcome = hf_template_render(template_, scope, RENDERED_BYTES_MAX, &out, &what);
    struct hf_str text = {(const char *)out.data, out.size_bytes};
    HF_CHECK(outcome != HF_RENDER_NO_MEMORY && out.size_bytes <= RENDERED_BYTES_MAX);
    HF_CHECK((outcome == HF_RENDER_MISSING) == hf_str_present(what));
    if (outcome == HF_RENDER_OK) {
        HF_CHECK(hf_json_validate(text, NULL) == HF_ERR_OK);
        HF_CHECK(!template_->constant || hf_str_equal(text, template_->text));
        check_sizes(template_, scope, &out);
    }
    hf_buffer_release(&out);
}

static void try_template(struct hf_str template_, struct hf_str input)
{
    struct hf_buffer json;
    struct hf_malformed malformed;
    struct hf_saga_definition definition;
    hf_buffer_init(&json);
    hf_buffer_text(&json,
                   "{\"steps\":[{\"name\":\"a\",\"action\":{}},"
                   "{\"name\":\"b\",\"after\":[\"a\"],\"action\":{\"url\":\"http://h\",\"body\":");
    hf_buffer_bytes(&json, template_.ptr, template_.len);
    hf_buffer_text(&json, "}}]}");
    struct hf_str text = {(const char *)json.data, json.size_bytes};
    if (hf_saga_definition_parse(&definition, text, &malformed)) {
        struct hf_str results[HF_SAGA_STEPS_MAX] = {input};
        struct hf_saga_scope scope = {.saga_id = HF_STR("s-1"),
                                      .definition_name = HF_STR("order"),
                                      .definition_version = 1,
                                      .business_key = HF_STR("\"\\\n"),
                                      .input = input,
                                      .definition = &definition,
                                      .results = results};
        uint32_t last = definition.step_count - 1; /* the bytes may have added steps */
        if (definition.steps[last].action.kind == HF_CALL_HTTP &&
            hf_str_present(definition.steps[last].action.body.text)) {
            check_render(&definition.steps[last].action.body, &scope);
        }
        hf_saga_definition_release(&definition);
    }
    hf_buffer_release(&json);
}

/* ---- comparing ---- */

static bool is(struct hf_str a, enum hf_saga_compare compare, struct hf_str b)
{
    bool short_memory = false;
    bool holds = hf_saga_compares(a, compare, b, &short_memory);
    HF_CHECK(!short_memory);
    return holds;
}

static void check_compare(struct hf_str a, struct hf_str b)
{
    bool equal = is(a, HF_WHEN_EQ, b);
    bool less = is(a, HF_WHEN_LT, b);
    bool greater = is(a, HF_WHEN_GT, b);
    HF_CHECK(equal + less + greater <= 1);
    HF_CHECK(is(a, HF_WHEN_NE, b) == !equal);
    HF_CHECK(is(a, HF_WHEN_LTE, b) == (equal || less));
    HF_CHECK(is(a, HF_WHEN_GTE, b) == (equal || greater));
    HF_CHECK(is(b, HF_WHEN_EQ, a) == equal);
    HF_CHECK(is(b, HF_WHEN_GT, a) == less);
    HF_CHECK(is(b, HF_WHEN_LT, a) == greater);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *at = data;
    const uint8_t *end = data + size;
    struct hf_str template_ = take_part(&at, end);
    struct hf_str input = take_part(&at, end);
    struct hf_str a = take_part(&at, end);
    struct hf_str b = take_part(&at, end);
    try_template(template_, is_json(input) ? input : HF_STR_NONE);
    if (is_json(a) && is_json(b)) {
        check_compare(a, b);
    }
    return 0;
}
