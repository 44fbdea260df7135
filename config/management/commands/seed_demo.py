import os
import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.management.base import BaseCommand

from accounts_app.models import User, Workspace
from accounts_app.scoping import Actor, system_actor
from accounts_app.services.agents import put_agent
from accounts_app.services.api_keys import create_api_key
from accounts_app.services.members import create_member, create_workspace
from accounts_app.services.unit import unit_of_work
from config.demo_payments import demo_token
from config.home import demo_payments_port, write_notice
from guard_app.services.defaults import install_rules
from guard_app.services.rules import RuleValues, put_rule
from guard_app.states import Detector, GuardEffect
from integrations_app.models import Integration
from integrations_app.services.catalogue import (
    IntegrationValues,
    OperationValues,
    put_integration,
    put_operation,
)

MEMBERS = {
    "admin": "workspace_admin",
    "ann": "operator",
    "abe": "operator",
    "bob": "viewer",
    "gus": "guard_analyst",
    "ida": "integration_admin",
    "aud": "auditor",
}
BURST_RULE = "refund-burst"
AMOUNT = {
    "type": "number",
    "exclusiveMinimum": 0,
    "maximum": 100_000,
    "title": "Amount (€)",
}
REFUND = {
    "type": "object",
    "required": ["charge", "amount"],
    "additionalProperties": False,
    "properties": {
        "charge": {"type": "string", "minLength": 1, "title": "Charge"},
        "amount": AMOUNT,
        "currency": {"type": "string", "enum": ["EUR"], "title": "Currency"},
        "reason": {"type": "string", "maxLength": 500, "title": "Reason"},
    },
}
LOOKUP = {
    "type": "object",
    "required": ["charge"],
    "additionalProperties": False,
    "properties": {"charge": {"type": "string", "minLength": 1, "title": "Charge"}},
}
RECEIPT = {
    "type": "object",
    "required": ["charge", "email"],
    "additionalProperties": False,
    "properties": {
        "charge": {"type": "string", "minLength": 1, "title": "Charge"},
        "email": {"type": "string", "minLength": 3, "title": "E-mail"},
    },
}


class Command(BaseCommand):
    help = "Make the demo workspaces with their people, agents and payments service; once."

    def handle(self, *args: Any, **options: Any) -> str:
        if Workspace.objects.filter(slug="demo").exists():
            return "The demo is there already."
        settings.ASSENT_HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
        password = os.environ.get("ASSENT_DEMO_PASSWORD") or secrets.token_urlsafe(9)
        # Whoever starts a demo may choose a password that no member could.
        hashed = make_password(password)
        with unit_of_work():
            demo = system_actor(create_workspace(slug="demo", name="Demo").pk)
            other = system_actor(create_workspace(slug="other", name="Other").pk)
            for username, role in MEMBERS.items():
                _member(demo, username, role, hashed)
            _member(other, "cora", "operator", hashed)
            put_agent(demo, slug="support", name="Support agent", tasks_enabled=True)
            put_agent(demo, slug="research", name="Research agent", tasks_enabled=True)
            _operations(demo, _payments(demo))
            _rules(demo)
            _, key = create_api_key(demo, name="demo", scopes=["runs", "read"])
        notice = (
            f"Demo users: {', '.join([*MEMBERS, 'cora'])}\n"
            f"Demo password: {password}\n"
            f"Demo key (runs, read): {key}\n"
            "Sign in as ann to approve what an agent asks for; docs/quickstart.md makes one."
        )
        write_notice(settings.ASSENT_HOME, notice)
        return notice


def _rules(actor: Actor) -> None:
    """Rules in shadow for everybody, and one that is live for the research agent alone."""
    install_rules(actor)
    put_rule(
        actor,
        BURST_RULE,
        RuleValues(
            name="A burst of refunds",
            detector=Detector.BUDGET,
            parameters={"argument": "/amount", "limit": 300, "scope": "session"},
            applies_to={"agents": ["research"], "operations": ["payments.refund"]},
            effect=GuardEffect.REVIEW,
        ),
    )


def _member(actor: Actor, username: str, role: str, hashed: str) -> None:
    member = create_member(
        actor,
        username=username,
        roles=[role],
        password=secrets.token_urlsafe(12),
        email=f"{username}@example.com",
    )
    User.objects.filter(pk=member.user_id).update(password=hashed)


def _payments(actor: Actor) -> Integration:
    port = demo_payments_port(settings.ASSENT_HOME)
    integration, _ = put_integration(
        actor,
        "payments",
        IntegrationValues(
            name="Payments",
            kind="http",
            base_url=f"http://127.0.0.1:{port}",
            auth={"type": "bearer", "token": demo_token(settings.SECRET_KEY)},
            allow_private_network=True,
        ),
    )
    return integration


def _operations(actor: Actor, payments: Integration) -> None:
    put_operation(
        actor,
        payments,
        "refund",
        OperationValues(
            name="Refund a charge",
            description="Sends money back to the customer.",
            method="POST",
            path="/refunds",
            parameters=REFUND,
            effect="once",
            requires_approval=True,
            approval={"when": "args.amount > 100"},
        ),
    )
    put_operation(
        actor,
        payments,
        "charge_lookup",
        OperationValues(
            name="Look up a charge",
            method="GET",
            path="/charges/{charge}",
            parameters=LOOKUP,
            effect="read",
        ),
    )
    put_operation(
        actor,
        payments,
        "send_receipt",
        OperationValues(
            name="Send a receipt",
            method="POST",
            path="/receipts",
            parameters=RECEIPT,
            effect="idempotent",
        ),
    )
