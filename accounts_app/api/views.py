"""The base of all endpoints: credential, strict body, visible rows, replays, waiting."""

import json
import math
import re
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from django.conf import settings
from django.db.models import Model, QuerySet
from django.http import HttpResponse
from django_filters import FilterSet
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app import crypto
from accounts_app.api.fields import StrictSerializer, parse_id, read_body
from accounts_app.api.throttling import show_rate
from accounts_app.clock import utc_text as utc_text
from accounts_app.errors import FieldError, Forbidden, Invalid, NotFound, ParseError
from accounts_app.links import page_path
from accounts_app.models import Agent
from accounts_app.scoping import Actor
from accounts_app.services.idempotency import once
from accounts_app.states import Scope
from accounts_app.strict_json import canonical

M = TypeVar("M", bound=Model)
READERS = (Scope.READ, Scope.RUNS, Scope.DECIDE)
CATALOGUE_READERS = (Scope.READ, Scope.RUNS, Scope.ADMIN)
"""Who reads agents and integrations; operations are read by `decide` too."""

MAX_WAIT = 60
MAX_SLUG = 60
_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,18})?|\.[0-9]{1,18}", re.ASCII)
LIST_PARAMETERS = frozenset({"cursor", "limit"})


class ApiView(GenericAPIView[Any]):
    """An endpoint of the contract."""

    queryset = Agent.objects.none()
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    bodies: ClassVar[dict[str, type[StrictSerializer]]] = {}
    """The form of the body for each method, for the OpenAPI document."""
    lists = False
    """Whether GET answers a page of a list."""
    creates = False
    """Whether POST or PUT answers 201 for what is new."""
    accepts = False
    """Whether POST answers 202: it is done afterwards."""
    refused: Invalid | None = None
    """What the parser found in the body that cannot be kept."""
    query: ClassVar[tuple[str, ...]] = ()
    """Query parameters beside the filters, for the OpenAPI document."""

    @property
    def actor(self) -> Actor:
        actor: Any = self.request.user
        if not isinstance(actor, Actor):
            raise TypeError("An endpoint without a credential has no actor.")
        return actor

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        done = super().finalize_response(request, response, *args, **kwargs)
        show_rate(self.request._request, done)
        return done

    def parsed(self) -> Any:
        """The body as JSON, an empty one as an empty object; this comes before every other check.

        Raises:
            ParseError: the length that was declared is no number.
        """
        # Read as bytes first, so that a replay can be compared with them.
        try:
            _ = self.request._request.body
        except ValueError as error:
            raise ParseError("The Content-Length is no number.") from error
        return self.request.data if self.request._request.body else {}

    def said(self) -> bytes:
        """What the body says, in one spelling: who repeats it may order its members anew."""
        if self.refused is not None:
            return self.request._request.body
        return canonical(self.parsed()).encode()

    def body(self, serializer: type[StrictSerializer], data: Any) -> dict[str, Any]:
        """The members of a parsed body; every other check comes before.

        Raises:
            Invalid: one error for each member that is wrong.
        """
        self.refuse_unkeepable()
        return read_body(serializer, data)

    def refuse_unkeepable(self) -> None:
        """Refuse a body with NUL in text, or with a number out of range.

        Raises:
            Invalid: as the parser found it.
        """
        if self.refused is not None:
            raise self.refused

    def check_slug(self, slug: str) -> None:
        """Refuse to make something by a name that is too long.

        Raises:
            Invalid: `too_long` on `slug`.
        """
        if len(slug) > MAX_SLUG:
            detail = f"A name in an address has at most {MAX_SLUG} characters."
            raise Invalid([FieldError("slug", "too_long", detail)])

    def link(self, kind: str, identity: object) -> str:
        """The absolute address of an object's page in the back office."""
        path = page_path(kind, identity)
        base: str = settings.ASSENT_URL
        return f"{base}{path}" if base else self.request.build_absolute_uri(path)

    def get_visible(self, rows: QuerySet[M], text: str) -> M:
        """One row by the id in the path.

        Raises:
            NotFound: no such id, or not visible to this actor; both read the same.
        """
        identity = parse_id(text)
        row = (
            None if identity is None else next(iter(rows.filter(pk=identity).order_by()[:1]), None)
        )
        if row is None:
            raise NotFound("Not found.")
        return row

    def refer(self, rows: QuerySet[M], identity: object, field: str) -> M:
        """One row by an id in the body.

        Raises:
            Invalid: `not_found` on that field.
        """
        row = rows.filter(pk=identity).first()
        if row is None:
            raise Invalid([FieldError(field, "not_found", "There is no such object.")])
        return row

    def refer_agent(self, slug: str, field: str = "agent") -> Agent:
        """The agent that a body names.

        Raises:
            Invalid: `not_found` on that field.
            Forbidden: `wrong_agent`, the key is bound to another one.
        """
        agent = Agent.objects.in_workspace(self.actor.workspace_id).filter(slug=slug).first()
        if agent is None:
            raise Invalid([FieldError(field, "not_found", f"There is no agent {slug!r}.")])
        if self.actor.agent_id not in (None, agent.pk):
            raise Forbidden("This key is bound to another agent.", code="wrong_agent")
        return agent

    def answer(
        self, act: Callable[[], tuple[int, dict[str, Any]]], *, sealed: bool = False
    ) -> HttpResponse:
        """Act, or replay the first answer of this Idempotency-Key.

        Args:
            act: does it, and returns the status and the body.
            sealed: the body holds a secret, and is kept for replays encrypted.
        """
        key = self.request.headers.get("Idempotency-Key")
        if key is None:
            status, body = act()
            return Response(body, status=status)
        statuses: list[int] = []
        place = f"idempotency:{self.actor.workspace_id}:{self.request.path}:{key}"

        def act_as_text() -> str:
            status, body = act()
            statuses.append(status)
            text = json.dumps(body, ensure_ascii=False)
            return crypto.seal(text.encode(), place=place).decode() if sealed else text

        done = once(
            self.actor.workspace_id,
            path=self.request.path,
            key=key,
            body=self.said(),
            act=act_as_text,
        )
        text = crypto.unseal(done.text.encode(), place=place).decode() if sealed else done.text
        response = Response(json.loads(text), status=200 if done.replayed else statuses[0])
        if done.replayed:
            response["Idempotent-Replayed"] = "true"
        return response

    def waited(self, body: dict[str, Any], *, terminal: bool, stays: bool = False) -> HttpResponse:
        """Answer a GET that may wait: the layer in front holds what is marked as pending.

        Args:
            body: the present state.
            terminal: whether it changes no more.
            stays: whether it changes only with news while a task is pending.

        Raises:
            Invalid: `wait` is no number from 0 to 60.
        """
        seconds = read_wait(self.request.query_params.get("wait"))
        self.refuse_unknown({"wait"})
        response = Response(body)
        if seconds > 0 and not terminal:
            response["X-Assent-Pending"] = "same" if stays else "1"
        return response

    def refuse_unknown(self, known: set[str]) -> None:
        """Refuse query parameters that this address does not have, and those that stand twice.

        Raises:
            Invalid: `unknown_filter`; `invalid_value` for all that stand twice but `kind`.
        """
        for name, given in self.request.query_params.lists():
            if name not in known:
                offered = ", ".join(sorted(known)) or "none"
                raise Invalid([FieldError(name, "unknown_filter", f"Known: {offered}.")])
            if len(given) > 1 and name != "kind":
                raise Invalid([FieldError(name, "invalid_value", "Stands there twice.")])

    def refuse_unclear(self, names: set[str]) -> None:
        """Refuse filters without a value.

        Raises:
            Invalid: `invalid_value`, because it would filter by less than was asked.
        """
        for name in names & self.request.query_params.keys():
            given = self.request.query_params.getlist(name)
            if not all(given) and name != "q":
                raise Invalid([FieldError(name, "invalid_value", "Must not be empty.")])

    def filtered(self, filters: type[FilterSet], rows: QuerySet[M], *more: str) -> QuerySet[M]:
        """Apply the filters of the address.

        Args:
            filters: what can be filtered by.
            rows: the visible rows.
            more: further parameters that the caller reads itself.

        Raises:
            Invalid: `unknown_filter`, or a value that the filter does not know.
        """
        form = filters(data=self.request.query_params, queryset=rows)
        self.refuse_unknown({*form.filters, *LIST_PARAMETERS, *more})
        self.refuse_unclear(set(form.filters))
        if not form.is_valid():
            raise Invalid(
                [
                    FieldError(name, "invalid_value", " ".join(map(str, messages)))
                    for name, messages in form.errors.items()
                ]
            )
        found: QuerySet[M] = form.qs
        return found


def read_wait(text: str | None) -> float:
    """How long a GET may be held, in seconds.

    Raises:
        Invalid: no number from 0 to 60.
    """
    if text is None:
        return 0
    # What the layer in front does not take for a wish must not pass for one here.
    seconds = float(text) if _DECIMAL.fullmatch(text) else math.inf
    if seconds > MAX_WAIT:
        detail = f"Must be a number of seconds from 0 to {MAX_WAIT}, like 30 or 0.5."
        raise Invalid([FieldError("wait", "invalid_value", detail)])
    return seconds
