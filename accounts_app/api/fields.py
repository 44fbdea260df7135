"""Strict members of a body: a wrong type is refused, never converted; so is an unknown member."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from rest_framework import serializers

from accounts_app.errors import FieldError, Invalid

_CODES = {
    "max_length": "too_long",
    "required": "required",
    "unknown_field": "unknown_field",
    "not_supported": "not_supported",
    "too_long": "too_long",
}


class Text(serializers.CharField):
    """A JSON string, kept as it is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("Must be a text.")
        return super().to_internal_value(data)


class Key(Text):
    """The natural key of a body."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, allow_null=True, max_length=255, **options)


class Flag(serializers.BooleanField):
    """true or false."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("Must be true or false.")
        return data


class Number(serializers.FloatField):
    """A JSON number."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, (int, float)) or not math.isfinite(data):
            raise serializers.ValidationError("Must be a number.")
        return data


class Whole(serializers.IntegerField):
    """A whole JSON number."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError("Must be a whole number.")
        return super().to_internal_value(data)


class Object(serializers.DictField):
    """A JSON object."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("Must be an object.")
        return data


class AnyJson(serializers.JSONField):
    """Any JSON value, kept as it is."""

    def to_internal_value(self, data: Any) -> Any:
        return data


class Reference(serializers.UUIDField):
    """The id of an object."""

    def to_internal_value(self, data: Any) -> UUID:
        parsed = parse_id(data)
        if parsed is None:
            raise serializers.ValidationError("There is no such object.", code="not_found")
        return parsed


def parse_id(text: Any) -> UUID | None:
    """The UUID that a text is, in its one canonical spelling."""
    if not isinstance(text, str) or len(text) != 36:
        return None
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text.lower() else None


class Choice(serializers.ChoiceField):
    """One of a list of texts."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or data not in self.choices:
            offered = ", ".join(str(choice) for choice in self.choices)
            raise serializers.ValidationError(f"Choose from {offered}.")
        return data


class StrictSerializer(serializers.Serializer[Any]):
    """A body; members named in `not_yet` are part of the contract and do not work yet."""

    not_yet: ClassVar[frozenset[str]] = frozenset()

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise serializers.ValidationError({"": ["The body must be a JSON object."]})
        errors: dict[str, Any] = {}
        for name in data:
            if name in self.not_yet:
                errors[name] = [
                    serializers.ErrorDetail("Is not supported yet.", code="not_supported")
                ]
            elif name not in self.fields:
                known = ", ".join(self.fields)
                errors[name] = [
                    serializers.ErrorDetail(f"Unknown; known: {known}.", code="unknown_field")
                ]
        if errors:
            raise serializers.ValidationError(errors)
        return super().to_internal_value(data)


def read_body(serializer: type[StrictSerializer], data: Any) -> dict[str, Any]:
    """Check a parsed body.

    Args:
        serializer: its form.
        data: the parsed JSON.

    Raises:
        Invalid: one error for each member that is wrong.
    """
    if data is None:
        raise Invalid([FieldError("body", "invalid_value", "The body must be a JSON object.")])
    form = serializer(data=data)
    if form.is_valid():
        checked: dict[str, Any] = dict(form.validated_data)
        return checked
    raise Invalid(list(flatten(form.errors)))


def flatten(errors: Any, path: str = "") -> list[FieldError]:
    """The nested errors of DRF as the contract's flat list."""
    if isinstance(errors, Mapping):
        found = []
        for name, inner in errors.items():
            step = "" if name in ("", "non_field_errors") else str(name)
            found += flatten(inner, ".".join(part for part in (path, step) if part))
        return found
    found = []
    for item in errors:
        if isinstance(item, (Mapping, list)):
            found += flatten(item, path)
        else:
            code = getattr(item, "code", "")
            code = code if code in {"not_found", *_CODES} else "invalid_value"
            found.append(FieldError(path or "body", _CODES.get(code, code), str(item)))
    return found
