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

from accounts_app.models import Agent, WorkspaceSettings
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
from guard_app.models import Baseline, GuardRule, Measure
from guard_app.services.learning import hour_of, pace_in, range_in
from guard_app.services.measuring import value_digest
from guard_app.services.statuses import LET_THROUGH, RAN_OR_WAITS
from guard_app.states import CountScope
from integrations_app.models import Run, Session, ToolCall
from integrations_app.states import CALL_FOR_NOTHING, CallStatus

ENOUGH: Final = 200
"""Calls counted to say how much there is to compare with; more say nothing new."""

_AGENT, _BASELINE, _CALL, _MEASURE, _RULE, _RUN, _SESSION, _SETTINGS = (
    model._meta.db_table
    for model in (Agent, Baseline, ToolCall, Measure, GuardRule, Run, Session, WorkspaceSettings)
)
_ID: Final = models.UUIDField()

_STANDING: Final = f"""
WITH RECURSIVE above(id, parent_id) AS (
    SELECT id, parent_id FROM {_RUN} WHERE id = %s
    UNION SELECT r.id, r.parent_id FROM above JOIN {_RUN} r ON r.id = above.parent_id
), family(id) AS (
    SELECT id FROM above
    UNION SELECT r.id FROM family JOIN {_RUN} r ON r.parent_id = family.id
)
SELECT family.id, CASE WHEN above.id IS NULL THEN '' ELSE a.slug END, (
    SELECT SUM(g.version) FROM {_RULE} g LEFT JOIN {_SETTINGS} s ON s.workspace_id = g.workspace_id
    WHERE g.workspace_id = %s AND (s.guard IS NULL OR s.guard)
)
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
        until: what came after this moment is no history; None where nothing can have come.
    """

    def __init__(self, call: ToolCall, now: dt.datetime, until: dt.datetime | None = None) -> None:
        self.call = call
        self.now = now
        self.until = until

    @cached_property
    def _standing(self) -> tuple[int | None, Kin]:
        """What every screening asks first, in one statement."""
        with connection.cursor() as cursor:
            asked = [_bound(self.call.run_id), _bound(self.call.workspace_id)]
            cursor.execute(_STANDING, asked)
            rows = cursor.fetchall()
        ids = sorted(_ID.to_python(run) for run, _, _ in rows)
        return rows[0][2], Kin(tuple(ids), frozenset(slug for _, slug, _ in rows if slug))

    @property
    def stamp(self) -> int | None:
        """The sum of the versions of all rules; None where the workspace asks none."""
        return self._standing[0]

    @property
    def kin(self) -> Kin:
        """The family of the run: counting by run must not be escaped by starting sub-agents."""
        return self._standing[1]

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
            return self._sums(counted)
        look = _Look("")
        for need in together:
            self._add_single(look, need, arguments)
        return look

    def _sums(self, together: Sequence[Calls | Total]) -> _Look:
        """Counts or sums, over the rows of the widest scope, no older than the longest window."""
        widest = max(together, key=lambda need: _WIDTH[need.scope])
        moment = _moment_of(widest)
        look = self._calls(widest) if isinstance(widest, Calls) else self._amounts(widest)
        before, values = self._before(moment)
        look.rows += before
        look.values += values
        longest = max(need.window_seconds or 0 for need in together)
        if not all(need.window_seconds for need in together):
            longest = 0
        if longest:
            within, values = self._within(moment, longest)
            look.rows += f" AND {within}"
            look.values += values
        if isinstance(widest, Total):
            spent, values = self._spent(widest, longest)
            look.rows += f" AND {spent}"
            look.values += values
        for need in together:
            kept, values = self._narrowed(need, widest)
            if need.window_seconds and need.window_seconds != longest:
                kept.append(f"{moment} > %s")
                values.append(self._since(need.window_seconds))
            sums = "COUNT(*)" if isinstance(need, Calls) else "SUM(x.number)"
            look.add(f"{sums} FILTER (WHERE {' AND '.join(kept)})" if kept else sums, values)
        return look

    def _narrowed(self, need: Calls | Total, widest: Calls | Total) -> tuple[list[str], list[Any]]:
        """Which of the rows of the widest scope a need is about."""
        kept: list[str] = []
        values: list[Any] = []
        if need.scope != widest.scope and need.scope == CountScope.RUN:
            kept.append(f"x.run_id IN ({_places(self.kin.run_ids)})")
            values += map(_bound, self.kin.run_ids)
        elif need.scope != widest.scope:
            kept.append("x.session_id = %s")
            values.append(_bound(self.call.run.session_id))
        if need.operations:
            kept.append(f"x.operation_id IN ({_places(need.operations)})")
            values += map(_bound, need.operations)
        if isinstance(need, Calls) and need.same_arguments:
            kept.append("x.operation_id = %s AND x.arguments_digest = %s")
            values += [_bound(self.call.operation_id), self.call.arguments_digest]
        return kept, values

    def _calls(self, need: Calls) -> _Look:
        rows, values = self._among(need.scope)
        look = _Look(f"{_CALL} x WHERE {rows}", values)
        if need.ended_as:
            look.rows += f" AND x.status = {_text(CallStatus(need.ended_as))}"
        if not _counts_itself(need):
            look.rows += " AND x.id <> %s"
            look.values.append(_bound(self.call.pk))
        return look

    def _amounts(self, need: Total) -> _Look:
        rows, values = self._among(need.scope, measured=True)
        text = f"{_MEASURE} x WHERE {rows} AND x.pointer = %s AND x.call_id <> %s"
        return _Look(text, [*values, need.pointer, _bound(self.call.pk)])

    def _spent(self, need: Total, window: float) -> tuple[str, list[Any]]:
        """Only amounts of calls that ran or wait.

        An agent has many calls and few that came to nothing: those are read once, instead of
        every call. A call ends after it came, so that none from before the window matters.
        """
        if need.scope != CountScope.AGENT:
            text = f"EXISTS (SELECT 1 FROM {_CALL} c WHERE c.id = x.call_id AND c.status IN"  # noqa: S608
            return f"{text} ({_RAN_OR_WAITS}))", []
        ended = f"SELECT c.id FROM {_CALL} c WHERE c.agent_id = %s AND c.status IN ({_FOR_NOTHING})"  # noqa: S608
        values = [_bound(self.call.agent_id)]
        if window:
            within, more = self._within("c.finished_at", window)
            ended, values = f"{ended} AND {within}", [*values, *more]
        return f"x.call_id NOT IN ({ended})", values

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
        if scope == CountScope.PARTICIPANT:
            runs = f"SELECT r.id FROM {_RUN} r JOIN {_SESSION} s ON s.id = r.session_id"  # noqa: S608
            text = f"x.run_id IN ({runs} WHERE s.workspace_id = %s AND"
            return f"{text} UPPER(s.participant) = UPPER(%s))", [workspace, session.participant]
        runs = f"SELECT r.id FROM {_RUN} r WHERE r.session_id = %s"  # noqa: S608
        return f"x.run_id IN ({runs})", [_bound(session.pk)]

    def _add_single(self, look: _Look, need: Need, arguments: Mapping[str, Any]) -> None:
        """A column that looks for itself."""
        agent, operation = _bound(self.call.agent_id), _bound(self.call.operation_id)
        if isinstance(need, KnownOperation):
            before, more = self._before("x.created_at")
            rows = (
                f"{_CALL} x WHERE x.agent_id = %s AND x.id <> %s AND x.status IN ({_LET_THROUGH})"
                f"{before}"
            )
            values = [agent, _bound(self.call.pk), *more]
            self._add_known(look, rows, values, "x.operation_id = %s", operation)
        elif isinstance(need, KnownValue):
            before, more = self._before("x.at")
            rows = (
                f"{_MEASURE} x JOIN {_CALL} c ON c.id = x.call_id AND c.status IN ({_LET_THROUGH})"
                " WHERE x.agent_id = %s AND x.operation_id = %s AND x.pointer = %s"
                f" AND x.call_id <> %s{before}"
            )
            values = [agent, operation, need.pointer, _bound(self.call.pk), *more]
            digest = value_digest(self.call, arguments, need.pointer)
            self._add_known(look, rows, values, "x.digest = %s", digest)
        elif isinstance(need, ReadFrom):
            ids = list(map(_bound, self.kin.run_ids))
            before, more = self._before("x.created_at")
            for source in need.operations:
                rows = f"x.run_id IN ({_places(ids)}) AND x.operation_id = %s AND x.id <> %s"
                rows += f" AND x.status IN ({_LET_THROUGH}){before}"
                text = f"SELECT 1 FROM {_CALL} x WHERE {rows}"  # noqa: S608
                look.add(f"EXISTS ({text})", [*ids, _bound(source), _bound(self.call.pk), *more])
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
        if isinstance(need, Calls) and _counts_itself(need):
            return (found or 0) - self._is_counted(need)
        if isinstance(need, (Calls, Total)):
            return found or 0
        if isinstance(need, (KnownValue, KnownOperation)):
            return Known(found is None, found or 0)
        if found is None:
            return None
        return (
            range_in(found) if isinstance(need, UsualValues) else pace_in(found, hour_of(self.now))
        )

    def _is_counted(self, need: Calls) -> bool:
        """Whether the call itself is among those that were counted."""
        since = self.now - dt.timedelta(seconds=need.window_seconds or 0)
        in_time = not need.window_seconds or since < self.call.created_at
        return in_time and (not need.operations or self.call.operation_id in need.operations)

    def _before(self, moment: str) -> tuple[str, list[Any]]:
        """Only what came until the moment at which history ends, where it does."""
        if self.until is None:
            return "", []
        return f" AND {moment} <= %s", [connection.ops.adapt_datetimefield_value(self.until)]

    def _within(self, moment: str, seconds: float) -> tuple[str, list[Any]]:
        """In a window; its end, which nothing reaches, tells the planner that few rows are in it.

        Of one bound whose value it does not know PostgreSQL believes that a third of all rows lie
        beyond it, and plans the statement anew for each call; of two, that few lie between them.
        """
        end = connection.ops.adapt_datetimefield_value(self.now + _NEVER)
        return f"{moment} > %s AND {moment} < %s", [self._since(seconds), end]

    def _since(self, seconds: float) -> Any:
        return connection.ops.adapt_datetimefield_value(self.now - dt.timedelta(seconds=seconds))


