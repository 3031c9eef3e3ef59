#!/usr/bin/env python3
"""sql/barrier-sqlite.sql: every vector, racing threads, the purge, planted faults, the guide's example. Prints TAP.

    [SEED=n] tests/integration/barrier_sqlite_test.py
"""
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

from barrier_rig import LEDGER, ROOT, SEED, Naive, Participant, orders, run_race, run_vectors, script, vectors
from tap import Tap


def statements(text):
    """What the file's comments tell to do: name → statement."""
    found, name = {}, None
    for line in text[text.index("-- SQLite has no procedures"):].splitlines():
        label = re.match(r"--   (\w+):", line)
        if label:
            name = label.group(1)
        elif line.startswith("--     ") and name:
            found[name] = (found.get(name, "") + "\n" + line[5:]).strip()
    return {name: statement.rstrip(";") for name, statement in found.items()}


class SQLite(Participant):
    errors = (sqlite3.Error, ValueError)

    def __init__(self, path, text=None):
        self.path = path
        self.db = None
        self.do = statements(text or script("barrier-sqlite.sql"))
        self.connect()

    def connect(self):
        self.db = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA synchronous = OFF")

    def drop(self):
        self.db.close()

    def execute(self, sql, values=()):
        return self.db.execute(sql, values).fetchall()

    def step(self, name, key, **more):
        saga, step, part = key
        return self.db.execute(self.do[name], {"saga": saga, "step": step, "part": part, **more})

    def begin(self):
        self.execute(self.do["begin"])

    def commit(self):
        self.execute(self.do["commit"])

    def take(self, key, forget_after):
        if self.step("take", key, forget_after=forget_after).rowcount == 1:
            return True, None, None
        self.step("remember", key, forget_after=forget_after)
        status, body = self.step("replay", key).fetchone()
        if status is None:
            raise ValueError("no answer was kept")
        return False, status, body

    def keep(self, key, status, body):
        if self.step("keep", key, status=status, body=body).rowcount != 1:
            raise ValueError("nothing to keep an answer for")

    def take_back(self, key, forget_after):
        barred = self.step("bar", key, forget_after=forget_after).rowcount == 1
        if barred and self.step("late", key, forget_after=forget_after).fetchone():
            raise ValueError("came after Saga-Forget-After")
        first_time = self.step("done", key, forget_after=forget_after).rowcount == 1
        undo = self.step("undo", key).fetchone() if first_time and not barred else None
        self.step("remember", key, forget_after=forget_after)
        return (undo is not None, *(undo or (None, None)))

    def purge(self, rows_max=10000):
        return self.db.execute(self.do["purge"], {"rows_max": rows_max}).rowcount


class NaiveSQLite(Naive, SQLite):
    pass


def prepare(work, name):
    path = os.path.join(work, name + ".db")
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(script("barrier-sqlite.sql"))
    db.executescript(script("barrier-sqlite.sql"))
    for statement in LEDGER:
        db.execute(statement)
    db.close()
    return path


def details(tap, work):
    db = SQLite(prepare(work, "details"))
    later = int(time.time()) + 3600
    for name, key in (("an empty saga", ("", "s", "")), ("a long saga", ("x" * 256, "s", "")), ("a long step", ("x", "s" * 65, "")),
                      ("a blank", ("x ", "s", "")), ("a letter that is none of ASCII", ("é", "s", "")),
                      ("a line's end", ("x\n", "s", "")), ("a long part", ("x", "s", "p" * 65))):
        for send in (db.action, db.compensate):
            try:
                send(key, later)
                tap.check(False, f"{name} is an error", "it was taken")
            except sqlite3.IntegrityError:
                tap.check(db.execute("SELECT count(*) FROM saga_barrier") == [(0,)], f"{name} is an error, and leaves nothing")
    tap.check([db.action((saga, "s", ""), later)[0] for saga in ("x" * 255, "x" * 254 + "y", "X" * 255)] == [201] * 3
              and db.execute("SELECT count(*) FROM ledger") == [(3,)], "names that are nearly the same are others")
    for status in (None, 199, 302, 500):
        db.begin()
        db.take(("odd", "s", ""), later)
        try:
            db.keep(("odd", "s", ""), status, "x")
            tap.check(False, f"the answer {status} is not kept", "it was")
        except (ValueError, sqlite3.IntegrityError):
            tap.check(True, f"the answer {status} is not kept")
        db.rollback()
    db.begin()
    db.take(("forgot", "s", ""), later)
    db.commit()
    try:
        tap.check(False, "an action without an answer is an error when it comes again", db.action(("forgot", "s", ""), later))
    except ValueError:
        tap.check(True, "an action without an answer is an error when it comes again")
    db.execute("DELETE FROM saga_barrier")
    for number in range(100):
        db.compensate((f"old-{number}", "s", ""), later)
    db.execute("UPDATE saga_barrier SET expires_at = 1")
    # A saga that is older than all but has a living step must not stand in the way of the others.
    db.compensate(("a-live", "s", ""), later)
    db.compensate(("a-live", "t", ""), later)
    db.execute("UPDATE saga_barrier SET expires_at = 0 WHERE saga_id = 'a-live' AND step_id = 's'")
    gone = [db.purge(20) for _ in range(2)]
    while db.purge(20):
        pass
    tap.check(all(20 <= count <= 40 for count in gone), "the purge takes a little at a time", gone)
    tap.check(db.execute("SELECT saga_id, count(*) FROM saga_barrier GROUP BY saga_id") == [("a-live", 4)],
              "and all of it in the end, but nothing that lives")
    db.drop()


