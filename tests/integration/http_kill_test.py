#!/usr/bin/env python3
"""kill -9 of the server under 32 clients over HTTP, half of the rounds with a standby; and a disk that
answers late. Prints TAP.

    HOLDFAST=build/holdfast HOLDFAST_BUILD=build tests/integration/http_kill_test.py

KILL_ROUNDS   rounds of kill -9 (6; HOLDFAST_LONG=1: 60)
KILL_SEED     of the moments (1); it is printed
"""
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import (Lines, Server, Tap, find_program, free_port, json_request,  # noqa: E402
                     open_accounts, transfer, verify)

LONG = os.environ.get("HOLDFAST_LONG") == "1"
ROUNDS = int(os.environ.get("KILL_ROUNDS") or ("60" if LONG else "6"))
SEED = int(os.environ.get("KILL_SEED", "1"))
ROUNDS_A_DIRECTORY = 10  # then a new one, so that verify and the checks stay short
DELAY_S = 2.0


class Wrong(Exception):
    pass


class Load:
    """The process with the 32 clients."""

    def __init__(self, ports):
        self.process = subprocess.Popen(
            [find_program("holdfast-http-load"), *(f"http://127.0.0.1:{port}" for port in ports)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.lines = Lines(self.process.stdout)
        self.expect("ready")

    def expect(self, word):
        """The numbers behind the word."""
        line = self.lines.next(300)
        if line is None or line.split()[0] != word:
            raise Wrong(f"{line} instead of {word}")
        return [int(number) for number in line.split()[1:]]

    def tell(self, command, word):
        self.process.stdin.write(command.encode() + b"\n")
        return self.expect(word)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Kills:
    """Rounds of kill -9 and what came of them."""

    def __init__(self, work):
        self.work = work
        self.rng = random.Random(SEED)
        self.rounds = self.with_standby = self.takeovers = self.early = 0
        self.answered = self.repeated = self.same = self.found = self.torn = self.commits = 0

    def start(self, directory, port):
        return Server(directory, port=port)

    def kill_owner(self, directory, ports, servers, standby):
        """Kills the owner, servers[0]; the others go on. The list afterwards."""
        servers[0].kill()
        self.rounds += 1
        port = ports[0]
        if standby:
            self.with_standby += 1
            servers = servers[1:]
            ports.reverse()
            if self.rng.random() < 0.5:  # else the new owner is alone for a while
                time.sleep(self.rng.uniform(0.0, 0.3))
            servers.append(self.start(directory, port))
        else:
            servers = [self.start(directory, port)]
            if self.rng.random() < 0.2:  # again, while it opens
                self.early += 1
                time.sleep(self.rng.uniform(0.0, 0.1))
                servers[0].kill()
                servers = [self.start(directory, port)]
        return servers

    def round(self, directory, load, ports, servers, standby):
        load.tell("go", "going")
        time.sleep(self.rng.uniform(0.05, 0.6))
        servers = self.kill_owner(directory, ports, servers, standby)
        time.sleep(self.rng.uniform(0.05, 0.4))
        for server in servers:
            if server.ready() is None:
                raise Wrong("a server did not come back: " + server.errors())
        answered, self.repeated_now = load.tell("pause", "paused")
        same, self.found_now = load.tell("check", "checked")
        self.same += same
        self.answered_now = answered
        good, report = verify(directory)
        if not good:
            raise Wrong(f"verify: {report}")
        return servers

    def run(self, rounds):
        """Rounds on one directory, the second half with a standby."""
        directory = os.path.join(self.work, "kill")
        ports = [free_port(), free_port()]
        servers = [self.start(directory, ports[0])]
        load = None
        try:
            if servers[0].ready() is None:
                raise Wrong("the server did not start: " + servers[0].errors())
            load = Load(ports)
            for number in range(rounds):
                standby = number >= rounds - rounds // 2
                if standby and len(servers) == 1:
                    servers.append(self.start(directory, ports[1]))
                    servers[1].ready()
                servers = self.round(directory, load, ports, servers, standby)
            self.answered += self.answered_now
            self.repeated += self.repeated_now
            self.found += self.found_now
            load.tell("check", "checked")
            load.process.stdin.write(b"end\n")
            for server in reversed(servers):
                if server.stop() != 0:
                    raise Wrong("no clean stop: " + server.errors())
            good, report = verify(directory)
            if not good:
                raise Wrong(f"verify after the stop: {report}")
            self.torn += report["torn_tails"]
            self.commits += report["commits"]
            self.takeovers += report["takeovers"]
        finally:
            if load is not None:
                load.end()
            for server in servers:
                if server.process.poll() is None:
                    server.kill()
        shutil.rmtree(directory)


def kill_rounds(tap, work):
    kills = Kills(work)
    wrong = None
    try:
        while kills.rounds < ROUNDS:
            kills.run(min(ROUNDS_A_DIRECTORY, ROUNDS - kills.rounds))
    except Wrong as what:
        wrong = f"round {kills.rounds}: {what}"
    good = wrong is None and kills.same > 0 and kills.repeated > 0
    tap.result(good, f"{ROUNDS} rounds of kill -9 of the server under 32 clients, seed {SEED}",
               wrong or f"{kills.with_standby} of them with a standby, {kills.early} killed again "
               f"while opening; {kills.answered} requests answered, {kills.repeated} of them sent "
               f"more than once, {kills.found} of those found decided; {kills.same} acknowledged "
               f"answers came the same again, books equal; {kills.takeovers} takeovers, "
               f"{kills.torn} torn tails cut, {kills.commits} commits, each verify ok")


class Reader(threading.Thread):
    """Asks for the same path again and again; keeps what it saw first and when."""

    def __init__(self, port, path, method, body, show):
        super().__init__(daemon=True)
        self.ask = (port, method, path, body)
        self.show = show
        self.end = False
        self.seen = []  # (monotonic, what)
        self.failures = []

    def run(self):
        while not self.end:
            try:
                _, answer = json_request(*self.ask)
                what = self.show(answer)
            except (OSError, ValueError, LookupError) as error:
                self.failures.append(repr(error))
                return
            if not self.seen or self.seen[-1][1] != what:
                self.seen.append((time.monotonic(), what))
            time.sleep(0.01)


def trace(pid):
    """strace on the process with late writes and syncs, or (None, why not)."""
    if shutil.which("strace") is None:
        return None, "strace is not installed"
    tracer = subprocess.Popen(
        ["strace", "-f", "-o", "/dev/null", "-e", "trace=pwrite64,fdatasync", "-e",
         f"inject=pwrite64,fdatasync:delay_exit={int(DELAY_S * 1e6)}", "-p", str(pid)],
        stderr=subprocess.PIPE, text=True)
    said = ""
    if not select.select([tracer.stderr], [], [], 10)[0] or \
            "attached" not in (said := tracer.stderr.readline()):
        tracer.terminate()
        tracer.wait()
        return None, f"strace can't trace here: {said.strip()}"
    return tracer, ""


def judge_delay(tap, name, sent, answers, readers):
    """Write and sync each take DELAY_S: nothing may be told before both."""
    wrong = []
    for number, (when, status) in answers.items():
        if status != 201 or when < sent[number] + 2 * DELAY_S:
            wrong.append(f"transfer {number}: {status} after {when - sent[number]:.2f} s")
    changes = 0
    for what, reader in readers.items():
        wrong += [f"{what}: {failure}" for failure in reader.failures]
        for when, version in reader.seen[1:]:
            changes += 1
            if when < sent[version - 1] + 2 * DELAY_S:
                wrong.append(f"{what} showed version {version} after "
                             f"{when - sent[version - 1]:.2f} s")
        if len(reader.seen) < 2:
            wrong.append(f"{what} showed no change")
    least = min(when - sent[number] for number, (when, _) in answers.items())
    tap.result(not wrong, name, "; ".join(wrong) or
               f"{len(answers)} answers, the quickest {least:.2f} s after it was sent; {changes} "
               f"changes seen by {', '.join(readers)}, none before {2 * DELAY_S:.0f} s")


def delayed_disk(tap, work):
    name = "over HTTP no answer, read or list shows a commit before the delayed write and sync"
    server = Server(os.path.join(work, "slow"))
    port = server.port
    open_accounts(port)
    readers = {
        "GET": Reader(port, "/v1/accounts/shop", "GET", None, lambda a: a["version"]),
        "the list": Reader(port, "/v1/accounts?prefix=shop", "GET", None,
                           lambda a: a["data"][0]["version"]),
        "POST /v1/read": Reader(port, "/v1/read", "POST",
                                {"reads": [{"account": "shop"}]}, lambda a: a["results"][0]["version"]),
    }
    tracer, why = trace(server.process.pid)
    if tracer is None:
        server.stop()
        tap.skip(name, why)
        return
    sent, answers = {}, {}
    try:
        for reader in readers.values():
            reader.start()
        time.sleep(0.2)
        for number in range(2):  # the n-th makes version n + 1
            sent[number] = time.monotonic()
            status, _ = json_request(port, "POST", "/v1/transfers", transfer(number))
            answers[number] = (time.monotonic(), status)
        time.sleep(0.3)
        for reader in readers.values():
            reader.end = True
        for reader in readers.values():
            reader.join(60)
    finally:
        tracer.terminate()
        tracer.wait(timeout=60)
        tracer.stderr.close()
        server.kill()
    judge_delay(tap, name, sent, answers, readers)


def main():
    tap = Tap()
    work = tempfile.mkdtemp(prefix="holdfast-http-kill-", dir=os.environ.get("HOLDFAST_TMP"))
    try:
        delayed_disk(tap, work)
        kill_rounds(tap, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
