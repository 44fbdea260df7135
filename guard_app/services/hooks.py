"""Where an act of the guard must move rows of a higher part, it calls a hook, in its transaction.

The higher part fills the hooks in its `AppConfig.ready()`; unfilled, there are no such rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from accounts_app.scoping import Actor
from accounts_app.services.unit import Unit
from guard_app.models import Incident
from integrations_app.models import ToolCall


class OnIncident(Protocol):
    def __call__(self, unit: Unit, actor: Actor, incident: Incident) -> None: ...


def _no_incident(unit: Unit, actor: Actor, incident: Incident) -> None:
    return None


def _nothing_said(calls: Sequence[ToolCall]) -> dict[UUID, str]:
    return {}


@dataclass(slots=True)
class GuardHooks:
    """What the higher parts do along.

    Attributes:
        incident_opened: tell those who triage.
        people_said: what people decided about calls, by their ids: `approved` or `rejected`.
            Calls about which nobody decided are left out, also those of which a time-out or
            Assent itself disposed.
    """

    incident_opened: OnIncident = field(default=_no_incident)
    people_said: Callable[[Sequence[ToolCall]], Mapping[UUID, str]] = field(default=_nothing_said)


guard_hooks = GuardHooks()
