#!/usr/bin/env python3
"""Sagas over HTTP, rule by rule (docs/sagas.md, docs/http-api.md); every answer is held against docs/openapi.yaml. No participant is
called: steps wait for events that nobody posts, and end by hand, by timers and by the server's own commits. Prints TAP."""
import json
import threading
import time

from http_client import Client
from protocol_suite import accounts, done, equal, fresh, main, operation, posted, refused, test, the_server

UNDO = {"do": [{"op": "append", "stream": "undone", "type": "undone", "data": {"$": "/saga/id"}}]}


def step(name, after=(), **more):
    return {"name": name, "after": list(after), "action": {"event": {"type": "never.comes", "key": name}}, **more}


def two(**more):
    return {"steps": [step("reserve", compensation=UNDO), step("mail", ["reserve"])], **more}


POINT = {"steps": [{"name": "point", "action": {}}]}


def define(client, definition, name=None, version=1):
    name = name or fresh("def")
    done(client.put(f"/v1/saga-definitions/{name}/{version}", definition))
    return f"{name}@{version}"


def start(client, definition, saga=None, wait=None, **more):
    saga = saga or fresh("saga")
    done(client.put(f"/v1/sagas/{saga}" + (f"?wait={wait}" if wait else ""), {"definition": definition, **more}))
    return saga


def show(client, saga):
    return done(client.get(f"/v1/sagas/{saga}"), 200).json


def act(client, saga, verb, key=None, **body):
    return client.post(f"/v1/sagas/{saga}/{verb}", {"reason": "the test", **body}, key=key or fresh("key"))


# ---- definitions ----

@test("a definition is stored once: 201, the same again 200, another 409")
def _(client):
    name = fresh("def")
    first = done(client.put(f"/v1/saga-definitions/{name}/1", two()))
    equal(first.json["definition"], {"name": name, "version": 1})
    again = done(client.put(f"/v1/saga-definitions/{name}/1", json.loads(json.dumps(two(), sort_keys=True))), 200)
    equal(again.json, {"position": None, "op": "define_saga", "definition": {"name": name, "version": 1}})
    answer = refused(client.put(f"/v1/saga-definitions/{name}/1", POINT), 409, "definition_exists")
    equal(answer.json["current"], {"kind": "saga_definition", "id": name, "version": 1})
    done(client.put(f"/v1/saga-definitions/{name}/2", POINT))
    stored = done(client.get(f"/v1/saga-definitions/{name}/1"), 200).json
    equal([each["name"] for each in stored["definition"]["steps"]], ["reserve", "mail"])
    page = done(client.get(f"/v1/saga-definitions/{name}?limit=1"), 200).json
    equal([each["version"] for each in page["data"]], [1])
    rest = done(client.get(f"/v1/saga-definitions/{name}?after={page['next']}"), 200).json
    equal([each["version"] for each in rest["data"]], [2])
    assert any(each["name"] == name for each in done(client.get("/v1/saga-definitions?limit=1000"), 200).json["data"])
    refused(client.get(f"/v1/saga-definitions/{name}/3"), 404, "saga_definition_not_found")


@test("a definition is checked as a whole: the pointer names the place")
def _(client):
    name = fresh("def")
    for wrong, pointer in (({"steps": []}, "/steps"), ({**two(), "profile": "saga"}, "/profile"), ({**two(), "colour": 1}, "/colour"),
                           ({"steps": [step("a", ["b"])]}, None), ({"steps": [step("a"), step("a")]}, None),
                           ({"steps": [step("a", ["b"]), step("b", ["a"])]}, None),
                           ({"steps": [step("a", pivot=True), step("b", ["a"], compensation=UNDO)]}, None)):
        refused(client.put(f"/v1/saga-definitions/{name}/1", wrong), 400, "invalid_request", pointer)


# ---- starts ----

@test("a start is idempotent by its id, by key without one, and shows the saga")
def _(client):
    definition, saga = define(client, two()), fresh("saga")
    body = {"definition": definition, "input": {"n": 1}, "business_key": "order-1", "tags": {"shop": "berlin"}}
    first = done(client.put(f"/v1/sagas/{saga}", body))
    equal((first.json["saga"], first.json["version"], first.json["state"], first.etag), (saga, 1, "waiting", '"1"'))
    again = done(client.put(f"/v1/sagas/{saga}", body), 200).json
    equal((again["id"], again["input"], again["tags"], again["business_key"]), (saga, {"n": 1}, {"shop": "berlin"}, "order-1"))
    answer = refused(client.put(f"/v1/sagas/{saga}", {**body, "input": {"n": 2}}), 409, "saga_exists")
    equal(answer.json["current"]["id"], saga)
    key = fresh("key")
    refused(client.post("/v1/sagas", body), 400, "idempotency_key_missing")
    named = done(client.post("/v1/sagas", body, key=key))
    assert named.json["saga"].startswith("~"), named
    replayed = done(client.post("/v1/sagas", body, key=key))
    equal(replayed.body, named.body)
    assert replayed.replayed
    equal(show(client, named.json["saga"])["state"], "waiting")
    refused(client.get(f"/v1/sagas/{fresh('none')}"), 404, "saga_not_found")
    refused(client.put(f"/v1/sagas/{fresh('saga')}", {"definition": "none@1"}), 404, "saga_definition_not_found")


