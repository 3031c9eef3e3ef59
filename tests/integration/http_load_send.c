/* The requests themselves. */
#include "integration/http_load.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TEXT_BYTES 1024

struct form {
    const char *method;
    char path[160];
    char body[TEXT_BYTES];
    char key[64];      /* "": none is sent */
    char if_match[24]; /* "": none is sent */
};

static const char transfer_form[] =
    "{%s\"id\":\"%c:%u:%" PRIu64 "%s\",\"from\":\"%s\",\"to\":\"shop\",\"asset\":\"USD/2\","
    "\"amount\":\"%u\"}";

static void write_many(struct form *form, unsigned t, uint64_t n)
{
    size_t at = (size_t)snprintf(form->body, TEXT_BYTES, "{\"do\":[");
    for (unsigned i = 0; i < 3; i++) {
        char suffix[8];
        (void)snprintf(suffix, sizeof(suffix), ":%u", i);
        at += (size_t)snprintf(form->body + at, TEXT_BYTES - at, "%s", i == 0 ? "" : ",");
        at += (size_t)snprintf(form->body + at, TEXT_BYTES - at, transfer_form,
                               "\"op\":\"transfer\",", 'm', t, n, suffix, "world", 1u);
    }
    (void)snprintf(form->body + at, TEXT_BYTES - at, "]}");
}

/* What needs a key, by commit. round: how often the client has gone through all kinds. */
static void write_commit(struct form *form, unsigned t, uint64_t n, uint64_t round)
{
    enum http_load_kind kind = http_load_kind_of(n);
    if (kind == HTTP_LOAD_PAIR) {
        (void)snprintf(form->body, TEXT_BYTES,
                       "{\"do\":[{\"op\":\"append\",\"stream\":\"s:%u\",\"type\":\"step\",\"data\":"
                       "{\"n\":%" PRIu64
                       "}},{\"op\":\"put\",\"document\":\"d:%u\",\"data\":{\"n\":%" PRIu64 "}}]}",
                       t, n, t, n);
    } else if (kind == HTTP_LOAD_CONDITION) { /* one event a round comes before it, by PAIR */
        (void)snprintf(form->body, TEXT_BYTES,
                       "{\"if\":[{\"stream\":\"s:%u\",\"version\":%" PRIu64
                       "}],\"do\":[{\"op\":\"append\",\"stream\":\"s:%u\",\"type\":\"step\","
                       "\"data\":null}]}",
                       t, 2 * round + 1, t);
    } else if (kind == HTTP_LOAD_FALSE) {
        (void)snprintf(form->body, TEXT_BYTES,
                       "{\"if\":[{\"account\":\"poor\",\"available\":{\"gt\":\"0\"}}],\"do\":["
                       "{\"op\":\"append\",\"stream\":\"never\",\"type\":\"step\",\"data\":%" PRIu64
                       "}]}",
                       n);
    } else {
        (void)snprintf(form->body, TEXT_BYTES,
                       "{\"do\":[{\"op\":\"hold\",\"id\":\"v:%u:%" PRIu64
                       "\",\"from\":\"world\",\"to\":\"shop\",\"asset\":\"USD/2\",\"amount\":"
                       "\"9\"},{\"op\":\"void\",\"hold\":\"v:%u:%" PRIu64 "\"}]}",
                       t, n, t, n);
    }
}

static void write_form(const struct http_load_client *client, uint64_t n, struct form *form)
{
    unsigned t = client->number;
    uint64_t round = n / HTTP_LOAD_KINDS;
    *form = (struct form){.method = "POST"};
    (void)snprintf(form->key, sizeof(form->key), "k:%u:%" PRIu64, t, n);
    switch (http_load_kind_of(n)) {
    case HTTP_LOAD_TRANSFER:
    case HTTP_LOAD_REFUSED: {
        bool refused = http_load_kind_of(n) == HTTP_LOAD_REFUSED;
        (void)snprintf(form->path, sizeof(form->path), "/v1/transfers");
        (void)snprintf(form->body, TEXT_BYTES, transfer_form, "", refused ? 'r' : 't', t, n, "",
                       refused ? "poor" : "world", 7u);
        form->key[0] = '\0';
        return;
    }
    case HTTP_LOAD_MANY:
        (void)snprintf(form->path, sizeof(form->path), "/v1/commits");
        write_many(form, t, n);
        form->key[0] = '\0';
        return;
    case HTTP_LOAD_HOLD:
        (void)snprintf(form->path, sizeof(form->path), "/v1/holds");
        (void)snprintf(form->body, TEXT_BYTES, transfer_form, "", 'h', t, n, "", "world", 5u);
        form->key[0] = '\0';
        return;
    case HTTP_LOAD_CAPTURE:
        (void)snprintf(form->path, sizeof(form->path), "/v1/holds/h:%u:%" PRIu64 "/capture", t,
                       n - 1);
        (void)snprintf(form->body, TEXT_BYTES, "{\"amount\":\"3\",\"final\":true}");
        return;
    case HTTP_LOAD_NAMELESS:
        (void)snprintf(form->path, sizeof(form->path), "/v1/transfers");
        (void)snprintf(form->body, TEXT_BYTES,
                       "{\"from\":\"world\",\"to\":\"shop\",\"asset\":\"USD/2\",\"amount\":\"2\"}");
        return;
    case HTTP_LOAD_REVERSE:
        (void)snprintf(form->path, sizeof(form->path), "/v1/transfers/t:%u:%" PRIu64 "/reverse", t,
                       n - (HTTP_LOAD_REVERSE - HTTP_LOAD_TRANSFER));
        (void)snprintf(form->body, TEXT_BYTES, "{\"amount\":\"4\"}");
        return;
    case HTTP_LOAD_ACCOUNT:
        form->method = "PUT";
        (void)snprintf(form->path, sizeof(form->path), "/v1/accounts/a:%u:%" PRIu64, t, n);
        (void)snprintf(form->body, TEXT_BYTES, "{\"asset\":\"USD/2\"}");
        return;
    case HTTP_LOAD_DOCUMENT: /* two changes a round, this is the second */
        form->method = "PUT";
        (void)snprintf(form->path, sizeof(form->path), "/v1/documents/d:%u", t);
        (void)snprintf(form->body, TEXT_BYTES, "{\"put\":%" PRIu64 "}", n);
        (void)snprintf(form->if_match, sizeof(form->if_match), "\"%" PRIu64 "\"", 2 * round + 1);
        return;
    case HTTP_LOAD_ACQUIRE:
        (void)snprintf(form->path, sizeof(form->path), "/v1/leases/l:%u/acquire", t);
        (void)snprintf(form->body, TEXT_BYTES, "{\"owner\":\"c%u\",\"ttl_ms\":3600000}", t);
        return;
    case HTTP_LOAD_RELEASE:
        (void)snprintf(form->path, sizeof(form->path), "/v1/leases/l:%u/release", t);
        (void)snprintf(form->body, TEXT_BYTES, "{\"token\":%" PRIu64 "}",
                       client->answers[n - 1].lease_token);
        return;
    case HTTP_LOAD_PAIR:
    case HTTP_LOAD_CONDITION:
    case HTTP_LOAD_FALSE:
    case HTTP_LOAD_VOIDED:
    case HTTP_LOAD_KINDS:
        (void)snprintf(form->path, sizeof(form->path), "/v1/commits");
        write_commit(form, t, n, round);
        return;
    }
}

