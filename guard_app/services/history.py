"""Facts about earlier calls, looked up in the database: one statement for all rules together."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db.models import (
    Exists,
    F,
    FloatField,
    Func,
    IntegerField,
    Q,
    QuerySet,
    Subquery,
)

from accounts_app.models import Workspace
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
        columns: dict[str, Any] = {}
        reads: list[ReadFrom] = []
        for number, need in enumerate(wanted):
            if isinstance(need, ReadFrom):
                reads.append(need)
            elif not isinstance(need, (UsualValues, UsualPace)):
                columns |= self._columns(f"fact{number}", need, arguments)
        if columns:
            rows = Workspace.objects.filter(pk=self.call.workspace_id)
            found = rows.annotate(**columns).values(*columns).get()
            for number, need in enumerate(wanted):
                facts |= _read(f"fact{number}", need, found)
        for need in reads:
            facts[need] = self._read_from(need)
        learned = [need for need in wanted if isinstance(need, (UsualValues, UsualPace))]
        return facts | learned_facts(self.call, learned, self.now)

    def _columns(
        self, name: str, need: Calls | Total | KnownValue | KnownOperation, arguments: Any
    ) -> dict[str, Any]:
        if isinstance(need, Calls):
            return {name: _count(self._calls(need))}
        if isinstance(need, Total):
            return {name: _sum(self._amounts(need))}
        if isinstance(need, KnownValue):
            rows = self._measures().filter(pointer=need.pointer)
            same = rows.filter(digest=value_digest(self.call, arguments, need.pointer))
            return {name: Exists(same), f"{name}_others": _count(rows[:ENOUGH])}
        calls = self._earlier().filter(agent=self.call.agent_id, status__in=LET_THROUGH)
        same_calls = calls.filter(operation=self.call.operation_id)
        return {name: Exists(same_calls), f"{name}_others": _count(calls[:ENOUGH])}

    def _earlier(self) -> QuerySet[ToolCall]:
        rows = ToolCall.objects.in_workspace(self.call.workspace_id)
        return rows.exclude(pk=self.call.pk).order_by()

    def _calls(self, need: Calls) -> QuerySet[ToolCall]:
        rows = self._earlier().filter(self._among(need.scope))
        if need.same_arguments:
            rows = rows.filter(
                operation=self.call.operation_id, arguments_digest=self.call.arguments_digest
            )
        if need.operations:
            rows = rows.filter(operation__in=need.operations)
        since = self._since(need.window_seconds)
        if need.ended_as:
            return rows.filter(status=need.ended_as, finished_at__gt=since)
        return rows if since is None else rows.filter(created_at__gt=since)

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
        if need.operations:
            rows = rows.filter(operation__in=need.operations)
        since = self._since(need.window_seconds)
        return rows.order_by() if since is None else rows.filter(at__gt=since).order_by()

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


def _read(name: str, need: Need, found: Mapping[str, Any]) -> dict[Need, Any]:
    if name not in found:
        return {}
    if isinstance(need, (KnownValue, KnownOperation)):
        return {need: Known(found[name], found[f"{name}_others"])}
    return {need: found[name] or 0}


def _count(rows: QuerySet[Any]) -> Subquery:
    if rows.query.is_sliced:
        rows = rows.model._default_manager.filter(pk__in=rows.values("pk")).order_by()
    # A function that Django does not know as an aggregate: it would group by the key.
    counted = rows.annotate(n=Func(F("pk"), function="COUNT", output_field=IntegerField()))
    return Subquery(counted.values("n"), output_field=IntegerField())


def _sum(rows: QuerySet[Measure]) -> Subquery:
    total = rows.annotate(n=Func(F("number"), function="SUM", output_field=FloatField()))
    return Subquery(total.values("n"), output_field=FloatField())
