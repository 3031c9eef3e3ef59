#!/usr/bin/env python3
"""An independent model of the bank import: what `holdfast demo` must come to, without our C.

    tests/model/bank_model.py FILE --directory DIR

Reads the bank's transactions (trans_id;account_id;date;type;operation;amount;balance;k_symbol;
bank;account) and writes into DIR, in minor units (1/100 CZK):

    sums.tsv       account_id, sum             first pass: no floor, every row counts
    balances.tsv   account_id, balance         second pass: floor 0
    refusals.tsv   trans_id, account_id        second pass: debits refused, in order of trans_id
    sides.tsv      side, sum                   first pass: the other side of each row
    bad.tsv        line number, what is wrong

In the second pass each account's rows are taken in file order; a debit that would bring the
balance below 0 is refused and skipped, and the rows behind it see the balance without it.
Prints one line: rows, bad lines, accounts, refusals, accounts with a refusal.
"""
import argparse
import os
import re
import sys

HEADER = '"trans_id";"account_id";"date";"type";"operation";"amount";"balance";"k_symbol";' \
         '"bank";"account"'
FIELDS = 10
NUMBER = re.compile(r"[0-9]{1,18}\Z")
AMOUNT = re.compile(r"([0-9]{1,15})\.([0-9]{2})\Z")
SIGNS = {"PRIJEM": 1, "VYDAJ": -1, "VYBER": -1}
CASH = ("VKLAD", "VYBER", "VYBER KARTOU")
TO_BANK = ("PREVOD Z UCTU", "PREVOD NA UCET")
OWN_BOOKINGS = {"UROK": "bank:interest", "SLUZBY": "bank:fees",
                "SANKC. UROK": "bank:penalty-interest"}


class BadRow(Exception):
    """A line that is no whole row; the text says why."""


def unquote(text):
    if len(text) >= 2 and text[0] == '"' and text[-1] == '"':
        text = text[1:-1]
    if '"' in text:
        raise BadRow(f"a quote that does not close: {text}")
    return text


def other_side(operation, k_symbol, bank):
    """The bank's own bookings first: its fees and penalties carry the operation VYBER too."""
    if operation not in CASH + TO_BANK + ("",):
        raise BadRow(f"unknown operation {operation}")
    if k_symbol in OWN_BOOKINGS:
        return OWN_BOOKINGS[k_symbol]
    if operation in TO_BANK:
        if not bank:
            raise BadRow("a transfer to or from a bank without the bank")
        return "banks:" + bank
    return "cash" if operation in CASH else "bank:other"


def parse(line):
    """(trans_id, account_id, signed minor units, other side)"""
    # A row that was cut can look whole if the cut falls into its last field: the line end decides.
    if not line.endswith("\n"):
        raise BadRow("the line does not end")
    fields = line.rstrip("\r\n").split(";")
    if len(fields) != FIELDS:
        raise BadRow(f"{len(fields)} fields instead of {FIELDS}")
    fields = [unquote(field) for field in fields]
    trans_id, account_id, date, kind, operation, amount, _, k_symbol, bank, _ = fields
    if not NUMBER.match(trans_id) or not NUMBER.match(account_id):
        raise BadRow("an id that is no number")
    if not re.match(r"[0-9]{6}\Z", date):
        raise BadRow("a date that is not YYMMDD")
    if kind not in SIGNS:
        raise BadRow(f"unknown type {kind}")
    match = AMOUNT.match(amount)
    if not match:
        raise BadRow(f"an amount without two decimals: {amount}")
    minor = int(match.group(1)) * 100 + int(match.group(2))
    return int(trans_id), int(account_id), SIGNS[kind] * minor, \
        other_side(operation, k_symbol.strip(), bank)


def read(path):
    """(rows in file order, [(line number, what is wrong)])"""
    rows = []
    bad = []
    with open(path, encoding="ascii", newline="") as file:
        for number, line in enumerate(file, 1):
            if number == 1 and line.rstrip("\r\n") == HEADER:
                continue
            try:
                rows.append(parse(line))
            except BadRow as wrong:
                bad.append((number, str(wrong)))
    return rows, bad


def floor_zero(rows):
    """(balances, refused): the second pass."""
    balances = {}
    refused = []
    for trans_id, account_id, minor, _ in rows:
        balance = balances.setdefault(account_id, 0)
        if minor < 0 and balance + minor < 0:
            refused.append((trans_id, account_id))
        else:
            balances[account_id] = balance + minor
    return balances, sorted(refused)


def write_table(directory, name, rows):
    with open(os.path.join(directory, name), "w", encoding="ascii", newline="") as file:
        for row in rows:
            file.write("\t".join(str(field) for field in row) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--directory", required=True)
    arguments = parser.parse_args()

    rows, bad = read(arguments.file)
    sums = {}
    sides = {}
    for _, account_id, minor, side in rows:
        sums[account_id] = sums.get(account_id, 0) + minor
        sides[side] = sides.get(side, 0) - minor
    balances, refused = floor_zero(rows)

    os.makedirs(arguments.directory, exist_ok=True)
    write_table(arguments.directory, "sums.tsv", sorted(sums.items()))
    write_table(arguments.directory, "sides.tsv", sorted(sides.items()))
    write_table(arguments.directory, "balances.tsv", sorted(balances.items()))
    write_table(arguments.directory, "refusals.tsv", refused)
    write_table(arguments.directory, "bad.tsv", bad)
    if len({row[0] for row in rows}) != len(rows):
        print("a trans_id stands twice", file=sys.stderr)
        return 1
    refused_accounts = len({account_id for _, account_id in refused})
    print(f"{len(rows)} rows, {len(bad)} bad, {len(sums)} accounts, {len(refused)} refusals in "
          f"{refused_accounts} accounts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
