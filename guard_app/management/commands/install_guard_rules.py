from argparse import ArgumentParser
from typing import Any

from accounts_app.management.base import WorkspaceCommand
from accounts_app.scoping import Actor
from guard_app.services.defaults import install_rules


class Command(WorkspaceCommand):
    help = "Put the guard rules to begin with, in shadow; those that are there stay as they are."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--live", action="store_true", help="let them act at once")

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        added = install_rules(actor, live=options["live"])
        return f"Added: {', '.join(added) or 'none, all are there'}"
