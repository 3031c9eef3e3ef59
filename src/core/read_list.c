/* Lists by name, and what there is of an asset. */
#include "core/read_priv.h"

static bool begins_with(struct hf_str text, struct hf_str prefix)
{
    return text.len >= prefix.len &&
           (prefix.len == 0 || memcmp(text.ptr, prefix.ptr, prefix.len) == 0);
}

/* Fills in what the name's thing is; false: it is left out. */
typedef bool (*take_fn)(const struct hf_name *name, struct hf_entity *entity);

static bool take_account(const struct hf_name *name, struct hf_entity *entity)
{
    entity->kind = HF_KIND_ACCOUNT;
    entity->account = *HF_CONTAINER_OF(name, struct hf_account, name);
    return true;
}

static bool take_stream(const struct hf_name *name, struct hf_entity *entity)
{
    entity->kind = HF_KIND_STREAM;
    entity->stream = *HF_CONTAINER_OF(name, struct hf_stream, name);
    return true;
}

static bool take_document(const struct hf_name *name, struct hf_entity *entity)
{
    entity->kind = HF_KIND_DOCUMENT;
    entity->document = *HF_CONTAINER_OF(name, struct hf_document, name);
    return entity->document.exists;
}

static void read_names(struct hf_read_work *r, const struct hf_names *names, take_fn take)
{
    struct hf_reading *out = r->out;
    struct hf_str prefix = r->query->prefix;
    struct hf_str after = r->query->after;
    if (!hf_read_begin_list(r)) {
        return;
    }
    bool from_prefix = after.len == 0 || hf_str_compare(after, prefix) < 0;
    const struct hf_name *name = hf_names_behind(names, from_prefix ? prefix : after, from_prefix);
    uint32_t seen = 0;
    while (name != NULL && begins_with(name->text, prefix)) {
        if (out->entity_count == r->query->limit || seen == HF_QUERY_SCAN_MAX) {
            out->more = true;
            return;
        }
        if (take(name, &out->entities[out->entity_count])) {
            out->entity_count++;
        }
        seen++;
        out->next_after = name->text;
        name = hf_names_behind(names, name->text, false);
    }
}

void hf_read_accounts(struct hf_read_work *r)
{
    read_names(r, &r->state->account_names, take_account);
}

void hf_read_streams(struct hf_read_work *r)
{
    read_names(r, &r->state->stream_names, take_stream);
}

void hf_read_documents(struct hf_read_work *r)
{
    read_names(r, &r->state->document_names, take_document);
}

void hf_read_totals(struct hf_read_work *r)
{
    const struct hf_asset_sums *sums = hf_assets_get(&r->state->assets, &r->query->asset);
    r->out->totals = sums == NULL ? (struct hf_asset_sums){.asset = r->query->asset} : *sums;
}
