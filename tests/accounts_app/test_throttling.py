"""Rates: exact over processes, cheap in each, told in every answer."""

import re
import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts_app.models import RateCount
from accounts_app.services.throttling import Limiter, forget_windows
from tests.api_client import Api
from tests.conftest import World
from tests.contract_check import document
from tests.tasks_app.racing import race


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_010.0

    def __call__(self) -> float:
        return self.now


def allowed(limiter: Limiter, times: int, limit: int, name: str = "k") -> int:
    return sum(limiter.count(name, limit).allowed for _ in range(times))


@pytest.mark.django_db
def test_the_limit_is_kept_and_starts_anew() -> None:
    clock = Clock()
    limiter = Limiter(clock)
    assert allowed(limiter, 5, 3) == 3
    clock.now += 60
    assert allowed(limiter, 5, 3) == 3


@pytest.mark.django_db
@pytest.mark.parametrize("limit", [1, 7, 60, 130, 1200])
def test_processes_share_one_limit(limit: int) -> None:
    clock = Clock()
    processes = [Limiter(clock) for _ in range(3)]
    taken = 0
    for _ in range(limit + 10):
        taken += sum(process.count("k", limit).allowed for process in processes)
    assert taken == limit


@pytest.mark.django_db
def test_keys_do_not_share() -> None:
    limiter = Limiter(Clock())
    assert allowed(limiter, 5, 3, "a") == 3
    assert allowed(limiter, 5, 3, "b") == 3


@pytest.mark.django_db
def test_most_requests_cost_no_statement_and_a_flood_costs_none() -> None:
    limiter = Limiter(Clock())
    with CaptureQueriesContext(connection) as made:
        assert allowed(limiter, 1200, 1200) == 1200
    assert len(made) == 60
    with CaptureQueriesContext(connection) as made:
        assert allowed(limiter, 500, 1200) == 0
    assert len(made) == 1


@pytest.mark.django_db
def test_what_is_left() -> None:
    limiter = Limiter(Clock())
    rates = [limiter.count("k", 3) for _ in range(4)]
    assert [(rate.allowed, rate.remaining) for rate in rates] == [
        (True, 2),
        (True, 1),
        (True, 0),
        (False, 0),
    ]
    assert rates[0].reset_seconds == 30


def test_threads_of_two_processes_stay_within_it(transactional_db: None) -> None:
    clock = Clock()
    first, second = Limiter(clock), Limiter(clock)
    acts = [lambda: allowed(first, 30, 100), lambda: allowed(second, 30, 100)] * 3
    assert sum(race(*acts)) == 100


@pytest.mark.django_db
def test_old_counts_are_forgotten() -> None:
    RateCount.objects.create(name="k", minute=5, taken=1)
    RateCount.objects.create(name="k", minute=int(time.time() // 60), taken=1)
    assert forget_windows() == 1


def test_every_answer_tells(world: World, settings: object) -> None:
    settings.ASSENT_THROTTLE_PER_MINUTE = 50
    key = Api(world.cast.key("read", name="told"))
    answers = [
        key.get("tasks").ok(),
        key.get("tasks?x=1").refused(422, "unknown_filter"),
        key.get("tasks/nope").refused(404, "not_found"),
        key.post("tasks", b"{").refused(400, "parse_error"),
        key.post("tasks", {}).refused(403, "insufficient_scope"),
    ]
    for answer in answers:
        assert answer.headers["RateLimit-Policy"] == '"key";q=50;w=60'
        assert re.fullmatch(r'"key";r=\d+;t=\d+', answer.headers["RateLimit"])
    assert "RateLimit" not in Api("nonsense").get("tasks").headers
    settings.ASSENT_THROTTLE_PER_MINUTE = 0
    assert "RateLimit" not in key.get("tasks").ok().headers


def test_every_endpoint_tells(world: World, settings: object) -> None:
    settings.ASSENT_THROTTLE_PER_MINUTE = 5_000
    key = Api(world.cast.key("read", name="told"), checked=False)
    asked = 0
    for path, methods in document()["paths"].items():
        if not path.startswith("/api/v1/") or path.endswith(("/schema/", "/docs/")):
            continue
        for method in methods:
            answer = key.ask(method.upper(), re.sub(r"{\w+}", "x", path), b"{")
            assert answer.headers["RateLimit-Policy"] == '"key";q=5000;w=60', path
            assert re.fullmatch(r'"key";r=\d+;t=\d+', answer.headers["RateLimit"]), path
            asked += 1
    assert asked >= 60


def test_every_endpoint_has_the_limit(world: World, settings: object) -> None:
    settings.ASSENT_THROTTLE_PER_MINUTE = 1
    key = Api(world.cast.key("read", name="busy"))
    for _ in range(2):
        key.get("tasks")
    for path, methods in document()["paths"].items():
        if not path.startswith("/api/v1/") or path.endswith(("/schema/", "/docs/")):
            continue
        for method in methods:
            url = re.sub(r"{\w+}", "x", path)
            # A minute may end in between; then this one is the first of the next.
            answers = [key.ask(method.upper(), url, b"{") for _ in range(2)]
            assert answers[-1].status == 429, (method, path)
            assert int(answers[-1].headers["Retry-After"]) >= 1


def test_over_the_limit(world: World, settings: object) -> None:
    settings.ASSENT_THROTTLE_PER_MINUTE = 2
    key = Api(world.cast.key("read", name="busy"))
    # Five in a row are over the limit of two even where a minute ends in between.
    refusal = next(a for a in [key.get("tasks") for _ in range(5)] if a.status == 429)
    refusal.refused(429, "throttled")
    assert 1 <= int(refusal.headers["Retry-After"]) <= 60
    assert re.fullmatch(r'"key";r=0;t=\d+', refusal.headers["RateLimit"])
