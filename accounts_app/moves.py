"""How a status moves: only by a conditional update whose row count is looked at."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet


class PartlyMoved(RuntimeError):
    """Of rows that move together somebody else had moved some: undo, and try each alone."""


M = TypeVar("M", bound=Model)
Moves = Mapping[str, frozenset[str]]


def sources(moves: Moves, target: str) -> list[str]:
    """The statuses from which `target` may be reached."""
    found = [source for source, targets in moves.items() if target in targets]
    if not found:
        raise ValueError(f"No move leads to {target!r}.")
    return found


def advance(
    rows: QuerySet[M], moves: Moves, target: str, *, source: str = "", **values: Any
) -> int:
    """Move the rows that may be moved; nobody else assigns a status.

    Args:
        rows: which rows, usually one by its id.
        moves: the table of allowed moves.
        target: the new status.
        source: only from this status; any allowed one when left out.
        values: further columns, written by the same statement.

    Returns:
        How many rows moved; 0 says that somebody was faster.

    Raises:
        ValueError: the table has no such move, or the rows are chosen by a join: after waiting
            for a lock PostgreSQL would not look at the status again.
    """
    if sum(bool(count) for count in rows.query.alias_refcount.values()) > 1:
        raise ValueError("Choose the rows that move by their own columns or by subqueries.")
    allowed = sources(moves, target)
    if source and source not in allowed:
        raise ValueError(f"{source!r} may not become {target!r}.")
    return rows.filter(status__in=[source] if source else allowed).update(status=target, **values)


def advance_together(
    ids: Sequence[UUID], rows: QuerySet[M], moves: Moves, target: str, **values: Any
) -> bool:
    """Move rows in one statement, all of them or none.

    Args:
        ids: of the rows that are to move.
        rows: what else must be true of each of them.
        moves: the table of allowed moves.
        target: the new status.
        values: further columns, the same for all.

    Returns:
        Whether they moved; of a single row, False says that somebody was faster.

    Raises:
        PartlyMoved: some moved; the caller's transaction must be undone.
    """
    moved = advance(rows.filter(pk__in=ids), moves, target, **values)
    if moved not in (0, len(ids)):
        raise PartlyMoved(f"{moved} of {len(ids)} rows became {target!r}.")
    return moved > 0
