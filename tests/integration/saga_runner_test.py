#!/usr/bin/env python3
"""Sagas by the running server: participants that answer, fail, come back, are slow; the server stopped, killed, taken over.
Prints TAP.

    HOLDFAST=build/holdfast HOLDFAST_BUILD=build tests/integration/saga_runner_test.py
"""
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from participant import Participant  # noqa: E402
from serving import Server, Tap, json_request, verify, wait_until  # noqa: E402

ALLOW = ("--deliver-allow", "127.0.0.0/8")
RETRY = {"backoff_first_ms": 50, "backoff_max_ms": 200}
STORM_SAGAS = 120
KILLS = 6


def define(server, name, steps, **more):
    status, answer = json_request(server.port, "PUT", f"/v1/saga-definitions/{name}/1", {"steps": steps, **more})
    if status not in (200, 201):
        sys.exit(f"definition {name}: {status} {answer}")


def start(server, saga, name, given=None, wait="20s"):
    path = f"/v1/sagas/{saga}" + (f"?wait={wait}" if wait else "")
    return json_request(server.port, "PUT", path, {"definition": f"{name}@1", "input": given or {}})


def saga_of(server, saga):
    return json_request(server.port, "GET", f"/v1/sagas/{saga}")[1]


def step_of(saga, name):
    return next(step for step in saga["steps"] if step["name"] == name)


def http_step(name, url, after=(), undo=None, **more):
    return {"name": name, "after": list(after), "action": {"url": url, **more.pop("action", {})}, "retry": RETRY,
            **({"compensation": {"url": undo}} if undo else {}), **more}


def ends_well(tap, server):
    """Results go from step to step; each call is as docs/sagas.md has it."""
    shop = Participant(lambda seen: (200, {"id": f"{seen.step}-7"}, {}))
    define(server, "order", [
        http_step("reserve", shop.url("/reserve"), action={"body": {"order": {"$": "/input/order"}}}),
        http_step("charge", shop.url("/charge"), ["reserve"],
                  action={"body": {"reservation": {"$": "/steps/reserve/id"}}, "envelope": True}),
    ])
    status, saga = start(server, "o1", "order", {"order": 17})
    tap.result(status == 201 and saga["state"] == "succeeded", "two steps end well", saga)
    calls = shop.of("o1")
    tap.result([(seen.step, seen.method, seen.path) for seen in calls] ==
               [("reserve", "POST", "/reserve"), ("charge", "POST", "/charge")], "each step is called once, in order")
    tap.result(calls[0].body == {"order": 17} and calls[1].body == {
        "saga": "o1", "step": "charge", "op": "action", "attempt": 1, "data": {"reservation": "reserve-7"}},
        "bodies are rendered from input and results", [seen.body for seen in calls])
    headers = calls[0].headers
    deadline = int(headers["Saga-Deadline"]) - time.time()
    tap.result(headers["Idempotency-Key"] == '"o1/reserve/action"' and headers["Content-Type"] == "application/json" and
               0 < deadline < 60 and headers["Saga-Callback"] == f"http://127.0.0.1:{server.port}/v1/sagas/o1/steps/reserve" and
               len(headers["Saga-Callback-Token"]) == 32, "headers", str(headers))
    parents = [seen.headers["traceparent"] for seen in calls]
    tap.result(parents[0][:36] == parents[1][:36] and parents[0] != parents[1], "one trace, a parent id a call", parents)
    tap.result(step_of(saga, "charge")["result"] == {"id": "charge-7"}, "results are kept", saga)
    shop.close()


def compensates(tap, server):
    """A business failure undoes what was done, in reverse order."""
    shop = Participant(lambda seen: (422, {"detail": "no money"}, {}) if seen.path == "/charge" else (200, {"id": 3}, {}))
    steps = [http_step("reserve", shop.url("/reserve"), undo=shop.url("/release")),
             http_step("pack", shop.url("/pack"), ["reserve"], undo=shop.url("/unpack")),
             http_step("charge", shop.url("/charge"), ["pack"], undo=shop.url("/refund"))]
    steps[0]["compensation"]["body"] = {"reservation": {"$": "/steps/reserve/id"}}
    define(server, "refused", steps)
    _, saga = start(server, "c1", "refused")
    tap.result(saga["state"] == "compensated", "a refused step: compensated", saga)
    calls = [(seen.path, seen.key) for seen in shop.of("c1")]
    tap.result(calls == [("/reserve", '"c1/reserve/action"'), ("/pack", '"c1/pack/action"'),
                         ("/charge", '"c1/charge/action"'), ("/unpack", '"c1/pack/compensate"'),
                         ("/release", '"c1/reserve/compensate"')],
               "in reverse order, and not the step that did nothing", calls)
    tap.result(shop.of("c1")[-1].body == {"reservation": 3}, "a compensation knows its step's result")
    tap.result("no money" in str(step_of(saga, "charge")["last_error"]), "the failure says why", saga)
    shop.close()


