"""Lines of the HTTP contract that no other test holds, one by one."""

import gzip
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from accounts_app.models import AuditEntry
from integrations_app.models import Session, ToolCall
from tasks_app.models import UserTask
from tasks_app.services.sweeping import sweep
from tests.api_client import Answer, Api
from tests.conftest import World

ABSENT = "01900000-0000-7000-8000-000000000000"


def times(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every time in an answer."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from times(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from times(inner, name)
    elif isinstance(value, str) and (name.endswith("_at") or name == "at"):
        yield name, value


def test_times_are_utc_with_z_and_ids_are_ordered(world: World) -> None:
    call = world.refund(900).ok(201)
    world.decider.post(f"tasks/{call['task']}/approve").ok()
    found = 0
    for path in ("sessions", "runs", "tool-calls", "tasks", f"tasks/{call['task']}/events"):
        for name, text in times(world.agent.get(path).ok().json):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", text), (name, text)
            found += 1
    assert found >= 10
    run = world.run()
    ids = [world.agent.post("tasks", {"run": run, "title": "T"}).ok(201)["id"] for _ in range(5)]
    assert ids == sorted(ids)


def test_times_in_events_are_written_the_same_way(world: World) -> None:
    task = world.agent.post("tasks", {"agent": "support", "title": "T", "timeout_seconds": 60})
    path = f"tasks/{task.ok(201)['id']}"
    extended = world.decider.post(f"{path}/extend", {"timeout_seconds": 600}).ok()
    (event,) = [
        row
        for row in world.agent.get(f"{path}/events").ok()["results"]
        if row["type"] == "task.extended"
    ]
    assert event["data"] == {"from": task["due_at"], "to": extended["due_at"]}


def test_the_times_of_a_call_are_in_their_order(world: World) -> None:
    world.admin.put("integrations/own", {"name": "Own", "kind": "client"}).ok(201)
    operation = {"name": "Do", "effect": "once", "requires_approval": True}
    world.admin.put("integrations/own/operations/do", operation).ok(201)
    body = {"run": world.run(), "operation": "own.do", "arguments": {}}
    call = world.agent.post("tool-calls", body).ok(201)
    world.decider.post(f"tasks/{call['task']}/approve").ok()
    done = world.agent.post(f"tool-calls/{call['id']}/result", {"output": 1}).ok()
    moments = [done[f"{name}_at"] for name in ("created", "decided", "started", "finished")]
    assert moments == sorted(moments)
    rejected = world.refund(900).ok(201)
    world.decider.post(f"tasks/{rejected['task']}/reject").ok()
    ended = world.agent.get(f"tool-calls/{rejected['id']}").ok()
    assert ended["created_at"] < ended["decided_at"] == ended["finished_at"]


def test_times_in_the_event_of_a_deadline_are_written_the_same_way(
    world: World, move_clock: Callable[[float], None]
) -> None:
    task = world.agent.post("tasks", {"agent": "support", "title": "T", "timeout_seconds": 60})
    move_clock(61)
    sweep(execute_here=False)
    rows = world.agent.get(f"tasks/{task.ok(201)['id']}/events").ok()["results"]
    (event,) = [row for row in rows if row["type"] == "task.timed_out"]
    assert event["data"] == {"action": None, "due_at": task["due_at"]}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "path", ["tasks/", "sessions/x/", "nowhere", "webhooks/a b", "operations/"]
)
def test_an_address_that_is_not_there(world: World, method: str, path: str) -> None:
    answer = world.agent.ask(method, path, None if method == "GET" else {})
    answer.refused(404, "not_found")
    assert "Location" not in answer.headers
    Api().ask(method, path).refused(401, "not_authenticated")


@pytest.mark.parametrize("path", ["tasks", "agents/support", "integrations/payments", "webhooks"])
def test_methods_that_an_address_does_not_have(world: World, path: str) -> None:
    for method in ("OPTIONS", "DELETE", "TRACE"):
        answer = world.admin.ask(method, path)
        answer.refused(405, "method_not_allowed")
        assert method not in answer.headers["Allow"].split(", ")


