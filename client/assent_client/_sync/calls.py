# Generated from _async/calls.py by generate_sync.py; edit that instead.
"""Tool calls: a handle, and the wait through approval to the result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from assent_client._sync.wire import Wire
from assent_client.errors import (
    AlreadyFinished,
    ApiError,
    Blocked,
    CallNotDone,
    Cancelled,
    Failed,
    OutcomeUnknown,
    Rejected,
    TimedOut,
    Unreachable,
)
from assent_client.shown import ENDS, CallInfo, CallResult, TaskInfo

UNDECIDED = ("received", "awaiting_review", "awaiting_approval")
ERRORS: dict[str, type[CallNotDone]] = {
    "rejected": Rejected,
    "timed_out": TimedOut,
    "blocked": Blocked,
    "cancelled": Cancelled,
    "failed": Failed,
    "unknown": OutcomeUnknown,
}


class ToolCall:
    """One tool call, known by its id."""

    def __init__(self, wire: Wire, call_id: str) -> None:
        self._wire = wire
        self.id = call_id

    def __repr__(self) -> str:
        return f"<ToolCall {self.id}>"

    def info(self) -> CallInfo:
        """The call as it is now."""
        return CallInfo.read(self._wire.get(f"tool-calls/{self.id}"))

    def result(self, timeout: float | None = None) -> CallResult:
        """Wait through approval and execution, through restarts of either side.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            Rejected, TimedOut, Blocked, Cancelled: it was not performed.
            Failed: it was, and went wrong.
            OutcomeUnknown: nobody can say whether it happened.
            StillWaiting: it has no end yet.
        """
        shown = self._wire.wait(f"tool-calls/{self.id}", _is_over, timeout)
        return self._come_to(CallInfo.read(shown))

    def settled(self, timeout: float | None = None) -> CallResult:
        """Like `result`, and waits on while the outcome is unknown, until a person settles it."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            shown = self._wire.wait(f"tool-calls/{self.id}", _is_over, left)
            if shown["status"] != "unknown" or shown["task"] is None:
                return self._come_to(CallInfo.read(shown))
            left = None if until is None else max(0.0, until - time.monotonic())
            self._wire.wait(f"tasks/{shown['task']}", _is_decided, left)

    def cancel(self, reason: str = "") -> CallInfo:
        """Withdraw it, if nothing was sent.

        Raises:
            AlreadyExecuting, AlreadyFinished: too late.
        """
        path = f"tool-calls/{self.id}/cancel"
        shown = self._wire.end(path, {"reason": reason}, done="already_finished")
        return CallInfo.read(shown) if shown is not None else self.info()

    def report(self, output: Any) -> CallInfo:
        """Say what came of a call that this agent runs itself."""
        return self._report({"output": output})

    def report_error(self, detail: str) -> CallInfo:
        """Say what went wrong in a call that this agent runs itself."""
        return self._report({"error": detail[:10_000]})

    def _report(self, body: Mapping[str, Any]) -> CallInfo:
        path = f"tool-calls/{self.id}/result"
        shown = self._wire.end(path, body, done="already_finished")
        return CallInfo.read(shown) if shown is not None else self.info()

    def decided(self, timeout: float | None = None) -> CallInfo:
        """Wait until the call is allowed or over.

        For operations that the agent runs itself: an allowed call of theirs is `executing`, which
        is no end, so the wait is for the task that holds it up.
        """
        until = None if timeout is None else time.monotonic() + timeout
        info = self.info()
        while info.status in UNDECIDED:
            left = None if until is None else max(0.0, until - time.monotonic())
            if info.task is not None:
                self._wire.wait(f"tasks/{info.task}", _is_decided, left)
            else:
                self._wire.wait(f"tool-calls/{self.id}", _is_past_deciding, left)
            info = self.info()
        return info

    def _come_to(self, info: CallInfo) -> CallResult:
        if info.status == "succeeded":
            return info.result or CallResult(None, {}, None)
        raise self.not_done(info)

    def not_done(self, info: CallInfo) -> CallNotDone:
        """The error for a call that ended without success, with what the person said."""
        kind = ERRORS.get(info.status, CallNotDone)
        task = None
        if info.task is not None and info.status not in ("failed", "unknown"):
            try:
                task = TaskInfo.read(self._wire.get(f"tasks/{info.task}"))
            except (ApiError, Unreachable):
                task = None
        if task is None:
            return kind(info)
        return kind(info, comment=task.comment, decided_by=task.decided_by)


def finish(call: ToolCall, report: Mapping[str, Any]) -> None:
    """Report, where somebody may have settled the call in the meantime."""
    try:
        call._report(report)
    except AlreadyFinished:
        return


def _is_over(shown: Mapping[str, Any]) -> bool:
    return shown["status"] in ENDS


def _is_decided(shown: Mapping[str, Any]) -> bool:
    return bool(shown["status"] != "pending")


def _is_past_deciding(shown: Mapping[str, Any]) -> bool:
    return shown["status"] not in UNDECIDED
