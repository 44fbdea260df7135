"""Another workspace's object reads exactly like one that does not exist (promise 11).

Generated from the routes: every address with an id, every verb, keys of every scope. A new route
without a foreign object here fails.
"""

import re
from collections.abc import Iterator

import pytest
from django.urls import URLPattern, get_resolver

from accounts_app.models import AuditEntry
from accounts_app.scoping import system_actor
from accounts_app.services.agents import put_agent
from accounts_app.services.api_keys import create_api_key
from integrations_app.models import Run, Session, ToolCall
from tasks_app.models import Decision, UserTask
from tests.api_client import Answer, Api
from tests.conftest import World

ABSENT = "01900000-0000-7000-8000-000000000000"
SCOPES = ("runs", "read", "decide", "admin", "runs,read,admin", "read,decide,admin")
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
OPEN = {"schema/", "docs/"}


def routes() -> Iterator[str]:
    for resolver in get_resolver("config.api").url_patterns:
        assert isinstance(resolver, URLPattern)
        route = str(resolver.pattern)
        if not route.startswith("^"):
            yield route


ROUTES = list(routes())
WITH_ID = [route for route in ROUTES if "<" in route]


@pytest.fixture
def foreign(world: World) -> dict[str, str]:
    """Objects of the demo's workspace, by the beginning of their address."""
    run = world.run()
    call = world.refund(900, run).ok(201)
    hook = {"url": "https://example.com/x", "events": ["task.created"], "enabled": True}
    world.admin.put("webhooks/ops", hook).ok(201)
    rule = {
        "name": "R",
        "detector": "repeated_call",
        "parameters": {"limit": 3},
        "applies_to": {},
        "effect": "alert",
        "enabled": True,
    }
    world.admin.put("guard/rules/r", rule).ok(201)
    return {
        "agents/<slug:slug>": "support",
        "sessions/<str:pk>": str(Run.objects.get(pk=run).session_id),
        "runs/<str:pk>": run,
        "tool-calls/<str:pk>": call["id"],
        "tasks/<str:pk>": call["task"],
        "integrations/<slug:slug>": "payments",
        "integrations/<slug:integration>/operations/<slug:slug>": "payments refund",
        "webhooks/deliveries/<str:pk>": ABSENT,
        "webhooks/<slug:slug>": "ops",
        "guard/rules/<slug:slug>": "r",
        "guard/incidents/<str:pk>": ABSENT,
        "guard/replays/<str:pk>": ABSENT,
    }


def filled(route: str, foreign: dict[str, str]) -> tuple[str, str]:
    """The address of the foreign object, and of one that does not exist."""
    known = sorted((prefix for prefix in foreign if route.startswith(prefix)), key=len)
    assert known, f"Give {route} a foreign object in this test."
    present, absent = route, route
    for value in foreign[known[-1]].split():
        missing = "nobody-has-this" if value != ABSENT and not _is_id(value) else ABSENT
        present = re.sub(r"<[^>]+>", value, present, count=1)
        absent = re.sub(r"<[^>]+>", missing, absent, count=1)
    return re.sub(r"<[^>]+>", "acknowledge", present), re.sub(r"<[^>]+>", "acknowledge", absent)


def _is_id(value: str) -> bool:
    return re.fullmatch(r"[0-9a-f-]{36}", value) is not None


def told(answer: Answer) -> tuple[int, object]:
    body = dict(answer.json) if isinstance(answer.json, dict) else answer.text
    if isinstance(body, dict):
        body.pop("instance", None)
        body.pop("request_id", None)
    return answer.status, body


def counted() -> tuple[int, ...]:
    models = (Session, Run, ToolCall, UserTask, Decision, AuditEntry)
    return tuple(model.objects.count() for model in models)


