"""Browsers for the back office's tests, against the tests' own database."""

import os
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.backoffice.browser import chromium, context_for, cookie_of

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    # Playwright runs a loop in this thread; the tests' own queries beside it are meant. It ends
    # with the module: tests that follow in this process may want a loop of their own.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with chromium() as browser:
        yield browser
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def visit(live_server: object, chrome: Browser) -> Iterator[Visit]:
    """Open a page as somebody, in a browser of their own; what goes wrong there fails the test."""
    contexts, wrong = [], []
    foreseen = ["status of 409", "status of 422", "status of 428", "ERR_FAILED"]
    url = str(live_server)

    def open_page(
        username: str, path: str, *, phone: bool = False, theme: str = "light", expected: str = ""
    ) -> Page:
        foreseen.extend([expected] if expected else [])
        options = PHONE if phone else {}
        context = context_for(chrome, url, cookie_of(username), **options)
        contexts.append(context)
        context.add_init_script(f"localStorage.setItem('adminTheme', '\"{theme}\"')")
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(f"{path}: {error}"))
        page.on("dialog", lambda dialog: wrong.append(f"{path}: dialog {dialog.message}"))
        page.on(
            "console",
            lambda message: (
                wrong.append(f"{path}: {message.text}")
                if message.type == "error" and "favicon" not in str(message.location)
                else None
            ),
        )
        page.goto(f"/admin/{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [text for text in wrong if not any(code in text for code in foreseen)] == []
