"""Integrations and operations: what an admin configures, whatever the way in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from accounts_app import crypto
from accounts_app.errors import Conflict, FieldError, Invalid, NotFound
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import Unit, unit_of_work
from integrations_app import requests
from integrations_app.addresses import literal_is_refused
from integrations_app.client import Origin
from integrations_app.models import Integration, Operation
from integrations_app.pointers import parse as parse_pointer
from integrations_app.policies import parse_policy
from integrations_app.schemas import check_schema
from integrations_app.services.hooks import hooks
from integrations_app.services.reviewing import fit_policy
from integrations_app.states import AuthType, Effect, IntegrationKind, Method

register_verbs(
    {
        "integration.created": "added the integration",
        "integration.changed": "changed the integration",
        "operation.created": "added the operation",
        "operation.changed": "changed the operation",
    }
)
AUTH_MEMBERS: dict[str, tuple[str, ...]] = {
    AuthType.NONE: (),
    AuthType.BEARER: ("token",),
    AuthType.BASIC: ("username", "password"),
    AuthType.HEADER: ("name", "value"),
}
MAX_TIMEOUT_SECONDS = 300
MAX_SECRET = 4_000
"""Characters of one member of a credential; more does not fit into a header."""

# Members whose change makes another request, or another question, of a waiting call.
BINDING = (
    "method",
    "path",
    "parameters",
    "effect",
    "requires_approval",
    "approval",
    "sensitive",
    "timeout_seconds",
)
TARGET = ("kind", "base_url", "auth_version", "default_headers", "requires_approval")


@dataclass(frozen=True, slots=True)
class IntegrationValues:
    """The members of `PUT integrations/{slug}`; `auth` None leaves the credential as it is."""

    name: str
    kind: str
    base_url: str = ""
    auth: Mapping[str, Any] | None = None
    default_headers: Mapping[str, str] = field(default_factory=dict)
    requires_approval: bool = False
    allow_private_network: bool = False
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class OperationValues:
    """The members of `PUT integrations/{slug}/operations/{slug}`."""

    name: str
    effect: str
    description: str = ""
    method: str = ""
    path: str = ""
    parameters: Any = None
    requires_approval: bool | None = None
    approval: Any = None
    sensitive: Any = None
    timeout_seconds: float = 30
    enabled: bool = True


def put_integration(
    actor: Actor, slug: str, values: IntegrationValues, *, must_be_new: bool = False
) -> tuple[Integration, bool]:
    """Create the integration or bring it to this state.

    Returns:
        The integration, and whether it is new.

    Raises:
        Conflict: `key_exists`, it is there and must be new.
        Invalid: an address, header or credential that cannot be; `private_address`;
            `credential_required` where the address moved without the credential given anew.
    """
    origin = _check_address(values)
    requests.check_headers(values.default_headers)
    auth = None if values.auth is None else _check_auth(values.auth)
    with unit_of_work() as unit:
        rows = Integration.objects.in_workspace(actor.workspace_id).select_for_update(no_key=True)
        present = rows.filter(slug=slug).first()
        if present is not None and must_be_new:
            raise Conflict(f"The integration {slug!r} exists.", code="key_exists")
        integration = present or Integration(
            workspace_id=actor.workspace_id, slug=slug, created_at=unit.now
        )
        if present is not None and auth is None and _has_moved(present, origin):
            text = "The scheme, host or port changed: give the credential anew."
            _refuse("auth", text, "credential_required")
        before = _target(present)
        enabled_before = present is None or present.enabled
        integration.name = values.name
        integration.kind = values.kind
        integration.base_url = values.base_url
        integration.default_headers = dict(values.default_headers)
        integration.requires_approval = values.requires_approval
        integration.allow_private_network = values.allow_private_network
        integration.enabled = values.enabled
        if auth is not None:
            _set_auth(integration, auth)
        integration.save()
        changed = [
            name for name, value in _target(integration).items() if before.get(name) != value
        ]
        _note_integration(unit, actor, integration, new=present is None, changed=changed)
        if present is not None and (changed or (enabled_before and not values.enabled)):
            _tell_operations(unit, actor, integration, changed if values.enabled else [])
    return integration, present is None


def _target(integration: Integration | None) -> dict[str, Any]:
    return {} if integration is None else {name: getattr(integration, name) for name in TARGET}


def _note_integration(
    unit: Unit, actor: Actor, integration: Integration, *, new: bool, changed: list[str]
) -> None:
    verb = "integration.created" if new else "integration.changed"
    facts = {
        "changed": changed,
        "enabled": integration.enabled,
        "allow_private_network": integration.allow_private_network,
    }
    unit.audit(actor, verb, ("integration", integration.pk, integration.slug), facts)


def _tell_operations(
    unit: Unit, actor: Actor, integration: Integration, changed: list[str]
) -> None:
    for operation in integration.operations.select_related("integration").order_by("pk"):
        hooks.operation_changed(unit, actor, operation, changed)


def _check_address(values: IntegrationValues) -> Origin | None:
    if values.kind == IntegrationKind.CLIENT and not values.base_url:
        return None
    if not values.base_url:
        _refuse("base_url", "An http integration needs a base URL.", "required")
    try:
        origin = Origin.of(values.base_url)
    except ValueError as error:
        raise Invalid([FieldError("base_url", "invalid_value", str(error))]) from error
    requests.check_base_url(values.base_url)
    if literal_is_refused(origin.host, allow_private=values.allow_private_network):
        text = "Leads to a private address; allow private network addresses where that is meant."
        _refuse("base_url", text, "private_address")
    return origin


def _check_auth(auth: Mapping[str, Any]) -> dict[str, str]:
    kind = auth.get("type")
    if not isinstance(kind, str) or kind not in AUTH_MEMBERS:
        _refuse("auth.type", f"Choose from {', '.join(AUTH_MEMBERS)}.")
    members = AUTH_MEMBERS[kind]
    for name in auth.keys() - {"type", *members}:
        _refuse(f"auth.{name}", f"Not a member of {kind}.", "unknown_field")
    for name in members:
        value = auth.get(name)
        if not isinstance(value, str) or not value:
            _refuse(f"auth.{name}", "Must be a text that is not blank.", "required")
        if len(value) > MAX_SECRET:
            _refuse(f"auth.{name}", f"At most {MAX_SECRET} characters.", "too_long")
        if not value.isascii() or not value.isprintable():
            _refuse(f"auth.{name}", "Must be printable ASCII.")
    if kind == AuthType.BASIC and ":" in auth["username"]:
        _refuse("auth.username", "Must not contain a colon (RFC 7617).")
    if kind == AuthType.HEADER:
        _check_auth_header(auth["name"], auth["value"])
    return {name: str(auth[name]) for name in ("type", *members)}


def _check_auth_header(name: str, value: str) -> None:
    if name.lower() != "authorization":
        try:
            requests.check_headers({name: value})
        except Invalid as error:
            detail = error.errors[0].detail
            raise Invalid([FieldError("auth.name", "invalid_value", detail)]) from error


def _has_moved(present: Integration, origin: Origin | None) -> bool:
    if present.auth_type == AuthType.NONE or not present.base_url:
        return False
    return origin is None or Origin.of(present.base_url) != origin


def _set_auth(integration: Integration, auth: dict[str, str]) -> None:
    integration.auth_type = auth["type"]
    integration.auth_name = auth.get("name", auth.get("username", ""))
    integration.auth_version += 1
    integration.auth_sealed = (
        crypto.seal(json.dumps(auth).encode(), place=auth_place(integration))
        if auth["type"] != AuthType.NONE
        else None
    )


def auth_place(integration: Integration) -> str:
    """Where the credential's ciphertext belongs."""
    return f"integration.auth:{integration.pk}"


