"""A client for tests that holds every answer against docs/openapi.yaml, and a server to talk to.

    with Server() as server:
        client = Client(server)
        answer = client.post("/v1/commits", {"do": [...]}, key="k1")
        answer.status, answer.headers["holdfast-position"], answer.body, answer.json

Standard library alone, but for what openapi_check.py needs. What an answer has that the document does not promise is put
into VIOLATIONS; protocol_suite.py fails the test that saw it. Requests are written as bytes, so that a test can send what no
well-behaved client would.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from openapi_check import Document, load_json

BUILD = os.environ.get("HOLDFAST_BUILD", "build")
HOLDFAST = os.environ.get("HOLDFAST", os.path.join(BUILD, "holdfast"))
SECONDS_MAX = 60.0  # no answer takes so long: the server itself ends a wait after 30

VIOLATIONS = []
ANSWERS_SEEN = 0
document = None


def the_document():
    global document
    if document is None:
        document = Document()
    return document


class Broken(Exception):
    """The connection ended before an answer was whole."""


class Answer:
    """status, reason, headers (lower case -> value), pairs (as they came), body (bytes)."""

    def __init__(self, status, reason, pairs, body):
        self.status = status
        self.reason = reason
        self.pairs = pairs
        self.headers = {}
        for name, value in pairs:
            name = name.lower()
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        self.body = body

    @property
    def json(self):
        return load_json(self.body)

    @property
    def code(self):
        """Of a problem document; None of any other answer."""
        if self.headers.get("content-type") != "application/problem+json":
            return None
        return self.json["code"]

    @property
    def position(self):
        return int(self.headers["holdfast-position"])

    @property
    def etag(self):
        return self.headers.get("etag")

    @property
    def replayed(self):
        return self.headers.get("idempotent-replayed") == "true"

    def __repr__(self):
        return f"{self.status} {dict(self.pairs)} {self.body[:500]!r}"


class Wire:
    """A connection, as bytes."""

    def __init__(self, address, seconds=SECONDS_MAX):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(seconds)
        self.socket.connect(address)
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        """False: the peer has closed."""
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        self.buffer += data
        return bool(data)

    def take(self, size):
        while len(self.buffer) < size:
            if not self.more():
                raise Broken(f"closed {size - len(self.buffer)} bytes early: {self.buffer[:200]!r}")
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def take_line(self):
        while b"\r\n" not in self.buffer:
            if not self.more():
                raise Broken(f"closed inside a line: {self.buffer[:200]!r}")
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("latin-1")

    def answer(self, method="GET"):
        """The next final answer (100 Continue is passed over)."""
        while True:
            status_line = self.take_line()
            match = re.fullmatch(r"HTTP/1\.1 ([1-5][0-9][0-9]) ?(.*)", status_line)
            if match is None:
                raise AssertionError(f"no status line: {status_line!r}")
            pairs = []
            while True:
                line = self.take_line()
                if not line:
                    break
                name, colon, value = line.partition(":")
                assert colon and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name), f"header {line!r}"
                pairs.append((name, value.strip(" \t")))
            status = int(match.group(1))
            if status >= 200:
                break
        names = {name.lower(): value for name, value in pairs}
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif names.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while True:
                size = int(self.take_line().split(";")[0], 16)
                body += self.take(size)
                self.take_line()
                if size == 0:
                    break
        else:
            assert "content-length" in names, f"an answer without a length: {status_line!r} {pairs}"
            body = self.take(int(names["content-length"]))
        return Answer(status, match.group(2), pairs, body)

    def ended(self):
        """Waits for the peer's close; True if nothing more came before it."""
        rest = self.buffer
        while self.more():
            rest = self.buffer
        return rest == b"" and self.buffer == b""

    def close(self):
        self.socket.close()


def record(method, target, answer):
    """Holds an answer against the document."""
    global ANSWERS_SEEN
    ANSWERS_SEEN += 1
    VIOLATIONS.extend(the_document().judge(method, target, answer.status, answer.headers, answer.body))
    return answer


