"""The stories of queues, P5 to P8 (docs/scenarios.md): upstream → notify → mail, books, push."""
import signal
import threading
import time

import scenarios_stories
from scenarios_stories import model

DOWNSTREAM = ("mail", "books", "push")
PAUSE_SECONDS = 1.6         # longer than a message is hidden, or leased (examples/refund/queue.h)
SETTLE_SECONDS_MAX = 60
STILL_SECONDS = 3           # nothing moves any more
PATIENCE = 50               # deliveries, where no message is poisoned: on a machine with too much to do a lease of a second runs
                            # out without anybody's death
STEPS = 7                   # of the naive handler, between which its process may die (notify.c)


class Refunds(scenarios_stories.Story):
    service, instances, worker, workers = "upstream", 2, "notify", 3
    orders_per_scale, refunds_per_order = 8, 5
    deaths = poison = copies = 0.0  # shares of the messages
    attempts_max = 6            # deliveries

    def build(self, scale):
        lines = []
        for order in range(self.orders_per_scale * scale):
            for turn in range(self.refunds_per_order):
                request = f"r{order}-{turn}"
                amount = self.random.randrange(1, 100)
                self.requests[request] = (f"orders:{order}", amount)
                path = f"/refund?id={request}&order=orders:{order}&amount={amount}"
                if self.random.random() < self.deaths:
                    path += f"&die={self.random.randrange(1, STEPS + 1)}"
                if self.random.random() < self.poison:
                    path += "&poison=1"
                copies = 2 if self.random.random() < self.copies else 1
                lines += [(request, path)] * copies
        for request, path in lines:
            self.ask(request, path)

    def open_books(self, world):
        if not world.naive:
            world.server().must("PUT", "/v1/subscriptions/notify", {
                "filter": {"topic": "refunds"}, "lease_ms": 1000, "attempts_max": self.attempts_max,
                "backoff": {"first_ms": 50, "max_ms": 1000}})

    def left(self, world):
        """(messages that have not ended, a number that changes when something moves, may some stay for ever?)"""
        if world.naive:
            return (*world.naive_rows("SELECT count(*), coalesce(sum(receives), 0) FROM queue WHERE "
                                      "queue = 'refunds' AND deleted = 0")[0], True)
        queue = world.server().must("GET", "/v1/subscriptions/notify")
        return queue["arrived"] - queue["ended"], (queue["deliveries"], queue["ended"]), queue["parked"] > 0

    def settle(self, world):
        """Until the queue is empty, or nothing moves any more (what is parked stays)."""
        end = time.monotonic() + SETTLE_SECONDS_MAX
        seen, since = None, time.monotonic()
        while time.monotonic() < end:
            now = self.left(world)
            if now[0] == 0:
                return
            if now != seen:
                seen, since = now, time.monotonic()
            elif now[2] and time.monotonic() - since > STILL_SECONDS:
                return
            time.sleep(0.05)

    def judge(self, world, answers):
        if world.naive:
            rows = world.naive_rows("SELECT queue, id, order_key, total FROM queue ORDER BY number")
            done = {row[0] for row in world.naive_rows("SELECT id FROM audit WHERE state = 'DONE'")}
        else:
            rows = [(event["subject"].split("/")[1], event["data"]["id"], event["data"]["order"],
                     event["data"].get("total", 0))
                    for event in world.feed("topics/")]
            done = {request for request in self.requests
                    if world.server().must("GET", f"/v1/documents/refunds:{request}")["state"] == "DONE"}
        sent = [(request, order) for queue, request, order, _ in rows if queue == "refunds"]
        told = {name: [row[1:] for row in rows if row[0] == name] for name in DOWNSTREAM}
        return model.judge_refunds(self.requests, answers, sent, told, done)


class DualWrite(Refunds):
    number, title = "P5", "dual write"
    deaths = 0.2
    attempts_max = PATIENCE

    def faults(self):
        def kill(world):
            world.instances[0].restart()
            for server in world.servers:
                server.restart()
        return {len(self.plan) * share // 3: kill for share in (1, 2)}


class TwoConsumers(Refunds):
    number, title = "P6", "at least once"
    copies, orders_per_scale, connections = 0.3, 40, 32
    attempts_max = PATIENCE

    def faults(self):
        def pause(number):
            def stop(world):
                worker = world.workers[number % self.workers]
                worker.signal(signal.SIGSTOP)
                timer = threading.Timer(PAUSE_SECONDS, worker.signal, [signal.SIGCONT])
                timer.start()
                timer.join()
            return stop
        return {len(self.plan) * share // 5: pause(share) for share in range(1, 5)}


class PoisonMessage(Refunds):
    number, title = "P7", "poison message"
    poison = 0.05

    def settle(self, world):
        """The queue comes to rest, the fix is deployed, and an operator has the dead letters delivered again."""
        super().settle(world)
        world.deploy("--mended")
        if not world.naive:
            world.server().must("POST", "/v1/subscriptions/notify/redrive", {"all": True},
                                {"Idempotency-Key": "after-the-fix"})
        super().settle(world)


class ByKey(Refunds):
    number, title = "P8", "partition by key"
    orders_per_scale, refunds_per_order, connections = 2, 30, 8
    attempts_max = PATIENCE


STORIES = [DualWrite, TwoConsumers, PoisonMessage, ByKey]
