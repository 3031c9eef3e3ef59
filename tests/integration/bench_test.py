#!/usr/bin/env python3
"""holdfast bench: every workload with few operations, what it tells, what it refuses. Prints TAP.

    HOLDFAST=build/holdfast HOLDFAST_BUILD=build tests/integration/bench_test.py
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import xml.dom.minidom

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import BUILD, HOLDFAST, Server, Tap, free_port, json_request, verify  # noqa: E402


def bench(port, *arguments, seconds=120):
    done = subprocess.run([HOLDFAST, "bench", f"--server=http://127.0.0.1:{port}", *arguments], capture_output=True, text=True,
                          timeout=seconds, check=False)
    return done.returncode, done.stdout, done.stderr


def report(port, *arguments):
    code, out, err = bench(port, "--json", *arguments)
    try:
        return code, json.loads(out)
    except ValueError:
        return code, {"said": out + err}


def workloads(tap, port):
    for name, count, more in [
            ("bulk", 5000, ["--batch=700", "--accounts=50"]), ("bulk", 3000, ["--ids=random", "--accounts=9000"]),
            ("single", 400, ["--connections=8", "--accounts=20"]), ("hot", 300, ["--connections=8", "--accounts=20"]),
            ("hot", 5000, ["--packed", "--accounts=20", "--batch=500"]), ("two-hot", 300, ["--accounts=20"]),
            ("zipf", 300, ["--accounts=100"]), ("zipf", 2000, ["--packed", "--batch=100", "--accounts=100"]),
            ("ndjson", 1000, ["--batch=100", "--accounts=20"]), ("streams", 600, ["--batch=50", "--accounts=20"]),
            ("documents", 600, ["--batch=50", "--accounts=20"])]:
        code, got = report(port, f"--workload={name}", f"--transfers={count}", *more)
        tap.result(code == 0 and got.get("accepted") == count and got.get("refused") == 0 and got.get("totals_equal") is True and
                   got["latency"]["p50_us"] <= got["latency"]["p99_us"] <= got["latency"]["max_us"],
                   f"{name} {' '.join(more)}", got)
    code, got = report(port, "--workload=holds", "--transfers=1000", "--batch=100", "--accounts=20")
    tap.result(code == 0 and got.get("accepted") == 2000 and got.get("totals_equal") is True, "holds, and their captures", got)
    for connections in (3, 16, 40):
        code, got = report(port, "--workload=holds", "--transfers=400", "--batch=3", "--accounts=20", f"--connections={connections}")
        tap.result(code == 0 and got.get("accepted") == 800 and got.get("totals_equal") is True,
                   f"in the end every hold of {connections} connections is captured", got)
    code, got = report(port, "--workload=bulk", "--transfers=1000", "--batch=100", "--accounts=1000", "--hot-every=10", "--step=300")
    hot = json_request(port, "GET", "/v1/accounts/62656e63-6800-0000-0000-000000000000/entries?limit=1")[1]["data"][0]
    tap.result(code == 0 and got.get("accepted") == 1000 and got["hot_every"] == 10 and hot["version"] > 100, "an account with a history of its own", hot)
    first = got["run"] + f"{1:016x}"
    named = "-".join((first[:8], first[8:12], first[12:16], first[16:20], first[20:]))
    status, body = json_request(port, "GET", f"/v1/transfers/{named}")[:2]
    tap.result(status == 200 and len(got["steps_per_second"]) == 3 and min(got["steps_per_second"]) > 0,
               "the rate of each step, and the run that its ids begin with", (body, got))
    code, got = report(port, "--workload=mixed", "--reads=50", "--transfers=300", "--accounts=20", "--connections=4")
    tap.result(code == 0 and got.get("accepted") == 300 and 150 < got["reads"] < 600 and
               got["requests"] == 300 + got["reads"], "half of the requests read", got)


def open_loop(tap, port):
    code, got = report(port, "--workload=single", "--rate=200", "--seconds=2", "--accounts=20", "--connections=4")
    tap.result(code == 0 and got.get("open_loop") is True and 380 <= got["requests"] <= 401, "so many requests as were due", got)


class Impatient:
    """Passes bytes on to a server, and closes a connection over which nothing came for so many seconds."""

    def __init__(self, port, seconds):
        self.target, self.seconds = port, seconds
        self.closed = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            near.settimeout(self.seconds)
            threading.Thread(target=self.forward, args=(near, far), daemon=True).start()
            threading.Thread(target=self.backward, args=(far, near), daemon=True).start()

    def forward(self, near, far):
        try:
            while data := near.recv(65536):
                far.sendall(data)
        except socket.timeout:
            self.closed += 1
        except OSError:
            pass
        for end in (near, far):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @staticmethod
    def backward(far, near):
        try:
            while data := far.recv(65536):
                near.sendall(data)
        except OSError:
            pass

    def close(self):
        self.listener.close()


def long_load(tap, port):
    """A load that lasts longer than a server keeps an idle connection."""
    proxy = Impatient(port, 1)
    code, out, err = bench(proxy.port, "--json", "--workload=single", "--seconds=4", "--accounts=20", "--connections=2")
    tap.result(code == 0 and json.loads(out)["totals_equal"] is True, "totals are told behind a load of some length", out + err)
    proxy.close()


def refused(tap, port):
    """Accounts that spend more than they have are told as refused, and the totals are still equal."""
    json_request(port, "PATCH", "/v1/accounts/62656e63-6800-0000-0000-000000000000", {"floor": "90000000000000000000"},
                 {"Idempotency-Key": "floor"})
    code, got = report(port, "--workload=hot", "--packed", "--transfers=500", "--batch=100", "--accounts=20")
    tap.result(code == 0 and got.get("refused") == 500 and got.get("accepted") == 0 and got.get("totals_equal") is True,
               "refusals are counted", got)


def told(tap, port, work):
    picture = os.path.join(work, "latency.svg")
    code, out, err = bench(port, "--workload=single", "--transfers=300", "--accounts=20", f"--svg={picture}")
    tap.result(code == 0 and "transfers a second" in out and "p99.9" in out and "totals       equal" in out and not err,
               "the table", out + err)
    document = xml.dom.minidom.parse(picture)
    lines = document.getElementsByTagName("polyline")
    points = [tuple(map(float, point.split(","))) for point in lines[0].getAttribute("points").split()]
    tap.result(document.documentElement.tagName == "svg" and len(lines) == 1 and points == sorted(points, key=lambda p: p[0]) and
               all(a[1] >= b[1] for a, b in zip(points, points[1:])), "the picture: latency never falls to the right", points[:5])
    for what, arguments in [("an unknown workload", ["--workload=nothing"]), ("no such ids", ["--ids=old"]),
                            ("one account", ["--accounts=1"]), ("a batch that is too large", ["--batch=8191"]),
                            ("reads of packed records", ["--reads=10"]), ("steps without an end", ["--step=10"]),
                            ("a hot account of streams", ["--workload=streams", "--hot-every=10"])]:
        code, out, err = bench(port, *arguments)
        tap.result(code == 2 and out == "" and "--help" in err, what, out + err)
    code, out, err = bench(free_port(), "--transfers=1")
    tap.result(code == 3 and "connect to" in err, "nobody listens", out + err)


def main():
    tap = Tap()
    server = None
    work = tempfile.mkdtemp(prefix="holdfast-bench-", dir=os.environ.get("HOLDFAST_TMP", BUILD))
    try:
        directory = os.path.join(work, "data")
        server = Server(directory)
        port = server.port
        workloads(tap, port)
        open_loop(tap, port)
        long_load(tap, port)
        refused(tap, port)
        told(tap, port, work)
        tap.result(server.stop() == 0, "a clean stop")
        good, said = verify(directory)
        tap.result(good, "verify ok", said)
    finally:
        if server is not None:
            server.kill()
        shutil.rmtree(work, ignore_errors=True)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
