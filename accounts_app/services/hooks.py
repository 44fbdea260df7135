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


class OnMembers(Protocol):
    def __call__(self, unit: Unit, actor: Actor) -> None: ...


def _no_members(unit: Unit, actor: Actor) -> None:
    return None


def _no_member(unit: Unit, actor: Actor, member: Membership) -> int:
    return 0


@dataclass(slots=True)
class AccountHooks:
    """What the higher parts do along.

    Attributes:
        member_deactivated: give back what the person held; returns how many rows that were.
        members_changed: look again at what hangs on who is a member here, with which roles, groups
            and agents; called last, with all that written.
    """

    member_deactivated: OnMember = field(default=_no_member)
    members_changed: OnMembers = field(default=_no_members)


account_hooks = AccountHooks()
