"""Outbound requests go where an admin said, and nowhere else (promise 15)."""

import time
from collections.abc import Callable, Sequence
from uuid import UUID

import pytest

from integrations_app.client import (
    NoAnswer,
    NotSent,
    Origin,
    OutboundPolicy,
    OutboundRequest,
    send,
)
from integrations_app.models import Integration, Webhook
from integrations_app.services.deliveries import deliver
from integrations_app.services.execution import execute
from tasks_app.services.sweeping import sweep
from tests.conftest import World
from tests.harness.receiver import Receiver
from tests.security.addresses import HOSTS, NAMES, TRICKS, URLS


def test_the_corpus_is_large_enough() -> None:
    assert len(set(URLS)) >= 150


@pytest.mark.parametrize("allow_private", [False])
def test_no_connection_to_any_of_them(connections: list[str], allow_private: bool) -> None:
    """Where an integration's base URL had come into the database by whatever way."""
    reached_mark = []
    for url in URLS:
        try:
            origin = Origin.of(url)
        except ValueError:
            continue
        request = OutboundRequest("GET", url, (), b"")
        with pytest.raises((NotSent, ValueError)):
            send(
                request,
                OutboundPolicy(origin, allow_private=allow_private, connect_seconds=2),
                before_first_byte=lambda url=url: reached_mark.append(url),
            )
    assert connections == []
    assert reached_mark == []


NEVER = [
    host
    for host in HOSTS
    if host.startswith(("169.254", "[fe80", "0.0.0.0", "224.", "255.")) and "%" not in host
]


@pytest.mark.parametrize("host", NEVER)
def test_what_no_admin_can_allow(connections: list[str], host: str) -> None:
    origin = Origin.of(f"http://{host}/")
    with pytest.raises(NotSent) as refusal:
        send(
            OutboundRequest("GET", f"http://{host}/", (), b""),
            OutboundPolicy(origin, allow_private=True, connect_seconds=2),
            before_first_byte=lambda: None,
        )
    assert refusal.value.code in ("address_refused", "not_resolved")
    assert connections == []


def test_as_a_base_url(world: World, connections: list[str]) -> None:
    """Refused when it is entered, or, where only a resolver can know, when it is called."""
    refused = entered = 0
    for number, url in enumerate(URLS):
        body = {"name": "X", "kind": "http", "base_url": url, "auth": {"type": "none"}}
        answer = world.admin.put(f"integrations/x{number}", body)
        assert answer.status in (201, 422), (url, answer)
        refused += answer.status == 422
        entered += answer.status == 201
    assert refused >= 150
    assert Integration.objects.filter(slug__startswith="x").count() == entered
    assert connections == []
    for integration in Integration.objects.filter(slug__startswith="x"):
        body = {"name": "Go", "method": "GET", "path": "/go", "effect": "read"}
        body["requires_approval"] = False
        world.admin.put(f"integrations/{integration.slug}/operations/go", body).ok(201)
        asked = {"run": world.run(), "operation": f"{integration.slug}.go", "arguments": {}}
        call = world.agent.post("tool-calls", asked)
        if call.status == 201:
            execute(UUID(call["id"]))
    assert connections == []


def test_as_a_webhook(world: World, connections: list[str]) -> None:
    entered = 0
    for number, url in enumerate(URLS):
        body = {"url": url, "events": ["task.created"], "enabled": True}
        answer = world.admin.put(f"webhooks/w{number}", body)
        assert answer.status in (201, 422), (url, answer)
        entered += answer.status == 201
    assert Webhook.objects.count() == entered
    world.agent.post("tasks", {"agent": "support", "title": "News"}).ok(201)
    for webhook in Webhook.objects.all():
        deliver(webhook.pk)
    assert connections == []


def test_in_an_openapi_document(world: World, connections: list[str]) -> None:
    """Neither its servers nor its references are looked up."""
    document = {
        "openapi": "3.0.3",
        "info": {"title": "X", "version": "1"},
        "servers": [{"url": "http://169.254.169.254/latest"}],
        "paths": {
            "/things": {
                "get": {
                    "operationId": "things",
                    "parameters": [{"$ref": "http://127.0.0.1:6379/evil.json#/x"}],
                    "responses": {"200": {"description": "Things"}},
                }
            }
        },
    }
    before = Integration.objects.get(slug="payments").base_url
    answer = world.admin.post("integrations/payments/import-openapi", {"document": document})
    assert answer.status in (200, 422), answer
    assert connections == []
    assert Integration.objects.get(slug="payments").base_url == before


PATH_ARGUMENTS = [
    "@evil.example",
    "//evil.example",
    "/evil",
    "../../admin",
    "..",
    ".",
    "%2e%2e/admin",
    "%2e%2e",
    "..%2fadmin",
    "a/b",
    "a\\b",
    "\\\\evil.example",
    "a?admin=1",
    "a#fragment",
    "a;b",
    "a b",
    "ü",
    "💥",
    "a%00b",
    "a%0d%0aHost: evil",
    ":8080",
    "http://evil.example/",
    "{charge}",
    "${x}",
    "{0.__class__}",
    "%s",
]


