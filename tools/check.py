#!/usr/bin/env python3
"""Runs every check and counts: the last line is "N passed, N failed".

    tools/check.py [--build DIR] [GROUP...]

Groups: unit scripts sim integration fuzz, all of them by default, in this order; and interop, with
real peers (a browser, bean-check), which make check-interop runs. A test is one
line "ok"/"not ok" of a TAP stream, one script, one fuzz target, one simulator run. Something that
ends badly without naming a failed test counts as one failure; nothing that did not run is counted
as passed. The counts go to DIR/check-summary.txt too. Environment:

    FUZZ_SECONDS=60    seconds for each fuzz target, two targets at a time
    SIM_RUNS=500       simulator seeds; HOLDFAST_LONG=1 makes it 5000
    SIM_SEED=1         the first seed
    CC_FUZZ=clang      the compiler of the fuzz targets
"""
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GROUPS = ["unit", "scripts", "sim", "integration", "fuzz"]
ASKED_FOR = ["interop"]  # groups that run only when they are named
SCRIPTS = [
    ("includes follow the arrows", [sys.executable, "tools/check-includes.py"]),
    ("a planted include is caught", [sys.executable, "tools/check-includes.py", "--self-test"]),
    ("headers compile alone", ["tools/check-headers.sh"]),
    ("no banned words or paths", ["tools/check-words.sh"]),
    ("error numbers are frozen", [sys.executable, "tools/check-errors.py"]),
    ("awk and the bank model agree", ["tools/check-bank.sh"]),
    ("only outside/ reaches outside", [sys.executable, "tools/check-seam.py", "{build}"]),
]
JOBS = max(1, int(os.environ.get("JOBS", "2")))
TAP_LINE = re.compile(r"^\s*(not ok|ok)\b(.*)$")


class Tally:
    """Counts, and says each result as it comes."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = 0

    def add(self, name, passed, failed, skipped=0, seconds=None, note=""):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped
        counts = [f"{passed} passed"] if passed or not skipped else []
        counts += [f"{skipped} skipped"] if skipped else []
        counts += [f"{failed} FAILED"] if failed else []
        took = f" ({seconds:.1f} s)" if seconds is not None and seconds >= 0.1 else ""
        print(f"  {name}: {', '.join(counts)}{took}{' - ' + note if note else ''}", flush=True)


def show(text, lines_max=60):
    """The end of an output, indented, so that a failure explains itself."""
    lines = text.rstrip().splitlines()
    if len(lines) > lines_max:
        print(f"    … {len(lines) - lines_max} lines before")
    for line in lines[-lines_max:]:
        print("    " + line)
    sys.stdout.flush()


def run(command, seconds_max, environment=None):
    """(exit status or None if it took too long, output, seconds)"""
    started = time.monotonic()
    full = dict(os.environ)
    full.update(environment or {})
    try:
        done = subprocess.run(command, cwd=ROOT, env=full, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=seconds_max, check=False)
        status, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        status, output = None, (late.stdout or b"") + f"\ntook over {seconds_max} s".encode()
    except OSError as error:
        status, output = 127, str(error).encode()
    return status, output.decode("utf-8", "replace"), time.monotonic() - started


def count_tap(text):
    """(passed, failed, skipped) of a TAP stream."""
    passed = failed = skipped = 0
    for line in text.splitlines():
        match = TAP_LINE.match(line)
        if not match:
            continue
        if "# skip" in match.group(2).lower():
            skipped += 1
        elif match.group(1) == "ok":
            passed += 1
        else:
            failed += 1
    return passed, failed, skipped


def add_tap(tally, name, status, output, seconds):
    passed, failed, skipped = count_tap(output)
    bad_end = status != 0 and failed == 0
    silent = status == 0 and passed + failed + skipped == 0
    if bad_end or silent:
        failed += 1
    note = "took too long" if status is None else f"exit status {status}" if bad_end else ""
    if silent:
        note = "it said nothing in TAP"
    tally.add(name, passed, failed, skipped, seconds, note)
    if failed:
        show(output)


def check_unit(tally, build):
    log = os.path.join(ROOT, build, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.remove(log)
    status, output, _ = run(["meson", "test", "-C", build, "--no-rebuild", "--num-processes",
                             str(JOBS)], 1800)
    if not os.path.exists(log):
        tally.add("meson test", 0, 1, note="it left no log")
        show(output)
        return
    failed_before = tally.failed
    with open(log, encoding="utf-8") as file:
        tests = [json.loads(line) for line in file if line.strip()]
    for test in sorted(tests, key=lambda test: test["name"]):
        output = test.get("stdout", "") + test.get("stderr", "")
        code = 0 if test["result"] in ("OK", "SKIP") else test.get("returncode") or test["result"]
        add_tap(tally, test["name"], code, output, test.get("duration"))
    if status != 0 and tally.failed == failed_before:
        tally.add("meson test", 0, 1, note=f"exit status {status}")


def check_scripts(tally, build):
    for name, command in SCRIPTS:
        command = [word.replace("{build}", build) for word in command]
        status, output, seconds = run(command, 300)
        tally.add(name, int(status == 0), int(status != 0), seconds=seconds)
        if status != 0:
            show(output)


def check_sim(tally, build):
    program = os.path.join(build, "holdfast-sim")
    if not os.path.exists(os.path.join(ROOT, program)):
        tally.add("simulator", 0, 0, 1, note=f"skipped: {program} does not exist yet")
        return
    long = os.environ.get("HOLDFAST_LONG") == "1"
    runs = int(os.environ.get("SIM_RUNS") or ("5000" if long else "500"))
    first = int(os.environ.get("SIM_SEED", "1"))
    share = -(-runs // JOBS)
    parts = [(first + done, min(share, runs - done)) for done in range(0, runs, share)]
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        commands = [[program, *kind, "--seed", str(seed), "--runs", str(count)]
                    for kind in ([], ["--sagas"]) for seed, count in parts]
        for command, (status, output, seconds) in zip(
                commands, pool.map(lambda command: run(command, 3600), commands)):
            name = " ".join(["simulator"] + command[1:])
            tally.add(name, int(status == 0), int(status != 0), seconds=seconds)
            if status != 0:
                show(output)


def interpreter(modules):
    """The Python of the tests: one that has what they need of Debian's packages."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        status, _, _ = run([candidate, "-c", "import " + modules], 60)
        if status == 0:
            return candidate
    return sys.executable


