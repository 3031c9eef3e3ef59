/*
 * Rows that can be no message: kept whole in the stream "relay:<name>:parked", or the end of the run.
 *
 * A parked row is one event, or several if it is large: all but the last go ahead under ids of their own (so that a
 * repetition is a replay), the last one comes in the commit that moves the cursor behind the row.
 */
#include <inttypes.h>
#include <openssl/evp.h>

#include "base/sha256.h"
#include "relay/publish_priv.h"

#define PART_BYTES      393216u /* of the payload, in an event; 4/3 of it as base64 */
#define FIELD_BYTES_MAX 16384u  /* of id, topic, key and type of a row that is parked */

static void put_field(struct hf_buffer *out, const char *name, struct hf_str text)
{
    if (hf_str_present(text)) {
        hf_outbox_put_member(out, name, text);
    } else {
        bool first = out->data != NULL && out->data[out->size_bytes - 1] == '{';
        hf_buffer_format(out, "%s\"%s\":null", first ? "" : ",", name);
    }
}

static void put_base64(struct hf_buffer *out, struct hf_str bytes)
{
    size_t length = (bytes.len + 2) / 3 * 4;
    uint8_t *room = hf_buffer_extend(out, length + 1); /* OpenSSL puts a NUL behind it */
    if (room != NULL) {
        (void)EVP_EncodeBlock(room, (const unsigned char *)bytes.ptr, (int)bytes.len);
        out->size_bytes--;
    }
}

/* "park:" and 32 digits of what the row is and where it stands. */
static void event_id(const struct hf_publisher *publisher, const struct hf_outbox_row *row,
                     const struct hf_cursor_at *at, char id[48])
{
    struct hf_buffer text;
    char hex[2 * HF_SHA256_BYTES + 1];
    hf_buffer_init(&text);
    hf_buffer_format(&text, "%s|%" PRIX64 "|%" PRIX64 "|%" PRIu64 "|%" PRIu64 "|",
                     publisher->relay->options->name, at->lsn, at->transaction, at->rows,
                     at->sequence);
    for (int i = 0; i < HF_OUTBOX_FIELDS; i++) {
        hf_buffer_format(&text, "%zu|", row->fields[i].len);
        hf_buffer_bytes(&text, row->fields[i].ptr, row->fields[i].len);
    }
    struct hf_hash hash = hf_sha256(text.data, text.size_bytes);
    hf_hash_hex(&hash, hex);
    (void)snprintf(id, 48, "park:%.32s", hex);
    hf_buffer_release(&text);
}

struct parking {
    const struct hf_outbox_row *row;
    const char *why;
    char id[48];
    size_t parts;
};

static void put_part(struct hf_publisher *publisher, const struct parking *parking, size_t part)
{
    const struct hf_relay_options *options = publisher->relay->options;
    const struct hf_outbox_row *row = parking->row;
    struct hf_buffer *out = &publisher->body;
    hf_publish_comma(publisher);
    hf_buffer_format(
        out,
        "{\"op\":\"append\",\"stream\":\"relay:%s:parked\",\"type\":\"relay.row.parked\","
        "\"id\":\"%s:%zu\",\"data\":{",
        options->name, parking->id, part + 1);
    hf_outbox_put_member(out, "reason", hf_str_from(parking->why));
    hf_outbox_put_member(out, "where", hf_str_from(row->where));
    hf_buffer_format(out, ",\"part\":%zu,\"parts\":%zu,\"row\":{", part + 1, parking->parts);
    for (int i = 0; i < HF_OUTBOX_PAYLOAD; i++) {
        put_field(out, hf_outbox_default_column((enum hf_outbox_field)i), row->fields[i]);
    }
    struct hf_str payload = row->fields[HF_OUTBOX_PAYLOAD];
    if (!hf_str_present(payload)) {
        hf_buffer_text(out, "},\"payload_base64\":null}}");
        return;
    }
    size_t from = part * PART_BYTES;
    size_t length = payload.len - from < PART_BYTES ? payload.len - from : PART_BYTES;
    hf_buffer_text(out, "},\"payload_base64\":\"");
    put_base64(out, (struct hf_str){payload.ptr + from, length});
    hf_buffer_text(out, "\"}}");
}

