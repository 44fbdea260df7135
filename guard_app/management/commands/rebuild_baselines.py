from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts_app.models import Workspace
from guard_app.services.learning import rebuild


class Command(BaseCommand):
    help = "Forget what the guard learned as usual, and learn it anew from the recorded calls."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", help="slug of one workspace; all when left out")

    def handle(self, *args: Any, **options: Any) -> str:
        rows = Workspace.objects.order_by("slug")
        if options["workspace"]:
            rows = rows.filter(slug=options["workspace"])
            if not rows.exists():
                raise CommandError(f"There is no workspace {options['workspace']!r}.")
        return "\n".join(f"{row.slug}: {rebuild(row.pk)} calls learned" for row in rows)
