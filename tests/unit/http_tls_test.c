/* Unit tests of src/http over TLS, with a certificate made for the test. */
#include "http/http_server.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/alloc.h"
#include "base/check.h"
#include "unit/http_rig.h"
#include "unit/support.h"

static char directory[] = "hf-tls-test-XXXXXX";
static char certificate_path[64];
static char key_path[64];
static char other_key_path[64];
static struct hf_http_tls *tls;

static EVP_PKEY *write_key(const char *path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    assert_non_null(key);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(file), 0);
    return key;
}

static void write_certificate(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    assert_non_null(certificate);
    X509_NAME *name = X509_get_subject_name(certificate);
    assert_int_equal(X509_set_version(certificate, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600));
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                (const unsigned char *)"localhost", -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(certificate, name), 1);
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    FILE *file = fopen(certificate_path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    assert_int_equal(fclose(file), 0);
    X509_free(certificate);
}

static int make_certificate(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    (void)snprintf(certificate_path, sizeof(certificate_path), "%s/certificate.pem", directory);
    (void)snprintf(key_path, sizeof(key_path), "%s/key.pem", directory);
    (void)snprintf(other_key_path, sizeof(other_key_path), "%s/other.pem", directory);
    EVP_PKEY *key = write_key(key_path);
    write_certificate(key);
    EVP_PKEY_free(key);
    EVP_PKEY_free(write_key(other_key_path));
    struct hf_error error = {0};
    return hf_http_tls_load(certificate_path, key_path, &tls, &error) == HF_ERR_OK ? 0 : -1;
}

static int remove_certificate(void **state)
{
    (void)state;
    hf_http_tls_free(tls);
    (void)unlink(certificate_path);
    (void)unlink(key_path);
    (void)unlink(other_key_path);
    return rmdir(directory);
}

/* A client with the one certificate as its root. version 0: any. */
static SSL *connect_tls(struct rig *rig, int version, const char *protocol)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert_non_null(context);
    assert_int_equal(SSL_CTX_load_verify_file(context, certificate_path), 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (version != 0) {
        SSL_CTX_set_security_level(context, 0);
        assert_int_equal(SSL_CTX_set_min_proto_version(context, version), 1);
        assert_int_equal(SSL_CTX_set_max_proto_version(context, version), 1);
    }
    SSL *ssl = SSL_new(context);
    SSL_CTX_free(context);
    assert_non_null(ssl);
    if (protocol != NULL) {
        assert_int_equal(
            SSL_set_alpn_protos(ssl, (const unsigned char *)protocol, (unsigned)strlen(protocol)),
            0);
    }
    assert_int_equal(SSL_set_fd(ssl, rig_connect(rig)), 1);
    return ssl;
}

static void close_tls(SSL *ssl)
{
    int fd = SSL_get_fd(ssl);
    SSL_free(ssl);
    (void)close(fd);
    ERR_clear_error();
}

static void send_tls(SSL *ssl, const char *data, size_t size)
{
    size_t sent;
    assert_int_equal(SSL_write_ex(ssl, data, size, &sent), 1);
    assert_int_equal(sent, size);
}

/* Everything until `size` bytes of content came. */
static char *read_tls(SSL *ssl, size_t size)
{
    struct hf_buffer text = {0};
    const char *content = NULL;
    while (content == NULL || strlen(content) < size + 4) {
        char bytes[4096];
        size_t got;
        assert_int_equal(SSL_read_ex(ssl, bytes, sizeof(bytes), &got), 1);
        hf_buffer_bytes(&text, bytes, got);
        hf_buffer_u8(&text, 0);
        assert_false(text.failed);
        text.size_bytes--;
        content = strstr((char *)text.data, "\r\n\r\n");
    }
    return (char *)text.data;
}

