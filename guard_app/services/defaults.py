"""The rules that a workspace can begin with: what each looks for, and why that number.

They are put in shadow, so that an admin sees what they would have done before any of them acts.
Rules that name operations or arguments are made for those that the workspace has.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from accounts_app.errors import Conflict
from accounts_app.scoping import Actor
from guard_app.models import GuardRule
from guard_app.parameters import MAX_NAMES
from guard_app.services.rules import RuleValues, put_rule
from guard_app.states import Detector, GuardEffect
from integrations_app.models import Operation
from integrations_app.states import Effect

DESTINATIONS = ("host", "domain", "address", "account", "iban", "recipient")
"""Names of arguments that say where something goes; a new one is looked at by a person.

E-mail addresses and customers are not among them: in support every second one is new.
"""

AMOUNTS = ("amount", "total", "sum", "price")
ACTS = 8
"""Calls of a session in an hour that cannot be taken back. In the recorded weeks a session has at
most three, an attack dozens; the pace of the agent as a whole shows a burst ten calls later.
"""

DAY = 86_400


def general_rules() -> dict[str, RuleValues]:
    """Rules that hold for every workspace, by slug."""
    return {
        "loop": RuleValues(
            name="The same call again and again",
            detector=Detector.REPEATED_CALL,
            parameters={"limit": 5},
            effect=GuardEffect.REVIEW,
        ),
        "runaway": RuleValues(
            name="A run that does not end",
            detector=Detector.CALL_COUNT,
            parameters={"scope": "run", "limit": 100},
            effect=GuardEffect.REVIEW,
        ),
        "pace": RuleValues(
            name="Far faster than this agent usually is",
            detector=Detector.RATE_BASELINE,
            parameters={"sensitivity": "low"},
            effect=GuardEffect.ALERT,
        ),
        "hidden-instructions": RuleValues(
            name="Hidden instructions in arguments",
            detector=Detector.INJECTION,
            effect=GuardEffect.REVIEW,
        ),
        "secrets": RuleValues(
            name="Secrets in arguments",
            detector=Detector.SENSITIVE_DATA,
            parameters={"types": ["secret", "private_key"]},
            effect=GuardEffect.BLOCK,
        ),
        "personal-numbers": RuleValues(
            name="Card and account numbers in arguments",
            detector=Detector.SENSITIVE_DATA,
            parameters={"types": ["card_number", "iban", "us_ssn"]},
            effect=GuardEffect.ALERT,
        ),
        "failures": RuleValues(
            name="A burst of failures",
            detector=Detector.FAILURE_BURST,
            parameters={"of": "failed", "limit": 20, "window_seconds": 600},
            effect=GuardEffect.ALERT,
        ),
        "rejections": RuleValues(
            name="People keep saying no",
            detector=Detector.FAILURE_BURST,
            parameters={"of": "rejected", "limit": 4, "window_seconds": 3600},
            effect=GuardEffect.REVIEW,
        ),
        "new-operation": RuleValues(
            name="An operation new to this agent",
            detector=Detector.NEW_OPERATION,
            effect=GuardEffect.ALERT,
        ),
    }


def rules_for(operations: Sequence[Operation]) -> dict[str, RuleValues]:
    """The general rules, and those for the arguments that these operations have."""
    rules = general_rules()
    acting = [op.reference for op in operations if op.effect == Effect.ONCE]
    if acting:
        rules["many-acts"] = RuleValues(
            name="Many acts in one session",
            detector=Detector.CALL_COUNT,
            parameters={"scope": "session", "limit": ACTS, "window_seconds": 3600},
            applies_to={"operations": acting[:MAX_NAMES]},
            effect=GuardEffect.REVIEW,
        )
    for name in AMOUNTS:
        spending = [op for op in operations if op.effect != Effect.READ and _has(op, name)]
        if spending:
            applies = {"operations": [op.reference for op in spending]}
            rules[f"drain-{name}"] = RuleValues(
                name=f"Many small ones: {name} per participant and day",
                detector=Detector.BUDGET,
                parameters={
                    "argument": f"/{name}",
                    "limit": 500,
                    "scope": "participant",
                    "window_seconds": DAY,
                },
                applies_to=applies,
                effect=GuardEffect.REVIEW,
            )
            rules[f"range-{name}"] = RuleValues(
                name=f"An unusual {name}",
                detector=Detector.VALUE_RANGE,
                parameters={"argument": f"/{name}", "sensitivity": "low"},
                applies_to=applies,
                effect=GuardEffect.ALERT,
            )
    for name in DESTINATIONS:
        sending = [op for op in operations if op.effect != Effect.READ and _has(op, name)]
        if sending:
            rules[f"new-{name}"] = RuleValues(
                name=f"A {name} never seen before",
                detector=Detector.NEW_VALUE,
                parameters={"argument": f"/{name}"},
                applies_to={"operations": [op.reference for op in sending]},
                effect=GuardEffect.REVIEW,
            )
    return rules


def _has(operation: Operation, argument: str) -> bool:
    properties: Any = operation.parameters.get("properties") or {}
    return isinstance(properties, dict) and argument in properties


def install_rules(actor: Actor, *, live: bool = False) -> list[str]:
    """Put the rules to begin with; one that is there stays as it is.

    Args:
        actor: whose workspace.
        live: let them act at once, instead of only being recorded.

    Returns:
        The slugs of the rules that were added.
    """
    operations = Operation.objects.in_workspace(actor.workspace_id).select_related("integration")
    there = set(GuardRule.objects.in_workspace(actor.workspace_id).values_list("slug", flat=True))
    added = []
    for slug, values in rules_for(list(operations.order_by("pk"))).items():
        if slug not in there:
            try:
                put_rule(actor, slug, replace(values, shadow=not live), expected_version=0)
            except Conflict:  # somebody else has just put it
                continue
            added.append(slug)
    return added
