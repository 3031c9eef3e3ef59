-- The inbox of a consumer whose effects are in its own PostgreSQL: a message that is delivered twice has one effect.
-- How to use it: sql/README.md. May be run again. PostgreSQL 9.5 or newer.

CREATE TABLE IF NOT EXISTS holdfast_inbox (
  subscription text        NOT NULL,  -- which one the message was received from
  message      text        NOT NULL,  -- the event's id, "17-0"
  position     bigint      NOT NULL,  -- the number before the dash: what to delete by if Holdfast was restored
  taken_at     timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (subscription, message)
);
CREATE INDEX IF NOT EXISTS holdfast_inbox_taken_at ON holdfast_inbox (taken_at);

-- In the transaction of the effect, before it. true: do it. false: it was done; do nothing, commit and ack.
-- While another transaction has taken the same message and not ended, this one waits for it.
CREATE OR REPLACE FUNCTION holdfast_inbox_take(of_subscription text, of_message text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  IF of_message !~ '^[0-9]{1,16}-[0-9]{1,10}$' THEN
    RAISE EXCEPTION 'not the id of an event: %', of_message;
  END IF;
  INSERT INTO holdfast_inbox (subscription, message, position)
    VALUES (of_subscription, of_message, split_part(of_message, '-', 1)::bigint)
    ON CONFLICT (subscription, message) DO NOTHING;
  RETURN FOUND;
END $$;

-- Forgets what was taken longer ago, at most so many rows a call. Longer than a message can be out: see README.
CREATE OR REPLACE FUNCTION holdfast_inbox_purge(older_than interval, rows_max integer DEFAULT 10000) RETURNS bigint
LANGUAGE sql AS $$
  WITH gone AS (
    DELETE FROM holdfast_inbox WHERE (subscription, message) IN (
      SELECT subscription, message FROM holdfast_inbox WHERE taken_at < now() - older_than
        ORDER BY taken_at LIMIT rows_max)
    RETURNING 1)
  SELECT count(*) FROM gone;
$$;
