"""From an allowed call to its result: claim, verify, mark, send, record (promises 3 to 6).

A claim raises the fence and takes a lease; the mark is committed after the connection stands and
before the first byte is written, so that a call with effect `once` whose worker died is never
sent again. What died before the mark goes back to the queue; what died after it is `unknown`,
unless doing it twice is harmless.
"""

import datetime as dt
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import F, Q

from accounts_app.clock import DbNow, db_now
from accounts_app.crypto import Unreadable
from accounts_app.errors import DomainError
from accounts_app.faults import fault
from accounts_app.moves import advance
from accounts_app.scoping import Actor, system_actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import unit_of_work
from integrations_app.answers import MaskedAnswer, read_answer
from integrations_app.client import (
    NoAnswer,
    NotSent,
    Origin,
    OutboundAnswer,
    OutboundPolicy,
    OutboundRequest,
    send,
)
from integrations_app.credentials import Credential, open_credential
from integrations_app.models import Attempt, Clearance, ToolCall
from integrations_app.models.calls import ToolCallQuerySet
from integrations_app.requests import FrozenRequest
from integrations_app.services.approval import approval_need
from integrations_app.services.finishing import announce_finish, cancel_unsent
from integrations_app.services.freezing import full_arguments, still_holds, thaw
from integrations_app.services.hooks import hooks
from integrations_app.services.locks import lock_run
from integrations_app.services.sessions import settle_run
from integrations_app.states import CALL_MOVES, CallStatus, Effect

register_verbs(
    {
        "call.succeeded": "the call succeeded",
        "call.failed": "the call failed",
        "call.unknown": "nobody can say whether the call happened",
        "call.requeued": "the call is tried again",
        "call.held_back": "the call was not sent, because something changed",
    }
)
LEASE_MARGIN = dt.timedelta(seconds=30)
PAUSES = (1.0, 5.0, 20.0)
MAX_ATTEMPTS = len(PAUSES) + 1
REPEATABLE_CODES = frozenset({429, 502, 503, 504})


class LostClaim(Exception):
    """The claim is no longer ours, or the call was withdrawn: nothing was sent."""


@dataclass(frozen=True, slots=True)
class Executed:
    """What became of one claim.

    Args:
        status: where the call stands; empty when there was nothing to claim.
        retry_in: seconds until the next attempt is due; None when there is none.
    """

    status: str
    retry_in: float | None = None


def execute(call_id: UUID) -> Executed:
    """Claim a queued call and see it through; harmless however often it is asked for.

    Args:
        call_id: a hint; whether the call is due is seen from its row.
    """
    begun = time.monotonic()
    call = _claim(call_id)
    if call is None:
        return Executed("")
    fault("claim.after")
    actor = system_actor(call.workspace_id, "executor")
    if not _verify(actor, call):
        call.refresh_from_db()
        return Executed(call.status)
    fault("verify.after")
    try:
        credential, request = open_credential(call.operation.integration), thaw(call)
    except ValueError as error:
        _drop(actor, call, "unreadable", str(error))
        return Executed(CallStatus.CANCELLED)
    try:
        answer = _send(call, request, credential, begun)
    except LostClaim:
        _put_back(call)
        return Executed("")
    except NotSent as failure:
        return _not_sent(actor, call, failure)
    except NoAnswer as failure:
        return _no_answer(actor, call, failure)
    return _answered(actor, call, answer, credential)


def _claim(call_id: UUID) -> ToolCall | None:
    with unit_of_work() as unit:
        due = (
            ToolCall.objects.filter(pk=call_id)
            .sendable()
            .filter(Q(not_before__isnull=True) | Q(not_before__lte=DbNow()))
        )
        rows = ToolCall.objects.select_related(
            "operation__integration", "run__session", "run__agent", "agent"
        )
        call = rows.filter(pk__in=due, status=CallStatus.QUEUED).first()
        if call is None:
            return None
        lease = unit.now + dt.timedelta(seconds=call.operation.timeout_seconds) + LEASE_MARGIN
        moved = advance(
            due.filter(fence=call.fence),
            CALL_MOVES,
            CallStatus.EXECUTING,
            source=CallStatus.QUEUED,
            fence=call.fence + 1,
            lease_until=lease,
            sent_at=None,
            started_at=call.started_at or unit.now,
        )
        if not moved:
            return None
        Attempt.objects.create(call=call, fence=call.fence + 1, claimed_at=unit.now)
    call.fence += 1
    return call


