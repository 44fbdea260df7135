"""Preview and try: the card from the real builder, and a call that goes the way of every call."""

import pytest

from accounts_app.models import Agent
from integrations_app.examples import example_of
from integrations_app.models import Operation, Session, ToolCall
from integrations_app.services.execution import execute
from tasks_app.models import UserTask
from tests.backoffice.people import signed_in
from tests.backoffice.test_operations import FORM
from tests.conftest import OPERATIONS, TOKEN, World

TRY = "/admin/operations/payments/{}/try/"
PREVIEW = "/admin/preview/operation/payments/"


def test_the_preview_shows_what_would_be_sent_and_the_typed_buttons(world: World) -> None:
    form = {
        **FORM,
        "parameters": '{"type": "object", "properties": {"charge": {"type": "string"}}}',
        "actions-name": ["ship", "hold"],
        "actions-label": ["Ship it", ""],
        "actions-effect": ["proceed", "stop"],
        "actions-style": ["primary", "default"],
        "actions-comment": ["", ""],
    }
    text = signed_in("ida").post(PREVIEW, form).content.decode()
    assert "data-trusted" in text
    assert f"<b>{world.receiver.url}</b>/ok/refunds" in text
    assert "Ship it" in text
    assert "args.amount &gt; 100" in text
    assert TOKEN not in text
    assert Operation.objects.get(slug="refund").version == 1
    assert not ToolCall.objects.exists()


def test_the_preview_of_what_cannot_be_says_why(world: World) -> None:
    ida = signed_in("ida")
    text = ida.post(PREVIEW, {**FORM, "path": "refunds"}).content.decode()
    assert "No preview:" in text
    assert "appears here" in ida.post(PREVIEW, {**FORM, "name": ""}).content.decode()
    assert signed_in("ann").post(PREVIEW, FORM).status_code == 403


def test_a_try_is_sent_the_real_way(world: World) -> None:
    ida = signed_in("ida")
    form = {"agent": "support", "arguments": '{"charge": "ch_1"}'}
    answer = ida.post(TRY.format("charge_lookup"), form)
    assert answer.status_code == 302
    call = ToolCall.objects.get()
    session = call.run.session
    assert (str(session.starter), session.participant) == ("ida", "ida")
    execute(call.pk)
    text = ida.get(answer.headers["Location"]).content.decode()
    assert "Succeeded" in text
    assert [hit.path for hit in world.receiver.hits] == ["/ok/charges/ch_1"]


def test_what_was_tried_before_ends_once_nothing_in_it_is_left_to_come(world: World) -> None:
    ida, admin = signed_in("ida"), signed_in("admin")
    look = {"agent": "support", "arguments": '{"charge": "ch_1"}'}
    pay = {"agent": "support", "arguments": '{"charge": "ch_1", "amount": 900}'}
    admin.post(TRY.format("charge_lookup"), look)
    ida.post(TRY.format("charge_lookup"), look)
    ida.post(TRY.format("refund"), pay)
    agents = world.refund(1).ok(201)
    others, first, waiting, _ = Session.objects.order_by("created_at")
    assert set(Session.objects.values_list("status", flat=True)) == {"active"}
    for call in ToolCall.objects.filter(status="queued"):
        execute(call.pk)
    ida.post(TRY.format("charge_lookup"), look)
    ended = Session.objects.filter(status="ended")
    assert [session.pk for session in ended] == [first.pk]
    assert list(first.runs.values_list("status", flat=True)) == ["completed"]
    assert {others.starter.username, waiting.starter.username} == {"admin", "ida"}
    assert world.agent.get(f"tool-calls/{agents['id']}").ok()["status"] == "succeeded"


def test_a_try_that_needs_approval_waits_and_is_not_approved_by_who_tried(world: World) -> None:
    admin = signed_in("admin")
    form = {"agent": "support", "arguments": '{"charge": "ch_1", "amount": 900}'}
    admin.post(TRY.format("refund"), form)
    task = UserTask.objects.get()
    decide = f"/admin/review/tasks/{task.pk}/decide/"
    admin.post(decide, {"action": "approve", "revision": task.revision})
    task.refresh_from_db()
    assert task.status == "pending"
    assert world.receiver.hits == []


@pytest.mark.parametrize(
    "arguments", ["{", "[]", '{"charge": 1}', '{"charge": "x", "amount": 1, "more": 1}']
)
def test_arguments_that_do_not_fit_open_nothing(world: World, arguments: str) -> None:
    form = {"agent": "support", "arguments": arguments}
    answer = signed_in("ida").post(TRY.format("refund"), form)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["arguments"]
    assert not Session.objects.exists()


def test_only_who_tried_sees_what_became_of_it(world: World) -> None:
    form = {"agent": "support", "arguments": '{"charge": "ch_1"}'}
    there = signed_in("ida").post(TRY.format("charge_lookup"), form).headers["Location"]
    assert signed_in("admin").get(there).status_code == 404
    assert signed_in("ann").get(there).status_code == 403
    assert signed_in("ann").post(TRY.format("refund"), form).status_code == 403


def test_an_example_fits_the_schemas_of_ordinary_operations() -> None:
    refund = OPERATIONS["refund"]["parameters"]
    assert example_of(refund) == {"charge": "text", "amount": 1}
    parts = {"a": {"enum": ["x", "y"]}, "b": {"type": "array", "items": {"type": "boolean"}}}
    assert example_of({"properties": parts}) == {"a": "x", "b": [True]}
    assert example_of(True) == {}
    assert example_of({"properties": {"n": {"type": "integer", "exclusiveMinimum": 4}}}) == {"n": 5}


def test_a_schema_without_end_has_an_example_all_the_same() -> None:
    schema: dict[str, object] = {"type": "object"}
    schema["properties"] = {"again": schema}
    assert example_of(schema)["again"]["again"]["again"] is not None


def test_without_an_agent_the_page_says_what_is_missing(world: World) -> None:
    admin = signed_in("admin")
    page = TRY.format("refund")
    assert "Add an agent" not in admin.get(page).content.decode()
    Agent.objects.update(enabled=False)
    assert "Add an agent" in admin.get(page).content.decode()
