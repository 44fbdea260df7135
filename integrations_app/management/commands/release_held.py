import json
from argparse import ArgumentParser
from typing import Any

from accounts_app.errors import FieldError, Invalid
from accounts_app.management.base import WorkspaceCommand
from accounts_app.models import User
from accounts_app.scoping import Actor
from accounts_app.services.members import member_actor
from integrations_app.services.holding import held_calls, release_calls, release_deliveries


class Command(WorkspaceCommand):
    help = "List what is on hold after a restore, or release it in the name of an admin."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--by", help="username of a workspace admin; only lists without it")
        parser.add_argument("--call", action="append", default=[], help="id; all without it")
        parser.add_argument("--deliveries", action="store_true", help="webhook deliveries too")

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        rows = held_calls(actor)
        if options["call"]:
            rows = rows.filter(pk__in=options["call"])
        if not options["by"]:
            return "\n".join(f"{call.pk} {call.status} {call.operation.reference}" for call in rows)
        user = User.objects.filter(username=options["by"], is_active=True).first()
        if user is None:
            text = f"There is no active user {options['by']!r}."
            raise Invalid([FieldError("by", "not_found", text)])
        admin = member_actor(user)
        if admin.workspace_id != actor.workspace_id:
            text = f"{options['by']!r} is no member of this workspace."
            raise Invalid([FieldError("by", "not_found", text)])
        done = {"calls": release_calls(admin, [call.pk for call in rows])}
        if options["deliveries"]:
            done["deliveries"] = release_deliveries(admin)
        return json.dumps(done)
