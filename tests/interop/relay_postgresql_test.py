#!/usr/bin/env python3
"""The outbox relay from Debian's PostgreSQL: each row once and in order, whatever is killed; no silent gap. Prints TAP.

    HOLDFAST=build/holdfast [SEED=n] [SECONDS=20] tests/interop/relay_postgresql_test.py
"""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
# The folder of the shared modules is known only now.
from postgresql import Cluster, programs  # noqa: E402
from relaying import Relay, cursor, messages, out_of_order, parked, run  # noqa: E402
from serving import HOLDFAST, Server, free_port, verify, wait_until  # noqa: E402
from tap import Tap  # noqa: E402

SEED = int(os.environ.get("SEED", random.randrange(1 << 30)))
SECONDS = float(os.environ.get("SECONDS", "20"))
TABLES = """
CREATE TABLE outbox (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype varchar(255) NOT NULL,
  aggregateid varchar(255) NOT NULL, type varchar(255) NOT NULL, payload jsonb, at timestamptz DEFAULT clock_timestamp());
CREATE TABLE business (key text, n int, id uuid);
CREATE TABLE other (t text);
"""


class Bench:
    """A database, a server and their relays."""

    def __init__(self, work, cluster, name, tables=TABLES):
        self.work, self.cluster, self.name = work, cluster, name
        cluster.sql(f"CREATE DATABASE {name}", "postgres")
        self.sql(tables)
        self.directory = os.path.join(work, name)
        self.port = free_port()
        self.server = Server(self.directory, port=self.port)
        self.server.ready()
        # A slot's name is the cluster's, not the database's.
        self.arguments = ["postgresql", "shop", cluster.conninfo(name), "--slot=" + name, "--heartbeat=1"]

    def sql(self, text, check=True):
        return self.cluster.sql(text, self.name, check)

    def once(self, *more):
        return run(self.port, *self.arguments, "--once", *more, work=self.work)

    def follow(self, *more):
        return Relay(self.port, *self.arguments, "--status-every=1", *more, work=self.work)

    def slot(self, column):
        rows = self.sql(f"SELECT {column} FROM pg_replication_slots WHERE slot_name = '{self.name}'")
        return rows[0][0] if rows else None

    def ahead(self):
        """What the slot was told beyond the cursor, if so: it must never be."""
        told, place = self.slot("confirmed_flush_lsn"), cursor(self.port)
        rows = self.sql(f"SELECT 1 WHERE '{told}'::pg_lsn > '{place['lsn']}'::pg_lsn")
        return (told, place["lsn"]) if rows else None

    def close(self):
        self.server.kill()
        self.sql(f"SELECT pg_drop_replication_slot('{self.name}')", check=False)


def insert(key, numbers, extra=""):
    return "".join(
        "WITH e AS (INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES "
        f"('orders', '{key}', 'order.paid', '{{\"n\":{n}}}') RETURNING id) "
        f"INSERT INTO business SELECT '{key}', {n}, id FROM e;\n" for n in numbers) + extra


class Writer(threading.Thread):
    """A service with keys of its own: many transactions, some rolled back, some that delete their rows at once."""

    def __init__(self, bench, number, draw):
        super().__init__()
        self.bench, self.number, self.draw = bench, number, draw
        self.end = threading.Event()
        self.failures = 0

    def script(self, counters):
        text = ""
        for _ in range(25):
            key = f"k{self.number}-{self.draw.randrange(4)}"
            rows = self.draw.choice((1, 1, 2, 3, 150))
            first = counters.get(key, 0) + 1
            text += "BEGIN;\n" + insert(key, range(first, first + rows))
            text += self.draw.choice(("", "DELETE FROM outbox;\n", "INSERT INTO other VALUES ('x');\n",
                                      "UPDATE outbox SET type = 'changed' WHERE type = 'order.paid';\n"))
            if self.draw.random() < 0.1:
                text += "ROLLBACK;\n"
            else:
                text += "COMMIT;\n"
                counters[key] = first + rows - 1
            text += f"SELECT pg_sleep({self.draw.random() * 0.02:.4f});\n"
        return text

    def run(self):
        while not self.end.is_set():
            try:
                rows = self.bench.sql(f"SELECT key, max(n) FROM business WHERE key LIKE 'k{self.number}-%' GROUP BY key")
                self.bench.sql(self.script({key: int(n) for key, n in rows}))
            except RuntimeError:
                self.failures += 1
                time.sleep(0.1)