static void requests_are_answered_over_tls(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, tls);
    static const int versions[] = {0, TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < HF_ARRAY_COUNT(versions); i++) {
        SSL *ssl = connect_tls(&rig, versions[i], "\x02h2\x08http/1.1");
        assert_int_equal(SSL_connect(ssl), 1);
        const unsigned char *chosen;
        unsigned chosen_bytes;
        SSL_get0_alpn_selected(ssl, &chosen, &chosen_bytes);
        assert_int_equal(chosen_bytes, 8);
        assert_memory_equal(chosen, "http/1.1", 8);
        for (int j = 0; j < 20; j++) {
            static const char text[] =
                "POST /later?x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
            /* Cut in two records at another place each time. */
            send_tls(ssl, text, (size_t)j + 10);
            send_tls(ssl, text + j + 10, sizeof(text) - 1 - (size_t)j - 10);
            char *answer = read_tls(ssl, 26);
            assert_non_null(strstr(answer, "\r\n\r\nPOST /later x secure hello"));
            hf_free(answer);
        }
        close_tls(ssl);
    }
    assert_int_equal(rig_counts(&rig).accepted, 3);
    /* The Unix socket stays plain. */
    int fd = rig_connect_local(&rig);
    rig_ask(fd, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n", "200", "GET /now - local ");
    (void)close(fd);
    rig_stop(&rig, 5000);
}

static void large_bodies_and_answers_pass_over_tls(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, tls);
    SSL *ssl = connect_tls(&rig, 0, NULL);
    assert_int_equal(SSL_connect(ssl), 1);
    enum { SIZE = 2000000 };
    char *body = hf_malloc(SIZE);
    assert_non_null(body);
    for (size_t i = 0; i < SIZE; i++) {
        body[i] = (char)('a' + i * i % 23);
    }
    for (int i = 0; i < 2; i++) {
        static const char head[] =
            "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n";
        send_tls(ssl, head, sizeof(head) - 1);
        send_tls(ssl, body, SIZE);
        /* "POST /now - secure " and the body. */
        char *answer = read_tls(ssl, 19 + SIZE);
        assert_memory_equal(strstr(answer, "\r\n\r\n") + 4 + 19, body, SIZE);
        hf_free(answer);
    }
    /* Pipelined, and not read until all is sent. */
    for (int i = 0; i < 20; i++) {
        static const char text[] = "GET /size?500000 HTTP/1.1\r\nHost: a\r\n\r\n";
        send_tls(ssl, text, sizeof(text) - 1);
    }
    size_t all = 0;
    while (all < (size_t)20 * 500000) {
        char bytes[16384];
        size_t got;
        assert_int_equal(SSL_read_ex(ssl, bytes, sizeof(bytes), &got), 1);
        for (size_t i = 0; i < got; i++) {
            all += bytes[i] == 'x' && (i + 1 == got || bytes[i + 1] != 't');
        }
    }
    hf_free(body);
    close_tls(ssl);
    rig_stop(&rig, 5000);
}

/* Exactly `size` bytes, to be freed. */
static char *read_exactly(SSL *ssl, size_t size)
{
    char *bytes = hf_malloc(size + 1);
    assert_non_null(bytes);
    for (size_t at = 0; at < size;) {
        size_t got;
        assert_int_equal(SSL_read_ex(ssl, bytes + at, size - at, &got), 1);
        at += got;
    }
    bytes[size] = '\0';
    return bytes;
}

static void expect_chunks(SSL *ssl, int count)
{
    char tail[5] = "";
    while (memcmp(tail, "\n\r\n", 4) != 0) { /* the head, byte by byte */
        char *byte = read_exactly(ssl, 1);
        memmove(tail, tail + 1, 3);
        tail[3] = byte[0];
        hf_free(byte);
        if (memcmp(tail + 1, "\n\r\n", 3) == 0) {
            break;
        }
    }
    for (int i = 0; i < count; i++) {
        char *piece = read_exactly(ssl, 5 + 1000 + 2);
        assert_memory_equal(piece, "3e8\r\n", 5);
        assert_true(piece[5] == 'a' + i % 26 && piece[1004] == 'a' + i % 26);
        hf_free(piece);
    }
}

