"""Guard rules: put by slug, checked when saved, versioned."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn
from uuid import UUID

from accounts_app.errors import Conflict, FieldError, Invalid, NotFound
from accounts_app.models import Agent
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import unit_of_work
from guard_app.models import GuardRule
from guard_app.parameters import check_parameters, names
from guard_app.states import MILD, Detector, GuardEffect
from integrations_app.models import Operation, Session

register_verbs({"rule.created": "added the guard rule", "rule.changed": "changed the guard rule"})
SCOPES: Final = ("agents", "operations", "sessions")
"""What a rule can be limited to; none of one is all of it."""


@dataclass(frozen=True, slots=True)
class RuleValues:
    """The members of `PUT guard/rules/{slug}`."""

    name: str
    detector: str
    effect: str
    parameters: Any = field(default_factory=dict)
    applies_to: Any = field(default_factory=dict)
    enabled: bool = True
    shadow: bool = False
    asynchronous: bool = False


def put_rule(
    actor: Actor, slug: str, values: RuleValues, *, expected_version: int | None = None
) -> tuple[GuardRule, bool]:
    """Create the rule or bring it to this state; a change makes a new version.

    Args:
        actor: who does it.
        slug: its name.
        values: what it shall be.
        expected_version: what the editor looked at; 0 for one that must be new.

    Returns:
        The rule, and whether it is new.

    Raises:
        Conflict: `key_exists` or `stale_version`, it is not at the expected version.
        Invalid: naming each member that is wrong, and what would be right.
    """
    if len(slug) > 60:
        _refuse("slug", "At most 60 characters.", "too_long")
    columns = check_rule(actor, values)
    with unit_of_work() as unit:
        rule, created = GuardRule.objects.get_or_create(
            workspace_id=actor.workspace_id,
            slug=slug,
            defaults={**columns, "created_at": unit.now},
        )
        rule = GuardRule.objects.select_for_update(no_key=True).get(pk=rule.pk)
        _check_version(rule, created, expected_version)
        changed = [name for name, value in columns.items() if getattr(rule, name) != value]
        if changed:
            GuardRule.objects.filter(pk=rule.pk).update(**columns, version=rule.version + 1)
            rule.refresh_from_db()
        if created or changed:
            verb = "rule.created" if created else "rule.changed"
            facts = {"version": rule.version, **{name: columns[name] for name in changed}}
            unit.audit(actor, verb, ("guard_rule", rule.pk, slug), columns if created else facts)
    return rule, created


def _check_version(rule: GuardRule, created: bool, expected: int | None) -> None:
    if expected == 0 and not created:
        raise Conflict(f"There is a rule {rule.slug!r} already.", code="key_exists")
    if expected and rule.version != expected:
        text = f"You edited version {expected}; the present one is {rule.version}. Look again."
        raise Conflict(text, code="stale_version")


def get_rule(actor: Actor, slug: str) -> GuardRule:
    """One rule of the actor's workspace.

    Raises:
        NotFound: there is none.
    """
    rule = GuardRule.objects.visible_to(actor).filter(slug=slug).first()
    if rule is None:
        raise NotFound("There is no such rule.")
    return rule


def check_rule(actor: Actor, values: RuleValues) -> dict[str, Any]:
    """The columns of a rule that can be saved, or replayed.

    Raises:
        Invalid: naming each member that is wrong.
    """
    if not values.name.strip():
        _refuse("name", "Must not be blank.")
    if values.detector not in Detector.values:
        _refuse("detector", f"Choose from {', '.join(Detector.values)}.")
    if values.effect not in GuardEffect.values:
        _refuse("effect", f"Choose from {', '.join(GuardEffect.values)}.")
    if values.asynchronous and values.effect not in MILD:
        text = "A rule that looks after the fact can only alert: the call may be sent by then."
        _refuse("asynchronous", text)
    parameters = check_parameters(values.detector, values.parameters)
    applies_to = _check_applies(values.applies_to)
    _check_agents(actor, applies_to.get("agents", []))
    _check_sessions(actor, applies_to.get("sessions", []))
    references: dict[str, str] = {}
    for place, listed in (
        ("applies_to.operations", applies_to.get("operations", [])),
        ("parameters.sources", parameters.get("sources", [])),
        ("parameters.sinks", parameters.get("sinks", [])),
    ):
        references |= _operation_ids(actor, listed, place)
    return {
        "name": values.name,
        "detector": values.detector,
        "parameters": parameters,
        "applies_to": applies_to,
        "references": references,
        "effect": values.effect,
        "enabled": values.enabled,
        "shadow": values.shadow,
        "asynchronous": values.asynchronous,
    }


def _check_applies(raw: Any) -> dict[str, list[str]]:
    if not isinstance(raw, Mapping):
        _refuse("applies_to", "Must be an object with agents, operations and sessions.")
    for name in raw:
        if name not in SCOPES:
            _refuse(f"applies_to.{name}", f"Known: {', '.join(SCOPES)}.", "unknown_field")
    applies = {}
    for name in SCOPES:
        if raw.get(name) is not None:
            names(raw[name], f"applies_to.{name}")
            applies[name] = list(dict.fromkeys(raw[name]))
    return applies


def _check_agents(actor: Actor, slugs: Iterable[str]) -> None:
    rows = Agent.objects.in_workspace(actor.workspace_id).filter(slug__in=slugs)
    known = set(rows.values_list("slug", flat=True))
    for index, slug in enumerate(slugs):
        if slug not in known:
            _refuse(f"applies_to.agents.{index}", f"There is no agent {slug!r}.", "not_found")


def _check_sessions(actor: Actor, ids: Iterable[str]) -> None:
    wanted = {text: parsed for text in ids if (parsed := _id_of(text)) is not None}
    rows = Session.objects.in_workspace(actor.workspace_id).filter(pk__in=wanted.values())
    known = set(rows.values_list("pk", flat=True))
    for index, text in enumerate(ids):
        if wanted.get(text) not in known:
            _refuse(f"applies_to.sessions.{index}", f"There is no session {text!r}.", "not_found")


def _id_of(text: str) -> UUID | None:
    """The id that a text is, in its one canonical spelling."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text else None


def _operation_ids(actor: Actor, references: list[str], place: str) -> dict[str, str]:
    if not references:
        return {}
    integrations = {name.partition(".")[0] for name in references}
    rows = Operation.objects.in_workspace(actor.workspace_id).select_related("integration")
    found = {row.reference: str(row.pk) for row in rows.filter(integration__slug__in=integrations)}
    for index, name in enumerate(references):
        if name not in found:
            text = f"There is no operation {name!r}; write integration.operation."
            _refuse(f"{place}.{index}", text, "not_found")
    return {name: found[name] for name in references}


def _refuse(field: str, detail: str, code: str = "invalid_value") -> NoReturn:
    raise Invalid([FieldError(field, code, detail)])
