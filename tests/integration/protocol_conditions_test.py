#!/usr/bin/env python3
"""Preconditions and problem details over HTTP: PC1 to PC6, PJ1, a test or more for each rule. Prints TAP."""
import re

from protocol_suite import (accounts, done, equal, fresh, head_position, main, operation, posted, refused, test, transfer)


def document(client, value=None):
    """A new document at version 1; its path."""
    path = f"/v1/documents/{fresh('d')}"
    done(client.put(path, {"a": 1} if value is None else value, none_match="*"))
    return path


def stream(client, events=3):
    path = f"/v1/streams/{fresh('s')}/events"
    done(client.post(path, [{"type": "a", "data": n} for n in range(events)], key=fresh("k")))
    return path


@test("PC1 If-Match: the strong tag matches, another does not")
def _(client):
    path = document(client)
    answer = done(client.put(path, {"a": 2}, match='"1"'), 200)
    equal(answer.etag, '"2"')
    refused(client.put(path, {"a": 3}, match='"1"'), 412, "condition_failed")
    equal(client.get(path).body, b'{"a": 2}')


@test("PC1 If-Match: a list, whatever its white space")
def _(client):
    path = document(client)
    done(client.put(path, {"a": 2}, match='"7", "1"'), 200)
    done(client.put(path, {"a": 3}, match='"7" ,"2"\t, "9"'), 200)
    refused(client.put(path, {"a": 4}, match='"7", "8"'), 412, "condition_failed")
    done(client.put(path, {"a": 4}, headers=[("If-Match", '"8"'), ("If-Match", '"3"')]), 200)


@test("PC1 If-Match: * is true iff the thing exists")
def _(client):
    path = document(client)
    done(client.put(path, {"a": 2}, match="*"), 200)
    done(client.delete(path, match="*"), 200)
    refused(client.put(path, {"a": 2}, match="*"), 412, "condition_failed")
    problem = refused(client.put(f"/v1/documents/{fresh('d')}", 1, match="*"), 412, "condition_failed").json
    equal(problem["current"], None)


@test("PC1 W/\"1\" never matches \"1\"")
def _(client):
    path = document(client)
    refused(client.put(path, {"a": 2}, match='W/"1"'), 412, "condition_failed")
    refused(client.put(path, {"a": 2}, match='W/"1", W/"2"'), 412, "condition_failed")
    done(client.put(path, {"a": 2}, match='W/"1", "1"'), 200)


@test("PC1 tags that no thing can have don't match, and are not malformed")
def _(client):
    path = document(client)
    for tag in '"abc"', '"01"', '"1x"', '""', '"99999999999999999999999"', '"-1"':
        refused(client.put(path, {"a": 2}, match=tag), 412, "condition_failed")


@test("PC1 what is no list of tags is 400")
def _(client):
    path = document(client)
    for bad in "1", '"1', "abc", '"1" "2"', '*, "1"', "w/\"1\"", '"1",,x', "":
        refused(client.put(path, {"a": 2}, match=bad), 400, "invalid_request")
    equal(client.get(path).etag, '"1"')


@test("PC2 a false If-Match is not performed: 412 with the thing as it is")
def _(client):
    world, user = accounts(client, funds="5")
    path = f"/v1/accounts/{user}"
    problem = refused(client.patch(path, {"state": "frozen"}, match='"99"'), 412, "condition_failed").json
    equal((problem["current"]["kind"], problem["current"]["id"], problem["current"]["version"]), ("account", user, 1))
    equal(done(client.get(path), 200).json["state"], "open")
    path = document(client)
    for method, body in (("PUT", 7), ("PATCH", {"b": 1}), ("DELETE", None)):
        problem = refused(client.request(method, path, body, match='"5"'), 412, "condition_failed").json
        equal((problem["current"]["kind"], problem["current"]["version"]), ("document", 1))
    equal(client.get(path).body, b'{"a": 1}')
    path = stream(client)
    problem = refused(client.post(path, {"type": "a", "data": 1}, match='"2"', key=fresh("k")), 412,
                      "condition_failed").json
    equal((problem["current"]["kind"], problem["current"]["version"]), ("stream", 3))
    done(client.post(path, {"type": "a", "data": 1}, match='"3"', key=fresh("k")))


