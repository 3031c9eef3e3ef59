#!/usr/bin/env python3
"""kill -9 under packed requests on several connections, each with some under way; all are sent again until they are answered,
and every record has happened once. Half of the rounds with a standby, which is sent to as well. Prints TAP.

    HOLDFAST=build/holdfast HOLDFAST_BUILD=build tests/integration/packed_kill_test.py

KILL_ROUNDS   rounds of kill -9 (6; HOLDFAST_LONG=1: 40)
KILL_SEED     of the moments and the records (1); it is printed
"""
import os
import random
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from http_client import Broken, Wire  # noqa: E402
from packed import ACCOUNTS, FINAL, HOLD, LINKED, TRANSFERS, Results, account, text_of  # noqa: E402
from packed_client import REPLAYED, capture, fresh_id, record, void  # noqa: E402
from serving import Server, Tap, free_port, json_request, verify  # noqa: E402

ROUNDS = int(os.environ.get("KILL_ROUNDS") or ("40" if os.environ.get("HOLDFAST_LONG") == "1" else "6"))
SEED = int(os.environ.get("KILL_SEED", "1"))
SENDERS = 6
UNDER_WAY = 4  # requests of a connection
USERS = 8
RECORDS_MAX = 300
SECONDS_MAX = 120.0


class Wrong(Exception):
    pass


class Books:
    """What accepted records come to, by account: posted, and entries."""

    def __init__(self):
        self.posted = {}
        self.entries = {}

    def add(self, what):
        kind, source, target, amount = what
        for number, sign in ((source, -1), (target, 1)):
            self.entries[number] = self.entries.get(number, 0) + 1
            if kind == "move":
                self.posted[number] = self.posted.get(number, 0) + sign * amount


class Maker:
    """Records of all kinds; what they are stands beside them."""

    def __init__(self, seed, world, users):
        self.rng = random.Random(seed)
        self.world, self.users = world, users
        self.holds = []  # (id, from, to): some of them were refused, or have ended
        self.before = []  # records of earlier requests, to come once more

    def one(self, plain=False):
        """(record, (kind, from, to, amount))"""
        rng = self.rng
        dice, number, amount = rng.random() * (0.5 if plain else 1), fresh_id(), rng.randrange(1, 100)
        source, target = rng.sample(self.users, 2)
        if dice < 0.4:
            source = self.world
        elif plain:
            pass  # it may lack funds
        elif dice < 0.55:
            self.holds.append((number, source, self.world))
            return record(number, source, self.world, amount, flags=HOLD), ("reserve", source, self.world, amount)
        elif dice < 0.7 and self.holds:
            hold, source, target = rng.choice(self.holds)
            flags = FINAL if rng.random() < 0.5 else 0
            return capture(number, hold, amount, flags), ("move", source, target, amount)
        elif dice < 0.75 and self.holds:
            hold, source, target = rng.choice(self.holds)
            return void(number, hold), ("reserve", source, target, 0)
        return record(number, source, target, amount, code=amount), ("move", source, target, amount)

    def request(self):
        """[(record, what)]; the last one ends every chain."""
        rng = self.rng
        rows = []
        if rng.random() < 0.4:  # transfers alone are stored in another way
            return [self.one(plain=True) for _ in range(rng.randrange(1, RECORDS_MAX))]
        for _ in range(rng.randrange(1, RECORDS_MAX)):
            if self.before and rng.random() < 0.02:
                rows.append(rng.choice(self.before))
                continue
            packed, what = self.one()
            rows.append((packed, what))
            if rng.random() < 0.1:
                second, its = self.one()
                flags = int.from_bytes(packed[124:], "little") | LINKED
                rows[-1] = (packed[:124] + flags.to_bytes(4, "little"), what)
                rows.append((second, its))
            elif rng.random() < 0.1:
                self.before.append((packed, what))
        return rows


