"""What a condition does with single values: their cost, their size, a pattern (pure)."""

from collections.abc import Mapping
from typing import Any, Final

from integrations_app.schemas import compile_pattern

_CHARACTER_COST: Final = 5  # nanoseconds, as the one below: measured and rounded up
_ELEMENT_COST: Final = 60


def weigh(value: Any) -> tuple[int, int]:
    """What looking at all of a value costs, in nanoseconds, and its longest list or object."""
    cost = longest = 0
    open_ = [value]
    while open_:
        item = open_.pop()
        cost += _ELEMENT_COST
        if isinstance(item, str):
            cost += len(item) * _CHARACTER_COST
        elif isinstance(item, Mapping | list):
            longest = max(longest, len(item))
            open_ += [*item, *item.values()] if isinstance(item, Mapping) else item
    return cost, longest


def size(value: Any) -> int:
    if isinstance(value, str | bytes | list | dict):
        return len(value)
    raise TypeError("no size")


def matches(text: Any, pattern: Any) -> bool:
    if isinstance(text, str):
        return compile_pattern(str(pattern)).search(text) is not None
    raise TypeError("no text")