@test("PC2 a document's 412 tells whose change came between: last_change {position, key}")
def _(client):
    path, key = document(client), fresh("k")
    changed = done(client.put(path, {"a": 2}, match='"1"', key=key), 200)
    problem = refused(client.put(path, {"a": 3}, match='"1"'), 412, "condition_failed").json
    equal(problem["current"]["last_change"], {"position": changed.position, "key": key})
    done(client.put(path, {"a": 3}, match='"2"'), 200)
    problem = refused(client.put(path, {"a": 4}, match='"2"'), 412, "condition_failed").json
    equal(problem["current"]["last_change"]["key"], None)


@test("PC3 If-None-Match: * creates only; false is 412")
def _(client):
    path = f"/v1/documents/{fresh('d')}"
    first = done(client.put(path, {"a": 1}, none_match="*"))
    equal((first.etag, first.headers["location"]), ('"1"', path))
    refused(client.put(path, {"a": 2}, none_match="*"), 412, "condition_failed")
    done(client.delete(path, match='"1"'), 200)
    equal(done(client.put(path, {"a": 3}, none_match="*")).etag, '"3"', "versions go on across re-creation")
    path = f"/v1/streams/{fresh('s')}/events"
    done(client.post(path, {"type": "a", "data": 1}, none_match="*", key=fresh("k")))
    refused(client.post(path, {"type": "a", "data": 1}, none_match="*", key=fresh("k")), 412, "condition_failed")


@test("PC3 If-None-Match on a GET: 304 without a body")
def _(client):
    world, user = accounts(client)
    for path in (document(client), f"/v1/accounts/{user}", stream(client)[:-len("/events")]):
        tag = done(client.get(path), 200).etag
        for match in (tag, f"W/{tag}", f'"77", {tag}', "*"):
            answer = done(client.get(path, none_match=match), 304)
            equal((answer.body, answer.etag), (b"", tag))
        done(client.get(path, none_match='"77"'), 200)


@test("PC3 If-Match on a GET: 412 if it is another version")
def _(client):
    path = document(client)
    done(client.get(path, match='"1"'), 200)
    refused(client.get(path, match='"2"'), 412, "condition_failed")


@test("PC4 preconditions come before what the content would meet: funds, state, existence")
def _(client):
    world, user = accounts(client, funds="5")
    poor = operation("transfer", **transfer(user, world, "500"))
    answer = client.commit(poor, conditions=[{"account": user, "version": 99}], key=fresh("k"))
    refused(answer, 412, "condition_failed", "/if/0")
    answer = client.commit(poor, conditions=[{"account": user, "version": 1}], key=fresh("k"))
    refused(answer, 422, "insufficient_funds", "/do/0")
    gone = fresh("nobody")
    problem = refused(client.patch(f"/v1/accounts/{gone}", {"state": "frozen"}, match='"1"'), 412,
                      "condition_failed").json
    equal(problem["current"], None)
    refused(client.patch(f"/v1/accounts/{gone}", {"state": "frozen"}, key=fresh("k")), 404, "account_not_found")
    answer = client.commit(operation("freeze", account=gone), conditions=[{"document": gone, "version": 1}], key=fresh("k"))
    problem = refused(answer, 412, "condition_failed", "/if/0").json
    equal(problem["current"], None)


@test("PC4 what is found before the content wins: 404 of a route, 405, 415")
def _(client):
    path = document(client)
    refused(client.put("/v1/no-such/x", 1, match='"99"'), 404, "not_found")
    answer = refused(client.post(path, 1, match='"99"'), 405, "method_not_allowed")
    equal(set(answer.headers["allow"].replace(" ", "").split(",")), {"PUT", "PATCH", "DELETE", "GET", "HEAD", "OPTIONS"})
    refused(client.put(path, 1, match='"99"', content_type="text/plain"), 415, "unsupported_media_type")
    refused(client.put(path, "{", match='"99"'), 400, "invalid_request")


@test("PC5 428 where a precondition is required, with how to resubmit")
def _(client):
    world, user = accounts(client)
    path = document(client)
    for method, target, body in (("PUT", path, 1), ("PATCH", path, {}), ("DELETE", path, None),
                                 ("PUT", f"/v1/documents/{fresh('d')}", 1), ("PATCH", f"/v1/accounts/{user}", {"floor": "-5"})):
        problem = refused(client.request(method, target, body), 428, "precondition_required").json
        assert "If-Match" in problem["detail"], problem
    for method, body in (("PUT", 1), ("PATCH", {}), ("DELETE", None)):
        refused(client.request(method, path, body, key=fresh("k")), 428, "precondition_required")
    done(client.patch(f"/v1/accounts/{user}", {"floor": "-5"}, key=fresh("k")), 200)
    done(client.patch(f"/v1/accounts/{user}", {"floor": "-6"}, match='"1"'), 200)
    equal(client.get(path).etag, '"1"')


