"""The auditor: what should have been done and was not, whatever the reason."""

import datetime as dt

from django.db.models import Min, Q, QuerySet

from accounts_app.clock import DbNow, db_now
from integrations_app.models import ToolCall
from integrations_app.states import CallStatus
from tasks_app.models import UserTask

LATE = dt.timedelta(minutes=5)


def overdue() -> dict[str, float]:
    """For each kind of scheduled work, how many seconds the oldest is overdue; 0 is none."""
    now = db_now()
    pending = UserTask.objects.pending()
    calls = ToolCall.objects.filter(held=False)
    queued = calls.filter(status=CallStatus.QUEUED)
    oldest = {
        "deadlines": _oldest(pending, "due_at"),
        "reminders": _oldest(pending, "next_reminder_at"),
        "claims": _oldest(pending, "claim_expires_at"),
        "retries": _oldest(queued, "not_before"),
        "queued_calls": queued.filter(Q(not_before__isnull=True), queued_at__lte=DbNow()).aggregate(
            at=Min("queued_at")
        )["at"],
        "call_leases": _oldest(calls.filter(status=CallStatus.EXECUTING), "lease_until"),
    }
    return {
        name: round((now - at).total_seconds(), 1) if at is not None else 0.0
        for name, at in oldest.items()
    }


def _oldest(rows: QuerySet[UserTask] | QuerySet[ToolCall], column: str) -> dt.datetime | None:
    due = rows.filter(**{f"{column}__lte": DbNow()})
    at: dt.datetime | None = due.aggregate(at=Min(column))["at"]
    return at
