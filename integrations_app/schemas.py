"""Parameter schemas of operations: JSON Schema draft 2020-12, narrowed to what is safe to run.

An admin writes the schema and an agent the arguments, so both sides are bounded. Patterns are
run by RE2: linear time, no backreferences or lookaround. `$ref` stays inside the
schema and nothing is ever fetched. `format` is an annotation, as the draft has it by default.
Details quote the schema and never the arguments, which may be sensitive.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from fractions import Fraction
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from itertools import islice
from typing import Any, Final
from urllib.parse import unquote

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import create
from referencing import Registry

from accounts_app.errors import FieldError, Invalid
from integrations_app import pointers

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
MAX_SCHEMA_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 32
MAX_ERRORS: Final = 20
MAX_PATTERN: Final = 1000  # characters
MAX_CHECKS: Final = 100_000  # keyword checks in one validation, about half a second

_re2: Any = import_module("re2")  # ships no types
_SAME_ONE: Final = ("not", "if", "then", "else")
_OTHER_ONE: Final = ("additionalProperties", "items", "contains", "propertyNames", "contentSchema")
_REST: Final = ("unevaluatedItems", "unevaluatedProperties")
_SAME_MANY: Final = ("allOf", "anyOf", "oneOf")
_NAMED: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_UNSUPPORTED: Final = ("$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef", "$vocabulary")


class _Exhausted(Exception):
    """One validation has used up its checks."""


_left: ContextVar[list[int]] = ContextVar("checks left")


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> Any:
    """Compile a regular expression with RE2: linear in the text, at most 1 MiB of memory.

    Args:
        pattern: RE2 syntax, at most 1,000 characters; it may match anywhere in the text.

    Returns:
        an RE2 object; its `search(text)` is None where nothing matches.

    Raises:
        ValueError: too long, too large when compiled, or no RE2 syntax.
    """
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"A pattern has at most {MAX_PATTERN:,} characters.")
    options = _re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return _re2.compile(pattern, options)
    except _re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if error.args else "unknown reason"
        raise ValueError(f"Not a pattern that RE2 accepts: {reason}.") from error


def _matches(pattern: str, text: str) -> bool:
    try:
        return compile_pattern(pattern).search(text) is not None
    except UnicodeEncodeError:  # a lone surrogate is no text
        return False


# Keywords that differ from the library's: RE2, exact decimals, no quadratic time, an error per
# member. Each takes (validator, keyword's value, instance, schema).


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError("pattern")


def _member(validator: Any, name: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    if schema is False:  # for which the library's own descent loses the path
        yield ValidationError("false", validator="false", path=[name])
    else:
        yield from validator.descend(value, schema, path=name)


def _properties(
    validator: Any, members: dict[str, Any], instance: Any, _: Any
) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for name in members.keys() & instance.keys():
            yield from _member(validator, name, instance[name], members[name])


def _pattern_properties(
    validator: Any, patterns: dict[str, Any], instance: Any, _: Any
) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for pattern, subschema in patterns.items():
            for name, value in instance.items():
                _spend()
                if _matches(pattern, name):
                    yield from _member(validator, name, value, subschema)


def _additional_properties(
    validator: Any, subschema: Any, instance: Any, schema: dict[str, Any]
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    known = schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    for name, value in instance.items():
        _spend()
        if name in known or any(_matches(pattern, name) for pattern in patterns):
            continue
        if subschema is False:
            yield ValidationError("additionalProperties", path=[name])
        else:
            yield from validator.descend(value, subschema, path=name)


def _required(_: Any, names: list[str], instance: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for name in names:
            if name not in instance:
                yield ValidationError("required", path=[name])


def _dependent_required(
    _: Any, dependencies: dict[str, list[str]], instance: Any, __: Any
) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for name in (each for key in dependencies.keys() & instance for each in dependencies[key]):
            if name not in instance:
                yield ValidationError("required", validator="required", path=[name])


def _multiple_of(_: Any, step: float, instance: Any, __: Any) -> Iterator[ValidationError]:
    """Decimally exact: 19.99 is a multiple of 0.01, which binary division denies."""
    if type(instance) in (int, float) and Fraction(repr(instance)) % Fraction(repr(step)):
        yield ValidationError("multipleOf")


def _unique_items(_: Any, wanted: bool, instance: Any, __: Any) -> Iterator[ValidationError]:
    if wanted and isinstance(instance, list) and len(set(map(_key, instance))) < len(instance):
        yield ValidationError("uniqueItems")


def _key(value: Any) -> Any:
    """Equal for values that JSON Schema takes as equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, dict):
        return ("object", frozenset((name, _key(item)) for name, item in value.items()))
    if isinstance(value, list):
        return ("array", tuple(_key(item) for item in value))
    return (isinstance(value, bool), value)


def _spend() -> None:
    left = _left.get()
    left[0] -= 1
    if left[0] < 0:
        raise _Exhausted


