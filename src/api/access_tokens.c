/* Edits of the tokens file: create, rotate, revoke, list. */
#include "api/access_priv.h"

#include <openssl/crypto.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/time_text.h"
#include "core/name.h"

#define SECRET_RANDOM_BYTES 32
#define PATH_BYTES_MAX      4096
#define US_PER_SECOND       1000000u
#define FRESH_ID_TRIES      1000

/* The file under its lock, while it is edited. */
struct edit {
    struct hf_outside *outside;    /* the caller's */
    const char *path;              /* of the file */
    char new_path[PATH_BYTES_MAX]; /* what is written and renamed */
    char directory[PATH_BYTES_MAX];
    struct hf_lock *lock;    /* other writers wait */
    struct hf_token_set set; /* as it is, then as it shall be */
    uint64_t now_us;         /* wall clock */
};

enum hf_err hf_tokens_read(struct hf_outside *outside, const char *path, struct hf_buffer *out,
                           struct hf_error *error)
{
    struct hf_file *file;
    uint64_t size;
    enum hf_err code = outside->open(outside, path, HF_OPEN_READ, &file, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    code = outside->size(outside, file, &size, error);
    if (code == HF_ERR_OK && size > HF_TOKENS_FILE_BYTES_MAX) {
        code = hf_error_set(error, HF_ERR_CORRUPT, "%s: larger than a tokens file can be", path);
    }
    if (code == HF_ERR_OK) {
        size_t got = 0;
        uint8_t *room = hf_buffer_extend(out, (size_t)size + 1);
        code = room == NULL ? hf_error_set(error, HF_ERR_NO_MEMORY, "read %s: out of memory", path)
                            : outside->read(outside, file, 0, room, (size_t)size, &got, error);
        out->size_bytes = got;
    }
    outside->close(outside, file);
    return code;
}

static enum hf_err load(struct hf_outside *outside, const char *path, struct hf_token_set *set,
                        struct hf_error *error)
{
    struct hf_buffer text;
    *set = (struct hf_token_set){0};
    hf_buffer_init(&text);
    enum hf_err code = hf_tokens_read(outside, path, &text, error);
    if (code == HF_ERR_NOT_FOUND) {
        code = HF_ERR_OK; /* no token yet */
    } else if (code == HF_ERR_OK) {
        code = hf_token_set_parse((struct hf_str){(const char *)text.data, text.size_bytes}, set,
                                  error);
        if (code != HF_ERR_OK) {
            (void)hf_error_wrap(error, "%s", path);
        }
    }
    hf_buffer_release(&text);
    return code;
}

static enum hf_err edit_begin(struct edit *edit, struct hf_outside *outside, const char *path,
                              struct hf_error *error)
{
    *edit = (struct edit){.outside = outside, .path = path};
    char lock_path[PATH_BYTES_MAX];
    if (strlen(path) + sizeof(".lock") > PATH_BYTES_MAX) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST,
                            "the path of the tokens file is too long");
    }
    (void)snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
    (void)snprintf(edit->new_path, sizeof(edit->new_path), "%s.new", path);
    const char *slash = strrchr(path, '/');
    (void)snprintf(edit->directory, sizeof(edit->directory), "%.*s",
                   slash == NULL ? 1 : (int)(slash - path) + (slash == path),
                   slash == NULL ? "." : path);
    enum hf_err code = outside->lock(outside, lock_path, true, &edit->lock, error);
    if (code == HF_ERR_OK) {
        code = load(outside, path, &edit->set, error);
    }
    edit->now_us = outside->wall_us(outside);
    return code;
}

static void edit_end(struct edit *edit)
{
    hf_token_set_release(&edit->set);
    edit->outside->unlock(edit->outside, edit->lock);
}

