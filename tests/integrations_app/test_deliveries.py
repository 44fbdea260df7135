"""Events reach webhooks: signed, at least once, in order, and nobody is held up by another."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from accounts_app.faults import InjectedFault
from accounts_app.models import AuditEntry
from guard_app.models import Incident
from guard_app.services.incidents import resolve
from integrations_app import jobs
from integrations_app.client import OutboundAnswer
from integrations_app.models import Delivery, OutboxEvent, Webhook
from integrations_app.services import deliveries
from integrations_app.services.deliveries import PAUSES, Turn, deliver, due_webhooks
from integrations_app.services.outbox import DELIVER
from integrations_app.states import EventType
from tasks_app.services.sweeping import sweep
from tests.api_client import Answer
from tests.conftest import World
from tests.harness.receiver import Hit
from tests.tasks_app.racing import race


def hook(world: World, mode: str = "ok", slug: str = "ops", **members: object) -> str:
    """A webhook at the receiver for all events; its secret."""
    body = {
        "url": f"{world.receiver.url}/{mode}",
        "events": list(EventType.values),
        "enabled": True,
        "allow_private_network": True,
        **members,
    }
    return str(world.admin.put(f"webhooks/{slug}", body).json.get("secret", ""))


def turn(slug: str = "ops") -> Turn:
    return deliver(Webhook.objects.get(slug=slug).pk)


def task(world: World, **members: object) -> Answer:
    return world.agent.post("tasks", {"agent": "support", "title": "Ship it?", **members}).ok(201)


def payload(hit: Hit) -> dict[str, object]:
    return dict(json.loads(hit.body))


def test_what_arrives_is_signed_to_the_letter(world: World) -> None:
    secret = hook(world)
    asked = task(world)
    assert turn() == Turn(1)
    (hit,) = world.receiver.hits
    headers = {name.lower(): value for name, value in hit.headers}
    assert Verifier(secret).verify(hit.body, headers) == payload(hit)
    assert headers["content-type"] == "application/json"
    (row,) = world.admin.get("webhooks/ops/deliveries").ok()["results"]
    assert headers["webhook-id"] == row["id"]
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 30
    assert (row["status"], row["attempts"], row["last_status_code"]) == ("delivered", 1, 200)
    assert row["next_attempt_at"] is None
    content = payload(hit)
    assert set(content) == {"type", "timestamp", "data"}
    assert content["type"] == "task.created"
    assert content["timestamp"] == asked["created_at"]
    data = content["data"]
    assert (data["task"], data["kind"], data["status"]) == (asked["id"], "approval", "pending")
    assert data["url"].startswith("http://127.0.0.1")
    assert data["url"].endswith(f"/tasks/{asked['id']}/")


@pytest.mark.parametrize("part", ["body", "webhook-id", "webhook-timestamp", "secret"])
def test_one_changed_byte_is_refused(world: World, part: str) -> None:
    secret = hook(world)
    task(world)
    turn()
    (hit,) = world.receiver.hits
    headers = {name.lower(): value for name, value in hit.headers}
    body = hit.body
    if part == "body":
        body = body.replace(b"task.created", b"task.creates")
    elif part == "secret":
        secret = hook(world, slug="another")
    else:
        headers[part] = headers[part][:-1] + ("0" if headers[part][-1] != "0" else "1")
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(body, headers)


def test_a_ping_waits_for_no_other(world: World) -> None:
    hook(world, "status/500")
    world.admin.post("webhooks/ops/ping").ok(202)
    turn()
    hook(world)
    world.admin.post("webhooks/ops/ping").ok(202)
    assert turn().attempts == 1
    rows = world.admin.get("webhooks/ops/deliveries").ok()["results"]
    assert [(row["status"], row["last_status_code"]) for row in rows] == [
        ("delivered", 200),
        ("failed", 500),
    ]


def test_both_secrets_sign_for_a_day(world: World) -> None:
    old = hook(world)
    new = world.admin.post("webhooks/ops/rotate").ok()["secret"]
    task(world)
    turn()
    headers = {name.lower(): value for name, value in world.receiver.hits[0].headers}
    assert len(headers["webhook-signature"].split()) == 2
    for secret in (old, new):
        Verifier(secret).verify(world.receiver.hits[0].body, headers)
    webhook = Webhook.objects.get()
    tomorrow = datetime.now(UTC) + timedelta(hours=25)
    assert deliveries.signing_secrets(webhook, tomorrow) == [new]


def test_every_event_of_the_contract_is_announced(
    world: World, move_clock: Callable[[float], None]
) -> None:
    hook(world)
    run = world.run()
    decided = task(world, run=run, agent=None)
    world.decider.post(f"tasks/{decided['id']}/approve", {"comment": "a canary"}).ok()
    dropped = task(world, run=run, agent=None)
    world.agent.post(f"tasks/{dropped['id']}/cancel", {"reason": "never mind"}).ok()
    late = task(world, run=run, agent=None, timeout_seconds=60)
    call = world.refund(40, run).ok(201)
    move_clock(61)
    sweep(execute_here=True)
    world.agent.post(f"runs/{run}/complete").ok()
    sweep(execute_here=True)
    told = {
        (payload(hit)["type"], payload(hit)["data"]["status"])
        for hit in world.receiver.hits
        if hit.header("webhook-id")
    }
    assert told == {
        ("task.created", "pending"),
        ("task.completed", "completed"),
        ("task.cancelled", "cancelled"),
        ("task.timed_out", "completed"),
        ("tool_call.finished", "succeeded"),
        ("run.ended", "completed"),
    }
    by_type = {
        payload(hit)["type"]: payload(hit)["data"]
        for hit in world.receiver.hits
        if hit.header("webhook-id")
    }
    outcome = by_type["task.completed"]["outcome"]
    assert (outcome["action"], outcome["decided_by"]["name"]) == ("approve", "decider")
    assert by_type["task.completed"]["summary"] == "Approve by decider"
    assert by_type["task.cancelled"]["outcome"]["cancelled_reason"] == "withdrawn"
    assert by_type["task.timed_out"]["task"] == late["id"]
    assert by_type["task.timed_out"]["outcome"]["timed_out"] is True
    finished = by_type["tool_call.finished"]
    assert (finished["tool_call"], finished["run"]) == (call["id"], run)
    assert (finished["operation"], finished["status_code"]) == ("payments.refund", 200)
    assert by_type["run.ended"]["run"] == run
    for data in by_type.values():
        assert data["url"].startswith("http")
        assert data["summary"]
        assert data["agent"] == "support"


def test_incidents_are_told_from_their_opening_to_their_end(world: World) -> None:
    secret = hook(world, events=["incident.opened", "incident.closed"])
    always = {"name": "Odd refunds", "parameters": {"when": "args.amount > 5"}}
    world.rule("odd", **always, effect="alert").ok(201)
    for _ in range(2):
        world.refund(40).ok(201)
    incident = Incident.objects.get()
    resolve(world.cast.actor("gus"), incident.pk, "note-canary")
    assert turn() == Turn(2)
    opened, closed = world.receiver.hits
    for hit, kind, status, count in (
        (opened, "incident.opened", "open", 1),
        (closed, "incident.closed", "resolved", 2),
    ):
        headers = {name.lower(): value for name, value in hit.headers}
        content = Verifier(secret).verify(hit.body, headers)
        assert content["type"] == kind
        assert content["data"] == {
            "incident": str(incident.pk),
            "rule": "odd",
            "agent": "support",
            "operation": "payments.refund",
            "status": status,
            "severity": "low",
            "count": count,
            "summary": f"Odd refunds: payments.refund by support, {status.capitalize()}",
            "url": f"http://127.0.0.1:8000/admin/guard/incidents/{incident.pk}/",
        }


def test_nothing_sensitive_is_sent(world: World) -> None:
    hook(world)
    world.operation(sensitive=["/charge"]).ok()
    body = {
        "run": world.run(),
        "operation": "payments.refund",
        "arguments": {"charge": "4111-canary", "amount": 900},
        "reason": "reason-canary",
    }
    call = world.agent.post("tool-calls", body).ok(201)
    world.decider.post(f"tasks/{call['task']}/approve", {"comment": "comment-canary"}).ok()
    text = task(world, kind="text", title="Name?", description="description-canary")
    world.decider.post(f"tasks/{text['id']}/complete", {"value": "value-canary"}).ok()
    task(world, draft="draft-canary", metadata={"a": "metadata-canary"})
    sweep(execute_here=True)
    told = b"".join(hit.body for hit in world.receiver.hits if hit.header("webhook-id"))
    assert told.count(b"task.completed") == 2
    assert b"canary" not in told


def test_only_the_events_that_were_asked_for(world: World) -> None:
    hook(world, events=["task.completed"])
    asked = task(world)
    assert turn() == Turn(0)
    world.decider.post(f"tasks/{asked['id']}/approve").ok()
    assert turn() == Turn(1)
    assert [payload(hit)["type"] for hit in world.receiver.hits] == ["task.completed"]


def test_the_pauses_between_attempts(world: World, move_clock: Callable[[float], None]) -> None:
    hook(world, "status/500", events=["task.created"])
    task(world)
    assert turn() == Turn(1, pytest.approx(5, abs=1))
    for number, pause in enumerate(PAUSES, start=1):
        (row,) = world.admin.get("webhooks/ops/deliveries").ok()["results"]
        assert (row["status"], row["attempts"]) == ("failed", number)
        move_clock(pause - 2)
        assert turn().attempts == 0, f"attempt {number + 1} came too early"
        move_clock(2.1)
        assert turn().attempts == 1, f"attempt {number + 1} did not come"
    (row,) = world.admin.get("webhooks/ops/deliveries").ok()["results"]
    assert (row["status"], row["attempts"], row["next_attempt_at"]) == ("dead", 10, None)
    assert len(world.receiver.hits) == 10
    assert len({hit.header("webhook-id") for hit in world.receiver.hits}) == 1
    assert len({hit.body for hit in world.receiver.hits}) == 1
    assert sum(PAUSES) == 5 + 30 + 300 + 1800 + (2 + 6 + 12 + 24 + 24) * 3600
    move_clock(10 * 24 * 3600)
    assert turn() == Turn(0)


@pytest.mark.parametrize(
    ("mode", "status_code", "error"),
    [
        ("status/204", 204, None),
        ("status/299", 299, None),
        ("status/301", 301, None),
        ("redirect", 302, None),
        ("status/404", 404, None),
        ("status/503", 503, None),
        ("drop-after-effect", None, "dropped"),
        ("headers", None, "dropped"),
        ("huge/5000000", 200, None),
        ("chunked/5000000", 200, None),
        ("endless", 200, None),
        ("gzip-bomb", 200, None),
        ("endless-headers", None, "dropped"),
        ("redirect?to=http://169.254.169.254/latest", 302, None),
        ("redirect-with/307?to=/ok/again", 307, None),
    ],
)
def test_anything_but_2xx_is_tried_again(
    world: World, mode: str, status_code: int | None, error: str | None
) -> None:
    hook(world, mode, events=["task.created"])
    task(world)
    turn()
    (row,) = world.admin.get("webhooks/ops/deliveries").ok()["results"]
    delivered = status_code is not None and status_code < 300
    assert row["status"] == ("delivered" if delivered else "failed")
    assert (row["last_status_code"], row["last_error"]) == (status_code, error)
    assert len(world.receiver.hits) == 1, "a redirect was followed"


@pytest.mark.parametrize("mode", ["slowloris", "slow-headers", "slow/60"])
def test_an_answer_that_drips_has_fifteen_seconds_in_all(
    world: World, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deliveries.TIMEOUT_SECONDS == 15
    monkeypatch.setattr(deliveries, "TIMEOUT_SECONDS", 0.7)
    hook(world, mode, events=["task.created"])
    task(world)
    begun = time.monotonic()
    turn()
    assert time.monotonic() - begun < 20
    (row,) = world.admin.get("webhooks/ops/deliveries").ok()["results"]
    assert (row["status"], row["last_error"]) == ("failed", "timed_out")


def test_a_name_that_leads_inside_is_not_reached(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook(world, url=f"http://hooks.example:{world.receiver.port}/", allow_private_network=False)
    task(world)
    real = deliveries.send
    monkeypatch.setattr(
        deliveries, "send", lambda *a, **k: real(*a, **k, resolve=lambda *_: ["127.0.0.1"])
    )
    turn()
    (row,) = world.admin.get("webhooks/ops/deliveries").ok()["results"]
    assert (row["status"], row["last_error"]) == ("failed", "address_refused")
    assert world.receiver.hits == []


def test_410_switches_the_webhook_off(world: World) -> None:
    hook(world, "status/410", events=["task.created"])
    task(world)
    task(world)
    assert turn() == Turn(1)
    shown = world.admin.get("webhooks/ops").ok()
    assert (shown["enabled"], "410" in shown["disabled_reason"]) == (False, True)
    assert AuditEntry.objects.filter(verb="webhook.switched_off").count() == 1
    assert turn() == Turn(0)
    task(world)
    assert Delivery.objects.count() == 2, "made for a webhook that is off"
    rows = world.admin.get("webhooks/ops/deliveries").ok()["results"]
    assert [row["status"] for row in rows] == ["pending", "dead"]
    path = f"webhooks/deliveries/{rows[1]['id']}/redeliver"
    world.admin.post(path).refused(409, "webhook_disabled")
    hook(world, "ok", events=["task.created"])
    assert world.admin.get("webhooks/ops").ok()["disabled_reason"] is None
    world.admin.post(path).ok(202)
    assert turn().attempts == 2
    rows = world.admin.get("webhooks/ops/deliveries").ok()["results"]
    assert [row["status"] for row in rows] == ["delivered", "delivered"]


def test_a_redelivery_has_the_same_id(world: World) -> None:
    hook(world)
    task(world)
    turn()
    (row,) = world.admin.get("webhooks/ops/deliveries").ok()["results"]
    again = world.admin.post(f"webhooks/deliveries/{row['id']}/redeliver").ok(202)
    assert (again["id"], again["status"], again["attempts"]) == (row["id"], "pending", 0)
    turn()
    first, second = world.receiver.hits
    assert first.header("webhook-id") == second.header("webhook-id") == row["id"]
    assert first.body == second.body


def test_one_subject_is_told_in_order(world: World, move_clock: Callable[[float], None]) -> None:
    """What failed holds back what follows about the same task, and nothing else."""
    hook(world, "flaky/3", events=["task.created", "task.completed"])
    first = task(world)
    world.decider.post(f"tasks/{first['id']}/approve").ok()
    second = task(world)
    turn()
    assert [payload(hit)["data"]["task"] for hit in world.receiver.hits] == [
        first["id"],
        second["id"],
    ], "the second task waits for the first"
    for _ in range(4):
        move_clock(31)
        turn()
    told = [(payload(hit)["type"], payload(hit)["data"]["task"]) for hit in world.receiver.hits]
    assert told[2:] == [
        ("task.created", first["id"]),
        ("task.completed", first["id"]),
        ("task.created", second["id"]),
    ]
    assert not Delivery.objects.exclude(status="delivered").exists()


@pytest.mark.parametrize("lost", ["kill", "failure"])
def test_a_death_between_sending_and_recording_sends_again(
    world: World,
    move_clock: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    settings: object,
    lost: str,
) -> None:
    hook(world)
    task(world)
    settings.ASSENT_TEST_FAULTS = True
    monkeypatch.setenv("ASSENT_FAULTS", "webhook.after_send=raise")
    with pytest.raises(InjectedFault):
        turn()
    monkeypatch.delenv("ASSENT_FAULTS")
    if lost == "kill":
        # A killed process leaves its lane taken, too.
        Webhook.objects.update(
            lane_token=UUID(int=1), lane_until=deliveries.db_now() + timedelta(seconds=60)
        )
    assert Delivery.objects.get().attempts == 1
    assert turn().attempts == 0
    assert due_webhooks(10) == []
    move_clock(91)
    assert due_webhooks(10) == [Webhook.objects.get().pk]
    assert turn() == Turn(1)
    first, second = world.receiver.hits
    assert first.header("webhook-id") == second.header("webhook-id")
    row = Delivery.objects.get()
    assert (row.status, row.attempts) == ("delivered", 2)


def test_a_death_at_the_last_attempt_is_a_dead_letter(
    world: World, move_clock: Callable[[float], None]
) -> None:
    hook(world)
    task(world)
    Delivery.objects.update(attempts=10, status="failed")
    move_clock(1)
    assert sweep(execute_here=True)["deliveries_buried"] == 1
    assert Delivery.objects.get().status == "dead"
    assert world.receiver.hits == []


def test_a_late_answer_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was frozen while another one delivered."""
    hook(world)
    task(world)

    def overtaken(*_: object, **__: object) -> OutboundAnswer:
        Delivery.objects.update(claim=UUID(int=7), attempts=2)
        return OutboundAnswer(500, (), b"", False)

    monkeypatch.setattr(deliveries, "send", overtaken)
    turn()
    row = Delivery.objects.get()
    assert (row.claim, row.attempts, row.status) == (UUID(int=7), 2, "pending")
    assert row.last_status_code is None


