#!/usr/bin/env python3
"""Queues on a running server that is killed, stopped, taken over and left by its clients. Prints TAP.

    HOLDFAST=build/holdfast tests/integration/queue_test.py [NAME...]      all parts, or those that are named
"""
import collections
import http.client
import json
import os
import random
import resource
import select
import shutil
import socket
import sys
import tempfile
import threading
import time

from serving import BUILD, Server, Tap, free_port, json_request, verify, wait_until

tap = Tap()
KEYS = 40
MESSAGES = 2000
CONSUMERS = 6
KILLS = 5
LATE_S = 2.6  # longer than a lease of these tests
WAITERS = 1000


class Caller:
    """One connection; a request is repeated, on the next address in turn, until its answer is definite."""

    def __init__(self, ports, stop=None):
        self.ports = list(ports)
        self.stop = stop
        self.connection = None
        self.repeated = 0

    def send(self, method, path, body=None, key=None, timeout=40):
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        text = None if body is None else json.dumps(body)
        until = time.monotonic() + 90
        while time.monotonic() < until and not (self.stop is not None and self.stop.is_set()):
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection("127.0.0.1", self.ports[0], timeout=timeout)
                self.connection.request(method, path, text, headers)
                answer = self.connection.getresponse()
                data = answer.read()
                if answer.status < 500 and answer.status != 429:
                    return answer.status, json.loads(data) if data else None
            except (OSError, http.client.HTTPException):
                pass
            self.close()
            self.repeated += 1
            self.ports.append(self.ports.pop(0))
            time.sleep(0.02)
        return None, None

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def make(port, name, **settings):
    settings.setdefault("filter", {"topic": name})
    status, body = json_request(port, "PUT", f"/v1/subscriptions/{name}", settings)
    assert status in (200, 201), (status, body)


def publish(caller, topic, messages, key=None):
    """(key, number) pairs under ids of their own, as one commit."""
    do = [{"op": "publish", "topic": topic, "key": k, "type": "numbered", "data": n, "id": f"{topic}:{n}"} for k, n in messages]
    status, body = caller.send("POST", "/v1/commits", {"do": do}, key=key)
    assert status == 201, (status, body)
    return [result["message"] for result in body["results"]]


# ---- kill -9 ----

class Consumer(threading.Thread):
    """Receives, and for each message commits its effect (an event under the message's id) and the ack as one."""

    def __init__(self, ports, name, index, stop, naughty):
        super().__init__()
        self.caller = Caller(ports)
        self.name_of, self.index, self.stop, self.naughty = name, index, stop, naughty
        self.acked, self.stale, self.nacked, self.failed = 0, 0, 0, None

    def run(self):
        try:
            attempt = 0
            while not self.stop.is_set():
                attempt += 1
                body = {"max": 7, "wait_ms": 500, "attempt": f"{self.index}-{attempt}", "consumer": f"c{self.index}"}
                status, answer = self.caller.send("POST", f"/v1/subscriptions/{self.name_of}/receive", body)
                if status != 200:
                    self.failed = (status, answer)
                    return
                self.handle(answer["messages"])
        except Exception as error:  # the test shall say so
            self.failed = repr(error)
        finally:
            self.caller.close()

    def handle(self, messages):
        lost = set()  # keys whose rest went back
        for message in messages:
            event = message["event"]
            key = event["partitionkey"]
            if key in lost:
                continue
            if self.naughty and random.random() < 0.05:
                body = {"receipts": [message["receipt"]], "error": "for the test"}
                status, answer = self.caller.send("POST", f"/v1/subscriptions/{self.name_of}/nack", body,
                                                  key=f"nack-{message['receipt']}")
                assert status == 200, (status, answer)
                self.nacked += 1
                lost.add(key)
                continue
            if self.naughty and random.random() < 0.005:
                time.sleep(LATE_S)  # somebody else has it by then
            effect = [{"op": "append", "stream": f"done:{key}", "type": "done", "data": event["data"], "id": f"done:{event['data']}"},
                      {"op": "ack", "subscription": self.name_of, "receipt": message["receipt"]}]
            status, answer = self.caller.send("POST", "/v1/commits", {"do": effect})
            if status == 201:
                self.acked += 1
            elif answer is not None and answer["code"] in ("stale_receipt", "ack_out_of_order", "event_exists"):  # somebody else has done it
                self.stale += 1
                lost.add(key)
            else:
                raise AssertionError((status, answer))


