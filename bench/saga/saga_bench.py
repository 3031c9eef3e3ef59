#!/usr/bin/env python3
"""Measures sagas over loopback: `serve` as it is by default (fsync on), a participant that answers at once, a load program,
all on this machine.

    bench/saga/saga_bench.py [--build DIR] [--rounds 3] [--only http,open,native,timers,waiting] [--json]
                             [--sagas 20000] [--timers 100000] [--waiting 1000000]

  http     sagas of 1, 2, 3 and 9 HTTP steps, one after the other: each of 128 connections starts one and waits for its end
  open     sagas of 3 HTTP steps, 200 a second whatever becomes of them; from when each was to begin to its answer
  native   sagas of two native steps (hold, capture): one a request, and in commits of 100
  timers   so many sagas whose timers are due at one moment: the latency of commits beside them, before and while they drain
  waiting  so many sagas that wait, a tenth of them for a callback, the others for a timer: memory, and how long a start takes

What was started must have succeeded, the participant must have seen each step once, and `holdfast verify` must say yes: else
the exit status is 1 and no figure counts.
"""
import argparse
import datetime
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
import http_bench  # noqa: E402
from http_bench import fail, progress, sync_alone  # noqa: E402

CONNECTIONS = 128
STEPS = (1, 2, 3, 9)
OPEN_RATE, OPEN_SECONDS = 200, 15
COMMIT_RATE = 200


