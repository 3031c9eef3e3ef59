/* Primitives of the codec, and things as stored in refusals and checkpoints. */
#include "base/check.h"
#include "core/codec_priv.h"

bool hf_codec_fail(struct hf_codec *codec, const char *what)
{
    if (codec->what == NULL) {
        codec->what = what;
    }
    return false;
}

bool hf_codec_ok(const struct hf_codec *codec)
{
    if (hf_codec_writing(codec)) {
        return codec->what == NULL && !codec->out->failed && !codec->out_payload->failed;
    }
    return codec->what == NULL && !codec->in.failed && !codec->in_payload.failed;
}

hf_u128 hf_codec_read_number(struct hf_codec *codec, hf_u128 max, const char *what)
{
    bool before = codec->in.failed;
    hf_u128 value = hf_read_varint(&codec->in, max);
    if (!before && codec->in.failed) {
        hf_codec_fail(codec, what);
    }
    return value;
}

bool hf_codec_read_bool(struct hf_codec *codec, const char *what)
{
    uint8_t byte = hf_read_u8(&codec->in);
    if (byte > 1) {
        hf_codec_fail(codec, what);
    }
    return byte == 1;
}

uint32_t hf_codec_read_enum_number(struct hf_codec *codec, uint32_t max, const char *what)
{
    uint32_t number = hf_read_u8(&codec->in);
    if (number < 1 || number > max) {
        hf_codec_fail(codec, what);
    }
    return number;
}

void hf_codec_read_bytes(struct hf_codec *codec, uint8_t *bytes, size_t size_bytes,
                         const char *what)
{
    const uint8_t *from = hf_read_bytes(&codec->in, size_bytes);
    if (from == NULL) {
        memset(bytes, 0, size_bytes);
        hf_codec_fail(codec, what);
        return;
    }
    memcpy(bytes, from, size_bytes);
}

struct hf_str hf_codec_read_text(struct hf_codec *codec, size_t bytes_max, const char *what)
{
    struct hf_str text = hf_read_str(&codec->in, bytes_max);
    if (text.ptr == NULL) {
        hf_codec_fail(codec, what);
    }
    return text;
}

/* Presence, then the text if there is one. */
void hf_code_optional_text(struct hf_codec *codec, struct hf_str *text, size_t bytes_max,
                           const char *what)
{
    bool present = hf_str_present(*text);
    hf_code_bool(codec, &present, what);
    if (present) {
        hf_code_text(codec, text, bytes_max, what);
    } else {
        *text = HF_STR_NONE;
    }
}

/* 16 bytes of id, then the text; an empty text stands for the id's own hex form. */
void hf_code_lean_name(struct hf_codec *codec, struct hf_name *name, bool *is_hex, const char *what)
{
    hf_code_bytes(codec, name->id.bytes, sizeof(name->id.bytes), what);
    if (hf_codec_writing(codec)) {
        struct hf_str text = *is_hex ? HF_STR("") : name->text;
        hf_code_text(codec, &text, HF_NAME_BYTES_MAX, what);
        return;
    }
    name->text = hf_codec_read_text(codec, HF_NAME_BYTES_MAX, what);
    *is_hex = hf_codec_ok(codec) && name->text.len == 0;
    if (*is_hex) {
        name->text = HF_STR_NONE;
    } else if (hf_codec_ok(codec) &&
               (!hf_name_valid_reference(name->text) || hf_name_is_hex_of(name->text, &name->id))) {
        hf_codec_fail(codec, what);
    }
    if (!hf_codec_ok(codec)) {
        name->text = HF_STR("");
    }
}

void hf_code_name(struct hf_codec *codec, struct hf_name *name, const char *what)
{
    bool is_hex = hf_codec_writing(codec) && hf_name_is_hex_of(name->text, &name->id);
    hf_code_lean_name(codec, name, &is_hex, what);
    if (hf_codec_writing(codec) || !is_hex) {
        return;
    }
    char *hex = hf_arena_alloc(codec->arena, HF_UUID_TEXT_BYTES);
    if (hex == NULL) {
        codec->short_memory = true;
        hf_codec_fail(codec, what);
        return;
    }
    hf_name_hex(&name->id, hex);
    name->text = (struct hf_str){hex, HF_UUID_TEXT_BYTES};
}

