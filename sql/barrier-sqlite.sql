-- The barrier of a saga's participant whose effects are in its own SQLite file: however often, late or in whatever order
-- the action and the compensation of a step arrive, the effect happened once and stands, or was undone, or never was.
-- How to use it: sql/README.md. May be run again. SQLite 3.24 or newer.

CREATE TABLE IF NOT EXISTS saga_barrier (
  saga_id     TEXT NOT NULL CHECK (length(saga_id) BETWEEN 1 AND 255 AND saga_id NOT GLOB '*[^!-~]*'), -- the header Saga-Id
  step_id     TEXT NOT NULL CHECK (length(step_id) BETWEEN 1 AND 64 AND step_id NOT GLOB '*[^!-~]*'),  -- the header Saga-Step
  op          TEXT NOT NULL CHECK (op IN ('action', 'compensate')),
  part        TEXT NOT NULL DEFAULT '' CHECK (length(part) <= 64 AND part NOT GLOB '*[^!-~]*'), -- of a step with several transactions
  inserted_by TEXT NOT NULL CHECK (inserted_by IN ('action', 'compensate')),
  status      INTEGER CHECK (status BETWEEN 200 AND 299 OR status BETWEEN 400 AND 499), -- the kept answer; from 400 on: not done
  body        TEXT,    -- the kept answer's
  expires_at  INTEGER CHECK (expires_at IS NULL OR typeof(expires_at) = 'integer'), -- Saga-Forget-After, Unix seconds; NULL: never
  PRIMARY KEY (saga_id, step_id, op, part),
  CHECK (op = 'action' OR inserted_by = 'compensate')
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS saga_barrier_expires_at ON saga_barrier (expires_at);

-- SQLite has no procedures: these are the statements, with the parameters :saga, :step, :part ('' if there is one),
-- :forget_after (NULL if it was not sent), :status, :body. Any error: ROLLBACK of all, and answer 503.
--
-- An action:
--
--   begin:
--     BEGIN IMMEDIATE;
--   take: changes() = 1: do it, in this transaction, behind the savepoint; then keep. changes() = 0: remember and replay.
--     INSERT INTO saga_barrier (saga_id, step_id, op, part, inserted_by, expires_at)
--       SELECT :saga, :step, 'action', :part, 'action', :forget_after
--       WHERE :forget_after IS NULL OR CAST(:forget_after AS INTEGER) > CAST(strftime('%s', 'now') AS INTEGER)
--       ON CONFLICT DO NOTHING;
--   savepoint: before the effect.
--     SAVEPOINT effect;
--   refuse: a business failure, and only that: whatever the effect has written is taken back, the barrier's row is not.
--     ROLLBACK TO effect;
--   keep: what every repetition will answer: 2xx, or 4xx after refuse. changes() must be 1.
--     UPDATE saga_barrier SET status = :status, body = :body
--       WHERE saga_id = :saga AND step_id = :step AND op = 'action' AND part = :part
--         AND inserted_by = 'action' AND status IS NULL AND :status IS NOT NULL;
--   remember: what is sent later is remembered longer.
--     UPDATE saga_barrier SET expires_at = :forget_after
--       WHERE saga_id = :saga AND step_id = :step AND part = :part
--         AND expires_at < coalesce(CAST(:forget_after AS INTEGER), 9223372036854775807);
--   replay: the answer. Without a status it is an error: somebody forgot keep.
--     SELECT CASE kept.inserted_by WHEN 'action' THEN kept.status ELSE 410 END AS status, kept.body
--       FROM (SELECT 1) LEFT JOIN saga_barrier kept ON kept.saga_id = :saga AND kept.step_id = :step
--         AND kept.op = 'action' AND kept.part = :part;
--   commit:
--     COMMIT;
--
-- A compensation: begin, bar, done, undo?, remember, commit, answer 200.
--
--   bar: changes() = 1: the action never came and may not come any more.
--     INSERT INTO saga_barrier (saga_id, step_id, op, part, inserted_by, expires_at)
--       VALUES (:saga, :step, 'action', :part, 'compensate', :forget_after) ON CONFLICT DO NOTHING;
--   late: only after a bar of 1. A row: it came after Saga-Forget-After, an error: whether there is something to undo is forgotten.
--     SELECT 1 WHERE CAST(:forget_after AS INTEGER) <= CAST(strftime('%s', 'now') AS INTEGER);
--   done: changes() = 0: it was compensated before.
--     INSERT INTO saga_barrier (saga_id, step_id, op, part, inserted_by, status, expires_at)
--       VALUES (:saga, :step, 'compensate', :part, 'compensate', 200, :forget_after) ON CONFLICT DO NOTHING;
--   undo: only after a bar of 0 and a done of 1. A row: undo what the action did, whose kept answer this is.
--     SELECT status, body FROM saga_barrier
--       WHERE saga_id = :saga AND step_id = :step AND op = 'action' AND part = :part
--         AND inserted_by = 'action' AND coalesce(status, 200) < 400;
--
-- Forgetting sagas of which nothing is sent any more, an hour behind, at most about :rows_max rows. A saga goes as a whole.
--
--   purge:
--     DELETE FROM saga_barrier WHERE saga_id IN (
--       SELECT old.saga_id FROM saga_barrier old WHERE old.expires_at < CAST(strftime('%s', 'now') AS INTEGER) - 3600
--         AND NOT EXISTS (SELECT 1 FROM saga_barrier live WHERE live.saga_id = old.saga_id AND (live.expires_at IS NULL
--           OR live.expires_at >= CAST(strftime('%s', 'now') AS INTEGER) - 3600))
--         ORDER BY old.expires_at LIMIT :rows_max);
