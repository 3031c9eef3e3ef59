#!/usr/bin/env python3
"""Topics and subscriptions over HTTP, rule by rule (docs/adr/0009-subscriptions.md, docs/queues.md). Prints TAP."""
import json
import threading
import time

import metrics_text
from http_client import Client, wait_until
from protocol_suite import accounts, done, equal, fresh, head_position, main, operation, posted, refused, test, the_server, transfer
from queue_client import (ack, data_of, dead, keys_of, message, publish, receive, receipts_of, settle, show, state_of, subscription)

FAST = {"backoff": {"first_ms": 0, "max_ms": 0}}  # what is nacked is ready again at once


# ---- publish ----

@test("publish: in one commit with other effects, the result names the message")
def _(client):
    world, user = accounts(client)
    topic = fresh("topic")
    answer = done(client.commit(operation("transfer", **transfer(world, user, "5")),
                                message(topic, "k", {"n": 1}), key=fresh("k")))
    equal(answer.json["results"][1], {"op": "publish", "topic": topic, "message": f"{answer.position}-1"})


@test("publish: a message id is unique for ever, and replays without a key")
def _(client):
    topic, identity = fresh("topic"), fresh("m")
    first = done(client.commit(message(topic, "k", 1, id=identity)))
    equal(first.json["results"][0]["id"], identity)
    again = done(client.commit(message(topic, "k", 1, id=identity)))
    equal(again.body, first.body)
    assert again.replayed
    refused(client.commit(message(topic, "k", 2, id=identity)), 409, "message_exists", "/do/0")
    refused(client.commit(message(topic, "k", 1)), 400, "idempotency_key_missing")


@test("publish: names, types and times are checked")
def _(client):
    topic = fresh("topic")
    for wrong, pointer in (({"key": ""}, "/do/0/key"), ({"key": "a b"}, "/do/0/key"), ({"type": "holdfast.x"}, "/do/0/type"),
                           ({"type": "system.x"}, "/do/0/type"), ({"topic": "a/b"}, "/do/0/topic"),
                           ({"deliver_at": "tomorrow"}, "/do/0/deliver_at")):
        refused(client.commit({**message(topic, "k", 1), **wrong}, key=fresh("k")), 400, "invalid_request", pointer)
    late = message(topic, "k", 1, deliver_at="2099-01-01T00:00:00Z")
    refused(client.commit(late, key=fresh("k")), 422, "limit_exceeded", "/do/0")
    for missing in ("topic", "key", "type", "data"):
        body = message(topic, "k", 1)
        del body[missing]
        refused(client.commit(body, key=fresh("k")), 400, "invalid_request")


# ---- the subscription itself ----

@test("PUT creates (201), the same again is 200, GET shows it with its ETag")
def _(client):
    name, topic = fresh("sub"), fresh("topic")
    body = {"filter": {"topic": topic}, "attempts_max": 3}
    answer = done(client.put(f"/v1/subscriptions/{name}", body))
    equal((answer.etag, answer.headers["location"]), ('"1"', f"/v1/subscriptions/{name}"))
    again = done(client.put(f"/v1/subscriptions/{name}", body), 200)
    equal(again.etag, '"1"')
    shown = done(client.get(f"/v1/subscriptions/{name}"), 200)
    equal(shown.etag, '"1"')
    wanted = {"name": name, "version": 1, "filter": {"topic": topic}, "order": "key", "attempts_max": 3, "lease_ms": 30000,
              "backoff": {"first_ms": 1000, "max_ms": 300000}, "exhausted": "park_key", "in_flight_max": 1000, "live": True,
              "ready_lines": 0, "waiting": 0, "in_flight": 0, "parked": 0, "redrive": None}
    equal({member: shown.json[member] for member in wanted}, wanted)
    refused(client.get(f"/v1/subscriptions/{fresh('no')}"), 404, "subscription_not_found")
    equal(done(client.get(f"/v1/subscriptions/{name}", none_match='"1"'), 304).body, b"")


