/*
 * JSON objects into structs of flat fields, strictly: a table says which members there are.
 *
 * Owns: the JSON forms of members, and the pointer to the place that is being read. Must never: know what the
 * fields mean, accept a member or a form that the table does not have. Called by: decoders of commits, operations,
 * resources and saga definitions.
 *
 * A refusal is HF_ERR_INVALID_REQUEST (or the text's own error) at the place where it was found.
 */
#ifndef HF_CORE_FIELDS_JSON_H
#define HF_CORE_FIELDS_JSON_H

#include "base/json.h"
#include "core/command.h"

enum hf_member_form {
    HF_FORM_TEXT,            /* a string */
    HF_FORM_AMOUNT,          /* a decimal string, or an integer without sign */
    HF_FORM_LIMIT,           /* a decimal string or integer, perhaps signed, or null */
    HF_FORM_INTEGER,         /* an integer below 2^53 */
    HF_FORM_BOOL,            /* true or false */
    HF_FORM_RAW,             /* any value, its bytes */
    HF_FORM_COMPARISON,      /* {"gte":"1500"} */
    HF_FORM_TEXT_OR_OBJECT,  /* a string, or an object's bytes, which begin with '{' */
    HF_FORM_INTEGER_OR_TEXT, /* as INTEGER; a string goes to `text` */
};

/* How a member goes into a struct of fields: by offsets. */
struct hf_member {
    struct hf_str name;
    enum hf_member_form form;
    size_t
        value; /* of a struct hf_str; INTEGER: uint64_t; BOOL: bool; COMPARISON: struct hf_str[] */
    size_t flag; /* of a bool: LIMIT: it is null; INTEGER, BOOL, COMPARISON: it is there */
    size_t text; /* INTEGER_OR_TEXT: of a struct hf_str */
};

#define HF_MEMBER(type, member, of_form)                                                           \
    {                                                                                              \
        .name = {#member, sizeof(#member) - 1}, .form = (of_form),                                 \
        .value = offsetof(struct type, member)                                                     \
    }
#define HF_MEMBER_FLAGGED(type, member, of_form, is_there)                                         \
    {                                                                                              \
        .name = {#member, sizeof(#member) - 1}, .form = (of_form),                                 \
        .value = offsetof(struct type, member), .flag = offsetof(struct type, is_there)            \
    }

/* ---- places: JSON pointers to the value that is looked at; what does not fit is cut ---- */

#define HF_PLACE_BYTES 64

/* Down by an ASCII step without '~' and '/'; by a member's name, which anybody may have given: escaped (RFC 6901), not at all if
 * it is not whole then; by an index. Returns what hf_place_leave goes back to. */
size_t hf_place_enter(char place[HF_PLACE_BYTES], struct hf_str step);
size_t hf_place_enter_name(char place[HF_PLACE_BYTES], struct hf_str name);
size_t hf_place_enter_index(char place[HF_PLACE_BYTES], size_t index);
static inline void hf_place_leave(char place[HF_PLACE_BYTES], size_t before)
{
    place[before] = '\0';
}

/* ---- reading ---- */

/* A text that is being read. Not to be copied or moved. */
struct hf_fields_json {
    struct hf_json json;            /* where we are in the text */
    struct hf_arena *arena;         /* for strings with escapes */
    struct hf_malformed *malformed; /* filled on failure */
    char place[HF_PLACE_BYTES];     /* of the value that is being read */
};

/* place: where the text stands in a larger one, or "". No token is read yet. */
void hf_fields_init(struct hf_fields_json *reading, struct hf_str text, const char *place,
                    struct hf_arena *arena, struct hf_malformed *malformed);

/* Each fills malformed and returns false: what is wrong with the value at the place; with the text itself; with the
 * token (another than wanted, or bad text); a member that is not known (the current token, NAME, is its name). */
bool hf_fields_refuse(struct hf_fields_json *reading, const char *what);
bool hf_fields_refuse_text(struct hf_fields_json *reading);
bool hf_fields_refuse_token(struct hf_fields_json *reading, const char *wanted);
bool hf_fields_refuse_member(struct hf_fields_json *reading);

/* The member that the current token, NAME, names; NULL: none of them. */
const struct hf_member *hf_fields_find(const struct hf_fields_json *reading,
                                       const struct hf_member *members, size_t count);
/* The next value into the fields. */
bool hf_fields_take(struct hf_fields_json *reading, const struct hf_member *member,
                    void *fields) HF_WARN_UNUSED;
/* The members of the object that the current token begins. */
bool hf_fields_object(struct hf_fields_json *reading, const struct hf_member *members, size_t count,
                      void *fields) HF_WARN_UNUSED;

#endif
