#!/usr/bin/env python3
"""The door's contract over HTTP: order of answers, resources, replays, reads and lists. Prints TAP."""
import json
import threading
import time

import metrics_text
from http_client import Client
from protocol_suite import (accounts, done, equal, fresh, head_position, main, operation, posted, refused, test, transfer)


def pages(client, target, limit):
    """All items of a list, page by page."""
    items, after = [], None
    mark = "&" if "?" in target else "?"
    while True:
        more = f"{mark}limit={limit}" + (f"&after={after}" if after else "")
        page = done(client.get(target + more), 200).json
        assert len(page["data"]) <= limit
        items += page["data"]
        after = page["next"]
        if after is None:
            return items


# ---- order of answers ----

@test("order: 404 of a route and 405 before 415, 415 before malformed, malformed before the missing key")
def _(client):
    refused(client.put("/v1/transfers", "{", content_type="text/plain"), 405, "method_not_allowed")
    refused(client.post("/v1/transferz", "{", content_type="text/plain"), 404, "not_found")
    refused(client.post("/v1/transfers", "{", content_type="text/plain"), 415, "unsupported_media_type")
    refused(client.post("/v1/transfers", "{"), 400, "invalid_request")
    world, user = accounts(client)
    refused(client.post("/v1/transfers", transfer(user, world, "x")), 400, "invalid_request", "/amount")
    refused(client.post("/v1/transfers", transfer(user, world, "5")), 400, "idempotency_key_missing")


@test("order: key replay, reuse, then ids, then conditions, then operations")
def _(client):
    world, user = accounts(client)
    key, taken = fresh("k"), fresh("t")
    done(client.post("/v1/transfers", transfer(world, user, "1", id=taken), key=key))
    refused(client.post("/v1/transfers", transfer(world, user, "2", id=taken), key=key), 422, "idempotency_key_reused")
    other = operation("transfer", **transfer(world, user, "2", id=taken))
    refused(client.commit(other, conditions=[{"account": user, "version": 99}], key=fresh("k")), 409, "transfer_exists")
    poor = operation("transfer", **transfer(user, world, "99", id=fresh("t")))
    refused(client.commit(poor, conditions=[{"account": user, "version": 99}], key=fresh("k")), 412, "condition_failed")
    refused(client.commit(poor, operation("freeze", account=fresh("a")), key=fresh("k")), 409, "transfer_exists", "/do/0")
    poor["id"] = fresh("t")
    refused(client.commit(poor, operation("freeze", account=fresh("a")), key=fresh("k")), 422, "insufficient_funds", "/do/0")


@test("order: in an operation amount_invalid, not found, state, asset, funds")
def _(client):
    world, user = accounts(client)
    frozen = fresh("frozen")
    done(client.put(f"/v1/accounts/{frozen}", {"asset": "JPY/0"}))
    done(client.patch(f"/v1/accounts/{frozen}", {"state": "frozen"}, key=fresh("k")), 200)
    nobody = fresh("nobody")
    for source, target, amount, status, code in (
            (nobody, frozen, "0", 422, "amount_invalid"), (nobody, frozen, "9", 404, "account_not_found"),
            (user, frozen, "9", 423, "account_frozen"), (user, world, "9", 422, "insufficient_funds")):
        refused(client.post("/v1/transfers", transfer(source, target, amount), key=fresh("k")), status, code)
    done(client.patch(f"/v1/accounts/{frozen}", {"state": "open"}, key=fresh("k")), 200)
    refused(client.post("/v1/transfers", transfer(user, frozen, "9"), key=fresh("k")), 422, "asset_mismatch")


@test("Content-Type: exactly JSON, charset=utf-8 at most")
def _(client):
    world, user = accounts(client)
    for good in "application/json", "Application/JSON", "application/json; charset=utf-8", "application/json;charset=UTF-8":
        done(client.post("/v1/transfers", transfer(world, user, "1"), key=fresh("k"), content_type=good))
    body = json.dumps(transfer(world, user, "1", id=fresh("t")))
    for bad in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp",
                "application/json; charset=latin-1", "application/json, text/plain", "text/json", "application/vnd.api+json",
                "application/merge-patch+json", ""):
        refused(client.post("/v1/transfers", body, content_type=bad), 415, "unsupported_media_type")
    refused(client.post("/v1/transfers", body, headers={"Content-Type": None}), 415, "unsupported_media_type")
    equal(posted(client, user), "4")


