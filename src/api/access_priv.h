/*
 * The tokens file in memory.
 *
 *   {"format":1,"checksum":"<SHA-256 of the bytes of the value of tokens>","tokens":[
 *     {"id":"0a1b2c3d","principal":"shop","scopes":["read","commit"],"names":null,
 *      "created_at":"…","expires_at":null,"replaced_by":null,"sha256":"<of the secret>"}, …]}
 *
 * Owns: the file's form, and a set's arena. Must never: hold a secret. Called by: access.c for requests,
 * access_tokens.c for edits; tests.
 *
 * 1. A set is whole or it is none: a wrong checksum, an unknown member or a wrong value refuse the file.
 * 2. by_digest has the order of digests (big-endian), entries the order of the file.
 */
#ifndef HF_API_ACCESS_PRIV_H
#define HF_API_ACCESS_PRIV_H

#include "api/access.h"
#include "base/sha256.h"

#define HF_TOKENS_FILE_BYTES_MAX (8u << 20)
#define HF_TOKEN_SECRET_TEXT     47 /* bytes of "hft_" and 43 characters of base64url */

struct hf_token_entry {
    struct hf_str id;           /* 8 hex digits */
    struct hf_str principal;    /* whose */
    unsigned scopes;            /* bits of enum hf_scope */
    const struct hf_str *names; /* patterns; NULL: all */
    size_t name_count;          /* of names */
    uint64_t created_us;        /* wall clock */
    uint64_t expires_us;        /* UINT64_MAX: never */
    struct hf_str replaced_by;  /* id, or absent */
    struct hf_hash digest;      /* of the secret's text */
};

struct hf_token_set {
    struct hf_arena arena;                   /* all that hangs on it */
    struct hf_token_entry *entries;          /* in the order of their making */
    const struct hf_token_entry **by_digest; /* the same, for hf_token_set_find */
    size_t count;                            /* of both */
};

/* All zero is an empty set. */
void hf_token_set_release(struct hf_token_set *set);

/* Reads and checks the file's bytes: CORRUPT or NO_MEMORY; set is empty on an error. */
enum hf_err hf_token_set_parse(struct hf_str text, struct hf_token_set *set,
                               struct hf_error *error);
/* The file's bytes; look at out->failed. */
void hf_token_set_write(const struct hf_token_set *set, struct hf_buffer *out);

/* The whole file; NOT_FOUND, TOO_LARGE as CORRUPT, IO, NO_MEMORY. */
enum hf_err hf_tokens_read(struct hf_outside *outside, const char *path, struct hf_buffer *out,
                           struct hf_error *error);

/* The entry whose secret this is, ended or not; NULL. See access.h, 5. */
const struct hf_token_entry *hf_token_set_find(const struct hf_token_set *set,
                                               struct hf_str secret);

/* 1 to HF_PRINCIPAL_BYTES_MAX bytes of U+0021 to 7E. */
bool hf_principal_valid(struct hf_str text);

/* Orders by digest, for by_digest. */
void hf_token_set_sort(struct hf_token_set *set);

#endif
