#!/usr/bin/env python3
"""Hostile requests over raw sockets: right status and code, the server alive, another client unharmed meanwhile. Prints TAP.

A bystander commits and reads over a connection of its own, and over fresh ones, from the first test to the last: every one of its
requests must be answered as ever, and its books must be right at the end.
"""
import json
import os
import resource
import socket
import struct
import sys
import threading
import time

import http_client
from http_client import Broken, Client, Server, Wire, record
from tap import Tap

SECONDS = 60.0  # no wait here is longer; what should be cut off after 10 or 30 seconds is so on a busy machine, too
CONNECTIONS = 10000
COMMIT = b'{"do":[{"op":"put","document":"hostile","data":1}]}'

tap = Tap()
check = tap.check


def head(line="POST /v1/commits HTTP/1.1", *fields, host=True):
    lines = [line] + (["Host: localhost"] if host else []) + list(fields)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def commit_with(*fields, body=COMMIT):
    """A whole, good commit but for the fields."""
    return head("POST /v1/commits HTTP/1.1", "Content-Type: application/json", "Idempotency-Key: hostile", *fields) + body


LENGTH = f"Content-Length: {len(COMMIT)}"
CHUNKED = "Transfer-Encoding: chunked"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(COMMIT), COMMIT)
GET = "GET /v1/limits HTTP/1.1"
MANY = ",".join('{"op":"put","document":"d%d","data":1}' % n for n in range(10001)).encode()


def commit_json(text):
    data = text if isinstance(text, bytes) else text.encode()
    return commit_with(f"Content-Length: {len(data)}", body=data)


def data_json(text):
    """As the data of a document inside of a commit."""
    data = text if isinstance(text, bytes) else text.encode()
    return commit_json(b'{"do":[{"op":"put","document":"d","data":' + data + b"}]}")


