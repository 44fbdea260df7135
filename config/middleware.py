"""The request's id, and what every answer carries."""

import hmac
import re
import uuid
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

from config.waiting import REASK_SECRET

_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
)


class RequestIdMiddleware:
    """`X-Request-ID` echoed, made where it is missing, and bound to every log line."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        identity = given if _ID.fullmatch(given) else str(uuid.uuid4())
        reask = request.META.get("HTTP_X_ASSENT_REASK", "").encode("latin-1", "replace")
        is_reask = hmac.compare_digest(reask, REASK_SECRET.encode())
        setattr(request, "request_id", identity)  # noqa: B010 - Django's class has no such member
        setattr(request, "is_reask", is_reask)  # noqa: B010
        with structlog.contextvars.bound_contextvars(request_id=identity):
            response = self.get_response(request)
        response["X-Request-ID"] = identity
        response.setdefault("Content-Security-Policy", CSP)
        return response
