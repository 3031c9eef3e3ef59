#!/usr/bin/env python3
"""A large ledger in little memory: 100 million transfers over a million accounts, the server in a memory cgroup of 6 GiB.

    bench/scale/scale_bench.py [--transfers 100000000] [--accounts 1000000] [--memory 6GiB] [--directory DIR] [--json]

`serve` as it is by default. In turn: RAM of an account (the server after a restart with all accounts, less an empty one);
the load (`holdfast bench --workload=bulk`), its rate in each tenth; when its merges are done, look-ups by id, pages of entries, balances at a time,
version and position, one by one over a kept loopback connection; single transfers at a steady rate beside a bulk load and
its checkpoints, and the raw disk's fdatasync at the same time; kill -9 under load and restart, several times; a clean stop
and restart; the disk's bytes; `holdfast verify`. The page cache of the server counts in the cgroup. Totals are compared after
each load. Exit status 1 if a target was missed or something was wrong, 2 if the run can't be made here.
"""
import argparse
import datetime
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

from cgroup import CgroupError, MemoryCgroup
from measured import MIB, ROOT, Line, Server, circumstances, fail, number, progress, report, times_of

BATCH = 8190
HOT_ENTRIES = 1_000_000  # of the account with the long history
HOT = 0
FUNDS = 1 << 50  # what `holdfast bench` funds each account with
WORKLOAD = "--workload=bulk"
DISK_BYTES_EACH = 500  # of disk for a transfer that must be free: what the target allows, and what a merge writes beside
DISK_BYTES_MORE = 4 << 30
MASK = (1 << 64) - 1


class Impossible(Exception):
    """Why the run can't be made here."""


# ---- what `holdfast bench` names ----

def account_name(i):
    return f"62656e63-6800-0000-{i >> 48:04x}-{i & (1 << 48) - 1:012x}"


def mix(value):
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & MASK
    return value ^ value >> 31


def transfer_name(run, n, random_ids):
    """Of operation n of the run; src/cli/bench_workload.c says the same."""
    high = mix(run ^ mix(n)) if random_ids else run
    low = mix(run + 2 * n + 1 & MASK) | 1 if random_ids else n + 1
    text = f"{high:016x}{low:016x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


# ---- parts ----

