/* The outbox in PostgreSQL: the slot is followed. */
#include <inttypes.h>

#include "base/alloc.h"
#include "base/check.h"
#include "relay/postgresql_priv.h"

#define STATUS_EVERY_MS 5000
#define ONCE_EVERY_MS   100 /* somebody waits */
#define LINGER_MS       5   /* for the rest of a transaction */
#define WAIT_MS         1000

/* ---- relations ---- */

static enum hf_relay_end protocol_error(struct hf_pg_source *source, const char *why)
{
    return hf_relay_say(source->relay, HF_RELAY_REFUSED,
                        "PostgreSQL sent what is not understood: %s. Nothing was passed over; the "
                        "server may be newer than this relay",
                        why);
}

static struct hf_pg_relation *find_relation(struct hf_pg_source *source, uint32_t id)
{
    for (size_t i = 0; i < source->relation_count; i++) {
        if (source->relations[i].id == id) {
            return &source->relations[i];
        }
    }
    return NULL;
}

static struct hf_pg_relation *add_relation(struct hf_pg_source *source, uint32_t id)
{
    struct hf_pg_relation *found = find_relation(source, id);
    if (found != NULL) {
        return found;
    }
    if (source->relation_count == source->relation_capacity) {
        size_t capacity = source->relation_capacity == 0 ? 16 : source->relation_capacity * 2;
        struct hf_pg_relation *more =
            hf_realloc(source->relations, capacity * sizeof(*source->relations));
        if (more == NULL) {
            return NULL;
        }
        source->relations = more;
        source->relation_capacity = capacity;
    }
    return &source->relations[source->relation_count++];
}

/* Where the fields stand in the outbox's tuples. */
static enum hf_relay_end map_relation(struct hf_pg_source *source,
                                      const struct hf_pgoutput_message *message,
                                      struct hf_pg_relation *relation)
{
    struct hf_relay *relay = source->relay;
    const struct hf_outbox_names *names = &relay->options->names;
    struct hf_pgoutput_list list = message->columns;
    struct hf_pgoutput_column column;
    bool payload = true;
    memset(relation->index, 0xFF, sizeof(relation->index));
    for (uint32_t i = 0; hf_pgoutput_next_column(&list, &column); i++) {
        bool used = hf_pg_map(names, column.name.ptr, i, relation->index); /* it has a NUL behind */
        if (used && relation->index[HF_OUTBOX_PAYLOAD] == i) {
            payload = hf_pg_payload_of(column.type, &relation->payload);
        }
    }
    for (int i = 0; i < HF_OUTBOX_FIELDS; i++) {
        if (relation->index[i] == UINT32_MAX || !payload) {
            return hf_relay_say(
                relay, HF_RELAY_REFUSED,
                "the table was changed: %s.%s has no column %s of a type that the "
                "relay takes any more, at this place in the WAL",
                source->schema, source->table,
                hf_outbox_column(names, payload ? (enum hf_outbox_field)i : HF_OUTBOX_PAYLOAD));
        }
    }
    return HF_RELAY_GO_ON;
}

static enum hf_relay_end take_relation(struct hf_pg_source *source,
                                       const struct hf_pgoutput_message *message)
{
    struct hf_pg_relation *relation = add_relation(source, message->relation);
    if (relation == NULL || source->relation_count > HF_PG_RELATIONS_MAX) {
        return hf_relay_say(source->relay, HF_RELAY_FAILED,
                            "out of memory, or the publication has more than %d tables",
                            HF_PG_RELATIONS_MAX);
    }
    *relation = (struct hf_pg_relation){
        .id = message->relation,
        .ours = hf_str_equal(message->schema, hf_str_from(source->schema)) &&
                hf_str_equal(message->name, hf_str_from(source->table)),
        .columns = message->columns.count,
    };
    return relation->ours ? map_relation(source, message, relation) : HF_RELAY_GO_ON;
}

/* ---- changes ---- */

