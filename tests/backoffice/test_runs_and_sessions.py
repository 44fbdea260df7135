"""Runs, calls and sessions: their timeline, who reads what, and how a person ends them."""

from typing import Any

import pytest

from accounts_app.models import AuditEntry, Membership
from integrations_app.models import Session, ToolCall
from tasks_app.models import UserTask
from tests.backoffice.test_approvals import ask, decide, page, refund, signed_in
from tests.conftest import World


def open_page(username: str, path: str, status: int = 200) -> str:
    answer = signed_in(username).get(f"/admin/{path}")
    assert answer.status_code == status, path
    return " ".join(answer.content.decode().split())


def test_the_run_shows_its_timeline_and_its_open_task_is_decided_there(world: World) -> None:
    run = world.run(title="Chat with Noor")
    done = refund(world, 300, run=run)
    decide(signed_in("ann"), done, comment="Tracking checked.")
    task = refund(world, 73497349, run=run, reason="It never arrived.")
    html = open_page("ann", f"review/runs/{run}/?task={task.pk}")
    assert "Run started" in html
    assert html.count("Asked for <a") == 2
    assert "Tracking checked." in html
    assert f'id="task-{task.pk}"' in html
    assert 'value="approve"' in html
    assert f'data-highlighted="{task.pk}"' in html


def test_a_link_highlights_a_task_that_is_decided_too(world: World) -> None:
    task = refund(world)
    decide(signed_in("abe"), task, "reject", comment="Not ours.")
    html = open_page("ann", f"review/runs/{task.run_id}/?task={task.pk}")
    assert f'id="task-{task.pk}"' in html
    assert "highlighted" in html
    assert "abe@example.com" in html


def test_a_message_leads_to_its_task_and_the_task_to_the_conversation(world: World) -> None:
    run = world.run()
    task = ask(world, run=run, agent=None)
    body = {"role": "agent", "text": "I asked for approval.", "task": str(task.pk)}
    world.agent.post(f"runs/{run}/messages", body).ok(201)
    html = open_page("ann", f"review/runs/{run}/")
    assert f'<a class="link" href="/admin/review/tasks/{task.pk}/">about a task</a>' in html
    assert f"/admin/review/runs/{run}/" in open_page("ann", f"review/tasks/{task.pk}/")


def test_the_cards_title_leads_to_the_run_with_the_task(world: World) -> None:
    task = refund(world)
    assert f"/admin/review/runs/{task.run_id}/?task={task.pk}#task-{task.pk}" in page("ann")


def test_a_link_to_a_task_opens_it_though_it_is_on_no_list_page(world: World) -> None:
    for number in range(25):
        last = ask(world, title=f"Task {number}")
    assert f"task-{last.pk}" not in page("ann")
    html = open_page("ann", f"review/tasks/{last.pk}/")
    assert "Task 24" in html
    assert "asked for a decision" in html


def test_a_viewer_reads_the_outline_of_a_run(world: World) -> None:
    task = refund(world, 73497349, reason="The canary sang.")
    for path in (f"review/runs/{task.run_id}/", f"review/calls/{task.tool_call_id}/"):
        html = open_page("bob", path)
        assert "Refund a charge" in html
        assert "outline" in html
        for hidden in ("ch_1", "73497349", "canary"):
            assert hidden not in html


def test_an_auditor_reads_calls_masked(world: World) -> None:
    task = refund(world, 73497349)
    html = open_page("aud", f"review/calls/{task.tool_call_id}/")
    assert "•••" in html
    assert "ch_1" not in html


def test_other_workspaces_and_limited_operators_find_nothing(world: World) -> None:
    task = refund(world)
    member = Membership.objects.get(user__username="abe")
    member.limited_to.set([world.cast.research])
    paths = (
        f"review/runs/{task.run_id}/",
        f"review/calls/{task.tool_call_id}/",
        f"review/sessions/{task.session_id}/",
        f"review/sessions/{task.session_id}/terminate/",
    )
    for path in paths:
        open_page("cora", path, 404)
        open_page("abe", path, 404)
        open_page("ann", path)
    assert str(task.session_id) not in open_page("abe", "sessions/")
    assert str(task.session_id) in open_page("ann", "sessions/")


def test_a_participant_without_a_role_reads_their_own_run(world: World) -> None:
    Membership.objects.filter(user__username="ida").update(roles=[])
    task = ask(world, run=world.run(participant="IDA@example.com"), kind="text")
    assert "Ship it?" in page("ida")
    assert "Ship it?" in open_page("ida", f"review/runs/{task.run_id}/")
    open_page("ida", "sessions/", 403)
    assert decide(signed_in("ida"), task, "submit", value="Yes").status_code == 200


