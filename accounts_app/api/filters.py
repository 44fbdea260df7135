"""Filters of lists that take no value but the ones that they mean, and say which those are."""

import datetime as dt
from typing import Any
from uuid import UUID

import django_filters
from django import forms
from django_filters.fields import IsoDateTimeField

from accounts_app.api.fields import parse_id
from accounts_app.clock import in_utc
from accounts_app.errors import FieldError, Invalid

A_MOMENT = "Must be a date like 2026-01-31, or a date and time like 2026-01-31T12:00:00Z."


class _IdField(forms.CharField):
    def clean(self, value: Any) -> UUID | None:
        text = super().clean(value)
        if not text:
            return None
        found = parse_id(text)
        if found is None:
            raise forms.ValidationError("Must be an id.")
        return found


class IdFilter(django_filters.Filter):
    """By the id of something, in its one canonical spelling."""

    field_class = _IdField


class OneOf(django_filters.ChoiceFilter):
    """By one of some values; a refusal names them."""

    def __init__(self, choices: Any, **options: Any) -> None:
        names = ", ".join(str(name) for name, _ in choices)
        said = {"invalid_choice": f"Choose from {names}."}
        super().__init__(choices=choices, error_messages=said, **options)


class _MomentField(IsoDateTimeField):
    def clean(self, value: Any) -> dt.datetime | None:
        moment = super().clean(value)
        try:
            return None if moment is None else in_utc(moment)
        except ValueError as error:
            raise forms.ValidationError(A_MOMENT) from error


class Moment(django_filters.IsoDateTimeFilter):
    """By a date, which is its beginning in UTC, or a date and time."""

    field_class = _MomentField

    def __init__(self, **options: Any) -> None:
        super().__init__(error_messages={"invalid": A_MOMENT}, **options)


def read_moment(text: str | None, field: str) -> dt.datetime:
    """A date, which is its beginning in UTC, or a date and time.

    Raises:
        Invalid: missing, or neither.
    """
    if not text:
        raise Invalid([FieldError(field, "required", "Give a date, or a date and time.")])
    try:
        return in_utc(dt.datetime.fromisoformat(text))
    except ValueError as error:
        raise Invalid([FieldError(field, "invalid_value", A_MOMENT)]) from error
