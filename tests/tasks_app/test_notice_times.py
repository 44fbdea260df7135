"""When somebody is told: digests and quiet hours by their own clock, also when it changes."""

import datetime as dt

import pytest

from tasks_app.notice_times import Times
from tests.conftest import utc

NIGHT = (dt.time(22), dt.time(7))


def test_at_once_outside_of_quiet_hours_means_now() -> None:
    now = utc("2026-01-15T12:00:00")
    assert Times(zone="Europe/Vienna", quiet=NIGHT).due_at("new", now) == now


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-01-15T21:00:00", "2026-01-16T06:00:00"),  # 22:00 in Vienna, until 7:00
        ("2026-01-15T20:59:59", "2026-01-15T20:59:59"),
        ("2026-01-16T05:59:59", "2026-01-16T06:00:00"),
        ("2026-01-16T06:00:00", "2026-01-16T06:00:00"),
        ("2026-03-28T22:00:00", "2026-03-29T05:00:00"),  # the night that lacks an hour
        ("2026-10-24T21:00:00", "2026-10-25T06:00:00"),  # the night that has one more
        ("2026-07-15T20:00:00", "2026-07-16T05:00:00"),
    ],
)
def test_a_quiet_night_ends_by_the_members_clock(now: str, due: str) -> None:
    times = Times(zone="Europe/Vienna", quiet=NIGHT)
    assert times.due_at("new", utc(now)) == utc(due)


def test_quiet_hours_within_a_day() -> None:
    times = Times(zone="America/New_York", quiet=(dt.time(12), dt.time(13, 30)))
    assert times.due_at("new", utc("2026-06-01T16:10:00")) == utc("2026-06-01T17:30:00")
    assert times.due_at("new", utc("2026-06-01T17:30:00")) == utc("2026-06-01T17:30:00")


def test_quiet_hours_that_end_in_the_missing_hour_end_behind_it() -> None:
    times = Times(zone="Europe/Vienna", quiet=(dt.time(1), dt.time(2, 30)))
    assert times.due_at("new", utc("2026-03-29T00:30:00")) == utc("2026-03-29T01:30:00")


def test_quiet_hours_that_end_in_the_doubled_hour_end_twice() -> None:
    times = Times(zone="Europe/Vienna", quiet=(dt.time(1), dt.time(2, 30)))
    # 2:10 in summer time, and 2:10 once more in winter time.
    assert times.due_at("new", utc("2026-10-25T00:10:00")) == utc("2026-10-25T00:30:00")
    assert times.due_at("new", utc("2026-10-25T00:40:00")) == utc("2026-10-25T00:40:00")
    assert times.due_at("new", utc("2026-10-25T01:10:00")) == utc("2026-10-25T01:30:00")


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-03-28T06:00:00", "2026-03-28T07:00:00"),  # 8:00 in winter
        ("2026-03-28T08:00:00", "2026-03-29T06:00:00"),  # 8:00 in summer
        ("2026-03-29T06:00:00", "2026-03-30T06:00:00"),  # the digest's own moment: the next one
        ("2026-10-24T07:00:00", "2026-10-25T07:00:00"),
    ],
)
def test_a_daily_digest_comes_at_the_same_time_by_the_members_clock(now: str, due: str) -> None:
    times = Times(
        zone="Europe/Vienna", times=(("new", "digest"),), digest_minutes=1440, digest_at=dt.time(8)
    )
    assert times.due_at("new", utc(now)) == utc(due)


def test_a_digest_within_the_day_comes_at_round_times() -> None:
    times = Times(times=(("new", "digest"),), digest_minutes=15)
    assert times.due_at("new", utc("2026-01-15T12:00:01")) == utc("2026-01-15T12:15:00")
    assert times.due_at("new", utc("2026-01-15T12:15:00")) == utc("2026-01-15T12:30:00")


def test_a_digest_in_quiet_hours_waits_for_their_end() -> None:
    times = Times(zone="Europe/Vienna", times=(("new", "digest"),), quiet=NIGHT)
    assert times.due_at("new", utc("2026-01-15T21:30:00")) == utc("2026-01-16T06:00:00")


def test_a_zone_that_is_not_known_counts_as_utc() -> None:
    now = utc("2026-01-15T23:00:00")
    assert Times(zone="Mars/Base", quiet=NIGHT).due_at("new", now) == utc("2026-01-16T07:00:00")


def test_every_minute_of_the_nights_that_change_has_an_end_ahead() -> None:
    for zone in ("Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"):
        times = Times(zone=zone, quiet=(dt.time(1, 45), dt.time(1, 30)))
        for start in ("2026-03-28T12:00:00", "2026-10-24T12:00:00", "2026-04-04T12:00:00"):
            for minutes in range(0, 36 * 60, 7):
                now = utc(start) + dt.timedelta(minutes=minutes)
                due = times.due_at("new", now)
                assert now <= due <= now + dt.timedelta(hours=25), (zone, now, due)
