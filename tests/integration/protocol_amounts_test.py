#!/usr/bin/env python3
"""Amounts, limits, assets and names over HTTP, as PROTOCOLS has them. Prints TAP."""
from protocol_suite import accounts, done, equal, fresh, main, operation, posted, refused, test, transfer

TOTAL_MAX = 2**127 - 1


@test("amounts are decimal strings without sign, leading zero, point, exponent or white space")
def _(client):
    world, user = accounts(client)
    for bad in ["", "-1", "+1", "01", "1.0", "1e3", " 1", "1 ", "0x1", "1_000", "1,000", "\u0661", "NaN", "00", str(2**128),
                "9" * 60]:
        refused(client.post("/v1/transfers", transfer(world, user, bad), key=fresh("k")), 400, "invalid_request", "/amount")
    equal(posted(client, user), "0")


@test("amount 0 is 422 amount_invalid, as a string and as a number")
def _(client):
    world, user = accounts(client)
    for zero in "0", 0:
        refused(client.post("/v1/transfers", transfer(world, user, zero), key=fresh("k")), 422, "amount_invalid")
        refused(client.post("/v1/holds", transfer(world, user, zero), key=fresh("k")), 422, "amount_invalid")


@test("a JSON number is accepted only if it is an integer below 2^53")
def _(client):
    world, user = accounts(client)
    body = '{"from":"%s","to":"%s","asset":"USD/2","amount":%s}'
    for good in "1", "9007199254740991":
        done(client.post("/v1/transfers", body % (world, user, good), key=fresh("k")))
    for bad in "9007199254740992", "1.0", "1e2", "1E0", "-1", "-0", "0.5", "true", "null", "[1]", '{"a":1}':
        refused(client.post("/v1/transfers", body % (world, user, bad), key=fresh("k")), 400, "invalid_request", "/amount")
    for broken in "01", "+1", ".5", "1.", "0x1", "Infinity", "NaN", "1_0", "--1":
        refused(client.post("/v1/transfers", body % (world, user, broken), key=fresh("k")), 400, "invalid_request")
    equal(posted(client, user), "9007199254740992")


@test("128 bits: totals go to 2^127 - 1 and no further, exactly")
def _(client):
    world, user = accounts(client)
    done(client.post("/v1/transfers", transfer(world, user, str(TOTAL_MAX - 1)), key=fresh("k")))
    equal(posted(client, user), str(TOTAL_MAX - 1))
    equal(posted(client, world), str(1 - TOTAL_MAX))
    refused(client.post("/v1/transfers", transfer(world, user, "2"), key=fresh("k")), 422, "limit_exceeded")
    refused(client.post("/v1/transfers", transfer(world, user, str(2**128 - 1)), key=fresh("k")), 422, "limit_exceeded")
    done(client.post("/v1/transfers", transfer(world, user, "1"), key=fresh("k")))
    equal(posted(client, user), str(TOTAL_MAX))


@test("balances and limits may have a sign; null is none")
def _(client):
    world, user = accounts(client)
    done(client.patch(f"/v1/accounts/{user}", {"floor": "-50"}, key=fresh("k")), 200)
    done(client.post("/v1/transfers", transfer(user, world, "50"), key=fresh("k")))
    account = done(client.get(f"/v1/accounts/{user}"), 200).json
    equal((account["posted"], account["available"], account["floor"]), ("-50", "-50", "-50"))
    refused(client.post("/v1/transfers", transfer(user, world, "1"), key=fresh("k")), 422, "insufficient_funds")
    answer = done(client.patch(f"/v1/accounts/{user}", {"floor": None, "ceiling": -50}, key=fresh("k")), 200).json
    equal((answer["floor"], answer["ceiling"]), (None, "-50"))
    refused(client.post("/v1/transfers", transfer(world, user, "1"), key=fresh("k")), 422, "limit_exceeded")
    done(client.post("/v1/transfers", transfer(user, world, "1000"), key=fresh("k")))
    for bad in "-0", "--1", "-01", "+5", "- 5", "1.5", "-1e2", "":
        refused(client.patch(f"/v1/accounts/{user}", {"floor": bad}, key=fresh("k")), 400, "invalid_request", "/floor")


@test("assets are CODE/scale, scale 0 to 18")
def _(client):
    for good in "USD/2", "JPY/0", "BTC/8", "A/18", "A" + "B_9" * 5 + "Z/1":
        done(client.put(f"/v1/accounts/{fresh('a')}", {"asset": good}))
    for bad in ["USD", "USD/", "/2", "usd/2", "USD/19", "USD/02", "USD/-1", "1SD/2", "USD/2 ", "US D/2", "A" * 18 + "/2",
                "USD//2", "USD/2/2", ""]:
        refused(client.put(f"/v1/accounts/{fresh('a')}", {"asset": bad}), 400, "invalid_request", "/asset")
    world, user = accounts(client)
    other = fresh("yen")
    done(client.put(f"/v1/accounts/{other}", {"asset": "JPY/0"}))
    refused(client.post("/v1/transfers", transfer(world, other, "1"), key=fresh("k")), 422, "asset_mismatch")
    answer = client.post("/v1/transfers", {**transfer(world, user, "1"), "asset": "USD/3"}, key=fresh("k"))
    refused(answer, 422, "asset_mismatch")