def check_folder(tally, build, group):
    python = interpreter("psycopg2, pymysql" if group == "interop" else "jsonschema, yaml")
    folder = os.path.join(ROOT, "tests", group)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    environment = {"HOLDFAST_BUILD": os.path.join(ROOT, build),
                   "HOLDFAST": os.path.join(ROOT, build, "holdfast")}
    found = False
    for name in names:
        path = os.path.join("tests", group, name)
        if name.endswith("_test.sh"):
            command = ["sh", path]
        elif name.endswith("_test.py"):
            command = [python, path]
        else:
            continue
        found = True
        status, output, seconds = run(command, 600, environment)
        add_tap(tally, f"{group}/{name}", status, output, seconds)
    if not found:
        tally.add(group, 0, 0, 1, note=f"skipped: tests/{group} has no *_test.sh or .py")


def check_integration(tally, build):
    check_folder(tally, build, "integration")


def check_interop(tally, build):
    check_folder(tally, build, "interop")


def build_fuzz():
    """Builds the targets with coverage, ASan and UBSan; (names, complaint or None)."""
    sources = sorted(name for name in os.listdir(os.path.join(ROOT, "tests", "fuzz"))
                     if name.endswith("_fuzz.c"))
    if not sources:
        return [], None
    compiler = os.environ.get("CC_FUZZ", "clang")
    status, output, _ = run(
        ["tools/build.sh", "build-fuzz", "-Dfuzz=true", "-Db_sanitize=address,undefined",
         "-Db_lundef=false", "-Dc_args=-fsanitize=fuzzer-no-link", "-Dslow_checks=true"], 1800,
        {"CC": compiler, "NINJA_TARGETS": "fuzz"})
    if status != 0:
        return [], output
    return [name[:-len("_fuzz.c")] for name in sources], None


def run_fuzz(name, seconds):
    corpus = os.path.join("build-fuzz", "corpus", name)
    artifacts = os.path.join("build-fuzz", "artifacts", name) + "/"
    for folder in (corpus, artifacts):
        os.makedirs(os.path.join(ROOT, folder), exist_ok=True)
    command = [f"build-fuzz/tests/fuzz/{name}_fuzz", f"-max_total_time={seconds}", "-timeout=10",
               "-rss_limit_mb=2048", "-print_final_stats=1", f"-artifact_prefix={artifacts}"]
    dictionary = os.path.join("tests", "fuzz", name + ".dict")
    if os.path.exists(os.path.join(ROOT, dictionary)):
        command.append("-dict=" + dictionary)
    command.append(corpus)
    seeds = os.path.join("tests", "fuzz", "corpus", name)
    if os.path.isdir(os.path.join(ROOT, seeds)):
        command.append(seeds)
    options = {"UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
    return run(command, seconds + 120, options)


def check_fuzz(tally, build):
    del build  # the targets have a build directory of their own
    names, complaint = build_fuzz()
    if complaint is not None:
        tally.add("fuzz targets", 0, 1, note="they do not build")
        show(complaint)
        return
    if not names:
        tally.add("fuzz", 0, 0, 1, note="skipped: tests/fuzz has no target yet")
        return
    seconds_each = int(os.environ.get("FUZZ_SECONDS", "60"))
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        results = pool.map(lambda name: run_fuzz(name, seconds_each), names)
        for name, (status, output, seconds) in zip(names, results):
            runs = re.search(r"stat::number_of_executed_units: (\d+)", output)
            note = f"{runs.group(1)} inputs" if runs else ""
            good = status == 0 and runs is not None
            tally.add("fuzz/" + name, int(good), int(not good), seconds=seconds, note=note)
            if not good:
                show(output)


def main(arguments):
    build = "build"
    if "--build" in arguments:
        at = arguments.index("--build")
        build = arguments[at + 1]
        arguments = arguments[:at] + arguments[at + 2:]
    groups = arguments or GROUPS
    unknown = [group for group in groups if group not in GROUPS + ASKED_FOR]
    if unknown:
        print(f"check: no such group: {' '.join(unknown)} ({' '.join(GROUPS + ASKED_FOR)})", file=sys.stderr)
        return 2
    tally = Tally()
    for group in GROUPS + ASKED_FOR:
        if group in groups:
            print(f"{group}:", flush=True)
            {"unit": check_unit, "scripts": check_scripts, "sim": check_sim,
             "integration": check_integration, "fuzz": check_fuzz,
             "interop": check_interop}[group](tally, build)
    os.makedirs(os.path.join(ROOT, build), exist_ok=True)
    with open(os.path.join(ROOT, build, "check-summary.txt"), "w", encoding="utf-8") as file:
        file.write(f"{tally.passed} {tally.failed}\n")
    if tally.skipped:
        print(f"{tally.skipped} skipped")
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
