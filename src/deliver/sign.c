#include "deliver/sign.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>

#include "base/check.h"
#include "base/sha256.h"

#define PREFIX           "whsec_"
#define SECRET_BYTES_MIN 24
#define SIGNATURE_BYTES  32
#define DIGITS_OF(count) (4 * (((count) + 2) / 3))

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The last group of base64: 2 to 4 digits without their padding. Bits that say nothing must be 0. */
static bool decode_group(const char *digits, size_t count, uint8_t bytes[3])
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < count ? value_of(digits[i]) : 0;
        if (value < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
    }
    bytes[0] = (uint8_t)(bits >> 16);
    bytes[1] = (uint8_t)(bits >> 8);
    bytes[2] = (uint8_t)bits;
    return (count > 3 || bytes[2] == 0) && (count > 2 || bytes[1] == 0);
}

bool hf_sign_secret_parse(struct hf_str text, struct hf_sign_secret *secret)
{
    const size_t prefix = sizeof(PREFIX) - 1;
    secret->size_bytes = 0;
    if (text.len <= prefix || memcmp(text.ptr, PREFIX, prefix) != 0 ||
        (text.len - prefix) % 4 != 0 || text.len - prefix > DIGITS_OF(HF_SIGN_SECRET_BYTES)) {
        return false;
    }
    const char *digits = text.ptr + prefix;
    size_t left = text.len - prefix;
    size_t size = 0;
    while (left > 0) {
        size_t padding = left > 4 || digits[3] != '=' ? 0 : digits[2] == '=' ? 2 : 1;
        uint8_t bytes[3];
        if (!decode_group(digits, 4 - padding, bytes) ||
            size + 3 - padding > HF_SIGN_SECRET_BYTES) {
            return false;
        }
        memcpy(secret->bytes + size, bytes, 3 - padding);
        size += 3 - padding;
        digits += 4;
        left -= 4;
    }
    if (size < SECRET_BYTES_MIN) {
        return false;
    }
    secret->size_bytes = size;
    return true;
}

/* ---- signing ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MAC *hmac; /* libcrypto's; looking it up for each text costs more than a short text */

static void look_hmac_up(void)
{
    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    HF_CHECK(hmac != NULL);
}

static void put_part(EVP_MAC_CTX *context, struct hf_str part)
{
    HF_CHECK(EVP_MAC_update(context, (const unsigned char *)part.ptr, part.len) == 1);
}

static void sign_one(struct hf_str id, struct hf_str timestamp, struct hf_str body,
                     const struct hf_sign_secret *secret, char text[HF_SIGN_ONE_BYTES + 1])
{
    char digest[] = "SHA256";
    unsigned char signature[SIGNATURE_BYTES];
    size_t size = 0;
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0),
                                     OSSL_PARAM_construct_end()};
    HF_CHECK(pthread_once(&once, look_hmac_up) == 0);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(hmac);
    HF_CHECK(context != NULL);
    HF_CHECK(EVP_MAC_init(context, secret->bytes, secret->size_bytes, parameters) == 1);
    put_part(context, id);
    put_part(context, HF_STR("."));
    put_part(context, timestamp);
    put_part(context, HF_STR("."));
    put_part(context, body);
    HF_CHECK(EVP_MAC_final(context, signature, &size, sizeof(signature)) == 1);
    HF_CHECK(size == sizeof(signature));
    EVP_MAC_CTX_free(context);
    memcpy(text, "v1,", 3);
    int digits = EVP_EncodeBlock((unsigned char *)text + 3, signature, (int)sizeof(signature));
    HF_CHECK(digits == HF_SIGN_ONE_BYTES - 3);
}

void hf_sign(struct hf_str id, struct hf_str timestamp, struct hf_str body,
             const struct hf_sign_secret *secrets, size_t secret_count,
             char text[HF_SIGN_TEXT_BYTES])
{
    HF_CHECK(secret_count > 0 && secret_count <= HF_SIGN_SECRETS_MAX);
    for (size_t i = 0; i < secret_count; i++) {
        char *at = text + i * (HF_SIGN_ONE_BYTES + 1);
        HF_CHECK(secrets[i].size_bytes >= SECRET_BYTES_MIN);
        sign_one(id, timestamp, body, &secrets[i], at); /* ends it with a NUL… */
        if (i > 0) {
            at[-1] = ' '; /* …of the one before */
        }
    }
}

void hf_sign_message_id(struct hf_str what, char id[HF_SIGN_MESSAGE_ID_BYTES])
{
    struct hf_hash hash = hf_sha256(what.ptr, what.len);
    char hex[2 * HF_SHA256_BYTES + 1];
    hf_hash_hex(&hash, hex);
    memcpy(id, "msg_", 4);
    memcpy(id + 4, hex, HF_SIGN_MESSAGE_ID_BYTES - 5);
    id[HF_SIGN_MESSAGE_ID_BYTES - 1] = '\0';
}
