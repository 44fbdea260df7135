"""An OpenAPI document that was written as YAML, as the JSON text that the one strict parser reads.

Only the part of YAML that JSON has as well: OpenAPI asks for no more, and whatever goes beyond it
(aliases that double on each line, tags that make objects, dates) is how a document harms its
reader. PyYAML is asked for events alone, so that it builds nothing.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from accounts_app.errors import ParseError
from accounts_app.strict_json import MAX_DEPTH

MAX_EVENTS: Final = 200_000
# The one on libyaml, where PyYAML was built with it: ten times as fast.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z")
_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), "null"),
    **dict.fromkeys(("true", "True", "TRUE"), "true"),
    **dict.fromkeys(("false", "False", "FALSE"), "false"),
}


def is_json(text: str) -> bool:
    """Whether a document is to be read as JSON: it begins as a JSON object or array does."""
    return text.lstrip()[:1] in ("{", "[")


def as_json(text: str) -> str:
    """The JSON text of a YAML document: null, true, false and JSON's numbers, the rest as text.

    Dates, `yes`, `no` and numbers in other notations stay the text that they are; a name is text
    too, like `200` of a response.

    Raises:
        ParseError: malformed, more than one document, an alias, an anchor, a tag, a merge, a name
            that is no text, or too deep or too long; names that stand twice are the parser's.
    """
    try:
        return "".join(_Writer().pieces(_events(text)))
    except yaml.MarkedYAMLError as error:
        raise _malformed(error.problem or "it cannot be read", error.problem_mark) from error
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        raise ParseError("Malformed YAML: it has a character that YAML does not allow.") from error


def _events(text: str) -> Iterator[Any]:
    for number, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        if number > MAX_EVENTS:
            raise ParseError(f"More than {MAX_EVENTS} parts of YAML; import a part of it.")
        yield event


def _malformed(problem: str, mark: Any) -> ParseError:
    at = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return ParseError(f"Malformed YAML{at}: {problem}.")


def _refusal(event: Any, why: str) -> ParseError:
    return ParseError(f"Line {event.start_mark.line + 1} of the YAML {why}")


class _Writer:
    """Events in, pieces of JSON out."""

    def __init__(self) -> None:
        self.open: list[tuple[str, int]] = []  # "{" or "[", and how many nodes it has so far
        self.documents = 0

    def pieces(self, events: Iterator[Any]) -> Iterator[str]:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.documents += 1
                if self.documents > 1:
                    raise _refusal(event, "begins another document; send one.")
            elif isinstance(event, yaml.NodeEvent):
                self._check(event)
                yield self._before(event)
                yield self._opened(event)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                kind, _ = self.open.pop()
                yield "}" if kind == "{" else "]"

    def _check(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            raise _refusal(event, f"has an alias, *{event.anchor}; write out what it stands for.")
        if event.anchor:
            raise _refusal(event, f"has an anchor, &{event.anchor}; anchors are not read.")
        if event.tag and event.tag != "!":
            raise _refusal(event, f"has a tag, {event.tag}; tags are not read.")

    def _before(self, event: Any) -> str:
        """What stands between a node and the one before it."""
        if not self.open:
            return ""
        kind, number = self.open[-1]
        self.open[-1] = kind, number + 1
        if kind == "{" and number % 2:
            return ":"
        return "," if number else ""

    def _opened(self, event: Any) -> str:
        is_name = bool(self.open) and self.open[-1][0] == "{" and self.open[-1][1] % 2 == 1
        if isinstance(event, yaml.ScalarEvent):
            return _name(event) if is_name else _scalar(event)
        if is_name:
            raise _refusal(event, "has a mapping or a list as a name; a name is text.")
        if len(self.open) == MAX_DEPTH:
            raise ParseError(f"The document is nested deeper than {MAX_DEPTH} levels.")
        self.open.append(("{" if isinstance(event, yaml.MappingStartEvent) else "[", 0))
        return self.open[-1][0]


def _name(event: Any) -> str:
    if event.value == "<<" and _is_plain(event):
        raise _refusal(event, "merges with <<; write out what is merged.")
    return json.dumps(event.value, ensure_ascii=False)


def _scalar(event: Any) -> str:
    if _is_plain(event):
        if event.value in _WORDS:
            return _WORDS[event.value]
        if _NUMBER.match(event.value):
            return str(event.value)
    return json.dumps(event.value, ensure_ascii=False)


def _is_plain(event: Any) -> bool:
    return bool(event.implicit[0])
