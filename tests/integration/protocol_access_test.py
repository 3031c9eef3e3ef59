#!/usr/bin/env python3
"""Who gets in: tokens, scopes, names, Host, Origin, over HTTP and by `holdfast token`. Prints TAP."""
import json
import os
import re
import socket
import ssl
import subprocess
import tempfile
import time

from http_client import HOLDFAST, Client, Server, Wire, wait_until
from protocol_suite import accounts, done, equal, fresh, main, operation, refused, test, the_server, transfer

ORIGIN = "https://console.example.org"
SHOP = {}  # the first token
SECRETS = []  # every secret that was made: none may stand in the log or in the file


def token_command(server, *arguments, expect=0):
    done_command = subprocess.run([HOLDFAST, "token", *arguments], capture_output=True, text=True, check=False)
    assert done_command.returncode == expect, (arguments, done_command)
    return done_command


def create(server, principal, *more):
    out = json.loads(token_command(server, "create", "--data", server.data, "--principal", principal, "--json", *more).stdout)
    SECRETS.append(out["secret"])
    return out


@test("without tokens everybody on loopback is local")
def _(client):
    answer = done(client.commit(operation("put", document=fresh("d"), data=1), key=fresh("k")))
    equal(done(client.get(f"/v1/commits/{answer.position}"), 200).json["principal"], "local")
    other = Client(None, address=client.address, token="hft_whatever")
    done(other.get("/v1/limits"), 200)
    other.close()


@test("Host: loopback names and addresses and configured hosts; anything else is 403")
def _(client):
    for good in ("localhost", "localhost:1", "LOCALHOST:7070", "127.0.0.1", "127.9.9.9:80", "[::1]:7070", "api.example.org",
                 "API.example.org:8443"):
        done(client.get("/v1/limits", headers={"Host": good}), 200)
    for bad in ("evil.example", "evil.example:7070", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "0.0.0.0",
                "[::2]", "api.example.org.evil.example"):
        refused(client.get("/v1/limits", headers={"Host": bad}), 403, "forbidden")
        answer = client.post("/v1/transfers", transfer("a", "b", "1", id=fresh("t")), headers={"Host": bad})
        refused(answer, 403, "forbidden")


@test("a missing Host is refused")
def _(client):
    answer = client.get("/v1/limits", headers={"Host": None})
    assert (answer.status, answer.code) in ((400, "invalid_request"), (403, "forbidden")), answer


@test("Origin: any is refused but the configured one, null too; Sec-Fetch-Site: cross-site is refused")
def _(client):
    world, user = accounts(client)
    body = transfer(world, user, "1", id=fresh("t"))
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost:7070"},
                    {"Origin": ORIGIN + ".evil.example"}, {"Origin": ORIGIN + ":444"}, {"Sec-Fetch-Site": "cross-site"},
                    {"Sec-Fetch-Site": "same-site"}):
        answer = refused(client.post("/v1/transfers", body, headers=headers), 403, "forbidden")
        assert "access-control-allow-origin" not in answer.headers, answer
        refused(client.get("/v1/limits", headers=headers), 403, "forbidden")
    answer = done(client.post("/v1/transfers", body, headers={"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"}))
    equal((answer.headers["access-control-allow-origin"], answer.headers["vary"]), (ORIGIN, "Origin"))
    assert "Holdfast-Position" in answer.headers["access-control-expose-headers"]
    done(client.get("/v1/limits", headers={"Sec-Fetch-Site": "none"}), 200)


@test("what a form can post from another site does nothing")
def _(client):
    world, user = accounts(client)
    name = fresh("t")
    body = json.dumps(transfer(world, user, "1", id=name))
    for media in "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x":
        refused(client.post("/v1/transfers", body, content_type=media), 415, "unsupported_media_type")
    refused(client.get(f"/v1/transfers/{name}"), 404, "transfer_not_found")


@test("a preflight of the configured origin is answered, of another refused")
def _(client):
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,idempotency-key"}
    answer = done(client.request("OPTIONS", "/v1/transfers", headers={"Origin": ORIGIN, **asks}), 204)
    equal(answer.headers["access-control-allow-origin"], ORIGIN)
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "Idempotency-Key" in answer.headers["access-control-allow-headers"]
    answer = client.request("OPTIONS", "/v1/transfers", headers={"Origin": "https://evil.example", **asks})
    equal(answer.status, 403)
    assert "access-control-allow-origin" not in answer.headers


@test("the Unix socket takes any Host")
def _(client):
    inside = Client(None, address=os.path.join(the_server().data, "holdfast.sock"), host="whatever.example")
    done(inside.get("/v1/limits"), 200)
    equal(os.stat(os.path.join(the_server().data, "holdfast.sock")).st_mode & 0o777, 0o600)
    inside.close()


