/* Things on the heap, each in one allocation: the struct, its node in the ordered names if it has one, its
 * texts. */
#include "base/alloc.h"
#include "core/state_priv.h"

#define NODE_BYTES sizeof(struct hf_names_node)

_Static_assert(sizeof(struct hf_account) % _Alignof(struct hf_names_node) == 0 &&
                   sizeof(struct hf_stream) % _Alignof(struct hf_names_node) == 0 &&
                   sizeof(struct hf_document) % _Alignof(struct hf_names_node) == 0,
               "a node may stand right behind them");

/* Copies the struct, leaves node_size bytes behind it, and appends its texts, whose places are given as
 * offsets in it. */
static void *copy_with_texts(const void *from, size_t size, size_t node_size,
                             const size_t *text_offsets, size_t text_count)
{
    size_t total = size + node_size;
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
    size_t at = size + node_size;
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
    return copy_with_texts(from, sizeof(*from), NODE_BYTES, texts, HF_ARRAY_COUNT(texts));
}

struct hf_hold *hf_hold_new(const struct hf_hold *from)
{
    static const size_t texts[] = {offsetof(struct hf_hold, name.text),
                                   offsetof(struct hf_hold, from.text),
                                   offsetof(struct hf_hold, to.text)};
    return copy_with_texts(from, sizeof(*from), 0, texts, HF_ARRAY_COUNT(texts));
}

struct hf_stream *hf_stream_new(const struct hf_stream *from)
{
    static const size_t texts[] = {offsetof(struct hf_stream, name.text)};
    return copy_with_texts(from, sizeof(*from), NODE_BYTES, texts, HF_ARRAY_COUNT(texts));
}

struct hf_document *hf_document_new(const struct hf_document *from)
{
    static const size_t texts[] = {offsetof(struct hf_document, name.text)};
    return copy_with_texts(from, sizeof(*from), NODE_BYTES, texts, HF_ARRAY_COUNT(texts));
}

struct hf_lease *hf_lease_new(const struct hf_lease *from)
{
    static const size_t texts[] = {offsetof(struct hf_lease, name.text),
                                   offsetof(struct hf_lease, owner)};
    return copy_with_texts(from, sizeof(*from), 0, texts, HF_ARRAY_COUNT(texts));
}

bool hf_account_enter(struct hf_state *state, struct hf_account *account)
{
    (void)hf_table_put(&state->accounts, &account->name.id, account);
    hf_assets_add_account(&state->assets, account);
    return hf_names_insert(&state->account_names, &account->name,
                           (struct hf_names_node *)(account + 1));
}

bool hf_stream_enter(struct hf_state *state, struct hf_stream *stream)
{
    (void)hf_table_put(&state->streams, &stream->name.id, stream);
    return hf_names_insert(&state->stream_names, &stream->name,
                           (struct hf_names_node *)(stream + 1));
}

bool hf_document_enter(struct hf_state *state, struct hf_document *document)
{
    (void)hf_table_put(&state->documents, &document->name.id, document);
    return hf_names_insert(&state->document_names, &document->name,
                           (struct hf_names_node *)(document + 1));
}
