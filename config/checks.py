"""Checks of settings that would break a promise; each says what to set."""

import os
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from config.celery import broker_settings
from integrations_app.messengers import SERVICES


@register()
def check_settings(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Refuse settings with which the product would start and not keep its promises."""
    found: list[CheckMessage] = []
    for position, key in enumerate(settings.ASSENT_ENCRYPTION_KEYS, start=1):
        try:
            Fernet(key)
        except ValueError:
            text = f"Key {position} of ASSENT_ENCRYPTION_KEYS is no Fernet key."
            hint = "A Fernet key is 32 random bytes in URL-safe base64, 44 characters."
            found.append(Error(text, hint=hint, id="assent.E001"))
    try:
        broker_settings(os.environ.get("BROKER_URL", ""), settings.ASSENT_HOME)
    except ValueError as error:
        found.append(Error(str(error), id="assent.E005"))
    unknown = set(settings.ASSENT_NOTIFY_SCHEMES) - {*SERVICES, "none"}
    if unknown:
        text = f"ASSENT_NOTIFY_SCHEMES names {', '.join(sorted(unknown))}, which is not offered."
        found.append(Error(text, hint=f"Choose from {', '.join(SERVICES)}.", id="assent.E006"))
    for place in settings.ASSENT_NOTIFY_PRIVATE:
        if not place.rpartition(":")[2].isdigit():
            text = f"ASSENT_NOTIFY_PRIVATE names {place!r} without a port."
            found.append(Error(text, hint="Write host:port.", id="assent.E007"))
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        options = database.get("OPTIONS", {})
        if options.get("transaction_mode") != "IMMEDIATE" or "WAL" not in str(options):
            text = "SQLite needs transaction_mode IMMEDIATE and WAL."
            found.append(Error(text, hint="Use the settings as they come.", id="assent.E002"))
    if not settings.USE_TZ or settings.TIME_ZONE != "UTC":
        found.append(Error("Times are kept in UTC.", hint="Set USE_TZ, UTC.", id="assent.E003"))
    if settings.DATABASES["default"].get("ATOMIC_REQUESTS"):
        text = "ATOMIC_REQUESTS would hold a transaction while a call is sent."
        found.append(Error(text, hint="Leave it off.", id="assent.E004"))
    return found
