"""The rows of the fake server: the contract's objects themselves, in dictionaries."""

import copy
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from assent_client.testing.operations import Operation
from assent_client.testing.refusals import Refused, invalid

Row = dict[str, Any]
CALL_OPEN = ("awaiting_review", "awaiting_approval", "queued", "executing")
RUN_OPEN = ("running", "waiting")


@dataclass(frozen=True)
class Caller:
    """Who asks: what is known of a key."""

    name: str
    scopes: frozenset[str]
    agent: str | None

    def require(self, *scopes: str) -> None:
        """Refuse a key that has none of these scopes.

        Raises:
            Refused: `insufficient_scope`.
        """
        if not self.scopes & set(scopes):
            raise Refused("insufficient_scope", f"This needs the scope {' or '.join(scopes)}.")

    def as_json(self) -> Row:
        return {"type": "api_key", "id": self.name, "name": self.name}


SYSTEM = {"type": "system", "id": "assent", "name": "Assent"}


@dataclass
class Store:
    """Everything that the fake knows."""

    sessions: dict[str, Row] = field(default_factory=dict)
    runs: dict[str, Row] = field(default_factory=dict)
    calls: dict[str, Row] = field(default_factory=dict)
    tasks: dict[str, Row] = field(default_factory=dict)
    messages: dict[str, Row] = field(default_factory=dict)
    events: list[Row] = field(default_factory=list)
    operations: dict[str, Operation] = field(default_factory=dict)
    agents: dict[str, bool] = field(default_factory=dict)
    people: dict[str, frozenset[str]] = field(default_factory=dict)
    keys: dict[tuple[str, str, str], tuple[Any, str]] = field(default_factory=dict)
    moved: timedelta = timedelta()
    blocks: dict[str, str] = field(default_factory=dict)

    def now(self) -> datetime:
        """The fake's clock, which only `let_pass` moves beside the real one."""
        return datetime.now(timezone.utc) + self.moved

    def stamp(self, moment: datetime | None = None) -> str:
        """A time as the contract writes it."""
        text = (moment or self.now()).isoformat(timespec="microseconds")
        return text.replace("+00:00", "Z")

    def find(self, rows: Mapping[str, Row], identity: str, caller: Caller) -> Row:
        """One row that this key may see.

        Raises:
            Refused: `not_found`.
        """
        row = rows.get(identity)
        if row is None or caller.agent not in (None, row["agent"]):
            raise Refused("not_found", "Not found.")
        return row

    def refer(self, rows: Mapping[str, Row], identity: Any, field: str, caller: Caller) -> Row:
        """One row that a body names.

        Raises:
            Refused: `not_found` on that field.
        """
        row = rows.get(identity) if isinstance(identity, str) else None
        if row is None or caller.agent not in (None, row["agent"]):
            raise invalid(field, "There is no such object.", "not_found")
        return row

    def check_agent(self, slug: Any, caller: Caller) -> str:
        """The agent that a body names.

        Raises:
            Refused: there is none, or the key is bound to another one.
        """
        if slug not in self.agents:
            raise invalid("agent", f"There is no agent {slug!r}.", "not_found")
        if caller.agent not in (None, slug):
            raise Refused("wrong_agent", "This key is bound to another agent.")
        return str(slug)

    def known(self, kind: str, agent: str, key: str | None, body: Any) -> str | None:
        """The id of the object that this natural key made, if any.

        Raises:
            Refused: `idempotency_mismatch`, it was made from another body.
        """
        if key is None or (kind, agent, key) not in self.keys:
            return None
        first, identity = self.keys[kind, agent, key]
        if first != normal(body):
            detail = f"The key {key!r} was used with another body."
            raise Refused("idempotency_mismatch", detail, existing=identity)
        return identity

    def remember(self, kind: str, agent: str, key: str | None, body: Any, identity: str) -> None:
        """Keep what a natural key made, for ever."""
        if key is not None:
            self.keys[kind, agent, key] = (normal(body), identity)

    def note(self, kind: str, row: Mapping[str, Any], by: Mapping[str, Any], **data: Any) -> None:
        """Write an event of a task."""
        event = {"id": new_id(), "type": kind, "at": self.stamp(), "actor": by}
        self.events.append({**event, "task": row["id"], "data": data})

    def settle(self, run_id: str) -> None:
        """A run waits exactly while a blocking task or a call of it is open."""
        run = self.runs[run_id]
        if run["status"] not in RUN_OPEN:
            return
        run["waiting_on"] = {
            "tasks": [row["id"] for row in of_run(self.tasks.values(), run_id) if is_pending(row)],
            "tool_calls": [
                row["id"]
                for row in of_run(self.calls.values(), run_id)
                if row["status"] in CALL_OPEN
            ],
        }
        run["status"] = "waiting" if any(run["waiting_on"].values()) else "running"


def new_id() -> str:
    return str(uuid.uuid4())


def normal(body: Any) -> str:
    """A body as text, to tell whether two are the same."""
    return json.dumps(body, sort_keys=True)


def shown(row: Mapping[str, Any]) -> Row:
    """A copy of a row without what is private to the fake."""
    return {name: copy.deepcopy(row[name]) for name in row if not name.startswith("_")}


def of_run(rows: Iterable[Row], run_id: str) -> list[Row]:
    return [row for row in rows if row["run"] == run_id]


def is_pending(row: Row) -> bool:
    return bool(row["status"] == "pending")


def url(kind: str, identity: str) -> str:
    return f"http://assent.test/admin/review/{kind}/{identity}/"
