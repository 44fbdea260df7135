"""Text that an agent wrote, made safe to read (pure).

A right-to-left override, a zero-width space or a tag character can make a person approve what
they did not read (Trojan Source, CVE-2021-42574), so whatever is invisible or turns the line is
written out by its code point.
"""

import unicodedata
from dataclasses import dataclass

LIMIT = 600  # characters of a value that are shown without a fold
LINES = 14
_HEAD, _TAIL = 200, 60
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp", "Zs"})
# Letters and marks that look like nothing at all.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def visible(text: str) -> str:
    """The text with every invisible or line-turning character as `⟦U+202E⟧`.

    Line feeds, tabs and ordinary spaces stay; whoever shows the text keeps them.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"⟦U+{ord(char):04X}⟧" if _is_hidden(char) else char for char in text)


def one_line(text: str, limit: int = LIMIT) -> str:
    """The text for a title or a summary: visible, in one line, cut with a mark."""
    shown = visible(text.replace("\n", " ⏎ ").replace("\t", " ⇥ "))
    return shown if len(shown) <= limit else f"{shown[:limit]}…"


def _is_hidden(char: str) -> bool:
    if char in " \n\t":
        return False
    if char in _BLANK or "\ufe00" <= char <= "\ufe0e" or "\U000e0100" <= char <= "\U000e01ef":
        return True
    return unicodedata.category(char) in _HIDDEN


@dataclass(frozen=True, slots=True)
class Shown:
    """A text as a page shows it.

    Args:
        text: all of it, visible.
        is_folded: too long to stand there at once.
        head: its beginning in one line, for the fold.
        tail: its end in one line, so that padding in the middle hides nothing there.
        left_out: how many characters the fold hides.
    """

    text: str
    is_folded: bool = False
    head: str = ""
    tail: str = ""
    left_out: int = 0


NOTHING = Shown("")


def shown(text: str, *, limit: int = LIMIT) -> Shown:
    """Fold a text that is too long or has too many lines; nothing is ever left out silently."""
    full = visible(text)
    if len(text) <= limit and text.count("\n") < LINES:
        return Shown(full)
    head, tail = text[:_HEAD], text[max(_HEAD, len(text) - _TAIL) :]
    hidden = len(text) - len(head) - len(tail)
    return Shown(full, True, one_line(head, 10**6), one_line(tail, 10**6), hidden)
