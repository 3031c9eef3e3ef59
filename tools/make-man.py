#!/usr/bin/env python3
"""Writes docs/holdfast.1 from the prose below and the program's own help.

    tools/make-man.py [PROGRAM] > docs/holdfast.1        PROGRAM: build/holdfast by default
"""
import re
import subprocess
import sys

COMMON = ["--server", "--token-file", "--ca-file", "--give-up-after", "--key", "--min-position",
          "--json", "--help"]

HEAD = r""".TH HOLDFAST 1 "" "Holdfast" "User Commands"
.SH NAME
holdfast \- check, act, remember: commits that are decided once, on a server or a data directory
.SH SYNOPSIS
.B holdfast
.I COMMAND
.RI [ VERB "] [" OPTION "...] [" ARGUMENT ...]
.SH DESCRIPTION
.B holdfast serve
serves a data directory over HTTP. The commands
.BR transfer ", " account ", " hold ", " stream ", " document ", " lease ", " subscription ", " queue ", " audit ", " alert " and " key
ask a server;
.B relay
brings the rows of another database's outbox to one;
.B bench
puts a load on one;
.B feed
shows what has happened on one;
.BR commit ", " get ", " import " and " status
ask a server, or work on a data directory itself.
A data directory holds one database and has one owner at a time: a server, or one of
.BR commit ", " get ", " import " and " demo
for the moment;
.B compact
wants nobody to own it;
.BR verify ", " export ", " backup " and " status
only read and work beside a living owner.
.PP
Amounts are given in minor units: 1250 of USD/2 are 12.50. They are shown with the asset's decimals and, in
parentheses, in minor units.
.PP
A change on a server carries an idempotency key, made by the command unless
.B \-\-key
is given, and is repeated with it, on each address in turn, until the answer is definite. If that takes longer than
.BR \-\-give\-up\-after ,
the exit status is 3 and the key is told: the same command with
.BI \-\-key= KEY
gets the recorded answer or does it now, and
.BI "holdfast key cancel " KEY
makes sure that it never will be done.
.PP
Standard output holds the answer and nothing else; errors, refusals and progress (on a terminal) go to standard error.
"""

OPTIONS = {
    "--server": "The server: http://HOST:PORT, https://HOST or unix:PATH; several, separated by commas, are "
                "tried in turn: a server and its standby.",
    "--token-file": "The token is in FILE. It is never given on the command line, where others could read it.",
    "--ca-file": "PEM: who may sign the server's certificate.",
    "--give-up-after": "How long to repeat until the answer is definite; 10 by default.",
    "--key": "Of every change: the idempotency key. A repetition gets the recorded answer.",
    "--min-position": "Of every read: wait until the state has this position.",
    "--json": "One JSON value on standard output: of a server, the answer as it gave it, refusals too.",
    "--help": "The help of the command.",
}

TAIL = r""".SH ENVIRONMENT
.TP
.B HOLDFAST_SERVER
The server, unless
.B \-\-server
is given; else http://127.0.0.1:7070.
.TP
.B HOLDFAST_TOKEN
The token, unless
.B \-\-token\-file
is given.
.TP
.B HOLDFAST_CA_FILE
The same as
.BR \-\-ca\-file .
.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
The answer is no: refused, not found, malformed, damaged, not equal.
.TP
.B 2
Wrong usage.
.TP
.B 3
The environment failed: a file, the disk, memory, the network, no definite answer of a server; or another process
owns the directory.
"""


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def help_of(program, *words):
    return subprocess.run([program, *words, "--help"], capture_output=True, text=True,
                          check=True).stdout


def names(text):
    return re.findall(r"^  ([a-z][a-z-]*)  *\S", text, re.M)


def paragraph(lines):
    """Filled, unless blanks carry meaning."""
    if any(re.search(r"^ |\S  +\S", line) for line in lines):
        return [".nf", *map(escape, lines), ".fi"]
    return [escape(line) for line in lines]


def section(program, words):
    text = help_of(program, *words)
    usage, _, rest = text.partition("\n")
    about, _, options = rest.partition("\nOptions:\n")
    out = [".SS " + escape(usage[len("Usage: "):].strip())]
    first = True
    for block in re.split(r"\n\n+", about.strip("\n")):
        out += ([] if first else [".PP"]) + paragraph(block.split("\n"))
        first = False
    for name, argument, words_of in re.findall(
            r"^  (--[a-z-]+)(=\S+)?\s+(.*(?:\n {10,}.*)*)", options, re.M):
        if name not in COMMON:
            out += [".TP", ".B " + escape(name) + (f"\\fR{escape(argument)}" if argument else ""),
                    escape(re.sub(r"\s*\n\s*", " ", words_of))]
    return out


def main(arguments):
    program = arguments[0] if arguments else "build/holdfast"
    top = help_of(program)
    out = [HEAD.rstrip("\n"), ".SH COMMON OPTIONS"]
    arguments_of = {"--server": "URL", "--token-file": "FILE", "--ca-file": "FILE",
                    "--give-up-after": "SECONDS", "--key": "KEY", "--min-position": "N"}
    for option in COMMON:
        argument = arguments_of.get(option)
        out += [".TP", f".BI {escape(option)}= {argument}" if argument else f".B {escape(option)}",
                escape(OPTIONS[option])]
    out.append(".SH COMMANDS")
    for command in names(top):
        text = help_of(program, command)
        if "Each has its own help" in text:
            for verb in names(text):
                out += section(program, [command, verb])
        else:
            out += section(program, [command])
    print("\n".join(out))
    print(TAIL, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
