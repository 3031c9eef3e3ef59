/* One request of the publisher: its body's frame, sending it until the answer is definite. */
#include <inttypes.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/json.h"
#include "relay/publish_priv.h"

#define ROUND_MS  3000 /* of one call of the client; between two the database is kept patient */
#define KEY_BYTES 48

void hf_publish_begin(struct hf_publisher *publisher)
{
    struct hf_relay *relay = publisher->relay;
    struct hf_buffer *body = &publisher->body;
    publisher->operations = 0;
    hf_buffer_clear(body);
    hf_buffer_u8(body, '{');
    if (relay->cursor.version == 0) {
        hf_buffer_format(body, "\"if\":[{\"document\":\"relay:%s\",\"exists\":false}],",
                         relay->options->name);
    }
    hf_buffer_text(body, "\"do\":[");
}

void hf_publish_comma(struct hf_publisher *publisher)
{
    if (publisher->operations++ > 0) {
        hf_buffer_u8(&publisher->body, ',');
    }
}

void hf_publish_end(struct hf_publisher *publisher, const struct hf_cursor *next)
{
    struct hf_relay *relay = publisher->relay;
    struct hf_buffer *body = &publisher->body;
    hf_publish_comma(publisher);
    hf_buffer_format(body, "{\"op\":\"put\",\"document\":\"relay:%s\"", relay->options->name);
    if (relay->cursor.version != 0) {
        hf_buffer_format(body, ",\"expected_version\":%" PRIu64, relay->cursor.version);
    }
    hf_buffer_text(body, ",\"data\":");
    hf_cursor_write(next, body);
    hf_buffer_text(body, "}]}");
}

static void make_key(char key[KEY_BYTES])
{
    uint8_t random[16];
    HF_CHECK(getrandom(random, sizeof(random), 0) == (ssize_t)sizeof(random));
    int length = snprintf(key, KEY_BYTES, "relay-");
    for (size_t i = 0; i < sizeof(random); i++) {
        length += snprintf(key + length, KEY_BYTES - (size_t)length, "%02x", random[i]);
    }
}

/* No answer in this round. GO_ON: try again. */
static enum hf_relay_end next_round(struct hf_relay *relay,
                                    const struct holdfast_client_failure *failure)
{
    relay->status.retries++;
    if (relay->status.state != HF_RELAY_SERVER_AWAY) {
        hf_relay_warn(&relay->status, "%s; trying on", failure->text);
    }
    hf_relay_status_state(&relay->status, HF_RELAY_SERVER_AWAY);
    hf_relay_status_tick(&relay->status);
    if (relay->waiting != NULL) {
        relay->waiting(relay->waiting_context);
    }
    return hf_relay_stopping(relay) ? HF_RELAY_DONE : HF_RELAY_GO_ON;
}

static enum hf_relay_end end_of(struct hf_relay *relay, enum holdfast_client_error error,
                                const struct holdfast_client_failure *failure)
{
    switch (error) {
    case HOLDFAST_CLIENT_OK:
        return HF_RELAY_GO_ON;
    case HOLDFAST_CLIENT_UNAVAILABLE:
    case HOLDFAST_CLIENT_UNKNOWN:
        return next_round(relay, failure);
    case HOLDFAST_CLIENT_INVALID:
    case HOLDFAST_CLIENT_NO_MEMORY:
    case HOLDFAST_CLIENT_MISCONFIGURED:
    case HOLDFAST_CLIENT_REFUSED:
    case HOLDFAST_CLIENT_BUSY:
    case HOLDFAST_CLIENT_CLOSED:
        break;
    }
    return hf_relay_say(relay, HF_RELAY_FAILED, "%s", failure->text);
}

static void answered(struct hf_relay *relay, enum hf_relay_state before)
{
    if (relay->status.state == HF_RELAY_SERVER_AWAY) {
        hf_relay_warn(&relay->status, "the server answers again");
        hf_relay_status_state(&relay->status, before);
    }
}

