#!/usr/bin/env python3
"""The command line from outside: answers, exit statuses, what it refuses. Prints TAP.

    HOLDFAST=build/holdfast HOLDFAST_BUILD=build tests/integration/cli_test.py
"""
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from tap import Tap

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("HOLDFAST_BUILD", "build")
HOLDFAST = os.environ.get("HOLDFAST", os.path.join(BUILD, "holdfast"))
COMMANDS = ["commit", "get", "import", "export", "verify", "status", "token", "demo", "bench"]
OK, NO, USAGE, ENVIRONMENT = 0, 1, 2, 3
ACCOUNTS = {"do": [{"op": "open_account", "account": "world", "asset": "USD/2", "floor": None},
                   {"op": "open_account", "account": "users:1", "asset": "USD/2"}]}

tap = Tap()
check = tap.check


def run(*arguments, text=None):
    """(exit status, standard output, standard error)"""
    done = subprocess.run([HOLDFAST, *map(str, arguments)], input=text or "", capture_output=True,
                          text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def expect(status, name, *arguments, text=None):
    """Runs and wants the status; returns standard output."""
    code, out, err = run(*arguments, text=text)
    check(code == status, name, f"exit status {code}\n{out}\n{err}")
    return out


def as_json(text):
    try:
        return json.loads(text)
    except ValueError:
        return {}


def transfer(name, amount, source="world", target="users:1"):
    return json.dumps({"do": [{"op": "transfer", "id": name, "from": source, "to": target,
                               "asset": "USD/2", "amount": amount}]})


def usage():
    for command in COMMANDS:
        code, out, err = run(command, "--help")
        check(code == OK and out.startswith(f"Usage: holdfast {command}") and not err and
              "--json" in out, f"{command} --help", out + err)
        code, out, err = run(command, "--no-such-option")
        check(code == USAGE and not out and err, f"{command}: an unknown option is usage", out + err)
        if command in ("commit", "status", "bench"):  # without a directory they ask a server
            continue
        code, out, err = run(command)
        check(code == USAGE and not out and err, f"{command}: no argument is usage", out + err)
    for name, words, said in [
            ("an unknown option is named", ["verify", "--json", "--such=3", "x"], "verify: no such option: --such\n"),
            ("an unknown letter is named", ["verify", "--json", "-q", "x"], "verify: no such option: -q\n"),
            ("an option without its value", ["commit", "x", "--key"], "commit: --key needs a value\n"),
            ("a flag with a value", ["commit", "--dry-run=yes"], "commit: --dry-run takes no value\n"),
            ("an option before the command", ["--json", "verify", "x"], "the command comes first")]:
        code, out, err = run(*words)
        check(code == USAGE and not out and said in err, name, out + err)
    expect(OK, "--help", "--help")
    expect(OK, "--version", "--version")
    expect(USAGE, "no command is usage")
    expect(USAGE, "an unknown command is usage", "such")


def commits(data):
    answer = as_json(expect(OK, "a commit", "commit", data, text=json.dumps(ACCOUNTS)))
    check(len(answer.get("results", [])) == 2, "it answers a result each", answer)
    first = expect(OK, "a transfer under a key", "commit", data, "--key", "k1",
                   text=transfer("t1", "500"))
    code, again, err = run("commit", data, "--key", "k1", text=transfer("t1", "500"))
    check(code == OK and again == first and "decided before" in err, "again: the same bytes", again)
    out = expect(NO, "the key with another commit", "commit", data, "--key", "k1",
                 text=transfer("t9", "1"))
    check(as_json(out).get("code") == "idempotency_key_reused", "is idempotency_key_reused", out)
    out = expect(NO, "a debit below the floor", "commit", data,
                 text=transfer("t2", "501", "users:1", "world"))
    check(as_json(out).get("code") == "insufficient_funds", "is insufficient_funds", out)
    code, out, err = run("commit", data, text='{"do":[{"op":"transfer","amunt":"1"}]}')
    check(code == NO and "/do/0/amunt" in err, "a malformed commit is told by its place", err)
    out = expect(NO, "malformed with --json", "commit", "--json", data, text="{")
    check(as_json(out).get("error") == "invalid_request", "says invalid_request", out)
    before = as_json(run("status", "--json", data)[1])
    out = expect(OK, "a dry run", "commit", "--dry-run", data, text=transfer("t3", "1"))
    check(as_json(out).get("position", 0) is None, "has no position", out)
    expect(NO, "and leaves nothing", "get", data, "transfer", "t3")
    check(before.get("owned") is False and before.get("position", 0) > 0, "status", before)
    expect(OK, "a stream and a document", "commit", data, text=json.dumps(
        {"do": [{"op": "append", "stream": "s", "type": "x", "data": {"a": 1}},
                {"op": "put", "document": "d", "data": {"b": [1, 2]}}]}))


def reads(data):
    account = as_json(expect(OK, "get account", "get", data, "account", "users:1"))
    check(account.get("posted") == "500", "has what was posted", account)
    out = expect(OK, "get document", "get", data, "document", "d")
    check(out.strip() in ('{"b":[1,2]}', '{"b": [1, 2]}'), "is its text", out)
    page = as_json(expect(OK, "get entries", "get", data, "entries", "users:1"))
    check(len(page.get("data", [])) == 1, "lists one entry", page)
    page = as_json(expect(OK, "get events", "get", data, "events", "s"))
    check([event["data"] for event in page.get("data", [])] == [{"a": 1}], "lists one event", page)
    key = as_json(expect(OK, "get key", "get", data, "key", "k1"))
    check(key.get("status") == 201, "shows the answer", key)
    expect(NO, "get of nothing", "get", data, "account", "nobody")
    expect(USAGE, "get of no kind", "get", data, "such", "x")
    expect(ENVIRONMENT, "get without a directory", "get", data + "-none", "account", "x")
    expect(ENVIRONMENT, "verify without a directory", "verify", data + "-none")
    expect(ENVIRONMENT, "status without a directory", "status", data + "-none")
    check(not os.path.exists(data + "-none"), "nothing was made")


def import_commits(data, work):
    path = os.path.join(work, "commits.ndjson")
    lines = [transfer("i1", "1"),
             json.dumps({"key": "i2", "commit": json.loads(transfer("i2", "1"))}),
             '{"do":[]}',
             "not json",
             transfer("i3", "100000", "users:1", "world"),
             json.dumps({"key": "i2", "commit": json.loads(transfer("i2", "1"))}),
             transfer("i4", "1")]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    out = as_json(expect(NO, "import of commits with bad lines", "import", "commits", path,
                         "--directory", data, "--json"))
    check((out.get("accepted"), out.get("refused"), out.get("malformed"), out.get("replayed")) ==
          (4, 1, 2, 1), "counts them", out)
    check([line["line"] for line in out.get("lines", [])] == [3, 4, 5], "names the lines", out)
    words = run("import", "commits", path, "--directory", data)[1]
    check("line 4: invalid_request: JSON: byte 0" in words and
          re.search("line 5: insufficient_funds: users:1 has [0-9]+ available and a floor of 0", words),
          "says in words what is wrong with them", words)
    out = as_json(expect(NO, "--stop-on-error", "import", "commits", path, "--directory", data,
                         "--stop-on-error", "--json"))
    check((out.get("accepted"), out.get("replayed")) == (2, 2), "stops at the first bad line", out)
    expect(OK, "the transfer behind the bad lines is there", "get", data, "transfer", "i4")


def histories(data, work):
    """Export and import give the same history; anything changed is refused."""
    path = os.path.join(work, "events.ndjson")
    copy = os.path.join(work, "copy")
    exported = as_json(expect(OK, "export", "export", "--json", data, path))
    lines = open(path, encoding="utf-8").read().splitlines()
    check(len(lines) == exported.get("position"), "a line each commit")
    to_standard_output = run("export", data)[1]
    check(to_standard_output.splitlines() == lines, "the same on standard output")
    check(run("export", data, "-")[1] == to_standard_output, "for - too")
    expect(OK, "import of events", "import", "events", path, "--directory", copy)
    first, second = (as_json(run("verify", "--json", where)[1]) for where in (data, copy))
    for what in ("ok", "hash", "state_hash", "position", "last_time", "transfers"):
        check(first.get(what) == second.get(what) and what in first, f"the copy has the same {what}")
    for what in ("account", "users:1"), ("key", "k1"), ("document", "d"):
        check(run("get", data, *what)[1] == run("get", copy, *what)[1], f"get {what[0]} is the same")
    replayed = run("commit", copy, "--key", "k1", text=transfer("t1", "500"))
    check(replayed[0] == OK and "decided before" in replayed[2], "its keys answer as before")
    expect(OK, "the copy goes on", "commit", copy, text=transfer("t77", "1"))
    expect(OK, "verify of the copy", "verify", copy)
    expect(ENVIRONMENT, "events into a directory with commits", "import", "events", path,
           "--directory", copy)

    def changed(name, edit):
        broken = lines[:]
        edit(broken)
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(broken) + "\n")
        place = os.path.join(work, "broken")
        shutil.rmtree(place, ignore_errors=True)
        expect(ENVIRONMENT, f"import refuses {name}", "import", "events", path, "--directory", place)

    def edit_field(number, field, new):
        def edit(broken):
            line = json.loads(broken[number])
            line[field] = new(line[field])
            broken[number] = json.dumps(line)
        return edit

    def flip(text):
        data = bytearray(base64.b64decode(text))
        data[len(data) // 2] ^= 1
        return base64.b64encode(bytes(data)).decode()

    with_payload = next(i for i, line in enumerate(lines) if json.loads(line)["payload"])
    changed("a line left out", lambda broken: broken.pop(3))
    changed("two lines changed about", lambda broken: broken.insert(3, broken.pop(4)))
    changed("another hash", edit_field(2, "hash", lambda text: "0" * 64))
    changed("another record", edit_field(2, "record", flip))
    changed("another payload", edit_field(with_payload, "payload", flip))
    changed("another position", edit_field(2, "position", lambda number: number + 1))
    changed("loose base64", edit_field(2, "record", lambda text: text[:-4] + "\n" + text[-4:]))


def damage(data, work):
    """One byte of the log: found, and told where."""
    place = os.path.join(work, "damaged")
    segment = sorted(name for name in os.listdir(os.path.join(data, "log"))
                     if name.endswith(".log"))[0]
    found = 0
    tried = 0
    for page in range(1, 6):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(data, place)
        with open(os.path.join(place, "log", segment), "r+b") as file:
            file.seek(page * 4096 + 200)
            byte = file.read(1)
            file.seek(page * 4096 + 200)
            file.write(bytes([byte[0] ^ 1]))
        code, out, _ = run("verify", place)
        tried += 1
        found += code == NO and "damage" in out and "verify ok" not in out
    check(found == tried, f"verify finds each of {tried} flipped bytes of the log", found)


def find_load():
    for folder, _, names in os.walk(BUILD):
        if "holdfast-load" in names:
            return os.path.join(folder, "holdfast-load")
    return None


def living(work):
    """What only reads works beside a living owner; what must own does not."""
    load = find_load()
    if load is None:
        check(False, "holdfast-load is built")
        return
    data = os.path.join(work, "living")
    process = subprocess.Popen([load, "run", data, os.path.join(work, "living-state")],
                               stdout=subprocess.PIPE, text=True)
    try:
        while process.stdout.readline().strip() not in ("ready", ""):
            pass
        positions = []
        good = True
        until = time.monotonic() + 3
        while time.monotonic() < until or len(positions) < 3:
            code, out, err = run("verify", "--json", data)
            report = as_json(out)
            good = good and code == OK and report.get("ok") is True
            positions.append(report.get("position", 0))
        check(good and len(positions) >= 3 and positions[-1] > positions[0] > 0,
              "verify beside a living owner under load", (positions, out, err))
        check(as_json(run("status", "--json", data)[1]).get("owned") is True, "status says owned")
        lines = run("export", data)[1].splitlines()
        check(len(lines) >= positions[-1], "export beside it", len(lines))
        code, out, err = run("commit", data, text=json.dumps(ACCOUNTS))
        check(code == ENVIRONMENT and not out and "held by another process" in err and "--server=URL" in err,
              "commit says that it is owned, and what to do", err)
        check(process.poll() is None, "the owner goes on")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    expect(OK, "verify when it was killed", "verify", data)


def bank(work):
    """A bank's file: import twice, and the demo with three kills, beside the model."""
    sample = os.path.join(work, "sample.asc")
    subprocess.run([sys.executable, os.path.join(ROOT, "tools", "make-bank-sample.py"), "--rows",
                    "4000", "--seed", "7", "--output", sample], check=True)
    model = os.path.join(work, "model")
    subprocess.run([sys.executable, os.path.join(ROOT, "tests", "model", "bank_model.py"), sample,
                    "--directory", model], check=True, capture_output=True)

    def table(folder, name):
        with open(os.path.join(folder, name), encoding="ascii") as file:
            return file.read()

    bad = [int(line.split("\t")[0]) for line in table(model, "bad.tsv").splitlines()]
    data = os.path.join(work, "bank")
    first = as_json(run("import", "bank", sample, "--directory", data, "--json")[1])
    again = as_json(run("import", "bank", sample, "--directory", data, "--json")[1])
    check(first.get("posted") == 4000 and first.get("bad_lines") == bad, "import bank", first)
    check(again.get("posted") == 4000 and again.get("replayed") == 4000,
          "again: nothing is posted twice", again)
    sides = dict(line.split("\t") for line in table(model, "sides.tsv").splitlines())
    got = {side: as_json(run("get", data, "account", side)[1]).get("posted") for side in sides}
    check(got == sides, "the other sides are the model's", (got, sides))
    demo = os.path.join(work, "demo")
    out = as_json(expect(OK, "demo with three kills", "demo", sample, "--directory", demo,
                         "--kills", "3", "--json"))
    check(out.get("restarts") == 3 and out.get("posted") == 4000 and out.get("replayed", 0) > 1000,
          "three restarts, each row once", out)
    check(out.get("bad_lines") == bad, "the demo reports the bad lines", out)
    for name in "sums.tsv", "refusals.tsv":
        check(table(demo, name) == table(model, name), f"{name} is the model's")


def main():
    work = tempfile.mkdtemp(prefix="holdfast-cli-", dir=os.environ.get("HOLDFAST_TMP", BUILD))
    data = os.path.join(work, "data")
    try:
        usage()
        commits(data)
        reads(data)
        import_commits(data, work)
        histories(data, work)
        damage(data, work)
        expect(OK, "verify of it all", "verify", data)
        bank(work)
        living(work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
