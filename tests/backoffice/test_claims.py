"""Claims on cards: leases that run out, are taken over and never lose what was typed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from django.db import connection

from accounts_app.models import AuditEntry
from accounts_app.scoping import system_actor
from accounts_app.services.members import create_member
from tasks_app.models import Decision, UserTask
from tasks_app.services.claims import next_task
from tests.backoffice.test_approvals import ask, decide, page, refund, signed_in
from tests.backoffice.test_task_acts import act
from tests.conftest import PASSWORD, World


def test_a_claim_shows_on_the_cards_of_all(world: World) -> None:
    task = refund(world)
    assert "You work on this" in act("ann", task, "claim").content.decode()
    assert "ann works on this" in page("abe")
    assert "Take over" in page("abe")
    assert AuditEntry.objects.filter(verb="task.claimed").count() == 1
    assert act("ann", task, "claim").status_code == 200
    assert AuditEntry.objects.filter(verb="task.claimed").count() == 1


def test_a_second_person_is_told_who_works_on_it(world: World) -> None:
    task = refund(world)
    act("ann", task, "claim")
    answer = act("abe", task, "claim")
    assert answer.status_code == 409
    assert "ann works on this task until" in answer.content.decode()
    task.refresh_from_db()
    assert str(task.claimed_by) == "ann"


def test_a_lost_lease_refuses_the_decision_and_keeps_the_text(world: World) -> None:
    task = refund(world)
    act("ann", task, "claim")
    task.refresh_from_db()
    token = str(task.claim_token)
    assert token in page("ann")
    assert token not in page("abe")
    act("abe", task, "claim", take_over="1", note="Ann is at lunch.")
    answer = decide(signed_in("ann"), task, lease=token, comment="Half written")
    assert answer.status_code == 409
    html = answer.content.decode()
    assert "Your claim on this task has ended. abe works on it now." in html
    assert ">Half written</textarea>" in html
    assert not Decision.objects.exists()
    assert decide(signed_in("ann"), task, comment="All the same").status_code == 200


def test_a_decision_ends_the_lease_and_others_stay(world: World) -> None:
    first, second = refund(world, 201), refund(world, 202)
    act("ann", first, "claim")
    act("ann", second, "claim")
    decide(signed_in("abe"), first)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.claimed_by, first.claim_token, first.claim_expires_at) == (None, None, None)
    assert str(second.claimed_by) == "ann"


def test_a_lease_runs_out(world: World, move_clock: Callable[[float], None]) -> None:
    task = refund(world)
    act("ann", task, "claim")
    move_clock(901)
    assert "works on this" not in page("abe")
    assert act("abe", task, "claim").status_code == 200
    task.refresh_from_db()
    assert str(task.claimed_by) == "abe"


def test_releasing_gives_back_ones_own_claim_only(world: World) -> None:
    task = refund(world)
    act("ann", task, "claim")
    act("abe", task, "release")
    task.refresh_from_db()
    assert str(task.claimed_by) == "ann"
    act("ann", task, "release")
    task.refresh_from_db()
    assert task.claimed_by is None


def test_who_may_not_decide_claims_nothing(world: World) -> None:
    task = refund(world)
    assert act("bob", task, "claim").status_code == 403
    assert act("cora", task, "claim").status_code == 404
    task.refresh_from_db()
    assert task.claimed_by is None


def test_next_opens_the_one_that_has_waited_longest(world: World) -> None:
    mine = refund(world, 201, run=world.run(participant="ann"))
    first, second = refund(world, 202), refund(world, 203)
    ann = signed_in("ann")
    for task in (first, second):
        answer = ann.post("/admin/review/next/")
        assert answer.headers["Location"] == f"/admin/review/tasks/{task.pk}/"
    assert ann.post("/admin/review/next/").headers["Location"] == "/admin/review/approvals/"
    assert ann.get("/admin/review/next/").status_code == 405
    mine.refresh_from_db()
    assert mine.claimed_by is None


def test_the_next_task_is_offered_to_who_can_take_one(world: World) -> None:
    task = ask(world)
    for who, is_offered in (("ann", True), ("admin", True), ("bob", False), ("aud", False)):
        client = signed_in(who)
        for path in ("approvals/", f"tasks/{task.pk}/"):
            html = client.get(f"/admin/review/{path}").content.decode()
            assert (">Next task<" in html) is is_offered, (who, path)
    mine = ask(world, kind="text", participant="bob")
    page = signed_in("bob").get(f"/admin/review/tasks/{mine.pk}/").content.decode()
    assert ">Next task<" in page


def test_people_who_ask_for_the_next_task_at_once_get_different_ones(shared_world: World) -> None:
    for _ in range(4):
        ask(shared_world)
    system = system_actor(shared_world.cast.workspace.pk)
    for name in ("ada", "amy"):
        create_member(system, username=name, roles=["operator"], password=PASSWORD)
    actors = [shared_world.cast.actor(name) for name in ("ann", "abe", "admin", "ada", "amy")]
    barrier = Barrier(len(actors))

    def take(actor: Any) -> Any:
        try:
            barrier.wait()
            task = next_task(actor)
            return task.pk if task else None
        finally:
            connection.close()

    with ThreadPoolExecutor(len(actors)) as pool:
        taken = list(pool.map(take, actors))
    got = [pk for pk in taken if pk]
    assert len(set(got)) == 4
    assert UserTask.objects.filter(claimed_by__isnull=False).count() == 4
