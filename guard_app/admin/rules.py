"""Rules: found, edited, and checked against recent calls while they are typed."""

from typing import Any, ClassVar

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from accounts_app.backoffice.forms import BackOfficeForm, FormPage, JsonField, NamedForm, slug_field
from accounts_app.backoffice.lists import listed
from accounts_app.backoffice.pages import Page, register
from accounts_app.errors import DomainError
from accounts_app.models import Agent
from accounts_app.services.workspace_settings import workspace_settings
from accounts_app.states import Permission
from guard_app.models import GuardRule
from guard_app.services.defaults import install_rules
from guard_app.services.reach import reach_of
from guard_app.services.replays import preview
from guard_app.services.rule_tally import tally_of
from guard_app.services.rules import RuleValues, get_rule, put_rule
from guard_app.states import Detector, GuardEffect
from integrations_app.models import Operation

READ = (Permission.SEE_ANOMALIES, Permission.SEE_ALL_TASKS, Permission.READ_AUDIT)
WRITE = (Permission.DECIDE_ANOMALIES,)
MOST = 500
EXAMPLES = {
    Detector.CONDITION: '{"when": "args.amount > 1000 && counts.run > 3"}',
    Detector.CALL_COUNT: '{"scope": "run", "limit": 20, "window_seconds": 3600}',
    Detector.REPEATED_CALL: '{"limit": 5}',
    Detector.BUDGET: '{"argument": "/amount", "limit": 500, "scope": "participant",'
    ' "window_seconds": 86400}',
    Detector.RATE_BASELINE: '{"sensitivity": "low"}',
    Detector.VALUE_RANGE: '{"argument": "/amount", "sensitivity": "low"}',
    Detector.NEW_VALUE: '{"argument": "/host"}',
    Detector.NEW_OPERATION: "{}",
    Detector.OFF_HOURS: '{"timezone": "Europe/Berlin", "hours": "mon-fri 08:00-18:00"}',
    Detector.FAILURE_BURST: '{"of": "failed", "limit": 20, "window_seconds": 600}',
    Detector.SENSITIVE_DATA: '{"types": ["secret", "card_number"]}',
    Detector.INJECTION: "{}",
    Detector.CHAIN: '{"sources": ["integration.read"], "sinks": ["integration.send"]}',
}


class RuleForm(NamedForm):
    """Every member of the contract's rule, each refusal next to its field."""

    members = {"applies_to.agents": "agents", "applies_to.operations": "operations"}

    name = forms.CharField(max_length=120, help_text="What people read on the card.")
    slug = slug_field("How the API names it; it cannot be changed later.")
    expected_version = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    detector = forms.ChoiceField(choices=Detector.choices)
    parameters = JsonField(
        rows=5, help_text="What the detector needs, as JSON; see the examples below."
    )
    agents = forms.MultipleChoiceField(required=False, help_text="None chosen: every agent.")
    operations = forms.MultipleChoiceField(
        required=False, help_text="None chosen: every operation."
    )
    effect = forms.ChoiceField(choices=GuardEffect.choices)
    enabled = forms.BooleanField(required=False)
    shadow = forms.BooleanField(
        required=False, help_text="Record what it would have done, and do nothing."
    )
    asynchronous = forms.BooleanField(
        required=False, help_text="Look after the call went its way; such a rule can only alert."
    )

    def __init__(self, *args: Any, actor: Any, new: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        agents = Agent.objects.visible_to(actor).values_list("slug", "name")
        self._offer("agents", list(agents[:MOST]))
        rows = Operation.objects.visible_to(actor).select_related("integration")[:MOST]
        self._offer("operations", [(row.reference, row.reference) for row in rows])
        if not new:
            del self.fields["slug"]

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        if isinstance(field, forms.MultipleChoiceField):
            field.choices = choices

    def values(self) -> RuleValues:
        """What was typed, as the service takes it."""
        data = self.cleaned_data
        chosen = {name: data[name] for name in ("agents", "operations") if data[name]}
        names = ("name", "detector", "effect", "enabled", "shadow", "asynchronous")
        parameters = {} if data["parameters"] is None else data["parameters"]
        return RuleValues(
            **{name: data[name] for name in names}, parameters=parameters, applies_to=chosen
        )


@register("guard/rules/", "guard_rules")
class RulesPage(Page):
    """The rules of the workspace."""

    title = "Rules"
    template_name = "guard_app/rules.html"
    permissions = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        rows = GuardRule.objects.visible_to(self.actor).order_by("-enabled", "shadow", "slug")
        return self.render(
            listed=listed(request, rows, ("slug", "name", "detector")),
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
        examples = [(Detector(name).label, name, text) for name, text in EXAMPLES.items()]
        return {"examples": examples}


@register("add/guard-rule/", "guard_rule_add")
class RuleAddPage(RuleFormPage):
    """A new rule; it begins in shadow."""

    title = "Add a rule"
    permissions = WRITE
    made: GuardRule

    def build_form(self, data: Any) -> BackOfficeForm:
        initial = {"parameters": {}, "enabled": True, "shadow": True, "expected_version": 0}
        return RuleForm(data, initial=initial, actor=self.actor, new=True)

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
        template = "guard_app/parts/check.html"
        if not form.is_valid():
            fields = ", ".join(name for name in form.errors if name != "name")
            return self.part(template, refusal=f"Not yet complete: {fields or 'the name'}.")
        try:
            tally = preview(self.actor, form.values())
        except DomainError as refusal:
            return self.part(template, refusal=refusal.detail)
        return self.part(template, tally=tally, reach=reach_of(self.actor, form.values()))
