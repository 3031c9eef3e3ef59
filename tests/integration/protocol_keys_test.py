#!/usr/bin/env python3
"""Idempotency-Key over HTTP: IK1 to IK8, a test or more for each rule. Prints TAP."""
import json
import threading

from http_client import Client
from protocol_suite import (accounts, done, equal, fresh, head_position, main, operation, posted, refused, test, transfer)


def keyed(client, key, amount="1", **more):
    """A transfer by key alone, of new accounts unless given."""
    return client.post("/v1/transfers", transfer(*(more.pop("between", None) or accounts(client)), amount), key=key, **more)


@test("IK1 \"abc\" and abc are one key")
def _(client):
    world, user = accounts(client)
    key = fresh("k")
    first = done(keyed(client, key, between=(world, user)))
    again = done(keyed(client, f'"{key}"', between=(world, user)))
    equal(again.body, first.body)
    assert again.replayed and not first.replayed
    equal(posted(client, user), "1")
    equal(done(client.get(f"/v1/keys/{key}"), 200).json["key"], key)


@test("IK1 a key has 1 to 255 bytes of U+0021 to 7E")
def _(client):
    world, user = accounts(client)
    done(keyed(client, "k" * 254 + "1", between=(world, user)))
    done(keyed(client, '"' + "q" * 254 + "1" + '"', between=(world, user)))
    for bad in ["", '""', "k" * 256, '"' + "k" * 256 + '"', "a b", '"a b"', '"open', "tab\there", "\u00e4",
                '"a"b"', '"a";p=1', '"a", "b"', '"\\x"']:
        refused(keyed(client, bad, between=(world, user)), 400, "invalid_request")
    done(keyed(client, "!~#$%&'()*+,-./:;<=>?@[]^_`{|}" + fresh("k"), between=(world, user)))
    equal(posted(client, user), "3")


@test("IK1 an escaped string is the key that it means")
def _(client):
    world, user = accounts(client)
    key = fresh("k")
    first = done(keyed(client, f'"{key}\\"\\\\"', between=(world, user)))
    again = done(keyed(client, f'{key}"\\', between=(world, user)))
    assert again.replayed, again
    equal(again.body, first.body)


@test("IK1 the header twice is 400")
def _(client):
    world, user = accounts(client)
    answer = client.post("/v1/transfers", transfer(world, user, "1"),
                         headers=[("Idempotency-Key", "a1"), ("Idempotency-Key", "a2")])
    refused(answer, 400, "invalid_request")


@test("IK2 missing where required is 400 idempotency_key_missing with a link")
def _(client):
    world, user = accounts(client, funds="10")
    hold = fresh("h")
    done(client.post("/v1/holds", transfer(user, world, "5", id=hold)))
    moved = fresh("t")
    done(client.post("/v1/transfers", transfer(world, user, "1", id=moved)))
    before = head_position(client)
    wanted = [
        ("/v1/transfers", transfer(world, user, "1")),
        ("/v1/holds", transfer(user, world, "1")),
        (f"/v1/holds/{hold}/capture", {"amount": "1"}),
        (f"/v1/holds/{hold}/capture", None),
        (f"/v1/holds/{hold}/void", {}),
        (f"/v1/holds/{hold}/extend", {"timeout_ms": 100000}),
        (f"/v1/transfers/{moved}/reverse", {}),
        (f"/v1/streams/{fresh('s')}/events", {"type": "a", "data": 1}),
        (f"/v1/streams/{fresh('s')}/events", [{"type": "a", "data": 1, "id": fresh("e")}, {"type": "a", "data": 1}]),
        (f"/v1/leases/{fresh('l')}/acquire", {"owner": "me", "ttl_ms": 1000}),
        ("/v1/commits", {"do": [operation("transfer", **transfer(world, user, "1"))]}),
        ("/v1/commits", {"do": [operation("freeze", account=user)]}),
        ("/v1/commits", {"do": [operation("transfer", **transfer(world, user, "1", id=fresh("t"))),
                                operation("put", document=fresh("d"), data=1)]}),
        ("/v1/commits", {"if": [{"account": user, "version": 1}], "do": [operation("freeze", account=user)]}),
    ]
    for target, body in wanted:
        answer = refused(client.post(target, body), 400, "idempotency_key_missing")
        equal(answer.headers.get("link"), '</openapi.yaml>; rel="describedby"')
    assert b"Idempotency-Key" in client.get("/openapi.yaml").body
    answer = client.post(f"/v1/streams/{fresh('s')}/events", {"type": "a", "data": 1}, none_match="*")
    refused(answer, 400, "idempotency_key_missing")
    equal(head_position(client), before, "nothing was recorded")


