#!/usr/bin/env python3
"""The npm package `standardwebhooks` verifies what push sends: each secret, both modes, and nothing that was changed. Prints TAP.

npm and its packages live in a temporary directory; without node or npm, or without a way to the registry, it is skipped.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
from push_test import NEW, OLD, Rig, whsec  # noqa: E402
from tap import Tap  # noqa: E402

PACKAGE = "standardwebhooks@1.0.0"
# Reads [{"secret", "headers", "body"}…]; prints for each what verify() makes of it: the payload, or why not.
SCRIPT = r"""
const { Webhook } = require("standardwebhooks");
const rows = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(rows.map(({ secret, headers, body }) => {
  try {
    return { payload: new Webhook(secret).verify(body, headers) };
  } catch (error) {
    return { error: String(error.message || error) };
  }
})));
"""


def install(work):
    """Why it can't be had, or None."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "there is no node, or no npm"
    with open(os.path.join(work, "package.json"), "w", encoding="ascii") as file:
        file.write('{"private": true}')
    got = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE], cwd=work,
                         env={**os.environ, "npm_config_cache": os.path.join(work, "cache")},
                         capture_output=True, text=True, timeout=300, check=False)
    return None if got.returncode == 0 else "npm install: " + got.stderr.strip().splitlines()[-1][:200]


def sent(rig):
    """One message by each subscription, as it came: (name, headers, body)."""
    rows = []
    for name, push in (("one", {"secrets": ["old"]}), ("both", {"secrets": ["old", "new"]}),
                       ("structured", {"secrets": ["new"], "mode": "structured"})):
        rig.subscribe(name, push)
        rig.publish(name, ("k", {"text": "\u00e9\U0001F600", "of": name}))
        seen = rig.receiver.wait("/" + name, 1)[0]
        headers = {key: value for key, value in seen["headers"].items() if key.startswith("webhook-")}
        rows.append((name, headers, seen["body"].decode()))
    return rows


def cases(rows):
    """(what, secret, headers, body, is it good)"""
    (_, one, one_body), (_, both, both_body), (_, structured, structured_body) = rows
    yield "one secret", OLD, one, one_body, True
    yield "another secret", NEW, one, one_body, False
    yield "two secrets: the old one", OLD, both, both_body, True
    yield "two secrets: the new one", NEW, both, both_body, True
    yield "structured", NEW, structured, structured_body, True
    yield "another body", OLD, one, one_body.replace("one", "One"), False
    yield "another id", OLD, one | {"webhook-id": one["webhook-id"] + "0"}, one_body, False
    yield "another time", OLD, one | {"webhook-timestamp": str(int(one["webhook-timestamp"]) + 1)}, one_body, False


def main():
    tap = Tap()
    work = tempfile.mkdtemp(prefix="holdfast-standardwebhooks-")
    rig = Rig(work)
    try:
        why = install(work)
        if why is not None:
            tap.skip("the npm package standardwebhooks verifies what push sends", why)
            return tap.end()
        rig.start()
        rows = list(cases(sent(rig)))
        text = json.dumps([{"secret": whsec(secret), "headers": headers, "body": body} for _, secret, headers, body, _ in rows])
        got = subprocess.run(["node", "-e", SCRIPT], cwd=work, input=text, capture_output=True, text=True, timeout=120, check=False)
        if not tap.check(got.returncode == 0, "the package runs", got.stderr[-2000:]):
            return tap.end()
        for (what, _, _, body, good), result in zip(rows, json.loads(got.stdout)):
            right = result.get("payload") == json.loads(body) if good else "error" in result
            tap.check(right, f"{what}: {'verified' if good else 'refused'}", result)
        return tap.end()
    finally:
        if rig.server is not None:
            rig.server.kill()
        rig.receiver.close()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
