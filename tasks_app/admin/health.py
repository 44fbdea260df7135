"""What keeps the installation going: the scheduler's heartbeat, and what each sweep did."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts_app.backoffice.lists import listed
from accounts_app.backoffice.pages import Page, register
from accounts_app.clock import db_now
from accounts_app.models import Heartbeat
from accounts_app.states import Permission
from tasks_app.models import SweepRun

LATE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep as a line: what it moved, in words, and what it could not handle."""

    row: SweepRun
    done: list[tuple[str, int]]
    failed: int

    @property
    def seconds(self) -> float:
        return (self.row.finished_at - self.row.started_at).total_seconds()


@register("health/", "health")
class HealthPage(Page):
    """Sweeps are the whole installation's: numbers, and nothing of what they moved."""

    title = "Health"
    template_name = "tasks_app/health.html"
    permissions = (Permission.MANAGE_WORKSPACE, Permission.READ_AUDIT)

    def get(self, request: HttpRequest) -> HttpResponseBase:
        now = db_now()
        found = listed(request, SweepRun.objects.all())
        beats = list(Heartbeat.objects.order_by("name"))
        return self.render(
            now=now,
            listed=found,
            sweeps=[_sweep(row) for row in found.rows],
            beats=[(beat, (now - beat.at).total_seconds() > LATE_SECONDS) for beat in beats],
            may_release=self.actor.can(Permission.MANAGE_WORKSPACE),
        )


def _sweep(row: SweepRun) -> Sweep:
    done: dict[str, Any] = dict(row.done)
    failed = int(done.pop("failed", 0))
    return Sweep(row, [(name.replace("_", " "), number) for name, number in done.items()], failed)
