#!/usr/bin/env python3
"""docs/protocol.md over HTTP, rule by rule: packed transfers and accounts, both forms of the answer, and what JSON sees of them. Prints TAP."""
import json
import subprocess

import feed_client
from http_client import HOLDFAST, Client, Wire, record as judge, wait_until
from openapi_check import load_json
from packed import (ACCOUNTS, ALL_LEFT, CAPTURE, FINAL, HOLD, LINKED, RESULTS, TRANSFERS, account, id_of, text_of)
from packed_client import CHAIN, RECORDS_MAX, REPLAYED, accounts, capture, fresh_id, post, record, results, transfers, void
from protocol_suite import accounts as json_accounts
from protocol_suite import done, equal, fresh, main, refused, test, the_server
from protocol_suite import transfer as json_transfer

DATA = bytes(range(16))


def opened(client, *, funds=0):
    """A world without floor and an account with funds: their ids."""
    world, user = fresh_id(), fresh_id()
    equal(accounts(client, [account(world, floor=None), account(user)]).accepted, 2)
    if funds:
        equal(transfers(client, [record(fresh_id(), world, user, funds)]).accepted, 1)
    return world, user


def money(client, number):
    got = done(client.get(f"/v1/accounts/{text_of(number)}"), 200).json
    return int(got["posted"]), int(got["available"])


# ---- records ----

@test("accounts: opened, read as JSON, replayed; other content is account_exists")
def _(client):
    ids = [fresh_id() for _ in range(4)]
    records = [account(ids[0]), account(ids[1], "BTC/8", floor=None), account(ids[2], floor=-5, ceiling=70),
               account(ids[3], floor=1 - 2**127, ceiling=2**127 - 1)]
    got = accounts(client, records)
    equal((got.accepted, got.replayed, got.refused), (4, 0, []))
    shown = [done(client.get(f"/v1/accounts/{text_of(number)}"), 200).json for number in ids]
    equal([(a["id"], a["asset"], a["floor"], a["ceiling"], a["version"]) for a in shown],
          [(text_of(ids[0]), "USD/2", "0", None, 0), (text_of(ids[1]), "BTC/8", None, None, 0),
           (text_of(ids[2]), "USD/2", "-5", "70", 0), (text_of(ids[3]), "USD/2", str(1 - 2**127), str(2**127 - 1), 0)])
    got = accounts(client, records)
    equal((got.position, got.accepted, got.replayed, got.refused), (0, 0, 4, []))
    others = [account(ids[0], "EUR/2"), account(ids[1], "BTC/8", floor=0), account(ids[2], floor=-5, ceiling=71),
              account(ids[2], floor=-5), records[2]]
    got = accounts(client, others)
    equal((got.accepted, got.replayed), (0, 1))
    equal(got.refused, [(n, "account_exists", 0) for n in range(4)])


@test("accounts: twice in one request, and one that JSON opened")
def _(client):
    one = fresh_id()
    got = accounts(client, [account(one), account(one), account(one, floor=7)])
    equal((got.accepted, got.replayed, got.refused), (1, 1, [(2, "account_exists", 0)]))
    name = fresh("named")
    two = fresh_id()
    done(client.put(f"/v1/accounts/{text_of(two)}", {"asset": "USD/2", "metadata": {"a": 1}}))
    done(client.put(f"/v1/accounts/{name}", {"asset": "USD/2"}))
    got = accounts(client, [account(two), account(id_of(name))])
    equal((got.replayed, got.refused), (1, [(1, "id_collision", 0)]))


@test("accounts: limits that were changed later don't matter to a replay")
def _(client):
    one = fresh_id()
    accounts(client, [account(one)])
    done(client.patch(f"/v1/accounts/{text_of(one)}", {"floor": "-100"}, key=fresh("k")), 200)
    got = accounts(client, [account(one), account(one, floor=-100)])
    equal((got.replayed, got.refused), (1, [(1, "account_exists", 0)]))


