"""Checks requests and answers of the tests against the OpenAPI document."""

import copy
import json
import re
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

DOCUMENT = "urn:document"


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """The document as the server gives it."""
    made = SchemaGenerator().get_schema(request=None, public=True)
    return dict(json.loads(json.dumps(made, default=str)))


@lru_cache(maxsize=1)
def _registry() -> Registry[Any]:
    """The document with closed answers: a member that it does not name is found."""
    closed = copy.deepcopy(document())
    for schema in closed["components"]["schemas"].values():
        _close(schema)
    # Refusals have further members by kind; the document names them all.
    return Registry().with_resource(DOCUMENT, Resource(closed, DRAFT202012))


def _close(schema: Any) -> None:
    if isinstance(schema, list):
        for item in schema:
            _close(item)
    if not isinstance(schema, dict):
        return
    if "properties" in schema and "type" in schema:
        schema.setdefault("additionalProperties", False)
    for name, inner in schema.items():
        if name not in ("examples", "example", "enum", "const"):
            _close(list(inner.values()) if name == "properties" else inner)


@lru_cache(maxsize=1)
def _templates() -> list[tuple[re.Pattern[str], str]]:
    """The literal addresses first, so that `tasks/bulk-complete` is no task."""
    found = []
    for path in sorted(document()["paths"], key=lambda text: text.count("{")):
        pattern = re.sub(r"\\\{[^{}]+\\\}", "[^/]+", re.escape(path))
        found.append((re.compile(pattern + r"\Z"), path))
    return found


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """What the document says about a request; None for an address that it does not have."""
    for pattern, template in _templates():
        if pattern.match(path):
            operation: dict[str, Any] | None = document()["paths"][template].get(method.lower())
            return operation
    return None


def _faults(schema: dict[str, Any], value: Any) -> list[str]:
    validator = _validator(json.dumps(schema, sort_keys=True))
    return [f"{list(e.absolute_path)}: {e.message[:200]}" for e in validator.iter_errors(value)]


@lru_cache(maxsize=1000)
def _validator(schema: str) -> Any:
    whole = _absolute(json.loads(schema))
    return Draft202012Validator(whole, registry=_registry(), format_checker=FormatChecker())


def _absolute(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: f"{DOCUMENT}{value}" if key == "$ref" else _absolute(value)
            for key, value in node.items()
        }
    return [_absolute(item) for item in node] if isinstance(node, list) else node


def check(method: str, url: str, body: bytes, answer: Any) -> None:
    """Assert that a request and its answer are as the document says.

    Args:
        method: of the request.
        url: path and query.
        body: the bytes sent.
        answer: the answer as tests read it.
    """
    parts = urlsplit(url)
    operation = operation_of(method, parts.path)
    if operation is None or parts.path in ("/api/v1/schema/", "/api/v1/docs/"):
        return
    where = f"{method} {url} → {answer.status}"
    if answer.status == 405:
        return
    answers = operation["responses"]
    assert str(answer.status) in answers, f"{where} is not documented: {answer.text[:300]}"
    content = answers[str(answer.status)].get("content", {})
    kind = answer.headers["Content-Type"].partition(";")[0]
    assert kind in content, f"{where}: {kind} is not documented"
    if answer.json is not None:
        faults = _faults(content[kind]["schema"], answer.json)
        assert not faults, f"{where} answers what is not documented: {faults[:5]}"
    if answer.status < 300:
        _check_accepted(where, operation, parts.query, body)


def _check_accepted(where: str, operation: dict[str, Any], query: str, body: bytes) -> None:
    """What the server took must be what the document allows."""
    known = {p["name"]: p["schema"] for p in operation.get("parameters", []) if p["in"] == "query"}
    for name, text in parse_qsl(query, keep_blank_values=True):
        assert name in known, f"{where}: the query {name!r} is not documented"
        faults = _faults(known[name], _read(known[name], text))
        assert not faults, f"{where}: the query {name!r} is not as documented: {faults}"
    if body and "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        faults = _faults(schema, json.loads(body))
        assert not faults, f"{where} took what is not documented: {faults[:5]}"


def _read(schema: dict[str, Any], text: str) -> Any:
    if schema.get("type") == "array":
        return text.split(",")
    if schema.get("type") in ("number", "integer"):
        return json.loads(text)
    return text
