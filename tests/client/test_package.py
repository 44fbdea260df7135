"""The package stands alone: it imports nothing of the product, and its two colours agree."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.server import PROJECT

CLIENT = PROJECT / "client"
MODULES = sorted((CLIENT / "assent_client").rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The top packages that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path
            found.add(str(node.module).partition(".")[0])
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(CLIENT)))
def test_it_needs_the_standard_library_and_httpx2_alone(path: Path) -> None:
    # typing_extensions is imported for type checkers only.
    allowed = {*sys.stdlib_module_names, "httpx2", "assent_client", "typing_extensions"}
    assert imported(path) <= allowed


def test_nothing_but_types_comes_from_typing_extensions() -> None:
    code = "import assent_client, assent_client.testing, sys; print(*sys.modules)"
    path = str(CLIENT)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"django", "accounts_app", "tasks_app", "integrations_app", "config"}


def test_the_blocking_colour_is_generated_from_the_other() -> None:
    pytest.importorskip("ruff", reason="it is generated where the product is developed")
    done = subprocess.run(
        [sys.executable, str(CLIENT / "generate_sync.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