class Server(http_bench.Server):
    """`holdfast serve` that may call loopback addresses."""

    def __init__(self, build, directory):
        self.program = os.path.join(build, "holdfast")
        self.directory = directory
        # pylint: disable-next=super-init-not-called
        self.process = subprocess.Popen(
            [self.program, "serve", "--data", directory, "--listen", "127.0.0.1:0", "--json",
             "--deliver-allow", "127.0.0.0/8"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        if not line:
            fail("serve did not start")
        self.port = next(listener["port"] for listener in json.loads(line)["listeners"] if listener["port"])

    def define(self, name, steps):
        self.call("PUT", f"/v1/saga-definitions/{name}/1", {"keep_ms": 600000, "steps": steps})

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def verify(self):
        done = subprocess.run([self.program, "verify", self.directory], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            fail(f"verify: {done.stdout}{done.stderr}")


class Participant:
    def __init__(self, build):
        self.process = subprocess.Popen([os.path.join(build, "bench", "saga", "holdfast-saga-stub")],
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def stop(self):
        """How many requests came."""
        self.process.send_signal(signal.SIGTERM)
        requests = int(self.process.stdout.readline())
        self.process.wait()
        return requests

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def load_words(build, server, settings):
    return [os.path.join(build, "bench", "saga", "holdfast-saga-load"), f"port={server.port}",
            *(f"{name}={value}" for name, value in settings.items())]


def load(build, server, **settings):
    done = subprocess.run(load_words(build, server, settings), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(done.stderr.strip() or f"load: exit status {done.returncode}")
    return json.loads(done.stdout)


def http_steps(count, port):
    return [{"name": f"s{i}", "action": {"url": f"http://127.0.0.1:{port}/s{i}"},
             "compensation": {"url": f"http://127.0.0.1:{port}/undo"}, **({"after": [f"s{i - 1}"]} if i else {})}
            for i in range(count)]


def native_steps():
    hold = {"$join": ["h-", {"$": "/saga/id"}]}
    return [{"name": "hold", "action": {"do": [{"op": "hold", "id": hold, "from": "load:a", "to": "load:b",
                                                "asset": "USD/2", "amount": "1"}]},
             "compensation": {"do": [{"op": "void", "hold": hold}]}},
            {"name": "capture", "after": ["hold"], "pivot": True,
             "action": {"do": [{"op": "capture", "hold": hold}]}}]


def open_accounts(server):
    server.call("POST", "/v1/commits", {"do": [
        {"op": "open_account", "account": "outside", "asset": "USD/2", "floor": None},
        {"op": "open_account", "account": "load:a", "asset": "USD/2"},
        {"op": "open_account", "account": "load:b", "asset": "USD/2"},
        {"op": "transfer", "id": "fund", "from": "outside", "to": "load:a", "asset": "USD/2", "amount": str(10 ** 12)},
    ]}, key="fund")


def median(rows, name):
    return statistics.median(row[name] for row in rows)


def summary(rows):
    speeds = [row["per_second"] for row in rows]
    return {"sagas_per_second": round(statistics.median(speeds)), "lowest": round(min(speeds)),
            "highest": round(max(speeds)), "p50_us": round(median(rows, "p50_us")), "p99_us": round(median(rows, "p99_us"))}


# ---- the parts ----

def run_http(options, directory):
    rows = {steps: [] for steps in STEPS}
    participant = Participant(options.build)
    server = Server(options.build, os.path.join(directory, "http"))
    calls = 0
    try:
        for steps in STEPS:
            server.define(f"http{steps}", http_steps(steps, participant.port))
        for number in range(options.rounds):
            for steps in STEPS:
                count = max(options.sagas // steps, 100)
                progress(f"round {number + 1} of {options.rounds}: {steps} HTTP steps")
                rows[steps].append(load(options.build, server, kind="closed", connections=CONNECTIONS, count=count,
                                        definition=f"http{steps}@1", tag=f"h{steps}-{number}"))
                calls += count * steps
        server.stop()
        if participant.stop() != calls:
            fail(f"the participant has seen another number of calls than {calls}")
        server.verify()
    finally:
        server.kill()
        participant.kill()
    return {f"{steps} HTTP steps": summary(found) for steps, found in rows.items()}


def run_open(options, directory):
    participant = Participant(options.build)
    server = Server(options.build, os.path.join(directory, "open"))
    try:
        server.define("open3", http_steps(3, participant.port))
        load(options.build, server, kind="closed", connections=4, count=200, definition="open3@1", tag="warm")
        progress(f"3 HTTP steps, {OPEN_RATE}/s for {OPEN_SECONDS} s")
        found = load(options.build, server, kind="open", connections=64, rate=OPEN_RATE,
                     count=OPEN_RATE * OPEN_SECONDS, definition="open3@1", tag="open")
        server.stop()
        server.verify()
    finally:
        server.kill()
        participant.kill()
    return {f"3 HTTP steps, {OPEN_RATE}/s": found}


def run_native(options, directory):
    server = Server(options.build, os.path.join(directory, "native"))
    rows = {"single": [], "batches": []}
    count = options.sagas * 5
    try:
        open_accounts(server)
        server.define("native2", native_steps())
        for number in range(options.rounds):
            progress(f"round {number + 1} of {options.rounds}: native")
            rows["single"].append(load(options.build, server, kind="closed", connections=CONNECTIONS, count=count,
                                       definition="native2@1", tag=f"n{number}"))
            rows["batches"].append(load(options.build, server, kind="batch", connections=16, count=count, batch=100,
                                        definition="native2@1", tag=f"b{number}"))
        found = server.call("GET", "/v1/accounts/load:b")
        if int(found["posted"]) != 2 * count * options.rounds:
            fail(f"{2 * count * options.rounds} were to be captured: {found}")
        server.stop()
        server.verify()
    finally:
        server.kill()
    return {"2 native steps, one a request": summary(rows["single"]),
            "2 native steps, commits of 100": summary(rows["batches"])}


def waiting_left(server):
    return len(server.call("GET", "/v1/sagas?state=waiting&limit=1")["data"])


def run_timers(options, directory):
    server = Server(options.build, os.path.join(directory, "timers"))
    try:
        open_accounts(server)
        server.define("timer", [{"name": "until", "action": {"until": {"$": "/input/at"}}},
                                {"name": "note", "after": ["until"], "action": {}}])
        progress("starting sagas")
        # Far enough ahead for all of them to be there.
        due = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=15 + options.timers / 20000)
        at = json.dumps({"at": due.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}, separators=(",", ":"))
        load(options.build, server, kind="batch", connections=4, count=options.timers, batch=100, definition="timer@1",
             tag="t", input=at)
        if datetime.datetime.now(datetime.timezone.utc) > due - datetime.timedelta(seconds=8):
            fail("starting them took too long")
        progress("commits alone")
        before = load(options.build, server, kind="commits", connections=64, rate=COMMIT_RATE, count=5 * COMMIT_RATE,
                      tag="before")
        time.sleep(max(0, (due - datetime.datetime.now(datetime.timezone.utc)).total_seconds() - 0.05))
        progress("commits beside the timers")
        began = time.monotonic()
        beside = subprocess.Popen(load_words(options.build, server, {
            "kind": "commits", "connections": 256, "rate": COMMIT_RATE, "count": COMMIT_RATE, "tag": "beside"}),
            stdout=subprocess.PIPE, text=True)
        rows = []
        drained = None
        while drained is None:
            rows.append(json.loads(beside.communicate()[0]))
            if beside.returncode != 0:
                fail("the load of commits failed")
            if waiting_left(server) == 0:
                drained = time.monotonic() - began
            else:
                beside = subprocess.Popen(load_words(options.build, server, {
                    "kind": "commits", "connections": 256, "rate": COMMIT_RATE, "count": COMMIT_RATE,
                    "tag": f"beside{len(rows)}"}), stdout=subprocess.PIPE, text=True)
        server.stop()
        server.verify()
    finally:
        server.kill()
    return {f"{options.timers:,} timers due at once": {
        "drained_in_s_at_most": round(drained, 1), "commit_p50_us_before": before["p50_us"],
        "commit_p99_us_before": before["p99_us"], "commit_p50_us_beside": max(row["p50_us"] for row in rows),
        "commit_p99_us_beside": max(row["p99_us"] for row in rows)}}


def start_again(options, server):
    began = time.monotonic()
    again = Server(options.build, server.directory)
    return again, round(time.monotonic() - began, 1)


def run_waiting(options, directory):
    participant = Participant(options.build)
    server = Server(options.build, os.path.join(directory, "waiting"))
    callbacks = options.waiting // 10
    try:
        server.define("callback", [{"name": "ask", "action": {"url": f"http://127.0.0.1:{participant.port}/later"},
                                    "async": {"mode": "callback"}}])
        server.define("sleep", [{"name": "sleep", "action": {"sleep_ms": 86400000}}])
        progress("starting sagas that wait for a callback")
        load(options.build, server, kind="batch", connections=4, count=callbacks, batch=100, definition="callback@1",
             tag="c")
        progress("starting sagas that wait for a timer")
        load(options.build, server, kind="batch", connections=4, count=options.waiting - callbacks, batch=100,
             definition="sleep@1", tag="t")
        while server.call("GET", "/v1/sagas?state=running&limit=1")["data"]:
            time.sleep(0.2)
        memory = server.resident_bytes()
        progress("stopping and starting")
        server.stop()
        server, clean = start_again(options, server)
        after = server.resident_bytes()
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        server, killed = start_again(options, server)
        if not waiting_left(server):
            fail("nothing waits after a restart")
        server.stop()
        if participant.stop() != callbacks:
            fail(f"the participant has seen another number of calls than {callbacks}")
        server.verify()
    finally:
        server.kill()
        participant.kill()
    return {f"{options.waiting:,} sagas that wait": {
        "resident_mib": round(memory / 2 ** 20), "resident_mib_after_restart": round(after / 2 ** 20),
        "start_s": clean, "start_s_after_kill": killed}}


PARTS = {"http": run_http, "open": run_open, "native": run_native, "timers": run_timers, "waiting": run_waiting}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--sagas", type=int, default=20000)
    parser.add_argument("--timers", type=int, default=100000)
    parser.add_argument("--waiting", type=int, default=1000000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    directory = tempfile.mkdtemp(prefix="saga-bench-", dir=options.build)
    rows = {}
    try:
        rows["fdatasync of 4 KiB"] = sync_alone(directory, 1000)
        for part in options.only.split(","):
            if part not in PARTS:
                fail(f"no such part: {part} ({' '.join(PARTS)})")
            rows.update(PARTS[part](options, directory))
    finally:
        progress("")
        shutil.rmtree(directory, ignore_errors=True)
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    for name, row in rows.items():
        print(f"{name:<32} " + "  ".join(f"{key} {value:,}" for key, value in row.items()))


if __name__ == "__main__":
    main()
