"""YAML documents: the same value as their JSON, and nothing of what YAML can do beyond it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from accounts_app import strict_json
from accounts_app.errors import DomainError, ParseError
from integrations_app import yaml_documents
from integrations_app.yaml_documents import as_json, is_json

FIXTURES = Path(__file__).parents[1] / "fixtures" / "openapi"


def read(text: str) -> Any:
    return strict_json.loads(as_json(text).encode())


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
def test_a_document_means_the_same_in_both_notations(path: Path) -> None:
    document = json.loads(path.read_text())
    assert read(yaml.safe_dump(document, sort_keys=False)) == document
    assert read(path.read_text()) == document, "JSON is YAML too"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 2024-01-31", {"a": "2024-01-31"}),
        ("a: 2024-01-31T10:00:00Z", {"a": "2024-01-31T10:00:00Z"}),
        ("a: yes\nb: off", {"a": "yes", "b": "off"}),
        (
            "a: 0o17\nb: 0x1F\nc: 012\nd: 1_000",
            {"a": "0o17", "b": "0x1F", "c": "012", "d": "1_000"},
        ),
        ("a: 12:30:45\nb: .nan\nc: -.inf", {"a": "12:30:45", "b": ".nan", "c": "-.inf"}),
        ("a: -3\nb: 1.5e3\nc: 3.0.1", {"a": -3, "b": 1500.0, "c": "3.0.1"}),
        ("a: true\nb: False\nc: null\nd: ~\ne:", {"a": True, "b": False, **dict.fromkeys("cde")}),
        ("a: 'true'\nb: \"12\"\nc: '~'", {"a": "true", "b": "12", "c": "~"}),
        ("200: ok\ntrue: b\nnull: c", {"200": "ok", "true": "b", "null": "c"}),
        ("- 1\n- []\n- {}\n- {a: [b, 2]}", [1, [], {}, {"a": ["b", 2]}]),
        ("a: |\n  two\n  lines\nb: >\n  one\n  line\n", {"a": "two\nlines\n", "b": "one line\n"}),
        ("%YAML 1.2\n---\na: 1\n...\n", {"a": 1}),
        ("'<<': text", {"<<": "text"}),
        ('a: "\\u202e"\nб: ü', {"a": "\u202e", "б": "ü"}),
    ],
)
def test_only_what_json_has_becomes_more_than_text(text: str, value: object) -> None:
    assert read(text) == value


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "Line 1 of the YAML has an anchor, &a; anchors are not read."),
        ("a: 1\nb: *a", "Line 2 of the YAML has an alias, *a; write out what it stands for."),
        ("a: 1\n<<: {b: 2}", "Line 2 of the YAML merges with <<; write out what is merged."),
        (
            "a: !!python/object/apply:os.system [ls]",
            "Line 1 of the YAML has a tag, tag:yaml.org,2002:python/object/apply:os.system; tags"
            " are not read.",
        ),
        ("a: !!timestamp 2024-01-31", "Line 1 of the YAML has a tag"),
        ("a: 1\n---\nb: 2", "Line 2 of the YAML begins another document; send one."),
        ("? {a: 1}\n: 2", "Line 1 of the YAML has a mapping or a list as a name; a name is text."),
        ("a: 1\na: 2", "The member 'a' stands twice in one object."),
        ("200: 1\n'200': 2", "The member '200' stands twice in one object."),
        ("a: {b: 1, b: 1}", "The member 'b' stands twice in one object."),
        ("a: [1", "Malformed YAML at line 2, column 1"),
        ("a: b: c", "Malformed YAML at line 1, column 5"),
        ("a: \x00", "Malformed YAML: it has a character that YAML does not allow."),
        ("a: \x1b", "Malformed YAML: it has a character that YAML does not allow."),
        ("a: \ud800", "Malformed YAML: it has a character that YAML does not allow."),
        ("- " * 33, "The document is nested deeper than 32 levels."),
        ("{a: " * 33, "The document is nested deeper than 32 levels."),
        (f"a: {'9' * 30}", "is neither a 64-bit integer nor a finite double; send it as text."),
        ("a: 1e999", "is neither a 64-bit integer nor a finite double; send it as text."),
    ],
)
def test_what_goes_beyond_json_is_refused_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(DomainError) as refusal:
        read(text)
    assert reason in refusal.value.detail


@pytest.mark.parametrize("start", ["[", "- ", "? ", "{", "a: "])
def test_what_never_ends_is_refused_at_its_beginning(start: str) -> None:
    with pytest.raises(ParseError):
        as_json(start * 300_000)


def test_the_number_of_parts_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_documents, "MAX_EVENTS", 7)
    assert read("[1, 2]") == [1, 2]
    with pytest.raises(ParseError, match="More than 7 parts of YAML; import a part of it"):
        as_json("[1, 2, 3]")


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.CSafeLoader])
def test_both_ways_of_reading_say_the_same(monkeypatch: pytest.MonkeyPatch, loader: Any) -> None:
    monkeypatch.setattr(yaml_documents, "_LOADER", loader)
    assert read("200: [2024-01-31, yes, 1.5, ~]\n") == {"200": ["2024-01-31", "yes", 1.5, None]}
    with pytest.raises(ParseError, match="has an anchor"):
        as_json(BOMB)


@pytest.mark.parametrize(
    ("text", "json_"), [(" {", True), ("\n[1]", True), ("openapi: 3", False), ("", False)]
)
def test_how_a_document_begins_says_what_it_is(text: str, json_: bool) -> None:
    assert is_json(text) is json_