@test("unknown query parameters, bodies where none belongs and missing bodies are 400")
def _(client):
    world, user = accounts(client)
    for target in (f"/v1/accounts/{user}?verson=1", f"/v1/accounts?limit=10&limit=10", "/v1/accounts?limit=0",
                   "/v1/accounts?limit=1001", "/v1/accounts?limit=abc", "/v1/accounts?limit=01", "/v1/accounts?after=%00",
                   "/v1/accounts?after=nonsense", f"/v1/accounts/{user}?min_position=-1", "/v1/holds", "/v1/transfers?account=",
                   f"/v1/holds?account={user}&state=opened", f"/v1/accounts/{user}/balance?at_version=1&at_position=1",
                   f"/v1/accounts/{user}/balance?at=yesterday", f"/v1/accounts/{user}/statement?format=xls",
                   f"/v1/accounts/{user}/statement?from=2021-01-01T00:00:00Z&to=2020-01-01T00:00:00Z", "/v1/commits/01",
                   "/v1/commits/-1", "/v1/commits/abc", "/v1/status?x=1"):
        refused(client.get(target), 400, "invalid_request")
    refused(client.post("/v1/commits?dry_run=yes", {"do": [operation("freeze", account=user)]}, key=fresh("k")), 400,
            "invalid_request")
    refused(client.post("/v1/transfers", key=fresh("k"), content_type="application/json"), 400, "invalid_request")
    refused(client.request("GET", f"/v1/accounts/{user}", "{}"), 400, "invalid_request")
    refused(client.get("/v1/commits/99999999999"), 404, "commit_not_found")


# ---- resources ----

@test("PUT of an account: 201, the same again 200 with the same body, another 409")
def _(client):
    name = fresh("a")
    body = {"asset": "USD/2", "floor": "-5", "ceiling": "100", "metadata": {"b": 1, "a": [1, 2]}}
    first = done(client.put(f"/v1/accounts/{name}", body))
    equal((first.json["account"], first.json["version"], first.etag, first.headers["location"]),
          (name, 0, '"0"', f"/v1/accounts/{name}"))
    again = done(client.put(f"/v1/accounts/{name}",
                            f'{{ "metadata":{{"a":[1,2], "b":1}}, "ceiling":100,"floor":"-5","asset":"USD/2" }}'), 200)
    equal((again.body, again.position, again.replayed), (first.body, first.position, True))
    done(client.post("/v1/transfers", transfer(name, accounts(client)[0], "5"), key=fresh("k")))
    done(client.patch(f"/v1/accounts/{name}", {"floor": "0"}, key=fresh("k")), 200)
    equal(done(client.put(f"/v1/accounts/{name}", body), 200).body, first.body, "compared with the creation request")
    for change in ({"asset": "EUR/2"}, {"floor": "-6"}, {"ceiling": None}, {"metadata": {"a": [2, 1], "b": 1}}):
        problem = refused(client.put(f"/v1/accounts/{name}", {**body, **change}), 409, "account_exists").json
        equal(problem["current"]["id"], name)
    less = dict(body)
    del less["metadata"]
    refused(client.put(f"/v1/accounts/{name}", less), 409, "account_exists")


@test("PUT of an account that a commit opened beside others")
def _(client):
    first, second = fresh("a"), fresh("a")
    opened = done(client.commit(operation("open_account", account=first, asset="USD/2"),
                                operation("open_account", account=second, asset="EUR/2"), key=fresh("k")))
    again = done(client.put(f"/v1/accounts/{second}", {"asset": "EUR/2"}), 200)
    equal((again.json["account"], again.position), (second, opened.position))
    refused(client.put(f"/v1/accounts/{second}", {"asset": "USD/2"}), 409, "account_exists")


@test("PATCH of an account: limits, metadata and state; each is an entry of its own")
def _(client):
    world, user = accounts(client)
    answer = done(client.patch(f"/v1/accounts/{user}", {"floor": "-10", "metadata": {"tier": 1}, "state": "frozen"}, match='"0"'), 200)
    equal((answer.etag, answer.json["version"], answer.json["state"]), ('"3"', 3, "frozen"))
    account = done(client.get(f"/v1/accounts/{user}"), 200)
    equal((account.json["floor"], account.json["metadata"], account.etag), ("-10", {"tier": 1}, '"3"'))
    done(client.patch(f"/v1/accounts/{user}", {"state": "open"}, match='"3"'), 200)
    refused(client.patch(f"/v1/accounts/{user}", {}, key=fresh("k")), 400, "invalid_request")
    refused(client.patch(f"/v1/accounts/{user}", {"state": "shut"}, key=fresh("k")), 400, "invalid_request", "/state")
    refused(client.patch(f"/v1/accounts/{user}", {"asset": "EUR/2"}, key=fresh("k")), 400, "invalid_request", "/asset")
    done(client.post("/v1/transfers", transfer(user, world, "1"), key=fresh("k")))
    refused(client.patch(f"/v1/accounts/{user}", {"state": "closed"}, key=fresh("k")), 409, "account_not_empty")
    done(client.post("/v1/transfers", transfer(world, user, "1"), key=fresh("k")))
    done(client.patch(f"/v1/accounts/{user}", {"state": "closed"}, key=fresh("k")), 200)
    refused(client.post("/v1/transfers", transfer(world, user, "1"), key=fresh("k")), 409, "account_closed")


