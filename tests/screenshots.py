"""Make the pictures in `docs/screenshots/` from a busy day: `make screenshots`.

Everything in them is the product as it runs: real pages, in Chromium, over rows that went through
the API. Look at each picture before it is committed.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
os.environ["ASSENT_THROTTLE_PER_MINUTE"] = "0"
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"

import django

django.setup()  # before anything of ours is imported

from django.contrib.staticfiles.testing import StaticLiveServerTestCase  # noqa: E402
from django.test.runner import DiscoverRunner  # noqa: E402
from PIL import Image  # noqa: E402
from playwright.sync_api import Browser  # noqa: E402

from guard_app.models import Incident  # noqa: E402
from tasks_app.models import UserTask  # noqa: E402
from tests.backoffice.browser import chromium, context_for, cookie_of  # noqa: E402
from tests.conftest import make_cast  # noqa: E402
from tests.harness.showcase import fill  # noqa: E402

TARGET = Path(__file__).resolve().parents[1] / "docs" / "screenshots"
DESK = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}
COLOURS = 200


def pictures() -> dict[str, tuple[str, str, dict[str, int]]]:
    """Name of each picture: its page, its appearance, its size.

    What is named after the guard is looked at by the admin, everything else by an operator.
    """
    supplier = UserTask.objects.filter(title__startswith="ERP").get()
    mail = UserTask.objects.filter(title__startswith="Mail").order_by("-created_at")[0]
    decided = UserTask.objects.filter(status="completed").order_by("created_at")[0]
    incident = Incident.objects.order_by("created_at")[0]
    queue = "review/approvals/"
    return {
        "approvals-light": (queue, "light", DESK),
        "approvals-dark": (queue, "dark", DESK),
        "approvals-phone": (queue, "light", PHONE),
        "completed-light": (f"{queue}?tab=completed", "light", DESK),
        "inputs-light": (f"{queue}?kind=input", "light", DESK),
        "hidden-characters-dark": (f"review/tasks/{mail.pk}/", "dark", DESK),
        "many-arguments-light": (f"review/tasks/{supplier.pk}/", "light", DESK),
        "many-arguments-phone": (f"review/tasks/{supplier.pk}/", "dark", PHONE),
        "run-light": (f"review/runs/{decided.run_id}/?task={decided.pk}", "light", DESK),
        "dashboard-light": ("dashboard/", "light", DESK),
        "together-light": (f"{queue}?q=refund", "light", DESK),
        "guard-overview-light": ("guard/", "light", DESK),
        "guard-dark": (f"{queue}?kind=anomaly", "dark", DESK),
        "guard-incident-light": (f"guard/incidents/{incident.pk}/", "light", DESK),
        "guard-rule-light": (f"guard/rules/{incident.rule.slug}/", "light", DESK),
    }


@contextmanager
def a_server() -> Iterator[str]:
    """The product over a throwaway database; its address."""
    runner = DiscoverRunner(verbosity=0, interactive=False)
    runner.setup_test_environment()
    databases = runner.setup_databases()
    StaticLiveServerTestCase.setUpClass()
    try:
        yield StaticLiveServerTestCase.live_server_url
    finally:
        StaticLiveServerTestCase.tearDownClass()
        runner.teardown_databases(databases)
        runner.teardown_test_environment()


def shoot(
    browser: Browser, url: str, name: str, path: str, theme: str, size: dict[str, int]
) -> int:
    """Take one picture; its size in bytes."""
    username = "admin" if name.startswith("guard") else "ann"
    context = context_for(browser, url, cookie_of(username), viewport=size)
    context.add_init_script(f"localStorage.setItem('adminTheme', '\"{theme}\"')")
    page = context.new_page()
    page.goto(f"/admin/{path}")
    if name.startswith("together"):
        page.locator("[data-select]").first.check()
        page.locator("[data-select-same]").click()
        page.get_by_text("Look at them together").click()
    page.wait_for_timeout(800)
    with tempfile.NamedTemporaryFile(suffix=".png") as raw:
        page.screenshot(path=raw.name)
        target = TARGET / f"{name}.png"
        Image.open(raw.name).convert("RGB").quantize(COLOURS).save(target, optimize=True)
    context.close()
    return target.stat().st_size


def main() -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    with a_server() as url, chromium() as browser:
        fill(make_cast())
        for name, (path, theme, size) in pictures().items():
            count = shoot(browser, url, name, path, theme, size)
            sys.stdout.write(f"{name}: {count // 1024} KiB\n")


if __name__ == "__main__":
    main()
