/*
 * The outbox in PostgreSQL: the rows that are in the table before the slot is followed; payloads.
 *
 * The slot is made first and the rows are read then: what is in both comes once, because its id is a message's by the
 * time that the slot tells of it. If this is cut short, it begins anew: cursor->copying stands until it is done.
 */
#include <inttypes.h>

#include "relay/postgresql_priv.h"

#define FETCH "FETCH FORWARD 500 FROM holdfast_relay"

/* ---- payloads ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hf_pg_decode(struct hf_pg_source *source, enum hf_pg_payload payload, struct hf_str *text)
{
    if (payload != HF_PG_PAYLOAD_BYTES || text->len < 2 || text->len % 2 != 0 ||
        memcmp(text->ptr, "\\x", 2) != 0) {
        return true;
    }
    hf_buffer_clear(&source->bytes);
    uint8_t *room =
        hf_buffer_extend(&source->bytes, text->len / 2); /* one more than needed: never empty */
    if (room == NULL) {
        return false;
    }
    size_t length = 0;
    for (size_t i = 2; i < text->len; i += 2) {
        int high = hex_digit(text->ptr[i]);
        int low = hex_digit(text->ptr[i + 1]);
        if (high < 0 || low < 0) {
            return true; /* as it is: it will be refused as no JSON */
        }
        room[length++] = (uint8_t)(high << 4 | low);
    }
    *text = (struct hf_str){(const char *)room, length};
    return true;
}

/* ---- rows that were there ---- */

static enum hf_relay_end declare(struct hf_pg_source *source)
{
    const struct hf_outbox_names *names = &source->relay->options->names;
    struct hf_buffer sql;
    PGresult *result;
    hf_buffer_init(&sql);
    hf_buffer_text(&sql,
                   "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; DECLARE holdfast_relay NO "
                   "SCROLL CURSOR FOR SELECT ");
    for (int i = 0; i < HF_OUTBOX_FIELDS; i++) {
        hf_buffer_text(&sql, i == 0 ? "" : ", ");
        hf_pg_put_identifier(source, &sql, hf_outbox_column(names, (enum hf_outbox_field)i));
    }
    hf_buffer_text(&sql, " FROM ");
    hf_pg_put_identifier(source, &sql, source->schema);
    hf_buffer_text(&sql, ".");
    hf_pg_put_identifier(source, &sql, source->table);
    hf_buffer_text(&sql, " ORDER BY ");
    hf_pg_put_identifier(source, &sql, source->relay->cursor.copying);
    enum hf_relay_end end = hf_pg_query(source, &sql, &result);
    PQclear(result);
    hf_buffer_release(&sql);
    return end;
}

static enum hf_relay_end copy_row(struct hf_pg_source *source, const PGresult *result, int row,
                                  uint64_t number)
{
    struct hf_outbox_row copied = {0};
    char where[80];
    for (int i = 0; i < HF_OUTBOX_FIELDS; i++) {
        if (!PQgetisnull(result, row, i)) {
            copied.fields[i] =
                (struct hf_str){PQgetvalue(result, row, i), (size_t)PQgetlength(result, row, i)};
        }
    }
    if (hf_str_present(copied.fields[HF_OUTBOX_PAYLOAD]) &&
        !hf_pg_decode(source, source->payload, &copied.fields[HF_OUTBOX_PAYLOAD])) {
        return hf_relay_say(source->relay, HF_RELAY_FAILED, "out of memory");
    }
    (void)snprintf(where, sizeof(where), "row %" PRIu64 " of those that were there", number);
    copied.where = where;
    return hf_publisher_add(&source->publisher, &copied, &source->relay->cursor.at,
                            hf_relay_now_us());
}

/* A page of rows; *rows: how many. */
static enum hf_relay_end copy_page(struct hf_pg_source *source, uint64_t *number, int *rows)
{
    PGresult *result;
    enum hf_relay_end end = hf_pg_run(source, FETCH, &result);
    *rows = end == HF_RELAY_GO_ON ? PQntuples(result) : 0;
    for (int i = 0; i < *rows && end == HF_RELAY_GO_ON; i++) {
        if (hf_relay_stopping(source->relay)) {
            end = HF_RELAY_DONE;
        } else if (hf_publisher_full(&source->publisher)) {
            end = hf_publisher_flush(&source->publisher);
        }
        end = end == HF_RELAY_GO_ON ? copy_row(source, result, i, ++*number) : end;
    }
    PQclear(result);
    return end;
}

enum hf_relay_end hf_pg_copy(struct hf_pg_source *source)
{
    struct hf_relay *relay = source->relay;
    uint64_t number = 0;
    int rows = 1;
    enum hf_relay_end end = declare(source);
    while (end == HF_RELAY_GO_ON && rows > 0) {
        end = copy_page(source, &number, &rows);
    }
    end = end == HF_RELAY_GO_ON ? hf_publisher_flush(&source->publisher) : end;
    end = end == HF_RELAY_GO_ON ? hf_pg_run(source, "COMMIT", NULL) : end;
    if (end == HF_RELAY_GO_ON) {
        struct hf_cursor next = relay->cursor;
        next.copying[0] = '\0';
        end = hf_publisher_save(&source->publisher, &next);
    }
    return end;
}
