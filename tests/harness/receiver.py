"""The other end: a real HTTP service that records what reached it, and misbehaves on request.

The truth about effects comes from here, never from our own database.
"""

import gzip
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Hit:
    """One request that arrived whole."""

    at: float
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        return next((v for k, v in self.headers if k.lower() == name.lower()), "")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def _any(self) -> None:
        mode, _, rest = self.path.lstrip("/").partition("/")
        mode = mode.partition("?")[0]
        if mode == "drop-before-read":
            self._reset()
            return
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            # Its sender died half-way: it did not arrive.
            self.close_connection = True
            return
        hit = Hit(time.time(), self.command, self.path, tuple(self.headers.items()), body)
        with self.server.lock:
            self.server.hits.append(hit)
        act: Callable[[str], None] = getattr(self, "mode_" + mode.replace("-", "_"), self.mode_ok)
        act(rest)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any

    def _answer(
        self, status: int, body: bytes, kind: str = "application/json", **more: str
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True

    def mode_ok(self, rest: str) -> None:
        self._answer(200, json.dumps({"ok": True, "path": self.path}).encode())

    def mode_slow(self, rest: str) -> None:
        time.sleep(float(rest.partition("/")[0]))
        self.mode_ok(rest)

    def mode_drop_after_effect(self, rest: str) -> None:
        self._reset()

    def mode_status(self, rest: str) -> None:
        self._answer(int(rest.partition("/")[0]), b'{"error": "as asked"}')

    def mode_flaky(self, rest: str) -> None:
        """503 until the given number of hits on this path has come."""
        needed = int(rest.partition("/")[0])
        seen = sum(hit.path == self.path for hit in self.server.hits)
        if seen < needed:
            self._answer(503, b"{}")
        else:
            self.mode_ok(rest)

    def mode_redirect(self, rest: str) -> None:
        target = parse_qs(urlsplit(self.path).query).get("to", ["/ok"])[0]
        self._answer(302, b"", Location=target)

    def mode_redirect_with(self, rest: str) -> None:
        target = parse_qs(urlsplit(self.path).query)["to"][0]
        self._answer(int(rest.partition("?")[0]), b"", Location=target)

    def mode_slow_headers(self, rest: str) -> None:
        self._drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000)

    def mode_endless_headers(self, rest: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        self._for_ever(b"X-Again: x\r\n" * 1000)

    def mode_endless(self, rest: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        self._for_ever(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")

    def _for_ever(self, piece: bytes) -> None:
        self.close_connection = True
        try:
            while True:
                self.wfile.write(piece)
        except OSError:
            return

    def _drip(self, data: bytes) -> None:
        self.close_connection = True
        try:
            for byte in data:
                self.wfile.write(bytes([byte]))
                time.sleep(0.1)
        except OSError:
            return

    def mode_huge(self, rest: str) -> None:
        self._answer(200, b"x" * int(rest.partition("/")[0]), "text/plain")

    def mode_chunked(self, rest: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(int(rest) // 0x2000):
            self.wfile.write(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def mode_gzip_bomb(self, rest: str) -> None:
        self._answer(200, gzip.compress(b"0" * 50_000_000), Content_Encoding="gzip")

    def mode_slowloris(self, rest: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        try:
            for _ in range(1000):
                self.wfile.write(b"x")
                time.sleep(0.2)
        except OSError:
            self.close_connection = True

    def mode_headers(self, rest: str) -> None:
        self._answer(200, b"{}", **{f"X_{number}": "x" for number in range(150)})

    def mode_bad_json(self, rest: str) -> None:
        self._answer(200, b'{"a": NaN, "a": 1')

    def mode_nul(self, rest: str) -> None:
        self._answer(200, b'{"a": "\\u0000", "b": "\x00"}')

    def mode_surrogate(self, rest: str) -> None:
        self._answer(200, b'{"a": "\\ud800"}')

    def mode_echo_auth(self, rest: str) -> None:
        secret = self.headers.get("Authorization", "")
        body = json.dumps({"you sent": secret, "token": secret.partition(" ")[2]}).encode()
        self._answer(200, body, X_Echo=secret)

    def log_message(self, format: str, *args: object) -> None:
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hits: list[Hit] = []
        self.lock = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        return None


class Receiver:
    """A receiver on a loopback port, for as long as the context is open."""

    def __init__(self) -> None:
        self._server = _Server()
        self._thread = threading.Thread(
            # How long it takes to end.
            target=self._server.serve_forever,
            args=[0.02],
            daemon=True,
        )

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def hits(self) -> list[Hit]:
        return self._server.hits

    def effects(self) -> Counter[str]:
        """How often each Idempotency-Key arrived with a writing method."""
        return Counter(hit.header("Idempotency-Key") for hit in self.hits if hit.method != "GET")
