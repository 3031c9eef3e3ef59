/*
 * Bytes as a saga's definition. Whatever is refused is refused with a place and words; what is taken has one form, which is taken
 * again as it is, its order is one, and all its templates render to JSON of bounded size.
 */
#include "base/check.h"
#include "base/json.h"
#include "base/url.h"
#include "core/saga_definition.h"

#define RENDERED_BYTES_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(const struct hf_malformed *malformed)
{
    HF_CHECK(malformed->code == HF_ERR_INVALID_REQUEST || malformed->code == HF_ERR_TOO_LARGE);
    HF_CHECK(malformed->text[0] != '\0');
    HF_CHECK(malformed->pointer[0] == '/' || malformed->pointer[0] == '\0');
    HF_CHECK(memchr(malformed->pointer, '\0', sizeof(malformed->pointer)) != NULL);
}

static void check_order(const struct hf_saga_definition *definition)
{
    HF_CHECK(definition->step_count > 0 && definition->step_count <= HF_SAGA_STEPS_MAX);
    for (uint32_t i = 0; i < definition->step_count; i++) {
        const struct hf_saga_step_definition *step = &definition->steps[i];
        HF_CHECK(hf_saga_definition_step(definition, step->name) == i);
        HF_CHECK((step->before >> i & 1) == 0 && (step->after & ~step->before) == 0);
        for (uint32_t j = 0; j < definition->step_count; j++) {
            bool before = (step->before >> j & 1) != 0;
            HF_CHECK(!before || (definition->steps[j].before & ~step->before) == 0);
            HF_CHECK(!before || !definition->steps[j].pivot ||
                     step->compensation.kind == HF_CALL_NONE);
        }
    }
}

static void check_template(const struct hf_template *template_, const struct hf_saga_scope *scope)
{
    struct hf_buffer out;
    struct hf_str what;
    hf_buffer_init(&out);
    if (hf_str_present(template_->text) &&
        hf_template_render(template_, scope, RENDERED_BYTES_MAX, &out, &what) == HF_RENDER_OK) {
        struct hf_str text = {(const char *)out.data, out.size_bytes};
        HF_CHECK(hf_json_validate(text, NULL) == HF_ERR_OK);
        HF_CHECK(out.size_bytes <= RENDERED_BYTES_MAX);
    }
    hf_buffer_release(&out);
}

static void check_call(const struct hf_saga_call *call, uint64_t sources,
                       const struct hf_saga_scope *scope)
{
    char target[HF_URL_TARGET_BYTES];
    const char *why;
    HF_CHECK(call->kind != HF_CALL_HTTP || hf_url_target(call->url, target, &why));
    HF_CHECK(((call->body.steps | call->until.steps) & ~sources) == 0);
    HF_CHECK(call->event_key.steps == 0);
    check_template(&call->body, scope);
    check_template(&call->until, scope);
    check_template(&call->event_key, scope);
    for (uint32_t i = 0; i < call->header_count; i++) {
        check_template(&call->headers[i].value, scope);
    }
    HF_CHECK((call->kind == HF_CALL_NATIVE) == (call->op_count > 0));
    for (uint32_t i = 0; i < call->op_count; i++) {
        HF_CHECK((call->ops[i].steps & ~sources) == 0);
        check_template(&call->ops[i], scope);
    }
}

static void check_steps(const struct hf_saga_definition *definition)
{
    struct hf_str results[HF_SAGA_STEPS_MAX];
    for (uint32_t i = 0; i < HF_SAGA_STEPS_MAX; i++) {
        results[i] = i % 2 == 0 ? HF_STR("{\"id\":\"r-1\",\"n\":[1,2]}") : HF_STR_NONE;
    }
    struct hf_saga_scope scope = {.saga_id = HF_STR("s-1"),
                                  .definition_name = HF_STR("order"),
                                  .definition_version = 1,
                                  .input = HF_STR("{\"order\":\"o-1\",\"amount\":5}"),
                                  .definition = definition,
                                  .results = results};
    for (uint32_t i = 0; i < definition->step_count; i++) {
        const struct hf_saga_step_definition *step = &definition->steps[i];
        bool short_memory = false;
        check_call(&step->action, step->before, &scope);
        check_call(&step->compensation, step->before | UINT64_C(1) << i, &scope);
        (void)hf_saga_when_holds(&step->when, &scope, &short_memory);
        HF_CHECK(!short_memory);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_str json = {size == 0 ? "" : (const char *)data, size};
    struct hf_saga_definition definition;
    struct hf_malformed malformed = {0};
    if (!hf_saga_definition_parse(&definition, json, &malformed)) {
        check_refusal(&malformed);
        return 0;
    }
    struct hf_saga_definition again;
    HF_CHECK(hf_saga_definition_parse(&again, definition.text, &malformed));
    HF_CHECK(hf_str_equal(definition.text, again.text));
    check_order(&definition);
    check_steps(&definition);
    hf_saga_definition_release(&again);
    hf_saga_definition_release(&definition);
    return 0;
}
