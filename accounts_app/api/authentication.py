from typing import Any

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from accounts_app.errors import NotAuthenticated
from accounts_app.scoping import Actor
from accounts_app.services.api_keys import authenticate


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer <key>` (RFC 6750); a session cookie is no credential here."""

    def authenticate(self, request: Request) -> tuple[Actor, None]:
        words = get_authorization_header(request).split()
        if len(words) != 2 or words[0].lower() != b"bearer":
            raise NotAuthenticated("Send your API key as `Authorization: Bearer <key>`.")
        token = words[1].decode("latin-1")
        http: Any = request._request
        actor = authenticate(
            token, request_id=getattr(http, "request_id", ""), touch=not is_reask(request)
        )
        return actor, None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="assent"'


def is_reask(request: Request) -> bool:
    """Whether the waiting layer asks again for a request that was counted before."""
    return bool(getattr(request._request, "is_reask", False))
