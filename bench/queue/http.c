/* Holdfast's door: publishes as one commit, receive, ack of a batch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

/* Puts the head before a body that was written behind `room` bytes. */
static void request(struct connection *c, const char *path, const char *headers,
                    const struct text *body)
{
    text_clear(&c->out);
    text_print(&c->out,
               "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%s"
               "Content-Length: %zu\r\n\r\n",
               path, settings.address, headers, body->size);
    text_add(&c->out, body->data, body->size);
}

static struct text body; /* one thread: one scratch */

static void publish(struct connection *c, uint64_t first, unsigned count)
{
    char key[32], header[128];
    text_clear(&body);
    text_print(&body, "{\"do\":[");
    for (unsigned i = 0; i < count; i++) {
        message_key(first + i, key);
        text_print(&body,
                   "%s{\"op\":\"publish\",\"topic\":\"%s\",\"key\":\"%s\",\"type\":\"bench\","
                   "\"data\":\"%s\"}",
                   i == 0 ? "" : ",", settings.queue, key, message_data());
    }
    text_print(&body, "]}");
    (void)snprintf(header, sizeof(header), "Idempotency-Key: %s-%llu\r\n", settings.tag,
                   (unsigned long long)first);
    request(c, "/v1/commits", header, &body);
}

static void verb_path(char path[256], const char *verb)
{
    (void)snprintf(path, 256, "/v1/subscriptions/%s/%s", settings.queue, verb);
}

static void receive(struct connection *c)
{
    char path[256];
    verb_path(path, "receive");
    text_clear(&body);
    text_print(&body, "{\"max\":%u,\"wait_ms\":1000}", settings.batch);
    request(c, path, "", &body);
}

static void ack(struct connection *c)
{
    char path[256];
    verb_path(path, "ack");
    text_clear(&body);
    text_print(&body, "{\"receipts\":[%.*s]}", (int)c->receipts.size, c->receipts.data);
    request(c, path, "", &body);
}

static size_t whole(const struct connection *c)
{
    const char *end = memmem(c->in.data, c->in.size, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }
    size_t head = (size_t)(end - c->in.data) + 4;
    const char *length = memmem(c->in.data, head, "Content-Length: ", 16);
    if (length == NULL) {
        fail("a reply without Content-Length: %.*s", (int)head, c->in.data);
    }
    size_t size = head + strtoull(length + 16, NULL, 10);
    return size <= c->in.size ? size : 0;
}

static unsigned count_of(const char *data, size_t size, const char *what)
{
    unsigned count = 0;
    size_t length = strlen(what);
    const char *end = data + size;
    while ((data = memmem(data, (size_t)(end - data), what, length)) != NULL) {
        data += length;
        count++;
    }
    return count;
}

/* Keeps the receipts with their quotes, commas between. */
static void keep_receipts(struct connection *c, const char *data, size_t size)
{
    static const char member[] = "\"receipt\":";
    const char *end = data + size;
    text_clear(&c->receipts);
    c->held = 0;
    while ((data = memmem(data, (size_t)(end - data), member, sizeof(member) - 1)) != NULL) {
        data += sizeof(member) - 1;
        const char *close = memchr(data + 1, '"', (size_t)(end - data - 1));
        if (close == NULL) {
            fail("a receipt without an end");
        }
        if (c->held++ > 0) {
            text_add(&c->receipts, ",", 1);
        }
        text_add(&c->receipts, data, (size_t)(close + 1 - data));
        data = close;
    }
}

static unsigned replied(struct connection *c, const char *reply, size_t size)
{
    if (size < 12 || (memcmp(reply + 9, "200", 3) != 0 && memcmp(reply + 9, "201", 3) != 0)) {
        fail("no success: %.*s", (int)size, reply);
    }
    if (c->step == STEP_PUBLISH) {
        return count_of(reply, size, "\"op\":\"publish\"");
    }
    if (c->step == STEP_RECEIVE) {
        keep_receipts(c, reply, size);
        return c->held;
    }
    return count_of(reply, size, "\"state\":\"acked\"");
}

const struct protocol http_protocol = {"http", publish, receive, ack, whole, replied};
