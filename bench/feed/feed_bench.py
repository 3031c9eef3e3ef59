#!/usr/bin/env python3
"""Measures the feed over loopback: catching up, how long a commit takes to its readers, idle polls, slow readers.

    bench/feed/feed_bench.py [--build DIR] [--rounds 3] [--seconds 5] [--commits 3000] [--events 100] [--rate 5000] [--json]

`serve` as it is by default, the load (feed-bench) in processes of its own. Each round: all of the log as lines from the beginning
to the head; commits at a steady rate with one reader of server-sent events, alone and beside ten readers that take 16 KiB a second
(in turn, so that what else the machine does meets both). Then a thousand idle long polls. What was written must be what is read,
and `holdfast verify` must say yes: else the exit status is 1 and no figure counts.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "bench", "http"))
from http_bench import Server, fail, sync_alone  # noqa: E402

SLOW_READERS, POLLS, CONNECTIONS = 10, 1000, 64


class Feed:
    def __init__(self, build, directory):
        self.program = os.path.join(build, "bench", "feed", "feed-bench")
        self.server = Server(build, os.path.join(directory, "data"))
        self.server.call("PUT", "/v1/accounts/bench:a", {"asset": "USD/2", "floor": None})
        self.server.call("PUT", "/v1/accounts/bench:b", {"asset": "USD/2"})
        self.events = 2

    def command(self, *words):
        return [self.program, str(self.server.port), *map(str, words)]

    def run(self, *words):
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            fail(done.stderr.strip() or f"{words[0]}: exit status {done.returncode}")
        return json.loads(done.stdout)

    def fill(self, commits, events):
        self.events += self.run("fill", commits, events)["events"]

    def catch_up(self):
        got = self.run("catchup", 1)
        if got["events"] != self.events:
            fail(f"{self.events} events were written, and {got['events']} read")
        return got

    def live(self, rate, seconds, slow):
        readers = subprocess.Popen(self.command("deaf", SLOW_READERS, seconds + 2), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True) if slow else None
        got = self.run("live", rate, seconds, CONNECTIONS)
        self.events += got["commits"]
        if readers is not None and readers.wait() != 0:
            fail(readers.stderr.read().strip())
        return got

    def stop(self):
        self.server.stop()
        done = subprocess.run([self.server.program, "verify", self.server.directory], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            fail(f"verify: {done.stdout}{done.stderr}")


def spread(values):
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def measure(options, directory):
    feed = Feed(options.build, directory)
    figures = {}
    add = lambda name, value: figures.setdefault(name, []).append(value)  # noqa: E731
    try:
        feed.fill(options.commits, options.events)
        for _ in range(options.rounds):
            add("catch-up by lines, events/s", feed.catch_up()["events_per_s"])
            for slow in (False, True):
                got = feed.live(options.rate, options.seconds, slow)
                beside = f", beside {SLOW_READERS} slow readers" if slow else ""
                add(f"commits/s{beside}", got["per_s"])
                for name, what in (("from_sent_us", "commit sent to event read"),
                                   ("behind_answer_us", "event read behind the answer")):
                    for quantile in ("p50", "p99"):
                        add(f"{what}, {quantile}, us{beside}", got[name][quantile])
        add(f"{POLLS} idle long polls, percent of a core",
            feed.run("polls", POLLS, 10, feed.server.process.pid)["core_percent"])
        feed.stop()
    finally:
        if feed.server.process.poll() is None:
            feed.server.process.kill()
    return {name: spread(values) for name, values in figures.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--commits", type=int, default=3000)
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    directory = tempfile.mkdtemp(dir=options.build, prefix="bench-feed-")
    try:
        alone = sync_alone(directory, 2000)
        figures = measure(options, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if options.json:
        print(json.dumps({"sync": alone, "figures": figures}))
        return
    print(f"{'write and fdatasync of 4 KiB, p50, us':<64} {alone['p50_us']:>12,.1f}")
    for name, got in figures.items():
        print(f"{name:<64} {got['median']:>12,.1f} ({got['lowest']:,.1f} – {got['highest']:,.1f})")


if __name__ == "__main__":
    main()
