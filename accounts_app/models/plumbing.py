"""Rows without meaning of their own: replays, wake-ups, the tests' clock."""

from typing import ClassVar

from django.db import models

from accounts_app.models.workspaces import Workspace


class IdempotencyRecord(models.Model):
    """The first answer to a request that carried an Idempotency-Key (kept 30 days)."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    path = models.CharField(max_length=255)
    key = models.CharField(max_length=255)
    body_digest = models.CharField(max_length=64)
    owner = models.UUIDField(help_text="The attempt that holds the record while it works.")
    lease_until = models.DateTimeField()
    response = models.TextField(null=True)  # noqa: DJ001 - null says that no answer exists yet
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["workspace", "path", "key"], name="idempotency_key_once"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["created_at"], name="idempotency_age")]

    def __str__(self) -> str:
        return f"{self.path} {self.key}"


class Wake(models.Model):
    """Tells waiters on the embedded database that something about `topic` has changed."""

    id = models.BigAutoField(primary_key=True)
    topic = models.CharField(max_length=64)

    def __str__(self) -> str:
        return self.topic


class RateCount(models.Model):
    """How many requests of a key were handed out in one minute, over all processes."""

    name = models.CharField(max_length=64)
    minute = models.BigIntegerField(help_text="Its number since the epoch.")
    taken = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["name", "minute"], name="rate_count_once")
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.minute}: {self.taken}"


class SharedCount(models.Model):
    """The table of the cache: counts of attempts to sign in, shared by all processes."""

    cache_key = models.CharField(max_length=255, primary_key=True)
    value = models.TextField()
    expires = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.cache_key


class ClockOffset(models.Model):
    """How far tests have moved the database's clock; never read in production."""

    seconds = models.FloatField(default=0)

    def __str__(self) -> str:
        return f"{self.seconds} s"


class Heartbeat(models.Model):
    """When something that must keep going was last seen, for `/readyz`."""

    name = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.at}"
