"""Claims: one person at a task for fifteen minutes, and others know it."""

from collections.abc import Callable
from uuid import UUID

import pytest

from accounts_app.errors import Conflict, Forbidden, Invalid, NotFound
from accounts_app.models import AuditEntry, Membership, User
from accounts_app.scoping import Actor
from tasks_app.kinds import Answer as Given
from tasks_app.models import DraftRevision, UserTask, Vote
from tasks_app.services.claims import claim, next_task, release, take_over
from tasks_app.services.deciding import Decide, decide
from tasks_app.services.drafts import save_draft
from tasks_app.services.routing import assign
from tasks_app.services.sweeping import sweep
from tests.conftest import World

Move = Callable[[float], None]


def ask(world: World, **members: object) -> UUID:
    body = {"agent": "support", "title": "Ship?", **members}
    return UUID(world.agent.post("tasks", body).ok(201)["id"])


def row(pk: UUID) -> UserTask:
    return UserTask.objects.select_related("claimed_by").get(pk=pk)


def holder(pk: UUID) -> str:
    found = row(pk)
    assert (found.claimed_by is None) == (found.claim_token is None)
    assert (found.claimed_by is None) == (found.claim_expires_at is None)
    return str(found.claimed_by or "")


def approve(actor: Actor, pk: UUID, token: UUID | None = None) -> str:
    act = Decide(Given("approve"))
    return str(decide(actor, pk, 1, lambda: act, claim_token=token).status)


def refused(code: str, act: Callable[[], object]) -> Conflict:
    with pytest.raises(Conflict) as refusal:
        act()
    assert refusal.value.code == code
    return refusal.value


def test_one_claims_and_others_are_told(world: World) -> None:
    pk, ann, abe = ask(world), world.cast.actor("ann"), world.cast.actor("abe")
    mine = claim(ann, pk)
    assert mine.claim_token is not None
    shown = world.agent.get(f"tasks/{pk}")
    assert shown["claimed_by"] == "ann"
    assert shown["claim_expires_at"] is not None
    refusal = refused("claimed_by_other", lambda: claim(abe, pk))
    assert refusal.facts["by"] == "ann"
    assert refusal.facts["until"] == mine.claim_expires_at.isoformat()
    assert approve(ann, pk) == "completed"
    assert holder(pk) == ""


def test_claiming_again_renews(world: World, move_clock: Move) -> None:
    pk, ann = ask(world), world.cast.actor("ann")
    first = claim(ann, pk)
    move_clock(600)
    second = claim(ann, pk)
    assert second.claim_token == first.claim_token
    assert second.claim_expires_at > first.claim_expires_at
    assert AuditEntry.objects.filter(verb="task.claimed").count() == 1


def test_a_lost_lease_saves_and_decides_nothing(world: World, move_clock: Move) -> None:
    pk, ann, abe = ask(world, draft="v0"), world.cast.actor("ann"), world.cast.actor("abe")
    token = claim(ann, pk).claim_token
    move_clock(901)
    claim(abe, pk)
    refused("lease_lost", lambda: approve(ann, pk, token))
    refused("lease_lost", lambda: save_draft(ann, pk, 1, lambda: "v1", claim_token=token))
    found = row(pk)
    assert (found.status, found.draft, holder(pk)) == ("pending", "v0", "abe")


def test_an_expired_lease_that_nobody_took_still_serves(world: World, move_clock: Move) -> None:
    pk, ann = ask(world), world.cast.actor("ann")
    token = claim(ann, pk).claim_token
    move_clock(901)
    assert sweep(execute_here=False)["claims_lapsed"] == 1
    assert holder(pk) == ""
    assert approve(ann, pk, token) == "completed"


def test_whoever_lets_go_frees_only_their_own(world: World) -> None:
    pk, ann, abe = ask(world), world.cast.actor("ann"), world.cast.actor("abe")
    claim(ann, pk)
    release(abe, pk)
    assert holder(pk) == "ann"
    release(ann, pk)
    release(ann, pk)
    assert holder(pk) == ""
    assert AuditEntry.objects.filter(verb="task.unclaimed").count() == 1


def test_taken_over_with_a_reason(world: World) -> None:
    pk, ann, abe = ask(world), world.cast.actor("ann"), world.cast.actor("abe")
    token = claim(ann, pk).claim_token
    with pytest.raises(Invalid) as refusal:
        take_over(abe, pk, "  ")
    assert refusal.value.code == "comment_required"
    assert holder(pk) == "ann"
    take_over(abe, pk, "Ann is at lunch.")
    assert holder(pk) == "abe"
    refused("lease_lost", lambda: approve(ann, pk, token))
    facts = AuditEntry.objects.get(verb="task.taken_over").facts
    assert facts == {"comment": "Ann is at lunch.", "from": "ann"}


