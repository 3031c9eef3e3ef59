"""Processes of the scenarios: services, Holdfast servers, the load; what the books say afterwards.

Every process is started here, killed by its own pid only, and ended when the world is left, also on failure.
"""
import ctypes
import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.parse

from ports import free_port

START_SECONDS_MAX = 30
LOAD_SECONDS_MAX = 300
TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE accounts (name TEXT PRIMARY KEY, balance INTEGER NOT NULL, version INTEGER NOT NULL DEFAULT 0,
                       modified_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')));
CREATE TABLE ledger (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, account TEXT NOT NULL,
                     amount INTEGER NOT NULL, token INTEGER NOT NULL DEFAULT 0);
CREATE INDEX ledger_account ON ledger (account);
CREATE TABLE requests (id TEXT PRIMARY KEY, status INTEGER NOT NULL);
CREATE TABLE locks (name TEXT PRIMARY KEY, owner TEXT NOT NULL, expires_us INTEGER NOT NULL);
CREATE TABLE profiles (name TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE queue (number INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, id TEXT NOT NULL,
                    order_key TEXT NOT NULL, amount INTEGER NOT NULL, total INTEGER NOT NULL,
                    poison INTEGER NOT NULL, die INTEGER NOT NULL, visible_ms INTEGER NOT NULL DEFAULT 0,
                    receives INTEGER NOT NULL DEFAULT 0, deleted INTEGER NOT NULL DEFAULT 0);
CREATE INDEX queue_visible ON queue (queue, deleted, number);
CREATE TABLE audit (id TEXT PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE totals (order_key TEXT PRIMARY KEY, total INTEGER NOT NULL);
"""


LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def die_with_parent():
    """In a child: it is killed when this program ends, however that comes."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class ScenarioError(Exception):
    """The environment failed; the text says where."""


class Process:
    """A program that is started, killed and started again, always in the same way."""

    def __init__(self, command, log):
        self.command = command
        self.log = log
        self.running = None

    def start(self, **options):
        with open(self.log, "ab") as log:
            self.running = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stderr=log,
                                            preexec_fn=die_with_parent,
                                            **({"stdout": log} | options))

    def signal(self, number):
        if self.running is not None and self.running.poll() is None:
            self.running.send_signal(number)

    def kill(self):
        """kill -9, and waits until it is gone."""
        self.signal(signal.SIGKILL)
        if self.running is not None:
            self.running.wait()

    def complaint(self):
        with open(self.log, "rb") as log:
            return log.read()[-500:].decode("utf-8", "replace").strip()


class Service(Process):
    """One instance of an example service; it keeps its port when it is started again."""

    def __init__(self, program, options, log):
        super().__init__([program, *options, "--port", "0"], log)
        self.port = 0

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        self.command[-1] = str(self.port)
        super().start(stdout=subprocess.PIPE)
        line = self.running.stdout.readline().split()
        if len(line) != 2 or line[0] != b"listening":
            raise ScenarioError(f"{self.command[0]} does not start: {self.complaint()}")
        self.port = int(line[1])

    def restart(self, *more):
        """With these further options from now on."""
        self.kill()
        self.running.stdout.close()
        self.command[-2:-2] = more
        self.start()


class Server(Process):
    """A `holdfast serve`. Two of them on one directory are an owner and its standby."""

    def __init__(self, program, directory, log, options=()):
        self.port = free_port()
        super().__init__([program, "serve", "--data", directory, "--listen", self.address, *options], log)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        super().start()
        end = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                if self.ask("GET", "/readyz")[0] == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            if self.running.poll() is not None or time.monotonic() > end:
                raise ScenarioError(f"holdfast serve does not start: {self.complaint()}")
            time.sleep(0.02)

    def restart(self):
        self.kill()
        self.start()

    def ask(self, method, path, body=None, headers=None):
        """(status, JSON or None)"""
        connection = http.client.HTTPConnection(self.address, timeout=START_SECONDS_MAX)
        try:
            text = None if body is None else json.dumps(body)
            head = {"Content-Type": "application/json"} if text is not None else {}
            connection.request(method, path, text, head | (headers or {}))
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content else None
        finally:
            connection.close()

    def must(self, method, path, body=None, headers=None):
        status, answer = self.ask(method, path, body, headers)
        if status not in (200, 201):
            raise ScenarioError(f"{method} {path}: {status} {answer}")
        return answer

    def pages(self, path):
        """All items of a list."""
        after = None
        mark = "&" if "?" in path else "?"
        while True:
            page = self.must("GET", f"{path}{mark}limit=1000" + (
                f"&after={urllib.parse.quote(after)}" if after else ""))
            yield from page["data"]
            after = page["next"]
            if after is None:
                return


class World:
    """The processes of one variant of a story, and its books."""

    def __init__(self, story, naive, build, directory):
        self.story = story
        self.naive = naive
        self.build = build
        self.directory = directory
        self.processes = []
        self.servers = []    # Holdfast's, the owner first
        self.peers = {}      # name → service
        self.instances = []  # of the service that the load goes to
        self.workers = []    # services that nobody calls: they take from a queue
        self.guard = threading.Lock()  # of restarts
        self.leaving = threading.Event()
        self.keeper = None   # restarts workers that died
        self.database = os.path.join(directory, "naive.sqlite")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leaving.set()
        if self.keeper is not None:
            self.keeper.join()
        for process in self.processes:
            process.signal(signal.SIGCONT)
            process.kill()
            if process.running is not None and process.running.stdout is not None:
                process.running.stdout.close()

    def path(self, name):
        return os.path.join(self.directory, name)

    def add(self, process):
        self.processes.append(process)
        process.start()
        return process

    def start(self):
        if self.naive:
            with sqlite3.connect(self.database) as connection:
                connection.executescript(TABLES)
        else:
            for number in range(self.story.servers):
                self.servers.append(self.add(Server(os.path.join(self.build, "holdfast"),
                                                    self.path("data"),
                                                    self.path(f"serve{number}.log"),
                                                    self.story.serve_options)))
        self.story.open_books(self)
        for name in self.story.peers:
            self.peers[name] = self.add_service(name)
        for number in range(self.story.instances):
            self.instances.append(self.add_service(self.story.service, number))
        for number in range(self.story.workers):
            self.workers.append(self.add_service(self.story.worker, number))
        if self.workers:
            self.keeper = threading.Thread(target=self.keep_workers)
            self.keeper.start()

    def keep_workers(self):
        """What a platform does: a process that has died is started again."""
        while not self.leaving.wait(0.02):
            with self.guard:
                for worker in self.workers:
                    if worker.running.poll() is not None:
                        worker.restart()

    def deploy(self, *options):
        """The workers anew, with these options from now on."""
        with self.guard:
            for worker in self.workers:
                worker.restart(*options)

    def add_service(self, name, number=0):
        """An instance; it knows the peers that there are. Each asks another Holdfast server first."""
        program = os.path.join(self.build, "examples", "scenario-" + name)
        options = ["--naive", "--database", self.database]
        if not self.naive:
            first = number % len(self.servers)
            servers = self.servers[first:] + self.servers[:first]
            options = ["--holdfast", ",".join("http://" + server.address for server in servers)]
        if self.story.workers:
            options += ["--deaths", self.directory]
        for peer, service in self.peers.items():
            options += ["--peer", f"{peer}={service.address}"]
        return self.add(Service(program, options, self.path(f"{name}{number}.log")))

    def run(self, plan, faults):
        """Sends the plan; faults: {answers: function(world)}. [(status, tries, text)] in the plan's order."""
        command = [os.path.join(self.build, "examples", "scenario-load"), "-c",
                   str(self.story.connections)]
        for mark in sorted(faults):
            command += ["-m", str(mark)]
        command += [instance.address for instance in self.instances]
        with open(self.path("plan"), "w", encoding="ascii") as file:
            file.writelines(f"{instance}\t{path}\n" for instance, path in plan)
        with open(self.path("plan"), "rb") as source, open(self.path("results"), "wb") as results:
            load = subprocess.Popen(command, stdin=source, stdout=results, stderr=subprocess.PIPE,
                                    preexec_fn=die_with_parent, text=True)
        watchdog = threading.Timer(LOAD_SECONDS_MAX, load.kill)
        watchdog.start()
        try:
            for line in load.stderr:
                words = line.split()
                if len(words) == 2 and words[0] == "mark":
                    faults[int(words[1])](self)
                else:
                    raise ScenarioError(f"load: {line.strip()}")
            if load.wait() != 0:
                raise ScenarioError(f"load: exit status {load.returncode}; {self.complaints()}")
        finally:
            watchdog.cancel()
            load.kill()
            load.wait()
            load.stderr.close()
        with open(self.path("results"), encoding="utf-8") as file:
            rows = [line.rstrip("\n").split("\t", 2) for line in file]
        return [(int(status), int(tries), text) for status, tries, text in rows]

    def complaints(self):
        return " | ".join(filter(None, (process.complaint() for process in self.processes)))

    # ---- books ----

    def server(self):
        """One that is alive."""
        for server in self.servers:
            if server.running.poll() is None:
                return server
        raise ScenarioError(f"no Holdfast server is left: {self.complaints()}")

    def open_accounts(self, balances, asset):
        """Accounts with a balance each; the naive ones are rows, Holdfast's have a floor of 0."""
        if self.naive:
            with sqlite3.connect(self.database) as connection:
                connection.executemany("INSERT INTO accounts (name, balance) VALUES (?, ?)",
                                       balances.items())
                connection.executemany(
                    "INSERT INTO ledger (id, account, amount) VALUES ('opening', ?, -?)",
                    balances.items())
                connection.executemany("INSERT INTO locks VALUES (?, '', 0)",
                                       ((name,) for name in balances))
            return
        do = [{"op": "open_account", "account": name, "asset": asset, "floor": None}
              for name in ("world", "sold")]
        for name, balance in balances.items():
            do.append({"op": "open_account", "account": name, "asset": asset})
            do.append({"op": "transfer", "from": "world", "to": name, "asset": asset,
                       "amount": str(balance)})
        self.server().must("POST", "/v1/commits", {"do": do}, {"Idempotency-Key": "books"})

    def open_profiles(self, users):
        if self.naive:
            with sqlite3.connect(self.database) as connection:
                connection.executemany("INSERT INTO profiles VALUES (?, '{}')",
                                       ((user,) for user in users))
            return
        do = [{"op": "put", "document": user, "data": {}} for user in users]
        self.server().must("POST", "/v1/commits", {"do": do}, {"Idempotency-Key": "books"})

    def naive_rows(self, query):
        connection = sqlite3.connect(self.database)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def debits(self, accounts):
        """Effects (id, account, amount, 0) of what was taken off the accounts, each account's in order."""
        if self.naive:
            return [(*row, 0) for row in self.naive_rows(
                "SELECT id, account, amount FROM ledger WHERE amount > 0 ORDER BY seq")]
        effects = []
        for account in accounts:
            entries = sorted(self.server().pages(f"/v1/accounts/{account}/entries"),
                             key=lambda entry: entry["version"])
            before = 0
            for entry in entries:
                after = int(entry["debits_posted"])
                if after != before:
                    effects.append((entry.get("hold") or entry["transfer"], account,
                                    after - before, 0))
                before = after
        return effects

    def jobs(self, users):
        """Effects (id, user, amount, token) of jobs, each user's in order."""
        if self.naive:
            return self.naive_rows("SELECT id, account, amount, token FROM ledger WHERE "
                                   "amount > 0 ORDER BY seq")
        return [(event["id"], user, event["data"]["amount"], event["data"]["token"])
                for user in users for event in self.server().pages(f"/v1/streams/jobs:{user}/events")]

    def balances(self, accounts):
        if self.naive:
            return dict(self.naive_rows("SELECT name, balance FROM accounts"))
        return {name: int(self.server().must("GET", f"/v1/accounts/{name}")["posted"])
                for name in accounts}

    def profiles(self, users):
        if self.naive:
            rows = self.naive_rows("SELECT name, body FROM profiles")
            return {name: json.loads(body) for name, body in rows}
        return {user: self.server().must("GET", f"/v1/documents/{user}") for user in users}

    def feed(self, prefix):
        """All events of the feed whose subject begins so."""
        cursor = "from=beginning"
        while True:
            page = self.server().must("GET", f"/v1/feed?{cursor}&limit=1000&prefix={prefix}")
            yield from page["data"]
            if not page["data"]:
                return
            cursor = "after=" + urllib.parse.quote(page["next"])
