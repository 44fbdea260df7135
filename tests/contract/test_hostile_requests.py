"""Whatever is sent to whichever endpoint: a refusal that says what is wrong, and nothing changed.

The bodies are the examples of the contract with something hostile in them, and bytes that are no
JSON at all. `ASSENT_HOSTILE_EXAMPLES` says how many are tried for each endpoint.
"""

import json
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from django.apps import apps
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from config.contract.body_examples import BODIES
from config.contract.words import RUN_ID, SESSION_ID, TASK_ID
from integrations_app.models import Delivery, Run, Session
from tasks_app.models import UserTask
from tests.answers import Answer
from tests.api_client import Api
from tests.conftest import World
from tests.contract_check import document

EXAMPLES = int(os.environ.get("ASSENT_HOSTILE_EXAMPLES", "5"))
TRIED = settings(
    max_examples=EXAMPLES,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
DECIDES = ("complete", "approve", "reject", "bulk-complete", "ask", "extend", "input")
SETS_UP = ("agents", "integrations", "guard", "webhooks")
UNCHANGED = ("RateCount", "ApiKey", "IdempotencyRecord", "Session", "ContentType", "Wake")
"""Counts of requests, and when a key was last used, change with any request."""


@dataclass(frozen=True)
class Raw:
    """A piece of JSON text, right or wrong."""

    text: str
    code: str = ""
    """The refusal's code where nothing else can be wrong before it."""


NO_JSON = [
    Raw("NaN", "parse_error"),
    Raw("-Infinity", "parse_error"),
    Raw('{"a": 1, "a": 2}', "parse_error"),
    Raw('{"a": 1, "\\u0061": 2}', "parse_error"),
    Raw('"\\ud800"', "parse_error"),
    Raw('{"\\udc00": 1}', "parse_error"),
    Raw("[" * 40 + "]" * 40, "parse_error"),
    Raw('{"a":' * 5_000 + "1" + "}" * 5_000, "parse_error"),
    Raw("01", "parse_error"),
    Raw("'a'", "parse_error"),
    Raw("undefined", "parse_error"),
]
NO_VALUE = [
    Raw('"a\\u0000b"'),
    Raw("9" * 400),
    Raw("9223372036854775808"),
    Raw("1e400"),
    Raw("-0.0"),
    Raw("1e-400"),
    Raw("[]"),
    Raw("{}"),
    Raw("[[[]]]"),
    Raw("null"),
    Raw("true"),
    Raw('""'),
    Raw('" "'),
    Raw('"\\u202e\\u2066"'),
    Raw('"{0.__class__}{{7*7}}%(x)s${x}"'),
    Raw('"' + "x" * 30_000 + '"'),
    Raw('"\' OR 1=1 --"'),
    Raw('{"__proto__": {"a": 1}, "id__in": [1]}'),
]
NO_BODY = [
    b"",
    b" ",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
    b'{"a": "\xed\xa0\x80"}',
    b'{"a": "\xff"}',
    b"{}{}",
    b"[" * 100_000,
    b'{"a": ' + b"1" * 5_000 + b"}",
    b"a=b&c=d",
    b"--x\r\nContent-Disposition: form-data\r\n",
]


def dumped(value: Any) -> str:
    """JSON, with the raw pieces as they are."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {dumped(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(dumped, value)) + "]"
    return json.dumps(value)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a body at which something can stand instead."""
    found = [at] if at else []
    if isinstance(value, dict):
        found += [place for name in value for place in places(value[name], (*at, name))]
    if isinstance(value, list):
        found += [place for n, item in enumerate(value) for place in places(item, (*at, n))]
    return found


def put(value: Any, at: tuple[Any, ...], piece: Any) -> Any:
    """The value with a piece at that place."""
    if not at:
        return piece
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = put(copy[at[0]], at[1:], piece)
    return copy


def bodies(example: dict[str, Any]) -> st.SearchStrategy[tuple[bytes, str]]:
    """Hostile bodies that are made from an example, with the code that must refuse each."""

    def spoiled(place: tuple[Any, ...], piece: Raw) -> tuple[bytes, str]:
        return dumped(put(example, place, piece)).encode(), piece.code

    def twice(name: str) -> tuple[bytes, str]:
        text = dumped(example)[:-1] + f", {json.dumps(name)}: 1}}"
        return text.encode(), "parse_error"

    members = st.sampled_from([*example, "unknown"])
    somewhere = st.sampled_from(places({**example, "unknown": None}))
    whole = {**example, "unknown": None}
    wrong = st.sampled_from(NO_JSON)
    return st.one_of(
        st.builds(
            lambda at, piece: (dumped(put(whole, at, piece)).encode(), "parse_error"),
            somewhere,
            wrong,
        ),
        st.builds(spoiled, st.sampled_from(places(example) or [()]), st.sampled_from(NO_VALUE)),
        members.filter(lambda name: name in example).map(twice) if example else st.nothing(),
        st.sampled_from(NO_BODY).map(lambda body: (body, "")),
        st.binary(max_size=60).map(lambda body: (body, "")),
    )


class Target:
    """The endpoints, with rows behind their addresses that are fresh where they were used up."""

    def __init__(self, world: World) -> None:
        self.world = world
        put_up(world)

    def key(self, path: str) -> Api:
        last, first = path.rpartition("/")[2], path.split("/")[0]
        if last in DECIDES:
            return self.world.decider
        return self.world.admin if first in SETS_UP else self.world.agent

    def fill(self, path: str) -> str:
        """The address with ids of what is there."""
        if path.startswith("webhooks/deliveries"):
            return path.replace("{id}", str(Delivery.objects.latest("created_at").pk))
        names = {
            "agents": "research",
            "integrations": "spare",
            "webhooks": "ops",
            "guard": "odd",
        }
        path = path.replace("{integration}", "spare")
        first = path.split("/")[0]
        slug = "spare" if "/operations/" in path else names.get(first, "")
        return path.replace("{slug}", slug).replace("{id}", self.row(first))

    def row(self, kind: str) -> str:
        run = Run.objects.filter(status__in=["running", "waiting"]).first()
        if run is None or run.session.status != "active":
            run = Run.objects.get(pk=self.world.run())
        if kind == "sessions":
            return str(run.session_id)
        if kind in ("tasks", "tool-calls"):
            task = UserTask.objects.filter(status="pending", tool_call__isnull=False).first()
            if task is None:
                call = self.world.refund(900, str(run.pk)).ok(201)
                task = UserTask.objects.get(pk=call["task"])
            return str(task.pk if kind == "tasks" else task.tool_call_id)
        return str(run.pk)

    def example(self, name: str) -> dict[str, Any]:
        """A body of the contract that names what is there."""
        text = json.dumps(BODIES.get(name, {}))
        for shown, kind in ((RUN_ID, "runs"), (SESSION_ID, "sessions"), (TASK_ID, "tasks")):
            if shown in text:
                text = text.replace(shown, self.row(kind))
        return dict(json.loads(text))


def put_up(world: World) -> None:
    hook = {"url": "https://example.com/", "events": ["task.created"], "enabled": True}
    world.admin.put("webhooks/ops", hook).ok(201)
    world.admin.post("webhooks/ops/ping").ok(202)
    world.admin.put("guard/rules/odd", {**BODIES["RuleBody"], "enabled": False}).ok(201)
    # Brought to any state that a body may ask for, so that nothing else rests on them.
    world.admin.put("integrations/spare", {"name": "Spare", "kind": "client"}).ok(201)
    operation = {"name": "Spare", "effect": "read"}
    world.admin.put("integrations/spare/operations/spare", operation).ok(201)
    for api in (world.agent, world.decider, world.admin):
        api.checked = False


@pytest.fixture
def target(world: World, settings: Any) -> Target:
    settings.ASSENT_THROTTLE_PER_MINUTE = 0
    return Target(world)


def written() -> list[tuple[str, str, str]]:
    """Every endpoint that writes: method, path and the name of its body."""
    found = []
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            if method == "get" or not path.startswith("/api/v1/"):
                continue
            content = operation.get("requestBody", {}).get("content", {})
            schema = content.get("application/json", {}).get("schema", {}).get("$ref", "")
            found.append((method.upper(), path[len("/api/v1/") :], schema.rpartition("/")[2]))
    return found


def read() -> list[tuple[str, list[str]]]:
    """Every endpoint that reads: path and the names of its query."""
    return [
        (path[len("/api/v1/") :], [p["name"] for p in get["parameters"] if p["in"] == "query"])
        for path, methods in document()["paths"].items()
        if path.startswith("/api/v1/") and (get := methods.get("get"))
    ]


def everything() -> dict[str, list[Any]]:
    """Every row of the product, but what counts requests."""
    return {
        model.__name__: list(model._default_manager.order_by("pk").values_list())
        for model in apps.get_models()
        if model.__module__.partition(".")[0].endswith("_app") and model.__name__ not in UNCHANGED
    } | {"Sessions": list(Session.objects.order_by("pk").values_list())}


def check(answer: Answer, before: dict[str, list[Any]], code: str = "") -> None:
    """A refusal is a problem document and changed nothing."""
    assert answer.status < 500, answer
    if answer.status < 400:
        assert not code, answer
        return
    assert answer.headers["Content-Type"] == "application/problem+json", answer
    assert answer.json["status"] == answer.status
    assert answer.json["title"]
    assert answer.json["detail"]
    if code:
        assert (answer.status, answer.code) == (400, code), answer
    if answer.status == 422:
        assert answer["errors"], answer
    assert everything() == before


def lists_open(world: World) -> None:
    """After any input every list still opens."""
    for path, names in read():
        if "cursor" in names and "{" not in path:
            world.admin.get(path) if path.startswith(SETS_UP) else world.agent.get(path)
            key = world.admin if path.startswith(SETS_UP) else world.agent
            key.get(f"{path}?limit=100").ok()


def many(name: str, strategy: st.SearchStrategy[Any], act: Callable[[Any], None]) -> None:
    """Do this with what is drawn, many times; the same at every run, another for each name."""

    @seed(zlib.crc32(name.encode()))
    @TRIED
    @given(strategy)
    def each(drawn: Any) -> None:
        act(drawn)

    each()


def test_hostile_bodies_are_refused_and_change_nothing(target: Target) -> None:
    endpoints = written()
    assert len(endpoints) >= 34

    def send(method: str, path: str, name: str) -> None:
        def act(data: st.DataObject) -> None:
            address = target.fill(path)
            body, code = data.draw(bodies(target.example(name)))
            before = everything()
            check(target.key(path).ask(method, address, body), before, code)

        many(f"{method} {path}", st.data(), act)

    for endpoint in endpoints:
        send(*endpoint)
    lists_open(target.world)


HEADERS = {
    "Idempotency_Key": ["", " ", "x" * 256, "\t", "a\x00b", "\u00e4", "\x7f", "'; --"],
    "X_Request_ID": ["", "x" * 5_000, "a b", "\u00e4", "{}", "../..", "\x1b[31m"],
    "Content_Type": [
        "",
        "text/plain",
        "application/xml",
        "application/json; charset=utf-16",
        "application/json; charset=nonsense",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        ";",
        "/",
        "application/json" + "; a=b" * 500,
    ],
    "Accept": ["", "text/html", ";;;", "*/*;q=nonsense", "\u00e4"],
    "Content_Encoding": ["gzip", "nonsense"],
    "X_HTTP_Method_Override": ["DELETE"],
    "Content_Length": ["nonsense", "1e3", "99999999"],
    "Authorization": [
        "",
        "Bearer",
        "Bearer ",
        "Bearer \x00",
        "Bearer \u00e4",
        "Bearer " + "x" * 10_000,
        "Basic YTpi",
        "bearer a b c",
    ],
}


def test_hostile_headers_are_refused_and_change_nothing(target: Target) -> None:
    def send(method: str, path: str) -> None:
        def act(header: tuple[str, str]) -> None:
            address = target.fill(path)
            before = everything()
            # The body is refused in any case, so that whatever changes is a fault.
            answer = target.key(path).ask(method, address, b'{"": ', **dict([header]))
            assert answer.status in (400, 401, 413, 415, 422), answer
            check(answer, before)

        every = st.sampled_from([(name, value) for name in HEADERS for value in HEADERS[name]])
        many(f"{method} {path}", every, act)

    for method, path, _ in written():
        send(method, path)


VALUES = [
    "",
    "\x00",
    "\ud800",
    "x" * 3_000,
    "-1",
    "0",
    "101",
    "1e400",
    "NaN",
    "9" * 400,
    "true",
    "null",
    "[]",
    "{}",
    "' OR 1=1 --",
    "a__in",
    "%",
    "\u202e",
    "2026-13-45",
    "0000-00-00T00:00:00Z",
    "9999-12-31T23:59:59.999999+14:00",
    "-infinity",
    "pending,completed,",
    "urn:uuid:01900000-0000-7000-8000-000000000000",
]
NAMES = ["unknown", "status__in", "workspace", "id__gte", "\x00", "cursor", "limit", "ordering"]


def query(name: str, value: str) -> str:
    return f"{quote(name)}={quote(value.encode('utf-8', 'surrogatepass'))}"


def test_hostile_queries_are_refused(target: Target) -> None:
    for number in range(3):
        target.world.agent.post("tasks", {"agent": "support", "title": f"T{number}"}).ok(201)
    cursor = target.world.agent.get("tasks?limit=1").ok()["next"].partition("cursor=")[2]
    cursor = cursor.partition("&")[0]
    forged = [cursor[:-3], cursor[::-1], cursor + "AA", "e30=", "bnVsbA==", "eyJhIjogMX0", "=" * 8]

    def send(path: str, names: list[str]) -> None:
        def act(asked: list[tuple[str, str]]) -> None:
            text = "&".join(query(name, value) for name, value in asked)
            address = target.fill(path)
            before = everything()
            answer = target.key(path).ask("GET", f"{address}?{text}")
            assert answer.status in (200, 404, 422), (text, answer)
            check(answer, before)
            assert everything() == before, "a GET changes nothing"

        name = st.sampled_from([*names, *NAMES])
        value = st.sampled_from([*VALUES, *forged])
        many(path, st.lists(st.tuples(name, value), min_size=1, max_size=3), act)

    for path, names in read():
        if path not in ("schema/", "docs/"):
            send(path, names)


def test_bytes_that_are_no_text_in_a_query_are_refused(target: Target) -> None:
    for text in ("%ff", "q=%ff%fe", "q=%00", "%00=1", "q", "&&&", "=", "?", "q=%", "q=%zz"):
        answer = target.world.agent.ask("GET", f"tasks?{text}")
        assert answer.status in (200, 422), (text, answer)
