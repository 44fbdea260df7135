"""The one door to the network (promise 15).

A name is resolved once, every address that it has is checked, and the connection goes to the
checked address. Nothing is followed, nothing is taken from the environment, and the caller is
told before the first byte of the request leaves.
"""

import queue
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpcore2

from accounts_app.faults import fault
from integrations_app.addresses import is_refused

MAX_HEADERS, MAX_HEADER_BYTES = 100, 64 * 1024
DEFAULT_PORTS = {"http": 80, "https": 443}
Resolve = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: who is spoken to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Origin":
        """The origin of an absolute address.

        Raises:
            ValueError: another scheme than http and https, no host, a user name in it, or a port
                that is none.
        """
        parts = urlsplit(url)
        if parts.scheme not in DEFAULT_PORTS:
            raise ValueError("Must begin with http:// or https://.")
        if parts.username is not None or parts.password is not None or "@" in parts.netloc:
            raise ValueError("Must not contain a user name.")
        host = parts.hostname
        if not host or any(character.isspace() or character in "\\%" for character in host):
            raise ValueError("Must name a host.")
        try:
            name = host if ":" in host else host.encode("idna").decode().lower()
        except UnicodeError as error:
            raise ValueError("Must name a host.") from error
        port = parts.port
        if port == 0:
            raise ValueError("Must not name the port 0.")
        return cls(parts.scheme, name, DEFAULT_PORTS[parts.scheme] if port is None else port)


@dataclass(frozen=True, slots=True)
class OutboundPolicy:
    """Where a request may go, and how long and large it may be.

    Args:
        origin: the only one that is spoken to.
        allow_private: private addresses are allowed.
        timeout_seconds: for writing and reading together.
        connect_seconds: for resolving and connecting, each.
        max_body_bytes: of the answer, decoded; the rest is cut.
    """

    origin: Origin
    allow_private: bool = False
    timeout_seconds: float = 30
    connect_seconds: float = 5
    max_body_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class OutboundRequest:
    """What is sent: exactly this."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class OutboundAnswer:
    """What came back; `truncated` where the body was cut."""

    status_code: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    truncated: bool


class NotSent(Exception):
    """Certain: nothing of the request was sent.

    Args:
        code: address_refused, not_resolved, connect_failed or tls_failed.
        detail: for people.
        permanent: trying again would change nothing.
    """

    def __init__(self, code: str, detail: str, *, permanent: bool = False) -> None:
        super().__init__(detail)
        self.code, self.detail, self.permanent = code, detail, permanent


class NoAnswer(Exception):
    """It was sent, and no whole answer came; `code` is dropped or timed_out."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


