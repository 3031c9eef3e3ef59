"""Readers of the feed for tests: pages by cursor, and streams read line by line as they come."""
import json
import socket
import time
import urllib.parse

from http_client import SECONDS_MAX, Wire
from openapi_check import load_json

NDJSON = "application/x-ndjson"
SSE = "text/event-stream"
BATCH = "application/cloudevents-batch+json"


def target(**parameters):
    """/v1/feed with a query; from_ is `from`."""
    named = {name.rstrip("_"): value for name, value in parameters.items() if value is not None}
    return "/v1/feed" + ("?" + urllib.parse.urlencode(named) if named else "")


def page(client, **parameters):
    """A page as JSON; checked against the document by the client."""
    answer = client.get(target(**parameters))
    assert answer.status == 200, answer
    assert answer.headers["holdfast-cursor"] == answer.json["next"], answer
    return answer.json


def everything(client, **parameters):
    """All events from the beginning (or `after`) to the head, page by page, and the last cursor."""
    events, after = [], parameters.pop("after", None)
    while True:
        got = page(client, after=after, **(parameters if after is None else
                                           {k: v for k, v in parameters.items() if k not in ("from_", "position", "time")}))
        events += got["data"]
        after = got["next"]
        if got["lag_commits"] == 0:
            return events, after


class Ended(Exception):
    """The stream ended; whole says whether with its last chunk."""

    def __init__(self, whole):
        super().__init__("whole" if whole else "broken off")
        self.whole = whole


class Stream:
    """A streamed answer: head at once, then bytes, lines or server-sent events as they come."""

    def __init__(self, address, accept, seconds=SECONDS_MAX, headers=(), receive_buffer=None, **parameters):
        self.wire = Wire(address, seconds)
        if receive_buffer is not None:
            self.wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self.wire.send((f"GET {target(**parameters)} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n{lines}\r\n").encode())
        self.status = int(self.wire.take_line().split(" ")[1])
        self.headers = {}
        while line := self.wire.take_line():
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        self.text = b""
        self.chunked = self.headers.get("transfer-encoding") == "chunked"
        if not self.chunked:
            self.body = self.wire.take(int(self.headers["content-length"]))

    def chunk(self):
        """One more chunk into `text`."""
        from http_client import Broken
        try:
            size = int(self.wire.take_line(), 16)
            data = self.wire.take(size)
            self.wire.take_line()
        except Broken as error:
            raise Ended(False) from error
        if size == 0:
            raise Ended(True)
        self.text += data

    def until(self, end):
        while end not in self.text:
            self.chunk()
        part, self.text = self.text.split(end, 1)
        return part.decode("utf-8")

    def line(self):
        return load_json(self.until(b"\n"))

    def event(self):
        """The next event of lines; cursors that come before it are noted."""
        while True:
            line = self.line()
            if "event" in line:
                assert list(line) == ["event"], line
                return line["event"]
            assert list(line) == ["cursor", "head", "lag_commits", "lag_ms"], line
            self.cursor = line["cursor"]

    def lines_to_end(self):
        lines = []
        while True:
            try:
                lines.append(self.line())
            except Ended as ended:
                assert ended.whole and self.text == b"", (ended, self.text[:100])
                return lines

    def sse(self):
        """The next block of server-sent events as {"id", "event", "data", "comment"}; what is absent is None."""
        block = {"id": None, "event": None, "data": None, "comment": None, "retry": None}
        for line in self.until(b"\n\n").split("\n"):
            name, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            assert name in ("", "id", "event", "data", "retry"), line
            assert block[name or "comment"] is None, f"a field twice: {line}"
            block[name or "comment"] = value
        return block

    def sse_event(self):
        """The next event; ids are noted as a browser does."""
        while True:
            block = self.sse()
            self.last_id = block["id"] or getattr(self, "last_id", None)
            if block["data"] is not None:
                event = load_json(block["data"])
                assert block["event"] == event["type"] and block["id"], block
                return event

    def close(self):
        self.wire.close()


def place(event):
    """(position, index) of an event's id."""
    position, _, index = event["id"].partition("-")
    return int(position), int(index)


def gapless(events):
    """Places ascend, and no commit's index is left out."""
    before = (0, 0)
    for event in events:
        now = place(event)
        assert now > before, (before, now)
        if now[0] == before[0]:
            assert now[1] == before[1] + 1, (before, now)
        before = now


def dump(value):
    return json.dumps(value, sort_keys=True)


def now_text():
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
