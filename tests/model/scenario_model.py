"""What the scenarios may come to, without our C: judges requests, answers and effects.

An effect is what the books say was done: (request's id, account, amount, token), in the order in which it
was done. An answer is the status that the caller got: 200 done, 202 in hand, 402 refused, 409 gave up, 503 or 0 none.
Each judge returns a Verdict: what went wrong, by kind, how many requests were done once as asked, and how
many could have been.
"""
import collections

DONE, IN_HAND, REFUSED, GAVE_UP = 200, 202, 402, 409


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


def judge_store(orders, opening, answers, books):
    """P9: the books of order, inventory, payment and notification agree.

    orders: {id: (customer, item, units, amount, refused by plan)}; opening: ({item: units}, {customer: money}). books: states
    {order: state}, reserved [(order, item, units)], paid [(order, customer, amount, number)], mails [(order, payment)], and what
    is left: stock, money. What was given back is a row below 0.
    """
    stock, money = opening
    fitting = collections.defaultdict(list)
    for customer, item, units, amount, refused in orders.values():
        if not refused and money[customer] >= amount:
            fitting[item].append(units)
    verdict = Verdict(sum(most_that_fit(units, stock[item]) for item, units in fitting.items()))
    failures = verdict.failures
    reserved, paid, mails = collections.Counter(), collections.Counter(), collections.Counter()
    stock_left, money_left = collections.Counter(stock), collections.Counter(money)
    payments = collections.defaultdict(set)
    for order, item, units in books.reserved:
        reserved[order] += units
        stock_left[item] -= units
    for order, customer, amount, number in books.paid:
        paid[order] += amount
        money_left[customer] -= amount
        payments[order].add(number)
    for order, payment in books.mails:
        mails[order] += 1
        failures["mail about another payment"] += payment not in payments[order]
    for order, (_, _, units, amount, _) in orders.items():
        before = sum(failures.values())
        statuses, state = answers.get(order, set()), books.states.get(order)
        confirmed = state == "confirmed"
        failures["no answer"] += not statuses & {DONE, IN_HAND, REFUSED}
        failures["pending for ever"] += state == "pending" or (state is None and bool(statuses & {DONE, IN_HAND}))
        failures["told confirmed, is not"] += DONE in statuses and not confirmed
        failures["told cancelled, is confirmed"] += REFUSED in statuses and confirmed
        judge_part(failures, reserved[order], units if confirmed else 0,
                   ("reserved twice" if confirmed else "reserved for nothing",
                    "confirmed, not reserved" if confirmed else "given back twice"))
        judge_part(failures, paid[order], amount if confirmed else 0,
                   ("charged twice" if confirmed else "charged, not confirmed",
                    "confirmed, not charged" if confirmed else "paid back twice"))
        judge_part(failures, mails[order], int(confirmed),
                   ("mailed twice" if confirmed else "mailed, not confirmed", "confirmed, no mail"))
        verdict.accepted += confirmed and sum(failures.values()) == before
    failures["done unasked"] += len((set(reserved) | set(paid) | set(mails) | set(books.states)) - set(orders))
    failures["stock does not add up"] += sum(books.stock[item] != stock_left[item] or books.stock[item] < 0 for item in stock)
    failures["money does not add up"] += sum(books.money[name] != money_left[name] for name in money)
    return verdict


def judge_part(failures, is_there, should_be, kinds):
    """kinds: of too much and of too little."""
    failures[kinds[0]] += is_there > should_be
    failures[kinds[1]] += is_there < should_be


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


def judge_silence(told):
    """told: {incident: (told in time, all clear in time after the mend, times raised, times cleared)}."""
    verdict = Verdict(len(told))
    for raised, cleared, times_raised, times_cleared in told.values():
        verdict.failures["nobody was told"] += not raised
        verdict.failures["no all-clear"] += raised and not cleared
        verdict.failures["told twice"] += times_raised > 1 or times_cleared > 1
        verdict.accepted += raised and cleared and times_raised == 1 and times_cleared == 1
    return verdict
