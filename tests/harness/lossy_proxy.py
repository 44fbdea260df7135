"""A way to a server on which answers get lost: the request arrives, its answer does not."""

import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

PASSED = ("Authorization", "Content-Type", "Idempotency-Key", "Accept")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: self.headers[name] for name in PASSED if self.headers[name]}
        answer = self.server.http.request(
            self.command, self.server.target + self.path, content=body, headers=headers
        )
        with self.server.lock:
            self.server.count += 1
            lost = self.server.loses(self.server.count)
        if lost:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            return
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_PUT = do_PATCH = _any

    def log_message(self, format: str, *args: object) -> None:
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, target: str, loses: Callable[[int], bool]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.loses, self.count = target, loses, 0
        self.lock = threading.Lock()
        self.http = httpx2.Client(timeout=90, trust_env=False)

    def handle_error(self, request: object, client_address: object) -> None:
        return None


class LossyProxy:
    """A proxy, for as long as the context is open.

    Args:
        target: the server's address.
        loses: whether the answer with this number, from 1, is lost.
    """

    def __init__(self, target: str, loses: Callable[[int], bool]) -> None:
        self._server = _Server(target, loses)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> "LossyProxy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server.http.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def count(self) -> int:
        """How many requests have arrived."""
        return self._server.count
