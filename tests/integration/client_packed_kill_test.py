#!/usr/bin/env python3
"""kill -9 under the client library's batcher and packed calls: 24 threads with single transfers, 4 with chains, 2 with requests
of up to 2,000 records on tickets. Every record gets its outcome; all are sent again and must have been known with that outcome, and
the books must be those of the outcomes. Half of the rounds with a standby. Prints TAP.

    HOLDFAST=build/holdfast HOLDFAST_BUILD=build tests/integration/client_packed_kill_test.py

KILL_ROUNDS   rounds of kill -9 (6; HOLDFAST_LONG=1: 40)
KILL_SEED     of the moments (1); it is printed
"""
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import Lines, Server, Tap, find_program, free_port, json_request, verify  # noqa: E402

ROUNDS = int(os.environ.get("KILL_ROUNDS") or ("40" if os.environ.get("HOLDFAST_LONG") == "1" else "6"))
SEED = int(os.environ.get("KILL_SEED", "1"))


class Wrong(Exception):
    pass


class Load:
    """The process with the senders."""

    def __init__(self, ports):
        self.process = subprocess.Popen(
            [find_program("holdfast-packed-load"), *(f"http://127.0.0.1:{port}" for port in ports)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.lines = Lines(self.process.stdout)
        self.expect("ready")

    def expect(self, word):
        """The numbers behind the word."""
        line = self.lines.next(600)
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


def kill_rounds(directory, ports, servers):
    """servers: the owner first."""
    rng = random.Random(SEED)
    free = 1  # index of the port that nobody has
    for number in range(ROUNDS):
        if number == ROUNDS // 2:
            servers.append(Server(directory, port=ports[free]))
            servers[1].ready()
        time.sleep(rng.uniform(0.2, 1.0))
        servers[0].kill()
        if len(servers) == 2:
            servers.reverse()
            free = 1 - free
            servers[1] = Server(directory, port=ports[free])
        else:
            servers[0] = Server(directory, port=ports[0])
        for server in servers:
            if server.ready() is None:
                raise Wrong("a server did not come back: " + server.errors())
    time.sleep(0.3)


def run(work, servers, loads):
    directory = os.path.join(work, "packed")
    ports = [free_port(), free_port()]
    servers.append(Server(directory, port=ports[0]))
    servers[0].ready()
    loads.append(Load(ports))
    loads[0].tell("go", "going")
    kill_rounds(directory, ports, servers)
    singles, chains, packed, again = loads[0].tell("pause", "paused")
    (checked,) = loads[0].tell("check", "checked")
    loads[0].process.stdin.write(b"end\n")
    if loads[0].process.wait(600) != 0:
        raise Wrong("the load ended badly")
    _, totals = json_request(servers[0].port, "GET", "/v1/assets/USD%2F2/totals")
    if totals["debits_posted"] != totals["credits_posted"]:
        raise Wrong(f"totals: {totals}")
    for server in reversed(servers):
        if server.stop() != 0:
            raise Wrong("no clean stop: " + server.errors())
    good, report = verify(directory)
    if not good:
        raise Wrong(f"verify: {report}")
    if checked != singles + chains + packed or 0 in (singles, chains, packed):
        raise Wrong(f"{checked} checked of {singles} + {chains} + {packed}")
    if again == 0:
        raise Wrong("no request was sent again: the kills met nothing")
    return (f"{singles} transfers one by one, {chains} in chains, {packed} in packed requests; {again} requests sent again; all "
            f"known with their outcomes, books equal; {report['torn_tails']} torn tails cut, {report['commits']} commits, verify ok")


def main():
    tap = Tap()
    work = tempfile.mkdtemp(prefix="holdfast-client-packed-", dir=os.environ.get("HOLDFAST_TMP"))
    servers, loads = [], []
    try:
        note, good = run(work, servers, loads), True
    except Wrong as what:
        note, good = str(what), False
    finally:
        for load in loads:
            load.end()
        for server in servers:
            if server.process.poll() is None:
                server.kill()
    tap.result(good, f"{ROUNDS} rounds of kill -9, seed {SEED}", note)
    shutil.rmtree(work, ignore_errors=True)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