@test("transfers: an id is unique for ever; the same again replays, whatever the door; another is 409")
def _(client):
    world, user = accounts(client)
    name = fresh("t")
    first = done(client.post("/v1/transfers", transfer(world, user, "5", id=name, metadata={"a": 1})))
    equal(first.headers["location"], f"/v1/transfers/{name}")
    again = done(client.post("/v1/transfers", transfer(world, user, "5", id=name, metadata={"a": 1})))
    equal((again.body, again.replayed, again.position), (first.body, True, first.position))
    as_commit = done(client.commit(operation("transfer", **transfer(world, user, 5, id=name, metadata={"a": 1}))))
    assert as_commit.replayed and as_commit.position == first.position
    for change in ({"amount": "6"}, {"from": user, "to": world}, {"metadata": {"a": 2}}, {"up_to": True},
                   {"effective_at": "2020-01-01T00:00:00Z"}):
        refused(client.post("/v1/transfers", {**transfer(world, user, "5", id=name, metadata={"a": 1}), **change}), 409,
                "transfer_exists")
    refused(client.post("/v1/transfers", transfer(world, user, "5", id=name)), 409, "transfer_exists")
    equal(posted(client, user), "5")
    thing = done(client.get(f"/v1/transfers/{name}"), 200).json
    equal((thing["amount"], thing["metadata"], thing["type"], thing["position"]), ("5", {"a": 1}, "transfer", first.position))


@test("transfers: a refused id is spent, and its refusal replays")
def _(client):
    world, user = accounts(client)
    name = fresh("t")
    first = refused(client.post("/v1/transfers", transfer(user, world, "5", id=name)), 422, "insufficient_funds")
    done(client.post("/v1/transfers", transfer(world, user, "50"), key=fresh("k")))
    again = client.post("/v1/transfers", transfer(user, world, "5", id=name))
    equal((again.status, again.body, again.replayed), (422, first.body, True))
    other = fresh("t")
    refused(client.commit(operation("transfer", **transfer(user, world, "5", id=other)),
                          operation("transfer", **transfer(user, world, "500", id=fresh("t")))), 422, "insufficient_funds", "/do/1")
    refused(client.post("/v1/transfers", transfer(user, world, "5", id=other)), 409, "transfer_exists")
    refused(client.get(f"/v1/transfers/{name}"), 404, "transfer_not_found")
    equal(posted(client, user), "50")


@test("reversals add up to the amount and can't be reversed")
def _(client):
    world, user = accounts(client)
    name, back = fresh("t"), fresh("r")
    done(client.post("/v1/transfers", transfer(world, user, "10", id=name)))
    part = done(client.post(f"/v1/transfers/{name}/reverse", {"amount": "4", "id": back}))
    equal((part.json["op"], part.json["reverses"], part.json["amount"], part.json["reversed"]), ("reverse", name, "4", "4"))
    refused(client.post(f"/v1/transfers/{name}/reverse", {"amount": "7"}, key=fresh("k")), 422, "limit_exceeded")
    rest = done(client.post(f"/v1/transfers/{name}/reverse", key=fresh("k"))).json
    equal((rest["amount"], rest["reversed"]), ("6", "10"))
    refused(client.post(f"/v1/transfers/{back}/reverse", {}, key=fresh("k")), 409, "not_reversible")
    given = rest["transfer"]
    assert given.startswith("~"), given
    equal(done(client.get(f"/v1/transfers/{given}"), 200).json["type"], "reversal")
    equal(posted(client, user), "0")


