#!/usr/bin/env python3
"""The commands against a server: outputs, exit statuses, refusals, repetition. Prints TAP.

    HOLDFAST=build/holdfast HOLDFAST_BUILD=build tests/integration/remote_cli_test.py
"""
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

from tap import Tap

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("HOLDFAST_BUILD", os.path.join(ROOT, "build")))
HOLDFAST = os.path.abspath(os.environ.get("HOLDFAST", os.path.join(BUILD, "holdfast")))
OK, NO, USAGE, ENVIRONMENT = 0, 1, 2, 3

tap = Tap()
check = tap.check
environment = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}


def run(*arguments, text=None, **variables):
    """(exit status, standard output, standard error)"""
    done = subprocess.run([HOLDFAST, *map(str, arguments)], input=text or "", capture_output=True,
                          text=True, check=False, env={**environment, **variables}, timeout=120)
    return done.returncode, done.stdout, done.stderr


def expect(status, name, *arguments, has=(), error=(), text=None, **variables):
    """Runs a command; wants its status, these texts in its output, these on standard error."""
    code, out, err = run(*arguments, text=text, **variables)
    missing = [part for part in has if part not in out] + [part for part in error if part not in err]
    silent = status == OK or error or not err
    check(code == status and not missing and silent, name,
          f"exit status {code}, missing {missing}\n{out}\n{err}")
    return out


def as_json(name, status, *arguments, text=None, **variables):
    """Runs a command with --json and gives what it printed, which must be one JSON value."""
    code, out, err = run(*arguments, "--json", text=text, **variables)
    try:
        value = json.loads(out)
    except ValueError:
        value = None
    check(code == status and value is not None, name, f"exit status {code}\n{out}\n{err}")
    return value if value is not None else {}


class Server:
    """A `holdfast serve` of its own."""

    def __init__(self, directory, *options, port="0"):
        self.process = subprocess.Popen([HOLDFAST, "serve", f"--data={directory}", f"--listen=127.0.0.1:{port}",
                                         *options], stdout=subprocess.PIPE, text=True, env=environment,
                                        stderr=subprocess.DEVNULL)
        line = self.process.stdout.readline()
        found = re.search(r"https?://127\.0\.0\.1:(\d+)", line)
        assert found, f"the server said: {line!r}"
        self.url, self.port = found.group(0), found.group(1)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.process.wait(60)
        self.process.stdout.close()


def money():
    expect(OK, "account open without a floor", "account", "open", "world", "USD/2", "--no-floor",
           has=["account    world", "floor      none", "posted     0.00 (0)"])
    expect(OK, "account open", "account", "open", "users:1", "USD/2", "--metadata={\"name\":\"Ada\"}")
    expect(OK, "account open again", "account", "open", "users:1", "USD/2", "--metadata={\"name\":\"Ada\"}")
    expect(NO, "account open otherwise is refused", "account", "open", "users:1", "JPY/0",
           error=["account_exists (409)", "As it is now:", "asset            USD/2"])
    expect(USAGE, "account open: metadata must be JSON", "account", "open", "users:9", "USD/2",
           "--metadata={", error=["metadata is no JSON"])
    expect(OK, "transfer", "transfer", "world", "users:1", "USD/2", "12345", "--id=t1",
           has=["transfer  t1", "amount    123.45 (12345)", "to        account users:1, version 1"])
    expect(OK, "transfer again", "transfer", "post", "world", "users:1", "USD/2", "12345", "--id=t1",
           has=["transfer  t1"], error=["decided before"])
    expect(NO, "transfer of more than there is", "transfer", "users:1", "world", "USD/2", "99999",
           error=["insufficient_funds (422)", "available        123.45 (12345)"])
    refusal = as_json("a refusal as JSON", NO, "transfer", "users:1", "world", "USD/2", "99999")
    check(refusal.get("code") == "insufficient_funds" and refusal["current"]["available"] == "12345",
          "it holds what is there", refusal)
    expect(NO, "an amount with a point is refused", "transfer", "users:1", "world", "USD/2", "1.00",
           error=["(400)"])
    first = as_json("transfer under a key", OK, "transfer", "world", "users:1", "USD/2", "5", "--key=k1")
    again = as_json("transfer under the same key", OK, "transfer", "world", "users:1", "USD/2", "5",
                    "--key=k1")
    check(first == again and first["amount"] == "5", "the same answer", (first, again))
    expect(NO, "another under the same key", "transfer", "world", "users:1", "USD/2", "6", "--key=k1",
           error=["idempotency_key_reused (422)"])
    expect(OK, "transfer up to", "transfer", "users:1", "world", "USD/2", "999999", "--up-to", "--id=t2",
           has=["amount     123.50 (12350)", "requested  9999.99 (999999)"])
    expect(OK, "transfer reverse", "transfer", "reverse", "t2", has=["reverses  t2", "(12350)"])
    expect(NO, "transfer reverse once more", "transfer", "reverse", "t2", error=["limit_exceeded"])
    expect(OK, "transfer show", "transfer", "show", "t1", has=["id         t1", "amount     123.45 (12345)"])
    expect(NO, "transfer show of none", "transfer", "show", "t99", error=["transfer_not_found (404)"])
    expect(OK, "transfer list", "transfer", "list", "--account=users:1",
           has=["ID", "REVERSED", "t1", "123.45 (12345)"])
    expect(USAGE, "transfer list needs an account", "transfer", "list", error=["--account=ACCOUNT is needed"])
    expect(USAGE, "transfer needs four operands", "transfer", "world", "users:1", error=["expected:"])


