"""The installation's own keys: refused where they protect nothing."""

from django.core.exceptions import ImproperlyConfigured

_PLACEHOLDERS = ("django-insecure", "change", "secret", "placeholder", "example", "your", "<")
"""How the keys begin that stand in examples and are forgotten there."""


def check_secret_key(key: str) -> None:
    """Refuse a SECRET_KEY that is missing, short, or known to others.

    Raises:
        ImproperlyConfigured: what would be right.
    """
    if len(key) < 32:
        raise ImproperlyConfigured(
            "Set SECRET_KEY to a random text of at least 32 characters, and keep it secret;"
            " `make up` makes one for an embedded installation."
        )
    if len(set(key)) < 8 or key.lower().startswith(_PLACEHOLDERS):
        raise ImproperlyConfigured(
            "SECRET_KEY is a placeholder that others know too: set it to a random text of at least"
            " 32 characters, for instance from `openssl rand -base64 48`."
        )


def encryption_keys(listed: str) -> list[str]:
    """The keys that credentials are encrypted with, newest first.

    Args:
        listed: Fernet keys, separated by commas.

    Raises:
        ImproperlyConfigured: there is none.
    """
    keys = [key.strip() for key in listed.split(",") if key.strip()]
    if not keys:
        raise ImproperlyConfigured(
            "Set ASSENT_ENCRYPTION_KEYS to one or more Fernet keys (44 characters, URL-safe"
            " base64), newest first, separated by commas."
        )
    return keys
