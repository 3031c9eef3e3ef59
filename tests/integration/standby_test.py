#!/usr/bin/env python3
"""A second server on the same directory: it forwards, waits, takes over. Prints TAP.

    HOLDFAST=build/holdfast HOLDFAST_BUILD=build tests/integration/standby_test.py
"""
import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from serving import (ACCOUNTS, HOLDFAST, Server, Tap, json_request,  # noqa: E402
                     open_accounts, request, transfer, verify, wait_until)

CALLERS = 16


def pair(work, name, *arguments):
    """(owner, standby, directory), both ready."""
    directory = os.path.join(work, name)
    owner = Server(directory, *arguments)
    owner.ready()
    standby = Server(directory, *arguments)
    standby.ready()
    return owner, standby, directory


def forwards(tap, owner, standby):
    """What the standby answers is what the owner answers, byte for byte."""
    ready = standby.ready()
    owner_name = json_request(owner.port, "GET", "/v1/status")[1]["owner"]
    tap.result(ready["role"] == "standby" and ready["owner"] == owner_name,
               "the standby's ready line names the owner", f"{ready['owner']}, {owner_name}")
    status, answer = json_request(standby.port, "GET", "/v1/status")
    tap.result(status == 200 and answer["role"] == "standby" and answer["owner"] == owner_name,
               "/v1/status of the standby says who owns", answer)
    status, answer = json_request(owner.port, "GET", "/v1/status")
    tap.result(status == 200 and answer["role"] == "owner", "/v1/status of the owner says so")
    status, answer = open_accounts(standby.port)
    tap.result(status == 201 and answer["position"] > 0, "a commit through the standby", answer)
    document = b'{"text": "\xc3\xa4 \\u20ac",  "n":1e3}'
    put = request(standby.port, "PUT", "/v1/documents/d%3A1", document,
                  {"If-None-Match": "*"})
    tap.result(put[0] == 201, "a document put through the standby", put[2])
    same = True
    for path in ("/v1/accounts/shop", "/v1/documents/d:1", "/v1/accounts?prefix=s&limit=1",
                 "/v1/limits", "/v1/nothing", "/v1/accounts/none", "/openapi.yaml"):
        ours, theirs = request(standby.port, "GET", path), request(owner.port, "GET", path)
        for answer in (ours, theirs):
            answer[1].pop("Date", None)
        same = same and ours == theirs
        if ours != theirs:
            print(f"# {path}: {ours} and {theirs}")
    tap.result(same, "reads, lists, documents and problems are the owner's, byte for byte")
    answer = request(standby.port, "GET", "/v1/documents/d:1")
    tap.result(answer[2] == document and answer[1].get("ETag") == '"1"',
               "a document keeps its bytes and its ETag", answer)
    head = request(standby.port, "HEAD", "/v1/documents/d:1")
    tap.result(head[0] == 200 and head[2] == b"" and
               head[1].get("Content-Length") == str(len(document)), "HEAD through the standby", head)
    big = '{"big":"' + "x" * 900000 + '"}'
    put = request(standby.port, "PUT", "/v1/documents/big", big, {"If-None-Match": "*"})
    got = request(standby.port, "GET", "/v1/documents/big")
    tap.result(put[0] == 201 and got[2] == big.encode(), "a large document both ways")
    status, answer = json_request(standby.port, "PUT", "/v1/documents/big", "{}",
                                  {"If-Match": '"9"'})
    tap.result(status == 412 and answer["code"] == "condition_failed",
               "a refusal comes through", answer)
    status, _, _ = request(standby.port, "GET", "/v1/accounts/shop", None,
                           {"Host": "evil.example"})
    tap.result(status == 403, "a foreign Host is refused by the standby", status)
    status, _, _ = request(standby.port, "GET", "/v1/accounts/shop", None,
                           {"Origin": "https://evil.example"})
    tap.result(status == 403, "a foreign Origin is refused by the standby", status)
    status, _, _ = request(standby.port, "POST", "/v1/transfers", "x", {"Content-Type": "text/plain"})
    tap.result(status == 415, "a wrong media type is refused by the standby", status)
    tap.result(request(standby.port, "GET", "/healthz")[0] == 200 and
               request(standby.port, "GET", "/readyz")[0] == 200, "healthz and readyz of the standby")