def accounts():
    expect(OK, "account show", "account", "show", "users:1", has=["available        123.50 (12350)", "Ada"])
    expect(NO, "account show of none", "account", "show", "users:99", error=["account_not_found (404)"])
    expect(OK, "account list", "account", "list", "--prefix=users:", has=["ACCOUNT", "users:1", "123.50 (12350)"])
    for number in range(2, 6):
        run("account", "open", f"users:{number}", "JPY/0")
    page = as_json("account list by pages", OK, "account", "list", "--limit=2")
    check(len(page["data"]) == 2 and page["next"], "a page and where it goes on", page)
    rest = as_json("account list goes on", OK, "account", "list", "--limit=2", f"--after={page['next']}")
    check(rest["data"][0]["id"] > page["data"][1]["id"], "behind the first page", rest)
    whole = as_json("account list --all", OK, "account", "list", "--limit=2", "--all")
    check([item["id"] for item in whole["data"]] == [f"users:{i}" for i in range(1, 6)] + ["world"] and
          whole["next"] is None, "the whole list", whole)
    expect(NO, "a bad cursor is refused", "account", "list", "--after=nonsense", error=["(400)"])
    expect(OK, "account entries", "account", "entries", "users:1", "--limit=3",
           has=["VERSION", "holdfast.transfer.posted", "123.50 (12350)"])
    balance = as_json("account balance at a version", OK, "account", "balance", "users:1", "--at-version=1")
    check(balance["posted"] == "12345", "after the first entry", balance)
    expect(OK, "account statement", "account", "statement", "users:1", has=["opening,", "closing,", "t1"])
    expect(OK, "account statement for beancount", "account", "statement", "users:1", "--format=beancount",
           has=["balance"])
    statement = as_json("account statement as JSON", OK, "account", "statement", "users:1")
    check(isinstance(statement, dict) and statement, "it is an object", statement)
    expect(USAGE, "account statement in no such format", "account", "statement", "users:1", "--format=pdf",
           error=["csv, beancount or json"])
    expect(OK, "account limits", "account", "limits", "users:1", "--floor=-500", "--ceiling=20000",
           has=["floor      -5.00 (-500)", "ceiling    200.00 (20000)"])
    expect(OK, "account limits, none", "account", "limits", "users:1", "--floor=0", "--no-ceiling",
           has=["ceiling    none"])
    expect(OK, "account metadata", "account", "metadata", "users:1", "--metadata={\"name\":\"Bob\"}")
    expect(OK, "account freeze", "account", "freeze", "users:1", has=["state      frozen"])
    expect(NO, "a frozen account refuses", "transfer", "users:1", "world", "USD/2", "1",
           error=["account_frozen (423)"])
    expect(OK, "account unfreeze", "account", "unfreeze", "users:1", has=["state      open"])
    expect(NO, "account close with a balance", "account", "close", "users:1", error=["account_not_empty (409)"])
    expect(OK, "account close", "account", "close", "users:5", has=["state      closed"])
    expect(NO, "a version that is not so", "account", "freeze", "users:1", "--if-match=1",
           error=["condition_failed (412)"])
    expect(USAGE, "no such version", "account", "freeze", "users:1", "--if-match=x", error=["--if-match takes"])


