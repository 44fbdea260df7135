"""The rules that a call is screened with, read and made ready once for each of their versions."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from uuid import UUID

from guard_app.facts import Rule, ScreenedCall
from guard_app.models import GuardRule
from guard_app.services.history import History
from guard_app.services.measuring import watched_pointers


@dataclass(frozen=True)
class ReadyRule:
    """A rule as it stood when it was read; many calls are screened with it, none may change it."""

    rule: GuardRule

    @cached_property
    def operations(self) -> frozenset[str]:
        return frozenset(self.rule.applies_to.get("operations") or ())

    @cached_property
    def agents(self) -> frozenset[str]:
        return frozenset(self.rule.applies_to.get("agents") or ())

    @cached_property
    def sessions(self) -> frozenset[str]:
        return frozenset(self.rule.applies_to.get("sessions") or ())

    def is_about(self, call: ScreenedCall, history: History) -> bool:
        """Whether it is about this call; a parent run's rules hold for its sub-agents too."""
        if self.operations and call.operation not in self.operations:
            return False
        if self.sessions and str(call.session.get("id")) not in self.sessions:
            return False
        if not self.agents or call.agent in self.agents:
            return True
        return bool(history.agents_above & self.agents)

    @cached_property
    def view(self) -> Rule:
        """What a detector may know of it; fails where the row is broken."""
        ids = {name: UUID(identity) for name, identity in self.rule.references.items()}
        counted = tuple(ids[name] for name in self.rule.applies_to.get("operations") or ())
        return Rule(self.rule.parameters, counted, ids)


@dataclass(frozen=True)
class ReadyRules:
    """All enabled rules of a workspace, by their slugs."""

    rules: tuple[ReadyRule, ...] = ()

    @cached_property
    def watched(self) -> tuple[str, ...]:
        """The arguments that they name: those are measured first."""
        return watched_pointers(ready.rule for ready in self.rules)


def rules_of(history: History) -> ReadyRules:
    """The rules that are asked: none where the workspace's admins switched the guard off."""
    return _ready(history.call.workspace_id, history.stamp)


@lru_cache(maxsize=64)
def _ready(workspace_id: UUID, stamp: int | None) -> ReadyRules:
    """The enabled rules, read once for each stamp.

    Args:
        workspace_id: whose rules.
        stamp: the sum of all its rules' versions. Each change of one adds to it, and no rule is
            ever removed, so that no stamp comes back. None where no rule is asked.
    """
    if stamp is None:
        return ReadyRules()
    enabled = GuardRule.objects.in_workspace(workspace_id).filter(enabled=True)
    return ReadyRules(tuple(map(ReadyRule, enabled.order_by("slug"))))