@test("?wait answers when the saga has ended, and else when the time is over")
def _(client):
    saga = fresh("saga")
    answer = done(client.put(f"/v1/sagas/{saga}?wait=10s", {"definition": POINT}))
    equal((answer.json["id"], answer.json["state"]), (saga, "succeeded"))
    waiting = start(client, {"steps": [{"name": "rest", "action": {"sleep_ms": 600000}}]})
    began = time.monotonic()
    equal(done(client.get(f"/v1/sagas/{waiting}?wait=1s"), 200).json["state"], "waiting")
    assert time.monotonic() - began >= 0.9
    seen = {}

    def wait():
        seen["saga"] = done(Client(the_server()).get(f"/v1/sagas/{waiting}?wait=30s"), 200).json
    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)
    done(act(client, waiting, "skip", step="rest"), 200)
    thread.join(20)
    equal(seen["saga"]["state"], "succeeded")
    refused(client.get(f"/v1/sagas/{waiting}?wait=31"), 400, "invalid_request")


@test("a start stands in a commit with other effects, and a condition on its state")
def _(client):
    world, user = accounts(client, funds="10")
    definition, saga = define(client, two()), fresh("saga")
    answer = done(client.commit(operation("transfer", id=fresh("t"), **{"from": user, "to": world, "asset": "USD/2", "amount": "4"}),
                                operation("start_saga", saga=saga, definition=definition)))
    equal([each["op"] for each in answer.json["results"]], ["transfer", "start_saga"])
    condition = {"saga": saga, "state": "waiting"}
    done(client.commit(operation("append", stream=fresh("s"), type="t", data=1), conditions=[condition], key=fresh("k")))
    refused(client.commit(operation("append", stream=fresh("s"), type="t", data=1),
                          conditions=[{"saga": saga, "state": "succeeded"}], key=fresh("k")), 412, "condition_failed", "/if/0")
    too_much = operation("transfer", id=fresh("t"), **{"from": user, "to": world, "asset": "USD/2", "amount": "400"})
    other = fresh("saga")
    refused(client.commit(operation("start_saga", saga=other, definition=definition), too_much), 422, "insufficient_funds", "/do/1")
    refused(client.get(f"/v1/sagas/{other}"), 404, "saga_not_found")


@test("native steps are commits of the saga's own: a hold, then its capture")
def _(client):
    world, user = accounts(client, funds="10")
    hold = {"$join": ["pay-", {"$": "/saga/id"}]}
    saga = fresh("saga")
    answer = done(client.put(f"/v1/sagas/{saga}?wait=10", {
        "definition": {"steps": [
            {"name": "money", "action": {"do": [{"op": "hold", "id": hold, "from": user, "to": world, "asset": "USD/2",
                                                 "amount": {"$": "/input/amount"}}]},
             "compensation": {"do": [{"op": "void", "hold": hold}]}},
            {"name": "charge", "after": ["money"], "pivot": True, "action": {"do": [{"op": "capture", "hold": hold}]}}]},
        "input": {"amount": "7"}}))
    equal(answer.json["state"], "succeeded")
    equal(posted(client, user), "3")
    refused(client.post(f"/v1/holds/pay-{saga}/void", {}, key=fresh("k")), 409, "hold_not_open")
    poor = fresh("saga")
    answer = done(client.put(f"/v1/sagas/{poor}?wait=10", {
        "definition": {"steps": [{"name": "money", "action": {"do": [{"op": "hold", "id": hold, "from": user, "to": world, "asset": "USD/2",
                                                                        "amount": "70"}]}}]}}))
    equal((answer.json["state"], posted(client, user)), ("compensated", "3"))
    assert "insufficient_funds" in answer.json["reason"], answer


# ---- by hand ----

