/* The tokens file: its bytes to a set and back, and the search by secret. */
#include "api/access_priv.h"

#include <openssl/crypto.h>

#include "api/json_write.h"
#include "base/alloc.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/time_text.h"
#include "core/name.h"

#define FORMAT          1u
#define SCOPE_COUNT     4
#define TOKEN_ID_LENGTH (HF_TOKEN_ID_BYTES - 1)

static const char *const scope_names[SCOPE_COUNT] = {"read", "commit", "operate", "admin"};

bool hf_scope_parse(struct hf_str text, unsigned *scope)
{
    *scope = 0;
    for (unsigned i = 0; i < SCOPE_COUNT; i++) {
        if (hf_str_equal(text, hf_str_from(scope_names[i]))) {
            *scope = 1u << i;
            return true;
        }
    }
    return false;
}

void hf_scopes_format(unsigned scopes, char text[HF_SCOPES_TEXT_BYTES])
{
    size_t used = 0;
    text[0] = 0;
    for (unsigned i = 0; i < SCOPE_COUNT; i++) {
        if ((scopes & (1u << i)) != 0) {
            int wrote = snprintf(text + used, HF_SCOPES_TEXT_BYTES - used, "%s%s",
                                 used == 0 ? "" : ",", scope_names[i]);
            used += (size_t)wrote; /* all four and their commas are 25 bytes */
        }
    }
}

bool hf_name_pattern_valid(struct hf_str pattern)
{
    if (hf_str_equal(pattern, HF_STR("*"))) {
        return true;
    }
    /* The names that the server gives begin with "~"; assets have a slash. */
    struct hf_asset asset;
    bool given = pattern.len > 0 && pattern.ptr[0] == '~';
    struct hf_str rest = given ? (struct hf_str){pattern.ptr + 1, pattern.len - 1} : pattern;
    if ((given && rest.len == 0) || hf_name_valid(rest) || hf_asset_parse(pattern, &asset)) {
        return true;
    }
    if (pattern.len < 2 || pattern.ptr[pattern.len - 1] != '/') {
        return false;
    }
    return hf_name_valid((struct hf_str){pattern.ptr, pattern.len - 1}); /* "USD/" */
}

void hf_token_set_release(struct hf_token_set *set)
{
    hf_arena_release(&set->arena);
    *set = (struct hf_token_set){0};
}

static int compare_digests(const void *a, const void *b)
{
    const struct hf_token_entry *const *left = a;
    const struct hf_token_entry *const *right = b;
    return memcmp((*left)->digest.bytes, (*right)->digest.bytes, HF_SHA256_BYTES);
}

void hf_token_set_sort(struct hf_token_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        set->by_digest[i] = &set->entries[i];
    }
    if (set->count > 1) {
        qsort(set->by_digest, set->count, sizeof(struct hf_token_entry *), compare_digests);
    }
}

const struct hf_token_entry *hf_token_set_find(const struct hf_token_set *set, struct hf_str secret)
{
    struct hf_hash digest = hf_sha256(secret.ptr, secret.len);
    size_t low = 0;
    size_t high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(set->by_digest[middle]->digest.bytes, digest.bytes, HF_SHA256_BYTES) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == set->count ||
        CRYPTO_memcmp(set->by_digest[low]->digest.bytes, digest.bytes, HF_SHA256_BYTES) != 0) {
        return NULL;
    }
    return set->by_digest[low];
}

/* A lower-case hex text of exactly size_bytes bytes. */
static bool parse_hex(struct hf_str text, uint8_t *bytes, size_t size_bytes)
{
    if (text.len != 2 * size_bytes) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        unsigned digit;
        if (c >= '0' && c <= '9') {
            digit = (unsigned)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (unsigned)(c - 'a') + 10;
        } else {
            return false;
        }
        bytes[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : bytes[i / 2] | digit);
    }
    return true;
}

static bool token_id_valid(struct hf_str text)
{
    uint8_t bytes[TOKEN_ID_LENGTH / 2];
    return parse_hex(text, bytes, sizeof(bytes));
}

bool hf_principal_valid(struct hf_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < 0x21 || text.ptr[i] > 0x7E) {
            return false;
        }
    }
    return text.len > 0 && text.len <= HF_PRINCIPAL_BYTES_MAX;
}

/* Reads a string into *text (copied into arena), or null as absent if that may be. */
static bool read_text(struct hf_json *json, struct hf_arena *arena, bool may_be_null,
                      struct hf_str *text)
{
    enum hf_json_token token = hf_json_next(json);
    *text = HF_STR_NONE;
    if (token == HF_JSON_NULL && may_be_null) {
        return true;
    }
    if (token != HF_JSON_STRING) {
        return false;
    }
    struct hf_str plain = hf_json_string(json, arena);
    *text = hf_str_present(plain) ? hf_arena_copy(arena, plain) : HF_STR_NONE;
    return hf_str_present(*text);
}

