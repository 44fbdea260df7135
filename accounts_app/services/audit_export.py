"""The audit log as a file: streamed, capped, written down, and safe to open in a spreadsheet."""

import csv
import datetime as dt
import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

from accounts_app.models import AuditEntry
from accounts_app.scoping import Actor
from accounts_app.selectors import AuditFilter, audit_entries
from accounts_app.services.audit import CHAINED, register_verbs
from accounts_app.services.unit import unit_of_work
from accounts_app.states import Permission

register_verbs({"audit.exported": "exported the audit log", "audit.verified": "verified the log"})

MAX_ROWS = 100_000
FORMATS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
COLUMNS = (*CHAINED, "hash")
# A spreadsheet takes a cell that begins so for a formula, full-width signs included.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def export_audit(actor: Actor, wanted: AuditFilter, kind: str) -> Iterator[str]:
    """The entries, oldest first, as parts of a file; at most 100,000.

    The export is written down before its first row leaves.

    Args:
        actor: who exports.
        wanted: which entries.
        kind: csv or jsonl.

    Raises:
        Forbidden: the actor may not export.
    """
    actor.require(Permission.EXPORT_AUDIT)
    facts: dict[str, Any] = {"format": kind, "most": MAX_ROWS} | {
        name: str(value) for name in AuditFilter.__slots__ if (value := getattr(wanted, name))
    }
    with unit_of_work() as unit:
        unit.audit(actor, "audit.exported", ("workspace", actor.workspace_id, "audit log"), facts)
    rows = audit_entries(actor, wanted).order_by("sequence")[:MAX_ROWS]
    found = rows.iterator(chunk_size=1000)
    return _csv(found) if kind == "csv" else _lines(found)


def _lines(rows: Iterator[AuditEntry]) -> Iterator[str]:
    for row in rows:
        yield json.dumps({**_shown(row), "data": row.facts}, ensure_ascii=False) + "\n"


def _csv(rows: Iterator[AuditEntry]) -> Iterator[str]:
    yield _line(COLUMNS)
    for row in rows:
        yield _line([harmless(str(value)) for value in _shown(row).values()])


def _shown(row: AuditEntry) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in COLUMNS}
    at: dt.datetime = found["at"]
    found["at"] = at.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {name: value if isinstance(value, int) else str(value) for name, value in found.items()}


def _line(cells: Any) -> str:
    buffer = StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerow(cells)
    return buffer.getvalue()


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell
