/* Standard Webhooks: the published vector, secrets, two signatures (SW1–SW3). */
#include "deliver/sign.h"

#include "deliver/secrets.h"
#include "unit/support.h"

#define VECTOR_SECRET    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define VECTOR_ID        "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define VECTOR_TIME      "1614265330"
#define VECTOR_BODY      "{\"test\": 2432232314}"
#define VECTOR_SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

static void test_vector(void **unused)
{
    (void)unused;
    struct hf_sign_secret secret;
    char text[HF_SIGN_TEXT_BYTES];
    assert_true(hf_sign_secret_parse(HF_STR(VECTOR_SECRET), &secret));
    assert_int_equal(secret.size_bytes, 24);
    hf_sign(HF_STR(VECTOR_ID), HF_STR(VECTOR_TIME), HF_STR(VECTOR_BODY), &secret, 1, text);
    assert_string_equal(text, VECTOR_SIGNATURE);
}

/* While a secret is rotated both sign; each signature is what its secret alone gives. */
static void test_two_secrets(void **unused)
{
    (void)unused;
    struct hf_sign_secret secrets[2];
    char one[HF_SIGN_TEXT_BYTES];
    char other[HF_SIGN_TEXT_BYTES];
    char both[HF_SIGN_TEXT_BYTES];
    char expected[2 * HF_SIGN_TEXT_BYTES];
    assert_true(hf_sign_secret_parse(HF_STR(VECTOR_SECRET), &secrets[0]));
    assert_true(hf_sign_secret_parse(
        HF_STR("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4"
               "OTo7PD0+Pw=="),
        &secrets[1]));
    assert_int_equal(secrets[1].size_bytes, 64);
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(secrets[1].bytes[i], i);
    }
    hf_sign(HF_STR(VECTOR_ID), HF_STR(VECTOR_TIME), HF_STR(VECTOR_BODY), &secrets[0], 1, one);
    hf_sign(HF_STR(VECTOR_ID), HF_STR(VECTOR_TIME), HF_STR(VECTOR_BODY), &secrets[1], 1, other);
    hf_sign(HF_STR(VECTOR_ID), HF_STR(VECTOR_TIME), HF_STR(VECTOR_BODY), secrets, 2, both);
    assert_string_not_equal(one, other);
    (void)snprintf(expected, sizeof(expected), "%s %s", one, other);
    assert_string_equal(both, expected);
}

/* An empty body, and any change of id, time or body, give another signature. */
static void test_all_of_it_is_signed(void **unused)
{
    (void)unused;
    struct hf_sign_secret secret;
    static const char *const parts[][3] = {
        {VECTOR_ID, VECTOR_TIME, VECTOR_BODY},
        {"msg_p5jXN8AQM9LWM0D4loKWxJel", VECTOR_TIME, VECTOR_BODY},
        {VECTOR_ID, "1614265331", VECTOR_BODY},
        {VECTOR_ID, VECTOR_TIME, "{\"test\": 2432232315}"},
        {VECTOR_ID, VECTOR_TIME, ""},
    };
    char texts[HF_ARRAY_COUNT(parts)][HF_SIGN_TEXT_BYTES];
    assert_true(hf_sign_secret_parse(HF_STR(VECTOR_SECRET), &secret));
    for (size_t i = 0; i < HF_ARRAY_COUNT(parts); i++) {
        hf_sign(hf_str_from(parts[i][0]), hf_str_from(parts[i][1]), hf_str_from(parts[i][2]),
                &secret, 1, texts[i]);
        assert_int_equal(strlen(texts[i]), HF_SIGN_ONE_BYTES);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(texts[i], texts[j]);
        }
    }
}

static void test_malformed_secrets(void **unused)
{
    (void)unused;
    static const char *const bad[] = {
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",      /* a digit is missing */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS_",     /* base64url is another alphabet */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa==",     /* 22 bytes */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS=",     /* 23 bytes */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA=",  /* not a multiple of four */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAB==", /* bits behind the end */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw====",
        "whsec_MfKQ9r8GKYqrTw==UPD8ILPZIo2LaLaSwAAAA",
        ("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7"
         "PD0+P0A="), /* 65 bytes */
        ("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7"
         "PD0+P0BBQkNERUZHSEk="),
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        struct hf_sign_secret secret;
        if (hf_sign_secret_parse(hf_str_from(bad[i]), &secret)) {
            fail_msg("%s was taken", bad[i]);
        }
        assert_int_equal(secret.size_bytes, 0);
    }
}

static void test_message_ids(void **unused)
{
    (void)unused;
    char one[HF_SIGN_MESSAGE_ID_BYTES];
    char again[HF_SIGN_MESSAGE_ID_BYTES];
    char other[HF_SIGN_MESSAGE_ID_BYTES];
    hf_sign_message_id(HF_STR("order-17/reserve/action"), one);
    hf_sign_message_id(HF_STR("order-17/reserve/action"), again);
    hf_sign_message_id(HF_STR("order-17/reserve/compensate"), other);
    assert_string_equal(one, again);
    assert_string_not_equal(one, other);
    assert_int_equal(strlen(one), 36);
    assert_memory_equal(one, "msg_", 4);
    assert_null(strchr(one, '.'));
    /* printf 'order-17/reserve/action' | sha256sum */
    assert_string_equal(one, "msg_4ded02e9e3947161eb451e39a14be9d4");
}

/* ---- secrets by name ---- */

static struct hf_secrets *loaded(const char *text)
{
    struct hf_secrets *secrets = hf_secrets_new();
    struct hf_error error = {0};
    assert_non_null(secrets);
    assert_int_equal(hf_secrets_load(secrets, hf_str_from(text), &error), HF_ERR_OK);
    return secrets;
}

static void assert_secret(struct hf_secrets *secrets, const char *name, const char *expected)
{
    char value[HF_SECRET_VALUE_BYTES_MAX];
    size_t bytes = hf_secrets_get(secrets, hf_str_from(name), value);
    assert_int_equal(bytes, strlen(expected));
    assert_memory_equal(value, expected, bytes);
}

static void test_secrets(void **unused)
{
    (void)unused;
    struct hf_secrets *secrets = loaded("# who pays\n\n"
                                        "saga-signing whsec_abc=\n"
                                        "  token\t  Bearer a b  c \r\n"
                                        "last x");
    assert_secret(secrets, "saga-signing", "whsec_abc=");
    assert_secret(secrets, "token", "Bearer a b  c");
    assert_secret(secrets, "last", "x");
    assert_secret(secrets, "saga", "");
    assert_secret(secrets, "#", "");
    hf_secrets_free(secrets);
}

static void test_secrets_anew(void **unused)
{
    (void)unused;
    struct hf_secrets *secrets = loaded("a 1\nb 2\n");
    struct hf_error error = {0};
    uint64_t before = hf_secrets_generation(secrets);
    assert_int_equal(hf_secrets_load(secrets, HF_STR("b 3\nc topsecret\x01\n"), &error),
                     HF_ERR_INVALID_REQUEST);
    assert_non_null(strstr(error.text, "line 2"));
    assert_null(strstr(error.text, "topsecret")); /* a value is never shown */
    assert_int_equal(hf_secrets_generation(secrets), before);
    assert_secret(secrets, "b", "2"); /* the old ones stay, whole */
    assert_int_equal(hf_secrets_load(secrets, HF_STR("b 3\n"), &error), HF_ERR_OK);
    assert_true(hf_secrets_generation(secrets) > before);
    assert_secret(secrets, "a", "");
    assert_secret(secrets, "b", "3");
    hf_secrets_free(secrets);
}

static void test_malformed_files(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *what;
    } bad[] = {
        {"name\n", "line 1"},         {"ok 1\n\nname   \n", "line 3"}, {"na/me x\n", "a name is"},
        {"a 1\nb 2\na 3\n", "twice"}, {"n\xc3\xa4me x", "a name is"},  {"name \xc3\xa4", "visible"},
    };
    struct hf_secrets *secrets = hf_secrets_new();
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        struct hf_error error = {0};
        assert_int_equal(hf_secrets_load(secrets, hf_str_from(bad[i].text), &error),
                         HF_ERR_INVALID_REQUEST);
        assert_non_null(strstr(error.text, bad[i].what));
    }
    static char large[HF_SECRETS_BYTES_MAX + 2];
    memset(large, '#', sizeof(large) - 1);
    struct hf_error error = {0};
    assert_int_equal(hf_secrets_load(secrets, hf_str_from(large), &error), HF_ERR_INVALID_REQUEST);
    large[HF_SECRETS_BYTES_MAX] = '\0';
    assert_int_equal(hf_secrets_load(secrets, hf_str_from(large), &error), HF_ERR_OK);
    size_t used = 0;
    for (int i = 0; i <= HF_SECRETS_MAX; i++) {
        used += (size_t)snprintf(large + used, sizeof(large) - used, "s%d x\n", i);
    }
    assert_int_equal(hf_secrets_load(secrets, (struct hf_str){large, used}, &error),
                     HF_ERR_INVALID_REQUEST);
    assert_non_null(strstr(error.text, "1,000"));
    hf_secrets_free(secrets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector),
        cmocka_unit_test(test_two_secrets),
        cmocka_unit_test(test_all_of_it_is_signed),
        cmocka_unit_test(test_malformed_secrets),
        cmocka_unit_test(test_message_ids),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_secrets_anew),
        cmocka_unit_test(test_malformed_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