/* The new file's bytes are on the disk before it takes the old one's name. */
static enum hf_err edit_store(struct edit *edit, struct hf_error *error)
{
    struct hf_outside *outside = edit->outside;
    struct hf_file *file = NULL;
    struct hf_buffer text;
    struct hf_error ignored;
    hf_buffer_init(&text);
    hf_token_set_write(&edit->set, &text);
    enum hf_err code = HF_ERR_OK;
    if (text.failed) {
        code = hf_error_set(error, HF_ERR_NO_MEMORY, "write %s: out of memory", edit->path);
    } else if (text.size_bytes > HF_TOKENS_FILE_BYTES_MAX) {
        code = hf_error_set(error, HF_ERR_LIMIT, "the tokens file would be too large");
    } else {
        /* Left by a writer that died: the lock is ours, so nobody else's. */
        (void)outside->remove(outside, edit->new_path, &ignored);
        code = outside->open(outside, edit->new_path, HF_OPEN_CREATE_NEW, &file, error);
    }
    if (code == HF_ERR_OK) {
        code = outside->write(outside, file, 0, text.data, text.size_bytes, error);
    }
    if (code == HF_ERR_OK) {
        code = outside->sync(outside, file, error);
    }
    outside->close(outside, file);
    if (code == HF_ERR_OK) {
        code = outside->rename(outside, edit->new_path, edit->path, error);
    } else if (file != NULL) {
        (void)outside->remove(outside, edit->new_path, &ignored);
    }
    if (code == HF_ERR_OK) {
        code = outside->sync_directory(outside, edit->directory, error);
    }
    hf_buffer_release(&text);
    return code;
}

static struct hf_token_entry *edit_find(struct edit *edit, const char *id, struct hf_error *error)
{
    for (size_t i = 0; i < edit->set.count; i++) {
        if (hf_str_equal(edit->set.entries[i].id, hf_str_from(id))) {
            return &edit->set.entries[i];
        }
    }
    (void)hf_error_set(error, HF_ERR_NOT_FOUND, "no token has the id %.20s", id);
    return NULL;
}

/* "hft_" and base64url without padding of 32 bytes: 43 characters, the last of them with 4 bits. */
static void make_secret(struct hf_outside *outside, char secret[HF_TOKEN_SECRET_BYTES])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t bytes[SECRET_RANDOM_BYTES + 1] = {0};
    outside->random(outside, bytes, SECRET_RANDOM_BYTES);
    memcpy(secret, "hft_", 4);
    for (unsigned i = 0; i < HF_TOKEN_SECRET_TEXT - 4; i++) {
        unsigned bit = i * 6;
        unsigned pair = (unsigned)bytes[bit / 8] << 8 | bytes[bit / 8 + 1];
        secret[4 + i] = digits[pair >> (10 - bit % 8) & 63];
    }
    secret[HF_TOKEN_SECRET_TEXT] = 0;
    OPENSSL_cleanse(bytes, sizeof(bytes));
}

static enum hf_err make_id(struct edit *edit, char id[HF_TOKEN_ID_BYTES], struct hf_error *error)
{
    for (unsigned tries = 0; tries < FRESH_ID_TRIES; tries++) {
        uint8_t bytes[4];
        struct hf_error none = {0};
        edit->outside->random(edit->outside, bytes, sizeof(bytes));
        (void)snprintf(id, HF_TOKEN_ID_BYTES, "%02x%02x%02x%02x", bytes[0], bytes[1], bytes[2],
                       bytes[3]);
        if (edit_find(edit, id, &none) == NULL) {
            return HF_ERR_OK;
        }
    }
    return hf_error_set(error, HF_ERR_LIMIT, "no free token id was found");
}

/* Puts entry at the end, with a fresh id and secret. The texts of entry are borrowed. */
static enum hf_err edit_add(struct edit *edit, struct hf_token_entry *entry,
                            char id[HF_TOKEN_ID_BYTES], char secret[HF_TOKEN_SECRET_BYTES],
                            struct hf_error *error)
{
    struct hf_token_set *set = &edit->set;
    if (set->count >= HF_TOKENS_MAX) {
        return hf_error_set(error, HF_ERR_LIMIT, "there are %d tokens: revoke some", HF_TOKENS_MAX);
    }
    enum hf_err code = make_id(edit, id, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    struct hf_token_entry *entries =
        hf_arena_alloc_zero(&set->arena, set->count + 1, sizeof(struct hf_token_entry));
    if (entries == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    if (set->count > 0) {
        memcpy(entries, set->entries, set->count * sizeof(struct hf_token_entry));
    }
    make_secret(edit->outside, secret);
    entry->id = hf_str_from(id);
    entry->created_us = edit->now_us;
    entry->digest = hf_sha256(secret, HF_TOKEN_SECRET_TEXT);
    entries[set->count] = *entry;
    set->entries = entries;
    set->count++;
    return HF_ERR_OK;
}

static enum hf_err take_names(const struct hf_token *token, struct hf_arena *arena,
                              struct hf_token_entry *entry, struct hf_error *error)
{
    if (token->names == NULL) {
        return HF_ERR_OK;
    }
    if (token->name_count == 0 || token->name_count > HF_TOKEN_NAMES_MAX) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST, "1 to %d names", HF_TOKEN_NAMES_MAX);
    }
    struct hf_str *names = hf_arena_alloc_zero(arena, token->name_count, sizeof(*names));
    if (names == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < token->name_count; i++) {
        names[i] = hf_str_from(token->names[i]);
        if (!hf_name_pattern_valid(names[i])) {
            return hf_error_set(error, HF_ERR_INVALID_REQUEST,
                                "%.140s is neither a name, nor a prefix that ends in one of "
                                ". : / - _ ~ @ + = , nor *",
                                token->names[i]);
        }
        struct hf_name name = {.text = names[i]};
        if (hf_name_valid(names[i]) && !hf_name_make(names[i], arena, &name)) {
            return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
        }
        names[i] = name.text; /* the 8-4-4-4-12 form folded, as requests' names are */
    }
    entry->names = names;
    entry->name_count = token->name_count;
    return HF_ERR_OK;
}