@test("holds: capture in parts, void, extend; exactly one end")
def _(client):
    world, user = accounts(client, funds="100")
    name = fresh("h")
    first = done(client.post("/v1/holds", transfer(user, world, "50", id=name, timeout_ms=600000)))
    equal((first.json["state"], first.json["from"]["available"], first.headers["location"]), ("open", "50", f"/v1/holds/{name}"))
    equal(done(client.post("/v1/holds", transfer(user, world, "50", id=name, timeout_ms=600000))).body, first.body)
    refused(client.post("/v1/holds", transfer(user, world, "51", id=name)), 409, "hold_exists")
    refused(client.post("/v1/transfers", transfer(user, world, "51"), key=fresh("k")), 422, "insufficient_funds")
    part = done(client.post(f"/v1/holds/{name}/capture", {"amount": "20"}, key=fresh("k"))).json
    equal((part["moved"], part["remaining"], part["state"]), ("20", "30", "open"))
    later = done(client.post(f"/v1/holds/{name}/extend", {"timeout_ms": 900000}, key=fresh("k")), 200).json
    assert later["expires_at"] > first.json["expires_at"]
    refused(client.post(f"/v1/holds/{name}/extend", {"timeout_ms": 1000}, key=fresh("k")), 422, "limit_exceeded")
    refused(client.post(f"/v1/holds/{name}/capture", {"amount": "31"}, key=fresh("k")), 422, "limit_exceeded")
    end = done(client.post(f"/v1/holds/{name}/capture", {"amount": "10", "final": True}, key=fresh("k"))).json
    equal((end["moved"], end["released"], end["state"]), ("10", "20", "captured"))
    for verb, body in (("void", {}), ("capture", {}), ("extend", {"timeout_ms": 9000000})):
        problem = refused(client.post(f"/v1/holds/{name}/{verb}", body, key=fresh("k")), 409, "hold_not_open").json
        equal((problem["current"]["state"], problem["current"]["captured"]), ("captured", "30"), "the first outcome")
    equal(posted(client, user), "70")
    other = fresh("h")
    done(client.post("/v1/holds", transfer(user, world, "5", id=other)))
    equal(done(client.post(f"/v1/holds/{other}/void", key=fresh("k")), 200).json["released"], "5")
    captured = [hold["id"] for hold in pages(client, f"/v1/holds?account={user}&state=captured", 10)]
    equal(captured, [name])
    equal([hold["id"] for hold in pages(client, f"/v1/holds?account={user}", 1)], [other, name])


@test("holds expire by themselves; the money is free again")
def _(client):
    world, user = accounts(client, funds="10")
    name = fresh("h")
    done(client.post("/v1/holds", transfer(user, world, "10", id=name, timeout_ms=1)))
    time.sleep(0.05)
    done(client.post("/v1/transfers", transfer(user, world, "10"), key=fresh("k")))
    equal(done(client.get(f"/v1/holds/{name}"), 200).json["state"], "expired")
    refused(client.post(f"/v1/holds/{name}/capture", {}, key=fresh("k")), 409, "hold_not_open")


@test("streams: expected version, event ids, arrays all or none")
def _(client):
    name = fresh("s")
    path = f"/v1/streams/{name}/events"
    ids = [fresh("e") for _ in range(4)]
    first = done(client.post(path, {"type": "a", "data": {"n": 1}, "id": ids[0], "expected_version": 0}))
    equal((first.json["version"], first.etag), (1, '"1"'))
    again = done(client.post(path, {"type": "a", "data": {"n": 1}, "id": ids[0], "expected_version": 0}))
    equal((again.body, again.replayed), (first.body, True), "the id is tested before the version")
    refused(client.post(path, {"type": "b", "data": {"n": 1}, "id": ids[0]}), 409, "event_exists")
    refused(client.post(path, {"type": "a", "data": 2, "expected_version": 0}, key=fresh("k")), 412, "condition_failed")
    more = done(client.post(path, [{"type": "a", "data": 2, "id": ids[1]}, {"type": "a", "data": 3, "id": ids[2]}]))
    equal([result["version"] for result in more.json["results"]], [2, 3])
    refused(client.post(path, [{"type": "a", "data": 3, "id": ids[2]}, {"type": "a", "data": 4, "id": ids[3]}]), 409,
            "partial_replay")
    equal(done(client.get(f"/v1/streams/{name}"), 200).json["version"], 3)
    events = pages(client, path, 2)
    equal([(event["version"], event["id"], event["data"]) for event in events],
          [(1, ids[0], {"n": 1}), (2, ids[1], 2), (3, ids[2], 3)])
    equal([event["version"] for event in done(client.get(path + "?from=3"), 200).json["data"]], [3])
    refused(client.get(f"/v1/streams/{fresh('s')}/events"), 404, "stream_not_found")


@test("documents: byte for byte as sent, bare; ETag is the version")
def _(client):
    path = f"/v1/documents/{fresh('d')}"
    text = b' {"b" : 1.0e5,\t"a":[ 1 ,2],"\\u00e4":"\xc3\xa4\\/"} \n'
    answer = done(client.put(path, text, none_match="*"))
    equal(answer.etag, '"1"')
    got = done(client.get(path), 200)
    equal(got.body.strip(), text.strip())
    equal((got.headers["content-type"], got.etag), ("application/json", '"1"'))
    for value in b"null", b'"text"', b"12345678901234567890123.50", b"[]":
        done(client.put(path, value, match="*"), 200)
        equal(done(client.get(path), 200).body, value)
    old = done(client.get(path + "?version=1"), 200)
    equal((old.body.strip(), old.etag), (text.strip(), '"1"'))
    refused(client.get(path + "?version=9"), 404, "document_not_found")