@test("both forms of the answer, by Accept")
def _(client):
    world, user = opened(client, funds=10)
    records = [record(fresh_id(), world, user, 5), record(fresh_id(), user, world, 1000), record(fresh_id(), world, user, 7)]
    answer = post(client, records, headers={"Accept": "application/json"})
    equal(answer.headers["content-type"], "application/json")
    equal(set(answer.json), {"position", "time", "accepted", "replayed", "refused"})
    equal((answer.json["position"], answer.json["accepted"], answer.json["replayed"]), (answer.position, 2, 0))
    equal(answer.json["refused"], [{"index": 1, "code": "insufficient_funds", "replayed": False, "chain": False}])
    again = post(client, records, headers={"Accept": "application/json"})
    equal(again.body, b'{"position":null,"time":null,"accepted":0,"replayed":2,"refused":'
                      b'[{"index":1,"code":"insufficient_funds","replayed":true,"chain":false}]}')
    assert "holdfast-position" not in again.headers, again
    for accept in "*/*", RESULTS, "application/*", f"application/json;q=0.5, {RESULTS}":
        got = results(post(client, records, headers={"Accept": accept}))
        equal((got.position, got.accepted, got.replayed, got.refused), (0, 0, 2, [(1, "insufficient_funds", REPLAYED)]))
    refused(post(client, records, headers={"Accept": "text/html"}), 406, "not_acceptable")


@test("8,190 records in one request; 8,191 are too many")
def _(client):
    world, user = opened(client)
    records = [record(fresh_id(), world, user, 1) for _ in range(RECORDS_MAX + 1)]
    refused(post(client, records), 413, "too_large")
    equal(money(client, user), (0, 0))
    got = transfers(client, records[:-1])
    equal((got.accepted, got.refused), (RECORDS_MAX, []))
    equal(money(client, user), (RECORDS_MAX, RECORDS_MAX))
    got = transfers(client, records[1:])
    equal((got.accepted, got.replayed), (1, RECORDS_MAX - 1))
    equal(money(client, user), (RECORDS_MAX + 1,) * 2)
    many = [account(fresh_id()) for _ in range(RECORDS_MAX + 1)]
    refused(post(client, many, target="/v1/accounts", media=ACCOUNTS), 413, "too_large")
    equal(accounts(client, many[:-1]).accepted, RECORDS_MAX)


@test("one request is one commit: one position, one time, the index in it")
def _(client):
    world, user = opened(client)
    ids = [fresh_id() for _ in range(5)]
    got = transfers(client, [record(number, world, user, n + 1) for n, number in enumerate(ids)])
    shown = [done(client.get(f"/v1/transfers/{text_of(number)}"), 200).json for number in ids]
    equal({t["position"] for t in shown}, {got.position})
    equal(len({t["posted_at"] for t in shown}), 1)
    commit = done(client.get(f"/v1/commits/{got.position}"), 200).json
    equal(commit["position"], got.position)
    following = transfers(client, [record(fresh_id(), world, user, 1)])
    equal(following.position, got.position + 1)


@test("a later record sees what the earlier ones did")
def _(client):
    world, user = opened(client)
    spent = fresh_id()
    got = transfers(client, [record(fresh_id(), user, world, 5), record(fresh_id(), world, user, 5), record(spent, user, world, 5),
                             record(fresh_id(), user, world, 1)])
    equal((got.accepted, got.refused), (2, [(0, "insufficient_funds", 0), (3, "insufficient_funds", 0)]))
    equal(money(client, user), (0, 0))


# ---- what JSON sees ----