static enum hf_relay_end take_insert(struct hf_pg_source *source,
                                     const struct hf_pgoutput_message *message,
                                     const struct hf_pg_relation *relation)
{
    struct hf_outbox_row row = {0};
    struct hf_pgoutput_list list = message->tuple;
    struct hf_pgoutput_value value;
    char where[96];
    char lsn[HF_LSN_TEXT_BYTES];
    if (list.count != relation->columns) {
        return protocol_error(source, "a row with another number of columns than its table");
    }
    for (uint32_t i = 0; hf_pgoutput_next_value(&list, &value); i++) {
        for (int field = 0; field < HF_OUTBOX_FIELDS; field++) {
            if (relation->index[field] != i || value.kind == HF_PGOUTPUT_NULL) {
                continue;
            }
            if (value.kind != HF_PGOUTPUT_TEXT) {
                return protocol_error(source, "a new row without all its values, or not as text");
            }
            row.fields[field] = value.bytes;
        }
    }
    source->row++;
    source->at.transaction = source->transaction;
    source->at.rows = source->row;
    if (source->skip_transaction || source->row <= source->skip_rows) {
        return HF_RELAY_GO_ON;
    }
    if (hf_str_present(row.fields[HF_OUTBOX_PAYLOAD]) &&
        !hf_pg_decode(source, relation->payload, &row.fields[HF_OUTBOX_PAYLOAD])) {
        return hf_relay_say(source->relay, HF_RELAY_FAILED, "out of memory");
    }
    hf_lsn_format(source->transaction, lsn);
    (void)snprintf(where, sizeof(where), "row %" PRIu64 " of the transaction at %s", source->row,
                   lsn);
    row.where = where;
    return hf_publisher_add(&source->publisher, &row, &source->at, source->time_us);
}

/* The outbox is only ever written to; what else is done to it is housekeeping. An update is worth a word. */
static void ignore(struct hf_pg_source *source, enum hf_pgoutput_kind kind)
{
    source->relay->status.ignored++;
    if (kind == HF_PGOUTPUT_UPDATE && !source->update_told) {
        source->update_told = true;
        hf_relay_warn(&source->relay->status,
                      "rows of %s.%s are updated: a message is published once, as it was inserted; "
                      "updates are ignored (and counted)",
                      source->schema, source->table);
    }
}

static enum hf_relay_end take_change(struct hf_pg_source *source,
                                     const struct hf_pgoutput_message *message)
{
    const struct hf_pg_relation *relation = find_relation(source, message->relation);
    if (relation == NULL || !source->in_transaction) {
        return protocol_error(source, "a change of a table that was not announced, or outside of a "
                                      "transaction");
    }
    if (!relation->ours) {
        return HF_RELAY_GO_ON;
    }
    if (message->kind != HF_PGOUTPUT_INSERT) {
        ignore(source, message->kind);
        return HF_RELAY_GO_ON;
    }
    return take_insert(source, message, relation);
}

static enum hf_relay_end take_truncate(struct hf_pg_source *source,
                                       const struct hf_pgoutput_message *message)
{
    struct hf_pgoutput_list list = message->relations;
    uint32_t id;
    while (hf_pgoutput_next_relation(&list, &id)) {
        const struct hf_pg_relation *relation = find_relation(source, id);
        if (relation != NULL && relation->ours) {
            ignore(source, message->kind);
        }
    }
    return HF_RELAY_GO_ON;
}

/* ---- transactions ---- */

static enum hf_relay_end take_begin(struct hf_pg_source *source,
                                    const struct hf_pgoutput_message *message)
{
    if (source->in_transaction) {
        return protocol_error(source, "a transaction inside of a transaction");
    }
    const struct hf_cursor_at *durable = &source->relay->cursor.at;
    source->in_transaction = true;
    source->transaction = message->commit;
    source->time_us = message->time_us;
    source->row = 0;
    source->skip_transaction = message->commit < durable->lsn;
    source->skip_rows = message->commit == durable->transaction ? durable->rows : 0;
    return HF_RELAY_GO_ON;
}

static enum hf_relay_end take_commit(struct hf_pg_source *source,
                                     const struct hf_pgoutput_message *message)
{
    if (!source->in_transaction || message->commit != source->transaction ||
        message->end <= message->commit) {
        return protocol_error(source, "the end of another transaction");
    }
    source->in_transaction = false;
    source->at = (struct hf_cursor_at){.lsn = hf_max_u64(source->at.lsn, message->end)};
    source->received = hf_max_u64(source->received, message->end);
    if (source->publisher.count > 0) {
        source->publisher.end = source->at;
    }
    return HF_RELAY_GO_ON;
}

static enum hf_relay_end take_message(struct hf_pg_source *source, struct hf_str body)
{
    struct hf_pgoutput_message message;
    const char *why;
    if (!hf_pgoutput_parse(body, &message, &why)) {
        return protocol_error(source, why);
    }
    switch (message.kind) {
    case HF_PGOUTPUT_BEGIN:
        return take_begin(source, &message);
    case HF_PGOUTPUT_COMMIT:
        return take_commit(source, &message);
    case HF_PGOUTPUT_RELATION:
        return take_relation(source, &message);
    case HF_PGOUTPUT_INSERT:
    case HF_PGOUTPUT_UPDATE:
    case HF_PGOUTPUT_DELETE:
        return take_change(source, &message);
    case HF_PGOUTPUT_TRUNCATE:
        return take_truncate(source, &message);
    case HF_PGOUTPUT_ORIGIN:
    case HF_PGOUTPUT_TYPE:
    case HF_PGOUTPUT_MESSAGE:
        break;
    }
    return HF_RELAY_GO_ON;
}

