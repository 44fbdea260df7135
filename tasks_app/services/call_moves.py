"""The moves of a call that several acts share."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import QuerySet

from accounts_app.errors import FieldError, Invalid
from accounts_app.models import Agent
from accounts_app.moves import advance, advance_together
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import Unit
from integrations_app.models import Operation, ToolCall
from integrations_app.schemas import validate
from integrations_app.services.finishing import announce_finishes
from integrations_app.states import (
    CALL_MOVES,
    CallStatus,
    IntegrationKind,
)

register_verbs(
    {
        "call.received": "asked for the call",
        "call.queued": "the call may run",
        "call.blocked": "the guard blocked the call",
        "call.rejected": "the call was rejected",
        "call.timed_out": "nobody decided on the call in time",
        "call.settled": "said whether the call happened",
    }
)
EXECUTE = "tasks_app.execute_call"


def check_arguments(
    operation: Operation, arguments: Mapping[str, Any], *, field: str = "/arguments"
) -> None:
    """Refuse arguments that do not fit the operation's schema.

    Args:
        operation: whose schema.
        arguments: unmasked.
        field: the pointer of the body's member that they came in.

    Raises:
        Invalid: with a JSON pointer for each fault.
    """
    errors = validate(operation.parameters, dict(arguments))
    if errors:
        raise Invalid([FieldError(f"{field}{e.field}", e.code, e.detail) for e in errors])


def row_of(call: ToolCall) -> QuerySet[ToolCall]:
    """The call as rows, for a conditional update."""
    return ToolCall.objects.filter(pk=call.pk)


def let_run(unit: Unit, actor: Actor, call: ToolCall) -> bool:
    """Queue an allowed call, or hand it to the agent; returns whether it moved."""
    target = ("tool_call", call.pk, call.operation.reference)
    client = call.operation.integration.kind == IntegrationKind.CLIENT
    # Of a frozen agent even this waits in the queue, until the agent is thawed.
    if client and not Agent.objects.get(pk=call.agent_id).is_frozen:
        # The agent runs it from here on, so that it may have happened: it counts as sent.
        moved = advance(
            row_of(call),
            CALL_MOVES,
            CallStatus.EXECUTING,
            started_at=unit.now,
            sent_at=unit.now,
            attempts=1,
        )
    else:
        moved = advance(
            row_of(call),
            CALL_MOVES,
            CallStatus.QUEUED,
            queued_at=unit.now,
            not_before=None,
            lease_until=None,
            sent_at=None,
            finished_at=None,
            error=None,
        )
        if not client:
            unit.ring(EXECUTE, call.pk)
    if moved:
        unit.audit(actor, "call.queued", target, {"digest": call.request_digest})
        unit.wake(call.pk, call.run_id)
    return bool(moved)


def stop(
    unit: Unit, actor: Actor, call: ToolCall, status: CallStatus, code: str, detail: str
) -> None:
    """End a call that will not run."""
    stop_all(unit, actor, [call], status, code, detail)


def stop_all(
    unit: Unit,
    actor: Actor,
    calls: Sequence[ToolCall],
    status: CallStatus,
    code: str,
    detail: str,
) -> None:
    """End calls of one workspace that will not run; as many statements as for one.

    Raises:
        PartlyMoved: somebody else had moved some of them.
    """
    columns = {"finished_at": unit.now, "error": {"code": code, "detail": detail}}
    ids = [call.pk for call in calls]
    if not advance_together(ids, ToolCall.objects.all(), CALL_MOVES, status, **columns):
        return
    for call in calls:
        target = ("tool_call", call.pk, call.operation.reference)
        unit.audit(actor, f"call.{status.value}", target, {"detail": detail})
    announce_finishes(unit, calls, status)
