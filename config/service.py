"""Whether the process lives, whether it is ready, and its figures."""

import datetime as dt
import hmac
import socket
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import Error, connection
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from accounts_app.clock import DbNow, db_now
from accounts_app.models import Heartbeat
from config.celery import app as celery_app
from config.problems import as_response, document
from integrations_app.models import ToolCall
from integrations_app.states import CALL_OPEN, CallStatus
from tasks_app.models import UserTask
from tasks_app.services.sweeping import HEARTBEAT

HEARTBEAT_LATE = dt.timedelta(seconds=60)
OVERDUE_LATE = dt.timedelta(seconds=60)
BROKER_SECONDS = 1.0


@require_GET
def healthz(request: HttpRequest) -> HttpResponse:
    """The process lives."""
    return JsonResponse({"status": "ok"})


@require_GET
def readyz(request: HttpRequest) -> HttpResponse:
    """Database, broker, scheduler and the oldest overdue deadline; 503 where one is not well."""
    checks: dict[str, Any] = {"database": _database(), "broker": _broker()}
    if checks["database"]["ok"]:
        checks["scheduler"] = _scheduler()
        checks["deadlines"] = _deadlines()
    ready = all(check["ok"] for check in checks.values())
    body = {"status": "ready" if ready else "not_ready", "checks": checks}
    return JsonResponse(body, status=200 if ready else 503)


def _database() -> dict[str, Any]:
    try:
        connection.ensure_connection()
        db_now()
    except Error as error:
        return {"ok": False, "detail": type(error).__name__}
    return {"ok": True}


def _broker() -> dict[str, Any]:
    """Whether the broker accepts connections; a message that is lost is only late."""
    url = urlsplit(celery_app.conf.broker_url or "")
    if url.hostname is None:
        return {"ok": True, "detail": "embedded"}
    port = url.port or (6379 if url.scheme.startswith("redis") else 5672)
    try:
        with socket.create_connection((url.hostname, port), timeout=BROKER_SECONDS):
            return {"ok": True}
    except OSError as error:
        return {"ok": False, "detail": type(error).__name__}


def _scheduler() -> dict[str, Any]:
    row = Heartbeat.objects.filter(pk=HEARTBEAT).annotate(now=DbNow()).first()
    if row is None:
        return {"ok": False, "detail": "No sweep has run yet."}
    age = row.now - row.at
    return {"ok": age < HEARTBEAT_LATE, "seconds_ago": round(age.total_seconds(), 1)}


def _deadlines() -> dict[str, Any]:
    oldest = UserTask.objects.pending().filter(due_at__lte=DbNow()).aggregate(at=Min("due_at"))
    if oldest["at"] is None:
        return {"ok": True, "overdue_seconds": 0}
    late = db_now() - oldest["at"]
    return {"ok": late < OVERDUE_LATE, "overdue_seconds": round(late.total_seconds(), 1)}


@require_GET
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures for Prometheus: open on loopback, elsewhere with ASSENT_METRICS_TOKEN."""
    if not _may_read_metrics(request):
        return as_response(document(401, "not_authenticated", "Not authenticated", "Token needed."))
    registry = CollectorRegistry()
    calls = Gauge("assent_tool_calls", "Open calls and unknown ones", ["status"], registry=registry)
    counted = ToolCall.objects.filter(status__in=[*CALL_OPEN, CallStatus.UNKNOWN])
    for row in counted.values("status").annotate(number=Count("pk")):
        calls.labels(row["status"]).set(row["number"])
    pending = Gauge("assent_tasks_pending", "Pending tasks", ["kind"], registry=registry)
    for row in UserTask.objects.pending().values("kind").annotate(number=Count("pk")):
        pending.labels(row["kind"]).set(row["number"])
    beat = Gauge("assent_scheduler_age_seconds", "Since the last sweep", registry=registry)
    beat.set(_scheduler().get("seconds_ago", -1))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _may_read_metrics(request: HttpRequest) -> bool:
    token: str = settings.ASSENT_METRICS_TOKEN
    if token:
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
    return request.META.get("REMOTE_ADDR") in ("127.0.0.1", "::1")
