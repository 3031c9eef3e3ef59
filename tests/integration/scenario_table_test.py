#!/usr/bin/env python3
"""One small round of every scenario, and of its judge. Prints TAP.

    HOLDFAST_BUILD=build tests/integration/scenario_table_test.py
"""
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("HOLDFAST_BUILD", os.path.join(ROOT, "build"))
sys.path.insert(0, os.path.join(ROOT, "tests", "model"))
import scenario_model as model  # noqa: E402
from tap import Tap  # noqa: E402

tap = Tap()
check = tap.check


def judged(verdict, accepted, allowed, **failures):
    expected = {kind.replace("_", " "): number for kind, number in failures.items()}
    return (verdict.accepted, verdict.allowed, dict(+verdict.failures)) == (accepted, allowed,
                                                                            expected)


def judge():
    """The judge sees what it must see, and nothing else."""
    requests = {"a": ("u", 60), "b": ("u", 60), "c": ("v", 10)}
    opening = {"u": 100, "v": 10}
    right = [("a", "u", 60, 0), ("c", "v", 10, 0)]
    answers = {"a": {200}, "b": {402}, "c": {200}}
    check(judged(model.judge_spendings(requests, opening, answers, right), 2, 2), "all is well")
    check(judged(model.judge_spendings(requests, opening, {**answers, "b": {200}},
                                       right + [("b", "u", 60, 0)]), 3, 2, overdrawn=1),
          "overdrawn")
    verdict = model.judge_spendings(requests, opening, answers, right + [right[1]])
    check(verdict.failures["done twice"] == 1 and verdict.accepted == 1, "done twice")
    verdict = model.judge_spendings(requests, opening, answers, right[:1])
    check(verdict.failures["told done, not done"] == 1, "told done, not done")
    verdict = model.judge_spendings(requests, opening, {**answers, "a": {402}}, right)
    check(verdict.failures["told refused, yet done"] == 1, "told refused, yet done")
    check(judged(model.judge_spendings(requests, opening, {**answers, "b": {0}}, right), 2, 2,
                 no_answer=1), "no answer")
    hot = model.judge_hot(requests, opening, {**answers, "c": {409}}, right[:1])
    check(judged(hot, 1, 2, turned_away=1), "turned away")
    sweeps = {"a": ("u", 0), "b": ("u", 0)}
    done = {"a": {200}, "b": {200}}
    rule = (lambda balance: balance // 10)
    check(judged(model.judge_decisions(sweeps, opening, done,
                                       [("a", "u", 10, 0), ("b", "u", 9, 0)], rule), 2, 2) and
          judged(model.judge_decisions(sweeps, opening, done,
                                       [("a", "u", 10, 0), ("b", "u", 10, 0)], rule), 2, 2,
                 decided_on_another_state=1), "decided on another state")
    jobs = [("a", "u", 5, 7), ("b", "u", 5, 6)]
    check(judged(model.judge_jobs(sweeps, opening, done, jobs, {"u": 105, "v": 10}), 2, 2,
                 written_by_a_deposed_owner=1, balances_without_what_was_added=1), "deposed owner")
    check(judged(model.judge_profiles({"a": ("u", "f", "x"), "b": ("u", "g", "y")}, done,
                                      {"u": {"g": "y"}}), 1, 2, wiped_out=1), "wiped out")


def judge_queues():
    requests = {"a": ("o", 5), "b": ("o", 7), "c": ("p", 1)}
    answers = {"a": {200}, "b": {200}, "c": {200}}
    sent = [("a", "o"), ("b", "o"), ("a", "o"), ("c", "p")]
    right = [("a", "o", 5), ("c", "p", 1), ("b", "o", 12)]

    def verdict(told, done=("a", "b", "c")):
        return model.judge_refunds(requests, answers, sent, {"mail": right, "push": told}, done)
    check(judged(verdict(right), 3, 3), "refunds: all is well")
    check(judged(verdict(right + right[:1]), 2, 3, told_twice=1), "refunds: told twice")
    lost = verdict(right[:2])
    check(lost.failures["never told"] == 1 and lost.failures["DONE, never told"] == 1 and
          lost.accepted == 2, "refunds: never told")
    check(judged(verdict([right[2], right[0], right[1]]), 2, 3, out_of_order=1),
          "refunds: out of order")
    check(judged(verdict([right[0], right[1], ("b", "o", 7)]), 2, 3, wrong_sum=1),
          "refunds: wrong sum")
    check(verdict(right, ("a", "b")).failures["told, not DONE"] == 1, "refunds: told, not DONE")


def table():
    if not os.path.exists(os.path.join(BUILD, "examples", "scenario-load")):
        tap.skip("the scenarios", "not built: -Dscenarios=true")
        return
    done = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "scenarios.py"), "--build",
                           BUILD, "--small", "--json"], capture_output=True, text=True, check=False)
    try:
        rows = json.loads(done.stdout)["rows"]
    except ValueError:
        rows = []
    for row in rows:
        check(row["ok"] and row["naive"]["failures"] > 0 and row["holdfast"]["failures"] == 0,
              f"{row['scenario']} {row['title']}: naive {row['naive']['failures']} failures, holdfast "
              f"{row['holdfast']['accepted']} of {row['model_allows']}", json.dumps(row, indent=1))
    check(len(rows) == 13 and done.returncode == 0, "every row holds", done.stdout + done.stderr)


judge()
judge_queues()
table()
sys.exit(tap.end())