@test("a packed transfer is read, listed, fed, stated and reversed as any other; user data and code are shown")
def _(client):
    world, user = opened(client)
    number, plain = fresh_id(), fresh_id()
    got = transfers(client, [record(number, world, user, 700, user_data=DATA, code=4294967295, effective_us=1500000000000000),
                             record(plain, world, user, 1)])
    equal(got.accepted, 2)
    name = text_of(number)
    shown = done(client.get(f"/v1/transfers/{name}"), 200).json
    equal((shown["id"], shown["type"], shown["from"], shown["to"], shown["asset"], shown["amount"], shown["position"]),
          (name, "transfer", text_of(world), text_of(user), "USD/2", "700", got.position))
    equal((shown["user_data"], shown["code"], shown["effective_at"]), (DATA.hex(), 4294967295, "2017-07-14T02:40:00.000000Z"))
    bare = done(client.get(f"/v1/transfers/{text_of(plain)}"), 200).json
    assert "user_data" not in bare and "code" not in bare and "effective_at" not in bare, bare
    listed = done(client.get(f"/v1/transfers?account={text_of(user)}"), 200).json["data"]
    equal([t["id"] for t in listed], [text_of(plain), name])
    equal(listed[1]["code"], 4294967295)
    entries = done(client.get(f"/v1/accounts/{text_of(user)}/entries"), 200).json["data"]
    equal([(e["version"], e["transfer"], e["posted"]) for e in entries], [(2, text_of(plain), "701"), (1, name, "700")])
    events, _ = feed_client.everything(client)
    event, = [e for e in events if e["type"] == "holdfast.transfer.posted" and e["subject"] == f"transfers/{name}"]
    equal((event["id"], event["data"]["user_data"], event["data"]["code"]), (f"{got.position}-0", DATA.hex(), 4294967295))
    event, = [e for e in events if e.get("subject") == f"transfers/{text_of(plain)}"]
    assert event["id"] == f"{got.position}-1" and "user_data" not in event["data"] and "code" not in event["data"], event
    stated = done(client.get(f"/v1/accounts/{text_of(user)}/statement?from=2017-07-01T00:00:00Z&to=2017-08-01T00:00:00Z"
                             "&clock=effective"), 200).json
    assert name in json.dumps(stated) and text_of(plain) not in json.dumps(stated), stated
    back = done(client.post(f"/v1/transfers/{name}/reverse", {"id": fresh("back"), "amount": "200"})).json
    equal((back["reverses"], back["amount"]), (name, "200"))
    equal(done(client.get(f"/v1/transfers/{name}"), 200).json["reversed"], "200")
    equal(money(client, user), (501, 501))


@test("the balance at each version in the middle of a packed commit, and at its position")
def _(client):
    world, user = opened(client, funds=1000)
    begin = done(client.get(f"/v1/accounts/{text_of(user)}"), 200).json["version"]
    got = transfers(client, [record(fresh_id(), world if n % 2 else user, user if n % 2 else world, 10 + n) for n in range(200)])
    equal(got.accepted, 200)
    expected = 1000
    path = f"/v1/accounts/{text_of(user)}/balance"
    for n in range(200):
        expected += (10 + n) if n % 2 else -(10 + n)
        shown = done(client.get(f"{path}?at_version={begin + n + 1}"), 200).json
        equal(shown["posted"], str(expected), f"version {begin + n + 1}")
    equal(done(client.get(f"{path}?at_position={got.position}"), 200).json["posted"], str(expected))
    equal(done(client.get(f"{path}?at_position={got.position - 1}"), 200).json["posted"], "1000")
    entries = done(client.get(f"/v1/accounts/{text_of(user)}/entries?limit=1000"), 200).json["data"]
    equal([e["version"] for e in entries], list(range(begin + 200, 0, -1)))


@test("names of their own go by the first 16 bytes of their SHA-256")
def _(client):
    world, user = json_accounts(client, funds="100")
    number = fresh_id()
    equal(transfers(client, [record(number, id_of(user), id_of(world), 30)]).accepted, 1)
    shown = done(client.get(f"/v1/transfers/{text_of(number)}"), 200).json
    equal((shown["from"], shown["to"]), (user, world))
    hold = fresh("hold")
    done(client.post("/v1/holds", {"id": hold, "from": user, "to": world, "asset": "USD/2", "amount": "20"}))
    act = fresh_id()
    equal(transfers(client, [capture(act, id_of(hold), 20)]).accepted, 1)
    equal(done(client.get(f"/v1/holds/{hold}"), 200).json["state"], "captured")
    equal(done(client.get(f"/v1/accounts/{user}"), 200).json["posted"], "50")