class Request:
    def __init__(self, rows):
        self.rows = rows
        body = b"".join(packed for packed, _ in rows)
        self.bytes = (f"POST /v1/transfers HTTP/1.1\r\nHost: localhost\r\nContent-Type: {TRANSFERS}\r\n"
                      f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        self.sent = 0
        self.answer = None


class Sender(threading.Thread):
    """One connection at a time, UNDER_WAY requests on it; whatever has no answer is sent again, elsewhere perhaps."""

    def __init__(self, number, maker, ports):
        super().__init__(daemon=True)
        self.rng = random.Random(f"{SEED} {number}")
        self.maker = maker
        self.ports = ports
        self.end = False
        self.requests = []
        self.waiting = []  # in their order
        self.failure = None
        self.cut = self.refused = 0

    def run(self):
        try:
            deadline = None
            while not self.end or self.waiting:
                if self.end and deadline is None:
                    deadline = time.monotonic() + SECONDS_MAX
                if deadline is not None and time.monotonic() > deadline:
                    raise Wrong(f"{len(self.waiting)} requests without an answer")
                self.connection()
        except Exception as error:  # told by the main thread
            self.failure = repr(error)

    def connection(self):
        try:
            wire = Wire(("127.0.0.1", self.rng.choice(self.ports)), 30)
        except OSError:
            time.sleep(0.02)
            return
        try:
            self.talk(wire)
        except (Broken, OSError):
            self.cut += 1
        finally:
            wire.close()

    def talk(self, wire):
        under_way = []
        again = list(self.waiting)
        while again or under_way or not self.end:
            while len(under_way) < UNDER_WAY and (again or not self.end):
                if again:
                    request = again.pop(0)
                else:
                    request = Request(self.maker.request())
                    self.requests.append(request)
                    self.waiting.append(request)
                request.sent += 1
                under_way.append(request)
                wire.send(request.bytes)
            request = under_way.pop(0)
            answer = wire.answer("POST")
            if answer.status in (429, 503):
                self.refused += 1
                again.append(request)
                time.sleep(0.02)
                if answer.headers.get("connection", "").lower() == "close":
                    return
                continue
            if answer.status != 200:
                raise Wrong(f"{answer}")
            request.answer = Results(answer.body)
            self.waiting.remove(request)


def post(port, body, media, path):
    """One request, tried until there is an answer."""
    wire = Wire(("127.0.0.1", port))
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media}\r\nContent-Length: {len(body)}\r\n\r\n"
    wire.send(head.encode() + body)
    answer = wire.answer("POST")
    wire.close()
    if answer.status != 200:
        raise Wrong(f"{answer}")
    return Results(answer.body)


