"""What an OpenID Connect provider answers, checked as its standard asks.

The library takes a token that it fetched itself on trust, does without one, sends no nonce, and
lets the address of the button add to what is asked for. Here the token is needed, and its
signature, issuer, audience, times and nonce are checked, and that it is about the same person as
what the provider says about them.
"""

import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jwt
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase

if TYPE_CHECKING:

    class _Adapter:
        openid_config: dict[str, Any]

        def __init__(self, request: HttpRequest, provider_id: str) -> None: ...

        def get_provider(self) -> Any: ...

        def _fetch_user_info(self, access_token: str) -> dict[str, Any]: ...

    class _Provider:
        app: Any

        def get_auth_params(self) -> dict[str, str]: ...

        def get_scope(self) -> list[str]: ...

        def get_redirect_from_request_kwargs(self, request: HttpRequest) -> dict[str, Any]: ...

    class _CallbackView:
        adapter: Any

        @classmethod
        def adapter_view(cls, adapter: _Adapter) -> Callable[..., HttpResponseBase]: ...

        def _get_state(self, request: HttpRequest, provider: Any) -> tuple[Any, Any]: ...

    class OAuth2Error(Exception): ...

    get_adapter: Callable[[], Any]
    SocialApp: Any

else:
    from allauth.socialaccount.adapter import get_adapter
    from allauth.socialaccount.models import SocialApp
    from allauth.socialaccount.providers.oauth2.client import OAuth2Error
    from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView as _CallbackView
    from allauth.socialaccount.providers.openid_connect.provider import (
        OpenIDConnectProvider as _Provider,
    )
    from allauth.socialaccount.providers.openid_connect.views import (
        OpenIDConnectOAuth2Adapter as _Adapter,
    )

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""With a public key only: else whoever has read that key could sign."""

LEEWAY_SECONDS = 60
WELL_KNOWN = "/.well-known/"


class Adapter(_Adapter):
    """The conversation with the provider after the browser has come back from it."""

    nonce = ""

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> Any:
        """Who the provider says it is.

        Raises:
            OAuth2Error: it did not say so as the standard asks.
        """
        try:
            claims = self._claims(app, kwargs["response"]["id_token"])
            about = self._fetch_user_info(token.token)
            if about["sub"] != claims["sub"]:
                raise OAuth2Error("What it says is about somebody else than its token.")
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise OAuth2Error(f"The token is none to rely on: {error!r}") from error
        said = {"userinfo": about, "id_token": claims}
        return self.get_provider().sociallogin_from_response(request, said)

    def _claims(self, app: Any, id_token: str) -> Mapping[str, Any]:
        issuer = str(self.openid_config["issuer"])
        configured = str(app.settings["server_url"])
        if WELL_KNOWN not in configured and issuer.rstrip("/") != configured.rstrip("/"):
            raise OAuth2Error("Another provider answers there.")
        claims: Mapping[str, Any] = jwt.decode(
            id_token,
            self._key_of(id_token),
            algorithms=ALGORITHMS,
            audience=app.client_id,
            issuer=issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
        if claims.get("azp", app.client_id) != app.client_id:
            raise OAuth2Error("The token was given to another party.")
        if not self.nonce or claims.get("nonce") != self.nonce:
            raise OAuth2Error("The token was given for another sign-in.")
        return claims

    def _key_of(self, id_token: str) -> jwt.PyJWK:
        """The provider's key with which the token says that it is signed.

        Raises:
            LookupError: it has no such key.
        """
        with get_adapter().get_requests_session() as session:
            answer = session.get(self.openid_config["jwks_uri"])
            answer.raise_for_status()
            keys = jwt.PyJWKSet.from_dict(answer.json()).keys
        name = jwt.get_unverified_header(id_token).get("kid")
        fitting = [key for key in keys if name is None or key.key_id == name]
        # Without a name only a single key can be meant.
        if len(fitting) != 1:
            raise KeyError(f"{len(fitting)} keys fit")
        return fitting[0]


class Provider(_Provider):
    """Asks for what the settings say and nothing else, with a nonce of its own each time."""

    oauth2_adapter_class = Adapter

    def get_redirect_from_request_kwargs(self, request: HttpRequest) -> dict[str, Any]:
        kwargs = super().get_redirect_from_request_kwargs(request)
        nonce = secrets.token_urlsafe(24)
        kwargs |= {"scope": self.get_scope(), "nonce": nonce}
        kwargs["auth_params"] = {**self.get_auth_params(), "nonce": nonce}
        return kwargs


class _Callback(_CallbackView):
    def _get_state(self, request: HttpRequest, provider: Any) -> tuple[Any, Any]:
        state, refusal = super()._get_state(request, provider)
        self.adapter.nonce = (state or {}).get("nonce", "")
        return state, refusal


def callback(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Where the provider sends the browser back to."""
    try:
        return _Callback.adapter_view(Adapter(request, provider_id))(request)
    except SocialApp.DoesNotExist as error:
        raise Http404 from error
