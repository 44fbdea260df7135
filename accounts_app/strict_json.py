"""The one JSON parser for everything that comes in (RFC 8259, narrowed by I-JSON, RFC 7493).

Requests, downstream answers and broker messages all pass here, because what one entrance lets
through the other ends store, and a NUL or a lone surrogate once stored breaks every later list.
"""

import json
import math
from collections.abc import Callable
from typing import Any

from accounts_app.errors import FieldError, Invalid, ParseError

MAX_DEPTH = 32
MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**63 - 1
MAX_DIGITS = 400  # longer literals are refused before Python converts them in quadratic time


def loads(data: bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Parse UTF-8 JSON bytes.

    Args:
        data: the whole document.
        max_depth: how many arrays and objects may be nested.

    Raises:
        ParseError: not UTF-8, malformed, NaN or Infinity, duplicate members, lone surrogates,
            or nested deeper than `max_depth`.
        Invalid: well-formed, but with NUL in text or a number that is neither a 64-bit
            integer nor a finite double.
    """
    value, refusal = read(data, max_depth=max_depth)
    if refusal is not None:
        raise refusal
    return value


def read(data: bytes, *, max_depth: int = MAX_DEPTH) -> tuple[Any, Invalid | None]:
    """Parse UTF-8 JSON bytes, and leave to the caller when what cannot be kept is refused.

    Args:
        data: the whole document.
        max_depth: how many arrays and objects may be nested.

    Returns:
        The value, and the refusal of NUL in text or of a number that is neither a 64-bit
        integer nor a finite double; such a number is infinite in the value.

    Raises:
        ParseError: see `loads`.
    """
    numbers: list[str] = []

    def kept(parse: Callable[[str], int | float | None]) -> Callable[[str], int | float]:
        def number(literal: str) -> int | float:
            found = parse(literal)
            if found is not None:
                return found
            numbers.append(literal)
            return math.inf

        return number

    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ParseError(f"The body is not UTF-8 at byte {error.start}.") from error
    _refuse_deep(text, max_depth)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_members,
            parse_constant=_refuse_constant,
            parse_int=kept(_integer),
            parse_float=kept(_double),
        )
    except json.JSONDecodeError as error:
        raise ParseError(
            f"Malformed JSON at line {error.lineno}, column {error.colno}: {error.msg}."
        ) from error
    bad: list[FieldError] = []
    _look_through(value, "", bad, numbers)
    return value, Invalid([bad[0]], bad[0].detail) if bad else None


def _refuse_deep(text: str, max_depth: int) -> None:
    """Count brackets outside strings, so that the recursive parser never meets a deep text."""
    depth = 0
    inside = escaped = False
    for character in text:
        if inside:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                inside = False
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            if depth > max_depth:
                raise ParseError(f"The body is nested deeper than {max_depth} levels.")
        elif character in "]}":
            depth -= 1


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ParseError(f"The member {name!a} stands twice in one object.")
        members[name] = value
    return members


def _refuse_constant(name: str) -> Any:
    raise ParseError(f"{name} is not JSON; send a number, null or text.")


def _integer(literal: str) -> int | None:
    if len(literal) > MAX_DIGITS:
        return None
    number = int(literal)
    return number if MIN_INTEGER <= number <= MAX_INTEGER else None


def _double(literal: str) -> float | None:
    number = float(literal)
    return number if math.isfinite(number) else None


def _look_through(value: Any, pointer: str, bad: list[FieldError], numbers: list[str]) -> None:
    """Refuse lone surrogates, and note in `bad` what cannot be kept.

    Args:
        value: what was parsed.
        pointer: where it stands (RFC 6901).
        bad: the faults so far.
        numbers: the literals that became infinite, in the order of the text.
    """
    if isinstance(value, str):
        _look_at_text(value, pointer, bad)
    elif value == math.inf:
        bad.append(FieldError(_named(pointer), "invalid_value", _unkeepable(numbers[0])))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            _look_through(item, f"{pointer}/{position}", bad, numbers)
    elif isinstance(value, dict):
        for name, item in value.items():
            _look_at_text(name, pointer, bad)
            step = name.replace("~", "~0").replace("/", "~1")
            _look_through(item, f"{pointer}/{step}", bad, numbers)


def _look_at_text(text: str, pointer: str, bad: list[FieldError]) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ParseError("The body has a lone surrogate; send well-formed Unicode.")
    if "\x00" in text:
        bad.append(FieldError(_named(pointer), "invalid_value", "NUL is not allowed in text."))


def _unkeepable(literal: str) -> str:
    shown = literal if len(literal) <= 40 else f"{literal[:40]}…"
    return f"{shown} is neither a 64-bit integer nor a finite double; send it as text."


def _named(pointer: str) -> str:
    """A member of the body itself by its name, as other refusals write it; by pointer below it."""
    name = pointer[1:]
    return pointer if "/" in name else name.replace("~1", "/").replace("~0", "~")


def canonical(value: Any) -> str:
    """JSON text with sorted members and no spaces, for hashing and comparing."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
