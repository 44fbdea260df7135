"""What somebody may change between the moment a person looks at a call and the moment it is sent.

Each kind is a function of the moment's facts and a random word, so that ten thousand of them
differ. `STOPPING` are those after which nothing at all may arrive while the call is not yet
claimed; after the others the call that was decided on is the same, and may run.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from accounts_app import crypto
from accounts_app.errors import Invalid
from integrations_app import requests
from integrations_app.models import Clearance, Integration, Operation, ToolCall
from integrations_app.models.calls import ToolCallQuerySet
from integrations_app.services.freezing import freeze, full_arguments
from tests.conftest import World
from tests.harness.catalogue import OPERATIONS

_ANY_OBJECT = {"type": "object"}
BOUND: dict[str, dict[str, object]] = {
    "refund": {**OPERATIONS["refund"], "approval": {"allow_edit": True}},
    "move": {
        "name": "Move money",
        "method": "PUT",
        "path": "/ok/accounts/{account}/moves/{move}",
        "effect": "idempotent",
        "parameters": _ANY_OBJECT,
        "requires_approval": True,
        "approval": {"allow_edit": True},
    },
    "close": {
        "name": "Close an account",
        "method": "DELETE",
        "path": "/ok/accounts/{account}",
        "effect": "once",
        "parameters": _ANY_OBJECT,
        "requires_approval": True,
        "approval": {"allow_edit": True},
    },
}
"""Operations whose arguments go into a body, into path and body, and into path and query."""

ARGUMENTS: dict[str, dict[str, Any]] = {
    "refund": {"charge": "ch_1", "amount": 900},
    "move": {"account": "acc-1", "move": "mv-1", "to": "acc-2", "amount": 12.5},
    "close": {"account": "acc-1", "heir": "acc-2", "final": True},
}


@dataclass(frozen=True)
class Moment:
    """What a change can get hold of.

    Args:
        world: the workspace, with an admin's and a decider's key.
        slug: the operation of the call.
        call_id: the call that a person is asked about.
        task_id: what asks that person.
        spare_run: another run of the same agent.
    """

    world: World
    slug: str
    call_id: str
    task_id: str
    spare_run: str

    @property
    def rows(self) -> ToolCallQuerySet:
        return ToolCall.objects.filter(pk=self.call_id)

    @property
    def operation(self) -> Any:
        return Operation.objects.filter(slug=self.slug)

    @property
    def integration(self) -> Any:
        return Integration.objects.filter(slug="payments")

    def admin(self, **members: object) -> None:
        """An admin changes the operation by the API; refused where it was broken before."""
        body = {**BOUND[self.slug], **members}
        path = f"integrations/payments/operations/{self.slug}"
        answer = self.world.admin.put(path, body)
        assert answer.status in (200, 422), answer

    def admin_of_integration(self, **members: object) -> None:
        """An admin changes the integration by the API; refused where its host was moved before."""
        body = {
            "name": "Payments",
            "kind": "http",
            "base_url": self.world.receiver.url,
            "allow_private_network": True,
            **members,
        }
        answer = self.world.admin.put("integrations/payments", body)
        assert answer.status in (200, 422), answer


Change = Callable[[Moment, str], object]


def _arguments(moment: Moment, arguments: dict[str, Any]) -> None:
    text = json.dumps(arguments, ensure_ascii=False).encode()
    place = f"tool_call.arguments:{moment.call_id}"
    moment.rows.update(arguments_sealed=crypto.seal(text, place=place))


def _changed_arguments(moment: Moment, word: str) -> dict[str, Any]:
    """The call's arguments, one of them another; which one depends on the word."""
    arguments = full_arguments(moment.rows.get())
    names = sorted(arguments)
    arguments[names[len(word) % len(names)]] = f"changed-{word}"
    return arguments


def _request(moment: Moment, change: Callable[[bytes], bytes], *, digest: bool) -> None:
    """Reseal other request bytes, with or without the digest that fits them."""
    call = moment.rows.get()
    place = f"tool_call.request:{call.pk}"
    changed = change(crypto.unseal(call.request_sealed or b"", place=place))
    columns = {"request_sealed": crypto.seal(changed, place=place)}
    if digest:
        columns["request_digest"] = requests.digest(changed)
    moment.rows.update(**columns)


def _everything(moment: Moment, word: str) -> None:
    """All that a call stores of its request, built anew, as who has the keys could write it."""
    call = moment.rows.select_related("operation__integration", "run").get()
    with suppress(Invalid):
        made = freeze(call.operation, call.run, _changed_arguments(moment, word), call_id=call.pk)
        moment.rows.update(**made.columns())


def _reordered(moment: Moment, word: str) -> None:
    arguments = full_arguments(moment.rows.get())
    _arguments(moment, dict(reversed(arguments.items())))