@test("PUT: other settings need If-Match; filter and order never change")
def _(client):
    name, topic = subscription(client)
    path = f"/v1/subscriptions/{name}"
    changed = {"filter": {"topic": topic}, "attempts_max": 9}
    refused(client.put(path, changed), 428, "precondition_required")
    refused(client.put(path, changed, match='"7"'), 412, "condition_failed")
    answer = done(client.put(path, changed, match='"1"'), 200)
    equal((answer.etag, show(client, name)["attempts_max"]), ('"2"', 9))
    refused(client.put(path, {"filter": {"topic": fresh("topic")}}, match='"2"'), 409, "subscription_exists")
    refused(client.put(path, {"filter": {"topic": topic}, "order": "none"}, match='"2"'), 409, "subscription_exists")
    refused(client.put(path, changed, none_match="*"), 412, "condition_failed")
    refused(client.put(f"/v1/subscriptions/{fresh('no')}", changed, match='"1"'), 412, "condition_failed")


@test("PUT: what makes no sense is 400 with the place")
def _(client):
    topic = fresh("topic")
    for wrong, pointer in (({"filter": {"topics": topic}}, "/filter/topics"), ({"filter": {"topic": "a b"}}, "/filter/topic"),
                           ({"filter": {"types": []}}, None), ({"filter": {"types": ["a b"]}}, None),
                           ({"filter": {"bucket": "4/4"}}, "/filter/bucket"), ({"filter": {"asset": "usd"}}, "/filter/asset"),
                           ({"order": "fifo"}, "/order"), ({"attempts_max": 0}, "/attempts_max"),
                           ({"lease_ms": 999}, "/lease_ms"), ({"backoff": {"first_ms": 2, "max_ms": 1}}, None),
                           ({"exhausted": "drop"}, "/exhausted"), ({"in_flight_max": 0}, "/in_flight_max"),
                           ({"from": "end"}, "/from"), ({"from": {"position": -1}}, None), ({"unknown": 1}, "/unknown")):
        answer = client.put(f"/v1/subscriptions/{fresh('sub')}", {"filter": {"topic": topic}, **wrong})
        refused(answer, 400, "invalid_request", pointer)
    refused(client.put("/v1/subscriptions/a%20b", {"filter": {"topic": topic}}), 400, "invalid_request")


@test("from: beginning, now, a position, a time")
def _(client):
    topic = fresh("topic")
    first = done(client.commit(message(topic, "k", "one"), key=fresh("k")))
    done(client.commit(message(topic, "k", "two"), key=fresh("k")))
    for start, wanted in (("beginning", ["one", "two", "three"]), ("now", ["three"]),
                          ({"position": first.position}, ["two", "three"]), ({"time": first.json["time"]}, ["one", "two", "three"])):
        name, _ = subscription(client, topic=topic, **{"from": start})
        if wanted == ["three"]:
            done(client.commit(message(topic, "k", "three"), key="three-once"))
        assert wait_until(lambda n=name: show(client, n)["live"])
        SEEN.append((name, wanted))
    for name, wanted in SEEN:
        got = data_of(receive(client, name, 10, wait_ms=5000))
        equal(got[:len(wanted)], wanted, name)


SEEN = []


@test("a list by prefix in byte order, in pages")
def _(client):
    base = fresh("list")
    for letter in "cab":
        subscription(client, name=f"{base}:{letter}")
    page = done(client.get(f"/v1/subscriptions?prefix={base}:&limit=2"), 200).json
    equal([each["name"] for each in page["data"]], [f"{base}:a", f"{base}:b"])
    rest = done(client.get(f"/v1/subscriptions?prefix={base}:&limit=2&after={page['next']}"), 200).json
    equal(([each["name"] for each in rest["data"]], rest["next"]), ([f"{base}:c"], None))


@test("DELETE needs If-Match or a key; its receipts are dead")
def _(client):
    name, topic = subscription(client)
    publish(client, topic, ("k", 1))
    out = receive(client, name)
    path = f"/v1/subscriptions/{name}"
    refused(client.delete(path), 428, "precondition_required")
    refused(client.delete(path, match='"9"'), 412, "condition_failed")
    done(client.delete(path, match='"1"'), 200)
    refused(client.get(path), 404, "subscription_not_found")
    refused(client.post(f"{path}/ack", {"receipts": receipts_of(out)}), 404, "subscription_not_found")
    refused(client.post(f"{path}/receive", {}), 404, "subscription_not_found")
    refused(client.delete(path, key=fresh("k")), 404, "subscription_not_found")
    done(client.put(path, {"filter": {"topic": topic}}), 201)
    equal(settle(client, name, "ack", receipts_of(out))[0]["code"], "stale_receipt")
    done(client.delete(path, key=fresh("k")), 200)


# ---- receive ----

