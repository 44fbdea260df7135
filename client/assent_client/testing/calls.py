"""Tool calls in the fake: asked for, decided on, performed by a Python function."""

from typing import Any

from assent_client.testing.answers import parse_actions
from assent_client.testing.closing import cancel
from assent_client.testing.operations import Operation
from assent_client.testing.refusals import Refused, check_members, invalid, invalid_fields
from assent_client.testing.schemas import faults
from assent_client.testing.sessions import require_open
from assent_client.testing.store import (
    CALL_OPEN,
    Caller,
    Row,
    Store,
    is_pending,
    new_id,
    normal,
    url,
)
from assent_client.testing.tasks import new_task

SETTLED = {"it_happened": "succeeded", "it_did_not": "failed"}


def create_call(store: Store, caller: Caller, body: Row) -> tuple[int, Row]:
    check_members(body, "run", "operation", "arguments", "key", "reason")
    caller.require("runs")
    run = store.refer(store.runs, body.get("run"), "run", caller)
    operation = store.operations.get(str(body.get("operation")))
    if operation is None:
        detail = f"There is no operation {body.get('operation')!r}."
        raise invalid("operation", detail, "not_found")
    if not isinstance(body.get("arguments"), dict):
        raise invalid("arguments", "Must be an object.")
    wrong = list(faults(operation.parameters, body["arguments"], "/arguments"))
    if wrong:
        raise invalid_fields(wrong)
    known = store.known("tool_call", run["agent"], body.get("key"), body)
    if known is not None:
        return 200, store.calls[known]
    require_open(run)
    row = {
        "id": new_id(),
        "run": run["id"],
        "agent": run["agent"],
        "operation": operation.name,
        "operation_version": 1,
        "arguments": body["arguments"],
        "arguments_digest": str(hash(normal(body["arguments"]))),
        "status": "queued",
        "task": None,
        "incident": None,
        "result": None,
        "error": None,
        "attempts": 0,
        "key": body.get("key"),
        "reason": body.get("reason") or "",
        "created_at": store.stamp(),
        "decided_at": None,
        "started_at": None,
        "finished_at": None,
    }
    row["url"] = url("calls", row["id"])
    blocked = store.blocks.get(operation.name)
    needs = blocked is None and operation.needs_approval(body["arguments"])
    if needs and not store.agents[run["agent"]]:
        raise Refused("tasks_not_enabled", f"The agent {run['agent']!r} may not ask people.")
    store.calls[row["id"]] = row
    store.remember("tool_call", run["agent"], body.get("key"), body, row["id"])
    if blocked is not None:
        error = {"code": "blocked", "detail": blocked}
        row.update(status="blocked", error=error, finished_at=store.stamp())
    elif needs:
        row["status"] = "awaiting_approval"
        _ask(store, operation, run, row)
    store.settle(run["id"])
    return 201, row


def _ask(store: Store, operation: Operation, run: Row, call: Row) -> None:
    task = new_task(
        store,
        run,
        title=operation.name,
        description=call["reason"],
        tool_call=call["id"],
        actions=operation.actions,
        initial_work=call["arguments"] if operation.allow_edit else None,
        draft=call["arguments"] if operation.allow_edit else None,
        timeout_seconds=operation.timeout_seconds,
        quorum=operation.quorum,
        reviewers=operation.reviewers,
        _editable=operation.allow_edit,
        _about="call",
        _on_decided=lambda task: _decided(store, task),
    )
    call["task"] = task["id"]


