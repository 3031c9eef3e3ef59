"""What the tests of sql/barrier-*.sql share: a payment service over any of the databases, the vectors, the race. No test itself.

A Participant is one connection of the service: it charges an account in an action and refunds in a compensation. Its ledger
has no key and its account no rule, so that an effect which happens twice, or an undo of nothing, stays to be seen.
"""
import json
import os
import random
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LEDGER = ("CREATE TABLE ledger (saga VARCHAR(255), step VARCHAR(64), part VARCHAR(64), kind VARCHAR(10))",
          "CREATE INDEX ledger_saga ON ledger (saga)",
          "CREATE TABLE account (id INT PRIMARY KEY, balance INT NOT NULL)",
          *(f"INSERT INTO account VALUES ({number}, 0)" for number in range(8)))


SEED = int(os.environ.get("SEED", random.randrange(1 << 30)))
STEPS = int(os.environ.get("STEPS", "1500"))
# Keys that no database takes, with what is wrong; a server may have more.
BAD_KEYS = (("an empty saga", ("", "s", "")), ("a long saga", ("x" * 256, "s", "")), ("a long step", ("x", "s" * 65, "")),
            ("a blank", ("x ", "s", "")), ("a letter that is none of ASCII", ("é", "s", "")), ("a line's end", ("x\n", "s", "")),
            ("no saga", (None, "s", "")), ("a long part", ("x", "s", "p" * 65)))


class Crash(Exception):
    """The participant dies before its commit, by plan."""


def script(name):
    with open(os.path.join(ROOT, "sql", name), encoding="utf-8") as file:
        return file.read()


def vectors():
    with open(os.path.join(ROOT, "tests", "vectors", "barrier.json"), encoding="utf-8") as file:
        return json.load(file)


class Participant:
    """The part that is the same for each database; what a subclass owes raises NotImplementedError."""

    errors = (Exception,)  # what the driver raises when the database says no or is gone

    def execute(self, sql, values=()):
        """One statement with ? for values; rows, if it has any."""
        raise NotImplementedError

    def connect(self):
        raise NotImplementedError

    def drop(self):
        """Closes the connection in the middle of whatever it does."""
        raise NotImplementedError

    def begin(self):
        raise NotImplementedError

    def take(self, key, forget_after):
        """(run, status, body) of an action."""
        raise NotImplementedError

    def keep(self, key, status, body):
        raise NotImplementedError

    def take_back(self, key, forget_after):
        """(undo, status, body) of a compensation."""
        raise NotImplementedError

    def purge(self, rows_max=10000):
        raise NotImplementedError

    def commit(self):
        self.execute("COMMIT")

    def rollback(self):
        try:
            self.execute("ROLLBACK")
        except self.errors:  # a connection that is gone has rolled back
            self.drop()

    def transaction(self, body, crash):
        """Runs body, commits, returns what it returned; any error rolls back all and is raised again."""
        try:
            self.begin()
            answer = body()
            if crash:
                raise Crash(crash)
            self.commit()
            return answer
        except Crash:
            if crash == "drop":
                self.drop()
                self.connect()
            else:
                self.rollback()
            raise
        except Exception:
            self.rollback()
            raise

    def write(self, key, kind, amount):
        self.execute("INSERT INTO ledger (saga, step, part, kind) VALUES (?, ?, ?, ?)", (*key, kind))
        self.execute(f"UPDATE account SET balance = balance + {amount} WHERE id = ?", (sum(key[0].encode()) % 8,))

    def action(self, key, forget_after, attempt="action", business="succeeds", crash=None):
        """(status, whose attempt's body) as a caller gets it."""
        def body():
            run, status, kept = self.take(key, forget_after)
            if run:
                self.execute("SAVEPOINT effect")
                self.write(key, "charge", -1)
                status, kept = 201, json.dumps({"by": attempt, "text": "é€😀"}, ensure_ascii=False)
                if business == "refuses":
                    self.execute("ROLLBACK TO SAVEPOINT effect")
                    status = 422
                self.keep(key, status, kept)
            return status, kept
        status, kept = self.transaction(body, crash)
        return status, json.loads(kept)["by"] if kept is not None else None

    def compensate(self, key, forget_after, crash=None):
        def body():
            undo, status, kept = self.take_back(key, forget_after)
            if undo:
                if status != 201 or json.loads(kept)["text"] != "é€😀":
                    raise AssertionError(f"to undo: {status} {kept}")
                self.write(key, "refund", 1)
            return 200, None
        return self.transaction(body, crash)

    def effects(self, saga):
        """(charged, refunded)"""
        found = self.execute("SELECT kind, count(*) FROM ledger WHERE saga = ? GROUP BY kind", (saga,))
        counts = dict(found)
        return counts.get("charge", 0), counts.get("refund", 0)