# name, bytes, status or statuses, closed afterwards (None: whichever)
FRAMING = [
    # Smuggling: what two readers could frame differently.
    ("Content-Length and Transfer-Encoding", commit_with(LENGTH, CHUNKED, body=CHUNKS), 400, True),
    ("Transfer-Encoding and Content-Length", commit_with(CHUNKED, LENGTH, body=CHUNKS), 400, True),
    ("two Content-Lengths that differ", commit_with(LENGTH, "Content-Length: 5"), 400, True),
    ("two Content-Lengths that agree", commit_with(LENGTH, LENGTH), 400, True),
    ("a Content-Length list", commit_with(f"Content-Length: {len(COMMIT)}, {len(COMMIT)}"), 400, True),
    ("Content-Length with a plus", commit_with(f"Content-Length: +{len(COMMIT)}"), 400, True),
    ("Content-Length with a minus", commit_with("Content-Length: -1"), 400, True),
    ("Content-Length in hex", commit_with("Content-Length: 0x33"), 400, True),
    ("Content-Length with a space inside", commit_with("Content-Length: 5 1"), 400, True),
    ("an empty Content-Length", commit_with("Content-Length:"), 400, True),
    ("a Content-Length beyond 64 bits", commit_with("Content-Length: 99999999999999999999999"), (400, 413), True),
    ("a space before the colon", commit_with(f"Content-Length : {len(COMMIT)}"), 400, True),
    ("a tab before the colon", commit_with(f"Transfer-Encoding\t: chunked", body=CHUNKS), 400, True),
    ("obs-fold", commit_with("X-A: 1\r\n  folded", LENGTH), 400, True),
    ("obs-fold of Transfer-Encoding", commit_with("Transfer-Encoding:\r\n chunked", body=CHUNKS), (400, 501), True),
    ("bare LF behind a header", b"POST /v1/commits HTTP/1.1\r\nHost: localhost\nContent-Length: 0\r\n\r\n", 400, True),
    ("bare LF throughout", b"GET /v1/limits HTTP/1.1\nHost: localhost\n\n", 400, True),
    ("bare CR inside of a value", head(GET, "X-A: a\rb"), 400, True),
    ("NUL inside of a value", head(GET, "X-A: a\0b"), 400, True),
    ("NUL inside of a name", head(GET, "X\0A: b"), 400, True),
    ("a control character in a value", head(GET, "X-A: \x01"), 400, True),
    ("an empty name", head(GET, ": a"), 400, True),
    ("a name with a space", head(GET, "X A: b"), 400, True),
    ("a name with brackets", head(GET, "X(A): b"), 400, True),
    ("a header without a colon", head(GET, "XA"), 400, True),
    ("Transfer-Encoding: identity", commit_with("Transfer-Encoding: identity", body=CHUNKS), (400, 501), True),
    ("Transfer-Encoding: gzip, chunked", commit_with("Transfer-Encoding: gzip, chunked", body=CHUNKS), (400, 501), True),
    ("Transfer-Encoding: chunked, chunked", commit_with("Transfer-Encoding: chunked, chunked", body=CHUNKS), (400, 501), True),
    ("Transfer-Encoding: xchunked", commit_with("Transfer-Encoding: xchunked", body=CHUNKS), (400, 501), True),
    ("Transfer-Encoding: chunked with a quote", commit_with('Transfer-Encoding: "chunked"', body=CHUNKS), (400, 501), True),
    ("Transfer-Encoding twice", commit_with(CHUNKED, CHUNKED, body=CHUNKS), (400, 501), True),
    ("Transfer-Encoding with a vertical tab", commit_with("Transfer-Encoding: \x0bchunked", body=CHUNKS), 400, True),
    ("Transfer-Encoding in HTTP/1.0", head("POST /v1/commits HTTP/1.0", "Content-Type: application/json", CHUNKED) + CHUNKS,
     400, True),
    ("a chunk size that is no hex", commit_with(CHUNKED, body=b"zz\r\n"), 400, True),
    ("a chunk size with a minus", commit_with(CHUNKED, body=b"-5\r\n"), 400, True),
    ("a chunk size with 0x", commit_with(CHUNKED, body=b"0x5\r\n12345\r\n"), 400, True),
    ("a chunk size of 17 digits", commit_with(CHUNKED, body=b"00000000000000005\r\n"), 400, True),
    ("a chunk size that overflows", commit_with(CHUNKED, body=b"ffffffffffffffff\r\n"), (400, 413), True),
    ("white space behind a chunk size", commit_with(CHUNKED, body=b"5 \r\n12345\r\n"), 400, True),
    ("bare LF behind a chunk size", commit_with(CHUNKED, body=b"5\n12345\r\n0\r\n\r\n"), 400, True),
    ("a chunk without its end", commit_with(CHUNKED, body=b"5\r\n123456\r\n"), 400, True),
    ("an endless chunk extension", commit_with(CHUNKED, body=b"5;" + b"x" * 5000 + b"\r\n"), 400, True),
    ("endless trailers", commit_with(CHUNKED, body=b"0\r\n" + b"X-A: bbbbbbbbbbbbbbbbbbbb\r\n" * 2000), (400, 431), True),
    ("a trailer without a colon", commit_with(CHUNKED, body=b"0\r\nContent-Length\r\n\r\n"), 400, True),
    # Request lines.
    ("two spaces in the request line", head("GET  /v1/limits HTTP/1.1"), 400, True),
    ("a tab in the request line", head("GET\t/v1/limits HTTP/1.1"), 400, True),
    ("no version", b"GET /v1/limits\r\n\r\n", 400, True),
    ("HTTP/2.0", head("GET /v1/limits HTTP/2.0"), 505, True),
    ("HTTP/0.9", head("GET /v1/limits HTTP/0.9"), 505, True),
    ("http/1.1 in lower case", head("GET /v1/limits http/1.1"), (400, 505), True),
    ("HTTP/1.1x", head("GET /v1/limits HTTP/1.1x"), (400, 505), True),
    ("a version of many digits", head("GET /v1/limits HTTP/1.11"), (400, 505), True),
    ("a method with a bracket", head("G[T /v1/limits HTTP/1.1"), 400, True),
    ("a method of 40 bytes", head("G" * 40 + " /v1/limits HTTP/1.1"), 501, True),
    ("CONNECT", head("CONNECT localhost:7070 HTTP/1.1"), (400, 405, 501), None),
    ("a raw byte above 7E in the path", head("GET /v1/\xff HTTP/1.1"), 400, True),
    ("a control character in the path", head("GET /v1/\x01 HTTP/1.1"), 400, True),
    ("a fragment in the path", head("GET /v1/limits#x HTTP/1.1"), 400, True),
    ("a percent that escapes nothing", head("GET /v1/accounts/a%zz HTTP/1.1"), 400, True),
    ("a target without a slash", head("GET v1/limits HTTP/1.1"), 400, True),
    ("an absolute target of another host", head("GET http://evil.example/v1/limits HTTP/1.1"), (400, 403), None),
    ("no Host", head(GET, host=False), (400, 403), None),
    ("two Hosts", head(GET, "Host: localhost"), 400, True),
    ("a list of Hosts", head(GET, "Host: localhost, evil.example", host=False), (400, 403), None),
    ("a Host with a path", head(GET, "Host: localhost/evil", host=False), (400, 403), None),
    ("a Host with a user", head(GET, "Host: evil@localhost", host=False), (400, 403), None),
    ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505), True),
    ("garbage", bytes(range(256)) * 4, 400, True),
    ("a TLS ClientHello", bytes.fromhex("160301020001000001fc0303") + os.urandom(500), 400, True),
    # Oversized.
    ("a head of 20 KiB", head(GET, "X-A: " + "a" * 20000), 431, True),
    ("a head of many lines", head(GET, *[f"X-{n}: a" for n in range(3000)]), 431, True),
    ("65 more headers", head(GET, *[f"X-{n}: a" for n in range(65)]), 431, True),
    ("a target of 20 KiB", head("GET /v1/accounts?prefix=" + "a" * 20000 + " HTTP/1.1"), 414, True),
    ("a method without end", b"G" * 20000, (400, 414, 431, 501), True),
    ("a body of 5 MiB, told by its length", commit_with("Content-Length: 5242880", body=b""), 413, True),
    ("a body of 2^62 bytes", commit_with("Content-Length: 4611686018427387904", body=b""), 413, True),
    ("a body of 5 MiB in chunks", commit_with(CHUNKED, body=(b"10000\r\n" + b" " * 65536 + b"\r\n") * 80), 413, True),
    ("Expect: something else", commit_with("Expect: 200-ok", LENGTH), 417, True),
]