def _edit(moment: Moment, word: str) -> None:
    """A person edits the arguments; refused once the task is decided, or where they do not fit."""
    body = {"draft": _changed_arguments(moment, word), "revision": 1}
    if moment.slug == "refund":
        body["draft"] = {"charge": f"changed-{word}", "amount": 901}
    answer = moment.world.decider.put(f"tasks/{moment.task_id}/draft", body)
    assert answer.status in (200, 409, 422), answer


def _foreign_credential(moment: Moment, word: str) -> None:
    """The sealed credential of another integration, put where ours was."""
    sealed = crypto.seal(b'{"type": "bearer", "token": "another"}', place="integration.auth:other")
    moment.integration.update(auth_sealed=sealed)


def _base(moment: Moment, word: str) -> str:
    return f"{moment.world.receiver.url}/ok/{word}"


KINDS: dict[str, Change] = {
    "arguments: one value": lambda m, w: _arguments(m, _changed_arguments(m, w)),
    "arguments: one more": lambda m, w: _arguments(m, {**ARGUMENTS[m.slug], f"more-{w}": w}),
    "arguments: order": _reordered,
    "arguments: edited by a person": _edit,
    "request: bytes": lambda m, w: _request(m, lambda data: data + w.encode(), digest=False),
    "request: bytes and digest": lambda m, w: _request(
        m, lambda data: data.replace(b"/ok/", b"/no/"), digest=True
    ),
    "request: digest": lambda m, w: m.rows.update(request_digest="sha256:" + w[:60]),
    "request: everything": _everything,
    "request: of another run": lambda m, w: m.rows.update(run_id=m.spare_run),
    "address: path": lambda m, w: m.operation.update(path=f"/ok/elsewhere/{w}"),
    "address: base path": lambda m, w: m.integration.update(base_url=_base(m, w)),
    "address: host": lambda m, w: m.integration.update(
        base_url=m.world.receiver.url.replace("127.0.0.1", "localhost")
    ),
    "address: port": lambda m, w: m.integration.update(base_url="http://127.0.0.1:9"),
    "address: scheme": lambda m, w: m.integration.update(
        base_url=m.world.receiver.url.replace("http:", "https:")
    ),
    "address: by an admin": lambda m, w: m.admin(path="/ok/elsewhere"),
    "address: base path by an admin": lambda m, w: m.admin_of_integration(
        base_url=f"{m.world.receiver.url}/ok/elsewhere"
    ),
    "headers: one more": lambda m, w: m.integration.update(default_headers={"X-Word": w}),
    "headers: content type": lambda m, w: m.integration.update(
        default_headers={"Content-Type": "text/plain"}
    ),
    "headers: by an admin": lambda m, w: m.admin_of_integration(default_headers={"X-Word": "x"}),
    "operation: method": lambda m, w: m.operation.update(method="PATCH"),
    "operation: effect": lambda m, w: m.operation.update(effect="read"),
    "operation: version": lambda m, w: m.operation.update(version=len(w) + 7),
    "operation: another": lambda m, w: m.rows.update(
        operation=Operation.objects.get(slug="send_receipt")
    ),
    "operation: by an admin": lambda m, w: m.admin(timeout_seconds=7 + len(w)),
    "credential: version": lambda m, w: m.integration.update(auth_version=len(w) + 7),
    "credential: type": lambda m, w: m.integration.update(auth_type="header", auth_name="X-Key"),
    "credential: of another": _foreign_credential,
    "credential: by an admin": lambda m, w: m.admin_of_integration(
        auth={"type": "bearer", "token": "another-token"}
    ),
    "schema: by an admin": lambda m, w: m.admin(
        parameters={"type": "object", "maxProperties": len(w) + 5}
    ),
    "policy: by an admin": lambda m, w: m.admin(
        approval={"allow_edit": True, "timeout_seconds": 60 + len(w)}
    ),
    "policy: quorum by an admin": lambda m, w: m.admin(approval={"allow_edit": True, "quorum": 2}),
    "policy: as the integration says": lambda m, w: m.operation.update(requires_approval=None),
    "policy: of the call": lambda m, w: m.rows.update(approval_required=False),
    "clearance: digest": lambda m, w: Clearance.objects.update(digest="sha256:" + w[:60]),
    "clearance: gone": lambda m, w: Clearance.objects.all().delete(),
    "nothing": lambda m, w: None,
}
SAME = {"policy: as the integration says", "policy: of the call", "nothing"}
"""After these the call that was decided on is the same, and runs."""

AFTER_DECISION = {"clearance: digest", "clearance: gone"}
"""These have nothing to change before the decision."""

BEFORE_DECISION = {"arguments: edited by a person"}
"""These are refused after the decision."""
