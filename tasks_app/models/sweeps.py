from typing import ClassVar

from django.db import models

from accounts_app.models import JSONTextField, new_id


class SweepRun(models.Model):
    """What one sweep did; sweeps that found nothing to do leave only the heartbeat."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    host = models.CharField(max_length=120, help_text="Machine and process.")
    done = JSONTextField(default=dict, help_text="How many rows each kind of work moved.")

    class Meta:
        ordering = ("-started_at", "-id")
        indexes: ClassVar = [models.Index(fields=["-started_at"], name="sweep_run_order")]

    def __str__(self) -> str:
        return f"{self.host} {self.started_at}"
