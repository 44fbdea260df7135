"""Agents: made and changed by name, as `PUT agents/{slug}` and the back office do."""

from accounts_app.errors import Conflict, FieldError, Forbidden, Invalid, NotFound
from accounts_app.models import Agent
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import unit_of_work
from accounts_app.states import Permission

register_verbs(
    {
        "agent.created": "added an agent",
        "agent.changed": "changed an agent",
        "agent.paused": "paused the agent",
        "agent.resumed": "let the agent go on",
    }
)
MAX_REASON = 2000


def put_agent(
    actor: Actor,
    *,
    slug: str,
    name: str,
    tasks_enabled: bool,
    description: str = "",
    enabled: bool = True,
) -> tuple[Agent, bool]:
    """Create the agent or bring it to this state.

    Returns:
        The agent, and whether it is new.
    """
    values = {
        "name": name,
        "tasks_enabled": tasks_enabled,
        "description": description,
        "enabled": enabled,
    }
    with unit_of_work() as unit:
        agent, created = Agent.objects.get_or_create(
            workspace_id=actor.workspace_id,
            slug=slug,
            defaults={**values, "created_at": unit.now},
        )
        changed = {key: value for key, value in values.items() if getattr(agent, key) != value}
        if changed:
            Agent.objects.filter(pk=agent.pk).update(**changed)
            agent.refresh_from_db()
        if created or changed:
            verb = "agent.created" if created else "agent.changed"
            unit.audit(actor, verb, ("agent", agent.pk, slug), values if created else changed)
    return agent, created


def pause_agent(actor: Actor, slug: str, reason: str) -> Agent:
    """Take no new call of an agent; what waits is decided and sent as before.

    Args:
        actor: who may write the catalogue.
        slug: the agent.
        reason: for the audit trail and for whoever finds the agent paused.

    Raises:
        NotFound: not visible.
        Forbidden: the actor may not change agents.
        Invalid: no reason was given, or one that is too long.
        Conflict: `already_paused`.
    """
    agent = _changeable(actor, slug)
    if not reason.strip():
        raise Invalid([FieldError("reason", "required", "Say why.")])
    if len(reason) > MAX_REASON:
        raise Invalid([FieldError("reason", "too_long", f"At most {MAX_REASON} characters.")])
    with unit_of_work() as unit:
        rows = Agent.objects.filter(pk=agent.pk, paused_at__isnull=True)
        if not rows.update(paused_at=unit.now, paused_reason=reason):
            raise Conflict("The agent is paused already.", code="already_paused")
        unit.audit(actor, "agent.paused", ("agent", agent.pk, slug), {"reason": reason})
    agent.refresh_from_db()
    return agent


def resume_agent(actor: Actor, slug: str) -> Agent:
    """Take new calls of a paused agent again.

    Raises:
        NotFound: not visible.
        Forbidden: the actor may not change agents.
        Conflict: `not_paused`.
    """
    agent = _changeable(actor, slug)
    with unit_of_work() as unit:
        rows = Agent.objects.filter(pk=agent.pk, paused_at__isnull=False)
        if not rows.update(paused_at=None, paused_reason=""):
            raise Conflict("The agent is not paused.", code="not_paused")
        unit.audit(actor, "agent.resumed", ("agent", agent.pk, slug))
    agent.refresh_from_db()
    return agent


def _changeable(actor: Actor, slug: str) -> Agent:
    agent = get_agent(actor, slug)
    actor.require(Permission.WRITE_CATALOGUE)
    return agent


def check_own_agent(actor: Actor, slug: str) -> None:
    """Refuse a key that is bound to another agent.

    Raises:
        Forbidden: `wrong_agent`.
    """
    if actor.agent_id is None:
        return
    own = Agent.objects.in_workspace(actor.workspace_id).filter(pk=actor.agent_id, slug=slug)
    if not own.exists():
        raise Forbidden("This key is bound to another agent.", code="wrong_agent")


def get_agent(actor: Actor, slug: str) -> Agent:
    """One visible agent.

    Raises:
        NotFound: not there, or not visible to this actor.
    """
    agent = Agent.objects.visible_to(actor).filter(slug=slug).first()
    if agent is None:
        raise NotFound("There is no such agent.")
    return agent
