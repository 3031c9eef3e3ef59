#!/usr/bin/env python3
"""sql/barrier-mysql.sql on MariaDB: every vector, racing threads while the server is killed, the purge. Prints TAP.

    [SEED=n] [STEPS=1500] /usr/bin/python3 tests/interop/barrier_mysql_test.py
"""
import os
import signal
import sys
import time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "integration"))
# The folder of the shared modules is known only now.
from barrier_rig import (LEDGER, SEED, STEPS, Naive, Participant, check_answers, check_keys, check_purge, clean,  # noqa: E402
                         refused, run_levels, run_race, script)
from mariadb import Server, installed  # noqa: E402
from tap import Tap  # noqa: E402

try:
    import pymysql
    from pymysql.constants import CLIENT
except ImportError:
    pymysql = None


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


def details(tap, db):
    later = int(time.time()) + 3600
    where = f" ({db.mode})"
    check_keys(tap, db, later, (("a very long saga", ("x" * 70000, "s", "")), ("one that folds to ASCII", ("ſ", "s", ""))), where)
    check_answers(tap, db, later, where)
    db.begin()
    db.take(("forgot", "s", ""), later)
    db.commit()
    refused(tap, db, f"an action without an answer is an error when it comes again{where}",
            lambda: db.action(("forgot", "s", ""), later))
    check_purge(tap, db, later)


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
        # Drivers differ in what "affected rows" means: FOUND_ROWS is that of JDBC and of Node's. The first level is the server's own.
        run_levels(tap, "MariaDB", lambda level, flags=0: MySQL(server.socket, level, flags),
                   (("REPEATABLE READ", (), STEPS), ("READ COMMITTED", (CLIENT.FOUND_ROWS,), STEPS), ("SERIALIZABLE", (), STEPS // 5)),
                   restart)
        run_race(tap, "MariaDB", lambda: NaiveMySQL(server.socket), SEED, steps=100, naive=True)
    finally:
        server.close()
    print(f"# SEED={SEED}")
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
