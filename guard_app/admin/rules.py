"""Rules: found, edited, and checked against recent calls while they are typed."""

from dataclasses import replace
from typing import Any, ClassVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from accounts_app.backoffice.forms import BackOfficeForm, FormPage
from accounts_app.backoffice.lists import listed
from accounts_app.backoffice.pages import Page, register
from accounts_app.errors import DomainError, Invalid
from accounts_app.services.workspace_settings import workspace_settings
from accounts_app.states import Permission
from guard_app.admin.rule_form import RuleForm, empty_form
from guard_app.models import GuardRule
from guard_app.parameters import WHAT
from guard_app.services.defaults import install_rules
from guard_app.services.named import Catalogue
from guard_app.services.reach import reach_of
from guard_app.services.replay_start import WARM_UP
from guard_app.services.replays import preview
from guard_app.services.rule_tally import tally_of
from guard_app.services.rules import get_rule, put_rule
from guard_app.states import Detector

READ = (Permission.SEE_ANOMALIES, Permission.SEE_ALL_TASKS, Permission.READ_AUDIT)
WRITE = (Permission.DECIDE_ANOMALIES,)


@register("guard/rules/", "guard_rules")
class RulesPage(Page):
    """The rules of the workspace."""

    title = "Rules"
    template_name = "guard_app/rules.html"
    permissions = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        rows = GuardRule.objects.visible_to(self.actor).order_by("-enabled", "shadow", "slug")
        found = listed(request, rows, ("slug", "name", "detector"))
        catalogue = Catalogue(self.actor, found.rows)
        for row in found.rows:
            row.trouble = catalogue.trouble_of(row)
        return self.render(
            listed=found,
            may_write=self.actor.can(WRITE[0]),
            screens=workspace_settings(self.actor.workspace_id).guard,
        )


class RuleFormPage(FormPage):
    """What adding and editing a rule share."""

    template_name = "guard_app/rule.html"
    permissions: ClassVar[tuple[Permission, ...]] = READ
    write_permissions = WRITE
    parents = (("Rules", "admin:guard_rules"),)

    def more(self) -> dict[str, Any]:
        return {"detectors": [(Detector(name), text) for name, text in WHAT.items()]}


@register("add/guard-rule/", "guard_rule_add")
class RuleAddPage(RuleFormPage):
    """A new rule; it begins in shadow."""

    title = "Add a rule"
    permissions = WRITE
    made: GuardRule

    def get(self, request: HttpRequest, **names: Any) -> HttpResponseBase:
        if request.GET.get("detector") in Detector.values:
            return super().get(request, **names)
        return self.render(template="guard_app/detectors.html", **self.more())

    def build_form(self, data: Any) -> BackOfficeForm:
        asked = self.request.GET.get("detector", "")
        return empty_form(self.actor, asked, data)

    def save(self, form: BackOfficeForm) -> str:
        assert isinstance(form, RuleForm)
        slug = form.cleaned_data["slug"]
        self.made, _ = put_rule(self.actor, slug, form.values(), expected_version=0)
        return f"“{self.made.name}” is there."

    def next_page(self) -> str:
        return reverse("admin:guard_rule", args=[self.made.slug])


@register("add/guard-rules/ready/", "guard_rules_ready")
class ReadyRulesPage(Page):
    """The rules to begin with, as many as are missing; they begin in shadow."""

    permissions = WRITE

    def post(self, request: HttpRequest) -> HttpResponseBase:
        def do() -> str:
            number = len(install_rules(self.actor))
            if not number:
                return "All ready rules are there already; nothing was added."
            added = "1 ready rule is" if number == 1 else f"{number} ready rules are"
            return f"{added} added, in shadow: what they hit is recorded, and nothing is done."

        return self.act(do, then=reverse("admin:guard_rules"))


@register("guard/rules/<slug:slug>/", "guard_rule")
class RulePage(RuleFormPage):
    """A rule's editor."""

    row: GuardRule

    def prepare(self, **names: Any) -> None:
        self.row = get_rule(self.actor, names["slug"])

    def build_form(self, data: Any) -> BackOfficeForm:
        names = ("name", "detector", "parameters", "effect", "enabled", "shadow", "asynchronous")
        initial = {name: getattr(self.row, name) for name in names}
        initial |= {**self.row.applies_to, "expected_version": self.row.version}
        return RuleForm(data, initial=initial, actor=self.actor, new=False)

    def more(self) -> dict[str, Any]:
        newest = self.row.detections.select_related("agent", "tool_call__operation__integration")
        return {
            **super().more(),
            "title": self.row.name,
            "trouble": Catalogue(self.actor, [self.row]).trouble_of(self.row),
            "rule": self.row,
            "newest": list(newest.order_by("-created_at", "-pk")[:10]),
            "tally": tally_of(self.row),
        }

    def save(self, form: BackOfficeForm) -> str:
        assert isinstance(form, RuleForm)
        expected = form.cleaned_data["expected_version"]
        put_rule(self.actor, self.row.slug, form.values(), expected_version=expected)
        return "The rule is saved; it holds for every call from now on."


@register("add/guard-rule/check/", "guard_rule_check")
class RuleCheckPart(Page):
    """What the typed rule would have done to recent calls; a POST for its length only."""

    permissions = WRITE

    def post(self, request: HttpRequest) -> HttpResponseBase:
        form = RuleForm(request.POST, actor=self.actor, new=False)
        form.fields["name"].required = False
        template = "guard_app/parts/check.html"
        if not form.is_valid():
            fields = ", ".join(str(form[name].label).lower() for name in form.errors)
            return self.part(template, refusal=f"Not yet complete: {fields}.")
        values = replace(form.values(), name=form.cleaned_data["name"] or "Draft")
        try:
            tally = preview(self.actor, values)
        except DomainError as refusal:
            return self.part(template, refusal=_told(form, refusal))
        window = values.parameters.get("window_seconds") or 0
        return self.part(
            template,
            tally=tally,
            reach=reach_of(self.actor, values),
            is_short=window > WARM_UP.total_seconds(),
        )


def _told(form: RuleForm, refusal: DomainError) -> str:
    """What is missing or wrong, by the names that the form has for it."""
    if not isinstance(refusal, Invalid):
        return refusal.detail
    missing, told = [], []
    for error in refusal.errors:
        field = form.field_of(error.field)
        if field and field != "parameters" and error.code == "required":
            missing.append(str(form[field].label).lower())
        else:
            told.append(f"{form[field].label}: {error.detail}" if field else error.detail)
    if missing:
        told.insert(0, f"Not yet complete: {', '.join(missing)}.")
    return " ".join(told)


@register("add/guard-rule/parameters/", "guard_rule_parameters")
class RuleParametersPart(Page):
    """The fields of the detector that was chosen, with examples in them."""

    permissions = WRITE

    def get(self, request: HttpRequest) -> HttpResponseBase:
        form = empty_form(self.actor, request.GET.get("detector", ""))
        return self.part("guard_app/parts/parameters.html", form=form)
