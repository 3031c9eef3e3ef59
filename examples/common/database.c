#include "database.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>

#include "service.h"

#define BUSY_MS 30000 /* a connection waits so long for another's write */

static pthread_key_t connections; /* sqlite3 of a thread */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool synced;

void database_sync_each_commit(void)
{
    synced = true;
}

static void close_connection(void *connection)
{
    (void)sqlite3_close(connection);
}

static void start(void)
{
    if (pthread_key_create(&connections, close_connection) != 0) {
        die("out of memory");
    }
}

static sqlite3 *connection_of_thread(void)
{
    (void)pthread_once(&once, start);
    sqlite3 *connection = pthread_getspecific(connections);
    if (connection == NULL) {
        const char *path = service_settings()->database;
        if (sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
                SQLITE_OK ||
            sqlite3_busy_timeout(connection, BUSY_MS) != SQLITE_OK ||
            sqlite3_exec(connection,
                         synced ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", NULL,
                         NULL, NULL) != SQLITE_OK ||
            pthread_setspecific(connections, connection) != 0) {
            die("open %s: %s", path, sqlite3_errmsg(connection));
        }
    }
    return connection;
}

static sqlite3_stmt *prepare(sqlite3 *connection, const char *sql, const char *types,
                             va_list arguments)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(connection, sql, -1, &statement, NULL) != SQLITE_OK) {
        die("%s: %s", sql, sqlite3_errmsg(connection));
    }
    for (int i = 0; types[i] != '\0'; i++) {
        int code = types[i] == 'n'
                       ? sqlite3_bind_int64(statement, i + 1, va_arg(arguments, long long))
                       : sqlite3_bind_text(statement, i + 1, va_arg(arguments, const char *), -1,
                                           SQLITE_TRANSIENT);
        if (code != SQLITE_OK) {
            die("%s: %s", sql, sqlite3_errmsg(connection));
        }
    }
    return statement;
}

/* One step; true: there is a row. */
static bool step(sqlite3 *connection, sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        die("%s: %s", sqlite3_sql(statement), sqlite3_errmsg(connection));
    }
    return code == SQLITE_ROW;
}

int database_change(const char *sql, const char *types, ...)
{
    sqlite3 *connection = connection_of_thread();
    va_list arguments;
    va_start(arguments, types);
    sqlite3_stmt *statement = prepare(connection, sql, types, arguments);
    va_end(arguments);
    (void)step(connection, statement);
    (void)sqlite3_finalize(statement);
    return sqlite3_changes(connection);
}

bool database_number(long long *number, const char *sql, const char *types, ...)
{
    sqlite3 *connection = connection_of_thread();
    va_list arguments;
    va_start(arguments, types);
    sqlite3_stmt *statement = prepare(connection, sql, types, arguments);
    va_end(arguments);
    bool found = step(connection, statement);
    *number = found ? sqlite3_column_int64(statement, 0) : 0;
    (void)sqlite3_finalize(statement);
    return found;
}

bool database_text(char *text, int size, const char *sql, const char *types, ...)
{
    sqlite3 *connection = connection_of_thread();
    va_list arguments;
    va_start(arguments, types);
    sqlite3_stmt *statement = prepare(connection, sql, types, arguments);
    va_end(arguments);
    bool found = step(connection, statement);
    (void)snprintf(text, (size_t)size, "%s",
                   found ? (const char *)sqlite3_column_text(statement, 0) : "");
    (void)sqlite3_finalize(statement);
    return found;
}

void database_begin(void)
{
    (void)database_change("BEGIN IMMEDIATE", "");
}

void database_commit(void)
{
    (void)database_change("COMMIT", "");
}

void database_rollback(void)
{
    (void)database_change("ROLLBACK", "");
}