@pytest.mark.parametrize("end", ["approve", "api", "cancel", "run", "deadline"])
def test_every_end_drops_the_claim(world: World, move_clock: Move, end: str) -> None:
    run = world.run()
    pk = ask(world, run=run, agent=None, timeout_seconds=60)
    other = ask(world)
    ann = world.cast.actor("ann")
    claim(ann, pk)
    claim(ann, other)
    if end == "approve":
        approve(ann, pk)
    elif end == "api":
        world.decider.post(f"tasks/{pk}/reject").ok()
    elif end == "cancel":
        world.agent.post(f"tasks/{pk}/cancel").ok()
    elif end == "run":
        world.agent.post(f"runs/{run}/complete").ok()
    else:
        move_clock(61)
        sweep(execute_here=False)
    assert row(pk).status != "pending"
    assert (holder(pk), holder(other)) == ("", "ann")


def test_an_escalation_leaves_the_claim(world: World, move_clock: Move) -> None:
    rule = {"escalate": {"reviewers": {"users": ["abe"]}, "timeout_seconds": 60}}
    pk = ask(world, reviewers={"users": ["ann"]}, timeout_seconds=60, on_timeout=rule)
    claim(world.cast.actor("ann"), pk)
    move_clock(61)
    assert sweep(execute_here=False)["tasks_escalated"] == 1
    assert holder(pk) == "ann"


@pytest.mark.parametrize(
    ("name", "error"), [("bob", Forbidden), ("ida", NotFound), ("gus", NotFound)]
)
def test_who_may_not_decide_may_not_claim(world: World, name: str, error: type[Exception]) -> None:
    pk = ask(world)
    actor = world.cast.actor(name)
    for act in (claim, lambda a, k: take_over(a, k, "x")):
        with pytest.raises(error):
            act(actor, pk)
    assert holder(pk) == ""


def test_an_excluded_person_claims_nothing_and_gets_no_next(world: World) -> None:
    run = world.run(participant="ann")
    pk = ask(world, run=run, agent=None)
    ann = world.cast.actor("ann")
    with pytest.raises(Forbidden):
        claim(ann, pk)
    assert next_task(ann) is None
    assert next_task(world.cast.actor("abe")).pk == pk


def test_late_and_closed_tasks_are_not_claimed(world: World, move_clock: Move) -> None:
    late, closed, ann = ask(world, timeout_seconds=60), ask(world), world.cast.actor("ann")
    world.decider.post(f"tasks/{closed}/approve").ok()
    move_clock(61)
    refused("deadline_passed", lambda: claim(ann, late))
    refused("already_completed", lambda: claim(ann, closed))
    assert next_task(ann) is None


def test_next_serves_each_another_task(world: World, move_clock: Move) -> None:
    first, second = ask(world), ask(world)
    urgent = ask(world, timeout_seconds=600)
    theirs = ask(world, timeout_seconds=60)
    ann, abe = world.cast.actor("ann"), world.cast.actor("abe")
    assign(ann, theirs, "abe")
    assert [next_task(ann).pk, next_task(ann).pk] == [urgent, first]
    assert [next_task(abe).pk, next_task(abe).pk] == [theirs, second]
    assert next_task(ann) is None
    move_clock(901)
    assert next_task(ann, UserTask.objects.filter(pk=second)).pk == second


def test_whoever_is_deactivated_gives_everything_back(world: World) -> None:
    pk, other = ask(world, draft="v0", quorum=2), ask(world)
    ann = world.cast.actor("ann")
    claim(ann, pk)
    save_draft(ann, pk, 1, lambda: "v1")
    act = Decide(Given("approve"))
    decide(ann, pk, 2, lambda: act)
    claim(world.cast.actor("abe"), other)
    Membership.objects.filter(user__username="ann").update(is_active=False)
    assert sweep(execute_here=False)["claims_lapsed"] == 1
    assert (holder(pk), holder(other)) == ("", "abe")
    assert (row(pk).draft, Vote.objects.count(), DraftRevision.objects.count()) == ("v1", 1, 2)
    User.objects.filter(username="abe").update(is_active=False)
    assert sweep(execute_here=False)["claims_lapsed"] == 1


def test_keys_hold_nothing_and_are_not_held_up(world: World) -> None:
    pk = ask(world)
    claim(world.cast.actor("ann"), pk)
    world.decider.post(f"tasks/{pk}/approve").ok()
    assert holder(pk) == ""


def test_a_claim_takes_no_right_away(world: World) -> None:
    pk = ask(world)
    claim(world.cast.actor("ann"), pk)
    assert approve(world.cast.actor("abe"), pk) == "completed"
    assert holder(pk) == ""
