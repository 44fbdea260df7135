"""Sessions, runs and messages in the fake."""

from collections.abc import Callable
from typing import Any

from assent_client.testing.closing import cancel
from assent_client.testing.refusals import Refused, check_members, invalid
from assent_client.testing.store import (
    CALL_OPEN,
    RUN_OPEN,
    Caller,
    Row,
    Store,
    is_pending,
    new_id,
    of_run,
    shown,
    url,
)


def open_session(store: Store, caller: Caller, body: Row) -> tuple[int, Row]:
    check_members(body, "agent", "key", "participant", "title", "metadata")
    caller.require("runs")
    agent = store.check_agent(body.get("agent"), caller)
    known = store.known("session", agent, body.get("key"), body)
    if known is not None:
        return 200, store.sessions[known]
    row: Row = {
        "id": new_id(),
        "agent": agent,
        "key": body.get("key"),
        "participant": body.get("participant") or None,
        "title": body.get("title") or "",
        "status": "active",
        "metadata": body.get("metadata") or {},
        "created_at": store.stamp(),
        "ended_at": None,
    }
    row["url"] = url("sessions", row["id"])
    store.sessions[row["id"]] = row
    store.remember("session", agent, body.get("key"), body, row["id"])
    return 201, row


def open_run(store: Store, caller: Caller, body: Row) -> tuple[int, Row]:
    check_members(body, "session", "key", "parent_run", "agent", "title", "metadata")
    caller.require("runs")
    session = store.refer(store.sessions, body.get("session"), "session", caller)
    parent = None
    if body.get("parent_run") is not None:
        parent = store.refer(store.runs, body["parent_run"], "parent_run", caller)
    agent = session["agent"]
    if body.get("agent") is not None:
        agent = store.check_agent(body["agent"], caller)
    known = store.known("run", agent, body.get("key"), body)
    if known is not None:
        return 200, store.runs[known]
    if session["status"] != "active":
        raise Refused("session_ended", f"The session is {session['status']}.")
    if parent is not None:
        require_open(parent)
    row = {
        "id": new_id(),
        "session": session["id"],
        "agent": agent,
        "parent_run": parent["id"] if parent else None,
        "key": body.get("key"),
        "title": body.get("title") or "",
        "status": "running",
        "metadata": body.get("metadata") or {},
        "waiting_on": {"tasks": [], "tool_calls": []},
        "output": None,
        "error": None,
        "created_at": store.stamp(),
        "ended_at": None,
    }
    row["url"] = url("runs", row["id"])
    store.runs[row["id"]] = row
    store.remember("run", agent, body.get("key"), body, row["id"])
    return 201, row


def require_open(run: Row) -> None:
    """Refuse a run that has ended.

    Raises:
        Refused: `run_ended`.
    """
    if run["status"] not in RUN_OPEN:
        raise Refused("run_ended", f"The run is {run['status']}.")


def end_run(verb: str) -> Callable[[Store, Caller, Row, str], tuple[int, Row]]:
    """The endpoint that ends a run so."""
    status, member = {
        "complete": ("completed", "output"),
        "fail": ("failed", "error"),
        "terminate": ("terminated", "reason"),
    }[verb]

    def act(store: Store, caller: Caller, body: Row, identity: str) -> tuple[int, Row]:
        run = store.find(store.runs, identity, caller)
        caller.require("runs")
        require_open(run)
        check_members(body, member)
        if verb == "fail" and not body.get("error"):
            raise invalid("error", "Say what went wrong.", "required")
        comment = str(body.get("reason") or "")
        _end(store, run, status, "run_ended", comment, by=caller.as_json())
        run["output"] = body.get("output")
        run["error"] = body.get("error")
        return 200, run

    return act


