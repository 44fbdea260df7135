"""The OpenAPI document is whole, valid, kept in the repository, and its examples are true."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from config.contract.body_examples import BODIES
from config.contract.examples import ANSWERS
from config.contract.operations import OPERATIONS
from config.management.commands.write_openapi import document_text
from tests.contract_check import document

WRITE = "DJANGO_SETTINGS_MODULE=tests.settings .venv/bin/python manage.py write_openapi"


def operations() -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path.removeprefix("/api/v1")): operation
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/api/v1/")
    }


def test_it_is_a_valid_document() -> None:
    assert document()["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(document()).iter_errors()) == []


def test_the_one_in_the_repository_is_this_one() -> None:
    kept = Path(settings.BASE_DIR) / "docs" / "openapi.json"
    same = kept.exists() and kept.read_text(encoding="utf-8") == document_text()
    assert same, f"Run `{WRITE}`, and look at what changed."


def test_every_operation_is_described() -> None:
    """An endpoint that is missing here belongs into config/contract/operations.py."""
    assert set(operations()) == set(OPERATIONS)
    names = [operation["operationId"] for operation in operations().values()]
    assert len(names) == len(set(names))


def test_every_operation_is_complete() -> None:
    schemas = document()["components"]["schemas"]
    for (method, path), operation in operations().items():
        assert operation["summary"], path
        assert {"401", "403", "429"} <= operation["responses"].keys(), path
        if method != "GET":
            assert {"400", "413", "415", "422"} <= operation["responses"].keys(), path
        if "{" in path:
            assert "404" in operation["responses"], path
        for status, answer in operation["responses"].items():
            (media,) = answer["content"].values()
            assert "example" in media, (path, status, media["schema"])
            if "$ref" in media["schema"]:
                assert media["schema"]["$ref"].rpartition("/")[2] in schemas
        if "requestBody" in operation:
            name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            plain = name.rpartition("/")[2]
            assert plain in BODIES or not schemas[plain].get("properties"), plain


def test_no_member_of_an_answer_is_left_vague() -> None:
    for name, schema in document()["components"]["schemas"].items():
        if name.endswith("Body") or "properties" not in schema:
            continue
        for member, shape in schema["properties"].items():
            told = {"type", "$ref", "anyOf", "oneOf", "enum", "const", "description"}
            assert told & shape.keys(), f"{name}.{member} says nothing"


@pytest.mark.parametrize("name", sorted({**BODIES, **ANSWERS}))
def test_examples_fit(name: str) -> None:
    registry: Registry[Any] = Registry().with_resource(
        "urn:document", Resource(document(), DRAFT202012)
    )
    schema = {"$ref": f"urn:document#/components/schemas/{name}"}
    validator = Draft202012Validator(
        schema, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    assert [error.message for error in validator.iter_errors({**BODIES, **ANSWERS}[name])] == []


def test_links_lead_to_operations() -> None:
    names = {operation["operationId"] for operation in operations().values()}
    for operation in operations().values():
        for answer in operation["responses"].values():
            for link in answer.get("links", {}).values():
                assert link["operationId"] in names
