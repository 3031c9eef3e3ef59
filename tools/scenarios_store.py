"""The story of the store, P9 (docs/scenarios.md, examples/store): order → inventory, payment, notification.

Four services with books of their own. Naive the order service calls the others in a row; with Holdfast it starts a saga.
The payment service is examples/store/payment.mjs if there is Node.js, else (or with PAYMENT=c) the same in C.
"""
import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time

import scenarios_run
import scenarios_stories
from scenarios_stories import model

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STORE = os.path.join(ROOT, "examples", "store")
SERVICES = ("inventory", "payment", "notification", "order")
PORTS = {8101: "order", 8102: "inventory", 8103: "payment", 8104: "notification"}  # in store.json
NODE_LEAST = 16
SETTLE_SECONDS_MAX = 120
STILL_SECONDS = 3  # longer than a service pauses at most (fault.c)
ACTIONS = ("open", "reserve", "charge", "confirm", "mail")
UNDOS = ("cancel", "release", "refund")
ONCE = ("die-before", "die-between", "die-after", "slow", "late-before", "late-after", "500-before", "500-after", "twice")
RICH = 10 ** 9


def node_version():
    """"v20.1.0"; None: there is none, or it is too old."""
    program = shutil.which("node")
    if program is None:
        return None
    text = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    major = text.lstrip("v").split(".")[0]
    return text if major.isdigit() and int(major) >= NODE_LEAST else None


def use_node():
    wanted = os.environ.get("PAYMENT", "")
    if wanted == "node" and node_version() is None:
        raise scenarios_run.ScenarioError(f"PAYMENT=node, and there is no Node.js {NODE_LEAST} or newer")
    return wanted != "c" and node_version() is not None


def every_fault():
    """Each fault at each place, as an order carries it; the compensations' behind a refusal."""
    for step in ACTIONS:
        for kind in ONCE + ("401",):
            yield f"{step}:{kind}"
    for step in UNDOS:
        for kind in ONCE + ("401",):
            yield f"confirm:422.{step}:{kind}"
    for step in ("reserve", "charge", "confirm"):
        yield f"{step}:422"
        for kind in ("500-after", "die-after"):  # perhaps done, then refused
            yield f"{step}:422.{step}:{kind}"
    for kind in ("die-before", "die-between", "die-after"):
        yield f"submit:{kind}"


class Books:
    """What the four services say in the end."""

    def __init__(self, world):
        self.states = dict(world.rows("order", "SELECT id, state FROM orders"))
        self.stock = dict(world.rows("inventory", "SELECT item, stock FROM items"))
        self.reserved = world.rows("inventory", "SELECT order_id, item, units FROM reservations ORDER BY number")
        self.mails = world.rows("notification", "SELECT order_id, payment FROM mails ORDER BY number")
        if world.node:
            lines = world.journal()
            self.money = {line["customer"]: line["left"] for line in lines if "left" in line}
            self.paid = [(line["order"], line["customer"], line["amount"], line["number"])
                         for line in lines if "number" in line]
        else:
            self.money = dict(world.rows("payment", "SELECT customer, money FROM wallets"))
            self.paid = world.rows("payment", "SELECT order_id, customer, amount, number FROM payments ORDER BY number")

    def moves(self):
        """A number that changes when something moves."""
        return len(self.reserved), len(self.paid), len(self.mails), sorted(self.states.items())


