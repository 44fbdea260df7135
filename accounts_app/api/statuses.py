"""Which HTTP status a refusal becomes."""

from accounts_app import errors

STATUSES: dict[type[errors.DomainError], int] = {
    errors.ParseError: 400,
    errors.NotAuthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Invalid: 422,
    errors.PreconditionRequired: 428,
}


def status_of(error: errors.DomainError) -> int:
    """The HTTP status that a refusal becomes."""
    for kind, status in STATUSES.items():
        if isinstance(error, kind):
            return status
    return 400
