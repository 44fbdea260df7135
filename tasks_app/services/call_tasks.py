"""Tasks about a call: asked, decided on, and kept true when the operation changes."""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from accounts_app.errors import Conflict, DomainError, Forbidden
from accounts_app.moves import advance
from accounts_app.scoping import Actor
from accounts_app.services.reviewers import Granted, granted_of
from accounts_app.services.unit import Unit, unit_of_work
from integrations_app.models import Clearance, Operation, ToolCall
from integrations_app.policies import read_policy
from integrations_app.services.approval import Need, approval_need
from integrations_app.services.finishing import announce_finish, cancel_unsent
from integrations_app.services.freezing import freeze, full_arguments
from integrations_app.services.locks import lock_run, lock_runs
from integrations_app.services.sessions import settle_run
from integrations_app.states import (
    CALL_MOVES,
    CALL_WAITS_FOR_PERSON,
    CallStatus,
)
from tasks_app.kinds import OWN_ACTIONS
from tasks_app.models import Decision, UserTask
from tasks_app.services.asking import default_timeout
from tasks_app.services.call_moves import check_arguments, let_run, row_of, stop, stop_all
from tasks_app.services.closing import cancel, check_open, refuse_closed, subject_of
from tasks_app.services.creating import announce_new
from tasks_app.services.drafts import keep_revision
from tasks_app.services.routing import name_reviewers
from tasks_app.states import ABOUT_A_CALL, About, CancelReason, Kind, OutcomeAction


def open_approval(
    unit: Unit, actor: Actor, call: ToolCall, *, stale: Sequence[str] = ()
) -> UserTask:
    """Ask a person whether the call may run.

    Args:
        unit: the transaction; it holds the run's lock.
        actor: whose act led here.
        call: with the request as it would be sent now.
        stale: what has changed since an earlier approval, if that is why.
    """
    policy = read_policy(call.operation.approval)
    integration = call.operation.integration
    work = call.arguments if policy.allow_edit else None
    task = ask(
        unit,
        actor,
        call,
        about=About.CALL,
        policy=call.operation.approval,
        allow_edit=policy.allow_edit,
        initial_work=work,
        draft=work,
        title=f"{integration.name}: {call.operation.name}"[:200],
        actions=[action.as_json() for action in policy.actions],
        why=call.why,
        timeout_seconds=policy.timeout_seconds or default_timeout(call.workspace_id),
        on_timeout=policy.on_timeout,
        quorum=policy.quorum,
        reviewers=policy.reviewers,
        named=policy.reviewers is not None,
        allow_self_review=policy.allow_self_review,
        stale={"changed": list(stale)} if stale else None,
        levels=[granted_of(level) for level in policy.granted],
    )
    if policy.allow_edit:
        keep_revision(unit, actor, task)
    return task


def open_review(
    unit: Unit, actor: Actor, call: ToolCall, *, why: Sequence[Any], incident: str | None
) -> UserTask:
    """Ask a guard analyst whether a call that the guard paused goes on.

    Args:
        unit: the transaction; it holds the run's lock.
        actor: whose act led here.
        call: it awaits review.
        why: the rules that paused it, as a card shows them.
        incident: the id of the incident that it belongs to.
    """
    policy = read_policy(call.operation.approval)
    return ask(
        unit,
        actor,
        call,
        about=About.REVIEW,
        kind=Kind.ANOMALY_REVIEW,
        title=f"{call.operation.integration.name}: {call.operation.name}"[:200],
        actions=[action.as_json() for action in OWN_ACTIONS[Kind.ANOMALY_REVIEW]],
        why=list(why),
        incident_id=incident,
        # Analysts alone see it: whoever the agent talks to is not asked about the agent.
        participant="",
        allow_self_review=policy.allow_self_review,
    )


def open_outcome_question(unit: Unit, actor: Actor, call: ToolCall) -> None:
    """Ask a person whether an `unknown` call has happened (promise 5)."""
    actions = [
        {"name": action.value, "label": action.label, "comment_required": False, "style": style}
        for action, style in zip(OutcomeAction, ("primary", "default", "danger"), strict=True)
    ]
    rule = "It was sent, and no whole answer came."
    ask(
        unit,
        actor,
        call,
        about=About.OUTCOME,
        title=f"Did it happen? {call.operation.integration.name}: {call.operation.name}"[:200],
        actions=actions,
        why=[{"rule": rule, "outcome": "unknown", "facts": []}],
    )


