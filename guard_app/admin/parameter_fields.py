"""Fields for the parameters of detectors, made from what each parameter says of itself."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from django import forms

from accounts_app.backoffice.forms import (
    DurationField,
    LinesField,
    SuggestingInput,
    code_area,
    time_zones,
)
from guard_app.parameters import Ask, Parameter
from integrations_app.pointers import build

Choices: TypeAlias = Sequence[tuple[str, str]]
DEEPEST = 3


def field_of(parameter: Parameter, offered: Choices, value: Any) -> forms.Field:
    """The field that asks for a parameter; the one check of it is the parameter's own.

    Args:
        parameter: as its detector declares it.
        offered: what can be chosen, where that depends on the workspace.
        value: what stands in the field before anybody typed.
    """
    options: dict[str, Any] = {"label": parameter.label, "required": False, "initial": value}
    options["help_text"] = parameter.help
    ask = parameter.ask
    if ask == Ask.CODE:
        return forms.CharField(widget=code_area(3), strip=False, **options)
    if ask == Ask.WHOLE:
        return forms.IntegerField(min_value=0, **options)
    if ask == Ask.NUMBER:
        return forms.FloatField(min_value=0, **options)
    if ask == Ask.DURATION:
        return DurationField(**options)
    if ask == Ask.SENSITIVITY:
        return forms.CharField(widget=SuggestingInput(offered), **options)
    if ask == Ask.LINES:
        del options["required"]
        options["initial"] = [value] if isinstance(value, str) else _texts(value)
        return LinesField(**options)
    if ask in (Ask.SEVERAL, Ask.OPERATIONS):
        widget = forms.CheckboxSelectMultiple(attrs={"class": "choices"})
        chosen = value if isinstance(value, list) and value != parameter.example else []
        choices = _with(offered, chosen)
        return forms.MultipleChoiceField(choices=choices, widget=widget, **options)
    return forms.ChoiceField(choices=_single(parameter, offered, value), **options)


def _single(parameter: Parameter, offered: Choices, value: Any) -> Choices:
    """What one is chosen from; what stands there already is among it."""
    choices = time_zones() if parameter.ask == Ask.ZONE else list(offered)
    here = [] if value is None or value == parameter.example else [str(value)]
    return _with(choices, here)


def _with(choices: Iterable[tuple[str, str]], chosen: Iterable[Any]) -> Choices:
    offered = list(choices)
    known = {value for value, _ in offered}
    return [*offered, *((value, str(value)) for value in chosen if value not in known)]


def _texts(value: Any) -> list[str]:
    """Hours as lines: `[8, 18]` is one of them."""
    if not isinstance(value, list):
        return []
    if all(isinstance(item, int) for item in value):
        return [f"{value[0]}-{value[1]}"] if len(value) == 2 else []
    return [str(item) for item in value]


def value_of(parameter: Parameter, typed: Any) -> Any:
    """What was typed as the API would get it; None where nothing was."""
    if parameter.ask == Ask.CODE:
        return typed or ""
    if typed is None or typed == "" or typed == []:
        return None
    if parameter.ask == Ask.SENSITIVITY:
        typed = _word_or_number(typed)
    if isinstance(typed, float) and typed.is_integer():
        return int(typed)
    if parameter.ask == Ask.LINES and len(typed) == 1:
        return typed[0]
    return typed


def _word_or_number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text.lower()


def known_arguments(schemas: Iterable[Any]) -> Choices:
    """Pointers to the arguments that operations have, by how many of them have each."""
    found: dict[str, int] = {}
    for schema in schemas:
        for pointer in dict.fromkeys(_pointers(schema, ())):
            found[pointer] = found.get(pointer, 0) + 1
    return [
        (pointer, f"{pointer}, of {count} operation{'' if count == 1 else 's'}")
        for pointer, count in sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def _pointers(schema: Any, above: tuple[str, ...]) -> Iterable[str]:
    members = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(members, Mapping) or len(above) >= DEEPEST:
        return
    for name, inner in members.items():
        yield build((*above, name))
        yield from _pointers(inner, (*above, name))