def holds():
    expect(OK, "hold open", "hold", "open", "users:1", "world", "USD/2", "100", "--id=h1",
           "--timeout-ms=600000", has=["hold        h1", "state       open", "remaining   1.00 (100)"])
    expect(OK, "hold capture", "hold", "capture", "h1", "--amount=30", has=["moved       0.30 (30)"])
    expect(OK, "hold extend", "hold", "extend", "h1", "--timeout-ms=1200000", has=["hold        h1"])
    expect(USAGE, "hold extend needs a time", "hold", "extend", "h1", error=["--timeout-ms=MS is needed"])
    expect(OK, "hold list", "hold", "list", "--account=users:1", "--state=open", has=["h1", "0.70 (70)"])
    expect(OK, "hold void", "hold", "void", "h1", has=["released    0.70 (70)", "state       voided"])
    expect(NO, "hold void again", "hold", "void", "h1", error=["hold_not_open (409)", "state        voided"])
    expect(OK, "hold show", "hold", "show", "h1", has=["state        voided"])


def streams_and_documents():
    expect(OK, "stream append", "stream", "append", "o:1", "order.made", "{\"n\": 1}", "--create",
           has=["version   1"])
    expect(OK, "stream append of standard input", "stream", "append", "o:1", "order.paid", "--if-match=1",
           "--id=e2", text="[1,2]\n", has=["version   2"])
    expect(NO, "stream append at a wrong version", "stream", "append", "o:1", "x", "1", "--if-match=1",
           error=["condition_failed (412)", "version      2"])
    expect(USAGE, "stream append of no JSON", "stream", "append", "o:1", "x", "{", error=["DATA is no JSON"])
    expect(OK, "stream append of an event that steers", "stream", "append", "o:1", "x", "\"\\u001b[31m\"")
    out = expect(OK, "stream events", "stream", "events", "o:1",
                 has=["order.made", "{\"n\": 1}", "e2"])
    check("\x1b" not in out, "no terminal is steered", out)
    expect(OK, "stream events from the second", "stream", "events", "o:1", "--from=2", "--limit=1",
           has=["order.paid"], error=["--after="])
    expect(OK, "stream show", "stream", "show", "o:1", has=["version      3"])
    expect(OK, "stream list", "stream", "list", has=["o:1"])

    expect(USAGE, "document put needs a version", "document", "put", "d1", text="{}",
           error=["--if-match=VERSION is needed", "--create"])
    expect(OK, "document put", "document", "put", "d1", "--create", text="{\"a\": 1,\n \"b\":2}",
           has=["version   1"])
    expect(NO, "document put of one that is there", "document", "put", "d1", "--create", text="{}",
           error=["condition_failed (412)", "version      1"])
    expect(USAGE, "document put of no JSON", "document", "put", "d1", "--create", text="{",
           error=["standard input"])
    code, out, err = run("document", "get", "d1")
    check((code, out.rstrip("\n"), err) == (OK, "{\"a\": 1,\n \"b\":2}", ""), "document get, byte for byte", out + err)
    expect(OK, "document patch", "document", "patch", "d1", "--if-match=1", text="{\"b\":null}",
           has=["version   2"])
    got = as_json("document get as JSON", OK, "document", "get", "d1")
    check(got["version"] == 2 and got["data"] == {"a": 1} and got["position"] > 0, "with its version", got)
    got = as_json("document get of a version", OK, "document", "get", "d1", "--version=1")
    check(got["data"] == {"a": 1, "b": 2}, "the first", got)
    expect(OK, "document versions", "document", "versions", "d1", has=["VERSION", "BYTES", "2", "1"])
    expect(OK, "document list", "document", "list", has=["d1"])
    expect(NO, "document delete of another version", "document", "delete", "d1", "--if-match=1",
           error=["condition_failed (412)"])
    expect(OK, "document delete", "document", "delete", "d1", "--if-match=2", has=["version   3"])
    expect(NO, "document get of none", "document", "get", "d1", error=["document_not_found (404)"])


