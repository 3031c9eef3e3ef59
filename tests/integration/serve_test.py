#!/usr/bin/env python3
"""The server's process: ready line, signals, addresses, configuration, service manager, a full and a
failing disk, TLS, installation. Prints TAP.

    HOLDFAST=build/holdfast HOLDFAST_BUILD=build tests/integration/serve_test.py
"""
import json
import os
import re
import select
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import (BUILD, HOLDFAST, Server, Tap, json_request, open_accounts,  # noqa: E402
                     request, transfer, verify, wait_until)

USAGE, ENVIRONMENT = 2, 3


def run_serve(*arguments, seconds=60):
    """(exit status, stderr) of a serve that ends by itself."""
    try:
        done = subprocess.run([HOLDFAST, "serve", *arguments], capture_output=True, text=True,
                              timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return None, "it did not end"
    return done.returncode, done.stderr


# ---- the process ----

def ready_line(tap, work):
    directory = os.path.join(work, "ready")
    command = [HOLDFAST, "serve", "--data", directory, "--listen", "127.0.0.1:0"]
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        command += ["--listen", "[::1]:0"]
    except OSError:
        print("# no IPv6 loopback here: listening on it is not tested")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    match = re.fullmatch(r"holdfast \S+ listening on http://127\.0\.0\.1:(\d+)( and "
                         r"http://\[::1\]:\d+)?, data in (.*)\n", line)
    tap.result(match is not None and match.group(3) == directory, "the ready line", line)
    port = int(match.group(1)) if match else 0
    tap.result(match is not None and request(port, "GET", "/readyz")[0] == 200,
               "it is ready when it says so")
    process.send_signal(signal.SIGINT)
    rest, said = process.communicate(timeout=60)
    tap.result(process.returncode == 0 and rest == "" and "SIGINT" in said,
               "SIGINT ends it with status 0; standard output held one line", said)
    status = json.loads(subprocess.run([HOLDFAST, "status", "--json", directory],
                                       capture_output=True, text=True, check=False).stdout)
    tap.result(verify(directory)[0], "verify ok behind a stop", status)


def signals(tap, work):
    server = Server(os.path.join(work, "signals"))
    ready = server.ready()
    tap.result(ready["role"] == "owner" and ready["pid"] == server.process.pid and
               ready["listeners"][0]["url"] == f"http://127.0.0.1:{server.port}",
               "the ready line as JSON", ready)
    open_accounts(server.port)
    server.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    tap.result(request(server.port, "GET", "/readyz")[0] == 200, "SIGHUP is harmless")
    with open(f"/proc/{server.process.pid}/limits", encoding="ascii") as file:
        files = next(line for line in file if line.startswith("Max open files")).split()
    tap.result(files[3] == files[4], "the limit of open files is raised to the hard one", files)
    path = os.path.join(work, "signals", "holdfast.sock")
    mode = stat.S_IMODE(os.stat(path).st_mode)
    tap.result(mode == 0o600 and json_request(path, "GET", "/v1/accounts/shop")[0] == 200,
               "DIR/holdfast.sock answers, for its owner alone", oct(mode))
    status = server.stop()
    tap.result(status == 0 and not os.path.exists(path) and "sealed" in server.errors(),
               "SIGTERM ends it with status 0, sealed, without its socket", server.errors())
    again = Server(os.path.join(work, "signals"))
    again.ready()
    tap.result(json_request(again.port, "GET", "/v1/status")[1]["epoch"] == 2,
               "the next owner has the next epoch")
    tap.result(open_accounts(again.port)[0] == 201, "a key of the former owner replays")
    again.kill()
    third = Server(os.path.join(work, "signals"))
    tap.result(third.ready() is not None and third.stop() == 0, "it starts behind a kill -9")


def long_path(tap, work):
    directory = os.path.join(work, *["a-rather-long-name-of-a-directory"] * 4)
    os.makedirs(directory)
    server, standby = Server(directory), None
    try:
        server.ready()
        standby = Server(directory)
        standby.ready()
        answer = open_accounts(standby.port)
        tap.result(answer[0] == 201 and os.path.exists(os.path.join(directory, "holdfast.sock")),
                   "a data directory whose name no Unix address can hold; its standby, too", answer)
    finally:
        if standby is not None:
            standby.stop()
        server.stop()


def taken_port(tap, work):
    server = Server(os.path.join(work, "taken"))
    other = os.path.join(work, "other")
    status, said = run_serve("--data", other, "--listen", f"127.0.0.1:{server.port}")
    tap.result(status == ENVIRONMENT and str(server.port) in said and
               not os.path.exists(os.path.join(other, "log")),
               "a port that is taken: said, and the directory is not opened", (status, said))
    server.stop()


# ---- addresses ----

def certificate(work):
    """(certificate, key) for localhost, or None."""
    cert, key = os.path.join(work, "cert.pem"), os.path.join(work, "key.pem")
    if not os.path.exists(cert):
        done = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
            capture_output=True, check=False)
        if done.returncode != 0:
            return None
    return cert, key


