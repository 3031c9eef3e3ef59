-- The inventory service's database, beside sql/barrier-sqlite.sql. A reservation that was given back is two rows.
PRAGMA journal_mode = WAL;
CREATE TABLE items (item TEXT PRIMARY KEY, stock INTEGER NOT NULL CHECK (stock >= 0));
CREATE TABLE reservations (number INTEGER PRIMARY KEY, order_id TEXT NOT NULL, item TEXT NOT NULL, units INTEGER NOT NULL);
