/*
 * One description of each stored value for both directions.
 *
 * Owns: struct hf_codec and its primitives: with `out` set a call appends the field, else it reads
 * it, checks it and fills it in. So encoder and decoder can't drift apart. Must never: accept a
 * second form of a value. Called by: commit.c, entity_codec.c, queue_codec.c, state's checkpoint.
 *
 * After the first failure every call does nothing; `what` names the first bad field.
 */
#ifndef HF_CORE_CODEC_PRIV_H
#define HF_CORE_CODEC_PRIV_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/check.h"
#include "core/commit.h"

struct hf_codec {
    struct hf_buffer *out;         /* writing: the record; NULL = reading */
    struct hf_buffer *out_payload; /* writing: the texts */
    struct hf_reader in;           /* reading: the record */
    struct hf_reader in_payload;   /* reading: the texts */
    struct hf_arena *arena;        /* reading: what can't point into the record */
    const char *what;              /* first bad field, or NULL */
    bool short_memory;             /* reading: the arena could not grow */
    bool glance;                   /* reading: of a strip only what finds its parts */
};

static inline bool hf_codec_writing(const struct hf_codec *codec)
{
    return codec->out != NULL;
}

/* Notes a bad field; always false. */
bool hf_codec_fail(struct hf_codec *codec, const char *what);
bool hf_codec_ok(const struct hf_codec *codec);

/* The reading halves, and whatever is rare: not to be called but by the functions below. */
hf_u128 hf_codec_read_number(struct hf_codec *codec, hf_u128 max, const char *what);
bool hf_codec_read_bool(struct hf_codec *codec, const char *what);
uint32_t hf_codec_read_enum_number(struct hf_codec *codec, uint32_t max, const char *what);
void hf_codec_read_bytes(struct hf_codec *codec, uint8_t *bytes, size_t size_bytes,
                         const char *what);
struct hf_str hf_codec_read_text(struct hf_codec *codec, size_t bytes_max, const char *what);

/* These stand here because a commit of a thousand transfers calls them forty thousand times. */
static inline void hf_code_u128(struct hf_codec *codec, hf_u128 *value, hf_u128 max,
                                const char *what)
{
    if (hf_codec_writing(codec)) {
        HF_CHECK(*value <= max);
        hf_buffer_varint(codec->out, *value);
    } else {
        *value = hf_codec_read_number(codec, max, what);
    }
}

static inline void hf_code_u64(struct hf_codec *codec, uint64_t *value, uint64_t max,
                               const char *what)
{
    if (hf_codec_writing(codec)) {
        HF_CHECK(*value <= max);
        hf_buffer_varint(codec->out, *value);
    } else {
        *value = (uint64_t)hf_codec_read_number(codec, max, what);
    }
}

static inline void hf_code_u32(struct hf_codec *codec, uint32_t *value, uint32_t max,
                               const char *what)
{
    uint64_t wide = *value;
    hf_code_u64(codec, &wide, max, what);
    *value = (uint32_t)wide;
}

static inline void hf_code_i128(struct hf_codec *codec, hf_i128 *value, const char *what)
{
    hf_u128 wide = hf_codec_writing(codec) ? hf_i128_zigzag(*value) : 0;
    hf_code_u128(codec, &wide, HF_U128_MAX, what);
    *value = hf_i128_unzigzag(wide);
}

static inline void hf_code_bool(struct hf_codec *codec, bool *value, const char *what)
{
    if (hf_codec_writing(codec)) {
        hf_buffer_u8(codec->out, *value ? 1 : 0);
    } else {
        *value = hf_codec_read_bool(codec, what);
    }
}

/* An enum stored as one byte from 1 to max. */
#define HF_CODE_ENUM(codec, field, max, what)                                                      \
    do {                                                                                           \
        uint32_t number_ = (uint32_t)(field);                                                      \
        hf_code_enum_number((codec), &number_, (uint32_t)(max), (what));                           \
        (field) = (__typeof__(field))number_;                                                      \
    } while (0)
