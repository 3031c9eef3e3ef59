#!/usr/bin/env python3
"""Packed records over the real server: both doors, kill -9 under load, hostile bytes, what is read of them. Prints TAP.

    HOLDFAST=build/holdfast HOLDFAST_BUILD=build tests/integration/packed_test.py
"""
import http.client
import json
import os
import random
import shutil
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import packed  # noqa: E402
from packed import ACCOUNTS, LINKED, RESULTS, TRANSFERS, Results, number_id, text_of  # noqa: E402
from serving import BUILD, Server, Tap, free_port, json_request, request, verify  # noqa: E402

WORLD, ALICE, BOB = number_id(1, 1), number_id(2, 1), number_id(3, 1)


def post(port, records, kind=TRANSFERS, accept=RESULTS, headers=None):
    """(status, headers, Results, or the problem or JSON)"""
    path = "/v1/accounts" if kind == ACCOUNTS else "/v1/transfers"
    body = b"".join(records) if isinstance(records, list) else records
    status, head, text = request(port, "POST", path, body, {"Content-Type": kind, "Accept": accept, **(headers or {})})
    if status == 200 and accept == RESULTS:
        return status, head, Results(text)
    return status, head, json.loads(text)


def open_accounts(tap, port):
    accounts = [packed.account(WORLD, floor=None), packed.account(ALICE), packed.account(BOB, ceiling=1000)]
    status, head, got = post(port, accounts, ACCOUNTS)
    tap.result(status == 200 and got.accepted == 3 and not got.refused and
               head.get("Holdfast-Position") == str(got.position), "accounts", got)
    status, head, got = post(port, accounts + [packed.account(BOB)], ACCOUNTS)
    tap.result(status == 200 and (got.accepted, got.replayed, got.position) == (0, 3, 0) and
               got.refused == [(3, "account_exists", 0)] and "Holdfast-Position" not in head,
               "the same accounts again, and one with other limits", got)


def rules(tap, port):
    send = [packed.transfer(number_id(1), WORLD, ALICE, 500, code=9, user_data=b"u" * 16, effective_us=10**15),
            packed.transfer(number_id(2), ALICE, BOB, 501),           # funds
            packed.transfer(number_id(3), WORLD, BOB, 1001),          # ceiling
            packed.transfer(number_id(4), ALICE, number_id(99, 1), 1),  # no such account
            packed.transfer(number_id(5), ALICE, BOB, 1, asset="EUR/2"),
            packed.transfer(number_id(6), ALICE, BOB, 0),
            packed.transfer(number_id(7), ALICE, BOB, 200)]
    status, _, got = post(port, send)
    refused = [(1, "insufficient_funds", 0), (2, "limit_exceeded", 0), (3, "account_not_found", 0),
               (4, "asset_mismatch", 0), (5, "amount_invalid", 0)]
    tap.result(status == 200 and got.accepted == 2 and got.refused == refused, "each record is decided by itself", got)
    status, head, got = post(port, send)
    tap.result(status == 200 and (got.accepted, got.replayed, got.position) == (0, 2, 0) and
               got.refused == [(i, code, 1) for i, code, _ in refused] and "Holdfast-Position" not in head,
               "all of it again", got)
    status, _, got = post(port, [packed.transfer(number_id(7), ALICE, BOB, 201), packed.transfer(number_id(8), ALICE, BOB, 1),
                                 packed.transfer(number_id(8), ALICE, BOB, 1), packed.transfer(number_id(8), ALICE, BOB, 2)])
    tap.result(got.accepted == 1 and got.replayed == 1 and
               got.refused == [(0, "transfer_exists", 0), (3, "transfer_exists", 0)], "an id once, in one request too", got)
    status, _, got = post(port, [packed.transfer(number_id(9), ALICE, BOB, 1), packed.transfer(number_id(10), ALICE, BOB, 1)],
                          accept="application/json")
    tap.result(status == 200 and got["accepted"] == 2 and got["refused"] == [] and got["position"] > 0, "the answer as JSON", got)
    chain = [packed.transfer(number_id(11), ALICE, BOB, 1, flags=LINKED), packed.transfer(number_id(12), ALICE, BOB, 400, flags=LINKED),
             packed.transfer(number_id(13), ALICE, BOB, 1), packed.transfer(number_id(14), ALICE, BOB, 1)]
    _, _, got = post(port, chain)
    tap.result(got.accepted == 1 and got.refused == [(0, "insufficient_funds", 2), (1, "insufficient_funds", 0),
                                                     (2, "insufficient_funds", 2)], "a chain, all or none", got)
    _, _, got = post(port, [packed.transfer(number_id(20), ALICE, BOB, 10, flags=packed.HOLD),
                            packed.capture(number_id(21), number_id(20), 4), packed.void(number_id(22), number_id(20)),
                            packed.void(number_id(23), number_id(20))])
    tap.result(got.accepted == 3 and got.refused == [(3, "hold_not_open", 0)], "hold, capture, void", got)