void hf_code_asset(struct hf_codec *codec, struct hf_asset *asset, const char *what)
{
    struct hf_str text = hf_asset_str(asset);
    hf_code_text(codec, &text, HF_ASSET_BYTES_MAX, what);
    if (!hf_codec_writing(codec) && !hf_asset_parse(text, asset)) {
        hf_codec_fail(codec, what);
    }
}

/* Presence, length and SHA-256 in the record; the text itself in the payload. */
void hf_code_payload(struct hf_codec *codec, struct hf_payload *payload, size_t bytes_max,
                     const char *what)
{
    bool present = hf_str_present(payload->text);
    hf_code_bool(codec, &present, what);
    if (!present) {
        payload->text = HF_STR_NONE;
        return;
    }
    uint64_t size = payload->text.len;
    hf_code_u64(codec, &size, bytes_max, what);
    hf_code_bytes(codec, payload->hash.bytes, sizeof(payload->hash.bytes), what);
    if (hf_codec_writing(codec)) {
        hf_buffer_bytes(codec->out_payload, payload->text.ptr, payload->text.len);
        return;
    }
    const uint8_t *text = hf_read_bytes(&codec->in_payload, size);
    if (text == NULL) {
        payload->text = HF_STR_NONE;
        hf_codec_fail(codec, what);
        return;
    }
    payload->text = (struct hf_str){(const char *)text, size};
}

void hf_code_totals(struct hf_codec *codec, struct hf_totals *totals)
{
    hf_code_u128(codec, &totals->debits_posted, HF_TOTAL_MAX, "debits posted");
    hf_code_u128(codec, &totals->credits_posted, HF_TOTAL_MAX, "credits posted");
    hf_code_u128(codec, &totals->debits_pending, HF_TOTAL_MAX, "debits pending");
    hf_code_u128(codec, &totals->credits_pending, HF_TOTAL_MAX, "credits pending");
    if (totals->debits_posted > HF_TOTAL_MAX - totals->debits_pending ||
        totals->credits_posted > HF_TOTAL_MAX - totals->credits_pending) {
        HF_CHECK(!hf_codec_writing(codec));
        hf_codec_fail(codec, "totals above 2^127 - 1");
    }
}

static void code_limit(struct hf_codec *codec, bool *has, hf_i128 *value, const char *what)
{
    hf_code_bool(codec, has, what);
    if (*has) {
        hf_code_i128(codec, value, what);
    } else {
        *value = 0;
    }
}

void hf_code_account(struct hf_codec *codec, struct hf_account *account)
{
    hf_code_name(codec, &account->name, "account");
    hf_code_asset(codec, &account->asset, "asset");
    HF_CODE_ENUM(codec, account->state, HF_ACCOUNT_CLOSED, "account state");
    code_limit(codec, &account->has_floor, &account->floor, "floor");
    code_limit(codec, &account->has_ceiling, &account->ceiling, "ceiling");
    hf_code_totals(codec, &account->totals);
    hf_code_u64(codec, &account->version, UINT64_MAX, "account version");
    hf_code_u64(codec, &account->opened_position, UINT64_MAX, "opened position");
    hf_code_u64(codec, &account->opened_at_us, UINT64_MAX, "opened at");
    hf_code_u64(codec, &account->modified_at_us, UINT64_MAX, "modified at");
    hf_code_u64(codec, &account->last_position, UINT64_MAX, "last position");
    hf_code_u64(codec, &account->metadata_position, UINT64_MAX, "metadata position");
}

#define OWNER_FLAG                                                                                 \
    0x80u /* beside the state: a saga's uid follows; frames of before sagas have none */

static void code_hold_state(struct hf_codec *codec, struct hf_hold *hold)
{
    uint8_t byte = (uint8_t)((unsigned)hold->state | (hold->owner != 0 ? OWNER_FLAG : 0u));
    hf_code_bytes(codec, &byte, 1, "hold state");
    unsigned state = byte & ~OWNER_FLAG;
    if (state < HF_HOLD_OPEN || state > HF_HOLD_EXPIRED) {
        hf_codec_fail(codec, "hold state");
        state = HF_HOLD_OPEN;
    }
    hold->state = (enum hf_hold_state)state;
    if ((byte & OWNER_FLAG) == 0) {
        hold->owner = 0;
        return;
    }
    hf_code_u64(codec, &hold->owner, UINT64_MAX, "hold owner");
    if (hold->owner == 0) {
        hf_codec_fail(codec, "hold owner");
    }
}