@pytest.mark.parametrize("route", WITH_ID)
def test_a_foreign_object_is_not_there(world: World, foreign: dict[str, str], route: str) -> None:
    here, nowhere = filled(route, foreign)
    other = world.cast.other
    keys = {}
    for scopes in SCOPES:
        actor = system_actor(other.pk)
        _, token = create_api_key(actor, name=f"k {scopes}", scopes=scopes.split(","))
        keys[scopes] = Api(token, checked=False)
    state = UserTask.objects.values_list("status", "revision").get(pk=foreign["tasks/<str:pk>"])
    before = counted()
    for scopes, api in keys.items():
        for verb in VERBS:
            if verb == "PUT" and here in _creatable(foreign):
                continue  # it makes an object of the same name in the caller's own workspace
            present, absent = api.ask(verb, here, {}), api.ask(verb, nowhere, {})
            assert present.status < 500, (scopes, verb, here, present)
            assert present.status not in (200, 201, 202, 204), (scopes, verb, here, present)
            left = str(told(absent)).replace("nobody-has-this", "?").replace(ABSENT, "?")
            right = str(told(present))
            for value in foreign[_prefix(route, foreign)].split():
                right = right.replace(value, "?")
                left = left.replace(value, "?")
            assert right == left, (scopes, verb, here)
    assert counted() == before
    after = UserTask.objects.values_list("status", "revision").get(pk=foreign["tasks/<str:pk>"])
    assert after == state


def _prefix(route: str, foreign: dict[str, str]) -> str:
    return max((prefix for prefix in foreign if route.startswith(prefix)), key=len)


def _creatable(foreign: dict[str, str]) -> set[str]:
    return {"agents/support", "integrations/payments", "webhooks/ops", "guard/rules/r"}


LISTS = [route for route in ROUTES if "<" not in route and route not in OPEN]


@pytest.mark.parametrize("route", LISTS)
def test_a_list_shows_nothing_foreign(world: World, foreign: dict[str, str], route: str) -> None:
    actor = system_actor(world.cast.other.pk)
    _, token = create_api_key(actor, name="reader", scopes=["read", "admin"])
    query = "?from=2020-01-01&to=2099-01-01" if route == "tasks/stats" else ""
    answer = Api(token).get(route + query)
    assert answer.status in (200, 403, 405, 422), answer
    for value in foreign.values():
        if value != ABSENT and _is_id(value):
            assert value not in answer.text
    if answer.status == 200 and isinstance(answer.json, dict) and "results" in answer.json:
        assert answer["results"] == []


@pytest.mark.parametrize("route", [route for route in ROUTES if route not in OPEN])
def test_without_a_key_nothing_answers(world: World, foreign: dict[str, str], route: str) -> None:
    address = filled(route, foreign)[0] if "<" in route else route
    for verb in VERBS:
        for api in (Api(checked=False), Api("assent_000000000000_nonsense", checked=False)):
            answer = api.ask(verb, address, {})
            assert answer.status == 401, (verb, address, answer)
    query = world.agent.headers["Authorization"].partition(" ")[2]
    assert Api(checked=False).get(f"{address}?api_key={query}&token={query}").status == 401


FOREIGN_IN_BODIES = [
    ("runs", {"session": "session"}),
    ("runs", {"session": "own session", "parent_run": "run"}),
    ("tool-calls", {"run": "run", "operation": "payments.refund", "arguments": {}}),
    ("tasks", {"run": "run", "title": "T"}),
]


@pytest.mark.parametrize(("path", "body"), FOREIGN_IN_BODIES)
def test_a_foreign_id_in_a_body(
    world: World, foreign: dict[str, str], path: str, body: dict[str, object]
) -> None:
    actor = system_actor(world.cast.other.pk)
    put_agent(actor, slug="theirs", name="Theirs", tasks_enabled=True)
    _, token = create_api_key(actor, name="agent", scopes=["runs"])
    api = Api(token)
    own = api.post("sessions", {"agent": "theirs"}).ok(201)["id"]
    ids = {
        "session": foreign["sessions/<str:pk>"],
        "own session": own,
        "run": foreign["runs/<str:pk>"],
    }
    sent = {name: ids.get(str(value), value) for name, value in body.items()}
    before = counted()
    answer = api.post(path, sent)
    assert (answer.status, answer.code) == (422, "not_found"), answer
    assert counted() == before