def many_at_once(tap, standby):
    with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(lambda n: json_request(
            standby.port, "POST", "/v1/transfers", transfer(f"many{n}"))[0], range(200)))
    tap.result(answers == [201] * 200, "200 transfers by 16 callers at once through the standby")


class Callers:
    """Callers that know the standby alone, and try once: every answer must be synchronous."""

    def __init__(self, port, keyed):
        self.port, self.keyed = port, keyed
        self.end = False
        self.answers = []  # (status, code or None, id)
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(CALLERS)]
        for thread in self.threads:
            thread.start()

    def run(self, caller):
        number = 0
        while not self.end:
            name = f"{'k' if self.keyed else 'i'}{caller}.{number}"
            body = transfer(name)
            headers = {}
            if self.keyed:
                del body["id"]
                headers = {"Idempotency-Key": name}
            try:
                status, answer = json_request(self.port, "POST", "/v1/transfers", body, headers)
                self.answers.append((status, answer.get("code"), name))
            except OSError as error:
                self.answers.append((0, repr(error), name))
            number += 1

    def stop(self):
        self.end = True
        for thread in self.threads:
            thread.join()
        return self.answers


def takeover(tap, owner, standby, directory, keyed):
    """kill -9 of the owner under callers of the standby."""
    before = json_request(standby.port, "GET", "/v1/accounts/shop")[1]["posted"]
    callers = Callers(standby.port, keyed)
    time.sleep(0.4)
    killed = time.monotonic()
    owner.kill()
    led = wait_until(lambda: json_request(standby.port, "GET", "/v1/status")[1].get("role") ==
                     "owner")
    took = time.monotonic() - killed
    time.sleep(0.4)
    answers = callers.stop()
    what = "with keys" if keyed else "by ids"
    tap.result(led, f"the standby becomes the owner ({what})", f"seen after {took * 1000:.0f} ms")
    others = [answer for answer in answers if answer[0] != 201]
    tap.result(not others and len(answers) > CALLERS,
               f"every caller of the standby got its synchronous answer across the kill ({what})",
               others[:5] or f"{len(answers)} answers")
    after = json_request(standby.port, "GET", "/v1/accounts/shop")[1]["posted"]
    tap.result(int(after) - int(before) == len(answers),
               f"what was answered is what happened, once ({what})",
               f"{after} - {before}, {len(answers)} answers")
    path = os.path.join(directory, "holdfast.sock")
    tap.result(json_request(path, "GET", "/v1/status")[1]["role"] == "owner",
               f"DIR/holdfast.sock leads to the new owner ({what})")


def stopped_owner(tap, owner, standby):
    owner.send_signal(signal.SIGSTOP)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(
        json_request(standby.port, "POST", "/v1/transfers", transfer("stopped"))))
    asking.start()
    time.sleep(2)
    role = json_request(standby.port, "GET", "/v1/status")[1]["role"]
    tap.result(role == "standby" and not answers,
               "an owner under SIGSTOP is not overtaken; its caller waits", (role, answers))
    owner.send_signal(signal.SIGCONT)
    asking.join()
    tap.result(answers[0][0] == 201, "the caller is answered after SIGCONT", answers)


def owner_stops(tap, owner, standby):
    """SIGTERM of the owner: a planned change of owners loses nobody."""
    callers = Callers(standby.port, keyed=True)
    callers_by_id = Callers(standby.port, keyed=False)
    time.sleep(0.3)
    status = owner.stop()
    wait_until(lambda: json_request(standby.port, "GET", "/v1/status")[1].get("role") == "owner")
    time.sleep(0.3)
    answers = callers.stop() + callers_by_id.stop()
    others = [answer for answer in answers if answer[0] != 201]
    tap.result(status == 0 and not others, "SIGTERM of the owner: the standby's callers notice nothing",
               (status, others[:5]) if others else f"{len(answers)} answers")


