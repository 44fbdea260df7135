"""Lists to choose from stay usable at three hundred: chosen ones first, a filter, no cap unseen."""

import datetime as dt

import pytest

from accounts_app.models import Agent, Group, Membership, User
from accounts_app.states import Role
from guard_app.models import GuardRule
from integrations_app.models import Operation
from tests.backoffice.conftest import Visit
from tests.backoffice.people import signed_in
from tests.conftest import World

EDITOR = "/admin/operations/payments/refund/"
PEOPLE = 600


@pytest.fixture
def crowd(world: World) -> World:
    """Six hundred operators besides the cast, of whom one is called Zoë Äpfel."""
    users = User.objects.bulk_create(
        User(username=f"op{number:03}", first_name="Operator", last_name=f"No {number}")
        for number in range(PEOPLE)
    )
    User.objects.filter(username="op599").update(first_name="Zoë", last_name="Äpfel")
    now = dt.datetime.now(dt.UTC)
    Membership.objects.bulk_create(
        Membership(workspace=world.cast.workspace, user=user, roles=[Role.OPERATOR], created_at=now)
        for user in users
    )
    return world


def choices(client_page: str, name: str) -> list[str]:
    """The values of a list's boxes, in their order."""
    marks = client_page.split(f'name="{name}" value="')[1:]
    return [mark.partition('"')[0] for mark in marks]


def chosen(client_page: str, name: str) -> list[str]:
    marks = client_page.split(f'name="{name}" value="')[1:]
    return [mark.partition('"')[0] for mark in marks if " checked" in mark.partition(">")[0]]


def test_every_member_can_be_chosen_and_the_chosen_stand_first(crowd: World) -> None:
    Operation.objects.filter(slug="refund").update(
        approval={"reviewers": {"users": ["op599", "gone"], "groups": []}}
    )
    page = signed_in("ida").get(EDITOR).content.decode()
    names = choices(page, "reviewer_users")
    assert len(names) > PEOPLE
    assert len(set(names)) == len(names)
    assert names[:2] == chosen(page, "reviewer_users") == ["op599", "gone"]
    assert "Zoë Äpfel (op599)" in page
    assert "gone (no longer here)" in page


def test_who_only_reads_sees_what_is_chosen_alone(crowd: World) -> None:
    Operation.objects.filter(slug="refund").update(
        approval={"reviewers": {"users": ["op599"], "groups": []}}
    )
    page = signed_in("aud").get(EDITOR).content.decode()
    assert choices(page, "reviewer_users") == ["op599"]


def test_a_member_beyond_the_first_five_hundred_becomes_a_reviewer(
    crowd: World, visit: Visit
) -> None:
    page = visit("ida", "operations/payments/refund/")
    filter_ = page.get_by_label("Reviewers: people: find among")
    filter_.fill("apfel zoe")
    boxes = page.get_by_role("group", name="Reviewers: people").get_by_role("checkbox")
    assert boxes.count() == 1
    number = len(choices(page.content(), "reviewer_users"))
    page.get_by_text(f"0 chosen, 1 of {number} shown").wait_for()
    filter_.press("Enter")
    page.keyboard.press("Space")
    page.get_by_text("1 chosen, 1 of").wait_for()
    filter_.fill("nobody of this name")
    assert boxes.count() == 0
    page.get_by_role("button", name="Save the operation").click()
    page.get_by_text("The operation is saved").wait_for()
    assert Operation.objects.get(slug="refund").approval["reviewers"]["users"] == ["op599"]
    first = page.get_by_role("group", name="Reviewers: people").get_by_role("checkbox").first
    assert first.is_checked()
    assert first.get_attribute("value") == "op599"


def test_without_the_script_it_is_the_plain_list(crowd: World) -> None:
    page = signed_in("ida").get(EDITOR).content.decode()
    assert "find among" not in page.lower()
    assert page.count('<input type="checkbox" name="reviewer_users"') > PEOPLE


def test_a_short_list_has_no_filter(world: World, visit: Visit) -> None:
    page = visit("ida", "operations/payments/refund/")
    page.get_by_role("group", name="Reviewers: people").get_by_role("checkbox").first.wait_for()
    assert page.get_by_label("Reviewers: people: find among").count() == 0


def test_members_groups_and_rules_use_the_same_list(crowd: World) -> None:
    now = dt.datetime.now(dt.UTC)
    workspace = crowd.cast.workspace
    Agent.objects.bulk_create(
        Agent(workspace=workspace, slug=f"a{number}", name=f"Agent {number}", created_at=now)
        for number in range(20)
    )
    group = Group.objects.create(workspace=workspace, name="Finance", created_at=now)
    member = Membership.objects.get(user__username="op599")
    agent = Agent.objects.get(slug="a7")
    member.groups.add(group)
    member.limited_to.add(agent)
    admin = signed_in("admin")
    page = admin.get(f"/admin/members/{member.pk}/").content.decode()
    assert choices(page, "limited_to")[0] == str(agent.pk)
    assert choices(page, "groups")[0] == str(group.pk)
    assert "Agent 7 (a7)" in page
    page = admin.get(f"/admin/groups/{group.pk}/").content.decode()
    assert chosen(page, "people") == choices(page, "people")[:1] == [str(member.pk)]
    crowd.rule(applies_to={"agents": ["a7"]})
    rule = GuardRule.objects.get()
    page = signed_in("gus").get(f"/admin/guard/rules/{rule.slug}/").content.decode()
    assert chosen(page, "agents") == choices(page, "agents")[:1] == ["a7"]
    assert page.count("data-choices-list") >= 2


def test_nobody_of_another_workspace_is_offered(crowd: World) -> None:
    names = choices(signed_in("ida").get(EDITOR).content.decode(), "reviewer_users")
    assert "cora" not in names
    form = {"requires_approval": "yes", "reviewer_users": ["cora"], "name": "Refund"}
    before = Operation.objects.get(slug="refund").approval
    answer = signed_in("ida").post(EDITOR, form)
    assert answer.status_code == 422
    assert "reviewer_users" in answer.context["form"].errors
    assert Operation.objects.get(slug="refund").approval == before