def kills(tap, work, cluster, draw):
    bench = Bench(work, cluster, "kills")
    writers = [Writer(bench, number, draw) for number in range(2)]
    counts = {"relay": 0, "server": 0, "postgresql": 0}
    ahead = []
    more = ["--batch-rows=40"]
    relay = None
    try:
        status, first = bench.once("--create")
        tap.check(status == 0, "--create makes publication and slot", first.errors())
        for writer in writers:
            writer.start()
        relay = bench.follow(*more)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            time.sleep(0.1 + draw.random() * 0.6)
            what = draw.choice(("relay",) * 4 + ("server",) * 3 + ("postgresql",))
            counts[what] += 1
            if what == "relay":
                relay.kill()
                bench.server.ready()
                ahead += [beyond for beyond in [bench.ahead()] if beyond]
                relay = bench.follow(*more)
            elif what == "server":
                bench.server.kill()
                time.sleep(draw.random() * 0.3)
                bench.server = Server(bench.directory, port=bench.port)
            else:
                cluster.crash()
                cluster.start()
        for writer in writers:
            writer.end.set()
        for writer in writers:
            writer.join()
        bench.server.ready()
        rows = bench.sql("SELECT id FROM business")
        tap.check(wait_until(lambda: (cursor(bench.port) or {}).get("published") == len(rows)),
                  "the relay that was started last catches up", (cursor(bench.port), len(rows), relay.errors()))
        tap.check(relay.stop() == 0, "SIGTERM: it ends with 0", relay.errors())
        found = messages(bench.port)
        tap.result(sorted(m["id"] for m in found) == sorted(row[0] for row in rows), "each row once",
                   f"{len(found)} messages of {len(rows)} rows; killed: {counts}; scripts cut: "
                   f"{[writer.failures for writer in writers]}")
        tap.check(not out_of_order(found), "in order of each aggregate", out_of_order(found)[:5])
        tap.check(all(m["event"] == "order.paid" for m in found), "as they were inserted, whatever was updated later")
        left = bench.sql("SELECT count(*) FROM outbox")[0][0]
        tap.check(int(left) < len(rows), "rows that were deleted at once are among them", left)
        tap.check(not ahead, "the slot was never told more than the cursor", ahead[:3])
        tap.check(min(counts.values()) > 0, "there were kills of all three", counts)
        bench.server.stop()
        good, report = verify(bench.directory)
        tap.check(good, "verify ok", report)
    finally:
        for writer in writers:
            writer.end.set()
        if relay is not None:
            relay.kill()
        bench.close()


