import datetime as dt
from argparse import ArgumentParser
from typing import Any

from accounts_app.errors import NotFound
from accounts_app.management.base import WorkspaceCommand
from accounts_app.models import Membership
from accounts_app.scoping import Actor
from accounts_app.services.agents import get_agent
from accounts_app.services.api_keys import create_api_key


class Command(WorkspaceCommand):
    help = "Make an API key; prints the key, which cannot be read again, and nothing else."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--name", required=True)
        parser.add_argument("--scopes", required=True, help="for instance runs,read")
        parser.add_argument("--agent", help="slug of the one agent that it is bound to")
        parser.add_argument("--owner", help="user name of the person who answers for it")
        parser.add_argument("--expires-in", type=float, metavar="SECONDS")

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        owner = None
        if options["owner"]:
            rows = Membership.objects.in_workspace(actor.workspace_id).select_related("user")
            member = rows.filter(user__username=options["owner"]).first()
            if member is None:
                raise NotFound(f"There is no member {options['owner']!r} in this workspace.")
            owner = member.user
        seconds = options["expires_in"]
        _, text = create_api_key(
            actor,
            name=options["name"],
            scopes=options["scopes"].split(","),
            agent=get_agent(actor, options["agent"]) if options["agent"] else None,
            owner=owner,
            expires_in=None if seconds is None else dt.timedelta(seconds=seconds),
        )
        return text