class StoreWorld(scenarios_run.World):
    """A process and a database for each service; who dies is started again."""

    def __init__(self, story, naive, build, directory):
        super().__init__(story, naive, build, directory)
        self.node = use_node()
        self.services = {}

    def start(self):
        for name in SERVICES:
            self.create(name)
        if not self.naive:
            self.servers.append(self.add(scenarios_run.Server(
                os.path.join(self.build, "holdfast"), self.path("data"), self.path("serve.log"),
                self.story.serve_options)))
        for name in SERVICES:
            self.services[name] = self.add(self.service(name))
        self.workers = list(self.services.values())
        self.instances = [self.services["order"]]
        if not self.naive:
            self.define()
        self.keeper = threading.Thread(target=self.keep_workers)
        self.keeper.start()

    def create(self, name):
        stock, money = self.story.opening
        if name == "payment" and self.node:
            with open(self.path("payment.journal"), "w", encoding="utf-8") as file:
                for customer, amount in money.items():
                    file.write(json.dumps({"customer": customer, "left": amount}) + "\n")
            return
        connection = sqlite3.connect(self.path(name + ".sqlite"))
        for script in (os.path.join(STORE, name + ".sql"), os.path.join(ROOT, "sql", "barrier-sqlite.sql")):
            with open(script, encoding="utf-8") as file:
                connection.executescript(file.read())
        if name == "inventory":
            connection.executemany("INSERT INTO items VALUES (?, ?)", stock.items())
        elif name == "payment":
            connection.executemany("INSERT INTO wallets VALUES (?, ?)", money.items())
        connection.commit()
        connection.close()

    def service(self, name):
        options = ["--naive"] if self.naive else []
        options += ["--deaths", self.directory]
        log = self.path(name + ".log")
        if name == "payment" and self.node:
            return scenarios_run.Service(shutil.which("node"), [
                os.path.join(STORE, "payment.mjs"), "--journal", self.path("payment.journal"), *options], log)
        options += ["--database", self.path(name + ".sqlite")]
        if name == "order" and self.naive:
            for peer, service in self.services.items():
                options += ["--peer", f"{peer}={service.address}"]
        elif name == "order":
            options += ["--holdfast", "http://" + self.server().address]
        return scenarios_run.Service(os.path.join(self.build, "examples", "scenario-store-" + name), options, log)

    def define(self):
        with open(os.path.join(STORE, "store.json"), encoding="utf-8") as file:
            text = file.read()
        for port, name in PORTS.items():
            text = text.replace(f"127.0.0.1:{port}", self.services[name].address)
        self.server().must("PUT", "/v1/saga-definitions/store/1", json.loads(text))

    def rows(self, name, query):
        connection = sqlite3.connect(self.path(name + ".sqlite"), timeout=30)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def journal(self):
        """Whole lines only: the last one may be under way."""
        with open(self.path("payment.journal"), encoding="utf-8") as file:
            text = file.read()
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def restart(self, name):
        with self.guard:
            self.services[name].restart()

    def retry_parked(self):
        """The operator, once the key is right: all that parked goes on, page by page."""
        page = {"verb": "retry", "filter": {"state": "parked"}, "reason": "the key is right again"}
        for number in itertools.count():
            answer = self.server().must("POST", "/v1/saga-verbs", page, {"Idempotency-Key": f"after-the-fix-{number}"})
            if answer["next"] is None:
                return
            page["after"] = answer["next"]

    def unfinished(self, *states):
        return [saga["id"] for state in states
                for saga in self.server().must("GET", f"/v1/sagas?state={state}&limit=1000")["data"]]


class Store(scenarios_stories.Story):
    number, title = "P9", "incomplete operation"
    service, world, connections = "order", StoreWorld, 32
    serve_options = ("--deliver-allow", "127.0.0.0/8")  # the services are here

    @staticmethod
    def note():
        version = node_version()
        if use_node():
            return f"payment: examples/store/payment.mjs, Node.js {version}"
        return "payment: the service in C" + ("" if version else f"; skipped: payment.mjs (no Node.js {NODE_LEAST} or newer)")

    def build(self, scale):
        small = scale <= 4
        self.instances = 1
        stock, money = {"plenty": RICH}, {"rich": RICH, "poor": 5}
        orders = []  # (customer, item, units, faults)
        faulty = list(every_fault())
        faulty = self.random.sample(faulty, len(faulty) // 2) if small else faulty * 2
        orders += [("rich", "plenty", self.random.randrange(1, 4), faults) for faults in faulty]
        orders += [("rich", "plenty", 1, "") for _ in range(25 * scale)]
        orders += [("poor", "plenty", 1, "") for _ in range(2 * scale)]
        for number in range(2 * scale):
            units = self.random.randrange(1, 4)
            item = f"scarce:{number}"
            stock[item] = units * self.random.randrange(1, 4)
            orders += [("rich", item, units, "") for _ in range(6)]
        self.random.shuffle(orders)
        self.opening = (stock, money)
        for number, (customer, item, units, faults) in enumerate(orders):
            request, amount = f"o{number}", units * self.random.randrange(10, 100)
            self.requests[request] = (customer, item, units, amount, ":422" in faults)
            path = (f"/order?order={request}&customer={customer}&item={item}&units={units}&amount={amount}"
                    + (f"&fault={faults}" if faults else ""))
            for _ in range(2 if self.random.random() < 0.1 else 1):
                self.ask(request, path)

    def faults(self):
        """Besides what the orders carry: each service and Holdfast are killed while many orders are under way."""
        def kill(names):
            def run(world):
                for name in names:
                    world.restart(name)
                for server in world.servers:
                    server.restart()
            return run
        kills = (("order",), ("inventory",), ("payment",), ("notification",), SERVICES)
        return {len(self.plan) * (place + 1) // 7: kill(names) for place, names in enumerate(kills)}

    def settle(self, world):
        """Until nothing moves. What parked goes on when the key is right again and an operator says so."""
        for server in world.servers:
            server.restart()  # once more, while calls are out
        self.wait(world)
        with open(world.path("mended"), "w", encoding="utf-8"):
            pass
        if not world.naive:
            world.retry_parked()
            self.wait(world)

    @staticmethod
    def wait(world):
        end = time.monotonic() + SETTLE_SECONDS_MAX
        seen, since = None, time.monotonic()
        while time.monotonic() < end:
            now = Books(world).moves()
            if now != seen:
                seen, since = now, time.monotonic()
            busy = not world.naive and world.unfinished("scheduled", "running", "waiting", "compensating")
            if not busy and time.monotonic() - since > (STILL_SECONDS if world.naive else 0):
                return
            time.sleep(0.1)

    def judge(self, world, answers):
        return model.judge_store(self.requests, self.opening, answers, Books(world))


STORIES = [Store]
