"""The story of silence, P15 (docs/scenarios.md): things go wrong without a crash or an error message. Who is told?"""
import glob
import os
import signal
import sqlite3
import time
import urllib.parse

import scenarios_refund
import scenarios_run
import scenarios_store
from scenarios_stories import model

FILLER_BYTES, FILLERS = 900_000, 24  # more than the log's first segment holds, so that it is sealed
LOOK_SECONDS = 0.05
IN_TIME_SECONDS = 10                 # from the incident to its alert, and from its mend to the all-clear


class Pager:
    """What reaches somebody who asks for nothing: alerts; or that a process dies or writes to its standard error."""

    def __init__(self, world):
        self.world = world
        self.cursor = None
        self.seen = []  # (kind, "raised" or "cleared")
        self.sizes = self.log_sizes() if world.naive else {}

    def log_sizes(self):
        return {process.log: os.path.getsize(process.log) for process in self.world.processes}

    def listen(self):
        if self.world.naive:
            sizes = self.log_sizes()
            if sizes != self.sizes:
                self.seen.append(("", "raised"))
            self.sizes = sizes
            return
        where = "from=beginning" if self.cursor is None else "after=" + urllib.parse.quote(self.cursor)
        page = self.world.server().must("GET", f"/v1/feed?{where}&limit=1000&types=system.alert.*")
        self.cursor = page["next"]
        for event in page["data"]:
            self.seen.append((event["data"]["kind"], event["type"].rsplit(".", 1)[1]))

    def wait(self, kind, what, times=1):
        """Until it was told so often; false: not in time."""
        end = time.monotonic() + IN_TIME_SECONDS
        while time.monotonic() < end:
            self.listen()
            if self.count(kind, what) >= times:
                return True
            time.sleep(LOOK_SECONDS)
        return False

    def count(self, kind, what):
        return sum(told == what and (self.world.naive or its == kind) for its, told in self.seen)


class Refused(scenarios_store.Store):
    """The store (P9) for one order, whose payment is answered 401: somebody has deployed a wrong key."""

    def build(self, scale):
        self.instances = 1
        self.opening = ({"plenty": scenarios_store.RICH}, {"rich": scenarios_store.RICH})
        self.ask("o1", "/order?order=o1&customer=rich&item=plenty&units=1&amount=7&fault=charge:401")


class Silence(scenarios_refund.Refunds):
    number, title = "P15", "silence"
    orders_per_scale, refunds_per_order = 4, 5
    serve_options = ["--alert", "subscription_stalled=1s", "--audit-interval", "2s", "--audit-rate", "off"]
    incidents = {"dead letter": "dead_letter", "stalled consumer": "subscription_stalled",
                 "flipped byte": "audit_failed", "parked saga": "saga_parked"}

    def build(self, scale):
        super().build(scale)
        self.requests = dict.fromkeys(self.incidents)

    def refunds(self, world, name, count, more=""):
        world.run([(number % self.instances, f"/refund?id={name}-{number}&order=orders:{name}{number}"
                    f"&amount=7{more}") for number in range(count)], {})

    def fill(self, world):
        text = "x" * FILLER_BYTES
        for number in range(FILLERS):
            if world.naive:
                with sqlite3.connect(world.database, timeout=30) as connection:
                    connection.execute("INSERT INTO profiles VALUES (?, ?)", (f"filler:{number}", text))
            else:
                world.server().must("PUT", f"/v1/documents/filler:{number}", text, {"If-None-Match": "*"})

    # ---- what goes wrong, and how it is mended ----

    def break_dead_letter(self, world):
        self.refunds(world, "poison", 3, "&poison=1")

    def mend_dead_letter(self, world):
        world.deploy("--mended")
        if not world.naive:
            world.server().must("POST", "/v1/subscriptions/notify/redrive", {"all": True},
                                {"Idempotency-Key": "after-the-fix"})

    def break_stalled_consumer(self, world):
        for worker in world.workers:
            worker.signal(signal.SIGSTOP)
        self.refunds(world, "late", 20)

    def mend_stalled_consumer(self, world):
        for worker in world.workers:
            worker.signal(signal.SIGCONT)

    def flip(self, world):
        """A bit of a stored record: orders:0 becomes orders:1. Nobody has asked for it since it was stored."""
        if world.naive:
            with sqlite3.connect(world.database, timeout=30) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            path = world.database
        else:
            segments = sorted(glob.glob(os.path.join(world.path("data"), "log", "*.log")))
            if len(segments) < 2:
                raise scenarios_run.ScenarioError("the log's first segment is not sealed")
            path = segments[0]
        with open(path, "r+b") as file:
            if self.place is None:
                self.place = file.read().find(b"orders:0") + len("orders:")
            file.seek(self.place)
            byte = file.read(1)[0]
            file.seek(self.place)
            file.write(bytes([byte ^ 1]))

    def break_flipped_byte(self, world):
        self.place = None
        self.flip(world)

    def mend_flipped_byte(self, world):
        self.flip(world)

    def break_parked_saga(self, world):
        world.run(world.story.plan, {})

    def mend_parked_saga(self, world):
        with open(world.path("mended"), "w", encoding="utf-8"):
            pass
        if not world.naive:
            world.server().must("POST", "/v1/sagas/o1/retry", {"reason": "the key is right again"},
                                {"Idempotency-Key": "after-the-fix"})

    # ---- the story ----

    def incident(self, name, world, settle):
        """What its pager tells: (told in time, all clear in time, times told, times all clear)."""
        kind, method = self.incidents[name], name.replace(" ", "_")
        pager = Pager(world)
        pager.listen()
        before = pager.count(kind, "raised"), pager.count(kind, "cleared")
        getattr(self, "break_" + method)(world)
        raised = pager.wait(kind, "raised", before[0] + 1)
        getattr(self, "mend_" + method)(world)
        settle(world)
        cleared = raised and pager.wait(kind, "cleared", before[1] + 1)
        return (raised, cleared, pager.count(kind, "raised") - before[0], pager.count(kind, "cleared") - before[1])

    def play(self, world):
        world.start()
        world.run(self.plan, {})
        self.settle(world)
        self.fill(world)
        told = {name: self.incident(name, world, self.settle) for name in self.incidents if name != "parked saga"}
        os.mkdir(world.path("store"))
        story = Refused(self.random, True)
        with scenarios_store.StoreWorld(story, world.naive, world.build, world.path("store")) as store:
            store.start()
            told["parked saga"] = self.incident("parked saga", store, story.wait)
        return model.judge_silence(told), 0


STORIES = [Silence]