def leases_and_keys():
    lease = as_json("lease acquire", OK, "lease", "acquire", "l1", "--owner=me", "--ttl-ms=60000")
    token = lease["token"]
    expect(NO, "lease acquire of another's", "lease", "acquire", "l1", "--owner=you", "--ttl-ms=60000",
           error=["lease_held (409)", "owner        me"])
    expect(USAGE, "lease acquire needs an owner", "lease", "acquire", "l1", "--ttl-ms=1",
           error=["--owner=NAME is needed"])
    expect(OK, "lease show", "lease", "show", "l1", has=["held         true", f"token        {token}"])
    expect(OK, "lease renew", "lease", "renew", "l1", token, "--ttl-ms=90000", has=[f"token       {token}"])
    expect(NO, "lease renew by another token", "lease", "renew", "l1", token + 1, error=["fenced (412)"])
    expect(USAGE, "lease renew by no token", "lease", "renew", "l1", "x", error=["token is a number"])
    expect(OK, "lease release", "lease", "release", "l1", token)
    expect(OK, "lease show of a free one", "lease", "show", "l1", has=["held         false"])

    expect(NO, "key show of none", "key", "show", "k9", error=["key_not_found (404)"])
    expect(OK, "key cancel", "key", "cancel", "k9", has=["key       k9", "status    409", "cancelled"])
    expect(NO, "a cancelled key does nothing", "transfer", "world", "users:1", "USD/2", "5", "--key=k9",
           error=["cancelled (409)"])
    expect(OK, "key show", "key", "show", "k1", has=["status    201", "\"amount\":\"5\""])


def both(directory):
    """commit, get, status, import: against a server or on a directory."""
    commit = json.dumps({"do": [{"op": "transfer", "from": "world", "to": "users:1", "asset": "USD/2",
                                 "amount": "7"}]})
    path = os.path.join(directory, "commit.json")
    with open(path, "w", encoding="utf-8") as file:
        file.write(commit)
    position = json.loads(expect(OK, "commit of a file", "commit", path, "--key=c1"))["position"]
    again = json.loads(expect(OK, "commit again", "commit", "--key=c1", text=commit, error=["decided before"]))
    check(again["position"] == position, "the recorded answer", again)
    dry = json.loads(expect(OK, "commit --dry-run", "commit", "--dry-run", text=commit))
    check(dry["position"] is None, "nothing is recorded", dry)
    expect(NO, "commit, refused", "commit", text=commit.replace("\"7\"", "\"0\""), has=["amount_invalid"])
    expect(NO, "commit, malformed", "commit", text="{", has=["invalid_request"])
    other = os.path.join(directory, "other")
    expect(OK, "commit on a directory", "commit", other, text=json.dumps(
        {"do": [{"op": "open_account", "account": "a", "asset": "USD/2"}]}), has=["\"position\":"])
    expect(USAGE, "commit on both", "commit", other, path, "--server=http://127.0.0.1:1",
           error=["either DIR or --server"])
    got = json.loads(expect(OK, "get", "get", "account", "users:1"))
    check(got["id"] == "users:1", "the account of the server", got)
    got = json.loads(expect(OK, "get of a directory", "get", other, "account", "a"))
    check(got["id"] == "a", "the account of the directory", got)
    got = json.loads(expect(OK, "get commit", "get", "commit", position))
    check(got["position"] == position and got["key"] == "c1", "the commit", got)
    events = json.loads(expect(OK, "get events", "get", "events", "o:1", "--from=2", "--limit=1"))
    check([event["version"] for event in events["data"]] == [2], "the second one", events)
    entries = json.loads(expect(OK, "get entries", "get", "entries", "users:1", "--from=3", "--limit=5"))
    check([entry["version"] for entry in entries["data"]] == [2, 1], "below version 3", entries)
    expect(NO, "get of none", "get", "account", "nobody", has=["account_not_found"])
    expect(USAGE, "get of no such kind", "get", "thing", "x", error=["no such kind"])
    status = as_json("status", OK, "status")
    check(status["role"] == "owner" and status["position"] >= position, "of the server", status)
    expect(OK, "status for people", "status", has=["role", "owner"])
    expect(OK, "status of a directory", "status", other, has=["head", "position"])

    lines = os.path.join(directory, "lines")
    with open(lines, "w", encoding="utf-8") as file:
        file.write(commit + "\nrubbish\n\n" + json.dumps({"key": "i1", "commit": json.loads(commit)}) + "\n" +
                   json.dumps({"do": [{"op": "transfer", "from": "users:1", "to": "world", "asset": "USD/2",
                                       "amount": "99999999"}]}) + "\n")
    out = expect(NO, "import commits", "import", "commits", lines,
                 has=["line 2: invalid_request", "line 5: insufficient_funds", "2 accepted, 1 refused, 1 malformed"])
    check("0 decided before" in out, "none was known", out)
    expect(NO, "import commits again changes nothing", "import", "commits", lines, "--workers=4",
           has=["2 accepted, 1 refused, 1 malformed, 3 decided before"])
    expect(USAGE, "import events wants a directory", "import", "events", lines, error=["--directory"])


