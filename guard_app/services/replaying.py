"""Facts about recorded calls, kept in memory while a replay goes through them in their order.

What `history.History` asks the database for one call, this answers for a hundred thousand, from
sums that each call is added to after it was judged.
"""

import datetime as dt
import heapq
import itertools
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

from accounts_app.strict_json import canonical
from guard_app.facts import (
    Calls,
    Facts,
    Known,
    KnownOperation,
    KnownValue,
    Need,
    Pace,
    Range,
    ReadFrom,
    Total,
    UsualValues,
    measure,
)
from guard_app.services.statuses import LET_THROUGH, RAN_OR_WAITS
from guard_app.states import CountScope
from integrations_app.pointers import exists, get

Key: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Past:
    """A recorded call, as far as later ones are counted with it.

    Args:
        root: the run at the top of its family.
        arguments: in full; empty where the rule looks at none.
    """

    id: UUID
    agent_id: UUID
    operation_id: UUID
    root: UUID
    session_id: UUID
    participant: str
    digest: str
    status: str
    at: dt.datetime
    finished_at: dt.datetime | None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Learned:
    """What was known before the period, and what is usual as learned until today."""

    values: dict[tuple[UUID, UUID], set[str]] = field(default_factory=lambda: defaultdict(set))
    value_calls: Counter[tuple[UUID, UUID]] = field(default_factory=Counter)
    operations: Counter[tuple[UUID, UUID]] = field(default_factory=Counter)
    ranges: dict[tuple[UUID, str], Range | None] = field(default_factory=dict)
    pace: Callable[[UUID, dt.datetime], Pace | None] = lambda agent, now: None


class _Window:
    """A sum over the last seconds, or over everything, for each key."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.sums: dict[Key, float] = defaultdict(float)
        self.parts: dict[Key, deque[tuple[dt.datetime, float]]] = defaultdict(deque)

    def add(self, key: Key, at: dt.datetime, amount: float) -> None:
        self.sums[key] += amount
        if self.seconds is not None:
            self.parts[key].append((at, amount))

    def take_back(self, key: Key, at: dt.datetime, amount: float) -> None:
        """Undo an `add`, where it is still part of the sum."""
        if self.seconds is None:
            self.sums[key] -= amount
        elif (at, amount) in self.parts[key]:
            self.parts[key].remove((at, amount))
            self.sums[key] -= amount

    def sum(self, key: Key, now: dt.datetime) -> float:
        if self.seconds is not None:
            since, parts = now - dt.timedelta(seconds=self.seconds), self.parts[key]
            while parts and parts[0][0] <= since:
                self.sums[key] -= parts.popleft()[1]
            if not parts:
                self.sums[key] = 0
        return self.sums[key]


class Stream:
    """The history of a replay.

    Args:
        wanted: every fact that the rule can ask for.
        learned: what was known before.
        digest: tells equal values, as they are kept.
    """

    def __init__(
        self, wanted: Iterable[Need], learned: Learned, digest: Callable[[str], str]
    ) -> None:
        self.learned = learned
        self.digest = digest
        self.windows: dict[Calls | Total, _Window] = {
            need: _Window(need.window_seconds)
            for need in wanted
            if isinstance(need, (Calls, Total))
        }
        self.pointers = [need.pointer for need in wanted if isinstance(need, KnownValue)]
        self.read: dict[UUID, set[UUID]] = defaultdict(set)
        """The operations that were called in a family, by the run at its top."""

        self.agent_calls: Counter[UUID] = Counter()
        for (agent_id, _), count in learned.operations.items():
            self.agent_calls[agent_id] += count
        self.numbers = itertools.count()
        self.endings: list[tuple[dt.datetime, int, Past]] = []

    def begin_with(self, need: Calls | Total, key: Key, amount: float) -> None:
        """Count what came before the first call; the window of the need has no end."""
        self.windows[need].sums[key] += amount

    def facts(self, needs: Iterable[Need], call: Past) -> Facts:
        """The facts about what came before this call."""
        self._end_until(call.at)
        return {need: self._fact(need, call) for need in needs}

    def _fact(self, need: Need, call: Past) -> Any:
        if isinstance(need, Calls):
            return int(self.windows[need].sum(_key(need, call), call.at))
        if isinstance(need, Total):
            return self.windows[need].sum(_key(need, call), call.at)
        pair = (call.agent_id, call.operation_id)
        if isinstance(need, KnownValue):
            value = self._value(call, need.pointer)
            return Known(value in self.learned.values[pair], self.learned.value_calls[pair])
        if isinstance(need, KnownOperation):
            return Known(self.learned.operations[pair] > 0, self.agent_calls[call.agent_id])
        if isinstance(need, UsualValues):
            return self.learned.ranges.get((call.operation_id, need.pointer))
        if isinstance(need, ReadFrom):
            return [pk for pk in need.operations if pk in self.read[call.root]]
        return self.learned.pace(call.agent_id, call.at)

    def add(self, call: Past) -> None:
        """Count this call for those that come after it."""
        for need, window in self.windows.items():
            if need.operations and call.operation_id not in need.operations:
                continue
            if isinstance(need, Total):
                self._add_amount(need, window, call)
            elif not need.ended_as:
                window.add(_key(need, call), call.at, 1)
        if call.finished_at is not None and self.windows:
            heapq.heappush(self.endings, (call.finished_at, next(self.numbers), call))
        if call.status in LET_THROUGH:
            self._remember(call)

    def _add_amount(self, need: Total, window: _Window, call: Past) -> None:
        # What failed or was rejected in the end was spent until then.
        counted = call.status in RAN_OR_WAITS or call.finished_at not in (None, call.at)
        if counted:
            window.add(_key(need, call), call.at, _amount(need, call))

    def _remember(self, call: Past) -> None:
        pair = (call.agent_id, call.operation_id)
        self.learned.operations[pair] += 1
        self.agent_calls[call.agent_id] += 1
        self.read[call.root].add(call.operation_id)
        for pointer in self.pointers:
            if exists(call.arguments, pointer):
                self.learned.values[pair].add(self._value(call, pointer))
                self.learned.value_calls[pair] += 1

    def _end_until(self, now: dt.datetime) -> None:
        """What had ended by now counts as ended."""
        while self.endings and self.endings[0][0] <= now:
            at, _, call = heapq.heappop(self.endings)
            for need, window in self.windows.items():
                if need.operations and call.operation_id not in need.operations:
                    continue
                if isinstance(need, Calls):
                    if need.ended_as == call.status:
                        window.add(_key(need, call), at, 1)
                elif call.status not in RAN_OR_WAITS and at > call.at:
                    window.take_back(_key(need, call), call.at, _amount(need, call))

    def _value(self, call: Past, pointer: str) -> str:
        return self.digest(canonical({"value": get(call.arguments, pointer)}))


def _amount(need: Total, call: Past) -> float:
    if not exists(call.arguments, need.pointer):
        return 0
    return measure(get(call.arguments, need.pointer)) or 0


def _key(need: Calls | Total, call: Past) -> Key:
    within: Key = {
        CountScope.RUN: (call.root,),
        CountScope.SESSION: (call.session_id,),
        CountScope.PARTICIPANT: (call.participant.casefold(),),
        CountScope.AGENT: (call.agent_id,),
    }[need.scope]
    if isinstance(need, Calls) and need.same_arguments:
        return (*within, call.operation_id, call.digest)
    return within
