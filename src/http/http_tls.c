#include <errno.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/alloc.h"
#include "http/http_priv.h"

struct hf_http_tls {
    SSL_CTX *context; /* owned */
};

/* The newest error of OpenSSL in words. */
static enum hf_err tls_error(struct hf_error *error, const char *what)
{
    char text[256];
    ERR_error_string_n(ERR_peek_last_error(), text, sizeof(text));
    ERR_clear_error();
    return hf_error_set(error, HF_ERR_IO, "TLS: %s: %s", what, text);
}

/* http/1.1 is all we speak; a client that offers only others is told so by the handshake's failure. */
static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_bytes,
                           const unsigned char *offered, unsigned int offered_bytes, void *context)
{
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl;
    (void)context;
    unsigned char *found;
    if (SSL_select_next_proto(&found, chosen_bytes, ours, sizeof(ours) - 1, offered,
                              offered_bytes) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *chosen = found;
    return SSL_TLSEXT_ERR_OK;
}

/* A key with a passphrase would have us ask at the terminal. The parameters are as OpenSSL wants them. */
static int no_passphrase(char *to /* NOLINT */, int size, int writes, void *context)
{
    (void)to;
    (void)size;
    (void)writes;
    (void)context;
    return -1;
}

enum hf_err hf_http_tls_load(const char *certificate_path, const char *key_path,
                             struct hf_http_tls **tls_out, struct hf_error *error)
{
    *tls_out = NULL;
    struct hf_http_tls *tls = hf_calloc(1, sizeof(*tls));
    if (tls == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "TLS: out of memory");
    }
    enum hf_err failure = HF_ERR_OK;
    ERR_clear_error();
    tls->context = SSL_CTX_new(TLS_server_method());
    if (tls->context == NULL) {
        failure = tls_error(error, "no context");
        goto failed;
    }
    SSL_CTX_set_default_passwd_cb(tls->context, no_passphrase);
    if (SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) != 1) {
        failure = tls_error(error, "no TLS 1.2");
    } else if (SSL_CTX_use_certificate_chain_file(tls->context, certificate_path) != 1) {
        failure = tls_error(error, certificate_path);
    } else if (SSL_CTX_use_PrivateKey_file(tls->context, key_path, SSL_FILETYPE_PEM) != 1) {
        failure = tls_error(error, key_path);
    } else if (SSL_CTX_check_private_key(tls->context) != 1) {
        failure = tls_error(error, "the key is not the certificate's");
    }
    if (failure != HF_ERR_OK) {
        goto failed;
    }
    /* HTTP messages tell their own length, so an end without a goodbye is an end like any other. */
    (void)SSL_CTX_set_options(tls->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                                SSL_OP_CIPHER_SERVER_PREFERENCE |
                                                SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* An idle connection keeps no record buffers; what could not be sent may move until it is tried again. */
    (void)SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                             SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                             SSL_MODE_RELEASE_BUFFERS);
    /* Sessions are resumed by tickets; nothing is kept here. */
    (void)SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(tls->context, choose_protocol, NULL);
    *tls_out = tls;
    return HF_ERR_OK;

failed:
    hf_http_tls_free(tls);
    return failure;
}

void hf_http_tls_free(struct hf_http_tls *tls)
{
    if (tls != NULL) {
        SSL_CTX_free(tls->context);
        hf_free(tls);
    }
}

SSL *hf_http_tls_open(struct hf_http_tls *tls, int fd)
{
    SSL *ssl = SSL_new(tls->context);
    if (ssl != NULL && SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        ssl = NULL;
    }
    if (ssl != NULL) {
        SSL_set_accept_state(ssl);
    }
    ERR_clear_error();
    return ssl;
}

void hf_http_tls_goodbye(SSL *ssl)
{
    ERR_clear_error();
    (void)SSL_shutdown(ssl);
    ERR_clear_error();
}

void hf_http_tls_close(SSL *ssl)
{
    SSL_free(ssl);
}

/* What a call that did not succeed means. */
static enum hf_http_io outcome(SSL *ssl, int returned)
{
    int reason = SSL_get_error(ssl, returned);
    ERR_clear_error();
    switch (reason) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return HF_HTTP_IO_BLOCK;
    case SSL_ERROR_ZERO_RETURN:
        return HF_HTTP_IO_END;
    default:
        return HF_HTTP_IO_LOST;
    }
}

enum hf_http_io hf_http_tls_receive(struct hf_http_connection *connection, void *to, size_t size,
                                    size_t *got)
{
    ERR_clear_error();
    int returned = SSL_read_ex(connection->ssl, to, size, got);
    if (connection->shaking && SSL_is_init_finished(connection->ssl)) {
        connection->shaking = false;
        connection->is_renewed = true;
    }
    return returned == 1 ? HF_HTTP_IO_SOME : outcome(connection->ssl, returned);
}

enum hf_http_io hf_http_tls_send(struct hf_http_connection *connection, const void *data,
                                 size_t size, size_t *sent)
{
    ERR_clear_error();
    int returned = SSL_write_ex(connection->ssl, data, size, sent);
    return returned == 1 ? HF_HTTP_IO_SOME : outcome(connection->ssl, returned);
}