def kill_rounds(directory, ports, senders, servers):
    """servers: the owner first; those that run at the end, in any case."""
    rng = random.Random(SEED)
    servers[:] = [Server(directory, port=ports[0])]
    for number in range(ROUNDS):
        if number == ROUNDS // 2:
            servers.append(Server(directory, port=ports[1]))
            servers[1].ready()
        time.sleep(rng.uniform(0.2, 1.0))
        servers[0].kill()
        if len(servers) == 2:
            servers.reverse()
            ports_of = ports if number % 2 == (ROUNDS // 2) % 2 else ports[::-1]
            servers[1] = Server(directory, port=ports_of[0])
        else:
            servers[0] = Server(directory, port=ports[0])
        for server in servers:
            if server.ready() is None:
                raise Wrong("a server did not come back: " + server.errors())
    time.sleep(0.3)
    for sender in senders:
        sender.end = True
    for sender in senders:
        sender.join(SECONDS_MAX + 60)
        if sender.failure is not None or sender.is_alive():
            raise Wrong(f"a sender: {sender.failure}")


def outcome(got, count):
    """By record: None if it has taken effect, else the code."""
    codes = [None] * count
    for index, code, _ in got.refused:
        codes[index] = code
    return codes


def judge(port, requests, world, users):
    """All once more: nothing happens, the same comes out; the books are those of what was accepted."""
    accepted, spread = {}, 0
    for request in requests:
        count = len(request.rows)
        again = post(port, request.bytes[-128 * count:], TRANSFERS, "/v1/transfers")
        if again.accepted != 0 or again.position != 0:
            raise Wrong(f"a repetition did something: {again}")
        if any(not flags & REPLAYED for _, _, flags in again.refused):
            raise Wrong(f"a refusal is not remembered: {again}")
        if outcome(again, count) != outcome(request.answer, count):
            raise Wrong(f"{request.answer}, and then {again}")
        if request.answer.accepted + request.answer.replayed + len(request.answer.refused) != count:
            raise Wrong(f"{count} records: {request.answer}")
        spread += request.answer.replayed > 0 and request.answer.accepted > 0
        for (packed, what), code in zip(request.rows, outcome(again, count)):
            if code is None:
                # Holds have a name space of their own.
                accepted[packed[:16], int.from_bytes(packed[124:], "little") & HOLD] = what
    books = Books()
    for what in accepted.values():
        books.add(what)
    for number in [world, *users]:
        status, shown = json_request(port, "GET", f"/v1/accounts/{text_of(number)}")
        wanted = (200, str(books.posted.get(number, 0)), books.entries.get(number, 0))
        if (status, shown["posted"], shown["version"]) != wanted:
            raise Wrong(f"{text_of(number)}: {shown}, not {wanted}")
    _, totals = json_request(port, "GET", "/v1/assets/USD%2F2/totals")
    if totals["debits_posted"] != totals["credits_posted"] or totals["debits_pending"] != totals["credits_pending"]:
        raise Wrong(f"totals: {totals}")
    return len(accepted)


def run(work, servers):
    directory = os.path.join(work, "packed")
    ports = [free_port(), free_port()]
    world, users = fresh_id(), [fresh_id() for _ in range(USERS)]
    servers.append(Server(directory, port=ports[0]))
    servers[0].ready()
    opened = post(ports[0], b"".join([account(world, floor=None)] + [account(user) for user in users]), ACCOUNTS, "/v1/accounts")
    if opened.accepted != USERS + 1:
        raise Wrong(f"accounts: {opened}")
    servers[0].kill()
    senders = [Sender(n, Maker(f"{SEED} maker {n}", world, users), ports) for n in range(SENDERS)]
    for sender in senders:
        sender.start()
    kill_rounds(directory, ports, senders, servers)
    requests = [request for sender in senders for request in sender.requests]
    count = judge(servers[0].port, requests, world, users)
    for server in reversed(servers):
        if server.stop() != 0:
            raise Wrong("no clean stop: " + server.errors())
    good, report = verify(directory)
    if not good:
        raise Wrong(f"verify: {report}")
    repeated = sum(request.sent > 1 for request in requests)
    found = sum(request.sent > 1 and request.answer.position == 0 for request in requests)
    if repeated == 0:
        raise Wrong("no request was sent twice: the kills met nothing")
    return (f"{len(requests)} requests of {SENDERS} connections, {repeated} of them sent more than once, {found} of those found done; "
            f"{sum(sender.cut for sender in senders)} connections cut, {sum(sender.refused for sender in senders)} answers 429 or 503; "
            f"{count} records in the books, each once; {report['torn_tails']} torn tails cut, {report['commits']} commits, verify ok")


def main():
    tap = Tap()
    work = tempfile.mkdtemp(prefix="holdfast-packed-", dir=os.environ.get("HOLDFAST_TMP"))
    servers = []
    try:
        note, good = run(work, servers), True
    except Wrong as what:
        note, good = str(what), False
    finally:
        for server in servers:
            if server.process.poll() is None:
                server.kill()
    tap.result(good, f"{ROUNDS} rounds of kill -9, seed {SEED}", note)
    shutil.rmtree(work, ignore_errors=True)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
