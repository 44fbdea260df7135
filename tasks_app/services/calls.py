"""One tool call's way: record → screen → route → decide → execute → finish."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from accounts_app.errors import Conflict, Forbidden
from accounts_app.faults import fault
from accounts_app.models import Agent, new_id
from accounts_app.moves import advance
from accounts_app.scoping import Actor
from accounts_app.services.natural_keys import body_digest, find_or_make
from accounts_app.services.unit import Unit, unit_of_work
from guard_app.services.screening import Verdict, may_end_sessions, screen
from integrations_app.models import Operation, Run, ToolCall
from integrations_app.services.approval import approval_need
from integrations_app.services.finishing import announce_finish, cancel_unsent, unsent
from integrations_app.services.freezing import freeze
from integrations_app.services.locks import lock_open_run, lock_run, lock_session
from integrations_app.services.sessions import check_takes_calls, settle_run
from integrations_app.states import (
    CALL_MOVES,
    CallStatus,
    IntegrationKind,
)
from tasks_app.models import UserTask
from tasks_app.services.anomalies import hold_back
from tasks_app.services.asking import check_asking_is_on
from tasks_app.services.call_moves import check_arguments, let_run, row_of
from tasks_app.services.call_tasks import open_approval
from tasks_app.services.closing import cancel
from tasks_app.states import ABOUT_A_CALL, CancelReason, Kind


def request_call(
    actor: Actor,
    *,
    run: Run,
    operation: Operation,
    arguments: Mapping[str, Any],
    key: str | None = None,
    reason: str = "",
) -> tuple[ToolCall, bool]:
    """Record a run's request to perform an operation, and route it.

    Returns:
        The call, and whether it is new.

    Raises:
        Invalid: the arguments do not fit the operation; no call is recorded.
        Conflict: `run_ended`, `operation_disabled`, `agent_frozen` or `idempotency_mismatch`.
        Forbidden: `tasks_not_enabled`, approval is needed and the agent may not ask people.
    """
    digest = body_digest(
        {
            "run": str(run.pk),
            "operation": operation.reference,
            "arguments": dict(arguments),
            "reason": reason,
        }
    )
    with unit_of_work() as unit:

        def make() -> ToolCall:
            if may_end_sessions(actor.workspace_id):
                lock_session(run.session_id)
            lock_open_run(run.pk)
            return _record(unit, actor, run, operation, arguments, key, digest, reason)

        rows = ToolCall.objects.in_workspace(actor.workspace_id).filter(agent=run.agent_id)
        call, created = find_or_make(rows, key, digest, make)
        if created:
            target = ("tool_call", call.pk, operation.reference)
            unit.audit(actor, "call.received", target, {"digest": call.request_digest})
            _route(unit, actor, call, screen(unit, call))
            settle_run(unit, run.pk)
        fault("create.before_commit")
    fault("create.after_commit")
    if created:
        call.refresh_from_db()
    return call, created


def _record(
    unit: Unit,
    actor: Actor,
    run: Run,
    operation: Operation,
    arguments: Mapping[str, Any],
    key: str | None,
    digest: str,
    reason: str,
) -> ToolCall:
    check_takes_calls(run.agent)
    _check_enabled(operation)
    check_arguments(operation, arguments)
    need = approval_need(operation, run, arguments)
    if need.required:
        _check_may_ask(run.agent)
    call_id = new_id()
    return ToolCall.objects.create(
        id=call_id,
        workspace_id=actor.workspace_id,
        created_at=unit.now,
        run=run,
        agent=run.agent,
        operation=operation,
        key=key,
        body_digest=digest,
        reason=reason,
        approval_required=need.required,
        why=need.why,
        **freeze(operation, run, arguments, call_id=call_id).columns(),
    )


def _check_enabled(operation: Operation) -> None:
    if not (operation.enabled and operation.integration.enabled):
        text = f"{operation.reference} is disabled; an admin must enable it first."
        raise Conflict(text, code="operation_disabled")


def _check_may_ask(agent: Agent) -> None:
    if not agent.tasks_enabled:
        text = (
            f"This call needs approval, and the agent {agent.slug!r} may not ask people:"
            " an admin must switch on “tasks enabled” for it."
        )
        raise Forbidden(text, code="tasks_not_enabled")
    check_asking_is_on(agent.workspace_id, Kind.APPROVAL)


def _route(unit: Unit, actor: Actor, call: ToolCall, verdict: Verdict) -> None:
    """Decide what happens to a call that was screened."""
    if hold_back(unit, actor, call, verdict):
        return
    if call.approval_required:
        advance(row_of(call), CALL_MOVES, CallStatus.AWAITING_APPROVAL)
        open_approval(unit, actor, call)
    else:
        let_run(unit, actor, call)


def cancel_call(actor: Actor, call: ToolCall, read: Callable[[], str]) -> ToolCall:
    """Cancel a call of which nothing was sent, with the task that it waits for.

    Args:
        actor: whose credential.
        call: which call.
        read: reads the reason; asked only while the call may be cancelled.

    Raises:
        Conflict: `already_executing`, or `already_finished`.
    """
    with unit_of_work() as unit:
        lock_run(call.run_id)
        if not unsent(row_of(call)).exists():
            _refuse_to_cancel(call)
        reason = read()
        for task in UserTask.objects.pending().filter(tool_call=call, about__in=ABOUT_A_CALL):
            cancel(unit, actor, task, CancelReason.WITHDRAWN, reason)
        detail = reason or "The agent withdrew the call."
        if not cancel_unsent(unit, actor, call, code="cancelled", detail=detail):
            _refuse_to_cancel(call)
        settle_run(unit, call.run_id)
    call.refresh_from_db()
    return call


def _refuse_to_cancel(call: ToolCall) -> NoReturn:
    call.refresh_from_db()
    raise Conflict(
        f"The call is {call.get_status_display().lower()}; it cannot be cancelled.",
        code="already_executing" if call.status == CallStatus.EXECUTING else "already_finished",
    )


@dataclass(frozen=True, slots=True)
class ClientResult:
    """What came of a call that the agent ran itself; with an `error` it failed."""

    output: Any = None
    error: dict[str, str] | None = None


def finish_client_call(actor: Actor, call: ToolCall, read: Callable[[], ClientResult]) -> ToolCall:
    """Take the result of a call that the agent ran itself.

    Args:
        actor: whose credential.
        call: which call.
        read: reads the result; asked only while the call is executing.

    Raises:
        Conflict: `not_executing` before it is allowed, `already_finished` after a result.
    """
    client = Operation.objects.filter(integration__kind=IntegrationKind.CLIENT)
    executing = row_of(call).filter(operation__in=client, status=CallStatus.EXECUTING)
    with unit_of_work() as unit:
        lock_run(call.run_id)
        if not executing.exists():
            _refuse_result(call)
        given = read()
        failed = given.error is not None
        status = CallStatus.FAILED if failed else CallStatus.SUCCEEDED
        moved = advance(
            executing,
            CALL_MOVES,
            status,
            source=CallStatus.EXECUTING,
            finished_at=unit.now,
            result=None if failed else {"status_code": None, "headers": {}, "body": given.output},
            error=given.error,
        )
        if not moved:
            _refuse_result(call)
        unit.audit(actor, f"call.{status.value}", ("tool_call", call.pk, call.operation.reference))
        announce_finish(unit, call, status)
        settle_run(unit, call.run_id)
    call.refresh_from_db()
    return call


def _refuse_result(call: ToolCall) -> NoReturn:
    call.refresh_from_db()
    waits = call.finished_at is None
    raise Conflict(
        f"The call is {call.get_status_display().lower()}.",
        code="not_executing" if waits else "already_finished",
    )
