"""`@requires_approval`: a function of this process that runs only after it was allowed."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

from assent_client._async.calls import AsyncToolCall
from assent_client._async.sessions import AsyncRun, current_run, describe
from assent_client._async.wire import AsyncWire
from assent_client.bodies import present
from assent_client.errors import (
    AlreadyFinished,
    AssentError,
    IdempotencyMismatch,
    OutcomeUnknown,
    StillWaiting,
    Unreachable,
    Unreported,
)
from assent_client.shown import CallInfo

P = ParamSpec("P")
R = TypeVar("R")
OTHER_PROCESS_SECONDS = 10.0
"""How long a process waits for the report of another one that runs the same call."""


@dataclass(frozen=True)
class Terms:
    """How a function is gated; see `requires_approval`."""

    operation: str
    key: str | Callable[..., str] | None
    reason: str | Callable[..., str] | None
    timeout: float | None
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    on_waiting: Callable[[CallInfo], object] | None


class AsyncGated(Generic[P, R]):
    """A gated function: call it as before, in the `with` block of a run."""

    def __init__(self, function: Callable[P, Awaitable[R]], terms: Terms) -> None:
        _check_function(function)
        functools.update_wrapper(self, function)
        self._function = function
        self._terms = terms
        self._signature = inspect.signature(function)
        self._effect: str | None = None

    @property
    def operation(self) -> str:
        """The operation whose call lets it run."""
        return self._terms.operation

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        run = current_run()
        if run is None:
            raise RuntimeError(
                "Call it in the `with` block of a run, or on one: function.on(run)(…)."
            )
        return await self._through(run, self._terms.key, *args, **kwargs)

    def on(self, run: AsyncRun, *, key: str | None = None) -> Callable[P, Awaitable[R]]:
        """The function in this run; in threads and callbacks there is no `with` block around it.

        Args:
            run: the run that asks.
            key: the key of this one call.
        """

        async def act(*args: P.args, **kwargs: P.kwargs) -> R:
            return await self._through(run, key or self._terms.key, *args, **kwargs)

        return act

    async def _through(
        self,
        run: AsyncRun,
        key: str | Callable[..., str] | None,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        terms = self._terms
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = dict(bound.arguments)
        effect = await self._effect_of(run._wire)
        info = await run.ask_for(
            terms.operation, arguments, _said(key, arguments), _said(terms.reason, arguments)
        )
        if terms.on_waiting is not None and info.waits_for_person:
            terms.on_waiting(info)
        call = AsyncToolCall(run._wire, info.id)
        info = await call.decided(terms.timeout)
        if not info.is_over:
            claim = Claim(run, info) if effect == "once" else None
            if claim is None or await claim.take():
                return await self._perform(call, info, claim)
        return await self._outcome_of(call, info)

    async def _perform(self, call: AsyncToolCall, info: CallInfo, claim: Claim | None) -> R:
        """Run the function with what was approved, and report what came of it.

        Whatever is no `Exception` (Ctrl-C, cancellation) leaves the call without a report: nobody
        can say how far the function came.
        """
        try:
            result = await self._run(info.arguments)
        except Exception as error:
            with suppress(AssentError):
                await call.report_error(describe(error))
            if claim is not None:
                await claim.end(describe(error))
            raise
        try:
            await call.report(_as_json(self._terms.encode, result))
        except AlreadyFinished:
            # Somebody settled it by hand meanwhile.
            pass
        except Unreachable as error:
            raise Unreported(info, result) from error
        if claim is not None:
            await claim.end(None)
        return result

    async def _run(self, arguments: Mapping[str, Any]) -> R:
        function: Callable[..., Any] = self._function
        if inspect.iscoroutinefunction(function):  # async only
            return await self._function(**arguments)  # type: ignore[call-arg]  # async only
        result: R = await asyncio.to_thread(function, **arguments)
        return result

    async def _outcome_of(self, call: AsyncToolCall, info: CallInfo) -> R:
        """What another start of this process, or another process, came to."""
        try:
            done = await call.result(0.0 if info.is_over else OTHER_PROCESS_SECONDS)
        except StillWaiting:
            raise OutcomeUnknown(
                info,
                detail="It was begun by another process, or by an earlier start of this one,"
                " which has not reported. Look whether it happened, then say so:"
                f' tool_call("{info.id}").report(…) or .report_error(…).',
            ) from None
        result: R = self._terms.decode(done.body)
        return result

    async def _effect_of(self, wire: AsyncWire) -> str:
        """The operation's effect, asked for once.

        Raises:
            TypeError: Assent performs the operation itself, so that it would be done twice.
        """
        if self._effect is None:
            integration, _, slug = self._terms.operation.partition(".")
            shown = await wire.get(f"integrations/{integration}/operations/{slug}")
            if shown["method"] is not None:
                raise TypeError(
                    f"{self._terms.operation} is performed by Assent itself; a function can only"
                    ' be gated by an operation of an integration with "kind": "client".'
                )
            self._effect = str(shown["effect"])
        return self._effect


class Claim:
    """The right to run an allowed call once, taken on the server before the function begins.

    It is a child run with a natural key, which stays for ever: whoever asks for it with the same
    mark made it, everybody else is refused. So a process that dies in between leaves a trace, and
    the next start does not run the function a second time.
    """

    def __init__(self, run: AsyncRun, info: CallInfo) -> None:
        self._parent = run
        self._info = info
        self._run: AsyncRun | None = None

    async def take(self) -> bool:
        """Whether this is the one that may run it."""
        wire = self._parent._wire
        parent = await wire.get(f"runs/{self._info.run}")
        body = present(
            session=parent["session"],
            parent_run=parent["id"],
            agent=parent["agent"],
            key=f"performs {self._info.id}",
            title=f"Performs {self._info.operation}",
            metadata={"tool_call": self._info.id, "mark": str(uuid.uuid4())},
        )
        try:
            self._run = await AsyncRun(wire, body=body).open()
        except IdempotencyMismatch:
            return False
        return True

    async def end(self, error: str | None) -> None:
        """End the child run; that it ran is on record either way."""
        if self._run is not None:
            with suppress(AssentError):
                await (self._run.complete() if error is None else self._run.fail(error))


class AsyncGate:
    """The part of the client that gates functions."""

    def requires_approval(
        self,
        operation: str,
        *,
        key: str | Callable[..., str] | None = None,
        reason: str | Callable[..., str] | None = None,
        timeout: float | None = None,
        encode: Callable[[Any], Any] = lambda result: result,
        decode: Callable[[Any], Any] = lambda body: body,
        on_waiting: Callable[[CallInfo], object] | None = None,
    ) -> Callable[[Callable[P, Awaitable[R]]], AsyncGated[P, R]]:
        """Let a function run only after its call was allowed.

        Its arguments are what is shown and approved; where the approver edits them, the edited
        ones are what it runs with. What it returns or raises is reported. Where the operation's
        effect is `once`, it runs at most once for a key, whatever dies: if a process ended after
        it began and before it reported, the next start raises `OutcomeUnknown` instead.

        Args:
            operation: one of an integration of the kind `client`.
            key: finds the same call after a restart; a function makes it from the arguments.
            reason: what the agent says about it; a function makes it from the arguments.
            timeout: seconds to wait for the decision; None waits for ever.
            encode: makes JSON of what the function returns, for the report.
            decode: makes it again from the report, where an earlier start had run it.
            on_waiting: called once if the call waits for a person; it has the `url`.
        """
        terms = Terms(operation, key, reason, timeout, encode, decode, on_waiting)

        def gate(function: Callable[P, Awaitable[R]]) -> AsyncGated[P, R]:
            return AsyncGated(function, terms)

        return gate


def _check_function(function: Callable[..., Any]) -> None:
    """Refuse what cannot be shown as named arguments.

    Raises:
        TypeError: it takes `*args`, `**kwargs` or positional-only arguments.
    """
    allowed = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in allowed:
            raise TypeError(f"{parameter} cannot be shown to who approves; name every argument.")


def _said(text: str | Callable[..., str] | None, arguments: Mapping[str, Any]) -> str | None:
    return text(**arguments) if callable(text) else text


def _as_json(encode: Callable[[Any], Any], result: Any) -> Any:
    """What to report; the text of a result that is no JSON, for the function did succeed."""
    encoded = encode(result)
    try:
        json.dumps(encoded, allow_nan=False)
    except (TypeError, ValueError):
        return repr(encoded)[:10_000]
    return encoded