@test("documents: merge patch keeps order and bytes; delete counts, and it goes on")
def _(client):
    path = f"/v1/documents/{fresh('d')}"
    done(client.put(path, b'{"z":1.00,"a":{"x":[1, 2],"y":2},"m":null}', none_match="*"))
    for media in "application/merge-patch+json", "application/json":
        done(client.patch(path, b'{"a":{"y":null,"new":"n"},"end":1}', match="*", content_type=media), 200)
    equal(client.get(path).body, b'{"z":1.00,"a":{"x":[1, 2],"new":"n"},"m":null,"end":1}')
    gone = done(client.delete(path, match='"3"'), 200)
    equal((gone.json["version"], gone.json["op"]), (4, "delete"))
    refused(client.get(path), 404, "document_not_found")
    equal(done(client.get(path + "?version=3"), 200).etag, '"3"')
    equal(done(client.put(path, b"1", none_match="*")).etag, '"5"')


@test("commits: all or none, a result for each operation, later ones see earlier ones")
def _(client):
    first, second, document = fresh("a"), fresh("a"), fresh("d")
    answer = done(client.commit(
        operation("open_account", account=first, asset="USD/2", floor=None),
        operation("open_account", account=second, asset="USD/2"),
        operation("transfer", **transfer(first, second, "5")),
        operation("hold", **transfer(second, first, "3")),
        operation("put", document=document, data={"a": 1}),
        operation("patch", document=document, data={"b": 2}),
        operation("append", stream=fresh("s"), type="x", data=[1]),
        operation("acquire", lease=fresh("l"), owner="o", ttl_ms=1000),
        key=fresh("k"), metadata={"why": "test"}))
    equal([result["op"] for result in answer.json["results"]],
          ["open_account", "open_account", "transfer", "hold", "put", "patch", "append", "acquire"])
    equal(answer.headers["location"], f"/v1/commits/{answer.position}")
    equal(answer.json["position"], answer.position)
    equal(client.get(f"/v1/documents/{document}").body, b'{"a":1,"b":2}')
    record = done(client.get(f"/v1/commits/{answer.position}"), 200).json
    equal((record["principal"], record["code"], record["metadata"], len(record["events"])), ("local", "ok", {"why": "test"}, 8))
    before = head_position(client)
    refused(client.commit(operation("put", document=document, data=9), operation("freeze", account=fresh("a")), key=fresh("k")),
            404, "account_not_found", "/do/1")
    equal(client.get(f"/v1/documents/{document}").body, b'{"a":1,"b":2}')
    equal(head_position(client), before + 1, "the refusal is recorded under its key")


@test("dry_run: 200 or the refusal, nothing recorded, no id spent")
def _(client):
    world, user = accounts(client)
    name, key = fresh("t"), fresh("k")
    before = head_position(client)
    good = operation("transfer", **transfer(world, user, "5", id=name))
    answer = done(client.commit(good, target="/v1/commits?dry_run=true"), 200)
    equal(answer.json["position"], None)
    equal(answer.json["results"][0]["to"]["posted"], "5")
    done(client.commit(good, key=key, target="/v1/commits?dry_run=true"), 200)
    poor = client.commit(operation("transfer", **transfer(user, world, "5", id=name)), target="/v1/commits?dry_run=true")
    refused(poor, 422, "insufficient_funds", "/do/0")
    assert "instance" not in poor.json
    equal(head_position(client), before)
    refused(client.get(f"/v1/keys/{key}"), 404, "key_not_found")
    first = done(client.commit(good, key=key))
    assert not first.replayed
    done(client.commit(good, target="/v1/commits?dry_run=false"))


@test("leases: an expired one is fenced even if nobody took it")
def _(client):
    lease = fresh("l")
    token = done(client.post(f"/v1/leases/{lease}/acquire", {"owner": "o", "ttl_ms": 1}, key=fresh("k"))).json["token"]
    time.sleep(0.05)
    refused(client.post(f"/v1/leases/{lease}/renew", {"token": token}), 412, "fenced")
    refused(client.commit(operation("put", document=fresh("d"), data=1), conditions=[{"lease": lease, "token": token}],
                          key=fresh("k")), 412, "fenced", "/if/0")
    refused(client.get(f"/v1/leases/{fresh('l')}"), 404, "lease_not_found")


# ---- NDJSON ----