def test_answers_are_json_whatever_is_accepted(world: World) -> None:
    for kind in ("text/html", "application/xml", "*/*", "nonsense"):
        answer = world.agent.get("tasks", Accept=kind).ok()
        assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize(
    ("path", "reads"),
    [
        ("sessions", "read runs decide"),
        ("runs", "read runs decide"),
        ("tool-calls", "read runs decide"),
        ("tasks", "read runs decide"),
        ("operations", "read runs decide admin"),
        ("agents", "read runs admin"),
        ("agents/support", "read runs admin"),
        ("integrations", "read runs admin"),
        ("integrations/payments", "read runs admin"),
        ("integrations/payments/operations/refund", "read runs decide admin"),
        ("guard/rules", "read admin"),
        ("webhooks", "read admin"),
    ],
)
def test_who_reads_what(world: World, path: str, reads: str) -> None:
    for scope in ("read", "runs", "decide", "admin"):
        answer = Api(world.cast.key(scope, name=f"only {scope}")).get(path)
        if scope in reads.split():
            answer.ok()
        else:
            answer.refused(403, "insufficient_scope")


CREATING: list[tuple[str, Callable[[World, str], dict[str, Any]]]] = [
    ("sessions", lambda world, run: {"agent": "support"}),
    ("runs", lambda world, run: {"session": world.agent.get(f"runs/{run}")["session"]}),
    (
        "tool-calls",
        lambda world, run: {
            "run": run,
            "operation": "payments.refund",
            "arguments": {"charge": "c", "amount": 900},
        },
    ),
    ("tasks", lambda world, run: {"run": run, "title": "T"}),
]


def test_a_repeated_body_may_order_its_members_anew(world: World) -> None:
    first = world.agent.post(
        "sessions", b'{"agent": "support", "metadata": {"a": 1, "b": 2}}', Idempotency_Key="k"
    ).ok(201)
    again = world.agent.post(
        "sessions", b'{"metadata":{"b":2,"a":1},"agent":"support"}', Idempotency_Key="k"
    ).ok(200)
    assert again.json == first.json
    for other in (b'{"agent": "support", "metadata": {"a": 1, "b": 2.0}}', b'{"agent": "support"}'):
        refused = world.agent.post("sessions", other, Idempotency_Key="k")
        refused.refused(409, "idempotency_mismatch")


@pytest.mark.parametrize(("path", "body_of"), CREATING)
def test_every_creating_post_is_replayed(
    world: World, path: str, body_of: Callable[[World, str], dict[str, Any]]
) -> None:
    body = body_of(world, world.run())
    before = AuditEntry.objects.count()
    first = world.agent.post(path, body, Idempotency_Key="k").ok(201)
    made = AuditEntry.objects.count()
    again = world.agent.post(path, body, Idempotency_Key="k").ok(200)
    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert before < made == AuditEntry.objects.count()
    other = {**body, "title": "another"} if path != "tool-calls" else {**body, "reason": "x"}
    world.agent.post(path, other, Idempotency_Key="k").refused(409, "idempotency_mismatch")
    assert AuditEntry.objects.count() == made
    fresh = world.agent.post(path, body, Idempotency_Key="another").ok(201)
    assert fresh["id"] != first["id"]


@pytest.mark.parametrize(("path", "body_of"), CREATING)
def test_every_natural_key_finds_the_first(
    world: World, path: str, body_of: Callable[[World, str], dict[str, Any]]
) -> None:
    body = {**body_of(world, world.run()), "key": "mine"}
    first = world.agent.post(path, body).ok(201)
    assert world.agent.post(path, body).ok(200)["id"] == first["id"]
    other = {**body, "title": "another"}
    if path == "tool-calls":
        other = {**body, "arguments": {"charge": "c", "amount": 901}}
    world.agent.post(path, other).refused(409, "idempotency_mismatch")