def _verify(actor: Actor, call: ToolCall) -> bool:
    """Ask again, just before sending, everything that allowed the call."""
    operation, run = call.operation, call.run
    if not (operation.enabled and operation.integration.enabled):
        return _drop(actor, call, "operation_disabled", "The operation was disabled.")
    try:
        holds = still_holds(call, operation)
        need = approval_need(operation, run, full_arguments(call))
    except Unreadable as error:
        return _drop(actor, call, "unreadable", str(error))
    except DomainError:
        holds = False
    if holds and not (call.approval_required or need.required):
        return True
    if holds and Clearance.objects.filter(call=call, digest=call.request_digest).exists():
        return True
    with unit_of_work() as unit:
        lock_run(call.run_id)
        if _mine(call).exists():
            unit.audit(actor, "call.held_back", ("tool_call", call.pk, operation.reference))
            _close_attempt(call, "held_back", "Something changed before sending.")
            hooks.call_changed(unit, actor, call)
            settle_run(unit, call.run_id)
    return False


def _drop(actor: Actor, call: ToolCall, code: str, detail: str) -> bool:
    with unit_of_work() as unit:
        lock_run(call.run_id)
        if _mine(call).exists():
            _close_attempt(call, code, detail)
            cancel_unsent(unit, actor, call, code=code, detail=detail)
            settle_run(unit, call.run_id)
    return False


def _put_back(call: ToolCall) -> None:
    """Nothing was sent, because the agent was frozen or the call put on hold: it stays queued."""
    with unit_of_work():
        lock_run(call.run_id)
        if advance(
            _mine(call),
            CALL_MOVES,
            CallStatus.QUEUED,
            source=CallStatus.EXECUTING,
            lease_until=None,
        ):
            _close_attempt(call, "put_back", "It may not be sent now.")


def _mine(call: ToolCall) -> ToolCallQuerySet:
    return ToolCall.objects.filter(
        pk=call.pk, fence=call.fence, status=CallStatus.EXECUTING, sent_at__isnull=True
    )


def _send(
    call: ToolCall, request: FrozenRequest, credential: Credential, begun: float
) -> OutboundAnswer:
    integration, operation = call.operation.integration, call.operation

    def mark() -> None:
        fault("mark.before_commit")
        marked = (
            _mine(call)
            .sendable()
            .filter(lease_until__gt=DbNow(), request_digest=call.request_digest)
        )
        if not marked.update(sent_at=DbNow(), attempts=F("attempts") + 1):
            raise LostClaim
        fault("mark.after")
        # Frozen between claim and send: a lease that others may see as over is not used.
        if time.monotonic() - begun > LEASE_MARGIN.total_seconds():
            raise LostClaim

    headers = (
        *request.headers,
        *credential.headers(),
        ("Idempotency-Key", call.downstream_key),
    )
    return send(
        OutboundRequest(request.method, request.url, headers, request.body),
        OutboundPolicy(
            origin=Origin.of(integration.base_url),
            allow_private=integration.allow_private_network,
            timeout_seconds=operation.timeout_seconds,
        ),
        before_first_byte=mark,
    )


def _answered(
    actor: Actor, call: ToolCall, answer: OutboundAnswer, credential: Credential
) -> Executed:
    fault("send.after")
    read = read_answer(answer, credential.secrets())
    effect = call.operation.effect
    call.refresh_from_db(fields=["attempts"])
    if answer.status_code in REPEATABLE_CODES and effect != Effect.ONCE and _attempts_left(call):
        return _again(actor, call, f"The service answered {answer.status_code}.", read)
    if answer.status_code < 300:
        return _finish(actor, call, CallStatus.SUCCEEDED, read)
    error = {"code": "refused", "detail": f"The service answered {answer.status_code}."}
    if answer.status_code < 400:
        error = {"code": "redirected", "detail": "The service redirects; none is followed."}
    return _finish(actor, call, CallStatus.FAILED, read, error)


def _not_sent(actor: Actor, call: ToolCall, failure: NotSent) -> Executed:
    _mine(call).update(attempts=F("attempts") + 1)
    call.refresh_from_db(fields=["attempts"])
    if failure.permanent or not _attempts_left(call):
        error = {"code": failure.code, "detail": failure.detail}
        return _finish(actor, call, CallStatus.FAILED, None, error)
    return _again(actor, call, failure.detail)


def _no_answer(actor: Actor, call: ToolCall, failure: NoAnswer) -> Executed:
    call.refresh_from_db(fields=["attempts"])
    return _unanswered(actor, call, failure.detail)


def _unanswered(actor: Actor, call: ToolCall, detail: str) -> Executed:
    """It was sent, and no whole answer came: what that means depends on the effect."""
    effect = call.operation.effect
    if effect != Effect.ONCE and _attempts_left(call):
        return _again(actor, call, detail)
    error = {"code": "no_answer", "detail": detail}
    status = CallStatus.FAILED if effect == Effect.READ else CallStatus.UNKNOWN
    return _finish(actor, call, status, None, error)


