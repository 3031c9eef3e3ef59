-- The notification service's database, beside sql/barrier-sqlite.sql. Nothing forbids a second mail: the barrier does.
PRAGMA journal_mode = WAL;
CREATE TABLE mails (number INTEGER PRIMARY KEY, order_id TEXT NOT NULL, customer TEXT NOT NULL, payment INTEGER NOT NULL);