@test("NDJSON mode=atomic: one commit, all or none")
def _(client):
    world, user = accounts(client)
    lines = "".join(json.dumps(transfer(world, user, "1", id=fresh("t"))) + "\n" for _ in range(5))
    first = done(client.post("/v1/transfers?mode=atomic", lines, content_type="application/x-ndjson"))
    equal(len(first.json["results"]), 5)
    again = done(client.post("/v1/transfers?mode=atomic", lines, content_type="application/x-ndjson"))
    equal((again.body, again.replayed), (first.body, True))
    bad = "".join(json.dumps(transfer(*pair, "50")) + "\n" for pair in ((world, user), (user, world), (user, world)))
    refused(client.post("/v1/transfers?mode=atomic", bad, content_type="application/x-ndjson", key=fresh("k")), 422,
            "insufficient_funds", "/2")
    refused(client.post("/v1/transfers?mode=atomic", bad, content_type="application/x-ndjson"), 400, "idempotency_key_missing")
    equal(posted(client, user), "5")


@test("NDJSON mode=each: a line for each line, bad ones stop no other")
def _(client):
    world, user = accounts(client)
    lines = [json.dumps(transfer(world, user, "1", id=fresh("t"))), "not json", json.dumps(transfer(world, user, "x", id=fresh("t"))),
             json.dumps(transfer(user, world, "999", id=fresh("t"))), json.dumps(transfer(world, user, "2", id=fresh("t"))),
             json.dumps(transfer(world, user, "2"))]
    answer = done(client.post("/v1/transfers?mode=each", "\n".join(lines) + "\n", content_type="application/x-ndjson"), 200)
    told = [json.loads(line) for line in answer.body.decode().splitlines()]
    equal([line["status"] for line in told], [201, 400, 400, 422, 201, 400])
    again = done(client.post("/v1/transfers?mode=each", "\n".join(lines), content_type="application/x-ndjson"), 200)
    replayed = [json.loads(line) for line in again.body.decode().splitlines()]
    equal([line["replayed"] for line in replayed], [True, False, False, True, True, False])
    equal([line["body"] for line in replayed], [line["body"] for line in told])
    equal(posted(client, user), "3")
    equal(answer.position, told[4]["body"]["position"], "Holdfast-Position is the newest line's")
    equal(again.position, answer.position)
    none = done(client.post("/v1/transfers?mode=each", "x\n", content_type="application/x-ndjson"), 200)
    assert "holdfast-position" not in none.headers, none.headers


# ---- reads ----

@test("Holdfast-Position: a commit's own, also when replayed; of a read the state that it saw")
def _(client):
    world, user = accounts(client)
    key = fresh("k")
    first = done(client.post("/v1/transfers", transfer(world, user, "1"), key=key))
    second = done(client.post("/v1/transfers", transfer(world, user, "1"), key=fresh("k")))
    assert second.position == second.json["position"] > first.position
    equal(done(client.post("/v1/transfers", transfer(world, user, "1"), key=key)).position, first.position)
    assert done(client.get(f"/v1/accounts/{user}"), 200).position >= second.position


@test("min_position: a read sees that state at least, waiting for it")
def _(client):
    world, user = accounts(client)
    position = head_position(client) + 1
    seen = []

    def read():
        other = Client(None, address=client.address)
        seen.append(other.get(f"/v1/accounts/{user}?min_position={position}"))
        other.close()

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(0.1)
    answer = done(client.post("/v1/transfers", transfer(world, user, "8"), key=fresh("k")))
    thread.join()
    assert answer.position >= position
    equal(done(seen[0], 200).json["posted"], "8")
    assert seen[0].position >= position
    done(client.get(f"/v1/accounts/{user}?min_position={answer.position}"), 200)


@test("POST /v1/read: many things at one position, each with its own status")
def _(client):
    world, user = accounts(client, funds="9")
    document, flow = fresh("d"), fresh("s")
    done(client.put(f"/v1/documents/{document}", b'{"x": 1}', none_match="*"))
    done(client.post(f"/v1/streams/{flow}/events", {"type": "a", "data": 1}, key=fresh("k")))
    key = fresh("k")
    done(client.commit(operation("put", document=fresh("d"), data=1), key=key))
    reads = [{"account": user}, {"account": fresh("none")}, {"document": document}, {"document": document, "version": 1},
             {"stream": flow}, {"events": flow, "from": 1, "limit": 5}, {"entries": user}, {"balance": user}, {"key": key},
             {"transfers": user, "limit": 5}, {"holds": user, "limit": 5}, {"accounts": user, "limit": 5}, {"totals": "USD/2"}]
    answer = done(client.post("/v1/read", {"reads": reads}), 200)
    results = answer.json["results"]
    equal([result["status"] for result in results], [200, 404] + [200] * 11)
    equal(answer.json["position"], answer.position)
    equal(results[0]["body"], client.get(f"/v1/accounts/{user}").json)
    equal((results[0]["version"], results[2]["body"], results[2]["version"]), (1, {"x": 1}, 1))
    equal(results[1]["body"]["code"], "account_not_found")
    refused(client.post("/v1/read", {"reads": [{"transfers": user}] * 5}), 413, "too_large", "/reads")
    for bad in ({"reads": []}, {"reads": [{}]}, {"reads": [{"account": user, "document": document}]},
                {"reads": [{"account": user}] * 101}, {"reads": [{"account": user, "limit": 5}]}, {"read": []}, [], {}):
        answer = client.post("/v1/read", bad)
        assert answer.status in (400, 413), answer


