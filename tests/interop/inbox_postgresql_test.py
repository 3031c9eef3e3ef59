#!/usr/bin/env python3
"""sql/inbox-postgresql.sql: consumers race for messages that come again and again, and are killed anywhere. Prints TAP.

    [SEED=n] [SECONDS=12] tests/interop/inbox_postgresql_test.py
"""
import os
import random
import signal
import subprocess
import sys
import time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "integration"))
# The folder of the shared modules is known only now.
from postgresql import Cluster, programs  # noqa: E402
from tap import Tap  # noqa: E402

SEED = int(os.environ.get("SEED", random.randrange(1 << 30)))
SECONDS = float(os.environ.get("SECONDS", "12"))
MESSAGES = 200
LEVELS = ("READ COMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")


def script():
    with open(os.path.join(os.path.dirname(TESTS), "sql", "inbox-postgresql.sql"), encoding="utf-8") as file:
        return file.read()


class Consumer:
    """psql with a long script: each message comes several times, in any order; nothing is ever acked."""

    def __init__(self, cluster, draw, naive):
        lines = []
        for _ in range(4000):
            message = f"{draw.randrange(MESSAGES) + 1}-0"
            taken = "true" if naive else f"holdfast_inbox_take('refunds', '{message}')"
            lines.append(f"BEGIN ISOLATION LEVEL {draw.choice(LEVELS)};\n"
                         f"DO $$ BEGIN IF {taken} THEN UPDATE effects SET count = count + 1 "
                         f"WHERE message = '{message}'; PERFORM pg_sleep({draw.random() * 0.003:.4f}); END IF; END $$;\n"
                         f"{'ROLLBACK' if draw.random() < 0.1 else 'COMMIT'};\n")
        read, write = os.pipe()
        self.process = subprocess.Popen(["psql", "-X", "-q", "-f", "-", cluster.conninfo("postgres")], stdin=read,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(read)
        self.pipe = os.fdopen(write, "w", encoding="utf-8")
        self.lines = iter(lines)

    def feed(self, count):
        """Some transactions more; what psql has not read when it is killed never happens."""
        try:
            for _ in range(count):
                self.pipe.write(next(self.lines, ""))
            self.pipe.flush()
        except OSError:
            pass

    def kill(self):
        self.process.kill()
        self.process.wait()
        try:
            self.pipe.close()
        except OSError:
            pass


def race(tap, cluster, naive):
    draw = random.Random(SEED)
    cluster.sql("TRUNCATE holdfast_inbox; DROP TABLE IF EXISTS effects; CREATE TABLE effects (message text PRIMARY KEY, "
                f"count int NOT NULL DEFAULT 0); INSERT INTO effects SELECT n || '-0' FROM generate_series(1, {MESSAGES}) n",
                "postgres")
    consumers, counts = [], {"consumer": 0, "connection": 0, "postgresql": 0}
    until = time.monotonic() + SECONDS
    try:
        while time.monotonic() < until:
            while len(consumers) < 3:
                consumers.append(Consumer(cluster, draw, naive))
            for consumer in consumers:
                consumer.feed(60)
            time.sleep(0.05 + draw.random() * 0.2)
            what = draw.choice(("consumer",) * 5 + ("connection",) * 3 + ("postgresql",))
            counts[what] += 1
            if what == "postgresql":
                cluster.crash()
                cluster.start()
            elif what == "connection":
                cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' "
                            "AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1", "postgres")
            consumers.pop(draw.randrange(3)).kill()
    finally:
        for consumer in consumers:
            consumer.kill()
    # Every message is delivered once more, to a consumer that nobody kills.
    if not naive:
        cluster.sql("".join(f"BEGIN; DO $$ BEGIN IF holdfast_inbox_take('refunds', '{n + 1}-0') THEN UPDATE effects SET "
                            f"count = count + 1 WHERE message = '{n + 1}-0'; END IF; END $$; COMMIT;\n"
                            for n in range(MESSAGES)), "postgres")
    wrong = int(cluster.sql("SELECT count(*) FROM effects WHERE count <> 1", "postgres")[0][0])
    if naive:
        tap.result(wrong > 0, "without the inbox it goes wrong", f"{wrong} of {MESSAGES} effects not once")
        return
    taken = int(cluster.sql("SELECT count(*) FROM holdfast_inbox", "postgres")[0][0])
    tap.result(wrong == 0 and taken == MESSAGES, "each effect once",
               f"{MESSAGES} messages, killed: {counts}, {wrong} wrong, {taken} taken")


def details(tap, cluster):
    cluster.sql(script(), "postgres")
    cluster.sql(script(), "postgres")
    rows = cluster.sql("SELECT holdfast_inbox_take('a', '17-0'); SELECT holdfast_inbox_take('a', '17-0'); "
                       "SELECT holdfast_inbox_take('b', '17-0'); SELECT position FROM holdfast_inbox", "postgres")
    tap.check(rows == [["t"], ["f"], ["t"], ["17"], ["17"]], "a message is taken once by each subscription", rows)
    for wrong in ("", "e1", "17", "17-x", "-17"):
        try:
            cluster.sql(f"SELECT holdfast_inbox_take('a', '{wrong}')", "postgres")
            tap.check(False, f"\"{wrong}\" is no event's id", "it was taken")
        except RuntimeError as error:
            tap.check("not the id of an event" in str(error), f"\"{wrong}\" is no event's id", error)
    cluster.sql("UPDATE holdfast_inbox SET taken_at = now() - interval '2 days' WHERE subscription = 'a'", "postgres")
    rows = cluster.sql("SELECT holdfast_inbox_purge('1 day'); SELECT holdfast_inbox_purge('1 day'); "
                       "SELECT holdfast_inbox_take('a', '17-0'); SELECT holdfast_inbox_take('b', '17-0')", "postgres")
    tap.check(rows == [["1"], ["0"], ["t"], ["f"]], "purging forgets what is old", rows)
    cluster.sql("BEGIN; SELECT holdfast_inbox_take('a', '18-0'); ROLLBACK", "postgres")
    tap.check(cluster.sql("SELECT holdfast_inbox_take('a', '18-0')", "postgres") == [["t"]],
              "what was rolled back was not taken")


def main():
    print(f"# SEED={SEED}")
    tap = Tap()
    cluster = None
    try:
        if programs() is None:
            tap.skip("the inbox in PostgreSQL", "there is no PostgreSQL: tools/install-packages.sh peers")
            return tap.end()
        cluster = Cluster()
        cluster.start()
        details(tap, cluster)
        race(tap, cluster, naive=False)
        race(tap, cluster, naive=True)
    finally:
        if cluster is not None:
            cluster.close()
    print(f"# SEED={SEED}")
    return tap.end()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left behind
    sys.exit(main())