def make_token(directory):
    os.makedirs(directory, exist_ok=True)
    done = subprocess.run([HOLDFAST, "token", "create", "--json", "--data=" + directory,
                           "--principal=shop"], capture_output=True, text=True, check=True)
    return next(value for value in json.loads(done.stdout).values()
                if isinstance(value, str) and value.startswith("hft_"))


def addresses(tap, work):
    open_directory = os.path.join(work, "open")
    for address in ("0.0.0.0:0", "[::]:0", "example.org:7070", "192.0.2.1:7070"):
        status, said = run_serve("--data", open_directory, "--listen", address)
        tap.result(status == USAGE and "tokens" in said and "TLS" in said and "--allow-open" in said,
                   f"{address} needs tokens and TLS", (status, said))
    for address in ("7070", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:x", "::1:7070", "unix:",
                    "https://127.0.0.1:0", "127.0.0.1:-1"):
        status, said = run_serve("--data", open_directory, "--listen", address)
        tap.result(status == USAGE and address in said, f"{address} is no address",
                   (status, said))
    tap.result(not os.path.exists(os.path.join(open_directory, "log")),
               "no refused address has opened the directory")
    done = subprocess.run([HOLDFAST, "serve", "--json", "--data", open_directory, "--listen",
                           "0.0.0.0:0"], capture_output=True, text=True, check=False)
    tap.result(done.returncode == USAGE and json.loads(done.stdout)["error"] == "invalid_request",
               "with --json the refusal is JSON", done.stdout)
    server = Server(open_directory, "--allow-open", "--listen", "0.0.0.0:0")
    ready = server.ready()
    tap.result(ready is not None and request(ready["listeners"][1]["port"], "GET", "/readyz")[0] == 200,
               "--allow-open listens beyond loopback", server.errors())
    server.stop()
    path = os.path.join(work, "extra.sock")
    server = Server(os.path.join(work, "unix"), "--listen", "unix:" + path)
    tap.result(server.ready() is not None and request(path, "GET", "/readyz")[0] == 200,
               "a Unix socket of one's own", server.errors())
    server.stop()