@test("receive: the message is the event as it was published; nothing to deliver is an empty answer and no commit")
def _(client):
    name, topic = subscription(client)
    before = head_position(client)
    equal(receive(client, name), [])
    equal(head_position(client), before, "positions")
    body = b'{"do":[{"op":"publish","topic":"%s","key":"order-7","type":"refund.asked","data":{"a": 1.50,  "b":"\\u00e4"}}]}' % topic.encode()
    position = done(client.post("/v1/commits", body, key=fresh("k"))).position
    answer = done(client.post(f"/v1/subscriptions/{name}/receive", {}), 200)
    assert b'"data":{"a": 1.50,  "b":"\\u00e4"}' in answer.body, answer
    each, = answer.json["messages"]
    event = each["event"]
    equal((event["id"], event["type"], event["subject"], event["partitionkey"], event["source"], event["datacontenttype"]),
          (f"{position}-0", "refund.asked", f"topics/{topic}", "order-7", "/spaces/0", "application/json"))
    equal((each["attempt"], answer.position), (1, answer.json["position"]))
    equal(receive(client, name), [], "it is out")


@test("receive: max, 1 to 1,000; unknown members are refused; a foreign body is 415")
def _(client):
    name, topic = subscription(client)
    publish(client, topic, *((f"k{n}", n) for n in range(5)))
    equal(len(receive(client, name, 3)), 3)
    equal(len(receive(client, name, 1000)), 2)
    path = f"/v1/subscriptions/{name}/receive"
    for wrong, pointer in (({"max": 0}, "/max"), ({"max": 1001}, "/max"), ({"wait_ms": 30001}, "/wait_ms"), ({"lease_ms": 999}, "/lease_ms"),
                           ({"attempt": ""}, "/attempt"), ({"attempt": "a b"}, "/attempt"), ({"maximum": 1}, "/maximum"),
                           ({"consumer": "x" * 129}, "/consumer")):
        refused(client.post(path, wrong), 400, "invalid_request", pointer)
    refused(client.post(path, "max=1", content_type="text/plain"), 415, "unsupported_media_type")
    refused(client.get(path), 405, "method_not_allowed")


@test("receive: the same attempt answers the same messages with the same receipts")
def _(client):
    name, topic = subscription(client)
    publish(client, topic, ("a", 1), ("b", 2))
    path, body = f"/v1/subscriptions/{name}/receive", {"max": 10, "attempt": fresh("try")}
    first = done(client.post(path, body), 200)
    again = done(client.post(path, body), 200)
    equal(again.body, first.body)
    equal(len(first.json["messages"]), 2)
    assert again.replayed and not first.replayed
    refused(client.post(path, {**body, "max": 9}), 422, "idempotency_key_reused")
    equal(receive(client, name, attempt=fresh("try")), [])


@test("order: messages of a key that go out together are in order; while they are out, later ones wait and other keys flow")
def _(client):
    name, topic = subscription(client)
    publish(client, topic, ("a", 1), ("b", 1), ("a", 2), ("a", 3), ("b", 2))
    first = receive(client, name, 2)
    equal((keys_of(first), data_of(first)), (["a", "a"], [1, 2]))
    second = receive(client, name, 10)
    equal((keys_of(second), data_of(second)), (["b", "b"], [1, 2]))
    equal(receive(client, name), [])
    ack(client, name, first)
    third = receive(client, name)
    equal((keys_of(third), data_of(third)), (["a"], [3]))


@test("order none: messages of one key go out beside each other")
def _(client):
    name, topic = subscription(client, order="none")
    publish(client, topic, *(("a", n) for n in range(4)))
    first, second = receive(client, name, 1), receive(client, name, 1)
    equal((data_of(first), data_of(second)), ([0], [1]))
    ack(client, name, second)
    ack(client, name, first)
    equal(data_of(receive(client, name)), [2, 3])


@test("wait_ms: a receive that finds nothing waits; a publish wakes one, in the order in which they came")
def _(client):
    name, topic = subscription(client)
    got, threads = {}, []

    def wait(index):
        other = Client(the_server())
        got[index] = data_of(receive(other, name, 1, wait_ms=20000))
        other.close()

    for index in range(3):
        threads.append(threading.Thread(target=wait, args=(index,)))
        threads[-1].start()
        time.sleep(0.1)
    publish(client, topic, ("a", "first"))
    threads[0].join(10)
    equal(got, {0: ["first"]})
    publish(client, topic, ("b", "second"), ("c", "third"))
    threads[1].join(10)
    threads[2].join(10)
    equal(got, {0: ["first"], 1: ["second"], 2: ["third"]})


