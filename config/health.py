"""How well the installation is, as facts: for `/readyz`, `/metrics` and `manage.py doctor`."""

import datetime as dt
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from django.db import Error, connection
from django.db.models import Count, F, Min, Q
from django.db.models.functions import Coalesce

from accounts_app.clock import DbNow, db_now
from accounts_app.models import Heartbeat
from config.celery import app as celery_app
from guard_app.services.rule_tally import failing_rules
from integrations_app.models import Delivery, ToolCall
from integrations_app.states import CALL_OPEN, DELIVERY_OPEN, CallStatus
from tasks_app.models import Notification, UserTask
from tasks_app.overdue import LATE, overdue
from tasks_app.services.sweeping import HEARTBEAT

HEARTBEAT_LATE = dt.timedelta(seconds=60)
OVERDUE_LATE = dt.timedelta(seconds=60)
UNTAKEN_LATE = dt.timedelta(seconds=60)
FAILING_FOR = dt.timedelta(hours=1)
BROKER_SECONDS = 1.0
LEAST_ROOM: Final = 16 << 20
"""Bytes; SQLite's log alone grows to some megabytes before it is taken in."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is well or not, with its facts."""

    ok: bool
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"ok": self.ok, **self.facts}


def checks() -> dict[str, Check]:
    """Everything that `/readyz` answers for; the rest is left out where the database is away."""
    found = {"database": database(), "broker": broker()}
    if found["database"].ok:
        found["scheduler"] = scheduler()
        found["deadlines"] = deadlines()
        found["workers"] = workers()
        found["overdue"] = audited()
    return found


def database() -> Check:
    try:
        connection.ensure_connection()
        db_now()
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SHOW transaction_read_only")
                if cursor.fetchone()[0] == "on":
                    return Check(False, {"detail": "It takes no writes."})
    except Error as error:
        return Check(False, {"detail": type(error).__name__})
    if connection.vendor == "sqlite":
        return _room_beside(str(connection.settings_dict["NAME"]))
    return Check(True)


def _room_beside(database: str) -> Check:
    """Whether the embedded database's disk has room; reading goes on without."""
    try:
        free = shutil.disk_usage(Path(database).parent).free
    except OSError:  # it lives in memory alone
        return Check(True)
    if free >= LEAST_ROOM:
        return Check(True)
    return Check(False, {"detail": f"The disk is full: {free >> 20} MiB are left."})


def broker() -> Check:
    """Whether the broker accepts connections; a message that is lost is only late."""
    url = urlsplit(celery_app.conf.broker_url or "")
    if url.hostname is None or url.scheme == "filesystem":
        return Check(True, {"detail": "embedded"})
    port = url.port or (6379 if url.scheme.startswith("redis") else 5672)
    try:
        with socket.create_connection((url.hostname, port), timeout=BROKER_SECONDS):
            return Check(True)
    except OSError as error:
        return Check(False, {"detail": type(error).__name__})


def scheduler() -> Check:
    """Whether the sweep runs; without a scheduler, `manage.py sweep` from cron counts as well."""
    row = Heartbeat.objects.filter(pk=HEARTBEAT).annotate(now=DbNow()).first()
    if row is None:
        return Check(False, {"detail": "No sweep has run yet."})
    age = row.now - row.at
    return Check(age < HEARTBEAT_LATE, {"seconds_ago": round(age.total_seconds(), 1)})


def deadlines() -> Check:
    oldest = UserTask.objects.pending().filter(due_at__lte=DbNow()).aggregate(at=Min("due_at"))
    late = _age(oldest["at"])
    return Check(late < OVERDUE_LATE, {"overdue_seconds": round(late.total_seconds(), 1)})


def workers() -> Check:
    """Whether calls that may run are taken.

    Seen from the rows alone: a worker that lives, is connected, and consumes nothing looks well
    from every other side.
    """
    due = ToolCall.objects.filter(status=CallStatus.QUEUED, held=False).filter(
        Q(not_before__isnull=True) | Q(not_before__lte=DbNow())
    )
    oldest = due.aggregate(at=Min(Coalesce(F("not_before"), F("queued_at"))))
    late = _age(oldest["at"])
    return Check(late < UNTAKEN_LATE, {"oldest_untaken_seconds": round(late.total_seconds(), 1)})


def audited() -> Check:
    """Whether any scheduled work is late by more than five minutes, and which."""
    limit = LATE.total_seconds()
    late = {name: seconds for name, seconds in overdue().items() if seconds > limit}
    return Check(not late, {"late": late})


def figures() -> dict[str, float]:
    """The other figures of `/metrics`, by name."""
    now = db_now()
    past = UserTask.objects.pending().filter(due_at__lte=now)
    oldest = UserTask.objects.pending().aggregate(at=Min("created_at"))["at"]
    open_deliveries = Delivery.objects.filter(status__in=DELIVERY_OPEN)
    return {
        "tasks_overdue": past.count(),
        "oldest_pending_task_seconds": (now - oldest).total_seconds() if oldest else 0,
        "calls_held": ToolCall.objects.filter(held=True).count(),
        "deliveries_open": open_deliveries.count(),
        "deliveries_held": open_deliveries.filter(held=True).count(),
        "deliveries_dead": Delivery.objects.filter(status="dead").count(),
        "notifications_due": Notification.objects.filter(status="pending", due_at__lte=now).count(),
        "guard_rules_failing": failing_rules(now - FAILING_FOR).count(),
        "notifications_failed": Notification.objects.filter(status="failed").count(),
    }


def open_calls() -> dict[str, int]:
    """How many calls there are in each status that is not an end; `unknown` is none."""
    statuses = [*CALL_OPEN, CallStatus.UNKNOWN]
    rows = ToolCall.objects.filter(status__in=statuses).values("status").order_by("status")
    counted = {row["status"]: row["number"] for row in rows.annotate(number=Count("pk"))}
    return {str(status): counted.get(status, 0) for status in statuses}


def pending_tasks() -> dict[str, int]:
    rows = UserTask.objects.pending().values("kind").order_by("kind")
    return {row["kind"]: row["number"] for row in rows.annotate(number=Count("pk"))}


def _age(at: dt.datetime | None) -> dt.timedelta:
    return dt.timedelta(0) if at is None else max(dt.timedelta(0), db_now() - at)