def _rows_of(need: Need) -> tuple[Any, ...]:
    """Needs with the same key are answered by one pass over the same rows."""
    if isinstance(need, Calls):
        among = _CALLS_AMONG[need.scope]
        return ("calls", among, need.ended_as, among != "near" and need.window_seconds is not None)
    if isinstance(need, Total):
        among = "agent" if need.scope == CountScope.AGENT else "near"
        return ("total", among, need.pointer, among != "near" and need.window_seconds is not None)
    return ()


def _counts_itself(need: Calls) -> bool:
    """Whether the call's own row is counted with the others: by an index without ids."""
    return need.scope == CountScope.AGENT and not need.ended_as


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


_WIDTH: Final = {scope: width for width, scope in enumerate(CountScope)}
_CALLS_AMONG: Final = {
    CountScope.RUN: "near",
    CountScope.SESSION: "near",
    CountScope.PARTICIPANT: "participant",
    CountScope.AGENT: "agent",
}
_NEVER: Final = dt.timedelta(days=3650)
_LET_THROUGH: Final = ", ".join(map(_text, LET_THROUGH))
_FOR_NOTHING: Final = ", ".join(map(_text, CALL_FOR_NOTHING))
_RAN_OR_WAITS: Final = ", ".join(map(_text, RAN_OR_WAITS))
