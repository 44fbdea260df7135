"""Messengers through the one door: what a service's module asks for goes by our client, or not."""

import ast
import importlib
import inspect
import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from integrations_app import messengers
from integrations_app.client import OutboundPolicy, OutboundRequest
from integrations_app.messengers import DOOR, REFUSED_OPTIONS, SERVICES, Door, describe, say
from tests.harness.receiver import Receiver
from tests.security.addresses import HOSTS

MODULES = sorted({module for module, _ in SERVICES.values()})
NETWORKS = {
    "socket",
    "ssl",
    "http",
    "urllib.request",
    "urllib3",
    "httpx",
    "aiohttp",
    "smtplib",
    "ftplib",
    "subprocess",
    "asyncio",
    "paho",
    "websocket",
}
WHOLE = {
    "slack": "slack://T1A2B3C4D/B1A2B3C4D/abcdefghijklmnopqrstuvwx",
    "discord": "discord://417429632418316298/JHZ7lQml277CDHmQKMHI8qBe7bk2ZwO5UKjCiOAF7711o33MyqU344Qpg",
    "workflow": "workflow://host.example/1a2b3c4d/signature",
    "gchat": "gchat://workspace/key/token",
    "mmosts": "mmosts://mattermost.example/3ccdd113474722377935511fc85d3dd4",
    "rockets": "rockets://user:password@rocket.example/room",
    "zulip": "zulip://botname@org/a7b8c9d0e1f2a3b4c5d6e7f8a9b0c1d2/room",
    "wxteams": "wxteams://" + "a" * 80 + "/",
    "tgram": "tgram://123456789:abcdefghijklmnopqrstuvwxyz_12345678/12315544/",
    "ntfys": "ntfys://ntfy.example/topic",
    "gotifys": "gotifys://gotify.example/Abcdefghijklmno",
    "pover": "pover://" + "u" * 30 + "@" + "t" * 30,
    "jsons": "jsons://receiver.example/hook",
    "forms": "forms://receiver.example/hook",
}


@pytest.fixture
def place(receiver: Receiver, settings: object) -> str:
    """The receiver's place, which whoever runs the machine has allowed."""
    settings.ASSENT_NOTIFY_PRIVATE = (f"127.0.0.1:{receiver.port}",)
    return f"127.0.0.1:{receiver.port}"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[OutboundRequest]:
    """What reaches our client, which sends nothing here."""
    seen: list[OutboundRequest] = []

    def keep(request: OutboundRequest, policy: OutboundPolicy, **_: object) -> object:
        assert not policy.allow_private
        seen.append(request)
        raise messengers.NotSent("connect_failed", "kept")

    monkeypatch.setattr(messengers, "send", keep)
    return seen


@pytest.mark.parametrize("module", MODULES)
def test_a_service_speaks_to_the_network_by_requests_alone(module: str) -> None:
    source = inspect.getsource(importlib.import_module(f"apprise.plugins.{module}"))
    words = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            assert all(a.asname is None for a in node.names if a.name == "requests"), module
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""] if not node.level else []
            assert node.module != "requests", module
        for name in names:
            assert not any(name == net or name.startswith(f"{net}.") for net in NETWORKS), name
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "requests":
            words.add(node.attr)
    offered = {name for name in dir(Door) if not name.startswith("_")}
    assert words <= offered | {"Response"}, (module, words - offered)


def test_each_service_has_an_address_here_that_is_tried() -> None:
    assert {SERVICES[name][0] for name in WHOLE} == set(MODULES)


