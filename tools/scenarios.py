#!/usr/bin/env python3
"""Plays the failures that everybody knows, naive and with Holdfast, and prints what went wrong.

    tools/scenarios.py [--build DIR] [--rounds N] [--seed N] [--only P1,P4] [--small] [--json]

Each story runs in two variants with the same requests, concurrency and kills (docs/scenarios.md); a model
that shares no code with either judges the books afterwards. A row holds if each round shows naive failures, no
failure with Holdfast, and at least 0.9 of what the model allows was done with Holdfast. Exit status 0 only if every row
holds.
"""
import argparse
import collections
import json
import os
import random
import sys
import tempfile
import time

import scenarios_refund
import scenarios_run
import scenarios_silence
import scenarios_store
import scenarios_stories

LEAST_SHARE = 0.9  # of what the model allows
VARIANTS = {"naive": True, "holdfast": False}
STORIES = sorted(scenarios_stories.STORIES + scenarios_refund.STORIES + scenarios_silence.STORIES
                 + scenarios_store.STORIES, key=lambda kind: int(kind.number[1:]))


class Row:
    """A story's figures, summed over the rounds."""

    def __init__(self, kind):
        self.kind = kind
        self.requests = self.allowed = 0
        self.failed = collections.Counter()    # by variant
        self.accepted = collections.Counter()
        self.retries = collections.Counter()
        self.kinds = {variant: collections.Counter() for variant in VARIANTS}
        self.off = []                          # why it does not hold

    def play(self, options, round_number, only=None):
        for variant, naive in VARIANTS.items():
            if only and variant != only:
                continue
            seed = f"{options.seed}/{round_number}/{self.kind.number}"
            story = self.kind(random.Random(seed), options.small)
            with tempfile.TemporaryDirectory(prefix="holdfast-scenario-") as directory:
                with self.kind.world(story, naive, options.build, directory) as world:
                    verdict, retries = story.play(world)
            if naive or only:
                self.requests += len(story.requests)
                self.allowed += verdict.allowed
            self.failed[variant] += verdict.failed
            self.accepted[variant] += verdict.accepted
            self.retries[variant] += retries
            self.kinds[variant].update(verdict.failures)
            self.judge(variant, verdict, round_number)

    def judge(self, variant, verdict, round_number):
        kinds = ", ".join(f"{count} {kind}" for kind, count in (+verdict.failures).items())
        if variant == "naive" and verdict.failed == 0:
            self.off.append(f"round {round_number}: the naive variant shows no failure")
        if variant == "holdfast" and verdict.failed > 0:
            self.off.append(f"round {round_number}: holdfast: {kinds}")
        if variant == "holdfast" and verdict.accepted < LEAST_SHARE * verdict.allowed:
            self.off.append(f"round {round_number}: holdfast did {verdict.accepted} of "
                            f"{verdict.allowed}")

    def retries_per_success(self, variant):
        return self.retries[variant] / max(1, self.accepted[variant])

    def as_json(self):
        return {"scenario": self.kind.number, "title": self.kind.title, "note": self.kind.note(),
                "requests": self.requests, "model_allows": self.allowed, "ok": not self.off,
                "off": self.off} | {
                    variant: {"failures": self.failed[variant],
                              "kinds": dict(+self.kinds[variant]),
                              "accepted": self.accepted[variant],
                              "retries_per_success": round(self.retries_per_success(variant), 3)}
                    for variant in VARIANTS}


HEAD = ("scenario", "requests", "model allows", "naive: done", "failures", "retries/done",
        "holdfast: done", "failures", "retries/done")
WIDTHS = (22, 8, 12, 11, 8, 12, 14, 8, 12)


def print_line(cells):
    text = "  ".join(str(cell).ljust(width) if index == 0 else str(cell).rjust(width)
                     for index, (cell, width) in enumerate(zip(cells, WIDTHS)))
    print(text.rstrip(), flush=True)


def print_row(row):
    cells = [f"{row.kind.number} {row.kind.title}", row.requests, row.allowed]
    for variant in VARIANTS:
        cells += [row.accepted[variant], row.failed[variant],
                  f"{row.retries_per_success(variant):.2f}"]
    print_line(cells)
    kinds = ", ".join(f"{count} {kind}" for kind, count in row.kinds["naive"].most_common() if count)
    print(f"     naive: {kinds or 'no failure'}")
    if row.kind.note():
        print(f"     {row.kind.note()}")
    for line in row.off:
        print(f"     OFF: {line}", flush=True)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.environ.get("BUILD", "build"))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED", "1")))
    parser.add_argument("--only", default="", help="numbers of scenarios, with commas between")
    parser.add_argument("--variant", choices=list(VARIANTS), help="only this one")
    parser.add_argument("--small", action="store_true", help="fewer requests")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def main(arguments):
    options = parse(arguments)
    only = [number for number in options.only.upper().split(",") if number]
    kinds = [kind for kind in STORIES if not only or kind.number in only]
    if not kinds or options.rounds < 1:
        print("scenarios: nothing to run", file=sys.stderr)
        return 2
    for program in ("holdfast", os.path.join("examples", "scenario-load")):
        if not os.path.exists(os.path.join(options.build, program)):
            print(f"scenarios: no {os.path.join(options.build, program)}; build it first:\n"
                  f"    tools/build.sh {options.build} -Dscenarios=true", file=sys.stderr)
            return 2
    began = time.monotonic()
    rows = []
    if not options.json:
        print(f"{options.rounds} rounds, seed {options.seed}")
        print_line(HEAD)
    for kind in kinds:
        row = Row(kind)
        for round_number in range(1, options.rounds + 1):
            try:
                row.play(options, round_number, options.variant)
            except (scenarios_run.ScenarioError, OSError) as error:
                row.off.append(f"round {round_number}: {error}")
        rows.append(row)
        if not options.json:
            print_row(row)
    holds = not any(row.off for row in rows)
    if options.json:
        print(json.dumps({"ok": holds, "rounds": options.rounds, "seed": options.seed,
                          "rows": [row.as_json() for row in rows]}, indent=1))
    else:
        print(f"seed {options.seed}: {'every row holds' if holds else 'SOMETHING DOES NOT HOLD'} "
              f"({time.monotonic() - began:.0f} s)")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
