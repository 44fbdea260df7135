"""Runs, calls and tasks as the API writes them."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import Model, Prefetch, QuerySet

from accounts_app.api.views import utc_text
from accounts_app.models import AuditEntry
from guard_app.models import Detection
from integrations_app.models import Run, ToolCall
from integrations_app.services.freezing import full_arguments
from integrations_app.states import CALL_OPEN, RUN_OPEN
from tasks_app.models import UserTask, Vote
from tasks_app.states import DASHBOARD_ONLY, Kind, TaskStatus
from tasks_app.summaries import acted_on, summary_of

Link = Callable[[str, object], str]


def runs_to_show(rows: QuerySet[Run]) -> QuerySet[Run]:
    """Rows with everything that `show_run` reads."""
    tasks = UserTask.objects.pending().exclude(kind=Kind.ANOMALY_ALERT).order_by("pk")
    calls = ToolCall.objects.filter(status__in=CALL_OPEN).order_by("pk")
    return rows.select_related("agent").prefetch_related(
        Prefetch("tasks", queryset=tasks.only("pk", "run_id"), to_attr="open_tasks"),
        Prefetch("tool_calls", queryset=calls.only("pk", "run_id"), to_attr="open_calls"),
    )


def show_run(run: Any, link: Link) -> dict[str, Any]:
    """A run that came through `runs_to_show`."""
    is_open = run.status in RUN_OPEN
    return {
        "id": str(run.pk),
        "session": str(run.session_id),
        "agent": run.agent.slug,
        "parent_run": str(run.parent_id) if run.parent_id else None,
        "key": run.key,
        "title": run.title,
        "status": run.status,
        "metadata": run.metadata,
        "waiting_on": {
            "tasks": [str(task.pk) for task in run.open_tasks] if is_open else [],
            "tool_calls": [str(call.pk) for call in run.open_calls] if is_open else [],
        },
        "output": run.output,
        "error": run.error,
        "created_at": utc_text(run.created_at),
        "ended_at": utc_text(run.ended_at),
        "url": link("run", run.pk),
    }


def calls_to_show(rows: QuerySet[ToolCall]) -> QuerySet[ToolCall]:
    """Rows with everything that `show_call` reads."""
    newest = UserTask.objects.order_by("-created_at", "-pk").only("pk", "tool_call_id", "kind")
    folded = Detection.objects.of_calls().filter(incident__isnull=False)
    hits = folded.order_by("-decided", "pk")
    near = ("operation__slug", "operation__sensitive", "operation__integration__slug")
    with_operation = rows.select_related("operation__integration").only(
        *_columns_of(ToolCall), "operation__integration", *near
    )
    return with_operation.prefetch_related(
        Prefetch("tasks", queryset=newest, to_attr="newest_tasks"),
        Prefetch(
            "detections",
            queryset=hits.only("pk", "tool_call_id", "incident_id"),
            to_attr="folded_hits",
        ),
    )


def show_call(call: Any, link: Link, *, in_list: bool) -> dict[str, Any]:
    """A call that came through `calls_to_show`.

    Args:
        call: the call.
        link: makes the address of its page.
        in_list: sensitive arguments are masked in lists.
    """
    masked = in_list or not call.operation.sensitive
    return {
        "id": str(call.pk),
        "run": str(call.run_id),
        "operation": call.operation.reference,
        "operation_version": call.operation_version,
        "arguments": call.arguments if masked else full_arguments(call),
        "arguments_digest": call.arguments_digest,
        "status": call.status,
        "task": _task_of(call.newest_tasks),
        "incident": str(call.folded_hits[0].incident_id) if call.folded_hits else None,
        "result": call.result,
        "error": call.error,
        "attempts": call.attempts,
        "key": call.key,
        "reason": call.reason,
        "created_at": utc_text(call.created_at),
        "decided_at": utc_text(call.decided_at),
        "started_at": utc_text(call.started_at),
        "finished_at": utc_text(call.finished_at),
        "url": link("tool_call", call.pk),
    }


def _task_of(newest: list[UserTask]) -> str | None:
    """The newest task of a call; an alert, which holds nothing up, only where there is no other."""
    asked = [task for task in newest if task.kind != Kind.ANOMALY_ALERT] or newest
    return str(asked[0].pk) if asked else None


def tasks_to_show(rows: QuerySet[UserTask]) -> QuerySet[UserTask]:
    """Rows with everything that `show_task` reads."""
    return task_to_show(rows).prefetch_related("vote_rows")


def show_task_now(task_id: UUID, link: Link) -> dict[str, Any]:
    """A task as it is now; whether it may be seen was asked before."""
    return show_task(task_to_show(UserTask.objects.filter(pk=task_id)).get(), link)


def task_to_show(rows: QuerySet[UserTask]) -> QuerySet[UserTask]:
    """For one row: its votes are read where it has a quorum, and not at all where it has none."""
    near = rows.select_related("agent", "claimed_by")
    return near.only(*_columns_of(UserTask), "agent__slug", "claimed_by__username")


def _columns_of(model: type[Model]) -> list[str]:
    """All of a row's own, so that of its neighbours only what is named is read."""
    return [field.name for field in model._meta.concrete_fields]


