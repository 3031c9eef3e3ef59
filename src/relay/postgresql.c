/* The outbox in PostgreSQL: connecting, queries, starting over. */
#include "relay/postgresql_priv.h"

#include <poll.h>

#include "base/alloc.h"

#define RECONNECT_FIRST_MS 200
#define RECONNECT_MAX_MS   10000
#define AWAY_MS                                                                                    \
    20000 /* without the server for so long the connection is closed, so that PostgreSQL can stop */
#define OPTIONS_MAX 8

/* ---- errors ---- */

/* Classes of SQLSTATE that pass by themselves: connection, resources, operator intervention, system; an object that is in
 * use: the slot, by a connection of ours that the server has not given up yet. */
static bool passes(const char *sqlstate)
{
    static const char *const classes[] = {"08", "40", "53", "57", "58"};
    if (sqlstate == NULL) {
        return true; /* no answer at all */
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(classes); i++) {
        if (strncmp(sqlstate, classes[i], 2) == 0) {
            return true;
        }
    }
    return strcmp(sqlstate, "55006") == 0;
}

enum hf_relay_end hf_pg_failed(struct hf_pg_source *source, const char *what, const char *sqlstate,
                               const char *text)
{
    int length = (int)strlen(text);
    while (length > 0 && text[length - 1] == '\n') {
        length--;
    }
    return hf_relay_say(source->relay, passes(sqlstate) ? HF_RELAY_AGAIN : HF_RELAY_REFUSED,
                        "PostgreSQL: %s: %.*s", what, length, text);
}

enum hf_relay_end hf_pg_run(struct hf_pg_source *source, const char *sql, PGresult **result)
{
    PGresult *got = PQexec(source->connection, sql);
    ExecStatusType status = PQresultStatus(got);
    enum hf_relay_end end = HF_RELAY_GO_ON;
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        end = hf_pg_failed(source, sql, PQresultErrorField(got, PG_DIAG_SQLSTATE),
                           PQerrorMessage(source->connection));
        PQclear(got);
        got = NULL;
    }
    if (result != NULL) {
        *result = got;
    } else {
        PQclear(got);
    }
    return end;
}

enum hf_relay_end hf_pg_query(struct hf_pg_source *source, struct hf_buffer *sql, PGresult **result)
{
    hf_buffer_u8(sql, 0);
    if (sql->failed) {
        *result = NULL;
        return hf_relay_say(source->relay, HF_RELAY_FAILED, "out of memory");
    }
    return hf_pg_run(source, (const char *)sql->data, result);
}

static void put_escaped(struct hf_buffer *sql, char *text)
{
    if (text == NULL) {
        sql->failed = true;
        return;
    }
    hf_buffer_text(sql, text);
    PQfreemem(text);
}

void hf_pg_put_literal(struct hf_pg_source *source, struct hf_buffer *sql, const char *text)
{
    put_escaped(sql, PQescapeLiteral(source->connection, text, strlen(text)));
}

void hf_pg_put_identifier(struct hf_pg_source *source, struct hf_buffer *sql, const char *text)
{
    put_escaped(sql, PQescapeIdentifier(source->connection, text, strlen(text)));
}

/* ---- the connection ---- */

static void disconnect(struct hf_pg_source *source)
{
    PQfinish(source->connection);
    source->connection = NULL;
}

/* Waits for libpq's socket. false: it shall stop. */
static bool wait_for(struct hf_pg_source *source, PostgresPollingStatusType wanted)
{
    struct pollfd polled[2] = {{.fd = source->relay->signals, .events = POLLIN},
                               {.fd = PQsocket(source->connection),
                                .events = wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT}};
    (void)poll(polled, 2, 1000);
    hf_relay_status_tick(&source->relay->status);
    return !hf_relay_stopping(source->relay);
}