@test("POST /v1/read sees no half of a commit, while commits go on")
def _(client):
    world, user = accounts(client)
    other = fresh("u")
    done(client.put(f"/v1/accounts/{other}", {"asset": "USD/2"}))
    stop = threading.Event()

    def write():
        writer = Client(None, address=client.address)
        while not stop.is_set():
            done(writer.commit(operation("transfer", **transfer(world, user, "1")),
                               operation("transfer", **transfer(world, other, "1")), key=fresh("k")))
        writer.close()

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(150):
            results = done(client.post("/v1/read", {"reads": [{"account": user}, {"account": other}, {"account": world}]}),
                           200).json["results"]
            balances = [int(result["body"]["posted"]) for result in results]
            equal(balances[0], balances[1])
            equal(sum(balances), 0)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@test("lists: limit and after, byte order, prefix; every item once")
def _(client):
    mark = fresh("list").replace(":", "-")
    names = sorted(f"{mark}:{text}" for text in ("a", "B", "b", "aa", "a-", "Z", "0", "~", "a:1", "a:10", "a:2"))
    for name in names:
        done(client.put(f"/v1/accounts/{name}", {"asset": "USD/2"}))
        done(client.put(f"/v1/documents/{name}", b"1", none_match="*"))
        done(client.post(f"/v1/streams/{name}/events", {"type": "a", "data": 1}, key=fresh("k")))
    for kind in "accounts", "documents", "streams":
        for limit in 1, 3, 100:
            equal([thing["id"] for thing in pages(client, f"/v1/{kind}?prefix={mark}:", limit)], names, kind)
        equal([thing["id"] for thing in pages(client, f"/v1/{kind}?prefix={mark}:a:", 2)],
              [f"{mark}:a:1", f"{mark}:a:10", f"{mark}:a:2"])
    equal(pages(client, f"/v1/accounts?prefix={mark}:none", 5), [])
    done(client.delete(f"/v1/documents/{names[0]}", match="*"), 200)
    equal([thing["id"] for thing in pages(client, f"/v1/documents?prefix={mark}:", 4)], names[1:], "a deleted one is left out")
    page = done(client.get(f"/v1/accounts?prefix={mark}:&limit=2"), 200).json
    refused(client.get(f"/v1/documents?prefix={mark}:&limit=2&after={page['next']}"), 400, "invalid_request")
    refused(client.get(f"/v1/accounts?prefix={mark}:a&limit=2&after={page['next']}"), 400, "invalid_request")


@test("entries, transfers and balance tell the same history")
def _(client):
    world, user = accounts(client)
    positions = []
    for amount in range(1, 6):
        positions.append(done(client.post("/v1/transfers", transfer(world, user, str(amount)), key=fresh("k"))).position)
    entries = pages(client, f"/v1/accounts/{user}/entries", 2)
    equal([entry["version"] for entry in entries], [5, 4, 3, 2, 1])
    equal([entry["posted"] for entry in entries], ["15", "10", "6", "3", "1"])
    equal([entry["position"] for entry in entries], positions[::-1])
    equal([moved["amount"] for moved in pages(client, f"/v1/transfers?account={user}", 2)], ["5", "4", "3", "2", "1"])
    target = f"/v1/accounts/{user}/balance"
    for entry in entries:
        for query in f"?at_version={entry['version']}", f"?at_position={entry['position']}", f"?at={entry['time']}":
            equal(done(client.get(target + query), 200).json["posted"], entry["posted"], query)
    equal(done(client.get(target + "?at_version=0"), 200).json["posted"], "0")
    equal(done(client.get(target), 200).json["posted"], "15")
    refused(client.get(f"/v1/accounts/{fresh('a')}/balance"), 404, "account_not_found")