def ask(
    unit: Unit, actor: Actor, call: ToolCall, *, levels: Sequence[Granted] = (), **columns: Any
) -> UserTask:
    """Make a task about a call; `columns` are those in which the kinds differ.

    Args:
        unit: the transaction.
        actor: whose act led here.
        call: what it is about.
        levels: whom it names, and whom each escalation.
        columns: of the row.
    """
    seconds = columns.get("timeout_seconds")
    session = call.run.session
    task = UserTask.objects.create(
        workspace_id=call.workspace_id,
        created_at=unit.now,
        updated_at=unit.now,
        agent=call.agent,
        session=session,
        run=call.run,
        tool_call=call,
        description=call.reason,
        digest=call.request_digest,
        due_at=None if seconds is None else unit.now + dt.timedelta(seconds=seconds),
        **{"kind": Kind.APPROVAL, "participant": session.participant, **columns},
    )
    name_reviewers(unit, task, levels)
    announce_new(unit, actor, task)
    unit.wake(call.pk)
    return task


def apply_decision(
    unit: Unit, actor: Actor, task: UserTask, *, action: str, effect: str, detail: str
) -> None:
    """Move the call as its task was decided.

    Args:
        unit: the transaction in which the task was completed.
        actor: who decided.
        task: the completed task.
        action: the name of the chosen action.
        effect: `proceed` or `stop`, for a task about whether the call runs.
        detail: what the agent is told when it does not.
    """
    if task.tool_call is None or task.about == About.NOTHING:
        return
    call = task.tool_call
    if task.about == About.OUTCOME:
        _settle_outcome(unit, actor, task, call, OutcomeAction(action))
        return
    row_of(call).update(decided_at=unit.now)
    if effect == "proceed" and task.about == About.REVIEW:
        _after_review(unit, actor, call)
    elif effect == "proceed":
        _clear(unit, task, call)
        if task.guard_said is None:
            let_run(unit, actor, call)
        else:
            advance(row_of(call), CALL_MOVES, CallStatus.AWAITING_REVIEW)
            open_review(unit, actor, call, **task.guard_said)
    else:
        stop(unit, actor, call, CallStatus.REJECTED, "rejected", detail)


def _after_review(unit: Unit, actor: Actor, call: ToolCall) -> None:
    """The guard's pause is over: the call runs, or waits for the approval that it needs."""
    cleared = Clearance.objects.filter(call=call, digest=call.request_digest).exists()
    if call.approval_required and not cleared:
        advance(row_of(call), CALL_MOVES, CallStatus.AWAITING_APPROVAL)
        open_approval(unit, actor, call)
    else:
        let_run(unit, actor, call)


def _clear(unit: Unit, task: UserTask, call: ToolCall) -> None:
    decision = Decision.objects.get(task=task)
    Clearance.objects.create(
        workspace_id=call.workspace_id,
        created_at=unit.now,
        call=call,
        digest=task.digest,
        decision_id=decision.pk,
    )


def _settle_outcome(
    unit: Unit, actor: Actor, task: UserTask, call: ToolCall, action: OutcomeAction
) -> None:
    unit.audit(
        actor,
        "call.settled",
        ("tool_call", call.pk, call.operation.reference),
        {"action": action.value},
    )
    if action == OutcomeAction.SEND_AGAIN:
        _clear(unit, task, call)
        let_run(unit, actor, call)
        return
    happened = action == OutcomeAction.IT_HAPPENED
    status = CallStatus.SUCCEEDED if happened else CallStatus.FAILED
    error = None if happened else {"code": "did_not_happen", "detail": "A person said so."}
    if advance(row_of(call), CALL_MOVES, status, source=CallStatus.UNKNOWN, error=error):
        announce_finish(unit, call, status)


def time_out_calls(unit: Unit, actor: Actor, tasks: Sequence[UserTask]) -> None:
    """Nobody decided these tasks of one workspace in time: their calls do not run.

    Raises:
        PartlyMoved: somebody else had moved some of the calls.
    """
    waiting = [task.tool_call for task in tasks if task.about in ABOUT_A_CALL]
    calls = [call for call in waiting if call is not None]
    if calls:
        detail = "Nobody decided before the deadline."
        stop_all(unit, actor, calls, CallStatus.TIMED_OUT, "timed_out", detail)


