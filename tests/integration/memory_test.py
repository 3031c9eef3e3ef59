#!/usr/bin/env python3
"""Memory: a server keeps within its limit by refusing, loses nothing, and the kernel never has to kill it. Prints TAP.

    HOLDFAST=build/holdfast tests/integration/memory_test.py

The part in a memory cgroup makes one, which root may; where it can't be made that part is skipped.
"""
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import serving
from packed import ACCOUNTS, TRANSFERS, Results, account, number_id, transfer
from serving import Server, Tap, json_request, request, verify, wait_until

tap = Tap()
check = tap.check
MIB = 1 << 20
LIMIT_MIB = 96
SLACK_MIB = 12   # of resident memory above the limit: what is under way when it is noticed
IDLE_MIB = 64
RECORDS = 2000
NUMBER = 0


def memory_of(server, field):
    """Of /proc, in MiB."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
    raise AssertionError(field)


def status_of(server):
    return json_request(server.port, "GET", "/v1/status")[1]


def raised(server):
    return [(alert["kind"], alert["subject"]) for alert in json_request(server.port, "GET", "/v1/alerts")[1]["data"]]


def post_packed(server, target, media, records):
    return request(server.port, "POST", target, b"".join(records), {"Content-Type": media}, timeout=120)


def open_until_refused(server, opened, most, patience=12):
    """Accounts by packed records from number `opened` on, until they are refused so often in a row, a quarter of a second apart: what a
    checkpoint frees is used up, too. (how many there are, the answers that refused)"""
    refusals = []
    in_a_row = 0
    while opened < most and in_a_row < patience:
        records = [account(number_id(opened + i, 1), floor=None) for i in range(RECORDS)]
        status, headers, body = post_packed(server, "/v1/accounts", ACCOUNTS, records)
        if status != 200:
            refusals.append((status, headers, body))
            in_a_row += 1
            time.sleep(0.25)
            continue
        assert Results(body).accepted == RECORDS, Results(body)
        opened += RECORDS
        in_a_row = 0
    return opened, refusals


def move(server, accounts, requests):
    """Transfers between accounts that are there. (accepted, refused requests, other answers)"""
    global NUMBER
    accepted = refused = 0
    others = []
    for _ in range(requests):
        records = []
        for _ in range(RECORDS):
            NUMBER += 1
            records.append(transfer(number_id(NUMBER * 7919 % (1 << 63), 2), number_id(NUMBER % accounts, 1),
                                    number_id((NUMBER + 1) % accounts, 1), 1))
        status, headers, body = post_packed(server, "/v1/transfers", TRANSFERS, records)
        if status == 200:
            accepted += Results(body).accepted
        elif status == 429 and "Retry-After" in headers:
            refused += 1
        else:
            others.append((status, body[:300]))
    return accepted, refused, others


def idle(work):
    directory = os.path.join(work, "idle")
    server = Server(directory)
    records = [account(number_id(i, 1)) for i in range(1000)]
    status, _, body = post_packed(server, "/v1/accounts", ACCOUNTS, records)
    assert status == 200 and Results(body).accepted == 1000, body
    assert server.stop() == 0
    server = Server(directory)
    parts = None

    def told():
        nonlocal parts
        parts = status_of(server)
        return parts["disk"] is not None
    check(wait_until(told), "the disk's parts are told", parts)
    resident = memory_of(server, "VmRSS")
    check(resident < IDLE_MIB, f"idle with 1,000 accounts after a restart: {resident:.1f} MiB, below {IDLE_MIB}")
    check(abs(sum(parts["memory_parts"].values()) - parts["memory"]["allocated_bytes"]) < MIB,
          "the parts of memory add up to what is allocated", parts["memory_parts"])
    check(parts["memory_parts"]["accounts_bytes"] > 100_000 and parts["memory_parts"]["names_bytes"] > 10_000,
          "accounts and their names have their part", parts["memory_parts"])
    files = sum(os.stat(os.path.join(directory, "log", name)).st_blocks * 512
                for name in os.listdir(os.path.join(directory, "log")))
    check(wait_until(lambda: status_of(server)["disk"]["log_bytes"] == files), "the log's files are its part of the disk",
          (files, status_of(server)["disk"]))
    text = request(server.port, "GET", "/metrics")[2].decode()
    check('holdfast_memory_bytes{part="accounts"}' in text and 'holdfast_disk_bytes{part="log"}' in text,
          "metrics have them, too")
    where = f"--server=http://127.0.0.1:{server.port}"
    shown = subprocess.run([serving.HOLDFAST, "status", where], capture_output=True, text=True, check=False).stdout
    rows = {line.split()[0]: line.split()[-1] for line in shown.splitlines() if line.strip()}
    check(rows.get("MEMORY") == rows.get("DISK") == "BYTES" and int(rows["accounts"]) > 100_000 and int(rows["log"]) == files,
          "holdfast status has tables of both", shown)
    plain = subprocess.run([serving.HOLDFAST, "status", "--json", where], capture_output=True, text=True, check=False).stdout
    check(json.loads(plain)["memory_parts"].keys() == parts["memory_parts"].keys(), "and with --json what the server says", plain)
    server.stop()
    left = subprocess.run([serving.HOLDFAST, "status", "--json", directory], capture_output=True, text=True, check=False).stdout
    check(json.loads(left)["disk"]["log_bytes"] > 0, "and of a directory its disk", left)


def prepare(server):
    """Two accounts, and holds to be captured and voided."""
    status, answer = json_request(server.port, "POST", "/v1/commits", {"do": [
        {"op": "open_account", "account": "world", "asset": "USD/2", "floor": None},
        {"op": "open_account", "account": "shop", "asset": "USD/2"},
        {"op": "hold", "id": "h:1", "from": "world", "to": "shop", "asset": "USD/2", "amount": "5"},
        {"op": "hold", "id": "h:2", "from": "world", "to": "shop", "asset": "USD/2", "amount": "5"}]},
        {"Idempotency-Key": "prepare"})
    assert status == 201, answer


def still_works(server, name):
    """What is taken at every level."""
    status, answer = json_request(server.port, "GET", "/v1/accounts/world")
    check(status == 200 and answer["id"] == "world", f"{name}: an account is read", (status, answer))
    status, answer = json_request(server.port, "GET", "/v1/accounts?limit=100")
    check(status == 200 and len(answer["data"]) == 100, f"{name}: a page is read", (status, str(answer)[:300]))
    status, answer = json_request(server.port, "POST", "/v1/holds/h:1/capture", {},
                                  {"Idempotency-Key": "capture"})
    check(status < 300, f"{name}: a hold is captured", (status, answer))
    status, answer = json_request(server.port, "POST", "/v1/holds/h:2/void", {}, {"Idempotency-Key": "void"})
    check(status < 300, f"{name}: a hold is voided", (status, answer))


def within(server, limit_mib, name):
    high = memory_of(server, "VmHWM")
    check(high <= limit_mib + SLACK_MIB, f"{name}: at most {high:.0f} MiB of {limit_mib}",
          json.dumps(status_of(server), indent=1))


def limited(work):
    directory = os.path.join(work, "limited")
    server = Server(directory, f"--memory-max={LIMIT_MIB}MiB", "--alert", "log_slow=off")
    prepare(server)
    opened, refusals = open_until_refused(server, 0, 2_000_000)
    check(refusals and opened > 10_000, f"accounts are opened until memory is short: {opened}", refusals)
    wrong = [(status, headers, body) for status, headers, body in refusals
             if status != 429 or "Retry-After" not in headers or json.loads(body)["code"] != "overloaded"
             or "memory" not in json.loads(body)["detail"]]
    check(not wrong, "then 429 overloaded with Retry-After, which says memory", wrong[:1])
    within(server, LIMIT_MIB, "full of accounts")
    memory = status_of(server)["memory"]
    check(memory["refused"] > 0 and memory["level"] in ("full", "spent") and memory["max_bytes"] == LIMIT_MIB * MIB,
          "status says so", memory)
    check(wait_until(lambda: ("memory_low", "memory") in raised(server)), "an alert is raised", raised(server))
    still_works(server, "full")
    status, answer = json_request(server.port, "PUT", "/v1/accounts/one-more", {"asset": "USD/2"})
    check(status == 429, "one account more is refused as well", (status, answer))
    accepted, refused, others = move(server, opened, 300)
    check(not others and accepted > 0, f"existing money moves: {accepted} transfers, {refused} requests refused for now", others)
    within(server, LIMIT_MIB, "after transfers")
    check(server.process.poll() is None, "the server lives")
    position = status_of(server)["position"]
    check(server.stop() == 0, "it stops as ever")
    good, report = verify(directory)
    check(good, "verify is content", report)
    server = Server(directory, "--memory-max=64MiB", "--alert", "log_slow=off")
    check(wait_until(lambda: ("memory_low", "memory") in raised(server)), "with less memory than it needs it serves", raised(server))
    status, answer = json_request(server.port, "GET", "/v1/accounts/world")
    check(status == 200, "reads", (status, answer))
    text = request(server.port, "GET", "/metrics")[2].decode()
    check('holdfast_alerts{kind="memory_low"} 1' in text, "and all metrics", text)
    check(server.stop() == 0, "and stops as ever", server.errors()[-500:])
    server = Server(directory, f"--memory-max={4 * LIMIT_MIB}MiB")
    after = status_of(server)
    check(after["things"]["accounts"] == opened + 2 and after["position"] >= position,
          "with more memory everything is there", after)
    check(after["memory"]["level"] == "room", "and there is room", after["memory"])
    check(wait_until(lambda: not raised(server)), "the alert is cleared", raised(server))
    status, answer = json_request(server.port, "PUT", "/v1/accounts/one-more", {"asset": "USD/2"})
    check(status == 201, "for accounts, too", (status, answer))
    server.stop()


# ---- in a memory cgroup ----

class Group:
    """A memory cgroup of its own, v1 or v2. None of its methods touches another one."""

    def __init__(self, limit_bytes):
        self.path = None
        own = {}
        with open("/proc/self/cgroup", encoding="ascii") as lines:
            for line in lines:
                _, controllers, path = line.strip().split(":", 2)
                own[controllers] = path
        self.v1 = os.path.isdir("/sys/fs/cgroup/memory")
        base = "/sys/fs/cgroup/memory" if self.v1 else "/sys/fs/cgroup"
        for place in (base + own.get("memory" if self.v1 else "", "/").rstrip("/"), base):
            path = f"{place}/holdfast-memory-test-{os.getpid()}"
            try:
                os.mkdir(path)
                self.path = path
                self.put("memory.limit_in_bytes" if self.v1 else "memory.max", limit_bytes)
                return
            except OSError as error:
                self.why = f"{path}: {error}"
                self.remove()

    def put(self, name, value):
        with open(os.path.join(self.path, name), "w", encoding="ascii") as file:
            file.write(str(value))

    def text(self, name):
        with open(os.path.join(self.path, name), encoding="ascii") as file:
            return file.read()

    def kills(self):
        words = self.text("memory.oom_control" if self.v1 else "memory.events").split()
        return int(dict(zip(words[::2], words[1::2])).get("oom_kill", 0))

    def remove(self):
        if self.path is not None:
            wait_until(lambda: not self.text("cgroup.procs").strip(), seconds=10)
            os.rmdir(self.path)
            self.path = None


def one_of_many(port, number, rounds, counts, lock):
    """Large documents, messages, accounts; pages, reads and the feed as large as may be; a consumer. Whatever is answered, it goes on."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def call(kind, method, path, body=None, headers=None):
        full = dict(headers or {})
        if body is not None:
            full["Content-Type"] = "application/json"
        connection.request(method, path, None if body is None else json.dumps(body), full)
        answer = connection.getresponse()
        text = answer.read()
        with lock:
            counts[kind, answer.status] = counts.get((kind, answer.status), 0) + 1
        return json.loads(text) if answer.status == 200 else None

    for i in range(rounds):
        name = f"{number}-{i}"
        call("put", "PUT", f"/v1/documents/d{name}", {"x": "y" * 200_000}, {"If-None-Match": "*"})
        call("publish", "POST", "/v1/commits", {"do": [
            {"op": "publish", "topic": "t", "key": f"{name}-{j}", "type": "x", "data": {"a": "b" * 500}} for j in range(200)]},
            {"Idempotency-Key": f"p{name}"})
        call("open", "POST", "/v1/commits", {"do": [
            {"op": "open_account", "account": f"m:{name}-{j}", "asset": "USD/2"} for j in range(500)]},
            {"Idempotency-Key": f"a{name}"})
        call("list", "GET", "/v1/accounts?limit=1000")
        call("read", "POST", "/v1/read", {"reads": [{"document": f"d{number}-{max(0, i - j)}"} for j in range(50)]})
        call("feed", "GET", "/v1/feed?limit=1000")
        received = call("receive", "POST", "/v1/subscriptions/s/receive", {"max": 100})
        for message in (received or {"messages": []})["messages"][:10]:
            call("ack", "POST", "/v1/subscriptions/s/ack", {"receipts": [message["receipt"]]})
    connection.close()


