"""Every address and trick of the corpus by the ways in that take one only indirectly.

Base URLs, webhooks and calls: `test_ssrf.py`. Messengers: `test_messengers.py` of the
integrations.
"""

from urllib.parse import urlsplit

import pytest

from accounts_app.errors import Invalid
from integrations_app import requests
from integrations_app.models import Integration
from integrations_app.services.probing import probe_connection
from tests.conftest import World
from tests.security.addresses import URLS

BASE = "https://api.good.example/v1"
BOUND = {
    "operation": "good.go",
    "operation_version": 1,
    "credential": "bearer::1",
    "effect": "read",
    "workspace": "w",
    "run": "r",
    "session": "s",
    "idempotency_key": "k",
}
CORPUS = list(dict.fromkeys(URLS))


def test_each_way_in_is_tried_with_enough() -> None:
    assert len(CORPUS) >= 300
    assert len(CORPUS[::2]) >= 150


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_argument_leads_nowhere_else(method: str) -> None:
    """In a segment, beside text in one, in the query and in the body."""
    built = 0
    for text in CORPUS:
        for path in ("/charges/{charge}", "/charges/x{charge}.json"):
            arguments = {"charge": text, "to": text, text or "empty": text}
            try:
                request = requests.build(
                    base_url=BASE,
                    method=method,
                    path=path,
                    arguments=arguments,
                    default_headers={},
                    **BOUND,  # type: ignore[arg-type]
                )
            except Invalid:
                continue
            built += 1
            parts = urlsplit(request.url)
            assert (parts.scheme, parts.netloc) == ("https", "api.good.example"), text
            assert parts.path.startswith("/v1/charges/"), text
            assert parts.path.count("/") == 3, text
    assert built >= 300


def test_a_path_of_an_operation_leads_nowhere_else(world: World) -> None:
    taken = 0
    for number, text in enumerate(CORPUS):
        for path in (text, f"/{text}", f"/..{text}", f"/x/{text}"):
            try:
                requests.check_path(path)
            except Invalid:
                continue
            request = requests.build(
                base_url=BASE,
                method="GET",
                path=path,
                arguments={},
                default_headers={},
                **BOUND,  # type: ignore[arg-type]
            )
            taken += 1
            assert urlsplit(request.url).netloc == "api.good.example", path
        if number % 20 == 0:
            answer = world.operation("charge_lookup", path=text)
            answer.refused(422, "invalid_value")
    assert taken >= 1


def test_the_test_of_a_connection_reaches_none(world: World, connections: list[str]) -> None:
    """Also where such an address had come into the database by whatever way."""
    admin = world.cast.actor("admin")
    answered = 0
    for url in CORPUS[::2]:
        Integration.objects.filter(slug="payments").update(
            base_url=url, allow_private_network=False
        )
        answered += probe_connection(admin, Integration.objects.get(slug="payments")).answered
    assert answered == 0
    assert connections == []


@pytest.mark.parametrize("place", ["servers", "path servers", "reference", "schema", "docs"])
def test_an_openapi_document_looks_up_none(
    world: World, connections: list[str], place: str
) -> None:
    before = Integration.objects.values_list("base_url", flat=True).get(slug="payments")
    for url in CORPUS[::2]:
        document = document_with(place, url)
        answer = world.admin.post("integrations/payments/import-openapi", {"document": document})
        assert answer.status in (200, 422), (url, answer)
    assert connections == []
    assert Integration.objects.values_list("base_url", flat=True).get(slug="payments") == before


def document_with(place: str, url: str) -> dict[str, object]:
    """An OpenAPI document in which one address stands at this place."""
    item: dict[str, object] = {
        "get": {
            "operationId": "things",
            "parameters": [{"name": "q", "in": "query", "schema": {"type": "string"}}],
            "responses": {"200": {"description": "Things"}},
        }
    }
    operation: dict[str, object] = item["get"]  # type: ignore[assignment]
    document: dict[str, object] = {
        "openapi": "3.0.3",
        "info": {"title": "X", "version": "1"},
        "paths": {"/things": item},
    }
    if place == "servers":
        document["servers"] = [{"url": url}]
    elif place == "path servers":
        item["servers"] = operation["servers"] = [{"url": url}]
    elif place == "reference":
        operation["parameters"] = [{"$ref": f"{url}evil.json#/x"}]
    elif place == "schema":
        schema = {"$ref": f"{url}#/components/schemas/X"}
        operation["parameters"] = [{"name": "q", "in": "query", "schema": schema}]
    else:
        document["externalDocs"] = operation["externalDocs"] = {"url": url}
    return document
