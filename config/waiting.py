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
from contextlib import AbstractContextManager
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
BODY_HEADERS = (b"content-length", b"transfer-encoding")
LONGEST_WAIT = 60.0
MOST_WAITERS = 10_000

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DECIMAL = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})", re.ASCII)


class Wakes(Protocol):
    """The part of a hub that waiting needs."""

    def subscribe(self, topic: str, wake: Callable[[], None]) -> AbstractContextManager[object]:
        """Have `wake` called whenever the topic is woken, while the context is open."""


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
        self._held: set[_Waiter] = set()
        self._closing = False

    @property
    def waiters(self) -> int:
        """How many waiting requests are open now."""
        return self._open

    def release(self) -> None:
        """Answer every held request with the present state, and hold no more: we are stopping."""
        self._closing = True
        for waiter in self._held:
            waiter.wake()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        wish = _wish(scope)
        if wish is None or self._closing or self._open >= self.limit:
            await self.app(_inside(scope), receive, _without_mark(send))
            return
        self._open += 1
        try:
            answer = await self._hold(_inside(scope, held=True), receive, *wish)
        finally:
            self._open -= 1
        for message in answer.messages if answer else ():
            await send(message)

    async def _hold(
        self, scope: Scope, receive: Receive, topic: str, seconds: float
    ) -> "_Answer | None":
        """The answer to give, or None when the client has gone."""
        clock = asyncio.get_running_loop().time
        over = clock() + seconds
        waiter = _Waiter()
        self._held.add(waiter)
        try:
            with self.hub.subscribe(topic, waiter.wake):
                while True:
                    # Before asking: what is woken while the view answers leads to a new question.
                    waiter.woken = False
                    answer = await _ask(self.app, scope)
                    if not answer.pending or clock() >= over or self._closing:
                        return answer
                    # Thousands may be held for a minute, each with what it still refers to.
                    del answer
                    if await waiter.sees_client_go(receive, over):
                        return None
                    scope = _as_reask(scope)
        finally:
            self._held.discard(waiter)


class _Waiter:
    """One held request: its client is listened to until that goes, news comes or time is up.

    One task does it all. A second one for the client, and an event for the news, would double what
    a held request takes.
    """

    __slots__ = ("_listening", "woken")

    def __init__(self) -> None:
        self.woken = False
        self._listening: asyncio.Timeout | None = None

    def wake(self) -> None:
        self.woken = True
        if self._listening is not None and not self._listening.expired():
            self._listening.reschedule(0)

    async def sees_client_go(self, receive: Receive, over: float) -> bool:
        """Listen to the client until `over`, on the loop's clock, or until woken."""
        try:
            async with asyncio.timeout_at(0 if self.woken else over) as self._listening:
                while (await receive())["type"] != "http.disconnect":
                    pass
                return True
        except TimeoutError:
            return False
        finally:
            self._listening = None


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


def _inside(scope: Scope, *, held: bool = False) -> Scope:
    """The scope for the inner application.

    Without what would reach a WSGI application under the name of a header of ours: there `_` and
    `-` are the same, so a name with an underscore can imitate any other. A request that is `held`
    is asked anew, so the body that a GET might have is left out.
    """
    dropped = (REASK_HEADER, PENDING_HEADER, *(BODY_HEADERS if held else ()))
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if b"_" not in name and name.lower() not in dropped
    ]
    return {**scope, "headers": headers}


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
