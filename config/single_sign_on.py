"""Sign-in through an OpenID Connect provider."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured

_LOCAL = ("http://127.0.0.1", "http://localhost")


def openid_connect(issuer: str, client: str, secret: str, name: str) -> dict[str, Any]:
    """django-allauth's settings for the provider; none where neither issuer nor client is given.

    Args:
        issuer: the provider's address, by https unless it is on this machine.
        client: this installation's id there.
        secret: and its secret.
        name: what the button says.

    Raises:
        ImproperlyConfigured: one of issuer and client is missing, or the address is no such one.
    """
    if not issuer and not client:
        return {}
    if not issuer.startswith(("https://", *_LOCAL)) or not client:
        raise ImproperlyConfigured(
            "For OpenID Connect set ASSENT_OIDC_ISSUER (https://…), ASSENT_OIDC_CLIENT_ID and"
            " ASSENT_OIDC_CLIENT_SECRET; ASSENT_OIDC_NAME is what the button says."
        )
    app = {
        "provider_id": "oidc",
        "name": name,
        "client_id": client,
        "secret": secret,
        "settings": {"server_url": issuer, "oauth_pkce_enabled": True},
    }
    checked = "accounts_app.backoffice.openid_connect.Provider"
    return {"openid_connect": {"APPS": [app], "provider_class": checked}}
