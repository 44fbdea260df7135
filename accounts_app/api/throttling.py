import math
import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts_app.api.authentication import is_reask
from accounts_app.scoping import Actor

if TYPE_CHECKING:
    from rest_framework.views import APIView


class KeyThrottle(BaseThrottle):
    """So many requests a minute for each key; a waiting GET counts once."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        limit: int = settings.ASSENT_THROTTLE_PER_MINUTE
        actor = request.user
        if limit <= 0 or not isinstance(actor, Actor) or is_reask(request):
            return True
        name = f"throttle:{actor.id}:{int(time.time() // 60)}"
        cache.add(name, 0, timeout=120)
        return cache.incr(name) <= limit

    def wait(self) -> float:
        return math.ceil(60 - time.time() % 60)
