"""What the scenarios may come to, without our C: judges requests, answers and effects.

An effect is what the books say was done: (request's id, account, amount, token), in the order in which it
was done. An answer is the status that the caller got: 200 done, 402 refused, 409 gave up, 503 or 0 none.
Each judge returns a Verdict: what went wrong, by kind, how many requests were done once as asked, and how
many could have been.
"""
import collections

DONE, REFUSED, GAVE_UP = 200, 402, 409


class Verdict:
    def __init__(self, allowed):
        self.failures = collections.Counter()
        self.accepted = 0
        self.allowed = allowed

    @property
    def failed(self):
        return sum(self.failures.values())


def most_that_fit(amounts, balance):
    """How many of these withdrawals a balance can bear at most: the smallest first."""
    count = 0
    for amount in sorted(amounts):
        if amount > balance:
            break
        balance -= amount
        count += 1
    return count


def allowed_spendings(requests, opening):
    """requests: {id: (account, amount)}; opening: {account: balance}."""
    by_account = collections.defaultdict(list)
    for account, amount in requests.values():
        by_account[account].append(amount)
    return sum(most_that_fit(amounts, opening[account]) for account, amounts in by_account.items())


def judge_once(verdict, requests, answers, effects):
    """Every request is done at most once, and as its caller was told. answers: {id: set of statuses}."""
    done = collections.Counter(effect[0] for effect in effects)
    for request in done:
        if request not in requests:
            verdict.failures["done unasked"] += 1
    for request in requests:
        statuses = answers.get(request, set())
        if done[request] > 1:
            verdict.failures["done twice"] += done[request] - 1
        if DONE in statuses and not done[request]:
            verdict.failures["told done, not done"] += 1
        if statuses & {REFUSED, GAVE_UP} and done[request]:
            verdict.failures["told refused, yet done"] += 1
        if not statuses & {DONE, REFUSED, GAVE_UP}:
            verdict.failures["no answer"] += 1
        verdict.accepted += done[request] == 1 and DONE in statuses


def judge_spendings(requests, opening, answers, effects):
    """P1, P2, P4, P12, P18: nobody spends what is not there."""
    verdict = Verdict(allowed_spendings(requests, opening))
    judge_once(verdict, requests, answers, effects)
    balances = dict(opening)
    for _, account, amount, _ in effects:
        balances[account] -= amount
        verdict.failures["overdrawn"] += balances[account] < 0
    return verdict


def judge_hot(requests, opening, answers, effects):
    """P17: and nobody is turned away while it is there."""
    verdict = judge_spendings(requests, opening, answers, effects)
    gave_up = sum(GAVE_UP in statuses for statuses in answers.values())
    verdict.failures["turned away"] += max(0, min(gave_up, verdict.allowed - verdict.accepted))
    return verdict


def judge_decisions(requests, opening, answers, effects, rule):
    """P3: each amount is what the rule says of the balance that it was taken from."""
    verdict = Verdict(len(requests))
    judge_once(verdict, requests, answers, effects)
    balances = dict(opening)
    for _, account, amount, _ in effects:
        verdict.failures["decided on another state"] += amount != rule(balances[account])
        balances[account] -= amount
    return verdict


def judge_jobs(requests, opening, answers, effects, balances):
    """P11: a later owner has a greater token, so tokens never fall; and what was added is there."""
    verdict = Verdict(len(requests))
    judge_once(verdict, requests, answers, effects)
    expected = dict(opening)
    newest = collections.Counter()
    for _, account, amount, token in effects:
        verdict.failures["written by a deposed owner"] += token < newest[account]
        newest[account] = max(newest[account], token)
        expected[account] += amount
    verdict.failures["balances without what was added"] += sum(
        balances[account] != expected[account] for account in opening)
    return verdict


def judge_profiles(requests, answers, profiles):
    """P10: what was saved is there. requests: {id: (user, field, value)}; profiles: {user: {field: value}}."""
    verdict = Verdict(len(requests))
    for request, (user, field, value) in requests.items():
        statuses = answers.get(request, set())
        there = profiles[user].get(field) == value
        if DONE in statuses and not there:
            verdict.failures["wiped out"] += 1
        if not statuses & {DONE, REFUSED, GAVE_UP}:
            verdict.failures["no answer"] += 1
        verdict.accepted += there and DONE in statuses
    return verdict


def judge_refunds(requests, answers, sent, told, done):
    """P5 to P8: each refund is told once to each of the others, an order's in the order in which they were sent and
    with the sum so far, and the audit says so. requests: {id: (order, amount)}; sent: [(id, order)];
    told: {queue: [(id, order, total)]}; done: ids whose audit says DONE."""
    verdict = Verdict(len(requests))
    place, total, sums = {}, {}, collections.Counter()
    for request, order in sent:
        if request not in place:
            place[request] = len(place)
            sums[order] += requests[request][1]
            total[request] = sums[order]
    good = set(requests)
    for rows in told.values():
        seen, newest = collections.Counter(), collections.defaultdict(lambda: -1)
        for request, order, amount in rows:
            seen[request] += 1
            if request not in place:
                verdict.failures["told unasked"] += 1
            elif seen[request] == 1:
                late = place[request] < newest[order]
                verdict.failures["out of order"] += late
                verdict.failures["wrong sum"] += amount != total[request]
                newest[order] = max(newest[order], place[request])
                if late or amount != total[request]:
                    good.discard(request)
        for request in requests:
            if seen[request] != 1:
                good.discard(request)
            verdict.failures["told twice"] += max(0, seen[request] - 1)
            verdict.failures["never told"] += seen[request] == 0 and DONE in answers.get(request, ())
            verdict.failures["DONE, never told"] += seen[request] == 0 and request in done
    for request in requests:
        verdict.failures["no answer"] += not answers.get(request, set()) & {DONE}
        verdict.failures["told, not DONE"] += request in good and request not in done
    verdict.accepted = len(good)
    return verdict
