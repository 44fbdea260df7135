"""A block of a test whose writes do not stay."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction


class Undo(Exception):
    pass


@contextmanager
def undone() -> Iterator[None]:
    """A block in which services may open their durable transactions, and nothing of it stays."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]
    try:
        with block:
            yield
            raise Undo
    except Undo:
        pass
