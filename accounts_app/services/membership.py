"""What a member may do here: roles, groups, agents, whether they are in at all.

Every change holds from the person's next request on. A workspace never loses its last active
workspace admin: the rows of all active members are locked before that is looked at.
"""

from collections.abc import Iterable
from uuid import UUID

from accounts_app.errors import Conflict, FieldError, Invalid, NotFound
from accounts_app.models import Agent, Group, Membership, User
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.hooks import account_hooks
from accounts_app.services.members import check_roles
from accounts_app.services.unit import unit_of_work
from accounts_app.states import Permission, Role

register_verbs(
    {
        "member.deactivated": "deactivated a member",
        "member.reactivated": "reactivated a member",
        "group.created": "added a group",
        "group.changed": "changed a group",
    }
)


def get_member(actor: Actor, pk: UUID) -> Membership:
    """One member of the actor's workspace.

    Raises:
        NotFound: not there, or of another workspace.
    """
    row = Membership.objects.visible_to(actor).select_related("user").filter(pk=pk).first()
    if row is None:
        raise NotFound("There is no such member.")
    return row


def add_existing(actor: Actor, *, username: str, roles: Iterable[str]) -> Membership:
    """Make a user of the installation a member here too; they keep their own password.

    Raises:
        Forbidden: the actor does not manage the workspace.
        NotFound: nobody bears that name.
        Conflict: `key_exists`, they are a member.
    """
    actor.require(Permission.MANAGE_WORKSPACE)
    wanted = check_roles(roles)
    user = User.objects.filter(username__iexact=username, is_active=True).first()
    if user is None:
        raise NotFound(f"There is no user {username!r}.")
    with unit_of_work() as unit:
        member, created = Membership.objects.get_or_create(
            workspace_id=actor.workspace_id,
            user=user,
            defaults={"roles": wanted, "created_at": unit.now},
        )
        if not created:
            raise Conflict(f"{user.username} is a member here.", code="key_exists")
        target = ("member", member.pk, user.username)
        unit.audit(actor, "member.created", target, {"roles": wanted, "existing_user": True})
        account_hooks.members_changed(unit, actor)
    return member


def change_member(
    actor: Actor,
    member: Membership,
    *,
    roles: Iterable[str],
    groups: Iterable[Group],
    limited_to: Iterable[Agent],
) -> None:
    """Give a member these roles, groups and agents, instead of what they had.

    Raises:
        Forbidden: the actor does not manage the workspace.
        Invalid: unknown roles, or the last workspace admin would lose that role.
    """
    actor.require(Permission.MANAGE_WORKSPACE)
    wanted = check_roles(roles)
    group_rows, agent_rows = list(groups), list(limited_to)
    with unit_of_work() as unit:
        _lock_members(actor.workspace_id)
        member.refresh_from_db()
        if member.is_active and Role.WORKSPACE_ADMIN not in wanted:
            _keep_an_admin(member)
        before = {"roles": member.roles, **_named(member)}
        Membership.objects.filter(pk=member.pk).update(roles=wanted)
        member.groups.set(group_rows)
        member.limited_to.set(agent_rows)
        after = {"roles": wanted, **_named(member)}
        if before != after:
            facts = {"before": before, "after": after}
            unit.audit(actor, "member.changed", ("member", member.pk, str(member)), facts)
            account_hooks.members_changed(unit, actor)


def _named(member: Membership) -> dict[str, list[str]]:
    return {
        "groups": sorted(member.groups.values_list("name", flat=True)),
        "limited_to": sorted(member.limited_to.values_list("slug", flat=True)),
    }


def deactivate_member(actor: Actor, member: Membership) -> int:
    """Let a member in no longer, from now on; what they decided stays, what they held is free.

    Returns:
        How many claims and assignments went back to the queue.

    Raises:
        Forbidden: the actor does not manage the workspace.
        Conflict: `inactive`, they are out already.
        Invalid: they are the last workspace admin.
    """
    actor.require(Permission.MANAGE_WORKSPACE)
    with unit_of_work() as unit:
        _lock_members(actor.workspace_id)
        member.refresh_from_db()
        _keep_an_admin(member)
        if not Membership.objects.filter(pk=member.pk, is_active=True).update(is_active=False):
            raise Conflict(f"{member} is deactivated already.", code="inactive")
        released = account_hooks.member_deactivated(unit, actor, member)
        target = ("member", member.pk, str(member))
        unit.audit(actor, "member.deactivated", target, {"released": released})
    return released


def reactivate_member(actor: Actor, member: Membership) -> None:
    """Let a member in again, with the roles that they had.

    Raises:
        Forbidden: the actor does not manage the workspace.
        Conflict: `active`, they are in already.
    """
    actor.require(Permission.MANAGE_WORKSPACE)
    with unit_of_work() as unit:
        if not Membership.objects.filter(pk=member.pk, is_active=False).update(is_active=True):
            raise Conflict(f"{member} is active already.", code="active")
        unit.audit(actor, "member.reactivated", ("member", member.pk, str(member)))
        account_hooks.members_changed(unit, actor)


def _lock_members(workspace_id: UUID) -> None:
    rows = Membership.objects.select_for_update(no_key=True).filter(workspace_id=workspace_id)
    list(rows.order_by("pk").values_list("pk"))


def _keep_an_admin(member: Membership) -> None:
    """Refuse to take away the last active workspace admin; the members' rows are locked."""
    if Role.WORKSPACE_ADMIN not in member.role_set or not member.is_active:
        return
    others = Membership.objects.filter(
        workspace_id=member.workspace_id, is_active=True, user__is_active=True
    ).exclude(pk=member.pk)
    if not any(Role.WORKSPACE_ADMIN in other.role_set for other in others):
        text = "This is the last workspace admin: make somebody else one first."
        raise Invalid([FieldError("roles", "invalid_value", text)], text)


def put_group(
    actor: Actor, *, name: str, members: Iterable[Membership], group: Group | None = None
) -> Group:
    """Make a group, or give it this name and these members.

    Groups are not deleted: tasks and policies name them, and evidence outlives them.

    Raises:
        Forbidden: the actor does not manage the workspace.
        Invalid: a blank name, or one that is taken.
    """
    actor.require(Permission.MANAGE_WORKSPACE)
    name = name.strip()
    if not name:
        raise Invalid([FieldError("name", "invalid_value", "Give the group a name.")])
    others = Group.objects.in_workspace(actor.workspace_id).filter(name=name)
    if group is not None:
        others = others.exclude(pk=group.pk)
    with unit_of_work() as unit:
        _lock_members(actor.workspace_id)
        if others.exists():
            raise Invalid([FieldError("name", "key_exists", f"A group {name!r} exists.")])
        verb = "group.created" if group is None else "group.changed"
        if group is None:
            group = Group.objects.create(
                workspace_id=actor.workspace_id, created_at=unit.now, name=name
            )
        Group.objects.filter(pk=group.pk).update(name=name)
        group.memberships.set(members)
        people = sorted(str(member) for member in group.memberships.select_related("user"))
        unit.audit(actor, verb, ("group", group.pk, name), {"name": name, "members": people})
        account_hooks.members_changed(unit, actor)
    return group


def get_group(actor: Actor, pk: UUID) -> Group:
    """One group of the actor's workspace.

    Raises:
        NotFound: not there, or of another workspace.
    """
    row = Group.objects.visible_to(actor).filter(pk=pk).first()
    if row is None:
        raise NotFound("There is no such group.")
    return row
