"""Every block of code in the documentation runs, and prints what it says."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import Reader, blocks_of, demo_service, keys
from tests.harness.server import PROJECT, Server

pytestmark = [pytest.mark.enable_socket, pytest.mark.xdist_group("server")]
DOCS = PROJECT / "docs"
PAGES = sorted(
    page
    for page in [PROJECT / "README.md", PROJECT / "client" / "README.md", *DOCS.rglob("*.md")]
    if any(block.kind.split(" ")[0] in ("python", "sh") for block in blocks_of(page))
)


@pytest.fixture(scope="module")
def environment(server: Server) -> dict[str, str]:
    return {**keys(server), **demo_service(server)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_the_code_of_a_page_runs(
    page: Path,
    server: Server,
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Reader(server, page, tmp_path).read() > 0


def test_every_link_between_the_pages_leads_somewhere() -> None:
    for page in [PROJECT / "README.md", *DOCS.rglob("*.md")]:
        for target in re.findall(
            r"(?<!!)\[[^\]]*\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")
        ):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
