"""Workspaces and their members."""

from collections.abc import Iterable
from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from accounts_app.clock import db_now
from accounts_app.errors import Conflict, FieldError, Forbidden, Invalid
from accounts_app.models import AuditHead, Membership, User, Workspace
from accounts_app.scoping import Actor, system_actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.hooks import account_hooks
from accounts_app.services.unit import unit_of_work
from accounts_app.states import ActorType, Channel, Role

register_verbs(
    {
        "workspace.created": "made the workspace",
        "member.created": "added a member",
        "member.changed": "changed a member",
    }
)


def create_workspace(*, slug: str, name: str) -> Workspace:
    """Make a workspace and the head of its audit trail.

    Args:
        slug: unique in the whole installation; what commands call it by.
        name: what people read; at most 120 characters.

    Raises:
        Invalid: the slug or the name is none, or too long.
        Conflict: the slug is taken.
    """
    made = Workspace(slug=slug, name=name)
    try:
        made.clean_fields()
    except ValidationError as error:
        raise Invalid(
            [
                FieldError(field, "invalid_value", " ".join(messages))
                for field, messages in error.message_dict.items()
            ]
        ) from error
    with unit_of_work() as unit:
        if Workspace.objects.filter(slug=slug).exists():
            raise Conflict(f"The workspace {slug!r} exists.", code="key_exists")
        workspace = Workspace.objects.create(slug=slug, name=name, created_at=db_now())
        AuditHead.objects.create(workspace=workspace)
        unit.audit(
            system_actor(workspace.pk), "workspace.created", ("workspace", workspace.pk, slug)
        )
    return workspace


def check_roles(names: Iterable[str]) -> list[str]:
    """Read roles by name.

    Raises:
        Invalid: none, or an unknown one.
    """
    wanted = sorted({name.strip() for name in names if name.strip()})
    if not wanted or any(name not in Role.values for name in wanted):
        offered = ", ".join(Role.values)
        raise Invalid([FieldError("roles", "invalid_value", f"Choose from {offered}.")])
    return wanted


def create_member(
    actor: Actor, *, username: str, roles: Iterable[str], password: str, email: str = ""
) -> Membership:
    """Make a user who is a member of the actor's workspace.

    Args:
        actor: who does it.
        username: unique in the whole installation, whatever its case.
        roles: names of roles.
        password: checked by the configured validators.
        email: optional; a participant can be named by it.

    Raises:
        Invalid: unknown roles, a blank name or a weak password.
        Conflict: the name is taken.
    """
    wanted = check_roles(roles)
    if not username.strip():
        raise Invalid([FieldError("username", "invalid_value", "Give a user name.")])
    user = User(username=username, email=email, is_staff=True)
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(
            [FieldError("password", "invalid_value", " ".join(error.messages))]
        ) from error
    user.set_password(password)
    with unit_of_work() as unit:
        if User.objects.filter(username__iexact=username).exists():
            raise Conflict(f"The user {username!r} exists.", code="key_exists")
        user.save()
        member = Membership.objects.create(
            workspace_id=actor.workspace_id, created_at=unit.now, user=user, roles=wanted
        )
        unit.audit(actor, "member.created", ("member", member.pk, username), {"roles": wanted})
        account_hooks.members_changed(unit, actor)
    return member


def member_actor(user: User, workspace_id: UUID | None = None, *, request_id: str = "") -> Actor:
    """The actor that a signed-in person is, in one of their workspaces.

    Args:
        user: who signed in.
        workspace_id: the workspace they chose; None is their first.
        request_id: copied into the actor.

    Raises:
        Forbidden: they are no active member of it, or of any.
    """
    rows = Membership.objects.filter(user=user, is_active=True, user__is_active=True)
    if workspace_id is not None:
        rows = rows.filter(workspace_id=workspace_id)
    member = rows.order_by("created_at", "pk").first()
    if member is None:
        raise Forbidden("You are not a member of a workspace; ask a workspace admin to add you.")
    limited = frozenset(member.limited_to.values_list("pk", flat=True))
    return Actor(
        type=ActorType.USER,
        id=str(user.pk),
        name=user.get_username(),
        workspace_id=member.workspace_id,
        roles=member.role_set,
        user_id=user.pk,
        identities=user.identities,
        groups=frozenset(member.groups.values_list("pk", flat=True)),
        limited_to=limited or None,
        channel=Channel.BACKOFFICE,
        request_id=request_id,
    )
