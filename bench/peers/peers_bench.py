#!/usr/bin/env python3
"""Transfers side by side, in one run: Holdfast, PostgreSQL, Redis, and the machine's own bar.

    bench/peers/peers_bench.py [--build DIR] [--rounds 5] [--seconds 3] [--json]

All are durable: `serve` as it is by default, PostgreSQL with its defaults (fsync, synchronous_commit), Redis with appendonly
and appendfsync always. All do the same: a transfer between two of 1,000 accounts under an id of its own, above a floor, both
sides, with a row that stays. Holdfast is loaded by wrk, PostgreSQL by pgbench, Redis by redis-benchmark, each with one thread
beside the server on the same processors; holdfast-ceiling loads itself. The rounds are interleaved.

After the rounds each system's accounts must say what its clients counted, nothing may have been refused, and `holdfast
verify` must say yes: else the exit status is 1 and no figure counts. Peers that are not installed are left out, and said to be.
"""
import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

from peers import PeerError, PostgresServer, RedisServer, postgresql_programs
import http_bench  # peers.py knows where it is
from http_bench import ACCOUNTS, FUND, Server, fail, fund, progress, sync_alone, wrk

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LINES = 1000  # transfers of a bulk request
REDIS_PIPELINE = 16
CROWDS = (16, 64, 256)  # connections to Holdfast
CALLS_S = 20000  # redis-benchmark is told a number of calls, not a time


def named(system, connections, hot=False):
    return f"{system}, {connections} connections{', hot' if hot else ''}"


