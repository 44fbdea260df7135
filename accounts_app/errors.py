"""The error root: every refusal of the product is a DomainError with a stable code.

The codes are the HTTP contract's; which status each class becomes is decided in `config`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class DomainError(Exception):
    """A refusal. Nothing was changed.

    Args:
        detail: one sentence that says what is wrong and what would be right.
        code: the stable code that callers branch on; the class's own when left out.
        facts: further members of the problem document.
    """

    code = "error"
    title = "The request was refused"

    def __init__(
        self, detail: str = "", *, code: str = "", facts: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.code = code or self.code
        self.facts = dict(facts or {})


class ParseError(DomainError):
    """The bytes are no acceptable JSON."""

    code = "parse_error"
    title = "The body is not acceptable JSON"


class NotAuthenticated(DomainError):
    """No credential, or one that is unknown, revoked or expired."""

    code = "not_authenticated"
    title = "A valid credential is required"


class NotFound(DomainError):
    """Not there, or not yours: both read the same."""

    code = "not_found"
    title = "Not found"


class Forbidden(DomainError):
    """Visible, but not permitted."""

    code = "forbidden"
    title = "Not permitted"


class Conflict(DomainError):
    """Somebody or something was faster; the facts say who, what and when."""

    code = "conflict"
    title = "The state has changed meanwhile"


class PreconditionRequired(DomainError):
    """The caller must name the revision that it looked at."""

    code = "revision_required"
    title = "A revision is required"


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field; `field` is a dotted path.

    Inside a document that a member holds, like arguments or a schema, it is a JSON pointer from
    the root of the body.
    """

    field: str
    code: str
    detail: str


class Invalid(DomainError):
    """The body was understood and cannot be accepted.

    Its code is that of the first field error, so that a caller can branch on either. Its sentence
    says it without naming a field, where there is one.
    """

    code = "invalid_value"
    title = "The request has invalid fields"

    def __init__(self, errors: Sequence[FieldError], detail: str = "") -> None:
        first = errors[0]
        self.sentence = detail
        super().__init__(detail or f"{first.field}: {first.detail}", code=first.code)
        self.errors = tuple(errors)
