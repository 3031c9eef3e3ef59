#!/usr/bin/env python3
"""holdfast subscription and holdfast queue against a running server. Prints TAP.

    HOLDFAST=build/holdfast tests/integration/queue_cli_test.py
"""
import os
import re
import shutil
import sys
import tempfile

from remote_cli_test import Server, as_json, check, environment, expect, run, tap

OK, NO, USAGE = 0, 1, 2


def subscriptions():
    expect(OK, "subscription create", "subscription", "create", "refunds", "--topic=asked", "--attempts-max=2",
           "--backoff-first-ms=0", "--backoff-max-ms=0", "--lease-ms=60000",
           has=["subscription   refunds", "filter         topic asked", "attempts_max   2"])
    expect(OK, "subscription create again", "subscription", "create", "refunds", "--topic=asked", "--attempts-max=2",
           "--backoff-first-ms=0", "--backoff-max-ms=0", "--lease-ms=60000", has=["position       none"])
    expect(NO, "subscription create: other settings need a version", "subscription", "create", "refunds", "--topic=asked",
           error=["precondition_required (428)"])
    expect(OK, "subscription create --if-match", "subscription", "create", "refunds", "--topic=asked", "--attempts-max=1",
           "--backoff-first-ms=0", "--backoff-max-ms=0", "--if-match=1", has=["version        2"])
    shown = as_json("subscription create of a part of the feed", OK, "subscription", "create", "money",
                    "--types=holdfast.transfer.*,holdfast.hold.*", "--subject=transfers/", "--asset=USD/2", "--bucket=0/2",
                    "--from=now", "--order=none", "--exhausted=block", "--in-flight-max=7")
    check(shown.get("filter") == {"types": ["holdfast.transfer.*", "holdfast.hold.*"], "prefix": "transfers/", "asset": "USD/2",
                                  "bucket": "0/2"}, "its filter", shown)
    expect(OK, "subscription list", "subscription", "list", has=["SUBSCRIPTION", "money", "refunds"])
    expect(OK, "subscription show", "subscription", "show", "refunds", has=["live", "true", "in_flight"])
    expect(USAGE, "subscription seek needs a place", "subscription", "seek", "refunds", error=["--to=WHERE is needed"])
    expect(USAGE, "a number that is none", "subscription", "create", "x", "--attempts-max=many", error=["attempts_max is a number"])


def queue():
    expect(OK, "queue publish", "queue", "publish", "asked", "order-1", "refund.asked", '{"n":1}', "--id=m-1",
           has=["op       publish", "topic    asked", "id       m-1"])
    expect(OK, "queue publish again", "queue", "publish", "asked", "order-1", "refund.asked", '{"n":1}', "--id=m-1",
           error=["decided before"])
    expect(OK, "queue publish from standard input", "queue", "publish", "asked", "order-2", "refund.asked", text='{"n":2}')
    expect(USAGE, "queue publish of no JSON", "queue", "publish", "asked", "k", "t", "{", error=["no JSON"])
    out = expect(OK, "queue receive: a table", "queue", "receive", "refunds", "--max=1", "--wait=5",
                 has=["MESSAGE", "order-1", "refund.asked", '{"n":1}'])
    receipt = out.splitlines()[-1].split()[-1]
    expect(OK, "queue extend", "queue", "extend", "refunds", receipt, "--lease-ms=90000", has=["in_flight"])
    expect(OK, "queue ack", "queue", "ack", "refunds", receipt, has=["acked"])
    message = as_json("queue receive --json", OK, "queue", "receive", "refunds", "--consumer=me")["messages"][0]
    got = as_json("queue nack", OK, "queue", "nack", "refunds", message["receipt"], "--error=no answer")
    check(got["results"][0]["state"] == "parked", "the only try is used up", got)
    expect(OK, "queue dead", "queue", "dead", "refunds", has=["MESSAGE", "order-2", "no answer"])
    expect(OK, "queue dead --error-contains", "queue", "dead", "refunds", "--error-contains=other")
    expect(OK, "queue message", "queue", "message", "refunds", message["event"]["id"], has=["state", "parked"])
    expect(OK, "queue redrive", "queue", "redrive", "refunds", f"--message={message['event']['id']}", has=["moved"])
    expect(OK, "queue receive --ack", "queue", "receive", "refunds", "--ack", has=['{"n":2}'])
    shown = as_json("nothing is left", OK, "subscription", "show", "refunds")
    check((shown["acked"], shown["waiting"], shown["in_flight"]) == (2, 0, 0), "both are acked", shown)
    expect(OK, "queue receive of nothing prints nothing", "queue", "receive", "refunds")
    expect(NO, "queue receive of no subscription", "queue", "receive", "none", error=["subscription_not_found (404)"])
    expect(NO, "queue ack of nonsense", "queue", "ack", "refunds", "nonsense", error=["invalid_request (400)"])
    expect(USAGE, "queue receive: a wait that is too long", "queue", "receive", "refunds", "--wait=31", error=["--wait"])
    expect(OK, "subscription seek", "subscription", "seek", "refunds", "--to=beginning", has=["scanned_position  0"])
    again = as_json("what was acked comes again", OK, "queue", "receive", "refunds", "--wait=10")
    check([m["event"]["data"] for m in again["messages"]] in ([{"n": 1}, {"n": 2}], [{"n": 1}]), "from the beginning", again)
    receipts = "\n".join(m["receipt"] for m in again["messages"])
    expect(OK, "queue ack of receipts from standard input", "queue", "ack", "refunds", "-", text=receipts + "\n", has=["acked"])


