"""What a replay begins with: who comes from whom, and what was known before its period."""

import datetime as dt
from collections.abc import Mapping
from uuid import UUID

from django.db.models import Count, QuerySet

from guard_app.models import Baseline, Measure, Replay
from guard_app.services.learning import hour_of, pace_of, range_of, sketch_of
from guard_app.services.replaying import Learned
from guard_app.services.statuses import LET_THROUGH
from guard_app.states import Detector
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


def learned_before(replay: Replay, pointer: str | None) -> Learned:
    learned = Learned()
    detector = replay.draft["detector"]
    before = ToolCall.objects.in_workspace(replay.workspace_id).filter(
        created_at__lt=replay.since - WARM_UP, status__in=LET_THROUGH
    )
    if detector == Detector.NEW_OPERATION:
        counted = before.order_by().values_list("agent_id", "operation_id").annotate(n=Count("pk"))
        for agent_id, operation_id, count in counted:
            learned.operations[agent_id, operation_id] = count
    elif detector == Detector.NEW_VALUE:
        rows = Measure.objects.filter(
            workspace=replay.workspace_id,
            at__lt=replay.since - WARM_UP,
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