class Holdfast:
    ROWS = [(named("Holdfast", connections, hot), (connections, hot)) for connections in CROWDS for hot in (False, True)]
    ROWS += [(f"Holdfast, lines of {LINES:,}", (2, None))]

    def __init__(self, build, directory):
        self.server = Server(build, os.path.join(directory, "data"))
        fund(self.server)
        self.rounds = 0
        self.counted = 0
        self.under_way = 0

    def run(self, settings, seconds):
        connections, hot = settings
        self.rounds += 1
        url = f"http://127.0.0.1:{self.server.port}/v1/transfers"
        if hot is None:
            result = wrk(url, seconds, connections, os.path.join(HERE, "lines.lua"),
                         (f"p{self.rounds}", str(ACCOUNTS), str(LINES)))
            each = LINES
        else:
            result = wrk(url, seconds, connections, os.path.join(os.path.dirname(http_bench.__file__), "transfers.lua"),
                         (f"p{self.rounds}", str(ACCOUNTS), "hot" if hot else "uniform"))
            each = 1
        if result["errors"] != 0:
            fail(f"Holdfast: {result['errors']} answers were no 201")
        self.counted += result["requests"] * each
        self.under_way += connections * each
        return {**result, "per_second": result["per_second"] * each}

    def check(self):
        totals = self.server.call("GET", "/v1/assets/USD%2F2/totals")
        moved = int(totals["debits_posted"]) - FUND * ACCOUNTS
        since_start = self.server.call("GET", "/v1/status")["since_start"]
        if totals["debits_posted"] != totals["credits_posted"] or since_start["refusals"] != 0 or since_start["replays"] != 0:
            fail("Holdfast: debits are not credits, or something was refused or replayed")
        if not self.counted <= moved <= self.counted + self.under_way:  # wrk leaves the last ones under way
            fail(f"wrk counted {self.counted} transfers, Holdfast {moved}")
        self.server.stop()
        done = subprocess.run([self.server.program, "verify", self.server.directory], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            fail(f"verify: {done.stdout}{done.stderr}")

    def kill(self):
        if self.server.process.poll() is None:
            self.server.process.kill()


def calling(function, hot):
    """A script of pgbench: one call with accounts :f and :t."""
    source = "0" if hot else f"random(0, {ACCOUNTS - 1})"
    return f"\\set f {source}\n\\set t (:f + 1 + random(0, {ACCOUNTS - 2})) % {ACCOUNTS}\nSELECT {function};\n"


class PostgreSQL(PostgresServer):
    ROWS = [(named("PostgreSQL function", clients, hot),
             (calling("move(gen_random_uuid(), :f::int, :t::int, 1)", hot), clients, 1, "transfer"))
            for clients in (16, 64) for hot in (False, True)]
    ROWS += [(f"PostgreSQL wallet of rows, serializable, {clients} connections",
              ("BEGIN ISOLATION LEVEL SERIALIZABLE;\n" + calling("spend(:f::int, :t::int, 1)", False) + "COMMIT;\n",
               clients, 1, "wallet")) for clients in (16, 64)]
    ROWS += [(f"PostgreSQL, {LINES:,} in one statement", (f"SELECT move_many({LINES});\n", 1, LINES, "transfer"))]

    def __init__(self, _, directory):
        super().__init__(directory)
        with open(os.path.join(HERE, "schema.sql"), encoding="utf-8") as schema:
            self.sql(schema.read())
        self.counted = {"transfer": 0, "wallet": 0}

    def run(self, settings, seconds):
        text, clients, each, table = settings
        more = ["--max-tries", "1000"] if table == "wallet" else []
        result = self.pgbench(text, clients, seconds, *more)
        self.counted[table] += result["transactions"] * each
        return {**result, "per_second": result["per_second"] * each}

    def check(self):
        transfers = int(self.sql("SELECT count(*) FROM transfer"))
        moves = int(self.sql("SELECT count(*) FROM wallet")) - ACCOUNTS
        sums = self.sql("SELECT sum(posted) FROM account"), self.sql("SELECT sum(amount) FROM wallet")
        if (transfers, moves) != (self.counted["transfer"], 2 * self.counted["wallet"]) or set(sums) != {str(FUND * ACCOUNTS)}:
            fail(f"PostgreSQL has {transfers} transfers, {moves} moves, sums {sums}; pgbench counted {self.counted}")
        self.stop()


class Redis(RedisServer):
    ROWS = [(named("Redis Lua", 64), (64, 1, False)), (named("Redis Lua", 64, True), (64, 1, True)),
            (f"Redis Lua, 64 connections, pipelines of {REDIS_PIPELINE}", (64, REDIS_PIPELINE, False))]

    def __init__(self, _, directory):
        super().__init__(directory)
        for i in range(ACCOUNTS):
            self.cli("set", f"account:{i}", str(FUND))
        with open(os.path.join(HERE, "transfer.lua"), encoding="ascii") as script:
            self.script = self.cli("script", "load", script.read())
        self.counted = 0
        self.rounds = 0

    def run(self, settings, seconds):
        connections, pipeline, hot = settings
        self.rounds += 1
        count = CALLS_S * seconds
        random = "__rand_int__"
        done = subprocess.run(
            ["redis-benchmark", "-p", str(self.port), "-c", str(connections), "-n", str(count), "-P", str(pipeline), "-r",
             "1000000000", "--csv", "evalsha", self.script, "0", random, random, f"{self.rounds}-{random}", random, "hot" if hot else "uniform"],
            capture_output=True, text=True, check=False)
        rows = list(csv.DictReader(done.stdout.splitlines()))
        if done.returncode != 0 or len(rows) != 1:
            raise PeerError(f"redis-benchmark: {done.stdout}{done.stderr}")
        self.counted += count
        return {"per_second": float(rows[0]["rps"]), "p50_us": 1000 * float(rows[0]["p50_latency_ms"]),
                "p99_us": 1000 * float(rows[0]["p99_latency_ms"])}

    def check(self):
        done = int(self.cli("xlen", "transfers"))
        total = sum(int(line) for line in self.cli("mget", *(f"account:{i}" for i in range(ACCOUNTS))).splitlines())
        if done != self.counted or total != FUND * ACCOUNTS:
            fail(f"Redis has {done} transfers and a sum of {total}; redis-benchmark counted {self.counted}")
        self.stop()


class Ceiling:
    """Packed batches of 8,190, the smallest program."""
    ROWS = [("the machine's own bar, packed", ())]

    def __init__(self, build, directory):
        self.program = os.path.join(build, "bench", "ceiling", "holdfast-ceiling")
        self.directory = directory

    def run(self, _, seconds):
        done = subprocess.run([self.program, "--directory", self.directory, "--rounds", "1", "--json",
                               "--transfers", str(1500000 * seconds)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            fail(f"holdfast-ceiling: {done.stderr}")
        told = json.loads(done.stdout)
        return {"per_second": told["transfers_per_second"], "p50_us": told["batch_p50_us"], "p99_us": told["batch_p99_us"]}

    def check(self):
        pass  # it has checked its totals itself

    def kill(self):
        pass


# What is told of the medians: the best of these rows divided by the best of those.
RATIOS = [
    ("singles, best / PostgreSQL's best", [named("Holdfast", n) for n in CROWDS], [named("PostgreSQL function", n) for n in (16, 64)]),
    ("singles / PostgreSQL, at 64", [named("Holdfast", 64)], [named("PostgreSQL function", 64)]),
    ("hot, best / PostgreSQL's best", [named("Holdfast", n, True) for n in CROWDS],
     [named("PostgreSQL function", n, True) for n in (16, 64)]),
    ("hot / PostgreSQL, at 64", [named("Holdfast", 64, True)], [named("PostgreSQL function", 64, True)]),
    ("singles / Redis, at 64", [named("Holdfast", 64)], [named("Redis Lua", 64)]),
    ("lines / PostgreSQL's bulk", [f"Holdfast, lines of {LINES:,}"], [f"PostgreSQL, {LINES:,} in one statement"]),
]


def ratios(medians):
    def best(names):
        return max(medians[name]["per_second"] for name in names)
    return {name: round(best(ours) / best(theirs), 1) for name, ours, theirs in RATIOS if all(one in medians for one in theirs)}


def report(rows, missing, syncs, options):
    medians = {}
    for name, results in rows.items():
        speeds = sorted(result["per_second"] for result in results)
        medians[name] = {"per_second": round(statistics.median(speeds)), "lowest": round(speeds[0]), "highest": round(speeds[-1])}
        for figure in ("p50_us", "p99_us", "average_us"):
            if figure in results[0]:
                medians[name][figure] = round(statistics.median(result[figure] for result in results))
        if results[0].get("retried"):
            medians[name]["retried"] = results[-1]["retried"]
    told = {"rows": medians, "ratios": ratios(medians), "left_out": missing, "fdatasync_p50_us": round(statistics.median(syncs))}
    if options.json:
        print(json.dumps(told, indent=1))
        return
    print(f"median of {options.rounds} rounds of {options.seconds} s (lowest to highest); fdatasync of 4 KiB: p50 "
          f"{told['fdatasync_p50_us']} us; totals and verify checked")
    for name, row in medians.items():
        latency = "  ".join(f"{figure.removesuffix('_us')} {row[figure]:,} us" for figure in ("p50_us", "p99_us", "average_us") if figure in row)
        retried = f"  retried {row['retried']}" if "retried" in row else ""
        print(f"{name:<56} {row['per_second']:>10,}/s  ({row['lowest']:,} to {row['highest']:,})  {latency}{retried}")
    for name, ratio in told["ratios"].items():
        print(f"{name:<56} {ratio:>8} x")
    for name in missing:
        print(f"{name} is not installed: left out")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    kinds = [Holdfast, Ceiling]
    kinds += [PostgreSQL] if postgresql_programs() else []
    kinds += [Redis] if shutil.which("redis-benchmark") else []
    missing = [kind.__name__ for kind in (PostgreSQL, Redis) if kind not in kinds]
    directory = tempfile.mkdtemp(prefix="peers-bench-", dir=options.build)
    os.chmod(directory, 0o755)
    systems, rows, syncs = [], {}, []
    try:
        for kind in kinds:
            systems.append(kind(options.build, directory))
        for number in range(options.rounds):
            syncs.append(sync_alone(directory, 1000)["p50_us"])
            for system in systems:
                for name, settings in system.ROWS:
                    progress(f"round {number + 1} of {options.rounds}: {name}")
                    rows.setdefault(name, []).append(system.run(settings, options.seconds))
        progress("checking")
        for system in systems:
            system.check()
    except PeerError as error:
        fail(str(error))
    finally:
        for system in systems:
            system.kill()
        progress("")
        shutil.rmtree(directory, ignore_errors=True)
    report(rows, missing, syncs, options)


if __name__ == "__main__":
    main()
