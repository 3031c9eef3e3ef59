/* Redis Streams with a consumer group: XADD, XREADGROUP, XACK; a batch of XADDs is one MULTI … EXEC. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

/* One command as an array of bulk strings. */
static void command(struct text *out, unsigned count, const char *const *words)
{
    text_print(out, "*%u\r\n", count);
    for (unsigned i = 0; i < count; i++) {
        text_print(out, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
    }
}

static void publish(struct connection *c, uint64_t first, unsigned count)
{
    char key[32];
    const char *begin[] = {"MULTI"};
    const char *end[] = {"EXEC"};
    text_clear(&c->out);
    if (count > 1) {
        command(&c->out, 1, begin);
    }
    for (unsigned i = 0; i < count; i++) {
        message_key(first + i, key);
        const char *words[] = {"XADD", settings.queue, "*", "k", key, "d", message_data()};
        command(&c->out, 7, words);
    }
    if (count > 1) {
        command(&c->out, 1, end);
    }
}

static void receive(struct connection *c)
{
    char batch[16], consumer[16];
    (void)snprintf(batch, sizeof(batch), "%u", settings.batch);
    (void)snprintf(consumer, sizeof(consumer), "c%u", c->number);
    const char *words[] = {"XREADGROUP", "GROUP", settings.queue, consumer,       "COUNT", batch,
                           "BLOCK",      "1000",  "STREAMS",      settings.queue, ">"};
    text_clear(&c->out);
    command(&c->out, 11, words);
}

/* Receipts are "$15\r\n1700000000000-0\r\n" one after the other, as they came. */
static void ack(struct connection *c)
{
    text_clear(&c->out);
    text_print(&c->out, "*%u\r\n$4\r\nXACK\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", 3 + c->held,
               strlen(settings.queue), settings.queue, strlen(settings.queue), settings.queue);
    text_add(&c->out, c->receipts.data, c->receipts.size);
}

/* Bytes of one value; 0: not whole. Arrays are counted, not recursed into. */
static size_t value_bytes(const char *data, size_t size)
{
    size_t at = 0;
    long long left = 1;
    while (left > 0) {
        const char *end = memmem(data + at, size - at, "\r\n", 2);
        if (end == NULL) {
            return 0;
        }
        long long number = strtoll(data + at + 1, NULL, 10);
        char kind = data[at];
        at = (size_t)(end - data) + 2;
        left--;
        if (kind == '*' && number > 0) {
            left += number;
        } else if (kind == '$' && number >= 0) {
            at += (size_t)number + 2;
            if (at > size) {
                return 0;
            }
        }
    }
    return at;
}

static size_t whole(const struct connection *c)
{
    size_t values = 1;
    size_t at = 0;
    if (c->step == STEP_PUBLISH && settings.batch > 1 && c->in.size > 0) {
        values = settings.batch + 2; /* OK, QUEUED …, the array of EXEC */
    }
    for (size_t i = 0; i < values; i++) {
        size_t bytes = at >= c->in.size ? 0 : value_bytes(c->in.data + at, c->in.size - at);
        if (bytes == 0) {
            return 0;
        }
        at += bytes;
    }
    return at;
}

/* An entry is "*2\r\n$15\r\n<id>\r\n*4…": ids are the bulk strings right behind "*2" that hold a '-'. */
static void keep_ids(struct connection *c, const char *data, size_t size)
{
    const char *end = data + size;
    text_clear(&c->receipts);
    c->held = 0;
    while ((data = memmem(data, (size_t)(end - data), "*2\r\n$", 5)) != NULL) {
        const char *id = data + 4;
        const char *line = memmem(id, (size_t)(end - id), "\r\n", 2);
        size_t bytes = line == NULL ? 0 : value_bytes(id, (size_t)(end - id));
        if (bytes == 0) {
            fail("an entry without an end");
        }
        if (memchr(line, '-', (size_t)(id + bytes - line)) != NULL) {
            text_add(&c->receipts, id, bytes);
            c->held++;
        }
        data = id + bytes;
    }
}

static unsigned replied(struct connection *c, const char *reply, size_t size)
{
    if (reply[0] == '-' || memmem(reply, size, "\r\n-", 3) != NULL) {
        fail("no success: %.*s", (int)size, reply);
    }
    if (c->step == STEP_PUBLISH) {
        return settings.batch;
    }
    if (c->step == STEP_RECEIVE) {
        keep_ids(c, reply, size);
        return c->held;
    }
    return (unsigned)strtoul(reply + 1, NULL, 10);
}

const struct protocol redis_protocol = {"redis", publish, receive, ack, whole, replied};