class Naive(Participant):
    """What one writes without a barrier: looks whether it was done, then does it. Mixed in before a database's class."""

    def take(self, key, forget_after):
        charged, _ = self.effects(key[0])
        return not charged, 201, json.dumps({"by": "action", "text": "é€😀"})

    def keep(self, key, status, body):
        pass

    def take_back(self, key, forget_after):
        charged, refunded = self.effects(key[0])
        return charged > refunded, 201, json.dumps({"text": "é€😀"}, ensure_ascii=False)


def clean(db):
    for table in ("saga_barrier", "ledger"):
        db.execute(f"DELETE FROM {table}")
    db.execute("UPDATE account SET balance = 0")


def refused(tap, db, name, send):
    """The database must say no."""
    try:
        return tap.check(False, name, send())
    except db.errors as error:
        return tap.check(True, name, error)


def check_keys(tap, db, later, more=(), where=""):
    for name, key in (*BAD_KEYS, *more):
        for send in (db.action, db.compensate):
            refused(tap, db, f"{name} is an error{where}", lambda send=send, key=key: send(key, later))
    tap.check(db.execute("SELECT count(*) FROM saga_barrier") == [(0,)], f"and leaves nothing{where}")
    names = ("x" * 255, "x" * 254 + "y", "X" * 255)
    tap.check([db.action((saga, "s", ""), later)[0] for saga in names] == [201] * 3
              and [db.action((saga, "s", ""), later)[0] for saga in names] == [201] * 3
              and db.execute("SELECT count(*) FROM ledger") == [(3,)], f"names that are nearly the same are others{where}")


def check_answers(tap, db, later, where=""):
    for status in (None, 199, 302, 500):
        db.begin()
        db.take(("odd", "s", ""), later)
        refused(tap, db, f"the answer {status} is not kept{where}", lambda status=status: db.keep(("odd", "s", ""), status, "x"))
        db.rollback()
    refused(tap, db, f"an answer for no action is an error{where}", lambda: db.keep(("nobody", "s", ""), 200, ""))


def check_purge(tap, db, later):
    clean(db)
    for number in range(100):
        db.compensate((f"old-{number}", "s", ""), later)
    db.execute("UPDATE saga_barrier SET expires_at = 1")
    # A saga that is older than all but has a living step must not stand in the way of the others.
    db.compensate(("a-live", "s", ""), later)
    db.compensate(("a-live", "t", ""), later)
    db.execute("UPDATE saga_barrier SET expires_at = 0 WHERE saga_id = 'a-live' AND step_id = 's'")
    gone = [db.purge(20) for _ in range(2)]
    while db.purge(20):
        pass
    tap.check(all(20 <= count <= 40 for count in gone), "the purge takes a little at a time", gone)
    tap.check(db.execute("SELECT saga_id, count(*) FROM saga_barrier GROUP BY saga_id") == [("a-live", 4)],
              "and all of it in the end, but nothing that lives")
    clean(db)


def run_levels(tap, product, opened_at, levels, restart):
    """levels: (name, what opened_at takes beside it, steps). The first one gets the vectors, and its server is killed."""
    for number, (level, more, steps) in enumerate(levels):
        def opened(level=level, more=more):
            return opened_at(level, *more)
        name = f"{product}, {level}"
        clean(opened())
        if number == 0:
            run_vectors(tap, opened(), name)
            clean(opened())
        run_race(tap, name, opened, SEED, steps, disturb=restart if number == 0 else None)
    clean(opened_at(levels[0][0]))


