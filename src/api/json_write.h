/*
 * Writing JSON: commas, names and the value forms that the contract fixes.
 *
 * Owns: nothing; appends to the caller's buffer. Must never: add white space, or change how a value
 * looks (recorded answers are rendered again, byte for byte). Called by: the renderers of api and cli.
 *
 * Amounts and balances are decimal strings, versions and positions integers, times RFC 3339 with µs.
 */
#ifndef HF_API_JSON_WRITE_H
#define HF_API_JSON_WRITE_H

#include "base/buffer.h"
#include "base/types.h"

struct hf_json_writer {
    struct hf_buffer *to; /* the text so far; look at its `failed` at the end */
    bool comma;           /* the next member or item needs one before it */
};

static inline struct hf_json_writer hf_json_writer_over(struct hf_buffer *to)
{
    return (struct hf_json_writer){.to = to};
}

/* name NULL: an item of an array, or the text itself; else a member. Names are plain ASCII. */
void hf_json_begin_object(struct hf_json_writer *w, const char *name);
void hf_json_end_object(struct hf_json_writer *w);
void hf_json_begin_array(struct hf_json_writer *w, const char *name);
void hf_json_end_array(struct hf_json_writer *w);

void hf_json_put_text(struct hf_json_writer *w, const char *name, struct hf_str text);
void hf_json_put_number(struct hf_json_writer *w, const char *name, uint64_t number);
void hf_json_put_amount(struct hf_json_writer *w, const char *name, hf_u128 amount);
void hf_json_put_balance(struct hf_json_writer *w, const char *name, hf_i128 balance);
void hf_json_put_bool(struct hf_json_writer *w, const char *name, bool value);
void hf_json_put_time(struct hf_json_writer *w, const char *name, uint64_t time_us);
void hf_json_put_null(struct hf_json_writer *w, const char *name);
/* JSON as it stands; null if it is absent. */
void hf_json_put_raw(struct hf_json_writer *w, const char *name, struct hf_str json);

#endif
