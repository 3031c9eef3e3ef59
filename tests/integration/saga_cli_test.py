#!/usr/bin/env python3
"""holdfast saga against a running server, with steps that wait for events that nobody posts and with a participant; and saga test without a
server. Prints TAP.

    HOLDFAST=build/holdfast tests/integration/saga_cli_test.py
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from participant import Participant
from remote_cli_test import Server, as_json, check, environment, expect, run, tap

OK, NO, USAGE, ENVIRONMENT = 0, 1, 2, 3
UNDO = {"do": [{"op": "append", "stream": "undone", "type": "undone", "data": {"$": "/saga/id"}}]}


def waits(name, after=(), **more):
    return {"name": name, "after": list(after), "action": {"event": {"type": "never.comes", "key": name}}, **more}


TWO = {"steps": [waits("reserve", compensation=UNDO), waits("mail", ["reserve"])]}


def write(directory, name, value):
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(value if isinstance(value, str) else json.dumps(value))
    return path


def definitions(directory):
    file = write(directory, "two@1.json", TWO)
    expect(OK, "saga define: name and version of the file", "saga", "define", file, has=["op          define_saga", "name two, version 1"])
    expect(OK, "saga define again", "saga", "define", file, has=["position    none"])
    expect(OK, "saga define: given", "saga", "define", file, "two@2", has=["version 2"])
    expect(USAGE, "saga define: no name", "saga", "define", write(directory, "two.json", TWO), error=["which name and version"])
    expect(NO, "saga define: malformed", "saga", "define", write(directory, "bad@1.json", {"steps": []}), error=["invalid_request (400)", "/steps"])
    expect(ENVIRONMENT, "saga define: no file", "saga", "define", os.path.join(directory, "none@1.json"), error=["none@1.json"])
    expect(OK, "saga defs", "saga", "defs", has=["NAME", "two"])


def starts(directory):
    expect(OK, "saga start --id", "saga", "start", "two@1", '{"n":1}', "--id=order-1", "--business-key=b1", '--tags={"shop":"berlin"}',
           has=["op             start_saga", "saga           order-1", "state          waiting"])
    expect(OK, "saga start again: as it is", "saga", "start", "two@1", '{"n":1}', "--id=order-1", "--business-key=b1",
           '--tags={"shop":"berlin"}', has=["id             order-1"])
    expect(NO, "saga start of something else", "saga", "start", "two@1", '{"n":2}', "--id=order-1", error=["saga_exists (409)"])
    expect(OK, "saga start without a name", "saga", "start", "two@1", text=None, has=["saga           ~"])
    expect(OK, "saga start of a file, waiting", "saga", "start", "@" + write(directory, "point.json", {"steps": [{"name": "p", "action": {}}]}),
           "--id=point-1", "--wait=10", has=["state          succeeded"])
    expect(NO, "saga start --wait of one that goes on", "saga", "start", "two@1", "--id=order-2", "--wait=1", has=["state          waiting"])
    expect(USAGE, "saga start: input is no JSON", "saga", "start", "two@1", "{", error=["no JSON"])
    expect(NO, "saga start of no definition", "saga", "start", "none@1", "--id=x", error=["saga_definition_not_found (404)"])
    expect(OK, "saga list", "saga", "list", "--state=waiting", "--definition=two", "--tag=shop:berlin", "--business-key=b1", "--step=reserve",
           has=["SAGA", "order-1", "two@1", "reserve"])
    listed = as_json("saga list --older-than", OK, "saga", "list", "--older-than=1d")
    check(listed["data"] == [], "an age is counted back from now", listed)
    expect(USAGE, "saga list: an age that is none", "saga", "list", "--older-than=old", error=["--older-than is an age"])
    out = expect(OK, "saga show draws the steps", "saga", "show", "order-1", has=["order-1  waiting  two@1  version 1", "STEP", "━", "not begun: mail"])
    check("│" in out and "┄" in out, "a bar that goes on", out)


def by_hand():
    expect(USAGE, "a verb needs a reason", "saga", "pause", "order-1", error=["--reason=TEXT is needed"])
    expect(USAGE, "a verb needs a saga or a filter", "saga", "pause", "--reason=r", error=["which saga?"])
    expect(OK, "saga pause", "saga", "pause", "order-1", "--reason=bank is down", "--actor=ann", "--if-match=1", has=["state          paused", "actor          ann"])
    expect(NO, "saga pause at another version", "saga", "pause", "order-1", "--reason=r", "--if-match=1", error=["condition_failed (412)"])
    expect(OK, "saga resume", "saga", "resume", "order-1", "--reason=bank is up", has=["state          waiting"])
    expect(OK, "saga skip", "saga", "skip", "order-1", "--step=reserve", '--result={"id":7}', "--reason=by hand", has=["op             skip"])
    expect(OK, "saga complete", "saga", "complete", "order-1", "mail", '{"sent":true}', "--reason=seen", has=["state          succeeded"])
    expect(NO, "a saga that has ended", "saga", "retry", "order-1", "--reason=r", error=["saga_ended (409)"])
    expect(OK, "saga history", "saga", "history", "order-1", has=["ACT", "pause", "bank is down", "ann", "skip", "complete"])
    shown = as_json("saga show --json", OK, "saga", "show", "order-1")
    check([step["result"] for step in shown["steps"]] == [{"id": 7}, {"sent": True}], "results by hand", shown)
    expect(OK, "saga fail", "saga", "fail", "order-2", "reserve", "--error=no stock", has=["state          compensated", "no stock"])
    expect(NO, "saga watch of one that was undone", "saga", "watch", "order-2", has=["start", "fail", "→ compensated"])
    expect(OK, "saga watch of one that succeeded", "saga", "watch", "point-1", has=["→ succeeded"])


def in_bulk():
    for number in range(4):
        expect(OK, f"bulk {number}", "saga", "start", "two@2", f"--id=bulk-{number}")
    dry = as_json("saga pause --dry-run", OK, "saga", "pause", "--definition=two@2", "--reason=r", "--dry-run")
    check((dry["dry_run"], dry["matched"], dry["done"]) == (True, 4, 4), "a dry run tells", dry)
    check(as_json("nothing was done", OK, "saga", "list", "--state=paused")["data"] == [], "nothing was done")
    expect(OK, "saga pause of many", "saga", "pause", "--definition=two@2", "--reason=r", has=["4 selected, 4 done, 0 refused"])
    expect(OK, "saga retry with jitter", "saga", "retry", "--state=waiting", "--definition=two@2", "--jitter=60s", "--reason=r", has=["0 selected"])
    expect(USAGE, "a jitter that is none", "saga", "retry", "--state=parked", "--jitter=soon", "--reason=r", error=["--jitter is a time"])
    expect(USAGE, "--if-match is for one", "saga", "pause", "--state=waiting", "--if-match=1", "--reason=r", error=["for one saga"])
    expect(OK, "saga abandon of many", "saga", "abandon", "--definition=two@2", "--reason=over", has=["4 selected, 4 done"])


def watching():
    """Tells each act as it happens, and ends with the saga."""
    expect(OK, "one to watch", "saga", "start", "two@1", "--id=watched")
    seen = {}

    def watch():
        seen["code"], seen["out"], seen["err"] = run("saga", "watch", "watched")
    thread = threading.Thread(target=watch)
    thread.start()
    time.sleep(0.5)
    expect(OK, "its first step", "saga", "skip", "watched", "--step=reserve", "--reason=r")
    expect(OK, "its last step", "saga", "complete", "watched", "mail", "--reason=r")
    thread.join(30)
    check(seen.get("code") == OK and re.search(r"skip .*→ waiting\n.*complete .*→ succeeded", seen["out"], re.S), "saga watch", str(seen))


def mended(directory):
    """A wrong URL is deployed: sagas park, are seen, and go on in bulk when the participant is there."""
    broken = {"wrong": True}

    def answer(seen):
        return (404, None, {}) if broken["wrong"] and seen.step == "charge" else (200, {"id": seen.step}, {})
    shop = Participant(answer)
    definition = {"steps": [
        {"name": "reserve", "action": {"url": shop.url("/reserve")}, "compensation": {"url": shop.url("/release")}},
        {"name": "charge", "after": ["reserve"], "action": {"url": shop.url("/charge")}, "compensation": {"url": shop.url("/refund")}}]}
    expect(OK, "a definition with participants", "saga", "define", write(directory, "order@1.json", definition))
    for number in range(3):
        expect(NO, f"order {number} parks", "saga", "start", "order@1", f"--id=o-{number}", "--wait=20", has=["state          parked", "404"])
    expect(OK, "they are seen", "saga", "list", "--state=parked", "--definition=order", has=["o-0", "o-1", "o-2", "charge", "404"])
    out = expect(OK, "what one did so far", "saga", "show", "o-0", has=["o-0  parked  order@1", "reason \"charge: HTTP 404\""])
    check(re.search(r"^reserve +action +succeeded +1 .*✓", out, re.M) and re.search(r"^charge +action +parked +1 .*‖", out, re.M),
          "success and parking are marked on the line of time", out)
    broken["wrong"] = False
    expect(OK, "what a retry would do is told without a reason", "saga", "retry", "--state=parked", "--definition=order@1", "--dry-run",
           has=["3 selected"])
    expect(OK, "all of them go on", "saga", "retry", "--state=parked", "--definition=order@1", "--jitter=1s", "--reason=mended",
           has=["3 selected, 3 done"])
    for number in range(3):
        expect(OK, f"order {number} ends well", "saga", "watch", f"o-{number}", has=["retry", "→ succeeded"])
    check([seen.step for seen in shop.of("o-1")] == ["reserve", "charge", "charge"], "nothing was called twice but what had parked")
    out = expect(OK, "the line of time has both attempts", "saga", "show", "o-1")
    check(re.search(r"^charge +action +succeeded +2 ", out, re.M), "two attempts", out)
    shop.close()


def offline(directory):
    """saga test: no server, nothing is called."""
    holdfast = os.environ.get("HOLDFAST", "build/holdfast")
    outside = {key: value for key, value in os.environ.items() if key != "HOLDFAST_SERVER"}

    def test(name, definition, *arguments):
        done = subprocess.run([holdfast, "saga", "test", write(directory, name, definition), *arguments], env=outside,
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def call(name, after=(), undo=True, **more):
        return {"name": name, "after": list(after), "action": {"url": f"http://127.0.0.1:1/{name}"},
                **({"compensation": {"url": "http://127.0.0.1:1/undo"}} if undo else {}), **more}
    good = {"steps": [call("reserve"), call("charge", ["reserve"], undo=False, pivot=True), call("mail", ["charge"], undo=False)]}
    code, out, err = test("good.json", {"steps": [call("reserve"), {"name": "charge", "after": ["reserve"], "pivot": True, "action": {
        "do": [{"op": "capture", "hold": {"$join": ["pay-", {"$": "/saga/id"}]}}]}}, call("mail", ["charge"], undo=False)]})
    check(code == OK and " 0 end badly" in out, "a definition without a flaw", out + err)
    check(re.search(r"^reserve +action +done, but timed out; then 422 +compensated +reserve ×2 +reserve ", out, re.M),
          "what is unknown is compensated, though it was refused later", out)
    check(re.search(r"^mail +action +422 +parked ", out, re.M), "behind the pivot a refusal parks", out)
    check(re.search(r"^charge +action +422 +compensated +reserve, charge +reserve ", out, re.M), "a native step is refused", out)
    check(re.search(r"^reserve +compensate +401 +parked ", out, re.M), "a compensation that is refused parks", out)
    code, out, err = test("json.json", good, "--json")
    cases = json.loads(out)["cases"]
    late = next(case for case in cases if case["step"] == "charge" and case["answer"].startswith("done, but timed out; then 422"))
    check((late["ends"], late["bad"], late["stays"]) == ("compensated", True, ["charge"]),
          "a pivot that may have been done and can't be undone is a flaw", late)
    code, out, err = test("bad.json", {"steps": [call("reserve", undo=False), call("charge", ["reserve"])]})
    check(code == NO and "reserve has no compensation" in out and "stays: reserve" in out, "an effect that stays is a flaw", out + err)
    code, out, err = test("when.json", {"steps": [call("gift", when={"value": {"$": "/input/kind"}, "eq": "gift"})]})
    check(code == OK and "gift was not reached" in out, "what the input does not reach is told", out)
    code, out, err = test("when.json", {"steps": [call("gift", when={"value": {"$": "/input/kind"}, "eq": "gift"})]}, '--input={"kind":"gift"}')
    check(code == OK and "not reached" not in out and "gift" in out, "with an input that reaches it", out)
    code, out, err = test("wrong.json", {"steps": [call("a", ["b"])]})
    check(code == NO and "/steps/0/after" in err, "a malformed one says where", out + err)
    code, out, err = test("only.json", good, "--only=mail", "--json")
    check({case["step"] for case in json.loads(out)["cases"]} == {None, "mail"}, "--only", out)


def main():
    directory = tempfile.mkdtemp(prefix="saga_cli_test.")
    server = Server(os.path.join(directory, "data"), "--deliver-allow", "127.0.0.0/8")
    environment["HOLDFAST_SERVER"] = server.url
    try:
        definitions(directory)
        starts(directory)
        by_hand()
        in_bulk()
        watching()
        mended(directory)
        offline(directory)
    finally:
        server.stop()
    shutil.rmtree(directory)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