@test("a precondition that would not be tested is refused rather than ignored")
def _(client):
    world, user = accounts(client, funds="5")
    refused(client.post("/v1/transfers", transfer(user, world, "1"), key=fresh("k"), match='"1"'), 400, "invalid_request")
    refused(client.post("/v1/commits", {"do": [operation("freeze", account=user)]}, key=fresh("k"), none_match="*"), 400,
            "invalid_request")
    equal(posted(client, user), "5")


@test("PC6 what may come right later says when: Retry-After, in seconds")
def _(client):
    far = head_position(client) + 1000
    answer = refused(client.get(f"/v1/accounts/a?min_position={far}"), 503, "not_ready")
    assert re.fullmatch("[0-9]+", answer.headers["retry-after"]), answer


@test("PJ1 problem documents: media type, type, title, status, detail, instance, extensions")
def _(client):
    world, user = accounts(client, funds="5")
    titles = {}
    answers = [
        client.post("/v1/transfers", transfer(user, world, "6"), key=fresh("k")),
        client.post("/v1/transfers", transfer(user, world, "7"), key=fresh("k")),
        client.post("/v1/transfers", transfer(user, world, "7", id=fresh("t"))),
        client.post("/v1/transfers", transfer(user, world, "x"), key=fresh("k")),
        client.get("/v1/accounts/" + fresh("a")),
        client.get("/v1/no/such"),
        client.put("/v1/commits", {}),
    ]
    for answer in answers:
        problem = answer.json
        equal(answer.headers["content-type"], "application/problem+json")
        equal(problem["status"], answer.status)
        equal(problem["type"], f"urn:holdfast:problem:{problem['code']}")
        equal(titles.setdefault(problem["code"], problem["title"]), problem["title"], "title is constant per type")
        assert problem["detail"]
        for name in problem:
            assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{2,}", name), name
    for answer in answers[:3]:
        equal(answer.json["instance"], f"/v1/commits/{answer.position}")
        equal(done(client.get(answer.json["instance"]), 200).json["code"], "insufficient_funds")
    for answer in answers[3:]:
        assert "instance" not in answer.json, "nothing was recorded"


@test("PJ1 a refusal without key and id is not recorded and takes no position")
def _(client):
    path = document(client)
    before = head_position(client)
    answer = refused(client.put(path, 2, match='"9"'), 412, "condition_failed")
    assert "instance" not in answer.json
    equal(head_position(client), before)
    equal(answer.position, before, "the state that it saw")


@test("failed is a pointer into the request as it was sent; current is what a retry needs")
def _(client):
    world, user = accounts(client, funds="5")
    ok = operation("transfer", **transfer(user, world, "1"))
    poor = operation("transfer", **transfer(user, world, "50"))
    answer = refused(client.commit(ok, poor, key=fresh("k")), 422, "insufficient_funds", "/do/1")
    current = answer.json["current"]
    equal((current["kind"], current["id"], current["version"], current["available"]), ("account", user, 1, "5"),
          "as it is: the operations before it were not done either")
    answer = client.commit(ok, conditions=[{"account": user, "version": 1}, {"account": world, "version": 99}], key=fresh("k"))
    refused(answer, 412, "condition_failed", "/if/1")
    answer = client.commit(ok, operation("transfer", **transfer(user, world, "1", amunt="1")), key=fresh("k"))
    refused(answer, 400, "invalid_request", "/do/1/amunt")
    refused(client.post("/v1/transfers", transfer(user, world, "50"), key=fresh("k")), 422, "insufficient_funds", "")
    refused(client.post("/v1/transfers", transfer(user, world, 1.5), key=fresh("k")), 400, "invalid_request", "/amount")
    events = f"/v1/streams/{fresh('s')}/events"
    refused(client.post(events, [{"type": "a", "data": 1}, {"type": "", "data": 1}], key=fresh("k")), 400,
            "invalid_request", "/1/type")
    taken = fresh("e")
    done(client.post(events, [{"type": "a", "data": 1, "id": taken}]))
    answer = client.post(f"/v1/streams/{fresh('s')}/events", [{"type": "a", "data": 1}, {"type": "b", "data": 1, "id": taken}],
                         key=fresh("k"))
    refused(answer, 409, answer.code, "/1")
    refused(client.commit(operation("freeze", **{"account": user, "a/b~c": 1}), key=fresh("k")), 400, "invalid_request",
            "/do/0/a~1b~0c")


