"""The OpenAPI document: what each endpoint says about itself, made precise by the contract."""

from typing import Any

import django_filters
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from accounts_app.api.fields import StrictSerializer, Text
from accounts_app.api.filters import IdFilter
from accounts_app.api.views import ApiView
from config.contract.document import finish
from config.contract.words import COUNT, TEXT, Schema, many, one_of, text
from integrations_app.tools import FORMATS
from tasks_app.api.task_filters import ORDERS
from tasks_app.states import Kind

QUERY: dict[str, tuple[str, Schema]] = {
    "wait": (
        "Hold the request until the thing has its end, for so many seconds.",
        {"type": "number", "minimum": 0, "maximum": 60},
    ),
    "agent": ("Only of this agent.", {"type": "string"}),
    "participant": ("Only of this participant, whatever the case.", {"type": "string"}),
    "format": ("The vendor whose shape is meant.", one_of(FORMATS)),
    "ordering": ("-created_at where nothing is said.", one_of(ORDERS)),
    "cursor": ("From the `next` or `previous` of an answer.", {"type": "string"}),
    "limit": (
        "How many rows a page has.",
        {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
    ),
    "scope": ("The scope of the conversation; none is the scope “”.", text(200)),
    "from": ("From this date or date-time on, by creation.", TEXT),
    "to": ("Before this date or date-time.", TEXT),
    "kind": ("Repeated, or a list with commas.", many(one_of(Kind.values), minItems=1)),
}
REQUIRED = frozenset({"format", "from", "to"})


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
        if self.method == "POST" and self.endpoint.accepts:
            answers[202] = shown
        return answers

    def get_override_parameters(self) -> list[Any]:
        if self.method != "GET":
            return []
        names = list(self.endpoint.query)
        if self.endpoint.lists:
            names += ["cursor", "limit"]
        found = [_parameter(name, *QUERY.get(name, ("", TEXT))) for name in names]
        filters = getattr(self.endpoint, "filterset_class", None)
        if filters is not None:
            for name, each in filters.base_filters.items():
                found.append(_parameter(name, *QUERY.get(name, ("", _filter_schema(each)))))
        return found

    def get_operation_id(self) -> str:
        words = [part.strip("{}") for part in self.path.split("/")[3:] if part]
        return "_".join([self.method.lower(), *words]).replace("-", "_")

    def get_tags(self) -> list[str]:
        return [self.path.split("/")[3] or "service"]

    def _is_list_view(self, serializer: Any = None) -> bool:
        return False


def _parameter(name: str, said: str, schema: Schema) -> OpenApiParameter:
    return OpenApiParameter(name, schema, description=said, required=name in REQUIRED)


def _filter_schema(each: Any) -> Schema:
    if isinstance(each, django_filters.ChoiceFilter):
        return one_of(name for name, _ in each.extra["choices"])
    if isinstance(each, IdFilter):
        return {"type": "string", "format": "uuid"}
    if isinstance(each, django_filters.IsoDateTimeFilter):
        return {"type": "string", "format": "date-time"}
    if isinstance(each, django_filters.NumberFilter):
        return dict(COUNT)
    return {"type": "string"}


def _page_of(shown: Any) -> Any:
    """The schema of one page of a list."""
    name = f"{shown.__name__}Page"
    members = {
        "results": serializers.ListField(child=shown()),
        "next": Text(allow_null=True),
        "previous": Text(allow_null=True),
    }
    return type(name, (StrictSerializer,), members)


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's hook for what comes last."""
    return finish(result)