def _decided(store: Store, task: Row) -> None:
    call, outcome = store.calls[task["tool_call"]], task["outcome"]
    call["decided_at"] = task["completed_at"]
    if outcome["timed_out"] and outcome["action"] is None:
        error = {"code": "timed_out", "detail": "Nobody decided before the deadline."}
        call.update(status="timed_out", error=error, finished_at=store.stamp())
        return
    chosen = next(item for item in task["actions"] if item["name"] == outcome["action"])
    if chosen["effect"] == "stop":
        detail = outcome["comment"] or f"{chosen['label']} by {outcome['decided_by']['name']}."
        error = {"code": "rejected", "detail": detail}
        call.update(status="rejected", error=error, finished_at=store.stamp())
        return
    if task["draft"] is not None:
        call["arguments"] = task["draft"]
    call["status"] = "queued"
    perform(store, call)


def perform(store: Store, call: Row) -> None:
    """Let a queued call run: by its function, or by the agent itself."""
    operation = store.operations[call["operation"]]
    call.update(started_at=store.stamp(), attempts=call["attempts"] + 1)
    call.update(operation.outcome(call["arguments"]))
    if call["status"] != "executing":
        call["finished_at"] = store.stamp()
    if call["status"] == "unknown":
        _ask_what_happened(store, call)
    store.settle(call["run"])


def perform_queued(store: Store) -> None:
    """Perform what needs nobody's approval."""
    for call in list(store.calls.values()):
        if call["status"] == "queued":
            perform(store, call)


def _ask_what_happened(store: Store, call: Row) -> None:
    actions = [{"name": name} for name in (*SETTLED, "send_again")]
    task = new_task(
        store,
        store.runs[call["run"]],
        title=f"Did it happen? {call['operation']}",
        tool_call=call["id"],
        actions=parse_actions(actions),
        _editable=False,
        _about="outcome",
        _on_decided=lambda task: _settled(store, task),
    )
    call["task"] = task["id"]


def _settled(store: Store, task: Row) -> None:
    call, action = store.calls[task["tool_call"]], task["outcome"]["action"]
    if action == "send_again":
        perform(store, call)
        return
    call["status"] = SETTLED[action]
    happened = action == "it_happened"
    error = {"code": "did_not_happen", "detail": "A person said so."}
    call["error"] = None if happened else error


def cancel_call(store: Store, caller: Caller, body: Row, identity: str) -> tuple[int, Row]:
    call = store.find(store.calls, identity, caller)
    caller.require("runs")
    if call["status"] not in CALL_OPEN or call["started_at"] is not None:
        under_way = call["status"] == "executing"
        code = "already_executing" if under_way else "already_finished"
        raise Refused(code, f"The call is {call['status']}; it cannot be cancelled.")
    check_members(body, "reason")
    reason = str(body.get("reason") or "")
    task = store.tasks.get(call["task"] or "")
    if task is not None and is_pending(task):
        cancel(store, task, "withdrawn", reason, by=caller.as_json())
    error = {"code": "cancelled", "detail": reason or "The agent withdrew the call."}
    call.update(status="cancelled", error=error, finished_at=store.stamp())
    store.settle(call["run"])
    return 200, call


def report(store: Store, caller: Caller, body: Row, identity: str) -> tuple[int, Row]:
    call = store.find(store.calls, identity, caller)
    caller.require("runs")
    if store.operations[call["operation"]].perform is not None:
        raise Refused("not_executing", "Assent executes this call itself; it takes no result.")
    if call["status"] != "executing":
        over = call["finished_at"] is not None
        code = "already_finished" if over else "not_executing"
        raise Refused(code, f"The call is {call['status']}.")
    check_members(body, "output", "error")
    if len(body) != 1 or ("error" in body and not isinstance(body["error"], (str, dict))):
        raise invalid("output", "Send either `output` or `error`.")
    ended: dict[str, Any] = {"status": "succeeded", "finished_at": store.stamp()}
    if "output" in body:
        ended["result"] = {"status_code": None, "headers": {}, "body": body["output"]}
    else:
        ended["status"] = "failed"
        given = body["error"]
        alone = {"code": "client_error", "detail": given}
        ended["error"] = alone if isinstance(given, str) else given
    call.update(ended)
    store.settle(call["run"])
    return 200, call