def order_differs(participant, saga, case, crash):
    """None, or what the case of an order shows instead of what is expected. Without crash a lost message never comes."""
    key, answers = (saga, "step", ""), []
    forget_after = int(time.time()) + 3600
    for message, arrives in zip(case["order"], case["arrives"]):
        answer = None
        if arrives or crash:
            try:
                if message == "compensate":
                    answer = participant.compensate(key, forget_after, None if arrives else crash)
                else:
                    answer = participant.action(key, forget_after, message, case["business"][message],
                                                None if arrives else crash)
            except Crash:
                pass
        answers.append(list(answer) if answer else None)
    found = (answers, *participant.effects(saga))
    return None if found == (case["answers"], case["charged"], case["refunded"]) else (case, found)


def orders(participant, prefix):
    """Every order, its lost messages never sent and, again, rolled back or cut off before their commit: what differs."""
    wrong, count = [], 0
    for number, case in enumerate(vectors()["orders"]):
        for crash in (None, "rollback", "drop"):
            if crash and all(case["arrives"]):
                continue
            count += 1
            wrong.append(order_differs(participant, f"{prefix}-{number}-{crash}", case, crash))
    return [each for each in wrong if each], count


def later_differs(participant, saga, case):
    for number, event in enumerate(case["events"]):
        forget_in = event.get("forget_in")
        forget_after = None if forget_in is None else int(time.time()) + forget_in
        key = (saga, event.get("step", "step"), event.get("part", ""))
        if "pass" in event:
            participant.execute(f"UPDATE saga_barrier SET expires_at = expires_at - {event['pass']}")
            continue
        if "purge" in event:
            before = participant.execute("SELECT count(*) FROM saga_barrier WHERE saga_id = ?", (saga,))[0][0]
            participant.purge()
            after = participant.execute("SELECT count(*) FROM saga_barrier WHERE saga_id = ?", (saga,))[0][0]
            found, wanted = before - after, event["purge"]
        else:
            wanted = event["answer"]
            try:
                if event["op"] == "compensate":
                    found = participant.compensate(key, forget_after)[0]
                else:
                    found = participant.action(key, forget_after, business=event["business"])[0]
            except participant.errors:
                found = "error"
        if found != wanted:
            return case["name"], number, event, found
    found = participant.effects(saga)
    return None if found == (case["charged"], case["refunded"]) else (case["name"], found)


def run_vectors(tap, participant, name):
    wrong, count = orders(participant, "order")
    tap.result(not wrong, f"{name}: all 27 orders, lost, again and late", f"{count} runs of {len(vectors()['orders'])} vectors"
               if not wrong else wrong[:3])
    for number, case in enumerate(vectors()["later"]):
        differs = later_differs(participant, f"later-{number}", case)
        tap.check(differs is None, f"{name}: {case['name']}", differs)


