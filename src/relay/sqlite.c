/*
 * The outbox in an SQLite file, read by its sequence.
 *
 * SQLite has one writer at a time, so the numbers that AUTOINCREMENT gives are in the order of the commits, with no
 * row that appears later below one that was seen. That is why the table must have such a column: without
 * AUTOINCREMENT a number comes again after its row was deleted, and a relay would pass over the new row.
 *
 * Each look is a short read transaction, over before Holdfast is asked, so that no checkpoint of the WAL waits for
 * the network. Between two looks PRAGMA data_version tells whether anybody has committed; it costs no I/O but a
 * glance at the file's header or the WAL's index.
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "relay/publish.h"

#define BUSY_MS         2000
#define RECONNECT_MS    1000
#define SQL_BYTES       4096
#define COLUMN_SEQUENCE HF_OUTBOX_FIELDS /* of the row query: behind the fields */

struct source {
    struct hf_relay *relay;
    struct hf_publisher publisher;
    sqlite3 *db;
    sqlite3_stmt *version, *rows, *last, *remove; /* remove: NULL unless --delete-published */
    char sequence[HF_CURSOR_TEXT_BYTES];          /* the column */
    int64_t seen_version;                         /* of the database, as of the last look */
    uint64_t last_sequence;                       /* the highest that was ever given */
    uint64_t removed;                             /* rows up to this sequence are deleted */
    dev_t device;                                 /* which file it is: */
    ino_t file;                                   /* … */
};

static enum hf_relay_end database_failed(struct source *source, const char *what)
{
    struct hf_relay *relay = source->relay;
    return hf_relay_say(relay, HF_RELAY_AGAIN, "%s: %s: %s", relay->options->database, what,
                        sqlite3_errmsg(source->db));
}

/* ---- opening ---- */

static void close_database(struct source *source)
{
    sqlite3_stmt *all[] = {source->version, source->rows, source->last, source->remove};
    for (size_t i = 0; i < HF_ARRAY_COUNT(all); i++) {
        (void)sqlite3_finalize(all[i]);
    }
    (void)sqlite3_close(source->db);
    source->db = NULL;
    source->version = source->rows = source->last = source->remove = NULL;
}

static enum hf_relay_end prepare(struct source *source, const char *sql, sqlite3_stmt **statement)
{
    if (sqlite3_prepare_v2(source->db, sql, -1, statement, NULL) == SQLITE_OK) {
        return HF_RELAY_GO_ON;
    }
    struct hf_relay *relay = source->relay;
    int code = sqlite3_errcode(source->db);
    return hf_relay_say(relay, code == SQLITE_ERROR ? HF_RELAY_REFUSED : HF_RELAY_AGAIN, "%s: %s",
                        relay->options->database, sqlite3_errmsg(source->db));
}

/* The name of the table's INTEGER PRIMARY KEY, and that it is AUTOINCREMENT: then the table stands in
 * sqlite_sequence's care, which sqlite_schema's text tells. */
static enum hf_relay_end find_sequence(struct source *source)
{
    struct hf_relay *relay = source->relay;
    const char *table = relay->options->table;
    sqlite3_stmt *statement = NULL;
    char sql[SQL_BYTES];
    int primary = 0;
    source->sequence[0] = '\0';
    (void)sqlite3_snprintf(sizeof(sql), sql, "PRAGMA main.table_info(\"%w\")", table);
    enum hf_relay_end end = prepare(source, sql, &statement);
    while (end == HF_RELAY_GO_ON && sqlite3_step(statement) == SQLITE_ROW) {
        if (sqlite3_column_int(statement, 5) > 0) {
            const char *name = (const char *)sqlite3_column_text(statement, 1);
            hf_cursor_text(source->sequence, hf_str_from(name));
            primary++;
        }
    }
    (void)sqlite3_finalize(statement);
    int autoincrement = 0;
    if (end == HF_RELAY_GO_ON && primary == 1) {
        int code = sqlite3_table_column_metadata(source->db, "main", table, source->sequence, NULL,
                                                 NULL, NULL, NULL, &autoincrement);
        autoincrement = code == SQLITE_OK ? autoincrement : 0;
    }
    if (end == HF_RELAY_GO_ON && autoincrement == 0) {
        end = hf_relay_say(
            relay, HF_RELAY_REFUSED,
            "%s: the table %s is not there, or has no column \"INTEGER PRIMARY KEY "
            "AUTOINCREMENT\". "
            "The relay goes by it: other numbers come again after a delete, and rows would be "
            "passed "
            "over. CREATE TABLE outbox (sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT "
            "NULL "
            "UNIQUE, aggregatetype TEXT NOT NULL, aggregateid TEXT NOT NULL, type TEXT NOT NULL, "
            "payload TEXT)",
            relay->options->database, table);
    }
    return end;
}

