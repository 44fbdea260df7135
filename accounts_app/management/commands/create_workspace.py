import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts_app.errors import DomainError
from accounts_app.scoping import system_actor
from accounts_app.services.members import create_member, create_workspace
from accounts_app.services.unit import unit_of_work
from accounts_app.states import Role


class Command(BaseCommand):
    help = "Make a workspace with its first admin; the password comes from ASSENT_PASSWORD."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--slug", required=True, help="what commands call it by")
        parser.add_argument("--name", required=True, help="what people read")
        parser.add_argument("--admin", required=True, help="user name of the first admin")
        parser.add_argument("--email", default="", help="of the first admin")

    def handle(self, *args: Any, **options: Any) -> str:
        password = os.environ.get("ASSENT_PASSWORD", "")
        if not password:
            raise CommandError("Set ASSENT_PASSWORD to the password of the first admin.")
        try:
            # Together: a workspace without an admin could be entered by nobody.
            with unit_of_work():
                workspace = create_workspace(slug=options["slug"], name=options["name"])
                create_member(
                    system_actor(workspace.pk),
                    username=options["admin"],
                    roles=[Role.WORKSPACE_ADMIN],
                    password=password,
                    email=options["email"],
                )
        except DomainError as error:
            raise CommandError(error.detail) from error
        return f"Sign in as {options['admin']}."
