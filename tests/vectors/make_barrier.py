#!/usr/bin/env python3
"""Writes tests/vectors/barrier.json, what a participant's barrier must answer and do.

    tests/vectors/make_barrier.py > tests/vectors/barrier.json

The orders are all 27 of three messages out of {action, action again, compensate}. Each message may be lost (it never
comes, or the participant dies before its commit: the same to the database), and each attempt of the action may be one
that succeeds or that the business refuses. What is expected follows from two questions alone, without a table of rows:
who came first, the action or the compensation, and how did the business answer the first action that came.
"""
import itertools
import json

MESSAGES = ("action", "again", "compensate")
ANSWERS = {"succeeds": 201, "refuses": 422}


def expect(order, business, arrives):
    """The answers as [status, whose body], and how often the step was charged and refunded in the end."""
    decided, compensated, answers = None, False, []
    for message, came in zip(order, arrives):
        if not came:
            answers.append(None)
        elif message == "compensate":
            decided = decided or "compensate"
            compensated = True
            answers.append([200, None])
        else:
            decided = decided or message
            answers.append([410, None] if decided == "compensate" else [ANSWERS[business[decided]], decided])
    charged = int(decided in business and business[decided] == "succeeds")
    return answers, charged, int(charged and compensated)


def orders():
    for order in itertools.product(MESSAGES, repeat=3):
        attempts = [message for message in MESSAGES[:2] if message in order]
        for outcomes in itertools.product(ANSWERS, repeat=len(attempts)):
            business = dict(zip(attempts, outcomes))
            for arrives in itertools.product((True, False), repeat=3):
                answers, charged, refunded = expect(order, business, arrives)
                yield {"order": order, "business": business, "arrives": arrives, "answers": answers,
                       "charged": charged, "refunded": refunded}


def message(op, answer, forget_in=3600, business="succeeds", **more):
    return {"op": op, "forget_in": forget_in, "answer": answer, **({"business": business} if op == "action" else {}), **more}


LATER = [
    {"name": "a parted step: each part has its own row",
     "events": [message("action", 201, part="debit"), message("action", 422, part="mail", business="refuses"),
                message("action", 201, part="debit"), message("compensate", 200, part="debit"),
                message("compensate", 200, part="mail"), message("compensate", 200, part="audit"),
                message("action", 410, part="audit"), message("action", 201, part="other")],
     "charged": 2, "refunded": 1},
    {"name": "never forgotten without Saga-Forget-After",
     "events": [message("action", 201, None), {"pass": 1000000000}, {"purge": 0}, message("action", 201, None),
                message("compensate", 200, None)], "charged": 1, "refunded": 1},
    {"name": "purged an hour behind, and what comes later still does nothing",
     "events": [message("action", 201, 100), {"pass": 3000}, {"purge": 0}, {"pass": 800}, {"purge": 1},
                message("action", 410, -3700), message("compensate", "error", -3700)], "charged": 1, "refunded": 0},
    {"name": "late, but not yet purged: replayed and compensated as ever",
     "events": [message("action", 201, 100), {"pass": 200}, message("action", 201, -100),
                message("compensate", 200, -100), message("compensate", 200, -100), message("action", 201, -100)],
     "charged": 1, "refunded": 1},
    {"name": "the first that comes is late: an action is refused, a compensation is an error, neither leaves a row",
     "events": [message("action", 410, -1), message("compensate", "error", -1), message("action", 201, 3600)],
     "charged": 1, "refunded": 0},
    {"name": "a repetition that is remembered longer keeps the row",
     "events": [message("action", 201, 100), message("action", 201, 9000), {"pass": 4000}, {"purge": 0},
                message("action", 201, 5000), {"pass": 9000}, {"purge": 1}], "charged": 1, "refunded": 0},
    {"name": "a compensation that is remembered longer keeps the action's row, too",
     "events": [message("action", 201, 100), message("compensate", 200, 9000), {"pass": 4000}, {"purge": 0},
                message("action", 201, 5000), message("compensate", 200, 5000), {"pass": 9000}, {"purge": 2}],
     "charged": 1, "refunded": 1},
    {"name": "a shorter time does not make it forget sooner",
     "events": [message("action", 201, 9000), message("action", 201, 100), {"pass": 4000}, {"purge": 0},
                message("action", 201, 5000)], "charged": 1, "refunded": 0},
    {"name": "another step that is remembered longer keeps the whole saga",
     "events": [message("action", 201, 100), message("action", 201, 9000, step="other"), {"pass": 4000}, {"purge": 0},
                message("action", 201, 5000), {"pass": 9000}, {"purge": 2}], "charged": 2, "refunded": 0},
    {"name": "another step without an end keeps the whole saga",
     "events": [message("compensate", 200, 100), message("action", 201, None, step="other"), {"pass": 4000}, {"purge": 0},
                message("action", 410, -3900)], "charged": 1, "refunded": 0},
]

ABOUT = ("orders: messages in their order; business: how an attempt of the action would end if it ran; arrives: false is lost, or "
         "rolled back before its commit; answers: null, or status and the attempt whose kept body it has; charged and refunded: "
         "effects of the step in the end. later: forget_in: Saga-Forget-After, in seconds from now; pass: so many seconds go by; "
         "purge: the rows that go; answer error: rolled back, nothing kept; step and part: 'step' and '' if not named.")


def main():
    def lines(rows):
        return ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    print(f'{{"about":{json.dumps(ABOUT)},\n"orders":[\n{lines(orders())}\n],\n"later":[\n{lines(LATER)}\n]}}')


if __name__ == "__main__":
    main()
