# Generated from _async/sessions.py by generate_sync.py; edit that instead.
"""Sessions and runs: what a `with` block opens, it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, TypeVar

from assent_client._sync.calls import ToolCall
from assent_client._sync.tasks import Task, Tasks, pages
from assent_client._sync.wire import Wire
from assent_client.bodies import present
from assent_client.errors import AssentError, StillWaiting, Unreachable
from assent_client.shown import CallInfo, CallResult, Message

_current: ContextVar[Run | None] = ContextVar("assent_run", default=None)
S = TypeVar("S", bound="_Opened")


def current_run() -> Run | None:
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
        self, wire: Wire, path: str, identity: str | None, body: Mapping[str, Any] | None
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

    def open(self: S) -> S:
        """Open it, or find the one that its key opened before; it ends only when told to."""
        if self._body is not None and self._id is None:
            shown = self._wire.post(self._path, self._body)
            self._id = str(shown["id"])
            self._ended = shown["ended_at"] is not None
        return self

    def info(self) -> dict[str, Any]:
        """It as the HTTP contract shows it."""
        shown: dict[str, Any] = self._wire.get(f"{self._path}/{self.id}")
        return shown

    def _end(self, verb: str, body: Mapping[str, Any]) -> None:
        self._wire.end(f"{self._path}/{self.id}/{verb}", body, done=f"{self._path[:-1]}_ended")
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


class Session(_Opened):
    """One conversation or job of an agent.

    As a context manager it opens the session and ends it; an exception terminates it, and with it
    the runs that are still open. What only interrupts (Ctrl-C, cancellation, `StillWaiting`,
    `Unreachable`) leaves a session with a key open, to be found by the next start.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        session_id: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(wire, "sessions", session_id, body)

    def __enter__(self) -> Session:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._ends_here():
            return
        if error is None:
            self.end()
        elif not self._is_left_open(error):
            with suppress(AssentError):
                self.terminate(describe(error))

    def end(self) -> None:
        """End it, and the runs in it."""
        self._end("end", {})

    def terminate(self, reason: str) -> None:
        """Stop it, and the runs in it; what waits for people is dropped."""
        self._end("terminate", {"reason": reason})

    def open_run(
        self,
        *,
        key: str | None = None,
        agent: str | None = None,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Run:
        """A run to be opened by a `with` block, which also ends it, or by `open()`.

        Args:
            key: finds the same run again after a restart.
            agent: a sub-agent; the session's own where left out.
            title: for people.
            metadata: any JSON object.
        """
        body = present(session=self.id, key=key, agent=agent, title=title, metadata=metadata)
        return Run(self._wire, body=body)

    def last_task(self, scope: str = "") -> Task | None:
        """The task of the newest message in this scope that is linked to one (the hint)."""
        shown = self._wire.get(f"sessions/{self.id}/last-task", {"scope": scope})
        return None if shown["task"] is None else Task(self._wire, _id_of(shown["task"]))

    def pending_tasks(self, scope: str = "") -> list[Task]:
        """Every pending task that a message in this scope is linked to."""
        shown = self._wire.get(f"sessions/{self.id}/last-task", {"scope": scope})
        return [Task(self._wire, _id_of(item)) for item in shown["pending"]]


class Run(_Opened):
    """One execution in a session.

    As a context manager it opens the run and completes it; an exception fails it with the error.
    What only interrupts leaves a run with a key open, as with sessions.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        run_id: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(wire, "runs", run_id, body)
        self._tokens: list[Token[Run | None]] = []

    def __enter__(self) -> Run:
        self.open()
        self._tokens.append(_current.set(self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _current.reset(self._tokens.pop())
        if not self._ends_here():
            return
        if error is None:
            self.complete()
        elif not self._is_left_open(error):
            with suppress(AssentError):
                self.fail(describe(error))

    @property
    def tasks(self) -> Tasks:
        """Asking people, in this run."""
        return Tasks(self._wire, self.id)

    def complete(self, output: Any = None) -> None:
        """End it well; what it still waits for is dropped."""
        self._end("complete", {} if output is None else {"output": output})

    def fail(self, error: Any) -> None:
        """End it with an error."""
        self._end("fail", {"error": error})

    def terminate(self, reason: str) -> None:
        """Stop it."""
        self._end("terminate", {"reason": reason})

    def open_child(
        self,
        agent: str,
        *,
        key: str | None = None,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Run:
        """The run of a sub-agent, to be opened by a `with` block; it goes when this one ends."""
        session = (self.info())["session"]
        body = present(session=session, parent_run=self.id, agent=agent, key=key)
        return Run(self._wire, body=body | present(title=title, metadata=metadata))

    def start_call(
        self,
        operation: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        reason: str | None = None,
    ) -> ToolCall:
        """Ask for an operation, and go on.

        Args:
            operation: `integration.operation`.
            arguments: what its schema asks for.
            key: finds the same call again, for ever; with it the call is never made twice.
            reason: what the agent says about it, shown to the person who decides.
        """
        return ToolCall(self._wire, (self.ask_for(operation, arguments or {}, key, reason)).id)

    def call(
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
        info = self.ask_for(operation, arguments or {}, key, reason)
        if on_waiting is not None and info.waits_for_person:
            on_waiting(info)
        return ToolCall(self._wire, info.id).result(timeout)

    def ask_for(
        self, operation: str, arguments: Mapping[str, Any], key: str | None, reason: str | None
    ) -> CallInfo:
        """Ask for an operation; the call as it stands at once."""
        body = {"run": self.id, "operation": operation, "arguments": dict(arguments)}
        return CallInfo.read(self._wire.post("tool-calls", body | present(key=key, reason=reason)))

    def message(
        self,
        text: str,
        *,
        role: str = "agent",
        scope: str = "",
        task: Task | str | None = None,
    ) -> Message:
        """Add a line to the conversation.

        Args:
            text: the line.
            role: user, agent or system.
            scope: the topic; `last_task` looks in one.
            task: the user task that the line is about (the hint).
        """
        linked = task.id if isinstance(task, Task) else task
        body = {"role": role, "text": text, "scope": scope} | present(task=linked)
        return Message.read(self._wire.post(f"runs/{self.id}/messages", body))

    def messages(self) -> Iterator[Message]:
        """The conversation."""
        for shown in pages(self._wire, f"runs/{self.id}/messages", {}):
            yield Message.read(shown)

    def timeline(self) -> Iterator[dict[str, Any]]:
        """Messages, calls, tasks and their events, in order."""
        yield from pages(self._wire, f"runs/{self.id}/timeline", {})

    def input(
        self,
        *,
        text: str | None = None,
        task: Task | str | None = None,
        action: str | None = None,
        value: Any = None,
        comment: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Answer the pending task of the run, with a key that has the scope `decide`.

        `text` alone answers a pending text task and nothing else; where none is pending, it is
        kept as a message of the user and decides nothing.
        """
        linked = task.id if isinstance(task, Task) else task
        body = present(
            text=text, task=linked, action=action, value=value, comment=comment, metadata=metadata
        )
        shown: dict[str, Any] = self._wire.post(f"runs/{self.id}/input", body)
        return shown


def describe(error: BaseException) -> str:
    """An exception in one line."""
    text = str(error)
    name = type(error).__name__
    return f"{name}: {text}"[:2000] if text else name


def _id_of(task: Any) -> str:
    """The id of a task that is shown as its id or as the whole object."""
    return str(task["id"]) if isinstance(task, Mapping) else str(task)