static bool read_time(struct hf_json *json, struct hf_arena *arena, uint64_t absent, uint64_t *time)
{
    struct hf_str text;
    *time = absent;
    if (!read_text(json, arena, absent != 0, &text)) {
        return false;
    }
    if (hf_str_present(text) && !hf_time_parse(text, time)) {
        return false;
    }
    return true;
}

static bool read_scopes(struct hf_json *json, struct hf_arena *arena, unsigned *scopes)
{
    *scopes = 0;
    if (hf_json_next(json) != HF_JSON_ARRAY_BEGIN) {
        return false;
    }
    enum hf_json_token token;
    while ((token = hf_json_next(json)) == HF_JSON_STRING) {
        unsigned scope;
        struct hf_str text = hf_json_string(json, arena);
        if (!hf_scope_parse(text, &scope)) {
            return false;
        }
        *scopes |= scope;
    }
    return token == HF_JSON_ARRAY_END && *scopes != 0;
}

/* An array with room for one more: itself, or at each power of two a copy of twice the size. NULL if memory is
 * short. */
static void *grow(struct hf_arena *arena, void *array, size_t count, size_t item_bytes)
{
    if (array != NULL && (count & (count - 1)) != 0) {
        return array;
    }
    void *more = hf_arena_alloc_zero(arena, count == 0 ? 1 : 2 * count, item_bytes);
    if (more != NULL && array != NULL) {
        memcpy(more, array, count * item_bytes);
    }
    return more;
}

static bool read_names(struct hf_json *json, struct hf_arena *arena, struct hf_token_entry *entry)
{
    enum hf_json_token token = hf_json_next(json);
    if (token == HF_JSON_NULL) {
        return true;
    }
    if (token != HF_JSON_ARRAY_BEGIN) {
        return false;
    }
    struct hf_str *names = NULL;
    size_t count = 0;
    while ((token = hf_json_next(json)) == HF_JSON_STRING && count < HF_TOKEN_NAMES_MAX) {
        struct hf_str text = hf_json_string(json, arena);
        text = hf_str_present(text) ? hf_arena_copy(arena, text) : text;
        if (!hf_str_present(text) || !hf_name_pattern_valid(text)) {
            return false;
        }
        names = grow(arena, names, count, sizeof(*names));
        if (names == NULL) {
            return false;
        }
        names[count++] = text;
    }
    entry->names = names;
    entry->name_count = count;
    return token == HF_JSON_ARRAY_END && count > 0;
}

/* The value of one member of a token. */
static bool read_member(struct hf_json *json, struct hf_arena *arena, struct hf_token_entry *entry)
{
    struct hf_str text;
    if (hf_json_is(json, HF_STR("id"))) {
        return read_text(json, arena, false, &entry->id) && token_id_valid(entry->id);
    }
    if (hf_json_is(json, HF_STR("principal"))) {
        return read_text(json, arena, false, &entry->principal) &&
               hf_principal_valid(entry->principal);
    }
    if (hf_json_is(json, HF_STR("scopes"))) {
        return read_scopes(json, arena, &entry->scopes);
    }
    if (hf_json_is(json, HF_STR("names"))) {
        return read_names(json, arena, entry);
    }
    if (hf_json_is(json, HF_STR("created_at"))) {
        return read_time(json, arena, 0, &entry->created_us);
    }
    if (hf_json_is(json, HF_STR("expires_at"))) {
        return read_time(json, arena, UINT64_MAX, &entry->expires_us);
    }
    if (hf_json_is(json, HF_STR("replaced_by"))) {
        return read_text(json, arena, true, &entry->replaced_by) &&
               (!hf_str_present(entry->replaced_by) || token_id_valid(entry->replaced_by));
    }
    if (hf_json_is(json, HF_STR("sha256"))) {
        return read_text(json, arena, false, &text) &&
               parse_hex(text, entry->digest.bytes, HF_SHA256_BYTES);
    }
    return false;
}

/* Members come once (the reader sees to that), so eight of them are all of them. */
static bool read_entry(struct hf_json *json, struct hf_arena *arena, struct hf_token_entry *entry)
{
    unsigned members = 0;
    enum hf_json_token token;
    while ((token = hf_json_next(json)) == HF_JSON_NAME) {
        if (!read_member(json, arena, entry)) {
            return false;
        }
        members++;
    }
    return token == HF_JSON_OBJECT_END && members == 8;
}

/* raw: the bytes of the array, whose grammar was checked already. */
static bool read_entries(struct hf_str raw, struct hf_token_set *set)
{
    struct hf_json json;
    struct hf_token_entry *entries = NULL;
    hf_json_init(&json, raw, &set->arena);
    if (hf_json_next(&json) != HF_JSON_ARRAY_BEGIN) {
        return false;
    }
    enum hf_json_token token;
    while ((token = hf_json_next(&json)) == HF_JSON_OBJECT_BEGIN && set->count < HF_TOKENS_MAX) {
        entries = grow(&set->arena, entries, set->count, sizeof(struct hf_token_entry));
        if (entries == NULL || !read_entry(&json, &set->arena, &entries[set->count])) {
            return false;
        }
        set->count++;
    }
    set->entries = entries;
    set->by_digest = hf_arena_alloc_zero(&set->arena, set->count + 1, sizeof(void *));
    return token == HF_JSON_ARRAY_END && hf_json_next(&json) == HF_JSON_END &&
           set->by_digest != NULL;
}

