-- The inbox of a consumer whose effects are in its own SQLite file: a message that is delivered twice has one effect.
-- How to use it: sql/README.md. May be run again. SQLite 3.24 or newer.

CREATE TABLE IF NOT EXISTS holdfast_inbox (
  subscription TEXT    NOT NULL,  -- which one the message was received from
  message      TEXT    NOT NULL CHECK (message GLOB '[0-9]*-[0-9]*' AND message NOT GLOB '*[^0-9-]*'),  -- the event's id, "17-0"
  position     INTEGER NOT NULL,  -- the number before the dash: what to delete by if Holdfast was restored
  taken_at     INTEGER NOT NULL,  -- seconds since 1970
  PRIMARY KEY (subscription, message)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS holdfast_inbox_taken_at ON holdfast_inbox (taken_at);

-- Taking a message: these statements, with :subscription and :message, the effect where it says so.
--
--   BEGIN IMMEDIATE;
--   INSERT INTO holdfast_inbox (subscription, message, position, taken_at)
--     VALUES (:subscription, :message, CAST(:message AS INTEGER), CAST(strftime('%s', 'now') AS INTEGER))
--     ON CONFLICT DO NOTHING;
--   -- changes() = 1: the effect, in this transaction. changes() = 0: it was done; nothing.
--   COMMIT;
--
-- Forgetting what was taken longer than :seconds ago:
--
--   DELETE FROM holdfast_inbox WHERE taken_at < CAST(strftime('%s', 'now') AS INTEGER) - :seconds;