def put_operation(
    actor: Actor,
    integration: Integration,
    slug: str,
    values: OperationValues,
    *,
    expected_version: int | None = None,
) -> tuple[Operation, bool]:
    """Create the operation or bring it to this state; a binding change raises its version.

    Args:
        actor: who does it.
        integration: its integration.
        slug: its name there.
        values: what it shall be.
        expected_version: what the editor looked at; 0 for one that must be new.

    Returns:
        The operation, and whether it is new.

    Raises:
        Invalid: naming the member and what would be right.
        Conflict: `key_exists` or `stale_version`, it is not at the expected version.
    """
    checked = _check_operation(integration, values)
    with unit_of_work() as unit:
        rows = Operation.objects.filter(integration=integration).select_for_update(no_key=True)
        present = rows.filter(slug=slug).first()
        _check_version(present, slug, expected_version)
        operation = present or Operation(
            workspace_id=actor.workspace_id,
            integration=integration,
            slug=slug,
            created_at=unit.now,
        )
        changed = [
            name
            for name in BINDING
            if present is not None and getattr(present, name) != checked[name]
        ]
        disabled = present is not None and present.enabled and not values.enabled
        for name, value in checked.items():
            setattr(operation, name, value)
        if changed:
            operation.version += 1
        operation.save()
        verb = "operation.created" if present is None else "operation.changed"
        facts = {"changed": changed, "version": operation.version, "enabled": operation.enabled}
        unit.audit(actor, verb, ("operation", operation.pk, operation.reference), facts)
        if changed or disabled:
            hooks.operation_changed(unit, actor, operation, [] if disabled else changed)
    return operation, present is None