def _counted(keyword: Callable[..., Any]) -> Callable[..., Any]:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        _spend()
        return keyword(validator, value, instance, schema)

    return check


_OWN: Final[dict[str, Callable[..., Any]]] = {
    "pattern": _pattern,
    "properties": _properties,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "required": _required,
    "dependentRequired": _dependent_required,
    "multipleOf": _multiple_of,
    "uniqueItems": _unique_items,
}
_KEYWORDS: Final = {**Draft202012Validator.VALIDATORS, **_OWN}
_Validator: Final[Any] = create(
    meta_schema=Draft202012Validator.META_SCHEMA,
    validators={name: _counted(keyword) for name, keyword in _KEYWORDS.items()},
    type_checker=Draft202012Validator.TYPE_CHECKER,
)


def check_schema(schema: object, field: str = "/parameters") -> None:
    """Refuse what is no usable JSON Schema for an operation's arguments.

    Args:
        schema: parsed JSON. At most 64 KiB and 32 levels; describes an object; `$ref` is local
            (`#/...`) and leads to a schema; patterns are RE2's; `$id` only at the top.
        field: the pointer of the body's member that holds it.

    Raises:
        Invalid: with at most 20 field errors, `not_supported` for keywords that are left out.
    """
    if not isinstance(schema, dict):
        raise Invalid([FieldError(field, "invalid_value", "Send a JSON Schema object.")])
    _refuse_size(schema, field)
    found = Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema)
    errors = [_field_error(error, field) for error in islice(found, MAX_ERRORS)]
    if not errors and schema.get("type", "object") not in ("object", ["object"]):
        detail = "The arguments of an operation are an object: leave type out or write object."
        errors = [FieldError(f"{field}/type", "invalid_value", detail)]
    errors = errors or list(islice(_refused(schema, field), MAX_ERRORS))
    errors = errors or _circles(schema, field)
    if errors:
        raise Invalid(errors)


def validate(schema: Mapping[str, Any], arguments: object) -> list[FieldError]:
    """What is wrong with arguments, in an order that depends on nothing but both documents.

    Args:
        schema: one that `check_schema` let through.
        arguments: parsed JSON.

    Returns:
        at most 20 errors; `field` is the JSON pointer of the place (`""` for the whole, and for
        a missing member the place where it should be), `code` is `required`, `unknown_field`,
        `invalid_value` or, where checking would take too long, `too_complex`.
    """
    if not isinstance(arguments, dict):
        return [FieldError("", "invalid_value", "Must be an object.")]
    validator = _Validator(dict(schema), registry=Registry())
    token = _left.set([MAX_CHECKS])
    try:
        errors = map(_field_error, validator.iter_errors(arguments))
        found = {(error.field, error.code, error.detail) for error in errors}
    except (_Exhausted, RecursionError):
        detail = "The arguments are too large or too deeply nested to be checked by the schema."
        return [FieldError("", "too_complex", detail)]
    finally:
        _left.reset(token)
    return [FieldError(*each) for each in sorted(found)[:MAX_ERRORS]]


