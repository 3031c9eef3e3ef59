/*
 * Before the stream: is everything there, and is it what the cursor was left at?
 *
 * What a recreated slot would hide: PostgreSQL starts a slot at the moment of its making, and START_REPLICATION with an
 * older position is not refused but moved forward silently. So the relay compares. Its cursor is never behind what it
 * told the slot; a slot whose confirmed_flush_lsn is beyond the cursor was made anew, or moved by somebody else.
 */
#include <inttypes.h>

#include "relay/postgresql_priv.h"

#define VERSION_MIN  130000 /* wal_status, publish_via_partition_root */
#define TYPE_BYTEA   17u
#define TYPE_TEXT    25u
#define TYPE_JSON    114u
#define TYPE_VARCHAR 1043u
#define TYPE_JSONB   3802u

#define HELP_ADOPT                                                                                 \
    ", and --publish-existing=COLUMN: first what is still in the table is published (what is a "   \
    "message already is not published again); or --skip-existing. Rows that were committed "       \
    "meanwhile and are deleted again can't be had any more"

/* What the server says of itself and the slot. */
struct findings {
    char system[32];
    uint64_t timeline;
    uint64_t end; /* of its WAL */
    char database[HF_CURSOR_TEXT_BYTES];
    bool slot;
    uint64_t confirmed; /* of the slot */
    bool rows;          /* the table has some */
};

static void take_text(char *to, size_t to_bytes, const PGresult *result, const char *column)
{
    int index = PQfnumber(result, column);
    bool there = index >= 0 && PQntuples(result) > 0 && !PQgetisnull(result, 0, index);
    (void)snprintf(to, to_bytes, "%s", there ? PQgetvalue(result, 0, index) : "");
}

static bool is(const PGresult *result, const char *column, const char *text)
{
    int index = PQfnumber(result, column);
    return index >= 0 && PQntuples(result) > 0 && strcmp(PQgetvalue(result, 0, index), text) == 0;
}

