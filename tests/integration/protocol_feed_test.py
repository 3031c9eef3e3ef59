#!/usr/bin/env python3
"""CloudEvents 1.0 and Trace Context as the feed keeps to them, rule by rule. Prints TAP."""
import json
import re

from feed_client import BATCH, NDJSON, SSE, Stream, everything, page, target
from protocol_suite import accounts, done, equal, fresh, main, operation, refused, test, transfer

ATTRIBUTE = re.compile(r"[a-z0-9]{1,20}")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def one_of_each(client):
    """The events of commits with every kind of thing, system events too."""
    before = page(client, from_="now")["next"]
    world, user = accounts(client)
    name = fresh("ce")
    done(client.commit(operation("transfer", id=f"t.{name}", **transfer(world, user, "70")),
                       operation("hold", id=f"h.{name}", **transfer(user, world, "20")),
                       operation("append", stream=name, type="order.paid", data={"n": 1}, id=f"e.{name}"),
                       operation("publish", topic=name, key="k", type="asked", data=[1], id=f"m.{name}"),
                       operation("put", document=name, data="text"),
                       operation("acquire", lease=name, owner="me", ttl_ms=60000), key=fresh("k")))
    done(client.commit(operation("delete", document=name), key=fresh("k")))
    refused(client.post("/v1/transfers", transfer(user, world, "5000", id=fresh("no"))), 422, "insufficient_funds")
    events = everything(client, after=before)[0] + everything(client, after=before, types="system.*")[0]
    assert len(events) >= 10, events
    return events


def context_of(client, metadata):
    """What an event of a commit with this metadata carries besides."""
    name = fresh("tc")
    done(client.commit(operation("append", stream=name, type="t", data=1, id=f"e.{name}"), metadata=metadata))
    event, = page(client, prefix=f"streams/{name}")["data"]
    return {member: event[member] for member in ("traceparent", "tracestate", "causationid", "correlationid") if member in event}


@test("CE1 id, source, specversion and type are there and not empty; source + id is unique; names of attributes are lower case")
def _(client):
    seen = set()
    for event in one_of_each(client):
        for member in ("id", "source", "specversion", "type"):
            assert isinstance(event[member], str) and event[member], event
        equal(event["specversion"], "1.0")
        assert re.fullmatch(r"/spaces/[0-9]+", event["source"]), event
        for name, value in event.items():
            assert ATTRIBUTE.fullmatch(name), event
            assert name == "data" or (isinstance(value, str) and value), event
        key = (event["source"], event["id"])
        assert key not in seen, key
        seen.add(key)


@test("CE1 time is RFC 3339, subject names the thing, datacontenttype is JSON")
def _(client):
    for event in one_of_each(client):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["time"]), event
        equal(event["datacontenttype"], "application/json")
        if not event["type"].startswith("system."):
            assert re.fullmatch(r"(accounts|transfers|holds|streams|documents|leases|topics)/.+", event["subject"]), event
            thing = event["subject"].split("/")[0]
            if thing in ("accounts", "transfers", "streams", "documents", "leases"):
                path = "/v1/" + event["subject"]
                assert client.get(path).status in (200, 404), path


@test("CE3 structured mode: data is the JSON value itself; there is no data_base64; members stand in their order")
def _(client):
    order = ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "partitionkey", "sequence", "data",
             "traceparent", "tracestate", "causationid", "correlationid"]
    for event in one_of_each(client):
        assert "data" in event and "data_base64" not in event, event
        equal([member for member in order if member in event], list(event))


@test("CE3 batches only where they are asked for, and they are bare arrays of the same events")
def _(client):
    one_of_each(client)
    for accept in (None, "*/*", "application/*", "application/json"):
        answer = client.get(target(limit=5), headers={"Accept": accept} if accept else {})
        equal((answer.headers["content-type"], list(answer.json)), ("application/json", ["data", "next", "head", "lag_commits", "lag_ms"]))
    answer = client.get(target(limit=5), headers={"Accept": BATCH})
    equal(answer.headers["content-type"], BATCH)
    equal(json.loads(answer.body), page(client, limit=5)["data"])
    equal(answer.headers["holdfast-cursor"], page(client, limit=5)["next"])
    empty = client.get(target(from_="now"), headers={"Accept": BATCH})
    equal(empty.body, b"[]")


