import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts_app.management.base import WorkspaceCommand
from accounts_app.scoping import Actor
from accounts_app.services.members import create_member


class Command(WorkspaceCommand):
    help = "Make a user with roles in a workspace; the password comes from ASSENT_PASSWORD."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--username", required=True)
        parser.add_argument("--roles", required=True, help="for instance operator,guard_analyst")
        parser.add_argument("--email", default="")

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        password = os.environ.get("ASSENT_PASSWORD", "")
        if not password:
            raise CommandError("Set ASSENT_PASSWORD to the password of the new user.")
        member = create_member(
            actor,
            username=options["username"],
            roles=options["roles"].split(","),
            password=password,
            email=options["email"],
        )
        return str(member)