/* ---- the connection ---- */

bool hf_pg_send_status(struct hf_pg_source *source, bool reply_wanted)
{
    uint8_t bytes[HF_PGOUTPUT_STATUS_BYTES];
    uint64_t flushed = source->relay->cursor.at.lsn;
    struct hf_pgoutput_status status = {.written = hf_max_u64(source->received, flushed),
                                        .flushed = flushed,
                                        .now_us = hf_relay_now_us(),
                                        .reply_wanted = reply_wanted};
    HF_CHECK(flushed > 0); /* zero would stand for `written` */
    hf_pgoutput_put_status(bytes, &status);
    source->status_due_ms =
        hf_relay_ticks_ms() + (source->relay->options->once ? ONCE_EVERY_MS : STATUS_EVERY_MS);
    return PQputCopyData(source->connection, (const char *)bytes, (int)sizeof(bytes)) == 1 &&
           PQflush(source->connection) == 0;
}

static enum hf_relay_end broken(struct hf_pg_source *source)
{
    if (source->connection == NULL) {
        return hf_relay_say(source->relay, HF_RELAY_AGAIN,
                            "PostgreSQL: closed while the server of Holdfast was away");
    }
    PGresult *result = PQgetResult(source->connection);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    enum hf_relay_end end =
        hf_pg_failed(source, "the stream ended", state, PQerrorMessage(source->connection));
    PQclear(result);
    return end;
}

static enum hf_relay_end start(struct hf_pg_source *source)
{
    struct hf_relay *relay = source->relay;
    struct hf_buffer sql;
    char lsn[HF_LSN_TEXT_BYTES];
    hf_lsn_format(relay->cursor.at.lsn, lsn);
    hf_buffer_init(&sql);
    hf_buffer_text(&sql, "START_REPLICATION SLOT ");
    hf_pg_put_identifier(source, &sql, relay->options->slot);
    hf_buffer_format(&sql, " LOGICAL %s (proto_version '1', publication_names ", lsn);
    struct hf_buffer name;
    hf_buffer_init(&name);
    hf_pg_put_identifier(source, &name, relay->options->publication); /* a list of identifiers… */
    hf_buffer_u8(&name, 0);
    sql.failed = sql.failed || name.failed;
    if (!name.failed) {
        hf_pg_put_literal(source, &sql, (const char *)name.data); /* …in a literal */
    }
    hf_buffer_release(&name);
    hf_buffer_text(&sql, ")");
    hf_buffer_u8(&sql, 0);
    if (sql.failed) {
        hf_buffer_release(&sql);
        return hf_relay_say(relay, HF_RELAY_FAILED, "out of memory");
    }
    PGresult *result = PQexec(source->connection, (const char *)sql.data);
    hf_buffer_release(&sql);
    enum hf_relay_end end = HF_RELAY_GO_ON;
    if (PQresultStatus(result) != PGRES_COPY_BOTH) {
        end =
            hf_pg_failed(source, "START_REPLICATION", PQresultErrorField(result, PG_DIAG_SQLSTATE),
                         PQerrorMessage(source->connection));
    }
    PQclear(result);
    source->streaming = end == HF_RELAY_GO_ON;
    source->in_transaction = false;
    source->relation_count = 0;
    source->at = relay->cursor.at;
    source->received = relay->cursor.at.lsn;
    source->away_since_ms = 0;
    source->save_due_ms = hf_relay_ticks_ms() + relay->options->heartbeat_ms;
    source->reply_wanted = false;
    source->status_due_ms = 0;
    source->lingered = 0;
    return end;
}

static enum hf_relay_end take_envelope(struct hf_pg_source *source, struct hf_str bytes)
{
    struct hf_pgoutput_envelope envelope;
    const char *why;
    if (!hf_pgoutput_open(bytes, &envelope, &why)) {
        return protocol_error(source, why);
    }
    source->server_end = hf_max_u64(source->server_end, envelope.end);
    if (envelope.data) {
        return take_message(source, envelope.body);
    }
    source->reply_wanted = source->reply_wanted || envelope.reply_wanted;
    if (!source->in_transaction) {
        source->received = hf_max_u64(source->received, envelope.end);
    }
    return HF_RELAY_GO_ON;
}