@test("wait_ms: the deadline gives an empty answer, and not before")
def _(client):
    name, _ = subscription(client)
    start = time.monotonic()
    equal(receive(client, name, wait_ms=300), [])
    assert time.monotonic() - start >= 0.29


@test("wait_ms: what stops backing off and what becomes due wakes, too")
def _(client):
    name, topic = subscription(client, backoff={"first_ms": 400, "max_ms": 400})
    publish(client, topic, ("a", 1))
    settle(client, name, "nack", receipts_of(receive(client, name)))
    start = time.monotonic()
    out = receive(client, name, wait_ms=10000)
    equal((data_of(out), out[0]["attempt"]), ([1], 2))
    assert 0.15 <= time.monotonic() - start < 5
    ack(client, name, out)
    soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 2)) + "Z"
    done(client.commit(message(topic, "b", "later", deliver_at=soon), key=fresh("k")))
    equal(receive(client, name), [])
    equal(data_of(receive(client, name, wait_ms=10000)), ["later"])


@test("wait_ms: a subscription that is deleted answers its waiters 404")
def _(client):
    name, _ = subscription(client)
    seen = []

    def wait():
        other = Client(the_server())
        seen.append(other.post(f"/v1/subscriptions/{name}/receive", {"wait_ms": 20000}))
        other.close()

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)
    done(client.delete(f"/v1/subscriptions/{name}", key=fresh("k")), 200)
    thread.join(10)
    refused(seen[0], 404, "subscription_not_found")


# ---- ack ----

@test("ack: item by item, in one commit; it may be repeated; a foreign receipt is stale")
def _(client):
    name, topic = subscription(client)
    publish(client, topic, ("a", 1), ("b", 2))
    out = receive(client, name)
    first = done(client.post(f"/v1/subscriptions/{name}/ack", {"receipts": receipts_of(out)}), 200)
    equal(first.json["results"], [{"message": each["event"]["id"], "state": "acked"} for each in out])
    assert first.json["position"] == first.position
    again = settle(client, name, "ack", receipts_of(out))
    equal(again, first.json["results"])
    other, other_topic = subscription(client)
    publish(client, other_topic, ("a", 1))
    foreign = receive(client, other)
    equal(settle(client, name, "ack", receipts_of(foreign)), [{"code": "stale_receipt", "status": 409}])
    refused(client.post(f"/v1/subscriptions/{name}/ack", {"receipts": ["nonsense"]}), 400, "invalid_request", "/receipts/0")
    refused(client.post(f"/v1/subscriptions/{name}/ack", {"receipts": []}), 400, "invalid_request")
    refused(client.post(f"/v1/subscriptions/{name}/ack", {}), 400, "invalid_request")


@test("ack: in order within a key; a batch may hold all of them")
def _(client):
    name, topic = subscription(client)
    publish(client, topic, ("a", 1), ("a", 2), ("a", 3))
    out = receive(client, name)
    equal(settle(client, name, "ack", [out[1]["receipt"]]), [{"code": "ack_out_of_order", "status": 409}])
    results = settle(client, name, "ack", [out[1]["receipt"], out[0]["receipt"], out[1]["receipt"], out[2]["receipt"]])
    equal([each.get("code", each.get("state")) for each in results], ["ack_out_of_order", "acked", "acked", "acked"])
    equal(show(client, name)["acked"], 3)


@test("ack: after the lease has ended the receipt is stale and does not count")
def _(client):
    name, topic = subscription(client, lease_ms=1000, **FAST)
    publish(client, topic, ("a", 1))
    old = receive(client, name)
    new = receive(client, name, wait_ms=10000)
    equal((data_of(new), new[0]["attempt"]), ([1], 2))
    equal(settle(client, name, "ack", receipts_of(old)), [{"code": "stale_receipt", "status": 409}])
    equal(show(client, name)["acked"], 0)
    ack(client, name, new)


@test("extend: the group keeps its messages longer")
def _(client):
    name, topic = subscription(client, lease_ms=1000)
    publish(client, topic, ("a", 1))
    out = receive(client, name)
    result, = settle(client, name, "extend", receipts_of(out), lease_ms=20000)
    assert result["deadline"] > out[0]["deadline"], (result, out)
    time.sleep(1.3)
    ack(client, name, out)
    equal(settle(client, name, "extend", receipts_of(out), lease_ms=20000), [{"code": "stale_receipt", "status": 409}])


