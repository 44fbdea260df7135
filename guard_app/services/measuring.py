"""What is kept of a call's arguments for counting and learning: numbers and keyed digests."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.utils.crypto import salted_hmac

from accounts_app.strict_json import canonical
from guard_app.facts import is_sensitive, measure
from guard_app.models import GuardRule, Measure
from integrations_app.models import ToolCall
from integrations_app.pointers import build, exists, get

MOST = 24
DEEPEST = 4


def watched_pointers(rules: Iterable[GuardRule]) -> list[str]:
    """The arguments that rules name; those are measured first."""
    named = [rule.parameters.get("argument") for rule in rules if isinstance(rule.parameters, dict)]
    return list(dict.fromkeys(name for name in named if isinstance(name, str) and name[:1] == "/"))


def measures_of(
    call: ToolCall, arguments: Mapping[str, Any], watched: Iterable[str]
) -> list[Measure]:
    """The rows to keep, unsaved; what rules name comes before what is merely there."""
    pointers = [pointer for pointer in watched if exists(arguments, pointer)]
    pointers += _scalars(arguments)
    session = call.run.session
    rows = []
    for pointer in list(dict.fromkeys(pointers))[:MOST]:
        if len(pointer) > 200:
            continue
        value = get(arguments, pointer)
        hidden = is_sensitive(pointer, call.operation.sensitive)
        rows.append(
            Measure(
                workspace_id=call.workspace_id,
                call=call,
                agent_id=call.agent_id,
                operation_id=call.operation_id,
                run_id=call.run_id,
                session_id=session.pk,
                participant=session.participant.casefold()[:254],
                at=call.created_at,
                pointer=pointer,
                number=None if hidden else measure(value),
                digest=value_digest(call, arguments, pointer),
            )
        )
    return rows


def value_digest(call: ToolCall, arguments: Mapping[str, Any], pointer: str) -> str:
    """A digest that tells equal values, and from which nobody guesses what they are."""
    return digest_of(call.workspace_id, canonical({"value": get(arguments, pointer)}))


def digest_of(workspace_id: UUID, text: str) -> str:
    """The keyed digest of a value's canonical JSON."""
    salt = f"assent.measure:{workspace_id}"
    return salted_hmac(salt, text, algorithm="sha256").hexdigest()[:32]


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
