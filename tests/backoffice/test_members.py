"""Members and groups: roles hold at once, nobody locks the workspace out, claims come back."""

import datetime as dt
import re
import uuid

import pytest

from accounts_app.errors import Invalid
from accounts_app.models import ApiKey, AuditEntry, Group, Membership, User
from accounts_app.services.membership import change_member, deactivate_member
from tasks_app.models import UserTask
from tests.api_client import Api
from tests.backoffice.people import signed_in
from tests.conftest import Cast, World


def member(username: str) -> Membership:
    return Membership.objects.get(user__username=username)


def page(username: str, act: str = "") -> str:
    return f"/admin/members/{member(username).pk}/{act}"


def test_a_new_member_gets_a_password_that_is_shown_once(cast: Cast) -> None:
    admin = signed_in("admin")
    form = {"username": "eve", "email": "eve@example.com", "roles": ["operator", "viewer"]}
    answer = admin.post("/admin/add/member/", form)
    found = re.search(r'id="secret">([^<]+)<', answer.content.decode())
    assert found is not None
    assert f'href="{page("eve")}">Choose their groups and agents</a>' in answer.content.decode()
    assert member("eve").roles == ["operator", "viewer"]
    assert User.objects.get(username="eve").check_password(found[1])
    assert "no-store" in answer.headers["Cache-Control"]
    assert found[1] not in "".join(AuditEntry.objects.values_list("data", flat=True))
    assert found[1] not in admin.get("/admin/members/").content.decode()


def test_a_name_that_is_taken_is_refused_and_what_was_typed_is_kept(cast: Cast) -> None:
    form = {"username": "cora", "email": "typed@example.com", "roles": ["operator"]}
    answer = signed_in("admin").post("/admin/add/member/", form)
    assert answer.status_code == 409
    assert "typed@example.com" in answer.content.decode()
    assert member("cora").workspace == cast.other


def test_somebody_of_another_workspace_becomes_a_member_here_too(cast: Cast) -> None:
    form = {"username": "Cora", "roles": ["viewer"], "existing": "on"}
    answer = signed_in("admin").post("/admin/add/member/", form)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/members/")
    here = Membership.objects.get(workspace=cast.workspace, user__username="cora")
    assert here.roles == ["viewer"]


def test_roles_groups_and_agents_hold_from_the_next_request_on(cast: Cast) -> None:
    ann, admin = signed_in("ann"), signed_in("admin")
    assert ann.get("/admin/members/").status_code == 403
    group = Group.objects.create(
        workspace=cast.workspace, name="Finance", created_at=dt.datetime.now(dt.UTC)
    )
    form = {"roles": ["workspace_admin"], "groups": [group.pk], "limited_to": [cast.support.pk]}
    assert admin.post(page("ann"), form).status_code == 302
    assert ann.get("/admin/members/").status_code == 200
    actor = cast.actor("ann")
    assert (actor.groups, actor.limited_to) == ({group.pk}, {cast.support.pk})
    facts = AuditEntry.objects.get(verb="member.changed").facts
    assert facts["after"] == {
        "roles": ["workspace_admin"],
        "groups": ["Finance"],
        "limited_to": ["support"],
    }


def test_a_group_or_agent_of_another_workspace_cannot_be_given(cast: Cast) -> None:
    foreign = Group.objects.create(
        workspace=cast.other, name="Theirs", created_at=dt.datetime.now(dt.UTC)
    )
    form = {"roles": ["operator"], "groups": [foreign.pk]}
    assert signed_in("admin").post(page("ann"), form).status_code == 422
    assert not member("ann").groups.exists()


def test_the_last_workspace_admin_cannot_be_removed_by_any_way(cast: Cast) -> None:
    admin = signed_in("admin")
    text = admin.post(page("admin", "deactivate/"), follow=True).content.decode()
    assert "This is the last workspace admin" in text
    answer = admin.post(page("admin"), {"roles": ["operator"]})
    assert answer.status_code == 422
    assert "This is the last workspace admin" in answer.context["form"].errors["roles"][0]
    assert (member("admin").is_active, member("admin").roles) == (True, ["workspace_admin"])
    assert not AuditEntry.objects.filter(verb__in=["member.changed", "member.deactivated"])


