"""What can be done with a task beside deciding it, and editing before deciding."""

import json
from typing import Any

from accounts_app.models import Agent, AuditEntry
from integrations_app.models import ToolCall
from integrations_app.services.freezing import full_arguments
from tasks_app.models import Comment, Decision, UserTask
from tests.backoffice.test_approvals import ask, decide, page, refund, signed_in, trusted
from tests.backoffice.test_runs_and_sessions import open_page
from tests.conftest import World

EDITABLE = {"approval": {"allow_edit": True, "when": "args.amount > 100"}}


def act(username: str, task: UserTask, name: str, **form: Any) -> Any:
    path = f"/admin/review/tasks/{task.pk}/{name}/"
    return signed_in(username).post(path, form, headers={"HX-Request": "true"})


def test_a_comment_decides_nothing_and_stands_on_the_card(world: World) -> None:
    task = refund(world)
    answer = act("ann", task, "comment", text="Looking into it <b>now</b>")
    assert answer.status_code == 200
    assert "Looking into it &lt;b&gt;now&lt;/b&gt;" in answer.content.decode()
    assert 'name="action"' in answer.content.decode()
    assert not Decision.objects.exists()
    assert "Looking into it" not in page("bob")


def test_a_blank_comment_is_refused(world: World) -> None:
    task = refund(world)
    answer = act("ann", task, "comment", text="  ")
    assert answer.status_code == 422
    assert "Must not be blank." in answer.content.decode()
    assert not Comment.objects.exists()


def test_what_was_typed_beside_the_decision_is_kept_when_it_is_refused(world: World) -> None:
    task = refund(world)
    long = "zebra <b>" * 2000
    for name in ("comment", "ask"):
        answer = act("ann", task, name, text=long)
        assert answer.status_code == 422
        assert "zebra &lt;b&gt;" * 2000 in answer.content.decode(), name
    decide(signed_in("abe"), task)
    late = act("ann", task, "comment", text="What about the second charge?")
    if late.status_code != 200:
        assert "What about the second charge?</textarea>" in late.content.decode()
    reason = act("aud", task, "reveal", reason="zebra <b>" * 100)
    assert reason.status_code == 422
    assert f'value="{"zebra &lt;b&gt;" * 100}"' in reason.content.decode()
    assert not AuditEntry.objects.filter(verb="task.revealed").exists()


def test_asking_back_keeps_the_task_and_shows_the_question(world: World) -> None:
    task = refund(world)
    html = act("ann", task, "ask", text="Which parcel?").content.decode()
    assert "The agent was asked back and has not answered" in html
    assert "Which parcel?" in html
    world.agent.post(f"tasks/{task.pk}/information", {"text": "The red one."}).ok(201)
    html = page("ann")
    assert "has not answered" not in html
    assert "The red one." in html
    assert "The red one." not in trusted(html)


def test_a_task_is_delegated_given_back_and_assigned(world: World) -> None:
    task = refund(world)
    assert "For abe, delegated by ann" in act("ann", task, "delegate", to="abe").content.decode()
    html = act("abe", task, "give-back").content.decode()
    assert "For ann" in html
    assert "delegated by" not in html
    assert "For abe" in act("admin", task, "assign", to="abe").content.decode()
    assert act("ann", task, "delegate", to="bob").status_code == 422
    assert act("ann", task, "delegate", to="cora").status_code == 422
    verbs = list(
        AuditEntry.objects.filter(target_id=str(task.pk))
        .order_by("sequence")
        .values_list("verb", flat=True)
    )
    assert verbs == ["task.created", "task.delegated", "task.given_back", "task.assigned"]


def test_the_deadline_is_moved(world: World) -> None:
    task = ask(world, timeout_seconds=600)
    assert act("ann", task, "extend", seconds="3600").status_code == 200
    before = task.due_at
    task.refresh_from_db()
    assert before is not None
    assert task.due_at is not None
    assert (task.due_at - before).total_seconds() == 3600
    assert act("ann", task, "extend", seconds="5").status_code == 422