def unsafe_change(tap, work):
    """What may not be repeated ends as outcome_unknown when the owner dies with it."""
    owner, standby, directory = pair(work, "unsafe")
    request(standby.port, "PUT", "/v1/documents/d", "{}", {"If-None-Match": "*"})
    owner.send_signal(signal.SIGSTOP)  # it has the request, and never answers
    answers = []
    asking = threading.Thread(target=lambda: answers.append(request(
        standby.port, "PUT", "/v1/documents/d", '{"n":2}', {"If-Match": '"1"'})))
    asking.start()
    time.sleep(0.5)
    owner.kill()
    asking.join()
    status, headers, body = answers[0]
    tap.result(status == 503 and b"outcome_unknown" in body and "Retry-After" in headers,
               "a change without key or id of its own, under way when the owner dies: outcome_unknown",
               answers)
    wait_until(lambda: json_request(standby.port, "GET", "/v1/status")[1].get("role") == "owner")
    status = standby.stop()
    tap.result(status == 0 and verify(directory)[0], "a former standby stops cleanly, verify ok")


def without_server(tap, work):
    """The directory is owned by a process that serves nobody."""
    directory = os.path.join(work, "owned")
    pipe = subprocess.Popen([HOLDFAST, "import", "commits", "-", "--directory=" + directory],
                            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    wait_until(lambda: os.path.exists(os.path.join(directory, "log", "state")))
    time.sleep(0.3)
    standby = Server(directory)
    standby.ready()
    status, answer = json_request(standby.port, "GET", "/readyz")
    tap.result(status == 503 and answer["code"] == "not_ready",
               "an owner that does not serve: readyz says not_ready", answer)
    waiting = []
    asking = threading.Thread(target=lambda: waiting.append(open_accounts(standby.port)))
    asking.start()
    time.sleep(0.3)
    pipe.stdin.close()
    pipe.wait()
    asking.join()
    tap.result(waiting[0][0] == 201, "a request waits for the owner that does not serve to go", waiting)
    standby.stop()


def standby_stops(tap, work):
    owner, standby, _ = pair(work, "stops")
    status = standby.stop()
    left = [name for name in os.listdir(os.path.join(work, "stops")) if "sock." in name]
    tap.result(status == 0 and not left, "a standby stops at once and leaves no socket", (status, left))
    tap.result(json_request(owner.port, "GET", "/readyz")[0] == 200, "its owner goes on")
    owner.stop()


def tokens(tap, work):
    """The caller's own token decides, at the standby and at the owner."""
    directory = os.path.join(work, "tokens")
    os.makedirs(directory)
    done = subprocess.run([HOLDFAST, "token", "create", "--json", "--data=" + directory,
                           "--principal=shop", "--scopes=read,commit"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        tap.result(False, "a token for the test", done.stdout + done.stderr)
        return
    secret = next(value for value in json.loads(done.stdout).values()
                  if isinstance(value, str) and value.startswith("hft_"))
    owner, standby, _ = pair(work, "tokens")
    bearer = {"Authorization": "Bearer " + secret, "Idempotency-Key": "open"}
    tap.result(open_accounts(standby.port)[0] == 401, "without a token the standby answers 401")
    status, answer = json_request(standby.port, "POST", "/v1/commits", ACCOUNTS, bearer)
    tap.result(status == 201, "with its token a caller commits through the standby", answer)
    status, answer = json_request(owner.port, "GET", "/v1/keys/open", None, bearer)
    tap.result(status == 200, "and is the same principal at the owner", answer)
    status, answer = json_request(standby.port, "GET", "/v1/status", None, bearer)
    tap.result(status == 403, "/v1/status of the standby needs the scope, too", answer)
    standby.stop()
    owner.stop()


def main():
    tap = Tap()
    work = tempfile.mkdtemp(prefix="holdfast-standby-", dir=os.environ.get("HOLDFAST_TMP"))
    servers = []
    try:
        owner, standby, directory = pair(work, "pair")
        servers += [owner, standby]
        forwards(tap, owner, standby)
        many_at_once(tap, standby)
        stopped_owner(tap, owner, standby)
        takeover(tap, owner, standby, directory, keyed=True)
        third = Server(directory)
        servers.append(third)
        third.ready()
        takeover(tap, standby, third, directory, keyed=False)
        fourth = Server(directory)
        servers.append(fourth)
        fourth.ready()
        owner_stops(tap, third, fourth)
        tap.result(fourth.stop() == 0, "the last one stops cleanly", fourth.errors())
        good, report = verify(directory)
        tap.result(good, "verify ok", "" if good else report)
        unsafe_change(tap, work)
        without_server(tap, work)
        standby_stops(tap, work)
        tokens(tap, work)
    finally:
        for server in servers:
            if server.process.poll() is None:
                server.kill()
        shutil.rmtree(work, ignore_errors=True)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
