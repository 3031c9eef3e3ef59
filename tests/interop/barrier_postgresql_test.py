#!/usr/bin/env python3
"""sql/barrier-postgresql.sql: every vector, racing threads while the server is killed, the purge, the guide. Prints TAP.

    [SEED=n] [STEPS=1500] /usr/bin/python3 tests/interop/barrier_postgresql_test.py
"""
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "integration"))
# The folder of the shared modules is known only now.
from barrier_rig import LEDGER, ROOT, Naive, Participant, run_race, run_vectors, script  # noqa: E402
from postgresql import Cluster, programs  # noqa: E402
from tap import Tap  # noqa: E402

try:
    import psycopg2
except ImportError:
    psycopg2 = None

SEED = int(os.environ.get("SEED", random.randrange(1 << 30)))
STEPS = int(os.environ.get("STEPS", "1500"))


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


def clean(db):
    db.execute("TRUNCATE saga_barrier, ledger")
    db.execute("UPDATE account SET balance = 0")


def refused(tap, name, send):
    try:
        tap.check(False, name, send())
    except psycopg2.Error as error:
        return tap.check(True, name, error)


def details(tap, db):
    later = int(time.time()) + 3600
    for name, key in (("an empty saga", ("", "s", "")), ("a long saga", ("x" * 256, "s", "")), ("a long step", ("x", "s" * 65, "")),
                      ("a blank", ("x ", "s", "")), ("a letter that is none of ASCII", ("é", "s", "")),
                      ("a line's end", ("x\n", "s", "")), ("no saga", (None, "s", "")), ("a long part", ("x", "s", "p" * 65))):
        for send in (db.action, db.compensate):
            refused(tap, f"{name} is an error", lambda send=send, key=key: send(key, later))
    tap.check(db.execute("SELECT count(*) FROM saga_barrier") == [(0,)], "and leaves nothing")
    tap.check([db.action((saga, "s", ""), later)[0] for saga in ("x" * 255, "x" * 254 + "y", "X" * 255)] == [201] * 3
              and db.execute("SELECT count(*) FROM ledger") == [(3,)], "names that are nearly the same are others")
    for status in (None, 199, 302, 500):
        db.begin()
        db.take(("odd", "s", ""), later)
        refused(tap, f"the answer {status} is not kept", lambda status=status: db.keep(("odd", "s", ""), status, "x"))
        db.rollback()
    refused(tap, "an answer for no action is an error", lambda: db.keep(("nobody", "s", ""), 200, ""))
    db.begin()
    db.take(("twice", "s", ""), later)
    refused(tap, "an action that begins twice in one transaction is an error", lambda: db.take(("twice", "s", ""), later))
    db.rollback()
    db.begin()
    db.take(("forgot", "s", ""), later)
    db.write(("forgot", "s", ""), "charge", -1)
    refused(tap, "an action without an answer can't be committed", db.commit)
    tap.check(db.effects("forgot") == (0, 0), "and its effect is not there")
    db.begin()
    run = db.execute("SELECT run FROM saga_barrier_action('plain', 's', NULL)")
    db.execute("SELECT saga_barrier_keep('plain', 's', 200, NULL)")
    undo = db.execute("SELECT run, action_status FROM saga_barrier_compensate('plain', 's', NULL)")
    db.commit()
    tap.check(run == [(True,)] and undo == [(True, 200)], "the part need not be said", (run, undo))
    clean(db)
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
    clean(db)


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
        for level in ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"):
            def opened(level=level):
                return PostgreSQL(conninfo, level)
            name = f"PostgreSQL, {level}"
            clean(opened())
            if level == "READ COMMITTED":
                run_vectors(tap, opened(), name)
                clean(opened())
            run_race(tap, name, opened, SEED, STEPS if level == "READ COMMITTED" else STEPS // 5,
                     disturb=restart if level == "READ COMMITTED" else None)
        clean(opened())
        run_race(tap, "PostgreSQL", lambda: NaivePostgreSQL(conninfo), SEED, steps=100, naive=True)
        guide(tap, cluster)
    finally:
        cluster.close()
    print(f"# SEED={SEED}")
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