static enum hf_relay_end prepare_all(struct source *source)
{
    const struct hf_relay_options *options = source->relay->options;
    const struct hf_outbox_names *names = &options->names;
    const char *key = source->sequence;
    char sql[SQL_BYTES];
    enum hf_relay_end end = prepare(source, "PRAGMA main.data_version", &source->version);
    (void)sqlite3_snprintf(
        sizeof(sql), sql,
        "SELECT \"%w\", \"%w\", \"%w\", \"%w\", \"%w\", \"%w\" FROM main.\"%w\" "
        "WHERE \"%w\" > ?1 ORDER BY \"%w\" LIMIT ?2",
        hf_outbox_column(names, HF_OUTBOX_ID), hf_outbox_column(names, HF_OUTBOX_TOPIC),
        hf_outbox_column(names, HF_OUTBOX_KEY), hf_outbox_column(names, HF_OUTBOX_TYPE),
        hf_outbox_column(names, HF_OUTBOX_PAYLOAD), key, options->table, key, key);
    end = end == HF_RELAY_GO_ON ? prepare(source, sql, &source->rows) : end;
    (void)sqlite3_snprintf(
        sizeof(sql), sql,
        "SELECT coalesce((SELECT seq FROM main.sqlite_sequence WHERE name = %Q), 0), "
        "(SELECT \"%w\" FROM main.\"%w\" WHERE \"%w\" = ?1)",
        options->table, hf_outbox_column(names, HF_OUTBOX_ID), options->table, key);
    end = end == HF_RELAY_GO_ON ? prepare(source, sql, &source->last) : end;
    if (end == HF_RELAY_GO_ON && options->delete_published) {
        (void)sqlite3_snprintf(sizeof(sql), sql,
                               "DELETE FROM main.\"%w\" WHERE \"%w\" IN (SELECT \"%w\" FROM "
                               "main.\"%w\" WHERE \"%w\" <= ?1 ORDER BY \"%w\" LIMIT ?2)",
                               options->table, key, key, options->table, key, key);
        end = prepare(source, sql, &source->remove);
    }
    return end;
}

/* Is the file at the path still the one that is open? One that was put in its place would never be seen. */
static bool is_same_file(struct source *source, bool first)
{
    struct stat now;
    if (stat(source->relay->options->database, &now) != 0) {
        return false;
    }
    if (first) {
        source->device = now.st_dev;
        source->file = now.st_ino;
    }
    return now.st_dev == source->device && now.st_ino == source->file;
}

static enum hf_relay_end open_database(struct source *source)
{
    struct hf_relay *relay = source->relay;
    bool writes = relay->options->delete_published;
    const char *path = relay->options->database;
    /* Never made: a wrong path would be an empty database, and an empty outbox looks like a quiet one. A reader of a
     * WAL needs to write its index, so read-only is the second choice. */
    int code = sqlite3_open_v2(path, &source->db, SQLITE_OPEN_READWRITE, NULL);
    if (code != SQLITE_OK && !writes) {
        (void)sqlite3_close(source->db);
        code = sqlite3_open_v2(path, &source->db, SQLITE_OPEN_READONLY, NULL);
    }
    if (code != SQLITE_OK) {
        return database_failed(source, "open");
    }
    if (!is_same_file(source, true)) {
        return hf_relay_say(relay, HF_RELAY_AGAIN, "%s is not there", path);
    }
    (void)sqlite3_busy_timeout(source->db, BUSY_MS);
    if (!writes &&
        sqlite3_exec(source->db, "PRAGMA query_only = 1", NULL, NULL, NULL) != SQLITE_OK) {
        return database_failed(source, "query_only");
    }
    source->seen_version = -1;
    enum hf_relay_end end = find_sequence(source);
    return end == HF_RELAY_GO_ON ? prepare_all(source) : end;
}

/* ---- is it still the table that the cursor is of? ---- */