# One fault each, planted into the statements: the vectors must find every one.
PLANTED = {
    "a late action runs": ("CASE kept.inserted_by WHEN 'action' THEN kept.status ELSE 410 END", "coalesce(kept.status, 201)"),
    "a failure is undone": ("AND inserted_by = 'action' AND coalesce(status, 200) < 400;", "AND inserted_by = 'action';"),
    "the compensation does not bar the action": ("VALUES (:saga, :step, 'action', :part, 'compensate', :forget_after)",
                                                 "SELECT :saga, :step, 'action', :part, 'compensate', :forget_after WHERE false"),
    "a repeated compensation undoes again": ("VALUES (:saga, :step, 'compensate', :part, 'compensate', 200, :forget_after) "
                                             "ON CONFLICT DO NOTHING",
                                             "VALUES (:saga, :step, 'compensate', :part || random(), 'compensate', 200, :forget_after)"),
    "a repetition is answered without the body": ("ELSE 410 END AS status, kept.body", "ELSE 410 END AS status, NULL"),
    "a refusal is not taken back": ("ROLLBACK TO effect", "RELEASE effect"),
}


class PlantedSQLite(SQLite):
    """Uses the file's words for the savepoint, too."""

    def execute(self, sql, values=()):
        named = {"SAVEPOINT effect": "savepoint", "ROLLBACK TO SAVEPOINT effect": "refuse"}
        return super().execute(self.do[named[sql]] if sql in named else sql, values)

    def take_back(self, key, forget_after):
        undo = super().take_back(key, forget_after)
        return (undo[0], 201, undo[2]) if undo[0] else undo


def planted(tap, work):
    wrong, _ = orders(PlantedSQLite(prepare(work, "sound")), "sound")
    tap.check(not wrong, "the file's own statements, savepoint and all", wrong[:3])
    for number, (name, (sound, fault)) in enumerate(PLANTED.items()):
        text = script("barrier-sqlite.sql")
        joined = re.sub(r"\n--\s+", " ", text)
        tap.check(joined.count(sound) == 1 or text.count(sound) == 1, f"planted: {name}: the place is there", sound)
        pattern = re.compile(r"(?:\s|\n--)+".join(re.escape(word) for word in sound.split()))
        db = PlantedSQLite(prepare(work, f"planted-{number}"), pattern.sub(lambda _, new=fault: new, text))
        try:
            wrong, _ = orders(db, "planted")
        except (sqlite3.Error, ValueError) as error:
            wrong = [str(error)]
        tap.result(len(wrong) > 0, f"planted: {name}: found", f"{len(wrong)} runs differ")
        db.drop()


def guide(tap, work):
    """The Python of sql/README.md runs as it stands there."""
    with open(os.path.join(ROOT, "sql", "README.md"), encoding="utf-8") as file:
        blocks = re.findall(r"```python\n(.*?)```", file.read(), re.S)
    tap.check(len(blocks) == 1, "the guide has its Python", len(blocks))
    path = os.path.join(work, "payments.py")
    with open(path, "w", encoding="utf-8") as file:
        file.write(blocks[0])
    done = subprocess.run([sys.executable, path, os.path.join(ROOT, "sql", "barrier-sqlite.sql")], cwd=work, text=True,
                          capture_output=True, timeout=60, check=False)
    wanted = ["(201, '{\"payment\": 1}')", "(201, '{\"payment\": 1}')", "(422, '{\"code\": \"no_funds\"}')", "(200, None)",
              "(200, None)", "(200, None)", "(410, None)", "[('ann', 100)]"]
    tap.check(done.returncode == 0 and done.stdout.splitlines() == wanted, "and it does what it says",
              done.stdout + done.stderr)


def main():
    print(f"# SEED={SEED}")
    tap = Tap()
    work = tempfile.mkdtemp(prefix="holdfast-barrier-", dir=os.environ.get("HOLDFAST_TMP"))
    try:
        made = subprocess.run([sys.executable, os.path.join(ROOT, "tests", "vectors", "make_barrier.py")], capture_output=True,
                              text=True, check=True).stdout
        with open(os.path.join(ROOT, "tests", "vectors", "barrier.json"), encoding="utf-8") as file:
            tap.check(file.read() == made, "the vectors are what make_barrier.py makes")
        tap.check(len({tuple(case["order"]) for case in vectors()["orders"]}) == 27, "of 27 orders")
        details(tap, work)
        run_vectors(tap, SQLite(prepare(work, "vectors")), "SQLite")
        planted(tap, work)
        path, naive = prepare(work, "race"), prepare(work, "naive")
        run_race(tap, "SQLite", lambda: SQLite(path), SEED)
        run_race(tap, "SQLite", lambda: NaiveSQLite(naive), SEED, steps=100, naive=True)
        guide(tap, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"# SEED={SEED}")
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