static enum hf_relay_end connect_now(struct hf_pg_source *source)
{
    /* The connection string comes first: what stands behind it wins. */
    const char *const names[OPTIONS_MAX] = {"dbname",          "replication",
                                            "client_encoding", "fallback_application_name",
                                            "keepalives_idle", NULL};
    const char *const values[OPTIONS_MAX] = {
        source->relay->options->database, "database", "UTF8", "holdfast relay", "30", NULL};
    uint64_t until_ms = hf_relay_ticks_ms() + 15000;
    source->connection = PQconnectStartParams(names, values, 1);
    if (source->connection == NULL) {
        return hf_relay_say(source->relay, HF_RELAY_FAILED, "out of memory");
    }
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (PQstatus(source->connection) != CONNECTION_BAD && status != PGRES_POLLING_OK &&
           status != PGRES_POLLING_FAILED && hf_relay_ticks_ms() < until_ms) {
        if (!wait_for(source, status)) {
            return HF_RELAY_DONE;
        }
        status = PQconnectPoll(source->connection);
    }
    if (PQstatus(source->connection) != CONNECTION_OK) {
        return hf_pg_failed(source, "connect", NULL,
                            status == PGRES_POLLING_FAILED || status == PGRES_POLLING_WRITING
                                ? PQerrorMessage(source->connection)
                                : "it took too long");
    }
    /* Values come as text: always in these forms. */
    enum hf_relay_end end =
        hf_pg_run(source, "SET bytea_output = hex; SET statement_timeout = 0", NULL);
    return end;
}

/* While Holdfast does not answer: the slot is told where we are, so that the connection is not given up; after a while
 * it is closed, for a PostgreSQL that is to be stopped waits for us otherwise. */
static void keep_patient(void *context)
{
    struct hf_pg_source *source = context;
    uint64_t now_ms = hf_relay_ticks_ms();
    if (source->connection == NULL || !source->streaming) {
        return;
    }
    if (source->away_since_ms == 0) {
        source->away_since_ms = now_ms;
    }
    if (now_ms - source->away_since_ms >= AWAY_MS || !hf_pg_send_status(source, false)) {
        disconnect(source);
    }
}

static enum hf_relay_end run_once(struct hf_pg_source *source)
{
    struct hf_relay *relay = source->relay;
    enum hf_relay_end end = connect_now(source);
    end = end == HF_RELAY_GO_ON ? hf_pg_check(source) : end;
    if (end == HF_RELAY_GO_ON && relay->cursor.copying[0] != '\0') {
        hf_relay_status_state(&relay->status, HF_RELAY_COPYING);
        end = hf_pg_copy(source);
    }
    if (end == HF_RELAY_GO_ON) {
        hf_relay_status_state(&relay->status, HF_RELAY_RUNNING);
        end = hf_pg_stream(source);
    }
    source->streaming = false;
    disconnect(source);
    hf_publisher_clear(&source->publisher);
    return end;
}

enum hf_relay_end hf_relay_run_postgresql(struct hf_relay *relay)
{
    struct hf_pg_source source = {.relay = relay};
    enum hf_relay_end end = HF_RELAY_GO_ON;
    uint64_t wait_ms = RECONNECT_FIRST_MS;
    hf_buffer_init(&source.bytes);
    relay->waiting = keep_patient;
    relay->waiting_context = &source;
    if (!hf_publisher_init(&source.publisher, relay)) {
        end = hf_relay_say(relay, HF_RELAY_FAILED, "out of memory");
    }
    while (end == HF_RELAY_GO_ON) {
        uint64_t commits = relay->status.commits;
        end = run_once(&source);
        if (end == HF_RELAY_AGAIN && relay->options->once && relay->status.commits == 0) {
            end = HF_RELAY_FAILED; /* somebody waits for the result */
        }
        if (end != HF_RELAY_AGAIN && end != HF_RELAY_MOVED) {
            break;
        }
        if (end == HF_RELAY_AGAIN) {
            hf_relay_warn(&relay->status, "%s; connecting again", relay->error);
            hf_relay_status_state(&relay->status, HF_RELAY_DATABASE_AWAY);
        }
        relay->status.reconnects++;
        wait_ms = relay->status.commits > commits ? RECONNECT_FIRST_MS : wait_ms;
        hf_relay_wait(relay, -1, hf_relay_jittered(wait_ms));
        wait_ms = hf_min_u64(wait_ms * 2, RECONNECT_MAX_MS);
        end = hf_relay_stopping(relay) ? HF_RELAY_DONE : HF_RELAY_GO_ON;
    }
    hf_publisher_release(&source.publisher);
    hf_buffer_release(&source.bytes);
    hf_free(source.relations);
    return end;
}