def _refuse_size(schema: dict[str, Any], field: str) -> None:
    level: list[dict[str, Any] | list[Any]] = [schema]
    for _ in range(MAX_DEPTH):
        lists = [list(item.values()) if isinstance(item, dict) else item for item in level]
        level = [item for each in lists for item in each if isinstance(item, dict | list)]
    if level:
        detail = f"A schema is nested at most {MAX_DEPTH} levels deep."
        raise Invalid([FieldError(field, "invalid_value", detail)])
    try:
        size = len(json.dumps(schema, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError) as error:
        detail = "The schema holds something that JSON cannot carry."
        raise Invalid([FieldError(field, "invalid_value", detail)]) from error
    if size > MAX_SCHEMA_BYTES:
        raise Invalid([FieldError(field, "too_long", "A schema has at most 64 KiB.")])


def _subschemas(schema: dict[str, Any]) -> dict[tuple[str | int, ...], dict[str, Any]]:
    """Every place that the draft reads as a schema, by its steps."""
    places: dict[tuple[str | int, ...], dict[str, Any]] = {}
    open_: list[tuple[tuple[str | int, ...], Any]] = [((), schema)]
    while open_:
        steps, node = open_.pop()
        if not isinstance(node, dict):
            continue
        places[steps] = node
        open_ += [
            ((*steps, key), node[key]) for key in (*_SAME_ONE, *_OTHER_ONE, *_REST) if key in node
        ]
        for key in (*_SAME_MANY, "prefixItems"):
            open_ += [((*steps, key, at), item) for at, item in enumerate(node.get(key, []))]
        for key in _NAMED:
            open_ += [((*steps, key, name), item) for name, item in node.get(key, {}).items()]
    return places


def _refused(schema: dict[str, Any], field: str) -> Iterator[FieldError]:
    """What the draft allows and this product does not."""
    places = _subschemas(schema)
    known = {pointers.build(steps) for steps in places}
    patterned = any("patternProperties" in node for node in places.values())
    if schema.get("$schema", DIALECT).rstrip("#") != DIALECT:
        yield FieldError(f"{field}/$schema", "not_supported", f"Only {DIALECT} is supported.")
    for steps in sorted(places, key=pointers.build):
        node = places[steps]
        at = field + pointers.build(steps)
        for key in _UNSUPPORTED:
            if key in node:
                yield FieldError(f"{at}/{key}", "not_supported", f"{key} is not supported.")
        if steps and ("$id" in node or "$schema" in node):
            yield FieldError(at, "not_supported", "$id and $schema may stand at the top only.")
        if patterned and "unevaluatedProperties" in node:
            detail = "unevaluatedProperties is not supported beside patternProperties."
            yield FieldError(f"{at}/unevaluatedProperties", "not_supported", detail)
        if "$ref" in node and not _is_local(node["$ref"], known):
            detail = "A $ref starts with #/ and leads to a schema inside this one."
            yield FieldError(f"{at}/$ref", "invalid_value", detail)
        yield from _refused_patterns(node, at)


def _circles(schema: dict[str, Any], field: str) -> list[FieldError]:
    """Schemas that lead back to themselves on the same value, which no validation survives."""
    graph: dict[str, list[str]] = {}
    for steps, node in _subschemas(schema).items():
        to: list[tuple[str | int, ...]] = [(key,) for key in _SAME_ONE if key in node]
        to += [(key, at) for key in _SAME_MANY for at in range(len(node.get(key, [])))]
        to += [("dependentSchemas", name) for name in node.get("dependentSchemas", {})]
        graph[pointers.build(steps)] = [pointers.build((*steps, *step)) for step in to]
        if "$ref" in node:
            graph[pointers.build(steps)].append(unquote(node["$ref"][1:]))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        detail = "This schema refers to itself without end."
        return [FieldError(field + error.args[1][0], "invalid_value", detail)]
    return []


def _is_local(reference: str, known: set[str]) -> bool:
    return reference.startswith("#/") and unquote(reference[1:]) in known


def _refused_patterns(node: dict[str, Any], at: str) -> Iterator[FieldError]:
    places = [(f"{at}/pattern", node.get("pattern", ""))]
    for name in node.get("patternProperties", {}):
        places.append((f"{at}/patternProperties{pointers.build([name])}", name))
    for place, pattern in places:
        try:
            compile_pattern(pattern)
        except ValueError as error:
            yield FieldError(place, "invalid_value", str(error))


def _field_error(error: ValidationError, start: str = "") -> FieldError:
    keyword = error.validator if isinstance(error.validator, str) else "false"
    detail = _detail(keyword, error.validator_value)
    if "propertyNames" in error.absolute_schema_path:
        detail = f"The name of a member: {detail[0].lower()}{detail[1:]}"
    field = start + pointers.build(error.absolute_path)
    return FieldError(field, _CODES.get(keyword, "invalid_value"), detail)


_CODES: Final = {
    **dict.fromkeys(("additionalProperties", "unevaluatedProperties"), "unknown_field"),
    "required": "required",
}
_DETAILS: Final = {
    "required": "This member is required.",
    "additionalProperties": "There is no such member; leave it out.",
    "unevaluatedProperties": "It has members that are not allowed.",
    "unevaluatedItems": "It has elements that are not allowed.",
    "type": "Must be of type {}.",
    "enum": "Must be one of {}.",
    "const": "Must be {}.",
    "minimum": "Must be at least {}.",
    "maximum": "Must be at most {}.",
    "exclusiveMinimum": "Must be more than {}.",
    "exclusiveMaximum": "Must be less than {}.",
    "multipleOf": "Must be a multiple of {}.",
    "minLength": "Minimum length: {} characters.",
    "maxLength": "Maximum length: {} characters.",
    "pattern": "Must match the pattern {}.",
    "minItems": "Minimum number of elements: {}.",
    "maxItems": "Maximum number of elements: {}.",
    "uniqueItems": "No element may stand twice.",
    "items": "It has more elements than the schema allows.",
    "minProperties": "Minimum number of members: {}.",
    "maxProperties": "Maximum number of members: {}.",
    "contains": "It lacks, or has too many of, the elements that the schema asks for.",
    "anyOf": "Fits none of the forms that the schema allows.",
    "oneOf": "Must fit exactly one of the forms that the schema allows.",
    "not": "Has a form that the schema excludes.",
    "false": "Must be left out; the schema allows no value here.",
}


def _detail(keyword: str, value: Any) -> str:
    if keyword in ("type", "pattern"):
        shown = " or ".join(map(str, value)) if isinstance(value, list) else str(value)
    elif keyword == "enum" and isinstance(value, list):
        shown = ", ".join(json.dumps(each, ensure_ascii=False) for each in value)
    else:
        shown = json.dumps(value, ensure_ascii=False, default=str)
    shown = shown if len(shown) <= 200 else f"{shown[:200]}…"
    return _DETAILS.get(keyword, "Does not fit the schema.").format(shown)
