"""Webhooks over HTTP: kept by admins, their secret shown once, private addresses refused."""

import base64

import pytest

from accounts_app.models import AuditEntry, IdempotencyRecord
from integrations_app.models import Delivery, OutboxEvent, Webhook
from tests.api_client import Api
from tests.conftest import World

BODY = {"url": "https://example.com/hooks?t=1", "events": ["task.created"], "enabled": True}


def test_the_secret_is_in_the_first_answer_only(world: World) -> None:
    first = world.admin.put("webhooks/ops", BODY).ok(201)
    assert first["secret"].startswith("whsec_")
    assert len(base64.b64decode(first["secret"].removeprefix("whsec_"))) == 32
    assert {name: first[name] for name in BODY} == BODY
    assert (first["slug"], first["allow_private_network"]) == ("ops", False)
    again = world.admin.put("webhooks/ops", {**BODY, "events": ["run.ended"]}).ok(200)
    read = world.admin.get("webhooks/ops").ok()
    listed = world.admin.get("webhooks").ok()["results"]
    assert "secret" not in again.json
    assert read.json == again.json
    assert listed == [read.json]
    assert read["events"] == ["run.ended"]
    row = Webhook.objects.get()
    assert first["secret"].removeprefix("whsec_") not in str(bytes(row.secret_sealed))
    assert not AuditEntry.objects.filter(data__contains="whsec_").exists()
    assert not AuditEntry.objects.filter(data__contains="t=1").exists()


def test_a_new_secret_and_its_replay(world: World) -> None:
    first = world.admin.put("webhooks/ops", BODY).ok(201)["secret"]
    rotated = world.admin.post("webhooks/ops/rotate", Idempotency_Key="r1").ok()
    replayed = world.admin.post("webhooks/ops/rotate", Idempotency_Key="r1").ok()
    assert rotated["secret"] != first
    assert replayed.json == rotated.json
    assert replayed.headers["Idempotent-Replayed"] == "true"
    assert rotated["former_secret_until"] is not None
    assert "whsec_" not in IdempotencyRecord.objects.get().response
    assert len(Webhook.objects.get().former_secrets) == 1
    assert AuditEntry.objects.filter(verb="webhook.rotated").count() == 1


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"url": "http://127.0.0.1/x"}, "private_address", "url"),
        ({"url": "http://localhost/x"}, "private_address", "url"),
        ({"url": "http://[::1]:9/x"}, "private_address", "url"),
        ({"url": "http://2130706433/"}, "private_address", "url"),
        ({"url": "http://10.1.2.3/"}, "private_address", "url"),
        (
            {"url": "http://169.254.169.254/", "allow_private_network": True},
            "private_address",
            "url",
        ),
        ({"url": "ftp://example.com/"}, "invalid_value", "url"),
        ({"url": "https://user:pw@example.com/"}, "invalid_value", "url"),
        ({"url": "https://"}, "invalid_value", "url"),
        ({"url": "https://example.com/#x"}, "invalid_value", "url"),
        ({"url": "https://example.com/\u00e4"}, "invalid_value", "url"),
        ({"url": "https://example.com/" + "x" * 500}, "too_long", "url"),
        ({"events": []}, "required", "events"),
        ({"events": ["task.created", "nope"]}, "invalid_value", "events.1"),
        ({"events": ["task.created", "task.created"]}, "invalid_value", "events.1"),
        ({"events": "task.created"}, "invalid_value", "events"),
        ({"events": [5]}, "invalid_value", "events.0"),
        ({"enabled": "yes"}, "invalid_value", "enabled"),
        ({"colour": "red"}, "unknown_field", "colour"),
        ({"secret": "whsec_mine"}, "unknown_field", "secret"),
    ],
)
def test_webhooks_that_cannot_be(
    world: World, change: dict[str, object], code: str, field: str
) -> None:
    before = AuditEntry.objects.count()
    world.admin.put("webhooks/ops", {**BODY, **change}).refused(422, code, field)
    assert Webhook.objects.count() == 0
    assert AuditEntry.objects.count() == before


def test_a_private_address_where_it_is_meant(world: World) -> None:
    body = {**BODY, "url": "http://127.0.0.1:8/", "allow_private_network": True}
    world.admin.put("webhooks/ops", body).ok(201)
    facts = AuditEntry.objects.get(verb="webhook.created").facts
    assert facts["allow_private_network"] is True