# name, bytes, status, code, failed; the connection goes on, for the framing is fine
CONTENT = [
    ("65 levels of arrays", data_json("[" * 65 + "]" * 65), 400, "invalid_request"),
    ("100,000 levels of arrays", data_json("[" * 100000), 400, "invalid_request"),
    ("100,000 levels of objects", data_json('{"a":' * 100000), 400, "invalid_request"),
    ("a member twice", commit_json('{"do":[],"do":[]}'), 400, "invalid_request"),
    ("a member twice, deep inside of data", data_json('[[{"a":1,"b":2,"a":3}]]'), 400, "invalid_request"),
    ("a member twice, once escaped", data_json('{"a":1,"\\u0061":2}'), 400, "invalid_request"),
    ("a member twice among 50,000", data_json("{" + ",".join(f'"m{n}":1' for n in range(50000)) + ',"m7":2}'), 400,
     "invalid_request"),
    ("bytes that are no UTF-8", data_json(b'"\xff\xfe"'), 400, "invalid_request"),
    ("an overlong form", data_json(b'"\xc0\xaf"'), 400, "invalid_request"),
    ("a surrogate in UTF-8", data_json(b'"\xed\xa0\x80"'), 400, "invalid_request"),
    ("a truncated UTF-8 sequence", data_json(b'"\xe2\x82"'), 400, "invalid_request"),
    ("half a surrogate pair by escape", data_json('"\\ud800"'), 400, "invalid_request"),
    ("a wrong escape", data_json('"\\x41"'), 400, "invalid_request"),
    ("a raw line end in a string", data_json('"a\nb"'), 400, "invalid_request"),
    ("a byte order mark", commit_json(b"\xef\xbb\xbf" + COMMIT), 400, "invalid_request"),
    ("UTF-16", commit_json(COMMIT.decode().encode("utf-16")), 400, "invalid_request"),
    ("NaN", data_json("NaN"), 400, "invalid_request"),
    ("Infinity", data_json("-Infinity"), 400, "invalid_request"),
    ("a number with a leading zero", data_json("01"), 400, "invalid_request"),
    ("a number that ends in a point", data_json("1."), 400, "invalid_request"),
    ("a number with a plus", data_json("+1"), 400, "invalid_request"),
    ("a number that begins with a point", data_json(".5"), 400, "invalid_request"),
    ("a hex number", data_json("0x10"), 400, "invalid_request"),
    ("a trailing comma", data_json("[1,]"), 400, "invalid_request"),
    ("a comment", data_json("/* x */ 1"), 400, "invalid_request"),
    ("single quotes", data_json("'a'"), 400, "invalid_request"),
    ("something behind the end", commit_json(COMMIT + b" {}"), 400, "invalid_request"),
    ("nothing but white space", commit_json("  \r\n\t "), 400, "invalid_request"),
    ("cut off inside of a string", commit_json(COMMIT[:20]), 400, "invalid_request"),
    ("an array instead of an object", commit_json("[]"), 400, "invalid_request"),
    ("null", commit_json("null"), 400, "invalid_request"),
    ("an unknown member", commit_json('{"do":[{"op":"put","document":"d","data":1,"x":1}]}'), 400, "invalid_request"),
    ("an unknown operation", commit_json('{"do":[{"op":"mint"}]}'), 400, "invalid_request"),
    ("operations that are no objects", commit_json('{"do":[1,"a",null]}'), 400, "invalid_request"),
    ("10,001 operations", commit_json(b'{"do":[' + MANY + b"]}"), (400, 413), ("invalid_request", "too_large")),
    ("a version of 2^53", commit_json('{"if":[{"document":"d","version":9007199254740992}],"do":[]}'), 400, "invalid_request"),
    ("a version of 1e400", commit_json('{"if":[{"document":"d","version":1e400}],"do":[]}'), 400, "invalid_request"),
    ("a version that is negative", commit_json('{"if":[{"document":"d","version":-1}],"do":[]}'), 400, "invalid_request"),
    ("a document above 1 MiB", data_json('"' + "a" * (1 << 20) + '"'), 413, "too_large"),
    ("metadata above 16 KiB", commit_json('{"do":[{"op":"put","document":"d","data":1}],"metadata":{"a":"' + "a" * 16384 + '"}}'),
     (400, 413), ("invalid_request", "too_large")),
    ("an escaped NUL in a name", commit_json('{"do":[{"op":"put","document":"a\\u0000","data":1}]}'), 400, "invalid_request"),
    ("an escaped NUL in the path", head("GET /v1/accounts/a%00 HTTP/1.1"), 400, "invalid_request"),
    ("dots in the path", head("GET /v1/../../etc/passwd HTTP/1.1"), (400, 404), ("invalid_request", "not_found")),
    ("escaped dots in the path", head("GET /v1/%2e%2e/%2e%2e/etc/passwd HTTP/1.1"), (400, 404), ("invalid_request", "not_found")),
    ("a query parameter twice", head("GET /v1/accounts?limit=1&limit=2 HTTP/1.1"), 400, "invalid_request"),
    ("200 query parameters", head("GET /v1/accounts?" + "&".join(f"p{n}=1" for n in range(200)) + " HTTP/1.1"), 400, "invalid_request"),
    ("a cursor of garbage", head("GET /v1/accounts?after=AAAAAAAA HTTP/1.1"), 400, "invalid_request"),
    ("a position beyond 2^53", head("GET /v1/commits/99999999999999999999 HTTP/1.1"), 400, "invalid_request"),
    ("a path of many segments", head("GET /" + "a/" * 500 + " HTTP/1.1"), 404, "not_found"),
]