def effects_of(port, keys):
    """The numbers in each key's stream, in its order."""
    found = {}
    for key in keys:
        numbers, start = [], 1
        while True:
            status, page = json_request(port, "GET", f"/v1/streams/done:{key}/events?limit=1000&from={start}")
            if status == 404:
                break
            assert status == 200, page
            numbers += [event["data"] for event in page["data"]]
            start += len(page["data"])
            if page["next"] is None:
                break
        found[key] = numbers
    return found


def judge(port, name, expected, consumers, what):
    """Each message has one effect, in its key's order, and is acked once."""
    found = effects_of(port, expected)
    wrong = {key: (numbers[:20], expected[key][:20]) for key, numbers in found.items() if numbers != expected[key]}
    tap.check(not wrong, f"{what}: every message has its effect once, each key's in order", list(wrong.items())[:3])
    _, shown = json_request(port, "GET", f"/v1/subscriptions/{name}")
    total = sum(map(len, expected.values()))
    tap.check((shown["acked"], shown["waiting"], shown["in_flight"], shown["parked"]) == (total, 0, 0, 0),
              f"{what}: {total} acks counted, nothing left", shown)
    failed = [consumer.failed for consumer in consumers if consumer.failed]
    tap.check(not failed, f"{what}: no consumer met an answer that it can't explain", failed)
    tap.check(sum(consumer.acked for consumer in consumers) == total,
              f"{what}: each ack was answered to one consumer", [(c.acked, c.stale) for c in consumers])


def run_load(ports, name, kill, what):
    """Publishes, consumes, and calls kill(round) in between."""
    stop = threading.Event()
    consumers = [Consumer(ports, name, index, stop, naughty=True) for index in range(CONSUMERS)]
    for consumer in consumers:
        consumer.start()
    publisher = Caller(ports)
    expected = collections.defaultdict(list)
    number, left, kills = 0, MESSAGES, 0
    while left > 0:
        batch = []
        for _ in range(min(left, random.randint(1, 20))):
            key = f"{name}-{random.randrange(KEYS)}"
            batch.append((key, number))
            expected[key].append(number)
            number += 1
        publish(publisher, name, batch)
        left -= len(batch)
        if kills < KILLS and number > (kills + 1) * MESSAGES / (KILLS + 1):
            kills += 1
            kill(kills)
    publisher.close()

    def done():
        status, shown = json_request(ports[-1] if len(ports) == 1 else ports[0], "GET", f"/v1/subscriptions/{name}")
        return status == 200 and shown["acked"] == MESSAGES

    finished = wait_until(lambda: quiet(done), 120)
    stop.set()
    for consumer in consumers:
        consumer.join(60)
    tap.check(finished, f"{what}: everything is acked in the end")
    tap.check(sum(c.stale for c in consumers) > 0, f"{what}: some came too late, and were told so")
    tap.result(all(not consumer.is_alive() for consumer in consumers), f"{what}: consumers end",
               f"{sum(c.nacked for c in consumers)} nacks, {sum(c.stale for c in consumers)} stale, "
               f"{sum(c.caller.repeated for c in consumers)} repetitions")
    return expected, consumers


def quiet(check):
    try:
        return check()
    except (OSError, http.client.HTTPException, ValueError):
        return False


def kills(work):
    data, port = os.path.join(work, "kills"), free_port()
    box = [Server(data, port=port)]
    assert box[0].ready()
    make(port, "jobs", lease_ms=2000, attempts_max=1000, backoff={"first_ms": 0, "max_ms": 20})

    def kill(_):
        box[0].kill()
        time.sleep(random.random() * 0.2)
        box[0] = Server(data, port=port)
        assert box[0].ready()

    expected, consumers = run_load([port], "jobs", kill, "kill -9")
    judge(port, "jobs", expected, consumers, "kill -9")
    tap.check(box[0].stop() == 0, "kill -9: the server stops with 0")
    good, report = verify(data)
    tap.check(good, "kill -9: what it stored verifies", report)