enum hf_relay_end hf_publish_send(struct hf_publisher *publisher, bool dry,
                                  struct holdfast_client_answer **answer)
{
    struct hf_relay *relay = publisher->relay;
    const struct hf_buffer *body = &publisher->body;
    enum hf_relay_state before = relay->status.state;
    char key[KEY_BYTES];
    *answer = NULL;
    if (body->failed) {
        return hf_relay_say(relay, HF_RELAY_FAILED, "out of memory");
    }
    make_key(key);
    for (;;) {
        struct holdfast_client_call call = {
            .key = key, .total_timeout_ms = ROUND_MS, .dry_run = dry};
        struct holdfast_client_failure failure;
        enum holdfast_client_error error = holdfast_client_commit(
            relay->client, &call, (const char *)body->data, body->size_bytes, answer, &failure);
        enum hf_relay_end end = end_of(relay, error, &failure);
        if (error == HOLDFAST_CLIENT_OK || end != HF_RELAY_GO_ON) {
            answered(relay, before);
            return end;
        }
    }
}

enum hf_relay_end hf_publisher_load(struct hf_publisher *publisher)
{
    struct hf_relay *relay = publisher->relay;
    enum hf_relay_state before = relay->status.state;
    char document[256];
    (void)snprintf(document, sizeof(document), "relay:%s", relay->options->name);
    for (;;) {
        struct holdfast_client_call call = {.total_timeout_ms = ROUND_MS};
        struct holdfast_client_failure failure;
        struct holdfast_client_answer *answer;
        enum holdfast_client_error error =
            holdfast_client_document_get(relay->client, &call, document, 0, &answer, &failure);
        enum hf_relay_end end = end_of(relay, error, &failure);
        if (end != HF_RELAY_GO_ON) {
            return end;
        }
        if (error != HOLDFAST_CLIENT_OK) {
            continue;
        }
        answered(relay, before);
        struct hf_str text = {answer->body, answer->body_bytes};
        relay->cursor = (struct hf_cursor){0};
        if (answer->status == 200 && !hf_cursor_read(text, answer->version, &relay->cursor)) {
            end = hf_relay_say(relay, HF_RELAY_REFUSED,
                               "the document %s is no cursor of a relay, or of a newer one",
                               document);
        } else if (answer->status != 200 && answer->status != 404) {
            end = hf_publish_refused(publisher, answer);
        }
        holdfast_client_answer_free(answer);
        hf_cursor_show(&relay->cursor, relay->status.cursor);
        return end;
    }
}

void hf_publish_moved_to(struct hf_publisher *publisher, const struct hf_cursor *next,
                         const struct holdfast_client_answer *answer)
{
    struct hf_relay *relay = publisher->relay;
    uint64_t version = relay->cursor.version;
    uint64_t told;
    char pointer[64];
    (void)snprintf(pointer, sizeof(pointer), "/results/%zu/version", publisher->operations - 1);
    relay->cursor = *next;
    relay->cursor.version =
        holdfast_client_answer_number(answer, pointer, &told) ? told : version + 1;
    relay->status.position = answer->position;
    relay->status.commits++;
    hf_cursor_show(&relay->cursor, relay->status.cursor);
}

enum hf_relay_end hf_publish_refused(struct hf_publisher *publisher,
                                     const struct holdfast_client_answer *answer)
{
    struct hf_relay *relay = publisher->relay;
    if (answer->status == 412) {
        relay->status.conflicts++;
        return HF_RELAY_MOVED;
    }
    const char *hint = answer->status == 401 || answer->status == 403
                           ? "; the token needs the scopes read and commit, and the names of the "
                             "topics and of relay:NAME"
                           : "";
    return hf_relay_say(relay, HF_RELAY_REFUSED, "%s answers %d %s: %s%s", answer->address,
                        answer->status, answer->code, answer->detail, hint);
}
