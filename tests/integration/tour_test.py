#!/usr/bin/env python3
"""The README's tour by curl, run line by line: every answer must be as shown there. Prints TAP.

    HOLDFAST_BUILD=build tests/integration/tour_test.py

A block of the README that begins ```console holds commands behind "$ " and the lines that they print. "…" stands for
anything; times, positions, tokens and ids that the server gives are not compared. The commands run in one shell, in a
temporary directory, with a free port in the place of 7070.
"""
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading

from tap import Tap

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("HOLDFAST_BUILD", os.path.join(ROOT, "build")))
SECONDS_MAX = 120  # the whole tour
END = "-- the command has ended --"
VOLATILE = [
    (re.compile(r'"\d{4}-\d\d-\d\dT[0-9:.]+Z"'), '"TIME"'),
    (re.compile(r'"(position|token)":\d+'), r'"\1":0'),
    (re.compile(r"~\d+\.\d+"), "~0.0"),
    (re.compile(r"/v1/commits/\d+"), "/v1/commits/0"),
]

tap = Tap()
check = tap.check


def steps():
    """(command, lines shown) of the README's console blocks."""
    found = []
    inside = False
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        for line in file:
            line = line.rstrip("\n")
            if line.startswith("```"):
                inside = line == "```console"
            elif inside and line.startswith("$ "):
                found.append((line[2:], []))
            elif inside:
                found[-1][1].append(line)
    return found


def plain(line):
    for pattern, replacement in VOLATILE:
        line = pattern.sub(replacement, line)
    return line


def as_shown(shown, got):
    if len(shown) != len(got):
        return False
    for expected, line in zip(shown, got):
        parts = [re.escape(part) for part in plain(expected).split("…")]
        if not re.fullmatch(".*".join(parts), plain(line)):
            return False
    return True


class Shell:
    """A bash that is given one command after another."""

    def __init__(self, directory):
        os.symlink(BUILD, os.path.join(directory, "build"))
        self.process = subprocess.Popen(["bash", "--norc"], cwd=directory, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        start_new_session=True)

    def run(self, command):
        self.process.stdin.write(f"{command}\necho '{END}'\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            line = line.rstrip("\r\n")
            if line == END:
                return lines
            lines.append(line)
        raise EOFError("the shell has ended")

    def kill(self):
        """Ends the shell and what it has started: they are a process group of their own."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def close(self):
        self.kill()
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def main():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found = steps()
    check(len(found) > 20, "the README has a tour")
    with tempfile.TemporaryDirectory(prefix="holdfast-tour-") as directory:
        shell = Shell(directory)
        watchdog = threading.Timer(SECONDS_MAX, shell.kill)
        watchdog.start()
        try:
            for command, shown in found:
                command = command.replace(":7070", f":{port}").replace(
                    "--data tour", f"--data tour --listen 127.0.0.1:{port}")
                got = shell.run(command)
                check(as_shown(shown, got), command[:100],
                      "\n".join(["shown:", *shown, "got:", *got]))
        except (EOFError, OSError) as error:
            check(False, "the tour comes to its end", error)
        finally:
            watchdog.cancel()
            shell.close()
    return tap.end()


sys.exit(main())