# ---- exactly once ----

@test("effect, ack and publish are one commit; it replays by its ids; a stale receipt refuses all of it")
def _(client):
    world, user = accounts(client)
    name, topic = subscription(client)
    publish(client, topic, ("a", 1))
    out, = receive(client, name)
    answered, paid = fresh("answered"), fresh("t")
    effect = [operation("transfer", **transfer(world, user, "7", id=paid)),
              operation("ack", subscription=name, receipt=out["receipt"]),
              message(answered, "a", 1, id=fresh("m"))]
    first = done(client.commit(*effect))
    equal(first.json["results"][1], {"op": "ack", "subscription": name, "message": out["event"]["id"], "state": "acked"})
    again = done(client.commit(*effect))
    equal((again.body, again.replayed), (first.body, True))
    equal(posted(client, user), "7")
    stale = [operation("transfer", **transfer(world, user, "7", id=fresh("t"))),
             operation("ack", subscription=name, receipt=out["receipt"])]
    equal(posted(client, user), "7")
    name2, topic2 = subscription(client, **FAST)
    publish(client, topic2, ("a", 1))
    old, = receive(client, name2)
    settle(client, name2, "nack", [old["receipt"]])
    stale[1]["subscription"], stale[1]["receipt"] = name2, old["receipt"]
    refused(client.commit(*stale), 409, "stale_receipt", "/do/1")
    equal(posted(client, user), "7")


@test("condition: a commit may ask that a receipt is live")
def _(client):
    name, topic = subscription(client, **FAST)
    publish(client, topic, ("a", 1))
    out, = receive(client, name)
    live = [{"subscription": name, "receipt": out["receipt"]}]
    put = operation("put", document=fresh("d"), data=1)
    done(client.commit(put, conditions=live, key=fresh("k")))
    settle(client, name, "nack", [out["receipt"]])
    refused(client.commit(put, conditions=live, key=fresh("k")), 412, "condition_failed", "/if/0")


@test("acks and nacks alone in a commit need no key; nack is an operation, too")
def _(client):
    name, topic = subscription(client, backoff={"first_ms": 5000, "max_ms": 5000})
    publish(client, topic, ("a", 1), ("b", 2))
    one, two = receive(client, name)
    answer = done(client.commit(operation("ack", subscription=name, receipt=one["receipt"]),
                                operation("nack", subscription=name, receipt=two["receipt"], error="later")))
    result = answer.json["results"][1]
    equal((result["op"], result["state"], result["tries"]), ("nack", "backing_off", 1))
    assert result["not_before"] > answer.json["time"], answer


# ---- nack, tries, dead letters ----

@test("nack: the first counts a try; later ones of its group go back uncounted, their receipts stale")
def _(client):
    name, topic = subscription(client, **FAST)
    publish(client, topic, ("a", 1), ("a", 2))
    out = receive(client, name)
    results = settle(client, name, "nack", receipts_of(out), error="no")
    equal([each.get("state", each.get("code")) for each in results], ["backing_off", "stale_receipt"])
    again = receive(client, name, wait_ms=5000)
    equal([(each["event"]["data"], each["attempt"]) for each in again], [(1, 2), (2, 1)])


@test("nack: delay_ms and error by item; the form with items")
def _(client):
    name, topic = subscription(client, **FAST)
    publish(client, topic, ("a", 1), ("b", 2))
    out = receive(client, name)
    body = {"items": [{"receipt": out[0]["receipt"], "delay_ms": 60000, "error": "slow"}, {"receipt": out[1]["receipt"]}]}
    results = done(client.post(f"/v1/subscriptions/{name}/nack", body), 200).json["results"]
    equal([each["tries"] for each in results], [1, 1])
    equal(data_of(receive(client, name, wait_ms=5000)), [2])
    equal(show(client, name)["backing_off"], 1)
    refused(client.post(f"/v1/subscriptions/{name}/nack", {"receipts": ["x"], "items": []}), 400, "invalid_request")