def test_who_may_not_decide_does_none_of_it(world: World) -> None:
    task = refund(world)
    forms = {
        "comment": {"text": "Hello"},
        "ask": {"text": "Hello"},
        "delegate": {"to": "abe"},
        "assign": {"to": "abe"},
        "give-back": {},
        "extend": {"seconds": "900"},
    }
    for name, form in forms.items():
        assert act("bob", task, name, **form).status_code == 403, name
        assert act("cora", task, name, **form).status_code == 404, name
        assert signed_in("ann").get(f"/admin/review/tasks/{task.pk}/{name}/").status_code == 405
    task.refresh_from_db()
    assert task.assigned_to is None
    assert not Comment.objects.exists()


def test_the_forms_are_offered_as_far_as_they_may_be_used(world: World) -> None:
    task = refund(world)
    html = open_page("ann", f"review/tasks/{task.pk}/acts/")
    assert "Ask the agent" in html
    assert '<option value="abe">' in html
    assert '<option value="bob">' not in html
    assert "<form" not in open_page("bob", f"review/tasks/{task.pk}/acts/")


def edit(username: str, task: UserTask, **form: Any) -> Any:
    data = {"revision": task.revision, **form}
    return signed_in(username).post(f"/admin/review/tasks/{task.pk}/edit/", data)


def test_arguments_are_edited_by_form_shown_as_a_difference_and_decided_on(world: World) -> None:
    world.operation(**EDITABLE).ok(200)
    task = refund(world, 1500)
    assert "data-edit" in page("ann")
    html = open_page("ann", f"review/tasks/{task.pk}/edit/")
    assert 'name="arg:amount" value="1500"' in html
    form = {"arg:charge": "ch_1", "arg:amount": "500"}
    preview = edit("ann", task, **form).content.decode()
    assert "-  &quot;amount&quot;: 1500" in preview
    assert "+  &quot;amount&quot;: 500" in preview
    task.refresh_from_db()
    assert task.revision == 1
    assert 'type="submit" name="action" value="approve">Save and <bdi>Approve</bdi>' in preview
    raw = json.dumps({"charge": "ch_1", "amount": 500})
    answer = edit("ann", task, raw=raw, action="approve", comment="Half of it.")
    assert answer.status_code == 302
    task.refresh_from_db()
    assert (task.status, task.action, task.comment) == ("completed", "approve", "Half of it.")
    call = ToolCall.objects.get(pk=task.tool_call_id)
    assert full_arguments(call) == {"charge": "ch_1", "amount": 500}
    assert call.status == "queued"


def test_a_comment_stays_while_one_edits_further_or_is_refused(world: World) -> None:
    world.operation(**EDITABLE).ok(200)
    task = refund(world, 1500)
    kept = {"raw": '{"charge": "ch_1", "amount": 500}', "comment": "Half\nof it."}
    assert "\nHalf\nof it.</textarea>" in edit("ann", task, **kept).content.decode()
    assert 'name="comment" value="Half\nof it."' in (
        edit("ann", task, **kept, step="change").content.decode()
    )
    refused = {**kept, "raw": '{"charge": 5, "amount": 500}', "action": "approve"}
    answer = edit("ann", task, **refused)
    assert answer.status_code == 422
    assert 'name="comment" value="Half\nof it."' in answer.content.decode()


def test_an_edit_is_saved_without_deciding(world: World) -> None:
    world.operation(**EDITABLE).ok(200)
    task = refund(world, 1500)
    answer = edit("ann", task, raw='{"charge": "ch_1", "amount": 1200}', step="save")
    assert answer.status_code == 302
    task.refresh_from_db()
    assert (task.status, task.revision) == ("pending", 2)
    assert "1200" in trusted(page("ann"))
    assert decide(signed_in("abe"), task).status_code == 200


def test_a_stale_edit_is_refused_and_kept(world: World) -> None:
    world.operation(**EDITABLE).ok(200)
    task = refund(world, 1500)
    edit("abe", task, raw='{"charge": "ch_1", "amount": 1200}', step="save")
    answer = edit("ann", task, raw='{"charge": "ch_1", "amount": 777}', step="save")
    assert answer.status_code == 409
    html = answer.content.decode()
    assert "You looked at revision 1; the present one is 2." in html
    assert "777" in html
    task.refresh_from_db()
    assert task.revision == 2


