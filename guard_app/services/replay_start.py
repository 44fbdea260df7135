"""What a replay begins with: who comes from whom, and what was known before its period."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet, Sum

from guard_app.facts import Calls, Need, ReadFrom, Total
from guard_app.models import Baseline, Measure, Replay
from guard_app.services.learning import hour_of, pace_of, range_of, sketch_of
from guard_app.services.replaying import Learned, Stream
from guard_app.services.statuses import LET_THROUGH, RAN_OR_WAITS
from guard_app.states import CountScope, Detector
from integrations_app.models import Run, ToolCall

WARM_UP = dt.timedelta(days=1)
"""How long before its period a replay begins to count, where the rule has no window."""


class Families:
    """Which runs come from which, for a whole workspace."""

    def __init__(self, parents: Mapping[UUID, UUID], agents: Mapping[UUID, str]) -> None:
        self.parents = parents
        self.agents = agents

    def root(self, run_id: UUID) -> UUID:
        return self._line(run_id)[-1]

    def agents_above(self, run_id: UUID) -> set[str]:
        return {self.agents[pk] for pk in self._line(run_id)[1:]}

    def _line(self, run_id: UUID) -> list[UUID]:
        line = [run_id]
        while line[-1] in self.parents:
            line.append(self.parents[line[-1]])
        return line


def families(workspace_id: UUID) -> Families:
    rows = Run.objects.in_workspace(workspace_id).filter(parent__isnull=False)
    found = list(rows.values_list("pk", "parent_id", "parent__agent__slug"))
    parents = {pk: parent for pk, parent, _ in found if parent is not None}
    return Families(parents, {parent: slug for _, parent, slug in found if parent is not None})


def count_before(
    stream: Stream, replay: Replay, start: dt.datetime, needs: Iterable[Need], above: Families
) -> None:
    """Let counts and sums without a window begin with what they had when the replay begins.

    Args:
        stream: the history of the replay; nothing was added to it.
        replay: whose workspace and period.
        start: what came earlier is counted here, less what ended only since.
        needs: what the rule asks for.
        above: who comes from whom.
    """
    rows = ToolCall.objects.in_workspace(replay.workspace_id).filter(created_at__lt=start)
    known = replay.workspace_id, start
    seen = rows.model.objects.in_workspace(replay.workspace_id).filter(
        created_at__gte=start, created_at__lt=replay.until
    )
    # A family of runs lives in one session; of others nothing is asked.
    near = rows.filter(run__session__in=seen.order_by().values("run__session"))
    for need in needs:
        if isinstance(need, ReadFrom):
            found = near.filter(status__in=LET_THROUGH, operation__in=need.operations)
            pairs = found.order_by().values_list("run_id", "operation_id").distinct()
            for run_id, operation_id in pairs:
                stream.read[above.root(run_id)].add(operation_id)
        elif isinstance(need, Calls) and need.window_seconds is None:
            is_near = need.scope in (CountScope.RUN, CountScope.SESSION)
            counted = (near if is_near else rows).exclude(finished_at__gte=start)
            _count_calls(stream, need, counted, above)
        elif isinstance(need, Total) and need.window_seconds is None:
            _count_amounts(stream, need, *known, above)


def _count_calls(stream: Stream, need: Calls, rows: QuerySet[ToolCall], above: Families) -> None:
    if need.operations:
        rows = rows.filter(operation__in=need.operations)
    names = [_CALLS_BY[need.scope]]
    if need.same_arguments:
        names += ["operation_id", "arguments_digest"]
    for first, *more, count in rows.order_by().values_list(*names).annotate(n=Count("pk")):
        stream.begin_with(need, (_first(need, first, above), *more), count)


def _count_amounts(
    stream: Stream, need: Total, workspace_id: UUID, start: dt.datetime, above: Families
) -> None:
    rows = Measure.objects.filter(
        workspace=workspace_id, at__lt=start, pointer=need.pointer, call__status__in=RAN_OR_WAITS
    ).exclude(call__finished_at__gte=start)
    if need.operations:
        rows = rows.filter(operation__in=need.operations)
    sums = rows.order_by().values_list(_MEASURES_BY[need.scope]).annotate(n=Sum("number"))
    for first, total in sums:
        stream.begin_with(need, (_first(need, first, above),), total or 0)


def _first(need: Calls | Total, value: Any, above: Families) -> Any:
    """What a group of rows is called in the replay's sums."""
    if need.scope == CountScope.RUN:
        return above.root(value)
    return value.casefold() if need.scope == CountScope.PARTICIPANT else value


_CALLS_BY = {
    CountScope.RUN: "run_id",
    CountScope.SESSION: "run__session_id",
    CountScope.PARTICIPANT: "run__session__participant",
    CountScope.AGENT: "agent_id",
}
_MEASURES_BY = {
    CountScope.RUN: "run_id",
    CountScope.SESSION: "session_id",
    CountScope.PARTICIPANT: "participant",
    CountScope.AGENT: "agent_id",
}


def learned_before(replay: Replay, start: dt.datetime, pointer: str | None) -> Learned:
    """What was known when the replay begins, and what is usual as learned until today."""
    learned = Learned()
    detector = replay.draft["detector"]
    before = ToolCall.objects.in_workspace(replay.workspace_id).filter(
        created_at__lt=start, status__in=LET_THROUGH
    )
    if detector == Detector.NEW_OPERATION:
        counted = before.order_by().values_list("agent_id", "operation_id").annotate(n=Count("pk"))
        for agent_id, operation_id, count in counted:
            learned.operations[agent_id, operation_id] = count
    elif detector == Detector.NEW_VALUE:
        rows = Measure.objects.filter(
            workspace=replay.workspace_id,
            at__lt=start,
            pointer=pointer,
            call__status__in=LET_THROUGH,
        )
        seen = rows.order_by().values_list("agent_id", "operation_id", "digest")
        for agent_id, operation_id, digest, count in seen.annotate(n=Count("pk")):
            learned.values[agent_id, operation_id].add(digest)
            learned.value_calls[agent_id, operation_id] += count
    elif detector == Detector.VALUE_RANGE:
        for row in _baselines(replay).filter(operation__isnull=False, pointer=pointer):
            if row.operation_id is not None:
                learned.ranges[row.operation_id, row.pointer] = range_of(sketch_of(row.data))
    elif detector == Detector.RATE_BASELINE:
        paces = {row.agent_id: row.data for row in _baselines(replay).filter(operation=None)}
        learned.pace = lambda agent_id, now: pace_of(paces.get(agent_id, {}), hour_of(now))
    return learned


def _baselines(replay: Replay) -> QuerySet[Baseline]:
    return Baseline.objects.in_workspace(replay.workspace_id)
