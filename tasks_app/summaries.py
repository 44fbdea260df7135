"""A task in one line, and as webhooks are told of it: no value, no draft, no comment."""

from typing import Any

from accounts_app.clock import utc_text
from accounts_app.links import page_url
from tasks_app.models import UserTask
from tasks_app.states import TaskStatus


def acted_on(task: UserTask) -> bool:
    """Whether a person or an integrator decided."""
    return task.status == TaskStatus.COMPLETED and not task.timed_out


def summary_of(task: UserTask) -> str:
    """The outcome in one line, for lists and notifications."""
    if task.status == TaskStatus.PENDING:
        return "Waits for a decision"
    if task.status == TaskStatus.CANCELLED:
        return f"Cancelled: {task.get_cancelled_reason_display().lower()}"
    if task.timed_out:
        return f"Timed out, {task.action} by default" if task.action else "Timed out"
    labels = {action["name"]: action["label"] for action in task.actions}
    name = (task.decided_by or {}).get("name", "somebody")
    return f"{labels.get(task.action, task.action)} by {name}"


def event_data(task: UserTask) -> dict[str, Any]:
    """The member `data` of the events about a task: its header, ids and links."""
    call = task.tool_call
    return {
        "task": str(task.pk),
        "key": task.key,
        "kind": task.kind,
        "status": task.status,
        "title": task.title,
        "summary": summary_of(task),
        "agent": task.agent.slug,
        "session": str(task.session_id),
        "run": str(task.run_id),
        "tool_call": str(call.pk) if call else None,
        "operation": call.operation.reference if call else None,
        "participant": task.participant or None,
        "revision": task.revision,
        "due_at": utc_text(task.due_at),
        "outcome": _outcome(task),
        "url": page_url("task", task.pk),
    }


def _outcome(task: UserTask) -> dict[str, Any] | None:
    if task.status == TaskStatus.PENDING:
        return None
    return {
        "action": task.action,
        "completed": acted_on(task),
        "timed_out": task.timed_out,
        "cancelled_reason": task.cancelled_reason or None,
        "decided_by": task.decided_by,
        "decided_at": utc_text(task.completed_at),
        "channel": task.channel,
    }
