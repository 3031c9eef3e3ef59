#!/usr/bin/env python3
"""sql/barrier-mysql.sql on MariaDB: every vector, racing threads while the server is killed, the purge. Prints TAP.

    [SEED=n] [STEPS=1500] /usr/bin/python3 tests/interop/barrier_mysql_test.py
"""
import os
import random
import signal
import sys
import time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "integration"))
# The folder of the shared modules is known only now.
from barrier_rig import LEDGER, Naive, Participant, run_race, run_vectors, script  # noqa: E402
from mariadb import Server, installed  # noqa: E402
from tap import Tap  # noqa: E402

try:
    import pymysql
    from pymysql.constants import CLIENT
except ImportError:
    pymysql = None

SEED = int(os.environ.get("SEED", random.randrange(1 << 30)))
STEPS = int(os.environ.get("STEPS", "1500"))


class MySQL(Participant):
    errors = (pymysql.err.Error, OSError) if pymysql else ()

    def __init__(self, socket, level="REPEATABLE READ", flags=0, mode=None):
        self.socket, self.level, self.flags, self.mode = socket, level, flags, mode
        self.db = None
        self.connect()

    def connect(self):
        self.db = pymysql.connect(unix_socket=self.socket, user="root", database="shop", charset="utf8mb4", autocommit=True,
                                  client_flag=self.flags, sql_mode=self.mode)
        self.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {self.level}")

    def drop(self):
        if self.db.open:
            self.db._force_close()  # no goodbye: as if the process had died

    def execute(self, sql, values=()):
        with self.db.cursor() as cursor:
            cursor.execute(sql.replace("?", "%s"), values or None)
            rows = list(cursor.fetchall())
            while cursor.nextset():  # a procedure's own end
                pass
            return rows

    def begin(self):
        self.execute("START TRANSACTION")

    def take(self, key, forget_after):
        saga, step, part = key
        run, status, body = self.execute("CALL saga_barrier_action(?, ?, ?, ?)", (saga, step, forget_after, part))[0]
        return run == 1, status, body

    def keep(self, key, status, body):
        saga, step, part = key
        self.execute("CALL saga_barrier_keep(?, ?, ?, ?, ?)", (saga, step, status, body, part))

    def take_back(self, key, forget_after):
        saga, step, part = key
        undo, status, body = self.execute("CALL saga_barrier_compensate(?, ?, ?, ?)", (saga, step, forget_after, part))[0]
        return undo == 1, status, body

    def purge(self, rows_max=10000):
        return self.execute("CALL saga_barrier_purge(?)", (rows_max,))[0][0]


class NaiveMySQL(Naive, MySQL):
    pass


def clean(db):
    for table in ("saga_barrier", "ledger"):
        db.execute(f"DELETE FROM {table}")
    db.execute("UPDATE account SET balance = 0")


def details(tap, db):
    later = int(time.time()) + 3600
    for name, key in (("an empty saga", ("", "s", "")), ("a long saga", ("x" * 256, "s", "")), ("a very long saga", ("x" * 70000, "s", "")),
                      ("a long step", ("x", "s" * 65, "")), ("a blank", ("x ", "s", "")), ("a letter that is none of ASCII", ("é", "s", "")),
                      ("one that folds to ASCII", ("ſ", "s", "")), ("a line's end", ("x\n", "s", "")), ("no saga", (None, "s", "")),
                      ("a long part", ("x", "s", "p" * 65))):
        for send in (db.action, db.compensate):
            try:
                send(key, later)
                tap.check(False, f"{name} is an error ({db.mode})", "it was taken")
            except pymysql.err.Error:
                tap.check(db.execute("SELECT count(*) FROM saga_barrier") == [(0,)],
                          f"{name} is an error ({db.mode}), and leaves nothing")
    names = ("x" * 255, "x" * 254 + "y", "X" * 255)
    tap.check([db.action((saga, "s", ""), later)[0] for saga in names] == [201] * 3
              and [db.action((saga, "s", ""), later)[0] for saga in names] == [201] * 3
              and db.execute("SELECT count(*) FROM ledger") == [(3,)], f"names that are nearly the same are others ({db.mode})")
    for status in (None, 199, 302, 500):
        db.begin()
        db.take(("odd", "s", ""), later)
        try:
            db.keep(("odd", "s", ""), status, "x")
            tap.check(False, f"the answer {status} is not kept ({db.mode})", "it was")
        except pymysql.err.Error:
            tap.check(True, f"the answer {status} is not kept ({db.mode})")
        db.rollback()
    db.begin()
    db.take(("forgot", "s", ""), later)
    db.commit()
    for name, send in (("an action without an answer is an error when it comes again", lambda: db.action(("forgot", "s", ""), later)),
                       ("an answer for no action is an error", lambda: db.keep(("nobody", "s", ""), 200, ""))):
        try:
            tap.check(False, f"{name} ({db.mode})", send())
        except pymysql.err.Error:
            tap.check(True, f"{name} ({db.mode})")
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


def main():
    print(f"# SEED={SEED}")
    tap = Tap()
    if not installed() or pymysql is None:
        tap.skip("the barrier in MariaDB", "there is no MariaDB, or no pymysql for this Python: tools/install-packages.sh interop")
        return tap.end()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    server = Server()
    try:
        server.start()
        # A character set of old for the database: the script says what it needs itself.
        server.client("CREATE DATABASE shop CHARACTER SET latin1")
        server.client(script("barrier-mysql.sql") * 2 + ";\n".join(LEDGER), "shop")
        for mode in ("", "STRICT_ALL_TABLES"):
            details(tap, MySQL(server.socket, mode=mode))

        def restart():
            server.crash()
            server.start()
        # Drivers differ in what "affected rows" means: FOUND_ROWS is that of JDBC and of Node's.
        for level, flags in (("REPEATABLE READ", 0), ("READ COMMITTED", CLIENT.FOUND_ROWS), ("SERIALIZABLE", 0)):
            def opened(level=level, flags=flags):
                return MySQL(server.socket, level, flags)
            name = f"MariaDB, {level}"
            clean(opened())
            if level == "REPEATABLE READ":  # what the server has by default
                run_vectors(tap, opened(), name)
                clean(opened())
            run_race(tap, name, opened, SEED, STEPS if level != "SERIALIZABLE" else STEPS // 5,
                     disturb=restart if level == "REPEATABLE READ" else None)
        clean(opened())
        run_race(tap, "MariaDB", lambda: NaiveMySQL(server.socket), SEED, steps=100, naive=True)
    finally:
        server.close()
    print(f"# SEED={SEED}")
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