def encrypted(tap, work):
    files = certificate(work)
    if files is None:
        tap.skip("TLS", "openssl could not make a certificate")
        return
    directory = os.path.join(work, "tls")
    secret = make_token(directory)
    status, said = run_serve("--data", directory, "--listen", "0.0.0.0:0")
    tap.result(status == USAGE and "needs TLS" in said, "tokens alone are not enough", (status, said))
    status, said = run_serve("--data", os.path.join(work, "bare"), "--tls-cert", files[0],
                             "--tls-key", files[1], "--listen", "0.0.0.0:0")
    tap.result(status == USAGE and "needs tokens" in said, "TLS alone is not enough", (status, said))
    status, said = run_serve("--data", directory, "--tls-cert", files[0])
    tap.result(status == USAGE and "--tls-key" in said, "a certificate needs its key", (status, said))
    server = Server(directory, "--tls-cert", files[0], "--tls-key", files[1], "--listen",
                    "0.0.0.0:0", "--listen", "http://127.0.0.1:0")
    ready = server.ready()
    if ready is None:
        tap.result(False, "tokens and TLS", server.errors())
        server.kill()
        return
    urls = [listener["url"].split(":")[0] for listener in ready["listeners"]]
    tap.result(urls == ["https", "https", "http"], "HOST:PORT speaks HTTPS, http:// does not", urls)
    context = ssl.create_default_context(cafile=files[0])
    raw = socket.create_connection(("127.0.0.1", ready["listeners"][1]["port"]), timeout=60)
    with context.wrap_socket(raw, server_hostname="localhost") as connection:
        connection.sendall(b"GET /v1/limits HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                           b"Authorization: Bearer " + secret.encode() + b"\r\n\r\n")
        text = b""
        while more := connection.recv(65536):
            text += more
    tap.result(text.startswith(b"HTTP/1.1 200 "), "a request with its token over TLS", text[:200])
    tap.result(request(ready["listeners"][2]["port"], "GET", "/v1/limits")[0] == 401,
               "and none without")
    tap.result(server.stop() == 0 and secret not in server.errors(), "no secret in the log")


# ---- configuration ----

def configuration(tap, work):
    path = os.path.join(work, "holdfast.conf")

    def with_file(text, *arguments):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return run_serve("--config", path, *arguments)

    cases = [
        ("# a comment\n\ndata = /x\nlissten = 127.0.0.1:0\n", ":4: lissten: no such key"),
        ("data = /x\nallow-open = yes\n", ":2: allow-open: takes true or false"),
        ("data = /x\ndata = /y\n", ":2: data: stands in the file already"),
        ("data\n", ":1: data: expected: key = value"),
        ("data =\n", ":1: data: has no value"),
        ("config = /x\n", ":1: config: no such key"),
        ("json = true\n", ":1: json: no such key"),
        ("connections-max = many\n", ":1: connections-max: takes a number"),
        ("data = /x\0y\n", ":1: : there is a NUL"),
        ("listen = 127.0.0.1:0", "--data DIR is needed"),
    ]
    for text, wanted in cases:
        status, said = with_file(text)
        tap.result(status == USAGE and wanted in said, f"configuration {text!r} is refused",
                   (status, said))
    status, said = run_serve("--config", os.path.join(work, "none.conf"))
    tap.result(status == ENVIRONMENT and "none.conf" in said, "a configuration that is not there",
               (status, said))
    directory = os.path.join(work, "configured")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"# comment\r\n  data={directory}  \nlisten = 127.0.0.1:1 \n"
                   "allow-open = false\nhost = ledger.example.org\nkey-retention-hours=24")
    server = Server(directory, "--config", path)
    ready = server.ready()
    tap.result(ready is not None and len(ready["listeners"]) == 1 and
               not ready["listeners"][0]["url"].endswith(":1"),
               "options of the command line win over the file's", server.errors())
    answer = request(server.port, "GET", "/readyz", None, {"Host": "ledger.example.org"})
    limits = json_request(server.port, "GET", "/v1/limits")[1]
    tap.result(answer[0] == 200 and limits["key_retention_ms"] == 24 * 3600 * 1000,
               "and what only the file says counts", limits)
    server.stop()
    example = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging",
                           "holdfast.conf")
    with open(example, encoding="utf-8") as file:
        keys = re.findall(r"^#?([a-z-]+) = ", file.read(), re.M)
    shown = subprocess.run([HOLDFAST, "serve", "--help"], capture_output=True, text=True,
                           check=False).stdout
    options = set(re.findall(r"^  --([a-z-]+)", shown, re.M)) - {"json", "help", "config"}
    tap.result(set(keys) == options, "the example names every option", set(keys) ^ options)


