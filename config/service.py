"""Whether the process lives, whether it is ready, and its figures."""

import hmac
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from config import doorbell, health
from config.problems import as_response, document
from tasks_app.overdue import overdue

_OF_A_PROXY = ("X-Forwarded-For", "Forwarded", "X-Real-IP")
"""Headers by which a client on loopback is a proxy that passes on what came from elsewhere."""


def _read_only(view: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
    """Answer whoever does not only ask as the API does; no such request has a CSRF token."""

    @csrf_exempt
    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        if request.method in ("GET", "HEAD"):
            return view(request)
        detail = f'Method "{request.method}" not allowed.'
        refused = as_response(document(405, "method_not_allowed", "Method not allowed", detail))
        refused["Allow"] = "GET, HEAD"
        return refused

    return answer


@_read_only
def healthz(request: HttpRequest) -> HttpResponse:
    """The process lives."""
    return JsonResponse({"status": "ok"})


@_read_only
def readyz(request: HttpRequest) -> HttpResponse:
    """Database, broker, scheduler, deadlines and workers; 503 where one is not well.

    Calls whose outcome is unknown are told, but are no reason to take a process out of service.
    """
    checks = health.checks()
    ready = all(check.ok for check in checks.values())
    body: dict[str, Any] = {
        "status": "ready" if ready else "not_ready",
        "checks": {name: check.as_json() for name, check in checks.items()},
    }
    if checks["database"].ok:
        body["unknown_calls"] = health.open_calls()["unknown"]
    return JsonResponse(body, status=200 if ready else 503)


@_read_only
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures for Prometheus: open on loopback, elsewhere with ASSENT_METRICS_TOKEN."""
    if not _may_read_metrics(request):
        return as_response(document(401, "not_authenticated", "Not authenticated", "Token needed."))
    registry = CollectorRegistry()
    calls = Gauge(
        "assent_tool_calls", "Open calls, and unknown ones", ["status"], registry=registry
    )
    for status, number in health.open_calls().items():
        calls.labels(status).set(number)
    pending = Gauge("assent_tasks_pending", "Pending tasks", ["kind"], registry=registry)
    for kind, number in health.pending_tasks().items():
        pending.labels(kind).set(number)
    well = Gauge("assent_check_ok", "1 where /readyz finds it well", ["check"], registry=registry)
    checks = health.checks()
    for name, check in checks.items():
        well.labels(name).set(check.ok)
    ages = {
        "scheduler_age_seconds": checks["scheduler"].facts.get("seconds_ago", -1),
        "oldest_overdue_seconds": checks["deadlines"].facts["overdue_seconds"],
        "oldest_untaken_call_seconds": checks["workers"].facts["oldest_untaken_seconds"],
    }
    for name, value in {**ages, **health.figures()}.items():
        Gauge(f"assent_{name}", name.replace("_", " "), registry=registry).set(value)
    late = Gauge("assent_overdue_seconds", "Of the oldest overdue", ["work"], registry=registry)
    for work, seconds in overdue().items():
        late.labels(work).set(seconds)
    rings = Gauge("assent_rings", "Messages to workers", ["end"], registry=registry)
    counts = doorbell.counts()
    for end in ("sent", "failed", "dropped"):
        rings.labels(end).set(getattr(counts, end))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _may_read_metrics(request: HttpRequest) -> bool:
    is_near = request.META.get("REMOTE_ADDR") in ("127.0.0.1", "::1")
    token: str = settings.ASSENT_METRICS_TOKEN
    if not token:
        return is_near
    if is_near and not any(name in request.headers for name in _OF_A_PROXY):
        return True
    given = request.headers.get("Authorization", "")
    return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