static enum hf_relay_end check_table(struct source *source)
{
    struct hf_relay *relay = source->relay;
    struct hf_cursor *cursor = &relay->cursor;
    (void)sqlite3_bind_int64(source->last, 1, (int64_t)cursor->at.sequence);
    if (sqlite3_step(source->last) != SQLITE_ROW) {
        (void)sqlite3_reset(source->last);
        return database_failed(source, "look at the sequence");
    }
    uint64_t last = (uint64_t)sqlite3_column_int64(source->last, 0);
    source->last_sequence = last;
    const char *text = (const char *)sqlite3_column_text(source->last, 1);
    char id[HF_CURSOR_TEXT_BYTES] = "";
    bool there = text != NULL;
    hf_cursor_text(id, hf_str_from(text));
    (void)sqlite3_reset(source->last);
    enum hf_relay_end end = HF_RELAY_GO_ON;
    if (last < cursor->at.sequence) {
        end = hf_relay_say(
            relay, HF_RELAY_REFUSED,
            "%s: the sequence of %s stands at %" PRIu64 ", but rows up to %" PRIu64
            " were published: the table or the file was made anew, or brought back from "
            "a backup",
            relay->options->database, relay->options->table, last, cursor->at.sequence);
    } else if (there && strcmp(id, cursor->id) != 0) {
        end = hf_relay_say(relay, HF_RELAY_REFUSED,
                           "%s: the row %" PRIu64 " of %s has the id %s, but %s was published from "
                           "there: it is another table",
                           relay->options->database, cursor->at.sequence, relay->options->table, id,
                           cursor->id);
    }
    if (end != HF_RELAY_GO_ON) {
        hf_relay_say_adopt(relay,
                           ": it begins with the first row of the table, and what is a message "
                           "already is not published again");
    }
    return end;
}

/* Reads the cursor; makes one if there is none or the user wants it. */
static enum hf_relay_end begin(struct source *source)
{
    struct hf_relay *relay = source->relay;
    const struct hf_cursor *cursor = &relay->cursor;
    enum hf_relay_end end = hf_publisher_load(&source->publisher);
    if (end != HF_RELAY_GO_ON) {
        return end;
    }
    if (cursor->kind != HF_CURSOR_NONE &&
        (cursor->kind != HF_CURSOR_SQLITE || strcmp(cursor->table, relay->options->table) != 0)) {
        return hf_relay_say(
            relay, HF_RELAY_REFUSED,
            "the relay %s is one of %s, table %s; another outbox needs another NAME",
            relay->options->name, cursor->kind == HF_CURSOR_SQLITE ? "SQLite" : "PostgreSQL",
            cursor->table);
    }
    source->removed = 0;
    source->seen_version = -1;
    if (cursor->kind != HF_CURSOR_NONE && !hf_relay_adopts(relay)) {
        return check_table(source);
    }
    struct hf_cursor next = *cursor;
    next.kind = HF_CURSOR_SQLITE;
    next.at = (struct hf_cursor_at){0};
    next.id[0] = '\0';
    hf_cursor_text(next.table, hf_str_from(relay->options->table));
    return hf_publisher_save(&source->publisher, &next);
}

/* ---- rows ---- */

static struct hf_str column(sqlite3_stmt *statement, int index)
{
    if (sqlite3_column_type(statement, index) == SQLITE_NULL) {
        return HF_STR_NONE;
    }
    const char *bytes = sqlite3_column_blob(statement, index); /* text as it is stored: UTF-8 */
    int size_bytes = sqlite3_column_bytes(statement, index);
    return size_bytes == 0 ? HF_STR("") : (struct hf_str){bytes, (size_t)size_bytes};
}

/* What is behind the cursor, a batch at most, waits then to be published; the read is over. */
static enum hf_relay_end take_rows(struct source *source)
{
    struct hf_relay *relay = source->relay;
    uint64_t now_us = hf_relay_now_us();
    enum hf_relay_end end = HF_RELAY_GO_ON;
    int code = SQLITE_ROW;
    (void)sqlite3_bind_int64(source->rows, 1, (int64_t)relay->cursor.at.sequence);
    (void)sqlite3_bind_int64(source->rows, 2, (int64_t)relay->options->batch_rows_max);
    while (end == HF_RELAY_GO_ON && !hf_publisher_full(&source->publisher) &&
           (code = sqlite3_step(source->rows)) == SQLITE_ROW) {
        struct hf_outbox_row row = {0};
        char where[64];
        struct hf_cursor_at at = {
            .sequence = (uint64_t)sqlite3_column_int64(source->rows, COLUMN_SEQUENCE)};
        for (int i = 0; i < HF_OUTBOX_FIELDS; i++) {
            row.fields[i] = column(source->rows, i);
        }
        (void)snprintf(where, sizeof(where), "row %" PRIu64, at.sequence);
        row.where = where;
        end = hf_publisher_add(&source->publisher, &row, &at, now_us);
    }
    if (end == HF_RELAY_GO_ON && code != SQLITE_ROW && code != SQLITE_DONE) {
        end = database_failed(source, "read rows");
    }
    (void)sqlite3_reset(source->rows);
    return end;
}