def slots(tap, work, cluster):
    """A slot that is not the one that was left: the relay refuses and says what to do."""
    bench = Bench(work, cluster, "slots")
    try:
        status, relay = bench.once()
        tap.check(status == 1 and "CREATE PUBLICATION" in relay.errors(), "no publication: what to do is told",
                  relay.errors())
        bench.sql("CREATE PUBLICATION holdfast_relay FOR TABLE outbox")
        status, relay = bench.once()
        tap.check(status == 1 and "pg_create_logical_replication_slot" in relay.errors(), "no slot: what to do is told",
                  relay.errors())
        bench.sql(insert("a", [1]))
        status, relay = bench.once("--create")
        tap.check(status == 1 and "--publish-existing" in relay.errors() and bench.slot("slot_name") is None,
                  "rows that are there: the user must decide, before a slot is made", relay.errors())
        status, relay = bench.once("--create", "--publish-existing=at")
        tap.check(status == 0 and relay.last()["published"] == 1, "--publish-existing publishes them", relay.errors())
        bench.sql(insert("a", [2, 3]))
        tap.check(bench.once()[0] == 0 and len(messages(bench.port)) == 3, "the slot is followed")

        def refused(name, *wanted):
            status, relay = bench.once("--create")
            tap.check(status == 1 and all(text in relay.errors() for text in wanted), name, (status, relay.errors()))
            return re.search(r"--adopt=(\d+)", relay.errors())

        bench.sql("SELECT pg_drop_replication_slot('slots')")
        bench.sql(insert("a", [4]) + insert("b", [1], "DELETE FROM outbox WHERE aggregateid = 'b';"))
        refused("a slot that is gone is refused, also with --create", "is gone", "--adopt=", "can't be had any more")
        bench.sql("SELECT pg_create_logical_replication_slot('slots', 'pgoutput')")
        bench.sql(insert("a", [5]))
        version = refused("a slot that was made again is refused", "beyond", "made again", "--adopt=")
        status, relay = bench.once(f"--adopt={int(version.group(1)) + 1}", "--skip-existing")
        tap.check(status == 1, "--adopt of another version changes nothing")
        status, relay = bench.once(f"--adopt={version.group(1)}", "--publish-existing=at")
        tap.check(status == 0 and relay.last()["known"] >= 3 and relay.last()["published"] == 2,
                  "--adopt with --publish-existing publishes what was missed, and nothing twice",
                  (relay.last(), relay.errors()))
        numbers = [m["data"]["n"] for m in messages(bench.port) if m["key"] == "a"]
        tap.check(numbers == [1, 2, 3, 4, 5], "…in order", numbers)
        tap.check(bench.once(f"--adopt={version.group(1)}")[0] == 0, "--adopt left in the command is spent")
        bench.sql(insert("a", [6]) + "SELECT pg_replication_slot_advance('slots', pg_current_wal_lsn())")
        refused("a slot that somebody else moved on is refused", "moved by somebody else")
        bench.sql("SELECT pg_drop_replication_slot('slots')")
        bench.sql("SELECT pg_create_logical_replication_slot('slots', 'test_decoding')")
        refused("a slot of another plugin is refused", "pgoutput")
        cluster.sql("CREATE DATABASE twin", "postgres")
        cluster.sql(TABLES, "twin")
        status, relay = run(bench.port, "postgresql", "shop", cluster.conninfo("twin"), "--slot=twin", "--once", "--create",
                            work=work)
        tap.check(status == 1 and "another database" in relay.errors(), "another database under the same name is refused",
                  relay.errors())
    finally:
        bench.close()


