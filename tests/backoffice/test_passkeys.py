"""A passkey, in a real browser with an authenticator of its own: set up, and signed in with."""

import re

import pytest
from allauth.mfa.models import Authenticator
from playwright.sync_api import Page, expect

from accounts_app.models import AuditEntry
from tests.backoffice.conftest import Visit
from tests.conftest import PASSWORD, World

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
ADD = "/accounts/2fa/webauthn/add/"
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def with_an_authenticator(page: Page) -> None:
    """The browser answers for a device that knows its owner by a finger."""
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})


def test_a_passkey_is_set_up_and_signs_in_without_a_password(
    shared_world: World, visit: Visit
) -> None:
    page = visit("ann", "profile/")
    with_an_authenticator(page)
    page.goto(ADD)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    expect(page).to_have_url(re.compile(f"{ADD}$"))
    page.get_by_label("Passwordless").check()
    page.get_by_role("button", name="Add").click()
    expect(page).not_to_have_url(re.compile(f"{ADD}$"))
    key = Authenticator.objects.get(user__username="ann", type="webauthn")
    assert key.wrap().is_passwordless is True
    page.context.clear_cookies()
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.locator("#nav-sidebar")).to_be_attached()
    entry = AuditEntry.objects.get(verb="sign_in.succeeded")
    assert (entry.actor_name, entry.facts["by"]) == ("ann", ["mfa"])
