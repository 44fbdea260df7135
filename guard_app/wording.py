"""How hits say what they saw: numbers with their units, places and values as people say them."""

import json
from typing import Any

from integrations_app.conditions import Fact
from integrations_app.pointers import parse

_SHOWN = 120


def plain(number: float) -> str:
    """A number for people: no trailing zeros, no exponent where it can be helped."""
    return f"{number:,.2f}".rstrip("0").rstrip(".")


def many(number: float, noun: str) -> str:
    """A number with its noun, like `1 call` and `1,250 calls`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{plain(number)} {noun if number == 1 else plural}"


def within(seconds: float | None) -> str:
    """A window as words, with a space before it; nothing where there is none."""
    if seconds is None:
        return ""
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length and seconds % length == 0:
            return f" within {int(seconds // length)} {unit}"
    return f" within {plain(seconds)} seconds"


def place(pointer: str) -> str:
    """A place in the arguments, the names of `/items/0/price` in a row."""
    return " › ".join(map(str, parse(pointer))) or "the arguments"


def worded(value: Any) -> str:
    """A value: yes or no, a number with its commas, a text in quotes."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "empty"
    if isinstance(value, (int, float)):
        return plain(value) if abs(value) >= 0.01 or value == 0 else str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return f"“{text}”" if isinstance(value, str) else text


def size(value: Any, number: float) -> str:
    """What a detector measured of a value: the number itself, or how long it is."""
    if isinstance(value, str):
        return many(number, "character")
    if isinstance(value, (list, dict)):
        return many(number, "entry")
    return plain(number)


def facts_in_words(facts: list[Fact]) -> str:
    """What a condition looked at, like `args.amount is 900, args.express is yes`."""
    said = (f"{fact.path} is {worded(fact.value) if fact.present else 'missing'}" for fact in facts)
    return ", ".join(said)
