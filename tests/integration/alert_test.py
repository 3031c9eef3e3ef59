#!/usr/bin/env python3
"""The running audit and the alerts of a real server: raised, shown everywhere, cleared, kept over kill -9. Prints TAP.

    HOLDFAST=build/holdfast tests/integration/alert_test.py
"""
import base64
import glob
import hashlib
import hmac
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading

from serving import HOLDFAST, Server, Tap, json_request, request, wait_until

tap = Tap()
check = tap.check
OPTIONS = ["--alert", "subscription_stalled=1s", "--audit-interval", "off", "--audit-rate", "off"]
QUIET = ["--alert", "log_slow=off", "--alert", "disk_low=off"]  # not of this machine's disk


def must(server, method, path, body=None, headers=None):
    status, answer = json_request(server.port, method, path, body, headers)
    if status >= 300:
        raise AssertionError(f"{method} {path}: {status} {answer}")
    return answer


def raised(server):
    return {(alert["kind"], alert["subject"]) for alert in must(server, "GET", "/v1/alerts")["data"]}


def cleared(server):
    return [(alert["kind"], alert["subject"]) for alert in must(server, "GET", "/v1/alerts")["cleared"]]


def metric(server, name):
    text = request(server.port, "GET", "/metrics")[2].decode()
    found = re.search(rf"^holdfast_{re.escape(name)} (\S+)$", text, re.M)
    return found and float(found.group(1))


def told(server):
    """All alerts of the feed: [(type's end, kind)]"""
    page = must(server, "GET", "/v1/feed?from=beginning&limit=1000&types=system.alert.*")
    return [(event["type"].rsplit(".", 1)[1], event["data"]["kind"]) for event in page["data"]]


def publish(server, topic, number):
    must(server, "POST", "/v1/commits", {"do": [{"op": "publish", "topic": topic, "key": "k", "type": "t",
                                                 "data": {"n": number}}]},
         {"Idempotency-Key": f"p-{topic}-{number}"})


def run_audit(server):
    """A whole pass that begins now, as /v1/audit shows it."""
    before = must(server, "GET", "/v1/audit")["passes"]
    status, answer = json_request(server.port, "POST", "/v1/audit/run")
    check(status == 202 and answer["state"] in ("idle", "running"), "a pass is begun when it is asked for", answer)
    wait_until(lambda: must(server, "GET", "/v1/audit")["passes"] > before)
    return must(server, "GET", "/v1/audit")["last"]


def command(server, *words):
    done = subprocess.run([HOLDFAST, *words, f"--server=http://127.0.0.1:{server.port}"], capture_output=True,
                          text=True, check=False)
    return done.stdout + done.stderr


def dead_letters(server):
    mailer = {"filter": {"topic": "mail"}, "attempts_max": 1, "backoff": {"first_ms": 0, "max_ms": 0}}
    must(server, "PUT", "/v1/subscriptions/mailer", mailer)
    must(server, "PUT", "/v1/subscriptions/watcher", {"filter": {"types": ["system.alert.*"]}})
    publish(server, "mail", 1)
    got = must(server, "POST", "/v1/subscriptions/mailer/receive", {"max": 1})["messages"]
    must(server, "POST", "/v1/subscriptions/mailer/park", {"receipts": [got[0]["receipt"]], "error": "550"})
    name = ("dead_letter", "subscriptions/mailer")
    check(wait_until(lambda: name in raised(server)), "a dead letter is an alert", raised(server))
    alert = must(server, "GET", "/v1/alerts")["data"][0]
    check("1 dead letter" in alert["text"] and alert["cleared_at"] is None, "it says what, and for how long", alert)
    check(metric(server, 'alerts{kind="dead_letter"}') == 1 and metric(server, 'alerts{kind="disk_low"}') == 0,
          "the metrics count it by kind")
    check(must(server, "GET", "/v1/status")["alerts"] == 1, "the status counts it")
    shown = command(server, "status")
    check("raised alerts" in shown and "dead_letter" in shown and "dead_letter" in command(server, "alert", "list"),
          "the command line shows it", shown)
    got = must(server, "POST", "/v1/subscriptions/watcher/receive", {"max": 10, "wait_ms": 5000})["messages"]
    # On a machine that is slow, this very subscription may have stalled meanwhile.
    letters = [one for one in got if one["event"]["subject"] == "alerts/dead_letter"]
    check(len(letters) == 1 and letters[0]["event"]["type"] == "system.alert.raised", "a subscription that names the type gets it", got)
    must(server, "POST", "/v1/subscriptions/watcher/ack", {"receipts": [one["receipt"] for one in got]})
    return name


