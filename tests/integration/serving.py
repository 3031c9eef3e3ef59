"""What the tests of the running server share: TAP, ports, servers, plain HTTP. No test itself."""
import atexit
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

import http_client
import tap

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
from ports import free_port  # noqa: E402,F401 (tests take it from here)

BUILD = os.environ.get("HOLDFAST_BUILD", "build")
HOLDFAST = os.path.abspath(os.environ.get("HOLDFAST", os.path.join(BUILD, "holdfast")))
READY_S = 60  # a loaded machine may take its time; nothing here asserts how long


class Tap(tap.Tap):
    """Whose last check is that every answer was as the document has it."""

    def end(self):
        if http_client.ANSWERS_SEEN:
            self.result(not http_client.VIOLATIONS, "every answer is as docs/openapi.yaml has it",
                        http_client.VIOLATIONS[:3])
        return super().end()


class Lines:
    """A child's standard output, line by line, with a limit on waiting."""

    def __init__(self, pipe):
        self.pipe = pipe
        self.rest = b""

    def next(self, seconds):
        until = time.monotonic() + seconds
        while b"\n" not in self.rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.pipe], [], [], left)[0]:
                return None
            more = os.read(self.pipe.fileno(), 65536)
            if not more:
                return None
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()


class Server:
    """holdfast serve as a child. The ready line is read when it is asked for."""

    def __init__(self, directory, *arguments, port=0, environment=None, errors=None):
        self.errors_path = errors or f"{directory.rstrip('/')}.stderr"
        self.errors_at = os.path.getsize(self.errors_path) if os.path.exists(self.errors_path) else 0
        self.ready_text = None
        full = dict(os.environ)
        full.update(environment or {})
        # Open as long as this object is: a test may remove the directory before it ends.
        self.errors_file = open(self.errors_path, "a+b")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            [HOLDFAST, "serve", "--json", "--data", directory, "--listen",
             f"127.0.0.1:{port}", *arguments],
            stdout=subprocess.PIPE, stderr=self.errors_file, stdin=subprocess.DEVNULL, env=full)
        self.lines = Lines(self.process.stdout)
        atexit.register(self.tell_end)

    def tell_end(self):
        """When the test ends: what made this server end, if nobody told it to."""
        status = self.process.poll()
        if status not in (None, 0, 2, -signal.SIGKILL, -signal.SIGTERM):
            print(f"# a server ended by itself, with {status}: {self.errors()[-2000:]}", file=sys.stderr, flush=True)

    def ready(self, seconds=READY_S):
        """The ready line as a dict, or None."""
        if self.ready_text is None:
            self.ready_text = self.lines.next(seconds)
        return json.loads(self.ready_text) if self.ready_text else None

    @property
    def port(self):
        ready = self.ready()
        assert ready, f"the server does not listen (exit status {self.process.poll()}): {self.errors()[-2000:]}"
        return ready["listeners"][0]["port"]

    def errors(self):
        size = os.fstat(self.errors_file.fileno()).st_size
        return os.pread(self.errors_file.fileno(), size - self.errors_at, self.errors_at).decode(errors="replace")

    def send_signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self, seconds=60):
        """SIGTERM; the exit status, or None if it did not end."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        self.process.stdout.close()
        return status


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def request(where, method, path, body=None, headers=None, timeout=60):
    """(status, headers, body). where: a port, or the path of a Unix socket."""
    connection = (http.client.HTTPConnection("127.0.0.1", where, timeout=timeout)
                  if isinstance(where, int) else UnixConnection(where, timeout))
    try:
        full = {} if body is None else {"Content-Type": "application/json"}
        full.update(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        connection.request(method, path, body, full)
        answer = connection.getresponse()
        text = answer.read()
        http_client.record(method, path, http_client.Answer(answer.status, "", answer.getheaders(), text))
        return answer.status, dict(answer.getheaders()), text
    finally:
        connection.close()


def json_request(where, method, path, body=None, headers=None, timeout=60):
    """(status, the answer's JSON)"""
    status, _, text = request(where, method, path, body, headers, timeout)
    return status, json.loads(text) if text else None


ACCOUNTS = {"do": [
    {"op": "open_account", "account": "world", "asset": "USD/2", "floor": None},
    {"op": "open_account", "account": "shop", "asset": "USD/2"}]}


def transfer(number, amount="1"):
    return {"id": f"t:{number}", "from": "world", "to": "shop", "asset": "USD/2", "amount": amount}


def open_accounts(where):
    return json_request(where, "POST", "/v1/commits", ACCOUNTS, {"Idempotency-Key": "open"})


def verify(directory):
    """(good, report or what was said)"""
    done = subprocess.run([HOLDFAST, "verify", "--json", directory], capture_output=True, text=True,
                          check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return False, done.stdout + done.stderr
    return done.returncode == 0 and report.get("ok") is True, report


def wait_until(what, seconds=READY_S, every=0.02):
    """True as soon as what() is."""
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(every)
    return True


def find_program(name):
    for folder, _, names in os.walk(BUILD):
        if name in names and os.access(os.path.join(folder, name), os.X_OK):
            return os.path.join(folder, name)
    sys.exit(f"no {name} below {BUILD}: build it first")
