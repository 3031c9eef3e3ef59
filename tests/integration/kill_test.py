#!/usr/bin/env python3
"""kill -9 at random moments, a disk that answers late, a paused owner, a standby. Prints TAP.

    HOLDFAST=build/holdfast HOLDFAST_BUILD=build tests/integration/kill_test.py

KILL_ROUNDS   rounds of kill -9 (10; HOLDFAST_LONG=1: 100)
KILL_SEED     of the moments (1); it is printed
"""
import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from tap import Tap

BUILD = os.environ.get("HOLDFAST_BUILD", "build")
HOLDFAST = os.environ.get("HOLDFAST", os.path.join(BUILD, "holdfast"))
LONG = os.environ.get("HOLDFAST_LONG") == "1"
ROUNDS = int(os.environ.get("KILL_ROUNDS") or ("100" if LONG else "10"))
SEED = int(os.environ.get("KILL_SEED", "1"))
DELAY_S = 2.0
STANDBY_S_MAX = 1.0
ROUNDS_A_DIRECTORY = 10  # then a new one, so that verify and the checks stay short


def find_load():
    for folder, _, names in os.walk(BUILD):
        if "holdfast-load" in names:
            return os.path.join(folder, "holdfast-load")
    sys.exit(f"no holdfast-load below {BUILD}: build it first")


LOAD = find_load()


class Process:
    """A load process whose lines come with the time at which they were read."""

    def __init__(self, *arguments, **options):
        self.process = subprocess.Popen([LOAD, *arguments], stdout=subprocess.PIPE,
                                        stdin=subprocess.PIPE, bufsize=0, **options)
        self.rest = b""
        self.lines = []

    def line(self, seconds):
        """The next line, or None if none came in time or the process has ended."""
        until = time.monotonic() + seconds
        while b"\n" not in self.rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return None
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                return None
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        self.lines.append(line.decode())
        return self.lines[-1]

    def wait_for(self, word, seconds):
        """The line that begins with word, or None."""
        until = time.monotonic() + seconds
        while True:
            line = self.line(max(0.0, until - time.monotonic()))
            if line is None or line.split()[0] == word:
                return line
            if line.startswith("WRONG"):
                return None

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        # What was still in the pipe counts too: an answer told before the kill is a promise.
        self.rest += self.process.stdout.read() or b""
        self.lines += self.rest.decode().split("\n")
        for pipe in (self.process.stdout, self.process.stdin):
            pipe.close()

    def wrong(self):
        return [line for line in self.lines if line.startswith("WRONG")]


