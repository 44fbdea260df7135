"""Tasks that an agent asks for (`POST tasks`), and withdraws."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from accounts_app.errors import Conflict, FieldError, Forbidden, Invalid
from accounts_app.models import Agent
from accounts_app.scoping import Actor
from accounts_app.services.natural_keys import body_digest, find_or_make
from accounts_app.services.unit import Unit, unit_of_work
from integrations_app.actions import parse_actions
from integrations_app.models import Run
from integrations_app.policies import (
    parse_on_timeout,
    parse_quorum,
    parse_reviewers,
    parse_timeout,
)
from integrations_app.services.locks import lock_open_run, lock_run
from integrations_app.services.outbox import announce
from integrations_app.services.reviewing import check_quorum, grants
from integrations_app.services.sessions import (
    check_agent,
    now_waits,
    open_run,
    open_session,
    settle_run,
)
from tasks_app.kinds import OWN_ACTIONS, check_draft, check_input, check_options
from tasks_app.models import UserTask
from tasks_app.services.asking import check_asking_is_on
from tasks_app.services.closing import cancel, subject_of
from tasks_app.services.drafts import keep_revision
from tasks_app.services.notifying import tell_of_new
from tasks_app.services.reminders import first_times, parse_reminders
from tasks_app.services.routing import flag_new, name_reviewers
from tasks_app.states import ANOMALIES, APPROVALS, WITH_QUORUM, CancelReason, Kind
from tasks_app.summaries import event_data

ON_CONFLICT = ("return", "fail", "replace")


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """The body of `POST tasks`, with types checked and references resolved."""

    title: str
    kind: str = Kind.APPROVAL
    description: str = ""
    key: str | None = None
    on_conflict: str = "return"
    participant: str | None = None
    actions: Any = None
    options: Any = None
    input: Any = None
    draft: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    timeout_seconds: Any = None
    on_timeout: Any = None
    survive_parent_close: bool = False
    reviewers: Any = None
    quorum: Any = None
    remind_before_seconds: Any = None


def check_kind(kind: object) -> None:
    """Refuse a kind that only the guard makes.

    Raises:
        Forbidden: `kind_not_creatable`.
    """
    if kind in ANOMALIES:
        text = "Anomaly tasks come from the guard only."
        raise Forbidden(text, code="kind_not_creatable")


def check_may_ask(agent: Agent, kind: str) -> float | None:
    """Refuse an agent that may not ask people.

    Returns:
        Seconds that people have where nobody said; None is for ever.

    Raises:
        Forbidden: `tasks_not_enabled`.
    """
    if not agent.tasks_enabled:
        text = (
            f"The agent {agent.slug!r} may not ask people: an admin must switch on"
            " “tasks enabled” for it."
        )
        raise Forbidden(text, code="tasks_not_enabled")
    return check_asking_is_on(agent.workspace_id, kind)


def create_task(
    actor: Actor, request: TaskRequest, *, run: Run | None, agent: Agent
) -> tuple[UserTask, bool]:
    """Ask a person, or find the task that this key asked for.

    Args:
        actor: whose credential.
        request: what is asked.
        run: the run that asks; without one, a session and a run are opened for the agent.
        agent: the run's agent, or the one named.

    Returns:
        The task, and whether it is new.

    Raises:
        Forbidden: `kind_not_creatable` or `tasks_not_enabled`.
        Invalid: naming the member and what would be right.
        Conflict: `key_exists`, `idempotency_mismatch`, `run_ended` or `agent_frozen`.
    """
    check_kind(request.kind)
    default_timeout = check_may_ask(agent, request.kind)
    columns = _columns(request)
    digest = body_digest(
        {
            "request": {**columns, "key": None, "participant": request.participant},
            "run": str(run.pk) if run else None,
        }
    )
    if columns["timeout_seconds"] is None:
        # Not part of the compared body: another default later makes no other request of it.
        columns["timeout_seconds"] = default_timeout
    with unit_of_work() as unit:
        rows = UserTask.objects.in_workspace(actor.workspace_id).filter(agent=agent)
        _settle_conflict(unit, actor, rows, request)
        task, created = find_or_make(
            rows, request.key, digest, lambda: _insert(unit, actor, run, agent, digest, columns)
        )
        if created:
            if task.draft is not None:
                keep_revision(unit, actor, task)
            announce_new(unit, actor, task)
            now_waits(unit, task.run_id)
    return task, created


def _columns(request: TaskRequest) -> dict[str, Any]:
    if request.kind not in Kind.values:
        _refuse("kind", f"Choose from {', '.join(Kind.values)}.")
    if not request.title.strip():
        _refuse("title", "Must not be blank.")
    if request.on_conflict not in ON_CONFLICT:
        _refuse("on_conflict", f"Choose from {', '.join(ON_CONFLICT)}.")
    if request.kind in APPROVALS:
        actions = parse_actions(request.actions, field="actions", for_call=False)
    elif request.actions:
        _refuse("actions", f"A task of kind {request.kind} has its own actions.")
    else:
        actions = OWN_ACTIONS[request.kind]
    check_draft(request.draft, "draft")
    timeout = parse_timeout(request.timeout_seconds, "timeout_seconds")
    reviewers = parse_reviewers(request.reviewers, "reviewers")
    quorum = parse_quorum(request.quorum, "quorum")
    if quorum is not None and request.kind not in WITH_QUORUM:
        _refuse("quorum", f"Only {', '.join(sorted(WITH_QUORUM))} can have a quorum.")
    return {
        "kind": request.kind,
        "title": request.title,
        "description": request.description,
        "key": request.key,
        "actions": [action.as_json() for action in actions],
        "options": check_options(request.kind, request.options),
        "input": check_input(request.kind, request.input) or None,
        "initial_work": request.draft,
        "draft": request.draft,
        "metadata": dict(request.metadata),
        "timeout_seconds": timeout,
        "on_timeout": parse_on_timeout(request.on_timeout, actions, "on_timeout"),
        "survive_parent_close": request.survive_parent_close,
        "participant": request.participant or "",
        "reviewers": reviewers,
        "named": reviewers is not None,
        "quorum": quorum,
        "remind_before_seconds": parse_reminders(
            request.remind_before_seconds, timeout, "remind_before_seconds"
        ),
    }


def _settle_conflict(unit: Unit, actor: Actor, rows: Any, request: TaskRequest) -> None:
    """Do what `on_conflict` says about a task that already has the key."""
    if request.key is None or request.on_conflict == "return":
        return
    found = rows.filter(key=request.key).first()
    if found is None:
        return
    if request.on_conflict == "fail":
        raise Conflict(
            f"A task with the key {request.key!r} exists.",
            code="key_exists",
            facts={"existing": str(found.pk)},
        )
    lock_run(found.run_id)
    found.refresh_from_db()
    cancel(unit, actor, found, CancelReason.REPLACED)
    UserTask.objects.filter(pk=found.pk).update(key=None)
    settle_run(unit, found.run_id)


def _insert(
    unit: Unit,
    actor: Actor,
    run: Run | None,
    agent: Agent,
    digest: str,
    columns: dict[str, Any],
) -> UserTask:
    check_agent(agent)
    if run is None:
        participant = columns["participant"]
        session, _ = open_session(
            actor, agent=agent, participant=participant, title=columns["title"]
        )
        run, _ = open_run(actor, session=session, title=columns["title"])
    lock_open_run(run.pk)
    levels = grants(actor.workspace_id, columns["reviewers"], columns["on_timeout"], "")
    named = levels[0] if columns["named"] else None
    check_quorum(actor.workspace_id, columns["quorum"], named, "quorum")
    due_at, next_reminder_at = first_times(unit.now, columns)
    task = UserTask.objects.create(
        workspace_id=actor.workspace_id,
        created_at=unit.now,
        updated_at=unit.now,
        agent=agent,
        run=run,
        session=run.session,
        body_digest=digest,
        due_at=due_at,
        next_reminder_at=next_reminder_at,
        **_asking(columns["kind"], run),
        **{**columns, "participant": columns["participant"] or run.session.participant},
    )
    name_reviewers(unit, task, levels)
    return task


def _asking(kind: str, run: Run) -> dict[str, Any]:
    """The run that a sub-agent's question came from, and the parents that passed it on."""
    if kind != Kind.AITL_ESCALATION:
        return {}
    chain, parent = [], run.parent
    while parent is not None:
        chain.append(str(parent.pk))
        parent = parent.parent
    return {"asking_run": run, "run_chain": chain}


def announce_new(unit: Unit, actor: Actor, task: UserTask) -> None:
    """Write down that a task was made, reviewers and all, and tell who waits and who decides."""
    facts = {"kind": task.kind, "agent": task.agent.slug}
    unit.audit(actor, "task.created", subject_of(task), facts)
    flag_new(unit, actor, task)
    announce(unit, task.workspace_id, "task.created", task.pk, event_data(task))
    tell_of_new(unit, actor, task)
    unit.wake(task.pk, task.run_id)


def _refuse(field: str, detail: str, code: str = "invalid_value") -> NoReturn:
    raise Invalid([FieldError(field, code, detail)])
