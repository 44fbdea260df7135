"""The quick start as somebody new walks it: the agent asks, a person approves in the browser."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.docs.pages import blocks_of, keys
from tests.harness.server import PROJECT, Server

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.xdist_group("server"),
    pytest.mark.browser,
]
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        yield browser.new_page(viewport={"width": 1280, "height": 900})
        browser.close()


def agent_of_the_quick_start(folder: Path, job: str) -> Path:
    """The page's `agent.py`, for a job of this test."""
    (code,) = [
        block.code
        for block in blocks_of(PROJECT / "docs" / "quickstart.md")
        if block.kind == "python agent.py"
    ]
    path = folder / "agent.py"
    path.write_text(code.replace("order-1", job), encoding="utf-8")
    return path


def test_the_address_that_the_agent_prints_leads_to_where_it_is_decided(
    server: Server, page: Page, tmp_path: Path
) -> None:
    agent = subprocess.Popen(
        [sys.executable, "-u", str(agent_of_the_quick_start(tmp_path, "newcomer"))],
        env={**keys(server), "PYTHONPATH": str(PROJECT / "client")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert agent.stdout is not None
    try:
        assert agent.stdout.readline().startswith("40 €: refunded as re_")
        waiting = agent.stdout.readline()
        found = re.fullmatch(r"Waiting for a person: (\S+)\n", waiting)
        assert found, waiting
        page.goto(found[1])
        page.fill("input[name=username], input[name=login]", "ann")
        page.fill("input[name=password]", server.environment["ASSENT_DEMO_PASSWORD"])
        page.click("[type=submit]")
        expect(page.get_by_text("ch_large").first).to_be_visible()
        page.get_by_role("button", name="Approve").first.click()
        rest, _ = agent.communicate(timeout=120)
    finally:
        agent.kill()
    assert re.fullmatch(r"900 €: refunded as re_\w+\n", rest)