static uint64_t hash_of(const struct holdfast_client_answer *answer)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < answer->body_bytes; i++) {
        hash = (hash ^ (unsigned char)answer->body[i]) * 1099511628211u;
    }
    return hash;
}

static int wanted_status(enum http_load_kind kind)
{
    switch (kind) {
    case HTTP_LOAD_REFUSED:
        return 422;
    case HTTP_LOAD_FALSE:
        return 412;
    case HTTP_LOAD_RELEASE:
    case HTTP_LOAD_DOCUMENT:
        return 200;
    case HTTP_LOAD_TRANSFER:
    case HTTP_LOAD_MANY:
    case HTTP_LOAD_HOLD:
    case HTTP_LOAD_CAPTURE:
    case HTTP_LOAD_PAIR:
    case HTTP_LOAD_NAMELESS:
    case HTTP_LOAD_REVERSE:
    case HTTP_LOAD_CONDITION:
    case HTTP_LOAD_VOIDED:
    case HTTP_LOAD_ACCOUNT:
    case HTTP_LOAD_ACQUIRE:
    case HTTP_LOAD_KINDS:
        break;
    }
    return 201;
}

bool http_load_send(struct http_load_client *client, uint64_t n, struct http_load_answer *answer,
                    bool *replayed)
{
    struct form form;
    struct holdfast_client_answer *got = NULL;
    struct holdfast_client_failure failure;
    write_form(client, n, &form);
    struct holdfast_client_call call = {
        .key = form.key[0] == '\0' ? NULL : form.key,
        .if_match = form.if_match[0] == '\0' ? NULL : form.if_match,
    };
    struct holdfast_client_request request = {
        .method = form.method,
        .path = form.path,
        .body = form.body,
        .body_bytes = strlen(form.body),
        .no_key = form.key[0] == '\0',
    };
    if (holdfast_client_send(client->http, &call, &request, &got, &failure) != HOLDFAST_CLIENT_OK) {
        printf("WRONG client %u, request %" PRIu64 ": no answer: %s\n", client->number, n,
               failure.text);
        return false;
    }
    *replayed = got->replayed;
    *answer = (struct http_load_answer){
        .status = (uint16_t)got->status,
        .attempts = (uint16_t)got->attempts,
        .position = got->position,
        .text_hash = hash_of(got),
    };
    (void)holdfast_client_answer_number(got, "/token", &answer->lease_token);
    bool good = got->status == wanted_status(http_load_kind_of(n));
    if (!good) {
        printf("WRONG client %u, request %" PRIu64 " (%s %s): %d %s\n", client->number, n,
               form.method, form.path, got->status, got->body);
    }
    holdfast_client_answer_free(got);
    return good;
}

bool http_load_open(struct holdfast_client *http)
{
    static const char text[] =
        "{\"do\":[{\"op\":\"open_account\",\"account\":\"world\",\"asset\":\"USD/2\",\"floor\":"
        "null},{\"op\":\"open_account\",\"account\":\"shop\",\"asset\":\"USD/2\",\"floor\":null},"
        "{\"op\":\"open_account\",\"account\":\"poor\",\"asset\":\"USD/2\"}]}";
    struct holdfast_client_call call = {.key = "open"};
    struct holdfast_client_answer *answer = NULL;
    struct holdfast_client_failure failure;
    if (holdfast_client_commit(http, &call, text, sizeof(text) - 1, &answer, &failure) !=
        HOLDFAST_CLIENT_OK) {
        printf("WRONG opening: %s\n", failure.text);
        return false;
    }
    bool good = answer->status == 201;
    if (!good) {
        printf("WRONG opening: %d %s\n", answer->status, answer->body);
    }
    holdfast_client_answer_free(answer);
    return good;
}
