"""Facts about earlier calls, from the database: one pass for all that looks at the same rows."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum

from guard_app.facts import (
    Calls,
    Facts,
    Known,
    KnownOperation,
    KnownValue,
    Need,
    ReadFrom,
    Total,
    UsualPace,
    UsualValues,
)
from guard_app.models import Measure
from guard_app.services.learning import learned_facts
from guard_app.services.measuring import value_digest
from guard_app.services.statuses import LET_THROUGH, RAN_OR_WAITS
from guard_app.states import CountScope
from integrations_app.models import Run, ToolCall

ENOUGH = 200
"""Calls counted to say how much there is to compare with; more say nothing new."""


@dataclass(frozen=True, slots=True)
class Kin:
    """A run with the runs that it comes from and that come from its root.

    Args:
        run_ids: all of them.
        agents: slugs of the agents of the run and of those above it.
    """

    run_ids: tuple[UUID, ...]
    agents: frozenset[str]


def kin_of(run: Run) -> Kin:
    """The family of a run: counting by run must not be escaped by starting sub-agents."""
    agents, root = {run.agent.slug}, run
    seen = {run.pk}
    while root.parent_id is not None and root.parent_id not in seen:
        root = Run.objects.select_related("agent").get(pk=root.parent_id)
        seen.add(root.pk)
        agents.add(root.agent.slug)
    family, layer = {root.pk}, [root.pk]
    while layer:
        below = Run.objects.filter(parent__in=layer).values_list("pk", flat=True)
        layer = [pk for pk in below if pk not in family]
        family.update(layer)
    return Kin(tuple(sorted(family)), frozenset(agents))


class History:
    """What came before one call.

    Args:
        call: the call; its run's lock is held, so that its history stands still.
        now: the time of the screening.
    """

    def __init__(self, call: ToolCall, now: dt.datetime) -> None:
        self.call = call
        self.now = now

    @cached_property
    def kin(self) -> Kin:
        return kin_of(self.call.run)

    def look_up(self, needs: Iterable[Need], arguments: Mapping[str, Any]) -> Facts:
        """Every fact that was asked for.

        Args:
            needs: what the detectors need; the same need is looked up once.
            arguments: of the call, in full.
        """
        wanted = list(dict.fromkeys(needs))
        facts: dict[Need, Any] = {}
        for rows, together in self._grouped(wanted):
            columns = {f"fact{n}": self._aggregate(need) for n, need in enumerate(together)}
            found = rows.aggregate(**columns)
            facts |= {need: found[f"fact{n}"] or 0 for n, need in enumerate(together)}
        for need in wanted:
            if isinstance(need, (KnownValue, KnownOperation)):
                facts[need] = self._known(need, arguments)
            elif isinstance(need, ReadFrom):
                facts[need] = self._read_from(need)
        learned = [need for need in wanted if isinstance(need, (UsualValues, UsualPace))]
        return facts | learned_facts(self.call, learned, self.now)

    def _grouped(self, wanted: list[Need]) -> list[tuple[QuerySet[Any], list[Calls | Total]]]:
        """Counts and sums that one pass over the same rows can answer."""
        groups: dict[tuple[str, ...], list[Calls | Total]] = {}
        for need in wanted:
            if isinstance(need, Calls):
                key = ("calls", need.scope.value, need.ended_as, str(need.same_arguments))
                groups.setdefault(key, []).append(need)
            elif isinstance(need, Total):
                groups.setdefault(("total", need.scope.value, need.pointer), []).append(need)
        return [(self._rows(together), together) for together in groups.values()]

    def _rows(self, together: list[Calls | Total]) -> QuerySet[Any]:
        """The rows that a group looks at, no older than its longest window."""
        first = together[0]
        rows = self._calls(first) if isinstance(first, Calls) else self._amounts(first)
        windows = [need.window_seconds for need in together]
        longest = max((each for each in windows if each is not None), default=None)
        if longest is None or None in windows:
            return rows
        return rows.filter(**{f"{_moment_of(first)}__gt": self._since(longest)})

    def _aggregate(self, need: Calls | Total) -> Count | Sum:
        condition = Q(operation__in=need.operations) if need.operations else Q()
        if need.window_seconds is not None:
            condition &= Q(**{f"{_moment_of(need)}__gt": self._since(need.window_seconds)})
        kept = condition or None
        return Count("pk", filter=kept) if isinstance(need, Calls) else Sum("number", filter=kept)

    def _known(self, need: KnownValue | KnownOperation, arguments: Mapping[str, Any]) -> Known:
        if isinstance(need, KnownValue):
            measures = self._measures().filter(pointer=need.pointer)
            digest = value_digest(self.call, arguments, need.pointer)
            return Known(measures.filter(digest=digest).exists(), _counted(measures))
        calls = self._earlier().filter(agent=self.call.agent_id, status__in=LET_THROUGH)
        return Known(calls.filter(operation=self.call.operation_id).exists(), _counted(calls))

    def _earlier(self) -> QuerySet[ToolCall]:
        rows = ToolCall.objects.in_workspace(self.call.workspace_id)
        return rows.exclude(pk=self.call.pk).order_by()

    def _calls(self, need: Calls) -> QuerySet[ToolCall]:
        rows = self._earlier().filter(self._among(need.scope))
        if need.same_arguments:
            rows = rows.filter(
                operation=self.call.operation_id, arguments_digest=self.call.arguments_digest
            )
        return rows.filter(status=need.ended_as) if need.ended_as else rows

    def _amounts(self, need: Total) -> QuerySet[Measure]:
        rows = Measure.objects.filter(
            workspace=self.call.workspace_id,
            pointer=need.pointer,
            call__status__in=RAN_OR_WAITS,
        ).exclude(call=self.call.pk)
        session = self.call.run.session
        if need.scope == CountScope.PARTICIPANT:
            rows = rows.filter(participant=session.participant.casefold())
        elif need.scope == CountScope.AGENT:
            rows = rows.filter(agent=self.call.agent_id)
        else:
            rows = rows.filter(session_id=session.pk)
        if need.scope == CountScope.RUN:
            rows = rows.filter(run_id__in=self.kin.run_ids)
        return rows.order_by()

    def _measures(self) -> QuerySet[Measure]:
        rows = Measure.objects.filter(
            agent=self.call.agent_id,
            operation=self.call.operation_id,
            call__status__in=LET_THROUGH,
        )
        return rows.exclude(call=self.call.pk).order_by()

    def _among(self, scope: CountScope) -> Q:
        session = self.call.run.session
        if scope == CountScope.RUN:
            return Q(run__in=self.kin.run_ids)
        if scope == CountScope.SESSION:
            return Q(run__session=session.pk)
        if scope == CountScope.PARTICIPANT:
            return Q(run__session__participant__iexact=session.participant)
        return Q(agent=self.call.agent_id)

    def _since(self, seconds: float | None) -> dt.datetime | None:
        return None if seconds is None else self.now - dt.timedelta(seconds=seconds)

    def _read_from(self, need: ReadFrom) -> list[UUID]:
        rows = self._earlier().filter(
            run__in=self.kin.run_ids, operation__in=need.operations, status__in=LET_THROUGH
        )
        return sorted(set(rows.values_list("operation_id", flat=True)))


def _moment_of(need: Calls | Total) -> str:
    if isinstance(need, Total):
        return "at"
    return "finished_at" if need.ended_as else "created_at"


def _counted(rows: QuerySet[Any]) -> int:
    """How much there is to compare with; more than enough says nothing new."""
    return rows.values("pk")[:ENOUGH].count()