@pytest.mark.parametrize("address", WHOLE.values(), ids=WHOLE)
def test_each_service_goes_through_the_door(
    address: str, asked: list[OutboundRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("It went past the door.")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    said = say(address, "Title", "Body\nhttps://assent.example/x")
    assert said.error == "connect_failed"
    assert not said.permanent
    assert asked, "nothing reached the client"
    assert all(urlsplit(request.url).scheme == "https" for request in asked)


def test_a_message_arrives_whole(receiver: Receiver, place: str) -> None:
    said = say(f"json://{place}/ok/hook?+X-Token=t1", "Demo: A test", "Line\nhttps://a.example/x")
    assert said.error == ""
    (hit,) = receiver.hits
    body = json.loads(hit.body)
    assert (hit.method, hit.path, hit.header("X-Token")) == ("POST", "/ok/hook", "t1")
    assert (body["title"], body["message"]) == ("Demo: A test", "Line\nhttps://a.example/x")


@pytest.mark.parametrize("status", ["301", "302", "307"])
def test_a_redirect_is_not_followed(receiver: Receiver, place: str, status: str) -> None:
    said = say(f"json://{place}/redirect-with/{status}?to=/ok/inside", "T", "B")
    assert said.error == f"answered {status}" or said.error == "dropped"
    assert len(receiver.hits) == 1


@pytest.mark.parametrize(
    ("mode", "error", "permanent"),
    [
        ("status/404", "answered 404", True),
        ("status/410", "answered 410", True),
        ("status/429", "answered 429", False),
        ("status/503", "answered 503", False),
        ("drop-after-effect", "dropped", False),
    ],
)
def test_what_came_of_it_is_told(
    receiver: Receiver, place: str, mode: str, error: str, permanent: bool
) -> None:
    said = say(f"json://{place}/{mode}", "T", "B")
    assert (said.error, said.permanent) == (error, permanent)
    assert len(receiver.hits) == 1


def test_private_places_are_refused_when_saved_and_when_sent(receiver: Receiver) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "0x7f.1"):
        address = f"json://{host}:{receiver.port}/ok"
        with pytest.raises(ValueError, match=r"private|Must|Is no"):
            describe(address)
        assert say(address, "T", "B").permanent
    assert receiver.hits == []


def test_a_name_that_leads_to_a_private_address_is_refused_when_sent(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = messengers.send

    def lead_inside(request: OutboundRequest, policy: OutboundPolicy, **more: object) -> object:
        return real(request, policy, resolve=lambda host, port: ["127.0.0.1"], **more)

    monkeypatch.setattr(messengers, "send", lead_inside)
    said = say(f"json://rebound.example:{receiver.port}/ok", "T", "B")
    assert (said.error, said.permanent) == ("address_refused", True)
    assert receiver.hits == []


@pytest.mark.parametrize("host", HOSTS)
def test_no_way_of_writing_a_private_address_reaches_it(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("It was connected to.")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    said = say(f"json://{host}/x", "T", "B")
    assert said.error
    assert "connect" not in said.error


def test_an_allowed_place_is_that_port_alone(receiver: Receiver, settings: object) -> None:
    settings.ASSENT_NOTIFY_PRIVATE = (f"127.0.0.1:{receiver.port + 1}",)
    with pytest.raises(ValueError, match="private"):
        describe(f"json://127.0.0.1:{receiver.port}/ok")


@pytest.mark.parametrize("option", sorted(REFUSED_OPTIONS))
def test_options_that_reach_beyond_the_message_are_refused(option: str) -> None:
    for spelling in (option, option.upper(), f"x=1&%{ord(option[0]):x}{option[1:]}"):
        with pytest.raises(ValueError, match=rf"(?i)Must not set “{option}”"):
            describe(f"{WHOLE['slack']}?{spelling}=/etc/passwd")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "slack",
        "slack://",
        "slack://x",
        "ftp://example.com",
        "file:///etc/passwd",
        "mailto://me:pw@example.com",
        "apprise://localhost/x",
        "syslog://",
        "https://example.com/hook",
        "http://hooks.slack.com/services/T1A2B3C4D/B1A2B3C4D/abcdefghijklmnopqrstuvwx",
        "json://exa mple/x",
        "json://example.com/\u202e",
        "json://example.com/" + "x" * 600,
    ],
)
def test_what_is_no_address_is_refused_and_says_what_would_be_right(address: str) -> None:
    with pytest.raises(ValueError, match=r"^(Must|Is no)"):
        describe(address)


def test_the_web_address_of_a_service_is_taken_as_it_is_copied() -> None:
    secret = "abcdefghijklmnopqrstuvwx"
    shown = describe(f"https://hooks.slack.com/services/T1A2B3C4D/B1A2B3C4D/{secret}")
    assert shown == "Slack"
    shown = describe(WHOLE["jsons"])
    assert shown == "JSON at receiver.example"


def test_services_can_be_limited(settings: object) -> None:
    settings.ASSENT_NOTIFY_SCHEMES = ("slack",)
    assert describe(WHOLE["slack"]) == "Slack"
    with pytest.raises(ValueError, match="Must begin with one of slack://"):
        describe(WHOLE["jsons"])
    assert say(WHOLE["jsons"], "T", "B").permanent
    settings.ASSENT_NOTIFY_SCHEMES = ("none",)
    with pytest.raises(ValueError, match="switched off"):
        describe(WHOLE["slack"])


def test_logs_hold_nothing_of_an_address(
    receiver: Receiver, place: str, capfd: pytest.CaptureFixture[str]
) -> None:
    say(f"json://me:canary-password@{place}/status/500/canary-path", "T", "canary-body")
    out, err = capfd.readouterr()
    assert "canary" not in out + err


@pytest.fixture(autouse=True)
def _door_stays() -> Iterator[None]:
    yield
    for module in MODULES:
        loaded = importlib.import_module(f"apprise.plugins.{module}")
        messengers._class_of(next(name for name, (m, _) in SERVICES.items() if m == module))
        assert vars(loaded)["requests"] is DOOR
