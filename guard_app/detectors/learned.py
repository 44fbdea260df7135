"""Detectors that compare with what is usual; where there is too little to compare, no alarm."""

from collections.abc import Sequence

from guard_app.facts import (
    Calls,
    Facts,
    Hit,
    Known,
    KnownOperation,
    KnownValue,
    Need,
    Pace,
    Range,
    Rule,
    ScreenedCall,
    UsualPace,
    UsualValues,
)
from guard_app.states import CountScope
from guard_app.wording import many, place, plain, size, worded
from integrations_app.pointers import exists, get

HOUR = 3600
WORDS = {"low": 0.5, "medium": 1.0, "high": 2.0}
DEVIATIONS = 6.0
"""How many robust standard deviations are suspicious at the sensitivity `medium`."""

ENOUGH_VALUES = 30
ENOUGH_WEEKS = 3


def deviations(sensitivity: object) -> float:
    """How far from the usual is suspicious, in robust standard deviations."""
    factor = WORDS.get(str(sensitivity or "medium"))
    return DEVIATIONS / (factor or float(str(sensitivity)))


def rate_needs(call: ScreenedCall, rule: Rule) -> Sequence[Need]:
    return [Calls(CountScope.AGENT, HOUR), UsualPace()]


def rate_baseline(call: ScreenedCall, rule: Rule, facts: Facts) -> Hit | None:
    """More calls in the last hour than the agent usually makes at this time of the week."""
    pace: Pace | None = facts[UsualPace()]
    if pace is None or pace.weeks < ENOUGH_WEEKS:
        return None
    count = 1 + facts[Calls(CountScope.AGENT, HOUR)]
    # A quiet agent has no spread at all: counts scatter by their root, and one or two are no rate.
    spread = max(pace.spread, pace.usual**0.5, 1.5)
    most = pace.usual + deviations(rule.parameters.get("sensitivity")) * spread
    if count <= most:
        return None
    return Hit(
        f"{count} calls of this agent within the last hour; at this time of the week"
        f" {plain(pace.usual)} are usual.",
        seen=f"{many(count, 'call')} within an hour",
        usual=f"{plain(pace.usual)} an hour at this time of the week, up to {plain(most)}",
    )


def value_range_needs(call: ScreenedCall, rule: Rule) -> Sequence[Need]:
    return [UsualValues(rule.parameters["argument"])]


def value_range(call: ScreenedCall, rule: Rule, facts: Facts) -> Hit | None:
    """A number, or the size of a text or list, far out of what the operation usually gets."""
    pointer = rule.parameters["argument"]
    number = call.number(pointer)
    learned: Range | None = facts[UsualValues(pointer)]
    if number is None or learned is None or learned.count < ENOUGH_VALUES:
        return None
    # A quartile lies 0.6745 standard deviations from the middle of normally scattered values.
    unit = max((learned.upper - learned.lower) / 1.349, abs(learned.middle) * 0.05, 0.5)
    far = deviations(rule.parameters.get("sensitivity")) * unit
    lowest = min(learned.low, learned.middle - far)
    highest = max(learned.high, learned.middle + far)
    if lowest <= number <= highest:
        return None
    value = get(call.arguments, pointer)
    usual = f"{plain(learned.low)} to {size(value, learned.high)}"
    hidden = call.hides(pointer)
    shown = "" if hidden else f" {size(value, number)},"
    return Hit(
        f"{pointer} is{shown} out of the usual {usual} ({learned.count} calls).",
        seen=f"{place(pointer)} is {'out of range' if hidden else size(value, number)}",
        usual=usual,
    )


def new_value_needs(call: ScreenedCall, rule: Rule) -> Sequence[Need]:
    pointer = rule.parameters["argument"]
    return [KnownValue(pointer)] if exists(call.arguments, pointer) else ()


def new_value(call: ScreenedCall, rule: Rule, facts: Facts) -> Hit | None:
    """A value that no earlier call of this agent and operation that was let through had."""
    pointer = rule.parameters["argument"]
    if not exists(call.arguments, pointer):
        return None
    known: Known = facts[KnownValue(pointer)]
    if known.seen or not known.others:
        return None
    value = "a value" if call.hides(pointer) else worded(get(call.arguments, pointer))
    earlier = many(known.others, "earlier call")
    return Hit(
        f"{pointer} has {value} that this agent never used with this operation ({earlier}).",
        seen=f"{place(pointer)} {'has a new value' if call.hides(pointer) else f'is {value}'}",
        usual=f"one of the values in {earlier}",
    )


def new_operation_needs(call: ScreenedCall, rule: Rule) -> Sequence[Need]:
    return [KnownOperation()]


def new_operation(call: ScreenedCall, rule: Rule, facts: Facts) -> Hit | None:
    """The agent's first call of an operation, where it called others before."""
    known: Known = facts[KnownOperation()]
    if known.seen or not known.others:
        return None
    return Hit(
        f"The agent never called {call.operation} before ({many(known.others, 'call')} of others).",
        seen=f"its first call of {call.operation}",
        usual=f"other operations, in {many(known.others, 'earlier call')}",
    )
