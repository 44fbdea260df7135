"""The fake server's front: routes, credentials, replays and waiting, without a socket."""

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx2

from assent_client.proposals import FORMATS, Tool, as_definition
from assent_client.testing import asides, calls, closing, drafts, sessions, tasks
from assent_client.testing.refusals import Refused, invalid
from assent_client.testing.store import CALL_OPEN, RUN_OPEN, Caller, Row, Store, shown

Reader = Callable[..., Row]
Writer = Callable[..., tuple[int, Row]]
TICK_SECONDS = 0.002


def _one(rows: str) -> Reader:
    def read(store: Store, caller: Caller, query: Row, identity: str) -> Row:
        return store.find(getattr(store, rows), identity, caller)

    return read


def _operation(store: Store, caller: Caller, query: Row, integration: str, slug: str) -> Row:
    found = store.operations.get(f"{integration}.{slug}")
    if found is None:
        raise Refused("not_found", "Not found.")
    return found.as_json()


def _operations(store: Store, caller: Caller, query: Row) -> Row:
    rows = [operation.as_json() for operation in store.operations.values()]
    return {"results": rows, "next": None, "previous": None}


def _tools(store: Store, caller: Caller, query: Row) -> Row:
    shape = query.get("format", "")
    if shape not in FORMATS:
        raise invalid("format", f"Choose from {', '.join(FORMATS)}.")
    names = {name.replace(".", "__", 1): name for name in store.operations}
    tools = [as_definition(_tool(store, name, names[name]), shape) for name in names]
    return {"tools": tools, "operations": names}


def _tool(store: Store, name: str, operation: str) -> Tool:
    parameters = store.operations[operation].parameters
    required = tuple(parameters.get("required", ()))
    return Tool(name, operation, parameters.get("properties", {}), required)


READS: dict[str, Reader] = {
    "sessions/ID": _one("sessions"),
    "sessions/ID/last-task": sessions.last_task,
    "runs/ID": _one("runs"),
    "runs/ID/messages": sessions.list_messages,
    "runs/ID/timeline": sessions.timeline,
    "tool-calls/ID": _one("calls"),
    "tasks": asides.list_tasks,
    "tasks/ID": _one("tasks"),
    "tasks/ID/result": asides.show_result,
    "tasks/ID/draft": drafts.show_draft,
    "tasks/ID/events": asides.list_events,
    "integrations/ID/operations/ID": _operation,
    "operations": _operations,
    "operations/tools": _tools,
}
WRITES: dict[str, Writer] = {
    "POST sessions": sessions.open_session,
    "POST sessions/ID/end": sessions.end_session("end"),
    "POST sessions/ID/terminate": sessions.end_session("terminate"),
    "POST runs": sessions.open_run,
    "POST runs/ID/complete": sessions.end_run("complete"),
    "POST runs/ID/fail": sessions.end_run("fail"),
    "POST runs/ID/terminate": sessions.end_run("terminate"),
    "POST runs/ID/messages": sessions.add_message,
    "POST tool-calls": calls.create_call,
    "POST tool-calls/ID/cancel": calls.cancel_call,
    "POST tool-calls/ID/result": calls.report,
    "POST tasks": tasks.create_task,
    "POST tasks/ID/complete": tasks.decide(None),
    "POST tasks/ID/approve": tasks.decide("approve"),
    "POST tasks/ID/reject": tasks.decide("reject"),
    "POST tasks/ID/cancel": asides.withdraw,
    "POST tasks/ID/comments": asides.add_comment,
    "POST tasks/ID/ask": asides.ask_back,
    "POST tasks/ID/information": asides.inform,
    "POST tasks/ID/extend": asides.extend,
    "PUT tasks/ID/draft": drafts.put_draft,
    "PATCH tasks/ID/metadata": drafts.patch_metadata,
}
WAITING = {"tasks/ID", "tasks/ID/result", "tool-calls/ID", "runs/ID"}
OPEN = {"pending", *CALL_OPEN, *RUN_OPEN}


