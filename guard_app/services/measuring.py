"""What is kept of a call's arguments for counting and learning: numbers and keyed digests."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection

from accounts_app.models import new_id
from accounts_app.statements import places
from accounts_app.strict_json import canonical
from guard_app.facts import is_sensitive, measure
from guard_app.models import GuardRule, Measure
from integrations_app.models import ToolCall
from integrations_app.pointers import build, exists, get

MOST = 24
DEEPEST = 4
_ID, *_SHARED = Measure._meta.concrete_fields[:-3]
COLUMNS: Final = ", ".join(f'"{field.column}"' for field in Measure._meta.concrete_fields)
"""Of a `Measure`: its id, what it shares with others of its call, pointer, number, digest."""


def watched_pointers(rules: Iterable[GuardRule]) -> tuple[str, ...]:
    """The arguments that rules name, each once."""
    named = [rule.parameters.get("argument") for rule in rules if isinstance(rule.parameters, dict)]
    return tuple(dict.fromkeys(name for name in named if isinstance(name, str) and name[:1] == "/"))


def measure_call(call: ToolCall, arguments: Mapping[str, Any], watched: Iterable[str]) -> None:
    """Write down what is kept of a call, by hand, as every call does it.

    Args:
        call: not measured yet.
        arguments: in full.
        watched: what rules name; it comes before what is merely there.
    """
    rows = measures_of(call, arguments, watched)
    if not rows:
        return
    source, values = _unnested(rows) if connection.vendor == "postgresql" else _listed(rows)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {Measure._meta.db_table} ({COLUMNS}) {source}", values)


def _unnested(rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """Rows as one statement has them however many they are, with few parameters."""
    shared = rows[0][1:-3]
    ids, *_, pointers, numbers, digests = map(list, zip(*rows, strict=True))
    own = (
        "unnest(%s::uuid[], %s::text[], %s::float8[], %s::text[]) AS own (id, place, number, hash)"
    )
    source = f"SELECT own.id, {places(shared)}, own.place, own.number, own.hash FROM {own}"  # noqa: S608
    return source, [*shared, ids, pointers, numbers, digests]


def _listed(rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    listed = ", ".join(f"({places(row)})" for row in rows)
    return f"VALUES {listed}", [value for row in rows for value in row]


def measures_of(
    call: ToolCall, arguments: Mapping[str, Any], watched: Iterable[str]
) -> list[list[Any]]:
    """The rows to keep, as `COLUMNS` has them; what rules name comes before what is there."""
    pointers = [pointer for pointer in watched if exists(arguments, pointer)]
    pointers += _scalars(arguments)
    shared = _shared(call)
    rows: list[list[Any]] = []
    for pointer in list(dict.fromkeys(pointers))[:MOST]:
        if len(pointer) > 200:
            continue
        value = get(arguments, pointer)
        hidden = is_sensitive(pointer, call.operation.sensitive)
        number = None if hidden else measure(value)
        digest = value_digest(call, arguments, pointer)
        rows.append([_ID.get_db_prep_save(new_id(), connection), *shared, pointer, number, digest])
    return rows


def _shared(call: ToolCall) -> list[Any]:
    """What all rows of a call have, as the database takes it."""
    session = call.run.session
    row = Measure(
        workspace_id=call.workspace_id,
        call_id=call.pk,
        agent_id=call.agent_id,
        operation_id=call.operation_id,
        run_id=call.run_id,
        session_id=session.pk,
        participant=session.participant.casefold()[:254],
        at=call.created_at,
    )
    return [field.get_db_prep_save(getattr(row, field.attname), connection) for field in _SHARED]


def value_digest(call: ToolCall, arguments: Mapping[str, Any], pointer: str) -> str:
    """A digest that tells equal values, and from which nobody guesses what they are."""
    return digest_of(call.workspace_id, canonical({"value": get(arguments, pointer)}))


def digest_of(workspace_id: UUID, text: str) -> str:
    """The keyed digest of a value's canonical JSON."""
    return hmac.digest(_key(workspace_id, settings.SECRET_KEY), text.encode(), "sha256").hex()[:32]


@lru_cache(maxsize=64)
def _key(workspace_id: UUID, secret: str) -> bytes:
    """The key, derived as `django.utils.crypto.salted_hmac` does it."""
    return hashlib.sha256(f"assent.measure:{workspace_id}{secret}".encode()).digest()


def _scalars(arguments: Mapping[str, Any]) -> list[str]:
    """Pointers to texts and numbers, and to lists for their size, nearest to the top first."""
    found: list[str] = []
    layer: list[tuple[tuple[str | int, ...], Any]] = [((), arguments)]
    for _ in range(DEEPEST):
        below: list[tuple[tuple[str | int, ...], Any]] = []
        for steps, value in layer:
            if isinstance(value, Mapping):
                below += [((*steps, name), item) for name, item in value.items()]
            elif steps and not isinstance(value, bool) and value is not None:
                found.append(build(steps))
        if len(found) >= MOST:
            break
        layer = below
    return found