def test_in_a_path_argument(world: World) -> None:
    """One segment stays one segment, under the template's own prefix."""
    world.operation("charge_lookup", requires_approval=False, approval=None).ok()
    run = world.run()
    sent = 0
    for value in PATH_ARGUMENTS:
        body = {
            "run": run,
            "operation": "payments.charge_lookup",
            "arguments": {"charge": value},
        }
        answer = world.agent.post("tool-calls", body)
        assert answer.status in (201, 422), (value, answer)
        if answer.status == 201:
            execute(UUID(answer["id"]))
            sent += 1
    assert len(world.receiver.hits) == sent
    assert sent >= 10
    for hit in world.receiver.hits:
        prefix, _, segment = hit.path.rpartition("/")
        assert prefix == "/ok/charges", hit.path
        assert segment not in ("", ".", ".."), hit.path
        assert not set(segment) & set("?#\\"), hit.path
        assert hit.header("Host") == f"127.0.0.1:{world.receiver.port}"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_inside(connections: list[str], name: str) -> None:
    with pytest.raises(NotSent):
        send(
            OutboundRequest("GET", f"http://{name}/", (), b""),
            OutboundPolicy(Origin.of(f"http://{name}/"), connect_seconds=2),
            before_first_byte=lambda: None,
            resolve=lambda host, port: ["127.0.0.1"],
        )
    assert connections == []


@pytest.mark.parametrize(
    "answers",
    [
        [["93.184.216.34"], ["127.0.0.1"]],
        [["93.184.216.34", "127.0.0.1"]],
        [["127.0.0.1", "93.184.216.34"]],
        [["::ffff:127.0.0.1"]],
        [["64:ff9b::a9fe:a9fe"]],
    ],
)
def test_a_resolver_that_changes_its_mind(connections: list[str], answers: list[list[str]]) -> None:
    """It is asked once, every address is looked at, and the one looked at is connected to."""
    left = list(answers)

    def resolve(host: str, port: int) -> Sequence[str]:
        return left.pop(0)

    with pytest.raises(NotSent):
        send(
            OutboundRequest("GET", "http://rebind.example/", (), b""),
            OutboundPolicy(Origin.of("http://rebind.example/")),
            before_first_byte=lambda: None,
            resolve=resolve,
        )
    allowed = ["93.184.216.34:80"] if answers[0] == ["93.184.216.34"] else []
    assert connections == allowed
    assert len(answers) - len(left) == 1


def test_a_proxy_in_the_environment_is_not_used(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    with Receiver() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        answer = ask(receiver, "/ok")
        assert answer.status_code == 200
        assert proxy.hits == []


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_no_redirect_is_followed(receiver: Receiver, status: int) -> None:
    with Receiver() as elsewhere:
        answer = ask(receiver, f"/redirect-with/{status}?to={elsewhere.url}/ok")
        assert answer.status_code == status
        assert elsewhere.hits == []
    assert len(receiver.hits) == 1


def ask(receiver: Receiver, path: str, timeout: float = 5, body_bytes: int = 1 << 20):  # type: ignore[no-untyped-def]
    return send(
        OutboundRequest("GET", receiver.url + path, (), b""),
        OutboundPolicy(
            Origin.of(receiver.url),
            allow_private=True,
            timeout_seconds=timeout,
            max_body_bytes=body_bytes,
        ),
        before_first_byte=lambda: None,
    )


@pytest.mark.parametrize("mode", ["slowloris", "slow-headers", "slow/60"])
def test_a_slow_answer_ends_in_time(receiver: Receiver, mode: str) -> None:
    """The limit is for the whole answer, not for each byte of it."""
    begun = time.monotonic()
    with pytest.raises(NoAnswer):
        ask(receiver, f"/{mode}", timeout=1)
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("mode", ["endless", "gzip-bomb", "huge/5000000"])
def test_a_large_answer_is_cut(receiver: Receiver, mode: str) -> None:
    answer = ask(receiver, f"/{mode}", timeout=10)
    assert answer.truncated
    assert len(answer.body) == 1 << 20


@pytest.mark.parametrize("mode", ["headers", "endless-headers"])
def test_too_many_headers_are_no_answer(receiver: Receiver, mode: str) -> None:
    with pytest.raises(NoAnswer):
        ask(receiver, f"/{mode}", timeout=5)


def test_a_changed_host_takes_the_credential_with_it(
    world: World, move_clock: Callable[[float], None]
) -> None:
    """Whoever points the integration elsewhere must enter the credential anew."""
    with Receiver() as elsewhere:
        base = {"name": "Payments", "kind": "http", "allow_private_network": True}
        for url in (
            elsewhere.url,
            f"{elsewhere.url}/ok",
            world.receiver.url.replace("http", "https"),
        ):
            answer = world.admin.put("integrations/payments", {**base, "base_url": url})
            answer.refused(422, "credential_required")
        sweep(execute_here=True)
        assert elsewhere.hits == []
    assert TRICKS