def quiet_outbox(tap, work, cluster):
    """Only other tables change: the slot moves on all the same. PostgreSQL can be stopped beside a relay."""
    bench = Bench(work, cluster, "quiet")
    relay = None
    try:
        bench.once("--create")
        relay = bench.follow()
        tap.check(wait_until(lambda: bench.slot("active") == "t"), "the relay follows")
        before = bench.slot("restart_lsn")
        for _ in range(3):
            bench.sql("INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 10000); CHECKPOINT")
        behind = "pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)"
        tap.check(wait_until(lambda: int(bench.slot(behind)) < 100_000), "the slot follows the WAL of other tables",
                  bench.slot(behind))
        moved = "pg_wal_lsn_diff(restart_lsn, '" + before + "') > 20000000"

        def restart_moved():
            bench.sql("INSERT INTO other VALUES ('tick'); CHECKPOINT")
            return bench.slot(moved) == "t"
        tap.check(wait_until(restart_moved, every=0.5), "and so the WAL can be removed", bench.slot("restart_lsn"))
        tap.check(relay.last().get("heartbeats", 0) > 0, "by heartbeats", relay.last())
        tap.check(not bench.ahead(), "the slot is never told more than the cursor in Holdfast", bench.ahead())
        bench.server.kill()
        bench.sql(insert("a", [1]) + "INSERT INTO other VALUES ('behind it')")
        tap.check(wait_until(lambda: relay.last().get("retries", 0) >= 3), "the server is away, the relay keeps its slot",
                  relay.last())
        relay.kill()
        bench.server = Server(bench.directory, port=bench.port)
        bench.server.ready()
        tap.check(not bench.ahead(), "meanwhile the slot was told nothing that is not in Holdfast", bench.ahead())
        relay = bench.follow()
        tap.check(wait_until(lambda: len(messages(bench.port)) == 1), "so a relay that is killed then loses nothing",
                  relay.errors())
        started = time.monotonic()
        status = cluster.stop(seconds=30)
        tap.result(status == 0, "PostgreSQL stops beside the relay", f"{time.monotonic() - started:.1f} s")
        if status is None:
            cluster.crash()
        cluster.start()
        bench.sql(insert("a", [2]))
        tap.check(wait_until(lambda: len(messages(bench.port)) == 2), "and is followed again", relay.errors())
        bench.server.kill()
        bench.sql(insert("a", [3]))
        tap.check(wait_until(lambda: relay.last().get("state") == "server_away"), "the server is away", relay.last())
        started = time.monotonic()
        status = cluster.stop(seconds=60)
        tap.result(status == 0, "PostgreSQL stops though Holdfast is away", f"{time.monotonic() - started:.1f} s")
        if status is None:
            cluster.crash()
        cluster.start()
        bench.server = Server(bench.directory, port=bench.port)
        bench.server.ready()
        tap.check(wait_until(lambda: len(messages(bench.port)) == 3), "nothing is lost by that", relay.errors())
        tap.check(wait_until(lambda: bench.slot("active") == "t"), "the relay is back at its slot", relay.errors())
        second = bench.follow()
        try:
            tap.check(wait_until(lambda: "is active" in second.errors()), "a second relay waits for the slot",
                      second.errors())
            relay.kill()
            bench.sql(insert("a", [4]))
            tap.check(wait_until(lambda: len(messages(bench.port)) == 4), "and takes over when the first is killed",
                      second.errors())
        finally:
            second.kill()
    finally:
        if relay is not None:
            relay.kill()
        bench.close()


TEXT_TABLES = """
CREATE SCHEMA shop;
CREATE TABLE shop."Out Box" (extra int, event bigserial PRIMARY KEY, aggregatetype text, aggregateid text, type text, payload text);
CREATE TABLE bytes (id text, aggregatetype text, aggregateid text, type text, payload bytea) PARTITION BY LIST (aggregatetype);
CREATE TABLE bytes_a PARTITION OF bytes FOR VALUES IN ('a');
CREATE TABLE bytes_b PARTITION OF bytes DEFAULT;
CREATE UNLOGGED TABLE unlogged (id text, aggregatetype text, aggregateid text, type text, payload json);
"""


