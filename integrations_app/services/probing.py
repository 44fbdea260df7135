"""The test of a connection: one GET of the base URL, through the same door as every call."""

import time
from dataclasses import dataclass

from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import unit_of_work
from accounts_app.states import Permission
from integrations_app.client import (
    NoAnswer,
    NotSent,
    Origin,
    OutboundPolicy,
    OutboundRequest,
    send,
)
from integrations_app.credentials import open_credential
from integrations_app.models import Integration
from integrations_app.states import IntegrationKind

register_verbs({"integration.tested": "tested the connection of the integration"})

PROBE_SECONDS = 10
_HEADERS = (("Accept", "*/*"), ("User-Agent", "Assent connection test"))


@dataclass(frozen=True, slots=True)
class Probe:
    """How a test went.

    Args:
        answered: whether the service answered at all.
        detail: one sentence for people; nothing of the answer's content.
    """

    answered: bool
    detail: str


def probe_connection(actor: Actor, integration: Integration) -> Probe:
    """Ask the service's base URL once, with the credential; nothing of what it says is kept.

    The status alone is told, so that the test is no way to read what stands behind an address.

    Raises:
        Forbidden: the actor may not change integrations.
    """
    actor.require(Permission.WRITE_CATALOGUE)
    if integration.kind == IntegrationKind.CLIENT:
        return Probe(answered=False, detail="The agent runs these calls; there is no address.")
    found = _ask(integration)
    with unit_of_work() as unit:
        target = ("integration", integration.pk, integration.slug)
        unit.audit(actor, "integration.tested", target, {"answered": found.answered})
    return found


def _ask(integration: Integration) -> Probe:
    try:
        origin = Origin.of(integration.base_url)
    except ValueError as error:
        return Probe(answered=False, detail=f"The base URL is no address: {error}")
    credential = open_credential(integration)
    headers = (*integration.default_headers.items(), *credential.headers())
    names = {name.lower() for name, _ in headers}
    headers += tuple(pair for pair in _HEADERS if pair[0].lower() not in names)
    begun = time.monotonic()
    try:
        answer = send(
            OutboundRequest("GET", integration.base_url, headers, b""),
            OutboundPolicy(
                origin=origin,
                allow_private=integration.allow_private_network,
                timeout_seconds=PROBE_SECONDS,
                max_body_bytes=1024,
            ),
            before_first_byte=lambda: None,
        )
    except (NotSent, NoAnswer) as failure:
        return Probe(answered=False, detail=failure.detail)
    spent = round((time.monotonic() - begun) * 1000)
    return Probe(answered=True, detail=_said(answer.status_code, spent))


def _said(status_code: int, spent: int) -> str:
    text = f"The service answered {status_code} in {spent} ms."
    if status_code in (401, 403):
        return f"{text} It does not accept the credential for its base URL."
    if status_code >= 500:
        return f"{text} It is reachable, and in trouble."
    return f"{text} It is reachable."
