"""Rows that contradict each other, found and brought together again.

Every act keeps them in step in its own transaction. This finds what got past: a restored backup,
a row changed by hand, an older version of the program. Each is settled under the run's lock and
looked at again there, so that it is harmless beside whatever else goes on.
"""

from collections.abc import Callable
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from accounts_app.scoping import system_actor
from accounts_app.services.reviewers import people
from accounts_app.services.unit import unit_of_work
from integrations_app.models import Operation, Run, ToolCall
from integrations_app.services.finishing import cancel_unsent
from integrations_app.services.locks import lock_run, try_lock_run
from integrations_app.services.sessions import settle_run
from integrations_app.states import (
    CALL_OPEN,
    CALL_WAITS_FOR_PERSON,
    RUN_OPEN,
    CallStatus,
    EndReason,
    RunStatus,
)
from tasks_app.models import UserTask
from tasks_app.services.call_tasks import open_approval, open_review, refresh_waiting
from tasks_app.services.closing import cancel
from tasks_app.services.routing import LOOKED_AT, flag_unroutable, misrouted
from tasks_app.states import ABOUT_A_CALL, NEVER_BLOCKING, About, CancelReason

_ENDED = [status for status in RunStatus.values if status not in RUN_OPEN]
_UNSENT = Q(status__in=CALL_OPEN) & ~Q(status=CallStatus.EXECUTING, sent_at__isnull=False)


def _orphans() -> QuerySet[UserTask]:
    """Pending tasks whose run is over, and that do not stay for a reason."""
    rows = UserTask.objects.pending().filter(run__status__in=_ENDED, survive_parent_close=False)
    return rows.exclude(kind__in=NEVER_BLOCKING).exclude(about=About.OUTCOME)


def orphaned_tasks(limit: int) -> list[UUID]:
    return _ids(_orphans(), limit)


def drop_orphan(task_id: UUID) -> bool:
    """Cancel a pending task whose run is over."""
    run_id = UserTask.objects.values_list("run_id", flat=True).get(pk=task_id)
    with unit_of_work() as unit:
        lock_run(run_id)
        task = _orphans().filter(pk=task_id).first()
        if task is None:
            return False
        actor = system_actor(task.workspace_id, "sweep")
        return cancel(unit, actor, task, CancelReason.RUN_ENDED)


def _stranded() -> QuerySet[ToolCall]:
    """Calls of which nothing was sent, and whose run is over."""
    return ToolCall.objects.filter(_UNSENT, run__status__in=_ENDED)


def stranded_calls(limit: int) -> list[UUID]:
    return _ids(_stranded(), limit)


def drop_stranded(call_id: UUID) -> bool:
    """Cancel an unsent call whose run is over."""
    rows = ToolCall.objects.select_related("operation__integration")
    call = rows.get(pk=call_id)
    with unit_of_work() as unit:
        lock_run(call.run_id)
        if not _stranded().filter(pk=call_id).exists():
            return False
        actor = system_actor(call.workspace_id, "sweep")
        reason = EndReason.RUN_ENDED
        return cancel_unsent(unit, actor, call, code=reason.value, detail=reason.label)


def outdated_operations(limit: int) -> list[UUID]:
    """Operations that changed while calls wait, and whose tasks do not say so; or disabled ones."""
    waiting = ToolCall.objects.filter(status__in=CALL_WAITS_FOR_PERSON)
    changed = ~Q(operation_version=F("operation__version"))
    off = Q(operation__enabled=False) | Q(operation__integration__enabled=False)
    return list(
        waiting.filter(changed | off)
        .order_by()
        .values_list("operation", flat=True)
        .distinct()[:limit]
    )


