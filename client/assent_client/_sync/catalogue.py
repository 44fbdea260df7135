# Generated from _async/catalogue.py by generate_sync.py; edit that instead.
"""The operations as tools for a model: their definitions, and the calls that it makes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from assent_client._sync.gate import Gated
from assent_client._sync.sessions import Run
from assent_client._sync.tasks import pages
from assent_client.errors import CallNotDone, Conflict, Forbidden, Invalid
from assent_client.shown import CallInfo


class CallTools:
    """What a model may call in a run; people approve where the operations ask for it.

    Args:
        run: the run that asks.
        functions: gated functions of this process, for operations that the agent runs itself;
            without its function such an operation is not offered.
        timeout: seconds to wait for one call; None waits for ever.
        on_waiting: called if a call waits for a person; it has the `url`.
    """

    def __init__(
        self,
        run: Run,
        functions: Sequence[Gated[..., Any]] = (),
        *,
        timeout: float | None = None,
        on_waiting: Callable[[CallInfo], object] | None = None,
    ) -> None:
        self._run = run
        self._functions = {function.operation: function for function in functions}
        self._timeout = timeout
        self._on_waiting = on_waiting
        self._operations: dict[str, str] = {}

    def definitions(self, format: str = "openai") -> list[dict[str, Any]]:
        """The tools as a model's API takes them.

        Args:
            format: openai, anthropic or mcp.
        """
        wire = self._run._wire
        own = {
            shown["operation"] for shown in pages(wire, "operations", {}) if shown["method"] is None
        } - set(self._functions)
        shown = wire.get("operations/tools", {"format": format})
        self._operations = {
            name: operation
            for name, operation in shown["operations"].items()
            if operation not in own
        }
        return [tool for tool in shown["tools"] if _name_of(tool) in self._operations]

    def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        key: str | None = None,
        reason: str | None = None,
    ) -> str:
        """Do what a model asks for, and say what came of it, for the model to read.

        A rejection, a refusal and an unknown outcome come back as text, too.

        Args:
            name: the tool.
            arguments: as the model gave them.
            key: finds the same call again; the id that the model gave the call is one.
            reason: what the agent says about it, shown to the person who decides.

        Raises:
            StillWaiting: the time is over; the call goes on, and its key finds it.
        """
        if not self._operations:
            self.definitions()
        operation = self._operations.get(name)
        if operation is None:
            return f"There is no tool {name!r}."
        try:
            if operation in self._functions:
                function = self._functions[operation]
                return _text(function.on(self._run, key=key)(**arguments))
            done = self._run.call(
                operation,
                arguments,
                key=key,
                reason=reason,
                timeout=self._timeout,
                on_waiting=self._on_waiting,
            )
        except CallNotDone as ended:
            return f"Not done: {ended}"
        except (Invalid, Conflict, Forbidden) as refused:
            return f"Refused: {refused.detail}"
        return _text(done.body)


def _text(body: Any) -> str:
    return body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, default=str)


def _name_of(tool: Mapping[str, Any]) -> str:
    return str(tool.get("name") or tool["function"]["name"])