@test("backoff: between half and all of first_ms doubled with each try, capped")
def _(client):
    name, topic = subscription(client, backoff={"first_ms": 1000, "max_ms": 3000}, attempts_max=10)
    publish(client, topic, ("a", 1))
    out = receive(client, name)
    for most in (1000,):
        answer = done(client.post(f"/v1/subscriptions/{name}/nack", {"receipts": receipts_of(out)}), 200)
        at = done(client.get(f"/v1/commits/{answer.position}"), 200).json["time"]
        delay = seconds(answer.json["results"][0]["not_before"]) - seconds(at)
        assert most / 2000 - 0.001 <= delay <= most / 1000 + 0.001, delay


def seconds(text):
    """Of a day, with µs: the tests are not run across midnight for longer than a retry."""
    hours, minutes, rest = text[11:-1].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


@test("park_key: after attempts_max deliveries the message is a dead letter, later ones of its key wait, other keys flow")
def _(client):
    name, topic = subscription(client, attempts_max=2, **FAST)
    ids = publish(client, topic, ("a", "poison"), ("a", "after"), ("b", "other"))
    for _ in range(2):
        poison = [each for each in receive(client, name, 1, wait_ms=5000) if each["event"]["partitionkey"] == "a"]
        while not poison:
            poison = [each for each in receive(client, name, 1, wait_ms=5000) if each["event"]["partitionkey"] == "a"]
        settle(client, name, "nack", receipts_of(poison), error="cannot")
    letter, = dead(client, name)
    equal((letter["message"], letter["key"], letter["tries"], letter["error"], letter["event"]["data"]),
          (ids[0], "a", 2, "cannot", "poison"))
    equal(show(client, name)["parked"], 1)
    equal(data_of(receive(client, name)) in ([], ["other"]), True)


@test("park_message: unordered, only the message is parked")
def _(client):
    name, topic = subscription(client, order="none", attempts_max=1, **FAST)
    publish(client, topic, ("a", 1), ("a", 2))
    one, two = receive(client, name)
    equal(settle(client, name, "nack", [one["receipt"]])[0]["state"], "parked")
    ack(client, name, [two])
    publish(client, topic, ("a", 3))
    equal(data_of(receive(client, name)), [3])
    equal([each["event"]["data"] for each in dead(client, name)], [1])


@test("block: a message that is exhausted backs off for ever")
def _(client):
    name, topic = subscription(client, attempts_max=1, exhausted="block", backoff={"first_ms": 0, "max_ms": 60000})
    publish(client, topic, ("a", 1))
    result, = settle(client, name, "nack", receipts_of(receive(client, name)))
    equal((result["state"], dead(client, name)), ("backing_off", []))


@test("park by hand")
def _(client):
    name, topic = subscription(client)
    ids = publish(client, topic, ("a", 1))
    result, = settle(client, name, "park", receipts_of(receive(client, name)), error="never")
    equal((result["message"], result["state"]), (ids[0], "parked"))
    equal([each["error"] for each in dead(client, name)], ["never"])


@test("dead: pages, and those whose error contains a text")
def _(client):
    name, topic = subscription(client, attempts_max=1)
    publish(client, topic, *((f"k{n}", n) for n in range(5)))
    for n, each in enumerate(receive(client, name)):
        settle(client, name, "nack", [each["receipt"]], error=f"code {n % 2}")
    path = f"/v1/subscriptions/{name}/dead"
    page = done(client.get(path + "?limit=2"), 200).json
    rest = done(client.get(path + f"?limit=10&after={page['next']}"), 200).json
    equal([each["event"]["data"] for each in page["data"] + rest["data"]], [0, 1, 2, 3, 4])
    equal(rest["next"], None)
    equal([each["event"]["data"] for each in dead(client, name, "?error_contains=code%201")], [1, 3])


@test("redrive: one message, a key in order, all; it needs a key")
def _(client):
    name, topic = subscription(client, attempts_max=1)
    ids = publish(client, topic, ("a", 1), ("a", 2), ("b", 3))
    for each in receive(client, name, 10):
        if each["event"]["data"] != 2:
            settle(client, name, "nack", [each["receipt"]], error="x")
    path = f"/v1/subscriptions/{name}/redrive"
    refused(client.post(path, {"all": True}), 400, "idempotency_key_missing")
    refused(client.post(path, {}, key=fresh("k")), 400, "invalid_request")
    refused(client.post(path, {"message": ids[0], "all": True}, key=fresh("k")), 400, "invalid_request")
    refused(client.post(path, {"message": "1-7"}, key=fresh("k")), 404, "message_not_found")
    key = fresh("k")
    first = done(client.post(path, {"key": "a"}, key=key), 200)
    equal(first.json["moved"], 1)
    again = done(client.post(path, {"key": "a"}, key=key), 200)
    equal((again.body, again.replayed), (first.body, True))
    out = receive(client, name)
    equal([(each["event"]["data"], each["attempt"]) for each in out], [(1, 1), (2, 1)])
    equal(done(client.post(path, {"message": ids[2]}, key=fresh("k")), 200).json["moved"], 1)
    settle(client, name, "nack", receipts_of(receive(client, name)), error="again")
    equal(done(client.post(path, {"all": True}, key=fresh("k")), 200).json["moved"], 1)
    equal(dead(client, name), [])