def test_a_natural_key_holds_when_the_thing_has_ended(world: World) -> None:
    body = {"run": world.run(), "title": "T", "key": "k"}
    task = world.agent.post("tasks", body).ok(201)
    world.decider.post(f"tasks/{task['id']}/approve").ok()
    again = world.agent.post("tasks", body).ok(200)
    assert (again["id"], again["status"]) == (task["id"], "completed")


@pytest.mark.parametrize("act", ["complete", "approve", "reject"])
def test_every_decision_is_replayed(world: World, act: str) -> None:
    task = world.refund(900).ok(201)["task"]
    body = {"action": "approve"} if act == "complete" else {}
    first = world.decider.post(f"tasks/{task}/{act}", body, Idempotency_Key="k").ok()
    again = world.decider.post(f"tasks/{task}/{act}", body, Idempotency_Key="k").ok()
    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert AuditEntry.objects.filter(verb="task.completed").count() == 1


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"title": "x" * 201}, "too_long", "title"),
        ({"title": ""}, None, "title"),
        ({"title": " "}, None, "title"),
        ({"description": "x" * 20_001}, "too_long", "description"),
        ({"draft": "x" * (256 * 1024)}, "too_long", "draft"),
        ({"key": "x" * 256}, "too_long", "key"),
        ({"timeout_seconds": 0.5}, "invalid_value", "timeout_seconds"),
        ({"timeout_seconds": 31_536_001}, "invalid_value", "timeout_seconds"),
        ({"timeout_seconds": "60"}, "invalid_value", "timeout_seconds"),
        ({"timeout_seconds": True}, "invalid_value", "timeout_seconds"),
        ({"survive_parent_close": 1}, "invalid_value", "survive_parent_close"),
        ({"metadata": []}, "invalid_value", "metadata"),
        ({"titel": "x"}, "unknown_field", "titel"),
        ({"run": ABSENT}, "not_found", "run"),
        ({"run": 5}, "not_found", "run"),
    ],
)
def test_sizes_types_and_references(
    world: World, body: dict[str, Any], code: str | None, field: str
) -> None:
    given = {"run": world.run(), "title": "T", **body}
    answer = world.agent.post("tasks", given)
    assert answer.status == 422, answer
    if code is not None:
        answer.refused(422, code, field)
    assert UserTask.objects.count() == 0


def test_the_longest_that_fits(world: World) -> None:
    run = world.run()
    body = {"run": run, "title": "x" * 200, "description": "x" * 20_000, "draft": "x" * 262_000}
    task = world.agent.post("tasks", body).ok(201)
    comment = "x" * 10_000
    world.decider.post(f"tasks/{task['id']}/approve", {"comment": comment + "x"}).refused(
        422, "too_long", "comment"
    )
    world.decider.post(f"tasks/{task['id']}/approve", {"comment": comment}).ok()


@pytest.mark.parametrize(
    "query", ["status=", "session=", "agent=", "status=pending&status=completed"]
)
def test_filters_that_say_less_than_they_seem_to(world: World, query: str) -> None:
    world.agent.get(f"tasks?{query}").refused(422, "invalid_value")


def test_a_filter_of_figures_is_no_less_clear(world: World) -> None:
    for more in ("agent=", "participant=", "agent=support&agent=research"):
        answer = world.agent.get(f"tasks/stats?from=2026-01-01&to=2026-02-01&{more}")
        answer.refused(422, "invalid_value", more.split("=")[0])


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("tasks?status=open", "pending, completed, cancelled"),
        ("tasks?timed_out=1", "true, false"),
        ("tasks?group=x", "approvals, aitl, anomaly, input"),
        ("tasks?due_before=soon", "2026-01-31T12:00:00Z"),
        ("sessions?status=x", "active, ended, terminated"),
        ("runs?status=x", "running, waiting, completed, failed, terminated"),
        ("tool-calls?status=x", "awaiting_approval"),
        ("guard/incidents?status=x", "open, acknowledged, resolved, dismissed"),
        ("guard/detections?effect=x", "allow, alert, review, block, terminate_session"),
    ],
)
def test_a_filter_says_what_it_takes(world: World, path: str, said: str) -> None:
    answer = world.agent.get(path)
    answer.refused(422, "invalid_value")
    assert said in answer["detail"]


