"""The one JSON parser for everything that comes in (RFC 8259, narrowed by I-JSON, RFC 7493).

Requests, downstream answers and broker messages all pass here, because what one entrance lets
through the other ends store, and a NUL or a lone surrogate once stored breaks every later list.
"""

import json
import math
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
            parse_int=_integer,
            parse_float=_double,
        )
    except json.JSONDecodeError as error:
        raise ParseError(
            f"Malformed JSON at line {error.lineno}, column {error.colno}: {error.msg}."
        ) from error
    _refuse_characters(value, "")
    return value


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


def _bad_number(literal: str) -> Invalid:
    shown = literal if len(literal) <= 40 else f"{literal[:40]}…"
    detail = f"{shown} is neither a 64-bit integer nor a finite double; send it as text."
    return Invalid([FieldError("", "invalid_value", detail)], detail)


def _integer(literal: str) -> int:
    if len(literal) > MAX_DIGITS:
        raise _bad_number(literal)
    number = int(literal)
    if not MIN_INTEGER <= number <= MAX_INTEGER:
        raise _bad_number(literal)
    return number


def _double(literal: str) -> float:
    number = float(literal)
    if not math.isfinite(number):
        raise _bad_number(literal)
    return number


def _refuse_characters(value: Any, pointer: str) -> None:
    """Refuse lone surrogates and NUL in member names and text; `pointer` is RFC 6901."""
    if isinstance(value, str):
        _refuse_text(value, pointer)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            _refuse_characters(item, f"{pointer}/{position}")
    elif isinstance(value, dict):
        for name, item in value.items():
            _refuse_text(name, pointer)
            step = name.replace("~", "~0").replace("/", "~1")
            _refuse_characters(item, f"{pointer}/{step}")


def _refuse_text(text: str, pointer: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ParseError("The body has a lone surrogate; send well-formed Unicode.")
    if "\x00" in text:
        detail = "NUL is not allowed in text."
        raise Invalid([FieldError(pointer, "invalid_value", detail)], detail)


def canonical(value: Any) -> str:
    """JSON text with sorted members and no spaces, for hashing and comparing."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