static inline void hf_code_enum_number(struct hf_codec *codec, uint32_t *number, uint32_t max,
                                       const char *what)
{
    if (hf_codec_writing(codec)) {
        HF_CHECK(*number >= 1 && *number <= max);
        hf_buffer_u8(codec->out, (uint8_t)*number);
    } else {
        *number = hf_codec_read_enum_number(codec, max, what);
    }
}

static inline void hf_code_bytes(struct hf_codec *codec, uint8_t *bytes, size_t size_bytes,
                                 const char *what)
{
    if (hf_codec_writing(codec)) {
        uint8_t *to = hf_buffer_extend(codec->out, size_bytes);
        if (to != NULL) {
            memcpy(to, bytes, size_bytes);
        }
    } else {
        hf_codec_read_bytes(codec, bytes, size_bytes, what);
    }
}

static inline void hf_code_text(struct hf_codec *codec, struct hf_str *text, size_t bytes_max,
                                const char *what)
{
    if (hf_codec_writing(codec)) {
        HF_CHECK(text->len <= bytes_max);
        hf_buffer_str(codec->out, *text);
    } else {
        *text = hf_codec_read_text(codec, bytes_max, what);
    }
}

void hf_code_optional_text(struct hf_codec *codec, struct hf_str *text, size_t bytes_max,
                           const char *what);
void hf_code_name(struct hf_codec *codec, struct hf_name *name, const char *what);
/* The same, but a hex text is told by is_hex alone, and is absent when it was read. */
void hf_code_lean_name(struct hf_codec *codec, struct hf_name *name, bool *is_hex,
                       const char *what);
void hf_code_asset(struct hf_codec *codec, struct hf_asset *asset, const char *what);
void hf_code_payload(struct hf_codec *codec, struct hf_payload *payload, size_t bytes_max,
                     const char *what);

void hf_code_totals(struct hf_codec *codec, struct hf_totals *totals);
void hf_code_account(struct hf_codec *codec, struct hf_account *account);
void hf_code_hold(struct hf_codec *codec, struct hf_hold *hold);
void hf_code_stream(struct hf_codec *codec, struct hf_stream *stream);
void hf_code_document(struct hf_codec *codec, struct hf_document *document);
void hf_code_lease(struct hf_codec *codec, struct hf_lease *lease);
void hf_code_transfer(struct hf_codec *codec, struct hf_transfer *transfer);

/* alert_codec.c: fields of ALERT_RAISED, ALERT_CLEARED; an alert of the state */
void hf_code_alert_event(struct hf_codec *codec, struct hf_event *event);
void hf_code_alert(struct hf_codec *codec, struct hf_alert *alert);

/* filter.c: a filter's frozen form; reading refuses what hf_filter_make would refuse. */
void hf_code_filter(struct hf_codec *codec, struct hf_filter *filter);

/* queue_codec.c */
void hf_code_place(struct hf_codec *codec, struct hf_place *place);
void hf_code_settings(struct hf_codec *codec, struct hf_subscription_settings *settings);
/* push.c: url, mode, names of secrets, numbers, headers. */
void hf_code_push(struct hf_codec *codec, struct hf_push *push);
void hf_code_message_due(struct hf_codec *codec, struct hf_message_due *due);
void hf_code_message(struct hf_codec *codec, struct hf_message *message);
void hf_code_subscription_head(struct hf_codec *codec, struct hf_subscription_head *head);
/* The fields of MESSAGE_PUBLISHED and everything behind it. */
void hf_code_queue_event(struct hf_codec *codec, struct hf_event *event);

/* saga_codec.c */
void hf_code_definition_name(struct hf_codec *codec, struct hf_name *name);
void hf_code_saga_head(struct hf_codec *codec, struct hf_saga_head *head);
void hf_code_saga_definition_head(struct hf_codec *codec, struct hf_saga_definition_head *head);
void hf_code_saga_step(struct hf_codec *codec, struct hf_saga_step *step);
void hf_code_saga_awaits(struct hf_codec *codec, uint32_t *count,
                         const struct hf_saga_await **awaits);
/* The fields of SAGA_DEFINED … SAGA_VERBS. */
void hf_code_saga_event(struct hf_codec *codec, struct hf_event *event);

#endif
