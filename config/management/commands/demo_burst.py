from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts_app.models import Agent
from accounts_app.scoping import system_actor
from integrations_app.services.catalogue import get_operation
from integrations_app.services.sessions import open_run, open_session
from tasks_app.services.calls import request_call

REFUNDS, AMOUNT = 8, 90


class Command(BaseCommand):
    help = "In the demo, let the research agent refund eight times 90: the guard pauses the rest."

    def handle(self, *args: Any, **options: Any) -> str:
        agent = Agent.objects.filter(workspace__slug="demo", slug="research").first()
        if agent is None:
            raise CommandError("There is no demo here; start with `make up`.")
        actor = system_actor(agent.workspace_id, "demo")
        session, _ = open_session(actor, agent=agent, title="A burst of refunds")
        run, _ = open_run(actor, session=session, title="Refund everything")
        refund = get_operation(actor, "payments", "refund")
        lines = []
        for number in range(1, REFUNDS + 1):
            arguments = {"charge": f"ch_burst_{number}", "amount": AMOUNT, "reason": "asked for"}
            call, _ = request_call(actor, run=run, operation=refund, arguments=arguments)
            lines.append(f"refund {number} of {AMOUNT}: {call.get_status_display().lower()}")
        return "\n".join(lines)
