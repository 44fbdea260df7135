# Generated from _async/client.py by generate_sync.py; edit that instead.
"""The way in: one object for one server and one key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import httpx2

from assent_client._sync.calls import ToolCall
from assent_client._sync.gate import Gate
from assent_client._sync.sessions import Run, Session
from assent_client._sync.tasks import Task, Tasks
from assent_client._sync.wire import Wire
from assent_client.bodies import present

DEFAULT_URL = "http://127.0.0.1:8000"


class Assent(Gate):
    """A client of one Assent server.

    Args:
        url: where the server is; ASSENT_URL where left out, then the local default.
        key: an API key; ASSENT_KEY where left out.
        timeout: seconds for one request; waiting for people has its own.
        patience: seconds for which requests are repeated while the server is away or busy. It
            does not limit waiting, which goes on.
        transport: another way to the server; `assent_client.testing` has one.

    Raises:
        ValueError: there is no key, or it has characters that no key has.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 30.0,
        patience: float = 60.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        key = key or os.environ.get("ASSENT_KEY")
        if not key:
            raise ValueError("Give a key, or set ASSENT_KEY.")
        if not (key.isascii() and key.isprintable()):
            raise ValueError("This is no key: copy it whole, as it was printed when it was made.")
        self._wire = Wire(
            url or os.environ.get("ASSENT_URL") or DEFAULT_URL,
            key,
            timeout=timeout,
            patience=patience,
            transport=transport,
        )
        self.tasks = Tasks(self._wire)

    def __enter__(self) -> Assent:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections; nothing on the server ends by it."""
        self._wire.close()

    def open_session(
        self,
        agent: str,
        *,
        key: str | None = None,
        participant: str | None = None,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Session:
        """A session to be opened by a `with` block, which also ends it, or by `open()`.

        Args:
            agent: the slug of the agent.
            key: finds the same session again after a restart.
            participant: the person whose conversation this is.
            title: for people.
            metadata: any JSON object.
        """
        body = present(agent=agent, key=key, participant=participant, title=title)
        return Session(self._wire, body=body | present(metadata=metadata))

    def session(self, session_id: str) -> Session:
        """The session with this id; asks nothing yet."""
        return Session(self._wire, session_id=session_id)

    def run(self, run_id: str) -> Run:
        """The run with this id; asks nothing yet."""
        return Run(self._wire, run_id=run_id)

    def task(self, task_id: str) -> Task:
        """The user task with this id; asks nothing yet."""
        return Task(self._wire, task_id)

    def tool_call(self, call_id: str) -> ToolCall:
        """The tool call with this id; asks nothing yet."""
        return ToolCall(self._wire, call_id)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        """Any other request of the HTTP contract, with this client's errors and repeats.

        Args:
            method: GET, POST, PUT or PATCH.
            path: below `/api/v1/`, for instance `integrations/payments`.
            body: JSON.
            query: query parameters of a GET.

        Raises:
            ValueError: another method; the contract has none.
        """
        if method == "GET":
            return self._wire.get(path, query)
        if method == "POST":
            return self._wire.post(path, body)
        if method == "PUT":
            return self._wire.put(path, body)
        if method == "PATCH":
            return self._wire.patch(path, body)
        raise ValueError(f"The contract has GET, POST, PUT and PATCH, not {method}.")
