"""Facts about earlier calls, from the database: one statement for all that the rules ask.

It is written by hand: putting it together with the ORM, and asking in a dozen statements, took
three times as long as all the rest of a screening (`python -m benchmarks.guard --inline`).
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from django.db import connection

from accounts_app.statements import bound, places
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
from guard_app.services.family import Kin, standing_of
from guard_app.services.learning import hour_of, pace_in, range_in
from guard_app.services.measuring import value_digest
from guard_app.services.statuses import LET_THROUGH, RAN_OR_WAITS
from guard_app.states import CountScope
from integrations_app.models import Run, Session, ToolCall
from integrations_app.states import CALL_FOR_NOTHING, CallStatus

ENOUGH: Final = 200
"""Calls counted to say how much there is to compare with; more say nothing new."""

_BASELINE, _CALL, _MEASURE, _RUN, _SESSION = (
    model._meta.db_table for model in (Baseline, ToolCall, Measure, Run, Session)
)


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
        return f"(SELECT {columns}{self.rows and f' FROM {self.rows}'})"  # noqa: S608 - names of tables, no values


class History:
    """What came before one call.

    Args:
        call: the call; its run's lock is held, so that its history stands still.
        now: the time of the screening.
        until: what came after this moment is no history; None where nothing can have come.
        again: the call was edited, which changes what it says and not when it came: calls are
            counted as they were then; amounts, and calls that say the same, as they are now.
    """

    def __init__(
        self,
        call: ToolCall,
        now: dt.datetime,
        until: dt.datetime | None = None,
        *,
        again: bool = False,
    ) -> None:
        self.call = call
        self.now = now
        self.until = until
        self.again = again
        self.counted_at = call.created_at if again else now

    @cached_property
    def _standing(self) -> tuple[int | None, Kin]:
        return standing_of(self.call)

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

    def ask(self, needs: Iterable[Need], arguments: Mapping[str, Any]) -> Callable[[], Facts]:
        """Send for every fact that detectors need; the answer may take its time.

        Args:
            needs: what the detectors need; the same need is looked up once.
            arguments: of the call, in full.

        Returns:
            what gives the facts: inside of `sent_without_waiting`, to be called after it.
        """
        asked: dict[tuple[Any, ...], list[Need]] = {}
        for need in dict.fromkeys(needs):
            asked.setdefault(_rows_of(need), []).append(need)
        if not asked:
            return dict
        looks = [self._look(together, arguments) for together in asked.values()]
        tables = " CROSS JOIN ".join(f"{look.sql} t{n}" for n, look in enumerate(looks))
        values = [value for look in looks for value in (*look.column_values, *look.values)]
        cursor = connection.cursor()
        cursor.execute(f"SELECT * FROM {tables}", values)  # noqa: S608 - see above

        def answer() -> Facts:
            with cursor:
                row = iter(cursor.fetchone())
            return {need: self._fact(need, row) for together in asked.values() for need in together}

        return answer

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
        now = self.counted_at if isinstance(widest, Calls) else self.now
        before, values = _until(moment, self.until)
        look.rows += before
        look.values += values
        longest = max(need.window_seconds or 0 for need in together)
        if not all(need.window_seconds for need in together):
            longest = 0
        if longest:
            within, values = _within(moment, longest, now)
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
                values.append(_since(need.window_seconds, now))
            if self.again and isinstance(need, Calls) and not need.same_arguments:
                kept.append(f"{moment} <= %s")
                values.append(connection.ops.adapt_datetimefield_value(self.counted_at))
            sums = "COUNT(*)" if isinstance(need, Calls) else "SUM(x.number)"
            look.add(f"{sums} FILTER (WHERE {' AND '.join(kept)})" if kept else sums, values)
        return look

    def _narrowed(self, need: Calls | Total, widest: Calls | Total) -> tuple[list[str], list[Any]]:
        """Which of the rows of the widest scope a need is about."""
        kept: list[str] = []
        values: list[Any] = []
        if need.scope != widest.scope and need.scope == CountScope.RUN:
            kept.append(f"x.run_id IN ({places(self.kin.run_ids)})")
            values += map(bound, self.kin.run_ids)
        elif need.scope != widest.scope:
            kept.append("x.session_id = %s")
            values.append(bound(self.call.run.session_id))
        if need.operations:
            kept.append(f"x.operation_id IN ({places(need.operations)})")
            values += map(bound, need.operations)
        if isinstance(need, Calls) and need.same_arguments:
            kept.append("x.operation_id = %s AND x.arguments_digest = %s")
            values += [bound(self.call.operation_id), self.call.arguments_digest]
        return kept, values

    def _calls(self, need: Calls) -> _Look:
        rows, values = self._among(need.scope)
        look = _Look(f"{_CALL} x WHERE {rows}", values)
        if need.ended_as:
            look.rows += f" AND x.status = {_text(CallStatus(need.ended_as))}"
        if not _counts_itself(need):
            look.rows += " AND x.id <> %s"
            look.values.append(bound(self.call.pk))
        return look

    def _amounts(self, need: Total) -> _Look:
        rows, values = self._among(need.scope, measured=True)
        return _Look(f"{_MEASURE} x WHERE {rows} AND x.pointer = %s", [*values, need.pointer])

    def _spent(self, need: Total, window: float) -> tuple[str, list[Any]]:
        """Only amounts of other calls that ran or wait.

        An agent has many calls and few that came to nothing: those are read once, instead of
        every call. A call ends after it came, so that none from before the window matters.
        """
        own = bound(self.call.pk)
        if need.scope != CountScope.AGENT:
            text = f"EXISTS (SELECT 1 FROM {_CALL} c WHERE c.id = x.call_id AND c.id <> %s"  # noqa: S608
            return f"{text} AND c.status IN ({_RAN_OR_WAITS}))", [own]
        ended = f"SELECT c.id FROM {_CALL} c WHERE c.agent_id = %s AND c.status IN ({_FOR_NOTHING})"  # noqa: S608
        values = [bound(self.call.agent_id)]
        if window:
            within, more = _within("c.finished_at", window, self.now)
            ended, values = f"{ended} AND {within}", [*values, *more]
        return f"x.call_id NOT IN ({ended} UNION ALL SELECT %s)", [*values, own]

    def _among(self, scope: CountScope, *, measured: bool = False) -> tuple[str, list[Any]]:
        """Which rows a scope has: those of calls, or of what was measured of them."""
        session = self.call.run.session
        ids = list(map(bound, self.kin.run_ids)) if scope == CountScope.RUN else []
        if scope == CountScope.RUN and not measured:
            return f"x.run_id IN ({places(ids)})", ids
        if scope == CountScope.AGENT:
            return "x.agent_id = %s", [bound(self.call.agent_id)]
        workspace, person = bound(self.call.workspace_id), session.participant.casefold()
        if measured and scope == CountScope.PARTICIPANT:
            return "x.workspace_id = %s AND x.participant = %s", [workspace, person]
        if measured and scope == CountScope.RUN:
            text = f"x.session_id = %s AND x.run_id IN ({places(ids)})"
            return text, [bound(session.pk), *ids]
        if measured:
            return "x.session_id = %s", [bound(session.pk)]
        if scope == CountScope.PARTICIPANT:
            runs = f"SELECT r.id FROM {_RUN} r JOIN {_SESSION} s ON s.id = r.session_id"  # noqa: S608
            text = f"x.run_id IN ({runs} WHERE s.workspace_id = %s AND"
            return f"{text} UPPER(s.participant) = UPPER(%s))", [workspace, session.participant]
        runs = f"SELECT r.id FROM {_RUN} r WHERE r.session_id = %s"  # noqa: S608
        return f"x.run_id IN ({runs})", [bound(session.pk)]

    def _add_single(self, look: _Look, need: Need, arguments: Mapping[str, Any]) -> None:
        """A column that looks for itself."""
        agent, operation = bound(self.call.agent_id), bound(self.call.operation_id)
        if isinstance(need, KnownOperation):
            before, more = _until("x.created_at", self.until)
            rows = (
                f"{_CALL} x WHERE x.agent_id = %s AND x.id <> %s AND x.status IN ({_LET_THROUGH})"
                f"{before}"
            )
            values = [agent, bound(self.call.pk), *more]
            self._add_known(look, rows, values, "x.operation_id = %s", operation)
        elif isinstance(need, KnownValue):
            before, more = _until("x.at", self.until)
            rows = (
                f"{_MEASURE} x JOIN {_CALL} c ON c.id = x.call_id AND c.status IN ({_LET_THROUGH})"
                " WHERE x.agent_id = %s AND x.operation_id = %s AND x.pointer = %s"
                f" AND x.call_id <> %s{before}"
            )
            values = [agent, operation, need.pointer, bound(self.call.pk), *more]
            digest = value_digest(self.call, arguments, need.pointer)
            self._add_known(look, rows, values, "x.digest = %s", digest)
        elif isinstance(need, ReadFrom):
            ids = list(map(bound, self.kin.run_ids))
            before, more = _until("x.created_at", self.until)
            for source in need.operations:
                rows = f"x.run_id IN ({places(ids)}) AND x.operation_id = %s AND x.id <> %s"
                rows += f" AND x.status IN ({_LET_THROUGH}){before}"
                text = f"SELECT 1 FROM {_CALL} x WHERE {rows}"  # noqa: S608
                look.add(f"EXISTS ({text})", [*ids, bound(source), bound(self.call.pk), *more])
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
            range_in(found)
            if isinstance(need, UsualValues)
            else pace_in(found, hour_of(self.counted_at))
        )

    def _is_counted(self, need: Calls) -> bool:
        """Whether the call itself is among those that were counted."""
        since = self.counted_at - dt.timedelta(seconds=need.window_seconds or 0)
        in_time = not need.window_seconds or since < self.call.created_at
        return in_time and (not need.operations or self.call.operation_id in need.operations)


def _until(moment: str, last: dt.datetime | None) -> tuple[str, list[Any]]:
    """Only what came until the last moment that counts, where there is one."""
    if last is None:
        return "", []
    return f" AND {moment} <= %s", [connection.ops.adapt_datetimefield_value(last)]


def _within(moment: str, seconds: float, now: dt.datetime) -> tuple[str, list[Any]]:
    """In a window; its end, which nothing reaches, tells the planner that few rows are in it.

    Of one bound whose value it does not know PostgreSQL believes that a third of all rows lie
    beyond it, and plans the statement anew for each call; of two, that few lie between them.
    """
    end = connection.ops.adapt_datetimefield_value(now + _NEVER)
    return f"{moment} > %s AND {moment} < %s", [_since(seconds, now), end]


def _since(seconds: float, now: dt.datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(now - dt.timedelta(seconds=seconds))


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
