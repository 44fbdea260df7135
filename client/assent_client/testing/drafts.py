"""The work on a task, and its metadata, in the fake."""

from typing import Any

from assent_client.testing.closing import check_revision, refuse_closed
from assent_client.testing.refusals import Refused, check_members, invalid
from assent_client.testing.store import Caller, Row, Store, normal


def write(store: Store, task: Row, draft: Any, *, decides: bool) -> None:
    """Save the work; the same work changes nothing.

    Raises:
        Refused: `not_editable`.
    """
    if task["tool_call"] is not None and not (task["_editable"] and decides):
        raise Refused("not_editable", "What is under review cannot be edited.")
    if normal(task["draft"]) == normal(draft):
        return
    task["draft"] = draft
    task["revision"] += 1
    task["updated_at"] = store.stamp()


def show_draft(store: Store, caller: Caller, query: Row, identity: str) -> Row:
    task = store.find(store.tasks, identity, caller)
    return {"draft": task["draft"], "revision": task["revision"]}


def put_draft(store: Store, caller: Caller, body: Row, identity: str) -> tuple[int, Row]:
    task = store.find(store.tasks, identity, caller)
    caller.require("runs", "decide")
    refuse_closed(store, task)
    check_revision(task, body.get("revision"))
    check_members(body, "draft", "revision")
    if "draft" not in body or body.get("revision") is None:
        missing = "draft" if "draft" not in body else "revision"
        raise invalid(missing, "This member is required.", "required")
    write(store, task, body["draft"], decides="decide" in caller.scopes)
    return 200, {"draft": task["draft"], "revision": task["revision"]}


def patch_metadata(store: Store, caller: Caller, body: Row, identity: str) -> tuple[int, Row]:
    task = store.find(store.tasks, identity, caller)
    caller.require("runs", "decide")
    refuse_closed(store, task)
    if not body:
        raise invalid("metadata", "Give at least one member.", "required")
    task["metadata"] = {**task["metadata"], **body}
    return 200, task
