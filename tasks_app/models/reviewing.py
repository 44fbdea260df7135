from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts_app.models import Group, JSONTextField, User, WorkspaceModel
from accounts_app.scoping import WorkspaceQuerySet
from accounts_app.states import Channel
from tasks_app.models.tasks import UserTask
from tasks_app.states import CommentType


class Reviewer(WorkspaceModel):
    """A person or a group that a task names; granted by id, so that a new name changes nothing."""

    task = models.ForeignKey(UserTask, on_delete=models.CASCADE, related_name="reviewer_rows")
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")
    group = models.ForeignKey(Group, on_delete=models.CASCADE, null=True, related_name="+")
    level = models.PositiveSmallIntegerField(default=0, help_text="The escalation that named them.")

    objects = WorkspaceQuerySet["Reviewer"].as_manager()

    class Meta:
        ordering = ("task", "level", "pk")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(user__isnull=True) ^ Q(group__isnull=True), name="reviewer_is_one"
            ),
            models.UniqueConstraint(
                fields=["task", "user"], condition=Q(user__isnull=False), name="reviewer_user_once"
            ),
            models.UniqueConstraint(
                fields=["task", "group"],
                condition=Q(group__isnull=False),
                name="reviewer_group_once",
            ),
        ]

    def __str__(self) -> str:
        return str(self.user or self.group)


class Vote(WorkspaceModel):
    """One voter's part of a decision; it holds for the revision that they saw, and no other."""

    task = models.ForeignKey(UserTask, on_delete=models.PROTECT, related_name="vote_rows")
    voter = models.CharField(max_length=80, help_text="The person, or the key without an owner.")
    by = JSONTextField()
    action = models.CharField(max_length=120)
    value = JSONTextField(null=True)
    comment = models.TextField(null=True)  # noqa: DJ001 - null is no comment
    revision = models.PositiveIntegerField()
    digest = models.CharField(max_length=80, blank=True)
    channel = models.CharField(max_length=10, choices=Channel)

    objects = WorkspaceQuerySet["Vote"].as_manager()

    class Meta:
        ordering = ("created_at", "pk")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "voter", "revision"], name="vote_once")
        ]

    def __str__(self) -> str:
        return f"{self.task_id}: {self.action}"


class DraftRevision(WorkspaceModel):
    """One saved state of the work, with its author.

    Of a call's arguments the plain text is sealed, and `draft` is masked.
    """

    task = models.ForeignKey(UserTask, on_delete=models.PROTECT, related_name="draft_revisions")
    revision = models.PositiveIntegerField()
    draft = JSONTextField(null=True)
    sealed = models.BinaryField(null=True)
    by = JSONTextField()
    channel = models.CharField(max_length=10, choices=Channel)

    objects = WorkspaceQuerySet["DraftRevision"].as_manager()

    class Meta:
        ordering = ("task", "revision")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "revision"], name="draft_revision_once")
        ]

    def __str__(self) -> str:
        return f"{self.task_id} r{self.revision}"


class Comment(WorkspaceModel):
    """What was said about a task without deciding it."""

    task = models.ForeignKey(UserTask, on_delete=models.PROTECT, related_name="comment_rows")
    type = models.CharField(max_length=12, choices=CommentType, default=CommentType.COMMENT)
    text = models.TextField()
    by = JSONTextField()
    channel = models.CharField(max_length=10, choices=Channel)
    revision = models.PositiveIntegerField(help_text="Of the task, when it was said.")

    objects = WorkspaceQuerySet["Comment"].as_manager()

    class Meta:
        ordering = ("created_at", "pk")
        indexes: ClassVar = [models.Index(fields=["task", "created_at"], name="comment_order")]

    def __str__(self) -> str:
        return self.text[:80]
