"""A service's answer as the agent gets it: parsed strictly, bounded, its echoes masked (pure)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accounts_app import strict_json
from accounts_app.errors import DomainError
from integrations_app.client import OutboundAnswer

MASK = "•••"
MAX_HEADER = 2_000
HIDDEN_HEADERS = frozenset({"set-cookie", "set-cookie2", "www-authenticate", "authorization"})
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class MaskedAnswer:
    """The member `result` of a tool call."""

    result: dict[str, Any]


def read_answer(answer: OutboundAnswer, secrets: Sequence[str]) -> MaskedAnswer:
    """Turn an answer into what may be stored and shown.

    Args:
        answer: what came back.
        secrets: every text that must not be in it.
    """
    text = _mask(answer.body.decode("utf-8", errors="replace"), secrets)
    headers: dict[str, str] = {}
    for name, value in answer.headers:
        lower = name.lower()
        if lower not in HIDDEN_HEADERS:
            joined = f"{headers[lower]}, {value}" if lower in headers else value
            headers[lower] = _storable(_mask(joined, secrets))[:MAX_HEADER]
    result: dict[str, Any] = {
        "status_code": answer.status_code,
        "headers": headers,
        "body": _body(text, headers.get("content-type", ""), truncated=answer.truncated),
    }
    if answer.truncated:
        result["truncated"] = True
    return MaskedAnswer(result)


def _body(text: str, content_type: str, *, truncated: bool) -> Any:
    if not text:
        return None
    if not truncated and "json" in content_type.lower():
        try:
            return strict_json.loads(text.encode())
        except DomainError:
            return _storable(text)
    return _storable(text)


def _mask(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, MASK)
    return text


def _storable(text: str) -> str:
    return _UNSTORABLE.sub("�", text)
