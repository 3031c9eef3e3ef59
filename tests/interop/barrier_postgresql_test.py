#!/usr/bin/env python3
"""sql/barrier-postgresql.sql: every vector, racing threads while the server is killed, the purge, the guide. Prints TAP.

    [SEED=n] [STEPS=1500] /usr/bin/python3 tests/interop/barrier_postgresql_test.py
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "integration"))
# The folder of the shared modules is known only now.
from barrier_rig import (LEDGER, ROOT, SEED, STEPS, Naive, Participant, check_answers, check_keys, check_purge,  # noqa: E402
                         clean, refused, run_levels, run_race, script)
from postgresql import Cluster, programs  # noqa: E402
from tap import Tap  # noqa: E402

try:
    import psycopg2
except ImportError:
    psycopg2 = None


class PostgreSQL(Participant):
    errors = (psycopg2.Error,) if psycopg2 else ()

    def __init__(self, conninfo, level="READ COMMITTED"):
        self.conninfo, self.level = conninfo, level
        self.db = None
        self.connect()

    def connect(self):
        self.db = psycopg2.connect(self.conninfo)
        self.db.autocommit = True  # BEGIN and COMMIT are said here

    def drop(self):
        self.db.close()

    def execute(self, sql, values=()):
        with self.db.cursor() as cursor:
            cursor.execute(sql.replace("?", "%s"), values or None)
            return cursor.fetchall() if cursor.description else []

    def begin(self):
        self.execute(f"BEGIN ISOLATION LEVEL {self.level}")

    def take(self, key, forget_after):
        saga, step, part = key
        return self.execute("SELECT * FROM saga_barrier_action(?, ?, ?, ?)", (saga, step, forget_after, part))[0]

    def keep(self, key, status, body):
        saga, step, part = key
        self.execute("SELECT saga_barrier_keep(?, ?, ?, ?, ?)", (saga, step, status, body, part))

    def take_back(self, key, forget_after):
        saga, step, part = key
        return self.execute("SELECT * FROM saga_barrier_compensate(?, ?, ?, ?)", (saga, step, forget_after, part))[0]

    def purge(self, rows_max=10000):
        return self.execute("SELECT saga_barrier_purge(?)", (rows_max,))[0][0]


class NaivePostgreSQL(Naive, PostgreSQL):
    pass


def details(tap, db):
    later = int(time.time()) + 3600
    check_keys(tap, db, later)
    check_answers(tap, db, later)
    db.begin()
    db.take(("twice", "s", ""), later)
    refused(tap, db, "an action that begins twice in one transaction is an error", lambda: db.take(("twice", "s", ""), later))
    db.rollback()
    db.begin()
    db.take(("forgot", "s", ""), later)
    db.write(("forgot", "s", ""), "charge", -1)
    refused(tap, db, "an action without an answer can't be committed", db.commit)
    tap.check(db.effects("forgot") == (0, 0), "and its effect is not there")
    db.begin()
    run = db.execute("SELECT run FROM saga_barrier_action('plain', 's', NULL)")
    db.execute("SELECT saga_barrier_keep('plain', 's', 200, NULL)")
    undo = db.execute("SELECT run, action_status FROM saga_barrier_compensate('plain', 's', NULL)")
    db.commit()
    tap.check(run == [(True,)] and undo == [(True, 200)], "the part need not be said", (run, undo))
    check_purge(tap, db, later)


def guide(tap, cluster):
    """The SQL and the Node.js of sql/README.md run as they stand there."""
    with open(os.path.join(ROOT, "sql", "README.md"), encoding="utf-8") as file:
        text = file.read()
    blocks = {name: re.findall(rf"```{name}\n(.*?)```", text, re.S) for name in ("sql", "js")}
    sql = next(block for block in blocks["sql"] if "saga_barrier_keep" in block)
    cluster.sql("CREATE DATABASE guide", "postgres")
    cluster.sql(script("barrier-postgresql.sql"), "guide")
    rows = cluster.sql(sql, "guide")
    wanted = [["t", "", ""], [""], ["f", "200", '{"payment": 1}'], ["t", "200", '{"payment": 1}'], ["f", "", ""], ["ann", "100"]]
    tap.check(rows == wanted, "the guide's SQL does what it says", rows)
    npm = shutil.which("npm")
    top = os.path.join(cluster.top, "guide")
    os.mkdir(top)
    if npm is None or subprocess.run([npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", "pg@8"], cwd=top,
                                     capture_output=True, timeout=120, check=False).returncode != 0:
        tap.skip("the guide's Node.js", "npm or its package pg is not to be had")
        return
    cluster.sql("DELETE FROM saga_barrier; DELETE FROM payments; UPDATE wallets SET money = 100", "guide")
    with open(os.path.join(top, "payments.mjs"), "w", encoding="utf-8") as file:
        file.write(blocks["js"][0])
    node = subprocess.Popen(["node", "payments.mjs"], cwd=top, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "PGHOST": cluster.top, "PGDATABASE": "guide", "PGUSER": "test", "PORT": "0"})
    try:
        port = re.search(r"\d+$", node.stdout.readline().strip()).group()
        later = str(int(time.time()) + 3600)

        def post(saga, op, body):
            done = subprocess.run(["curl", "-s", "-w", "\n%{http_code}", "-H", f"Saga-Id: {saga}", "-H", "Saga-Step: charge",
                                   "-H", f"Saga-Op: {op}", "-H", f"Saga-Forget-After: {later}", "-H", "Content-Type: application/json",
                                   "-d", body, f"http://127.0.0.1:{port}/charge"], capture_output=True, text=True, check=True)
            answer, status = done.stdout.rsplit("\n", 1)
            return int(status), answer
        charge = '{"wallet":"ann","money":30}'
        got = [post("o1", "action", charge), post("o1", "action", charge), post("o2", "action", '{"wallet":"ann","money":300}'),
               post("o1", "compensate", charge), post("o1", "compensate", charge), post("o3", "compensate", charge),
               post("o3", "action", charge), post("o2", "action", charge), post("", "action", charge)]
        tap.check([status for status, _ in got] == [200, 200, 422, 200, 200, 200, 410, 422, 503] and got[0] == got[1],
                  "the guide's Node.js does what it says", got)
        tap.check(cluster.sql("SELECT money FROM wallets", "guide") == [["100"]], "and the wallet is as full as before")
    finally:
        node.kill()
        node.communicate()


def main():
    print(f"# SEED={SEED}")
    tap = Tap()
    if programs() is None or psycopg2 is None:
        tap.skip("the barrier in PostgreSQL", "there is no PostgreSQL, or no psycopg2 for this Python: tools/install-packages.sh interop peers")
        return tap.end()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    cluster = Cluster("fsync = off\n")
    try:
        cluster.start()
        cluster.sql("CREATE DATABASE shop", "postgres")
        cluster.sql(script("barrier-postgresql.sql") * 2 + ";\n".join(LEDGER))
        conninfo = cluster.conninfo()
        details(tap, PostgreSQL(conninfo))

        def restart():
            cluster.crash()
            cluster.start()
        run_levels(tap, "PostgreSQL", lambda level: PostgreSQL(conninfo, level),
                   (("READ COMMITTED", (), STEPS), ("REPEATABLE READ", (), STEPS // 5), ("SERIALIZABLE", (), STEPS // 5)), restart)
        run_race(tap, "PostgreSQL", lambda: NaivePostgreSQL(conninfo), SEED, steps=100, naive=True)
        guide(tap, cluster)
    finally:
        cluster.close()
    print(f"# SEED={SEED}")
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
