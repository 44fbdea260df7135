"""What must hold after any history, whatever died in it; the effects are the receiver's word.

The names are those of the protocol's invariants.
"""

from collections import defaultdict

from django.db.models import Q

from accounts_app.clock import DbNow
from accounts_app.models import AuditEntry
from accounts_app.services.audit import verify
from integrations_app.models import Attempt, Clearance, Delivery, OutboxEvent, ToolCall
from integrations_app.requests import FrozenRequest
from integrations_app.services.freezing import thaw
from integrations_app.states import CallStatus, Effect, IntegrationKind
from tasks_app.models import Decision, UserTask
from tasks_app.states import About, TaskStatus
from tests.harness.receiver import Hit, Receiver

TERMINAL = {"call.succeeded", "call.failed", "call.rejected", "call.blocked", "call.timed_out"}
ENDS = ("task.completed", "task.timed_out", "task.cancelled")
MAX_ATTEMPTS = 4


def check_history(receiver: Receiver) -> None:
    """Assert every invariant over all rows of the database and all that reached the service."""
    hits = hits_by_call(receiver)
    for task in UserTask.objects.exclude(status=TaskStatus.PENDING):
        _one_decision(task)
    calls = ToolCall.objects.select_related("operation__integration", "run__session")
    for call in calls.exclude(operation__integration__kind=IntegrationKind.CLIENT):
        arrived = hits.pop(str(call.pk), [])
        _only_what_was_approved(call, arrived)
        _as_often_as_allowed(call, arrived)
        _ended_once(call)
        _result_of_the_last_claim(call)
    assert not hits, f"I4: requests of no call: {list(hits)}"
    assert list(verify()) == [], "I10: the audit trail does not hold"


def hits_by_call(receiver: Receiver) -> dict[str, list[Hit]]:
    """The requests of calls that reached the service, by their Idempotency-Key."""
    found: dict[str, list[Hit]] = defaultdict(list)
    for hit in receiver.hits:
        key = hit.header("Idempotency-Key")
        if key:
            found[key].append(hit)
    return found


def check_settled() -> None:
    """L1: after everything was healed, nothing is in between."""
    between = ToolCall.objects.filter(
        status__in=[CallStatus.RECEIVED, CallStatus.QUEUED, CallStatus.EXECUTING], held=False
    )
    assert list(between.values_list("pk", "status")) == [], "L1"
    overdue = UserTask.objects.pending().filter(due_at__lte=DbNow())
    assert list(overdue.values_list("pk", flat=True)) == [], "L1: overdue"
    for call in ToolCall.objects.filter(status=CallStatus.UNKNOWN):
        questions = UserTask.objects.pending().filter(tool_call=call, about=About.OUTCOME)
        assert questions.count() == 1, "an unknown call has its question"
    attempts = Attempt.objects.filter(Q(outcome="") & Q(call__status=CallStatus.SUCCEEDED))
    for attempt in attempts:
        newer = attempt.call.attempt_rows.filter(fence__gt=attempt.fence)
        assert newer.exists(), "only a dead worker's claim stays open"


def check_delivered(receiver: Receiver) -> None:
    """I11: every event that a webhook asked for arrived, under one id."""
    arrived = {hit.header("webhook-id") for hit in receiver.hits}
    for delivery in Delivery.objects.all():
        assert delivery.status == "delivered", delivery
        assert str(delivery.pk) in arrived, f"I11: {delivery} never arrived"


def _one_decision(task: UserTask) -> None:
    decision = Decision.objects.get(task=task)
    assert decision.digest == task.digest, "I1"
    assert decision.action == task.action, "I1"
    entries = AuditEntry.objects.filter(target_id=str(task.pk), verb__in=ENDS)
    assert entries.count() == 1, f"I10: {list(entries)}"
    events = OutboxEvent.objects.filter(subject_id=task.pk, type__in=ENDS)
    assert events.count() == 1, f"I11: {list(events)}"
    if decision.act == "decided" and task.due_at is not None:
        assert task.completed_at is not None
        assert task.completed_at <= task.due_at, "I8"


def _only_what_was_approved(call: ToolCall, arrived: list[Hit]) -> None:
    if not arrived:
        return
    request = thaw(call)
    for hit in arrived:
        assert _is(request, hit), f"I2: {hit} is not what was stored"
    if call.approval_required:
        cleared = Clearance.objects.filter(call=call, digest=call.request_digest)
        assert cleared.exists(), "I2: sent without a decision"
        decision = Decision.objects.get(pk=cleared.first().decision_id)  # type: ignore[union-attr]
        assert decision.digest == call.request_digest, "I2"


def _is(request: FrozenRequest, hit: Hit) -> bool:
    return (
        request.method == hit.method and request.url.endswith(hit.path) and request.body == hit.body
    )


def _as_often_as_allowed(call: ToolCall, arrived: list[Hit]) -> None:
    asked_again = Decision.objects.filter(
        task__tool_call=call, task__about=About.OUTCOME, action="send_again"
    ).count()
    most = (1 if call.operation.effect == Effect.ONCE else MAX_ATTEMPTS) * (1 + asked_again)
    assert len(arrived) <= most, f"I3: {len(arrived)} of {most}"
    marked = Attempt.objects.filter(call=call, sent_at__isnull=False).count()
    open_claim = Attempt.objects.filter(call=call, outcome="").count()
    assert len(arrived) <= marked + open_claim, "I9: sent without a mark"
    if call.status in (CallStatus.REJECTED, CallStatus.TIMED_OUT, CallStatus.BLOCKED):
        assert not arrived, "I7"
    if call.operation.effect == Effect.READ:
        return  # its requests carry no key by which they could be told apart
    if call.status == CallStatus.SUCCEEDED and not asked_again:
        settled = UserTask.objects.filter(tool_call=call, about=About.OUTCOME).exists()
        assert arrived or settled, "I12: succeeded without having been sent"


def _ended_once(call: ToolCall) -> None:
    entries = AuditEntry.objects.filter(target_id=str(call.pk)).order_by("sequence")
    ended = [entry.verb for entry in entries if entry.verb in TERMINAL]
    assert len(ended) <= 1, f"I5: {ended}"
    if call.status in ("succeeded", "failed", "rejected", "blocked", "timed_out"):
        settled = [entry.verb for entry in entries if entry.verb == "call.settled"]
        assert ended == [f"call.{call.status}"] or settled, f"I10: {call.status}, {ended}"


def _result_of_the_last_claim(call: ToolCall) -> None:
    if call.status != CallStatus.SUCCEEDED or call.result is None:
        return
    last = Attempt.objects.filter(call=call).order_by("-fence").first()
    assert last is not None
    assert (last.fence, last.outcome, last.late) == (call.fence, "succeeded", False), "I6"