def _end(store: Store, run: Row, status: str, reason: str, comment: str, *, by: Row) -> None:
    """End a run, its child runs, and what they wait for."""
    run.update(status=status, ended_at=store.stamp())
    run["waiting_on"] = {"tasks": [], "tool_calls": []}
    for task in of_run(store.tasks.values(), run["id"]):
        stays = task["survive_parent_close"] or task["_about"] == "outcome"
        if is_pending(task) and not stays:
            cancel(store, task, reason, comment, by=by)
    for call in of_run(store.calls.values(), run["id"]):
        if call["status"] in CALL_OPEN and call["started_at"] is None:
            error = {"code": reason, "detail": "The run ended."}
            call.update(status="cancelled", error=error, finished_at=store.stamp())
    for child in list(store.runs.values()):
        if child["parent_run"] == run["id"] and child["status"] in RUN_OPEN:
            _end(store, child, "terminated", "parent_ended", comment, by=by)


def end_session(verb: str) -> Callable[[Store, Caller, Row, str], tuple[int, Row]]:
    """The endpoint that ends a session so."""

    def act(store: Store, caller: Caller, body: Row, identity: str) -> tuple[int, Row]:
        session = store.find(store.sessions, identity, caller)
        caller.require("runs")
        if session["status"] != "active":
            raise Refused("session_ended", f"The session is {session['status']}.")
        check_members(body, *(["reason"] if verb == "terminate" else []))
        terminated = verb == "terminate"
        session["status"] = "terminated" if terminated else "ended"
        session["ended_at"] = store.stamp()
        status = "terminated" if terminated else "completed"
        reason = "session_terminated" if terminated else "session_ended"
        comment = str(body.get("reason") or "")
        for run in list(store.runs.values()):
            if run["session"] == identity and run["status"] in RUN_OPEN:
                _end(store, run, status, reason, comment, by=caller.as_json())
        return 200, session

    return act


def add_message(store: Store, caller: Caller, body: Row, identity: str) -> tuple[int, Row]:
    run = store.find(store.runs, identity, caller)
    caller.require("runs")
    check_members(body, "role", "text", "scope", "task")
    if body.get("role") not in ("user", "agent", "system"):
        raise invalid("role", "Choose from user, agent, system.")
    if not isinstance(body.get("text"), str) or not body["text"].strip():
        raise invalid("text", "Must be a text that is not blank.")
    task = None
    if body.get("task") is not None:
        task = store.refer(store.tasks, body["task"], "task", caller)["id"]
    row = {
        "id": new_id(),
        "run": run["id"],
        "role": body["role"],
        "text": body["text"],
        "scope": body.get("scope") or "",
        "task": task,
        "created_at": store.stamp(),
        "agent": run["agent"],
    }
    store.messages[row["id"]] = row
    return 201, {name: row[name] for name in row if name != "agent"}


def list_messages(store: Store, caller: Caller, query: Row, identity: str) -> Row:
    run = store.find(store.runs, identity, caller)
    rows = [row for row in store.messages.values() if row["run"] == run["id"]]
    bare = [{name: row[name] for name in row if name != "agent"} for row in rows]
    return {"results": bare, "next": None, "previous": None}


def last_task(store: Store, caller: Caller, query: Row, identity: str) -> Row:
    session = store.find(store.sessions, identity, caller)
    scope = query.get("scope", "")
    linked: list[str] = [
        row["task"]
        for row in store.messages.values()
        if row["task"] is not None
        and row["scope"] == scope
        and store.runs[row["run"]]["session"] == session["id"]
    ]
    pending = [task for task in dict.fromkeys(linked) if is_pending(store.tasks[task])]
    return {"task": linked[-1] if linked else None, "pending": pending}


def timeline(store: Store, caller: Caller, query: Row, identity: str) -> Row:
    run = store.find(store.runs, identity, caller)
    items: list[dict[str, Any]] = []
    for kind, rows in (
        ("message", store.messages),
        ("tool_call", store.calls),
        ("task", store.tasks),
    ):
        for row in of_run(rows.values(), run["id"]):
            items.append({"at": row["created_at"], "type": kind, **shown(row)})
    items.sort(key=lambda item: str(item["at"]))
    return {"results": items, "next": None, "previous": None}
