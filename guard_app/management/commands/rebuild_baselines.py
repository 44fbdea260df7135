from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts_app.models import Workspace
from guard_app.services.learning import Progress, rebuild


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
        learned = [
            f"{row.slug}: {rebuild(row.pk, self._teller(row))} calls learned" for row in rows
        ]
        return "\n".join(learned)

    def _teller(self, workspace: Workspace) -> Progress:
        """Write on standard error how far it is, at each new hundredth."""
        last = -1

        def say(done: int, total: int) -> None:
            nonlocal last
            percent = 100 * done // total if total else 100
            if percent != last:
                last = percent
                self.stderr.write(f"{workspace.slug}: {percent} % ({done} of {total} rows)")

        return say