@pytest.mark.parametrize("wait", ["-1", "60.1", "61", "", "x", "1e1", "+1", " 1", "nan", "1_0"])
def test_a_wait_that_would_not_be_kept(world: World, wait: str) -> None:
    path = f"runs/{world.run()}?wait={quote(wait)}"
    world.agent.get(path).refused(422, "invalid_value", "wait")


@pytest.mark.parametrize("query", ["limit=5&limit=6", "cursor=a&cursor=b", "q=a&q=b"])
def test_a_parameter_that_stands_twice(world: World, query: str) -> None:
    world.agent.get(f"tasks?{query}").refused(422, "invalid_value", query[: query.index("=")])


def test_a_session_may_be_waited_for(world: World) -> None:
    session = world.agent.post("sessions", {"agent": "support"}).ok(201)
    path = f"sessions/{session['id']}?wait=1"
    assert world.agent.get(path).ok().headers["X-Assent-Pending"] == "1"
    world.agent.post(f"sessions/{session['id']}/end").ok()
    ended = world.agent.get(path).ok()
    assert ended["status"] == "ended"
    assert "X-Assent-Pending" not in ended.headers


def test_a_key_that_is_taken_shows_the_task(world: World) -> None:
    """For a 409 on a task, `task` is its present representation."""
    body = {"agent": "support", "title": "T", "key": "k"}
    task = world.agent.post("tasks", body).ok(201)
    other = world.agent.post("tasks", {**body, "title": "Another"})
    other.refused(409, "idempotency_mismatch")
    taken = world.agent.post("tasks", {**body, "on_conflict": "fail"})
    taken.refused(409, "key_exists")
    assert other["task"] == taken["task"] == world.agent.get(f"tasks/{task['id']}").json


def test_what_is_wrong_is_said_in_plain_words(world: World) -> None:
    body = {"agent": "support", "title": "T", "kind": "text", "input": {"pattern": "("}}
    said = world.agent.post("tasks", body)
    said.refused(422, "invalid_value", "input.pattern")
    assert "b'" not in said["errors"][0]["detail"]
    auth = {"type": "header", "name": "Host", "value": "x"}
    body = {"name": "P", "kind": "http", "base_url": "https://example.com", "auth": auth}
    said = world.admin.put("integrations/new", body)
    said.refused(422, "invalid_value", "auth.name")
    assert said["errors"][0]["detail"] == ("This header is set by the credential or when sending.")


def test_a_revision_that_is_none_is_not_one_that_is_missing(world: World) -> None:
    task = world.agent.post("tasks", {"agent": "support", "title": "T", "draft": "a"}).ok(201)
    path = f"tasks/{task['id']}"
    for wrong in ("1", 1.5, True, [1]):
        body = {"draft": "b", "revision": wrong}
        world.agent.put(f"{path}/draft", body).refused(422, "invalid_value", "revision")
    world.agent.put(f"{path}/draft", {"draft": "b"}).refused(428, "revision_required")
    world.agent.put(f"{path}/draft", {"draft": "b", "revision": 1}).ok()
    answer = world.decider.post(f"{path}/approve", {"revision": "2"})
    answer.refused(422, "invalid_value", "revision")
    world.decider.post(f"{path}/approve", {}).refused(428, "revision_required")
    world.decider.post(f"{path}/approve", {"revision": 1}).refused(409, "stale_revision")


def test_ids_in_filters_have_one_spelling(world: World) -> None:
    run = world.run()
    assert len(world.agent.get(f"tasks?run={run}").ok()["results"]) == 0
    for odd in (f"urn:uuid:{run}", f"{{{run}}}", run.replace("-", "")):
        world.agent.get(f"tasks?run={odd}").refused(422, "invalid_value", "run")