/* The file's outer object. *tokens: the array's bytes. */
static bool read_outer(struct hf_json *json, struct hf_arena *arena, struct hf_str *tokens,
                       struct hf_hash *checksum)
{
    uint64_t format = 0;
    bool has_checksum = false;
    *tokens = HF_STR_NONE;
    if (hf_json_next(json) != HF_JSON_OBJECT_BEGIN) {
        return false;
    }
    while (hf_json_next(json) == HF_JSON_NAME) {
        struct hf_str text;
        if (hf_json_is(json, HF_STR("format"))) {
            if (hf_json_next(json) != HF_JSON_NUMBER || !hf_json_integer(json->raw, &format)) {
                return false;
            }
        } else if (hf_json_is(json, HF_STR("checksum"))) {
            has_checksum = read_text(json, arena, false, &text) &&
                           parse_hex(text, checksum->bytes, HF_SHA256_BYTES);
        } else if (!hf_json_is(json, HF_STR("tokens")) || !hf_json_skip(json, tokens)) {
            return false;
        }
    }
    return hf_json_next(json) == HF_JSON_END && format == FORMAT && has_checksum &&
           hf_str_present(*tokens);
}

enum hf_err hf_token_set_parse(struct hf_str text, struct hf_token_set *set, struct hf_error *error)
{
    struct hf_json json;
    struct hf_str tokens;
    struct hf_hash checksum;
    *set = (struct hf_token_set){0};
    hf_arena_init(&set->arena);
    hf_json_init(&json, text, &set->arena);
    const char *what = NULL;
    if (!read_outer(&json, &set->arena, &tokens, &checksum)) {
        what = "it has not the form of a tokens file";
    } else {
        struct hf_hash found = hf_sha256(tokens.ptr, tokens.len);
        what = !hf_hash_equal(&found, &checksum) ? "its checksum is wrong"
               : !read_entries(tokens, set)      ? "a token in it is not whole, or memory is short"
                                                 : NULL;
    }
    if (what != NULL) {
        hf_token_set_release(set);
        return hf_error_set(error, HF_ERR_CORRUPT, "%s", what);
    }
    hf_token_set_sort(set);
    return HF_ERR_OK;
}

static void write_entry(struct hf_json_writer *w, const struct hf_token_entry *entry)
{
    char hex[2 * HF_SHA256_BYTES + 1];
    hf_hash_hex(&entry->digest, hex);
    hf_json_begin_object(w, NULL);
    hf_json_put_text(w, "id", entry->id);
    hf_json_put_text(w, "principal", entry->principal);
    hf_json_begin_array(w, "scopes");
    for (unsigned i = 0; i < SCOPE_COUNT; i++) {
        if ((entry->scopes & (1u << i)) != 0) {
            hf_json_put_text(w, NULL, hf_str_from(scope_names[i]));
        }
    }
    hf_json_end_array(w);
    if (entry->names == NULL) {
        hf_json_put_null(w, "names");
    } else {
        hf_json_begin_array(w, "names");
        for (size_t i = 0; i < entry->name_count; i++) {
            hf_json_put_text(w, NULL, entry->names[i]);
        }
        hf_json_end_array(w);
    }
    hf_json_put_time(w, "created_at", entry->created_us);
    if (entry->expires_us == UINT64_MAX) {
        hf_json_put_null(w, "expires_at");
    } else {
        hf_json_put_time(w, "expires_at", entry->expires_us);
    }
    if (hf_str_present(entry->replaced_by)) {
        hf_json_put_text(w, "replaced_by", entry->replaced_by);
    } else {
        hf_json_put_null(w, "replaced_by");
    }
    hf_json_put_text(w, "sha256", hf_str_from(hex));
    hf_json_end_object(w);
}

void hf_token_set_write(const struct hf_token_set *set, struct hf_buffer *out)
{
    struct hf_buffer tokens;
    hf_buffer_init(&tokens);
    struct hf_json_writer w = hf_json_writer_over(&tokens);
    hf_json_begin_array(&w, NULL);
    for (size_t i = 0; i < set->count; i++) {
        write_entry(&w, &set->entries[i]);
    }
    hf_json_end_array(&w);
    char hex[2 * HF_SHA256_BYTES + 1];
    struct hf_hash checksum = hf_sha256(tokens.data, tokens.size_bytes);
    hf_hash_hex(&checksum, hex);
    w = hf_json_writer_over(out);
    hf_json_begin_object(&w, NULL);
    hf_json_put_number(&w, "format", FORMAT);
    hf_json_put_text(&w, "checksum", hf_str_from(hex));
    hf_json_put_raw(&w, "tokens", (struct hf_str){(const char *)tokens.data, tokens.size_bytes});
    hf_json_end_object(&w);
    hf_buffer_u8(out, '\n');
    out->failed = out->failed || tokens.failed;
    hf_buffer_release(&tokens);
}