class Client:
    """One connection that is kept; it is made anew when it broke between two requests."""

    def __init__(self, server, token=None, host=None, address=None):
        self.address = address or server.address
        self.host = host or ("localhost" if isinstance(self.address, str) else
                             f"127.0.0.1:{self.address[1]}")
        self.token = token
        self.wire = None

    def close(self):
        if self.wire is not None:
            self.wire.close()
            self.wire = None

    def request(self, method, target, body=None, headers=(), key=None, match=None, none_match=None,
                content_type=None):
        """body: bytes as they are, anything else as JSON. headers: further (name, value) pairs; a value None takes a
        default away."""
        fields = {"Host": self.host}
        if isinstance(body, (bytes, str)):
            data = body.encode() if isinstance(body, str) else body
        else:
            data = None if body is None else json.dumps(body).encode()
        if data is not None:
            fields["Content-Type"] = "application/json" if content_type is None else content_type
            fields["Content-Length"] = str(len(data))
        elif method in ("POST", "PUT", "PATCH"):
            fields["Content-Length"] = "0"
        if self.token is not None:
            fields["Authorization"] = f"Bearer {self.token}"
        if key is not None:
            fields["Idempotency-Key"] = key
        if match is not None:
            fields["If-Match"] = match
        if none_match is not None:
            fields["If-None-Match"] = none_match
        lines = []
        given = list(headers.items() if isinstance(headers, dict) else headers)
        replaced = {name.lower() for name, _ in given}
        for name, value in list(fields.items()):
            if name.lower() not in replaced:
                lines.append((name, value))
        lines += [(name, value) for name, value in given if value is not None]
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in lines) + "\r\n"
        return self.exchange(method, target, head.encode("latin-1") + (data or b""))

    def exchange(self, method, target, data):
        fresh = self.wire is None
        for _ in range(2):
            if self.wire is None:
                self.wire = Wire(self.address)
            try:
                self.wire.send(data)
                answer = self.wire.answer(method)
                break
            except (Broken, ConnectionError):
                self.close()
                if fresh:
                    raise
                fresh = True  # the server may close an idle connection at any time
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return record(method, target, answer)

    def get(self, target, **more):
        return self.request("GET", target, **more)

    def post(self, target, body=None, **more):
        return self.request("POST", target, body, **more)

    def put(self, target, body=None, **more):
        return self.request("PUT", target, body, **more)

    def patch(self, target, body=None, **more):
        return self.request("PATCH", target, body, **more)

    def delete(self, target, **more):
        return self.request("DELETE", target, **more)

    def commit(self, *operations, conditions=None, key=None, metadata=None, target="/v1/commits"):
        body = {"do": list(operations)}
        if conditions is not None:
            body["if"] = conditions
        if metadata is not None:
            body["metadata"] = metadata
        return self.post(target, body, key=key)


class Server:
    """`holdfast serve` on a free loopback port, in a temporary directory unless data is given."""

    def __init__(self, *options, data=None, environment=None):
        self.work = None
        if data is None:
            self.work = tempfile.mkdtemp(prefix="holdfast-http-", dir=os.environ.get("HOLDFAST_TMP", BUILD))
            data = os.path.join(self.work, "data")
        self.data = data
        self.options = list(options)
        self.environment = environment
        self.process = None
        self.address = None
        self.log = None

    def start(self):
        log_path = (self.work or self.data) + "/server.log" if self.work else self.data + ".log"
        self.log = open(log_path, "ab")
        command = [HOLDFAST, "serve", "--data", self.data, "--listen", "127.0.0.1:0", *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log,
                                        env={**os.environ, **(self.environment or {})})
        line = self.process.stdout.readline().decode("utf-8", "replace")
        match = re.search(r"127\.0\.0\.1:([0-9]+)", line)
        if match is None:
            self.kill()
            with open(log_path, encoding="utf-8", errors="replace") as file:
                raise RuntimeError(f"the server said {line!r}\n{file.read()[-2000:]}")
        self.address = ("127.0.0.1", int(match.group(1)))
        return self

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """The exit status of a clean stop."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
                return None
        status = self.process.returncode
        self.process.stdout.close()
        self.log.close()
        return status

    def kill(self):
        if self.alive():
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def restart(self):
        self.stop()
        return self.start()

    def log_text(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def holdfast(self, *arguments):
        """(exit status, standard output, standard error) of another command."""
        done = subprocess.run([HOLDFAST, *arguments], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        if self.work is not None:
            shutil.rmtree(self.work, ignore_errors=True)


def wait_until(condition, seconds=SECONDS_MAX):
    """Polls; True as soon as it holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()
