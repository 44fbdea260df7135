"""Detectors: pure functions from a call and its history to a hit or nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accounts_app.errors import FieldError, Invalid


@dataclass(frozen=True, slots=True)
class ScreenedCall:
    """What detectors look at.

    Args:
        agent: slug of the agent.
        operation: `integration.operation`.
        arguments_digest: equal for equal arguments.
        earlier_in_run: digests of the run's earlier calls of the same operation, oldest first.
    """

    agent: str
    operation: str
    arguments_digest: str
    earlier_in_run: Sequence[str]


@dataclass(frozen=True, slots=True)
class Hit:
    """Why a call is suspicious, in words for people."""

    explanation: str


def repeated_call(call: ScreenedCall, parameters: Mapping[str, Any]) -> Hit | None:
    """The same operation with equal arguments, strictly more than `limit` times in a run."""
    limit = parameters["limit"]
    count = 1 + sum(digest == call.arguments_digest for digest in call.earlier_in_run)
    if count <= limit:
        return None
    return Hit(f"The same call for the {count}. time in this run; the limit is {limit}.")


def check_parameters(detector: str, parameters: Any) -> None:
    """Refuse parameters that the detector cannot work with.

    Raises:
        Invalid: naming the parameter.
    """
    if detector == "repeated_call":
        limit = parameters.get("limit") if isinstance(parameters, dict) else None
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            text = "Must be a whole number of at least 1."
            raise Invalid([FieldError("parameters.limit", "invalid_value", text)])


DETECTORS: dict[str, Callable[[ScreenedCall, Mapping[str, Any]], Hit | None]] = {
    "repeated_call": repeated_call
}