def withdraw_task(actor: Actor, task: UserTask, read: Callable[[], str]) -> UserTask:
    """Withdraw a pending task; a call that waits for it is cancelled with it.

    Args:
        actor: whose credential.
        task: which task.
        read: reads the reason; asked only while the task may be withdrawn.

    Raises:
        Conflict: it had its end before, its deadline has passed, or it asks whether a call has
            happened.
        Forbidden: it is the guard's alert.
    """
    if task.kind == Kind.ANOMALY_ALERT:
        text = "An alert of the guard is acknowledged in the back office only."
        raise Forbidden(text, code="dashboard_only")
    with unit_of_work() as unit:
        lock_run(task.run_id)
        task.refresh_from_db()
        check_open(task)
        if task.about == About.OUTCOME:
            text = "This task asks whether a call has happened; only a person can settle that."
            raise Conflict(text, code="already_executing")
        reason = read()
        if not cancel(unit, actor, task, CancelReason.WITHDRAWN, reason):
            refuse_closed(task)
        if task.tool_call is not None:
            detail = reason or "The task was withdrawn."
            cancel_unsent(unit, actor, task.tool_call, code="withdrawn", detail=detail)
        settle_run(unit, task.run_id)
    task.refresh_from_db()
    return task


def reroute(unit: Unit, actor: Actor, call: ToolCall) -> None:
    """The request is no longer what was recorded: build it anew and ask again where needed.

    Whatever a person was asked about is asked about again, by whichever rule it came to them.
    """
    need = _refreeze(unit, actor, call)
    if need is None:
        return
    was_asked = UserTask.objects.filter(tool_call=call, about__in=ABOUT_A_CALL).exists()
    if need.required or call.approval_required or was_asked:
        advance(row_of(call), CALL_MOVES, CallStatus.AWAITING_APPROVAL, lease_until=None)
        if not UserTask.objects.pending().filter(tool_call=call).exists():
            open_approval(unit, actor, call, stale=["operation"])
    else:
        let_run(unit, actor, call)


def _refreeze(unit: Unit, actor: Actor, call: ToolCall) -> Need | None:
    """Build the request as operation and integration stand now; None where that is impossible."""
    arguments = full_arguments(call)
    try:
        check_arguments(call.operation, arguments)
        frozen = freeze(call.operation, call.run, arguments, call_id=call.pk)
    except DomainError as refusal:
        detail = f"The operation changed, and the call no longer fits: {refusal.detail}"
        for task in UserTask.objects.pending().filter(tool_call=call, about__in=ABOUT_A_CALL):
            cancel(unit, actor, task, CancelReason.OPERATION_CHANGED, detail)
        cancel_unsent(unit, actor, call, code="operation_changed", detail=detail)
        return None
    need = approval_need(call.operation, call.run, arguments)
    columns = {**frozen.columns(), "why": need.why or call.why}
    row_of(call).update(**columns)
    for name, value in columns.items():
        setattr(call, name, value)
    return need


def refresh_waiting(unit: Unit, actor: Actor, operation: Operation, changed: Sequence[str]) -> None:
    """An admin changed or disabled an operation: waiting tasks go stale, or are dropped.

    Args:
        unit: the admin's transaction.
        actor: the admin.
        operation: as it is now.
        changed: the members that changed; empty says that it was disabled.
    """
    waiting = ToolCall.objects.filter(operation=operation, status__in=CALL_WAITS_FOR_PERSON)
    lock_runs(list(waiting.values_list("run_id", flat=True)))
    rows = waiting.select_related("run__session", "run__agent", "agent").order_by("pk")
    run_ids: set[UUID] = set()
    for call in rows:
        call.operation = operation
        run_ids.add(call.run_id)
        tasks = list(UserTask.objects.pending().filter(tool_call=call, about__in=ABOUT_A_CALL))
        if not changed:
            for task in tasks:
                cancel(unit, actor, task, CancelReason.OPERATION_CHANGED)
            detail = "The operation was disabled."
            cancel_unsent(unit, actor, call, code="operation_changed", detail=detail)
        elif _refreeze(unit, actor, call) is not None:
            for task in tasks:
                _make_stale(unit, actor, task, call, changed)
    for run_id in sorted(run_ids):
        settle_run(unit, run_id)


def _make_stale(
    unit: Unit, actor: Actor, task: UserTask, call: ToolCall, changed: Sequence[str]
) -> None:
    before = (task.stale or {}).get("changed", [])
    UserTask.objects.filter(pk=task.pk).update(
        revision=task.revision + 1,
        digest=call.request_digest,
        why=call.why,
        draft=call.arguments if task.allow_edit else task.draft,
        stale={"changed": sorted({*before, *changed})},
        updated_at=unit.now,
    )
    unit.audit(actor, "task.changed", subject_of(task), {"changed": list(changed)})
    unit.wake(task.pk, call.pk)
