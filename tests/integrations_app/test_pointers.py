"""JSON pointers: the RFC's own examples, what is malformed, and masking that never leaks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations_app import pointers

RFC = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=15,
)


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", RFC),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_rfc_examples(pointer: str, value: object) -> None:
    assert pointers.get(RFC, pointer) == value
    assert pointers.exists(RFC, pointer)
    assert pointers.build(pointers.parse(pointer)) == pointer


@pytest.mark.parametrize("pointer", ["a", "foo/0", "/~", "/~2", "/a~", "#/foo", "~0", " /a"])
def test_malformed_pointers_are_refused(pointer: str) -> None:
    for call in (pointers.parse, lambda each: pointers.exists({}, each)):
        with pytest.raises(ValueError, match="JSON pointer"):
            call(pointer)


@pytest.mark.parametrize(
    "pointer", ["/foo/-", "/foo/2", "/foo/00", "/foo/-1", "/foo/1e0", "/foo/١", "/foo/bar", "/x/y"]
)
def test_what_is_not_there(pointer: str) -> None:
    assert not pointers.exists(RFC, pointer)
    with pytest.raises(KeyError):
        pointers.get(RFC, pointer)
    assert pointers.mask(RFC, [pointer]) == RFC


def test_tilde_one_is_unescaped_before_tilde_zero() -> None:
    assert pointers.parse("/~01") == ("~1",)


def test_null_is_there() -> None:
    assert pointers.exists({"a": None}, "/a")


def test_mask_replaces_in_a_copy() -> None:
    document = {"card": {"number": "4111", "holder": "A"}, "items": [{"pin": 1}, {"pin": 2}]}
    masked = pointers.mask(document, ["/card/number", "/items/1/pin", "/none", "/card/number/x"])
    assert masked == {
        "card": {"number": "•••", "holder": "A"},
        "items": [{"pin": 1}, {"pin": "•••"}],
    }
    assert document["card"] == {"number": "4111", "holder": "A"}
    masked["items"].append(3)
    assert len(document["items"]) == 2


def test_mask_takes_overlapping_pointers_in_any_order() -> None:
    document = {"a": {"b": "secret"}}
    assert pointers.mask(document, ["/a", "/a/b"]) == {"a": "•••"}
    assert pointers.mask(document, ["/a/b", "/a"]) == {"a": "•••"}
    assert pointers.mask(document, [""]) == "•••"


def test_star_is_a_name() -> None:
    assert pointers.mask({"*": 1, "a": 2}, ["/*"]) == {"*": "•••", "a": 2}


@given(st.lists(st.text(max_size=6)))
def test_build_and_parse_are_inverse(steps: list[str]) -> None:
    assert list(pointers.parse(pointers.build(steps))) == steps


@given(documents)
def test_every_place_is_found_and_masked(document: object) -> None:
    def walk(value: object, steps: tuple[str | int, ...]) -> None:
        pointer = pointers.build(steps)
        assert pointers.get(document, pointer) is value
        masked = pointers.mask(document, [pointer], mask="#")
        assert pointers.get(masked, pointer) == "#"
        if isinstance(value, dict | list):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                walk(item, (*steps, key))

    walk(document, ())
