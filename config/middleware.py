"""The request's id, and what every answer carries."""

import hmac
import re
import uuid
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from config.waiting import REASK_SECRET

_ID = re.compile(r"[!-~]{1,200}")
# Everything is ours or not loaded: no inline script anywhere, nothing from elsewhere.
_STRICT = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; frame-ancestors 'none';"
    " form-action 'self'; base-uri 'none'"
)
# The theme writes its colours into a style element, and htmx and the API's browser do alike.
_INLINE_STYLE = f"{_STRICT}; style-src 'self' 'unsafe-inline'"
# The theme's Alpine build compiles the attributes of the theme's own templates with `Function`;
# no other build of it understands them. So what an agent wrote is only ever text on these pages.
_THEMED = f"{_INLINE_STYLE}; script-src 'self' 'unsafe-eval'"


def content_policy(path: str) -> str:
    """The narrowest Content-Security-Policy with which the page at this path works."""
    if path.startswith("/admin/"):
        return _THEMED
    if path.startswith("/accounts/") and settings.ASSENT_OIDC_ORIGIN:
        # The button's form leads, by a redirect, to the provider; browsers hold that to the list.
        return _STRICT.replace(
            "form-action 'self'", f"form-action 'self' {settings.ASSENT_OIDC_ORIGIN}"
        )
    return _INLINE_STYLE if path.startswith("/api/v1/docs") else _STRICT


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
        # Bound until the thread's next request: Django writes its line after this has returned.
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=identity)
        response = self.get_response(request)
        response["X-Request-ID"] = identity
        response.setdefault("Content-Security-Policy", content_policy(request.path))
        return response
