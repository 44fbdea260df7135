"""Random walks over tasks, calls and runs: only allowed moves, and every promise after each step.

The tables here are written down from the design and not taken from the code, so that a move that
both the code and its own table got wrong is found as well.
"""

import logging
import os
from collections import Counter
from itertools import combinations
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from integrations_app.states import CALL_MOVES, RUN_MOVES
from tasks_app.states import TASK_MOVES
from tests.conftest import World
from tests.harness import moves
from tests.tasks_app.walking import TALES, Review

logger = logging.getLogger(__name__)


def pairs(kind: str, table: str) -> set[moves.Move]:
    """The moves of lines like `a b → c d`: from each on the left to each on the right."""
    found = set()
    for line in filter(None, map(str.strip, table.splitlines())):
        sources, targets = (side.split() for side in line.split("→"))
        found |= {(kind, source, target) for source in sources for target in targets}
    return found


WAY = ("received", "awaiting_review", "awaiting_approval", "queued", "executing")
"""What does not need a station of a call's way leaves it out."""

ALLOWED = frozenset(
    {("call", *pair) for pair in combinations(WAY, 2)}
    | pairs(
        "call",
        f"""
        executing → succeeded failed unknown
        {" ".join(WAY)} → rejected blocked timed_out cancelled
        executing → queued
        queued executing → awaiting_approval
        awaiting_approval → awaiting_review
        unknown → succeeded failed queued
        """,
    )
    | pairs("task", "pending → completed cancelled")
    | pairs(
        "run",
        """
        running → waiting
        waiting → running
        running waiting → completed failed terminated
        """,
    )
)
REACHED = ALLOWED - pairs(
    "call",
    """
    received → rejected timed_out cancelled
    awaiting_review → timed_out blocked
    awaiting_approval → blocked
    queued → awaiting_approval rejected blocked timed_out
    executing → rejected blocked timed_out
    """,
)
"""What the walks must come by. The design permits the rest, and no act of the product does it:
a call is blocked before it waits for anybody, a review has no deadline, and what changed before
sending is noticed by the worker that has claimed it. What only a repair or an altered row leads to
(`received → cancelled`, `awaiting_review → timed_out`) has tests of its own among those of the
sweep."""


def test_the_tables_of_the_code_are_those_of_the_design() -> None:
    tables: dict[str, Any] = {"task": TASK_MOVES, "call": CALL_MOVES, "run": RUN_MOVES}
    known = {
        (kind, str(source), str(target))
        for kind, table in tables.items()
        for source, targets in table.items()
        for target in targets
    }
    assert known <= ALLOWED
    assert known >= REACHED


@pytest.mark.parametrize("move", [("task", "completed", "pending"), ("call", "failed", "queued")])
def test_what_has_its_end_does_not_move_again(move: moves.Move) -> None:
    assert move not in ALLOWED


def test_random_walks_keep_every_promise_and_come_by_every_move(world: World) -> None:
    moves.watch()
    Review.prepare(world)
    Review.allowed, Review.reached = ALLOWED, Counter()
    for tale in TALES.values():
        Review.tale = tale
        run_state_machine_as_test(
            Review,
            settings=settings(
                max_examples=int(os.environ.get("ASSENT_WALKS", "3")),
                stateful_step_count=30,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    logger.info("Moves: %s", dict(sorted(Review.reached.items())))
    assert set(Review.reached) >= REACHED, sorted(REACHED - set(Review.reached))
