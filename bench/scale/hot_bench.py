#!/usr/bin/env python3
"""Hot accounts beside uniform ones: single transfers and packed ones, in interleaved rounds.

    bench/scale/hot_bench.py [--rounds 5] [--seconds 5] [--accounts 10000] [--json]

Each row of each round is `holdfast bench` on a fresh `serve` (default settings) with a directory of its own; the order of the
rows turns from round to round. What is compared are the medians. Totals are compared after each, nothing may have been
refused or replayed, and `holdfast verify` must say yes. Exit status 1 if a target was missed or something was wrong.
"""
import argparse
import os
import shutil
import statistics
import sys
import tempfile

from measured import ROOT, Line, Server, circumstances, fail, number, progress, report, sync_alone

SINGLE, BULK = "single, uniform", "packed, uniform"
ROWS = {  # options of `holdfast bench`
    SINGLE: ("single",),
    "single, one hot account": ("hot",),
    "single, two hot accounts": ("two-hot",),
    "single, zipf": ("zipf",),
    BULK: ("bulk",),
    "packed, one hot account": ("hot", "--packed"),
    "packed, two hot accounts": ("two-hot", "--packed"),
    "packed, zipf": ("zipf", "--packed"),
}
TARGETS = {  # of the ratio to the uniform row of the same kind
    "single, one hot account": 0.95, "packed, one hot account": 0.95, "packed, two hot accounts": 1.0, "packed, zipf": 1.0,
}


def one(options, directory, name):
    server = Server(options.build, os.path.join(directory, "data"))
    try:
        server.start()
        told = server.bench("--workload=" + ROWS[name][0], *ROWS[name][1:], f"--seconds={options.seconds}",
                            f"--accounts={options.accounts}", f"--ids={options.ids}",
                            *([f"--connections={options.connections}"] if name.startswith("single") else []))
        if not told["totals_equal"] or told["refused"] or told["replayed"]:
            fail(f"{name}: {told}")
        server.stop()
        server.verify()
    finally:
        server.kill()
    shutil.rmtree(server.directory)
    return told


def lines_of(results):
    rates = {name: [told["per_second"] for told in rows] for name, rows in results.items()}
    lines = []
    for name, row in rates.items():
        lines.append(Line(name, statistics.median(row), "/s", more=f"{number(min(row))} to {number(max(row))}; p99 "
                          f"{statistics.median(told['latency']['p99_us'] for told in results[name]) / 1000:.1f} ms"))
    for name, row in rates.items():
        base = SINGLE if name.startswith("single") else BULK
        if name != base:
            ratios = [a / b for a, b in zip(row, rates[base])]
            lines.append(Line(f"{name} / uniform", statistics.median(row) / statistics.median(rates[base]), at_least=TARGETS.get(name),
                              more=f"round by round {min(ratios):.2f} to {max(ratios):.2f}"))
    return lines


def options_of():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], epilog=__doc__.split("\n\n", 2)[2],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="where holdfast was built (build)")
    parser.add_argument("--directory", help="where the data are put, in a folder that is removed at the end (the build)")
    parser.add_argument("--rounds", type=int, default=5, help="(5)")
    parser.add_argument("--seconds", type=int, default=5, help="of load for a row of a round (5)")
    parser.add_argument("--accounts", type=int, default=10000, help="(10000)")
    parser.add_argument("--connections", type=int, default=64, help="of the single transfers (64)")
    parser.add_argument("--ids", choices=("time", "random"), default="time", help="transfer ids ascend (time), or all bits are random")
    parser.add_argument("--only", choices=("single", "packed"), help="these rows alone")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main():
    options = options_of()
    options.build = os.path.abspath(options.build)
    facts = circumstances()
    names = [name for name in ROWS if options.only is None or name.startswith(options.only)]
    results = {name: [] for name in names}
    directory = tempfile.mkdtemp(prefix="hot-", dir=os.path.abspath(options.directory or options.build))
    try:
        sync = sync_alone(directory, 2000)
        facts["fdatasync of 4 KiB"] = f"p50 {sync['p50_us']:.0f}, p99 {sync['p99_us']:.0f}, max {sync['max_us']:.0f} us"
        for turn in range(options.rounds):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                progress(f"round {turn + 1} of {options.rounds}: {name}")
                results[name].append(one(options, directory, name))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return report(f"hot accounts of {options.accounts:,}, medians of {options.rounds} rounds of {options.seconds} s (lowest to highest)",
                  facts, lines_of(results), results, options.json)


if __name__ == "__main__":
    sys.exit(main())
