"""What the pages for maintainers and operators name is there."""

import re
from pathlib import Path

import pytest

from tests.harness.server import PROJECT

PAGES = [PROJECT / "docs" / name for name in ("maintaining.md", "backoffice.md")]
PLACE = re.compile(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|json|js|css))`")
SETTINGS = PROJECT / "config" / "settings.py"
READ = re.compile(r'(?:_env|_whole_number)\(\s*"([A-Z_]+)"')


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_place_in_the_code_that_a_page_names_exists(page: Path) -> None:
    named = set(PLACE.findall(page.read_text(encoding="utf-8")))
    assert len(named) > 5
    assert sorted(place for place in named if not (PROJECT / place).exists()) == []


def test_every_variable_that_the_settings_read_stands_in_the_readme() -> None:
    read = set(READ.findall(SETTINGS.read_text(encoding="utf-8")))
    told = set(re.findall(r"`([A-Z_]+)`", (PROJECT / "README.md").read_text(encoding="utf-8")))
    assert {"SECRET_KEY", "ASSENT_KEEP_DAYS"} <= read
    assert sorted(read - told) == []
