"""Servers of Python's own library: events one by one, each when it is asked for (port 80), and answers of HTTP/1.0 (port 81)."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Events:
    def __init__(self, address):
        self.next = threading.Semaphore(0)      # events that may be sent
        self.left = threading.Event()           # the last client has gone, as the server sees it
        modern = type("Modern", (Modern,), {"events": self})
        self.servers = [ThreadingHTTPServer((address, 80), modern), ThreadingHTTPServer((address, 81), Old)]
        for server in self.servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def end(self):
        for server in self.servers:
            server.shutdown()


class Quiet(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Modern(Quiet):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.events.left.clear()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for number in range(1000):
                if not self.events.next.acquire(timeout=0.05):
                    self.piece(":\n")           # a comment, which finds out whether anybody listens
                    continue
                self.piece(f"data: {number}\n\n")
        except OSError:
            self.close_connection = True
        self.events.left.set()

    def piece(self, text):
        self.wfile.write(f"{len(text):x}\r\n{text}\r\n".encode())


class Old(Quiet):
    """It says no length: the end of the connection is that of the answer."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"old\n" * 100_000)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body[::-1])
