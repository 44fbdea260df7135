"""Encrypting anew with the newest key, so that an old one can be retired.

The order is: put the new key first and keep the old one behind it, restart, rotate, and only
when `rotate_keys` says that nothing is left, drop the old one.
"""

import base64
from collections.abc import Callable, Iterator

from cryptography.fernet import InvalidToken
from django.apps import apps
from django.db.models import BinaryField, Model

from accounts_app import crypto

BATCH = 500
Rotate = Callable[[], int]
_more: dict[str, Rotate] = {}


def also_rotate(name: str, rotate: Rotate) -> None:
    """Register what is sealed elsewhere than in a column of its own.

    Args:
        name: for the report.
        rotate: does it, and returns how many were encrypted anew.
    """
    _more[name] = rotate


def rotate_everything() -> dict[str, int]:
    """Encrypt every sealed column anew with the newest key; may run beside everything else.

    Each row is written only where it still holds what was read, so that a change made meanwhile
    stays; running it again finds those rows.

    Returns:
        How many values of each column, or of each registered place, were encrypted anew.

    Raises:
        Unreadable: a value opens with none of the keys; it is named, and nothing after it is
            touched.
    """
    done = {}
    for model, column in sealed_columns():
        done[f"{model._meta.label}.{column}"] = _rotate(model, column)
    for name, rotate in sorted(_more.items()):
        done[name] = rotate()
    return done


def sealed_columns() -> Iterator[tuple[type[Model], str]]:
    """Every binary column whose name says that it is sealed."""
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, BinaryField) and field.name.endswith("sealed"):
                yield model, field.name


def rotated(token: bytes, *, where: str) -> bytes:
    """One value encrypted anew.

    Raises:
        Unreadable: none of the keys opens it.
    """
    try:
        return crypto.rotate(token)
    except InvalidToken as error:
        raise crypto.Unreadable(f"{where} opens with none of the keys.") from error


def rotated_text(text: str, *, where: str) -> str:
    """One value kept as base64, encrypted anew."""
    return base64.b64encode(rotated(base64.b64decode(text), where=where)).decode()


def _rotate(model: type[Model], column: str) -> int:
    rows = model._default_manager.exclude(**{f"{column}__isnull": True}).order_by("pk")
    done, last = 0, None
    while True:
        page = rows if last is None else rows.filter(pk__gt=last)
        found = list(page.values_list("pk", column)[:BATCH])
        if not found:
            return done
        for pk, token in found:
            old = bytes(token)
            new = rotated(old, where=f"{model._meta.label}.{column} of row {pk}")
            unchanged = model._default_manager.filter(pk=pk, **{column: old})
            done += unchanged.update(**{column: new})
        last = found[-1][0]