@test("holds: reserve, capture in parts, final, void, expire; user data and code in the feed")
def _(client):
    world, user = opened(client, funds=100)
    one, two, three = fresh_id(), fresh_id(), fresh_id()
    parts = [fresh_id() for _ in range(4)]
    got = transfers(client, [record(one, user, world, 50, flags=HOLD, timeout_ms=3600000, user_data=DATA, code=9),
                             record(two, user, world, 20, flags=HOLD), record(three, user, world, 5, flags=HOLD, timeout_ms=1)])
    equal(got.accepted, 3)
    equal(money(client, user)[0], 100)
    shown = done(client.get(f"/v1/holds/{text_of(one)}"), 200).json
    equal((shown["amount"], shown["state"], shown["position"]), ("50", "open", got.position))
    assert shown["expires_at"] is not None
    equal(done(client.get(f"/v1/holds/{text_of(two)}"), 200).json["expires_at"], None)
    assert wait_until(lambda: client.get(f"/v1/holds/{text_of(three)}").json["state"] == "expired", 20)
    equal(money(client, user), (100, 30))
    got = transfers(client, [capture(parts[0], one, 10, code=3, user_data=DATA[::-1]), capture(parts[1], one, 50),
                             capture(parts[2], one, 15, flags=FINAL), void(parts[3], two, code=6, user_data=DATA),
                             void(fresh_id(), one), capture(fresh_id(), two), capture(fresh_id(), three),
                             capture(fresh_id(), fresh_id())])
    equal(got.accepted, 3)
    equal(got.refused, [(1, "limit_exceeded", 0), (4, "hold_not_open", 0), (5, "hold_not_open", 0), (6, "hold_not_open", 0),
                        (7, "hold_not_found", 0)])
    equal(money(client, user), (75, 75))
    shown = done(client.get(f"/v1/transfers/{text_of(parts[0])}"), 200).json
    equal((shown["type"], shown["hold"], shown["amount"], shown["code"], shown["user_data"]),
          ("capture", text_of(one), "10", 3, DATA[::-1].hex()))
    refused(client.get(f"/v1/transfers/{text_of(parts[3])}"), 404, "transfer_not_found")
    events, _ = feed_client.everything(client)
    about = [(e["type"], e["data"].get("code"), e["data"].get("user_data")) for e in events if e.get("subject") == f"holds/{text_of(one)}"]
    equal(about[0], ("holdfast.hold.opened", 9, DATA.hex()))
    equal(about[1], ("holdfast.hold.captured", 3, DATA[::-1].hex()))
    about = [(e["type"], e["data"].get("code"), e["data"].get("user_data")) for e in events if e.get("subject") == f"holds/{text_of(two)}"]
    equal(about, [("holdfast.hold.opened", None, None), ("holdfast.hold.voided", 6, DATA.hex())])


@test("a capture that posts all that is left, whatever that is")
def _(client):
    world, user = opened(client, funds=100)
    hold, act = fresh_id(), fresh_id()
    got = transfers(client, [record(hold, user, world, 60, flags=HOLD), capture(fresh_id(), hold, 11), capture(act, hold, ALL_LEFT)])
    equal(got.accepted, 3)
    equal(done(client.get(f"/v1/transfers/{text_of(act)}"), 200).json["amount"], "49")
    equal(done(client.get(f"/v1/holds/{text_of(hold)}"), 200).json["state"], "captured")
    equal(money(client, user), (40, 40))


# ---- once ----

@test("a refusal spends the id: it is the answer when the funds are there, under every door")
def _(client):
    world, user = opened(client)
    number = fresh_id()
    late = record(number, user, world, 5, code=1)
    equal(transfers(client, [late]).refused, [(0, "insufficient_funds", 0)])
    equal(transfers(client, [record(fresh_id(), world, user, 100)]).accepted, 1)
    got = transfers(client, [late, record(fresh_id(), user, world, 5)])
    equal((got.accepted, got.refused), (1, [(0, "insufficient_funds", REPLAYED)]))
    got = transfers(client, [record(number, user, world, 6, code=1)])
    equal((got.position, got.refused), (0, [(0, "transfer_exists", 0)]))
    refused(client.post("/v1/transfers", json_transfer(text_of(user), text_of(world), "5", id=text_of(number))), 409, "transfer_exists")
    refused(client.get(f"/v1/transfers/{text_of(number)}"), 404, "transfer_not_found")


@test("JSON repeats a packed transfer, and packed a JSON one; a refused packed one is refused so as JSON")
def _(client):
    world, user = opened(client, funds=100)
    names = {"from": text_of(user), "to": text_of(world), "asset": "USD/2"}
    one, two, three, four = (fresh_id() for _ in range(4))
    got = transfers(client, [record(one, user, world, 7), record(two, user, world, 7, effective_us=10**15), record(three, user, world, 700)])
    equal(got.accepted, 2)
    answer = done(client.post("/v1/transfers", {**names, "id": text_of(one), "amount": "7"}))
    equal((answer.replayed, answer.position, answer.json["transfer"]), (True, got.position, text_of(one)))
    answer = done(client.commit({"op": "transfer", "id": text_of(two), **names, "amount": "7", "effective_at": "2001-09-09T01:46:40Z"}))
    equal((answer.replayed, answer.position, len(answer.json["results"])), (True, got.position, 1))
    answer = refused(client.post("/v1/transfers", {**names, "id": text_of(three), "amount": "700"}), 422, "insufficient_funds")
    equal((answer.replayed, answer.position), (True, got.position))
    refused(client.post("/v1/transfers", {**names, "id": text_of(one), "amount": "8"}), 409, "transfer_exists")
    done(client.post("/v1/transfers", {**names, "id": text_of(four), "amount": "9"}))
    got = transfers(client, [record(four, user, world, 9), record(four, user, world, 9, code=1), record(four, world, user, 9)])
    equal((got.position, got.replayed), (0, 1))
    equal(got.refused, [(1, "transfer_exists", 0), (2, "transfer_exists", 0)])
    equal(money(client, user), (77, 77))


