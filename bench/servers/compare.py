#!/usr/bin/env python3
"""Compares src/http with the HTTP servers that Debian ships; prints the tables of docs/adr/0004-http.md.

    bench/servers/compare.py [--build DIR] [--rounds 5] [--seconds 3] [speed] [memory] [strictness]

Speed: wrk posts 116 bytes of JSON over 64 connections (or one), the servers answer 201 with 102 bytes; `later` is
finished by another thread, as a commit is. Rounds go round robin over the servers; medians are told, with the
processor time of the server alone for each request. Memory: resident bytes for each of 5,000 connections that
have had one answer. Strictness: what each does with heads that a strict reader refuses. nginx (`return 201`) is
measured for `now` only. Needs wrk; programs that were not built and nginx, if it is not there, are left out.
"""
import argparse
import os
import resource
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

BODY = ('{"if":[],"do":[{"op":"transfer","id":"t-123456789","from":"users:42","to":"users:43",'
        '"asset":"USD/2","amount":"100"}]}')
ANSWER = ('{"position":123456,"time":"2026-11-22T00:00:00.000000Z",'
          '"results":[{"transfer":"t-1","amount":"100"}]}')
IDLE_CONNECTIONS = 5000
H = b"Host: a\r\n"
POST = b"POST / HTTP/1.1\r\n" + H
PROBES = [  # what is wrong, the request; a second request stands behind each body
    ("bare LF as line end", b"GET / HTTP/1.1\nHost: a\n\n"),
    ("bare CR in a value", b"GET / HTTP/1.1\r\n" + H + b"a: b\rc: d\r\n\r\n"),
    ("NUL in a value", b"GET / HTTP/1.1\r\n" + H + b"a: b\0c\r\n\r\n"),
    ("control character in a value", b"GET / HTTP/1.1\r\n" + H + b"a: \x01\r\n\r\n"),
    ("folded header", b"GET / HTTP/1.1\r\n" + H + b"a: b\r\n c\r\n\r\n"),
    ("space before the colon", b"GET / HTTP/1.1\r\n" + H + b"a : b\r\n\r\n"),
    ("header without colon", b"GET / HTTP/1.1\r\n" + H + b"a\r\n\r\n"),
    ("no Host", b"GET / HTTP/1.1\r\n\r\n"),
    ("two Hosts", b"GET / HTTP/1.1\r\n" + H + b"Host: b\r\n\r\n"),
    ("two spaces in the request line", b"GET  / HTTP/1.1\r\n" + H + b"\r\n"),
    ("tab in the request line", b"GET\t/ HTTP/1.1\r\n" + H + b"\r\n"),
    ("quotes in the target", b'GET /"a" HTTP/1.1\r\n' + H + b"\r\n"),
    ("HTTP/1.2", b"GET / HTTP/1.2\r\n" + H + b"\r\n"),
    ("HTTP/3.7", b"GET / HTTP/3.7\r\n" + H + b"\r\n"),
    ("Content-Length and Transfer-Encoding", POST + b"Content-Length: 5\r\n"
     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two Content-Lengths", POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
    ("two equal Content-Lengths", POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    ("Content-Length: +5", POST + b"Content-Length: +5\r\n\r\nhello"),
    ("Content-Length: 5, 5", POST + b"Content-Length: 5, 5\r\n\r\nhello"),
    ("Content-Length: 5x", POST + b"Content-Length: 5x\r\n\r\nhello"),
    ("Transfer-Encoding: xchunked", POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("Transfer-Encoding: chunked, identity",
     POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    ("two Transfer-Encodings", POST + b"Transfer-Encoding: chunked\r\n"
     b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    ("chunk size 0x5", POST + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"),
    ("chunk size with a space", POST + b"Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n"),
    ("chunk size ends with bare LF", POST + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n"),
    ("chunk data longer than its size",
     POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX\r\n0\r\n\r\n"),
    ("chunk size beyond 64 bits",
     POST + b"Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("chunked in HTTP/1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("target of another host", b"GET http://b/ HTTP/1.1\r\n" + H + b"\r\n"),
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running server; its worker's process id is what is measured."""

    def __init__(self, name, command, directory):
        self.name = name
        self.port = free_port()
        self.command = [part.replace("PORT", str(self.port)) for part in command]
        if name.startswith("nginx"):
            self.command += ["-c", nginx_configuration(directory, self.port), "-p", directory]
        self.process = subprocess.Popen(self.command)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                time.sleep(0.02)
        self.pid = self.process.pid

    def cpu_seconds(self):
        fields = open(f"/proc/{self.pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        text = open(f"/proc/{self.pid}/status", encoding="ascii").read()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) * 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def nginx_configuration(directory, port):
    path = os.path.join(directory, "nginx.conf")
    with open(path, "w", encoding="ascii") as file:
        file.write(f"""daemon off; master_process off; pid {directory}/pid; error_log {directory}/error.log;
events {{ worker_connections 12000; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/p; fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u;
  scgi_temp_path {directory}/s;
  server {{ listen 127.0.0.1:{port}; default_type application/json;
    location / {{ add_header Holdfast-Position 123456 always; return 201 '{ANSWER}'; }} }} }}
""")
    return path


def commands(build):
    found = {}
    for name in ("ours", "microhttpd", "libevent"):
        path = os.path.join(build, "bench", "servers", "bench_" + name)
        if os.path.exists(path):
            for mode in ("now", "later"):
                found[f"{name}, {mode}"] = [path, "PORT", mode]
    if shutil.which("nginx"):
        found["nginx, now"] = ["nginx"]
    return found


def wrk(server, connections, seconds, script):
    before = server.cpu_seconds()
    output = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script,
         f"http://127.0.0.1:{server.port}/v1/commits"], capture_output=True, text=True,
        check=True).stdout
    requests = int(re.search(r"(\d+) requests in", output).group(1))
    assert "Non-2xx" not in output and "Socket errors" not in output, output
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", output).group(1))
    p50 = re.search(r"50%\s+([\d.]+)(us|ms)", output)
    p50_us = float(p50.group(1)) * (1000 if p50.group(2) == "ms" else 1)
    return rate, p50_us, (server.cpu_seconds() - before) / requests * 1e6


def speed(found, directory, rounds, seconds):
    script = os.path.join(directory, "post.lua")
    with open(script, "w", encoding="ascii") as file:
        file.write(f"wrk.method='POST'; wrk.body='{BODY}'\n"
                   "wrk.headers['Content-Type']='application/json'\n"
                   "wrk.headers['Idempotency-Key']='abc-123456'\n")
    figures = {}
    for _ in range(rounds):
        for name, command in found.items():
            server = Server(name, command, directory)
            for connections in (64, 1):
                figures.setdefault((name, connections), []).append(
                    wrk(server, connections, seconds, script))
            server.stop()
    print(f"\n| server | requests/s, 64 connections (lowest to highest) | its CPU µs a request "
          "| p50 µs, 64 | p50 µs, 1 connection |\n|---|---:|---:|---:|---:|")
    for name in found:
        many, one = figures[name, 64], figures[name, 1]
        rates = [each[0] for each in many]
        print(f"| {name} | {statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) "
              f"| {statistics.median(each[2] for each in many):.1f} "
              f"| {statistics.median(each[1] for each in many):,.0f} "
              f"| {statistics.median(each[1] for each in one):,.0f} |", flush=True)


def memory(found, directory):
    print(f"\n| server | resident KiB at start | bytes a connection, {IDLE_CONNECTIONS} idle |"
          "\n|---|---:|---:|")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    for name, command in found.items():
        if name.endswith("later"):
            continue
        server = Server(name, command, directory)
        request = (f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(BODY)}\r\n\r\n"
                   f"{BODY}").encode()
        idle = []
        ask(server, request)
        before = server.resident_bytes()
        for _ in range(IDLE_CONNECTIONS):
            connection = socket.create_connection(("127.0.0.1", server.port))
            connection.sendall(request)
            idle.append(connection)
        for connection in idle:
            assert connection.recv(4096).startswith(b"HTTP/1.1 201")
        time.sleep(12)
        each = (server.resident_bytes() - before) / IDLE_CONNECTIONS
        print(f"| {name.split(',')[0]} | {before // 1024:,} | {each:,.0f} |", flush=True)
        for connection in idle:
            connection.close()
        server.stop()


def ask(server, request):
    """The statuses that came, or a word."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.settimeout(1)
        connection.sendall(request + b"GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        text = b""
        try:
            while True:
                more = connection.recv(4096)
                if not more:
                    break
                text += more
        except TimeoutError:
            text += b" (waits)"
        except ConnectionResetError:
            text += b" (reset)"
    statuses = [status.decode() for status in re.findall(rb"HTTP/1\.[01] (\d\d\d)", text)]
    if not statuses:
        return "waits" if b"(waits)" in text else "closed"
    return " ".join(statuses) + (" waits" if b"(waits)" in text else "")


def strictness(found, directory):
    servers = [Server(name, command, directory) for name, command in found.items()
               if name.endswith("now")]
    print("\n| wrong in the request | " + " | ".join(s.name.split(",")[0] for s in servers) +
          " |\n|---|" + "---|" * len(servers))
    taken = [0] * len(servers)
    for about, request in PROBES:
        outcomes = [ask(server, request) for server in servers]
        taken = [count + outcome.startswith("2") for count, outcome in zip(taken, outcomes)]
        print(f"| {about} | " + " | ".join(outcomes) + " |")
    print(f"| **taken, of {len(PROBES)}** | " + " | ".join(str(count) for count in taken) + " |")
    for server in servers:
        server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("what", nargs="*", default=["speed", "memory", "strictness"])
    options = parser.parse_args()
    found = commands(os.path.abspath(options.build))
    with tempfile.TemporaryDirectory() as directory:
        if "speed" in options.what:
            speed(found, directory, options.rounds, options.seconds)
        if "memory" in options.what:
            memory(found, directory)
        if "strictness" in options.what:
            strictness(found, directory)


if __name__ == "__main__":
    main()
