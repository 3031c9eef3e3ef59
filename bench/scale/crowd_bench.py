#!/usr/bin/env python3
"""A thousand connections: what each costs in memory while it is idle, plain and with TLS, and how evenly busy ones are served.

    bench/scale/crowd_bench.py [--connections 1000] [--rounds 5] [--seconds 5] [--json]

Idle: resident memory of a fresh `serve` (default settings) with all connections open after one request on each, less that with
none; the request is a transfer, or GET /healthz. Busy: http-crowd, each connection with a transfer under way all the time:
latency of all requests, and its longest over its median. Totals and `holdfast verify` are checked. Exit status 1 if a target
was missed or something was wrong.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

from measured import MIB, ROOT, Line, Server, circumstances, fail, progress, raise_open_files, report

ACCOUNTS = 1000  # bench:<n>, which http-crowd moves money between
FUND = 10 ** 12
LINE = "plain", "TLS"


def certificate(directory):
    paths = os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem")
    done = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                           "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", paths[0], "-keyout", paths[1]],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(f"openssl: {done.stderr}")
    return paths


def must(answer, what, good=(200, 201)):
    status, body = answer
    if status not in good:
        fail(f"{what}: {status} {body[:300].decode(errors='replace')}")


def fund(server):
    wire = server.wire()
    must(wire.call("PUT", "/v1/accounts/outside", {"asset": "USD/2", "floor": None}), "open outside")
    for first in range(0, ACCOUNTS, 500):
        operations = []
        for i in range(first, first + 500):
            operations.append({"op": "open_account", "account": f"bench:{i}", "asset": "USD/2"})
            operations.append({"op": "transfer", "id": f"fund-{i}", "from": "outside", "to": f"bench:{i}", "asset": "USD/2",
                               "amount": str(FUND)})
        must(wire.call("POST", "/v1/commits", {"do": operations}, key=f"fund-{first}"), "fund")
    wire.close()


def request_number(wire, kind, i):
    if kind == "GET /healthz":
        return wire.request("GET", "/healthz")
    return wire.request("POST", "/v1/transfers", {"id": f"idle-{i}", "from": f"bench:{i % ACCOUNTS}", "to": f"bench:{(i + 1) % ACCOUNTS}",
                                                  "asset": "USD/2", "amount": "1"})


def idle(server, count, kind):
    """Bytes of resident memory a connection, each after one request; all are under way at once."""
    before = server.status_bytes("VmRSS")
    wires = []
    for i in range(count):
        wires.append(server.wire())
        wires[-1].buffer = bytearray(4096)
        wires[-1].socket.sendall(request_number(wires[-1], kind, i))
    for wire in wires:
        must(wire.receive(), kind)
    after = server.status_bytes("VmRSS")
    for wire in wires:
        wire.close()
    return {"none_bytes": before, "all_bytes": after, "each_bytes": (after - before) / count}


def busy(build, server, count, seconds):
    done = subprocess.run([os.path.join(build, "bench", "http", "http-crowd"), str(server.port), str(count), str(seconds), "busy",
                           str(ACCOUNTS), "transfers"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(f"http-crowd: {done.stderr or done.stdout}")
    return json.loads(done.stdout)


def check(server, sent):
    """What the server did is what was answered, and nothing else."""
    totals = server.get("/v1/assets/USD%2F2/totals")
    since_start = server.get("/v1/status")["since_start"]
    moved = int(totals["debits_posted"]) - FUND * ACCOUNTS
    if moved != sent or totals["debits_posted"] != totals["credits_posted"] or since_start["refusals"] or since_start["replays"]:
        fail(f"{sent} transfers were answered, the accounts say {moved}; {since_start}")
    server.stop()
    server.verify()


def one_round(options, directory, tls, number, results):
    """A fresh server for each: memory that a server has once had is not given back, and would not show."""
    for line in LINE:
        for kind in ("transfer", "GET /healthz"):
            progress(f"round {number + 1} of {options.rounds}: idle, {line}, {kind}")
            server = Server(options.build, os.path.join(directory, "data"), tls=tls if line == "TLS" else None)
            try:
                server.start()
                fund(server)
                server.stop()
                server.start()  # what funding has had and freed would be used again by connections
                results[f"idle, {line}, after a {kind}"].append(idle(server, options.connections, kind))
                check(server, options.connections if kind == "transfer" else 0)
            finally:
                server.kill()
            shutil.rmtree(server.directory)
    progress(f"round {number + 1} of {options.rounds}: busy")
    server = Server(options.build, os.path.join(directory, "data"))
    try:
        server.start()
        fund(server)
        results["busy"].append(busy(options.build, server, options.connections, options.seconds))
        check(server, results["busy"][-1]["requests"])
    finally:
        server.kill()
    shutil.rmtree(server.directory)


def lines_of(options, results):
    lines = []
    for name, rows in results.items():
        if name == "busy":
            continue
        each = [row["each_bytes"] / 1024 for row in rows]
        lines.append(Line(name, statistics.median(each), "KiB each", at_most=64 if "TLS" in name else 16,
                          more=f"{min(each):.1f} to {max(each):.1f}; resident {rows[0]['none_bytes'] / MIB:.1f} MiB with none, "
                               f"{rows[0]['all_bytes'] / MIB:.1f} MiB with {options.connections:,}"))
    rows = results["busy"]
    middle = {name: statistics.median(row[name] for row in rows) for name in ("p50_us", "p99_us", "max_us", "each_min", "each_p50", "each_max")}
    ratios = [row["max_us"] / row["p50_us"] for row in rows]
    rate = statistics.median(row["requests"] * 1e6 / row["duration_us"] for row in rows)
    lines.append(Line("busy: longest / median latency", statistics.median(ratios), "x",
                      more=f"{min(ratios):.1f} to {max(ratios):.1f}; median {middle['p50_us'] / 1000:.1f}, p99 {middle['p99_us'] / 1000:.1f}, "
                           f"max {middle['max_us'] / 1000:.1f} ms"))
    lines.append(Line("busy: transfers", rate, "/s", more=f"requests of each connection: fewest {middle['each_min']:,.0f}, median "
                                                          f"{middle['each_p50']:,.0f}, most {middle['each_max']:,.0f}"))
    return lines


def options_of():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], epilog=__doc__.split("\n\n", 2)[2],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="where holdfast was built (build)")
    parser.add_argument("--directory", help="where the data are put, in a folder that is removed at the end (the build)")
    parser.add_argument("--connections", type=int, default=1000, help="(1000)")
    parser.add_argument("--rounds", type=int, default=5, help="(5)")
    parser.add_argument("--seconds", type=int, default=5, help="that a round's connections are busy (5)")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main():
    options = options_of()
    options.build = os.path.abspath(options.build)
    facts = circumstances()
    raise_open_files(options.connections)
    directory = tempfile.mkdtemp(prefix="crowd-", dir=os.path.abspath(options.directory or options.build))
    results = {f"idle, {line}, after a {kind}": [] for line in LINE for kind in ("transfer", "GET /healthz")}
    results["busy"] = []
    try:
        tls = certificate(directory)
        for number in range(options.rounds):
            one_round(options, directory, tls, number, results)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return report(f"{options.connections:,} connections, medians of {options.rounds} rounds (lowest to highest)", facts,
                  lines_of(options, results), results, options.json)


if __name__ == "__main__":
    sys.exit(main())
