from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts_app.services.audit import verify


class Command(BaseCommand):
    help = "Recompute the audit trail's chain; names the first entry that was altered."

    def handle(self, *args: Any, **options: Any) -> str:
        broken = list(verify())
        if broken:
            raise CommandError(
                "\n".join(f"{row.workspace}: entry {row.sequence} {row.reason}." for row in broken)
            )
        return "The audit trail is whole."
