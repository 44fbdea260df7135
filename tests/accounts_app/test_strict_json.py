import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_app import strict_json
from accounts_app.errors import Invalid, ParseError


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b"NaN",
        b'{"a": Infinity}',
        b"-Infinity",
        b'{"amount": 1, "amount": 1000}',
        b'{"a": 1, "\\u0061": 2}',
        b'"\\ud800"',
        b'{"\\udc00": 1}',
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        b'"\xed\xa0\x80"',
        b"[" * 33 + b"]" * 33,
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b"01",
        b"[1] [2]",
    ],
)
def test_what_is_no_acceptable_json_is_a_parse_error(data: bytes) -> None:
    with pytest.raises(ParseError) as caught:
        strict_json.loads(data)
    assert caught.value.code == "parse_error"


@pytest.mark.parametrize(
    "data",
    [
        b'"a\\u0000b"',
        b'{"\\u0000": 1}',
        b"9223372036854775808",
        b"-9223372036854775809",
        b"1e400",
        b"9" * 5_000,
    ],
)
def test_what_no_store_can_hold_is_an_invalid_value(data: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        strict_json.loads(data)
    assert caught.value.code == "invalid_value"


def test_the_pointer_names_where_the_nul_stands() -> None:
    with pytest.raises(Invalid) as caught:
        strict_json.loads(b'{"a/b": ["x", "\\u0000"]}')
    assert caught.value.errors[0].field == "/a~1b/1"


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b'{"title": "\\u0000"}', "title"),
        (b'{"a/b": 1e400}', "a/b"),
        (b'{"a": [1, {"b": 9223372036854775808}]}', "/a/1/b"),
        (b'{"a": 1e400, "b": 2e400}', "a"),
        (b"1e400", ""),
    ],
)
def test_what_cannot_be_kept_is_named(data: bytes, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        strict_json.loads(data)
    assert [error.field for error in caught.value.errors] == [field]


def test_thirty_two_levels_and_brackets_in_text_are_accepted() -> None:
    assert strict_json.loads(b"[" * 32 + b"]" * 32)
    assert strict_json.loads(b'"' + b"[" * 1_000 + b'\\"{"') == "[" * 1_000 + '"{'


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(strict_json.MIN_INTEGER, strict_json.MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_what_is_allowed_comes_back_as_it_was_sent(value: object) -> None:
    for ensure_ascii in (True, False):
        data = json.dumps(value, ensure_ascii=ensure_ascii).encode()
        assert strict_json.loads(data) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused_and_nothing_else_is_raised(data: bytes) -> None:
    try:
        strict_json.loads(data)
    except (ParseError, Invalid):
        return
