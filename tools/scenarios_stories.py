"""The stories (docs/scenarios.md): who runs, what is asked, what is killed, how the books are judged.

Both variants of a story get the same plan, made from the seed, the same concurrency and the same faults.
"""
import collections
import os
import signal
import sys
import threading

import scenarios_run

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "model"))
import scenario_model as model  # noqa: E402  (a folder of its own: it must share no code with us)

PAUSE_SECONDS = 0.4  # longer than a lock lasts (examples/job/job.c)
RICH = 10 ** 12


class Story:
    number = title = service = ""
    peers = []         # services behind it, in the order in which they are started
    instances = 3      # of the service
    servers = 1        # of Holdfast
    serve_options = ()  # further ones of it
    worker = ""        # a service that takes from a queue…
    workers = 0        # …and its instances
    connections = 16   # at once
    asset = "USD/2"
    world = scenarios_run.World

    @staticmethod
    def note():
        """Something about this machine that changes what is run; "" if there is nothing to say."""
        return ""

    def __init__(self, random, small):
        self.random = random
        self.opening = {}   # account → balance
        self.requests = {}  # id → what the model needs to know
        self.plan = []      # (instance, path)
        self.sent = []      # ids, in the plan's order
        self.build(4 if small else 10)

    def build(self, scale):
        raise NotImplementedError

    def ask(self, request, path, instance=None):
        """A line of the plan."""
        number = self.random.randrange(self.instances) if instance is None else instance
        self.plan.append((number, path))
        self.sent.append(request)

    def open_books(self, world):
        world.open_accounts(self.opening, self.asset)

    def faults(self):
        """{answers: function(world)}"""
        return {}

    def settle(self, world):
        """Waits until what was begun has ended."""

    def judge(self, world, answers):
        return model.judge_spendings(self.requests, self.opening, answers,
                                     world.debits(self.opening))

    def play(self, world):
        """(verdict, retries)"""
        world.start()
        results = world.run(self.plan, self.faults())
        self.settle(world)
        answers = collections.defaultdict(set)
        retries = 0
        for request, (status, _, text) in zip(self.sent, results):
            answers[request].add(status)
            retries += sum(int(word[8:]) for word in text.split() if word.startswith("retries="))
        return self.judge(world, answers), retries


class Spending(Story):
    """Accounts that can bear fewer requests than come in quick succession."""
    path = parameter = ""
    accounts_per_scale, requests_per_account = 5, 6
    fit = (1, 3)  # so many of them can be borne

    def build(self, scale):
        for number in range(self.accounts_per_scale * scale):
            account = f"users:{number}"
            amount = self.random.randrange(30, 100)
            fit = self.random.randrange(*self.fit)
            self.opening[account] = fit * amount + self.random.randrange(amount)
            for turn in range(self.requests_per_account):
                request = f"r{number}-{turn}"
                self.requests[request] = (account, amount)
                self.ask(request, f"{self.path}?id={request}&{self.parameter}={account}"
                                  f"&amount={amount}")


class DoubleWithdrawal(Spending):
    number, title = "P1", "double withdrawal"
    service, peers, path, parameter = "pay", ["balance", "charge"], "/pay", "user"


