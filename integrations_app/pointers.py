"""JSON pointers (RFC 6901): read, test and mask one place of a JSON document.

Sensitive arguments, field errors and guard rules all name places by pointer. There are no
wildcards: `*` is an ordinary member name, and `-` (the element after the last) never exists.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

MASK: Final = "•••"

_BAD_ESCAPE: Final = re.compile(r"~(?![01])")
_INDEX: Final = re.compile(r"(?:0|[1-9][0-9]{0,17})\Z")


@lru_cache(maxsize=4096)
def parse(pointer: str) -> tuple[str, ...]:
    """Split a pointer into its unescaped reference tokens (RFC 6901, section 4).

    Args:
        pointer: `""` for the whole document, else text that starts with `/`.

    Raises:
        ValueError: it starts with something else, or has a `~` that is neither `~0` nor `~1`.
    """
    if not pointer:
        return ()
    if not pointer.startswith("/"):
        raise ValueError("A JSON pointer is empty or starts with /.")
    if _BAD_ESCAPE.search(pointer):
        raise ValueError("In a JSON pointer ~ is written ~0 and / inside a name ~1.")
    tokens = pointer[1:].split("/")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in tokens)


def build(steps: Iterable[str | int]) -> str:
    """The pointer of member names and array positions: the inverse of `parse`.

    Args:
        steps: member names, and positions counted from 0.
    """
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)


def get(document: Any, pointer: str) -> Any:
    """The value at a pointer.

    Args:
        document: parsed JSON.
        pointer: where to look.

    Raises:
        ValueError: the pointer is malformed.
        KeyError: there is nothing at that place.
    """
    value = document
    for token in parse(pointer):
        value = value[_step(value, token)]
    return value


def exists(document: Any, pointer: str) -> bool:
    """Whether there is a value, null included, at a pointer.

    Args:
        document: parsed JSON.
        pointer: where to look.

    Raises:
        ValueError: the pointer is malformed.
    """
    try:
        get(document, pointer)
    except KeyError:
        return False
    return True


def mask(document: Any, pointers: Iterable[str], mask: str = MASK) -> Any:
    """A copy in which whatever stands at the pointers is replaced; the original stays as it is.

    Args:
        document: parsed JSON.
        pointers: places to mask; one that is not there is passed over.
        mask: what stands there instead.

    Raises:
        ValueError: a pointer is malformed.
    """
    copy = _copy(document)
    for pointer in pointers:
        tokens = parse(pointer)
        if not tokens:
            return mask
        try:
            parent = get(copy, build(tokens[:-1]))
            parent[_step(parent, tokens[-1])] = mask
        except KeyError:
            continue
    return copy


def unmask(document: Any, original: Any, pointers: Iterable[str], mask: str = MASK) -> Any:
    """A copy in which every mask that still stands at a pointer is the original's value again.

    Args:
        document: parsed JSON that was shown masked and came back, perhaps changed elsewhere.
        original: what was masked.
        pointers: the places that were masked.
        mask: what stands at a place that was left as it was shown.

    Raises:
        ValueError: a pointer is malformed.
    """
    copy = _copy(document)
    for pointer in pointers:
        tokens = parse(pointer)
        try:
            if get(copy, pointer) != mask:
                continue
            value = get(original, pointer)
        except KeyError:
            continue
        if not tokens:
            return value
        parent = get(copy, build(tokens[:-1]))
        parent[_step(parent, tokens[-1])] = value
    return copy


def _step(container: Any, token: str) -> str | int:
    """The key of `container` that a token names; KeyError where there is none."""
    if isinstance(container, dict) and token in container:
        return token
    if isinstance(container, list) and _INDEX.match(token) and int(token) < len(container):
        return int(token)
    raise KeyError(token)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value
