"""What will be sent, rendered from the stored bytes and from nothing else (promise 3)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from accounts_app import strict_json
from accounts_app.crypto import Unreadable
from accounts_app.errors import ParseError
from integrations_app import pointers
from integrations_app.models import Operation, ToolCall
from integrations_app.requests import FrozenRequest
from integrations_app.services.freezing import thaw
from integrations_app.states import CALL_OPEN, CallStatus, Effect, IntegrationKind
from tasks_app.admin.arguments import Row, rows_of
from tasks_app.admin.text import NOTHING, Shown, shown, visible

ROWS_FOLD = "rows"
OPEN_ROWS = 14  # as many arguments as a card shows without a fold
_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class RequestShown:
    """The zone “What will be sent” of a card.

    Args:
        zone: its title, by where the call stands.
        method: empty where the agent runs the call itself.
        origin: scheme, host and port.
        path: path and query, percent-encoded as sent; sensitive parts masked.
        rows: the arguments that stand in the card.
        folded_rows: further arguments, behind a fold.
        headers: names and values, without the credential.
        credential: which one is added when sending; never its value.
        body: the exact body, visible; empty where there is none or something in it is masked.
        size: of the body, in bytes.
        effect: what doing it twice would mean.
        has_masked: whether something can be revealed.
        problem: why the stored request cannot be shown; nothing may run then.
        unfolds_rows: arguments stand here that a card in a queue has behind a fold.
    """

    operation: str
    title: str
    zone: str = ""
    method: str = ""
    origin: str = ""
    path: str = ""
    rows: Sequence[Row] = ()
    folded_rows: Sequence[Row] = ()
    headers: Sequence[tuple[str, str]] = ()
    credential: str = ""
    body: Shown = NOTHING
    size: int = 0
    effect: str = ""
    effect_label: str = ""
    digest: str = ""
    runs_at_agent: bool = False
    has_masked: bool = False
    problem: str = ""
    unfolds_rows: bool = False

    @property
    def value_folds(self) -> frozenset[str]:
        """The names of the folds that hide a part of a value."""
        return frozenset(row.fold for row in (*self.rows, *self.folded_rows) if row.fold)

    @property
    def folds(self) -> frozenset[str]:
        """The names of all folds: each is opened before anything here is let through."""
        return self.value_folds | ({ROWS_FOLD} if self.folded_rows else set())


def request_of(call: ToolCall, *, mask: Sequence[str], everything: bool = False) -> RequestShown:
    """Render the request of a call.

    Args:
        call: with its operation and integration.
        mask: pointers of the arguments to mask; `[""]` masks all of them.
        everything: fold no rows, for the page of one task.
    """
    operation = call.operation
    title = f"{operation.integration.name}: {operation.name}"
    try:
        frozen = thaw(call)
        arguments = _arguments(frozen, operation)
    except (Unreadable, ValueError, ParseError):
        problem = "The stored request cannot be read, or is not what its digest says."
        zone = _zone(CallStatus(call.status), operation)
        return RequestShown(operation.reference, title, zone, problem=problem)
    rows = rows_of(arguments, operation.parameters, mask)
    masked = any(row.kind == "masked" for row in rows)
    split = len(rows) if everything or len(rows) <= OPEN_ROWS + 2 else OPEN_ROWS
    origin, path = _address(frozen, operation, mask)
    return RequestShown(
        operation=operation.reference,
        title=title,
        zone=_zone(CallStatus(call.status), operation),
        method=frozen.method,
        origin=origin,
        path=path,
        rows=rows[:split],
        folded_rows=rows[split:],
        headers=[(name, visible(value)) for name, value in frozen.headers],
        credential=_credential(frozen),
        body=NOTHING if masked else shown(frozen.body.decode("utf-8", "replace")),
        size=len(frozen.body),
        effect=frozen.effect,
        effect_label=Effect(frozen.effect).label,
        digest=call.request_digest,
        runs_at_agent=operation.integration.kind == IntegrationKind.CLIENT,
        has_masked=masked,
        unfolds_rows=everything and len(rows) > OPEN_ROWS + 2,
    )


def _zone(status: CallStatus, operation: Operation) -> str:
    """What the request is to its reader; that of a call which ended is not still to come."""
    at_agent = operation.integration.kind == IntegrationKind.CLIENT
    if status == CallStatus.EXECUTING:
        return "What the agent runs itself" if at_agent else "What is being sent"
    if status in CALL_OPEN:
        return "What the agent will run itself" if at_agent else "What will be sent"
    if status == CallStatus.SUCCEEDED:
        return "What the agent ran itself" if at_agent else "What was sent"
    if status == CallStatus.UNKNOWN:
        return "What was begun, with an unknown outcome"
    return "What was asked for"


def _arguments(frozen: FrozenRequest, operation: Operation) -> dict[str, Any]:
    """The arguments as they stand in the bytes: in the path, in the query, in the body."""
    arguments: dict[str, Any] = {}
    for name, text in _path_values(frozen, operation).items():
        arguments[name] = _typed(text, operation, name)
    for name, text in parse_qsl(urlsplit(frozen.url).query, keep_blank_values=True):
        before, value = arguments.get(name), _typed(text, operation, name)
        if before is None:
            arguments[name] = value
        else:
            arguments[name] = [*(before if isinstance(before, list) else [before]), value]
    if frozen.body:
        body = strict_json.loads(frozen.body)
        if not isinstance(body, dict):
            raise ValueError("A body is an object.")
        arguments.update(body)
    return arguments


def _typed(text: str, operation: Operation, name: str) -> Any:
    """What stands in an address as text, as the kind of value that the schema says it is."""
    part = operation.parameters.get("properties", {}).get(name, {})
    if not isinstance(part, dict) or part.get("type") not in ("integer", "number", "boolean"):
        return text
    try:
        return strict_json.loads(text.encode())
    except ParseError:
        return text


def _path_values(frozen: FrozenRequest, operation: Operation) -> dict[str, str]:
    """What stands in the places of the path's `{names}`, decoded."""
    match = _path_match(frozen, operation)
    return {name: unquote(value) for name, value in match.groupdict().items()} if match else {}