/* Everything that is there. *idle: nothing is left. */
static enum hf_relay_end receive(struct hf_pg_source *source, bool *idle)
{
    enum hf_relay_end end = HF_RELAY_GO_ON;
    bool read = false; /* from the socket, and nothing taken since */
    *idle = false;
    while (end == HF_RELAY_GO_ON && !hf_publisher_full(&source->publisher)) {
        char *bytes = NULL;
        int length = PQgetCopyData(source->connection, &bytes, 1);
        if (length < 0) {
            return broken(source);
        }
        if (length == 0 && read) {
            *idle = true;
            return HF_RELAY_GO_ON;
        }
        read = length == 0;
        if (read) {
            if (PQconsumeInput(source->connection) == 0) {
                return broken(source);
            }
            continue;
        }
        end = take_envelope(source, (struct hf_str){bytes, (size_t)length});
        PQfreemem(bytes);
    }
    return end;
}

static void tell_lag(struct hf_pg_source *source)
{
    uint64_t lsn = source->relay->cursor.at.lsn;
    source->relay->status.lag_bytes = source->server_end > lsn ? source->server_end - lsn : 0;
}

/* What waits is published, and the slot told. */
static enum hf_relay_end publish(struct hf_pg_source *source)
{
    enum hf_relay_end end = hf_publisher_flush(&source->publisher);
    source->away_since_ms = 0;
    tell_lag(source);
    if (end != HF_RELAY_GO_ON) {
        return end;
    }
    source->save_due_ms = hf_relay_ticks_ms() + source->relay->options->heartbeat_ms;
    return source->connection != NULL && hf_pg_send_status(source, false) ? HF_RELAY_GO_ON
                                                                          : broken(source);
}

/* Nothing waits: the cursor follows the server's WAL, so that it can be thrown away though the outbox is quiet. */
static enum hf_relay_end heartbeat(struct hf_pg_source *source)
{
    struct hf_relay *relay = source->relay;
    uint64_t now_ms = hf_relay_ticks_ms();
    bool behind = !source->in_transaction && source->received > relay->cursor.at.lsn;
    bool due = source->reply_wanted || now_ms >= source->save_due_ms || relay->options->once;
    bool answer = source->reply_wanted || now_ms >= source->status_due_ms;
    enum hf_relay_end end = HF_RELAY_GO_ON;
    if (behind && due) {
        struct hf_cursor next = relay->cursor;
        next.at = (struct hf_cursor_at){.lsn = source->received};
        end = hf_publisher_save(&source->publisher, &next);
        source->at = relay->cursor.at;
        source->save_due_ms = now_ms + relay->options->heartbeat_ms;
        source->away_since_ms = 0;
        answer = true;
    }
    if (end != HF_RELAY_GO_ON || !answer) {
        tell_lag(source);
        return end;
    }
    source->reply_wanted = false;
    tell_lag(source);
    return source->connection != NULL && hf_pg_send_status(source, relay->options->once)
               ? HF_RELAY_GO_ON
               : broken(source);
}

/* What came is published, unless more of its transaction must be on the way: a large one shall not become many commits
 * only because the server is a little slower than we are. */
static enum hf_relay_end take_turn(struct hf_pg_source *source, bool idle)
{
    struct hf_publisher *publisher = &source->publisher;
    if (publisher->count == 0) {
        return heartbeat(source);
    }
    if (idle && source->in_transaction && !hf_relay_stopping(source->relay)) {
        size_t before = source->lingered;
        source->lingered = publisher->count;
        if (before != publisher->count) {
            hf_relay_wait(source->relay, PQsocket(source->connection), LINGER_MS);
            return HF_RELAY_GO_ON;
        }
    }
    source->lingered = 0;
    return publish(source);
}

enum hf_relay_end hf_pg_stream(struct hf_pg_source *source)
{
    struct hf_relay *relay = source->relay;
    enum hf_relay_end end = start(source);
    while (end == HF_RELAY_GO_ON) {
        bool idle;
        end = receive(source, &idle);
        end = end == HF_RELAY_GO_ON ? take_turn(source, idle) : end;
        if (end != HF_RELAY_GO_ON) {
            break;
        }
        bool caught_up = idle && relay->options->once && relay->cursor.at.lsn >= source->once_until;
        if (hf_relay_stopping(relay) || caught_up) {
            (void)hf_pg_send_status(source, false);
            return HF_RELAY_DONE;
        }
        if (idle && source->publisher.count == 0) {
            hf_relay_wait(relay, PQsocket(source->connection),
                          hf_min_u64(relay->options->once ? ONCE_EVERY_MS : WAIT_MS,
                                     relay->options->heartbeat_ms));
        }
        hf_relay_status_tick(&relay->status);
    }
    return end;
}
