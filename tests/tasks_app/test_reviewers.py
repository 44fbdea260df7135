"""Named reviewers narrow who sees and decides; a participant narrows nothing."""

from collections.abc import Callable
from types import SimpleNamespace
from uuid import UUID

import pytest

from accounts_app.errors import Forbidden, Invalid, NotFound
from accounts_app.models import AuditEntry, Group, Membership, User
from accounts_app.services.members import create_member
from accounts_app.services.membership import (
    change_member,
    deactivate_member,
    put_group,
    reactivate_member,
)
from accounts_app.services.reviewers import Person, people
from tasks_app.kinds import Answer as Given
from tasks_app.models import UserTask
from tasks_app.policies import is_eligible, may_decide
from tasks_app.services import leaving, routing
from tasks_app.services.access import get_task
from tasks_app.services.claims import claim
from tasks_app.services.consistency import check_routes
from tasks_app.services.deciding import Decide, decide
from tasks_app.services.routing import assign, delegate, give_back
from tests.api_client import Answer
from tests.conftest import PASSWORD, World


def ask(world: World, **members: object) -> Answer:
    return world.agent.post("tasks", {"agent": "support", "title": "Ship?", **members}).ok(201)


def member(name: str) -> Membership:
    return Membership.objects.get(user__username=name)


def group(world: World, name: str, *people: str) -> Group:
    made = Group.objects.create(
        workspace=world.cast.workspace, created_at=world.cast.workspace.created_at, name=name
    )
    for person in people:
        member(person).groups.add(made)
    return made


def sees(world: World, task: Answer) -> set[str]:
    people = ["admin", "ann", "abe", "bob", "gus", "ida", "aud"]
    rows = UserTask.objects.filter(pk=task["id"])
    return {name for name in people if (rows & rows.visible_to(world.cast.actor(name))).exists()}


def approve(world: World, name: str, task: Answer) -> str:
    act = Decide(Given("approve"))
    return str(decide(world.cast.actor(name), UUID(task["id"]), None, lambda: act).status)


def test_without_reviewers_every_operator_sees_and_decides(world: World) -> None:
    task = ask(world, participant="Ann@Example.com")
    assert sees(world, task) == {"admin", "ann", "abe", "bob", "aud"}
    assert approve(world, "abe", task) == "completed"


def test_a_named_person_alone_sees_and_decides(world: World) -> None:
    task = ask(world, reviewers={"users": ["ANN"]})
    assert task["reviewers"] == {"users": ["ANN"], "groups": []}
    assert sees(world, task) == {"admin", "ann", "bob", "aud"}
    with pytest.raises(NotFound):
        approve(world, "abe", task)
    assert approve(world, "ann", task) == "completed"


def test_a_named_group_decides_whatever_it_is_called_later(world: World) -> None:
    finance = group(world, "finance", "abe")
    task = ask(world, reviewers={"groups": ["finance"]})
    Group.objects.filter(pk=finance.pk).update(name="money")
    assert sees(world, task) == {"admin", "abe", "bob", "aud"}
    with pytest.raises(NotFound):
        approve(world, "ann", task)
    assert approve(world, "abe", task) == "completed"


def test_whoever_leaves_the_group_sees_nothing_of_it(world: World) -> None:
    group(world, "finance", "abe")
    task = ask(world, reviewers={"groups": ["finance"]})
    member("abe").groups.clear()
    assert "abe" not in sees(world, task)


def test_a_role_that_sees_headers_does_not_decide_for_others(world: World) -> None:
    change_member(
        world.cast.actor("admin"),
        member("abe"),
        roles=["viewer", "operator"],
        groups=[],
        limited_to=[],
    )
    task = ask(world, reviewers={"users": ["ann"]})
    abe = world.cast.actor("abe")
    row = get_task(abe, UUID(task["id"]))
    assert (is_eligible(abe, row), may_decide(abe, row)) == (
        False,
        "This task is for other reviewers, or of an agent that is not yours.",
    )
    with pytest.raises(Forbidden):
        approve(world, "abe", task)


