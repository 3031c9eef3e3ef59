"""What the programs of this folder share: the circumstances of a run, its lines with their targets, a server, an HTTP connection."""
import datetime
import json
import math
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "http"))
from http_bench import fail, free_port, progress, raise_open_files, sync_alone  # noqa: E402,F401

MIB = 1 << 20


# ---- circumstances ----

def processor_model():
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        names = re.findall(r"^model name\s*: (.*)$", cpuinfo.read(), re.MULTILINE)
    return f"{os.cpu_count()} x {names[0] if names else 'unknown'}"


def commit_of_source():
    done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=10"], capture_output=True, text=True,
                          check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def circumstances():
    """As they are at the start; the end's load average is added by `report`."""
    return {"command": shlex.join([os.path.relpath(sys.argv[0])] + sys.argv[1:]), "commit": commit_of_source(),
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), "processor": processor_model(),
            "load_average_before": [round(load, 2) for load in os.getloadavg()]}


# ---- lines ----

class Line:
    """What was measured, and what it should be: at_least, at_most, or neither."""

    def __init__(self, name, value, unit="", at_least=None, at_most=None, more=""):
        self.name, self.value, self.unit = name, value, unit
        self.at_least, self.at_most, self.more = at_least, at_most, more

    @property
    def met(self):
        """None: there is no target. What was not measured does not meet one."""
        if self.at_least is None and self.at_most is None:
            return None
        return self.value is not None and (self.value >= self.at_least if self.at_least is not None else self.value <= self.at_most)

    def target(self):
        if self.met is None:
            return ""
        return f"≥ {number(self.at_least)}" if self.at_least is not None else f"≤ {number(self.at_most)}"

    def told(self):
        return {"name": self.name, "value": self.value, "unit": self.unit, "at_least": self.at_least, "at_most": self.at_most,
                "met": self.met, "more": self.more}


def number(value):
    if value is None:
        return "-"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def report(title, facts, lines, details, as_json):
    """The end: a table, or JSON. The exit status: 0 if all targets are met."""
    facts["load_average_after"] = [round(load, 2) for load in os.getloadavg()]
    missed = [line.name for line in lines if line.met is False]
    progress("")
    if as_json:
        print(json.dumps({"title": title, "circumstances": facts, "lines": [line.told() for line in lines], "missed": missed,
                          "details": details}, indent=1))
        return 1 if missed else 0
    print(title)
    for name, value in facts.items():
        print(f"  {name.replace('_', ' '):<20} {' '.join(map(str, value)) if isinstance(value, list) else value}")
    wide = max(len(line.name) for line in lines)
    print(f"\n{'':<{wide}}  {'measured':>12} {'':<8} {'target':>12}  met")
    for line in lines:
        met = {None: "", True: "yes", False: "NO"}[line.met]
        print(f"{line.name:<{wide}}  {number(line.value):>12} {line.unit:<8} {line.target():>12}  {met:<3} {line.more}".rstrip())
    print(f"\n{len(missed)} of {sum(line.met is not None for line in lines)} targets missed" +
          (": " + "; ".join(missed) if missed else ""))
    return 1 if missed else 0


