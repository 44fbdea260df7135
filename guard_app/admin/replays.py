"""Replays: a rule tried on recorded calls, with its progress and the calls behind each number."""

import datetime as dt
from typing import Any

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from accounts_app.backoffice.forms import BackOfficeForm, FormPage
from accounts_app.backoffice.pages import Page, register
from accounts_app.clock import db_now
from guard_app.admin.rules import READ, WRITE
from guard_app.models import GuardRule, Replay
from guard_app.services.named import Catalogue, Draft
from guard_app.services.replays import get_replay, start_replay
from guard_app.services.rules import get_rule
from guard_app.states import GuardEffect, ReplayStatus


class ReplayForm(BackOfficeForm):
    """The period of a replay."""

    members = {"from": "since", "to": "until"}

    since = forms.DateField(label="From", widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(
        label="To",
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="Calls of this day are no longer part of it; days are UTC.",
    )


@register("guard/rules/<slug:slug>/replay/", "guard_replay_start")
class ReplayStartPage(FormPage):
    """Ask for a replay of a rule, as it is saved now."""

    template_name = "guard_app/replay_start.html"
    permissions = READ
    write_permissions = WRITE
    parents = (("Rules", "admin:guard_rules"),)
    form_class = ReplayForm
    rule: GuardRule
    made: Replay

    def prepare(self, **names: Any) -> None:
        self.rule = get_rule(self.actor, names["slug"])

    def initial(self) -> dict[str, Any]:
        today = db_now().date()
        return {"since": today - dt.timedelta(days=30), "until": today + dt.timedelta(days=1)}

    def more(self) -> dict[str, Any]:
        rows = Replay.objects.visible_to(self.actor).filter(name=self.rule.name)
        return {
            "title": f"Replay: {self.rule.name}",
            "rule": self.rule,
            "trouble": Catalogue(self.actor, [self.rule]).trouble_of(self.rule),
            "earlier": list(rows[:10]),
        }

    def save(self, form: BackOfficeForm) -> str:
        since, until = (
            dt.datetime.combine(form.cleaned_data[name], dt.time(), dt.UTC)
            for name in ("since", "until")
        )
        self.made = start_replay(self.actor, self.rule.slug, since, until)
        return "The replay has begun."

    def next_page(self) -> str:
        return reverse("admin:guard_replay", args=[self.made.pk])


@register("guard/replays/<uuid:pk>/", "guard_replay")
class ReplayPage(Page):
    """What a rule would have done, next to what people decided."""

    template_name = "guard_app/replay.html"
    permissions = READ
    parents = (("Rules", "admin:guard_rules"),)

    def get(self, request: HttpRequest, pk: Any) -> HttpResponseBase:
        replay = get_replay(self.actor, pk)
        names = {"title": f"Replay: {replay.name}", **_numbers(replay)}
        draft = replay.draft if isinstance(replay.draft, dict) else {}
        named = Draft(draft.get("parameters"), draft.get("applies_to"))
        names["trouble"] = Catalogue(self.actor, [named]).trouble_of(named)
        if request.headers.get("HX-Request"):
            return self.part("guard_app/parts/replay.html", **names)
        return self.render(**names)


def _numbers(replay: Replay) -> dict[str, Any]:
    return {
        "replay": replay,
        "running": replay.status != ReplayStatus.DONE,
        "percent": 100 * replay.calls // replay.total if replay.total else 0,
        "effects": [
            (effect, effect.label, replay.would.get(effect.value, 0))
            for effect in GuardEffect
            if effect != GuardEffect.ALLOW
        ],
    }