static enum hf_relay_end identify(struct hf_pg_source *source, struct findings *findings)
{
    struct hf_relay *relay = source->relay;
    PGresult *result;
    char text[HF_CURSOR_TEXT_BYTES];
    if (PQserverVersion(source->connection) < VERSION_MIN) {
        return hf_relay_say(relay, HF_RELAY_REFUSED, "PostgreSQL %d is too old: 13 or newer",
                            PQserverVersion(source->connection) / 10000);
    }
    enum hf_relay_end end = hf_pg_run(source, "IDENTIFY_SYSTEM", &result);
    if (end != HF_RELAY_GO_ON) {
        return end;
    }
    take_text(findings->system, sizeof(findings->system), result, "systemid");
    take_text(findings->database, sizeof(findings->database), result, "dbname");
    take_text(text, sizeof(text), result, "timeline");
    findings->timeline = strtoull(text, NULL, 10);
    take_text(text, sizeof(text), result, "xlogpos");
    bool good = hf_lsn_parse(hf_str_from(text), &findings->end);
    PQclear(result);
    if (!good) {
        return hf_relay_say(relay, HF_RELAY_REFUSED,
                            "PostgreSQL: IDENTIFY_SYSTEM is not understood");
    }
    end = hf_pg_run(source, "SHOW wal_level", &result);
    if (end == HF_RELAY_GO_ON && !is(result, "wal_level", "logical")) {
        end =
            hf_relay_say(relay, HF_RELAY_REFUSED,
                         "PostgreSQL: wal_level is %s; the relay needs: ALTER SYSTEM SET wal_level "
                         "= logical; and a restart of PostgreSQL",
                         PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    return end;
}

/* ---- the table ---- */

bool hf_pg_payload_of(uint32_t type, enum hf_pg_payload *payload)
{
    bool text =
        type == TYPE_TEXT || type == TYPE_JSON || type == TYPE_VARCHAR || type == TYPE_JSONB;
    *payload = type == TYPE_BYTEA ? HF_PG_PAYLOAD_BYTES : HF_PG_PAYLOAD_TEXT;
    return text || type == TYPE_BYTEA;
}

bool hf_pg_map(const struct hf_outbox_names *names, const char *name, uint32_t column,
               uint32_t index[HF_OUTBOX_FIELDS])
{
    bool used = false;
    for (int i = 0; i < HF_OUTBOX_FIELDS; i++) {
        if (strcmp(hf_outbox_column(names, (enum hf_outbox_field)i), name) == 0) {
            index[i] = column;
            used = true;
        }
    }
    return used;
}

static enum hf_relay_end check_columns(struct hf_pg_source *source, const char *oid)
{
    struct hf_relay *relay = source->relay;
    const struct hf_outbox_names *names = &relay->options->names;
    PGresult *result;
    char sql[256];
    uint32_t index[HF_OUTBOX_FIELDS];
    memset(index, 0xFF, sizeof(index));
    (void)snprintf(
        sql, sizeof(sql),
        "SELECT attname, atttypid, attgenerated FROM pg_attribute WHERE attrelid = %s AND "
        "attnum > 0 AND NOT attisdropped ORDER BY attnum",
        oid);
    enum hf_relay_end end = hf_pg_run(source, sql, &result);
    for (int i = 0; end == HF_RELAY_GO_ON && i < PQntuples(result); i++) {
        const char *name = PQgetvalue(result, i, 0);
        if (hf_pg_map(names, name, (uint32_t)i, index) && PQgetvalue(result, i, 2)[0] != '\0') {
            end = hf_relay_say(relay, HF_RELAY_REFUSED,
                               "%s: the column %s is generated; such columns are not replicated",
                               relay->options->table, name);
        }
    }
    for (int i = 0; end == HF_RELAY_GO_ON && i < HF_OUTBOX_FIELDS; i++) {
        if (index[i] == UINT32_MAX) {
            const char *field = hf_outbox_default_column((enum hf_outbox_field)i);
            end = hf_relay_say(
                relay, HF_RELAY_REFUSED, "%s has no column %s; --column=%s=NAME names another one",
                relay->options->table, hf_outbox_column(names, (enum hf_outbox_field)i), field);
        }
    }
    if (end == HF_RELAY_GO_ON) {
        const char *type = PQgetvalue(result, (int)index[HF_OUTBOX_PAYLOAD], 1);
        if (!hf_pg_payload_of((uint32_t)strtoul(type, NULL, 10), &source->payload)) {
            end = hf_relay_say(relay, HF_RELAY_REFUSED,
                               "%s: the column %s must be json, jsonb, text, varchar or bytea",
                               relay->options->table, hf_outbox_column(names, HF_OUTBOX_PAYLOAD));
        }
    }
    PQclear(result);
    return end;
}

static enum hf_relay_end check_table(struct hf_pg_source *source, char *partitioned)
{
    struct hf_relay *relay = source->relay;
    struct hf_buffer sql;
    PGresult *result;
    char oid[32];
    hf_buffer_init(&sql);
    hf_buffer_text(&sql,
                   "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence FROM pg_class "
                   "c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(");
    hf_pg_put_literal(source, &sql, relay->options->table);
    hf_buffer_text(&sql, ")");
    enum hf_relay_end end = hf_pg_query(source, &sql, &result);
    hf_buffer_release(&sql);
    if (end != HF_RELAY_GO_ON) {
        return end;
    }
    take_text(oid, sizeof(oid), result, "oid");
    take_text(source->schema, sizeof(source->schema), result, "nspname");
    take_text(source->table, sizeof(source->table), result, "relname");
    *partitioned = is(result, "relkind", "p");
    if (oid[0] == '\0' || (!*partitioned && !is(result, "relkind", "r"))) {
        end = hf_relay_say(relay, HF_RELAY_REFUSED, "PostgreSQL: there is no table %s",
                           relay->options->table);
    } else if (!is(result, "relpersistence", "p")) {
        end = hf_relay_say(relay, HF_RELAY_REFUSED,
                           "%s is unlogged or temporary: its rows are not in the WAL",
                           relay->options->table);
    }
    PQclear(result);
    return end == HF_RELAY_GO_ON ? check_columns(source, oid) : end;
}

/* ---- the publication ---- */

static enum hf_relay_end make_publication(struct hf_pg_source *source)
{
    struct hf_relay *relay = source->relay;
    struct hf_buffer sql;
    hf_buffer_init(&sql);
    hf_buffer_text(&sql, "CREATE PUBLICATION ");
    hf_pg_put_identifier(source, &sql, relay->options->publication);
    hf_buffer_text(&sql, " FOR TABLE ");
    hf_pg_put_identifier(source, &sql, source->schema);
    hf_buffer_text(&sql, ".");
    hf_pg_put_identifier(source, &sql, source->table);
    hf_buffer_text(&sql, " WITH (publish = 'insert', publish_via_partition_root = true)");
    enum hf_relay_end end = HF_RELAY_GO_ON;
    PGresult *result = NULL;
    if (relay->options->create) {
        end = hf_pg_query(source, &sql, &result);
        PQclear(result);
    } else {
        end =
            hf_relay_say(relay, HF_RELAY_REFUSED,
                         "there is no publication %s. Either let the relay make it, and the slot, "
                         "with --create; or do it yourself: %.*s;",
                         relay->options->publication, (int)sql.size_bytes,
                         sql.data == NULL ? "" : (const char *)sql.data);
    }
    hf_buffer_release(&sql);
    return end;
}

static enum hf_relay_end check_published(struct hf_pg_source *source, bool partitioned)
{
    struct hf_relay *relay = source->relay;
    const char *publication = relay->options->publication;
    struct hf_buffer sql;
    PGresult *result;
    hf_buffer_init(&sql);
    hf_buffer_text(&sql, "SELECT t.*, p.pubinsert, p.pubviaroot FROM pg_publication p JOIN "
                         "pg_publication_tables t ON t.pubname = p.pubname WHERE p.pubname = ");
    hf_pg_put_literal(source, &sql, publication);
    hf_buffer_text(&sql, " AND t.schemaname = ");
    hf_pg_put_literal(source, &sql, source->schema);
    hf_buffer_text(&sql, " AND t.tablename = ");
    hf_pg_put_literal(source, &sql, source->table);
    enum hf_relay_end end = hf_pg_query(source, &sql, &result);
    hf_buffer_release(&sql);
    if (end != HF_RELAY_GO_ON) {
        return end;
    }
    int filter = PQfnumber(result, "rowfilter"); /* since 15 */
    if (PQntuples(result) == 0) {
        end =
            hf_relay_say(relay, HF_RELAY_REFUSED,
                         "the publication %s does not have the table %s.%s%s: ALTER PUBLICATION %s "
                         "ADD TABLE %s.%s; rows inserted before that are not seen",
                         publication, source->schema, source->table,
                         partitioned ? " (or not publish_via_partition_root)" : "", publication,
                         source->schema, source->table);
    } else if (!is(result, "pubinsert", "t")) {
        end = hf_relay_say(
            relay, HF_RELAY_REFUSED,
            "the publication %s leaves inserts out: ALTER PUBLICATION %s SET (publish = "
            "'insert')",
            publication, publication);
    } else if (filter >= 0 && !PQgetisnull(result, 0, filter)) {
        end =
            hf_relay_say(relay, HF_RELAY_REFUSED,
                         "the publication %s has a filter of rows for %s.%s: the relay would pass "
                         "over the others",
                         publication, source->schema, source->table);
    }
    PQclear(result);
    return end;
}

static enum hf_relay_end check_publication(struct hf_pg_source *source, bool partitioned)
{
    struct hf_buffer sql;
    PGresult *result;
    hf_buffer_init(&sql);
    hf_buffer_text(&sql, "SELECT 1 FROM pg_publication WHERE pubname = ");
    hf_pg_put_literal(source, &sql, source->relay->options->publication);
    enum hf_relay_end end = hf_pg_query(source, &sql, &result);
    hf_buffer_release(&sql);
    if (end == HF_RELAY_GO_ON && PQntuples(result) == 0) {
        end = make_publication(source);
    }
    PQclear(result);
    return end == HF_RELAY_GO_ON ? check_published(source, partitioned) : end;
}

/* ---- the slot ---- */

static enum hf_relay_end judge_slot(struct hf_pg_source *source, const PGresult *result,
                                    struct findings *findings)
{
    struct hf_relay *relay = source->relay;
    const char *slot = relay->options->slot;
    char text[64];
    if (!is(result, "slot_type", "logical") || !is(result, "plugin", "pgoutput") ||
        !is(result, "database", findings->database) || !is(result, "temporary", "f")) {
        return hf_relay_say(relay, HF_RELAY_REFUSED,
                            "the slot %s is not a lasting one of this database with the plugin "
                            "pgoutput; --slot names another one",
                            slot);
    }
    if (is(result, "wal_status", "lost")) {
        return hf_relay_say(relay, HF_RELAY_REFUSED,
                            "the slot %s has lost WAL (max_slot_wal_keep_size): rows that were not "
                            "published can't be read from it any more. Drop it (SELECT "
                            "pg_drop_replication_slot('%s')), and make a new one (--create)",
                            slot, slot);
    }
    take_text(text, sizeof(text), result, "confirmed_flush_lsn");
    if (!hf_lsn_parse(hf_str_from(text), &findings->confirmed)) {
        return hf_relay_say(relay, HF_RELAY_AGAIN, "the slot %s is not ready yet", slot);
    }
    findings->slot = true;
    return HF_RELAY_GO_ON;
}

static enum hf_relay_end find_slot(struct hf_pg_source *source, struct findings *findings)
{
    struct hf_buffer sql;
    PGresult *result;
    hf_buffer_init(&sql);
    hf_buffer_text(&sql, "SELECT slot_type, plugin, database, temporary, confirmed_flush_lsn, "
                         "wal_status FROM pg_replication_slots WHERE slot_name = ");
    hf_pg_put_literal(source, &sql, source->relay->options->slot);
    enum hf_relay_end end = hf_pg_query(source, &sql, &result);
    hf_buffer_release(&sql);
    if (end == HF_RELAY_GO_ON && PQntuples(result) > 0) {
        end = judge_slot(source, result, findings);
    }
    PQclear(result);
    return end;
}

static enum hf_relay_end make_slot(struct hf_pg_source *source, struct findings *findings)
{
    struct hf_relay *relay = source->relay;
    struct hf_buffer sql;
    PGresult *result;
    if (!relay->options->create) {
        return hf_relay_say(relay, HF_RELAY_REFUSED,
                            "there is no replication slot %s. Either let the relay make it with "
                            "--create; or do it yourself: SELECT "
                            "pg_create_logical_replication_slot('%s', 'pgoutput')",
                            relay->options->slot, relay->options->slot);
    }
    hf_buffer_init(&sql);
    hf_buffer_text(&sql, "CREATE_REPLICATION_SLOT ");
    hf_pg_put_identifier(source, &sql, relay->options->slot);
    hf_buffer_text(&sql, " LOGICAL pgoutput NOEXPORT_SNAPSHOT");
    enum hf_relay_end end = hf_pg_query(source, &sql, &result);
    PQclear(result);
    hf_buffer_release(&sql);
    if (end != HF_RELAY_GO_ON) {
        return end;
    }
    hf_relay_warn(&relay->status, "made the replication slot %s", relay->options->slot);
    return find_slot(source, findings);
}

/* ---- against the cursor ---- */

/* There is a cursor; is this the slot that the relay left? */
static enum hf_relay_end compare(struct hf_pg_source *source, const struct findings *findings)
{
    struct hf_relay *relay = source->relay;
    const struct hf_cursor *cursor = &relay->cursor;
    const char *slot = relay->options->slot;
    char ours[HF_LSN_TEXT_BYTES];
    char confirmed[HF_LSN_TEXT_BYTES];
    char server[HF_LSN_TEXT_BYTES];
    hf_lsn_format(cursor->at.lsn, ours);
    hf_lsn_format(findings->confirmed, confirmed);
    hf_lsn_format(findings->end, server);
    if (strcmp(cursor->system, findings->system) != 0 ||
        strcmp(cursor->database, findings->database) != 0) {
        return hf_relay_say(
            relay, HF_RELAY_REFUSED,
            "this is another database: the relay %s follows %s of the cluster %s, this "
            "is %s of %s; another outbox needs another NAME",
            relay->options->name, cursor->database, cursor->system, findings->database,
            findings->system);
    }
    if (strcmp(cursor->slot, slot) != 0) {
        return hf_relay_say(relay, HF_RELAY_REFUSED, "the relay %s follows the slot %s, not %s",
                            relay->options->name, cursor->slot, slot);
    }
    if (!findings->slot) {
        return hf_relay_say(
            relay, HF_RELAY_REFUSED,
            "the replication slot %s is gone; the relay had come to %s. It can be made "
            "again (--create)",
            slot, ours);
    }
    if (findings->confirmed > cursor->at.lsn) {
        return hf_relay_say(
            relay, HF_RELAY_REFUSED,
            "the replication slot %s stands at %s, beyond %s to which this relay has "
            "published: it was dropped and made again, or moved by somebody else; rows "
            "in between would be lost",
            slot, confirmed, ours);
    }
    if (findings->timeline != cursor->timeline || findings->end < cursor->at.lsn) {
        return hf_relay_say(relay, HF_RELAY_REFUSED,
                            "PostgreSQL is on timeline %" PRIu64
                            " at %s, the relay was on timeline "
                            "%" PRIu64 " at %s: a standby took over, or a backup was brought back; "
                            "transactions may be gone whose messages are published",
                            findings->timeline, server, cursor->timeline, ours);
    }
    return HF_RELAY_GO_ON;
}

static enum hf_relay_end look_for_rows(struct hf_pg_source *source, bool *rows)
{
    struct hf_buffer sql;
    PGresult *result;
    hf_buffer_init(&sql);
    hf_buffer_text(&sql, "SELECT 1 FROM ");
    hf_pg_put_identifier(source, &sql, source->schema);
    hf_buffer_text(&sql, ".");
    hf_pg_put_identifier(source, &sql, source->table);
    hf_buffer_text(&sql, " LIMIT 1");
    enum hf_relay_end end = hf_pg_query(source, &sql, &result);
    *rows = end == HF_RELAY_GO_ON && PQntuples(result) > 0;
    PQclear(result);
    hf_buffer_release(&sql);
    return end;
}

/* The first start, or one that adopts: a cursor that begins where the slot stands. */
static enum hf_relay_end make_cursor(struct hf_pg_source *source, struct findings *findings)
{
    struct hf_relay *relay = source->relay;
    const struct hf_relay_options *options = relay->options;
    bool was_there = findings->slot;
    enum hf_relay_end end = look_for_rows(source, &findings->rows);
    if (end == HF_RELAY_GO_ON && findings->rows && !options->skip_existing &&
        options->publish_existing == NULL) {
        return hf_relay_say(relay, HF_RELAY_REFUSED,
                            "%s.%s has rows already. Shall they be published? "
                            "--publish-existing=COLUMN: yes, in the order of COLUMN; "
                            "--skip-existing: no, only what comes from now on",
                            source->schema, source->table);
    }
    if (end == HF_RELAY_GO_ON && !findings->slot) {
        end = make_slot(source, findings);
    }
    if (end != HF_RELAY_GO_ON) {
        return end;
    }
    if (relay->cursor.kind == HF_CURSOR_NONE && was_there) {
        hf_relay_warn(&relay->status,
                      "the slot %s was there before this relay: it begins where the "
                      "slot stands",
                      options->slot);
    }
    struct hf_cursor next = relay->cursor;
    next.kind = HF_CURSOR_POSTGRESQL;
    next.at = (struct hf_cursor_at){.lsn = findings->confirmed};
    next.timeline = findings->timeline;
    (void)snprintf(next.table, sizeof(next.table), "%s.%s", source->schema, source->table);
    (void)snprintf(next.system, sizeof(next.system), "%s", findings->system);
    (void)snprintf(next.database, sizeof(next.database), "%s", findings->database);
    hf_cursor_text(next.slot, hf_str_from(options->slot));
    hf_cursor_text(next.copying, hf_str_from(options->publish_existing));
    return hf_publisher_save(&source->publisher, &next);
}

enum hf_relay_end hf_pg_check(struct hf_pg_source *source)
{
    struct hf_relay *relay = source->relay;
    const struct hf_cursor *cursor = &relay->cursor;
    struct findings findings = {0};
    char table[HF_CURSOR_TEXT_BYTES];
    char partitioned = 0;
    enum hf_relay_end end = hf_publisher_load(&source->publisher);
    end = end == HF_RELAY_GO_ON ? identify(source, &findings) : end;
    end = end == HF_RELAY_GO_ON ? check_table(source, &partitioned) : end;
    (void)snprintf(table, sizeof(table), "%s.%s", source->schema, source->table);
    if (end == HF_RELAY_GO_ON && cursor->kind != HF_CURSOR_NONE &&
        (cursor->kind != HF_CURSOR_POSTGRESQL || strcmp(cursor->table, table) != 0)) {
        return hf_relay_say(
            relay, HF_RELAY_REFUSED,
            "the relay %s is one of the table %s; another outbox needs another NAME",
            relay->options->name, cursor->table);
    }
    end = end == HF_RELAY_GO_ON ? check_publication(source, partitioned != 0) : end;
    end = end == HF_RELAY_GO_ON ? find_slot(source, &findings) : end;
    if (end != HF_RELAY_GO_ON) {
        return end;
    }
    source->server_end = findings.end;
    source->once_until = findings.end;
    if (cursor->kind == HF_CURSOR_NONE || hf_relay_adopts(relay)) {
        return make_cursor(source, &findings);
    }
    end = compare(source, &findings);
    if (end != HF_RELAY_GO_ON) {
        hf_relay_say_adopt(relay, HELP_ADOPT);
    }
    return end;
}