static enum hf_err take_token(const struct hf_token *token, struct hf_arena *arena,
                              struct hf_token_entry *entry, struct hf_error *error)
{
    entry->principal = hf_str_from(token->principal);
    entry->scopes = token->scopes;
    entry->expires_us = UINT64_MAX;
    if (!hf_principal_valid(entry->principal)) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST,
                            "a principal has 1 to %d printable characters without space",
                            HF_PRINCIPAL_BYTES_MAX);
    }
    if (token->scopes == 0 || (token->scopes & ~(unsigned)HF_SCOPES_ALL) != 0) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST,
                            "scopes are read, commit, operate, admin");
    }
    if (token->expires_at != NULL &&
        !hf_time_parse(hf_str_from(token->expires_at), &entry->expires_us)) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST, "%.40s is no time as RFC 3339 has it",
                            token->expires_at);
    }
    return take_names(token, arena, entry, error);
}

enum hf_err hf_tokens_create(struct hf_outside *outside, const char *path,
                             const struct hf_token *token, char id[HF_TOKEN_ID_BYTES],
                             char secret[HF_TOKEN_SECRET_BYTES], struct hf_error *error)
{
    struct edit edit;
    struct hf_token_entry entry = {0};
    enum hf_err code = edit_begin(&edit, outside, path, error);
    id[0] = secret[0] = 0;
    if (code == HF_ERR_OK) {
        code = take_token(token, &edit.set.arena, &entry, error);
    }
    if (code == HF_ERR_OK && entry.expires_us <= edit.now_us) {
        code = hf_error_set(error, HF_ERR_INVALID_REQUEST, "it would have ended already");
    }
    if (code == HF_ERR_OK) {
        code = edit_add(&edit, &entry, id, secret, error);
    }
    if (code == HF_ERR_OK) {
        code = edit_store(&edit, error);
    }
    if (code != HF_ERR_OK) {
        OPENSSL_cleanse(secret, HF_TOKEN_SECRET_BYTES);
    }
    edit_end(&edit);
    return code;
}

enum hf_err hf_tokens_rotate(struct hf_outside *outside, const char *path, const char *id,
                             uint64_t grace_seconds, char new_id[HF_TOKEN_ID_BYTES],
                             char secret[HF_TOKEN_SECRET_BYTES], struct hf_error *error)
{
    struct edit edit;
    struct hf_token_entry *old = NULL;
    struct hf_token_entry entry = {0};
    enum hf_err code = edit_begin(&edit, outside, path, error);
    new_id[0] = secret[0] = 0;
    if (code == HF_ERR_OK && (old = edit_find(&edit, id, error)) == NULL) {
        code = HF_ERR_NOT_FOUND;
    }
    if (code == HF_ERR_OK && hf_str_present(old->replaced_by)) {
        code = hf_error_set(error, HF_ERR_INVALID_REQUEST, "%s was replaced by %.*s already", id,
                            (int)old->replaced_by.len, old->replaced_by.ptr);
    } else if (code == HF_ERR_OK && old->expires_us <= edit.now_us) {
        code = hf_error_set(error, HF_ERR_INVALID_REQUEST, "%s has ended: create a new one", id);
    }
    if (code == HF_ERR_OK) {
        entry = *old;
        if (old->expires_us != UINT64_MAX) {
            uint64_t lifetime_us = old->expires_us > old->created_us
                                       ? old->expires_us - old->created_us
                                       : old->expires_us - edit.now_us;
            entry.expires_us = hf_min_u64(HF_TIME_US_MAX, edit.now_us + lifetime_us);
        }
        code = edit_add(&edit, &entry, new_id, secret, error);
    }
    if (code == HF_ERR_OK) {
        uint64_t grace_us =
            hf_min_u64(grace_seconds, HF_TIME_US_MAX / US_PER_SECOND) * US_PER_SECOND;
        old = edit_find(&edit, id, error); /* the entries moved */
        old->replaced_by = hf_str_from(new_id);
        old->expires_us =
            hf_min_u64(old->expires_us, hf_min_u64(HF_TIME_US_MAX, edit.now_us + grace_us));
        code = edit_store(&edit, error);
    }
    if (code != HF_ERR_OK) {
        OPENSSL_cleanse(secret, HF_TOKEN_SECRET_BYTES);
    }
    edit_end(&edit);
    return code;
}

