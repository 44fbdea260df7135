"""What the commands share: the workspace by its slug, and refusals as plain sentences."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts_app.errors import DomainError
from accounts_app.models import Workspace
from accounts_app.scoping import Actor, system_actor


class WorkspaceCommand(BaseCommand):
    """A command that acts in one workspace; subclasses write `act`."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", required=True, help="slug of the workspace")

    def handle(self, *args: Any, **options: Any) -> str | None:
        workspace = Workspace.objects.filter(slug=options["workspace"]).first()
        if workspace is None:
            known = ", ".join(Workspace.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no workspace {options['workspace']!r} (there: {known}).")
        try:
            return self.act(system_actor(workspace.pk), options)
        except DomainError as error:
            raise CommandError(error.detail) from error

    def act(self, actor: Actor, options: dict[str, Any]) -> str | None:
        raise NotImplementedError