def test_a_webhook_that_hangs_holds_up_nobody(
    world: World, move_clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "TIMEOUT_SECONDS", 1.2)
    hook(world, "slow/60", slug="hangs", events=["task.created"])
    hook(world, "ok", slug="well", events=["task.created"])
    for _ in range(5):
        task(world)
    begun = time.monotonic()
    assert turn("hangs").attempts == 1, "one attempt that hung ends the turn"
    assert turn("hangs").attempts == 0, "it rests"
    assert turn("well") == Turn(5)
    assert time.monotonic() - begun < 20
    assert Delivery.objects.filter(webhook__slug="well", status="delivered").count() == 5
    move_clock(5.1)
    assert [pk == Webhook.objects.get(slug="hangs").pk for pk in due_webhooks(5)] == [True]
    assert turn("hangs").attempts == 1
    move_clock(5.1)
    assert turn("hangs").attempts == 0, "it rests longer the second time"
    hook(world, "ok/mended", slug="hangs", events=["task.created"])
    assert turn("hangs").attempts >= 3, "a new address does not rest"


def test_many_workers_send_each_event_once(shared_world: World) -> None:
    world = shared_world
    hook(world, events=["task.created"])
    run = world.run()
    for number in range(6):
        world.agent.post("tasks", {"run": run, "title": f"T{number}"}).ok(201)
    pk = Webhook.objects.get().pk
    turns = race(*[lambda: deliver(pk).attempts for _ in range(5)])
    while deliver(pk).attempts:
        pass
    assert sum(turns) <= 6
    assert len(world.receiver.hits) == 6
    assert len({hit.header("webhook-id") for hit in world.receiver.hits}) == 6
    titles = [payload(hit)["data"]["title"] for hit in world.receiver.hits]
    assert titles == [f"T{number}" for number in range(6)]


