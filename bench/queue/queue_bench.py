#!/usr/bin/env python3
"""Measures queues over loopback: Holdfast's subscriptions, Redis Streams, a PostgreSQL queue, in one run.

    bench/queue/queue_bench.py [--build DIR] [--rounds 5] [--messages 300000] [--no-peers] [--json]
    bench/queue/queue_bench.py --backlog [--hot 5000000] [--others 100000]

All are durable: `serve` as it is by default, Redis with appendonly and appendfsync always, PostgreSQL with its
defaults (fsync, synchronous_commit). The same program (holdfast-queue-load) loads Holdfast and Redis, pgbench
loads PostgreSQL, whose queue is a table taken from by FOR UPDATE SKIP LOCKED. Each message is published, received and
acknowledged; what was acknowledged must be what was published, and `holdfast verify` must say yes: else the
exit status is 1 and no figure counts. Peers that are not installed are left out, and said to be.

--backlog: so many messages on one key, then one on each of other keys: what a receive of the others takes, how much
memory the server has, and that a restart keeps all.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "bench", "http"))
sys.path.insert(0, os.path.join(ROOT, "bench", "peers"))
from http_bench import Server, fail, progress, sync_alone  # noqa: E402
from peers import PeerError, PostgresServer, RedisServer, postgresql_programs  # noqa: E402

BATCH, CONNECTIONS, KEYS = 100, 64, 1000
WINDOW = 50 * BATCH  # published and not acknowledged at most
SINGLES = 10         # a batch round has so many times the messages of a round of single ones


def load(build, protocol, port, **settings):
    words = [f"{name.replace('_', '-')}={value}" for name, value in settings.items()]
    done = subprocess.run([os.path.join(build, "bench", "queue", "holdfast-queue-load"), protocol,
                           f"address=127.0.0.1:{port}", *words], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        fail(done.stderr.strip() or f"load: exit status {done.returncode}")
    return json.loads(done.stdout)


def shape(kind, messages):
    """The settings of a round of batches, or of single messages."""
    if kind == "batches":
        return {"publishers": 16, "consumers": 16, "batch": BATCH, "messages": messages,
                "consume": messages, "keys": KEYS, "window": WINDOW}
    messages //= SINGLES
    return {"cyclers": CONNECTIONS, "batch": 1, "messages": messages, "consume": messages,
            "keys": KEYS}


class Holdfast:
    name = "Holdfast"

    def __init__(self, build, directory):
        self.build = build
        self.server = Server(build, os.path.join(directory, "data"))
        self.rounds = 0
        self.sent = 0

    def run(self, kind, messages):
        self.rounds += 1
        queue = f"q{self.rounds}"
        self.server.call("PUT", f"/v1/subscriptions/{queue}", {"filter": {"topic": queue},
                                                               "in_flight_max": 10000})
        result = load(self.build, "http", self.server.port, queue=queue, tag=queue,
                      **shape(kind, messages))
        now = self.server.call("GET", f"/v1/subscriptions/{queue}")
        if not (now["arrived"] == now["acked"] == result["published"] == result["acked"] and
                now["deliveries"] == result["received"]):
            fail(f"the load counted {result}, the server {now}")
        self.server.call("DELETE", f"/v1/subscriptions/{queue}", key=f"end-{queue}")
        return result

    def stop(self):
        self.server.stop()
        done = subprocess.run([self.server.program, "verify", self.server.directory],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            fail(f"verify: {done.stdout}{done.stderr}")

    def kill(self):
        if self.server.process.poll() is None:
            self.server.process.kill()


class Redis(RedisServer):
    name = "Redis Streams"

    def __init__(self, build, directory):
        super().__init__(directory)
        self.build = build
        self.rounds = 0

    def run(self, kind, messages):
        self.rounds += 1
        queue = f"q{self.rounds}"
        self.cli("xgroup", "create", queue, queue, "0", "mkstream")
        result = load(self.build, "redis", self.port, queue=queue, **shape(kind, messages))
        if self.cli("xpending", queue, queue).split()[0] != "0":
            fail("Redis has messages pending")
        self.cli("del", queue)
        return result


class PostgreSQL(PostgresServer):
    """A table; publish INSERTs, receive and acknowledge are one DELETE … SKIP LOCKED."""
    name = "PostgreSQL queue"
    SCRIPTS = {
        "batches": ("INSERT INTO q (key, data) SELECT 'k' || (random() * 999)::int, repeat('x', 100) "
                    "FROM generate_series(1, 100);\n", 100, 8),
        "singles": ("INSERT INTO q (key, data) VALUES ('k' || (random() * 999)::int, "
                    "repeat('x', 100));\n", 1, CONNECTIONS),
    }
    TAKE = ("DELETE FROM q WHERE id IN (SELECT id FROM q ORDER BY id FOR UPDATE SKIP LOCKED "
            "LIMIT {count}) RETURNING id, key, data;\n")

    def __init__(self, _, directory):
        super().__init__(directory)
        self.sql("CREATE TABLE q (id bigserial PRIMARY KEY, key text, data text)")

    def run(self, kind, messages):
        insert, count, clients = self.SCRIPTS[kind]
        result = self.pgbench(insert + self.TAKE.format(count=count), clients, 5 if messages > 50000 else 2)
        self.sql("TRUNCATE q")
        return {"per_second": result["per_second"] * count, "cycle_ms": result["average_us"] / 1000}


def compare(options, directory):
    kinds = [Holdfast]
    if options.peers:
        kinds += [Redis] if shutil.which("redis-server") else []
        kinds += [PostgreSQL] if postgresql_programs() else []
    missing = [kind.name for kind in (Redis, PostgreSQL) if options.peers and kind not in kinds]
    systems = []
    rows = {}
    syncs = []
    try:
        for kind in kinds:
            systems.append(kind(options.build, directory))
        for number in range(options.rounds):
            syncs.append(sync_alone(directory, 1000)["p50_us"])
            for system in systems:
                for form in ("batches", "singles"):
                    progress(f"round {number + 1} of {options.rounds}: {system.name}, {form}")
                    rows.setdefault((system.name, form), []).append(system.run(form, options.messages))
        for system in systems:
            system.stop()
    finally:
        for system in systems:
            system.kill()
        progress("")
    report(rows, missing, statistics.median(syncs), options)


def report(rows, missing, sync_us, options):
    table = []
    for (name, form), results in rows.items():
        speeds = sorted(result["per_second"] for result in results)
        middle = sorted(results, key=lambda result: result["per_second"])[len(results) // 2]
        table.append({"system": name, "form": form, "per_second": round(statistics.median(speeds)),
                      "lowest": round(speeds[0]), "highest": round(speeds[-1]),
                      **{step: middle[step] for step in ("publish", "receive", "ack", "cycle_ms")
                         if step in middle}})
    if options.json:
        print(json.dumps({"rows": table, "left_out": missing, "fdatasync_p50_us": sync_us}, indent=1))
        return
    print(f"median of {options.rounds} rounds (lowest to highest); fdatasync of 4 KiB: p50 {sync_us:.0f} us; "
          "totals and verify checked")
    for row in table:
        form = f"batches of {BATCH}" if row["form"] == "batches" else f"single, {CONNECTIONS} connections"
        steps = "  ".join(f"{step} {row[step]['p50_us']}/{row[step]['p99_us']} us"
                          for step in ("publish", "receive", "ack") if step in row)
        print(f"{row['system']:<18} {form:<24} {row['per_second']:>9,} messages/s  ({row['lowest']:,} to "
              f"{row['highest']:,})  {steps}")
    for name in missing:
        print(f"{name} is not installed: left out")


def backlog(options, directory):
    """F4: a backlog on one key hides no other."""
    server = Server(options.build, os.path.join(directory, "data"))
    queue = "backlog"
    total = options.hot + options.others

    def look():
        return server.call("GET", f"/v1/subscriptions/{queue}")
    try:
        server.call("PUT", f"/v1/subscriptions/{queue}", {"filter": {"topic": queue}, "in_flight_max": 10000})
        progress("publishing")
        filled = load(options.build, "http", server.port, queue=queue, tag="fill", publishers=8, batch=1000,
                      messages=total, hot=options.hot, keys=options.others)
        before = look()
        if before["waiting"] != total:
            fail(f"{total} were published, {before['waiting']} wait")
        # One message of the hot key goes out and stays out: the rest of its key waits behind it.
        first = server.call("POST", f"/v1/subscriptions/{queue}/receive", {"max": 1, "lease_ms": 43200000})
        if first["messages"][0]["event"]["partitionkey"] != "hot":
            fail("the oldest key is not the first")
        progress("receiving from the other keys")
        rows = [load(options.build, "http", server.port, queue=queue, consumers=4, batch=batch,
                     consume=options.others // 10 * share, messages=0)
                for batch, share in ((1, 1), (10, 2), (100, 5))]
        then = look()
        if then["ended"] < sum(row["acked"] for row in rows):
            fail(f"the load counted more than the server: {then}")
        memory = server.resident_bytes()
        progress("stopping and starting")
        server.stop()
        began = time.monotonic()
        server = Server(options.build, os.path.join(directory, "data"))
        restart = time.monotonic() - began
        after = look()
        if (after["arrived"], after["waiting"] + after["in_flight"]) != (total, total - then["ended"]):
            fail(f"after a restart {after}, before it {then}")
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        began = time.monotonic()
        server = Server(options.build, os.path.join(directory, "data"))
        killed = time.monotonic() - began
        if look()["arrived"] != total:
            fail("after a kill something is missing")
        server.stop()
    finally:
        if server.process.poll() is None:
            server.process.kill()
        progress("")
    print(f"{options.hot:,} messages on one key, {options.others:,} on others; published {filled['per_second']:.0f}/s in "
          "commits of 1,000")
    for row, batch in zip(rows, (1, 10, 100)):
        print(f"receive of at most {batch:>3}: p50 {row['receive']['p50_us']} us, p99 {row['receive']['p99_us']} us, "
              f"max {row['receive']['max_us']} us  ({row['receive']['requests']} requests)")
    print(f"resident memory {memory / 2**20:.0f} MiB; restart after a clean stop {restart:.1f} s, after kill -9 "
          f"{killed:.1f} s; all is there")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=300000)
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    parser.add_argument("--backlog", action="store_true")
    parser.add_argument("--hot", type=int, default=5000000)
    parser.add_argument("--others", type=int, default=100000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    directory = tempfile.mkdtemp(prefix="queue-bench-", dir=options.build)
    os.chmod(directory, 0o755)
    try:
        (backlog if options.backlog else compare)(options, directory)
    except PeerError as error:
        fail(str(error))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
