"""Where an act on accounts must move rows of a higher part, it calls a hook, in its transaction.

The higher part fills the hooks in its `AppConfig.ready()`; unfilled, there are no such rows.
"""

from dataclasses import dataclass, field
from typing import Protocol

from accounts_app.models import Membership
from accounts_app.scoping import Actor
from accounts_app.services.unit import Unit


class OnMember(Protocol):
    def __call__(self, unit: Unit, actor: Actor, member: Membership) -> int: ...


def _no_member(unit: Unit, actor: Actor, member: Membership) -> int:
    return 0


@dataclass(slots=True)
class AccountHooks:
    """What the higher parts do along.

    Attributes:
        member_deactivated: give back what the person held; returns how many rows that were.
    """

    member_deactivated: OnMember = field(default=_no_member)


account_hooks = AccountHooks()