class Scale:
    def __init__(self, options, directory, cgroup):
        self.options, self.cgroup = options, cgroup
        self.server = Server(options.build, os.path.join(directory, "data"), cgroup)
        self.empty = Server(options.build, os.path.join(directory, "empty"), cgroup)
        self.sync_file = os.path.join(directory, "sync")
        self.random = random.Random(options.seed)
        self.hot_every = options.hot_every or max(1, options.transfers // HOT_ENTRIES)
        self.probe = os.path.join(options.build, "bench", "scale", "scale-probe")
        self.lines, self.details = [], {}

    def line(self, *words, **named):
        self.lines.append(Line(*words, **named))

    def memory_now(self, when):
        if self.cgroup:
            self.details.setdefault("cgroup", {})[when] = self.cgroup.figures()

    def bulk_words(self, *more):
        return [WORKLOAD, f"--accounts={self.options.accounts}", f"--ids={self.options.ids}", f"--hot-every={self.hot_every}",
                f"--connections={self.options.connections}", *more]

    def bulk(self, *more):
        told = self.server.bench(*self.bulk_words(*more))
        if not told["totals_equal"] or told["replayed"] or told["refused"]:
            fail(f"the load was not as it should be: {told}")
        return told

    def account_memory(self):
        progress("an empty server")
        self.empty.start()
        empty = self.empty.status_bytes("VmRSS")
        self.empty.stop()
        progress("accounts")
        self.server.start()
        self.bulk(f"--transfers={BATCH}")
        self.server.stop()
        self.server.start()
        self.server.settle()
        whole = self.server.status_bytes("VmRSS")
        each = (whole - empty) / self.options.accounts
        self.line("RAM an account", each, "bytes", at_most=320,
                  more=f"resident {whole / MIB:.0f} MiB with {self.options.accounts:,}, {empty / MIB:.1f} MiB empty")
        self.memory_now("accounts only")

    def load(self):
        progress("load")
        step = max(1, self.options.transfers // 100)
        self.first_position = self.server.get("/v1/status")["position"]
        wall = datetime.datetime.now(datetime.timezone.utc)
        told = self.bulk(f"--transfers={self.options.transfers}", f"--step={step}", f"--seed={self.options.seed}")
        self.run = int(told["run"], 16)
        self.ended = datetime.datetime.now(datetime.timezone.utc)
        self.began = max(wall, self.ended - datetime.timedelta(microseconds=told["elapsed_us"]))
        rates = told["steps_per_second"]
        tenths = [len(rates[i:i + 10]) / sum(1 / rate for rate in rates[i:i + 10]) for i in range(0, len(rates), 10)]
        self.line("load", told["per_second"], "/s", at_least=700000 if self.options.ids == "random" else 1050000,
                  more="0.7 x of what 10,000 accounts are to reach")
        self.line("slowest tenth / first tenth", min(tenths) / tenths[0], at_least=0.70,
                  more=f"a tenth: {10 * step:,} transfers, the first at {number(tenths[0])}/s; the slowest "
                       f"hundredth at {number(float(min(rates)))}/s")
        self.line("a batch, p99", told["latency"]["p99_us"] / 1000, "ms", at_most=50,
                  more=f"p50 {told['latency']['p50_us'] / 1000:.1f}, max {told['latency']['max_us'] / 1000:.0f} ms")
        self.details["load"] = told
        self.memory_now("loaded")

    def timed(self, name, target_ms, make, look=None):
        """Answers one by one: make() gives a target, look(answer) may say what is wrong with it."""
        count = self.options.reads
        wire = self.server.wire()
        took = []
        for i in range(count):
            if i % 64 == 0:
                progress(f"{name}: {i} of {count}")
            answer = wire.get(make())
            took.append(wire.took_ns)
            if look:
                look(answer)
        wire.close()
        times = times_of(took)
        more = f"p50 {times['p50_ms']:.2f}, max {times['max_ms']:.1f} ms, {count:,} reads"
        self.line(f"{name}, p99", times["p99_ms"], "ms", at_most=target_ms, more=more)
        self.details[name] = times

    def pages(self, name, target_ms, account):
        """Pages of 100 entries that begin at random; how full they are is told, too."""
        entries = []

        def make():
            i = account()
            versions = self.versions[i] if i in self.versions else None
            if versions is None:
                return f"/v1/accounts/{account_name(i)}/entries?limit=100"
            return f"/v1/accounts/{account_name(i)}/entries?limit=100&after={self.random.randint(101, versions)}"
        self.timed(name, target_ms, make, lambda page: entries.append(len(page["data"])))
        self.lines[-1].more += f"; {min(entries)} to {max(entries)} entries in a page"

    def reads(self):
        options = self.options
        self.details["seconds until the load's merges were done"] = self.server.settle()
        status = self.server.get("/v1/status")
        hot = self.server.get(f"/v1/accounts/{account_name(HOT)}")
        self.versions = {HOT: int(hot["version"])}
        self.details["entries of the hot account"] = self.versions[HOT]
        span = (self.ended - self.began).total_seconds()

        def any_transfer():
            return f"/v1/transfers/{transfer_name(self.run, self.random.randrange(options.transfers), options.ids == 'random')}"

        def any_balance(account, how):
            base = f"/v1/accounts/{account_name(account)}/balance?"
            if how == "version":
                return base + f"at_version={self.random.randint(1, self.versions[HOT])}"
            if how == "position":
                return base + f"at_position={self.random.randint(self.first_position, status['position'])}"
            moment = self.began + datetime.timedelta(seconds=self.random.uniform(0, span))
            return base + "at=" + moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

        def any_account():
            return self.random.randrange(1, options.accounts)

        long_history = f"account of {self.versions[HOT]:,} entries"
        self.timed("transfer by id", 2, any_transfer)
        self.pages(f"page of 100 entries, {long_history}", 5, lambda: HOT)
        for how in ("time", "version", "position"):
            self.timed(f"balance at a {how}, {long_history}", 5, lambda how=how: any_balance(HOT, how))
        self.pages("newest page of an account like the others", None, any_account)
        self.timed("balance at a time, account like the others", 5, lambda: any_balance(any_account(), "time"))
        self.memory_now("read")

    def stalls(self):
        """Single transfers at a steady rate beside the bulk load; the raw disk is asked at the same rate."""
        options = self.options
        progress("stalls")
        wire = self.server.wire()
        for name, more in (("probe:from", {"floor": None}), ("probe:to", {})):
            status, body = wire.call("PUT", f"/v1/accounts/{name}", {"asset": "EUR/2", **more})
            if status not in (200, 201):
                fail(f"open {name}: {status} {body.decode()}")
        rate = str(options.probe_rate)
        words = self.bulk_words(f"--seconds={options.stall_seconds}", f"--seed={options.seed + 1}")
        if options.stall_rate:
            words.append(f"--rate={options.stall_rate}")
        probes = [subprocess.Popen([self.probe, *one], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                  for one in (["commits", str(self.server.port), rate, f"{self.run:x}"], ["sync", self.sync_file, rate])]
        bench = self.server.bench_start(*words)
        checkpoints = set()
        while bench.poll() is None:
            time.sleep(0.2)
            checkpoints.add(wire.get("/v1/status")["checkpoint_position"])
        told, commits, sync = (json.loads(process.communicate()[0] or "{}") for process in (bench, *probes))
        wire.close()
        if not told.get("totals_equal") or commits.get("errors", 1) or not sync:
            fail(f"the load or the probes went wrong: {told} {commits} {sync}")
        os.unlink(self.sync_file)
        self.details["stalls"] = {"load": told, "commits": commits, "sync": sync, "checkpoints": len(checkpoints) - 1}
        self.line("longest commit stall", commits["max_us"] / 1000, "ms", at_most=sync["max_us"] / 1000 + 50,
                  more=f"p50 {commits['p50_us'] / 1000:.1f}, p99 {commits['p99_us'] / 1000:.1f} ms of {commits['count']:,} at {rate}/s; "
                       f"raw sync p50 {sync['p50_us'] / 1000:.2f}, p99 {sync['p99_us'] / 1000:.1f}, max {sync['max_us'] / 1000:.1f} ms; "
                       f"beside {told['per_second']:,}/s and {len(checkpoints) - 1} checkpoints")
        if len(checkpoints) < 2:
            self.line("checkpoints beside the probe", 0, at_least=1, more="none was stored: --stall-seconds is too short")

    def kills(self):
        """kill -9 under load; how long until it answers again."""
        times = []
        tails = []
        for i in range(self.options.kills):
            progress(f"kill -9 under load: {i + 1} of {self.options.kills}")
            bench = self.server.bench_start(*self.bulk_words("--seconds=600", f"--seed={self.options.seed + 2 + i}"), quiet=True)
            time.sleep(self.options.kill_after * (i + 1) / self.options.kills)
            self.server.kill()
            bench.communicate()
            times.append(self.server.start())
            tails.append(self.server.get("/v1/status")["since_start"]["recovered_commits"])
        self.line("restart after kill -9", max(times), "s", at_most=20,
                  more=f"of {len(times)}: " + ", ".join(f"{s:.1f} s for {n:,} commits" for s, n in zip(times, tails)) +
                       " behind the checkpoint")

    def clean(self):
        progress("clean stop and restart")
        stopped = self.server.stop()
        ready = self.server.start()
        self.line("restart after a clean stop", ready, "s", at_most=3, more=f"the stop took {stopped:.1f} s")
        self.memory_now("restarted")

    def peak(self):
        """Of the process that took the load."""
        peak = self.server.status_bytes("VmHWM")
        self.details["rss"] = {"peak": peak, "now": self.server.status_bytes("VmRSS"), "anonymous": self.server.status_bytes("RssAnon")}
        self.line("resident memory, most", peak / MIB, "MiB", more=f"now {self.details['rss']['now'] / MIB:.0f}, "
                  f"of it anonymous {self.details['rss']['anonymous'] / MIB:.0f} MiB")

    def transfers(self):
        """All that are in the ledger: an account is funded by 2^50, every other transfer moves 1."""
        moved = int(self.server.get("/v1/assets/USD%2F2/totals")["debits_posted"])
        probed = int(self.server.get("/v1/assets/EUR%2F2/totals")["debits_posted"])
        return sum(divmod(moved, FUNDS)) + probed

    def disk(self):
        whole = 0
        kinds = {}
        transfers = self.transfers()
        for folder, _, names in os.walk(self.server.directory):
            for name in names:
                size = os.lstat(os.path.join(folder, name)).st_blocks * 512
                kind = os.path.splitext(name)[1] or re.sub(r"[0-9a-f]{8,}.*", "", name)
                kinds[kind] = kinds.get(kind, 0) + size
                whole += size
        self.details["disk"] = {"bytes": whole, "kinds": kinds, "transfers": transfers}
        told = ", ".join(f"{name} {size / transfers:.1f}" for name, size in sorted(kinds.items(), key=lambda k: -k[1]))
        self.line("disk a transfer", whole / transfers, "bytes", at_most=320,
                  more=f"{whole / 1e9:.2f} GB for {transfers:,} transfers: {told}")

    def cgroup_line(self):
        if not self.cgroup:
            return
        figures = self.cgroup.figures()
        self.line("processes killed for memory", figures["oom_kills"], at_most=0,
                  more=f"cgroup v{self.cgroup.version} of {self.options.memory / MIB:.0f} MiB: most "
                       f"{(figures['max_usage'] or 0) / MIB:.0f} MiB with page cache, limit met {figures['failcnt']:,} times; now rss "
                       f"{figures['rss'] / MIB:.0f}, cache {figures['cache'] / MIB:.0f} MiB")

    def run_all(self):
        self.account_memory()
        self.load()
        self.reads()
        self.peak()
        self.stalls()
        self.kills()
        self.clean()
        self.disk()
        self.cgroup_line()
        progress("clean stop, verify")
        self.server.stop()
        self.line("verify says yes", self.server.verify(), "s", more="outside of the cgroup")


# ---- the program ----

def size_of(text):
    found = re.fullmatch(r"(\d+)(KiB|MiB|GiB)?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"a size is like 6GiB, not {text}")
    return int(found.group(1)) << {None: 0, "KiB": 10, "MiB": 20, "GiB": 30}[found.group(2)]


def options_of():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], epilog=__doc__.split("\n\n", 2)[2],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="where holdfast was built (build)")
    parser.add_argument("--directory", help="where the data are put, in a folder that is removed at the end (the build)")
    parser.add_argument("--transfers", type=int, default=100_000_000, help="of the load (100000000)")
    parser.add_argument("--accounts", type=int, default=1_000_000, help="(1000000)")
    parser.add_argument("--ids", choices=("time", "random"), default="time", help="transfer ids ascend (time), or all bits are random")
    parser.add_argument("--memory", type=size_of, default=size_of("6GiB"), help="limit of the cgroup, page cache counted (6GiB)")
    parser.add_argument("--no-cgroup", dest="cgroup", action="store_false", help="without one; it is said")
    parser.add_argument("--connections", type=int, default=4, help="of the load (4)")
    parser.add_argument("--hot-every", type=int, help=f"one of so many transfers is from one account (so that it has {HOT_ENTRIES:,})")
    parser.add_argument("--reads", type=int, default=2000, help="of each kind (2000)")
    parser.add_argument("--probe-rate", type=int, default=100, help="single transfers a second beside the load (100)")
    parser.add_argument("--stall-seconds", type=int, default=60, help="how long (60)")
    parser.add_argument("--stall-rate", type=int, help="bulk requests a second meanwhile (as many as it takes)")
    parser.add_argument("--kills", type=int, default=3, help="kill -9 so often (3)")
    parser.add_argument("--kill-after", type=float, default=20, help="seconds of load before the last of them (20)")
    parser.add_argument("--seed", type=int, default=1, help="of what is read (1)")
    parser.add_argument("--keep", action="store_true", help="leave the data")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def must_fit(options, folder):
    wanted = options.transfers * DISK_BYTES_EACH + DISK_BYTES_MORE
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise Impossible(f"{folder} has {free / 1e9:.0f} GB free, {wanted / 1e9:.0f} GB are needed: give another --directory, "
                         "or fewer --transfers (and say so)")


def make_cgroup(options):
    if not options.cgroup:
        return None
    try:
        return MemoryCgroup(f"holdfast-scale-{os.getpid()}", options.memory)
    except CgroupError as error:
        raise Impossible(f"{error}: run as root, or with --no-cgroup") from error


def main():
    options = options_of()
    options.build = os.path.abspath(options.build)
    folder = os.path.abspath(options.directory or options.build)
    facts = circumstances()
    try:
        must_fit(options, folder)
        cgroup = make_cgroup(options)
    except Impossible as why:
        print(f"scale_bench: {why}", file=sys.stderr)
        return 2
    facts["memory limit"] = f"{options.memory / MIB:.0f} MiB, cgroup v{cgroup.version}" if cgroup else "NONE: --no-cgroup"
    directory = tempfile.mkdtemp(prefix="scale-", dir=folder)
    scale = Scale(options, directory, cgroup)
    try:
        scale.run_all()
    finally:
        scale.server.kill()
        scale.empty.kill()
        if cgroup:
            cgroup.remove()
        if options.keep:
            print(f"the data are in {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return report(f"{options.transfers:,} transfers over {options.accounts:,} accounts, ids by {options.ids}", facts, scale.lines,
                  scale.details, options.json)


if __name__ == "__main__":
    sys.exit(main())
