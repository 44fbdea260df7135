"""Planted canaries are found nowhere but where they belong (promise 12)."""

import base64
import json
import logging
import urllib.parse
from uuid import UUID

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.db.models import BinaryField

from accounts_app import crypto
from accounts_app.models import AuditEntry
from accounts_app.services.rotation import rotate_everything, sealed_columns
from integrations_app.models import Integration, OutboxEvent, ToolCall
from integrations_app.services.execution import execute
from tasks_app.models import UserTask
from tests.api_client import Api
from tests.conftest import World

CREDENTIAL = "canary-credential-4f1d9a77c2"
ARGUMENT = "canary-argument-8e0b61d35a"
WORDS = {
    "comment": "canary-comment-1c77aa90be",
    "draft": "canary-draft-55ab20cd19",
    "text": "canary-answer-90de11f0a2",
}


def spellings(secret: str) -> set[str]:
    raw = secret.encode()
    return {
        secret,
        base64.b64encode(raw).decode().rstrip("="),
        urllib.parse.quote(secret, safe=""),
        raw.hex(),
    }


def dump() -> str:
    """Every column of every row, binary ones included."""
    lines = []
    for model in apps.get_models():
        names = [field.attname for field in model._meta.concrete_fields]
        for row in model._default_manager.values_list(*names):
            cells = [bytes(c).decode("latin-1") if isinstance(c, memoryview) else c for c in row]
            lines.append(repr(cells))
    return "\n".join(lines)


def plant(world: World) -> str:
    """A whole history with canaries in it: success, echo, refusal, drop; the last call's id."""
    body = {
        "name": "Payments",
        "kind": "http",
        "base_url": world.receiver.url,
        "auth": {"type": "bearer", "token": CREDENTIAL},
        "allow_private_network": True,
    }
    world.admin.put("integrations/payments", body).ok()
    schema = {"type": "object", "properties": {"note": {"type": "string"}}}
    run, call = world.run(), None
    for mode in ("ok", "echo-auth", "status/400", "drop-after-effect"):
        world.operation(
            path=f"/{mode}",
            parameters=schema,
            sensitive=["/note"],
            approval=None,
            requires_approval=True,
        ).ok()
        asked = {"run": run, "operation": "payments.refund", "arguments": {"note": ARGUMENT}}
        call = world.agent.post("tool-calls", asked).ok(201)
        decision = {"comment": WORDS["comment"]}
        world.decider.post(f"tasks/{call['task']}/approve", decision).ok()
        execute(UUID(call["id"]))
    text = {"run": run, "title": "Which?", "kind": "text", "draft": WORDS["draft"]}
    task = world.agent.post("tasks", text).ok(201)
    world.decider.post(f"tasks/{task['id']}/complete", {"value": WORDS["text"]}).ok()
    return str(call["id"]) if call else ""


def test_credentials_and_keys_are_in_no_column(world: World) -> None:
    plant(world)
    text = dump()
    tokens = [
        api.headers["Authorization"].partition("_")[2].partition("_")[2]
        for api in (world.agent, world.decider, world.admin)
    ]
    for secret in (CREDENTIAL, ARGUMENT, *tokens):
        for spelling in spellings(secret):
            assert spelling not in text, secret


def test_no_answer_shows_a_credential_and_no_list_a_sensitive_value(world: World) -> None:
    last = plant(world)
    shown = ""
    for api in (world.agent, world.decider, world.admin):
        for path in (
            "integrations",
            "integrations/payments",
            "tool-calls",
            f"tool-calls/{last}",
            "tasks",
            "operations",
            "sessions",
            "runs",
            "webhooks",
        ):
            answer = api.get(path)
            assert answer.status in (200, 403)
            shown += answer.text
            if path in ("tool-calls", "tasks"):
                assert ARGUMENT not in answer.text, path
    for spelling in spellings(CREDENTIAL):
        assert spelling not in shown


def test_logs_hold_ids_and_no_words(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Neither secrets nor what people and agents write: comments, drafts, answers."""
    caplog.set_level(logging.DEBUG)
    plant(world)
    world.decider.post(f"tasks/{UserTask.objects.first().pk}/approve", {"comment": ARGUMENT})
    assert "Conflict" in caplog.text
    for secret in (CREDENTIAL, ARGUMENT, *WORDS.values()):
        for spelling in spellings(secret):
            assert spelling not in caplog.text, secret


def test_the_audit_trail_and_events_hold_no_secret(world: World) -> None:
    plant(world)
    text = json.dumps([entry.facts for entry in AuditEntry.objects.all()])
    text += json.dumps([event.data for event in OutboxEvent.objects.all()])
    for secret in (CREDENTIAL, ARGUMENT, WORDS["draft"], WORDS["text"]):
        assert secret not in text, secret


def test_metrics_and_health_hold_no_secret(world: World) -> None:
    plant(world)
    text = Api().get("/metrics").text + Api().get("/readyz").text
    for secret in (CREDENTIAL, ARGUMENT, *WORDS.values()):
        assert secret not in text


OLD, NEW = (base64.urlsafe_b64encode(letter * 32).decode() for letter in (b"o", b"n"))


def test_keys_are_rotated_without_losing_anything(world: World, settings: object) -> None:
    settings.ASSENT_ENCRYPTION_KEYS = [OLD]
    world.admin.put(
        "integrations/payments",
        {
            "name": "Payments",
            "kind": "http",
            "base_url": world.receiver.url,
            "auth": {"type": "bearer", "token": CREDENTIAL},
            "allow_private_network": True,
        },
    ).ok()
    hook = {"url": "https://example.com/x", "events": ["task.created"], "enabled": False}
    world.admin.put("webhooks/ops", hook).ok(201)
    world.admin.post("webhooks/ops/rotate").ok()
    call = world.refund(900).ok(201)

    settings.ASSENT_ENCRYPTION_KEYS = [NEW, OLD]
    done = rotate_everything()
    assert done["integrations_app.Integration.auth_sealed"] == 1
    assert done["integrations_app.ToolCall.request_sealed"] == 1
    assert done["integrations_app.ToolCall.arguments_sealed"] == 1
    assert done["integrations_app.Webhook.secret_sealed"] == 1
    assert done["former webhook secrets"] == 1

    settings.ASSENT_ENCRYPTION_KEYS = [NEW]
    assert rotate_everything() == done, "all of it opens with the new key alone"
    world.decider.post(f"tasks/{call['task']}/approve").ok()
    assert execute(UUID(call["id"])).status == "succeeded"
    assert world.receiver.hits[0].header("Authorization") == f"Bearer {CREDENTIAL}"


def test_rotation_stops_at_what_no_key_opens(world: World, settings: object) -> None:
    before = bytes(Integration.objects.get(slug="payments").auth_sealed)
    settings.ASSENT_ENCRYPTION_KEYS = [NEW]
    with pytest.raises(crypto.Unreadable, match="opens with none of the keys"):
        rotate_everything()
    assert bytes(Integration.objects.get(slug="payments").auth_sealed) == before
    with pytest.raises(Exception, match="Add the key it was made with"):
        call_command("rotate_keys")


def test_every_sealed_column_is_known_to_the_rotation() -> None:
    sealed = {f"{model._meta.label}.{column}" for model, column in sealed_columns()}
    binary = {
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, BinaryField)
    }
    assert sealed == binary
    assert connection.vendor in ("sqlite", "postgresql")
    assert ToolCall.objects is not None
