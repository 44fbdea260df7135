"""The parameters of each detector, read strictly (pure)."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from accounts_app.errors import FieldError, Invalid
from guard_app import hours
from guard_app.detectors.learned import WORDS
from guard_app.personal import FINDERS
from guard_app.states import Detector
from integrations_app import conditions
from integrations_app.pointers import parse as parse_pointer

MAX_WINDOW = 31_622_400  # 366 days
MAX_POINTER = 200
MAX_NAMES = 100


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: what reads it, and whether it may be left out."""

    check: Callable[[Any, str], None]
    optional: bool = False


def check_parameters(detector: str, raw: Any) -> dict[str, Any]:
    """Read the parameters of a rule.

    Args:
        detector: one of the contract's list.
        raw: the body's member.

    Returns:
        The parameters as they were given, less what is null.

    Raises:
        Invalid: one error for each parameter that is missing, unknown or wrong.
    """
    if not isinstance(raw, dict):
        _refuse("parameters", "Must be an object.")
    known = PARAMETERS[Detector(detector)]
    errors = [
        FieldError(f"parameters.{name}", "unknown_field", f"Known: {', '.join(known) or 'none'}.")
        for name in raw
        if name not in known
    ]
    for name, parameter in known.items():
        field = f"parameters.{name}"
        if raw.get(name) is None:
            if not parameter.optional:
                errors.append(FieldError(field, "required", f"{detector} needs {name}."))
            continue
        try:
            parameter.check(raw[name], field)
        except Invalid as refusal:
            errors += refusal.errors
    if errors:
        raise Invalid(errors)
    return {name: value for name, value in raw.items() if value is not None}


def _count(value: Any, field: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        _refuse(field, "Must be a whole number of at least 0.")


def _amount(value: Any, field: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        _refuse(field, "Must be a number of at least 0.")


def _window(value: Any, field: str) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 1 <= value <= MAX_WINDOW:
        _refuse(field, f"Must be a number of seconds from 1 to {MAX_WINDOW}.")


def _one_of(*offered: str) -> Callable[[Any, str], None]:
    def check(value: Any, field: str) -> None:
        if value not in offered or not isinstance(value, str):
            _refuse(field, f"Choose from {', '.join(offered)}.")

    return check


def _pointer(value: Any, field: str) -> None:
    if not isinstance(value, str) or not value.startswith("/") or len(value) > MAX_POINTER:
        _refuse(field, "Must be a JSON pointer to an argument, like /amount.")
    try:
        parse_pointer(value)
    except ValueError as error:
        _refuse(field, str(error))


def _sensitivity(value: Any, field: str) -> None:
    text = f"Must be {', '.join(WORDS)}, or a number from 0.1 to 10."
    if isinstance(value, str):
        if value not in WORDS:
            _refuse(field, text)
        return
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0.1 <= value <= 10:
        _refuse(field, text)


def _when(value: Any, field: str) -> None:
    if not isinstance(value, str):
        _refuse(field, "Must be a CEL expression as text.")
    if not value.strip():
        return  # It matches nothing, and is no mistake.
    try:
        conditions.check(value, conditions.GUARD_VARIABLES)
    except conditions.ConditionFailed as error:
        _refuse(field, str(error))


def _timezone(value: Any, field: str) -> None:
    text = "Must be a time zone, like Europe/Berlin."
    if not isinstance(value, str) or not value.strip() or len(value) > 60:
        _refuse(field, text)
    try:
        ZoneInfo(value)
    except (ValueError, OSError) as error:
        raise Invalid([FieldError(field, "invalid_value", text)]) from error
    except KeyError as error:  # ZoneInfoNotFoundError
        raise Invalid([FieldError(field, "invalid_value", text)]) from error


def _hours(value: Any, field: str) -> None:
    try:
        hours.check(value)
    except ValueError as error:
        raise Invalid([FieldError(field, "invalid_value", str(error))]) from error


def _types(value: Any, field: str) -> None:
    if not isinstance(value, list) or not value or not all(isinstance(t, str) for t in value):
        _refuse(field, f"Must be a list of {', '.join(FINDERS)}.")
    for index, name in enumerate(value):
        if name not in FINDERS:
            _refuse(f"{field}.{index}", f"Choose from {', '.join(FINDERS)}.")


def names(value: Any, field: str) -> None:
    """Check a list of names; whether they exist, the service asks the database."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        _refuse(field, "Must be a list of texts.")
    if len(value) > MAX_NAMES:
        _refuse(field, f"At most {MAX_NAMES} names.", "too_long")


def _operations(value: Any, field: str) -> None:
    names(value, field)
    if not value:
        _refuse(field, "Name at least one operation, as integration.operation.")


_SCOPES = ("run", "session", "agent")
PARAMETERS: Mapping[Detector, Mapping[str, Parameter]] = {
    Detector.CONDITION: {"when": Parameter(_when)},
    Detector.CALL_COUNT: {
        "scope": Parameter(_one_of(*_SCOPES)),
        "limit": Parameter(_count),
        "window_seconds": Parameter(_window, optional=True),
    },
    Detector.REPEATED_CALL: {"limit": Parameter(_count)},
    Detector.BUDGET: {
        "argument": Parameter(_pointer),
        "limit": Parameter(_amount),
        "scope": Parameter(_one_of("run", "session", "participant", "agent")),
        "window_seconds": Parameter(_window, optional=True),
    },
    Detector.RATE_BASELINE: {"sensitivity": Parameter(_sensitivity, optional=True)},
    Detector.VALUE_RANGE: {
        "argument": Parameter(_pointer),
        "sensitivity": Parameter(_sensitivity, optional=True),
    },
    Detector.NEW_VALUE: {"argument": Parameter(_pointer)},
    Detector.NEW_OPERATION: {},
    Detector.OFF_HOURS: {"timezone": Parameter(_timezone), "hours": Parameter(_hours)},
    Detector.FAILURE_BURST: {
        "of": Parameter(_one_of("failed", "rejected")),
        "limit": Parameter(_count),
        "window_seconds": Parameter(_window),
    },
    Detector.SENSITIVE_DATA: {"types": Parameter(_types, optional=True)},
    Detector.INJECTION: {},
    Detector.CHAIN: {"sources": Parameter(_operations), "sinks": Parameter(_operations)},
}


def _refuse(field: str, detail: str, code: str = "invalid_value") -> NoReturn:
    raise Invalid([FieldError(field, code, detail)])
