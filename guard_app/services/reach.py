"""Which operations a condition cannot be read for: each of their calls would go to a person."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from accounts_app.clock import db_now
from accounts_app.scoping import Actor
from guard_app.detectors.flow import COUNTS
from guard_app.services.rules import RuleValues
from guard_app.states import Detector
from integrations_app import conditions
from integrations_app.models import Operation

DEEPEST = 8


@dataclass(slots=True)
class Reach:
    """The operations that a condition is asked about, by their references.

    Args:
        never: it reads an argument that these do not have.
        sometimes: it reads an argument that may be left out of these.
        always: nothing is missing.
    """

    never: list[str] = field(default_factory=list)
    sometimes: list[str] = field(default_factory=list)
    always: list[str] = field(default_factory=list)


def reach_of(actor: Actor, values: RuleValues) -> Reach:
    """Try a draft's condition on made-up calls of every operation that it applies to.

    Args:
        actor: whose operations.
        values: a draft that was checked; one of another detector reaches everything.
    """
    reach = Reach()
    source = values.parameters.get("when", "")
    if values.detector != Detector.CONDITION or not source.strip():
        return reach
    rows = Operation.objects.visible_to(actor).filter(enabled=True).select_related("integration")
    chosen = values.applies_to.get("operations")
    for operation in rows.order_by("integration__slug", "slug"):
        if chosen and operation.reference not in chosen:
            continue
        if not _names_arguments(operation.parameters):
            continue  # Whatever it takes, its schema does not say.
        if _fails(source, operation, optional=True):
            reach.never.append(operation.reference)
        elif _fails(source, operation, optional=False):
            reach.sometimes.append(operation.reference)
        else:
            reach.always.append(operation.reference)
    return reach


def _names_arguments(schema: Any) -> bool:
    closed = isinstance(schema, Mapping) and schema.get("additionalProperties") is False
    return closed or (isinstance(schema, Mapping) and bool(schema.get("properties")))


def _fails(source: str, operation: Operation, *, optional: bool) -> bool:
    """Whether an argument is missing in one of a few calls, small and large."""
    for large in (False, True):
        variables = conditions.Variables(
            args=_sample(operation.parameters, large, optional) or {},
            agent="",
            session={"id": "", "participant": "", "metadata": {}},
            run={"id": "", "parent": None, "metadata": {}},
            operation=operation.reference,
            counts=dict.fromkeys(COUNTS, 10**6 if large else 1),
            now=db_now(),
        )
        if next(_missing(source, variables), None) is None:
            continue
        try:
            conditions.evaluate(source, variables)
        except conditions.ConditionFailed as failure:
            if isinstance(failure.__cause__, LookupError):
                return True
    return False


def _missing(source: str, variables: conditions.Variables) -> Iterator[str]:
    for fact in conditions.explain(source, variables):
        if fact.steps[0] == "args" and not fact.present:
            yield fact.path


def _sample(schema: Any, large: bool, optional: bool, depth: int = 0) -> Any:
    """A value of a schema, with what may be left out or without."""
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        return None
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][-1 if large else 0]
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next(iter(kind), None)
    if kind == "object" or (kind is None and "properties" in schema):
        members = schema.get("properties") or {}
        kept = members if optional else [name for name in members if name in _required(schema)]
        return {name: _sample(members[name], large, optional, depth + 1) for name in kept}
    plain: dict[object, Any] = {
        "number": 1e6 if large else 0.0,
        "integer": 10**6 if large else 0,
        "string": "x" if large else "",
        "boolean": large,
        "array": [],
    }
    return plain.get(kind)


def _required(schema: Mapping[str, Any]) -> list[Any]:
    required = schema.get("required")
    return required if isinstance(required, list) else []