@test("the id of a void is a transfer's id; holds have a name space of their own")
def _(client):
    world, user = opened(client, funds=100)
    hold, act = fresh_id(), fresh_id()
    got = transfers(client, [record(hold, user, world, 9, flags=HOLD), record(hold, user, world, 9), void(act, hold),
                             record(act, user, world, 1), capture(act, hold, 1)])
    equal((got.accepted, got.refused), (3, [(3, "transfer_exists", 0), (4, "transfer_exists", 0)]))
    got = transfers(client, [void(act, hold), record(act, user, world, 1), record(act, user, world, 1, flags=HOLD)])
    equal((got.accepted, got.replayed, got.refused), (1, 1, [(1, "transfer_exists", 0)]))
    refused(client.post("/v1/transfers", json_transfer(text_of(user), text_of(world), "1", id=text_of(act))), 409, "transfer_exists")


@test("chains: all or none; a refused chain spends all its ids; half of a chain is no replay")
def _(client):
    world, user = opened(client, funds=10)
    a, b, c, d = (fresh_id() for _ in range(4))
    chain = [record(a, user, world, 4, flags=LINKED), record(b, user, world, 7, flags=LINKED), record(c, world, user, 1)]
    got = transfers(client, [record(d, user, world, 1)] + chain)
    equal((got.accepted, got.refused), (1, [(1, "insufficient_funds", CHAIN), (2, "insufficient_funds", 0), (3, "insufficient_funds", CHAIN)]))
    equal(money(client, user), (9, 9))
    transfers(client, [record(fresh_id(), world, user, 100)])
    got = transfers(client, chain)
    equal((got.position, got.refused), (0, [(0, "insufficient_funds", REPLAYED | CHAIN), (1, "insufficient_funds", REPLAYED),
                                           (2, "insufficient_funds", REPLAYED | CHAIN)]))
    equal(transfers(client, [record(c, world, user, 1)]).refused, [(0, "transfer_exists", 0)])
    e, f, g = (fresh_id() for _ in range(3))
    good = [record(e, user, world, 4, flags=LINKED), record(f, user, world, 7)]
    equal(transfers(client, good).accepted, 2)
    equal(transfers(client, good).replayed, 2)
    equal(transfers(client, [record(e, user, world, 4), record(f, user, world, 7)]).replayed, 2)
    half = [record(g, user, world, 1, flags=LINKED), record(f, user, world, 7)]
    equal([(index, code, flags & CHAIN) for index, code, flags in transfers(client, half).refused],
          [(0, "transfer_exists", CHAIN), (1, "transfer_exists", 0)])
    equal([(index, code) for index, code, _ in transfers(client, [record(g, user, world, 1)]).refused], [(0, "transfer_exists")])
    equal(money(client, user), (98, 98))


@test("a chain of hold and capture, and one that is taken back leaves nothing")
def _(client):
    world, user = opened(client, funds=10)
    hold, act = fresh_id(), fresh_id()
    got = transfers(client, [record(hold, user, world, 6, flags=HOLD | LINKED), capture(act, hold, 2, flags=FINAL)])
    equal(got.accepted, 2)
    equal(money(client, user), (8, 8))
    hold = fresh_id()
    got = transfers(client, [record(hold, user, world, 6, flags=HOLD | LINKED), capture(fresh_id(), hold, 7, flags=LINKED),
                             void(fresh_id(), hold)])
    equal([code for _, code, _ in got.refused], ["limit_exceeded"] * 3)
    equal(money(client, user), (8, 8))
    refused(client.get(f"/v1/holds/{text_of(hold)}"), 404, "hold_not_found")
    equal(transfers(client, [record(hold, user, world, 6, flags=HOLD)]).refused, [(0, "hold_exists", 0)])