def takeover(work):
    data, ports = os.path.join(work, "takeover"), [free_port(), free_port()]
    servers = [Server(data, port=ports[0])]
    assert servers[0].ready()
    servers.append(Server(data, port=ports[1]))
    assert servers[1].ready()
    make(ports[0], "shared", lease_ms=2000, attempts_max=1000, backoff={"first_ms": 0, "max_ms": 20})

    def kill(turn):
        index = 0 if json_request(ports[0], "GET", "/v1/status")[1]["role"] == "owner" else 1
        servers[index].kill()
        servers[index] = Server(data, port=ports[index])
        assert servers[index].ready(), turn

    expected, consumers = run_load(ports, "shared", kill, "takeover")
    judge(ports[0], "shared", expected, consumers, "takeover")
    for server in servers:
        tap.check(server.stop() == 0, "takeover: a server stops with 0")


def standby(work):
    """A long poll through a standby is answered by the owner's publish, and ends with the owner."""
    data, ports = os.path.join(work, "standby"), [free_port(), free_port()]
    owner = Server(data, port=ports[0])
    assert owner.ready()
    second = Server(data, port=ports[1])
    assert second.ready()
    make(ports[1], "poll")
    got = []

    def wait():
        got.append(json_request(ports[1], "POST", "/v1/subscriptions/poll/receive", {"wait_ms": 20000, "attempt": "one"}))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.3)
    publish(Caller([ports[0]]), "poll", [("k", 1)])
    thread.join(20)
    tap.check(bool(got) and got[0][0] == 200 and [m["event"]["data"] for m in got[0][1]["messages"]] == [1],
              "standby: passes a long poll on", got)
    again = json_request(ports[0], "POST", "/v1/subscriptions/poll/receive", {"wait_ms": 20000, "attempt": "one"})
    tap.check(again == got[0], "standby: the attempt answers the same through the owner", again)
    got.clear()
    thread = threading.Thread(target=wait_for_other, args=(ports[1], got))
    thread.start()
    time.sleep(0.3)
    owner.kill()
    thread.join(60)
    tap.check(not thread.is_alive() and got and got[0][0] in (200, 503), "standby: an owner that dies ends it", got)
    tap.check(second.stop() == 0, "standby: stops with 0")


def wait_for_other(port, got):
    try:
        got.append(json_request(port, "POST", "/v1/subscriptions/poll/receive", {"wait_ms": 3000, "attempt": "two"}))
    except (OSError, http.client.HTTPException) as error:
        got.append((503, repr(error)))


# ---- many that wait ----