def test_of_two_admins_one_can_go(cast: Cast) -> None:
    Membership.objects.filter(user__username="ann").update(roles=["workspace_admin"])
    assert deactivate_member(cast.actor("ann"), member("admin")) == 0
    with pytest.raises(Invalid):
        change_member(cast.actor("ann"), member("ann"), roles=["viewer"], groups=[], limited_to=[])
    assert signed_in("admin").get("/admin/").status_code == 302


def test_what_a_member_held_goes_back_to_the_queue(world: World) -> None:
    task_id = world.refund(900).ok(201)["task"]
    ann = User.objects.get(username="ann")
    UserTask.objects.filter(pk=task_id).update(
        claimed_by=ann,
        claim_token=uuid.uuid4(),
        claim_expires_at=dt.datetime.now(dt.UTC),
        assigned_to=ann,
    )
    text = signed_in("admin").post(page("ann", "deactivate/"), follow=True).content.decode()
    assert "1 claimed tasks went back to the queue" in text
    task = UserTask.objects.get(pk=task_id)
    assert (task.claimed_by, task.claim_token, task.claim_expires_at) == (None, None, None)
    assert (task.assigned_to, task.status) == (None, "pending")
    assert AuditEntry.objects.filter(verb="task.released", target_id=str(task.pk)).count() == 1


def test_a_deactivated_member_is_out_with_their_keys_and_comes_back(cast: Cast) -> None:
    ann, admin = signed_in("ann"), signed_in("admin")
    key = Api(cast.key("read", name="ann's", owner=User.objects.get(username="ann")))
    assert ann.get("/admin/agents/").status_code == 200
    assert key.get("agents").status == 200
    admin.post(page("ann", "deactivate/"))
    assert ann.get("/admin/agents/").status_code == 302
    assert key.get("agents").status == 401
    admin.post(page("ann", "reactivate/"))
    assert ann.get("/admin/agents/").status_code == 200
    assert key.get("agents").status == 200


def test_nothing_happens_on_a_get(cast: Cast) -> None:
    admin = signed_in("admin")
    assert admin.get(page("ann", "deactivate/")).status_code == 405
    assert member("ann").is_active


def test_members_of_another_workspace_are_not_there(cast: Cast) -> None:
    admin = signed_in("admin")
    assert admin.get(page("cora")).status_code == 404
    assert admin.post(page("cora", "deactivate/")).status_code == 404
    assert member("cora").is_active
    assert "cora" not in admin.get("/admin/members/").content.decode()


def test_a_group_is_made_once_renamed_and_filled(cast: Cast) -> None:
    admin = signed_in("admin")
    form = {"name": "Finance", "people": [member("ann").pk]}
    assert admin.post("/admin/add/group/", form).status_code == 302
    again = admin.post("/admin/add/group/", form)
    assert again.status_code == 422
    group = Group.objects.get()
    form = {"name": "Money", "people": [member("ann").pk, member("abe").pk]}
    assert admin.post(f"/admin/groups/{group.pk}/", form).status_code == 302
    group.refresh_from_db()
    assert group.name == "Money"
    assert cast.actor("abe").groups == {group.pk}
    theirs = {"name": "Money", "people": [member("cora").pk]}
    assert admin.post(f"/admin/groups/{group.pk}/", theirs).status_code == 422
    assert group.memberships.count() == 2


