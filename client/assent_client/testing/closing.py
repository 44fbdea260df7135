"""The ends of a task in the fake: decided, timed out, dropped; and who comes too late."""

from datetime import datetime
from typing import Any

from assent_client.shown import moment
from assent_client.testing.refusals import Refused
from assent_client.testing.store import SYSTEM, Row, Store, is_pending, shown


def refuse_closed(store: Store, task: Row) -> None:
    """Tell who comes too late who, what and when.

    Raises:
        Refused: `already_completed`, `already_cancelled` or `deadline_passed`.
    """
    if is_pending(task):
        return
    outcome, now = task["outcome"], shown(task)
    if outcome["timed_out"]:
        raise Refused("deadline_passed", f"The task timed out at {task['due_at']}.", task=now)
    if task["status"] == "cancelled":
        detail = f"The task was cancelled: {outcome['cancelled_reason']}."
        raise Refused("already_cancelled", detail, task=now)
    by = outcome["decided_by"]["name"]
    detail = f"Already {outcome['action']!r} by {by} at {task['completed_at']}."
    raise Refused("already_completed", detail, task=now)


def check_revision(task: Row, revision: int | None) -> None:
    """Refuse who did not look at what is there now.

    Raises:
        Refused: `revision_required` or `stale_revision`.
    """
    if revision is None and task["revision"] > 1:
        detail = f"What is decided on has changed; send `revision` {task['revision']}."
        raise Refused("revision_required", detail, task=shown(task))
    if revision is not None and revision != task["revision"]:
        detail = f"You looked at revision {revision}; the present one is {task['revision']}."
        raise Refused("stale_revision", detail, task=shown(task))


def close(store: Store, task: Row, status: str, **outcome: Any) -> None:
    """End a task with this outcome."""
    task["status"] = status
    task["completed_at"] = task["updated_at"] = store.stamp()
    task["outcome"] = {
        "action": None,
        "value": None,
        "comment": None,
        "completed": False,
        "timed_out": False,
        "cancelled_reason": None,
        "decided_by": None,
        "decided_at": task["completed_at"],
        "channel": "api",
        "summary": "",
        **outcome,
    }
    store.settle(task["run"])


def follow(store: Store, task: Row) -> None:
    """Move the call that the task is about."""
    if task["_on_decided"] is not None:
        task["_on_decided"](task)
        store.settle(task["run"])


def cancel(store: Store, task: Row, reason: str, comment: str, *, by: Row) -> None:
    """Drop a pending task."""
    summary = f"Cancelled: {reason.replace('_', ' ')}"
    close(
        store,
        task,
        "cancelled",
        cancelled_reason=reason,
        comment=comment or None,
        decided_by={**by, "on_behalf_of": None},
        summary=summary,
    )
    store.note("task.cancelled", task, by)


def time_out_due(store: Store) -> None:
    """Do what is due: a deadline completes a task, oldest first."""
    due = [row for row in store.tasks.values() if is_pending(row) and row["due_at"] is not None]
    for task in sorted(due, key=lambda row: str(row["due_at"])):
        deadline = moment(task["due_at"])
        if not isinstance(deadline, datetime) or deadline > store.now():
            continue
        rule = task["on_timeout"]
        action = rule.get("action") if isinstance(rule, dict) else None
        summary = f"Timed out, {action} by default" if action else "Timed out"
        by = {**SYSTEM, "on_behalf_of": None} if action else None
        close(
            store,
            task,
            "completed",
            action=action,
            timed_out=True,
            decided_by=by,
            channel="system",
            summary=summary,
        )
        task["completed_at"] = task["outcome"]["decided_at"] = task["due_at"]
        store.note("task.timed_out", task, SYSTEM)
        follow(store, task)