class Race:
    """Threads fire the messages of one step at once, step after step; some crash, some answers are lost."""

    ROLES = ("action", "again", "compensate", "compensate")

    def __init__(self, open_participant, steps, groups, seed):
        self.open = open_participant
        self.steps = steps
        self.groups = groups
        self.seed = seed
        self.heard = {}      # saga → the action's answers that reached the caller
        self.failures = []   # what no participant may do
        self.errors = {}     # technical errors, which are repeated, by name
        self.lock = threading.Lock()
        self.kills = 0

    def plan(self, group, step):
        """Whether the saga ends compensated, and each role's fate."""
        draw = random.Random(f"{self.seed}/{group}/{step}")
        compensated = draw.random() < 0.6
        fates = [{"delay": draw.random() * draw.choice((0, 0.001, 0.003)), "crash": draw.choice((None,) * 8 + ("rollback", "drop")),
                  "heard": draw.random() < 0.9, "business": draw.choice(("succeeds",) * 4 + ("refuses",)),
                  "sent": draw.random() < 0.95} for _ in self.ROLES]
        return compensated, fates

    def deliver(self, participant, saga, role, fate, times=1000):
        """Sends until it is answered, or has crashed as planned."""
        key, crash = (saga, "step", ""), fate["crash"]
        for _ in range(times):
            try:
                forget_after = int(time.time()) + 3600
                if role == "compensate":
                    answer = participant.compensate(key, forget_after, crash)
                else:
                    answer = participant.action(key, forget_after, role, fate["business"], crash)
                if role != "compensate" and fate["heard"]:
                    with self.lock:
                        self.heard.setdefault(saga, []).append(answer)
                return
            except Crash:
                return
            except participant.errors as error:
                name = type(error).__name__ + " " + str(getattr(error, "pgcode", None) or error.args[0])[:60].split("\n")[0]
                with self.lock:
                    self.errors[name] = self.errors.get(name, 0) + 1
                self.recover(participant)
        raise RuntimeError(f"{saga}: {role} is never answered: {self.errors}")

    @staticmethod
    def recover(participant):
        """After an error the connection may be gone, and the server away for a while."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                participant.execute("SELECT 1")
                return
            except participant.errors:
                try:
                    participant.drop()
                    participant.connect()
                except participant.errors:
                    time.sleep(0.05)

    def fire(self, group, role_index, gate):
        try:
            participant = self.open()
            for step in range(self.steps):
                compensated, fates = self.plan(group, step)
                fate, role = fates[role_index], self.ROLES[role_index]
                gate.wait(120)
                time.sleep(fate["delay"])
                if fate["sent"] and (compensated or role != "compensate"):
                    self.deliver(participant, f"race-{group}-{step}", role, fate)
            participant.drop()
        except Exception as error:  # the other threads must not wait for this one
            gate.abort()
            if not isinstance(error, threading.BrokenBarrierError):
                self.failures.append(f"{type(error).__name__}: {error}")

    def run(self, disturb=None, every=1.5):
        threads = []
        for group in range(self.groups):
            gate = threading.Barrier(len(self.ROLES))
            threads += [threading.Thread(target=self.fire, args=(group, role, gate)) for role in range(len(self.ROLES))]
        for thread in threads:
            thread.start()
        while disturb and any(thread.is_alive() for thread in threads):
            threads[0].join(every)
            if threads[0].is_alive() and self.kills < 4:
                disturb()
                self.kills += 1
        for thread in threads:
            thread.join()

    def judge(self):
        """Every saga comes to its end, then late actions come; (wrong sagas, counts of the ways they ended)."""
        participant, wrong, ends = self.open(), [], {}
        sure = {"crash": None, "heard": True, "business": "succeeds"}
        for group in range(self.groups):
            for step in range(self.steps):
                saga = f"race-{group}-{step}"
                compensated, _ = self.plan(group, step)
                for role in ("compensate", "again") if compensated else ("again",):
                    self.deliver(participant, saga, role, sure)
                effects, heard = participant.effects(saga), set(self.heard.get(saga, ()))
                end = {201: "undone" if compensated else "stands", 422: "refused", 410: "barred"}[next(iter(heard))[0]]
                ends[end] = ends.get(end, 0) + 1
                wanted = {"undone": (1, 1), "stands": (1, 0), "refused": (0, 0), "barred": (0, 0)}[end]
                if len(heard) != 1 or effects != wanted or end == "barred" and not compensated:
                    wrong.append((saga, end, effects, heard))
        counts = dict(participant.execute("SELECT kind, count(*) FROM ledger WHERE saga LIKE ? GROUP BY kind", ("race-%",)))
        participant.drop()
        return wrong, ends, counts["charge"] - counts["refund"]


def run_race(tap, name, open_participant, seed, steps=1500, groups=2, disturb=None, naive=False):
    """The race as a check; naive: that without a barrier it goes wrong."""
    race = Race(open_participant, steps, groups, seed)
    started = time.monotonic()
    race.run(disturb)
    if race.failures:
        tap.check(False, f"{name}: a race", race.failures)
        return
    wrong, ends, left = race.judge()
    participant = open_participant()
    balance = participant.execute("SELECT sum(balance) FROM account")[0][0]
    counts = dict(participant.execute("SELECT kind, count(*) FROM ledger GROUP BY kind"))
    participant.drop()
    note = (f"{steps * groups} steps, {time.monotonic() - started:.0f} s, {len(wrong)} wrong, ends {ends}"
            + (f", server killed {race.kills} times" if disturb else "")
            + (f", repeated after {race.errors}" if race.errors else ""))
    if naive:
        tap.result(len(wrong) > 0, f"{name}: without the barrier it goes wrong", note)
        return
    tap.result(not wrong and len(ends) == 4 and left == ends["stands"], f"{name}: each effect once, or undone",
               note if not wrong else (note, wrong[:5]))
    tap.check(balance == counts["refund"] - counts["charge"], f"{name}: the balances are the ledger's", (balance, counts))
    if disturb:
        tap.check(race.kills > 0 and race.errors != {}, f"{name}: the kills were noticed", race.errors)