@test("redrive: discard gives a dead letter up, and its key goes on")
def _(client):
    name, topic = subscription(client, attempts_max=1)
    ids = publish(client, topic, ("a", 1), ("a", 2))
    settle(client, name, "nack", receipts_of(receive(client, name, 1)))
    equal(done(client.post(f"/v1/subscriptions/{name}/redrive", {"message": ids[0], "discard": True}, key=fresh("k")), 200).json["moved"], 1)
    equal(state_of(client, name, ids[0])["state"], "discarded")
    equal(data_of(receive(client, name)), [2])


@test("redrive: at a rate, with progress, and cancelled")
def _(client):
    name, topic = subscription(client, attempts_max=1)
    publish(client, topic, *((f"k{n}", n) for n in range(6)))
    settle(client, name, "nack", receipts_of(receive(client, name)))
    path = f"/v1/subscriptions/{name}/redrive"
    answer = done(client.post(path, {"all": True, "rate_per_s": 2}, key=fresh("k")), 200)
    equal(answer.json["redrive"]["active"], True)
    assert wait_until(lambda: 0 < show(client, name)["parked"] < 6)
    done(client.post(path, {"cancel": True}, key=fresh("k")), 200)
    equal(show(client, name)["redrive"], None)
    left = show(client, name)["parked"]
    time.sleep(1)
    equal(show(client, name)["parked"], left)
    done(client.post(path, {"all": True, "rate_per_s": 1000}, key=fresh("k")), 200)
    assert wait_until(lambda: show(client, name)["parked"] == 0)


# ---- seek, messages ----

@test("seek: to the beginning, now, a position; receipts are stale; it needs a key")
def _(client):
    name, topic = subscription(client)
    publish(client, topic, ("a", 1))
    second = done(client.commit(message(topic, "a", 2), key=fresh("k"))).position
    out = receive(client, name)
    ack(client, name, out[:1])
    path = f"/v1/subscriptions/{name}/seek"
    refused(client.post(path, {"to": "beginning"}), 400, "idempotency_key_missing")
    done(client.post(path, {"to": "beginning"}, key=fresh("k")), 200)
    equal(settle(client, name, "ack", [out[1]["receipt"]])[0]["code"], "stale_receipt")
    equal(data_of(receive(client, name, wait_ms=10000)), [1, 2])
    done(client.post(path, {"to": {"position": second - 1}}, key=fresh("k")), 200)
    equal(data_of(receive(client, name, wait_ms=10000)), [2])
    done(client.post(path, {"to": "now"}, key=fresh("k")), 200)
    equal(receive(client, name), [])
    for wrong in ({"to": "end"}, {}, {"to": {"position": 1, "time": "2020-01-01T00:00:00Z"}}):
        refused(client.post(path, wrong, key=fresh("k")), 400, "invalid_request")


@test("messages/{id}: every delivery, by whom, when, and its end")
def _(client):
    name, topic = subscription(client, **FAST)
    identity, = publish(client, topic, ("a", {"n": 1}))
    equal(state_of(client, name, identity)["state"], "waiting")
    one = receive(client, name, consumer="worker-1")
    shown = state_of(client, name, identity)
    equal((shown["state"], shown["key"], shown["event"]["data"], len(shown["deliveries"])), ("in_flight", "a", {"n": 1}, 1))
    equal(shown["deliveries"][0]["end"], None)
    settle(client, name, "nack", receipts_of(one), error="why")
    two = receive(client, name, wait_ms=5000, consumer="worker-2")
    ack(client, name, two)
    shown = state_of(client, name, identity)
    equal(shown["state"], "acked")
    equal([(each["attempt"], each["principal"], each["consumer"], each["end"]["state"]) for each in shown["deliveries"]],
          [(1, "local", "worker-1", "nacked"), (2, "local", "worker-2", "acked")])
    equal(shown["deliveries"][0]["end"]["error"], "why")
    refused(client.get(f"/v1/subscriptions/{name}/messages/{head_position(client) + 9}-0"), 404, "message_not_found")
    refused(client.get(f"/v1/subscriptions/{name}/messages/x"), 400, "invalid_request")


