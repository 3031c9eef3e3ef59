#include "base/sha256.h"

#include <openssl/evp.h>
#include <pthread.h>

#include "base/check.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t context_key; /* frees a thread's context at its end */
static EVP_MD *digest;
static _Thread_local EVP_MD_CTX *thread_context;

static void free_context(void *context)
{
    EVP_MD_CTX_free(context);
}

static void set_up(void)
{
    digest = EVP_MD_fetch(NULL, "SHA256", NULL);
    HF_CHECK(digest != NULL);
    HF_CHECK(pthread_key_create(&context_key, free_context) == 0);
}

static EVP_MD_CTX *context_of_thread(void)
{
    if (thread_context == NULL) {
        HF_CHECK(pthread_once(&once, set_up) == 0);
        thread_context = EVP_MD_CTX_new();
        HF_CHECK(thread_context != NULL);
        HF_CHECK(pthread_setspecific(context_key, thread_context) == 0);
    }
    return thread_context;
}

struct hf_hash hf_sha256_parts(const struct hf_sha256_part *parts, size_t count)
{
    EVP_MD_CTX *context = context_of_thread();
    struct hf_hash hash;
    unsigned int size = 0;
    HF_CHECK(EVP_DigestInit_ex2(context, digest, NULL) == 1);
    for (size_t i = 0; i < count; i++) {
        HF_CHECK(EVP_DigestUpdate(context, parts[i].data, parts[i].size_bytes) == 1);
    }
    HF_CHECK(EVP_DigestFinal_ex(context, hash.bytes, &size) == 1);
    HF_CHECK(size == HF_SHA256_BYTES);
    return hash;
}

struct hf_hash hf_sha256(const void *data, size_t size_bytes)
{
    struct hf_sha256_part part = {data, size_bytes};
    return hf_sha256_parts(&part, 1);
}

void hf_sha256_start(struct hf_sha256_stream *stream)
{
    HF_CHECK(pthread_once(&once, set_up) == 0);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    HF_CHECK(context != NULL);
    HF_CHECK(EVP_DigestInit_ex2(context, digest, NULL) == 1);
    stream->context = context;
}

void hf_sha256_update(struct hf_sha256_stream *stream, const void *data, size_t size_bytes)
{
    HF_CHECK(EVP_DigestUpdate(stream->context, data, size_bytes) == 1);
}

struct hf_hash hf_sha256_finish(struct hf_sha256_stream *stream)
{
    struct hf_hash hash;
    unsigned int size = 0;
    HF_CHECK(EVP_DigestFinal_ex(stream->context, hash.bytes, &size) == 1);
    HF_CHECK(size == HF_SHA256_BYTES);
    EVP_MD_CTX_free(stream->context);
    stream->context = NULL;
    return hash;
}

void hf_hash_hex(const struct hf_hash *hash, char text[2 * HF_SHA256_BYTES + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < HF_SHA256_BYTES; i++) {
        text[2 * i] = digits[hash->bytes[i] >> 4];
        text[2 * i + 1] = digits[hash->bytes[i] & 15];
    }
    text[2 * HF_SHA256_BYTES] = '\0';
}