# ---- hostile ----

@test("a malformed record refuses the whole request, with its place; nothing was done")
def _(client):
    world, user = opened(client)
    good = [record(fresh_id(), world, user, 1) for _ in range(17)]
    bad = [("id", record(bytes(16), world, user, 1)), ("to", record(fresh_id(), user, user, 1)),
           ("flags", record(fresh_id(), world, user, 1, flags=32)), ("flags", record(fresh_id(), world, user, 1, flags=1 << 31)),
           ("flags", record(fresh_id(), world, user, 1, flags=HOLD | CAPTURE)), ("flags", record(fresh_id(), world, user, 1, flags=FINAL)),
           ("flags", record(fresh_id(), world, user, 1, flags=LINKED)), ("pending", record(fresh_id(), world, user, 1, pending=fresh_id())),
           ("timeout", record(fresh_id(), world, user, 1, timeout_ms=1)),
           ("timeout", record(fresh_id(), world, user, 1, timeout_ms=10 * 366 * 86400000 + 1, flags=HOLD)),
           ("effective_time", record(fresh_id(), world, user, 1, effective_us=1, flags=HOLD)),
           ("from", capture(fresh_id(), fresh_id(), source=user)), ("to", void(fresh_id(), fresh_id(), target=user)),
           ("amount", void(fresh_id(), fresh_id(), amount=1))]
    got = transfers(client, [record(fresh_id(), world, user, 1, timeout_ms=10 * 366 * 86400000, flags=HOLD)])
    equal(got.accepted, 1)
    for field, wrong in bad:
        refused(post(client, good + [wrong]), 400, "invalid_request", f"/17/{field}")
    equal(money(client, user), (0, 0))
    equal(transfers(client, good).accepted, 17)


@test("truncated bodies, wrong lengths, an empty one; JSON in the place of records")
def _(client):
    world, user = opened(client)
    whole = record(fresh_id(), world, user, 1)
    for body in (whole[:-1], whole + b"\0", whole[:1], b"", b"{}", whole * 2 + whole[:64]):
        answer = refused(post(client, body), 400, "invalid_request", "")
        equal(answer.status, 400)
        refused(post(client, body, target="/v1/accounts", media=ACCOUNTS), 400, "invalid_request", "")
    refused(client.post("/v1/accounts", {"asset": "USD/2"}), 415, "unsupported_media_type")
    refused(post(client, [account(fresh_id())], target="/v1/transfers", media=ACCOUNTS), 415, "unsupported_media_type")
    refused(post(client, [whole], target="/v1/accounts", media=TRANSFERS), 415, "unsupported_media_type")
    refused(post(client, [whole], target="/v1/holds", media=TRANSFERS), 415, "unsupported_media_type")
    equal(transfers(client, [whole]).accepted, 1)


@test("Idempotency-Key and a query are refused; other methods are none")
def _(client):
    world, user = opened(client)
    records = [record(fresh_id(), world, user, 1)]
    refused(post(client, records, key=fresh("k")), 400, "invalid_request")
    for query in "?mode=each", "?mode=atomic", "?dry_run=true", "?limit=1":
        refused(post(client, records, target="/v1/transfers" + query), 400, "invalid_request")
        refused(post(client, [account(fresh_id())], target="/v1/accounts" + query, media=ACCOUNTS), 400, "invalid_request")
    refused(post(client, [account(fresh_id())], target="/v1/accounts", media=ACCOUNTS, key=fresh("k")), 400, "invalid_request")
    for method in "PUT", "PATCH", "DELETE":
        for target in "/v1/transfers", "/v1/accounts":
            answer = refused(client.request(method, target, b"".join(records), content_type=TRANSFERS), 405, "method_not_allowed")
            assert "POST" in answer.headers["allow"], answer
    answer = client.request("HEAD", "/v1/transfers", b"".join(records), content_type=TRANSFERS)
    assert answer.status in (400, 405), answer
    equal(money(client, user), (0, 0))
    equal(transfers(client, records).accepted, 1)


def raw(records, *fields, target="/v1/transfers"):
    """A request as bytes."""
    body = b"".join(records)
    lines = [f"POST {target} HTTP/1.1", "Host: localhost", f"Content-Type: {TRANSFERS}", *fields]
    if not fields:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@test("bytes that end early, a huge Content-Length, chunks: nothing of half a request is done")
