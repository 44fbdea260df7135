"""Facts about earlier calls, from the database: one statement for all that the rules ask.

It is written by hand: putting it together with the ORM, and asking in a dozen statements, took
three times as long as all the rest of a screening (`python -m benchmarks.guard --inline`).
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from django.db import connection, models

from accounts_app.models import Agent
from guard_app.facts import (
    Calls,
    Facts,
    Known,
    KnownOperation,
    KnownValue,
    Need,
    ReadFrom,
    Total,
    UsualValues,
)
from guard_app.models import Baseline, Measure
from guard_app.services.learning import hour_of, pace_in, range_in
from guard_app.services.measuring import value_digest
from guard_app.services.statuses import LET_THROUGH, RAN_OR_WAITS
from guard_app.states import CountScope
from integrations_app.models import Run, Session, ToolCall
from integrations_app.states import CallStatus

ENOUGH: Final = 200
"""Calls counted to say how much there is to compare with; more say nothing new."""

_AGENT, _BASELINE, _CALL, _MEASURE, _RUN, _SESSION = (
    model._meta.db_table for model in (Agent, Baseline, ToolCall, Measure, Run, Session)
)
_ID: Final = models.UUIDField()

_FAMILY: Final = f"""
WITH RECURSIVE above(id, parent_id) AS (
    SELECT id, parent_id FROM {_RUN} WHERE id = %s
    UNION SELECT r.id, r.parent_id FROM above JOIN {_RUN} r ON r.id = above.parent_id
), family(id) AS (
    SELECT id FROM above
    UNION SELECT r.id FROM family JOIN {_RUN} r ON r.parent_id = family.id
)
SELECT family.id, CASE WHEN above.id IS NULL THEN '' ELSE a.slug END
FROM family JOIN {_RUN} r ON r.id = family.id JOIN {_AGENT} a ON a.id = r.agent_id
LEFT JOIN above ON above.id = family.id
"""  # noqa: S608 - names of tables, no values


@dataclass(frozen=True, slots=True)
class Kin:
    """A run with the runs that it comes from and that come from its root.

    Args:
        run_ids: all of them.
        agents: slugs of the agents of the run and of those above it.
    """

    run_ids: tuple[UUID, ...]
    agents: frozenset[str]


def kin_of(run_id: UUID) -> Kin:
    """The family of a run: counting by run must not be escaped by starting sub-agents."""
    with connection.cursor() as cursor:
        cursor.execute(_FAMILY, [_bound(run_id)])
        rows = cursor.fetchall()
    ids = sorted(_ID.to_python(run) for run, _ in rows)
    return Kin(tuple(ids), frozenset(slug for _, slug in rows if slug))


@dataclass(slots=True)
class _Look:
    """One pass over some rows, and the columns that it gives.

    Args:
        rows: what follows FROM; empty for columns that look for themselves.
        values: the parameters in `rows`.
    """

    rows: str
    values: list[Any] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    column_values: list[Any] = field(default_factory=list)

    def add(self, column: str, values: Iterable[Any] = ()) -> None:
        self.columns.append(column)
        self.column_values += values

    @property
    def sql(self) -> str:
        columns = ", ".join(f"{column} AS x{n}" for n, column in enumerate(self.columns))
        return f"(SELECT {columns}{self.rows and f' FROM {self.rows}'})"  # noqa: S608 - see above


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
        return kin_of(self.call.run_id)

    @property
    def agents_above(self) -> frozenset[str]:
        """The agents of the runs that the call's run comes from, and its own."""
        return self.kin.agents if self.call.run.parent_id else frozenset()

    def look_up(self, needs: Iterable[Need], arguments: Mapping[str, Any]) -> Facts:
        """Every fact that was asked for.

        Args:
            needs: what the detectors need; the same need is looked up once.
            arguments: of the call, in full.
        """
        asked: dict[tuple[Any, ...], list[Need]] = {}
        for need in dict.fromkeys(needs):
            asked.setdefault(_rows_of(need), []).append(need)
        if not asked:
            return {}
        looks = [self._look(together, arguments) for together in asked.values()]
        tables = " CROSS JOIN ".join(f"{look.sql} t{n}" for n, look in enumerate(looks))
        values = [value for look in looks for value in (*look.column_values, *look.values)]
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {tables}", values)  # noqa: S608 - see above
            row = iter(cursor.fetchone())
        return {need: self._fact(need, row) for together in asked.values() for need in together}

    def _look(self, together: Sequence[Need], arguments: Mapping[str, Any]) -> _Look:
        """The pass that answers needs which look at the same rows."""
        first = together[0]
        if isinstance(first, (Calls, Total)):
            counted = [need for need in together if isinstance(need, (Calls, Total))]
            return self._sums(first, counted)
        look = _Look("")
        for need in together:
            self._add_single(look, need, arguments)
        return look

    def _sums(self, first: Calls | Total, together: Sequence[Calls | Total]) -> _Look:
        """Counts or sums, over rows no older than the longest window of them all."""
        moment = _moment_of(first)
        look = self._calls(first) if isinstance(first, Calls) else self._amounts(first)
        longest = max(need.window_seconds or 0 for need in together)
        if longest:
            look.rows += f" AND {moment} > %s"
            look.values.append(self._since(longest))
        for need in together:
            kept: list[str] = []
            values: list[Any] = []
            if need.operations:
                kept.append(f"x.operation_id IN ({_places(need.operations)})")
                values += map(_bound, need.operations)
            if need.window_seconds and need.window_seconds != longest:
                kept.append(f"{moment} > %s")
                values.append(self._since(need.window_seconds))
            sums = "COUNT(*)" if isinstance(need, Calls) else "SUM(x.number)"
            look.add(f"{sums} FILTER (WHERE {' AND '.join(kept)})" if kept else sums, values)
        return look

    def _calls(self, need: Calls) -> _Look:
        rows, values = self._among(need.scope)
        look = _Look(f"{_CALL} x WHERE {rows} AND x.id <> %s", [*values, _bound(self.call.pk)])
        if need.same_arguments:
            look.rows += " AND x.operation_id = %s AND x.arguments_digest = %s"
            look.values += [_bound(self.call.operation_id), self.call.arguments_digest]
        if need.ended_as:
            look.rows += f" AND x.status = {_text(CallStatus(need.ended_as))}"
        return look

    def _amounts(self, need: Total) -> _Look:
        rows, values = self._among(need.scope, measured=True)
        return _Look(
            f"{_MEASURE} x JOIN {_CALL} c ON c.id = x.call_id AND c.status IN ({_RAN_OR_WAITS})"
            f" WHERE {rows} AND x.pointer = %s AND x.call_id <> %s",
            [*values, need.pointer, _bound(self.call.pk)],
        )

    def _among(self, scope: CountScope, *, measured: bool = False) -> tuple[str, list[Any]]:
        """Which rows a scope has: those of calls, or of what was measured of them."""
        session = self.call.run.session
        ids = list(map(_bound, self.kin.run_ids)) if scope == CountScope.RUN else []
        if scope == CountScope.RUN and not measured:
            return f"x.run_id IN ({_places(ids)})", ids
        if scope == CountScope.AGENT:
            return "x.agent_id = %s", [_bound(self.call.agent_id)]
        workspace, person = _bound(self.call.workspace_id), session.participant.casefold()
        if measured and scope == CountScope.PARTICIPANT:
            return "x.workspace_id = %s AND x.participant = %s", [workspace, person]
        if measured and scope == CountScope.RUN:
            text = f"x.session_id = %s AND x.run_id IN ({_places(ids)})"
            return text, [_bound(session.pk), *ids]
        if measured:
            return "x.session_id = %s", [_bound(session.pk)]
        runs = f"x.run_id IN (SELECT r.id FROM {_RUN} r JOIN {_SESSION} s ON s.id = r.session_id"  # noqa: S608
        if scope == CountScope.PARTICIPANT:
            text = f"{runs} WHERE s.workspace_id = %s AND UPPER(s.participant) = UPPER(%s))"
            return text, [workspace, session.participant]
        return f"{runs} WHERE s.id = %s)", [_bound(session.pk)]

    def _add_single(self, look: _Look, need: Need, arguments: Mapping[str, Any]) -> None:
        """A column that looks for itself."""
        agent, operation = _bound(self.call.agent_id), _bound(self.call.operation_id)
        if isinstance(need, KnownOperation):
            rows = (
                f"{_CALL} x WHERE x.agent_id = %s AND x.id <> %s AND x.status IN ({_LET_THROUGH})"
            )
            values = [agent, _bound(self.call.pk)]
            self._add_known(look, rows, values, "x.operation_id = %s", operation)
        elif isinstance(need, KnownValue):
            rows = (
                f"{_MEASURE} x JOIN {_CALL} c ON c.id = x.call_id AND c.status IN ({_LET_THROUGH})"
                " WHERE x.agent_id = %s AND x.operation_id = %s AND x.pointer = %s"
                " AND x.call_id <> %s"
            )
            values = [agent, operation, need.pointer, _bound(self.call.pk)]
            digest = value_digest(self.call, arguments, need.pointer)
            self._add_known(look, rows, values, "x.digest = %s", digest)
        elif isinstance(need, ReadFrom):
            ids = list(map(_bound, self.kin.run_ids))
            for source in need.operations:
                rows = f"x.run_id IN ({_places(ids)}) AND x.operation_id = %s AND x.id <> %s"
                text = f"SELECT 1 FROM {_CALL} x WHERE {rows} AND x.status IN ({_LET_THROUGH})"  # noqa: S608
                look.add(f"EXISTS ({text})", [*ids, _bound(source), _bound(self.call.pk)])
        elif isinstance(need, UsualValues):
            rows = f"{_BASELINE} WHERE operation_id = %s AND pointer = %s"
            look.add(f"(SELECT data FROM {rows})", [operation, need.pointer])  # noqa: S608
        else:
            rows = f"{_BASELINE} WHERE agent_id = %s AND operation_id IS NULL"
            look.add(f"(SELECT data FROM {rows})", [agent])  # noqa: S608

    def _add_known(
        self, look: _Look, rows: str, values: list[Any], same: str, value: object
    ) -> None:
        """Nothing where it was seen; else how much there is to compare with."""
        seen = f"EXISTS (SELECT 1 FROM {rows} AND {same})"  # noqa: S608
        others = f"(SELECT COUNT(*) FROM (SELECT 1 FROM {rows} LIMIT {ENOUGH}) o)"  # noqa: S608
        look.add(f"CASE WHEN {seen} THEN NULL ELSE {others} END", [*values, value, *values])

    def _fact(self, need: Need, row: Any) -> Any:
        """What the next column, or columns, of the answer say."""
        if isinstance(need, ReadFrom):
            return sorted(source for source in need.operations if next(row))
        found = next(row)
        if isinstance(need, (Calls, Total)):
            return found or 0
        if isinstance(need, (KnownValue, KnownOperation)):
            return Known(found is None, found or 0)
        if found is None:
            return None
        return (
            range_in(found) if isinstance(need, UsualValues) else pace_in(found, hour_of(self.now))
        )

    def _since(self, seconds: float) -> Any:
        return connection.ops.adapt_datetimefield_value(self.now - dt.timedelta(seconds=seconds))


def _rows_of(need: Need) -> tuple[Any, ...]:
    """Needs with the same key are answered by one pass over the same rows."""
    if isinstance(need, Calls):
        windowed = need.window_seconds is not None
        return ("calls", windowed, need.scope, need.ended_as, need.same_arguments)
    if isinstance(need, Total):
        return ("total", need.window_seconds is not None, need.scope, need.pointer)
    return ()


def _moment_of(need: Calls | Total) -> str:
    if isinstance(need, Total):
        return "x.at"
    return "x.finished_at" if need.ended_as else "x.created_at"


def _bound(value: UUID) -> Any:
    return _ID.get_db_prep_value(value, connection)


def _places(values: Sequence[object]) -> str:
    return ", ".join(["%s"] * len(values))


def _text(status: CallStatus) -> str:
    """A status as it stands in a statement, so that partial indexes fit it."""
    return f"'{status.value}'"


_LET_THROUGH: Final = ", ".join(map(_text, LET_THROUGH))
_RAN_OR_WAITS: Final = ", ".join(map(_text, RAN_OR_WAITS))