static enum hf_relay_end remove_published(struct source *source)
{
    struct hf_relay *relay = source->relay;
    uint64_t up_to = relay->cursor.at.sequence;
    while (source->remove != NULL && source->removed < up_to && !hf_relay_stopping(relay)) {
        (void)sqlite3_bind_int64(source->remove, 1, (int64_t)up_to);
        (void)sqlite3_bind_int64(source->remove, 2, (int64_t)relay->options->batch_rows_max);
        int code = sqlite3_step(source->remove);
        (void)sqlite3_reset(source->remove);
        if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
            return HF_RELAY_GO_ON; /* with the next batch, or at the next look */
        }
        if (code != SQLITE_DONE) {
            return database_failed(source, "delete what is published");
        }
        if (sqlite3_changes(source->db) == 0) {
            source->removed = up_to;
        }
    }
    return HF_RELAY_GO_ON;
}

/* Has anybody committed since the last look? */
static enum hf_relay_end look(struct source *source, bool *changed)
{
    if (!is_same_file(source, false)) {
        return hf_relay_say(source->relay, HF_RELAY_AGAIN, "%s is another file now",
                            source->relay->options->database);
    }
    int code = sqlite3_step(source->version);
    int64_t version = code == SQLITE_ROW ? sqlite3_column_int64(source->version, 0) : -1;
    (void)sqlite3_reset(source->version);
    if (code != SQLITE_ROW) {
        return database_failed(source, "data_version");
    }
    *changed = version != source->seen_version;
    source->seen_version = version;
    return HF_RELAY_GO_ON;
}

/* By the rows' numbers: some may be missing. */
static void tell_lag(struct source *source)
{
    uint64_t sequence = source->relay->cursor.at.sequence;
    source->relay->status.lag_rows =
        source->last_sequence > sequence ? source->last_sequence - sequence : 0;
}

/* One look, and what it shows published. *idle: there is nothing more now. */
static enum hf_relay_end turn(struct source *source, bool *idle)
{
    bool changed = false;
    *idle = true;
    enum hf_relay_end end = look(source, &changed);
    if (end != HF_RELAY_GO_ON || !changed) {
        return end == HF_RELAY_GO_ON ? remove_published(source) : end;
    }
    end = check_table(source);
    end = end == HF_RELAY_GO_ON ? take_rows(source) : end;
    if (end == HF_RELAY_GO_ON) {
        tell_lag(source);
        *idle = source->publisher.count == 0;
        source->seen_version = *idle ? source->seen_version : -1; /* look again at once */
        end = hf_publisher_flush(&source->publisher);
    }
    if (end == HF_RELAY_GO_ON) {
        tell_lag(source);
        end = remove_published(source);
    }
    return end;
}

/* With an open database until something ends it. */
static enum hf_relay_end follow(struct source *source)
{
    struct hf_relay *relay = source->relay;
    enum hf_relay_end end = begin(source);
    hf_relay_status_state(&relay->status, HF_RELAY_RUNNING);
    while (end == HF_RELAY_GO_ON) {
        bool idle;
        if (hf_relay_stopping(relay)) {
            return HF_RELAY_DONE;
        }
        end = turn(source, &idle);
        if (end == HF_RELAY_GO_ON && idle) {
            if (relay->options->once) {
                return HF_RELAY_DONE;
            }
            hf_relay_wait(relay, -1, relay->options->poll_ms);
        }
        hf_relay_status_tick(&relay->status);
    }
    return end;
}

enum hf_relay_end hf_relay_run_sqlite(struct hf_relay *relay)
{
    struct source source = {.relay = relay};
    enum hf_relay_end end = HF_RELAY_GO_ON;
    bool opened = false;
    if (!hf_publisher_init(&source.publisher, relay)) {
        return hf_relay_say(relay, HF_RELAY_FAILED, "out of memory");
    }
    while (end == HF_RELAY_GO_ON) {
        end = open_database(&source);
        opened = opened || end == HF_RELAY_GO_ON;
        end = end == HF_RELAY_GO_ON ? follow(&source) : end;
        close_database(&source);
        hf_publisher_clear(&source.publisher);
        if (end == HF_RELAY_AGAIN && !opened) {
            end = HF_RELAY_FAILED; /* never there: a wrong path rather than a passing failure */
        } else if (end == HF_RELAY_AGAIN) {
            hf_relay_warn(&relay->status, "%s; opening it again", relay->error);
            hf_relay_status_state(&relay->status, HF_RELAY_DATABASE_AWAY);
            relay->status.reconnects++;
            hf_relay_wait(relay, -1, hf_relay_jittered(RECONNECT_MS));
            end = hf_relay_stopping(relay) ? HF_RELAY_DONE : HF_RELAY_GO_ON;
        } else if (end == HF_RELAY_MOVED) {
            end = hf_relay_stopping(relay) ? HF_RELAY_DONE : HF_RELAY_GO_ON;
        }
    }
    hf_publisher_release(&source.publisher);
    return end;
}