@test("IK2 not required where each effect has a new id, or nothing changes")
def _(client):
    world, user = accounts(client, funds="10")
    hold, moved, lease = fresh("h"), fresh("t"), fresh("l")
    done(client.post("/v1/transfers", transfer(world, user, "1", id=moved)))
    done(client.post(f"/v1/transfers/{moved}/reverse", {"id": fresh("r")}))
    done(client.post("/v1/holds", transfer(user, world, "5", id=hold)))
    done(client.post(f"/v1/streams/{fresh('s')}/events", [{"type": "a", "data": 1, "id": fresh("e")},
                                                         {"type": "a", "data": 1, "id": fresh("e")}]))
    done(client.post("/v1/commits?dry_run=true", {"do": [operation("freeze", account=user)]}), 200)
    done(client.post("/v1/read", {"reads": [{"account": user}]}), 200)
    done(client.post(f"/v1/keys/{fresh('k')}/cancel"), 200)
    token = done(client.post(f"/v1/leases/{lease}/acquire", {"owner": "me", "ttl_ms": 60000}, key=fresh("k"))).json["token"]
    done(client.post(f"/v1/leases/{lease}/renew", {"token": token}), 200)
    done(client.post(f"/v1/leases/{lease}/release", {"token": token}), 200)


@test("IK3 same key, other payload: 422, before any precondition, and nothing changes")
def _(client):
    world, user = accounts(client)
    key = fresh("k")
    done(keyed(client, key, between=(world, user)))
    before = head_position(client)
    refused(keyed(client, key, "2", between=(world, user)), 422, "idempotency_key_reused")
    answer = client.commit(operation("freeze", account=user), conditions=[{"account": user, "version": 99}], key=key)
    refused(answer, 422, "idempotency_key_reused")
    answer = client.patch(f"/v1/accounts/{user}", {"state": "frozen"}, key=key, match='"99"')
    refused(answer, 422, "idempotency_key_reused")
    refused(client.post(f"/v1/holds/{fresh('nothing')}/void", {}, key=key), 422, "idempotency_key_reused")
    equal(head_position(client), before)
    equal(posted(client, user), "1")


