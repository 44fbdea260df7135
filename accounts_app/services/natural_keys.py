"""The natural `key` of a body: the same request made again finds the first object, for ever."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from accounts_app.errors import Conflict
from accounts_app.strict_json import canonical

K = TypeVar("K", bound=Any)


def body_digest(body: Mapping[str, Any]) -> str:
    """SHA-256 of a body's canonical JSON, to tell whether two requests are the same."""
    return hashlib.sha256(canonical(dict(body)).encode()).hexdigest()


def find_or_make(
    rows: QuerySet[K], key: str | None, digest: str, make: Callable[[], K]
) -> tuple[K, bool]:
    """Return the object of this key, or make it.

    Args:
        rows: the agent's objects of the kind.
        key: the natural key; None makes a new object each time.
        digest: `body_digest` of this request.
        make: creates the row, inside a savepoint.

    Returns:
        The object, and whether it is new.

    Raises:
        Conflict: `idempotency_mismatch`, the key belongs to another body.
    """
    if key is None:
        return make(), True
    found = rows.filter(key=key).first()
    if found is None:
        try:
            with transaction.atomic():
                return make(), True
        except IntegrityError:
            found = rows.filter(key=key).first()
            if found is None:
                raise
    if found.body_digest != digest:
        raise Conflict(
            f"The key {key!r} was used with another body.",
            code="idempotency_mismatch",
            facts={"existing": str(found.pk)},
        )
    return found, False