def test_who_is_in_a_group_of_reviewers_sees_and_decides_from_the_next_request_on(
    world: World,
) -> None:
    admin = signed_in("admin")

    def fill(*names: str) -> None:
        form = {"name": "Finance", "people": [member(name).pk for name in names]}
        path = f"groups/{group.pk}" if (group := Group.objects.first()) else "add/group"
        assert admin.post(f"/admin/{path}/", form).status_code == 302

    def sees(name: str) -> bool:
        client, path = signed_in(name), f"/admin/review/tasks/{task.pk}/"
        listed = f"task-{task.pk}" in client.get("/admin/review/approvals/").content.decode()
        assert client.get(path).status_code == (200 if listed else 404)
        mark = re.search(
            r'id="count-pending"[^>]*>([^<]*)<', client.get("/admin/counts/").content.decode()
        )
        assert mark is not None
        assert mark[1] == ("1" if listed else "")
        return listed

    def approve(name: str) -> int:
        form = {"action": "approve", "revision": task.revision}
        path = f"/admin/review/tasks/{task.pk}/decide/"
        return signed_in(name).post(path, form, headers={"HX-Request": "true"}).status_code

    fill("abe")
    policy = {"reviewers": {"groups": ["Finance"]}}
    world.operation(approval=policy).ok(200)
    task = UserTask.objects.get(tool_call=world.refund(900).ok(201)["id"])
    assert (sees("abe"), sees("ann"), approve("ann")) == (True, False, 404)
    fill("abe", "ann")
    assert (sees("abe"), sees("ann")) == (True, True)
    fill("ann")
    assert (sees("abe"), approve("abe")) == (False, 404)
    fill()
    task.refresh_from_db()
    assert (sees("ann"), task.unroutable) == (False, True)
    fill("ann")
    task.refresh_from_db()
    assert (sees("ann"), task.unroutable, approve("ann")) == (True, False, 200)
    task.refresh_from_db()
    assert (task.status, task.decided_by["name"]) == ("completed", "ann")


def test_keys_are_made_shown_once_and_revoked(cast: Cast) -> None:
    admin = signed_in("admin")
    form = {"name": "ledger", "scopes": ["runs", "read"], "agent": "support", "owner": "ann"}
    answer = admin.post("/admin/add/key/", {**form, "expires_0": "2", "expires_1": "86400"})
    found = re.search(r'id="secret">([^<]+)<', answer.content.decode())
    assert found is not None
    row = ApiKey.objects.get(name="ledger")
    assert (row.scopes, row.agent, str(row.owner)) == (["read", "runs"], cast.support, "ann")
    assert row.expires_at is not None
    key = Api(found[1])
    assert key.get("agents/support").status == 200
    text = admin.get("/admin/keys/").content.decode()
    assert row.prefix in text
    assert found[1] not in text
    assert admin.get(f"/admin/keys/{row.pk}/revoke/").status_code == 405
    admin.post(f"/admin/keys/{row.pk}/revoke/")
    assert key.get("agents/support").status == 401
    assert row.prefix not in admin.get("/admin/keys/").content.decode()
    assert row.prefix in admin.get("/admin/keys/?show=all").content.decode()
    assert admin.post(f"/admin/keys/{row.pk}/revoke/").status_code == 404


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"scopes": ["runs", "decide"]}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"name": " "}, "name"),
        ({"agent": "unknown"}, "agent"),
        ({"owner": "cora"}, "owner"),
        ({"expires_0": "0"}, "expires"),
    ],
)
def test_a_key_that_cannot_be_is_refused_and_not_made(
    cast: Cast, changed: dict[str, object], field: str
) -> None:
    form = {"name": "bot", "scopes": ["runs"], "expires_0": "", "expires_1": "60", **changed}
    answer = signed_in("admin").post("/admin/add/key/", form)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert not ApiKey.objects.exists()


def test_a_key_of_another_workspace_is_not_revoked(cast: Cast) -> None:
    cast.key(name="theirs", workspace=cast.other)
    pk = ApiKey.objects.get(name="theirs").pk
    assert signed_in("admin").post(f"/admin/keys/{pk}/revoke/").status_code == 404
    assert ApiKey.objects.get(name="theirs").revoked_at is None