@test("an asset in a path is USD%2F2: split first, then decoded")
def _(client):
    world, user = accounts(client, funds="7")
    totals = done(client.get("/v1/assets/USD%2F2/totals"), 200).json
    equal(totals["asset"], "USD/2")
    equal(totals["debits_posted"], totals["credits_posted"])
    assert int(totals["debits_posted"]) >= 7
    equal(done(client.get("/v1/assets/USD%2f2/totals"), 200).json, totals)
    refused(client.get("/v1/assets/USD/2/totals"), 404, "not_found")
    refused(client.get("/v1/assets/usd%2F2/totals"), 400, "invalid_request")
    equal(done(client.get("/v1/assets/NONE%2F0/totals"), 200).json["accounts"], 0)


@test("names: the alphabet, 1 to 128 bytes, hex forms folded")
def _(client):
    for good in "a", "Z9._:@+=,~-", "n" * 128, "0":
        name = good if len(good) == 128 else good + fresh("")
        done(client.put(f"/v1/accounts/{name}", {"asset": "USD/2"}))
        equal(done(client.get(f"/v1/accounts/{name}"), 200).json["id"], name)
    upper = "AAAAAAAA-BBBB-4CCC-8DDD-0123456789EF"
    done(client.put(f"/v1/documents/{upper}", 1, none_match="*"))
    refused(client.put(f"/v1/documents/{upper.lower()}", 1, none_match="*"), 412, "condition_failed")
    equal(done(client.get(f"/v1/documents/{upper}"), 200).body, b"1")
    for bad in "~a", ".a", ":a", "-a", "a%20b", "a%00", "a%2Fb", "n" * 129, "%C3%A4", "a%3Fb", "a*", "(a)":
        refused(client.put(f"/v1/accounts/{bad}", {"asset": "USD/2"}), 400, "invalid_request")
        refused(client.post("/v1/commits", {"do": [operation("open_account", account=bad, asset="USD/2")]}, key=fresh("k")),
                400, "invalid_request", "/do/0/account")


@test("percent-encoding of what needs none is the same name; + is a plus")
def _(client):
    name = fresh("a+b")
    done(client.put(f"/v1/accounts/{name}", {"asset": "USD/2"}))
    encoded = name.replace("a", "%61").replace("+", "%2B").replace(":", "%3a")
    equal(done(client.get(f"/v1/accounts/{encoded}"), 200).json["id"], name)
    page = done(client.get(f"/v1/accounts?prefix={name}"), 200).json
    equal([account["id"] for account in page["data"]], [name], "+ in a query")
    for bad in "%", "%4", "%zz", "%C0%80", "%ED%A0%80", "%FF", "%7F":
        refused(client.get(f"/v1/accounts/a{bad}"), 400, "invalid_request")
        refused(client.get(f"/v1/accounts?prefix=a{bad}"), 400, "invalid_request")


@test("from = to and an empty do are 400")
def _(client):
    world, user = accounts(client)
    refused(client.post("/v1/transfers", transfer(user, user, "1"), key=fresh("k")), 400, "invalid_request")
    refused(client.post("/v1/commits", {"do": []}, key=fresh("k")), 400, "invalid_request")
    refused(client.post("/v1/commits", {}, key=fresh("k")), 400, "invalid_request")
    refused(client.post("/v1/commits", {"if": []}, key=fresh("k")), 400, "invalid_request")


@test("up_to moves what is there, at most amount; nothing left is insufficient_funds")
def _(client):
    world, user = accounts(client, funds="30")
    answer = done(client.post("/v1/transfers", transfer(user, world, "100", up_to=True), key=fresh("k"))).json
    equal((answer["amount"], answer["requested"]), ("30", "100"))
    refused(client.post("/v1/transfers", transfer(user, world, "100", up_to=True), key=fresh("k")), 422, "insufficient_funds")


@test("versions and positions are integers, times RFC 3339 in UTC with microseconds")
def _(client):
    world, user = accounts(client, funds="1")
    account = done(client.get(f"/v1/accounts/{user}"), 200).json
    assert isinstance(account["version"], int)
    answer = client.commit(operation("put", document=fresh("d"), data=1, expected_version=0), key=fresh("k"))
    assert isinstance(done(answer).json["position"], int)
    for bad in ["2020-08-30", "2020-08-30T17:44:25", "2020-08-30T17:44:25+00:00", "2020-02-30T00:00:00Z", "2020-08-30 17:44:25Z",
                "2020-08-30T17:44:60Z", "now", ""]:
        refused(client.post("/v1/transfers", transfer(world, user, "1", effective_at=bad), key=fresh("k")), 400,
                "invalid_request", "/effective_at")
    answer = done(client.post("/v1/transfers", transfer(world, user, "1", effective_at="2020-08-30T17:44:25Z"), key=fresh("k")))
    equal(answer.json["effective_at"], "2020-08-30T17:44:25.000000Z")


if __name__ == "__main__":
    main()