/* All parts but the last. */
static enum hf_relay_end send_ahead(struct hf_publisher *publisher, const struct parking *parking)
{
    for (size_t part = 0; part + 1 < parking->parts; part++) {
        struct holdfast_client_answer *answer;
        publisher->operations = 0;
        hf_buffer_clear(&publisher->body);
        hf_buffer_text(&publisher->body, "{\"do\":[");
        put_part(publisher, parking, part);
        hf_buffer_text(&publisher->body, "]}");
        enum hf_relay_end end = hf_publish_send(publisher, false, &answer);
        if (end == HF_RELAY_GO_ON && answer->status >= 300) {
            end = hf_publish_refused(publisher, answer);
        }
        holdfast_client_answer_free(answer);
        if (end != HF_RELAY_GO_ON) {
            return end;
        }
    }
    return HF_RELAY_GO_ON;
}

static enum hf_relay_end park(struct hf_publisher *publisher, const struct parking *parking,
                              const struct hf_cursor_at *at)
{
    struct hf_relay *relay = publisher->relay;
    struct hf_cursor next = relay->cursor;
    struct holdfast_client_answer *answer;
    enum hf_relay_end end = send_ahead(publisher, parking);
    if (end != HF_RELAY_GO_ON) {
        return end;
    }
    next.at = *at;
    next.parked++;
    hf_cursor_text(next.id, parking->row->fields[HF_OUTBOX_ID]);
    for (bool event = true;; event = false) {
        hf_publish_begin(publisher);
        if (event) {
            put_part(publisher, parking, parking->parts - 1);
        }
        hf_publish_end(publisher, &next);
        end = hf_publish_send(publisher, false, &answer);
        if (end != HF_RELAY_GO_ON) {
            return end;
        }
        /* Parked before, by a run whose cursor was thrown away: its id says that it is the same row. */
        bool there = event && answer->status == 409 && strncmp(answer->failed, "/do/0", 5) == 0;
        if (answer->status < 300) {
            hf_publish_moved_to(publisher, &next, answer);
            relay->status.parked++;
        } else if (!there) {
            end = hf_publish_refused(publisher, answer);
        }
        holdfast_client_answer_free(answer);
        if (!there) {
            return end;
        }
    }
}

enum hf_relay_end hf_publish_bad(struct hf_publisher *publisher, const struct hf_outbox_row *row,
                                 const struct hf_cursor_at *at, const char *why)
{
    struct hf_relay *relay = publisher->relay;
    struct hf_str id = row->fields[HF_OUTBOX_ID];
    struct hf_str payload = row->fields[HF_OUTBOX_PAYLOAD];
    int shown = hf_str_present(id) ? (int)hf_min_u64(id.len, 64) : 4;
    const char *text = hf_str_present(id) ? id.ptr : "NULL";
    if (!relay->options->park) {
        return hf_relay_say(
            relay, HF_RELAY_REFUSED,
            "%s (id %.*s) can't be a message: %s. Nothing behind it is published. "
            "--on-bad=park keeps such rows in the stream relay:%s:parked and goes on",
            row->where, shown, text, why, relay->options->name);
    }
    for (int i = 0; i < HF_OUTBOX_PAYLOAD; i++) {
        if (row->fields[i].len > FIELD_BYTES_MAX) {
            return hf_relay_say(
                relay, HF_RELAY_REFUSED, "%s can't even be parked: %s has %zu bytes (at most %u)",
                row->where, hf_outbox_column(&relay->options->names, (enum hf_outbox_field)i),
                row->fields[i].len, FIELD_BYTES_MAX);
        }
    }
    struct parking parking = {.row = row, .why = why};
    parking.parts = payload.len <= PART_BYTES ? 1 : (payload.len + PART_BYTES - 1) / PART_BYTES;
    event_id(publisher, row, at, parking.id);
    hf_relay_warn(&relay->status, "%s (id %.*s) is parked: %s", row->where, shown, text, why);
    return park(publisher, &parking, at);
}
