"""What moves a task without deciding it, in the fake: withdrawals, comments, questions, time."""

from datetime import timedelta

from assent_client.shown import moment
from assent_client.testing.closing import cancel, refuse_closed
from assent_client.testing.drafts import write
from assent_client.testing.refusals import Refused, check_members, invalid
from assent_client.testing.store import CALL_OPEN, Caller, Row, Store, new_id


def withdraw(store: Store, caller: Caller, body: Row, identity: str) -> tuple[int, Row]:
    task = store.find(store.tasks, identity, caller)
    caller.require("runs")
    refuse_closed(store, task)
    check_members(body, "reason")
    if task["_about"] == "outcome":
        detail = "This task asks whether a call has happened; only a person can settle that."
        raise Refused("already_executing", detail)
    reason = str(body.get("reason") or "")
    cancel(store, task, "withdrawn", reason, by=caller.as_json())
    call = store.calls.get(task["tool_call"] or "")
    if call is not None and call["status"] in CALL_OPEN:
        error = {"code": "withdrawn", "detail": reason or "The task was withdrawn."}
        call.update(status="cancelled", error=error, finished_at=store.stamp())
        store.settle(task["run"])
    return 200, task


def add_comment(store: Store, caller: Caller, body: Row, identity: str) -> tuple[int, Row]:
    task = store.find(store.tasks, identity, caller)
    caller.require("runs", "decide")
    refuse_closed(store, task)
    return _say(store, caller, task, "comment", "task.commented", _text(body, "text"))


def ask_back(store: Store, caller: Caller, body: Row, identity: str) -> tuple[int, Row]:
    task = store.find(store.tasks, identity, caller)
    caller.require("decide")
    refuse_closed(store, task)
    return _say(store, caller, task, "question", "task.asked", _text(body, "question"))


def inform(store: Store, caller: Caller, body: Row, identity: str) -> tuple[int, Row]:
    task = store.find(store.tasks, identity, caller)
    caller.require("runs")
    refuse_closed(store, task)
    check_members(body, "text", "draft")
    text = _text({"text": body.get("text")}, "text")
    before = task["revision"]
    if body.get("draft") is not None:
        write(store, task, body["draft"], decides=False)
    task["revision"] = before + 1
    return _say(store, caller, task, "information", "task.informed", text)


def _say(
    store: Store, caller: Caller, task: Row, kind: str, event: str, text: str
) -> tuple[int, Row]:
    store.note(event, task, caller.as_json(), text=text)
    said = {
        "id": new_id(),
        "task": task["id"],
        "type": kind,
        "text": text,
        "by": caller.as_json(),
        "channel": "api",
        "revision": task["revision"],
        "at": store.stamp(),
    }
    return 201, said


def extend(store: Store, caller: Caller, body: Row, identity: str) -> tuple[int, Row]:
    task = store.find(store.tasks, identity, caller)
    caller.require("decide")
    refuse_closed(store, task)
    check_members(body, "timeout_seconds")
    seconds = body.get("timeout_seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds < 1:
        raise invalid("timeout_seconds", "Must be a number of at least 1.")
    due = moment(task["due_at"])
    if due is None:
        raise invalid("timeout_seconds", "This task has no deadline to move.")
    task["due_at"] = store.stamp(due + timedelta(seconds=seconds))
    return 200, task


def show_result(store: Store, caller: Caller, query: Row, identity: str) -> Row:
    task = store.find(store.tasks, identity, caller)
    outcome = task["outcome"] or {}
    over = task["status"] != "pending"
    timed_out = bool(outcome.get("timed_out"))
    return {
        "task": task["id"],
        "key": task["key"],
        "status": task["status"],
        "completed": task["status"] == "completed" and not timed_out,
        "timed_out": timed_out,
        "performed_action": outcome.get("action"),
        "value": outcome.get("value"),
        "comment": None if timed_out else outcome.get("comment"),
        "initial_work": task["initial_work"],
        "final_work": task["draft"] if over else None,
        "metadata": task["metadata"],
        "completed_at": task["completed_at"],
        "completed_by": outcome.get("decided_by") if task["status"] == "completed" else None,
    }


def list_events(store: Store, caller: Caller, query: Row, identity: str) -> Row:
    store.find(store.tasks, identity, caller)
    rows = [event for event in store.events if event["task"] == identity]
    bare = [{name: row[name] for name in row if name != "task"} for row in rows]
    return {"results": bare, "next": None, "previous": None}


def list_tasks(store: Store, caller: Caller, query: Row) -> Row:
    known = ("status", "kind", "run", "session", "agent", "limit")
    for name in query:
        if name not in known:
            raise invalid(name, f"The fake knows: {', '.join(known)}.", "unknown_filter")
    rows = [
        row
        for row in reversed(list(store.tasks.values()))
        if caller.agent in (None, row["agent"])
        and all(row[name] == query[name] for name in known[:5] if name in query)
    ]
    return {"results": rows, "next": None, "previous": None}


def _text(body: Row, member: str) -> str:
    check_members(body, member)
    text = body.get(member)
    if not isinstance(text, str) or not text.strip():
        raise invalid(member, "Must be a text that is not blank.")
    return text
