#!/usr/bin/env python3
"""Writes a file of bank transactions of the same shape as the real one, from a seed.

    tools/make-bank-sample.py [--rows 20000] [--seed 1] [--output FILE]

Same header, quoting, line ends, types, operations and symbols; accounts open at 0; some debits go
below 0 (and are followed by penalty interest); the last line is cut in the middle. The same seed
gives the same bytes: the generator is its own (a 64-bit linear congruence), not Python's.
"""
import argparse
import sys

HEADER = '"trans_id";"account_id";"date";"type";"operation";"amount";"balance";"k_symbol";' \
         '"bank";"account"'
BANKS = ["AB", "CD", "EF", "GH", "IJ", "KL", "MN", "OP", "QR", "ST", "UV", "WX", "YZ"]
DAYS = [(93 + month // 12, month % 12 + 1, day) for month in range(15) for day in range(1, 29)]


class Random:
    """Knuth's MMIX congruence; the high half of the state is used."""

    def __init__(self, seed):
        self.state = (seed * 2 + 1) & (2**64 - 1)
        for _ in range(8):
            self.below(2)

    def below(self, bound):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        return (self.state >> 32) * bound >> 32

    def choice(self, items):
        return items[self.below(len(items))]


class Writer:
    """Knows the balances and the next trans_id; makes one line a row."""

    def __init__(self, random):
        self.random = random
        self.balances = {}
        self.ids = set()

    def row(self, date, account, kind, operation, minor, k_symbol="", partner=False):
        trans_id = self.random.below(4_000_000) + 1
        while trans_id in self.ids:
            trans_id += 1
        self.ids.add(trans_id)
        balance = self.balances.get(account, 0) + (minor if kind == "PRIJEM" else -minor)
        self.balances[account] = balance
        sign = "-" if balance < 0 else ""
        bank = f'"{self.random.choice(BANKS)}";{self.random.below(90_000_000) + 10_000_000}' \
            if partner else ";"
        return (f'{trans_id};{account};{date};"{kind}";"{operation}";'
                f'{minor // 100}.{minor % 100:02d};{sign}{abs(balance) // 100}.'
                f'{abs(balance) % 100:02d};"{k_symbol}";{bank}')


def some_row(writer, random, date, account):
    """One booking of an account that is open; the shares are those of the real file."""
    balance = writer.balances[account]
    spend = max(100, balance * (random.below(60) + 5) // 100)
    if random.below(400) == 0:
        spend = abs(balance) + random.below(200_000) + 100  # more than there is
    pick = random.below(100)
    if balance < 0 and pick < 40:
        return writer.row(date, account, "VYDAJ", "VYBER", 10 + random.below(500), "SANKC. UROK")
    if pick < 26:
        return writer.row(date, account, "VYDAJ", "VYBER", spend)
    if pick < 45:
        return writer.row(date, account, "PRIJEM", "VKLAD", 100 * (random.below(40_000) + 100))
    if pick < 63:
        return writer.row(date, account, "PRIJEM", "", 10 + random.below(20_000), "UROK")
    if pick < 74:
        return writer.row(date, account, "VYDAJ", "VYBER", 1460, "SLUZBY")
    if pick < 87:
        k_symbol = random.choice(["SIPO", "SIPO", " ", "POJISTNE", "UVER", ""])
        return writer.row(date, account, "VYDAJ", "PREVOD NA UCET", spend, k_symbol, True)
    if pick < 97:
        k_symbol = random.choice(["DUCHOD", ""])
        return writer.row(date, account, "PRIJEM", "PREVOD Z UCTU",
                          100 * (random.below(30_000) + 500), k_symbol, True)
    if pick < 98:
        return writer.row(date, account, "VYDAJ", "VYBER KARTOU", spend)
    return writer.row(date, account, "VYBER", "VYBER", spend)


def sample(rows, seed):
    """All lines but the cut one, then the cut one."""
    random = Random(seed)
    writer = Writer(random)
    account_ids = sorted({random.below(11_000) + 1 for _ in range(max(1, rows // 40))})
    opened = []
    for index in range(rows + 1):
        year, month, day = DAYS[index * len(DAYS) // (rows + 1)]
        date = f"{year:02d}{month:02d}{day:02d}"
        share_opened = len(opened) * rows < index * 2 * len(account_ids)
        if len(opened) < len(account_ids) and (share_opened or not opened):
            account = account_ids[len(opened)]
            opened.append(account)
            yield writer.row(date, account, "PRIJEM", "VKLAD", 100 * (random.below(2_000) + 200))
        else:
            yield some_row(writer, random, date, random.choice(opened))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000, help="whole rows (20000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", help="standard output if not given")
    arguments = parser.parse_args()

    lines = list(sample(arguments.rows, arguments.seed))
    cut = lines.pop()
    text = "".join(line + "\r\n" for line in [HEADER] + lines) + cut[:cut.index('"') + 6]
    if arguments.output:
        with open(arguments.output, "w", encoding="ascii", newline="") as file:
            file.write(text)
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
