"""What the policy promises integrators, as far as it can be held against the code."""

import re
from typing import Any

import pytest
from django.conf import settings as product

from accounts_app.models import IdempotencyRecord
from integrations_app.services import deliveries, webhooks
from tests.api_client import Api
from tests.conftest import World
from tests.contract_check import document
from tests.harness.server import PROJECT

PAGE = (PROJECT / "docs" / "api-policy.md").read_text(encoding="utf-8")
GOING = ("Deprecation", "Sunset", "Link")


def operations() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method} {path}", operation)
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    ]


def test_what_is_deprecated_says_so_in_every_answer_and_on_the_page() -> None:
    deprecated = [(name, each) for name, each in operations() if each.get("deprecated")]
    assert ("Nothing is deprecated today." in PAGE) is (deprecated == [])
    for name, operation in deprecated:
        assert name in PAGE
        for status, answer in operation["responses"].items():
            assert set(GOING) <= answer.get("headers", {}).keys(), (name, status)


def test_nothing_that_is_not_deprecated_says_that_it_goes(world: World) -> None:
    for api, path in ((world.agent, "tasks"), (world.admin, "webhooks"), (Api(), "tasks")):
        assert not set(GOING) & set(api.get(path).headers)


def test_a_member_of_a_body_or_answer_that_goes_is_named_on_the_page() -> None:
    for name, schema in document()["components"]["schemas"].items():
        for member, shape in schema.get("properties", {}).items():
            if isinstance(shape, dict) and shape.get("deprecated"):
                assert f"{name}.{member}" in PAGE


def test_the_figures_of_the_page_are_those_of_the_code() -> None:
    spoken = re.search(r"tried again after ([^;]+); then", PAGE)
    assert spoken is not None
    assert spoken[1] == "5 s, 30 s, 5 min, 30 min, 2, 6, 12, 24 and 24 hours"
    hours = [3600 * number for number in (2, 6, 12, 24, 24)]
    assert list(deliveries.PAUSES) == [5, 30, 300, 1800, *hours]
    assert f"within {deliveries.TIMEOUT_SECONDS:.0f} seconds" in PAGE
    assert f"rests for {deliveries.FIRST_REST:.0f} s to 5 min" in PAGE
    assert deliveries.LONGEST_REST == 300
    assert f"for {webhooks.OVERLAP.total_seconds() / 3600:.0f} hours each request" in PAGE
    assert f"`ASSENT_THROTTLE_PER_MINUTE` requests a minute ({THROTTLE};" in PAGE


THROTTLE = 1200


def test_the_default_rate_is_the_one_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    assert product.ASSENT_THROTTLE_PER_MINUTE == THROTTLE


def test_a_key_is_kept_for_thirty_days_and_not_longer(world: World, move_clock: Any) -> None:
    assert "kept 30 days" in PAGE
    body = {"agent": "support"}
    first = world.agent.post("sessions", body, Idempotency_Key="k").ok(201)
    move_clock(30 * 86_400 - 60)
    assert world.agent.post("sessions", body, Idempotency_Key="k").ok(200).json == first.json
    assert IdempotencyRecord.objects.count() == 1
    move_clock(120)
    again = world.agent.post("sessions", body, Idempotency_Key="k").ok(201)
    assert again["id"] != first["id"]