@test("IK4 duplicates while the first still runs wait and get the same answer")
def _(client):
    world, user = accounts(client)
    body = json.dumps(transfer(world, user, "7")).encode()
    for _ in range(5):
        key = fresh("k")
        answers = []
        gate = threading.Barrier(16)

        def send():
            other = Client(None, address=client.address)
            gate.wait()
            answers.append(other.post("/v1/transfers", body, key=key))
            other.close()

        threads = [threading.Thread(target=send) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal({answer.status for answer in answers}, {201})
        equal(len({answer.body for answer in answers}), 1, "one body")
        equal(sum(not answer.replayed for answer in answers), 1, "one original")
        equal(len({answer.position for answer in answers}), 1, "one position")
    equal(posted(client, user), "35")


@test("IK5 after completion: same status and body, success or rejection, Idempotent-Replayed: true")
def _(client):
    world, user = accounts(client)
    hold = fresh("h")
    requests = [
        ("POST", "/v1/transfers", transfer(world, user, "9"), {}),
        ("POST", "/v1/transfers", transfer(user, world, "1000"), {}),
        ("POST", "/v1/holds", transfer(user, world, "5"), {}),
        ("POST", "/v1/commits", {"if": [{"account": user, "version": 77}], "do": [operation("freeze", account=user)]}, {}),
        ("POST", f"/v1/holds/{hold}/void", {}, {}),
        ("POST", f"/v1/streams/{fresh('s')}/events", [{"type": "a", "data": 1}], {"none_match": "*"}),
        ("PUT", f"/v1/documents/{fresh('d')}", {"a": 1}, {"none_match": "*"}),
        ("PATCH", f"/v1/accounts/{user}", {"metadata": {"a": 1}}, {}),
        ("POST", f"/v1/leases/{fresh('l')}/acquire", {"owner": "me", "ttl_ms": 60000}, {}),
    ]
    seen = []
    for method, target, body, more in requests:
        key = fresh("k")
        first = client.request(method, target, body, key=key, **more)
        seen.append(first.status)
        assert not first.replayed, first
        for _ in range(2):
            again = client.request(method, target, body, key=key, **more)
            equal((again.status, again.body), (first.status, first.body), f"{method} {target}")
            assert again.replayed, again
            equal(again.position, first.position, "Holdfast-Position")
            equal(again.etag, first.etag, "ETag")
    equal(seen, [201, 422, 201, 412, 404, 201, 201, 200, 201])


@test("IK5 a replay is the old answer, whatever has changed since")
def _(client):
    world, user = accounts(client)
    key, late = fresh("k"), fresh("k")
    first = done(keyed(client, key, between=(world, user)))
    poor = refused(client.post("/v1/transfers", transfer(user, world, "50"), key=late), 422, "insufficient_funds")
    done(client.post("/v1/transfers", transfer(world, user, "100", id=fresh("t"))))
    done(client.patch(f"/v1/accounts/{user}", {"state": "frozen"}, key=fresh("k")), 200)
    equal(keyed(client, key, between=(world, user)).body, first.body)
    again = client.post("/v1/transfers", transfer(user, world, "50"), key=late)
    equal((again.status, again.body), (422, poor.body), "what was told to have failed stays failed")
    equal(posted(client, user), "101")


@test("IK6 member order and white space don't count; path, query, If-Match and If-None-Match do")
def _(client):
    world, user = accounts(client)
    key = fresh("k")
    first = done(client.post("/v1/transfers", f'{{"from":"{world}","to":"{user}","asset":"USD/2","amount":"3"}}', key=key))
    again = client.post("/v1/transfers", f' {{\n"amount" : "3", "to":"{user}",\t"asset":"USD\\/2","from":"{world}" }}\n', key=key)
    equal((again.status, again.body, again.replayed), (201, first.body, True))
    as_commit = client.commit(operation("transfer", **transfer(world, user, "3")), key=key)
    refused(as_commit, 422, "idempotency_key_reused")
    document = fresh("d")
    key = fresh("k")
    first = done(client.put(f"/v1/documents/{document}", {"a": 1}, none_match="*", key=key))
    for more in ({"match": '"1"'}, {"match": "*"}, {"match": '"1"', "none_match": "*"}):
        refused(client.put(f"/v1/documents/{document}", {"a": 1}, key=key, **more), 422, "idempotency_key_reused")
    refused(client.put(f"/v1/documents/{fresh('d')}", {"a": 1}, none_match="*", key=key), 422, "idempotency_key_reused")
    equal(client.put(f"/v1/documents/{document}", {"a": 1}, none_match="*", key=key).body, first.body)


@test("IK6 a key that is percent-encoded in a path is the same key")
def _(client):
    key = fresh("k") + "/?#%"
    done(client.post("/v1/commits", {"do": [operation("put", document=fresh("d"), data=1)]}, key=key))
    path = key.replace("%", "%25").replace("/", "%2F").replace("?", "%3F").replace("#", "%23")
    equal(done(client.get(f"/v1/keys/{path}"), 200).json["key"], key)


@test("IK7 the retention is published, seven days by default")
def _(client):
    limits = done(client.get("/v1/limits"), 200).json
    equal(limits["key_retention_ms"], 7 * 86400 * 1000)
    equal(limits["key_bytes"], 255)


@test("IK8 validation failures are not recorded: the key is free")
def _(client):
    world, user = accounts(client)
    key = fresh("k")
    before = head_position(client)
    refused(client.post("/v1/transfers", transfer(world, user, "-1"), key=key), 400, "invalid_request", "/amount")
    refused(client.post("/v1/transfers", "{", key=key), 400, "invalid_request")
    refused(client.post("/v1/transfers", transfer(world, user, "1", extra=1), key=key), 400, "invalid_request", "/extra")
    refused(client.post("/v1/transfers", transfer(world, user, "1"), key=key, content_type="text/plain"), 415,
            "unsupported_media_type")
    refused(client.post("/v1/transfers", transfer(world, user, "1"), key=key, headers={"Origin": "http://evil.example"}),
            403, "forbidden")
    refused(client.get(f"/v1/keys/{key}"), 404, "key_not_found")
    equal(head_position(client), before)
    answer = done(keyed(client, key, between=(world, user)))
    assert not answer.replayed


@test("cancel: an unused key never does anything; the late original is refused")
def _(client):
    world, user = accounts(client)
    key = fresh("k")
    cancelled = done(client.post(f"/v1/keys/{key}/cancel"), 200)
    equal(cancelled.json["status"], 409)
    equal(cancelled.json["body"]["code"], "cancelled")
    late = refused(keyed(client, key, between=(world, user)), 409, "cancelled")
    equal(late.position, cancelled.json["position"])
    refused(keyed(client, key, "2", between=(world, user)), 409, "cancelled")
    equal(done(client.post(f"/v1/keys/{key}/cancel"), 200).body, cancelled.body)
    equal(done(client.get(f"/v1/keys/{key}"), 200).body, cancelled.body)
    equal(posted(client, user), "0")


@test("cancel: of a used key answers what it did")
def _(client):
    world, user = accounts(client)
    key = fresh("k")
    first = done(client.commit(operation("transfer", **transfer(world, user, "4")), key=key))
    told = done(client.post(f"/v1/keys/{key}/cancel", {}), 200)
    equal(told.json, {"key": key, "position": first.position, "status": 201, "body": first.json})
    equal(done(client.get(f"/v1/keys/{key}"), 200).json, told.json)
    assert first.body in told.body, "byte for byte"
    equal(posted(client, user), "4")


@test("keys: one that was never used is 404")
def _(client):
    refused(client.get(f"/v1/keys/{fresh('k')}"), 404, "key_not_found")


if __name__ == "__main__":
    main()
