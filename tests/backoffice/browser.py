"""A real Chromium for tests: started once per process, with nothing in it that calls home."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from accounts_app.models import User

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
CHROMIUM = "/usr/bin/chromium"
# How long a page may take on a busy machine, in ms; how fast it is is measured elsewhere.
PATIENCE = 90_000
expect.set_options(timeout=PATIENCE)


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        try:
            yield browser
        finally:
            browser.close()


def cookie_of(username: str) -> str:
    """Sign somebody in; the value of the session's cookie."""
    user = User.objects.get(username=username)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return str(session.session_key)


def context_for(browser: Browser, url: str, cookie: str, **options: Any) -> BrowserContext:
    """A browser of its own in which this session is signed in."""
    options = {"viewport": {"width": 1280, "height": 900}, **options}
    context = browser.new_context(base_url=url, **options)
    name = settings.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "value": cookie, "url": url}])
    context.set_default_timeout(PATIENCE)
    return context
