"""Holds a GET until what it asks about is no longer pending: `?wait=SECONDS`.

The layer subscribes, lets the ordinary view answer, and, while that answer says that it is
pending, holds the request and asks the view again when woken: one representation, one check of
rights. A held request costs one small coroutine, no thread and no database connection.

When the time is over and no news came, an answer of which the view said that it stays the same is
given as it was, once the rows say that the thing is still pending: thousands of agents whose time
is over at once cost one statement, not a view for each.
"""

import asyncio
import math
import re
import secrets
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import parse_qsl

import structlog

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
TOGETHER = 16
TICK_SECONDS = 0.02
"""A wait may last so much longer, for the sake of one timer for all."""

log = structlog.get_logger(__name__)

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DECIMAL = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})", re.ASCII)


class Wakes(Protocol):
    """The part of a hub that waiting needs."""

    def subscribe(self, topic: str, wake: Callable[[], None]) -> AbstractContextManager[object]:
        """Have `wake` called whenever the topic is woken, while the context is open."""


class StillPending:
    """Asks for many waiters at once whether what they wait for is still pending.

    Args:
        look: of topics, those that are; called in a thread, one call at a time. Where it fails,
            none counts as pending, so that the view is asked.
    """

    def __init__(self, look: Callable[[list[str]], Collection[str]]) -> None:
        self.look = look
        self._asked: dict[str, asyncio.Future[bool]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def __call__(self, topic: str) -> bool:
        asked = self._asked.get(topic)
        if asked is None:
            asked = self._asked[topic] = asyncio.get_running_loop().create_future()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        # Several may wait for one answer, and one who leaves must not take it from the others.
        return await asyncio.shield(asked)

    async def _look(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, {}
            try:
                pending = await asyncio.to_thread(self.look, list(asked))
            except Exception:
                log.exception("waiting_look_failed")
                pending = ()
            for topic, future in asked.items():
                future.set_result(topic in pending)


async def _never(topic: str) -> bool:
    return False


class WaitingLayer:
    """ASGI middleware that answers `GET /api/v1/...?wait=SECONDS` when there is news.

    The inner application marks an answer that may still change with `X-Assent-Pending: 1`, and with
    `same` where it stays as it is for as long as the thing is pending and no news comes. The
    mark never leaves the layer, and neither it nor the mark of a repeated question can be set by
    a client.

    Args:
        app: the inner application.
        hub: where topics are woken; a topic is the last UUID of the path.
        limit: how many requests are held at once; those beyond are answered at once.
        together: how many of them are asked for at once; the others wait where it costs little, so
            that ten thousand who are woken at once do not queue in the inner application. As many
            more where there is news, which waits for none of those who merely come or end.
        still_pending: whether the thing of a topic is; without it the view is asked.
    """

    def __init__(
        self,
        app: App,
        hub: Wakes,
        *,
        limit: int = MOST_WAITERS,
        together: int = TOGETHER,
        still_pending: Callable[[str], Awaitable[bool]] = _never,
    ) -> None:
        self.app = app
        self.hub = hub
        self.limit = limit
        self.still_pending = still_pending
        self._turns = asyncio.Semaphore(together)
        self._turns_of_news = asyncio.Semaphore(together)
        self._open = 0
        self._held = _Held()
        self._closing = False

    @property
    def waiters(self) -> int:
        """How many waiting requests are open now."""
        return self._open

    def release(self) -> None:
        """Answer every held request with the present state, and hold no more: we are stopping."""
        self._closing = True
        self._held.wake_all()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on or hold; no coroutine of its own, which each held request would keep."""
        if scope["type"] != "http":
            return self.app(scope, receive, send)
        wish = _wish(scope)
        if wish is None or self._closing or self._open >= self.limit:
            return self.app(_inside(scope), receive, _without_mark(send))
        return self._hold(scope, receive, send, *wish)

    async def _hold(
        self, scope: Scope, receive: Receive, send: Send, topic: str, seconds: float
    ) -> None:
        """Ask until the answer is settled or the time over, and give it unless the client left."""
        waiter = self._held.add(seconds)
        asked, answer, kept = False, None, None
        self._open += 1
        try:
            with self.hub.subscribe(topic, waiter.wake):
                while True:
                    if kept and not waiter.has_news and await self.still_pending(topic):
                        answer = kept.answer()
                        break
                    async with self._turns_of_news if waiter.has_news else self._turns:
                        # Before asking: what is woken while the view answers is asked anew.
                        waiter.woken = waiter.has_news = False
                        answer = await _ask(self.app, _inside(scope, held=True, again=asked))
                    if not answer.pending or waiter.is_over or self._closing:
                        break
                    # Thousands may be held for a minute, each with what it still refers to.
                    asked, kept, answer = True, answer.keep(), None
                    if await waiter.sees_client_go(receive):
                        break
        finally:
            self._held.discard(waiter)
            self._open -= 1
        for message in answer.messages if answer else ():
            await send(message)


class _Waiter:
    """One held request: its client is listened to until that goes, news comes or time is up.

    One task does it all, and is interrupted while it listens. A task for the client, an event for
    the news and a timer for the end would each add a tenth to what a held request takes.

    Args:
        due: the tick at which its time is over.
    """

    __slots__ = ("_task", "due", "has_news", "is_over", "woken")

    def __init__(self, due: int) -> None:
        self.due = due
        self.has_news = self.is_over = self.woken = False
        self._task: asyncio.Task[Any] | None = None

    def wake(self) -> None:
        """Have the view asked anew: there is news."""
        self.has_news = True
        self._interrupt()

    def end(self) -> None:
        """Have an answer given: the time is over."""
        self.is_over = True
        self._interrupt()

    def _interrupt(self) -> None:
        if self._task is not None and not self.woken:
            self._task.cancel()
        self.woken = True

    async def sees_client_go(self, receive: Receive) -> bool:
        """Listen to the client until it goes, or until woken."""
        if self.woken:
            return False
        task = asyncio.current_task()
        assert task is not None  # a server runs each request in one
        others, self._task = task.cancelling(), task
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
            return True
        except asyncio.CancelledError:
            if not self.woken or task.uncancel() > others:
                raise
            return False
        finally:
            self._task = None


class _Held:
    """Those who are held, by when their time is over: one timer for all of them."""

    def __init__(self) -> None:
        self._due: dict[int, set[_Waiter]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, seconds: float) -> _Waiter:
        over = asyncio.get_running_loop().time() + seconds
        waiter = _Waiter(math.ceil(over / TICK_SECONDS))
        self._due.setdefault(waiter.due, set()).add(waiter)
        if self._timer is None or waiter.due * TICK_SECONDS < self._timer.when():
            self._set_timer()
        return waiter

    def discard(self, waiter: _Waiter) -> None:
        others = self._due.get(waiter.due)
        if others is not None:
            others.discard(waiter)
            if not others:
                del self._due[waiter.due]
        if not self._due:
            self._set_timer()

    def wake_all(self) -> None:
        for waiters in self._due.values():
            for waiter in waiters:
                waiter.wake()

    def _set_timer(self) -> None:
        """Set the one timer to the first tick at which somebody's time is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due:
            first = min(self._due) * TICK_SECONDS
            self._timer = asyncio.get_running_loop().call_at(first, self._end_due)

    def _end_due(self) -> None:
        # A timer may come a moment early.
        now = asyncio.get_running_loop().time() + TICK_SECONDS / 2
        for tick in [tick for tick in self._due if tick * TICK_SECONDS <= now]:
            for waiter in self._due.pop(tick):
                waiter.end()
        self._set_timer()


class _Answer:
    """The inner application's answer, kept until it may be given."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.pending = self.stays = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", []))
            marks = [value for name, value in headers if name.lower() == PENDING_HEADER]
            self.stays = b"same" in marks
            self.pending = self.stays or b"1" in marks
            message = {**message, "headers": _unmarked(headers)}
        self.messages.append(message)

    def keep(self) -> "_Kept | None":
        """What is needed to give it later; None where it may have changed by then."""
        return _Kept(self.messages) if self.stays else None


@lru_cache(maxsize=256)
def _shared(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """One header for all who have it."""
    return name, value


class _Kept:
    """An answer in little memory: thousands are kept at once, and most headers are all the same.

    Args:
        messages: of a whole answer.
    """

    __slots__ = ("_body", "_headers", "_status")

    def __init__(self, messages: list[Message]) -> None:
        self._status: int = messages[0]["status"]
        self._headers = tuple(_shared(name, value) for name, value in messages[0]["headers"])
        self._body = b"".join(message.get("body", b"") for message in messages[1:])

    def answer(self) -> _Answer:
        """The answer as it was."""
        headers = list(self._headers)
        start = {"type": "http.response.start", "status": self._status, "headers": headers}
        answer = _Answer()
        answer.messages = [start, {"type": "http.response.body", "body": self._body}]
        return answer


async def _ask(app: App, scope: Scope) -> _Answer:
    answer = _Answer()
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if asked:
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    await app(scope, receive, answer.send)
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


def _inside(scope: Scope, *, held: bool = False, again: bool = False) -> Scope:
    """The scope for the inner application, made anew for each question: kept by no held request.

    Without what would reach a WSGI application under the name of a header of ours: there `_` and
    `-` are the same, so a name with an underscore can imitate any other. A request that is `held`
    is asked anew, so the body that a GET might have is left out. Asked `again`, it says so.
    """
    dropped = (REASK_HEADER, PENDING_HEADER, *(BODY_HEADERS if held else ()))
    headers = [
        pair for pair in scope["headers"] if b"_" not in pair[0] and pair[0].lower() not in dropped
    ]
    if again:
        headers.append((REASK_HEADER, REASK_SECRET.encode()))
    return {**scope, "headers": headers}


def _unmarked(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [pair for pair in headers if pair[0].lower() != PENDING_HEADER]


def _without_mark(send: Send) -> Send:
    async def forward(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": _unmarked(list(message.get("headers", [])))}
        await send(message)

    return forward
