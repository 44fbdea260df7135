"""Each promise of the threat model names tests that exist, and so does all the rest of the page."""

import ast
import re

from tests.harness.server import PROJECT

PAGE = (PROJECT / "docs" / "threat-model.md").read_text(encoding="utf-8")
PROMISES = 17
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def promises() -> dict[int, list[tuple[str, str]]]:
    """The tests that each line of the table names."""
    lines = re.findall(r"^\| (\d+) \|(.*)$", PAGE, re.MULTILINE)
    return {int(number): NAMED.findall(rest) for number, rest in lines}


def functions_of(path: str) -> set[str]:
    place = PROJECT / path
    if not place.exists():
        return set()
    tree = ast.parse(place.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_promise_names_the_tests_that_guard_it() -> None:
    assert sorted(promises()) == list(range(1, PROMISES + 1))
    assert [number for number, tests in promises().items() if not tests] == []


def test_every_test_that_the_page_names_exists() -> None:
    named = NAMED.findall(PAGE)
    assert len(named) >= PROMISES
    assert [f"{path}::{name}" for path, name in named if name not in functions_of(path)] == []