def retries(tap, server):
    """Failures are tried again under the same key, with Retry-After; no connection at all too."""
    def answer(seen):
        if seen.attempt < 3:
            return 503, None, {"Retry-After": "1"} if seen.attempt == 2 else {}
        return 200, {}, {}
    shop = Participant(answer)
    define(server, "retried", [http_step("a", shop.url("/a"))])
    _, saga = start(server, "r1", "retried")
    calls = shop.of("r1")
    tap.result(saga["state"] == "succeeded" and step_of(saga, "a")["attempts"] == 3, "the third attempt succeeds", saga)
    tap.result([seen.attempt for seen in calls] == [1, 2, 3] and len({seen.key for seen in calls}) == 1,
               "attempts are counted, the key stays")
    tap.result(calls[2].began - calls[1].began >= 0.95, "Retry-After is obeyed", calls[2].began - calls[1].began)
    shop.close()
    define(server, "nobody", [http_step("a", shop.url("/a"))])
    _, saga = start(server, "r2", "nobody", wait=None)
    failing = wait_until(lambda: step_of(saga_of(server, "r2"), "a")["attempts"] >= 2)
    saga = saga_of(server, "r2")
    tap.result(failing and saga["failing_since"] is not None and saga["state"] == "running",
               "nobody there: it is tried again, and seen as failing", saga)
    json_request(server.port, "POST", "/v1/sagas/r2/abandon", {"reason": "the test is over"}, {"Idempotency-Key": "end-r2"})


def calls_back(tap, server):
    """202, then the participant completes the step by its token."""
    shop = Participant(lambda seen: (202, None, {}))
    define(server, "later", [http_step("a", shop.url("/a"), **{"async": {"mode": "callback"}})])
    start(server, "b1", "later", wait=None)
    wait_until(lambda: saga_of(server, "b1")["state"] == "waiting")
    seen = shop.of("b1")[0]
    path = seen.headers["Saga-Callback"].split(str(server.port))[1]
    status, _ = json_request(server.port, "POST", path + "/complete", {"token": "0" * 32, "result": {"n": 1}})
    tap.result(status in (403, 409, 412, 422) and saga_of(server, "b1")["state"] == "waiting",
               "a wrong token does nothing", status)
    status, answer = json_request(server.port, "POST", path + "/complete",
                                  {"token": seen.headers["Saga-Callback-Token"], "result": {"n": 1}})
    ended = wait_until(lambda: saga_of(server, "b1")["state"] == "succeeded")
    saga = saga_of(server, "b1")
    tap.result(status in (200, 201) and ended and step_of(saga, "a")["result"] == {"n": 1}, "the callback completes it", answer)
    tap.result(len(shop.of("b1")) == 1, "it was asked once")
    shop.close()


def polls(tap, server):
    """202 with Location: asked until it is done."""
    polled = []

    def answer(seen):
        if seen.method == "POST":
            return 202, None, {"Location": "/jobs/7"}
        polled.append(seen.path)
        return (202, None, {"Location": "/jobs/8"}) if len(polled) < 3 else (200, {"done": True}, {})
    shop = Participant(answer)
    define(server, "polled", [http_step("a", shop.url("/a"), **{"async": {"mode": "poll", "every_ms": 100}})])
    _, saga = start(server, "p1", "polled")
    tap.result(saga["state"] == "succeeded" and step_of(saga, "a")["result"] == {"done": True}, "polled until it is done", saga)
    tap.result(polled[0] == "/jobs/7" and len(polled) == 3 and step_of(saga, "a")["attempts"] == 1,
               "at the Location, and no attempt is used up", polled)
    shop.close()


def is_stopped_and_killed(tap, work):
    """What is out when the server stops is answered; what is out when it is killed is sent again."""
    directory = os.path.join(work, "killed")
    go = threading.Event()
    arrived = threading.Event()

    def answer(seen):
        if seen.step == "slow":
            arrived.set()
            go.wait(30)
        return 200, {"attempt": seen.attempt}, {}
    shop = Participant(answer)
    server = Server(directory, *ALLOW)
    define(server, "slow", [http_step("first", shop.url("/first")), http_step("slow", shop.url("/slow"), ["first"]),
                            http_step("last", shop.url("/last"), ["slow"])])
    start(server, "k1", "slow", wait=None)
    arrived.wait(30)
    threading.Timer(0.3, go.set).start()
    status = server.stop()
    server = Server(directory, *ALLOW)
    ended = wait_until(lambda: saga_of(server, "k1")["state"] == "succeeded")
    calls = [seen.step for seen in shop.of("k1")]
    tap.result(status == 0 and ended and calls == ["first", "slow", "last"],
               "a stop waits for the answer of a call that is out: it is not sent again", calls)
    go.clear()
    arrived.clear()
    start(server, "k2", "slow", wait=None)
    arrived.wait(30)
    server.kill()
    go.set()
    server = Server(directory, *ALLOW)
    ended = wait_until(lambda: saga_of(server, "k2")["state"] == "succeeded")
    calls = [(seen.step, seen.attempt, seen.key) for seen in shop.of("k2")]
    tap.result(ended and calls == [("first", 1, '"k2/first/action"'), ("slow", 1, '"k2/slow/action"'),
                                   ("slow", 1, '"k2/slow/action"'), ("last", 1, '"k2/last/action"')],
               "after kill -9 the attempt that was out is sent again under the same key, and nothing else is", calls)
    server.stop()
    good, report = verify(directory)
    tap.result(good, "verify", report)
    shop.close()