def bad_rows(tap, work, cluster):
    bench = Bench(work, cluster, "bad", TEXT_TABLES)
    bench.arguments += ['--table=shop."Out Box"', "--column=id=event", "--id-prefix=bad-", "--publication=Odd Name"]
    into = 'INSERT INTO shop."Out Box" (aggregatetype, aggregateid, type, payload) VALUES '
    try:
        status, relay = bench.once("--create")
        tap.check(status == 0, "names that need quotes", relay.errors())
        large = json.dumps({"text": "y" * 300_000})
        bench.sql(f"BEGIN; {into} ('t', 'k', 'x', '{{\"n\":1}}'), ('t', 'k', 'x', '{{no'), ('t', 'k', 'x', '{large}'), "
                  "('two words', 'k', 'x', '1'), ('t', 'k', 'x', NULL); "
                  'UPDATE shop."Out Box" SET extra = 1; DELETE FROM shop."Out Box" WHERE event = 1; '
                  'TRUNCATE shop."Out Box"; COMMIT;')
        status, relay = bench.once()
        tap.check(status == 1 and "row 2 of the transaction at" in relay.errors() and "(id 2)" in relay.errors()
                  and "not JSON" in relay.errors(), "a bad row stops the relay and is named", relay.errors())
        tap.check([m["id"] for m in messages(bench.port)] == ["bad-1"], "what stands before it is published")
        tap.check(bench.once()[0] == 1 and len(messages(bench.port)) == 1, "again: it does not slip by, nor repeat")
        status, relay = bench.once("--on-bad=park")
        found = [(m["id"], m["data"]) for m in messages(bench.port)]
        tap.check(status == 0 and found == [("bad-1", {"n": 1}), ("bad-3", json.loads(large)), ("bad-5", None)],
                  "--on-bad=park goes on, within the same transaction",
                  (status, [identity for identity, _ in found], relay.errors()))
        kept = parked(bench.port)
        tap.check([(part["row"]["id"], part["payload_base64"]) for part in kept] == [("2", "e25v"), ("4", "MQ==")],
                  "both bad rows are kept", kept)
        bench.sql("ALTER PUBLICATION \"Odd Name\" SET (publish = 'insert, update, delete, truncate')")
        bench.sql(f"{into} ('t', 'k', 'x', '6'); UPDATE shop.\"Out Box\" SET extra = 1; DELETE FROM shop.\"Out Box\"; "
                  'TRUNCATE shop."Out Box"')
        status, relay = bench.once()
        tap.check(status == 0 and relay.last()["ignored"] == 3 and "updated" in relay.errors()
                  and len(messages(bench.port)) == 4, "updates, deletes and truncates are ignored, counted, said",
                  (relay.last(), relay.errors()))
        bytes_arguments = ["postgresql", "bytes", cluster.conninfo("bad"), "--slot=bad_bytes", "--publication=bytes",
                           "--table=bytes", "--once", "--create"]
        tap.check(run(bench.port, *bytes_arguments, work=work)[0] == 0, "a partitioned table")
        bench.sql("INSERT INTO bytes VALUES ('b1', 'a', 'k', 'x', '{\"n\":\"é\"}'), ('b2', 'z', 'k', 'x', '[]')")
        status, relay = run(bench.port, *bytes_arguments, work=work)
        found = [(m["id"], m["data"]) for m in messages(bench.port)][-2:]
        tap.check(status == 0 and found == [("b1", {"n": "é"}), ("b2", [])], "with bytea as payload",
                  (found, relay.errors()))
        bench.sql("SELECT pg_drop_replication_slot('bad_bytes')")
        for table, wanted in (("unlogged", "unlogged"), ("nowhere", "no table"), ("bytes", "another NAME")):
            status, relay = run(bench.port, *bench.arguments[:4], "--once", "--create", "--table=" + table, work=work)
            tap.check(status == 1 and wanted in relay.errors(), f"--table={table} is refused", relay.errors())
        bench.sql("ALTER TABLE shop.\"Out Box\" ALTER payload TYPE xml USING NULL")
        status, relay = bench.once()
        tap.check(status == 1 and "payload must be" in relay.errors(), "a payload of another type is refused",
                  relay.errors())
        done = subprocess.run([HOLDFAST, "relay", "postgresql", "shop", "host=h password=secret"], capture_output=True,
                              text=True, check=False)
        tap.check(done.returncode == 2 and "secret" not in done.stderr, "a password on the command line is refused",
                  done.stderr)
    finally:
        bench.close()


def main():
    print(f"# SEED={SEED}")
    tap = Tap()
    work = tempfile.mkdtemp(prefix="holdfast-relay-", dir=os.environ.get("HOLDFAST_TMP"))
    cluster = None
    try:
        if programs() is None:
            tap.skip("the relay from PostgreSQL", "there is no PostgreSQL: tools/install-packages.sh peers")
            return tap.end()
        cluster = Cluster()
        cluster.start()
        slots(tap, work, cluster)
        bad_rows(tap, work, cluster)
        quiet_outbox(tap, work, cluster)
        kills(tap, work, cluster, random.Random(SEED))
    finally:
        if cluster is not None:
            cluster.close()
        shutil.rmtree(work, ignore_errors=True)
    print(f"# SEED={SEED}")
    return tap.end()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left behind
    sys.exit(main())