def failures(server):
    url = f"http://127.0.0.1:{server.port}"
    server.stop()
    expect(ENVIRONMENT, "nobody is there", "account", "show", "users:1", "--give-up-after=1", error=["gave up", "Is a server there?"],
           HOLDFAST_SERVER=url)
    failure = as_json("nobody is there, as JSON", ENVIRONMENT, "transfer", "a", "b", "USD/2", "1",
                      "--give-up-after=1", HOLDFAST_SERVER=url)
    check(failure["error"] == "unavailable" and "nothing has changed" in failure["text"], "in words", failure)
    for address in ["ftp://x", "localhost", "http://h/path", "unix:"]:
        expect(USAGE, f"--server={address}", "status", f"--server={address}", error=["wanted http://HOST:PORT"])
    expect(USAGE, "--give-up-after", "status", "--give-up-after=x", error=["--give-up-after takes"])
    expect(USAGE, "no such verb", "account", "fly", error=["no such verb: fly", "Verbs:"])
    expect(USAGE, "no verb", "account", error=["Usage: holdfast account VERB"])


class Mute(http.server.BaseHTTPRequestHandler):
    """Takes every request and never answers."""
    keys = []

    def do_POST(self):
        Mute.keys.append(self.headers["Idempotency-Key"])
        self.rfile.read(int(self.headers["Content-Length"]))
        self.close_connection = True

    def log_message(self, *arguments):
        pass


