/* What the commit's codec and the files of strips share (core/strip.h). */
#ifndef HF_CORE_STRIP_PRIV_H
#define HF_CORE_STRIP_PRIV_H

#include "core/codec_priv.h"
#include "core/strip.h"

void hf_code_strip_account(struct hf_codec *codec, struct hf_strip_account *account,
                           uint32_t asset_count);
/* Steps over the accounts, which stay as they are stored; false: the codec tells what was wrong. */
bool hf_strip_find_accounts(struct hf_codec *codec, struct hf_strip *strip);
/* Appends the commit's strip. */
void hf_code_strip(struct hf_codec *codec, const struct hf_commit *commit);
/* Does a strip come next, where otherwise an event would? */
bool hf_codec_at_strip(const struct hf_codec *codec);
/* Reads a strip of `count` rows; NULL: the codec tells what was wrong. */
const struct hf_strip *hf_read_strip(struct hf_codec *codec, const struct hf_commit *commit,
                                     uint32_t count);

/* A hex name gets its text when somebody wants to see it. false: memory is short. */
bool hf_strip_spell_name(struct hf_arena *arena, struct hf_name *name);
/* A column into the record, or a pointer to it. */
void hf_code_column(struct hf_codec *codec, const uint8_t **column, size_t count, size_t width);
/* Is one of the column's bytes not zero? No column: yes. */
bool hf_column_says_something(const uint8_t *column, size_t bytes);
/* Is `number` one that was used before, or the next new one (invariant 1)? */
bool hf_strip_next_use(uint32_t number, uint32_t *used);

/* ---- holds: strip_hold.c ---- */

/* A hold on its way through the rows. */
struct hf_strip_hold {
    uint64_t captured; /* so far */
    uint64_t left;     /* nothing: it has ended */
    uint64_t version;  /* as of a struct hf_hold */
};

/* The holds that a strip knows: those of `holds`, and behind them one for each row, which matters if the row opens one. */
static inline size_t hf_strip_hold_count(const struct hf_strip *strip)
{
    return (size_t)strip->holds.count + strip->count;
}
/* Which of them does row k open or settle? */
uint32_t hf_strip_hold_number(const struct hf_strip *strip, uint32_t k);
/* As it was before the rows that settle it. */
struct hf_strip_hold hf_strip_hold_begin(const struct hf_strip *strip, uint32_t number);
/* Row k settles it. */
void hf_strip_hold_pass(const struct hf_strip *strip, uint32_t k, struct hf_strip_hold *hold);
/* Makes the event, whose sides are there, one of row k about a hold of this asset; `hold` is as that row leaves it. false:
 * memory is short. */
bool hf_strip_hold_tell(const struct hf_commit *commit, uint32_t k,
                        const struct hf_strip_hold *hold, const struct hf_asset *asset,
                        struct hf_event *event);

uint64_t hf_strip_holds_bound(const struct hf_strip_holds *holds);
void hf_code_strip_holds(struct hf_codec *codec, struct hf_strip_holds *holds);
/* Do the rows name kinds and holds that there are? */
bool hf_strip_holds_exist(const struct hf_strip *strip);
/* Do they follow from each other, and is all of it what an encoder writes? false may also be short memory. */
bool hf_strip_holds_fit(struct hf_codec *codec, const struct hf_strip *strip);

#endif
