"""The Content-Security-Policy is as narrow as each page allows, and the pages work with it."""

import pytest
from playwright.sync_api import expect

from tests.backoffice.conftest import Visit
from tests.backoffice.test_approvals import signed_in
from tests.conftest import Cast, World


def policy(path: str) -> dict[str, str]:
    text = signed_in("ann").get(path).headers["Content-Security-Policy"]
    return dict(part.strip().split(" ", 1) for part in text.split(";"))


@pytest.mark.parametrize("path", ["/", "/accounts/login/", "/healthz", "/api/v1/tasks", "/nothing"])
def test_pages_without_the_theme_run_our_scripts_only(cast: Cast, path: str) -> None:
    found = policy(path)
    assert found["default-src"] == "'self'"
    assert "script-src" not in found
    assert "style-src" not in found


def test_no_page_runs_inline_scripts_or_is_framed(cast: Cast) -> None:
    for path in ("/admin/review/approvals/", "/api/v1/docs/", "/accounts/login/"):
        found = policy(path)
        scripts = found.get("script-src", found["default-src"])
        assert "unsafe-inline" not in scripts
        assert found["frame-ancestors"] == "'none'"
        assert found["object-src"] == "'none'"
        assert found["base-uri"] == "'none'"


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_the_api_docs_and_the_sign_in_work_with_it(shared_world: World, visit: Visit) -> None:
    page = visit("ann", "../api/v1/docs/")
    expect(page.locator(".opblock").first).to_be_visible()
    page.context.clear_cookies()
    page.goto("/accounts/login/")
    expect(page.get_by_label("Password")).to_be_visible()