@test("the first token shuts everybody else out within a second; healthz and readyz stay open")
def _(client):
    SHOP.update(create(the_server(), "shop"))
    assert wait_until(lambda: client.get("/v1/limits").status == 401, 10)
    answer = refused(client.get("/v1/limits"), 401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer"), answer
    done(client.get("/healthz"), 200)
    done(client.get("/readyz"), 200)
    refused(client.post("/v1/transfers", "{", content_type="text/plain"), 401, "unauthorized")
    refused(client.get("/v1/no-such"), 401, "unauthorized")
    inside = Client(None, address=os.path.join(the_server().data, "holdfast.sock"))
    refused(inside.get("/v1/limits"), 401, "unauthorized")
    inside.close()


def with_token(client, made):
    return Client(None, address=client.address, token=made["secret"])


@test("a token lets its principal in; other forms and secrets don't")
def _(client):
    made = SHOP
    shop = with_token(client, made)
    answer = done(shop.commit(operation("put", document=fresh("d"), data=1), key=fresh("k")))
    equal(done(shop.get(f"/v1/commits/{answer.position}"), 200).json["principal"], "shop")
    shop.close()
    secret = made["secret"]
    for header in (secret, f"Basic {secret}", f"Bearer{secret}", "Bearer", "Bearer ", f"Bearer {secret}A", f"Bearer {secret[:-1]}",
                   f"Bearer {secret.lower()}", f"Bearer {secret}, Bearer {secret}"):
        refused(client.get("/v1/limits", headers={"Authorization": header}), 401, "unauthorized")
    refused(client.get("/v1/limits", headers=[("Authorization", f"Bearer {secret}")] * 2), 401, "unauthorized")
    done(client.get("/v1/limits", headers={"authorization": f"bearer  {secret}"}), 200)


@test("order: 401 and 403 of the Host before all else; malformed, missing key and 428 before 403 of a scope")
def _(client):
    reader = with_token(client, create(the_server(), "reader", "--scopes", "read"))
    assert wait_until(lambda: reader.get("/v1/limits").status == 200, 10)
    refused(reader.post("/v1/transfers", "{"), 400, "invalid_request")
    refused(reader.post("/v1/transfers", transfer("a", "b", "1")), 400, "idempotency_key_missing")
    refused(reader.put("/v1/documents/d", 1), 428, "precondition_required")
    refused(reader.post("/v1/transfers", transfer("a", "b", "1"), key=fresh("k")), 403, "forbidden")
    refused(reader.put("/v1/documents/d", 1, none_match="*"), 403, "forbidden")
    refused(reader.get("/v1/accounts/nobody"), 404, "account_not_found")
    refused(reader.get("/v1/accounts/nobody", headers={"Host": "evil.example"}), 403, "forbidden")
    reader.close()


@test("scopes: commit does not read, read does not commit, freezing needs operate, admin may all")
def _(client):
    writer = with_token(client, create(the_server(), "w", "--scopes", "commit"))
    operator = with_token(client, create(the_server(), "o", "--scopes", "operate,read"))
    admin = with_token(client, create(the_server(), "root", "--scopes", "admin"))
    assert wait_until(lambda: admin.get("/v1/status").status == 200, 10)
    world, user = accounts(admin)
    done(writer.post("/v1/transfers", transfer(world, user, "1"), key=fresh("k")))
    refused(writer.get(f"/v1/accounts/{user}"), 403, "forbidden")
    refused(writer.post("/v1/read", {"reads": [{"account": user}]}), 403, "forbidden")
    refused(writer.get("/v1/status"), 403, "forbidden")
    refused(writer.patch(f"/v1/accounts/{user}", {"state": "frozen"}, key=fresh("k")), 403, "forbidden")
    refused(operator.post("/v1/transfers", transfer(world, user, "1"), key=fresh("k")), 403, "forbidden")
    done(operator.patch(f"/v1/accounts/{user}", {"state": "frozen"}, key=fresh("k")), 200)
    done(operator.get("/v1/status"), 200)
    refused(writer.post("/v1/transfers", transfer(world, user, "1"), key=fresh("k")), 423, "account_frozen")
    problem = writer.post("/v1/transfers", transfer(world, user, "1"), key=fresh("k")).json
    equal(problem["current"], None, "whoever may not read is not told what is there")
    assert user not in problem["detail"], problem
    for one in writer, operator, admin:
        one.close()


@test("names: exact ids and prefixes; everything that a commit mentions must be covered")
def _(client):
    mine = fresh("only").replace(":", "-")
    admin = with_token(client, create(the_server(), "root2", "--scopes", "admin"))
    narrow = with_token(client, create(the_server(), "narrow", "--names", f"{mine}: {mine}-exact"))
    assert wait_until(lambda: narrow.get("/v1/limits").status == 200, 10)
    for name in f"{mine}:a", f"{mine}:b", f"{mine}-exact", f"{mine}-exactly":
        done(admin.put(f"/v1/accounts/{name}", {"asset": "USD/2", "floor": None}))
    done(narrow.post("/v1/transfers", transfer(f"{mine}:a", f"{mine}-exact", "1", id=f"{mine}:t1")))
    refused(narrow.post("/v1/transfers", transfer(f"{mine}:a", f"{mine}-exactly", "1", id=f"{mine}:t2")), 403, "forbidden")
    refused(narrow.post("/v1/transfers", transfer(f"{mine}:a", f"{mine}:b", "1", id=fresh("t"))), 403, "forbidden")
    done(narrow.get(f"/v1/accounts/{mine}:a"), 200)
    refused(narrow.get(f"/v1/accounts/{mine}-exactly"), 403, "forbidden")
    refused(narrow.get("/v1/accounts"), 403, "forbidden")
    refused(narrow.get(f"/v1/accounts?prefix={mine}"), 403, "forbidden")
    equal(len(done(narrow.get(f"/v1/accounts?prefix={mine}:"), 200).json["data"]), 2)
    refused(narrow.commit(operation("put", document=f"{mine}:d", data=1),
                          conditions=[{"account": f"{mine}-exactly", "version": 0}], key=fresh("k")), 403, "forbidden")
    refused(narrow.post("/v1/read", {"reads": [{"account": f"{mine}:a"}, {"account": f"{mine}-exactly"}]}), 403, "forbidden")
    refused(narrow.get("/v1/assets/USD%2F2/totals"), 403, "forbidden")
    position = done(admin.commit(operation("put", document=fresh("d"), data={"secret": 1}), key=fresh("k"))).position
    refused(narrow.get(f"/v1/commits/{position}"), 403, "forbidden")
    admin.close()
    narrow.close()


@test("IK6 keys live per principal, and stay when the token is rotated")
def _(client):
    one, two = create(the_server(), "alice", "--scopes", "admin"), create(the_server(), "bob", "--scopes", "admin")
    alice, bob = with_token(client, one), with_token(client, two)
    assert wait_until(lambda: bob.get("/v1/limits").status == 200, 10)
    key, document = fresh("k"), fresh("d")
    first = done(alice.commit(operation("put", document=document, data=1), key=key))
    other = done(bob.commit(operation("put", document=document, data=2), key=key))
    assert not other.replayed
    refused(bob.get(f"/v1/keys/{fresh('k')}"), 404, "key_not_found")
    equal(bob.get(f"/v1/keys/{key}").json["position"], other.position)
    out = json.loads(token_command(the_server(), "rotate", "--data", the_server().data, "--grace", "1h", "--json", one["id"]).stdout)
    SECRETS.append(out["secret"])
    renewed = with_token(client, out)
    assert wait_until(lambda: renewed.get("/v1/limits").status == 200, 10)
    again = done(renewed.commit(operation("put", document=document, data=1), key=key))
    equal((again.body, again.replayed), (first.body, True))
    done(alice.get("/v1/limits"), 200)  # the old secret has its grace
    token_command(the_server(), "revoke", "--data", the_server().data, one["id"])
    assert wait_until(lambda: alice.get("/v1/limits").status == 401, 10)
    done(renewed.get("/v1/limits"), 200)
    for client_ in alice, bob, renewed:
        client_.close()


@test("a token that ends, and a rotation without grace")
def _(client):
    short = create(the_server(), "short", "--expires-in", "3s")
    brief = with_token(client, short)
    assert wait_until(lambda: brief.get("/v1/limits").status == 200, 10)
    assert wait_until(lambda: brief.get("/v1/limits").status == 401, 10)
    brief.close()
    made = create(the_server(), "now")
    old = with_token(client, made)
    assert wait_until(lambda: old.get("/v1/limits").status == 200, 10)
    out = json.loads(token_command(the_server(), "rotate", "--data", the_server().data, "--grace", "0", "--json", made["id"]).stdout)
    SECRETS.append(out["secret"])
    assert wait_until(lambda: old.get("/v1/limits").status == 401, 10)
    old.close()


@test("a standby asks for the same before it forwards: Host, Origin, token")
def _(client):
    standby = Server(data=the_server().data)
    standby.start()
    try:
        outside, shop = Client(standby), Client(standby, token=SHOP["secret"])
        refused(outside.get("/v1/limits"), 401, "unauthorized")
        refused(outside.get("/v1/limits", headers={"Host": "evil.example"}), 403, "forbidden")
        refused(shop.get("/v1/limits", headers={"Host": "evil.example"}), 403, "forbidden")
        refused(shop.get("/v1/limits", headers={"Origin": "https://evil.example"}), 403, "forbidden")
        answer = done(shop.commit(operation("put", document=fresh("d"), data=1), key=fresh("k")))
        equal(done(shop.get(f"/v1/commits/{answer.position}"), 200).json["principal"], "shop")
        body = {"do": [operation("put", document=fresh("d"), data=1)]}
        refused(shop.post("/v1/commits", body, key=fresh("k"), headers={"Host": "evil.example"}), 403, "forbidden")
        outside.close()
        shop.close()
    finally:
        equal(standby.stop(), 0)


@test("a damaged tokens file lets nobody in and says so; mended it lets in again")
def _(client):
    shop = with_token(client, SHOP)
    path = os.path.join(the_server().data, "tokens.json")
    with open(path, "rb") as file:
        whole = file.read()
    done(shop.get("/v1/limits"), 200)
    with open(path, "r+b") as file:
        file.write(whole.replace(b'"shop"', b'"sh0p"'))
    assert wait_until(lambda: shop.get("/v1/limits").status == 503, 10)
    refused(shop.get("/v1/limits"), 503, "not_ready")
    refused(client.get("/v1/limits"), 503, "not_ready")
    os.rename(path, path + ".away")
    time.sleep(1.2)
    refused(client.get("/v1/limits"), 503, "not_ready")  # gone is not open
    with open(path + ".away", "wb") as file:
        file.write(whole)
    os.rename(path + ".away", path)
    assert wait_until(lambda: shop.get("/v1/limits").status == 200, 10)
    assert "tokens.json" in the_server().log_text(), "the server's log says so"
    shop.close()


@test("holdfast token: table, JSON, exit statuses, nothing secret at rest or in the log")
def _(client):
    server = the_server()
    table = token_command(server, "list", "--data", server.data).stdout
    assert table.splitlines()[0].split() == ["ID", "PRINCIPAL", "SCOPES", "CREATED", "EXPIRES", "STATE", "NAMES"], table
    rows = json.loads(token_command(server, "list", "--data", server.data, "--json").stdout)
    assert {"shop", "bob", "narrow"} <= {row["principal"] for row in rows}
    equal({row["state"] for row in rows}, {"valid", "ended"})
    for arguments, status in ((["create", "--data", server.data], 2), (["create", "--principal", "x"], 2),
                              (["create", "--data", server.data, "--principal", "a b"], 2),
                              (["create", "--data", server.data, "--principal", "x", "--scopes", "all"], 2),
                              (["create", "--data", server.data, "--principal", "x", "--names", "x*"], 2),
                              (["create", "--data", server.data, "--principal", "x", "--expires-in", "soon"], 2),
                              (["revoke", "--data", server.data, "00000000"], 1), (["revoke", "--data", server.data], 2),
                              (["rotate", "--data", server.data, "00000000"], 1), (["list"], 2), ([], 2), (["such"], 2),
                              (["create", "--help"], 0), (["--help"], 0), (["list", "--data", server.data + "-none"], 0)):
        token_command(server, *arguments, expect=status)
    with open(os.path.join(server.data, "tokens.json"), encoding="ascii") as file:
        stored = file.read()
    log = server.log_text()
    assert len(SECRETS) > 8
    for secret in SECRETS:
        assert re.fullmatch(r"hft_[A-Za-z0-9_-]{43}", secret), secret
        assert secret[4:24] not in stored and secret[4:24] not in log and secret not in table
    equal(os.stat(os.path.join(server.data, "tokens.json")).st_mode & 0o777, 0o600)


@test("queues: who receives needs commit and the name; what it may not read it does not see; operate makes and redrives")
def _(client):
    server = the_server()
    operator = Client(server, token=create(server, "queue-operator", "--scopes=operate,commit,read")["secret"])
    worker = Client(server, token=create(server, "queue-worker", "--scopes=commit,read", "--names=jobs: open:")["secret"])
    reader = Client(server, token=create(server, "queue-reader", "--scopes=read", "--names=jobs:")["secret"])
    assert wait_until(lambda: reader.get("/v1/limits").status == 200)  # the file is looked at once a second
    filters = {"filter": {"types": ["job.*"]}}
    refused(worker.put("/v1/subscriptions/jobs:all", filters), 403, "forbidden")
    done(operator.put("/v1/subscriptions/jobs:all", filters))
    done(operator.put("/v1/subscriptions/other", filters))
    for topic in "open:a", "secret:a":
        done(operator.commit(operation("publish", topic=topic, key="k" + topic[:1], type="job.made", data=1), key=fresh("k")))
    refused(worker.commit(operation("publish", topic="secret:a", key="k", type="job.made", data=1), key="jobs:k"), 403, "forbidden")
    refused(worker.post("/v1/subscriptions/other/receive", {}), 403, "forbidden")
    refused(reader.post("/v1/subscriptions/jobs:all/receive", {}), 403, "forbidden")
    assert wait_until(lambda: done(reader.get("/v1/subscriptions/jobs:all"), 200).json["live"])
    messages = done(worker.post("/v1/subscriptions/jobs:all/receive", {}), 200).json["messages"]
    equal([m["event"] and m["event"]["subject"] for m in messages], ["topics/open:a", None])
    receipts = [m["receipt"] for m in messages]
    refused(reader.post("/v1/subscriptions/jobs:all/ack", {"receipts": receipts}), 403, "forbidden")
    refused(worker.post("/v1/subscriptions/other/ack", {"receipts": receipts}), 403, "forbidden")
    done(worker.post("/v1/subscriptions/jobs:all/park", {"receipts": receipts}), 200)
    letters = done(reader.get("/v1/subscriptions/jobs:all/dead"), 200).json["data"]
    equal([letter["event"] for letter in letters], [None, None])  # it may read neither topic
    shown = done(worker.get(f"/v1/subscriptions/jobs:all/messages/{letters[1]['message']}"), 200).json
    equal((shown["event"], shown["state"], shown["deliveries"][0]["principal"]), (None, "parked", "queue-worker"))
    refused(worker.get("/v1/subscriptions/other/dead"), 403, "forbidden")
    refused(worker.get("/v1/subscriptions"), 403, "forbidden")
    equal([s["name"] for s in done(worker.get("/v1/subscriptions?prefix=jobs:"), 200).json["data"]], ["jobs:all"])
    for verb, body in ("redrive", {"all": True}), ("seek", {"to": "now"}):
        refused(worker.post(f"/v1/subscriptions/jobs:all/{verb}", body, key="jobs:k1"), 403, "forbidden")
    refused(worker.delete("/v1/subscriptions/jobs:all", key="jobs:k2"), 403, "forbidden")
    equal(done(operator.post("/v1/subscriptions/jobs:all/redrive", {"all": True}, key=fresh("k")), 200).json["moved"], 2)
    for each in operator, worker, reader:
        each.close()


@test("beyond loopback: refused without tokens and TLS, or an explicit flag")
def _(client):
    with tempfile.TemporaryDirectory() as work:
        data = os.path.join(work, "data")
        for more in ([], ["--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"]):
            out = subprocess.run([HOLDFAST, "serve", "--data", data, "--listen", "0.0.0.0:0", *more], capture_output=True,
                                 text=True, timeout=60, check=False)
            assert out.returncode != 0 and out.stderr, out
        token_command(None, "create", "--data", data, "--principal", "p")
        out = subprocess.run([HOLDFAST, "serve", "--data", data, "--listen", "0.0.0.0:0"], capture_output=True, text=True,
                             timeout=60, check=False)
        assert out.returncode != 0 and "TLS" in out.stderr, out


@test("TLS: 1.2 and up; the same rules inside")
def _(client):
    with tempfile.TemporaryDirectory() as work:
        cert, key, data = (os.path.join(work, name) for name in ("cert.pem", "key.pem", "data"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                        key, "-out", cert, "-days", "2", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
        os.mkdir(data)
        server = Server("--tls-cert", cert, "--tls-key", key, data=data).start()
        try:
            context = ssl.create_default_context(cafile=cert)
            for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
                context.minimum_version = context.maximum_version = version
                with context.wrap_socket(socket.create_connection(server.address, 30), server_hostname="localhost") as secure:
                    secure.sendall(b"GET /v1/limits HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    text = b""
                    while more := secure.recv(65536):
                        text += more
                    assert text.startswith(b"HTTP/1.1 200"), text
            plain = Wire(server.address)
            plain.send(b"GET /v1/limits HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while plain.more():
                pass
            assert not plain.buffer.startswith(b"HTTP/1.1 200"), "plain HTTP where TLS is spoken"
            plain.close()
            assert server.alive()
        finally:
            equal(server.stop(), 0)


if __name__ == "__main__":
    main("--origin", ORIGIN, "--host", "api.example.org")
