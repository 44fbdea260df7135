"""Sessions and runs: what a `with` block opens, it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, TypeVar

from assent_client._async.calls import AsyncToolCall
from assent_client._async.tasks import AsyncTask, AsyncTasks, pages
from assent_client._async.wire import AsyncWire
from assent_client.bodies import present
from assent_client.errors import AssentError, StillWaiting, Unreachable
from assent_client.shown import CallInfo, CallResult, Message

_current: ContextVar[AsyncRun | None] = ContextVar("assent_run", default=None)
S = TypeVar("S", bound="_Opened")


def current_run() -> AsyncRun | None:
    """The run whose `with` block this code is in."""
    return _current.get()


class _Opened:
    """What sessions and runs share.

    Args:
        wire: the way to the server.
        path: `sessions` or `runs`.
        identity: the id of one that exists.
        body: what to open it with.
    """

    def __init__(
        self, wire: AsyncWire, path: str, identity: str | None, body: Mapping[str, Any] | None
    ) -> None:
        self._wire = wire
        self._path = path
        self._id = identity
        self._body = body
        self._ended = False

    def __repr__(self) -> str:
        return f"<{self._path[:-1].title()} {self._id or 'not opened'}>"

    @property
    def id(self) -> str:
        """Its id.

        Raises:
            RuntimeError: it is not opened yet.
        """
        if self._id is None:
            raise RuntimeError("Open it first: with a `with` block, or with `open()`.")
        return self._id

    @property
    def key(self) -> str | None:
        """The key that finds it again after a restart."""
        return None if self._body is None else self._body.get("key")

    async def open(self: S) -> S:
        """Open it, or find the one that its key opened before; it ends only when told to."""
        if self._body is not None and self._id is None:
            shown = await self._wire.post(self._path, self._body)
            self._id = str(shown["id"])
            self._ended = shown["ended_at"] is not None
        return self

    async def info(self) -> dict[str, Any]:
        """It as the HTTP contract shows it."""
        shown: dict[str, Any] = await self._wire.get(f"{self._path}/{self.id}")
        return shown

    async def _end(self, verb: str, body: Mapping[str, Any]) -> None:
        await self._wire.end(
            f"{self._path}/{self.id}/{verb}", body, done=f"{self._path[:-1]}_ended"
        )
        self._ended = True

    def _ends_here(self) -> bool:
        """Whether a `with` block has to end it: it opened it, and nobody has ended it."""
        return self._body is not None and not self._ended

    def _is_left_open(self, error: BaseException) -> bool:
        """Whether this only interrupts: the next start of the process finds it by its key."""
        interrupts = isinstance(error, (StillWaiting, Unreachable)) or not isinstance(
            error, Exception
        )
        return interrupts and self.key is not None


class AsyncSession(_Opened):
    """One conversation or job of an agent.

    As a context manager it opens the session and ends it; an exception terminates it, and with it
    the runs that are still open. What only interrupts (Ctrl-C, cancellation, `StillWaiting`,
    `Unreachable`) leaves a session with a key open, to be found by the next start.
    """

    def __init__(
        self,
        wire: AsyncWire,
        *,
        session_id: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(wire, "sessions", session_id, body)

    async def __aenter__(self) -> AsyncSession:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._ends_here():
            return
        if error is None:
            await self.end()
        elif not self._is_left_open(error):
            with suppress(AssentError):
                await self.terminate(describe(error))

    async def end(self) -> None:
        """End it, and the runs in it."""
        await self._end("end", {})

    async def terminate(self, reason: str) -> None:
        """Stop it, and the runs in it; what waits for people is dropped."""
        await self._end("terminate", {"reason": reason})

    def open_run(
        self,
        *,
        key: str | None = None,
        agent: str | None = None,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> AsyncRun:
        """A run to be opened by a `with` block, which also ends it, or by `open()`.

        Args:
            key: finds the same run again after a restart.
            agent: a sub-agent; the session's own where left out.
            title: for people.
            metadata: any JSON object.
        """
        body = present(session=self.id, key=key, agent=agent, title=title, metadata=metadata)
        return AsyncRun(self._wire, body=body)

    async def last_task(self, scope: str = "") -> AsyncTask | None:
        """The task of the newest message in this scope that is linked to one (the hint)."""
        shown = await self._wire.get(f"sessions/{self.id}/last-task", {"scope": scope})
        return None if shown["task"] is None else AsyncTask(self._wire, _id_of(shown["task"]))

    async def pending_tasks(self, scope: str = "") -> list[AsyncTask]:
        """Every pending task that a message in this scope is linked to."""
        shown = await self._wire.get(f"sessions/{self.id}/last-task", {"scope": scope})
        return [AsyncTask(self._wire, _id_of(item)) for item in shown["pending"]]


class AsyncRun(_Opened):
    """One execution in a session.

    As a context manager it opens the run and completes it; an exception fails it with the error.
    What only interrupts leaves a run with a key open, as with sessions.
    """

    def __init__(
        self,
        wire: AsyncWire,
        *,
        run_id: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(wire, "runs", run_id, body)
        self._tokens: list[Token[AsyncRun | None]] = []

    async def __aenter__(self) -> AsyncRun:
        await self.open()
        self._tokens.append(_current.set(self))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _current.reset(self._tokens.pop())
        if not self._ends_here():
            return
        if error is None:
            await self.complete()
        elif not self._is_left_open(error):
            with suppress(AssentError):
                await self.fail(describe(error))

    @property
    def tasks(self) -> AsyncTasks:
        """Asking people, in this run."""
        return AsyncTasks(self._wire, self.id)

    async def complete(self, output: Any = None) -> None:
        """End it well; what it still waits for is dropped."""
        await self._end("complete", {} if output is None else {"output": output})

    async def fail(self, error: Any) -> None:
        """End it with an error."""
        await self._end("fail", {"error": error})

    async def terminate(self, reason: str) -> None:
        """Stop it."""
        await self._end("terminate", {"reason": reason})

    async def open_child(
        self,
        agent: str,
        *,
        key: str | None = None,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> AsyncRun:
        """The run of a sub-agent, to be opened by a `with` block; it goes when this one ends."""
        session = (await self.info())["session"]
        body = present(session=session, parent_run=self.id, agent=agent, key=key)
        return AsyncRun(self._wire, body=body | present(title=title, metadata=metadata))

    async def start_call(
        self,
        operation: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        reason: str | None = None,
    ) -> AsyncToolCall:
        """Ask for an operation, and go on.

        Args:
            operation: `integration.operation`.
            arguments: what its schema asks for.
            key: finds the same call again, for ever; with it the call is never made twice.
            reason: what the agent says about it, shown to the person who decides.
        """
        return AsyncToolCall(
            self._wire, (await self.ask_for(operation, arguments or {}, key, reason)).id
        )

    async def call(
        self,
        operation: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        reason: str | None = None,
        timeout: float | None = None,
        on_waiting: Callable[[CallInfo], object] | None = None,
    ) -> CallResult:
        """Ask for an operation and wait, through approval, for what came of it.

        Args:
            operation: `integration.operation`.
            arguments: what its schema asks for.
            key: finds the same call again, for ever; with it the call is never made twice.
            reason: what the agent says about it, shown to the person who decides.
            timeout: seconds that this process waits; None waits for ever.
            on_waiting: called once if the call waits for a person; it has the `url`.

        Raises:
            Rejected, TimedOut, Blocked, Cancelled: it was not performed.
            Failed: it was, and went wrong.
            OutcomeUnknown: nobody can say whether it happened.
            StillWaiting: `timeout` is over; the call goes on, and its key finds it.
        """
        info = await self.ask_for(operation, arguments or {}, key, reason)
        if on_waiting is not None and info.waits_for_person:
            on_waiting(info)
        return await AsyncToolCall(self._wire, info.id).result(timeout)

    async def ask_for(
        self, operation: str, arguments: Mapping[str, Any], key: str | None, reason: str | None
    ) -> CallInfo:
        """Ask for an operation; the call as it stands at once."""
        body = {"run": self.id, "operation": operation, "arguments": dict(arguments)}
        return CallInfo.read(
            await self._wire.post("tool-calls", body | present(key=key, reason=reason))
        )

    async def message(
        self,
        text: str,
        *,
        role: str = "agent",
        scope: str = "",
        task: AsyncTask | str | None = None,
    ) -> Message:
        """Add a line to the conversation.

        Args:
            text: the line.
            role: user, agent or system.
            scope: the topic; `last_task` looks in one.
            task: the user task that the line is about (the hint).
        """
        linked = task.id if isinstance(task, AsyncTask) else task
        body = {"role": role, "text": text, "scope": scope} | present(task=linked)
        return Message.read(await self._wire.post(f"runs/{self.id}/messages", body))

    async def messages(self) -> AsyncIterator[Message]:
        """The conversation."""
        async for shown in pages(self._wire, f"runs/{self.id}/messages", {}):
            yield Message.read(shown)

    async def timeline(self) -> AsyncIterator[dict[str, Any]]:
        """Messages, calls, tasks and their events, in order."""
        async for shown in pages(self._wire, f"runs/{self.id}/timeline", {}):
            yield shown

    async def input(
        self,
        *,
        text: str | None = None,
        task: AsyncTask | str | None = None,
        action: str | None = None,
        value: Any = None,
        comment: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Answer the pending task of the run, with a key that has the scope `decide`.

        `text` alone answers a pending text task and nothing else; where none is pending, it is
        kept as a message of the user and decides nothing.
        """
        linked = task.id if isinstance(task, AsyncTask) else task
        body = present(
            text=text, task=linked, action=action, value=value, comment=comment, metadata=metadata
        )
        shown: dict[str, Any] = await self._wire.post(f"runs/{self.id}/input", body)
        return shown


def describe(error: BaseException) -> str:
    """An exception in one line."""
    text = str(error)
    name = type(error).__name__
    return f"{name}: {text}"[:2000] if text else name


def _id_of(task: Any) -> str:
    """The id of a task that is shown as its id or as the whole object."""
    return str(task["id"]) if isinstance(task, Mapping) else str(task)