@test("conditions of every kind hold and fail")
def _(client):
    world, user = accounts(client, funds="100")
    path = document(client)
    name = path.split("/")[-1]
    flow = stream(client).split("/")[3]
    lease, hold, moved = fresh("l"), fresh("h"), fresh("t")
    token = done(client.post(f"/v1/leases/{lease}/acquire", {"owner": "me", "ttl_ms": 600000}, key=fresh("k"))).json["token"]
    done(client.post("/v1/holds", transfer(user, world, "5", id=hold)))
    done(client.post("/v1/transfers", transfer(world, user, "1", id=moved)))
    account = client.get(f"/v1/accounts/{user}").json
    good = [
        {"account": user, "version": account["version"]},
        {"account": user, "available": {"gte": "96", "lt": "97", "eq": "96", "gt": 95, "lte": "96"}},
        {"account": user, "posted": {"eq": "101"}},
        {"account": user, "modified_at": account["modified_at"], "exists": True},
        {"account": world, "posted": {"lt": "0", "gte": "-101"}},
        {"stream": flow, "version": 3}, {"stream": fresh("s"), "exists": False},
        {"document": name, "version": 1}, {"document": fresh("d"), "exists": False},
        {"transfer": moved, "exists": True}, {"transfer": fresh("t"), "exists": False},
        {"lease": lease, "token": token}, {"hold": hold, "state": "open"},
    ]
    done(client.commit(operation("put", document=fresh("d"), data=1), conditions=good, key=fresh("k")))
    bad = [
        {"account": user, "version": 1}, {"account": user, "available": {"gte": "97"}}, {"account": user, "posted": {"lt": "101"}},
        {"account": user, "modified_at": "2020-08-30T17:44:25.000000Z"}, {"account": fresh("a"), "version": 0},
        {"account": user, "exists": False}, {"stream": flow, "version": 2}, {"document": name, "version": 2},
        {"document": name, "exists": False}, {"transfer": moved, "exists": False}, {"hold": hold, "state": "captured"},
    ]
    for condition in bad:
        answer = client.commit(operation("put", document=fresh("d"), data=1), conditions=good + [condition], key=fresh("k"))
        refused(answer, 412, "condition_failed", f"/if/{len(good)}")
    for wrong in token + 1, 0:
        answer = client.commit(operation("put", document=fresh("d"), data=1),
                               conditions=[{"lease": lease, "token": wrong}], key=fresh("k"))
        refused(answer, 412, "fenced", "/if/0")


@test("leases: held by anybody is 409 lease_held, a wrong token is 412 fenced")
def _(client):
    lease = fresh("l")
    first = done(client.post(f"/v1/leases/{lease}/acquire", {"owner": "me", "ttl_ms": 600000}, key=fresh("k")))
    token = first.json["token"]
    assert isinstance(token, int) and first.json["owner"] == "me"
    for owner in "me", "you":
        problem = refused(client.post(f"/v1/leases/{lease}/acquire", {"owner": owner, "ttl_ms": 1000}, key=fresh("k")), 409,
                          "lease_held").json
        equal((problem["current"]["kind"], problem["current"]["token"]), ("lease", token))
    refused(client.post(f"/v1/leases/{lease}/renew", {"token": token + 1}), 412, "fenced")
    equal(done(client.post(f"/v1/leases/{lease}/renew", {"token": token}), 200).json["token"], token)
    equal(done(client.get(f"/v1/leases/{lease}"), 200).json["held"], True)
    done(client.post(f"/v1/leases/{lease}/release", {"token": token}), 200)
    refused(client.post(f"/v1/leases/{lease}/renew", {"token": token}), 412, "fenced")
    again = done(client.post(f"/v1/leases/{lease}/acquire", {"owner": "you", "ttl_ms": 1000}, key=fresh("k")))
    assert again.json["token"] > token, "it grows for ever"


if __name__ == "__main__":
    main()
