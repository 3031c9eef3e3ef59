#!/usr/bin/env python3
"""Sealed segments compressed and archived by a server's policy, killed meanwhile; everything reads as before. Prints TAP.

    HOLDFAST=build/holdfast HOLDFAST_BUILD=build tests/integration/archive_test.py
"""
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import HOLDFAST, Server, Tap, json_request, open_accounts, request, transfer  # noqa: E402

NO, ENVIRONMENT = 1, 3
PIECE = 256 << 10       # of text in a document
LOAD_BYTES = 270 << 20  # behind 256 MiB there is a checkpoint: three sealed segments and more lie before it
WAIT_S = 120            # for the keeper, on a loaded machine

tap = Tap()
check = tap.check


def holdfast(*arguments):
    """(exit status, stdout, stderr)"""
    done = subprocess.run([HOLDFAST, *arguments], capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")


def verify(directory):
    """(exit status, report)"""
    status, out, said = holdfast("verify", directory, "--json")
    return status, json.loads(out) if out else {"problems": [said]}


def late(number):
    """A transfer that none of the accounts that are compared takes part in."""
    return {**transfer(number), "to": "other"}


def log_of(port):
    return json_request(port, "GET", "/v1/status")[1]["log"]


def load(port):
    """Things of every kind at the log's beginning, then documents until there was a checkpoint."""
    others = {"do": [{"op": "open_account", "account": "other", "asset": "USD/2"}]}
    statuses = {open_accounts(port)[0], json_request(port, "POST", "/v1/commits", others, {"Idempotency-Key": "other"})[0]}
    for number in range(40):
        statuses.add(json_request(port, "POST", "/v1/transfers", transfer(f"early.{number}"))[0])
        statuses.add(json_request(port, "POST", "/v1/streams/s:1/events", [{"type": "counted", "data": {"n": number}}],
                                  {"Idempotency-Key": f"s.{number}"})[0])
    source = random.Random(7)
    stored = 0
    while stored < LOAD_BYTES:
        text = source.randbytes(PIECE // 2).hex()
        put = {"do": [{"op": "put", "document": f"d:{stored // PIECE % 50}", "data": {"text": text}}]}
        statuses.add(json_request(port, "POST", "/v1/commits", put, {"Idempotency-Key": f"d.{stored}"})[0])
        stored += PIECE
    if not check(statuses <= {200, 201}, "the load was taken", statuses):
        sys.exit(tap.end())
    until = time.monotonic() + WAIT_S
    while json_request(port, "GET", "/v1/status")[1]["checkpoint_position"] == 0 and time.monotonic() < until:
        time.sleep(0.1)
    return json_request(port, "GET", "/v1/status")[1]


def reads(port):
    """Answers about the log's beginning, by path."""
    paths = ["/v1/accounts/shop/entries", "/v1/accounts/shop/entries?limit=7", "/v1/transfers/t:early.0",
             "/v1/transfers/t:early.39", "/v1/streams/s:1/events", "/v1/streams/s:1/events?limit=9",
             "/v1/accounts/shop/balance?at_position=30", "/v1/documents/d:1?version=1", "/v1/documents/d:49?version=2",
             "/v1/accounts/shop/statement?limit=30", "/v1/feed?limit=50",
             "/v1/feed?position=60&limit=50", "/v1/commits/5", "/v1/commits/77"]
    answers = {}
    for path in paths:  # a page of the feed tells its lag too; a bare array does not
        accept = {"Accept": "application/cloudevents-batch+json"} if "/feed" in path else {}
        status, _, text = request(port, "GET", path, headers=accept)
        answers[path] = status, hashlib.sha256(text).hexdigest()
    return answers


def export_of(directory):
    status, out, _ = holdfast("export", directory)
    return status, hashlib.sha256(out).hexdigest()


def wait_for(port, what):
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        log = log_of(port)
        if log and what(log):
            return log
        time.sleep(0.1)
    return log_of(port)


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


def plain_log(directory):
    """A server without a policy; what everything is compared with."""
    server = Server(directory)
    status = load(server.port)
    log = wait_for(server.port, lambda log: log["plain"]["segments"] >= 4)
    check(status["checkpoint_position"] > 0, "there is a checkpoint", status)
    check(log["compressed"]["segments"] == 0 and log["archived"]["segments"] == 0, "nothing moves without a policy", log)
    before = reads(server.port)
    missing = [path for path, (status, _) in before.items() if status != 200]
    check(not missing, "everything that is read is there", missing)
    check(server.stop() == 0, "the server stops")
    return before


def under_kills(directory, archive):
    """The policy at work, killed again and again at any moment; each time the directory is whole."""
    source = random.Random(11)
    whole = True
    for _ in range(6):
        server = Server(directory, "--compress-after=0", f"--archive={archive}", "--archive-after=1")
        server.ready()
        time.sleep(source.uniform(0.05, 1.5))
        server.kill()
        for name in os.listdir(os.path.join(directory, "log")):
            if name.endswith(".log"):
                continue
            whole = whole and name.split(".")[-1] in ("zst", "ref", "tmp", "new", "state")
    check(whole, "a kill leaves segments in a known form, or files that do not count", os.listdir(os.path.join(directory, "log")))
    status, report = verify(directory)
    check(status == 0 and report["ok"], "verify is content behind the kills", report["problems"])


def by_policy(directory, archive, before):
    server = Server(directory, "--compress-after=0", f"--archive={archive}", "--archive-after=1")
    log = wait_for(server.port, lambda log: log["archived"]["segments"] >= 2 and log["compressed"]["segments"] == 1)
    check(log["archived"]["segments"] >= 2 and log["compressed"]["segments"] == 1, "segments were compressed and archived", log)
    check(log["archived"]["bytes"] == sum(os.path.getsize(os.path.join(archive, name)) for name in os.listdir(archive)),
          "status tells the archive's bytes", log)
    _, _, text = request(server.port, "GET", "/metrics")
    check(f'holdfast_log_stored_bytes{{form="archived"}} {log["archived"]["bytes"]}'.encode() in text, "/metrics tells them too")
    after = reads(server.port)
    check(after == before, "everything reads as before", [path for path in before if before[path] != after.get(path)])
    status, _ = json_request(server.port, "POST", "/v1/transfers", late("later"))
    check(status == 201, "the server goes on")
    status, answer = json_request(server.port, "POST", "/v1/transfers", transfer("early.3"))
    check(status in (200, 201) and answer["position"] < 200, "an id in an archived segment is still known", answer)
    check(server.stop() == 0, "the server stops")
    names = os.listdir(os.path.join(directory, "log")) + os.listdir(archive)
    check(not [name for name in names if name.endswith(".tmp")], "nothing unfinished is left", names)


def damage(directory, archive):
    name = sorted(os.listdir(archive))[1]
    path = os.path.join(archive, name)
    offset = os.path.getsize(path) // 2
    flip(path, offset)
    status, report = verify(directory)
    found = [text for text in report["problems"] if path in text and "offset " in text]
    check(status == NO and found, "verify names file and offset of a flipped byte", report["problems"])
    at = int(found[0].split("offset ")[1].split(":")[0]) if found else -1
    check(0 <= offset - at < 256 << 10, "the offset is that of the block", (at, offset))
    flip(path, offset)
    status, report = verify(directory)
    check(status == 0 and report["ok"], "without the damage it is content", report["problems"])


def away(directory, archive, elsewhere, before):
    """The archive is not there, then it is elsewhere."""
    os.rename(archive, elsewhere)
    server = Server(directory)
    check(server.ready() is not None, "the server starts without its archive", server.errors())
    status, _ = json_request(server.port, "POST", "/v1/transfers", late("without"))
    check(status == 201, "and decides")
    status, answer = json_request(server.port, "GET", "/v1/commits/5")
    check(status == 503 and answer["code"] == "io_error", "what lies there is missed", answer)
    check(server.stop() == 0, "the server stops")
    status, _, said = holdfast("export", directory)
    check(status == ENVIRONMENT and os.path.join(archive, "0") in said and "--archive" in said, "the error names file and option", said)
    server = Server(directory, f"--archive={elsewhere}", "--archive-after=1")
    until = time.monotonic() + WAIT_S
    after = reads(server.port)
    while after != before and time.monotonic() < until:  # references follow one by one
        time.sleep(0.1)
        after = reads(server.port)
    check(after == before, "told where it is, everything reads as before", [path for path in before if before[path] != after[path]])
    check(server.stop() == 0, "the server stops")


def by_hand(directory, archive, before):
    """The command, on a copy of the plain directory, beside nobody."""
    server = Server(directory)
    server.ready()
    status, _, said = holdfast("compact", directory)
    check(status == ENVIRONMENT and "--compress-after" in said, "compact does not work beside an owner", said)
    check(server.stop() == 0, "the server stops")
    plain_export = export_of(directory)
    status, out, said = holdfast("compact", directory, f"--archive={archive}", "--archive-after=2", "--json")
    report = json.loads(out) if out else {}
    check(status == 0 and report["compressed"] >= 3 and report["archived"] == report["compressed"] - 2,
          "compact compresses and archives", said or report)
    check(report["to_bytes"] < report["from_bytes"], "it takes less room", report)
    check(export_of(directory) == plain_export, "export gives the same lines")
    status, out, _ = holdfast("status", directory, "--json")
    check(json.loads(out)["log"] == report["log"], "status tells the same of the directory", out)
    backup = f"{directory}.backup"
    status, _, said = holdfast("backup", f"--data={directory}", backup)
    check(status == 0, "a backup of it is made", said)
    status, _, said = holdfast("restore", backup, f"{directory}.restored")
    check(status == 0 and export_of(f"{directory}.restored") == plain_export, "and restored: the same lines", said)
    server = Server(directory, "--audit-rate=off")
    after = reads(server.port)
    check(after == before, "everything reads as before", [path for path in before if before[path] != after[path]])
    json_request(server.port, "POST", "/v1/audit/run")
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        audit = json_request(server.port, "GET", "/v1/audit")[1]
        if audit["last"] is not None:
            break
        time.sleep(0.2)
    check(audit["last"] is not None and audit["last"]["result"] == "ok", "the audit reads it", audit)
    check(server.stop() == 0, "the server stops")


def main():
    with tempfile.TemporaryDirectory() as root:
        data, copy = os.path.join(root, "data"), os.path.join(root, "copy")
        before = plain_log(data)
        shutil.copytree(data, copy, ignore=shutil.ignore_patterns("holdfast.sock*"))
        archive = os.path.join(root, "archive")
        under_kills(data, archive)
        by_policy(data, archive, before)
        damage(data, archive)
        away(data, archive, os.path.join(root, "elsewhere"), before)
        by_hand(copy, os.path.join(root, "archive of the copy"), before)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
