"""The OpenAPI document: one schema for each endpoint, and the service's own addresses."""

from typing import Any

from drf_spectacular.openapi import AutoSchema


class ContractSchema(AutoSchema):
    """What the generator must know about our endpoints."""


def add_service(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the addresses outside of `/api/v1/`, which need no key."""
    for path, text in (
        ("/healthz", "Whether the process lives"),
        ("/readyz", "Whether database, broker and scheduler are ready"),
    ):
        result["paths"][path] = {
            "get": {
                "operationId": path.strip("/"),
                "summary": text,
                "security": [],
                "responses": {"200": {"description": "It is"}, "503": {"description": "It is not"}},
            }
        }
    return result
