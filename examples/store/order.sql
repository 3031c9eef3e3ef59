-- The order service's database, beside sql/barrier-sqlite.sql.
PRAGMA journal_mode = WAL;
CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT NOT NULL, item TEXT NOT NULL, units INTEGER NOT NULL,
                     amount INTEGER NOT NULL, state TEXT NOT NULL CHECK (state IN ('pending', 'confirmed', 'cancelled')));
