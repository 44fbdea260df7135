from typing import ClassVar

from django.db import models

from accounts_app.models.base import WorkspaceModel, new_id
from accounts_app.models.users import User
from accounts_app.scoping import WorkspaceQuerySet
from accounts_app.states import Role


class Workspace(models.Model):
    """The tenant; every row belongs to one."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    slug = models.SlugField(unique=True, max_length=60)
    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.name


class Group(WorkspaceModel):
    """People of one workspace who can be named together as reviewers."""

    name = models.CharField(max_length=80)

    objects = WorkspaceQuerySet["Group"].as_manager()

    class Meta:
        ordering = ("name",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["workspace", "name"], name="group_name_once")
        ]

    def __str__(self) -> str:
        return self.name


def no_roles() -> list[str]:
    return []


class Membership(WorkspaceModel):
    """A person in a workspace, with roles, groups and the agents they are limited to."""

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    roles = models.JSONField(default=no_roles, help_text="Names of roles.")
    groups = models.ManyToManyField(Group, blank=True, related_name="memberships")
    limited_to = models.ManyToManyField(
        "accounts_app.Agent",
        blank=True,
        related_name="+",
        help_text="Only tasks of these agents; empty means every agent.",
    )
    is_active = models.BooleanField(default=True)

    objects = WorkspaceQuerySet["Membership"].as_manager()

    class Meta:
        verbose_name = "member"
        ordering = ("user__username",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["workspace", "user"], name="member_once")
        ]

    def __str__(self) -> str:
        return str(self.user)

    @property
    def role_set(self) -> frozenset[Role]:
        return frozenset(Role(name) for name in self.roles)
