"""Parameter schemas: what is accepted, what arguments are told, and that neither can hang us."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_app.errors import FieldError, Invalid
from integrations_app import pointers
from integrations_app.schemas import check_schema, compile_pattern, validate

REFUND: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "amount": {"type": "number", "minimum": 1, "multipleOf": 0.01},
        "count": {"type": "integer"},
        "currency": {"enum": ["EUR", "USD"]},
        "note": {"type": "string", "pattern": "^[a-z ]+$", "maxLength": 20},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}, "uniqueItems": True},
    },
    "patternProperties": {"^x-": {"type": "string"}},
    "additionalProperties": False,
    "required": ["amount"],
    "$defs": {"line": {"type": "object", "required": ["sku"]}},
}


def found(schema: dict[str, Any], arguments: object) -> list[tuple[str, str]]:
    return [(error.field, error.code) for error in validate(schema, arguments)]


def refused(schema: object) -> tuple[FieldError, ...]:
    with pytest.raises(Invalid) as caught:
        check_schema(schema)
    return caught.value.errors


def test_a_good_schema_and_good_arguments() -> None:
    check_schema(REFUND)
    arguments = {"amount": 19.99, "count": 1.0, "currency": "EUR", "note": "so", "x-ray": "a"}
    assert validate(REFUND, arguments | {"lines": [{"sku": 1}, {"sku": True}]}) == []


@pytest.mark.parametrize(
    ("arguments", "errors"),
    [
        ({}, [("/amount", "required")]),
        ({"amount": True}, [("/amount", "invalid_value")]),
        ({"amount": 0.005}, [("/amount", "invalid_value")] * 2),
        ({"amount": 5, "count": 1.5}, [("/count", "invalid_value")]),
        ({"amount": 5, "count": True}, [("/count", "invalid_value")]),
        ({"amount": 5, "currency": "GBP"}, [("/currency", "invalid_value")]),
        ({"amount": 5, "note": "NO"}, [("/note", "invalid_value")]),
        ({"amount": 5, "a/b~": 1}, [("/a~1b~0", "unknown_field")]),
        ({"amount": 5, "x-a": 1}, [("/x-a", "invalid_value")]),
        ({"amount": 5, "lines": [{}]}, [("/lines/0/sku", "required")]),
        ({"amount": 5, "lines": [{"sku": 1}, {"sku": 1.0}]}, [("/lines", "invalid_value")]),
        ([], [("", "invalid_value")]),
        (None, [("", "invalid_value")]),
    ],
)
def test_what_arguments_are_told(arguments: object, errors: list[tuple[str, str]]) -> None:
    assert found(REFUND, arguments) == errors


def test_details_read_like_prose() -> None:
    schema = {
        "properties": {
            "a": {"enum": ["x", None, True]},
            "b": {"type": ["string", "null"]},
            "c": {"const": {"k": None}},
            "d": {"minimum": 10},
            "e": False,
            "f": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "g": {"pattern": "^\\d+$"},
        },
        "propertyNames": {"maxLength": 3},
        "dependentRequired": {"a": ["z"]},
    }
    check_schema(schema)
    arguments = {"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": "secret", "long name": 1}
    details = {error.field: error.detail for error in validate(schema, arguments)}
    assert details == {
        "": "The name of a member: maximum length: 3 characters.",
        "/a": 'Must be one of "x", null, true.',
        "/b": "Must be of type string or null.",
        "/c": 'Must be {"k": null}.',
        "/d": "Must be at least 10.",
        "/e": "Must be left out; the schema allows no value here.",
        "/f": "Fits none of the forms that the schema allows.",
        "/g": "Must match the pattern ^\\d+$.",
        "/z": "This member is required.",
    }


def test_errors_are_at_most_twenty_and_in_one_order() -> None:
    schema = {"properties": {f"p{at:02}": {"type": "string"} for at in range(40)}}
    arguments = {f"p{at:02}": at for at in range(40)}
    errors = validate(schema, arguments)
    assert [error.field for error in errors] == [f"/p{at:02}" for at in range(20)]
    shuffled = {"properties": dict(reversed(schema["properties"].items()))}
    assert validate(shuffled, dict(reversed(arguments.items()))) == errors


@pytest.mark.parametrize("amount", [19.99, 0.07, 1.1, 1e20, 4.35, 1e-2, 300])
def test_decimals_are_exact(amount: float) -> None:
    assert validate({"properties": {"a": {"multipleOf": 0.01}}}, {"a": amount}) == []


def test_format_is_an_annotation() -> None:
    schema = {"properties": {"a": {"format": "regex"}, "b": {"format": "date"}}}
    check_schema(schema)
    assert validate(schema, {"a": "(((", "b": "never"}) == []


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        (1, "/parameters"),
        (True, "/parameters"),
        ([], "/parameters"),
        ({"type": "array"}, "/parameters/type"),
        ({"type": ["object", "null"]}, "/parameters/type"),
        ({"type": "objekt"}, "/parameters/type"),
        ({"properties": []}, "/parameters/properties"),
        ({"properties": {"a": {"type": "strin"}}}, "/parameters/properties/a/type"),
        ({"required": "a"}, "/parameters/required"),
        ({"properties": {"a": {"minLength": -1}}}, "/parameters/properties/a/minLength"),
        ({"properties": {"a": {"pattern": "("}}}, "/parameters/properties/a/pattern"),
        ({"properties": {"a": {"pattern": "(a)\\1"}}}, "/parameters/properties/a/pattern"),
        ({"properties": {"a": {"pattern": "(?=a)"}}}, "/parameters/properties/a/pattern"),
        ({"properties": {"pattern": {"pattern": "["}}}, "/parameters/properties/pattern/pattern"),
        ({"patternProperties": {"a/(": {}}}, "/parameters/patternProperties/a~1("),
        ({"not": {"items": {"pattern": "("}}}, "/parameters/not/items/pattern"),
        ({"allOf": [{}, {"pattern": "("}]}, "/parameters/allOf/1/pattern"),
        ({"$ref": "https://example.com/s"}, "/parameters/$ref"),
        ({"$ref": "file:///etc/passwd"}, "/parameters/$ref"),
        ({"$ref": "other.json#/a"}, "/parameters/$ref"),
        ({"$ref": "#"}, "/parameters/$ref"),
        ({"$ref": "#/$defs/none"}, "/parameters/$ref"),
        ({"$ref": "#/examples/0", "examples": [{"pattern": "("}]}, "/parameters/$ref"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "/parameters/$defs/a"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "/parameters/$schema"),
        ({"$schema": 5}, "/parameters/$schema"),
        ({"properties": {"a": {"$id": "https://example.com/"}}}, "/parameters/properties/a"),
        ({"$dynamicRef": "#a"}, "/parameters/$dynamicRef"),
        ({"$anchor": "a"}, "/parameters/$anchor"),
        (
            {"unevaluatedProperties": False, "patternProperties": {"a": {}}},
            "/parameters/unevaluatedProperties",
        ),
        ({"default": float("nan")}, "/parameters"),
        ({"default": object()}, "/parameters"),
    ],
)
def test_what_is_no_usable_schema(schema: object, field: str) -> None:
    assert field in {error.field for error in refused(schema)}


def test_size_and_depth_are_bounded() -> None:
    assert refused({"description": "x" * 66_000})[0].code == "too_long"
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"not": deep}
    assert "32" in refused(deep)[0].detail
    while deep:  # or its own destruction would recurse
        deep = deep.pop("not")


def test_recursion_through_values_is_allowed() -> None:
    tree = {
        "properties": {"children": {"items": {"$ref": "#/$defs/node"}}},
        "$defs": {"node": {"properties": {"children": {"items": {"$ref": "#/$defs/node"}}}}},
    }
    check_schema(tree)
    assert found(tree, {"children": [{"children": []}]}) == []


def test_nothing_is_fetched(socket_disabled: None) -> None:
    check_schema({"$id": "https://example.com/s", "$ref": "#/$defs/a", "$defs": {"a": {}}})
    assert (
        validate({"$id": "https://example.com/s", "$defs": {"a": {}}, "$ref": "#/$defs/a"}, {})
        == []
    )


def test_work_is_bounded() -> None:
    twice = [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]
    schema = {
        "properties": {"x": {"$ref": "#/$defs/a"}},
        "$defs": {"a": {"items": {"allOf": twice}}},
    }
    check_schema(schema)
    value: list[Any] = []
    for _ in range(30):
        value = [value]
    begun = time.thread_time()
    assert found(schema, {"x": value}) == [("", "too_complex")]
    assert time.thread_time() - begun < 10


def test_patterns_take_linear_time() -> None:
    schema = {
        "properties": {"a": {"pattern": "^(a+)+$"}},
        "patternProperties": {"^(b+)+$": {}},
        "additionalProperties": False,
    }
    check_schema(schema)
    begun = time.thread_time()
    assert found(schema, {"a": "a" * 50_000 + "!"}) == [("/a", "invalid_value")]
    assert found(schema, {"b" * 50_000 + "!": 1})[0][1] == "unknown_field"
    assert time.thread_time() - begun < 2


def test_unique_items_takes_no_quadratic_time() -> None:
    schema = {"properties": {"a": {"uniqueItems": True}}}
    begun = time.thread_time()
    assert found(schema, {"a": [{"id": at} for at in range(30_000)]}) == []
    # Comparing each with each would be 450 million comparisons.
    assert time.thread_time() - begun < 10
    assert found(schema, {"a": [1, True, "1", None, [], {}]}) == []
    assert found(schema, {"a": [{"a": 1, "b": 2}, {"b": 2.0, "a": 1}]}) != []


@pytest.mark.parametrize("pattern", ["(", "(a)\\1", "(?=a)", "a" * 1001, "(\\pL{100}){50}"])
def test_patterns_that_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"pattern|Pattern"):
        compile_pattern(pattern)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=10,
)
SOME = {"type", "properties", "items", "$ref", "allOf", "pattern", "required", "enum", "minimum"}
MORE = {"additionalProperties", "not", "$defs", "multipleOf", "dependentSchemas", "prefixItems"}
KEYWORDS = st.sampled_from(sorted(SOME | MORE))


@given(st.dictionaries(KEYWORDS, json_values, max_size=4))
def test_any_document_is_accepted_or_refused(schema: dict[str, Any]) -> None:
    try:
        check_schema(schema)
    except Invalid:
        return
    assert len(validate(schema, {"a": 1})) <= 20


@given(st.dictionaries(st.text(max_size=6), json_values, max_size=4))
def test_any_arguments_get_pointers(arguments: dict[str, Any]) -> None:
    for error in validate(REFUND, arguments):
        assert error.code in {"required", "unknown_field", "invalid_value"}
        assert error.code == "required" or pointers.exists(arguments, error.field)
