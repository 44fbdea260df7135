"""What rules name, agents and operations, and which of it is switched off or no longer there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from accounts_app.models import Agent
from accounts_app.scoping import Actor
from integrations_app.models import Operation


class NamesThings(Protocol):
    """A rule, or what is like one."""

    @property
    def parameters(self) -> Any: ...
    @property
    def applies_to(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Draft:
    """What a replay keeps of its rule."""

    parameters: Any
    applies_to: Any


@dataclass(slots=True)
class Trouble:
    """What a rule names and does not find as it should be.

    Args:
        off: switched off: there are no calls, until it is switched on again.
        gone: no longer there; the rule cannot be saved with it.
    """

    off: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.off or self.gone)


class Catalogue:
    """The agents and operations that some rules name, found by two statements.

    Args:
        actor: whose workspace.
        rules: the rules.
    """

    def __init__(self, actor: Actor, rules: Iterable[NamesThings]) -> None:
        named = [_names_of(rule) for rule in rules]
        slugs = {slug for agents, _ in named for slug in agents}
        references = {reference for _, operations in named for reference in operations}
        self.is_on: dict[str, bool] = {}
        if slugs:
            agents = Agent.objects.in_workspace(actor.workspace_id).filter(slug__in=slugs)
            self.is_on |= {f"agent {row.slug}": row.enabled for row in agents}
        if references:
            integrations = {reference.partition(".")[0] for reference in references}
            rows = Operation.objects.in_workspace(actor.workspace_id).filter(
                integration__slug__in=integrations
            )
            self.is_on |= {
                f"operation {row.reference}": row.enabled and row.integration.enabled
                for row in rows.select_related("integration")
            }

    def trouble_of(self, rule: NamesThings) -> Trouble:
        """What of it is off or gone."""
        agents, operations = _names_of(rule)
        trouble = Trouble()
        for name in [*(f"agent {a}" for a in agents), *(f"operation {o}" for o in operations)]:
            if name not in self.is_on:
                trouble.gone.append(name)
            elif not self.is_on[name]:
                trouble.off.append(name)
        return trouble


def _names_of(rule: NamesThings) -> tuple[list[str], list[str]]:
    applies_to = rule.applies_to if isinstance(rule.applies_to, Mapping) else {}
    parameters = rule.parameters if isinstance(rule.parameters, Mapping) else {}
    operations = [
        *(applies_to.get("operations") or ()),
        *(parameters.get("sources") or ()),
        *(parameters.get("sinks") or ()),
    ]
    return list(applies_to.get("agents") or ()), list(dict.fromkeys(operations))
