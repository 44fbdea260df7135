"""What detectors look at: the call, the rule, and facts about earlier calls (pure).

A detector says which facts it needs; whoever screens looks them up, in one statement, from the
database or, in a replay, from memory. So the same detector serves both, and knows neither.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias
from uuid import UUID

from guard_app.states import CountScope
from guard_app.texts import texts_of, undisguised
from integrations_app.pointers import exists, get, parse


@dataclass(frozen=True, slots=True)
class Calls:
    """How many earlier calls there are.

    Args:
        scope: among which.
        window_seconds: not older than this; None is however old.
        operations: ids of the operations that count; empty is all.
        same_arguments: only of the same operation with equal arguments.
        ended_as: only those that ended with this status, in the window.
    """

    scope: CountScope
    window_seconds: float | None = None
    operations: tuple[UUID, ...] = ()
    same_arguments: bool = False
    ended_as: str = ""


@dataclass(frozen=True, slots=True)
class Total:
    """The sum of an argument over earlier calls that ran or wait."""

    scope: CountScope
    pointer: str
    window_seconds: float | None = None
    operations: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownValue:
    """Whether the agent's earlier calls of the operation had this value: `Known`."""

    pointer: str


@dataclass(frozen=True, slots=True)
class KnownOperation:
    """Whether the agent called the operation before: `Known`."""


@dataclass(frozen=True, slots=True)
class UsualValues:
    """The learned range of an argument: `Range`, or None."""

    pointer: str


@dataclass(frozen=True, slots=True)
class UsualPace:
    """The learned pace of the agent at this time of the week: `Pace`, or None."""


@dataclass(frozen=True, slots=True)
class ReadFrom:
    """The sources, as ids of operations, that the run and its relatives called: a list."""

    operations: tuple[UUID, ...]


Need: TypeAlias = Calls | Total | KnownValue | KnownOperation | UsualValues | UsualPace | ReadFrom
Facts: TypeAlias = Mapping[Need, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """Whether something was seen before, and how much there is to compare it with."""

    seen: bool
    others: int


@dataclass(frozen=True, slots=True)
class Range:
    """The quartiles of what was seen, and its ends."""

    count: int
    low: float
    lower: float
    middle: float
    upper: float
    high: float


@dataclass(frozen=True, slots=True)
class Pace:
    """Calls in an hour: the usual number, and how far it usually lies from that."""

    usual: float
    spread: float
    weeks: int


@dataclass(frozen=True)
class ScreenedCall:
    """The call that is looked at; what was read out of its texts is kept for the next rule.

    Args:
        agent: slug of the agent.
        operation: `integration.operation`.
        operation_id: its id.
        arguments: in full.
        now: when the call came.
        session: `id`, `participant` and `metadata`.
        run: `id`, `parent` and `metadata`.
        sensitive: pointers to what no explanation may show.
    """

    agent: str
    operation: str
    operation_id: str
    arguments: Mapping[str, Any]
    now: dt.datetime
    session: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    sensitive: Sequence[str] = ()

    @cached_property
    def texts(self) -> tuple[tuple[str, str, str], ...]:
        """Pointer, text as it is, and text undisguised, of every text of the arguments."""
        return tuple((at, text, undisguised(text)) for at, text in texts_of(self.arguments))

    @cached_property
    def joined(self) -> str:
        """All of them, undisguised: what no pattern finds here, it finds in none of them."""
        return "\n".join(plain for _, _, plain in self.texts)

    @cached_property
    def read(self) -> dict[object, Any]:
        """What detectors found in the texts, by what they looked for."""
        return {}

    def number(self, pointer: str) -> float | None:
        """The number at a place, or the size of the text or list there."""
        if not exists(self.arguments, pointer):
            return None
        return measure(get(self.arguments, pointer))

    def amount(self, pointer: str) -> float | None:
        """The number at a place; None where there is none."""
        value = get(self.arguments, pointer) if exists(self.arguments, pointer) else None
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    def hides(self, pointer: str) -> bool:
        """Whether what stands there is sensitive, or a part of it, or holds such a part."""
        return is_sensitive(pointer, self.sensitive)


def is_sensitive(pointer: str, sensitive: Sequence[str]) -> bool:
    """Whether a place overlaps with a sensitive one."""
    inside = parse(pointer)
    for other in map(parse, sensitive):
        shorter = min(len(inside), len(other))
        if inside[:shorter] == other[:shorter]:
            return True
    return False


def measure(value: Any) -> float | None:
    """A value as a number: itself, or how much of it there is."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return float(value)
    return float(len(value))


@dataclass(frozen=True, slots=True)
class Rule:
    """What a detector may know of its rule.

    Args:
        parameters: checked.
        operations: ids of the operations that it applies to; empty is all.
        ids: the ids of the operations that the parameters name.
    """

    parameters: Mapping[str, Any]
    operations: tuple[UUID, ...] = ()
    ids: Mapping[str, UUID] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hit:
    """Why a call is suspicious, in words for people.

    Args:
        explanation: one sentence.
        seen: what was seen.
        usual: what is usual, or allowed.
    """

    explanation: str
    seen: str = ""
    usual: str = ""


class DetectorFailed(Exception):
    """The detector cannot say; such a call goes to a person."""