static void streams_pass_over_tls(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, tls);
    SSL *ssl = connect_tls(&rig, TLS1_3_VERSION, NULL);
    assert_int_equal(SSL_connect(ssl), 1);
    static const char text[] = "GET /stream?3000 HTTP/1.1\r\nHost: a\r\n\r\n"
                               "GET /now HTTP/1.1\r\nHost: a\r\n\r\n";
    send_tls(ssl, text, sizeof(text) - 1);
    expect_chunks(ssl, 3000);
    char *behind = read_exactly(ssl, 5 + 15);
    assert_memory_equal(behind, "0\r\n\r\nHTTP/1.1 200 OK", 20);
    hf_free(behind);
    close_tls(ssl);
    /* A peer that goes, goodbye or not, is noticed. */
    for (uint64_t i = 0; i < 2; i++) {
        ssl = connect_tls(&rig, TLS1_3_VERSION, NULL);
        assert_int_equal(SSL_connect(ssl), 1);
        static const char wait[] = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
        send_tls(ssl, wait, sizeof(wait) - 1);
        if (i == 0) {
            (void)SSL_shutdown(ssl);
        }
        close_tls(ssl);
        while (rig.gones < i + 1) {
            (void)usleep(1000);
        }
    }
    rig_stop(&rig, 5000);
}

static void a_refusal_ends_with_a_goodbye(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, tls);
    static const char *const texts[] = {
        "GET /close HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\nabc",
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(texts); i++) {
        SSL *ssl = connect_tls(&rig, 0, NULL);
        assert_int_equal(SSL_connect(ssl), 1);
        send_tls(ssl, texts[i], strlen(texts[i]));
        char *answer = read_tls(ssl, 10);
        assert_non_null(strstr(answer, i == 0 ? "GET /close - secure " : "HTTP/1.1 413 "));
        hf_free(answer);
        char byte;
        size_t got;
        int returned = SSL_read_ex(ssl, &byte, 1, &got);
        while (returned == 1) {
            returned = SSL_read_ex(ssl, &byte, 1, &got);
        }
        assert_int_equal(SSL_get_error(ssl, returned), SSL_ERROR_ZERO_RETURN);
        close_tls(ssl);
    }
    rig_stop(&rig, 5000);
}

static void what_is_no_good_handshake_is_cut_off(void **state)
{
    (void)state;
    struct rig rig;
    struct hf_http_limits limits = hf_http_limits_default();
    limits.head_ms_max = 200;
    rig_start(&rig, &limits, tls);
    SSL *old = connect_tls(&rig, TLS1_1_VERSION, NULL);
    assert_int_not_equal(SSL_connect(old), 1);
    close_tls(old);
    SSL *other = connect_tls(&rig, 0, "\x02h2");
    assert_int_not_equal(SSL_connect(other), 1);
    close_tls(other);
    int plain = rig_connect(&rig);
    rig_send_text(plain, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n");
    char *answer = rig_read_to_end(plain, NULL);
    assert_null(strstr(answer, "HTTP/1.1 200"));
    hf_free(answer);
    (void)close(plain);
    /* One that says nothing, and one that stops in the middle of its hello. */
    int silent = rig_connect(&rig);
    int half = rig_connect(&rig);
    rig_send(half, "\x16\x03\x01\x02\x00\x01\x00", 7);
    answer = rig_read_to_end(silent, NULL);
    assert_string_equal(answer, "");
    hf_free(answer);
    answer = rig_read_to_end(half, NULL);
    hf_free(answer);
    (void)close(silent);
    (void)close(half);
    assert_true(rig_counts(&rig).timed_out >= 2);
    assert_int_equal(rig_counts(&rig).requests, 0);
    rig_stop(&rig, 5000);
}

static void wrong_files_are_told(void **state)
{
    (void)state;
    struct hf_http_tls *none;
    struct hf_error error = {0};
    assert_int_equal(hf_http_tls_load("/no/such/file", key_path, &none, &error), HF_ERR_IO);
    assert_null(none);
    assert_non_null(strstr(error.text, "/no/such/file"));
    assert_int_equal(hf_http_tls_load(certificate_path, certificate_path, &none, &error),
                     HF_ERR_IO);
    assert_non_null(strstr(error.text, certificate_path));
    assert_int_equal(hf_http_tls_load(certificate_path, other_key_path, &none, &error), HF_ERR_IO);
    assert_non_null(strstr(error.text, "TLS: "));
    assert_null(none);
    hf_http_tls_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered_over_tls),
        cmocka_unit_test(large_bodies_and_answers_pass_over_tls),
        cmocka_unit_test(streams_pass_over_tls),
        cmocka_unit_test(a_refusal_ends_with_a_goodbye),
        cmocka_unit_test(what_is_no_good_handshake_is_cut_off),
        cmocka_unit_test(wrong_files_are_told),
    };
    return cmocka_run_group_tests(tests, make_certificate, remove_certificate);
}
