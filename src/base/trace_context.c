#include "base/trace_context.h"

#include "base/json.h"

static bool is_lower_hex(const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f'))) {
            return false;
        }
    }
    return true;
}

static bool all_zero(const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (text[i] != '0') {
            return false;
        }
    }
    return true;
}

bool hf_traceparent_parse(struct hf_str text, char known[HF_TRACEPARENT_BYTES])
{
    const char *t = text.ptr;
    if (text.len < HF_TRACEPARENT_BYTES || t[2] != '-' || t[35] != '-' || t[52] != '-' ||
        !is_lower_hex(t, 2) || !is_lower_hex(t + 3, 32) || !is_lower_hex(t + 36, 16) ||
        !is_lower_hex(t + 53, 2) || all_zero(t + 3, 32) || all_zero(t + 36, 16) ||
        memcmp(t, "ff", 2) == 0) {
        return false;
    }
    bool version_0 = memcmp(t, "00", 2) == 0;
    if (text.len > HF_TRACEPARENT_BYTES && (version_0 || t[HF_TRACEPARENT_BYTES] != '-')) {
        return false;
    }
    memcpy(known, t, HF_TRACEPARENT_BYTES);
    memcpy(known, "00", 2);
    return true;
}

bool hf_traceparent_of(struct hf_str metadata, struct hf_arena *arena,
                       char known[HF_TRACEPARENT_BYTES])
{
    struct hf_json json;
    bool found = false;
    if (!hf_str_present(metadata)) {
        return false;
    }
    hf_json_init(&json, metadata, arena);
    if (hf_json_next(&json) != HF_JSON_OBJECT_BEGIN) {
        return false;
    }
    while (!found && hf_json_next(&json) == HF_JSON_NAME) {
        bool is_parent = hf_json_is(&json, HF_STR("traceparent"));
        if (is_parent && hf_json_next(&json) == HF_JSON_STRING) {
            struct hf_str text = hf_json_string(&json, arena);
            found = hf_str_present(text) && hf_traceparent_parse(text, known);
            break;
        }
        if (!hf_json_skip(&json, NULL)) {
            break;
        }
    }
    return found;
}
