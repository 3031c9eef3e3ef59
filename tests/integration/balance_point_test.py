#!/usr/bin/env python3
"""Balances at points of the past of an account whose entries lie in commits of 8,190 packed transfers. Prints TAP.

A quiet account has one entry in each of them: all that lie between two indexed ones are more than a read may decode, and
were answered 413. A busy one has a hundred.

    HOLDFAST=build/holdfast HOLDFAST_BUILD=build tests/integration/balance_point_test.py
"""
import os
import random
import shutil
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import packed  # noqa: E402
from packed import ACCOUNTS, RESULTS, TRANSFERS, Results, number_id, text_of  # noqa: E402
from serving import BUILD, Server, Tap, json_request, request, verify  # noqa: E402

RECORDS = 8190
COMMITS = 70
EACH = 100  # of a commit's transfers are the busy account's
BUSY, QUIET = number_id(1, 1), number_id(2, RECORDS - 1)
SEED = int(os.environ.get("SEED", "1"))


def post(port, kind, records):
    path = "/v1/accounts" if kind == ACCOUNTS else "/v1/transfers"
    status, _, body = request(port, "POST", path, b"".join(records), {"Content-Type": kind, "Accept": RESULTS})
    assert status == 200, (status, body)
    return Results(body)


def text_time(time_us):
    return (datetime.fromtimestamp(0, timezone.utc) + timedelta(microseconds=time_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def load(port):
    """[(position, time, version of BUSY, version of QUIET)]: behind the opening and each commit"""
    payers = [BUSY] * EACH + [number_id(3, k) for k in range(EACH, RECORDS)]
    payees = [number_id(2, k) for k in range(RECORDS)]
    post(port, ACCOUNTS, [packed.account(payer, floor=None) for payer in [BUSY] + payers[EACH:]])
    opened = post(port, ACCOUNTS, [packed.account(payee) for payee in payees])
    told = [(opened.position, opened.time_us, 0, 0)]
    for n in range(COMMITS):
        got = post(port, TRANSFERS, [packed.transfer(number_id(n * RECORDS + k), payers[k], payees[k], 1)
                                     for k in range(RECORDS)])
        assert got.accepted == RECORDS, got
        told.append((got.position, got.time_us, (n + 1) * EACH, n + 1))
    return told


def expect(port, account, query, version):
    """None, or what is wrong"""
    status, got = json_request(port, "GET", f"/v1/accounts/{text_of(account)}/balance?{query}")
    posted = -version if account == BUSY else version
    good = status == 200 and got["version"] == version and got["posted"] == str(posted)
    return None if good else (query, version, status, got)


def points(told, generator):
    """(account, query, version) of points on, between and behind the commits"""
    for n, (position, time_us, *versions) in enumerate(told):
        for account, version in zip((BUSY, QUIET), versions):
            yield account, f"at_position={position}", version
            yield account, "at=" + quote(text_time(time_us)), version
            if n > 0:
                yield account, "at=" + quote(text_time(time_us - 1)), told[n - 1][2 if account == BUSY else 3]
            middle = generator.randint(0, version)
            yield account, f"at_version={middle}", middle
    for account, version in zip((BUSY, QUIET), told[-1][2:]):
        yield account, "at=2099-01-01T00:00:00Z", version


def check(tap, port, told, name):
    asked = list(points(told, random.Random(SEED)))
    wrong = [bad for bad in (expect(port, *point) for point in asked) if bad is not None]
    tap.result(not wrong, f"{len(asked)} points, {name}", (len(wrong), wrong[:3]))
    status, got = json_request(port, "GET", f"/v1/accounts/{text_of(BUSY)}/balance?at=2001-01-01T00:00:00Z")
    tap.result(status == 404 and got["code"] == "account_not_found", f"before the account was opened, {name}", (status, got))


def main():
    tap = Tap()
    work = tempfile.mkdtemp(prefix="holdfast-point-", dir=os.environ.get("HOLDFAST_TMP", BUILD))
    try:
        directory = os.path.join(work, "data")
        server = Server(directory)
        told = load(server.port)
        check(tap, server.port, told, "as they were made")
        server.kill()
        server = Server(directory)
        check(tap, server.port, told, "after kill -9")
        tap.result(server.stop() == 0, "a clean stop")
        server = Server(directory)
        check(tap, server.port, told, "after a clean stop")
        tap.result(server.stop() == 0, "a clean stop")
        good, report = verify(directory)
        tap.result(good, "verify ok", report)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
