"""What a statement decides after it waited for somebody else's transaction (PostgreSQL)."""

import threading
import time
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from accounts_app.moves import advance
from integrations_app.models import ToolCall
from integrations_app.services import execution
from integrations_app.services.execution import execute
from integrations_app.states import CALL_MOVES, CallStatus
from tasks_app.services import calls
from tests.conftest import World
from tests.tasks_app.racing import race

pytestmark = pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="The embedded database lets one writer in"
)
BLOCKED = (
    "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
)


def until_somebody_waits_for_us() -> None:
    """Return as soon as another connection waits for a lock that this one holds."""
    late = time.monotonic() + 60
    while time.monotonic() < late:
        with connection.cursor() as cursor:
            cursor.execute(BLOCKED)
            if cursor.fetchone():
                return
    raise AssertionError("Nobody waited.")


def cancelled_while_it_is(point: str, world: World, monkeypatch: pytest.MonkeyPatch) -> ToolCall:
    """Cancel a call, and let its worker's statement after this point wait for that to commit."""
    call = ToolCall.objects.select_related("operation__integration").get(
        pk=world.refund(40).ok(201)["id"]
    )
    worker_is_there, changed = threading.Event(), threading.Event()
    settle = calls.settle_run

    def at(name: str) -> None:
        if name == point:
            worker_is_there.set()
            assert changed.wait(60)

    def hold(*arguments: Any) -> None:
        changed.set()
        until_somebody_waits_for_us()
        settle(*arguments)

    def cancel() -> None:
        assert worker_is_there.wait(60)
        calls.cancel_call(world.cast.actor("ann"), call, lambda: "Never mind.")

    monkeypatch.setattr(execution, "fault", at)
    monkeypatch.setattr(calls, "settle_run", hold)
    executed, _ = race(lambda: execute(call.pk).status, cancel)
    assert executed == ""
    call.refresh_from_db()
    return call


def test_a_call_that_is_cancelled_while_its_mark_waits_is_not_sent(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = cancelled_while_it_is("mark.before_commit", shared_world, monkeypatch)
    assert (call.status, call.sent_at, call.attempts) == ("cancelled", None, 0)
    assert shared_world.receiver.hits == []


def claim_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Two workers that both read the call as queued, of which the second waits for the first."""
    pk = UUID(world.refund(40).ok(201)["id"])
    both, plain = threading.Barrier(2, timeout=60), execution.advance

    def together(*arguments: Any, **options: Any) -> int:
        if arguments[2] == CallStatus.EXECUTING:
            both.wait()
        return plain(*arguments, **options)

    monkeypatch.setattr(execution, "advance", together)
    return race(lambda: execute(pk).status, lambda: execute(pk).status)


def test_of_two_workers_that_claim_at_once_the_second_finds_nothing(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sorted(map(str, claim_twice(shared_world, monkeypatch))) == ["", "succeeded"]


def test_no_status_moves_by_rows_of_a_join(world: World) -> None:
    rows = ToolCall.objects.filter(agent__enabled=True)
    with pytest.raises(ValueError, match="subqueries"):
        advance(rows, CALL_MOVES, CallStatus.QUEUED)