def test_a_workspace_admin_decides_what_names_others(world: World) -> None:
    task = ask(world, reviewers={"users": ["ann"]})
    assert approve(world, "admin", task) == "completed"


def test_a_participant_without_a_role_decides(world: World) -> None:
    task = ask(world, kind="text", participant="IDA", reviewers={"users": ["ann"]})
    assert sees(world, task) == {"admin", "ann", "bob", "ida", "aud"}
    act = Decide(Given("submit", "Yes."))
    done = decide(world.cast.actor("ida"), UUID(task["id"]), None, lambda: act)
    assert done.status == "completed"


def test_a_name_reaches_over_the_limit_to_agents(world: World) -> None:
    member("ann").limited_to.add(world.cast.research)
    unnamed = ask(world)
    named = ask(world, reviewers={"users": ["ann"]})
    assert "ann" not in sees(world, unnamed)
    assert approve(world, "ann", named) == "completed"


def test_exclusion_comes_before_every_name(world: World) -> None:
    owner = User.objects.get(username="ann")
    world.agent.headers = {"Authorization": f"Bearer {world.cast.key('runs,read', owner=owner)}"}
    task = ask(world, reviewers={"users": ["ann", "abe"]})
    assert "ann" in sees(world, task)
    with pytest.raises(Forbidden) as refusal:
        approve(world, "ann", task)
    assert refusal.value.code == "self_review_forbidden"
    assert approve(world, "abe", task) == "completed"


@pytest.mark.parametrize(
    ("reviewers", "code", "field"),
    [
        ({"users": ["nobody"]}, "not_found", "reviewers.users.0"),
        ({"users": ["ann", "cora"]}, "not_found", "reviewers.users.1"),
        ({"groups": ["finance"]}, "not_found", "reviewers.groups.0"),
        ({}, "invalid_value", "reviewers"),
        ({"users": []}, "invalid_value", "reviewers"),
        ({"users": "ann"}, "invalid_value", "reviewers.users"),
        ({"users": [" "]}, "invalid_value", "reviewers.users.0"),
        ({"roles": ["operator"]}, "unknown_field", "reviewers.roles"),
        (["ann"], "invalid_value", "reviewers"),
    ],
)
def test_reviewers_that_are_nobody(world: World, reviewers: object, code: str, field: str) -> None:
    body = {"agent": "support", "title": "Ship?", "reviewers": reviewers}
    world.agent.post("tasks", body).refused(422, code, field)
    assert UserTask.objects.count() == 0
    refusal = world.operation(approval={"reviewers": reviewers})
    refusal.refused(422, code, f"approval.{field}")


def test_a_call_is_reviewed_by_whom_its_policy_names(world: World) -> None:
    group(world, "finance", "abe")
    world.operation(approval={"reviewers": {"groups": ["finance"]}}).ok()
    call = world.refund(900).ok(201)
    task = world.decider.get(f"tasks/{call['task']}").ok()
    assert task["reviewers"] == {"users": [], "groups": ["finance"]}
    assert sees(world, task) == {"admin", "abe", "bob", "aud"}
    assert approve(world, "abe", task) == "completed"


def test_a_task_that_nobody_may_decide_is_flagged(world: World) -> None:
    owner = User.objects.get(username="ann")
    world.agent.headers = {"Authorization": f"Bearer {world.cast.key('runs,read', owner=owner)}"}
    task = ask(world, reviewers={"users": ["ann"]})
    assert UserTask.objects.get(pk=task["id"]).unroutable is True
    assert AuditEntry.objects.filter(verb="task.unroutable").count() == 1
    assert "admin" in sees(world, task)
    assert (
        UserTask.objects.get(pk=ask(world, reviewers={"users": ["abe"]})["id"]).unroutable is False
    )


def change(world: World, name: str, **members: object) -> None:
    present = member(name)
    as_it_is = {
        "roles": present.roles,
        "groups": list(present.groups.all()),
        "limited_to": list(present.limited_to.all()),
    }
    change_member(world.cast.actor("admin"), present, **{**as_it_is, **members})


