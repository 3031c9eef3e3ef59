/*
 * JSON (RFC 8259), strictly: a pull parser, the canonical form, merge patch, strings out.
 *
 * Owns: nothing but what grows in the caller's arena. Must never: know the subject of a text,
 * recurse, read outside of the text, accept what another reader could understand otherwise.
 * Called by: decoders of commands, documents and events; the renderer of answers.
 *
 * Invariants:
 * 1. Tokens point into the caller's text, which must live and stay unchanged as long as they are
 *    used. Nothing is copied unless a string has an escape and its meaning is asked for.
 * 2. A text is valid only if the reader came to HF_JSON_END. Before that a caller may act on
 *    nothing it has read: an object of more than HF_JSON_NAMES_SMALL members is searched for
 *    repeated names only at its end.
 * 3. Refused besides bad grammar: bytes that are not UTF-8 (overlong forms and surrogates too), a
 *    byte order mark, raw control characters in strings, half surrogate pairs by \u escapes, a name
 *    twice in one object (compared after unescaping), more than HF_JSON_DEPTH_MAX nested arrays and
 *    objects, texts above HF_JSON_TEXT_BYTES_MAX. \u0000 is accepted: strings have a length.
 * 4. A number is its lexeme: never a float, no bound on its digits or exponent.
 * 5. The time is O(n log n) in the text's length, whatever the text.
 */
#ifndef HF_BASE_JSON_H
#define HF_BASE_JSON_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/errors.h"
#include "base/limits.h"
#include "base/types.h"

#define HF_JSON_TEXT_BYTES_MAX 0x7FFFFFFFu
#define HF_JSON_NAMES_SMALL    32 /* up to here each new name is compared with those before it */

enum hf_json_token {
    HF_JSON_NONE,         /* nothing was read yet */
    HF_JSON_OBJECT_BEGIN, /* { */
    HF_JSON_OBJECT_END,   /* } */
    HF_JSON_ARRAY_BEGIN,  /* [ */
    HF_JSON_ARRAY_END,    /* ] */
    HF_JSON_NAME,         /* a member's name; its value comes next */
    HF_JSON_STRING,
    HF_JSON_NUMBER,
    HF_JSON_TRUE,
    HF_JSON_FALSE,
    HF_JSON_NULL,
    HF_JSON_END,   /* the whole text was read and is valid; stays */
    HF_JSON_ERROR, /* see hf_json_error; stays */
};

/* A member's name inside a text. Private to the json files. */
struct hf_json_name {
    uint64_t key;          /* its first 8 bytes after unescaping, big-endian, zeros behind */
    uint32_t offset;       /* of the first byte behind the quote, in the text */
    uint32_t len_bytes;    /* raw length between the quotes */
    uint32_t member_index; /* for the one who sorts; the reader leaves it 0 */
    bool escaped;          /* there is a backslash in it */
};

/* Callers read token, raw, escaped and start; the rest is the reader's own. It holds pointers into
 * itself: not to be copied or moved. */
struct hf_json {
    enum hf_json_token token; /* what hf_json_next returned last */
    bool escaped;             /* of NAME and STRING: raw has escapes */
    uint8_t state;            /* what the grammar allows next */
    struct hf_str raw;        /* NAME, STRING: between the quotes; else the token's bytes */
    const char *start;        /* first byte of the token, the quote included */
    const char *next;         /* first byte not read yet */
    const char *end;          /* behind the text */
    const char *text;         /* first byte of the text */
    struct hf_arena *arena;   /* where names and scratch grow; borrowed */

    enum hf_err error_code; /* of HF_JSON_ERROR */
    const char *error_what; /* in words, static */
    size_t error_offset;    /* byte in the text */

    uint64_t kinds; /* bit per open container, the innermost is bit 0: 1 = object */
    uint32_t depth; /* open containers */

    /* Names of the members seen in all open objects; outer objects first. */
    struct hf_json_name *names;              /* names_inline, or in the arena */
    uint32_t names_count;                    /* used */
    uint32_t names_capacity;                 /* room */
    struct hf_json_name *scratch;            /* for sorting, in the arena; NULL until needed */
    uint32_t scratch_capacity;               /* room */
    uint32_t names_first[HF_JSON_DEPTH_MAX]; /* by depth: names_count as it began */
    struct hf_json_name names_inline[HF_JSON_NAMES_SMALL]; /* enough for ordinary texts */
};

