"""Signing in with a real OpenID Connect provider, over sockets: what a browser would do."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import urljoin

import httpx2
import pytest

from tests.harness.identity import CLIENT, PASSWORD, SECRET, IdentityProvider
from tests.harness.server import Server

pytestmark = [pytest.mark.enable_socket, pytest.mark.xdist_group("server")]

PEOPLE = {
    "ann-there": ("Ann@Example.com", True),
    "bob-there": ("bob@example.com", False),
    "eve-there": ("eve@example.com", True),
    "gus-there": ("gus@example.com", True),
    "ida-there": ("ida@example.com", True),
}
MEMBERS = "from accounts_app.models import Membership, User\n"
OF_NO_MEMBER = "No member here has the verified e-mail of that account."


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The product with a provider of its own."""
    folder = tmp_path_factory.mktemp("identity")
    running = Server(folder / "home")
    provider = IdentityProvider(folder, running.url, PEOPLE)
    running.environment |= {
        "ASSENT_OIDC_ISSUER": provider.url,
        "ASSENT_OIDC_CLIENT_ID": CLIENT,
        "ASSENT_OIDC_CLIENT_SECRET": SECRET,
        "ASSENT_OIDC_NAME": "Example",
    }
    try:
        provider.start()
        running.start()
        yield running
    finally:
        running.stop()
        provider.stop()


def form_of(page: httpx2.Response, path: str) -> tuple[str, dict[str, str]]:
    """The address and hidden fields of the form of a page that leads to this path."""
    for form in re.findall(r"<form.*?</form>", page.text, re.DOTALL):
        action = re.search(r'action="([^"]*)"', form)
        target = urljoin(str(page.url), unescape(action[1]) if action else "")
        if path in target:
            hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
            return target, {name: unescape(value) for name, value in hidden}
    raise AssertionError(f"no form leads to {path}:\n{page.text}")


class Browser:
    """Keeps cookies and follows where it is led."""

    def __init__(self, product: Server) -> None:
        self.product = product
        self.http = httpx2.Client(follow_redirects=True, timeout=60, trust_env=False)

    def sign_in(self, name: str, next_page: str = "/admin/profile/") -> httpx2.Response:
        """By way of the provider, where this person has another password."""
        page = self.http.get(f"{self.product.url}/accounts/login/?next={next_page}")
        assert "Sign in with Example" in page.text
        target, hidden = form_of(page, "/accounts/oidc/oidc/login/")
        there = self.http.post(target, data=hidden)
        assert there.url.host == "localhost", there.text
        target, hidden = form_of(there, "/accounts/login/")
        return self.http.post(target, data={**hidden, "login": name, "password": PASSWORD})

    def is_in(self) -> bool:
        page = self.http.get(f"{self.product.url}/admin/profile/", follow_redirects=False)
        return page.status_code == 200


def shell(product: Server, code: str) -> str:
    return product.manage("shell", "--no-imports", "-c", MEMBERS + code)


def people(product: Server) -> str:
    return shell(product, "print(sorted(User.objects.values_list('username', flat=True)))")


def test_a_member_comes_in_by_their_verified_e_mail_and_where_they_wanted_to(
    product: Server,
) -> None:
    browser = Browser(product)
    page = browser.sign_in("ann-there", "/admin/agents/%3Fq%3Dsupport")
    assert page.status_code == 200
    assert str(page.url) == f"{product.url}/admin/agents/?q=support"
    assert "ann" in browser.http.get(f"{product.url}/admin/profile/").text
    again = Browser(product)
    again.sign_in("ann-there")
    assert again.is_in(), "known by now"


@pytest.mark.parametrize("name", ["bob-there", "eve-there"])
def test_an_unverified_e_mail_and_an_unknown_person_are_told_so_and_nobody_is_made(
    product: Server, name: str
) -> None:
    before, browser = people(product), Browser(product)
    page = browser.sign_in(name)
    assert (page.status_code, page.url.path) == (200, "/accounts/login/")
    assert OF_NO_MEMBER in page.text
    assert not browser.is_in()
    assert people(product) == before


def test_a_disabled_member_stays_out(product: Server) -> None:
    ida = "Membership.objects.filter(user__username='ida')"
    shell(product, f"{ida}.update(is_active=False)")
    browser = Browser(product)
    page = browser.sign_in("ida-there")
    assert OF_NO_MEMBER in page.text
    assert not browser.is_in()


def test_a_second_factor_of_ones_own_is_asked_for_after_it(product: Server) -> None:
    made = (
        "from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret\n"
        "TOTP.activate(User.objects.get(username='gus'), generate_totp_secret())"
    )
    shell(product, made)
    browser = Browser(product)
    page = browser.sign_in("gus-there")
    assert page.url.path == "/accounts/2fa/authenticate/"
    assert not browser.is_in()


def test_a_code_for_another_sign_in_is_refused(product: Server) -> None:
    browser = Browser(product)
    callback = f"{product.url}/accounts/oidc/oidc/login/callback/"
    page = browser.http.get(callback, params={"code": "stolen", "state": "forged"})
    assert page.url.path == "/accounts/login/"
    assert not browser.is_in()


def test_the_way_there_asks_with_a_challenge_and_a_nonce(product: Server) -> None:
    browser = Browser(product)
    page = browser.http.get(f"{product.url}/accounts/login/")
    target, hidden = form_of(page, "/accounts/oidc/oidc/login/")
    away: Any = browser.http.post(target, data=hidden, follow_redirects=False)
    asked = httpx2.URL(away.headers["location"]).params
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert len(asked["nonce"]) > 20