def show_task(task: UserTask, link: Link) -> dict[str, Any]:
    """A task that came through `tasks_to_show`; sensitive arguments are masked."""
    votes = task.vote_rows.all() if task.quorum is not None else ()
    return {
        "id": str(task.pk),
        "key": task.key,
        "kind": task.kind,
        "status": task.status,
        "title": task.title,
        "description": task.description,
        "agent": task.agent.slug,
        "session": str(task.session_id),
        "run": str(task.run_id),
        "tool_call": str(task.tool_call_id) if task.tool_call_id else None,
        "incident": str(task.incident_id) if task.incident_id else None,
        "participant": task.participant or None,
        "actions": task.actions,
        "options": task.options,
        "input": task.input,
        "initial_work": task.initial_work,
        "draft": task.draft,
        "revision": task.revision,
        "metadata": task.metadata,
        "due_at": utc_text(task.due_at),
        "on_timeout": task.on_timeout,
        "survive_parent_close": task.survive_parent_close,
        "quorum": task.quorum,
        "votes": [show_vote(vote) for vote in votes],
        "reviewers": task.reviewers,
        "claimed_by": task.claimed_by.get_username() if task.claimed_by else None,
        "claim_expires_at": utc_text(task.claim_expires_at),
        "api_completable": task.kind not in DASHBOARD_ONLY,
        "stale": task.stale,
        "outcome": show_outcome(task),
        "created_at": utc_text(task.created_at),
        "updated_at": utc_text(task.updated_at),
        "completed_at": utc_text(task.completed_at),
        "url": link("task", task.pk),
    }


def show_vote(vote: Vote) -> dict[str, Any]:
    """A vote; with the value where one was chosen."""
    shown = {"by": vote.by, "action": vote.action, "comment": vote.comment}
    value = {} if vote.value is None else {"value": vote.value}
    return {**shown, **value, "revision": vote.revision, "at": utc_text(vote.created_at)}


def show_outcome(task: UserTask) -> dict[str, Any] | None:
    """The member `outcome`; null while the task is pending."""
    if task.status == TaskStatus.PENDING:
        return None
    return {
        "action": task.action,
        "value": task.value,
        "comment": task.comment,
        "completed": acted_on(task),
        "timed_out": task.timed_out,
        "cancelled_reason": task.cancelled_reason or None,
        "decided_by": task.decided_by,
        "decided_at": utc_text(task.completed_at),
        "channel": task.channel,
        "summary": summary_of(task),
    }


def show_result(task: UserTask) -> dict[str, Any]:
    """The answer of `GET tasks/{id}/result`."""
    return {
        "task": str(task.pk),
        "key": task.key,
        "status": task.status,
        "completed": acted_on(task),
        "timed_out": task.timed_out,
        "performed_action": task.action,
        "value": task.value,
        "comment": None if task.timed_out else task.comment,
        "initial_work": task.initial_work,
        "final_work": None if task.status == TaskStatus.PENDING else task.draft,
        "metadata": task.metadata,
        "completed_at": utc_text(task.completed_at),
        "completed_by": task.decided_by if task.status == TaskStatus.COMPLETED else None,
    }


RESULT_COLUMNS = (
    "key",
    "status",
    "timed_out",
    "action",
    "value",
    "comment",
    "initial_work",
    "draft",
    "metadata",
    "completed_at",
    "decided_by",
)
"""What `show_result` reads: thousands of agents wait for it, and ask again every minute."""


def show_event(entry: AuditEntry) -> dict[str, Any]:
    """One entry of a task's audit trail."""
    return {
        "id": str(entry.pk),
        "type": entry.verb,
        "at": utc_text(entry.at),
        "actor": {"type": entry.actor_type, "id": entry.actor_id, "name": entry.actor_name},
        "data": entry.facts,
    }