def _attempts_left(call: ToolCall) -> bool:
    return call.attempts < MAX_ATTEMPTS


def _again(actor: Actor, call: ToolCall, detail: str, read: MaskedAnswer | None = None) -> Executed:
    pause = PAUSES[min(max(call.attempts, 1), len(PAUSES)) - 1]
    status_code = read.result["status_code"] if read else None
    with unit_of_work() as unit:
        lock_run(call.run_id)
        _close_attempt(call, "again", detail, status_code=status_code)
        moved = advance(
            ToolCall.objects.filter(pk=call.pk, fence=call.fence),
            CALL_MOVES,
            CallStatus.QUEUED,
            source=CallStatus.EXECUTING,
            lease_until=None,
            sent_at=None,
            queued_at=unit.now,
            not_before=unit.now + dt.timedelta(seconds=pause),
        )
        if not moved:
            _mark_late(call)
        else:
            target = ("tool_call", call.pk, call.operation.reference)
            unit.audit(actor, "call.requeued", target, {"in_seconds": pause, "detail": detail})
        fault("recover.before_commit")
    return Executed(CallStatus.QUEUED, retry_in=pause) if moved else Executed("")


def _finish(
    actor: Actor,
    call: ToolCall,
    status: CallStatus,
    read: MaskedAnswer | None,
    error: dict[str, Any] | None = None,
) -> Executed:
    fault("record.before")
    code = read.result["status_code"] if read else None
    with unit_of_work() as unit:
        lock_run(call.run_id)
        _close_attempt(call, status.value, error["detail"] if error else "", status_code=code)
        moved = advance(
            ToolCall.objects.filter(pk=call.pk, fence=call.fence),
            CALL_MOVES,
            status,
            source=CallStatus.EXECUTING,
            lease_until=None,
            finished_at=unit.now,
            result=read.result if read else None,
            error=error,
        )
        if not moved:
            _mark_late(call)
            return Executed("")
        facts = {"status_code": code, "error": (error or {}).get("code")}
        unit.audit(
            actor, f"call.{status.value}", ("tool_call", call.pk, call.operation.reference), facts
        )
        announce_finish(unit, call, status)
        if status == CallStatus.UNKNOWN:
            hooks.call_unknown(unit, actor, call)
        settle_run(unit, call.run_id)
        fault("record.before_commit")
    fault("record.after_commit")
    return Executed(status)


def _mark_late(call: ToolCall) -> None:
    """The claim was lost meanwhile: the answer stays here and moves nothing."""
    Attempt.objects.filter(call=call, fence=call.fence).update(late=True)


def _close_attempt(
    call: ToolCall, outcome: str, detail: str, *, status_code: int | None = None
) -> None:
    Attempt.objects.filter(call=call, fence=call.fence).update(
        ended_at=DbNow(),
        outcome=outcome,
        detail=detail[:2000],
        status_code=status_code,
        sent_at=ToolCall.objects.filter(pk=call.pk).values("sent_at")[:1],
    )


def recover(call_id: UUID) -> str:
    """See to a claim whose lease is over: its worker died, or is frozen.

    Returns:
        Where the call stands now; empty when there was nothing to do.
    """
    rows = ToolCall.objects.select_related("operation__integration", "run")
    over = rows.filter(
        pk=call_id, status=CallStatus.EXECUTING, lease_until__isnull=False, lease_until__lte=DbNow()
    )
    call = over.first()
    if call is None:
        return ""
    actor = system_actor(call.workspace_id, "sweep")
    if call.sent_at is None:
        return _again(actor, call, "The worker ended before anything was sent.").status
    return _unanswered(actor, call, "The worker ended before an answer was recorded.").status


def due_calls(limit: int) -> list[UUID]:
    """Queued calls whose time has come, oldest first."""
    due = Q(not_before__isnull=True) | Q(not_before__lte=db_now())
    rows = ToolCall.objects.filter(due, status=CallStatus.QUEUED).sendable()
    return list(rows.order_by("queued_at", "pk").values_list("pk", flat=True)[:limit])


def lapsed_calls(limit: int) -> list[UUID]:
    """Claims whose lease is over, oldest first."""
    rows = ToolCall.objects.filter(
        status=CallStatus.EXECUTING, lease_until__isnull=False, lease_until__lte=DbNow()
    )
    return list(rows.order_by("lease_until", "pk").values_list("pk", flat=True)[:limit])