def _(client):
    world, user = opened(client)
    records = [record(fresh_id(), world, user, 1) for _ in range(100)]
    whole = raw(records)
    for cut in (len(whole) - 1, len(whole) - 128, len(whole) // 2):
        wire = Wire(client.address)
        wire.send(whole[:cut])
        wire.close()
    for length in 5 << 20, 1 << 62:
        wire = Wire(client.address)
        wire.send(raw([], f"Content-Length: {length}"))
        refused(wire.answer("POST"), 413, "too_large")
        wire.close()
    equal(money(client, user), (0, 0))
    wire = Wire(client.address)
    body = b"".join(records)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[at:at + 77]), body[at:at + 77]) for at in range(0, len(body), 77))
    wire.send(raw([], "Transfer-Encoding: chunked") + chunks + b"0\r\n\r\n")
    equal(results(wire.answer("POST")).accepted, 100)
    wire.close()
    wire = Wire(client.address)
    for byte in range(0, len(whole), 1000):
        wire.send(whole[byte:byte + 1000])
    equal(results(wire.answer("POST")).replayed, 100)
    wire.close()
    equal(money(client, user), (100, 100))


@test("pipelining: 60 requests at once on one connection, answered in their order")
def _(client):
    world, user = opened(client)
    wire = Wire(client.address)
    asks = [[record(fresh_id(), world, user, 1) for _ in range(n % 7 + 1)] for n in range(50)]
    asks += [asks[n] for n in range(9)]
    asks.insert(20, [record(bytes(16), world, user, 1)])
    wire.send(b"".join(raw(ask) for ask in asks))
    positions = []
    for n, ask in enumerate(asks):
        answer = judge("POST", "/v1/transfers", wire.answer("POST"))
        if n == 20:
            refused(answer, 400, "invalid_request", "/0/id")
            continue
        got = results(answer)
        equal((got.accepted, got.replayed), (len(ask), 0) if n < 51 else (0, len(ask)), f"request {n}")
        positions.append(got.position)
    equal(positions[:50], sorted(set(positions[:50])))
    equal(positions[50:], [0] * 9)
    wire.close()
    total = sum(len(ask) for n, ask in enumerate(asks) if n < 51 and n != 20)
    equal(money(client, user), (total, total))


# ---- NDJSON ----

def lines(client, rows, mode="each", key=None, status=200):
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    answer = done(client.post(f"/v1/transfers?mode={mode}", text, content_type="application/x-ndjson", key=key), status)
    return answer, [load_json(line) for line in answer.body.splitlines()]


@test("NDJSON mode=each: one commit, each line decided by itself, replayed by its id, its own form kept")
def _(client):
    world, user = json_accounts(client, funds="50")
    first, second, third, fourth = (fresh("n") for _ in range(4))
    rows = [json_transfer(world, user, "5", id=first, metadata={"b": [1, 2], "a": "x"}), json_transfer(user, world, "1000", id=second),
            "{malformed", json_transfer(user, world, "1000", id=third, up_to=True), json_transfer(world, user, "1"),
            json_transfer(world, fresh("nobody"), "1", id=fourth)]
    answer, got = lines(client, rows)
    equal([(row["status"], row["replayed"]) for row in got],
          [(201, False), (422, False), (400, False), (201, False), (400, False), (404, False)])
    equal({got[0]["body"]["position"], got[3]["body"]["position"]}, {answer.position})
    equal((got[1]["body"]["code"], got[2]["body"]["code"], got[4]["body"]["failed"], got[5]["body"]["code"]),
          ("insufficient_funds", "invalid_request", "/id", "account_not_found"))
    equal((got[3]["body"]["amount"], got[3]["body"]["requested"]), ("55", "1000"))
    equal(done(client.get(f"/v1/transfers/{first}"), 200).json["metadata"], {"b": [1, 2], "a": "x"})
    done(client.post("/v1/transfers", json_transfer(world, user, "500", id=fresh("n"))))
    again, repeated = lines(client, rows)
    equal([(row["status"], row["replayed"], row["body"]) for row in repeated],
          [(row["status"], row["status"] != 400, row["body"]) for row in got])
    equal(again.position, answer.position)
    rows[0]["metadata"] = {"a": "x", "b": [1, 2]}
    equal(lines(client, rows[:1])[1][0]["replayed"], True)
    for change in ({"metadata": {"a": "y"}}, {"amount": "6"}, {"up_to": True}, {"effective_at": "2020-01-01T00:00:00Z"}):
        row, = lines(client, [{**rows[0], **change}])[1]
        equal((row["status"], row["body"]["code"], row["replayed"]), (409, "transfer_exists", False), change)
    single = done(client.post("/v1/transfers", rows[0]))
    equal((single.replayed, single.json), (True, got[0]["body"]))
    refused(client.post("/v1/transfers?mode=each", json.dumps(rows[0]), content_type="application/x-ndjson", key=fresh("k")), 400,
            "invalid_request")


