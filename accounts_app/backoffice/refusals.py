"""Refusals in the words of a page: where a fault lies is said as people read it there."""

from collections.abc import Mapping

from accounts_app.errors import DomainError, Invalid


def in_words(refusal: DomainError, labels: Mapping[str, str]) -> str:
    """Why something was refused, each fault by the name that the page has for its field.

    Args:
        refusal: by a service.
        labels: what the page calls a member, or a part of one that is named by its dotted path.
    """
    if not isinstance(refusal, Invalid) or refusal.sentence:
        return refusal.detail
    return " ".join(
        with_place(name_of(error.field, labels), error.detail) for error in refusal.errors
    )


def with_place(place: str, detail: str) -> str:
    return f"{place}: {detail}" if place else detail


def name_of(field: str, labels: Mapping[str, str]) -> str:
    """What a page calls a field, by the longest known beginning of its path."""
    steps = steps_of(field)
    for length in range(len(steps), 0, -1):
        label = labels.get(".".join(steps[:length]))
        if label is not None:
            return " › ".join([label, *place_in(steps[length:])])
    first, *rest = steps or [""]
    word = first.replace("_", " ")
    return " › ".join([word[:1].upper() + word[1:], *place_in(rest)])


def place_in(steps: list[str]) -> list[str]:
    """The way to a value in a document; what stands in a list is counted from 1."""
    return [f"no. {int(step) + 1}" if _is_number(step) else step for step in steps]


def steps_of(field: str) -> list[str]:
    """The steps of a dotted path, or of a JSON pointer."""
    if not field.startswith("/"):
        return field.split(".") if field else []
    return [step.replace("~1", "/").replace("~0", "~") for step in field[1:].split("/")]


def _is_number(step: str) -> bool:
    return step.isascii() and step.isdigit() and len(step) < 10
