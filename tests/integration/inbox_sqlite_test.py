#!/usr/bin/env python3
"""sql/inbox-sqlite.sql: consumers race for messages that come again and again, and are killed anywhere. Prints TAP.

    [SEED=n] tests/integration/inbox_sqlite_test.py
"""
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

from tap import Tap

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SEED = int(os.environ.get("SEED", random.randrange(1 << 30)))
MESSAGES = 300


def script():
    with open(os.path.join(ROOT, "sql", "inbox-sqlite.sql"), encoding="utf-8") as file:
        return file.read()


def statements():
    """What the file's comments tell to do, as statements."""
    lines = [line[4:].strip() for line in script().splitlines() if line.startswith("--  ")]
    text = "\n".join(line for line in lines if not line.startswith("--"))
    return [statement.strip() for statement in text.split(";") if statement.strip()]


BEGIN, TAKE, COMMIT, PURGE = statements()


def consume(path, seed, naive):
    """A consumer: every message comes several times, in any order; it acks nothing, so that all come again."""
    draw = random.Random(seed)
    db = sqlite3.connect(path, timeout=60, isolation_level=None)
    while True:
        message = f"{draw.randrange(MESSAGES) + 1}-{draw.randrange(2)}"
        db.execute(BEGIN)
        taken = db.execute(TAKE, {"subscription": "refunds", "message": message}).rowcount
        if taken or naive:
            db.execute("UPDATE effects SET count = count + 1 WHERE message = ?", (message,))
        if draw.random() < 0.1:
            db.execute("ROLLBACK")
        else:
            db.execute(COMMIT)


def race(tap, work, naive):
    path = os.path.join(work, f"inbox-{naive}.db")
    db = sqlite3.connect(path, timeout=60, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(script())
    db.executescript(script())
    db.execute("CREATE TABLE effects (message TEXT PRIMARY KEY, count INTEGER NOT NULL DEFAULT 0)")
    db.executemany("INSERT INTO effects (message) VALUES (?)",
                   [(f"{n + 1}-{i}",) for n in range(MESSAGES) for i in range(2)])
    draw = random.Random(SEED)
    consumers, kills = [], 0
    until = time.monotonic() + 60
    try:
        while time.monotonic() < until:
            while len(consumers) < 3:
                consumers.append(subprocess.Popen([sys.executable, os.path.abspath(__file__), "--consume", path,
                                                   str(draw.randrange(1 << 30)), str(int(naive))]))
            time.sleep(0.1 + draw.random() * 0.4)
            if db.execute("SELECT min(count) FROM effects").fetchone()[0] > 0 and kills > 5:
                break
            victim = consumers.pop(draw.randrange(3))
            victim.kill()
            victim.wait()
            kills += 1
    finally:
        for consumer in consumers:
            consumer.kill()
            consumer.wait()
    counts = [count for count, in db.execute("SELECT count FROM effects")]
    taken = db.execute("SELECT count(*) FROM holdfast_inbox").fetchone()[0]
    wrong = sum(count != 1 for count in counts)
    if naive:
        tap.result(wrong > 0, "without the inbox it goes wrong", f"{wrong} of {len(counts)} effects not once")
    else:
        tap.result(wrong == 0 and taken == len(counts), "each effect once",
                   f"{len(counts)} messages, {kills} consumers killed, {wrong} wrong, {taken} taken")
    db.close()


def details(tap, work):
    db = sqlite3.connect(os.path.join(work, "details.db"), isolation_level=None)
    db.executescript(script())

    def take(subscription, message):
        return db.execute(TAKE, {"subscription": subscription, "message": message}).rowcount
    tap.check([take("a", "17-0"), take("a", "17-0"), take("b", "17-0"), take("a", "17-1")] == [1, 0, 1, 1],
              "a message is taken once by each subscription")
    tap.check(db.execute("SELECT DISTINCT position FROM holdfast_inbox").fetchall() == [(17,)], "with its position")
    for wrong in ("", "e1", "17", "17-x", "-17"):
        try:
            take("a", wrong)
            tap.check(False, f"\"{wrong}\" is no event's id", "it was taken")
        except sqlite3.IntegrityError:
            tap.check(True, f"\"{wrong}\" is no event's id")
    db.execute("UPDATE holdfast_inbox SET taken_at = taken_at - 100 WHERE message = '17-1'")
    db.execute(PURGE, {"seconds": 50})
    tap.check([take("a", "17-1"), take("a", "17-0")] == [1, 0], "purging forgets what is old")
    db.close()
    with open(os.path.join(ROOT, "sql", "README.md"), encoding="utf-8") as file:
        named = set(re.findall(r"`(\w+-\w+\.sql)`", file.read()))
    tap.check(named == {name for name in os.listdir(os.path.join(ROOT, "sql")) if name.endswith(".sql")},
              "the guide names every file", named)


def main():
    if sys.argv[1:2] == ["--consume"]:
        return consume(sys.argv[2], int(sys.argv[3]), sys.argv[4] == "1")
    print(f"# SEED={SEED}")
    tap = Tap()
    work = tempfile.mkdtemp(prefix="holdfast-inbox-", dir=os.environ.get("HOLDFAST_TMP"))
    try:
        details(tap, work)
        race(tap, work, naive=False)
        race(tap, work, naive=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"# SEED={SEED}")
    return tap.end()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