@pytest.mark.parametrize(
    "path", ["agents/support", "integrations/payments", "integrations/payments/operations/refund"]
)
def test_one_object_takes_no_parameters(world: World, path: str) -> None:
    world.agent.get(f"{path}?x=1").refused(422, "unknown_filter", "x")


def test_links_of_pages_are_absolute_and_keep_the_filters(world: World) -> None:
    run = world.run()
    for number in range(3):
        world.agent.post("tasks", {"run": run, "title": f"T{number}"}).ok(201)
    page = world.agent.get(f"tasks?run={run}&limit=2&ordering=created_at").ok()
    assert page["next"].startswith("http://testserver/api/v1/tasks?")
    rest = world.agent.get(page["next"].removeprefix("http://testserver")).ok()
    assert [row["title"] for row in rest["results"]] == ["T2"]
    assert rest["next"] is None
    cursor = re.search(r"cursor=([^&]+)", page["next"])
    assert cursor is not None
    world.agent.get(f"tasks?cursor={cursor[1]}").refused(422, "invalid_value", "cursor")


def test_names_that_are_too_long(world: World) -> None:
    long = "x" * 61
    bodies = {
        f"agents/{long}": {"name": "A", "tasks_enabled": True},
        f"integrations/{long}": {"name": "I", "kind": "client"},
        f"integrations/payments/operations/{long}": {"name": "O", "effect": "read"},
        f"webhooks/{long}": {"url": "https://example.com/", "events": ["run.ended"]},
    }
    for path, body in bodies.items():
        world.admin.put(path, body).refused(422, "too_long", "slug")
        world.admin.get(path).refused(404, "not_found")


def test_a_bound_key_changes_its_own_agent_only(world: World) -> None:
    bound = Api(world.cast.key("admin", name="bound", agent=world.cast.support))
    body = {"name": "S", "tasks_enabled": True}
    bound.put("agents/research", body).refused(403, "wrong_agent")
    bound.put("agents/new", body).refused(403, "wrong_agent")
    bound.get("agents/research").refused(404, "not_found")
    bound.put("agents/support", body).ok()


@pytest.mark.parametrize("kind", [{}, [], 5, None, {"a": 1}])
def test_credentials_of_no_kind(world: World, kind: object) -> None:
    body = {"name": "P", "kind": "http", "base_url": "https://example.com", "auth": {"type": kind}}
    world.admin.put("integrations/new", body).refused(422, "invalid_value", "auth.type")


def test_credentials_that_no_header_holds(world: World) -> None:
    auth = {"type": "bearer", "token": "x" * 4_001}
    body = {"name": "P", "kind": "http", "base_url": "https://example.com", "auth": auth}
    world.admin.put("integrations/new", body).refused(422, "too_long", "auth.token")


def test_media_types(world: World) -> None:
    body = b'{"agent": "support"}'
    for kind in ("application/json", "application/json; charset=utf-8", "APPLICATION/JSON"):
        world.agent.post("sessions", body, Content_Type=kind).ok(201)
    for kind in ("application/problem+json", "text/json", "application/jsonp"):
        world.agent.post("sessions", body, Content_Type=kind).refused(415, "unsupported_media_type")
    world.agent.post("sessions", body, Content_Encoding="identity").ok(201)
    for coding in ("gzip", "deflate", "br"):
        packed = gzip.compress(body) if coding == "gzip" else body
        answer = world.agent.post("sessions", packed, Content_Encoding=coding)
        answer.refused(415, "unsupported_media_type")
    assert Session.objects.count() == 4


def test_a_body_may_be_left_out_where_nothing_is_required(world: World) -> None:
    run = world.run()
    assert world.agent.post(f"runs/{run}/complete").ok()["status"] == "completed"
    session = world.agent.get(f"runs/{run}")["session"]
    assert world.agent.post(f"sessions/{session}/end").ok()["status"] == "ended"


