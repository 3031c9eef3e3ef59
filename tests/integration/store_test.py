#!/usr/bin/env python3
"""The store's payment services (examples/store) as participants of sagas, in C and in Node.js: every order of messages, kills
in the middle of them, messages at once, messages that are none. Prints TAP.

    HOLDFAST_BUILD=build tests/integration/store_test.py
"""
import collections
import http.client
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("HOLDFAST_BUILD", os.path.join(ROOT, "build"))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import scenarios_run  # noqa: E402
import scenarios_store  # noqa: E402
from barrier_rig import vectors  # noqa: E402
from tap import Tap  # noqa: E402

MONEY, AMOUNT = 1000, 10
THREADS, RACES = 6, 30

tap = Tap()
check = tap.check


class Payment:
    """The service, its books, and a connection to it."""

    def __init__(self, directory, node, customers):
        self.directory = directory
        self.node = node
        self.books = os.path.join(directory, "payment.journal" if node else "payment.sqlite")
        self.connection = None
        self.open_books(customers)
        options = ["--deaths", directory]
        if node:
            command, options = shutil.which("node"), [os.path.join(scenarios_store.STORE, "payment.mjs"), "--journal", self.books, *options]
        else:
            command, options = os.path.join(BUILD, "examples", "scenario-store-payment"), ["--database", self.books, *options]
        self.service = scenarios_run.Service(command, options, os.path.join(directory, "payment.log"))
        self.service.start()

    def open_books(self, customers):
        if self.node:
            with open(self.books, "w", encoding="utf-8") as file:
                file.writelines(json.dumps({"customer": customer, "left": MONEY}) + "\n" for customer in customers)
            return
        db = sqlite3.connect(self.books)
        for script in (os.path.join(scenarios_store.STORE, "payment.sql"), os.path.join(ROOT, "sql", "barrier-sqlite.sql")):
            with open(script, encoding="utf-8") as file:
                db.executescript(file.read())
        db.executemany("INSERT INTO wallets VALUES (?, ?)", ((customer, MONEY) for customer in customers))
        db.commit()
        db.close()

    def end(self):
        self.service.kill()
        self.service.running.stdout.close()

    def restart(self):
        self.service.restart()
        self.connection = None

    def send(self, path, headers, body, connection=None):
        """(status, body)"""
        mine = connection or self.connection
        if mine is None:
            mine = self.connection = http.client.HTTPConnection(self.service.address, timeout=30)
        try:
            mine.request("POST", path, body, headers)
            answer = mine.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            mine.close()
            raise

    def step(self, saga, op, customer, amount=AMOUNT, fault=None, connection=None):
        path = "/refund" if op == "compensate" else "/charge"
        body = {"order": saga, "customer": customer, "amount": amount} | ({"fault": fault} if fault else {})
        return self.send(path, {"Saga-Id": saga, "Saga-Step": "charge", "Saga-Op": op}, json.dumps(body), connection)

    def effects(self):
        """{saga: [charged, refunded]}, {customer: money}"""
        if self.node:
            with open(self.books, encoding="utf-8") as file:
                lines = [json.loads(line) for line in file]
            rows = [(line["order"], line["amount"]) for line in lines if "number" in line]
            money = {line["customer"]: line["left"] for line in lines if "left" in line}
        else:
            db = sqlite3.connect(self.books)
            rows = db.execute("SELECT order_id, amount FROM payments").fetchall()
            money = dict(db.execute("SELECT customer, money FROM wallets"))
            db.close()
        found = collections.defaultdict(lambda: [0, 0])
        for saga, amount in rows:
            found[saga][amount < 0] += 1
        return found, money


def distinct():
    """The vectors; of those in which the same messages arrive, one (elsewhere they are lost in other ways, too)."""
    found = {}
    for case in vectors()["orders"]:
        arriving = [message for message, arrives in zip(case["order"], case["arrives"]) if arrives]
        found.setdefault(tuple((message, case["business"].get(message)) for message in arriving), case)
    return list(found.values())


def play(payment, saga, customer, case):
    """(answers, the bodies that actions were answered with); what is lost never comes."""
    answers, bodies = [], set()
    for message, arrives in zip(case["order"], case["arrives"]):
        if not arrives:
            answers.append(None)
            continue
        undo = message == "compensate"
        amount = AMOUNT if undo or case["business"][message] == "succeeds" else MONEY + 1
        answers.append(payment.step(saga, "compensate" if undo else "action", customer, amount))
        if not undo:
            bodies.add(answers[-1][1])
    return answers, bodies


def every_order(payment, cases):
    wrong, first = [], {}
    for number, case in enumerate(cases):
        saga = f"order-{number}"
        answers, bodies = play(payment, saga, f"c{number}", case)
        wanted = [None if answer is None else 200 if answer[0] == 201 else answer[0] for answer in case["answers"]]
        if [answer and answer[0] for answer in answers] != wanted or len(bodies) > 1:
            wrong.append((case, answers))
        first[number] = next((answer for message, answer in zip(case["order"], answers) if answer and message != "compensate"), None)
    effects, money = payment.effects()
    for number, case in enumerate(cases):
        if effects[f"order-{number}"] != [case["charged"], case["refunded"]]:
            wrong.append((case, effects[f"order-{number}"]))
        if money[f"c{number}"] != MONEY - AMOUNT * (case["charged"] - case["refunded"]):
            wrong.append((case, money[f"c{number}"]))
    return wrong, first


