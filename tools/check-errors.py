#!/usr/bin/env python3
"""The numbers, HTTP statuses and wire codes of the error table, against what was released.

    tools/check-errors.py            src/base/errors.h against tests/golden/errors.tsv
    tools/check-errors.py --add      writes errors that are new to the end of the golden file

An error that stands in the golden file never changes and never goes. Names, numbers and wire codes
are unique. --add only adds: a changed line stays a failure.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEADER = os.path.join(ROOT, "src", "base", "errors.h")
GOLDEN = os.path.join(ROOT, "tests", "golden", "errors.tsv")
ENTRY = re.compile(r'X\(([A-Z0-9_]+),\s*(\d+),\s*(\d+),\s*"([a-z0-9_]+)",\s*"([^"]+)"\)')


def main(arguments):
    with open(HEADER, encoding="utf-8") as file:
        text = file.read().replace("\\\n", " ")
    table = [match.groups() for match in ENTRY.finditer(text)]
    wrong = []
    for column, what in ((0, "name"), (1, "number"), (3, "wire code")):
        values = [entry[column] for entry in table]
        for value in sorted({value for value in values if values.count(value) > 1}):
            wrong.append(f"{what} {value} is used more than once")
    if len(table) < 40:
        wrong.append(f"only {len(table)} errors could be read from src/base/errors.h")

    golden = []
    if os.path.exists(GOLDEN):
        with open(GOLDEN, encoding="utf-8") as file:
            golden = [tuple(line.rstrip("\n").split("\t")) for line in file if line[0] != "#"]
    now = {entry[0]: entry[:4] for entry in table}
    for entry in golden:
        if now.get(entry[0]) != entry:
            wrong.append(f"released as {entry}, now {now.get(entry[0])}")
    known = {entry[0] for entry in golden}
    new = [entry for entry in table if entry[0] not in known]
    if new and "--add" in arguments:
        with open(GOLDEN, "a", encoding="utf-8") as file:
            if not golden:
                file.write("# name\tnumber\tHTTP status\twire code; frozen once it stands here\n")
            for entry in new:
                file.write("\t".join(entry[:4]) + "\n")
    elif new:
        names = " ".join(entry[0] for entry in new)
        wrong.append(f"not in tests/golden/errors.tsv yet (tools/check-errors.py --add): {names}")
    for line in wrong:
        print("errors: " + line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
