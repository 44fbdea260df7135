"""The end of a call that nobody sends any more, and the news of any call's end."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import QuerySet

from accounts_app.links import page_url
from accounts_app.moves import advance
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import Unit
from integrations_app.models import ToolCall
from integrations_app.services.outbox import announce_all
from integrations_app.states import CALL_MOVES, CALL_OPEN, CallStatus

register_verbs({"call.cancelled": "cancelled the call"})


def unsent(rows: QuerySet[ToolCall]) -> QuerySet[ToolCall]:
    """Of some calls those that are open and of which nothing was sent."""
    open_rows = rows.filter(status__in=CALL_OPEN)
    return open_rows.exclude(status=CallStatus.EXECUTING, sent_at__isnull=False)


def cancel_unsent(unit: Unit, actor: Actor, call: ToolCall, *, code: str, detail: str) -> bool:
    """Cancel a call of which nothing was sent; returns whether this is what cancelled it."""
    moved = advance(
        unsent(ToolCall.objects.filter(pk=call.pk)),
        CALL_MOVES,
        CallStatus.CANCELLED,
        finished_at=unit.now,
        lease_until=None,
        error={"code": code, "detail": detail},
    )
    if moved:
        target = ("tool_call", call.pk, str(call.operation))
        unit.audit(actor, "call.cancelled", target, {"code": code})
        announce_finish(unit, call, CallStatus.CANCELLED)
    return bool(moved)


def announce_finish(unit: Unit, call: ToolCall, status: CallStatus) -> None:
    """Tell waiters and webhooks that a call has its end."""
    announce_finishes(unit, [call], status)


def announce_finishes(unit: Unit, calls: Sequence[ToolCall], status: CallStatus) -> None:
    """Tell waiters and webhooks that calls of one workspace have the same end."""
    references = {call.pk: call.operation.reference for call in calls}
    rows = ToolCall.objects.filter(pk__in=references).order_by("pk").values(*_FINISHED)
    told = [(row["pk"], _finish_data(row, references[row["pk"]], status)) for row in rows]
    if told:
        announce_all(unit, calls[0].workspace_id, "tool_call.finished", told)
    for call in calls:
        unit.wake(call.pk, call.run_id)


_FINISHED = (
    "pk",
    "key",
    "agent__slug",
    "run__session_id",
    "run_id",
    "result",
    "error",
    "attempts",
)


def _finish_data(row: Mapping[str, Any], reference: str, status: CallStatus) -> dict[str, Any]:
    return {
        "tool_call": str(row["pk"]),
        "key": row["key"],
        "status": status.value,
        "operation": reference,
        "summary": f"{reference}: {status.label.lower()}",
        "agent": row["agent__slug"],
        "session": str(row["run__session_id"]),
        "run": str(row["run_id"]),
        "status_code": (row["result"] or {}).get("status_code"),
        "error": (row["error"] or {}).get("code"),
        "attempts": row["attempts"],
        "url": page_url("tool_call", row["pk"]),
    }
