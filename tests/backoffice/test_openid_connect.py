"""Sign-in through OpenID Connect: members alone, by an e-mail that the provider verified.

The provider here says what a test wants, true or forged; `test_identity_provider.py` signs in with
a real one.
"""

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers import registry
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client
from django.urls import include, path

from accounts_app.backoffice.openid_connect import Provider as CheckedProvider
from accounts_app.models import Membership, User
from config.signing_in import OPENID_CONNECT
from config.urls import urlpatterns as product
from tests.conftest import Cast

urlpatterns = [*product, path("accounts/", include(OPENID_CONNECT))]
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
FOREIGN_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Provider:
    """A small provider of its own on a loopback port.

    Args:
        claims: what it says about the person who comes.
        token: what its token says beside that, or instead.
        url: where it answers.
        issuer: who it says it is; empty is its address.
        key: with which it signs; bytes sign as a shared secret would.
        sends_token: whether it gives a token at all.
        nonce: what the product asked with.
        asked: how it was asked for the token.
    """

    claims: dict[str, Any] = field(default_factory=dict)
    token: dict[str, Any] = field(default_factory=dict)
    url: str = ""
    issuer: str = ""
    key: Any = KEY
    sends_token: bool = True
    nonce: str = ""
    asked: dict[str, list[str]] = field(default_factory=dict)

    def signed(self) -> str:
        now = int(time.time())
        said = {
            "iss": self.url,
            "aud": "assent",
            "sub": self.claims["sub"],
            "iat": now,
            "exp": now + 300,
            "nonce": self.nonce,
            **self.token,
        }
        is_secret = isinstance(self.key, bytes)
        algorithm = "none" if self.key is None else "HS256" if is_secret else "RS256"
        return jwt.encode(
            {name: value for name, value in said.items() if value is not None},
            self.key,
            algorithm=algorithm,
            headers={"kid": "1"},
        )

    def keys(self) -> dict[str, Any]:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": "1", "use": "sig", "alg": "RS256"}]}


@pytest.fixture
def provider(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    running = Provider()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return None

        def do_GET(self) -> None:
            endpoints = {
                "issuer": running.issuer or running.url,
                "authorization_endpoint": f"{running.url}/authorize",
                "token_endpoint": f"{running.url}/token",
                "userinfo_endpoint": f"{running.url}/userinfo",
                "jwks_uri": f"{running.url}/keys",
            }
            if self.path == "/keys":
                self.say(running.keys())
            else:
                self.say(endpoints if "well-known" in self.path else running.claims)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            running.asked = parse_qs(body.decode())
            given = {"access_token": "t", "token_type": "Bearer", "expires_in": 60}
            self.say({**given, "id_token": running.signed()} if running.sends_token else given)

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
        "settings": {"server_url": running.url, "oauth_pkce_enabled": True},
    }
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}
    # The settings name it only where the product is started with a provider.
    monkeypatch.setitem(registry.provider_map, "openid_connect", CheckedProvider)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield running
    server.shutdown()
    server.server_close()


def come_back(
    client: Client, provider: Provider, button: str = "/accounts/oidc/oidc/login/"
) -> Any:
    """Press the button, and come back from the provider with its answer."""
    there = parse_qs(urlsplit(client.post(button).headers["Location"]).query)
    state, provider.nonce = there["state"][0], there["nonce"][0]
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
    answer = come_back(client, provider)
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
    assert come_back(client, provider).headers["Location"] == "/accounts/login/"
    assert not is_in(client)
    assert User.objects.count() == before


def test_an_e_mail_that_two_members_have_lets_neither_in(
    cast: Cast, provider: Provider, client: Client
) -> None:
    User.objects.filter(username="abe").update(email="ANN@example.com")
    provider.claims = claims()
    come_back(client, provider)
    assert not is_in(client)


def test_a_deactivated_member_stays_out(cast: Cast, provider: Provider, client: Client) -> None:
    Membership.objects.filter(user__username="ann").update(is_active=False)
    provider.claims = claims()
    come_back(client, provider)
    assert not is_in(client)


HOUR = 3600
FORGED: dict[str, dict[str, Any]] = {
    "signed by somebody else": {"key": FOREIGN_KEY},
    "signed by nobody": {"key": None},
    "signed with the public key as a secret": {"key": b"what everybody can read, as a secret"},
    "for another audience": {"token": {"aud": "another"}},
    "given to another party": {"token": {"aud": ["assent", "another"], "azp": "another"}},
    "of another issuer": {"token": {"iss": "https://elsewhere.example"}},
    "from an issuer that was not configured": {"issuer": "https://elsewhere.example"},
    "expired": {"token": {"iat": int(time.time()) - 2 * HOUR, "exp": int(time.time()) - HOUR}},
    "without an end": {"token": {"exp": None}},
    "from the future": {"token": {"iat": int(time.time()) + HOUR}},
    "for another sign-in": {"token": {"nonce": "of another sign-in"}},
    "for any sign-in": {"token": {"nonce": None}},
    "about somebody else": {"token": {"sub": "2"}},
    "missing": {"sends_token": False},
}


@pytest.mark.parametrize("how", FORGED)
def test_a_token_that_says_too_little_or_was_forged_lets_nobody_in(
    cast: Cast, provider: Provider, client: Client, how: str
) -> None:
    provider.claims = claims()
    for name, value in FORGED[how].items():
        setattr(provider, name, value)
    answer = come_back(client, provider)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/accounts/login/")
    assert "The sign-in there did not work" in client.get("/accounts/login/").content.decode()
    assert not is_in(client)
    assert not SocialAccount.objects.exists()


def test_a_code_is_of_use_to_nobody_who_has_only_read_it(
    cast: Cast, provider: Provider, client: Client
) -> None:
    provider.claims = claims()
    there = client.post("/accounts/oidc/oidc/login/").headers["Location"]
    asked = parse_qs(urlsplit(there).query)
    assert asked["code_challenge_method"] == ["S256"]
    provider.nonce = asked["nonce"][0]
    client.get("/accounts/oidc/oidc/login/callback/", {"code": "c", "state": asked["state"][0]})
    assert is_in(client)
    (verifier,) = provider.asked["code_verifier"]
    digest = hashlib.sha256(verifier.encode()).digest()
    assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == asked["code_challenge"][0]


def test_the_address_of_the_button_adds_nothing_to_what_is_asked_for(
    cast: Cast, provider: Provider, client: Client
) -> None:
    button = "/accounts/oidc/oidc/login/?scope=admin&auth_params=nonce%3Dmine%26prompt%3Dnone"
    asked = parse_qs(urlsplit(client.post(button).headers["Location"]).query)
    assert sorted(asked["scope"][0].split()) == ["email", "openid", "profile"]
    assert asked["nonce"] != ["mine"]
    assert "prompt" not in asked


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
    answer = come_back(client, provider, unescape(found[1]))
    assert answer.headers["Location"] == "/admin/agents/?q=x"


def test_who_is_known_and_was_deactivated_since_is_told_so_and_sees_nothing(
    cast: Cast, provider: Provider, client: Client
) -> None:
    provider.claims = claims()
    come_back(client, provider)
    assert is_in(client)
    Membership.objects.filter(user__username="ann").update(is_active=False)
    again = Client()
    come_back(again, provider)
    assert not is_in(again)
    answer = again.get("/admin/", follow=True)
    assert answer.status_code == 403
    assert "a member of no workspace any more" in answer.content.decode()