class Moody:
    """Answers well, fails, refuses, cuts off; an effect happens once a key, as behind a barrier."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.kept = {}     # key -> status of the action or compensation
        self.order = []    # (saga, step, op) as effects happened
        self.shop = Participant(self.answer)

    def answer(self, seen):
        with self.lock:
            if seen.key in self.kept:
                return self.kept[seen.key], {}, {}
            mood = self.random.random()
            if mood < 0.1:
                return 503, None, {}
            refused = seen.op == "action" and mood < 0.17
            barred = seen.op == "compensate" and f'"{seen.saga}/{seen.step}/action"' not in self.kept
            self.kept[seen.key] = 422 if refused else 200
            if barred:
                self.kept[f'"{seen.saga}/{seen.step}/action"'] = 410
            if not refused:
                self.order.append((seen.saga, seen.step, seen.op))
            if mood < 0.27:
                return 500, None, {}  # done, and yet it says it broke down
            return self.kept[seen.key], {}, {}

    def books(self, saga):
        """The steps whose effect stands, and whether each came behind the one before it."""
        stands, orderly = [], True
        for name, step, op in self.order:
            if name == saga and op == "action":
                orderly = orderly and step == f"s{len(stands)}"
                stands.append(step)
            elif name == saga and step in stands:
                orderly = orderly and stands[-1] == step
                stands.remove(step)
        return stands, orderly


def start_storm(port_of, first, count):
    for i in range(first, first + count):
        body = {"definition": "storm@1", "input": {}}
        for _ in range(200):
            try:
                if json_request(port_of(), "PUT", f"/v1/sagas/w{i}", body)[0] in (200, 201):
                    break
            except OSError:
                pass
            time.sleep(0.05)


def judge_storm(tap, server, moody, name):
    def states():
        return [saga_of(server, f"w{i}") for i in range(STORM_SAGAS)]
    wait_until(lambda: all(saga["ended_at"] for saga in states()), 120, 0.5)
    wrong = []
    counts = {}
    for saga in states():
        stands, orderly = moody.books(saga["id"])
        wanted = {"succeeded": ["s0", "s1", "s2"], "compensated": []}.get(saga["state"])
        counts[saga["state"]] = counts.get(saga["state"], 0) + 1
        if stands != wanted or not orderly:
            wrong.append(f"{saga['id']} {saga['state']}: {stands}, in order: {orderly}")
    tap.result(not wrong and counts.get("succeeded", 0) > 0 and counts.get("compensated", 0) > 0, name,
               wrong[:5] or str(counts))


def storm_steps(moody):
    return [http_step(f"s{i}", moody.shop.url(f"/s{i}"), [f"s{i - 1}"] if i else [], undo=moody.shop.url(f"/u{i}"))
            for i in range(3)]


def lives_through_kills(tap, work):
    """kill -9 again and again: every saga ends, and the books agree."""
    directory = os.path.join(work, "storm")
    moody = Moody(1)
    servers = [Server(directory, *ALLOW)]
    ports = [servers[0].port]
    define(servers[0], "storm", storm_steps(moody))
    starter = threading.Thread(target=start_storm, args=(lambda: ports[-1], 0, STORM_SAGAS))
    starter.start()
    for _ in range(KILLS):
        time.sleep(0.25)
        servers[-1].kill()
        servers.append(Server(directory, *ALLOW))
        ports.append(servers[-1].port)  # once it is ready
    starter.join()
    judge_storm(tap, servers[-1], moody, f"{KILLS} times kill -9: every saga ends, the books agree")
    servers[-1].stop()
    good, report = verify(directory)
    tap.result(good, "verify", report)
    moody.shop.close()


def is_taken_over(tap, work):
    """The owner dies, its standby goes on with the sagas."""
    directory = os.path.join(work, "standby")
    moody = Moody(2)
    owner = Server(directory, *ALLOW)
    owner.ready()
    define(owner, "storm", storm_steps(moody))
    standby = Server(directory, *ALLOW)
    standby.ready()
    port = standby.port
    starter = threading.Thread(target=start_storm, args=(lambda: port, 0, STORM_SAGAS))
    starter.start()
    time.sleep(0.4)
    owner.kill()
    starter.join()
    judge_storm(tap, standby, moody, "a standby takes over: every saga ends, the books agree")
    standby.stop()
    good, report = verify(directory)
    tap.result(good, "verify", report)
    moody.shop.close()


def main():
    tap = Tap()
    work = tempfile.mkdtemp(prefix="saga-runner-")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        server = Server(os.path.join(work, "data"), *ALLOW)
        for part in (ends_well, compensates, retries, calls_back, polls):
            part(tap, server)
        tap.result(server.stop() == 0, "the server stops")
        for part in (is_stopped_and_killed, lives_through_kills, is_taken_over):
            part(tap, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