def _path_match(frozen: FrozenRequest, operation: Operation) -> re.Match[str] | None:
    if not _NAME.search(operation.path):
        return None
    seen: set[str] = set()
    pattern = ""
    for index, part in enumerate(_NAME.split(operation.path)):
        if index % 2 == 0:
            pattern += re.escape(part)
        else:
            pattern += f"(?P={part})" if part in seen else f"(?P<{part}>[^/]+?)"
            seen.add(part)
    return re.search(rf"{pattern}\Z", urlsplit(frozen.url).path)


def _address(frozen: FrozenRequest, operation: Operation, mask: Sequence[str]) -> tuple[str, str]:
    """Origin, and path with query; a part that holds a masked argument is masked whole."""
    parts = urlsplit(frozen.url)
    origin = f"{parts.scheme}://{parts.netloc}" if frozen.url else ""
    secret = {tokens[0] for pointer in mask if (tokens := pointers.parse(pointer))}
    if "" in mask:
        secret |= set(_arguments(frozen, operation))
    path = parts.path
    in_template = set(_NAME.findall(operation.path))
    match = _path_match(frozen, operation)
    if secret & in_template:
        path = _masked_path(match, path, secret) if match else f"/{pointers.MASK}"
    elif in_template and "" in mask:
        path = f"/{pointers.MASK}"
    query = "&".join(
        f"{quote(name, safe='')}={pointers.MASK if name in secret else quote(value, safe='')}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    return origin, f"{path}?{query}" if query else path


def _masked_path(match: re.Match[str], path: str, secret: set[str]) -> str:
    names = [name for name in match.groupdict() if name in secret]
    for start, end in sorted((match.span(name) for name in names), reverse=True):
        path = f"{path[:start]}{pointers.MASK}{path[end:]}"
    return path


def _credential(frozen: FrozenRequest) -> str:
    """Which credential the executor adds, in words."""
    kind, _, rest = frozen.credential.partition(":")
    name = rest.rpartition(":")[0]
    words = {
        "none": "none",
        "bearer": "a bearer token",
        "basic": "a user name and password",
        "header": f"the header {name}",
    }
    return words.get(kind, kind)
