"""Who signed in, who tried to: written into the audit trail of each workspace they belong to."""

from collections.abc import Mapping
from typing import Any

from accounts_app.models import Membership, User
from accounts_app.scoping import Actor, in_request, system_actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.members import member_actor
from accounts_app.services.unit import unit_of_work

SIGNED_IN = "sign_in.succeeded"
FIRST_REFUSED = "sign_in.failed"
SECOND_REFUSED = "sign_in.second_factor_failed"

register_verbs(
    {
        SIGNED_IN: "signed in",
        FIRST_REFUSED: "refused a wrong password",
        SECOND_REFUSED: "refused a wrong second factor",
    }
)


def record_sign_in(user: User, *, facts: Mapping[str, Any], request_id: str = "") -> None:
    """Write down that a person signed in, as an act of theirs.

    Args:
        user: who.
        facts: JSON: the client's address, and by what they proved who they are.
        request_id: of the request.
    """
    with unit_of_work() as unit:
        for workspace_id in _workspaces(user):
            actor = member_actor(user, workspace_id, request_id=request_id)
            unit.audit(actor, SIGNED_IN, _subject(user), facts)


def record_refusal(
    user: User, verb: str, *, facts: Mapping[str, Any], request_id: str = ""
) -> None:
    """Write down that somebody, whoever it was, could not sign in as this person.

    Args:
        user: whose account.
        verb: `FIRST_REFUSED` or `SECOND_REFUSED`.
        facts: JSON: the client's address; never what was typed.
        request_id: of the request.
    """
    with unit_of_work() as unit:
        for workspace_id in _workspaces(user):
            actor: Actor = in_request(system_actor(workspace_id, "sign-in"), request_id)
            unit.audit(actor, verb, _subject(user), facts)


def _workspaces(user: User) -> list[Any]:
    rows = Membership.objects.filter(user=user, is_active=True, user__is_active=True)
    return list(rows.order_by("workspace_id").values_list("workspace_id", flat=True))


def _subject(user: User) -> tuple[str, object, str]:
    return ("user", user.pk, user.get_username())
