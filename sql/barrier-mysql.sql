-- The barrier of a saga's participant whose effects are in its own MariaDB or MySQL: however often, late or in whatever
-- order the action and the compensation of a step arrive, the effect happened once and stands, or was undone, or never was.
-- How to use it: sql/README.md. May be run again, by the command-line client. MariaDB 10.3, MySQL 5.7 or newer; InnoDB.

CREATE TABLE IF NOT EXISTS saga_barrier (
  saga_id     VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'the header Saga-Id',
  step_id     VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'the header Saga-Step',
  op          VARCHAR(10)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'action or compensate',
  part        VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '' COMMENT 'of a step with several transactions',
  inserted_by VARCHAR(10)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'action or compensate',
  status      INT          NULL COMMENT 'the kept answer; from 400 on: not done',
  body        MEDIUMTEXT   CHARACTER SET utf8mb4 NULL COMMENT 'of the kept answer',
  expires_at  BIGINT       NULL COMMENT 'Saga-Forget-After, Unix seconds; NULL: never',
  PRIMARY KEY (saga_id, step_id, op, part),
  KEY saga_barrier_expires_at (expires_at)
) ENGINE=InnoDB;

-- A procedure keeps the mode that it was made in: what does not fit is an error, whatever the session's mode says.
SET @saga_barrier_sql_mode = @@SESSION.sql_mode;
SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION';

DROP PROCEDURE IF EXISTS saga_barrier_check;
DROP PROCEDURE IF EXISTS saga_barrier_insert;
DROP PROCEDURE IF EXISTS saga_barrier_action;
DROP PROCEDURE IF EXISTS saga_barrier_keep;
DROP PROCEDURE IF EXISTS saga_barrier_compensate;
DROP PROCEDURE IF EXISTS saga_barrier_purge;

DELIMITER //

-- A session's or a server's mode may cut what is too long and replace what is not of the character set, and two sagas would
-- become one: so every name is checked before, byte by byte (a regular expression over characters has collations, line ends).
CREATE PROCEDURE saga_barrier_check(of_saga TEXT CHARACTER SET utf8mb4, of_step TEXT CHARACTER SET utf8mb4,
    of_part TEXT CHARACTER SET utf8mb4)
  SQL SECURITY INVOKER
BEGIN
  IF of_saga IS NULL OR of_step IS NULL OR of_part IS NULL
      OR LENGTH(of_saga) NOT BETWEEN 1 AND 255 OR LENGTH(of_step) NOT BETWEEN 1 AND 64 OR LENGTH(of_part) > 64
      OR HEX(CONCAT(of_saga, of_step, of_part)) NOT REGEXP '^(2[1-9A-F]|[3-6][0-9A-F]|7[0-9A-E])+$' THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'saga, step and part are 255, 64 and 64 bytes of U+0021 to U+007E at most';
  END IF;
END //

-- Inserts a row, or locks the one that is there and remembers it longer if this is sent later. found: it was there.
-- The lock is exclusive at once: INSERT IGNORE takes a shared one, and two that waited for the same action and then wanted
-- to change or lock the row for update would be a deadlock. That it was there is told through LAST_INSERT_ID, because what a
-- driver gets as the count of rows depends on how it connected.
CREATE PROCEDURE saga_barrier_insert(of_saga TEXT CHARACTER SET utf8mb4, of_step TEXT CHARACTER SET utf8mb4,
    of_op VARCHAR(10), of_part TEXT CHARACTER SET utf8mb4, who VARCHAR(10), with_status INT, forget_after BIGINT, OUT found INT)
  SQL SECURITY INVOKER
BEGIN
  DO LAST_INSERT_ID(0);
  INSERT INTO saga_barrier (saga_id, step_id, op, part, inserted_by, status, expires_at)
    VALUES (of_saga, of_step, of_op, of_part, who, with_status, forget_after)
    ON DUPLICATE KEY UPDATE expires_at = IF(LAST_INSERT_ID(1) = 1, GREATEST(expires_at, forget_after), NULL);
  SET found = LAST_INSERT_ID();
END //

-- First in the transaction of the action; one row (run, status, body). run = 1: do it, then saga_barrier_keep. run = 0:
-- answer with status and body; 410 is a late action, whose step was compensated or forgotten. part: '' if there is one.
-- While another transaction does the same step, this one waits for it.
CREATE PROCEDURE saga_barrier_action(of_saga TEXT CHARACTER SET utf8mb4, of_step TEXT CHARACTER SET utf8mb4,
    forget_after BIGINT, of_part TEXT CHARACTER SET utf8mb4)
  SQL SECURITY INVOKER
