"""A participant of sagas for the tests: an HTTP server whose answers the test gives, and what it has seen. No test itself."""
import http.server
import json
import threading
import time


class Seen:
    """One request."""

    def __init__(self, method, path, headers, body):
        self.method = method
        self.path = path
        self.headers = headers
        self.text = body
        self.saga = headers.get("Saga-Id")
        self.step = headers.get("Saga-Step")
        self.op = headers.get("Saga-Op")
        self.attempt = int(headers.get("Saga-Attempt", "0"))
        self.key = headers.get("Idempotency-Key")
        self.began = time.monotonic()
        self.answered = None  # its status; None: not yet, or cut off

    @property
    def body(self):
        return json.loads(self.text) if self.text else None


class Participant:
    """answer(seen) gives (status, body or None, headers)."""

    def __init__(self, answer=None):
        self.answer = answer or (lambda seen: (200, {}, {}))
        self.seen = []
        self.lock = threading.Lock()
        participant = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                length = int(self.headers.get("Content-Length", "0"))
                seen = Seen(self.command, self.path, self.headers, self.rfile.read(length))
                with participant.lock:
                    participant.seen.append(seen)
                status, body, headers = participant.answer(seen)
                text = b"" if body is None else json.dumps(body).encode()
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)
                    seen.answered = status
                except OSError:  # the caller was killed
                    self.close_connection = True

            do_GET = do_POST = serve

            def log_message(self, *_):
                pass

        class Listener(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request, client_address):
                pass  # a connection that was cut off

        self.server = Listener(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def of(self, saga, step=None, op=None):
        """What came for a saga, in order."""
        with self.lock:
            return [seen for seen in self.seen
                    if seen.saga == saga and step in (None, seen.step) and op in (None, seen.op)]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