def kept_over_a_kill(server, directory, name):
    server.kill()
    server = Server(directory, *OPTIONS, *QUIET)
    check(name in raised(server), "kill -9 does not forget it", raised(server))
    must(server, "POST", "/v1/subscriptions/mailer/redrive", {"all": True}, {"Idempotency-Key": "redrive"})
    check(wait_until(lambda: name not in raised(server) and name in cleared(server)),
          "what was mended is cleared", raised(server))
    got = must(server, "POST", "/v1/subscriptions/mailer/receive", {"max": 1})["messages"]
    must(server, "POST", "/v1/subscriptions/mailer/ack", {"receipts": [got[0]["receipt"]]})
    counts = [told(server).count((what, "dead_letter")) for what in ("raised", "cleared")]
    check(counts == [1, 1], "it was raised once and cleared once", told(server))
    return server


def stalls(server):
    publish(server, "mail", 2)
    name = ("subscription_stalled", "subscriptions/mailer")
    check(wait_until(lambda: name in raised(server)), "a backlog without acks is an alert", raised(server))
    got = must(server, "POST", "/v1/subscriptions/mailer/receive", {"max": 1})["messages"]
    must(server, "POST", "/v1/subscriptions/mailer/ack", {"receipts": [got[0]["receipt"]]})
    check(wait_until(lambda: name not in raised(server)), "an ack clears it")
    publish(server, "mail", 3)
    check(wait_until(lambda: name in raised(server)), "it is raised anew when it happens anew")
    must(server, "DELETE", "/v1/subscriptions/mailer", None, {"Idempotency-Key": "delete"})
    check(wait_until(lambda: name not in raised(server)), "a deleted subscription is no alert any more")


def audits(server, directory):
    must(server, "POST", "/v1/commits", {"do": [
        {"op": "open_account", "account": "world", "asset": "USD/2", "floor": None},
        {"op": "open_account", "account": "shop", "asset": "USD/2"},
        {"op": "transfer", "from": "world", "to": "shop", "asset": "USD/2", "amount": "7"}]},
        {"Idempotency-Key": "books"})
    must(server, "PUT", "/v1/documents/old", {"kept": "for years"}, {"If-None-Match": "*"})
    publish(server, "any", 1)
    last = run_audit(server)
    check(last["result"] == "ok" and last["finding_count"] == 0 and last["accounts"] == 2 and last["assets"] == 1 and
          last["commits"] == last["to_position"] and last["batches"] > 0, "what is whole is found whole", last)
    check(metric(server, "audit_ok") == 1 and metric(server, "audit_findings") == 0, "and the metrics say so")
    segment = sorted(glob.glob(os.path.join(directory, "log", "*.log")))[0]
    with open(segment, "r+b") as file:
        place = file.read().find(b"for years")
        file.seek(place)
        file.write(b"for Years")
    last = run_audit(server)
    check(last["result"] == "damaged" and "segment 1" in last["findings"][0]["text"] and
          last["findings"][0]["part"] == "log",
          "a flipped bit on the disk is found, and where it is", last)
    name = ("audit_failed", "audit")
    check(wait_until(lambda: name in raised(server)), "it is an alert", raised(server))
    check(must(server, "GET", "/v1/status")["audit"]["last"]["result"] == "damaged" and
          metric(server, "audit_ok") == 0, "status and metrics say so")
    check("damaged" in command(server, "audit", "show"), "the command line shows it")
    check(request(server.port, "GET", "/v1/documents/old")[0] == 200, "what is answered is still right")
    with open(segment, "r+b") as file:
        file.seek(place)
        file.write(b"for years")
    last = run_audit(server)
    check(last["result"] == "ok" and wait_until(lambda: name not in raised(server)),
          "after the mend the next pass clears it", last)


class Pager(http.server.ThreadingHTTPServer):
    """Takes what is posted, the second time only."""

    def __init__(self):
        self.posts, self.refused = [], set()
        pager = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                name = self.headers["webhook-id"]
                pager.posts.append((name, self.headers["webhook-timestamp"], self.headers["webhook-signature"], body))
                self.send_response(204 if name in pager.refused else 500)
                pager.refused.add(name)
                self.end_headers()

            def log_message(self, *_):
                pass
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def told(self):
        """[(type's end, kind)] of what was taken, in order."""
        seen, taken = set(), []
        for name, _, _, body in list(self.posts):
            event = json.loads(body)
            if name in seen:
                taken.append((event["type"].rsplit(".", 1)[1], event["data"]["kind"]))
            seen.add(name)
        return taken


