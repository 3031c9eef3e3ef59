/* Things on the heap: the struct and its texts in one allocation. */
#include "base/alloc.h"
#include "core/state_priv.h"

/* Copies the struct and appends its texts, whose places are given as offsets in it. */
static void *copy_with_texts(const void *from, size_t size, const size_t *text_offsets,
                             size_t text_count)
{
    size_t total = size;
    for (size_t i = 0; i < text_count; i++) {
        struct hf_str text;
        memcpy(&text, (const char *)from + text_offsets[i], sizeof(text));
        total += text.len;
    }
    char *copy = hf_malloc(total);
    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy, from, size);
    size_t at = size;
    for (size_t i = 0; i < text_count; i++) {
        struct hf_str text;
        memcpy(&text, copy + text_offsets[i], sizeof(text));
        if (text.len > 0) {
            memcpy(copy + at, text.ptr, text.len);
        }
        text.ptr = copy + at;
        at += text.len;
        memcpy(copy + text_offsets[i], &text, sizeof(text));
    }
    return copy;
}

struct hf_account *hf_account_new(const struct hf_account *from)
{
    static const size_t texts[] = {offsetof(struct hf_account, name.text)};
    return copy_with_texts(from, sizeof(*from), texts, HF_ARRAY_COUNT(texts));
}

struct hf_hold *hf_hold_new(const struct hf_hold *from)
{
    static const size_t texts[] = {offsetof(struct hf_hold, name.text),
                                   offsetof(struct hf_hold, from.text),
                                   offsetof(struct hf_hold, to.text)};
    return copy_with_texts(from, sizeof(*from), texts, HF_ARRAY_COUNT(texts));
}

struct hf_stream *hf_stream_new(const struct hf_stream *from)
{
    static const size_t texts[] = {offsetof(struct hf_stream, name.text)};
    return copy_with_texts(from, sizeof(*from), texts, HF_ARRAY_COUNT(texts));
}

struct hf_document *hf_document_new(const struct hf_document *from)
{
    static const size_t texts[] = {offsetof(struct hf_document, name.text)};
    return copy_with_texts(from, sizeof(*from), texts, HF_ARRAY_COUNT(texts));
}

struct hf_lease *hf_lease_new(const struct hf_lease *from)
{
    static const size_t texts[] = {offsetof(struct hf_lease, name.text),
                                   offsetof(struct hf_lease, owner)};
    return copy_with_texts(from, sizeof(*from), texts, HF_ARRAY_COUNT(texts));
}
