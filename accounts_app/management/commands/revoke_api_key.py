from argparse import ArgumentParser
from typing import Any

from accounts_app.management.base import WorkspaceCommand
from accounts_app.scoping import Actor
from accounts_app.services.api_keys import revoke_api_key


class Command(WorkspaceCommand):
    help = "End an API key; the next request with it is refused."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--name", required=True)

    def act(self, actor: Actor, options: dict[str, Any]) -> None:
        revoke_api_key(actor, name=options["name"])
