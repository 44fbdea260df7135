"""When a member is told: at once, in the digest, never in their quiet hours (pure).

Wall-clock times are the member's own. Where the clocks change, a time that does not exist means
the moment after the gap, and of a time that comes twice the first is taken that lies ahead.
"""

import datetime as dt
import zoneinfo
from dataclasses import dataclass

from tasks_app.states import DEFAULT_TIMES, NoticeTime

DIGESTS = ((15, "every quarter of an hour"), (60, "every hour"), (240, "every four hours"))
DAILY = 1440
DIGEST_CHOICES = (*DIGESTS, (DAILY, "once a day"))


@dataclass(frozen=True, slots=True)
class Times:
    """A member's choices.

    Args:
        zone: the name of their time zone; one that is not known counts as UTC.
        times: how soon, by kind, where it differs from the default.
        quiet: from and to, by their clock; None is never quiet.
        digest_minutes: how often the digest comes; 1440 is once a day, at `digest_at`.
        digest_at: by their clock.
    """

    zone: str = "UTC"
    times: tuple[tuple[str, str], ...] = ()
    quiet: tuple[dt.time, dt.time] | None = None
    digest_minutes: int = 60
    digest_at: dt.time = dt.time(8)

    def time_of(self, kind: str) -> NoticeTime:
        """How soon they want to be told of this kind."""
        return NoticeTime(dict(self.times).get(kind, DEFAULT_TIMES[kind]))

    def due_at(self, kind: str, now: dt.datetime) -> dt.datetime:
        """The moment from which they may be told of what happened now."""
        if self.time_of(kind) == NoticeTime.DIGEST:
            return self.after_quiet(self._next_digest(now))
        return self.after_quiet(now)

    def after_quiet(self, moment: dt.datetime) -> dt.datetime:
        """The moment, or the end of the quiet hours in which it lies."""
        if self.quiet is None:
            return moment
        start, end = self.quiet
        local = moment.astimezone(self._zone)
        clock = local.time()
        quiet = start <= clock < end if start < end else clock >= start or clock < end
        if start == end or not quiet:
            return moment
        day = local.date() if clock < end else local.date() + dt.timedelta(days=1)
        return self._ahead(day, end, moment)

    def _next_digest(self, now: dt.datetime) -> dt.datetime:
        if self.digest_minutes < DAILY:
            step = self.digest_minutes * 60
            seconds = (int(now.timestamp()) // step + 1) * step
            return dt.datetime.fromtimestamp(seconds, dt.UTC)
        return self._ahead(now.astimezone(self._zone).date(), self.digest_at, now)

    def _ahead(self, day: dt.date, clock: dt.time, now: dt.datetime) -> dt.datetime:
        """The first moment after now at which their clock shows this, from this day on."""
        for days in (0, 1, 2):
            for fold in (0, 1):
                wall = dt.datetime.combine(
                    day + dt.timedelta(days=days), clock.replace(fold=fold), self._zone
                )
                # By way of UTC, or a time in the gap would stay one that does not exist.
                moment = wall.astimezone(dt.UTC)
                if moment > now and _exists_or_first(wall, fold):
                    return moment
        raise AssertionError("Every clock shows every time within three days.")

    @property
    def _zone(self) -> dt.tzinfo:
        try:
            return zoneinfo.ZoneInfo(self.zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            return dt.UTC


def _exists_or_first(wall: dt.datetime, fold: int) -> bool:
    """In a gap only the reading counts that lies behind it."""
    back = wall.astimezone(dt.UTC).astimezone(wall.tzinfo)
    return fold == 0 or back.replace(tzinfo=None, fold=0) == wall.replace(tzinfo=None, fold=0)
