"""Many decisions asked for at once: each stands alone, and each gets its own answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from accounts_app.errors import DomainError, FieldError, Invalid, PreconditionRequired
from accounts_app.scoping import Actor
from tasks_app.services.deciding import Decide, decide

MAX_ITEMS = 100


@dataclass(frozen=True, slots=True)
class BulkItem:
    """One decision of many.

    Args:
        task_id: the task.
        revision: the revision that was looked at; without one nothing is decided.
        read: reads what is to be decided, see `decide`.
    """

    task_id: UUID
    revision: int | None
    read: Callable[[], Decide]


def bulk_decide(actor: Actor, items: Sequence[BulkItem]) -> list[DomainError | None]:
    """Decide each item in a transaction of its own, in the order given.

    Returns:
        For each item the refusal that it would have had alone, or None where it was decided.

    Raises:
        Invalid: no item, or more than 100.
    """
    if not 1 <= len(items) <= MAX_ITEMS:
        code = "too_long" if items else "required"
        raise Invalid([FieldError("items", code, f"From 1 to {MAX_ITEMS} items.")])
    return [_one(actor, item) for item in items]


def _one(actor: Actor, item: BulkItem) -> DomainError | None:
    try:
        # Without a revision the reader refuses, after everything that comes before it.
        read = _no_revision if item.revision is None else item.read
        decide(actor, item.task_id, item.revision, read)
    except DomainError as refusal:
        return refusal
    return None


def _no_revision() -> Decide:
    raise PreconditionRequired("Say which `revision` was looked at.")
