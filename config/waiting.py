"""Holds a GET until what it asks about is no longer pending: `?wait=SECONDS`.

The layer subscribes, lets the ordinary view answer, and, while that answer says that it is
pending, holds the request and asks the view again when woken: one representation, one check of
rights. A held request costs one small coroutine, no thread and no database connection.
"""

import asyncio
import math
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Protocol
from urllib.parse import parse_qsl

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

REASK_SECRET = secrets.token_urlsafe(32)
"""What `HTTP_X_ASSENT_REASK` equals when the layer asks again; new in every process."""

REASK_HEADER = b"x-assent-reask"
PENDING_HEADER = b"x-assent-pending"
LONGEST_WAIT = 60.0
MOST_WAITERS = 5_000

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DECIMAL = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})", re.ASCII)


class Subscribed(Protocol):
    """What a hub hands out: an event that is set when the topic was woken."""

    event: asyncio.Event


class Wakes(Protocol):
    """The part of a hub that waiting needs."""

    def subscribe(self, topic: str) -> AbstractAsyncContextManager[Subscribed]:
        """Listen to a topic while the context is open."""


class WaitingLayer:
    """ASGI middleware that answers `GET /api/v1/...?wait=SECONDS` when there is news.

    The inner application marks an answer that may still change with `X-Assent-Pending: 1`. The
    mark never leaves the layer, and neither it nor the mark of a repeated question can be set by
    a client.

    Args:
        app: the inner application.
        hub: where topics are woken; a topic is the last UUID of the path.
        limit: how many requests are held at once; those beyond are answered at once.
    """

    def __init__(self, app: App, hub: Wakes, *, limit: int = MOST_WAITERS) -> None:
        self.app = app
        self.hub = hub
        self.limit = limit
        self._open = 0
        self._held: set[asyncio.Event] = set()
        self._closing = False

    @property
    def waiters(self) -> int:
        """How many waiting requests are open now."""
        return self._open

    def release(self) -> None:
        """Answer every held request with the present state, and hold no more: we are stopping."""
        self._closing = True
        for event in self._held:
            event.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope = _without_forgeries(scope)
        wish = _wish(scope)
        if wish is None or self._closing or self._open >= self.limit:
            await self.app(scope, receive, _without_mark(send))
            return
        self._open += 1
        try:
            answer = await self._wait(_without_body(scope), receive, *wish)
        finally:
            self._open -= 1
        for message in answer.messages if answer else ():
            await send(message)

    async def _wait(
        self, scope: Scope, receive: Receive, topic: str, seconds: float
    ) -> "_Answer | None":
        """The answer to give, or None when the client has gone."""
        over = asyncio.get_running_loop().time() + seconds
        gone = asyncio.create_task(_disconnected(receive))
        try:
            async with self.hub.subscribe(topic) as subscription:
                event = subscription.event
                gone.add_done_callback(lambda _: event.set())
                self._held.add(event)
                try:
                    return await self._until_settled(scope, event, gone, over)
                finally:
                    self._held.discard(event)
        finally:
            gone.cancel()

    async def _until_settled(
        self, scope: Scope, event: asyncio.Event, gone: "asyncio.Task[None]", over: float
    ) -> "_Answer | None":
        clock = asyncio.get_running_loop().time
        while not gone.done():
            # Cleared before asking: what is woken while the view answers leads to a new question.
            event.clear()
            answer = await _ask(self.app, scope)
            if not answer.pending or clock() >= over or self._closing:
                return None if gone.done() else answer
            scope = _as_reask(scope)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(over):
                    await event.wait()
        return None


class _Answer:
    """The inner application's answer, kept until it may be given."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.pending = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", []))
            self.pending = any(
                name.lower() == PENDING_HEADER and value == b"1" for name, value in headers
            )
            message = {**message, "headers": _unmarked(headers)}
        self.messages.append(message)


async def _ask(app: App, scope: Scope) -> _Answer:
    answer = _Answer()
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if asked:
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    # A copy, because an application may write into its scope.
    await app(dict(scope), receive, answer.send)
    return answer


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _wish(scope: Scope) -> tuple[str, float] | None:
    """Topic and seconds; None when this request is not to be held, or its wish is malformed."""
    if scope["method"] != "GET" or not scope["path"].startswith("/api/v1/"):
        return None
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    wishes = [value for name, value in query if name == "wait"]
    topics = _UUID.findall(scope["path"])
    if len(wishes) != 1 or not topics or not _DECIMAL.fullmatch(wishes[0]):
        return None
    seconds = float(wishes[0])
    if not (math.isfinite(seconds) and 0 < seconds <= LONGEST_WAIT):
        return None
    return topics[-1].lower(), seconds


def _without_forgeries(scope: Scope) -> Scope:
    """Drop what would reach a WSGI application under the name of a header of ours.

    There `_` and `-` are the same, so a name with an underscore can imitate any other.
    """
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if b"_" not in name and name.lower() not in (REASK_HEADER, PENDING_HEADER)
    ]
    return {**scope, "headers": headers}


def _without_body(scope: Scope) -> Scope:
    """A waiting request is asked anew, so the body that a GET might have is left out."""
    dropped = (b"content-length", b"transfer-encoding")
    return {**scope, "headers": [pair for pair in scope["headers"] if pair[0] not in dropped]}


def _as_reask(scope: Scope) -> Scope:
    headers = [pair for pair in scope["headers"] if pair[0] != REASK_HEADER]
    return {**scope, "headers": [*headers, (REASK_HEADER, REASK_SECRET.encode())]}


def _unmarked(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [pair for pair in headers if pair[0].lower() != PENDING_HEADER]


def _without_mark(send: Send) -> Send:
    async def forward(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": _unmarked(list(message.get("headers", [])))}
        await send(message)

    return forward