def reads(tap, port):
    name = text_of(number_id(1))
    status, got = json_request(port, "GET", f"/v1/transfers/{name}")
    tap.result(status == 200 and got["amount"] == "500" and got["from"] == text_of(WORLD) and got["code"] == 9 and
               got["user_data"] == "75" * 16 and got["effective_at"].startswith("2001-09-09T01:46:40"),
               "GET of a packed transfer", got)
    status, got = json_request(port, "GET", f"/v1/accounts/{text_of(ALICE)}/entries?limit=20")
    versions = [entry["version"] for entry in got["data"]]
    tap.result(status == 200 and versions == list(range(versions[0], 0, -1)) and len(versions) >= 8 and
               got["data"][-1]["posted"] == "500", "entries of an account, all in a few commits", got)
    status, got = json_request(port, "GET", f"/v1/accounts/{text_of(ALICE)}/balance?at_version=2")
    tap.result(status == 200 and got["posted"] == "300", "the balance in the middle of a packed commit", got)
    status, got = json_request(port, "POST", f"/v1/transfers/{name}/reverse", {"id": "back-1", "amount": "5"})
    tap.result(status == 201 and got["amount"] == "5", "a packed transfer is reversed", got)
    again = {"id": text_of(number_id(7)), "from": text_of(ALICE), "to": text_of(BOB), "asset": "USD/2", "amount": "200"}
    status, head, _ = request(port, "POST", "/v1/transfers", again)
    tap.result(status == 201 and head.get("Idempotent-Replayed") == "true", "a packed transfer repeated as JSON", (status, head))
    json_request(port, "POST", "/v1/transfers", {**again, "id": text_of(number_id(30)), "amount": "3"})
    _, _, got = post(port, [packed.transfer(number_id(30), ALICE, BOB, 3), packed.transfer(number_id(31), ALICE, BOB, 1)])
    tap.result(got.accepted == 1 and got.replayed == 1, "a transfer of JSON repeated packed", got)
    status, got = json_request(port, "GET", "/v1/feed?limit=1000&types=holdfast.transfer.posted")
    subjects = [event["subject"] for event in got["data"]]
    tap.result(status == 200 and f"transfers/{name}" in subjects and len(set(subjects)) == len(subjects),
               "the feed shows each transfer once", subjects)


def names(tap, port):
    """Accounts with names of their own go by the first 16 bytes of the SHA-256."""
    json_request(port, "PUT", "/v1/accounts/users:42", {"asset": "USD/2"})
    _, _, got = post(port, [packed.transfer(number_id(40 + i), WORLD, "users:42", 1) for i in range(20)])
    status, account = json_request(port, "GET", "/v1/accounts/users:42")
    tap.result(got.accepted == 20 and status == 200 and account["posted"] == "20", "an account by its name's hash", (got, account))
    status, got = json_request(port, "GET", f"/v1/transfers/{text_of(number_id(41))}")
    tap.result(status == 200 and got["to"] == "users:42", "the transfer tells its name", got)


def hostile(tap, port):
    good = packed.transfer(number_id(50), WORLD, ALICE, 1)
    for what, body, headers, want in [
            ("no record", b"", {}, 400), ("a record cut short", good[:127], {}, 400), ("one byte more", good + b"\0", {}, 400),
            ("a zero id", b"\0" * 16 + good[16:], {}, 400), ("from = to", packed.transfer(number_id(50), ALICE, ALICE, 1), {}, 400),
            ("unknown flags", good[:124] + b"\0\1\0\0", {}, 400), ("a chain without its end", good[:124] + b"\1\0\0\0", {}, 400),
            ("a pending id of a transfer", packed.transfer(number_id(50), WORLD, ALICE, 1, pending=ALICE), {}, 400),
            ("8,191 records", good * 8191, {}, 413), ("a key", good, {"Idempotency-Key": "k"}, 400)]:
        status, _, got = post(port, body, headers=headers)
        tap.result(status == want, f"{what}: {want}", (status, got))
    status, _, text = request(port, "POST", "/v1/transfers?mode=each", good, {"Content-Type": TRANSFERS})
    tap.result(status == 400, "a query", text)
    status, _, text = request(port, "POST", "/v1/accounts", b"{}", {"Content-Type": "application/json"})
    tap.result(status == 415, "JSON to the packed door", text)
    status, _, text = request(port, "POST", "/v1/transfers", good, {"Content-Type": TRANSFERS, "Accept": "text/html"})
    tap.result(status == 406, "an answer that there is none of", text)
    with socket.create_connection(("127.0.0.1", port)) as cut:
        cut.sendall(b"POST /v1/transfers HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + TRANSFERS.encode() +
                    b"\r\nContent-Length: 12800\r\n\r\n" + good)
    generator = random.Random(3)
    for _ in range(60):
        body = bytearray(good * 3)
        for _ in range(generator.randrange(1, 6)):
            body[generator.randrange(len(body))] = generator.randrange(256)
        status, _, got = post(port, bytes(body))
        if status not in (200, 400):
            tap.result(False, "random bytes", (status, got))
    tap.result(request(port, "GET", "/readyz")[0] == 200, "random bytes: the server is well")