def verify(directory):
    """(good, position, what verify said)"""
    done = subprocess.run([HOLDFAST, "verify", "--json", directory], capture_output=True, text=True,
                          check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return False, 0, done.stdout + done.stderr
    return done.returncode == 0 and report.get("ok") is True, report.get("position", 0), done.stdout


class Kills:
    """Rounds of kill -9 and what came of them."""

    def __init__(self):
        self.rng = random.Random(SEED)
        self.same = self.in_flight = self.committed = self.torn = self.early = self.commits = 0
        self.rounds = 0

    def read_counts(self, lines):
        for line in lines:
            if line.startswith("checked "):
                counts = [int(word) for word in line.split()[1:]]
                self.same += counts[0]
                self.in_flight += counts[1]
                self.committed += counts[2]

    def kill_once(self, directory, state, first):
        """None, or what was wrong."""
        process = Process("run", directory, state)
        # Some die while they open and check; most under full load.
        if not first and self.rng.random() < 0.2:
            self.early += 1
            time.sleep(self.rng.uniform(0.0, 0.1))
        elif process.wait_for("ready", 120) is None:
            process.kill()
            return "; ".join(process.lines[-3:])
        else:
            time.sleep(self.rng.uniform(0.02, 0.5))
        process.kill()
        self.rounds += 1
        self.read_counts(process.lines)
        if process.wrong():
            return process.wrong()[0]
        good, _, said = verify(directory)
        return None if good else "verify: " + said

    def run(self, work, rounds):
        """Rounds on one directory; None, or what was wrong."""
        directory = os.path.join(work, "kill")
        state = os.path.join(work, "state")
        for number in range(rounds):
            wrong = self.kill_once(directory, state, number == 0)
            if wrong is not None:
                return wrong
        done = subprocess.run([LOAD, "check", directory, state], capture_output=True, text=True,
                              check=False)
        self.read_counts(done.stdout.splitlines())
        good, position, said = verify(directory)
        if done.returncode != 0 or not good:
            return done.stdout + said
        self.torn += json.loads(said)["torn_tails"]
        self.commits += position
        shutil.rmtree(directory)
        os.remove(state)
        return None


def kill_rounds(tap, work):
    kills = Kills()
    wrong = None
    while wrong is None and kills.rounds < ROUNDS:
        wrong = kills.run(work, min(ROUNDS_A_DIRECTORY, ROUNDS - kills.rounds))
    good = wrong is None and kills.same > 0 and kills.in_flight > 0
    tap.result(good, f"{ROUNDS} rounds of kill -9 under load from 8 threads, seed {SEED}",
               wrong or f"{kills.early} of them while opening; {kills.same} acknowledged commands "
               f"answered the same again, {kills.in_flight} were in flight ({kills.committed} of them "
               f"committed), {kills.torn} torn tails cut, {kills.commits} commits, each verify ok")


def parse_trace(path):
    """[(time, pid, call, text)] of calls as they were entered, and told lines."""
    entry = re.compile(r"^(\d+)\s+(\d+\.\d+) (\w+)\((.*)$")
    calls = []
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = entry.match(line)
            if match:
                calls.append((float(match.group(2)), int(match.group(1)), match.group(3),
                              match.group(4)))
    return calls


def delayed_disk(tap, work):
    """Under a disk that answers 2 s late no answer and no read of a commit leaves before it does."""
    name = "no answer and no read leaves before the delayed write and sync"
    if shutil.which("strace") is None:
        tap.skip(name, "strace is not installed")
        return
    trace = os.path.join(work, "trace")
    process = Process("slow", os.path.join(work, "slow"))
    ready = process.wait_for("ready", 30)
    if ready is None:
        tap.result(False, name, "; ".join(process.lines))
        process.kill()
        return
    tracer = subprocess.Popen(
        ["strace", "-f", "-y", "-ttt", "-o", trace, "-e", "trace=pwrite64,fdatasync,write", "-e",
         f"inject=pwrite64,fdatasync:delay_exit={int(DELAY_S * 1e6)}", "-p", ready.split()[1]],
        stderr=subprocess.PIPE, text=True)
    if not select.select([tracer.stderr], [], [], 10)[0] or \
            "attached" not in (said := tracer.stderr.readline()):
        tracer.terminate()
        tracer.wait()
        process.kill()
        tap.skip(name, f"strace can't trace here: {said.strip()}")
        return
    process.process.stdin.write(b"go\n")
    ended = process.wait_for("end", 120)
    time.sleep(0.1)
    process.kill()
    tracer.wait(timeout=30)
    if ended is None:
        tap.result(False, name, "; ".join(process.lines))
        return
    judge_trace(tap, name, parse_trace(trace))


def judge_trace(tap, name, calls):
    told = re.compile(r'^1<[^>]*>, "(send|answer|seen) (\d+)\\n"')
    log = re.compile(r"^\d+<[^>]*/log/\d+\.log>")
    sent = {}
    disk = []
    first_seen = None
    versions = {}
    least = None
    wrong = []
    for when, _, call, text in calls:
        match = told.match(text) if call == "write" else None
        if call in ("pwrite64", "fdatasync") and log.match(text):
            disk.append((when, call))
        if match is None:
            continue
        what, number = match.group(1), int(match.group(2))
        if what == "send":
            sent[number] = when
        elif what == "answer":
            since = [item for item in disk if item[0] >= sent[number]]
            writes = [item[0] for item in since if item[1] == "pwrite64"]
            syncs = [item[0] for item in since if item[1] == "fdatasync"]
            if not writes or not syncs or when < writes[0] + DELAY_S or \
                    when < syncs[0] + DELAY_S or syncs[0] < writes[0] + DELAY_S:
                wrong.append(f"answer {number} came {when - sent[number]:.2f} s after it was sent")
            took = when - sent[number]
            least = took if least is None else min(least, took)
        elif first_seen is None:
            first_seen = number
        else:
            versions[number] = when
    # Commit n makes version first_seen + 1 + n: no read may show it before write and sync are through.
    for number, when in versions.items():
        commit = number - first_seen - 1
        if commit not in sent or when < sent[commit] + 2 * DELAY_S:
            wrong.append(f"a read showed version {number} too early")
    good = not wrong and len(sent) == 3 and len(versions) >= 2
    tap.result(good, name, "; ".join(wrong) or
               f"{len(sent)} answers, the quickest {least:.2f} s after it was sent; {len(versions)} "
               f"versions read, none before 4 s")


def take_over(tap, work):
    """A stopped owner keeps its lock; a killed one is followed by the standby within a second."""
    directory = os.path.join(work, "takeover")
    owner = Process("run", directory, os.path.join(work, "takeover-state"))
    if owner.wait_for("ready", 30) is None:
        tap.result(False, "an owner leads", "; ".join(owner.lines))
        owner.kill()
        return
    time.sleep(0.3)
    owner.process.send_signal(signal.SIGSTOP)
    standby = Process("standby", directory)
    standby.wait_for("waiting", 10)
    overtaken = standby.wait_for("leading", 3)
    tap.result(overtaken is None and standby.process.poll() is None,
               "an owner under SIGSTOP is not overtaken in 3 s")
    owner.process.send_signal(signal.SIGCONT)
    time.sleep(0.3)
    alive = owner.process.poll() is None and not owner.wrong()
    tap.result(alive, "it goes on after SIGCONT", "; ".join(owner.wrong()))
    began = time.monotonic()
    owner.process.send_signal(signal.SIGKILL)
    leading = standby.wait_for("leading", 30)
    took = time.monotonic() - began
    owner.kill()
    tap.result(leading is not None and took <= STANDBY_S_MAX and not owner.wrong(),
               f"the standby leads within {STANDBY_S_MAX:.0f} s of the owner's kill -9",
               f"{took * 1000:.0f} ms" if leading else "; ".join(standby.lines))
    committed = standby.wait_for("committed", 30)
    tap.result(committed == "committed 0" and standby.process.wait(30) == 0 and
               verify(directory)[0], "it commits, closes, and verify is ok")


def main():
    tap = Tap()
    work = tempfile.mkdtemp(prefix="holdfast-kill-", dir=os.environ.get("HOLDFAST_TMP", BUILD))
    try:
        take_over(tap, work)
        delayed_disk(tap, work)
        kill_rounds(tap, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
