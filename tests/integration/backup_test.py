#!/usr/bin/env python3
"""Backup beside a living owner under load, restore to the end, a position, a time. Prints TAP.

    HOLDFAST=build/holdfast HOLDFAST_BUILD=build tests/integration/backup_test.py
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import (HOLDFAST, Server, Tap, json_request, open_accounts,  # noqa: E402
                     transfer, verify)

NO, ENVIRONMENT = 1, 3


def holdfast(*arguments, data=None):
    """(exit status, stdout, stderr)"""
    done = subprocess.run([HOLDFAST, *arguments], capture_output=True, input=data, check=False)
    return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")


def as_json(*arguments, data=None):
    status, out, said = holdfast(*arguments, "--json", data=data)
    return status, json.loads(out) if out else said


class Load:
    """Transfers one after the other on some threads, and where each of them came to stand."""

    def __init__(self, port):
        self.port = port
        self.end = False
        self.done = []  # (position, id) as answered
        self.failures = []
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(4)]
        for thread in self.threads:
            thread.start()

    def run(self, caller):
        number = 0
        while not self.end:
            name = f"{caller}.{number}"
            status, answer = json_request(self.port, "POST", "/v1/transfers", transfer(name))
            if status == 201:
                self.done.append((answer["position"], f"t:{name}"))
            else:
                self.failures.append(answer)
            number += 1

    def stop(self):
        self.end = True
        for thread in self.threads:
            thread.join()


def read_all(directory, ids):
    """Which of the transfers are in the directory, and what shop has, asked of a server on it."""
    server = Server(directory)
    server.ready()
    there = set()
    for start in range(0, len(ids), 50):
        part = ids[start:start + 50]
        _, answer = json_request(server.port, "POST", "/v1/read",
                                 {"reads": [{"transfer": name} for name in part]})
        there |= {name for name, one in zip(part, answer["results"]) if one["status"] == 200}
    posted = int(json_request(server.port, "GET", "/v1/accounts/shop")[1]["posted"])
    epoch = json_request(server.port, "GET", "/v1/status")[1]["epoch"]
    again = open_accounts(server.port)
    status = server.stop()
    return {"there": there, "posted": posted, "epoch": epoch, "again": again[0], "stop": status}


def under_load(tap, work):
    """A backup while clients commit. (path, its report, all transfers, owner's epoch)"""
    source = os.path.join(work, "source")
    for _ in range(3):  # some epochs
        server = Server(source)
        server.ready()
        open_accounts(server.port)
        server.stop()
    server = Server(source)
    open_accounts(server.port)
    load = Load(server.port)
    path = os.path.join(work, "one.backup")
    reports = []
    while len(load.done) < 200 and not load.failures:
        time.sleep(0.01)
    acknowledged = list(load.done)
    status, report = as_json("backup", "--data", source, path)
    reports.append(report)
    for number in range(3):
        reports.append(as_json("backup", "--data", source, os.path.join(work, f"more{number}"))[1])
    load.stop()
    epoch = json_request(server.port, "GET", "/v1/status")[1]["epoch"]
    tap.result(status == 0 and not load.failures, "a backup beside its owner under load", report)
    tap.result(all(a["position"] <= b["position"] for a, b in zip(reports, reports[1:])),
               "four backups one after the other, each a prefix of the next")
    tap.result(max(position for position, _ in acknowledged) <= report["position"],
               "everything that was answered before it began is in it", report)
    tap.result(os.stat(path).st_mode & 0o077 == 0, "a backup is its owner's alone")
    status, _, said = holdfast("backup", "--data", source, path)
    tap.result(status == ENVIRONMENT and "exists" in said, "a backup is never overwritten", said)
    server.stop()
    return path, report, load.done, epoch


def whole(tap, work, path, report, done, epoch):
    directory = os.path.join(work, "whole")
    status, restored = as_json("restore", path, directory)
    tap.result(status == 0 and restored["verified"] and restored["position"] == report["position"] and
               restored["hash"] == report["hash"], "restored: the same position and hash", restored)
    tap.result(verify(directory)[0], "verify ok")
    found = read_all(directory, [name for _, name in done])
    wanted = {name for position, name in done if position <= report["position"]}
    tap.result(found["there"] == wanted and found["posted"] == len(wanted),
               "exactly what was committed up to there is there",
               (len(found["there"]), len(wanted), found["posted"]))
    tap.result(found["epoch"] > epoch, "the next owner's epoch is above the source's",
               (found["epoch"], epoch))
    tap.result(found["again"] == 201, "idempotency keys replay from the restored directory")
    tap.result(found["stop"] == 0 and verify(directory)[0], "it goes on and verifies")
    status, _, said = holdfast("restore", path, directory)
    tap.result(status != 0 and "empty" in said and verify(directory)[0],
               "a directory with commits is not restored into", said)


def to_position(tap, work, path, done):
    """Every prefix is a state that was: some of them."""
    positions = sorted(position for position, _ in done)
    for n, wanted in enumerate((positions[0], positions[57], positions[150])):
        directory = os.path.join(work, f"position{n}")
        status, restored = as_json("restore", "--to-position", str(wanted), path, directory)
        found = read_all(directory, [name for _, name in done])
        there = {name for position, name in done if position <= wanted}
        tap.result(status == 0 and restored["position"] == wanted and found["there"] == there and
                   found["posted"] == len(there), f"restored to position {wanted}",
                   (restored, len(found["there"]), len(there)))


def to_time(tap, work, path, done):
    """To the time of a commit, to just before it, and to a time between."""
    position = sorted(position for position, _ in done)[99]
    server_directory = os.path.join(work, "whole")
    server = Server(server_directory)
    when = json_request(server.port, "GET", f"/v1/commits/{position}")[1]["time"]
    server.stop()
    digits = int(when[-7:-1])
    before = f"{when[:-7]}{digits - 1:06d}Z" if digits > 0 else None
    for name, time, wanted in (("at", when, position), ("before", before, position - 1)):
        if time is None:
            continue
        directory = os.path.join(work, "time-" + name)
        status, restored = as_json("restore", "--to-time", time, path, directory)
        tap.result(status == 0 and restored["position"] == wanted, f"restored to {name} a commit's time",
                   (restored, wanted))
    status, _, said = holdfast("restore", "--to-time", "2001-01-01T00:00:00Z", path,
                               os.path.join(work, "early"))
    tap.result(status == ENVIRONMENT and "old" in said, "a time before everything is an error", said)
    status, _, said = holdfast("restore", "--to-position", "99999999", path,
                               os.path.join(work, "late"))
    tap.result(status == ENVIRONMENT and "99999999" in said, "a position behind the end is an error",
               said)
    status, _, said = holdfast("restore", "--to-time", "yesterday", path, os.path.join(work, "y"))
    tap.result(status == 2, "a time that is none is wrong usage", said)


def damage(tap, work, path):
    """Every kind of damage is found: cut anywhere, a bit anywhere, something behind the end."""
    with open(path, "rb") as file:
        good = file.read()
    size = len(good)
    cases = [(f"cut at {at}", good[:at]) for at in (0, 10, 64, 100, 300, size // 2, size - 129,
                                                    size - 128, size - 1)]
    for at in (0, 9, 20, 58, 70, 64 + 150, 64 + 200, size // 3, size // 2, size - 200, size - 128,
               size - 120, size - 90, size - 60, size - 5):
        cases.append((f"a bit at {at}", good[:at] + bytes([good[at] ^ 1]) + good[at + 1:]))
    cases.append(("a byte behind the end", good + b"x"))
    missed = []
    for n, (name, data) in enumerate(cases):
        status, out, said = holdfast("restore", "-", os.path.join(work, f"damaged{n}"), data=data)
        if status not in (NO, ENVIRONMENT) or out:
            missed.append((name, status, said))
    tap.result(not missed, f"{len(cases)} damaged backups are refused", missed)


def pipes(tap, work, path):
    source = os.path.join(work, "whole")
    status, out, said = holdfast("backup", "--data", source, "-")
    tap.result(status == 0 and out[:8] == b"HFBACKUP", "a backup to standard output", said)
    status, restored = as_json("restore", "-", os.path.join(work, "piped"), data=out)
    tap.result(status == 0 and verify(os.path.join(work, "piped"))[0],
               "and restored from standard input", restored)
    status, _, said = holdfast("backup", "--data", os.path.join(work, "nothing"),
                               os.path.join(work, "n"))
    tap.result(status == ENVIRONMENT and not os.path.exists(os.path.join(work, "n")),
               "of a directory that is not there: nothing", said)
    left = [name for name in os.listdir(work) if name.endswith(".partial")]
    tap.result(not left, "no half backup is left", left)


def golden(tap, work):
    """The first version's file, as it was released."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "backup_1.hfb")
    directory = os.path.join(work, "golden")
    status, restored = as_json("restore", path, directory)
    tap.result(status == 0 and restored["position"] == 8 and restored["hash"] ==
               "39eadf6c551056aee4d7f884fee9bddd00e7f35af34f58c1b99e8b9c2cae2dc7",
               "a backup of format 1 is restored to the same hash", restored)


def main():
    tap = Tap()
    work = tempfile.mkdtemp(prefix="holdfast-backup-", dir=os.environ.get("HOLDFAST_TMP"))
    try:
        path, report, done, epoch = under_load(tap, work)
        whole(tap, work, path, report, done, epoch)
        to_position(tap, work, path, done)
        to_time(tap, work, path, done)
        damage(tap, work, path)
        pipes(tap, work, path)
        golden(tap, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
