"""Who is meant by the names of reviewers, and who of a workspace could decide."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q

from accounts_app.errors import FieldError, Invalid
from accounts_app.models import Group, Membership
from accounts_app.states import Permission, permissions_of


@dataclass(frozen=True, slots=True)
class Granted:
    """The people and groups behind names, by id, so that a new name changes nothing."""

    users: frozenset[int] = frozenset()
    groups: frozenset[UUID] = frozenset()

    def as_json(self) -> dict[str, list[Any]]:
        return {"users": sorted(self.users), "groups": sorted(map(str, self.groups))}


def granted_of(stored: Mapping[str, Sequence[Any]]) -> Granted:
    """Read back what `as_json` wrote."""
    return Granted(frozenset(stored["users"]), frozenset(map(UUID, stored["groups"])))


@dataclass(frozen=True, slots=True)
class Person:
    """An active member, as far as it matters for what they may decide."""

    user_id: int
    identities: frozenset[str]
    permissions: frozenset[Permission]
    groups: frozenset[UUID]
    limited_to: frozenset[UUID]

    def is_in(self, granted: Granted) -> bool:
        return self.user_id in granted.users or bool(self.groups & granted.groups)


def people(workspace_id: UUID) -> list[Person]:
    """The active members of a workspace."""
    rows = Membership.objects.filter(
        workspace_id=workspace_id, is_active=True, user__is_active=True
    )
    found = rows.select_related("user").prefetch_related("groups", "limited_to")
    return [
        Person(
            user_id=member.user_id,
            identities=member.user.identities,
            permissions=permissions_of(member.role_set),
            groups=frozenset(group.pk for group in member.groups.all()),
            limited_to=frozenset(agent.pk for agent in member.limited_to.all()),
        )
        for member in found.order_by("pk")
    ]


def deciders(members: Iterable[Person], granted: Granted | None) -> list[Person]:
    """Those who may decide what asks for approval or input.

    Args:
        members: of one workspace.
        granted: the named reviewers; None is everybody.
    """
    return [
        member
        for member in members
        if Permission.DECIDE_TASKS in member.permissions
        and (granted is None or member.is_in(granted))
    ]


def resolve(workspace_id: UUID, names: Mapping[str, Sequence[str]], field: str) -> Granted:
    """Look up the active members and groups that are named.

    Args:
        workspace_id: where they must be.
        names: `users` by user name and `groups` by name.
        field: the member of the body, for errors.

    Raises:
        Invalid: `not_found` on the first name that nobody has.
    """
    users = {_user(workspace_id, name, f"{field}.users.{n}") for n, name in _each(names, "users")}
    groups = {
        _group(workspace_id, name, f"{field}.groups.{n}") for n, name in _each(names, "groups")
    }
    return Granted(frozenset(users), frozenset(groups))


def _each(names: Mapping[str, Sequence[str]], kind: str) -> Iterable[tuple[int, str]]:
    return enumerate(names.get(kind, ()))


def _user(workspace_id: UUID, name: str, field: str) -> int:
    named = Q(user__username__iexact=name) | Q(user__email__iexact=name, user__email__gt="")
    rows = Membership.objects.filter(
        named, workspace_id=workspace_id, is_active=True, user__is_active=True
    )
    found = list(rows.values_list("user_id", flat=True)[:2])
    if len(found) != 1:
        detail = f"There is no member {name!r}." if not found else f"{name!r} means several."
        raise Invalid([FieldError(field, "not_found", detail)])
    return found[0]


def _group(workspace_id: UUID, name: str, field: str) -> UUID:
    group = Group.objects.in_workspace(workspace_id).filter(name=name).first()
    if group is None:
        raise Invalid([FieldError(field, "not_found", f"There is no group {name!r}.")])
    return group.pk