@test("CE3 every form shows the same events, byte for byte")
def _(client):
    one_of_each(client)
    raw = client.get(target(limit=1000)).body
    events = page(client, limit=1000)["data"]
    lines = Stream(client.address, NDJSON)
    texts = []
    for line in lines.lines_to_end():
        if "event" in line:
            texts.append(line["event"])
    equal(texts, events)
    lines.close()
    sse = Stream(client.address, SSE)
    seen = []
    while len(seen) < len(events):
        text = sse.sse()["data"]
        if text is not None:
            seen.append(json.loads(text))
            assert text.encode() in raw, text
    equal(seen, events)
    sse.close()


@test("CE4 partitionkey: the stream's name, the message's key, else the subject")
def _(client):
    for event in one_of_each(client):
        subject = event.get("subject")
        if subject is None:
            assert "partitionkey" not in event, event
        elif subject.startswith("streams/"):
            equal(event["partitionkey"], subject.removeprefix("streams/"))
        elif subject.startswith("topics/"):
            equal(event["partitionkey"], "k")
        else:
            equal(event["partitionkey"], subject)


@test("CE4 sequence is a string that sorts as positions and indexes do")
def _(client):
    one_of_each(client)
    events = sorted(everything(client)[0] + everything(client, types="system.*")[0],
                    key=lambda event: tuple(map(int, event["id"].split("-"))))
    sequences = [event["sequence"] for event in events]
    equal(sequences, sorted(sequences))
    equal(len({len(sequence) for sequence in sequences}), 1)
    for event in events:
        position, index = map(int, event["id"].split("-"))
        equal(event["sequence"], f"{position:016d}-{index:010d}")


@test("CE4 causationid and correlationid come from the commit's metadata, to each of its events, if they are attributes' values")
def _(client):
    equal(context_of(client, {"causationid": "17-0", "correlationid": "caf\u00e9 \U0001F600"}),
          {"causationid": "17-0", "correlationid": "caf\u00e9 \U0001F600"})
    equal(context_of(client, {"causationid": "x" * 256, "correlationid": "x" * 257}), {"causationid": "x" * 256})
    for bad in ("", "a\nb", "\u0000", "\u007f", "\u0085", 7, None, ["a"], {"a": 1}, True):
        equal(context_of(client, {"causationid": bad, "correlationid": "ok"}), {"correlationid": "ok"})
    equal(context_of(client, {"nested": {"causationid": "no"}}), {})
    name = fresh("both")
    done(client.commit(*[operation("append", stream=name, type="t", data=i, id=f"{name}.{i}") for i in range(2)],
                       metadata={"causationid": "c"}))
    equal([event["causationid"] for event in page(client, prefix=f"streams/{name}")["data"]], ["c", "c"])


@test("TC1 a valid traceparent is copied; zero ids, version ff and upper case are invalid: left out, and tracestate with it")
def _(client):
    equal(context_of(client, {"traceparent": TRACE, "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"}),
          {"traceparent": TRACE, "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"})
    for bad in (TRACE.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32), TRACE.replace("b7ad6b7169203331", "0" * 16),
                "ff" + TRACE[2:], TRACE.upper(), TRACE[:-1], TRACE + "0", TRACE + "-00", TRACE.replace("-", "_"), "", 5):
        equal(context_of(client, {"traceparent": bad, "tracestate": "a=1", "correlationid": "c"}), {"correlationid": "c"})
    equal(context_of(client, {"tracestate": "a=1"}), {})
    for bad in ("", "A=1", "a", "a=" + "x" * 257, ",".join(f"k{i}=1" for i in range(33)), 3):
        equal(context_of(client, {"traceparent": TRACE, "tracestate": bad}), {"traceparent": TRACE})


@test("TC2 of a higher version the first 55 characters are read, if a dash or the end follows")
def _(client):
    for given in ("cc" + TRACE[2:], "cc" + TRACE[2:] + "-more", "01" + TRACE[2:] + "-"):
        equal(context_of(client, {"traceparent": given, "tracestate": "a=1"}), {"traceparent": TRACE, "tracestate": "a=1"})
    for given in ("cc" + TRACE[2:] + ".more", "cc" + TRACE[2:] + "0"):
        equal(context_of(client, {"traceparent": given, "tracestate": "a=1"}), {})


if __name__ == "__main__":
    main()