class FakeServer:
    """Answers requests one at a time.

    Args:
        store: the rows.
        keys: what is known of each key.
        on_wait: called while a request is held, so that hands can act in its thread.
    """

    def __init__(self, store: Store, keys: dict[str, Caller], on_wait: Callable[[], None]) -> None:
        self.store = store
        self.keys = keys
        self.on_wait = on_wait
        self.lock = threading.RLock()
        self.replays: dict[tuple[str, str], tuple[bytes, Row]] = {}

    def handle(self, request: httpx2.Request) -> tuple[httpx2.Response, float]:
        """One request: its answer, and for how many seconds it may be held, asking again."""
        with self.lock:
            closing.time_out_due(self.store)
            calls.perform_queued(self.store)
            try:
                status, body, hold, replayed = self._answer(request)
            except Refused as refused:
                kind = {"Content-Type": "application/problem+json"}
                answer = httpx2.Response(refused.status, json=refused.facts, headers=kind)
                return answer, 0.0
            headers = {"Idempotent-Replayed": "true"} if replayed else {}
            return httpx2.Response(status, json=bare(body), headers=headers), hold

    def _answer(self, request: httpx2.Request) -> tuple[int, Row, float, bool]:
        caller = self._caller(request)
        body = _read(request)
        path = request.url.path.removeprefix("/api/v1/")
        query = dict(request.url.params)
        if request.method == "GET":
            route, found = _match(path, READS)
            wait = float(query.pop("wait", 0)) if route in WAITING else 0.0
            row = READS[route](self.store, caller, query, *found)
            return 200, row, wait if row.get("status") in OPEN else 0.0, False
        route, found = _match(f"{request.method} {path}", WRITES)
        key = request.headers.get("Idempotency-Key")
        if key is not None and (path, key) in self.replays:
            content, first = self.replays[path, key]
            if content != request.content:
                detail = "This Idempotency-Key was used with another body."
                raise Refused("idempotency_mismatch", detail)
            return 200, first, 0.0, True
        status, row = WRITES[route](self.store, caller, body, *found)
        if key is not None:
            self.replays[path, key] = (request.content, bare(row))
        return status, row, 0.0, False

    def _caller(self, request: httpx2.Request) -> Caller:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if given not in self.keys:
            raise Refused("not_authenticated", "A valid credential is required.")
        return self.keys[given]


class FakeTransport(httpx2.BaseTransport):
    """The way to a fake server for a blocking client."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        begun = time.monotonic()
        while True:
            answer, hold = self.server.handle(request)
            if time.monotonic() - begun >= hold:
                return answer
            self.server.on_wait()
            time.sleep(TICK_SECONDS)


class AsyncFakeTransport(httpx2.AsyncBaseTransport):
    """The way to a fake server for an asyncio client."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        begun = time.monotonic()
        while True:
            answer, hold = self.server.handle(request)
            if time.monotonic() - begun >= hold:
                return answer
            self.server.on_wait()
            await asyncio.sleep(TICK_SECONDS)


def bare(row: Row) -> Row:
    """A row as the contract shows it."""
    found = shown(row)
    if "results" in found:
        found["results"] = [bare(item) for item in row["results"]]
    if "arguments_digest" in found:
        del found["agent"]
    return found


def _match(text: str, routes: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    for route in routes:
        found = re.fullmatch(route.replace("ID", "([^/]+)"), text)
        if found:
            return route, found.groups()
    raise Refused("not_found", "The fake has no such address.")


def _read(request: httpx2.Request) -> Row:
    if not request.content:
        return {}
    try:
        body = json.loads(request.content)
    except ValueError as error:
        raise Refused("parse_error", "The body is no JSON.") from error
    if not isinstance(body, dict):
        raise invalid("body", "The body must be a JSON object.")
    return body