def webhook(directory):
    """Posted, tried again, signed; after kill -9 what is raised comes once more, under the same id."""
    secret = b"0123456789abcdef0123456789abcdef"
    secrets = f"{directory}.secrets"
    with open(secrets, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write("alerts whsec_" + base64.b64encode(secret).decode() + "\n")
    pager = Pager()
    options = [*OPTIONS, *QUIET, "--deliver-allow", "127.0.0.0/8", "--secrets", secrets, "--alert-webhook",
               f"http://127.0.0.1:{pager.server_port}/alerts", "--alert-webhook-secret", "alerts"]
    server = Server(directory, *options)
    must(server, "PUT", "/v1/subscriptions/s", {"filter": {"topic": "t"}})
    publish(server, "t", 1)
    raised_once = ("raised", "subscription_stalled")
    check(wait_until(lambda: raised_once in pager.told()), "the webhook gets what is raised", pager.posts)
    name, timestamp, signature, body = pager.posts[-1]
    wanted = hmac.new(secret, f"{name}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    check(signature == "v1," + base64.b64encode(wanted).decode(), "signed as Standard Webhooks say", signature)
    check(pager.posts[0][0] == name and pager.posts[0][3] == body, "again after an error, under the same id")
    server.kill()
    count = len(pager.posts)
    server = Server(directory, *options)
    check(wait_until(lambda: len(pager.posts) > count) and pager.posts[count][0] == name,
          "a new process posts what is raised again, under the same id")
    got = must(server, "POST", "/v1/subscriptions/s/receive", {"max": 1})["messages"]
    must(server, "POST", "/v1/subscriptions/s/ack", {"receipts": [got[0]["receipt"]]})
    check(wait_until(lambda: ("cleared", "subscription_stalled") in pager.told()), "and what is cleared", pager.posts)
    check(server.stop() == 0, "it stops with a webhook")
    pager.shutdown()
    pager.server_close()


def wrong_options(directory):
    for options, words in ((["--alert", "disk_low=5s"], "a size"), (["--alert", "nothing=1s"], "KIND"),
                           (["--alert-webhook", "ftp://x/"], "--alert-webhook"),
                           (["--alert-webhook-secret", "x"], "belongs to"),
                           (["--audit-interval", "soon"], "duration"), (["--audit-rate", "0MiB"], "size")):
        done = subprocess.run([HOLDFAST, "serve", "--data", directory, "--listen", "127.0.0.1:0", *options],
                              capture_output=True, text=True, check=False, timeout=60)
        check(done.returncode == 2 and words in done.stderr, f"{' '.join(options)} is refused", done.stderr)


def scopes(directory):
    """With tokens: the scope operate looks and begins, others do neither."""
    tokens = {}
    for principal, scope in (("watcher", "operate"), ("shop", "read,commit")):
        done = subprocess.run([HOLDFAST, "token", "create", "--json", "--data", directory, f"--principal={principal}",
                               f"--scopes={scope}"], capture_output=True, text=True, check=False)
        tokens[principal] = json.loads(done.stdout)["secret"] if done.returncode == 0 else done.stderr
    server = Server(directory, *OPTIONS, *QUIET)
    for method, path in (("GET", "/v1/audit"), ("POST", "/v1/audit/run"), ("GET", "/v1/alerts")):
        answers = [request(server.port, method, path, None, {"Authorization": f"Bearer {tokens[who]}"})[0]
                   for who in ("watcher", "shop")]
        answers.append(request(server.port, method, path)[0])
        check(answers[0] in (200, 202) and answers[1:] == [403, 401], f"{method} {path} needs operate", answers)
    server.stop()


def main():
    work = tempfile.mkdtemp(prefix="holdfast-alert-")
    directory = os.path.join(work, "data")
    server = None
    try:
        server = Server(directory, *OPTIONS, *QUIET)
        check(must(server, "GET", "/v1/audit")["last"] is None and raised(server) == set(), "nothing is wrong at first")
        name = dead_letters(server)
        server = kept_over_a_kill(server, directory, name)
        stalls(server)
        audits(server, directory)
        check(server.stop() == 0, "it stops with an audit and a watch inside")
        server = None
        webhook(os.path.join(work, "hooked"))
        wrong_options(directory)
        scopes(directory)
    finally:
        if server is not None:
            server.kill()
        shutil.rmtree(work, ignore_errors=True)


main()
sys.exit(tap.end())