def open_receive(port, name, wait_ms=30000):
    """A socket on which a receive waits."""
    body = json.dumps({"max": 1, "wait_ms": wait_ms}).encode()
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(f"POST /v1/subscriptions/{name}/receive HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                 f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return sock


def collect(sockets, seconds):
    """The messages' data that came, by socket; those that did not answer have none."""
    answers, buffers = {}, {sock: b"" for sock in sockets}
    poll = select.poll()
    by_number = {}
    for sock in sockets:
        poll.register(sock, select.POLLIN)
        by_number[sock.fileno()] = sock
    until = time.monotonic() + seconds
    while len(answers) < len(sockets) and time.monotonic() < until:
        for number, _ in poll.poll(200):
            sock = by_number[number]
            buffers[sock] += sock.recv(65536)
            head, mark, body = buffers[sock].partition(b"\r\n\r\n")
            if not mark:
                continue
            length = int([line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")][0].split(b":")[1])
            if len(body) >= length:
                answers[sock] = [m["event"]["data"] for m in json.loads(body)["messages"]]
                poll.unregister(sock)
    return answers


def waiting(port):
    _, text = raw(port, "/metrics")
    return int(float([line for line in text.splitlines() if line.startswith("holdfast_waiting_receives ")][0].split()[1]))


def raw(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def waiters(work):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * WAITERS), hard))
    server = Server(os.path.join(work, "waiters"))
    port = server.port
    caller = Caller([port])
    make(port, "one")
    sockets = [open_receive(port, "one") for _ in range(WAITERS)]
    tap.check(wait_until(lambda: waiting(port) == WAITERS), f"waiters: {WAITERS} wait at one subscription")
    before, start = cpu_seconds(server.process.pid), time.monotonic()
    time.sleep(3)
    share = (cpu_seconds(server.process.pid) - before) / (time.monotonic() - start)
    tap.result(share < 0.05, "waiters: idle ones cost next to nothing", f"{100 * share:.2f} % of a core")
    for first in range(0, WAITERS, 100):
        publish(caller, "one", [(f"k{n}", n) for n in range(first, first + 100)])
    answers = collect(sockets, 60)
    got = sorted(number for data in answers.values() for number in data)
    tap.check(got == list(range(WAITERS)), "waiters: each of them gets one message", (len(answers), got[:10]))
    for sock in sockets:
        sock.close()
    names = [f"many-{n}" for n in range(WAITERS)]
    for name in names:
        make(port, name)
    sockets = [open_receive(port, name) for name in names]
    tap.check(wait_until(lambda: waiting(port) == WAITERS), f"waiters: one waits at each of {WAITERS} subscriptions")
    order = random.sample(range(WAITERS), WAITERS)
    for n in order:
        publish(caller, names[n], [("k", n)])
    answers = collect(sockets, 60)
    tap.check([answers.get(sock) for sock in sockets] == [[n] for n in range(WAITERS)], "waiters: each gets its own message",
              len(answers))
    stopping = [open_receive(port, "one") for _ in range(20)]
    wait_until(lambda: waiting(port) == 20)
    start = time.monotonic()
    tap.check(server.stop() == 0 and time.monotonic() - start < 20, "waiters: those that wait hold up no stop")
    for sock in sockets + stopping:
        sock.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def gone(work):
    server = Server(os.path.join(work, "gone"))
    port = server.port
    make(port, "left")
    sockets = [open_receive(port, "left") for _ in range(50)]
    tap.check(wait_until(lambda: waiting(port) == 50), "gone: 50 wait")
    for sock in sockets:
        sock.close()
    tap.check(wait_until(lambda: waiting(port) == 0, 20), "gone: nobody waits when they have closed", waiting(port))
    publish(Caller([port]), "left", [("k", 7)])
    _, answer = json_request(port, "POST", "/v1/subscriptions/left/receive", {"wait_ms": 5000})
    tap.check([(m["event"]["data"], m["attempt"]) for m in answer["messages"]] == [(7, 1)],
              "gone: nothing was delivered to them", answer)
    _, shown = json_request(port, "GET", "/v1/subscriptions/left")
    tap.check(shown["deliveries"] == 1, "gone: one delivery in all", shown)
    tap.check(server.stop() == 0, "gone: the server stops with 0")


def hot_key(work):
    server = Server(os.path.join(work, "hot"))
    port = server.port
    caller = Caller([port])
    make(port, "hot")
    count = 30000
    for first in range(0, count, 1000):
        publish(caller, "hot", [("hot", n) for n in range(first, first + 1000)])
    status, answer = caller.send("POST", "/v1/subscriptions/hot/receive", {"max": 1})
    tap.check(status == 200 and [m["event"]["data"] for m in answer["messages"]] == [0], "hot key: its first message is out", answer)
    for n in range(200):
        publish(caller, "hot", [(f"cold-{n}", count + n)])
    slowest, got = 0, []
    for _ in range(200):
        start = time.monotonic()
        _, answer = caller.send("POST", "/v1/subscriptions/hot/receive", {"max": 1})
        slowest = max(slowest, time.monotonic() - start)
        got += [m["event"]["data"] for m in answer["messages"]]
    tap.result(got == list(range(count, count + 200)), "hot key: 30,000 waiting messages hide no other key",
               f"slowest receive {1000 * slowest:.1f} ms")
    server.kill()
    server = Server(os.path.join(work, "hot"), port=port)
    assert server.ready()
    _, shown = json_request(port, "GET", "/v1/subscriptions/hot")
    tap.check((shown["waiting"], shown["in_flight"]) == (count - 1, 201), "hot key: all of it is there after kill -9", shown)
    tap.check(server.stop() == 0, "hot key: the server stops with 0")


PARTS = {"kills": kills, "takeover": takeover, "standby": standby, "waiters": waiters, "gone": gone, "hot_key": hot_key}


def main():
    seed = int(os.environ.get("SEED", str(random.randrange(1 << 30))))
    print(f"# SEED={seed}")
    random.seed(seed)
    work = tempfile.mkdtemp(prefix="holdfast-queue-", dir=os.environ.get("HOLDFAST_TMP", BUILD))
    try:
        for name in sys.argv[1:] or PARTS:
            PARTS[name](work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
