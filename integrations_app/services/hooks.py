"""Where an act in this part must move rows of a higher one, it calls a hook, in its transaction.

The higher app fills the hooks in its `AppConfig.ready()`. A hook that nobody filled does
nothing, because then there are no such rows.
"""

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from django.db.models import QuerySet

from accounts_app.scoping import Actor
from accounts_app.services.unit import Unit
from integrations_app.models import Operation, ToolCall
from integrations_app.states import EndReason


@dataclass(frozen=True, slots=True)
class RunsEnded:
    """Runs that end together, in one transaction; their rows are locked."""

    run_ids: Sequence[UUID]
    reason: EndReason
    comment: str


class OnRunsEnded(Protocol):
    def __call__(self, unit: Unit, actor: Actor, ended: RunsEnded) -> None: ...


class OnOperationChanged(Protocol):
    def __call__(
        self, unit: Unit, actor: Actor, operation: Operation, changed: Sequence[str]
    ) -> None: ...


class OnCall(Protocol):
    def __call__(self, unit: Unit, actor: Actor, call: ToolCall) -> None: ...


def _no_run_ended(unit: Unit, actor: Actor, ended: RunsEnded) -> None:
    return None


def _no_operation_changed(
    unit: Unit, actor: Actor, operation: Operation, changed: Sequence[str]
) -> None:
    return None


def _no_call(unit: Unit, actor: Actor, call: ToolCall) -> None:
    return None


def _no_tasks(run_ids: Collection[UUID]) -> QuerySet[Any, UUID]:
    return ToolCall.objects.none().values_list("run_id", flat=True)


def _nothing_dropped(workspace_id: UUID) -> int:
    return 0


def _nothing_pruned(before: dt.datetime) -> dict[str, int]:
    return {}


@dataclass(slots=True)
class Hooks:
    """What the higher parts do along.

    Attributes:
        runs_ended: drop the runs' pending tasks.
        operation_changed: refresh or drop the tasks that wait on calls of the operation; an
            empty `changed` says that it was disabled.
        call_changed: the request is no longer what was recorded; the call is still claimed or
            queued, and must be routed anew.
        call_unknown: nobody can say whether the call happened; ask a person.
        open_tasks: the blocking tasks that are pending in these runs, each as its run's id.
        restored: drop what the backup would still tell people; returns how many messages.
        prune: delete what is no evidence and older than a moment, in small transactions; returns
            how many rows of each kind.
    """

    runs_ended: OnRunsEnded = field(default=_no_run_ended)
    operation_changed: OnOperationChanged = field(default=_no_operation_changed)
    call_changed: OnCall = field(default=_no_call)
    call_unknown: OnCall = field(default=_no_call)
    open_tasks: Callable[[Collection[UUID]], QuerySet[Any, UUID]] = field(default=_no_tasks)
    restored: Callable[[UUID], int] = field(default=_nothing_dropped)
    prune: Callable[[dt.datetime], dict[str, int]] = field(default=_nothing_pruned)


hooks = Hooks()
