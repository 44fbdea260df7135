"""User tasks in the fake: asked for, worked on, decided, timed out, dropped."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from assent_client.testing.answers import KINDS, OWN_ACTIONS, check_answer, parse_actions
from assent_client.testing.closing import cancel, check_revision, close, follow, refuse_closed
from assent_client.testing.drafts import write
from assent_client.testing.refusals import Refused, check_members, invalid
from assent_client.testing.store import (
    RUN_OPEN,
    Caller,
    Row,
    Store,
    is_pending,
    new_id,
    url,
)
from assent_client.testing.voting import (
    WITH_QUORUM,
    is_decided,
    read_quorum,
    read_reviewers,
    refuse_second_vote,
)

DASHBOARD_ONLY = ("aitl_escalation", "anomaly_review", "anomaly_alert")
MEMBERS = (
    "run",
    "agent",
    "kind",
    "title",
    "description",
    "key",
    "on_conflict",
    "participant",
    "actions",
    "options",
    "input",
    "draft",
    "metadata",
    "timeout_seconds",
    "on_timeout",
    "survive_parent_close",
    "reviewers",
    "quorum",
    "remind_before_seconds",
)


def create_task(store: Store, caller: Caller, body: Row) -> tuple[int, Row]:
    check_members(body, *MEMBERS)
    caller.require("runs")
    run = None
    if body.get("run") is not None:
        run = store.refer(store.runs, body["run"], "run", caller)
    elif body.get("agent") is None:
        raise invalid("run", "Name the run, or the agent.", "required")
    agent = run["agent"] if run else store.check_agent(body["agent"], caller)
    kind = body.get("kind", "approval")
    _check_request(store, body, agent, kind)
    reviewers = read_reviewers(store, body.get("reviewers"))
    quorum = read_quorum(store, body.get("quorum"), reviewers)
    compared = {name: value for name, value in body.items() if name != "on_conflict"}
    found = _existing(store, caller, agent, body, compared)
    if found is not None:
        return 200, found
    if run is None:
        run = _own_run(store, agent, body)
    if run["status"] not in RUN_OPEN:
        raise Refused("run_ended", f"The run is {run['status']}.")
    actions = (
        parse_actions(body.get("actions")) if kind in ("approval", "hitl") else OWN_ACTIONS[kind]
    )
    row = new_task(
        store,
        run,
        kind=kind,
        title=body["title"],
        description=body.get("description") or "",
        key=body.get("key"),
        actions=actions,
        options=body.get("options") or [],
        input=body.get("input"),
        initial_work=body.get("draft"),
        draft=body.get("draft"),
        metadata=body.get("metadata") or {},
        on_timeout=body.get("on_timeout") or "return",
        survive_parent_close=bool(body.get("survive_parent_close")),
        reviewers=reviewers,
        quorum=quorum,
        participant=body.get("participant"),
        timeout_seconds=body.get("timeout_seconds"),
    )
    store.remember("task", agent, body.get("key"), compared, row["id"])
    store.note("task.created", row, caller.as_json())
    return 201, row


def _check_request(store: Store, body: Row, agent: str, kind: Any) -> None:
    if kind in ("anomaly_review", "anomaly_alert"):
        raise Refused("kind_not_creatable", "Anomaly tasks come from the guard only.")
    if not store.agents[agent]:
        raise Refused("tasks_not_enabled", f"The agent {agent!r} may not ask people.")
    if kind not in KINDS:
        raise invalid("kind", f"Choose from {', '.join(KINDS)}.")
    if not isinstance(body.get("title"), str) or not body["title"].strip():
        raise invalid("title", "Must not be blank.")
    if body.get("quorum") is not None and kind not in WITH_QUORUM:
        raise invalid("quorum", f"Only {', '.join(WITH_QUORUM)} can have a quorum.")
    rule = body.get("on_timeout")
    if isinstance(rule, dict) and "escalate" in rule:
        raise invalid("on_timeout", "The fake knows no escalation.", "not_supported")
    if kind == "multi_option" and not body.get("options"):
        raise invalid("options", "A multi_option task needs at least one option.", "required")
    if body.get("actions") and kind not in ("approval", "hitl"):
        raise invalid("actions", f"A task of kind {kind} has its own actions.")
    seconds = body.get("timeout_seconds")
    if seconds is not None and not 1 <= seconds <= 31_536_000:
        raise invalid("timeout_seconds", "Must be from 1 to 31536000.")


def _existing(store: Store, caller: Caller, agent: str, body: Row, compared: Row) -> Row | None:
    """The task that this key asked for before, as `on_conflict` says."""
    key, way = body.get("key"), body.get("on_conflict", "return")
    if way not in ("return", "fail", "replace"):
        raise invalid("on_conflict", "Choose from return, fail, replace.")
    if key is None or ("task", agent, key) not in store.keys:
        return None
    identity = store.keys["task", agent, key][1]
    if way == "fail":
        raise Refused("key_exists", f"A task with the key {key!r} exists.", existing=identity)
    if way == "return":
        store.known("task", agent, key, compared)
        return store.tasks[identity]
    if is_pending(store.tasks[identity]):
        cancel(store, store.tasks[identity], "replaced", "", by=caller.as_json())
    store.tasks[identity]["key"] = None
    del store.keys["task", agent, key]
    return None


def _own_run(store: Store, agent: str, body: Row) -> Row:
    session_id, run_id, now = new_id(), new_id(), store.stamp()
    common = {"agent": agent, "key": None, "title": body["title"], "metadata": {}}
    store.sessions[session_id] = {
        "id": session_id,
        **common,
        "participant": body.get("participant"),
        "status": "active",
        "created_at": now,
        "ended_at": None,
        "url": url("sessions", session_id),
    }
    store.runs[run_id] = {
        "id": run_id,
        "session": session_id,
        **common,
        "parent_run": None,
        "status": "running",
        "waiting_on": {"tasks": [], "tool_calls": []},
        "output": None,
        "error": None,
        "created_at": now,
        "ended_at": None,
        "url": url("runs", run_id),
    }
    return store.runs[run_id]


def new_task(store: Store, run: Row, **members: Any) -> Row:
    """A pending task of a run, with the contract's members."""
    seconds = members.pop("timeout_seconds", None)
    due = None if seconds is None else store.now() + timedelta(seconds=seconds)
    session = store.sessions[run["session"]]
    now = store.stamp()
    row: Row = {
        "id": new_id(),
        "key": None,
        "kind": "approval",
        "status": "pending",
        "title": "",
        "description": "",
        "agent": run["agent"],
        "session": run["session"],
        "run": run["id"],
        "tool_call": None,
        "incident": None,
        "options": [],
        "input": None,
        "initial_work": None,
        "draft": None,
        "revision": 1,
        "metadata": {},
        "due_at": None if due is None else store.stamp(due),
        "on_timeout": "return",
        "survive_parent_close": False,
        "quorum": None,
        "votes": [],
        "reviewers": None,
        "claimed_by": None,
        "claim_expires_at": None,
        "stale": None,
        "outcome": None,
        "created_at": now,
        "updated_at": now,
        "completed_at": None,
        "_about": "nothing",
        "_on_decided": None,
        "_editable": True,
        **members,
    }
    row["participant"] = members.get("participant") or session["participant"]
    row["api_completable"] = row["kind"] not in DASHBOARD_ONLY
    row["url"] = url("tasks", row["id"])
    store.tasks[row["id"]] = row
    store.settle(run["id"])
    return row