def role_taken(world: World) -> None:
    change(world, "ann", roles=["viewer"])


def left_the_group(world: World) -> None:
    change(world, "ann", groups=[])


def deactivated(world: World) -> None:
    deactivate_member(world.cast.actor("admin"), member("ann"))


def group_emptied(world: World) -> None:
    put_group(world.cast.actor("admin"), name="G", members=[], group=Group.objects.get())


def let_in_again(world: World) -> None:
    reactivate_member(world.cast.actor("admin"), member("ann"))


def role_given(world: World) -> None:
    change(world, "ann", roles=["operator"])


def group_filled(world: World) -> None:
    put_group(
        world.cast.actor("admin"), name="G", members=[member("ann")], group=Group.objects.get()
    )


Change = Callable[[World], None]


@pytest.mark.parametrize(
    ("named", "loses", "gains"),
    [
        ({"users": ["ann"]}, deactivated, let_in_again),
        ({"users": ["ann"]}, role_taken, role_given),
        ({"groups": ["G"]}, deactivated, let_in_again),
        ({"groups": ["G"]}, group_emptied, group_filled),
        ({"groups": ["G"]}, left_the_group, group_filled),
    ],
)
def test_the_flag_is_right_as_soon_as_somebody_goes_or_comes(
    world: World, named: dict[str, list[str]], loses: Change, gains: Change
) -> None:
    group(world, "G", "ann")
    task, other = ask(world, reviewers=named), ask(world)
    loses(world)
    assert flags(task, other) == [True, False]
    entry = AuditEntry.objects.get(verb="task.unroutable")
    assert (entry.target_id, entry.actor_name) == (task["id"], "admin")
    gains(world)
    assert flags(task, other) == [False, False]
    assert check_routes() == 0


def flags(*tasks: Answer) -> list[bool]:
    return [UserTask.objects.get(pk=task["id"]).unroutable for task in tasks]


def test_a_limit_to_other_agents_leaves_nobody_for_what_names_nobody(world: World) -> None:
    deactivate_member(world.cast.actor("admin"), member("abe"))
    task = world.agent.post("tasks", {"run": world.run(participant="admin"), "title": "Ship?"}).ok(
        201
    )
    assert flags(task) == [False]
    change(world, "ann", limited_to=[world.cast.research])
    assert flags(task) == [True]
    add = {"username": "eve", "roles": ["operator"], "password": PASSWORD}
    create_member(world.cast.actor("admin"), **add)
    assert flags(task) == [False]


def test_what_the_last_operator_started_is_flagged_when_it_is_asked(world: World) -> None:
    for name in ("abe", "admin"):
        Membership.objects.filter(user__username=name).update(is_active=False)
    run = world.run(participant="ann")
    mine = world.agent.post("tasks", {"run": run, "title": "Ship?"}).ok(201)
    call = world.refund(900, run).ok(201)
    text = world.agent.post("tasks", {"run": run, "title": "Why?", "kind": "text"}).ok(201)
    others = ask(world)
    assert flags(mine, text, others) == [True, False, False]
    assert UserTask.objects.get(pk=call["task"]).unroutable is True
    verbs = AuditEntry.objects.filter(target_id=mine["id"]).order_by("sequence")
    assert list(verbs.values_list("verb", flat=True)) == ["task.created", "task.unroutable"]
    assert check_routes() == 0


def test_a_review_that_nobody_can_triage_is_flagged_when_it_is_asked(world: World) -> None:
    Membership.objects.filter(user__username="gus").update(is_active=False)
    world.rule().ok(201)
    tasks = [
        world.refund(6000, world.run(participant=name)).ok(201)["task"] for name in ("admin", "ann")
    ]
    found = dict(UserTask.objects.filter(pk__in=tasks).values_list("pk", "unroutable"))
    assert [found[UUID(pk)] for pk in tasks] == [True, False]


