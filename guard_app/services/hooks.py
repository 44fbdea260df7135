"""Where an act of the guard must move rows of a higher part, it calls a hook, in its transaction.

The higher part fills the hooks in its `AppConfig.ready()`; unfilled, there are no such rows.
"""

from dataclasses import dataclass, field
from typing import Protocol

from accounts_app.scoping import Actor
from accounts_app.services.unit import Unit
from guard_app.models import Incident


class OnIncident(Protocol):
    def __call__(self, unit: Unit, actor: Actor, incident: Incident) -> None: ...


def _no_incident(unit: Unit, actor: Actor, incident: Incident) -> None:
    return None


@dataclass(slots=True)
class GuardHooks:
    """What the higher parts do along.

    Attributes:
        incident_opened: tell those who triage.
    """

    incident_opened: OnIncident = field(default=_no_incident)


guard_hooks = GuardHooks()
