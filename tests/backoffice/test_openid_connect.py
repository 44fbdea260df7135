"""Sign-in through OpenID Connect: members alone, by an e-mail that the provider verified."""

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import include, path

from accounts_app.models import Membership, User
from config.urls import urlpatterns as product
from tests.conftest import Cast

urlpatterns = [
    *product,
    path("accounts/3rdparty/", include("allauth.socialaccount.urls")),
    path("accounts/", include("allauth.socialaccount.providers.openid_connect.urls")),
]


@dataclass
class Provider:
    """A small provider of its own on a loopback port."""

    claims: dict[str, Any] = field(default_factory=dict)
    url: str = ""


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    running = Provider()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return None

        def do_GET(self) -> None:
            endpoints = {
                "issuer": running.url,
                "authorization_endpoint": f"{running.url}/authorize",
                "token_endpoint": f"{running.url}/token",
                "userinfo_endpoint": f"{running.url}/userinfo",
                "jwks_uri": f"{running.url}/keys",
            }
            self.say(endpoints if "well-known" in self.path else running.claims)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.say({"access_token": "t", "token_type": "Bearer", "expires_in": 60})

        def say(self, what: dict[str, Any]) -> None:
            body = json.dumps(what).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.url = f"http://127.0.0.1:{server.server_port}"
    settings.ROOT_URLCONF = __name__
    app = {
        "provider_id": "oidc",
        "name": "Example",
        "client_id": "assent",
        "secret": "s",
        "settings": {"server_url": running.url},
    }
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield running
    server.shutdown()
    server.server_close()


def come_back(client: Client, button: str = "/accounts/oidc/oidc/login/") -> Any:
    """Press the button, and come back from the provider with its answer."""
    there = client.post(button).headers["Location"]
    state = parse_qs(urlsplit(there).query)["state"][0]
    return client.get("/accounts/oidc/oidc/login/callback/", {"code": "c", "state": state})


def is_in(client: Client) -> bool:
    return client.get("/admin/profile/").status_code == 200


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "1", "email": "ann@example.com", "email_verified": True, **more}


def test_the_sign_in_page_offers_it(cast: Cast, provider: Provider, client: Client) -> None:
    text = client.get("/accounts/login/").content.decode()
    assert "Sign in with Example" in text
    assert 'action="/accounts/oidc/oidc/login/?process=login"' in text


def test_a_member_is_known_by_the_verified_e_mail(
    cast: Cast, provider: Provider, client: Client
) -> None:
    provider.claims = claims(email="Ann@Example.com")
    answer = come_back(client)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert client.get("/admin/profile/").context["user"].username == "ann"


@pytest.mark.parametrize(
    "more",
    [{"email": "eve@example.com"}, {"email_verified": False}, {"email": ""}],
)
def test_nobody_else_is_let_in_or_made(
    cast: Cast, provider: Provider, client: Client, more: dict[str, Any]
) -> None:
    before = User.objects.count()
    provider.claims = claims(**more)
    assert come_back(client).headers["Location"] == "/accounts/login/"
    assert not is_in(client)
    assert User.objects.count() == before


def test_an_e_mail_that_two_members_have_lets_neither_in(
    cast: Cast, provider: Provider, client: Client
) -> None:
    User.objects.filter(username="abe").update(email="ANN@example.com")
    provider.claims = claims()
    come_back(client)
    assert not is_in(client)


def test_a_deactivated_member_stays_out(cast: Cast, provider: Provider, client: Client) -> None:
    Membership.objects.filter(user__username="ann").update(is_active=False)
    provider.claims = claims()
    come_back(client)
    assert not is_in(client)


def test_a_get_of_the_button_starts_nothing(cast: Cast, provider: Provider, client: Client) -> None:
    assert client.get("/accounts/oidc/oidc/login/").status_code == 200


def test_an_answer_that_was_not_asked_for_is_refused(
    cast: Cast, provider: Provider, client: Client
) -> None:
    provider.claims = claims()
    client.get("/accounts/oidc/oidc/login/callback/", {"code": "c", "state": "forged"})
    assert not is_in(client)


def test_the_browser_may_be_led_to_the_provider_and_nowhere_else(
    cast: Cast, client: Client, settings: Any
) -> None:
    def form_action(path: str) -> str:
        policy = client.get(path).headers["Content-Security-Policy"]
        return next(part for part in policy.split("; ") if part.startswith("form-action"))

    assert form_action("/accounts/login/") == "form-action 'self'"
    settings.ASSENT_OIDC_ORIGIN = "https://id.example.com"
    assert form_action("/accounts/login/") == "form-action 'self' https://id.example.com"
    assert form_action("/healthz") == "form-action 'self'"


def test_a_link_survives_the_way_over_the_provider(
    cast: Cast, provider: Provider, client: Client
) -> None:
    provider.claims = claims()
    page = client.get("/accounts/login/?next=/admin/agents/%3Fq%3Dx").content.decode()
    found = re.search(r'action="(/accounts/oidc/oidc/login/[^"]*)"', page)
    assert found is not None
    answer = come_back(client, unescape(found[1]))
    assert answer.headers["Location"] == "/admin/agents/?q=x"


def test_who_is_known_and_was_deactivated_since_is_told_so_and_sees_nothing(
    cast: Cast, provider: Provider, client: Client
) -> None:
    provider.claims = claims()
    come_back(client)
    assert is_in(client)
    Membership.objects.filter(user__username="ann").update(is_active=False)
    again = Client()
    come_back(again)
    assert not is_in(again)
    answer = again.get("/admin/", follow=True)
    assert answer.status_code == 403
    assert "a member of no workspace any more" in answer.content.decode()
