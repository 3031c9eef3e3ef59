-- The database of the payment service in C, beside sql/barrier-sqlite.sql. A refund is a row with a negative amount.
PRAGMA journal_mode = WAL;
CREATE TABLE wallets (customer TEXT PRIMARY KEY, money INTEGER NOT NULL CHECK (money >= 0));
CREATE TABLE payments (number INTEGER PRIMARY KEY, order_id TEXT NOT NULL, customer TEXT NOT NULL, amount INTEGER NOT NULL);
