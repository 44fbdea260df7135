"""What the tests of notifications share: mail that leaves, and who was told of what."""

from collections import defaultdict
from typing import Any

from tasks_app.models import Notification
from tasks_app.services import telling
from tasks_app.services.telling import due_members, tell
from tests.harness.mail_server import MailServer

SMTP = "django.core.mail.backends.smtp.EmailBackend"


def switch_mail_on(settings: Any, mail: MailServer) -> None:
    """Let the installation send its mail to this server."""
    settings.ASSENT_MAIL = True
    settings.EMAIL_BACKEND = SMTP
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mail.port
    settings.EMAIL_TIMEOUT = 5
    settings.ASSENT_URL = "https://assent.example"


def tell_everybody() -> int:
    """What a worker does that was rung for; returns how many members were told."""
    return sum(tell(member) for member in due_members(1000))


def told() -> dict[str, set[str]]:
    """The kinds of everybody's notifications, whatever became of them."""
    found = defaultdict(set)
    for row in Notification.objects.select_related("member__user"):
        found[row.member.user.username].add(row.kind)
    return dict(found)


def statuses() -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for row in Notification.objects.all():
        found[row.status] += 1
    return dict(found)


__all__ = ["statuses", "switch_mail_on", "tell_everybody", "telling", "told"]