def refresh_operation(operation_id: UUID) -> bool:
    """Make the tasks stale that wait on an operation as it was, or drop them where it is off."""
    rows = Operation.objects.select_related("integration")
    with unit_of_work() as unit:
        operation = rows.select_for_update(no_key=True, of=("self",)).get(pk=operation_id)
        actor = system_actor(operation.workspace_id, "sweep")
        enabled = operation.enabled and operation.integration.enabled
        refresh_waiting(unit, actor, operation, ["version"] if enabled else [])
    return True


def _unasked() -> QuerySet[ToolCall]:
    """Calls that wait for a person, and nobody is asked."""
    asked = UserTask.objects.pending().filter(tool_call=OuterRef("pk"), about__in=ABOUT_A_CALL)
    waiting = ToolCall.objects.filter(status__in=CALL_WAITS_FOR_PERSON, run__status__in=RUN_OPEN)
    return waiting.filter(~Exists(asked))


def unasked_calls(limit: int) -> list[UUID]:
    return _ids(_unasked(), limit)


def ask_again(call_id: UUID) -> bool:
    """Ask a person about a call that waits for one and has no task."""
    rows = ToolCall.objects.select_related(
        "operation__integration", "run__session", "run__agent", "agent"
    )
    call = rows.get(pk=call_id)
    with unit_of_work() as unit:
        lock_run(call.run_id)
        if not _unasked().filter(pk=call_id).exists():
            return False
        actor = system_actor(call.workspace_id, "sweep")
        if call.status == CallStatus.AWAITING_REVIEW:
            open_review(unit, actor, call, why=call.why, incident=None)
        else:
            open_approval(unit, actor, call)
        settle_run(unit, call.run_id)
    return True


def _unsettled() -> QuerySet[Run]:
    """Runs that say `waiting` with nothing open, or `running` with something open."""
    calls = ToolCall.objects.filter(run=OuterRef("pk"), status__in=CALL_OPEN)
    tasks = UserTask.objects.pending().filter(run=OuterRef("pk")).exclude(kind__in=NEVER_BLOCKING)
    waits = Exists(calls) | Exists(tasks)
    return Run.objects.filter(
        Q(status=RunStatus.WAITING) & ~waits | Q(status=RunStatus.RUNNING) & waits
    )


def unsettled_runs(limit: int) -> list[UUID]:
    return _ids(_unsettled(), limit)


def settle(run_id: UUID) -> bool:
    """Let a run say what is true."""
    with unit_of_work() as unit:
        if not try_lock_run(run_id) or not _unsettled().filter(pk=run_id).exists():
            return False
        settle_run(unit, run_id)
    return True


def check_routes(limit: int = LOOKED_AT) -> int:
    """Flag the tasks that nobody is left to decide, and lift the flag where somebody is.

    Args:
        limit: how many tasks of a workspace are looked at.

    Returns:
        How many flags changed.
    """
    pending = UserTask.objects.pending()
    workspaces = pending.order_by().values_list("workspace", flat=True).distinct()
    return sum(_check_routes(workspace_id, limit) for workspace_id in workspaces)


def _check_routes(workspace_id: UUID, limit: int) -> int:
    members = people(workspace_id)
    moved = 0
    for task in misrouted(workspace_id, members, limit):
        with unit_of_work() as unit:
            moved += flag_unroutable(unit, system_actor(workspace_id, "sweep"), task, members)
    return moved


def _ids(rows: QuerySet[ToolCall] | QuerySet[UserTask] | QuerySet[Run], limit: int) -> list[UUID]:
    return list(rows.order_by("created_at", "pk").values_list("pk", flat=True)[:limit])


Find = Callable[[int], list[UUID]]
Act = Callable[[UUID], bool]
CHECKS: dict[str, tuple[Find, Act]] = {
    "orphaned_tasks_dropped": (orphaned_tasks, drop_orphan),
    "stranded_calls_dropped": (stranded_calls, drop_stranded),
    "outdated_operations_refreshed": (outdated_operations, refresh_operation),
    "unasked_calls_asked": (unasked_calls, ask_again),
    "runs_settled": (unsettled_runs, settle),
}
