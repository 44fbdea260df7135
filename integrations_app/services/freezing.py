"""A call's request: built once as canonical bytes, and again to see whether it still holds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from accounts_app import crypto, strict_json
from accounts_app.errors import FieldError, Invalid
from integrations_app import requests
from integrations_app.models import Operation, Run, ToolCall
from integrations_app.pointers import mask
from integrations_app.requests import FrozenRequest
from integrations_app.states import IntegrationKind


@dataclass(frozen=True, slots=True)
class Frozen:
    """What a call stores about its request."""

    arguments: dict[str, Any]
    arguments_sealed: bytes
    arguments_digest: str
    request_sealed: bytes
    request_digest: str
    operation_version: int

    def columns(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def build_request(
    operation: Operation, run: Run, arguments: Mapping[str, Any], *, call_id: UUID
) -> FrozenRequest:
    """The request as operation and integration stand now.

    Raises:
        Invalid: the arguments cannot be placed into path, query or body.
    """
    integration = operation.integration
    binding: dict[str, Any] = {
        "operation": operation.reference,
        "operation_version": operation.version,
        "credential": f"{integration.auth_type}:{integration.auth_name}:{integration.auth_version}",
        "effect": operation.effect,
        "workspace": str(run.workspace_id),
        "run": str(run.pk),
        "session": str(run.session_id),
        "idempotency_key": str(call_id),
    }
    if integration.kind == IntegrationKind.CLIENT:
        body = json.dumps(arguments, ensure_ascii=False, separators=(",", ":")).encode()
        return FrozenRequest(method="", url="", headers=(), body=body, **binding)
    return requests.build(
        base_url=integration.base_url,
        method=operation.method,
        path=operation.path,
        arguments=dict(arguments),
        default_headers=integration.default_headers,
        **binding,
    )


def freeze(
    operation: Operation,
    run: Run,
    arguments: Mapping[str, Any],
    *,
    call_id: UUID,
    field: str = "/arguments",
) -> Frozen:
    """Build the request and everything that the call keeps of it.

    Args:
        operation: what is to be performed.
        run: whose call it is.
        arguments: unmasked, and as the operation's schema wants them.
        call_id: of the call.
        field: the pointer of the body's member that the arguments came in.

    Raises:
        Invalid: the arguments cannot be placed.
    """
    try:
        built = build_request(operation, run, arguments, call_id=call_id)
        request = requests.canonical_bytes(built)
    except Invalid as refusal:
        raise Invalid([_below(field, error) for error in refusal.errors]) from refusal
    text = json.dumps(arguments, ensure_ascii=False, separators=(",", ":")).encode()
    return Frozen(
        arguments=mask(dict(arguments), operation.sensitive),
        arguments_sealed=crypto.seal(text, place=f"tool_call.arguments:{call_id}"),
        arguments_digest=requests.arguments_digest(dict(arguments)),
        request_sealed=crypto.seal(request, place=f"tool_call.request:{call_id}"),
        request_digest=requests.digest(request),
        operation_version=operation.version,
    )


def thaw(call: ToolCall) -> FrozenRequest:
    """The request that was shown and decided on, from its stored bytes.

    Raises:
        Unreadable: altered, or its key is gone.
        ValueError: the bytes are not what their digest says.
    """
    if call.request_sealed is None:
        raise ValueError(f"The call {call.pk} has no request.")
    data = crypto.unseal(call.request_sealed, place=f"tool_call.request:{call.pk}")
    if requests.digest(data) != call.request_digest:
        raise ValueError(f"The request of call {call.pk} does not fit its digest.")
    return requests.parse_bytes(data)


def full_arguments(call: ToolCall) -> dict[str, Any]:
    """The call's arguments unmasked; never for lists, summaries or logs.

    Raises:
        Unreadable: altered, or its key is gone.
    """
    plain = crypto.unseal(call.arguments_sealed, place=f"tool_call.arguments:{call.pk}")
    arguments: dict[str, Any] = strict_json.loads(plain)
    return arguments


def still_holds(call: ToolCall, operation: Operation) -> bool:
    """Whether the request built now would be the one that was recorded."""
    built = build_request(operation, call.run, full_arguments(call), call_id=call.pk)
    return requests.digest(requests.canonical_bytes(built)) == call.request_digest


def _below(field: str, error: FieldError) -> FieldError:
    """A fault of the arguments, from the root of the body."""
    if error.field and not error.field.startswith("/"):
        return error
    return replace(error, field=f"{field}{error.field}")
