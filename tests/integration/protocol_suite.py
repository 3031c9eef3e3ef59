"""Named tests over one server, as TAP. A test fails by AssertionError, or by an answer that docs/openapi.yaml does not promise.

    @test("IK2 a missing key is 400")
    def _(client): ...

    main()      starts a server, runs all in order, each with a client of its own
"""
import itertools
import sys
import traceback

import http_client
from http_client import Client, Server

TESTS = []
server_of_tests = None  # for tests that need its directory or its log
numbers = itertools.count(1)


def test(name):
    def add(function):
        TESTS.append((name, function))
        return function
    return add


def fresh(prefix="t"):
    """A name that no other test uses."""
    return f"{prefix}:{next(numbers)}"


def equal(actual, expected, what=""):
    assert actual == expected, f"{what}: {actual!r} is not {expected!r}"


def refused(answer, status, code, failed=None):
    """Is it this problem? failed: the pointer; "" for none; None: whatever."""
    assert answer.status == status and answer.code == code, f"wanted {status} {code}: {answer}"
    if failed is not None:
        equal(answer.json.get("failed", ""), failed, "failed")
    return answer


def done(answer, status=201):
    assert answer.status == status, f"wanted {status}: {answer}"
    return answer


def accounts(client, *, funds="0", floor="0"):
    """A world without a floor and an account with funds; their names."""
    world, user = fresh("world"), fresh("user")
    done(client.put(f"/v1/accounts/{world}", {"asset": "USD/2", "floor": None}))
    done(client.put(f"/v1/accounts/{user}", {"asset": "USD/2", "floor": floor}))
    if funds != "0":
        done(client.post("/v1/transfers", transfer(world, user, funds, id=fresh("fund"))))
    return world, user


def transfer(source, target, amount, **more):
    return {"from": source, "to": target, "asset": "USD/2", "amount": amount, **more}


def operation(op, **members):
    return {"op": op, **members}


def posted(client, account):
    return done(client.get(f"/v1/accounts/{account}"), 200).json["posted"]


def head_position(client):
    """The position of the newest commit."""
    return done(client.post("/v1/read", {"reads": [{"account": "no:such"}]}), 200).json["position"]


def the_server():
    return server_of_tests


def run(server):
    global server_of_tests
    server_of_tests = server
    failed = 0
    for number, (name, function) in enumerate(TESTS, 1):
        before = len(http_client.VIOLATIONS)
        client = Client(server)
        complaint = None
        try:
            function(client)
        except Exception:  # the next tests shall run all the same
            complaint = traceback.format_exc()
        finally:
            client.close()
        if complaint is None and len(http_client.VIOLATIONS) > before:
            complaint = "not as docs/openapi.yaml has it:\n" + "\n".join(http_client.VIOLATIONS[before:])
        if not server.alive():
            complaint = f"{complaint or ''}\nthe server ended:\n{server.log_text()[-3000:]}"
        failed += complaint is not None
        print(f"{'not ok' if complaint else 'ok'} {number} - {name}", flush=True)
        if complaint:
            print("# " + complaint.rstrip().replace("\n", "\n# "), flush=True)
        if not server.alive():
            break
    return failed


def main(*options):
    with Server(*options) as server:
        failed = run(server)
        stopped = server.stop()
        count = len(TESTS)
        print(f"{'ok' if stopped == 0 else 'not ok'} {count + 1} - the server stops with 0", flush=True)
        status, out, err = server.holdfast("verify", server.data)
        print(f"{'ok' if status == 0 else 'not ok'} {count + 2} - what it stored verifies", flush=True)
        if status != 0:
            print("# " + (out + err).replace("\n", "\n# "))
        print(f"# {http_client.ANSWERS_SEEN} answers held against docs/openapi.yaml")
        print(f"1..{count + 2}")
    sys.exit(1 if failed or stopped != 0 or status != 0 else 0)
