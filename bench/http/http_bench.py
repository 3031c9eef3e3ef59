#!/usr/bin/env python3
"""Measures the server over loopback with wrk, beside nginx `return 200` in the same run.

    bench/http/http_bench.py [--build DIR] [--rounds 5] [--seconds 5] [--json]

Default `serve` settings: every transfer is durable before its answer, the hash chain and history are on.
Each transfer has a key of its own; all accounts but the funding one have a floor of 0. After the rounds the
server's totals must be what wrk counted, nothing may have been refused or replayed, and `holdfast verify`
must say yes: else the exit status is 1 and no figure counts. nginx is left out, and said to be, if it is
not installed. Load generator and server share the machine's processors.
"""
import argparse
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
ACCOUNTS = 1000
FUND = 10 ** 12
IDLE = 5000  # connections whose memory is measured
CROWD = 1000  # connections whose memory and shares are measured, idle and busy


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fail(text):
    print(f"{os.path.basename(sys.argv[0]).removesuffix('.py')}: {text}", file=sys.stderr)
    sys.exit(1)


def progress(text):
    """On a terminal: what goes on; "" clears it."""
    if sys.stderr.isatty():
        print(f"\r{text:<70}", end="" if text else "\r", file=sys.stderr, flush=True)


class Server:
    """`holdfast serve` on a free port and a directory of its own."""

    def __init__(self, build, directory):
        self.program = os.path.join(build, "holdfast")
        self.directory = directory
        self.process = subprocess.Popen(
            [self.program, "serve", "--data", directory, "--listen", "127.0.0.1:0", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            fail(f"serve did not start: {self.process.stderr.read()}")
        ready = json.loads(line)
        self.port = next(listener["port"] for listener in ready["listeners"] if listener["port"])

    def call(self, method, path, body=None, key=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key:
            headers["Idempotency-Key"] = key
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status >= 300:
            fail(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text)

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(timeout=60) != 0:
            fail(f"serve ended with {self.process.returncode}: {self.process.stderr.read()}")


def fund(server):
    server.call("PUT", "/v1/accounts/outside", {"asset": "USD/2", "floor": None})
    for first in range(0, ACCOUNTS, 500):
        operations = []
        for i in range(first, first + 500):
            operations.append({"op": "open_account", "account": f"bench:{i}", "asset": "USD/2"})
            operations.append({"op": "transfer", "id": f"fund-{i}", "from": "outside",
                               "to": f"bench:{i}", "asset": "USD/2", "amount": str(FUND)})
        server.call("POST", "/v1/commits", {"do": operations}, key=f"fund-{first}")


def wrk(url, seconds, connections, script=None, arguments=()):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s",
               script or os.path.join(HERE, "summary.lua"), url, "--", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(f"wrk: {done.stderr or done.stdout}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    result["per_second"] = result["requests"] * 1e6 / result["duration_us"]
    return result


class Nginx:
    """nginx with one worker that answers 200 at once, in a directory of its own."""

    def __init__(self, directory):
        self.port = free_port()
        os.makedirs(directory)
        config = os.path.join(directory, "nginx.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(f"""daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  server {{ listen 127.0.0.1:{self.port}; location / {{ return 200 "ok"; }} }} }}
""")
        self.process = subprocess.Popen(["nginx", "-p", directory, "-c", config],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        fail("nginx did not start")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=10)


def raise_open_files(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, count + 100), hard), hard))


def idle_memory(server, count):
    """Bytes of the server's resident memory that each idle connection takes, each after one request."""
    raise_open_files(count)
    before = server.resident_bytes()
    sockets = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        sockets.append(connection)
    for connection in sockets:
        connection.recv(4096)
    used = server.resident_bytes() - before
    for connection in sockets:
        connection.close()
    return used / count


def crowd(build, server, seconds, tag, kind):
    """1,000 connections with a request under way each: the report of http-crowd."""
    command = [os.path.join(build, "bench/http/http-crowd"), str(server.port), str(CROWD), str(seconds), tag,
               str(ACCOUNTS), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        most = 0
        while process.poll() is None:
            most = max(most, server.resident_bytes())
            time.sleep(0.02)
        out, err = process.communicate()
    if process.returncode != 0:
        fail(f"http-crowd: {err or out}")
    result = json.loads(out)
    result["per_second"] = result["requests"] * 1e6 / result["duration_us"]
    result["resident_most"] = most
    return result


def busy_memory(build, server):
    """Bytes of resident memory that each of 1,000 busy connections takes. Dry runs go the same way as commits and
    leave nothing in the state, so what grows is the connections'."""
    before = server.resident_bytes()
    return (crowd(build, server, 3, "dry", "dry-run")["resident_most"] - before) / CROWD


ROWS = [
    # name, connections, hot or uniform
    ("64 connections, uniform", 64, "uniform"),
    ("64 connections, one hot account", 64, "hot"),
    ("1 connection", 1, "uniform"),
    ("1,000 connections", 1000, "uniform"),
]
NGINX_ROWS = [("nginx return 200, 64 connections", 64), ("nginx return 200, 1 connection", 1)]
SYNC = "raw write + fdatasync, 4 KiB"


def sync_alone(directory, count):
    """What the disk takes for one durable write, into a file zeroed beforehand."""
    path = os.path.join(directory, "sync-alone")
    block = bytes(4096)
    samples = []
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.write(file, block * count)
    os.fsync(file)
    for i in range(count):
        started = time.monotonic_ns()
        os.pwrite(file, block, i * len(block))
        os.fdatasync(file)
        samples.append((time.monotonic_ns() - started) / 1000)
    os.close(file)
    os.unlink(path)
    samples.sort()
    return {"per_second": count * 1e6 / sum(samples), "p50_us": samples[count // 2],
            "p99_us": samples[count - 1 - count // 100], "max_us": samples[-1], "requests": 0, "errors": 0}


def measure(server, nginx, rounds, seconds):
    results = {name: [] for name, _, _ in ROWS}
    results[SYNC] = []
    if nginx:
        results.update({name: [] for name, _ in NGINX_ROWS})
    url = f"http://127.0.0.1:{server.port}/v1/transfers"
    for number in range(rounds):
        for name, connections, kind in ROWS:
            progress(f"round {number + 1} of {rounds}: {name}")
            tag = f"r{number}c{connections}{kind[0]}"
            results[name].append(wrk(url, seconds, connections,
                                     os.path.join(HERE, "transfers.lua"),
                                     (tag, str(ACCOUNTS), kind)))
        results[SYNC].append(sync_alone(server.directory, 2000))
        for name, connections in NGINX_ROWS if nginx else []:
            results[name].append(wrk(f"http://127.0.0.1:{nginx.port}/", seconds, connections))
    progress("")
    return results


def check(server, results, crowds):
    """What the server did is what the clients counted, and nothing else. wrk leaves requests under way when it
    ends: at most one a connection. The crowd leaves none."""
    sent = sum(r["requests"] for r in crowds) + sum(r["requests"] for name, rows in results.items() if name != SYNC and "nginx" not in name for r in rows)
    errors = sum(r["errors"] for rows in results.values() for r in rows)
    under_way = sum(connections for _, connections, _ in ROWS) * len(next(iter(results.values())))
    totals = server.call("GET", "/v1/assets/USD%2F2/totals")
    moved = int(totals["debits_posted"]) - FUND * ACCOUNTS
    since_start = server.call("GET", "/v1/status")["since_start"]
    if errors != 0:
        fail(f"{errors} answers were no 201")
    if not sent <= moved <= sent + under_way:
        fail(f"wrk counted {sent} transfers, the accounts say {moved}")
    if int(totals["debits_posted"]) != int(totals["credits_posted"]):
        fail("debits are not credits")
    for count in ("refusals", "replays"):
        if since_start[count] != 0:
            fail(f"{since_start[count]} {count}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    if not shutil.which("wrk"):
        fail("wrk is needed: apt-get install wrk")
    directory = tempfile.mkdtemp(prefix="http-bench-", dir=options.build)
    nginx = None
    server = None
    try:
        server = Server(options.build, os.path.join(directory, "data"))
        memory = {"idle_connection_bytes_of_1000": idle_memory(server, CROWD),
                  "idle_connection_bytes": idle_memory(server, IDLE)}
        fund(server)
        memory["busy_connection_bytes_of_1000"] = busy_memory(options.build, server)
        if shutil.which("nginx"):
            nginx = Nginx(os.path.join(directory, "nginx"))
        results = measure(server, nginx, options.rounds, options.seconds)
        crowds = [crowd(options.build, server, options.seconds, f"crowd{number}", "transfers")
                  for number in range(options.rounds)]
        check(server, results, crowds)
        server.stop()
        verified = subprocess.run([server.program, "verify", server.directory],
                                  capture_output=True, text=True, check=False)
        if verified.returncode != 0:
            fail(f"verify: {verified.stdout}{verified.stderr}")
    finally:
        if nginx:
            nginx.stop()
        if server and server.process.poll() is None:
            server.process.kill()  # something has failed before its orderly stop
        shutil.rmtree(directory, ignore_errors=True)
    report(results, crowds, memory, options, bool(nginx))


def report(results, crowds, memory, options, with_nginx):
    medians = {}
    for name, rows in results.items():
        rows.sort(key=lambda row: row["per_second"])
        median = rows[len(rows) // 2]
        medians[name] = {"per_second": round(median["per_second"]),
                         "lowest": round(rows[0]["per_second"]),
                         "highest": round(rows[-1]["per_second"]),
                         "p50_us": statistics.median(row["p50_us"] for row in rows),
                         "p99_us": statistics.median(row["p99_us"] for row in rows),
                         "max_us": max(row["max_us"] for row in rows)}
    ratio = (medians["64 connections, one hot account"]["per_second"] /
             medians["64 connections, uniform"]["per_second"])
    crowds.sort(key=lambda result: result["per_second"])
    middle = crowds[len(crowds) // 2]
    if options.json:
        print(json.dumps({"rows": medians, "hot_to_uniform": round(ratio, 2), "crowd": middle,
                          **{name: round(value) for name, value in memory.items()}}, indent=1))
        return
    print(f"median of {options.rounds} rounds of {options.seconds} s (lowest to highest); totals, "
          "refusals, replays and verify checked")
    for name, row in medians.items():
        print(f"{name:<34} {row['per_second']:>8}/s  ({row['lowest']} to {row['highest']})  "
              f"p50 {row['p50_us']:.0f} us  p99 {row['p99_us']:.0f} us  max {row['max_us']:.0f} us")
    if not with_nginx:
        print("nginx is not installed: its row is left out")
    print(f"{CROWD:,} connections, each counted            {middle['per_second']:>8.0f}/s  p50 {middle['p50_us']} us  "
          f"p99 {middle['p99_us']} us  max {middle['max_us']} us; requests of each: fewest {middle['each_min']}, "
          f"median {middle['each_p50']}, most {middle['each_max']}")
    print(f"hot / uniform: {ratio:.2f}; resident memory a connection: {memory['idle_connection_bytes_of_1000']:.0f} bytes of "
          f"{CROWD:,} idle, {memory['idle_connection_bytes']:.0f} of {IDLE:,} idle, "
          f"{memory['busy_connection_bytes_of_1000']:.0f} of {CROWD:,} busy")


if __name__ == "__main__":
    main()