def worker(directory):
    """--exec: its exit status acks or nacks; what it sees."""
    expect(OK, "a queue for a worker", "subscription", "create", "work", "--topic=jobs", "--attempts-max=3", "--backoff-first-ms=0",
           "--backoff-max-ms=0")
    for number, key in enumerate(["a", "a", "b"]):
        expect(OK, f"job {number}", "queue", "publish", "jobs", key, "job", str(number))
    script = os.path.join(directory, "handle.sh")
    seen = os.path.join(directory, "seen")
    with open(script, "w", encoding="ascii") as file:
        file.write(f'#!/bin/sh\nread data\necho "$HOLDFAST_KEY $HOLDFAST_TYPE $HOLDFAST_ATTEMPT $data" >> {seen}\n'
                   '[ "$HOLDFAST_KEY $HOLDFAST_ATTEMPT" != "a 1" ] || [ "$data" != 0 ]\n')
    os.chmod(script, 0o755)
    expect(OK, "--exec: the first of a fails, its next goes back unseen", "queue", "receive", "work", "--wait=10", "--max=10",
           f"--exec={script}", has=["exit status 1", "acked"])
    expect(OK, "--exec: both come again in order", "queue", "receive", "work", "--wait=10", f"--exec={script}", has=["acked"])
    with open(seen, encoding="ascii") as file:
        lines = file.read().splitlines()
    check(lines in (["a job 1 0", "b job 1 2", "a job 2 0", "a job 1 1"],), "what the command saw", lines)
    shown = as_json("all is done", OK, "subscription", "show", "work")
    check((shown["acked"], shown["failed_tries"]) == (3, 1), "three acks, one failed try", shown)
    code, out, err = run("queue", "receive", "work", "--follow", "--attempt=x")
    check(code == USAGE and "--follow" in err, "--attempt does not go with --follow", out + err)


def main():
    directory = tempfile.mkdtemp(prefix="queue_cli_test.")
    server = Server(os.path.join(directory, "data"))
    environment["HOLDFAST_SERVER"] = server.url
    try:
        subscriptions()
        queue()
        worker(directory)
        expect(OK, "subscription delete", "subscription", "delete", "money", has=["subscription  money"])
        expect(NO, "subscription show of a deleted one", "subscription", "show", "money", error=["subscription_not_found (404)"])
        code, out, _ = run("queue", "--help")
        check(code == OK and re.search(r"^  receive ", out, re.M), "queue --help", out)
    finally:
        server.stop()
    shutil.rmtree(directory)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
