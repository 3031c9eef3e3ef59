-- The barrier of a saga's participant whose effects are in its own PostgreSQL: however often, late or in whatever order
-- the action and the compensation of a step arrive, the effect happened once and stands, or was undone, or never was.
-- How to use it: sql/README.md. May be run again. PostgreSQL 9.5 or newer, READ COMMITTED.

CREATE TABLE IF NOT EXISTS saga_barrier (
  saga_id     text COLLATE "C" NOT NULL CHECK (saga_id ~ '^[!-~]{1,255}$'),  -- the header Saga-Id
  step_id     text COLLATE "C" NOT NULL CHECK (step_id ~ '^[!-~]{1,64}$'),   -- the header Saga-Step
  op          text COLLATE "C" NOT NULL CHECK (op IN ('action', 'compensate')),
  part        text COLLATE "C" NOT NULL DEFAULT '' CHECK (part ~ '^[!-~]{0,64}$'), -- of a step with several transactions
  inserted_by text COLLATE "C" NOT NULL CHECK (inserted_by IN ('action', 'compensate')),
  status      int  CHECK (status BETWEEN 200 AND 299 OR status BETWEEN 400 AND 499), -- the kept answer; from 400 on: not done
  body        text,    -- the kept answer's
  expires_at  bigint,  -- Saga-Forget-After, Unix seconds; NULL: never
  PRIMARY KEY (saga_id, step_id, op, part),
  CHECK (op = 'action' OR inserted_by = 'compensate')
);
CREATE INDEX IF NOT EXISTS saga_barrier_expires_at ON saga_barrier (expires_at);

-- Nobody commits an action without its answer: a forgotten saga_barrier_keep is an error of the COMMIT.
CREATE OR REPLACE FUNCTION saga_barrier_has_answer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM saga_barrier b WHERE b.saga_id = NEW.saga_id AND b.step_id = NEW.step_id AND b.op = 'action'
    AND b.part = NEW.part AND b.inserted_by = 'action' AND b.status IS NULL;
  IF FOUND THEN
    RAISE EXCEPTION 'the action of %/% has no answer: saga_barrier_keep was not called', NEW.saga_id, NEW.step_id;
  END IF;
  RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS saga_barrier_has_answer ON saga_barrier;
CREATE CONSTRAINT TRIGGER saga_barrier_has_answer AFTER INSERT ON saga_barrier DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.inserted_by = 'action') EXECUTE PROCEDURE saga_barrier_has_answer();

-- What is sent later is remembered longer.
CREATE OR REPLACE FUNCTION saga_barrier_remember(of_saga text, of_step text, forget_after bigint, of_part text) RETURNS void
LANGUAGE sql AS $$
  UPDATE saga_barrier SET expires_at = forget_after
    WHERE saga_id = of_saga AND step_id = of_step AND part = of_part AND expires_at < coalesce(forget_after, 9223372036854775807);
$$;

-- First in the transaction of the action. run: do it, then saga_barrier_keep. Not run: answer with status and body; 410 is
-- a late action, whose step was compensated or forgotten. While another transaction does the same step, this one waits for it.
CREATE OR REPLACE FUNCTION saga_barrier_action(of_saga text, of_step text, forget_after bigint, of_part text DEFAULT '')
RETURNS TABLE (run boolean, status int, body text) LANGUAGE plpgsql AS $$
DECLARE
  kept saga_barrier%ROWTYPE;
BEGIN
  INSERT INTO saga_barrier (saga_id, step_id, op, part, inserted_by, expires_at)
    SELECT of_saga, of_step, 'action', of_part, 'action', forget_after
    WHERE forget_after IS NULL OR forget_after > extract(epoch FROM clock_timestamp())
    ON CONFLICT DO NOTHING;
  IF FOUND THEN
    RETURN QUERY SELECT true, NULL::int, NULL::text;
    RETURN;
  END IF;
  -- Whoever inserted it has ended, and a statement of READ COMMITTED sees it.
  SELECT * INTO kept FROM saga_barrier b
    WHERE b.saga_id = of_saga AND b.step_id = of_step AND b.op = 'action' AND b.part = of_part;
  IF NOT FOUND OR kept.inserted_by = 'compensate' THEN
    RETURN QUERY SELECT false, 410, NULL::text;
  ELSIF kept.status IS NULL THEN
    RAISE EXCEPTION 'the action of %/% has begun in this transaction', of_saga, of_step;
  ELSE
    PERFORM saga_barrier_remember(of_saga, of_step, forget_after, of_part);
    RETURN QUERY SELECT false, kept.status, kept.body;
  END IF;