def decide(shortcut: str | None) -> Callable[[Store, Caller, Row, str], tuple[int, Row]]:
    """The endpoint that decides, or its shortcut for one action."""
    more = () if shortcut else ("action",)

    def act(store: Store, caller: Caller, body: Row, identity: str) -> tuple[int, Row]:
        task = store.find(store.tasks, identity, caller)
        caller.require("decide")
        if task["kind"] in DASHBOARD_ONLY:
            detail = "This kind of task is decided in the back office only."
            raise Refused("dashboard_only", detail)
        taken = body if shortcut is None else {**body, "action": shortcut}
        return 200, decide_task(store, task, taken, by=caller.as_json(), more=more)

    return act


def decide_task(
    store: Store, task: Row, body: Row, *, by: Row, more: tuple[str, ...] = ("action",)
) -> Row:
    """Decide, whoever it is: the state first, the answer last.

    Raises:
        Refused: too late, stale, or no answer to what is asked.
    """
    refuse_closed(store, task)
    check_revision(task, body.get("revision"))
    refuse_second_vote(task, by)
    sent = {name: value for name, value in body.items() if name in more or name != "action"}
    known = ("value", "comment", "metadata", "draft", "revision", "on_behalf_of")
    check_members(sent, *more, *known)
    action, value = check_answer(task, body)
    if "draft" in body:
        write(store, task, body["draft"], decides=True)
    task["metadata"] = {**task["metadata"], **(body.get("metadata") or {})}
    chosen = next(item for item in task["actions"] if item["name"] == action)
    actor, by = by, {**by, "on_behalf_of": body.get("on_behalf_of")}
    if not is_decided(store, task, chosen, value, body.get("comment"), by):
        task["updated_at"] = store.stamp()
        return task
    close(
        store,
        task,
        "completed",
        action=action,
        value=value,
        comment=body.get("comment"),
        completed=True,
        decided_by=by,
        summary=f"{chosen['label']} by {by['name']}",
    )
    store.note("task.completed", task, actor)
    follow(store, task)
    return task