@test("delayed: it is told as delayed, and by the subscription")
def _(client):
    name, topic = subscription(client)
    answer = done(client.commit(message(topic, "a", 1, deliver_at="2030-01-01T00:00:00Z"), key=fresh("k")))
    identity = answer.json["results"][0]["message"]
    equal(state_of(client, name, identity)["state"], "delayed")
    equal(receive(client, name), [])
    past = done(client.commit(message(topic, "b", 2, deliver_at="2020-01-01T00:00:00Z"), key=fresh("k")))
    equal([each["event"]["id"] for each in receive(client, name)], [past.json["results"][0]["message"]])


# ---- filters ----

@test("filter: any part of the feed: transfers of an asset, streams by prefix and type, documents")
def _(client):
    base = fresh("f")
    money, _ = subscription(client, filter={"types": ["holdfast.transfer.*"], "asset": "USD/2"}, **{"from": "now"})
    streams, _ = subscription(client, filter={"prefix": f"streams/{base}:", "types": ["order.*"]}, **{"from": "now"})
    world, user = accounts(client)
    paid = done(client.commit(operation("transfer", **transfer(world, user, "5", id=fresh("t"))),
                              operation("append", stream=f"{base}:1", type="order.paid", data={"x": 1}),
                              operation("append", stream=f"{base}:1", type="noise", data=1), key=fresh("k")))
    out = receive(client, money)
    equal([(each["event"]["id"], each["event"]["type"]) for each in out], [(f"{paid.position}-0", "holdfast.transfer.posted")])
    out = receive(client, streams)
    equal([(each["event"]["type"], each["event"]["data"], each["event"]["partitionkey"]) for each in out],
          [("order.paid", {"x": 1}, f"{base}:1")])


@test("filter: what subscriptions do themselves does not arrive at one")
def _(client):
    every, _ = subscription(client, filter={}, **{"from": "now"})
    name, topic = subscription(client)
    publish(client, topic, ("a", 1))
    ack(client, name, receive(client, name))
    out = receive(client, every)
    equal([each["event"]["type"] for each in out if each["event"]["type"].startswith("system.")], [])
    equal(data_of(out), [1])


@test("1,000 messages go out and are acked at once")
def _(client):
    name, topic = subscription(client)
    for part in range(2):
        publish(client, topic, *((f"k{n % 50}", part * 500 + n) for n in range(500)))
    out = receive(client, name, 1000)
    equal(sorted(data_of(out)), list(range(1000)))
    ack(client, name, out)
    shown = show(client, name)
    equal((shown["acked"], shown["waiting"], shown["in_flight"], shown["oldest_unacked_at"]), (1000, 0, 0, None))
    refused(client.post(f"/v1/subscriptions/{name}/ack", {"receipts": [out[0]["receipt"]] * 1001}), 400, "invalid_request")


# ---- metrics ----

@test("/metrics: a subscription's figures")
def _(client):
    name, topic = subscription(client)
    publish(client, topic, ("a", 1), ("b", 2), ("c", 3))
    ack(client, name, receive(client, name, 1))
    receive(client, name, 1)
    families = metrics_text.parse(done(client.get("/metrics"), 200).body.decode())
    for row, figure in (("in_flight", 1), ("ready_lines", 1), ("waiting", 1), ("parked", 0), ("deliveries_total", 2),
                        ("acked_total", 1), ("arrived_total", 3), ("stalled", 0), ("lag", 0), ("backing_off", 0),
                        ("failed_tries_total", 0), ("parkings_total", 0), ("discarded_total", 0)):
        equal(metrics_text.value(families, f"holdfast_subscription_{row}", subscription=name), figure, row)
    age = metrics_text.value(families, "holdfast_subscription_oldest_unacked_age_seconds", subscription=name)
    assert 0 < age < 60, age
    equal(metrics_text.value(families, "holdfast_subscriptions_untold"), 0)


if __name__ == "__main__":
    main()
