-- The same work as a Holdfast transfer: a key of its own, a floor, both sides, a row that stays.
CREATE TABLE account (id int PRIMARY KEY, posted bigint NOT NULL, floor bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE transfer (id uuid PRIMARY KEY, source int NOT NULL, target int NOT NULL, amount bigint NOT NULL,
                       at timestamptz NOT NULL DEFAULT clock_timestamp());
INSERT INTO account SELECT i, 1000000000000, 0 FROM generate_series(0, 999) AS i;

-- One call, one transfer; the accounts are locked in one order, so that two calls never wait for each other in a ring.
CREATE FUNCTION move(key uuid, source_id int, target_id int, value bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO transfer (id, source, target, amount) VALUES (key, source_id, target_id, value) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF target_id < source_id THEN
        UPDATE account SET posted = posted + value WHERE id = target_id;
    END IF;
    UPDATE account SET posted = posted - value WHERE id = source_id AND posted - value >= floor;
    IF NOT FOUND THEN
        RAISE 'insufficient funds';
    END IF;
    IF target_id > source_id THEN
        UPDATE account SET posted = posted + value WHERE id = target_id;
    END IF;
END $$;

-- Many in one statement.
CREATE FUNCTION move_many(count int) RETURNS bigint LANGUAGE sql AS $$
    WITH wanted AS MATERIALIZED (
        SELECT gen_random_uuid() AS id, source, (source + 1 + floor(random() * 999)::int) % 1000 AS target, 1::bigint AS amount
        FROM (SELECT floor(random() * 1000)::int AS source FROM generate_series(1, count)) AS sources
    ), taken AS (
        INSERT INTO transfer (id, source, target, amount) SELECT id, source, target, amount FROM wanted
        ON CONFLICT DO NOTHING RETURNING source, target, amount
    ), net AS (
        SELECT id, sum(change) AS change
        FROM (SELECT source AS id, -amount AS change FROM taken UNION ALL SELECT target, amount FROM taken) AS changes GROUP BY id
    ), moved AS (
        UPDATE account SET posted = posted + net.change FROM net WHERE account.id = net.id AND posted + net.change >= floor
        RETURNING 1
    )
    SELECT count(*) FROM moved;
$$;

-- A wallet as rows: what an account has is the sum of what it got; right only when serializable.
CREATE TABLE wallet (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), account int NOT NULL, amount bigint NOT NULL);
CREATE INDEX wallet_account ON wallet (account) INCLUDE (amount);
INSERT INTO wallet (account, amount) SELECT i, 1000000000000 FROM generate_series(0, 999) AS i;
CREATE FUNCTION spend(source_id int, target_id int, value bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT sum(amount) FROM wallet WHERE account = source_id) < value THEN
        RAISE 'insufficient funds';
    END IF;
    INSERT INTO wallet (account, amount) VALUES (source_id, -value), (target_id, value);
END $$;
