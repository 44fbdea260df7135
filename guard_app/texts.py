"""The texts of arguments, and how they read once disguises are taken off (pure)."""

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from integrations_app.pointers import build
from integrations_app.schemas import compile_pattern

_INVISIBLE = compile_pattern(r"[\p{Cf}\x{FE00}-\x{FE0F}\x{E0100}-\x{E01EF}\x{115F}\x{3164}]")


def texts_of(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every text with its pointer: values, names of members, and numbers as written."""
    open_: list[tuple[tuple[str | int, ...], Any]] = [((), arguments)]
    while open_:
        steps, value = open_.pop()
        if isinstance(value, str):
            yield build(steps), value
        elif isinstance(value, Mapping):
            for name, item in value.items():
                yield build((*steps, name)), name
                open_.append(((*steps, name), item))
        elif isinstance(value, list):
            open_ += [((*steps, index), item) for index, item in enumerate(value)]
        elif isinstance(value, int) and not isinstance(value, bool) and value > 10**11:
            yield build(steps), str(value)


def undisguised(text: str) -> str:
    """The text with compatible characters in their plain form, and nothing invisible in it."""
    if text.isascii():
        return text
    return str(_INVISIBLE.sub("", unicodedata.normalize("NFKC", text)))


def quoted(text: str, limit: int = 60) -> str:
    """A short quotation in which nothing is invisible or turns the direction of reading."""
    signs = [sign if sign.isprintable() else f"\\u{{{ord(sign):x}}}" for sign in text[:limit]]
    return "“" + "".join(signs) + ("…”" if len(text) > limit else "”")