def unknown(directory):
    mute = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mute)
    thread = threading.Thread(target=mute.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{mute.server_address[1]}"
    code, out, err = run("transfer", "a", "b", "USD/2", "1", "--json", "--give-up-after=1", HOLDFAST_SERVER=url)
    value = json.loads(out)
    key = value.get("key", "")
    check(code == ENVIRONMENT and value["error"] == "outcome_unknown" and f"--key={key}" in err,
          "an unknown outcome tells the key", out + err)
    check(len(Mute.keys) > 1 and set(Mute.keys) == {f"\"{key}\""}, "each attempt had the same key", Mute.keys)
    # The next address is asked when this one does not answer.
    server = Server(os.path.join(directory, "second"))
    expect(OK, "a second address answers", "account", "open", "a", "USD/2", f"--server={url},{server.url}",
           error=["trying again"])
    expect(OK, "the socket in the directory", "account", "show", "a",
           f"--server=unix:{os.path.join(directory, 'second', 'holdfast.sock')}", has=["USD/2"])
    server.stop()
    mute.shutdown()
    thread.join()
    mute.server_close()


def crash(directory):
    """The server is killed and started again while a command waits: it ends well, once."""
    data = os.path.join(directory, "crash")
    server = Server(data)
    port = server.port
    run("account", "open", "world", "USD/2", "--no-floor", HOLDFAST_SERVER=server.url)
    run("account", "open", "a", "USD/2", HOLDFAST_SERVER=server.url)
    server.kill()
    waiting = subprocess.Popen([HOLDFAST, "transfer", "world", "a", "USD/2", "5", "--json"], text=True,
                               env={**environment, "HOLDFAST_SERVER": server.url}, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    waiting.stderr.readline()  # it has met nobody and tries again
    server = Server(data, port=port)
    out, err = waiting.communicate(timeout=60)
    check(waiting.returncode == OK and json.loads(out)["amount"] == "5", "a command outlives a crash", out + err)
    got = as_json("and", OK, "account", "show", "a", HOLDFAST_SERVER=server.url)
    check(got["posted"] == "5", "its effect is there once", got)
    server.stop()


def bank(directory):
    """A bank's file to a server and into a directory: the same accounts."""
    path, other = os.path.join(directory, "bank.asc"), os.path.join(directory, "bank")
    subprocess.run([sys.executable, os.path.join(ROOT, "tools", "make-bank-sample.py"), "--rows", "600", "--seed",
                    "3", "--output", path], check=True, capture_output=True)
    server = Server(os.path.join(directory, "bank-server"))
    variables = {"HOLDFAST_SERVER": server.url}
    first = as_json("import bank to a server", NO, "import", "bank", path, "--floor=0", **variables)
    again = as_json("import bank again", NO, "import", "bank", path, "--floor=0", "--workers=3", **variables)
    here = as_json("import bank into a directory", NO, "import", "bank", path, "--floor=0",
                   f"--directory={other}")
    check(first == here and first["posted"] > 300 and first["refused"] > 0 and first["replayed"] == 0,
          "the same is posted and refused", (first, here))
    check(again == {**first, "replayed": first["rows"]}, "the second time it was all decided before", again)
    listed = as_json("its accounts", OK, "account", "list", "--all", **variables)
    check(sum(int(account["posted"]) for account in listed["data"]) == 0 and
          len(listed["data"]) > first["accounts"], "debits equal credits", len(listed["data"]))
    for account in listed["data"][:3]:
        there = json.loads(run("get", other, "account", account["id"])[1])
        check(there["posted"] == account["posted"], f"{account['id']} is the same", (there, account))
    expect(USAGE, "import bank by too many", "import", "bank", path, "--workers=65", error=["from 1 to 64"],
           **variables)
    server.stop()


def secure(directory):
    """TLS with an authority of one's own, and tokens."""
    if not shutil.which("openssl"):
        tap.skip("TLS and tokens", "openssl is not there")
        return
    certificate, key = os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    data = os.path.join(directory, "secure")
    token = json.loads(run("token", "create", f"--data={data}", "--principal=shop", "--json",
                           "--scopes=read,commit,operate")[1])["secret"]
    server = Server(data, f"--tls-cert={certificate}", f"--tls-key={key}")
    variables = {"HOLDFAST_SERVER": server.url}
    expect(ENVIRONMENT, "a certificate that nobody vouches for", "status", error=["certificate"], **variables)
    variables["HOLDFAST_CA_FILE"] = certificate
    expect(NO, "without a token", "account", "list", error=["unauthorized (401)", "$HOLDFAST_TOKEN"], **variables)
    path = os.path.join(directory, "token")
    with open(path, "w", encoding="utf-8") as file:
        file.write(token + "\n")
    expect(OK, "with a token of a file", "account", "open", "a", "USD/2", f"--token-file={path}", **variables)
    expect(OK, "with a token of the environment", "account", "list", has=["a"], HOLDFAST_TOKEN=token, **variables)
    code, out, err = run("account", "list", HOLDFAST_TOKEN=token + "x", **variables)
    check(code == NO and token not in out + err, "a wrong token is not shown", out + err)
    expect(USAGE, "a token with a line end", "account", "list", error=["token"], HOLDFAST_TOKEN="a\nb",
           **variables)
    server.stop()


def example(directory):
    program = os.path.join(BUILD, "examples", "client")
    server = Server(os.path.join(directory, "example"))
    outputs = [subprocess.run([program, server.url], capture_output=True, text=True, check=False, env=environment)
               for _ in range(2)]
    for number, done in enumerate(outputs):
        check(done.returncode == 0 and "users:42 has 7500 available" in done.stdout and
              "order-8: 422 insufficient_funds" in done.stdout, f"examples/client, run {number + 1}",
              done.stdout + done.stderr)
    for number in range(2):
        done = subprocess.run([os.path.join(BUILD, "examples", "batch"), server.url], capture_output=True, text=True, check=False,
                              env=environment)
        code, shop, _ = run("account", "show", "batch:shop", "--json", HOLDFAST_SERVER=server.url)
        check(done.returncode == 0 and done.stdout == "3960 paid, 40 refused, 0 without an answer\n" and code == OK and
              '"posted":"19800"' in shop.replace(" ", ""), f"examples/batch, run {number + 1}", done.stdout + done.stderr + shop)
    server.stop()


def main():
    directory = tempfile.mkdtemp(prefix="remote_cli_test.")
    server = Server(os.path.join(directory, "data"))
    environment["HOLDFAST_SERVER"] = server.url
    try:
        for part in (money, accounts, holds, streams_and_documents, leases_and_keys):
            part()
        both(directory)
        failures(server)
        for part in (unknown, crash, bank, secure, example):
            part(directory)
    finally:
        if server.process.poll() is None:
            server.stop()
    shutil.rmtree(directory)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
