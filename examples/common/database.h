/*
 * A service's state: a SQLite file. In the naive variants all instances of all services open the same, as they would
 * one database server; each of the store's services has its own.
 *
 * Owns: a connection a thread. The file is in WAL mode and a busy connection waits; each statement is a
 * transaction of its own unless one was begun. Nothing here is done badly on purpose: what goes wrong goes wrong
 * between the statements.
 */
#ifndef EXAMPLES_COMMON_DATABASE_H
#define EXAMPLES_COMMON_DATABASE_H

#include <stdbool.h>

/* Runs one statement. types has a letter a parameter: 'n' a long long, 't' a const char *. Returns the rows that
 * it changed. */
int database_change(const char *sql, const char *types, ...);

/* The first column of the first row, a number; false: there is no row. */
bool database_number(long long *number, const char *sql, const char *types, ...);

/* The first column of the first row, a text, cut to size; false: there is no row. */
bool database_text(char *text, int size, const char *sql, const char *types, ...);

/* Several statements as one transaction; begin takes the write lock at once. */
void database_begin(void);
void database_commit(void);
void database_rollback(void);

/* To be called before the first statement: what was committed then lives through a power loss, too. */
void database_sync_each_commit(void);

#endif
