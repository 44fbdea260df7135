"""The OpenAPI document: what each endpoint takes and answers, with examples."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from accounts_app.api.fields import StrictSerializer, Text, Whole
from accounts_app.api.views import ApiView

EXAMPLES: dict[tuple[str, str], dict[str, Any]] = {
    ("/api/v1/sessions", "POST"): {
        "agent": "support",
        "key": "ticket-4711",
        "participant": "ann@example.com",
    },
    ("/api/v1/runs", "POST"): {"session": "01900000-0000-7000-8000-000000000001"},
    ("/api/v1/tool-calls", "POST"): {
        "run": "01900000-0000-7000-8000-000000000002",
        "operation": "payments.refund",
        "arguments": {"charge": "ch_4711", "amount": 900},
        "key": "refund-4711",
        "reason": "The parcel never arrived.",
    },
    ("/api/v1/tasks", "POST"): {
        "agent": "support",
        "kind": "multi_option",
        "title": "Which warehouse ships this order?",
        "options": [{"id": "ber", "label": "Berlin"}, {"id": "ham", "label": "Hamburg"}],
        "timeout_seconds": 3600,
    },
    ("/api/v1/tasks/{id}/complete", "POST"): {
        "action": "approve",
        "comment": "The charge is theirs.",
        "revision": 1,
    },
    ("/api/v1/tasks/{id}/approve", "POST"): {"comment": "The charge is theirs."},
    ("/api/v1/tasks/{id}/reject", "POST"): {"comment": "Over the limit for this customer."},
    ("/api/v1/agents/{slug}", "PUT"): {"name": "Support agent", "tasks_enabled": True},
    ("/api/v1/integrations/{slug}", "PUT"): {
        "name": "Payments",
        "kind": "http",
        "base_url": "https://payments.example.com",
        "auth": {"type": "bearer", "token": "secret"},
    },
    ("/api/v1/integrations/{integration}/operations/{slug}", "PUT"): {
        "name": "Refund a charge",
        "method": "POST",
        "path": "/refunds",
        "effect": "once",
        "parameters": {
            "type": "object",
            "required": ["charge", "amount"],
            "properties": {"charge": {"type": "string"}, "amount": {"type": "number"}},
        },
        "requires_approval": True,
        "approval": {"when": "args.amount > 100"},
    },
}
DESCRIPTIONS = {
    "wait": "Hold the request until the thing has its end, for so many seconds (0 to 60).",
    "format": "The vendor's shape: openai, anthropic or mcp.",
    "ordering": "-created_at (default), created_at or due_at.",
    "cursor": "From the `next` or `previous` of an answer.",
    "limit": "1 to 100; default 20.",
}


class FieldErrorShown(StrictSerializer):
    field = Text()
    code = Text()
    detail = Text()


class Problem(StrictSerializer):
    """A problem document (RFC 9457)."""

    type = Text()
    title = Text()
    status = Whole()
    detail = Text()
    code = Text()


class ContractSchema(AutoSchema):
    """Reads what our endpoints say about themselves."""

    @property
    def endpoint(self) -> ApiView:
        view: Any = self.view
        endpoint: ApiView = view
        return endpoint

    def get_request_serializer(self) -> Any:
        return self.endpoint.bodies.get(self.method)

    def get_response_serializers(self) -> Any:
        shown = self.endpoint.serializer_class
        if self.method == "GET" and self.endpoint.lists:
            shown = _page_of(shown)
        answers: dict[Any, Any] = {200: shown}
        if self.method in ("POST", "PUT") and self.endpoint.creates:
            answers[201] = shown
        problem = OpenApiResponse(Problem, description="A problem document (RFC 9457)")
        problems = [401, 403, 404, 422, 429] if self.method == "GET" else [*_PROBLEMS]
        return {**answers, **{(code, "application/problem+json"): problem for code in problems}}

    def get_override_parameters(self) -> list[Any]:
        names = list(self.endpoint.query) if self.method == "GET" else []
        if self.method == "GET" and self.endpoint.lists:
            names += ["cursor", "limit"]
        found = [
            OpenApiParameter(
                name,
                type=float if name == "wait" else int if name == "limit" else str,
                description=DESCRIPTIONS[name],
            )
            for name in names
        ]
        filters = getattr(self.endpoint, "filterset_class", None)
        if self.method == "GET" and filters is not None:
            found += [OpenApiParameter(name, type=str) for name in filters.base_filters]
        if self.method == "POST":
            text = "Do this once; the same key again answers what the first answered."
            found.append(
                OpenApiParameter("Idempotency-Key", str, location="header", description=text)
            )
        return found

    def get_examples(self) -> list[OpenApiExample]:
        value = EXAMPLES.get((self.path.replace("{pk}", "{id}"), self.method))
        if value is None:
            return []
        return [OpenApiExample("Example", value=value, request_only=True)]

    def get_operation_id(self) -> str:
        words = [part.strip("{}") for part in self.path.split("/")[3:] if part]
        return "_".join([self.method.lower(), *words]).replace("-", "_")

    def get_tags(self) -> list[str]:
        return [self.path.split("/")[3] or "service"]

    def _is_list_view(self, serializer: Any = None) -> bool:
        return False


_PROBLEMS = (400, 401, 403, 404, 409, 413, 415, 422, 428, 429)


def _page_of(shown: Any) -> Any:
    """The schema of one page of a list."""
    name = f"{shown.__name__}Page"
    members = {
        "results": serializers.ListField(child=shown()),
        "next": Text(allow_null=True),
        "previous": Text(allow_null=True),
    }
    return type(name, (StrictSerializer,), members)


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
                "tags": ["service"],
                "security": [],
                "responses": {"200": {"description": "It is"}, "503": {"description": "It is not"}},
            }
        }
    return result