def test_an_event_that_was_undone_is_never_sent(world: World) -> None:
    """The event stands in the transaction that made it true."""
    hook(world)
    asked = task(world)
    before = OutboxEvent.objects.count(), Delivery.objects.count()
    world.decider.post(f"tasks/{asked['id']}/complete", {"action": "nope"}).refused(
        422, "unknown_action"
    )
    assert (OutboxEvent.objects.count(), Delivery.objects.count()) == before


def test_held_deliveries_stay(world: World) -> None:
    hook(world)
    task(world)
    Delivery.objects.update(held=True)
    assert turn() == Turn(0)
    assert due_webhooks(10) == []


def test_the_sweep_rings_for_what_nobody_sends(
    world: World, move_clock: Callable[[float], None], settings: object
) -> None:
    settings.ASSENT_DOORBELL = "tests.integrations_app.test_deliveries.note_ring"
    RINGS.clear()
    hook(world, events=["task.created"])
    task(world)
    done = sweep(execute_here=False)
    assert done["webhooks_rung"] == 1
    assert world.receiver.hits == []


RINGS: list[tuple[object, ...]] = []


def note_ring(*ring: str, delay: float = 0.0) -> None:
    RINGS.append((*ring, delay))


def test_the_broker_is_asked_to_bring_back_what_is_due_soon(world: World, settings: object) -> None:
    settings.ASSENT_DOORBELL = "tests.integrations_app.test_deliveries.note_ring"
    hook(world, "status/500", events=["task.created"])
    task(world)
    pk = str(Webhook.objects.get().pk)
    RINGS.clear()
    jobs.deliver(pk)
    assert [(DELIVER, pk, pytest.approx(5, abs=1))] == RINGS
    jobs.deliver(pk)
    assert len(RINGS) == 1, "who came too early asks for nothing, or messages would multiply"
    Delivery.objects.update(attempts=3, next_attempt_at=deliveries.db_now())
    jobs.deliver(pk)
    assert len(world.receiver.hits) == 2
    assert len(RINGS) == 1, "half an hour is left to the sweep"