class DuplicateRequest(Story):
    number, title = "P2", "duplicate request"
    service, peers = "pay", ["balance", "charge"]

    def build(self, scale):
        copies = []
        for number in range(4 * scale):
            self.opening[f"users:{number}"] = RICH
        for number in range(30 * scale):
            account = f"users:{self.random.randrange(4 * scale)}"
            amount = self.random.randrange(1, 100)
            request = f"r{number}"
            self.requests[request] = (account, amount)
            for _ in range(self.random.randrange(1, 4)):
                copies.append((number + self.random.randrange(6), request, account, amount))
        for _, request, account, amount in sorted(copies, key=lambda copy: copy[0]):
            self.ask(request, f"/pay?id={request}&user={account}&amount={amount}")

    def faults(self):
        def kill(world):
            world.instances[0].restart()
            world.peers["charge"].restart()
            for server in world.servers:
                server.restart()
        return {len(self.plan) * share // 3: kill for share in (1, 2)}


class StaleDecision(Story):
    number, title = "P3", "stale decision"
    service, peers = "pay", ["balance", "charge"]

    def build(self, scale):
        self.opening = {f"users:{number}": RICH for number in range(4)}
        for number in range(40 * scale):
            request, account = f"r{number}", f"users:{number % 4}"
            self.requests[request] = (account, 0)
            self.ask(request, f"/sweep?id={request}&user={account}")

    def judge(self, world, answers):
        # A refused try spends its id, so the withdrawal's id is the request's with the try behind it.
        effects = [(request.split(".")[0], *rest)
                   for request, *rest in world.debits(self.opening)]
        return model.judge_decisions(self.requests, self.opening, answers, effects,
                                     lambda balance: balance // 10)


class WalletOfRows(Spending):
    number, title = "P4", "wallet as a list"
    service, path, parameter, connections = "wallet", "/purchase", "wallet", 32
    accounts_per_scale = 25


class LostUpdate(Story):
    number, title = "P10", "lost update"
    service, instances, connections = "profile", 2, 32

    def build(self, scale):
        self.users = [f"users:{number}" for number in range(15 * scale)]
        for user in self.users:
            for field in range(8):
                request = f"{user}-{field}"
                value = f"v{self.random.randrange(10 ** 6)}"
                self.requests[request] = (user, f"f{field}", value)
                self.ask(request, f"/set?user={user}&field=f{field}&value={value}", field % 2)

    def open_books(self, world):
        world.open_profiles(self.users)

    def judge(self, world, answers):
        return model.judge_profiles(self.requests, answers, world.profiles(self.users))


class DeposedOwner(Story):
    number, title = "P11", "deposed owner"
    service, peers, instances = "job", ["balance"], 2

    def build(self, scale):
        self.opening = {f"users:{number}": RICH for number in range(8)}
        for number in range(48 * scale):
            request, account = f"r{number}", f"users:{number % 8}"
            self.requests[request] = (account, 0)
            self.ask(request, f"/work?id={request}&user={account}")

    def faults(self):
        def pause(number):
            def stop(world):
                instance = world.instances[number % self.instances]
                instance.signal(signal.SIGSTOP)
                timer = threading.Timer(PAUSE_SECONDS, instance.signal, [signal.SIGCONT])
                timer.start()
                timer.join()
            return stop
        return {len(self.plan) * share // 9: pause(share) for share in range(1, 9)}

    def judge(self, world, answers):
        return model.judge_jobs(self.requests, self.opening, answers, world.jobs(self.opening),
                                world.balances(self.opening))


class EntityOwner(Spending):
    number, title = "P12", "entity owner"
    service, path, parameter, instances, servers = "owner", "/purchase", "wallet", 2, 2
    requests_per_account, fit = 12, (3, 6)

    def build(self, scale):
        super().build(scale)
        order = list(range(len(self.plan)))  # a wallet's requests come over a long time
        self.random.shuffle(order)
        self.plan = [self.plan[index] for index in order]
        self.sent = [self.sent[index] for index in order]

    def faults(self):
        def kill(world):
            world.instances[0].restart()
            if world.servers:
                world.servers[0].kill()
        return {len(self.plan) // 2: kill}


class EveryoneRetries(Story):
    number, title = "P17", "everyone retries"
    service, peers, connections = "pay", ["balance", "charge"], 64

    def build(self, scale):
        count = max(40 * scale, 320)  # who is turned away is chance: not too few of them
        self.opening = {"hot": count * 3 // 4}
        for number in range(count):
            request = f"r{number}"
            self.requests[request] = ("hot", 1)
            self.ask(request, f"/spend?id={request}&user=hot&amount=1")

    def judge(self, world, answers):
        return model.judge_hot(self.requests, self.opening, answers, world.debits(self.opening))


class LaggingCopy(Story):
    number, title = "P18", "lagging copy"
    service, asset = "shop", "UNIT/0"

    def build(self, scale):
        for number in range(4 * scale):
            units = self.random.randrange(1, 4)
            self.opening[f"items:{number}"] = units * self.random.randrange(3, 6)
            for turn in range(10):
                request = f"r{number}-{turn}"
                self.requests[request] = (f"items:{number}", units)
                self.ask(request, f"/buy?id={request}&item=items:{number}&units={units}")


STORIES = [DoubleWithdrawal, DuplicateRequest, StaleDecision, WalletOfRows, LostUpdate, DeposedOwner,
           EntityOwner, EveryoneRetries, LaggingCopy]
