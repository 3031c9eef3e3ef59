"""What the tests of the outbox relay share: the relay as a child, what Holdfast has of its messages. No test itself."""
import http.client
import json
import os
import signal
import subprocess
import time

from serving import HOLDFAST


def get(port, path):
    """(status, JSON)"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


def messages(port):
    """Every message of the log, in its order: dicts of topic, id, key, event, data, position."""
    head = get(port, "/v1/status")[1]["position"]
    found = []
    for position in range(1, head + 1):
        status, commit = get(port, f"/v1/commits/{position}")
        if status == 200 and commit.get("code", "ok") == "ok":
            found += [dict(event, position=position) for event in commit["events"]
                      if event["type"] == "holdfast.message.published"]
    return found


def cursor(port, name="shop"):
    status, document = get(port, f"/v1/documents/relay:{name}")
    return document if status == 200 else None


def parked(port, name="shop"):
    status, events = get(port, f"/v1/streams/relay:{name}:parked/events")
    return [event["data"] for event in events["data"]] if status == 200 else []


def out_of_order(found):
    """Pairs of a key whose data.n does not grow."""
    last, wrong = {}, []
    for message in found:
        number = message["data"]["n"]
        if number <= last.get(message["key"], -1):
            wrong.append((message["key"], last[message["key"]], number))
        last[message["key"]] = number
    return wrong


class Relay:
    """holdfast relay as a child; its lines of JSON are read at the end."""

    def __init__(self, port, *arguments, work, server=None):
        self.out = os.path.join(work, f"relay-{time.monotonic_ns()}")
        with open(self.out + ".out", "wb") as out, open(self.out + ".err", "wb") as errors:
            self.process = subprocess.Popen(
                [HOLDFAST, "relay", *arguments, "--json",
                 "--server=" + (server or f"http://127.0.0.1:{port}")],
                stdin=subprocess.DEVNULL, stdout=out, stderr=errors)

    def lines(self):
        with open(self.out + ".out", encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]

    def last(self):
        lines = self.lines()
        return lines[-1] if lines else {}

    def errors(self):
        with open(self.out + ".err", encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait(self, seconds=60):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, seconds=60):
        self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def run(port, *arguments, work, seconds=120):
    """To its end: (exit status, the relay)."""
    relay = Relay(port, *arguments, work=work)
    status = relay.wait(seconds)
    if status is None:
        relay.kill()
    return status, relay
