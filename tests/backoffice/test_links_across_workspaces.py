"""The link of a message finds its page, whichever workspace one is in, and through a sign-in."""

import pytest
from django.test import Client

from accounts_app.models import Membership
from tests.backoffice.conftest import Visit
from tests.backoffice.people import signed_in
from tests.backoffice.test_every_address import fingerprint
from tests.backoffice.test_signing_in import code, with_second_factor
from tests.conftest import PASSWORD, Cast, World
from tests.tasks_app.test_escalation import ask
from tests.tasks_app.test_workspace_switches import choose

QUEUE = "/admin/review/approvals/"
ACTIVATE = "/accounts/2fa/totp/activate/"
GO_ON = "Go on to the page you asked for"


def join_other(cast: Cast, username: str, role: str = "operator") -> Client:
    """Make somebody of the demo a member of its neighbour too, and go there."""
    member = Membership.objects.get(user__username=username)
    Membership.objects.create(
        workspace=cast.other, user=member.user, roles=[role], created_at=member.created_at
    )
    client = signed_in(username)
    client.post("/admin/workspaces/switch/", {"workspace": str(cast.other.pk)})
    return client


def task_path(world: World) -> str:
    return f"/admin/review/tasks/{ask(world, title='Ship the canary?')['id']}/"


def test_a_task_of_ones_other_workspace_is_offered_there_and_opened(world: World) -> None:
    path = task_path(world)
    ann = join_other(world.cast, "ann")
    before = fingerprint()
    answer = ann.get(path)
    text = answer.content.decode()
    assert answer.status_code == 404
    assert "Go to Demo and open it" in text
    assert "canary" not in text
    assert fingerprint() == before
    assert "Other" in ann.get("/admin/profile/").context["site_subheader"], "nothing was switched"
    form = {"workspace": str(world.cast.workspace.pk), "next": path}
    followed = ann.post("/admin/workspaces/switch/", form, follow=True)
    assert followed.redirect_chain == [(path, 302)]
    assert "Ship the canary?" in followed.content.decode()


def test_who_may_not_see_it_there_is_offered_nothing(world: World) -> None:
    path = task_path(world)
    ida = join_other(world.cast, "ida", "workspace_admin")
    stranger = signed_in("cora").get(path)
    for answer in (ida.get(path), stranger):
        assert answer.status_code == 404
        assert "Demo" not in answer.content.decode()


def test_a_page_that_ones_roles_here_do_not_lead_to_is_offered_where_they_do(world: World) -> None:
    admin = join_other(world.cast, "admin", "viewer")
    answer = admin.get("/admin/members/")
    assert answer.status_code == 403
    assert "Go to Demo and open it" in answer.content.decode()
    assert admin.post("/admin/keys/", {}).status_code == 403


def test_the_link_to_a_queue_names_its_workspace(world: World) -> None:
    ann = join_other(world.cast, "ann")
    link = f"{QUEUE}?workspace=demo"
    assert "Go to Demo and open it" in ann.get(link).content.decode()
    form = {"workspace": str(world.cast.workspace.pk), "next": link}
    assert ann.post("/admin/workspaces/switch/", form).headers["Location"] == link
    assert "Go to" not in ann.get(link).content.decode()
    assert "Go to" not in signed_in("abe").get(f"{QUEUE}?workspace=other").content.decode()


@pytest.mark.parametrize("next_page", ["https://evil.example/", "//evil.example", "/accounts/", ""])
def test_a_switch_leads_nowhere_but_into_the_back_office(cast: Cast, next_page: str) -> None:
    ann = join_other(cast, "ann")
    form = {"workspace": str(cast.workspace.pk), "next": next_page}
    assert ann.post("/admin/workspaces/switch/", form).headers["Location"] == "/admin/"


def test_a_link_survives_the_sign_in_and_the_second_factor(world: World, client: Client) -> None:
    path = task_path(world)
    with_second_factor("ann")
    entrance = client.get(path, follow=True)
    assert f'name="next" value="{path}"' in entrance.content.decode()
    form = {"username": "ann", "password": PASSWORD, "next": path}
    factor = client.post("/accounts/login/", form)
    assert factor.headers["Location"] == "/accounts/2fa/authenticate/"
    client.get(factor.headers["Location"])
    done = client.post(factor.headers["Location"], {"code": code()}, follow=True)
    assert done.redirect_chain == [(path, 302)]
    assert "Ship the canary?" in done.content.decode()


def test_a_link_survives_the_set_up_of_a_required_second_factor(world: World) -> None:
    path = f"{task_path(world)}?from=mail"
    choose(world, require_second_factor=True)
    client = Client()
    client.post("/accounts/login/", {"username": "ann", "password": PASSWORD, "next": path})
    set_up = client.get(path, follow=True)
    client.get("/admin/counts/", headers={"HX-Request": "true"})
    assert GO_ON not in set_up.content.decode(), "it would lead back here"
    again = f"/accounts/reauthenticate/?next={ACTIVATE}"
    page = client.post(again, {"password": PASSWORD}, follow=True)
    done = client.post(ACTIVATE, {"code": code(page.context["form"].secret)}, follow=True)
    html = done.content.decode()
    assert GO_ON in html
    assert f'href="{path}"' in html
    assert "Ship the canary?" in client.get(path).content.decode()
    assert GO_ON not in client.get("/accounts/2fa/").content.decode(), "it is shown once"


def test_who_is_a_member_of_nothing_any_more_is_told_so_and_can_sign_out(cast: Cast) -> None:
    Membership.objects.filter(user__username="ann").update(is_active=False)
    ann = signed_in("ann")
    answer = ann.get("/admin/agents/", follow=True)
    assert answer.status_code == 403
    assert "a member of no workspace any more" in answer.content.decode()
    assert 'action="/accounts/logout/"' in answer.content.decode()
    assert ann.post("/accounts/logout/", follow=True).status_code == 200


def test_the_link_is_followed_in_a_browser_with_one_click(
    shared_world: World, visit: Visit
) -> None:
    path = task_path(shared_world)
    join_other(shared_world.cast, "ann")
    page = visit("ann", QUEUE.removeprefix("/admin/"), expected="status of 404")
    page.locator(".workspace-menu summary").click()
    page.locator(".workspace-menu-items").get_by_role("button", name="Other").click()
    page.wait_for_url("**/admin/dashboard/")
    page.goto(path)
    page.get_by_role("button", name="Go to Demo and open it").click()
    page.wait_for_url(f"**{path}")
    page.get_by_text("Ship the canary?").first.wait_for()
