"""The operation's editor: every member of the policy, each refusal next to its field."""

from typing import Any

import pytest
from django.test import Client

from integrations_app.models import Operation
from tests.backoffice.people import signed_in
from tests.conftest import World

PATH = "/admin/operations/payments/refund/"
FORM: dict[str, Any] = {
    "expected_version": "1",
    "name": "Refund a charge",
    "description": "",
    "enabled": "on",
    "requires_approval": "yes",
    "when": "args.amount > 100",
    "approval_timeout_0": "",
    "approval_timeout_1": "3600",
    "on_timeout": "return",
    "effect": "once",
    "method": "POST",
    "path": "/ok/refunds",
    "parameters": '{"type": "object"}',
    "sensitive": "",
    "timeout_seconds": "30",
}


@pytest.fixture
def ida(world: World) -> Client:
    return signed_in("ida")


def refund() -> Operation:
    return Operation.objects.select_related("integration").get(slug="refund")


def test_the_editor_shows_the_switch_and_the_condition(world: World, ida: Client) -> None:
    text = ida.get(PATH).content.decode()
    assert "Require approval (HITL) before execution" in text
    assert "args.amount &gt; 100" in text


def test_saving_what_is_shown_changes_nothing(world: World, ida: Client) -> None:
    before = refund()
    page = ida.get(PATH)
    form = page.context["form"]
    data: dict[str, Any] = {}
    for field in form:
        value = field.value()
        if field.name.endswith("_timeout") and field.name != "on_timeout":
            data[f"{field.name}_0"], data[f"{field.name}_1"] = field.field.widget.decompress(value)
            data[f"{field.name}_0"] = data[f"{field.name}_0"] or ""
        elif field.name == "actions":
            for part in ("name", "label", "effect", "style", "comment"):
                data[f"actions-{part}"] = [row.get(part, "") for row in value]
        elif value is not None and value is not False:
            data[field.name] = value
    answer = ida.post(PATH, data)
    assert answer.status_code == 302
    after = refund()
    assert after.version == before.version
    assert (after.approval, after.parameters) == (before.approval, before.parameters)


def test_the_policy_is_saved_as_the_contract_has_it(world: World, ida: Client) -> None:
    form = {
        **FORM,
        "approval_timeout_0": "2",
        "on_timeout": "action",
        "on_timeout_action": "hold",
        "allow_self_review": "on",
        "actions-name": ["ship", "hold", ""],
        "actions-label": ["Ship it", "", ""],
        "actions-effect": ["proceed", "stop", "stop"],
        "actions-style": ["primary", "default", "default"],
        "actions-comment": ["", "yes", ""],
        "sensitive": "/card/number\n\n/card/code",
    }
    assert ida.post(PATH, form).status_code == 302
    row = refund()
    assert row.approval["timeout_seconds"] == 7200
    assert row.approval["on_timeout"] == {"action": "hold"}
    assert row.approval["allow_self_review"] is True
    assert [item["name"] for item in row.approval["actions"]] == ["ship", "hold"]
    assert row.approval["actions"][0]["label"] == "Ship it"
    assert row.approval["actions"][1]["comment_required"] is True
    assert row.sensitive == ["/card/number", "/card/code"]
    assert row.version == 2


@pytest.mark.parametrize(
    ("changed", "field", "said"),
    [
        ({"when": "args.amount >"}, "when", "Line 1, column"),
        ({"path": "refunds"}, "path", ""),
        ({"method": ""}, "method", "Choose from GET"),
        ({"parameters": "{"}, "parameters", ""),
        ({"parameters": '{"type": "nothing"}'}, "parameters", ""),
        ({"sensitive": "card"}, "sensitive", "Must be a JSON pointer"),
        ({"timeout_seconds": "0"}, "timeout_seconds", "Must be above 0"),
        (
            {"on_timeout": "action", "on_timeout_action": "approve"},
            "on_timeout",
            "never proceeds at a time-out",
        ),
        ({"on_timeout": "action", "on_timeout_action": "x"}, "on_timeout_action", "offered are"),
        ({"approval_timeout_0": "0.5", "approval_timeout_1": "1"}, "approval_timeout", "from 1"),
        (
            {
                "actions-name": ["hold"],
                "actions-label": [""],
                "actions-effect": ["stop"],
                "actions-style": ["default"],
                "actions-comment": [""],
            },
            "actions",
            "must have",
        ),
    ],
)
def test_a_refusal_stands_next_to_its_field_and_saves_nothing(
    world: World, ida: Client, changed: dict[str, Any], field: str, said: str
) -> None:
    answer = ida.post(PATH, {**FORM, "name": "Typed and kept", **changed})
    assert answer.status_code == 422
    errors = answer.context["form"].errors
    assert list(errors) == [field]
    assert said in errors[field][0]
    assert "Typed and kept" in answer.content.decode()
    assert (refund().name, refund().version) == ("Refund a charge", 1)


def test_an_old_editor_overwrites_nothing(world: World, ida: Client) -> None:
    world.operation(approval={"when": "args.amount > 5"}).ok(200)
    answer = ida.post(PATH, FORM)
    assert answer.status_code == 409
    assert "Somebody changed the operation meanwhile: it is at version 2." in (
        answer.content.decode()
    )
    assert refund().approval["when"] == "args.amount > 5"


def test_a_condition_is_checked_against_the_recent_calls(world: World, ida: Client) -> None:
    run = world.run()
    for amount in (50, 150, 250):
        world.refund(amount, run).ok(201)
    answer = ida.post(f"{PATH}rehearse/", {"when": "args.amount > 200"})
    assert "Would have asked 1 of the last 3 calls." in answer.content.decode()
    answer = ida.post(f"{PATH}rehearse/", {"when": "args.missing > 200"})
    assert "Would have asked 3 of the last 3 calls." in answer.content.decode()
    assert "could not be evaluated" in answer.content.decode()
    answer = ida.post(f"{PATH}rehearse/", {"when": "args.amount >"})
    assert "Line 1, column" in answer.content.decode()
    assert refund().approval["when"] == "args.amount > 100"


def test_only_writers_rehearse(world: World) -> None:
    assert signed_in("ann").post(f"{PATH}rehearse/", {"when": "true"}).status_code == 403
    assert signed_in("cora").post(f"{PATH}rehearse/", {"when": "true"}).status_code == 403


def test_an_operation_is_added_once(world: World, ida: Client) -> None:
    form = {**FORM, "slug": "partial", "expected_version": "0", "when": ""}
    answer = ida.post("/admin/add/operation/payments/", form)
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/admin/operations/payments/partial/"
    again = ida.post("/admin/add/operation/payments/", {**form, "name": "Another"})
    assert again.status_code == 409
    assert Operation.objects.get(slug="partial").name == "Refund a charge"


def test_readers_see_the_editor_locked(world: World) -> None:
    ann = signed_in("ann")
    assert "Save the operation" not in ann.get(PATH).content.decode()
    assert ann.post(PATH, FORM).status_code == 403
    assert signed_in("cora").get(PATH).status_code == 404
    assert refund().version == 1


def test_the_list_is_searched(world: World, ida: Client) -> None:
    assert "payments.refund" in ida.get("/admin/operations/?q=refund").content.decode()
    text = ida.get("/admin/operations/?q=nothing").content.decode()
    assert "No operation matches" in text
    assert ida.get("/admin/operations/?page=999999&q=%00%27").status_code == 200
