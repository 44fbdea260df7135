from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts_app.api.authentication import is_reask
from accounts_app.scoping import Actor
from accounts_app.services.throttling import WINDOW_SECONDS, Rate, count_request

if TYPE_CHECKING:
    from rest_framework.views import APIView


class KeyThrottle(BaseThrottle):
    """So many requests a minute for each key; a waiting GET counts once."""

    rate: Rate | None = None

    def allow_request(self, request: Request, view: "APIView") -> bool:
        limit: int = settings.ASSENT_THROTTLE_PER_MINUTE
        actor = request.user
        if limit <= 0 or not isinstance(actor, Actor) or is_reask(request):
            return True
        self.rate = count_request(actor.id, limit)
        setattr(request._request, "rate", self.rate)  # noqa: B010 - for the answer's headers
        return self.rate.allowed

    def wait(self) -> float | None:
        return None if self.rate is None else self.rate.reset_seconds


def show_rate(request: object, response: HttpResponse) -> None:
    """Say in an answer's headers where the key stands (draft-ietf-httpapi-ratelimit-headers)."""
    rate = getattr(request, "rate", None)
    if isinstance(rate, Rate):
        response["RateLimit-Policy"] = f'"key";q={rate.limit};w={WINDOW_SECONDS}'
        response["RateLimit"] = f'"key";r={rate.remaining};t={rate.reset_seconds}'
