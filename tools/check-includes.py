#!/usr/bin/env python3
"""Fails on an #include against the arrows of the architecture.

    tools/check-includes.py [--root DIR]     checks DIR (default: this repository)
    tools/check-includes.py --self-test      plants wrong includes in temporary trees

The table below is the law: a folder of src/ may include itself and the folders listed, nothing
else. A folder that is not in the table is an error, so that nobody is forgotten. Public headers in
include/ include no header of src/; examples use public headers alone; a private header (*_priv.h)
stays in its folder (tests may use it). Lines look like  <file>:<line>: <what is wrong>.
"""
import os
import re
import shutil
import sys
import tempfile

ARROWS = {
    "base": [],
    "outside": ["base"],
    "core": ["base"],
    "log": ["base", "outside"],
    "store": ["base", "outside"],
    "node": ["core", "log", "store", "base", "outside"],
    "http": ["base", "outside"],
    "observe": ["node", "core", "log", "store", "base", "outside"],
    "deliver": ["node", "core", "http", "base", "outside"],
    "api": ["node", "core", "log", "store", "http", "observe", "deliver", "base", "outside"],
    "lib": ["api", "node", "core", "log", "store", "base", "outside"],
    "client": ["base"],
    "relay": ["core", "base"],
    "cli": ["relay", "api", "node", "core", "log", "store", "http", "observe", "deliver", "base", "outside"],
}
# Who may use the installed headers of include/: the two doors, and everybody outside src/.
PUBLIC_USERS = ["api", "cli", "client", "lib", "node", "relay"]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def c_files(root, top):
    for folder, folders, names in os.walk(os.path.join(root, top)):
        folders.sort()
        for name in sorted(names):
            if name.endswith((".c", ".h")):
                yield os.path.relpath(os.path.join(folder, name), root)


def includes(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            match = INCLUDE.match(line)
            if match:
                yield number, match.group(1) == "<", match.group(2)


def resolve(root, path, angle, name):
    """The file that is meant, relative to root; None for a header of the system."""
    places = [] if angle else [os.path.dirname(path)]
    places += ["src", "include", "tests", "examples"]
    for place in places:
        candidate = os.path.normpath(os.path.join(place, name))
        if os.path.isfile(os.path.join(root, candidate)):
            return candidate
    return None


def folder_of(path):
    parts = path.split(os.sep)
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def judge(path, angle, name, target):
    """What is wrong with this include, or None."""
    own = folder_of(path)
    top = path.split(os.sep)[0]
    if target is None:
        return None if angle else f'"{name}" is not in this repository; use <> for the system'
    their = folder_of(target)
    target_top = target.split(os.sep)[0]
    if target_top == "src" and their is None:
        return f"{target} stands in no folder of src/"
    if top == "include" and target_top != "include":
        return f"a public header must not include {target}"
    if top == "examples" and target_top not in ("include", "examples"):
        return f"an example must use public headers alone, not {target}"
    if own is None:
        return None  # tests and bench may look everywhere
    if target_top == "tests":
        return f"src must not include {target}"
    if target_top == "include":
        return None if own in PUBLIC_USERS else f"{own} must not include the public {target}"
    if their != own and their not in ARROWS[own]:
        allowed = ", ".join(ARROWS[own]) or "nothing"
        return f"{own} must not include {target} (it may include {allowed})"
    if their != own and target.endswith("_priv.h"):
        return f"{target} is private to its folder"
    return None


def check(root):
    """The list of complaints about a tree."""
    found = []
    for top in ("src", "include", "examples"):
        for path in c_files(root, top):
            own = folder_of(path)
            if top == "src" and own not in ARROWS:
                found.append(f"{path}:1: folder {own} has no line in the table of arrows")
                continue
            for number, angle, name in includes(root, path):
                wrong = judge(path, angle, name, resolve(root, path, angle, name))
                if wrong:
                    found.append(f"{path}:{number}: {wrong}")
    return found


PLANTS = [  # (file, line added, allowed)
    ("src/core/planted.c", '#include "log/planted.h"', False),
    ("src/core/planted.c", '#include <log/planted.h>', False),
    ("src/core/planted.c", '#include "outside/planted.h"', False),
    ("src/core/planted.c", '#  include "../node/planted.h"', False),
    ("src/core/planted.c", '#include "store/planted.h"', False),
    ("src/core/planted.c", '#include "base/planted.h"', True),
    ("src/log/planted.c", '#include "core/planted.h"', False),
    ("src/log/planted.c", '#include "outside/planted.h"', True),
    ("src/store/planted.c", '#include "log/planted.h"', False),
    ("src/base/planted.c", '#include "core/planted.h"', False),
    ("src/base/planted.c", '#include "outside/planted.h"', False),
    ("src/node/planted.c", '#include "api/planted.h"', False),
    ("src/node/planted.c", '#include "log/planted_priv.h"', False),
    ("src/node/planted.c", '#include "log/planted.h"', True),
    ("src/http/planted.c", '#include "core/planted.h"', False),
    ("src/api/planted.c", '#include "cli/planted.h"', False),
    ("src/api/planted.c", '#include "node/planted.h"', True),
    ("src/core/planted.c", '#include "no/such.h"', False),
    ("src/relay/planted.c", '#include "core/planted.h"', True),
    ("src/relay/planted.c", '#include "client/planted.h"', False),
    ("src/relay/planted.c", '#include "node/planted.h"', False),
    ("src/core/planted.c", '#include "relay/planted.h"', False),
    ("src/unlisted/planted.c", '#include <stdio.h>', False),
    ("include/planted.h", '#include "base/planted.h"', False),
    ("examples/planted.c", '#include "node/planted.h"', False),
]


def self_test(root):
    """Plants each wrong include alone in a copy and wants exactly that one complaint more."""
    before = check(root)
    failures = 0
    for path, line, allowed in PLANTS:
        with tempfile.TemporaryDirectory() as copy:
            for top in ("src", "include", "examples"):
                if os.path.isdir(os.path.join(root, top)):
                    shutil.copytree(os.path.join(root, top), os.path.join(copy, top))
            for folder in ARROWS:
                os.makedirs(os.path.join(copy, "src", folder), exist_ok=True)
                for name in ("planted.h", "planted_priv.h"):
                    with open(os.path.join(copy, "src", folder, name), "w", encoding="utf-8"):
                        pass
            os.makedirs(os.path.dirname(os.path.join(copy, path)), exist_ok=True)
            with open(os.path.join(copy, path), "w", encoding="utf-8") as file:
                file.write(line + "\n")
            new = [complaint for complaint in check(copy) if complaint not in before]
        right = not new if allowed else len(new) == 1 and new[0].startswith(path + ":1:")
        if not right:
            failures += 1
            print(f"self-test: {path}: {line}: expected {'no' if allowed else 'one'} complaint, "
                  f"got {new}")
    print(f"check-includes self-test: {len(PLANTS) - failures} of {len(PLANTS)} plants judged right")
    return 1 if failures else 0


def main(arguments):
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if "--self-test" in arguments:
        return self_test(root)
    if "--root" in arguments:
        root = arguments[arguments.index("--root") + 1]
    found = check(root)
    for complaint in found:
        print(complaint)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
