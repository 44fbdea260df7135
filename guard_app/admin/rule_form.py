"""The form of a rule: its detector's parameters, where it looks, and what it does."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.urls import reverse

from accounts_app.backoffice.choices import MOST, ChoicesField
from accounts_app.backoffice.forms import JsonField, NamedForm, slug_field
from accounts_app.models import Agent
from accounts_app.scoping import Actor
from guard_app.admin.parameter_fields import Choices, field_of, known_arguments, value_of
from guard_app.models import Detection
from guard_app.parameters import PARAMETERS, WHAT, Ask, example_of
from guard_app.services.rules import SCOPES, RuleValues
from guard_app.states import WHAT_HAPPENS, Detector, GuardEffect
from integrations_app.models import Operation, Session
from integrations_app.states import SessionStatus

SESSIONS = 20
PREFIX = "p_"
PLAIN = ("name", "detector", "effect", "enabled", "shadow", "asynchronous")
EFFECTS = [(name, f"{GuardEffect(name).label}: {says}") for name, says in WHAT_HAPPENS.items()]


class RuleForm(NamedForm):
    """Every member of the contract's rule, each refusal next to its field.

    The parameters have a field each, made from what the detector takes; or they are written as
    JSON, where the box says so.
    """

    members = {f"applies_to.{name}": name for name in SCOPES}

    name = forms.CharField(max_length=120, help_text="What people read on the card.")
    slug = slug_field("How the API names it; it cannot be changed later.")
    expected_version = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    detector = forms.ChoiceField(label="Looks for", choices=Detector.choices)
    as_json = forms.BooleanField(
        label="Take the parameters from this text, not from the fields above", required=False
    )
    parameters = JsonField(label="Parameters (JSON)", rows=5, required=False)
    agents = ChoicesField(help_text="None chosen: every agent. A sub-agent falls under it as well.")
    operations = ChoicesField(help_text="None chosen: every operation.")
    sessions = ChoicesField(
        help_text="None chosen: every session. Offered are active ones of which the guard hit"
        " something."
    )
    effect = forms.ChoiceField(
        label="What happens to a call that it hits",
        choices=EFFECTS,
        widget=forms.RadioSelect,
        initial=GuardEffect.ALERT,
    )
    enabled = forms.BooleanField(required=False, help_text="Off: it looks at nothing.")
    shadow = forms.BooleanField(
        required=False, help_text="Record what it would have done, and do nothing: to begin with."
    )
    asynchronous = forms.BooleanField(
        required=False, help_text="Look after the call went its way; such a rule can only alert."
    )

    def __init__(self, *args: Any, actor: Actor, new: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        self.actor = actor
        self.new = new
        chosen = self.initial.get("detector", Detector.CONDITION)
        asked = self.data.get("detector", chosen) if self.is_bound else chosen
        self.looks_for = Detector(asked) if asked in Detector.values else Detector.CONDITION
        self.fields["detector"].widget.attrs |= {
            "hx-get": reverse("admin:guard_rule_parameters"),
            "hx-include": "this",
            "hx-target": "#parameters",
            "hx-trigger": "change",
        }
        self._offer_scopes()
        self._ask_for_parameters()
        if not new:
            del self.fields["slug"]

    def _offer_scopes(self) -> None:
        agents = Agent.objects.visible_to(self.actor).order_by("slug")[:MOST]
        rows = Operation.objects.visible_to(self.actor).select_related("integration")[:MOST]
        self.known = [
            (row.reference, _named(row.reference, row.enabled and row.integration.enabled))
            for row in rows
        ]
        self.schemas = [row.parameters for row in rows]
        self._offer("agents", [(row.slug, _named(row.slug, row.enabled)) for row in agents])
        self._offer("operations", self.known)
        hits = Detection.objects.visible_to(self.actor).values("tool_call__run__session")
        sessions = Session.objects.visible_to(self.actor).filter(
            status=SessionStatus.ACTIVE, pk__in=hits
        )
        found = sessions.select_related("agent").order_by("-created_at")[:SESSIONS]
        self._offer("sessions", [(str(row.pk), _session(row)) for row in found])

    def _offer(self, name: str, choices: Choices) -> None:
        """The choices, with what was chosen before and is no longer among them."""
        field = self.fields[name]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = with_chosen(choices, self.initial.get(name) or ())

    def _ask_for_parameters(self) -> None:
        before = self.initial.get("parameters") or {}
        is_same = self.initial.get("detector") == self.looks_for
        example = example_of(self.looks_for)
        values = before if is_same else example
        for name, parameter in PARAMETERS[self.looks_for].items():
            offered: Choices = parameter.choices
            if parameter.ask == Ask.POINTER:
                offered = known_arguments(self.schemas)
            elif parameter.ask == Ask.OPERATIONS:
                offered = self.known
            field = field_of(parameter, offered, values.get(name))
            self.fields[PREFIX + name] = field
        if not is_same:
            self.initial["parameters"] = example

    def clean(self) -> dict[str, Any]:
        """What the text says is of no account where the fields are taken."""
        if not self.cleaned_data.get("as_json"):
            self.errors.pop("parameters", None)
        return self.cleaned_data

    def field_of(self, member: str) -> str | None:
        if member.startswith("parameters.") and not self.data.get("as_json"):
            name = PREFIX + member.split(".")[1]
            return name if name in self.fields else "parameters"
        return super().field_of(member)

    @property
    def what(self) -> str:
        """What the chosen detector hits."""
        return WHAT[self.looks_for]

    @property
    def parameter_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith(PREFIX)]

    def some(self, *names: str) -> list[forms.BoundField]:
        return [self[name] for name in names if name in self.fields]

    @property
    def first_fields(self) -> list[forms.BoundField]:
        return self.some("name", "slug", "expected_version")

    @property
    def scope_fields(self) -> list[forms.BoundField]:
        return self.some(*SCOPES)

    @property
    def last_fields(self) -> list[forms.BoundField]:
        return self.some("effect", "enabled", "shadow", "asynchronous")

    def values(self) -> RuleValues:
        """What was typed, as the service takes it."""
        data = self.cleaned_data
        chosen = {name: data[name] for name in SCOPES if data[name]}
        return RuleValues(
            **{name: data[name] for name in PLAIN},
            parameters=self._parameters(),
            applies_to=chosen,
        )

    def _parameters(self) -> Any:
        data = self.cleaned_data
        if data["as_json"]:
            return {} if data["parameters"] is None else data["parameters"]
        typed = {
            name: value_of(parameter, data.get(PREFIX + name))
            for name, parameter in PARAMETERS[self.looks_for].items()
        }
        return {name: value for name, value in typed.items() if value is not None}


def with_chosen(choices: Iterable[tuple[str, str]], chosen: Iterable[str]) -> Choices:
    """Choices, and those that were chosen and are not among them."""
    offered = list(choices)
    known = {value for value, _ in offered}
    gone = [(value, f"{value} (no longer there)") for value in chosen if value not in known]
    return [*offered, *gone]


def _named(name: str, enabled: bool) -> str:
    return name if enabled else f"{name} (off)"


def _session(row: Session) -> str:
    return f"{row.agent.slug}, since {row.created_at:%Y-%m-%d %H:%M} UTC ({str(row.pk)[-6:]})"


def empty_form(actor: Actor, detector: str, data: Any = None) -> RuleForm:
    """A new rule's form, with the fields of a detector and its examples in them."""
    chosen = detector if detector in Detector.values else Detector.CONDITION
    initial = {"detector": chosen, "enabled": True, "shadow": True, "expected_version": 0}
    initial["parameters"] = example_of(chosen)
    return RuleForm(data, initial=initial, actor=actor, new=True)