def test_arguments_that_do_not_fit_are_refused(world: World) -> None:
    world.operation(**EDITABLE).ok(200)
    task = refund(world, 1500)
    refused = {
        '{"charge": 5, "amount": 500}': ">charge: ",
        '{"charge": "x", "amount": 1, "extra": 1}': ">extra: ",
        "{": ">Arguments: This is no acceptable JSON",
    }
    for raw, reason in refused.items():
        answer = edit("ann", task, raw=raw, step="save")
        assert answer.status_code == 422, raw
        assert "Nothing was saved." in answer.content.decode()
        assert reason in answer.content.decode()
    answer = edit("ann", task, **{"arg:charge": "x", "arg:amount": "a lot"})
    assert answer.status_code == 422
    assert ">amount: This is no acceptable JSON" in answer.content.decode()
    task.refresh_from_db()
    assert task.revision == 1


def test_a_masked_value_stays_and_is_not_shown_by_editing(world: World) -> None:
    world.operation(**EDITABLE, sensitive=["/charge"]).ok(200)
    task = refund(world, 1500)
    html = open_page("ann", f"review/tasks/{task.pk}/edit/")
    assert "ch_1" not in html
    answer = edit("ann", task, raw='{"charge": "•••", "amount": 1200}', step="save")
    assert answer.status_code == 302
    call = ToolCall.objects.get(pk=task.tool_call_id)
    assert full_arguments(call) == {"charge": "ch_1", "amount": 1200}


def test_that_a_hidden_value_was_edited_is_shown_and_by_whom(world: World) -> None:
    world.operation(**EDITABLE, sensitive=["/charge"]).ok(200)
    task = refund(world, 1500)
    assert "Edited by" not in page("abe")
    edit("ann", task, raw='{"charge": "ch_other", "amount": 1500}', step="save")
    assert "Edited by ann</a>" in page("abe")
    html = open_page("abe", f"review/tasks/{task.pk}/")
    assert "Edited since it was asked" in html
    assert "&quot;charge&quot;: &quot;••• edited&quot;" in html
    assert "ch_other" not in html
    assert "ch_1" not in html


def test_whoever_decides_is_told_that_the_agent_is_frozen(world: World) -> None:
    task, said = refund(world, 1500), "is frozen. Whatever is decided, nothing of it is sent"
    assert said not in page("ann")
    Agent.objects.filter(pk=task.agent_id).update(frozen_at=task.created_at)
    assert said in page("ann")
    assert said in decide(signed_in("ann"), task).content.decode()


def test_nobody_edits_what_they_may_not(world: World) -> None:
    task = refund(world, 1500)
    assert edit("ann", task, raw='{"charge": "x", "amount": 1}', step="save").status_code == 403
    world.operation(**EDITABLE).ok(200)
    task.refresh_from_db()
    for username in ("bob", "aud"):
        assert edit(username, task, raw="{}", step="save").status_code == 403
    assert edit("cora", task, raw="{}", step="save").status_code == 404
    assert full_arguments(ToolCall.objects.get()) == {"charge": "ch_1", "amount": 1500}


def test_a_draft_of_text_is_edited_as_text(world: World) -> None:
    task = ask(world, draft="First line\nSecond line")
    answer = edit("ann", task, raw="First line\r\nThird line", step="save")
    assert answer.status_code == 302
    task.refresh_from_db()
    assert (task.initial_work, task.draft) == ("First line\nSecond line", "First line\nThird line")


def test_the_task_page_shows_what_was_edited_and_the_metadata(world: World) -> None:
    task = ask(world, draft="First line", metadata={"ticket": "T-17"})
    edit("ann", task, raw="Better line", step="save")
    html = open_page("ann", f"review/tasks/{task.pk}/")
    assert "-First line" in html
    assert "+Better line" in html
    assert "T-17" in html
    assert "T-17" not in open_page("bob", f"review/tasks/{task.pk}/")
