"""The form of an operation: what it calls, and who must agree before it is called."""

from typing import Any

from django import forms

from accounts_app.backoffice.choices import MOST, ChoicesField, offer, person_label
from accounts_app.backoffice.forms import (
    BackOfficeForm,
    DurationField,
    JsonField,
    LinesField,
    NamedForm,
    code_area,
    slug_field,
)
from accounts_app.models import Group, Membership
from accounts_app.scoping import Actor
from integrations_app.admin.policy_fields import ActionsField
from integrations_app.models import Integration, Operation
from integrations_app.services.catalogue import OperationValues
from integrations_app.states import Effect, IntegrationKind, Method

INHERIT, ASK, LET = "inherit", "yes", "no"
RETURN, ACTION, ESCALATE = "return", "action", "escalate"
PLAIN = ("name", "description", "method", "path", "effect", "timeout_seconds", "enabled")


class OperationForm(NamedForm):
    """Every member of the contract's operation, each refusal next to its field."""

    members = {
        "approval": "when",
        "approval.when": "when",
        "approval.actions": "actions",
        "approval.timeout_seconds": "approval_timeout",
        "approval.on_timeout": "on_timeout",
        "approval.on_timeout.action": "on_timeout_action",
        "approval.on_timeout.escalate": "escalate_timeout",
        "approval.on_timeout.escalate.reviewers": "escalate_users",
        "approval.on_timeout.escalate.reviewers.groups": "escalate_groups",
        "approval.quorum": "quorum",
        "approval.reviewers": "reviewer_users",
        "approval.reviewers.groups": "reviewer_groups",
        "approval.allow_edit": "allow_edit",
        "approval.allow_self_review": "allow_self_review",
    }

    name = forms.CharField(max_length=120, help_text="What people read on the card.")
    slug = slug_field("How agents and the API name it; it cannot be changed later.")
    expected_version = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    description = forms.CharField(
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="For the model that chooses tools, and for whoever approves.",
    )
    enabled = forms.BooleanField(
        label="Enabled",
        required=False,
        help_text="Off: no call starts, and waiting ones are dropped.",
    )

    requires_approval = forms.ChoiceField(
        label="Require approval (HITL) before execution", widget=forms.RadioSelect
    )
    when = forms.CharField(
        label="Only where",
        required=False,
        strip=False,
        max_length=2000,
        widget=code_area(3),
        help_text="A CEL condition over args, agent, session and run, like args.amount > 100."
        " Empty: every call. One that cannot be evaluated asks a person.",
    )
    approval_timeout = DurationField(
        label="Time to decide", required=False, help_text="Empty: as the workspace says."
    )
    on_timeout = forms.ChoiceField(
        label="When nobody decides in time",
        choices=[
            (RETURN, "The agent is told that it timed out; nothing is executed"),
            (ACTION, "One of the actions is taken"),
            (ESCALATE, "Other people are asked"),
        ],
        initial=RETURN,
    )
    on_timeout_action = forms.CharField(
        label="Which action",
        required=False,
        max_length=120,
        help_text="Its name. An operation with the effect “once” never proceeds at a time-out.",
    )
    escalate_timeout = DurationField(label="Time that they have", required=False)
    escalate_users = ChoicesField(label="Escalate to people")
    escalate_groups = ChoicesField(label="Escalate to groups")
    reviewer_users = ChoicesField(
        label="Reviewers: people", help_text="Nobody chosen here or below: every operator."
    )
    reviewer_groups = ChoicesField(label="Reviewers: groups")
    quorum = forms.IntegerField(
        label="How many must agree",
        required=False,
        min_value=1,
        max_value=100,
        help_text="Different people. Empty: one decides.",
    )
    allow_edit = forms.BooleanField(
        label="Whoever decides may edit the arguments first", required=False
    )
    allow_self_review = forms.BooleanField(
        label="Whoever started the session may decide its calls",
        required=False,
        help_text="Off is the safe choice: nobody approves what they asked for themselves.",
    )
    actions = ActionsField(
        label="Actions", required=False, help_text="None given: Approve and Reject."
    )

    effect = forms.ChoiceField(
        label="What doing it twice means",
        choices=Effect.choices,
        widget=forms.RadioSelect,
        initial=Effect.ONCE,
        help_text="A “once” call is never repeated: where nobody can say whether it happened, a"
        " person is asked.",
    )
    method = forms.ChoiceField(
        choices=[("", "–"), *((name, name) for name in Method.values)], required=False
    )
    path = forms.CharField(
        required=False,
        max_length=500,
        help_text="Below the base URL, like /charges/{charge}. Names in braces come from the"
        " arguments; the rest goes to the query (GET, DELETE) or the JSON body.",
    )
    parameters = JsonField(
        label="Parameters (JSON Schema)", required=False, rows=12, help_text="Draft 2020-12."
    )
    sensitive = LinesField(
        label="Sensitive arguments",
        help_text="JSON pointers, one on each line, like /card/number. They are masked in lists,"
        " notifications and webhooks.",
    )
    timeout_seconds = forms.FloatField(
        label="Seconds to wait for the service", min_value=0, max_value=300, initial=30
    )

    def __init__(
        self, *args: Any, actor: Actor, integration: Integration, new: bool, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        default = "required" if integration.requires_approval else "not required"
        switch = [
            (ASK, "Required"),
            (LET, "Not required"),
            (INHERIT, f"As the integration says (now: {default})"),
        ]
        switch_field: Any = self.fields["requires_approval"]
        switch_field.choices = switch
        people, groups = _people(actor), _groups(actor)
        for name, choices in (
            ("reviewer_users", people),
            ("reviewer_groups", groups),
            ("escalate_users", people),
            ("escalate_groups", groups),
        ):
            offer(self, name, choices)
        if not new:
            del self.fields["slug"]
        if integration.kind == IntegrationKind.CLIENT:
            help_text = "Not needed: the agent runs the call itself."
            self.fields["method"].help_text = self.fields["path"].help_text = help_text


def _people(actor: Actor) -> list[tuple[str, str]]:
    rows = Membership.objects.visible_to(actor).filter(is_active=True).select_related("user")
    people = [row.user for row in rows[:MOST]]
    found = [(one.username, person_label(one.get_full_name(), one.username)) for one in people]
    return sorted(found, key=lambda pair: pair[1].casefold())


def _groups(actor: Actor) -> list[tuple[str, str]]:
    return [(row.name, row.name) for row in Group.objects.visible_to(actor)[:MOST]]


def initial_of(row: Operation) -> dict[str, Any]:
    """What the form shows of an operation."""
    policy = row.approval
    on_timeout = policy.get("on_timeout") or RETURN
    escalation = on_timeout.get("escalate") if isinstance(on_timeout, dict) else None
    reviewers = policy.get("reviewers") or {}
    shown = {name: getattr(row, name) for name in PLAIN}
    shown["timeout_seconds"] = f"{row.timeout_seconds:g}"
    switch = {None: INHERIT, True: ASK, False: LET}[row.requires_approval]
    return {
        **shown,
        "expected_version": row.version,
        "requires_approval": switch,
        "parameters": row.parameters,
        "sensitive": row.sensitive,
        "when": policy.get("when") or "",
        "approval_timeout": policy.get("timeout_seconds"),
        "on_timeout": on_timeout if isinstance(on_timeout, str) else next(iter(on_timeout)),
        "on_timeout_action": on_timeout.get("action", "") if isinstance(on_timeout, dict) else "",
        "escalate_timeout": (escalation or {}).get("timeout_seconds"),
        **_named("escalate", (escalation or {}).get("reviewers") or {}),
        **_named("reviewer", reviewers),
        "quorum": policy.get("quorum"),
        "allow_edit": policy.get("allow_edit", False),
        "allow_self_review": policy.get("allow_self_review", False),
        "actions": policy.get("actions") or [],
    }


def _named(prefix: str, reviewers: dict[str, Any]) -> dict[str, list[str]]:
    return {f"{prefix}_{kind}": list(reviewers.get(kind) or []) for kind in ("users", "groups")}


def read(form: BackOfficeForm) -> OperationValues:
    """What the form says, as the service takes it."""
    typed = form.cleaned_data
    return OperationValues(
        requires_approval={INHERIT: None, ASK: True, LET: False}[typed["requires_approval"]],
        approval=_policy(typed),
        parameters=typed["parameters"],
        sensitive=typed["sensitive"],
        **{name: typed[name] for name in PLAIN},
    )


def _policy(typed: dict[str, Any]) -> dict[str, Any]:
    """The member `approval` of the contract."""
    return {
        "when": typed["when"] if typed["when"].strip() else None,
        "timeout_seconds": typed["approval_timeout"],
        "on_timeout": _on_timeout(typed),
        "reviewers": _reviewers(typed, "reviewer"),
        "quorum": typed["quorum"],
        "allow_edit": typed["allow_edit"],
        "allow_self_review": typed["allow_self_review"],
        "actions": typed["actions"],
    }


def _on_timeout(typed: dict[str, Any]) -> Any:
    if typed["on_timeout"] == ACTION:
        return {"action": typed["on_timeout_action"]}
    if typed["on_timeout"] == ESCALATE:
        escalation = {
            "reviewers": _reviewers(typed, "escalate"),
            "timeout_seconds": typed["escalate_timeout"],
        }
        return {"escalate": escalation}
    return RETURN


def _reviewers(typed: dict[str, Any], prefix: str) -> dict[str, list[str]] | None:
    found = {kind: typed[f"{prefix}_{kind}"] for kind in ("users", "groups")}
    return found if any(found.values()) else None