def test_the_call_shows_what_came_back(world: World) -> None:
    task = refund(world)
    result = {"status_code": 200, "headers": {"X": "<b>"}, "body": "<script>alert(1)</script>"}
    ToolCall.objects.filter(pk=task.tool_call_id).update(result=result)
    html = open_page("ann", f"review/calls/{task.tool_call_id}/")
    assert "HTTP <strong>200</strong>" in html
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_terminating_names_what_will_be_cancelled(world: World) -> None:
    task = refund(world)
    stays = ask(world, run=str(task.run_id), title="Survivor", survive_parent_close=True)
    path = f"review/sessions/{task.session_id}/terminate/"
    html = open_page("ann", path)
    assert "1 task will be cancelled" in html
    assert "Approval: <bdi>Payments: Refund a charge</bdi>" in html
    assert "1 call will not be sent" in html
    assert "1 task will stay open" in html
    assert Session.objects.get(pk=task.session_id).status == "active"
    answer = signed_in("ann").post(f"/admin/{path}", {"reason": "Wrong customer."}, follow=True)
    assert "is terminated" in answer.content.decode()
    task.refresh_from_db()
    assert (task.status, task.cancelled_reason) == ("cancelled", "session_terminated")
    assert UserTask.objects.get(pk=stays.pk).status == "pending"
    entry = AuditEntry.objects.get(verb="session.terminated")
    assert (entry.actor_name, entry.channel) == ("ann", "backoffice")


def test_a_termination_needs_a_reason(world: World) -> None:
    task = refund(world)
    path = f"/admin/review/sessions/{task.session_id}/terminate/"
    answer = signed_in("ann").post(path, {"reason": "  "}, follow=True)
    assert "Say why" in answer.content.decode()
    long = signed_in("ann").post(path, {"reason": "zebra <b>" * 200})
    assert long.status_code == 422
    assert "At most 1000 characters." in long.content.decode()
    assert "zebra &lt;b&gt;" * 200 in long.content.decode(), "what was typed is kept"
    assert Session.objects.get(pk=task.session_id).status == "active"


@pytest.mark.parametrize("username", ["bob", "aud"])
def test_whoever_may_not_end_sessions_ends_none(world: World, username: str) -> None:
    task = refund(world)
    client = signed_in(username)
    for verb in ("terminate", "complete"):
        path = f"/admin/review/sessions/{task.session_id}/{verb}/"
        assert client.get(path).status_code == 403
        assert client.post(path, {"reason": "Because"}).status_code == 403
    assert Session.objects.get(pk=task.session_id).status == "active"
    assert "Terminate" not in open_page(username, f"review/sessions/{task.session_id}/")


def test_marking_complete_ends_the_runs(world: World) -> None:
    run = world.run()
    session = Session.objects.get()
    answer = signed_in("ann").post(f"/admin/review/sessions/{session.pk}/complete/", follow=True)
    assert "marked complete" in answer.content.decode()
    assert Session.objects.get().status == "ended"
    assert "Completed" in open_page("ann", f"review/runs/{run}/")


def test_ending_it_twice_says_so(world: World) -> None:
    world.run()
    path = f"/admin/review/sessions/{Session.objects.get().pk}/terminate/"
    signed_in("ann").post(path, {"reason": "First"})
    answer = signed_in("abe").post(path, {"reason": "Second thoughts"})
    assert answer.status_code == 409
    assert "This session is over already: terminated." in answer.content.decode()
    assert ">Second thoughts</textarea>" in answer.content.decode()
    assert Session.objects.get().end_reason == "First"


@pytest.mark.parametrize(
    "query",
    ["?q=%00&agent=%00&after=x&status=x", "?until=x&task=x", "?until=0001-01-01T00:00:00%2B14:00"],
)
def test_strange_addresses_give_a_page(world: World, query: str) -> None:
    task = refund(world)
    open_page("ann", f"sessions/{query}")
    open_page("ann", f"review/runs/{task.run_id}/{query}")


def test_sessions_are_found(world: World) -> None:
    def found(query: str) -> Any:
        return "Chat with Noor" in open_page("ann", f"sessions/?{query}")

    world.run(title="Chat with Noor", participant="noor@example.com")
    assert found("")
    assert found("q=NOOR@example.com")
    assert found("q=with+noor&agent=support&status=active")
    assert not found("agent=research")
    assert not found("status=ended")
