#!/usr/bin/env python3
"""The npm package `cloudevents` reads the feed: structured events, batches, and what it makes of them. Prints TAP.

npm and its packages live in a temporary directory; without node or npm, or without a way to the registry, it is skipped.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
from feed_client import BATCH, everything, target  # noqa: E402
from http_client import Client, Server  # noqa: E402
from protocol_suite import done, operation, transfer  # noqa: E402
from tap import Tap  # noqa: E402

PACKAGE = "cloudevents@10.0.0"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
# Reads {"structured": [text…], "batch": text}; prints what the package makes of each event, and of the batch.
SCRIPT = r"""
const { HTTP, CloudEvent } = require("cloudevents");
const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const shown = (event) => {
  event.validate();
  return JSON.parse(JSON.stringify(event));
};
const structured = input.structured.map((body) => {
  const event = HTTP.toEvent({ headers: { "content-type": "application/cloudevents+json" }, body });
  if (!(event instanceof CloudEvent)) throw new Error("no event: " + body);
  if (typeof event.data === "object") { // the package's own binary mode is for objects
    const back = HTTP.toEvent(HTTP.binary(event));
    if (back.id !== event.id || back.type !== event.type) throw new Error("binary mode: " + body);
  }
  return shown(event);
});
const batch = HTTP.toEvent({ headers: { "content-type": "application/cloudevents-batch+json" }, body: input.batch });
console.log(JSON.stringify({ structured, batch: batch.map(shown) }));
"""


def fill(client):
    done(client.put("/v1/accounts/world", {"asset": "USD/2", "floor": None}))
    done(client.put("/v1/accounts/users:1", {"asset": "USD/2", "metadata": {"name": "\u00e9\U0001F600"}}))
    done(client.commit(operation("transfer", id="t-1", **transfer("world", "users:1", "100")),
                       operation("hold", id="h-1", **transfer("users:1", "world", "10")),
                       operation("append", stream="orders:1", type="order.paid", data={"amount": "1.50"}, id="e-1"),
                       operation("append", stream="orders:1", type="order.note", data="text", id="e-2"),
                       operation("append", stream="orders:1", type="order.number", data=17, id="e-3"),
                       operation("append", stream="orders:1", type="order.list", data=[1, "two"], id="e-4"),
                       operation("publish", topic="refunds", key="k", type="refund.asked", data={"n": 1}, id="m-1"),
                       operation("put", document="d-1", data={"a": [1, 2]}), key="k-1",
                       metadata={"traceparent": TRACE, "tracestate": "rojo=1", "causationid": "cause", "correlationid": "c\u00e9"}))


def install(work):
    """Why it can't be had, or None."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "there is no node, or no npm"
    with open(os.path.join(work, "package.json"), "w", encoding="ascii") as file:
        file.write('{"private": true}')
    got = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE], cwd=work,
                         env={**os.environ, "npm_config_cache": os.path.join(work, "cache")},
                         capture_output=True, text=True, timeout=300, check=False)
    return None if got.returncode == 0 else "npm install: " + got.stderr.strip().splitlines()[-1][:200]


def as_read(events):
    """The package keeps times as JavaScript's dates: to the millisecond."""
    return [event | {"time": event["time"][:-4] + "Z"} for event in events]


def main():
    tap = Tap()
    work = tempfile.mkdtemp(prefix="holdfast-cloudevents-")
    try:
        why = install(work)
        if why is not None:
            tap.skip("the npm package cloudevents reads the feed", why)
            return tap.end()
        with Server() as server:
            client = Client(server)
            fill(client)
            events = everything(client)[0] + everything(client, types="system.*")[0]
            batch = client.get(target(limit=1000), headers={"Accept": BATCH}).body.decode()
            client.close()
        texts = [json.dumps(event, ensure_ascii=False) for event in events]
        got = subprocess.run(["node", "-e", SCRIPT], cwd=work, input=json.dumps({"structured": texts, "batch": batch}),
                             capture_output=True, text=True, timeout=120, check=False)
        if not tap.check(got.returncode == 0, "each event is valid, and goes through binary mode and back", got.stderr[-2000:]):
            return tap.end()
        read = json.loads(got.stdout)
        tap.check(all(len(event["time"]) == len("2026-01-01T00:00:00.000000Z") for event in events), "times to the microsecond")
        events = as_read(events)
        tap.check(read["structured"] == events, "what it read is what the feed says",
                  [pair for pair in zip(read["structured"], events) if pair[0] != pair[1]][:2])
        ours = [event for event in events if not event["type"].startswith("system.")]
        tap.check(read["batch"] == ours, "a batch, too", (len(read["batch"]), len(ours)))
        tap.check(any(event.get("traceparent") == TRACE for event in read["structured"]), "extensions come with it")
        return tap.end()
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