END $$;

-- Last in the transaction of the action: what every repetition will answer. 2xx: the effect stands. 4xx: a business
-- failure, and everything since the savepoint was rolled back. Anything else is no answer to keep: roll back.
CREATE OR REPLACE FUNCTION saga_barrier_keep(of_saga text, of_step text, of_status int, of_body text, of_part text DEFAULT '')
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE saga_barrier b SET status = of_status, body = of_body
    WHERE b.saga_id = of_saga AND b.step_id = of_step AND b.op = 'action' AND b.part = of_part
      AND b.inserted_by = 'action' AND b.status IS NULL;
  IF NOT FOUND OR of_status IS NULL THEN
    RAISE EXCEPTION 'there is no action of %/% in this transaction to keep % for', of_saga, of_step, of_status;
  END IF;
END $$;

-- First in the transaction of the compensation. run: undo what the action did, whose kept answer this is. Not run: there
-- is nothing to undo (any more). Either way answer 200 after the commit.
CREATE OR REPLACE FUNCTION saga_barrier_compensate(of_saga text, of_step text, forget_after bigint, of_part text DEFAULT '')
RETURNS TABLE (run boolean, action_status int, action_body text) LANGUAGE plpgsql AS $$
DECLARE
  kept        saga_barrier%ROWTYPE;
  came_before boolean; -- the compensation did, and the action never may any more
  first_time  boolean;
BEGIN
  INSERT INTO saga_barrier (saga_id, step_id, op, part, inserted_by, expires_at)
    VALUES (of_saga, of_step, 'action', of_part, 'compensate', forget_after) ON CONFLICT DO NOTHING;
  came_before := FOUND;
  INSERT INTO saga_barrier (saga_id, step_id, op, part, inserted_by, status, expires_at)
    VALUES (of_saga, of_step, 'compensate', of_part, 'compensate', 200, forget_after) ON CONFLICT DO NOTHING;
  first_time := FOUND;
  IF came_before AND forget_after <= extract(epoch FROM clock_timestamp()) THEN
    RAISE EXCEPTION 'the compensation of %/% came after Saga-Forget-After: whether there is something to undo is forgotten',
      of_saga, of_step;
  END IF;
  PERFORM saga_barrier_remember(of_saga, of_step, forget_after, of_part);
  IF first_time AND NOT came_before THEN
    SELECT * INTO STRICT kept FROM saga_barrier b
      WHERE b.saga_id = of_saga AND b.step_id = of_step AND b.op = 'action' AND b.part = of_part;
    IF kept.inserted_by = 'action' AND coalesce(kept.status, 200) < 400 THEN
      RETURN QUERY SELECT true, kept.status, kept.body;
      RETURN;
    END IF;
  END IF;
  RETURN QUERY SELECT false, NULL::int, NULL::text;
END $$;

-- Forgets sagas of which nothing is sent any more, an hour behind; at most about so many rows a call; the number of rows.
-- A saga goes as a whole: as long as one of its steps may be sent, all are kept.
CREATE OR REPLACE FUNCTION saga_barrier_purge(rows_max integer DEFAULT 10000) RETURNS bigint
LANGUAGE sql AS $$
  WITH past AS (SELECT extract(epoch FROM clock_timestamp())::bigint - 3600 AS at),
  gone AS (
    DELETE FROM saga_barrier WHERE expires_at < (SELECT at FROM past) AND saga_id IN (
      SELECT old.saga_id FROM saga_barrier old WHERE old.expires_at < (SELECT at FROM past) AND NOT EXISTS (
        SELECT 1 FROM saga_barrier live WHERE live.saga_id = old.saga_id
          AND (live.expires_at IS NULL OR live.expires_at >= (SELECT at FROM past)))
      ORDER BY old.expires_at LIMIT rows_max)
    RETURNING 1)
  SELECT count(*) FROM gone;
$$;
