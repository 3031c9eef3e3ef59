/*
 * Fuzz target of base/json: any bytes are either refused or keep every promise of json.h.
 *
 * A byte 0xFF, which no valid text contains, divides the input into a target and a merge patch.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct hf_str content(const struct hf_buffer *buffer)
{
    return (struct hf_str){(const char *)buffer->data, buffer->size_bytes};
}

/* Walks the tokens: they lie in the text in order, strings can be unescaped. */
static void check_tokens(struct hf_str text)
{
    struct hf_arena arena;
    hf_arena_init(&arena);
    struct hf_json json;
    hf_json_init(&json, text, &arena);
    const char *behind = text.ptr;
    while (hf_json_next(&json) < HF_JSON_END) {
        HF_CHECK(json.start >= behind && json.raw.ptr >= json.start);
        behind = json.raw.ptr + json.raw.len;
        HF_CHECK(behind <= json.next && json.next <= text.ptr + text.len);
        if (json.token == HF_JSON_NAME || json.token == HF_JSON_STRING) {
            struct hf_str string = hf_json_string(&json, &arena);
            HF_CHECK(hf_str_present(string) && string.len <= json.raw.len);
            HF_CHECK(hf_json_is(&json, string));
        }
    }
    HF_CHECK(json.token == HF_JSON_END);
    struct hf_str raw;
    hf_json_init(&json, text, &arena);
    HF_CHECK(hf_json_skip(&json, &raw) && hf_json_next(&json) == HF_JSON_END);
    HF_CHECK(hf_json_validate(raw, NULL) == HF_ERR_OK);
    hf_arena_release(&arena);
}

static void check_canonical(struct hf_str text)
{
    struct hf_buffer first;
    struct hf_buffer again;
    hf_buffer_init(&first);
    hf_buffer_init(&again);
    HF_CHECK(hf_json_canonical(text, &first));
    HF_CHECK(hf_json_validate(content(&first), NULL) == HF_ERR_OK);
    HF_CHECK(hf_json_canonical(content(&first), &again));
    HF_CHECK(hf_str_equal(content(&first), content(&again)));
    hf_buffer_release(&first);
    hf_buffer_release(&again);
}

/* Merging a patch a second time changes nothing. */
static void check_merge(struct hf_str target, struct hf_str patch)
{
    struct hf_buffer first;
    struct hf_buffer again;
    struct hf_buffer first_form;
    struct hf_buffer again_form;
    hf_buffer_init(&first);
    hf_buffer_init(&again);
    hf_buffer_init(&first_form);
    hf_buffer_init(&again_form);
    HF_CHECK(hf_json_merge_patch(target, patch, &first));
    HF_CHECK(hf_json_validate(content(&first), NULL) == HF_ERR_OK);
    HF_CHECK(first.size_bytes <= target.len + patch.len);
    HF_CHECK(hf_json_merge_patch(content(&first), patch, &again));
    HF_CHECK(hf_json_canonical(content(&first), &first_form));
    HF_CHECK(hf_json_canonical(content(&again), &again_form));
    HF_CHECK(hf_str_equal(content(&first_form), content(&again_form)));
    hf_buffer_release(&first);
    hf_buffer_release(&again);
    hf_buffer_release(&first_form);
    hf_buffer_release(&again_form);
}

/* A copy of exactly its size, so that a read behind the end is seen. */
static char *copy_of(const uint8_t *data, size_t size)
{
    char *copy = hf_malloc(size);
    HF_CHECK(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

static bool check_text(struct hf_str text)
{
    struct hf_error error = {0};
    enum hf_err code = hf_json_validate(text, &error);
    if (code != HF_ERR_OK) {
        HF_CHECK(code == HF_ERR_INVALID_REQUEST && error.code == code);
        return false;
    }
    check_tokens(text);
    check_canonical(text);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *divider = size == 0 ? NULL : memchr(data, 0xFF, size);
    size_t target_size = divider == NULL ? size : (size_t)(divider - data);
    char *target_copy = copy_of(data, target_size);
    struct hf_str target = {target_copy, target_size};
    bool valid = check_text(target);
    if (divider != NULL) {
        size_t patch_size = size - target_size - 1;
        char *patch_copy = copy_of(divider + 1, patch_size);
        struct hf_str patch = {patch_copy, patch_size};
        if (check_text(patch)) {
            check_merge(HF_STR_NONE, patch);
            if (valid) {
                check_merge(target, patch);
            }
        }
        hf_free(patch_copy);
    }
    hf_free(target_copy);
    return 0;
}