@test("verbs need a version or a key, a reason, and a saga that has not ended")
def _(client):
    saga = start(client, define(client, two()))
    path = f"/v1/sagas/{saga}"
    refused(client.post(f"{path}/pause", {"reason": "r"}), 428, "precondition_required")
    refused(client.post(f"{path}/pause", {"reason": "r"}, match='"9"'), 412, "condition_failed")
    refused(client.post(f"{path}/pause", {}, key=fresh("k")), 400, "invalid_request", "/reason")
    version = show(client, saga)["version"]
    paused = done(client.post(f"{path}/pause", {"reason": "bank is down", "actor": "ann"}, match=f'"{version}"'), 200)
    equal((paused.json["op"], paused.json["state"], paused.json["actor"]), ("pause", "paused", "ann"))
    equal(show(client, saga)["reason"], "bank is down")
    key = fresh("k")
    resumed = done(act(client, saga, "resume", key=key), 200)
    again = done(act(client, saga, "resume", key=key), 200)
    equal(again.body, resumed.body)
    done(act(client, saga, "skip", step="reserve", result={"id": 5}), 200)
    refused(act(client, saga, "skip", step="none"), 404, "saga_step_not_found")
    done(act(client, saga, "steps/mail/fail", error="no such address"), 200)
    equal(show(client, saga)["state"], "compensated")
    refused(act(client, saga, "retry"), 409, "saga_ended")
    other = start(client, define(client, two()))
    done(act(client, other, "abandon"), 200)
    equal(show(client, other)["state"], "abandoned")
    third = start(client, define(client, two()))
    done(act(client, third, "compensate"), 200)
    equal(show(client, third)["state"], "compensated")
    history = done(client.get(f"{path}/history?limit=1000"), 200).json["data"]
    equal([each["act"] for each in history][:5], ["start", "pause", "resume", "skip", "fail"])
    equal((history[1]["principal"], history[1]["actor"], history[1]["reason"]), ("local", "ann", "bank is down"))
    first = done(client.get(f"{path}/history?limit=2"), 200).json
    behind = done(client.get(f"{path}/history?limit=2&after={first['next']}"), 200).json
    equal([each["version"] for each in first["data"] + behind["data"]], [1, 2, 3, 4])


@test("lists by every filter, page by page; a bulk of verbs, first dry")
def _(client):
    definition, tag = define(client, two()), fresh("tag").replace(":", "-")
    sagas = sorted(start(client, definition, business_key=tag, tags={"t": tag}) for _ in range(5))
    for query in (f"definition={definition}", f"tag=t:{tag}", f"business_key={tag}", f"definition={definition}&step=reserve"):
        page = done(client.get(f"/v1/sagas?{query}&limit=1000"), 200).json
        equal(sorted(each["id"] for each in page["data"]), sagas, query)
    equal(done(client.get(f"/v1/sagas?definition={definition}&failing=true"), 200).json["data"], [])
    seen, after = [], ""
    while True:
        page = done(client.get(f"/v1/sagas?business_key={tag}&limit=2{after}"), 200).json
        seen += [each["id"] for each in page["data"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    equal(sorted(seen), sagas)
    body = {"verb": "pause", "filter": {"definition": definition}, "reason": "r"}
    dry = done(client.post("/v1/saga-verbs", {**body, "dry_run": True}), 200).json
    equal((dry["position"], dry["matched"], dry["done"]), (None, 5, 5))
    done_now, after = 0, {}
    while True:
        page = done(client.post("/v1/saga-verbs", {**body, "limit": 2, **after}, key=fresh("k")), 200).json
        done_now += page["done"]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    equal(done_now, 5)
    paused = done(client.get(f"/v1/sagas?state=paused&definition={definition}"), 200).json
    equal(sorted(each["id"] for each in paused["data"]), sagas)
    again = done(client.post("/v1/saga-verbs", {"verb": "abandon", "filter": {"tag": f"t:{tag}"}, "reason": "over"}, key=fresh("k")), 200).json
    equal((again["matched"], again["done"], again["refused"]), (5, 5, []))
    refused(client.post("/v1/saga-verbs", body), 400, "idempotency_key_missing")


@test("events of a saga are in the feed, without its secrets")
def _(client):
    saga = fresh("saga")
    start(client, POINT, saga, wait="10s", input={"n": 1})
    events = done(client.get(f"/v1/feed?prefix=sagas/{saga}"), 200).json["data"]
    equal([each["type"] for each in events][0], "holdfast.saga.started")
    equal({each["subject"] for each in events}, {f"sagas/{saga}"})
    equal({each["partitionkey"] for each in events}, {saga})
    assert "secret" not in json.dumps(events) and "token" not in json.dumps(events), events


@test("without a callback token or authorization a step is not ended")
def _(client):
    saga = start(client, {"steps": [step("a")]})
    refused(client.post(f"/v1/sagas/{saga}/steps/a/complete", {}), 400, "idempotency_key_missing")
    refused(client.post(f"/v1/sagas/{saga}/steps/a/complete", {"token": "0" * 32}), 403, "forbidden")
    refused(client.post(f"/v1/sagas/{saga}/steps/b/complete", {}, key=fresh("k")), 404, "saga_step_not_found")
    done(client.post(f"/v1/sagas/{saga}/steps/a/complete", {"result": {"x": 1}}, key=fresh("k")), 200)
    ended = show(client, saga)
    equal((ended["state"], ended["steps"][0]["result"]), ("succeeded", {"x": 1}))


if __name__ == "__main__":
    main()
