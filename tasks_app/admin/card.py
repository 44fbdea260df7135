"""What the template of a card reads, and what is kept of somebody's typing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from integrations_app.actions import Action
from integrations_app.states import CALL_OPEN, CallStatus
from tasks_app.admin.reasons import Reason
from tasks_app.admin.request import RequestShown
from tasks_app.admin.text import Shown
from tasks_app.models import Comment, UserTask, Vote
from tasks_app.states import ANOMALIES, Kind

CALL_STYLES = {
    CallStatus.SUCCEEDED: "good",
    CallStatus.FAILED: "bad",
    CallStatus.REJECTED: "bad",
    CallStatus.BLOCKED: "bad",
    CallStatus.UNKNOWN: "warn",
    CallStatus.TIMED_OUT: "warn",
    CallStatus.CANCELLED: "",
}


@dataclass(frozen=True, slots=True)
class Typed:
    """What somebody has typed into a card, kept whatever becomes of it.

    Args:
        action: what was pressed.
        comment: said with the decision.
        value: the answer.
        aside: typed into a form beside the decision.
    """

    action: str = ""
    comment: str = ""
    value: str = ""
    aside: str = ""

    def __bool__(self) -> bool:
        return bool(self.text)

    @property
    def text(self) -> str:
        """All of it, for whoever wants to copy it."""
        return "\n".join(filter(None, (self.value, self.comment, self.aside)))


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why what was sent was not done; nothing was changed.

    Args:
        text: one sentence.
        is_conflict: somebody or something was faster.
        field: the field it is about, if it is one.
        opens_folds: what was folded has to be looked at first.
    """

    text: str
    is_conflict: bool = False
    field: str = ""
    opens_folds: bool = False

    @property
    def is_in_form(self) -> bool:
        """Whether the card shows it beside the field that it is about."""
        return self.opens_folds or self.field in ("action", "value", "comment", "reason")


@dataclass(frozen=True, slots=True)
class Earlier:
    """What became of the same operation for the same agent, lately."""

    counts: Sequence[tuple[str, int]]
    newest: Sequence[UserTask]
    total: int


@dataclass(frozen=True, slots=True)
class Card:
    """Everything that the template of a card reads."""

    task: UserTask
    token: str
    is_open: bool
    sees_context: bool
    can_reveal_with_reason: bool
    cannot_decide: str
    title: str
    title_is_agents: bool
    summary: str
    request: RequestShown | None
    said: Shown
    work: Shown
    why: Sequence[Reason]
    earlier: Earlier | None
    actions: Sequence[Action]
    reviewers: str
    votes: Sequence[Vote]
    comments: Sequence[Comment]
    claim: str
    looking: str
    edited_by: str
    is_mine: bool
    can_edit: bool
    due: str
    outcome: str
    outcome_style: str
    decided_by_email: str
    typed: Typed = Typed()
    trouble: Trouble | None = None
    is_alone: bool = False
    options: Sequence[Mapping[str, str]] = field(default_factory=list)

    @property
    def can_decide(self) -> bool:
        broken = self.request is not None and bool(self.request.problem)
        return self.is_open and not self.cannot_decide and not broken and self.sees_context

    @property
    def opens_folds(self) -> bool:
        return self.trouble is not None and self.trouble.opens_folds

    @property
    def call_style(self) -> str:
        """Of the badge that says where the call stands."""
        call = self.task.tool_call
        return CALL_STYLES.get(CallStatus(call.status), "accent") if call else ""

    @property
    def is_followed(self) -> bool:
        """Whether it was decided and its call has not come to its end."""
        call = self.task.tool_call
        return not self.is_open and call is not None and call.status in CALL_OPEN

    @property
    def tone(self) -> str:
        return "bad" if self.task.kind in ANOMALIES else "accent"

    @property
    def answer_kind(self) -> str:
        """Which answer fields the card has."""
        kinds = {Kind.MULTI_OPTION: "options", Kind.NUMBER: "number", Kind.TEXT: "text"}
        answered = {**kinds, Kind.AITL_ESCALATION: "text"}
        return answered.get(Kind(self.task.kind), "")