def sketch_operation(
    actor: Actor, integration: Integration, slug: str, values: OperationValues
) -> Operation:
    """The operation as these values would make it, stored nowhere.

    Raises:
        Invalid: naming the member and what would be right.
    """
    checked = _check_operation(integration, values)
    return Operation(workspace_id=actor.workspace_id, integration=integration, slug=slug, **checked)


def _check_version(present: Operation | None, slug: str, expected: int | None) -> None:
    """Refuse an editor that looked at something else than what is there now."""
    version = 0 if present is None else present.version
    if expected is None or version == expected:
        return
    if expected == 0:
        raise Conflict(f"The operation {slug!r} exists.", code="key_exists")
    text = f"Somebody changed the operation meanwhile: it is at version {version}."
    raise Conflict(text, code="stale_version")


def _check_operation(integration: Integration, values: OperationValues) -> dict[str, Any]:
    if values.effect not in Effect.values:
        _refuse("effect", f"Choose from {', '.join(Effect.values)}.")
    if integration.kind == IntegrationKind.HTTP or values.method or values.path:
        if values.method not in Method.values:
            _refuse("method", f"Choose from {', '.join(Method.values)}.")
        requests.check_path(values.path)
    if not 0 < values.timeout_seconds <= MAX_TIMEOUT_SECONDS:
        _refuse("timeout_seconds", f"Must be above 0 and at most {MAX_TIMEOUT_SECONDS} seconds.")
    parameters = {"type": "object"} if values.parameters is None else values.parameters
    check_schema(parameters)
    policy = parse_policy(values.approval, effect=values.effect)
    return {
        "name": values.name,
        "description": values.description,
        "method": values.method,
        "path": values.path,
        "parameters": parameters,
        "effect": values.effect,
        "requires_approval": values.requires_approval,
        "approval": fit_policy(integration.workspace_id, policy).as_json(),
        "sensitive": _check_pointers(values.sensitive),
        "timeout_seconds": values.timeout_seconds,
        "enabled": values.enabled,
    }


def _check_pointers(raw: Any) -> list[str]:
    if raw is None:
        return []
    if not isinstance(raw, list):
        _refuse("sensitive", "Must be a list of JSON pointers.")
    for index, pointer in enumerate(raw):
        try:
            if not isinstance(pointer, str) or not parse_pointer(pointer):
                raise ValueError("It is empty or no text.")
        except ValueError as error:
            _refuse(f"sensitive.{index}", f"Must be a JSON pointer like /card/number. {error}")
    return list(raw)


def get_integration(actor: Actor, slug: str) -> Integration:
    """One visible integration.

    Raises:
        NotFound: not there, or not visible.
    """
    row = Integration.objects.visible_to(actor).filter(slug=slug).first()
    if row is None:
        raise NotFound("There is no such integration.")
    return row


def get_operation(actor: Actor, integration: str, operation: str) -> Operation:
    """One visible operation.

    Raises:
        NotFound: not there, or not visible.
    """
    rows = Operation.objects.visible_to(actor).select_related("integration")
    row = rows.filter(integration__slug=integration, slug=operation).first()
    if row is None:
        raise NotFound("There is no such operation.")
    return row


def _refuse(field: str, detail: str, code: str = "invalid_value") -> NoReturn:
    raise Invalid([FieldError(field, code, detail)])
