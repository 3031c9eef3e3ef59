#!/usr/bin/env python3
"""No web page commits to a server on loopback, but one of a configured origin does. In a real browser.

    HOLDFAST=build/holdfast tests/interop/browser_test.py        prints TAP

Headless Chromium opens pages of this test's own servers; names are mapped to 127.0.0.1 by
--host-resolver-rules. What counts is the balance afterwards, not what the page believes.
"""
import html
import http.client
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

HOLDFAST = os.environ.get("HOLDFAST", "build/holdfast")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

# Each attempt is a transfer with an id of its own, so that no key is needed.
ATTACK = """<!doctype html><pre id=out>started</pre><iframe name=sink hidden></iframe>
<script>
const target = "%(target)s";
const body = id => JSON.stringify({id, from: "users:1", to: "thief", asset: "USD/2", amount: "10"});
const tried = {};
async function attempt(name, options) {
  try {
    const answer = await fetch(target + "/v1/transfers", {method: "POST", ...options});
    tried[name] = answer.type === "opaque" ? "opaque" : answer.status;
  } catch (error) { tried[name] = "blocked"; }
}
function form(id) {
  const form = document.createElement("form");
  form.method = "POST"; form.enctype = "text/plain"; form.target = "sink";
  form.action = target + "/v1/transfers";
  const input = document.createElement("input");   // name=value, made to read as JSON
  input.name = body(id).slice(0, -1) + ',"metadata":{"x'; input.value = '":1}}';
  form.append(input); document.body.append(form); form.submit();
}
(async () => {
  await attempt("no-cors text", {mode: "no-cors", body: body("a1"), headers: {"Content-Type": "text/plain"}});
  await attempt("no-cors bare", {mode: "no-cors", body: body("a2")});
  await attempt("cors json", {body: body("a3"), headers: {"Content-Type": "application/json"}});
  await attempt("cors text", {body: body("a4")});
  tried["beacon"] = navigator.sendBeacon(target + "/v1/transfers", body("a5"));
  try { const read = await fetch(target + "/v1/accounts/users:1"); tried["read"] = read.status; }
  catch (error) { tried["read"] = "blocked"; }
  form("a6");
  await new Promise(resolve => setTimeout(resolve, 1000));
  document.getElementById("out").textContent = JSON.stringify(tried);
})();
</script>"""


class Holdfast:
    def __init__(self, directory, origin):
        self.process = subprocess.Popen(
            [HOLDFAST, "serve", "--data", directory, "--listen", "127.0.0.1:0", "--origin", origin, "--json"],
            stdout=subprocess.PIPE, text=True)
        ready = json.loads(self.process.stdout.readline())
        self.port = next(listener["port"] for listener in ready["listeners"] if listener["port"])
        self.call("PUT", "/v1/accounts/world", {"asset": "USD/2", "floor": None})
        self.call("PUT", "/v1/accounts/users:1", {"asset": "USD/2"})
        self.call("PUT", "/v1/accounts/thief", {"asset": "USD/2"})
        self.call("POST", "/v1/transfers", {"id": "salary", "from": "world", "to": "users:1",
                                            "asset": "USD/2", "amount": "1000"})

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path, None if body is None else json.dumps(body),
                           {"Content-Type": "application/json"} if body is not None else {})
        answer = connection.getresponse()
        value = json.loads(answer.read())
        connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {value}")
        return value

    def stolen(self):
        return int(self.call("GET", "/v1/accounts/thief")["posted"])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)


def serve_page(page):
    """A web server whose every path is the page; returns it, listening."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            text = page().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def splice(left, right):
    try:
        while data := left.recv(65536):
            right.sendall(data)
    except OSError:
        pass
    for side in (left, right):
        try:
            side.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve_rebound(page_port, holdfast_port):
    """One port that is the attacker's for /page and Holdfast's for all else: a name that was rebound."""
    listener = socket.create_server(("127.0.0.1", 0))

    def each(client):
        first = client.recv(64, socket.MSG_PEEK)
        port = page_port if first.startswith(b"GET /page") else holdfast_port
        upstream = socket.create_connection(("127.0.0.1", port))
        threading.Thread(target=splice, args=(client, upstream), daemon=True).start()
        splice(upstream, client)

    def accept():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=each, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener, listener.getsockname()[1]


def browse(url, profile):
    """What the page's <pre id=out> says in the end."""
    done = subprocess.run(
        [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-features=BlockInsecurePrivateNetworkRequests,PrivateNetworkAccessSendPreflights,"
         "LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequestsFromPrivate",
         "--disable-background-networking", f"--user-data-dir={profile}", "--virtual-time-budget=15000",
         "--host-resolver-rules=MAP evil.test 127.0.0.1, MAP console.test 127.0.0.1", "--dump-dom", url],
        capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r'<pre id="?out"?>(.*?)</pre>', done.stdout, re.S)
    return html.unescape(found.group(1)) if found else done.stdout + done.stderr[-2000:]


def main():
    if BROWSER is None:
        print("1..1\nok 1 - a browser # SKIP chromium is not installed")
        return 0
    results = []

    def check(name, good, note=""):
        results.append(good)
        print(f"{'ok' if good else 'not ok'} {len(results)} - {name}{'' if good else ': ' + note}", flush=True)

    directory = tempfile.mkdtemp(prefix="holdfast-browser-")
    pages = {}
    evil = serve_page(lambda: pages["evil"])
    rebinding = serve_page(lambda: pages["rebound"])
    console = serve_page(lambda: pages["console"])
    holdfast = Holdfast(os.path.join(directory, "data"), f"http://console.test:{console.server_port}")
    listener = None
    try:
        target = f"http://127.0.0.1:{holdfast.port}"
        pages["evil"] = ATTACK % {"target": target}
        said = browse(f"http://evil.test:{evil.server_port}/", os.path.join(directory, "p1"))
        check("a page on another origin ran its attempts", said.startswith("{"), said)
        check("and none of them moved money", holdfast.stolen() == 0, said)
        check("and it could not read", said.startswith("{") and json.loads(said)["read"] == "blocked", said)

        listener, rebound_port = serve_rebound(rebinding.server_port, holdfast.port)
        pages["rebound"] = ATTACK % {"target": f"http://evil.test:{rebound_port}"}
        said = browse(f"http://evil.test:{rebound_port}/page", os.path.join(directory, "p2"))
        tried = json.loads(said) if said.startswith("{") else {}
        check("a rebound page is refused by Host", tried.get("cors json") == 403 and tried.get("read") == 403, said)
        check("and moved no money", holdfast.stolen() == 0, said)

        pages["console"] = ATTACK % {"target": target}
        said = browse(f"http://console.test:{console.server_port}/", os.path.join(directory, "p3"))
        tried = json.loads(said) if said.startswith("{") else {}
        check("a page on the configured origin commits", tried.get("cors json") == 201, said)
        check("and reads", tried.get("read") == 200, said)
        check("by JSON alone: text is refused", holdfast.stolen() == 10, f"{holdfast.stolen()} {said}")
    finally:
        holdfast.stop()
        for server in (evil, rebinding, console):
            server.shutdown()
        if listener is not None:
            listener.close()
        shutil.rmtree(directory, ignore_errors=True)
    print(f"1..{len(results)}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