enum hf_err hf_tokens_revoke(struct hf_outside *outside, const char *path, const char *id,
                             struct hf_error *error)
{
    struct edit edit;
    struct hf_token_entry *entry = NULL;
    enum hf_err code = edit_begin(&edit, outside, path, error);
    if (code == HF_ERR_OK && (entry = edit_find(&edit, id, error)) == NULL) {
        code = HF_ERR_NOT_FOUND;
    }
    if (code == HF_ERR_OK) {
        size_t behind = (size_t)(edit.set.entries + edit.set.count - (entry + 1));
        memmove(entry, entry + 1, behind * sizeof(*entry));
        edit.set.count--;
        code = edit_store(&edit, error);
    }
    edit_end(&edit);
    return code;
}

/* Names and texts as C strings, in the set's arena. false if memory is short. */
static bool show(struct hf_token_set *set, const struct hf_token_entry *entry,
                 struct hf_token *token)
{
    char *times = hf_arena_alloc_zero(&set->arena, 2, HF_TIME_TEXT_BYTES);
    char *texts = hf_arena_alloc_zero(&set->arena, 1, entry->principal.len + 1);
    char *ids = hf_arena_alloc_zero(&set->arena, 2, HF_TOKEN_ID_BYTES);
    const char **names = hf_arena_alloc_zero(&set->arena, entry->name_count + 1, sizeof(*names));
    if (times == NULL || texts == NULL || ids == NULL || names == NULL) {
        return false;
    }
    memcpy(texts, entry->principal.ptr, entry->principal.len);
    memcpy(ids, entry->id.ptr, entry->id.len);
    *token = (struct hf_token){.id = ids, .principal = texts, .scopes = entry->scopes};
    for (size_t i = 0; i < entry->name_count; i++) {
        char *name = hf_arena_alloc_zero(&set->arena, 1, entry->names[i].len + 1);
        if (name == NULL) {
            return false;
        }
        memcpy(name, entry->names[i].ptr, entry->names[i].len);
        names[i] = name;
    }
    token->names = entry->names == NULL ? NULL : names;
    token->name_count = entry->name_count;
    hf_time_format(entry->created_us, times);
    token->created_at = times;
    if (entry->expires_us != UINT64_MAX) {
        hf_time_format(entry->expires_us, times + HF_TIME_TEXT_BYTES);
        token->expires_at = times + HF_TIME_TEXT_BYTES;
    }
    if (hf_str_present(entry->replaced_by)) {
        memcpy(ids + HF_TOKEN_ID_BYTES, entry->replaced_by.ptr, entry->replaced_by.len);
        token->replaced_by = ids + HF_TOKEN_ID_BYTES;
    }
    return true;
}

enum hf_err hf_tokens_list(struct hf_outside *outside, const char *path,
                           void (*each)(void *context, const struct hf_token *token), void *context,
                           struct hf_error *error)
{
    struct hf_token_set set;
    enum hf_err code = load(outside, path, &set, error); /* a rename replaces it whole: no lock */
    for (size_t i = 0; code == HF_ERR_OK && i < set.count; i++) {
        struct hf_token token;
        if (show(&set, &set.entries[i], &token)) {
            each(context, &token);
        } else {
            code = hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
        }
    }
    hf_token_set_release(&set);
    return code;
}
