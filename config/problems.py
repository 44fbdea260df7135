"""Refusals as problem documents (RFC 9457)."""

import logging
from typing import Any

from django.core.exceptions import DisallowedHost, PermissionDenied, RequestDataTooBig
from django.db import OperationalError
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseServerError,
    JsonResponse,
)
from django.template import loader
from django.views import defaults
from psycopg.errors import DiskFull
from rest_framework import exceptions
from rest_framework.response import Response

from accounts_app import errors
from accounts_app.api.statuses import status_of
from accounts_app.api.views import ApiView

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"


def document(status: int, code: str, title: str, detail: str, **more: Any) -> dict[str, Any]:
    """The members of a problem document."""
    return {
        "type": f"urn:assent:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        **more,
    }


def of_domain(error: errors.DomainError) -> dict[str, Any]:
    """A refusal of ours as a document."""
    more: dict[str, Any] = dict(error.facts)
    if isinstance(error, errors.Invalid):
        more["errors"] = [
            {"field": item.field, "code": item.code, "detail": item.detail} for item in error.errors
        ]
    return document(status_of(error), error.code, error.title, error.detail, **more)


def of_framework(error: Exception) -> dict[str, Any] | None:
    """A refusal by Django or DRF as a document; None for what is none."""
    if isinstance(error, exceptions.MethodNotAllowed):
        return document(405, "method_not_allowed", "Method not allowed", str(error.detail))
    if isinstance(error, exceptions.UnsupportedMediaType):
        text = "Send JSON as application/json, not compressed."
        return document(415, "unsupported_media_type", "Unsupported media type", text)
    if isinstance(error, exceptions.Throttled):
        return document(429, "throttled", "Too many requests", str(error.detail))
    if isinstance(error, RequestDataTooBig):
        text = "A body is at most 1 MiB."
        return document(413, "body_too_large", "The body is too large", text)
    if isinstance(error, (Http404, exceptions.NotFound)):
        return document(404, "not_found", "Not found", "Not found.")
    if isinstance(error, (PermissionDenied, exceptions.PermissionDenied)):
        return document(403, "forbidden", "Not permitted", "Not permitted.")
    if isinstance(error, exceptions.NotAcceptable):
        return document(406, "not_acceptable", "Not acceptable", "Answers are JSON.")
    if isinstance(error, exceptions.ParseError):
        return document(400, "parse_error", "Not acceptable JSON", str(error.detail))
    if isinstance(error, OperationalError):
        logger.warning("The database refused a request: %s", error)
        return document(503, "unavailable", "Unavailable", unavailable(error))
    return None


def unavailable(error: OperationalError) -> str:
    """What a caller can do about a database that refuses; nothing was changed."""
    # Django passes on the text of SQLite's error and not its number; PostgreSQL's has a class.
    if "disk is full" in str(error) or isinstance(error.__cause__, DiskFull):
        return "The disk of the database is full: whoever runs this server must make room."
    return "The database is busy or away; ask again."


def handle(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """DRF's exception handler."""
    if isinstance(error, errors.DomainError):
        body = of_domain(error)
    else:
        found = of_framework(error)
        if found is None:
            return None
        body = found
    response = Response(body, status=body["status"], content_type=CONTENT_TYPE)
    if body["status"] == 401:
        response["WWW-Authenticate"] = 'Bearer realm="assent"'
    if body["status"] == 503:
        response["Retry-After"] = "1"
    if isinstance(error, exceptions.Throttled):
        response["Retry-After"] = str(int(getattr(error, "wait", None) or 1))
    return response


def as_response(body: dict[str, Any]) -> JsonResponse:
    """A problem document outside of DRF."""
    return JsonResponse(body, status=body["status"], content_type=CONTENT_TYPE)


def _is_for_programs(request: HttpRequest) -> bool:
    """Whether whoever asks reads problem documents, and not pages."""
    return request.path.removeprefix("/").partition("/")[0] in {
        "api",
        "healthz",
        "readyz",
        "metrics",
    }


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What Django refuses before any address is looked up, such as the name of another host."""
    if not _is_for_programs(request):
        return defaults.bad_request(request, exception)
    if isinstance(exception, DisallowedHost):
        text = "This server does not go by that host name; ALLOWED_HOSTS has those it goes by."
        return as_response(document(400, "disallowed_host", "Not this host", text))
    text = "The request cannot be understood."
    return as_response(document(400, "bad_request", "Bad request", text))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """An address beside those of the contract."""
    if not _is_for_programs(request):
        return defaults.page_not_found(request, exception)
    return as_response(document(404, "not_found", "Not found", "Not found."))


def server_error(request: HttpRequest) -> HttpResponse:
    """What nobody foresaw: a problem document for callers, a page for people."""
    if not _is_for_programs(request):
        # Without the request: no context processor runs, so it needs neither database nor session.
        known = {"request_id": getattr(request, "request_id", "")}
        return HttpResponseServerError(loader.render_to_string("500.html", known))
    text = "Something went wrong here, and nothing was changed; the log has it by X-Request-ID."
    return as_response(document(500, "server_error", "Something went wrong", text))


class NowhereView(ApiView):
    """What an address under `/api/` that does not exist answers, whatever the method."""

    schema = None

    def http_method_not_allowed(self, request: HttpRequest, *_: Any, **__: Any) -> Any:
        raise errors.NotFound("Not found.")
