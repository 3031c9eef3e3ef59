#!/usr/bin/env python3
"""One small round of every scenario, and of its judge. Prints TAP.

    HOLDFAST_BUILD=build [SCENARIO_ROUNDS=10] tests/integration/scenario_table_test.py
"""
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("HOLDFAST_BUILD", os.path.join(ROOT, "build"))
ROUNDS = os.environ.get("SCENARIO_ROUNDS", "1")
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


class Books:
    """All is well: a confirmed, b cancelled, c refused at once."""

    def __init__(self, **other):
        self.states = {"a": "confirmed", "b": "cancelled"}
        self.reserved = [("a", "i", 2), ("b", "i", 1), ("b", "i", -1)]
        self.paid = [("a", "u", 20, 1)]
        self.mails = [("a", 1)]
        self.stock, self.money = {"i": 3}, {"u": 80, "v": 1}
        vars(self).update(other)


def judge_store():
    orders = {"a": ("u", "i", 2, 20, False), "b": ("u", "i", 1, 10, True), "c": ("v", "i", 1, 10, False)}
    answers = {"a": {202}, "b": {402}, "c": {402}}

    def seen(books, answers=answers):
        verdict = model.judge_store(orders, ({"i": 5}, {"u": 100, "v": 1}), answers, books)
        return verdict.accepted, verdict.allowed, dict(+verdict.failures)
    pay = [("a", "u", 20, 1)]
    check(seen(Books()) == (1, 1, {}), "store: all is well", seen(Books()))
    for name, books, expected in (
            ("pending for ever", Books(states={"a": "confirmed", "b": "pending"}), (1, {"pending for ever": 1})),
            ("never begun", Books(states={"b": "cancelled"}, reserved=[], paid=[], mails=[], stock={"i": 5}, money={"u": 100, "v": 1}),
             (0, {"pending for ever": 1})),
            ("reserved for nothing", Books(reserved=[("a", "i", 2), ("b", "i", 1)], stock={"i": 2}), (1, {"reserved for nothing": 1})),
            ("reserved twice", Books(reserved=[("a", "i", 2)] * 2, stock={"i": 1}), (0, {"reserved twice": 1})),
            ("not reserved", Books(reserved=[], stock={"i": 5}), (0, {"confirmed, not reserved": 1})),
            ("given back twice", Books(reserved=[("a", "i", 2), ("b", "i", -1)], stock={"i": 4}), (1, {"given back twice": 1})),
            ("charged twice", Books(paid=pay * 2, money={"u": 60, "v": 1}), (0, {"charged twice": 1})),
            ("not charged", Books(paid=[], mails=[("a", 1)], money={"u": 100, "v": 1}),
             (0, {"confirmed, not charged": 1, "mail about another payment": 1})),
            ("charged, not confirmed", Books(paid=pay + [("b", "u", 10, 2)], money={"u": 70, "v": 1}), (1, {"charged, not confirmed": 1})),
            ("paid back twice", Books(paid=pay + [("b", "u", -10, 2)], money={"u": 90, "v": 1}), (1, {"paid back twice": 1})),
            ("no mail", Books(mails=[]), (0, {"confirmed, no mail": 1})),
            ("mailed twice", Books(mails=[("a", 1)] * 2), (0, {"mailed twice": 1})),
            ("mailed, not confirmed", Books(paid=pay + [("b", "u", 10, 2), ("b", "u", -10, 3)], mails=[("a", 1), ("b", 2)]),
             (1, {"mailed, not confirmed": 1})),
            ("stock", Books(stock={"i": 2}), (1, {"stock does not add up": 1})),
            ("money", Books(money={"u": 81, "v": 1}), (1, {"money does not add up": 1})),
            ("unasked", Books(states={"a": "confirmed", "b": "cancelled", "x": "cancelled"}), (1, {"done unasked": 1}))):
        check(seen(books) == (expected[0], 1, expected[1]), f"store: {name}", seen(books))
    check(seen(Books(), {**answers, "a": {402}}) == (0, 1, {"told cancelled, is confirmed": 1}) and
          seen(Books(), {**answers, "b": {200}}) == (1, 1, {"told confirmed, is not": 1}) and
          seen(Books(), {**answers, "c": {0}}) == (1, 1, {"no answer": 1}), "store: what was told")


def judge_silence():
    check(judged(model.judge_silence({"a": (True, True, 1, 1), "b": (True, True, 1, 1)}), 2, 2),
          "silence: all is told")
    check(judged(model.judge_silence({"a": (False, False, 0, 0), "b": (True, False, 1, 0)}), 0, 2,
                 nobody_was_told=1, **{"no_all-clear": 1}), "silence: nobody was told, no all-clear")
    check(judged(model.judge_silence({"a": (True, True, 2, 1)}), 0, 1, told_twice=1), "silence: told twice")


def play(*options, **environment):
    """(the finished run, rows)"""
    done = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "scenarios.py"), "--build", BUILD, "--small",
                           "--json", "--rounds", ROUNDS, *options], capture_output=True, text=True, check=False,
                          env=os.environ | environment)
    try:
        return done, json.loads(done.stdout)["rows"]
    except ValueError:
        return done, []


def table():
    if not os.path.exists(os.path.join(BUILD, "examples", "scenario-load")):
        tap.skip("the scenarios", "not built: -Dscenarios=true")
        return
    done, rows = play()
    for row in rows:
        check(row["ok"] and row["naive"]["failures"] > 0 and row["holdfast"]["failures"] == 0,
              f"{row['scenario']} {row['title']}: naive {row['naive']['failures']} failures, holdfast "
              f"{row['holdfast']['accepted']} of {row['model_allows']}", json.dumps(row, indent=1))
    check(len(rows) == 15 and done.returncode == 0, "every row holds", done.stdout + done.stderr)
    if any("payment.mjs," in row["note"] for row in rows):
        done, rows = play("--only", "P9", "--variant", "holdfast", PAYMENT="c")
        check(len(rows) == 1 and rows[0]["ok"] and rows[0]["holdfast"]["accepted"] > 0,
              "P9 with the payment service in C", done.stdout + done.stderr)
    else:
        tap.skip("P9 with payment.mjs", "the payment service in C was taken; without PAYMENT=c: no Node.js")


judge()
judge_queues()
judge_store()
judge_silence()
table()
sys.exit(tap.end())
