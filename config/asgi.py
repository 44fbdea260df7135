"""The web process: the waiting layer in ASGI, Django itself as WSGI in threads beside it."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import cast
from uuid import UUID

from a2wsgi import WSGIMiddleware
from a2wsgi.wsgi_typing import WSGIApp
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, connection

from config.doorbell import flush
from config.hub import Hub, hub_for
from config.waiting import App, Message, Receive, Scope, Send, StillPending, WaitingLayer

BODY_BYTES = 2 * 1024 * 1024
"""More than any view accepts: a larger body is announced to the view, which refuses it."""

BODY_SECONDS = 30.0
THREADS = 8

_TOO_SLOW = (
    b'{"type": "about:blank", "title": "The body did not arrive in time", "status": 408, '
    b'"code": "body_too_slow"}'
)


class Intake:
    """Takes in the whole body before a thread is taken, so that slow clients hold no thread.

    A body that was sent in chunks gets a length, without which WSGI reads it as empty. One that is
    too large reaches the view as a length without content.

    Args:
        app: the inner application.
        limit: bytes of a body that are kept.
        seconds: the time that a body may take; over it, the answer is 408.
    """

    def __init__(self, app: App, *, limit: int = BODY_BYTES, seconds: float = BODY_SECONDS) -> None:
        self.app = app
        self.limit = limit
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = _length(scope)
        body: bytes | None = b""
        if announced <= self.limit:
            try:
                async with asyncio.timeout(self.seconds):
                    body = await self._body(receive)
            except TimeoutError:
                await _refuse(send)
                return
        if body is None:
            return
        if len(body) > self.limit:
            body, announced = b"", len(body)
        length = max(announced, len(body))
        await self.app(_told(scope, length), _replay(body), send)

    async def _body(self, receive: Receive) -> bytes | None:
        """The body, cut one byte or more beyond the limit; None when the client has gone."""
        body = bytearray()
        while len(body) <= self.limit:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        return bytes(body)


class Lifespan:
    """Starts the hub with the server, and lets waiting requests go when it is told to stop.

    Args:
        app: answers everything else.
        layer: the waiting layer inside `app`.
        hub: what wakes it.
    """

    def __init__(self, app: App, layer: WaitingLayer, hub: Hub) -> None:
        self.app = app
        self.layer = layer
        self.hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.hub.start()
                _before_stopping(asyncio.get_running_loop(), self.layer.release)
            else:
                await self.hub.stop()
                await asyncio.to_thread(flush, 1.0)
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


def _before_stopping(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    """Do `act` on the loop before the server's own answer to a signal.

    The server waits for open requests before it says that it is shutting down, so the requests
    that wait for people must be answered earlier.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        servers_own = signal.getsignal(number)
        if not callable(servers_own):
            continue

        def handle(
            received: int,
            frame: FrameType | None,
            then: Callable[[int, FrameType | None], object] = servers_own,
        ) -> None:
            loop.call_soon_threadsafe(act)
            then(received, frame)

        signal.signal(number, handle)


def _length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:18])
    return 0


def _told(scope: Scope, length: int) -> Scope:
    """The scope with the body's true length, and a query that WSGI can hold."""
    dropped = (b"content-length", b"transfer-encoding")
    headers = [pair for pair in scope["headers"] if pair[0] not in dropped]
    if length or scope["method"] not in ("GET", "HEAD"):
        headers.append((b"content-length", str(length).encode()))
    query = b"".join(
        b"%%%02X" % byte if byte > 126 else bytes([byte]) for byte in scope["query_string"]
    )
    return {**scope, "headers": headers, "query_string": query}


def _replay(body: bytes) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
    headers.append((b"content-length", str(len(_TOO_SLOW)).encode()))
    await send({"type": "http.response.start", "status": 408, "headers": headers})
    await send({"type": "http.response.body", "body": _TOO_SLOW, "more_body": False})


def _pending_among(topics: list[str]) -> set[str]:
    """Of tasks, those that are pending; asked in a thread whose connection nobody else looks after.

    Raises:
        DatabaseError: the database is away.
    """
    from tasks_app.services.access import pending_among  # once Django stands

    close_old_connections()
    return set(map(str, pending_among(map(UUID, topics))))


def build() -> App:
    """Put the web process together, by the settings and ASSENT_THREADS (threads for Django)."""
    threads = int(os.environ.get("ASSENT_THREADS") or THREADS)
    django = WSGIMiddleware(cast(WSGIApp, get_wsgi_application()), workers=threads)
    hub = hub_for(connection.settings_dict, getattr(settings, "ASSENT_LISTEN_URL", ""))
    layer = WaitingLayer(
        Intake(cast(App, django)),
        hub,
        together=2 * threads,
        still_pending=StillPending(_pending_among),
    )
    return Lifespan(layer, layer, hub)


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = build()