def as_set(value):
    return set(value) if isinstance(value, tuple) else {value}


def target_of(data):
    words = data.lstrip(b"\r\n").split(b"\r\n", 1)[0].split(b" ")
    if len(words) != 3:
        return "GET", "/none"
    return words[0].decode("latin-1"), words[1].decode("latin-1").removeprefix("http://localhost")


def ask(server, data):
    """(answer or None, closed behind it)"""
    wire = Wire(server.address, SECONDS)
    answer = None
    try:
        try:
            wire.send(data)
        except OSError:
            pass  # the answer came before all was sent
        method, target = target_of(data)
        answer = record(method if method.isalpha() and len(method) < 10 else "GET", target, wire.answer(method))
        wire.socket.settimeout(0.3)
        try:
            closed = wire.ended()
        except (TimeoutError, socket.timeout):
            closed = False
        return answer, closed
    except (Broken, OSError, AssertionError) as error:
        return answer, error
    finally:
        wire.close()


class Bystander:
    """Somebody else's requests."""

    def __init__(self, server):
        self.server = server
        self.stop = threading.Event()
        self.done = 0
        self.wrong = []
        self.slowest = 0.0
        client = Client(server)
        for name, floor in (("by:world", None), ("by:user", "0")):
            assert client.put(f"/v1/accounts/{name}", {"asset": "USD/2", "floor": floor}).status == 201
        client.close()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        kept = Client(self.server)
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                fresh = Client(self.server)
                client = kept if self.done % 2 else fresh
                answer = client.post("/v1/transfers", {"id": f"by:{self.done}", "from": "by:world", "to": "by:user", "asset": "USD/2",
                                                       "amount": "1"})
                fresh.close()
                if answer.status != 201 or answer.replayed or answer.json["to"]["posted"] != str(self.done + 1):
                    self.wrong.append(answer)
            except Exception as error:  # whatever it is, a bystander must not see it
                self.wrong.append(repr(error))
                break
            self.done += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            time.sleep(0.005)
        kept.close()

    def finish(self):
        self.stop.set()
        self.thread.join()
        return not self.wrong and self.done > 100


