#!/usr/bin/env python3
"""Push subscriptions over real HTTP: SW1 to SW5, CE2, CE5, order by key, kills. The receiver is a server of this program. Prints TAP."""
import base64
import hashlib
import hmac
import http.server
import json
import os
import re
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import Server, Tap, json_request, request  # noqa: E402

WAIT_S = 60  # nothing here asserts how long; a loaded machine may take its time
OLD, NEW = (os.urandom(size) for size in (24, 64))


def whsec(secret):
    return "whsec_" + base64.b64encode(secret).decode()


class Receiver:
    """Keeps each request; answers what `answer(request, times this webhook-id came)` says: (status, headers, body)."""

    def __init__(self):
        self.requests = []
        self.at_once = self.most_at_once = 0
        self.answer = lambda _request, _times: (204, {}, b"")
        self.lock = threading.Condition()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                seen = {"path": self.path, "headers": {name.lower(): value for name, value in self.headers.items()},
                        "body": body, "at": time.time()}
                with outer.lock:
                    outer.requests.append(seen)
                    times = sum(each["headers"].get("webhook-id") == seen["headers"].get("webhook-id")
                                for each in outer.requests)
                    outer.at_once += 1
                    outer.most_at_once = max(outer.most_at_once, outer.at_once)
                    outer.lock.notify_all()
                status, headers, text = outer.answer(seen, times)
                text = b"" if status == 204 else text  # which has no body: it would be taken for the next answer
                with outer.lock:
                    outer.at_once -= 1
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)
                except ConnectionError:  # the caller has given up
                    self.close_connection = True

            do_GET = do_POST

            def log_message(self, *_arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path="/hook"):
        return f"http://127.0.0.1:{self.port}{path}"

    def wait(self, path, count, seconds=WAIT_S):
        """The requests of a path, once there are so many."""
        until = time.monotonic() + seconds
        with self.lock:
            while True:
                found = [each for each in self.requests if each["path"] == path]
                left = until - time.monotonic()
                if len(found) >= count or left <= 0:
                    return found
                self.lock.wait(left)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Rig:
    def __init__(self, work):
        self.work = work
        self.directory = os.path.join(work, "data")
        self.secrets = os.path.join(work, "secrets")
        self.write_secrets(f"old {whsec(OLD)}\nnew {whsec(NEW)}\ntoken Bearer letmein\n")
        self.receiver = Receiver()
        self.server = None
        self.count = 0

    def write_secrets(self, text, mode=0o600):
        with open(self.secrets, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(self.secrets, mode)

    def start(self, *more, allow="127.0.0.0/8"):
        arguments = ["--secrets", self.secrets, *more]
        if allow:
            arguments += ["--deliver-allow", allow]
        self.server = Server(self.directory, *arguments)
        assert self.server.ready() is not None, self.server.errors()

    def call(self, method, path, body=None, headers=None):
        return json_request(self.server.port, method, path, body, headers)

    def subscribe(self, name, push, status=201, headers=None, **settings):
        settings.setdefault("filter", {"topic": name})
        settings.setdefault("backoff", {"first_ms": 10, "max_ms": 50})
        push.setdefault("url", self.receiver.url("/" + name))
        got, answer = self.call("PUT", f"/v1/subscriptions/{name}", {**settings, "push": push}, headers)
        assert got == status, answer
        return answer

    def publish(self, topic, *messages, metadata=None):
        """(key, data) each, as one commit."""
        self.count += 1
        body = {"do": [{"op": "publish", "topic": topic, "key": key, "type": "thing.made", "data": data}
                       for key, data in messages]}
        if metadata:
            body["metadata"] = metadata
        status, answer = self.call("POST", "/v1/commits", body, {"Idempotency-Key": f"p-{topic}-{self.count}"})
        assert status == 201, answer
        return [each["message"] for each in answer["results"]]

    def subscription(self, name):
        return self.call("GET", f"/v1/subscriptions/{name}")[1]

    def until(self, good, seconds=WAIT_S):
        end = time.monotonic() + seconds
        while not good():
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def wait_ended(self, name, count):
        return self.until(lambda: self.subscription(name)["ended"] >= count)

    def metric(self, name):
        _, _, text = request(self.server.port, "GET", "/metrics")
        found = re.search(rf"^holdfast_{name} (\S+)$", text.decode(), re.M)
        return float(found.group(1)) if found else None


def signature(secret, seen):
    content = f"{seen['headers']['webhook-id']}.{seen['headers']['webhook-timestamp']}.".encode() + seen["body"]
    return "v1," + base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()


def test_binary(tap, rig):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    rig.subscribe("binary", {"secrets": ["old"], "headers": {"X-Shop": "berlin", "Authorization": {"secret": "token"}}})
    message = rig.publish("binary", ("order-7", {"n": 1, "text": "\u00e9\U0001F600"}),
                          metadata={"traceparent": trace, "tracestate": "rojo=1", "correlationid": "Euro \u20ac \U0001F600"})[0]
    seen = rig.receiver.wait("/binary", 1)[0]
    headers = seen["headers"]
    tap.check(json.loads(seen["body"]) == {"n": 1, "text": "\u00e9\U0001F600"}, "CE2: the body is the data", seen["body"])
    tap.check(headers["content-type"] == "application/json" and "ce-datacontenttype" not in headers,
              "CE2: the content type is the data's, and no ce- header", headers)
    tap.check((headers["ce-specversion"], headers["ce-id"], headers["ce-source"], headers["ce-type"]) ==
              ("1.0", message, "/spaces/0", "thing.made"), "CE2: the required attributes are headers", headers)
    tap.check((headers["ce-subject"], headers["ce-partitionkey"]) == ("topics/binary", "order-7") and
              re.fullmatch(r"\d{16}-\d{10}", headers["ce-sequence"]) and headers["ce-time"].endswith("Z"),
              "CE2: optional attributes and extensions, too", headers)
    tap.check(headers["ce-correlationid"] == "Euro%20%E2%82%AC%20%F0%9F%98%80", "CE2: percent-encoded", headers)
    tap.check(headers["ce-traceparent"] == trace and headers["ce-tracestate"] == "rojo=1", "the event's trace stays")
    outgoing = headers["traceparent"].split("-")
    tap.check(outgoing[1] == trace.split("-")[1] and outgoing[2] != trace.split("-")[2] and headers["tracestate"] == "rojo=1",
              "TC3: a new parent of the same trace", headers["traceparent"])
    tap.check(headers["x-shop"] == "berlin" and headers["authorization"] == "Bearer letmein", "headers of its own, and secret ones")
    tap.check("." not in headers["webhook-id"] and headers["webhook-id"], "SW1: a webhook-id without dots", headers["webhook-id"])
    tap.check(abs(int(headers["webhook-timestamp"]) - seen["at"]) < 300, "SW1, SW3: the time of this attempt")
    tap.check(headers["webhook-signature"] == signature(OLD, seen), "SW2: signed", headers["webhook-signature"])
    tap.check("accept-encoding" not in headers and "expect" not in headers, "no Expect, no compression asked for")
    tap.check(rig.wait_ended("binary", 1), "2xx acks")
    status, text = rig.call("GET", "/v1/subscriptions/binary")
    tap.check("letmein" not in json.dumps(text) and text["push"]["headers"]["Authorization"] == {"secret": "token"},
              "a secret's value is not shown", text)


def test_structured(tap, rig):
    rig.subscribe("structured", {"mode": "structured", "secrets": ["old", "new"]})
    message = rig.publish("structured", ("k", [1, "two"]))[0]
    seen = rig.receiver.wait("/structured", 1)[0]
    event = json.loads(seen["body"])
    tap.check(seen["headers"]["content-type"] == "application/cloudevents+json", "CE3: the content type")
    tap.check(event["specversion"] == "1.0" and event["id"] == message and event["data"] == [1, "two"] and
              not any(name.startswith("ce-") for name in seen["headers"]), "CE3: the whole event is the body", event)
    tap.check(seen["headers"]["webhook-signature"] == f"{signature(OLD, seen)} {signature(NEW, seen)}",
              "SW2: two secrets, two signatures", seen["headers"]["webhook-signature"])


def test_statuses(tap, rig):
    """CE5: which answers are a success; the rest comes again until it is a dead letter."""
    answers = {f"s{status}": status for status in (200, 201, 202, 204, 206, 301, 302, 307, 400, 404, 415, 500, 503)}
    rig.receiver.answer = lambda seen, times: (answers.get(seen["path"][1:], 204),
                                               {"Location": rig.receiver.url("/elsewhere")}, b"because")
    for name in answers:
        rig.subscribe(name, {}, attempts_max=2)
        rig.publish(name, ("k", status_data(name)))
    for name, status in answers.items():
        good = 200 <= status < 300
        settled = rig.until(lambda name=name, good=good: rig.subscription(name)["acked" if good else "parked"] == 1)
        calls = rig.receiver.wait("/" + name, 1 if good else 2)
        tap.check(settled and len(calls) == (1 if good else 2), f"SW4, CE5: {status} {'acks' if good else 'fails'}", len(calls))
        if not good:
            dead = rig.call("GET", f"/v1/subscriptions/{name}/dead")[1]["data"]
            tap.check(dead[0]["error"] == f"status {status}: because", f"a dead letter says why: {status}", dead)
    tap.check(not rig.receiver.wait("/elsewhere", 1, 0), "SW4: a redirect is never followed")
    rig.receiver.answer = lambda _seen, _times: (204, {}, b"")


def status_data(name):
    return {"of": name}


def test_retries(tap, rig):
    """The same webhook-id on every try, another timestamp's signature each."""
    rig.receiver.answer = lambda seen, times: ((500, {}, b"") if seen["path"] == "/again" and times < 3 else (204, {}, b""))
    rig.subscribe("again", {"secrets": ["new"]}, backoff={"first_ms": 1200, "max_ms": 1200})
    rig.publish("again", ("k", 1))
    seen = rig.receiver.wait("/again", 3)
    tap.check(len({each["headers"]["webhook-id"] for each in seen}) == 1, "SW1: the id is the same on every retry")
    tap.check(len({each["headers"]["webhook-timestamp"] for each in seen}) > 1, "SW1: the timestamp is each attempt's own")
    tap.check(all(each["headers"]["webhook-signature"] == signature(NEW, each) for each in seen), "SW2: each is signed anew")
    tap.check(rig.wait_ended("again", 1), "and it ends")


def test_retry_after(tap, rig):
    """429 and 503 with Retry-After: neither this message nor the target is called before."""
    for status in (429, 503):
        name = f"later{status}"
        other = Receiver()  # a target of its own
        other.answer = lambda _seen, times, status=status: ((status, {"Retry-After": "2"}, b"") if times == 1 else (204, {}, b""))
        rig.subscribe(name, {"url": other.url("/" + name), "in_flight_max": 1})
        rig.publish(name, ("a", 1))
        other.wait("/" + name, 1)
        tap.check(rig.until(lambda name=name: rig.subscription(name)["push_status"]["state"] == "held_back"),
                  f"{status}: held back is what its status says")
        rig.publish(name, ("b", 2))
        seen = other.wait("/" + name, 3)
        tap.check(len(seen) >= 3 and all(each["at"] - seen[0]["at"] >= 1.9 for each in seen[1:3]),
                  f"SW4: {status} with Retry-After is obeyed for message and target", [each["at"] for each in seen])
        other.close()


def test_gone(tap, rig):
    gone = {"now": True}
    rig.receiver.answer = lambda seen, _times: ((410, {}, b"closed for ever") if seen["path"] == "/gone" and gone["now"] else (204, {}, b""))
    rig.subscribe("gone", {})
    rig.publish("gone", ("a", 1), ("b", 2))
    tap.check(rig.until(lambda: rig.subscription("gone")["push"]["disabled"] is not None), "SW4, CE5: 410 disables the push")
    shown = rig.subscription("gone")
    tap.check(shown["push"]["disabled"]["reason"] == "status 410: closed for ever", "with the reason and the time", shown["push"])
    count = len(rig.receiver.wait("/gone", 1))
    rig.publish("gone", ("c", 3))
    time.sleep(1)
    tap.check(len(rig.receiver.wait("/gone", 1)) <= count + 1, "nothing more is sent")
    again = rig.subscribe("gone", {}, status=200)
    tap.check(again["push"]["disabled"] is not None, "the same PUT again leaves it disabled", again)
    gone["now"] = False
    again = rig.subscribe("gone", {}, status=200, headers={"If-Match": f'"{rig.subscription("gone")["version"]}"'})
    tap.check(again["push"]["disabled"] is None, "a PUT with If-Match enables it", again)
    rig.call("POST", "/v1/subscriptions/gone/redrive", {"all": True})
    tap.check(rig.wait_ended("gone", 3), "and everything comes", rig.subscription("gone"))


def test_received_by_nobody_else(tap, rig):
    status, problem = rig.call("POST", "/v1/subscriptions/binary/receive", {"max": 1})
    tap.check(status == 409 and problem["code"] == "subscription_pushed" and "push" in problem["detail"],
              "nobody else receives from it: 409", problem)


def test_order(tap, rig):
    """Per key in order, several keys at once, never more than in_flight_max; failures on the way."""
    keys = [f"k{number}" for number in range(6)]
    failed = set()

    def answer(seen, _times):
        if seen["path"] != "/order":
            return 204, {}, b""
        data = json.loads(seen["body"])
        time.sleep(0.01)
        if data["i"] % 7 == 3 and (data["key"], data["i"]) not in failed:
            failed.add((data["key"], data["i"]))
            return 500, {}, b""
        return 200, {}, b"{}"

    rig.receiver.answer = answer
    rig.receiver.most_at_once = 0
    rig.subscribe("order", {"in_flight_max": 4}, attempts_max=20)
    for first in range(0, 20, 5):
        rig.publish("order", *((key, {"key": key, "i": i}) for i in range(first, first + 5) for key in keys))
    tap.check(rig.wait_ended("order", 120), "all messages end", rig.subscription("order"))
    good = {key: [] for key in keys}
    for seen in rig.receiver.wait("/order", 120):
        data = json.loads(seen["body"])
        if (data["key"], data["i"]) in failed:
            failed.discard((data["key"], data["i"]))
            continue
        good[data["key"]].append(data["i"])
    in_order = all(sorted(set(seen), key=seen.index) == list(range(20)) for seen in good.values())
    tap.check(in_order, "each key's messages come in their order", good)
    tap.check(2 <= rig.receiver.most_at_once <= 4, "several keys at once, at most in_flight_max", rig.receiver.most_at_once)
    rig.receiver.answer = lambda _seen, _times: (204, {}, b"")


def test_timeout(tap, rig):
    rig.receiver.answer = lambda seen, times: (time.sleep(3 if seen["path"] == "/slow" and times == 1 else 0), (204, {}, b""))[1]
    rig.subscribe("slow", {"timeout_ms": 1000})
    rig.publish("slow", ("k", 1))
    seen = rig.receiver.wait("/slow", 2)
    tap.check(len(seen) >= 2 and rig.wait_ended("slow", 1), "SW4: a time-out is a failed try")
    tap.check("no answer within 1000 ms" in rig.subscription("slow")["push_status"]["last_error"], "and is told",
              rig.subscription("slow")["push_status"])
    rig.receiver.answer = lambda _seen, _times: (204, {}, b"")


def test_breaker(tap, rig):
    """An endpoint that is not there: few calls, and the backlog comes when it is back."""
    absent = Receiver()
    port = absent.port
    absent.close()
    rig.subscribe("absent", {"url": f"http://127.0.0.1:{port}/absent"}, attempts_max=1000)
    rig.publish("absent", *((f"k{i}", i) for i in range(50)))
    tap.check(rig.until(lambda: (rig.metric("deliver_targets_open") or 0) >= 1), "an endpoint that is not there opens the breaker")
    tap.check(rig.until(lambda: rig.subscription("absent")["push_status"]["state"] == "held_back"), "held back is told",
              rig.subscription("absent")["push_status"])
    tries = rig.subscription("absent")["failed_tries"]
    time.sleep(1.5)
    more = rig.subscription("absent")["failed_tries"] - tries
    tap.check(more <= 5, "what is open is only probed", more)
    shown = rig.subscription("absent")
    status, _ = rig.call("PUT", "/v1/subscriptions/absent",
                         {"filter": {"topic": "absent"}, "attempts_max": 1000, "backoff": {"first_ms": 10, "max_ms": 50},
                          "push": {"url": rig.receiver.url("/absent")}}, {"If-Match": f'"{shown["version"]}"'})
    tap.check(status == 200 and rig.wait_ended("absent", 50), "with another URL the backlog comes", rig.subscription("absent"))


def test_kill(tap, rig):
    """kill -9 in the middle: nothing is lost. Leases run out, so this takes its time."""
    seen_data = set()
    lock = threading.Lock()

    def answer(seen, _times):
        if seen["path"] == "/kill":
            with lock:
                seen_data.add(json.loads(seen["body"])["i"])
            time.sleep(0.01)
        return 204, {}, b""

    rig.receiver.answer = answer
    rig.subscribe("kill", {"timeout_ms": 1000, "in_flight_max": 4})
    rig.publish("kill", *((f"k{i % 10}", {"i": i}) for i in range(200)))
    rig.receiver.wait("/kill", 20)
    rig.server.kill()
    rig.start()
    tap.check(rig.until(lambda: rig.subscription("kill")["acked"] == 200, 120), "after a kill nothing is lost", rig.subscription("kill"))
    tap.check(seen_data == set(range(200)), "every message was sent", len(seen_data))


def test_stop(tap, rig):
    """A stop in the middle of calls ends the process, and the rest comes after the next start."""
    rig.receiver.answer = lambda seen, times: (time.sleep(2 if seen["path"] == "/stop" and times == 1 else 0), (204, {}, b""))[1]
    rig.subscribe("stop", {"timeout_ms": 5000})
    rig.publish("stop", ("a", 1), ("b", 2))
    rig.receiver.wait("/stop", 2)
    tap.check(rig.server.stop() == 0, "it stops with calls out")
    rig.receiver.answer = lambda _seen, _times: (204, {}, b"")
    rig.start()
    tap.check(rig.until(lambda: rig.subscription("stop")["acked"] == 2, 120), "they come again", rig.subscription("stop"))


def test_secrets_file(tap, rig):
    rig.subscribe("missing", {"secrets": ["not-there"]})
    rig.publish("missing", ("k", 1))
    tap.check(rig.until(lambda: rig.subscription("missing").get("push_status", {}).get("state") == "secret_missing"),
              "a secret that is not there holds it back", rig.subscription("missing"))
    tap.check(not rig.receiver.wait("/missing", 1, 0) and rig.subscription("missing")["failed_tries"] == 0, "no try is used up")
    rig.write_secrets(f"old {whsec(OLD)}\nnew {whsec(NEW)}\ntoken Bearer letmein\nnot-there {whsec(NEW)}\n")
    rig.server.send_signal(1)
    seen = rig.receiver.wait("/missing", 1)
    tap.check(seen and seen[0]["headers"]["webhook-signature"] == signature(NEW, seen[0]), "SIGHUP reads the file again")
    rig.write_secrets("old broken line\x01\n")
    rig.server.send_signal(1)
    tap.check(rig.until(lambda: "the old secrets stay" in rig.server.errors()), "a wrong file changes nothing", rig.server.errors())
    tap.check("broken" not in rig.server.errors() and base64.b64encode(NEW).decode() not in rig.server.errors(),
              "and its content is not logged")
    rig.write_secrets(f"old {whsec(OLD)}\n", 0o644)
    other = Server(os.path.join(rig.work, "other"), "--secrets", rig.secrets)
    tap.check(other.process.wait(WAIT_S) == 2 and "chmod 600" in other.errors() + str(other.ready_text),
              "a file that others can read is refused", other.errors())
    rig.write_secrets(f"old {whsec(OLD)}\nnew {whsec(NEW)}\ntoken Bearer letmein\n")


def test_addresses(tap, rig):
    """SW5: without --deliver-allow nothing here may be called, by whatever name."""
    rig.server.stop()
    rig.start(allow=None)
    urls = {"loopback": rig.receiver.url("/loopback"), "byname": f"http://localhost:{rig.receiver.port}/byname",
            "number": f"http://2130706433:{rig.receiver.port}/number", "short": f"http://127.1:{rig.receiver.port}/short",
            "mapped": f"http://[::ffff:127.0.0.1]:{rig.receiver.port}/mapped"}
    for name, url in urls.items():
        rig.subscribe(name, {"url": url}, attempts_max=1)
        rig.publish(name, ("k", 1))
    for name in urls:
        tap.check(rig.until(lambda name=name: rig.subscription(name)["parked"] == 1), f"SW5: {name} is not called")
        error = rig.call("GET", f"/v1/subscriptions/{name}/dead")[1]["data"][0]["error"]
        tap.check("--deliver-allow" in error, f"SW5: and told why: {name}", error)
        tap.check(not rig.receiver.wait("/" + name, 1, 0), f"SW5: no byte reached it: {name}")


def test_bodies(tap, rig):
    """What is refused when it is stored."""
    rows = [({"url": "ftp://x"}, "/push/url"), ({"url": "http://a:b@x"}, "/push/url"), ({}, "/push/url"),
            ({"url": "http://x", "mode": "batch"}, "/push/mode"), ({"url": "http://x", "timeout_ms": 999}, "/push/timeout_ms"),
            ({"url": "http://x", "timeout_ms": 30001}, "/push/timeout_ms"), ({"url": "http://x", "in_flight_max": 0}, "/push/in_flight_max"),
            ({"url": "http://x", "secrets": ["a", "b", "c"]}, "/push/secrets"), ({"url": "http://x", "secrets": ["a b"]}, "/push/secrets"),
            ({"url": "http://x", "headers": {"webhook-id": "1"}}, "/push/headers"), ({"url": "http://x", "headers": {"Host": "1"}}, "/push/headers"),
            ({"url": "http://x", "headers": {"a": "b\nc"}}, "/push/headers"), ({"url": "http://x", "disabled": None}, "/push/disabled"),
            ({"url": "http://x", "headers": {"a": {"secret": ""}}}, "/push/headers"),
            ({"url": "http://x", "headers": {f"h{i}": "1" for i in range(17)}}, "/push/headers")]
    for push, pointer in rows:
        status, problem = rig.call("PUT", "/v1/subscriptions/never", {"filter": {"topic": "t"}, "push": push})
        tap.check(status == 400 and problem.get("failed", "").startswith(pointer), f"refused: {json.dumps(push)[:60]}", problem)
    status, _ = rig.call("PUT", "/v1/subscriptions/plain", {"filter": {"topic": "t"}, "push": None})
    tap.check(status == 201 and "push" not in rig.subscription("plain"), "null is no push")


def main():
    tap = Tap()
    work = tempfile.mkdtemp(prefix="holdfast-push-")
    rig = Rig(work)
    try:
        rig.start()
        for test in (test_bodies, test_binary, test_structured, test_received_by_nobody_else, test_statuses, test_retries,
                     test_retry_after, test_gone, test_order, test_timeout, test_breaker, test_secrets_file, test_kill, test_stop,
                     test_addresses):
            test(tap, rig)
        tap.check(rig.server.stop() == 0, "it stops")
        return tap.end()
    finally:
        if rig.server is not None:
            rig.server.kill()
        rig.receiver.close()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