@test("NDJSON mode=atomic: all or none under one key or by its ids")
def _(client):
    world, user = json_accounts(client)
    rows = [json_transfer(world, user, "5", id=fresh("a")), json_transfer(user, world, "6", id=fresh("a"))]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    answer = client.post("/v1/transfers?mode=atomic", text, content_type="application/x-ndjson")
    refused(answer, 422, "insufficient_funds", "/1")
    equal(done(client.get(f"/v1/accounts/{user}"), 200).json["posted"], "0")
    rows = [json_transfer(world, user, "5", id=fresh("a")), json_transfer(user, world, "5", id=fresh("a"))]
    answer, got = lines(client, rows, "atomic", status=201)
    equal(len(got[0]["results"]), 2)
    again, repeated = lines(client, rows, "atomic", status=201)
    equal((again.replayed, repeated), (True, got))
    row, = lines(client, rows[:1])[1]
    equal((row["status"], row["body"]["code"]), (409, "transfer_exists"))


@test("NDJSON and packed repeat each other, line by record")
def _(client):
    world, user = opened(client, funds=100)
    one, two, three = fresh_id(), fresh_id(), fresh_id()
    names = {"from": text_of(user), "to": text_of(world), "asset": "USD/2"}
    rows = [{**names, "id": text_of(one), "amount": "3"}, {**names, "id": text_of(two), "amount": "300"}]
    lines(client, rows)
    got = transfers(client, [record(one, user, world, 3), record(two, user, world, 300)])
    equal((got.replayed, got.refused), (1, [(1, "insufficient_funds", REPLAYED)]))
    transfers(client, [record(three, user, world, 4)])
    row, = lines(client, [{**names, "id": text_of(three), "amount": "4"}])[1]
    equal((row["status"], row["replayed"], row["body"]["transfer"]), (201, True, text_of(three)))


# ---- tokens; nobody gets in without one from here on ----

@test("tokens: 403 for the request if one record may not be committed; nothing was done")
def _(client):
    world, user = opened(client, funds=10)

    def token(principal, *more):
        out = subprocess.run([HOLDFAST, "token", "create", "--data", the_server().data, "--principal", principal, "--json", *more],
                             capture_output=True, text=True, check=True).stdout
        return json.loads(out)["secret"]

    everything, reader = token("all", "--scopes", "read,commit"), token("reader", "--scopes", "read")
    narrow = token("narrow", "--names", "02000000-*")
    assert wait_until(lambda: client.get("/v1/limits").status == 401, 10)
    records = [record(fresh_id(), user, world, 1)]
    refused(post(client, records), 401, "unauthorized")
    refused(post(client, [account(fresh_id())], target="/v1/accounts", media=ACCOUNTS), 401, "unauthorized")
    for secret in reader, narrow:
        poor = Client(None, address=client.address, token=secret)
        refused(post(poor, records), 403, "forbidden")
        refused(post(poor, [account(fresh_id())], target="/v1/accounts", media=ACCOUNTS), 403, "forbidden")
        refused(post(poor, [capture(fresh_id(), fresh_id())]), 403, "forbidden")
        poor.close()
    covered = [account(b"\x02" + fresh_id()[1:]) for _ in range(3)]
    poor = Client(None, address=client.address, token=narrow)
    refused(post(poor, covered + [account(fresh_id())], target="/v1/accounts", media=ACCOUNTS), 403, "forbidden")
    equal(accounts(poor, covered).accepted, 3)
    refused(post(poor, [record(b"\x02" + fresh_id()[1:], covered[0][:16], covered[1][:16], 1)]), 403, "forbidden")
    poor.close()
    rich = Client(None, address=client.address, token=everything)
    equal(transfers(rich, records).accepted, 1)
    rich.close()


if __name__ == "__main__":
    main()
