"""Agents: made and changed by name, as `PUT agents/{slug}` and the back office do."""

from accounts_app.errors import Forbidden, NotFound
from accounts_app.models import Agent
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import unit_of_work

register_verbs({"agent.created": "added an agent", "agent.changed": "changed an agent"})


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