BEGIN
  DECLARE kept_by VARCHAR(10) CHARACTER SET ascii DEFAULT NULL;
  DECLARE kept_status INT DEFAULT NULL;
  DECLARE kept_body MEDIUMTEXT CHARACTER SET utf8mb4 DEFAULT NULL;
  DECLARE found INT DEFAULT 1;
  CALL saga_barrier_check(of_saga, of_step, of_part);
  IF forget_after IS NULL OR forget_after > UNIX_TIMESTAMP() THEN
    CALL saga_barrier_insert(of_saga, of_step, 'action', of_part, 'action', NULL, forget_after, found);
  END IF;
  IF found = 0 THEN
    SELECT 1 AS run, NULL AS status, NULL AS body;
  ELSE
    -- FOR UPDATE sees what is committed now, in REPEATABLE READ, too.
    SELECT inserted_by, status, body INTO kept_by, kept_status, kept_body FROM saga_barrier
      WHERE saga_id = CONVERT(of_saga USING ascii) AND step_id = CONVERT(of_step USING ascii) AND op = 'action'
        AND part = CONVERT(of_part USING ascii) FOR UPDATE;
    IF kept_by IS NULL OR kept_by = 'compensate' THEN
      SELECT 0 AS run, 410 AS status, NULL AS body;
    ELSEIF kept_status IS NULL THEN
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'this action has no answer: saga_barrier_keep was not called';
    ELSE
      SELECT 0 AS run, kept_status AS status, kept_body AS body;
    END IF;
  END IF;
END //

-- Last in the transaction of the action: what every repetition will answer. 2xx: the effect stands. 4xx: a business
-- failure, and everything since the savepoint was rolled back. Anything else is no answer to keep: roll back.
CREATE PROCEDURE saga_barrier_keep(of_saga TEXT CHARACTER SET utf8mb4, of_step TEXT CHARACTER SET utf8mb4, of_status INT,
    of_body MEDIUMTEXT CHARACTER SET utf8mb4, of_part TEXT CHARACTER SET utf8mb4)
  SQL SECURITY INVOKER
BEGIN
  IF of_status IS NULL OR NOT (of_status BETWEEN 200 AND 299 OR of_status BETWEEN 400 AND 499) THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'only an answer 2xx or 4xx is kept';
  END IF;
  UPDATE saga_barrier SET status = of_status, body = of_body
    WHERE saga_id = CONVERT(of_saga USING ascii) AND step_id = CONVERT(of_step USING ascii) AND op = 'action'
      AND part = CONVERT(of_part USING ascii) AND inserted_by = 'action' AND status IS NULL;
  IF ROW_COUNT() <> 1 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'there is no such action in this transaction to keep an answer for';
  END IF;
END //

-- First in the transaction of the compensation; one row (run, action_status, action_body). run = 1: undo what the action
-- did, whose kept answer this is. run = 0: there is nothing to undo (any more). Either way answer 200 after the commit.
CREATE PROCEDURE saga_barrier_compensate(of_saga TEXT CHARACTER SET utf8mb4, of_step TEXT CHARACTER SET utf8mb4,
    forget_after BIGINT, of_part TEXT CHARACTER SET utf8mb4)
  SQL SECURITY INVOKER
BEGIN
  DECLARE kept_by VARCHAR(10) CHARACTER SET ascii DEFAULT NULL;
  DECLARE kept_status INT DEFAULT NULL;
  DECLARE kept_body MEDIUMTEXT CHARACTER SET utf8mb4 DEFAULT NULL;
  DECLARE action_found INT;    -- 0: it never came, and may not come any more
  DECLARE compensate_found INT;
  CALL saga_barrier_check(of_saga, of_step, of_part);
  CALL saga_barrier_insert(of_saga, of_step, 'action', of_part, 'compensate', NULL, forget_after, action_found);
  CALL saga_barrier_insert(of_saga, of_step, 'compensate', of_part, 'compensate', 200, forget_after, compensate_found);
  IF action_found = 0 AND forget_after <= UNIX_TIMESTAMP() THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'after Saga-Forget-After: whether there is something to undo is forgotten';
  END IF;
  IF action_found = 1 AND compensate_found = 0 THEN
    SELECT inserted_by, status, body INTO kept_by, kept_status, kept_body FROM saga_barrier
      WHERE saga_id = CONVERT(of_saga USING ascii) AND step_id = CONVERT(of_step USING ascii) AND op = 'action'
        AND part = CONVERT(of_part USING ascii) FOR UPDATE;
    IF kept_by IS NULL THEN
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the row of the action went away';
    END IF;
  END IF;
  IF kept_by = 'action' AND COALESCE(kept_status, 200) < 400 THEN
    SELECT 1 AS run, kept_status AS action_status, kept_body AS action_body;
  ELSE
    SELECT 0 AS run, NULL AS action_status, NULL AS action_body;
  END IF;
END //

-- Forgets sagas of which nothing is sent any more, an hour behind; at most about so many rows a call; one row (purged).
-- A saga goes as a whole: as long as one of its steps may be sent, all are kept. Call it outside of other transactions.
CREATE PROCEDURE saga_barrier_purge(rows_max INT)
  SQL SECURITY INVOKER
BEGIN
  DECLARE past BIGINT DEFAULT UNIX_TIMESTAMP() - 3600;
  DELETE gone FROM saga_barrier gone JOIN (
      SELECT DISTINCT some.saga_id FROM (
        SELECT old.saga_id FROM saga_barrier old WHERE old.expires_at < past AND NOT EXISTS (
          SELECT 1 FROM saga_barrier live WHERE live.saga_id = old.saga_id
            AND (live.expires_at IS NULL OR live.expires_at >= past))
        ORDER BY old.expires_at LIMIT rows_max) some) forgotten ON gone.saga_id = forgotten.saga_id
    WHERE gone.expires_at < past;
  SELECT ROW_COUNT() AS purged;
END //

DELIMITER ;
SET SESSION sql_mode = @saga_barrier_sql_mode;
