#include "deliver/known_definition.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"

void hf_known_definitions_init(struct hf_known_definitions *known, size_t bytes_max, uint64_t seed)
{
    *known = (struct hf_known_definitions){.bytes_max = bytes_max};
    hf_table_init(&known->by_id, seed);
}

/* ---- the list of those that are parsed ---- */

static void list_add(struct hf_known_definitions *known, struct hf_known_definition *definition)
{
    definition->before = known->last;
    definition->after = NULL;
    *(known->last == NULL ? &known->first : &known->last->after) = definition;
    known->last = definition;
}

static void list_remove(struct hf_known_definitions *known, struct hf_known_definition *definition)
{
    struct hf_known_definition *before = definition->before;
    struct hf_known_definition *after = definition->after;
    *(before == NULL ? &known->first : &before->after) = after;
    *(after == NULL ? &known->last : &after->before) = before;
    definition->before = definition->after = NULL;
}

static void forget(struct hf_known_definitions *known, struct hf_known_definition *definition)
{
    HF_CHECK(definition->turns.first == NULL);
    (void)hf_table_remove(&known->by_id, &definition->id);
    hf_free(definition);
}

static void drop_parsed(struct hf_known_definitions *known, struct hf_known_definition *definition)
{
    list_remove(known, definition);
    known->parsed_bytes -= definition->definition.arena.total_bytes;
    hf_saga_definition_release(&definition->definition);
    definition->parsed = false;
    if (definition->references == 0) {
        forget(known, definition);
    }
}

void hf_known_definitions_release(struct hf_known_definitions *known)
{
    while (known->first != NULL) {
        drop_parsed(known, known->first);
    }
    HF_CHECK(known->by_id.count == 0);
    hf_table_release(&known->by_id);
}

/* ---- references ---- */

static struct hf_id id_of(const struct hf_name *name, uint64_t version)
{
    uint8_t number[8];
    struct hf_id id;
    hf_put_u64(number, version);
    struct hf_sha256_part parts[] = {{name->id.bytes, sizeof(name->id.bytes)},
                                     {number, sizeof(number)}};
    struct hf_hash hash = hf_sha256_parts(parts, HF_ARRAY_COUNT(parts));
    memcpy(id.bytes, hash.bytes, sizeof(id.bytes));
    return id;
}

struct hf_known_definition *hf_known_definition_get(struct hf_known_definitions *known,
                                                    const struct hf_name *name, uint64_t version)
{
    struct hf_id id = id_of(name, version);
    struct hf_known_definition *definition = hf_table_get(&known->by_id, &id);
    if (definition != NULL) {
        return hf_known_definition_ref(definition);
    }
    if (!hf_table_reserve(&known->by_id, 1)) {
        return NULL;
    }
    definition = hf_calloc(1, sizeof(*definition) + name->text.len);
    if (definition != NULL) {
        char *text = (char *)(definition + 1);
        memcpy(text, name->text.ptr, name->text.len);
        definition->id = id;
        definition->name = (struct hf_name){name->id, {text, name->text.len}};
        definition->version = version;
        definition->references = 1;
        (void)hf_table_put(&known->by_id, &id, definition);
    }
    return definition;
}

struct hf_known_definition *hf_known_definition_ref(struct hf_known_definition *definition)
{
    definition->references++;
    return definition;
}

void hf_known_definition_unref(struct hf_known_definitions *known,
                               struct hf_known_definition *definition)
{
    if (definition == NULL) {
        return;
    }
    HF_CHECK(definition->references > 0);
    definition->references--;
    if (definition->references == 0 && !definition->parsed) {
        forget(known, definition);
    }
}

/* ---- what is parsed ---- */

enum hf_err hf_known_definition_parse(struct hf_known_definitions *known,
                                      struct hf_known_definition *definition, struct hf_str text)
{
    struct hf_malformed malformed;
    if (definition->parsed) {
        return HF_ERR_OK;
    }
    if (!hf_saga_definition_parse(&definition->definition, text, &malformed)) {
        return malformed.code == HF_ERR_NO_MEMORY ? HF_ERR_NO_MEMORY : HF_ERR_CORRUPT;
    }
    definition->parsed = true;
    known->parsed_bytes += definition->definition.arena.total_bytes;
    list_add(known, definition);
    while (known->parsed_bytes > known->bytes_max && known->first != definition) {
        drop_parsed(known, known->first);
    }
    return HF_ERR_OK;
}

const struct hf_saga_definition *hf_known_definition_use(struct hf_known_definitions *known,
                                                         struct hf_known_definition *definition)
{
    if (!definition->parsed) {
        return NULL;
    }
    if (known->last != definition) {
        list_remove(known, definition);
        list_add(known, definition);
    }
    return &definition->definition;
}