void hf_code_hold(struct hf_codec *codec, struct hf_hold *hold)
{
    hf_code_name(codec, &hold->name, "hold");
    hf_code_name(codec, &hold->from, "hold from");
    hf_code_name(codec, &hold->to, "hold to");
    hf_code_asset(codec, &hold->asset, "hold asset");
    code_hold_state(codec, hold);
    hf_code_u128(codec, &hold->amount, HF_U128_MAX, "hold amount");
    hf_code_u128(codec, &hold->captured, HF_U128_MAX, "hold captured");
    hf_code_u128(codec, &hold->remaining, HF_U128_MAX, "hold remaining");
    hf_code_u64(codec, &hold->expires_at_us, UINT64_MAX, "hold expires at");
    hf_code_u64(codec, &hold->opened_position, UINT64_MAX, "hold opened position");
    hf_code_u64(codec, &hold->opened_at_us, UINT64_MAX, "hold opened at");
    hf_code_u64(codec, &hold->version, UINT64_MAX, "hold version");
    hf_code_u64(codec, &hold->last_position, UINT64_MAX, "hold last position");
    hf_code_u64(codec, &hold->modified_at_us, UINT64_MAX, "hold modified at");
}

void hf_code_stream(struct hf_codec *codec, struct hf_stream *stream)
{
    hf_code_name(codec, &stream->name, "stream");
    hf_code_u64(codec, &stream->version, UINT64_MAX, "stream version");
    hf_code_u64(codec, &stream->modified_at_us, UINT64_MAX, "stream modified at");
    hf_code_u64(codec, &stream->last_position, UINT64_MAX, "stream last position");
}

void hf_code_document(struct hf_codec *codec, struct hf_document *document)
{
    hf_code_name(codec, &document->name, "document");
    hf_code_bool(codec, &document->exists, "document exists");
    hf_code_u64(codec, &document->version, UINT64_MAX, "document version");
    hf_code_u64(codec, &document->modified_at_us, UINT64_MAX, "document modified at");
    hf_code_u64(codec, &document->last_position, UINT64_MAX, "document last position");
    hf_code_u64(codec, &document->bytes, HF_COMMIT_BYTES_MAX, "document bytes");
}

void hf_code_lease(struct hf_codec *codec, struct hf_lease *lease)
{
    hf_code_name(codec, &lease->name, "lease");
    hf_code_text(codec, &lease->owner, HF_TYPE_BYTES_MAX, "lease owner");
    hf_code_bool(codec, &lease->held, "lease held");
    hf_code_u64(codec, &lease->token, UINT64_MAX, "lease token");
    hf_code_u64(codec, &lease->ttl_us, UINT64_MAX, "lease ttl");
    hf_code_u64(codec, &lease->expires_at_us, UINT64_MAX, "lease expires at");
    hf_code_u64(codec, &lease->last_position, UINT64_MAX, "lease last position");
    hf_code_u64(codec, &lease->modified_at_us, UINT64_MAX, "lease modified at");
}

/* A transfer's own fields; from and to stand with the entries, position and time with the commit. */
void hf_code_transfer(struct hf_codec *codec, struct hf_transfer *transfer)
{
    hf_code_name(codec, &transfer->name, "transfer");
    hf_code_asset(codec, &transfer->asset, "transfer asset");
    HF_CODE_ENUM(codec, transfer->kind, HF_TRANSFER_REVERSAL, "transfer kind");
    if (transfer->kind != HF_TRANSFER_PLAIN) {
        hf_code_name(codec, &transfer->of, "transfer of");
    } else if (!hf_codec_writing(codec)) {
        transfer->of = (struct hf_name){0};
    }
    hf_code_u128(codec, &transfer->amount, HF_TOTAL_MAX, "transfer amount");
    hf_code_bool(codec, &transfer->up_to, "transfer up_to");
    if (transfer->up_to) {
        hf_code_u128(codec, &transfer->requested, HF_U128_MAX, "transfer requested");
    } else {
        transfer->requested = transfer->amount;
    }
    hf_code_bool(codec, &transfer->has_effective_at, "transfer has effective_at");
    if (transfer->has_effective_at) {
        hf_code_u64(codec, &transfer->effective_at_us, UINT64_MAX, "transfer effective_at");
    } else {
        transfer->effective_at_us = 0;
    }
    hf_code_payload(codec, &transfer->metadata, HF_METADATA_BYTES_MAX, "transfer metadata");
    if (!hf_codec_writing(codec)) {
        transfer->reversed = 0;
    }
}
