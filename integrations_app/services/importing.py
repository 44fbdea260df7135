"""Operations taken over from an OpenAPI document, in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from accounts_app.errors import FieldError, Invalid
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import unit_of_work
from integrations_app import openapi
from integrations_app.models import Integration, Operation
from integrations_app.openapi import Found, Place, Skipped
from integrations_app.openapi_schemas import NotExpressible
from integrations_app.services.catalogue import OperationValues, put_operation

register_verbs({"integration.imported": "imported operations into the integration"})


@dataclass(slots=True)
class Imported:
    """What became of a document; `created` and `updated` are `integration.operation`."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def import_openapi(
    actor: Actor,
    integration: Integration,
    *,
    document: Any,
    select: Sequence[str] | None = None,
) -> Imported:
    """Create and update operations from an OpenAPI 3 document.

    What an admin decided about an operation stays: approval, sensitive arguments, time-out,
    whether it is enabled, and its effect while the method is the same.

    Args:
        actor: who imports.
        integration: where to.
        document: the parsed document.
        select: only these, by operationId or as `GET /path`; None takes all.

    Raises:
        Invalid: the document or the selection cannot be; nothing is imported.
    """
    openapi.check_document(document)
    chosen = _choose(openapi.places(document), select)
    prefix = openapi.server_prefix(document, integration.base_url)
    done = Imported()
    with unit_of_work() as unit:
        rows = Operation.objects.filter(integration=integration).select_for_update(no_key=True)
        present = {row.slug: row for row in rows.select_related("integration")}
        taken: set[str] = set()
        for place in chosen:
            try:
                found = openapi.read_operation(
                    document, place, prefix=prefix, headers=integration.default_headers
                )
                _import_one(actor, integration, found, present.get(found.slug), taken, done)
            except NotExpressible as error:
                done.skipped.append(Skipped(place.reference, str(error)))
            except Invalid as error:
                done.skipped.append(Skipped(place.reference, error.detail[:500]))
        facts = {
            "created": len(done.created),
            "updated": len(done.updated),
            "skipped": len(done.skipped),
        }
        target = ("integration", integration.pk, integration.slug)
        unit.audit(actor, "integration.imported", target, facts)
    return done


def _choose(found: list[Place], select: Sequence[str] | None) -> list[Place]:
    if select is None:
        return found
    known = {place.label for place in found} | {place.reference for place in found}
    for position, name in enumerate(select):
        if name not in known:
            detail = "The document has no such operation; write its operationId or `GET /path`."
            raise Invalid([FieldError(f"select.{position}", "not_found", detail)])
    return [place for place in found if {place.label, place.reference} & set(select)]


def _import_one(
    actor: Actor,
    integration: Integration,
    found: Found,
    present: Operation | None,
    taken: set[str],
    done: Imported,
) -> None:
    reference = f"{integration.slug}.{found.slug}"
    if found.slug in taken:
        raise NotExpressible(f"Another operation of the document is {reference} already.")
    taken.add(found.slug)
    values = _values(found, present)
    if present is not None and _is_same(present, values):
        raise NotExpressible("It is there and has not changed.")
    put_operation(actor, integration, found.slug, values)
    (done.updated if present else done.created).append(reference)


def _values(found: Found, present: Operation | None) -> OperationValues:
    described: Mapping[str, Any] = {
        "name": found.name,
        "description": found.description,
        "method": found.method,
        "path": found.path,
        "parameters": found.parameters,
    }
    if present is None:
        return OperationValues(effect=found.effect, **described)
    kept = present.method == found.method
    return OperationValues(
        effect=present.effect if kept else found.effect,
        requires_approval=present.requires_approval,
        approval=present.approval or None,
        sensitive=present.sensitive,
        timeout_seconds=present.timeout_seconds,
        enabled=present.enabled,
        **described,
    )


def _is_same(present: Operation, values: OperationValues) -> bool:
    names = ("name", "description", "method", "path", "parameters", "effect")
    return all(getattr(present, name) == getattr(values, name) for name in names)