def test_who_may_read_and_write(world: World) -> None:
    world.admin.put("webhooks/ops", BODY).ok(201)
    paths = ["webhooks", "webhooks/ops", "webhooks/ops/deliveries"]
    reader = Api(world.cast.key("read", name="reader"))
    for path in paths:
        reader.get(path).ok()
    for scope in ("runs", "decide"):
        key = Api(world.cast.key(scope, name=f"only {scope}"))
        for path in paths:
            key.get(path).refused(403, "insufficient_scope")
    reader.put("webhooks/new", BODY).refused(403, "insufficient_scope")
    reader.post("webhooks/ops/rotate").refused(403, "insufficient_scope")
    reader.post("webhooks/ops/ping").refused(403, "insufficient_scope")
    bound = Api(world.cast.key("admin", name="bound", agent=world.cast.support))
    bound.put("webhooks/new", BODY).refused(403, "wrong_agent")
    assert Webhook.objects.count() == 1
    assert Delivery.objects.count() == 0


def test_a_foreign_webhook_reads_like_an_absent_one(world: World) -> None:
    world.admin.put("webhooks/ops", BODY).ok(201)
    ping = world.admin.post("webhooks/ops/ping").ok(202)
    theirs = Api(world.cast.key("admin", name="theirs", workspace=world.cast.other))
    for tail in ("", "/deliveries"):
        foreign = theirs.get(f"webhooks/ops{tail}").refused(404, "not_found")
        assert foreign.json == theirs.get(f"webhooks/absent{tail}").json
    theirs.post("webhooks/ops/ping").refused(404, "not_found")
    theirs.post("webhooks/ops/rotate").refused(404, "not_found")
    theirs.post(f"webhooks/deliveries/{ping['id']}/redeliver").refused(404, "not_found")
    assert theirs.get("webhooks").ok()["results"] == []
    theirs.put("webhooks/ops", BODY).ok(201)
    assert Webhook.objects.count() == 2


def test_a_ping_is_one_delivery(world: World) -> None:
    world.admin.put("webhooks/ops", BODY).ok(201)
    world.admin.put("webhooks/other", BODY).ok(201)
    ping = world.admin.post("webhooks/ops/ping").ok(202)
    assert (ping["type"], ping["status"], ping["attempts"]) == ("webhook.ping", "pending", 0)
    assert world.admin.get("webhooks/ops/deliveries").ok()["results"] == [ping.json]
    assert world.admin.get("webhooks/other/deliveries").ok()["results"] == []
    once = world.admin.post("webhooks/ops/ping", Idempotency_Key="p").ok(202)
    assert world.admin.post("webhooks/ops/ping", Idempotency_Key="p").ok(200).json == once.json
    assert Delivery.objects.count() == 2


def test_a_webhook_that_is_off_is_told_nothing(world: World) -> None:
    world.admin.put("webhooks/ops", {**BODY, "enabled": False}).ok(201)
    world.agent.post("tasks", {"agent": "support", "title": "T"}).ok(201)
    world.admin.post("webhooks/ops/ping").refused(409, "webhook_disabled")
    assert OutboxEvent.objects.filter(type="task.created").count() == 1
    assert Delivery.objects.count() == 0


def test_filters_of_deliveries(world: World) -> None:
    world.admin.put("webhooks/ops", BODY).ok(201)
    world.agent.post("tasks", {"agent": "support", "title": "T"}).ok(201)
    world.admin.post("webhooks/ops/ping").ok(202)
    pings = world.admin.get("webhooks/ops/deliveries?type=webhook.ping").ok()["results"]
    assert [row["type"] for row in pings] == ["webhook.ping"]
    assert world.admin.get("webhooks/ops/deliveries?status=dead").ok()["results"] == []
    path = "webhooks/ops/deliveries"
    world.admin.get(f"{path}?status=nope").refused(422, "invalid_value", "status")
    world.admin.get(f"{path}?colour=red").refused(422, "unknown_filter", "colour")
    world.admin.get("webhooks/ops?x=1").refused(422, "unknown_filter", "x")


@pytest.mark.parametrize("identity", ["1", "01900000-0000-7000-8000-000000000000"])
def test_redelivering_what_is_not_there(world: World, identity: str) -> None:
    world.admin.post(f"webhooks/deliveries/{identity}/redeliver").refused(404, "not_found")
