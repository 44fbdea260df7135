"""The ground rules of the contract: every refusal, and that it changes nothing."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from django.core.management import call_command
from django.test import Client

from accounts_app.models import AuditEntry, User
from accounts_app.scoping import system_actor
from accounts_app.services.api_keys import revoke_api_key
from integrations_app.models import Run, Session, ToolCall
from tasks_app.models import UserTask
from tests.api_client import Api
from tests.conftest import World

ABSENT = "01900000-0000-7000-8000-000000000000"


def test_without_a_credential(world: World) -> None:
    for token in ("", "nonsense", "assent_x_y"):
        refusal = Api(token).get("tasks").refused(401, "not_authenticated")
        assert refusal.headers["WWW-Authenticate"].startswith("Bearer")
    Api().post("tasks", b"{not json").refused(401, "not_authenticated")
    revoke_api_key(system_actor(world.cast.workspace.pk), name="agent")
    world.agent.get("tasks").refused(401, "not_authenticated")


BAD_JSON: list[tuple[bytes, int, str]] = [
    (b"{", 400, "parse_error"),
    (b'{"agent": NaN}', 400, "parse_error"),
    (b'{"agent": Infinity}', 400, "parse_error"),
    (b'{"agent": "a", "agent": "b"}', 400, "parse_error"),
    (b'{"agent": "\\ud800"}', 400, "parse_error"),
    (b'{"agent": "\xff"}', 400, "parse_error"),
    (b'{"metadata": ' + b"[" * 40 + b"]" * 40 + b"}", 400, "parse_error"),
    (b"[" * 100_000, 400, "parse_error"),
    (b'{"agent": "support", "title": "a\\u0000b"}', 422, "invalid_value"),
    (b'{"agent": "support", "metadata": {"n": 9223372036854775808}}', 422, "invalid_value"),
    (b'{"agent": "support", "metadata": {"n": 1e999}}', 422, "invalid_value"),
    (b"[]", 422, "invalid_value"),
    (b"null", 422, "invalid_value"),
    (b'"text"', 422, "invalid_value"),
    (b'{"agent": 5}', 422, "invalid_value"),
    (b'{"agent": null}', 422, "invalid_value"),
    (b"{}", 422, "required"),
    (b'{"agent": "support", "titel": "x"}', 422, "unknown_field"),
    (b'{"agent": "nobody"}', 422, "not_found"),
    (b'{"agent": "support", "title": "' + b"x" * 201 + b'"}', 422, "too_long"),
    (b'{"agent": "support", "metadata": []}', 422, "invalid_value"),
    (b'{"agent": "support", "title": "' + b"x" * 1_100_000 + b'"}', 413, "body_too_large"),
]


@pytest.mark.parametrize(("body", "status", "code"), BAD_JSON)
def test_bad_bodies(world: World, body: bytes, status: int, code: str) -> None:
    before = Session.objects.count(), AuditEntry.objects.count()
    world.agent.post("sessions", body).refused(status, code)
    assert (Session.objects.count(), AuditEntry.objects.count()) == before
    world.agent.get("sessions").ok()


def test_a_body_that_may_be_left_out_is_no_null(world: World) -> None:
    call = world.refund(900).ok(201)
    path = f"tool-calls/{call['id']}/cancel"
    world.agent.post(path, b"null").refused(422, "invalid_value", "body")
    world.agent.ask("PATCH", f"tasks/{call['task']}/metadata", b"null").refused(
        422, "invalid_value", "body"
    )
    assert world.agent.post(path, b"").ok()["status"] == "cancelled"


def test_other_media_types_and_methods(world: World) -> None:
    body = b'{"agent": "support"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        world.agent.post("sessions", body, Content_Type=kind).refused(415, "unsupported_media_type")
    session = world.agent.post("sessions", body).ok(201)
    path = f"sessions/{session['id']}"
    for method in ("DELETE", "PATCH", "PUT"):
        world.agent.ask(method, path, {}).refused(405, "method_not_allowed")
    task = world.agent.post("tasks", {"agent": "support", "title": "T"}).ok(201)
    world.agent.ask("DELETE", f"tasks/{task['id']}").refused(405, "method_not_allowed")
    world.agent.ask("PATCH", f"tasks/{task['id']}", {"title": "x"}).refused(
        405, "method_not_allowed"
    )


@pytest.mark.parametrize("path", ["tasks/", "nowhere", "tasks/x/y/z", "../admin", ""])
def test_addresses_that_do_not_exist(world: World, path: str) -> None:
    world.agent.get(path).refused(404, "not_found")


@pytest.mark.parametrize("kind", ["sessions", "runs", "tool-calls", "tasks"])
@pytest.mark.parametrize("identity", [ABSENT, "1", "x' or 1=1", "%00", ABSENT.replace("-", "")])
def test_an_absent_object(world: World, kind: str, identity: str) -> None:
    world.agent.get(f"{kind}/{identity}").refused(404, "not_found")


def test_a_foreign_object_reads_like_an_absent_one(world: World) -> None:
    call = world.refund(900).ok(201)
    key = world.cast.key("runs,read", name="theirs", workspace=world.cast.other)
    stranger = Api(key)
    run = world.agent.get(f"runs/{call['run']}").ok()
    for path in (
        f"sessions/{run['session']}",
        f"runs/{call['run']}",
        f"tool-calls/{call['id']}",
        f"tasks/{call['task']}",
        f"tasks/{call['task']}/result",
        f"tasks/{call['task']}/events",
    ):
        foreign = stranger.get(path).refused(404, "not_found")
        head, _, tail = path.partition("/")
        absent = stranger.get(f"{head}/{ABSENT}{tail[36:]}").refused(404, "not_found")
        assert foreign.json == absent.json
    for path in ("sessions", "runs", "tool-calls", "tasks"):
        assert stranger.get(path).ok()["results"] == []
    stranger.post("runs", {"session": run["session"]}).refused(422, "not_found", "session")
    body = {"run": call["run"], "operation": "payments.refund", "arguments": {}}
    stranger.post("tool-calls", body).refused(422, "not_found", "run")
    stranger.post(f"tool-calls/{call['id']}/cancel").refused(404, "not_found")
    decider = Api(world.cast.key("decide", name="their decider", workspace=world.cast.other))
    decider.post(f"tasks/{call['task']}/approve").refused(404, "not_found")


SCOPES = [
    ("runs", "GET", "tasks", True),
    ("read", "GET", "tasks", True),
    ("decide", "GET", "tasks", True),
    ("admin", "GET", "tasks", False),
    ("admin", "GET", "operations", True),
    ("read", "POST", "sessions", False),
    ("decide", "POST", "sessions", False),
    ("admin", "POST", "tasks", False),
    ("runs", "PUT", "agents/new", False),
    ("read", "PUT", "integrations/new", False),
    ("runs", "PUT", "integrations/payments/operations/new", False),
]


@pytest.mark.parametrize(("scope", "method", "path", "allowed"), SCOPES)
def test_scopes(world: World, scope: str, method: str, path: str, allowed: bool) -> None:
    answer = Api(world.cast.key(scope, name="one")).ask(method, path, {})
    if allowed:
        answer.ok()
    else:
        answer.refused(403, "insufficient_scope")


def test_only_decide_decides(world: World) -> None:
    call = world.refund(900).ok(201)
    for scope in ("runs", "read", "admin"):
        key = Api(world.cast.key(scope, name=f"only {scope}"))
        key.post(f"tasks/{call['task']}/approve").refused(403, "insufficient_scope")
        key.post(f"tasks/{call['task']}/complete", {"action": "no such"}).refused(
            403, "insufficient_scope"
        )
    assert UserTask.objects.get().status == "pending"


def test_a_bound_key_knows_its_agent_only(world: World) -> None:
    mine = Api(world.cast.key("runs,read", name="bound", agent=world.cast.support))
    session = world.agent.post("sessions", {"agent": "research"}).ok(201)
    run = world.agent.post("runs", {"session": session["id"]}).ok(201)
    task = world.agent.post("tasks", {"run": run["id"], "title": "T"}).ok(201)
    mine.post("sessions", {"agent": "research"}).refused(403, "wrong_agent")
    mine.post("sessions", {"agent": "nobody"}).refused(422, "not_found", "agent")
    mine.post("tasks", {"agent": "research", "title": "T"}).refused(403, "wrong_agent")
    mine.get(f"sessions/{session['id']}").refused(404, "not_found")
    mine.get(f"runs/{run['id']}").refused(404, "not_found")
    mine.get(f"tasks/{task['id']}").refused(404, "not_found")
    mine.post("runs", {"session": session["id"]}).refused(422, "not_found", "session")
    mine.post("tasks", {"run": run["id"], "title": "T"}).refused(422, "not_found", "run")
    assert mine.get("tasks").ok()["results"] == []
    assert [agent["slug"] for agent in mine.get("agents").ok()["results"]] == ["support"]
    own = mine.post("sessions", {"agent": "support"}).ok(201)
    mine.post("runs", {"session": own["id"], "agent": "research"}).refused(403, "wrong_agent")


def test_lists_page_by_keyset_and_stay_stable(world: World) -> None:
    run = world.run()
    made = [
        world.agent.post("tasks", {"run": run, "title": f"T{number}"}).ok(201)["id"]
        for number in range(7)
    ]
    newest_first = made[::-1]
    page = world.agent.get("tasks?limit=3").ok()
    assert [row["id"] for row in page["results"]] == newest_first[:3]
    assert page["previous"] is None
    world.agent.post("tasks", {"run": run, "title": "a newcomer"}).ok(201)
    second = follow(world, page["next"])
    assert [row["id"] for row in second["results"]] == newest_first[3:6]
    third = follow(world, second["next"])
    assert [row["id"] for row in third["results"]] == newest_first[6:]
    assert third["next"] is None
    back = follow(world, third["previous"])
    assert [row["id"] for row in back["results"]] == newest_first[3:6]
    oldest = world.agent.get("tasks?ordering=created_at&limit=100").ok()
    assert [row["id"] for row in oldest["results"]][:7] == made


def follow(world: World, url: str) -> dict[str, object]:
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc) == ("http", "testserver")
    return world.agent.get(f"{parts.path}?{parts.query}").ok().json


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("limit=0", "invalid_value", "limit"),
        ("limit=-1", "invalid_value", "limit"),
        ("limit=101", "invalid_value", "limit"),
        ("limit=x", "invalid_value", "limit"),
        ("cursor=x", "invalid_value", "cursor"),
        ("cursor=", "invalid_value", "cursor"),
        ("colour=red", "unknown_filter", "colour"),
        ("status=nope", "invalid_value", "status"),
        ("kind=approval,nope", "invalid_value", "kind"),
        ("group=nope", "invalid_value", "group"),
        ("session=nope", "invalid_value", "session"),
        ("timed_out=maybe", "invalid_value", "timed_out"),
        ("ordering=title", "invalid_value", "ordering"),
        ("due_before=soon", "invalid_value", "due_before"),
        ("q=%00", "invalid_value", "q"),
        ("agent=%00", "invalid_value", "agent"),
        ("participant=a%00", "invalid_value", "participant"),
    ],
)
def test_filters_that_cannot_be(world: World, query: str, code: str, field: str) -> None:
    world.agent.get(f"tasks?{query}").refused(422, code, field)


EDGES = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]


@pytest.mark.parametrize("moment", EDGES)
def test_a_moment_that_is_out_of_the_calendar_in_utc(world: World, moment: str) -> None:
    text = quote(moment)
    for name in ("created_after", "created_before", "due_before"):
        world.agent.get(f"tasks?{name}={text}").refused(422, "invalid_value", name)
    late = "9999-12-31T23:59:59Z"
    world.agent.get(f"tasks/stats?from={text}&to={late}").refused(422, "invalid_value", "from")
    world.agent.get(f"tasks/stats?from=2001-01-01&to={text}").refused(422, "invalid_value", "to")
    crafted = json.dumps(["created_at", 1, 0, moment, ABSENT]).encode()
    cursor = base64.urlsafe_b64encode(crafted).decode().rstrip("=")
    for path in ("sessions", "runs", "tool-calls", "tasks"):
        world.agent.get(f"{path}?cursor={cursor}").refused(422, "invalid_value", "cursor")


def test_idempotency_key(world: World) -> None:
    body = {"agent": "support"}
    first = world.agent.post("sessions", body, Idempotency_Key="k1").ok(201)
    replay = world.agent.post("sessions", body, Idempotency_Key="k1").ok(200)
    assert replay.json == first.json
    assert replay.headers["Idempotent-Replayed"] == "true"
    world.agent.post("sessions", {"agent": "research"}, Idempotency_Key="k1").refused(
        409, "idempotency_mismatch"
    )
    assert Session.objects.count() == 1
    call = world.refund(900).ok(201)
    approve = f"tasks/{call['task']}/approve"
    done = world.decider.post(approve, {}, Idempotency_Key="d1").ok()
    again = world.decider.post(approve, {}, Idempotency_Key="d1").ok()
    assert again.json == done.json
    world.decider.post(approve, {}, Idempotency_Key="d2").refused(409, "already_completed")
    world.decider.post(approve, {}, Idempotency_Key="").refused(422, "invalid_value")


def test_request_id(world: World) -> None:
    assert world.agent.get("tasks", X_Request_ID="abc-1").headers["X-Request-ID"] == "abc-1"
    odd = "".join(map(chr, range(33, 127))).ljust(200, "x")
    assert world.agent.get("tasks", X_Request_ID=odd).headers["X-Request-ID"] == odd
    for bad in ("bad id", "bad\u00e9", "x" * 201, "", "a\tb"):
        assert len(world.agent.get("tasks", X_Request_ID=bad).headers["X-Request-ID"]) == 36
    world.agent.post("sessions", {"agent": "support"}, X_Request_ID="seen-1").ok(201)
    assert AuditEntry.objects.get(verb="session.opened").request_id == "seen-1"


def test_throttling(world: World, settings: object) -> None:
    settings.ASSENT_THROTTLE_PER_MINUTE = 3
    key = Api(world.cast.key("read", name="busy"))
    # Seven in a row meet the limit of three even where a minute ends in between.
    answers = [key.get("tasks") for _ in range(7)]
    assert [answer.status for answer in answers].count(200) in (3, 4, 5, 6)
    refusal = next(answer for answer in answers if answer.status == 429)
    assert 1 <= int(refusal.headers["Retry-After"]) <= 60
    assert refusal.code == "throttled"
    world.agent.get("tasks").ok()


@pytest.mark.parametrize("wait", ["-1", "61", "x", "nan", "inf", "1e1_0", ""])
def test_wait_that_cannot_be(world: World, wait: str) -> None:
    call = world.refund(900).ok(201)
    world.agent.get(f"tool-calls/{call['id']}?wait={wait}").refused(422, "invalid_value", "wait")


def test_the_order_of_checks(world: World) -> None:
    """401, then 400, then 404, then 403, then 409, then 428, then 422."""
    call = world.refund(900).ok(201)
    path = f"tasks/{call['task']}/complete"
    Api().post(path, b"{").refused(401, "not_authenticated")
    world.agent.post(path, b"{").refused(400, "parse_error")
    world.agent.post(f"tasks/{ABSENT}/complete", {"action": 5}).refused(404, "not_found")
    world.agent.post(path, {"action": 5}).refused(403, "insufficient_scope")
    world.operation(path="/ok/moved").ok()
    world.decider.post(path, {"action": 5}).refused(428, "revision_required")
    world.decider.post(path, {"action": 5, "revision": 1}).refused(409, "stale_revision")
    world.decider.post(path, {"action": 5, "revision": 2}).refused(422, "invalid_value")
    world.decider.post(path, {"action": "maybe", "revision": 2}).refused(422, "unknown_action")
    world.decider.post(path, {"revision": 2}).refused(422, "unknown_action")
    world.decider.post(path, {"action": "approve", "revision": 2, "x": 1}).refused(
        422, "unknown_field"
    )
    world.decider.post(path, {"action": "approve", "revision": 2}).ok()
    late = world.decider.post(path, {"action": 5}).refused(409, "already_completed")
    assert late["task"]["outcome"]["action"] == "approve"


def test_whoever_owns_the_session_cannot_approve(world: World) -> None:
    ann = User.objects.get(username="ann")
    hers = Api(world.cast.key("decide", name="ann's", owner=ann))
    for participant in ("ann", "ANN@Example.com"):
        session = {"agent": "support", "participant": participant}
        opened = world.agent.post("sessions", session).ok(201)
        run = world.agent.post("runs", {"session": opened["id"]}).ok(201)["id"]
        call = world.refund(900, run).ok(201)
        hers.post(f"tasks/{call['task']}/approve").refused(403, "self_review_forbidden")
    agent = Api(world.cast.key("runs", name="ann's agent", owner=ann))
    opened = agent.post("sessions", {"agent": "support"}).ok(201)
    run = agent.post("runs", {"session": opened["id"]}).ok(201)["id"]
    call = world.refund(900, run).ok(201)
    hers.post(f"tasks/{call['task']}/reject").refused(403, "self_review_forbidden")
    text = agent.post("tasks", {"run": run, "kind": "text", "title": "Name?"}).ok(201)
    hers.post(f"tasks/{text['id']}/complete", {"value": "Ann"}).ok()
    world.decider.post(f"tasks/{call['task']}/reject").ok()


def test_nothing_leaks_into_lists(world: World) -> None:
    world.operation(sensitive=["/charge"]).ok()
    call = world.agent.post(
        "tool-calls",
        {
            "run": world.run(),
            "operation": "payments.refund",
            "arguments": {"charge": "4111-canary", "amount": 900},
        },
    ).ok(201)
    for path in ("tool-calls", "tasks", f"tasks/{call['task']}", f"runs/{call['run']}"):
        assert "4111-canary" not in world.agent.get(path).ok().text
    for row in (ToolCall.objects.get(), UserTask.objects.get(), Run.objects.get()):
        assert "4111-canary" not in str(row.__dict__)
    assert not AuditEntry.objects.filter(data__contains="4111-canary").exists()
    own = world.agent.get(f"tool-calls/{call['id']}").ok()
    assert own["arguments"]["charge"] == "4111-canary"


def test_service_addresses_need_no_key(world: World) -> None:
    assert Api().get("/healthz").ok().json == {"status": "ok"}
    schema = Api().get("schema/").ok()
    assert schema["openapi"].startswith("3.1")
    Api().get("docs/").ok()
    assert Api().get("/metrics").ok().text.startswith("# HELP")
    for path in ("/healthz", "/metrics"):
        head = Api(checked=False).ask("HEAD", path).ok()
        assert (head.text, head.headers["Content-Type"]) == (
            "",
            Api().get(path).headers["Content-Type"],
        )
    not_yet = Api().get("/readyz")
    assert not_yet.status == 503
    assert not_yet["checks"]["scheduler"]["ok"] is False


def test_readyz_after_a_sweep(world: World, move_clock: Callable[[float], None]) -> None:
    call_command("sweep")
    assert Api().get("/readyz").ok()["status"] == "ready"
    move_clock(120)
    assert Api().get("/readyz").status == 503


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_metrics_need_the_token_unless_asked_on_loopback(
    world: World, settings: Any, header: str
) -> None:
    passed_on = {header: "203.0.113.9"}
    settings.ASSENT_METRICS_TOKEN = "of-metrics"
    assert Api().get("/metrics").status == 200
    assert Api().get("/metrics", **passed_on).status == 401
    assert Api("wrong").get("/metrics", **passed_on).status == 401
    assert Api("of-metrics").get("/metrics", **passed_on).status == 200
    elsewhere = Client(REMOTE_ADDR="203.0.113.9")
    assert elsewhere.get("/metrics").status_code == 401
    given = {"Authorization": "Bearer of-metrics"}
    assert elsewhere.get("/metrics", headers=given).status_code == 200
    settings.ASSENT_METRICS_TOKEN = ""
    assert elsewhere.get("/metrics", headers=given).status_code == 401
