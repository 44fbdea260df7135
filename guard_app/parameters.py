"""The parameters of each detector: how they are read, and how a form asks for them (pure).

This is the one source: rules that come by the API and rules that come by the form are checked
here, and the form makes its fields, with their help and examples, from the same lines.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
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


class Ask(StrEnum):
    """How a form asks for a parameter."""

    CODE = "code"
    WHOLE = "whole"
    NUMBER = "number"
    DURATION = "duration"
    CHOICE = "choice"
    POINTER = "pointer"
    SENSITIVITY = "sensitivity"
    ZONE = "zone"
    LINES = "lines"
    SEVERAL = "several"
    OPERATIONS = "operations"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter.

    Args:
        check: reads it.
        ask: how a form asks for it.
        label: what the form calls it.
        help: what it means, with its unit.
        example: a value that is right.
        optional: it may be left out.
        choices: what is offered, each with what people read.
    """

    check: Callable[[Any, str], None]
    ask: Ask
    label: str
    help: str
    example: Any
    optional: bool = False
    choices: tuple[tuple[str, str], ...] = ()


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


_SCOPES = {
    "run": "In one run, with its sub-agents",
    "session": "In one session, all runs of it",
    "participant": "By one participant, all their sessions",
    "agent": "By one agent, all its sessions",
}
_OF = {"failed": "failed", "rejected": "were rejected by people"}
_TYPES = {
    "secret": "Secrets: API keys, tokens, passwords",
    "private_key": "Private keys",
    "card_number": "Card numbers, with a right check digit",
    "iban": "IBANs, with a right check digit",
    "us_ssn": "US social security numbers",
    "email": "E-mail addresses",
    "phone": "Phone numbers, like +49 30 1234567",
}


def _scope(*offered: str) -> Parameter:
    return Parameter(
        _one_of(*offered),
        Ask.CHOICE,
        "Counted",
        "Which earlier calls are counted together with the present one.",
        "run",
        choices=tuple((name, _SCOPES[name]) for name in offered),
    )


def _limit(of_what: str, example: float, *, amount: bool = False) -> Parameter:
    text = f"{of_what} Strictly more is a hit: the limit itself is still fine."
    if amount:
        return Parameter(_amount, Ask.NUMBER, "Limit", text, example)
    return Parameter(_count, Ask.WHOLE, "Limit", text, example)


def _window_of(example: int, *, optional: bool = True) -> Parameter:
    empty = " Empty: however long ago." if optional else ""
    return Parameter(
        _window, Ask.DURATION, "Within", f"How far back it counts.{empty}", example, optional
    )


