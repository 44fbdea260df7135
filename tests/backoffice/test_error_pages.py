"""Errors as pages: in the product's look, with what would be right and a way on, and no more."""

import re
from typing import Any

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from django.test import Client, RequestFactory
from playwright.sync_api import Browser, Page, expect

from config.problems import server_error
from tasks_app.models import Decision
from tests.backoffice.browser import context_for, cookie_of
from tests.backoffice.conftest import PHONE, Visit
from tests.backoffice.people import signed_in
from tests.backoffice.test_approvals import refund
from tests.backoffice.test_every_page_accessible import RULES, RUN
from tests.conftest import Cast, World

NOWHERE = "/admin/review/tasks/00000000-0000-0000-0000-000000000000/"
ENTRANCE = "/accounts/password/reset/"


def check(html: str, heading: str, what_to_do: str) -> None:
    assert f"<h1>{heading}</h1>" in html
    assert what_to_do in html
    assert 'href="/"' in html
    assert "assent/backoffice.css" in html


@pytest.mark.parametrize(
    ("path", "status", "heading", "what_to_do"),
    [
        (NOWHERE, 404, "Not found", "it may be in another of your workspaces"),
        ("/nothing", 404, "Not found", "it may be in another of your workspaces"),
        ("/admin/members/", 403, "Not permitted", "A workspace admin gives roles"),
    ],
)
def test_a_refused_page_says_why_and_leads_on(
    cast: Cast, path: str, status: int, heading: str, what_to_do: str
) -> None:
    answer = signed_in("ann").get(path)
    assert answer.status_code == status
    check(answer.content.decode(), heading, what_to_do)


def test_a_form_without_its_token_is_told_to_be_reloaded_and_changes_nothing(world: World) -> None:
    task = refund(world)
    ann = signed_in("ann", checks_csrf=True)
    form = {"action": "approve", "revision": "1"}
    answer = ann.post(f"/admin/review/tasks/{task.pk}/decide/", form)
    assert answer.status_code == 403
    check(answer.content.decode(), "This form is out of date", "reload the page, and send it again")
    assert not Decision.objects.exists()


def test_an_address_of_a_form_says_that_it_is_one(world: World) -> None:
    task = refund(world)
    answer = signed_in("ann").get(f"/admin/review/tasks/{task.pk}/claim/")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST, OPTIONS")
    html = answer.content.decode()
    assert re.search(r"<title>\s*Nothing was changed · Assent\s*</title>", html)
    assert "Go back to its page, and send it again." in html


def test_too_many_attempts_are_told_to_wait(cast: Cast, settings: Any) -> None:
    settings.ASSENT_MAIL = True
    client = Client()
    for _ in range(30):
        answer = client.post(ENTRANCE, {"email": "ann@example.com"})
        if answer.status_code == 429:
            break
    check(answer.content.decode(), "Wait a while", "Try again in a few minutes.")


def test_a_fault_is_a_page_without_the_database_and_says_nothing_of_itself() -> None:
    """There is no `db` fixture here, so that any query fails."""
    request = RequestFactory().get("/admin/dashboard/")
    request.request_id = "req-17"  # type: ignore[attr-defined]
    answer = server_error(request)
    assert answer.status_code == 500
    html = answer.content.decode()
    check(html, "Something went wrong", "Go back and reload the page")
    assert "req-17" in html


def test_a_fault_shows_nothing_of_what_failed(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    break_the_queue(monkeypatch)
    client = signed_in("ann")
    client.raise_request_exception = False
    answer = client.get("/admin/review/approvals/")
    assert answer.status_code == 500
    html = answer.content.decode()
    assert answer.headers["X-Request-ID"] in html
    assert "canary in a traceback" not in html


def break_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("canary in a traceback")

    monkeypatch.setattr("tasks_app.selectors.queue", fail)


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_in_every_appearance_they_violate_nothing_and_lead_back(
    shared_cast: Cast,
    live_server: Any,
    chrome: Browser,
    monkeypatch: pytest.MonkeyPatch,
    theme: str,
) -> None:
    break_the_queue(monkeypatch)
    # The system asks for the other appearance: what was chosen in the back office holds.
    system = "light" if theme == "dark" else "dark"
    found = []
    for options in ({"color_scheme": system}, {**PHONE, "color_scheme": system}):
        context = context_for(chrome, str(live_server), cookie_of("ann"), **options)
        context.add_init_script(f"localStorage.setItem('adminTheme', '\"{theme}\"')")
        page = context.new_page()
        page.goto("/admin/agents/")
        for path in (NOWHERE, "/admin/members/", "/admin/review/approvals/"):
            page.goto(path)
            expect(page.locator("main.error-page")).to_be_visible()
            assert lightness_of(page) == theme
            found += look(page)
        page.get_by_role("button", name="Go back").click()
        page.wait_for_url("**/admin/members/")
        page.get_by_role("link", name="To the first page").click()
        page.wait_for_url("**/admin/dashboard/")
        context.close()
    assert found == []


def lightness_of(page: Page) -> str:
    colour = page.evaluate("getComputedStyle(document.querySelector('main')).backgroundColor")
    red = int(colour.split("(")[1].split(",")[0])
    return "dark" if red < 128 else "light"


def look(page: Page) -> list[str]:
    page.evaluate(AXE_FILE_PATH.read_text(encoding="utf-8"))
    found: list[str] = page.evaluate(RUN, RULES)
    if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
        found.append("wider than the screen")
    return [f"{page.url}: {text}" for text in found]


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_a_card_that_gets_an_error_page_stays_with_what_was_typed(
    shared_world: World, visit: Visit
) -> None:
    task = refund(shared_world)
    page = visit("ann", "review/approvals/", expected="403")
    card = page.locator(f"#task-{task.pk}")
    card.get_by_label("Comment").fill("The parcel is back.")
    page.context.add_cookies(
        [{"name": "csrftoken", "value": "x" * 32, "url": page.url.split("/admin")[0]}]
    )
    card.get_by_role("button", name="Approve").click()
    expect(card.locator("[role=alert]")).to_contain_text("Go back, reload the page")
    expect(card.get_by_label("Comment")).to_have_value("The parcel is back.")
    expect(card.get_by_role("button", name="Approve")).to_be_enabled()
    assert not Decision.objects.exists()