# ---- the service manager ----

class Manager:
    """Owns NOTIFY_SOCKET."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.said = []

    def hears(self, word, seconds=60):
        until = time.monotonic() + seconds
        while not any(word in message for message in self.said):
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                return False
            self.said.append(self.socket.recv(65536).decode().split("\n"))
        return True


def notify(tap, work):
    for name, address, shown in (
            ("path", os.path.join(work, "notify"), os.path.join(work, "notify")),
            ("abstract name", f"\0holdfast-test-{os.getpid()}", f"@holdfast-test-{os.getpid()}")):
        manager = Manager(address)
        directory = os.path.join(work, "notified")
        environment = {"NOTIFY_SOCKET": shown, "WATCHDOG_USEC": "400000"}
        server = Server(directory, environment=environment)
        tap.result(manager.hears("READY=1") and manager.hears("STATUS=owner"),
                   f"READY=1 comes to a {name}", manager.said)
        tap.result(request(server.port, "GET", "/readyz")[0] == 200, "and is true then")
        manager.said = []
        tap.result(manager.hears("WATCHDOG=1"), "the watchdog is fed", manager.said)
        standby = Server(directory, environment=environment)
        tap.result(manager.hears("READY=1") and
                   any(line.startswith("STATUS=standby of ") for message in manager.said
                       for line in message), "a standby is ready as such", manager.said)
        standby.stop()
        manager.said = []
        status = server.stop()
        tap.result(status == 0 and manager.hears("STOPPING=1", 5), "STOPPING=1", manager.said)
        manager.socket.close()
    manager = Manager(os.path.join(work, "notify2"))
    server = Server(os.path.join(work, "notified"), environment={
        "NOTIFY_SOCKET": os.path.join(work, "notify2"), "WATCHDOG_USEC": "100000",
        "WATCHDOG_PID": "1"})
    manager.hears("READY=1")
    tap.result(not manager.hears("WATCHDOG=1", 1), "another process's watchdog is not fed")
    server.stop()
    manager.socket.close()


def unit_file(tap, work):
    """meson install into a directory of its own; the unit as systemd reads it."""
    root = os.path.join(work, "root")
    done = subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root],
                          capture_output=True, text=True, check=False)
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            found[name] = os.path.join(folder, name)
    wanted = {"holdfast", "holdfast.h", "holdfast_client.h", "libholdfast.so.0", "holdfast.pc",
              "holdfast-client.pc", "holdfast.1", "holdfast.service", "holdfast.conf"}
    tap.result(done.returncode == 0 and wanted <= set(found), "make install brings all parts",
               (wanted - set(found), done.stdout[-300:] + done.stderr[-300:]))
    if "holdfast.service" not in found or shutil.which("systemd-analyze") is None:
        tap.skip("systemd-analyze verify", "systemd-analyze is not here")
        return
    with open(found["holdfast.service"], encoding="utf-8") as file:
        text = file.read()
    tap.result("Type=notify" in text and re.search(r"^ExecStart=/\S+/bin/holdfast serve ", text, re.M),
               "the unit starts the installed program", text[:400])
    unit = os.path.join(work, "holdfast.service")
    with open(unit, "w", encoding="utf-8") as file:
        file.write(re.sub(r"ExecStart=\S+", f"ExecStart={found['holdfast']}", text))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True,
                          text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "holdfast" in line]
    tap.result(done.returncode == 0 and not ours, "systemd-analyze verify", done.stderr)
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=20",
                           "--no-pager", unit], capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr
    if "unrecognized option" in done.stderr:
        tap.skip("systemd-analyze security", "it is too old to work offline")
    else:
        tap.result(done.returncode == 0, "systemd-analyze security: exposure below 2.0", last)


# ---- disks ----

def full_disk(tap, work):
    name = "a full disk"
    mount = os.path.join(work, "small")
    os.makedirs(mount)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", mount],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        tap.skip(name, f"a tmpfs can't be mounted: {done.stderr.strip()}")
        return
    server = None
    try:
        directory = os.path.join(mount, "data")
        server = Server(directory, errors=os.path.join(work, "small.stderr"))
        open_accounts(server.port)
        ballast = os.path.join(mount, "ballast")
        with open(ballast, "wb") as file:
            try:
                while True:
                    file.write(b"\0" * 65536)
                    file.flush()
            except OSError:
                pass
        answer = None
        done_documents = 0
        for number in range(400):
            status, answer = json_request(
                server.port, "PUT", f"/v1/documents/d{number}", {"text": "x" * 100000},
                {"If-None-Match": "*"})
            if status != 201:
                break
            done_documents += 1
        tap.result(status == 503 and answer["code"] == "read_only" and done_documents > 0,
                   f"{name}: changes answer read_only", answer)
        status, account = json_request(server.port, "GET", "/v1/accounts/shop")
        last = json_request(server.port, "GET", f"/v1/documents/d{done_documents - 1}")
        tap.result(status == 200 and last[0] == 200 and request(server.port, "GET", "/healthz")[0] == 200,
                   f"{name}: it stays up and reads are answered", account)
        tap.result(wait_until(lambda: "read-only" in server.errors()) and
                   json_request(server.port, "GET", "/v1/status")[1]["read_only"] is True,
                   f"{name}: log and status say so", server.errors())
        os.remove(ballast)
        room = wait_until(lambda: json_request(server.port, "POST", "/v1/transfers",
                                               transfer("room"))[0] == 201)
        tap.result(room, f"{name}: commits are taken again when there is room")
        status = server.stop()
        good, report = verify(directory)
        tap.result(status == 0 and good, f"{name}: nothing was lost, verify ok", report)
    finally:
        if server is not None and server.process.poll() is None:
            server.kill()
        subprocess.run(["umount", mount], check=False)


def failing_disk(tap, work):
    name = "a sync that fails"
    if shutil.which("strace") is None:
        tap.skip(name, "strace is not installed")
        return
    directory = os.path.join(work, "failing")
    # A build with sanitizers must not look for leaks at its end: that needs ptrace, which strace has.
    sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    server = Server(directory, environment={"ASAN_OPTIONS": sanitizer})
    open_accounts(server.port)
    tracer = subprocess.Popen(["strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync", "-e",
                               "inject=fdatasync:error=EIO", "-p", str(server.process.pid)],
                              stderr=subprocess.PIPE, text=True)
    said = tracer.stderr.readline() if select.select([tracer.stderr], [], [], 10)[0] else ""
    if "attached" not in said:
        tracer.terminate()
        tracer.wait()
        server.stop()
        tap.skip(name, f"strace can't trace here: {said.strip()}")
        return
    try:
        status, answer = json_request(server.port, "POST", "/v1/transfers", transfer("failing"))
    except (OSError, ValueError) as error:
        status, answer = 503, repr(error)
    tap.result(status == 503, f"{name}: the caller is not told that it was done", answer)
    try:
        code = server.process.wait(60)
    except subprocess.TimeoutExpired:
        code = None
    tracer.wait(60)
    tracer.stderr.close()
    tap.result(code == ENVIRONMENT and "append" in server.errors(),
               f"{name}: the process ends with the reason", (code, server.errors()))
    server.kill()
    again = Server(directory)
    tap.result(again.ready() is not None and again.stop() == 0 and verify(directory)[0],
               f"{name}: the next owner recovers, verify ok", again.errors())


def main():
    tap = Tap()
    work = tempfile.mkdtemp(prefix="holdfast-serve-", dir=os.environ.get("HOLDFAST_TMP"))
    try:
        for test in (ready_line, signals, long_path, taken_port, addresses, encrypted,
                     configuration, notify, unit_file, full_disk, failing_disk):
            test(tap, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