def test_where_enough_may_decide_that_is_asked_once_a_minute(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[UUID] = []
    now = [60.0]

    def counted(workspace_id: UUID) -> list[Person]:
        asked.append(workspace_id)
        return people(workspace_id)

    monkeypatch.setattr(routing, "people", counted)
    monkeypatch.setattr(routing, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for seconds, times in ((60.0, 1), (119.9, 1), (120.0, 2)):
        now[0] = seconds
        ask(world)
        assert asked == [world.cast.workspace.pk] * times


def test_what_a_leaver_held_is_freed_and_flagged_in_one_step(world: World) -> None:
    task, free = ask(world, reviewers={"users": ["ann"]}), ask(world)
    ann = world.cast.actor("ann")
    for each in (task, free):
        claim(ann, UUID(each["id"]))
    assert deactivate_member(world.cast.actor("admin"), member("ann")) == 2
    assert flags(task, free) == [True, False]
    assert not UserTask.objects.filter(claimed_by__isnull=False).exists()


def test_beyond_what_is_flagged_at_once_the_sweep_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "FLAGGED_AT_ONCE", 2)
    tasks = [ask(world, reviewers={"users": ["ann"]}) for _ in range(3)]
    role_taken(world)
    assert flags(*tasks) == [True, True, False]
    assert check_routes() == 1
    assert flags(*tasks) == [True, True, True]


def test_an_admin_assigns_what_nobody_could_decide(world: World) -> None:
    owner = User.objects.get(username="ann")
    world.agent.headers = {"Authorization": f"Bearer {world.cast.key('runs,read', owner=owner)}"}
    task = ask(world, reviewers={"users": ["ann"]})
    done = assign(world.cast.actor("admin"), UUID(task["id"]), "abe", "Please look.")
    assert (str(done.assigned_to), done.unroutable) == ("abe", False)
    assert approve(world, "abe", task) == "completed"


@pytest.mark.parametrize(
    ("by", "to", "error"),
    [
        ("ann", "bob", Invalid),
        ("ann", "nobody", Invalid),
        ("ann", "cora", Invalid),
        ("admin", "bob", Invalid),
        ("bob", "ann", Forbidden),
        ("gus", "ann", NotFound),
    ],
)
def test_assignments_that_are_refused(
    world: World, by: str, to: str, error: type[Exception]
) -> None:
    task = ask(world)
    with pytest.raises(error):
        assign(world.cast.actor(by), UUID(task["id"]), to)
    assert UserTask.objects.get(pk=task["id"]).assigned_to is None


def test_an_excluded_person_is_never_assigned(world: World) -> None:
    task = ask(world, participant="abe")
    UserTask.objects.get(pk=task["id"])
    run = world.run(participant="abe")
    own = world.agent.post("tasks", {"run": run, "title": "Mine?"}).ok(201)
    for act in (assign, delegate):
        with pytest.raises(Invalid, match="started the session"):
            act(world.cast.actor("ann"), UUID(own["id"]), "abe")
        with pytest.raises(Invalid, match="started the session"):
            act(world.cast.actor("admin"), UUID(own["id"]), "abe")


def test_delegated_and_given_back(world: World) -> None:
    task = ask(world)
    ann, abe, pk = world.cast.actor("ann"), world.cast.actor("abe"), UUID(task["id"])
    with pytest.raises(Invalid):
        give_back(ann, pk)
    with pytest.raises(Invalid, match="somebody else"):
        delegate(ann, pk, "ann")
    handed = delegate(ann, pk, "abe", "I am away.")
    assert (str(handed.assigned_to), handed.delegated_by_id) == ("abe", ann.user_id)
    back = give_back(abe, pk, "I do not know either.")
    assert (str(back.assigned_to), back.delegated_by_id) == ("ann", None)
    verbs = list(AuditEntry.objects.filter(target_id=str(pk)).values_list("verb", flat=True))
    assert sorted(verbs) == ["task.created", "task.delegated", "task.given_back"]
    assert approve(world, "abe", task) == "completed"


def test_only_named_reviewers_are_delegated_to(world: World) -> None:
    task = ask(world, reviewers={"users": ["ann"]})
    with pytest.raises(Invalid, match="may not decide"):
        delegate(world.cast.actor("ann"), UUID(task["id"]), "abe")
