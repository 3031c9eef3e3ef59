#include "deliver/secrets.h"

#include <openssl/crypto.h>
#include <pthread.h>

#include "base/alloc.h"
#include "base/check.h"

struct secret {
    struct hf_str name, value; /* in the set's text */
};

struct set {
    char *text; /* owned; of the whole file */
    size_t text_bytes;
    struct secret items[HF_SECRETS_MAX];
    size_t count;
};

struct hf_secrets {
    pthread_mutex_t mutex;
    struct set *set; /* owned; never NULL */
    uint64_t generation;
};

static void set_free(struct set *set)
{
    if (set != NULL) {
        if (set->text != NULL) {
            OPENSSL_cleanse(set->text, set->text_bytes);
        }
        hf_free(set->text);
        hf_free(set);
    }
}

struct hf_secrets *hf_secrets_new(void)
{
    struct hf_secrets *secrets = hf_calloc(1, sizeof(*secrets));
    struct set *set = hf_calloc(1, sizeof(*set));
    if (secrets == NULL || set == NULL) {
        hf_free(set);
        hf_free(secrets);
        return NULL;
    }
    secrets->set = set;
    HF_CHECK(pthread_mutex_init(&secrets->mutex, NULL) == 0);
    return secrets;
}

void hf_secrets_free(struct hf_secrets *secrets)
{
    if (secrets != NULL) {
        set_free(secrets->set);
        HF_CHECK(pthread_mutex_destroy(&secrets->mutex) == 0);
        hf_free(secrets);
    }
}

static const struct secret *find(const struct set *set, struct hf_str name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (hf_str_equal(set->items[i].name, name)) {
            return &set->items[i];
        }
    }
    return NULL;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct hf_str trim(struct hf_str text)
{
    while (text.len > 0 && is_blank(text.ptr[0])) {
        text = (struct hf_str){text.ptr + 1, text.len - 1};
    }
    while (text.len > 0 && (is_blank(text.ptr[text.len - 1]) || text.ptr[text.len - 1] == '\r')) {
        text.len--;
    }
    return text;
}

/* Visible characters and spaces: what may stand in a header. */
static bool is_value(struct hf_str value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < ' ' || value.ptr[i] > '~') {
            return false;
        }
    }
    return value.len > 0 && value.len <= HF_SECRET_VALUE_BYTES_MAX;
}

static enum hf_err take_line(struct set *set, struct hf_str line, size_t number,
                             struct hf_error *error)
{
    line = trim(line);
    if (line.len == 0 || line.ptr[0] == '#') {
        return HF_ERR_OK;
    }
    size_t name_bytes = 0;
    while (name_bytes < line.len && !is_blank(line.ptr[name_bytes])) {
        name_bytes++;
    }
    struct secret secret = {
        .name = {line.ptr, name_bytes},
        .value = trim((struct hf_str){line.ptr + name_bytes, line.len - name_bytes}),
    };
    const char *wrong = !hf_secret_name_valid(secret.name)
                            ? "a name is 1 to 64 of A-Z a-z 0-9 . _ -"
                        : !is_value(secret.value)
                            ? "a name and its value belong on one line; a value is 1 to 4,096 "
                              "visible characters and spaces"
                        : find(set, secret.name) != NULL ? "this name stands in the file twice"
                        : set->count == HF_SECRETS_MAX   ? "more than 1,000 secrets"
                                                         : NULL;
    if (wrong != NULL) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST, "line %zu: %s", number, wrong);
    }
    set->items[set->count++] = secret;
    return HF_ERR_OK;
}

static enum hf_err take_lines(struct set *set, struct hf_error *error)
{
    enum hf_err code = HF_ERR_OK;
    size_t number = 0;
    size_t at = 0;
    while (at < set->text_bytes && code == HF_ERR_OK) {
        const char *end = memchr(set->text + at, '\n', set->text_bytes - at);
        size_t line_bytes = end == NULL ? set->text_bytes - at : (size_t)(end - set->text) - at;
        code = take_line(set, (struct hf_str){set->text + at, line_bytes}, ++number, error);
        at += line_bytes + 1;
    }
    return code;
}

enum hf_err hf_secrets_load(struct hf_secrets *secrets, struct hf_str text, struct hf_error *error)
{
    if (text.len > HF_SECRETS_BYTES_MAX) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST, "secrets take more than 1 MiB");
    }
    struct set *set = hf_calloc(1, sizeof(*set));
    char *copy = hf_malloc(text.len + 1);
    if (set == NULL || copy == NULL) {
        hf_free(copy);
        hf_free(set);
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    set->text = copy;
    set->text_bytes = text.len;
    enum hf_err code = take_lines(set, error);
    if (code != HF_ERR_OK) {
        set_free(set);
        return code;
    }
    HF_CHECK(pthread_mutex_lock(&secrets->mutex) == 0);
    struct set *old = secrets->set;
    secrets->set = set;
    secrets->generation++;
    HF_CHECK(pthread_mutex_unlock(&secrets->mutex) == 0);
    set_free(old);
    return HF_ERR_OK;
}

size_t hf_secrets_get(struct hf_secrets *secrets, struct hf_str name,
                      char value[HF_SECRET_VALUE_BYTES_MAX])
{
    size_t bytes = 0;
    HF_CHECK(pthread_mutex_lock(&secrets->mutex) == 0);
    const struct secret *secret = find(secrets->set, name);
    if (secret != NULL) {
        bytes = secret->value.len;
        memcpy(value, secret->value.ptr, bytes);
    }
    HF_CHECK(pthread_mutex_unlock(&secrets->mutex) == 0);
    return bytes;
}

uint64_t hf_secrets_generation(struct hf_secrets *secrets)
{
    HF_CHECK(pthread_mutex_lock(&secrets->mutex) == 0);
    uint64_t generation = secrets->generation;
    HF_CHECK(pthread_mutex_unlock(&secrets->mutex) == 0);
    return generation;
}
