"""Filters of lists that take no value but the ones that they mean."""

from typing import Any
from uuid import UUID

import django_filters
from django import forms

from accounts_app.api.fields import parse_id


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
