#!/usr/bin/env python3
"""Help, manual page and bash completion name every command, verb and option. Prints TAP.

    HOLDFAST=build/holdfast tests/integration/completion_test.py
"""
import os
import re
import shutil
import subprocess
import sys

from tap import Tap

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("HOLDFAST_BUILD", "build")
HOLDFAST = os.path.abspath(os.environ.get("HOLDFAST", os.path.join(BUILD, "holdfast")))
MANUAL = os.path.join(ROOT, "docs", "holdfast.1")
# Reads a command line from each line of input (words separated by tabs, the last one to be completed), and prints
# what is offered.
DRIVER = r"""
source "$1"
while IFS= read -r line; do
    IFS=$'\x1f' read -r -a COMP_WORDS <<< "${line//$'\t'/$'\x1f'}"
    [[ $line == *$'\t' ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _holdfast 2>/dev/null
    echo "${COMPREPLY[*]}"
done
"""
EXPECTED = {"transfer": ["post", "reverse", "show", "list"],
            "account": ["open", "show", "list", "balance", "entries", "statement", "limits", "metadata",
                        "freeze", "unfreeze", "close"],
            "hold": ["open", "capture", "void", "extend", "show", "list"],
            "stream": ["append", "events", "show", "list"],
            "document": ["get", "put", "patch", "delete", "list", "versions"],
            "lease": ["acquire", "renew", "release", "show"],
            "subscription": ["create", "list", "show", "delete", "seek", "redrive", "dead"],
            "queue": ["publish", "receive", "ack", "nack", "extend", "park", "dead", "redrive", "message"],
            "saga": ["define", "defs", "start", "show", "history", "list", "watch", "retry", "pause", "resume", "skip", "compensate",
                     "abandon", "complete", "fail", "test"],
            "audit": ["show", "run"], "alert": ["list"],
            "key": ["show", "cancel"],
            "relay": ["postgresql", "sqlite"],
            "feed": [],
            "token": ["create", "list", "revoke", "rotate"],
            "commit": [], "get": [], "import": [], "export": [], "status": [], "verify": [], "compact": [], "serve": [],
            "backup": [], "restore": [], "demo": [], "bench": []}

tap = Tap()
check = tap.check


def help_of(*words):
    done = subprocess.run([HOLDFAST, *words, "--help"], capture_output=True, text=True, check=False)
    check(done.returncode == 0 and not done.stderr and done.stdout.startswith("Usage: holdfast"),
          f"{' '.join(words) or 'holdfast'} --help", done.stdout + done.stderr)
    return done.stdout


def options_of(text):
    return re.findall(r"^  (--[a-z-]+=?)", text, re.M)


def complete(lines):
    text = "".join("\t".join(line) + "\n" for line in lines)
    done = subprocess.run(["bash", "--norc", "-c", DRIVER, "driver",
                           os.path.join(ROOT, "packaging", "holdfast.bash")], input=text,
                          capture_output=True, text=True, check=False, cwd=ROOT)
    check(done.returncode == 0 and not done.stderr, "the completion runs", done.stderr)
    return [line.split() for line in done.stdout.splitlines()]


def main():
    top = help_of()
    with open(MANUAL, encoding="utf-8") as file:
        manual = file.read().replace("\\-", "-")
    check(sorted(re.findall(r"^  ([a-z]+) ", top, re.M)) == sorted(EXPECTED), "the list of commands", top)
    asked, wanted = [[HOLDFAST, ""]], [("commands", sorted([*EXPECTED, "help"]))]
    for command, verbs in EXPECTED.items():
        text = help_of(command)
        if verbs:
            asked.append([HOLDFAST, command, ""])
            wanted.append((f"verbs of {command}", sorted(verbs)))
        for words in [[command, verb] for verb in verbs] or [[command]]:
            name = " ".join(words)
            text = help_of(*words)
            options = options_of(text)
            check(f"holdfast {name}" in manual, f"the manual has {name}")
            missing = [option for option in options if option.rstrip("=") not in manual]
            check(not missing, f"the manual has the options of {name}", missing)
            wide = [line for line in text.splitlines() if len(line) > 100]
            check(not wide, f"the help of {name} fits 100 columns", "\n".join(wide))
            if command not in ("token", "serve", "backup", "restore", "demo", "verify", "export"):
                check("\nExample:\n  " in text, f"the help of {name} has an example", text)
            asked.append([HOLDFAST, *words, "--"])
            wanted.append((f"options of {name}", sorted(options)))
    asked += [[HOLDFAST, "acc"], [HOLDFAST, "account", "--server", "=", "u", "fr"],
              [HOLDFAST, "import", ""], [HOLDFAST, "hold", "open", "--timeout"],
              [HOLDFAST, "status", "READ"]]
    wanted += [("a beginning", ["account"]), ("a verb behind an option", ["freeze"]),
               ("kinds of import", ["bank", "commits", "events"]),
               ("one option", ["--timeout-ms="]), ("a file", ["README.md"])]
    for (name, want), got in zip(wanted, complete(asked), strict=True):
        check(sorted(got) == want, f"completion: {name}", f"{got}\nwanted {want}")
    made = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "make-man.py"), HOLDFAST], capture_output=True,
                          text=True, check=True).stdout
    check(made.replace("\\-", "-") == manual, "the manual is what tools/make-man.py makes of the help")
    if shutil.which("groff"):
        done = subprocess.run(["groff", "-man", "-Tutf8", "-Kutf8", "-ww", MANUAL], capture_output=True,
                              text=True, check=False)
        check(done.returncode == 0 and not done.stderr, "the manual is without warnings", done.stderr)
    else:
        tap.skip("the manual is without warnings", "groff is not there")
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