def test_arguments_that_do_not_fit_leave_no_call(world: World) -> None:
    body = {"run": world.run(), "operation": "payments.refund", "arguments": {"amount": "x"}}
    refusal = world.agent.post("tool-calls", body)
    refusal.refused(422, refusal.code)
    fields = {error["field"] for error in refusal["errors"]}
    assert fields == {"/arguments/amount", "/arguments/charge"}
    assert ToolCall.objects.count() == 0


def test_every_fault_of_arguments_is_named_from_the_root_of_the_body(world: World) -> None:
    path = "integrations/payments/operations/look"
    operation = {
        "name": "Look",
        "effect": "read",
        "method": "GET",
        "path": "/things/{id}",
        "parameters": {"properties": {"n": {"type": "integer"}}},
        "requires_approval": True,
        "approval": {"allow_edit": True},
    }
    wrong = {**operation, "parameters": {"properties": {"n": {"type": "whole"}}}}
    world.admin.put(path, wrong).refused(422, "invalid_value", "/parameters/properties/n/type")
    world.admin.put(path, operation).ok(201)
    run = world.run()

    def call(arguments: Any) -> Answer:
        body = {"run": run, "operation": "payments.look", "arguments": arguments}
        return world.agent.post("tool-calls", body)

    call({"id": "a", "n": "x"}).refused(422, "invalid_value", "/arguments/n")
    call({"id": ".."}).refused(422, "invalid_value", "/arguments/id")
    call({}).refused(422, "required", "/arguments/id")
    call({"id": "a", "q/r": {}}).refused(422, "invalid_value", "/arguments/q~1r")
    call({"id": "a\0"}).refused(422, "invalid_value", "/arguments/id")
    task = call({"id": "a"}).ok(201)["task"]
    for draft, field in (({"id": "a", "n": "x"}, "/draft/n"), ({"id": ".."}, "/draft/id")):
        world.decider.put(f"tasks/{task}/draft", {"draft": draft, "revision": 1}).refused(
            422, "invalid_value", field
        )
        body = {"action": "approve", "draft": draft, "revision": 1}
        world.decider.post(f"tasks/{task}/complete", body).refused(422, "invalid_value", field)


def order(world: World, answers: list[Answer]) -> list[int]:
    return [answer.status for answer in answers]


def test_the_order_of_checks_when_something_is_made(world: World) -> None:
    """401, then 400 and 415, then 403, then 422."""
    reader = Api(world.cast.key("read", name="reader"))
    bad = b'{"agent": '
    assert order(
        world,
        [
            Api().post("sessions", bad),
            reader.post("sessions", bad),
            reader.post("sessions", b"x", Content_Type="text/plain"),
            reader.post("sessions", {"agent": 5}),
            world.agent.post("sessions", {"agent": 5}),
        ],
    ) == [401, 400, 415, 403, 422]


def test_the_order_of_checks_on_something_that_is_there(world: World) -> None:
    """400, then 404, then 403, then 409, then 422."""
    run = world.run()
    reader = Api(world.cast.key("read", name="reader"))
    answers = [
        reader.post(f"runs/{ABSENT}/fail", b"{"),
        reader.post(f"runs/{ABSENT}/fail", {}),
        reader.post(f"runs/{run}/fail", {}),
        world.agent.post(f"runs/{run}/fail", {}),
    ]
    world.agent.post(f"runs/{run}/complete").ok()
    answers.append(world.agent.post(f"runs/{run}/fail", {"error": "x"}))
    assert order(world, answers) == [400, 404, 403, 422, 409]


def test_a_request_id_stands_in_refusals_too(world: World) -> None:
    for answer in (
        Api().get("tasks", X_Request_ID="r-1"),
        world.agent.get("nowhere", X_Request_ID="r-1"),
        world.agent.post("tasks", b"{", X_Request_ID="r-1"),
    ):
        assert answer.headers["X-Request-ID"] == "r-1"


def test_urls_lead_to_the_back_office(world: World) -> None:
    call = world.refund(900).ok(201)
    for path in (f"tool-calls/{call['id']}", f"tasks/{call['task']}", f"runs/{call['run']}"):
        assert world.agent.get(path).ok()["url"].startswith("http://testserver/admin/")