def framing(server):
    for name, data, statuses, closes in FRAMING:
        answer, closed = ask(server, data)
        good = answer is not None and answer.status in as_set(statuses) and answer.code is not None
        good = good and (closes is None or closed is True)
        check(good and server.alive(), f"framing: {name}: {'/'.join(map(str, sorted(as_set(statuses))))}",
              f"{answer} closed: {closed}")


def content(server):
    for name, data, statuses, codes in CONTENT:
        answer, closed = ask(server, data)
        good = answer is not None and answer.status in as_set(statuses) and answer.code in as_set(codes)
        check(good and closed is False and server.alive(), f"content: {name}: {'/'.join(sorted(as_set(codes)))}",
              f"{answer} closed: {closed}")


def allowed(server):
    """What looks odd and is right."""
    good = [
        ("one empty line before the request", b"\r\n" + head(GET), 200),
        ("an absolute target of the Host", head("GET http://localhost/v1/limits HTTP/1.1"), 200),
        ("chunks with extensions and trailers",
         commit_with(CHUNKED, body=b"%x;a=b\r\n%s\r\n0\r\nX-A: b\r\n\r\n" % (len(COMMIT), COMMIT)), 201),
        ("chunks of one byte", commit_with(CHUNKED, body=b"".join(b"1\r\n%c\r\n" % byte for byte in COMMIT) + b"0\r\n\r\n"), 201),
        ("64 levels", data_json("[" * 60 + "]" * 60), 422),
        ("an unknown Upgrade", head(GET, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"), 200),
        ("header names in any case", b"GET /v1/limits HTTP/1.1\r\nhOsT:localhost\r\n\r\n", 200),
        ("HTTP/1.0", head("GET /v1/limits HTTP/1.0"), 200),
    ]
    for name, data, status in good:
        answer, _ = ask(server, data)
        check(answer is not None and answer.status == status, f"allowed: {name}: {status}", answer)


def smuggled(server):
    """A request hidden in the body of another is never carried out."""
    hidden = head("PUT /v1/accounts/smuggled HTTP/1.1", "Content-Type: application/json", "Content-Length: 17") + b'{"asset":"USD/2"}'
    forms = [
        commit_with(LENGTH, CHUNKED, body=b"0\r\n\r\n" + hidden),
        commit_with("Content-Length: 0", f"Content-Length: {len(hidden)}", body=hidden),
        commit_with("Content-Length: 6", CHUNKED, body=b"0\r\n\r\nG" + hidden),
        commit_with("Transfer-Encoding: xchunked", f"Content-Length: {len(hidden)}", body=hidden),
        commit_with("Transfer-Encoding : chunked", f"Content-Length: {len(hidden)}", body=hidden),
        b"GET /v1/limits HTTP/1.1\r\nHost: localhost\r\nX: a\n\n" + hidden,
        commit_with("Content-Length: 5242880", body=hidden),
        commit_with(CHUNKED, body=b"5\r\n12345" + hidden),
        head("GET /v1/limits HTTP/1.1", "Host: localhost") + hidden,
    ]
    for data in forms:
        ask(server, data)
    client = Client(server)
    answer = client.get("/v1/accounts/smuggled")
    client.close()
    check(answer.status == 404, "smuggling: nothing hidden in another request was carried out", answer)


def pipelines(server):
    wire = Wire(server.address, SECONDS)
    wire.send(b"".join(head(f"GET /v1/accounts/none{n} HTTP/1.1") for n in range(200)) + head(GET))
    statuses = [wire.answer().status for _ in range(201)]
    check(statuses == [404] * 200 + [200], "pipelining: 201 requests at once are answered in order", statuses)
    wire.close()
    wire = Wire(server.address, SECONDS)
    wire.send(head(GET) + b"\x00\x01garbage\r\n\r\n" + head(GET))
    first, second = wire.answer(), record("GET", "/none", wire.answer())
    check((first.status, second.status, wire.ended()) == (200, 400, True), "pipelining: garbage behind a request is 400, then the end",
          (first, second))
    wire.close()
    wire = Wire(server.address, SECONDS)
    body = json.dumps({"do": [{"op": "append", "stream": "pipe", "type": "a", "data": 1}]}).encode()
    wire.send(b"".join(head("POST /v1/commits HTTP/1.1", "Content-Type: application/json", f"Content-Length: {len(body)}",
                            f"Idempotency-Key: pipe{n}") + body for n in range(50)))
    versions = [wire.answer("POST").json["results"][0]["version"] for _ in range(50)]
    check(versions == list(range(1, 51)), "pipelining: 50 commits are done in order", versions)
    wire.close()


def expect_continue(server):
    wire = Wire(server.address, SECONDS)
    wire.send(commit_with("Expect: 100-continue", LENGTH, body=b""))
    line = wire.take_line()
    wire.take_line()
    check(line.startswith("HTTP/1.1 100"), "Expect: 100-continue is answered before the body", line)
    wire.send(COMMIT)
    check(wire.answer("POST").status == 201, "and then the request")
    wire.close()
    for name, fields, status in (("415", ["Content-Type: text/plain"], 415), ("413", ["Content-Type: application/json"], 413)):
        wire = Wire(server.address, SECONDS)
        wire.send(head("POST /v1/commits HTTP/1.1", *fields, "Expect: 100-continue",
                       f"Content-Length: {5242880 if status == 413 else 10}"))
        line = wire.take_line()
        check(line.startswith(f"HTTP/1.1 {status}"), f"Expect: 100-continue of what is refused by its head is {name} at once", line)
        wire.close()


def half_closed(server):
    wire = Wire(server.address, SECONDS)
    wire.send(commit_with(LENGTH))
    wire.socket.shutdown(socket.SHUT_WR)
    check(wire.answer("POST").status == 201 and wire.ended(), "half-closed behind a request: it is answered, then the end")
    wire.close()
    for name, data in (("a request line", b"GET /v1/li"), ("a head", b"GET /v1/limits HTTP/1.1\r\nHost: loc"),
                       ("a body", commit_with(LENGTH, body=COMMIT[:10])), ("a chunk", commit_with(CHUNKED, body=b"33\r\n{"))):
        wire = Wire(server.address, SECONDS)
        wire.send(data)
        wire.socket.shutdown(socket.SHUT_WR)
        while wire.more():
            pass
        good = wire.buffer == b"" or wire.buffer.startswith(b"HTTP/1.1 400")
        check(good and server.alive(), f"half-closed inside of {name}: 400 or the end", wire.buffer)
        wire.close()
    for _ in range(100):  # gone without a word, a request under way
        wire = Wire(server.address, SECONDS)
        wire.send(commit_with(LENGTH))
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.close()
    check(Client(server).get("/healthz").status == 200, "100 connections reset behind their requests: the server goes on")


class Slow(threading.Thread):
    """Connections that trickle; each must be cut off, and in the meantime cost nobody anything."""

    def __init__(self, server, name, start, drip, connections):
        super().__init__()
        self.server, self.name_of, self.begin, self.drip, self.connections = server, name, start, drip, connections
        self.problem = None
        self.seen = []

    def run(self):
        try:
            wires = [Wire(self.server.address, SECONDS) for _ in range(self.connections)]
            for wire in wires:
                wire.send(self.begin)
                wire.socket.setblocking(False)
            end = time.monotonic() + SECONDS
            left = list(wires)
            while left and time.monotonic() < end:
                time.sleep(0.5)
                for wire in list(left):
                    try:
                        data = wire.socket.recv(65536)
                        wire.buffer += data
                        gone = not data
                    except BlockingIOError:
                        gone = False
                    except OSError:
                        gone = True
                    if not gone:
                        try:
                            wire.socket.send(self.drip)
                        except BlockingIOError:
                            pass
                        except OSError:
                            gone = True
                    if gone:
                        left.remove(wire)
                        self.seen.append(wire.buffer.split(b"\r\n")[0])
            for wire in wires:
                wire.close()
            if left:
                self.problem = f"{len(left)} of {self.connections} still open"
            elif any(line and b" 408 " not in line for line in self.seen):
                self.problem = f"answers {set(self.seen)}"
        except Exception as error:
            self.problem = repr(error)

    def report(self):
        self.join()
        check(self.problem is None, f"slow: {self.name_of}: cut off, with 408 if with anything", self.problem)


class Deaf(threading.Thread):
    """Asks for much and reads nothing."""

    def __init__(self, server):
        super().__init__()
        self.server = server
        self.problem = None

    def run(self):
        try:
            wires = []
            for _ in range(5):
                wire = Wire(self.server.address, SECONDS)
                wire.socket.setblocking(False)
                try:
                    wire.socket.send(head("GET /v1/documents/big HTTP/1.1") * 100)
                except BlockingIOError:
                    pass
                wires.append(wire)
            time.sleep(45)  # writing ends after 30 seconds without progress
            for wire in wires:
                wire.socket.settimeout(SECONDS)
                total = 0
                while wire.more():
                    total += len(wire.buffer)
                    wire.buffer = b""
                if total >= 100 << 20:
                    self.problem = "all of it was sent"
                wire.close()
        except Exception as error:
            self.problem = repr(error)


def crowd(server):
    """As many connections as the limit of open files allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(CONNECTIONS, hard - 500 if hard != resource.RLIM_INFINITY else CONNECTIONS)
    wires = []
    for _ in range(wanted):
        wires.append(Wire(server.address, SECONDS))
    check(server.alive(), f"{wanted} connections are open")
    client = Client(server)
    shown = client.get("/v1/status").json["http"]["connections"]
    check(shown >= wanted - 200, "the server counts them", shown)
    answered = 0
    for wire in wires[::-10]:
        wire.send(head(GET))
    for wire in wires[::-10]:
        try:
            answered += wire.answer().status == 200
        except (Broken, OSError):
            pass
    check(answered >= len(wires[::-10]) * 0.95, "a tenth of them ask, and are answered", answered)
    more = [Wire(server.address, SECONDS) for _ in range(100)]
    late = 0
    for wire in more:
        try:
            wire.send(head(GET))
            late += wire.answer().status == 200
        except (Broken, OSError):
            pass
    check(late == 100, "beyond the limit a new one takes the place of the one that was idle longest", late)
    check(client.get("/v1/limits").status == 200, "and whoever was there goes on")
    for wire in wires + more:
        wire.close()
    client.close()


def main():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Server() as server:
        client = Client(server)
        assert client.put("/v1/documents/big", '"' + "b" * 1000000 + '"', none_match="*").status == 201
        client.close()
        bystander = Bystander(server)
        slow = [
            Slow(server, "50 heads, a byte every half second", b"GET /v1/limits HTTP/1.1\r\nHost: localhost\r\n", b"X", 50),
            Slow(server, "20 bodies, a byte every half second", commit_with("Content-Length: 100000", body=b""), b" ", 20),
            Slow(server, "20 chunked bodies, a chunk every half second", commit_with(CHUNKED, body=b""), b"1\r\n \r\n", 20),
        ]
        deaf = Deaf(server)
        for thread in slow + [deaf]:
            thread.start()
        framing(server)
        content(server)
        allowed(server)
        smuggled(server)
        pipelines(server)
        expect_continue(server)
        half_closed(server)
        for thread in slow:
            thread.report()
        deaf.join()
        check(deaf.problem is None, "slow: 5 peers that ask for 100 MB each and read nothing are cut off", deaf.problem)
        crowd(server)
        check(bystander.finish(), "another client's requests were answered as ever, all the time", bystander.wrong[:3])
        print(f"# {bystander.done} requests of another client, the slowest {bystander.slowest * 1000:.0f} ms", flush=True)
        client = Client(server)
        posted = client.get("/v1/accounts/by:user").json["posted"]
        check(posted == str(bystander.done), "and its books are right", posted)
        counts = client.get("/v1/status").json["http"]
        check(counts["timed_out"] >= 90 and counts["refused"] >= 60 and counts["body_bytes_held"] == 0,
              "the server counted what it refused and cut off, and holds no body any more", counts)
        client.close()
        check(server.alive() and server.stop() == 0, "the server is alive, and stops with 0")
        status, out, err = server.holdfast("verify", server.data)
        check(status == 0, "what it stored verifies", out + err)
    check(not http_client.VIOLATIONS, "every answer is as docs/openapi.yaml has it",
          "\n".join(http_client.VIOLATIONS[:10]))
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
