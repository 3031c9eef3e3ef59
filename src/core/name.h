/*
 * Names: the ids that users give, and the 128 bits that they are inside.
 *
 * Owns: the syntax of names and assets and the rule from text to 128 bits. Must never: change that
 * rule (every stored id and every client depends on it). Called by: commands, codecs, tests.
 *
 * A text of the form 8-4-4-4-12 hex digits (any case, folded to lower) is its own 16 bytes; any
 * other is the first 16 bytes of its SHA-256. Two texts with the same 128 bits are a collision: the
 * stored text is always compared, so it is an error (id_collision), never a mix-up.
 */
#ifndef HF_CORE_NAME_H
#define HF_CORE_NAME_H

#include "base/arena.h"
#include "base/limits.h"
#include "base/table.h"
#include "base/types.h"

struct hf_name {
    struct hf_id id;    /* what tables are keyed by */
    struct hf_str text; /* as given, hex forms folded to lower case; borrowed */
};

#define HF_UUID_TEXT_BYTES 36 /* 8-4-4-4-12 */
#define HF_HASH_NAME_BYTES 33 /* of what goes by its hash */

static inline bool hf_name_equal(const struct hf_name *a, const struct hf_name *b)
{
    return hf_id_equal(&a->id, &b->id) && hf_str_equal(a->text, b->text);
}

/* Is `found` what is asked for? A packed record asks by 128 bits alone: its text is absent. */
static inline bool hf_name_asks_for(const struct hf_name *asked, const struct hf_name *found)
{
    return hf_id_equal(&asked->id, &found->id) &&
           (asked->text.ptr == NULL || hf_str_equal(asked->text, found->text));
}

/* [A-Za-z0-9][A-Za-z0-9._:@+=,~-]{0,127} */
bool hf_name_valid(struct hf_str text);
/* The same, or a server-given "~<position>.<index>" (of transfers, holds and sagas) or "~<32 hex digits>" (of inline definitions). */
bool hf_name_valid_reference(struct hf_str text);

/* The name of a valid text; the text is copied into the arena only if it must be folded.
 * false if memory is short. */
bool hf_name_make(struct hf_str text, struct hf_arena *arena, struct hf_name *name) HF_WARN_UNUSED;

/* The same, quicker for a text that was made into a name not long ago (base/hash_memo.h). */
bool hf_name_make_again(struct hf_str text, struct hf_arena *arena,
                        struct hf_name *name) HF_WARN_UNUSED;

/* Is text the lower-case 8-4-4-4-12 form of id? */
bool hf_name_is_hex_of(struct hf_str text, const struct hf_id *id);
void hf_name_hex(const struct hf_id *id, char text[HF_UUID_TEXT_BYTES]);

/* Does id follow from text? For verification of stored names. */
bool hf_name_id_matches(const struct hf_name *name);

#define HF_ASSET_BYTES_MAX (HF_ASSET_CODE_BYTES_MAX + 3)

#define HF_ASSET_HASH_BYTES 8 /* of what a packed record says instead of a name */

/* "USD/2"; compared as a whole. In a packed record's operation, which knows no name: len 0, and the hash in front of text. */
struct hf_asset {
    uint8_t len;                   /* bytes of text */
    char text[HF_ASSET_BYTES_MAX]; /* CODE/scale, rest zero */
};

bool hf_asset_parse(struct hf_str text, struct hf_asset *asset) HF_WARN_UNUSED;

static inline bool hf_asset_equal(const struct hf_asset *a, const struct hf_asset *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* The first bytes of the SHA-256 of its text. */
void hf_asset_hash(const struct hf_asset *asset, uint8_t hash[HF_ASSET_HASH_BYTES]);

static inline struct hf_str hf_asset_str(const struct hf_asset *asset)
{
    return (struct hf_str){asset->text, asset->len};
}

#endif