def pipelined(tap, port):
    bodies = [b"".join(packed.transfer(number_id(1000 * k + i, 8), WORLD, ALICE, 1) for i in range(100)) for k in range(20)]
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.sendall(b"".join(b"POST /v1/transfers HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" %
                              (TRANSFERS.encode(), len(body), body) for body in bodies))
        stream = wire.makefile("rb")
        accepted, positions = 0, []
        for _ in bodies:
            length = 0
            assert stream.readline().startswith(b"HTTP/1.1 200")
            while (line := stream.readline().strip()):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            got = Results(stream.read(length))
            accepted += got.accepted
            positions.append(got.position)
    tap.result(accepted == 2000 and positions == sorted(set(positions)), "20 requests at once on one connection, in order", positions)


# ---- kill -9 ----

class Sender(threading.Thread):
    """Sends its requests one by one, each until it is answered."""

    def __init__(self, load, number):
        super().__init__(daemon=True)
        self.load, self.number, self.done, self.again = load, number, 0, 0

    def run(self):
        for k in range(self.load.requests):
            body = self.load.body(self.number, k)
            tries = 0
            while True:
                tries += 1
                try:
                    connection = http.client.HTTPConnection("127.0.0.1", self.load.port, timeout=30)
                    connection.request("POST", "/v1/transfers", body, {"Content-Type": TRANSFERS})
                    answer = connection.getresponse()
                    text = answer.read()
                    connection.close()
                    if answer.status == 200:
                        got = Results(text)
                        assert got.accepted + got.replayed == self.load.records and not got.refused, got
                        self.done += 1
                        break
                except (OSError, http.client.HTTPException):
                    time.sleep(0.01)
            self.again += tries > 1


class Load:
    def __init__(self, port, senders, requests, records):
        self.port, self.requests, self.records = port, requests, records
        self.senders = [Sender(self, i) for i in range(senders)]

    def body(self, sender, k):
        """Every third request repeats half of the one before."""
        first = k * self.records - (self.records // 2 if k % 3 == 2 else 0)
        return b"".join(packed.transfer(number_id(first + i, 100 + sender), WORLD, number_id(2 + (first + i) % 2 * 8, 1), 1)
                        for i in range(self.records))

    def distinct(self):
        numbers = set()
        for k in range(self.requests):
            first = k * self.records - (self.records // 2 if k % 3 == 2 else 0)
            numbers.update(range(first, first + self.records))
        return len(numbers) * len(self.senders)


def killed(tap, work):
    directory = os.path.join(work, "killed")
    port = free_port()
    server = Server(directory, port=port)
    assert server.port == port
    post(port, [packed.account(WORLD, floor=None), packed.account(ALICE), packed.account(number_id(10, 1))], ACCOUNTS)
    load = Load(port, 4, 30, 500)
    for sender in load.senders:
        sender.start()
    kills, generator = 0, random.Random(5)
    while any(sender.is_alive() for sender in load.senders):
        time.sleep(generator.uniform(0.05, 0.5))
        if kills < 8:
            server.kill()
            server = Server(directory, port=port)
            assert server.port == port
            kills += 1
    for sender in load.senders:
        sender.join()
    _, totals = json_request(port, "GET", "/v1/assets/USD%2F2/totals")
    want = load.distinct()
    tap.result(all(sender.done == load.requests for sender in load.senders), "every request was answered")
    tap.result(totals["debits_posted"] == str(want) == totals["credits_posted"],
               f"every record once: {want}, {kills} kills, {sum(sender.again for sender in load.senders)} requests sent again", totals)
    status = server.stop()
    good, report = verify(directory)
    tap.result(status == 0 and good and report["transfers"] == want, "verify ok", report)


def main():
    tap = Tap()
    work = tempfile.mkdtemp(prefix="holdfast-packed-", dir=os.environ.get("HOLDFAST_TMP", BUILD))
    try:
        directory = os.path.join(work, "data")
        server = Server(directory)
        port = server.port
        for part in (open_accounts, rules, reads, names, hostile, pipelined):
            part(tap, port)
        tap.result(server.stop() == 0, "a clean stop")
        good, report = verify(directory)
        tap.result(good, "verify ok", report)
        killed(tap, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
