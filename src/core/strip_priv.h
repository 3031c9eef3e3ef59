/* What the commit's codec needs of strips (core/strip.h). */
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
/* Reads a strip of `count` transfers; NULL: the codec tells what was wrong. */
const struct hf_strip *hf_read_strip(struct hf_codec *codec, const struct hf_commit *commit,
                                     uint32_t count);

#endif
