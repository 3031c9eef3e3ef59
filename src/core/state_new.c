/* Things on the heap, each in one allocation: the struct, its node in the ordered names if it has one, its
 * texts. Accounts are in a pool (core/account_pool.h). */
#include "base/alloc.h"
#include "base/check.h"
#include "core/state_priv.h"

#define NODE_BYTES sizeof(struct hf_names_node)

_Static_assert(sizeof(struct hf_stream) % _Alignof(struct hf_names_node) == 0 &&
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

struct hf_hold *hf_hold_new(const struct hf_hold *from)
{
    static const size_t texts[] = {offsetof(struct hf_hold, name.text),
                                   offsetof(struct hf_hold, from.text),
                                   offsetof(struct hf_hold, to.text)};
    struct hf_hold *hold = copy_with_texts(from, sizeof(*from), 0, texts, HF_ARRAY_COUNT(texts));
    if (hold != NULL) {
        hold->hex_name = hf_name_is_hex_of(hold->name.text, &hold->name.id);
    }
    return hold;
}

struct hf_hold *hf_hold_new_hex(const struct hf_id *id)
{
    struct hf_hold *hold = hf_malloc(sizeof(*hold) + HF_UUID_TEXT_BYTES);
    if (hold != NULL) {
        char *text = (char *)(hold + 1);
        hf_name_hex(id, text);
        *hold = (struct hf_hold){.name = {*id, {text, HF_UUID_TEXT_BYTES}}, .hex_name = true};
    }
    return hold;
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

struct hf_delayed *hf_delayed_new(const struct hf_delayed *from)
{
    static const size_t texts[] = {offsetof(struct hf_delayed, message.topic.text),
                                   offsetof(struct hf_delayed, message.key),
                                   offsetof(struct hf_delayed, message.type)};
    return copy_with_texts(from, sizeof(*from), 0, texts, HF_ARRAY_COUNT(texts));
}

/* ---- into the state ---- */

/* A kind of things that have ordered names. */
struct named {
    struct hf_table *table; /* NULL: the pool of accounts, which finds them itself */
    struct hf_names *names;
    size_t size_bytes; /* of the struct: its node lies behind it */
};

static struct named named_of(struct hf_state *state, enum hf_kind kind)
{
    switch ((unsigned)kind) {
    case HF_KIND_ACCOUNT:
        return (struct named){NULL, &state->account_names, sizeof(struct hf_account)};
    case HF_KIND_STREAM:
        return (struct named){&state->streams, &state->stream_names, sizeof(struct hf_stream)};
    default:
        HF_CHECK(kind == HF_KIND_DOCUMENT);
        return (struct named){&state->documents, &state->document_names,
                              sizeof(struct hf_document)};
    }
}

void hf_state_count_thing(struct hf_state *state, enum hf_kind kind, const void *thing)
{
    if (kind != HF_KIND_ACCOUNT) {
        state->named_bytes += hf_alloc_block_bytes(thing);
    }
}

bool hf_state_enter(struct hf_state *state, enum hf_kind kind, void *thing)
{
    struct named named = named_of(state, kind);
    struct hf_name *name = thing;
    if (named.table == NULL) {
        hf_assets_add_account(&state->assets, thing);
    } else {
        (void)hf_table_put(named.table, &name->id, thing);
    }
    hf_state_count_thing(state, kind, thing);
    return state->only_stored ||
           hf_names_insert(named.names, name, (void *)((char *)thing + named.size_bytes));
}

enum hf_err hf_state_fill_names(struct hf_state *state, enum hf_kind kind)
{
    struct named named = named_of(state, kind);
    if (named.table == NULL) {
        hf_account_pool_settle(&state->accounts);
    }
    if (state->only_stored) {
        return HF_ERR_OK;
    }
    size_t count =
        named.table == NULL ? hf_account_pool_count(&state->accounts) : named.table->count;
    struct hf_names_item *items = hf_malloc((count + 1) * sizeof(*items));
    if (items == NULL) {
        return HF_ERR_NO_MEMORY;
    }
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        items[i].name = named.table == NULL ? &hf_account_pool_at(&state->accounts, i)->name
                                            : hf_table_next(named.table, &at);
        hf_state_count_thing(state, kind, items[i].name);
    }
    enum hf_err err = hf_names_fill(named.names, items, count, named.size_bytes);
    hf_free(items);
    return err;
}