def mixed(server, group):
    status, answer = json_request(server.port, "PUT", "/v1/subscriptions/s", {"filter": {"topic": "t"}})
    assert status == 201, answer
    counts, lock = {}, threading.Lock()
    threads = [threading.Thread(target=one_of_many, args=(server.port, i, 40, counts, lock)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(group.kills() == 0 and server.process.poll() is None, "large answers at once: the kernel killed nobody", counts)
    bad = {kind: count for kind, count in counts.items() if kind[1] not in (200, 201, 429) and kind != ("read", 413)}
    check(not bad and counts.get(("feed", 200), 0) > 0, "each was answered, or refused for now", counts)
    check(("ack", 429) not in counts and counts.get(("ack", 200), 0) > 0, "acks were never refused", counts)


def in_group(work):
    limit_mib = 128
    group = Group(limit_mib * MIB)
    if group.path is None:
        tap.skip("in a memory cgroup", group.why)
        return
    real = serving.HOLDFAST
    wrapper = os.path.join(work, "in-group")
    with open(wrapper, "w", encoding="utf-8") as script:
        script.write(f"#!/bin/sh\necho $$ >'{group.path}/cgroup.procs' || exit 9\nexec '{real}' \"$@\"\n")
    os.chmod(wrapper, 0o700)
    server = None
    try:
        serving.HOLDFAST = wrapper
        server = Server(os.path.join(work, "group"), "--alert", "log_slow=off")
        mixed(server, group)
        within(server, limit_mib * 0.75, "large answers at once")
        server.stop()
        server.kill()
        server = Server(os.path.join(work, "more"), "--alert", "log_slow=off")
        prepare(server)
        most = status_of(server)["memory"]["max_bytes"]
        check(0.7 * limit_mib * MIB < most < 0.8 * limit_mib * MIB,
              "without an option the limit is a share of the cgroup's", most)
        opened, refusals = open_until_refused(server, 0, 2_000_000)
        check(refusals and all(status == 429 for status, _, _ in refusals),
              f"in a cgroup of {limit_mib} MiB {opened} accounts fit", refusals[:1])
        accepted = refused = 0
        others = []
        for _ in range(10):
            more, no, wrong = move(server, opened, 50)
            accepted, refused, others = accepted + more, refused + no, others + wrong
            opened, again = open_until_refused(server, opened, opened + RECORDS * 3, patience=1)
            refused += len(again)
        check(not others, f"{accepted} transfers under pressure, {refused} requests refused for memory", others)
        still_works(server, "in the cgroup")
        high = memory_of(server, "VmHWM")
        check(group.kills() == 0 and server.process.poll() is None,
              f"the kernel killed nobody; at most {high:.0f} MiB resident", group.kills())
        check(server.stop() == 0, "it stops as ever", server.errors()[-500:])
    finally:
        serving.HOLDFAST = real
        if server is not None:
            server.kill()
        group.remove()


def main():
    work = tempfile.mkdtemp(prefix="holdfast-memory-")
    try:
        for test in (idle, limited, in_group):
            test(work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