def percentile(samples, share):
    """The value that `share` of them are not above."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def times_of(samples_ns):
    return {"count": len(samples_ns), "p50_ms": percentile(samples_ns, 0.5) / 1e6, "p99_ms": percentile(samples_ns, 0.99) / 1e6,
            "max_ms": max(samples_ns) / 1e6}


# ---- HTTP ----

class Wire:
    """One kept connection without delay. A call's time is from its first byte sent to its answer's last byte read."""

    def __init__(self, port, context=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.buffer = bytearray(1 << 20)
        self.took_ns = 0

    @staticmethod
    def request(method, target, body=None, key=None):
        head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        text = b"" if body is None else json.dumps(body).encode()
        if key:
            head += f"Idempotency-Key: {key}\r\n"
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n"
        return head.encode() + b"\r\n" + text

    def receive(self):
        """Status and body of the next answer."""
        view = memoryview(self.buffer)
        size = 0
        whole = None
        while whole is None or size < whole:
            got = self.socket.recv_into(view[size:])
            if got == 0:
                raise OSError("the server closed the connection, or its answer is too long")
            size += got
            if whole is None:
                end = self.buffer.find(b"\r\n\r\n", 0, size)
                if end >= 0:
                    head = bytes(view[:end])
                    found = re.search(rb"\r\nContent-Length: (\d+)", head)
                    if not found:
                        raise OSError("an answer without a length")
                    status = int(head.split(b" ", 2)[1])
                    begin = end + 4
                    whole = begin + int(found.group(1))
        return status, bytes(view[begin:whole])

    def call(self, method, target, body=None, key=None):
        request = self.request(method, target, body, key)
        started = time.perf_counter_ns()
        self.socket.sendall(request)
        answer = self.receive()
        self.took_ns = time.perf_counter_ns() - started
        return answer

    def get(self, target):
        """The JSON of an answer that must be 200."""
        status, body = self.call("GET", target)
        if status != 200:
            fail(f"GET {target}: {status} {body[:300].decode(errors='replace')}")
        return json.loads(body)

    def close(self):
        self.socket.close()


# ---- the server ----

class Server:
    """`holdfast serve` with its default settings, on a port that stays; in a cgroup, if one is given."""

    def __init__(self, build, directory, cgroup=None, tls=None):
        self.program = os.path.join(build, "holdfast")
        self.directory, self.cgroup = directory, cgroup
        self.context = None
        self.port = free_port()
        self.words = [self.program, "serve", "--data", directory, "--listen", f"127.0.0.1:{self.port}", "--json"]
        if tls:
            self.words += ["--tls-cert", tls[0], "--tls-key", tls[1]]
            self.context = ssl.create_default_context(cafile=tls[0])
        self.log = os.path.join(os.path.dirname(directory), os.path.basename(directory) + ".log")
        self.process = None

    def start(self):
        """Returns after how many seconds /readyz has answered 200."""
        words = self.words
        if self.cgroup:
            words = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', os.path.join(self.cgroup.path, "cgroup.procs")] + words
        started = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while not self.is_ready():
            if self.process.poll() is not None:
                with open(self.log, encoding="utf-8", errors="replace") as log:
                    fail(f"serve ended with {self.process.returncode}: {log.read()[-600:]}")
            time.sleep(0.002)
        return time.monotonic() - started

    def is_ready(self):
        try:
            wire = self.wire()
        except (ConnectionError, OSError):
            return False
        try:
            return wire.call("GET", "/readyz")[0] == 200
        except OSError:
            return False
        finally:
            wire.close()

    def wire(self):
        return Wire(self.port, self.context)

    def get(self, target):
        wire = self.wire()
        try:
            return wire.get(target)
        finally:
            wire.close()

    def status_bytes(self, name):
        """VmRSS, RssAnon, VmHWM (the most so far) of the process."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii", errors="replace") as status:
            for row in status:
                if row.startswith(name + ":"):
                    return int(row.split()[1]) * 1024
        return fail(f"no {name} of the server: it has ended")

    def settle(self, seconds_max=300):
        """Waits until nothing is left to be done in the background (checkpoints, merges): 1.5 s with hardly any processor time.
        Returns how many seconds that took."""
        def ticks():
            with open(f"/proc/{self.process.pid}/stat", encoding="ascii", errors="replace") as stat:
                return sum(int(word) for word in stat.read().rsplit(")", 1)[1].split()[11:13])
        started, quiet, before = time.monotonic(), 0, ticks()
        while quiet < 3 and time.monotonic() - started < seconds_max:
            time.sleep(0.5)
            now = ticks()
            quiet = quiet + 1 if now - before <= 2 else 0
            before = now
        return time.monotonic() - started

    def bench(self, *words):
        """`holdfast bench` on it: what it tells."""
        process = self.bench_start(*words)
        out, err = process.communicate()
        if process.returncode != 0:
            fail(f"holdfast bench {' '.join(words)}: {err or out}")
        return json.loads(out)

    def bench_start(self, *words, quiet=False):
        """On a terminal it shows its own progress, unless it is to be quiet."""
        stderr = subprocess.DEVNULL if quiet else None if sys.stderr.isatty() else subprocess.PIPE
        return subprocess.Popen([self.program, "bench", "--json", f"--server=http://127.0.0.1:{self.port}", *words],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True)

    def stop(self):
        """Returns how many seconds a clean stop took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(timeout=600) != 0:
            fail(f"serve ended with {self.process.returncode}: see {self.log}")
        return time.monotonic() - started

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def verify(self):
        """Returns how many seconds `holdfast verify` took to say yes."""
        started = time.monotonic()
        done = subprocess.run([self.program, "verify", self.directory], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            fail(f"verify: {done.stdout}{done.stderr}")
        return time.monotonic() - started