def test_orders(payment, name, cases):
    wrong, first = every_order(payment, cases)
    check(not wrong, f"{name}: {len(cases)} orders of messages", wrong[:3])
    payment.restart()
    changed = [number for number, answer in first.items()
               if answer and payment.step(f"order-{number}", "action", f"c{number}") != answer]
    check(not changed, f"{name}: after kill -9 each is answered the same", changed[:3])


def test_kills(payment, name):
    """The process dies in the transaction, and behind it; then the message comes again."""
    wrong = []
    for number in range(6):
        saga = f"killed-{number}"
        for op, step in (("action", "charge"), ("compensate", "refund")):
            fault = f"{step}:die-{'between' if number % 2 else 'after'}"
            try:
                wrong.append((saga, op, payment.step(saga, op, "killed", fault=fault)))
            except (OSError, http.client.HTTPException):
                payment.restart()
            charged = payment.effects()[0][saga]
            if charged != [int(op == "compensate" or number % 2 == 0), int(op == "compensate" and number % 2 == 0)]:
                wrong.append((saga, op, charged))
            if payment.step(saga, op, "killed", fault=fault)[0] != 200:
                wrong.append((saga, op, "again"))
        if payment.effects()[0][saga] != [1, 1]:
            wrong.append((saga, payment.effects()[0][saga]))
    check(not wrong and payment.effects()[1]["killed"] == MONEY, f"{name}: killed in the middle, and sent again", wrong[:3])


def test_races(payment, name):
    """Actions and compensations of a step at once: charged as often as refunded, and at most once."""
    def send(barrier, number):
        connection = http.client.HTTPConnection(payment.service.address, timeout=30)
        for race in range(RACES):
            barrier.wait()
            payment.step(f"race-{race}", "compensate" if number == race % THREADS else "action", "race", connection=connection)
        connection.close()
    barrier = threading.Barrier(THREADS)
    threads = [threading.Thread(target=send, args=(barrier, number)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    effects, money = payment.effects()
    counts = collections.Counter(tuple(effects[f"race-{race}"]) for race in range(RACES))
    check(set(counts) <= {(0, 0), (1, 1)} and sum(counts.values()) == RACES and money["race"] == MONEY,
          f"{name}: {THREADS} at once", counts)


def test_hostile(payment, name):
    good = {"Saga-Id": "s", "Saga-Step": "charge", "Saga-Op": "action"}
    body = json.dumps({"order": "s", "customer": "hostile", "amount": AMOUNT})
    found = [payment.send(path, headers, text)[0] for path, headers, text in (
        ("/charge", {}, body), ("/charge", good | {"Saga-Id": "x" * 256}, body), ("/charge", good | {"Saga-Step": "a b"}, body),
        ("/refund", good, body), ("/charge", good, "{"), ("/charge", good, ""), ("/charge", good, "[]"),
        ("/charge", good, json.dumps({"order": "../x", "customer": "hostile", "amount": AMOUNT})),
        ("/charge", good, json.dumps({"order": "x" * 5000})))]
    check(found == [405, 405, 405, 405, 400, 400, 400, 400, 413] and payment.effects()[1]["hostile"] == MONEY,
          f"{name}: what is no call of a saga", found)


def test_torn(payment, name):
    """The last line of the journal is cut off by a crash: it never happened, and what comes next is whole."""
    payment.step("torn-1", "action", "torn")
    payment.service.kill()
    size = os.path.getsize(payment.books)
    with open(payment.books, "ab") as file:
        file.write(b'{"saga":"torn-2","step":"charge","op":"action","status":200,"bo')
    payment.restart()
    check(os.path.getsize(payment.books) == size and payment.step("torn-2", "action", "torn")[0] == 200
          and payment.effects()[1]["torn"] == MONEY - 2 * AMOUNT, f"{name}: a torn line")


def run(node):
    name = "payment.mjs" if node else "payment.c"
    cases = distinct()
    customers = [f"c{number}" for number in range(len(cases))] + ["killed", "race", "hostile", "torn"]
    with tempfile.TemporaryDirectory(prefix="holdfast-store-") as directory:
        payment = Payment(directory, node, customers)
        try:
            test_orders(payment, name, cases)
            test_kills(payment, name)
            test_races(payment, name)
            test_hostile(payment, name)
            if node:
                test_torn(payment, name)
        finally:
            payment.end()


if os.path.exists(os.path.join(BUILD, "examples", "scenario-store-payment")):
    run(node=False)
else:
    tap.skip("payment.c", "not built: -Dscenarios=true")
if scenarios_store.node_version():
    run(node=True)
else:
    tap.skip("payment.mjs", f"no Node.js {scenarios_store.NODE_LEAST} or newer")
sys.exit(tap.end())
