"""Every operation of the contract: its name, its refusals, what it can be used with next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Links = dict[str, dict[str, Any]]
Codes = Mapping[int, tuple[str, ...]]
BODY_ID = "$response.body#/id"


@dataclass(frozen=True, slots=True)
class Op:
    """One method of one address.

    Args:
        name: its operationId.
        summary: what it does, in one line.
        refusals: codes beside the general ones, by status.
        once: whether it takes an `Idempotency-Key`.
        links: what its answer's ids can be used with.
    """

    name: str
    summary: str
    refusals: Codes = field(default_factory=dict)
    once: bool = False
    links: tuple[str, ...] = ()


BOUND: Codes = {403: ("wrong_agent",)}
MAKES: Codes = {409: ("idempotency_mismatch",)}
REFERS: Codes = {422: ("not_found",)}
CLOSED = ("already_completed", "already_cancelled", "deadline_passed")
DECIDES: Codes = {
    403: ("dashboard_only", "self_review_forbidden", "not_permitted", "not_editable"),
    409: (*CLOSED, "stale_revision", "already_voted", "already_finished", "already_executing"),
    422: ("unknown_action", "comment_required", "too_complex", "not_found", "blocked"),
    428: ("revision_required",),
}
WORKS: Codes = {
    403: ("dashboard_only", "self_review_forbidden", "not_permitted", "not_editable"),
    409: (*CLOSED, "stale_revision"),
    422: ("too_complex", "not_found", "blocked"),
    428: ("revision_required",),
}


def _both(*parts: Codes) -> Codes:
    found: dict[int, tuple[str, ...]] = {}
    for part in parts:
        for status, codes in part.items():
            found[status] = (*found.get(status, ()), *codes)
    return found


OPERATIONS: dict[tuple[str, str], Op] = {
    ("GET", "/agents"): Op("list_agents", "The agents of the workspace"),
    ("GET", "/agents/{slug}"): Op("get_agent", "One agent", links=("open_session",)),
    ("PUT", "/agents/{slug}"): Op("put_agent", "Add an agent, or bring it to this state", BOUND),
    ("GET", "/sessions"): Op("list_sessions", "Sessions, the newest first"),
    ("POST", "/sessions"): Op(
        "open_session",
        "Open a session",
        _both(BOUND, MAKES, REFERS, {409: ("agent_frozen",)}),
        once=True,
        links=("get_session", "open_run", "end_session", "terminate_session"),
    ),
    ("GET", "/sessions/{id}"): Op("get_session", "One session"),
    ("POST", "/sessions/{id}/end"): Op(
        "end_session", "End a session, and the runs in it", {409: ("session_ended",)}
    ),
    ("POST", "/sessions/{id}/terminate"): Op(
        "terminate_session", "Terminate a session, and the runs in it", {409: ("session_ended",)}
    ),
    ("GET", "/runs"): Op("list_runs", "Runs, the newest first"),
    ("POST", "/runs"): Op(
        "open_run",
        "Open a run in a session",
        _both(BOUND, MAKES, REFERS, {409: ("agent_frozen", "session_ended", "run_ended")}),
        once=True,
        links=(
            "get_run",
            "complete_run",
            "fail_run",
            "request_call",
            "create_task",
            "post_message",
        ),
    ),
    ("GET", "/runs/{id}"): Op("get_run", "One run"),
    ("POST", "/runs/{id}/complete"): Op(
        "complete_run", "Complete a run, with its output", {409: ("run_ended",)}
    ),
    ("POST", "/runs/{id}/fail"): Op(
        "fail_run", "Fail a run, with its error", {409: ("run_ended",)}
    ),
    ("POST", "/runs/{id}/terminate"): Op("terminate_run", "Terminate a run", {409: ("run_ended",)}),
    ("GET", "/sessions/{id}/last-task"): Op(
        "get_last_task", "The task that a conversation is about, in one scope"
    ),
    ("GET", "/runs/{id}/messages"): Op("list_messages", "What was said in a run, oldest first"),
    ("POST", "/runs/{id}/messages"): Op(
        "post_message", "Say something in a run", _both(REFERS, {409: ("run_ended",)}), once=True
    ),
    ("GET", "/runs/{id}/timeline"): Op(
        "get_timeline", "Everything that happened in a run, in order"
    ),
    ("POST", "/runs/{id}/input"): Op(
        "give_input",
        "Answer the run's pending task, or say something in the run",
        _both(DECIDES, REFERS, {409: ("ambiguous_task", "no_pending_task", "run_ended")}),
        once=True,
    ),
    ("GET", "/integrations"): Op("list_integrations", "The integrations of the workspace"),
    ("GET", "/integrations/{slug}"): Op("get_integration", "One integration"),
    ("PUT", "/integrations/{slug}"): Op(
        "put_integration",
        "Add an integration, or bring it to this state",
        {422: ("private_address", "credential_required")},
    ),
    ("POST", "/integrations/{slug}/import-openapi"): Op(
        "import_openapi",
        "Create and update operations from an OpenAPI 3 document",
        {422: ("not_found", "not_supported")},
        once=True,
    ),
    ("GET", "/operations"): Op("list_operations", "The operations of all integrations"),
    ("GET", "/operations/tools"): Op(
        "list_tools", "The enabled operations as tools for a model", {422: ("required",)}
    ),
    ("GET", "/integrations/{integration}/operations/{slug}"): Op(
        "get_operation", "One operation of an integration"
    ),
    ("PUT", "/integrations/{integration}/operations/{slug}"): Op(
        "put_operation",
        "Add an operation, or bring it to this state",
        {422: ("not_found", "unknown_action")},
    ),
    ("GET", "/tool-calls"): Op("list_calls", "Tool calls, the newest first"),
    ("POST", "/tool-calls"): Op(
        "request_call",
        "Ask for an operation to be performed",
        _both(
            MAKES,
            REFERS,
            {
                403: ("tasks_not_enabled",),
                409: ("run_ended", "agent_frozen", "operation_disabled"),
                422: ("too_complex",),
            },
        ),
        once=True,
        links=("get_call", "cancel_call", "finish_call"),
    ),
    ("GET", "/tool-calls/{id}"): Op("get_call", "One tool call"),
    ("POST", "/tool-calls/{id}/cancel"): Op(
        "cancel_call",
        "Cancel a call of which nothing was sent",
        {409: ("already_executing", "already_finished")},
    ),
    ("POST", "/tool-calls/{id}/result"): Op(
        "finish_call",
        "Report the result of a call that the agent ran itself",
        {409: ("not_executing", "already_finished")},
    ),
    ("GET", "/tasks"): Op("list_tasks", "Tasks; the newest first, or as `ordering` says"),
    ("POST", "/tasks"): Op(
        "create_task",
        "Ask a person",
        _both(
            BOUND,
            MAKES,
            REFERS,
            {
                403: ("kind_not_creatable", "tasks_not_enabled"),
                409: ("key_exists", "run_ended", "agent_frozen", "session_ended"),
                422: ("not_supported", "unknown_action"),
            },
        ),
        once=True,
        links=(
            "get_task",
            "get_task_result",
            "complete_task",
            "approve_task",
            "reject_task",
            "withdraw_task",
            "save_draft",
            "merge_metadata",
            "comment",
            "ask_back",
            "inform",
            "extend_task",
            "list_task_events",
        ),
    ),
    ("GET", "/tasks/{id}"): Op("get_task", "One task"),
    ("GET", "/tasks/{id}/result"): Op("get_task_result", "What a task came to"),
    ("POST", "/tasks/{id}/complete"): Op("complete_task", "Decide a task", DECIDES, once=True),
    ("POST", "/tasks/{id}/approve"): Op(
        "approve_task", "Decide a task with `approve`", DECIDES, once=True
    ),
    ("POST", "/tasks/{id}/reject"): Op(
        "reject_task", "Decide a task with `reject`", DECIDES, once=True
    ),
    ("GET", "/tasks/stats"): Op(
        "get_stats", "Exact figures about the tasks created in a time", {422: ("required",)}
    ),
    ("POST", "/tasks/bulk-complete"): Op("bulk_complete", "Decide many tasks, each for itself"),
    ("POST", "/tasks/{id}/cancel"): Op(
        "withdraw_task",
        "Withdraw a task",
        {403: ("dashboard_only",), 409: (*CLOSED, "already_executing")},
    ),
    ("GET", "/tasks/{id}/draft"): Op("get_draft", "The work that is decided on"),
    ("PUT", "/tasks/{id}/draft"): Op("save_draft", "Save the work before it is decided on", WORKS),
    ("PATCH", "/tasks/{id}/metadata"): Op("merge_metadata", "Merge metadata; later wins", WORKS),
    ("POST", "/tasks/{id}/comments"): Op(
        "comment", "Say something about a task, deciding nothing", WORKS, once=True
    ),
    ("POST", "/tasks/{id}/ask"): Op("ask_back", "Ask the agent back", WORKS, once=True),
    ("POST", "/tasks/{id}/information"): Op(
        "inform", "Answer what was asked back; the revision rises", WORKS, once=True
    ),
    ("POST", "/tasks/{id}/extend"): Op("extend_task", "Move the deadline", WORKS),
    ("GET", "/tasks/{id}/events"): Op("list_task_events", "The audit trail of one task"),
    ("GET", "/guard/rules"): Op("list_rules", "The guard rules of the workspace"),
    ("GET", "/guard/rules/{slug}"): Op("get_rule", "One guard rule"),
    ("PUT", "/guard/rules/{slug}"): Op(
        "put_rule",
        "Add a guard rule, or bring it to this state",
        {422: ("not_found", "not_supported", "too_complex")},
    ),
    ("GET", "/guard/incidents"): Op("list_incidents", "The incidents of the workspace"),
    ("GET", "/guard/incidents/{id}"): Op("get_incident", "One incident"),
    ("GET", "/guard/replays"): Op("list_replays", "What was tried on recorded calls"),
    ("POST", "/guard/replays"): Op(
        "start_replay",
        "Try a rule on recorded calls",
        {422: ("not_found", "not_supported", "too_complex")},
        once=True,
        links=("get_replay",),
    ),
    ("GET", "/guard/replays/{id}"): Op("get_replay", "One replay"),
    ("GET", "/guard/detections"): Op(
        "list_detections", "Every hit of the guard, those of shadow rules included"
    ),
    ("GET", "/webhooks"): Op("list_webhooks", "The webhooks of the workspace", BOUND),
    ("GET", "/webhooks/{slug}"): Op("get_webhook", "One webhook", BOUND),
    ("PUT", "/webhooks/{slug}"): Op(
        "put_webhook",
        "Add a webhook, or bring it to this state",
        _both(BOUND, {422: ("private_address",)}),
    ),
    ("POST", "/webhooks/{slug}/rotate"): Op(
        "rotate_secret", "Give a webhook a new secret", BOUND, once=True
    ),
    ("POST", "/webhooks/{slug}/ping"): Op(
        "ping_webhook",
        "Send an event that means nothing",
        _both(BOUND, {409: ("webhook_disabled",)}),
        once=True,
        links=("redeliver",),
    ),
    ("GET", "/webhooks/{slug}/deliveries"): Op(
        "list_deliveries", "What was sent to a webhook, or is to be", BOUND
    ),
    ("POST", "/webhooks/deliveries/{id}/redeliver"): Op(
        "redeliver",
        "Send an event again, with the same `webhook-id`",
        _both(BOUND, {409: ("webhook_disabled",)}),
        once=True,
    ),
}
LINKS: Links = {
    "open_session": {"requestBody": {"agent": "$response.body#/slug"}},
    "open_run": {"requestBody": {"session": BODY_ID}},
    "request_call": {
        "requestBody": {
            "run": BODY_ID,
            "operation": "payments.refund",
            "arguments": {"charge": "ch_1", "amount": 900},
        }
    },
    "create_task": {"requestBody": {"run": BODY_ID, "title": "Go on?"}},
}


def link_to(name: str) -> dict[str, Any]:
    """How the id of an answer is used with another operation."""
    if name in LINKS:
        return {"operationId": name, **LINKS[name]}
    return {"operationId": name, "parameters": {"id": BODY_ID}}


def refusals(method: str, path: str, op: Op) -> dict[int, list[str]]:
    """Every status and code with which an operation may refuse."""
    found: dict[int, set[str]] = {
        401: {"not_authenticated"},
        403: {"insufficient_scope"},
        429: {"throttled"},
        503: {"unavailable"},
    }
    if "{" in path:
        found[404] = {"not_found"}
    if method == "GET":
        found[422] = {"unknown_filter", "invalid_value"}
    else:
        found |= {400: {"parse_error"}, 413: {"body_too_large"}, 415: {"unsupported_media_type"}}
        found[422] = {"required", "invalid_value", "unknown_field", "too_long"}
    if op.once:
        found[409] = {"in_progress", "idempotency_mismatch"}
    for status, codes in op.refusals.items():
        found[status] = found.get(status, set()) | set(codes)
    return {status: sorted(codes) for status, codes in sorted(found.items())}