@test("effective_at never decides; by the effective clock it counts")
def _(client):
    world, user = accounts(client)
    done(client.post("/v1/transfers", transfer(world, user, "7", effective_at="2020-06-01T00:00:00Z"), key=fresh("k")))
    done(client.post("/v1/transfers", transfer(world, user, "1"), key=fresh("k")))
    at = f"/v1/accounts/{user}/balance?at=2020-06-01T00:00:00Z"
    equal(done(client.get(at + "&clock=effective"), 200).json["posted"], "7")
    answer = client.get(at)
    assert answer.status in (200, 400, 404), answer
    if answer.status == 200:
        equal(answer.json["posted"], "0")
    statement = done(client.get(f"/v1/accounts/{user}/statement?clock=effective&to=2021-01-01T00:00:00Z"), 200).json
    equal((statement["opening"]["posted"], statement["closing"]["posted"], len(statement["data"])), ("0", "7", 1))


@test("statement: opening + lines = closing, in pages; CSV and beancount are whole")
def _(client):
    world, user = accounts(client, funds="100")
    for amount in range(1, 8):
        done(client.post("/v1/transfers", transfer(user, world, str(amount), id=fresh("t")), key=None))
    statement = done(client.get(f"/v1/accounts/{user}/statement"), 200).json
    equal(len(statement["data"]), 8)
    equal(int(statement["opening"]["posted"]) + sum(int(line["change"]) for line in statement["data"]),
          int(statement["closing"]["posted"]))
    equal(statement["closing"]["posted"], "72")
    equal([line["transfer"] for line in pages(client, f"/v1/accounts/{user}/statement", 3)],
          [line["transfer"] for line in statement["data"]])
    csv = done(client.get(f"/v1/accounts/{user}/statement?format=csv"), 200)
    assert csv.headers["content-type"].startswith("text/csv"), csv
    equal(len(csv.body.split(b"\r\n")), 1 + 1 + 8 + 1 + 1, "header, opening, lines, closing, the end")
    text = done(client.get(f"/v1/accounts/{user}/statement?format=beancount"), 200)
    assert text.headers["content-type"].startswith("text/plain") and b" balance " in text.body, text
    refused(client.get(f"/v1/accounts/{user}/statement?format=csv&limit=5"), 400, "invalid_request")


@test("HEAD is GET without a body; OPTIONS tells what a resource can do")
def _(client):
    world, user = accounts(client)
    got = done(client.get(f"/v1/accounts/{user}"), 200)
    head = done(client.request("HEAD", f"/v1/accounts/{user}"), 200)
    equal((head.body, head.etag, head.headers["content-type"], head.headers["content-length"]),
          (b"", got.etag, "application/json", str(len(got.body))))
    equal(client.request("HEAD", f"/v1/accounts/{fresh('a')}").status, 404)
    answer = done(client.request("OPTIONS", "/v1/transfers"), 204)
    equal(set(answer.headers["allow"].replace(" ", "").split(",")), {"GET", "HEAD", "POST", "OPTIONS"})
    for method in "TRACE", "CONNECT", "PROPFIND", "get":
        assert client.request(method, "/v1/transfers").status in (400, 405, 501), method


@test("health, readiness, status, limits, metrics and the OpenAPI document")
def _(client):
    equal(done(client.get("/healthz"), 200).json, {"status": "ok"})
    equal(done(client.get("/readyz"), 200).json, {"status": "ready"})
    status = done(client.get("/v1/status"), 200).json
    equal(status["phase"], "leading")
    assert status["durable_position"] <= status["position"] and status["owner"]
    metrics = done(client.get("/metrics"), 200)
    assert metrics.headers["content-type"].startswith("text/plain") and b"holdfast_commits_total" in metrics.body
    families = metrics_text.parse(metrics.body.decode())
    for name, kind in (("commits_total", "counter"), ("position", "gauge"), ("stage_seconds", "histogram"),
                       ("batch_commits", "histogram"), ("sync_seconds", "histogram"), ("resident_memory_bytes", "gauge")):
        equal(families[f"holdfast_{name}"][0], kind, name)
    decided = metrics_text.value(families, "holdfast_stage_seconds", "_count", stage="decide")
    assert decided >= metrics_text.value(families, "holdfast_commits_total") > 0, decided
    for stage in "queue", "append", "answer":
        assert metrics_text.value(families, "holdfast_stage_seconds", "_count", stage=stage) > 0, stage
    assert metrics_text.value(families, "holdfast_refused_total", code="condition_failed") > 0
    assert metrics_text.value(families, "holdfast_resident_memory_bytes") > 1 << 20
    from http_client import the_document
    served = done(client.get("/openapi.yaml"), 200)
    equal(served.body.decode(), the_document().text, "the served document is the one in docs/")
    limits = done(client.get("/v1/limits"), 200).json
    equal((limits["operations"], limits["json_depth"], limits["page_items"]), (10000, 64, 1000))


if __name__ == "__main__":
    main()
