"""The pages of settings, integrations and signing in: no WCAG 2.2 AA violation, keyboard, phone."""

import pytest

from accounts_app.models import Membership, User
from accounts_app.services.membership import put_group
from integrations_app.services.webhooks import WebhookValues, ping, put_webhook
from tasks_app.services.notification_settings import add_address, send_test
from tests.backoffice.conftest import Visit
from tests.backoffice.test_review_accessible import violations
from tests.conftest import World

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
FOCUSED = "document.activeElement.matches('a') ? document.activeElement.textContent.trim() : ''"
ENTRANCE = ["login/", "signup/", "password/reset/", "password/reset/done/", "inactive/"]
ACCOUNT = [
    "2fa/totp/activate/",
    "2fa/webauthn/",
    "2fa/webauthn/add/",
    "2fa/recovery-codes/generate/",
]
PASSWORD = "a long enough sentence"


def fill(world: World) -> Membership:
    """Something in every list."""
    admin = world.cast.actor("admin")
    member = Membership.objects.get(user__username="ann")
    put_group(admin, name="Finance", members=[member])
    values = WebhookValues(world.receiver.url, ("task.created",), allow_private_network=True)
    ping(admin, put_webhook(admin, "crm", values).webhook)
    world.refund(900).ok(201)
    add_address(admin, "jsons://receiver.example/hook")
    send_test(admin)
    return member


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_of_ones_own_account_violates_the_guidelines(
    shared_world: World, visit: Visit, theme: str
) -> None:
    user = User.objects.get(username="admin")
    user.set_password(PASSWORD)
    user.save()
    page = visit("admin", "agents/", theme=theme)
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    found = []
    for path in ("2fa/", "password/change/", "reauthenticate/", "logout/"):
        page.goto(f"/accounts/{path}")
        found += violations(page)
    page.goto("/accounts/reauthenticate/")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    for path in ACCOUNT:
        page.goto(f"/accounts/{path}")
        found += violations(page)
    assert "\n".join(found) == ""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_entrance_violates_nothing(shared_world: World, visit: Visit, theme: str) -> None:
    page = visit("ann", "agents/", theme=theme)
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page.context.clear_cookies()
    found = []
    for path in ENTRANCE:
        page.goto(f"/accounts/{path}")
        found += violations(page)
    page.goto("/accounts/login/")
    page.locator("input[name=username]").fill("ann")
    page.locator("input[name=password]").fill("not this one")
    page.locator("input[name=password]").press("Enter")
    page.get_by_text("not correct").wait_for()
    found += violations(page)
    assert "\n".join(found) == ""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_button_of_these_pages_can_be_read(
    shared_world: World, visit: Visit, theme: str
) -> None:
    """A link that looks like a button has the colours of one, whatever kind it is."""
    page = visit("admin", "agents/", theme=theme)
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page.goto("/accounts/password/change/")
    kinds = ("", "button-primary", "button-good", "button-bad")
    page.evaluate(
        """(kinds) => {
          for (const kind of kinds) {
            for (const name of ["a", "button"]) {
              const one = document.createElement(name);
              one.className = `button ${kind}`;
              one.textContent = `A ${name} ${kind}`;
              if (name === "a") { one.href = "#"; }
              document.querySelector(".sign-in").append(one);
            }
          }
        }""",
        kinds,
    )
    assert "\n".join(violations(page)) == ""
    colours = page.evaluate(
        """() => [...document.querySelectorAll(".sign-in > a.button")].map((link) => [
          getComputedStyle(link).color, getComputedStyle(link.nextSibling).color])"""
    )
    assert len(colours) == len(kinds)
    assert [link for link, _ in colours] == [button for _, button in colours]


def test_the_navigation_is_walked_and_used_by_keyboard_alone(
    shared_world: World, visit: Visit
) -> None:
    page = visit("admin", "agents/")
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUSED))
        if seen[-1].endswith("API keys"):
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/keys/")
    assert any("Skip to the content" in text for text in seen)


def test_an_operation_is_switched_to_approval_by_keyboard_alone(
    shared_world: World, visit: Visit
) -> None:
    page = visit("ida", "operations/payments/send_receipt/")
    page.locator("input[name=requires_approval][value=inherit]").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.locator("#id_when").focus()
    page.keyboard.type("true")
    page.get_by_text("nothing to check against").wait_for()
    page.get_by_role("button", name="Save the operation").focus()
    page.keyboard.press("Enter")
    page.get_by_text("The operation is saved").wait_for()
    assert User.objects.filter(username="ida").exists()
    row = shared_world.admin.get("integrations/payments/operations/send_receipt").ok(200)
    assert (row["requires_approval"], row["approval"]["when"]) == (True, "true")
