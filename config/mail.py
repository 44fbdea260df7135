"""How mail leaves: one address like smtp://user:password@mail.example.com:587?tls=1."""

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

DROPPED = "django.core.mail.backends.dummy.EmailBackend"
SMTP = "django.core.mail.backends.smtp.EmailBackend"


def mail_settings(address: str) -> dict[str, Any]:
    """Django's settings for sending mail; without an address nothing is sent.

    Args:
        address: `smtp://` or `smtps://`, user and password percent-encoded; `?tls=1` switches an
            smtp connection to TLS before anything is said.

    Raises:
        ImproperlyConfigured: another scheme, or no host.
    """
    if not address:
        return {"EMAIL_BACKEND": DROPPED}
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError as error:
        raise ImproperlyConfigured("The port of ASSENT_SMTP_URL is no number.") from error
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ImproperlyConfigured(
            "Set ASSENT_SMTP_URL to smtp://user:password@host:587?tls=1, or smtps://…:465."
        )
    secure = parts.scheme == "smtps"
    return {
        "EMAIL_BACKEND": SMTP,
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": port or (465 if secure else 25),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": secure,
        "EMAIL_USE_TLS": not secure and parse_qs(parts.query).get("tls") == ["1"],
        "EMAIL_TIMEOUT": 10,
    }