def resolve_host(host: str, port: int) -> Sequence[str]:
    """Every address of a name.

    Raises:
        OSError: it has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def send(
    request: OutboundRequest,
    policy: OutboundPolicy,
    *,
    before_first_byte: Callable[[], None],
    resolve: Resolve = resolve_host,
) -> OutboundAnswer:
    """Send a request once, on a connection of its own.

    Args:
        request: what to send; its origin must be the policy's.
        policy: where it may go.
        before_first_byte: called once, when the connection stands; what it raises is passed on,
            and nothing is sent.
        resolve: for tests.

    Raises:
        NotSent: nothing was sent.
        NoAnswer: sent, and no whole answer came.
        ValueError: a header with a line break or NUL.
    """
    for name, value in request.headers:
        if any(character in "\r\n\0" for character in name + value):
            raise ValueError(f"The header {name!r} has a line break.")
    origin = _origin_of(request, policy)
    backend = _Backend(policy, before_first_byte, resolve)
    core_origin = httpcore2.Origin(origin.scheme.encode(), origin.host.encode(), origin.port)
    connection = httpcore2.HTTPConnection(
        core_origin, ssl_context=ssl.create_default_context(), network_backend=backend
    )
    with connection:
        try:
            return _exchange(connection, request, origin, policy)
        except (httpcore2.TimeoutException, TimeoutError) as error:
            raise _ended(backend, "timed_out", "The time was over", error) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError, zlib.error) as error:
            raise _ended(backend, "dropped", "The connection ended", error) from error


def _origin_of(request: OutboundRequest, policy: OutboundPolicy) -> Origin:
    try:
        origin = Origin.of(request.url)
    except ValueError as error:
        raise NotSent("address_refused", str(error), permanent=True) from error
    if origin != policy.origin:
        text = "The address leads elsewhere than the integration's."
        raise NotSent("address_refused", text, permanent=True)
    return origin


def _ended(backend: "_Backend", code: str, text: str, error: Exception) -> NotSent | NoAnswer:
    detail = f"{text} ({type(error).__name__})."
    if backend.begun:
        return NoAnswer(code, detail)
    return NotSent("tls_failed" if backend.connected else "connect_failed", detail)


def _exchange(
    connection: httpcore2.HTTPConnection,
    request: OutboundRequest,
    origin: Origin,
    policy: OutboundPolicy,
) -> OutboundAnswer:
    parts = urlsplit(request.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    if origin.port != DEFAULT_PORTS[origin.scheme]:
        host += f":{origin.port}"
    headers = [("Host", host), *request.headers, ("Accept-Encoding", "identity")]
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        headers.append(("Content-Length", str(len(request.body))))
    headers.append(("Connection", "close"))
    sent = httpcore2.Request(
        request.method.encode(),
        httpcore2.URL(
            scheme=origin.scheme.encode(),
            host=origin.host.encode(),
            port=origin.port,
            target=target.encode("ascii"),
        ),
        headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        content=request.body,
        extensions={
            "timeout": {
                "connect": policy.connect_seconds,
                "read": policy.timeout_seconds,
                "write": policy.timeout_seconds,
                "pool": policy.connect_seconds,
            }
        },
    )
    response = connection.handle_request(sent)
    try:
        received = tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in response.headers)
        size = sum(len(name) + len(value) for name, value in received)
        if len(received) > MAX_HEADERS or size > MAX_HEADER_BYTES:
            raise NoAnswer("dropped", "The answer has too many headers.")
        body, truncated = _read(response.iter_stream(), received, policy.max_body_bytes)
    finally:
        response.close()
    return OutboundAnswer(response.status, received, body, truncated)


def _read(
    chunks: Iterable[bytes], headers: Sequence[tuple[str, str]], limit: int
) -> tuple[bytes, bool]:
    """The body, decoded and cut at the limit."""
    encoding = next((v.lower() for k, v in headers if k.lower() == "content-encoding"), "")
    decoder = zlib.decompressobj(wbits=47) if encoding in ("gzip", "deflate") else None
    body = bytearray()
    for chunk in chunks:
        body += decoder.decompress(chunk, limit + 1 - len(body)) if decoder else chunk
        if len(body) > limit:
            return bytes(body[:limit]), True
    return bytes(body), False


class _Backend(httpcore2.NetworkBackend):
    """Connects to the checked address, and keeps the total time."""

    def __init__(
        self, policy: OutboundPolicy, before_first_byte: Callable[[], None], resolve: Resolve
    ) -> None:
        self.policy = policy
        self.before_first_byte = before_first_byte
        self.resolve = resolve
        self.inner = httpcore2.SyncBackend()
        self.connected = self.begun = False
        self.deadline = 0.0

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        addresses = self._addresses(host, port)
        for address in addresses:
            if is_refused(address, allow_private=self.policy.allow_private):
                text = f"{host} leads to {address}, which is not allowed."
                raise NotSent("address_refused", text, permanent=True)
        last: Exception = OSError("no address")
        for address in addresses[:4]:
            try:
                stream = self.inner.connect_tcp(address, port, self.policy.connect_seconds)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
                continue
            self.connected = True
            return _Stream(stream, self)
        text = f"No connection to {host} ({type(last).__name__})."
        raise NotSent("connect_failed", text) from last

    def _addresses(self, host: str, port: int) -> Sequence[str]:
        """Resolve in a thread, because the system's resolver knows no time limit."""
        found: queue.Queue[Sequence[str] | OSError | UnicodeError] = queue.Queue()

        def look_up() -> None:
            try:
                found.put(self.resolve(host, port))
            except (OSError, UnicodeError) as error:
                found.put(error)

        threading.Thread(target=look_up, daemon=True).start()
        try:
            answer = found.get(timeout=self.policy.connect_seconds)
        except queue.Empty as error:
            raise NotSent("not_resolved", f"{host} was not resolved in time.") from error
        if isinstance(answer, (OSError, UnicodeError)) or not answer:
            raise NotSent("not_resolved", f"{host} has no address.")
        return answer

    def begin(self) -> None:
        """The connection stands: ask the caller, and start the clock."""
        fault("send.connected")
        self.before_first_byte()
        self.begun = True
        self.deadline = time.monotonic() + self.policy.timeout_seconds

    def remaining(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout
        return left


class _Stream(httpcore2.NetworkStream):
    """A connection whose first write is announced, and whose time is limited as a whole."""

    def __init__(self, inner: httpcore2.NetworkStream, backend: _Backend) -> None:
        self.inner, self.backend = inner, backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        fault("send.after_body")
        return self.inner.read(max_bytes, self.backend.remaining())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not self.backend.begun:
            self.backend.begin()
        self.inner.write(buffer, self.backend.remaining())
        fault("send.mid_body")

    def close(self) -> None:
        self.inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        connect_seconds = self.backend.policy.connect_seconds
        secure = self.inner.start_tls(ssl_context, server_hostname, connect_seconds)
        return _Stream(secure, self.backend)

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)
