from typing import Any, ClassVar

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.api.fields import AnyJson, Number, Object, StrictSerializer, Text
from accounts_app.api.filters import read_moment
from accounts_app.api.paging import page_of
from accounts_app.api.views import ApiView, utc_text
from accounts_app.errors import FieldError, Invalid
from accounts_app.states import Scope
from guard_app.api.rules import RuleBody, rule_values
from guard_app.models import Replay
from guard_app.services.replays import start_replay
from guard_app.services.rules import RuleValues
from guard_app.states import ReplayStatus


class ReplayBody(StrictSerializer):
    rule = AnyJson(help_text="The slug of a rule, or a draft with the members of one.")
    to = Text()

    def get_fields(self) -> dict[str, Any]:
        # `from` cannot be the name of an attribute.
        return {**super().get_fields(), "from": Text()}


class ReplayShown(StrictSerializer):
    id = Text()
    rule = Object()
    to = Text()
    status = Text()
    total = Number(allow_null=True)
    calls = Number()
    hits = Number()
    would = Object()
    decided = Object()
    missed_rejected = Number()
    created_at = Text()
    finished_at = Text(allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "from": Text()}


def show_replay(row: Replay) -> dict[str, Any]:
    """A replay as the API writes it; the numbers grow while it runs."""
    draft = {name: value for name, value in row.draft.items() if name != "references"}
    return {
        "id": str(row.pk),
        "rule": draft,
        "from": utc_text(row.since),
        "to": utc_text(row.until),
        "status": row.status,
        "total": row.total,
        "calls": row.calls,
        "hits": row.hits,
        "would": row.would,
        "decided": row.decided,
        "missed_rejected": row.missed_rejected,
        "created_at": utc_text(row.created_at),
        "finished_at": utc_text(row.finished_at),
    }


class ReplaysView(ApiView):
    """Try a rule on recorded calls, or list what was tried."""

    bodies: ClassVar = {"POST": ReplayBody}
    lists = accepts = True

    serializer_class = ReplayShown

    def get(self, request: Request) -> HttpResponse:
        self.actor.require_scope(Scope.READ)
        self.refuse_unknown({"cursor", "limit"})
        return Response(page_of(request, Replay.objects.visible_to(self.actor), show_replay))

    def post(self, request: Request) -> HttpResponse:
        data = self.parsed()
        self.actor.require_scope(Scope.ADMIN)
        body = self.body(ReplayBody, data)
        rule = self._rule(body["rule"])
        since, until = read_moment(body["from"], "from"), read_moment(body["to"], "to")
        return self.answer(lambda: (202, show_replay(start_replay(self.actor, rule, since, until))))

    def _rule(self, given: Any) -> str | RuleValues:
        if isinstance(given, str):
            return given
        if not isinstance(given, dict):
            text = "Must be the slug of a rule, or an object with the members of one."
            raise Invalid([FieldError("rule", "invalid_value", text)])
        draft = {name: value for name, value in given.items() if name != "slug"}
        try:
            return rule_values(self.body(RuleBody, {"name": "Draft", **draft}))
        except Invalid as refusal:
            raise Invalid(
                [FieldError(f"rule.{e.field}", e.code, e.detail) for e in refusal.errors]
            ) from refusal


class ReplayView(ApiView):
    """One replay; with `wait` it is answered when it is done."""

    query: ClassVar = ("wait",)
    serializer_class = ReplayShown

    def get(self, request: Request, pk: str) -> HttpResponse:
        row = self.get_visible(Replay.objects.visible_to(self.actor), pk)
        self.actor.require_scope(Scope.READ)
        return self.waited(show_replay(row), terminal=row.status == ReplayStatus.DONE)