/*
 * Reading. A typical decoder:
 *
 *   hf_json_init(&json, text, &arena);
 *   if (hf_json_next(&json) != HF_JSON_OBJECT_BEGIN) …
 *   while (hf_json_next(&json) == HF_JSON_NAME) {
 *       if (hf_json_is(&json, HF_STR("id"))) {
 *           if (hf_json_next(&json) != HF_JSON_STRING) {
 *               hf_json_refuse(&json, "id must be a string");
 *               break;
 *           }
 *           id = hf_json_string(&json, &arena);
 *       } else if (hf_json_is(&json, HF_STR("data"))) {
 *           (void)hf_json_skip(&json, &data);
 *       } else {
 *           hf_json_refuse(&json, "unknown member");
 *       }
 *   }
 *   if (hf_json_next(&json) != HF_JSON_END) {
 *       return hf_json_error(&json, error);
 *   }
 */
void hf_json_init(struct hf_json *json, struct hf_str text, struct hf_arena *arena);

/* The next token. After END and ERROR the same again. */
enum hf_json_token hf_json_next(struct hf_json *json);

/*
 * Passes over one whole value and gives its bytes as they stand in the text, without the white
 * space around it: the value that the current token begins, or the next value if the current token
 * is NAME or NONE. The current token must not be an end. false if it is invalid (token = ERROR);
 * then *raw is absent. raw may be NULL.
 */
bool hf_json_skip(struct hf_json *json, struct hf_str *raw);

/* Is the current NAME or STRING, unescaped, equal to text? */
bool hf_json_is(const struct hf_json *json, struct hf_str text);

/* The current NAME or STRING unescaped: a part of the text if it has no escape, else in arena.
 * ptr NULL if memory is short. */
struct hf_str hf_json_string(const struct hf_json *json, struct hf_arena *arena) HF_WARN_UNUSED;

/* Number lexemes. Strict integers: no sign (signed: "-" allowed, "-0" refused), no point, no
 * exponent, magnitude at most HF_JSON_INTEGER_MAX. false otherwise; *value is then unchanged. */
bool hf_json_integer(struct hf_str lexeme, uint64_t *value) HF_WARN_UNUSED;
bool hf_json_integer_signed(struct hf_str lexeme, int64_t *value) HF_WARN_UNUSED;

/* The caller refuses the current token: next is ERROR from now on (code INVALID_REQUEST), with the
 * token's offset. what is static. Does nothing if there is an error already. */
void hf_json_refuse(struct hf_json *json, const char *what);

/* Code and text ("JSON: byte 17: …") of the error; HF_ERR_OK if there is none. INVALID_REQUEST,
 * TOO_LARGE or NO_MEMORY. error may be NULL. */
enum hf_err hf_json_error(const struct hf_json *json, struct hf_error *error);

/* Is text one valid JSON value with nothing but white space around it? Codes as hf_json_error. */
enum hf_err hf_json_validate(struct hf_str text, struct hf_error *error) HF_WARN_UNUSED;

/*
 * Appends the canonical form of a valid text. FROZEN: fingerprints are made of it, so that a change
 * would make a repeated request look like another one.
 *
 *   - no white space outside of strings;
 *   - members sorted by the bytes of their unescaped names in UTF-8, a prefix first;
 *   - in names and strings: \" \\ \b \t \n \f \r for these seven characters, \u00xx with
 *     lower-case hex for the other characters below U+0020, all else as plain UTF-8 (also "/" and
 *     U+007F, and whatever had a \u escape without need);
 *   - numbers as their lexemes (1.0, 1 and 1e0 differ), array order as it is.
 *
 * It is never longer than text. text must be valid by hf_json_validate, else the process stops.
 * false only if memory is short; then out's content is not whole (and out->failed may be false).
 */
bool hf_json_canonical(struct hf_str text, struct hf_buffer *out) HF_WARN_UNUSED;

/*
 * Appends what the merge patch makes of target (RFC 7396); target absent = there is nothing yet.
 *
 *   - members keep the target's order and names as written; new ones come last, in patch order;
 *   - a value that the patch doesn't name keeps its bytes, white space inside it too; an array or
 *     scalar of the patch is copied as written there;
 *   - an object in which the patch names members is written without white space between them,
 *     also one that is new; a patch {} leaves an object as it is;
 *   - white space around the text is dropped.
 *
 * Both texts must be valid by hf_json_validate, else the process stops. false only if memory is
 * short; then out's content is not whole (and out->failed may be false).
 * The result is never longer than both texts together, nor deeper than the deeper one.
 */
bool hf_json_merge_patch(struct hf_str target, struct hf_str patch,
                         struct hf_buffer *out) HF_WARN_UNUSED;

/* Appends text as a JSON string with its quotes, escaped as in the canonical form. A byte that is
 * not part of valid UTF-8 becomes U+FFFD, so the result is always valid. */
void hf_json_write_string(struct hf_buffer *out, struct hf_str text);

#endif
