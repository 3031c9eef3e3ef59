#!/usr/bin/env python3
"""The outbox relay from SQLite: each row once and in order, whatever is killed. Prints TAP.

    HOLDFAST=build/holdfast [SEED=n] [SECONDS=8] tests/integration/relay_sqlite_test.py
"""
import base64
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

from relaying import Relay, cursor, messages, out_of_order, parked, run
from serving import HOLDFAST, Server, free_port, verify, wait_until
from tap import Tap

SEED = int(os.environ.get("SEED", random.randrange(1 << 30)))
SECONDS = float(os.environ.get("SECONDS", "8"))
KEYS = 12
TABLE = """CREATE TABLE outbox (sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL,
  aggregatetype TEXT NOT NULL, aggregateid TEXT NOT NULL, type TEXT NOT NULL, payload TEXT)"""
INSERT = "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) VALUES (?, ?, ?, ?, ?)"


def database(path, table=TABLE):
    db = sqlite3.connect(path, timeout=30, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(table)
    return db


def row(identity, payload, key="o:1", topic="orders", kind="order.paid"):
    return (identity, topic, key, kind, payload if isinstance(payload, (str, bytes, type(None)))
            else json.dumps(payload))


class Writer(threading.Thread):
    """A service: its business change and its rows are one transaction; some are rolled back."""

    def __init__(self, path, draw):
        super().__init__()
        self.path, self.draw = path, draw
        self.end = threading.Event()
        self.written, self.rolled_back = [], 0

    def run(self):
        db = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        counters = {}
        while not self.end.is_set():
            rows, counts = [], dict(counters)
            for _ in range(self.draw.choice((1, 1, 2, 5, 40))):
                key = f"order-{self.draw.randrange(KEYS)}"
                counts[key] = counts.get(key, 0) + 1
                rows.append(row(f"e:{key}:{counts[key]}:{self.draw.randrange(1 << 40)}",
                                {"n": counts[key]}, key, f"orders.{key[-1]}"))
            db.execute("BEGIN IMMEDIATE")
            db.executemany(INSERT, rows)
            if self.draw.random() < 0.1:
                db.execute("ROLLBACK")
                self.rolled_back += len(rows)
            else:
                db.execute("COMMIT")
                counters = counts
                self.written += [identity for identity, *_ in rows]
            time.sleep(self.draw.random() * 0.02)
        db.close()


def kills(tap, work, draw):
    """Rows are written all the time; relays and server are killed at random moments; for a while there are two relays."""
    port, path, directory = free_port(), os.path.join(work, "kills.db"), os.path.join(work, "kills")
    database(path).close()
    server = Server(directory, port=port)
    server.ready()
    writer = Writer(path, draw)
    relays = []
    counts = {"relay": 0, "server": 0}
    arguments = ["sqlite", "shop", path, "--poll-ms=5", "--batch-rows=7"]
    try:
        writer.start()
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            while len(relays) < draw.choice((1, 1, 2)):
                relays.append(Relay(port, *arguments, work=work))
            time.sleep(0.05 + draw.random() * 0.4)
            if draw.random() < 0.35:
                server.kill()
                time.sleep(draw.random() * 0.2)
                server = Server(directory, port=port)
                counts["server"] += 1
            else:
                relays.pop(draw.randrange(len(relays))).kill()
                counts["relay"] += 1
        writer.end.set()
        writer.join()
        server.ready()
        for relay in relays:
            tap.check(relay.stop() == 0, "SIGTERM: it ends with 0", relay.errors())
        status, relay = run(port, *arguments, "--once", work=work)
        tap.check(status == 0, "--once publishes the rest and ends", relay.errors())
        found = messages(port)
        identities = [message["id"] for message in found]
        tap.result(identities == writer.written, "each row once, in the order of the commits",
                   f"{len(identities)} messages of {len(writer.written)} rows, {writer.rolled_back} rolled back, "
                   f"{counts['relay']} relays and {counts['server']} servers killed, {len(set(identities))} ids")
        tap.check(not out_of_order(found), "in order of each aggregate", out_of_order(found)[:5])
        tap.check(all(m["topic"] == "orders." + m["key"][-1] and m["event"] == "order.paid" for m in found),
                  "topic, key and type are the row's")
        place = cursor(port)
        tap.check(place["published"] == len(writer.written) and place["id"] == writer.written[-1],
                  "the cursor stands behind the last row and counts them all", place)
        tap.check(counts["relay"] > 3 and counts["server"] > 1, "there were kills of both", counts)
        server.stop()
        good, report = verify(directory)
        tap.check(good, "verify ok", report)
    finally:
        writer.end.set()
        for relay in relays:
            relay.kill()
        server.kill()


def bad_rows(tap, work):
    directory, path = os.path.join(work, "bad"), os.path.join(work, "bad.db")
    db = database(path)
    server = Server(directory)
    large = json.dumps({"text": "x" * 2_500_000})
    rows = [row("e1", {"n": 1}), row("e2", "{no json"), row("e3", "7", topic="bad topic"), row("e4", None),
            row("e5", "{}", kind="holdfast.own"), row("e6", large), row("e1", {"n": 1}), row("e1", {"n": 2}),
            row("é", "1"), row("e7", b'{"n":3}'), row("e8", '{"a":1,"a":2}'), row("e9", {"n": 9})]
    db.executemany(INSERT, rows)
    arguments = ["sqlite", "shop", path, "--once"]
    try:
        status, relay = run(server.port, *arguments, work=work)
        tap.check(status == 1 and "row 2 (id e2)" in relay.errors() and "not JSON" in relay.errors()
                  and "--on-bad=park" in relay.errors(), "a bad row stops the relay and is named", relay.errors())
        tap.check([m["id"] for m in messages(server.port)] == ["e1"], "what stands before it is published")
        status, relay = run(server.port, *arguments, work=work)
        tap.check(status == 1 and cursor(server.port)["sequence"] == 1, "again: it does not slip by")
        status, relay = run(server.port, *arguments, "--on-bad=park", work=work)
        tap.check(status == 0 and relay.last()["parked"] == 7 and relay.last()["known"] == 1,
                  "--on-bad=park goes on", (status, relay.last(), relay.errors()))
        found = [(m["id"], m["data"]) for m in messages(server.port)]
        tap.check(found == [("e1", {"n": 1}), ("e4", None), ("e7", {"n": 3}), ("e9", {"n": 9})],
                  "NULL and a blob of JSON are fine, a repeated row counts once", found)
        kept = parked(server.port)
        whole = {}
        for part in kept:
            whole.setdefault((part["row"]["id"], part["where"]), []).append(part)
        tap.check(sorted(where for _, where in whole) ==
                  ["row 11", "row 2", "row 3", "row 5", "row 6", "row 8", "row 9"],
                  "each parked row is told with its place", list(whole))
        text = b"".join(base64.b64decode(part["payload_base64"]) for part in whole[("e6", "row 6")])
        tap.check(text == large.encode() and len(whole[("e6", "row 6")]) == 7, "a large one is kept whole, in parts",
                  len(text))
        reasons = {where: parts[0]["reason"] for (_, where), parts in whole.items()}
        tap.check("aggregatetype" in reasons["row 3"] and "holdfast." in reasons["row 5"]
                  and "--id-prefix" in reasons["row 8"] and "bytes" in reasons["row 6"],
                  "with its reason", reasons)
        status, relay = run(server.port, "sqlite", "again", path, "--once", "--on-bad=park", work=work)
        tap.check(status == 0 and relay.last()["published"] == 0 and relay.last()["known"] == 5,
                  "another relay of the same table makes no message twice", relay.last())
        tap.check(len(messages(server.port)) == 4, "…really")
    finally:
        db.close()
        server.kill()


def other_tables(tap, work):
    """The table is not what it was: the relay does not go on as if nothing had happened."""
    directory, path = os.path.join(work, "other"), os.path.join(work, "other.db")
    server = Server(directory)
    db = database(path)
    db.executemany(INSERT, [row(f"a{n}", {"n": n}) for n in range(5)])
    arguments = ["sqlite", "shop", path, "--once"]
    try:
        tap.check(run(server.port, *arguments, work=work)[0] == 0, "five rows")
        db.executescript("DELETE FROM outbox; DELETE FROM sqlite_sequence")
        db.executemany(INSERT, [row("b0", {"n": 0}), row("a4", {"n": 4})])
        status, relay = run(server.port, *arguments, work=work)
        wanted = re.search(r"--adopt=(\d+)", relay.errors())
        tap.check(status == 1 and "stands at 2" in relay.errors() and wanted, "a sequence that went back is refused",
                  relay.errors())
        status, relay = run(server.port, *arguments, f"--adopt={int(wanted.group(1)) - 1}", work=work)
        tap.check(status == 1, "--adopt of another version changes nothing")
        status, relay = run(server.port, *arguments, f"--adopt={wanted.group(1)}", work=work)
        tap.check(status == 0 and relay.last()["published"] == 1 and relay.last()["known"] == 1,
                  "--adopt begins anew and repeats no message", (relay.last(), relay.errors()))
        db.executescript("DELETE FROM outbox; DELETE FROM sqlite_sequence")
        db.executemany(INSERT, [row(f"c{n}", {"n": n}) for n in range(3)])
        status, relay = run(server.port, *arguments, work=work)
        tap.check(status == 1 and "has the id c1, but a4" in relay.errors(), "another row at the cursor is refused",
                  relay.errors())
        following = Relay(server.port, "sqlite", "moved", path, "--poll-ms=5", "--status-every=1", work=work)
        tap.check(wait_until(lambda: cursor(server.port, "moved") and
                             cursor(server.port, "moved")["sequence"] == 3), "one that follows")
        db.close()
        os.rename(path, path + ".old")
        for suffix in ("-wal", "-shm"):
            if os.path.exists(path + suffix):
                os.rename(path + suffix, path + ".old" + suffix)
        db = database(path)
        db.executemany(INSERT, [row("d0", {"n": 0})])
        status = following.wait(30)
        tap.check(status == 1 and "made anew" in following.errors(), "a file that was replaced is seen and refused",
                  (status, following.errors()))
        following.kill()
        plain = os.path.join(work, "plain.db")
        database(plain, "CREATE TABLE outbox (id TEXT PRIMARY KEY, aggregatetype, aggregateid, type, payload)").close()
        status, relay = run(server.port, "sqlite", "plain", plain, "--once", work=work)
        tap.check(status == 1 and "AUTOINCREMENT" in relay.errors(), "a table without AUTOINCREMENT is refused",
                  relay.errors())
        status, relay = run(server.port, "sqlite", "none", os.path.join(work, "none.db"), "--once", work=work)
        tap.check(status == 3 and not os.path.exists(os.path.join(work, "none.db")), "a file that is not there is not made",
                  (status, relay.errors()))
    finally:
        db.close()
        server.kill()


def housekeeping(tap, work):
    """Deletes, prefixes, other columns, the metrics file, a server that comes late, silence in a pipe."""
    directory, path, metrics = (os.path.join(work, name) for name in ("house", "house.db", "house.prom"))
    port = free_port()
    db = database(path, "CREATE TABLE \"out box\" (seq INTEGER PRIMARY KEY AUTOINCREMENT, event INTEGER, aggregatetype TEXT,"
                        " aggregateid TEXT, kind TEXT, payload TEXT)")
    insert = "INSERT INTO \"out box\" (event, aggregatetype, aggregateid, kind, payload) VALUES (?, 'paid', 'o-1', 'x.y', ?)"
    db.executemany(insert, [(n, json.dumps({"n": n})) for n in range(1000)])
    relay = Relay(port, "sqlite", "shop", path, "--table=out box", "--column=id=event", "--column=type=kind",
                  "--id-prefix=shop-", "--topic-prefix=shop.", "--delete-published", "--status-every=1",
                  f"--metrics-file={metrics}", "--poll-ms=5", "--batch-rows=100", work=work)
    server = None
    try:
        tap.check(wait_until(lambda: any(line["state"] == "server_away" for line in relay.lines())),
                  "without a server it waits and says so", relay.lines())
        server = Server(directory, port=port)
        tap.check(wait_until(lambda: db.execute('SELECT count(*) FROM "out box"').fetchone()[0] == 0),
                  "--delete-published empties the table")
        db.execute(insert, (1000, '{"n":1000}'))
        tap.check(wait_until(lambda: len(messages(port)) == 1001), "and goes on behind the deleted rows")
        found = messages(port)
        tap.check(found[0]["id"] == "shop-0" and found[0]["topic"] == "shop.paid" and not out_of_order(found),
                  "columns and prefixes as wished", found[:1])

        def shown(name):
            with open(metrics, encoding="utf-8") as file:
                match = re.search(rf'^holdfast_relay_{name}{{relay="shop"}} (\d+)$', file.read(), re.M)
            return int(match.group(1)) if match else None
        tap.check(wait_until(lambda: shown("published_total") == 1001 and shown("lag_rows") == 0),
                  "the metrics file follows", shown("published_total"))
        started = time.monotonic()
        server.kill()
        db.execute(insert, (1001, '{"n":1001}'))
        tap.check(wait_until(lambda: (shown("lag_ms") or 0) > 500), "with the server away the lag grows")
        status = relay.stop(30)
        tap.check(status == 0 and time.monotonic() - started < 25, "SIGTERM ends it though the server is away", status)
        tap.check(relay.last()["state"] == "ended" and not os.path.exists(metrics + ".new"), "its last line says so")
        done = subprocess.run([HOLDFAST, "relay", "sqlite", "shop", path, "--column=nothing"], capture_output=True,
                              text=True, check=False)
        tap.check(done.returncode == 2 and "--column" in done.stderr, "wrong usage is 2", done.stderr)
        done = subprocess.run([HOLDFAST, "relay", "sqlite", "bad name", path], capture_output=True, text=True, check=False)
        tap.check(done.returncode == 2, "a bad NAME is wrong usage", done.stderr)
        server = Server(directory, port=port)
        server.ready()
        db.execute(TABLE)
        status, last = run(port, "sqlite", "shop", path, "--once", work=work)
        tap.check(status == 1 and "another" in last.errors(), "the name of a relay is one table's", last.errors())
        done = subprocess.run([HOLDFAST, "relay", "sqlite", "shop", path, "--table=out box", "--column=id=event",
                               "--column=type=kind", "--id-prefix=shop-", "--topic-prefix=shop.", "--once",
                               f"--server=http://127.0.0.1:{port}"], capture_output=True, text=True, check=False)
        tap.check(done.returncode == 0 and not done.stdout and not done.stderr, "silent in a pipe",
                  done.stdout + done.stderr)
        tap.check(len(messages(port)) == 1002, "what waited for the server is published")
    finally:
        db.close()
        relay.kill()
        if server is not None:
            server.kill()


def main():
    print(f"# SEED={SEED}")
    tap = Tap()
    work = tempfile.mkdtemp(prefix="holdfast-relay-", dir=os.environ.get("HOLDFAST_TMP"))
    try:
        relay = os.path.join(os.path.dirname(os.path.realpath(HOLDFAST)), "holdfast-relay")
        if not os.path.exists(relay):
            tap.skip("the relay from SQLite", "built without it")
            return tap.end()
        kills(tap, work, random.Random(SEED))
        bad_rows(tap, work)
        other_tables(tap, work)
        housekeeping(tap, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"# SEED={SEED}")
    return tap.end()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