_ARGUMENT = Parameter(
    _pointer,
    Ask.POINTER,
    "Argument",
    "The argument of the call that is looked at, as a JSON pointer: /amount is the member amount,"
    " /customer/id a member of a member.",
    "/amount",
)
_SENSITIVITY = Parameter(
    _sensitivity,
    Ask.SENSITIVITY,
    "Sensitivity",
    "How far from the usual is suspicious: low 12, medium 6, high 3 times the usual spread; or a"
    " number from 0.1 to 10, by which 6 is divided. Left empty it is medium.",
    "low",
    optional=True,
    choices=(("low", "Low: only what is far off"), ("medium", "Medium"), ("high", "High")),
)
PARAMETERS: Mapping[Detector, Mapping[str, Parameter]] = {
    Detector.CONDITION: {
        "when": Parameter(
            _when,
            Ask.CODE,
            "When",
            "A CEL expression over args (the arguments), operation, agent, session, run, counts"
            " and now. It is a hit where it is true; empty, it never is.",
            "has(args.amount) && args.amount > 1000.0",
        )
    },
    Detector.CALL_COUNT: {
        "scope": _scope("run", "session", "agent"),
        "limit": _limit("A number of calls, those that were blocked included.", 20),
        "window_seconds": _window_of(3600),
    },
    Detector.REPEATED_CALL: {
        "limit": _limit("How often the very same call is fine in one run.", 5)
    },
    Detector.BUDGET: {
        "argument": _ARGUMENT,
        "limit": _limit("A sum, in the unit of the argument.", 500, amount=True),
        "scope": _scope("run", "session", "participant", "agent"),
        "window_seconds": _window_of(86_400),
    },
    Detector.RATE_BASELINE: {"sensitivity": _SENSITIVITY},
    Detector.VALUE_RANGE: {"argument": _ARGUMENT, "sensitivity": _SENSITIVITY},
    Detector.NEW_VALUE: {"argument": _ARGUMENT},
    Detector.NEW_OPERATION: {},
    Detector.OFF_HOURS: {
        "timezone": Parameter(
            _timezone, Ask.ZONE, "Time zone", "In which the hours are meant.", "Europe/Berlin"
        ),
        "hours": Parameter(
            _hours,
            Ask.LINES,
            "Working hours",
            "One span on each line, like mon-fri 08:00-18:00, sat 09:00-12:00 or 22:00-06:00 for"
            " every day. A call outside of all of them is a hit.",
            "mon-fri 08:00-18:00",
        ),
    },
    Detector.FAILURE_BURST: {
        "of": Parameter(
            _one_of(*_OF),
            Ask.CHOICE,
            "Calls that",
            "What became of the agent's earlier calls.",
            "failed",
            choices=tuple(_OF.items()),
        ),
        "limit": _limit("A number of such calls.", 20),
        "window_seconds": _window_of(600, optional=False),
    },
    Detector.SENSITIVE_DATA: {
        "types": Parameter(
            _types,
            Ask.SEVERAL,
            "Kinds",
            "None chosen: all but e-mail addresses and phone numbers.",
            ["secret", "private_key", "card_number"],
            optional=True,
            choices=tuple((name, _TYPES[name]) for name in FINDERS),
        )
    },
    Detector.INJECTION: {},
    Detector.CHAIN: {
        "sources": Parameter(
            _operations,
            Ask.OPERATIONS,
            "Sources",
            "Operations that read what is private or not to be trusted.",
            ["crm.export"],
        ),
        "sinks": Parameter(
            _operations,
            Ask.OPERATIONS,
            "Sinks",
            "Operations that send something out; a call of one, after a source, is a hit.",
            ["mail.send"],
        ),
    },
}
WHAT: Mapping[Detector, str] = {
    Detector.CONDITION: "A condition that you write is true of the call and its arguments.",
    Detector.CALL_COUNT: "There are more calls than a limit: in a run, a session, or by an agent.",
    Detector.REPEATED_CALL: "A run makes the same call with equal arguments again and again.",
    Detector.BUDGET: "An argument adds up to more than a limit, over calls that ran or wait: ten"
    " refunds of 90, where one of 900 would have been noticed.",
    Detector.RATE_BASELINE: "The agent makes far more calls within an hour than it usually does at"
    " this time of the week. It needs three weeks of history; before, it never hits.",
    Detector.VALUE_RANGE: "A number, or the size of a text or list, lies far out of what the"
    " operation usually gets. It needs 30 calls that succeeded; before, it never hits.",
    Detector.NEW_VALUE: "A destination, account or other value that this agent never used with"
    " this operation in a call that was let through.",
    Detector.NEW_OPERATION: "The agent calls an operation for the first time, where it called"
    " others before.",
    Detector.OFF_HOURS: "The call comes outside of the hours in which the agent should work.",
    Detector.FAILURE_BURST: "Many calls of the agent failed, or were rejected, in a short time.",
    Detector.SENSITIVE_DATA: "The arguments hold a secret or personal data, anywhere in them.",
    Detector.INJECTION: "The arguments hold hidden instructions: invisible or look-alike"
    " characters, markup that acts, or phrases that talk to a model.",
    Detector.CHAIN: "A run that read from one of the sources, itself or by a sub-agent, now sends"
    " to one of the sinks.",
}
"""What each detector hits, in a sentence for whoever writes a rule."""


def signatures() -> str:
    """Each detector with its parameters, as the contract writes them."""
    return " · ".join(
        f"{detector} {{{', '.join(n + ('?' if p.optional else '') for n, p in known.items())}}}"
        for detector, known in PARAMETERS.items()
    )


def example_of(detector: str) -> dict[str, Any]:
    """Parameters of a detector that can be saved, but for operations that are not there."""
    known = PARAMETERS[Detector(detector)]
    return {name: parameter.example for name, parameter in known.items()}


def _refuse(field: str, detail: str, code: str = "invalid_value") -> NoReturn:
    raise Invalid([FieldError(field, code, detail)])
