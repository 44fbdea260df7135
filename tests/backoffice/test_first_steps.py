"""What the Dashboard of a new workspace says is still to be set up, and to whom."""

import re

import pytest

from accounts_app.models import Agent, ApiKey, Membership
from accounts_app.scoping import system_actor
from accounts_app.services.agents import put_agent
from accounts_app.services.api_keys import create_api_key, revoke_api_key
from integrations_app.services.catalogue import (
    IntegrationValues,
    OperationValues,
    get_operation,
    put_integration,
    put_operation,
)
from tests.backoffice.people import signed_in
from tests.conftest import Cast, World

CONNECT, LIST, ADD, KEY = (
    "/admin/add/integration/",
    "/admin/integrations/",
    "/admin/add/agent/",
    "/admin/add/key/",
)


def steps(username: str) -> list[str]:
    """Where the steps lead that this person is shown, in their order."""
    html = signed_in(username).get("/admin/dashboard/").content.decode()
    found = html.partition('class="first-steps"')[2].partition("</ol>")[0]
    return re.findall(r'href="([^"]+)"', found)


@pytest.fixture
def empty(cast: Cast) -> Cast:
    """A workspace that was just made; cora is its admin."""
    Membership.objects.filter(user__username="cora").update(roles=["workspace_admin"])
    return cast


def test_each_step_goes_once_it_is_done(empty: Cast) -> None:
    system = system_actor(empty.other.pk)
    assert steps("cora") == [CONNECT, LIST, ADD, KEY]
    values = IntegrationValues(name="Shop", kind="client", enabled=True)
    shop, _ = put_integration(system, "shop", values)
    assert steps("cora") == [LIST, ADD, KEY]
    order = OperationValues(name="Order", effect="once", parameters={"type": "object"})
    put_operation(system, shop, "order", order)
    assert steps("cora") == ["/admin/operations/", ADD, KEY]
    put_integration(
        system,
        "shop",
        IntegrationValues(name="Shop", kind="client", enabled=True, requires_approval=True),
    )
    assert get_operation(system, "shop", "order").asks_first
    assert steps("cora") == [ADD, KEY]
    put_agent(system, slug="clerk", name="Clerk", tasks_enabled=True)
    assert steps("cora") == [KEY]
    create_api_key(system, name="clerk", scopes=["runs"])
    assert steps("cora") == []
    revoke_api_key(system, name="clerk")
    assert steps("cora") == [KEY]


def test_each_is_shown_its_own_steps_and_each_leads_somewhere(cast: Cast) -> None:
    Agent.objects.all().delete()
    assert steps("admin") == [CONNECT, LIST, ADD, KEY]
    assert steps("ida") == [CONNECT, LIST, ADD]
    for username in ("ann", "bob", "gus", "aud"):
        assert steps(username) == []
    for username in ("admin", "ida"):
        for link in steps(username):
            assert signed_in(username).get(link).status_code == 200


def test_a_workspace_in_use_is_told_nothing(world: World) -> None:
    ApiKey.objects.all().update(revoked_at="2026-01-01T00:00:00Z")
    assert steps("admin") == [KEY]
    ApiKey.objects.all().update(revoked_at=None)
    world.run()
    ApiKey.objects.all().update(revoked_at="2026-01-01T00:00:00Z")
    assert steps("admin") == []
