"""Arguments as a table, labelled by the operation's schema (pure)."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from integrations_app import pointers
from tasks_app.admin.text import NOTHING, Shown, one_line, shown, visible

SAFE_INTEGER = 2**53
MAX_FLAT = 20
_LOOKS_LIKE_JSON = frozenset({"true", "false", "null", ""})


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a value, or the name of a group of them.

    Args:
        pointer: where it stands, as a JSON pointer.
        name: the member's name, as sent.
        label: its title in the schema; empty where that says nothing more.
        depth: how deep it is nested.
        kind: text, number, boolean, null, empty, group or masked.
        value: what is shown.
        note: what a person should know beside it, for instance the unit.
    """

    pointer: str
    name: str
    label: str
    depth: int
    kind: str
    value: Shown = NOTHING
    note: str = ""
    is_changed: bool = False

    @property
    def fold(self) -> str:
        """The name of the fold that hides a part of the value; empty where none does."""
        if not self.value.is_folded:
            return ""
        return hashlib.blake2s(self.pointer.encode(), digest_size=6).hexdigest()


def rows_of(document: Any, schema: Mapping[str, Any], sensitive: Collection[str] = ()) -> list[Row]:
    """The table of a JSON object.

    Args:
        document: the arguments, as they are sent.
        schema: the operation's, whose titles and units label the rows.
        sensitive: pointers whose values are masked.
    """
    if not isinstance(document, dict) or "" in sensitive:
        return list(_rows(document, schema, (), frozenset(sensitive), schema))
    rows: list[Row] = []
    for name, value in document.items():
        part = _member(schema, name, schema)
        rows.extend(_rows(value, part, (name,), frozenset(sensitive), schema))
    return rows


def _rows(
    value: Any,
    schema: Mapping[str, Any],
    steps: tuple[str | int, ...],
    sensitive: frozenset[str],
    root: Mapping[str, Any],
) -> Iterator[Row]:
    pointer = pointers.build(steps)
    row = Row(pointer, _name(steps), _label(schema, steps), max(len(steps) - 1, 0), "text")
    if pointer in sensitive:
        yield replace(row, kind="masked", value=Shown(pointers.MASK))
    elif isinstance(value, list) and value and _is_flat(value, pointer, sensitive):
        text = json.dumps(value, ensure_ascii=False)
        yield replace(row, kind="list", value=shown(text), note=f"{len(value)} items")
    elif isinstance(value, (dict, list)) and value:
        size = f"{len(value)} {'members' if isinstance(value, dict) else 'items'}"
        yield replace(row, kind="group", value=Shown(size), note=_unit(schema))
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for step, item in items:
            part = _member(schema, step, root)
            yield from _rows(item, part, (*steps, step), sensitive, root)
    else:
        kind, text = _scalar(value)
        yield replace(row, kind=kind, value=shown(text), note=_note(value, schema))


def _name(steps: tuple[str | int, ...]) -> str:
    return one_line(str(steps[-1]), 120) if steps else ""


def _label(schema: Mapping[str, Any], steps: tuple[str | int, ...]) -> str:
    title = schema.get("title")
    name = str(steps[-1]) if steps else ""
    return visible(title) if isinstance(title, str) and title != name else ""


def _scalar(value: Any) -> tuple[str, str]:
    """The kind of a value and its text; a text that could be taken for another kind is quoted."""
    if isinstance(value, str):
        is_plain = value.lower() not in _LOOKS_LIKE_JSON and value == value.strip()
        return "text", value if is_plain and not _is_number(value) else _quoted(value)
    if isinstance(value, bool):
        return "boolean", "true" if value else "false"
    if value is None:
        return "null", "null"
    if value in ({}, []):
        return "empty", "{ } (empty)" if isinstance(value, dict) else "[ ] (empty)"
    return "number", json.dumps(value)


def _is_flat(items: list[Any], pointer: str, sensitive: frozenset[str]) -> bool:
    """Whether a list is short enough to read in one line, and nothing in it is masked."""
    simple = len(items) <= MAX_FLAT and not any(isinstance(item, (dict, list)) for item in items)
    return simple and not any(place.startswith(f"{pointer}/") for place in sensitive)


def _quoted(text: str) -> str:
    return f"“{text}”"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _note(value: Any, schema: Mapping[str, Any]) -> str:
    notes = [_unit(schema)]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if abs(value) >= SAFE_INTEGER:
            notes.append("beyond 2^53: some services round it")
        elif isinstance(value, int) and abs(value) >= 10_000:
            notes.append(f"= {value:,}")
    return " ".join(note for note in notes if note)


def _unit(schema: Mapping[str, Any]) -> str:
    unit = schema.get("x-unit")
    return visible(unit) if isinstance(unit, str) else ""


def _member(
    schema: Mapping[str, Any], step: str | int, root: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The part of a schema that describes a member; empty where it says nothing."""
    if isinstance(step, int):
        part = schema.get("items")
    else:
        properties = schema.get("properties")
        part = properties.get(step) if isinstance(properties, dict) else None
        part = schema.get("additionalProperties") if part is None else part
    return _resolved(part, root)


def _resolved(part: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = part.get("$ref") if isinstance(part, dict) else None
    if isinstance(reference, str) and reference.startswith("#/"):
        try:
            found = pointers.get(dict(root), reference[1:])
        except (KeyError, ValueError):
            return {}
        return {**found, **part} if isinstance(found, dict) else {}
    return part if isinstance(part, dict) else {}
